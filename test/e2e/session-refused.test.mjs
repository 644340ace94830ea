// Questions that waited behind an answer and may not be asked when their turn has come: what is
// shown of them, and that what stands behind them goes on.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { database } from './lib/database.mjs';
import { eventually, ms, start } from './lib/server.mjs';
import { Person, stage } from './lib/session.mjs';

const EMPTY = ['start', 'start-step', 'finish-step', 'finish'];
const TOO_SOON = 'too many requests or tokens within a minute';
const USED_UP = 'what you may use in a day is used up';
const REUSED = 'another question was asked with this Idempotency-Key';
const NOT_OFFERED = 'this model does not do what was asked';

let s, own;
before(async () => {
  s = await stage();
  own = await s.serve({ session: {}, turns: { answer_tokens: 20 }, model: { prompt_price: '1', completion_price: '1' } });
});
after(() => s?.remove());
beforeEach(() => s.forget());

const words = (n) => Array.from({ length: n }, (_, i) => `w${i}`).join(' ');
const FIRST = words(20);

// Somebody of whom an allowance speaks.
let known = 0;
async function somebody(limits = {}) {
  const p = new Person(own, `p${++known}`);
  await own.sql(`INSERT INTO runnel.account (tenant, subject, status) VALUES (1, 'p${known}', 'approved')`);
  for (const [limit, most] of Object.entries(limits))
    [[p.allowance]] = await own.sql(`INSERT INTO runnel.allowance (tenant, account, ${limit}) SELECT 1, id, ${most} FROM runnel.account WHERE subject = 'p${known}' RETURNING id`);
  return p;
}
const usesUp = (p) => own.sql(`INSERT INTO runnel.spending SELECT 1, ${p.allowance}, (now() AT TIME ZONE 'UTC')::date, 1000000, 1000000`);
const usesNothing = (p) => own.sql(`DELETE FROM runnel.spending WHERE allowance = ${p.allowance}`);

// A session of his in which an answer is being made, and what waits behind it.
async function busy(p, waiting = [], more = {}) {
  const id = await p.made();
  const first = p.hear(id, FIRST, { model: 'slow' });
  await eventually(async () => assert.ok((await p.show(id)).active_stream), ms(5000));
  for (const text of waiting) assert.deepEqual((await p.hear(id, text, ...(more[text] ?? []))).types, EMPTY);
  return { id, first };
}
const becomes = (p, id, said, timeout = ms(15000)) => eventually(async () => {
  assert.deepEqual(await p.said(id), [['user', FIRST], ['assistant', FIRST], ...said]);
  assert.equal((await p.get(`/sessions/${id}/messages/pending`)).count, 0);
}, timeout);
const asked = (text) => [['user', text], ['assistant', text]];
const refused = (text, why) => [['user', text], ['assistant', why]];
const turns = (id) => own.sql(`SELECT t.state, t.fault FROM runnel.turn t JOIN runnel.chat c ON c.id = t.chat WHERE c.uid = '${id}' ORDER BY t.created_at`);

