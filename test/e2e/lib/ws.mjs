// A WebSocket client of raw bytes: says anything, and reads nothing that a server may not say.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { connect, parseResponse, req } from './raw.mjs';

export const TEXT = 1, BINARY = 2, CONTINUATION = 0, CLOSE = 8, PING = 9, PONG = 10;

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

// `form`: the bytes that the length takes, 1, 3 or 9; without: as few as may be. `length`: the
// one that is announced.
export function frame(opcode, payload = '', { fin = true, rsv = 0, mask = true, form, length } = {}) {
  const body = Buffer.from(payload);
  const n = length ?? body.length;
  const size = form ?? (n < 126 ? 1 : n < 65536 ? 3 : 9);
  const head = Buffer.alloc(1 + size);
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  head[1] = (mask ? 0x80 : 0) | (size === 1 ? n : size === 3 ? 126 : 127);
  if (size === 3) head.writeUInt16BE(n, 2);
  if (size === 9) head.writeBigUInt64BE(BigInt(n), 2);
  if (!mask) return Buffer.concat([head, body]);
  const key = randomBytes(4);
  return Buffer.concat([head, key, body.map((b, i) => b ^ key[i % 4])]);
}

export const text = (s, more) => frame(TEXT, typeof s === 'string' || Buffer.isBuffer(s) ? s : JSON.stringify(s), more);
export const close = (code, reason = '') => {
  const body = Buffer.concat([Buffer.alloc(2), Buffer.from(reason)]);
  body.writeUInt16BE(code);
  return frame(CLOSE, body);
};

// A message in frames of these pieces.
export const fragments = (pieces, { opcode = TEXT, between = [] } = {}) => pieces.flatMap((p, i) =>
  [frame(i === 0 ? opcode : CONTINUATION, p, { fin: i === pieces.length - 1 }), ...(i < pieces.length - 1 ? between : [])]);

export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
export const handshake = (path = '/ws/chat', lines = {}) => {
  const all = { Host: 'a', Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Key': KEY, 'Sec-WebSocket-Version': '13', ...lines };
  return req(`GET ${path} HTTP/1.1`, ...Object.entries(all).filter(([, v]) => v !== undefined)
    .flatMap(([k, v]) => [v].flat().map((one) => `${k}: ${one}`)));
};

// One frame of the server's; null while it is not whole. No masks, no extensions, no fragments,
// no length in more bytes than it takes, and only whole characters.
function parseFrame(bytes) {
  if (bytes.length < 2) return null;
  assert.equal(bytes[0] & 0xf0, 0x80, 'a server sends whole messages without extensions');
  assert.equal(bytes[1] & 0x80, 0, 'a server masks nothing');
  let n = bytes[1], at = 2;
  if (n === 126) {
    if (bytes.length < 4) return null;
    n = bytes.readUInt16BE(2);
    at = 4;
    assert.ok(n > 125, 'a length in more bytes than it takes');
  } else if (n === 127) {
    if (bytes.length < 10) return null;
    n = Number(bytes.readBigUInt64BE(2));
    at = 10;
    assert.ok(n > 65535, 'a length in more bytes than it takes');
  }
  if (bytes.length < at + n) return null;
  const f = { opcode: bytes[0] & 0xf, payload: bytes.subarray(at, at + n), size: at + n };
  assert.ok([TEXT, CLOSE, PING, PONG].includes(f.opcode), `opcode ${f.opcode}`);
  if (f.opcode >= CLOSE) assert.ok(n <= 125, 'a long control frame');
  if (f.opcode === TEXT) f.text = new TextDecoder('utf-8', { fatal: true }).decode(f.payload);
  if (f.opcode === CLOSE && n > 0) {
    f.code = f.payload.readUInt16BE(0);
    f.reason = new TextDecoder('utf-8', { fatal: true }).decode(f.payload.subarray(2));
  }
  return f;
}

export class Socket {
  constructor(connection, answer) {
    this.connection = connection;
    this.answer = answer;
    this.hasClosed = false;
  }

  send(...pieces) { return this.connection.send(...pieces); }

  // The next frame; null: the connection has ended.
  async next(timeout) {
    const c = this.connection;
    const f = await c.until(() => {
      const found = parseFrame(c.rest);
      if (found) return found;
      if (!c.closed) return null;
      assert.equal(c.rest.length, 0, 'half a frame at the end');
      return 'ended';
    }, 'a frame', timeout);
    if (f === 'ended') return null;
    c.taken += f.size;
    assert.ok(!this.hasClosed, 'it speaks behind its Close');
    this.hasClosed = f.opcode === CLOSE;
    return f;
  }

  // The next message, as JSON; other frames are wrong here, but for a server's pings.
  async message(timeout) {
    for (;;) {
      const f = await this.next(timeout);
      assert.ok(f, 'the connection has ended');
      if (f.opcode === PING) {
        await this.send(frame(PONG, f.payload));
        continue;
      }
      assert.equal(f.opcode, TEXT, f.code ? `closed with ${f.code} ${f.reason}` : `opcode ${f.opcode}`);
      return JSON.parse(f.text);
    }
  }

  async messageOf(type, timeout) {
    for (;;) {
      const m = await this.message(timeout);
      if (m.type === type) return m;
    }
  }

  destroy() { this.connection.destroy(); }
}

// Connects and shakes hands; nothing is read behind the head.
export async function open(port, { path, lines, pieces, more = [] } = {}) {
  const c = await connect(port);
  await c.send(...(pieces ? pieces(handshake(path, lines)) : [handshake(path, lines)]), ...more);
  const r = await c.until(() => parseResponse(c.received, 0, { ended: c.closed === 'fin' }), 'the answer to the handshake');
  c.taken = r.end;
  assert.equal(r.status, 101, `${r.status} ${r.status === 101 ? '' : r.text}`);
  assert.equal(r.header('upgrade'), 'websocket');
  assert.ok(r.has('connection', 'upgrade'));
  assert.equal(r.header('sec-websocket-extensions'), undefined);
  assert.equal(r.header('sec-websocket-accept'), createHash('sha1').update((lines?.['Sec-WebSocket-Key'] ?? KEY) + GUID).digest('base64'));
  return new Socket(c, r);
}

// The same, with the greeting of /ws/chat read.
export async function greeted(port, options) {
  const s = await open(port, options);
  s.greeting = await s.message();
  assert.equal(s.greeting.type, 'system');
  return s;
}
