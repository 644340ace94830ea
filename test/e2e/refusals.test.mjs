// What a provider says instead of an answer: statuses with bodies of all kinds.
//
// The provider is a bare server whose bytes stand in the rows, for each kind of provider.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { mustBe, provider, serve, turnLine } from './lib/provided.mjs';
import { duration, ms } from './lib/server.mjs';

const KEY = `sk-canary-${'k'.repeat(40)}`;
const SECRET = 'canary-of-spark';

// How the server answers is up to the row: reply(socket, the request's head).
let bare, server, reply;
before(async () => {
  bare = createServer((socket) => {
    let got = '';
    socket.on('error', () => {}).on('data', (bytes) => {
      got += bytes;
      if (!got.includes('\r\n\r\n')) return;
      const head = got;
      got = '';
      reply(socket, head);
    });
  });
  await new Promise((ok) => bare.listen(0, '127.0.0.1', ok));
  const at = `127.0.0.1:${bare.address().port}`;
  const more = { api_key: KEY, first_timeout: duration(1500), idle_timeout: duration(800) };
  server = await serve([
    ...['openai', 'anthropic', 'ollama', 'dashscope'].map((kind) => provider(kind, `http://${at}`, { ...more, kind })),
    provider('spark', `ws://${at}`, { ...more, kind: 'spark', app_id: 'app', api_secret: SECRET }),
    provider('patient-spark', `ws://${at}/v1.1/chat`, { ...more, kind: 'spark', app_id: 'app', api_secret: SECRET, first_timeout: duration(5000) }),
    provider('patient', `http://${at}`, { ...more, first_timeout: duration(15000) }),
    // Each of its own, because a key that was refused rests.
    ...['Arrearage', 'content_filter', 'invalid_api_key'].map((code) => provider(`two-keys-${code}`, `http://${at}`, { ...more, retries: 1, more_keys: ['sk-other-canary'] })),
  ]);
});
after(async () => {
  assert.doesNotMatch(server.stderr, /canary/, 'our secrets are in the log');
  await server.metricBecomes('runnel_turns_running', 0);
  await server.stop();
  bare.close();
});

