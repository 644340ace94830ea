// The reader of lib/reader.mjs: what he writes down of streams whose every byte is known.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { read } from './lib/reader.mjs';
import { ms } from './lib/server.mjs';

let listener, port, answer;
before(async () => {
  listener = http.createServer((q, res) => q.resume().on('end', () => answer(res, q)));
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  ({ port } = listener.address());
});
after(() => { listener.close(); listener.closeAllConnections(); });

const stream = (res) => res.writeHead(200, { 'content-type': 'text/event-stream' });
const noted = (r) => r.events.map(({ id, event, data }) => ({ id, event, data }));

describe('events', () => {
  const message = (data, id = '', event = 'message') => ({ id, event, data });
  const table = {
    'one': ['data: a\n\n', [message('a')]],
    'CRLF, CR and both kinds mixed': ['data: a\r\n\r\ndata: b\r\rdata: c\n\r\n', [message('a'), message('b'), message('c')]],
    'a byte order mark': ['\ufeffdata: a\n\n', [message('a')]],
    'lines of data': ['data: a\ndata:\ndata:  b\n\n', [message('a\n\n b')]],
    'a name holds for one event, an id until the next': ['event: x\nid: 7\ndata: a\n\ndata: b\n\nid\ndata: c\n\n', [message('a', '7', 'x'), message('b', '7'), message('c')]],
    'an id with a NUL is none': ['id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n', [message('a', '1'), message('b', '1')]],
    'no data, no event': ['event: x\nid: 3\n\ndata: a\n\n', [message('a', '3')]],
    'unknown fields and a line without a colon': ['nothing: 1\ndata\n\nfoo\ndata: a\n\n', [message(''), message('a')]],
    'what has no end is no event': ['data: a\n\ndata: b\n', [message('a')]],
    'more than ASCII': ['data: \u4f60\u{1f44d}\n\n', [message('\u4f60\u{1f44d}')]],
  };
  for (const [name, [text, want]] of Object.entries(table))
    test(name, async () => {
      const bytes = Buffer.from(text);
      for (const step of [bytes.length, 1]) {
        answer = async (res) => {
          stream(res);
          for (let i = 0; i < bytes.length; i += step) await new Promise((done) => res.write(bytes.subarray(i, i + step), done));
          res.end();
        };
        const r = read(port);
        assert.equal(await r.over, 'whole');
        assert.deepEqual(noted(r), want);
      }
    });

  test('comments and retry', async () => {
    answer = (res) => stream(res).end(': ping\n\nretry: 250\nretry: soon\n\ndata: a\n\n:\n\n');
    const r = read(port);
    await r.over;
    assert.deepEqual(r.comments.map((c) => c.text), [' ping', '']);
    assert.equal(r.retry, 250);
    assert.deepEqual(noted(r).map((e) => e.data), ['a']);
  });

  test('what is no stream is kept as it is', async () => {
    answer = (res) => res.writeHead(404, { 'content-type': 'application/json' }).end('{"data": "\\n\\n"}');
    const r = read(port, { body: { q: 1 } });
    assert.equal(await r.over, 'whole');
    assert.deepEqual([r.status, r.text, r.events], [404, '{"data": "\\n\\n"}', []]);
  });
});

test('when it came, and what came together', async () => {
  answer = (res) => {
    stream(res).write('data: 1\n\ndata: 2\n\n');
    setTimeout(() => res.end('data: 3\n\n'), ms(150));
  };
  const r = read(port);
  await r.over;
  const [a, b, c] = r.events;
  assert.equal(a.read, b.read);
  assert.ok(c.read > b.read);
  assert.ok(c.at - b.at >= ms(150) * 0.8 && a.at >= r.times.head && r.times.end >= c.at);
});

describe('ends', () => {
  test('he leaves at the n-th event, though more have come, and comes back', async () => {
    let left, came;
    answer = (res) => { left = once(res, 'close'); stream(res).write('id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: c\n\n'); };
    const r = read(port, { cutAt: 2 });
    assert.equal(await r.over, 'cut');
    await left;
    assert.deepEqual(noted(r).map((e) => e.data), ['a', 'b']);
    answer = (res, q) => { came = q.headers['last-event-id']; stream(res).end('id: 3\ndata: c\n\n'); };
    const rest = read(port, { lastEventId: r.lastEventId });
    assert.equal(await rest.over, 'whole');
    assert.equal(came, '2');
    assert.equal(rest.lastEventId, '3');
  });

  test('a stream that is cut by others is broken', async () => {
    answer = (res) => { stream(res).write('data: a\n\n', () => res.destroy()); };
    const r = read(port);
    assert.equal(await r.over, 'broken');
    assert.equal(r.events.length, 1);
    await assert.rejects(r.until(() => r.events.length === 2, 'a second event'), /ended \(broken, 200\) before a second event/);
  });

  test('nobody there is broken too', async () => {
    const r = read(1);
    assert.equal(await r.over, 'broken');
    assert.equal(r.error.code, 'ECONNREFUSED');
    assert.equal(r.status, null);
  });
});
