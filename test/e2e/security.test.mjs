// What a stranger may show instead of a key or a token, against the built program and a real
// PostgreSQL: he is told 401, nobody looks where his token points, and no account is made.
import assert from 'node:assert/strict';
import { constants, createHash, createHmac, generateKeyPairSync, sign } from 'node:crypto';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { cluster, psql } from './lib/postgres.mjs';
import { get } from './lib/raw.mjs';
import { eventually, run, start } from './lib/server.mjs';

const SECRET = 'a shared secret that has 32 bytes or more';
const STATIC = 'a-key-of-the-settings';
const b64 = (x) => (Buffer.isBuffer(x) ? x : Buffer.from(typeof x === 'string' ? x : JSON.stringify(x))).toString('base64url');
const now = () => Math.floor(Date.now() / 1000);
const pem = (key) => key.export({ type: 'spki', format: 'pem' });
const pairs = { rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }), p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }) };
const strangers = { rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }), p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }) };

const hmac = (secret, hash = 'sha256') => (text) => createHmac(hash, secret).update(text).digest();
const rsa = (key) => (text) => sign('sha256', text, key);
const p256 = (key, dsaEncoding = 'ieee-p1363') => (text) => sign('sha256', text, { key, dsaEncoding });
const pss = (key) => (text) => sign('sha256', text, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });

// Each algorithm with a service of its own.
const kinds = {
  HS256: { key: SECRET, sign: hmac(SECRET), foreign: hmac('another secret that has 32 bytes or more') },
  RS256: { key: pem(pairs.rsa.publicKey), sign: rsa(pairs.rsa.privateKey), foreign: rsa(strangers.rsa.privateKey) },
  ES256: { key: pem(pairs.p256.publicKey), sign: p256(pairs.p256.privateKey), foreign: p256(strangers.p256.privateKey) },
};

const claims = (more = {}) => ({ sub: 'anna', exp: now() + 3600, iss: 'me', aud: 'you', ...more });
const write = (head, payload, signer) => {
  const text = `${b64(head)}.${b64(payload)}`;
  return `${text}.${b64(signer(Buffer.from(text)))}`;
};

let pg, url, ear, heard = 0;
const sql = (text) => psql(url, text);

before(async () => {
  ear = net.createServer((s) => { heard++; s.destroy(); }).listen(0, '127.0.0.1');
  pg = await cluster({ settings: { log_statement: 'all', log_parameter_max_length: '-1' } });
  await pg.sql('CREATE DATABASE security');
  url = pg.url.replace(/\/postgres$/, '/security');
  assert.equal((await run(['migrate', '--database', url])).code, 0);
  for (const [alg, kind] of Object.entries(kinds)) {
    kind.server = await start({
      database: { url },
      access: { jwt_algorithm: alg, jwt_key: kind.key, jwt_issuer: 'me', jwt_audience: 'you', keys: [STATIC], new_accounts: 'approved', cache: '10ms', max_failures_per_minute: 0 },
    });
    await eventually(async () => assert.equal((await get(kind.server.port, '/readyz')).status, 200));
  }
});
after(async () => {
  for (const { server } of Object.values(kinds)) await server?.stop();
  await pg?.remove();
  ear?.close();
});

const show = (server, shown) => get(server.port, '/v1/models', `Authorization: Bearer ${shown}`);
const accounts = async () => (await sql('SELECT count(*), max(id) FROM runnel.account'))[0].join();

async function refused(server, shown, statuses = [401]) {
  const r = await show(server, shown);
  assert.ok(statuses.includes(r.status), `${r.status} ${r.text}`);
  if (r.status !== 401) return;
  assert.equal(r.header('www-authenticate'), 'Bearer');
  assert.deepEqual([r.json.error.type, r.json.error.code], ['invalid_request_error', 'invalid_api_key']);
}

async function welcome(server, shown) {
  const r = await show(server, shown);
  assert.equal(r.status, 200, r.text);
}

// ---- tokens ------------------------------------------------------------------

