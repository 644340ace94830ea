// The operator's own queries have connections of their own beside those of what is kept: as many
// as there are queries for, however wrong these are, and others after a reload.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { becomesReady, database as make, isWhole, limited, settings, welcome } from './lib/database.mjs';
import { cluster } from './lib/postgres.mjs';
import { eventually, ms, start } from './lib/server.mjs';

let pg;
before(async () => { pg = await cluster({}); });
after(() => pg?.remove());

const queries = (...sql) => ({ dialects: { xcx: { pages: sql.map((q, i) => ({ page: `page-${i}`, sql: q })) } } });

test('connections of their own come and go with the queries', async () => {
  const d = await make({ on: pg });
  const sessions = async () => Number((await d.sql(`SELECT count(*) FROM pg_stat_activity WHERE datname = '${d.name}' AND application_name = 'runnel'`))[0][0]);
  const become = (n) => eventually(async () => assert.equal(await sessions(), n), ms(3000));
  const s = await start({ ...settings(d.url), ...queries('SELECT :page', 'SELECT nothing FROM nowhere') });
  const reload = async (more) => {
    const from = s.lines.length;
    s.write({ ...settings(d.url), ...more });
    s.child.kill('SIGHUP');
    await s.log({ msg: 'reloaded' }, { from });
  };

  await becomesReady(s);
  await s.log({ msg: 'database connected', pool: 'lookups' });
  await become(7);
  await isWhole(s);                           // which counts four; one listens
  await reload({});
  await become(5);
  await reload(queries('SELECT 1'));
  await become(7);
  await welcome(s, await limited(d.url));
  await s.stop();
  await become(0);
});
