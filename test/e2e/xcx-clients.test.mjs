// What the mini-program and its pages read streams with, unchanged: eventsource-parser, fed as
// WeChat feeds it (bytes cut anywhere), and Microsoft's fetch-event-source.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fetchEventSource } from '@microsoft/fetch-event-source';
import { createParser } from 'eventsource-parser';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { Person, stage } from './lib/xcx.mjs';

const TEXT = '你好，世界！👩‍👩‍👧 🏳️‍🌈 "quoted" \\ line\n\n- a\r\n```\nevent: done\ndata: {}\n```\n\u2028 é end 👍🏽';

let s, server, plain, ascii, n = 0;
before(async () => {
  s = await stage();
  plain = server = await s.serve();
  ascii = await s.serve({ xcx: { ascii: true } });
});
after(() => s?.remove());

const someone = async (on = server) => {
  const p = new Person(on, `client ${++n}`);
  return { p, chat: await p.chat('task', '1') };
};

// What a page makes of the events of one stream.
function page() {
  const seen = { text: '', ids: [], last: null, kinds: new Set() };
  seen.take = ({ event, data, id }) => {
    assert.equal(seen.last, null, 'something behind the last word');
    const body = JSON.parse(data);
    seen.kinds.add(event);
    if (event === 'message') { seen.text += body.token; seen.ids.push(id); }
    else seen.last = { event, ...body };
  };
  return seen;
}
async function mustBeWhole(seen, p, chat) {
  const [, answer] = (await p.messages(chat)).items;
  assert.equal(seen.text, TEXT);
  assert.deepEqual(seen.last, { event: 'done', messageId: answer.id, createdAt: answer.createdAt });
  assert.deepEqual([...seen.kinds].sort(), ['done', 'message']);
  assert.ok(seen.ids.every((id) => id.startsWith(`${answer.id}.`)));
}

describe('eventsource-parser', () => {
  for (const [name, on] of [['as it is', () => plain], ['as ASCII', () => ascii]]) for (const size of [1, 3, 7, 1000])
    test(`${name}, in pieces of ${size} bytes`, async () => {
      const { p, chat } = await someone(on());
      s.says({ tokens: [...TEXT] });
      const bytes = Buffer.from(await (await p.ask(chat, 'a')).arrayBuffer()), seen = page();
      const parser = createParser({ onEvent: seen.take, onError: (e) => assert.fail(e) }), decoder = new TextDecoder();
      for (let i = 0; i < bytes.length; i += size) parser.feed(decoder.decode(bytes.subarray(i, i + size), { stream: true }));
      await mustBeWhole(seen, p, chat);
    });
  test('ASCII can be decoded piece by piece, without a decoder that remembers', async () => {
    const { p, chat } = await someone(ascii);
    s.says({ tokens: [...TEXT] });
    const bytes = Buffer.from(await (await p.ask(chat, 'a')).arrayBuffer()), seen = page();
    const parser = createParser({ onEvent: seen.take });
    for (const b of bytes) parser.feed(new TextDecoder().decode(Uint8Array.of(b)));
    await mustBeWhole(seen, p, chat);
  });
  test('as a stream, while it is made', async () => {
    const { p, chat } = await someone();
    s.says({ tokens: [...TEXT], gap: 5 });
    const seen = page();
    const r = await p.ask(chat, 'a');
    for await (const e of r.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())) seen.take(e);
    await mustBeWhole(seen, p, chat);
  });
});

describe('fetch-event-source', () => {
  // It was made for browsers: it asks the window for fetch and timers.
  before(() => {
    globalThis.window = globalThis;
    globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
  });
  after(() => { delete globalThis.window; delete globalThis.document; });

  const listen = (p, path, options) => {
    const seen = page();
    return fetchEventSource(`http://127.0.0.1:${p.server.port}/api/xcx/chat/${path}`, {
      ...options, headers: { authorization: `Bearer ${p.token}`, ...(options.body && { 'content-type': 'application/json' }), ...options.headers },
      onmessage: seen.take, onerror(e) { throw e; } }).then(() => seen);
  };
  test('a whole stream', async () => {
    const { p, chat } = await someone();
    s.says({ tokens: [...TEXT], gap: 5 });
    await mustBeWhole(await listen(p, 'stream', { method: 'POST', body: JSON.stringify({ chatId: chat, content: 'a' }) }), p, chat);
  });
  test('a stream that fails', async () => {
    const { p, chat } = await someone();
    s.says({ tokens: ['一', '👍🏽', '三'], errorAfter: 2 });
    const seen = await listen(p, 'stream', { method: 'POST', body: JSON.stringify({ chatId: chat, content: 'a' }) });
    assert.deepEqual([seen.text, seen.last], ['一👍🏽', { event: 'error', message: 'AI 服务暂时不可用' }]);
  });
  test('a refusal is no stream to it', async () => {
    const { p } = await someone();
    await assert.rejects(listen(p, 'stream', { method: 'POST', body: JSON.stringify({ chatId: 424242, content: 'a' }) }), /content-type/);
  });
  test('whoever lost the stream reads on from the last id', async () => {
    const { p, chat } = await someone();
    s.says({ tokens: [...TEXT], gap: 10 });
    const left = await p.hear(chat, 'a', {}, { until: 5 });
    const seen = await listen(p, `${chat}/stream`, { headers: { 'Last-Event-ID': left.ids.at(-1) } });
    seen.text = left.text + seen.text;
    await mustBeWhole(seen, p, chat);
  });
});
