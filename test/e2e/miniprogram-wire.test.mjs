// docs/miniprogram/runnel.js, and all that a server or a wire may bring: bytes cut anywhere, frames of
// every kind, refusals of every shape, silence. The server says here what no good service says.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import { asked, begin, clientOf, EventReader, fields, good, MIXED, Utf8 } from './lib/answers.mjs';
import { eventually, ms } from './lib/server.mjs';
import { cuts, program, random, Wx } from './lib/wx.mjs';
import { serving } from './lib/gate.mjs';

// ---- reading --------------------------------------------------------------------

describe('UTF-8', () => {
  const inPieces = (bytes, size) => {
    const utf8 = new Utf8();
    let text = '';
    for (let at = 0; at < bytes.length; at += size) text += utf8.feed(bytes.subarray(at, at + size));
    return text;
  };

  test('whole characters at every cut', () => {
    const bytes = Buffer.from(MIXED);
    for (let a = 0; a <= bytes.length; a++)
      for (let b = a; b <= bytes.length; b++) {
        const utf8 = new Utf8();
        assert.equal(utf8.feed(bytes.subarray(0, a)) + utf8.feed(bytes.subarray(a, b)) + utf8.feed(bytes.subarray(b)), MIXED, `${a} ${b}`);
      }
  });

  test('what is no UTF-8 becomes what TextDecoder makes of it', () => {
    const next = random(7);
    const likely = [0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff];
    for (let i = 0; i < 20000; i++) {
      const bytes = Uint8Array.from({ length: 1 + next(8) }, () => likely[next(likely.length)]);
      // One more byte, because an unfinished character at the end has no end here.
      const all = Uint8Array.from([...bytes, 0x2e]);
      const want = new TextDecoder('utf-8', { ignoreBOM: true }).decode(all);
      for (const size of [1, 3, 99]) assert.equal(inPieces(all, size), want, Buffer.from(all).toString('hex'));
    }
  });
});

describe('events', () => {
  const events = (text) => JSON.parse(JSON.stringify(new EventReader().feed(text)));
  const one = { name: 'message', id: '', data: 'x' };

  test('the grammar', () => {
    assert.deepEqual(events('data: x\n\n'), [one]);
    assert.deepEqual(events('data:x\r\n\r\n'), [one]);
    assert.deepEqual(events('data:  x\r\r'), [{ ...one, data: ' x' }]);
    assert.deepEqual(events('\ufeffdata: x\n\n'), [one]);
    assert.deepEqual(events(': a comment\n\n:\n\ndata: x\n\n'), [one]);
    assert.deepEqual(events('data: x\ndata: y\ndata\n\n'), [{ ...one, data: 'x\ny\n' }]);
    assert.deepEqual(events('id: 7.1\nevent: done\nretry: 9\nnonsense: 1\ndata: x\n\n'), [{ name: 'done', id: '7.1', data: 'x' }]);
    assert.deepEqual(events('event: done\n\ndata: x\n\n'), [one], 'an event without data is none');
    assert.deepEqual(events('data: x\n'), [], 'an unfinished event is none');
    assert.deepEqual(events('id: 7.\0\ndata: x\n\n'), [one]);
  });

  test('CR and LF in pieces of their own', () => {
    const reader = new EventReader();
    const all = [];
    for (const c of 'data: x\r\n\r\ndata: y\r\n\r\n') all.push(...reader.feed(c), ...reader.feed(''));
    assert.deepEqual(all.map((e) => e.data), ['x', 'y']);
  });

  test('an event that never ends is not kept for ever', () => {
    const reader = new EventReader();
    assert.throws(() => { for (let i = 0; i < 40; i++) reader.feed('data: ' + 'x'.repeat(65536) + '\n'); }, { code: 'too_big' });
  });
});

// ---- a server that says what a test wants -----------------------------------------

