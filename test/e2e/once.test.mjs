// Idempotency-Key: a question that comes again is not asked again, whoever answers it, in the
// mini-program's chat and through OpenAI's own client.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import OpenAI from 'openai';
import { connect, req } from './lib/raw.mjs';
import { eventually, ms, start } from './lib/server.mjs';
import { hear, Person, rows, SECRET, stage, token } from './lib/xcx.mjs';

const REUSED = '同一个 Idempotency-Key 被用于不同的问题';
const TEXT = '你好 👩‍👩‍👧 "quoted" \\ line\n\tend 👍🏽';

let s, server, other, n = 0;
before(async () => {
  s = await stage();
  server = await s.serve();
  other = await s.serve();
});
after(() => s?.remove());

const turns = async (key) => Number((await s.sql(`SELECT count(*) FROM runnel.turn WHERE idempotency_key = '${key}'`))[0][0]);
const someone = async () => {
  const p = new Person(server, `once ${++n}`);
  s.app.forget();
  s.app.clear();
  return { p, chat: await p.chat('task', '1'), key: `key ${n}` };
};
const under = (key, more = {}) => ({ headers: { 'idempotency-key': key }, ...more });
async function refused(r, status, message) {
  const body = await r.json();
  assert.deepEqual([r.status, body.code], [status, status]);
  if (message) assert.equal(body.message, message);
}
// A process that keeps neither journals nor keys of what has ended clears them all when it starts.
async function forgetJournals() {
  const brief = await s.serve({ turns: { journal_keep: '0s', key_keep: '0s' } });
  await eventually(async () => assert.deepEqual(await s.sql(`SELECT (SELECT count(*) FROM runnel.journal), count(*) FROM runnel.turn WHERE has_journal`), [['0', '0']]));
  await brief.stop();
}

describe('a stream of the mini-program', () => {
  for (const [name, where] of [['one process', () => server], ['two processes', (i) => (i % 2 ? other : server)]])
    test(`fifty at once at ${name}: asked once, kept once, and everybody hears the same`, async () => {
      const { p, chat, key } = await someone();
      s.says({ text: TEXT, gap: 20 });
      const all = await Promise.all(Array.from({ length: 50 }, (_, i) => p.hear(chat, 'a', {}, under(key, { on: where(i) }))));
      for (const heard of all) assert.deepEqual([heard.status, heard.text, heard.ids, heard.done], [200, TEXT, all[0].ids, all[0].done]);
      assert.equal(s.app.requests().length, 1);
      assert.equal(await turns(key), 1);
      assert.deepEqual(await rows(s, chat), [['user', 'complete', 'a', null], ['assistant', 'complete', TEXT, String([...TEXT].length)]]);
    });
  test('again after its end, with its journal and without', async () => {
    const { p, chat, key } = await someone();
    s.says({ text: TEXT });
    const first = await p.hear(chat, 'a', {}, under(key));
    for (const on of [server, other]) assert.deepEqual(await p.hear(chat, 'a', {}, under(key, { on })), first);
    await forgetJournals();
    for (const on of [server, other]) {
      const again = await p.hear(chat, 'a', {}, under(key, { on }));
      assert.deepEqual([again.text, again.done], [TEXT, first.done]);
    }
    assert.equal(s.app.requests().length, 1);
    assert.equal((await p.messages(chat)).total, 2);
  });
  test('whoever lost it in the middle joins it with the same question', async () => {
    const { p, chat, key } = await someone();
    s.says({ text: TEXT, gap: 60 });
    assert.ok((await p.hear(chat, 'a', {}, under(key, { until: 2 }))).left);
    const again = await Promise.all([server, other].map((on) => p.hear(chat, 'a', {}, under(key, { on }))));
    for (const heard of again) assert.equal(heard.text, TEXT);
    assert.equal(s.app.requests().length, 1);
  });
  test('one that failed or was stopped is not asked again either', async () => {
    const { p, chat, key } = await someone();
    s.says({ tokens: ['一', '二', '三'], errorAfter: 2 });
    const failed = await p.hear(chat, 'a', {}, under(key));
    assert.deepEqual(failed.error, { message: 'AI 服务暂时不可用' });
    s.says({ text: TEXT, gap: 60 });
    const stopped = p.hear(chat, 'b', {}, under(`${key} b`));
    await eventually(() => assert.equal(s.app.requests().length, 2));
    assert.deepEqual(await p.stop(chat), { stopped: true });
    assert.equal((await stopped).done.stopped, true);
    for (const on of [server, other]) {
      assert.deepEqual(await p.hear(chat, 'a', {}, under(key, { on })), failed);
      assert.deepEqual(await p.hear(chat, 'b', {}, under(`${key} b`, { on })), await stopped);
    }
    assert.equal(s.app.requests().length, 2);
  });
  test('another question under the same key: 422, and the first goes on', async () => {
    const { p, chat, key } = await someone();
    s.says({ text: TEXT, gap: 60 });
    const first = p.hear(chat, 'a', {}, under(key));
    await eventually(async () => assert.equal(await turns(key), 1));
    for (const on of [server, other]) {
      await refused(await p.ask(chat, 'b', {}, under(key, { on })), 422, REUSED);
      await refused(await p.fetch(`${chat}/messages`, { method: 'POST', body: { content: 'a' }, ...under(key, { on }) }), 422, REUSED);
    }
    assert.equal((await first).text, TEXT);
    for (const on of [server, other]) await refused(await p.ask(chat, 'b', {}, under(key, { on })), 422, REUSED);
    assert.equal((await p.messages(chat)).total, 2);
  });
  test('a key is its owner\'s; another key is another question', async () => {
    const { p, chat, key } = await someone();
    const { p: second, chat: his } = await someone();
    for (const [who, where, k] of [[p, chat, key], [p, chat, `${key}x`], [second, his, key]]) {
      s.says(`${k} of ${where}`);
      assert.equal((await who.hear(where, 'a', {}, under(k))).text, `${k} of ${where}`);
    }
    assert.equal(s.app.requests().length, 3);
  });
  test('keys that are none', async () => {
    const { p, chat } = await someone();
    for (const key of ['', ' ', 'x'.repeat(256), 'é', 'a\tb']) {
      await refused(await p.ask(chat, 'a', {}, under(key)), 422);
      await refused(await p.fetch(`${chat}/messages`, { method: 'POST', body: { content: 'a' }, ...under(key) }), 422);
    }
    const c = await connect(server.port), body = JSON.stringify({ chatId: chat, content: 'a' });
    await c.send(req('POST /api/xcx/chat/stream HTTP/1.1', 'Host: a', `Authorization: Bearer ${p.token}`, 'Content-Type: application/json',
      'Idempotency-Key: a', 'Idempotency-Key: a', `Content-Length: ${Buffer.byteLength(body)}`) + body);
    assert.equal((await c.response({ method: 'POST' })).status, 422);
    c.destroy();
    assert.deepEqual([s.app.requests(), await rows(s, chat)], [[], []]);
    s.says('ok');
    assert.equal((await p.hear(chat, 'a', {}, under('x'.repeat(255)))).text, 'ok');
  });
});

