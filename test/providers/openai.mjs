// OpenAI Chat Completions and those who speak it with an accent.
import { createHash } from 'node:crypto';
import { checker, fill, fragments, hex, json, last, lastUser, onlyKeys, sse, unix, whole } from './lib/answer.mjs';

// What each dialect does differently from the first one.
const DIALECTS = {
  openai: { fingerprint: 'fp_fake', logprobs: true, obfuscation: true },
  openrouter: {
    reasoning: 'reasoning', comment: ': OPENROUTER PROCESSING', fail: 'chunk', native: true,
    extra: { provider: 'Fake' }, headers: { 'x-generation-id': 'gen-fake' },
    error: (s, e) => ({ code: s, message: e.message, metadata: e.metadata }),
  },
  deepseek: { comment: ': keep-alive', blank: '\n\n\n', usage: 'finish', fingerprint: 'fp_fake' },
  vllm: {
    reasoning: 'reasoning', fail: 'error+done',
    error: (s, e) => ({ message: e.message, type: e.type, param: null, code: s }),
  },
  'ollama-v1': {
    reasoning: 'reasoning', tools: 'whole', fail: 'silent', fingerprint: 'fp_ollama',
    error: (s, e) => ({
      message: e.message, type: { 400: 'invalid_request_error', 404: 'not_found_error' }[s] ?? 'api_error', param: null, code: null,
    }),
  },
  llamacpp: {
    comment: ':', timings: true,
    error: (s, e) => ({
      code: s, message: e.message,
      type: { 400: 'invalid_request_error', 401: 'authentication_error', 403: 'permission_error', 404: 'not_found_error',
        501: 'not_supported_error', 503: 'unavailable_error' }[s] ?? 'server_error',
    }),
  },
  azure: { key: 'api-key', path: /^\/openai\/deployments\/([^/]+)\//, filters: true, logprobs: true },
  'spark-http': {
    space: '', tools: 'object', bare: true, usage: 'last',
    error: (s, e) => ({ code: e.code ?? String(s), message: e.message, type: e.type }),
  },
  qwen: { tools: 'empty-id' }, // DashScope's compatible mode
  'index-0': { tools: 'index-0' },
};

const HTTP_ERRORS = {
  400: ['invalid_request_error', null, 'Bad request.'],
  401: ['invalid_request_error', 'invalid_api_key', 'Incorrect API key provided.'],
  402: ['insufficient_quota', null, 'Insufficient balance.'],
  403: ['permission_error', null, 'You are not allowed to do this.'],
  404: ['invalid_request_error', 'model_not_found', 'The model does not exist.'],
  429: ['rate_limit_error', 'rate_limit_exceeded', 'Rate limit reached.'],
  500: ['server_error', null, 'The server had an error.'],
  503: ['server_error', null, 'The engine is overloaded.'],
};
function problem(status, d, own = {}) {
  const [type, code, message] = HTTP_ERRORS[status] ?? HTTP_ERRORS[status < 500 ? 400 : 500];
  const e = { message, type, param: null, code, ...own };
  return { error: d.error ? { ...d.error(status, e), ...own } : e };
}

// How an answer that began well goes wrong: the chunk it had in hand, the error -> frames.
const FAILURES = {
  error: (f, e) => [f(e)],
  'error+done': (f, e) => [f(e), f('[DONE]')],
  chunk: (f, e, chunk) => [f({ ...chunk({ content: '' }, 'error'), ...e })],
  choice: (f, e, chunk) => {
    const c = chunk({ content: '' }, 'error');
    Object.assign(c.choices[0], e);
    return [f(c)];
  },
  string: (f, e) => [f({ error: e.error.message })],
  event: (f, e) => ['event: error\n' + f(e)],
  field: (f, e) => [`error: ${JSON.stringify(e.error)}\n\n`],
  silent: (f, e, chunk) => [f(chunk({ content: '' }))],
};

// The deltas of one tool call, by style.
const call = (t, index, args, more = {}) => ({ index, id: t.id, type: 'function', function: { name: t.name, arguments: args }, ...more });
const more = (index, args, extra = {}) => ({ index, function: { arguments: args }, ...extra });
const TOOLS = {
  standard: (t, i, parts) => [call(t, i, ''), ...parts.map((p) => more(i, p))],
  whole: (t, i) => [call(t, i, t.arguments)],
  object: (t, i) => [call(t, i, t.arguments)],
  'index-0': (t, i, parts) => [call(t, 0, ''), ...parts.map((p) => more(0, p))],
  'no-index': (t, i, parts) => [call(t, undefined, ''), ...parts.map((p) => more(undefined, p))],
  'empty-id': (t, i, [p0 = '', ...parts]) => [call(t, i, p0), ...parts.map((p) => more(i, p, { id: '', type: 'function' }))],
  'repeat-name': (t, i, parts) => ['', ...parts].map((p) => call(t, i, p)),
  'empty-name': (t, i, parts) => [call(t, i, ''), ...parts.map((p) => more(i, p, { function: { name: '', arguments: p } }))],
  'late-name': (t, i, parts) => [{ index: i, id: t.id, type: 'function' }, { index: i, function: { name: t.name } }, ...parts.map((p) => more(i, p))],
};
function* toolDeltas(a, style) {
  const rows = a.tools.map((t, i) => TOOLS[style](t, i, fragments(t, a)));
  if (!a.interleave) return yield* rows.flat();
  for (let k = 0; rows.some((r) => k < r.length); k++) for (const r of rows) if (k < r.length) yield r[k];
}

const FINISH = { stop: 'stop', length: 'length', tools: 'tool_calls', filter: 'content_filter' };
const finishOf = (a) => (a.finish === null ? null : FINISH[a.finish] ?? a.finish);
const usageOf = (u) => ({
  prompt_tokens: u.input, completion_tokens: u.output, total_tokens: u.input + u.output,
  prompt_tokens_details: { cached_tokens: u.cached },
  completion_tokens_details: { reasoning_tokens: u.reasoning },
  ...u.more,
});

function* stream(body, a, d, model) {
  const fresh = () => `chatcmpl-${hex(12)}`;
  const id = fresh();
  const created = unix();
  const asked = body.stream_options?.include_usage === true;
  const each = body.stream_options?.continuous_usage_stats === true;
  const space = d.space ?? ' ';
  const frame = (x) => `data:${space}${typeof x === 'string' ? x : JSON.stringify(x)}\n\n`;
  const usage = a.usage && usageOf(a.usage);
  let n = 0;
  function chunk(delta, finish = null) {
    const choice = { index: 0, delta, ...(d.logprobs && { logprobs: null }), finish_reason: finish };
    if (d.native) choice.native_finish_reason = finish;
    if (d.bare) {
      return { code: 0, message: 'Success', sid: `cha${id.slice(9)}`, id: a.ids === 'fresh' ? fresh() : id, created, choices: [{ delta, index: 0 }] };
    }
    return {
      id: a.ids === 'fresh' ? fresh() : id, object: 'chat.completion.chunk', created, model, ...d.extra,
      ...(d.fingerprint && { system_fingerprint: d.fingerprint }), choices: [choice],
      ...(each ? { usage } : asked && d.usage !== 'finish' && { usage: null }),
      ...(d.obfuscation && { obfuscation: 'x'.repeat(1 + (n++ % 9)) }),
    };
  }
  function* deltas() {
    const key = d.reasoning ?? 'reasoning_content';
    const role = { role: 'assistant' };
    if (!d.bare) yield { ...role, content: a.tools.length && !a.tokens.length ? null : '', ...(a.refusal && { refusal: '' }) };
    for (const r of a.reasoning) yield d.bare ? { ...role, [key]: r } : { [key]: r };
    if (a.refusal) for (const r of [a.refusal].flat()) yield { refusal: r };
    for (const t of a.tokens) yield d.bare ? { ...role, content: t } : { content: t };
    const style = a.style ?? (d.tools === 'object' && body.tool_calls_switch ? 'whole' : d.tools ?? 'standard');
    for (const t of toolDeltas(a, style)) yield { ...(d.bare && role), tool_calls: style === 'object' ? t : [t] };
  }
  if (d.comment) yield `${d.comment}\n\n`;
  if (d.filters) {
    yield frame({ id: '', object: '', created: 0, model: '', choices: [],
      prompt_filter_results: [{ prompt_index: 0, content_filter_results: { hate: { filtered: false, severity: 'safe' } } }] });
  }
  let said = 0;
  for (const [delta, final] of last(deltas())) {
    if (said >= a.errorAfter) break;
    if (!delta.role || d.bare) said++;
    const rides = final && d.tools === 'empty-id' && a.tools.length > 0;
    const c = chunk(delta, rides ? finishOf(a) : null);
    if (final && d.usage === 'last' && usage) c.usage = usage;
    yield frame(c);
    if (d.comment && said === 1) yield `${d.comment}\n\n`;
    if (rides) a = { ...a, finish: null };
  }
  if (a.errorAfter !== Infinity) {
    return yield* FAILURES[a.failure ?? d.fail ?? 'error'](frame, problem(a.error?.status ?? 500, d, a.error), chunk);
  }
  if (a.finish !== null && !d.bare) {
    const c = chunk({}, finishOf(a));
    if (d.usage === 'finish' && usage) c.usage = { ...usage, prompt_cache_hit_tokens: 0, prompt_cache_miss_tokens: usage.prompt_tokens };
    if (d.timings) c.timings = { prompt_n: 1, predicted_n: a.tokens.length };
    yield frame(c);
  }
  if (d.filters) {
    yield frame({ id: '', object: '', created: 0, model: '', choices: [{ index: 0, finish_reason: null,
      content_filter_results: { hate: { filtered: false, severity: 'safe' } }, content_filter_offsets: { check_offset: 0, start_offset: 0, end_offset: 9 } }] });
  }
  if (asked && usage && !d.usage) yield frame({ ...chunk({}), choices: [], usage });
  if (a.end !== false) yield frame('[DONE]');
}

function complete(body, a, d, model) {
  const message = { role: 'assistant', content: a.tools.length && !a.tokens.length ? null : whole(a.tokens), refusal: null };
  if (a.reasoning.length) message[d.reasoning ?? 'reasoning_content'] = whole(a.reasoning);
  if (a.refusal) Object.assign(message, { content: null, refusal: [a.refusal].flat().join('') });
  if (a.tools.length) {
    message.tool_calls = a.tools.map((t) => ({ id: t.id, type: 'function', function: { name: t.name, arguments: t.arguments } }));
    if (d.tools === 'object' && !body.tool_calls_switch) [message.tool_calls] = message.tool_calls;
  }
  const usage = a.usage ? { usage: usageOf(a.usage) } : {};
  if (d.bare) {
    delete message.refusal;
    return { code: 0, message: 'Success', sid: `cha${hex(10)}`, choices: [{ message, index: 0 }], ...usage };
  }
  return {
    id: `chatcmpl-${hex(12)}`, object: 'chat.completion', created: unix(), model, ...d.extra,
    choices: [{ index: 0, message, logprobs: null, finish_reason: finishOf(a) }], ...usage,
    ...(d.fingerprint && { system_fingerprint: d.fingerprint }),
  };
}

const FIELDS = `model messages stream stream_options temperature top_p n stop max_tokens max_completion_tokens presence_penalty
  frequency_penalty logit_bias logprobs top_logprobs seed user safety_identifier response_format tools tool_choice
  parallel_tool_calls functions function_call reasoning_effort verbosity service_tier store metadata modalities audio
  prediction prompt_cache_key prompt_cache_retention web_search_options enable_thinking thinking_budget enable_search
  tool_calls_switch`.split(/\s+/);
function inspect({ body, headers, problems }) {
  const want = checker(problems);
  want(/^application\/json\b/.test(headers['content-type']), 'content-type is not JSON');
  want(!/gzip|deflate|br/.test(headers['accept-encoding'] ?? ''), 'a coding was offered');
  if (!want(body && typeof body === 'object', 'no JSON body')) return;
  onlyKeys(want, body, FIELDS, 'body');
  want(body.stream_options === undefined || body.stream === true, 'stream_options without stream');
  const known = new Set();
  for (const [i, m] of (Array.isArray(body.messages) ? body.messages : []).entries()) {
    const at = `messages[${i}]`;
    want(['developer', 'system', 'user', 'assistant', 'tool', 'function'].includes(m.role), `${at}: role ${m.role}`);
    want(typeof m.content === 'string' || Array.isArray(m.content) || (m.role === 'assistant' && m.tool_calls), `${at}: content`);
    for (const t of m.tool_calls ?? []) {
      want(t.type === 'function' && typeof t.function?.arguments === 'string', `${at}: tool call`);
      known.add(t.id);
    }
    if (m.role === 'tool') want(known.has(m.tool_call_id), `${at}: tool_call_id ${m.tool_call_id} was never asked for`);
  }
}

const vector = (text, n) => Array.from({ length: n }, (_, i) =>
  Math.fround(createHash('sha256').update(`${i}:${text}`).digest().readInt16LE() / 32768));
function embeddings(body, model) {
  const input = Array.isArray(body.input) && (typeof body.input[0] !== 'number') ? body.input : [body.input];
  const data = input.map((x, index) => {
    const v = vector(JSON.stringify(x), body.dimensions ?? 8);
    return { object: 'embedding', index, embedding: body.encoding_format === 'base64' ? Buffer.from(new Float32Array(v).buffer).toString('base64') : v };
  });
  const n = Math.ceil(JSON.stringify(body.input).length / 4);
  return { object: 'list', data, model, usage: { prompt_tokens: n, total_tokens: n } };
}

const azurePath = DIALECTS.azure.path;
export default {
  look: ({ path, body }) => ({
    model: azurePath.exec(path ?? '')?.[1] ?? body?.model, said: lastUser(body?.messages), stream: body?.stream === true,
  }),
  handle(rec, script, o) {
    const dialect = script.dialect ?? o.dialect ?? 'openai';
    const d = DIALECTS[dialect];
    if (!d) throw new Error(`no dialect called ${dialect}: ${Object.keys(DIALECTS)}`);
    const { method, path, headers, problems } = rec;
    const fail = (status, own) => json(script.error200 ? 200 : status, problem(status, d, own), { 'x-request-id': `req_${hex(8)}`, ...d.headers });
    if (script.status >= 400 || script.error200) return fail(script.status ?? 500, script.error);
    const want = checker(problems);
    const bearer = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1];
    const key = d.key ? headers[d.key] ?? bearer : bearer;
    if (!key || (o.key && key !== o.key)) return fail(401);
    const models = o.models ?? ['fake-model', 'fake-embedding'];
    const model = (id) => ({ id, object: 'model', created: 1_700_000_000, owned_by: 'fake' });
    const [, one] = /\/models(?:\/([^/]+))?$/.exec(path) ?? [null, null];
    if (method === 'GET' && one === undefined) return json(200, { object: 'list', data: models.map(model) });
    if (method === 'GET' && one) return models.includes(one) ? json(200, model(one)) : fail(404);
    if (method !== 'POST') return fail(404, { code: null, message: `Unknown request: ${method} ${path}` });
    const body = rec.body ?? {};
    if (dialect === 'azure') want(azurePath.test(path) && rec.query['api-version'], 'not an Azure address');
    if (path.endsWith('/embeddings')) {
      if (body.input === undefined) return fail(400, { param: 'input' });
      return json(200, embeddings(body, rec.model));
    }
    if (!path.endsWith('/chat/completions')) return fail(404, { code: null, message: `Unknown request: ${method} ${path}` });
    inspect(rec);
    if (!rec.model || !Array.isArray(body.messages) || !body.messages.length) {
      return fail(400, { param: rec.model ? 'messages' : 'model', message: 'Missing required parameter.' });
    }
    const a = fill(script, { text: rec.said, messages: body.messages, max: body.max_completion_tokens ?? body.max_tokens });
    if (body.stream !== true || script.json) return json(200, complete(body, a, d, rec.model), d.headers, d.blank);
    return sse(stream(body, a, d, rec.model), { 'x-request-id': `req_${hex(8)}`, ...d.headers });
  },
};
export { DIALECTS };
