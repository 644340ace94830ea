// The kinds of provider, one row each: how its fake is started, how the program is told of it,
// what it can do, and where a request of it says what; `extra` is a member that settings may
// add (else a seed), and `extras` where it goes (else beside the others).
import assert from 'node:assert/strict';

export const KEY = 'sk-of-ours-77';
export const SECRET = 'secret-of-ours-88';

const text = (content) => (Array.isArray(content) ? content.map((p) => p.text ?? '').join('') : content);
const bearer = (q) => /^Bearer (.*)$/.exec(q.headers.authorization)?.[1];
const turns = (messages) => messages.filter((m) => m.role !== 'system').map((m) => [m.role, text(m.content)]);
const system = (messages) => messages.filter((m) => m.role === 'system').map((m) => text(m.content)).join('\n');
const inMessages = (messages) => ({ system: system(messages), turns: turns(messages) });

// What the second round of a talk with tools must look like: see `round` in kinds.test.mjs.
function openaiRound(messages) {
  assert.deepEqual(messages.map((m) => m.role), ['user', 'assistant', 'tool', 'tool']);
  assert.deepEqual(messages[1].tool_calls.map((t) => [t.id, t.type, t.function.name, JSON.parse(t.function.arguments)]),
    [['c1', 'function', 'weather', { city: '北京' }], ['c2', 'function', 'now', {}]]);
  assert.deepEqual(messages.slice(2).map((m) => [m.tool_call_id, text(m.content)]), [['c1', '晴 25°'], ['c2', 'noon']]);
}
function anthropicRound(messages) {
  assert.deepEqual(messages.map((m) => m.role), ['user', 'assistant', 'user']);
  assert.deepEqual(messages[1].content.map((b) => [b.type, b.id, b.name, b.input]),
    [['tool_use', 'c1', 'weather', { city: '北京' }], ['tool_use', 'c2', 'now', {}]]);
  assert.deepEqual(messages[2].content.map((b) => [b.type, b.tool_use_id, text(b.content)]),
    [['tool_result', 'c1', '晴 25°'], ['tool_result', 'c2', 'noon']]);
}
function ollamaRound(messages) {
  assert.deepEqual(messages.map((m) => m.role), ['user', 'assistant', 'tool', 'tool']);
  assert.deepEqual(messages[1].tool_calls.map((t) => [t.function.name, t.function.arguments]), [['weather', { city: '北京' }], ['now', {}]]);
  assert.deepEqual(messages.slice(2).map((m) => [m.tool_name, m.content]), [['weather', '晴 25°'], ['now', 'noon']]);
}
// Spark knows no tools in a talk: what was asked and found is told in words.
function sparkRound(messages) {
  const said = messages.map((m) => m.content).join('\n');
  for (const word of ['weather', '北京', '晴 25°', 'noon']) assert.ok(said.includes(word), `${word} is missing in ${said}`);
}

const functions = (tools) => tools?.map((t) => t.function);
const openai = {
  fake: { kind: 'openai', key: KEY, models: ['fake-model', 'fake-embedding'] },
  settings: (url) => ({ kind: 'openai', base_url: `${url}/v1`, api_key: KEY }),
  model: 'fake-model',
  does: { reasoning: true, tools: 2, ids: true, finish: ['length', 'filter'], embeddings: true },
  read: (q) => ({
    key: bearer(q), model: q.body.model, ...inMessages(q.body.messages), tools: functions(q.body.tools),
    options: { temperature: q.body.temperature, top_p: q.body.top_p, max: q.body.max_tokens, stop: q.body.stop, seed: q.body.seed },
  }),
  round: (q) => openaiRound(q.body.messages),
};
const dialect = (name, more = {}) => ({ ...openai, ...more, fake: { ...openai.fake, dialect: name }, does: { ...openai.does, ...more.does } });

const dashscope = (more) => ({
  fake: { kind: 'dashscope', key: KEY },
  settings: (url) => ({ kind: 'dashscope', base_url: url, api_key: KEY, ...more }),
  extras: (q) => q.body.parameters,
});

