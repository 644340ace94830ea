// The container image, as it was built: what is in it, and the program running in its root behind
// nginx with the files of docker/, before a real PostgreSQL. `./dev test image` builds it and says
// where it is: RUNNEL_IMAGE_ROOT and RUNNEL_IMAGE_BASE are mounted trees, RUNNEL_IMAGE_SAYS is a
// file with what the image says of itself.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import net from 'node:net';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import OpenAI from 'openai';
import { deployed } from './lib/nginx.mjs';
import { cluster, freePort } from './lib/postgres.mjs';
import { get, ms } from './lib/raw.mjs';
import { heard, read } from './lib/reader.mjs';
import { cleanEnv, eventually, launch, scratch } from './lib/server.mjs';

const docker = resolve(import.meta.dirname, '../../docker');
const root = process.env.RUNNEL_IMAGE_ROOT;
const base = process.env.RUNNEL_IMAGE_BASE;
const image = JSON.parse(readFileSync(process.env.RUNNEL_IMAGE_SAYS, 'utf8')).Docker.config;
const sizeOf = (tree) => Number(execFileSync('du', ['-sxk', tree], { encoding: 'utf8' }).split('\t')[0]);

// ---- a container ---------------------------------------------------------------

// As an engine would: processes, mounts and root of its own, the root read-only, the image's user
// and environment. The network is this machine's. Nothing of the image runs but what it is told to.
const ENTER = `
set -e
root=$1 mounts=$2 user=$3; shift 3
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
for m in $mounts; do mount --bind "\${m%%:*}" "$root\${m#*:}"; done
mount -o remount,bind,ro "$root"
exec chroot --userspec="$user" "$root" "$@"
`;

class Container {
  stdout = '';
  stderr = '';

  constructor(command, { mounts = {}, env = {} } = {}) {
    const list = Object.entries(mounts).map(([to, from]) => `${from}:${to}`).join(' ');
    this.started = performance.now();
    this.child = launch('unshare', ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', ENTER, 'sh', root, list, image.User, ...command], {
      env: { ...Object.fromEntries(image.Env.map((e) => [e.slice(0, e.indexOf('=')), e.slice(e.indexOf('=') + 1)])), PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'pipe', 'pipe'] });
    for (const s of ['stdout', 'stderr']) this.child[s].setEncoding('utf8').on('data', (d) => { this[s] += d; });
    this.over = new Promise((done) => { this.child.on('close', (code, signal) => done({ code, signal })); });
  }

  // How it ended: { code, signal }. The wait keeps the tests running, a child does not.
  ended(timeout = ms(40000)) {
    return new Promise((done, fail) => {
      const timer = setTimeout(() => fail(new Error(`still running after ${timeout} ms:\n${this.stderr.slice(-3000)}`)), timeout);
      this.over.then((how) => { clearTimeout(timer); done(how); });
    });
  }

  // The first process in there, by its number out here.
  get pid() {
    const pid = Number(readFileSync(`/proc/${this.child.pid}/task/${this.child.pid}/children`, 'latin1').trim());
    assert.ok(pid > 1, this.stderr);
    return pid;
  }

  kill(signal) { process.kill(this.pid, signal); }

  async stop() {
    if (this.child.exitCode === null) this.kill('SIGTERM');
    assert.deepEqual(await this.ended(), { code: 0, signal: null }, this.stderr);
  }
}

const runs = async (args, options) => {
  const c = new Container([...image.Entrypoint, ...args], options);
  return { ...(await c.ended()), stdout: c.stdout, stderr: c.stderr };
};

// ---- what it is ----------------------------------------------------------------

