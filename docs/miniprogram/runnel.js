/* runnel.js - a chat with runnel, out of a WeChat mini-program. Paste it as it is: it needs
 * nothing but wx.request, wx.login, wx.getStorageSync and wx.setStorageSync.
 *
 *     const runnel = require('./runnel').create({ base: 'https://chat.example.com' });
 *
 *     runnel.messagesByContext('general', '').then((page) => page.chatId)
 *     const answer = runnel.stream(chatId, 'Hello', {
 *       onToken: (token, text) => {},     // what came, and all of it so far
 *       onDone: (end) => {},              // { messageId, createdAt, stopped, text }
 *       onError: (error) => {},           // { status, code, message, retryAfter }
 *       onState: (state) => {},           // see class Answer
 *     });
 *     answer.stop();
 *
 * Whoever asks without being logged in is logged in first. A lost connection is not an error:
 * the answer goes on being made on the server, and is read on from where it was lost. Either
 * onDone or onError comes, once, unless close() comes first.
 *
 * The language is ES2017, so that no phone needs a translation of it.
 */
'use strict';

const BASE = 'https://chat.example.com';

const ASK_TIMEOUT = 60000;
const ANSWER_TIMEOUT = 600000;  // phones that give up earlier are reconnected
const SILENCE = 45000;          // the server says something every 15 s
const PAUSES = [500, 1000, 2000, 4000, 8000];
const ATTEMPTS = 10;            // in a row without a word: about a minute
const LONGEST_PAUSE = 60000;    // a server that wants more is told to the user
const MOST_EVENT = 1 << 20;     // characters
const MOST_REFUSAL = 1 << 14;   // characters of an answer that is no stream

// ---- UTF-8 --------------------------------------------------------------------

/* Chunks end anywhere, also within a character, and TextDecoder is missing on some phones. What
 * is no UTF-8 becomes U+FFFD, in the same places where TextDecoder would put it. */
class Utf8 {
  constructor() {
    this.missing = 0;                     // bytes to come of the character that was begun
    this.code = 0;
    this.low = 0x80;                      // what the next of them may be
    this.high = 0xbf;
  }

  feed(bytes) {
    let text = '';
    for (let i = 0; i < bytes.length; i++) {
      const b = bytes[i];
      if (this.missing > 0 && (b < this.low || b > this.high)) {
        this.missing = 0;
        text += '\ufffd';
      }
      if (this.missing > 0) text += this.goOn(b);
      else text += b < 0x80 ? String.fromCharCode(b) : this.begin(b);
    }
    return text;
  }

  goOn(b) {
    this.code = (this.code << 6) | (b & 0x3f);
    this.low = 0x80;
    this.high = 0xbf;
    this.missing--;
    return this.missing > 0 ? '' : String.fromCodePoint(this.code);
  }

  /* The limits of the second byte keep out long forms, surrogates and what lies behind U+10FFFF. */
  begin(b) {
    this.low = b === 0xe0 ? 0xa0 : b === 0xf0 ? 0x90 : 0x80;
    this.high = b === 0xed ? 0x9f : b === 0xf4 ? 0x8f : 0xbf;
    if (b < 0xc2 || b > 0xf4) return '\ufffd';
    this.missing = b < 0xe0 ? 1 : b < 0xf0 ? 2 : 3;
    this.code = b & (0x3f >> this.missing);
    return '';
  }
}

// ---- server-sent events -------------------------------------------------------

/* Gives events { name, id, data } as soon as their empty line is there. An event that was not
 * finished is as good as not sent: its id does not count either. */
class EventReader {
  constructor() {
    this.rest = '';                       // of a line
    this.first = true;
    this.afterCr = false;
    this.clear();
  }

  clear() {
    this.name = '';
    this.id = '';
    this.data = null;
  }

