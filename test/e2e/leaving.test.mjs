// Readers who leave an answer, and questions that are asked more than once: what the provider
// saw of it, what is kept and what is counted.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { start as startProvider } from '../providers/lib/index.mjs';
import { database } from './lib/database.mjs';
import { answerOf, gone, noneIsStreaming, pair, reader, serve, sleep, STATIC, turnOfKey, usage, usageBecomes, words } from './lib/durable.mjs';
import { cluster } from './lib/postgres.mjs';
import { duration, eventually, ms } from './lib/server.mjs';

const TIMES = process.env.RUNNEL_STREAMS ? 3 : 1;  // how often what takes long is done

let pg;
before(async () => { pg = await cluster(); });
after(() => pg?.remove());

// A database for one suite, as they run beside each other.
const own = () => database({ on: pg });

// ---- readers who leave ------------------------------------------------------------------------

function leave() {
  const TOKENS = 30, GAP = 35, text = Array.from({ length: TOKENS }, (_, i) => `tok${i} `.slice(-5)).join('').trim();
  const SHARE = text.length / TOKENS;
  let d, p, provided = 0;
  before(async () => {
    d = await own();
    p = await startProvider({ kind: 'openai', answer: { text, size: 5, gap: GAP } });
  });
  after(() => p?.stop());

  const served = (more) => serve(d, { provider: p, ...more });
  const seen = async () => (await p.settled(++provided))[provided - 1];
  const leaving = (on_leave, turns) => ({ turns, dialects: { xcx: { on_leave }, openai: { on_leave } } });

  const policies = {
    cancel: { state: 'interrupted', goesOn: [0, 500] },
    detach: { state: 'complete' },
    'drain, long enough': { on_leave: 'drain', state: 'complete' },
    'drain, by time': { on_leave: 'drain', turns: { drain_time: duration(400) }, state: 'interrupted', goesOn: [400, 700] },
    'drain, by tokens': { on_leave: 'drain', turns: { drain_tokens: 10 }, state: 'interrupted', goesOn: [100, 800], most: 40 + 3 * SHARE },
  };

  // Whether the provider was left when it should be, and was it?
  function wasLeft(rec, { state, goesOn }, leftAt) {
    assert.equal(rec.complete, state === 'complete');
    if (!goesOn) return;
    assert.ok(rec.clientClosed?.before, 'the provider was not left in its answer');
    const took = rec.clientClosed.at - leftAt;
    assert.ok(took >= goesOn[0] - 60 && took <= ms(goesOn[1]) + 100, `the provider was left after ${took} ms, not ${goesOn}`);
  }

  const counted = (before, { state }) => usageBecomes(d, before, state === 'complete'
    ? { requests: 1, failures: 0, completion: TOKENS, estimated: 0 } : { requests: 1, failures: 0, estimated: 1 });

  for (const [name, policy] of Object.entries(policies)) {
    describe(name, () => {
      let s;
      before(async () => { s = await served(leaving(policy.on_leave ?? name, policy.turns)); });
      after(() => s?.stop());

      test('a conversation', async () => {
        const before = await usage(d);
        const r = await reader(s);
        await r.ask(s, 'say it', { until: 4 });
        wasLeft(await seen(), policy, r.leftAt);
        await noneIsStreaming(d, ms(2000));
        const answer = await answerOf(d, r);
        assert.equal(answer.state, policy.state);
        assert.ok(text.startsWith(answer.content) && answer.content.startsWith(r.text), answer.content);
        assert.equal(answer.tokens, policy.state === 'complete' ? text.length : null);
        if (policy.state === 'complete') assert.equal(answer.content, text);
        if (policy.most) assert.ok(answer.content.length <= r.text.length + policy.most, `${answer.content.length - r.text.length} more`);
        assert.equal(answer.completion, policy.state === 'complete' ? TOKENS : answer.completion);
        await counted(before, policy);
      });

      for (const key of ['', `key of ${name}`]) {
        test(`chat completions ${key ? 'with' : 'without'} Idempotency-Key`, async () => {
          const before = await usage(d);
          const said = await completion(s, { key, until: 4 });
          wasLeft(await seen(), policy, said.leftAt);
          await counted(before, policy);
          if (!key) return;
          const turn = await eventually(async () => {
            const found = await turnOfKey(d, key);
            assert.notEqual(found.state, 'streaming');
            return found;
          });
          assert.deepEqual([turn.state, turn.chat], [policy.state, null]);
          const again = await completion(s, { key });
          assert.equal(again.end, policy.state === 'complete' ? 'stop' : 'error');
          assert.ok(again.text.startsWith(said.text) && text.startsWith(again.text));
          if (policy.state === 'complete') assert.equal(again.text, text);
          assert.equal(p.requests().length, provided, 'the provider was asked again');
          await counted(before, policy);               // once, still
        });
      }
    });
  }

  test('a reader who is back before the answer is drained hears all of it', async () => {
    const s = await served(leaving('drain', { drain_time: duration(400), drain_tokens: 20 }));
    const r = await reader(s);
    await r.ask(s, 'say it', { until: 4 });
    await sleep(ms(100));
    await r.resume(s);
    assert.equal(r.end.how, 'done');
    assert.equal(r.text, text);
    assert.equal((await seen()).complete, true);
    await s.stop();
  });

  test('a phone that was in the background finds its whole answer', async () => {
    const away = process.env.RUNNEL_STREAMS ? 20000 : 2000;
    const long = words(60, 'bg');
    p.script({ match: { text: 'slowly' }, answer: { text: long, size: 3, gap: away / 100 }, times: 1 });
    const s = await served({});
    const r = await reader(s);
    await r.ask(s, 'slowly', { until: 4 });
    await sleep(away);
    assert.equal((await seen()).complete, true);
    await noneIsStreaming(d, ms(2000));
    const { items } = await r.person.messages(r.chat);
    assert.deepEqual(items.map(({ role, content, status }) => [role, content, status]), [['user', 'slowly', 'complete'], ['assistant', long, 'complete']]);
    await r.resume(s);
    assert.deepEqual([r.end.how, r.text], ['done', long]);
    await s.stop();
  });

  test('who leaves before a whole answer is there finds it all the same', async () => {
    const s = await served({});
    const r = await reader(s);
    await assert.rejects(r.person.post(`${r.chat}/messages`, { content: 'say it' }, { signal: AbortSignal.timeout(ms(400)) }), { name: 'TimeoutError' });
    assert.equal((await seen()).complete, true);
    await noneIsStreaming(d, ms(2000));
    const answer = await answerOf(d, r);
    assert.deepEqual([answer.state, answer.content], ['complete', text]);
    await s.stop();
  });
}

