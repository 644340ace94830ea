// What the assistant keeps: sessions and their memory, whose they are, what is left of an answer
// that nobody heard to its end; and its other pages.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { BORIS, Person, stage } from './lib/assistant.mjs';
import { eventually, ms } from './lib/server.mjs';

const HELLO = '你好，世界 👩‍👩‍👧';
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/;

let s, server, anna, boris, n = 0;
before(async () => {
  s = await stage();
  server = await s.serve();
  anna = new Person(server);
  boris = new Person(server, BORIS);
});
after(() => s?.remove());
beforeEach(() => s.forget());

const named = () => `session ${++n}`;
const say = (session_id, message, more = {}) => anna.chat({ session_id, message, model_type: 'local_small', ...more });
const history = (session, query = '', p = anna) => p.get(`/api/v1/sessions/${encodeURIComponent(session)}/history${query}`);
const spoken = async (session) => (await history(session)).messages.map((m) => [m.role, m.content]);
const refused = async (r, status, detail) => assert.deepEqual([(await r).status, await (await r).json()], [status, { detail }]);

describe('the memory of a session', () => {
  test('the model is told what was said before', async () => {
    const session = named();
    s.near.script({ answer: { text: 'your name is 安娜' } });
    await say(session, `I am 安娜 ${HELLO}`);
    await anna.hear({ session_id: session, message: 'what did I just tell you', model_type: 'cloud_large' });
    assert.deepEqual(s.asked('far')[0].messages, [{ role: 'user', content: `I am 安娜 ${HELLO}` }, { role: 'assistant', content: 'your name is 安娜' },
      { role: 'user', content: 'what did I just tell you' }]);
  });
  test('ten turns of it, and no more', async () => {
    const session = named();
    for (let i = 1; i <= 12; i++) await say(session, `question ${i}`);
    const told = s.asked('near').at(-1).messages;
    assert.deepEqual([told.length, told[0], told[1].role, told.at(-1).content], [21, { role: 'user', content: 'question 2' }, 'assistant', 'question 12']);
  });
  test('none of it, where the settings say so', async () => {
    const p = new Person(await s.serve({ assistant: { remembers: 0 } }));
    for (const message of ['first', 'second']) await p.chat({ session_id: 'a', message });
    assert.deepEqual(s.asked('near').at(-1).messages, [{ role: 'user', content: 'second' }]);
  });
  test('is nobody else\'s, though they call it the same', async () => {
    const session = named();
    await say(session, 'a secret');
    assert.equal((await boris.chat({ session_id: session, message: 'hello' })).session_id, session);
    assert.deepEqual(s.asked('near').at(-1).messages, [{ role: 'user', content: 'hello' }]);
    assert.deepEqual((await history(session, '', boris)).messages.map((m) => m.content), ['hello', 'hello']);
  });
  test('a new session of each who names none', async () => {
    const ids = await Promise.all([1, 2, 3].map(async () => (await anna.chat({ message: 'hi' })).session_id));
    assert.equal(new Set(ids).size, 3);
    for (const id of ids) assert.equal((await history(id)).messages.length, 2);
  });
});

describe('answers that did not end well', () => {
  test('whoever leaves: the question and the part are kept, and said to be one', async () => {
    const session = named(), leaver = new AbortController();
    s.near.script({ answer: { text: HELLO.repeat(50), gap: 20 } });
    const r = await anna.stream({ session_id: session, message: HELLO, model_type: 'local_small' }, { signal: leaver.signal });
    await r.body.getReader().read();
    leaver.abort();
    await eventually(async () => assert.equal((await history(session)).messages[1]?.metadata.state, 'interrupted'), ms(5000));
    const [question, answer] = (await history(session)).messages;
    assert.deepEqual([question.content, question.metadata, answer.metadata], [HELLO, {}, { state: 'interrupted', interrupted: true }]);
    assert.ok(answer.content.length > 0 && answer.content.length < HELLO.length * 50 && HELLO.repeat(50).startsWith(answer.content));
    await eventually(() => assert.ok(s.near.requests()[0].clientClosed));
  });
  test('an answer that broke off', async () => {
    const session = named();
    s.near.script({ answer: { text: HELLO.repeat(3), end: false, finish: null }, times: 1 });
    assert.ok((await say(session, 'a')).error);
    const [, answer] = (await history(session)).messages;
    assert.deepEqual([answer.content, answer.metadata], [HELLO.repeat(3), { state: 'error', interrupted: true }]);
    await say(session, 'b');
    assert.equal(s.asked('near').at(-1).messages.length, 3);
  });
  test('an answer of which there is not a word', async () => {
    const session = named();
    for (const p of [s.near, s.far]) p.script({ answer: { status: 500, error: { message: 'no' } }, times: 1 });
    assert.equal((await say(session, 'a')).reasoning, '所有模型不可用');
    assert.deepEqual(await spoken(session), [['user', 'a'], ['assistant', '']]);
    await say(session, 'b');
    assert.deepEqual(s.asked('near').at(-1).messages.map((m) => m.content), ['a', 'b']);
  });
});

