// WebSockets as RFC 6455 wants them, and as those who do not know it send them: a client of raw
// bytes says what no library lets through. What is said over them is in ws-chat.test.mjs.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, req } from './lib/raw.mjs';
import { duration, ms, start } from './lib/server.mjs';
import { BINARY, CLOSE, CONTINUATION, KEY, PING, PONG, TEXT, close, fragments, frame, greeted, handshake, open, text } from './lib/ws.mjs';

let server;
before(async () => { server = await start({ websocket: { max_frames_per_second: 1000 } }); });
after(() => server?.stop());

const probe = { type: 'ping' };
const PROBE = JSON.stringify(probe);
const padded = (n) => PROBE + ' '.repeat(n - PROBE.length);
const singly = (...bytes) => [...Buffer.concat(bytes.flat())].map((b) => Buffer.from([b]));

// What becomes of it: 'pong' is the answer to a probe, a text that to a control ping, a number
// how the server closes.
async function hear(s, expected) {
  for (const e of expected) {
    const f = await s.next();
    assert.ok(f, `the connection has ended; ${JSON.stringify(e)} was expected`);
    if (typeof e === 'number') assert.deepEqual([f.opcode, f.code ?? 0], [CLOSE, e], f.text);
    else if (e.control !== undefined) assert.deepEqual([f.opcode, f.payload.toString('latin1')], [PONG, e.control]);
    else {
      assert.equal(f.opcode, TEXT, `closed with ${f.code} ${f.reason}`);
      const m = JSON.parse(f.text);
      assert.deepEqual(e === 'pong' ? m.type : [m.type, m.data.code ?? m.data.session_id], e);
    }
  }
}

const cases = (table) => {
  for (const [name, send, ...expected] of table) test(name, async () => {
    const s = await greeted(server.port);
    await s.send(send);
    await hear(s, expected);
    if (typeof expected.at(-1) === 'number') {
      await s.send(frame(CLOSE, ''));
      assert.equal(await s.next(), null);
    } else {
      await s.send(close(1000, 'bye'));
      await hear(s, [1000]);
    }
    assert.equal(await s.connection.ended(), 'fin');
    await server.alive();
  });
};

const bind = (session_id) => JSON.stringify({ type: 'session_bind', data: { session_id } });
const FLAGS = '👩‍👩‍👧 é 你好 \u{10FFFF} \uFFFD';
const bytesOf = (...numbers) => Buffer.from(numbers);

describe('messages that come whole, whichever way', () => cases([
  ['one frame', text(probe), 'pong'],
  ['two in one read', Buffer.concat([text(probe), text(probe)]), 'pong', 'pong'],
  ['one byte at a time', singly(text(probe), frame(PING, 'x')), 'pong', { control: 'x' }],
  ['in two fragments', fragments([PROBE.slice(0, 4), PROBE.slice(4)]), 'pong'],
  ['a byte in each fragment', fragments(singly(Buffer.from(PROBE))), 'pong'],
  ['empty fragments first, between and last', fragments(['', PROBE.slice(0, 4), '', '', PROBE.slice(4), '']), 'pong'],
  ['fragments that come a byte at a time', singly(fragments([PROBE.slice(0, 4), PROBE.slice(4)])), 'pong'],
  ['pings between fragments', fragments([PROBE.slice(0, 4), PROBE.slice(4, 8), PROBE.slice(8)], { between: [frame(PING, 'in')] }), { control: 'in' }, { control: 'in' }, 'pong'],
  ['pongs between fragments, that nobody asked for', fragments([PROBE.slice(0, 4), PROBE.slice(4)], { between: [frame(PONG, 'x')] }), 'pong'],
  ['an empty message', text(''), ['error', 'INVALID_JSON']],
  ['125 bytes', text(padded(125)), 'pong'],
  ['126 bytes', text(padded(126)), 'pong'],
  ['127 bytes', text(padded(127)), 'pong'],
  ['65535 bytes', text(padded(65535)), 'pong'],
  ['65536 bytes, the most', text(padded(65536)), 'pong'],
  ['the most, in fragments', fragments([padded(65530), '      ']), 'pong'],
  ['the most, twice', [text(padded(65536)), text(padded(65536))], 'pong', 'pong'],
  ['a mask of zeros', Buffer.concat([bytesOf(0x81, 0x80 | PROBE.length, 0, 0, 0, 0), Buffer.from(PROBE)]), 'pong'],
  ['characters of every length', text(bind(FLAGS)), ['session_bound', FLAGS]],
  ['characters that are cut by fragments', fragments(singly(Buffer.from(bind(FLAGS)))), ['session_bound', FLAGS]],
  ['characters that are cut by reads', singly(text(bind(FLAGS))), ['session_bound', FLAGS]],
  ['a byte order mark is no JSON', text('\uFEFF{}'), ['error', 'INVALID_JSON']],
  ['JSON that is no object', text('[]'), ['error', 'INVALID_JSON']],
  ['NUL', text('\0'), ['error', 'INVALID_JSON']],
]));

