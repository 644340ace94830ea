// How the program is run: probes, metrics, logs, signals, starting and ending.
import assert from 'node:assert/strict';
import { unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkRefusal, runCase, staysClosed } from './lib/cases.mjs';
import { parseLogLine, parsePrometheus } from './lib/parse.mjs';
import { ask, bytes, chat, chunksSoFar, connect, get, parseEvents, post, req, streamText } from './lib/raw.mjs';
import { binary, cleanEnv, duration, eventually, exitCode, launch, ms, run, scratch, start } from './lib/server.mjs';

const echo = (tokens_per_second, more = {}) => ({ providers: [{ name: 'echo', kind: 'echo', tokens_per_second }], ...more });
const words = (n) => Array.from({ length: n }, (_, i) => `w${i}`).join(' ');

async function begin(server, text, ...lines) {
  const c = await connect(server.port);
  await c.send(chat(text, { stream: true }, ...lines));
  await c.until(() => chunksSoFar(c).length > 1, 'the first events');
  return c;
}

const connects = (port) => connect(port).then((c) => { c.destroy(); return true; }, () => false);

// A stream cut on purpose: it says so, and does not end as if it were whole.
function endsTruthfully(text) {
  const events = parseEvents(text);
  const at = events.findIndex((e) => e.data?.error);
  assert.ok(at >= 0, `no error event in ${text.slice(-300)}`);
  assert.equal(typeof events[at].data.error.message, 'string');
  assert.ok(events.every((e) => !e.data?.choices?.[0]?.finish_reason), 'no finish reason');
  assert.ok(events.slice(0, at).every((e) => !e.done), 'no [DONE] before the error');
  assert.ok(events.slice(at + 1).every((e) => e.done), 'nothing but [DONE] after the error');
}

describe('probes and metrics', () => {
  let server;
  before(async () => { server = await start(echo(0)); });
  after(() => server?.stop());

  for (const path of ['/livez', '/readyz'])
    test(path, async () => {
      for (const method of ['GET', 'HEAD']) {
        const r = await ask(server.port, req(`${method} ${path} HTTP/1.1`, 'Host: a'), { method });
        assert.equal(r.status, 200);
      }
    });

  test('the text is what a scraper expects', async () => {
    await ask(server.port, chat('one two', { stream: true }));
    const r = await get(server.port, '/metrics');
    assert.match(r.header('content-type'), /^text\/plain;\s*version=0\.0\.4\b/);
    const { types } = parsePrometheus(r.text);
    const want = { counter: ['connections_total', 'connections_refused_total', 'http_requests_total', 'turns_total', 'turn_events_total',
      'received_bytes_total', 'sent_bytes_total', 'allocations_total'],
    gauge: ['connections', 'turns_running', 'resident_bytes', 'allocated_bytes'],
    histogram: ['first_event_seconds', 'event_gap_seconds', 'loop_lag_seconds'] };
    for (const [type, names] of Object.entries(want))
      for (const n of names) assert.equal(types.get(`runnel_${n}`), type, `runnel_${n}`);
  });

  test('the counters move', async () => {
    const read = async () => ({
      connections: await server.metric('runnel_connections_total'),
      models: await server.metric('runnel_http_requests_total', { route: '/v1/models', status: '200' }),
      missing: await server.metric('runnel_http_requests_total', { status: '404' }),
      turns: await server.metric('runnel_turns_total', { end: 'complete' }),
      events: await server.metric('runnel_turn_events_total'),
      first: await server.metric('runnel_first_event_seconds_count'),
      gaps: await server.metric('runnel_event_gap_seconds_count'),
      received: await server.metric('runnel_received_bytes_total'),
      sent: await server.metric('runnel_sent_bytes_total'),
    });
    const was = await read();
    for (let i = 0; i < 3; i++) await get(server.port, '/v1/models');
    await get(server.port, '/nope');
    await ask(server.port, chat(words(10), { stream: true }));
    const is = await read();
    assert.equal(is.models - was.models, 3);
    assert.equal(is.missing - was.missing, 1);
    assert.equal(is.turns - was.turns, 1);
    assert.equal(is.first - was.first, 1);
    assert.ok(is.events - was.events >= 10);
    assert.ok(is.gaps - was.gaps >= 9);
    assert.ok(is.connections - was.connections >= 5);
    assert.ok(is.received - was.received > 500);
    assert.ok(is.sent - was.sent > 1000);
    assert.ok(await server.metric('runnel_resident_bytes') > 1 << 20);
    assert.ok(await server.metric('runnel_allocated_bytes') > 0);
    assert.ok(await server.metric('runnel_allocations_total') > 0);
  });

  test('labels do not grow with what clients make up', async () => {
    const count = async () => (await server.metrics()).filter((s) => s.name === 'runnel_http_requests_total').length;
    await get(server.port, '/nope');
    const was = await count();
    for (let i = 0; i < 50; i++) {
      await get(server.port, `/nope-${i}`);
      await get(server.port, `/v1/models/m${i}`);
    }
    assert.ok(await count() <= was + 3, 'a child for every path');
  });

  test('running turns and connections are counted while they are there', async () => {
    const own = await start(echo(5));
    const c = await begin(own, words(100));
    assert.equal(await own.metric('runnel_turns_running'), 1);
    assert.equal(await own.metric('runnel_connections'), 2);
    c.reset();
    await own.metricBecomes('runnel_turns_running', 0);
    await own.stop();
  });
});