export const kinds = {
  openai,
  openrouter: dialect('openrouter'),
  deepseek: dialect('deepseek'),
  vllm: dialect('vllm'),
  'ollama-v1': dialect('ollama-v1'),
  llamacpp: dialect('llamacpp'),
  azure: dialect('azure', {
    settings: (url) => ({ kind: 'openai', base_url: `${url}/openai/deployments/fake-model`, api_key: KEY, api_version: '2024-10-21' }),
    read(q) {
      assert.equal(q.headers.authorization, undefined);
      assert.equal(q.query['api-version'], '2024-10-21');
      return { ...openai.read(q), key: q.headers['api-key'], model: q.model };
    },
  }),
  'spark-http': dialect('spark-http', { does: { finish: [] } }), // it tells no reason
  'index-0': dialect('index-0'),
  qwen: {
    ...openai,
    fake: { kind: 'dashscope', key: KEY },
    settings: (url) => ({ kind: 'openai', base_url: `${url}/compatible-mode/v1`, api_key: KEY }),
    does: { ...openai.does, embeddings: true },
  },
  'dashscope app': {
    ...dashscope({ app_id: 'app-5' }),
    model: 'app-5',
    does: { tools: 0, finish: ['length'], citations: true, thoughts: true },
    read: (q) => ({
      key: bearer(q), model: q.model,
      system: system(q.body.input.messages ?? []), turns: [...turns(q.body.input.messages ?? []), ['user', q.body.input.prompt]],
      options: { temperature: q.body.parameters.temperature, top_p: q.body.parameters.top_p, seed: q.body.parameters.seed },
    }),
  },
  'dashscope text': {
    ...dashscope({}),
    model: 'qwen-plus',
    does: { reasoning: true, tools: 2, ids: true, finish: ['length', 'filter'] },
    read({ body: { model, input, parameters: p }, ...q }) {
      assert.deepEqual([p.result_format, p.incremental_output], ['message', true]);
      return { key: bearer(q), model, ...inMessages(input.messages), tools: functions(p.tools),
        options: { temperature: p.temperature, top_p: p.top_p, max: p.max_tokens, stop: p.stop, seed: p.seed } };
    },
    round: (q) => openaiRound(q.body.input.messages),
  },
  spark: {
    fake: { kind: 'spark', apiKey: KEY, apiSecret: SECRET, appId: 'app-6' },
    settings: (url) => ({ kind: 'spark', base_url: url.replace('http', 'ws'), api_key: KEY, api_secret: SECRET, app_id: 'app-6' }),
    model: 'generalv3.5',
    extra: { top_k: 3 },
    extras: (q) => q.body.parameter.chat,
    does: { reasoning: true, tools: 1, finish: [] },
    read: (q) => ({
      key: /api_key="([^"]*)"/.exec(Buffer.from(q.query.authorization, 'base64'))?.[1],
      model: q.body.parameter.chat.domain, ...inMessages(q.body.payload.message.text), tools: q.body.payload.functions?.text,
      options: { temperature: q.body.parameter.chat.temperature, max: q.body.parameter.chat.max_tokens },
    }),
    round: (q) => sparkRound(q.body.payload.message.text),
  },
  anthropic: {
    fake: { kind: 'anthropic', key: KEY },
    settings: (url) => ({ kind: 'anthropic', base_url: url, api_key: KEY }),
    model: 'claude-fake',
    extra: { top_k: 3 },
    does: { reasoning: true, tools: 2, ids: true, finish: ['length', 'filter'] },
    read: ({ body, headers }) => ({
      key: headers['x-api-key'], model: body.model, system: text(body.system ?? ''), turns: turns(body.messages),
      tools: body.tools?.map((t) => ({ name: t.name, description: t.description, parameters: t.input_schema })),
      options: { temperature: body.temperature, top_p: body.top_p, max: body.max_tokens, stop: body.stop_sequences },
    }),
    round: (q) => anthropicRound(q.body.messages),
  },
  ollama: {
    fake: { kind: 'ollama' },
    settings: (url) => ({ kind: 'ollama', base_url: url, api_key: KEY }),
    model: 'qwen2.5:4b',
    extra: { keep_alive: '5m' },
    does: { reasoning: true, tools: 2, finish: ['length'] },
    read: (q) => ({
      key: bearer(q), model: q.body.model, ...inMessages(q.body.messages), tools: functions(q.body.tools),
      options: { temperature: q.body.options?.temperature, top_p: q.body.options?.top_p, max: q.body.options?.num_predict,
        stop: q.body.options?.stop, seed: q.body.options?.seed },
    }),
    round: (q) => ollamaRound(q.body.messages),
  },
};
