// A raw HTTP/1.1 client: it sends exactly the bytes a test names, in the pieces
// and with the pauses it names, and reads answers with a parser that forgives
// nothing. Text stands for latin1 bytes; give a Buffer for UTF-8.
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export const slow = Number(process.env.RUNNEL_SLOW ?? 1);
export const ms = (n) => Math.round(n * slow);

export const bytes = (x) => (Buffer.isBuffer(x) ? x : Buffer.from(x, 'latin1'));

// A head out of its lines: req('GET / HTTP/1.1', 'Host: a').
export const req = (...lines) => lines.join('\r\n') + '\r\n\r\n';

export const chunk = (data, ext = '') => {
  const b = bytes(data);
  return Buffer.concat([bytes(b.length.toString(16) + ext + '\r\n'), b, bytes('\r\n')]);
};

export const post = (path, body, ...lines) => {
  const b = Buffer.isBuffer(body) ? body : Buffer.from(body, 'utf8');
  return Buffer.concat([
    bytes(req(`POST ${path} HTTP/1.1`, 'Host: a', 'Content-Type: application/json', ...lines,
      `Content-Length: ${b.length}`)), b]);
};

export const question = (text, more = {}) =>
  JSON.stringify({ model: 'echo', messages: [{ role: 'user', content: text }], ...more });

export const chat = (text, more, ...lines) =>
  post('/v1/chat/completions', question(text, more), ...lines);

// ---- the parser --------------------------------------------------------------

export class BadResponse extends Error {}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

function refuse(what, context) {
  throw new BadResponse(`${what}: ${JSON.stringify(String(context).slice(0, 200))}`);
}

function parseFields(lines) {
  const fields = new Map();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '');
    if (colon < 1 || !TOKEN.test(name) || !VALUE.test(value)) refuse('bad header line', line);
    const key = name.toLowerCase();
    fields.set(key, [...(fields.get(key) ?? []), value]);
  }
  return fields;
}

// Lines of a header section end in CRLF; a CR or LF of its own is an error.
function splitHead(text) {
  const lines = text.split('\r\n');
  for (const line of lines) if (/[\r\n\0]/.test(line)) refuse('bare CR, LF or NUL in head', line);
  return lines;
}

// Reads a chunked body from `at`. Gives null while it is incomplete, otherwise
// { chunks, trailers, end }. `partial` collects whole chunks for tests that
// look at streams which have not ended.
export function parseChunked(buffer, at, partial = []) {
  const chunks = partial;
  for (;;) {
    const eol = buffer.indexOf('\r\n', at);
    if (eol < 0) {
      if (buffer.length - at > 200) refuse('endless chunk-size line', buffer.subarray(at, at + 40));
      return null;
    }
    const line = buffer.toString('latin1', at, eol);
    if (!/^[0-9a-fA-F]{1,8}$/.test(line)) refuse('bad chunk-size line', line);
    const size = parseInt(line, 16);
    at = eol + 2;
    if (size === 0) break;
    if (buffer.length < at + size + 2) return null;
    chunks.push(buffer.subarray(at, at + size));
    if (buffer.toString('latin1', at + size, at + size + 2) !== '\r\n')
      refuse('no CRLF after chunk data', buffer.subarray(at + size, at + size + 8));
    at += size + 2;
  }
  if (buffer.length < at + 2) return null;
  if (buffer.toString('latin1', at, at + 2) === '\r\n') return { chunks, trailers: new Map(), end: at + 2 };
  const end = buffer.indexOf('\r\n\r\n', at);
  if (end < 0) return null;
  return { chunks, trailers: parseFields(splitHead(buffer.toString('latin1', at, end))), end: end + 4 };
}

export class Response {
  header(name) {
    return this.headers.get(name.toLowerCase())?.join(', ');
  }

  get text() {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.body);
  }

  get json() {
    return JSON.parse(this.text);
  }

  has(name, token) {
    const list = this.header(name)?.toLowerCase().split(',').map((s) => s.trim()) ?? [];
    return list.includes(token);
  }
}

