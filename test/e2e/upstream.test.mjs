// A provider that speaks OpenAI's dialect over plain HTTP, and everything it can do wrong.
//
// The fake provider (test/providers) says the question back. Each row is one misbehaviour
// and what a client must then see: the whole answer, or an honest error with its code. Two
// things hold for every row: [DONE] stands only behind the whole text, and nothing hangs.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import OpenAI from 'openai';
import { start as startProvider } from '../providers/lib/index.mjs';
import { duration, ms, start } from './lib/server.mjs';

const TEXT = 'Hello 你好 wide 👩‍👩‍👧 world';
const CODES = ['unreachable', 'cut', 'garbage', 'no_first_token', 'went_quiet', 'service_failed',
  'service_denied', 'service_busy', 'not_accepted', 'filtered', 'provider_busy'];

let provider, server;
before(async () => {
  provider = await startProvider({ kind: 'openai' });
  const common = { kind: 'openai', retries: 0, breaker_failures: 0, connect_timeout: duration(500), first_timeout: duration(1000), idle_timeout: duration(700) };
  server = await start({
    stream: { commit_after: duration(3000) },           // so that what fails early keeps its status
    providers: [
      { name: 'fake', base_url: `http://127.0.0.1:${provider.port}/v1`, api_key: 'sk-canary-77', ...common },
      { name: 'closed', base_url: 'http://127.0.0.1:1/v1', ...common },
      { name: 'nameless', base_url: 'http://no-such-host.invalid/v1', ...common },
    ],
    models: [
      { name: 'm', targets: [{ provider: 'fake', model: 'real-name' }] },
      { name: 'closed', targets: [{ provider: 'closed' }] },
      { name: 'nameless', targets: [{ provider: 'nameless' }] },
      { name: 'second', targets: [{ provider: 'closed' }, { provider: 'fake' }] },
    ],
  });
});
after(async () => {
  assert.doesNotMatch(server.stderr, /sk-canary-77/, 'our key is in the log');
  await server.metricBecomes('runnel_turns_running', 0);
  await server.stop();
  await provider.stop();
});