test('an answer at once: twenty at once, and again later', async () => {
  const { p, chat, key } = await someone();
  s.says({ text: TEXT, first: 200 });
  const say = (on) => p.post(`${chat}/messages`, { content: 'a' }, under(key, { on }));
  const all = await Promise.all(Array.from({ length: 20 }, (_, i) => say(i % 2 ? other : server)));
  assert.equal(all[0].aiReply.content, TEXT);
  for (const said of [...all, await say(server), await say(other)]) assert.deepEqual(said, all[0]);
  await forgetJournals();
  assert.deepEqual(await say(server), all[0]);
  assert.equal(s.app.requests().length, 1);
  assert.equal((await p.messages(chat)).total, 2);
  s.says({ status: 500 });
  const failed = await p.post(`${chat}/messages`, { content: 'b' }, under(`${key} b`));
  assert.equal(failed.aiReply.content, 'AI 服务暂时不可用');
  for (const on of [server, other]) assert.deepEqual(await p.post(`${chat}/messages`, { content: 'b' }, under(`${key} b`, { on })), failed);
});

describe('OpenAI\'s client', () => {
  const client = (who = `once ${n}`, on = server) => new OpenAI({ baseURL: `http://127.0.0.1:${on.port}/v1`, apiKey: token(who), maxRetries: 0, timeout: ms(15000) });
  const body = (content = 'a', more = {}) => ({ model: 'app', messages: [{ role: 'user', content }], ...more });
  const streamed = async (content, key, on) => {
    const got = { id: null, created: null, text: '', finish: null };
    for await (const chunk of await client(undefined, on).chat.completions.create(body(content, { stream: true }), under(key))) {
      got.id ??= chunk.id;
      got.created ??= chunk.created;
      assert.deepEqual([chunk.id, chunk.created], [got.id, got.created]);
      got.text += chunk.choices[0]?.delta?.content ?? '';
      got.finish = chunk.choices[0]?.finish_reason ?? got.finish;
    }
    return got;
  };
  const fresh = (answer = { text: TEXT }) => {
    s.app.forget();
    s.app.clear();
    s.says(answer);
    return `key ${++n}`;
  };

  test('whole answers are the same; when the journal is gone, nothing is left of them and it is asked again', async () => {
    const key = fresh();
    const first = await client().chat.completions.create(body(), under(key));
    assert.equal(first.choices[0].message.content, TEXT);
    for (const on of [server, other]) assert.deepEqual(await client(undefined, on).chat.completions.create(body(), under(key)), first);
    await forgetJournals();
    s.says('asked again');
    const again = await client().chat.completions.create(body(), under(key));
    assert.deepEqual([again.choices[0].message.content, s.app.requests().length], ['asked again', 2]);
    assert.notEqual(again.id, first.id);
  });
  test('streams are the same', async () => {
    const key = fresh({ text: TEXT, gap: 10 });
    const [first, ...others] = await Promise.all(Array.from({ length: 20 }, (_, i) => streamed('a', key, i % 2 ? other : server)));
    assert.deepEqual([first.text, first.finish], [TEXT, 'stop']);
    for (const one of [...others, await streamed('a', key, server), await streamed('a', key, other)]) assert.deepEqual(one, first);
    assert.equal(s.app.requests().length, 1);
  });
  test('one who left it (on_leave: cancel) and asks again hears how it ended, and it is not asked again', async () => {
    const key = fresh({ text: TEXT, gap: 100 });
    const stream = await client().chat.completions.create(body('a', { stream: true }), under(key));
    for await (const chunk of stream) if (chunk.choices[0]?.delta?.content) break;
    await eventually(async () => assert.deepEqual(await s.sql(`SELECT state FROM runnel.turn WHERE idempotency_key = '${key}'`), [['interrupted']]));
    await assert.rejects(streamed('a', key));
    assert.equal(s.app.requests().length, 1);
  });
  test('another body under the key is refused; another key asks again; without one nothing is kept', async () => {
    const key = fresh(), second = `${key} second`;
    const first = await client().chat.completions.create(body(), under(key));
    const reused = (e) => e.status === 422 && e.code === 'key_reused' && e instanceof OpenAI.UnprocessableEntityError;
    for (const on of [server, other]) {
      await assert.rejects(client(undefined, on).chat.completions.create(body('b'), under(key)), reused);
      await assert.rejects(client(undefined, on).chat.completions.create(body('a', { stream: true }), under(key)), reused);
    }
    s.says('another');
    const next = await client().chat.completions.create(body(), under(second));
    assert.equal(next.choices[0].message.content, 'another');
    assert.notEqual(next.id, first.id);
    const before = await s.sql('SELECT count(*) FROM runnel.turn');
    for (let i = 0; i < 2; i++) {
      s.says(`fresh ${i}`);
      assert.equal((await client().chat.completions.create(body())).choices[0].message.content, `fresh ${i}`);
    }
    assert.deepEqual(await s.sql('SELECT count(*) FROM runnel.turn'), before);
  });
  test('a key is its owner\'s', async () => {
    const key = fresh();
    const first = await client('one').chat.completions.create(body(), under(key));
    s.says('mine');
    const second = await client('two').chat.completions.create(body(), under(key));
    assert.notEqual(second.id, first.id);
    assert.equal(second.choices[0].message.content, 'mine');
  });
  test('a key that is too long', async () => {
    fresh();
    s.app.clear();
    await assert.rejects(client().chat.completions.create(body(), under('x'.repeat(256))), (e) => e.status === 400 && e.code === 'invalid_idempotency_key');
    assert.equal(s.app.requests().length, 0);
  });
});

