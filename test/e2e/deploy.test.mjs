// What docker/ has for those who deploy: nginx's settings with a real nginx, compose's file, the
// settings sample, the database's first script, systemd's unit. The image itself is in image.slow.mjs.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { makeCerts } from '../providers/lib/certs.mjs';
import { allGone, children, isAlive, upgrade, words } from './lib/crew.mjs';
import { becomesReady } from './lib/database.mjs';
import { deployed, deployedText } from './lib/nginx.mjs';
import { cluster, freePort, psql } from './lib/postgres.mjs';
import { get, ms } from './lib/raw.mjs';
import { heard, read } from './lib/reader.mjs';
import { cleanEnv, duration, eventually, launch, run, scratch, start } from './lib/server.mjs';

const root = resolve(import.meta.dirname, '../..');
const docker = join(root, 'docker');
const operations = readFileSync(join(root, 'docs/operations.md'), 'utf8');
const exec = promisify(execFile);
const question = (content, more = {}) => ({ model: 'echo', stream: true, messages: [{ role: 'user', content }], ...more });

// A server that does to a connection what `on` says, and keeps what it was asked.
async function backend(on) {
  const b = { requests: [] };
  const s = http.createServer((q, res) => { b.requests.push(`${q.method} ${q.url}`); on(q, res); });
  s.on('upgrade', (q, socket) => { b.requests.push(`UPGRADE ${q.url}`); socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'); socket.pipe(socket); });
  await new Promise((done) => s.listen(0, '127.0.0.1', done));
  b.port = s.address().port;
  b.stop = () => { s.close(); s.closeAllConnections(); };
  return b;
}

// Nobody accepts here, and no more connections can wait: a new one is not answered at all, as at
// an address where nobody is any more.
const FULL = `
import socket, sys
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen(0)
waiting = []
while True:
    c = socket.socket()
    c.settimeout(0.2)
    waiting.append(c)
    try:
        c.connect(s.getsockname())
    except TimeoutError:
        break
print(s.getsockname()[1], flush=True)
sys.stdin.read()
`;

async function blackhole(t) {
  const child = launch('python3', ['-c', FULL], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill());
  const [said] = await once(child.stdout, 'data');
  const b = { port: Number(said), requests: [], stop() {} };
  const socket = net.connect(b.port, '127.0.0.1');
  const how = await Promise.race([once(socket, 'connect').then(() => 'connected', (e) => e.code), sleep(ms(500), 'nothing')]);
  socket.destroy();
  assert.equal(how, 'nothing', 'it does not answer');
  return b;
}

describe('nginx', () => {
  const answers = (q, res) => q.resume().on('end', () => res.end('fine'));
  const hangsUp = (q) => q.resume().on('end', () => q.socket.destroy());

  // A backend is what it does, one that is there already, or null: nobody.
  const nobody = async () => ({ port: await freePort(), stop() {}, requests: [] });
  const made = (on) => (typeof on === 'function' ? backend(on) : on ?? nobody());

  // Each has limits of its own, so that no test spends another's.
  const standing = (t, ...backends) => standingWith(t, {}, ...backends);
  async function standingWith(t, options, ...backends) {
    const all = await Promise.all(backends.map(made));
    const way = await deployed(all.map((b) => b.port), options);
    t.after(async () => { await way.stop(); for (const b of all) b.stop(); });
    return [way, ...all];
  }
  const post = (port, path = '/v1/chat/completions') => fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', body: '{}' });

  test('what could not be reached is asked of the other, also a POST', async (t) => {
    const [way, , other] = await standing(t, null, answers);
    for (let i = 0; i < 6; i++) assert.equal(await (await post(way.port)).text(), 'fine');
    assert.equal(other.requests.length, 6);
  });

  test('so is what waits in vain for a connection', async (t) => {
    const [way, , other] = await standing(t, await blackhole(t), answers);
    const all = await Promise.all(Array.from({ length: 8 }, () => post(way.port)));
    assert.deepEqual(all.map((r) => r.status), Array(8).fill(200));
    assert.equal(other.requests.length, 8, 'each was asked once');
    assert.match(way.log, /upstream timed out .* while connecting to upstream/);
  });

  test('a POST that was sent and is not answered is not sent again', async (t) => {
    const silent = (q) => q.resume();
    const [way, one, two] = await standingWith(t, { readTimeout: duration(500) }, silent, silent);
    const r = await post(way.port);
    assert.equal(r.status, 504);
    assert.match(way.log, /upstream timed out .* while reading response header/);
    assert.equal(one.requests.length + two.requests.length, 1, 'one of them was asked, once');
  });

  test('they take turns, also where one is busy and the other refuses at once', async (t) => {
    const refuses = (q, res) => q.resume().on('end', () => { res.writeHead(503); res.end(); });
    const [way, one, two] = await standing(t, (q) => q.resume(), refuses);
    const readers = [];
    t.after(() => { for (const r of readers) r.leave(); });
    for (let n = 1; n <= 20; n++) {            // the one before waits for its answer, or was refused
      readers.push(read(way.port, { body: {} }));
      await eventually(() => {
        assert.equal(one.requests.length + two.requests.length, n);
        assert.equal(readers.filter((r) => r.end).length, two.requests.length);
      });
    }
    assert.deepEqual([one.requests.length, two.requests.length], [10, 10]);
  });

  test('a POST that was sent is not sent again', async (t) => {
    const [way, one, two] = await standing(t, hangsUp, hangsUp);
    const r = await post(way.port);
    assert.equal(r.status, 502);
    assert.equal(r.headers.get('retry-after'), '1');
    assert.equal((await r.json()).error.code, 'unavailable');
    assert.equal(one.requests.length + two.requests.length, 1, 'one of them was asked, once');
  });

  test('a GET that was sent is asked of the other', async (t) => {
    const [way, one, two] = await standing(t, hangsUp, answers);
    for (let i = 0; i < 4; i++) assert.equal((await fetch(`http://127.0.0.1:${way.port}/v1/models`)).status, 200);
    assert.ok(one.requests.length >= 1 && two.requests.length === 4);
  });

  test('nobody there is a 502 that libraries understand', async (t) => {
    const [way] = await standing(t, null, null);
    const r = await post(way.port);
    assert.deepEqual([r.status, r.headers.get('content-type'), (await r.json()).error.type], [502, 'application/json', 'server_error']);
  });

  test('what an instance says of itself is handed on', async (t) => {
    const [way] = await standing(t, (q, res) => { res.writeHead(429, { 'retry-after': '7' }); res.end('{"mine":1}'); });
    const r = await post(way.port);
    assert.deepEqual([r.status, r.headers.get('retry-after'), await r.json()], [429, '7', { mine: 1 }]);
  });

  test('an address may not ask too often', async (t) => {
    const [way, one] = await standing(t, answers);
    const all = await Promise.all(Array.from({ length: 80 }, () => post(way.port)));
    const refused = all.filter((r) => r.status === 429);
    assert.ok(refused.length >= 20 && refused.length <= 39, `${refused.length} of 80 were refused`);
    assert.equal(refused[0].headers.get('retry-after'), '1');
    assert.equal((await refused[0].json()).error.code, 'rate_limit_exceeded');
    assert.equal(one.requests.length, 80 - refused.length);
    assert.equal((await get(way.port, '/livez')).status, 200, 'who looks after it has no limit');
  });

  test('who asks is told to us, and nobody can say he is another', async (t) => {
    let seen;
    const [way] = await standing(t, (q, res) => { seen = q.headers; res.end(); });
    await fetch(`http://127.0.0.1:${way.port}/v1/models`, { headers: { 'x-forwarded-for': '6.6.6.6', 'x-request-id': 'mine' } });
    assert.equal(seen['x-forwarded-for'], '127.0.0.1');
    assert.match(seen['x-request-id'], /^[0-9a-f]{32}$/);
    assert.equal(seen['x-forwarded-proto'], 'http');
    assert.equal(seen.host, `127.0.0.1:${way.port}`);
    assert.notEqual(seen.connection, 'close', 'the connection is kept for the next question');
  });

  test('no word waits for the next, whatever the answer says about it', async (t) => {
    let more;
    const [way] = await standing(t, (q, res) => { res.writeHead(200, { 'content-type': 'text/event-stream' }); more = (word) => res.write(`data: ${word}\n\n`); more('w0'); });
    const r = read(way.port, { path: '/v1/x' });
    for (let n = 1; n < 5; n++) {
      await r.until(() => r.events.length === n, `word ${n}`, ms(3000));
      more(`w${n}`);
    }
    r.leave();
  });

  test('who hangs up before anything was said is hung up on', async (t) => {
    let asked, gone = false;
    const arrived = new Promise((done) => { asked = done; });
    const [way] = await standing(t, (q) => { q.resume(); q.socket.on('close', () => { gone = true; }); asked(); });
    const r = read(way.port, { body: {} });
    await arrived;
    r.leave();
    await eventually(() => assert.ok(gone));
  });

  test('one connection is used again and again', async (t) => {
    const sockets = new Set();
    const [way] = await standing(t, (q, res) => { sockets.add(q.socket); answers(q, res); });
    for (let i = 0; i < 10; i++) await post(way.port);
    assert.equal(sockets.size, 1);
  });

  test('figures are not for everybody', async (t) => {
    const [way, one] = await standing(t, answers);
    assert.equal((await get(way.port, '/metrics')).status, 404);
    assert.deepEqual(one.requests, []);
  });

  test('a WebSocket goes through', async (t) => {
    const [way, one] = await standing(t, answers);
    const socket = net.connect(way.port, '127.0.0.1');
    t.after(() => socket.destroy());
    let got = '';
    socket.setEncoding('latin1').on('data', (d) => { got += d; if (/\r\n\r\n$/.test(got)) socket.write('echoed'); });
    socket.write('GET /ws/chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n');
    for (const end = performance.now() + ms(5000); !got.endsWith('echoed') && performance.now() < end;) await new Promise((done) => { setTimeout(done, 20); });
    assert.match(got, /^HTTP\/1\.1 101 [^]*echoed$/);
    assert.deepEqual(one.requests, ['UPGRADE /ws/chat']);
  });

  test('with TLS', async (t) => {
    const one = await backend(answers);
    const { key, cert } = makeCerts().get('good');
    const way = await deployed([one.port], { tls: { key, cert } });
    t.after(async () => { await way.stop(); one.stop(); });
    const r = await new Promise((done, fail) => {
      https.get({ host: '127.0.0.1', port: way.port, path: '/v1/models', rejectUnauthorized: false, agent: false }, (res) => {
        res.resume().on('end', () => done({ status: res.statusCode, headers: res.headers }));
      }).on('error', fail);
    });
    assert.equal(r.status, 200);
    assert.match(r.headers['strict-transport-security'], /^max-age=/);
    assert.equal((await fetch(`http://127.0.0.2:${way.port}/livez`)).status, 200, 'whoever looks after it asks without TLS');
  });

  // With nobody at the addresses that it names.
  test('it starts as it is', () => {
    const dir = scratch();
    mkdirSync(join(dir, 'run'));
    for (const name of ['nginx.conf', 'nginx']) cpSync(join(docker, name), join(dir, name), { recursive: true });
    execFileSync('nginx', ['-p', `${dir}/`, '-e', 'stderr', '-c', 'nginx.conf', '-t'],
      { env: cleanEnv({ PATH: `${process.env.PATH}:/usr/sbin:/sbin` }), stdio: ['ignore', 'ignore', 'pipe'] });
  });

  describe('before one of ours', () => {
    let server, way;
    before(async () => {
      server = await start({ providers: [{ name: 'echo', kind: 'echo', tokens_per_second: 20 }], http: { trusted_proxies: ['127.0.0.1'] } });
      way = await deployed([server.port]);
    });
    after(async () => { await way.stop(); await server.stop(); });

    test('words come one by one', async () => {
      const r = read(way.port, { body: question('one two three four five six seven eight'), headers: { 'accept-encoding': 'gzip' } });
      assert.equal(await r.over, 'whole');
      const { words, done } = heard(r);
      assert.ok(done);
      assert.ok(new Set(words.map((w) => w.read)).size >= words.length - 1, 'nothing was gathered');
      assert.equal(r.headers['content-encoding'], undefined);
    });

    test('who hangs up ends the answer', async () => {
      const r = read(way.port, { body: question('word '.repeat(200)), cutAt: 3 });
      assert.equal(await r.over, 'cut');
      await server.metricBecomes('runnel_turns_running', 0);
    });

    test('what is too large is refused in our words', async () => {
      const r = await fetch(`http://127.0.0.1:${way.port}/v1/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: `"${'x'.repeat(8.5 * 1024 * 1024)}"` });
      assert.equal(r.status, 413);
      assert.equal((await r.json()).error.type, 'invalid_request_error');
    });
  });
});

describe('compose', () => {
  const compose = JSON.parse(execFileSync('python3', ['-c', 'import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)'], { input: deployedText('compose.yaml'), encoding: 'utf8' }));
  const services = Object.entries(compose.services);

  test('every file it names is there', () => {
    const files = services.flatMap(([, s]) => (s.volumes ?? []).map((v) => v.split(':')[0])).filter((v) => v.startsWith('.'));
    assert.ok(files.length >= 4);
    for (const file of files) assert.ok(existsSync(join(docker, file)), file);
  });

  test('every secret is made, and given to whom it is for', () => {
    const dir = join(scratch(), 'secrets');
    execFileSync(join(docker, 'secrets.sh'), [dir]);
    for (const [name, { file }] of Object.entries(compose.secrets)) {
      assert.equal(file, `secrets/${name}`);
      assert.ok(existsSync(join(dir, name)), name);
    }
    for (const [name, s] of services)
      for (const secret of s.secrets ?? []) assert.ok(compose.secrets[secret], `${name}: ${secret}`);
    assert.equal(statSync(dir).mode & 0o777, 0o700);
    const password = readFileSync(join(dir, 'database_password'), 'utf8');
    assert.match(password, /^[0-9a-f]{64}$/);
    execFileSync(join(docker, 'secrets.sh'), [dir]);
    assert.equal(readFileSync(join(dir, 'database_password'), 'utf8'), password, 'what is there stays');
  });

  test('whom it waits for, where it is, and what it may', () => {
    for (const [name, s] of services) {
      for (const other of Object.keys(s.depends_on ?? {})) assert.ok(compose.services[other], `${name} waits for ${other}`);
      for (const network of Array.isArray(s.networks) ? s.networks : Object.keys(s.networks)) assert.ok(network in compose.networks, `${name}: ${network}`);
      assert.equal(s.read_only, true, `${name} writes to its root`);
      assert.deepEqual(s.cap_drop, ['ALL'], name);
      assert.ok(s.healthcheck, `${name} has no health check`);
    }
  });

  const instances = services.filter(([name]) => /^runnel-\d+$/.test(name));
  const { nginx } = compose.services;

  test('nginx finds the instances, and they believe it', () => {
    const named = [...deployedText('nginx/upstream.conf').matchAll(/^ *server ([\d.]+):(\d+) .*# (\S+)$/gm)];
    assert.deepEqual(named.map(([, address, , name]) => [name, address]), instances.map(([name, s]) => [name, s.networks.front.ipv4_address]));
    for (const [, , port, name] of named) {
      assert.equal(compose.services[name].environment.RUNNEL_LISTEN, `0.0.0.0:${port}`);
      assert.equal(compose.services[name].environment.PROXY, nginx.networks.front.ipv4_address);
      assert.equal(nginx.depends_on[name].condition, 'service_started', 'nginx serves with one of them, too');
    }
    const [, three] = /^([\d.]+\.)0\/24$/.exec(compose.networks.front.ipam.config[0].subnet);
    for (const [, address] of named) assert.ok(address.startsWith(three), address);
  });

  test('people find nginx, with TLS and without, and its health check does', () => {
    const listens = (name) => [...deployedText(name).matchAll(/^listen (.*);/gm)].map((m) => m[1]);
    assert.deepEqual(listens('nginx/listen.conf'), ['8080']);
    assert.match(nginx.ports[0], /:8080$/);
    assert.deepEqual(listens('nginx/listen-tls.conf'), ['8443 ssl', '127.0.0.1:8080']);
    assert.ok(nginx.healthcheck.test.at(-1).startsWith('http://127.0.0.1:8080/'));
    for (const text of [deployedText('compose.yaml'), deployedText('nginx/listen-tls.conf'), operations]) assert.match(text, /"443:8443"/);
  });

  // Docker lends a container the file that was there, an editor may put another one in its place.
  test('settings are lent as a folder', () => {
    for (const [name, s] of instances) assert.deepEqual(s.volumes, ['./runnel:/etc/runnel:ro'], name);
  });

  test('the commands for it name its file and its services, and migrate before an upgrade', () => {
    const commands = [...operations.matchAll(/docker compose .*/g)].map((m) => m[0].replace(/`.*/, ''));
    assert.ok(commands.length >= 8);
    for (const command of commands) {
      assert.match(command, /^docker compose -f docker\/compose\.yaml (up|run|exec|kill|pull)\b/);
      for (const [name] of command.matchAll(/\brunnel-\d\b|\bmigrate\b/g)) assert.ok(compose.services[name], command);
    }
    const [migrates, ...begins] = [/ run --rm migrate$/, / up .*--no-deps .*runnel-1$/, / up .*--no-deps .*runnel-2$/].map((what) => commands.findIndex((c) => what.test(c)));
    assert.ok(migrates >= 0 && begins[0] > migrates && begins[1] > begins[0], commands.join('\n'));
  });

  test('an end has more time than a drain', () => {
    const drain = Number(/^drain_seconds: (\d+)s$/m.exec(deployedText('runnel/runnel.yaml'))[1]);
    for (const [name, s] of services.filter(([n]) => n.startsWith('runnel-'))) assert.ok(parseInt(s.stop_grace_period, 10) > drain, name);
    assert.ok(parseInt(compose.services.nginx.stop_grace_period, 10) > drain);
  });
});

describe('the settings', () => {
  test('the sample is good, with the secrets that are made', async () => {
    const dir = join(scratch(), 'secrets');
    execFileSync(join(docker, 'secrets.sh'), [dir]);
    const file = join(scratch(), 'runnel.yaml');
    writeFileSync(file, deployedText('runnel/runnel.yaml').replaceAll('/run/secrets/', `${dir}/`));
    const r = await run(['check', file]);
    assert.deepEqual([r.code, r.stderr], [0, '']);
    writeFileSync(join(dir, 'jwt_key'), '');
    assert.match((await run(['check', file])).stderr, /jwt_key/);
  });

  test('so are those of the image', async () => {
    const r = await run(['check', join(docker, 'echo.yaml')]);
    assert.deepEqual([r.code, r.stderr], [0, '']);
  });
});

describe('the database', () => {
  test('gets a role that owns its tables and no more', async (t) => {
    const pg = await cluster();
    t.after(() => pg.remove());
    const secret = join(scratch(), 'password');
    writeFileSync(secret, "it's a $ecret \\ \"word\"\n");
    const admin = new URL(pg.url);
    const env = cleanEnv({ PASSWORD_FILE: secret, PGHOST: admin.hostname, PGPORT: admin.port, PGPASSWORD: admin.password });
    await exec('sh', [join(docker, 'database.sh')], { env });
    const url = `postgresql://runnel:${encodeURIComponent("it's a $ecret \\ \"word\"")}@127.0.0.1:${pg.port}/runnel`;
    assert.deepEqual(await psql(url, 'SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user'), [['f', 'f', 'f']]);
    const r = await run(['migrate', '--database', url]);
    assert.deepEqual([r.code, r.stderr], [0, '']);
    const server = await start({ database: { url }, access: { new_accounts: 'approved' } });
    await becomesReady(server);
    await server.stop();
  });
});

describe('the unit of systemd', () => {
  const unit = deployedText('runnel.service');
  const value = (name) => new RegExp(`^${name}=(.*)$`, 'm').exec(unit)?.[1];

  test('runs what there is', async () => {
    assert.equal(value('Type'), 'notify');
    assert.match(value('ExecStart'), /^\/usr\/bin\/runnel serve --config \/etc\/runnel\/runnel\.yaml$/);
    assert.match(value('ExecReload'), /-HUP/);
    assert.equal((await run(['check', join(docker, 'echo.yaml')])).code, 0);
  });

  // What systemctl stop does: TERM, to all or to the main process only, and KILL to whoever is left
  // when those who got it have gone.
  async function stops(main, others) {
    const told = value('KillMode') === 'control-group' ? [main, ...others] : [main];
    for (const pid of told) if (isAlive(pid)) process.kill(pid, 'SIGTERM');
    await allGone(told);
    for (const pid of others) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  }

  for (const workers of [1, 2]) test(`an old program that still drains when the service is stopped says last words (workers: ${workers})`, async () => {
    const server = await start({ workers, drain_seconds: '30s', providers: [{ name: 'echo', kind: 'echo', tokens_per_second: 5 }] });
    const readers = Array.from({ length: 4 }, () => read(server.port, { body: question(words(400)) }));
    await Promise.all(readers.map((r) => r.until(() => heard(r).words.length > 1)));
    const next = await upgrade(server);
    await server.log({ msg: /^draining/ });
    await stops(next.pid, [...children(next.pid), server.pid, ...children(server.pid)].filter((pid) => pid !== next.pid));
    for (const r of readers) {
      assert.equal(await r.over, 'whole', 'it was not cut');
      assert.match(r.text, /"error"/);
      assert.doesNotMatch(r.text, /\[DONE\]/);
    }
    await server.gone();
  });

  const verify = (() => { try { return execFileSync('sh', ['-c', 'command -v systemd-analyze'], { encoding: 'utf8' }).trim(); } catch { return null; } })();
  test('systemd understands it', { skip: verify ? false : 'no systemd-analyze here' }, async () => {
    const dir = scratch();
    mkdirSync(join(dir, 'units'));
    const file = join(dir, 'units', 'runnel.service');
    writeFileSync(file, unit.replaceAll('/usr/bin/runnel', '/bin/true'));
    const { stderr } = await exec(verify, ['verify', '--man=no', file]);
    assert.doesNotMatch(stderr, /runnel\.service/);
    writeFileSync(file, `${unit}\n[Service]\nNoSuchThing=1\n`);
    assert.match((await exec(verify, ['verify', '--man=no', file]).catch((e) => e)).stderr, /NoSuchThing|not executable/, 'a mistake would be noticed');
  });
});
