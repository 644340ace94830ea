// Sizes, times and numbers: each limit is met once exactly and once by one more.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { chapter, checkRefusal, checkRetryAfter, staysClosed } from './lib/cases.mjs';
import { ask, bytes, chat, chunk, connect, question, req } from './lib/raw.mjs';
import { duration, eventually, ms, start } from './lib/server.mjs';

const pad = (body, n) => body + ' '.repeat(n - body.length); // JSON may end in spaces
const head = (...lines) => req('POST /v1/chat/completions HTTP/1.1', 'Host: a', 'Content-Type: application/json', ...lines);
const NEXT = req('GET /livez HTTP/1.1', 'Host: smuggled');

let server;
const it = () => server;

describe('sizes', () => {
  const LIMIT = { head: 2048, fields: 20, target: 512, body: 4096 };
  before(async () => {
    server = await start({
      providers: [{ name: 'echo', kind: 'echo', tokens_per_second: 0 }],
      http: { max_header_bytes: '2KiB', max_headers: LIMIT.fields, max_uri_bytes: LIMIT.target, max_body_bytes: '4KiB',
        max_requests_per_connection: 3 },
    });
  });
  after(() => server?.stop());

  // Whatever a server counts as header bytes lies between names and values
  // alone and the whole head; so the limit is met by the whole head, and
  // passed by names and values alone.
  const headOf = (n) => { const rest = req('GET /livez HTTP/1.1', 'Host: a', 'X: '); return rest.slice(0, -4) + 'x'.repeat(n - rest.length) + '\r\n\r\n'; };
  const valuesOf = (n) => req('GET /livez HTTP/1.1', 'Host: a', 'X: ' + 'x'.repeat(n - 'Hosta'.length - 1));
  const fields = (n) => req('GET /livez HTTP/1.1', 'Host: a', ...Array.from({ length: n - 1 }, (_, i) => `X${i}: y`));
  const target = (n) => req(`GET ${'/livez?'.padEnd(n, 'q')} HTTP/1.1`, 'Host: a');
  const body = (n) => { const b = pad(question('hi'), n); return [head(`Content-Length: ${n}`), b]; };
  const chunkedBody = (n) => [head('Transfer-Encoding: chunked'), ...pad(question('hi'), n).match(/[^]{1,1000}/g).map((p) => chunk(p)), '0\r\n\r\n'];

  chapter('at the limit', it, { want: 200, then: 'open' }, [
    { name: 'header bytes', send: headOf(LIMIT.head) },
    { name: 'header fields', send: fields(LIMIT.fields) },
    { name: 'target', send: target(LIMIT.target) },
    { name: 'body by length', send: body(LIMIT.body) },
    { name: 'body in chunks', send: chunkedBody(LIMIT.body) },
    { name: 'extensions do not count as body', send: [head('Transfer-Encoding: chunked'), chunk(pad(question('hi'), LIMIT.body), ';a=b'), '0\r\n\r\n'] },
  ]);
  chapter('one over', it, { then: 'close' }, [
    { name: 'header bytes', send: valuesOf(LIMIT.head + 1) + NEXT, want: 431 },
    { name: 'header bytes in one name', send: req('GET /livez HTTP/1.1', 'Host: a', `${'x'.repeat(LIMIT.head + 1)}: y`) + NEXT, want: 431 },
    { name: 'header fields', send: fields(LIMIT.fields + 1) + NEXT, want: 431 },
    { name: 'target', send: target(LIMIT.target + 1) + NEXT, want: 414 },
    { name: 'target of an unknown path', send: req(`GET /${'x'.repeat(LIMIT.target)} HTTP/1.1`, 'Host: a') + NEXT, want: 414 },
    { name: 'body by length, nothing of it sent', send: head(`Content-Length: ${LIMIT.body + 1}`), want: 413 },
    { name: 'body by length', send: body(LIMIT.body + 1), want: 413 },
    { name: 'body in chunks', send: chunkedBody(LIMIT.body + 1), want: 413 },
    { name: 'the size of one chunk, before its data', send: head('Transfer-Encoding: chunked') + (LIMIT.body + 1).toString(16) + '\r\n', want: 413 },
    { name: 'the last request of a connection', send: NEXT.repeat(4), want: [200, 200, 200] },
  ]);
});