  feed(text) {
    const events = [];
    let from = 0;
    for (let i = 0; i < text.length; i++) {
      const c = text.charCodeAt(i);
      const endsCrLf = c === 10 && this.afterCr;
      this.afterCr = c === 13;
      if (c !== 10 && c !== 13) continue;
      if (!endsCrLf) this.line(this.rest + text.slice(from, i), events);
      this.rest = '';
      from = i + 1;
    }
    this.rest += text.slice(from);
    if (this.rest.length + (this.data || '').length > MOST_EVENT)
      throw failure(200, 'too_big', 'an event is larger than can be');
    return events;
  }

  line(text, events) {
    const line = this.first ? text.replace(/^\ufeff/, '') : text;
    this.first = false;
    if (line === '') {
      if (this.data !== null)
        events.push({ name: this.name || 'message', id: this.id, data: this.data });
      this.clear();
      return;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.name = value;
    if (field === 'id' && value.indexOf('\0') < 0) this.id = value;
    if (field === 'data') this.data = this.data === null ? value : this.data + '\n' + value;
  }
}

// ---- errors ---------------------------------------------------------------------

/* status: of HTTP; 0: no answer came. code: the server's number or name; without an answer
 * network, timeout, interrupted (in the background), login or lost. retryAfter: seconds or null. */
function failure(status, code, message, retryAfter) {
  const e = new Error(message);
  e.status = status;
  e.code = code;
  e.retryAfter = retryAfter === undefined ? null : retryAfter;
  return e;
}

function noAnswer(reason) {
  const text = (reason && reason.errMsg) || 'no network';
  const code = /time.?out/i.test(text) ? 'timeout'
    : /interrupted/i.test(text) ? 'interrupted' : 'network';
  return failure(0, code, text);
}

// Phones disagree about how header names are written.
function headerOf(header, name) {
  const found = Object.keys(header || {}).find((key) => key.toLowerCase() === name);
  return found === undefined ? '' : String(header[found]);
}

function retryAfterOf(header) {
  const text = headerOf(header, 'retry-after');
  if (/^\d+$/.test(text)) return Number(text);
  const at = text ? Date.parse(text) : NaN;
  return isNaN(at) ? null : Math.max(0, Math.ceil((at - Date.now()) / 1000));
}

// Gateways and routes in between have shapes of their own.
function refusal(answer) {
  const body = answer.body && typeof answer.body === 'object' ? answer.body : {};
  const inner = body.error && typeof body.error === 'object' ? body.error : body;
  const list = Array.isArray(inner.detail) ? inner.detail : [];
  const detail = list[0] ? list[0].msg : inner.detail;
  const said = [inner.message, detail].find((text) => typeof text === 'string' && text !== '');
  const code = inner.code === undefined || inner.code === null ? answer.status : inner.code;
  return failure(answer.status, code, said || 'HTTP ' + answer.status, retryAfterOf(answer.header));
}

// What may be different a moment later, though the same is asked.
function isPassing(e) {
  return e.status === 0 ? e.code !== 'lost' : [429, 502, 503, 504].indexOf(e.status) >= 0;
}

// ---- small things -----------------------------------------------------------------

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (e) {
    return text;
  }
}

function unwrapped(body) {
  return body && typeof body === 'object' && body.code === 0 && 'data' in body ? body.data : body;
}

// The same key is the same question, however often it is sent.
function newKey() {
  const part = () => Math.floor(Math.random() * 0x100000000).toString(36);
  return [Date.now().toString(36), part(), part(), part()].join('-');
}

function query(fields) {
  const given = Object.keys(fields).filter((key) => fields[key] !== undefined);
  const text = given.map((key) => key + '=' + encodeURIComponent(fields[key])).join('&');
  return text ? '?' + text : '';
}

function after(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds));
}

// ---- the client -------------------------------------------------------------------

class Client {
  /* base: where the server is. wx: the four functions, for tests. The rest are the figures
   * above: pauses, attempts, silence, timeout, answerTimeout. */
  constructor(options) {
    const o = options || {};
    this.base = (o.base || BASE).replace(/\/+$/, '');
    this.wx = o.wx || wx;
    this.pauses = o.pauses || PAUSES;
    this.attempts = o.attempts === undefined ? ATTEMPTS : o.attempts;
    this.silence = o.silence || SILENCE;
    this.timeout = o.timeout || ASK_TIMEOUT;
    this.answerTimeout = o.answerTimeout || ANSWER_TIMEOUT;
    this.token = this.stored('runnel.token');
    this.refreshToken = this.stored('runnel.refreshToken');
    this.renewing = null;
  }

