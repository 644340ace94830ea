// A program that follows another one on its port: no stream is cut and nobody finds the door shut;
// and one that cannot follow leaves the old one as it was.
//
// RUNNEL_STREAMS=1000 with a release build is what the crowds are for; without it they are small.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { start as startProvider } from '../providers/lib/index.mjs';
import { allGone, areWhole, binary, calm, children, crowd, descriptors, eventually, fails, finish, get, isAlive, knock, link, ms, place, run, scratch, sleep, start, STREAMS, upgrade, words } from './lib/crew.mjs';
import { database } from './lib/database.mjs';
import * as durable from './lib/durable.mjs';
import { cluster } from './lib/postgres.mjs';
import { connect } from './lib/raw.mjs';
import { duration } from './lib/server.mjs';

const echo = (pace, more = {}) => ({
  drain_seconds: duration(20000), ...more,
  providers: [{ name: 'echo', kind: 'echo', tokens_per_second: pace }], models: [{ name: 'echo', targets: [{ provider: 'echo' }] }],
});

const answers = async (port, n = 10) => {
  for (let i = 0; i < n; i++) assert.equal((await get(port, '/v1/models', 'Connection: close')).status, 200);
};
const hasEnded = (s, timeout = ms(60000)) => eventually(() => assert.equal(s.child.exitCode, 0), timeout);

for (const [before, after] of [[1, 1], [3, 3], [1, 3], [3, 1]])
  test(`${STREAMS} streams while ${after === 1 ? 'a process' : `${after} workers`} follow${after === 1 ? 's' : ''} ${before}`, { timeout: ms(180000) }, async () => {
    const s = await start(echo(15, { workers: before }));
    const readers = await crowd(s.port);
    const shut = knock(s.port);
    s.write(echo(15, { workers: after, listen: `127.0.0.1:${s.port}` }));
    const next = await upgrade(s);
    assert.equal(next.ready.workers, String(after));
    assert.equal(next.ready.address, s.ready.address);
    assert.notEqual(next.pid, s.pid);
    await s.log({ msg: 'upgraded', new_pid: String(next.pid) });
    assert.ok(isAlive(s.pid), 'the old one did not wait for its streams');
    const later = await crowd(s.port, 20, { text: words(10) });
    await areWhole(later);
    await areWhole(readers);
    await hasEnded(s);
    await answers(s.port, 30);
    await shut();
    assert.equal(children(next.pid).length, after === 1 ? 0 : after);
    await finish(s, next.pid);
  });

test('streams of a provider that is asked over the wire', { timeout: ms(60000) }, async () => {
  const text = words(80);
  const p = await startProvider({ kind: 'openai', answer: { text, size: 8, gap: 60 } });
  const s = await start({ ...echo(0), providers: [{ name: 'p', kind: 'openai', base_url: `${p.url}/v1`, api_key: 'k', retries: 0 }], models: [{ name: 'echo', targets: [{ provider: 'p' }] }] });
  const readers = Object.assign(await crowd(s.port, 40), { text });
  const next = await upgrade(s);
  await areWhole(readers);
  assert.equal(p.requests().length, 40, 'somebody was asked twice');
  await finish(s, next.pid);
  await p.stop();
});

