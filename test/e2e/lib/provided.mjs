// A server with providers that a test made, and questions to it.
import assert from 'node:assert/strict';
import { duration, ms, start } from './server.mjs';

export const TEXT = 'Hello 你好 wide 👩‍👩‍👧 world';

// The settings of a provider, one try per question.
export const provider = (name, base_url, more = {}) => ({
  name, kind: 'openai', base_url, api_key: 'sk-canary-78', connect_timeout: duration(3000), tls_timeout: duration(5000), first_timeout: duration(8000),
  idle_timeout: duration(5000), retries: 0, breaker_failures: 0, ...more });

// A server where each provider is a model of the same name.
export const serve = (providers, more = {}, options = {}) => start({
  stream: { commit_after: duration(20000) },            // what fails keeps its status
  providers, models: providers.map(({ name }) => ({ name, targets: [{ provider: name }] })), ...more }, options);

// { status, text, done, error, ms } of one streamed question. [DONE] never stands behind an error.
export async function ask(server, model, { text = TEXT, patience = ms(30000) } = {}) {
  const began = performance.now();
  const res = await fetch(`http://127.0.0.1:${server.port}/v1/chat/completions`, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, stream: true, messages: [{ role: 'user', content: text }] }),
    signal: AbortSignal.timeout(patience),
  });
  const all = await res.text();
  const seen = { status: res.status, text: '', done: false, error: null, ms: performance.now() - began };
  if (res.status !== 200) return { ...seen, error: JSON.parse(all).error };
  for (const event of all.split('\n\n').filter((e) => e.startsWith('data: '))) {
    assert.ok(!seen.done, 'something behind [DONE]');
    if (event === 'data: [DONE]') { seen.done = true; continue; }
    const chunk = JSON.parse(event.slice(6));
    seen.error ??= chunk.error ?? null;
    seen.text += chunk.choices?.[0]?.delta?.content ?? '';
  }
  assert.ok(seen.done !== (seen.error !== null), 'a stream ends with [DONE] or with an error');
  return seen;
}

// `want` is 'whole', a code, or a list of those of which one must come.
export async function mustBe(want, server, model, more) {
  const got = await ask(server, model, more);
  const outcome = got.done ? 'whole' : got.error.code;
  assert.ok([want].flat().includes(outcome), `${outcome} (${got.status}) instead of ${want}:\n${server.stderr.slice(-600)}`);
  if (got.done) assert.equal(got.text, more?.text ?? TEXT, '[DONE] behind another text');
  return got;
}

// The turn's log line for that model, the newest.
export const turnLine = (server, model, from = 0) => server.log((f) => f.msg === 'turn' && f.model === model, { from });