describe('control frames', () => cases([
  ['an empty ping', frame(PING), { control: '' }],
  ['a ping of 125 bytes', frame(PING, 'p'.repeat(125)), { control: 'p'.repeat(125) }],
  ['a ping that is no text', frame(PING, bytesOf(0xff, 0, 0xfe)), { control: '\xff\0\xfe' }],
  ['three pings', [frame(PING, '1'), frame(PING, '2'), frame(PING, '3')], { control: '1' }, { control: '2' }, { control: '3' }],
  ['a pong that nobody asked for', [frame(PONG, 'x'), text(probe)], 'pong'],
  ['a ping of 126 bytes', frame(PING, 'p'.repeat(126)), 1002],
  ['a pong of 126 bytes', frame(PONG, 'p'.repeat(126)), 1002],
  ['a close of 126 bytes', frame(CLOSE, 'p'.repeat(126)), 1002],
  ['half a ping', frame(PING, 'x', { fin: false }), 1002],
  ['half a pong', frame(PONG, 'x', { fin: false }), 1002],
  ['half a close', frame(CLOSE, '', { fin: false }), 1002],
]));

describe('what is against the protocol', () => cases([
  ['a text without a mask', text(probe, { mask: false }), 1002],
  ['a ping without a mask', frame(PING, 'x', { mask: false }), 1002],
  ['a close without a mask', frame(CLOSE, '', { mask: false }), 1002],
  ...[1, 2, 4, 7].map((rsv) => [`reserved bits ${rsv}`, text(probe, { rsv }), 1002]),
  ['a reserved bit in a later fragment', [frame(TEXT, 'a', { fin: false }), frame(CONTINUATION, 'b', { rsv: 4 })], 1002],
  ['a reserved bit in a ping', frame(PING, '', { rsv: 1 }), 1002],
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) => [`opcode ${opcode}`, frame(opcode, 'x'), 1002]),
  ['a continuation of nothing', frame(CONTINUATION, 'x'), 1002],
  ['a continuation of nothing, not the last', frame(CONTINUATION, 'x', { fin: false }), 1002],
  ['a continuation after a whole message', [text(probe), frame(CONTINUATION, 'x')], 'pong', 1002],
  ['a text within a text', [frame(TEXT, 'a', { fin: false }), frame(TEXT, 'b')], 1002],
  ['bytes within a text', [frame(TEXT, 'a', { fin: false }), frame(BINARY, 'b')], 1002],
  ['a length of 5 in two bytes', text('aaaaa', { form: 3 }), 1002],
  ['a length of 125 in two bytes', text('a'.repeat(125), { form: 3 }), 1002],
  ['a length of 5 in eight bytes', text('aaaaa', { form: 9 }), 1002],
  ['a length of 65535 in eight bytes', text('a'.repeat(65535), { form: 9 }), 1002],
  ['a ping\'s length in two bytes', frame(PING, 'x', { form: 3 }), 1002],
  ['a length with the first bit set', frame(TEXT, '', { form: 9, length: 2n ** 63n + 5n }), 1002],
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 1002],
  ['what stands before it is answered', [text(probe), frame(PING, 'x'), text(probe, { rsv: 1 })], 'pong', { control: 'x' }, 1002],
  ['bytes', frame(BINARY, 'x'), 1003],
  ['bytes, in fragments', fragments(['x', 'y'], { opcode: BINARY }), 1003],
]));

