// The mini-program's log-in: codes of wx.login() for tokens, with a fake WeChat and a real PostgreSQL.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeCerts } from '../providers/lib/certs.mjs';
import { cluster, psql } from './lib/postgres.mjs';
import { connect, req } from './lib/raw.mjs';
import { duration, eventually, ms, run, scratch, start } from './lib/server.mjs';
import { APP, SECRET, SESSION_KEY, wechat } from './lib/wechat.mjs';

const KEY = 'a signing secret, canary, of 32 bytes or more';
const claims = (token, part = 1) => JSON.parse(Buffer.from(token.split('.')[part], 'base64url'));
const now = () => Math.floor(Date.now() / 1000);

function signed(more, head = {}) {
  const b64 = (x) => Buffer.from(JSON.stringify(x)).toString('base64url');
  const text = `${b64({ alg: 'HS256', typ: 'refresh+jwt', ...head })}.${b64({ sub: 'ann', tenant: 'default', exp: now() + 3600, ...more })}`;
  return `${text}.${createHmac('sha256', KEY).update(text).digest('base64url')}`;
}

let pg, url, fake, server, hasty;             // hasty loses its patience with WeChat soon
const sql = (text) => psql(url, text);
const settings = ({ wechat: w, access, ...xcx } = {}) => ({
  log: { level: 'debug' },
  database: { url },
  access: { jwt_key: KEY, cache: '50ms', ...access },
  dialects: { xcx: { wechat: { app_id: APP, app_secret: SECRET, base_url: fake.url, timeout: duration(20000), ...w }, ...xcx } },
});

before(async () => {
  pg = await cluster();
  await pg.sql('CREATE DATABASE login');
  url = pg.url.replace(/\/postgres$/, '/login');
  assert.equal((await run(['migrate', '--database', url])).code, 0);
  fake = await wechat();
  server = await serve(settings());
  hasty = await serve(settings({ wechat: { timeout: duration(800) } }));
});
after(async () => {
  await quit(server);
  await quit(hasty);
  assert.deepEqual(fake?.requests.flatMap((r) => r.problems), []);
  assert.equal(fake?.hanging, 0);
  await fake?.stop();
  await pg?.remove();
});

// Whatever was said there, no secret was.
async function quit(s) {
  await s?.stop();
  for (const secret of [SECRET, SESSION_KEY, KEY, ...tokens]) assert.ok(!s?.stderr.includes(secret), `in the log: ${secret}`);
}
async function serve(s) {
  const one = await start(s);
  await eventually(async () => assert.equal((await fetch(`http://127.0.0.1:${one.port}/readyz`)).status, 200));
  return one;
}
async function using(s, use) {
  const one = await serve(s);
  try { await use(one); } finally { await quit(one); }
}

const tokens = new Set();
async function post(path, body, on = server, fields = {}) {
  const r = await fetch(`http://127.0.0.1:${on.port}/api/xcx/auth/${path}`, {
    method: 'POST', headers: { 'content-type': 'application/json', ...fields }, body: typeof body === 'string' ? body : JSON.stringify(body) });
  const text = await r.text();
  assert.ok(!text.includes(SECRET) && !text.includes(SESSION_KEY) && !text.includes('words of'), text);
  assert.match(r.headers.get('content-type'), /^application\/json/);
  return { status: r.status, headers: r.headers, text, json: JSON.parse(text) };
}
async function loggedIn(path, body, on) {
  const r = await post(path, body, on);
  assert.equal(r.status, 200, r.text);
  const { code, data } = r.json;
  assert.deepEqual([code, Object.keys(data).sort()], [0, ['expiresIn', 'refreshToken', 'status', 'token']]);
  tokens.add(data.token).add(data.refreshToken ?? data.token);
  return data;
}
const login = (openid, on) => loggedIn('login', { code: `openid:${openid}` }, on);
const refresh = (refreshToken, on) => loggedIn('refresh', { refreshToken }, on);

