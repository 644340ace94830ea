// What DB-GPT's doors keep, beyond what dbgpt.test.mjs looks at: rounds that failed or were left,
// the title, the export of everything.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { start as startProvider } from '../providers/lib/index.mjs';
import { becomesReady, database } from './lib/database.mjs';
import { said } from './lib/dbgpt.mjs';
import { cluster } from './lib/postgres.mjs';
import { connect, post } from './lib/raw.mjs';
import { eventually, ms, start } from './lib/server.mjs';

const KEY = 'sk-of-ours-77';
const TEXT = '你好，世界 👩‍👩‍👧 ';
const TIME = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/;
const UUID4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

let pg, model, db, server, cutting;
before(async () => {
  model = await startProvider({ kind: 'openai', key: KEY, control: false });
  pg = await cluster({ fast: true });
  db = await database({ on: pg });
  const serve = (dbgpt) => start({
    database: { url: db.url }, access: { keys: ['ann', 'bob', 'eve'] }, dialects: { dbgpt },
    providers: [{ name: 'fake', kind: 'openai', base_url: `${model.url}/v1`, api_key: KEY, retries: 0, breaker_failures: 0 }],
    models: [{ name: 'fake', targets: [{ provider: 'fake' }] }] });
  server = await serve({});
  cutting = await serve({ on_leave: 'cancel' });
  for (const s of [server, cutting]) await becomesReady(s, ms(10000));
});
after(async () => {
  await Promise.all([server, cutting].map((s) => s?.stop()));
  await model?.stop();
  await pg?.remove();
});

const V2 = '/api/v2/chat/completions', D = '/api/v1/chat/dialogue';
const send = (path, { method = 'GET', body, key = 'ann', on = server, ...more } = {}) => fetch(`http://127.0.0.1:${on.port}${path}`, {
  method, headers: { authorization: `Bearer ${key}`, ...(body && { 'content-type': 'application/json' }) }, body: body && JSON.stringify(body), ...more });
const ask = (conv_uid, messages, more = {}, options = {}) => send(V2, { method: 'POST', body: { model: 'fake', conv_uid, messages, ...more }, ...options });
const says = (answer) => model.script({ answer: typeof answer === 'string' ? { text: answer } : answer, times: 1 });
const rows = (uid) => db.sql(`SELECT m.role, m.state, m.content FROM runnel.message m JOIN runnel.chat c ON c.tenant = m.tenant AND c.id = m.chat WHERE c.uid = '${uid}' ORDER BY m.seq`);
const data = async (path, options) => {
  const all = await (await send(path, options)).json();
  assert.deepEqual([all.success, all.err_code, all.err_msg], [true, null, null], JSON.stringify(all));
  return all.data;
};
const history = (uid, key) => data(`${D}/messages/history?con_uid=${uid}`, { key });

