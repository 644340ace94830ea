// The server's side of RFC 6455: frames out, strictly checked frames in, and a table of frames no server may send.
import { createHash, randomBytes } from 'node:crypto';

export const OP = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };
export const acceptOf = (key) => createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');

export function frame(opcode, payload = '', { fin = true, rsv = 0, mask = null, length = null } = {}) {
  const b = Buffer.from(payload);
  const n = length ?? b.length;
  const size = n < 126 ? Buffer.from([n]) : n < 65536 ? Buffer.alloc(3) : Buffer.alloc(9);
  if (size.length === 3) size.writeUInt16BE(n, 1);
  if (size.length === 9) size.writeBigUInt64BE(BigInt(n), 1);
  if (size.length > 1) size[0] = size.length === 3 ? 126 : 127;
  if (mask) size[0] |= 128;
  return Buffer.concat([Buffer.from([(fin ? 128 : 0) | (rsv << 4) | opcode]), size, mask ?? Buffer.alloc(0), mask ? b.map((x, i) => x ^ mask[i & 3]) : b]);
}
export const closing = (code, reason = '') => frame(OP.close, code === null ? '' : Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]));

// One message in frames of n bytes.
export function message(text, n) {
  const b = Buffer.from(text);
  if (!n || b.length <= n) return [frame(OP.text, b)];
  return Array.from({ length: Math.ceil(b.length / n) }, (_, i) =>
    frame(i ? OP.continuation : OP.text, b.subarray(i * n, (i + 1) * n), { fin: (i + 1) * n >= b.length }));
}

export const BAD_FRAMES = {
  masked: (text) => frame(OP.text, text, { mask: randomBytes(4) }),
  rsv: (text) => frame(OP.text, text, { rsv: 4 }),
  binary: (text) => frame(OP.binary, text),
  'unknown-opcode': (text) => frame(3, text),
  'bad-utf8': () => frame(OP.text, Buffer.from('{"header":{"code":0,"message":"\xff\xfe"}}', 'latin1')),
  'not-json': () => frame(OP.text, 'this is not JSON'),
  'continuation-first': (text) => frame(OP.continuation, text),
  'text-in-text': (text) => Buffer.concat([frame(OP.text, text, { fin: false }), frame(OP.text, text)]),
  'huge-length': () => frame(OP.text, '{"header"', { length: 2 ** 30 }),
  'length-overflow': () => Buffer.from([129, 127, 255, 255, 255, 255, 255, 255, 255, 255, 65]),
  'long-control': () => frame(OP.ping, 'p'.repeat(126)),
  'cut-control': () => frame(OP.ping, 'p', { fin: false }),
  'ping-flood': () => Buffer.concat(Array(5000).fill(frame(OP.ping, 'p'.repeat(125)))),
  'fragment-flood': () => Buffer.concat([frame(OP.text, '', { fin: false }), ...Array(50000).fill(frame(OP.continuation, '', { fin: false }))]),
  'close-1-byte': () => frame(OP.close, 'x'),
  'close-1005': () => closing(1005),
  'close-bad-utf8': () => frame(OP.close, Buffer.from([3, 232, 255])),
};

export class Bad extends Error {
  constructor(code, text) {
    super(text);
    this.code = code;
  }
}

// The next message or control frame of a client; `between` gets the control frames inside a message.
export async function read(conn, between) {
  let parts = null;
  for (;;) {
    const [b0, b1] = await conn.take(2);
    const op = b0 & 15;
    const fin = b0 > 127;
    if (b0 & 0x70) throw new Bad(1002, 'RSV bits');
    if (!(b1 & 128)) throw new Bad(1002, 'not masked');
    let n = b1 & 127;
    if (op >= 8 && (n > 125 || !fin)) throw new Bad(1002, 'control frame');
    if (n === 126 && (n = (await conn.take(2)).readUInt16BE()) < 126) throw new Bad(1002, 'length not minimal');
    if (n === 127 && (n = Number((await conn.take(8)).readBigUInt64BE())) < 65536) throw new Bad(1002, 'length not minimal');
    if (n > 1 << 24) throw new Bad(1009, 'too big');
    const mask = await conn.take(4);
    const data = Buffer.from((await conn.take(n)).map((x, i) => x ^ mask[i & 3]));
    const got = { op, data, mask: mask.toString('hex') };
    if (op >= 8) {
      if (op > 10) throw new Bad(1002, `opcode ${op}`);
      if (op === OP.close && n === 1) throw new Bad(1002, 'close of one byte');
      if (!parts || op === OP.close) return got;
      await between(got);
      continue;
    }
    if (op > 2 || (op === 0) !== (parts !== null)) throw new Bad(1002, `opcode ${op}`);
    if (op) parts = { op, all: [] };
    parts.all.push(data);
    if (!fin) continue;
    const whole = Buffer.concat(parts.all);
    if (parts.op === OP.text) {
      try {
        new TextDecoder('utf-8', { fatal: true }).decode(whole);
      } catch {
        throw new Bad(1007, 'not UTF-8');
      }
    }
    return { ...got, op: parts.op, data: whole, frames: parts.all.length };
  }
}