  // ---- who asks

  // Gives { token, refreshToken, expiresIn, status }. Others that want a token wait for this one.
  login() {
    return this.alone(() => this.freshLogin());
  }

  refresh() {
    return this.alone(() => this.freshToken());
  }

  alone(begin) {
    if (this.renewing) return this.renewing;
    const over = (then) => (value) => {
      this.renewing = null;
      return then(value);
    };
    this.renewing = begin().then(over((session) => session), over((e) => Promise.reject(e)));
    return this.renewing;
  }

  freshLogin() {
    return new Promise((done, fail) => this.wx.login({
      success: (r) => (r.code ? done(r.code) : fail(failure(0, 'login', r.errMsg || 'no code'))),
      fail: (r) => fail(failure(0, 'login', (r && r.errMsg) || 'wx.login failed')),
    })).then((code) => this.session('/api/xcx/auth/login', { code }));
  }

  freshToken() {
    if (!this.refreshToken) return this.freshLogin();
    return this.session('/api/xcx/auth/refresh', { refreshToken: this.refreshToken })
      .catch((e) => (isPassing(e) ? Promise.reject(e) : this.freshLogin()));
  }

  session(path, data) {
    return this.plain('POST', path, data, {}, this.timeout).then((answer) => {
      const session = this.good(answer);
      if (!session || !session.token) throw failure(answer.status, 'login', 'no token came');
      this.token = session.token;
      this.refreshToken = session.refreshToken || '';
      this.store('runnel.token', this.token);
      this.store('runnel.refreshToken', this.refreshToken);
      return session;
    });
  }

  // A token that others have renewed since is good enough.
  renewed(refused) {
    if (this.token && this.token !== refused) return Promise.resolve(this.token);
    return this.refresh().then(() => this.token);
  }

  // Calls ask(token); if the token was refused, once more with another one.
  authorised(ask) {
    return this.renewed('').then((token) => ask(token).then((answer) =>
      (answer.status === 401 ? this.renewed(token).then(ask) : answer)));
  }

  stored(name) {
    try {
      return this.wx.getStorageSync(name) || '';
    } catch (e) {
      return '';
    }
  }

  store(name, value) {
    try {
      this.wx.setStorageSync(name, value);
    } catch (e) {
      // A full storage costs a login next time, nothing more.
    }
  }

  // ---- plain requests

  history(page, pageSize) {
    return this.get('/api/xcx/chat/history' + query({ page, page_size: pageSize }));
  }

  // Oldest first, so page 1 is the oldest.
  messages(chatId, page, pageSize) {
    return this.get(this.chat(chatId) + '/messages' + query({ page, page_size: pageSize }));
  }

  // The conversation about that task, customer or coach; it is begun if there is none.
  messagesByContext(contextType, contextId, page, pageSize) {
    return this.get('/api/xcx/chat/messages' + query({
      contextType, contextId: contextId || '', page, page_size: pageSize,
    }));
  }

  // The newest messages, half a page at least; `page` is the oldest page that is among them.
  latest(chatId, pageSize) {
    const size = pageSize || 50;
    return this.messages(chatId, 1, size).then((first) => {
      const last = Math.ceil((first.total || 0) / size);
      if (last <= 1) return first;
      return this.messages(chatId, last, size).then((page) => {
        if (page.items.length * 2 >= size) return page;
        const before = last === 2 ? Promise.resolve(first) : this.messages(chatId, last - 1, size);
        return before.then((b) => Object.assign({}, page,
          { items: b.items.concat(page.items), page: last - 1 }));
      });
    });
  }

