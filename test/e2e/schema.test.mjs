// The database is there, and its schema is another than it should be: the service says so, does
// not serve from it, and comes by itself when it is put right.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { becomesReady, database as make, isWhole, key, limited, migrate, readiness, settings, welcome } from './lib/database.mjs';
import { cluster } from './lib/postgres.mjs';
import { get } from './lib/raw.mjs';
import { ms, run, start } from './lib/server.mjs';

let pg;
before(async () => { pg = await cluster({ settings: { max_connections: 60 } }); });
after(() => pg?.remove());
const database = (more) => make({ on: pg, ...more });

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
