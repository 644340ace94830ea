// Providers over https: whom we believe, what we remember, and every way in which TLS can go wrong.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { makeCerts } from '../providers/lib/certs.mjs';
import { start as startProvider } from '../providers/lib/index.mjs';
import { ask, mustBe, provider, serve, TEXT, turnLine } from './lib/provided.mjs';
import { chat, connect, parseEvents, streamText } from './lib/raw.mjs';
import { duration, eventually, launch, ms, run, scratch } from './lib/server.mjs';

const patience = { timeout: ms(60000) };
const handshakes = (server, result) => server.metric('runnel_tls_handshakes_total', { result });

// A fake over TLS and a server that asks it as `m`.
async function pair(t, fakeOptions = {}, settings = {}, more = {}, options = {}) {
  const fake = await startProvider({ kind: 'openai', control: false, tls: true, ...fakeOptions });
  const server = await serve([provider('m', `${fake.url}/v1`, { ca_file: fake.caFile, ...settings })], more, options);
  t.after(async () => {
    await server.stop();
    await fake.stop();
  });
  return { fake, server };
}

describe('certificates', () => {
  const REASONS = { expired: /expired/, future: /future/, 'wrong-name': /Common Name|expected/, 'missing-intermediate': /trusted CA/,
    'self-signed': /trusted CA/, 'wrong-ca': /trusted CA/, sha1: /hash/, rsa1024: /unacceptable|key|RSA/ };
  const GOOD = ['good', 'chained', 'wrong-order', 'rsa'];
  const fakes = {};
  let server;
  before(async () => {
    for (const cert of [...GOOD, ...Object.keys(REASONS)])
      fakes[cert] = await startProvider({ kind: 'openai', control: false, tls: { cert } });
    server = await serve(Object.entries(fakes).map(([name, f]) => provider(name, `${f.url}/v1`, { ca_file: f.caFile })));
  });
  after(async () => {
    await server.stop();
    for (const f of Object.values(fakes)) await f.stop();
  });

  for (const cert of GOOD) test(`${cert} is believed`, () => mustBe('whole', server, cert));
  for (const [cert, reason] of Object.entries(REASONS))
    test(`${cert} is refused, and the log says why`, async () => {
      const got = await mustBe('unreachable', server, cert);
      assert.equal(got.status, 502);
      assert.deepEqual(fakes[cert].requests(), [], 'a request went to a server that is not believed');
      const { words } = await turnLine(server, cert);
      assert.match(words, /^TLS: /);
      assert.match(words, reason);
      assert.doesNotMatch(got.error.message, /cert|TLS/i, 'the caller need not know');
    });
});

