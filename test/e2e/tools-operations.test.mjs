// Tools that go on when their turn has ended: the service says 202 and completes later, and the session hears of it, whenever
// that is and whichever process is told.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, beforeEach, describe, test } from 'node:test';
import { becomesReady, database } from './lib/database.mjs';
import { killed } from './lib/durable.mjs';
import { job, KEY, Worker } from './lib/operation.mjs';
import { heard, Person, stage } from './lib/session.mjs';
import { duration, eventually, ms, start } from './lib/server.mjs';
import { isWellFormed } from './lib/told.mjs';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const FOUND = { success: true, result: { found: ['cats'] } };

let s, worker, db, server, other, anna;
before(async () => {
  s = await stage();
  worker = await new Worker().open();
  db = await database({ on: s.cluster });
  [server, other] = [await serve(), await serve()];
  anna = new Person(server);
});
after(async () => {
  worker?.close();
  await s?.remove();
});
beforeEach(() => {
  s.forget();
  worker.asked.length = 0;
});

async function serve({ on = db, tool, session, ...more } = {}) {
  const tools = ['job', 'calculator'];
  const settings = s.settings({ db: on, tools, session: { service_keys: [KEY], ...session }, turns: { journal_every: duration(50) }, pace: 40, ...more });
  settings.models[1].tools = tools;
  const one = await start({ ...settings, tools: [worker.tool(tool)] });
  one.sql = on.sql;
  s.servers.push(one);
  await becomesReady(one, ms(10000));
  return one;
}

const play = (...answers) => { for (const answer of answers) s.provider.script({ times: 1, answer }); };
const complete = (id, body = FOUND, { on = server, ...more } = {}) => worker.complete(on, id, body, more);
const shown = async (id, by = anna) => (await by.show(id)).messages.map((m) => [m.role, m.content]);
const becomes = (id, want, by = anna) => eventually(async () => {
  assert.equal((await by.show(id)).active_stream, null);
  assert.deepEqual(await shown(id, by), want);
}, ms(20000));
const outputs = (h) => h.parts.filter((p) => p.type.startsWith('tool-output')).map((p) => JSON.parse(p.output ?? p.errorText));
const asked = (n) => eventually(() => assert.equal(worker.asked.length, n), ms(10000));

// A session in which a job has begun, and all that was said of it.
async function begun({ by = anna, what = 'cats', how, then = 'It has begun.' } = {}) {
  const id = await by.made();
  play({ text: 'Let me see. ', tools: [job('c1', what, how)] }, { text: then });
  const h = await by.hear(id, `find ${what}`);
  assert.deepEqual([h.text, h.error], [`Let me see. ${then}`, null]);
  const [output] = outputs(h);
  return { id, h, output, operation: worker.asked.at(-1).id };
}
const said = (result, ...more) => [['user', 'find cats'], ['assistant', 'Let me see. '], ['tool', result], ['assistant', 'It has begun.'], ...more.map((m) => ['assistant', m])];

const found = JSON.stringify(FOUND.result);

