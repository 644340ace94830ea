// Real PostgreSQL clusters that a test may hurt, psql to ask them, and a pooler before them.
//
// deps/cluster.sh does the work. Whatever is made here is gone when the process is, also
// when that is killed: beside each cluster a helper waits for our end.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, readlinkSync, realpathSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { cleanEnv, eventually, exitCode, launch, ms, scratch } from './server.mjs';

const script = resolve(import.meta.dirname, '../../../deps/cluster.sh');
const run = promisify(execFile);
const isRoot = process.getuid() === 0;

// Without the PG* variables of whoever runs the tests, which psql and the pooler would read.
const env = (more = {}) => Object.fromEntries(
  Object.entries(cleanEnv({ LC_ALL: 'C.UTF-8', PATH: `${process.env.PATH}:/usr/sbin`, ...more })).filter(([k]) => k in more || !k.startsWith('PG')));

const manage = async (...args) => (await run(script, args, { env: env(), timeout: ms(150000) })).stdout.trim();

let programs;
const program = (name) => join(programs ??= execFileSync(script, ['bin'], { encoding: 'utf8' }).trim(), name);

// Below the ports that the kernel gives to connections, so that a stopped server's port stays free,
// and nobody who asks it meets himself.
export async function freePort() {
  for (;;) {
    const port = 20000 + Math.floor(Math.random() * 12000);
    const probe = net.createServer();
    const free = await new Promise((done) => probe.once('error', () => done(false)).listen(port, '127.0.0.1', () => done(true)));
    await new Promise((done) => probe.close(done));
    if (free) return port;
  }
}

// ---- psql --------------------------------------------------------------------

const NULL = '\x1d';

// The rows of all statements in `text`, as arrays of strings and nulls. Each statement is on
// its own; the first one that fails ends it, and is thrown with the server's words.
export function psql(url, text, { timeout = ms(15000), env: more } = {}) {
  return new Promise((done, fail) => {
    const child = execFile(program('psql'),
      ['-X', '-q', '-w', '-A', '-t', '-0', '-F', '\x1f', '-P', `null=${NULL}`, '-v', 'ON_ERROR_STOP=1', '-d', url],
      { env: env(more), timeout, killSignal: 'SIGKILL', maxBuffer: 1 << 28 }, (error, stdout, stderr) => {
        if (!error) return done(rows(stdout));
        fail(Object.assign(new Error(error.killed ? `psql: nothing for ${timeout} ms` : `psql: ${stderr.trim() || error.message}`),
          { timedOut: Boolean(error.killed), rows: rows(stdout) }));
      });
    child.stdin.on('error', () => {});        // it may have gone before it read all
    child.stdin.end(text);
  });
}

const rows = (stdout) => stdout.split('\0').slice(0, -1).map((row) => row.split('\x1f').map((v) => (v === NULL ? null : v)));

// ---- clusters ----------------------------------------------------------------

const clusters = new Set();
process.on('exit', () => {
  for (const c of clusters) {
    try { execFileSync(script, ['remove', c.dir], { stdio: 'ignore' }); } catch { /* the helper tries again */ }
  }
});

class Cluster {
  constructor(options) {
    this.dir = mkdtempSync(join(tmpdir(), 'runnel-pg-'));
    this.options = options;
    clusters.add(this);
    spawn(script, ['after', String(process.pid), 'remove', this.dir], { detached: true, stdio: 'ignore', env: env() }).unref();
  }

  async start(settings = {}) {
    const { fast, standbyOf } = this.options;
    const args = [this.port ? ['--port', String(this.port)] : '--socket-only', fast ? '--fast' : [],
      standbyOf ? ['--standby-of', standbyOf.dir] : [], Object.entries(settings).map(([k, v]) => `${k}=${v}`)].flat();
    await manage('start', this.dir, ...args);
    this.url = await manage('url', this.dir);
    this.socketUrl = await manage('url', this.dir, '--socket');
  }

  // The mode is fast (clients are cut, all is written) or immediate (as after a crash).
  stop(mode = 'fast') { return manage('stop', this.dir, mode); }
  promote() { return manage('promote', this.dir); }

