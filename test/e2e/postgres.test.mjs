// The tools for tests with PostgreSQL, tested themselves: what they break must be broken, and
// only that; what they say must be so.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import net from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { cluster, freePort, pgbouncer, psql } from './lib/postgres.mjs';
import { wire } from './lib/wire.mjs';
import { eventually, ms } from './lib/server.mjs';

let db;
before(async () => {
  db = await cluster({ settings: { work_mem: '3MB' } });
  await db.sql('CREATE TABLE kept (n int); CREATE TABLE go (n int)');
});
after(() => db?.remove());

const numbers = async (c, where = 'true') => (await c.sql(`SELECT n FROM kept WHERE ${where} ORDER BY n`)).map(([n]) => Number(n));
const soon = (promise) => Promise.race([promise, sleep(ms(5000)).then(() => { throw new Error('nobody told us'); })]);
const runs = (pid) => existsSync(`/proc/${pid}/cwd`);                // not when only its number is left

describe('a cluster', () => {
  test('answers on TCP and on its socket, in UTF-8, with the settings it was given', async () => {
    assert.match(db.url, new RegExp(`^postgresql://postgres:[0-9a-f]{32}@127\\.0\\.0\\.1:${db.port}/postgres$`));
    const shown = 'SHOW server_encoding; SHOW lc_collate; SHOW work_mem; SHOW fsync; SHOW synchronous_commit; SHOW port';
    for (const url of [db.url, db.socketUrl])
      assert.deepEqual((await psql(url, shown)).flat(), ['UTF8', 'C.UTF-8', '3MB', 'off', 'on', String(db.port)]);
    assert.deepEqual(await psql(db.url, 'SELECT inet_server_addr() IS NULL'), [['f']]);
    assert.deepEqual(await psql(db.socketUrl, 'SELECT inet_server_addr() IS NULL'), [['t']]);
  });

  test('rows are told as they are', async () => {
    assert.deepEqual(await db.sql("SELECT 1, NULL, '', E'a\\nb|c', '你好 👩‍👩‍👧'; SELECT WHERE false; VALUES ('x'), ('y')"),
      [['1', null, '', 'a\nb|c', '你好 👩‍👩‍👧'], ['x'], ['y']]);
  });

  test('an error is thrown in the server\'s words, and what follows it is not run', async () => {
    await assert.rejects(db.sql('SELECT 5; SELECT 1/0; INSERT INTO kept VALUES (-1)'), (e) => {
      assert.equal(e.message, 'psql: ERROR:  division by zero');
      assert.deepEqual(e.rows, [['5']]);
      return true;
    });
    assert.deepEqual(await numbers(db, 'n < 0'), []);
  });

  test('a statement that takes too long is given up', async () => {
    await assert.rejects(db.sql('SELECT pg_sleep(5)', { timeout: ms(300) }), { timedOut: true });
  });

  test('on TCP nobody comes in without the password', async () => {
    await assert.rejects(psql(`postgresql://postgres@127.0.0.1:${db.port}/postgres`, 'SELECT 1'), /no password supplied/);
    await assert.rejects(psql(db.url.replace(/:[0-9a-f]{32}@/, ':wrong@'), 'SELECT 1'), /password authentication failed/);
  });

  test('starting it again is no error, and changes nothing', async () => {
    const { pid, url } = db;
    await db.start();
    assert.deepEqual([db.pid, db.url], [pid, url]);
  });

  for (const [how, stop, said] of [
    ['fast', () => db.stop(), /database system was shut down at/],
    ['immediate', () => db.stop('immediate'), /database system was not properly shut down; automatic recovery/],
    ['killed', () => db.kill(), /database system was interrupted; [^]*automatic recovery/],
  ]) test(`what was stored is there after a stop: ${how}`, async () => {
    const n = how.length * 1000;
    const [{ pid }, from] = [db, db.log.length];
    assert.ok(runs(pid));
    await db.sql(`INSERT INTO kept VALUES (${n}); CREATE TEMP TABLE lost (n int)`);
    const busy = db.sql('SELECT pg_sleep(60)');
    busy.catch(() => {});
    await eventually(async () => assert.deepEqual(await db.sql("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"), [['1']]));
    await stop();
    assert.equal(db.pid, null);
    assert.ok(!runs(pid), 'it still runs');
    await assert.rejects(busy, /terminating connection|server closed the connection|connection to server was lost/);
    await assert.rejects(psql(db.url, 'SELECT 1'), /Connection refused/);
    await assert.rejects(db.sql('SELECT 1'), /No such file or directory|Connection refused/);
    await db.stop();                          // what does not run is stopped
    await db.start();
    assert.notEqual(db.pid, pid);
    assert.deepEqual(await numbers(db, `n = ${n}`), [n]);
    assert.match(db.log.slice(from), said);
  });

  test('settings that PostgreSQL refuses say so, and are not kept', async () => {
    await db.stop();
    await assert.rejects(db.start({ max_connections: 'many' }), /does not start[^]*max_connections/);
    await db.start({ work_mem: "5MB" });
    assert.deepEqual(await db.sql('SHOW work_mem'), [['5MB']]);
  });

  test('a standby follows, and is promoted', async () => {
    const standby = await cluster({ standbyOf: db });
    try {
      await db.sql('INSERT INTO kept VALUES (77)');
      await eventually(async () => assert.deepEqual(await numbers(standby, 'n = 77'), [77]), ms(10000));
      await assert.rejects(standby.sql('INSERT INTO kept VALUES (78)'), /read-only transaction/);
      await db.kill();
      await standby.promote();
      await psql(standby.url, 'INSERT INTO kept VALUES (78)');
      assert.deepEqual(await numbers(standby, 'n IN (77, 78)'), [77, 78]);
      await db.start();
      assert.deepEqual(await numbers(db, 'n IN (77, 78)'), [77]);
    } finally {
      await standby.remove();
    }
    assert.ok(!existsSync(standby.dir));
  });
});

