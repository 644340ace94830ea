// docs/operations.md is true: all its commands are run, in its order, against databases, instances,
// a pooler and a proxy of our own. What stands between them (load, a database that dies) is here.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { dirname, join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { nginx } from './lib/nginx.mjs';
import { cluster, freePort, psql } from './lib/postgres.mjs';
import { connect, get } from './lib/raw.mjs';
import { binary, cleanEnv, eventually, exitCode, launch, ms, run, scratch, start } from './lib/server.mjs';

const root = resolve(import.meta.dirname, '../..');
const text = readFileSync(join(root, 'docs/operations.md'), 'utf8');
const blocks = [...text.matchAll(/^```(\w+) ?(.*)\n([^]*?)^```$/gm)].map(([, language, name, body]) => ({ language, name, body }));
const block = (language, name) => blocks.find((b) => b.language === language && b.name === name).body;

const dir = scratch(), env = {};
let pg, standby, edge, tens, pooler;

// Three ports in a row whose numbers differ in the last digit, as 8080 to 8082 do.
async function threePorts() {
  for (;;) {
    const ten = Math.floor(await freePort() / 10);
    const taken = await Promise.all([0, 1, 2].map((i) => connect(ten * 10 + i).then((c) => { c.destroy(); return true; }, () => false)));
    if (!taken.includes(true)) return ten;
  }
}

const where = (url) => new URL(url).host;
const placed = (body) => body.replaceAll('127.0.0.1:808', `127.0.0.1:${tens}`).replaceAll('127.0.0.1:6432', `127.0.0.1:${pooler?.port}`);

const shell = (body, timeout = ms(60000)) => new Promise((done) => {
  execFile('bash', ['-euo', 'pipefail', '-c', placed(body)], { cwd: dir, env, timeout, killSignal: 'SIGKILL' },
    (error, stdout, stderr) => done({ code: error ? error.code ?? error.signal : 0, stdout, stderr }));
});
const url = (role, database = 'runnel') => `postgresql://runnel_${role}:${role}-secret@${env.DB}/${database}`;

before(async () => {
  pg = await cluster({ settings: { wal_level: 'replica' } });
  tens = await threePorts();
  mkdirSync(join(dir, 'bin'));
  symlinkSync(binary, join(dir, 'bin', 'runnel'));
  const programs = await new Promise((done, fail) => execFile(join(root, 'deps/cluster.sh'), ['bin'], (e, out) => (e ? fail(e) : done(out.trim()))));
  Object.assign(env, cleanEnv({ PATH: `${dir}/bin:${programs}:${process.env.PATH}`, LC_ALL: 'C.UTF-8', ADMIN: pg.url, DB: where(pg.url),
    AT: `http://127.0.0.1:${tens}0` }));
  for (const name of Object.keys(env)) if (name.startsWith('PG')) delete env[name];
});
after(async () => {
  for (const file of readdirSync(dir).filter((f) => f.endsWith('.pid')))
    try { process.kill(Number(readFileSync(join(dir, file), 'utf8')), 'SIGKILL'); } catch { /* it has gone */ }
  await edge?.stop();
  pooler?.child.kill('SIGKILL');
  await standby?.remove();
  await pg?.remove();
});

// ---- what stands between the commands ------------------------------------------------------

// PgBouncer with the document's settings.
async function startPooler() {
  const port = await freePort(), home = scratch();
  chmodSync(home, 0o755);
  const { hostname, port: behind } = new URL(pg.url);
  const ini = block('ini', 'pgbouncer').replace('host=127.0.0.1 port=5432', `host=${hostname} port=${behind}`)
    .replace('listen_port = 6432', `listen_port = ${port}`).replace('users.txt', join(home, 'users.txt'));
  writeFileSync(join(home, 'users.txt'), '"runnel_app" "app-secret"\n');
  const user = process.getuid() === 0 ? 'user = postgres\nunix_socket_dir =\n' : 'unix_socket_dir =\n';
  writeFileSync(join(home, 'pgbouncer.ini'), ini + user);
  const child = launch('pgbouncer', [join(home, 'pgbouncer.ini')], { env: { ...env, PATH: `${env.PATH}:/usr/sbin` }, stdio: ['ignore', 'ignore', 'pipe'] });
  pooler = { child, port, log: '' };
  child.stderr.setEncoding('utf8').on('data', (d) => { pooler.log += d; });
  await eventually(() => psql(`postgresql://runnel_app:app-secret@127.0.0.1:${port}/runnel`, 'SELECT 1'), ms(10000))
    .catch((e) => { throw new Error(`${e.message}\n${pooler.log}`); });
}

// Questions through the edge without a pause; every answer must be whole.
async function askAll(key, until) {
  const seen = { whole: 0, failures: [] };
  const words = Array.from({ length: 40 }, (_, i) => `w${i}`).join(' ');
  await Promise.all(Array.from({ length: 6 }, async () => {
    while (!until.over) {
      try {
        const res = await fetch(`${env.EDGE}/v1/chat/completions`, { method: 'POST',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
          body: JSON.stringify({ model: 'echo', stream: true, messages: [{ role: 'user', content: words }] }) });
        const said = await res.text();
        if (res.status === 200 && said.endsWith('data: [DONE]\n\n')) seen.whole++;
        else seen.failures.push(`${res.status} ${said.slice(-300)}`);
      } catch (e) {
        seen.failures.push(String(e.cause ?? e));
      }
    }
  }));
  return seen;
}

