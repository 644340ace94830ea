// GET /api/chat/usage: what somebody has used, what is left to him, and nothing of anybody else.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { key } from './lib/database.mjs';
import { eventually, ms, run } from './lib/server.mjs';
import { Person, stage } from './lib/session.mjs';
import { token } from './lib/xcx.mjs';

const ISO = /^\d{4}-\d\d-\d\dT00:00:00\.000000\+00:00$/;
const NOTHING = { requests: 0, failures: 0, prompt_tokens: 0, completion_tokens: 0, total_tokens: 0, estimated_requests: 0, cost: null };

let s, server;
before(async () => {
  s = await stage();
  server = await s.serve({ model: { prompt_price: '1000', completion_price: '1' } });
});
after(() => s?.remove());

const operator = async (...args) => {
  const r = await run([...args, '--database', s.db.url]);
  assert.equal(r.code, 0, r.stderr);
  return r.stdout;
};
const used = async (person, requests) => eventually(async () => {
  const u = await person.get('/usage');
  assert.equal(u.last_30_days.total.requests, requests);
  return u;
}, ms(5000));
const talk = async (person, usage, model = 'asked') => {
  s.provider.script({ answer: { text: 'hi', usage }, times: 1 });
  await person.hear(await person.made(), 'hello', { model });
};
const withBearer = (bearer) => Object.assign(new Person(server), { token: bearer });

describe('usage', () => {
  test('of who has used nothing', async () => {
    const u = await new Person(server, 'newcomer').get('/usage');
    for (const period of [u.today, u.last_30_days]) {
      assert.deepEqual([period.total, period.models], [NOTHING, []]);
      assert.match(period.since, ISO);
    }
    assert.equal(Date.parse(u.today.since) - Date.parse(u.last_30_days.since), 29 * 86400000);
    assert.deepEqual(u.limits, []);
  });
  test('is of each model and in total, of today and of thirty days', async () => {
    const anna = new Person(server, 'anna');
    await talk(anna, { input: 7, output: 3 });
    await talk(anna, { input: 5, output: 1 });
    await anna.hear(await anna.made(), 'hello there', { model: 'slow' });
    let u = await used(anna, 3);
    const asked = { model: 'asked', requests: 2, failures: 0, prompt_tokens: 12, completion_tokens: 4, total_tokens: 16, estimated_requests: 0, cost: 0.012004 };
    assert.deepEqual(u.today.models[0], asked);
    assert.deepEqual([u.today.models[1].model, u.today.models[1].cost, u.today.models[1].requests], ['slow', null, 1]);
    assert.equal(u.today.total.total_tokens, 16 + u.today.models[1].total_tokens);
    assert.equal(u.today.total.cost, 0.012004);
    assert.deepEqual(u.last_30_days.models, u.today.models);
    // As if it had been long ago: the last of the thirty days, and the day before it.
    for (const [model, days] of [['asked', 29], ['slow', 30]])
      await s.db.sql(`UPDATE runnel.usage SET day = day - ${days} WHERE model = '${model}' AND account = (SELECT id FROM runnel.account WHERE subject = 'anna')`);
    u = await anna.get('/usage');
    assert.deepEqual([u.today.total, u.today.models, u.last_30_days.models], [NOTHING, [], [asked]]);
  });
  test('is nobody else\'s', async () => {
    const boris = new Person(server, 'boris'), elsewhere = withBearer(token('boris', { tenant: 'other' }));
    await operator('tenant', 'create', 'other');
    await talk(boris, { input: 100, output: 10 });
    await used(boris, 1);
    for (const other of [new Person(server, 'vera'), elsewhere, withBearer(await key(s.db.url))])
      assert.deepEqual((await other.get('/usage')).last_30_days.total, NOTHING);
    assert.equal((await new Person(server, null).fetch('/usage')).status, 401);
  });
  test('of a key is its own', async () => {
    const [one, two] = [withBearer(await key(s.db.url)), withBearer(await key(s.db.url))];
    await talk(one, { input: 9, output: 1 });
    assert.equal((await used(one, 1)).today.total.total_tokens, 10);
    assert.deepEqual((await two.get('/usage')).today.total, NOTHING);
  });
  test('tells the limits that speak of him, and what is left', async () => {
    const lena = new Person(server, 'lena');
    await talk(lena, { input: 90, output: 10 });
    await used(lena, 1);
    await operator('account', 'limit', 'lena', '--tokens-per-day', '1000', '--money-per-day', '2.5', '--streams', '3', '--requests-per-minute', '60');
    await operator('account', 'limit', 'boris', '--tokens-per-day', '7');
    await s.db.sql("INSERT INTO runnel.spending SELECT w.tenant, w.id, (now() AT TIME ZONE 'UTC')::date, 1200, 1000000 FROM runnel.allowance w JOIN runnel.account a ON a.tenant = w.tenant AND a.id = w.account WHERE a.subject = 'lena'");
    const { limits } = await lena.get('/usage');
    assert.deepEqual(limits.map(({ resets_at, ...l }) => l), [
      { of: 'account', limit: 'requests_per_minute', most: 60, used: 0, left: 60 },
      { of: 'account', limit: 'streams', most: 3, used: 0, left: 3 },
      { of: 'account', limit: 'tokens_per_day', most: 1000, used: 1200, left: 0 },
      { of: 'account', limit: 'money_per_day', most: 2.5, used: 1, left: 1.5 }]);
    const [minute, streams, day] = limits.map((l) => l.resets_at && Date.parse(l.resets_at));
    assert.equal(streams, null);
    const midnight = new Date().setUTCHours(24, 0, 0, 0);
    assert.ok(minute > Date.now() - ms(5000) && minute <= Date.now() + 61000, limits[0].resets_at);
    assert.ok(Math.abs(day - midnight) < ms(5000), limits[2].resets_at);
  });
  test('without a database there is none to tell of', async () => {
    const own = new Person(await s.serve({ kept: false, open: true }), null);
    assert.equal((await own.fetch('/usage')).status, 503);
  });
});

