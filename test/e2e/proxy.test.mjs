// Providers behind an HTTP proxy: a CONNECT for plain and for https, and every way in which the proxy can let us down.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeCerts } from '../providers/lib/certs.mjs';
import { start as startProvider } from '../providers/lib/index.mjs';
import { mustBe, provider, serve, turnLine } from './lib/provided.mjs';
import { duration, ms, run, scratch } from './lib/server.mjs';

const listening = (server) => new Promise((ok) => server.listen(0, '127.0.0.1', () => ok(server.address().port)));

// A proxy that does its work; what it was asked is in `seen`. `names` is where names lead that nobody else knows.
async function startProxy({ password, names = {} } = {}) {
  const seen = [];
  const sockets = new Set();
  const server = http.createServer((req, res) => res.writeHead(405).end());
  server.on('connection', (s) => { sockets.add(s); s.on('close', () => sockets.delete(s)).on('error', () => {}); });
  server.on('connect', (req, client, head) => {
    seen.push({ target: req.url, host: req.headers.host, authorization: req.headers['proxy-authorization'], head: head.length,
      fields: Object.keys(req.headers) });
    if (password && req.headers['proxy-authorization'] !== `Basic ${Buffer.from(password).toString('base64')}`)
      return client.end('HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm="x"\r\ncontent-length: 4\r\n\r\nno!\n');
    const [, host, port] = /^(.*):(\d+)$/.exec(req.url);
    const up = net.connect(names[host] ?? { host, port }, () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      up.pipe(client).pipe(up);
    });
    up.on('error', () => client.end('HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n'));
    client.on('error', () => up.destroy()).on('close', () => up.destroy());
  });
  const port = await listening(server);
  return { port, seen, url: `http://127.0.0.1:${port}`, stop: () => { sockets.forEach((s) => s.destroy()); server.close(); } };
}

