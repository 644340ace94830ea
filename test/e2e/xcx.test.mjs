// The mini-program's chat, as its clients know it: who is let in, what is refused and in which
// order, its lists, and which conversation is taken up. What is asked and heard there is in
// xcx-asking.test.mjs, coming back and stopping in xcx-readers.test.mjs.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import { Person, stage, token } from './lib/xcx.mjs';

const BLANK = '消息内容不能为空';
const FOREIGN = '无权访问该对话';
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/;
const ROUTES = [
  ['GET', 'history'], ['GET', 'messages?contextType=task&contextId=1'], ['GET', '1/messages'],
  ['POST', '1/messages', { content: 'a' }], ['POST', 'stream', { chatId: 1, content: 'a' }],
  ['GET', '1/stream'], ['POST', '1/stop'],
];

let s, server, n = 0;
before(async () => {
  s = await stage();
  server = await s.serve();
  await s.sql("INSERT INTO runnel.tenant (name) VALUES ('elsewhere')");
});
after(() => s?.remove());

// Somebody who was never here.
const person = (claims, on = server) => new Person(on, `person ${++n}`, claims);

// An answer that is no stream: { status, ...body }.
async function plain(r) {
  assert.match(r.headers.get('content-type'), /^application\/json/);
  return { status: r.status, ...await r.json() };
}
async function refused(r, code, message) {
  const { status, message: words, ...more } = await plain(r);
  assert.deepEqual([status, more], [code, { code }]);
  if (message !== undefined) assert.equal(words, message);
  assert.ok(typeof words === 'string' && words.length > 0);
}

describe('who is let in', () => {
  for (const [method, path, body] of ROUTES) {
    test(`${method} ${path}: 401 without a token, whatever else is wrong`, async () => {
      for (const bad of [body, '{', { content: ' ' }]) {
        const p = person();
        p.token = 'nonsense';
        const r = await p.fetch(path, { method, body: method === 'POST' ? bad : undefined });
        assert.equal(r.headers.get('www-authenticate'), 'Bearer');
        await refused(r, 401);
      }
      const r = await fetch(`http://127.0.0.1:${server.port}/api/xcx/chat/${path}`, { method, body: body && JSON.stringify(body) });
      await refused(r, 401);
    });
    test(`${method} ${path}: 403 for who is not approved, whatever else is wrong`, async () => {
      for (const status of ['pending', 'rejected', 'disabled']) {
        await s.sql(`INSERT INTO runnel.account (tenant, subject, status) VALUES (1, 'a ${status} one', '${status}') ON CONFLICT DO NOTHING`);
        const p = new Person(server, `a ${status} one`);
        for (const bad of [body, { content: ' ' }]) await refused(await p.fetch(path, { method, body: method === 'POST' ? bad : undefined }), 403);
      }
    });
  }
  test('nobody of a tenant that is not known', async () => refused(await person({ tenant: 'nowhere' }).fetch('history'), 401));
  test('other methods and other paths', async () => {
    const p = person();
    await refused(await p.fetch('history', { method: 'POST', body: {} }), 405);
    await refused(await p.fetch('1/nothing'), 404);
  });
});

// His name must not be gone with what was known of him before: the lock keeps his first request
// waiting between two looks at the database, until the second one has had him looked up again.
test('who waits for the database may be looked up again', async () => {
  const p = person();
  await p.get('history');
  const lock = s.sql(`BEGIN; SELECT pg_advisory_xact_lock(hashtextextended(jsonb_build_array(1, 'xcx', 'person ${n}', 'task', '1')::text, 0));
    SELECT pg_sleep(1); COMMIT`);
  await sleep(300);
  let came = false;
  const waiting = p.chat('task', '1').finally(() => { came = true; });
  for (let i = 0; i < 5; i++) {
    await sleep(50);
    await p.get('history');
  }
  assert.equal(came, false);
  await lock;
  const chat = await waiting;
  assert.deepEqual((await p.get('history')).items.map((i) => i.id), [chat]);
});