describe('rounds', () => {
  test('the title is the first 250 characters of the first question', async () => {
    says('a');
    const long = '字👍'.repeat(200);
    await (await ask('t1', long)).text();
    says('b');
    await (await ask('t1', 'another')).text();
    assert.equal((await data(`${D}/query`, { method: 'POST', body: { conv_uid: 't1' } })).user_input, [...long].slice(0, 250).join(''));
  });
  test('a name of its own is a random UUID', async () => {
    for (const conv_uid of [undefined, '']) {
      says('a');
      assert.match((await (await ask(conv_uid, 'x', { stream: false })).json()).id, UUID4);
    }
  });
  test('one that failed before its first word shows the question and the failure', async () => {
    says({ status: 500, error: { message: 'no' } });
    await (await ask('f1', 'lost', { stream: false })).text();
    const red = "<span style='color:red'>ERROR!</span> Model server error!code=1, error msg is the model service failed";
    assert.deepEqual((await history('f1')).map((m) => [m.role, m.context, m.order]), [['human', 'lost', 1], ['view', red, 1]]);
  });
  test('one that failed in the middle shows what there is of it', async () => {
    says({ text: TEXT.repeat(2), end: false, finish: null });
    const heard = said(await (await ask('f2', 'half')).text());
    assert.ok(heard.startsWith(TEXT.repeat(2)) && heard.endsWith('(error_code: 1)'));
    const [human, ai, view, ...rest] = await history('f2');
    assert.deepEqual([human.context, ai.context, rest], ['half', TEXT.repeat(2), []]);
    assert.ok(view.context.startsWith(`${TEXT.repeat(2)}\n\n<span style='color:red'>ERROR!</span>`));
    assert.deepEqual((await rows('f2')).map((r) => r.slice(0, 2)), [['user', 'complete'], ['assistant', 'error'], ['view', 'complete']]);
  });
  test('one that was left, where the settings cut it, keeps its part', async () => {
    says({ text: TEXT.repeat(50), gap: ms(20) });
    const leaving = new AbortController();
    const res = await ask('l1', 'left', {}, { on: cutting, signal: leaving.signal });
    await res.body.getReader().read();
    leaving.abort();
    await eventually(async () => assert.deepEqual((await rows('l1')).map((r) => r[0]), ['user', 'assistant', 'view']), ms(5000));
    const [, answer, view] = await rows('l1');
    assert.equal(answer[1], 'interrupted');
    assert.ok(answer[2].length > 0 && answer[2].length < TEXT.length * 50 && TEXT.repeat(50).startsWith(answer[2]));
    assert.equal(view[2], answer[2], 'a part is shown as it is');
    assert.deepEqual((await history('l1')).map((m) => m.role), ['human', 'ai', 'view']);
  });
});

describe('the order of checks (2.4.2)', () => {
  const code = async (body) => (await (await send(V2, { method: 'POST', body })).json()).error.code;
  test('the form, the param, the app, the mode, the model', async () => {
    const bad = { messages: 'x', chat_mode: 'chat_app', stream: false };
    assert.equal(await code({ ...bad, chat_param: 'p' }), 'invalid_request_error', 'the form: no model');
    assert.equal(await code({ ...bad, model: 'gone' }), 'invalid_chat_param');
    assert.match((await (await send(V2, { method: 'POST', body: { ...bad, model: 'gone', chat_param: 'p' } })).json()).err_msg, /chat app now not support no stream/);
    assert.equal(await code({ ...bad, model: 'gone', chat_mode: 'bogus', chat_param: 'p' }), 'invalid_chat_mode');
    assert.equal(await code({ model: 'gone', messages: 'x' }), 'model_not_found');
  });
  test('nothing of what was refused is kept', async () => {
    for (const body of [{ model: 'gone', messages: 'x', conv_uid: 'n1' }, { model: 'fake', messages: 'x', conv_uid: 'n1', chat_mode: 'chat_app', chat_param: 'p' }])
      assert.ok((await send(V2, { method: 'POST', body })).status >= 400);
    assert.deepEqual(await db.sql("SELECT id FROM runnel.chat WHERE uid = 'n1'"), []);
  });
});

test('the head of a stream (2.4.4)', async () => {
  says(TEXT);
  const c = await connect(server.port);
  await c.send(post(V2, JSON.stringify({ model: 'fake', messages: 'x' }), 'Authorization: Bearer ann'));
  const r = await c.response({ method: 'POST' });
  assert.equal(r.status, 200);
  assert.equal(r.header('content-type'), 'text/event-stream');
  assert.match(r.header('cache-control'), /^no-cache\b/);
  assert.deepEqual([r.header('transfer-encoding'), r.header('x-accel-buffering')], ['chunked', 'no']);
  assert.notEqual(r.header('connection'), 'close');
  c.destroy();
});

