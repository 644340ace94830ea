// Everything a provider can do wrong, times five kinds of provider: lib/matrix.mjs is the table.
//
// Every cell has a provider of its own that misbehaves, and is asked four ways: streamed,
// whole, streamed with a second target that is well, and (where it must stay well) once more.
// For every one of them: it ends in time; [DONE] stands only behind the whole text; what a
// client saw is the beginning of the true text and nothing else; the second target answers
// exactly when nothing had been said; and afterwards nothing runs and no connection is open.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { start as startProvider } from '../providers/lib/index.mjs';
import { kinds } from './lib/kinds.mjs';
import { COLUMNS, FINAL, ok, OTHER, ROWS, TEXT, wanted } from './lib/matrix.mjs';
import { duration, eventually, ms, start } from './lib/server.mjs';

const DEADLINE = ms(20000);                           // of one question; a patient row has three times that
const STATUS = { unreachable: 502, cut: 502, garbage: 502, no_first_token: 504, went_quiet: 504, service_failed: 502,
  service_denied: 502, service_busy: 429, not_accepted: 400, filtered: 400 };
const results = new Map(ROWS.map((row) => [row.name, new Map()]));

async function stage(column) {
  const kind = kinds[column];
  const s = { kind, column, fakes: new Map() };
  s.well = await startProvider({ control: false, ...kind.fake, answer: { text: OTHER } });
  s.trap = await startProvider({ control: false, ...kind.fake });
  for (const row of ROWS.filter((r) => wanted(r, column) !== null)) {
    const fake = await startProvider({ control: false, ...kind.fake, answer: { text: TEXT }, ...row.fake });
    s.fakes.set(row.name, fake);
  }
  const common = { retries: 0, breaker_failures: 0, first_timeout: duration(10000), idle_timeout: duration(10000),
    keep_timeout: duration(1500) };
  const rows = [...s.fakes].map(([name, fake], i) => ({ ...ROWS.find((r) => r.name === name), fake, id: `c${i}` }));
  for (const row of rows) s.fakes.set(row.name, { fake: row.fake, id: row.id });
  s.server = await start({
    stream: { commit_after: duration(15000) },         // so that what fails early keeps its status
    providers: [
      ...rows.map((row) => ({ name: row.id, ...kind.settings(row.closed ? 'http://127.0.0.1:1' : row.fake.url), ...(row.fake.caFile && { ca_file: row.fake.caFile }), ...common, ...row.settings })),
      { name: 'well', ...kind.settings(s.well.url), ...common },
    ],
    models: rows.flatMap((row) => [
      { name: row.id, targets: [{ provider: row.id, model: kind.model }] },
      { name: `${row.id}-then-well`, targets: [{ provider: row.id, model: kind.model }, { provider: 'well', model: kind.model }] },
    ]),
  });
  s.descriptors = s.server.descriptors();
  return s;
}

