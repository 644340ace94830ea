// As a service of systemd: what the program tells its supervisor, played by a few lines of
// Python, for Node.js has no such sockets.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { join } from 'node:path';
import { allGone, children, finish, get, isAlive, sleep, upgrade } from './lib/crew.mjs';
import { binary, duration, eventually, launch, ms, scratch, start } from './lib/server.mjs';

const EAR = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("-", flush=True)
while True:
    print(s.recv(4096).decode().replace("\\n", " "), flush=True)
`;

async function supervisor() {
  const path = join(scratch(), 'notify');
  const child = launch('python3', ['-c', EAR, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const s = { path, words: [], stop: () => child.kill() };
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (d) => {
    const lines = (rest + d).split('\n');
    rest = lines.pop();
    s.words.push(...lines);
  });
  s.heard = (what) => eventually(() => assert.match(s.words.join('\n'), what));
  await s.heard(/^-$/m);
  s.words.length = 0;
  return s;
}

describe('under a supervisor', () => {
  let ear;
  before(async () => { ear = await supervisor(); });
  after(() => ear.stop());

  for (const workers of [1, 2]) test(`it hears of ready, alive, reload and the end, in order (workers: ${workers})`, async () => {
    ear.words.length = 0;
    const server = await start({ workers, drain_seconds: duration(2000) }, { env: { NOTIFY_SOCKET: ear.path, WATCHDOG_USEC: String(ms(200) * 1000) } });
    await ear.heard(new RegExp(`^READY=1 MAINPID=${server.pid} STATUS=serving$`, 'm'));
    await eventually(() => assert.ok(ear.words.filter((w) => w === 'WATCHDOG=1').length >= 3, 'it is told that the loop turns'));
    server.child.kill('SIGHUP');
    await server.log({ msg: 'reloaded' });
    await ear.heard(/^RELOADING=1 MONOTONIC_USEC=\d+\n(WATCHDOG=1\n)*READY=1 /m);
    server.write('providers: 7');
    server.child.kill('SIGHUP');
    await server.log({ msg: 'reload refused' });
    await ear.heard(/RELOADING=1[^]*RELOADING=1[^]*READY=1 /);
    server.child.kill('SIGTERM');
    await ear.heard(new RegExp(`^STOPPING=1 EXTEND_TIMEOUT_USEC=${(ms(2000) + 5000) * 1000} STATUS=draining$`, 'm'));
    await server.gone();
    assert.match(ear.words.at(-1), /^(STOPPING=1|WATCHDOG=1)/);
    assert.match(ear.words[0], /^READY=1/, 'nothing is said before it serves');
    for (const word of ear.words) assert.doesNotMatch(word, new RegExp(`MAINPID=(?!${server.pid} )`), 'no worker speaks');
  });

  for (const workers of [1, 2]) test(`a new program speaks for itself, and the old one is silent (workers: ${workers})`, async () => {
    ear.words.length = 0;
    const server = await start({ workers }, { env: { NOTIFY_SOCKET: ear.path, WATCHDOG_USEC: String(ms(200) * 1000) } });
    await ear.heard(new RegExp(`^READY=1 MAINPID=${server.pid} `, 'm'));
    const next = await upgrade(server);
    await ear.heard(new RegExp(`^READY=1 MAINPID=${next.pid} `, 'm'));
    await eventually(() => assert.equal(server.child.exitCode, 0), ms(10000));
    assert.doesNotMatch(ear.words.join('\n'), /STOPPING/, 'the service goes on');
    const sofar = ear.words.length;
    await eventually(() => assert.ok(ear.words.length > sofar, 'the new one is alive'));
    process.kill(next.pid, 'SIGTERM');
    await ear.heard(/^STOPPING=1 /m);
    await finish(server, next.pid);
  });

  for (const workers of [1, 2]) test(`whom it watches by number it hears of behind every upgrade (workers: ${workers})`, { timeout: ms(60000) }, async () => {
    ear.words.length = 0;
    const server = await start(null, {
      program: '/bin/sh', args: ['-c', 'WATCHDOG_PID=$$ exec "$0" "$@"', binary, 'serve', '--listen', '127.0.0.1:0', '--set', `workers=${workers}`],
      env: { NOTIFY_SOCKET: ear.path, WATCHDOG_USEC: String(ms(200) * 1000) },
    });
    let { pid } = server;
    for (let i = 0; i < 3; i++) {
      await ear.heard(new RegExp(`^READY=1 MAINPID=${pid} `, 'm'));
      const sofar = ear.words.length;
      await eventually(() => assert.ok(ear.words.slice(sofar).includes('WATCHDOG=1'), `program ${i + 1} is alive`));
      if (i === 2) break;
      const next = await upgrade(server, pid);
      await allGone([pid]);
      ({ pid } = next);
    }
    await finish(server, pid);
  });

  test('a loop that stands still is not called alive', async () => {
    ear.words.length = 0;
    const server = await start({}, { env: { NOTIFY_SOCKET: ear.path, WATCHDOG_USEC: String(ms(200) * 1000) } });
    await ear.heard(/^WATCHDOG=1$/m);
    server.child.kill('SIGSTOP');
    await new Promise((done) => { setTimeout(done, ms(150)); });
    const said = ear.words.length;
    await new Promise((done) => { setTimeout(done, ms(600)); });
    assert.equal(ear.words.length, said);
    server.child.kill('SIGCONT');
    await eventually(() => assert.ok(ear.words.length > said));
    await server.stop();
  });

  const watched = async () => {
    const server = await start({ workers: 3 }, { env: { NOTIFY_SOCKET: ear.path, WATCHDOG_USEC: String(ms(2000) * 1000) } });
    return { server, pids: children(server.pid) };
  };

  test('a worker that stands still is replaced, and the others are left alone', { timeout: ms(60000) }, async () => {
    const { server, pids } = await watched();
    process.kill(pids[1], 'SIGSTOP');
    const line = await server.log({ msg: 'a worker stands still' });
    assert.deepEqual([line.worker, line.worker_pid, line.level], ['2', String(pids[1]), 'error']);
    await server.log({ msg: 'a worker died', worker_pid: String(pids[1]), signal: '9' });
    await server.log((f) => f.msg === 'worker ready' && !pids.includes(Number(f.worker_pid)));
    for (let i = 0; i < 30; i++) assert.equal((await get(server.port, '/livez', 'Connection: close')).status, 200);
    const now = children(server.pid);
    assert.deepEqual([now.length, now.includes(pids[0]), now.includes(pids[2])], [3, true, true]);
    await server.stop();
  });

  test('when all of them stand still together, nobody is blamed', { timeout: ms(60000) }, async () => {
    const { server, pids } = await watched();
    const everybody = [server.pid, ...pids];
    await sleep(ms(1500));
    for (const pid of everybody) process.kill(pid, 'SIGSTOP');
    await sleep(ms(5000));
    for (const pid of everybody) process.kill(pid, 'SIGCONT');
    await sleep(ms(2500));
    assert.deepEqual(everybody.filter(isAlive), everybody);
    assert.doesNotMatch(server.stderr, /stands still|a worker died/);
    await server.stop();
  });
});