const newKey = async () => {
  const r = await run(['key', 'create', 'load', '--database', url('app')]);
  assert.equal(r.code, 0, r.stderr);
  return r.stdout.trim();
};
const pidOf = (name) => Number(readFileSync(join(dir, `${name}.pid`), 'utf8'));
const isReady = (port) => eventually(async () => assert.equal((await get(port, '/readyz')).status, 200), ms(15000));

// By the name of the block: what comes before it, and what must be true behind it.
const first = {
  async pooled() { await startPooler(); },
  async hosts() {
    standby = await cluster({ standbyOf: pg });
    Object.assign(env, { DB2: where(standby.url), STANDBY: standby.url });
  },
  async failover() {
    await eventually(async () => assert.deepEqual(await standby.sql("SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"), [['1']]), ms(20000));
    await pg.stop('immediate');
    await eventually(async () => assert.equal((await get(tens * 10, '/readyz')).status, 503), ms(20000));
  },
  async two() {
    edge = await nginx((port) => placed(block('nginx', 'edge')).replace('listen 80;', `listen 127.0.0.1:${port};`));
    env.EDGE = `http://127.0.0.1:${edge.port}`;
  },
  async upgrade(state) {
    state.pids = [pidOf('runnel1'), pidOf('runnel2')];
    state.until = { over: false };
    state.load = askAll(await newKey(), state.until);
    await sleep(ms(500));
  },
  async metrics() {                            // the instance has answered nobody since it was started anew
    const res = await fetch(`${env.AT}/v1/chat/completions`, { method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${await newKey()}` },
      body: JSON.stringify({ model: 'echo', messages: [{ role: 'user', content: 'one' }] }) });
    assert.equal(res.status, 200, await res.text());
  },
  async turns(state) {
    const key = await newKey();
    state.running = fetch(`${env.AT}/v1/chat/completions`, { method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${key}`, 'idempotency-key': 'ops' },
      body: JSON.stringify({ model: 'echo', stream: true, messages: [{ role: 'user', content: 'word '.repeat(3000) }] }) }).then((r) => r.text());
    await eventually(async () => assert.deepEqual(await psql(url('app'), "SELECT count(*) FROM runnel.turn WHERE state = 'streaming'"), [['1']]), ms(10000));
  },
};