describe('one after the other', () => {
  test('three times; descriptors are the same in the end', { timeout: ms(60000) }, async () => {
    const s = await start(echo(0, { workers: 2 }));
    await answers(s.port, 30);
    const seen = (pid) => [descriptors(pid), ...children(pid).map(descriptors)];
    const first = await calm(() => seen(s.pid));
    const pids = [s.pid];
    for (let i = 0; i < 3; i++) {
      const { pid } = await upgrade(s, pids.at(-1));
      await allGone([pids.at(-1)]);
      pids.push(pid);
    }
    await answers(s.port, 30);
    await eventually(() => assert.deepEqual(seen(pids.at(-1)), first), ms(5000));
    await finish(s, pids.at(-1));
  });

  test('the pid file is the new one\'s', async () => {
    const file = join(scratch(), 'pid');
    const s = await start(echo(0, { pid_file: file }));
    const { pid } = await upgrade(s);
    await hasEnded(s);
    assert.equal(readFileSync(file, 'utf8'), `${pid}\n`);
    await finish(s, pid);
    assert.ok(!existsSync(file));
  });

  test('it is started where the old one was, also if that leads to another file now', async () => {
    const [a, b] = [place(), place()];
    const l = link(a.path);
    const s = await start(echo(0), { program: l.path });
    l.turn(b.path);
    const { pid } = await upgrade(s);
    assert.equal(readlinkSync(`/proc/${pid}/exe`), b.path);
    await finish(s, pid);
  });

  test('also if it was found by its name alone, whoever follows', { timeout: ms(60000) }, async () => {
    const places = [place(), place(), place()];
    const l = link(places[0].path);
    const s = await start(echo(0), { program: basename(l.path), env: { PATH: `/nowhere:${dirname(l.path)}:${process.env.PATH}` } });
    let { pid } = s;
    for (const { path } of places.slice(1)) {
      l.turn(path);
      ({ pid } = await upgrade(s, pid));
      assert.equal(readlinkSync(`/proc/${pid}/exe`), path);
    }
    await finish(s, pid);
  });

  test('another address takes an upgrade', async () => {
    const s = await start(echo(20));
    const readers = await crowd(s.port, 5);
    s.write(echo(20, { listen: '127.0.0.2:0' }));
    const { pid, ready } = await upgrade(s);
    assert.match(ready.address, /^127\.0\.0\.2:/);
    await areWhole(readers);
    await eventually(() => assert.rejects(connect(s.port)), ms(3000));
    assert.equal((await fetch(`http://${ready.address}/livez`)).status, 200);
    await finish(s, pid);
  });
});

describe('one that cannot follow', () => {
  const lies = {
    'no program': (p) => p.garbage(), 'one that ends': (p) => p.lie('exit 3'), 'one that is killed': (p) => p.lie('kill -9 $$'),
  };
  for (const workers of [1, 3])
    test(`leaves ${workers} as it was, and a good one may follow later`, { timeout: ms(90000) }, async () => {
      const p = place();
      const s = await start(echo(20, { workers }), { program: p.path });
      const readers = await crowd(s.port, 30, { text: words(100) });
      const shut = knock(s.port);
      const fds = descriptors(s.pid).filter((f) => f !== 'socket:');
      for (const [name, lie] of Object.entries(lies)) {
        lie(p);
        const line = await fails(s);
        if (name === 'one that ends') assert.equal(line.code, '3');
        if (name === 'one that is killed') assert.equal(line.code, '9');
      }
      p.put();
      s.write({ ...echo(20, { workers }), nonsense: 1 });
      assert.equal((await fails(s)).code, '1');
      assert.match(s.stderr, /nonsense.*\n(.*\n)*.*nothing was started/);
      s.write({ ...echo(20, { workers }), pid_file: '/nowhere/pid' });
      assert.equal((await fails(s)).code, '1');
      await answers(s.port, 20);
      assert.deepEqual(descriptors(s.pid).filter((f) => f !== 'socket:'), fds);
      s.write(echo(20, { workers }));
      const { pid } = await upgrade(s);
      await areWhole(readers);
      await shut();
      await finish(s, pid);
    });

  for (const workers of [1, 2])
    test(`goes when ${workers === 1 ? 'the old one' : 'the leader'} is told to end meanwhile, and one at a time is enough`, async () => {
      const p = place();
      const s = await start(echo(0, { workers }), { program: p.path });
      p.lie('exec sleep 60');
      s.kill('SIGUSR2');
      const { new_pid } = await s.log({ msg: 'upgrading' });
      const comm = () => readFileSync(`/proc/${new_pid}/comm`, 'utf8').trim();
      await eventually(() => assert.equal(comm(), 'sleep'));
      s.kill('SIGUSR2');
      await s.log({ msg: 'no upgrade', why: 'one is under way' });
      await answers(s.port);
      s.kill('SIGTERM');
      await s.gone();
      await eventually(() => assert.throws(comm));
    });

  for (const workers of [1, 2])
    test(`is not one whose old one is gone when ${workers === 1 ? 'it serves' : 'they serve'}`, async () => {
      const p = place();
      const s = await start(echo(0, { workers }), { program: p.path });
      p.lie(`sleep ${ms(500) / 1000}; exec ${binary} "$@"`);
      s.kill('SIGUSR2');
      const pid = Number((await s.log({ msg: 'upgrading' })).new_pid);
      s.kill('SIGKILL');
      await s.log({ msg: /^nobody waits/ });
      await sleep(ms(200));
      await answers(s.port);
      process.kill(pid, 'SIGTERM');
      await allGone([pid]);
    });

  test('nobody takes the environment\'s word for a socket', async () => {
    const r = await run(['serve'], { env: { RUNNEL_LISTEN_FDS: '1' } });
    assert.equal(r.code, 1);
    assert.match(r.stderr, /names 1 as a listening socket, and it is none/);
  });
});

