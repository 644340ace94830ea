// docs/miniprogram/pages/chat as WeChat runs it, with a service behind it, and whether all of the
// mini-program can be pasted: its language, its names, its markup.
import assert from 'node:assert/strict';
import { parse } from 'acorn';
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import { HELLO } from './lib/answers.mjs';
import { eventually, ms } from './lib/server.mjs';
import { home, program, source, Wx } from './lib/wx.mjs';
import { startService } from './lib/gate.mjs';

const LONG = 'word '.repeat(40).trim();

// What WeChat makes of Page({...}): data that is only ever copied, and handlers.
class Opened {
  constructor(wx, query) {
    let page;
    program({ wx, Page: (p) => { page = p; } })('pages/chat/chat.js');
    Object.assign(this, page, { wx, data: JSON.parse(JSON.stringify(page.data)) });
    this.onLoad(query);
    this.onShow();
  }

  setData(changes) {
    for (const [name, value] of Object.entries(changes)) {
      assert.ok(name in this.data, name);
      assert.notEqual(value, undefined, name);
    }
    Object.assign(this.data, JSON.parse(JSON.stringify(changes)));
  }

  get said() { return this.data.messages.map((m) => `${m.role}: ${m.content}`); }
  type(value) { this.onDraft({ detail: { value } }); }
  until(look, timeout = ms(10000)) { return eventually(() => assert.ok(look(this.data), `${look}: ${JSON.stringify(this.data).slice(0, 600)}`), timeout); }
}

describe('the page', () => {
  let service, wx, n = 0;
  const pages = [];
  before(async () => { service = await startService({ tokensPerSecond: 50 / ms(1) }); });
  after(async () => {
    for (const page of pages) page.onUnload();
    await service.close();
  });

  // Opened about a thing of its own, by somebody who was here before.
  async function open(query = { contextType: 'task', contextId: `p${process.pid}-${++n}` }) {
    const storage = wx?.storage ?? new Map();
    wx = new Wx();
    Object.assign(wx, { base: service.base, storage });
    const page = new Opened(wx, query);
    pages.push(page);
    await eventually(() => assert.ok(page.opened), ms(5000));
    await sleep(ms(30));
    return page;
  }

  test('a question, its answer bit by bit, and both when it is opened again', async () => {
    const page = await open();
    assert.deepEqual(page.said, []);
    assert.equal(page.data.answering, false);
    page.type(`  ${HELLO} ok `);
    page.ask();
    assert.equal(page.data.draft, '');
    await page.until((d) => d.partial.length > 1);
    assert.equal(page.data.answering, true);
    await page.until((d) => !d.answering);
    assert.deepEqual(page.said, [`user: ${HELLO} ok`, `assistant: ${HELLO} ok`]);
    assert.equal(page.data.partial, '');
    const again = await open({ chatId: String(page.chatId) });
    assert.deepEqual(again.said, page.said);
    assert.equal(again.data.trouble, '');
  });

  test('blanks are no question, and one answer is made at a time', async () => {
    const page = await open();
    page.type('  ');
    page.ask();
    page.type(LONG);
    page.ask();
    page.type('too early');
    page.ask();
    assert.equal(page.data.draft, 'too early');
    await page.until((d) => !d.answering);
    assert.equal(wx.asked('POST', /stream$/).length, 1);
  });

  test('stop', async () => {
    const page = await open();
    page.type(LONG);
    page.ask();
    await page.until((d) => d.partial.length > 10);
    page.stop();
    await page.until((d) => !d.answering);
    const last = page.data.messages.at(-1);
    assert.equal(last.stopped, true);
    assert.ok(LONG.startsWith(last.content) && last.content.length < LONG.length);
  });

  test('older messages come in front, down to the first', async () => {
    const page = await open();
    for (let i = 1; i <= 52; i++) await service.put(page.chatId, i % 2 ? 'user' : 'assistant', `m${i}`);
    const again = await open({ chatId: page.chatId });
    const shown = () => again.data.messages.map((m) => m.content);
    const numbers = (from) => Array.from({ length: 53 - from }, (_, i) => `m${from + i}`);
    assert.deepEqual(shown(), numbers(41));
    for (const from of [21, 1]) {
      assert.equal(again.data.hasOlder, true);
      const anchor = again.data.messages[0].id;
      again.older();
      again.older();                          // who pulls twice gets one page
      await again.until((d) => d.into === `m${anchor}`);
      await sleep(ms(30));
      assert.deepEqual(shown(), numbers(from));
    }
    assert.equal(again.data.hasOlder, false);
  });

  test('the background, and back', async () => {
    const page = await open();
    page.type(LONG);
    page.ask();
    await page.until((d) => d.partial.length > 10);
    wx.hide();
    await page.until((d) => d.waiting);
    wx.show();
    page.onShow();
    await page.until((d) => !d.answering);
    assert.deepEqual(page.said, [`user: ${LONG}`, `assistant: ${LONG}`]);
    assert.equal(page.data.waiting, false);
    assert.equal(wx.asked('POST', /stream$/).length, 1);
  });

  test('left in the middle and opened anew: the answer is there from its beginning', async () => {
    const page = await open();
    page.type(LONG);
    page.ask();
    await page.until((d) => d.partial.length > 10);
    page.onUnload();
    const again = await open({ chatId: page.chatId });
    await again.until((d) => d.answering && d.partial.length > 10);
    assert.deepEqual(again.said, [`user: ${LONG}`]);
    await again.until((d) => !d.answering);
    assert.deepEqual(again.said, [`user: ${LONG}`, `assistant: ${LONG}`]);
  });

  test('a refusal is shown; trying again asks the same question', async () => {
    const page = await open();
    service.retryAfter = 3;
    page.type(HELLO);
    page.ask();
    await page.until((d) => d.trouble);
    assert.match(page.data.trouble, /3/);
    assert.equal(page.data.answering, false);
    service.retryAfter = 0;
    page.retry();
    await page.until((d) => d.messages.length === 2 && !d.answering);
    assert.equal(page.data.trouble, '');
    const keys = wx.asked('POST', /stream$/).map((q) => q.header['Idempotency-Key']);
    assert.equal(new Set(keys).size, 1);
    assert.deepEqual((await open({ chatId: page.chatId })).said, page.said);
  });

  test('without a network it says so, and opens when it is tried again', async () => {
    wx = new Wx();
    wx.base = service.base;
    wx.hide();
    const page = new Opened(wx, { contextType: 'task', contextId: `p${process.pid}-${++n}` });
    pages.push(page);
    await page.until((d) => d.trouble);
    wx.show();
    page.retry();
    await eventually(() => assert.ok(page.opened));
    assert.equal(page.data.trouble, '');
  });
});

