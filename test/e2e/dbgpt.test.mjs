// DB-GPT's clients: its v2 API as its own server speaks it, its conversations, and what its model
// server and its pages ask below /api/v1.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fetchEventSource } from '@microsoft/fetch-event-source';
import OpenAI from 'openai';
import { start as startProvider } from '../providers/lib/index.mjs';
import { becomesReady, database } from './lib/database.mjs';
import { said } from './lib/dbgpt.mjs';
import { cluster } from './lib/postgres.mjs';
import { duration, eventually, ms, start } from './lib/server.mjs';

const MIXED = '你好，世界！ 👩‍👩‍👧 "quoted" \\ line\nnext 👍🏽';
const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-[14][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}';
const EMPTY = '"usage": {"prompt_tokens": 0, "total_tokens": 0, "completion_tokens": 0}';
const UNREACHED = 'the model service failed';
const KEY = 'sk-of-ours-77';

let pg, model, open, kept, db;
const settings = (more = {}) => ({
  providers: [{ name: 'echo', kind: 'echo', tokens_per_second: 0 },
    { name: 'fake', kind: 'openai', base_url: `${model.url}/v1`, api_key: KEY, retries: 0, breaker_failures: 0, first_timeout: duration(20000), idle_timeout: duration(20000) }],
  models: [{ name: 'echo', class: 'local_small', targets: [{ provider: 'echo' }] }, { name: 'fake', targets: [{ provider: 'fake' }] },
    { name: 'app/big', class: 'local_large', targets: [{ provider: 'fake' }] }],
  ...more });
const served = [];
async function serve(more, options) {
  const s = await start(settings(more), options);
  served.push(s);
  return s;
}
before(async () => {
  model = await startProvider({ kind: 'openai', key: KEY, control: false });
  pg = await cluster({ fast: true });
  db = await database({ on: pg });
  open = await serve();
  kept = await serve({ database: { url: db.url }, access: { keys: ['ann', 'bob'] }, turns: { journal_every: '100ms' } });
  await becomesReady(kept, ms(10000));
});
after(async () => {
  await Promise.all(served.map((s) => s.stop()));
  await model?.stop();
  await pg?.remove();
});

const V2 = '/api/v2/chat/completions';
const send = (s, path, { method = 'POST', body, key, headers, signal } = {}) => fetch(`http://127.0.0.1:${s.port}${path}`, {
  method, signal, headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...(key && { authorization: `Bearer ${key}` }), ...headers },
  body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body) });
const ask = (s, body, more) => send(s, V2, { body: typeof body === 'string' ? body : { model: 'echo', messages: 'hi', ...body }, ...more });
const says = (answer, faults) => model.script({ answer: typeof answer === 'string' ? { text: answer } : answer, faults, times: 1 });
const lastAsked = () => model.requests().at(-1).body;

const repr = (message, code) => `{'error': {'message': '${message}', 'type': 'invalid_request_error', 'param': None, 'code': '${code}'}}`;
const inner = (message, code) => ({ message, type: 'invalid_request_error', param: null, code });
const both = (err_code, err_msg, e) => ({ success: false, err_code, err_msg, data: null, detail: { error: e }, error: e });
// The members stand in this order, without spaces.
async function isRaised(res, status, message, code) {
  assert.deepEqual([res.status, await res.text()], [status, JSON.stringify(both(String(status), repr(message, code), inner(message, code)))]);
  assert.equal(res.headers.get('content-type'), 'application/json');
}
async function isFailed(res, err_code, text, code = 'invalid_request_error') {
  assert.deepEqual([res.status, await res.text()], [400, JSON.stringify(both(err_code, text, inner(text, code)))]);
}
async function isGood(res) {
  const all = JSON.parse(await res.text());
  assert.deepEqual([res.status, Object.keys(all), all.success, all.err_code, all.err_msg], [200, ['success', 'err_code', 'err_msg', 'data'], true, null, null]);
  return all.data;
}

const py = (s) => JSON.stringify(s);