// With a good signature: what they say is what is wrong with them.
const saying = {
  'exp in the past': claims({ exp: now() - 61 }),
  'exp at the beginning of time': claims({ exp: 0 }),
  'no exp': claims({ exp: undefined }),
  'exp null': claims({ exp: null }),
  'exp a text': claims({ exp: String(now() + 60) }),
  'exp true': claims({ exp: true }),
  'exp in a list': claims({ exp: [now() + 60] }),
  'exp negative': claims({ exp: -1 }),
  'exp 2^63': `{"sub":"anna","iss":"me","aud":"you","exp":9223372036854775808}`,
  'exp 2^64': `{"sub":"anna","iss":"me","aud":"you","exp":18446744073709551616}`,
  'exp 1e308': `{"sub":"anna","iss":"me","aud":"you","exp":1e308}`,
  'exp 1e999': `{"sub":"anna","iss":"me","aud":"you","exp":1e999}`,
  'exp NaN': `{"sub":"anna","iss":"me","aud":"you","exp":NaN}`,
  'exp in hexadecimal': `{"sub":"anna","iss":"me","aud":"you","exp":0x7fffffff}`,
  'nbf to come': claims({ nbf: now() + 120 }),
  'nbf a text': claims({ nbf: '0' }),
  'nbf 2^63': `{"sub":"anna","iss":"me","aud":"you","exp":${now() + 60},"nbf":9223372036854775808}`,
  'iat to come': claims({ iat: now() + 3600 }),
  'iat an object': claims({ iat: {} }),
  'another iss': claims({ iss: 'they' }),
  'iss in other letters': claims({ iss: 'ME' }),
  'no iss': claims({ iss: undefined }),
  'iss in a list': claims({ iss: ['me'] }),
  'another aud': claims({ aud: 'they' }),
  'no aud': claims({ aud: undefined }),
  'aud an empty list': claims({ aud: [] }),
  'aud others': claims({ aud: ['they', 'those'] }),
  'aud in a list in a list': claims({ aud: [['you']] }),
  'aud an object': claims({ aud: { you: true } }),
  'aud longer than ours': claims({ aud: 'your' }),
  'no sub': claims({ sub: undefined }),
  'sub empty': claims({ sub: '' }),
  'sub a number': claims({ sub: 1 }),
  'sub null': claims({ sub: null }),
  'sub true': claims({ sub: true }),
  'sub a list': claims({ sub: ['anna'] }),
  'sub an object': claims({ sub: { $ne: '' } }),
  'sub with NUL': claims({ sub: 'anna\u0000' }),
  'sub of 201 letters': claims({ sub: 'x'.repeat(201) }),
  'sub with half a pair': `{"sub":"\\ud800","iss":"me","aud":"you","exp":${now() + 60}}`,
  'tenant of nobody': claims({ tenant: 'nowhere' }),
  'tenant a number': claims({ tenant: 1 }),
  'tenant with NUL': claims({ tenant: 'default\u0000' }),
  'tenant with SQL': claims({ tenant: "default' OR '1'='1" }),
  'sub twice': `{"sub":"anna","sub":"eve","iss":"me","aud":"you","exp":${now() + 60}}`,
  'exp twice': `{"sub":"anna","iss":"me","aud":"you","exp":1,"exp":${now() + 60}}`,
  'sub twice, once in escapes': `{"sub":"anna","\\u0073ub":"eve","iss":"me","aud":"you","exp":${now() + 60}}`,
  'no JSON': 'anna',
  'a list': JSON.stringify([claims()]),
  'a text': JSON.stringify(JSON.stringify(claims())),
  'nothing at all': '',
  'null': 'null',
  'two objects': `${JSON.stringify(claims())}{}`,
  'a comma too many': '{"sub":"anna","iss":"me","aud":"you","exp":4000000000,}',
  'a mark of byte order': `\ufeff${JSON.stringify(claims())}`,
  'UTF-16': Buffer.from(JSON.stringify(claims()), 'utf16le'),
  'bytes that are no UTF-8': Buffer.concat([Buffer.from('{"sub":"'), Buffer.from([0xff, 0xc0, 0xaf]), Buffer.from(`","iss":"me","aud":"you","exp":${now() + 60}}`)]),
  'NUL behind the object': `${JSON.stringify(claims())}\0`,
  'a thousand lists': `{"sub":"anna","iss":"me","aud":"you","exp":4000000000,"x":${'['.repeat(1000)}${']'.repeat(1000)}}`,
};