describe('pasting it', () => {
  const scripts = ['runnel.js', 'pages/chat/chat.js'];

  for (const path of scripts)
    test(`${path} is ES2017`, () => {
      parse(source(path), { ecmaVersion: 8, sourceType: 'script' });
      assert.throws(() => parse(`${source(path)}\n({ ...a });`, { ecmaVersion: 8, sourceType: 'script' }), SyntaxError);
    });

  test('nothing is asked of wx but four functions', () => {
    const used = new Set(scripts.flatMap((path) => [...source(path).matchAll(/\bwx\.(\w+)\(/g)].map((m) => m[1])));
    assert.deepEqual([...used].sort(), ['getStorageSync', 'login', 'request', 'setStorageSync']);
  });

  test('the markup is whole; what it names is there', () => {
    const markup = source('pages/chat/chat.wxml');
    const open = [];
    for (const [, close, name, single] of markup.matchAll(/<(\/?)([\w-]+)(?:[^>"]|"[^"]*")*?(\/?)>/g)) {
      if (close) assert.equal(open.pop(), name);
      else if (!single) open.push(name);
    }
    assert.deepEqual(open, []);
    let page;
    program({ wx: new Wx(), Page: (p) => { page = p; } })('pages/chat/chat.js');
    const handlers = [...markup.matchAll(/\bbind\w+="(\w+)"/g)].map((m) => m[1]);
    assert.ok(handlers.length > 5);
    for (const name of handlers) assert.equal(typeof page[name], 'function', name);
    const names = [...markup.matchAll(/\{\{(.*?)\}\}/g)].flatMap((m) => m[1].replace(/'[^']*'/g, '').match(/(?<![\w.])[a-z]\w*/gi) ?? []);
    assert.ok(names.length > 8);
    for (const name of names) assert.ok(name === 'item' || name in page.data, name);
    for (const name of Object.keys(page.data)) assert.ok(names.includes(name), `${name} is shown`);
  });

  test('each class has its style, and the page its settings', () => {
    const style = source('pages/chat/chat.wxss');
    const classes = [...source('pages/chat/chat.wxml').matchAll(/class="([^"]*)"/g)].flatMap((m) => m[1].replace(/\{\{.*?\}\}/g, '').trim().split(/\s+/));
    for (const name of classes.filter((c) => c !== 'assistant')) assert.match(style, new RegExp(`\\.${name}\\b`));
    assert.equal(style.split('{').length, style.split('}').length);
    assert.equal(typeof JSON.parse(source('pages/chat/chat.json')).navigationBarTitleText, 'string');
  });

  test('what the README names is there', () => {
    const readme = source('README.md');
    const files = readdirSync(home, { recursive: true }).map(String);
    const named = [...readme.matchAll(/`([\w/.]+\.(?:js|json|wxml|wxss))`/g)].map((m) => m[1]).filter((f) => f !== 'app.json');
    assert.ok(named.length > 1);
    for (const file of named) assert.ok(files.includes(file), file);
    const module = source('runnel.js');
    for (const [, name] of readme.matchAll(/\b(?:runnel|answer)\.(\w+)\(/g)) assert.match(module, new RegExp(`^  ${name}\\(`, 'm'), name);
  });
});