test('one key is one question, and tells again who answered', async () => {
  const session = named(), headers = { 'idempotency-key': 'once' };
  const body = { session_id: session, message: '今天' };
  s.far.script({ answer: { status: 500, error: { message: 'no' } }, times: 1 });
  const all = [await anna.hear(body, { headers }), await anna.hear(body, { headers })];
  assert.deepEqual(all[1], all[0]);
  assert.deepEqual([all[0].last.model_used, all[0].last.reasoning], ['local_small', '云端模型不可用，使用本地模型']);
  assert.deepEqual([s.far.requests().length, s.near.requests().length], [1, 1]);
  const { detail } = await (await anna.stream({ ...body, message: 'other' }, { headers })).json();
  assert.ok(detail);
});

test('whoever stands in is the one who is paid', async () => {
  const own = await s.serve();
  const used = async () => own.sql('SELECT model, sum(requests), sum(failures) FROM runnel.usage GROUP BY model ORDER BY model');
  s.far.script({ answer: { status: 500, error: { message: 'no' } }, times: 1 });
  await new Person(own).chat({ message: '今天' });
  await eventually(async () => assert.deepEqual(await used(), [['near', '1', '0']]));
  await new Person(own).chat({ message: '今天' });
  await eventually(async () => assert.deepEqual(await used(), [['far', '1', '0'], ['near', '1', '0']]));
});

test('the mini-program may ask the model auto, too', async () => {
  const p = new Person(await s.serve({ dialects: { xcx: { model: 'auto' } } }));
  const { chatId } = (await p.get('/api/xcx/chat/messages?contextType=task&contextId=1')).data;
  for (const content of ['你好', '今天']) await p.get(`/api/xcx/chat/${chatId}/messages`, { method: 'POST', body: { content } });
  assert.deepEqual([s.near.requests().length, s.far.requests().length], [1, 1]);
  assert.equal((await p.get(`/api/xcx/chat/${chatId}/messages`)).data.items.length, 4);
});

describe('sessions', () => {
  test('are made, found, listed and deleted', async () => {
    const p = new Person(await s.serve());
    assert.deepEqual(await p.get('/api/v1/sessions'), []);
    const made = await p.get('/api/v1/sessions', { method: 'POST', body: { title: HELLO } });
    assert.deepEqual([made.title, made.message_count, made.metadata, made.session_id], [HELLO, 0, {}, made.id]);
    assert.match(made.id, /^session_\d{10}\.\d+$/);
    assert.match(made.created_at, ISO);
    await p.chat({ session_id: made.id, message: 'a' });
    await p.chat({ session_id: 'own/1 字', message: `${HELLO} and twenty characters` });
    const list = await p.get('/api/v1/sessions?limit=50');
    assert.deepEqual(list.map((l) => [l.id, l.title, l.message_count]), [['own/1 字', [...HELLO, ...' and twenty characters'].slice(0, 20).join(''), 2], [made.id, HELLO, 2]]);
    assert.deepEqual((await p.get('/api/v1/sessions?limit=1')).length, 1);
    assert.equal((await p.get(`/api/v1/sessions/${encodeURIComponent('own/1 字')}`)).message_count, 2);
    assert.equal((await p.fetch(`/api/v1/sessions/${made.id}`, { method: 'DELETE' })).status, 200);
    for (const method of ['GET', 'DELETE']) await refused(p.fetch(`/api/v1/sessions/${made.id}`, { method }), 404, '会话不存在');
    await refused(p.fetch(`/api/v1/sessions/${made.id}/history`), 404, '会话不存在');
  });
  test('are not for others', async () => {
    const session = named();
    await say(session, 'a secret');
    for (const [method, tail] of [['GET', ''], ['GET', '/history'], ['DELETE', '']])
      await refused(boris.fetch(`/api/v1/sessions/${encodeURIComponent(session)}${tail}`, { method }), 404, '会话不存在');
    assert.ok((await boris.get('/api/v1/sessions?limit=1000')).every((l) => l.message_count !== 0 && l.title !== 'a secret'));
    assert.equal((await history(session)).messages.length, 2);
  });
  test('their history, the last of it', async () => {
    const session = named();
    for (const m of ['a', 'b', 'c']) await say(session, m);
    assert.deepEqual(await spoken(session), ['a', 'b', 'c'].flatMap((m) => [['user', m], ['assistant', m]]));
    const { session_id, messages } = await history(session, '?limit=3');
    assert.deepEqual([session_id, messages.map((m) => m.content)], [session, ['b', 'c', 'c']]);
    for (const m of messages) {
      assert.deepEqual(Object.keys(m), ['id', 'role', 'content', 'timestamp', 'metadata']);
      assert.ok(Math.abs(Date.now() - m.timestamp) < 600000);
    }
    for (const limit of ['0', '1001', 'x', '-1', '']) assert.equal((await anna.fetch(`/api/v1/sessions/${encodeURIComponent(session)}/history?limit=${limit}`)).status, 400, limit);
  });
});