describe('what is refused, in its order', () => {
  const bodies = {
    'no JSON': '{"content": ', 'an array': '[]', 'a text': '"a"', 'no content': { chatId: 1 }, 'content that is null': { chatId: 1, content: null },
    'content that is a number': { chatId: 1, content: 5 }, 'content that is a list': { chatId: 1, content: ['a'] },
  };
  for (const [name, body] of Object.entries(bodies)) test(`422 for ${name}`, async () => {
    const p = person();
    await refused(await p.fetch('stream', { method: 'POST', body }), 422);
    await refused(await p.fetch('1/messages', { method: 'POST', body }), 422);
  });
  for (const chatId of [undefined, null, 'x', '', 1.5, true, [1], {}]) test(`422 for chatId ${JSON.stringify(chatId)}, before anything is said of the content`, async () => {
    for (const content of ['a', ' ']) {
      const r = await plain(await person().fetch('stream', { method: 'POST', body: { chatId, content } }));
      assert.deepEqual([r.status, r.code], [422, 422]);
      assert.notEqual(r.message, BLANK);
    }
  });
  for (const more of [{ sourcePage: 5 }, { sourcePage: ['a'] }, { pageContext: 'a' }, { pageContext: [] }]) test(`422 for ${JSON.stringify(more)}`, async () => {
    await refused(await person().ask(1, 'a', more), 422);
  });
  for (const id of ['x', '1x', '1.5', '%20', '0x1', '1e3']) test(`422 for a conversation called ${id}`, async () => {
    const p = person();
    for (const [method, tail] of [['GET', 'messages'], ['POST', 'messages'], ['GET', 'stream'], ['POST', 'stop']])
      await refused(await p.fetch(`${id}/${tail}`, { method, body: tail === 'messages' && method === 'POST' ? { content: 'a' } : undefined }), 422);
  });
  test('422 for blank content, before it is asked whose the conversation is', async () => {
    for (const content of ['', ' ', '\n\t　 ']) {
      await refused(await person().ask(999, content), 422, BLANK);
      await refused(await person().fetch('999/messages', { method: 'POST', body: { content } }), 422, BLANK);
    }
  });
  const everywhere = (p, id) => [
    p.fetch(`${id}/messages`), p.fetch(`${id}/messages`, { method: 'POST', body: { content: 'a' } }),
    p.fetch(`${id}/stream`), p.fetch(`${id}/stop`, { method: 'POST' }),
    p.fetch('stream', { method: 'POST', body: `{"chatId": ${id}, "content": "a"}` }),
  ];
  for (const id of ['424242', '0', '-1', '9223372036854775807', '9223372036854775808', '-9223372036854775808', '99999999999999999999999999'])
    test(`403 for conversation ${id}, which is nobody's`, async () => {
      for (const r of everywhere(person(), id)) await refused(await r, 403, FOREIGN);
    });
  test('403 for what is another\'s, in this tenant or under his name in another', async () => {
    const owner = person(), chat = await owner.chat('task', '1');
    const others = [person(), new Person(server, `person ${n - 1}`, { tenant: 'elsewhere' })];
    for (const p of others) {
      for (const r of everywhere(p, chat)) await refused(await r, 403, FOREIGN);
      assert.deepEqual((await p.get('history')).items, []);
    }
    assert.equal((await owner.get('history')).total, 1);
    assert.deepEqual(s.app.requests(), []);
  });
});

