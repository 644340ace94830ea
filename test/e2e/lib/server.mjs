// Starts the program under test, follows its log and stops it again.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseLogLine, parsePrometheus } from './parse.mjs';
import { get, ms } from './raw.mjs';

export { ms };

export const binary = process.env.RUNNEL_BIN
  ? resolve(process.env.RUNNEL_BIN)
  : resolve(import.meta.dirname, '../../../build/dev/runnel');

const SANITIZER = /(Address|Leak|Memory|Thread|UndefinedBehavior)Sanitizer|runtime error:/;

// A duration as the settings file writes it, longer where RUNNEL_SLOW says so.
export const duration = (n) => `${ms(n)}ms`;

const base = {
  listen: '127.0.0.1:0',
  drain_seconds: duration(2000),
  providers: [{ name: 'echo', kind: 'echo', tokens_per_second: 50 }],
  models: [{ name: 'echo', class: 'local_small', targets: [{ provider: 'echo' }] }],
};

// JSON is YAML, and JSON.stringify never forgets a quote.
const yaml = (settings) =>
  typeof settings === 'string' ? settings : JSON.stringify({ ...base, ...settings }, null, 2) + '\n';

// Whatever a failed test leaves behind goes when its file has been run.
const leftovers = { children: new Set(), dirs: [] };
process.on('exit', () => {
  for (const child of leftovers.children) child.kill('SIGKILL');
  for (const dir of leftovers.dirs) rmSync(dir, { recursive: true, force: true });
});

export function scratch() {
  const dir = mkdtempSync(join(tmpdir(), 'runnel-e2e-'));
  leftovers.dirs.push(dir);
  return dir;
}

// A child that does not keep a finished test file running.
export function launch(command, args, options) {
  const child = spawn(command, args, options);
  leftovers.children.add(child);
  child.once('exit', () => leftovers.children.delete(child));
  child.unref();
  child.stderr?.unref?.();
  return child;
}

// Without the tests' own RUNNEL_* variables, which the program would read.
export const cleanEnv = (more = {}) => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([k]) => !k.startsWith('RUNNEL_'))),
  ...more,
});

export function exitCode(child, timeout = ms(10000)) {
  return new Promise((done, fail) => {
    const timer = setTimeout(() => fail(new Error(`still running after ${timeout} ms`)), timeout);
    const end = (code) => { clearTimeout(timer); done(code); };
    if (child.exitCode !== null) end(child.exitCode);
    else child.once('exit', end);
  });
}

// For what cannot be awaited: asks again until `attempt` no longer throws.
export async function eventually(attempt, timeout = ms(3000)) {
  const end = performance.now() + timeout;
  for (;;) {
    try {
      return await attempt();
    } catch (e) {
      if (performance.now() > end) throw e;
    }
    await sleep(20);
  }
}

// Runs the program to its end: { code, stdout, stderr }.
export function run(args, { env, timeout = ms(10000) } = {}) {
  return new Promise((done, fail) => {
    const child = spawn(binary, args, { env: cleanEnv(env), stdio: ['ignore', 'pipe', 'pipe'] });
    const out = { stdout: '', stderr: '' };
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      fail(new Error(`still running after ${timeout} ms: runnel ${args.join(' ')}\n${out.stderr}`));
    }, timeout);
    for (const s of ['stdout', 'stderr']) child[s].setEncoding('utf8').on('data', (d) => { out[s] += d; });
    child.on('error', fail);
    child.on('close', (code, signal) => { clearTimeout(timer); done({ code, signal, ...out }); });
  });
}

class Server {
  #waiters = new Set();
  #unfinished = '';
  stderr = '';
  lines = [];
  exited = null; // { code, signal } when it has gone