describe('who may ask (2.2)', () => {
  let s;
  before(async () => { s = await serve({ dialects: { dbgpt: { api_keys: ' one , two' } } }); });
  for (const [name, authorization, good] of [['a key', 'Bearer one', true], ['the other one', 'bearer two', true], ['none', undefined, false],
    ['a wrong one', 'Bearer three', false], ['a part of one', 'Bearer on', false], ['another scheme', 'Basic one', false], ['the list', 'Bearer one , two', false]])
    test(name, async () => {
      const res = await ask(s, { stream: false }, { headers: authorization && { authorization } });
      if (good) { assert.equal(res.status, 200); return; }
      await isRaised(res, 401, '', 'invalid_api_key');
    });
  test('the key is asked for before anything else', async () => {
    await isRaised(await ask(s, '{'), 401, '', 'invalid_api_key');
    await isRaised(await ask(s, { model: 3 }), 401, '', 'invalid_api_key');
  });
  test('in the bytes that its server sends', async () => {
    const E = '{"message":"","type":"invalid_request_error","param":null,"code":"invalid_api_key"}';
    assert.equal(await (await ask(s)).text(), `{"success":false,"err_code":"401","err_msg":"{'error': {'message': '', 'type': 'invalid_request_error', 'param': None, 'code': 'invalid_api_key'}}","data":null,"detail":{"error":${E}},"error":${E}}`);
  });
  test('without a list everybody may, whatever he shows', async () => {
    assert.equal((await ask(open, { stream: false }, { key: 'anything' })).status, 200);
  });
  test('without a list the service\'s own keys decide', async () => {
    await isRaised(await ask(kept), 401, '', 'invalid_api_key');
    await isRaised(await ask(kept, {}, { key: 'eve' }), 401, '', 'invalid_api_key');
    assert.equal((await ask(kept, { stream: false }, { key: 'ann' })).status, 200);
  });
});

describe('errors on the wire (2.3)', () => {
  test('no such path, and no such method', async () => {
    for (const [path, method, status, text] of [['/api/v2/nothing', 'POST', 404, '{"detail":"Not Found"}'], [V2, 'GET', 405, '{"detail":"Method Not Allowed"}']]) {
      const res = await send(open, path, { method });
      assert.deepEqual([res.status, await res.text()], [status, text]);
    }
  });
  for (const [name, body, text] of [
    ['no JSON', '{', 'body:JSON decode error;'],
    ['no object', '[]', 'body:Input should be a valid dictionary or object to extract fields from;'],
    ['nothing in it', '{}', 'body.model:Field required;body.messages:Field required;'],
    ['null is absent', '{"model":null,"messages":"x"}', 'body.model:Field required;'],
    ['a model that is none', '{"model":3,"messages":"x"}', 'body.model:Input should be a valid string;'],
    ['messages that are none', '{"model":"echo","messages":{}}', 'body.messages.str:Input should be a valid string;body.messages.list[str]:Input should be a valid list;'],
    ['a list of others', '{"model":"echo","messages":["a",1]}', 'body.messages.str:Input should be a valid string;body.messages.list[str].1:Input should be a valid string;'],
    ['an unreadable bool', '{"model":"echo","messages":"x","stream":"maybe"}', 'body.stream:Input should be a valid boolean, unable to interpret input;'],
    ['no bool at all', '{"model":"echo","messages":"x","incremental":[]}', 'body.incremental:Input should be a valid boolean;'],
    ['an unreadable number', '{"model":"echo","messages":"x","temperature":"hot"}', 'body.temperature:Input should be a valid number, unable to parse string as a number;'],
    ['half an integer', '{"model":"echo","messages":"x","max_new_tokens":1.5}', 'body.max_new_tokens:Input should be a valid integer, got a number with a fractional part;'],
    ['several, in the order of the fields', '{"messages":"x","conv_uid":1,"temperature":{},"stream":7}',
      'body.model:Field required;body.stream:Input should be a valid boolean, unable to interpret input;body.temperature:Input should be a valid number;body.conv_uid:Input should be a valid string;'],
  ]) test(`E0001: ${name}`, async () => isFailed(await ask(open, body), 'E0001', text));
  test('E0003: no such model', async () => isFailed(await ask(open, { model: 'gone' }), 'E0003', "the model 'gone' does not exist", 'model_not_found'));
  test('E0003: the model fails before its first word', async () => {
    says({ status: 500, error: { message: 'x' } });
    await isFailed(await ask(open, { model: 'fake' }), 'E0003', UNREACHED, 'service_failed');
  });
});

