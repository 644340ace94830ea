// The sessions below /api/chat, as the pages that were written for them see them.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, beforeEach, describe, test } from 'node:test';
import { heard, Person, stage, textOf } from './lib/session.mjs';
import { eventually, ms } from './lib/server.mjs';
import { events } from './lib/xcx.mjs';

const HELLO = '你好，世界 👩‍👩‍👧';
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/;
const NOBODYS = '00000000-0000-4000-8000-000000000000';

let s, server, anna, boris;
before(async () => {
  s = await stage();
  server = await s.serve();
  anna = new Person(server);
  boris = new Person(server, 'boris');
});
after(() => s?.remove());
beforeEach(() => s.forget());

const body = async (r) => [(await r).status, await (await r).json()];
const failed = (method, path, detail) => ({ message: `Failed to process ${method} /api/chat${path}`, detail, hint: 'Adjust the request and retry.' });
const isRefused = async (r, where, name) => {
  const [status, b] = await body(r);
  assert.equal(status, 422, JSON.stringify(b));
  assert.equal(b.hint, 'Ensure the request matches the API schema.');
  assert.deepEqual(b.detail[0].loc, name ? [where, name] : [where]);
};

describe('sessions', () => {
  test('are made, shown, listed with the newest update first, and deleted', async () => {
    const p = new Person(server, 'lister');
    assert.deepEqual(await p.get('/sessions'), { sessions: [], total: 0 });
    const made = await p.get('/sessions', { method: 'POST' });
    assert.match(made.id, UUID);
    assert.match(made.created_at, ISO);
    assert.deepEqual([Object.keys(made), made.user_id], [['id', 'created_at', 'user_id'], 'lister']);
    const second = await p.made();
    await p.hear(made.id, HELLO);
    const { sessions, total } = await p.get('/sessions');
    assert.deepEqual([sessions.map((x) => x.id), total], [[made.id, second], 2]);
    assert.deepEqual([sessions[0].title, sessions[0].is_processing, sessions[0].chat_status], [null, false, 'idle']);
    assert.deepEqual((await p.get('/sessions?limit=1&offset=1')).sessions.map((x) => x.id), [second]);
    assert.equal((await p.fetch(`/sessions/${second}`, { method: 'DELETE' })).status, 204);
    assert.deepEqual(await body(p.fetch(`/sessions/${second}`, { method: 'DELETE' })), [404, { detail: `Session ${second} not found or access denied` }]);
    assert.equal((await p.get('/sessions')).total, 1);
  });
  test('show what was said, in its order', async () => {
    const id = await anna.made();
    s.provider.script({ answer: { text: 'hi', usage: { input: 7, output: 3 } } });
    await anna.hear(id, HELLO);
    const shown = await anna.show(id);
    assert.deepEqual(shown.messages.map(({ role, content, name, tool_call_id, refusal, tool_calls, function_call }) => ({ role, content, name, tool_call_id, refusal, tool_calls, function_call })), [
      { role: 'user', content: HELLO, name: null, tool_call_id: null, refusal: null, tool_calls: null, function_call: null },
      { role: 'assistant', content: 'hi', name: null, tool_call_id: null, refusal: null, tool_calls: null, function_call: null }]);
    assert.deepEqual([shown.id, shown.user_id, shown.active_stream, shown.title], [id, 'anna', null, null]);
    assert.deepEqual(shown.usage, [{ prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 }]);
    assert.deepEqual([shown.total_prompt_tokens, shown.total_completion_tokens], [7, 3]);
  });
  test('show it page by page', async () => {
    const id = await anna.made();
    for (const m of ['a', 'b', 'c']) await anna.hear(id, m);
    const last = await anna.show(id, '?limit=2');
    assert.deepEqual([last.messages.map((m) => m.content), last.has_more_messages, last.oldest_sequence], [['c', 'c'], true, 4]);
    const first = await anna.show(id, `?limit=200&before_sequence=${last.oldest_sequence}`);
    assert.deepEqual([first.messages.map((m) => m.content), first.has_more_messages], [['a', 'a', 'b', 'b'], false]);
    assert.equal((await anna.show(id)).messages.length, 6);
  });
  test('hold what a model says with a character that no database keeps', async () => {
    const id = await anna.made();
    s.provider.script({ answer: { reasoning: ['h\u0000m'], text: 'a\u0000b' }, times: 1 });
    const h = await anna.hear(id, HELLO);
    assert.deepEqual([h.error, h.text], [null, 'a\ufffdb']);
    s.provider.script({ answer: { text: 'well' }, times: 1 });
    assert.equal((await anna.hear(id, 'again')).text, 'well');
    assert.deepEqual(s.asked().at(-1).messages.map((m) => m.content), [HELLO, 'a\ufffdb', 'again']);
    assert.deepEqual([(await anna.said(id)).map(([, text]) => text), (await anna.show(id)).active_stream], [[HELLO, 'a\ufffdb', 'again', 'well'], null]);
  });
  test('hold calls with such a character', async () => {
    const own = await s.serve({ tools: ['now'] });
    const p = new Person(own);
    const id = await p.made();
    const call = { id: 'c\u0000', name: 'now', arguments: '{"utc_offset":"\u0000"}' };
    s.provider.script({ answer: { finish: 'tools', tools: [call, { ...call, id: 'd', arguments: '{"utc_offset":"\\u0000"}' }] }, times: 1 });
    s.provider.script({ answer: { text: 'well' }, times: 2 });
    const h = await p.hear(id, HELLO);
    assert.deepEqual([h.error, h.text], [null, 'well']);
    assert.equal((await p.hear(id, 'again')).text, 'well');
    assert.deepEqual(s.asked().at(-1).messages.find((m) => m.tool_calls).tool_calls.map((c) => [c.id, c.function.arguments]),
      [['c\ufffd', '{"utc_offset":"\ufffd"}'], ['d', '{}']]);
    assert.deepEqual(await own.sql("SELECT count(*) FROM runnel.turn WHERE state <> 'complete'"), [['0']]);
  });
  test('are renamed and pinned', async () => {
    const id = await anna.made();
    const patch = (what, b) => anna.fetch(`/sessions/${id}/${what}`, { method: 'PATCH', body: b });
    assert.equal((await patch('title', { title: ` ${HELLO} ` })).status, 200);
    assert.equal((await patch('pinned', { is_pinned: true })).status, 200);
    const shown = await anna.show(id);
    assert.deepEqual([shown.title, shown.is_pinned], [HELLO, true]);
    for (const title of ['', '  ', 7, null, 'x'.repeat(256)]) await isRefused(patch('title', { title }), 'body', 'title');
    await isRefused(patch('pinned', { is_pinned: 'yes' }), 'body', 'is_pinned');
  });
  test('of others are not there', async () => {
    const id = await anna.made();
    for (const [method, tail, b] of [['GET', ''], ['PATCH', '/title', { title: 'x' }], ['PATCH', '/pinned', { is_pinned: true }], ['PATCH', '/assign-user'],
      ['POST', '/stream', { message: 'x' }], ['GET', '/stream'], ['DELETE', '/stream'], ['POST', '/cancel']])
      assert.deepEqual(await body(boris.fetch(`/sessions/${id}${tail}`, { method, body: b })), [404, failed(method, `/sessions/${id}${tail}`, `Session ${id} not found.`)], `${method} ${tail}`);
    assert.equal((await boris.fetch(`/sessions/${id}`, { method: 'DELETE' })).status, 404);
    assert.equal((await anna.show(id)).title, null);
    assert.equal((await anna.fetch(`/sessions/${NOBODYS}`)).status, 404);
  });
  test('take who is known, and numbers that are such', async () => {
    const nobody = new Person(server, null);
    const [status, b] = await body(nobody.fetch('/sessions'));
    assert.deepEqual([status, Object.keys(b)], [401, ['detail']]);
    for (const q of ['limit=0', 'limit=101', 'limit=x', 'offset=-1']) await isRefused(anna.fetch(`/sessions?${q}`), 'query', q.split('=')[0]);
    await isRefused(anna.fetch('/sessions', { method: 'POST', body: { whatever: 1 } }), 'body');
    assert.equal((await anna.fetch('/sessions', { method: 'POST', body: {} })).status, 200);
  });
});

