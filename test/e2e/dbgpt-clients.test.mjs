// Whoever reads DB-GPT's chat: its own Python client, OpenAI's SDK, its pages' library, a page
// that reads the text so far. All of them read every answer right, as a stream and whole.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fetchEventSource } from '@microsoft/fetch-event-source';
import OpenAI from 'openai';
import { start as startProvider } from '../providers/lib/index.mjs';
import { Client } from './lib/dbgpt.mjs';
import { duration, ms, start } from './lib/server.mjs';

const KEY = 'sk-of-ours-77';
const TEXTS = {
  English: 'The quick brown fox.',
  Chinese: '你好，世界！今天天气很好。',
  emoji: 'ok 👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 done',
  marks: 'a\n\n- b\r\n```c\n\td "e" \\f &quot\n```\ndata: [DONE]\n\nend',
  'ends of lines that are none': 'a\u2028b\u2029c\u0085d\v\f\x1c\x1d\x1ee',
};

let model, server, strict;
const serve = (more) => start({
  providers: [{ name: 'fake', kind: 'openai', base_url: `${model.url}/v1`, api_key: KEY, retries: 0, breaker_failures: 0, first_timeout: duration(20000) }],
  models: [{ name: 'fake', targets: [{ provider: 'fake' }] }], ...more });
before(async () => {
  model = await startProvider({ kind: 'openai', key: KEY, control: false });
  server = await serve();
  strict = await serve({ dialects: { dbgpt: { extra_members: true, api_keys: 'one' } } });
});
after(async () => {
  await Promise.all([server, strict].map((s) => s?.stop()));
  await model?.stop();
});
const says = (text, more) => model.script({ answer: { text, size: 1, usage: { input: 7, output: 5 }, ...more }, times: 1 });
const request = (messages, more) => ({ model: 'fake', messages, ...more });

describe('its own client', () => {
  for (const [name, text] of Object.entries(TEXTS)) {
    test(`a stream: ${name}`, async () => {
      says(text);
      let got = '';
      const ids = new Set();
      for await (const chunk of new Client(server).stream(request(text))) {
        got += chunk.choices[0].delta.content;
        ids.add(chunk.id);
      }
      assert.deepEqual([got, ids.size], [text, 1]);
      assert.equal(model.requests().at(-1).body.messages.at(-1).content, text);
    });
    test(`whole: ${name}`, async () => {
      says(text);
      const { id, model: named, choices: [c], usage } = await new Client(server).chat(request(text, { conv_uid: 'u' }));
      assert.deepEqual([id, named, c.message, c.finish_reason], ['u', 'fake', { role: 'assistant', content: text }, 'stop']);
      assert.deepEqual(usage, { prompt_tokens: 7, total_tokens: 12, completion_tokens: 5 });
    });
  }
  // Its schema knows two reasons, and an answer may end for others.
  for (const [finish, reason] of [['length', 'length'], ['filter', null]]) test(`an answer that ends with ${finish}`, async () => {
    says('half', { finish });
    assert.equal((await new Client(server).chat(request('x'))).choices[0].finish_reason, reason);
    says('half', { finish });
    const chunks = [];
    for await (const chunk of new Client(strict, 'one').stream(request('x'))) chunks.push(chunk);
    assert.deepEqual([chunks.map((c) => c.choices[0].delta.content).join(''), chunks.at(-1).choices[0].finish_reason], ['half', reason]);
  });
  test('refusals are handed on, of a stream as well', async () => {
    const wrong = new Client(strict, 'two');
    const whole = await wrong.chat(request('x'));
    assert.deepEqual([whole.success, whole.err_code, whole.error.code], [false, '401', 'invalid_api_key']);
    const [first, ...rest] = await Array.fromAsync(wrong.stream(request('x')));
    assert.deepEqual([first, rest], [whole, []]);
  });
  test('a failure in the middle is read as text, and ends', async () => {
    model.script({ answer: { tokens: ['one ', 'two'], errorAfter: 2 }, times: 1 });
    const text = (await Array.fromAsync(new Client(server).stream(request('x')))).map((c) => c.choices[0].delta.content).join('');
    assert.match(text, /^one (two)?\*\*LLMServer Generate Error, Please CheckErrorInfo\.\*\*: .+ \(error_code: 1\)$/);
  });
});

