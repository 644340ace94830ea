// Conversations that have grown too long for their model: what it is asked then, what stays whole,
// and what people hear of it.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { Person, stage } from './lib/session.mjs';

const CONTEXT = 12000; // tokens, of which an answer takes 1024
const MARK = '[Previous conversation summary — for context only]: ';
const long = (name, letters = 3600) => `${name} ${'x'.repeat(letters - name.length - 1)}`;

let s, server, anna;
before(async () => {
  s = await stage();
  server = await s.serve({ tools: ['calculator'], model: { context_tokens: CONTEXT } });
  anna = new Person(server);
});
after(() => s?.remove());
beforeEach(() => s.forget());

const isSummary = (r) => r.body.messages[0].content?.startsWith('Summarize') ?? false;
const summaries = () => s.asked().filter((body) => isSummary({ body }));
const sumsUp = (answer) => s.provider.script({ match: isSummary, answer });

// Every call has its results behind it, and every result its call.
function areWhole(messages) {
  let open = [];
  for (const m of messages) {
    if (m.role === 'tool') {
      assert.ok(open.includes(m.tool_call_id), `nobody called ${m.tool_call_id}`);
      open = open.filter((id) => id !== m.tool_call_id);
      continue;
    }
    assert.deepEqual(open, [], 'calls without results');
    open = (m.tool_calls ?? []).map((c) => c.id);
  }
  assert.deepEqual(open, []);
}
const tokens = (messages) => messages.reduce((n, m) => n + JSON.stringify(m).length / 4, 0);

async function longSession() {
  const id = await anna.made();
  for (let i = 1; i <= 7; i++) await anna.hear(id, long(`question-${i}`));
  return id;
}

