// Each provider's protocol against what was captured or documented, and the real openai client against the openai one.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, beforeEach, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { ask, events } from './lib/client.mjs';
import { start } from './lib/index.mjs';

const CHAT = '/v1/chat/completions';
const body = (more) => ({ model: 'm', stream: true, messages: [{ role: 'user', content: 'hello world' }], ...more });
const USAGE = { stream_options: { include_usage: true } };
const TOOLS = [{ name: 'f', arguments: { loc: 'a"b' } }, { name: 'g', arguments: { n: 2 } }];
const content = (all) => all.map((e) => e.choices?.[0]?.delta?.content ?? '').join('');

describe('openai', () => {
  let p;
  before(async () => (p = await start({ kind: 'openai', key: 'test' })));
  after(() => p.stop());
  beforeEach(() => { p.clear(); p.forget(); });
  const chat = async (answer, more, path = CHAT, headers) => {
    if (answer) p.script({ answer, times: 1 });
    const r = await ask(p, path, body(more), headers);
    assert.equal(r.error, null);
    return { ...r, all: r.headers['content-type'].startsWith('text/event-stream') ? events(r.text) : JSON.parse(r.text) };
  };

  test('a stream: role, text, finish, usage, [DONE]; one id, one time', async () => {
    const { all, text, headers } = await chat({}, USAGE);
    assert.equal(headers['content-type'], 'text/event-stream');
    assert.ok(text.startsWith('data: {') && text.endsWith('data: [DONE]\n\n'));
    const [first, ...rest] = all;
    assert.deepEqual(first.choices, [{ index: 0, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null }]);
    assert.equal(content(all), 'hello world');
    assert.deepEqual(rest.at(-3).choices[0].delta, {});
    assert.equal(rest.at(-3).choices[0].finish_reason, 'stop');
    assert.deepEqual(rest.at(-2).choices, []);
    assert.equal(rest.at(-2).usage.total_tokens, rest.at(-2).usage.prompt_tokens + 3);
    assert.ok(all.slice(0, -2).every((c) => c.usage === null && c.id === first.id && c.created === first.created));
  });
  test('without asking there is no usage', async () => {
    const { all } = await chat();
    assert.ok(all.slice(0, -1).every((c) => !('usage' in c)));
  });
  test('what a request lacks, and what it has too much', async () => {
    assert.equal((await ask(p, CHAT, body(), { authorization: 'Bearer wrong' })).status, 401);
    assert.equal((await ask(p, CHAT, { model: 'm' })).status, 400);
    await ask(p, CHAT, { ...body(), nonsense: 1, messages: [{ role: 'tool', content: 'x', tool_call_id: 'no' }] }, { 'accept-encoding': 'gzip' });
    assert.deepEqual(p.requests()[2].problems, ['a coding was offered', 'body: unknown field nonsense', 'messages[0]: tool_call_id no was never asked for']);
  });
  test('halves of characters, tokens, finish, missing ends', async () => {
    assert.match((await chat({ text: '😀', size: 1, units: true })).text, /\\ud83d.*\n\n.*\\ude00/);
    assert.deepEqual((await chat({ tokens: ['a', 'b'], finish: 'length' })).all.map((e) => e.choices?.[0].finish_reason ?? null), [null, null, null, 'length', null]);
    assert.ok(!(await chat({ end: false })).text.includes('[DONE]'));
    assert.ok((await chat({ finish: null })).all.slice(0, -1).every((e) => e.choices[0].finish_reason === null));
    assert.equal(new Set((await chat({ ids: 'fresh' })).all.map((e) => e.id)).size, 6);
  });

  const joined = (all) => { // by index, as a reader would
    const calls = [];
    for (const t of all.flatMap((e) => e.choices?.[0]?.delta?.tool_calls ?? [])) {
      const c = (calls[t.index] ??= { id: '', name: '', arguments: '' });
      c.id ||= t.id;
      c.name ||= t.function?.name ?? '';
      c.arguments += t.function?.arguments ?? '';
    }
    return calls.map((c) => [c.name, c.arguments]);
  };
  for (const style of ['standard', 'whole', 'empty-id', 'repeat-name', 'empty-name', 'late-name']) {
    test(`tool calls: ${style}`, async () => {
      for (const more of [{}, { interleave: true }, { cuts: 1 }]) {
        const { all } = await chat({ tools: TOOLS, style, ...more });
        assert.deepEqual(joined(all), [['f', '{"loc":"a\\"b"}'], ['g', '{"n":2}']]);
        assert.equal(all.at(-2).choices[0].finish_reason, 'tool_calls');
      }
    });
  }
  test('parallel tool calls, all with index 0', async () => {
    assert.deepEqual(joined((await chat({ tools: TOOLS, dialect: 'index-0' })).all), [['f', '{"loc":"a\\"b"}{"n":2}']]);
  });

  test('openrouter', async () => {
    const r = await chat({ dialect: 'openrouter', reasoning: 'hm', errorAfter: 2, error: { code: 'server_error', message: 'gone' } });
    assert.ok(r.text.startsWith(': OPENROUTER PROCESSING\n\n'));
    assert.equal(r.all[1].choices[0].delta.reasoning, 'hm');
    assert.deepEqual([r.all.at(-1).error.code, r.all.at(-1).choices[0].finish_reason, r.all.at(-1).provider], ['server_error', 'error', 'Fake']);
    assert.equal((await chat({ dialect: 'openrouter', status: 402 })).all.error.code, 402);
  });
  test('deepseek', async () => {
    const r = await chat({ dialect: 'deepseek', reasoning: 'hm' });
    assert.match(r.text, /^: keep-alive\n\n/);
    assert.ok(r.all.findIndex((e) => e.choices?.[0].delta.reasoning_content) < r.all.findIndex((e) => e.choices?.[0].delta.content));
    assert.ok(r.all.at(-2).usage.prompt_cache_miss_tokens > 0);
    assert.ok((await chat({ dialect: 'deepseek' }, { stream: false })).text.startsWith('\n\n\n{"id"'));
  });
  test('vllm', async () => {
    const r = await chat({ dialect: 'vllm', reasoning: 'hm', errorAfter: 1 }, { stream_options: { include_usage: true, continuous_usage_stats: true } });
    assert.equal(r.all[1].choices[0].delta.reasoning, 'hm');
    assert.ok(r.all[1].usage);
    assert.equal(typeof r.all.at(-2).error.code, 'number');
    assert.equal(r.all.at(-1), '[DONE]');
  });
  test('ollama-v1', async () => {
    const r = await chat({ dialect: 'ollama-v1', tools: TOOLS });
    assert.equal(r.all[1].choices[0].delta.tool_calls[0].function.arguments, '{"loc":"a\\"b"}');
    assert.equal(r.all[0].system_fingerprint, 'fp_ollama');
    const cut = await chat({ dialect: 'ollama-v1', errorAfter: 1 });
    assert.equal(cut.all.at(-1).choices[0].finish_reason, null);
  });
  test('llamacpp', async () => {
    const r = await chat({ dialect: 'llamacpp' });
    assert.ok(r.text.startsWith(':\n\n') && r.all.at(-2).timings);
    assert.deepEqual((await chat({ dialect: 'llamacpp', status: 503 })).all.error, { code: 503, message: 'The engine is overloaded.', type: 'unavailable_error' });
    assert.match((await chat({ dialect: 'llamacpp', errorAfter: 1, failure: 'field' })).text, /\nerror: \{"code":500/);
  });
  test('azure', async () => {
    const r = await chat({ dialect: 'azure' }, { model: undefined }, '/openai/deployments/dep/chat/completions?api-version=2024-10-21', { authorization: '', 'api-key': 'test' });
    assert.deepEqual([r.all[0].choices, r.all[0].id, r.all[0].object], [[], '', '']);
    assert.ok(!('delta' in r.all.at(-2).choices[0]) && r.all.at(-3).choices[0].finish_reason === 'stop');
    assert.equal(r.all[1].model, 'dep');
  });
  test('spark-http', async () => {
    const r = await chat({ dialect: 'spark-http', tools: [TOOLS[0]], text: 'hi' });
    assert.ok(r.text.startsWith('data:{"code":0,"message":"Success","sid":"') && r.text.endsWith('data:[DONE]\n\n'));
    assert.ok(!r.text.includes('finish_reason') && !r.text.includes('"object"'));
    assert.equal(r.all.at(-2).choices[0].delta.tool_calls.function.name, 'f');
    assert.ok(r.all.at(-2).usage.total_tokens);
    assert.ok(Array.isArray((await chat({ dialect: 'spark-http', tools: TOOLS }, { tool_calls_switch: true })).all.at(-2).choices[0].delta.tool_calls));
    assert.equal((await chat({ dialect: 'spark-http', status: 429, error: { code: '11202' } })).all.error.code, '11202');
  });
  test('errors in a 200, JSON for a stream, every way to fail', async () => {
    const r = await chat({ error200: true });
    assert.deepEqual([r.status, r.headers['content-type'], r.all.error.type], [200, 'application/json', 'server_error']);
    assert.equal((await chat({ json: true })).all.object, 'chat.completion');
    const last = async (failure) => (await chat({ errorAfter: 0, failure })).text.split('\n\n').at(-2);
    assert.match(await last('error'), /^data: \{"error":\{"message"/);
    assert.match(await last('string'), /^data: \{"error":"/);
    assert.match(await last('event'), /^event: error\ndata: /);
    assert.match(await last('choice'), /"choices":\[\{.*"error":\{/);
  });

  test('the openai client', async (t) => {
    let OpenAI;
    try {
      OpenAI = (await import(pathToFileURL(createRequire(new URL('../e2e/package.json', import.meta.url)).resolve('openai')))).default;
      OpenAI = OpenAI.default ?? OpenAI;
    } catch {
      return t.skip('npm openai is not installed');
    }
    const client = new OpenAI({ baseURL: `${p.url}/v1`, apiKey: 'test' });
    const { stream: _, ...q } = body();
    for (const dialect of ['openai', 'openrouter', 'deepseek', 'vllm', 'ollama-v1', 'llamacpp', 'qwen']) {
      p.script({ answer: { dialect }, times: 1 });
      const done = await client.chat.completions.stream({ ...q, ...USAGE }).finalChatCompletion();
      assert.equal(done.choices[0].message.content, 'hello world');
      assert.equal(done.choices[0].finish_reason, 'stop');
    }
    p.script({ answer: { tools: TOOLS, interleave: true }, times: 1 });
    const called = await client.chat.completions.stream(q).finalChatCompletion();
    assert.deepEqual(called.choices[0].message.tool_calls.map((c) => c.function.arguments), ['{"loc":"a\\"b"}', '{"n":2}']);
    assert.equal((await client.chat.completions.create(q)).choices[0].message.content, 'hello world');
    p.script({ answer: { status: 500, headers: { 'retry-after-ms': '5' } }, times: 2 });
    assert.ok(await client.chat.completions.create(q));
    assert.equal(p.requests().at(-1).headers['x-stainless-retry-count'], '2');
    p.script({ answer: { status: 429, headers: { 'x-should-retry': 'false' } }, times: 1 });
    await assert.rejects(client.chat.completions.create(q), { status: 429, code: 'rate_limit_exceeded' });
    p.script({ answer: { errorAfter: 1 }, times: 1 });
    await assert.rejects(client.chat.completions.stream(q).finalChatCompletion(), /The server had an error/);
    p.script({ answer: { finish: null }, times: 1 });
    await assert.rejects(client.chat.completions.stream(q).finalChatCompletion(), /missing finish_reason/);
    assert.deepEqual((await client.models.list()).data.map((m) => m.id), ['fake-model', 'fake-embedding']);
    await assert.rejects(client.models.retrieve('none'), { status: 404, code: 'model_not_found' });
    const float = (await client.embeddings.create({ model: 'e', input: ['a', 'b'], encoding_format: 'float' })).data.map((d) => d.embedding);
    const base64 = (await client.embeddings.create({ model: 'e', input: ['a', 'b'] })).data.map((d) => d.embedding);
    assert.deepEqual(base64.map((v) => [...v]), float);
    assert.equal(p.requests().at(-1).body.encoding_format, 'base64');
  });
});

describe('dashscope', () => {
  let p;
  before(async () => (p = await start({ kind: 'dashscope' })));
  after(() => p.stop());
  beforeEach(() => { p.clear(); p.forget(); });
  const SSE = { accept: 'text/event-stream', 'x-dashscope-sse': 'enable', 'accept-encoding': 'identity' };
  const APP = '/api/v1/apps/app1/completion';
  const GEN = '/api/v1/services/aigc/text-generation/generation';
  const go = async (path, b, answer, headers = SSE) => {
    if (answer) p.script({ answer, times: 1 });
    const r = await ask(p, path, b, headers);
    return { ...r, all: r.text.startsWith('{') ? JSON.parse(r.text) : events(r.text) };
  };
  const app = (parameters, answer, input, headers) => go(APP, { input: { prompt: 'hello world', ...input }, parameters, debug: {} }, answer, headers);

  test('frames as captured', async () => {
    const r = await app({ incremental_output: true }, { tokens: ['x', 'y'], session: '069d' });
    const one = /^id:1\nevent:result\n:HTTP_STATUS\/200\ndata:\{"output":\{"session_id":"069d","finish_reason":"null","text":"x"\},"usage":\{"models":\[\{"input_tokens":\d+,"output_tokens":1,"model_id":"qwen-max-latest"\}\]\},"request_id":"[0-9a-f-]{36}"\}\n\nid:2\n/;
    assert.match(r.text, one);
    assert.deepEqual(r.all.map((e) => [e.output.text, e.output.finish_reason]), [['x', 'null'], ['y', 'null'], ['', 'stop']]);
    assert.ok(!r.text.includes('DONE'));
    assert.deepEqual([r.headers['content-type'], r.headers['x-dashscope-finished']], ['text/event-stream;charset=UTF-8', 'false']);
    assert.deepEqual(p.requests()[0].problems, []);
    assert.equal(p.requests()[0].model, 'app1');
  });
  test('cumulative, rewritten, without blank lines, unknown lines', async () => {
    assert.deepEqual((await app({}, { tokens: ['a', 'b', 'c'] })).all.map((e) => e.output.text), ['a', 'ab', 'abc']);
    assert.ok((await app({}, { tokens: ['aaaa', 'b'], rewriteAt: 2 })).all[1].output.text.startsWith('Rewritten'));
    assert.ok(!(await app({}, { blank: false })).text.includes('\n\n'));
    assert.match((await app({}, { unknown: true, done: true })).text, /status:200\nheartbeat\n[^]*event:done/);
  });
  test('documents, thoughts, workflow, several models, session', async () => {
    const docs = [{ index_id: '1', title: 't' }];
    const thoughts = [{ thought: 'x', action_type: 'api' }];
    const models = [{ input_tokens: 1, output_tokens: 2, model_id: 'a' }, { input_tokens: 3, output_tokens: 4, model_id: 'b' }];
    const r = await app({ incremental_output: true, has_thoughts: true }, { docs, thoughts, usage: { models } }, { session_id: 'f'.repeat(32) });
    const end = r.all.at(-1);
    assert.deepEqual([end.output.doc_references, end.output.thoughts, end.usage.models, end.output.session_id], [docs, thoughts, models, 'f'.repeat(32)]);
    assert.ok(!r.all[0].output.doc_references);
    const flow = (await app({ incremental_output: true, flow_stream_mode: 'message_format' }, { workflow: true, usage: null })).all[0];
    assert.deepEqual([flow.output.workflow_message.message.content, flow.output.text, flow.usage], ['hell', undefined, {}]);
  });
  test('errors: as an event in a 200, framed with a 4xx, as JSON', async () => {
    const r = await app({}, null, { prompt: undefined });
    assert.match(r.text, /^id:1\nevent:error\n:HTTP_STATUS\/400\ndata:\{"code":"InvalidParameter","message":"[^"]+","request_id":"[^"]+"\}\n$/);
    assert.equal(r.status, 200);
    assert.equal((await app({}, { status: 429, framed: true })).status, 429);
    const late = await app({ incremental_output: true }, { errorAfter: 1, error: { status: 429, code: 'Throttling' } });
    assert.match(late.text, /id:2\nevent:error\n:HTTP_STATUS\/429\ndata:\{"code":"Throttling"[^\n]*\n$/);
    const auth = await app({}, null, {}, { ...SSE, authorization: '' });
    assert.deepEqual([auth.status, auth.all.code, auth.all.message], [401, 'InvalidApiKey', 'Invalid API-key provided.']);
  });
  test('not streamed, and gzip when offered', async () => {
    const r = await app({}, null, {}, {});
    assert.deepEqual([r.all.output.text, r.all.output.finish_reason], ['hello world', 'stop']);
    const z = await ask(p, APP, { input: { prompt: 'x' } }, { ...SSE, 'accept-encoding': 'gzip, deflate' });
    assert.match(gunzipSync(Buffer.concat(z.pieces)).toString(), /^id:1\n/);
    assert.deepEqual(p.requests()[1].problems, ['gzip was offered']);
  });
  test('text generation: thinking, tools, multimodal, result_format text', async () => {
    const q = (parameters) => ({ model: 'qwen', input: { messages: [{ role: 'user', content: 'hi' }] }, parameters: { result_format: 'message', incremental_output: true, ...parameters } });
    const m = (r) => r.all.map((e) => e.output.choices[0].message);
    const thinking = m(await go(GEN, q(), { reasoning: ['r1', 'r2'], tokens: ['t'] }));
    assert.deepEqual(thinking.map((x) => [x.reasoning_content, x.content]), [['r1', ''], ['r2', ''], ['', 't'], ['', '']]);
    const r = await go(GEN, q(), { tools: TOOLS });
    const calls = m(r).map((x) => x.tool_calls[0]);
    assert.ok(calls[0].id && calls[0].function.name === 'f' && calls[1].id === '' && !calls[1].function.name);
    assert.equal(r.all.at(-1).output.choices[0].finish_reason, 'tool_calls');
    assert.ok(calls.at(-1).function.arguments);
    assert.equal((await go(GEN, q(), { tools: TOOLS }, {})).all.output.choices[0].finish_reason, 'stop');
    const many = m(await go(GEN.replace('text', 'multimodal'), q(), { reasoning: ['r'], tokens: ['t'] }));
    assert.deepEqual(many.map((x) => x.content), [[], [{ text: 't' }], []]);
    assert.equal((await go(GEN, q({ result_format: 'text', incremental_output: false }), { tokens: ['a', 'b'] })).all[1].output.text, 'ab');
    assert.equal(content((await go('/compatible-mode' + CHAT, body())).all), 'hello world');
  });
});

describe('anthropic', () => {
  let p;
  before(async () => (p = await start({ kind: 'anthropic' })));
  after(() => p.stop());
  const go = async (answer, more = {}, headers = { 'x-api-key': 'k', 'anthropic-version': '2023-06-01' }) => {
    if (answer) p.script({ answer, times: 1 });
    return ask(p, '/v1/messages', { ...body(), max_tokens: 100, ...more }, headers);
  };
  test('all event types, in order', async () => {
    const { text } = await go({ reasoning: 'think', text: 'hi', tools: [{ name: 'f', arguments: { a: 1 } }] });
    const all = events(text);
    const names = text.match(/(?<=^event: ).*$/gm);
    assert.deepEqual(names, all.map((e) => e.type));
    assert.deepEqual(names.filter((n, i) => n !== names[i - 1]), ['message_start', 'content_block_start', 'ping', 'content_block_delta', 'content_block_stop',
      'content_block_start', 'content_block_delta', 'content_block_stop', 'content_block_start', 'content_block_delta', 'content_block_stop', 'message_delta', 'message_stop']);
    const parts = all.filter((e) => e.type === 'content_block_delta');
    assert.deepEqual([...new Set(parts.map((e) => `${e.index} ${e.delta.type}`))], ['0 thinking_delta', '0 signature_delta', '1 text_delta', '2 input_json_delta']);
    assert.equal(parts.map((e) => e.delta.partial_json ?? '').join(''), '{"a":1}');
    assert.equal(all.at(-2).delta.stop_reason, 'tool_use');
    assert.equal(events((await go({ tools: [{ name: 'f' }], noInput: true })).text).map((e) => e.delta?.partial_json ?? '').join(''), '');
  });
  test('errors and whole answers', async () => {
    assert.ok((await go({ errorAfter: 1 })).text.endsWith('event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'));
    const r = await go({ status: 529 });
    assert.deepEqual([r.status, JSON.parse(r.text).error.type], [529, 'overloaded_error']);
    assert.equal((await go(null, {}, {})).status, 401);
    assert.match((await go(null, { max_tokens: undefined })).text, /max_tokens: Field required/);
    assert.equal((await go(null, { messages: [{ role: 'system', content: 'x' }] })).status, 400);
    assert.deepEqual(JSON.parse((await go(null, { stream: false })).text).content, [{ type: 'text', text: 'hello world' }]);
  });
});

describe('ollama', () => {
  let p;
  before(async () => (p = await start({ kind: 'ollama' })));
  after(() => p.stop());
  const go = async (answer, more) => {
    if (answer) p.script({ answer, times: 1 });
    const r = await ask(p, '/api/chat', { ...body(), stream: undefined, ...more });
    return { ...r, lines: r.text.trim().split('\n').map((l) => JSON.parse(l)) };
  };
  test('lines, tools as objects, thinking, an error in a 200, whole answers', async () => {
    const r = await go();
    assert.equal(r.headers['content-type'], 'application/x-ndjson');
    assert.equal(r.lines.map((l) => l.message.content).join(''), 'hello world');
    assert.deepEqual([r.lines.at(-1).done, r.lines.at(-1).done_reason, r.lines[0].done], [true, 'stop', false]);
    const t = await go({ reasoning: 'hm', tools: TOOLS });
    assert.equal(t.lines[0].message.thinking, 'hm');
    assert.deepEqual(t.lines[1].message.tool_calls, [{ function: { name: 'f', arguments: { loc: 'a"b' } } }]);
    const e = await go({ errorAfter: 1, error: { message: 'out of memory' } });
    assert.deepEqual([e.status, e.lines.at(-1)], [200, { error: 'out of memory' }]);
    assert.equal((await go({ end: false })).lines.at(-1).done, false);
    assert.deepEqual([(await go(null, { stream: false })).lines[0].message.content, (await go({ status: 404 })).status], ['hello world', 404]);
  });
});
