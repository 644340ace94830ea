// The operator's commands, with a real PostgreSQL.
import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { cluster, pgbouncer, psql } from './lib/postgres.mjs';
import { binary, cleanEnv, exitCode, ms, run, scratch } from './lib/server.mjs';

const SECRET = 'a shared secret that has 32 bytes or more';
const sha256 = (text) => createHash('sha256').update(text).digest('hex');

let pg, password, n = 0;
before(async () => {
  pg = await cluster();
  password = new URL(pg.url).password;
});
after(() => pg?.remove());

// A database of its own, and a way to call the program with it.
async function fresh({ migrated = true } = {}) {
  const name = `commands_${n++}`;
  await pg.sql(`CREATE DATABASE ${name}`);
  const url = pg.url.replace(/\/postgres$/, `/${name}`);
  const d = {
    url,
    sql: (text) => psql(url, text),
    async call(line, { env, more = [] } = {}) {
      const r = await run([...(typeof line === 'string' ? line.split(' ') : line), ...more], { env: { RUNNEL_DATABASE_URL: url, ...env } });
      assert.doesNotMatch(r.stdout + r.stderr, new RegExp(password), 'the password of the database is shown');
      assert.equal(r.signal, null);
      return r;
    },
    // The answer of a command that must succeed.
    async good(line, options) {
      const r = await d.call(line, options);
      assert.equal(r.code, 0, `${line}: ${r.stderr}`);
      return r.stdout;
    },
    json: async (line, options) => JSON.parse(await d.good(line, { ...options, more: ['--json', ...(options?.more ?? [])] })),
    async refused(line, why, options) {
      const r = await d.call(line, options);
      assert.equal(r.code, 1, `${line}: ${r.stdout}${r.stderr}`);
      assert.equal(r.stdout, '');
      assert.match(r.stderr, why);
      assert.match(r.stderr, /^runnel: [^\n]+\n$/, 'one line that says who speaks');
    },
  };
  if (migrated) await d.good('migrate');
  return d;
}

