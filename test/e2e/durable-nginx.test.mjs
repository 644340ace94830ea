// Two instances behind nginx, and readers who do not know which of them they speak to: what each
// has put together in the end is what is kept, also when one of the two is killed meanwhile.
//
// RUNNEL_STREAMS=1000 with a release build makes it 200 readers; without it they are few.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { database } from './lib/database.mjs';
import { chance, crowd, kept, noneIsStreaming, reader, settings, sleep, words } from './lib/durable.mjs';
import { startPair } from './lib/pair.mjs';
import { cluster } from './lib/postgres.mjs';
import { eventually, ms } from './lib/server.mjs';

const READERS = process.env.RUNNEL_STREAMS ? 200 : 40;

let pg;
before(async () => { pg = await cluster(); });
after(async () => { await pg?.remove(); });

for (const hops of [1, 2]) describe(`two instances behind ${hops} nginx`, { concurrency: 1 }, () => {
  let d, pair;
  before(async () => {
    d = await database({ on: pg });
    pair = await startPair(settings(d.url), { nginx: { hops } });
    await eventually(async () => {
      for (const s of pair.servers) assert.equal((await fetch(`http://127.0.0.1:${s.port}/readyz`)).status, 200);
    }, ms(10000));
  });
  after(async () => { await pair?.stop(); });

  // A connection that ends without a last word says nothing of the answer.
  async function readToTheEnd(r, next) {
    for (let n = 0; !r.end; n++) {
      assert.ok(n < 200, 'it has no end');
      if (next() < 0.3) await sleep(next() * 300);
      await r.resume(pair, { until: 1 + Math.floor(next() * 25) }).catch((e) => { if (e.cause === undefined) throw e; });
    }
  }

  test('a crowd that leaves and comes back', async () => {
    const readers = await crowd(pair, READERS);
    await Promise.all(readers.map(async (r, i) => {
      const next = chance(1000 * hops + i);
      r.asked = words(30 + Math.floor(next() * 30), `${i}`);
      await r.ask(pair, r.asked, { until: 1 + Math.floor(next() * 25) });
      await readToTheEnd(r, next);
    }));
    const answers = await kept(d, readers);
    for (const r of readers) {
      assert.equal(r.text, answers.get(r.chat).content);
      assert.equal(r.text, r.asked);
      assert.deepEqual([r.end.how, answers.get(r.chat).state], ['done', 'complete']);
    }
  });

  test('one of the two is killed', async () => {
    const readers = await crowd(pair, READERS);
    const text = words(100, 'k');
    const reading = readers.map((r, i) => r.ask(pair, text).then(async () => {
      if (!r.end) await readToTheEnd(r, chance(5000 * hops + i));
    }));
    await Promise.all(readers.map((r) => r.heardSome(20)));
    await pair.kill9(0);
    await Promise.all(reading);
    await noneIsStreaming(d, ms(15000));
    const answers = await kept(d, readers), states = { complete: 0, interrupted: 0 };
    for (const r of readers) {
      const { state, content } = answers.get(r.chat);
      states[state]++;
      assert.equal(r.end.how, state === 'complete' ? 'done' : 'error', state);
      assert.ok(text.startsWith(content));
      // Whoever heard more than the dead had kept has heard the beginning of the same answer.
      assert.ok(r.text === content || (state === 'interrupted' && r.text.startsWith(content)));
      if (state === 'complete') assert.equal(r.text, text);
    }
    assert.ok(states.complete > 0 && states.interrupted > 0, JSON.stringify(states));
    await pair.restart(0);
    const r = await reader(pair);
    await r.ask(pair, 'all is well');
    assert.deepEqual([r.end.how, r.text], ['done', 'all is well']);
  });
});
