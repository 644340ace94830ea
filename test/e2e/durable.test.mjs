// An answer survives the process that tells it, and its database's absence.
//
// RUNNEL_STREAMS=1000 with a release build is what the crowds are for; without it they are small.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { at, database } from './lib/database.mjs';
import { answerOf, chance, crowd, gone, kept, killed, LEASE, noneIsStreaming, pair, reader, serve, sleep, streaming, usage, usageBecomes, words } from './lib/durable.mjs';
import { cluster } from './lib/postgres.mjs';
import { duration, ms } from './lib/server.mjs';

const STREAMS = Number(process.env.RUNNEL_STREAMS ?? 100);
const TIMES = process.env.RUNNEL_STREAMS ? 3 : 1;  // how often what takes long is done
const EVERY = 1000;                            // turns.journal_every as it is when nobody sets it

let pg;
before(async () => { pg = await cluster(); });
after(() => pg?.remove());

// A database for one suite, as they run beside each other.
const own = () => database({ on: pg });

// ---- the process is killed ----------------------------------------------------------------

// What was kept begins with `sure`, and with what was heard it is one text.
function isHonest(answer, text, heard, sure) {
  assert.equal(answer.state, 'interrupted');
  assert.equal(answer.tokens, null);
  assert.ok(text.startsWith(answer.content), 'other words than were said');
  assert.ok(answer.content.length >= sure.length, `${answer.content.length} of ${sure.length} characters that were sure`);
  assert.ok(text.startsWith(heard));
}

// Who comes back has heard what is kept, no more and no less; or more than that already.
function hasAll(r, answer, heard) {
  assert.equal(r.end.how, 'error');
  assert.equal(r.text, heard.length > answer.content.length ? heard : answer.content);
}

function isKilled() {
  const text = words(ms(600) * (STREAMS > 200 ? 1 : 2), 'x');
  let d, s;
  before(async () => {
    d = await own();
    s = await serve(d, { pace: STREAMS > 200 ? 10 : 20 });
  });
  after(() => s?.stop());

  for (const [round, wait] of [1200, 1600, 2100].entries()) {
    test(`${STREAMS} streams, ${round + 1}`, { timeout: ms(120000) }, async () => {
      const readers = await crowd(s, STREAMS);
      const reading = Promise.all(readers.map((r) => r.ask(s, text)));
      await Promise.all(readers.map((r) => r.heardSome(1, ms(40000))));
      await sleep(ms(wait));
      const end = performance.now();
      await killed(s);
      await reading;
      const heard = readers.map((r) => r.text);
      assert.equal(await streaming(d), 2 * STREAMS);

      s = await serve(d, { pace: STREAMS > 200 ? 10 : 20 });
      const swept = noneIsStreaming(d, LEASE + ms(3000));
      await Promise.all([swept, ...readers.map((r) => r.resume(s))]);
      const answers = await kept(d, readers);
      for (const [i, r] of readers.entries()) {
        assert.equal(r.cuts, 1);
        isHonest(answers.get(r.chat), text, heard[i], r.heardBefore(end - ms(EVERY)));
        hasAll(r, answers.get(r.chat), heard[i]);
      }
      assert.ok([...answers.values()].some((a) => a.content.length), 'nothing was kept of anything');
    });
  }

}

function isFast() {
  let d, s;
  before(async () => {
    d = await own();
    s = await serve(d);
  });
  after(() => s?.stop());

  test('at a high pace at most 4 KiB are lost', async () => {
    const fast = await serve(d, { pace: 500, turns: { journal_every: '60s' } });
    const long = words(20000);
    const readers = await crowd(fast, 5);
    const reading = Promise.all(readers.map((r) => r.ask(fast, long)));
    await Promise.all(readers.map((r) => r.heardSome(1500, ms(30000))));
    const end = performance.now();
    await killed(fast);
    await reading;
    await noneIsStreaming(d, LEASE + ms(3000));      // the other one has closed them
    const answers = await kept(d, readers);
    for (const r of readers) {
      const arrived = r.heardBefore(end - ms(300));  // a piece takes its time to be written
      const sure = Buffer.from(arrived).subarray(0, -4096).toString().replace(/\ufffd*$/, '');
      assert.ok(sure.length > 1000, 'too slow to show anything');
      isHonest(answers.get(r.chat), long, r.text, sure);
    }
  });

  test('who comes back without having heard anything hears it from the beginning', async () => {
    const text = words(200);
    const r = await reader(s);
    await r.ask(s, text, { until: 20 });
    Object.assign(r, { text: '', last: '' });
    await r.resume(s, { until: 40 });
    assert.ok(text.startsWith(r.text) && r.heard.length === 60);
    assert.deepEqual(await r.person.stop(r.chat), { stopped: true });
  });
}

// ---- two instances --------------------------------------------------------------------------

