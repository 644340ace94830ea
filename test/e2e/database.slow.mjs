// Takes minutes and wants a quiet machine, so it is not among the tests that every change has
// to pass: (cd test/e2e && node --test database.slow.mjs). Beside its four connections the
// service has one that listens.
// PostgreSQL goes away, hangs, comes back, moves: what people notice of it, what is kept, and how
// long the loop stands still.
import assert from 'node:assert/strict';
import os from 'node:os';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { STATIC, at, ask, becomesReady, becomesUnready, counted, database as make, isCounted, isWhole, limited,
  migrate, readiness, settings, stallIsShort, stream, welcome } from './lib/database.mjs';
import { cluster, pgbouncer, psql } from './lib/postgres.mjs';
import { get } from './lib/raw.mjs';
import { eventually, ms, start as begin } from './lib/server.mjs';
import { wire } from './lib/wire.mjs';

let pg;
before(async () => { pg = await cluster({ settings: { max_connections: 60 } }); });
after(() => pg?.remove());
const database = (more) => make({ on: pg, ...more });

// How long a processor was somebody else's is not the loop's doing: where we may, it goes first.
async function start(...args) {
  const s = await begin(...args);
  try { os.setPriority(s.pid, os.constants.priority.PRIORITY_HIGHEST); } catch { /* not root */ }
  return s;
}

// ---- gone and back ---------------------------------------------------------------

