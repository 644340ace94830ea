// Small clients for the self tests: one HTTP question, bytes as they are, and a WebSocket client for Spark.
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import { randomBytes } from 'node:crypto';
import { signature } from '../spark.mjs';
import { frame, OP } from './ws.mjs';

// -> { status, headers, text, pieces, error }; a broken answer gives what came and the error's code.
export function ask(p, path, body, headers = {}, options = {}) {
  return new Promise((ok) => {
    const got = { status: null, headers: {}, text: '', pieces: [], error: null, interim: [] };
    const end = (e) => {
      got.error ??= e?.code ?? e?.message ?? null;
      got.text = Buffer.concat(got.pieces).toString();
      ok(got);
    };
    const req = (p.ca ? https : http).request(p.url + path, {
      method: body === undefined ? 'GET' : 'POST', agent: false, ca: p.ca ?? undefined, ...options,
      headers: { authorization: 'Bearer test', 'content-type': 'application/json', ...headers },
    }, (res) => {
      Object.assign(got, { status: res.statusCode, headers: res.headers });
      res.on('data', (d) => got.pieces.push(d)).on('error', end).on('end', () => end());
    });
    req.on('information', (i) => got.interim.push(i.statusCode)).on('error', end);
    req.setTimeout(options.patience ?? 8000, () => req.destroy(new Error('timeout')));
    req.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

// Sends bytes, gives back all that came and how it ended.
export function raw(p, bytes, { patience = 1000 } = {}) {
  return new Promise((ok) => {
    const pieces = [];
    const sock = p.ca ? tls.connect({ port: p.port, host: p.host, ca: p.ca }) : net.connect(p.port, p.host);
    const end = (how) => {
      sock.destroy();
      ok({ pieces, text: Buffer.concat(pieces).toString('latin1'), bytes: Buffer.concat(pieces), how });
    };
    sock.on('data', (d) => pieces.push(d)).on('end', () => end('fin')).on('error', (e) => end(e.code));
    sock.setTimeout(patience, () => end('silent'));
    sock.write(bytes);
  });
}
export const post = (path, body, headers = {}) => {
  const b = JSON.stringify(body);
  const all = { host: 'fake', authorization: 'Bearer test', 'content-type': 'application/json', 'content-length': Buffer.byteLength(b), ...headers };
  return `POST ${path} HTTP/1.1\r\n${Object.entries(all).map(([k, v]) => `${k}: ${v}`).join('\r\n')}\r\n\r\n${b}`;
};

// The data of every event, as JSON where it is JSON.
export const events = (text) => text.split(/\r\n|\r|\n/).filter((l) => l.startsWith('data:')).map((l) => {
  const d = l.slice(5).replace(/^ /, '');
  return d === '[DONE]' ? d : JSON.parse(d);
});

export function sparkUrl({ host, path = '/v3.5/chat', key = 'key', secret = 'secret', date = new Date().toUTCString() }) {
  const origin = `api_key="${key}", algorithm="hmac-sha256", headers="host date request-line", signature="${signature(secret, host, date, path)}"`;
  return `${path}?${new URLSearchParams({ authorization: Buffer.from(origin).toString('base64'), date, host })}`;
}
export const sparkBody = (text = 'hello', more = {}) => ({
  header: { app_id: 'appid001', uid: 'u1' }, parameter: { chat: { domain: 'generalv3.5', temperature: 0.5, max_tokens: 4096, ...more } },
  payload: { message: { text: [{ role: 'user', content: text }] } },
});

// -> { head, frames: [{op, fin, data}], close, how, ms }
export function spark(p, body, { target, headers = {}, answerClose = true, masked = true, op = OP.text, after, patience = 1500 } = {}) {
  return new Promise((ok) => {
    const host = `${p.host}:${p.port}`;
    const sock = p.ca ? tls.connect({ port: p.port, host: p.host, ca: p.ca }) : net.connect(p.port, p.host);
    const out = { head: null, frames: [], close: null, how: null };
    const send = (o, d) => sock.write(frame(o, d, { mask: masked ? randomBytes(4) : null }));
    let buf = Buffer.alloc(0);
    const end = (how) => {
      out.rest = buf;
      out.how ??= how;
      sock.destroy();
      ok(out);
    };
    sock.on('data', (d) => {
      buf = Buffer.concat([buf, d]);
      if (out.head === null) {
        const i = buf.indexOf('\r\n\r\n');
        if (i < 0) return;
        out.head = buf.toString('latin1', 0, i);
        buf = buf.subarray(i + 4);
        if (!out.head.startsWith('HTTP/1.1 101')) return;
        if (body !== undefined) send(op, typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body));
        after?.(send, sock);
      }
      for (;;) {
        if (buf.length < 2) return;
        let n = buf[1] & 127;
        const h = n === 127 ? 10 : n === 126 ? 4 : 2;
        if (buf.length < h) return;
        if (n === 126) n = buf.readUInt16BE(2);
        if (n === 127) n = Number(buf.readBigUInt64BE(2));
        if (buf[1] & 128 || buf.length < h + n) return;
        const f = { op: buf[0] & 15, fin: buf[0] > 127, rsv: (buf[0] >> 4) & 7, data: Buffer.from(buf.subarray(h, h + n)) };
        buf = buf.subarray(h + n);
        out.frames.push(f);
        if (f.op === OP.ping) send(OP.pong, f.data);
        if (f.op === OP.close) {
          out.close = f.data.length > 1 ? { code: f.data.readUInt16BE(), reason: f.data.subarray(2).toString() } : { code: 1005 };
          if (answerClose) send(OP.close, f.data.subarray(0, 2));
        }
      }
    });
    sock.on('end', () => end('fin')).on('error', (e) => end(e.code));
    sock.setTimeout(patience, () => end('silent'));
    const all = { Host: host, Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Key': randomBytes(16).toString('base64'), 'Sec-WebSocket-Version': '13', ...headers };
    sock.write(`GET ${target ?? sparkUrl({ host })} HTTP/1.1\r\n${Object.entries(all).filter(([, v]) => v !== null).map(([k, v]) => `${k}: ${v}`).join('\r\n')}\r\n\r\n`);
  });
}
// The text messages, put together again and read.
export function messages({ frames }) {
  const out = [];
  for (const f of frames) {
    if (f.op === OP.text) out.push(f.data);
    if (f.op === OP.continuation) out.push(Buffer.concat([out.pop(), f.data]));
  }
  return out.map((b) => JSON.parse(b));
}
