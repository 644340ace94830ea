// The readers of streams: slow ones, those who go away, and those who wait for
// a place.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkRefusal, checkRetryAfter } from './lib/cases.mjs';
import { ask, chat, chunksSoFar, connect, get, parseEvents, req, streamText, slow } from './lib/raw.mjs';
import { duration, eventually, ms, start } from './lib/server.mjs';

const echo = (tokens_per_second, more = {}) => ({ providers: [{ name: 'echo', kind: 'echo', tokens_per_second }], ...more });
const words = (n) => Array.from({ length: n }, (_, i) => `w${i}`).join(' ');
const END = 'interrupted';

// A stream that has begun: its head and first event are there.
async function begin(server, text, more = {}, ...lines) {
  const c = await connect(server.port);
  await c.send(chat(text, { stream: true, ...more }, ...lines));
  await c.until(() => chunksSoFar(c).length > 0 || c.closed, 'the first event');
  return c;
}

describe('slow readers', () => {
  // The quarantine of a sanitizer would look like a leak.
  const env = { ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:quarantine_size_mb=1:thread_local_quarantine_size_kb=64` };
  const LONG = 'a '.repeat(150000).trim(); // about 30 MB as events

  test('cut after write_timeout; the others do not notice; memory stays bounded', { timeout: ms(60000) }, async () => {
    const server = await start(echo(0, { http: { write_timeout: duration(1500) }, turns: { max_time: '60s' } }), { env });
    await ask(server.port, chat('warm up '.repeat(1000)));
    const before = server.rss();
    const from = server.lines.length;
    const stuck = [];
    for (let i = 0; i < 4; i++) {
      const c = await connect(server.port);
      c.stopReading();
      await c.send(chat(LONG, { stream: true }, 'Connection: close'));
      stuck.push(c);
    }
    const began = performance.now();
    const cut = () => server.lines.slice(from).filter((l) => / msg=turn .*\bend=interrupted\b/.test(l)).length;
    let highest = 0;
    for (let i = 0; cut() < 4; i++) {
      const t = performance.now();
      assert.ok(t - began < ms(15000), `${cut()} of 4 were cut after ${t - began} ms`);
      const r = await ask(server.port, chat(`still there ${i}`, { stream: true }), { timeout: ms(5000) });
      assert.equal(streamText(parseEvents(r.text)), `still there ${i}`);
      assert.ok(performance.now() - t < ms(1500), `a small answer took ${performance.now() - t} ms`);
      highest = Math.max(highest, server.rss());
      await sleep(50);
    }
    assert.ok(performance.now() - began >= ms(1400), 'not before write_timeout');
    assert.ok(highest - before < 4 * (8 << 20), `memory grew by ${((highest - before) / 1048576).toFixed(1)} MiB`);
    for (const c of stuck) {
      c.readAgain();
      await c.until(() => c.closed, 'the end of a cut stream');
      assert.ok(!c.received.subarray(-64).includes('[DONE]'), 'a cut stream does not look complete');
      assert.ok(!c.received.subarray(-8).includes('\r\n0\r\n\r\n'));
      c.destroy();
    }
    await server.metricBecomes('runnel_turns_running', 0);
    await server.stop();
  });

  test('pipelining without reading: input is no longer read, then the connection is cut', { timeout: ms(60000) }, async () => {
    const server = await start(echo(0, { http: { write_timeout: duration(1500), max_requests_per_connection: 1000000 } }), { env });
    const many = Buffer.from(req('GET /metrics HTTP/1.1', 'Host: a').repeat(1000));
    await ask(server.port, many.subarray(0, many.length / 1000));
    const before = server.rss();
    const c = await connect(server.port);
    c.stopReading();
    let sent = 0;
    let stuck = false;
    while (!stuck && sent < 1 << 28) {
      await Promise.race([c.send(many), sleep(ms(1000)).then(() => { stuck = true; })]);
      sent += many.length;
    }
    assert.ok(stuck, `${sent} bytes of requests were taken`);
    const grown = server.rss() - before;
    // Valgrind keeps freed memory for a while, so there the figure says nothing.
    assert.ok(grown < 16 << 20 || slow > 1, `memory grew by ${(grown / 1048576).toFixed(1)} MiB`);
    await server.alive();
    await server.metricBecomes('runnel_connections', 1, ms(6000)); // the one that asks
    c.destroy();
    await server.stop();
  });

  test('a whole answer that nobody reads is cut too', { timeout: ms(60000) }, async () => {
    const server = await start(echo(0, { http: { write_timeout: duration(1000), max_body_bytes: '32MiB' } }), { env });
    const c = await connect(server.port);
    c.stopReading();
    await c.send(chat('word '.repeat(3000000)));
    await server.log({ msg: 'turn' }, { timeout: ms(20000) });
    await server.metricBecomes('runnel_connections', 1, ms(5000)); // the one that asks
    c.destroy();
    await server.stop();
  });

  test('a reader that is only slow gets everything', { timeout: ms(60000) }, async () => {
    const server = await start(echo(0, { http: { write_timeout: duration(1500) } }), { env });
    const text = 'a '.repeat(50000).trim();
    const c = await connect(server.port);
    c.stopReading();
    await c.send(chat(text, { stream: true }, 'Connection: close'));
    for (let i = 0; i < 8; i++) {
      await sleep(ms(300));
      c.readAgain();
      await c.until(() => c.reads.length, 'bytes');
      await sleep(5);
      c.stopReading();
    }
    c.readAgain();
    const r = await c.response({ timeout: ms(30000) });
    assert.equal(streamText(parseEvents(r.text)), text);
    c.destroy();
    await server.stop();
  });
});

describe('the client is gone', () => {
  let server;
  before(async () => { server = await start(echo(5, { turns: { max_running: 3, max_waiting: 2, max_wait: '20s' } })); });
  after(() => server?.stop());

  const ways = {
    'FIN both ways': (c) => { c.socket.allowHalfOpen = false; c.socket.end(); c.socket.destroy(); },
    'half-close': (c) => c.halfClose(),
    'RST': (c) => c.reset(),
  };
  for (const [name, leave] of Object.entries(ways))
    for (const stream of [true, false])
      test(`${name}, ${stream ? 'in a stream' : 'waiting for the whole answer'}`, async () => {
        const from = server.lines.length;
        const c = stream ? await begin(server, words(200))
          : await connect(server.port).then((c) => c.send(chat(words(200))));
        if (!stream) await server.metricBecomes('runnel_turns_running', 1);
        const left = performance.now();
        leave(c);
        const line = await server.log({ msg: 'turn' }, { from, timeout: ms(3000) });
        assert.equal(line.end, END);
        assert.ok(performance.now() - left < ms(1000), `noticed after ${performance.now() - left} ms`);
        await server.metricBecomes('runnel_turns_running', 0, ms(1000));
        if (name === 'half-close') {
          await c.until(() => c.closed, 'the server to close');
          assert.ok(!c.received.includes('[DONE]'));
        }
        c.destroy();
      });

  test('one that waits for its turn gives its place back', async () => {
    const running = await Promise.all([1, 2, 3].map(() => begin(server, words(200))));
    const leaves = await connect(server.port);
    await leaves.send(chat('leaves', { stream: true }));
    const stays = await connect(server.port);
    await stays.send(chat('stays', { stream: true }));
    await server.metricBecomes('runnel_turns_waiting', 2);
    leaves.reset();
    await server.metricBecomes('runnel_turns_waiting', 1, ms(1000));
    for (const c of running) c.reset();
    assert.equal(streamText(parseEvents((await stays.response()).text)), 'stays');
    stays.destroy();
    await server.metricBecomes('runnel_turns_running', 0);
  });

  test('100 come and go; nothing is left', async () => {
    const own = await start(echo(20));
    const descriptors = own.descriptors();
    await Promise.all(Array.from({ length: 100 }, async (_, i) => {
      const c = await begin(own, words(300));
      await sleep(i);
      [() => c.reset(), () => c.destroy(), () => c.halfClose()][i % 3]();
      if (i % 3 === 2) await c.until(() => c.closed, 'the end').then(() => c.destroy());
    }));
    await own.metricBecomes('runnel_turns_running', 0);
    await own.metricBecomes('runnel_connections', 1);
    await eventually(() => assert.ok(own.descriptors() <= descriptors + 1, `${own.descriptors()} descriptors, ${descriptors} before`));
    await own.stop();
  });

  test('FIN in the same breath as the question', async () => {
    for (let i = 0; i < 20; i++) {
      const c = await connect(server.port);
      c.socket.end(chat(words(200), { stream: i % 2 === 0 }));
      await c.until(() => c.closed, 'the server to close', ms(3000));
      assert.ok(!c.received.includes('[DONE]'));
      c.destroy();
    }
    await server.metricBecomes('runnel_turns_running', 0);
    await server.metricBecomes('runnel_connections', 1);
  });

  test('a client that goes while it still sends its question', async () => {
    const question = chat(words(50), { stream: true });
    for (const leave of Object.values(ways)) {
      const c = await connect(server.port);
      await c.send(question.subarray(0, question.length - 10));
      leave(c);
      await server.alive();
      c.destroy();
    }
    await server.metricBecomes('runnel_turns_running', 0);
  });
});

describe('places', () => {
  const refused = (r) => {
    assert.ok([429, 503].includes(r.status), `status ${r.status}`);
    checkRefusal(r);
    checkRetryAfter(r);
  };

  test('no place and no queue: refused at once; a free place is used again', async () => {
    const server = await start(echo(5, { turns: { max_running: 2, max_waiting: 0 } }));
    const held = [await begin(server, words(200)), await begin(server, words(200))];
    for (const stream of [true, false]) {
      const from = performance.now();
      refused(await ask(server.port, chat('x', { stream })));
      assert.ok(performance.now() - from < ms(300), 'at once');
    }
    await server.alive();
    assert.equal((await get(server.port, '/v1/models')).status, 200, 'what needs no place is served');
    held[0].reset();
    await server.metricBecomes('runnel_turns_running', 1);
    assert.equal((await ask(server.port, chat('x'))).status, 200);
    held[1].reset();
    await server.metricBecomes('runnel_turns_running', 0);
    await server.stop();
  });

  test('the queue is bounded in number and in time, and keeps the order', async () => {
    const server = await start(echo(5, { turns: { max_running: 1, max_waiting: 2, max_wait: duration(800) }, stream: { commit_after: '30s' } }));
    const held = await begin(server, words(200));
    const from = performance.now();
    const waiting = [0, 1].map(() => connect(server.port).then((c) => c.send(chat('waited', { stream: true }))));
    const queue = await Promise.all(waiting);
    await server.metricBecomes('runnel_turns_waiting', 2);
    const over = await ask(server.port, chat('x', { stream: true }));
    refused(over);
    assert.ok(performance.now() - from < ms(700), 'the one too many is refused at once');
    for (const c of queue) refused(await c.response());
    const took = performance.now() - from;
    assert.ok(took >= ms(800) * 0.8 && took < ms(2400), `waited ${took} ms`);
    queue.forEach((c) => c.destroy());

    const first = await connect(server.port);
    await first.send(chat('first', { stream: true }));
    await server.metricBecomes('runnel_turns_waiting', 1);
    const second = await connect(server.port);
    await second.send(chat('second', { stream: true }));
    await server.metricBecomes('runnel_turns_waiting', 2);
    held.reset();
    const a = await first.response();
    const b = await second.response();
    assert.equal(streamText(parseEvents(a.text)), 'first');
    assert.equal(streamText(parseEvents(b.text)), 'second');
    assert.ok(first.reads[0].at <= second.reads[0].at, 'first come, first served');
    first.destroy();
    second.destroy();
    await server.stop();
  });

  test('a stream that waits longer than commit_after ends truthfully', async () => {
    const server = await start(echo(5, { turns: { max_running: 1, max_waiting: 2, max_wait: duration(900) }, stream: { commit_after: duration(300) } }));
    const held = await begin(server, words(200));
    const r = await ask(server.port, chat('x', { stream: true }));
    if (r.status !== 200) refused(r);
    else {
      const events = parseEvents(r.text);
      const at = events.findIndex((e) => e.data?.error);
      assert.ok(at >= 0, 'an error event');
      assert.ok(events.slice(at + 1).every((e) => e.done) && events.every((e) => !e.data?.choices?.[0]?.finish_reason));
    }
    held.reset();
    await server.stop();
  });

  test('max_streams of a provider is a limit as well', async () => {
    const server = await start({ providers: [{ name: 'echo', kind: 'echo', tokens_per_second: 5, max_streams: 1 }],
      turns: { max_waiting: 0, max_wait: duration(300) } });
    const held = await begin(server, words(200));
    refused(await ask(server.port, chat('x'), { timeout: ms(3000) }));
    held.reset();
    await server.metricBecomes('runnel_turns_running', 0);
    assert.equal((await ask(server.port, chat('x'))).status, 200);
    await server.stop();
  });
});
