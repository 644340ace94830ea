// The assistant's four kinds of client read every answer right, as a stream and whole; what they
// ask beside the chat; what pages of other origins may; and what is said where nobody answers in
// time.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { Person, stage } from './lib/assistant.mjs';
import { readers, whole } from './lib/assistant-readers.mjs';
import { becomesReady } from './lib/database.mjs';
import { connect, post, req } from './lib/raw.mjs';
import { duration, ms } from './lib/server.mjs';

const TEXTS = {
  English: 'The quick brown fox.',
  Chinese: '你好，世界！今天天气很好。',
  emoji: 'ok 👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 done',
  marks: 'a\n\n- b\r\n```c\n\td "e" \\f\n```\ndata: [DONE]\n\nend',
  'ends of lines that are none': 'a\u2028b\u2029c\u0085d\v\f\x1c\x1ee',
};
const NOBODY = '抱歉，目前所有AI模型都不可用，请稍后重试。';
const NO_CLOUD = '云端模型不可用，使用本地模型';
const SORRY = '抱歉，处理您的请求时出现了错误。';
const IN_TIME = ms(300);

let s, server, anna, suite, hasty;
before(async () => {
  s = await stage();
  server = await s.serve();
  anna = new Person(server);
  suite = new Person(await s.serve({ assistant: { event_stream: true } }));
  hasty = new Person(await s.serve({ kept: false, provider: { first_timeout: duration(IN_TIME), idle_timeout: duration(IN_TIME) } }));
});
after(() => s?.remove());
beforeEach(() => s.forget());

for (const [name, read] of Object.entries(readers)) describe(`the reader called ${name}`, () => {
  const who = () => (name === 'suite' ? suite : anna);
  for (const [of, text] of Object.entries(TEXTS)) {
    test(`a stream: ${of}`, async () => {
      s.near.script({ answer: { text, size: 1, gap: 1 } });
      const { text: got, whole: ended = true } = await read(who(), { message: text, session_id: `${name} ${of}`, model_type: 'local_small' });
      assert.deepEqual([got, ended], [text, true]);
      assert.equal(s.asked('near')[0].messages.at(-1).content, text);
    });
    test(`whole: ${of}`, async () => {
      s.near.script({ answer: { text } });
      assert.equal(await whole(name, who(), { message: text, session_id: `${name} whole ${of}`, model_type: 'local_small' }), text);
    });
  }
  test('an answer that broke off is not one that ended', async () => {
    s.near.script({ answer: { text: TEXTS.Chinese, end: false, finish: null } });
    const { text, whole: ended = false } = await read(who(), { message: 'x', model_type: 'local_small' });
    assert.deepEqual([text, ended], [`${TEXTS.Chinese}${SORRY}`, false]);
  });
});

test('what the suite looks at from the first request to the last', async () => {
  const session_id = 'a workflow';
  assert.equal((await suite.get('/health')).status, 'healthy');
  s.near.script({ answer: { text: 'Hello Alice' }, times: 1 });
  await suite.chat({ message: 'My name is Alice', session_id });
  await suite.chat({ message: 'What did I tell you?', session_id });
  const history = await suite.get(`/api/v1/sessions/${encodeURIComponent(session_id)}/history`);
  assert.deepEqual([history.session_id, history.messages.length], [session_id, 4]);
  const status = await suite.get('/api/v1/system/status');
  assert.ok(status.status === 'healthy' && 'memory' in status && 'cpu' in status && Number.isFinite(status.memory.usage_percent));
  const refused = await suite.post('/api/v1/chat', { invalid: 'request' });
  assert.deepEqual([refused.status, 'error' in await refused.json()], [400, true]);
  const twenty = await Promise.all(Array.from({ length: 20 }, (_, i) => suite.chat({ message: `你好 ${i}`, session_id: `many ${i}` })));
  assert.deepEqual(twenty.map((a) => a.response), Array.from({ length: 20 }, (_, i) => `你好 ${i}`));
});

test('the models, on both sides', async () => {
  const { local_models, cloud_models } = await anna.get('/api/v1/models');
  assert.deepEqual([local_models, cloud_models], [['near'], ['far']]);
});

test('while it drains it is not healthy (6.2)', async () => {
  const own = await s.serve({ kept: false, access: {} });
  s.near.script({ answer: { text: TEXTS.English, gap: ms(40), size: 1 }, times: 1 });
  const c = await connect(own.port);
  await c.send(Buffer.concat([post('/api/v1/chat/stream', JSON.stringify({ message: 'hi' })), Buffer.from(req('GET /health HTTP/1.1', 'Host: a'))]));
  await own.metricBecomes('runnel_turns_running', 1);
  own.kill('SIGTERM');
  await own.log({ msg: 'draining' });
  assert.match((await c.response({ method: 'POST' })).text, /"finished": true/);
  const health = await c.response();
  assert.deepEqual([health.status, health.json], [503, { detail: '服务不可用' }]);
  await own.gone();
  s.servers.splice(s.servers.indexOf(own), 1);
});

