// Anthropic Messages.
import { checker, fill, fragments, hex, json, lastUser, onlyKeys, sse, whole } from './lib/answer.mjs';

const TYPES = {
  400: 'invalid_request_error', 401: 'authentication_error', 403: 'permission_error', 404: 'not_found_error',
  413: 'request_too_large', 429: 'rate_limit_error', 500: 'api_error', 529: 'overloaded_error',
};
const WORDS = { overloaded_error: 'Overloaded', rate_limit_error: 'Rate limited', authentication_error: 'invalid x-api-key' };
const problem = (status, own) => {
  const type = own?.type ?? TYPES[status] ?? 'api_error';
  return { type: 'error', error: { type, message: WORDS[type] ?? 'Something went wrong', ...own } };
};
const STOP = { stop: 'end_turn', length: 'max_tokens', tools: 'tool_use', filter: 'refusal' };
const frame = (type, data = {}) => `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;

const blocks = (a) => [ // [the block at its start, its deltas]
  ...(a.reasoning.length ? [[{ type: 'thinking', thinking: '', signature: '' }, [
    ...a.reasoning.map((thinking) => ({ type: 'thinking_delta', thinking })),
    { type: 'signature_delta', signature: Buffer.from('fake signature').toString('base64') },
  ]]] : []),
  ...(a.tokens.length || !a.tools.length ? [[{ type: 'text', text: '' }, a.tokens]] : []),
  ...a.tools.map((t) => [{ type: 'tool_use', id: t.id, name: t.name, input: {} },
    [...(a.noInput ? [''] : ['', ...fragments(t, a)])].map((partial_json) => ({ type: 'input_json_delta', partial_json }))]),
];

function* stream(a, message) {
  const usage = a.usage && { input_tokens: a.usage.input, output_tokens: 1 };
  yield frame('message_start', { message: { ...message, content: [], stop_reason: null, stop_sequence: null, ...(usage && { usage }) } });
  let said = 0;
  for (const [index, [content_block, deltas]] of blocks(a).entries()) {
    yield frame('content_block_start', { index, content_block });
    if (index === 0 && a.ping !== false) yield frame('ping');
    for (const d of deltas) {
      if (said++ >= a.errorAfter) return yield frame('error', { error: problem(529, a.error).error });
      if (said > 1 && a.ping > 0 && said % a.ping === 0) yield frame('ping');
      yield frame('content_block_delta', { index, delta: typeof d === 'string' ? { type: 'text_delta', text: d } : d });
    }
    yield frame('content_block_stop', { index });
  }
  if (a.errorAfter !== Infinity) return yield frame('error', { error: problem(529, a.error).error });
  if (a.finish !== null) {
    yield frame('message_delta', {
      delta: { stop_reason: STOP[a.finish] ?? a.finish, stop_sequence: null }, ...(usage && { usage: { output_tokens: a.usage.output } }),
    });
  }
  if (a.end !== false) yield frame('message_stop');
}

function inspect({ body, headers, problems }) {
  const want = checker(problems);
  want(/^application\/json\b/.test(headers['content-type']), 'content-type is not JSON');
  want(!/gzip|deflate|br/.test(headers['accept-encoding'] ?? ''), 'a coding was offered');
  onlyKeys(want, body, ['model', 'max_tokens', 'messages', 'system', 'stream', 'tools', 'tool_choice', 'temperature', 'thinking',
    'top_p', 'top_k', 'stop_sequences', 'metadata'], 'body');
  for (const t of body?.tools ?? []) want(t.name && t.input_schema && !t.function, `tool ${JSON.stringify(t)}`);
  const asked = new Set();
  for (const m of body?.messages ?? []) {
    for (const b of Array.isArray(m.content) ? m.content : []) {
      if (b.type === 'tool_use') asked.add(b.id) && want(b.input && typeof b.input === 'object', 'tool_use input is an object');
      if (b.type === 'tool_result') want(m.role === 'user' && asked.has(b.tool_use_id), `tool_result of ${b.tool_use_id}`);
    }
  }
}

export default {
  look: ({ body }) => ({ model: body?.model, said: lastUser(body?.messages), stream: body?.stream === true }),
  handle(rec, script, o) {
    const { body, headers } = rec;
    const id = `req_${hex(10)}`;
    const fail = (status, own) => json(script.error200 ? 200 : status, { ...problem(status, own), request_id: id }, { 'request-id': id });
    const refuse = (message) => fail(400, { message });
    if (script.status >= 400 || script.error200) return fail(script.status ?? 500, script.error);
    if (rec.method !== 'POST' || !rec.path.endsWith('/v1/messages')) return fail(404);
    if (!headers['x-api-key'] || (o.key && headers['x-api-key'] !== o.key)) return fail(401);
    if (headers['anthropic-version'] !== '2023-06-01') return refuse('anthropic-version: header is required');
    for (const k of ['model', 'max_tokens', 'messages']) if (body?.[k] === undefined) return refuse(`${k}: Field required`);
    const bad = body.messages.find((m) => !['user', 'assistant'].includes(m.role));
    if (bad) return refuse(`messages: Unexpected role "${bad.role}"`);
    inspect(rec);
    const a = fill(script, { text: rec.said, messages: body.messages, max: body.max_tokens });
    const message = { id: `msg_${hex(10)}`, type: 'message', role: 'assistant', model: body.model };
    if (body.stream === true && !script.json) return sse(stream(a, message), { 'request-id': id });
    const content = blocks(a).map(([b], i) => ({
      thinking: () => ({ ...b, thinking: whole(a.reasoning), signature: 'fake' }),
      text: () => ({ ...b, text: whole(a.tokens) }),
      tool_use: () => ({ ...b, input: JSON.parse(a.tools.find((t) => t.id === b.id).arguments || '{}') }),
    })[b.type](i));
    return json(200, {
      ...message, content, stop_reason: STOP[a.finish] ?? a.finish, stop_sequence: null,
      ...(a.usage && { usage: { input_tokens: a.usage.input, output_tokens: a.usage.output } }),
    }, { 'request-id': id });
  },
};