describe('log lines', () => {
  const hostile = [
    'x', '"quoted" key=value', 'a=b level=error msg=forged', '\\n\\r\\t\\u000a', '\\"', 'x"} {"msg":"forged"', '%0d%0ats=2026 msg=forged', 'J\xf6rg \xff\xfe',
    '\xe4\xbd\xa0\xe5\xa5\xbd', '\t\t', "'; drop table x; --", '${jndi:x}', '\xc2\x9b31m', '\x85', 'u'.repeat(7000),
  ];
  const controls = ['a\x1b[31m', 'a\nb', 'a\rb', 'a\0b'];
  const paths = ['/%22%20msg=forged', '/%0amsg=forged', '/%1b[31m', "/a'b;c=d", '/?msg=forged&x="', '/%ff%fe', '/' + 'p'.repeat(7000), '/\xe4\xbd\xa0', '/a"b'];

  for (const format of ['logfmt', 'json'])
    test(`${format} can be parsed whatever comes in`, async () => {
      const server = await start(echo(0, { log: { level: 'debug', format }, http: { trusted_proxies: ['127.0.0.1'] } }));
      const every = (line) => [line, ...['User-Agent', 'X-Forwarded-For', 'X-Request-Id', 'Referer', 'Origin'].map((n) => `${n}: ${line}`)];
      for (const text of [...hostile, ...controls])
        for (const line of every(text).slice(1))
          await ask(server.port, bytes(req('GET /v1/models HTTP/1.1', 'Host: a', 'Connection: close', line)));
      for (const path of paths) await get(server.port, path);
      for (const method of ['FORGED', '"x"', 'G=T'])
        await ask(server.port, req(`${method} /livez HTTP/1.1`, 'Host: a', 'Connection: close'));
      for (const text of hostile) {
        const body = Buffer.from(JSON.stringify({ model: text, messages: [{ role: 'user', content: text }] }));
        await ask(server.port, post('/v1/chat/completions', body, 'Connection: close', `User-Agent: ${text.slice(0, 500)}`));
        await ask(server.port, chat(text, {}, 'Connection: close'));
      }
      await server.alive();
      await server.stop();
      assert.ok(server.lines.length > 100);
      assert.ok(server.stderr.endsWith('\n'));
      for (const line of server.lines) {
        const fields = parseLogLine(line);
        assert.equal(line.startsWith('{'), format === 'json', line);
        assert.match(fields.ts, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
        assert.match(fields.level, /^(debug|info|warn|error)$/);
        assert.notEqual(fields.msg, 'forged');
        assert.ok(line.length < 16384);
        assert.doesNotMatch(line, /[\x00-\x1f\x7f]/);
      }
    });

  test('a turn has its line, a plain request has its line', async () => {
    const server = await start(echo(0));
    await ask(server.port, chat('secret words', { stream: true }));
    const turn = await server.log({ msg: 'turn' });
    assert.equal(turn.route, '/v1/chat/completions');
    assert.equal(turn.model, 'echo');
    assert.equal(turn.provider, 'echo');
    assert.equal(turn.end, 'complete');
    await get(server.port, '/v1/models');
    await server.log({ msg: 'request' });
    await server.stop();
    assert.equal(server.lines.filter((l) => /\bmsg=turn\b/.test(l)).length, 1);
    assert.doesNotMatch(server.stderr, /secret/);
  });

  test('the level is kept', async () => {
    const server = await start(echo(0, { log: { level: 'info' } }));
    await ask(server.port, chat('hi'));
    await server.stop();
    assert.ok(server.lines.every((l) => parseLogLine(l).level !== 'debug'));
  });

  // The log must never hold up the service.
  test('nobody reads the log: the service goes on, and says what it dropped', { timeout: ms(30000) }, async () => {
    const server = await start(echo(0));
    server.child.stderr.pause();
    const many = Buffer.concat(Array.from({ length: 300 }, () => bytes(req('GET /v1/models HTTP/1.1', 'Host: a', `User-Agent: ${'u'.repeat(200)}`))));
    const c = await connect(server.port);
    for (let round = 0; round < 10; round++) {
      await c.send(many);
      for (let i = 0; i < 300; i++) assert.equal((await c.response()).status, 200);
    }
    c.destroy();
    const from = performance.now();
    await server.alive();
    assert.ok(performance.now() - from < ms(500));
    server.child.stderr.resume();
    await eventually(async () => {
      await get(server.port, '/v1/models');
      assert.ok(/\bdropped=[1-9]/.test(server.stderr), 'no line with dropped=');
    });
    await server.stop();
    for (const line of server.lines) parseLogLine(line);
  });

  test('the log has been closed: the service goes on', async () => {
    const server = await start(echo(0));
    server.child.stderr.destroy();
    for (let i = 0; i < 300; i++) assert.equal((await get(server.port, '/v1/models')).status, 200);
    assert.equal((await ask(server.port, chat('hi'))).json.choices[0].message.content, 'hi');
    server.kill('SIGTERM');
    assert.equal(await exitCode(server.child), 0);
  });

  test('the disk of the log is full: the service goes on', async () => {
    const port = await freePort();
    const child = launch('/bin/sh', ['-c', 'exec "$0" "$@" 2>/dev/full', binary, 'serve', '--listen', `127.0.0.1:${port}`],
      { env: cleanEnv(), stdio: 'ignore' });
    await eventually(async () => assert.ok(await connects(port), 'it does not come up'), ms(10000));
    for (let i = 0; i < 50; i++) assert.equal((await get(port, '/v1/models')).status, 200);
    child.kill('SIGTERM');
    assert.equal(await exitCode(child), 0);
  });
});

const freePort = () => new Promise((done) => {
  const s = net.createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => done(port)); });
});

