// Pages of the mini-program's chat for somebody who said a lot: 1,000 conversations of 500
// messages. PostgreSQL itself writes down how it finds them, and none of it is a whole table;
// the service spends at most 5 ms of a processor on one.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { binary, ms } from './lib/server.mjs';
import { Person, stage } from './lib/xcx.mjs';

const CHATS = 1000, MESSAGES = 500;             // and of others, twenty times as many conversations
const WHOLE = ['history', 'messages?contextType=task&contextId=500', 'ID/messages'];

let s, server, anna, chat;
before(async () => {
  s = await stage();
  server = await s.serve();
  anna = new Person(server, 'anna');
  await anna.get('history');
  await s.sql(`
    SET session_replication_role = replica;     -- nobody looks at each foreign key
    INSERT INTO runnel.chat (tenant, dialect, owner, uid, mode, context_type, context_id, title, last_message, last_message_at, next_seq)
      SELECT 1, 'xcx', CASE WHEN n <= ${CHATS} THEN 'anna' ELSE 'other ' || n % 100 END, 'u' || n, 'app1_chat', 'task', n, '标题 ' || n, repeat('字', 200),
        now() - n * interval '1 minute', ${MESSAGES} FROM generate_series(1, ${20 * CHATS}) n;
    INSERT INTO runnel.message (tenant, chat, seq, role, content, created_at)
      SELECT 1, c.id, i, CASE WHEN i % 2 = 0 THEN 'user' ELSE 'assistant' END, '第 ' || i || ' 条 👍🏽 some words of a message',
        c.last_message_at - (${MESSAGES} - i) * interval '1 second' FROM runnel.chat c, generate_series(0, ${MESSAGES - 1}) i
        WHERE c.owner = 'anna';
    VACUUM ANALYZE runnel.chat, runnel.message`, { timeout: ms(60000) });
  [[chat]] = await s.sql("SELECT id FROM runnel.chat WHERE owner = 'anna' AND context_id = '500'");
}, { timeout: ms(60000) });
after(() => s?.remove());

// First, middle and last page of each list.
const pages = () => WHOLE.flatMap((path) => {
  const total = path === 'history' ? CHATS : MESSAGES;
  const at = path.replace('ID', chat), sign = at.includes('?') ? '&' : '?';
  return [1, Math.ceil(total / 40), total / 20].map((page) => `${at}${sign}page=${page}&page_size=20`);
});

test('what is on them', async () => {
  for (const page of [1, 25, 50]) {
    const { items, total } = await anna.get(`history?page=${page}&page_size=20`);
    assert.deepEqual([items.map((i) => i.title), total], [Array.from({ length: 20 }, (_, i) => `标题 ${(page - 1) * 20 + i + 1}`), CHATS]);
  }
  for (const page of [1, 13, 25]) {
    const wanted = Array.from({ length: 20 }, (_, i) => `第 ${(page - 1) * 20 + i} 条 👍🏽 some words of a message`);
    for (const path of [`${chat}/messages?`, 'messages?contextType=task&contextId=500&']) {
      const { items, total, chatId } = await anna.get(`${path}page=${page}&page_size=20`);
      assert.deepEqual([items.map((i) => i.content), total, chatId], [wanted, MESSAGES, Number(chat)]);
    }
  }
});

// A connection that begins now writes every plan it uses into the log, early ones and those
// that are made for any value: each statement comes more than five times.
test('no page is found by reading a whole table', async () => {
  await s.sql(`ALTER DATABASE ${s.db.name} SET session_preload_libraries = 'auto_explain'; ALTER DATABASE ${s.db.name} SET auto_explain.log_min_duration = 0`);
  const from = s.cluster.log.length;
  const watched = await s.serve();
  const p = new Person(watched, 'anna');
  await Promise.all(Array.from({ length: 20 }, () => pages()).flat().map((page) => p.get(page)));
  await watched.stop();
  await s.sql(`ALTER DATABASE ${s.db.name} RESET ALL`);
  const plans = s.cluster.log.slice(from).split(/duration: .* plan:/).slice(1);
  const of = (table) => plans.filter((plan) => new RegExp(`runnel\\.${table}\\b`).test(plan) && /(SELECT|WITH)/.test(plan));
  assert.ok(of('chat').length >= 100 && of('message').length >= 100, `${plans.length} plans, ${of('chat').length} and ${of('message').length} of ours`);
  assert.ok(plans.some((plan) => /Index .*Scan using \w+ on (chat|message)/.test(plan)));
  for (const plan of plans) assert.doesNotMatch(plan, /Seq Scan on (chat|message)\b/, plan);
});

test('what a page costs', async (t) => {
  for (const page of pages()) await anna.get(page);
  const rounds = 34, began = server.cpuSeconds(), all = Array.from({ length: rounds }, pages).flat();
  for (const page of all) await anna.get(page);
  const each = (server.cpuSeconds() - began) / all.length * 1000;
  t.diagnostic(`${each.toFixed(2)} ms of a processor for one page, over ${all.length}`);
  assert.ok(all.length >= 200);
  if (!readFileSync(binary).includes('__asan_init')) assert.ok(each < 5, `${each} ms`);
});
