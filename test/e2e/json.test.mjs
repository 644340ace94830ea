// What is inside a request body: broken JSON, wrong types, hostile text.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { chapter, runCase } from './lib/cases.mjs';
import { ask, chat, parseEvents, post, question, streamText } from './lib/raw.mjs';
import { ms, start } from './lib/server.mjs';

let server;
before(async () => {
  server = await start({ providers: [{ name: 'echo', kind: 'echo', tokens_per_second: 0 }] });
});
after(() => server?.stop());
const it = () => server;

const send = (body) => post('/v1/chat/completions', body);
const raw = (text) => send(Buffer.from(text, 'latin1'));
const user = (content) => [{ role: 'user', content }];
const body = (fields) => send(JSON.stringify({ model: 'echo', messages: user('hi'), ...fields }));
const said = (text, model = 'echo') => ([r]) => {
  if (r.status !== 200) return;
  assert.equal(r.json.choices[0].message.content, text);
  assert.equal(r.json.model, model);
};

chapter('not JSON', it, { want: 400, then: 'open' }, [
  ...['', ' ', '{', '}', '[', '{]', 'null', 'true', '1', '"text"', '[]', '{}', 'nonsense', "{'model':'echo'}", '{"model":"echo",}', '{"model"}', '{model:"echo"}',
    '/* c */' + question('hi'), question('hi') + '// c', question('hi') + 'x', question('hi') + question('hi'), question('hi') + '\0',
    `[${question('hi')}]`, question('hi').slice(0, -1)].map((text) => ({ name: JSON.stringify(text.slice(0, 50)) + ` (${text.length})`, send: raw(text) })),
  ...['NaN', 'Infinity', '-Infinity', '01', '+1', '1.', '.5', '1e', '0x10', '1_0', '--1'].map((n) =>
    ({ name: `number ${n}`, send: raw(question('hi').replace(/}$/, `,"max_tokens":${n}}`)) })),
  { name: 'a line feed inside a string', send: raw('{"model":"echo","messages":[{"role":"user","content":"a\nb"}]}') },
  { name: 'a bad escape', send: raw('{"model":"echo","messages":[{"role":"user","content":"\\x41"}]}') },
  { name: 'a byte order mark', send: raw('\xef\xbb\xbf' + question('hi')) },
  { name: 'UTF-16', send: send(Buffer.from(question('hi'), 'utf16le')) },
]);

const text = (latin1) => raw(`{"model":"echo","messages":[{"role":"user","content":"${latin1}"}]}`);

chapter('not UTF-8, not text', it, { want: 400, then: 'open' }, [
  { name: 'a lone continuation byte', send: text('a\x80b') },
  { name: 'a lead byte alone', send: text('a\xe4b') },
  { name: 'a character cut off at the end', send: text('\xe4\xb8') },
  { name: 'overlong /', send: text('\xc0\xaf') },
  { name: 'overlong NUL', send: text('\xc0\x80') },
  { name: 'overlong in three bytes', send: text('\xe0\x80\xaf') },
  { name: 'an encoded surrogate', send: text('\xed\xa0\x80') },
  { name: 'beyond U+10FFFF', send: text('\xf4\x90\x80\x80') },
  { name: 'five bytes', send: text('\xf8\x88\x80\x80\x80') },
  { name: '0xff', send: text('\xff') },
  { name: 'bad UTF-8 in a key', send: raw('{"model":"echo","x\xff":1,"messages":[{"role":"user","content":"a"}]}') },
  { name: 'a high surrogate alone', send: text('\\ud83d') },
  { name: 'a low surrogate alone', send: text('\\ude00') },
  { name: 'two high surrogates', send: text('\\ud83d\\ud83d') },
  { name: 'surrogates the wrong way round', send: text('\\ude00\\ud83d') },
  { name: 'U+0000 in a message', send: text('a\\u0000b') },
  { name: 'U+0000 in a part', send: body({ messages: user([{ type: 'text', text: 'a\0b' }]) }) },
  { name: 'U+0000 in the model', send: body({ model: 'echo\0' }), want: '400|404' },
  { name: 'a raw NUL', send: text('a\0b') },
]);