describe('a tool that goes on', () => {
  test('says so at once, and what it came to when its turn has ended', async () => {
    const { id, h, output, operation } = await begun();
    assert.match(operation, UUID);
    assert.deepEqual(Object.keys(output), ['type', 'message', 'operation_id', 'tool_name']);
    assert.deepEqual([output.type, output.operation_id, output.tool_name], ['operation_started', operation, 'job']);
    assert.equal(s.asked()[1].messages.at(-1).content, h.parts.find((p) => p.type === 'tool-output-available').output);
    assert.deepEqual(await shown(id), said(JSON.stringify(output)));
    play({ text: 'Two cats.', usage: { input: 5, output: 2 } });
    const { status, body } = await complete(operation);
    assert.deepEqual([status, Object.keys(body), body.status], [200, ['status', 'task_id'], 'ok']);
    assert.deepEqual((await anna.get(`/tasks/${body.task_id}`)).session_id, id);
    await becomes(id, said(found, 'Two cats.'));
    assert.equal((await anna.get(`/sessions/${id}/messages/pending`)).count, 0);
    const told = s.provider.requests().at(-1);
    assert.deepEqual([told.problems, told.body.messages.map((m) => m.role)], [[], ['user', 'assistant', 'tool', 'assistant', 'user']]);
    isWellFormed(told.body.messages);
    const [tool, , news] = told.body.messages.slice(2);
    assert.equal(tool.content, found);
    for (const part of [operation, 'job', 'has completed', found]) assert.ok(news.content.includes(part), news.content);
    assert.ok(told.body.tools.length, 'it may use tools again');
  });

  test('is remembered with what it came to, and is never the user\'s words', async () => {
    const { id, operation } = await begun();
    play({ text: 'Two cats.' });
    await complete(operation);
    await becomes(id, said(found, 'Two cats.'));
    play({ text: 'Both black.' });
    assert.equal((await anna.hear(id, 'what colour?')).text, 'Both black.');
    const { messages } = s.asked().at(-1);
    assert.deepEqual(messages.map((m) => m.role), ['user', 'assistant', 'tool', 'assistant', 'user', 'assistant', 'user']);
    assert.deepEqual(await shown(id), [...said(found, 'Two cats.'), ['user', 'what colour?'], ['assistant', 'Both black.']]);
    assert.deepEqual((await anna.get('/sessions?limit=1')).sessions[0].id, id);
    assert.deepEqual(await db.sql("SELECT count(*) FROM runnel.chat WHERE last_message LIKE '%operation%'"), [['0']]);
  });

  test('its words are heard by coming back while they are made', async () => {
    const { id, operation } = await begun();
    const words = Array.from({ length: 40 }, (_, i) => `cat${i}`);
    play({ tokens: words.map((w) => `${w} `), gap: 50 });
    await complete(operation);
    const stream = await eventually(async () => {
      const r = await anna.fetch(`/sessions/${id}/stream`);
      assert.equal(r.status, 200);
      return r;
    }, ms(10000));
    assert.equal((await heard(stream)).text.trim(), words.join(' '));
    await becomes(id, said(found, `${words.join(' ')} `));
  });

  test('that completes before it has said that it goes on', async () => {
    worker.early = other;
    const id = await anna.made();
    play({ text: 'Let me see. ', tools: [job('c1', 'cats', 'early')] }, { text: 'It has begun.', first: ms(700) }, { text: 'Two cats.' });
    await anna.hear(id, 'find cats');
    await becomes(id, said('{"found":"cats"}', 'Two cats.'));
    assert.equal(s.asked().length, 3);
  });

  test('that completes before its turn has ended', async () => {
    const id = await anna.made();
    play({ text: 'Let me see. ', tools: [job('c1', 'cats')] }, { tokens: ['It ', 'has ', 'begun.'], first: ms(1500) }, { text: 'Two cats.' });
    const hearing = anna.hear(id, 'find cats');
    await asked(1);
    await sleep(ms(300));
    assert.equal((await complete(worker.asked[0].id)).status, 200);
    assert.equal((await hearing).text, 'Let me see. It has begun.');
    await becomes(id, said(found, 'Two cats.'));
  });

  test('that completes while another question is answered', async () => {
    const { id, operation } = await begun();
    const words = Array.from({ length: 40 }, (_, i) => `w${i}`).join(' ');
    const hearing = anna.hear(id, words, { model: 'slow' });
    await eventually(async () => assert.ok((await anna.show(id)).active_stream), ms(5000));
    play({ text: 'Two cats.' });
    assert.equal((await complete(operation)).status, 200);
    assert.deepEqual((await shown(id))[2], ['tool', found], 'its own turn has ended');
    assert.equal((await hearing).text, words);
    await becomes(id, [...said(found), ['user', words], ['assistant', words], ['assistant', 'Two cats.']]);
  });

  test('that completes twice has completed once', async () => {
    const { id, operation } = await begun();
    play({ text: 'Two cats.' });
    const first = await complete(operation);
    assert.deepEqual(await complete(operation, { success: false, error: 'another' }), first);
    await becomes(id, said(found, 'Two cats.'));
    assert.deepEqual(await complete(operation, FOUND, { on: other }), first);
    await sleep(ms(700));
    assert.deepEqual(await shown(id), said(found, 'Two cats.'));
    assert.equal(s.asked().length, 3);
  });

  test('of which many say that it has completed, to both processes, is told once', async () => {
    const { id, operation } = await begun();
    play({ text: 'Two cats.' });
    const all = await Promise.all(Array.from({ length: 10 }, (_, i) => complete(operation, FOUND, { on: [server, other][i % 2] })));
    assert.deepEqual([...new Set(all.map((a) => a.status))], [200]);
    await becomes(id, said(found, 'Two cats.'));
    await sleep(ms(700));
    assert.equal(s.asked().length, 3);
  });

  test('that has failed', async () => {
    const { id, operation } = await begun();
    play({ text: 'No cats.' });
    assert.equal((await complete(operation, { success: false, result: null, error: 'no "cats" today' })).status, 200);
    const wrong = '{"type":"error","message":"An error occurred while executing job","error":"no \\"cats\\" today","details":null}';
    await becomes(id, said(wrong, 'No cats.'));
    assert.ok(s.asked().at(-1).messages.at(-1).content.includes('has failed'));
  });

  test('of whose words the model gets as much as of any tool\'s', async () => {
    const own = new Person(await serve({ tool: { max_output_bytes: '100' } }));
    const { id, operation } = await begun({ by: own });
    play({ text: 'Many cats.' });
    await complete(operation, { success: true, result: '猫'.repeat(1000) }, { on: own.server });
    await becomes(id, said(`${'猫'.repeat(33)}\n[cut: the rest is too long]`, 'Many cats.'), own);
  });

  test('in the other process', async () => {
    const { id, operation } = await begun();
    play({ text: 'Two cats.' });
    assert.equal((await complete(operation, FOUND, { on: other })).status, 200);
    await becomes(id, said(found, 'Two cats.'));
  });

  test('that does it at once after all', async () => {
    const { id, output } = await begun({ how: 'at once' });
    assert.deepEqual(output, { found: 'cats' });
    play({ text: 'Again. ', tools: [job('c2', 'cats', 'at once')] }, { text: 'Done.' });
    assert.deepEqual(outputs(await anna.hear(id, 'again')), [{ found: 'cats' }]);
    assert.equal(worker.asked.length, 2);
    const { status, body } = await complete(worker.asked[0].id);
    assert.deepEqual([status, body], [404, { detail: `Operation ${worker.asked[0].id} not found` }]);
  });

  test('is not asked to do the same beside it', async () => {
    const { id, operation } = await begun();
    play({ tools: [job('c5', 'cats', 'later', { arguments: '{"how": "later", "what": "cats"}' }), job('c6', 'dogs')] }, { text: 'Wait.' });
    const [same, dogs] = outputs(await anna.hear(id, 'find cats and dogs'));
    assert.deepEqual([same.type, same.tool_call_id, dogs.type], ['operation_in_progress', 'c1', 'operation_started']);
    assert.deepEqual(worker.asked.map((a) => a.what), ['cats', 'dogs']);
    play({ text: 'Two cats.' });
    await complete(operation);
    await eventually(async () => assert.deepEqual((await shown(id)).at(-1), ['assistant', 'Two cats.']), ms(10000));
    play({ tools: [job('c7', 'cats')] }, { text: 'Wait.' });
    assert.equal(outputs(await anna.hear(id, 'find cats again'))[0].type, 'operation_started');
    assert.equal(worker.asked.length, 3);
  });

  test('that does not answer is told to have timed out, and may be asked again', async () => {
    const own = new Person(await serve({ tool: { timeout: duration(400) } }));
    const { id, output } = await begun({ by: own, how: 'never' });
    assert.deepEqual([output.type, output.error], ['error', 'timeout']);
    play({ tools: [job('c2', 'cats', 'never')] }, { text: 'No.' });
    assert.equal(outputs(await own.hear(id, 'again'))[0].error, 'timeout');
    assert.equal(worker.asked.length, 2);
    assert.equal((await complete(worker.asked[0].id)).status, 404);
  });

  test('that nobody completes has timed out, and the conversation goes on', async () => {
    const own = new Person(await serve({ on: await database({ on: s.cluster }), tool: { operation_ttl: '1s' } }));
    const { id, operation } = await begun({ by: own });
    const late = '{"type":"error","message":"job timed out after 1s","error":"timeout","details":null}';
    await becomes(id, said(late), own);
    assert.equal((await complete(operation, FOUND, { on: own.server })).status, 404);
    play({ text: 'Never mind.' });
    assert.equal((await own.hear(id, 'and now?')).text, 'Never mind.');
    const { messages } = s.asked().at(-1);
    isWellFormed(messages);
    assert.equal(messages[2].content, late);
    assert.equal(s.asked().length, 3);
  });

  test('in a session that is deleted', async () => {
    const { id, operation } = await begun();
    assert.equal((await anna.fetch(`/sessions/${id}`, { method: 'DELETE' })).status, 204);
    assert.equal((await complete(operation)).status, 404);
  });

  test('is for nobody where what it comes to cannot be told', async () => {
    play({ tools: [job('c1', 'cats')] }, { text: 'I cannot.' });
    const r = await fetch(`http://127.0.0.1:${server.port}/v1/chat/completions`, { method: 'POST', headers: anna.headers({ 'content-type': 'application/json' }),
      body: JSON.stringify({ model: 'asked', messages: [{ role: 'user', content: 'find cats' }] }) });
    assert.equal((await r.json()).choices[0].message.content, 'I cannot.');
    const output = JSON.parse(s.asked()[1].messages.at(-1).content);
    assert.deepEqual([output.type, output.message], ['error', 'job cannot be used here']);
    assert.equal(worker.asked.length, 0);
  });
});

