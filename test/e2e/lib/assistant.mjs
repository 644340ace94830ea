// The assistant's API as its clients see it: two models, a database, people with keys.
import assert from 'node:assert/strict';
import { start as startProvider } from '../../providers/lib/index.mjs';
import { becomesReady, database } from './database.mjs';
import { cluster } from './postgres.mjs';
import { ms, start } from './server.mjs';

export const ANNA = 'sk-anna-0001';
export const BORIS = 'sk-boris-0002';
const KEY = 'k';

export class Person {
  constructor(server, key = ANNA) {
    this.server = server;
    this.key = key;
  }

  fetch(path, { method = 'GET', body, headers = {}, signal } = {}) {
    return fetch(`http://127.0.0.1:${this.server.port}${path}`, {
      method, signal, headers: { ...(this.key && { authorization: `Bearer ${this.key}` }), ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body) });
  }
  post(path, body, options) { return this.fetch(path, { method: 'POST', body, ...options }); }

  async get(path, options) {
    const r = await this.fetch(path, options);
    const body = await r.json();
    assert.equal(r.status, 200, JSON.stringify(body));
    return body;
  }
  chat(body) { return this.get('/api/v1/chat', { method: 'POST', body }); }
  stream(body, options) { return this.post('/api/v1/chat/stream', body, options); }

  // Whole, and not a byte that no reader knows.
  async hear(body, options) {
    const r = await this.stream(body, options);
    assert.equal(r.status, 200, r.status === 200 ? '' : await r.text());
    return chunksOf(await r.text());
  }
}

export function chunksOf(text) {
  const events = text.split('\n\n');
  assert.equal(events.pop(), '', 'half an event at the end');
  const chunks = events.filter((e) => !e.startsWith(':')).map((e) => {
    assert.match(e, /^data: [^\n]+$/);
    return e === 'data: [DONE]' ? e : JSON.parse(e.slice(6));
  });
  return { chunks, last: chunks.at(-1), text: chunks.filter((c) => !c.error).map((c) => c.content ?? '').join('') };
}

// What the clients are told goes by the two models' names: near is local, far is in the cloud.
export async function stage() {
  const s = { servers: [] };
  s.cluster = await cluster({ fast: true });
  s.near = await startProvider({ kind: 'openai', key: KEY, control: false });
  s.far = await startProvider({ kind: 'openai', key: KEY, control: false });
  // `beside`: it serves from that one's database.
  s.serve = async ({ kept = true, beside, assistant = {}, provider = {}, ...more } = {}) => {
    const db = beside ? beside.database : kept ? await database({ on: s.cluster }) : null;
    const of = (name) => ({ name, kind: 'openai', base_url: `${s[name].url}/v1`, api_key: KEY, retries: 0, breaker_failures: 0, ...provider });
    const server = await start({
      ...(db && { database: { url: db.url } }),
      access: { keys: [ANNA, BORIS] },
      providers: [of('near'), of('far')],
      models: [{ name: 'near', class: 'local_small', targets: [{ provider: 'near' }] }, { name: 'far', class: 'cloud_large', targets: [{ provider: 'far' }] }],
      dialects: { assistant }, ...more,
    });
    server.sql = db?.sql;
    server.database = db;
    s.servers.push(server);
    if (db) await becomesReady(server, ms(10000));
    return server;
  };
  s.forget = () => { for (const p of [s.near, s.far]) { p.clear(); p.forget(); } };
  s.asked = (name) => s[name].requests().map((r) => r.body);
  s.remove = async () => {
    try {
      await Promise.all(s.servers.map((server) => server.stop()));
    } finally {
      await Promise.all([s.near.stop(), s.far.stop()]);
      await s.cluster.remove();
    }
  };
  return s;
}
