// Two thousand WebSockets that wait: all of them are there, and cost little.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { binary, duration, ms, start } from './lib/server.mjs';
import { CLOSE, close, frame, greeted, text } from './lib/ws.mjs';

const MANY = 2000, MOST_BYTES = 6 * 1024;
const sanitized = readFileSync(binary).includes('__asan_init');

// What is this process's own: pages that others share count in part.
const pss = (pid) => Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]) * 1024;

async function many(n, make, atOnce = 50) {
  const all = [];
  while (all.length < n) all.push(...await Promise.all(Array.from({ length: Math.min(atOnce, n - all.length) }, (_, i) => make(all.length + i))));
  return all;
}

const pong = async (s) => {
  await s.send(text({ type: 'ping' }));
  return (await s.message(ms(30000))).type;
};

let server;
before(async () => { server = await start({ websocket: { ping_every: '5m' } }); });
after(() => server?.stop());

test(`${MANY} that wait`, async (t) => {
  // What the first of them make the program keep for all is not theirs.
  for (const s of await many(100, () => greeted(server.port))) s.destroy();
  await server.metricBecomes('runnel_websockets', 0);
  const before = pss(server.pid);
  const all = await many(MANY, () => greeted(server.port));
  assert.equal(await server.metric('runnel_websockets'), MANY);
  await t.test('cost little', { skip: sanitized && 'a sanitizer has a memory of its own' }, async () => {
    await sleep(ms(200));
    const each = (pss(server.pid) - before) / MANY;
    t.diagnostic(`${Math.round(each)} bytes each`);
    assert.ok(each < MOST_BYTES, `${each} bytes each`);
  });
  await t.test('are there, and cost no more when they have said something', async () => {
    for (let i = 0; i < MANY; i += 100)
      assert.deepEqual(new Set(await Promise.all(all.slice(i, i + 100).map(pong))), new Set(['pong']));
    if (!sanitized) assert.ok((pss(server.pid) - before) / MANY < MOST_BYTES, 'more after a word');
  });
  await t.test('go, and nothing of them stays', async () => {
    for (const [i, s] of all.entries()) {
      if (i % 2) await s.send(close(1000));
      else s.destroy();
    }
    await server.metricBecomes('runnel_websockets', 0, ms(10000));
    for (const s of all) s.destroy();
    await server.alive();
    if (!sanitized) assert.ok(pss(server.pid) - before < (MANY * MOST_BYTES) / 2, `${pss(server.pid) - before} bytes stay`);
  });
});

test('500 that are told that the service ends', async () => {
  const own = await start({ drain_seconds: duration(10000) });
  const all = await many(500, () => greeted(own.port));
  const ends = all.map(async (s) => {
    const f = await s.next(ms(30000));
    await s.send(f.opcode === CLOSE ? close(f.code) : frame(CLOSE));
    return [f.code, await s.next(ms(30000))];
  });
  const ended = own.stop();
  for (const e of await Promise.all(ends)) assert.deepEqual(e, [1001, null]);
  await ended;
});