describe('the image', () => {
  test('adds little to its base', (t) => {
    const added = (sizeOf(root) - sizeOf(base)) / 1024;
    t.diagnostic(`adds ${added.toFixed(1)} MB to ${(sizeOf(base) / 1024).toFixed(1)} MB`);
    assert.ok(added > 1 && added <= 25, `${added} MB`);
  });

  test('says how it is to be run', () => {
    assert.match(image.User, /^[1-9]\d*:[1-9]\d*$/, 'a number, so that an orchestrator sees that it is not root');
    assert.deepEqual(image.Entrypoint, ['/usr/bin/runnel']);
    assert.deepEqual(image.Cmd, ['serve', '--config', '/etc/runnel/runnel.yaml']);
    assert.equal(image.StopSignal, 'SIGTERM');
    assert.deepEqual(Object.keys(image.ExposedPorts), ['8080/tcp']);
    assert.deepEqual(image.Healthcheck.Test, ['CMD', '/usr/bin/runnel', 'health', '/livez'], 'without a shell');
    const labels = image.Labels;
    assert.match(labels['org.opencontainers.image.version'], /^\d+\.\d+\.\d+$/);
    assert.match(labels['org.opencontainers.image.created'], /^\d{4}-\d\d-\d\dT[\d:]+Z$/);
    for (const name of ['title', 'description', 'revision', 'base.name']) assert.ok(labels[`org.opencontainers.image.${name}`], name);
  });

  test('has certificates, and nothing of its making', () => {
    assert.ok(statSync(join(root, 'etc/ssl/certs/ca-certificates.crt')).size > 100000);
    for (const path of ['src', 'usr/bin/gcc', 'usr/bin/cmake', 'usr/include/uv.h']) assert.ok(!existsSync(join(root, path)), path);
    assert.deepEqual(readdirSync(join(root, 'var/lib/apt/lists')).filter((f) => /Packages|Release/.test(f)), []);
    const program = readFileSync(join(root, 'usr/bin/runnel'));
    assert.equal(program.readUInt16LE(16), 3, 'it can be loaded anywhere');
    assert.ok(!program.includes('.debug_info'), 'it has what debuggers want');
  });

  test('nobody can change the program who runs it', () => {
    for (const path of ['usr/bin/runnel', 'etc/runnel/runnel.yaml']) {
      const s = statSync(join(root, path));
      assert.deepEqual([s.uid, s.mode & 0o022], [0, 0], path);
    }
  });

  test('without settings it serves an echo', async (t) => {
    const port = await freePort();
    const c = new Container([...image.Entrypoint, ...image.Cmd], { env: { RUNNEL_LISTEN: `127.0.0.1:${port}` } });
    t.after(() => c.stop());
    await eventually(async () => assert.equal((await get(port, '/readyz')).status, 200), ms(5000));
    const r = read(port, { body: { model: 'echo', stream: true, messages: [{ role: 'user', content: 'hello' }] } });
    await r.over;
    assert.equal(heard(r).text, 'hello');
  });

  // Of many, the quickest: the others say how busy this machine is.
  test('serves soon', async (t) => {
    const took = [];
    for (let i = 0; i < 10; i++) {
      const port = await freePort();
      const c = new Container([...image.Entrypoint, ...image.Cmd], { env: { RUNNEL_LISTEN: `127.0.0.1:${port}` } });
      for (let ready = false; !ready;) {
        ready = await get(port, '/livez').then((r) => r.status === 200, () => false);
        if (performance.now() - c.started > ms(5000)) break;
      }
      took.push(performance.now() - c.started);
      await c.stop();
    }
    took.sort((a, b) => a - b);
    t.diagnostic(`from unshare to an answer: ${took.map((n) => n.toFixed(0)).join(' ')} ms`);
    assert.ok(took[0] < ms(150), `${took[0]} ms`);
  });
});

// ---- as it is deployed ---------------------------------------------------------