describe('the process that began it is killed', () => {
  let doomed, carla;
  beforeEach(async () => { [doomed, carla] = [await serve(), null]; carla = new Person(doomed, 'carla'); });
  const here = () => new Person(server, 'carla');

  test('when its turn has ended', async () => {
    const { id, operation } = await begun({ by: carla });
    await killed(doomed);
    play({ text: 'Two cats.' });
    assert.equal((await complete(operation)).status, 200);
    await becomes(id, said(found, 'Two cats.'), here());
  });

  for (const when of ['before it completes', 'after it has completed']) {
    test(`while the model goes on, ${when}`, async () => {
      const id = await carla.made();
      play({ text: 'Let me see. ', tools: [job('c1', 'cats')] }, { text: 'too late', first: ms(120000) });
      const hearing = carla.hear(id, 'find cats').catch(() => {});
      await eventually(() => assert.equal(s.provider.requests().length, 2), ms(10000));
      await sleep(ms(300));                                   // the journal has it
      const [{ id: operation }] = worker.asked;
      if (when.startsWith('before')) await killed(doomed);
      play({ text: 'Two cats.' });
      assert.equal((await complete(operation)).status, 200);
      if (when.startsWith('after')) await killed(doomed);
      await hearing;
      await becomes(id, [['user', 'find cats'], ['assistant', 'Let me see. '], ['tool', found], ['assistant', 'Two cats.']], here());
      isWellFormed(s.asked().at(-1).messages);
    });
  }

  test('while the service is asked', async () => {
    const id = await carla.made();
    play({ text: 'Let me see. ', tools: [job('c1', 'cats', 'never')] });
    const hearing = carla.hear(id, 'find cats').catch(() => {});
    await asked(1);
    await sleep(ms(300));
    await killed(doomed);
    await hearing;
    play({ text: 'Two cats.' });
    assert.equal((await complete(worker.asked[0].id)).status, 200);
    await becomes(id, [['user', 'find cats'], ['assistant', 'Let me see. '], ['tool', found], ['assistant', 'Two cats.']], here());
  });
});

