// DB-GPT's own Python client as far as it decides what it can read, written anew from what is
// known of it: its request has every member, unset ones null; an answer must fit its schema; a
// stream is read line by line, by Python's idea of a line, and each is nothing, "data: [DONE]" or
// "data:" and JSON that fits. Whatever is not 200 is handed on as it came.
import assert from 'node:assert/strict';

const UNSET = { temperature: null, max_new_tokens: null, chat_mode: null, chat_param: null, conv_uid: null, user_name: null, sys_code: null, span_id: null,
  incremental: true, enable_vis: true };

// As str.splitlines() parts them.
const LINE_END = /\r\n|[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]/;

// ---- the schema ----------------------------------------------------------------

const text = (v, where) => assert.equal(typeof v, 'string', `${where} is no text: ${JSON.stringify(v)}`);
const integer = (v, where) => assert.ok(Number.isInteger(v), `${where} is no integer: ${JSON.stringify(v)}`);
const optional = (check) => (v, where) => v == null || check(v, where);
const reason = (v, where) => assert.ok(['stop', 'length'].includes(v), `${where} is ${v}`);
const list = (check) => (v, where) => {
  assert.ok(Array.isArray(v), `${where} is no list`);
  v.forEach((one, i) => check(one, `${where}.${i}`));
};
// Members that have a default may be absent, but are null only where they say so.
const members = (required, others = {}) => (v, where) => {
  assert.ok(v && typeof v === 'object' && !Array.isArray(v), `${where} is no object`);
  for (const [name, check] of Object.entries(required)) check(v[name], `${where}.${name}`);
  for (const [name, check] of Object.entries(others)) if (name in v) check(v[name], `${where}.${name}`);
};

const isWhole = members({
  model: text,
  choices: list(members({ index: integer, message: members({ role: text, content: text }) }, { finish_reason: optional(reason) })),
  usage: members({}, { prompt_tokens: integer, total_tokens: integer, completion_tokens: optional(integer) }),
}, { id: text, object: text, created: integer });
const isChunk = members({
  model: text,
  choices: list(members({ index: integer, delta: members({}, { role: optional(text), content: optional(text), reasoning_content: optional(text) }) },
    { finish_reason: optional(reason) })),
}, { id: text, object: text, created: integer });

// ---- streams --------------------------------------------------------------------

// The chunks of a text that ends as it must.
export function* chunksOf(body) {
  for (const line of body.split(LINE_END)) {
    if (line === '') continue;
    if (line.trim() === 'data: [DONE]') return;
    assert.ok(line.startsWith('data:'), `a line that is no data: ${line}`);
    const chunk = JSON.parse(line.slice('data:'.length));
    isChunk(chunk, 'chunk');
    yield chunk;
  }
  assert.fail('the end came before [DONE]');
}
export const said = (body) => [...chunksOf(body)].map((c) => c.choices[0].delta.content ?? '').join('');

async function* linesOf(res) {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of res.body) {
    const parts = (rest + decoder.decode(bytes, { stream: true })).split(LINE_END);
    rest = parts.pop();
    yield* parts;
  }
  if (rest) yield rest;
}

export class Client {
  constructor(server, key = null) {
    this.url = `http://127.0.0.1:${server.port}/api/v2/chat/completions`;
    this.key = key;
  }

  #post(request, stream) {
    return fetch(this.url, { method: 'POST', headers: { 'content-type': 'application/json', ...(this.key && { authorization: `Bearer ${this.key}` }) },
      body: JSON.stringify({ ...UNSET, ...request, stream }) });
  }

  async chat(request) {
    const res = await this.#post(request, false);
    const answer = await res.json();
    if (res.status === 200) isWhole(answer, 'answer');
    return answer;
  }

  async *stream(request) {
    const res = await this.#post(request, true);
    if (res.status !== 200) {
      yield await res.json();
      return;
    }
    for await (const line of linesOf(res)) {
      if (line.trim() === 'data: [DONE]') return;
      if (line === '') continue;
      yield* chunksOf(`${line}\n\ndata: [DONE]\n\n`);
    }
    assert.fail('the end came before [DONE]');
  }
}
