// The assistant's chat, whole and as a stream: what is refused, which model answers, what its
// clients hear, and what they hear when nobody can answer. What is kept is in
// assistant-kept.test.mjs.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { ANNA, Person, chunksOf, stage } from './lib/assistant.mjs';
import { connect, post } from './lib/raw.mjs';
import { eventually, ms } from './lib/server.mjs';

const SORRY = '抱歉，处理您的请求时出现了错误。';
const SORRY_LATER = '抱歉，处理您的请求时出现了错误，请稍后重试。';
const NOBODY = '抱歉，目前所有AI模型都不可用，请稍后重试。';
const ALL = '所有模型不可用';
const SIMPLE = '简单任务，本地模型处理';
const NEWS = '需要最新信息，使用云端模型';
const COMPLEX = '复杂任务，使用云端大模型';
const OTHER = '低置信度任务，云端模型处理';
const NO_CLOUD = '云端模型不可用，使用本地模型';
const NO_LOCAL = '本地模型不可用，使用云端模型';
const MIXED = '你好，世界！ 👩‍👩‍👧 "quoted" \\ line\n\tend 👍🏽';
const LONG = 'One two three four five six';        // no rule's words, no rule's length
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/;
const PATHS = ['/api/v1/chat', '/api/v1/chat/stream'];

let s, server, anna;
before(async () => {
  s = await stage();
  server = await s.serve({ kept: false });
  anna = new Person(server);
});
after(() => s?.remove());
beforeEach(() => s.forget());

describe('who is let in', () => {
  const cases = [[undefined, '缺少认证信息'], ['Basic abc', '认证格式错误'], ['sk-anna-0001', '认证格式错误'], ['Bearer nonsense', '认证信息无效']];
  for (const [authorization, detail] of cases) test(`${authorization}: ${detail}`, async () => {
    const nobody = new Person(server, null);
    for (const path of PATHS) {
      const r = await nobody.post(path, { message: 'a' }, { headers: authorization ? { authorization } : {} });
      assert.deepEqual([r.status, await r.json()], [401, { detail }]);
    }
    const r = await nobody.fetch('/api/v1/plugins', { headers: authorization ? { authorization } : {} });
    assert.deepEqual([r.status, await r.json()], [401, { detail }]);
  });
  test('without keys, everybody', async () => {
    const open = await s.serve({ kept: false, access: {} });
    assert.equal((await new Person(open, null).chat({ message: '你好' })).content, '你好');
  });
  test('/health and / are open', async () => {
    const nobody = new Person(server, null);
    const health = await nobody.get('/health');
    assert.equal(health.status, 'healthy');
    assert.deepEqual(health.components, { grpc_client: true, orchestrator: true, cloud_client: true, ollama_client: true, database: true });
    const root = await nobody.get('/');
    assert.deepEqual([Object.keys(root), root.status], [['message', 'version', 'status'], 'healthy']);
  });
});