describe('history', () => {
  test('of somebody new', async () => assert.deepEqual(await person().get('history'), { items: [], total: 0, page: 1, pageSize: 20 }));

  test('who was spoken to last comes first; titles and last messages are cut', async () => {
    const p = person(), chats = [];
    const first = '👩‍👩‍👧好'.repeat(10);
    for (const id of ['1', '2', '3']) chats.push(await p.chat('task', id));
    s.says('x好👍🏽'.repeat(40));
    await p.hear(chats[2], first);
    s.says('second');
    await p.hear(chats[0], 'short');
    const { items, ...paging } = await p.get('history');
    assert.deepEqual(paging, { total: 3, page: 1, pageSize: 20 });
    assert.deepEqual(items.map((i) => i.id), [chats[0], chats[2], chats[1]]);
    assert.deepEqual(items.map((i) => i.title), ['short', [...first].slice(0, 20).join(''), '新对话']);
    assert.deepEqual(items.map((i) => i.lastMessage), ['second', [...'x好👍🏽'.repeat(40)].slice(0, 100).join(''), null]);
    for (const i of items) {
      assert.deepEqual(Object.keys(i), ['id', 'title', 'customerName', 'lastMessage', 'timestamp', 'unreadCount']);
      assert.match(i.timestamp, ISO);
      assert.deepEqual([i.customerName, i.unreadCount, Number.isInteger(i.id)], [null, 0, true]);
    }
    const at = await s.sql(`SELECT to_char(last_message_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') FROM runnel.chat WHERE id = ${chats[0]}`);
    assert.equal(items[0].timestamp, at[0][0]);
  });
  test('a title that somebody gave stays', async () => {
    const p = person(), chat = await p.chat('task', '1');
    await s.sql(`UPDATE runnel.chat SET title = '客户 7' WHERE id = ${chat}`);
    await p.hear(chat, 'a question');
    assert.equal((await p.get('history')).items[0].title, '客户 7');
  });
  test('pages', async () => {
    const p = person(), chats = [];
    for (let i = 0; i < 5; i++) chats.unshift(await p.chat('task', `${i}`));
    const ids = async (query) => {
      const { items, ...paging } = await p.get(`history?${query}`);
      return [items.map((i) => chats.indexOf(i.id)), paging.total, paging.page, paging.pageSize];
    };
    assert.deepEqual(await ids('page=1&page_size=2'), [[0, 1], 5, 1, 2]);
    assert.deepEqual(await ids('page=3&page_size=2'), [[4], 5, 3, 2]);
    assert.deepEqual(await ids('page=2&pageSize=3'), [[3, 4], 5, 2, 3]);
    assert.deepEqual(await ids('page=4&page_size=2'), [[], 5, 4, 2]);
    assert.deepEqual(await ids('page_size=100'), [[0, 1, 2, 3, 4], 5, 1, 100]);
  });
});

describe('pages that are refused', () => {
  for (const path of ['history', 'messages?contextType=task&contextId=1', 'ID/messages'])
    test(path, async () => {
      const p = person();
      const at = path.replace('ID', await p.chat('task', '9'));
      const sign = path.includes('?') ? '&' : '?';
      for (const bad of ['page=0', 'page=-1', 'page=x', 'page=', 'page=1.5', 'page=9223372036854775808', 'page_size=0', 'page_size=101', 'page_size=-1',
        'page_size=x', 'pageSize=101', 'pageSize=0'])
        await refused(await p.fetch(`${at}${sign}${bad}`), 422);
      for (const good of ['page=1&page_size=100', 'page=1000000', 'page_size=1', 'pageSize=100']) await p.get(`${at}${sign}${good}`);
    });
});

describe('messages', () => {
  test('of a new conversation', async () => {
    const p = person(), chat = await p.chat('task', '1');
    const none = { chatId: chat, items: [], total: 0, page: 1, pageSize: 50 };
    assert.deepEqual(await p.messages(chat), none);
    assert.deepEqual(await p.get('messages?contextType=task&contextId=1'), none);
  });
  test('the oldest first; both ways the same; system messages are not shown', async () => {
    const p = person(), chat = await p.chat('customer', 'c1');
    for (const text of ['一', 'two', '三']) {
      s.says(`answer to ${text}`);
      await p.hear(chat, text);
    }
    await s.sql(`INSERT INTO runnel.message (tenant, chat, seq, role, content) VALUES (1, ${chat}, 6, 'system', 'hidden');
      UPDATE runnel.chat SET next_seq = 7 WHERE id = ${chat}`);
    const page = await p.messages(chat);
    assert.deepEqual(page.items.map((m) => [m.role, m.content]), ['一', 'two', '三'].flatMap((t) => [['user', t], ['assistant', `answer to ${t}`]]));
    assert.deepEqual([page.total, page.page, page.pageSize], [6, 1, 50]);
    assert.deepEqual(await p.get('messages?contextType=customer&contextId=c1'), page);
    for (const m of page.items) {
      assert.deepEqual(Object.keys(m).slice(0, 5), ['id', 'role', 'content', 'createdAt', 'referenceCard']);
      assert.match(m.createdAt, ISO);
      assert.ok(Number.isInteger(m.id) && m.referenceCard === null);
    }
    const sorted = [...page.items].sort((a, b) => a.createdAt.localeCompare(b.createdAt) || a.id - b.id);
    assert.deepEqual(page.items, sorted);
    const second = await p.messages(chat, '?page=2&page_size=4');
    assert.deepEqual([second.items, second.total, second.page, second.pageSize], [page.items.slice(4), 6, 2, 4]);
  });
  test('a reference card is shown where it is one', async () => {
    const p = person(), chat = await p.chat('customer', 'c1');
    const card = { type: 'customer', title: '王女士', summary: '"VIP" 👍🏽', data: { 余额: '¥1,200.00', 最近到店: '3天前' } };
    await s.sql(`INSERT INTO runnel.message (tenant, chat, seq, role, content, more) VALUES
      (1, ${chat}, 0, 'assistant', 'a', '${JSON.stringify({ card })}'), (1, ${chat}, 1, 'assistant', 'b', '{"card": [1]}'),
      (1, ${chat}, 2, 'assistant', 'c', '{"card": "x"}'), (1, ${chat}, 3, 'assistant', 'd', '{"other": 1}')`);
    assert.deepEqual((await p.messages(chat)).items.map((m) => m.referenceCard), [card, null, null, null]);
  });
});

