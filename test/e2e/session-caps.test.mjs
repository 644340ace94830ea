// How many answers somebody may be made at once below /api/chat, and how many of his questions may
// wait, in whichever process.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { sleep } from './lib/durable.mjs';
import { eventually, ms } from './lib/server.mjs';
import { heard, Person, stage } from './lib/session.mjs';

const EMPTY = ['start', 'start-step', 'finish-step', 'finish'].join();
const TOO_MANY = 'too many answers are being made for you at the moment';

let s, both;
before(async () => {
  s = await stage();
  both = [await s.serve(), await s.serve()];
});
after(() => s?.remove());
beforeEach(() => s.forget());

const slowly = (times, first = ms(1500)) => s.provider.script({ answer: { first }, times });
const some = (n, make) => Promise.all(Array.from({ length: n }, (_, i) => make(i)));

// What became of a question: answered, queued or refused.
async function outcome(response) {
  if (response.status === 200) return (await heard(response)).types.join() === EMPTY ? 'queued' : 'answered';
  assert.equal(response.status, 429);
  assert.equal(response.headers.get('retry-after'), '5');
  return JSON.stringify(await response.json());
}
const tally = (all) => Object.fromEntries([...new Set(all)].sort().map((k) => [k, all.filter((x) => x === k).length]));

// Looks again and again how many are being made, until it is told to stop.
function watch(owner, db = s.db) {
  let most = 0, goesOn = true;
  const watching = (async () => {
    while (goesOn) {
      const [[n]] = await db.sql(`SELECT count(*) FROM runnel.turn WHERE state = 'streaming' AND owner = '${owner}'`);
      most = Math.max(most, Number(n));
      await sleep(10);
    }
    return most;
  })();
  return () => { goesOn = false; return watching; };
}

// Somebody claims a turn, when a question that waited has been taken and is not claimed yet.
const takesPlace = (on, chat) => on.sql(`DO $$ BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended(jsonb_build_array('crowd', c.tenant, c.dialect, c.owner)::text, 0)) FROM runnel.chat c WHERE c.uid = '${chat}';
  FOR i IN 1..1000 LOOP
    EXIT WHEN EXISTS (SELECT FROM runnel.pending WHERE taken_until > clock_timestamp());
    PERFORM pg_sleep(0.01);
  END LOOP;
  INSERT INTO runnel.turn (tenant, id, owner, chat, holder, created_at, lease_until)
    SELECT c.tenant, 'theirs', c.owner, c.id, 'somebody', clock_timestamp(), now() + interval '5 minutes' FROM runnel.chat c WHERE c.uid = '${chat}';
END $$`);
const chat = (person, id, text, on) => person.fetch('', { method: 'POST', on, body: { id, messages: [{ id: `m-${id}-${text}`, role: 'user', parts: [{ type: 'text', text }] }] } });