describe('what a body may be (2.4.1)', () => {
  const prompt = async (body, s = open) => {
    says('ok');
    const res = await ask(s, { model: 'fake', stream: false, ...body });
    assert.equal(res.status, 200, await res.clone().text());
    return lastAsked();
  };
  const SYSTEM = { role: 'system', content: 'You are a helpful AI assistant.' };
  for (const [name, messages, want] of [
    ['a text', MIXED, [SYSTEM, { role: 'user', content: MIXED }]],
    ['texts', ['one', '二'], [SYSTEM, { role: 'user', content: 'one\n二' }]],
    ['a message', [{ role: 'user', content: 'hi' }], [SYSTEM, { role: 'user', content: 'hi' }]],
    ['messages', [{ role: 'user', content: 'a' }, { role: 'assistant', content: 'b' }, { role: 'user', content: 'c' }],
      [SYSTEM, { role: 'user', content: 'a' }, { role: 'assistant', content: 'b' }, { role: 'user', content: 'c' }]],
    ['messages with words for the model', [{ role: 'system', content: 'S' }, { role: 'user', content: 'c' }], [{ role: 'system', content: 'S' }, { role: 'user', content: 'c' }]],
  ]) test(`messages: ${name}`, async () => assert.deepEqual((await prompt({ messages })).messages, want));
  test('the defaults of its scene', async () => {
    const { temperature, max_tokens } = await prompt({});
    assert.deepEqual([temperature, max_tokens], [0.6, 1024]);
  });
  test('what is asked for goes to the model, and what is unset does not', async () => {
    const asked = await prompt({ temperature: '0.1', max_new_tokens: '77', top_p: 0.5, top_k: -1, n: 1, stop: ['x'], user: null, repetition_penalty: 1.0, presence_penalty: 0.25 });
    const { model: m, messages, stream, stream_options, ...rest } = asked;
    assert.deepEqual(rest, { temperature: 0.1, max_tokens: 77, top_p: 0.5, stop: ['x'], presence_penalty: 0.25 });
    assert.equal((await prompt({ max_new_tokens: 5, max_tokens: 6 })).max_tokens, 6);
  });
  test('everything that its client sends as null is absent', async () => {
    const nulls = Object.fromEntries(['temperature', 'max_new_tokens', 'conv_uid', 'span_id', 'chat_mode', 'chat_param', 'user_name', 'sys_code', 'incremental', 'enable_vis'].map((n) => [n, null]));
    assert.equal((await ask(open, { ...nulls, stream: false })).status, 200);
  });
  for (const [value, streams] of [[true, true], ['yes', true], [1, true], ['ON', true], [false, false], ['False', false], [0, false], ['n', false], [null, true]])
    test(`stream: ${JSON.stringify(value)}`, async () => {
      const res = await ask(open, { stream: value });
      assert.equal(res.headers.get('content-type'), streams ? 'text/event-stream' : 'application/json');
      await res.text();
    });
  test('in Chinese, and not a stream unless it is asked for', async () => {
    const s = await serve({ dialects: { dbgpt: { language: 'zh', stream_default: false } } });
    assert.equal((await prompt({}, s)).messages[0].content, '你是一个有用的 AI 助手。');
    assert.equal((await ask(s)).headers.get('content-type'), 'application/json');
  });
});

describe('the order of checks (2.4.2)', () => {
  const MODES = 'chat mode now only support chat_normal, chat_app, chat_flow, chat_knowledge, chat_data';
  for (const [name, body, message, code] of [
    ['a mode without its param', { chat_mode: 'chat_data' }, 'chart param is None', 'invalid_chat_param'],
    ['an unknown mode without one', { chat_mode: 'bogus' }, 'chart param is None', 'invalid_chat_param'],
    ['an app that is not streamed', { chat_mode: 'chat_app', chat_param: 'x', stream: false }, 'chat app now not support no stream', 'invalid_request_error'],
    ['an unknown mode', { chat_mode: 'bogus', chat_param: '' }, MODES, 'invalid_chat_mode'],
  ]) test(name, async () => isRaised(await ask(open, body), 400, message, code));
  for (const mode of ['chat_app', 'chat_flow', 'chat_knowledge', 'chat_data'])
    test(`${mode} is not there, and says so`, async () => isRaised(await ask(open, { chat_mode: mode, chat_param: 'x' }), 501, `${mode} is not available here`, 'not_implemented'));
  for (const mode of ['', 'chat_normal', null]) test(`${JSON.stringify(mode)} is the normal one`, async () => assert.equal((await ask(open, { chat_mode: mode, stream: false })).status, 200));
});