describe('the export of everything (2.6)', () => {
  const message = (role, context, order) => ({ role, context, order, model_name: 'fake', feedback: {} });
  before(async () => {
    for (const [uid, user, sys] of [['e1', '李', 's'], ['e2', 'u2', 's'], ['e3', '李', 't']]) {
      says(`to ${uid} ${TEXT}`);
      await (await ask(uid, `say ${uid}`, { user_name: user, sys_code: sys }, { key: 'bob' })).text();
    }
  });
  const conversations = (all) => all.conversations.map(({ create_time, update_time, messages, ...c }) => {
    for (const t of [create_time, update_time, ...messages.map((m) => m.time_stamp)]) assert.match(t, TIME);
    return { ...c, messages: messages.map(({ time_stamp, ...m }) => m) };
  });
  const of = (uid) => ({ conv_uid: uid, chat_mode: 'chat_normal', app_code: null, total_messages: 3,
    messages: [message('human', `say ${uid}`, 1), message('ai', `to ${uid} ${TEXT}`, 1), message('view', `to ${uid} ${TEXT}`, 1)] });

  test('as JSON, the newest first', async () => {
    const all = await data(`${D}/export_messages?format=json`, { key: 'bob' });
    assert.deepEqual([all.user_name, all.sys_code, all.total_conversations], [null, null, 3]);
    assert.deepEqual(conversations(all), ['e3', 'e2', 'e1'].map(of));
  });
  test('of one user, and of one system', async () => {
    const some = await data(`${D}/export_messages?format=json&user_id=%E6%9D%8E`, { key: 'bob' });
    assert.deepEqual([some.user_name, some.total_conversations, some.conversations.map((c) => c.conv_uid)], ['李', 2, ['e3', 'e1']]);
    const one = await data(`${D}/export_messages?format=json&user_name=%E6%9D%8E&sys_code=s`, { key: 'bob' });
    assert.deepEqual([one.sys_code, one.conversations.map((c) => c.conv_uid)], ['s', ['e1']]);
  });
  test('as a file, unless something else is said', async () => {
    for (const query of ['', '?format=file']) {
      const res = await send(`${D}/export_messages${query}`, { key: 'bob' });
      assert.deepEqual([res.status, res.headers.get('content-type'), res.headers.get('content-disposition')],
        [200, 'application/file', 'attachment;filename=conversation_export_dbgpt_dbgpt.json']);
      assert.deepEqual(conversations(await res.json()), ['e3', 'e2', 'e1'].map(of));
    }
  });
  test('its name is made of plain letters', async () => {
    const res = await send(`${D}/export_messages?user_name=${encodeURIComponent('a"b\r\nx: 李/..')}&sys_code=S-1`, { key: 'bob' });
    assert.equal(res.headers.get('content-disposition'), 'attachment;filename=conversation_export_a_b__x_________S-1.json');
    assert.equal((await res.json()).total_conversations, 0);
  });
  test('is nobody else\'s', async () => assert.equal((await data(`${D}/export_messages?format=json`, { key: 'eve' })).total_conversations, 0));
  test('in no other form', async () => {
    const res = await send(`${D}/export_messages?format=xml`, { key: 'bob' });
    assert.deepEqual([res.status, (await res.json()).err_msg], [400, "query.format:Input should be 'file' or 'json';"]);
  });
  test('of more than one list of conversations, and of messages', async () => {
    await db.sql(`
      WITH mine AS (SELECT tenant, dialect, owner FROM runnel.chat WHERE uid = 'e1')
      INSERT INTO runnel.chat (tenant, dialect, owner, uid, mode, title, more)
      SELECT tenant, dialect, owner, 'many ' || i, 'chat_normal', '', '{"user_name": "many"}' FROM mine, generate_series(1, 1001) i`);
    await db.sql(`
      INSERT INTO runnel.message (tenant, chat, seq, role, content)
      SELECT tenant, id, i, 'user', 'line ' || i FROM runnel.chat, generate_series(1, 2001) i WHERE uid = 'many 7'`);
    const all = await data(`${D}/export_messages?format=json&user_name=many`, { key: 'bob' });
    assert.deepEqual([all.total_conversations, new Set(all.conversations.map((c) => c.conv_uid)).size], [1001, 1001]);
    const long = all.conversations.find((c) => c.conv_uid === 'many 7');
    assert.deepEqual([long.total_messages, long.messages[0].context, long.messages.at(-1).context], [2001, 'line 1', 'line 2001']);
    assert.equal((await data(`${D}/export_messages?format=json`, { key: 'bob' })).total_conversations, 1004);
  });
});
