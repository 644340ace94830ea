// Ollama's own /api/chat: one JSON object per line. Its /v1 is the openai kind, dialect ollama-v1.
import { checker, fill, json, last, lastUser, onlyKeys, whole } from './lib/answer.mjs';

const TEXT = { 400: 'missing request body', 404: "model 'x' not found", 429: 'too many requests', 500: 'llama runner stopped', 502: 'bad gateway' };

function* lines(a, model) {
  const row = (message, more) => JSON.stringify({ model, created_at: new Date().toISOString(), message: { role: 'assistant', content: '', ...message }, done: false, ...more }) + '\n';
  const calls = a.tools.map((t) => ({ function: { name: t.name, arguments: JSON.parse(t.arguments) } }));
  let said = 0;
  for (const m of [...a.reasoning.map((thinking) => ({ thinking })), ...[...a.tokens].map((content) => ({ content })),
    ...calls.map((c) => ({ tool_calls: [c] }))]) {
    if (said++ >= a.errorAfter) break;
    yield row(m);
  }
  if (a.errorAfter !== Infinity) return yield JSON.stringify({ error: a.error?.message ?? TEXT[500] }) + '\n';
  if (a.finish !== null && a.end !== false) yield row({}, { done: true, ...ending(a) });
}
const ending = (a) => ({
  done_reason: a.finish === 'tools' ? 'stop' : a.finish, total_duration: 5_000_000, load_duration: 1_000_000,
  ...(a.usage && { prompt_eval_count: a.usage.input, prompt_eval_duration: 1_000_000, eval_count: a.usage.output, eval_duration: 3_000_000 }),
});

function inspect({ body, problems }) {
  const want = checker(problems);
  onlyKeys(want, body, ['model', 'messages', 'stream', 'tools', 'think', 'format', 'options', 'keep_alive'], 'body');
  for (const m of body.messages) {
    onlyKeys(want, m, ['role', 'content', 'thinking', 'images', 'tool_calls', 'tool_name'], 'message');
    want(typeof m.content === 'string', 'content is not a string');
    for (const t of m.tool_calls ?? []) want(t.function?.arguments && typeof t.function.arguments === 'object', 'arguments are an object');
  }
}

export default {
  look: ({ body }) => ({ model: body?.model, said: lastUser(body?.messages), stream: body?.stream !== false }),
  handle(rec, script) {
    const { body } = rec;
    const fail = (status, message = TEXT[status] ?? 'error') => json(script.error200 ? 200 : status, { error: message });
    if (script.status >= 400 || script.error200) return fail(script.status ?? 500, script.error?.message);
    if (rec.method !== 'POST' || rec.path !== '/api/chat') return fail(404, '404 page not found');
    if (!body?.model || !Array.isArray(body.messages)) return fail(400, 'model is required');
    inspect(rec);
    const a = fill(script, { text: rec.said, messages: body.messages, max: body.options?.num_predict });
    const all = lines(a, body.model);
    if (rec.stream && !script.json) return { status: 200, headers: { 'content-type': 'application/x-ndjson' }, pieces: all };
    const [end] = [...last(all)].at(-1);
    const one = JSON.parse(end);
    if (one.error) return fail(500, one.error);
    Object.assign(one.message, {
      content: whole(a.tokens), ...(a.reasoning.length && { thinking: whole(a.reasoning) }),
      ...(a.tools.length && { tool_calls: a.tools.map((t) => ({ function: { name: t.name, arguments: JSON.parse(t.arguments) } })) }),
    });
    return json(200, one);
  },
};
