// Whom the program asks, when it asks again, and whom it leaves alone: fake providers that fail
// as they are told, short settings, and a client that does not repeat anything by itself.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';
import { start as startProvider } from '../providers/lib/index.mjs';
import { duration, eventually, ms, start } from './lib/server.mjs';

const TEXT = 'Hello 你好 canary-of-the-user';
const KEYS = ['sk-of-ours-1', 'sk-of-ours-2', 'sk-of-ours-3'];
const FORMS = ['stream', 'whole'];
const failing = (status, headers = {}) => ({ answer: { status, headers } });
const soon = { 'retry-after-ms': '20' };

const target = (name) => ({ provider: name, model: 'real-name' });

// Providers a, b, c ..., one for each of `each`, which are settings of its own; the model m asks
// them in this order.
async function stage({ each = [{}], common = {}, targets, ...settings } = {}, act) {
  const fakes = await Promise.all(each.map(() => startProvider({ kind: 'openai', control: false })));
  const names = each.map((_, i) => 'abcdef'[i]);
  const s = Object.fromEntries(names.map((name, i) => [name, fakes[i]]));
  s.settings = {
    stream: { commit_after: duration(5000) },             // so that what fails early keeps its status
    providers: names.map((name, i) => ({ name, kind: 'openai', base_url: `${fakes[i].url}/v1`, api_key: KEYS[0],
      breaker_failures: 0, ...common, ...each[i] })),
    models: [{ name: 'm', targets: targets ?? names.map(target) }],
    ...settings,
  };
  try {
    s.server = await start(s.settings);
    s.client = new OpenAI({ baseURL: `http://127.0.0.1:${s.server.port}/v1`, apiKey: 'none', maxRetries: 0, timeout: ms(10000) });
    await act(s);
    await s.server.metricBecomes('runnel_turns_running', 0);
    for (const secret of [...KEYS, TEXT, 'canary']) assert.ok(!s.server.stderr.includes(secret), `${secret} is in the log`);
  } finally {
    await Promise.all(fakes.map((p) => p.stop()));
    await s.server?.stop();
  }
}

// One question: { text } or { status, code, retry, after }, and how long that took.
async function ask(s, { form = 'whole', text = TEXT, signal } = {}) {
  const body = { model: 'm', messages: [{ role: 'user', content: text }] };
  const begun = performance.now();
  const got = { text: '' };
  try {
    if (form === 'whole') {
      got.text = (await s.client.chat.completions.create(body, { signal })).choices[0].message.content;
    } else {
      for await (const c of await s.client.chat.completions.create({ ...body, stream: true }, { signal })) got.text += c.choices[0]?.delta.content ?? '';
    }
  } catch (e) {
    if (!(e instanceof OpenAI.APIError)) throw e;
    got.status = e.status;
    got.code = e.code;
    got.retry = e.headers?.get('x-should-retry');
    got.after = e.headers?.get('retry-after');
    assert.ok(!KEYS.some((k) => JSON.stringify(e.error ?? '').includes(k)), 'a key is in the answer');
  }
  return { ...got, took: performance.now() - begun };
}
async function answered(s, how) {
  const got = await ask(s, how);
  assert.equal(got.text, how?.text ?? TEXT, JSON.stringify(got));
  return got;
}
async function refused(s, status, code, how) {
  const got = await ask(s, how);
  assert.deepEqual([got.status, got.code, got.text], [status, code, ''], JSON.stringify(got));
  return got;
}

const asked = (...fakes) => fakes.map((f) => f.requests().length);
const said = (f) => f.requests().map((q) => q.said);
const keysOf = (f) => f.requests().map((q) => q.headers.authorization.slice('Bearer '.length));
const logged = (s, msg, fields) => s.server.log({ msg, ...fields });
const turnsLogged = (s, n) => s.server.until(() => s.server.lines.filter((l) => / msg=turn /.test(l)).length >= n, `${n} turns in the log`);
const calls = (s, result) => s.server.metric('runnel_calls_total', { result });
const retries = (s, where) => s.server.metric('runnel_retries_total', { where });
const within = (took, least, most) => assert.ok(took >= least && took < ms(most), `${took} ms, not ${least} to ${most}`);

