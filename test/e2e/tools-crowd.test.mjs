// A crowd whose model uses tools, two rounds of them, behind nginx and on two instances. They leave
// in the middle and come back to whichever instance: what each has put together is what is kept.
//
// They are few, as many as a build with sanitizers can serve. With a release build they are 300:
//
//   cmake --preset release && cmake --build build/release
//   cd test/e2e && RUNNEL_BIN=$PWD/../../build/release/runnel RUNNEL_STREAMS=300 \
//     node --test tools-crowd.test.mjs
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { start as startProvider } from '../providers/lib/index.mjs';
import { becomesReady, database } from './lib/database.mjs';
import { chance, noneIsStreaming, sleep } from './lib/durable.mjs';
import { startPair } from './lib/pair.mjs';
import { cluster } from './lib/postgres.mjs';
import { duration, ms } from './lib/server.mjs';
import { Person } from './lib/session.mjs';
import { find, found, isWellFormed, Service } from './lib/told.mjs';
import { events, SECRET } from './lib/xcx.mjs';

const SESSIONS = Math.min(300, Number(process.env.RUNNEL_STREAMS ?? 40));
const EACH = 4;                               // sessions of a person, who may have 5 at once
const PARTS_OF_A_VISIT = 40;

let pg, d, provider, service, pair;
before(async () => {
  pg = await cluster();
  d = await database({ on: pg });
  provider = await startProvider({ kind: 'openai', key: 'k', control: false });
  service = await new Service().open();
  pair = await startPair({
    database: { url: d.url }, access: { jwt_key: SECRET, new_accounts: 'approved' }, turns: { lease: duration(5000) },
    providers: [{ name: 'asked', kind: 'openai', base_url: `${provider.url}/v1`, api_key: 'k', retries: 0, breaker_failures: 0 }],
    models: [{ name: 'asked', targets: [{ provider: 'asked' }], tools: ['find'] }], dialects: { session: {} }, tools: [service.tool()],
  });
  await Promise.all(pair.servers.map((s) => becomesReady(s, ms(10000))));
});
after(async () => {
  await pair?.stop();
  service?.close();
  await provider?.stop();
  await pg?.remove();
});

// What the model does in session i: words and calls, twice, and then words. No script is used twice.
function plot(i, next) {
  const rounds = [0, 1, 2].map((r) => ({
    text: Array.from({ length: 4 + Math.floor(next() * 12) }, (_, k) => `${i}.${r}.${k} \u4f60`).join(' '),
    calls: r === 2 ? [] : Array.from({ length: 1 + Math.floor(next() * 3) }, (_, k) => ({ what: `${i}/${r}/${k}`, wait: Math.floor(next() * 250) })),
  }));
  for (const [r, { text, calls }] of rounds.entries())
    provider.script({ times: 1, match: (q) => q.said === `question ${i}` && q.body.messages.filter((m) => m.role === 'assistant').length === r,
      answer: { text, size: 6, gap: 8, ...(calls.length && { tools: calls.map((c, k) => find(`c${r}${k}`, c.what, c.wait)) }) } });
  return rounds.map(({ text, calls }) => ({ text, calls: calls.map((c) => ({ name: 'find', input: { what: c.what, wait: `${c.wait}` }, output: found(c.what) })) }));
}

// The parts of a stream put together, as a page does it.
function assembled(parts) {
  const steps = [];
  for (const p of parts) {
    const step = steps.at(-1);
    if (p.type === 'start-step') steps.push({ text: '', calls: [] });
    else if (p.type === 'text-delta') step.text += p.delta;
    else if (p.type === 'tool-input-available') step.calls.push({ id: p.toolCallId, name: p.toolName, input: p.input });
    else if (p.type === 'tool-output-available') step.calls.find((c) => c.id === p.toolCallId).output = p.output;
    else assert.ok(!/error|abort/.test(p.type), JSON.stringify(p));
  }
  return steps.map(({ text, calls }) => ({ text, calls: calls.map(({ id, ...c }) => c) }));
}