describe('huge', () => {
  before(async () => { server = await start(); });
  after(() => server?.stop());
  const KB64 = 'x'.repeat(65536);

  chapter('requests that are cut short', it, { want: 431, then: 'close' }, [
    { name: 'a header of 1 MiB', send: ['GET /livez HTTP/1.1\r\nHost: a\r\nX: ', ...Array(16).fill(KB64), '\r\n\r\n'] },
    { name: 'a header name of 1 MiB', send: ['GET /livez HTTP/1.1\r\nHost: a\r\n', ...Array(16).fill(KB64), ': y\r\n\r\n'] },
    { name: '10,000 headers', send: ['GET /livez HTTP/1.1\r\nHost: a\r\n', ...Array(10).fill('X-Field: y\r\n'.repeat(1000)), '\r\n'] },
    { name: 'a target of 1 MiB', send: ['GET /', ...Array(16).fill(KB64), ' HTTP/1.1\r\nHost: a\r\n\r\n'], want: 414 },
    { name: 'a method of 1 MiB', send: [...Array(16).fill('X'.repeat(65536)), ' / HTTP/1.1\r\nHost: a\r\n\r\n'], want: '400|414|431|501' },
    { name: 'a version of 1 MiB', send: ['GET / HTTP/', ...Array(16).fill('1'.repeat(65536)), '\r\nHost: a\r\n\r\n'], want: '400|505' },
    { name: 'a Host of 1 MiB', send: ['GET /livez HTTP/1.1\r\nHost: ', ...Array(16).fill(KB64), '\r\n\r\n'], want: '400|431' },
    { name: '1 MiB of empty lines before the request', send: [...Array(16).fill('\r\n'.repeat(32768)), req('GET /livez HTTP/1.1', 'Host: a')],
      want: '200|400|431', then: 'either' },
  ]);

  test('a header without end is cut within 4 MiB', async () => {
    const c = await connect(server.port);
    await c.send('GET /livez HTTP/1.1\r\nHost: a\r\nX: ');
    let sent = 0;
    for (; !c.closed && !c.received.length && sent < 64 << 20; sent += KB64.length) {
      await Promise.race([c.send(KB64), c.until(() => c.closed, 'the end', ms(9000))]);
      await sleep(1); // so that an answer can be noticed
    }
    assert.ok(sent <= 4 << 20, `${sent} bytes were taken before the answer`);
    const r = await c.response();
    assert.equal(r.status, 431);
    checkRefusal(r);
    await staysClosed(c);
    await server.alive();
  });

  // A close with unread input resets the connection, and a reset can take the
  // answer away from a client that is still writing (RFC 9112 9.6).
  test('a client that sends 20 MiB before it reads still gets its 413', async () => {
    const c = await connect(server.port);
    c.stopReading();
    await c.send(head(`Content-Length: ${20 << 20}`));
    await Promise.race([c.send(Array(320).fill(KB64)), sleep(ms(4000))]);
    c.readAgain();
    const r = await c.response();
    assert.equal(r.status, 413);
    checkRefusal(r);
    await staysClosed(c);
    await server.alive();
  });

  test('lingering ends: a client that never stops is cut', async () => {
    const own = await start({ http: { linger_timeout: duration(500) } });
    const c = await connect(own.port);
    c.socket.on('error', () => {});
    await c.send(head(`Content-Length: ${1 << 30}`));
    assert.equal((await c.response()).status, 413);
    const from = performance.now();
    while (c.socket.writable && performance.now() - from < ms(6000)) await Promise.race([c.send('x'.repeat(1000)), sleep(20)]);
    assert.ok(!c.socket.writable, 'still read after linger_timeout');
    c.destroy();
    await own.stop();
  });
});