describe('without a database', () => {
  test('there are no conversations: 503', async () => {
    const bare = await start({ access: { jwt_key: SECRET } });
    const p = new Person(bare);
    for (const [method, path, body] of [['GET', 'history'], ['GET', 'messages?contextType=task&contextId=1'], ['GET', '1/messages'],
      ['POST', '1/messages', { content: 'a' }], ['POST', 'stream', { chatId: 1, content: 'a' }], ['GET', '1/stream'], ['POST', '1/stop']]) {
      const r = await p.fetch(path, { method, body, ...under('k') });
      assert.ok(r.headers.get('retry-after'));
      await refused(r, 503);
    }
    await bare.stop();
  });
  test('while it is away: 503 soon, and nobody is asked; then all is well again', async () => {
    const { p, chat, key } = await someone();
    s.says('kept');
    await p.hear(chat, 'a', {}, under(key));
    s.app.forget();
    await s.cluster.stop('immediate');
    await eventually(async () => assert.equal((await fetch(`http://127.0.0.1:${server.port}/readyz`)).status, 503), ms(10000));
    const began = performance.now();
    const all = await Promise.all([
      ...[{}, under('new'), under(key)].flatMap((options) => [
        p.ask(chat, 'a', {}, options), p.fetch(`${chat}/messages`, { method: 'POST', body: { content: 'a' }, ...options })]),
      ...['history', `${chat}/messages`, `${chat}/stream`].map((path) => p.fetch(path)), p.fetch(`${chat}/stop`, { method: 'POST' })]);
    assert.ok(performance.now() - began < ms(4000), `${performance.now() - began} ms`);
    for (const r of all) {
      assert.ok(r.headers.get('retry-after'));
      await refused(r, 503);
    }
    assert.deepEqual(s.app.requests(), []);
    await s.cluster.start();
    await eventually(async () => assert.equal((await fetch(`http://127.0.0.1:${server.port}/readyz`)).status, 200), ms(10000));
    assert.equal((await hear(await p.ask(chat, 'a', {}, under(key)))).text, 'kept');
    assert.equal((await p.messages(chat)).total, 2);
    assert.deepEqual(s.app.requests(), []);
  });
});
