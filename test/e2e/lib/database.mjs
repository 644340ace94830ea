// What the tests of PostgreSQL's faults share: a service with a database of its own, people who
// ask it, and what is known of it afterwards.
import assert from 'node:assert/strict';
import { psql } from './postgres.mjs';
import { get } from './raw.mjs';
import { eventually, ms, run } from './server.mjs';

export const STATIC = 'a-key-of-the-settings';

// In seconds. A release build on a quiet machine keeps to 0.02 (RUNNEL_STALL=20, which prints the
// figures too). Where others take the processor away, as they do here, only a wait for the
// database is told from that: the shortest would take longer than this.
const STALL = Number(process.env.RUNNEL_STALL ?? ms(900)) / 1000;

export const settings = (url, more = {}) => ({
  database: { url, ...more.database },
  access: { keys: [STATIC], cache: '20ms' },
  providers: [{ name: 'echo', kind: 'echo', tokens_per_second: 0 }, { name: 'slow', kind: 'echo', tokens_per_second: more.pace ?? 5 }],
  models: [{ name: 'echo', targets: [{ provider: 'echo' }] }, { name: 'slow', targets: [{ provider: 'slow' }] }],
});

export const at = (base, name) => base.replace(/\/postgres(?=$|\?)/, `/${name}`);

// A database of its own in that cluster; its url, and a way to ask it that no fault stands in.
let made = 0;
export async function database({ on, migrated = true }) {
  const name = `d${++made}`;
  await on.sql(`CREATE DATABASE ${name}`);
  const d = { name, url: at(on.url, name), sql: (text, options) => psql(at(on.socketUrl, name), text, options) };
  if (migrated) await migrate(d.url);
  return d;
}

export async function migrate(url) {
  const r = await run(['migrate', '--database', url]);
  assert.equal(r.code, 0, r.stderr);
}

export async function key(url, ...more) {
  const r = await run(['key', 'create', `key${++made}`, '--database', url, ...more]);
  assert.equal(r.code, 0, r.stderr);
  return r.stdout.trim();
}
export const limited = (url) => key(url, '--tokens-per-day', '1000000000');

export const readiness = async (s) => {
  const r = await get(s.port, '/readyz');
  return { code: r.status, ...JSON.parse(r.text) };
};
export const becomesReady = (s, timeout = ms(2000)) => eventually(async () => assert.equal((await readiness(s)).code, 200), timeout);
export const becomesUnready = (s, timeout = ms(10000)) => eventually(async () => assert.equal((await readiness(s)).code, 503), timeout);
export const isWhole = (s, timeout = ms(2000)) => s.metricBecomes('runnel_database_connections', 4, timeout);

export const ask = (s, apiKey, model = 'echo', more = {}, text = 'one two three') => fetch(`http://127.0.0.1:${s.port}/v1/chat/completions`, {
  method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
  body: JSON.stringify({ model, messages: [{ role: 'user', content: text }], ...more }) });

export async function welcome(s, apiKey) {
  const r = await ask(s, apiKey);
  assert.equal(r.status, 200, await r.clone().text());
  assert.equal((await r.json()).choices[0].message.content, 'one two three');
}

// The text of a whole stream; one that did not end as it should throws.
export async function stream(s, apiKey, text) {
  const r = await ask(s, apiKey, 'slow', { stream: true }, text);
  assert.equal(r.status, 200, await (r.status === 200 ? '' : r.text()));
  let all = '', end;
  for (const line of (await r.text()).split('\n')) {
    if (!line.startsWith('data: {')) continue;
    const [choice] = JSON.parse(line.slice(6)).choices;
    all += choice?.delta?.content ?? '';
    end = choice?.finish_reason ?? end;
  }
  assert.equal(end, 'stop');
  return all;
}

export const counted = async (d, model) => Number((await d.sql(`SELECT coalesce(sum(requests), 0) FROM runnel.usage WHERE model = '${model}'`))[0][0]);
export const isCounted = (d, model, n, timeout = ms(35000)) => eventually(async () => assert.equal(await counted(d, model), n), timeout);

export async function stallIsShort(s, what) {
  const stall = await s.metric('runnel_loop_longest_stall_seconds');
  if (process.env.RUNNEL_STALL) console.log(`longest stall, ${what}: ${(stall * 1000).toFixed(1)} ms`);
  assert.ok(stall > 0 && stall < STALL, `${what}: the loop stood still for ${stall} s`);
}
