// The mini-program as its backend sees it: a person with a token, and what he may ask.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';

export const SECRET = 'a shared secret that has 32 bytes or more';

const b64 = (x) => Buffer.from(typeof x === 'string' ? x : JSON.stringify(x)).toString('base64url');
export function token(sub, claims = {}) {
  const signed = `${b64({ alg: 'HS256', typ: 'JWT' })}.${b64({ sub, exp: Math.floor(Date.now() / 1000) + 3600, ...claims })}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}

// Reads an event stream: [{ event, data, id, at }]; comments are counted.
export async function* events(res) {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of res.body) {
    rest += decoder.decode(chunk, { stream: true });
    for (let end; (end = rest.indexOf('\n\n')) >= 0; rest = rest.slice(end + 2)) {
      const fields = { at: performance.now() };
      for (const line of rest.slice(0, end).split('\n')) {
        const [, name, value] = /^(\w*): ?(.*)$/.exec(line);
        fields[name || 'comment'] = value;
      }
      yield fields;
    }
  }
  assert.equal(rest, '', 'half an event at the end');
}

// What a whole stream came to.
export async function hear(res, { until = Infinity } = {}) {
  const heard = { status: res.status, text: '', ids: [], events: 0, comments: 0, done: null, error: null };
  if (res.status !== 200) return { ...heard, body: res.status === 204 ? null : await res.json() };
  for await (const e of events(res)) {
    if ('comment' in e) { heard.comments++; continue; }
    assert.ok(!heard.done && !heard.error, 'something behind the last word');
    heard.events++;
    if (e.event === 'message') { heard.text += JSON.parse(e.data).token; heard.ids.push(e.id); }
    else if (e.event === 'done') heard.done = JSON.parse(e.data);
    else if (e.event === 'error') heard.error = JSON.parse(e.data);
    else assert.fail(`an event that nobody knows: ${e.event}`);
    if (heard.ids.length >= until) { heard.left = true; return heard; }  // leaves the loop: cuts the connection
  }
  assert.ok(heard.done || heard.error, 'a stream without a last word');
  return heard;
}

export class Person {
  constructor(server, sub = 'anna', claims = {}) {
    this.server = server;
    this.token = token(sub, claims);
  }

  fetch(path, { method = 'GET', body, headers = {}, on = this.server, signal } = {}) {
    return fetch(`http://127.0.0.1:${on.port}/api/xcx/chat/${path}`, {
      method, signal, headers: { authorization: `Bearer ${this.token}`, ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body) });
  }

  // The data of a good answer.
  async get(path, options) {
    const r = await this.fetch(path, options);
    const body = await r.json();
    assert.equal(r.status, 200, JSON.stringify(body));
    assert.equal(body.code, 0);
    return body.data;
  }
  post(path, body, options = {}) { return this.get(path, { method: 'POST', body, ...options }); }

  async chat(type = 'general', id = '') {
    const page = await this.get(`messages?contextType=${type}&contextId=${encodeURIComponent(id)}`);
    return page.chatId;
  }
  messages(chat, query = '') { return this.get(`${chat}/messages${query}`); }

  ask(chatId, content, more = {}, options = {}) {
    return this.fetch('stream', { method: 'POST', body: { chatId, content, ...more }, ...options });
  }
  async hear(chatId, content, more, options) { return hear(await this.ask(chatId, content, more, options), options); }
  async resume(chatId, last, options = {}) {
    return hear(await this.fetch(`${chatId}/stream`, { headers: last ? { 'last-event-id': last } : {}, ...options }), options);
  }
  stop(chatId, options) { return this.get(`${chatId}/stop`, { method: 'POST', ...options }); }
}
