// Sessions as their pages see them: people with tokens, streams of parts, a model that is told
// what to say.
import assert from 'node:assert/strict';
import { start as startProvider } from '../../providers/lib/index.mjs';
import { becomesReady, database } from './database.mjs';
import { cluster } from './postgres.mjs';
import { duration, ms, start } from './server.mjs';
import { events, SECRET, token } from './xcx.mjs';

export class Person {
  constructor(server, sub = 'anna') {
    this.server = server;
    this.token = sub && token(sub);
  }

  headers(more = {}) { return { ...(this.token && { authorization: `Bearer ${this.token}` }), ...more }; }

  fetch(path, { method = 'GET', body, headers = {}, on = this.server, signal } = {}) {
    return fetch(`http://127.0.0.1:${on.port}/api/chat${path}`, { method, signal,
      headers: this.headers({ ...(body !== undefined && { 'content-type': 'application/json' }), ...headers }),
      body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body) });
  }

  async get(path, options) {
    const r = await this.fetch(path, options);
    const text = await r.text();
    assert.equal(r.status, 200, text);
    return JSON.parse(text);
  }
  async made() { return (await this.get('/sessions', { method: 'POST' })).id; }
  show(id, query = '') { return this.get(`/sessions/${id}${query}`); }
  async said(id) { return (await this.show(id)).messages.map((m) => [m.role, m.content]); }
  ask(id, message, more = {}, options = {}) {
    return this.fetch(`/sessions/${id}/stream`, { method: 'POST', body: { message, ...more }, ...options });
  }
  async hear(id, message, more, options) { return heard(await this.ask(id, message, more, options)); }
}

// A whole stream: its parts, what they add up to, and that it ends as it must.
export async function heard(res) {
  assert.equal(res.status, 200, res.status === 200 ? '' : await res.text());
  assert.equal(res.headers.get('x-vercel-ai-ui-message-stream'), 'v1');
  assert.match(res.headers.get('content-type'), /^text\/event-stream/);
  const h = { parts: [], comments: [], done: false };
  for await (const e of events(res)) {
    assert.ok(!h.done, 'something behind [DONE]');
    if ('comment' in e) h.comments.push(e.comment);
    else if (e.data === '[DONE]') h.done = true;
    else h.parts.push(JSON.parse(e.data));
  }
  assert.ok(h.done, 'a stream without an end');
  h.types = h.parts.map((p) => p.type);
  h.text = textOf(h.parts);
  h.id = h.parts[0].messageId;
  h.error = h.parts.find((p) => p.type === 'error')?.errorText ?? null;
  assert.equal(h.types.at(-1), 'finish');
  return h;
}
export const textOf = (parts) => parts.filter((p) => p.type === 'text-delta').map((p) => p.delta).join('');

// One service or several, on a database of their own, and a model "asked" whose script the test
// writes; "slow" repeats the question.
export async function stage() {
  const s = { servers: [] };
  s.cluster = await cluster({ fast: true });
  s.provider = await startProvider({ kind: 'openai', key: 'k', control: false });
  s.db = await database({ on: s.cluster });
  s.settings = ({ session = {}, db = s.db, kept = true, open = false, tools, model, pace = 20, ...more } = {}) => ({
    ...(kept && { database: { url: db.url } }),
    ...(!open && { access: { jwt_key: SECRET, new_accounts: 'approved' } }),
    turns: { lease: duration(1500), ...more.turns },
    providers: [{ name: 'slow', kind: 'echo', tokens_per_second: pace }, { name: 'asked', kind: 'openai', base_url: `${s.provider.url}/v1`, api_key: 'k', retries: 0, breaker_failures: 0 }],
    models: [{ name: 'asked', targets: [{ provider: 'asked' }], ...(tools && { tools }), ...model }, { name: 'slow', targets: [{ provider: 'slow' }] }],
    dialects: { session },
  });
  s.serve = async (more) => {
    // What waits in a database any of its services may ask, so that each with its own mind has its own.
    const db = more?.session || more?.tools ? await database({ on: s.cluster }) : s.db;
    const server = await start(s.settings({ db, ...more }));
    server.sql = db.sql;
    s.servers.push(server);
    if (more?.kept !== false) await becomesReady(server, ms(10000));
    return server;
  };
  s.asked = () => s.provider.requests().map((r) => r.body);
  s.forget = () => { s.provider.clear(); s.provider.forget(); };
  s.remove = async () => {
    try {
      await Promise.all(s.servers.filter((server) => !server.exited).map((server) => server.stop()));
    } finally {
      await s.provider.stop();
      await s.cluster.remove();
    }
  };
  return s;
}