describe('a stream', () => {
  test('is parts in their order, and no member more', async () => {
    const id = await anna.made();
    s.provider.script({ answer: { text: HELLO, reasoning: 'hm' } });
    const h = await anna.hear(id, 'a');
    const [start, ...rest] = h.parts;
    assert.match(start.messageId, /^msg_\d+$/);
    assert.deepEqual([...new Set(rest.map((p) => p.type))], ['start-step', 'reasoning-start', 'reasoning-delta', 'reasoning-end', 'text-start', 'text-delta', 'text-end', 'finish-step', 'finish']);
    assert.equal(h.text, HELLO);
    assert.deepEqual(rest.slice(-2), [{ type: 'finish-step' }, { type: 'finish' }]);
    for (const p of h.parts) assert.ok(Object.keys(p).every((k) => ['type', 'id', 'delta', 'messageId'].includes(k)), JSON.stringify(p));
  });
  test('is kept before it ends, and tells the model what was said', async () => {
    const id = await anna.made();
    await anna.hear(id, 'first');
    await anna.hear(id, 'second');
    assert.deepEqual(s.asked()[1].messages, [{ role: 'user', content: 'first' }, { role: 'assistant', content: 'first' }, { role: 'user', content: 'second' }]);
    assert.deepEqual(await anna.said(id), [['user', 'first'], ['assistant', 'first'], ['user', 'second'], ['assistant', 'second']]);
  });
  test('tells the model of the page, and keeps the question as it was', async () => {
    const id = await anna.made();
    await anna.hear(id, 'what is it', { context: { url: 'http://a/b', content: `a page ${HELLO}` } });
    const [told] = s.asked()[0].messages;
    assert.ok(told.content.includes('http://a/b') && told.content.includes(`a page ${HELLO}`) && told.content.endsWith('what is it'));
    assert.deepEqual((await anna.said(id))[0], ['user', 'what is it']);
  });
  test('of what the assistant says itself', async () => {
    const id = await anna.made();
    await anna.hear(id, 'I am here', { is_user_message: false });
    assert.deepEqual((await anna.said(id))[0], ['assistant', 'I am here']);
    assert.deepEqual(s.asked()[0].messages, [{ role: 'assistant', content: 'I am here' }]);
  });
  test('an answer that breaks off: its part, an error, an end; and the part is kept', async () => {
    const id = await anna.made();
    s.provider.script({ answer: { text: 'half', end: false, finish: null } });
    const h = await anna.hear(id, 'a');
    assert.deepEqual([h.text, h.error, h.types.slice(-4)], ['half', 'the model service broke off its answer', ['text-end', 'finish-step', 'error', 'finish']]);
    assert.deepEqual(Object.keys(h.parts.find((p) => p.type === 'error')), ['type', 'errorText']);
    assert.deepEqual((await anna.said(id))[1], ['assistant', 'half']);
  });
  test('a model that fails at once', async () => {
    const id = await anna.made();
    s.provider.script({ answer: { status: 500, error: { message: 'a secret' } } });
    const h = await anna.hear(id, 'a');
    assert.deepEqual(h.types, ['start', 'start-step', 'finish-step', 'error', 'finish']);
    assert.ok(!h.error.includes('secret'));
  });
  test('a silent one gets comments', async () => {
    const own = new Person(await s.serve({ session: { heartbeat: '100ms' } }));
    s.provider.script({ answer: { text: 'x', first: ms(2000) } });
    const h = await own.hear(await own.made(), 'a');
    assert.ok(h.comments.includes('heartbeat'), JSON.stringify(h.comments));
    assert.equal(h.text, 'x');
  });
  test('a prompt comes before it, and a model may be wished for', async () => {
    const own = new Person(await s.serve({ session: { prompt: 'be brief', model: 'asked' }, pace: 0 }));
    const id = await own.made();
    await own.hear(id, 'a');
    assert.deepEqual(s.asked()[0].messages[0], { role: 'system', content: 'be brief' });
    assert.equal((await own.hear(id, 'echo this', { model: 'slow' })).text, 'echo this');
    assert.equal((await own.hear(id, 'standard', { model: 'standard' })).text, 'standard');
    assert.equal(s.asked().length, 2);
  });
  test('bodies that say too much or nothing', async () => {
    const id = await anna.made();
    for (const message of [undefined, '', ' ', 7, 'x'.repeat(64001)]) await isRefused(anna.ask(id, message), 'body', 'message');
    await isRefused(anna.ask(id, 'a', { message_id: 'x'.repeat(65) }), 'body', 'message_id');
    await isRefused(anna.ask(id, 'a', { file_ids: Array(21).fill('x') }), 'body', 'file_ids');
    await isRefused(anna.ask(id, 'a', { context: 'x' }), 'body', 'context');
    await isRefused(anna.ask(id, 'a', { is_user_message: 1 }), 'body', 'is_user_message');
    await isRefused(anna.fetch(`/sessions/${id}/stream`, { method: 'POST', body: '[]' }), 'body');
    assert.equal((await anna.hear(id, 'x'.repeat(64000), { context: null, file_ids: null, mode: 'fast', other: 1 })).text.length, 64000);
  });
  test('one message id is one question', async () => {
    const id = await anna.made();
    const all = [await anna.hear(id, 'a', { message_id: 'm1' }), await anna.hear(id, 'a', { message_id: 'm1' })];
    assert.deepEqual(all[1].parts, all[0].parts);
    assert.equal(s.asked().length, 1);
    assert.equal((await anna.said(id)).length, 2);
    assert.equal((await anna.ask(id, 'another', { message_id: 'm1' })).status, 422);
    const elsewhere = await anna.made();
    assert.equal((await anna.hear(elsewhere, 'b', { message_id: 'm1' })).text, 'b');
  });
  test('one Idempotency-Key is one question of its session', async () => {
    for (const key of ['once', 'o'.repeat(255)]) {
      s.provider.forget();
      const headers = { 'idempotency-key': key };
      const [id, elsewhere] = [await anna.made(), await anna.made()];
      const first = await anna.hear(id, 'a', {}, { headers });
      assert.deepEqual((await anna.hear(id, 'a', {}, { headers })).parts, first.parts);
      assert.equal(s.asked().length, 1);
      assert.equal((await anna.ask(id, 'another', {}, { headers })).status, 422);
      assert.equal((await anna.hear(elsewhere, 'b', {}, { headers })).text, 'b');
      assert.equal((await anna.said(id)).length, 2);
    }
    assert.equal((await anna.ask(await anna.made(), 'a', {}, { headers: { 'idempotency-key': 'o'.repeat(256) } })).status, 400);
  });
  test('the older form: in the query', async () => {
    const id = await anna.made();
    assert.equal((await heard(await anna.fetch(`/sessions/${id}/stream?message=${encodeURIComponent(HELLO)}&is_user_message=true`))).text, HELLO);
    await isRefused(anna.fetch(`/sessions/${id}/stream?message=`), 'query', 'message');
    await isRefused(anna.fetch(`/sessions/${id}/stream?message=${'x'.repeat(10001)}`), 'query', 'message').catch((e) => assert.match(String(e), /414|URI/));
  });
});

