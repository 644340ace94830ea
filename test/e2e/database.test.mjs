// PostgreSQL goes away, hangs, comes back, moves, is another than it should be: what people
// notice of it, what is kept, and how long the loop stands still.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { cluster, pgbouncer, psql } from './lib/postgres.mjs';
import { wire } from './lib/wire.mjs';
import { get } from './lib/raw.mjs';
import { eventually, ms, run, start } from './lib/server.mjs';

const STATIC = 'a-key-of-the-settings';
const STALL = Number(process.env.RUNNEL_STALL ?? ms(60)) / 1000;   // s; of a release build on a quiet machine: 0.02

let pg;
before(async () => { pg = await cluster({ settings: { max_connections: 60 } }); });
after(() => pg?.remove());

const settings = (url, more = {}) => ({
  database: { url, ...more.database },
  access: { keys: [STATIC], cache: '20ms' },
  providers: [{ name: 'echo', kind: 'echo', tokens_per_second: 0 }, { name: 'slow', kind: 'echo', tokens_per_second: more.pace ?? 5 }],
  models: [{ name: 'echo', targets: [{ provider: 'echo' }] }, { name: 'slow', targets: [{ provider: 'slow' }] }],
});

const at = (base, name) => base.replace(/\/postgres(?=$|\?)/, `/${name}`);

// A database of its own in that cluster; its url, and a way to ask it that no fault stands in.
let made = 0;
async function database({ on = pg, migrated = true } = {}) {
  const name = `d${++made}`;
  await on.sql(`CREATE DATABASE ${name}`);
  const d = { name, url: at(on.url, name), sql: (text, options) => psql(at(on.socketUrl, name), text, options) };
  if (migrated) await migrate(d.url);
  return d;
}

async function migrate(url) {
  const r = await run(['migrate', '--database', url]);
  assert.equal(r.code, 0, r.stderr);
}

async function key(url, ...more) {
  const r = await run(['key', 'create', `key${++made}`, '--database', url, ...more]);
  assert.equal(r.code, 0, r.stderr);
  return r.stdout.trim();
}
const limited = (url) => key(url, '--tokens-per-day', '1000000000');

const readiness = async (s) => {
  const r = await get(s.port, '/readyz');
  return { code: r.status, ...JSON.parse(r.text) };
};
const becomesReady = (s, timeout = ms(2000)) => eventually(async () => assert.equal((await readiness(s)).code, 200), timeout);
const becomesUnready = (s, timeout = ms(10000)) => eventually(async () => assert.equal((await readiness(s)).code, 503), timeout);
const isWhole = (s, timeout = ms(2000)) => s.metricBecomes('runnel_database_connections', 4, timeout);

const ask = (s, apiKey, model = 'echo', more = {}, text = 'one two three') => fetch(`http://127.0.0.1:${s.port}/v1/chat/completions`, {
  method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
  body: JSON.stringify({ model, messages: [{ role: 'user', content: text }], ...more }) });

async function welcome(s, apiKey) {
  const r = await ask(s, apiKey);
  assert.equal(r.status, 200, await r.clone().text());
  assert.equal((await r.json()).choices[0].message.content, 'one two three');
}

// The text of a whole stream; one that did not end as it should throws.
async function stream(s, apiKey, text) {
  const r = await ask(s, apiKey, 'slow', { stream: true }, text);
  assert.equal(r.status, 200, await (r.status === 200 ? '' : r.text()));
  let all = '', end;
  for (const line of (await r.text()).split('\n')) {
    if (!line.startsWith('data: {')) continue;
    const [choice] = JSON.parse(line.slice(6)).choices;
    all += choice?.delta?.content ?? '';
    end = choice?.finish_reason ?? end;
  }
  assert.equal(end, 'stop');
  return all;
}

const counted = async (d, model) => Number((await d.sql(`SELECT coalesce(sum(requests), 0) FROM runnel.usage WHERE model = '${model}'`))[0][0]);
const isCounted = (d, model, n, timeout = ms(35000)) => eventually(async () => assert.equal(await counted(d, model), n), timeout);

