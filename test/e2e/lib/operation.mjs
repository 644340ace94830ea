// A web service whose work takes longer than an answer: it says 202 and completes later.
import { createServer } from 'node:http';

export const KEY = 'service-1';

// What it does is said by `how`: 202 (later), 200 (at once), early (completes before its 202), never (no answer).
export class Worker {
  asked = [];

  async open() {
    this.server = createServer((q, r) => this.#serve(q, r).catch((e) => r.destroy(e)));
    await new Promise((done) => this.server.listen(0, '127.0.0.1', done));
    return this;
  }

  async #serve(request, response) {
    let body = '';
    for await (const piece of request) body += piece;
    const { what, how } = JSON.parse(body);
    const id = request.headers['x-operation-id'];
    this.asked.push({ id, what, how, headers: request.headers });
    if (how === 'never') return;
    if (how === 'early') await this.complete(this.early, id, { success: true, result: { found: what } });
    const answer = how === 'at once' ? [200, { found: what }] : [202, { accepted: true }];
    response.writeHead(answer[0], { 'content-type': 'application/json' }).end(JSON.stringify(answer[1]));
  }

  // { status, body } of what runnel says to that.
  async complete(on, id, body, { key = KEY } = {}) {
    const r = await fetch(`http://127.0.0.1:${on.port}/api/chat/operations/${id}/complete`, { method: 'POST',
      headers: { 'content-type': 'application/json', ...(key !== null && { 'x-api-key': key }) }, body: typeof body === 'string' ? body : JSON.stringify(body) });
    return { status: r.status, body: await r.json() };
  }

  tool(more = {}) {
    const text = { type: 'string' };
    return { name: 'job', description: 'finds things, slowly', url: `http://127.0.0.1:${this.server.address().port}/job`, method: 'POST', allow: ['127.0.0.1'], background: true,
      parameters: JSON.stringify({ type: 'object', properties: { what: text, how: text }, required: ['what'] }), ...more };
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

// A model's call of it.
export const job = (id, what, how = 'later', more = {}) => ({ id, name: 'job', arguments: JSON.stringify({ what, how }), ...more });