describe('coming back', () => {
  const first = async (r, n) => {
    const parts = [];
    for await (const e of events(r)) {
      if (e.data) parts.push(JSON.parse(e.data));
      if (parts.length >= n) break;
    }
    return parts;
  };
  for (const where of ['here', 'on another instance']) {
    test(`${where}: from the first part on, and then live`, async () => {
      const other = where === 'here' ? server : await s.serve();
      const id = await anna.made();
      const words = Array.from({ length: 40 }, (_, i) => `word${i}`).join(' ');
      const began = await first(await anna.ask(id, words, { model: 'slow' }), 6);
      const busy = await anna.show(id);
      assert.ok(busy.active_stream.turn_id && busy.active_stream.last_message_id);
      assert.deepEqual(busy.messages.map((m) => m.role), ['user']);
      assert.equal((await anna.get('/sessions?limit=1')).sessions[0].is_processing, true);
      const h = await heard(await anna.fetch(`/sessions/${id}/stream`, { on: other }));
      assert.deepEqual(h.parts.slice(0, 6), began);
      assert.equal(h.text, words);
      const task = await anna.get(`/tasks/${busy.active_stream.turn_id}`);
      assert.deepEqual([task.session_id, task.status], [id, 'completed']);
      assert.deepEqual((await heard(await anna.fetch(`/tasks/${task.task_id}/stream?last_message_id=0-0`))).text, words);
      assert.deepEqual(await body(boris.fetch(`/tasks/${task.task_id}`)), [404, failed('GET', `/tasks/${task.task_id}`, `Task ${task.task_id} not found or access denied.`)]);
    });
  }
  test('when nothing runs', async () => {
    const id = await anna.made();
    assert.equal((await anna.fetch(`/sessions/${id}/stream`)).status, 204);
    await anna.hear(id, 'a');
    assert.equal((await anna.fetch(`/sessions/${id}/stream`)).status, 204);
    assert.equal((await anna.fetch(`/sessions/${id}/stream`, { method: 'DELETE' })).status, 204);
  });
  for (const where of ['here', 'on another instance']) {
    test(`stopping ${where}`, async () => {
      const other = where === 'here' ? server : await s.serve();
      const id = await anna.made();
      const reading = anna.hear(id, 'word '.repeat(2000), { model: 'slow' });
      await eventually(async () => assert.ok((await anna.show(id)).active_stream), ms(5000));
      await sleep(ms(300));
      assert.deepEqual(await anna.get(`/sessions/${id}/cancel`, { method: 'POST', on: other }), { cancelled: true, reason: null });
      const h = await reading;
      assert.deepEqual([h.error, h.types.slice(-3)], [null, ['finish-step', 'abort', 'finish']]);
      const [, [role, content]] = await anna.said(id);
      assert.deepEqual([role, content], ['assistant', `${h.text}\n\n[interrupted]`]);
      assert.deepEqual(await anna.get(`/sessions/${id}/cancel`, { method: 'POST' }), { cancelled: true, reason: 'no_active_session' });
    });
  }
});