async function stallIsShort(s, what) {
  const stall = await s.metric('runnel_loop_longest_stall_seconds');
  if (process.env.RUNNEL_STALL) console.log(`longest stall, ${what}: ${(stall * 1000).toFixed(1)} ms`);
  assert.ok(stall > 0 && stall < STALL, `${what}: the loop stood still for ${stall} s`);
}

// ---- the schema ----------------------------------------------------------------

describe('the schema', () => {
  async function isRefused(d, why, mend) {
    const s = await start(settings(d.url));
    await s.log({ msg: 'database not fit', words: why });
    const r = await readiness(s);
    assert.deepEqual([r.code, r.status], [503, 'no database']);
    assert.match(r.why, why);
    assert.equal((await get(s.port, '/livez')).status, 200);
    await sleep(ms(1500));
    assert.equal(s.lines.filter((l) => l.includes('database')).length, 1, s.stderr);
    await mend();
    await becomesReady(s);
    await welcome(s, await limited(d.url));
    await s.stop();
  }
  const touch = (sql, back, why) => async () => {
    const d = await database();
    await d.sql(`CREATE TABLE kept AS SELECT * FROM runnel.migration; ${sql}`);
    await isRefused(d, why, () => d.sql(back));
  };
  const restore = 'DELETE FROM runnel.migration; INSERT INTO runnel.migration SELECT * FROM kept';

  test('none yet, and then there is one', async () => {
    const d = await database({ migrated: false });
    await isRefused(d, /no schema yet .* run "runnel migrate"/, () => migrate(d.url));
  });
  test('older', touch('DELETE FROM runnel.migration WHERE number = (SELECT max(number) FROM runnel.migration)', restore,
    /is at migration \d+ and this program wants \d+: run "runnel migrate"/));
  test('newer', touch("INSERT INTO runnel.migration SELECT max(number) + 1, 'tomorrow', sha256('x'), now(), now() FROM runnel.migration", restore, /a newer one has been here/));
  test('half migrated', touch('UPDATE runnel.migration SET done_at = NULL WHERE number = 2', restore, /migration 2 .* was begun at .* and not finished/));
  test('another', touch("UPDATE runnel.migration SET hash = sha256('x') WHERE number = 1", restore, /migration 1 .* was another/));
  test('current, with a table missing', touch('ALTER TABLE runnel.usage RENAME TO elsewhere', 'ALTER TABLE runnel.elsewhere RENAME TO usage', /relation "runnel.usage" does not exist/));

  test('one that changes while it is used: what was prepared before is prepared again', async () => {
    const d = await database();
    const s = await start(settings(d.url)), k = await limited(d.url);
    await welcome(s, k);
    await d.sql('ALTER TABLE runnel.account ALTER nickname TYPE varchar(100), ALTER role TYPE varchar(100); ALTER TABLE runnel.allowance ALTER streams TYPE bigint');
    await sleep(ms(100));
    for (let i = 0; i < 20; i++) await welcome(s, k);
    await d.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'runnel' AND datname = '${d.name}'`);
    for (let i = 0; i < 20; i++) await welcome(s, k);
    await isWhole(s);
    await s.stop();
  });
});

describe('serve --migrate', () => {
  const args = ['--migrate'];
  test('brings the schema up to date, and serves', async () => {
    const d = await database({ migrated: false });
    for (const migrations of [true, false]) {
      const s = await start(settings(d.url), { args });
      assert.equal(s.stderr.includes('msg=migrated'), migrations);
      await becomesReady(s);
      await welcome(s, await key(d.url));
      await s.stop();
    }
  });
  const refusals = {
    'no database': ['', /there is no database/],
    'a database that is away': ['postgresql://127.0.0.1:9/none', /the database cannot be reached/],
  };
  for (const [name, [url, why]] of Object.entries(refusals)) test(`${name}: it does not start`, async () => {
    const r = await run(['serve', '--migrate', '--listen', '127.0.0.1:0', '--set', `database.url=${url}`]);
    assert.deepEqual([r.code, r.stdout], [1, '']);
    assert.match(r.stderr, why);
    assert.equal(r.stderr.trim().split('\n').length, 1, r.stderr);
  });
  test('a newer schema: it does not start', async () => {
    const d = await database();
    await d.sql("INSERT INTO runnel.migration SELECT max(number) + 1, 'tomorrow', sha256('x'), now(), now() FROM runnel.migration");
    const r = await run(['serve', '--migrate', '--listen', '127.0.0.1:0', '--set', `database.url=${d.url}`]);
    assert.equal(r.code, 1);
    assert.match(r.stderr, /a newer one has been here/);
  });
});

// ---- gone and back ---------------------------------------------------------------

// 500 answers under way, and others asking all the time, while `hurt` happens. What was
// acknowledged is counted, once; nothing else is.
async function live(s, d, k, hurt, { streams = 500, words = 50 } = {}) {
  const text = Array.from({ length: words }, (_, i) => `word${i}`).join(' ');
  let begun = 0;
  const read = Promise.all(Array.from({ length: streams }, () => stream(s, k, text)));
  await eventually(async () => { begun = await s.metric('runnel_turns_running'); assert.ok(begun >= streams, `${begun}`); }, ms(20000));
  let goes = true, acknowledged = 0;
  const said = new Map();
  const asking = Array.from({ length: 4 }, async () => {
    while (goes) {
      const { status } = await ask(s, k).then(async (r) => { await r.text(); return r; });
      said.set(status, (said.get(status) ?? 0) + 1);
      if (status === 200) acknowledged++;
      await sleep(5);
    }
  });
  await hurt();
  await isWhole(s);
  for (const all of await read) assert.equal(all, text);
  goes = false;
  await Promise.all(asking);
  assert.deepEqual([...said.keys()].filter((status) => status !== 200 && status !== 503), []);
  assert.ok(acknowledged > 10, `${acknowledged}`);
  await isCounted(d, 'slow', streams);
  await isCounted(d, 'echo', acknowledged);
  assert.deepEqual(await d.sql("SELECT count(*) FROM runnel.reservation WHERE turn IN (SELECT turn FROM runnel.billed)"), [['0']]);
}

describe('gone and back', () => {
  test('killed and restarted in the middle of 500 answers', { timeout: ms(120000) }, async () => {
    const d = await database();
    const s = await start(settings(d.url)), k = await limited(d.url);
    await becomesReady(s);
    await live(s, d, k, async () => {
      await pg.stop('immediate');
      await becomesUnready(s);
      await sleep(ms(1000));
      await pg.start();
    });
    assert.equal((await s.metrics()).filter((m) => m.name === 'runnel_turns_total' && m.labels.end !== 'complete' && m.labels.end !== 'refused' && m.value > 0).length, 0);
    await stallIsShort(s, 'killed and restarted');
    await s.stop();
  });

  test('a standby that is promoted', { timeout: ms(120000) }, async () => {
    const first = await cluster(), second = await cluster({ standbyOf: first });
    const d = await database({ on: first });
    const both = new URL(d.url);
    both.host = `127.0.0.1:${first.port}`;
    const url = both.href.replace(`127.0.0.1:${first.port}`, `127.0.0.1:${second.port},127.0.0.1:${first.port}`); // the standby first
    const s = await start(settings(url)), k = await limited(d.url);
    await becomesReady(s);
    await live(s, { sql: (text) => psql(at(second.socketUrl, d.name), text) }, k, async () => {
      await eventually(async () => assert.deepEqual(await first.sql('SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()'), [['1']]), ms(5000)).catch(() => {});
      await first.sql("ALTER SYSTEM SET synchronous_standby_names = '*'; SELECT pg_reload_conf()");
      await sleep(ms(500));
      await first.kill();
      await becomesUnready(s);
      await second.promote();
    });
    await stallIsShort(s, 'failover');
    await s.stop();
    await Promise.all([first.remove(), second.remove()]);
  });
});
