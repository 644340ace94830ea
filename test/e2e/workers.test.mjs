// Several processes behind one port: what they share, what one's death costs, and who leads.
//
// RUNNEL_STREAMS=1000 with a release build is what the crowds are for; without it they are small.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { allGone, areWhole, calm, children, crowd, descriptors, died, eventually, finish, get, isAlive, isWhole, knock, ms, run, scratch, sleep, sockets, start, STREAMS, upgrade, words } from './lib/crew.mjs';
import { database } from './lib/database.mjs';
import * as durable from './lib/durable.mjs';
import { cluster } from './lib/postgres.mjs';
import { chat, connect, req } from './lib/raw.mjs';
import { binary, duration } from './lib/server.mjs';

const echo = (pace, more = {}) => ({
  workers: 3, drain_seconds: duration(15000), ...more,
  providers: [{ name: 'echo', kind: 'echo', tokens_per_second: pace }], models: [{ name: 'echo', targets: [{ provider: 'echo' }] }],
});

const all = (s) => eventually(() => { const pids = children(s.pid); assert.equal(pids.length, 3); return pids; });
const serving = (s, n = 3) => s.metricBecomes('runnel_workers', n, ms(10000));

// Which workers answer, by the log; each question comes over a connection of its own.
async function whoAnswers(s, times = 60) {
  const from = s.lines.length;
  for (let i = 0; i < times; i++) assert.equal((await get(s.port, '/v1/models', 'Connection: close')).status, 200);
  let seen;
  await eventually(() => {
    seen = s.lines.slice(from).filter((l) => l.includes('path=/v1/models')).map((l) => /worker=(\d+)/.exec(l)?.[1]);
    assert.equal(seen.length, times);
  });
  return seen;
}

describe('how many', () => {
  test('one is one process, which leads nobody', async () => {
    const s = await start({});
    assert.equal(s.ready.workers, '1');
    assert.deepEqual(children(s.pid), []);
    assert.equal(await s.metric('runnel_workers'), 1);
    assert.ok(s.lines.every((l) => !l.includes('worker=')));
    await s.stop();
  });

  test('three are three, and all of them answer', async () => {
    const s = await start(echo(0));
    assert.equal(s.ready.workers, '3');
    assert.equal((await all(s)).length, 3);
    assert.deepEqual([...new Set(await whoAnswers(s))].sort(), ['1', '2', '3']);
    await s.stop();
  });

  test('auto: one for each processor that we may use', async () => {
    const cpus = /Cpus_allowed_list:\s*(.*)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]
      .split(',').reduce((n, part) => { const [a, b = a] = part.split('-').map(Number); return n + b - a + 1; }, 0);
    const s = await start(echo(0, { workers: 'auto' }));
    assert.equal(s.ready.workers, String(cpus));
    await s.stop();
  });

  test('auto on one processor is one process', async () => {
    const first = /Cpus_allowed_list:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1];
    const s = await start(null, { program: 'taskset', args: ['-c', first, binary, 'serve', '--listen', '127.0.0.1:0', '--set', 'workers=auto'] });
    assert.equal(s.ready.workers, '1');
    assert.deepEqual(children(s.pid), []);
    await s.stop();
  });

  for (const workers of ['0', '129', 'many', '-1', '1.5'])
    test(`${workers} is no number of them`, async () => {
      const r = await run(['serve', '--listen', '127.0.0.1:0', '--set', `workers=${workers}`]);
      assert.equal(r.code, 1);
      assert.match(r.stderr, /workers: .*a number from 1 to 128, or auto/);
    });
});

