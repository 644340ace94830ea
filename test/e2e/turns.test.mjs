// `runnel turns`: what runs, in whatever process, and an end for one of it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { at, database } from './lib/database.mjs';
import { answerOf, gone, killed, LEASE, noneIsStreaming, pair, reader, serve, sleep, STATIC, turnOfKey, words } from './lib/durable.mjs';
import { cluster, pgbouncer } from './lib/postgres.mjs';
import { eventually, ms, run } from './lib/server.mjs';

let pg;
before(async () => { pg = await cluster(); });
after(() => pg?.remove());

const call = (d, line, more = []) => run([...line.split(' '), ...more, '--database', d.url], { timeout: ms(30000) });
async function good(d, line, more) {
  const r = await call(d, line, more);
  assert.equal(r.code, 0, r.stderr);
  return r;
}
const json = async (d, line) => JSON.parse((await good(d, line, ['--json'])).stdout);
async function refused(d, line, why) {
  const r = await call(d, line);
  assert.deepEqual([r.code, r.stdout], [1, ''], line);
  assert.match(r.stderr, why);
}

const LONG = words(2000);

// Somebody who reads a long answer there; `reading` ends with it.
async function listener(on, sub = 'anna') {
  const r = await reader(on, sub);
  const reading = r.ask(on, LONG);
  await r.heardSome(3);
  return { r, reading };
}

