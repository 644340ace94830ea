// docs/miniprogram/runnel.js and the service behind it, as a phone sees them:
// real HTTP, chunks of any cut, lost connections, the background, tokens that run out.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import { asked, begin, clientOf, FAMILY, good, HELLO, MIXED, Seen } from './lib/answers.mjs';
import { slow } from './lib/raw.mjs';
import { eventually, ms } from './lib/server.mjs';
import { cuts, Wx } from './lib/wx.mjs';
import { startService } from './lib/gate.mjs';

describe('a conversation', () => {
  let service, wx, client, n = 0;
  const another = (more = {}, code) => {
    wx = new Wx(code);
    client = clientOf(service.base, wx, more);
  };
  const newChat = async (c = client) => (await c.messagesByContext('task', `t${process.pid}-${++n}`)).chatId;
  const said = async (chatId, c = client) => (await c.latest(chatId)).items.map((m) => `${m.role}: ${m.content}`);
  const pair = (text) => [`user: ${text}`, `assistant: ${text}`];
  // The requests that asked, without those that read on.
  const questions = () => wx.asked('POST', /\/chat\/stream$/);

  for (const [name, { step, ...options }] of Object.entries({ 'as it is': { step: 1 }, 'without the wrapper, in ASCII': { step: 7, wrap: false, ascii: true } }))
    describe(name, () => {
      before(async () => { service = await startService(options); another(); });
      after(async () => { wx.close(); await service.close(); });

      test('login, and who is logged in stays so', async () => {
        const session = await client.login();
        assert.deepEqual([typeof session.token, typeof session.refreshToken, session.status], ['string', 'string', 'approved']);
        assert.ok(session.expiresIn > 0);
        assert.equal(wx.logins, 1);
        await clientOf(service.base, wx).history();
        assert.equal(wx.logins, 1, 'out of the storage');
      });

      test('messages, pages and history', async () => {
        const chatId = await newChat();
        const contextId = `t${process.pid}-${n}`;
        for (let i = 0; i < 3; i++) await asked(client, chatId, `question ${i}`);
        const page = await client.messagesByContext('task', contextId, 2, 4);
        assert.deepEqual([page.chatId, page.total, page.page, page.pageSize, page.items.length], [chatId, 6, 2, 4, 2]);
        assert.deepEqual((await client.messages(chatId, 1, 3)).items.map((m) => m.content), ['question 0', 'question 0', 'question 1']);
        const [newest] = (await client.history(1, 1)).items;
        assert.equal(newest.id, chatId);
        assert.equal(newest.title, 'question 0');
      });

      test('a question without a stream', async () => {
        const chatId = await newChat();
        const { userMessage, aiReply } = await client.send(chatId, ` ${MIXED} `);
        assert.equal(userMessage.content, MIXED);
        assert.equal(aiReply.content, MIXED);
        assert.deepEqual(await said(chatId), pair(MIXED));
      });

      test('a stream; what is said last is what is kept', async () => {
        const chatId = await newChat();
        const seen = good(await asked(client, chatId, MIXED), MIXED);
        const { items } = await client.latest(chatId);
        assert.equal(items.at(-1).id, seen.end.messageId);
        assert.equal(items.at(-1).createdAt, seen.end.createdAt);
        assert.equal(seen.end.stopped, false);
        assert.deepEqual(await said(chatId), pair(MIXED));
      });

      test('the page it is asked from goes along', async () => {
        const chatId = await newChat();
        good(await asked(client, chatId, 'x', { sourcePage: 'tasks', pageContext: { contextId: '7', open: true } }), 'x');
        assert.equal(JSON.stringify(questions().at(-1).data), JSON.stringify({ chatId, content: 'x', sourcePage: 'tasks', pageContext: { contextId: '7', open: true } }));
      });

      test(`a connection that breaks at every byte of an answer${step > 1 ? `, in steps of ${step}` : ''}`, async () => {
        const text = `${HELLO} ${FAMILY} ok`;
        wx.taken = [];
        good(await asked(client, await newChat(), text), text);
        const total = Buffer.concat(wx.taken).length;
        wx.taken = null;
        assert.ok(total > 300);
        const reads = [];
        for (let at = -1; at <= total; at += Math.ceil(step * slow)) {
          wx.cut = [cuts.whole, cuts.each(1), cuts.odd(at)][(at + 3) % 3];
          const chatId = await newChat();
          const from = wx.requests.length;
          wx.breakAfter(at, at % 5 ? Infinity : at);
          good(await asked(client, chatId, text), text);
          reads.push(wx.requests.length - from);
          if (at % 10 === 0) assert.deepEqual(await said(chatId), pair(text), 'asked once, kept once');
        }
        assert.ok(reads.slice(0, -2).every((r) => r >= 2), 'each was broken');
      });

      test('the last word was lost', async () => {
        wx.taken = [];
        good(await asked(client, await newChat(), MIXED), MIXED);
        const at = Buffer.concat(wx.taken).indexOf('event: done');
        assert.ok(at > 0);
        const chatId = await newChat();
        wx.breakAfter(at, 0, 1);
        good(await asked(client, chatId, MIXED), MIXED);
        assert.ok(wx.requests.at(-1).header['Last-Event-ID']);
        assert.deepEqual(await said(chatId), pair(MIXED));
      });

      test('blank and foreign questions are refused before the stream', async () => {
        const chatId = await newChat();
        for (const blank of ['', ' \n ']) {
          const { error } = await asked(client, chatId, blank);
          assert.equal(error.status, 422);
          assert.equal(error.message, '\u6d88\u606f\u5185\u5bb9\u4e0d\u80fd\u4e3a\u7a7a');
          await assert.rejects(client.send(chatId, blank), { status: 422 });
        }
        const theirs = new Wx('bob');
        const bob = clientOf(service.base, theirs);
        const { error } = await asked(bob, chatId, 'x');
        assert.equal(error.status, 403);
        await assert.rejects(bob.messages(chatId), { status: 403 });
        await assert.rejects(client.messages(chatId, 1, 1000), { status: 422 });
        assert.deepEqual(await said(chatId), []);
        theirs.close();
      });
    });

  describe('who asks', () => {
    before(async () => { service = await startService(); });
    after(() => service.close());
    const logins = () => wx.asked('POST', /login$/).length;
    const refreshes = () => wx.asked('POST', /refresh$/).length;

    test('nobody: logged in first, once for all that wait', async () => {
      another();
      await Promise.all([client.history(), client.history(), client.messagesByContext('task', 'who')]);
      assert.equal(wx.logins, 1);
      assert.equal(logins(), 1);
      wx.close();
    });

    test('a token that has run out is renewed, once for all that were refused', async () => {
      another();
      const chatId = await newChat();
      service.forgetTokens();
      const [seen] = await Promise.all([asked(client, chatId, HELLO), client.history(), client.history()]);
      good(seen, HELLO);
      assert.deepEqual([logins(), refreshes()], [1, 1]);
      assert.equal(new Set(questions().map((q) => q.header['Idempotency-Key'])).size, 1);
      assert.deepEqual(await said(chatId), pair(HELLO));
      assert.equal(wx.storage.get('runnel.token'), client.token);
      wx.close();
    });

    test('when that is not known either, one silent login', async () => {
      another();
      const chatId = await newChat();
      service.forgetTokens();
      service.forgetRefreshTokens();
      good(await asked(client, chatId, HELLO), HELLO);
      assert.deepEqual([logins(), refreshes()], [2, 1]);
      wx.close();
    });

    test('a server that refuses every token is asked twice, no more', async () => {
      another();
      const chatId = await newChat();
      service.knowsTokens = false;
      service.forgetTokens();
      const { error } = await asked(client, chatId, 'x');
      assert.equal(error.status, 401);
      assert.equal(questions().length, 2);
      service.knowsTokens = true;
      wx.close();
    });

    test('WeChat that knows nobody, and a network that is away', async () => {
      another({ attempts: 2 }, '');
      const { error } = await asked(client, 1, 'x');
      assert.deepEqual([error.status, error.code], [0, 'login']);
      await assert.rejects(client.history(), { status: 0, code: 'login' });
      another();
      wx.hide();
      await assert.rejects(client.history(), { status: 0, code: 'interrupted' });
      wx.close();
    });
  });

  describe('an answer that takes its time', () => {
    before(async () => { service = await startService({ tokensPerSecond: 50 / ms(1) }); });
    after(() => service.close());
    const LONG = 'word '.repeat(40).trim();

    test('stop: the part is kept, and said so', async () => {
      another();
      const chatId = await newChat();
      const seen = begin(client, chatId, LONG);
      await seen.until(() => seen.tokens.length > 3);
      assert.equal(await seen.answer.stop(), true);
      await seen.until();
      assert.equal(seen.end.stopped, true);
      assert.equal(seen.end.text, seen.text);
      assert.ok(seen.text.length > 10 && seen.text.length < LONG.length && LONG.startsWith(seen.text));
      assert.deepEqual(await said(chatId), [`user: ${LONG}`, `assistant: ${seen.text}`]);
      assert.equal(await client.stop(chatId), false, 'nothing runs any more');
      assert.equal(await seen.answer.stop(), false);
      wx.close();
    });

    test('stop while the connection is away', async () => {
      another({ pauses: [ms(60000)] });
      const chatId = await newChat();
      const seen = begin(client, chatId, LONG);
      await seen.until(() => seen.tokens.length > 3);
      wx.cutNow();
      await seen.until(() => seen.states.at(-1) === 'waiting');
      assert.equal(await seen.answer.stop(), true);
      await seen.until();
      assert.equal(seen.end.stopped, true);
      assert.equal(seen.end.text, seen.text);
      wx.close();
    });

    test('the program goes to the background and comes back', async () => {
      another({ pauses: [ms(20), ms(60000)] });
      const chatId = await newChat();
      const seen = begin(client, chatId, LONG);
      await seen.until(() => seen.tokens.length > 3);
      wx.hide();
      await seen.until(() => seen.states.filter((s) => s === 'waiting').length === 2);
      assert.equal(seen.error, null);
      wx.show();
      assert.equal(seen.answer.resume(), true);
      good(await seen.until(), LONG);
      assert.equal(questions().length, 1);
      wx.close();
    });

    test('it stays there until the answer is made, then until it was given up', async () => {
      another({ attempts: 2 });
      const chatId = await newChat();
      const seen = begin(client, chatId, LONG);
      await seen.until(() => seen.tokens.length > 3);
      wx.hide();
      await seen.until();
      assert.deepEqual([seen.error.status, seen.error.code], [0, 'interrupted']);
      await sleep(ms(1500));
      wx.show();
      assert.equal(seen.resume(), true);
      good(await seen.until(), LONG);
      assert.deepEqual(await said(chatId), pair(LONG));
      wx.close();
    });

    test('a phone that ends every request after a moment', async () => {
      another();
      const chatId = await newChat();
      wx.longest = ms(120);
      const seen = good(await asked(client, chatId, LONG), LONG);
      assert.ok(seen.states.filter((s) => s === 'waiting').length >= 3, `${seen.states}`);
      assert.equal(questions().length, 1);
      wx.close();
    });

    test('a page that was opened anew joins the answer that is being made', async () => {
      another();
      const chatId = await newChat();
      const first = begin(client, chatId, LONG);
      await first.until(() => first.tokens.length > 5);
      first.answer.close();
      const second = new Seen((on) => client.attach(chatId, on));
      await second.until(() => second.tokens.length > 10);
      wx.cutNow();
      good(await second.until(), LONG);
      const third = new Seen((on) => client.attach(chatId, on));
      await third.until(() => third.states.includes('idle'));
      assert.deepEqual([third.text, third.end, third.error], ['', null, null]);
      wx.close();
    });

    test('a token that runs out in the middle of an answer', async () => {
      another();
      const chatId = await newChat();
      const seen = begin(client, chatId, LONG);
      await seen.until(() => seen.tokens.length > 3);
      service.forgetTokens();
      wx.cutNow();
      good(await seen.until(), LONG);
      assert.equal(questions().length, 1);
      wx.close();
    });

    test('two answers at once are not mixed', async () => {
      another();
      const other = LONG.replaceAll('word', 'ward');
      const [a, b] = [await newChat(), await newChat()];
      wx.cut = cuts.odd(3);
      const both = [begin(client, a, LONG), begin(client, b, other)];
      await both[1].until(() => both[1].tokens.length > 8);
      wx.cutNow();
      good(await both[0].until(), LONG);
      good(await both[1].until(), other);
      wx.close();
    });

    test('an answer that the server has forgotten comes out of the messages', async () => {
      another({ pauses: [ms(60000)] });
      const chatId = await newChat();
      const seen = begin(client, chatId, LONG);
      await seen.until(() => seen.tokens.length > 3);
      wx.cutNow();
      await eventually(async () => assert.equal((await client.messages(chatId, 1, 1)).total, 2), ms(5000));
      await service.forgetAnswers();
      seen.answer.resume();
      good(await seen.until(), LONG);
      wx.close();
    });
  });
});