function areTwo(notifies) {
  const text = words(50, 'y');
  let d, a, b;
  before(async () => {
    d = await own();
    [a, b] = await pair(d, { database: { notifies } });
  });
  after(() => gone(...[a, b].filter((s) => s && !s.exited)));

  test('begun on one, gone on with on the other', async () => {
    const r = await reader(a);
    await r.ask(a, text, { until: 15 });
    await r.resume(b, { until: 10 });
    await r.resume(a, { until: 5 });
    await r.resume(b);
    assert.equal(r.end.how, 'done');
    const answer = await answerOf(d, r);
    assert.equal(answer.state, 'complete');
    assert.equal(r.text, answer.content);
    assert.equal(r.text, text);
    await r.resume(b).then(() => assert.fail('a word behind the last one'), (e) => assert.match(e.message, /last word/));
  });

  test('a crowd that is here and there', async () => {
    const readers = await crowd(a, Math.max(40, STREAMS / 5));
    await Promise.all(readers.map(async (r, i) => {
      const next = chance(4711 + i);
      const some = () => ({ until: 1 + Math.floor(next() * 25) });
      const either = () => (next() < 0.5 ? a : b);
      const mine = words(30 + Math.floor(next() * 30), `${i}`);
      await r.ask(either(), mine, some());
      for (let n = 0; !r.end; n++) {
        assert.ok(n < 100, 'it has no end');
        if (next() < 0.3) await sleep(next() * 400);
        await r.resume(either(), some());
      }
      r.asked = mine;
    }));
    const answers = await kept(d, readers);
    for (const r of readers) {
      assert.equal(r.text, answers.get(r.chat).content);
      assert.equal(r.text, r.asked);
      assert.deepEqual([r.end.how, answers.get(r.chat).state], ['done', 'complete']);
    }
  });

  test('stopped on the other', async () => {
    const lease = notifies ? 30000 : LEASE;
    const [here, there] = await pair(d, { database: { notifies }, turns: { lease: `${lease}ms` } });
    for (let i = 0; i < 3; i++) {
      const r = await reader(here);
      const reading = r.ask(here, text);
      await r.heardSome(3);
      const asked = performance.now();
      assert.deepEqual(await r.person.stop(r.chat, { on: there }), { stopped: true });
      await reading;
      assert.deepEqual([r.end.how, r.end.stopped], ['done', true]);
      const took = r.end.at - asked, most = notifies ? ms(1000) : lease / 3 + ms(400);
      assert.ok(took < most, `${took} ms, not ${most}`);
      const answer = await answerOf(d, r);
      assert.deepEqual([answer.state, answer.content], ['stopped', r.text]);
      assert.deepEqual(await r.person.stop(r.chat, { on: there }), { stopped: false });
    }
    await gone(here, there);
  });

  test('the one that tells is killed while the other one is read', async () => {
    const long = words(300, 'z');
    const r = await reader(a);
    await r.ask(a, long, { until: 15 });
    const resumed = r.resume(b);
    await r.heardSome(40);
    await killed(a);
    await resumed;
    assert.equal(r.end.how, 'error');
    const answer = await answerOf(d, r);
    assert.equal(answer.state, 'interrupted');
    assert.equal(r.text, answer.content);
    assert.ok(long.startsWith(r.text) && r.cuts === 0);
  });
}

// ---- the end of the process, and a process that slept -----------------------------------------------

function isEnded() {
  let d;
  before(async () => { d = await own(); });

  for (let n = 1; n <= TIMES; n++) {
    test(`who can be finished is, the others are kept as they are, ${n}`, async () => {
      const s = await serve(d);
      const [short, long] = [words(12, 's'), words(600, 'l')];
      const readers = await crowd(s, 20);
      const texts = readers.map((_, i) => (i % 2 ? short : long));
      const reading = readers.map((r, i) => r.ask(s, texts[i]));
      await Promise.all(readers.map((r) => r.heardSome(3)));
      s.kill('SIGTERM');
      await Promise.all(reading);
      await s.gone();
      assert.equal(await streaming(d), 0);
      const answers = await kept(d, readers);
      for (const [i, r] of readers.entries()) {
        const answer = answers.get(r.chat);
        assert.equal(r.text, answer.content);
        assert.deepEqual([r.end?.how, answer.state], texts[i] === short ? ['done', 'complete'] : ['error', 'interrupted']);
        assert.ok(texts[i] === short ? r.text === short : long.startsWith(r.text));
      }
    });
  }
}