async function reload(s, settings) {
  const from = s.server.lines.length;
  s.server.write(settings);
  s.server.kill('SIGHUP');
  await s.server.log({ msg: 'reloaded' }, { from });
}

const it = (name, settings, act) => test(name, { timeout: ms(20000) }, () => stage(settings, act));

describe('the same again', () => {
  for (const form of FORMS) it(`500 and then an answer is one good call: ${form}`, {}, async (s) => {
    s.a.script({ ...failing(500), times: 1 });
    within((await answered(s, { form })).took, 370, 3000);   // half a second, less a quarter at most
    assert.deepEqual(asked(s.a), [2]);
    const call = await logged(s, 'call failed');
    assert.deepEqual([call.provider, call.model, call.call, call.fault], ['a', 'real-name', '1', 'service_failed']);
    assert.match(call.words, /The server had an error/);
    const turn = await logged(s, 'turn');
    assert.deepEqual([turn.end, turn.fault, turn.calls, turn.request_id], ['complete', 'none', '2', call.request_id]);
    assert.deepEqual([await calls(s, 'service_failed'), await calls(s, 'none'), await retries(s, 'again')], [1, 1, 1]);
  });

  it('only so often', { common: { retries: 3 } }, async (s) => {
    s.a.script(failing(500, soon));
    assert.equal((await refused(s, 502, 'service_failed')).retry, 'true');
    assert.deepEqual(asked(s.a), [4]);
    assert.equal(await retries(s, 'again'), 3);
  });

  const waits = [
    ['retry-after-ms', { 'retry-after-ms': '50' }, 50, 350],
    ['Retry-After', { 'retry-after': '1' }, 1000, 2500],
    ['retry-after-ms before Retry-After', { 'retry-after-ms': '50', 'retry-after': '5' }, 50, 350],
    ['a Retry-After that is past', { 'retry-after': 'Sun, 06 Nov 1994 08:49:37 GMT' }, 370, 3000],
    ['a Retry-After that is nonsense', { 'retry-after': 'in a while' }, 370, 3000],
  ];
  for (const status of [429, 503]) for (const [name, headers, least, most] of status === 429 ? waits : waits.slice(0, 1))
    it(`${status} with ${name}`, {}, async (s) => {
      s.a.script({ ...failing(status, headers), times: 1 });
      within((await answered(s)).took, least, most);
      assert.deepEqual(asked(s.a), [2]);
    });

  it('x-should-retry decides', {}, async (s) => {
    for (const [status, code, as] of [[500, 'service_failed', 502], [429, 'service_busy', 429]]) {
      s.a.script({ ...failing(status, { ...soon, 'x-should-retry': 'false' }), times: 1 });
      s.a.forget();
      const got = await refused(s, as, code);
      assert.deepEqual([...asked(s.a), got.retry, got.after], [1, 'false', null]);
      await sleep(ms(30));                               // it asked for a rest, which it gets
    }
    s.a.script({ ...failing(404, { ...soon, 'x-should-retry': 'true' }), times: 1 });
    s.a.forget();
    await answered(s);
    assert.deepEqual(asked(s.a), [2]);
  });

  it('what is the client\'s own fault is not repeated, here or elsewhere', { each: [{}, {}] }, async (s) => {
    s.a.script(failing(400, soon));
    assert.equal((await refused(s, 400, 'not_accepted')).retry, 'false');
    assert.deepEqual(asked(s.a, s.b), [1, 0]);
  });

  it('nothing is repeated behind the first word', { each: [{}, {}] }, async (s) => {
    s.a.script({ answer: { errorAfter: 2 } });
    const got = await ask(s, { form: 'stream' });
    assert.ok(got.text.length > 0 && TEXT.startsWith(got.text) && got.text !== TEXT, got.text);
    assert.deepEqual(asked(s.a, s.b), [1, 0]);
  });

  it('a service that starts again is found', {}, async (s) => {
    await s.a.listen(false);
    const one = answered(s);
    await logged(s, 'call failed', { fault: 'unreachable' });
    await s.a.listen(true);
    await one;
  });

  it('who wants too long a wait is not waited for, and the client hears of it', {}, async (s) => {
    s.a.script({ ...failing(429, { 'retry-after': '30' }), times: 1 });
    const first = await refused(s, 429, 'service_busy');
    assert.deepEqual([first.retry, first.after], ['true', '30']);
    within(first.took, 0, 1000);
    const second = await refused(s, 503, 'resting', { form: 'stream' });
    assert.equal(second.retry, 'true');
    assert.ok(['29', '30'].includes(second.after), second.after);
    assert.deepEqual(asked(s.a), [1]);
  });

  it('a pause ends with its client', {}, async (s) => {
    const leave = new AbortController();
    s.a.script(failing(429, { 'retry-after': '10' }));
    const one = ask(s, { signal: leave.signal });
    await logged(s, 'call failed');
    leave.abort();
    await one;
    assert.deepEqual([(await logged(s, 'turn')).fault, ...asked(s.a)], ['client_gone', 1]);
  });
});