describe('what is refused', () => {
  const a = { message: 'a' };
  const cases = [
    ['{"message": ', 'body'], ['[]', 'body'], ['"a"', 'body'], [{}, 'message'], [{ message: null }, 'message'], [{ message: 5 }, 'message'],
    [{ message: '' }, 'message'], [{ message: ' \n\t' }, 'message'], [{ message: 'x'.repeat(10001) }, 'message'], [{ message: '字'.repeat(10001) }, 'message'],
    [{ ...a, session_id: 5 }, 'session_id'], [{ ...a, session_id: 'x'.repeat(201) }, 'session_id'], [{ ...a, session_id: 'a\nb' }, 'session_id'],
    [{ ...a, max_tokens: 0 }, 'max_tokens'], [{ ...a, max_tokens: 1.5 }, 'max_tokens'], [{ ...a, max_tokens: '5' }, 'max_tokens'],
    [{ ...a, temperature: -0.1 }, 'temperature'], [{ ...a, temperature: 2.1 }, 'temperature'], [{ ...a, temperature: 'hot' }, 'temperature'],
    [{ ...a, model_type: 'huge' }, 'model_type'], [{ ...a, model_type: 1 }, 'model_type'], [{ ...a, preferred_model: 1 }, 'preferred_model'],
    [{ ...a, stream: 'yes' }, 'stream'], [{ ...a, context: [] }, 'context'],
  ];
  for (const [body, field] of cases) test(`${JSON.stringify(body).slice(0, 40)}: ${field}`, async () => {
    for (const path of PATHS) {
      const r = await anna.post(path, body);
      const { error, detail, timestamp, ...more } = await r.json();
      assert.deepEqual([r.status, more, error.code, error.details.field], [400, {}, 'INVALID_REQUEST', field]);
      assert.ok(error.message && error.details.reason);
      assert.deepEqual([detail.length, detail[0].loc, detail[0].msg], [1, field === 'body' ? ['body'] : ['body', field], error.details.reason]);
      assert.match(timestamp, ISO);
    }
    assert.equal(s.near.requests().length + s.far.requests().length, 0);
  });
  test('10000 characters are not too many', async () => {
    assert.equal((await anna.chat({ message: '字'.repeat(10000) })).error, null);
    assert.equal(s.asked('far')[0].messages[0].content, '字'.repeat(10000));
  });
  test('what is no JSON, other methods and other paths', async () => {
    for (const [status, r] of [[415, anna.post('/api/v1/chat', 'a', { headers: { 'content-type': 'text/plain' } })],
      [405, anna.fetch('/api/v1/chat')], [404, anna.fetch('/api/v1/plugins/a/nothing', { method: 'GET' })], [404, anna.post('/api/v1/system/x', {})]]) {
      const { detail, ...more } = await (await r).json();
      assert.deepEqual([(await r).status, more], [status, {}]);
      assert.ok(detail.length > 0);
    }
  });
});

describe('what the model is asked', () => {
  const asks = async (more) => {
    await anna.chat({ message: '你好', ...more });
    return s.asked('near').at(-1);
  };
  test('by default, and with every member null', async () => {
    const nulls = Object.fromEntries(['session_id', 'max_tokens', 'temperature', 'model_type', 'preferred_model', 'stream', 'context', 'model'].map((k) => [k, null]));
    for (const more of [{}, nulls]) {
      const body = await asks(more);
      assert.deepEqual([body.max_tokens, body.temperature, body.messages], [1024, 0.7, [{ role: 'user', content: '你好' }]]);
    }
  });
  test('a temperature of 0 is one', async () => assert.equal((await asks({ temperature: 0 })).temperature, 0));
  test('limits, and members that nobody knows', async () => {
    const body = await asks({ max_tokens: 7, temperature: 1.5, plugins: ['x'], stream: true, context: { a: 1 } });
    assert.deepEqual([body.max_tokens, body.temperature, body.plugins, body.context], [7, 1.5, undefined, undefined]);
  });
  test('text arrives as it was', async () => {
    const { content } = await anna.chat({ message: MIXED, model_type: 'local_small' });
    assert.equal(content, MIXED);
    assert.equal(s.asked('near')[0].messages[0].content, MIXED);
  });
});

