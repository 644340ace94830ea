// Who may ask, and how much: keys, tokens, accounts, limits and usage, with a real PostgreSQL.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import OpenAI from 'openai';
import { cluster, psql } from './lib/postgres.mjs';
import { parsePrometheus } from './lib/parse.mjs';
import { connect, req } from './lib/raw.mjs';
import { eventually, ms, run, start } from './lib/server.mjs';

const SECRET = 'a shared secret that has 32 bytes or more';
const STATIC = 'a-key-of-the-settings';
const b64 = (x) => Buffer.from(typeof x === 'string' ? x : JSON.stringify(x)).toString('base64url');
const now = () => Math.floor(Date.now() / 1000);

function token(claims, { secret = SECRET, head = { alg: 'HS256', typ: 'JWT' } } = {}) {
  const signed = `${b64(head)}.${b64({ sub: 'anna', exp: now() + 3600, ...claims })}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

let pg, url, server, n = 0;
const sql = (text) => psql(url, text);
const settings = (more = {}) => ({
  ...more,
  database: { url },
  access: { jwt_key: SECRET, keys: [STATIC], cache: '200ms', ...more.access },
  providers: [{ name: 'echo', kind: 'echo', tokens_per_second: 0 }, { name: 'slow', kind: 'echo', tokens_per_second: 20 }],
  models: [
    { name: 'echo', targets: [{ provider: 'echo' }] },
    { name: 'slow', targets: [{ provider: 'slow' }] },
    { name: 'dear', prompt_price: '1000000', completion_price: '1000000', targets: [{ provider: 'echo' }] },
  ],
});

before(async () => {
  pg = await cluster();
  await pg.sql('CREATE DATABASE access');
  url = pg.url.replace(/\/postgres$/, '/access');
  assert.equal((await run(['migrate', '--database', url])).code, 0);
  server = await start(settings());
  await eventually(async () => assert.equal((await fetch(`http://127.0.0.1:${server.port}/readyz`)).status, 200));
});
after(async () => {
  await server?.stop();
  await pg?.remove();
});

// A new key, made by the operator's command.
async function key(...more) {
  const r = await run(['key', 'create', `key${n++}`, '--database', url, ...more]);
  assert.equal(r.code, 0, r.stderr);
  return r.stdout.trim();
}

const client = (apiKey, on = server) => new OpenAI({ baseURL: `http://127.0.0.1:${on.port}/v1`, apiKey, maxRetries: 0 });
const say = (apiKey, model = 'echo', more = {}, on = server) => client(apiKey, on).chat.completions.create({
  model, messages: [{ role: 'user', content: 'one two three' }], ...more });
const asRaw = (apiKey, model = 'echo', more = {}) => fetch(`http://127.0.0.1:${server.port}/v1/chat/completions`, {
  method: 'POST', headers: { 'content-type': 'application/json', ...(apiKey && { authorization: `Bearer ${apiKey}` }) },
  body: JSON.stringify({ model, messages: [{ role: 'user', content: 'one two three' }], ...more }) });

async function refused(apiKey, status, why, code, model) {
  await assert.rejects(say(apiKey, model), (e) => {
    assert.equal(e.status, status, e.message);
    assert.match(e.message, why);
    if (code !== undefined) assert.equal(e.code, code);
    return true;
  });
}
const welcome = async (apiKey, model) =>
  assert.equal((await say(apiKey, model)).choices[0].message.content, 'one two three');