describe('versions and names', () => {
  for (const [version, want] of [['1.1', 'unreachable'], ['1.2', 'whole'], ['1.3', 'whole']])
    test(`a server that has ${version} only`, async (t) => {
      const { fake, server } = await pair(t, { tls: { version } });
      await mustBe(want, server, 'm');
      if (want === 'whole') assert.equal(fake.requests()[0].tls.version, `TLSv${version}`);
      else assert.equal(await handshakes(server, 'failed'), 1);
    });
  test('no cipher in common', async (t) => {
    const { server } = await pair(t, { tls: { version: '1.2', ciphers: 'ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0' } });
    await mustBe('unreachable', server, 'm');
    assert.match((await turnLine(server, 'm')).words, /^TLS: .*alert/);
  });
  test('the newest of both, the name and the protocol are told', async (t) => {
    const fake = await startProvider({ kind: 'openai', control: false, tls: true });
    const server = await serve([provider('m', `https://localhost:${fake.port}/v1`, { ca_file: fake.caFile })]);
    t.after(async () => { await server.stop(); await fake.stop(); });
    await mustBe('whole', server, 'm');
    const [q] = fake.requests();
    assert.deepEqual([q.tls.version, q.tls.servername, q.tls.alpn], ['TLSv1.3', 'localhost', 'http/1.1']);
    assert.equal(q.headers.host, `localhost:${fake.port}`);
    assert.deepEqual(q.problems, []);
  });
  // The fakes' certificates are for localhost and 127.0.0.1; an address is no name to be told (RFC 6066).
  for (const [host, cert, want, told] of [['localhost', 'good', 'whole', 'localhost'], ['127.0.0.1', 'good', 'whole', null],
    ['127.0.0.2', 'good', 'unreachable'], ['localhost', 'wrong-name', 'unreachable'], ['127.0.0.1', 'wrong-name', 'unreachable'],
    ['127.0.0.1', 'wrong-ca', 'unreachable'], ['127.0.0.1', 'self-signed', 'unreachable']])
    for (const version of ['1.2', '1.3']) test(`${version}, ${host}, a certificate that is ${cert}: ${want}`, patience, async (t) => {
      const fake = await startProvider({ kind: 'openai', control: false, host: '0.0.0.0', tls: { cert, version } });
      const server = await serve([provider('m', `https://${host}:${fake.port}/v1`, { ca_file: fake.caFile })]);
      t.after(async () => { await server.stop(); await fake.stop(); });
      fake.script({ faults: { close: 'header' } });
      for (let i = 0; i < 2; i++) await mustBe(want, server, 'm');
      if (want === 'whole') {
        assert.equal(fake.requests()[0].tls.servername || null, told); // of a resumed one node does not always know it
        assert.deepEqual(fake.requests().map((q) => q.tls.resumed), [false, true]);
      } else assert.deepEqual(fake.requests(), [], 'a request went to a server that is not believed');
    });
  test('a server without ALPN, and one without any of our protocols', async (t) => {
    const { server } = await pair(t, { tls: { ALPNProtocols: undefined } });
    await mustBe('whole', server, 'm');
    const other = await pair(t, { tls: { ALPNProtocols: ['h2'] } });
    await mustBe('unreachable', other.server, 'm');
  });
});

describe('resumption', () => {
  for (const version of ['1.2', '1.3']) {
    test(`${version}: the second connection is resumed`, patience, async (t) => {
      const { fake, server } = await pair(t, { tls: { version } });
      fake.script({ faults: { close: 'header' } });
      for (let i = 0; i < 4; i++) await mustBe('whole', server, 'm');
      assert.deepEqual(fake.requests().map((q) => [q.reused, q.tls.resumed]), [[false, false], [false, true], [false, true], [false, true]]);
      assert.deepEqual([await handshakes(server, 'full'), await handshakes(server, 'resumed'), await handshakes(server, 'failed')], [1, 3, 0]);
    });
    test(`${version}: a server that forgot its tickets gets a full handshake`, patience, async (t) => {
      const { fake, server } = await pair(t, { tls: { version } });
      fake.script({ faults: { close: 'header' } });
      for (let i = 0; i < 2; i++) await mustBe('whole', server, 'm');
      await fake.stop();
      const again = await startProvider({ kind: 'openai', control: false, tls: { version }, port: fake.port });
      t.after(() => again.stop());
      again.script({ faults: { close: 'header' } });
      for (let i = 0; i < 2; i++) await mustBe('whole', server, 'm');
      assert.deepEqual(again.requests().map((q) => q.tls.resumed), [false, true]);
      assert.deepEqual([await handshakes(server, 'full'), await handshakes(server, 'resumed'), await handshakes(server, 'failed')], [2, 2, 0]);
    });
    test(`${version}: a server that resumes nothing`, async (t) => {
      const { fake, server } = await pair(t, { tls: { version, tickets: false } });
      fake.script({ faults: { close: 'header' } });
      for (let i = 0; i < 3; i++) await mustBe('whole', server, 'm');
      if (version === '1.2') assert.equal(await handshakes(server, 'full'), 3);
    });
  }
  test('a session is not carried to a server with another certificate authority', patience, async (t) => {
    const { fake, server } = await pair(t);
    fake.script({ faults: { close: 'header' } });
    for (let i = 0; i < 2; i++) await mustBe('whole', server, 'm');
    await fake.stop();
    const again = await startProvider({ kind: 'openai', control: false, tls: 'wrong-ca', port: fake.port });
    t.after(() => again.stop());
    await mustBe('unreachable', server, 'm');
    assert.equal(again.requests().length, 0);
  });
});