describe('a session that is too long', () => {
  test('is summed up once, the answer comes, and what is kept stays', async () => {
    const id = await anna.made();
    for (let i = 1; i <= 6; i++) await anna.hear(id, long(`question-${i}`));
    assert.equal(s.asked().length, 6, 'while it fits nobody sums up');
    s.forget();
    sumsUp({ text: 'They spoke of whales.', usage: { input: 4000, output: 7 } });
    s.provider.script({ match: (r) => !isSummary(r), answer: { text: 'Blue ones.', usage: { input: 8000, output: 5 } } });
    const h = await anna.hear(id, long('question-7'));
    assert.deepEqual([h.text, h.error], ['Blue ones.', null]);
    assert.equal(s.asked().length, 2);
    const [summary, asked] = s.asked();
    assert.deepEqual([summary.max_tokens, summary.temperature, summary.tools, summary.model], [1500, 0.3, undefined, asked.model]);
    assert.match(summary.messages[1].content, /^user: question-1 x[^]*assistant: question-1 x/);
    assert.equal(asked.messages[0].content, `${MARK}They spoke of whales.`);
    assert.equal(asked.messages[0].role, 'assistant');
    assert.equal(asked.messages.at(-1).content, long('question-7'));
    assert.ok(tokens(asked.messages) < CONTEXT - 1024);
    const left = asked.messages.slice(1).map((m) => m.content.split(' ')[0]);
    for (let i = 1; i <= 6; i++) // nothing is lost between them
      assert.ok(left.includes(`question-${i}`) || summary.messages[1].content.includes(`question-${i} `), `question-${i}`);
    const shown = await anna.show(id);
    assert.equal(shown.messages.length, 14);
    assert.ok(shown.messages.every((m) => !m.content.includes('whales')), 'the summary is not kept');
    assert.equal(shown.messages[0].content, long('question-1'));
    assert.deepEqual([shown.total_prompt_tokens, shown.total_completion_tokens].map((n) => n >= 12), [true, true]);
  });

  test('what the summary took is paid', async () => {
    const id = await longSession();
    s.forget();
    sumsUp({ text: 'In short.', usage: { input: 4000, output: 70 } });
    s.provider.script({ match: (r) => !isSummary(r), answer: { text: 'Yes.', usage: { input: 8000, output: 5 } } });
    const before = await anna.show(id);
    await anna.hear(id, 'and?');
    const after = await anna.show(id);
    assert.equal(after.total_prompt_tokens - before.total_prompt_tokens, 12000);
    assert.equal(after.total_completion_tokens - before.total_completion_tokens, 75);
  });

  test('without a summary that nobody could give it goes on', async () => {
    const id = await longSession();
    s.forget();
    sumsUp({ status: 400 });
    const h = await anna.hear(id, 'still there?');
    assert.deepEqual([h.text, h.error], ['still there?', null]);
    const asked = s.asked().at(-1).messages;
    assert.ok(asked.every((m) => !m.content.startsWith(MARK)));
    assert.ok(asked.length > 1 && asked.length < 15);
  });

  test('calls stay with what they came to', async () => {
    const id = await anna.made();
    const call = (n) => ({ id: `c${n}`, name: 'calculator', arguments: '{"expression":"6*7"}' });
    for (let i = 0; i < 6; i++) {
      s.provider.script({ answer: { text: long(`look-${i}`, 2000), finish: 'tools', tools: [call(2 * i), call(2 * i + 1)] }, times: 1 });
      s.provider.script({ answer: { text: long(`found-${i}`, 2000) }, times: 1 });
      s.provider.script({ match: isSummary, answer: { text: 'Sums.' }, times: 1 });
      await anna.hear(id, long(`question-${i}`, 2000));
      s.provider.clear();
    }
    s.forget();
    sumsUp({ text: 'They calculated.' });
    for (let i = 0; i < 6; i++) {
      const h = await anna.hear(id, long(`more-${i}`, 1000 + 700 * i));
      assert.equal(h.error, null);
    }
    assert.ok(summaries().length >= 3, `${summaries().length} summaries`);
    for (const body of s.asked().filter((b) => !isSummary({ body: b }))) {
      areWhole(body.messages);
      assert.ok(tokens(body.messages) < CONTEXT);
    }
    assert.deepEqual(s.provider.requests().flatMap((r) => r.problems), []);
  });

  test('grows too long among its own calls, and is summed up no more often than it must', async () => {
    const id = await anna.made();
    sumsUp({ text: 'So far.' });
    const notSummary = (r) => !isSummary(r);
    for (let i = 0; i < 8; i++)
      s.provider.script({ match: notSummary, times: 1, answer: { text: long(`step-${i}`, 6000), finish: 'tools', tools: [{ id: `r${i}`, name: 'calculator', arguments: '{"expression":"1+1"}' }] } });
    s.provider.script({ match: notSummary, answer: { text: 'done' } });
    const h = await anna.hear(id, 'go on until it is done');
    assert.equal(h.error, null);
    assert.ok(h.text.endsWith('done'));
    const rounds = s.asked().filter((body) => !isSummary({ body }));
    assert.equal(rounds.length, 9);
    for (const { messages } of rounds) {
      areWhole(messages);
      assert.ok(messages.some((m) => m.content === 'go on until it is done'), 'the question stays');
      assert.ok(tokens(messages) < CONTEXT);
    }
    assert.ok(summaries().length >= 1 && summaries().length <= 2, `${summaries().length} summaries`);
    assert.ok((await anna.said(id)).length > 0);
  });

  test('a question that fits no model at all is refused in words, and the next one is answered', async () => {
    const id = await anna.made();
    await anna.hear(id, 'hello');
    s.forget();
    const h = await anna.hear(id, long('huge', 50000));
    assert.equal(h.error, 'Unable to manage context window (token limit exceeded). Context summarization failed. Please start a new conversation.');
    assert.deepEqual(s.asked(), [], 'nobody is asked');
    assert.equal((await anna.hear(id, 'short again')).text, 'short again');
  });
});

describe('what a client brings', () => {
  const messages = Array.from({ length: 21 }, (_, i) => ({ role: i % 2 ? 'assistant' : 'user', content: long(`m-${i}`) }));
  const ask = (on, body) => fetch(`http://127.0.0.1:${on.port}/v1/chat/completions`, { method: 'POST',
    headers: anna.headers({ 'content-type': 'application/json' }), body: JSON.stringify({ model: 'asked', ...body }) });

  test('goes as it is', async () => {
    assert.equal((await ask(server, { messages })).status, 200);
    assert.deepEqual(s.asked().map((b) => b.messages), [messages]);
  });

  test('unless the model says that it is shortened, too', async () => {
    const compact = await s.serve({ kept: false, model: { context_tokens: CONTEXT, compact: true } });
    sumsUp({ text: 'Of letters.' });
    const res = await ask(compact, { messages });
    assert.equal((await res.json()).choices[0].message.content, messages.at(-1).content);
    assert.equal(s.asked().length, 2);
    assert.equal(s.asked()[1].messages[0].content, `${MARK}Of letters.`);
    const refused = await ask(compact, { messages: [{ role: 'user', content: long('huge', 50000) }] });
    assert.deepEqual([refused.status, (await refused.json()).error.code], [400, 'context_too_long']);
  });
});
