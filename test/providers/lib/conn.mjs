// One connection: bytes in with a strict HTTP/1.1 request reader, bytes out as badly as a script wants.
import { Duplex } from 'node:stream';
import { checker } from './answer.mjs';

export class Gone extends Error {}

// Between a TLS engine and TCP: cuts the records' bytes, or stops sending them.
export class Wire extends Duplex {
  constructor(raw, plan = {}) {
    super({ allowHalfOpen: true });
    this.raw = raw;
    this.plan = plan;
    this.sent = 0;
    raw.on('data', (d) => this.push(d) || raw.pause());
    raw.on('end', () => (this.stopped ? this.destroy() : this.push(null)));
    raw.on('error', (e) => this.destroy(e));
    raw.on('close', () => this.destroy());
  }
  _read() { this.raw.resume(); }
  async _write(chunk, _, done) {
    const { split = chunk.length, every = 0, stop = Infinity } = this.plan;
    for (let i = 0; i < chunk.length && !this.raw.destroyed; i += split) {
      const part = chunk.subarray(i, Math.min(i + split, chunk.length));
      if (this.sent + part.length > stop) { // for ever
        this.stopped = true;
        this.raw.write(part.subarray(0, stop - this.sent));
        return;
      }
      this.sent += part.length;
      this.raw.write(part);
      if (split < chunk.length) await new Promise((r) => (every ? setTimeout(r, every) : setImmediate(r)));
    }
    done();
  }
  _final(done) { this.raw.end(done); }
  _destroy(e, done) { this.raw.destroy(); done(e); }
}

export class Conn {
  constructor(id, raw, wire) {
    Object.assign(this, { id, raw, wire, sock: raw, opened: Date.now(), requests: 0, tls: null, buf: Buffer.alloc(0) });
    this.ours = false; // closed by us
    this.gone = new Promise((r) => (this.setGone = r));
  }
  // From here on bytes are read: at once, or when TLS stands.
  attach(sock) {
    this.sock = sock;
    sock.on('data', (d) => {
      this.buf = this.buf.length ? Buffer.concat([this.buf, d]) : d;
      this.wake?.();
    });
    sock.on('end', () => this.leave('fin'));
    sock.on('error', (e) => this.leave(e.code === 'ECONNRESET' || e.code === 'EPIPE' ? 'reset' : e.code ?? e.message));
    sock.on('close', () => this.leave('closed'));
  }
  leave(how) {
    if (!this.left) {
      this.left = { how, at: Date.now(), ours: this.ours };
      this.setGone(this.left);
      this.wake?.();
    }
  }
  async more() { // false: nothing will come any more
    if (this.left) return false;
    const n = this.buf.length;
    while (this.buf.length === n && !this.left) await new Promise((r) => (this.wake = r));
    return this.buf.length > n;
  }
  async take(n) {
    while (this.buf.length < n) if (!(await this.more())) throw new Gone('in the middle of a message');
    const out = this.buf.subarray(0, n);
    this.buf = this.buf.subarray(n);
    return out;
  }
  async line(max = 1 << 20) {
    for (let i; (i = this.buf.indexOf('\r\n')) < 0;) {
      if (this.buf.length > max || !(await this.more())) throw new Gone('in the middle of a line');
    }
    return (await this.take(this.buf.indexOf('\r\n') + 2)).subarray(0, -2).toString('latin1');
  }
  async sleep(ms) {
    let timer;
    const time = ms === undefined ? [] : [new Promise((r) => (timer = setTimeout(r, ms)))];
    await Promise.race([this.gone, ...time]);
    clearTimeout(timer);
    if (this.left) throw new Gone();
  }
  async write(data) {
    if (!data.length) return;
    const bad = this.left || (await Promise.race([new Promise((r) => this.sock.write(data, r)), this.gone]));
    if (bad) throw new Gone();
  }
  // With the cuts a script asked for: pieces of f.split bytes, f.every ms between them.
  async put(data, f) {
    const b = Buffer.from(data);
    const step = f.split ?? b.length;
    for (let i = 0; i < b.length; i += step) {
      await this.write(b.subarray(i, i + step));
      if (f.every) await this.sleep(f.every);
      else if (f.split) await new Promise(setImmediate);
    }
  }
  // A piece of the body, cut and ended where f.cuts and f.at (offsets in the body) say.
  async say(rec, f, b, before = '', after = '') {
    const from = rec.sent;
    const cuts = [...(f.cuts ?? []), ...(typeof f.at === 'number' ? [f.at] : [])]
      .filter((c) => c > from && c < from + b.length).sort((x, y) => x - y);
    for (const [i, start] of [from, ...cuts].entries()) {
      const part = b.subarray(start - from, (cuts[i] ?? from + b.length) - from);
      const whole = i === cuts.length && rec.sent + part.length !== f.at;
      await this.put(Buffer.concat([Buffer.from(i ? '' : before), part, Buffer.from(whole ? after : '')]), f);
      rec.sent += part.length;
      if (cuts.length) await this.sleep(2);
      await this.stop(rec, f);
      if (!whole && i === cuts.length) await this.put(after, f);
    }
  }
  async stop(rec, f) { if (rec.sent === f.at) await this.end(f.then ?? 'fin', f.ms); }
  async end(how, ms) {
    if (how === 'stall') return this.sleep(ms);
    if (this.sock !== this.raw || how === 'reset') await this.sleep(20); // let what was said arrive first
    this.ours = true;
    if (how === 'reset') this.raw.resetAndDestroy();
    else if (how === 'bare-fin') this.raw.end();
    else this.sock.end();
    // A peer that does not close its side is not waited for.
    const timer = setTimeout(() => this.raw.destroy(), 2000);
    timer.unref();
    this.raw.once('close', () => clearTimeout(timer));
    throw new Gone();
  }