describe('ca_file', () => {
  const dir = scratch();
  const stranger = makeCerts();
  const own = makeCerts();
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  const write = (name, text) => { writeFileSync(join(dir, name), text); return join(dir, name); };
  mkdirSync(join(dir, 'folder'));
  const files = {
    'a file that is not there': join(dir, 'nowhere.pem'),
    'an empty file': write('empty.pem', ''),
    'no PEM': write('words.pem', 'these are words\n'),
    'a directory': join(dir, 'folder'),
    'one broken certificate among good ones': write('broken.pem', own.ca + broken),
    'nothing but a broken certificate': write('only-broken.pem', broken),
    'bytes': write('bytes.pem', randomBytes(3000)),
  };
  for (const [name, ca_file] of Object.entries(files))
    test(name, async () => {
      const good = '  - {name: first, kind: echo}\n';
      const conf = write('settings.yaml', `listen: "127.0.0.1:0"\nproviders:\n${good}  - {name: m, kind: openai, base_url: "https://localhost/v1", ca_file: "${ca_file}"}\nmodels:\n  - {name: m, targets: [{provider: m}]}\n`);
      const r = await run(['check', conf]);
      assert.equal(r.code, 1, r.stdout);
      const [line, ...rest] = r.stderr.trim().split('\n');
      assert.ok(line.startsWith(`${conf}:4: providers[1].ca_file: `), line);
      assert.ok(line.includes(ca_file), 'the file is named');
      assert.deepEqual(rest, [], 'one mistake, one line');
      const s = await run(['serve', '--config', conf]);
      assert.notEqual(s.code, 0);
      assert.ok(s.stderr.includes(`${conf}:4: providers[1].ca_file: `), s.stderr);
    });

  test('the system\'s store is SSL_CERT_FILE, where a strange certificate does no harm', patience, async (t) => {
    const fake = await startProvider({ kind: 'openai', control: false, tls: true });
    t.after(() => fake.stop());
    const mixed = write('mixed.pem', broken + readFileSync(fake.caFile, 'utf8'));
    for (const [file, want] of [[fake.caFile, 'whole'], [mixed, 'whole'], [stranger.caFile, 'unreachable']]) {
      const server = await serve([provider('m', `${fake.url}/v1`)], {}, { env: { SSL_CERT_FILE: file } });
      try {
        await mustBe(want, server, 'm');
      } finally {
        await server.stop();
      }
    }
  });
  test('a store that is not there is a mistake in the settings', async () => {
    const conf = write('system.yaml', 'providers:\n  - {name: m, kind: openai, base_url: "https://localhost/v1"}\nmodels:\n  - {name: m, targets: [{provider: m}]}\n');
    const r = await run(['check', conf], { env: { SSL_CERT_FILE: '/nowhere/certs.pem' } });
    assert.equal(r.code, 1);
    assert.ok(r.stderr.includes(`${conf}:2: providers[0].ca_file: `) && r.stderr.includes('/nowhere/certs.pem'), r.stderr);
  });
  test('it is not read for a provider without TLS', async () => {
    const conf = write('plain.yaml', 'providers:\n  - {name: m, kind: openai, base_url: "http://localhost/v1", ca_file: /nowhere}\nmodels:\n  - {name: m, targets: [{provider: m}]}\n');
    assert.equal((await run(['check', conf])).code, 0);
  });

  test('a new file under the same name counts from the reload on, both ways', patience, async (t) => {
    const fake = await startProvider({ kind: 'openai', control: false, tls: true });
    const ca_file = write('live.pem', stranger.ca);
    const server = await serve([provider('m', `${fake.url}/v1`, { ca_file })]);
    t.after(async () => { await server.stop(); await fake.stop(); });
    const reload = async (msg) => {
      const from = server.lines.length;
      server.kill('SIGHUP');
      return server.log({ msg }, { from });
    };
    await mustBe('unreachable', server, 'm');
    writeFileSync(ca_file, fake.ca);
    await mustBe('unreachable', server, 'm');
    await reload('reloaded');
    await mustBe('whole', server, 'm');
    writeFileSync(ca_file, 'nonsense');
    const refused = await reload('reload refused');
    assert.match(refused.why, /providers\[0\]\.ca_file: .*live\.pem/);
    await mustBe('whole', server, 'm');
    const asked = fake.requests().length;
    writeFileSync(ca_file, stranger.ca);
    await reload('reloaded');
    await mustBe('unreachable', server, 'm');           // nor on a connection that was kept
    assert.equal(fake.requests().length, asked);
  });
});