describe('OpenAI\'s SDK, with that base URL', () => {
  const client = (s = server, apiKey = 'none') => new OpenAI({ baseURL: `http://127.0.0.1:${s.port}/api/v2`, apiKey, maxRetries: 0, timeout: ms(10000) });
  const asked = (content, more) => request([{ role: 'user', content }], { chat_mode: 'chat_normal', ...more });
  for (const [name, text] of Object.entries(TEXTS)) {
    test(`a stream: ${name}`, async () => {
      says(text);
      let got = '';
      for await (const part of await client().chat.completions.create(asked(text, { stream: true }))) got += part.choices[0].delta.content;
      assert.equal(got, text);
    });
    test(`the stream helper, with the members it wants: ${name}`, async () => {
      says(text);
      const stream = client(strict, 'one').chat.completions.stream(asked(text));
      const whole = await stream.finalChatCompletion();
      assert.deepEqual([whole.choices[0].message.content, whole.choices[0].finish_reason], [text, 'stop']);
    });
    test(`whole: ${name}`, async () => {
      says(text);
      const whole = await client().chat.completions.create(asked(text, { stream: false }));
      assert.deepEqual([whole.object, whole.choices[0].message.content, whole.usage.total_tokens], ['chat.completion', text, 12]);
    });
  }
  test('errors', async () => {
    for (const stream of [false, true]) {
      await assert.rejects(client(strict, 'two').chat.completions.create(asked('x', { stream })), (e) => e instanceof OpenAI.AuthenticationError && e.code === 'invalid_api_key');
      await assert.rejects(client().chat.completions.create(asked('x', { stream, chat_mode: 'chat_data' })),
        (e) => e instanceof OpenAI.BadRequestError && e.code === 'invalid_chat_param' && /chart param is None/.test(e.message));
      await assert.rejects(client().chat.completions.create({ ...asked('x', { stream }), model: 'gone' }), (e) => e instanceof OpenAI.BadRequestError && e.code === 'model_not_found');
    }
  });
});

// The pages take the type to the letter, and show the last event, which is all of the text.
describe('its pages\' library', () => {
  before(() => {                              // not sooner: OpenAI's SDK stays out of browsers
    globalThis.document ??= { hidden: false, addEventListener() {}, removeEventListener() {} };
    globalThis.window ??= globalThis;
  });
  async function show(path, body) {
    const seen = { type: null, events: [], ended: false };
    await fetchEventSource(`http://127.0.0.1:${server.port}${path}`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body), openWhenHidden: true,
      onopen(res) { seen.type = res.headers.get('content-type'); },
      onmessage: (e) => seen.events.push(e.data),
      onclose() { seen.ended = true; },
      onerror(e) { throw e; },
    });
    assert.deepEqual([seen.type, seen.ended], ['text/event-stream', true]);
    return seen.events;
  }
  const shown = (data) => data.replaceAll('\\n', '\n').replaceAll('\\r', '\r');
  for (const [name, text] of Object.entries(TEXTS)) {
    test(`the text so far: ${name}`, async () => {
      for (const [path, body] of [['/api/v2/chat/completions', request(text, { incremental: false })], ['/api/v1/chat/completions', { user_input: text, model_name: 'fake' }]]) {
        says(text);
        const events = await show(path, body);
        assert.ok(events.length > 1 && events.every((e) => text.startsWith(shown(e))), path);
        assert.equal(shown(events.at(-1)), text, path);
      }
    });
    test(`its deltas: ${name}`, async () => {
      says(text);
      const events = await show('/api/v2/chat/completions', request(text));
      assert.equal(events.at(-1), '[DONE]');
      assert.equal(events.slice(0, -1).map((e) => JSON.parse(e).choices[0].delta.content).join(''), text);
    });
  }
});
