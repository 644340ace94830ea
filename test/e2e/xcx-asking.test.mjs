// Asking in the mini-program's chat, as a stream and at once: what its clients hear to the
// byte, what the application is asked to the letter, and what the database keeps of it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { key } from './lib/database.mjs';
import { connect, req } from './lib/raw.mjs';
import { eventually, ms } from './lib/server.mjs';
import { hear, Person, rows, stage } from './lib/xcx.mjs';

const SORRY = 'AI 服务暂时不可用';
const BLANK = '消息内容不能为空';
const TEXT = '你好 👩‍👩‍👧 "quoted" \\ line\n\tend 👍🏽';

let s, server, n = 0;
before(async () => {
  s = await stage();
  server = await s.serve();
});
after(() => s?.remove());

const person = () => new Person(server, `asker ${++n}`);
const someone = async () => {
  const p = person();
  return { p, chat: await p.chat('task', '1') };
};
const say = (p, chat, content) => p.post(`${chat}/messages`, { content });
const inUtc = (column) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')`;

describe('a stream', () => {
  test('to the byte', async () => {
    const { p, chat } = await someone();
    const tokens = ['Hello', ' 世界', '👍🏽', ' "q" \\ \n\t\u0001', '/x'];
    s.says({ tokens });
    const r = await p.ask(chat, 'a');
    assert.equal(r.status, 200);
    assert.equal(r.headers.get('content-type'), 'text/event-stream; charset=utf-8');
    assert.match(r.headers.get('cache-control'), /^no-cache\b/);
    assert.equal(r.headers.get('x-accel-buffering'), 'no');
    const all = await r.text();
    const [[id, at]] = await s.sql(`SELECT id, ${inUtc('created_at')} FROM runnel.message WHERE chat = ${chat} AND role = 'assistant'`);
    const numbers = [...all.matchAll(/^id: (\d+)\.(\d+)$/gm)].map(([, answer, number]) => [answer, Number(number)]);
    assert.ok(numbers.every(([answer, number], i) => answer === id && (i === 0 || number > numbers[i - 1][1])));
    const json = ['"Hello"', '" 世界"', '"👍🏽"', '" \\"q\\" \\\\ \\n\\t\\u0001"', '"/x"'];
    assert.equal(all, json.map((t, i) => `event: message\ndata: {"token": ${t}}\nid: ${id}.${numbers[i][1]}\n\n`).join('') +
      `event: done\ndata: {"messageId": ${id}, "createdAt": "${at}"}\n\n`);
  });
  test('no event is cut by a write, and the connection lives on', async () => {
    const { p, chat } = await someone();
    s.says({ text: TEXT.repeat(50), gap: 1 });
    const c = await connect(server.port);
    const body = JSON.stringify({ chatId: chat, content: 'a' });
    const question = req('POST /api/xcx/chat/stream HTTP/1.1', 'Host: a', `Authorization: Bearer ${p.token}`, 'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(body)}`) + body;
    for (let i = 0; i < 2; i++) {
      await c.send(question);
      const r = await c.response({ method: 'POST' });
      assert.equal(r.status, 200);
      assert.ok(r.chunks.length > 1);
      for (const chunk of r.chunks) assert.match(chunk.toString(), /^(event: [^]*\n\n|: [^\n]*\n\n)$/);
    }
    c.destroy();
  });
  test('an answer that is empty is kept, and done', async () => {
    const { p, chat } = await someone();
    s.says({ tokens: [] });
    const heard = await p.hear(chat, 'a');
    assert.deepEqual([heard.text, heard.events], ['', 1]);
    assert.deepEqual(await rows(s, chat), [['user', 'complete', 'a', null], ['assistant', 'complete', '', '0']]);
    assert.equal(String(heard.done.messageId), (await s.sql(`SELECT id FROM runnel.message WHERE chat = ${chat} AND role = 'assistant'`))[0][0]);
  });
  test('the question is kept before it is asked', async () => {
    const { p, chat } = await someone();
    s.app.forget();
    s.says({ text: TEXT, first: ms(600) });
    const stream = p.hear(chat, '  a question ');
    await eventually(async () => assert.equal(s.app.requests().length, 1));
    assert.deepEqual(await rows(s, chat), [['user', 'complete', 'a question', null], ['assistant', 'streaming', '', null]]);
    assert.equal((await p.get('history')).items[0].lastMessage, 'a question');
    assert.equal((await stream).text, TEXT);
    assert.deepEqual(await rows(s, chat), [['user', 'complete', 'a question', null], ['assistant', 'complete', TEXT, String([...TEXT].length)]]);
  });
  test('sourcePage and pageContext may come along, also as null', async () => {
    const { p, chat } = await someone();
    for (const more of [{ sourcePage: null, pageContext: null }, { sourcePage: '', pageContext: {} }, { unknown: [1] }]) {
      s.says('ok');
      assert.equal((await p.hear(chat, 'a', more)).text, 'ok');
    }
  });
});

test('while the application is silent, its head is there and comments come', async () => {
  const quick = await s.serve({ stream: { heartbeat: '100ms', commit_after: '20s' } });
  const p = new Person(quick, `asker ${++n}`), chat = await p.chat('task', '1'), began = performance.now();
  s.says({ text: TEXT, first: ms(1000), gap: 150 });
  const r = await p.ask(chat, 'a');
  assert.ok(performance.now() - began < ms(900), 'no head before the first word');
  const heard = await hear(r);
  assert.ok(heard.comments >= 5, `${heard.comments} comments`);
  assert.equal(heard.text, TEXT);
});

test('two questions at once in one conversation: both are answered and kept, one behind the other', async () => {
  const { p, chat } = await someone();
  for (let i = 0; i < 2; i++) s.says({ text: TEXT, gap: 10 });
  const both = await Promise.all(['a', 'b'].map((q) => p.hear(chat, q)));
  assert.deepEqual(both.map((heard) => heard.text), [TEXT, TEXT]);
  const { items } = await p.messages(chat);
  assert.deepEqual(items.map((m) => m.role), ['user', 'assistant', 'user', 'assistant']);
  assert.deepEqual(items.filter((m) => m.role === 'user').map((m) => m.content).sort(), ['a', 'b']);
  assert.deepEqual(both.map((heard) => heard.done.messageId).sort(), items.filter((m) => m.role === 'assistant').map((m) => m.id).sort());
});

test('settings are read anew while WeChat checks the text: the model of the new ones answers', async () => {
  let asked = 0;
  const wechat = http.createServer((request, response) => {
    asked++;
    setTimeout(() => response.writeHead(500).end(), 800);
  }).listen(0, '127.0.0.1').unref();
  await once(wechat, 'listening');
  const checking = await s.serve({ xcx: { content_check: 'on', content_check_failing: 'open', wechat: { app_id: 'wx1', app_secret: 'secret', base_url: `http://127.0.0.1:${wechat.address().port}` } } });
  const p = new Person(checking, `asker ${++n}`), chat = await p.chat('task', '1');
  const stream = p.hear(chat, 'a');
  await eventually(() => assert.ok(asked > 0));
  checking.write(checking.settings);
  checking.kill('SIGHUP');
  await checking.log({ msg: 'reloaded' });
  assert.equal((await stream).text, 'a');
  wechat.close();
  wechat.closeAllConnections();
});

describe('who may not ask now, or not this', () => {
  for (const [name, columns, values, want] of [['too often', 'requests_per_minute', '1', '请求过于频繁，请稍后再试'], ['too much', 'tokens_per_day', '1', '今日额度已用完']])
    test(`${name}: 429 before anything is kept or asked`, async () => {
      const { p, chat } = await someone();
      await s.sql(`INSERT INTO runnel.allowance (tenant, account, ${columns}) SELECT 1, id, ${values} FROM runnel.account WHERE subject = 'asker ${n}'`);
      const used = name === 'too often' ? 1 : 0;
      await eventually(async () => {             // as soon as he is looked up again
        await p.get('history');
        s.app.forget();
        s.app.clear();
        const before = (await rows(s, chat)).length;
        for (const r of [await p.ask(chat, 'a'), await p.fetch(`${chat}/messages`, { method: 'POST', body: { content: 'a' } }), await p.ask(chat, 'a')].slice(used)) {
          assert.equal(r.status, 429);
          assert.deepEqual(await r.json(), { code: 429, message: want });
          assert.ok(name === 'too much' || Number(r.headers.get('retry-after')) > 0);
        }
        assert.ok(s.app.requests().length <= used && (await rows(s, chat)).length <= before + 2 * used);
      });
    });
  test('a key that may not use the model: 403', async () => {
    const limited = await key(s.db.url, '--models', 'another');
    const p = person();
    p.token = limited;
    const chat = await p.chat('task', '1');
    s.app.forget();
    const r = await p.ask(chat, 'a');
    assert.deepEqual([r.status, (await r.json()).code], [403, 403]);
    assert.deepEqual([s.app.requests(), await rows(s, chat)], [[], []]);
  });
});

describe('an answer at once', () => {
  test('both messages', async () => {
    const { p, chat } = await someone();
    s.says(TEXT);
    const said = await say(p, chat, '　你好\n');
    assert.deepEqual(Object.keys(said), ['userMessage', 'aiReply']);
    const kept = await s.sql(`SELECT id, content, ${inUtc('created_at')} FROM runnel.message WHERE chat = ${chat} ORDER BY seq`);
    assert.deepEqual([said.userMessage, said.aiReply], kept.map(([id, content, createdAt]) => ({ id: Number(id), content, createdAt })));
    assert.deepEqual(await rows(s, chat), [['user', 'complete', '你好', null], ['assistant', 'complete', TEXT, String([...TEXT].length)]]);
  });
  const failures = {
    'the service refuses': [{ status: 500 }, SORRY], 'the service is cut off': [{ text: 'x' }, SORRY, { at: 'head', then: 'reset' }],
    'it fails in the middle': [{ tokens: ['一', '二', '三'], errorAfter: 2 }, `一二\n\n${SORRY}`],
  };
  for (const [name, [answer, want, faults]] of Object.entries(failures)) test(`when ${name}: 200, and an apology that is kept`, async () => {
    const { p, chat } = await someone();
    s.app.drop();                               // one that broke while it was idle would be tried again
    s.says(answer, faults);
    const said = await say(p, chat, 'a');
    assert.deepEqual([said.userMessage.content, said.aiReply.content], ['a', want]);
    assert.deepEqual(await rows(s, chat), [['user', 'complete', 'a', null], ['assistant', 'error', want, null]]);
    assert.equal((await p.messages(chat)).items[1].id, said.aiReply.id);
    s.says('well again');
    assert.equal((await say(p, chat, 'b')).aiReply.content, 'well again');
  });
});

describe('a stream that fails', () => {
  const error = `event: error\ndata: {"message": "${SORRY}"}\n\n`;
  const failures = {
    'with an error in the middle': [{ tokens: ['一', '👍🏽', '三'], errorAfter: 2 }],
    'with a cut in the middle': [{ tokens: ['一', '👍🏽', '三'], gap: 50, end: false, finish: null }, { at: 'end', then: 'reset' }, ['一👍🏽', '一👍🏽三']],
  };
  for (const [name, [answer, faults, wants = ['一👍🏽']]] of Object.entries(failures)) test(`${name}: what came is kept, without tokens_used`, async () => {
    const { p, chat } = await someone();
    s.says(answer, faults);
    const all = await (await p.ask(chat, 'a')).text();
    assert.ok(all.endsWith(error), all);
    assert.equal(all.match(/^event: (done|error)$/gm).length, 1);
    const [, [role, state, content, used]] = await rows(s, chat);
    assert.deepEqual([role, state, used], ['assistant', 'error', null]);
    assert.ok(wants.includes(content), content);
    const { items } = await p.messages(chat);
    assert.deepEqual(items.map((m) => m.content), ['a', content]);
    assert.equal((await p.get('history')).items[0].lastMessage, content);
  });
  for (const [name, answer, faults] of [['an HTTP error', { status: 401 }], ['a reset', { text: 'x' }, { at: 'head', then: 'reset' }], ['nothing behind the head', { raw: '' }]])
    test(`before its first token, with ${name}`, async () => {
      const { p, chat } = await someone();
      s.app.drop();
      s.says(answer, faults);
      const r = await p.ask(chat, 'a');
      assert.deepEqual([r.status, await r.text()], [200, error]);
      const [question, [role, state, content, used]] = await rows(s, chat);
      assert.deepEqual([question, role, state, content, used], [['user', 'complete', 'a', null], 'assistant', 'error', '', null]);
      assert.equal((await p.get('history')).items[0].lastMessage, 'a');
    });
  test('with nobody there', async () => {
    const { p, chat } = await someone();
    await s.app.listen(false);
    assert.equal(await (await p.ask(chat, 'a')).text(), error);
    await s.app.listen(true);
    s.says('well again');
    assert.equal((await p.hear(chat, 'b')).text, 'well again');
    assert.deepEqual((await rows(s, chat)).map((r) => r[1]), ['complete', 'error', 'complete', 'complete']);
  });
});

describe('white space around what is asked', () => {
  const spaces = '\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff';
  test('every kind is blank', async () => {
    const { p, chat } = await someone();
    for (const c of [...spaces, spaces]) {
      for (const r of [await p.ask(chat, c), await p.fetch(`${chat}/messages`, { method: 'POST', body: { content: c } })])
        assert.deepEqual([r.status, await r.json()], [422, { code: 422, message: BLANK }], `U+${c.charCodeAt(0).toString(16)}`);
    }
    assert.deepEqual(await rows(s, chat), []);
  });
  test('it is taken away around the text, and nowhere else', async () => {
    const { p, chat } = await someone();
    const inner = `a${spaces}b\u200b`;
    s.app.forget();
    s.says('1');
    await p.hear(chat, spaces + inner + spaces);
    assert.deepEqual(s.prompts(), [inner]);
    s.says('2');
    assert.equal((await say(p, chat, spaces + inner + spaces)).userMessage.content, inner);
    assert.deepEqual((await p.messages(chat)).items.map((m) => m.content), [inner, '1', inner, '2']);
  });
});

describe('what cannot be kept', () => {
  test('U+0000 is refused, and nobody is asked', async () => {
    const { p, chat } = await someone();
    s.app.forget();
    for (const r of [await p.ask(chat, 'a\u0000b'), await p.fetch(`${chat}/messages`, { method: 'POST', body: { content: 'a\u0000b' } })]) {
      const body = await r.json();
      assert.ok(r.status >= 400 && r.status < 500, `${r.status}`);
      assert.deepEqual([body.code, typeof body.message], [r.status, 'string']);
    }
    assert.deepEqual([s.app.requests(), await rows(s, chat)], [[], []]);
  });
});

describe('what the application is asked', () => {
  test('the first question alone, then with what was said before', async () => {
    const { p, chat } = await someone();
    s.app.forget();
    for (const [question, answer] of [[' 一 ', 'A1\nof two lines'], ['two', 'A2'], ['三', 'A3']]) {
      s.says(answer);
      await p.hear(chat, question);
    }
    assert.deepEqual(s.prompts(), ['一',
      '[历史对话]\n用户: 一\nAI: A1\nof two lines\n\n[当前问题]\ntwo',
      '[历史对话]\n用户: 一\nAI: A1\nof two lines\n用户: two\nAI: A2\n\n[当前问题]\n三']);
  });
  test('with twenty messages at most, its own among them', async () => {
    const { p, chat } = await someone();
    for (let i = 0; i < 12; i++) {
      s.says(`a${i}`);
      await say(p, chat, `q${i}`);
    }
    s.app.forget();
    s.says('the last');
    await p.hear(chat, 'now');
    // Twenty of 25: a2, then q3 to a11, and the question.
    const before = ['AI: a2', ...Array.from({ length: 9 }, (_, i) => [`用户: q${i + 3}`, `AI: a${i + 3}`]).flat()];
    assert.equal(before.length, 19);
    assert.deepEqual(s.prompts(), [`[历史对话]\n${before.join('\n')}\n\n[当前问题]\nnow`]);
  });
  test('system messages and answers without a word are left out; parts are told', async () => {
    const { p, chat } = await someone();
    s.says({ status: 500 });
    await p.hear(chat, 'failed');
    s.says({ tokens: ['pa', 'rt', 'x'], errorAfter: 2 });
    await p.hear(chat, 'broken');
    await s.sql(`INSERT INTO runnel.message (tenant, chat, seq, role, content) VALUES (1, ${chat}, 4, 'system', 'hidden');
      UPDATE runnel.chat SET next_seq = 5 WHERE id = ${chat}`);
    s.app.forget();
    s.says('x');
    await p.hear(chat, 'now');
    assert.deepEqual(s.prompts(), ['[历史对话]\n用户: failed\n用户: broken\nAI: part\n\n[当前问题]\nnow']);
  });
  test('who asks', async () => {
    const { p, chat } = await someone();
    const params = async () => {
      s.app.forget();
      s.says('x');
      await p.hear(chat, 'a');
      const [q] = s.app.requests();
      assert.deepEqual(q.problems, []);
      return q.body.input.biz_params;
    };
    const [[id]] = await s.sql(`SELECT id FROM runnel.account WHERE subject = 'asker ${n}'`);
    assert.deepEqual(await params(), { User_ID: id, Role: 'coach', Nickname: '' });
    await s.sql(`UPDATE runnel.account SET role = 'manager', nickname = '小 "王" 👍🏽' WHERE id = ${id}`);
    await eventually(async () => assert.deepEqual(await params(), { User_ID: id, Role: 'manager', Nickname: '小 "王" 👍🏽' }));
  });
  test('what the application calls a conversation is told it again, and of no other', async () => {
    const p = person(), first = await p.chat('task', '1'), second = await p.chat('task', '2');
    s.app.forget();
    for (const [chat, session] of [[first, 'session one'], [second, 'session two'], [first], [second], [first]]) {
      s.says({ text: 'x', ...(session && { session }) });
      await p.hear(chat, 'a');
    }
    assert.deepEqual(s.app.requests().map((q) => q.body.input.session_id), [undefined, undefined, 'session one', 'session two', 'session one']);
    assert.deepEqual(s.app.requests().flatMap((q) => q.problems), []);
  });
  test('200 people at once: everybody hears his own', async () => {
    const people = await Promise.all(Array.from({ length: 200 }, someone));
    await Promise.all(people.map(async ({ p, chat }, i) => {
      const text = `question ${i} ${TEXT}`;
      assert.equal((await hear(await p.ask(chat, text))).text, text);
      assert.deepEqual((await p.messages(chat)).items.map((m) => m.content), [text, text]);
    }));
  });
});