describe('ends', () => {
  let fake, server;
  before(async () => {
    fake = await startProvider({ kind: 'openai', control: false, tls: true });
    server = await serve([provider('m', `${fake.url}/v1`, { ca_file: fake.caFile })]);
  });
  after(async () => { await server.stop(); await fake.stop(); });
  const one = async (faults, want, answer = {}) => {
    fake.clear();
    fake.script({ faults, answer, times: 1 });
    const got = await mustBe(want, server, 'm');
    fake.clear();
    await mustBe('whole', server, 'm');                 // whatever it was, the next is answered
    return got;
  };
  for (const then of ['bare-fin', 'fin', 'reset'])
    for (const framing of ['chunked', 'length', 'close'])
      for (const at of [0, 300, 700])
        test(`${then} at byte ${at} of a body (${framing})`, () => one({ at, then, framing }, then === 'fin' && framing === 'close' ? ['cut', 'garbage'] : 'cut'));
  for (const [framing, then, want] of [['chunked', 'fin', 'whole'], ['chunked', 'bare-fin', 'whole'], ['length', 'bare-fin', 'whole'],
    ['close', 'fin', 'whole'], ['no-last-chunk', 'fin', 'whole']])
    test(`${then} behind the whole answer (${framing})`, () => one({ at: 'end', then, framing }, want));
  test('without an end marker only the connection could tell, and it lies', () =>
    one({ at: 'end', then: 'bare-fin', framing: 'close' }, 'cut', { end: false, finish: null }));
  test('a whole JSON answer that ends with the connection, without a goodbye', () =>
    one({ at: 'end', then: 'bare-fin', framing: 'close' }, 'cut', { json: true }));
  test('the same with one', () => one({ at: 'end', then: 'fin', framing: 'close' }, 'whole', { json: true }));
  for (const then of ['fin', 'bare-fin', 'reset'])
    test(`${then} on a kept connection as the next question comes: asked once more`, async () => {
      fake.clear();
      await mustBe('whole', server, 'm');
      fake.forget();
      fake.script({ faults: { at: 'head', then }, times: 1 });
      await mustBe('whole', server, 'm');
      assert.deepEqual(fake.requests().map((q) => q.reused), [true, false]);
    });
  test('but only once', async () => {
    fake.clear();
    await mustBe('whole', server, 'm');
    fake.forget();
    fake.script({ faults: { at: 'head', then: 'fin' }, times: 2 });
    await mustBe('cut', server, 'm');
    assert.equal(fake.requests().length, 2);
  });
  test('idle connections that the server closes are not asked', async (t) => {
    const idle = await pair(t, { idle: 60 });
    for (let i = 0; i < 4; i++) {
      await mustBe('whole', idle.server, 'm');
      await sleep(i % 2 ? 55 : 120);
    }
  });
});

