// Servers for the mini-program's client: one that says what a test wants, and the service itself.
//
// Before the service stands a gate that lets people in: it gives tokens for WeChat's codes. Tokens
// that it does not know go on as they are, for the service to refuse.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { becomesReady, database } from './database.mjs';
import { cluster } from './postgres.mjs';
import { start } from './server.mjs';
import { Person, SECRET } from './xcx.mjs';

// Serves with handle(request, response) until close().
export async function serving(handle) {
  const server = http.createServer((req, res) => Promise.resolve(handle(req, res)).catch((e) => res.destroy(e)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    base: `http://127.0.0.1:${server.address().port}`,
    close: () => new Promise((done) => { server.close(done); server.closeAllConnections(); }),
  };
}

async function bodyOf(req) {
  let text = '';
  for await (const part of req.setEncoding('utf8')) text += part;
  return JSON.parse(text);
}

let pg;                                       // one for all services of a file

class Gate {
  tokens = new Map();                         // what people have for what the service wants
  refreshTokens = new Map();                  // whose they are
  knowsTokens = true;                         // else those that it gives are of no use
  retryAfter = 0;                             // seconds: every question is refused with a 429

  async open({ tokensPerSecond = 0, wrap = true, ascii = false } = {}) {
    pg ??= cluster({ fast: true });
    this.database = await database({ on: await pg });
    this.server = await start({
      database: { url: this.database.url },
      access: { jwt_key: SECRET, new_accounts: 'approved' },
      providers: [{ name: 'echo', kind: 'echo', tokens_per_second: tokensPerSecond }],
      dialects: { xcx: { wrap_responses: wrap, ascii } },
    });
    await becomesReady(this.server);
    this.front = await serving((req, res) => this.answer(req, res));
    this.base = this.front.base;
    return this;
  }

  async close() {
    await this.front.close();
    await this.server.stop();
  }

  answer(req, res) {
    if (req.url.startsWith('/api/xcx/auth/')) return this.#letIn(req, res);
    if (!this.retryAfter || req.method !== 'POST') return this.#pass(req, res);
    res.writeHead(429, { 'content-type': 'application/json', 'retry-after': this.retryAfter });
    return res.end('{"code": 429, "message": "slowly"}');
  }

  async #letIn(req, res) {
    const { code, refreshToken } = await bodyOf(req);
    const who = req.url.endsWith('login') ? code.split('-')[0] : this.refreshTokens.get(refreshToken);
    this.refreshTokens.delete(refreshToken);
    res.writeHead(who ? 200 : 401, { 'content-type': 'application/json' });
    if (!who) return res.end('{"code": 401, "message": "nobody has this token"}');
    const data = { token: randomUUID(), refreshToken: randomUUID(), expiresIn: 7200, status: 'approved' };
    if (this.knowsTokens) this.tokens.set(data.token, new Person(this.server, who).token);
    this.refreshTokens.set(data.refreshToken, who);
    return res.end(JSON.stringify({ code: 0, data }));
  }

  #pass(req, res) {
    const given = req.headers.authorization.replace(/^Bearer /, '');
    const headers = { ...req.headers, authorization: `Bearer ${this.tokens.get(given) ?? given}` };
    const to = http.request({ host: '127.0.0.1', port: this.server.port, path: req.url, method: req.method, headers }, (from) => {
      res.writeHead(from.statusCode, from.headers);
      from.on('error', () => res.destroy()).pipe(res);
    });
    to.on('error', () => res.destroy());
    res.on('close', () => to.destroy());
    req.pipe(to);
  }

  // ---- what a test does to it

  forgetTokens() { this.tokens.clear(); }
  forgetRefreshTokens() { this.refreshTokens.clear(); }
  forgetAnswers() { return this.database.sql('DELETE FROM runnel.journal'); }

  async put(chatId, role, content) {
    assert.equal((await this.database.sql(`
      WITH place AS (UPDATE runnel.chat SET next_seq = next_seq + 1 WHERE id = ${chatId} RETURNING tenant, id, next_seq - 1 AS seq)
      INSERT INTO runnel.message (tenant, chat, seq, role, content) SELECT tenant, id, seq, '${role}', '${content}' FROM place RETURNING id`)).length, 1);
  }
}

export const startService = (o) => new Gate().open(o);
