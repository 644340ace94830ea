// POST /api/chat with the `ai` SDK as people install it: of each version one that refuses a stream
// for a member it does not know, the newest, and useChat() in a page.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, beforeEach, describe, test } from 'node:test';
import { JSDOM } from 'jsdom';
import { Person, stage } from './lib/session.mjs';
import { eventually, ms } from './lib/server.mjs';

const HELLO = '你好，世界 👩‍👩‍👧';

let s, server, anna, echo;
before(async () => {
  s = await stage();
  server = await s.serve();
  anna = new Person(server);
  echo = new Person(await s.serve({ session: { model: 'slow' }, pace: 30 }));
});
after(() => s?.remove());
beforeEach(() => s.forget());

let chats = 0;
const user = (text, id = `u${++chats}`) => ({ id, role: 'user', parts: [{ type: 'text', text }] });
const texts = (m) => m.parts.filter((p) => p.type === 'text').map((p) => p.text).join('');
const thoughts = (m) => m.parts.filter((p) => p.type === 'reasoning').map((p) => p.text).join('');
const api = (p) => `http://127.0.0.1:${p.server.port}/api/chat`;
const WORDS = Array.from({ length: 30 }, (_, i) => `word${i}`).join(' ');

const VERSIONS = { '5.0.53': 'ai5', '6.0.50': 'ai6', '7.0.10': 'ai7', newest: 'ai' };
for (const [version, name] of Object.entries(VERSIONS)) {
  describe(`the transport of ai ${version}`, () => {
    let ai;
    before(async () => { ai = await import(name); });
    const transport = (p, more) => new ai.DefaultChatTransport({ api: api(p), headers: p.headers(), ...more });
    const send = (p, messages, { chatId = `chat-${++chats}`, trigger = 'submit-message', more, ...rest } = {}) =>
      transport(p, more).sendMessages({ chatId, messages, trigger, ...rest });

    // The last state of the message, as the SDK reads it; and what it held against the stream.
    async function read(stream) {
      const seen = { errors: [], message: null };
      for await (const m of ai.readUIMessageStream({ stream, onError: (e) => seen.errors.push(e) })) seen.message = m;
      return seen;
    }
    const well = async (stream) => {
      const { errors, message } = await read(stream);
      assert.deepEqual(errors.map(String), []);
      return message;
    };

    test('words and thoughts', async () => {
      s.provider.script({ answer: { text: HELLO, reasoning: 'hm', usage: { input: 3, output: 2 } } });
      const m = await well(await send(anna, [user('a')]));
      assert.match(m.id, /^msg_\d+$/);
      assert.deepEqual([m.role, texts(m), thoughts(m)], ['assistant', HELLO, 'hm']);
      assert.ok(m.parts.filter((p) => p.state).every((p) => p.state === 'done'));
    });
    test('an error, in the words for it', async () => {
      s.provider.script({ answer: { text: 'half', end: false, finish: null } });
      const { errors, message } = await read(await send(anna, [user('a')]));
      assert.deepEqual([errors.map((e) => e.message), texts(message)], [['the model service broke off its answer'], 'half']);
    });
    test('a refusal', async () => {
      await assert.rejects(send(anna, [{ id: 'a', role: 'assistant', parts: [{ type: 'text', text: 'x' }] }]), /the last message must be the user's/);
      await assert.rejects(send({ server, headers: () => ({}) }, [user('a')]), /"error":/);
    });
    test('coming back', async () => {
      const chatId = `chat-${++chats}`;
      assert.equal(await transport(echo).reconnectToStream({ chatId }), null);
      const first = (await send(echo, [user(WORDS)], { chatId })).getReader();
      for (let i = 0; i < 5; i++) await first.read();
      await first.cancel();
      const m = await well(await transport(echo).reconnectToStream({ chatId }));
      assert.equal(texts(m), WORDS);
      assert.equal(await transport(echo).reconnectToStream({ chatId }), null);
    });
    test('stopping', async () => {
      const chatId = `chat-${++chats}`;
      const reading = read(await send(echo, [user('word '.repeat(500))], { chatId }));
      await eventually(async () => assert.ok((await echo.show(chatId)).active_stream), ms(5000));
      await sleep(ms(200));
      assert.deepEqual(await echo.get(`/${chatId}/cancel`, { method: 'POST' }), { cancelled: true, reason: null });
      const { errors, message } = await reading;
      assert.deepEqual(errors, []);
      assert.deepEqual((await echo.said(chatId))[1], ['assistant', `${texts(message)}\n\n[interrupted]`]);
    });
    test('a whole conversation is what the client says it is', async () => {
      const chatId = `chat-${++chats}`;
      const messages = [user('one')];
      for (const next of ['two', 'three', null]) {
        messages.push(await well(await send(anna, messages, { chatId })));
        if (next) messages.push(user(next));
      }
      assert.deepEqual(s.asked()[2].messages.map((m) => m.content), ['one', 'one', 'two', 'two', 'three']);
      assert.deepEqual((await anna.said(chatId)).map(([, c]) => c), ['one', 'one', 'two', 'two', 'three', 'three']);
    });
    test('only the last message, where the page sends that', async () => {
      const chatId = `chat-${++chats}`;
      for (const [key, text] of [['message', 'one'], ['messages', 'two'], ['message', 'three']]) {
        const more = { prepareSendMessagesRequest: ({ id, messages }) => ({ body: { id, [key]: key === 'message' ? messages.at(-1) : [messages.at(-1)] } }) };
        await well(await send(anna, [user(text)], { chatId, more }));
      }
      assert.deepEqual(s.asked()[2].messages.map((m) => m.content), ['one', 'one', 'two', 'two', 'three']);
    });
    test('images, and parts that nobody knows', async () => {
      const url = 'data:image/png;base64,iVBORw0KGgo=';
      const question = { id: 'u', role: 'user', parts: [{ type: 'text', text: 'what is it' }, { type: 'file', mediaType: 'image/png', url }, { type: 'data-mood', data: { a: 1 } }, { type: 'step-start' },
        { type: 'file', mediaType: 'application/pdf', url: 'http://a/b.pdf' }] };
      s.provider.script({ answer: { text: 'a dot' } });
      assert.equal(texts(await well(await send(anna, [question]))), 'a dot');
      assert.deepEqual(s.asked()[0].messages.at(-1).content, [{ type: 'text', text: 'what is it' }, { type: 'image_url', image_url: { url } }]);
    });
    test('an answer that is asked for anew takes the place of the one before', async () => {
      const chatId = `chat-${++chats}`;
      s.provider.script({ answer: { text: 'bad' }, times: 1 });
      const messages = [user('one')];
      const bad = await well(await send(anna, messages, { chatId }));
      s.provider.script({ answer: { text: 'good' }, times: 1 });
      const good = await well(await send(anna, messages, { chatId, trigger: 'regenerate-message', messageId: bad.id }));
      assert.notEqual(good.id, bad.id);
      assert.deepEqual(await anna.said(chatId), [['user', 'one'], ['assistant', 'good']]);
      assert.deepEqual(s.asked()[1].messages.map((m) => m.content), ['one']);
      const more = [...messages, good, user('two', 'edited')];
      await well(await send(anna, more, { chatId }));
      await well(await send(anna, [...messages, good, user('two and a half', 'edited')], { chatId, messageId: 'edited' }));
      assert.deepEqual((await anna.said(chatId)).map(([, c]) => c), ['one', 'good', 'two and a half', 'two and a half']);
      assert.deepEqual((await s.db.sql("SELECT count(*) FROM runnel.message m JOIN runnel.chat c ON c.id = m.chat WHERE m.more ? 'replaced' AND c.more->>'id' = '" + chatId + "'")), [['4']]);
    });
    test('tools that are run here', async () => {
      const own = new Person(await s.serve({ tools: ['calculator'] })), chatId = `chat-${++chats}`;
      s.provider.script({ answer: { text: 'Let me see.', finish: 'tools', tools: [{ id: 'c1', name: 'calculator', arguments: '{"expression": "6*7"}' }, { id: 'c2', name: 'calculator', arguments: '{"expr' }] }, times: 1 });
      s.provider.script({ answer: { text: 'It is 42.' }, times: 1 });
      const m = await well(await send(own, [user('how much')], { chatId }));
      const tools = m.parts.filter((p) => p.type === 'tool-calculator');
      assert.deepEqual(tools.map((t) => t.state), ['output-available', 'output-error']);
      assert.deepEqual(tools[0].input, { expression: '6*7' });
      assert.ok(tools[0].output.includes('42') && tools[1].errorText);
      assert.deepEqual(m.parts.filter((p) => p.type === 'text').map((p) => p.text), ['Let me see.', 'It is 42.']);
      assert.equal(m.parts.filter((p) => p.type === 'step-start').length, 2);
      s.provider.script({ answer: { text: 'ok' }, times: 1 });
      assert.equal(texts(await well(await send(own, [user('how much'), m, user('thanks')], { chatId }))), 'ok');
    });
    test('chats are their owner\'s, though two call theirs alike', async () => {
      const chatId = `chat-${++chats}`, boris = new Person(server, 'boris');
      await well(await send(anna, [user('a secret')], { chatId }));
      await well(await send(boris, [user('hello')], { chatId }));
      assert.deepEqual(await boris.said(chatId), [['user', 'hello'], ['assistant', 'hello']]);
      const own = await anna.made();
      await assert.rejects(send(boris, [user('x')], { chatId: own }), /not found/);
    });
    test('without a database', async () => {
      const open = new Person(await s.serve({ kept: false, open: true, session: { prompt: 'be brief' } }), null);
      assert.equal(texts(await well(await send(open, [user('a')]))), 'a');
      assert.deepEqual(s.asked()[0].messages, [{ role: 'system', content: 'be brief' }, { role: 'user', content: 'a' }]);
      assert.equal(await transport(open).reconnectToStream({ chatId: 'x' }), null);
    });
  });
}

// ---- a page ----------------------------------------------------------------------------------

const dom = new JSDOM('<!doctype html><div id="root"></div>', { url: 'http://127.0.0.1/' });
Object.assign(globalThis, { window: dom.window, document: dom.window.document, IS_REACT_ACT_ENVIRONMENT: false });

for (const name of ['react5', 'react6', 'react7']) {
  describe(`useChat of ${name}`, () => {
    let React, createRoot, useChat, ai;
    before(async () => {
      React = (await import('react')).default;
      ({ createRoot } = await import('react-dom/client'));
      ({ useChat } = await import(name));
      ai = await import({ react5: 'ai5', react6: 'ai6', react7: 'ai7' }[name]);
    });

    // What a page sees of the hook, and a way to be rid of it.
    async function page(p, options = {}) {
      const seen = { errors: [], statuses: [] };
      const transport = new ai.DefaultChatTransport({ api: api(p), headers: p.headers() });
      function Chat() {
        seen.chat = useChat({ transport, onError: (e) => seen.errors.push(e.message), ...options });
        if (seen.statuses.at(-1) !== seen.chat.status) seen.statuses.push(seen.chat.status);
        return null;
      }
      const root = createRoot(document.createElement('div'));
      root.render(React.createElement(Chat));
      await eventually(() => assert.ok(seen.chat), ms(5000));
      seen.ready = () => eventually(() => assert.ok(['ready', 'error'].includes(seen.chat.status) && seen.statuses.length > 1, seen.chat.status), ms(10000));
      seen.texts = () => seen.chat.messages.map((m) => [m.role, texts(m)]);
      seen.close = () => root.unmount();
      return seen;
    }

    test('asks, is answered, asks again, and once more for the same', async () => {
      const c = await page(anna, { id: `page-${++chats}` });
      s.provider.script({ answer: { text: HELLO, reasoning: 'hm' }, times: 1 });
      await c.chat.sendMessage({ text: 'one' });
      await c.ready();
      assert.deepEqual(c.texts(), [['user', 'one'], ['assistant', HELLO]]);
      assert.equal(thoughts(c.chat.messages[1]), 'hm');
      await c.chat.sendMessage({ text: 'two' });
      await c.ready();
      s.provider.script({ answer: { text: 'other' }, times: 1 });
      await c.chat.regenerate();
      await eventually(() => assert.deepEqual(c.texts(), [['user', 'one'], ['assistant', HELLO], ['user', 'two'], ['assistant', 'other']]), ms(5000));
      assert.deepEqual(c.errors, []);
      assert.deepEqual((await anna.said(c.chat.id)).map(([, t]) => t), ['one', HELLO, 'two', 'other']);
      c.close();
    });
    test('is told of an error', async () => {
      const c = await page(anna, { id: `page-${++chats}` });
      s.provider.script({ answer: { text: 'half', end: false, finish: null } });
      await c.chat.sendMessage({ text: 'one' });
      await eventually(() => assert.equal(c.chat.status, 'error'), ms(5000));
      assert.deepEqual(c.errors, ['the model service broke off its answer']);
      c.close();
    });
    test('stops, and goes on with something else', async () => {
      const c = await page(echo, { id: `page-${++chats}` });
      const asking = c.chat.sendMessage({ text: 'word '.repeat(300) });
      await eventually(() => assert.ok(c.texts()[1]?.[1]), ms(10000));
      await c.chat.stop();
      await asking;
      await c.ready();
      await c.chat.sendMessage({ text: 'short' });
      await eventually(() => assert.deepEqual(c.texts().at(-1), ['assistant', 'short']), ms(5000));
      assert.deepEqual(c.errors, []);
      await eventually(async () => assert.match((await echo.said(c.chat.id))[1][1], /\[interrupted\]$/), ms(5000));
      c.close();
    });
    test('comes back after the page was closed', async () => {
      const id = `page-${++chats}`;
      const c = await page(echo, { id });
      c.chat.sendMessage({ text: WORDS });
      await eventually(() => assert.ok(c.texts()[1]?.[1]), ms(10000));
      const before = c.chat.messages[0];
      c.close();
      const again = await page(echo, { id, messages: [before], resume: true });
      await eventually(() => assert.deepEqual(again.texts(), [['user', WORDS], ['assistant', WORDS]]), ms(10000));
      assert.deepEqual(again.errors, []);
      again.close();
    });
  });
}