describe('what will never be let in', () => {
  test('as it needs more than a minute has: the next one is asked', async () => {
    const p = await somebody({ tokens_per_minute: 300 });
    const long = 'x'.repeat(4000);
    const { id, first } = await busy(p, [long, 'then']);
    assert.equal((await first).text, FIRST);
    await becomes(p, id, [...refused(long, TOO_SOON), ...asked('then')]);
    assert.deepEqual(await turns(id), [['complete', ''], ['error', 'rate_limited'], ['complete', '']]);
    // No model is told what nobody was asked.
    assert.deepEqual(s.asked().map((b) => b.messages.map((m) => m.content)), [[FIRST, FIRST, 'then']]);
    assert.equal((await p.get('/usage')).today.total.requests, 2);
  });
  for (const limit of ['tokens_per_day', 'money_per_day'])
    test(`as his ${limit} are used up meanwhile`, async () => {
      const p = await somebody({ [limit]: 1000000 });
      const { id, first } = await busy(p, ['second', 'third']);
      await usesUp(p);
      await first;
      await becomes(p, id, [...refused('second', USED_UP), ...refused('third', USED_UP)]);
      assert.deepEqual(s.asked(), []);
      assert.equal((await p.get('/usage')).today.total.requests, 1);
      assert.deepEqual(await own.sql('SELECT count(*) FROM runnel.reservation'), [['0']]);
      await usesNothing(p);
      assert.equal((await p.hear(id, 'fourth')).text, 'fourth');
      assert.deepEqual(s.asked()[0].messages.map((m) => m.content), [FIRST, FIRST, 'fourth']);
    });
  test('is refused once, and again for who sends it again', async () => {
    const p = await somebody({ tokens_per_day: 1000000 });
    const { id, first } = await busy(p, ['second'], { second: [{ message_id: 'm' }] });
    await usesUp(p);
    await first;
    await becomes(p, id, refused('second', USED_UP));
    await usesNothing(p);
    const h = await p.hear(id, 'second', { message_id: 'm' });
    assert.deepEqual([h.text, h.error], ['', USED_UP]);
    await becomes(p, id, refused('second', USED_UP));
  });
  test('as its name is another question\'s by then', async () => {
    const p = await somebody();
    const { id, first } = await busy(p, ['second', 'third'], { second: [{ message_id: 'm' }] });
    const r = await p.fetch('', { method: 'POST', headers: { 'idempotency-key': `${id}:m` },
      body: { id: 'elsewhere', messages: [{ id: 'u', role: 'user', parts: [{ type: 'text', text: 'hi' }] }] } });
    assert.match(await r.text(), /"hi"/);
    await first;
    await becomes(p, id, [...refused('second', REUSED), ...asked('third')]);
    assert.deepEqual(await turns(id), [['complete', ''], ['error', 'key_reused'], ['complete', '']]);
  });
  test('as nobody is there to answer it', async () => {
    const db = await database({ on: s.cluster });
    const settings = s.settings({ db });
    const server = await start(settings);
    s.servers.push(server);
    const p = new Person(server);
    const { id, first } = await busy(p);
    await first;
    await server.stop();
    await db.sql("INSERT INTO runnel.pending (tenant, chat, key, content, is_assistants, context, model, api_key, account, is_limited) SELECT tenant, id, 'k', 'second', false, '', '', 0, 0, false FROM runnel.chat");
    const empty = await start({ ...settings, models: [] });
    s.servers.push(empty);
    await becomes(new Person(empty), id, refused('second', NOT_OFFERED));
  });
});

test('one Idempotency-Key in two sessions is two questions', async () => {
  const p = await somebody();
  const key = { headers: { 'idempotency-key': 'same' } };
  const all = [await busy(p, ['one'], { one: [{}, key] }), await busy(p, ['two'], { two: [{}, key] })];
  for (const [i, { id, first }] of all.entries()) {
    await first;
    await becomes(p, id, asked(['one', 'two'][i]));
  }
});

describe('what may be let in later', () => {
  const late = async () => {
    const p = await somebody({ requests_per_minute: 1 });
    const { id, first } = await busy(p, ['second', 'third']);
    await first;
    await eventually(async () => assert.ok((await own.sql("SELECT taken_until FROM runnel.pending WHERE content = 'second'"))[0][0]), ms(5000));
    return { p, id };
  };
  const soon = (more = '') => own.sql(`UPDATE runnel.pending SET taken_until = now() ${more} WHERE content = 'second'`);

  test('is asked when it is', async () => {
    const { p, id } = await late();
    await own.log({ msg: 'turn', fault: 'rate_limited' });
    // It waits for the end of the minute, and what is behind it waits, too.
    await eventually(async () => {
      const [[second]] = await own.sql("SELECT extract(second FROM taken_until) FROM runnel.pending WHERE content = 'second'");
      assert.ok(Number(second) < 3, `again at :${second}`);
    }, ms(3000));
    assert.equal((await p.get(`/sessions/${id}/messages/pending`)).count, 2);
    await own.sql(`UPDATE runnel.allowance SET requests_per_minute = 100 WHERE id = ${p.allowance}`);
    await soon();
    await becomes(p, id, [...asked('second'), ...asked('third')]);
  });
  test('is refused when it has waited for ten minutes', async () => {
    const { p, id } = await late();
    await soon(", created_at = created_at - interval '9 minutes'");
    await eventually(async () => assert.deepEqual(await own.sql("SELECT count(*) FROM runnel.pending WHERE content = 'second' AND taken_until > now()"), [['1']]), ms(5000));
    assert.equal((await p.get(`/sessions/${id}/messages/pending`)).count, 2);
    await soon(", created_at = created_at - interval '2 minutes'");
    await eventually(async () => assert.deepEqual((await p.said(id)).slice(2, 4), refused('second', TOO_SOON)), ms(5000));
  });
});