describe('which model answers', () => {
  const rows = [
    [{ message: '你好' }, 'local_small', SIMPLE], [{ message: '今天怎么样' }, 'cloud_large', NEWS], [{ message: `${LONG} 算法` }, 'cloud_large', COMPLEX],
    [{ message: LONG }, 'cloud_large', OTHER], [{ message: '字'.repeat(19) }, 'local_small', SIMPLE], [{ message: '😀'.repeat(20) }, 'cloud_large', OTHER],
    [{ message: '字'.repeat(200) }, 'cloud_large', OTHER], [{ message: '字'.repeat(201) }, 'cloud_large', COMPLEX],
    [{ message: '今天', model_type: 'local_small' }, 'local_small'], [{ message: '你好', model_type: 'cloud_large' }, 'cloud_large'],
    [{ message: '你好', model_type: 'auto_select' }, 'local_small', SIMPLE], [{ message: '你好', model_type: 'plugin' }, 'local_small', SIMPLE],
    [{ message: '你好', preferred_model: 'far' }, 'cloud_large'], [{ message: '今天', model: 'near' }, 'local_small'], [{ message: '今天', preferred_model: 'local' }, 'local_small'],
    [{ message: '你好', preferred_model: 'cloud' }, 'cloud_large'], [{ message: '你好', preferred_model: 'auto' }, 'local_small', SIMPLE],
    [{ message: '你好', model: 'nobody-knows' }, 'local_small', SIMPLE], [{ message: '你好', preferred_model: 'far', model_type: 'local_small' }, 'local_small'],
  ];
  for (const [body, used, reason] of rows) test(`${JSON.stringify(body).slice(0, 60)}: ${used}`, async () => {
    const whole = await anna.chat(body);
    assert.deepEqual([whole.model_used, whole.content], [used, body.message]);
    if (reason) assert.equal(whole.reasoning, reason);
    const { chunks, text } = await anna.hear(body);
    assert.equal(text, body.message);
    for (const c of chunks) assert.deepEqual([c.model_used, c.reasoning], [used, whole.reasoning]);
    assert.deepEqual([s.near.requests().length, s.far.requests().length], used === 'local_small' ? [2, 0] : [0, 2]);
  });
  test('rules and models of the settings', async () => {
    const own = await s.serve({ kept: false, assistant: { local_model: 'far' }, routing: { rules: [
      { name: 'loud', keywords: ['!'], class: 'cloud_large', reason: 'it is loud' }, { name: 'rest', class: 'local_small', reason: 'quiet' }] } });
    const p = new Person(own);
    assert.deepEqual([(await p.chat({ message: 'a!' })).reasoning, s.far.requests().length], ['it is loud', 1]);
    const quiet = await p.chat({ message: '今天' });
    assert.deepEqual([quiet.reasoning, quiet.model_used, s.far.requests().length], ['quiet', 'local_small', 2]);
  });
  test('the model auto, of whoever speaks as OpenAI does', async () => {
    const ask = async (content) => (await (await anna.post('/v1/chat/completions', { model: 'auto', messages: [{ role: 'user', content }] })).json()).choices[0].message.content;
    assert.deepEqual([await ask('你好'), await ask('今天')], ['你好', '今天']);
    assert.deepEqual([s.near.requests().length, s.far.requests().length], [1, 1]);
    assert.deepEqual((await anna.get('/v1/models')).data.map((m) => m.id), ['near', 'far', 'auto']);
    assert.equal((await anna.get('/v1/models/auto')).id, 'auto');
  });
});

describe('a whole answer', () => {
  test('has every member', async () => {
    s.near.script({ answer: { text: MIXED, usage: { input: 3, output: 4 } } });
    const { session_id, latency_ms, response_time_ms, timestamp, ...rest } = await anna.chat({ message: '你好' });
    assert.deepEqual(rest, { content: MIXED, response: MIXED, model_used: 'local_small', reasoning: SIMPLE, token_count: 7, tokens_used: 7, confidence: null, error: null });
    assert.match(session_id, /^session_\d{10}\.\d+$/);
    assert.ok(latency_ms > 0 && latency_ms === response_time_ms);
    assert.match(timestamp, ISO);
  });
  test('an unknown use is guessed', async () => {
    s.near.script({ answer: { text: 'one two three', usage: null } });
    assert.ok((await anna.chat({ message: '你好' })).tokens_used > 0);
  });
  test('the session is the client\'s own', async () => assert.equal((await anna.chat({ message: '你好', session_id: '会话 /1' })).session_id, '会话 /1'));
});