  // Gives { userMessage, aiReply }. What is lost on the way is sent again, and asked once.
  send(chatId, content, options) {
    const key = (options && options.key) || newKey();
    const once = (tries) => this.call('POST', this.chat(chatId) + '/messages', { content },
      { 'Idempotency-Key': key }, this.answerTimeout)
      .catch((e) => {
        const pause = this.pause(tries, e);
        if (!isPassing(e) || tries > this.attempts || (tries === 1 && e.status !== 0)
          || pause > LONGEST_PAUSE) throw e;
        return after(pause).then(() => once(tries + 1));
      });
    return once(1);
  }

  // Whether something was stopped.
  stop(chatId) {
    return this.call('POST', this.chat(chatId) + '/stop', {})
      .then((body) => Boolean(body && body.stopped));
  }

  // An answer that is read as it is made; see the top. More options: sourcePage, pageContext, key.
  stream(chatId, content, options) {
    const o = options || {};
    return new Answer(this, chatId, o, {
      chatId, content, sourcePage: o.sourcePage, pageContext: o.pageContext,
    });
  }

  // The answer that is being made for this chat, from its beginning; onState('idle') if none is.
  attach(chatId, options) {
    return new Answer(this, chatId, options || {}, null);
  }

  chat(chatId) {
    return '/api/xcx/chat/' + encodeURIComponent(chatId);
  }

  get(path) {
    return this.call('GET', path);
  }

  call(method, path, data, header, timeout) {
    return this.authorised((token) => this.plain(method, path, data,
      Object.assign({ Authorization: 'Bearer ' + token }, header), timeout || this.timeout))
      .then((answer) => this.good(answer));
  }

  good(answer) {
    if (answer.status < 200 || answer.status > 299) throw refusal(answer);
    return unwrapped(answer.body);
  }

  plain(method, path, data, header, timeout) {
    return new Promise((done, fail) => this.wx.request({
      url: this.base + path, method, data, timeout,
      header: Object.assign({ 'content-type': 'application/json' }, header),
      success: (r) => done({
        status: r.statusCode, header: r.header,
        body: typeof r.data === 'string' ? parsed(r.data) : r.data,
      }),
      fail: (e) => fail(noAnswer(e)),
    }));
  }

  // How long to wait after so many failures; a server that names a time is believed.
  pause(tries, e) {
    const own = this.pauses[Math.min(tries, this.pauses.length) - 1];
    return Math.max(own, (e.retryAfter || 0) * 1000);
  }
}

// ---- one answer -------------------------------------------------------------------

/* States: connecting, streaming, waiting (until it connects again), then done, failed or, for
 * attach(), idle.
 *
 * Until its first event has come, a lost question is sent again with the same key: whether it
 * had arrived cannot be known, and the server tells by the key. From then on the answer has a
 * name, and is read on behind the last event that was whole. */
class Answer {
  constructor(client, chatId, on, question) {
    this.client = client;
    this.chatId = chatId;
    this.on = on;
    this.question = question;
    this.key = on.key || newKey();
    this.text = '';
    this.lastId = '';
    this.state = 'connecting';
    this.tries = 0;                       // connections in a row that brought nothing
    this.wasLost = false;
    this.stopAgain = false;
    this.over = false;
    this.error = null;
    this.run = 0;                         // whatever an earlier connection still says is not heard
    this.connect();
  }

  // ---- for the page

  /* The server ends the answer; onDone comes with what there is. A stop that overtakes its
   * question stops nothing, so it is said again when the answer begins. */
  stop() {
    if (this.over) return Promise.resolve(false);
    return this.client.stop(this.chatId).then((stopped) => {
      this.stopAgain = !stopped && !this.over;
      if (!this.over) this.resume();
      return stopped;
    });
  }

  /* Connects at once, if it waits or was given up; for a page that comes back and for a retry
   * button. False: there is nothing to go on with, ask anew. */
  resume() {
    if (this.over && !(this.error && isPassing(this.error))) return false;
    if (!this.over && this.state !== 'waiting') return true;
    this.over = false;
    this.error = null;
    this.tries = 0;
    this.connect();
    return true;
  }