describe('a message while an answer is made', () => {
  const EMPTY = ['start', 'start-step', 'finish-step', 'finish'];
  const answered = (id, n, on = anna) => eventually(async () => {
    const shown = await on.show(id);
    assert.deepEqual([shown.messages.length, shown.active_stream], [n, null]);
    return shown.messages.map((m) => m.content);
  }, ms(15000));
  const words = (n) => Array.from({ length: n }, (_, i) => `w${i}`).join(' ');
  const runs = (id) => eventually(async () => assert.ok((await anna.show(id)).active_stream), ms(5000));

  test('waits, and is answered behind it', async () => {
    const id = await anna.made();
    const first = anna.hear(id, words(30), { model: 'slow' });
    await runs(id);
    assert.deepEqual((await anna.hear(id, 'second', { context: { url: 'http://a/', content: 'page' } })).types, EMPTY);
    assert.deepEqual(await anna.get(`/sessions/${id}/messages/pending`, { method: 'POST', body: { message: 'third' } }), { status: 'queued' });
    const waiting = await anna.get(`/sessions/${id}/messages/pending`);
    assert.deepEqual([waiting.messages.map((m) => m.content), waiting.count], [['second', 'third'], 2]);
    assert.equal((await boris.fetch(`/sessions/${id}/messages/pending`)).status, 404);
    assert.equal((await first).text, words(30));
    const said = await answered(id, 6);
    assert.deepEqual([said[0], said[1], said[2], said[4], said[5]], [words(30), words(30), 'second', 'third', 'third']);
    assert.deepEqual(s.asked().map((b) => b.messages.length), [3, 5]);
    assert.ok(s.asked()[0].messages[2].content.includes('http://a/'));
    assert.equal((await anna.get(`/sessions/${id}/messages/pending`)).count, 0);
    assert.equal((await anna.hear(id, 'fourth')).text, 'fourth');
  });
  test('of two that come at once one waits, in whichever process', async () => {
    const other = await s.serve();
    const id = await anna.made();
    s.provider.script({ answer: { first: ms(500) }, times: 4 });
    const all = await Promise.all([server, other, server, other].map((on, i) => anna.hear(id, `m${i}`, {}, { on })));
    assert.equal(all.filter((h) => h.text).length, 1);
    assert.equal(all.filter((h) => h.types.join() === EMPTY.join()).length, 3);
    const said = await answered(id, 8);
    for (let i = 0; i < 8; i += 2) assert.equal(said[i], said[i + 1], said.join());
    assert.deepEqual([...new Set(said)].sort(), ['m0', 'm1', 'm2', 'm3']);
  });
  test('is one, though it is sent again', async () => {
    const id = await anna.made();
    const first = anna.hear(id, words(20), { model: 'slow' });
    await runs(id);
    for (let i = 0; i < 3; i++) assert.deepEqual((await anna.hear(id, 'again', { message_id: 'm' })).types, EMPTY);
    await first;
    assert.deepEqual((await answered(id, 4)).slice(2), ['again', 'again']);
    assert.equal((await anna.hear(id, 'again', { message_id: 'm' })).text, 'again');
    assert.equal((await anna.show(id)).messages.length, 4);
  });
  test('by the name of one that waits already is refused, and that one is asked', async () => {
    const id = await anna.made();
    const first = anna.hear(id, words(30), { model: 'slow' });
    await runs(id);
    assert.deepEqual((await anna.hear(id, 'one', { message_id: 'm' })).types, EMPTY);
    const wait = (message) => anna.fetch(`/sessions/${id}/messages/pending`, { method: 'POST', body: { message, message_id: 'm' } });
    const refusals = [await body(anna.ask(id, 'another', { message_id: 'm' })), await body(wait('another')), await body(anna.ask(id, 'another', {}, { headers: { 'idempotency-key': 'm' } }))];
    assert.deepEqual(await body(wait('one')), [200, { status: 'queued' }]);
    assert.deepEqual((await anna.get(`/sessions/${id}/messages/pending`)).messages.map((m) => m.content), ['one']);
    await first;
    assert.deepEqual((await answered(id, 4)).slice(2), ['one', 'one']);
    // As it is when nothing waits.
    const refusal = await body(anna.ask(id, 'another', { message_id: 'm' }));
    assert.deepEqual(refusal, [422, { detail: 'another question was asked with this Idempotency-Key' }]);
    assert.deepEqual(refusals, [refusal, refusal, refusal]);
  });
  test('outlives the process that was told it', async () => {
    const doomed = await s.serve();
    const id = await anna.made();
    const first = anna.hear(id, words(2000), { model: 'slow' }, { on: doomed }).catch(() => {});
    await runs(id);
    assert.deepEqual((await anna.hear(id, 'do not forget me', {}, { on: doomed })).types, EMPTY);
    doomed.kill('SIGKILL');
    await doomed.until(() => doomed.exited, 'the end of a killed server');
    await first;
    const said = await answered(id, 4);
    assert.match(said[1], /\[interrupted\]$/);
    assert.deepEqual(said.slice(2), ['do not forget me', 'do not forget me']);
  });
  test('without an answer there is nothing to wait for', async () => {
    const id = await anna.made();
    assert.deepEqual(await body(anna.fetch(`/sessions/${id}/messages/pending`, { method: 'POST', body: { message: 'a' } })),
      [409, { detail: 'Session has no active turn. Start a new turn with POST /stream.' }]);
    assert.equal((await anna.hear(id, 'a')).text, 'a');
  });
});