describe('a proxy that works', () => {
  let plain, secure, proxy, closed, guarded, server;
  before(async () => {
    plain = await startProvider({ kind: 'openai', control: false });
    secure = await startProvider({ kind: 'openai', control: false, tls: true });
    const names = { 'only.the.proxy.knows.invalid': { host: '127.0.0.1', port: plain.port }, localhost: { host: '127.0.0.1', port: secure.port } };
    proxy = await startProxy({ names });
    guarded = await startProxy({ password: 'jane:s3cret+canary@home', names });
    closed = await startProxy();
    closed.stop();
    const ca_file = secure.caFile;
    const right = guarded.url.replace('//', '//jane:s3cret+canary@home@');
    server = await serve([
      provider('plain', `${plain.url}/v1`, { proxy: proxy.url }),
      provider('secure', `${secure.url}/v1`, { proxy: proxy.url, ca_file }),
      provider('named', 'http://only.the.proxy.knows.invalid:8123/v1', { proxy: proxy.url }),
      provider('by-default-port', 'https://localhost/v1', { proxy: proxy.url, ca_file }),
      provider('nowhere', 'http://nobody.knows.this.invalid/v1', { proxy: proxy.url }),
      provider('let-in', `${secure.url}/v1`, { proxy: right, ca_file }),
      provider('let-in-escaped', `${secure.url}/v1`, { proxy: right.replace('+canary@home', '%2Bcanary%40home'), ca_file }),
      provider('kept-out', `${secure.url}/v1`, { proxy: guarded.url.replace('//', '//jane:wrong-canary@'), ca_file }),
      provider('nameless', `${secure.url}/v1`, { proxy: guarded.url, ca_file }),
      provider('no-proxy', `${plain.url}/v1`, { proxy: closed.url }),
      provider('proxy-unknown', `${plain.url}/v1`, { proxy: 'http://no-such-proxy.invalid:3128' }),
      provider('straight', `${plain.url}/v1`),
      provider('not-believed', `${secure.url}/v1`, { proxy: proxy.url, ca_file: makeCerts().caFile }),
    ]);
  });
  after(async () => {
    assert.doesNotMatch(server.stderr, /canary/, 'our secrets are in the log');
    assert.ok(!server.stderr.includes(Buffer.from('jane:s3cret+canary@home').toString('base64')), 'our secrets are in the log');
    await server.stop();
    proxy.stop();
    guarded.stop();
    await plain.stop();
    await secure.stop();
  });

  test('http goes through a tunnel', async () => {
    await mustBe('whole', server, 'plain');
    assert.deepEqual(proxy.seen.map((c) => [c.target, c.host, c.head]), [[`127.0.0.1:${plain.port}`, `127.0.0.1:${plain.port}`, 0]]);
    const [q] = plain.requests();
    assert.deepEqual(q.problems, []);
    assert.deepEqual([q.target, q.headers.host], ['/v1/chat/completions', `127.0.0.1:${plain.port}`]);
    assert.deepEqual(Object.keys(q.headers).filter((k) => k.startsWith('proxy-')), []);
  });
  test('our key does not go to the proxy', () => {
    assert.deepEqual(proxy.seen[0].fields, ['host']);
  });
  test('https, too, and the proxy reads nothing of it', async () => {
    await mustBe('whole', server, 'secure');
    assert.equal(secure.requests()[0].tls.version, 'TLSv1.3');
  });
  test('the tunnel is kept', async () => {
    const before = proxy.seen.length;
    for (let i = 0; i < 3; i++) await mustBe('whole', server, 'secure');
    assert.equal(proxy.seen.length, before);
  });
  test('one that has been closed is dug anew', async () => {
    secure.script({ faults: { at: 'head', then: 'fin' }, times: 1 });
    await mustBe('whole', server, 'secure');
  });
  test('the proxy gets the name as it is', async () => {
    await mustBe('whole', server, 'named');
    assert.equal(proxy.seen.at(-1).target, 'only.the.proxy.knows.invalid:8123');
    assert.equal(plain.requests().at(-1).headers.host, 'only.the.proxy.knows.invalid:8123');
  });
  test('without a port it is that of https; TLS is about the target\'s name', async () => {
    await mustBe('whole', server, 'by-default-port');
    assert.equal(proxy.seen.at(-1).target, 'localhost:443');
    assert.equal(secure.requests().at(-1).tls.servername, 'localhost');
  });
  test('a name that the proxy does not know either', async () => {
    const got = await mustBe('unreachable', server, 'nowhere');
    assert.equal(got.status, 502);
    assert.match((await turnLine(server, 'nowhere')).words, /proxy refused: HTTP 502/);
  });
  test('credentials open it', async () => {
    await mustBe('whole', server, 'let-in');
    assert.equal(Buffer.from(guarded.seen.at(-1).authorization.split(' ')[1], 'base64').toString(), 'jane:s3cret+canary@home');
  });
  test('credentials may be escaped, as in every URL', () => mustBe('whole', server, 'let-in-escaped'));
  for (const model of ['kept-out', 'nameless'])
    test(`407: ${model}`, async () => {
      const got = await mustBe('unreachable', server, model);
      assert.equal(got.status, 502, 'the client has nothing to do with our proxy');
      assert.match((await turnLine(server, model)).words, /proxy refused: HTTP 407/);
    });
  test('it is not there', async () => {
    await mustBe('unreachable', server, 'no-proxy');
  });
  test('its name is not known', async () => {
    await mustBe('unreachable', server, 'proxy-unknown');
  });
  test('a tunnel and a straight way are not the same connection', async () => {
    const before = proxy.seen.length;
    await mustBe('whole', server, 'straight');
    await mustBe('whole', server, 'plain');
    assert.ok(plain.requests().at(-1).connection !== plain.requests().at(-2).connection);
    assert.equal(proxy.seen.length, before);
  });
  test('certificates are checked behind it, too', async () => {
    await mustBe('unreachable', server, 'not-believed');
    assert.match((await turnLine(server, 'not-believed')).words, /^TLS: .*trusted CA/);
  });
});