  // Nobody reads any more. The answer is made to its end nevertheless.
  close() {
    this.over = true;
    this.error = null;
    this.hangUp();
  }

  // ---- connections

  connect() {
    this.hangUp();
    this.change('connecting');
    if (this.over) return;
    const run = this.run;
    const mine = (then) => (value) => { if (run === this.run) then(value); };
    this.client.authorised((token) => this.request(token, run)).then(
      mine((answer) => this.ended(answer)),
      mine((e) => this.broke(e)));
  }

  hangUp() {
    const task = this.task;
    this.run++;
    this.task = null;
    clearTimeout(this.timer);
    if (task && task.abort) task.abort();
  }

  // Resolves when the answer to the request is over, however it was.
  request(token, run) {
    const reading = !this.question || this.lastId !== '';
    const header = { Authorization: 'Bearer ' + token, Accept: 'text/event-stream' };
    if (!reading) header['content-type'] = 'application/json';
    if (!reading) header['Idempotency-Key'] = this.key;
    if (this.lastId) header['Last-Event-ID'] = this.lastId;
    const path = reading ? this.client.chat(this.chatId) + '/stream' : '/api/xcx/chat/stream';
    return new Promise((done, fail) => {
      if (run !== this.run) return;
      const body = new Body((event) => { if (run === this.run) this.got(event); });
      const heard = (data) => {
        if (run !== this.run) return;
        this.listen();
        try {
          if (data) body.take(data);
        } catch (e) {
          this.fail(e);
        }
      };
      this.listen();
      this.task = this.client.wx.request({
        url: this.client.base + path,
        method: reading ? 'GET' : 'POST',
        data: reading ? undefined : this.question,
        header,
        enableChunked: true,
        responseType: 'arraybuffer',
        timeout: this.client.answerTimeout,
        success: (r) => {
          // Where chunks are not known, all of it comes here, at the end.
          if (body.isEmpty) heard(r.data);
          done({ status: r.statusCode, header: r.header, body: body.refusal() });
        },
        fail: (e) => fail(noAnswer(e)),
      });
      if (this.task && this.task.onHeadersReceived) this.task.onHeadersReceived(() => heard(null));
      if (this.task && this.task.onChunkReceived) this.task.onChunkReceived((r) => heard(r.data));
    });
  }

  // A phone that changed its network may wait for ever on a connection that is dead.
  listen() {
    clearTimeout(this.timer);
    const silent = failure(0, 'timeout', 'nothing was heard for too long');
    this.timer = setTimeout(() => this.broke(silent), this.client.silence);
  }

  // The request is over, and the answer was not.
  ended(answer) {
    const status = answer.status;
    if (status === 204 && !this.question && !this.lastId) this.finish('idle');
    else if (status === 204 || (this.lastId && (status === 404 || status === 410))) this.lookUp();
    else if (status === 200) this.broke(failure(0, 'network', 'the answer broke off'));
    else this.broke(refusal(answer));
  }

  /* An HTTP error to a first question is told at once; after a lost connection it is most likely
   * the same trouble. */
  broke(e) {
    this.hangUp();
    this.wasLost = this.wasLost || e.status === 0;
    const pause = this.client.pause(this.tries + 1, e);
    const isEnough = this.tries >= this.client.attempts || pause > LONGEST_PAUSE;
    if (!isPassing(e) || !this.wasLost || isEnough) {
      this.fail(e);
      return;
    }
    this.tries++;
    this.change('waiting');
    this.timer = setTimeout(() => this.connect(), pause);
  }

  // ---- events

  got(event) {
    const data = parsed(event.data);
    if (!data || typeof data !== 'object') {
      this.fail(failure(200, 'garbled', 'an event cannot be read'));
    } else if (event.name === 'message') {
      this.gotToken(event.id, data.token);
    } else if (event.name === 'done') {
      this.done(data, this.text);
    } else if (event.name === 'error') {
      this.fail(failure(200, data.code || 'answer_failed', data.message || 'the answer failed'));
    }
  }