describe('an answer that is no stream (2.4.3)', () => {
  test('its bytes', async () => {
    says({ text: `${MIXED}&quot;x\ufffdy`, usage: { input: 7, output: 5 } });
    const res = await ask(open, { model: 'fake', stream: false, conv_uid: 'uid-1' });
    const text = await res.text();
    const created = /"created":(\d+)/.exec(text)[1];
    assert.equal(text, `{"id":"uid-1","object":"chat.completion","created":${created},"model":"fake","choices":[{"index":0,"message":{"role":"assistant","content":${JSON.stringify(`${MIXED}"xy`)}},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"total_tokens":12,"completion_tokens":5}}`);
  });
  for (const conv_uid of [undefined, '']) test(`a conversation of its own for ${conv_uid}`, async () => {
    const [a, b] = [await (await ask(open, { stream: false, conv_uid })).json(), await (await ask(open, { stream: false, conv_uid })).json()];
    assert.match(a.id, new RegExp(`^${UUID}$`));
    assert.notEqual(a.id, b.id);
  });
  test('a failure is an answer', async () => {
    says({ status: 500, error: { message: 'x' } });
    const res = await ask(open, { model: 'fake', stream: false });
    const { choices: [c] } = await res.json();
    assert.deepEqual([res.status, c.finish_reason, c.message.content], [200, null, `<span style='color:red'>ERROR!</span> Model server error!code=1, error msg is ${UNREACHED}`]);
  });
});

describe('a stream (2.4.4)', () => {
  test('its bytes', async () => {
    says({ tokens: ['你好', ' 👩‍👩‍👧', '\n"x"'] });
    const res = await ask(open, { model: 'fake' });
    assert.equal(res.headers.get('content-type'), 'text/event-stream');
    assert.match(res.headers.get('cache-control'), /^no-cache/);
    const text = await res.text();
    const id = new RegExp(`chatcmpl-${UUID}`).exec(text)[0];
    const chunk = (t) => `data: {"id": "${id}", "model": "fake", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ${py(t)}}}]}\n\n`;
    assert.equal(text, `${chunk('你好')}${chunk(' 👩‍👩‍👧')}${chunk('\n"x"')}data: [DONE]\n\n`);
  });
  test('of its own client\'s strict reader', async () => assert.equal(said(await (await ask(open, { messages: MIXED })).text()), MIXED));
  test('no words are only [DONE]', async () => {
    says({ tokens: [] });
    assert.equal(await (await ask(open, { model: 'fake' })).text(), 'data: [DONE]\n\n');
  });
  test('with the members that strict readers want', async () => {
    const s = await serve({ dialects: { dbgpt: { extra_members: true } } });
    says({ reasoning: 'hm', tokens: ['x'] });
    const text = await (await ask(s, { model: 'fake' })).text();
    const [, id, created] = /"id": "(.*?)", "object": "chat.completion.chunk", "created": (\d+)/.exec(text);
    const chunk = (member, t, reason) => `data: {"id": "${id}", "object": "chat.completion.chunk", "created": ${created}, "model": "fake", "choices": [{"index": 0, "delta": {"role": "assistant", "${member}": ${py(t)}}, "finish_reason": ${reason}}]}\n\n`;
    assert.equal(text, `${chunk('reasoning_content', 'hm', 'null')}${chunk('content', 'x', 'null')}${chunk('content', '', '"stop"')}data: [DONE]\n\n`);
  });
  test('not incremental: all of the text so far, raw, and no [DONE]', async () => {
    says({ tokens: ['你', '\n好', '\r 👍🏽'] });
    const res = await ask(open, { model: 'fake', incremental: false });
    assert.equal(res.headers.get('content-type'), 'text/event-stream');
    assert.equal(await res.text(), 'data: 你\n\ndata: 你\\n好\n\ndata: 你\\n好\\r 👍🏽\n\n');
  });
  test('not incremental, as objects', async () => {
    const s = await serve({ dialects: { dbgpt: { incremental_form: 'json' } } });
    says({ tokens: ['你', '好'] });
    const text = await (await ask(s, { model: 'fake', incremental: 'no' })).text();
    const id = /chatcmpl-[0-9a-f-]+/.exec(text)[0];
    const object = (t) => `data: {"id": "${id}", "model": "fake", "choices": [{"index": 0, "message": {"role": "assistant", "content": ${py(t)}, "reasoning_content": null}}], ${EMPTY}}\n\n`;
    assert.equal(text, object('你') + object('你好'));
  });
  test('a failure in the middle is a last delta', async () => {
    says({ tokens: ['one ', 'two'], errorAfter: 2 });
    const res = await ask(open, { model: 'fake' });
    const text = await res.text();
    assert.equal(res.status, 200);
    assert.match(said(text), /^one (two)?\*\*LLMServer Generate Error, Please CheckErrorInfo\.\*\*: .+ \(error_code: 1\)$/);
    assert.ok(text.endsWith('data: [DONE]\n\n'));
  });
  test('silence has no comments in it, and a late failure its status', async () => {
    const s = await serve({ stream: { commit_after: '20ms', heartbeat: '50ms' } });
    says({ tokens: ['a', 'b'], first: ms(500), gap: ms(500) });
    const text = await (await ask(s, { model: 'fake' })).text();
    assert.ok(text.split('\n').every((l) => l === '' || l.startsWith('data: ')), text);
    assert.equal(said(text), 'ab');
    says({ tokens: ['x'], first: ms(400), errorAfter: 0 });
    assert.equal((await ask(s, { model: 'fake' })).status, 400);
  });
});

describe('what is kept (2.4.5, 2.5)', () => {
  const rows = (uid) => db.sql(`SELECT m.role, m.state, m.content FROM runnel.message m JOIN runnel.chat c ON c.tenant = m.tenant AND c.id = m.chat WHERE c.uid = '${uid}' ORDER BY m.seq`);
  const say = async (uid, messages, more = {}, key = 'ann') => {
    const res = await ask(kept, { model: 'fake', conv_uid: uid, messages, ...more }, { key });
    assert.equal(res.status, 200, await res.clone().text());
    return res.text();
  };
  test('a question, its answer, and what people see of it', async () => {
    says('你好 👍🏽');
    await say('k1', MIXED, { user_name: '李', sys_code: 'sys' });
    assert.deepEqual(await rows('k1'), [['user', 'complete', MIXED], ['assistant', 'complete', '你好 👍🏽'], ['view', 'complete', '你好 👍🏽']]);
    assert.deepEqual((await db.sql("SELECT dialect, owner <> '', mode, title, more->>'user_name', more->>'sys_code' FROM runnel.chat WHERE uid = 'k1'"))[0],
      ['dbgpt', 't', 'chat_normal', MIXED, '李', 'sys']);
  });
  test('the model is told ten rounds, and nobody else\'s', async () => {
    for (let i = 1; i <= 12; i++) {
      says(`a${i}`);
      await say('k2', `q${i}`);
    }
    const rounds = Array.from({ length: 10 }, (_, i) => [`q${i + 2}`, `a${i + 2}`]).flat();
    assert.deepEqual(lastAsked().messages.map((m) => m.content), ['You are a helpful AI assistant.', ...rounds, 'q12']);
    says('x');
    await isFailed(await ask(kept, { model: 'fake', conv_uid: 'k2' }, { key: 'bob' }), 'E0003', 'the conversation is not there', 'no_chat');
    model.clear();
  });
  test('messages that the client keeps itself come alone', async () => {
    says('x');
    await say('k2', [{ role: 'user', content: 'A' }, { role: 'assistant', content: 'B' }, { role: 'user', content: 'C' }]);
    assert.deepEqual(lastAsked().messages.map((m) => m.content), ['You are a helpful AI assistant.', 'A', 'B', 'C']);
    assert.deepEqual((await rows('k2')).at(-3), ['user', 'complete', 'C']);
  });
  test('an answer that failed is shown as such, and not told again', async () => {
    says({ status: 500, error: { message: 'x' } });
    await (await ask(kept, { model: 'fake', conv_uid: 'k3', messages: 'lost' }, { key: 'ann' })).text();
    const all = await rows('k3');
    assert.deepEqual(all.map((r) => r[0]), ['user', 'assistant', 'view']);
    assert.equal(all[2][2], `<span style='color:red'>ERROR!</span> Model server error!code=1, error msg is ${UNREACHED}`);
    says('x');
    await say('k3', 'again');
    assert.deepEqual(lastAsked().messages.map((m) => m.content), ['You are a helpful AI assistant.', 'again']);
  });
  test('who leaves finds all of it later', async () => {
    says({ tokens: ['a', 'b', 'c', 'd'], gap: ms(100) });
    const leaving = new AbortController();
    const res = await ask(kept, { model: 'fake', conv_uid: 'k4' }, { key: 'ann', signal: leaving.signal });
    await res.body.getReader().read();
    leaving.abort();
    await eventually(async () => assert.deepEqual((await rows('k4')).slice(1), [['assistant', 'complete', 'abcd'], ['view', 'complete', 'abcd']]), ms(5000));
  });
  test('an Idempotency-Key: asked once, and the same bytes again', async () => {
    model.forget();
    says('once');
    const again = (more, body) => ask(kept, { model: 'fake', messages: 'idem', ...body }, { key: 'ann', headers: { 'idempotency-key': 'i 1' }, ...more });
    const first = await (await again()).text();
    assert.equal(await (await again()).text(), first);
    assert.equal(model.requests().length, 1);
    await isRaised(await again({}, { messages: 'another' }), 422, 'another question was asked with this Idempotency-Key', 'key_reused');
    says('whole');
    const whole = () => ask(kept, { model: 'fake', stream: false, messages: 'idem' }, { key: 'ann', headers: { 'idempotency-key': 'i 2' } }).then((r) => r.text());
    assert.equal(await whole(), await whole());
    assert.equal(Number((await db.sql("SELECT count(*) FROM runnel.chat WHERE title = 'idem'"))[0][0]), 2);
  });
});

describe('conversations (2.6)', () => {
  const D = '/api/v1/chat/dialogue';
  const call = (path, more = {}, key = 'bob') => send(kept, `${D}${path}`, { method: 'POST', key, ...more });
  const get = (path, key) => call(path, { method: 'GET' }, key);
  before(async () => {
    for (const [uid, user] of [['c1', 'u1'], ['c2', '李'], ['c3', 'u1']]) {
      says(`to ${uid}`);
      await (await ask(kept, { model: 'fake', conv_uid: uid, user_name: user, messages: `say ${uid}` }, { key: 'bob' })).text();
    }
  });
  test('new keeps nothing yet', async () => {
    const data = await isGood(await call('/new?user_name=%E6%9D%8E&sys_code=s'));
    assert.match(data.conv_uid, new RegExp(`^${UUID}$`));
    assert.deepEqual(data, { user_input: '', conv_uid: data.conv_uid, chat_mode: 'chat_normal', app_code: null, user_name: '李', sys_code: 's', select_param: null, model_name: null });
    assert.equal(await isGood(await call('/query', { body: { conv_uid: data.conv_uid } })), null);
  });
  test('list: the newest first, of one user, in pages, and nobody else\'s', async () => {
    const uids = async (query, key) => (await isGood(await get(`/list${query}`, key))).map((c) => c.conv_uid);
    assert.deepEqual(await uids(''), ['c3', 'c2', 'c1']);
    assert.deepEqual(await uids('?user_name=u1'), ['c3', 'c1']);
    assert.deepEqual(await uids('?user_id=%E6%9D%8E'), ['c2']);
    assert.deepEqual(await uids('?page=2&page_size=2'), ['c1']);
    assert.deepEqual(await uids('?user_name=u1&page=2&page_size=1'), ['c1']);
    assert.ok((await uids('', 'ann')).every((u) => !/^c\d$/.test(u)));
  });
  test('a conversation has these members', async () => {
    const c = await isGood(await call('/query', { body: { conv_uid: 'c2' } }));
    assert.match(c.gmt_created, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
    assert.deepEqual(c, { conv_uid: 'c2', user_input: 'say c2', chat_mode: 'chat_normal', app_code: null, select_param: null, model_name: 'fake', user_name: '李', sys_code: null, gmt_created: c.gmt_created, gmt_modified: c.gmt_modified });
    assert.equal((await isGood(await call('/query', { body: { user_name: 'u1' } }))).conv_uid, 'c3');
  });
  test('query_page', async () => {
    const { items, ...rest } = await isGood(await call('/query_page?page=1&page_size=2', { body: { user_name: null } }));
    assert.deepEqual([items.map((c) => c.conv_uid), rest], [['c3', 'c2'], { total_count: 3, total_pages: 2, page: 1, page_size: 2 }]);
    const one = await isGood(await call('/query_page', { body: { user_name: 'u1', chat_mode: 'chat_normal' } }));
    assert.deepEqual([one.items.length, one.total_count, one.total_pages], [2, 2, 1]);
  });
  test('messages/history', async () => {
    await db.sql("DELETE FROM runnel.message m USING runnel.chat c WHERE c.id = m.chat AND c.uid = 'c1' AND m.role = 'view'");
    says('second');
    await (await ask(kept, { model: 'fake', conv_uid: 'c1', messages: 'more' }, { key: 'bob' })).text();
    const all = await isGood(await get('/messages/history?con_uid=c1'));
    assert.deepEqual(all.map((m) => [m.role, m.context, m.order, m.model_name, m.feedback]), [
      ['human', 'say c1', 1, 'echo', {}], ['ai', 'to c1', 1, 'echo', {}], ['view', 'to c1', 1, 'echo', {}],
      ['human', 'more', 2, 'echo', {}], ['ai', 'second', 2, 'echo', {}], ['view', 'second', 2, 'echo', {}]]);
    for (const m of all) assert.match(m.time_stamp, /^\d{4}-\d\d-\d\d /);
    assert.deepEqual(await isGood(await get('/messages/history?con_uid=none')), []);
    assert.deepEqual(await isGood(await get('/messages/history?con_uid=c1', 'ann')), []);
    await isFailed(await get('/messages/history'), 'E0001', 'query.con_uid:Field required;');
  });
  test('delete and clear', async () => {
    for (const [verb, uid] of [['delete', 'c2'], ['clear', 'c3']]) {
      await isGood(await call(`/${verb}?con_uid=${uid}`, {}, 'ann'));
      assert.notEqual(await isGood(await call('/query', { body: { conv_uid: uid } })), null, 'it is not ann\'s');
      assert.equal(await isGood(await call(`/${verb}?con_uid=${uid}`)), null);
      assert.equal(await isGood(await call('/query', { body: { conv_uid: uid } })), null);
      assert.deepEqual(await isGood(await get(`/messages/history?con_uid=${uid}`)), []);
    }
  });
  test('health and test_auth', async () => {
    assert.deepEqual(await isGood(await get('/health', '')), { status: 'ok' });
    assert.deepEqual(await isGood(await get('/test_auth')), { status: 'ok' });
    await isRaised(await get('/test_auth', 'eve'), 401, '', 'invalid_api_key');
  });
  test('bad pages', async () => {
    await isFailed(await get('/list?page=x'), 'E0001', 'query.page:Input should be a valid integer, unable to parse string as an integer;');
    assert.equal((await get('/list?page=0')).status, 400);
  });
  test('without a database it says so', async () => isRaised(await send(open, `${D}/list`, { method: 'GET' }), 503, 'conversations need a database, and this service has none', 'no_database'));
});

describe('the model server and the pages (2.8, 2.9)', () => {
  const V1 = '/api/v1/chat/completions';
  const hi = { model: 'echo', messages: [{ role: 'user', content: 'hi there' }] };
  const code = async (body, want, message) => {
    const res = await send(open, V1, { body });
    assert.deepEqual([res.status, await res.json()], [400, { object: 'error', message, code: want }]);
  };
  test('models', async () => {
    const { data, ...rest } = await (await send(open, '/api/v1/models', { method: 'GET' })).json();
    assert.deepEqual(data.map((m) => m.id), ['app/big', 'echo', 'fake']);
    assert.deepEqual(rest, { object: 'list', local_models: ['echo'], cloud_models: ['app/big', 'fake'] });
    const { id, created, permission: [{ id: pid, created: at, ...p }], ...m } = data[1];
    assert.deepEqual(m, { object: 'model', owned_by: 'DB-GPT', root: 'echo', parent: null });
    assert.deepEqual(p, { object: 'model_permission', allow_create_engine: false, allow_sampling: true, allow_logprobs: true, allow_search_indices: true, allow_view: true, allow_fine_tuning: false, organization: '*', group: null, is_blocking: false });
  });
  test('OpenAI\'s form, with OpenAI\'s SDK', async () => {
    const client = new OpenAI({ baseURL: `http://127.0.0.1:${open.port}/api/v1`, apiKey: 'none', maxRetries: 0 });
    let got = '';
    for await (const part of await client.chat.completions.create({ ...hi, stream: true })) got += part.choices[0]?.delta?.content ?? '';
    assert.equal(got, 'hi there');
    const whole = await client.chat.completions.create(hi);
    assert.deepEqual([whole.choices[0].message.content, whole.choices[0].finish_reason], ['hi there', 'stop']);
    assert.equal((await client.embeddings.create({ model: 'fake', input: 'x', encoding_format: 'float' })).data.length, 1);
  });
  test('its numbers', async () => {
    await code({ ...hi, model: 'x' }, 40301, 'Only echo&&fake&&app/big allowed now, your model x');
    await code({ ...hi, max_tokens: 0 }, 40302, "0 is less than the minimum of 1 - 'max_tokens'");
    await code({ ...hi, n: 0 }, 40302, "0 is less than the minimum of 1 - 'n'");
    await code({ ...hi, temperature: 3 }, 40302, "3 is greater than the maximum of 2 - 'temperature'");
    await code({ ...hi, top_p: -1 }, 40302, "-1 is less than the minimum of 0 - 'top_p'");
    await code({ ...hi, top_k: 0 }, 40302, '0 is out of Range. Either set top_k to -1 or >=1.');
    await code({ ...hi, stop: 1 }, 40302, "1 is not valid under any of the given schemas - 'stop'");
    await code({ model: 'echo', messages: 3 }, 40001, "'messages' must be an array");
  });
  test('a page: the text so far, and failures as text', async () => {
    const page = (body) => send(open, V1, { body: { user_input: 'a b', model_name: 'echo', ...body } });
    const res = await page();
    assert.deepEqual([res.status, res.headers.get('content-type'), await res.text()], [200, 'text/event-stream', 'data: a\n\ndata: a b\n\n']);
    assert.equal(said(await (await page({ incremental: true })).text()), 'a b');
    assert.equal(await (await page({ model_name: 'gone' })).text(), "data: the model 'gone' does not exist\n\n");
    assert.equal(await (await page({ chat_mode: 'bogus' })).text(), 'data: chart param is None\n\n');
    says({ status: 500, error: { message: 'x' } });
    const failed = await page({ model_name: 'fake' });
    assert.deepEqual([failed.status, await failed.text()], [200, `data: **LLMServer Generate Error, Please CheckErrorInfo.**: ${UNREACHED} (error_code: 1)\n\n`]);
  });
});

describe('clients (2.10)', () => {
  const client = (s = open, apiKey = 'none') => new OpenAI({ baseURL: `http://127.0.0.1:${s.port}/api/v2`, apiKey, maxRetries: 0, timeout: ms(10000) });
  const body = { model: 'echo', messages: [{ role: 'user', content: MIXED }], chat_mode: 'chat_normal', conv_uid: 'sdk' };
  test('OpenAI\'s SDK: a stream', async () => {
    let got = '';
    for await (const part of await client().chat.completions.create({ ...body, stream: true })) got += part.choices[0].delta.content;
    assert.equal(got, MIXED);
  });
  test('OpenAI\'s SDK: a whole answer', async () => {
    const whole = await client().chat.completions.create({ ...body, stream: false });
    assert.deepEqual([whole.id, whole.choices[0].message.content], ['sdk', MIXED]);
  });
  test('OpenAI\'s SDK: errors', async () => {
    await assert.rejects(client(kept, 'eve').chat.completions.create({ ...body, stream: true }), (e) => e.status === 401 && e.code === 'invalid_api_key');
    await assert.rejects(client().chat.completions.create({ ...body, chat_mode: 'chat_data' }), (e) => e.status === 400 && e.code === 'invalid_chat_param' && /chart param is None/.test(e.message));
  });
  test('its pages\' way: fetch-event-source, the type to the letter', async () => {
    globalThis.document ??= { hidden: false, addEventListener() {}, removeEventListener() {} };
    globalThis.window ??= globalThis;
    const messages = [];
    let errors = 0;
    await fetchEventSource(`http://127.0.0.1:${open.port}${V2}`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ model: 'echo', messages: MIXED, incremental: false }), openWhenHidden: true,
      onopen(res) { if (res.headers.get('content-type') !== 'text/event-stream') errors++; },
      onmessage: (e) => messages.push(e.data.replaceAll('\\n', '\n')),
      onerror(e) { throw e; },
    });
    assert.deepEqual([errors, messages.at(-1)], [0, MIXED]);
  });
});