describe('SIGTERM', () => {
  test('running streams finish; nobody new comes in; idle connections end; exit 0', async () => {
    const server = await start(echo(20, { drain_seconds: '15s' }));
    const text = words(40);
    const streams = await Promise.all([1, 2, 3].map(() => begin(server, text)));
    const whole = await connect(server.port);
    await whole.send(chat(words(20)));
    const idle = await connect(server.port);
    await idle.send(req('GET /livez HTTP/1.1', 'Host: a'));
    await idle.response();
    const fresh = await connect(server.port);
    await server.metricBecomes('runnel_turns_running', 4);

    server.kill('SIGTERM');
    await server.log({ msg: 'draining' });
    assert.equal(await connects(server.port), false, 'a new connection is refused');
    await staysClosed(idle);
    await staysClosed(fresh);
    for (const c of streams) {
      const events = parseEvents((await c.response({ timeout: ms(15000) })).text);
      assert.equal(streamText(events), text);
      assert.ok(events.at(-1).done);
      await staysClosed(c);
    }
    const r = await whole.response();
    assert.equal(r.json.choices[0].message.content, words(20));
    assert.ok(r.has('connection', 'close'), 'an answer given while draining says Connection: close');
    await staysClosed(whole);
    await server.gone();
    assert.match(server.stderr, /msg=stopped/);
  });

  // nginx gives no request to another server that it has sent already. Whoever was let in, or
  // was told that his connection stays, is answered once more.
  const last = async (c) => {
    const r = await c.response();
    assert.equal(r.status, 200);
    assert.ok(r.has('connection', 'close'));
    await staysClosed(c);
  };
  const alive = req('GET /livez HTTP/1.1', 'Host: a');

  test('a request that crosses the end on an idle connection is answered', async () => {
    for (let tries = 1; ; tries++) {
      const server = await start({ drain_seconds: '15s' });
      const idle = await connect(server.port);
      await idle.send(alive);
      await idle.response();
      const from = performance.now();
      server.kill('SIGTERM');
      await server.log({ msg: 'draining' });
      await idle.send(alive);
      const isLate = performance.now() - from > 200; // it waits for 250 ms, a busy machine perhaps not
      if (!isLate || tries === 5) await last(idle);
      await server.gone();
      if (!isLate) return;
    }
  });

  test('so is one behind a stream that promised to keep the connection', async () => {
    const server = await start(echo(20, { drain_seconds: '15s' }));
    const c = await begin(server, words(20));
    await c.send(alive);
    server.kill('SIGTERM');
    assert.equal(streamText(parseEvents((await c.response()).text)), words(20));
    await last(c);
    await server.gone();
  });

  test('who waited to be let in is answered', async () => {
    const server = await start({ drain_seconds: '15s' });
    server.kill('SIGSTOP');
    const waiting = await Promise.all([1, 2, 3].map(() => connect(server.port)));
    for (const c of waiting) await c.send(alive);
    server.kill('SIGTERM');
    server.kill('SIGCONT');
    for (const c of waiting) {                // some may have been let in before the signal was seen
      assert.equal((await c.response()).status, 200);
      await staysClosed(c);
    }
    await server.gone();
  });

  test('a stream that takes too long ends with an error event', async () => {
    const server = await start(echo(2, { drain_seconds: duration(1000) }));
    const c = await begin(server, words(200));
    const plain = await connect(server.port);
    await plain.send(chat(words(200)));
    await server.metricBecomes('runnel_turns_running', 2);
    const from = performance.now();
    server.kill('SIGTERM');
    endsTruthfully((await c.response()).text);
    await staysClosed(c);
    const r = await plain.response();
    assert.ok(r.status >= 500, `an answer that could not be finished has status ${r.status}`);
    plain.destroy();
    await server.gone();
    const took = performance.now() - from;
    assert.ok(took >= ms(1000) * 0.5 && took < ms(2500), `drained in ${took} ms`);
    assert.match(server.stderr, /msg=turn .*end=interrupted/);
  });

  test('one that waits for a place gets an answer', async () => {
    const server = await start(echo(10, { drain_seconds: '10s', turns: { max_running: 1, max_waiting: 5, max_wait: '20s' } }));
    const first = await begin(server, words(10));
    const waiting = await connect(server.port);
    await waiting.send(chat('waited', { stream: true }));
    await server.metricBecomes('runnel_turns_waiting', 1);
    server.kill('SIGTERM');
    assert.equal(streamText(parseEvents((await first.response()).text)), words(10));
    const r = await waiting.response();
    if (r.status === 200) assert.equal(streamText(parseEvents(r.text)), 'waited');
    else checkRefusal(r);
    await staysClosed(waiting);
    first.destroy();
    await server.gone();
  });

  test('nothing runs: it ends at once', async () => {
    const server = await start(echo(2, { drain_seconds: '20s' }));
    await server.alive();
    const from = performance.now();
    await server.stop();
    assert.ok(performance.now() - from < ms(1000));
  });

  test('a half-sent request does not hold it up', async () => {
    const server = await start({ drain_seconds: duration(1000) });
    const c = await connect(server.port);
    await c.send('GET /livez HT');
    await server.alive();
    server.kill('SIGTERM');
    await server.gone(ms(4000));
    c.destroy();
  });

  test('a reader that does not read does not hold it up', async () => {
    const server = await start(echo(0, { drain_seconds: duration(1000) }));
    const c = await connect(server.port);
    c.stopReading();
    await c.send(chat('a '.repeat(150000), { stream: true }));
    await sleep(ms(300));
    server.kill('SIGTERM');
    await server.gone(ms(5000));
    c.destroy();
  });

  const atOnce = { 'a second SIGTERM': ['SIGTERM', 'SIGTERM'], 'SIGINT': ['SIGINT'], 'SIGINT while draining': ['SIGTERM', 'SIGINT'] };
  for (const [name, signals] of Object.entries(atOnce))
    test(`${name} ends it at once, truthfully`, async () => {
      const server = await start(echo(2, { drain_seconds: '20s' }));
      const c = await begin(server, words(200));
      const from = performance.now();
      server.kill(signals[0]);
      if (signals[1]) { await server.log({ msg: 'draining' }); server.kill(signals[1]); }
      endsTruthfully((await c.response()).text);
      await staysClosed(c);
      await server.gone(ms(3000));
      assert.ok(performance.now() - from < ms(1000));
    });
});