describe('a server that is slow or strange in the handshake', () => {
  for (const stop of [0, 1, 4, 5, 6, 100, 127, 128, 200, 600])
    test(`stops for ever after ${stop} bytes`, patience, async (t) => {
      const { server } = await pair(t, { tls: { wire: { stop } } }, { tls_timeout: duration(500) });
      const got = await mustBe('unreachable', server, 'm');
      assert.ok([502, 504].includes(got.status));
      assert.ok(got.ms > ms(400) && got.ms < ms(3000), `after ${got.ms} ms`);
      assert.match((await turnLine(server, 'm')).words, /handshake took too long/);
    });
  for (const version of ['1.2', '1.3']) {
    test(`${version}: every byte alone`, patience, async (t) => {
      const { server } = await pair(t, { tls: { version, wire: { split: 1 } } }, { tls_timeout: duration(20000) });
      await mustBe('whole', server, 'm');
    });
    test(`${version}: a byte now and then is no progress`, patience, async (t) => {
      const { server } = await pair(t, { tls: { version, wire: { split: 1, every: 50 } } }, { tls_timeout: duration(600) });
      const got = await mustBe('unreachable', server, 'm');
      assert.ok(got.ms < ms(3000), `after ${got.ms} ms`);
    });
    for (const split of [1, 2, 3, 7, 100])
      test(`${version}: an answer whose records come in pieces of ${split}`, patience, async (t) => {
        const { fake, server } = await pair(t, { tls: { version } });
        fake.script({ faults: { wire: { split } } });
        for (let i = 0; i < 2; i++) await mustBe('whole', server, 'm');
      });
  }

  // Whatever listens there, it is not TLS.
  const strangers = {
    'plain HTTP': (c) => c.once('data', () => c.end('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n')),
    'words at once': (c) => c.write('220 mail.example ESMTP\r\n'),
    'random bytes': (c) => c.write(randomBytes(2000)),
    'a megabyte of them': (c) => c.write(randomBytes(1 << 20)),
    'a megabyte that looks like records': (c) => c.write(Buffer.concat(Array(64).fill(Buffer.concat([Buffer.from([22, 3, 3, 64, 0]), Buffer.alloc(16384)])))),
    'an alert': (c) => c.once('data', () => c.write(Buffer.from([21, 3, 3, 0, 2, 2, 40]))),
    'warnings without end': (c) => { const i = setInterval(() => c.write(Buffer.concat(Array(500).fill(Buffer.from([21, 3, 3, 0, 2, 1, 90])))), 5); c.on('close', () => clearInterval(i)); },
    'our own hello': (c) => c.on('data', (d) => c.write(d)),
    'a record too large': (c) => c.once('data', () => c.write(Buffer.concat([Buffer.from([22, 3, 3, 255, 255]), Buffer.alloc(70000)]))),
    'nothing, and goes': (c) => c.end(),
    'nothing, and goes after the hello': (c) => c.once('data', () => c.end()),
    'a reset': (c) => c.once('data', () => c.resetAndDestroy()),
  };
  let server;
  const listeners = [];
  before(async () => {
    const fake = await startProvider({ kind: 'openai', tls: true });
    await fake.stop();
    const providers = [];
    for (const [i, greet] of Object.values(strangers).entries()) {
      const l = net.createServer((c) => { c.on('error', () => {}); greet(c); });
      await new Promise((ok) => l.listen(0, '127.0.0.1', ok));
      listeners.push(l);
      providers.push(provider(`p${i}`, `https://127.0.0.1:${l.address().port}/v1`, { ca_file: fake.caFile, tls_timeout: duration(1500) }));
    }
    server = await serve(providers);
  });
  after(async () => {
    await server.stop();
    for (const l of listeners) l.close();
  });
  for (const [i, name] of Object.keys(strangers).entries())
    test(name, patience, async () => {
      const got = await mustBe('unreachable', server, `p${i}`);
      assert.equal(got.status, 502);
      assert.match((await turnLine(server, `p${i}`)).words, /^(TLS: .{5,}|the TLS handshake took too long)/);
      await server.alive();
    });
});

// Streams of words, heard by a thread of its own: this one is busy with questions. longest() is the longest silence of any
// since it was last asked.
function listener(port, n) {
  const worker = new Worker(`
    const { parentPort, workerData: { port, n, bytes } } = require('node:worker_threads');
    const heard = [];
    let longest = 0;
    for (let i = 0; i < n; i++) {
      require('node:net').connect(port, '127.0.0.1').on('data', () => {
        longest = Math.max(longest, heard[i] ? performance.now() - heard[i] : 0);
        heard[i] = performance.now();
      }).on('close', () => { longest = Infinity; }).write(bytes);
    }
    parentPort.on('message', () => {
      const now = performance.now();
      parentPort.postMessage(Math.max(longest, ...Array.from({ length: n }, (_, i) => now - heard[i])));
      longest = 0;
    });`, { eval: true, workerData: { port, n, bytes: chat('w '.repeat(5000), { model: 'plain', stream: true }) } });
  const longest = () => new Promise((ok) => { worker.once('message', ok); worker.postMessage(null); });
  return { worker, longest };
}