async function refused(status, why, path, body, on) {
  const r = await post(path, body, on);
  assert.equal(r.status, status, r.text);
  assert.deepEqual(Object.keys(r.json), ['code', 'message']);
  assert.equal(r.json.code, status);
  assert.match(r.json.message, why);
  assert.equal(r.headers.get('www-authenticate'), status === 401 ? 'Bearer' : null);
  return r;
}
const guarded = async (token, on = server) => (await fetch(`http://127.0.0.1:${on.port}/v1/models`, { headers: { authorization: `Bearer ${token}` } })).status;
const becomes = (status, token, on) => eventually(async () => assert.equal(await guarded(token, on), status));
const account = async (verb, subject) => assert.equal((await run(['account', verb, subject, '--database', url])).code, 0);
const accounts = (subject) => sql(`SELECT t.name, a.status, a.nickname, a.role FROM runnel.account a JOIN runnel.tenant t ON t.id = a.tenant WHERE subject = '${subject}' ORDER BY 1`);

describe('a code of wx.login()', () => {
  test('makes an account that waits, and tokens that serve when it is approved', async () => {
    const first = await login('pia');
    assert.deepEqual([first.status, first.expiresIn], ['pending', 7200]);
    assert.deepEqual(await accounts('pia'), [['default', 'pending', '', '']]);
    const history = () => fetch(`http://127.0.0.1:${server.port}/api/xcx/chat/history`, { headers: { authorization: `Bearer ${first.token}` } });
    const r = await history();
    assert.deepEqual([r.status, await r.json()], [403, { code: 403, message: 'this account waits for approval' }]);
    await account('approve', 'pia');
    await becomes(200, first.token);
    assert.deepEqual((await (await history()).json()).data.items, []);
    assert.equal((await login('pia')).status, 'approved');
    await account('disable', 'pia');
    await becomes(403, first.token);
    assert.equal((await login('pia')).status, 'disabled');
    await account('reject', 'pia');
    assert.equal((await login('pia')).status, 'rejected');
    assert.equal((await accounts('pia')).length, 1);
  });
  test('its token says who it is and no more', async () => {
    const { token, refreshToken } = await login('tom');
    const { exp, iat, jti, ...rest } = claims(token);
    assert.deepEqual(rest, { sub: 'tom', tenant: 'default' });
    assert.ok(Math.abs(iat - now()) < 5 && exp === iat + 7200 && jti.length === 16);
    assert.deepEqual(claims(token, 0), { alg: 'HS256', typ: 'JWT' });
    assert.deepEqual(claims(refreshToken, 0), { alg: 'HS256', typ: 'refresh+jwt' });
    assert.equal(claims(refreshToken).exp - claims(refreshToken).iat, 30 * 86400);
    assert.notEqual(claims(refreshToken).jti, jti);
  });
  test('goes to WeChat letter by letter', async () => {
    const code = 'openid:a&b=c%20d+e/f?#\u4f60';
    await post('login', { code });
    assert.equal(fake.requests.at(-1).query.js_code, code);
    assert.equal(fake.requests.at(-1).headers.host, `127.0.0.1:${fake.port}`);
  });
  test('is asked about once more when WeChat is busy', async () => {
    const asked = fake.asked();
    assert.equal((await loggedIn('login', { code: 'busy-once:bea' })).status, 'pending');
    assert.equal(fake.asked() - asked, 2);
  });
  test('a hundred at once', async () => {
    const all = await Promise.all(Array.from({ length: 100 }, (_, i) => login(`many${i % 10}`)));
    assert.equal(new Set(all.map((d) => d.token)).size, 100);
    assert.equal((await sql("SELECT count(*) FROM runnel.account WHERE subject LIKE 'many%'"))[0][0], '10');
  });
});