describe('a cluster goes with its process', { concurrency: true }, () => {
  for (const end of ['process.exit(0)', 'throw new Error("in a test")', 'process.kill(process.pid, "SIGTERM")', 'process.kill(process.pid, "SIGKILL")'])
    test(`${end}`, async () => {
      const lib = new URL('./lib/postgres.mjs', import.meta.url);
      const child = spawn(process.execPath, ['--input-type=module', '-e',
        `import { cluster } from ${JSON.stringify(lib)}; const c = await cluster({ port: false });
         process.stdout.write(JSON.stringify([c.pid, c.dir]), () => { ${end}; });`], { stdio: ['ignore', 'pipe', 'ignore'] });
      let said = '';
      child.stdout.on('data', (d) => { said += d; });
      await once(child, 'close');
      const [pid, dir] = JSON.parse(said);
      assert.ok(pid > 0 && dir);
      await eventually(() => assert.ok(!existsSync(dir) && !runs(pid), `process ${pid} or ${dir} is left`), ms(10000));
    });
});

describe('a wire', () => {
  let w;
  before(async () => { w = await wire(db.url); });
  afterEach(async () => { await w.pass(); await go(); });
  after(() => w.close());

  const ask = (sql, options) => psql(w.url, sql, options);
  const works = async () => assert.deepEqual(await ask('SELECT 6 * 7'), [['42']]);
  const BROKEN = /server closed the connection unexpectedly|Connection reset by peer|connection to server was lost/;
  const BIG = "SELECT repeat('x', 1000000)";

  // Two statements, and between them time for a fault: the server waits there until `go`.
  async function inTwo(first, second) {
    await db.sql('TRUNCATE go');
    const from = w.statements.length;
    const all = ask(`${first}; DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM go) LOOP PERFORM pg_sleep(0.01); END LOOP; END $$; ${second}`);
    all.catch(() => {});
    await eventually(() => assert.ok(w.statements.slice(from).some((s) => s.startsWith('DO'))), ms(10000));
    return { all };
  }
  const go = () => db.sql('INSERT INTO go VALUES (1)');

  test('passes everything, and knows the statements', async () => {
    const from = w.statements.length;
    await works();
    const [[big]] = await ask(BIG);
    assert.equal(big.length, 1000000);
    assert.deepEqual(w.statements.slice(from), ['SELECT 6 * 7', BIG]);
    await eventually(() => assert.equal(w.connections.size, 0));
  });

  test('refuses new connections, and leaves the others', async () => {
    const { all } = await inTwo('SELECT 1', 'SELECT 2');
    w.refuse();
    await assert.rejects(ask('SELECT 1'), /Connection refused/);
    await go();
    assert.deepEqual(await all, [['1'], ['2']]);
    await w.pass();
    await works();
  });

  test('takes connections and says nothing', async () => {
    w.stall();
    const accepted = w.accepted;
    await assert.rejects(ask('SELECT 1', { timeout: ms(500) }), { timedOut: true });
    assert.equal(w.accepted, accepted + 1);
    await w.pass();
    await works();
  });

  for (const way of ['up', 'down'])
    test(`stops forwarding ${way}, and goes on where it was`, async () => {
      await db.sql('TRUNCATE kept');
      const { all } = await inTwo('SELECT 1', 'INSERT INTO kept VALUES (3) RETURNING n');
      w.hold(way);
      await go();
      let over = false;
      all.finally(() => { over = true; }).catch(() => {});
      await sleep(ms(300));
      assert.ok(!over, 'it went on');
      // The answer to the first half cannot come, so the second is not asked for either way.
      assert.deepEqual(await numbers(db), []);
      await w.pass();
      assert.deepEqual(await all, [['1'], ['3']]);
      assert.deepEqual(await numbers(db), [3]);
    });

  test('ends after so many bytes down', async () => {
    for (const how of ['reset', 'fin']) {
      const raw = await rawClient(w.port);
      w.cut({ down: 7, how });
      raw.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]));          // TLS? One byte answers: N
      await eventually(() => assert.equal(raw.heard.length, 1));
      raw.write(startup());
      await raw.over;
      assert.deepEqual([raw.heard.length, raw.how], [7, how]);
      await assert.rejects(ask(BIG), BROKEN);
      await w.pass();
      await works();
    }
  });

  test('ends after so many bytes up, and the server is not asked', async () => {
    await db.sql('TRUNCATE kept');
    const { all } = await inTwo('SELECT 1', 'INSERT INTO kept VALUES (1)');
    w.cut({ up: 10 });
    await go();
    await assert.rejects(all, BROKEN);
    assert.deepEqual(await numbers(db), []);
    await w.pass();
  });

  test('says to the client that the server has ended', async () => {
    const { all } = await inTwo('SELECT 1', 'SELECT 2');
    w.end('down');
    await assert.rejects(all, BROKEN);
  });

  test('says to the server that the client has ended', async () => {
    const raw = await rawClient(w.port);
    raw.write(startup());
    await eventually(() => assert.ok(raw.heard.length > 0));         // it asks for a password
    w.end('up');
    await raw.over;
    assert.equal(raw.how, 'fin');
  });

  test('breaks all connections at once', async () => {
    const { all } = await inTwo('SELECT 1', 'SELECT 2');
    w.reset();
    await assert.rejects(all, BROKEN);
    await works();
  });

  for (const then of ['reset', 'fin', 'silence'])
    test(`drops the answer to a statement that was run, then ${then}`, async () => {
      await db.sql('TRUNCATE kept');
      const dropped = w.dropAnswer(/INSERT/, then);
      const all = ask('SELECT 1; INSERT INTO kept VALUES (4); SELECT 2', { timeout: then === 'silence' ? ms(700) : ms(15000) });
      all.catch(() => {});
      assert.equal(await soon(dropped), 'INSERT INTO kept VALUES (4);');
      assert.deepEqual(await numbers(db), [4], 'it was not run when we were told');
      await assert.rejects(all, (e) => {
        assert.deepEqual(e.rows, [['1']], 'the answer before it got lost');
        assert.ok(then === 'silence' ? e.timedOut : BROKEN.test(e.message), e.message);
        return true;
      });
      await ask('INSERT INTO kept VALUES (5)');                      // it happens once
      assert.deepEqual(await numbers(db), [4, 5]);
    });

  for (const then of ['reset', 'silence'])
    test(`loses a statement before the server hears it, then ${then}`, async () => {
      await db.sql('TRUNCATE kept');
      const lost = w.loseStatement(/INSERT/, then);
      await assert.rejects(ask('INSERT INTO kept VALUES (4)', { timeout: then === 'silence' ? ms(700) : ms(15000) }),
        (e) => (then === 'silence' ? e.timedOut : BROKEN.test(e.message)));
      assert.equal(await soon(lost), 'INSERT INTO kept VALUES (4)');
      await ask('INSERT INTO kept VALUES (5)');
      assert.deepEqual(await numbers(db), [5]);
    });

  test('waits', async () => {
    const took = async () => { const began = performance.now(); await works(); return performance.now() - began; };
    w.delay(100);
    assert.ok(await took() >= 600);           // TLS or not, who it is, the question: both ways
    await w.pass();
    await eventually(async () => assert.ok(await took() < 600), ms(10000));
  });

  test('a server that is not there looks like one that breaks off', async () => {
    await db.stop();
    try {
      await assert.rejects(ask('SELECT 1'), BROKEN);
    } finally {
      await db.start();
    }
    await works();
  });
});