// { status, text, done, error, finish, reasoning, tools, usage } of one streamed question.
async function stream(model = 'm', more = {}) {
  const res = await fetch(`http://127.0.0.1:${server.port}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, stream: true, stream_options: { include_usage: true },
      messages: [{ role: 'user', content: TEXT }], ...more }),
    signal: AbortSignal.timeout(ms(8000)),
  });
  const all = await res.text();
  const seen = { status: res.status, text: '', reasoning: '', tools: [], done: false, error: null, finish: null };
  if (res.status !== 200) return { ...seen, error: JSON.parse(all).error, retry: res.headers.get('x-should-retry') };
  for (const data of all.split('\n\n').filter((e) => e.startsWith('data: ')).map((e) => e.slice(6))) {
    assert.ok(!seen.done, 'something behind [DONE]');
    if (data === '[DONE]') { seen.done = true; continue; }
    const chunk = JSON.parse(data);
    seen.error ??= chunk.error ?? null;
    seen.usage = chunk.usage ?? seen.usage;
    const choice = chunk.choices?.[0];
    seen.text += choice?.delta.content ?? '';
    seen.reasoning += choice?.delta.reasoning_content ?? '';
    for (const t of choice?.delta.tool_calls ?? []) {
      seen.tools[t.index] ??= { id: t.id, name: t.function.name, arguments: '' };
      seen.tools[t.index].arguments += t.function.arguments;
    }
    seen.finish = choice?.finish_reason ?? seen.finish;
  }
  return seen;
}

function misbehaves(script) {
  provider.clear();
  provider.forget();
  provider.script({ answer: script.answer ?? {}, faults: script.faults ?? {}, times: 1 });
}

// `want`: 'whole', a code, or a list of codes of which one must come.
async function judge(row) {
  misbehaves(row);
  const got = await stream('m', row.more);
  if (got.done) assert.equal(got.error, null, 'an error and [DONE]');
  if (got.done && !row.text) assert.equal(got.text, TEXT, '[DONE] behind less than the text');
  const outcome = got.done ? 'whole' : got.error?.code;
  assert.ok([row.want].flat().includes(outcome), `${outcome} (${got.status}) instead of ${row.want}`);
  if (!got.done) assert.ok(CODES.includes(got.error.code));
  if (row.status) assert.equal(got.status, row.status);
  if (row.check) await row.check(got, provider.requests());
  // Whatever it was, the next question is answered.
  misbehaves({});
  assert.equal((await stream()).text, TEXT, 'the next answer');
}

const table = (name, rows) => describe(name, () => {
  for (const row of rows) test(row.name, { timeout: ms(20000) }, () => judge(row));
});

table('as it should be', [
  { name: 'plain', want: 'whole', check: (got, [q]) => {
    assert.equal(q.headers.authorization, 'Bearer sk-canary-77');
    assert.equal(q.body.model, 'real-name');
    assert.deepEqual([q.body.stream, q.body.stream_options], [true, { include_usage: true }]);
    assert.deepEqual(q.problems, []);
    assert.ok(got.usage.prompt_tokens > 0 && got.usage.completion_tokens > 0);
    assert.equal(got.finish, 'stop');
  } },
  { name: 'what a client sends goes through as it came', want: 'whole',
    more: { temperature: 0.25, seed: 7, stop: ['x'], response_format: { type: 'json_object' }, odd: { a: [1, null, 'b'] },
      messages: [{ role: 'developer', content: 'be brief' }, { role: 'assistant', content: null, tool_calls: [
        { id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }] }, { role: 'tool', tool_call_id: 'c', content: 'r' },
      { role: 'user', content: [{ type: 'text', text: TEXT }, { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } }] }] },
    check: (got, [q]) => {
      assert.deepEqual([q.body.temperature, q.body.seed, q.body.stop, q.body.odd], [0.25, 7, ['x'], { a: [1, null, 'b'] }]);
      assert.deepEqual(q.body.response_format, { type: 'json_object' });
      assert.deepEqual(q.body.messages.map((m) => m.role), ['developer', 'assistant', 'tool', 'user']);
      assert.equal(q.body.messages[1].tool_calls[0].id, 'c');
      assert.equal(q.body.messages[3].content[1].image_url.url, 'data:image/png;base64,AA==');
    } },
  { name: 'every byte alone', faults: { split: 1 }, want: 'whole' },
  { name: 'chunks of one byte', faults: { chunk: 1 }, want: 'whole' },
  { name: 'chunk extensions', faults: { framing: 'chunk-extensions' }, want: 'whole' },
  { name: 'trailers', faults: { framing: 'trailers' }, want: 'whole' },
  { name: 'Content-Length', faults: { framing: 'length' }, want: 'whole' },
  { name: 'until the connection closes', faults: { framing: 'close' }, want: 'whole' },
  { name: '100 and 103 before it', faults: { before: [100, 103] }, want: 'whole' },
  { name: 'closed behind the answer, though it promised more', faults: { at: 'end', then: 'fin' }, want: 'whole' },
  { name: 'CRLF', answer: { sse: { eol: '\r\n' } }, want: 'whole' },
  { name: 'CR', answer: { sse: { eol: '\r' } }, want: 'whole' },
  { name: 'a BOM and comments', answer: { sse: { bom: true, comment: 'hm' } }, want: 'whole' },
  { name: 'a slow first token, in time', answer: { first: ms(300) }, want: 'whole' },
  { name: 'a slow pace', answer: { gap: ms(100) }, want: 'whole' },
  { name: 'reasoning', answer: { reasoning: 'let me think' }, want: 'whole',
    check: (got) => assert.equal(got.reasoning, 'let me think') },
  { name: 'two tools', text: false, answer: { tools: [{ name: 'f', arguments: { a: 1 } }, { name: 'g', arguments: { b: '你' } }] },
    want: 'whole', check: (got) => {
      assert.deepEqual(got.tools.map((t) => [t.name, JSON.parse(t.arguments)]), [['f', { a: 1 }], ['g', { b: '你' }]]);
      assert.equal(got.finish, 'tool_calls');
    } },
].map((row) => (row.answer?.tools ? { ...row, text: true } : row)));

table('silence', [
  { name: 'no head', faults: { at: 'head', then: 'stall' }, want: 'no_first_token', status: 504 },
  { name: 'a head and nothing more', faults: { at: 0, then: 'stall' }, want: 'no_first_token', status: 504 },
  { name: 'in the middle', faults: { at: 700, then: 'stall' }, want: 'went_quiet', status: 200 },
  { name: 'behind the finish reason', answer: { end: false }, faults: { framing: 'no-last-chunk', at: 'end', then: 'stall' }, want: 'whole' },
  { name: 'behind the end marker', faults: { framing: 'no-last-chunk', at: 'end', then: 'stall' }, want: 'whole' },
]);

table('cut off', ['reset', 'fin', 'bare-fin'].flatMap((then) => [
  // On a kept connection a fresh one may be asked once more: no byte of an answer has come.
  { name: `${then} before the head`, faults: { at: 'head', then }, want: ['cut', 'whole'] },
  { name: `${then} behind the head`, faults: { at: 0, then }, want: 'cut', status: 502 },
  ...[250, 500, 800].map((at) => ({ name: `${then} at byte ${at}`, faults: { at, then }, want: 'cut' })),
]).concat([
  { name: 'no last chunk, but the end marker was there', faults: { framing: 'no-last-chunk' }, want: 'whole' },
  { name: 'ten bytes less than promised', faults: { framing: 'length-long' }, want: ['whole', 'cut'] },
  { name: 'no reason, no [DONE]', answer: { end: false, finish: null }, want: 'cut', status: 200 },
]));

table('not HTTP', ['garbage', 'binary', 'status-99', 'status-1000', 'no-status', 'http-2', 'huge-field', 'many-fields', 'nul',
  'no-colon', 'space-colon', 'bare-lf', 'two-lengths', 'length-and-chunked', 'negative-length', 'length-overflow', 'unknown-coding',
].map((head) => ({ name: head, faults: { head }, want: ['garbage', 'cut'], status: 502 })).concat(
  ['bad-chunk-size', 'empty-chunk-size', 'negative-chunk-size', 'chunk-overflow'].map((framing) => (
    { name: framing, faults: { framing }, want: 'garbage' })),
  [{ name: 'extra bytes are nobody\'s answer', faults: { after: 'response' }, want: 'whole' }]));

const status = (code, want, as, more = {}) => ({ name: `${code}`, answer: { status: code, ...more }, want, status: as,
  check: (got) => assert.equal(got.retry, String(code === 429 || code >= 500)) });
table('refused', [
  status(400, 'not_accepted', 400), status(401, 'service_denied', 502), status(403, 'service_denied', 502),
  status(404, 'service_failed', 502), status(429, 'service_busy', 429), status(500, 'service_failed', 502),
  status(503, 'service_failed', 502), status(529, 'service_failed', 502), status(302, 'service_failed', 502),
]);

table('an answer that is none', [
  { name: 'an error inside 200', answer: { error200: true }, want: ['service_failed', 'not_accepted', 'service_busy'] },
  { name: 'JSON where a stream was asked for', answer: { json: true }, want: 'whole' },
  { name: 'an error after two tokens', answer: { errorAfter: 2 }, want: ['service_failed', 'not_accepted', 'service_busy'], status: 200 },
  { name: 'an event that is no JSON', answer: { insert: [[2, 'data: {oops\n\n']] }, want: 'garbage', status: 200 },
  { name: 'an event of 10 MB', answer: { insert: [[2, { before: 'data: {"x":"', big: 10 << 20, after: '"}\n\n' }]] }, want: 'garbage', status: 200 },
  { name: 'an empty answer', answer: { raw: '' }, want: ['cut', 'garbage'], status: 502 },
]);

describe('nobody there', () => {
  test('the port is closed', async () => {
    const got = await stream('closed');
    assert.deepEqual([got.status, got.error.code, got.retry], [502, 'unreachable', 'true']);
    const line = await server.log((f) => f.msg === 'turn' && f.model === 'closed');
    assert.deepEqual([line.end, line.fault], ['error', got.error.code], 'the log says another thing');
  });
  test('the name is not known', async () => {
    assert.equal((await stream('nameless')).error.code, 'unreachable');
  });
  test('the next target is asked', async () => {
    misbehaves({});
    assert.equal((await stream('second')).text, TEXT);
    assert.equal((await server.log((f) => f.msg === 'turn' && f.model === 'second')).target, '1');
  });
});

describe('connections', () => {
  test('are kept and used again', async () => {
    misbehaves({});
    for (let i = 0; i < 5; i++) await stream();
    assert.ok(provider.requests().slice(1).every((q) => q.reused), 'a fresh connection for every question');
  });
  test('one that was closed while idle is replaced', async () => {
    misbehaves({ faults: { idle: 50 } });
    await stream();
    await new Promise((ok) => setTimeout(ok, 150));
    assert.equal((await stream()).text, TEXT);
  });
  test('a client that leaves takes the provider\'s work with him', async () => {
    misbehaves({ answer: { gap: 50, repeat: 50 } });
    const abort = new AbortController();
    const res = await fetch(`http://127.0.0.1:${server.port}/v1/chat/completions`, {
      method: 'POST', signal: abort.signal, headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'm', stream: true, messages: [{ role: 'user', content: TEXT }] }) });
    await res.body.getReader().read();
    abort.abort();
    const [q] = await provider.settled(1);
    assert.equal(q.clientClosed.before, true);
    await server.metricBecomes('runnel_turns_running', 0);
  });
  test('fifty at once', async () => {
    misbehaves({});
    const all = await Promise.all(Array.from({ length: 50 }, () => stream()));
    assert.ok(all.every((got) => got.text === TEXT && got.done));
  });
});

describe('the openai SDK', () => {
  const client = () => new OpenAI({ baseURL: `http://127.0.0.1:${server.port}/v1`, apiKey: 'x', maxRetries: 0 });

  test('reads tools and reasoning, streamed and whole', async () => {
    const answer = { reasoning: 'hm', tools: [{ name: 'f', arguments: { a: 1 } }, { name: 'g', arguments: {} }] };
    for (const dialect of ['stream', 'whole']) {
      misbehaves({ answer });
      const ask = { model: 'm', messages: [{ role: 'user', content: TEXT }] };
      const whole = dialect === 'stream'
        ? await client().chat.completions.stream(ask).finalChatCompletion()
        : await client().chat.completions.create(ask);
      const { message, finish_reason } = whole.choices[0];
      assert.deepEqual(message.tool_calls.map((t) => [t.function.name, JSON.parse(t.function.arguments)]), [['f', { a: 1 }], ['g', {}]]);
      assert.equal(finish_reason, 'tool_calls');
    }
  });
});
