// The assistant over WebSocket, with Node's own client: what is said on /ws/chat and /ws/system,
// who may, and what is left when somebody stops it or goes. The protocol is in ws.test.mjs.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ANNA, BORIS, Person, stage } from './lib/assistant.mjs';
import { chain } from './lib/nginx.mjs';
import { connect } from './lib/raw.mjs';
import { duration, eventually, ms } from './lib/server.mjs';
import { greeted, handshake, text } from './lib/ws.mjs';

const MIXED = '你好，世界！ 👩‍👩‍👧 "quoted" \\ line\n\tend 👍🏽';
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/;
const LOCAL = { model_type: 'local_small' };

let n = 0;
const named = () => `s-${process.pid}-${n++}`;

// A person's socket; everything that is heard is waited for in order.
class Talk {
  heard = [];
  closed = null;
  #at = 0;
  #wake = () => {};

  constructor(port, { path = '/ws/chat', key = ANNA, protocols, headers } = {}) {
    this.ws = new WebSocket(`ws://127.0.0.1:${port}${path}`, { protocols, headers: { ...(key && { authorization: `Bearer ${key}` }), ...headers } });
    this.ws.onmessage = ({ data }) => {
      const m = JSON.parse(data);
      assert.match(m.timestamp, ISO);
      this.heard.push({ ...m, at: performance.now() });
      this.#wake();
    };
    this.ws.onclose = ({ code, reason, wasClean }) => { this.closed = { code, reason, wasClean }; this.#wake(); };
    this.ws.onerror = () => { if (this.heard.length === 0) this.closed ??= { refused: true }; this.#wake(); };
  }

  async #until(look, what, timeout = ms(10000)) {
    const end = performance.now() + timeout;
    for (;;) {
      const found = look();
      if (found) return found;
      const left = end - performance.now();
      assert.ok(left > 0, `waited for ${what}; closed=${JSON.stringify(this.closed)}, heard ${JSON.stringify(this.heard.slice(-3))}`);
      await Promise.race([new Promise((r) => { this.#wake = r; }), sleep(left, undefined, { ref: false })]);
    }
  }

  async next() {
    const m = await this.#until(() => this.heard[this.#at] ?? (this.closed && 'closed'), 'a message');
    assert.notEqual(m, 'closed', JSON.stringify(this.closed));
    this.#at++;
    return m;
  }
  async of(type) {
    for (;;) {
      const m = await this.next();
      if (m.type === type) return m;
      assert.notEqual(m.type, 'error', JSON.stringify(m));
    }
  }
  end() { return this.#until(() => this.closed, 'the end'); }

  say(m) { this.ws.send(typeof m === 'string' ? m : JSON.stringify(m)); }
  ask(data) { this.say({ type: 'chat', data }); }

  // To the last message of the answer.
  async answer() {
    const all = [];
    do all.push(await this.next()); while (!['ai_response', 'error'].includes(all.at(-1).type));
    const pieces = all.filter((m) => m.type === 'ai_chunk');
    return { all, types: all.map((m) => m.type).filter((t) => t !== 'ai_chunk'), pieces, text: pieces.map((m) => m.data.content).join(''), last: all.at(-1), ...all.at(-1).data };
  }
  async hear(data) {
    this.ask(data);
    return this.answer();
  }
  async leave(code = 1000) {
    this.ws.close(code);
    return this.end();
  }
}

async function talk(port, options) {
  const t = new Talk(port, options);
  if (!options?.path?.startsWith('/ws/system')) t.greeting = await t.of('system');
  return t;
}

let s, server, anna;
before(async () => {
  s = await stage();
  server = await s.serve();
  anna = new Person(server);
});
after(() => s?.remove());
beforeEach(() => s.forget());

const history = async (session, who = anna) => (await who.get(`/api/v1/sessions/${encodeURIComponent(session)}/history`)).messages;

describe('an answer', () => {
  test('comes in pieces, and whole at the end', async () => {
    const t = await talk(server.port), session = named();
    assert.match(t.greeting.data.connection_id, /^[0-9A-Za-z]{24}$/);
    assert.equal(t.greeting.data.message, 'WebSocket连接建立成功');
    const a = await t.hear({ message: MIXED, session_id: session, ...LOCAL });
    assert.deepEqual(a.types, ['user_message', 'ai_thinking', 'ai_response']);
    assert.deepEqual([a.all[0].data.message, a.all[0].data.session_id], [MIXED, session]);
    assert.match(a.all[0].data.timestamp, ISO);
    assert.equal(a.all[1].data.message, 'AI正在思考中...');
    assert.ok(a.pieces.length > 3);
    for (const p of a.pieces) assert.deepEqual(Object.keys(p.data), ['content', 'session_id', 'model_used']);
    assert.deepEqual([a.text, a.content, a.response, a.session_id, a.model_used, a.error], [MIXED, MIXED, MIXED, session, 'local_small', null]);
    assert.ok(a.token_count > 0 && a.latency_ms >= 0 && ISO.test(a.timestamp) && a.stopped === undefined);
    assert.deepEqual((await history(session)).map((m) => [m.role, m.content]), [['user', MIXED], ['assistant', MIXED]]);
    assert.deepEqual(await t.leave(), { code: 1000, reason: '', wasClean: true });
  });

  test('whole only, for who wishes it so', async () => {
    const t = await talk(server.port);
    const a = await t.hear({ message: MIXED, stream: false, ...LOCAL });
    assert.deepEqual([a.pieces.length, a.content], [0, MIXED]);
    await t.leave();
  });

  test('one after the other, in one session that was never named', async () => {
    const t = await talk(server.port);
    const first = await t.hear({ message: '你好一', ...LOCAL });
    const second = await t.hear({ message: '你好二', ...LOCAL });
    assert.match(first.session_id, /^session_\d+\.\d+$/);
    assert.equal(second.session_id, first.session_id);
    assert.deepEqual(s.asked('near')[1].messages.map((m) => m.content), ['你好一', '你好一', '你好二']);
    await t.leave();
  });

  test('in the session of the address, of a binding, of the question', async () => {
    const [a, b, c] = [named(), '会话 👍', named()];
    const t = await talk(server.port, { path: `/ws/chat?session_id=${a}` });
    assert.equal(t.greeting.data.session_id, a);
    assert.equal((await t.hear({ message: '你好' })).session_id, a);
    t.say({ type: 'session_bind', data: { session_id: b } });
    assert.deepEqual((await t.of('session_bound')).data, { session_id: b, message: '会话绑定成功' });
    assert.equal((await t.hear({ message: '你好' })).session_id, b);
    assert.equal((await t.hear({ message: '你好', session_id: c })).session_id, c);
    assert.equal((await t.hear({ message: '你好' })).session_id, c);
    await t.leave();
  });

  test('from the cloud or from here, as the rules say', async () => {
    const t = await talk(server.port);
    assert.equal((await t.hear({ message: '你好' })).model_used, 'local_small');
    assert.equal((await t.hear({ message: '今天的新闻' })).model_used, 'cloud_large');
    assert.equal((await t.hear({ message: '你好', preferred_model: 'far' })).model_used, 'cloud_large');
    assert.deepEqual([s.near.requests().length, s.far.requests().length], [1, 2]);
    await t.leave();
  });

  test('to those who write it otherwise', async () => {
    const t = await talk(server.port), session = named();
    t.say({ type: 'chat', content: '你好 a', session_id: session });
    assert.deepEqual([(await t.answer()).content, t.heard[1].data.session_id], ['你好 a', session]);
    t.say({ type: 'chat', data: { content: '你好 b' } });
    assert.equal((await t.answer()).content, '你好 b');
    t.say({ type: 'chat', content: '你好 c', data: {} });
    assert.equal((await t.answer()).content, '你好 c');
    await t.leave();
  });

  test('of another person in a session of the same name is another', async () => {
    const session = named(), t = await talk(server.port), other = await talk(server.port, { key: BORIS });
    await t.hear({ message: '你好 a', session_id: session });
    await other.hear({ message: '你好 b', session_id: session });
    assert.deepEqual((await history(session)).map((m) => m.content), ['你好 a', '你好 a']);
    assert.deepEqual((await history(session, new Person(server, BORIS))).map((m) => m.content), ['你好 b', '你好 b']);
    await Promise.all([t.leave(), other.leave()]);
  });

  test('of 10000 characters, and to as many', async () => {
    const t = await talk(server.port), long = '字'.repeat(10000);
    const a = await t.hear({ message: long, max_tokens: 100000, ...LOCAL });
    assert.deepEqual([a.content.length, a.text === long], [10000, true]);
    await t.leave();
  });

  test('to a reader who pauses: nothing is lost, and the provider is slowed down', async () => {
    const big = '流'.repeat(1000000);
    s.near.script({ answer: { text: big, size: 1000 } });
    const t = await greeted(server.port, { lines: { Authorization: `Bearer ${ANNA}` } });
    t.connection.stopReading();
    await t.send(text({ type: 'chat', data: { message: '你好', ...LOCAL } }));
    await sleep(ms(700));
    assert.ok(!s.near.requests()[0].complete || server.rss() < 400 << 20);
    t.connection.readAgain();
    let heard = '', m;
    while ((m = await t.message()).type !== 'ai_response') heard += m.data.content ?? '';
    assert.ok(heard === big && m.data.content === big, `${heard.length} and ${m.data.content.length} characters`);
    t.destroy();
  });
});

test('a reader who takes nothing for long is cut, and what he was told is kept', async () => {
  const own = await s.serve({ http: { write_timeout: duration(500) }, stream: { queue_bytes: '4KiB' } });
  const session = named();
  s.near.script({ answer: { text: '流'.repeat(5000000), size: 1000, gap: 2 } }); // more than the sockets hold, and not at once
  const t = await greeted(own.port, { lines: { Authorization: `Bearer ${ANNA}` } });
  t.connection.stopReading();
  await t.send(text({ type: 'chat', data: { message: '你好', session_id: session, ...LOCAL } }));
  await own.log({ msg: 'slow reader cut' });
  await own.metricBecomes('runnel_websockets', 0);
  await eventually(async () => assert.equal((await history(session, new Person(own)))[1]?.metadata.state, 'interrupted'), ms(15000));
  t.destroy();
});

describe('what goes wrong', () => {
  const cases = [
    ['{"type":"chat"', 'INVALID_JSON', '消息格式错误，请发送有效的JSON'],
    ['"chat"', 'INVALID_JSON', '消息格式错误，请发送有效的JSON'],
    [{}, 'UNKNOWN_TYPE', '未知消息类型: '],
    [{ type: 'nonsense' }, 'UNKNOWN_TYPE', '未知消息类型: nonsense'],
    [{ type: '字'.repeat(1000) }, 'UNKNOWN_TYPE', `未知消息类型: ${'字'.repeat(33)}`],
    [{ type: 7 }, 'UNKNOWN_TYPE', '未知消息类型: '],
    [{ type: 'chat' }, 'INVALID_REQUEST', '消息内容不能为空'],
    [{ type: 'chat', data: { message: '' } }, 'INVALID_REQUEST', '消息内容不能为空'],
    [{ type: 'chat', data: { message: ' \n ' } }, 'INVALID_REQUEST', '消息内容不能为空'],
    [{ type: 'chat', data: { message: '字'.repeat(10001) } }, 'INVALID_REQUEST', 'message 最多 10000 个字符'],
    [{ type: 'chat', data: { message: 7 } }, 'INVALID_REQUEST', 'message 必须是字符串'],
    [{ type: 'chat', data: 'x' }, 'INVALID_REQUEST', 'body 必须是 JSON 对象'],
    [{ type: 'chat', data: { message: 'a', temperature: 9 } }, 'INVALID_REQUEST', 'temperature 必须在 0 和 2 之间'],
    [{ type: 'chat', data: { message: 'a', session_id: 'a\u0000' } }, 'INVALID_JSON', '消息格式错误，请发送有效的JSON'],
    [{ type: 'chat', data: { message: 'a', session_id: 'a\n' } }, 'INVALID_REQUEST', 'session_id 最多 200 个字符，不能有控制字符'],
    [{ type: 'session_bind' }, 'INVALID_SESSION', '会话ID不能为空'],
    [{ type: 'session_bind', data: { session_id: 'x'.repeat(201) } }, 'INVALID_SESSION', '会话ID无效'],
  ];
  test('is said, and the socket stays', async () => {
    const t = await talk(server.port);
    for (const [said, code, message] of cases) {
      t.say(said);
      const m = await t.next();
      assert.deepEqual([m.type, m.data], ['error', { message, code }], JSON.stringify(said).slice(0, 80));
    }
    assert.equal((await t.hear({ message: '你好' })).content, '你好');
    assert.equal(s.near.requests().length, 1);
    await t.leave();
  });

  test('nobody answers', async () => {
    const t = await talk(server.port);
    for (const p of [s.near, s.far]) p.script({ answer: { status: 500, error: { message: 'no' } }, times: 1 });
    const a = await t.hear({ message: '你好' });
    assert.deepEqual(a.types, ['user_message', 'ai_thinking', 'error']);
    assert.deepEqual([a.message, a.code, a.content], ['消息处理失败', 'service_failed', '抱歉，目前所有AI模型都不可用，请稍后重试。']);
    assert.equal((await t.hear({ message: '你好' })).content, '你好');
    await t.leave();
  });

  test('in the middle of an answer', async () => {
    const t = await talk(server.port), session = named();
    s.near.script({ answer: { text: '一二三四五六', size: 1, gap: 20, errorAfter: 3, error: { message: 'no' } }, times: 1 });
    const a = await t.hear({ message: '你好', session_id: session, ...LOCAL });
    assert.deepEqual([a.last.type, a.text, a.content], ['error', '一二三', '抱歉，处理您的请求时出现了错误。']);
    assert.deepEqual((await history(session))[1].metadata, { state: 'error', interrupted: true });
    await t.leave();
  });

  test('one at a time', async () => {
    const t = await talk(server.port);
    s.near.script({ answer: { text: MIXED.repeat(5), size: 4, gap: 20 }, times: 1 });
    t.ask({ message: '你好', ...LOCAL });
    await t.of('ai_chunk');
    t.ask({ message: 'b' });
    let m;
    while ((m = await t.next()).type === 'ai_chunk');
    assert.deepEqual([m.type, m.data.code], ['error', 'BUSY']);
    t.say({ type: 'ping' });
    assert.match((await t.of('pong')).data.timestamp, ISO);
    assert.equal((await t.answer()).content, MIXED.repeat(5));
    assert.equal(s.near.requests().length, 1);
    await t.leave();
  });
});

describe('stopping', () => {
  const slow = { answer: { text: MIXED.repeat(100), size: 4, gap: 20 }, times: 1 };
  test('an answer: what there is of it is given and kept', async () => {
    const t = await talk(server.port), session = named();
    s.near.script(slow);
    t.ask({ message: '你好', session_id: session, ...LOCAL });
    const begun = await t.of('ai_chunk');
    await t.of('ai_chunk');
    t.say({ type: 'stop' });
    assert.deepEqual((await t.of('stopping')).data, { stopped: true });
    const a = await t.answer();
    assert.deepEqual([a.last.type, a.stopped, a.interrupted, a.error], ['ai_response', true, true, null]);
    assert.ok(a.content.startsWith(begun.data.content) && MIXED.repeat(100).startsWith(a.content) && a.content.length < 500);
    await eventually(() => assert.ok(s.near.requests()[0].clientClosed));
    const kept = (await history(session))[1];
    assert.deepEqual([kept.content, kept.metadata.state], [a.content, 'stopped']);
    assert.equal((await t.hear({ message: '你好', ...LOCAL })).content, '你好');
    await t.leave();
  });
  test('nothing', async () => {
    const t = await talk(server.port);
    t.say({ type: 'stop' });
    assert.deepEqual((await t.of('stopping')).data, { stopped: false });
    await t.hear({ message: '你好' });
    t.say({ type: 'stop' });
    assert.deepEqual((await t.of('stopping')).data, { stopped: false });
    await t.leave();
  });
  test('before a word was said', async () => {
    const t = await talk(server.port);
    s.near.script({ answer: { text: 'late', first: 5000 }, times: 1 });
    t.ask({ message: '你好', ...LOCAL });
    await t.of('ai_thinking');
    await eventually(() => assert.equal(s.near.requests().length, 1));
    t.say({ type: 'stop' });
    const a = await t.answer();
    assert.deepEqual([a.content, a.stopped], ['', true]);
    await t.leave();
  });
  test('as soon as it is asked', async () => {
    const t = await talk(server.port);
    t.ask({ message: '你好', ...LOCAL });
    t.say({ type: 'stop' });
    const a = await t.answer();
    assert.ok(a.stopped === true || a.message, JSON.stringify(a.last));
    assert.equal((await t.hear({ message: '你好', ...LOCAL })).content, '你好');
    await t.leave();
  });
});

describe('who goes while he is answered', () => {
  const leaves = [['with a word', (t) => t.leave(3001)], ['without one', async (t) => t.connection.reset()]];
  for (const [name, leave] of leaves) test(`${name}: the question and the part are kept`, async () => {
    const session = named(), long = MIXED.repeat(100);
    s.near.script({ answer: { text: long, size: 4, gap: 20 }, times: 1 });
    const raw = name === 'without one';
    const t = raw ? await greeted(server.port, { lines: { Authorization: `Bearer ${ANNA}` } }) : await talk(server.port);
    const question = { type: 'chat', data: { message: '你好', session_id: session, ...LOCAL } };
    if (raw) await t.send(text(question));
    else t.say(question);
    await (raw ? t.messageOf('ai_chunk') : t.of('ai_chunk'));
    await leave(t);
    await eventually(async () => assert.equal((await history(session))[1]?.metadata.state, 'interrupted'), ms(5000));
    const [asked, answer] = await history(session);
    assert.equal(asked.content, '你好');
    assert.ok(answer.content.length > 0 && long.startsWith(answer.content) && answer.content.length < 1000);
    await eventually(() => assert.ok(s.near.requests()[0].clientClosed));
    await server.metricBecomes('runnel_websockets', 0);
  });

  test('it goes on, where the settings say so', async () => {
    const own = await s.serve({ assistant: { on_leave: 'detach' } });
    const t = await talk(own.port), session = named();
    s.near.script({ answer: { text: MIXED, size: 4, gap: 30 }, times: 1 });
    t.ask({ message: '你好', session_id: session, ...LOCAL });
    await t.of('ai_chunk');
    await t.leave();
    const person = new Person(own);
    await eventually(async () => assert.deepEqual((await history(session, person))[1], { ...(await history(session, person))[1], content: MIXED, metadata: {} }), ms(5000));
  });

  test('before his question has a turn', async () => {
    for (let i = 0; i < 10; i++) {
      const t = await greeted(server.port, { lines: { Authorization: `Bearer ${ANNA}` } });
      await t.send(text({ type: 'chat', data: { message: '你好', ...LOCAL } }));
      t.connection.reset();
    }
    await server.metricBecomes('runnel_websockets', 0);
    await server.alive();
  });
});

test('the service ends: a running answer first, then 1001', async () => {
  const own = await s.serve({ drain_seconds: duration(8000) });
  const t = await talk(own.port), idle = await talk(own.port);
  s.near.script({ answer: { text: MIXED, size: 4, gap: 50 }, times: 1 });
  t.ask({ message: '你好', ...LOCAL });
  await t.of('ai_chunk');
  const stopped = own.stop();
  assert.deepEqual(await idle.end(), { code: 1001, reason: 'the service is restarting', wasClean: true });
  assert.equal((await t.answer()).content, MIXED);
  assert.deepEqual(await t.end(), { code: 1001, reason: 'the service is restarting', wasClean: true });
  await stopped;
});

test('the service ends at once: the answer is ended with an error that says why', async () => {
  const own = await s.serve({ drain_seconds: duration(100) });
  const t = await talk(own.port);
  s.near.script({ answer: { text: MIXED, size: 4, gap: 500 }, times: 1 });
  t.ask({ message: '你好', ...LOCAL });
  await t.of('ai_chunk');
  const stopped = own.stop();
  const a = await t.answer();
  assert.deepEqual([a.last.type, a.code], ['error', 'shutdown']);
  assert.equal((await t.end()).code, 1001);
  await stopped;
});

describe('who is let in', () => {
  const open = async (options) => {
    const t = await talk(server.port, { key: null, ...options });
    const { content } = await t.hear({ message: '你好' });
    const { protocol } = t.ws;
    await t.leave();
    return [content, protocol];
  };
  test('by a field, a subprotocol, or the query', async () => {
    assert.deepEqual(await open({ key: ANNA }), ['你好', '']);
    assert.deepEqual(await open({ protocols: ['assistant', `bearer.${ANNA}`] }), ['你好', 'assistant']);
    assert.deepEqual(await open({ protocols: [`bearer.${ANNA}`, 'assistant'] }), ['你好', 'assistant']);
    assert.deepEqual(await open({ path: `/ws/chat?token=${encodeURIComponent(ANNA)}` }), ['你好', '']);
  });
  const refused = [
    ['nobody', {}, '', '缺少认证信息'], ['an unknown key', { Authorization: 'Bearer nonsense' }, '', '认证信息无效'], ['another scheme', { Authorization: 'Basic abc' }, '', '认证格式错误'],
    ['an unknown key as a subprotocol', { 'Sec-WebSocket-Protocol': 'assistant, bearer.nonsense' }, '', '认证信息无效'], ['an unknown key in the query', {}, '?token=nonsense', '认证信息无效'],
    ['an empty key in the query', {}, '?token=', '缺少认证信息'], ['a broken key in the query', {}, '?token=%ff', '缺少认证信息'],
    ['a wrong field beside a good key', { Authorization: 'Bearer nonsense', 'Sec-WebSocket-Protocol': `bearer.${ANNA}` }, `?token=${ANNA}`, '认证信息无效'],
  ];
  for (const path of ['/ws/chat', '/ws/system']) for (const [name, lines, query, detail] of refused) test(`${path}: not ${name}`, async () => {
    const c = await connect(server.port);
    await c.send(handshake(path + query, lines));
    const r = await c.response();
    assert.deepEqual([r.status, r.json], [401, { detail }]);
    c.destroy();
  });
  test('a key in a query is in no line of the log', () => {
    assert.ok(!server.stderr.includes(ANNA));
  });
  test('a session that cannot be one is refused', async () => {
    for (const session of ['%00', '%0a', '%ff', 'x'.repeat(201)]) {
      const c = await connect(server.port);
      await c.send(handshake(`/ws/chat?session_id=${session}`, { Authorization: `Bearer ${ANNA}` }));
      assert.equal((await c.response()).status, 400);
      c.destroy();
    }
  });
});

describe('who was let in once', () => {
  const more = { access: { keys: [ANNA], cache: '50ms' } };
  const isTurnedAway = async (t) => {
    const a = await t.hear({ message: '你好' });
    assert.deepEqual([a.types, a.code], [['error'], 'UNAUTHORIZED']);
    assert.equal((await t.end()).code, 1008);
  };
  test('and has a key that was revoked since', async () => {
    const own = await s.serve(more);
    const [key, id] = ['sk-of-the-database', 7];
    await own.sql(`INSERT INTO runnel.api_key (tenant, id, name, hash, hint) VALUES (1, ${id}, 'k', sha256('${key}'), 'sk')`);
    const t = await talk(own.port, { key }), other = await talk(own.port);
    await sleep(100);
    assert.equal((await t.hear({ message: '你好' })).content, '你好');
    await own.sql(`UPDATE runnel.api_key SET is_disabled = true WHERE id = ${id}`);
    await sleep(100);
    assert.equal((await t.hear({ message: '你好' })).content, '你好');
    await sleep(100);
    await isTurnedAway(t);
    assert.equal((await other.hear({ message: '你好' })).content, '你好');
    await other.leave();
  });
  test('and has a key that the settings have no more', async () => {
    const own = await s.serve(more);
    const t = await talk(own.port);
    assert.equal((await t.hear({ message: '你好' })).content, '你好');
    own.write(JSON.parse((await import('node:fs')).readFileSync(own.file, 'utf8').replaceAll(ANNA, BORIS)));
    own.child.kill('SIGHUP');
    await own.log({ msg: 'reloaded' });
    await isTurnedAway(t);
  });
});

describe('/ws/system', () => {
  test('tells how the service is, again and again', async () => {
    const own = await s.serve({ assistant: { status_every: '200ms' } });
    const t = await talk(own.port, { path: '/ws/system' });
    const first = await t.next(), second = await t.next(), third = await t.next();
    assert.equal(first.type, 'system_status');
    assert.deepEqual([first.data.status, first.data.active_connections, first.data.active_sessions, first.data.components_health.database], ['healthy', 1, 0, true]);
    assert.ok(third.data.uptime_seconds > second.data.uptime_seconds && ISO.test(first.data.timestamp));
    const same = await new Person(own).get('/api/v1/system/status');
    assert.deepEqual(Object.keys(first.data), [...Object.keys(same), 'active_connections', 'timestamp']);
    const chat = await talk(own.port);
    await chat.hear({ message: '你好' });
    await eventually(async () => assert.deepEqual([(await t.of('system_status')).data.active_connections, t.heard.at(-1).data.active_sessions], [2, 1]), ms(5000));
    t.say({ type: 'ping' });
    assert.ok(await t.of('pong'));
    t.say({ type: 'chat', data: { message: 'a' } });
    let m;
    while ((m = await t.next()).type === 'system_status');
    assert.deepEqual([m.type, m.data.code], ['error', 'UNKNOWN_TYPE']);
    assert.ok((await new Person(own).get('/api/v1/system/status')).avg_response_time < 5000);
    await Promise.all([t.leave(), chat.leave()]);
  });
});

describe('behind nginx', () => {
  for (const hops of [1, 2]) test(`${hops} of them: every piece when it is said`, async () => {
    const row = await chain([server], { hops });
    const t = await talk(row.port, { path: '/ws/chat?session_id=nginx' });
    s.near.script({ answer: { text: 'abcdefgh', size: 1, gap: 100 }, times: 1 });
    const a = await t.hear({ message: '你好', ...LOCAL });
    assert.equal(a.content, 'abcdefgh');
    const took = a.pieces.at(-1).at - a.pieces[0].at;
    assert.ok(took > 350, `all pieces came within ${took} ms`);
    assert.deepEqual(await t.leave(), { code: 1000, reason: '', wasClean: true });
    await server.metricBecomes('runnel_websockets', 0);
    await row.stop();
  });
  test('pages of its own host may, others may not', async () => {
    const row = await chain([server]);
    const host = `127.0.0.1:${row.port}`;
    await (await talk(row.port, { headers: { origin: `http://${host}` } })).leave();
    const other = new Talk(row.port, { headers: { origin: 'https://evil.example' } });
    assert.deepEqual([await other.end(), other.heard.length], [{ refused: true }, 0]);
    await row.stop();
  });
});

test('what was done is counted', async () => {
  await server.metricBecomes('runnel_websockets', 0);
  assert.ok(await server.metric('runnel_http_requests_total', { route: '/ws/chat', status: '101' }) > 20);
  assert.ok(await server.metric('runnel_http_requests_total', { route: '/ws/chat', status: '401' }) > 5);
});