function sleeps() {
  let d;
  before(async () => { d = await own(); });

  for (let n = 1; n <= TIMES; n++) {
    test(`another instance has closed the answer, ${n}`, async () => {
      const [a, b] = await pair(d);
      const before = await usage(d), long = words(600, 'w');
      const r = await reader(a);
      const reading = r.ask(a, long);
      await r.heardSome(30);
      a.kill('SIGSTOP');
      await noneIsStreaming(d, LEASE + ms(3000));
      const closed = await answerOf(d, r);
      a.kill('SIGCONT');
      await reading;
      assert.equal(r.end.how, 'error');
      assert.deepEqual(await answerOf(d, r), closed);
      assert.equal(closed.state, 'interrupted');
      assert.ok(closed.content.length && long.startsWith(closed.content));
      await usageBecomes(d, before, { requests: 1 });
      await gone(a, b);
      await usageBecomes(d, before, { requests: 1 });
      assert.deepEqual(await answerOf(d, r), closed);
    });

    test(`nobody else was there, ${n}`, async () => {
      const s = await serve(d), text = words(60, 'v');
      const r = await reader(s);
      const reading = r.ask(s, text);
      await r.heardSome(10);
      s.kill('SIGSTOP');
      await sleep(LEASE + ms(500) * n);
      s.kill('SIGCONT');
      await reading;
      const answer = await answerOf(d, r);
      assert.deepEqual([r.end.how, answer.state, answer.content], ['done', 'complete', text]);
      await s.stop();
    });
  }
}

// ---- the database goes away ---------------------------------------------------------------------------

function isAway() {
  const AWAY = 3000;
  let hurt, d;
  before(async () => {
    hurt = await cluster();
    d = await database({ on: hurt });
  });
  after(() => hurt?.remove());

  const url = () => ({ ...d, url: at(hurt.url, d.name) });
  async function away(time) {
    const since = performance.now();
    await hurt.stop('immediate');
    await sleep(time - (performance.now() - since));
    await hurt.start();
  }
  const longestGap = (r) => Math.max(...r.heard.slice(1).map((h, i) => h.at - r.heard[i].at));

  for (let n = 1; n <= TIMES; n++) {
    test(`in the middle and at the end, ${n}`, async () => {
      const s = await serve(url(), { stream: { heartbeat: duration(300) } });
      const [through, until] = [words(130, 'm'), words(35, 'e')];
      const readers = await crowd(s, 6);
      const texts = readers.map((_, i) => (i % 2 ? through : until));
      const reading = readers.map((r, i) => r.ask(s, texts[i]));
      await Promise.all(readers.map((r) => r.heardSome(20)));
      const began = performance.now();
      await away(ms(AWAY));
      const back = performance.now();
      await Promise.all(reading);
      const answers = await kept(d, readers);
      for (const [i, r] of readers.entries()) {
        const answer = answers.get(r.chat);
        assert.deepEqual([r.end.how, answer.state], ['done', 'complete'], JSON.stringify([i % 2, answer.fault, r.end]));
        assert.deepEqual([r.text, answer.content], [texts[i], texts[i]]);
        assert.ok(longestGap(r) < ms(1000), `${longestGap(r)} ms of silence`);
        if (i % 2) {
          assert.ok(r.heard.some((h) => h.at > back), 'it was over before the database was back');
          continue;
        }
        assert.ok(r.end.at > began + ms(AWAY) - ms(1000), 'it was done before it could be kept');
        const beats = r.comments.filter((t) => t > r.heard.at(-1).at && t < back);
        assert.ok(beats.length >= 2, `${beats.length} heartbeats while the last word waited`);
      }
      await s.stop();
    });

    test(`for longer than the last word waits, ${n}`, async () => {
      const s = await serve(url(), { turns: { save_wait: duration(700) } });
      const text = words(50, 'g');
      const readers = await crowd(s, 6);
      const reading = readers.map((r) => r.ask(s, text));
      await Promise.all(readers.map((r) => r.heardSome(30)));
      const began = performance.now();
      await away(ms(AWAY) + 1000);
      const back = performance.now();
      await Promise.all(reading);
      await noneIsStreaming(d, 2 * LEASE + ms(3000));
      const answers = await kept(d, readers);
      for (const r of readers) {
        assert.equal(r.end.how, 'error');
        assert.ok(r.end.at < back, 'the error came only with the database');
        assert.equal(r.text, text);
        isHonest(answers.get(r.chat), text, r.text, r.heardBefore(began - ms(EVERY)));
      }
      await s.stop();
    });
  }
}

// Most of it is waiting. Within a suite one thing comes after the other.
describe('an answer survives', { concurrency: STREAMS > 200 ? 1 : 4 }, () => {
  const suite = (name, tests) => describe(name, { concurrency: 1 }, tests);
  suite('kill -9', isKilled);
  suite('between two pieces of the journal', isFast);
  suite('the database is away', isAway);
  suite('two instances that tell each other', () => areTwo(true));
  suite('two instances that look', () => areTwo(false));
  suite('SIGSTOP for longer than the lease', sleeps);
  suite('SIGTERM', isEnded);
});
