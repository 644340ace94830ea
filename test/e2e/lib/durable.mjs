// What the tests of kept answers share: instances on one database, readers who leave an answer
// and come back to it, and what the database says in the end.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { duration, eventually, ms, start } from './server.mjs';
import { events, Person, SECRET } from './xcx.mjs';

export const STATIC = 'a-key-of-the-settings';
export const LEASE = ms(1500);

const part = (name, more, own) => ({ [name]: { ...own, ...more[name] } });

// Any section may say something else; `pace` is of the model "slow", in tokens per second.
export const settings = (url, { pace = 20, provider, ...more } = {}) => ({
  drain_seconds: duration(1000),
  ...more,
  ...part('database', more, { url }),
  ...part('access', more, { jwt_key: SECRET, new_accounts: 'approved', keys: [STATIC] }),
  ...part('turns', more, { lease: `${LEASE}ms` }),
  dialects: { ...part('xcx', more.dialects ?? {}, { model: provider ? 'asked' : 'slow' }), ...part('openai', more.dialects ?? {}, {}) },
  providers: [{ name: 'slow', kind: 'echo', tokens_per_second: pace },
    ...(provider ? [{ name: 'asked', kind: 'openai', base_url: `${provider.url}/v1`, api_key: 'k', retries: 0, breaker_failures: 0 }] : [])],
  models: [{ name: 'slow', targets: [{ provider: 'slow' }] }, ...(provider ? [{ name: 'asked', targets: [{ provider: 'asked' }] }] : [])],
});

const isReady = (s) => eventually(async () => assert.equal((await fetch(`http://127.0.0.1:${s.port}/readyz`)).status, 200), ms(10000));

export async function serve(d, more) {
  const s = await start(settings(d.url, more));
  await isReady(s);
  return s;
}

export const gone = (...servers) => Promise.all(servers.map((s) => s.stop()));
export const pair = (d, more) => Promise.all([serve(d, more), serve(d, more)]);

export async function killed(s) {
  s.kill('SIGKILL');
  await s.until(() => s.exited, 'the end of a killed server');
  assert.doesNotMatch(s.stderr, /Sanitizer|runtime error:/);
}

// The same row of numbers from 0 to 1 in every run.
export function chance(seed) {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

// About n tokens of an echo, of one byte to four to a character, and nobody else's.
export function words(n, tag = '') {
  const kinds = ['plain', '你', '\n\nline', '👩‍🚀', 'é', '"quoted"\\', '好'];
  let text = `begin${tag}`;
  for (let i = 1; i < n; i++) text += i % 2 ? ` ${tag}.${i}` : ` ${kinds[(i / 2) % kinds.length]}`;
  return `${text} end`;
}

// Somebody in one conversation. `text` is what he has put together, whatever it came over.
export class Reader {
  text = '';
  last = '';
  heard = [];                                  // { at, length }: how much when
  comments = [];                               // when
  end = null;                                  // { how: 'done' | 'error', at, ... }
  cuts = 0;

  constructor(person, chat) {
    this.person = person;
    this.chat = chat;
  }

  // Until the end, the connection's end, or `until` tokens, behind which he leaves.
  async read(res, { until = Infinity } = {}) {
    assert.equal(res.status, 200, res.status === 200 || res.status === 204 ? 'there is nothing to read' : await res.text());
    let tokens = 0;
    try {
      for await (const e of events(res)) {
        this.#take(e);
        if (e.event === 'message' && ++tokens >= until) break;
      }
    } catch (e) {
      if (e instanceof assert.AssertionError || e instanceof SyntaxError) throw e;
      this.cuts++;
    }
    this.leftAt = Date.now();
    return this;
  }

  #take(e) {
    assert.equal(this.end, null, 'something behind the last word');
    if ('comment' in e) this.comments.push(e.at);
    else if (e.event === 'message') this.#hear(e);
    else if (e.event === 'done' || e.event === 'error') this.end = { how: e.event, at: e.at, ...JSON.parse(e.data) };
    else assert.fail(`an event that nobody knows: ${JSON.stringify(e)}`);
  }

  #hear({ id, data, at }) {
    const [answer, number] = id.split('.').map(Number);
    const [before, last] = this.last ? this.last.split('.').map(Number) : [answer, number - 1];
    assert.deepEqual([answer, number], [before, last + 1], 'an event was lost or came twice');
    this.text += JSON.parse(data).token;
    this.last = id;
    this.heard.push({ at, length: this.text.length });
  }

  // A crowd that comes at once may be told to come again.
  async ask(on, content, options = {}) {
    for (let tries = 1; ; tries++) {
      const res = await this.person.ask(this.chat, content, {}, { on, ...options });
      if (res.status !== 503 || tries === 20) return this.read(res, options);
      await res.text();
      await sleep(ms(100));
    }
  }
  async resume(on, options = {}) {
    return this.read(await this.person.fetch(`${this.chat}/stream`, { on, headers: this.last ? { 'last-event-id': this.last } : {} }), options);
  }

  heardBefore(at) { return this.text.slice(0, this.heard.findLast((h) => h.at <= at)?.length ?? 0); }
  heardSome(n = 1, timeout = ms(10000)) {
    return eventually(() => assert.ok(this.heard.length >= n, `${this.heard.length} tokens, not ${n}`), timeout);
  }
}