describe('times', () => {
  const T = 700;
  let server;
  before(async () => {
    server = await start({ http: { header_timeout: duration(T), body_timeout: duration(T), idle_timeout: duration(T), linger_timeout: duration(T) } });
  });
  after(() => server?.stop());

  // Drips bytes until the final answer or the end comes.
  async function drip(before, byte, pause, answers) {
    const c = await connect(server.port);
    const from = performance.now();
    const over = () => c.closed || c.received.toString('latin1').split(/HTTP\/1\.1 [2-5]/).length > answers + 1;
    await c.send(before);
    while (!over() && performance.now() - from < ms(T * 6)) {
      if (byte) await c.send(byte);
      await Promise.race([sleep(ms(pause)), c.until(over, 'an answer', ms(T * 8))]);
    }
    return { c, took: performance.now() - from };
  }
  const inTime = (took) => assert.ok(took >= ms(T) * 0.8 && took < ms(T * 3), `after ${Math.round(took)} ms, the limit is ${ms(T)}`);

  const late = {
    'half a request line': ['GET /li', ''],
    'a head that stops': ['GET /livez HTTP/1.1\r\nHost: a\r\n', ''],
    'a head, byte by byte': ['GET /livez HTTP/1.1\r\nHost: a\r\nX: ', 'x'],
    'a head, line by line': ['GET /livez HTTP/1.1\r\nHost: a\r\n', 'X: y\r\n'],
    'half a second request': [NEXT + 'GET /', '', 1],
    'half a request behind a good POST': [chat('hi').toString() + 'GET /livez HTTP/1.1\r\nHo', '', 1],
    'a body that stops': [head('Content-Length: 100') + '{', ''],
    'a body that never begins': [head('Content-Length: 100'), ''],
    'a body, byte by byte': [head('Content-Length: 1000'), ' '],
    'a chunked body that stops': [head('Transfer-Encoding: chunked') + '5\r\nab', ''],
    'a chunked body, chunk by chunk': [head('Transfer-Encoding: chunked'), '1\r\n \r\n'],
    'trailers, line by line': [head('Transfer-Encoding: chunked') + '0\r\n', 'X: y\r\n'],
    'a body after 100 Continue': [head('Content-Length: 100', 'Expect: 100-continue'), ''],
  };
  describe('a partial request gets 408 and a close', { concurrency: true }, () => {
    for (const [name, [before, byte, answers = 0]] of Object.entries(late))
      test(name, async () => {
        const { c, took } = await drip(before, byte, 60, answers);
        for (let i = 0; i < answers; i++) assert.equal((await c.response()).status, 200);
        const r = await c.response();
        assert.equal(r.status, 408);
        checkRefusal(r);
        assert.ok(r.has('connection', 'close'));
        inTime(took);
        await staysClosed(c, ms(T * 4));
      });
  });

  const silent = {
    'a connection that sends nothing': { send: [] },
    'an idle connection after an answer': { send: [NEXT], answers: 1 },
    'an idle connection after two answers': { send: [NEXT, NEXT], answers: 2 },
  };
  describe('an idle connection is closed without a word', { concurrency: true }, () => {
    for (const [name, { send, answers = 0 }] of Object.entries(silent))
      test(name, async () => {
        const c = await connect(server.port);
        const from = performance.now();
        await c.send(send);
        for (let i = 0; i < answers; i++) assert.equal((await c.response()).status, 200);
        await staysClosed(c, ms(T * 4));
        inTime(performance.now() - from);
      });

    // Longer than a head may take, and nothing else wakes the process meanwhile.
    test('who was silent for long has all his time for the next request', async () => {
      const own = await start({ http: { header_timeout: duration(T), body_timeout: duration(T) } });
      const c = await connect(own.port);
      for (const pieces of [['GET /livez HTTP/1.1\r\n', 'Host: a\r\n\r\n'], [head('Content-Length: 2'), '{}']]) {
        await sleep(ms(T * 2));
        await c.send(pieces[0]);
        await sleep(ms(T / 5));
        await c.send(pieces[1]);
        assert.notEqual((await c.response()).status, 408);
      }
      c.destroy();
      await own.stop();
    });

    test('a running stream is not idle', async () => {
      const own = await start({ http: { idle_timeout: duration(300), header_timeout: duration(300), body_timeout: duration(300) },
        providers: [{ name: 'echo', kind: 'echo', tokens_per_second: Math.max(1, Math.round(20 / ms(1))) }] });
      const r = await ask(own.port, chat('word '.repeat(20).trim(), { stream: true }), { timeout: ms(30000) });
      assert.match(r.text, /data: \[DONE\]\n\n$/);
      await own.stop();
    });
  });

  test('the slow ones cost the others nothing', async () => {
    const crowd = await Promise.all(Array.from({ length: 200 }, () => connect(server.port)));
    await Promise.all(crowd.map((c, i) => c.send(['', 'GET /', head('Content-Length: 9') + 'x'][i % 3])));
    const from = performance.now();
    assert.equal((await ask(server.port, NEXT)).status, 200);
    assert.ok(performance.now() - from < ms(500));
    for (const c of crowd) c.destroy();
    await server.alive();
  });
});