describe('a turn whose rounds cost money', () => {
  // A token costs one; an answer may have 20.
  const step = (n) => ({ answer: { text: `step ${n} `, finish: 'tools', tools: [{ id: `c${n}`, name: 'calculator', arguments: '{"expression":"6*7"}' }], usage: { input: 10, output: 5 } }, times: 1 });
  const spend = async (money) => {
    const own = await s.serve({ tools: ['calculator'], model: { prompt_price: '1000000', completion_price: '1000000' }, turns: { answer_tokens: 20 } });
    await own.sql("INSERT INTO runnel.account (tenant, subject, status) VALUES (1, 'thrifty', 'approved')");
    await own.sql(`INSERT INTO runnel.allowance (tenant, account, money_per_day) SELECT 1, id, ${money * 1e6} FROM runnel.account`);
    for (let n = 0; n < 30; n++) s.provider.script(step(n));
    s.provider.forget();
    const p = new Person(own, 'thrifty');
    const id = await p.made();
    const h = await p.hear(id, 'go on for ever');
    const u = await used(p, 1);
    s.provider.clear();
    return { p, id, h, u, rounds: s.asked().length, own };
  };
  test('ends where the money does, with what was said', async () => {
    const { p, id, h, u, rounds, own } = await spend(400);
    assert.equal(h.error, 'what you may use in a day is used up');
    assert.ok(rounds > 2 && rounds < 26, `${rounds} rounds`);
    assert.equal(h.text, Array.from({ length: rounds }, (_, n) => `step ${n} `).join(''));
    assert.deepEqual([u.today.total.cost, u.today.total.failures], [15 * rounds, 1]);
    assert.ok(u.today.total.cost <= 400);
    const { messages } = await p.show(id);
    assert.deepEqual(messages.filter((m) => m.role === 'assistant').map((m) => m.content), h.text.split(/(?<=\d )/));
    assert.equal(messages.filter((m) => m.role === 'tool').length, rounds);
    assert.deepEqual(await own.sql('SELECT count(*) FROM runnel.reservation'), [['0']]);
    assert.deepEqual(u.limits.map((l) => [l.limit, l.most, l.used]), [['money_per_day', 400, 15 * rounds]]);
  });
  test('is not begun where its first round is too dear', async () => {
    const own = await s.serve({ tools: ['calculator'], model: { prompt_price: '1000000', completion_price: '1000000' }, turns: { answer_tokens: 20 } });
    await own.sql("INSERT INTO runnel.account (tenant, subject, status) VALUES (1, 'poor', 'approved')");
    await own.sql('INSERT INTO runnel.allowance (tenant, account, money_per_day) SELECT 1, id, 15000000 FROM runnel.account');
    const p = new Person(own, 'poor');
    const r = await p.ask(await p.made(), 'x');
    assert.deepEqual([r.status, await r.json()], [429, { detail: 'what you may use in a day is used up' }]);
  });
});