describe('which conversation is taken up', () => {
  const age = (chat, days, column = 'last_message_at') =>
    s.sql(`UPDATE runnel.chat SET ${column} = now() - interval '${days} days' WHERE id = ${chat}`);
  const kept = async (p) => (await p.get('history')).total;

  test('contextType and contextId must be there', async () => {
    const p = person();
    for (const query of ['', '?contextType=task', '?contextId=1', '?contexttype=task&contextid=1'])
      await refused(await p.fetch(`messages${query}`), 422);
    assert.equal(await kept(p), 0);
  });
  test('they may be 20 and 50 characters long', async () => {
    const p = person();
    for (const [type, id] of [['👍'.repeat(21), '1'], ['task', '👍'.repeat(51)]])
      await refused(await p.fetch(`messages?contextType=${encodeURIComponent(type)}&contextId=${encodeURIComponent(id)}`), 422);
    const chat = await p.chat(encodeURIComponent('👍'.repeat(20)), '客'.repeat(50));
    assert.deepEqual(await s.sql(`SELECT context_type, context_id, mode FROM runnel.chat WHERE id = ${chat}`), [['👍'.repeat(20), '客'.repeat(50), 'app1_chat']]);
  });
  test('a task\'s is the same for ever', async () => {
    const p = person(), chat = await p.chat('task', '7');
    await p.hear(chat, 'a');
    await age(chat, 400);
    assert.equal(await p.chat('task', '7'), chat);
    assert.notEqual(await p.chat('task', '8'), chat);
  });
  for (const type of ['customer', 'coach']) test(`a ${type}'s for three days`, async () => {
    const p = person(), chat = await p.chat(type, '7');
    assert.equal(await p.chat(type, '7'), chat);
    await age(chat, 2.99, 'created_at');
    assert.equal(await p.chat(type, '7'), chat, 'nothing was said, and it is not yet three days old');
    await p.hear(chat, 'a');
    await age(chat, 10, 'created_at');
    assert.equal(await p.chat(type, '7'), chat, 'something was said just now');
    await age(chat, 2.99);
    assert.equal(await p.chat(type, '7'), chat);
    await age(chat, 3.01);
    const next = await p.chat(type, '7');
    assert.notEqual(next, chat);
    await age(next, 3.01, 'created_at');
    assert.notEqual(await p.chat(type, '7'), next, 'nothing was said there for three days');
    assert.equal(await kept(p), 3);
  });
  for (const [type, id] of [['general', ''], ['', ''], ['customer', ''], ['task', ''], ['whatever', ''], ['whatever', '5']])
    test(`context "${type}" "${id}": a new one, unless nothing was said in the last`, async () => {
      const p = person(), chat = await p.chat(type, id);
      assert.equal(await p.chat(type, id), chat);
      await p.hear(chat, 'a');
      const next = await p.chat(type, id);
      assert.notEqual(next, chat);
      await age(next, 3.01, 'created_at');
      assert.notEqual(await p.chat(type, id), next);
      assert.deepEqual(await s.sql(`SELECT context_type FROM runnel.chat WHERE id = ${chat}`), [[type || 'general']]);
    });
  test('everybody has his own', async () => {
    const a = person(), b = person(), c = new Person(server, `person ${n}`, { tenant: 'elsewhere' });
    const all = [await a.chat('task', '1'), await b.chat('task', '1'), await c.chat('task', '1'), await a.chat('customer', '1')];
    assert.equal(new Set(all).size, 4);
  });
  for (const [type, id] of [['task', '1'], ['customer', '1'], ['general', '']]) test(`fifty at once make one: ${type}`, async () => {
    const p = person();
    const all = await Promise.all(Array.from({ length: 50 }, () => p.chat(type, id)));
    assert.equal(new Set(all).size, 1);
    assert.equal(await kept(p), 1);
  });
});