describe('somebody else', () => {
  for (const form of FORMS) it(`in the order of the settings: ${form}`, { each: [{}, {}, {}, {}] }, async (s) => {
    s.a.script(failing(500));
    s.b.script(failing(429));
    s.c.script(failing(401));
    within((await answered(s, { form })).took, 0, 350);
    assert.deepEqual(asked(s.a, s.b, s.c, s.d), [1, 1, 1, 1]);
    const turn = await logged(s, 'turn');
    assert.deepEqual([turn.provider, turn.target, turn.calls], ['d', '3', '4']);
    assert.deepEqual([await retries(s, 'elsewhere'), await retries(s, 'again')], [3, 0]);
  });

  it('each once before anybody twice', { each: [{}, {}], common: { retries: 1 } }, async (s) => {
    s.a.script({ ...failing(500, soon), times: 1 });
    s.b.script(failing(500, soon));
    await answered(s);
    assert.deepEqual(asked(s.a, s.b), [2, 1]);
  });

  const shares = [[1, 3], [0, 1]].map((w) => ({ w, targets: w.map((weight, i) => ({ ...target('ab'[i]), weight })) }));
  for (const { w, targets } of shares) it(`weights of ${w.join(' and ')}`, { each: [{}, {}], targets }, async (s) => {
    for (let i = 0; i < 8; i++) await Promise.all(Array.from({ length: 20 }, () => answered(s)));
    const [a, b] = asked(s.a, s.b);
    assert.equal(a + b, 160);
    // Six standard deviations of 5.5; without a weight, none at all.
    if (w[0]) assert.ok(b > 120 - 33 && b < 120 + 33, `${b} of 160`);
    else assert.equal(a, 0);
  });
});

describe('several keys', () => {
  const pool = (n, more) => ({ each: [{ more_keys: KEYS.slice(1, n), ...more }] });
  const refuseKey = (f, key, status, headers = {}) => f.script({ match: { header: { authorization: `Bearer ${key}` } },
    answer: { status, headers, error: { message: `Incorrect API key provided: ${key}.` } } });

  it('take turns', pool(3), async (s) => {
    for (let i = 0; i < 6; i++) await answered(s);
    assert.deepEqual(keysOf(s.a), [...KEYS, ...KEYS]);
  });

  for (const status of [401, 403]) it(`one that is refused with ${status} rests, and the turn goes on`,
    pool(2, { breaker_failures: 1 }), async (s) => {
      refuseKey(s.a, KEYS[0], status);
      for (let i = 0; i < 5; i++) within((await answered(s, { form: FORMS[i % 2] })).took, 0, 350);
      assert.deepEqual(keysOf(s.a), [KEYS[0], ...Array(5).fill(KEYS[1])]);
      assert.deepEqual([await calls(s, 'service_denied'), await s.server.metric('runnel_breaks_total')], [1, 0]);
      assert.match((await logged(s, 'call failed')).words, /Incorrect API key/);
    });

  it('one that is used up rests as long as it is told', pool(2), async (s) => {
    refuseKey(s.a, KEYS[0], 429, { 'retry-after-ms': String(ms(400)) });
    within((await answered(s)).took, 0, 350);
    await answered(s);
    assert.deepEqual(keysOf(s.a), [KEYS[0], KEYS[1], KEYS[1]]);
    s.a.clear();
    s.a.forget();
    await sleep(ms(410));
    await answered(s);
    await answered(s);
    assert.deepEqual(keysOf(s.a).sort(), KEYS.slice(0, 2));
  });

  it('all of them refused: each is asked once, and the client is told', pool(3, { retries: 10 }), async (s) => {
    s.a.script(failing(401));
    assert.equal((await refused(s, 502, 'service_denied')).retry, 'false');
    assert.deepEqual(keysOf(s.a), KEYS);
  });
});