describe('tools that are run here', () => {
  const call = (id, expression) => ({ id, name: 'calculator', arguments: typeof expression === 'string' ? JSON.stringify({ expression }) : '{"expr' });
  let own;
  before(async () => { own = new Person(await s.serve({ tools: ['calculator'] })); });

  test('a step for each round, and parts for each call', async () => {
    const id = await own.made();
    s.provider.script({ answer: { text: 'Let me see.', finish: 'tools', tools: [call('c1', '6*7'), call('c2', '1+1')], usage: { input: 10, output: 5 } }, times: 1 });
    s.provider.script({ answer: { text: 'It is 42.', usage: { input: 20, output: 7 } }, times: 1 });
    const h = await own.hear(id, 'how much');
    const steps = h.types.filter((t) => !t.endsWith('-delta'));
    assert.deepEqual(steps, ['start', 'start-step', 'text-start', 'text-end', 'tool-input-start', 'tool-input-start', 'tool-input-available', 'tool-input-available',
      'tool-output-available', 'tool-output-available', 'finish-step', 'start-step', 'text-start', 'text-end', 'finish-step', 'finish']);
    const [c1, c2] = h.parts.filter((p) => p.type === 'tool-input-available');
    assert.deepEqual(c1, { type: 'tool-input-available', toolCallId: c1.toolCallId, toolName: 'calculator', input: { expression: '6*7' } });
    assert.notEqual(c1.toolCallId, c2.toolCallId);
    const out = h.parts.filter((p) => p.type === 'tool-output-available');
    assert.deepEqual(out.map((p) => [p.toolCallId, typeof p.output]), [[c1.toolCallId, 'string'], [c2.toolCallId, 'string']]);
    assert.ok(out[0].output.includes('42'));
    const shown = (await own.show(id)).messages;
    assert.deepEqual(shown.map((m) => [m.role, m.content, m.tool_calls?.length ?? 0, !!m.tool_call_id]),
      [['user', 'how much', 0, false], ['assistant', 'Let me see.', 2, false], ['tool', out[0].output, 0, true], ['tool', out[1].output, 0, true], ['assistant', 'It is 42.', 0, false]]);
    assert.deepEqual((await own.show(id)).usage, [{ prompt_tokens: 30, completion_tokens: 12, total_tokens: 42 }]);
    s.provider.script({ answer: { text: 'ok' }, times: 1 });
    await own.hear(id, 'thanks');
    assert.deepEqual(s.asked().at(-1).messages.map((m) => m.role), ['user', 'assistant', 'tool', 'tool', 'assistant', 'user']);
    assert.deepEqual(s.provider.requests().at(-1).problems, []);
  });
  test('arguments that cannot be read: an empty input, and an error for the output', async () => {
    s.provider.script({ answer: { finish: 'tools', tools: [call('c1', null)] }, times: 1 });
    s.provider.script({ answer: { text: 'sorry' }, times: 1 });
    const h = await own.hear(await own.made(), 'how much');
    assert.deepEqual(h.parts.find((p) => p.type === 'tool-input-available').input, {});
    assert.ok(h.parts.find((p) => p.type === 'tool-output-error').errorText);
    assert.deepEqual([h.text, h.error], ['sorry', null]);
  });
  test('another reader sees the same parts', async () => {
    const id = await own.made();
    s.provider.script({ answer: { finish: 'tools', tools: [call('c1', '2+2')] }, times: 1 });
    s.provider.script({ answer: { text: 'It is 4.' }, times: 1 });
    const h = await own.hear(id, 'how much');
    const task = await own.server.sql(`SELECT t.id FROM runnel.turn t JOIN runnel.chat c ON c.id = t.chat WHERE c.uid = '${id}'`);
    assert.deepEqual((await heard(await own.fetch(`/tasks/${task[0][0]}/stream`))).parts, h.parts);
  });
});