describe('settings', () => {
  test('wrap_responses: false gives the data alone; what is refused stays as it is', async () => {
    const bare = await s.serve({ xcx: { wrap_responses: false } });
    const p = person({}, bare);
    const read = async (path, options) => (await p.fetch(path, options)).json();
    assert.deepEqual(await read('history'), { items: [], total: 0, page: 1, pageSize: 20 });
    const { chatId, ...page } = await read('messages?contextType=task&contextId=1');
    assert.deepEqual(page, { items: [], total: 0, page: 1, pageSize: 50 });
    s.says('aha');
    const said = await read(`${chatId}/messages`, { method: 'POST', body: { content: 'a' } });
    assert.deepEqual([Object.keys(said), said.aiReply.content], [['userMessage', 'aiReply'], 'aha']);
    assert.equal((await read(`${chatId}/messages`)).items.length, 2);
    assert.deepEqual(await read(`${chatId}/stop`, { method: 'POST' }), { stopped: false });
    await refused(await p.ask(chatId, ' '), 422, BLANK);
  });
  test('ascii: true leaves nothing else in any answer', async () => {
    const ascii = await s.serve({ xcx: { ascii: true } });
    const p = person({}, ascii), chat = await p.chat('task', '1'), text = '你好 👩‍👩‍👧 é "\\"  ';
    const read = async (path, options) => {
      const bytes = Buffer.from(await (await p.fetch(path, options)).arrayBuffer());
      assert.ok(bytes.every((b) => b < 0x80), bytes.toString());
      return bytes.toString();
    };
    s.says({ tokens: [...text] });
    const stream = await read('stream', { method: 'POST', body: { chatId: chat, content: text } });
    const tokens = stream.split('\n').filter((l) => l.startsWith('data: {"token"')).map((l) => JSON.parse(l.slice(6)).token);
    assert.equal(tokens.join(''), text);
    s.says(text);
    assert.equal(JSON.parse(await read(`${chat}/messages`, { method: 'POST', body: { content: text } })).data.aiReply.content, text);
    const messages = JSON.parse(await read(`${chat}/messages`)).data.items;
    assert.deepEqual(messages.map((m) => m.content), [text.trim(), text, text.trim(), text]);
    assert.equal(JSON.parse(await read('history')).data.items[0].title, text.trim());
    assert.equal(JSON.parse(await read('stream', { method: 'POST', body: { chatId: chat, content: ' ' } })).message, BLANK);
    s.says({ status: 500 });
    assert.match(await read('stream', { method: 'POST', body: { chatId: chat, content: 'a' } }), /^event: error\ndata: \{"message": "AI \\u670d/);
  });
  test('reuse_customer is the window', async () => {
    const brief = await s.serve({ xcx: { reuse_customer: '1h' } });
    const p = person({}, brief), chat = await p.chat('customer', '1');
    await s.sql(`UPDATE runnel.chat SET created_at = now() - interval '59 minutes' WHERE id = ${chat}`);
    assert.equal(await p.chat('customer', '1'), chat);
    await s.sql(`UPDATE runnel.chat SET created_at = now() - interval '61 minutes' WHERE id = ${chat}`);
    assert.notEqual(await p.chat('customer', '1'), chat);
  });
  test('nothing that was said or shown was logged', () => {
    for (const { stderr } of s.servers) for (const word of ['a question', '你好', 'second', token('x').slice(0, 30)]) assert.ok(!stderr.includes(word), word);
  });
});