describe('load', () => {
  test('a slow reader pauses a provider over TLS, and gets the whole in the end', { timeout: ms(120000) }, async (t) => {
    const env = { ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:quarantine_size_mb=1:thread_local_quarantine_size_kb=64` };
    const { fake, server } = await pair(t, {}, {}, { http: { write_timeout: duration(60000) } }, { env });
    await mustBe('whole', server, 'm');
    const piece = 'x'.repeat(4096);
    const n = 1500;                                     // 6 MiB
    fake.script({ answer: { tokens: [piece], repeat: n } });
    fake.forget();
    const before = server.rss();
    const c = await connect(server.port);
    c.stopReading();
    await c.send(chat('big', { model: 'm', stream: true }, 'Connection: close'));
    let taken = -1;
    await eventually(async () => {                      // until nothing moves any more
      const was = taken;
      taken = await server.metric('runnel_received_bytes_total');
      await sleep(ms(300));
      assert.ok(taken > 100000 && taken - was < 1000);  // asking for the figure is heard, too
    }, ms(20000));
    const grown = server.rss() - before;
    t.diagnostic(`paused after ${(taken / 1048576).toFixed(1)} MiB, memory grew by ${(grown / 1048576).toFixed(1)} MiB`);
    assert.ok(taken < 2 << 20, `${taken} bytes were read for a reader who takes none`);
    assert.ok(grown < 8 << 20, `memory grew by ${(grown / 1048576).toFixed(1)} MiB`);
    c.readAgain();
    const r = await c.response({ timeout: ms(60000) });
    const text = streamText(parseEvents(r.text));
    assert.equal(text.length, n * piece.length);
    assert.ok(r.text.endsWith('data: [DONE]\n\n'));
    c.destroy();
  });

  test('two hundred at once: all whole, nearly all resumed', { timeout: ms(120000) }, async (t) => {
    const { server } = await pair(t, {}, { tls_timeout: duration(30000), first_timeout: duration(60000) });
    await mustBe('whole', server, 'm');
    const all = await Promise.all(Array.from({ length: 200 }, () => ask(server, 'm', { patience: ms(60000) })));
    assert.ok(all.every((got) => got.done && got.text === TEXT));
    const full = await handshakes(server, 'full');
    const resumed = await handshakes(server, 'resumed');
    assert.equal(await handshakes(server, 'failed'), 0);
    assert.ok(resumed >= 150, `${resumed} connections were resumed, ${full} not`);
    assert.ok(full <= 0.1 * (full + resumed), `${full} full handshakes, ${resumed} resumed`);
  });

  // The fake is a process of its own, so that its handshakes do not stand in the way of our ears.
  test('three hundred handshakes do not hold up the streams that run', { timeout: ms(120000) }, async (t) => {
    const child = launch(process.execPath, [join(import.meta.dirname, '../providers/serve.mjs'), '--tls', '{"tickets":false,"version":"1.2"}'],
      { stdio: ['ignore', 'pipe', 'inherit'] });
    t.after(() => child.kill());
    const fake = JSON.parse(await new Promise((ok) => child.stdout.once('data', (d) => ok(String(d)))));
    const server = await serve([provider('m', `${fake.url}/v1`, { ca_file: fake.caFile, tls_timeout: duration(60000), first_timeout: duration(60000) }),
      { name: 'plain', kind: 'echo', tokens_per_second: 50 }]);
    t.after(() => server.stop());
    const ears = listener(server.port, 5);
    t.after(() => ears.worker.terminate());
    await sleep(ms(500));
    const calm = await ears.longest();
    const all = await Promise.all(Array.from({ length: 300 }, () => ask(server, 'm', { patience: ms(60000) })));
    const worst = await ears.longest();
    t.diagnostic(`longest gap ${Math.round(worst)} ms with handshakes, ${Math.round(calm)} ms without`);
    assert.ok(all.every((got) => got.done && got.text === TEXT));
    assert.ok(await handshakes(server, 'full') >= 250);
    assert.ok(worst < ms(500), `a stream stood still for ${worst} ms`);
  });
});