function parseHead(text) {
  const [first, ...lines] = splitHead(text);
  const m = /^HTTP\/1\.1 ([1-5][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)$/.exec(first);
  if (!m) refuse('bad status line', first);
  const r = new Response();
  r.status = Number(m[1]);
  r.reason = m[2];
  r.headers = parseFields(lines);
  r.chunks = null;
  for (const once of ['content-length', 'transfer-encoding', 'content-type', 'date', 'x-request-id',
    'retry-after', 'access-control-allow-origin'])
    if ((r.headers.get(once)?.length ?? 0) > 1) refuse(`${once} given twice`, text);
  return r;
}

// RFC 9112 section 6.3, as a client. Gives null while more bytes are needed.
export function parseResponse(buffer, at, { method = 'GET', ended = false } = {}) {
  const end = buffer.indexOf('\r\n\r\n', at);
  if (end < 0) {
    if (buffer.length > at && !'HTTP/1.1 '.startsWith(buffer.toString('latin1', at, at + 9)))
      refuse('not a response', buffer.subarray(at, at + 60).toString('latin1'));
    return null;
  }
  const r = parseHead(buffer.toString('latin1', at, end));
  const te = r.header('transfer-encoding');
  const cl = r.header('content-length');
  const start = end + 4;

  if (te !== undefined && te !== 'chunked') refuse('bad Transfer-Encoding', te);
  if (cl !== undefined && !/^(0|[1-9][0-9]*)$/.test(cl)) refuse('bad Content-Length', cl);
  if (te !== undefined && cl !== undefined) refuse('Content-Length and Transfer-Encoding', r.status);
  const bodiless = r.status < 200 || r.status === 204 || r.status === 304 || method === 'HEAD';
  if ((r.status < 200 || r.status === 204) && (te !== undefined || cl !== undefined))
    refuse('body length in a 1xx or 204 (RFC 9110 8.6, RFC 9112 6.1)', r.status);

  if (bodiless) {
    r.body = Buffer.alloc(0);
    r.end = start;
  } else if (te) {
    const c = parseChunked(buffer, start);
    if (!c) return null;
    Object.assign(r, { body: Buffer.concat(c.chunks), chunks: c.chunks, trailers: c.trailers, end: c.end });
  } else if (cl !== undefined) {
    if (buffer.length < start + Number(cl)) return null;
    r.body = buffer.subarray(start, start + Number(cl));
    r.end = start + Number(cl);
  } else {
    if (!ended) return null;
    r.body = buffer.subarray(start);
    r.end = buffer.length;
    r.untilClose = true;
  }
  return r;
}

// ---- the connection ----------------------------------------------------------

export class Connection {
  #pieces = [];
  #joined = Buffer.alloc(0);
  #waiters = new Set();

  constructor(socket) {
    this.socket = socket;
    this.closed = null; // 'fin', 'reset', or null while it is open
    this.reads = []; // { at, bytes } of every read
    this.taken = 0; // how far responses have been parsed
    socket.setNoDelay(true);
    socket.on('data', (data) => {
      this.#pieces.push(data);
      this.reads.push({ at: performance.now(), bytes: data });
      this.#wake();
    });
    socket.on('end', () => { this.closed ??= 'fin'; this.#wake(); });
    socket.on('error', () => { this.closed ??= 'reset'; this.#wake(); });
    socket.on('close', () => { this.closed ??= 'reset'; this.#wake(); });
  }

  get received() {
    if (this.#pieces.length) {
      this.#joined = Buffer.concat([this.#joined, ...this.#pieces]);
      this.#pieces = [];
    }
    return this.#joined;
  }

  get rest() {
    return this.received.subarray(this.taken);
  }

  #wake() {
    for (const w of [...this.#waiters]) w();
  }

  // Resolves with the first truthy value of `look`, asked again on every event.
  until(look, what = 'the connection to move', timeout = ms(10000)) {
    return new Promise((resolve, reject) => {
      const finish = (f, v) => { clearTimeout(timer); this.#waiters.delete(ask); f(v); };
      const ask = () => {
        try {
          const v = look();
          if (v) finish(resolve, v);
        } catch (e) {
          finish(reject, e);
        }
      };
      const timer = setTimeout(() => finish(reject, new Error(
        `waited ${timeout} ms for ${what}; closed=${this.closed}, unread bytes: ` +
        JSON.stringify(this.rest.toString('latin1').slice(-300)))), timeout);
      this.#waiters.add(ask);
      ask();
    });
  }

  // Sends pieces in order; a number is a pause in milliseconds. A peer that has
  // gone is no error here: what it answered before is what counts.
  async send(...pieces) {
    for (const p of pieces.flat(Infinity)) {
      if (typeof p === 'number') await sleep(p);
      else if (this.socket.writable) await new Promise((r) => this.socket.write(bytes(p), () => r()));
    }
    return this;
  }

  // The next final response. Interim ones are kept in its `interim`.
  async response({ method = 'GET', timeout } = {}) {
    const interim = [];
    for (;;) {
      const r = await this.until(() => {
        const found = parseResponse(this.received, this.taken, { method, ended: this.closed === 'fin' });
        if (!found && this.closed) throw new Error(
          `closed (${this.closed}) before a whole response; got ` +
          JSON.stringify(this.rest.toString('latin1').slice(0, 300)));
        return found;
      }, 'a response', timeout);
      this.taken = r.end;
      if (r.status >= 200) return Object.assign(r, { interim });
      interim.push(r);
    }
  }

  // Waits until the peer closes its side, then closes ours. Gives 'fin' or 'reset'.
  async ended(timeout) {
    await this.until(() => this.closed, 'the connection to be closed', timeout);
    this.socket.end();
    return this.closed;
  }

  halfClose() { this.socket.end(); }
  reset() { this.socket.resetAndDestroy(); }
  stopReading() { this.socket.pause(); }
  readAgain() { this.socket.resume(); }
  destroy() { this.socket.destroy(); }
}

export function connect(port, host = '127.0.0.1') {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host, allowHalfOpen: true });
    socket.once('error', reject);
    socket.once('connect', () => { socket.off('error', reject); resolve(new Connection(socket)); });
  });
}

// One request on a connection of its own.
export async function ask(port, data, options) {
  const c = await connect(port);
  try {
    await c.send(data);
    return await c.response(options);
  } finally {
    c.destroy();
  }
}

export const get = (port, path, ...lines) =>
  ask(port, req(`GET ${path} HTTP/1.1`, 'Host: a', 'Connection: close', ...lines));

// ---- event streams -----------------------------------------------------------

// Splits an event stream as this service writes it: every event is one line
// (`data: ...` or a comment) and one empty line, all with LF. Anything else
// throws.
export function parseEvents(text) {
  if (/^\uFEFF|\r/.test(text)) refuse('CR or BOM in an event stream', text);
  const parts = text.split('\n\n');
  if (parts.pop() !== '') refuse('event without its blank line', text.slice(-200));
  return parts.map((p) => {
    if (p.includes('\n')) refuse('event of several lines', p);
    if (p.startsWith(':')) return { comment: p };
    if (!p.startsWith('data: ') || p === 'data: ') refuse('not a data line', p);
    if (p === 'data: [DONE]') return { done: true };
    return { data: JSON.parse(p.slice(6)), line: p };
  });
}

export const streamText = (events) =>
  events.map((e) => e.data?.choices?.[0]?.delta?.content ?? '').join('');

// The decoded body of a stream that may still be running: whole chunks so far.
export function chunksSoFar(connection, at = 0) {
  const head = connection.received.indexOf('\r\n\r\n', at);
  if (head < 0) return [];
  const chunks = [];
  parseChunked(connection.received, head + 4, chunks);
  return chunks;
}