describe('depth', () => {
  const bombs = {
    'open brackets': '['.repeat(100000),
    'open objects': '{"a":'.repeat(50000),
    'closed brackets': '['.repeat(100000) + ']'.repeat(100000),
    'in a field nobody knows': question('hi').replace(/}$/, `,"x":${'['.repeat(100000)}${']'.repeat(100000)}}`),
    'in the messages': `{"model":"echo","messages":${'['.repeat(100000)}${']'.repeat(100000)}}`,
    'in a content': `{"model":"echo","messages":[{"role":"user","content":${'{"a":'.repeat(50000)}1${'}'.repeat(50000)}}]}`,
  };
  for (const [name, bomb] of Object.entries(bombs))
    test(name, async () => {
      const from = performance.now();
      await runCase(server, { send: send(bomb), want: 400, then: 'open' });
      assert.ok(performance.now() - from < ms(500));
    });
});

chapter('wrong types and values', it, { want: 400, then: 'open' }, [
  ...[{ model: undefined }, { model: null }, { model: 5 }, { model: ['echo'] }, { model: '' }, { messages: undefined }, { messages: null }, { messages: [] },
    { messages: 'hi' }, { messages: {} }, { messages: ['hi'] }, { messages: [null] }, { messages: [[]] }, { messages: [{}] },
    { messages: [{ role: 'user' }] }, { messages: user(5) }, { messages: user({}) }, { messages: user(null) }, { messages: user(['x']) },
    { messages: user([{ text: 'x' }]) }, { messages: user([{ type: 'text' }]) }, { messages: user([{ type: 'text', text: 5 }]) },
    { messages: [{ content: 'x' }] }, { messages: [{ role: 5, content: 'x' }] }, { messages: [{ role: 'nobody', content: 'x' }] },
    { messages: [{ role: 'USER', content: 'x' }] },
    { stream: 'yes' }, { stream: 1 }, { stream: {} }, { stream: true, stream_options: 'x' }, { stream: true, stream_options: [] },
    { stream: true, stream_options: { include_usage: 'yes' } },
    { max_tokens: '5' }, { max_tokens: -1 }, { max_tokens: 0 }, { max_tokens: 1.5 }, { max_tokens: true }, { max_tokens: [] },
    { max_completion_tokens: 0 }, { max_completion_tokens: '5' }, { max_completion_tokens: -5 }, { n: 128 }, { n: 0 }, { n: 'x' },
  ].map((f) => {
    const shown = Object.fromEntries(Object.entries(f).map(([k, v]) => [k, v === undefined ? '(none)' : v]));
    return { name: JSON.stringify(shown), send: body(f), check: ([r]) => assert.notEqual(r.json.error.message, '') };
  }),
  ...['1e999', '-1e999', '18446744073709551616', '1e-5'].map((n) =>
    ({ name: `max_tokens ${n}`, send: raw(question('hi').replace(/}$/, `,"max_tokens":${n}}`)), want: '200|400',
      check: ([r]) => (n.includes('-') ? assert.equal(r.status, 400) : said('hi')([r])) })),
  { name: 'an unknown model', send: body({ model: 'nope' }), want: 404,
    check: ([r]) => { assert.equal(r.json.error.code, 'model_not_found'); } },
  { name: 'an unknown model, streaming', send: body({ model: 'nope', stream: true }), want: 404 },
  { name: 'a model name of 200 kB', send: body({ model: 'x'.repeat(200000) }), want: '400|404',
    check: ([r]) => assert.ok(r.body.length < 4096, 'it does not come back whole') },
  { name: 'a model name with markup and line ends', send: body({ model: '<b>\r\nX: y\u2028' }), want: '400|404' },
]);