  sql(text, options) { return psql(this.socketUrl, text, options); }

  // What it has said so far.
  get log() { return readFileSync(join(this.dir, 'log'), 'utf8'); }

  // The number of its first process, or null when it does not run.
  get pid() {
    try {
      const data = join(this.dir, 'data');
      const pid = parseInt(readFileSync(join(data, 'postmaster.pid'), 'latin1'), 10);
      return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(data) ? pid : null;
    } catch {
      return null;
    }
  }

  // As when the machine goes: every process at once. The first is halted before its children
  // are listed, or it would make new ones.
  async kill() {
    const { pid } = this;
    if (pid === null) return;
    process.kill(pid, 'SIGSTOP');
    const all = [pid, ...childrenOf(pid)];
    for (const p of all) try { process.kill(p, 'SIGKILL'); } catch { /* gone by itself */ }
    await eventually(() => { if (all.some(isAlive)) throw new Error(`PostgreSQL survives SIGKILL in ${this.dir}`); }, ms(10000));
  }

  async remove() {
    await manage('remove', this.dir);
    clusters.delete(this);
  }
}

// After the name, which may have spaces and brackets in it: state, parent...
function statOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /s, '').split(' ');
  } catch {
    return null;
  }
}
const isAlive = (pid) => ![undefined, 'Z', 'X'].includes(statOf(pid)?.[0]);
const childrenOf = (pid) => readdirSync('/proc').filter((p) => /^\d+$/.test(p) && Number(statOf(p)?.[1]) === pid).map(Number);

//   port       false: it listens on its socket only
//   fast       false: it survives a power failure as well
//   standbyOf  the cluster to follow
//   settings   for postgresql.conf
export async function cluster({ port = true, fast = true, standbyOf, settings } = {}) {
  const c = new Cluster({ fast, standbyOf });
  for (let tries = 1; ; tries++) {
    if (port) c.port = await freePort();
    try {
      await c.start(settings);
      return c;
    } catch (e) {
      if (tries < 5 && port && /Address already in use/.test(e.stderr)) continue;
      await c.remove();
      throw e;
    }
  }
}

// ---- the pooler --------------------------------------------------------------

// PgBouncer before a cluster's `url`, which must be one of TCP. `admin` asks the pooler itself.
export async function pgbouncer(url, { poolMode = 'transaction', settings = {} } = {}) {
  const { hostname, port: behind, username, password } = new URL(url);
  const port = await freePort();
  const file = join(scratch(), 'pgbouncer.ini');
  const ini = { listen_addr: '127.0.0.1', listen_port: port, unix_socket_dir: '', pool_mode: poolMode, auth_type: 'any', admin_users: username,
    ...(isRoot ? { user: userForRoot() } : {}), ...settings };
  writeFileSync(file, `[databases]\n* = host=${hostname} port=${behind} user=${username} password=${password}\n[pgbouncer]\n`
    + Object.entries(ini).map(([k, v]) => `${k} = ${v}\n`).join(''), { mode: 0o600 });
  const child = launch('pgbouncer', [file], { env: env(), stdio: ['ignore', 'ignore', 'pipe'] });
  const pooler = { port, child, log: '', url: `postgresql://${username}@127.0.0.1:${port}/postgres`, admin: `postgresql://${username}@127.0.0.1:${port}/pgbouncer`,
    async stop() { child.kill('SIGTERM'); await exitCode(child); } };
  child.stderr.setEncoding('utf8').on('data', (d) => { pooler.log += d; });
  child.on('error', (e) => { pooler.log += e.message; });
  for (const end = performance.now() + ms(10000); ;) {
    try {
      await psql(pooler.admin, 'SHOW VERSION');
      return pooler;
    } catch (e) {
      if (child.exitCode === null && performance.now() < end) continue;
      child.kill('SIGKILL');
      throw new Error(`the pooler does not answer (${e.message}):\n${pooler.log}`);
    }
  }
}

// It does not run as root either.
const userForRoot = () => (/^postgres:/m.test(readFileSync('/etc/passwd', 'latin1')) ? 'postgres' : 'nobody');
