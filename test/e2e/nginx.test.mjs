// Behind nginx, as it stands in the world: one, two in a row, and one before two of ours.
//
// A proxy that gathers what it hands on makes a stream that is not one, and no client can tell
// why. So most of this is about time. What has to hold on a busy machine too is proved without
// a clock: a provider that says its next word only when the reader has the one before gets
// nowhere if anybody between them keeps one.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';
import { start as startProvider } from '../providers/lib/index.mjs';
import { chain } from './lib/nginx.mjs';
import { startPair } from './lib/pair.mjs';
import { ask, post, req } from './lib/raw.mjs';
import { heard, read } from './lib/reader.mjs';
import { duration, eventually, ms, start } from './lib/server.mjs';

const words = (n, mark = 'w') => Array.from({ length: n }, (_, i) => `${mark}${i}`).join(' ');
const question = (model, content, more = {}) => ({ model, stream: true, messages: [{ role: 'user', content }], ...more });

// Says `count` words, each when next() says so; one question at a time.
async function obedient() {
  const p = { words: 0 };
  const listener = http.createServer((q, res) => {
    const say = (x) => res.write(`data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [{ index: 0, ...x }] })}\n\n`);
    q.resume().on('end', () => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      p.next = () => say({ delta: { content: `w${p.words++} ` }, finish_reason: null });
      p.finish = () => { say({ delta: {}, finish_reason: 'stop' }); res.end('data: [DONE]\n\n'); };
      p.next();
    });
  });
  await new Promise((done) => listener.listen(0, '127.0.0.1', done));
  p.port = listener.address().port;
  p.stop = () => { listener.close(); listener.closeAllConnections(); };
  return p;
}

// ---- one of ours -------------------------------------------------------------

// What stands between. nginx gathers what comes over HTTP/1.0, as it asks where nobody told it
// otherwise, until a buffer is full; over HTTP/1.1 (1.22 at least) it does so no longer.
const HTTP_1_0 = { version: '1.0', keepAlive: 0 };
const WAYS = {
  'one nginx': { hops: 1 },
  'two nginx': { hops: 2 },
  'two nginx that are told by their settings': { hops: 2, buffering: 'off' },
  'one nginx over HTTP/1.0': { hops: 1, ...HTTP_1_0 },
  'two nginx over HTTP/1.0': { hops: 2, ...HTTP_1_0 },
  'one nginx that gzips': { hops: 1, location: 'gzip on; gzip_proxied any; gzip_min_length 0; gzip_types application/json text/plain;' },
};