// 500 answers under way, and others asking all the time, while `hurt` happens. What was
// acknowledged is counted, once; nothing else is.
async function live(s, d, k, hurt, { streams = 500, words = 50, before = 0 } = {}) {
  const text = Array.from({ length: words }, (_, i) => `word${i}`).join(' ');
  const reading = [];
  while (reading.length < streams) {          // a crowd at once would make the loop busy by itself
    reading.push(...Array.from({ length: 20 }, () => stream(s, k, text)));
    await sleep(20);
  }
  const read = Promise.all(reading);
  await eventually(async () => assert.ok(await s.metric('runnel_turns_running') >= streams), ms(20000));
  let goes = true, acknowledged = 0;
  const said = new Map();
  const asking = Array.from({ length: 4 }, async () => {
    while (goes) {
      const r = await ask(s, k), { status } = r;
      await r.text();
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
  await isCounted(d, 'echo', before + acknowledged);
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
    await isWhole(s);
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

// ---- the wire ------------------------------------------------------------------

describe('the wire', () => {
  let d, w, s, k;
  before(async () => {
    d = await database();
    k = await limited(d.url);
    w = await wire(d.url);
    s = await start(settings(w.url, { database: { connect_timeout: '1s' } }));
    await isWhole(s);
  });
  after(async () => { await s?.stop(); w?.close(); });

  // Others are refused in time with 503, or served; then all is as it was. In time: somebody is
  // looked up and has a share reserved, and each may wait 2 s and then take 5.
  async function hurts(fault, { mend = () => w.pass(), within = ms(2500) } = {}) {
    await fault();
    for (let i = 0; i < 3; i++) {
      const began = performance.now();
      const r = await ask(s, k);
      await r.text();
      assert.ok([200, 503].includes(r.status), `${r.status}`);
      assert.ok(performance.now() - began < ms(15000), `${performance.now() - began} ms`);
      assert.equal((await get(s.port, '/livez')).status, 200);
    }
    await mend();
    await isWhole(s, within);
    await welcome(s, k);
  }

  test('refuses', () => hurts(async () => { w.refuse(); w.reset(); await becomesUnready(s); }));
  test('takes connections and is silent', () => hurts(async () => { w.stall(); w.reset(); await becomesUnready(s); }, { within: ms(4000) }));
  for (const way of ['up', 'down']) test(`nothing goes ${way} any more`, () => hurts(() => w.hold(way), { within: ms(8000) }));
  const places = { reset: [0, 1, 7, 100, 400, 1000, 5000], fin: [100, 5000], silence: [100, 5000] };
  for (const way of ['up', 'down']) for (const [how, sizes] of Object.entries(places)) test(`ends with a ${how} after some bytes ${way}`, async () => {
    for (const n of sizes) {
      const { accepted } = w;
      w.reset();                              // and new ones, while they are made, end after so much
      w.cut({ [way]: n, how });
      await eventually(() => assert.ok(w.accepted > accepted), ms(4000));
      const r = await ask(s, k);
      await r.text();
      assert.ok([200, 503].includes(r.status), `${r.status}`);
      await w.pass();
      w.reset();
      await isWhole(s, ms(4000));
      await welcome(s, k);
    }
  });
  for (const way of ['up', 'down']) test(`half an end, ${way}`, () => hurts(() => w.end(way)));
  test('is slow: everybody is served all the same', async () => {
    w.delay(ms(50));
    const said = await Promise.all(Array.from({ length: 50 }, () => ask(s, k).then((r) => r.status)));
    assert.deepEqual([...new Set(said)], [200]);
    await w.pass();
  });
});

describe('while it is away', () => {
  test('nobody knocks more often than he should, however many ask', async () => {
    const d = await database(), k = await limited(d.url), w = await wire(d.url);
    w.cut({ up: 10 });
    const s = await start(settings(w.url));
    await sleep(1000);                        // the first tries come sooner
    const { accepted } = w, asked = Array.from({ length: 200 }, () => ask(s, k).then((r) => r.status));
    await sleep(4000);
    assert.ok(w.accepted > accepted && w.accepted - accepted <= 14, `${w.accepted - accepted} in 4 s`);
    assert.deepEqual([...new Set(await Promise.all(asked))], [503]);
    await w.pass();
    await isWhole(s);
    await welcome(s, k);
    await s.stop();
    w.close();
  });
});

describe('an answer that was lost', () => {
  test('usage is counted once, 200 times', { timeout: ms(180000) }, async () => {
    const d = await database(), k = await limited(d.url), w = await wire(d.url);
    const s = await start(settings(w.url));
    await isWhole(s);
    for (let i = 0; i < 200; i++) {
      const dropped = w.dropAnswer(/INSERT INTO runnel\.billed/, i % 2 ? 'reset' : 'fin');
      await welcome(s, k);
      await dropped;
    }
    await isCounted(d, 'echo', 200);
    const [[requests, failures, prompt, completion]] = await d.sql('SELECT requests, failures, prompt_tokens, completion_tokens FROM runnel.usage');
    const [[spent]] = await d.sql('SELECT sum(tokens) FROM runnel.spending');
    assert.deepEqual([requests, failures, Number(prompt) % 200, Number(completion) % 200], ['200', '0', 0, 0]);
    assert.equal(Number(spent), Number(prompt) + Number(completion));
    assert.deepEqual(await d.sql('SELECT count(*) FROM runnel.reservation'), [['0']]);
    assert.ok(w.statements.filter((q) => q.includes('INSERT INTO runnel.billed')).length >= 400);
    await s.stop();
    w.close();
  });

  test('silence: it is tried again, counted once, and the server keeps nothing', { timeout: ms(60000) }, async () => {
    const d = await database(), k = await limited(d.url), w = await wire(d.url);
    const s = await start(settings(w.url));
    await isWhole(s);
    for (let i = 1; i <= 2; i++) {
      const dropped = w.dropAnswer(/INSERT INTO runnel\.billed/, 'silence');
      await welcome(s, k);
      await dropped;
      await isCounted(d, 'echo', i);
      await eventually(() => assert.equal(w.statements.filter((q) => q.includes('INSERT INTO runnel.billed')).length, 2 * i), ms(10000));
    }
    await isWhole(s, ms(3000));
    assert.equal(await counted(d, 'echo'), 2);
    await s.stop();
    w.close();
  });

  test('usage that is not counted yet is counted before the process ends', async () => {
    const d = await database(), k = await limited(d.url), w = await wire(d.url);
    const s = await start({ ...settings(w.url), drain_seconds: '10s' });
    await isWhole(s);
    const lost = w.loseStatement(/INSERT INTO runnel\.billed/, 'silence');
    await welcome(s, k);
    await lost;
    await s.stop();
    assert.equal(await counted(d, 'echo'), 1);
    w.close();
  });
});

// ---- slow ----------------------------------------------------------------------

describe('the loop goes on', () => {
  const locked = (d, table, seconds) => d.sql(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(${seconds}); COMMIT`, { timeout: ms(40000) });
  const busy = (d) => d.sql(`SELECT count(*) FROM pg_stat_activity WHERE application_name = 'runnel' AND datname = '${d.name}'`).then(([[n]]) => Number(n));

  test('a lock is held for 10 s on a busy table', { timeout: ms(60000) }, async () => {
    const d = await database(), k = await limited(d.url);
    const s = await start(settings(d.url, { pace: 20 }));
    await isWhole(s);
    const text = Array.from({ length: 200 }, (_, i) => `word${i}`).join(' ');
    const read = Promise.all(Array.from({ length: 20 }, () => stream(s, k, text)));
    await eventually(async () => assert.deepEqual(await d.sql('SELECT count(*) FROM runnel.reservation'), [['20']]));
    const free = locked(d, 'runnel.reservation, runnel.billed', 10);
    await sleep(ms(300));
    let most = 0;
    const said = await Promise.all(Array.from({ length: 20 }, () => ask(s, k).then((r) => r.status)));
    assert.ok(said.every((status) => status === 503 || status === 200), said.join());
    for (let i = 0; i < 8; i++) {
      most = Math.max(most, await busy(d));
      assert.equal((await get(s.port, '/livez')).status, 200);
      await sleep(1000);
    }
    await free;
    assert.ok(most <= 12, `${most} sessions at once`);
    for (const all of await read) assert.equal(all, text);
    await isCounted(d, 'slow', 20);
    await isWhole(s);
    await welcome(s, k);
    await eventually(async () => assert.equal(await busy(d), 5), ms(5000));
    await stallIsShort(s, 'a lock for 10 s');
    await s.stop();
  });

  test('a statement that never ends is given up here, and ended there', { timeout: ms(60000) }, async () => {
    const d = await database(), k = await limited(d.url);
    await d.sql(`CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.model = ''echo'' THEN PERFORM pg_sleep(1000); END IF; RETURN NEW; END';
      CREATE TRIGGER never BEFORE INSERT ON runnel.usage FOR EACH ROW EXECUTE FUNCTION never()`);
    const s = await start(settings(d.url));
    await isWhole(s);
    await welcome(s, k);
    const sleeping = () => d.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'").then(([[n]]) => Number(n));
    await eventually(async () => assert.equal(await sleeping(), 1));
    await s.log({ msg: 'usage not counted' }, { timeout: ms(45000) });
    await eventually(async () => assert.equal(await sleeping(), 0), ms(8000));
    await isWhole(s, ms(3000));
    await stallIsShort(s, 'a statement that never ends');
    await s.stop();
  });

  test('errors that mean: not now', async () => {
    const d = await database(), k = await limited(d.url);
    const s = await start(settings(d.url));
    await isWhole(s);
    const seen = s.log({ msg: /refuse/, sqlstate: '53100', why: /no room left/ });
    for (const code of ['53100', '53200', '53400', '40001', '40P01', '55P03', '57014']) {
      await d.sql(`CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no' USING ERRCODE = '${code}'; END $$;
        CREATE OR REPLACE TRIGGER full_disk BEFORE INSERT ON runnel.reservation FOR EACH ROW EXECUTE FUNCTION full_disk()`);
      const r = await ask(s, k), body = await r.json();
      assert.equal(r.status, 503, code);
      assert.ok(r.headers.get('retry-after'), code);
      assert.doesNotMatch(JSON.stringify(body), /sqlstate|trigger|PL\/pgSQL/i);
      assert.equal((await ask(s, STATIC)).status, 200);   // nothing is to be reserved for this one
    }
    await seen;
    await d.sql('DROP TRIGGER full_disk ON runnel.reservation');
    await welcome(s, k);
    await s.stop();
  });

  test('a role that may not write', async () => {
    const d = await database(), k = await limited(d.url);
    await d.sql(`CREATE ROLE reader_${d.name} LOGIN PASSWORD 'x'; GRANT USAGE ON SCHEMA runnel TO reader_${d.name}; GRANT SELECT ON ALL TABLES IN SCHEMA runnel TO reader_${d.name}`);
    const s = await start(settings(d.url.replace(/\/\/[^@]+@/, `//reader_${d.name}:x@`)));
    await isWhole(s);
    const r = await ask(s, k);
    assert.equal(r.status, 503);
    await s.log({ msg: /refuse/, sqlstate: '42501' });
    await d.sql(`GRANT ALL ON ALL TABLES IN SCHEMA runnel TO reader_${d.name}`);
    await welcome(s, k);
    await d.sql(`ALTER ROLE reader_${d.name} SET default_transaction_read_only = on; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'runnel' AND datname = '${d.name}'`);
    await s.log({ msg: 'database away', words: /read-only/ });
    assert.equal((await readiness(s)).code, 503);
    await d.sql(`ALTER ROLE reader_${d.name} RESET default_transaction_read_only`);
    await becomesReady(s);
    await welcome(s, k);
    await s.stop();
  });

  test('too many connections', async () => {
    const small = await cluster({ settings: { max_connections: 7, superuser_reserved_connections: 2, max_wal_senders: 0 } });
    const d = await database({ on: small }), k = await limited(d.url);
    await small.sql(`CREATE ROLE plain LOGIN PASSWORD 'x'; GRANT pg_read_all_data, pg_write_all_data TO plain`);
    const url = d.url.replace(/\/\/[^@]+@/, '//plain:x@');
    const until = performance.now() + ms(1500); // a session of before may not have gone yet
    const fill = () => psql(url, 'SELECT pg_sleep(4)').catch(() => (performance.now() < until ? fill() : null));
    const full = Array.from({ length: 5 }, fill);
    await eventually(async () => assert.deepEqual(await small.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'plain'"), [['5']]));
    const s = await start(settings(url));
    await s.log({ msg: 'database away', words: /too many|reserved/ });
    assert.equal((await readiness(s)).code, 503);
    await Promise.all(full);
    await isWhole(s);
    await welcome(s, k);
    await s.stop();
    await small.remove();
  });
});

describe('a pooler in transaction mode', () => {
  test('serves, counts, and survives its own restart', { timeout: ms(60000) }, async () => {
    const d = await database(), k = await limited(d.url);
    const p = await pgbouncer(d.url, { settings: { default_pool_size: 2, server_login_retry: 1 } });
    const s = await start(settings(at(p.url, d.name), { database: { prepares: false, notifies: false } }));
    await isWhole(s);
    const all = await Promise.all(Array.from({ length: 100 }, () => ask(s, k).then((r) => r.status)));
    assert.ok(all.every((status) => status === 200), all.join());
    await isCounted(d, 'echo', 100);
    await live(s, d, k, async () => {
      await pg.stop('immediate');
      await sleep(ms(1500));
      await pg.start();
      await sleep(ms(1500));                  // the pooler's own patience: server_login_retry
    }, { streams: 100, before: 100 });
    await s.stop();
    await p.stop();
  });

  test('the schema is looked at through it as well', async () => {
    const d = await database({ migrated: false });
    const p = await pgbouncer(d.url);
    const s = await start(settings(at(p.url, d.name), { database: { prepares: false, notifies: false } }));
    await s.log({ msg: 'database not fit', words: /no schema yet/ });
    await migrate(d.url);
    await becomesReady(s);
    await welcome(s, await limited(d.url));
    await s.stop();
    await p.stop();
  });
});