for (const notifies of [true, false]) describe(`stopping, ${notifies ? 'told at once' : 'heard with the lease'}`, () => {
  let d, a, b;
  before(async () => {
    d = await database({ on: pg });
    [a, b] = await pair(d, { database: { notifies } });
  });
  after(() => gone(a, b));
  const stop = (line) => good(d, line, ['--set', `database.notifies=${notifies}`, '--json']);

  test('one of two instances', async () => {
    const [one, two] = [await listener(a), await listener(b, 'bob')];
    const all = await json(d, 'turns list');
    assert.deepEqual(all.map((t) => [t.state, t.tenant, t.owner, t.model, t.dialect, t.chat]),
      [['running', 'default', 'anna', 'slow', 'xcx', one.r.chat], ['running', 'default', 'bob', 'slow', 'xcx', two.r.chat]]);
    assert.notEqual(all[0].holder, all[1].holder);
    assert.ok(all.every((t) => t.seconds >= 0 && t.seconds < 60 && /^20.*Z$/.test(t.created_at)));

    const began = performance.now();
    const r = await stop(`turns stop ${all[0].id}`);
    const row = JSON.parse(r.stdout);
    assert.deepEqual([row.id, row.state, r.stderr], [all[0].id, 'stopped', '']);
    if (notifies) assert.ok(performance.now() - began < ms(5000));
    await one.reading;
    assert.equal((await answerOf(d, one.r)).state, 'stopped');
    assert.equal((await answerOf(d, one.r)).content, one.r.text);
    assert.deepEqual((await json(d, 'turns')).map((t) => [t.id, t.state]), [[all[1].id, 'running']], 'the other one goes on');

    const again = await stop(`turns stop ${all[0].id}`);
    assert.match(again.stderr, /^runnel: it had ended already\n$/);
    assert.equal(JSON.parse(again.stdout).state, 'stopped');
    await stop(`turns stop ${all[1].id}`);
    await two.reading;
    assert.deepEqual(await json(d, 'turns list'), []);
  });

  test('a turn without a conversation, by its key', async () => {
    const res = fetch(`http://127.0.0.1:${b.port}/v1/chat/completions`, {
      method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${STATIC}`, 'idempotency-key': 'k1' },
      body: JSON.stringify({ model: 'slow', stream: true, messages: [{ role: 'user', content: LONG }] }) });
    const [turn] = await eventually(async () => {
      const all = await json(d, 'turns list');
      assert.equal(all.length, 1);
      return all;
    }, ms(10000));
    assert.deepEqual([turn.chat, turn.dialect], [null, null]);
    const row = JSON.parse((await stop(`turns stop ${turn.id}`)).stdout);
    assert.equal(row.state, 'stopped');
    assert.doesNotMatch(await (await res).text(), /\[DONE\]/);
    assert.equal((await turnOfKey(d, 'k1')).state, 'stopped');
  });
});

describe('turns', () => {
  let d;
  before(async () => { d = await database({ on: pg }); });

  test('of a tenant, as a table, and of names that are nonsense', async () => {
    await good(d, 'tenant create shop');
    await d.sql(`INSERT INTO runnel.turn (tenant, id, owner, model, holder, lease_until, created_at) VALUES
      (1, 'old', E'an\\u001b[31mna', 'm', 'h1', now() + interval '1 h', now() - interval '90 s'),
      (2, 'new', 'bob', 'm', 'h2', now() + interval '1 h', now()),
      (2, 'lost', 'bob', 'm', 'h3', now() - interval '1 s', now() - interval '5 s')`);
    const { stdout } = await good(d, 'turns list');
    assert.match(stdout, /^id +state +tenant +owner +model +dialect +chat +seconds +fault +holder +created_at\nold +running +default +an\?\[31mna +m +- +- +(89|9\d) /);
    assert.deepEqual((await json(d, 'turns list')).map((t) => [t.id, t.state]), [['old', 'running'], ['lost', 'left behind'], ['new', 'running']]);
    assert.deepEqual((await json(d, 'turns --tenant shop')).map((t) => t.id), ['lost', 'new']);
    await refused(d, 'turns list --tenant nowhere', /there is no tenant "nowhere"/);
    await refused(d, 'turns stop old --tenant shop', /there is no turn "old" in the tenant "shop"/);
    await refused(d, 'turns stop none', /there is no turn "none" in the tenant "default"/);
    await refused(d, 'turns stop', /it wants a TURN/);
    await refused(d, 'turns go', /turns what\? There is no "go"/);
    assert.deepEqual(await d.sql('SELECT id FROM runnel.turn WHERE stop_asked'), []);
  });

  test('that nobody holds any more, or whose holder does not hear', async () => {
    const lost = await good(d, 'turns stop lost --tenant shop', ['--json']);
    assert.equal(JSON.parse(lost.stdout).state, 'left behind');
    assert.match(lost.stderr, /the process that made it is gone; another one will end it as interrupted/);
    const began = performance.now();
    const deaf = await good(d, 'turns stop new --tenant shop', ['--json']);
    assert.equal(JSON.parse(deaf.stdout).state, 'stopping');
    assert.match(deaf.stderr, /it was asked to stop, and its process has not done so yet/);
    assert.ok(performance.now() - began > 4900, 'it did not wait');
    assert.deepEqual((await d.sql('SELECT id FROM runnel.turn WHERE stop_asked ORDER BY id')).flat(), ['lost', 'new']);
    assert.equal((await json(d, 'turns')).find((t) => t.id === 'new').state, 'stopping');
  });

  test('without a schema, and with a database that is not there', async () => {
    const empty = await database({ on: pg, migrated: false });
    for (const line of ['turns', 'turns stop x']) await refused(empty, line, /no schema yet .*run "runnel migrate"/);
    await refused({ url: at('postgresql://u@127.0.0.1:1/postgres', 'x') }, 'turns', /cannot be reached/);
  });
});

test('what a dead process left is shown, and ended by the next', async () => {
  const d = await database({ on: pg });
  const s = await serve(d);
  const { reading } = await listener(s);
  await killed(s);
  await reading;
  await sleep(LEASE + ms(300));
  assert.deepEqual((await json(d, 'turns')).map((t) => t.state), ['left behind']);
  const next = await serve(d);
  await noneIsStreaming(d, LEASE + ms(3000));
  assert.deepEqual(await json(d, 'turns'), []);
  await next.stop();
});

test('through a pooler that gives every transaction another session', async () => {
  const d = await database({ on: pg });
  const pooler = await pgbouncer(d.url);
  const s = await serve(d);
  const { r, reading } = await listener(s);
  const through = { url: at(pooler.url, d.name) };
  const [turn] = await json(through, 'turns');
  assert.equal((await json(through, `turns stop ${turn.id}`)).state, 'stopped');
  await reading;
  assert.equal((await answerOf(d, r)).state, 'stopped');
  await s.stop();
  await pooler.stop();
});