// A client whose log-in WeChat does not answer.
async function waits(on) {
  const c = await connect(on.port);
  const body = '{"code":"dead"}';
  c.send(`${req('POST /api/xcx/auth/login HTTP/1.1', 'host: x', 'content-type: application/json', `content-length: ${body.length}`)}${body}`);
  await eventually(() => assert.equal(fake.hanging, 1));
  return c;
}

describe('WeChat says no, or nothing', () => {
  const rows = [
    ['errcode:40029', 401, /wx\.login again/, 1], ['errcode:40163', 401, /wx\.login again/, 1], ['errcode:41008', 401, /wx\.login again/, 1],
    ['errcode:-1', 503, /does not answer/, 2], ['errcode:45011', 429, /wait/, 1], ['errcode:40226', 403, /risk/, 1],
    ...[40013, 40125, 40164, 41002, 41004, 40001].map((n) => [`errcode:${n}`, 500, /not set up/, 1]),
    ['errcode:99999', 502, /not understood/, 1],
    ['status:500', 503, /does not answer/, 1], ['status:502', 503, /does not answer/, 1],
    ['status:302', 502, /not understood/, 1], ['status:404', 502, /not understood/, 1],
    ['reset', 503, /does not answer/, null], ['half', 503, /does not answer/, 1], ['dead', 503, /does not answer/, 1], ['slow', 503, /does not answer/, 1],
    ['garbage', 502, /not understood/, null], ['huge', 502, /not understood/, 1], ['empty', 502, /not understood/, 1],
    ['body:{}', 502, /not understood/, 1], ['body:[]', 502, /not understood/, 1], ['body:{"openid":7}', 502, /not understood/, 1], ['body:{"openid":""}', 502, /not understood/, 1],
    ['body:{"openid":"a b"}', 502, /not understood/, 1], ['body:{"errcode":"x"}', 502, /not understood/, 1], ['body:<html>', 502, /not understood/, 1],
    ['body:{"openid":"x"', 502, /not understood/, 1],
  ];
  for (const [code, status, why, asked] of rows) test(`${code}: ${status}`, async () => {
    const on = ['dead', 'slow'].includes(code) ? hasty : server;
    const before = fake.asked(), from = on.lines.length, began = performance.now();
    const r = await refused(status, why, 'login', { code }, on);
    assert.ok(performance.now() - began < ms(10000), 'it took too long');
    if (asked) assert.equal(fake.asked() - before, asked);
    assert.equal(r.headers.get('retry-after'), { 429: '60', 503: '1' }[status] ?? null);
    const line = await on.log((f) => f.msg === 'WeChat did not answer well', { from });
    assert.equal(line.path, '/sns/jscode2session');
    const [, n] = /^errcode:(.*)$/.exec(code) ?? [];
    if (n) assert.deepEqual([line.errcode, line.why], [n, `words of ${n}, secret ..., rid: 5f7c1b2e-3c9c4e1a-0fb3a1d2`]);
    await on.alive();
  });
  test('nobody is there', () => using(settings({ wechat: { base_url: 'http://127.0.0.1:1' } }), async (s) => {
    assert.equal((await refused(503, /does not answer/, 'login', { code: 'openid:x' }, s)).headers.get('retry-after'), '1');
  }));
  test('others do not wait for one who waits', async () => {
    const c = await waits(server);
    await login('quick');
    assert.equal(fake.hanging, 1, 'the slow one was over before');
    c.destroy();
    await eventually(() => assert.equal(fake.hanging, 0));
  });
  test('a client who leaves is not waited for', async () => {
    await using(settings({ wechat: { timeout: '60s' } }), async (s) => {
      (await waits(s)).destroy();
      await eventually(() => assert.equal(fake.hanging, 0));
    });
  });
  test('the database is away', async () => {
    const other = await cluster();
    try {
      assert.equal((await run(['migrate', '--database', other.url])).code, 0);
      await using({ ...settings(), database: { url: other.url } }, async (s) => {
        await login('known', s);
        await other.stop('immediate');
        await refused(503, /accounts cannot be looked up/, 'login', { code: 'openid:late' }, s);
      });
    } finally { await other.remove(); }
  });
});

