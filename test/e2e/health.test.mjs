// `runnel health`: how a container's engine, or a person, asks a running service how it is.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { connect } from './lib/raw.mjs';
import { run, start } from './lib/server.mjs';

const health = async (...args) => {
  const r = await run(['health', ...args]);
  assert.equal(r.signal, null);
  return r;
};

describe('a service that runs', () => {
  let server;
  before(async () => { server = await start(); });
  after(() => server.stop());
  const own = () => ['--set', `listen=127.0.0.1:${server.port}`];

  test('is asked whether it is ready', async () => {
    const r = await health(...own());
    assert.deepEqual([r.code, r.stderr], [0, '']);
    assert.equal(r.stdout, `healthy: http://127.0.0.1:${server.port}/readyz says 200 {"status":"ready"}\n`);
  });

  test('or by a path, or by a URL', async () => {
    assert.match((await health('/livez', ...own())).stdout, /^healthy: .*\/livez says 200 /);
    for (const host of ['127.0.0.1', 'localhost'])
      assert.equal((await health(`http://${host}:${server.port}/livez`)).code, 0);
  });

  test('one that listens on all addresses is asked at its own', async () => {
    const r = await health('--set', `listen=0.0.0.0:${server.port}`);
    assert.equal(r.code, 0);
    assert.match(r.stdout, /http:\/\/127\.0\.0\.1:/);
    assert.match((await health('--set', 'listen=[::]:1')).stdout, /http:\/\/\[::1\]:1\/readyz/);
  });

  test('what is not a 200 is not well', async () => {
    const r = await health('/no/such/path', ...own());
    assert.deepEqual([r.code, r.stderr], [1, '']);
    assert.match(r.stdout, /^not healthy: .* says 404 \{"error".*\n$/);
  });

  test('as JSON', async () => {
    const r = await health('--json', ...own());
    assert.deepEqual(JSON.parse(r.stdout), { healthy: true, url: `http://127.0.0.1:${server.port}/readyz`, status: 200, why: '' });
  });

  test('one that is full is alive, and not ready', async () => {
    const full = await start({ http: { max_connections: 1 } });
    const first = await connect(full.port);
    const at = `http://127.0.0.1:${full.port}`;
    const alive = await health(`${at}/livez`);
    assert.deepEqual([alive.code, alive.stderr], [0, '']);
    assert.match(alive.stdout, /^healthy: \S+\/livez says 503 \{"error".*too many connections.*\n$/);
    const shown = JSON.parse((await health('--json', '/livez', '--set', `listen=127.0.0.1:${full.port}`)).stdout);
    assert.deepEqual([shown.healthy, shown.status], [true, 503]);
    const ready = await health(`${at}/readyz`);
    assert.equal(ready.code, 1);
    assert.match(ready.stdout, /^not healthy: \S+\/readyz says 503 /);
    first.destroy();
    await full.stop();
  });

  test('while it drains it is alive, and not ready', async () => {
    const one = await start({ drain_seconds: '5s', providers: [{ name: 'echo', kind: 'echo', tokens_per_second: 2 }] });
    const stream = fetch(`http://127.0.0.1:${one.port}/v1/chat/completions`, {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ model: 'echo', stream: true, messages: [{ role: 'user', content: 'a b c d e' }] }),
    });
    await one.metricBecomes('runnel_turns_running', 1);
    one.child.kill('SIGTERM');
    await one.log({ msg: 'draining' });
    const at = `http://127.0.0.1:${one.port}`;
    const ready = await health(`${at}/readyz`);
    // A draining service may refuse connections; either way it is not ready.
    assert.equal(ready.code, 1, ready.stdout);
    await (await stream).text();
    await one.stop();
  });
});

describe('something else that answers', () => {
  const listen = (on) => new Promise((done) => {
    const s = net.createServer((c) => { c.on('error', () => {}); on(c); });
    s.listen(0, '127.0.0.1', () => done(s));
  });
  const cases = {
    nobody: [null, /says nothing: Connection refused\n$/],
    'one that is silent': [() => {}, /says nothing: it took too long\n$/],
    'one that hangs up': [(c) => c.end(), /does not speak HTTP\n$/],
    'one that says something else': [(c) => c.end('220 mail.example ESMTP\r\n\r\n'), /does not speak HTTP\n$/],
    'one that begins like HTTP': [(c) => c.end('HTTP/1.1\r\n\r\n'), /does not speak HTTP\n$/],
    'one with a status that is no number': [(c) => c.end('HTTP/1.1 2x0 OK\r\n\r\n'), /does not speak HTTP\n$/],
    'one that never ends': [(c) => { const t = setInterval(() => c.write('HTTP/1.1 200 OK\r\n'), 50); c.on('close', () => clearInterval(t)); }, /says nothing: it took too long\n$/],
    'one that says too much': [(c) => { c.on('data', () => {}); c.end(`HTTP/1.1 500 No\r\n\r\n${'\x1b\n'.repeat(40000)}`); }, /says /],
  };
  for (const [name, [on, what]] of Object.entries(cases))
    test(name, async () => {
      const s = on ? await listen(on) : null;
      const port = s?.address().port ?? 1;
      const asked = performance.now();
      const r = await health(`http://127.0.0.1:${port}/`, '--timeout', '1s');
      assert.deepEqual([r.code, r.stderr], [1, '']);
      assert.match(r.stdout, /^not healthy: [^\n\x1b]*\n$/, 'one line');
      assert.match(r.stdout, what);
      assert.ok(performance.now() - asked < 5000);
      s?.close();
    });

  test('to be asked whether it is alive takes HTTP all the same', async () => {
    const s = await listen((c) => c.end('220 mail.example ESMTP\r\n\r\n'));
    const r = await health(`http://127.0.0.1:${s.address().port}/livez`);
    assert.equal(r.code, 1);
    assert.match(r.stdout, /^not healthy: .* does not speak HTTP\n$/);
    s.close();
  });

  test('an address that is none is said to be none', async () => {
    for (const url of ['https://127.0.0.1/', 'http://no.such.name/', 'x', '', 'http://127.0.0.1:0/', 'http://127.0.0.1:1/a?b=1', '/a b', '/ä'])
      assert.match((await health(url)).stderr, /^runnel: expects an address such as [^\n]+\n$/, url);
  });
});