let talks = 0;
export async function reader(on, sub = 'anna', type = 'task') {
  const person = new Person(on, sub);
  return new Reader(person, await person.chat(type, `talk${++talks}`));
}

// So many of them, in as many conversations, of some people.
export async function crowd(on, n) {
  const all = [];
  for (let i = 0; i < n; i += 20)
    all.push(...await Promise.all(Array.from({ length: Math.min(20, n - i) }, (_, k) => reader(on, `person${(i + k) % 10}`))));
  return all;
}

// ---- what is kept -----------------------------------------------------------------------

const ANSWERS = `SELECT t.chat, t.id, t.state, m.state, t.fault, m.content, m.tokens_used, t.prompt_tokens, t.completion_tokens
  FROM runnel.turn t LEFT JOIN runnel.message m ON m.tenant = t.tenant AND m.id = t.answer`;

async function answers(d, where) {
  return (await d.sql(`${ANSWERS} WHERE ${where} ORDER BY t.created_at`, { timeout: ms(60000) })).map(([chat, id, state, shown, fault, content, used, prompt, completion]) => {
    if (chat !== null) assert.equal(shown, state, 'the answer is in another state than its turn');
    return { chat, id, state, fault, content, tokens: used === null ? null : Number(used), prompt: Number(prompt), completion: Number(completion) };
  });
}

// By conversation, each with one answer.
export async function kept(d, readers) {
  const all = await answers(d, `t.chat IN (${readers.map((r) => r.chat)})`);
  assert.equal(all.length, readers.length, 'so many answers');
  return new Map(all.map((a) => [Number(a.chat), a]));
}
export const answerOf = async (d, r) => (await kept(d, [r])).get(r.chat);
export const turnOfKey = async (d, key) => {
  const all = await answers(d, `t.idempotency_key = '${key}'`);
  assert.equal(all.length, 1, `${all.length} turns of one key`);
  return all[0];
};

export const streaming = async (d) => Number((await d.sql("SELECT (SELECT count(*) FROM runnel.turn WHERE state = 'streaming') + (SELECT count(*) FROM runnel.message WHERE state = 'streaming')"))[0][0]);
export const noneIsStreaming = (d, timeout) => eventually(async () => {
  assert.equal(await streaming(d), 0, `still streaming after ${timeout} ms`);
}, timeout);

export async function usage(d) {
  const [[requests, failures, completion, estimated]] = await d.sql('SELECT sum(requests), sum(failures), sum(completion_tokens), sum(estimated) FROM runnel.usage');
  return { requests: Number(requests), failures: Number(failures), completion: Number(completion), estimated: Number(estimated) };
}
export const usageBecomes = (d, before, want, timeout = ms(5000)) => eventually(async () => {
  const now = await usage(d);
  for (const [k, v] of Object.entries(want)) assert.equal(now[k] - before[k], v, `${k}: ${JSON.stringify({ before, now })}`);
}, timeout);

export { sleep };