describe('what is too long', () => cases([
  ['one byte more', text(padded(65537)), 1009],
  ['one byte more, in fragments', fragments([padded(65536), ' ']), 1009],
  ['announced, and not sent', frame(TEXT, 'x', { form: 9, length: 1n << 40n }), 1009],
  ['the largest length there is', frame(TEXT, 'x', { form: 9, length: 2n ** 63n - 1n }), 1009],
]));

const BAD = [['a byte that is never text', [0xff]], ['an end without a beginning', [0x80]], ['a slash in two bytes', [0xc0, 0xaf]], ['NUL in two bytes', [0xc0, 0x80]],
  ['half of a pair', [0xed, 0xa0, 0x80]], ['beyond the last character', [0xf4, 0x90, 0x80, 0x80]], ['five bytes', [0xf8, 0x88, 0x80, 0x80, 0x80]],
  ['a character that is never ended', [0xe4, 0xbd]]];
describe('what is no text', () => cases([
  ...BAD.map(([name, bytes]) => [name, text(bytesOf(0x61, ...bytes, 0x62)), 1007]),
  ...BAD.slice(0, 7).map(([name, bytes]) => [`${name}, in fragments`, fragments(singly(bytesOf(0x61, ...bytes, 0x62))), 1007]),
  ['a character that is cut by the end', text(bytesOf(0x61, 0xe4, 0xbd)), 1007],
  ['a character that is cut by the last fragment', fragments([bytesOf(0x61, 0xf0, 0x9f), bytesOf(0x91)]), 1007],
  ['seen before the message is whole', [frame(TEXT, bytesOf(0x61, 0xff), { fin: false })], 1007],
]));

describe('a client closes', () => cases([
  ['without a word', frame(CLOSE), 0],
  ...[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999].map((code) => [`with ${code}`, close(code, 'so'), code]),
  ['with 123 bytes of why', close(1000, '你'.repeat(41)), 1000],
  ['a byte at a time', singly(close(1000, 'bye')), 1000],
  ['and says more', Buffer.concat([close(1000), text(probe), frame(PING, 'x')]), 1000],
  ['in the middle of a message', [frame(TEXT, 'a', { fin: false }), close(1001)], 1001],
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535].map((code) => [`with ${code}, which nobody may say`, close(code), 1002]),
  ['with half a code', frame(CLOSE, bytesOf(3)), 1002],
]));

test('a close whose why is no text is answered as one', async () => {
  const s = await greeted(server.port);
  await s.send(frame(CLOSE, bytesOf(3, 232, 0xff, 0xfe, 0xff)));
  const f = await s.next();
  assert.ok([1002, 1007].includes(f.code), `${f.code}`);
  assert.equal(await s.connection.ended(), 'fin');
});