describe('a stream', () => {
  test('to the byte', async () => {
    s.near.script({ answer: { tokens: ['你', '好 👍🏽', '"\\\n'], usage: { input: 3, output: 4 } } });
    const r = await anna.stream({ message: '你好', session_id: 's1' });
    assert.equal(r.headers.get('content-type'), 'text/plain; charset=utf-8');
    assert.match(r.headers.get('cache-control'), /^no-cache\b/);
    assert.equal(r.headers.get('x-accel-buffering'), 'no');
    const all = `"session_id": "s1", "model_used": "local_small", "reasoning": "${SIMPLE}"`;
    assert.equal(await r.text(), ['"你"', '"好 👍🏽"', '"\\"\\\\\\n"'].map((t) => `data: {"content": ${t}, ${all}, "finished": false}\n\n`).join('') +
      `data: {"content": "", ${all}, "finished": true, "done": true, "total_tokens": 7, "token_count": 7}\n\n`);
  });
  const type = async (p, accept) => (await p.stream({ message: '你好' }, { headers: accept ? { accept } : {} })).headers.get('content-type');
  test('its type goes by what is accepted', async () => {
    assert.equal(await type(anna, 'text/event-stream'), 'text/event-stream');
    assert.equal(await type(anna, 'application/json, Text/Event-Stream;q=0.5'), 'text/event-stream');
    assert.equal(await type(anna, 'text/event-streams'), 'text/plain; charset=utf-8');
    assert.equal(await type(anna, '*/*'), 'text/plain; charset=utf-8');
  });
  test('the settings force its type, and end it with a marker', async () => {
    const p = new Person(await s.serve({ kept: false, assistant: { event_stream: true, done_marker: true } }));
    assert.equal(await type(p, '*/*'), 'text/event-stream');
    const { chunks } = await p.hear({ message: '你好' });
    assert.deepEqual([chunks.at(-1), chunks.at(-2).done], ['data: [DONE]', true]);
  });
  test('silence is filled with comments', async () => {
    const p = new Person(await s.serve({ kept: false, stream: { heartbeat: '30ms' } }));
    s.near.script({ answer: { text: 'late', first: ms(200) } });
    const text = await (await p.stream({ message: '你好' })).text();
    assert.match(text, /^: [^\n]*\n\n/);
    assert.equal(chunksOf(text).text, 'late');
  });
  test('no event is cut by a write', async () => {
    s.near.script({ answer: { text: MIXED.repeat(30), gap: 1 } });
    const c = await connect(server.port);
    await c.send(post('/api/v1/chat/stream', JSON.stringify({ message: '你好' }), `Authorization: Bearer ${ANNA}`));
    const r = await c.response({ method: 'POST' });
    assert.ok(r.chunks.length > 1);
    for (const chunk of r.chunks) assert.match(chunk.toString(), /^(data: [^\n]*\n\n|: [^\n]*\n\n)+$/);
    c.destroy();
  });
  test('whoever leaves has the provider stopped', async () => {
    s.near.script({ answer: { text: MIXED.repeat(50), gap: 20 } });
    const leaver = new AbortController();
    const r = await anna.stream({ message: '你好' }, { signal: leaver.signal });
    await r.body.getReader().read();
    leaver.abort();
    await eventually(() => assert.ok(s.near.requests()[0].clientClosed && !s.near.requests()[0].complete));
  });
});