describe('what is asked for must be right', () => {
  for (const body of ['', '[]', '{', 'null', '{}', '{"code":7}', '{"code":""}', `{"code":"${'x'.repeat(257)}"}`, '{"code":"a","code":"b"}'])
    test(`login ${body.slice(0, 20)}`, async () => {
      const asked = fake.asked();
      await refused(422, /code|JSON/, 'login', body);
      assert.equal(fake.asked(), asked);
    });
  for (const body of ['{}', '{"refreshToken":7}', '{"refreshToken":""}']) test(`refresh ${body}`, () => refused(422, /refreshToken/, 'refresh', body));
  test('refusals before the route have the same form', async () => {
    const at = (path, options) => fetch(`http://127.0.0.1:${server.port}/api/xcx/${path}`, options);
    for (const [r, status] of [[await at('nothing'), 404], [await at('auth/login'), 405],
      [await at('auth/login', { method: 'POST', body: 'code=1', headers: { 'content-type': 'text/plain' } }), 415]]) {
      const body = await r.json();
      assert.deepEqual([r.status, body.code, Object.keys(body)], [status, status, ['code', 'message']]);
      if (status === 405) assert.match(r.headers.get('allow'), /POST/);
    }
    assert.ok((await (await fetch(`http://127.0.0.1:${server.port}/api/x`)).json()).error, 'other paths keep theirs');
  });
  test('without the wrapper, in ASCII', () => using(settings({ wrap_responses: 'false', ascii: 'true' }), async (s) => {
    const r = await post('login', { code: 'openid:bare' }, s);
    tokens.add(r.json.token).add(r.json.refreshToken);
    assert.deepEqual(Object.keys(r.json), ['token', 'refreshToken', 'expiresIn', 'status']);
    assert.match(r.text, /^[\x20-\x7e]*$/);
    await refused(401, /wx\.login/, 'login', { code: 'errcode:40029' }, s);
  }));
});

describe('a refresh token', () => {
  test('gives a new token, and is good until its own end', async () => {
    const first = await login('rea');
    const next = await refresh(first.refreshToken);
    assert.notEqual(next.token, first.token);
    assert.equal(next.refreshToken, first.refreshToken);
    assert.deepEqual([claims(next.token).sub, claims(next.token).tenant, next.status], ['rea', 'default', 'pending']);
    await account('approve', 'rea');
    assert.equal((await refresh(first.refreshToken)).status, 'approved');
    assert.equal(await guarded(next.token), 200);
  });
  test('opens no door itself', async () => {
    const { refreshToken } = await login('rea');
    const r = await fetch(`http://127.0.0.1:${server.port}/v1/models`, { headers: { authorization: `Bearer ${refreshToken}` } });
    assert.equal(r.status, 401);
    assert.match((await r.json()).error.message, /of another kind/);
  });
  test('is nothing else', async () => {
    const { token, refreshToken } = await login('rea');
    const bad = [token, `${refreshToken}x`, refreshToken.slice(0, -3), 'x', 'a.b.c', 'x'.repeat(9000), signed({}, { alg: 'none' }), signed({ exp: now() - 120 }),
      signed({ sub: '' }), signed({ exp: undefined }), signed({}, { typ: 'JWT' }), signed({ tenant: 'nowhere' })];
    for (const one of bad) await refused(401, /wx\.login/, 'refresh', { refreshToken: one });
    await refresh(signed({ sub: 'rea' }));
  });
  test('is for the issuer and the audience it was made for', () => using(settings({ access: { jwt_issuer: 'us', jwt_audience: 'them' } }), async (s) => {
    const { token, refreshToken } = await login('rea', s);
    assert.deepEqual([claims(token).iss, claims(token).aud, claims(refreshToken).iss], ['us', 'them', 'us']);
    assert.equal(await guarded(token, s), 200);
    await refresh(refreshToken, s);
    await refused(401, /wx\.login/, 'refresh', { refreshToken: signed({ iss: 'us', aud: 'others' }) }, s);
  }));
  test('is there only if there are such', () => using(settings({ wechat: { refresh_lifetime: '0' } }), async (s) => {
    assert.equal((await login('rea', s)).refreshToken, null);
    await refused(401, /wx\.login/, 'refresh', { refreshToken: signed({ sub: 'rea' }) }, s);
  }));
});