describe('memory', () => {
  const query = (body, p = anna) => p.get('/api/v1/memory/query', { method: 'POST', body });
  test('is looked for by its words, the newest first', async () => {
    const [one, two] = [named(), named()];
    await say(one, 'the 密码 is 100%_sure');
    await say(two, 'The 密码 of somebody');
    const { results, total_count } = await query({ query_text: '密码', similarity_threshold: 0.7 });
    assert.deepEqual([total_count, results.map((r) => r.session_id)], [2, [two, one]]);
    const { id, created_at, ...rest } = results[1];
    assert.deepEqual(rest, { session_id: one, content: '用户: the 密码 is 100%_sure\nAI: the 密码 is 100%_sure', content_type: 'conversation', embedding: null, metadata: {}, importance: 0.5 });
    assert.ok(id);
    assert.match(created_at, ISO);
    assert.deepEqual((await query({ query_text: '密码', limit: 1 })).results.map((r) => r.session_id), [two]);
    assert.equal((await query({ query_text: '密码', session_id: one })).total_count, 1);
    assert.equal((await query({ query_text: 'THE 密码' })).total_count, 2);
    assert.equal((await query({ query_text: '100%_s' })).total_count, 1);
    for (const text of ['%', '_o_', '100%sure']) assert.equal((await query({ query_text: text, session_id: two })).total_count, 0, text);
    assert.equal((await query({ query_text: '密码' }, boris)).total_count, 0);
  });
  for (const [body, field] of [[{}, 'query_text'], [{ query_text: 1 }, 'query_text'], [{ query_text: 'a', session_id: 1 }, 'session_id'], [{ query_text: 'a', limit: 0 }, 'limit'],
    [{ query_text: 'a', limit: 101 }, 'limit'], ['[]', 'body']]) {
    test(`${JSON.stringify(body)}: ${field}`, async () => {
      const r = await anna.post('/api/v1/memory/query', body);
      assert.deepEqual([r.status, (await r.json()).error.details.field], [400, field]);
    });
  }
  test('is forgotten, by its owner only', async () => {
    const session = named(), path = `/api/v1/memory/session/${encodeURIComponent(session)}`;
    const message = { message: `会话 ${session} 的记忆已清除` };
    await say(session, 'forget me');
    assert.deepEqual(await boris.get(path, { method: 'DELETE' }), message);
    assert.equal((await query({ query_text: 'forget me' })).total_count, 1);
    for (let i = 0; i < 2; i++) assert.deepEqual(await anna.get(path, { method: 'DELETE' }), message);
    assert.equal((await query({ query_text: 'forget me' })).total_count, 0);
    await say(session, 'anew');
    assert.deepEqual(s.asked('near').at(-1).messages.map((m) => m.content), ['anew']);
  });
});

test('without a database: nothing is kept, and that is said', async () => {
  const p = new Person(await s.serve({ kept: false }));
  for (const message of ['a', 'b']) await p.chat({ session_id: 'x', message });
  assert.deepEqual(s.asked('near').at(-1).messages, [{ role: 'user', content: 'b' }]);
  for (const [method, path, body] of [['GET', 'sessions'], ['POST', 'sessions', {}], ['GET', 'sessions/x'], ['GET', 'sessions/x/history'], ['DELETE', 'sessions/x'],
    ['POST', 'memory/query', { query_text: 'a' }], ['DELETE', 'memory/session/x']])
    await refused(p.fetch(`/api/v1/${path}`, { method, body }), 503, '服务未就绪');
  assert.equal((await p.get('/api/v1/system/status')).active_sessions, 0);
});