describe('the breaker', () => {
  const fragile = { common: { retries: 0, breaker_failures: 3, breaker_time: duration(200) } };
  const open = (s) => s.server.metric('runnel_breakers_open');

  async function breakIt(s) {
    s.a.script(failing(500));
    for (let i = 0; i < 3; i++) await refused(s, 502, 'service_failed');
    s.a.forget();
  }

  it('opens, tries, opens for longer, tries, closes', fragile, async (s) => {
    await breakIt(s);
    const opened = await logged(s, 'breaker opened');
    assert.deepEqual([opened.provider, opened.model, opened.fault, opened.failures], ['a', 'real-name', 'service_failed', '3']);
    assert.equal(Number(opened.for_ms), ms(200));
    assert.deepEqual([await open(s), await s.server.metric('runnel_breaks_total')], [1, 1]);
    const got = await refused(s, 503, 'resting');
    assert.deepEqual([got.retry, got.after, ...asked(s.a)], ['true', '1', 0]);
    await sleep(ms(210));
    const from = s.server.lines.length;
    await refused(s, 502, 'service_failed');             // the one that tries
    await logged(s, 'breaker tries');
    assert.equal(Number((await s.server.log({ msg: 'breaker opened' }, { from })).for_ms), ms(400));
    await refused(s, 503, 'resting');
    assert.deepEqual([await open(s), await s.server.metric('runnel_breaks_total'), ...asked(s.a)], [1, 2, 1]);
    s.a.clear();
    await sleep(ms(410));
    await answered(s);
    await logged(s, 'breaker closed');
    assert.equal(await open(s), 0);
    await answered(s);
  });

  it('lets one try while the others are told to wait', fragile, async (s) => {
    await breakIt(s);
    s.a.clear();
    s.a.script({ answer: { first: ms(200) }, times: 1 });
    await sleep(ms(210));
    const all = await Promise.all(Array.from({ length: 5 }, () => ask(s)));
    assert.equal(all.filter((got) => got.text === TEXT).length, 1);
    assert.equal(all.filter((got) => got.code === 'resting').length, 4);
    assert.deepEqual(asked(s.a), [1]);
  });

  it('spares the others its pauses', { ...fragile, each: [{}, {}] }, async (s) => {
    s.a.script(failing(500));
    for (let i = 0; i < 6; i++) await answered(s);
    assert.deepEqual(asked(s.a, s.b), [3, 6]);
  });

  it('is not for what clients do wrong', fragile, async (s) => {
    s.a.script(failing(400));
    for (let i = 0; i < 5; i++) await refused(s, 400, 'not_accepted');
    assert.equal(await s.server.metric('runnel_breaks_total'), 0);
  });

  it('is not for a client that leaves', fragile, async (s) => {
    s.a.script({ faults: { at: 'head', then: 'stall' }, times: 4 });
    for (let i = 0; i < 4; i++) {
      const leave = new AbortController();
      const one = ask(s, { signal: leave.signal });
      await eventually(() => assert.deepEqual(asked(s.a), [i + 1]));
      leave.abort();
      await one;
    }
    await turnsLogged(s, 4);
    assert.equal(await calls(s, 'client_gone'), 4);
    assert.equal(await open(s), 0);
    await answered(s);
  });

  it('survives a reload, and forgets who is gone', { common: { ...fragile.common, breaker_time: duration(60000) } }, async (s) => {
    await breakIt(s);
    await reload(s, s.settings);
    await refused(s, 503, 'resting');
    assert.deepEqual([await open(s), ...asked(s.a)], [1, 0]);
    await reload(s, { ...s.settings, models: [{ name: 'm', targets: [{ provider: 'a', model: 'another' }] }] });
    assert.equal(await open(s), 0);
    s.a.clear();
    await answered(s);
  });

  it('counts on over a reload', fragile, async (s) => {
    s.a.script(failing(500));
    await refused(s, 502, 'service_failed');
    await refused(s, 502, 'service_failed');
    await reload(s, s.settings);
    assert.equal(await open(s), 0);
    await refused(s, 502, 'service_failed');
    assert.equal(await open(s), 1);
  });
});