describe('settings', () => {
  test('without an app_id there is no log-in', () => using({ ...settings(), dialects: {} }, async (s) => {
    await refused(501, /not set up/, 'login', { code: 'openid:x' }, s);
    await refused(501, /not set up/, 'refresh', { refreshToken: signed({}) }, s);
  }));
  test('new accounts as this log-in says', async () => {
    await using(settings({ wechat: { new_accounts: 'approved', token_lifetime: '90s' } }), async (s) => {
      const d = await login('nia', s);
      assert.deepEqual([d.status, d.expiresIn, claims(d.token).exp - claims(d.token).iat], ['approved', 90, 90]);
      assert.equal(await guarded(d.token, s), 200);
    });
    await using(settings({ access: { new_accounts: 'approved' } }), async (s) => assert.equal((await login('nic', s)).status, 'approved'));
    await using(settings({ access: { new_accounts: 'approved' }, wechat: { new_accounts: 'pending' } }), async (s) => assert.equal((await login('nina', s)).status, 'pending'));
  });
  test('another tenant, and one that is not there', async () => {
    assert.equal((await run(['tenant', 'create', 'shop', '--database', url])).code, 0);
    await using(settings({ wechat: { tenant: 'shop' } }), async (s) => {
      const d = await login('tea', s);
      assert.equal(claims(d.token).tenant, 'shop');
      assert.deepEqual(await accounts('tea'), [['shop', 'pending', '', '']]);
      assert.equal(await guarded(d.token, s), 403);
    });
    await using(settings({ wechat: { tenant: 'gone' } }), async (s) => {
      await refused(500, /not set up/, 'login', { code: 'openid:tea' }, s);
      await s.log({ msg: 'a log-in finds no such tenant', tenant: 'gone' });
    });
  });
  test('over TLS, with a certificate of its own', async () => {
    const certs = makeCerts();
    const safe = await wechat({ tls: certs.get('good') }), strange = await wechat({ tls: certs.get('self-signed') });
    const caFile = join(scratch(), 'ca.pem');
    writeFileSync(caFile, certs.ca);
    try {
      await using(settings({ wechat: { base_url: safe.url, ca_file: caFile } }), (s) => login('tls', s));
      await using(settings({ wechat: { base_url: strange.url, ca_file: caFile } }), (s) => refused(503, /does not answer/, 'login', { code: 'openid:x' }, s));
      assert.deepEqual([safe.asked(), strange.asked()], [1, 0]);
    } finally { await safe.stop(); await strange.stop(); }
  });
  test('are read again', () => using(settings({ wechat: { timeout: duration(3000) } }), async (s) => {
    const elsewhere = await wechat();
    try {
      const waiting = post('login', { code: 'slow' }, s);
      await eventually(() => assert.equal(fake.hanging, 1));
      s.write(settings({ wechat: { base_url: elsewhere.url } }));
      s.kill('SIGHUP');
      await s.log({ msg: 'reloaded' });
      await login('moved', s);
      assert.equal(elsewhere.asked(), 1);
      s.write({ ...settings(), dialects: {} });
      const from = s.lines.length;
      s.kill('SIGHUP');
      await s.log({ msg: 'reloaded' }, { from });
      await refused(501, /not set up/, 'login', { code: 'openid:x' }, s);
      assert.equal((await waiting).status, 503);
    } finally { await elsewhere.stop(); }
  }));
  for (const [name, change, why] of [
    ['a key that cannot sign', { access: { jwt_algorithm: 'ES256', jwt_key: KEY } }, /app_id: log-in signs tokens, which it can with access\.jwt_algorithm HS256 only/],
    ['no key', { access: {} }, /app_id: log-in signs tokens with access\.jwt_key, which is empty/],
    ['no database', { database: {} }, /app_id: log-in keeps accounts in a database/],
    ['certificates that are not there', { dialects: { xcx: { wechat: { app_id: APP, app_secret: SECRET, ca_file: '/nowhere/ca.pem' } } } }, /xcx\.wechat\.ca_file: .*nowhere/],
    ['an address that cannot be read', { dialects: { xcx: { wechat: { app_id: APP, app_secret: SECRET, base_url: 'https://a:b:c' } } } }, /xcx\.wechat\.base_url: this address cannot be read/],
    ['a log-in for everybody, for everybody', { listen: '0.0.0.0:0', dialects: { xcx: { dev_login: 'true' } } }, /dev_login: .*listen must be a loopback address/],
  ]) test(`check refuses ${name}`, async () => {
    const file = join(scratch(), 'runnel.yaml');
    writeFileSync(file, JSON.stringify({ ...settings(), ...change }));
    const r = await run(['check', file]);
    assert.deepEqual([r.code, r.stdout], [1, ''], r.stderr);
    assert.match(r.stderr, why);
    assert.ok(!r.stderr.includes(SECRET) && !r.stderr.includes(KEY));
    assert.equal((await run(['serve', '--config', file])).code, 1);
  });
});