describe('keys', () => {
  test('without one nobody is let in', async () => {
    const r = await asRaw(null);
    assert.deepEqual([r.status, r.headers.get('www-authenticate')], [401, 'Bearer']);
    const { error } = await r.json();
    assert.deepEqual([error.type, error.code], ['invalid_request_error', 'invalid_api_key']);
  });
  test('operators and their machines need none', async () => {
    for (const path of ['/livez', '/readyz', '/metrics']) assert.equal((await fetch(`http://127.0.0.1:${server.port}${path}`)).status, 200);
  });
  test('one of the settings', () => welcome(STATIC));
  test('one of the database', async () => welcome(await key()));
  for (const bad of ['wrong', 'rk-0000000000000000000000000000000000000000', `${STATIC}x`, "' OR 1=1 --", 'a'.repeat(8000)]) test(
    `not ${bad.slice(0, 20)}`, async () => {
      const r = await fetch(`http://127.0.0.1:${server.port}/v1/models`, { headers: { authorization: Buffer.from(`Bearer ${bad}`).toString('latin1') } });
      assert.equal(r.status, 401);
    });
  test('other schemes are no keys', async () => {
    for (const value of [`Basic ${Buffer.from(`x:${STATIC}`).toString('base64')}`, STATIC, 'Bearer', 'Bearer '])
      assert.equal((await fetch(`http://127.0.0.1:${server.port}/v1/models`, { headers: { authorization: value } })).status, 401, value);
  });
  test('a revoked one, as soon as it is no longer believed', async () => {
    const k = await key();
    await welcome(k);
    await sql(`UPDATE runnel.api_key SET is_disabled = true WHERE hash = sha256('${k}')`);
    await eventually(() => refused(k, 401, /revoked/, 'invalid_api_key'));
  });
  test('one that has expired', async () => {
    const k = await key();
    await sql(`UPDATE runnel.api_key SET expires_at = now() - interval '1 s' WHERE hash = sha256('${k}')`);
    await refused(k, 401, /expired/, 'invalid_api_key');
  });
  test('asks for its own models only, and sees no others', async () => {
    const k = await key('--models', 'echo');
    await welcome(k);
    await refused(k, 404, /'slow' does not exist/, 'model_not_found', 'slow');
    assert.deepEqual((await client(k).models.list()).data.map((m) => m.id), ['echo']);
    await assert.rejects(client(k).models.retrieve('slow'), OpenAI.NotFoundError);
    assert.equal((await client(STATIC).models.list()).data.length, 3);
  });
  test('is refused before its body is read', async () => {
    const c = await connect(server.port);
    c.send(req('POST /v1/chat/completions HTTP/1.1', 'host: x', 'content-type: application/json', 'authorization: Bearer nobody', 'content-length: 5000000'));
    assert.equal((await c.response()).status, 401);
    c.destroy();
  });
  test('a hundred who show the same are looked up once', async () => {
    const k = await key();
    const units = async () => Object.entries(parsePrometheus(await (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text()))
      .filter(([name]) => name.startsWith('runnel_database_units_total')).reduce((sum, [, v]) => sum + Number(v), 0);
    const first = await units();
    await Promise.all(Array.from({ length: 100 }, () => client(k).models.list()));
    assert.ok(await units() - first <= 3, `${await units() - first} units`);
  });
});

describe('people', () => {
  test('a new one waits for approval, is let in, and is not', async () => {
    const t = token({ sub: 'new one' });
    await refused(t, 403, /approval/);
    const judge = (word) => run(['account', word, 'new one', '--database', url]);
    assert.equal((await judge('approve')).code, 0);
    await eventually(() => welcome(t));
    await judge('reject');
    await eventually(() => refused(t, 403, /not approved/));
    await judge('disable');
    await eventually(() => refused(t, 403, /disabled/));
  });
  const bad = {
    'expired long ago': [token({ exp: now() - 3600 }), /expired/],
    'without an end': [token({ exp: undefined }), /expires/],
    'of another secret': [token({}, { secret: 'another secret that has 32 bytes or more' }), /signature/],
    'with alg none': [`${b64({ alg: 'none' })}.${b64({ sub: 'anna', exp: now() + 60 })}.`, /algorithm|malformed/],
    'not valid yet': [token({ nbf: now() + 3600 }), /not valid yet/],
    'of nobody': [token({ sub: undefined }), /subject/],
    'of an unknown tenant': [token({ tenant: 'nowhere' }), /not known/],
  };
  for (const [name, [t, why]] of Object.entries(bad)) test(`a token ${name}`, () => refused(t, 401, why, 'invalid_api_key'));
});

describe('limits', () => {
  test('requests within a minute', async () => {
    const k = await key('--requests-per-minute', '3');
    for (const left of ['2', '1', '0']) {
      const r = await asRaw(k);
      assert.deepEqual([r.status, r.headers.get('x-ratelimit-limit-requests'), r.headers.get('x-ratelimit-remaining-requests')], [200, '3', left]);
      const [, minute, seconds] = /^(1m0s)?(?:([1-9]|[1-5]\d)s)?$/.exec(r.headers.get('x-ratelimit-reset-requests')) ?? assert.fail(r.headers.get('x-ratelimit-reset-requests'));
      const turns = 60 - new Date().getSeconds(), apart = Math.abs((minute ? 60 : Number(seconds)) - turns);
      assert.ok(apart <= 5 || apart >= 55, `${minute ?? seconds} and not ${turns} s`);
      assert.equal(r.headers.get('x-ratelimit-reset-tokens'), null);
    }
    const r = await asRaw(k), wait = Number(r.headers.get('retry-after'));
    assert.equal(r.status, 429);
    assert.ok(wait >= 1 && wait <= 60, r.headers.get('retry-after'));
    assert.equal(r.headers.get('x-should-retry'), 'true');
    assert.equal((await r.json()).error.code, 'rate_limited');
  });
  test('tokens within a minute', async () => {
    const k = await key('--tokens-per-minute', '100');
    const r = await asRaw(k, 'echo', { max_tokens: 50 });
    assert.deepEqual([r.status, r.headers.get('x-ratelimit-limit-tokens')], [200, '100']);
    assert.match(r.headers.get('x-ratelimit-reset-tokens'), /^(1m0|[1-9]|[1-5]\d)s$/);
    assert.equal((await asRaw(k, 'echo', { max_tokens: 500 })).status, 429);
  });
  test('of an account and of a tenant, set while it runs', async () => {
    const call = async (...args) => assert.equal((await run([...args, '--database', url])).code, 0, args.join(' '));
    const [account, tenant] = [token({ sub: 'often' }), token({ sub: 'rarely', tenant: 'small' })];
    await call('tenant', 'create', 'small');
    for (const t of [account, tenant]) await refused(t, 403, /approval/);
    await call('account', 'approve', 'often');
    await call('account', 'approve', 'rarely', '--tenant', 'small');
    for (const t of [account, tenant]) await eventually(() => welcome(t));
    await call('account', 'limit', 'often', '--tokens-per-day', '0');
    await call('tenant', 'limit', 'small', '--tokens-per-day', '0');
    for (const t of [account, tenant]) await eventually(() => refused(t, 429, /./, 'insufficient_quota'));
    await welcome(STATIC);
    await call('account', 'limit', 'often', '--tokens-per-day', 'none');
    await eventually(() => welcome(account));
    await refused(tenant, 429, /./, 'insufficient_quota');
  });
  test('answers at once', async () => {
    const k = await key('--streams', '1');
    const one = await say(k, 'slow', { stream: true });
    const r = await asRaw(k);
    assert.deepEqual([r.status, (await r.json()).error.code], [429, 'too_many_at_once']);
    for await (const _ of one);
    await eventually(() => welcome(k));
  });
  test('tokens of a day: what was not used comes back', async () => {
    const k = await key('--tokens-per-day', '200');
    assert.equal((await asRaw(k, 'echo', { max_tokens: 150 })).status, 200);
    await eventually(async () => assert.equal((await asRaw(k, 'echo', { max_tokens: 150 })).status, 200));
    const r = await asRaw(k, 'echo', { max_tokens: 300 });
    assert.deepEqual([r.status, r.headers.get('x-should-retry'), (await r.json()).error.code], [429, 'false', 'insufficient_quota']);
  });
  test('the last cent, asked for 200 times at once', async () => {
    const k = await key('--money-per-day', '300');
    const all = await Promise.all(Array.from({ length: 200 }, () => asRaw(k, 'dear', { max_tokens: 3 })));
    const good = all.filter((r) => r.status === 200).length;
    assert.ok(all.every((r) => r.status === 200 || r.status === 429), all.map((r) => r.status).join());
    assert.ok(good >= 10, `${good} were let in`);
    await eventually(async () => {
      const [[spent]] = await sql(`SELECT sum(s.money) FROM runnel.spending s JOIN runnel.allowance a ON (a.tenant, a.id) = (s.tenant, s.allowance)
        JOIN runnel.api_key k ON (k.tenant, k.id) = (a.tenant, a.api_key) WHERE k.hash = sha256('${k}')`);
      assert.ok(Number(spent) > 0 && Number(spent) <= 300e6, spent);
    });
    assert.deepEqual(await sql('SELECT count(*) FROM runnel.reservation'), [['0']]);
  });
  test('whoever names two questions alike pays both', async () => {
    const behind = await start(settings({ http: { trusted_proxies: ['127.0.0.1'] } }));
    const k = await key('--streams', '1');
    const headers = { 'x-request-id': 'the-same' };
    const ask = (model, more) => client(k, behind).chat.completions.create({ model, messages: [{ role: 'user', content: 'one two three' }], ...more }, { headers });
    const { data: one, response } = await ask('slow', { stream: true }).withResponse();
    assert.equal(response.headers.get('x-request-id'), 'the-same');
    await assert.rejects(ask('echo'), (e) => e.status === 429 && e.code === 'too_many_at_once');
    for await (const _ of one);
    await eventually(() => ask('echo'));
    await eventually(async () => assert.deepEqual(
      await sql(`SELECT sum(requests) FROM runnel.usage u JOIN runnel.api_key k ON k.id = u.api_key WHERE k.hash = sha256('${k}')`), [['2']]));
    await behind.stop();
  });
  test('usage is counted by key, model and day', async () => {
    const k = await key();
    for (let i = 0; i < 3; i++) await welcome(k);
    await welcome(k, 'dear');
    await eventually(async () => assert.deepEqual(
      await sql(`SELECT model, requests, failures, prompt_tokens > 0, completion_tokens > 0, money > 0 FROM runnel.usage u
        JOIN runnel.api_key k ON k.id = u.api_key WHERE k.hash = sha256('${k}') AND day = (now() AT TIME ZONE 'UTC')::date ORDER BY model`),
      [['dear', '1', '0', 't', 't', 't'], ['echo', '3', '0', 't', 't', 'f']]));
  });
});

describe('the database goes away', () => {
  test('running answers do not notice; it is told; it is whole again', { timeout: ms(60000) }, async () => {
    const k = await key();
    const text = Array.from({ length: 60 }, (_, i) => `word${i}`).join(' ');
    const streams = await Promise.all(Array.from({ length: 50 }, () => client(k).chat.completions.create({
      model: 'slow', stream: true, messages: [{ role: 'user', content: text }] })));
    const read = Promise.all(streams.map(async (s) => {
      let all = '', end;
      for await (const c of s) { all += c.choices[0]?.delta?.content ?? ''; end = c.choices[0]?.finish_reason ?? end; }
      return [all, end];
    }));
    await pg.stop('immediate');
    await eventually(async () => assert.equal((await fetch(`http://127.0.0.1:${server.port}/readyz`)).status, 503));
    assert.equal((await fetch(`http://127.0.0.1:${server.port}/livez`)).status, 200);
    await welcome(STATIC);
    await sleep(ms(250));                              // longer than access.cache
    let began = performance.now();
    await welcome(k);                                  // it is known, and believed for a minute
    assert.ok(performance.now() - began < ms(1000), `${performance.now() - began} ms`);
    began = performance.now();
    const r = await asRaw('a key that is not known');
    assert.deepEqual([r.status, r.headers.get('retry-after')], [503, '1']);
    assert.ok(performance.now() - began < ms(4000));
    await pg.start();
    const back = performance.now();
    await eventually(async () => assert.equal((await fetch(`http://127.0.0.1:${server.port}/readyz`)).status, 200), ms(5000));
    assert.ok(performance.now() - back < ms(2500), `${performance.now() - back} ms`);
    await welcome(await key());
    for (const [all, end] of await read) assert.deepEqual([all, end], [text, 'stop']);
    await eventually(async () => assert.deepEqual(
      await sql(`SELECT requests FROM runnel.usage u JOIN runnel.api_key k ON k.id = u.api_key WHERE k.hash = sha256('${k}') AND model = 'slow'`), [['50']]), ms(10000));
  });
  test('nothing secret was logged', () => {
    const password = new URL(url).password;
    for (const word of [password, SECRET, STATIC, 'one two three', 'rk-']) assert.ok(!server.stderr.includes(word), word);
  });
});

describe('guesses', () => {
  const show = (s, shown, from) => fetch(`http://127.0.0.1:${s.port}/v1/models`, { headers: { ...(shown && { authorization: `Bearer ${shown}` }), ...(from && { 'x-forwarded-for': from }) } });
  const statuses = async (s, shown, from) => (await Promise.all(shown.map((k) => show(s, k, from)))).map((r) => r.status).join();
  let guarded, known;
  before(async () => {
    known = await key();
    guarded = await start(settings({ access: { max_failures_per_minute: 5 }, http: { trusted_proxies: ['127.0.0.1'] } }));
    await eventually(async () => assert.equal((await fetch(`http://127.0.0.1:${guarded.port}/readyz`)).status, 200));
  });
  after(() => guarded?.stop());

  test('of an address are answered with 429 when there were too many', async () => {
    assert.equal(await statuses(guarded, ['a', 'b', 'c', 'd', 'a'], '1.2.3.4'), '401,401,401,401,401');
    const r = await show(guarded, 'e', '1.2.3.4'), wait = Number(r.headers.get('retry-after'));
    assert.equal(r.status, 429);
    assert.ok(wait >= 1 && wait <= 60, r.headers.get('retry-after'));
    assert.equal((await r.json()).error.code, 'rate_limited');
    assert.equal(await statuses(guarded, ['a', token({}, { secret: 'another secret that has 32 bytes or more' }), 'x.y.z'], '1.2.3.4'), '429,429,429');
  });
  test('do not shut out those who know', async () => {
    assert.equal(await statuses(guarded, [known, STATIC, await key(), token({ sub: 'new there' })], '1.2.3.4'), '200,200,200,403');
    assert.equal((await show(guarded, null, '1.2.3.4')).status, 401);
  });
  test('are no guesses when they were good once', async () => {
    const old = token({ exp: now() - 3600 }), revoked = await key();
    await sql(`UPDATE runnel.api_key SET is_disabled = true WHERE hash = sha256('${revoked}')`);
    for (let i = 0; i < 8; i++) assert.equal(await statuses(guarded, [old, revoked], '1.2.3.4'), '401,401');
  });
  test('of another address are its own', async () => {
    assert.equal(await statuses(guarded, ['a'], '1.2.3.5'), '401');
    assert.equal(await statuses(guarded, ['a', 'b', 'c', 'd', 'e', 'f'].map((k) => `${k}${k}`), '2001:db8::1').then((all) => all.split(',').sort().join()), '401,401,401,401,401,429');
    assert.equal(await statuses(guarded, ['g'], '2001:db8::2'), '429');
    assert.equal(await statuses(guarded, ['g'], '2001:db8:0:1::2'), '401');
  });
  test('are not counted where that is not wanted', async () => {
    const s = await start({ access: { keys: [STATIC], max_failures_per_minute: 0 } });
    for (let i = 0; i < 10; i++) assert.match(await statuses(s, Array(10).fill(`guess${i}`)), /^401(,401){9}$/);
    await s.stop();
  });
});

describe('settings', () => {
  test('without keys, tokens and database everybody may ask', async () => {
    const open = await start();
    assert.equal((await client('none', open).models.list()).data.length, 1);
    await open.stop();
  });
  test('tokens without a database', async () => {
    const s = await start({ access: { jwt_key: SECRET } });
    assert.equal((await client(token({}), s).models.list()).data.length, 1);
    await assert.rejects(client(token({ tenant: 'other' }), s).models.list(), OpenAI.AuthenticationError);
    await assert.rejects(client('x', s).models.list(), OpenAI.AuthenticationError);
    await s.stop();
  });
  test('a key of the settings is gone with SIGHUP', async () => {
    const s = await start({ access: { keys: ['first', 'second'] } });
    await client('first', s).models.list();
    s.write({ access: { keys: ['second'] } });
    s.child.kill('SIGHUP');
    await eventually(() => assert.rejects(client('first', s).models.list(), OpenAI.AuthenticationError));
    await client('second', s).models.list();
    await s.stop();
  });
  test('a database that was never there: the service is up, says so, and waits for it', async () => {
    const s = await start({ database: { url: 'postgresql://127.0.0.1:9/none' }, access: { keys: [STATIC] } });
    assert.equal((await fetch(`http://127.0.0.1:${s.port}/readyz`)).status, 503);
    await welcome(STATIC, undefined, s).catch(() => {});
    assert.equal((await client(STATIC, s).models.list()).data.length, 1);
    await s.stop();
  });
});