// With a good signature, and a header that asks for something else.
const heads = (alg) => ({
  'typ of an encrypted one': { alg, typ: 'JWE' },
  'typ of another purpose': { alg, typ: 'dpop+jwt' },
  'typ a list': { alg, typ: ['JWT'] },
  'crit with a known name': { alg, crit: ['exp'] },
  'crit with an unknown name': { alg, crit: ['x'], x: 1 },
  'crit empty': { alg, crit: [] },
  'crit null': { alg, crit: null },
  'b64 false': { alg, b64: false },
  'b64 false and crit': { alg, b64: false, crit: ['b64'] },
  'no alg': { typ: 'JWT' },
  'alg a list': { alg: [alg] },
  'alg a number': { alg: 256 },
  'alg an object': { alg: { [alg]: true } },
  'alg in small letters': { alg: alg.toLowerCase() },
  'alg with a blank': { alg: `${alg} ` },
  'alg with NUL': { alg: `${alg}\u0000` },
  'alg empty': { alg: '' },
  'alg in Cyrillic': { alg: alg.replace('S', 'Ѕ') },
  'alg twice': `{"alg":"none","alg":"${alg}"}`,
  'alg twice the other way': `{"alg":"${alg}","alg":"none"}`,
  'kid a number': { alg, kid: 1 },
  'kid an object': { alg, kid: {} },
  'a list': `["${alg}"]`,
  'no JSON': alg,
  'longer than 2 KiB': { alg, x: 'x'.repeat(2100) },
});

// With a stranger's signature: the header says where the key would be.
const pointing = (alg, port) => ({
  'nowhere': {},
  'with jwk': { jwk: (alg === 'RS256' ? strangers.rsa : strangers.p256).publicKey.export({ format: 'jwk' }) },
  'with a shared jwk': { jwk: { kty: 'oct', k: b64('another secret that has 32 bytes or more') } },
  'with jku': { jku: `http://127.0.0.1:${port}/keys.json`, kid: 'theirs' },
  'with x5u': { x5u: `http://127.0.0.1:${port}/cert.pem` },
  'with x5c': { x5c: [Buffer.from(pem(strangers.rsa.publicKey)).toString('base64')] },
  'with a path as kid': { kid: '../../../../../../dev/null' },
  'with an address as kid': { kid: `http://127.0.0.1:${port}/key` },
  'with a command as kid': { kid: `|curl http://127.0.0.1:${port}/` },
  'with SQL as kid': { kid: "' UNION SELECT 'another secret that has 32 bytes or more' --" },
  'with NUL as kid': { kid: '\u0000' },
  'with 1500 letters as kid': { kid: 'k'.repeat(1500) },
});

const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex');
const zeros = Buffer.alloc(32), one = Buffer.concat([Buffer.alloc(31), Buffer.from([1])]);

