// Each misbehaviour, seen with clients that know nothing of it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import tls from 'node:tls';
import { after, before, beforeEach, describe, test } from 'node:test';
import { ask, events, post, raw } from './lib/client.mjs';
import { certs } from './lib/certs.mjs';
import { EXTRAS, FRAMINGS, HEADS } from './lib/faults.mjs';
import { start } from './lib/index.mjs';

const CHAT = '/v1/chat/completions';
const body = (content = 'hello world', more) => ({ model: 'm', stream: true, messages: [{ role: 'user', content }], ...more });
const said = (text) => events(text).map((e) => e.choices?.[0]?.delta.content ?? '').join('');

for (const secure of [false, true]) describe(secure ? 'over TLS' : 'over TCP', () => {
  let p;
  before(async () => (p = await start({ kind: 'openai', tls: secure })));
  after(() => p.stop());
  beforeEach(() => { p.clear(); p.forget(); });
  const chat = (faults = {}, answer = {}, text, more) => {
    p.script({ answer, faults, times: 1 });
    return ask(p, CHAT, body(text), {}, more);
  };
  const bytes = (faults, answer = {}) => {
    p.script({ answer, faults: { close: 'now', ...faults }, times: 1 });
    return raw(p, post(CHAT, body()), { patience: 400 });
  };

  test('nothing wrong: the echo, and everything recorded', async () => {
    const r = await chat();
    assert.equal(said(r.text), 'hello world');
    const [q] = await p.settled();
    assert.deepEqual([q.path, q.model, q.said, q.nth, q.reused, q.complete, q.problems], [CHAT, 'm', 'hello world', 1, false, true, []]);
    assert.equal(q.headers.authorization, 'Bearer test');
    assert.equal(q.body.messages[0].content, 'hello world');
  });

  test('the port is closed, and open again', async () => {
    await p.listen(false);
    assert.equal((await ask(p, CHAT, body())).error, 'ECONNREFUSED');
    await p.listen(true);
    assert.equal((await chat()).status, 200);
  });

  test('never answers, and sees the client go', async () => {
    assert.equal((await chat({ at: 'head', then: 'stall' }, {}, 'x', { patience: 100 })).error, 'timeout');
    const [q] = await p.settled();
    assert.equal(q.clientClosed.before, true);
    assert.equal(q.complete, false);
  });

  for (const then of ['reset', 'fin', 'bare-fin']) {
    test(`${then} before the head and at every hundredth byte`, async () => {
      assert.equal((await chat({ at: 'head', then })).error, 'ECONNRESET');
      const full = (await chat({}, { gap: 0 })).text.length;
      for (let at = 0; at <= full; at += 100) {
        const r = await chat({ at, then });
        assert.equal(r.error, 'ECONNRESET', `at ${at}`);
        assert.equal(r.text.length, at);
      }
    });
  }

  test('a FIN at byte N lacks the end of its chunk; close_notify comes or does not', async () => {
    const r = await bytes({ at: 100, then: 'fin' });
    assert.equal(r.how, 'fin');
    assert.equal(r.text.slice(r.text.indexOf('\r\n\r\n') + 4).replace(/^[0-9a-f]+\r\n/, '').length, 100);
  });

  test('stalls at byte N, for ever or for a while', async () => {
    const r = await chat({ at: 150, then: 'stall' }, {}, 'x', { patience: 150 });
    assert.deepEqual([r.error, r.text.length], ['timeout', 150]);
    assert.equal(said((await chat({ at: 150, then: 'stall', ms: 60 })).text), 'hello world');
  });

  test('every byte a write, cuts through characters, drip, pieces of a record, one read', async () => {
    const text = 'é漢😀 e';
    assert.equal(said((await chat({ split: 1 }, {}, text)).text), text);
    const one = (await chat({ split: 1 })).pieces;
    assert.ok(one.length > 300, `${one.length} reads`);
    const all = Buffer.from((await chat({}, { tokens: [text] })).text);
    const i = all.indexOf('漢');
    const r = await chat({ cuts: [i + 1, i + 2] }, { tokens: [text], raw: [all.toString()] });
    assert.equal(said(r.text), text);
    assert.ok(r.pieces.some((b) => Buffer.concat([b]).toString().includes('\ufffd')), 'cut inside the character');
    const t = Date.now();
    await chat({ split: 1, every: 1 }, { raw: ['x'.repeat(50)] });
    assert.ok(Date.now() - t > 150);
    assert.equal(said((await chat({ chunk: 1 })).text), 'hello world');
    assert.equal((await chat({ join: true })).pieces.length, 1);
    if (secure) assert.equal(said((await chat({ wire: { split: 7 } })).text), 'hello world');
  });

  for (const head of Object.keys(HEADS)) test(`head: ${head}`, async () => {
    const r = await bytes({ head });
    assert.ok(r.bytes.length > 100);
    if (head === 'good') assert.match(r.text, /^HTTP\/1\.1 200 OK\r\n/);
    if (head === 'huge-field') assert.ok(r.bytes.length > 1 << 20);
    if (head === 'many-fields') assert.ok(r.text.split('\r\n').length > 10000);
  });

  // What node's own client thinks of each framing: a whole answer, or an error.
  const bad = { 'bad-chunk-size': 1, 'empty-chunk-size': 1, 'negative-chunk-size': 1, 'chunk-overflow': 1, 'chunk-too-short': 1, 'chunk-bare-lf': 1, 'no-last-chunk': 1, 'length-long': 1 };
  for (const framing of Object.keys(FRAMINGS)) test(`framing: ${framing}`, async () => {
    const r = await chat({ framing });
    if (framing === 'length-short') return assert.match(r.text, /data:/); // the rest is an error between two answers
    assert.equal(Boolean(r.error), framing in bad, `${r.error}`);
    if (!r.error) assert.equal(said(r.text), 'hello world');
  });

  test('1xx first, extra bytes after, a second answer glued on', async () => {
    const r = await chat({ before: [100, 103, 103] });
    assert.deepEqual([r.interim, said(r.text)], [[100, 103, 103], 'hello world']);
    for (const after of ['bytes', 'response']) assert.ok((await bytes({ after })).text.endsWith(EXTRAS[after]));
  });

  test('keep-alive kept, broken at once, and broken when idle', async () => {
    const agent = new (secure ? https.Agent : http.Agent)({ keepAlive: true, ca: p.ca ?? undefined, maxSockets: 1 });
    for (let i = 0; i < 3; i++) await ask(p, CHAT, body(), {}, { agent });
    let q = await p.settled(3);
    assert.deepEqual(q.map((r) => [r.nth, r.reused, r.connection - q[0].connection]), [[1, false, 0], [2, true, 0], [3, true, 0]]);
    p.script({ faults: { close: 'now' }, times: 1 });
    const r = await ask(p, CHAT, body(), {}, { agent });
    assert.equal(r.headers.connection, 'keep-alive');
    await new Promise((ok) => setTimeout(ok, 60));
    await ask(p, CHAT, body(), {}, { agent });
    q = await p.settled(5);
    assert.notEqual(q[4].connection, q[3].connection);
    p.script({ faults: { idle: 50 }, times: 1 });
    await ask(p, CHAT, body(), {}, { agent });
    await new Promise((ok) => setTimeout(ok, 120));
    assert.ok(p.connections().at(-1).closed);
    agent.destroy();
  });

  test('statuses in a row, with their headers', async () => {
    p.script({ answer: { status: 500 }, times: 2 });
    p.script({ answer: { status: 429, headers: { 'retry-after': '1', 'retry-after-ms': '250', 'x-should-retry': 'false' } }, times: 1 });
    p.script({ answer: { status: 302, headers: { location: 'http://127.0.0.1:9/' } }, times: 1 });
    const all = [];
    for (let i = 0; i < 5; i++) all.push(await ask(p, CHAT, body()));
    assert.deepEqual(all.map((r) => r.status), [500, 500, 429, 302, 200]);
    assert.equal(all[2].headers['retry-after-ms'], '250');
    assert.equal(all[3].headers.location, 'http://127.0.0.1:9/');
  });

  test('raw bodies, insertions, line ends, a 10 MB event', async () => {
    const r = await chat({}, { sse: { eol: '\r\n', bom: true, comment: 'c', multiline: true } });
    assert.ok(r.text.startsWith('\ufeff: c\r\n') && !/[^\r]\n/.test(r.text));
    assert.match((await chat({}, { insert: [[2, 'data: {"broken\n\n']] })).text, /\{"broken/);
    const big = await chat({}, { insert: [[1, { before: 'data: "', big: 10 << 20, after: '"\n\n' }]] });
    assert.ok(big.text.length > 10 << 20);
    assert.equal((await chat({}, { raw: [{ hex: 'ff00' }] })).pieces[0].toString('hex'), 'ff00');
  });
});

describe('TLS', () => {
  const connect = (p, o = {}) => new Promise((ok) => {
    const s = tls.connect({ port: p.port, host: p.host, ca: p.ca, servername: 'localhost', ...o }, () => ok({ ok: true, version: s.getProtocol(), s }));
    s.on('error', (e) => ok({ error: e.code }));
    setTimeout(() => { s.destroy(); ok({ error: 'patience' }); }, 600);
  });
  const expected = {
    good: null, chained: null, 'wrong-order': null, rsa: null, 'missing-intermediate': 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    expired: 'CERT_HAS_EXPIRED', future: 'CERT_NOT_YET_VALID', 'wrong-name': 'ERR_TLS_CERT_ALTNAME_INVALID',
    'self-signed': 'DEPTH_ZERO_SELF_SIGNED_CERT', 'wrong-ca': 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', sha1: 'UNSPECIFIED', rsa1024: 'UNSPECIFIED',
  };
  test('the certificates', async () => {
    assert.deepEqual(certs().names.sort(), Object.keys(expected).sort());
    for (const [cert, error] of Object.entries(expected)) {
      const p = await start({ tls: cert });
      const strict = ['sha1', 'rsa1024'].includes(cert) ? { ciphers: 'DEFAULT@SECLEVEL=2' } : {};
      assert.equal((await connect(p, strict)).error ?? null, error, cert);
      await p.stop();
    }
  });
  test('versions, tickets, and a handshake that stops or drips', async () => {
    for (const version of ['1.2', '1.3']) {
      const p = await start({ tls: { version } });
      assert.equal((await connect(p)).version, `TLSv${version}`);
      await p.stop();
    }
    for (const [tickets, resumed] of [[true, 1], [false, 0]]) {
      const p = await start({ tls: { version: '1.2', tickets, } });
      const { s } = await connect(p);
      const session = s.getSession();
      s.destroy();
      const again = await connect(p, { session });
      await new Promise((r) => setTimeout(r, 30)); // the server's side is ready a little later
      again.s.destroy();
      assert.deepEqual([p.stats().handshakes, p.stats().resumed], [2, resumed]);
      await p.stop();
    }
    const stuck = await start({ tls: { wire: { stop: 100 } } });
    assert.equal((await connect(stuck)).error, 'patience');
    await stuck.stop();
    const slow = await start({ tls: { wire: { split: 50, every: 5 } } });
    assert.equal((await connect(slow)).ok, true);
    await slow.stop();
    const none = await start({ tls: { version: '1.2', ciphers: 'ECDHE-RSA-AES256-GCM-SHA384' } });
    assert.ok((await connect(none)).error);
    assert.equal(none.stats().failed.length, 1);
    await none.stop();
  });
});

describe('from outside', () => {
  const run = async (...args) => {
    const child = spawn(process.execPath, args, { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(child.stdout, 'data');
    return { ...JSON.parse(line), stop: () => child.kill() };
  };
  test('the command and its control port', async () => {
    const p = await run('serve.mjs', '--kind', 'ollama', '--tls', 'false');
    const control = (method, path, b) => fetch(`http://127.0.0.1:${p.controlPort}${path}`, { method, body: b && JSON.stringify(b) }).then((r) => r.json());
    assert.deepEqual(await control('POST', '/script', { match: { model: 'm' }, answer: { status: 404 }, times: 1 }), { id: 1 });
    assert.equal((await ask(p, '/api/chat', body())).status, 404);
    assert.equal((await ask(p, '/api/chat', body())).status, 200);
    const all = await control('GET', '/requests');
    assert.deepEqual(all.map((r) => [r.script, r.status]), [[1, 404], [null, 200]]);
    assert.match((await control('POST', '/script', { faults: { nonsense: 1 } })).error, /unknown fault/);
    await control('POST', '/listen', { open: false });
    assert.equal((await ask(p, '/api/chat', body())).error, 'ECONNREFUSED');
    p.stop();
  });
  for (const more of [[], ['--pace', '2'], ['--tls', 'good']]) {
    test(`the fast one ${more.join(' ')}`, async () => {
      const p = await run('fast.mjs', '--tokens', '20', ...more);
      if (p.caFile) p.ca = readFileSync(p.caFile);
      Object.assign(p, { url: `http${p.ca ? 's' : ''}://127.0.0.1:${p.port}`, host: '127.0.0.1' });
      const agent = new (p.ca ? https.Agent : http.Agent)({ keepAlive: true, ca: p.ca });
      const all = await Promise.all(Array.from({ length: 50 }, () => ask(p, CHAT, body('x', { stream_options: { include_usage: true } }), {}, { agent })));
      for (const r of all) {
        assert.equal(said(r.text), Array.from({ length: 20 }, (_, i) => ` w${String(i).padStart(4, '0')}`).join(''));
        assert.equal(events(r.text).at(-1), '[DONE]');
        assert.equal(events(r.text).at(-2).usage.completion_tokens, 20);
      }
      const sizes = all[0].text.split(/(?<=\n\n)/).slice(1, 20).map((e) => e.length);
      assert.ok(sizes.every((n) => n === 320), `${sizes}`);
      const stats = JSON.parse((await ask(p, '/stats', undefined)).text);
      assert.deepEqual([stats.streams, stats.finished, stats.aborted], [50, 50, 0]);
      agent.destroy();
      p.stop();
    });
  }
});
