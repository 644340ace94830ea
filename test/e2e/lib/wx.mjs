// As much of WeChat's `wx` as a mini-program needs to chat: real HTTP underneath, and the moods of
// phones above it. Chunks are cut wherever a test says, connections break at any byte, the
// program goes to the background, and requests time out earlier than they were told to.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { join, resolve } from 'node:path';
import vm from 'node:vm';

export const home = resolve(import.meta.dirname, '../../../docs/miniprogram');

// Numbers that are the same in each run (mulberry32): random(n) is below n.
export function random(seed) {
  let a = seed >>> 0;
  return (n) => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

// How the bytes that have come are cut into chunks; 0: as they come.
export const cuts = {
  whole: () => 0,
  each: (n) => () => n,
  odd: (seed) => { const r = random(seed); return () => 1 + 2 * r(20); },
};

class Task {
  #chunk = [];
  #head = [];
  onChunkReceived(f) { this.#chunk.push(f); }
  onHeadersReceived(f) { this.#head.push(f); }
  chunk(data) { for (const f of this.#chunk) f({ data }); }
  head(r) { for (const f of this.#head) f(r); }
}

export class Wx {
  requests = [];                              // { method, path, header, data, status } of all
  logins = 0;
  storage = new Map();
  cut = cuts.whole;
  knowsChunks = true;                         // else everything comes at the end
  repeats = false;                            // all that came in chunks comes at the end once more
  tellsHead = true;
  knowsAbort = true;                          // else a request goes on whatever is said to it
  headerNames = (name) => name;
  taken = null;                               // an array: what the chunks held
  longest = Infinity;                         // ms after which a request ends, whatever it asked for
  base = '';                                  // who answers for chat.example.com
  #breaks = [];                               // for the next streams, bytes after which they break
  #running = new Set();
  #hidden = false;
  #agent = new http.Agent({ keepAlive: true });

  constructor(code = 'anna') {
    this.code = code;
    for (const name of ['request', 'login', 'getStorageSync', 'setStorageSync']) this[name] = this[name].bind(this);
  }

  // ---- what a test does to it

  // Each stream from now on breaks after so many bytes of its body; -1: before its question is sent.
  breakAfter(...bytes) { this.#breaks.push(...bytes); }

  hide() {
    this.#hidden = true;
    for (const r of [...this.#running]) r.fail('request:fail interrupted');
  }

  show() { this.#hidden = false; }

  cutNow() { for (const r of [...this.#running]) r.fail('request:fail net::ERR_CONNECTION_RESET'); }

  close() {
    this.cutNow();
    this.#agent.destroy();
  }

  asked(method, pattern) { return this.requests.filter((r) => r.method === method && pattern.test(r.path)); }

  // ---- what the mini-program does

  getStorageSync(name) { return this.storage.get(name) ?? ''; }
  setStorageSync(name, value) { this.storage.set(name, value); }

  login({ success, fail }) {
    this.logins++;
    setImmediate(() => (this.code ? success({ code: `${this.code}-${this.logins}`, errMsg: 'login:ok' }) : fail({ errMsg: 'login:fail' })));
  }

  request(o) {
    const task = new Task();
    const url = new URL(this.base ? o.url.replace('https://chat.example.com', this.base) : o.url);
    const record = { method: o.method ?? 'GET', path: url.pathname + url.search, header: o.header, data: o.data, status: 0 };
    this.requests.push(record);
    const breakAt = o.enableChunked && this.#breaks.length ? this.#breaks.shift() : Infinity;
    const run = { over: false };
    const end = (then) => {
      if (run.over) return;
      run.over = true;
      clearTimeout(timer);
      this.#running.delete(run);
      then();
    };
    run.fail = (errMsg) => end(() => { req?.destroy(); setImmediate(() => o.fail?.({ errMsg })); });
    const timer = setTimeout(() => run.fail('request:fail timeout'), Math.min(o.timeout ?? 60000, this.longest));
    task.abort = () => this.knowsAbort && run.fail('request:fail abort');
    this.#running.add(run);
    let req;
    if (this.#hidden) setImmediate(() => run.fail('request:fail interrupted'));
    else if (breakAt < 0) setImmediate(() => run.fail('request:fail net::ERR_CONNECTION_REFUSED'));
    else req = this.#send(o, url, record, task, run, end, breakAt);
    return task;
  }

  #send(o, url, record, task, run, end, breakAt) {
    const body = o.data === undefined || record.method === 'GET' ? null : Buffer.from(JSON.stringify(o.data));
    const headers = { ...o.header, referer: 'https://servicewechat.com/wx0/devtools/page-frame.html', ...(body && { 'content-length': body.length }) };
    const req = http.request(url, { method: record.method, headers, agent: this.#agent }, (res) => {
      record.status = res.statusCode;
      const header = Object.fromEntries(Object.entries(res.headers).map(([k, v]) => [this.headerNames(k), String(v)]));
      const all = [];
      let left = breakAt;
      if (run.over) return;
      if (this.tellsHead && o.enableChunked) task.head({ header, statusCode: res.statusCode });
      const broken = () => run.fail('request:fail net::ERR_CONNECTION_RESET');
      if (left <= 0) return broken();
      res.on('data', (bytes) => {
        const part = bytes.subarray(0, left);
        left -= part.length;
        const inChunks = o.enableChunked && this.knowsChunks;
        if (inChunks) this.#deliver(part, task, run);
        if (!inChunks || this.repeats) all.push(part);
        if (left <= 0) broken();
      });
      res.on('error', broken);
      res.on('end', () => end(() => o.success?.({ statusCode: res.statusCode, header, cookies: [], errMsg: 'request:ok', data: content(Buffer.concat(all), o) })));
    });
    req.on('error', (e) => run.fail(`request:fail ${e.message}`));
    req.end(body);
    return req;
  }

  // Each piece in memory of its own, which is spoilt afterwards: who keeps it, keeps nothing.
  #deliver(bytes, task, run) {
    for (let at = 0; at < bytes.length && !run.over;) {
      const n = this.cut() || bytes.length;
      const piece = new Uint8Array(bytes.subarray(at, at + n));
      this.taken?.push(Buffer.from(piece));
      task.chunk(piece.buffer);
      piece.fill(0xff);
      at += n;
    }
  }
}

// As dataType and responseType have it when they are not set to something else.
function content(bytes, o) {
  if (o.responseType === 'arraybuffer') return new Uint8Array(bytes).buffer;
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return bytes.toString();
  }
}

// ---- the language ---------------------------------------------------------------

// What ES2017 does not have, though it needs no new grammar.
const LATER = `
  delete Promise.prototype.finally; delete Promise.allSettled; delete Promise.any;
  delete Array.prototype.flat; delete Array.prototype.flatMap; delete Array.prototype.at;
  delete Object.fromEntries; delete Object.hasOwn; delete String.prototype.matchAll;
  delete String.prototype.replaceAll; delete String.prototype.trimStart; delete String.prototype.at;
  delete globalThis.globalThis;`;

export const source = (path) => readFileSync(join(home, path), 'utf8');

// Runs files of the mini-program where there is nothing but the language, timers and what
// `globals` adds: no TextDecoder, no fetch, no Buffer, no process.
export function program(globals = {}) {
  const context = vm.createContext({ setTimeout, clearTimeout, console, ...globals });
  vm.runInContext(LATER, context);
  const loaded = new Map();
  const load = (path) => {
    if (!loaded.has(path)) {
      const module = { exports: {} };
      loaded.set(path, module);
      const require = (wanted) => load(`${join(path, '..', wanted)}.js`);
      vm.runInContext(`(function (module, exports, require) {${source(path)}\n})`, context, { filename: path })(module, module.exports, require);
    }
    return loaded.get(path).exports;
  };
  return load;
}
