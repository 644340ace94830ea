// Readers of one answer come, go, come back and stop it, in the mini-program's chat.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import { connect, req } from './lib/raw.mjs';
import { eventually, ms } from './lib/server.mjs';
import { events, hear, Person, rows, stage } from './lib/xcx.mjs';

const WORDS = Array.from({ length: 20 }, (_, i) => `词${i} 👍🏽 `);
const TEXT = WORDS.join('');
const PACE = 40;                                // ms between words: an answer takes 0.8 s

let s, server, other, cutting, n = 0;
before(async () => {
  s = await stage();
  server = await s.serve();
  other = await s.serve();
  cutting = await s.serve({ xcx: { on_leave: 'cancel' } });
});
after(() => s?.remove());

const someone = async (on = server) => {
  const p = new Person(on, `reader ${++n}`);
  return { p, chat: await p.chat('task', '1') };
};
const slowly = (more = {}) => s.says({ tokens: WORDS, gap: PACE, ...more });
const answer = async (chat) => (await rows(s, chat)).at(-1).slice(1);
const ends = (chat, want) => eventually(async () => assert.deepEqual(await answer(chat), want), ms(5000));
const complete = ['complete', TEXT, String([...TEXT].length)];

// Starts an answer and gives it with its first words: { stream (an iterator of events), first }.
async function begun(p, chat, words = 3) {
  const stream = events(await p.ask(chat, 'a'));
  const first = [];
  while (first.length < words) first.push((await stream.next()).value);
  return { stream, first };
}
const text = (list) => list.filter((e) => e.event === 'message').map((e) => JSON.parse(e.data).token).join('');
async function rest(stream) {
  const all = [];
  for await (const e of stream) all.push(e);
  return all;
}

describe('whoever goes', () => {
  test('finds the whole answer later (detach)', async () => {
    const { p, chat } = await someone();
    slowly();
    assert.ok((await p.hear(chat, 'a', {}, { until: 2 })).left);
    assert.notEqual((await answer(chat))[0], 'complete');
    await ends(chat, complete);
    assert.equal((await p.messages(chat)).items[1].content, TEXT);
  });
  test('also when he did not ask for a stream', async () => {
    const { p, chat } = await someone();
    slowly();
    const leave = new AbortController();
    const said = p.fetch(`${chat}/messages`, { method: 'POST', body: { content: 'a' }, signal: leave.signal });
    await eventually(async () => assert.equal((await answer(chat))[0], 'streaming'));
    leave.abort();
    await assert.rejects(said);
    await ends(chat, complete);
  });
  test('finds what was said until then (cancel), and nobody goes on', async () => {
    const { p, chat } = await someone(cutting);
    s.app.forget();
    slowly();
    const heard = await p.hear(chat, 'a', {}, { until: 5 });
    await eventually(async () => assert.equal((await answer(chat))[0], 'interrupted'));
    const [, content, used] = await answer(chat);
    assert.ok(TEXT.startsWith(content) && content.startsWith(heard.text) && content !== TEXT, content);
    assert.equal(used, null);
    await eventually(() => assert.ok(s.app.requests()[0].clientClosed));
    assert.equal((await p.get('history')).items[0].lastMessage, content.slice(0, 100));
  });
  test('leaves it to those who stay (cancel)', async () => {
    const { p, chat } = await someone(cutting);
    slowly();
    const { stream } = await begun(p, chat);
    const second = p.resume(chat);
    await sleep(100);
    await stream.return();
    assert.equal((await second).text, TEXT);
    await ends(chat, complete);
  });
});

describe('stop', () => {
  for (const [name, where] of [['here', () => server], ['at another process', () => other]]) test(`${name}: every reader is told, and the part is kept`, async () => {
    const { p, chat } = await someone();
    s.app.forget();
    slowly({ gap: 100 });
    const { stream, first } = await begun(p, chat);
    const second = p.resume(chat);
    await sleep(50);
    assert.deepEqual(await p.stop(chat, { on: where() }), { stopped: true });
    const all = [...first, ...await rest(stream)], last = all.at(-1), heard = await second;
    assert.equal(last.event, 'done');
    const [[id, at]] = await s.sql(`SELECT id, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') FROM runnel.message
      WHERE chat = ${chat} AND role = 'assistant'`);
    assert.equal(last.data, `{"messageId": ${id}, "createdAt": "${at}", "stopped": true}`);
    const [state, content, used] = await answer(chat);
    assert.deepEqual([state, content, used], ['stopped', text(all), null]);
    assert.ok(TEXT.startsWith(content) && content !== TEXT);
    assert.deepEqual([heard.text, heard.done], [content, JSON.parse(last.data)]);
    assert.equal((await p.messages(chat)).items[1].status, 'stopped');
    await eventually(() => assert.ok(s.app.requests()[0].clientClosed));
    assert.deepEqual(await p.stop(chat), { stopped: false });
    s.says('next');
    assert.equal((await p.hear(chat, 'b')).text, 'next');
  });
  test('when nothing runs, or nothing ever did', async () => {
    const { p, chat } = await someone();
    assert.deepEqual(await p.stop(chat), { stopped: false });
    s.says('x');
    await p.hear(chat, 'a');
    assert.deepEqual(await p.stop(chat), { stopped: false });
    assert.equal((await answer(chat))[0], 'complete');
  });
  test('is not for others', async () => {
    const { p, chat } = await someone();
    slowly();
    const { stream, first } = await begun(p, chat);
    const { p: stranger } = await someone();
    for (const on of [server, other]) {
      const r = await stranger.fetch(`${chat}/stop`, { method: 'POST', on });
      assert.deepEqual([r.status, (await r.json()).code], [403, 403]);
    }
    assert.equal(text([...first, ...await rest(stream)]), TEXT);
    await ends(chat, complete);
  });
});

