// A private CA and the certificates it (or somebody else) made, built afresh at every start.
import { createHash, createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// Just enough DER to write an X.509 certificate.
const der = (tag, ...parts) => {
  const body = Buffer.concat(parts.map((p) => Buffer.from(p)));
  const n = body.length;
  const size = n < 128 ? [n] : n < 256 ? [0x81, n] : [0x82, n >> 8, n & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
};
const seq = (...parts) => der(0x30, ...parts);
const oid = (hex) => der(0x06, Buffer.from(hex, 'hex'));
const time = (ms) => der(0x18, new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, ''));
const name = (cn) => seq(der(0x31, seq(oid('550403'), der(0x0c, cn))));
const extension = (id, critical, value) => seq(oid(id), ...(critical ? [der(1, [255])] : []), der(4, value));
const pem = (raw) => `-----BEGIN CERTIFICATE-----\n${raw.toString('base64').replace(/.{64}/g, '$&\n').trim()}\n-----END CERTIFICATE-----\n`;
const keyId = (key) => createHash('sha1').update(createPublicKey(key).export({ type: 'spki', format: 'der' })).digest();

const ec = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const rsa = (bits) => generateKeyPairSync('rsa', { modulusLength: bits }).privateKey;
const ALGORITHM = { // by key type and digest
  'ec-sha256': seq(oid('2a8648ce3d040302')),
  'ec-sha1': seq(oid('2a8648ce3d0401')),
  'rsa-sha256': seq(oid('2a864886f70d01010b'), der(5)),
};

function certificate({ cn, key, issuer, issuerKey, names = [], ca = false, from, to, digest = 'sha256' }) {
  const algorithm = ALGORITHM[`${issuerKey.asymmetricKeyType}-${digest}`];
  const alt = names.map((n) =>
    isIP(n) ? der(0x87, n.split('.').map(Number)) : der(0x82, n));
  const tbs = seq(
    der(0xa0, der(2, [2])),
    der(2, Buffer.concat([Buffer.from([0x4c]), randomBytes(15)])),
    algorithm, name(issuer), seq(time(from), time(to)), name(cn),
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    der(0xa3, seq(
      extension('551d13', true, ca ? seq(der(1, [255])) : seq()),
      extension('551d0f', true, der(3, ca ? [1, 6] : [7, 128])),
      extension('551d0e', false, der(4, keyId(key))),
      extension('551d23', false, seq(der(0x80, keyId(issuerKey)))),
      ...(alt.length ? [extension('551d11', false, seq(...alt))] : []))));
  return pem(seq(tbs, algorithm, der(3, [0], sign(digest, tbs, issuerKey))));
}

const DAY = 86_400_000;

// Every certificate is for localhost and 127.0.0.1 unless its name says otherwise.
export function makeCerts(names = ['localhost', '127.0.0.1']) {
  const now = Date.now();
  const life = { from: now - DAY, to: now + 30 * DAY };
  const root = (cn) => {
    const key = ec();
    return { cn, key, cert: certificate({ cn, key, issuer: cn, issuerKey: key, ca: true, ...life }) };
  };
  const ca = root('Fake Providers CA');
  const other = root('Somebody Else CA');
  const middle = { cn: 'Fake Providers Intermediate', key: ec() };
  middle.cert = certificate({ ...middle, issuer: ca.cn, issuerKey: ca.key, ca: true, ...life });
  const leaf = (by, more = {}, key = ec()) => ({
    key: key.export({ type: 'pkcs8', format: 'pem' }),
    cert: certificate({ cn: 'fake provider', key, issuer: by.cn, issuerKey: by.key, names, ...life, ...more }),
  });
  const chain = (l, ...more) => ({ ...l, cert: l.cert + more.join('') });
  const selfKey = ec();
  const made = {
    good: () => leaf(ca),
    chained: () => chain(leaf(middle), middle.cert),
    'wrong-order': () => chain(leaf(middle), ca.cert, middle.cert), // still builds
    'missing-intermediate': () => leaf(middle),
    expired: () => leaf(ca, { from: now - 20 * DAY, to: now - 10 * DAY }),
    future: () => leaf(ca, { from: now + 10 * DAY, to: now + 20 * DAY }),
    'wrong-name': () => leaf(ca, { names: ['elsewhere.example'] }),
    'self-signed': () => leaf({ cn: 'fake provider', key: selfKey }, {}, selfKey),
    'wrong-ca': () => leaf(other),
    sha1: () => leaf(ca, { digest: 'sha1' }),
    rsa: () => leaf(ca, {}, rsa(2048)),
    rsa1024: () => leaf(ca, {}, rsa(1024)),
  };
  const dir = mkdtempSync(join(tmpdir(), 'fake-providers-'));
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
  const caFile = join(dir, 'ca.pem');
  writeFileSync(caFile, ca.cert);
  const cache = {};
  return {
    ca: ca.cert, caFile, dir, names: Object.keys(made),
    get(kind) {
      if (!made[kind]) throw new Error(`no certificate called ${kind}: ${Object.keys(made)}`);
      return (cache[kind] ??= made[kind]());
    },
  };
}

let shared;
export const certs = () => (shared ??= makeCerts()); // one CA for one process
