// "store": true at OpenAI's door: what is kept, whose it is, what it is called; and what else of
// OpenAI's request goes on, or is refused.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import OpenAI from 'openai';
import { start as startProvider } from '../providers/lib/index.mjs';
import { becomesReady, database } from './lib/database.mjs';
import { cluster } from './lib/postgres.mjs';
import { eventually, ms, start } from './lib/server.mjs';

const KEY = 'sk-of-ours-77';
const TEXT = '你好，世界 👩‍👩‍👧 "q" \\ end';
const HEADER = 'X-Conversation-Id';

let pg, model, db, server, bare, clients;
before(async () => {
  model = await startProvider({ kind: 'openai', key: KEY, control: false });
  pg = await cluster({ fast: true });
  db = await database({ on: pg });
  const settings = { http: { cors_origins: ['*'] },
    providers: [{ name: 'fake', kind: 'openai', base_url: `${model.url}/v1`, api_key: KEY, retries: 0, breaker_failures: 0 }],
    models: [{ name: 'fake', targets: [{ provider: 'fake' }] }] };
  server = await start({ ...settings, database: { url: db.url }, access: { keys: ['ann', 'bob'] } });
  bare = await start(settings);
  await becomesReady(server, ms(10000));
  const client = (s, apiKey) => new OpenAI({ baseURL: `http://127.0.0.1:${s.port}/v1`, apiKey, maxRetries: 0, timeout: ms(15000) });
  clients = { ann: client(server, 'ann'), bob: client(server, 'bob'), bare: client(bare, 'none') };
});
after(async () => {
  await Promise.all([server, bare].map((s) => s?.stop()));
  await model?.stop();
  await pg?.remove();
});
beforeEach(() => { model.clear(); model.forget(); });

const user = (content) => [{ role: 'user', content }];
const ask = (who, body, headers = {}) => clients[who].chat.completions.create({ model: 'fake', messages: user(TEXT), ...body }, { headers });
async function kept(who, body, headers) {
  const { data, response } = await ask(who, { store: true, ...body }, headers).withResponse();
  let text = '';
  if (body?.stream) for await (const part of data) text += part.choices[0]?.delta?.content ?? '';
  else text = data.choices[0].message.content;
  return { text, name: response.headers.get(HEADER), response };
}
const rows = (name, owner = '%') => db.sql(`
  SELECT m.role, m.state, m.content FROM runnel.message m JOIN runnel.chat c ON c.tenant = m.tenant AND c.id = m.chat
  WHERE c.dialect = 'openai' AND c.more->>'conversation_id' = '${name}' AND c.owner LIKE '${owner}' ORDER BY c.id, m.seq`);
const count = async (what) => Number((await db.sql(`SELECT count(*) FROM ${what}`))[0][0]);
const refused = (promise, status, param, code, words) => assert.rejects(promise, (e) => {
  assert.deepEqual([e.status, e.param, e.code, e.type], [status, param, code, 'invalid_request_error'], e.message);
  assert.match(e.message, words);
  return true;
});

