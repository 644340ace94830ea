// A reader of event streams who writes down what comes and when, who can leave at the n-th event
// and come back, saying what he saw last. He reads as the HTML standard says.
//
//     const r = read(port, { body: {...}, cutAt: 5 });
//     await r.over;                          // 'whole', 'cut' (by him) or 'broken' (by others)
//     const rest = read(port, { path: '/...', lastEventId: r.lastEventId });
import http from 'node:http';
import { ms } from './raw.mjs';

// Cuts text into lines and these into events; `on` has message() and comment().
class Events {
  #rest = '';
  #event = '';
  #data = [];
  lastEventId = '';
  retry = null;

  constructor(on) { this.on = on; }

  feed(text) {
    const all = this.#rest + text;
    const held = all.endsWith('\r');          // its LF may be on its way
    const lines = (held ? all.slice(0, -1) : all).split(/\r\n|\n|\r/);
    this.#rest = lines.pop() + (held ? '\r' : '');
    for (const line of lines) if (this.#line(line) === false) return;
  }

  // False: nobody wants more.
  #line(line) {
    if (line === '') return this.#dispatch();
    if (line.startsWith(':')) return this.on.comment(line.slice(1));
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'data') this.#data.push(value);
    if (name === 'event') this.#event = value;
    if (name === 'id' && !value.includes('\0')) this.lastEventId = value;
    if (name === 'retry' && /^\d+$/.test(value)) this.retry = Number(value);
  }

  #dispatch() {
    const message = { id: this.lastEventId, event: this.#event || 'message', data: this.#data.join('\n') };
    const some = this.#data.length > 0;
    this.#event = '';
    this.#data = [];
    if (some) return this.on.message(message);
  }
}

class Reader {
  #events = new Events({ message: (m) => this.#message(m), comment: (text) => this.#comment(text) });
  #decode = new TextDecoder('utf-8', { fatal: true });
  #waiters = new Set();
  #inRead = false;
  status = null;
  headers = null;
  text = '';                                  // all of the body, whatever it is
  events = [];                                // { id, event, data, at, read }
  comments = [];                              // { text, at, read }
  times = { asked: performance.now() };       // then head, end; all times are performance.now()'s
  reads = 0;                                  // what came together has the same number
  end = null;
  error = null;

  constructor(port, { path = '/v1/chat/completions', body, method = body === undefined ? 'GET' : 'POST', headers = {}, lastEventId,
    cutAt = Infinity, agent = false, localAddress }) {
    this.cutAt = cutAt;
    this.over = new Promise((done) => { this.finish = (how) => { this.end ??= how; this.times.end ??= performance.now(); this.#wake(); done(this.end); }; });
    this.request = http.request({ host: '127.0.0.1', port, path, method, agent, localAddress, headers: {
      accept: 'text/event-stream', ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(lastEventId && { 'last-event-id': lastEventId }), ...headers } }, (res) => this.#read(res));
    this.request.setNoDelay(true);
    this.request.on('error', (e) => { this.error ??= e; this.finish('broken'); });
    this.request.end(body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body));
  }

  #read(res) {
    this.status = res.statusCode;
    this.headers = res.headers;
    this.times.head = performance.now();
    const isStream = /^text\/event-stream\b/.test(res.headers['content-type']);
    res.on('data', (bytes) => this.#bytes(bytes, isStream));
    res.on('error', (e) => { this.error ??= e; });
    res.on('close', () => this.finish(res.complete ? 'whole' : 'broken'));
    this.#wake();
  }

  #bytes(bytes, isStream) {
    if (this.end) return;
    if (!this.#inRead) {
      this.#inRead = true;
      this.reads++;
      setImmediate(() => { this.#inRead = false; });
    }
    const text = this.#decode.decode(bytes, { stream: true });
    this.text += text;
    if (isStream) this.#events.feed(text);
    this.#wake();
  }

  #message(m) {
    this.events.push({ ...m, at: performance.now(), read: this.reads });
    if (this.events.length < this.cutAt) return;
    this.leave();
    return false;
  }

  #comment(text) { this.comments.push({ text, at: performance.now(), read: this.reads }); }

  #wake() { for (const w of [...this.#waiters]) w(); }

  get lastEventId() { return this.events.at(-1)?.id ?? ''; }
  get retry() { return this.#events.retry; }

  // Goes without a word, as a closed browser tab does.
  leave() {
    this.finish('cut');
    this.request.destroy();
  }

  // Resolves when `look` is true, asked again whenever something comes.
  until(look, what = 'the stream to move', timeout = ms(10000)) {
    return new Promise((done, fail) => {
      const finish = (f, v) => { clearTimeout(timer); this.#waiters.delete(ask); f(v); };
      const ask = () => {
        if (look(this)) finish(done, this);
        else if (this.end) finish(fail, new Error(`ended (${this.end}, ${this.status}) before ${what}: ${this.text.slice(-300)}`));
      };
      const timer = setTimeout(() => finish(fail, new Error(`waited ${timeout} ms for ${what}: ${this.text.slice(-300)}`)), timeout);
      this.#waiters.add(ask);
      ask();
    });
  }
}

// Asks, and reads what comes: a body that is no text or bytes is sent as JSON. `cutAt` is the
// number of events after which he leaves; `lastEventId` is what he saw before.
export const read = (port, options = {}) => new Reader(port, options);

// ---- OpenAI's streams --------------------------------------------------------

// { text, done, error, words } of what a reader has heard so far; words are the events with text.
export function heard(reader) {
  const seen = { text: '', done: false, error: null, words: [] };
  for (const e of reader.events) {
    if (seen.done) throw new Error('something behind [DONE]');
    if (e.data === '[DONE]') { seen.done = true; continue; }
    const chunk = JSON.parse(e.data);
    const word = chunk.choices?.[0]?.delta?.content;
    seen.error ??= chunk.error ?? null;
    if (word) seen.words.push({ ...e, word });
    seen.text += word ?? '';
  }
  return seen;
}