  // One request, or null when the connection ends between two of them.
  async request(begun) {
    while (this.buf.length === 0) if (!(await this.more())) return null;
    begun?.();
    const problems = [];
    const want = checker(problems);
    const first = await this.line();
    const at = Date.now();
    const [, method, target, version] = /^([A-Z]+) (\S+) HTTP\/(\d\.\d)$/.exec(first) ?? [];
    want(method, `request line: ${first}`);
    want(version === '1.1', `version ${version}`);
    const headers = {};
    const rawHeaders = [];
    for (let l; (l = await this.line());) {
      const [, k, v] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(l) ?? [];
      if (!want(k && !/[\0-\x08\x0a-\x1f\x7f]/.test(v), `header line: ${JSON.stringify(l)}`)) continue;
      rawHeaders.push([k, v]);
      const key = k.toLowerCase();
      want(!(key in headers) || !/^(host|content-length|content-type|authorization|transfer-encoding)$/.test(key), `${key} twice`);
      headers[key] = key in headers ? `${headers[key]}, ${v}` : v;
    }
    want(headers.host !== undefined, 'no Host');
    const cl = headers['content-length'];
    const te = headers['transfer-encoding'];
    want(!(cl && te), 'Content-Length and Transfer-Encoding');
    want(!cl || /^\d+$/.test(cl), `Content-Length: ${cl}`);
    if (headers.expect === '100-continue') await this.write('HTTP/1.1 100 Continue\r\n\r\n');
    let raw = Buffer.alloc(0);
    if (te === 'chunked') {
      for (let n; (n = parseInt(await this.line(), 16));) {
        raw = Buffer.concat([raw, await this.take(n)]);
        want((await this.take(2)).toString() === '\r\n', 'chunk end');
      }
      while (await this.line());
    } else if (cl) raw = Buffer.from(await this.take(Number(cl)));
    let body = null;
    if (raw.length) {
      try {
        body = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(raw));
      } catch (e) {
        problems.push(`body: ${e.message}`);
      }
    }
    const q = (target ?? '').indexOf('?');
    return {
      method, target, version, headers, rawHeaders, raw, body, at, problems,
      path: q < 0 ? target : target.slice(0, q),
      query: q < 0 ? {} : Object.fromEntries(new URLSearchParams(target.slice(q + 1))),
      search: q < 0 ? '' : target.slice(q + 1),
    };
  }
}