describe('sessions', () => {
  test('of 20 questions at once, to two instances, 5 are answered, 10 wait and 5 are refused', async () => {
    const p = new Person(both[0], 'eager');
    const ids = await some(20, () => p.made());
    slowly(20);
    const most = watch('eager');
    const all = await some(20, async (i) => outcome(await p.ask(ids[i], `q${i}`, {}, { on: both[i % 2] })));
    assert.deepEqual(tally(all), { answered: 5, queued: 10, [JSON.stringify({ detail: TOO_MANY })]: 5 });
    // What waited is answered, and what was refused has left nothing.
    await eventually(async () => {
      const said = await some(20, (i) => p.said(ids[i]));
      for (const [i, what] of all.entries())
        assert.deepEqual(said[i], what.includes('detail') ? [] : [['user', `q${i}`], ['assistant', `q${i}`]], `${i}: ${what}`);
    }, ms(30000));
    assert.equal(await most(), 5);
    assert.equal(await outcome(await p.ask(ids[0], 'and now?')), 'answered');
  });
  test('nobody else is in anybody\'s way', async () => {
    const [p, q] = ['one', 'two'].map((name) => new Person(both[0], name));
    const ids = await some(6, () => p.made());
    slowly(5, ms(2500));
    const busy = some(6, async (i) => outcome(await p.ask(ids[i], 'x')));
    await sleep(ms(500));
    assert.equal(await outcome(await q.ask(await q.made(), 'x', {}, { on: both[1] })), 'answered');
    assert.deepEqual(tally(await busy), { answered: 5, queued: 1 });
    await eventually(async () => assert.ok((await some(6, (i) => p.said(ids[i]))).every((said) => said.length === 2)), ms(15000));
  });
  test('a question that is sent again is not too many', async () => {
    const p = new Person(both[0], 'again');
    const ids = await some(5, () => p.made());
    slowly(5, ms(2500));
    const busy = some(5, async (i) => outcome(await p.ask(ids[i], `q${i}`, { message_id: 'm' })));
    await eventually(async () => assert.equal((await p.get('/sessions')).sessions.filter((x) => x.is_processing).length, 5), ms(2000));
    assert.equal(await outcome(await p.ask(ids[0], 'q0', { message_id: 'm' }, { on: both[1] })), 'answered');
    assert.deepEqual(tally(await busy), { answered: 5 });
    assert.equal(s.asked().filter((b) => /^q\d$/.test(b.messages.at(-1).content)).length, 5);
  });
  test('whose place is taken at the last moment waits for the next', async () => {
    const own = await s.serve({ session: { max_running: 1 } });
    const p = new Person(own, 'late');
    const [first, second, third] = await some(3, () => p.made());
    slowly(1);
    const busy = p.hear(first, 'first');
    await eventually(async () => assert.ok((await p.show(first)).active_stream), ms(2000));
    assert.equal(await outcome(await p.ask(second, 'second')), 'queued');
    await Promise.all([busy, takesPlace(own, third)]);
    await own.log({ msg: 'turn', fault: 'too_many_at_once' });
    await own.sql("UPDATE runnel.turn SET state = 'complete', ended_at = now() WHERE id = 'theirs'");
    await eventually(async () => assert.equal((await p.said(second)).length, 2), ms(5000));
    assert.equal((await p.get(`/sessions/${second}/messages/pending`)).count, 0);
  });
  test('of those that wait behind one answer there are only so many', async () => {
    const own = await s.serve({ session: { max_in_flight: 3 } });
    const p = new Person(own);
    const id = await p.made(), other = await p.made();
    slowly(1, ms(2500));
    const first = p.hear(id, 'first');
    await eventually(async () => assert.ok((await p.show(id)).active_stream), ms(2000));
    const wait = () => p.fetch(`/sessions/${id}/messages/pending`, { method: 'POST', body: { message: 'then' } });
    for (let i = 0; i < 2; i++) assert.equal((await wait()).status, 200);
    for (const r of [await wait(), await p.ask(id, 'then'), await p.ask(other, 'then')])
      assert.equal(await outcome(r), JSON.stringify({ detail: TOO_MANY }));
    await first;
    await eventually(async () => assert.equal((await p.said(id)).length, 6), ms(15000));
    assert.equal(await outcome(await p.ask(other, 'then')), 'answered');
  });
  test('without limits all are answered', async () => {
    const own = await s.serve({ session: { max_running: 0, max_in_flight: 0 } });
    const p = new Person(own);
    const ids = await some(17, () => p.made());
    slowly(17);
    assert.deepEqual(tally(await some(17, async (i) => outcome(await p.ask(ids[i], 'x')))), { answered: 17 });
  });
});

describe('/api/chat', () => {
  test('of 20 at once, to two instances, 5 are answered and the others refused', async () => {
    const p = new Person(both[0], 'useful');
    slowly(20);
    const most = watch('useful');
    const all = await some(20, async (i) => outcome(await chat(p, `c${i}`, 'x', both[i % 2])));
    assert.deepEqual(tally(all), { answered: 5, [JSON.stringify({ error: TOO_MANY })]: 15 });
    assert.equal(await most(), 5);
    const [[messages]] = await s.db.sql("SELECT count(*) FROM runnel.message m JOIN runnel.chat c ON c.id = m.chat WHERE c.owner = 'useful'");
    assert.equal(messages, '10');
    assert.equal(await outcome(await chat(p, 'c0', 'again', both[1])), 'answered');
  });
  test('the answer that the next question stops is not in its way', async () => {
    const p = new Person(both[0], 'hasty');
    slowly(6, ms(4000));
    const busy = some(5, async (i) => heard(await chat(p, `h${i}`, 'x')));
    await eventually(async () => assert.equal((await p.get('/sessions')).sessions.filter((x) => x.is_processing).length, 5), ms(3000));
    assert.equal((await chat(p, 'h6', 'x', both[1])).status, 429);
    for (const on of [both[0], both[1]]) {
      s.provider.clear();
      assert.equal(await outcome(await chat(p, `h${both.indexOf(on)}`, 'instead', on)), 'answered');
    }
    assert.equal((await busy).filter((h) => h.types.includes('abort')).length, 2);
  });
});