describe('coming back', () => {
  test('from every event on, while the journal is there', async () => {
    const { p, chat } = await someone();
    s.says({ tokens: WORDS });
    const heard = await p.hear(chat, 'a');
    assert.equal(heard.ids.length, WORDS.length);
    for (const on of [server, other]) {
      for (const [i, id] of heard.ids.entries()) {
        const again = await p.resume(chat, id, { on });
        assert.deepEqual([again.text, again.done, again.ids], [WORDS.slice(i + 1).join(''), heard.done, heard.ids.slice(i + 1)], id);
      }
      const [answerId] = heard.ids[0].split('.');
      for (const behind of ['1000', '2147483647']) {
        const again = await p.resume(chat, `${answerId}.${behind}`, { on });
        assert.deepEqual([again.text, again.done], ['', heard.done]);
      }
      const inQuery = await hear(await p.fetch(`${chat}/stream?lastEventId=${heard.ids[4]}`, { on }));
      assert.deepEqual([inQuery.text, inQuery.done], [WORDS.slice(5).join(''), heard.done]);
    }
  });
  test('without an id: 204 when nothing runs', async () => {
    const { p, chat } = await someone();
    assert.equal((await p.resume(chat)).status, 204);
    s.says('x');
    await p.hear(chat, 'a');
    for (const on of [server, other]) assert.equal((await p.resume(chat, undefined, { on })).status, 204);
  });
  test('without an id: all of what runs, from its first word', async () => {
    const { p, chat } = await someone();
    slowly({ gap: 2 * PACE });
    const { stream, first } = await begun(p, chat, 5);
    const again = await Promise.all([server, other].map((on) => p.resume(chat, undefined, { on })));
    const all = [...first, ...await rest(stream)];
    for (const heard of again)
      assert.deepEqual([heard.text, heard.ids, heard.done], [TEXT, all.filter((e) => e.id).map((e) => e.id), JSON.parse(all.at(-1).data)]);
  });
  test('with the id of the last word he heard, while it runs', async () => {
    const { p, chat } = await someone();
    slowly({ gap: 2 * PACE });
    const left = await p.hear(chat, 'a', {}, { until: 4 });
    const again = await Promise.all([server, other].map((on) => p.resume(chat, left.ids.at(-1), { on })));
    for (const heard of again) assert.equal(left.text + heard.text, TEXT);
  });
  test('to an answer that failed or was stopped: the same last word', async () => {
    const { p, chat } = await someone();
    s.says({ tokens: WORDS, errorAfter: 5 });
    const failed = await p.hear(chat, 'a');
    assert.deepEqual(failed.error, { message: 'AI 服务暂时不可用' });
    for (const on of [server, other]) {
      const again = await p.resume(chat, failed.ids[1], { on });
      assert.deepEqual([again.text, again.error, again.done], [WORDS.slice(2, 5).join(''), failed.error, null]);
    }
  });
  for (const id of ['x', '1', '1.', '.1', '.', '1.x', 'x.1', '-1.2', '1.-2', '1.2.3', '1.5e1', '9223372036854775808.1', '1.9223372036854775808', '1.9223372036854775806', '99999999999999999999.1'])
    test(`422 for Last-Event-ID ${id}`, async () => {
      const { p, chat } = await someone();
      for (const r of [await p.fetch(`${chat}/stream`, { headers: { 'last-event-id': id } }), await p.fetch(`${chat}/stream?lastEventId=${id}`)]) {
        const body = await r.json();
        assert.deepEqual([r.status, body.code, typeof body.message], [422, 422, 'string']);
      }
    });
  test('an id of another conversation, or of nobody\'s, tells nothing', async () => {
    const { p, chat } = await someone(), second = await p.chat('task', '2'), { p: stranger, chat: his } = await someone();
    s.says({ tokens: WORDS });
    const { ids } = await p.hear(chat, 'a');
    for (const on of [server, other]) {
      assert.equal((await p.resume(second, ids[0], { on })).status, 204);
      assert.equal((await stranger.resume(his, ids[0], { on })).status, 204);
      assert.equal((await p.resume(chat, '424242.1', { on })).status, 204);
      assert.equal((await stranger.resume(chat, ids[0], { on })).status, 403);
    }
  });
  test('an id of an earlier answer: that one', async () => {
    const { p, chat } = await someone();
    s.says({ tokens: ['one', ' two'] });
    const first = await p.hear(chat, 'a');
    s.says({ tokens: ['three', ' four'] });
    await p.hear(chat, 'b');
    const again = await p.resume(chat, first.ids[0]);
    assert.deepEqual([again.text, again.done], [' two', first.done]);
  });
  test('when the journal is gone: 204, and the answer is among the messages', async () => {
    const { p, chat } = await someone();
    s.says({ tokens: WORDS });
    const { ids } = await p.hear(chat, 'a');
    await s.sql(`DELETE FROM runnel.journal WHERE turn IN (SELECT id FROM runnel.turn WHERE chat = ${chat});
      UPDATE runnel.turn SET has_journal = false WHERE chat = ${chat}`);
    for (const on of [server, other]) assert.equal((await p.resume(chat, ids[3], { on })).status, 204);
    assert.equal((await p.messages(chat)).items[1].content, TEXT);
  });
});

