// The mini-program as its backend sees it: a person with a token, and what he may ask.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { start as startProvider } from '../../providers/lib/index.mjs';
import { becomesReady, database } from './database.mjs';
import { cluster } from './postgres.mjs';
import { duration, ms, start } from './server.mjs';

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

// ---- where they talk -----------------------------------------------------------------------------

const KEY = 'sk-of-ours-77';

// A database of its own, an application that says what a script tells it (else the question),
// and as many services as are asked for.
export async function stage() {
  const s = { servers: [] };
  s.cluster = await cluster();
  s.db = await database({ on: s.cluster });
  s.sql = s.db.sql;
  s.app = await startProvider({ kind: 'dashscope', key: KEY, control: false });
  s.serve = async (more = {}, options) => {
    const settings = {
      database: { url: s.db.url },
      access: { jwt_key: SECRET, new_accounts: 'approved', cache: '20ms', ...more.access },
      providers: [{ name: 'app', kind: 'dashscope', base_url: s.app.url, api_key: KEY, app_id: 'app-5', retries: 0, breaker_failures: 0,
        idle_timeout: duration(20000), first_timeout: duration(20000) }],
      models: [{ name: 'app', targets: [{ provider: 'app' }] }],
      dialects: { xcx: { ...more.xcx }, openai: { ...more.openai } },
      turns: { journal_every: '100ms', ...more.turns },
      ...(more.stream && { stream: more.stream }),
    };
    const server = Object.assign(await start(settings, options), { settings });
    s.servers.push(server);
    await becomesReady(server, ms(10000));
    return server;
  };
  // What the next one is told, in the order of the calls.
  s.says = (answer, faults) => s.app.script({ answer: typeof answer === 'string' ? { text: answer } : answer, faults, times: 1 });
  s.prompts = () => s.app.requests().map((q) => q.body.input.prompt);
  s.remove = async () => {
    try {
      await Promise.all(s.servers.map((server) => server.stop()));
    } finally {
      await s.app.stop();
      await s.cluster.remove();
    }
  };
  return s;
}

// Rows as the database has them: [role, state, content, tokens_used].
export const rows = (s, chat) => s.sql(`SELECT role, state, content, tokens_used FROM runnel.message WHERE chat = ${chat} ORDER BY seq`);