describe('pages of other origins (6.2)', () => {
  const origin = 'https://page.example';
  const from = (p, path, more) => p.fetch(path, { headers: { origin }, ...more });
  test('may ask where the settings let them, also before they do', async () => {
    const p = new Person(await s.serve({ kept: false, http: { cors_origins: ['*'] } }));
    for (const [path, method] of [['/api/v1/chat/stream', 'POST'], ['/api/v1/tasks', 'POST'], ['/api/v1/plugins', 'GET']]) {
      const asked = await p.fetch(path, { method: 'OPTIONS', headers: { origin, 'access-control-request-method': method, 'access-control-request-headers': 'authorization, content-type' } });
      assert.equal(asked.status, 204, path);
      assert.equal(asked.headers.get('access-control-allow-origin'), '*', path);
      assert.ok(asked.headers.get('access-control-allow-methods').includes(method), path);
      assert.match(asked.headers.get('access-control-allow-headers'), /authorization, content-type/, path);
    }
    const answer = await from(p, '/api/v1/chat', { method: 'POST', body: { message: '你好' }, headers: { origin } });
    assert.deepEqual([answer.headers.get('access-control-allow-origin'), (await answer.json()).content], ['*', '你好']);
    const refusal = await from(new Person(p.server, null), '/api/v1/chat', { method: 'POST', body: {} });
    assert.deepEqual([refusal.status, refusal.headers.get('access-control-allow-origin')], [401, '*'], 'or the page cannot read why');
  });
  test('and nowhere else', async () => assert.equal((await from(anna, '/api/v1/plugins')).headers.get('access-control-allow-origin'), null));
});

describe('nobody answers in time', () => {
  const stalls = (where) => ({ faults: { at: where, then: 'stall' } });
  const soon = async (ask) => {
    const began = performance.now();
    const got = await ask();
    return { got, took: performance.now() - began };
  };
  for (const where of ['head', 1]) {
    test(`the cloud stalls at ${where === 1 ? 'its first byte' : 'once'}: the local one answers within one attempt's time`, async () => {
      for (const ask of [() => hasty.chat({ message: '今天' }), async () => (await hasty.hear({ message: '今天' })).last]) {
        s.forget();
        s.far.script({ answer: { text: 'x' }, ...stalls(where), times: 1 });
        const { got, took } = await soon(ask);
        assert.deepEqual([got.model_used, got.reasoning], ['local_small', NO_CLOUD]);
        assert.ok(took >= IN_TIME * 0.8 && took < IN_TIME * 2 + ms(700), `after ${took} ms`);
        assert.equal(s.near.requests().length, 1);
      }
    });
  }
  test('both stall: the apology, after two attempts', async () => {
    for (const p of [s.near, s.far]) for (let i = 0; i < 2; i++) p.script({ answer: { text: 'x' }, ...stalls('head'), times: 1 });
    const { got, took } = await soon(() => hasty.chat({ message: '今天' }));
    assert.deepEqual([got.content, got.model_used], [NOBODY, 'local_small']);
    assert.ok(got.error && took < IN_TIME * 3 + ms(1000), `after ${took} ms`);
    const { chunks, last } = await hasty.hear({ message: '今天' });
    assert.deepEqual([chunks.length, last.content, last.finished, last.done], [1, NOBODY, false, undefined]);
  });
  test('the cloud falls silent in the middle: the part, the apology, and nobody else is asked', async () => {
    s.far.script({ answer: { text: TEXTS.Chinese, size: 1 }, faults: { at: 1200, then: 'stall' } });
    const { chunks, text, last } = await hasty.hear({ message: '今天' });
    assert.ok(text.length > 0 && TEXTS.Chinese.startsWith(text) && text !== TEXTS.Chinese, text);
    assert.deepEqual([last.content, last.finished, last.model_used], [SORRY, false, 'cloud_large']);
    assert.ok(last.error && chunks.every((c) => !c.done && !c.finished));
    assert.equal(s.near.requests().length, 0);
  });
});

test('while the database is away, what needs it says so, and nothing is half done', async () => {
  const own = await s.serve();
  const p = new Person(own);
  await p.chat({ message: '你好', session_id: 'kept' });
  s.forget();
  await s.cluster.stop('immediate');
  try {
    const said = async (method, path, body) => {
      const r = await p.fetch(`/api/v1/${path}`, { method, body });
      return [r.status, await r.json()];
    };
    const away = { detail: '服务未就绪' };
    for (const [method, path, body] of [['GET', 'sessions'], ['GET', 'sessions/kept/history'], ['POST', 'memory/query', { query_text: 'a' }], ['GET', 'tasks/nothing'],
      ['POST', 'tasks', { task_type: 'a', description: 'b' }], ['POST', 'chat', { message: '你好' }], ['POST', 'chat/stream', { message: '你好' }]])
      assert.deepEqual(await said(method, path, body), [503, away], path);
    assert.deepEqual(await said('DELETE', 'memory/session/kept'), [400, { detail: '清除会话记忆失败' }]);
    assert.equal((await p.get('/health')).status, 'unhealthy');
    assert.equal(s.near.requests().length + s.far.requests().length, 0, 'nobody is asked what cannot be kept');
  } finally {
    await s.cluster.start();
  }
  await becomesReady(own, ms(20000));
  assert.equal((await p.get('/api/v1/sessions/kept/history')).messages.length, 2);
});