describe('two of them behind nginx', () => {
  let pg, way, apiKey, mounts;
  const instances = [];
  const env = (port) => ({ DATABASE: `127.0.0.1:${pg.port}`, PROXY: '127.0.0.1', RUNNEL_LISTEN: `127.0.0.1:${port}` });

  async function instance() {
    const port = await freePort();
    const c = new Container([...image.Entrypoint, ...image.Cmd], { mounts, env: env(port) });
    c.port = port;
    await eventually(async () => assert.equal((await get(port, '/readyz')).status, 200, c.stderr), ms(10000));
    return c;
  }

  before(async () => {
    pg = await cluster();
    const dir = scratch();
    const secrets = join(dir, 'secrets');
    execFileSync(join(docker, 'secrets.sh'), [secrets]);
    const admin = new URL(pg.url);
    execFileSync('sh', [join(docker, 'database.sh')], { env: cleanEnv({ PASSWORD_FILE: join(secrets, 'database_password'), PGHOST: admin.hostname, PGPORT: admin.port, PGPASSWORD: admin.password }) });
    // An engine makes the places that it mounts things at.
    mkdirSync(join(root, 'run/secrets'), { recursive: true });
    execFileSync('chmod', ['755', secrets]);
    mounts = { '/etc/runnel': join(docker, 'runnel'), '/run/secrets': secrets };
    execFileSync('chmod', ['755', dir]);
    const config = ['--config', '/etc/runnel/runnel.yaml'];
    const migrated = await runs(['migrate', ...config], { mounts, env: env(1) });
    assert.deepEqual([migrated.code, migrated.stderr], [0, '']);
    const key = await runs(['key', 'create', 'me', '--json', ...config], { mounts, env: env(1) });
    assert.equal(key.code, 0, key.stderr);
    apiKey = JSON.parse(key.stdout).key;
    instances.push(await instance(), await instance());
    way = await deployed(instances.map((c) => c.port));
  });
  after(async () => {
    await way?.stop();
    for (const c of instances) if (c.child.exitCode === null) await c.stop();
    await pg?.remove();
  });

  const client = () => new OpenAI({ baseURL: `http://127.0.0.1:${way.port}/v1`, apiKey, maxRetries: 0, timeout: ms(20000) });
  const question = (content, more) => ({ model: 'echo', messages: [{ role: 'user', content }], ...more });

  test('the program is the first process, is nobody, and cannot write', () => {
    const status = readFileSync(`/proc/${instances[0].pid}/status`, 'latin1');
    assert.match(status, /^NSpid:\t\d+\t1$/m);
    assert.match(status, new RegExp(`^Uid:\\t${image.User.split(':')[0]}\\t`, 'm'));
    assert.match(status, /^CapEff:\t0+$/m);
    assert.match(readFileSync(`/proc/${instances[0].pid}/mountinfo`, 'latin1'), /^\d+ \d+ \S+ \S+ \/ ro[, ]/m);
    assert.match(readlinkSync(`/proc/${instances[0].pid}/exe`), /\/usr\/bin\/runnel$/);
  });

  test('its own question says how it is', async () => {
    const [c] = instances;
    const own = (path) => runs([...image.Healthcheck.Test.slice(2, -1), path], { mounts, env: env(c.port) });
    assert.deepEqual(image.Healthcheck.Test.slice(1, 2), image.Entrypoint);
    for (const path of [image.Healthcheck.Test.at(-1), '/readyz']) {
      const r = await own(path);
      assert.deepEqual([r.code, r.stderr], [0, '']);
      assert.match(r.stdout, /^healthy: /);
    }
    const nobody = await runs(['health'], { env: env(await freePort()) });
    assert.deepEqual([nobody.code, /^not healthy: /.test(nobody.stdout)], [1, true]);
  });

  test('the SDK streams through all of it', async () => {
    const text = 'one two three four five six seven eight nine ten';
    const times = [];
    let got = '';
    for await (const part of await client().chat.completions.create(question(text, { stream: true }))) {
      const word = part.choices[0]?.delta?.content;
      if (word) times.push(performance.now());
      got += word ?? '';
    }
    assert.equal(got, text);
    assert.ok(times.at(-1) - times[0] > 50, 'the words came together');
    const whole = await client().chat.completions.create(question(text));
    assert.equal(whole.choices[0].message.content, text);
  });

  test('without a key nobody is answered', async () => {
    const r = await fetch(`http://127.0.0.1:${way.port}/v1/models`, { headers: { authorization: 'Bearer no' } });
    assert.equal(r.status, 401);
  });

  test('a container that is stopped lets its answers end, and the other goes on', async () => {
    const [old, other] = instances;
    const headers = { authorization: `Bearer ${apiKey}` };
    const running = async (c) => /^runnel_turns_running (\d+)/m.exec((await get(c.port, '/metrics')).text)[1];
    const streams = Array.from({ length: 4 }, () => read(way.port, { headers, body: question('word '.repeat(60), { stream: true }) }));
    await Promise.all(streams.map((r) => r.until(() => heard(r).words.length > 2)));
    assert.notEqual(await running(old), '0', 'both have some');
    assert.notEqual(await running(other), '0');
    old.kill('SIGTERM');
    await eventually(async () => assert.equal((await get(old.port, '/readyz').catch(() => ({ status: 503 }))).status, 503));
    for (let i = 0; i < 6; i++) assert.equal((await client().chat.completions.create(question('hi'))).choices[0].message.content, 'hi');
    for (const r of streams) {
      assert.equal(await r.over, 'whole');
      assert.ok(heard(r).done);
    }
    assert.deepEqual(await old.ended(), { code: 0, signal: null }, old.stderr);
  });

  // The kernel gives a first process no signal that it has not asked for.
  test('a command that waits ends at a signal', async (t) => {
    const silent = net.createServer(() => {}).listen(0, '127.0.0.1');
    t.after(() => silent.close());
    await once(silent, 'listening');
    const url = `postgresql://runnel@127.0.0.1:${silent.address().port}/runnel`;
    const asked = once(silent, 'connection');
    const c = new Container([...image.Entrypoint, 'migrate', '--database', url, '--set', 'database.connect_timeout=60s']);
    const [socket] = await asked;
    t.after(() => socket.destroy());
    c.kill('SIGTERM');
    assert.deepEqual(await c.ended(ms(5000)), { code: 128 + 15, signal: null }, c.stderr);
  });
});