describe('the beginning', () => {
  test('mistakes in the settings are found before anything starts', async () => {
    const r = await run(['serve', '--listen', '127.0.0.1:0', '--set', 'workers=2', '--set', 'access.jwt_algorithm=RS256', '--set', 'access.jwt_key=nonsense']);
    assert.equal(r.code, 1);
    assert.match(r.stderr, /access\.jwt_key/);
    assert.match(r.stderr, /nothing was started/);
    assert.doesNotMatch(r.stderr, /worker/);
  });

  test('a port that is taken is refused, also if another such service has it', async () => {
    const s = await start(echo(0));
    for (const workers of [1, 2]) {
      const r = await run(['serve', '--listen', `127.0.0.1:${s.port}`, '--set', `workers=${workers}`]);
      assert.equal(r.code, 1);
      assert.match(r.stderr, /cannot listen on .*in use/);
    }
    await s.stop();
  });

  test('a pid file says whom to signal, and is gone in the end', async () => {
    const file = join(scratch(), 'runnel.pid');
    const s = await start(echo(0, { pid_file: file }));
    assert.equal(readFileSync(file, 'utf8'), `${s.pid}\n`);
    await s.stop();
    assert.ok(!existsSync(file));
    const r = await run(['serve', '--listen', '127.0.0.1:0', '--set', 'workers=2', '--set', 'pid_file=/nowhere/runnel.pid']);
    assert.equal(r.code, 1);
    assert.match(r.stderr, /cannot write \/nowhere\/runnel\.pid/);
  });

  for (const workers of [1, 3])
    test(`a service manager may have opened the port, for ${workers} and for those who follow`, { timeout: ms(60000) }, async () => {
      const door = net.createServer();
      await new Promise((done) => door.listen(0, '127.0.0.1', done));
      const { port } = door.address();
      const s = await start(null, {
        program: '/bin/sh', args: ['-c', 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"', binary, 'serve', '--set', `workers=${workers}`],
        stdio: [door._handle.fd],
      });
      door.close();
      let { pid, ready } = s;
      for (let i = 0; i < 3; i++) {
        if (i) {
          const before = pid;
          ({ pid, ready } = await upgrade(s, before));
          await allGone([before]);
        }
        assert.equal(ready.address, `127.0.0.1:${port}`);
        for (let k = 0; k < 20; k++) assert.equal((await get(port, '/livez', 'Connection: close')).status, 200);
      }
      await finish(s, pid);
    });
});

describe('figures', () => {
  test('are the sums of all, whoever is asked; and outlive a death, but for what was running', async () => {
    const s = await start(echo(20));
    await whoAnswers(s, 90);
    const readers = await crowd(s.port, 12, { text: words(40) });
    for (let i = 0; i < 6; i++) {
      assert.equal(await s.metric('runnel_http_requests_total', { route: '/v1/models', status: '200' }), 90);
      assert.equal(await s.metric('runnel_turns_running'), 12);
    }
    assert.ok(await s.metric('runnel_resident_bytes') > 3 * 4e6, 'the memory of one only');
    await areWhole(readers);
    await s.metricBecomes('runnel_turns_total', 12);
    const events = await s.metric('runnel_turn_events_total'), firsts = await s.metric('runnel_first_event_seconds_count');
    assert.equal(firsts, 12);
    const again = await crowd(s.port, 12, { text: words(200) });
    for (const pid of await all(s)) process.kill(pid, 'SIGKILL');
    await Promise.all(again.map((r) => r.over));
    await serving(s);
    assert.equal(await s.metric('runnel_http_requests_total', { route: '/v1/models', status: '200' }), 90);
    assert.equal(await s.metric('runnel_turns_running'), 0);
    assert.equal(await s.metric('runnel_workers_died_total'), 3);
    assert.equal(await s.metric('runnel_first_event_seconds_count'), 24);
    assert.ok(await s.metric('runnel_turn_events_total') > events);
    await s.stop();
  });
});

describe('what they know together', () => {
  test('how often an address has shown what nobody knows', async () => {
    const s = await start(echo(0, { access: { keys: ['a-key-of-the-settings'], max_failures_per_minute: 20 } }));
    const seen = [];
    for (let i = 0; i < 40; i++)
      seen.push((await get(s.port, '/v1/models', 'Connection: close', `Authorization: Bearer wrong${i}`)).status);
    assert.deepEqual(seen, [...Array(20).fill(401), ...Array(20).fill(429)]);
    await s.stop();
  });

  test('which plugins are switched off', async () => {
    const plugins = [{ name: 'weather_plugin', prompt: 'Speak of the weather.' }];
    const s = await start(echo(0, { dialects: { assistant: { plugins } } }));
    const works = async () => {
      const seen = new Set();
      for (let i = 0; i < 20; i++) seen.add(JSON.stringify((await get(s.port, '/api/v1/plugins', 'Connection: close')).json));
      assert.equal(seen.size, 1, 'they do not agree');
      return /"enabled":true/.test([...seen][0]);
    };
    assert.equal(await works(), true);
    for (const [name, now] of [['disable', false], ['enable', true]]) {
      const r = await fetch(`http://127.0.0.1:${s.port}/api/v1/plugins/weather_plugin/${name}`, { method: 'POST' });
      assert.equal(r.status, 200, await r.text());
      assert.equal(await works(), now);
    }
    await s.stop();
  });

  test('how many of them are ready', async () => {
    const s = await start(echo(0));
    assert.deepEqual((await get(s.port, '/readyz')).json, { status: 'ready', workers: 3 });
    const [pid] = await all(s);
    const seen = () => eventually(async () => assert.equal((await get(s.port, '/readyz')).json.workers, 3));
    process.kill(pid, 'SIGKILL');
    await died(s);
    await seen();
    await s.stop();
  });

  test('nothing of what must be unlike: no two requests have one id', async () => {
    const s = await start(echo(0));
    const ids = [];
    const some = async () => { for (let i = 0; i < 100; i++) ids.push((await get(s.port, '/livez', 'Connection: close')).header('x-request-id')); };
    await some();
    for (const pid of await all(s)) process.kill(pid, 'SIGKILL');
    await s.metricBecomes('runnel_workers_died_total', 3);
    await serving(s);
    await some();
    assert.equal(new Set(ids).size, 200);
    assert.ok(ids.every((id) => id.length > 10));
    await s.stop();
  });

  test('what they do not share is a notice of `runnel check`', async () => {
    const r = await run(['check'], { env: { RUNNEL_WORKERS: '4', RUNNEL_DATABASE_URL: 'postgresql:///runnel' } });
    assert.equal(r.code, 0, r.stderr);
    assert.match(r.stdout, /: ok\nnotice: workers: database\.connections .* 16 in all\n$/);
    const alone = await run(['check'], { env: { RUNNEL_WORKERS: '4' } });
    assert.match(alone.stdout, /: ok\nnotice: workers: without a database, .*\/api\/v1\/tasks.*\n$/);
    const one = await run(['check']);
    assert.doesNotMatch(one.stdout, /notice/);
  });
});

describe('HUP', () => {
  test('no stream is cut, all take the new settings, and count it once', { timeout: ms(120000) }, async () => {
    const s = await start(echo(20));
    const readers = await crowd(s.port);
    const fine = knock(s.port);
    const file = echo(20);
    s.write({ ...file, models: [...file.models, { name: 'second', targets: [{ provider: 'echo' }] }] });
    const from = s.lines.length;
    s.kill('SIGHUP');
    await eventually(() => assert.equal(s.lines.slice(from).filter((l) => l.includes('msg=reloaded')).length, 3), ms(5000));
    for (let i = 0; i < 30; i++) assert.equal((await get(s.port, '/v1/models', 'Connection: close')).json.data.length, 2);
    await areWhole(readers);
    await fine();
    assert.equal(await s.metric('runnel_reloads_total', { result: 'done' }), 1);
    for (const pid of await all(s)) process.kill(pid, 'SIGKILL');
    await s.metricBecomes('runnel_workers_died_total', 3);
    for (let i = 0; i < 10; i++) assert.equal((await get(s.port, '/v1/models', 'Connection: close')).json.data.length, 2);
    await s.stop();
  });

  test('a bad file is refused once, for all; who begins later begins with the good one', async () => {
    const s = await start(echo(0));
    const from = s.lines.length;
    s.write({ ...echo(0), nonsense: 1 });
    s.kill('SIGHUP');
    await s.log({ msg: 'reload refused' }, { from });
    process.kill((await all(s))[0], 'SIGKILL');
    await died(s);
    await serving(s);
    await whoAnswers(s);
    const refused = s.lines.slice(from).filter((l) => l.includes('reload refused'));
    assert.equal(refused.length, 1);
    assert.doesNotMatch(refused[0], /worker=/);
    assert.ok(s.lines.slice(from).every((l) => !l.includes('msg=reloaded')));
    assert.equal(await s.metric('runnel_reloads_total', { result: 'refused' }), 1);
    s.write(echo(0));
    s.kill('SIGHUP');
    await s.log({ msg: 'reloaded' }, { from });
    await s.stop();
  });
});

describe('a death', () => {
  test('costs its own streams only; another takes its place', { timeout: ms(120000) }, async () => {
    const s = await start(echo(20));
    const readers = await crowd(s.port);
    const victim = (await all(s))[1];
    process.kill(victim, 'SIGKILL');
    const line = await died(s);
    assert.deepEqual([line.worker_pid, line.signal, line.again_in_ms, line.level], [String(victim), '9', '100', 'error']);
    await serving(s);
    await Promise.all(readers.map((r) => r.over));
    const cut = readers.filter((r) => r.end === 'broken').length;
    assert.ok(cut > 0 && cut < readers.length * 2 / 3, `${cut} of ${readers.length} were cut`);
    assert.equal(readers.filter((r) => isWhole(r, readers.text)).length, readers.length - cut);
    assert.deepEqual([...new Set(await whoAnswers(s))].sort(), ['1', '2', '3']);
    await s.stop();
  });

  test('who waited at its port is answered by the next one', async () => {
    const s = await start(echo(0));
    const victim = (await all(s))[0];
    process.kill(victim, 'SIGSTOP');
    const waiting = await Promise.all(Array.from({ length: 40 }, () => connect(s.port)));
    for (const c of waiting) await c.send(req('GET /livez HTTP/1.1', 'Host: a', 'Connection: close'));
    await sleep(ms(200));
    process.kill(victim, 'SIGKILL');
    for (const c of waiting) assert.equal((await c.response()).status, 200);
    await s.stop();
  });

  test('again and again: it rests ever longer, and the others get its share', { timeout: ms(60000) }, async () => {
    const s = await start(echo(0));
    const rests = [];
    for (const want of [100, 200, 400, 800, 1600]) {
      const from = s.lines.length;
      const last = /worker=1 msg="worker ready" worker_pid=(\d+)/g;
      const pid = Number([...s.stderr.matchAll(last)].at(-1)[1]);
      process.kill(pid, 'SIGKILL');
      rests.push((await died(s, from)).again_in_ms);
      const began = performance.now();
      if (want >= 1000) assert.equal(await s.metric('runnel_workers'), 2);
      if (want >= 1000) assert.deepEqual([...new Set(await whoAnswers(s, 40))].sort(), ['2', '3']);
      await s.log({ msg: 'worker ready', worker: '1' }, { from });
      assert.ok(performance.now() - began >= want - 20, `it came after ${performance.now() - began} ms`);
    }
    assert.deepEqual(rests, ['100', '200', '400', '800', '1600']);
    assert.deepEqual([...new Set(await whoAnswers(s))].sort(), ['1', '2', '3']);
    await s.stop();
  });

  test('is told as soon as the log is read again', async () => {
    const s = await start(echo(0));
    const pids = await all(s);
    s.child.stderr.pause();
    for (let i = 0; i < 1500; i++) await get(s.port, '/v1/models', 'Connection: close');
    process.kill(pids[0], 'SIGKILL');
    await serving(s);
    await sleep(ms(300));
    assert.doesNotMatch(s.stderr, /a worker died/, 'the log has more room than this test thinks');
    s.child.stderr.resume();
    await died(s);
    await s.stop();
  });

  test('is survived by its leader also when nobody reads the log any more', async () => {
    const s = await start(echo(0));
    const pids = await all(s);
    s.child.stderr.destroy();
    process.kill(pids[0], 'SIGKILL');
    await s.metricBecomes('runnel_workers_died_total', 1);
    await serving(s);
    s.kill('SIGHUP');
    await eventually(async () => assert.equal(await s.metric('runnel_reloads_total', { result: 'done' }), 1));
    assert.ok(isAlive(s.pid));
    assert.equal((await all(s)).length, 3);
    await s.stop();
  });

  test('descriptors are not left behind, and each has its own port only', async () => {
    const s = await start(echo(0));
    const isPort = new Set(sockets(s.pid));
    assert.equal(isPort.size, 3);
    const ports = async () => (await all(s)).map((pid) => sockets(pid).filter((socket) => isPort.has(socket)));
    assert.deepEqual((await ports()).map((own) => own.length), [1, 1, 1]);
    await whoAnswers(s);                      // whoever has served has one more, for good
    const now = await all(s);
    const before = await calm(() => [s.pid, ...now].map(descriptors));
    for (let round = 0; round < 2; round++) {
      for (const pid of await all(s)) process.kill(pid, 'SIGKILL');
      s.kill('SIGHUP');
      await s.metricBecomes('runnel_workers_died_total', 3 * round + 3, ms(10000));
      await serving(s);
    }
    await whoAnswers(s);
    const pids = await all(s);
    await eventually(() => assert.deepEqual([descriptors(s.pid), ...pids.map(descriptors)], before), ms(5000));
    assert.deepEqual((await ports()).flat().sort(), [...isPort].sort());
    await s.stop();
  });
});

describe('the end', () => {
  test('TERM: the leader has all of them drain, and is the last to go', { timeout: ms(120000) }, async () => {
    const s = await start(echo(20));
    const pids = await all(s);
    const readers = await crowd(s.port, 60);
    s.kill('SIGTERM');
    await s.log({ msg: 'draining workers' });
    await eventually(() => assert.rejects(connect(s.port)), ms(3000));
    await areWhole(readers);
    await s.gone();
    assert.deepEqual(pids.filter(isAlive), []);
  });

  test('TERM to every process, as service managers do it, cuts nothing either', async () => {
    const s = await start(echo(20));
    const readers = await crowd(s.port, 30);
    const pids = await all(s);
    for (const pid of [...pids, s.pid, ...pids]) process.kill(pid, 'SIGTERM');
    await areWhole(readers);
    await s.gone();
  });

  test('TERM to a worker alone is refused', async () => {
    const s = await start(echo(0));
    const [pid] = await all(s);
    process.kill(pid, 'SIGTERM');
    const line = await s.log({ msg: /^a worker ends when/ });
    assert.equal(line.leader, String(s.pid));
    assert.deepEqual([...new Set(await whoAnswers(s))].sort(), ['1', '2', '3']);
    assert.ok(isAlive(pid));
    await s.stop();
  });

  for (const [name, signals] of Object.entries({ 'a second TERM': ['SIGTERM', 'SIGTERM'], INT: ['SIGINT'] }))
    test(`${name} ends all at once, truthfully`, async () => {
      const s = await start(echo(5));
      const readers = await crowd(s.port, 12, { text: words(400) });
      const began = performance.now();
      s.kill(signals[0]);
      if (signals[1]) { await s.log({ msg: 'draining workers' }); s.kill(signals[1]); }
      await s.gone(ms(5000));
      assert.ok(performance.now() - began < ms(3000));
      for (const r of readers) {
        assert.equal(await r.over, 'whole');
        assert.match(r.text, /"error"/);
        assert.doesNotMatch(r.text, /\[DONE\]/);
      }
    });

  test('a question that was on its way when all ends is none that it waits for', async () => {
    const s = await start(echo(1, { workers: 1, dialects: { openai: { on_leave: 'detach' } } }));
    const c = await connect(s.port);
    const asked = chat(words(200), { stream: true });
    await c.send(asked.subarray(0, asked.length - 1));
    await sleep(ms(100));
    s.kill('SIGINT');
    await s.log({ msg: 'draining' });
    await c.send(asked.subarray(-1));
    await s.log({ msg: 'turn', fault: 'shutdown' });
    await s.gone(ms(5000));
  });

  test('workers without their leader drain', { timeout: ms(60000) }, async () => {
    const s = await start(echo(20));
    const pids = await all(s);
    const readers = await crowd(s.port, 30);
    s.kill('SIGKILL');
    await areWhole(readers);
    await allGone(pids);
    await assert.rejects(connect(s.port));
  });
});

describe('with a database', () => {
  let pg, d;
  before(async () => { pg = await cluster(); d = await database({ on: pg }); });
  after(() => pg?.remove());

  const serve = async (more) => {
    const s = await start(durable.settings(d.url, { workers: 3, ...more }));
    await eventually(async () => assert.equal((await get(s.port, '/readyz')).status, 200), ms(10000));
    return s;
  };

  test('the schema may be brought up to date first', async () => {
    const empty = await database({ on: pg, migrated: false });
    const s = await start(null, { args: ['serve', '--migrate', '--listen', '127.0.0.1:0', '--set', 'workers=2', '--set', `database.url=${empty.url}`] });
    await eventually(async () => assert.equal((await get(s.port, '/readyz')).status, 200), ms(10000));
    await s.stop();
  });

  test('after a SIGKILL every reader resumes, anywhere, and has all that was kept', { timeout: ms(120000) }, async () => {
    const s = await serve({ pace: 20 });
    const text = durable.words(200, 'k');
    const readers = await durable.crowd(s, process.env.RUNNEL_STREAMS ? STREAMS : 60);
    const reading = Promise.all(readers.map((r) => r.ask(s, text)));
    await Promise.all(readers.map((r) => r.heardSome(5, ms(40000))));
    await sleep(ms(1500));
    process.kill((await all(s))[2], 'SIGKILL');
    await reading;
    const cut = readers.filter((r) => r.cuts);
    assert.ok(cut.length > 0 && cut.length < readers.length, `${cut.length} of ${readers.length} were cut`);
    await durable.noneIsStreaming(d, durable.LEASE + ms(5000));
    await Promise.all(cut.map((r) => r.resume(s)));
    const answers = await durable.kept(d, readers);
    for (const r of readers) {
      const answer = answers.get(r.chat);
      assert.deepEqual([r.end?.how, answer.state], r.cuts ? ['error', 'interrupted'] : ['done', 'complete']);
      if (r.cuts) assert.ok(answer.content.length && text.startsWith(r.text) && r.text.startsWith(answer.content));
      else assert.equal(r.text, text);
    }
    await s.stop();
  });

  for (const [workers, signals] of [[1, ['SIGINT']], [2, ['SIGTERM', 'SIGTERM']]])
    test(`${signals.join(', ')} ends it soon, also while the database is away`, { timeout: ms(90000) }, async () => {
      const s = await serve({ pace: 20, workers, drain_seconds: duration(20000) });
      const text = durable.words(400, 'g');
      const readers = await durable.crowd(s, 6);
      const reading = readers.map((r) => r.ask(s, text));
      await Promise.all(readers.map((r) => r.heardSome(40, ms(20000))));
      await pg.stop('immediate');
      try {
        s.kill(signals[0]);
        await s.log({ msg: /^draining/ });
        if (signals[1]) s.kill(signals[1]);
        await s.gone(ms(8000));
        await Promise.all(reading);
      } finally {
        await pg.start();
      }
      const next = await serve({});
      await durable.noneIsStreaming(d, durable.LEASE + ms(5000));
      for (const [, answer] of await durable.kept(d, readers)) {
        assert.equal(answer.state, 'interrupted');
        assert.ok(answer.content.length && text.startsWith(answer.content));
      }
      for (const r of readers) {
        assert.notEqual(r.end?.how, 'done');
        assert.ok(text.startsWith(r.text));
      }
      await next.stop();
    });

  test('one that goes on elsewhere is read again, stopped and asked for again by any of them', async () => {
    const s = await serve({ pace: 20 });
    const text = durable.words(60, 'e');
    for (let i = 0; i < 6; i++) {
      const r = await durable.reader(s);
      await r.ask(s, text, { until: 5 + i });
      await r.resume(s, { until: 5 });
      await r.resume(s);
      assert.deepEqual([r.end.how, r.text], ['done', text]);
      const q = await durable.reader(s);
      await q.ask(s, durable.words(600, 'q'), { until: 5 });
      assert.deepEqual(await q.person.stop(q.chat), { stopped: true });
      await eventually(async () => assert.equal((await durable.answerOf(d, q)).state, 'stopped'), ms(5000));
    }
    await s.stop();
  });
});