describe('when a model cannot answer', () => {
  const fails = { answer: { status: 500, error: { message: 'no' } } };
  const both = async (body) => [await anna.chat(body), await anna.hear(body)];
  const rows = [['far', '今天', 'local_small', NO_CLOUD], ['near', '你好', 'cloud_large', NO_LOCAL]];
  for (const [dead, message, used, reason] of rows) {
    test(`${dead} fails: the other one answers`, async () => {
      for (let i = 0; i < 2; i++) s[dead].script({ ...fails, times: 1 });
      const [whole, heard] = await both({ message });
      assert.deepEqual([whole.content, whole.model_used, whole.reasoning, whole.error], [message, used, reason, null]);
      assert.equal(heard.text, message);
      for (const c of heard.chunks) assert.deepEqual([c.model_used, c.reasoning], [used, reason]);
      assert.equal(heard.last.finished, true);
    });
    test(`${dead} is not there: the other one answers`, async () => {
      await s[dead].listen(false);
      try {
        const [whole, heard] = await both({ message });
        assert.deepEqual([whole.content, whole.reasoning, heard.text, heard.last.reasoning], [message, reason, message, reason]);
      } finally {
        await s[dead].listen(true);
      }
    });
  }
  test('the model auto goes on with the other one, too', async () => {
    s.far.script({ ...fails, times: 1 });
    const r = await anna.post('/v1/chat/completions', { model: 'auto', messages: [{ role: 'user', content: '今天' }] });
    assert.equal((await r.json()).choices[0].message.content, '今天');
    assert.deepEqual([s.far.requests().length, s.near.requests().length], [1, 1]);
  });
  test('both are gone: the apology, the reason, and no end', async () => {
    await s.near.listen(false);
    await s.far.listen(false);
    try {
      for (const message of ['你好', '今天']) {
        const [whole, heard] = await both({ message });
        assert.deepEqual([whole.content, whole.response, whole.reasoning, whole.model_used], [NOBODY, NOBODY, ALL, 'local_small']);
        assert.ok(whole.error.length > 0);
        assert.equal(heard.chunks.length, 1);
        const { error, session_id, ...last } = heard.last;
        assert.deepEqual(last, { content: NOBODY, model_used: 'local_small', reasoning: ALL, finished: false });
        assert.ok(error && session_id);
      }
    } finally {
      await s.near.listen(true);
      await s.far.listen(true);
    }
  });
  for (const [how, script] of [['cut off', { faults: { at: 700, then: 'reset' } }], ['without an end marker', { answer: { text: MIXED.repeat(5), end: false, finish: null } }]]) {
    test(`half an answer, ${how}, is never a whole one`, async () => {
      for (let i = 0; i < 2; i++) s.near.script({ answer: { text: MIXED.repeat(5) }, ...script, times: 1 });
      const [whole, heard] = await both({ message: '你好' });
      assert.deepEqual([whole.content, whole.response], [SORRY_LATER, SORRY_LATER]);
      assert.ok(whole.error);
      assert.ok(heard.text.length > 0 && MIXED.repeat(5).startsWith(heard.text));
      assert.deepEqual([heard.last.content, heard.last.finished, heard.last.model_used], [SORRY, false, 'local_small']);
      assert.ok(heard.last.error);
      assert.ok(heard.chunks.every((c) => !c.finished && !c.done));
      assert.equal(s.far.requests().length, 0);
    });
  }
  test('a question that is not accepted is nobody else\'s', async () => {
    s.near.script({ answer: { status: 400, error: { message: 'no' } } });
    const whole = await anna.chat({ message: '你好' });
    assert.deepEqual([whole.content, s.far.requests().length], [SORRY_LATER, 0]);
  });
});

// Written from what is known of the clients, and none of their code.
describe('the clients', () => {
  // Splits each piece that the network brings by lines, and believes only whole ones.
  async function byPieces(body) {
    const r = await anna.stream(body);
    assert.ok(r.ok);
    const reader = r.body.getReader(), decoder = new TextDecoder(), seen = [], lost = [];
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return { seen, lost };
      for (const line of decoder.decode(value).split('\n'))
        if (line.startsWith('data: ')) {
          try { seen.push(JSON.parse(line.slice(6))); } catch { lost.push(line); }
        }
    }
  }
  test('the page in a browser loses nothing', async () => {
    s.near.script({ answer: { text: MIXED.repeat(20), gap: 2 } });
    const { seen, lost } = await byPieces({ message: '你好', session_id: 'p', stream: true, model: 'near', plugins: [] });
    assert.deepEqual([lost, seen.map((c) => c.content).join('')], [[], MIXED.repeat(20)]);
    for (const c of seen) assert.equal(c.session_id, 'p');
  });
  test('the sample takes content from every data line', async () => {
    s.near.script({ answer: { text: MIXED, first: ms(60) } });
    const text = await (await anna.stream({ message: '你好' })).text();
    const said = text.split('\n').map((l) => l.trim()).filter((l) => l.startsWith('data: ')).map((l) => JSON.parse(l.slice(6)));
    assert.ok(said.every((c) => typeof c.content === 'string'));
    assert.equal(said.map((c) => c.content).join(''), MIXED);
  });
  test('the one that waits for done stops there', async () => {
    let text = '', ended = false;
    for (const line of (await (await anna.stream({ message: '你好' })).text()).split('\n')) {
      if (!line.startsWith('data: ') || line === 'data: [DONE]') continue;
      const c = JSON.parse(line.slice(6));
      if (c.done) { ended = true; break; }
      text += c.content;
    }
    assert.deepEqual([text, ended], ['你好', true]);
  });
  test('twenty at a time', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, (_, i) => anna.hear({ message: `你好 ${i}`, session_id: `many ${i}` })));
    all.forEach((h, i) => assert.deepEqual([h.text, h.last.finished, h.last.session_id], [`你好 ${i}`, true, `many ${i}`]));
  });
});
