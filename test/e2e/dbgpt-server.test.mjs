// DB-GPT's model server (2.8): its stream to the byte, who is let in, what is not there; and its
// whole routes, as generic readers and strangers see them.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createParser } from 'eventsource-parser';
import OpenAI from 'openai';
import { start as startProvider } from '../providers/lib/index.mjs';
import { duration, ms, start } from './lib/server.mjs';

const KEY = 'sk-of-ours-77';
const V1 = '/api/v1/chat/completions', V2 = '/api/v2/chat/completions';
const TEXT = '你好 👩‍👩‍👧 "x"';

let model, open, closed;
before(async () => {
  model = await startProvider({ kind: 'openai', key: KEY, control: false });
  const settings = { providers: [{ name: 'fake', kind: 'openai', base_url: `${model.url}/v1`, api_key: KEY, retries: 0, breaker_failures: 0, first_timeout: duration(20000) }],
    models: [{ name: 'b', targets: [{ provider: 'fake' }] }, { name: 'a', class: 'local_small', targets: [{ provider: 'fake' }] }] };
  open = await start(settings);
  closed = await start({ ...settings, dialects: { dbgpt: { api_keys: 'one' } } });
});
after(async () => {
  await Promise.all([open, closed].map((s) => s?.stop()));
  await model?.stop();
});
const post = (s, path, body, headers = {}) => fetch(`http://127.0.0.1:${s.port}${path}`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) });
const hi = { model: 'a', messages: [{ role: 'user', content: TEXT }] };
const says = (answer) => model.script({ answer, times: 1 });

test('a stream: whose it is, its words, why it ends, the end', async () => {
  says({ tokens: ['你好', ' 👩‍👩‍👧'] });
  const text = await (await post(open, V1, { ...hi, stream: true })).text();
  const [, id, created] = /"id":"(.*?)".*?"created":(\d+)/.exec(text);
  const chunk = (delta, reason) => `data: {"id":"${id}","object":"chat.completion.chunk","created":${created},"model":"a","choices":[{"index":0,"delta":${delta},"logprobs":null,"finish_reason":${reason}}]}\n\n`;
  assert.equal(text, chunk('{"role":"assistant","content":""}', 'null') + chunk('{"content":"你好"}', 'null') + chunk('{"content":" 👩‍👩‍👧"}', 'null') + chunk('{}', '"stop"') + 'data: [DONE]\n\n');
});
test('a stream that fails has no [DONE], and its error is one', async () => {
  says({ text: TEXT, end: false, finish: null });
  const text = await (await post(open, V1, { ...hi, stream: true })).text();
  const last = JSON.parse(text.trimEnd().split('\n\n').at(-1).slice('data: '.length));
  assert.ok(last.error.message && !text.includes('[DONE]'));
});
test('a whole answer: the sum of what it took', async () => {
  says({ text: TEXT, usage: { input: 3, output: 4 } });
  const { choices: [c], usage } = await (await post(open, V1, hi)).json();
  assert.deepEqual([c.message.content, c.finish_reason, usage], [TEXT, 'stop', { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 }]);
});
test('its errors have numbers, in the bytes that it sends', async () => {
  const res = await post(open, V1, { ...hi, model: 'x' });
  assert.deepEqual([res.status, await res.text()], [400, '{"object":"error","message":"Only b&&a allowed now, your model x","code":40301}']);
  assert.equal((await (await post(open, V1, { ...hi, n: 2 })).json()).code, 40001, 'one answer to one question');
  for (const ends of [{ temperature: 0 }, { temperature: 2 }, { top_p: 0 }, { top_p: 1 }, { top_k: -1 }, { top_k: 1 }, { max_tokens: 1 }, { n: 1 }, { stop: 'x' }, { stop: ['x'] }]) {
    says({ text: 'ok' });
    assert.equal((await post(open, V1, { ...hi, ...ends })).status, 200, JSON.stringify(ends));
  }
});

describe('who is let in', () => {
  const E = { message: '', type: 'invalid_request_error', param: null, code: 'invalid_api_key' };
  for (const path of [V1, V2, '/v2/chat/completions', '/api/v1/embeddings']) test(path, async () => {
    for (const headers of [{}, { authorization: 'Bearer two' }, { authorization: 'Basic one' }]) {
      const res = await post(closed, path, hi, headers);
      const { detail, error, err_code } = await res.json();
      assert.deepEqual([res.status, detail, error, err_code], [401, { error: E }, E, '401']);
    }
    says({ text: 'ok' });
    assert.equal((await post(closed, path, { ...hi, input: 'x' }, { authorization: 'Bearer one' })).status, 200);
    model.clear();
  });
  test('OpenAI\'s SDK takes it for what it is', async () => {
    const client = new OpenAI({ baseURL: `http://127.0.0.1:${closed.port}/api/v1`, apiKey: 'two', maxRetries: 0, timeout: ms(10000) });
    await assert.rejects(client.chat.completions.create(hi), (e) => e instanceof OpenAI.AuthenticationError && e.code === 'invalid_api_key');
    await assert.rejects(client.embeddings.create({ model: 'a', input: 'x' }), OpenAI.AuthenticationError);
  });
});

test('embeddings', async () => {
  const client = new OpenAI({ baseURL: `http://127.0.0.1:${open.port}/api/v1`, apiKey: 'none', maxRetries: 0, timeout: ms(10000) });
  const { data, usage } = await client.embeddings.create({ model: 'a', input: ['你好', 'b', 'c', 'd', 'e'] });
  assert.deepEqual([data.map((d) => d.index), data.every((d) => d.embedding.length > 0), usage.total_tokens > 0], [[0, 1, 2, 3, 4], true, true]);
});

test('what is not there says so, as its framework does', async () => {
  for (const path of ['/api/v1/beta/relevance', '/api/v2/serve/apps', '/api/v2/serve/knowledge/spaces']) {
    const res = await post(open, path, {});
    assert.equal(res.status, 404, path);
    if (path.startsWith('/api/v2/')) assert.equal(await res.text(), '{"detail":"Not Found"}');
  }
});

// The last event may say [DONE]; what is before it is JSON.
describe('a generic reader of event streams', () => {
  async function eventsOf(path, body, headers) {
    const res = await post(open, path, body, headers);
    const events = [];
    const parser = createParser({ onEvent: (e) => events.push(e), onError: (e) => { throw e; } });
    const decoder = new TextDecoder();
    for await (const bytes of res.body) parser.feed(decoder.decode(bytes, { stream: true }));
    assert.ok(events.every((e) => e.event === undefined), 'no event has a name');
    return events.map((e) => e.data);
  }
  const cases = {
    'DB-GPT\'s door': [V2, { model: 'a', messages: TEXT }, (c) => c.choices[0].delta.content],
    'its model server': [V1, { ...hi, stream: true }, (c) => c.choices[0].delta.content ?? ''],
    'the assistant': ['/api/v1/chat/stream', { message: TEXT, preferred_model: 'a' }, (c) => c.content],
  };
  for (const [name, [path, body, read]] of Object.entries(cases)) test(name, async () => {
    says({ text: TEXT, size: 1, first: ms(50) });
    const events = await eventsOf(path, body, { accept: 'text/event-stream' });
    const chunks = events.filter((e) => e !== '[DONE]').map((e) => JSON.parse(e));
    assert.equal(chunks.map(read).join(''), TEXT);
    assert.deepEqual(events.filter((e) => e === '[DONE]').length, name === 'the assistant' ? 0 : 1);
  });
});