describe('a log-in for trying things out', () => {
  test('is not there unless it is allowed', async () => {
    await refused(404, /nothing at this path/, 'dev-login', { openid: 'dev' });
    assert.deepEqual(await accounts('dev'), []);
  });
  test('lets anybody be anybody, says so, and needs no WeChat', () => using({ ...settings(), dialects: { xcx: { dev_login: 'true' } } }, async (s) => {
    await s.log({ level: 'warn', msg: /dev_login is on: anybody may log in as anybody/ });
    const asked = fake.asked();
    const d = await loggedIn('dev-login', { openid: 'dev', nickname: '\u5c0f\u660e', role: 'coach' }, s);
    assert.deepEqual([d.status, claims(d.token).sub], ['pending', 'dev']);
    assert.deepEqual(await accounts('dev'), [['default', 'pending', '\u5c0f\u660e', 'coach']]);
    await loggedIn('dev-login', { openid: 'dev', role: 'boss' }, s);
    assert.deepEqual(await accounts('dev'), [['default', 'pending', '\u5c0f\u660e', 'boss']]);
    await account('approve', 'dev');
    await becomes(200, d.token, s);
    assert.equal((await refresh(d.refreshToken, s)).status, 'approved');
    for (const body of ['{}', '{"openid":""}', '{"openid":7}', '{"openid":"a\\nb"}', `{"openid":"${'x'.repeat(201)}"}`, '{"openid":"a","role":"\\u0001"}'])
      await refused(422, /names/, 'dev-login', body, s);
    await refused(501, /not set up/, 'login', { code: 'openid:x' }, s);
    assert.equal(fake.asked(), asked);
  }));
  test('is for this machine only, also behind a proxy and after a change of listen', () => using(
    { ...settings({ dev_login: 'true' }), http: { trusted_proxies: ['127.0.0.1'] } }, async (s) => {
      const from = async (client) => (await post('dev-login', { openid: 'far' }, s, { 'x-forwarded-for': client })).status;
      assert.equal(await from('203.0.113.7'), 404);
      assert.equal(await from('::1'), 200);
    }));
});