describe('before one', () => {
  let fake, slow, server;
  const ways = {};
  const spoilt = ['m0', 'm1', 'm2', 'm3', 'm4', 'm5']; // what failed is left alone for a while: one each
  before(async () => {
    fake = await startProvider({ kind: 'openai' });
    slow = await obedient();
    const provider = (name, port) => ({ name, kind: 'openai', base_url: `http://127.0.0.1:${port}/v1`, api_key: 'sk-1', retries: 0, breaker_failures: 0 });
    server = await start({
      stream: { commit_after: duration(300), heartbeat: duration(200) },
      http: { trusted_proxies: ['127.0.0.1'] },
      providers: [provider('m', fake.port), provider('slow', slow.port), ...spoilt.map((name) => provider(name, fake.port))],
      models: ['m', 'slow', ...spoilt].map((name) => ({ name, targets: [{ provider: name }] })),
    });
    for (const [name, way] of Object.entries(WAYS)) ways[name] = await chain([server], way);
  });
  after(async () => {
    slow.stop();
    await fake.stop();
    await Promise.all(Object.values(ways).map((w) => w.stop()));
    await server.metricBecomes('runnel_turns_running', 0);
    await server.stop();
  });

  // What is said to a question, or, without one, to the next.
  const says = (text, answer) => fake.script({ times: 1, match: text === null ? {} : (q) => q.said === text, answer });
  const [ONE, TWO] = ['one nginx', 'two nginx'];

  for (const name of Object.keys(WAYS)) {
    test(`${name}: no word waits for the next`, async () => {
      slow.words = 0;
      const r = read(ways[name].port, { body: question('slow', 'x'), headers: { 'accept-encoding': 'gzip' } });
      for (let n = 1; n <= 20; n++) {
        await r.until(() => heard(r).words.length === n, `word ${n}`, ms(5000));
        if (n < 20) slow.next();
      }
      slow.finish();
      assert.equal(await r.over, 'whole');
      assert.equal(heard(r).text, Array.from({ length: 20 }, (_, i) => `w${i} `).join(''));
      assert.ok(heard(r).done);
    });

    test(`${name}: words come at the provider's pace`, async () => {
      const gap = ms(40), count = 30;
      says(`pace ${name}`, { tokens: Array.from({ length: count }, (_, i) => `t${i} `), gap });
      const r = read(ways[name].port, { body: question('m', `pace ${name}`) });
      assert.equal(await r.over, 'whole');
      const came = heard(r).words;
      assert.equal(came.length, count);
      const gaps = came.slice(1).map((w, i) => w.at - came[i].at).sort((a, b) => a - b);
      const median = gaps[gaps.length >> 1];
      assert.ok(median > gap * 0.7 && median < gap * 2, `words come every ${median} ms, not every ${gap}`);
      const together = Math.max(...came.map((w) => came.filter((other) => other.read === w.read).length));
      assert.ok(together <= 3, `${together} words came together`); // one, but for a busy machine
    });
  }

  test('one that gathers would be noticed', async (t) => {
    const way = await chain([server], { ...HTTP_1_0, location: 'proxy_ignore_headers X-Accel-Buffering;' });
    t.after(() => way.stop());
    slow.words = 0;
    const r = read(way.port, { body: question('slow', 'x') });
    await eventually(() => assert.equal(slow.words, 1));
    slow.next();
    await sleep(ms(300));
    assert.equal(heard(r).words.length, 0, 'nginx has handed on what it was to gather');
    slow.finish();
    assert.equal(await r.over, 'whole');
    assert.equal(heard(r).words.length, 2);
  });

  // text/event-stream stands in no list of types that Debian, or nginx itself, comes with.
  test('nginx gzips answers, but no stream', async () => {
    const lines = ['Accept-Encoding: gzip', 'Connection: close'];
    const { port } = ways['one nginx that gzips'];
    const whole = await ask(port, post('/v1/chat/completions', JSON.stringify(question('m', 'x', { stream: false })), ...lines));
    assert.equal(whole.header('content-encoding'), 'gzip');
    const stream = await ask(port, post('/v1/chat/completions', JSON.stringify(question('m', 'x')), ...lines));
    assert.equal(stream.header('content-encoding'), undefined);
    assert.match(stream.text, /\[DONE\]\n\n$/);
  });

  describe('silence', { concurrency: true }, () => {
    for (const [name, way] of Object.entries(WAYS))
      test(`${name}: the head does not wait for the first word`, async () => {
        const text = `head ${name}`;
        says(text, { first: ms(2500), text });
        const r = read(ways[name].port, { body: question('m', text) });
        assert.equal(await r.over, 'whole');
        assert.equal(r.status, 200);
        assert.equal(heard(r).text, text);
        const took = r.times.head - r.times.asked;
        assert.ok(took < ms(1500), `the head came after ${took} ms`);
        assert.ok(r.comments[0].at < heard(r).words[0].at - ms(500), 'comments come while the provider is silent');
        assert.equal(r.headers['x-accel-buffering'], undefined); // it was meant for nginx
      });

    const chunk = (x) => `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [{ index: 0, ...x }] })}\n\n`;
    const two = [chunk({ delta: { content: 'one ' } }), chunk({ delta: { content: 'two' } }) + chunk({ delta: {}, finish_reason: 'stop' }) + 'data: [DONE]\n\n'];
    const silences = { 'before the first word': { raw: two, first: ms(3000) }, 'between two words': { raw: two, gap: ms(3000) } };
    for (const [name, answer] of Object.entries(silences))
      for (const hops of [1, 2])
        test(`comments outlive proxy_read_timeout ${name}: ${hops} nginx`, async (t) => {
          const text = `silence ${name} ${hops}`;
          const way = await chain([server], { hops, readTimeout: duration(1000) });
          t.after(() => way.stop());
          says(text, answer);
          const r = read(way.port, { body: question('m', text) });
          assert.equal(await r.over, 'whole', r.text);
          assert.equal(heard(r).text, 'one two');
          assert.ok(heard(r).done);
          assert.ok(r.comments.length >= 5, `${r.comments.length} comments`);
        });

    test('without comments nginx cuts', async (t) => {
      const mute = await start({
        stream: { commit_after: duration(300), heartbeat: '60s' },
        providers: [{ name: 'fake', kind: 'openai', base_url: `http://127.0.0.1:${fake.port}/v1`, api_key: 'sk-1' }],
        models: [{ name: 'm', targets: [{ provider: 'fake' }] }] });
      t.after(() => mute.stop());
      const way = await chain([mute], { readTimeout: duration(1000) });
      t.after(() => way.stop());
      says('mute', { raw: two, gap: ms(3000) });
      const r = read(way.port, { body: question('m', 'mute') });
      assert.equal(await r.over, 'broken');
      assert.equal(heard(r).text, 'one ');
    });
  });

  describe('a client that leaves', { concurrency: true }, () => {
    const patient = { tokens: Array(2000).fill('x '), gap: ms(50) };
    const cases = { 'a running stream': [patient, true, 3], 'a stream before its head': [{ first: ms(60000) }, true, 0],
      'an answer in one piece': [{ first: ms(60000) }, false, 0] };
    for (const hops of [ONE, TWO])
      for (const [name, [answer, stream, cutAt]] of Object.entries(cases))
        test(`${name}, ${hops}`, async () => {
          const text = `left: ${name} ${hops}`;
          says(text, answer);
          const id = `left-${name}-${hops}`.replace(/\W+/g, '-');
          const r = read(ways[hops].port, { body: question('m', text, { stream }), cutAt: cutAt || Infinity, headers: { 'x-request-id': id } });
          const asked = () => fake.requests().find((q) => q.said === text);
          await eventually(() => assert.ok(asked(), 'the provider was asked'));
          if (cutAt) await r.over;
          else r.leave();
          const left = Date.now();
          const { clientClosed } = await eventually(() => { assert.ok(asked().clientClosed, 'the provider was left'); return asked(); });
          assert.ok(clientClosed.before, 'before its end');
          assert.ok(clientClosed.at - left < ms(1000), `the provider knew after ${clientClosed.at - left} ms`);
          assert.equal((await server.log({ msg: 'turn', request_id: id })).fault, 'client_gone');
        });
  });

  test('100 streams at once lose nothing', async () => {
    fake.script({ match: { text: 'of a hundred' }, answer: { size: 3, gap: 5 } });
    const all = Array.from({ length: 100 }, (_, i) => `${i} of a hundred: ${words(20, `w${i}-`)}`);
    const readers = await Promise.all(all.map(async (text, i) => {
      const r = read(ways[i % 2 ? ONE : TWO].port, { body: question('m', text) });
      assert.equal(await r.over, 'whole');
      return r;
    }));
    fake.clear();
    readers.forEach((r, i) => {
      const { text, done, error } = heard(r);
      assert.deepEqual({ text, done, error }, { text: all[i], done: true, error: null });
    });
  });

  for (const stream of [true, false])
    test(`a question of 5 MB, ${stream ? 'streamed' : 'in one piece'}`, async () => {
      const text = `5 MB ${stream} ` + '\u6587 word \u{1f44d} '.repeat(370_000);
      const body = JSON.stringify(question('m', text, { stream }));
      assert.ok(Buffer.byteLength(body) > 5e6);
      fake.forget();
      says(null, { text: 'read' });
      const r = read(ways[TWO].port, { body });
      assert.equal(await r.over, 'whole');
      assert.equal(stream ? heard(r).text : JSON.parse(r.text).choices[0].message.content, 'read');
      const sha = (x) => createHash('sha256').update(x).digest('hex');
      assert.equal(sha(fake.requests()[0].said), sha(text));
    });

  describe('refusals arrive as they are', () => {
    const chat = (body) => post('/v1/chat/completions', typeof body === 'string' ? body : JSON.stringify(body), 'Connection: close', 'X-Request-Id: same');
    const table = {
      'no such model': [404, chat(question('none', 'x'))],
      'no JSON': [400, chat('{')],
      'no messages': [400, chat({ model: 'm' })],
      'no such path': [404, req('GET /nowhere HTTP/1.1', 'Host: a', 'Connection: close', 'X-Request-Id: same')],
      'a method that is not there': [405, req('PUT /v1/chat/completions HTTP/1.1', 'Host: a', 'Connection: close', 'X-Request-Id: same', 'Content-Length: 0')],
      'too large': [413, chat(question('m', 'x'.repeat(9 << 20)))],
      'a provider that is busy': [429, (i) => chat(question(`m${i}`, 'x')), { status: 429, headers: { 'retry-after': '7' } }],
      'a provider that fails': [502, (i) => chat(question(`m${i + 3}`, 'x')), { status: 500 }],
    };
    const looks = (r) => ({ status: r.status, text: r.text, ...Object.fromEntries(
      ['content-type', 'content-length', 'x-request-id', 'retry-after', 'x-should-retry', 'allow', 'cache-control', 'www-authenticate'].map((n) => [n, r.header(n)])) });
    for (const [name, [status, request, answer]] of Object.entries(table))
      test(name, async () => {
        const seen = [];
        for (const [i, { port }] of [server, ways[ONE], ways[TWO]].entries()) {
          if (answer) says(null, answer);
          seen.push(looks(await ask(port, answer ? request(i) : request)));
        }
        assert.equal(seen[0].status, status);
        assert.deepEqual(seen[1], seen[0]);
        assert.deepEqual(seen[2], seen[0]);
      });
  });

  describe('the client in the log', () => {
    const table = [[ONE, undefined], [TWO, undefined], [ONE, '203.0.113.5'], [TWO, '203.0.113.5, 127.0.0.1']];
    for (const [i, [way, forged]] of table.entries())
      test(`${way}${forged ? `, and a field of his own (${forged})` : ''}`, async () => {
        const id = `from-${i}`;
        const r = read(ways[way].port, { body: question('m', 'x'), localAddress: '127.0.0.77',
          headers: { 'x-request-id': id, ...(forged && { 'x-forwarded-for': forged }) } });
        assert.equal(await r.over, 'whole');
        assert.equal((await server.log({ msg: 'turn', request_id: id })).client, '127.0.0.77');
      });
  });

  describe("OpenAI's library through two", () => {
    const client = () => new OpenAI({ baseURL: `http://127.0.0.1:${ways[TWO].port}/v1`, apiKey: 'none', maxRetries: 0, timeout: ms(10000) });
    const text = 'Hello \u4f60\u597d wide \u{1f469}\u200d\u{1f469}\u200d\u{1f467} world';

    test('a stream', async () => {
      const stream = client().chat.completions.stream(question('m', text, { stream_options: { include_usage: true } }));
      let got = '';
      stream.on('content', (delta) => { got += delta; });
      const whole = await stream.finalChatCompletion();
      assert.equal(got, text);
      assert.equal(whole.choices[0].message.content, text);
      assert.equal(whole.choices[0].finish_reason, 'stop');
      assert.ok(whole.usage.total_tokens > 0);
    });

    test('an answer in one piece', async () => {
      const { data, request_id } = await client().chat.completions.create(question('m', text, { stream: false })).withResponse();
      assert.equal(data.choices[0].message.content, text);
      assert.ok(request_id);
    });

    test('an unknown model', () => assert.rejects(() => client().chat.completions.create(question('none', text)),
      (e) => e instanceof OpenAI.NotFoundError && e.code === 'model_not_found' && Boolean(e.requestID)));

    test('an abort', async () => {
      const mark = 'aborted by the library';
      says(mark, { tokens: Array(2000).fill('x '), gap: ms(50) });
      const stream = await client().chat.completions.create(question('m', mark));
      let parts = 0;
      for await (const part of stream) if (part.choices[0]?.delta?.content && ++parts === 3) stream.controller.abort();
      await eventually(() => assert.ok(fake.requests().find((q) => q.said === mark).clientClosed?.before));
    });
  });
});