describe('whoever completes one', () => {
  test('shows a key', async () => {
    const { operation } = await begun();
    for (const key of ['service-2', 'service-11', 'service', '', null])
      assert.deepEqual(await complete(operation, FOUND, { key }), { status: 401, body: { detail: 'Invalid API key' } }, `${key}`);
  });

  test('names one that is there', async () => {
    for (const id of ['op-1', '00000000-0000-4000-8000-000000000000', encodeURIComponent("' OR 1=1 --")])
      assert.deepEqual(await complete(id), { status: 404, body: { detail: `Operation ${decodeURIComponent(id)} not found` } });
  });

  test('says how it ended', async () => {
    const { id, operation, output } = await begun();
    const refused = async (body, name) => {
      const r = await complete(operation, body);
      assert.deepEqual([r.status, r.body.hint, r.body.detail?.[0].loc], [422, 'Ensure the request matches the API schema.', name ? ['body', name] : ['body']], JSON.stringify(r));
    };
    for (const body of ['[]', '"x"', '{', '{"success": true, "result": "a\\u0000b"}']) await refused(body);
    for (const success of [undefined, null, 1, 'true', []]) await refused({ success, result: 'x' }, 'success');
    for (const error of [1, {}, [], true]) await refused({ success: false, error }, 'error');
    assert.deepEqual(await shown(id), said(JSON.stringify(output)), 'nothing of that was taken');
  });

  for (const [what, body, want] of [
    ['words', { success: true, result: 'two "cats" 猫' }, 'two "cats" 猫'],
    ['a list', { success: true, result: ['a', 1, null] }, '["a",1,null]'],
    ['nothing', { success: true }, '{}'],
    ['null', { success: true, result: null, error: null }, '{}'],
    ['no reason', { success: false }, '{"type":"error","message":"An error occurred while executing job","error":"The service did not say why.","details":null}'],
    ['more than is asked for', { success: true, result: 'x', error: 'y', more: 1 }, 'x'],
  ]) {
    test(`says ${what}`, async () => {
      const { id, operation } = await begun();
      play({ text: 'So it is.' });
      assert.equal((await complete(operation, body)).status, 200);
      await becomes(id, said(want, 'So it is.'));
    });
  }
});