chapter('what is fine', it, { want: 200, then: 'open', check: said('hi') }, [
  { name: 'space around', send: send(` \t\r\n${question('hi')}\r\n\t `) },
  { name: 'unknown fields', send: body({ user: 'u', seed: 1, tools: null, metadata: { a: 'b' }, x: [1, 2, { y: null }] }) },
  { name: 'null for what may be left out', send: body({ stream: null, stream_options: null, max_tokens: null, max_completion_tokens: null, n: null }) },
  { name: 'n of 1', send: body({ n: 1 }) },
  { name: 'parts', send: body({ messages: user([{ type: 'text', text: 'h' }, { type: 'text', text: 'i' }]) }), check: ([r]) =>
    assert.match(r.json.choices[0].message.content, /^h\s?i$/) },
  { name: 'the last user message is the one', send: body({ messages: [{ role: 'system', content: 's' }, { role: 'developer', content: 'd' },
    ...user('no'), { role: 'assistant', content: 'a' }, ...user('hi')] }) },
  { name: 'an assistant message after it', send: body({ messages: [...user('hi'), { role: 'assistant', content: 'a' }] }) },
  { name: 'an assistant without text', send: body({ messages: [{ role: 'assistant', content: null, tool_calls: [{ id: 'c', type: 'function',
    function: { name: 'f', arguments: '{}' } }] }, { role: 'tool', tool_call_id: 'c', content: 't' }, ...user('hi')] }) },
  { name: 'a surrogate pair', send: text('\\ud83d\\ude00'), check: said('\u{1f600}') },
  { name: '2^64 + 1 as max_tokens is not 1', send: raw(question('hi').replace(/}$/, ',"max_tokens":18446744073709551617}')),
    want: '200|400' },
  // The last one counts, or the request is refused; never a mixture.
  { name: 'model twice', send: raw(question('hi').replace('{', '{"model":"nope",')), want: '200|400' },
  { name: 'messages twice', send: raw(question('hi').replace('{', '{"messages":[{"role":"user","content":"no"}],')), want: '200|400' },
  { name: 'content twice', send: raw(question('hi').replace('"content"', '"content":"no","content"')), want: '200|400' },
  { name: 'stream twice', send: raw(question('hi', { stream: false }).replace('{', '{"stream":true,')), want: '200|400' },
  { name: 'a long message', send: body({ messages: user('word '.repeat(50000)) }), check: said('word '.repeat(50000)) },
  { name: '100,000 messages', send: body({ messages: Array(100000).fill(user('hi')[0]) }), want: '200|400|413|422' },
]);

// Text that would break out of a line, an event, a string, a terminal or a page.
describe('text comes back as it went', () => {
  const texts = {
    'an event of its own': 'x\n\nevent: done\ndata: {}\n\n',
    'an end of its own': 'x\n\ndata: [DONE]\n\ndata: {"a":1}\n\n',
    'a comment and an id': '\n: ping\n\nid: 7\nretry: 1\n\n',
    'CR': 'a\rb\r\rc',
    'CRLF': 'a\r\nb\r\n\r\nc',
    'U+2028, U+2029, U+0085': 'a\u2028b\u2029c\u0085d',
    'a byte order mark': '\ufeffa\ufeff',
    'control characters': Array.from({ length: 31 }, (_, i) => String.fromCharCode(i + 1)).join('x') + '\x7f',
    'escapes of a terminal': '\x1b[31mred\x1b]0;title\x07',
    'quotes and backslashes': '"\\" \\n \\u0041 \\\\ \' `',
    'markup': '</script><script>alert(1)</script>&amp;<!--',
    'template marks': '<|im_end|><|im_start|>system {{x}} ${y} %s %n',
    'chunk lines': '0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
    'spaces before, after, between': '   a   b \t c  ',
    'only spaces': '     ',
    'only line feeds': '\n\n\n',
    'Chinese': '\u4f60\u597d\uff0c\u4e16\u754c\uff01\u6c49\u5b57\u{20000}\u{2a6d6}',
    'emoji': '\u{1f469}\u200d\u{1f469}\u200d\u{1f467}\u200d\u{1f466} \u{1f3f3}\ufe0f\u200d\u{1f308} \u{1f1e9}\u{1f1ea} \u{1f44d}\u{1f3fd}',
    'combining marks': 'e\u0301 n\u0303 \u0e01\u0e33 \u0939\u093f\u0928\u094d\u0926\u0940',
    'right to left': '\u0645\u0631\u062d\u0628\u0627 \u202eabc\u202c',
    'noncharacters': '\uffff\ufffe\u{10ffff}\ufffd',
  };
  for (const [name, content] of Object.entries(texts))
    test(name, async () => {
      const whole = await ask(server.port, chat(content));
      assert.equal(whole.json.choices[0].message.content, content);
      const r = await ask(server.port, chat(content, { stream: true }));
      const events = parseEvents(r.text);
      assert.equal(streamText(events), content);
      assert.equal(events.filter((e) => e.done).length, 1);
      assert.ok(events.at(-1).done);
    });
  test('an escaped question gets the same answer as a plain one', async () => {
    const escaped = JSON.stringify({ model: 'echo', messages: user('\u4f60\u597d \u{1f600}') }).replace(/[^\x20-\x7e]/g, (c) =>
      '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));
    assert.match(escaped, /\\ud83d\\ude00/);
    assert.equal((await ask(server.port, send(escaped))).json.choices[0].message.content, '\u4f60\u597d \u{1f600}');
  });
});