describe('a proxy that does not', () => {
  const OK = 'HTTP/1.1 200 OK\r\n\r\n';
  const each = (text, step) => (c) => {
    let i = 0;
    const timer = setInterval(() => (i < text.length ? c.write(text.slice(i, i += step)) : clearInterval(timer)), 1);
    c.on('close', () => clearInterval(timer));
  };
  // What it does with a CONNECT, and what must come of it: the words of the log, or 'whole'. `through` is the tunnel.
  const table = {
    'says 200 byte by byte': [(c, through) => { each(OK, 1)(c); setTimeout(through, 60); }, 'whole'],
    'says 200 with fields and a length': [(c, through) => { c.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\nvia: x\r\n\r\n'); through(); }, 'whole'],
    'says 200 and chunked': [(c, through) => { c.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n'); through(); }, 'whole'],
    'speaks HTTP/1.0': [(c, through) => { c.write('HTTP/1.0 200 Connection established\r\n\r\n'); through(); }, 'whole'],
    'says 204': [(c, through) => { c.write('HTTP/1.1 204 No Content\r\n\r\n'); through(); }, 'whole'],
    'says 100 first': [(c, through) => { c.write('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n' + OK); through(); }, 'whole'],
    'says 100 without end': [(c) => { const i = setInterval(() => c.write('HTTP/1.1 100 Continue\r\n\r\n'.repeat(100)), 5); c.on('close', () => clearInterval(i)); }, /took too long/],
    'refuses: 403': [(c) => c.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno'), /refused: HTTP 403/],
    'refuses: 403 without a length': [(c) => c.end('HTTP/1.1 403 Forbidden\r\n\r\nno'), /refused: HTTP 403/],
    'refuses: 502 with a page of a megabyte': [(c) => c.end(`HTTP/1.1 502 Bad Gateway\r\ncontent-length: ${1 << 20}\r\n\r\n${'x'.repeat(1 << 20)}`), /refused: HTTP 502/],
    'refuses: 503 in chunks': [(c) => c.end('HTTP/1.1 503 Busy\r\ntransfer-encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n'), /refused: HTTP 503/],
    'redirects': [(c) => c.end('HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n'), /refused: HTTP 302/],
    'changes to another protocol': [(c) => c.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'), /refused: HTTP 101/],
    'hangs': [() => {}, /the proxy took too long/],
    'hangs in its head': [(c) => c.write('HTTP/1.1 200 OK\r\nvia:'), /the proxy took too long/],
    'says a byte now and then': [(c) => { const i = setInterval(() => c.write(' '), 50); c.write('HTTP/1.1 200 '); c.on('close', () => clearInterval(i)); }, /the proxy took too long/],
    'closes': [(c) => c.end(), /proxy closed/],
    'resets': [(c) => c.resetAndDestroy(), /proxy closed/],
    'closes in its head': [(c) => c.end('HTTP/1.1 200 OK\r\nvia: '), /proxy closed/],
    'says other things than HTTP': [(c) => c.write('SSH-2.0-OpenSSH_9.6\r\n'), /not HTTP/],
    'says random bytes': [(c) => c.write(randomBytes(3000)), /not HTTP/],
    'speaks TLS': [(c) => c.write(Buffer.from('1603030002020a', 'hex')), /not HTTP/],
    'says a head without end': [(c) => { const i = setInterval(() => c.write('x: ' + 'y'.repeat(10000) + '\r\n'), 1); c.write('HTTP/1.1 200 OK\r\n'); c.on('close', () => clearInterval(i)); }, /not HTTP/],
    'says status 99': [(c) => c.write('HTTP/1.1 099 Odd\r\n\r\n'), /not HTTP/],
    'says bytes right behind its 200': [(c, through) => { c.write(OK + 'HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{"leaked":true}'); through(); }, /spoke before us/],
    'lets in, and closes': [(c) => c.end(OK), null],
    'lets in, and hangs': [(c) => c.write(OK), null],
  };
  let plain, secure, server;
  const proxies = [];
  before(async () => {
    plain = await startProvider({ kind: 'openai', control: false });
    secure = await startProvider({ kind: 'openai', control: false, tls: true });
    const providers = [];
    for (const [i, [greet]] of Object.values(table).entries()) {
      const proxy = net.createServer((c) => {
        c.on('error', () => {});
        c.once('data', (d) => {
          c.pause();                                    // what comes next is for the tunnel
          const port = /^CONNECT [^ ]*:(\d+) HTTP\/1\.1\r\n/.exec(d)?.[1];
          greet(c, () => {
            const up = net.connect(port, '127.0.0.1');
            up.on('error', () => c.destroy());
            c.on('close', () => up.destroy());
            up.pipe(c).pipe(up);
          });
        });
      });
      const url = `http://127.0.0.1:${await listening(proxy)}`;
      proxies.push(proxy);
      const common = { proxy: url, tls_timeout: duration(800), first_timeout: duration(1500) };
      providers.push(provider(`http${i}`, `${plain.url}/v1`, common), provider(`https${i}`, `${secure.url}/v1`, { ...common, ca_file: secure.caFile }));
    }
    server = await serve(providers);
  });
  after(async () => {
    await server.stop();
    for (const p of proxies) p.close();
    await plain.stop();
    await secure.stop();
  });
  for (const scheme of ['http', 'https'])
    describe(`for ${scheme}`, { concurrency: 4 }, () => {
      for (const [i, [name, [, want]]] of Object.entries(table).entries())
        test(name, { timeout: ms(20000) }, async () => {
          const model = scheme + i;
          if (want === 'whole') {
            await mustBe('whole', server, model);
            return;
          }
          // A tunnel that leads nowhere is, for http, a provider that says nothing.
          const got = await mustBe(want || scheme === 'https' ? 'unreachable' : ['cut', 'no_first_token'], server, model);
          assert.ok([502, 504].includes(got.status));
          assert.ok(got.ms < ms(5000), `after ${got.ms} ms`);
          assert.match((await turnLine(server, model)).words, want ?? /./);
        });
    });
});

describe('wrong settings', () => {
  const dir = scratch();
  for (const proxy of ['127.0.0.1:3128', 'https://proxy.example:3128', 'socks5://proxy.example:1080', 'http://', 'http://proxy.example:99999',
    'http://proxy.example:x', 'http://user@', 'http://proxy.example:3128/path', 'http://proxy example:3128', 'http://proxy.example:3128?x=1'])
    test(proxy, async () => {
      const conf = join(dir, 'settings.yaml');
      writeFileSync(conf, `providers:\n  - {name: e, kind: echo}\n  - {name: m, kind: openai, base_url: "http://localhost/v1", proxy: "${proxy}"}\nmodels:\n  - {name: m, targets: [{provider: m}]}\n`);
      const r = await run(['check', conf]);
      assert.equal(r.code, 1, 'it was accepted');
      assert.match(r.stderr.slice(conf.length), /^:3: providers\[1\]\.proxy: .{5,}\n$/);
    });
  for (const proxy of ['http://proxy.example', 'http://proxy.example:3128', 'http://[::1]:3128', 'http://u:p@proxy.example:3128', 'http://proxy.example:3128/'])
    test(`${proxy} is right`, async () => {
      const conf = join(dir, 'good.yaml');
      writeFileSync(conf, `providers:\n  - {name: m, kind: openai, base_url: "http://localhost/v1", proxy: "${proxy}"}\nmodels:\n  - {name: m, targets: [{provider: m}]}\n`);
      assert.equal((await run(['check', conf])).stderr, '');
    });
});