describe('handshakes that are refused', () => {
  const table = [
    ['a plain GET', { Upgrade: undefined, Connection: undefined }, 426],
    ['no Upgrade', { Upgrade: undefined }, 426],
    ['no Connection', { Connection: undefined }, 426],
    ['Connection without upgrade', { Connection: 'keep-alive' }, 426],
    ['an upgrade to something else', { Upgrade: 'h2c' }, 426],
    ['no version', { 'Sec-WebSocket-Version': undefined }, 426, '13'],
    ['version 8', { 'Sec-WebSocket-Version': '8' }, 426, '13'],
    ['version 013', { 'Sec-WebSocket-Version': '013' }, 426, '13'],
    ['two versions', { 'Sec-WebSocket-Version': ['13', '13'] }, 426, '13'],
    ['a list of versions', { 'Sec-WebSocket-Version': '13, 8' }, 426, '13'],
    ['no key', { 'Sec-WebSocket-Key': undefined }, 400],
    ['an empty key', { 'Sec-WebSocket-Key': '' }, 400],
    ['two keys', { 'Sec-WebSocket-Key': [KEY, KEY] }, 400],
    ['a key of 15 bytes', { 'Sec-WebSocket-Key': Buffer.alloc(15).toString('base64') }, 400],
    ['a key of 17 bytes', { 'Sec-WebSocket-Key': Buffer.alloc(17).toString('base64') }, 400],
    ['a key that is no base64', { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZ!==' }, 400],
    ['a page of somebody else', { Origin: 'https://evil.example' }, 403],
    ['a page of nowhere', { Origin: 'null' }, 403],
    ['a page of the same host at another port', { Host: 'chat.example', Origin: 'https://chat.example:8443' }, 403],
    ['two origins', { Host: 'chat.example', Origin: ['https://chat.example', 'https://chat.example'] }, 403],
    ['a body', { 'Content-Length': '3' }, 400, undefined, 'abc'],
    ['a chunked body', { 'Transfer-Encoding': 'chunked' }, 400, undefined, '3\r\nabc\r\n0\r\n\r\n'],
  ];
  for (const [name, lines, status, version, body = ''] of table) test(`${name}: ${status}`, async () => {
    const c = await connect(server.port);
    await c.send(handshake('/ws/chat', lines), body);
    const r = await c.response();
    assert.deepEqual([r.status, r.header('sec-websocket-version')], [status, version]);
    assert.ok(r.json.detail);
    if (status === 426) assert.equal(r.header('upgrade'), 'websocket');
    await c.send(req('GET /livez HTTP/1.1', 'Host: a'));     // what was refused is HTTP's again
    assert.equal((await c.response()).status, 200);
    c.destroy();
  });
  for (const [name, line, status] of [['HTTP/1.0', 'GET /ws/chat HTTP/1.0', 426], ['POST', 'POST /ws/chat HTTP/1.1', 405], ['HEAD', 'HEAD /ws/chat HTTP/1.1', 426],
    ['another path', 'GET /ws/other HTTP/1.1', 404], ['a path that is none', 'GET /livez HTTP/1.1', 200]]) test(`${name}: ${status}`, async () => {
    const c = await connect(server.port);
    await c.send(Buffer.from(handshake().toString('latin1').replace(/^[^\r]*/, line), 'latin1'));
    assert.equal((await c.response({ method: line.split(' ')[0] })).status, status);
    c.destroy();
  });
});

describe('handshakes that are good', () => {
  for (const [name, options] of [
    ['in other letters', { lines: { Upgrade: 'WebSocket', Connection: 'keep-alive, UPGRADE' } }],
    ['in lists', { lines: { Upgrade: ['h2c', 'websocket'], Connection: ['keep-alive', 'upgrade'] } }],
    ['a byte at a time', { pieces: (h) => singly(Buffer.from(h)) }],
    ['of a page of the same host', { lines: { Host: 'chat.example', Origin: 'https://chat.example' } }],
    ['of a page of the same host and port', { lines: { Host: 'chat.example:8443', Origin: 'http://Chat.example:8443' } }],
    ['with an empty body', { lines: { 'Content-Length': '0' } }],
    ['that offer compression', { lines: { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' } }],
    ['with subprotocols that nobody speaks', { lines: { 'Sec-WebSocket-Protocol': 'soap, wamp' } }],
  ]) test(name, async () => {
    const s = await greeted(server.port, options);
    assert.equal(s.answer.header('sec-websocket-protocol'), undefined);
    await s.send(text(probe));
    await hear(s, ['pong']);
    s.destroy();
  });
  test('frames behind it, in the same write', async () => {
    const s = await greeted(server.port, { more: [text(probe), frame(PING, 'x'), text(probe)] });
    await hear(s, ['pong', { control: 'x' }, 'pong']);
    s.destroy();
    const once = await connect(server.port);
    await once.send(Buffer.concat([Buffer.from(handshake()), text(probe), close(1000)]));
    await once.until(() => once.closed, 'the end');
    const heard = once.received.toString('latin1');
    assert.ok(heard.includes('"pong"') && heard.endsWith('\x88\x02\x03\xe8'), heard);
    once.destroy();
  });
  test('after other requests on the same connection', async () => {
    const c = await connect(server.port);
    await c.send(req('GET /livez HTTP/1.1', 'Host: a'), handshake('/ws/chat'));
    assert.equal((await c.response()).status, 200);
    await c.until(() => c.rest.includes('"system"'), 'the greeting');
    c.destroy();
  });
  test('of a page that the settings know', async () => {
    const own = await start({ http: { cors_origins: ['https://app.example'] } });
    (await greeted(own.port, { lines: { Origin: 'https://app.example' } })).destroy();
    const c = await connect(own.port);
    await c.send(handshake('/ws/chat', { Origin: 'https://app.example.evil.example' }));
    assert.equal((await c.response()).status, 403);
    c.destroy();
    await own.stop();
    const any = await start({ http: { cors_origins: ['*'] } });
    (await greeted(any.port, { lines: { Origin: 'https://evil.example' } })).destroy();
    await any.stop();
  });
});

describe('floods', () => {
  const few = async (send) => {
    const own = await start({ websocket: { max_frames_per_second: 20 } });
    const s = await greeted(own.port);
    await s.send(Buffer.concat(send));
    let heard = 0, f;
    while ((f = await s.next()) && f.opcode !== CLOSE) heard++;
    assert.equal(f?.code, 1008);
    assert.ok(heard <= 40, `${heard} answers`);              // the second may have changed in it
    assert.equal((await s.send(frame(CLOSE)), await s.connection.ended()), 'fin');
    assert.equal(await own.metric('runnel_websockets'), 0);
    await own.stop();
  };
  const many = (f) => Array.from({ length: 60 }, () => f);
  test('of pings', () => few(many(frame(PING, 'x'))));
  test('of pongs', () => few(many(frame(PONG, 'x'))));
  test('of messages', () => few(many(text(probe))));
  test('of fragments', () => few([frame(TEXT, '', { fin: false }), ...many(frame(CONTINUATION, '', { fin: false }))]));
  test('a slower one is none', async () => {
    const own = await start({ websocket: { max_frames_per_second: 20 } });
    const s = await greeted(own.port);
    for (let i = 0; i < 30; i++) {
      await s.send(text(probe));
      await hear(s, ['pong']);
      await sleep(100);
    }
    s.destroy();
    await own.stop();
  });
});

describe('the clock', () => {
  const serve = (websocket) => start({ websocket: Object.fromEntries(Object.entries(websocket).map(([k, n]) => [k, duration(n)])) });
  test('who is silent is pinged, and stays while he answers', async () => {
    const own = await serve({ ping_every: 100, pong_timeout: 400 });
    const s = await greeted(own.port);
    for (let i = 0; i < 8; i++) {
      const f = await s.next();
      assert.equal(f.opcode, PING);
      await s.send(frame(PONG, f.payload));
    }
    s.destroy();
    await own.metricBecomes('runnel_websockets', 0);
    await own.stop();
  });
  test('who does not answer is gone', async () => {
    const own = await serve({ ping_every: 100, pong_timeout: 200 });
    const s = await greeted(own.port);
    assert.equal((await s.next()).opcode, PING);
    assert.equal(await s.next(), null);
    await own.metricBecomes('runnel_websockets', 0);
    await own.stop();
  });
  test('who says nothing for long is parted from', async () => {
    const own = await serve({ idle_timeout: 300 });
    const s = await greeted(own.port);
    await hear(s, [1000]);
    await s.send(frame(CLOSE));
    assert.equal(await s.connection.ended(), 'fin');
    await own.stop();
  });
  test('pongs are nothing that is said', async () => {
    const own = await serve({ idle_timeout: 500, ping_every: 100 });
    const s = await greeted(own.port);
    let f;
    while ((f = await s.next()).opcode === PING) await s.send(frame(PONG, f.payload));
    assert.equal(f.code, 1000);
    s.destroy();
    await own.stop();
  });
  test('a message that never ends', async () => {
    const own = await serve({ message_timeout: 300, ping_every: 100 });
    for (const begin of [frame(TEXT, 'a', { fin: false }), text(PROBE).subarray(0, 5), text(PROBE).subarray(0, 1)]) {
      const s = await greeted(own.port);
      await s.send(begin);
      let f;
      while ((f = await s.next()).opcode === PING) if (begin.length > 5) await s.send(frame(PONG, f.payload));
      assert.equal(f.code, 1008);
      s.destroy();
    }
    await own.stop();
  });
  test('who does not say Close as well is not waited for', async () => {
    const own = await serve({ idle_timeout: 100 });
    const s = await greeted(own.port);
    await hear(s, [1000]);
    const began = performance.now();
    assert.equal(await s.next(ms(6000)), null);
    assert.ok(performance.now() - began >= 1500, 'it had no time to answer');
    s.destroy();
    await own.stop();
  });
});

describe('the end', () => {
  test('of a client without a word', async () => {
    const own = await start();
    for (const leave of ['halfClose', 'reset', 'destroy']) {
      const s = await greeted(own.port);
      assert.equal(await own.metric('runnel_websockets'), 1);
      s.connection[leave]();
      await own.metricBecomes('runnel_websockets', 0);
      s.destroy();
    }
    await own.stop();
  });
  test('of the service: 1001 to all', async () => {
    const own = await start();
    const all = await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 ? greeted(own.port) : open(own.port, { path: '/ws/system' }))));
    const told = all.map(async (s) => {
      let f;
      while ((f = await s.next()).opcode !== CLOSE);
      await s.send(close(f.code));
      return [f.code, await s.next()];
    });
    const ended = own.stop();
    for (const t of await Promise.all(told)) assert.deepEqual(t, [1001, null]);
    await ended;
  });
  test('of the service, for those who do not listen', async () => {
    const own = await start();
    const s = await greeted(own.port);
    s.connection.stopReading();
    await own.stop();
    s.destroy();
  });
});

test('who asks and does not read is not read from, and cut at last', async () => {
  const own = await start({ websocket: { max_frames_per_second: 1000000, max_message_bytes: '64KiB' }, http: { write_timeout: duration(500) }, stream: { queue_bytes: '4KiB' } });
  const s = await greeted(own.port);
  s.connection.stopReading();
  const piece = Buffer.concat(Array.from({ length: 500 }, () => frame(PING, 'p'.repeat(125))));
  let sent = 0;
  while (!s.connection.socket.destroyed && sent < 4000 && s.connection.socket.write(piece) !== null && own.lines.every((l) => !l.includes('slow reader cut'))) {
    sent++;
    await sleep(2);
  }
  await own.log({ msg: 'slow reader cut' });
  assert.ok(own.rss() < 200 << 20, `${own.rss()} bytes`);
  s.destroy();
  await own.alive();
  await own.stop();
});

test('nothing is left of any of them', async () => {
  await server.metricBecomes('runnel_websockets', 0);
});
