// What a provider says instead of an answer: statuses with bodies of all kinds.
//
// The provider is a bare server whose bytes stand in the rows, for each kind of provider.
import assert from 'node:assert/strict';
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