describe('whatever comes over the wire', () => {
  let server, handle, wx;
  const client = (more) => clientOf(server.base, wx, more);
  // The chat's requests; who asks is known.
  const says = (f) => {
    wx = new Wx();
    wx.storage.set('runnel.token', 'known');
    handle = f;
  };
  const stream = (res, ...parts) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const part of parts) res.write(part);
    res.end();
  };
  const json = (res, status, body, headers = {}) => res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  const token = (n, text) => `id: 5.${n}\nevent: message\ndata: ${JSON.stringify({ token: text })}\n\n`;
  const DONE = 'event: done\ndata: {"messageId": 5, "createdAt": "2026-01-02T03:04:05Z"}\n\n';

  before(async () => { server = await serving((req, res) => handle(req, res)); });
  after(() => server.close());

  const escaped = (text) => text.replace(/[^\x00-\x7f]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  const framings = {
    'LF': (text) => text,
    'CRLF': (text) => text.replaceAll('\n', '\r\n'),
    'CR': (text) => text.replaceAll('\n', '\r'),
    'no blank behind the colon': (text) => text.replaceAll(': ', ':'),
    'escapes': escaped,
    'comments everywhere': (text) => ': ping\n\n' + text.replaceAll('\n', '\n: \u4f60\n') + ':\n\n',
  };
  const pieces = [...MIXED].map((c, i) => token(i + 1, c)).join('') + DONE;
  for (const [name, frame] of Object.entries(framings))
    for (const [how, cut] of Object.entries({ 'one byte': cuts.each(1), 'three': cuts.each(3), 'odd numbers': cuts.odd(11), 'as it comes': cuts.whole }))
      test(`${name}, in chunks: ${how}`, async () => {
        says((req, res) => stream(res, frame(pieces)));
        wx.cut = cut;
        const seen = good(await asked(client(), 1, 'x'), MIXED);
        assert.equal(seen.tokens.length, [...MIXED].length);
        assert.deepEqual(seen.end, { messageId: 5, createdAt: '2026-01-02T03:04:05Z', stopped: false, text: MIXED });
        assert.deepEqual(seen.states, ['streaming', 'done']);
      });

  test('500 answers of random texts, tokens, framings and cuts', async () => {
    const next = random(20260102);
    const letters = [...MIXED, 'a', 'b', ' ', '\n', '\r', '\0', '\t', ':', 'data: ', '\n\n'];
    const ends = ['\n', '\r\n', '\r'];
    for (let i = 0; i < 500; i++) {
      const tokens = Array.from({ length: next(30) }, () => Array.from({ length: 1 + next(6) }, () => letters[next(letters.length)]).join(''));
      const end = ends[next(3)];
      const line = (text) => text + end;
      const event = (name, data) => line(`event: ${name}`) + line(`data: ${next(2) ? escaped(data) : data}`) + line('')
        + (next(4) ? '' : line(': ping') + line(''));
      const all = Buffer.from(tokens.map((t, n) => line(`id: 5.${n + 1}`) + event('message', JSON.stringify({ token: t }))).join('')
        + event('done', '{"messageId": 5, "createdAt": "now"}'));
      says((req, res) => {
        const parts = [];
        for (let at = 0; at < all.length;) {
          const n = 1 + next(200);
          parts.push(all.subarray(at, at + n));
          at += n;
        }
        stream(res, ...parts);
      });
      wx.cut = [cuts.each(1), cuts.each(3), cuts.odd(i), cuts.whole][next(4)];
      wx.tellsHead = next(2) === 0;
      wx.knowsChunks = next(8) !== 0;
      good(await asked(client(), 1, 'x'), tokens.join(''));
      assert.equal(wx.requests.length, 1);
      wx.close();
    }
  });

  test('a phone that gives everything at the end', async () => {
    says((req, res) => stream(res, pieces));
    wx.knowsChunks = false;
    good(await asked(client(), 1, 'x'), MIXED);
  });

  test('an event that comes twice is heard once', async () => {
    says((req, res) => (req.method === 'POST' ? stream(res, token(1, 'a'), token(2, 'b')) : stream(res, token(1, 'a'), token(2, 'b'), token(3, 'c'), DONE)));
    good(await asked(client(), 1, 'x'), 'abc');
  });

  test('an event that was cut off does not count, nor does its id', async () => {
    const from = [];
    says((req, res) => {
      from.push(req.headers['last-event-id']);
      if (req.method === 'POST') stream(res, token(1, 'a'), token(2, 'b').slice(0, -1));
      else stream(res, token(2, 'b'), DONE);
    });
    good(await asked(client(), 1, 'x'), 'ab');
    assert.deepEqual(from, [undefined, '5.1']);
  });

  test('an answer that the server has forgotten is read from the messages', async () => {
    const items = [{ id: 1, role: 'user', content: 'x' }, { id: 2, role: 'assistant', content: 'an older answer' },
      { id: 4, role: 'user', content: 'x' }, { id: 5, role: 'assistant', content: 'abc', createdAt: 'then' }];
    for (const status of [204, 404, 410]) {
      says((req, res) => {
        if (req.method === 'POST') return stream(res, token(1, 'a'));
        if (/\/messages/.test(req.url)) return json(res, 200, { code: 0, data: { chatId: 1, items, total: 4, page: 1, pageSize: 50 } });
        return status === 204 ? res.writeHead(204).end() : json(res, status, { code: status, message: 'gone' });
      });
      const seen = good(await asked(client(), 1, ' x '), 'abc');
      assert.deepEqual(seen.tokens, ['a', 'bc']);
      assert.equal(seen.end.messageId, 5);
    }
  });

  test('the kept text wins over what was heard; an older answer is not taken for it', async () => {
    for (const [items, want] of [
      [[{ id: 4, role: 'user', content: 'x' }, { id: 5, role: 'assistant', content: 'A' }], 'A'],
      [[{ id: 1, role: 'user', content: 'y' }, { id: 2, role: 'assistant', content: 'abc' }], null],
      [[{ id: 1, role: 'user', content: 'x' }, { id: 2, role: 'assistant', content: 'abc' }, { id: 4, role: 'user', content: 'x' }], null],
    ]) {
      says((req, res) => {
        if (req.method === 'POST') return stream(res, token(1, 'a'), token(2, 'b'));
        if (/\/messages/.test(req.url)) return json(res, 200, { chatId: 1, items, total: items.length, page: 1, pageSize: 50 });
        return res.writeHead(204).end();
      });
      const seen = await asked(client(), 1, 'x');
      assert.equal(seen.end?.text ?? null, want);
      if (want === null) {
        assert.equal(seen.error.code, 'lost');
        assert.equal(seen.answer.resume(), false);
      }
    }
  });

  test('another answer than ours is not mixed with it', async () => {
    const items = [{ id: 4, role: 'user', content: 'x' }, { id: 5, role: 'assistant', content: 'abc' }, { id: 6, role: 'user', content: 'z' }];
    says((req, res) => {
      if (req.method === 'POST') return stream(res, token(1, 'a'));
      if (/\/messages/.test(req.url)) return json(res, 200, { chatId: 1, items, total: 3, page: 1, pageSize: 50 });
      return stream(res, token(1, 'not ours').replace('id: 5.', 'id: 55.'));
    });
    good(await asked(client(), 1, 'x'), 'abc');
  });

  test('the newest messages are looked for on the last pages', async () => {
    for (const total of [1, 50, 51, 75, 101, 174]) {
      const all = Array.from({ length: total }, (_, i) => ({ id: i + 1 }));
      says((req, res) => {
        const q = new URL(req.url, server.base).searchParams;
        const page = Number(q.get('page')), size = Number(q.get('page_size'));
        json(res, 200, { chatId: 1, items: all.slice((page - 1) * size, page * size), total, page, pageSize: size });
      });
      const { items, page } = await client().latest(1);
      assert.deepEqual(items.map((m) => m.id), all.slice((page - 1) * 50).map((m) => m.id));
      assert.ok(items.length >= Math.min(total, 25));
      assert.ok(wx.requests.length <= 3);
    }
  });

  test('errors are { status, code, message, retryAfter }, whatever their shape', async () => {
    for (const [status, body, headers, want] of [
      [422, { code: 422, message: 'blank' }, {}, { status: 422, code: 422, message: 'blank', retryAfter: null }],
      [429, { code: 429, message: 'slowly' }, { 'Retry-After': '7' }, { status: 429, code: 429, message: 'slowly', retryAfter: 7 }],
      [429, { code: 429, message: 'slowly' }, { 'Retry-After': new Date(Date.now() - 5000).toUTCString() }, { status: 429, code: 429, message: 'slowly', retryAfter: 0 }],
      [503, { error: { message: 'busy', code: 'overloaded' } }, { 'Retry-After': '1' }, { status: 503, code: 'overloaded', message: 'busy', retryAfter: 1 }],
      [422, { detail: [{ loc: ['body', 'chatId'], msg: 'Field required' }] }, {}, { status: 422, code: 422, message: 'Field required', retryAfter: null }],
      [403, { detail: 'no' }, {}, { status: 403, code: 403, message: 'no', retryAfter: null }],
      [502, '<html>', {}, { status: 502, code: 502, message: 'HTTP 502', retryAfter: null }],
    ])
      for (const phone of [{ headerNames: (n) => n.toUpperCase() }, { knowsChunks: false }, { repeats: true }]) {
        says((req, res) => json(res, status, body, headers));
        Object.assign(wx, { cut: cuts.each(3), ...phone });
        const { error } = await asked(client(), 1, 'x');
        assert.deepEqual(fields(error), want);
        assert.equal(wx.requests.length, 1, 'the user is asked, not the server');
        await assert.rejects(client().send(1, 'x'), (e) => { assert.deepEqual(fields(e), want); return true; });
        await assert.rejects(client().messages(1), (e) => { assert.deepEqual(fields(e), want); return true; });
      }
  });

  test('a refused question can be sent again as the same question', async () => {
    const keys = [];
    says((req, res) => {
      keys.push(req.headers['idempotency-key']);
      if (keys.length === 1) json(res, 429, { code: 429, message: 'slowly' }, { 'retry-after': '1' });
      else stream(res, token(1, 'a'), DONE);
    });
    const seen = await asked(client(), 1, 'x');
    assert.equal(seen.error.retryAfter, 1);
    assert.equal(seen.resume(), true);
    good(await seen.until(), 'a');
    assert.equal(keys.length, 2);
    assert.equal(keys[0], keys[1]);
    good(await asked(client(), 1, 'x'), 'a');
    assert.notEqual(keys[2], keys[1], 'another question has another key');
    good(await asked(client(), 1, 'x', { key: 'mine' }), 'a');
    assert.equal(keys[3], 'mine');
  });

  test('an error in the stream is the end; only a new question helps', async () => {
    says((req, res) => stream(res, token(1, 'a'), 'event: error\ndata: {"message": "AI \u670d\u52a1\u6682\u65f6\u4e0d\u53ef\u7528"}\n\n', token(2, 'b'), DONE));
    const seen = await asked(client(), 1, 'x');
    await sleep(ms(50));
    assert.deepEqual(fields(seen.error), { status: 200, code: 'answer_failed', message: 'AI \u670d\u52a1\u6682\u65f6\u4e0d\u53ef\u7528', retryAfter: null });
    assert.equal(seen.text, 'a');
    assert.equal(seen.end, null);
    assert.equal(seen.resume(), false);
    assert.equal(wx.requests.length, 1);
  });

  test('what cannot be read is an error', async () => {
    for (const bad of ['id: 5.2\ndata: {"token\n\n', 'data: 7\n\n', 'event: done\ndata: \n\n']) {
      says((req, res) => stream(res, token(1, 'a'), bad, DONE));
      assert.equal((await asked(client(), 1, 'x')).error.code, 'garbled');
    }
    says((req, res) => stream(res, token(1, 'a'), 'data: ' + 'x'.repeat(1 << 21)));
    assert.equal((await asked(client(), 1, 'x')).error.code, 'too_big');
  });

  test('pauses grow, and a server that names one is believed', async () => {
    const at = [];
    says((req, res) => {
      at.push(performance.now());
      if (req.method === 'POST') return stream(res, token(1, 'a'));
      if (at.length < 6) return json(res, at.length === 5 ? 503 : 502, {}, at.length === 5 ? { 'retry-after': '1' } : {});
      return stream(res, token(2, 'b'), DONE);
    });
    const pauses = [50, 100, 200, 400].map(ms);
    const seen = good(await asked(client({ pauses }), 1, 'x'), 'ab');
    const waited = at.slice(1).map((t, i) => t - at[i]);
    for (const [i, least] of [...pauses, 1000].entries()) assert.ok(waited[i] > least - 10 && waited[i] < least + ms(400), `${waited}`);
    assert.deepEqual(seen.states.filter((s) => s === 'waiting').length, 5);
  });

  test('it gives up after so many pauses, and goes on when it is told to', async () => {
    let down = true;
    says((req, res) => {
      if (req.method === 'POST') stream(res, token(1, 'a'));
      else if (down) json(res, 502, {});
      else stream(res, token(2, 'b'), DONE);
    });
    const seen = await asked(client({ attempts: 4 }), 1, 'x');
    assert.equal(seen.error.status, 502);
    assert.equal(wx.requests.length, 5);
    down = false;
    assert.equal(seen.resume(), true);
    good(await seen.until(), 'ab');
  });

  test('a connection that brings a word is a good one, however many there were', async () => {
    let n = 0;
    says((req, res) => { n++; stream(res, token(n, String(n % 10)), ...(n === 12 ? [DONE] : [])); });
    good(await asked(client({ attempts: 1 }), 1, 'x'), '123456789012');
    assert.equal(n, 12);
  });

  test('a server that wants a very long pause is told to the user', async () => {
    says((req, res) => (req.method === 'POST' ? stream(res, token(1, 'a')) : json(res, 429, { code: 429, message: 'tomorrow' }, { 'retry-after': '3600' })));
    assert.equal((await asked(client(), 1, 'x')).error.retryAfter, 3600);
  });

  test('a connection that fell silent is given up; comments are signs of life', async () => {
    let n = 0, over;
    says(async (req, res) => {
      n++;
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      if (req.method === 'GET') return res.end(token(2, 'b') + DONE);
      res.write(token(1, 'a'));
      for (let i = 0; i < 6; i++) {
        await sleep(ms(100));
        res.write(': ping\n\n');
      }
      assert.equal(n, 1, 'not while it was heard of');
      res.on('close', () => { over = true; });
    });
    good(await asked(client({ silence: ms(300) }), 1, 'x'), 'ab');
    assert.equal(n, 2);
    await eventually(() => assert.ok(over, 'the silent connection is closed'));
  });

  test('close() ends it without a word', async () => {
    let gone;
    says((req, res) => {
      res.on('close', () => { gone = true; });
      res.writeHead(200).write(token(1, 'a'));
    });
    const seen = begin(client(), 1, 'x');
    await seen.until(() => seen.text === 'a');
    seen.answer.close();
    await eventually(() => assert.ok(gone));
    await sleep(ms(30));
    assert.equal(seen.end, null);
    assert.equal(seen.error, null);
    assert.equal(wx.requests.length, 1);
    assert.equal(seen.answer.resume(), false);
  });

  test('close() in the middle of a chunk: the rest of it is not heard', async () => {
    says((req, res) => stream(res, token(1, 'a') + token(2, 'b') + DONE));
    const tokens = [];
    const answer = client().stream(1, 'x', { onToken: (t) => { tokens.push(t); answer.close(); }, onDone: () => tokens.push('done') });
    await sleep(ms(100));
    assert.deepEqual(tokens, ['a']);
  });

  test('close() in a change of state: nothing is said behind it', async () => {
    const said = [];
    says((req, res) => stream(res, token(1, 'a'), DONE));
    const answer = client().stream(1, 'x', {
      onState: (state) => { said.push(state); answer.close(); }, onToken: (t) => said.push(t), onDone: () => said.push('done') });
    await sleep(ms(100));
    assert.deepEqual(said, ['streaming']);
  });

  test('what a request says that was given up is not heard', async () => {
    let finish;
    says((req, res) => {
      if (req.method === 'GET') return stream(res, token(2, 'b'), DONE, token(3, 'c'), DONE);
      res.writeHead(200).write(token(1, 'a'));
      finish = () => res.end(token(2, 'late') + DONE);
    });
    wx.knowsAbort = false;
    const seen = good(await asked(client({ silence: ms(100) }), 1, 'x'), 'ab');
    finish();
    await sleep(ms(100));
    assert.deepEqual(seen.tokens, ['a', 'b']);
    assert.deepEqual(seen.states, ['streaming', 'waiting', 'connecting', 'streaming', 'done']);
    assert.equal(wx.requests.length, 2);
  });

  test('a page that throws loses nothing', async () => {
    const thrown = [];
    const late = (f, t) => setTimeout(() => { try { f(); } catch (e) { thrown.push(e.message); } }, t);
    says((req, res) => stream(res, token(1, 'a') + token(2, 'b') + DONE));
    const other = program({ setTimeout: late })('runnel.js').create({ base: server.base, wx });
    let text = '';
    await new Promise((done) => other.stream(1, 'x', { onToken: (t) => { text += t; throw new Error('my own'); }, onDone: done }));
    await eventually(() => assert.equal(thrown.length, 2));
    assert.equal(text, 'ab');
  });

  test('a stop that overtakes its question is said again', async () => {
    let stops = 0, res1;
    says((req, res) => {
      if (/stop$/.test(req.url)) {
        stops++;
        if (stops > 1) res1.end('event: done\ndata: {"messageId": 5, "createdAt": "now", "stopped": true}\n\n');
        return json(res, 200, { code: 0, data: { stopped: stops > 1 } });
      }
      res1 = res;
      setTimeout(() => res.writeHead(200).write(token(1, 'a')), ms(100));
    });
    const seen = begin(client(), 1, 'x');
    assert.equal(await seen.answer.stop(), false);
    good(await seen.until(), 'a');
    assert.equal(stops, 2);
    assert.equal(seen.end.stopped, true);
  });

  test('a message that is lost on its way is sent again with the same key', async () => {
    const keys = [];
    says((req, res) => {
      keys.push(req.headers['idempotency-key']);
      if (keys.length === 1) return res.destroy();
      if (keys.length === 2) return json(res, 502, {});
      return json(res, 200, { userMessage: { id: 1 }, aiReply: { id: 2, content: 'a' } });
    });
    assert.equal((await client().send(1, 'x')).aiReply.content, 'a');
    assert.equal(keys.length, 3);
    assert.equal(new Set(keys).size, 1);
    assert.ok(keys[0].length >= 20 && keys[0].length <= 255);
  });
});