// The same of what is kept.
function stored(messages) {
  const steps = [], open = new Map();
  for (const m of messages) {
    if (m.role === 'tool') {
      open.get(m.tool_call_id).output = m.content;
      continue;
    }
    assert.equal(m.role, 'assistant');
    steps.push({ text: m.content, calls: (m.tool_calls ?? []).map((c) => {
      const call = { name: c.function.name, input: JSON.parse(c.function.arguments) };
      open.set(c.id, call);
      return call;
    }) });
  }
  return steps;
}

// Somebody who reads, leaves and comes back. Each time he hears it from the first part on.
class Visitor {
  parts = [];
  visits = 0;
  isOver = false;

  constructor(i) {
    this.i = i;
    this.next = chance(77000 + i);
    this.plot = plot(i, this.next);
    this.person = new Person(pair, `person${Math.floor(i / EACH)}`);
  }

  async #read(response, until) {
    assert.equal(response.status, 200, response.status === 200 ? '' : await response.text());
    const heard = [];
    for await (const e of events(response)) {
      if (e.data === '[DONE]') this.isOver = true;
      else if (e.data) heard.push(JSON.parse(e.data));
      if (heard.length >= until) break;
    }
    const both = Math.min(heard.length, this.parts.length);
    assert.deepEqual(heard.slice(0, both), this.parts.slice(0, both), 'another reader hears another answer');
    if (heard.length > this.parts.length) this.parts = heard;
    this.visits++;
  }

  async play() {
    this.id = await this.person.made();
    await this.#read(await this.person.ask(this.id, `question ${this.i}`), 1 + this.next() * PARTS_OF_A_VISIT);
    while (!this.isOver) {
      assert.ok(this.visits < 300, 'it has no end');
      if (this.next() < 0.5) await sleep(this.next() * ms(300));
      const back = await this.person.fetch(`/sessions/${this.id}/stream`);
      if (back.status === 204) break;
      await this.#read(back, 1 + this.next() * (this.parts.length + PARTS_OF_A_VISIT));
    }
  }

  // Whoever came back too late has the beginning; the whole of it is there for a while.
  async readAgain(turn) {
    this.isOver = false;
    await this.#read(await this.person.fetch(`/tasks/${turn}/stream`), Infinity);
    assert.ok(this.isOver);
  }
}

describe('two instances behind nginx', { concurrency: 1 }, () => {
  test(`${SESSIONS} sessions with two rounds of tools`, { timeout: ms(240000) }, async () => {
    const all = Array.from({ length: SESSIONS }, (_, i) => new Visitor(i));
    await Promise.all(all.map((v) => v.play()));
    await noneIsStreaming(d, ms(30000));
    const turns = new Map((await d.sql('SELECT c.uid, t.id FROM runnel.turn t JOIN runnel.chat c ON c.tenant = t.tenant AND c.id = t.chat')).map(([uid, id]) => [uid, id]));
    for (const v of all) {
      await v.readAgain(turns.get(v.id));
      const { messages } = await v.person.show(v.id);
      assert.deepEqual(messages[0].content, `question ${v.i}`);
      assert.deepEqual(assembled(v.parts), v.plot);
      assert.deepEqual(stored(messages.slice(1)), v.plot);
    }
    assert.ok(all.filter((v) => v.visits > 3).length > SESSIONS / 3, 'nobody left in the middle');
    for (const { problems, body } of provider.requests()) {
      assert.deepEqual(problems, []);
      isWellFormed(body.messages);
    }
    assert.equal(provider.requests().length, 3 * SESSIONS);
    assert.deepEqual(service.asked.sort(), all.flatMap((v) => v.plot.flatMap((step) => step.calls.map((c) => c.input.what))).sort(), 'each call was made once');
    for (const s of pair.servers) assert.ok(await s.metric('runnel_turns_total') > 0, 'one instance did nothing');
  });
});