const whole = (status, body, fields = '') => {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return `HTTP/1.1 ${status} Odd\r\ncontent-type: application/json\r\n${fields}content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
};

describe('a secret that comes back is not in the log', () => {
  const rows = [
    ['openai', 'whole', (head) => /bearer (.*)/i.exec(head)[1]],
    ['openai', 'at the place where long words are cut', (head) => 'x'.repeat(270) + /bearer (.*)/i.exec(head)[1]],
    ['spark', 'the signed address', (head) => `no such page: ${head.split('\r\n')[0]}`],
    ['spark', 'the signature, decoded', (head) => `not good: ${decodeURIComponent(/authorization=([^&]*)/.exec(head)[1])}`],
  ];
  for (const [model, name, echo] of rows) test(`${model}: ${name}`, { timeout: ms(20000) }, async () => {
    let signed;
    reply = (socket, head) => {
      signed = /authorization=([^&%]*)/.exec(head)?.[1];
      socket.write(whole(401, { message: echo(head) }));
    };
    const from = server.lines.length;
    await mustBe('service_denied', server, model);
    const { words } = await turnLine(server, model, from);
    assert.match(words, /\*\*\*/, 'the words do not say that something is left out');
    assert.ok(!signed || !words.includes(signed.slice(0, 30)), 'the signature is in the log');
    assert.doesNotMatch(words, /sk-c/, 'a part of the key is in the log');
  });
});

// [kind, name, status, body, what it means]
describe('a refusal says more than its status', () => {
  const openai = (code, more) => ({ error: { message: 'words', type: 'invalid_request_error', param: null, code, ...more } });
  const anthropic = (type) => ({ type: 'error', error: { type, message: 'words' } });
  const dashscope = (code) => ({ code, message: 'words', request_id: 'r' });
  const rows = [
    ['openai', 'the context is too long', 400, openai('context_length_exceeded'), 'not_accepted'],
    ['openai', 'the context is too long, for llama.cpp', 500, openai(500, { type: 'exceed_context_size_error' }), 'not_accepted'],
    ['openai', 'the quota is used up', 429, openai('insufficient_quota', { type: 'insufficient_quota' }), 'service_denied'],
    ['openai', 'too often', 429, openai('rate_limit_exceeded'), 'service_busy'],
    ['openai', "Azure's filter", 400, openai('content_filter', { innererror: { code: 'ResponsibleAIPolicyViolation' } }), 'filtered'],
    ['openai', "OpenRouter's moderation", 403, openai(403, { metadata: { reasons: ['violence'] } }), 'filtered'],
    ['openai', "DashScope's inspection", 400, openai('data_inspection_failed'), 'filtered'],
    ['openai', "Spark's moderation over HTTP", 400, openai('10013'), 'filtered'],
    ['openai', 'an unknown model', 404, openai('model_not_found'), 'service_failed'],
    ['openai', 'a vague word', 401, openai(null), 'service_denied'],
    ['openai', 'in a list', 400, [openai('content_filter')], 'filtered'],
    ['openai', 'without words', 400, 'no JSON', 'not_accepted'],
    ['openai', 'an empty body', 503, '', 'service_failed'],
    ['anthropic', 'invalid', 400, anthropic('invalid_request_error'), 'not_accepted'],
    ['anthropic', 'no money', 400, anthropic('billing_error'), 'service_denied'],
    ['anthropic', 'too large', 413, anthropic('request_too_large'), 'not_accepted'],
    ['anthropic', 'overloaded', 529, anthropic('overloaded_error'), 'service_failed'],
    ['dashscope', 'arrears', 400, dashscope('Arrearage'), 'service_denied'],
    ['dashscope', 'inspection', 400, dashscope('DataInspectionFailed'), 'filtered'],
    ['dashscope', 'a parameter', 400, dashscope('InvalidParameter.DataInspection'), 'not_accepted'],
    ['dashscope', 'too often', 429, dashscope('Throttling.RateQuota'), 'service_busy'],
    ['dashscope', 'a frame of a stream', 400, `id:1\nevent:error\n:HTTP_STATUS/400\ndata:${JSON.stringify(dashscope('Arrearage'))}\n`, 'service_denied'],
    ['ollama', 'an unknown model', 404, { error: 'words' }, 'service_failed'],
    ['ollama', 'a bad request', 400, { error: 'words' }, 'not_accepted'],
    ['spark', 'no such page', 404, { message: 'words' }, 'service_failed'],
  ];
  for (const [model, name, status, body, want] of rows) test(`${model}: ${name}`, { timeout: ms(20000) }, async () => {
    reply = (socket) => socket.write(whole(status, body));
    const from = server.lines.length;
    await mustBe(want, server, model);
    const line = await turnLine(server, model, from);
    if (JSON.stringify(body).includes('words')) assert.match(line.words, /words/);
  });

  // What is wrong with a question says nothing against the key; what is wrong with an account does.
  for (const [status, code, want, asked] of [[400, 'Arrearage', 'whole', 2], [400, 'content_filter', 'filtered', 1],
    [200, 'invalid_api_key', 'whole', 2]]) test(`two keys: ${status} ${code}`, { timeout: ms(20000) }, async () => {
    const keys = [];
    reply = (socket, head) => {
      keys.push(/bearer (.*)/i.exec(head)[1]);
      socket.write(keys.length === 1 ? whole(status, openai(code)) : whole(200, { choices: [{ message: { content: 'yes' }, finish_reason: 'stop' }] }));
    };
    await mustBe(want, server, `two-keys-${code}`, { text: 'yes' });
    assert.equal(keys.length, asked);
    assert.equal(new Set(keys).size, asked, 'the same key was asked again');
  });
});

describe('a refusal whose body does not end', () => {
  const begin = (status, length = 1e9) => `HTTP/1.1 ${status} Odd\r\ncontent-type: text/plain\r\ncontent-length: ${length}\r\n\r\nwords`;
  const rows = [
    ['is lost', 401, 'service_denied', (socket) => socket.resetAndDestroy()],
    ['ends too early', 429, 'service_busy', (socket) => socket.end()],
    ['stalls', 429, 'service_busy', () => {}],
    ['goes on for ever', 400, 'not_accepted', (socket) => {
      const more = () => { while (!socket.destroyed && socket.write(Buffer.alloc(65536, 'x'))); };
      socket.on('drain', more);
      more();
    }],
  ];
  for (const [name, status, want, then] of rows) test(name, { timeout: ms(20000) }, async () => {
    reply = (socket) => socket.write(begin(status), () => setTimeout(then, 50, socket));
    const from = server.lines.length;
    await mustBe(want, server, 'patient');
    assert.match((await turnLine(server, 'patient', from)).words, /^words/);
  });
});

test('a whole answer without an end is refused early', { timeout: ms(20000) }, async () => {
  let sent = 0;
  reply = (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000000\r\n\r\n{"choices":"');
    const more = () => { while (!socket.destroyed && socket.write(Buffer.alloc(65536, 'x'))) sent += 65536; };
    socket.on('drain', more);
    more();
  };
  await mustBe('garbage', server, 'patient');
  assert.ok(sent < 40 << 20, `${sent} bytes were read`);
});

const upgraded = (head) => {
  const key = /sec-websocket-key: (.*)/i.exec(head)[1].trim();
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  return `HTTP/1.1 101 Odd\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`;
};

test('a binary message is garbage, though a goodbye came with it', { timeout: ms(20000) }, async () => {
  reply = (socket, head) => {
    if (head.startsWith('GET')) socket.write(Buffer.concat([Buffer.from(upgraded(head)), Buffer.from([0x82, 1, 0x78, 0x88, 2, 3, 0xe8])]));
  };
  const from = server.lines.length;
  await mustBe('garbage', server, 'patient-spark');
  assert.match((await turnLine(server, 'patient-spark', from)).words, /1003/);
});

test('a WebSocket that pings and does not read is cut', { timeout: ms(20000) }, async () => {
  const pings = Buffer.alloc(127 * 500);
  for (let at = 0; at < pings.length; at += 127) pings.set([0x89, 125], at);
  let sent = 0;
  reply = (socket, head) => {
    socket.pause();
    socket.write(upgraded(head));
    const more = () => { while (!socket.destroyed && socket.write(pings)) sent += pings.length; };
    socket.on('drain', more);
    more();
  };
  const from = server.lines.length;
  await mustBe('garbage', server, 'patient-spark');
  assert.match((await turnLine(server, 'patient-spark', from)).words, /does not read/);
  assert.ok(sent < 40 << 20, `${sent} bytes of pings were answered`);
});
