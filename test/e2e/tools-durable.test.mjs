// A process is killed while a model uses tools: what was said and done before is kept, no call is
// without a result, and the next message is told to the model as it must be.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { becomesReady, database } from './lib/database.mjs';
import { killed } from './lib/durable.mjs';
import { Person, stage } from './lib/session.mjs';
import { duration, eventually, ms, start } from './lib/server.mjs';
import { find, found, isWellFormed, Service } from './lib/told.mjs';

const NEVER_ENDED = '{"type":"error","message":"The call was interrupted."}';

let s, db, service, server, anna;
before(async () => {
  s = await stage();
  service = await new Service().open();
  db = await database({ on: s.cluster });
  await serve();
});
after(async () => {
  service?.close();
  await s?.remove();
});
beforeEach(() => {
  s.forget();
  service.asked.length = 0;
});

async function serve() {
  server = await start({ ...s.settings({ db, tools: ['find'], turns: { journal_every: duration(50) } }), tools: [service.tool()] });
  s.servers.push(server);
  await becomesReady(server, ms(10000));
  anna = new Person(server);
}

const play = (...rounds) => { for (const r of rounds) s.provider.script({ times: 1, ...r }); };
const requests = (n) => eventually(() => assert.equal(s.provider.requests().length, n), ms(10000));
const SILENT = { answer: { text: 'too late', first: ms(120000) } };

// Events of the turn that are kept: what a killed process leaves behind.
const isKept = (id, words) => eventually(async () => {
  const [[n]] = await db.sql(`SELECT count(*) FROM runnel.journal j JOIN runnel.turn t ON t.tenant = j.tenant AND t.id = j.turn
    JOIN runnel.chat c ON c.tenant = t.tenant AND c.id = t.chat WHERE c.uid = '${id}' AND position('${words}'::bytea in j.events) > 0`);
  assert.notEqual(n, '0', `${words} is not kept`);
}, ms(5000));

async function killedAndBack(id, asking) {
  await killed(server);
  await asking;
  await serve();
  await eventually(async () => assert.equal((await anna.show(id)).active_stream, null), ms(10000));
}

const shown = async (id) => (await anna.show(id)).messages.map((m) => [m.role, m.content, m.tool_calls?.map((c) => [c.id, c.function.arguments]) ?? m.tool_call_id]);

async function goesOn(id, roles) {
  s.forget();
  play({ answer: { text: 'I am back.' } });
  const h = await anna.hear(id, 'and now?');
  assert.deepEqual([h.text, h.error], ['I am back.', null]);
  const [{ body, problems }] = s.provider.requests();
  assert.deepEqual(problems, []);
  assert.deepEqual(body.messages.map((m) => m.role), [...roles, 'user']);
  isWellFormed(body.messages);
  assert.deepEqual((await anna.said(id)).slice(-2), [['user', 'and now?'], ['assistant', 'I am back.']]);
  return body.messages;
}

// A connection that is cut off is no mistake of the reader's.
const ask = (id, message) => anna.ask(id, message).then((r) => r.text()).catch((e) => { if (!(e instanceof TypeError)) throw e; });

describe('the process is killed', { concurrency: 1 }, () => {
  test('between the result and the next round', async () => {
    const id = await anna.made();
    play({ answer: { text: 'Let me see. ', tools: [find('c1', 'cats'), find('c2', 'dogs', 20)] } }, SILENT);
    const asking = ask(id, 'who is there?');
    await requests(2);
    await isKept(id, 'dogs"}');
    await killedAndBack(id, asking);
    const calls = [['c1', find('', 'cats').arguments], ['c2', find('', 'dogs', 20).arguments]];
    assert.deepEqual(await shown(id), [['user', 'who is there?', null], ['assistant', 'Let me see. ', calls], ['tool', found('cats'), 'c1'], ['tool', found('dogs'), 'c2']]);
    await goesOn(id, ['user', 'assistant', 'tool', 'tool']);
    assert.deepEqual(service.asked, ['cats', 'dogs'], 'what was done is not done again');
  });

  test('between a call and its result', async () => {
    const id = await anna.made();
    play({ answer: { text: 'Let me see. ', tools: [find('c1', 'cats'), find('c2', 'dogs', 'never')] } }, SILENT);
    const asking = ask(id, 'who is there?');
    await eventually(() => assert.equal(service.asked.length, 2), ms(10000));
    await isKept(id, 'cats"}');
    await killedAndBack(id, asking);
    assert.deepEqual((await shown(id)).slice(2), [['tool', found('cats'), 'c1'], ['tool', NEVER_ENDED, 'c2']]);
    const told = await goesOn(id, ['user', 'assistant', 'tool', 'tool']);
    assert.equal(told[3].content, NEVER_ENDED);
    assert.equal(s.provider.requests().length, 1);
    assert.deepEqual(service.asked, ['cats', 'dogs']);
  });

  test('in the middle of a call\'s arguments', async () => {
    const id = await anna.made();
    play({ answer: { text: 'Let me see. ', gap: 20, tools: [find('c1', 'cats', 0, { parts: ['{"what":', '"ca', ...Array(2000).fill('a')] })] } });
    const asking = ask(id, 'who is there?');
    await isKept(id, '"ca');
    await killedAndBack(id, asking);
    assert.deepEqual((await shown(id)).slice(1), [['assistant', 'Let me see. ', [['c1', '{}']]], ['tool', NEVER_ENDED, 'c1']]);
    await goesOn(id, ['user', 'assistant', 'tool']);
    assert.deepEqual(service.asked, []);
  });

  test('in the second round\'s words', async () => {
    const id = await anna.made();
    play({ answer: { tools: [find('c1', 'cats')] } }, { answer: { tokens: Array(2000).fill('There '), gap: 20 } });
    const asking = ask(id, 'who is there?');
    await isKept(id, 'Ther');
    await killedAndBack(id, asking);
    const said = await anna.said(id);
    assert.deepEqual(said.slice(0, 3), [['user', 'who is there?'], ['assistant', ''], ['tool', found('cats')]]);
    assert.match(said[3][1], /^(There )+\n\n\[interrupted\]$/);
    await goesOn(id, ['user', 'assistant', 'tool', 'assistant']);
  });
});