// { status, text, done, error, headers } of one question.
async function ask(s, model, stream, deadline = DEADLINE) {
  const res = await fetch(`http://127.0.0.1:${s.server.port}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer sk-of-the-client' },
    body: JSON.stringify({ model, stream, messages: [{ role: 'user', content: 'go on' }] }),
    signal: AbortSignal.timeout(deadline),
  });
  const all = await res.text();
  const got = { status: res.status, headers: res.headers, text: '', done: false, error: null };
  if (res.status !== 200) return { ...got, error: JSON.parse(all).error };
  if (!stream) return { ...got, done: true, text: JSON.parse(all).choices[0].message.content };
  for (const event of all.split('\n\n')) {
    if (!event || event.startsWith(':')) continue;
    assert.ok(event.startsWith('data: '), `not an event: ${event}`);
    assert.ok(!got.done && !got.error, `something behind the last word: ${event}`);
    if (event === 'data: [DONE]') { got.done = true; continue; }
    const chunk = JSON.parse(event.slice(6));
    got.error = chunk.error ?? null;
    got.text += chunk.choices?.[0]?.delta.content ?? '';
  }
  return got;
}

const outcome = (got) => (got.done ? 'ok' : `${got.error?.code}${got.text ? ' after text' : ''}`);

// What holds whatever happened. `texts` are those that may be told, and only whole behind [DONE].
function judge(got, texts, at) {
  assert.ok(got.done !== Boolean(got.error), `${at}: neither [DONE] nor an error, or both`);
  const fits = texts.filter((t) => (got.done ? t === got.text : t.startsWith(got.text)));
  assert.equal(fits.length > 0, true, `${at}: told ${JSON.stringify(got.text)}${got.done ? ' and [DONE]' : ''}`);
  if (got.error) {
    assert.ok(STATUS[got.error.code], `${at}: ${got.error.code}`);
    assert.doesNotMatch(JSON.stringify(got.error), /127\.0\.0\.1|localhost|signature|sk-/, `${at}: too much is told`);
  }
}

async function cell(s, row) {
  const { fake, id } = s.fakes.get(row.name);
  const text = row.text ?? TEXT;
  const want = wanted(row, s.column);
  const answer = row.answers?.[s.column] ?? row.answer ?? {};
  const script = () => {
    fake.clear();
    fake.forget();
    fake.script({ answer: row.trap ? { ...answer, headers: { location: `${s.trap.url}/v1/chat/completions` } } : answer, faults: row.faults ?? {}, times: row.times });
    if (row.times) fake.script({});
  };
  const report = (what) => results.get(row.name).set(s.column, what);
  report('✗ (no answer)');

  const deadline = row.patient ? 3 * DEADLINE : DEADLINE;
  script();
  const from = s.server.lines.length;
  const alone = await ask(s, id, true, deadline);
  const came = outcome(alone);
  report(`✗ ${came}`);
  const asked = fake.requests();
  judge(alone, [text], 'streamed');
  const said = alone.text !== '';
  const allowed = [want, ...(row.or ? [row.or] : [])];
  const good = allowed.some((w) => (w === ok ? alone.done
    : alone.error && w.slice(1).includes(alone.error.code) && (w[0] === 'either' || said === (w[0] === 'after'))));
  assert.ok(good, `${came} (${alone.status}) instead of ${allowed.map((w) => [w].flat().join(' ')).join(' or ')}`);
  assert.equal(alone.status, alone.error && !said ? STATUS[alone.error.code] : 200);
  if (row.status && alone.error) assert.equal(alone.status, row.status);
  const line = await s.server.log((f) => f.msg === 'turn' && f.model === id, { from });
  assert.equal(line.fault, alone.error?.code ?? 'none', 'the log says another thing');
  if (row.words) assert.match(line.words, row.words);
  if (row.asked) assert.equal(asked.length, row.asked, 'how often it was asked');
  if (row.unasked) assert.equal(asked.length, 0, 'it was asked in spite of its certificate');
  if (alone.done) for (const q of asked) assert.deepEqual(q.problems, [], 'what a strict reader says of the request');
  if (row.retryAfter) assert.equal(alone.headers.get('retry-after'), row.retryAfter, 'Retry-After');
  if (row.pongs) assert.ok(asked[0].pongs.length > 5, 'the pings were not answered');
  if (row.trap) assert.equal(s.trap.requests().length, 0, 'the redirection was followed');

  script();
  const whole = await ask(s, id, false, deadline);
  judge(whole, [text], 'whole');
  assert.equal(whole.done, alone.done, `whole: ${outcome(whole)}, streamed: ${came}`);
  if (whole.error) assert.deepEqual([whole.error.code, whole.status], [alone.error.code, STATUS[alone.error.code]], 'whole');

  script();
  const passes = row.times > 0 || (alone.error && !said && !FINAL.includes(alone.error.code));
  const then = await ask(s, `${id}-then-well`, true, deadline);
  judge(then, [passes ? OTHER : text], 'with a second target');
  if (passes) assert.ok(then.done, `the second target was not asked: ${outcome(then)}`);
  else assert.equal(outcome(then), came, 'with a second target');

  if (row.again) {
    fake.clear();
    judge(await ask(s, id, true), [text], 'the next question');
  }
  report(alone.error && passes ? `next target (${came})` : came);
}

// So many cells at once, lest the test itself be the slow one; patient ones when no other runs.
const AT_ONCE = 24, PATIENT_AT_ONCE = 4;
const running = { hasty: 0, patient: 0, waiting: 0 };
async function inTurn(row, run) {
  const kind = row.patient ? 'patient' : 'hasty';
  const hasPlace = () => (row.patient ? running.patient < PATIENT_AT_ONCE && running.hasty + running.waiting === 0 : running.hasty < AT_ONCE);
  running.waiting += row.patient ? 0 : 1;
  while (!hasPlace()) await sleep(20);
  running.waiting -= row.patient ? 0 : 1;
  running[kind]++;
  try {
    await run();
  } finally {
    running[kind]--;
  }
}

function tests(column) {
  let s;
  before(async () => { s = await stage(column); });
  for (const row of ROWS.filter((r) => wanted(r, column) !== null)) test(row.name, () => inTurn(row, () => cell(s, row)));
  after(async () => {
    if (!s) return;
    await s.server.metricBecomes('runnel_turns_running', 0);
    await eventually(() => {
      const open = [...s.fakes].filter(([, { fake }]) => fake.connections().some((c) => !c.left)).map(([name]) => name);
      assert.deepEqual(open, [], 'connections are still open');
      assert.ok(s.server.descriptors() <= s.descriptors + 2, `${s.server.descriptors()} descriptors, ${s.descriptors} at first`);
    }, ms(6000));
    await s.server.stop();
    for (const { fake } of s.fakes.values()) await fake.stop();
    await s.well.stop();
    await s.trap.stop();
  });
}

describe('the matrix', { concurrency: true }, () => {
  for (const column of COLUMNS) describe(column, { concurrency: true, timeout: ms(120000) }, () => tests(column));
});

after(() => {
  const width = Math.max(...ROWS.map((r) => r.name.length));
  const cells = (values) => values.map((v) => String(v).padEnd(31)).join('').trimEnd();
  console.log(`${' '.repeat(width)}  ${cells(COLUMNS)}`);
  for (const [name, row] of results)
    console.log(`${name.padEnd(width)}  ${cells(COLUMNS.map((c) => row.get(c) ?? (wanted(ROWS.find((r) => r.name === name), c) === null ? '-' : 'not run')))}`);
});