// ---- batches, with a server of our own that answers when we say ----------------

const message = (type, ...parts) => {
  const body = Buffer.concat(parts.map((p) => (typeof p === 'string' ? Buffer.from(`${p}\0`) : Buffer.from(p))));
  const head = Buffer.alloc(5);
  head.write(type, 'latin1');
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head.subarray(type ? 0 : 1), body]);
};
const startup = () => message('', [0, 3, 0, 0], 'user', 'postgres', 'database', 'postgres', [0]);
const READY = message('Z', [0x49]);

async function rawClient(port) {
  const socket = net.connect({ port, host: '127.0.0.1' });
  await once(socket, 'connect');
  const raw = { heard: Buffer.alloc(0), how: null, write: (b) => socket.write(b), destroy: () => socket.destroy() };
  socket.on('data', (d) => { raw.heard = Buffer.concat([raw.heard, d]); });
  socket.on('end', () => { raw.how ??= 'fin'; }).on('error', () => { raw.how ??= 'reset'; });
  raw.over = once(socket, 'close').catch(() => {});
  return raw;
}

describe('a wire with batches on it', () => {
  const close = [];
  after(() => { for (const c of close) c(); });

  // A client whose start-up is done, and the server's end of its connection.
  async function talk(bytewise) {
    const listener = net.createServer();
    const port = await freePort();
    listener.listen(port, '127.0.0.1');
    await once(listener, 'listening');
    const w = await wire(`postgresql://postgres@127.0.0.1:${port}/postgres`);
    const [client, [server]] = await Promise.all([rawClient(w.port), once(listener, 'connection')]);
    server.on('error', () => {});
    const seen = { bytes: Buffer.alloc(0) };
    server.on('data', (d) => { seen.bytes = Buffer.concat([seen.bytes, d]); });
    close.push(() => { client.destroy(); server.destroy(); w.close(); listener.close(); });
    const send = async (to, data) => {
      if (!bytewise) return to.write(data);
      for (const b of data) { to.write(Buffer.from([b])); await sleep(1); }
    };
    await send(client, startup());
    await eventually(() => assert.deepEqual(seen.bytes, startup()));
    await send(server, Buffer.concat([message('R', [0, 0, 0, 0]), READY]));
    await eventually(() => assert.equal(client.heard.length, 9 + READY.length));
    client.heard = seen.bytes = Buffer.alloc(0);
    return { w, client, server, seen, send };
  }

  const parse = (name, sql) => message('P', name, sql, [0, 0]);
  const run = (name) => Buffer.concat([message('B', '', name, [0, 0, 0, 0, 0, 0]), message('E', '', [0, 0, 0, 0])]);
  const SYNC = message('S');
  const done = (tag) => Buffer.concat([message('2'), message('C', tag), READY]);

  for (const bytewise of [false, true])
    test(`answers before it are heard, those in its batch are not${bytewise ? ', byte by byte' : ''}`, async () => {
      const { w, client, server, seen, send } = await talk(bytewise);
      const dropped = w.dropAnswer(/INSERT/, 'silence');
      const sent = Buffer.concat([parse('s', 'SELECT 1'), parse('i', 'INSERT'), SYNC, run('s'), SYNC, run('s'), run('i'), SYNC, run('s'), SYNC]);
      await send(client, sent);
      await eventually(() => assert.deepEqual(seen.bytes, sent));
      const heard = Buffer.concat([message('1'), message('1'), READY, done('SELECT 1')]);
      await send(server, Buffer.concat([heard, message('2'), message('C', 'SELECT 1')]));
      await eventually(() => assert.deepEqual(client.heard, heard));
      assert.equal(await Promise.race([dropped, sleep(50)]), undefined, 'told before the answer');
      await send(server, Buffer.concat([done('INSERT 0 1'), done('SELECT 1')]));
      assert.equal(await soon(dropped), 'INSERT');
      await sleep(50);
      assert.deepEqual(client.heard, heard);
      assert.deepEqual(w.statements, ['SELECT 1', 'SELECT 1', 'INSERT', 'SELECT 1']);
    });

  test('what was only prepared was not run', async () => {
    const { w, client, server, seen, send } = await talk(false);
    let told = false;
    w.dropAnswer(/INSERT/).then(() => { told = true; });
    await send(client, Buffer.concat([parse('i', 'INSERT'), SYNC]));
    await eventually(() => assert.ok(seen.bytes.length > 0));
    await send(server, Buffer.concat([message('1'), READY]));
    await eventually(() => assert.equal(client.heard.length, 5 + READY.length));
    assert.deepEqual([told, w.statements], [false, []]);
  });
});

describe('a pooler', () => {
  test('passes queries, many clients on one connection', async () => {
    const pooler = await pgbouncer(db.url, { poolMode: 'transaction', settings: { default_pool_size: 1 } });
    try {
      const pids = await Promise.all([1, 2, 3].map(() => psql(pooler.url, 'SELECT pg_backend_pid()')));
      assert.equal(new Set(pids.flat(2)).size, 1);
      const pools = await psql(pooler.admin, 'SHOW POOLS');
      assert.equal(pools.find(([name]) => name === 'postgres').at(-1), 'transaction');
    } finally {
      await pooler.stop();
    }
    await assert.rejects(psql(pooler.url, 'SELECT 1'), /Connection refused/);
  });

  test('that cannot start says why', async () => {
    await assert.rejects(pgbouncer(db.url, { poolMode: 'nonsense' }), /does not answer[^]*pool_mode/);
  });
});