for (const [alg, kind] of Object.entries(kinds)) describe(`tokens of a service that believes ${alg}`, () => {
  const good = () => write({ alg, typ: 'JWT' }, claims(), kind.sign);
  const all = (table) => Object.entries(table);

  test('a good one is let in, whatever may be in it besides', async () => {
    await welcome(kind.server, good());
    for (const head of [{ alg }, { alg, typ: 'at+jwt' }, { alg, typ: 'application/JWT' }, { alg, kid: 'any' }, { alg, jku: `http://127.0.0.1:${ear.address().port}/` }, `{"\\u0061lg":"${alg}"}`])
      await welcome(kind.server, write(head, claims(), kind.sign));
    for (const more of [{ aud: ['they', 'you'] }, { exp: now() + 3600.5 }, { exp: now() - 30 }, { nbf: now() + 30 }, { iat: 0 }, { tenant: 'default' }, { 安: ['娜'] }])
      await welcome(kind.server, write({ alg }, claims(more), kind.sign));
    assert.equal(heard, 0);
  });

  for (const [name, payload] of all(saying)) test(`not one that says: ${name}`, async () => {
    const had = await accounts();
    await refused(kind.server, write({ alg, typ: 'JWT' }, payload, kind.sign));
    assert.equal(await accounts(), had);
  });
  for (const [name, head] of all(heads(alg))) test(`not one whose header is: ${name}`, () => refused(kind.server, write(head, claims(), kind.sign)));

  for (const name of all(pointing(alg, 0)).map(([n]) => n)) test(`not one that is signed by a stranger, who points ${name}`, async () => {
    await refused(kind.server, write({ alg, ...pointing(alg, ear.address().port)[name] }, claims(), kind.foreign));
    await refused(kind.server, write({ alg, ...pointing(alg, ear.address().port)[name] }, claims(), hmac('')));
    assert.equal(heard, 0);
  });

  test('not one without a signature, whatever it is called', async () => {
    for (const none of ['none', 'None', 'NONE', 'nOnE', 'none ', '', null])
      for (const signature of ['', '.', `.${good().split('.')[2]}`, '.AA'])
        await refused(kind.server, `${b64({ alg: none })}.${b64(claims())}${signature}`);
    await refused(kind.server, good().replace(/[^.]+$/, ''));
    await refused(kind.server, good().replace(/\.[^.]+$/, ''));
  });

  test('not one of another algorithm, though the key is right', async () => {
    for (const other of ['HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'ES256', 'ES384', 'ES512', 'ES256K', 'EdDSA', 'dir'].filter((a) => a !== alg))
      await refused(kind.server, write({ alg: other }, claims(), kind.sign));
    for (const signer of [hmac(SECRET, 'sha384'), hmac(SECRET, 'sha512'), pss(pairs.rsa.privateKey), p256(pairs.p256.privateKey, 'der')])
      await refused(kind.server, write({ alg }, claims(), signer));
  });

  test('not one that takes the public key for a shared secret', async () => {
    for (const { publicKey } of Object.values(pairs))
      for (const secret of [pem(publicKey), pem(publicKey).trimEnd(), `${pem(publicKey)}\n`, pem(publicKey).replaceAll('\n', '\r\n'), publicKey.export({ type: 'spki', format: 'der' }), ''])
        for (const said of ['HS256', alg])
          await refused(kind.server, write({ alg: said }, claims(), hmac(secret)));
  });

  test('not one with half a signature, a longer one or one of another token', async () => {
    const [head, payload, signature] = good().split('.'), bytes = Buffer.from(signature, 'base64url');
    const flipped = Buffer.from(bytes);
    flipped[7] ^= 1;
    for (const s of [bytes.subarray(0, 16), bytes.subarray(1), bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.from([0])]), Buffer.concat([Buffer.from([0]), bytes]),
      Buffer.concat([bytes, bytes]), Buffer.alloc(bytes.length), Buffer.alloc(bytes.length, 0xff), Buffer.alloc(4000), flipped])
      await refused(kind.server, `${head}.${payload}.${b64(s)}`);
    const of = write({ alg, typ: 'JWT' }, claims({ sub: 'bob' }), kind.sign).split('.');
    await refused(kind.server, `${head}.${payload}.${of[2]}`);
    await refused(kind.server, `${head}.${of[1]}.${signature}`);
    await refused(kind.server, `${b64({ alg })}.${payload}.${signature}`);
  });

  test('not one of numbers that fit every curve', async () => {
    for (const [r, s] of [[zeros, zeros], [zeros, one], [one, zeros], [order, order], [order, one], [one, order], [one, one]]) {
      await refused(kind.server, write({ alg }, claims(), () => Buffer.concat([r, s])));
      await refused(kind.server, write({ alg: 'ES256' }, claims(), () => Buffer.concat([r, s])));
    }
    await refused(kind.server, write({ alg }, claims(), () => Buffer.from('3006020100020100', 'hex')));
  });

  test('not one in another writing', async () => {
    const [head, payload, signature] = good().split('.');
    const odd = (text) => text.replace(/.$/, (c) => String.fromCharCode(c.charCodeAt(0) + 1)); // bits that stand for nothing
    for (const t of [`${head}=.${payload}.${signature}`, `${head}.${payload}==.${signature}`, `${head}.${payload}.${signature}=`, `${head}.${payload}.${signature}==`,
      `${head}.${payload}.${signature}.`, `.${head}.${payload}.${signature}`, `${head}..${payload}.${signature}`, `${head}.${payload}.${signature}.${signature}`,
      `${head}.${payload}.${signature}.x.y`, `${head} .${payload}.${signature}`, `${head}.${payload}. ${signature}`, `${head}.${payload}.${signature}%3D`, `${head}.${payload}.+/+/`,
      `${head}.${payload}.${Buffer.from(signature, 'base64url').toString('hex')}`, '..', '...', '.', `..${signature}`, `.${payload}.${signature}`, `${head}..${signature}`,
      `"${head}.${payload}.${signature}"`, `Bearer ${head}.${payload}.${signature}`, odd(`${head}.${payload}.${b64(Buffer.alloc(32))}`)])
      await refused(kind.server, t);
    for (const dot of ['\uff0e', '\u2024', '%2e']) await refused(kind.server, Buffer.from(`${head}${dot}${payload}${dot}${signature}`).toString('latin1'), [400, 401]);
  });

  test('not one that is encrypted, nor one within another', async () => {
    await refused(kind.server, 'eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA');
    await refused(kind.server, `${b64({ alg: 'RSA-OAEP', enc: 'A256GCM' })}.${'A'.repeat(342)}.AAAAAAAAAAAAAAAA.${b64(claims())}.AAAAAAAAAAAAAAAAAAAAAA`);
    await refused(kind.server, write({ alg, cty: 'JWT' }, good(), kind.sign));
    await refused(kind.server, JSON.stringify({ payload: b64(claims()), protected: b64({ alg }), signature: good().split('.')[2] }));
  });

  test('not one of any length', async () => {
    for (const length of [6000, 7000, 30000, 200000])
      await refused(kind.server, write({ alg }, claims({ x: 'x'.repeat(length) }), length === 6000 ? kind.foreign : kind.sign), length > 7000 ? [401, 431] : [401]);
    for (const shown of ['.'.repeat(8000), `${'A'.repeat(4000)}.${'A'.repeat(4000)}.A`, 'eyJ'.repeat(2500)]) await refused(kind.server, shown);
    await kind.server.alive();
  });

  test('what a sub is, is a text: it is kept letter for letter', async () => {
    for (const sub of ["'; DROP TABLE runnel.account; --", "' OR ''='", '$1', '%s%n', '\\', '"', '安娜🎉', 'a\u202eb', '\u0001', '../..', '{"$ne":1}', 'x'.repeat(200)]) {
      await welcome(kind.server, write({ alg }, claims({ sub }), kind.sign));
      assert.deepEqual(await sql(`SELECT encode(convert_to(subject, 'UTF8'), 'hex') FROM runnel.account WHERE encode(convert_to(subject, 'UTF8'), 'hex') = '${Buffer.from(sub).toString('hex')}'`),
        [[Buffer.from(sub).toString('hex')]]);
    }
  });
});