  gotToken(id, token) {
    const known = this.compare(id);
    if (known === 'old') return;
    if (known === 'foreign') {
      this.lookUp();
      return;
    }
    this.lastId = id || this.lastId;
    this.tries = 0;
    this.change('streaming');
    if (this.over) return;
    if (typeof token === 'string' && token !== '') this.add(token);
    if (this.stopAgain && !this.over) {
      this.stopAgain = false;
      this.client.stop(this.chatId).catch(() => {});
    }
  }

  // An id is the answer's name, a dot and a number that grows.
  compare(id) {
    if (!id || !this.lastId) return 'new';
    const dot = id.lastIndexOf('.') + 1;
    if (this.lastId.lastIndexOf('.') + 1 !== dot || !this.lastId.startsWith(id.slice(0, dot)))
      return 'foreign';
    return Number(id.slice(dot)) <= Number(this.lastId.slice(dot)) ? 'old' : 'new';
  }

  add(token) {
    this.text += token;
    this.tell('onToken', token, this.text);
  }

  // ---- the end

  /* The stream is forgotten, but what was answered is kept among the messages. The kept text
   * wins, also over what was heard. */
  lookUp() {
    this.hangUp();
    const run = this.run;
    const mine = (then) => (value) => { if (run === this.run) then(value); };
    this.client.latest(this.chatId).then(mine((page) => {
      const kept = this.find(page.items);
      if (!kept) {
        this.fail(failure(0, 'lost', 'the answer is not there any more'));
        return;
      }
      if (kept.content.length > this.text.length && kept.content.startsWith(this.text))
        this.add(kept.content.slice(this.text.length));
      const end = { messageId: kept.id, createdAt: kept.createdAt };
      if (run === this.run) this.done(end, kept.content);
    }), mine((e) => this.broke(e)));
  }

  // What stands behind our question; an answer to an earlier one is not ours.
  find(items) {
    const asked = this.question && this.question.content.trim();
    const isOurs = (m) => m.role === 'user' && (asked === null || m.content.trim() === asked);
    let at = items.length - 1;
    while (at >= 0 && !isOurs(items[at])) at--;
    const answer = at >= 0 ? items[at + 1] : undefined;
    return answer && answer.role === 'assistant' ? answer : null;
  }

  done(data, text) {
    this.text = text;
    this.finish('done');
    this.tell('onDone', {
      messageId: data.messageId, createdAt: data.createdAt, stopped: Boolean(data.stopped), text,
    });
  }

  fail(e) {
    this.error = e;
    this.finish('failed');
    this.tell('onError', e);
  }

  finish(state) {
    this.over = true;
    this.hangUp();
    this.change(state);
  }

  change(state) {
    if (state === this.state) return;
    this.state = state;
    this.tell('onState', state);
  }

  // A page that throws must not cost the events that came with this one.
  tell(name, a, b) {
    try {
      if (this.on[name]) this.on[name](a, b);
    } catch (e) {
      setTimeout(() => { throw e; }, 0);
    }
  }
}

/* What one request brings: events, or a refusal that came in the same way. Which of them is
 * known only at the end, because not every phone tells the status before. */
class Body {
  constructor(onEvent) {
    this.onEvent = onEvent;
    this.utf8 = new Utf8();
    this.reader = new EventReader();
    this.isEmpty = true;
    this.head = '';
    this.object = null;                   // read already, by a phone that knows JSON
  }

  take(data) {
    const isBytes = typeof data === 'object' && data.byteLength !== undefined;
    if (typeof data === 'object' && !isBytes) {
      this.object = data;
      return;
    }
    const text = isBytes ? this.utf8.feed(new Uint8Array(data)) : data;
    this.isEmpty = this.isEmpty && (isBytes ? data.byteLength : data.length) === 0;
    this.head += text.slice(0, MOST_REFUSAL - this.head.length);
    this.reader.feed(text).forEach(this.onEvent);
  }

  refusal() {
    return this.object || parsed(this.head);
  }
}

module.exports = { create: (options) => new Client(options), Utf8, EventReader };