// ---- nginx before a provider -------------------------------------------------

test('our own WebSocket to a provider that is behind two nginx', async (t) => {
  const fake = await startProvider({ kind: 'spark' });
  t.after(() => fake.stop());
  const way = await chain([fake], { hops: 2 });
  t.after(() => way.stop());
  const server = await start({
    providers: [{ name: 'spark', kind: 'spark', base_url: `ws://127.0.0.1:${way.port}`, app_id: 'appid001', api_key: 'key', api_secret: 'secret', retries: 0 }],
    models: [{ name: 'm', targets: [{ provider: 'spark', model: 'generalv3.5' }] }] });
  t.after(() => server.stop());
  const text = 'through an upgrade \u4f60\u597d';
  const r = read(server.port, { body: question('m', text) });
  assert.equal(await r.over, 'whole');
  assert.equal(heard(r).text, text, r.text);
  assert.ok(heard(r).done);
});

// ---- two of ours -------------------------------------------------------------

describe('before two', () => {
  let pair;
  const headers = { authorization: 'Bearer a-key' };
  before(async () => {
    const echo = (name, tokens_per_second) => ({ name, kind: 'echo', tokens_per_second });
    pair = await startPair({
      access: { keys: ['a-key'] }, drain_seconds: duration(10000),
      providers: [echo('quick', 0), echo('slow', 50)],
      models: [{ name: 'quick', targets: [{ provider: 'quick' }] }, { name: 'slow', targets: [{ provider: 'slow' }] }],
    });
  });
  after(() => pair?.stop());

  const one = (model, text, more) => read(pair.port, { body: question(model, text, more), headers });
  async function isAnswered(text, more) {
    const r = one('quick', text, more);
    assert.equal(await r.over, 'whole');
    assert.equal(r.status, 200, r.text);
    assert.equal(more?.stream === false ? JSON.parse(r.text).choices[0].message.content : heard(r).text, text);
  }
  const turnsOf = (s) => s.lines.filter((l) => l.includes(' msg=turn ')).length;

  test('they take turns', async () => {
    for (let i = 0; i < 10; i++) await isAnswered(`turn ${i}`);
    await eventually(() => assert.deepEqual(pair.servers.map(turnsOf), [5, 5]));
  });

  test('both restart, one after the other, and nobody notices', async () => {
    let stop = false;
    const asked = { streams: 0, whole: 0 };
    const long = words(30), bad = [];
    const stream = async (i) => {
      while (!stop) {
        const r = one('slow', `${i} ${long}`);
        asked.streams++;
        const end = await r.over;
        const { text, done } = heard(r);
        if (end !== 'whole' || r.status !== 200 || !done || text !== `${i} ${long}`) bad.push(`stream: ${end} ${r.status} ${r.error} ${r.text.slice(-200)}`);
      }
    };
    const whole = async (i) => {
      while (!stop) {
        const r = one('quick', `whole ${i}`, { stream: false });
        asked.whole++;
        const end = await r.over;
        if (end !== 'whole' || r.status !== 200) bad.push(`whole: ${end} ${r.status} ${r.error} ${r.text.slice(-200)}`);
      }
    };
    const running = [...Array.from({ length: 20 }, (_, i) => stream(i)), ...Array.from({ length: 4 }, (_, i) => whole(i))];
    for (const i of [0, 1, 0, 1]) {
      await sleep(ms(500));
      assert.ok(turnsOf(pair.servers[i]) > 0, 'each is asked, and again when it is back');
      await pair.restart(i);
    }
    stop = true;
    await Promise.all(running);
    assert.deepEqual(bad, [], pair.nginx.log.split('\n').filter((l) => !l.includes('Connection refused')).join('\n'));
    assert.ok(asked.streams >= 40 && asked.whole >= 40, JSON.stringify(asked));
  });

  test('nginx has nothing to say while one of them is there', async () => {
    const statuses = async () => Promise.all(Array.from({ length: 10 }, async (_, i) => {
      const r = one('quick', `x ${i}`, { stream: i % 2 === 0 });
      await r.over;
      return r.status;
    }));
    await pair.kill9(0);
    assert.deepEqual(await statuses(), Array(10).fill(200));
    await pair.kill9(1);
    assert.deepEqual(await statuses(), Array(10).fill(502));
    await pair.restart(0);
    assert.deepEqual(await statuses(), Array(10).fill(200));
    await pair.restart(1);
    assert.deepEqual(await statuses(), Array(10).fill(200));
  });

  test('a server that dies takes its streams with it, and no reader takes them for whole', async () => {
    const text = words(80);
    const readers = Array.from({ length: 10 }, () => one('slow', text));
    await Promise.all(readers.map((r) => r.until(() => heard(r).words.length > 3, 'a few words')));
    await pair.kill9(0);
    const ends = await Promise.all(readers.map(async (r) => [await r.over, heard(r).done, heard(r).text === text].join()));
    await pair.restart(0);
    assert.deepEqual(ends.sort(), [...Array(5).fill('broken,false,false'), ...Array(5).fill('whole,true,true')]);
  });

  test('two that hang are a 504, and are asked again when they go on', async (t) => {
    const way = await chain(pair.servers, { readTimeout: duration(500) });
    t.after(() => way.stop());
    const statuses = () => Promise.all([1, 2, 3, 4].map(async () => {
      const r = read(way.port, { body: question('quick', 'x'), headers });
      await r.over;
      return r.status;
    }));
    assert.deepEqual(await statuses(), Array(4).fill(200));
    for (const s of pair.servers) s.kill('SIGSTOP');
    const hung = await statuses().finally(() => { for (const s of pair.servers) s.kill('SIGCONT'); });
    assert.deepEqual(hung, Array(4).fill(504));
    assert.deepEqual(await statuses(), Array(4).fill(200));
    for (const s of pair.servers) await s.metricBecomes('runnel_turns_running', 0);
  });
});