describe('titles', () => {
  const titled = (own, id) => eventually(async () => assert.ok((await own.show(id)).title), ms(5000));
  test('are found by a model, from the first question alone', async () => {
    const own = new Person(await s.serve({ session: { title_model: 'asked', model: 'slow' }, pace: 0 }));
    const id = await own.made();
    s.provider.script({ answer: { text: `"${'标'.repeat(60)}"` } });
    await own.hear(id, 'x'.repeat(700));
    await titled(own, id);
    assert.equal((await own.show(id)).title, `${'标'.repeat(47)}...`);
    const [asked] = s.asked();
    assert.deepEqual([asked.messages[1].content, asked.max_tokens], ['x'.repeat(500), 20]);
    await own.hear(id, 'second');
    assert.equal(s.asked().length, 1);
  });
  test('are found without tools, whatever tools their model has', async () => {
    const own = new Person(await s.serve({ session: { title_model: 'asked' }, tools: ['calculator'] }));
    const id = await own.made();
    s.provider.script({ answer: { text: 'Six times seven' } });
    await own.hear(id, 'how much is 6*7');
    await titled(own, id);
    const isTitle = (b) => b.max_tokens === 20;
    assert.deepEqual(s.asked().filter(isTitle).map((b) => [b.tools, b.tool_choice]), [[undefined, undefined]]);
    assert.deepEqual(s.asked().filter((b) => !isTitle(b)).map((b) => b.tools.map((t) => t.function.name)), [['calculator']]);
  });
  test('that fail leave none, and one that was given stays', async () => {
    const own = new Person(await s.serve({ session: { title_model: 'asked', model: 'slow' }, pace: 0 }));
    const id = await own.made();
    s.provider.script({ answer: { status: 500, error: { message: 'no' } }, times: 1 });
    await own.hear(id, 'a');
    await s.provider.settled(1);
    await sleep(ms(100));
    assert.equal((await own.show(id)).title, null);
    const given = await own.made();
    s.provider.script({ answer: { text: 'late', first: ms(700) } });
    await own.hear(given, 'a');
    await own.fetch(`/sessions/${given}/title`, { method: 'PATCH', body: { title: 'mine' } });
    await s.provider.settled(2);
    await sleep(ms(300));
    assert.equal((await own.show(given)).title, 'mine');
  });
});