const behind = {
  check: (r) => assert.match(r.stdout, /^runnel.yaml: ok\n$/),
  schema: async (r) => {
    assert.match(r.stdout, /0001 begin: would be done[^]*the schema is at \d{4}/);
    await assert.rejects(psql(url('app'), 'CREATE TABLE runnel.mine (x int)'), /permission denied/);
    await assert.rejects(psql(url('app'), 'DELETE FROM runnel.migration'), /permission denied/);
  },
  keys: (r) => {
    assert.match(r.stdout, /"content":"Hello there"/);
    assert.match(r.stdout, /revoked/);
  },
  accounts: (r) => assert.match(r.stdout, /\n\d +shop +/),
  async turns(r, state) {
    assert.match(r.stdout, /running +default/);
    assert.match(r.stdout, /\bstopped +default/);
    assert.doesNotMatch(await state.running, /\[DONE\]/);
  },
  size: (r) => assert.match(r.stdout, /\b(turn|message|journal|usage) .* kB/),
  dump: (r) => assert.ok(Number(r.stdout) >= 10, `${r.stdout} tables`),
  async restore(r) {
    assert.match(r.stdout, /website +rk-/);
    assert.match(r.stdout, /shop/);
    const count = (d) => psql(url('owner', d), 'SELECT count(*) FROM runnel.turn UNION ALL SELECT count(*) FROM runnel.usage UNION ALL SELECT count(*) FROM runnel.tenant');
    assert.deepEqual(await count('restored'), await count('runnel'));
    const s = await start(block('yaml', 'pooled').replace('127.0.0.1:8080', '127.0.0.1:0'), { env: { RUNNEL_DATABASE_URL: url('app', 'restored') } });
    await isReady(s.port);                     // it serves
    await s.stop();
  },
  async pooled(r) {
    assert.match(r.stderr, /a pooler before the database/);
    const key = await newKey();
    const s = await start(block('yaml', 'pooled').replace('127.0.0.1:8080', '127.0.0.1:0'),
      { env: { RUNNEL_DATABASE_URL: `postgresql://runnel_app:app-secret@127.0.0.1:${pooler.port}/runnel` } });
    await isReady(s.port);
    const res = await fetch(`http://127.0.0.1:${s.port}/v1/chat/completions`, { method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${key}`, 'idempotency-key': 'pooled' },
      body: JSON.stringify({ model: 'echo', messages: [{ role: 'user', content: 'through the pooler' }] }) });
    assert.equal((await res.json()).choices[0].message.content, 'through the pooler');
    assert.deepEqual(await psql(url('app'), "SELECT state FROM runnel.turn WHERE idempotency_key = 'pooled'"), [['complete']]);
    await s.stop();
    pooler.child.kill('SIGTERM');
    await exitCode(pooler.child);
  },
  async failover() {
    env.DB = env.DB2;                          // from here on
    await newKey();
  },
  async upgrade(r, state) {
    await sleep(ms(500));
    state.until.over = true;
    const seen = await state.load;
    assert.deepEqual(seen.failures, []);
    assert.ok(seen.whole > 10, `${seen.whole} answers only`);
    for (const [i, pid] of state.pids.entries()) assert.notEqual(pidOf(`runnel${i + 1}`), pid);
  },
  logs: (r) => assert.equal(JSON.parse(r.stdout).msg, 'turn'),
  metrics: (r) => assert.match(r.stdout, /^runnel_turns_total\{end="complete"\} [1-9]/m),
  provider: (r) => assert.match(r.stdout, /^verdict +it answers$/m),
};

// ---- the commands ----------------------------------------------------------------------------

const commands = blocks.filter((b) => b.language === 'sh');

test('all commands, in order', { timeout: ms(400000) }, async (t) => {
  const state = {};
  let failed = false;
  for (const { name, body } of commands) {
    await t.test(name === 'untested' ? `NOT RUN: ${body.split('\n')[0]}` : name, async (one) => {
      if (name === 'untested') return one.skip('marked as untested in the document');
      if (failed) return one.skip('one before it failed');
      failed = true;
      await first[name]?.(state);
      const r = await shell(body);
      assert.equal(r.code, 0, `${name}: ${r.code}\n${r.stdout}\n${r.stderr}`);
      assert.doesNotMatch(r.stderr, /Sanitizer|runtime error:/);
      await behind[name]?.(r, state);
      failed = false;
    });
  }
  const names = commands.map((b) => b.name);
  for (const name of [...Object.keys(first), ...Object.keys(behind)]) assert.ok(names.includes(name), `the document has no block ${name} any more`);
});

// Both instances are asked, and hang up: with `non_idempotent` the second would be asked what the first was.
test('the proxy before the two sends no question twice, and shows nobody the figures', async (t) => {
  const asked = [];
  const ports = await Promise.all([1, 2].map(async () => {
    const s = http.createServer((q) => { asked.push(`${q.method} ${q.url}`); q.resume().on('end', () => q.socket.destroy()); });
    await new Promise((done) => s.listen(0, '127.0.0.1', done));
    t.after(() => { s.close(); s.closeAllConnections(); });
    return s.address().port;
  }));
  const way = await nginx((port) => block('nginx', 'edge').replace('listen 80;', `listen 127.0.0.1:${port};`)
    .replace(/127\.0\.0\.1:808([12])\b/g, (_, n) => `127.0.0.1:${ports[n - 1]}`));
  t.after(() => way.stop());
  const r = await fetch(`http://127.0.0.1:${way.port}/v1/chat/completions`, { method: 'POST', body: '{}' });
  assert.deepEqual([r.status, asked], [502, ['POST /v1/chat/completions']]);
  assert.equal((await get(way.port, '/metrics')).status, 404);
  assert.equal(asked.length, 1);
});

// ---- the words ---------------------------------------------------------------------------------

test('every block has a name of its own, and none is of a kind that nobody looks at', () => {
  const named = blocks.filter((b) => b.name !== 'untested').map((b) => `${b.language} ${b.name}`);
  assert.equal(new Set(named).size, named.length);
  for (const { language, name } of blocks) {
    assert.ok(['sh', 'yaml', 'ini', 'nginx'].includes(language), language);
    assert.ok(name, `a block of ${language} without a name`);
  }
});

test('its settings, metrics, commands and paths are there', async () => {
  const settings = (await run(['settings'])).stdout, help = (await run(['--help'])).stdout;
  const s = await start();
  const metrics = (await get(s.port, '/metrics')).text;
  await s.stop();
  const code = [...text.matchAll(/`([^`\n]+)`/g)].map((m) => m[1]);
  for (const [name] of code.join('\n').matchAll(/^(access|database|http|log|stream|turns)\.\w+/gm))
    assert.ok(settings.includes(`| \`${name}\``), `there is no setting ${name}`);
  for (const [name] of code.join('\n').matchAll(/runnel_[a-z_]+/g))
    assert.ok(metrics.includes(`# TYPE ${name.replace(/_bucket$/, '')} `), `there is no metric ${name}`);
  for (const [, words] of code.join('\n').matchAll(/^runnel ([a-z]+(?: [a-z]+)?)/gm))
    assert.ok(help.includes(`runnel ${words}`) || help.includes(`runnel ${words.split(' ')[0]} `), `there is no command runnel ${words}`);
  for (const [, path] of text.matchAll(/`((?:docs|sql|test|bench)\/[\w./-]+)`/g))
    assert.ok(readdirSync(join(root, dirname(path))).includes(path.split('/').pop()), path);
});