describe('with a database', () => {
  let pg, d;
  before(async () => { pg = await cluster(); d = await database({ on: pg }); });
  after(() => pg?.remove());

  test('what outlasts the drain goes on for its readers by their last id', { timeout: ms(120000) }, async () => {
    const s = await durable.serve(d, { pace: 20, workers: 2, drain_seconds: duration(2500) });
    const [short, long] = [durable.words(30, 's'), durable.words(400, 'l')];
    const readers = await durable.crowd(s, process.env.RUNNEL_STREAMS ? STREAMS : 40);
    const reading = readers.map((r, i) => r.ask(s, i % 2 ? short : long));
    await Promise.all(readers.map((r) => r.heardSome(3, ms(40000))));
    const { pid } = await upgrade(s);
    await Promise.all(reading);
    await eventually(() => assert.ok(!isAlive(s.pid)), ms(10000));
    const answer = await durable.kept(d, readers);
    for (const [i, r] of readers.entries()) {
      const a = answer.get(r.chat);
      assert.deepEqual([r.end?.how, a.state], i % 2 ? ['done', 'complete'] : ['error', 'interrupted']);
      assert.equal(r.text, a.content);
      if (i % 2) assert.equal(r.text, short);
      const again = Object.assign(r, { end: null, cuts: 0 });
      if (i % 2 === 0) { await again.resume(s); assert.deepEqual([again.end.how, again.text], ['error', a.content]); }
    }
    await finish(s, pid);
  });

  test('readers whose answer is told by the old one hear it on the new one', { timeout: ms(60000) }, async () => {
    const s = await durable.serve(d, { pace: 20, drain_seconds: duration(15000) });
    const text = durable.words(100, 't');
    const r = await durable.reader(s);
    await r.ask(s, text, { until: 10 });
    const { pid } = await upgrade(s);
    await r.resume(s, { until: 20 });
    await r.resume(s);
    assert.deepEqual([r.end.how, r.text], ['done', text]);
    await finish(s, pid);
  });

  test('one that does not know the schema does not take the port', async () => {
    const s = await durable.serve(d, { pace: 20, workers: 1 });
    await d.sql("INSERT INTO runnel.migration SELECT max(number) + 1, 'newer', (array_agg(hash))[1], now(), now() FROM runnel.migration");
    await fails(s);
    assert.match(s.stderr, /a newer one has/);
    assert.equal((await get(s.port, '/readyz')).status, 200);
    await d.sql("DELETE FROM runnel.migration WHERE name = 'newer'");
    const { pid } = await upgrade(s);
    await finish(s, pid);
  });
});
