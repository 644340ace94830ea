// What a model may be told, and what its tools were: more than the fake provider's own strictness.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

// Behind the calls of a message come their results, each once and in order, and nothing between
// them; arguments are JSON objects, or strict services refuse the whole question.
export function isWellFormed(messages) {
  let owed = [];
  for (const m of messages) {
    const where = JSON.stringify(messages);
    if (m.role === 'tool') assert.equal(m.tool_call_id, owed.shift(), `a result that nobody waits for: ${where}`);
    else assert.deepEqual(owed, [], `calls without results: ${where}`);
    for (const c of m.tool_calls ?? []) {
      const read = JSON.parse(c.function.arguments);
      assert.ok(read && typeof read === 'object' && !Array.isArray(read), where);
      assert.ok(c.id && c.function.name, where);
      owed.push(c.id);
    }
  }
  assert.deepEqual(owed, [], 'the last calls have no results');
}

// A web service: answers with what it was asked, after as many ms as it was asked to wait; "never"
// is not answered. Its settings are tool().
export class Service {
  asked = [];

  async open() {
    this.server = createServer((q, r) => this.#serve(q, r));
    await new Promise((done) => this.server.listen(0, '127.0.0.1', done));
    return this;
  }

  async #serve(request, response) {
    const at = new URL(request.url, 'http://service');
    const what = at.searchParams.get('what'), wait = at.searchParams.get('wait');
    this.asked.push(what);
    if (wait === 'never') return;
    await sleep(Number(wait));
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ found: what }));
  }

  tool(name = 'find') {
    const text = { type: 'string' };
    return { name, description: 'finds things', allow: ['127.0.0.1'],
      url: `http://127.0.0.1:${this.server.address().port}/?what={what}&wait={wait}`,
      parameters: JSON.stringify({ type: 'object', properties: { what: text, wait: text }, required: ['what', 'wait'] }) };
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
export const find = (id, what, wait = 0, more = {}) => ({ id, name: 'find', arguments: JSON.stringify({ what, wait: `${wait}` }), ...more });
export const found = (what) => JSON.stringify({ found: what });