describe('so many at once', () => {
  const narrow = { common: { max_streams: 1, max_waiting: 2 }, turns: { max_wait: duration(3000) } };
  const slow = { answer: { first: ms(300) } };

  // One after the other, so that their order in the line is known.
  async function queue(s, texts, running = 1) {
    const all = [];
    for (const text of texts) {
      all.push(ask(s, { text }));
      await eventually(async () => assert.equal(await s.server.metric('runnel_turns_running'), running + all.length - 1));
    }
    return all;
  }

  it('the others wait in a line, and beyond it there is a 503', narrow, async (s) => {
    s.a.script(slow);
    const all = await queue(s, ['one', 'two', 'three']);
    const got = await refused(s, 503, 'provider_busy');
    assert.deepEqual([got.retry, got.after], ['true', '1']);
    within(got.took, 0, 250);
    assert.deepEqual((await Promise.all(all)).map((g) => g.text), ['one', 'two', 'three']);
    assert.deepEqual(said(s.a), ['one', 'two', 'three']);
    const [one, two, three] = s.a.requests();
    assert.ok(one.complete && two.complete && three.complete);
  });

  it('nobody waits longer than turns.max_wait', { ...narrow, turns: { max_wait: duration(150) } }, async (s) => {
    s.a.script({ answer: { first: ms(600) } });
    const all = await queue(s, ['one', 'two']);
    const [one, two] = await Promise.all(all);
    assert.equal(one.text, 'one');
    assert.deepEqual([two.status, two.code, two.after], [503, 'provider_busy', '1']);
    within(two.took, ms(150), 550);
    assert.deepEqual(said(s.a), ['one']);
  });

  it('who leaves the line is not answered', narrow, async (s) => {
    const leave = new AbortController();
    s.a.script(slow);
    const [one] = await queue(s, ['one']);
    const two = ask(s, { text: 'two', signal: leave.signal });
    await s.server.metricBecomes('runnel_turns_running', 2);
    const [three] = await queue(s, ['three'], 3);
    leave.abort();
    await two;
    assert.deepEqual([(await logged(s, 'turn', { fault: 'client_gone' })).step, (await one).text, (await three).text], ['place', 'one', 'three']);
    assert.deepEqual(said(s.a), ['one', 'three']);
  });

  it('who has room is asked before who is full',
    { each: [{}, {}], targets: [{ ...target('a'), max_streams: 1 }, target('b')] }, async (s) => {
      s.a.script(slow);
      const [one] = await queue(s, ['one']);
      await answered(s, { text: 'two' });
      await one;
      assert.deepEqual([said(s.a), said(s.b)], [['one'], ['two']]);
    });

  it('a provider\'s limit is that of all its models', { ...narrow, models: ['m', 'n'].map((name) => ({ name, targets: [{ provider: 'a', model: name }] })) }, async (s) => {
    s.a.script(slow);
    const [one] = await queue(s, ['one']);
    const other = s.client.chat.completions.create({ model: 'n', messages: [{ role: 'user', content: 'two' }] });
    await s.server.metricBecomes('runnel_turns_running', 2);
    assert.deepEqual(said(s.a), ['one']);
    await Promise.all([one, other]);
    assert.deepEqual(said(s.a), ['one', 'two']);
  });

  it('a reload lets more in, and takes no place away', narrow, async (s) => {
    s.a.script({ answer: { first: ms(800) } });
    const all = await queue(s, ['one', 'two', 'three']);
    assert.deepEqual(said(s.a), ['one']);
    const wider = (max_streams) => ({ ...s.settings, providers: s.settings.providers.map((p) => ({ ...p, max_streams })) });
    await reload(s, wider(3));
    await eventually(() => assert.deepEqual(said(s.a), ['one', 'two', 'three']));
    await reload(s, wider(1));
    all.push(...await queue(s, ['four'], 4));
    assert.equal((await all[0]).text, 'one');
    await sleep(ms(50));
    assert.deepEqual(said(s.a).slice(0, 3), ['one', 'two', 'three']);
    assert.deepEqual((await Promise.all(all)).map((g) => g.text), ['one', 'two', 'three', 'four']);
    assert.equal(said(s.a).length, 4);
  });
});