for (const [version, name] of Object.entries({ '5.0.53': 'ai5', newest: 'ai' })) {
  test(`ai ${version} reads it, and what it came to when it comes back`, async () => {
    const ai = await import(name);
    const transport = new ai.DefaultChatTransport({ api: `http://127.0.0.1:${server.port}/api/chat`, headers: anna.headers() });
    const read = async (stream) => {
      let message;
      for await (const m of ai.readUIMessageStream({ stream, onError: (e) => assert.fail(e) })) message = m;
      return message;
    };
    const chatId = `operations-${version}`;
    const messages = [{ id: 'u1', role: 'user', parts: [{ type: 'text', text: 'find cats' }] }];
    play({ text: 'Let me see. ', tools: [job('c1', 'cats')] }, { text: 'It has begun.' });
    const first = await read(await transport.sendMessages({ chatId, messages, trigger: 'submit-message' }));
    const part = first.parts.find((p) => p.type === 'tool-job');
    assert.equal(part.state, 'output-available');
    assert.equal(JSON.parse(part.output).type, 'operation_started');
    play({ tokens: ['Two ', 'cats.'], gap: 700 });
    assert.equal((await complete(worker.asked[0].id)).status, 200);
    const stream = await eventually(async () => {
      const r = await transport.reconnectToStream({ chatId });
      assert.ok(r);
      return r;
    }, ms(10000));
    const m = await read(stream);
    assert.equal(m.parts.filter((p) => p.type === 'text').map((p) => p.text).join(''), 'Two cats.');
    assert.deepEqual((await shown(chatId)).slice(2), said(found, 'Two cats.').slice(2));
  });
}