// ---- keys --------------------------------------------------------------------

describe('keys', () => {
  const on = () => kinds.HS256.server;

  for (const [name, shown, statuses] of [
    ['SQL', "' OR '1'='1"], ['more SQL', "rk-'; DELETE FROM runnel.api_key; --"], ['a pattern', '%'], ['a hash', createHash('sha256').update(STATIC).digest('hex')],
    ['bytes that are no UTF-8', '\xff\xfe\xc0\xaf', [400, 401]], ['one letter less', STATIC.slice(0, -1)], ['one letter more', `${STATIC}x`], ['in capitals', STATIC.toUpperCase()],
    ['a blank within', STATIC.replace('-', ' ')], ['a NUL behind', `${STATIC}\0`, [400]], ['a line end within', `${STATIC}\r`, [400]], ['a list', `${STATIC},${STATIC}`],
  ]) test(`not one that is ${name}`, () => refused(on(), shown, statuses));

  test('not two at once', async () => {
    for (const other of ['Bearer x', `Bearer ${STATIC}`, 'Basic eDp5', ''])
      for (const both of [[`Bearer ${STATIC}`, other], [other, `Bearer ${STATIC}`]])
        assert.equal((await get(on().port, '/v1/models', ...both.map((v) => `Authorization: ${v}`))).status, 401, both.join(' and '));
  });
  test('not in the address', async () => {
    for (const path of [`/v1/models?api_key=${STATIC}`, `/v1/models?access_token=${STATIC}`, `/v1/models?key=${STATIC}`]) assert.equal((await get(on().port, path)).status, 401, path);
  });

  // How long it takes to find a key must not tell how much of it was right. Nothing that is shown is
  // ever compared: it is its SHA-256 that is looked for, and of that nobody can choose the first bytes.
  test('are looked for by their SHA-256, and their letters never reach the database', async () => {
    const made = await run(['key', 'create', 'timed', '--database', url]), key = made.stdout.trim();
    const guess = `${key.slice(0, -1)}${key.endsWith('x') ? 'y' : 'x'}`;
    await welcome(on(), key);
    await refused(on(), guess);
    const { log } = pg;
    for (const shown of [key, guess]) {
      assert.ok(log.includes(`\\x${createHash('sha256').update(shown).digest('hex')}`), 'its hash was asked for');
      assert.ok(!log.includes(shown.slice(8)), 'its letters were sent');
    }
    assert.ok(!log.includes(STATIC), 'one of the settings was sent');
  });
});

// ---- all in all --------------------------------------------------------------

test('nothing was followed, nothing secret was logged, and all services are well', async () => {
  assert.equal(heard, 0);
  for (const { server, key } of Object.values(kinds)) {
    await server.alive();
    for (const word of [SECRET, STATIC, key.split('\n')[1] ?? key, new URL(url).password]) assert.ok(!server.stderr.includes(word), word);
    assert.doesNotMatch(server.stderr, /eyJ[\w-]{10,}\./, 'a token');
  }
  assert.deepEqual(await sql('SELECT count(*) FROM runnel.tenant'), [['1']]);
});
