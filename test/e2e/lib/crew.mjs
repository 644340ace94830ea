// Services of several processes, and programs that follow one another on one port: who they are,
// crowds of streams that go on meanwhile, and a knocker who sees whether the door is ever shut.
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, readdirSync, readFileSync, readlinkSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { get } from './raw.mjs';
import { heard, read } from './reader.mjs';
import { binary, eventually, launch, ms, run, scratch, start } from './server.mjs';

export { sleep };
export const STREAMS = Number(process.env.RUNNEL_STREAMS ?? 200);

// ---- processes --------------------------------------------------------------------------------

// A successor is no child of ours; it goes with the test file all the same.
const strangers = new Set();
process.on('exit', () => { for (const pid of strangers) if (isAlive(pid)) process.kill(pid, 'SIGKILL'); });

export const isAlive = (pid) => {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'latin1')) && /runnel|sh$/.test(readlinkSync(`/proc/${pid}/exe`));
  } catch {
    return false;
  }
};
export const allGone = (pids, timeout = ms(10000)) => eventually(() => assert.deepEqual(pids.filter(isAlive), []), timeout);

export const children = (pid) => readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').filter(Boolean).map(Number);

// What a process has open, without what it was given by whoever started it.
export const descriptors = (pid) => readdirSync(`/proc/${pid}/fd`).map((fd) => {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/\[\d+\]/, '');
  } catch {
    return null;
  }
}).filter(Boolean).sort();

// What is seen when nothing moves any more: the same five times in a row.
export async function calm(look) {
  let seen = look();
  for (let times = 1; times < 5; times++) {
    await sleep(ms(50));
    const now = look();
    if (JSON.stringify(now) !== JSON.stringify(seen)) times = 0;
    seen = now;
  }
  return seen;
}

// The sockets behind its own descriptors, without the log's.
export const sockets = (pid) => readdirSync(`/proc/${pid}/fd`).filter((fd) => fd > 2).map((fd) => {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`);
  } catch {
    return '';
  }
}).filter((link) => link.startsWith('socket:'));

// ---- one program after the other ----------------------------------------------------------------

// The program in a place of its own, where the test may put another one. `lie` is a script
// that stands there instead, `garbage` no program at all.
export function place() {
  const dir = scratch();
  const path = join(dir, 'runnel');
  const put = (make) => { const fresh = join(dir, `fresh${Math.random()}`); make(fresh); chmodSync(fresh, 0o755); renameSync(fresh, path); };
  const p = {
    path,
    put: () => put((f) => copyFileSync(binary, f)),
    lie: (script) => put((f) => writeFileSync(f, `#!/bin/sh\n${script}\n`)),
    garbage: () => put((f) => writeFileSync(f, Buffer.alloc(5000, 7))),
  };
  p.put();
  return p;
}

export function link(to) {
  const path = join(scratch(), 'current');
  symlinkSync(to, path);
  return { path, turn: (other) => { const fresh = `${path}.new`; symlinkSync(other, fresh); renameSync(fresh, path); } };
}

// Whoever serves in its place, as a server of its own: { pid, ready }.
export async function upgrade(s, pid = s.pid) {
  const from = s.lines.length;
  process.kill(pid, 'SIGUSR2');
  strangers.add(Number((await s.log({ msg: 'upgrading' }, { from })).new_pid));
  const ready = await s.log({ msg: 'ready' }, { from });
  return { pid: Number(ready.pid), ready };
}

export async function fails(s, match = {}, pid = s.pid) {
  const from = s.lines.length;
  process.kill(pid, 'SIGUSR2');
  return s.log({ msg: /^upgrade failed/, ...match }, { from });
}

// A server whose last successor ends as well.
export async function finish(s, ...pids) {
  for (const pid of pids) if (isAlive(pid)) process.kill(pid, 'SIGTERM');
  if (!pids.includes(s.pid) && isAlive(s.pid) && !pids.length) s.kill('SIGTERM');
  await s.gone();
  await allGone(pids);
}

export const died = (s, from = 0) => s.log({ msg: 'a worker died' }, { from });

// ---- crowds ---------------------------------------------------------------------------------------

export const words = (n) => Array.from({ length: n }, (_, i) => `w${i}`).join(' ');

// `n` streams that have begun, each over a connection of its own.
export async function crowd(port, n = STREAMS, { text = words(60), model = 'echo' } = {}) {
  const all = [];
  for (let i = 0; i < n; i += 50) {
    const some = Array.from({ length: Math.min(50, n - i) }, () => read(port, { body: { model, stream: true, messages: [{ role: 'user', content: text }] } }));
    await Promise.all(some.map((r) => r.until(() => r.events.length > 2, 'its first words', ms(60000))));
    all.push(...some);
  }
  return Object.assign(all, { text });
}

export const isWhole = (r, text) => { const h = heard(r); return r.end === 'whole' && h.done && h.text === text; };

export async function areWhole(readers) {
  await Promise.all(readers.map((r) => r.over));
  for (const [i, r] of readers.entries()) assert.ok(isWhole(r, readers.text), `stream ${i} ended as ${r.end}: ${r.error} ${r.text.slice(-200)}`);
}

// Asks for something small over and over, over new connections, and counts what went wrong.
export function knock(port, path = '/v1/models') {
  let on = true;
  const seen = { times: 0, wrong: [] };
  const going = (async () => {
    while (on) {
      await get(port, path, 'Connection: close').then((r) => r.status === 200 || seen.wrong.push(r.status), (e) => seen.wrong.push(e.message));
      seen.times++;
      await sleep(5);
    }
  })();
  return async () => {
    on = false;
    await going;
    assert.deepEqual(seen.wrong, [], `of ${seen.times} knocks`);
    assert.ok(seen.times > 3, 'nobody knocked');
  };
}

export { binary, eventually, get, heard, launch, ms, read, run, scratch, start };