  constructor(settings, { env, nofile, args = [], program = binary, stdio = [] }) {
    const command = [program, ...args];
    if (settings !== null) {
      this.file = join(scratch(), 'runnel.yaml');
      this.write(settings);
      command.splice(1, 0, 'serve', '--config', this.file);
    }
    if (nofile) command.unshift('prlimit', `--nofile=${nofile}`, '--');
    this.child = launch(command[0], command.slice(1), {
      env: cleanEnv(env), stdio: ['ignore', 'ignore', 'pipe', ...stdio],
    });
    this.pid = this.child.pid;
    this.child.stderr.setEncoding('utf8').on('data', (d) => this.#read(d));
    this.child.on('error', (e) => { this.stderr += e.message; });
    this.child.on('close', (code, signal) => { this.exited = { code, signal }; this.#wake(); });
  }

  #read(data) {
    this.stderr += data;
    const parts = (this.#unfinished + data).split('\n');
    this.#unfinished = parts.pop();
    this.lines.push(...parts);
    this.#wake();
  }

  #wake() {
    for (const w of [...this.#waiters]) w();
  }

  write(settings) {
    writeFileSync(this.file, yaml(settings));
  }

  until(look, what, timeout = ms(10000)) {
    return new Promise((done, fail) => {
      const finish = (f, v) => { clearTimeout(timer); this.#waiters.delete(check); f(v); };
      const check = () => { const v = look(); if (v) finish(done, v); };
      const timer = setTimeout(() => finish(fail, new Error(
        `waited ${timeout} ms for ${what}; the log ends with:\n${this.stderr.slice(-1500)}`)), timeout);
      this.#waiters.add(check);
      check();
    });
  }

  // The first log line (from line number `from`) whose fields match.
  log(match, { from = 0, timeout, what } = {}) {
    const fits = typeof match === 'function' ? match
      : (f) => Object.entries(match).every(([k, v]) => (v instanceof RegExp ? v.test(f[k]) : f[k] === v));
    let next = from;
    return this.until(() => {
      while (next < this.lines.length) {
        const fields = tryParse(this.lines[next++]);
        if (fields && fits(fields)) return fields;
      }
      if (this.exited) throw new Error(`the server has ended:\n${this.stderr.slice(-3000)}`);
    }, what ?? `log line ${JSON.stringify(match)}`, timeout);
  }

  async metrics() {
    const r = await get(this.port, '/metrics');
    assert.equal(r.status, 200);
    return parsePrometheus(r.text).samples;
  }

  async metric(name, labels = {}) {
    const found = (await this.metrics()).filter((s) =>
      s.name === name && Object.entries(labels).every(([k, v]) => s.labels[k] === v));
    return found.reduce((sum, s) => sum + s.value, 0);
  }

  metricBecomes(name, want, timeout = ms(3000)) {
    return eventually(async () => {
      const value = await this.metric(name);
      assert.equal(value, want, `${name} is ${value}, not ${want}, after ${timeout} ms`);
    }, timeout);
  }

  async alive() {
    assert.equal(this.exited, null, `the server has ended:\n${this.stderr.slice(-3000)}`);
    assert.equal((await get(this.port, '/livez')).status, 200, 'the server no longer answers');
  }

  rss() {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))[1]) * 1024;
  }

  cpuSeconds() {
    const fields = readFileSync(`/proc/${this.pid}/stat`, 'latin1').replace(/^.*\) /s, '').split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100; // utime + stime, at the usual 100 Hz
  }

  descriptors() {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  kill(signal) {
    process.kill(this.pid, signal);
  }

  // Waits for the end and checks that it was a good one.
  async gone(timeout = ms(15000)) {
    try {
      await this.until(() => this.exited, 'the server to end', timeout);
    } catch (e) {
      this.child.kill('SIGKILL');
      throw e;
    }
    const at = this.stderr.search(SANITIZER);
    assert.equal(at, -1, this.stderr.slice(Math.max(0, at - 100), at + 6000));
    assert.deepEqual(this.exited, { code: 0, signal: null }, this.stderr.slice(-3000));
  }

  async stop() {
    if (!this.exited) this.kill('SIGTERM');
    await this.gone();
  }
}

function tryParse(line) {
  try {
    return parseLogLine(line);
  } catch {
    return null; // ops.test.mjs is where every line must parse
  }
}

// Without settings (null) there is no file, only the arguments of the caller.
export async function start(settings = {}, options = {}) {
  const server = new Server(settings, options);
  server.ready = await server.log({ msg: 'ready' }, { timeout: ms(10000) });
  server.port = Number(/:(\d+)$/.exec(server.ready.address)[1]);
  return server;
}