describe('a chat that is to be kept', () => {
  for (const stream of [false, true]) test(`gets a name, and is kept before its last word: ${stream ? 'a stream' : 'whole'}`, async () => {
    const { text, name } = await kept('ann', { stream });
    assert.equal(text, TEXT);
    assert.match(name, /^conv_[0-9A-Za-z]{24}$/);
    assert.deepEqual(await rows(name), [['user', 'complete', TEXT], ['assistant', 'complete', TEXT]]);
    const [[dialect, title, owner]] = await db.sql(`SELECT dialect, title, owner <> '' FROM runnel.chat WHERE more->>'conversation_id' = '${name}'`);
    assert.deepEqual([dialect, title, owner], ['openai', [...TEXT].slice(0, 20).join(''), 't']);
  });
  test('goes on under its name; the model is told what the client brings, and nothing else', async () => {
    const name = 'my/talk~1';
    model.script({ answer: { text: 'A1' }, times: 1 });
    assert.equal((await kept('ann', { messages: user('Q1') }, { [HEADER]: name })).name, name);
    const messages = [{ role: 'system', content: 'S' }, ...user('Q1'), { role: 'assistant', content: 'A1' }, ...user('Q2')];
    model.script({ answer: { text: 'A2' }, times: 1 });
    await kept('ann', { messages, stream: true }, { [HEADER]: name });
    await kept('ann', { messages: user('alone') }, { [HEADER]: name });
    assert.deepEqual(model.requests().map((r) => r.body.messages), [user('Q1'), messages, user('alone')]);
    assert.deepEqual((await rows(name)).map((r) => r[2]), ['Q1', 'A1', 'Q2', 'A2', 'alone', 'alone']);
    assert.ok(model.requests().every((r) => r.body.store === undefined), 'the service keeps nothing of ours');
  });
  test('two who use one name have a conversation each', async () => {
    await kept('ann', { messages: user('of ann') }, { [HEADER]: 'shared' });
    const bobs = await kept('bob', { messages: user('of bob') }, { [HEADER]: 'shared' });
    assert.equal(bobs.name, 'shared');
    assert.equal(await count("runnel.chat WHERE more->>'conversation_id' = 'shared'"), 2);
    assert.deepEqual((await rows('shared')).map((r) => r[2]), ['of ann', 'of ann', 'of bob', 'of bob']);
  });
  test('of a talk with tools, what they found is kept as theirs', async () => {
    const call = { id: 'c1', type: 'function', function: { name: 'weather', arguments: '{"city":"北京"}' } };
    model.script({ answer: { tools: [{ id: 'c1', name: 'weather', arguments: '{"city":"北京"}' }] }, times: 1 });
    const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: {} } } }];
    await ask('ann', { store: true, messages: user('weather?'), tools }, { [HEADER]: 'tools' });
    await kept('ann', { tools, messages: [...user('weather?'), { role: 'assistant', content: null, tool_calls: [call] }, { role: 'tool', tool_call_id: 'c1', content: '晴' }] }, { [HEADER]: 'tools' });
    assert.deepEqual((await rows('tools')).map((r) => [r[0], r[2]]).slice(0, 3), [['user', 'weather?'], ['assistant', ''], ['tool', '晴']]);
    const [[calls]] = await db.sql(`SELECT tool_calls FROM runnel.message WHERE tool_calls IS NOT NULL ORDER BY id DESC LIMIT 1`);
    assert.equal(JSON.parse(calls)[0].function.name, 'weather');
  });
  test('an answer that failed is kept as one', async () => {
    model.script({ answer: { text: TEXT, end: false, finish: null }, times: 1 });
    const { response, data } = await ask('ann', { store: true, stream: true }, { [HEADER]: 'fails' }).withResponse();
    assert.equal(response.headers.get(HEADER), 'fails');
    await assert.rejects(async () => { for await (const part of data) assert.ok(part); });
    assert.deepEqual(await rows('fails'), [['user', 'complete', TEXT], ['assistant', 'error', TEXT]]);
    model.script({ answer: { status: 500, error: { message: 'no' } }, times: 1 });
    await assert.rejects(ask('ann', { store: true }, { [HEADER]: 'fails' }), (e) => e.status === 502 && e.headers.get(HEADER) === 'fails');
    assert.deepEqual((await rows('fails')).slice(2), [['user', 'complete', TEXT], ['assistant', 'error', '']]);
  });
  test('who leaves has his part kept', async () => {
    model.script({ answer: { text: TEXT.repeat(30), gap: ms(20) }, times: 1 });
    const stream = await ask('ann', { store: true, stream: true }, { [HEADER]: 'left' });
    for await (const part of stream) if (part.choices[0]?.delta?.content) break;
    await eventually(async () => assert.equal((await rows('left'))[1]?.[1], 'interrupted'), ms(5000));
    assert.ok(TEXT.repeat(30).startsWith((await rows('left'))[1][2]));
  });
  test('one key is one question, one conversation, one name', async () => {
    const headers = { 'Idempotency-Key': 'k1' };
    const [one, two] = [await kept('ann', {}, headers), await kept('ann', {}, headers)];
    assert.deepEqual([one.name, one.text, model.requests().length], [two.name, two.text, 1]);
    assert.equal((await rows(one.name)).length, 2);
    assert.notEqual((await kept('bob', {}, headers)).name, one.name);
  });
  test('its metadata is kept with the question, and is not the model\'s', async () => {
    const metadata = { 城: '北京', n: '1' };
    const { name } = await kept('ann', { metadata });
    assert.equal(model.requests()[0].body.metadata, undefined);
    const [[more]] = await db.sql(`SELECT m.more FROM runnel.message m JOIN runnel.chat c ON c.tenant = m.tenant AND c.id = m.chat
      WHERE c.more->>'conversation_id' = '${name}' AND m.role = 'user'`);
    assert.deepEqual(JSON.parse(more).metadata, metadata);
    await refused(ask('ann', { store: true, metadata: 'x' }), 400, 'metadata', null, /'metadata' must be/);
  });
  test('a page of another origin may read the name', async () => {
    const { response } = await kept('ann', {}, { origin: 'https://page.example' });
    assert.match(response.headers.get('access-control-expose-headers'), /\bx-conversation-id\b/);
  });
  test('the same at DB-GPT\'s model server', async () => {
    const client = new OpenAI({ baseURL: `http://127.0.0.1:${server.port}/api/v1`, apiKey: 'ann', maxRetries: 0 });
    const { data, response } = await client.chat.completions.create({ model: 'fake', store: true, messages: user(TEXT) }).withResponse();
    assert.deepEqual([data.choices[0].message.content, (await rows(response.headers.get(HEADER))).length], [TEXT, 2]);
  });
});