describe('connections', () => {
  test('one too many gets 503 and Retry-After; a free place is used again', async () => {
    const own = await start({ http: { max_connections: 4 } });
    const held = [];
    for (let i = 0; i < 4; i++) {
      const c = await connect(own.port);
      await c.send(NEXT);
      assert.equal((await c.response()).status, 200);
      held.push(c);
    }
    for (let i = 0; i < 3; i++) {
      const over = await connect(own.port);
      await over.send(NEXT);
      const r = await over.response();
      assert.equal(r.status, 503);
      checkRefusal(r);
      checkRetryAfter(r);
      await staysClosed(over);
    }
    const quiet = await connect(own.port); // also without a request of its own
    assert.equal((await quiet.response()).status, 503);
    quiet.destroy();

    await held[0].send(NEXT);
    assert.equal((await held[0].response()).status, 200, 'those inside are still served');
    held.pop().destroy();
    await eventually(() => own.alive(), ms(2000)); // the freed place can be had
    for (const c of held) c.destroy();
    const refused = await eventually(() => own.metric('runnel_connections_refused_total'));
    assert.ok(refused >= 4, `runnel_connections_refused_total is ${refused}`);
    await own.stop();
  });

  // Once as a limit that is known from the start, once as one that comes as a surprise.
  for (const [name, options, squeeze] of [
    ['few descriptors', { nofile: 64 }, () => {}],
    ['no descriptors left', {}, (own) => execFileSync('prlimit', ['--pid', own.pid, `--nofile=${own.descriptors() + 20}`])],
  ])
    test(`${name}: no spinning, and all is well when they come back`, { timeout: ms(30000) }, async () => {
      const own = await start({}, options);
      await own.alive();
      const before = own.descriptors();
      squeeze(own);
      const crowd = (await Promise.allSettled(Array.from({ length: 150 }, () => connect(own.port))))
        .filter((c) => c.status === 'fulfilled').map((c) => c.value);
      await sleep(ms(300));
      assert.equal(own.exited, null);
      const cpu = own.cpuSeconds();
      const lines = own.lines.length;
      await sleep(1000);
      const used = own.cpuSeconds() - cpu;
      assert.ok(used < 0.2, `${used} s of CPU in one second while full`);
      assert.ok(own.lines.length - lines <= 5, `${own.lines.length - lines} log lines in one second`);
      for (const c of crowd) c.destroy();
      await eventually(() => own.alive(), ms(2000));
      await eventually(() => assert.ok(own.descriptors() <= before + 2, `${own.descriptors()} descriptors, ${before} before`));
      await own.stop();
    });

  test('500 idle connections and a new one', async () => {
    const own = await start();
    const crowd = await Promise.all(Array.from({ length: 500 }, () => connect(own.port)));
    const from = performance.now();
    await own.alive();
    assert.ok(performance.now() - from < ms(1000));
    for (const c of crowd) c.reset();
    await own.metricBecomes('runnel_connections', 1); // the one that asks
    await own.stop();
  });
});