describe('SIGHUP', () => {
  const settings = (...models) => ({
    providers: [{ name: 'echo', kind: 'echo', tokens_per_second: 20 }],
    models: models.map((name) => ({ name, class: 'local_small', targets: [{ provider: 'echo' }] })),
  });
  const names = async (server) => (await get(server.port, '/v1/models')).json.data.map((m) => m.id).sort();

  test('a good file is taken; a broken one is refused whole; streams go on', async () => {
    const server = await start(settings('echo'));
    const text = words(30);
    const c = await begin(server, text);
    const keep = await connect(server.port);
    await keep.send(req('GET /livez HTTP/1.1', 'Host: a'));
    await keep.response();

    server.write(settings('echo', 'second'));
    server.kill('SIGHUP');
    await server.log({ msg: 'reloaded' });
    assert.deepEqual(await names(server), ['echo', 'second']);
    assert.equal((await ask(server.port, chat('hi', { model: 'second' }))).json.choices[0].message.content, 'hi');

    for (const [i, broken] of [': : nonsense\n\t', { ...settings('third'), nonsense: 1 }, { ...settings('third'), http: { max_headers: 'many' } }].entries()) {
      const from = server.lines.length;
      server.write(broken);
      server.kill('SIGHUP');
      await server.log({ msg: 'reload refused' }, { from });
      assert.deepEqual(await names(server), ['echo', 'second'], `after broken file ${i}`);
    }

    const from = server.lines.length;
    server.write(settings('only'));
    server.kill('SIGHUP');
    await server.log({ msg: 'reloaded' }, { from });
    assert.deepEqual(await names(server), ['only']);

    const events = parseEvents((await c.response({ timeout: ms(10000) })).text);
    assert.equal(streamText(events), text, 'the stream of before goes on to its end');
    assert.ok(events.at(-1).done);
    await keep.send(req('GET /livez HTTP/1.1', 'Host: a'));
    assert.equal((await keep.response()).status, 200, 'connections of before stay');
    c.destroy();
    keep.destroy();
    await server.stop();
  });

  test('a file that is gone is refused', async () => {
    const server = await start(settings('echo'));
    unlinkSync(server.file);
    server.kill('SIGHUP');
    await server.log({ msg: 'reload refused' });
    assert.deepEqual(await names(server), ['echo']);
    await server.stop();
  });

  test('new limits hold for new requests', async () => {
    const server = await start(echo(0));
    const send = chat('x'.repeat(2000));
    await runCase(server, { send, want: 200, then: 'open' });
    server.write(echo(0, { http: { max_body_bytes: '1KiB' } }));
    server.kill('SIGHUP');
    await server.log({ msg: 'reloaded' });
    await runCase(server, { send, want: 413, then: 'close' });
    await server.stop();
  });
});