describe('migrate', () => {
  test('makes the schema, once', async () => {
    const d = await fresh({ migrated: false });
    assert.match(await d.good('migrate --dry-run'), /^0001 begin: would be done\n/);
    assert.deepEqual(await d.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'runnel'"), [['0']]);
    const dry = await d.json('migrate --dry-run');
    assert.deepEqual([dry.before, dry.after, dry.would_do[0]], [0, 0, { number: 1, name: 'begin' }]);
    const done = await d.json('migrate');
    assert.equal(done.before, 0);
    assert.equal(done.after, done.done.length);
    assert.equal(done.done[0].name, 'begin');
    assert.equal(typeof done.done[0].milliseconds, 'number');
    assert.match(await d.good('migrate'), /^nothing to do: the schema is at \d{4}\n$/);
    assert.deepEqual((await d.json('migrate')).done, []);
    assert.deepEqual((await d.json('migrate --dry-run')).would_do, []);
  });

  test('says each that it has done', async () => {
    const d = await fresh({ migrated: false });
    assert.match(await d.good('migrate'), /^0001 begin: done in \d+ ms\n(\d{4} \w+: done in \d+ ms\n)*the schema is at \d{4}\n$/);
  });

  test('of many at once each ends well, and each migration is done once', async () => {
    const d = await fresh({ migrated: false });
    const all = await Promise.all(Array.from({ length: 6 }, () => d.json('migrate')));
    assert.equal(all.filter((r) => r.done.length).length, 1);
    assert.equal(all.filter((r) => r.before === r.after).length, 5);
  });

  test('waits for another, says for whom, and goes on', async () => {
    const d = await fresh({ migrated: false });
    const holder = psql(d.url, "SELECT pg_advisory_lock(x'72756e6e656c'::bigint); SELECT pg_sleep(1.5);");
    while (!(await d.sql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted")).length);
    const r = await d.call('migrate');
    assert.equal(r.code, 0, r.stderr);
    assert.match(r.stderr, /^runnel: waiting for process \d+ of the database \(psql as postgres from 127\.0\.0\.1, connected since 20[^)]+ UTC\), which is migrating\n$/);
    await holder;
  });

  test('refuses what is half done, another history and a newer one', async () => {
    const d = await fresh();
    await d.sql('UPDATE runnel.migration SET done_at = NULL WHERE number = 1');
    for (const command of ['migrate', 'migrate --dry-run', 'key list', 'tenant list'])
      await d.refused(command, /migration 1 \(begin\) was begun at .* not finished: .* UPDATE .* DELETE /);
    await d.sql("UPDATE runnel.migration SET done_at = now(), hash = sha256('x') WHERE number = 1");
    await d.refused('migrate', /migration 1 \(begin\) was another/);
    await d.sql("DELETE FROM runnel.migration; INSERT INTO runnel.migration VALUES (999, 'future', sha256('x'), now(), now())");
    await d.refused('migrate', /migration 999 \(future\).* a newer one has been here/);
    await d.refused('account list', /a newer one has been here/);
  });

  test('refuses to work through a pooler, where locks do not hold', async () => {
    const d = await fresh({ migrated: false });
    const pooler = await pgbouncer(d.url);
    const through = pooler.url.replace(/\/postgres$/, new URL(d.url).pathname);
    await d.refused('migrate', /a pooler before the database/, { env: { RUNNEL_DATABASE_URL: through } });
    await d.good('migrate');
    assert.match(await d.good('tenant list', { env: { RUNNEL_DATABASE_URL: through } }), /default/);
    await pooler.stop();
  });
});

describe('the database', () => {
  test('is taken from the option before all else', async () => {
    const d = await fresh();
    const wrong = { RUNNEL_DATABASE_URL: 'postgresql://u@127.0.0.1:1/x' };
    await d.good(['tenant', 'list', '--database', d.url], { env: wrong });
    await d.good(['tenant', 'list', '--set', `database.url=${d.url}`], { env: wrong });
    await d.good(['tenant', 'list', '--set', 'database.url=postgresql://u@127.0.0.1:1/x', '--database', d.url], { env: wrong });
    await d.good(['tenant', 'list', '--database', d.url, '--set', 'database.url=postgresql://u@127.0.0.1:1/x'], { env: wrong });
    await d.good(['tenant', 'list', '--database', wrong.RUNNEL_DATABASE_URL, '--database', d.url], { env: wrong });
    await d.refused(['tenant', 'list', '--database', `postgresql://${'x'.repeat(70000)}/`], /too long/);
    const file = join(scratch(), 'runnel.yaml');
    writeFileSync(file, `database: {url: "${d.url}"}\n`);
    await d.good(['tenant', 'list', '--config', file], { env: { RUNNEL_DATABASE_URL: undefined } });
  });

  test('that is not there, or not given, is told without its password', async () => {
    const d = await fresh();
    await d.refused('tenant list', /there is no database: give --database URL/, { env: { RUNNEL_DATABASE_URL: '' } });
    const wrong = d.url.replace(password, 'wrongsecret');
    for (const [url, why] of [
      [`postgresql://u:${password}@127.0.0.1:1/x`, /cannot be reached: .*refused/i],
      [`postgresql://u:${password}@127.0.0.1:99999/x`, /99999 is no port/],
      [`postgresql://u:${password}@[::1/x`, /no connection string/],
      [`host=127.0.0.1 ${password}`, /no connection string/],
      [wrong, /password authentication failed for user "postgres"/],
      [d.url.replace(/commands_\d+$/, 'nowhere'), /database "nowhere" does not exist/],
    ]) {
      await d.refused('tenant list', why, { env: { RUNNEL_DATABASE_URL: url } });
      assert.doesNotMatch((await d.call('migrate', { env: { RUNNEL_DATABASE_URL: url } })).stderr, /wrongsecret/);
    }
    const r = await d.call(['tenant', 'list', '--database', `mysql://u:${password}@h/d`]);
    assert.equal(r.code, 1);
    assert.match(r.stderr, /database.url: expects a connection string/);
    const check = await d.call('check', { env: { RUNNEL_DATABASE_URL: `postgresql://u:${password}@h:0/x` } });
    assert.deepEqual([check.code, check.stderr], [1, 'settings: database.url: 0 is no port\n']);
    assert.equal((await d.call('settings')).code, 0);
  });

  test('without a schema is not asked', async () => {
    const d = await fresh({ migrated: false });
    for (const command of ['key list', 'key create x', 'key revoke 1', 'account list', 'account approve x', 'tenant list', 'tenant create x'])
      await d.refused(command, /no schema yet .*run "runnel migrate"/);
  });
});

describe('tenant', () => {
  test('is made and listed', async () => {
    const d = await fresh();
    const made = await d.json('tenant create shop');
    assert.equal(made.name, 'shop');
    assert.match(made.created_at, /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.deepEqual((await d.json('tenant list')).map((t) => [t.id, t.name]), [[1, 'default'], [made.id, 'shop']]);
    const [head, ...lines] = (await d.good('tenant list')).trimEnd().split('\n');
    assert.match(head, /^id +name +created_at$/);
    assert.equal(lines.length, 2);
    await d.refused('tenant create shop', /there is a tenant "shop" already/);
    await d.refused(['tenant', 'create', 'x'.repeat(101)], /the database refuses/);
    await d.refused(['tenant', 'create', ''], /it wants a NAME/);
  });
});

describe('account', () => {
  test('is listed, approved, rejected and disabled', async () => {
    const d = await fresh();
    await d.good('tenant create shop');
    await d.sql("INSERT INTO runnel.account (tenant, subject, nickname) VALUES (1, 'anna', '安娜 \"A\"'), (1, 'bob', ''), (2, 'anna', '')");
    assert.deepEqual((await d.json('account list')).map((a) => [a.tenant, a.subject, a.status]),
      [['default', 'anna', 'pending'], ['default', 'bob', 'pending'], ['shop', 'anna', 'pending']]);
    for (const [verb, status] of [['approve', 'approved'], ['reject', 'rejected'], ['disable', 'disabled'], ['approve', 'approved']]) {
      const a = await d.json(`account ${verb} anna`);
      assert.deepEqual([a.tenant, a.subject, a.status, a.nickname], ['default', 'anna', status, '安娜 "A"']);
      assert.deepEqual(await d.sql("SELECT status FROM runnel.account WHERE tenant = 1 AND subject = 'anna'"), [[status]]);
    }
    assert.equal((await d.json('account reject anna --tenant shop')).status, 'rejected');
    assert.deepEqual((await d.json('account list --status approved')).map((a) => [a.tenant, a.subject]), [['default', 'anna']]);
    assert.deepEqual((await d.json('account list --tenant shop')).map((a) => a.status), ['rejected']);
    assert.match(await d.good('account list --tenant shop'), /^id +tenant +subject .*\n3 +shop +anna +rejected +/);
    await d.refused('account approve carl', /there is no account "carl" in the tenant "default"/);
    await d.refused('account approve bob --tenant shop', /there is no account "bob" in the tenant "shop"/);
    await d.refused('account list --tenant nowhere', /there is no tenant "nowhere"/);
    await d.refused('account list --status good', /--status expects pending, /);
  });

  test('whose names are nonsense is shown harmlessly', async () => {
    const d = await fresh();
    await d.sql("INSERT INTO runnel.account (tenant, subject, nickname) VALUES (1, E'a\\u001b[31m\\nb', E'\\u009b1m\\u007f')");
    const text = await d.good('account list');
    assert.match(text, /a\?\[31m\?b .* \?1m\? /);
    assert.equal(text.split('\n').length, 3);
    assert.equal((await d.json('account list'))[0].subject, 'a\u001b[31m\nb');
    await d.good(['account', 'approve', 'a\u001b[31m\nb']);
    await d.sql("INSERT INTO runnel.account (tenant, subject) VALUES (1, '--help')");
    await d.good(['account', 'approve', '--', '--help']);
  });
});

describe('key', () => {
  test('is shown once, alone, and kept as a hash', async () => {
    const d = await fresh();
    const r = await d.call('key create ci');
    assert.equal(r.code, 0, r.stderr);
    assert.match(r.stdout, /^rk-[0-9A-Za-z]{40}\n$/);
    assert.equal(r.stderr, 'runnel: this is key 1; keep it, it is shown this once\n');
    const key = r.stdout.trim();
    assert.deepEqual(await d.sql("SELECT encode(hash, 'hex'), hint, name, tenant, models, expires_at, is_disabled FROM runnel.api_key"),
      [[sha256(key), key.slice(0, 7), 'ci', '1', null, null, 'f']]);
    const dump = await d.sql('SELECT to_jsonb(k)::text FROM runnel.api_key k');
    assert.doesNotMatch(JSON.stringify(dump), new RegExp(key.slice(7)));
    for (const line of ['key list', 'key list --json', 'key revoke 1', 'key revoke 1 --json'])
      assert.doesNotMatch(await d.good(line), new RegExp(`${key.slice(7)}|${sha256(key)}`));
    assert.doesNotMatch(pg.log, new RegExp(key.slice(7)));
    assert.notEqual((await d.good('key create ci')).trim(), key);
    assert.deepEqual(await d.sql('SELECT count(*) FROM runnel.allowance'), [['0']]);
  });

  test('has an account, models, an end and limits', async () => {
    const d = await fresh();
    await d.good('tenant create shop');
    await d.sql("INSERT INTO runnel.account (tenant, subject) VALUES (2, 'anna')");
    const made = await d.json(['key', 'create', 'the till', '--tenant', 'shop', '--account', 'anna', '--models', ' a, b ,', '--expires', '30d',
      '--requests-per-minute', '60', '--tokens-per-minute', '100000', '--streams', '3', '--tokens-per-day', '0', '--money-per-day', '2.50']);
    const { key, id, created_at: created, expires_at: expires, ...rest } = made;
    assert.match(key, /^rk-[0-9A-Za-z]{40}$/);
    assert.equal((Date.parse(expires) - Date.parse(created)) / 86400e3, 30);
    const limits = { requests_per_minute: 60, tokens_per_minute: 100000, streams: 3, tokens_per_day: 0, money_per_day: 2.5 };
    assert.deepEqual(rest, { tenant: 'shop', name: 'the till', hint: key.slice(0, 7), status: 'active', account: 'anna', models: ['a', 'b'], limits });
    assert.deepEqual(await d.sql('SELECT tenant, api_key, account, requests_per_minute, tokens_per_minute, streams, tokens_per_day, money_per_day FROM runnel.allowance'),
      [['2', String(id), null, '60', '100000', '3', '0', '2500000']]);
    assert.deepEqual((await d.json('key list'))[0], { id, created_at: created, expires_at: expires, ...rest });
    assert.deepEqual(await d.json('key list --tenant default'), []);
    assert.match(await d.good('key list'), /^id +tenant +name +hint +status .*\n1 +shop +the till +rk-.{4} +active +anna /);
  });

  test('is revoked, and expires', async () => {
    const d = await fresh();
    await d.good('tenant create shop');
    await d.good('key create one');
    await d.good('key create two --expires 1s');
    assert.equal((await d.json('key revoke 1')).status, 'revoked');
    assert.equal((await d.json('key revoke 1')).status, 'revoked');
    await d.sql("UPDATE runnel.api_key SET expires_at = now() - interval '1 s' WHERE id = 2");
    assert.deepEqual((await d.json('key list')).map((k) => k.status), ['revoked', 'expired']);
    assert.deepEqual(await d.sql('SELECT id, is_disabled FROM runnel.api_key ORDER BY id'), [['1', 't'], ['2', 'f']]);
    await d.refused('key revoke 3', /there is no key 3 in the tenant "default"/);
    await d.refused('key revoke 2 --tenant shop', /there is no key 2 in the tenant "shop"/);
    await d.refused('key revoke one', /revoked by its number/);
    await d.refused('key revoke 99999999999999999999', /revoked by its number/);
  });

  test('is not made of nonsense', async () => {
    const d = await fresh();
    for (const [options, why] of [
      ['--account nobody', /there is no account "nobody" in the tenant "default"/],
      ['--tenant nowhere', /there is no tenant "nowhere"/],
      ['--streams 0', /--streams expects a whole number from 1 on, not "0"/],
      ['--streams -1', /--streams expects/],
      ['--streams 2147483648', /--streams expects/],
      ['--requests-per-minute 1.5', /--requests-per-minute expects/],
      ['--tokens-per-minute 9223372036854775808', /--tokens-per-minute expects/],
      ['--tokens-per-day x', /--tokens-per-day expects a whole number from 0 on/],
      ['--money-per-day 1,5', /--money-per-day expects an amount/],
      ['--money-per-day .5', /--money-per-day expects an amount/],
      ['--money-per-day 5.', /--money-per-day expects an amount/],
      ['--money-per-day 1.0000001', /--money-per-day expects an amount/],
      ['--money-per-day 1e3', /--money-per-day expects an amount/],
      ['--expires 30', /--expires expects a time such as/],
      ['--expires 0d', /--expires expects/],
      ['--expires 40000d', /--expires expects/],
      ['--expires d', /--expires expects/],
      ['--models ,', /--models expects names/],
      ['--models', /there is no value behind --models/],
      ['--colour red', /there is no option --colour; see runnel key create --help/],
      ['another', /there is no place for another/],
    ]) await d.refused(`key create x ${options}`, why);
    await d.refused(['key', 'create', 'x', '--models', ''], /there is nothing behind --models/);
    await d.refused('key create', /it wants a NAME/);
    await d.refused(['key', 'create', 'x'.repeat(101)], /the database refuses/);
    assert.deepEqual(await d.sql('SELECT count(*) FROM runnel.api_key'), [['0']]);
  });

  test('that cannot be shown is no success', async () => {
    const d = await fresh();
    const full = openSync('/dev/full', 'w');
    const child = spawn(binary, ['key', 'create', 'x'], { env: cleanEnv({ RUNNEL_DATABASE_URL: d.url }), stdio: ['ignore', full, 'pipe'] });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (t) => { said += t; });
    assert.equal(await exitCode(child, ms(10000)), 1);
    closeSync(full);
    assert.match(said, /the answer cannot be written/);
    assert.doesNotMatch(said, /rk-/);
  });
});

describe('limits', () => {
  const all = '--requests-per-minute 60 --tokens-per-minute 100000 --streams 3 --tokens-per-day 0 --money-per-day 2.50';
  const limits = { requests_per_minute: 60, tokens_per_minute: 100000, streams: 3, tokens_per_day: 0, money_per_day: 2.5 };
  const kept = (d) => d.sql('SELECT tenant, api_key, account, requests_per_minute, tokens_per_minute, streams, tokens_per_day, money_per_day FROM runnel.allowance ORDER BY id');
  async function shop() {
    const d = await fresh();
    await d.good('tenant create shop');
    await d.sql("INSERT INTO runnel.account (tenant, subject) VALUES (2, 'anna'), (1, 'anna'), (2, 'bob')");
    return d;
  }

  test('of an account', async () => {
    const d = await shop();
    assert.deepEqual(await d.json('account limit anna --tenant shop'), { tenant: 'shop', account: 'anna', limits: null });
    assert.deepEqual(await kept(d), []);
    assert.deepEqual(await d.json(`account limit anna --tenant shop ${all}`), { tenant: 'shop', account: 'anna', limits });
    assert.deepEqual(await kept(d), [['2', null, '1', '60', '100000', '3', '0', '2500000']]);
    assert.deepEqual((await d.json('account limit anna --tenant shop --streams 5')).limits, { ...limits, streams: 5 });
    const { streams: _, ...rest } = limits;
    assert.deepEqual((await d.json('account limit anna --tenant shop --streams none')).limits, rest);
    assert.deepEqual((await d.json('account limit anna --tenant shop')).limits, rest);
    assert.equal((await kept(d)).length, 1);
    assert.equal((await d.json('account limit anna')).limits, null, 'the one of another tenant');
    assert.equal((await d.json('account limit bob --tenant shop')).limits, null);
    assert.match(await d.good('account limit anna --tenant shop'), /^tenant +account +limits\nshop +anna +\{.*"requests_per_minute": 60.*\}\n$/);
    await d.refused('account limit carl', /there is no account "carl" in the tenant "default"/);
    await d.refused('account limit bob --streams 1', /there is no account "bob" in the tenant "default"/);
    await d.refused('account limit anna --tenant nowhere --streams 1', /there is no tenant "nowhere"/);
  });

  test('of a tenant, which are not those of its accounts and keys', async () => {
    const d = await shop();
    await d.good(`account limit anna --tenant shop --streams 1`);
    await d.good(`key create k --tenant shop --streams 2`);
    assert.deepEqual(await d.json('tenant limit shop'), { tenant: 'shop', account: null, limits: null });
    assert.deepEqual(await d.json(`tenant limit shop ${all}`), { tenant: 'shop', account: null, limits });
    assert.deepEqual((await d.json('tenant limit shop --money-per-day none --tokens-per-day 7')).limits, { requests_per_minute: 60, tokens_per_minute: 100000, streams: 3, tokens_per_day: 7 });
    assert.deepEqual(await kept(d), [['2', null, '1', null, null, '1', null, null], ['2', '1', null, null, null, '2', null, null], ['2', null, null, '60', '100000', '3', '7', null]]);
    assert.equal((await d.json('tenant limit default')).limits, null);
    await d.refused('tenant limit nowhere --streams 1', /there is no tenant "nowhere"/);
    await d.refused(['tenant', 'limit', "shop' OR '1'='1"], /there is no tenant "shop' OR '1'='1"/);
  });

  test('are not set to nonsense', async () => {
    const d = await shop();
    for (const [options, why] of [
      ['--streams 0', /--streams expects a whole number from 1 on, not "0"/],
      ['--streams None', /--streams expects/],
      ['--requests-per-minute -1', /--requests-per-minute expects/],
      ['--tokens-per-minute 9223372036854775808', /--tokens-per-minute expects/],
      ['--money-per-day 1,5', /--money-per-day expects an amount/],
      ['--models a', /there is no option --models/],
    ]) for (const words of ['account limit anna', 'tenant limit shop']) await d.refused(`${words} ${options}`, why);
    await d.refused('tenant limit shop --tenant shop', /there is no option --tenant/);
    await d.refused('key create x --streams none', /--streams expects a whole number/);
    await d.refused('key create x --money-per-day none', /--money-per-day expects an amount/);
    assert.deepEqual(await kept(d), []);
  });
});

describe('token', () => {
  const env = { RUNNEL_ACCESS_JWT_KEY: SECRET };
  const read = (token, key = SECRET) => {
    const [head, claims, signature] = token.split('.');
    assert.equal(createHmac('sha256', key).update(`${head}.${claims}`).digest('base64url'), signature);
    assert.deepEqual(JSON.parse(Buffer.from(head, 'base64url')), { alg: 'HS256', typ: 'JWT' });
    return JSON.parse(Buffer.from(claims, 'base64url'));
  };
  const call = (args, more) => run(['token', ...args], { env: { ...env, ...more } });

  test('is signed with the settings\' secret, without a database', async () => {
    const r = await call(['anna']);
    assert.equal(r.code, 0, r.stderr);
    assert.equal(r.stderr, '');
    const { iat, exp, jti, ...rest } = read(r.stdout.trimEnd());
    assert.deepEqual(rest, { sub: 'anna' });
    assert.equal(exp - iat, 3600);
    assert.ok(Math.abs(iat - Date.now() / 1000) < 60);
    assert.notEqual(jti, read((await call(['anna'])).stdout.trimEnd()).jti);
  });

  test('says what the settings and options say', async () => {
    const r = await call(['安娜', '--tenant', 'shop', '--expires', '15m', '--json'],
      { RUNNEL_ACCESS_JWT_ISSUER: 'me', RUNNEL_ACCESS_JWT_AUDIENCE: 'you', RUNNEL_ACCESS_JWT_TENANT_CLAIM: 'site' });
    const { token, ...told } = JSON.parse(r.stdout);
    const { iat, exp, jti, ...rest } = read(token);
    assert.deepEqual(rest, { sub: '安娜', site: 'shop', iss: 'me', aud: 'you' });
    assert.deepEqual(told, { subject: '安娜', tenant: 'shop', expires: exp });
    assert.equal(exp - iat, 900);
    assert.ok(jti);
  });

  test('may be signed with a key from a file', async () => {
    const file = join(scratch(), 'key');
    writeFileSync(file, `${SECRET}\n`);
    const r = await run(['token', 'anna'], { env: { RUNNEL_ACCESS_JWT_KEY_FILE: file } });
    assert.equal(read(r.stdout.trimEnd()).sub, 'anna');
  });

  test('is refused where it could not be believed', async () => {
    for (const [args, more, why] of [
      [['anna'], { RUNNEL_ACCESS_JWT_ALGORITHM: 'RS256' }, /access.jwt_algorithm is RS256/],
      [['anna'], { RUNNEL_ACCESS_JWT_ALGORITHM: 'ES256' }, /access.jwt_algorithm is ES256/],
      [['anna'], { RUNNEL_ACCESS_JWT_KEY: '' }, /there is no access.jwt_key/],
      [['anna'], { RUNNEL_ACCESS_JWT_KEY: 'tooshortsecret' }, /at least 32 bytes/],
      [['anna', '--expires', 'soon'], {}, /--expires expects/],
      [['x'.repeat(201)], {}, /at most 200 bytes/],
      [['anna', '--tenant', 'x'.repeat(9000)], {}, /longer than what is believed/],
      [[], {}, /it wants a SUBJECT/],
    ]) {
      const r = await call(args, more);
      assert.equal(r.code, 1, r.stderr);
      assert.equal(r.stdout, '');
      assert.match(r.stderr, why);
      assert.doesNotMatch(r.stderr, /tooshortsecret|a shared secret/);
    }
  });
});

describe('help', () => {
  const all = ['migrate', 'tenant create', 'tenant list', 'tenant limit', 'account list', 'account approve', 'account reject', 'account disable', 'account limit',
    'key create', 'key list', 'key revoke', 'token'];

  test('every command is in the program\'s help and has its own', async () => {
    const main = (await run(['--help'])).stdout;
    for (const words of all) {
      assert.match(main, new RegExp(`^ {7}runnel ${words} `, 'm'));
      const r = await run([...words.split(' '), '--help']);
      assert.equal(r.code, 0);
      assert.match(r.stdout, new RegExp(`^runnel ${words} - [^\n]+\n\nusage: runnel ${words} `));
      for (const option of ['--config FILE', '--database URL', '--set NAME=VALUE', '--json', '--help']) assert.ok(r.stdout.includes(`\n  ${option} `), option);
    }
    for (const group of ['tenant', 'account', 'key']) {
      const r = await run([group, '--help']);
      assert.equal(r.code, 0);
      for (const words of all.filter((w) => w.startsWith(group))) assert.match(r.stdout, new RegExp(`runnel ${words} `));
    }
  });

  test('settings with mistakes are told, and nothing is done', async () => {
    const r = await run(['tenant', 'list', '--set', 'log.level=loud']);
    assert.deepEqual([r.code, r.stdout], [1, '']);
    assert.match(r.stderr, /^command line: log.level: "loud" is not one of .*\nrunnel: the settings have mistakes; nothing was done\n$/);
  });

  test('what is no command is told', async () => {
    for (const [args, why] of [[['key'], /key what\? See runnel key --help/], [['key', 'frob'], /There is no "frob"/], [['keys'], /there is no command "keys"/]]) {
      const r = await run(args);
      assert.equal(r.code, 1);
      assert.match(r.stderr, why);
    }
  });
});