describe('the rest', () => {
  test('health, lifetimes, operations', async () => {
    const open = new Person(await s.serve({ session: { stream_ttl: '90s', service_keys: ['service-1'] } }), null);
    assert.deepEqual(await open.get('/health'), { status: 'healthy', service: 'chat', version: '0.1.0' });
    assert.deepEqual(await open.server.sql("SELECT count(*) FROM runnel.chat WHERE mode = 'trial'"), [['0']]);
    const own = new Person(open.server);
    assert.deepEqual(await own.get('/config/ttl'), { stream_ttl_seconds: 90, stream_ttl_ms: 90000 });
    const complete = (key) => body(open.fetch('/operations/op-1/complete', { method: 'POST', body: { success: true }, headers: key ? { 'x-api-key': key } : {} }));
    assert.deepEqual(await complete('service-1'), [404, { detail: 'Operation op-1 not found' }]);
    for (const key of ['service-2', 'service-11', '']) assert.deepEqual(await complete(key), [401, { detail: 'Invalid API key' }]);
  });
  test('without a database there are none', async () => {
    const own = new Person(await s.serve({ kept: false, open: true }), null);
    const [status, b] = await body(own.fetch('/sessions'));
    assert.deepEqual([status, b.hint], [503, 'Check server logs and dependent services.']);
    assert.equal((await own.fetch('/health')).status, 503);
  });
  test('where nothing is and what is not allowed', async () => {
    assert.deepEqual((await body(anna.fetch('/nowhere')))[0], 404);
    assert.equal((await anna.fetch('/sessions', { method: 'PUT', body: {} })).status, 405);
  });
});