// A question to /v1/chat/completions, streamed: { text, end, ids, leftAt }.
async function completion(on, { key = '', until = Infinity, content = 'say it', model = 'asked', stream = true } = {}) {
  const res = await fetch(`http://127.0.0.1:${on.port}/v1/chat/completions`, {
    method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${STATIC}`, ...(key && { 'idempotency-key': key }) },
    body: JSON.stringify({ model, stream, messages: [{ role: 'user', content }] }) });
  if (!stream) return { status: res.status, body: await res.json() };
  const said = { text: '', end: null, ids: new Set(), tokens: 0 };
  assert.equal(res.status, 200, res.status === 200 || await res.text());
  let rest = '';
  const decoder = new TextDecoder();
  for await (const bytes of res.body) {
    const blocks = (rest + decoder.decode(bytes, { stream: true })).split('\n\n');
    rest = blocks.pop();
    for (const block of blocks.filter((x) => x.startsWith('data: {'))) {
      const { id, choices, error } = JSON.parse(block.slice(6));
      said.ids.add(id);
      said.end = error ? 'error' : choices[0]?.finish_reason ?? said.end;
      said.tokens += choices?.[0]?.delta.content ? 1 : 0;
      said.text += choices?.[0]?.delta.content ?? '';
    }
    if (said.tokens >= until) break;
  }
  said.leftAt = Date.now();
  return said;
}

// ---- one key, many times ------------------------------------------------------------------------

function askOften() {
  const text = words(20, 'k');
  let d, a, b, p;
  before(async () => {
    d = await own();
    p = await startProvider({ kind: 'openai', answer: { text, size: 6, gap: 20, first: 100 } });
    [a, b] = await pair(d, { provider: p });
  });
  after(async () => {
    await gone(a, b);
    await p.stop();
  });

  const either = (i) => (i % 2 ? a : b);
  const all = (ask) => Promise.all(Array.from({ length: 50 }, (_, i) => ask(either(i), i)));

  // What happened once; then once more, long after.
  async function isOnce(key, ask, count) {
    const before = await usage(d);
    p.forget();
    const answers = await all(ask);
    for (const answer of answers) assert.deepEqual(answer, answers[0]);
    assert.deepEqual(await ask(either(0), 0), answers[0]);
    assert.equal(p.requests().length, 1, 'calls of the provider');
    const turn = await turnOfKey(d, key);
    assert.equal(turn.state, 'complete');
    if (count) assert.equal((await d.sql(`SELECT count(*) FROM runnel.message WHERE chat = ${turn.chat}`))[0][0], '2');
    await usageBecomes(d, before, { requests: 1, failures: 0, estimated: 0 });
    return answers[0];
  }

  for (let n = 1; n <= TIMES; n++) {
    test(`a conversation, streamed, ${n}`, async () => {
      const first = await reader(a), key = `stream ${n}`;
      const { text: said } = await isOnce(key, async (on) => {
        const { person, chat } = first;
        const r = Object.assign(await reader(on), { person, chat });
        await r.ask(on, 'once', { headers: { 'idempotency-key': key } });
        const { how, messageId, createdAt } = r.end;
        return { text: r.text, last: r.last, n: r.heard.length, end: { how, messageId, createdAt } };
      }, true);
      assert.equal(said, text);
    });

    test(`a conversation, whole, ${n}`, async () => {
      const r = await reader(a), key = `whole ${n}`;
      const { aiReply } = await isOnce(key, (on) => r.person.post(`${r.chat}/messages`, { content: 'once' }, { on, headers: { 'idempotency-key': key } }), true);
      assert.equal(aiReply.content, text);
    });

    for (const stream of [true, false]) {
      test(`chat completions, ${stream ? 'streamed' : 'whole'}, ${n}`, async () => {
        const key = `v1 ${stream} ${n}`;
        const said = await isOnce(key, async (on) => {
          const { leftAt, ...r } = await completion(on, { key, content: 'once', stream });
          return r;
        });
        assert.equal(stream ? said.text : said.body.choices[0].message.content, text);
        assert.ok(stream ? said.end === 'stop' && said.ids.size === 1 : said.status === 200);
      });
    }
  }
}

// Within a suite one thing comes after the other.
describe('once, and not in vain', { concurrency: 2 }, () => {
  describe('a reader leaves', { concurrency: 1 }, leave);
  describe('fifty times the same key, on two instances', { concurrency: 1 }, askOften);
});