describe('readers together', () => {
  for (const many of [2, 10]) test(`${many} of one answer, here and at another process`, async () => {
    const { p, chat } = await someone();
    s.app.forget();
    slowly();
    const { stream, first } = await begun(p, chat, 2);
    const others = Array.from({ length: many - 1 }, async (_, i) => {
      await sleep(i * 40);
      return p.resume(chat, i % 3 ? undefined : first[0].id, { on: i % 2 ? other : server });
    });
    const all = [...first, ...await rest(stream)], ids = all.filter((e) => e.id).map((e) => e.id);
    for (const [i, heard] of (await Promise.all(others)).entries()) {
      assert.deepEqual([heard.text, heard.ids], i % 3 ? [TEXT, ids] : [WORDS.slice(1).join(''), ids.slice(1)]);
      assert.deepEqual(heard.done, JSON.parse(all.at(-1).data));
    }
    assert.equal(s.app.requests().length, 1);
  });
  test('one who does not read holds nobody up, and finds all of it when he does', async () => {
    const { p, chat } = await someone();
    const word = '很长的词'.repeat(1000), count = 800;             // 9.6 MB, more than any socket takes in
    s.says({ tokens: Array.from({ length: count }, (_, i) => `${1e4 + i}${word}`), gap: 1 });
    const idle = await connect(server.port);
    const body = JSON.stringify({ chatId: chat, content: 'a' });
    await idle.send(req('POST /api/xcx/chat/stream HTTP/1.1', 'Host: a', `Authorization: Bearer ${p.token}`, 'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(body)}`) + body);
    await idle.until(() => idle.received.includes('event: message'), 'a first word');
    idle.stopReading();
    const had = idle.received.length;
    const heard = await p.resume(chat);
    assert.deepEqual([heard.status, heard.error], [200, null]);
    assert.equal(heard.text.length, (5 + word.length) * count);
    assert.ok(had < 8e6, `${had} bytes were there before it stopped`);
    idle.readAgain();
    const all = (await idle.response({ method: 'POST', timeout: ms(20000) })).body.toString();
    const tokens = all.split('\n').filter((l) => l.startsWith('data: {"token"')).map((l) => JSON.parse(l.slice(6)).token);
    assert.ok(tokens.join('') === heard.text, 'another text');
    assert.match(all, /\nevent: done\ndata: [^\n]*\n\n$/);
    idle.destroy();
  });
  test('100 come and go: the answer is whole, and asked for once', async () => {
    const { p, chat } = await someone();
    s.app.forget();
    slowly();
    const { stream } = await begun(p, chat, 1);
    await Promise.all(Array.from({ length: 100 }, async (_, i) => {
      await sleep(i * 5);
      const heard = await p.resume(chat, undefined, { until: 1 + (i % 7), on: i % 2 ? other : server });
      assert.ok(heard.status === 204 || TEXT.startsWith(heard.text), heard.text);
    }));
    await rest(stream);
    await ends(chat, complete);
    assert.equal(s.app.requests().length, 1);
  });
});