describe('starting', () => {
  test('the ready line names the address and the process', async () => {
    const server = await start();
    assert.equal(server.ready.pid, String(server.pid));
    assert.match(server.ready.address, /^127\.0\.0\.1:[1-9]\d*$/);
    assert.ok(server.ready.version);
    assert.equal(server.ready.level, 'info');
    await server.stop();
  });

  test('without a file; --listen, --set and the environment', async () => {
    const server = await start(null, { args: ['--listen', '[::1]:0', '--set', 'http.max_body_bytes=1KiB'],
      env: { RUNNEL_LOG_FORMAT: 'json', RUNNEL_HTTP_MAX_URI_BYTES: '100' } });
    assert.ok(server.lines[0].startsWith('{'));
    const port = Number(/^\[::1\]:(\d+)$/.exec(server.ready.address)[1]);
    const c = await connect(port, '::1');
    await c.send(chat('x'.repeat(2000)));
    assert.equal((await c.response()).status, 413);
    c.destroy();
    const d = await connect(port, '::1');
    await d.send(req(`GET /${'x'.repeat(100)} HTTP/1.1`, 'Host: a'));
    assert.equal((await d.response()).status, 414);
    d.destroy();
    await server.stop();
  });

  test('the environment wins over the file', async () => {
    const server = await start({ http: { max_body_bytes: '1MiB' } }, { env: { RUNNEL_HTTP_MAX_BODY_BYTES: '1KiB' } });
    assert.equal((await ask(server.port, chat('x'.repeat(2000)))).status, 413);
    await server.stop();
  });

  test('a taken port is one clear line and exit 1', async () => {
    const taken = net.createServer().listen(0, '127.0.0.1');
    await new Promise((done) => taken.once('listening', done));
    const { port } = taken.address();
    const r = await run(['--listen', `127.0.0.1:${port}`]);
    taken.close();
    assert.equal(r.code, 1);
    const lines = r.stderr.trimEnd().split('\n');
    assert.equal(lines.length, 1, r.stderr);
    assert.ok(lines[0].includes(`127.0.0.1:${port}`), lines[0]);
    assert.doesNotMatch(r.stderr, /msg=ready/);
  });

  test('a broken settings file is exit 1, and says where', async () => {
    const file = join(scratch(), 'bad.yaml');
    writeFileSync(file, 'http:\n  idle_timeout: soon\n');
    const r = await run(['--config', file]);
    assert.equal(r.code, 1);
    assert.ok(r.stderr.includes(`${file}:2:`), r.stderr);
    assert.ok(r.stderr.includes('http.idle_timeout'), r.stderr);
  });

  const lines = [
    { args: ['--help'], code: 0, out: /--config[^]*--listen[^]*--set/ },
    { args: ['--version'], code: 0, out: /\d+\.\d+/ },
    { args: ['--nonsense'], bad: /--nonsense/ },
    { args: ['nonsense'], bad: /nonsense/ },
    { args: ['--config'], bad: /--config/ },
    { args: ['--config', '/nowhere/runnel.yaml'], bad: /\/nowhere\/runnel\.yaml/ },
    { args: ['--set', 'nonsense=1'], bad: /nonsense/ },
    { args: ['--set', 'http.max_headers'], bad: /max_headers/ },
    { args: ['--set', 'http.max_headers=x'], bad: /http\.max_headers/ },
    { args: ['--listen', 'nowhere'], bad: /listen|nowhere/ },
    { args: [], env: { RUNNEL_HTTP_IDLE_TIMEOUT: 'soon' }, bad: /RUNNEL_HTTP_IDLE_TIMEOUT|http\.idle_timeout/ },
  ];
  for (const { args, env, code, out, bad } of lines)
    test(`runnel ${args.join(' ')}${env ? ' with ' + Object.keys(env) : ''}`, async () => {
      const r = await run(args, { env });
      if (out) {
        assert.equal(r.code, code);
        assert.match(r.stdout, out);
        assert.equal(r.stderr, '');
        return;
      }
      assert.ok(r.code > 0 && r.code < 126, `exit code ${r.code}`);
      assert.match(r.stderr, bad);
      assert.doesNotMatch(r.stderr, /Sanitizer|runtime error/);
    });
});
