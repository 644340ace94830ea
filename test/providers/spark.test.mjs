// Spark: the signature's test values, refused handshakes, the strict request check, frames and how they end.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { messages, spark, sparkBody, sparkUrl } from './lib/client.mjs';
import { start } from './lib/index.mjs';
import { acceptOf, BAD_FRAMES, OP } from './lib/ws.mjs';
import { CODES, signature } from './spark.mjs';

test('known signatures and the accept key', () => {
  assert.equal(signature('MjlmNzkzNmZkMDQ2OTc0ZDdmNGE2ZTZi', 'spark-api.xf-yun.com', 'Fri, 05 May 2023 10:43:39 GMT', '/v1.1/chat'), 'z5gHdu3pxVV4ADMyk467wOWDQ9q6BQzR3nfMTjc/DaQ=');
  const old = 'Thu, 01 Jan 2026 00:00:00 GMT';
  assert.equal(signature('secret', 'spark-api.xf-yun.com', old, '/v4.0/chat'), 'AsgcUsSBoD0HuP77YoevuFfu8l4kfcOI5QW8QGv7Onc=');
  assert.equal(signature('secret', 'spark-api.xf-yun.com', old, '/chat/max-32k'), 'HEuKyu8BRM81T3S7EOBBsfFoeeXS0QN+TevcfCpdtSM=');
  assert.equal(acceptOf('dGhlIHNhbXBsZSBub25jZQ=='), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
});

for (const secure of [false, true]) describe(secure ? 'wss' : 'ws', () => {
  let p;
  let host;
  before(async () => {
    p = await start({ kind: 'spark', tls: secure });
    host = `${p.host}:${p.port}`;
  });
  after(() => p.stop());
  beforeEach(() => { p.clear(); p.forget(); });
  const go = (answer, body = sparkBody(), faults, options) => {
    p.script({ answer, faults, times: 1 });
    return spark(p, body, options);
  };
  const parts = (r) => messages(r).map((m) => m.payload.choices.text.map((t) => t.content ?? '').join(''));

  test('an answer: status 0, 1, 2, usage at the end, close 1000', async () => {
    const r = await go({}, sparkBody('hello world'));
    const all = messages(r);
    assert.deepEqual(all.map((m) => m.payload.choices.status), [0, 1, 1, 2]);
    assert.deepEqual(all.map((m) => m.payload.choices.seq), [0, 1, 2, 3]);
    assert.equal(parts(r).join(''), 'hello world');
    assert.deepEqual(Object.keys(all[0].header), ['code', 'message', 'sid', 'status']);
    assert.deepEqual(all.map((m) => Boolean(m.payload.usage)), [false, false, false, true]);
    assert.deepEqual([r.close.code, r.how], [1000, 'fin']);
    const [q] = await p.settled();
    assert.deepEqual([q.model, q.said, q.problems, q.close.code, q.complete], ['generalv3.5', 'hello world', [], 1000, true]);
  });
  test('the smallest answer, several texts in a frame, strings, X1, a function', async () => {
    assert.deepEqual(messages(await go({ text: 'hi' })).map((m) => m.header.status), [2]);
    assert.equal(messages(await go({ tokens: ['a', 'b', 'c'], group: 3 }))[0].payload.choices.text.length, 3);
    assert.equal(messages(await go({ strings: true }))[0].header.code, '0');
    const f = messages(await go({ tools: [{ name: 'f', arguments: { a: 1 } }] }));
    assert.deepEqual([f.length, f[0].payload.choices.status, f[0].payload.choices.text[0].function_call], [1, 2, { name: 'f', arguments: '{"a":1}' }]);
    const x1 = sparkBody('x', { domain: 'spark-x', thinking: { type: 'enabled' } });
    const [first] = messages(await go({ reasoning: 'hm', text: 'yes' }, x1, {}, { target: sparkUrl({ host, path: '/v1/x1' }) }));
    assert.deepEqual(first.payload.choices.text, [{ reasoning_content: 'hm', role: 'assistant', index: 0 }]);
  });

  const refused = {
    'unknown key': [{ key: 'other' }, 401, 'HMAC signature cannot be verified: fail to retrieve credential'],
    'wrong secret': [{ secret: 'other' }, 401, 'HMAC signature does not match'],
    'another host': [{ host: 'spark-api.xf-yun.com' }, 401, 'HMAC signature does not match'],
    'clock late': [{ date: new Date(Date.now() - 310_000).toUTCString() }, 403, /valid date or x-date/],
    'clock early': [{ date: new Date(Date.now() + 310_000).toUTCString() }, 403, /valid date or x-date/],
    'bad date': [{ date: new Date().toISOString() }, 403, /valid date or x-date/],
    'wrong path': [{ path: '/V3.5/chat' }, 404, 'Not Found'],
  };
  for (const [name, [how, status, text]] of Object.entries(refused)) test(`refused: ${name}`, async () => {
    const r = await spark(p, undefined, { target: sparkUrl({ host, ...how }) });
    assert.ok(r.head.startsWith(`HTTP/1.1 ${status} `), r.head);
    assert.match(r.head, /\r\ndate: /);
    const { message } = JSON.parse(r.rest);
    text instanceof RegExp ? assert.match(message, text) : assert.equal(message, text);
  });
  test('refused: no authorization, version, key; a skew of 290 s is fine', async () => {
    assert.match((await spark(p, undefined, { target: '/v3.5/chat' })).head, /^HTTP\/1\.1 401/);
    assert.match((await spark(p, undefined, { headers: { 'Sec-WebSocket-Version': '8' } })).head, /^HTTP\/1\.1 426[^]*sec-websocket-version: 13/);
    assert.match((await spark(p, undefined, { headers: { 'Sec-WebSocket-Key': 'short' } })).head, /^HTTP\/1\.1 400/);
    const date = new Date(Date.now() - 290_000).toUTCString();
    assert.match((await spark(p, sparkBody(), { target: sparkUrl({ host, date }) })).head, /^HTTP\/1\.1 101/);
    await spark(p, sparkBody(), { headers: { Origin: 'x', 'Sec-WebSocket-Extensions': 'permessage-deflate' } });
    assert.deepEqual(p.requests().at(-1).problems, ['origin was sent', 'sec-websocket-extensions was sent']);
    p.script({ answer: { status: 503, message: 'busy' }, times: 1 });
    assert.match((await spark(p)).head, /^HTTP\/1\.1 503/);
  });

  const change = (f) => {
    const b = sparkBody();
    f(b);
    return b;
  };
  const bad = {
    'no JSON': ['{', 10003], 'long uid': [change((b) => (b.header.uid = 'u'.repeat(33))), 10004], 'unknown field': [change((b) => (b.stream = true)), 10004],
    'system late': [change((b) => b.payload.message.text.push({ role: 'system', content: 'x' })), 10004],
    'two users': [change((b) => b.payload.message.text.push({ role: 'user', content: 'x' })), 10004],
    'assistant last': [change((b) => b.payload.message.text.push({ role: 'assistant', content: 'x' })), 10004],
    'thinking outside X1': [sparkBody('x', { thinking: { type: 'auto' } }), 10004],
    'temperature 0': [sparkBody('x', { temperature: 0 }), 10005], 'max_tokens': [sparkBody('x', { max_tokens: 8193 }), 10005], top_k: [sparkBody('x', { top_k: 7 }), 10005],
    'another app': [change((b) => (b.header.app_id = 'other')), 11200], 'another domain': [sparkBody('x', { domain: 'lite' }), 10404],
  };
  for (const [name, [body, code]] of Object.entries(bad)) test(`request frame: ${name}`, async () => {
    const r = await spark(p, body);
    const [m] = messages(r);
    assert.deepEqual([m.header.code, 'payload' in m, r.close], [code, false, { code: 1000, reason: 'close this ws conn' }]);
  });
  test('every code as a frame, at once and late', async () => {
    for (const code of Object.keys(CODES)) assert.equal(messages(await go({ code: Number(code) }))[0].header.code, Number(code));
    assert.deepEqual(messages(await go({ code: 10014, errorAfter: 1 }, sparkBody('hello world'))).map((m) => m.header.code), [0, 10014]);
  });
  test('fragments, pings between them, cuts and the end at byte N', async () => {
    const r = await go({}, sparkBody('hello world'), { ws: { fragment: 20, ping: 1 } });
    assert.equal(parts(r).join(''), 'hello world');
    assert.ok(r.frames.filter((f) => f.op === OP.continuation).length > 20);
    assert.ok((await p.settled())[0].pongs.includes('inside'));
    assert.equal(parts(await go({}, sparkBody('hello'), { split: 1 })).join(''), 'hello');
    assert.equal(parts(await go({}, sparkBody('hello'), { cuts: [1, 2, 3, 50] })).join(''), 'hello');
    assert.equal((await go({}, sparkBody(), { at: 10, then: 'reset' })).rest.length, 10);
    assert.equal((await go({}, sparkBody(), { at: 10, then: 'stall' }, { patience: 80 })).how, 'silent');
    assert.equal((await go({}, sparkBody(), { ws: { hello: true } })).frames[0].op, OP.ping);
  });
  test('ways to close', async () => {
    assert.deepEqual((await go({}, sparkBody(), { ws: { close: { code: 1011, reason: 'x' } } })).close, { code: 1011, reason: 'x' });
    assert.equal((await go({}, sparkBody(), { ws: { close: 'empty' } })).close.code, 1005);
    const none = await go({ end: false }, sparkBody(), { ws: { close: 'none' } });
    assert.deepEqual([none.close, none.how], [null, 'fin']);
    assert.equal((await go({}, sparkBody(), { ws: { close: 'reset' } })).how, 'ECONNRESET');
    const wait = await go({}, sparkBody(), { ws: { close: 'wait' } }, { after: (send) => setTimeout(() => send(OP.close, Buffer.from([3, 232])), 60) });
    assert.equal(wait.close.code, 1000);
    assert.deepEqual((await p.settled(5)).at(-1).close, { code: 1000, reason: '', before: true });
  });
  test('a client that cancels, does not mask, or sends binary', async () => {
    const r = await go({ gap: 30, text: 'x'.repeat(400) }, sparkBody(), {}, { after: (send) => setTimeout(() => send(OP.close, Buffer.from([3, 232])), 50) });
    assert.ok(r.close.code === 1000 && messages(r).length < 10);
    assert.equal((await p.settled())[0].complete, false);
    assert.equal((await spark(p, sparkBody(), { masked: false })).close.code, 1002);
    assert.equal((await spark(p, sparkBody(), { op: OP.binary })).close.code, 1003);
    assert.equal((await spark(p, Buffer.from([0xff]))).close.code, 1007);
  });
  for (const name of Object.keys(BAD_FRAMES)) test(`a frame no server may send: ${name}`, async () => {
    const r = await go({ end: false }, sparkBody('hello world'), { ws: { bad: name } }, { patience: 200 });
    assert.equal(JSON.parse(r.frames[0].data).header.code, 0);
    assert.ok(r.frames.length > 1 || r.rest.length > 0);
    assert.deepEqual(p.stats().failed, []);
  });
});