describe('what is not kept', () => {
  test('what does not ask for it, whatever it names', async () => {
    const before = await count('runnel.chat');
    for (const body of [{}, { store: false }, { store: null }]) {
      const { response } = await ask('ann', body, { [HEADER]: 'not this' }).withResponse();
      assert.equal(response.headers.get(HEADER), null);
    }
    assert.equal(await count('runnel.chat'), before);
  });
  for (const [name, value] of [['empty', ''], ['long', 'x'.repeat(201)], ['with a blank', 'a b'], ['in other letters', 'caf\u00e9']])
    test(`a name that is ${name}`, async () => {
      const before = await count('runnel.chat');
      await refused(ask('ann', { store: true }, { [HEADER]: value }), 400, null, 'invalid_conversation_id', /X-Conversation-Id/);
      assert.deepEqual([await count('runnel.chat'), model.requests().length], [before, 0]);
    });
  test('anything without a database, and that is said', async () => {
    for (const stream of [false, true]) await refused(ask('bare', { store: true, stream }), 400, 'store', 'no_database', /no database/);
    assert.equal(model.requests().length, 0);
    assert.equal((await ask('bare', { store: false })).choices[0].message.content, TEXT);
  });
  test('a question that is refused', async () => {
    const before = await count('runnel.chat');
    await assert.rejects(ask('ann', { store: true, model: 'gone' }), OpenAI.NotFoundError);
    await refused(ask('ann', { store: true, n: 2 }), 400, 'n', null, /'n' must be 1/);
    await refused(ask('ann', { store: 'yes' }), 400, 'store', null, /'store' must be/);
    assert.equal(await count('runnel.chat'), before);
  });
});

describe('the members of a request', () => {
  const sent = { temperature: 0.3, top_p: 0.9, max_tokens: 7, max_completion_tokens: 8, stop: ['停', 'x'], seed: -5, presence_penalty: 0.5, frequency_penalty: -0.5,
    logit_bias: { 50256: -100 }, logprobs: true, top_logprobs: 3, user: '李', reasoning_effort: 'low', parallel_tool_calls: false, service_tier: 'auto',
    tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} }, strict: true } }], tool_choice: { type: 'function', function: { name: 'f' } },
    response_format: { type: 'json_schema', json_schema: { name: 'n', strict: true, schema: { type: 'object', properties: { 城: { type: 'string' } } } } },
    metadata: { a: 'b' }, prediction: { type: 'content', content: 'x' }, modalities: ['text'], verbosity: 'low', top_k: 40, min_p: 0.05, repetition_penalty: 1.1,
    nobody_knows: { deep: [1, 2.5, null, '👍'], big: 1e300 }, 'odd name 👍': true };
  test('all that is asked for goes to the model, as it came', async () => {
    await ask('bare', { ...sent, n: 1, store: false });
    const { model: m, messages, stream, stream_options, ...rest } = model.requests()[0].body;
    assert.deepEqual([m, messages, stream, stream_options], ['fake', user(TEXT), true, { include_usage: true }]);
    assert.deepEqual(rest, sent);
  });
  test('null is as if it were not there', async () => {
    await ask('bare', Object.fromEntries(Object.keys(sent).map((k) => [k, null])));
    assert.deepEqual(Object.keys(model.requests()[0].body).sort(), ['messages', 'model', 'stream', 'stream_options']);
  });
  for (const n of [2, 0, -1, 1.5, 128]) test(`n: ${n} is refused in OpenAI's own words`, async () => {
    for (const stream of [false, true]) await refused(ask('bare', { n, stream }), 400, 'n', null, /'n' must be 1/);
    assert.equal(model.requests().length, 0);
  });
});