describe('the system', () => {
  test('its status, from real figures', async () => {
    const p = new Person(await s.serve());
    await p.chat({ session_id: 'a', message: 'a' });
    await p.chat({ session_id: 'b', message: 'a' });
    const one = await p.get('/api/v1/system/status'), two = await p.get('/api/v1/system/status');
    assert.deepEqual([one.status, one.active_sessions, one.gpu_usage, one.memory.usage_percent], ['healthy', 2, 0, one.memory_usage]);
    assert.equal(two.total_requests, one.total_requests + 1);
    assert.ok(one.total_requests >= 2 && one.avg_response_time > 0 && one.memory_usage > 0 && one.memory_usage < 100 && one.cpu_usage > 0);
    assert.ok(one.connections.total >= 1 && two.uptime_seconds > one.uptime_seconds);
    assert.deepEqual(one.components_health, { grpc_client: true, orchestrator: true, cloud_client: true, ollama_client: true, database: true });
    const figures = await p.get('/api/v1/system/metrics');
    assert.equal(figures.requests_total, two.total_requests + 1);
    assert.ok(figures.response_time_avg > 0);
  });
  test('what it is configured with is said to be taken, and is not', async () => {
    assert.deepEqual(await anna.get('/api/v1/config/update', { method: 'POST', body: { anything: 1 } }), { message: '配置更新成功' });
    assert.equal((await anna.post('/api/v1/config/update', '[]')).status, 400);
  });
});

describe('plugins', () => {
  const plugins = [{ name: 'weather_plugin', description: '天气', capabilities: ['forecast'], prompt: 'Tell the weather.' }, { name: 'own', keywords: ['发票'], version: '2.1', author: 'us', enabled: false }];
  test('are none by default', async () => assert.deepEqual(await anna.get('/api/v1/plugins'), []));
  test('are listed, switched, and asked', async () => {
    const p = new Person(await s.serve({ kept: false, assistant: { plugins } }));
    const full = { version: '1.0.0', description: '', author: '', capabilities: [], enabled: true, config_schema: {}, dependencies: [] };
    const weather = { ...full, name: 'weather_plugin', description: '天气', capabilities: ['forecast'] };
    assert.deepEqual(await p.get('/api/v1/plugins'), [weather, { ...full, name: 'own', version: '2.1', author: 'us', enabled: false }]);
    assert.deepEqual(await p.get('/api/v1/plugins/weather_plugin'), weather);
    await refused(p.fetch('/api/v1/plugins/nothing'), 404, '插件不存在');
    const whole = await p.chat({ message: '会下雨吗' });
    assert.deepEqual([whole.model_used, whole.reasoning, whole.error], ['plugin', '使用weather_plugin插件处理特定功能', null]);
    assert.deepEqual(s.asked('near')[0].messages, [{ role: 'system', content: 'Tell the weather.' }, { role: 'user', content: '会下雨吗' }]);
    assert.equal((await p.chat({ message: '会下雨吗', model_type: 'plugin' })).model_used, 'plugin');
    assert.equal((await p.chat({ message: '会下雨吗', model_type: 'local_small' })).model_used, 'local_small');
    assert.equal((await p.chat({ message: '发票' })).model_used, 'local_small');
    assert.deepEqual(await p.get('/api/v1/plugins/own/enable', { method: 'POST' }), { message: '插件 own 已启用' });
    assert.deepEqual(await p.get('/api/v1/plugins/weather_plugin/disable', { method: 'POST' }), { message: '插件 weather_plugin 已禁用' });
    assert.deepEqual((await p.get('/api/v1/plugins')).map((x) => x.enabled), [false, true]);
    assert.equal((await p.chat({ message: '发票' })).reasoning, '使用own插件处理特定功能');
    assert.equal((await p.chat({ message: '会下雨吗' })).model_used, 'local_small');
    await refused(p.post('/api/v1/plugins/nothing/enable'), 400, '插件启用失败');
    await refused(p.post('/api/v1/plugins/nothing/disable'), 400, '插件禁用失败');
  });
});
