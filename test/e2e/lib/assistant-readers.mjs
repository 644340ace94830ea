// The four kinds of client that the assistant's API has, each as far as it decides what it can
// read; written anew from what is known of them. They tell the text they show.
import assert from 'node:assert/strict';

const headers = (key) => ({ 'content-type': 'application/json', ...(key && { authorization: `Bearer ${key}` }) });
const post = (person, path, body, more = {}) => fetch(`http://127.0.0.1:${person.server.port}/api/v1${path}`, {
  method: 'POST', headers: { ...headers(person.key), ...more }, body: JSON.stringify(body) });

// Lines as aiohttp gives them, blanks at both ends gone.
async function* linesOf(res) {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  for await (const bytes of res.body) {
    const parts = (rest + decoder.decode(bytes, { stream: true })).split('\n');
    rest = parts.pop();
    for (const line of parts) yield line.trim();
  }
  assert.equal(rest, '', 'half a line at the end');
}

export const readers = {
  // Takes the content of every data line; one that is no JSON, or has no content, breaks it.
  async sample(person, body) {
    const res = await post(person, '/chat/stream', body);
    assert.equal(res.status, 200);
    let text = '';
    for await (const line of linesOf(res))
      if (line.startsWith('data: ')) {
        const chunk = JSON.parse(line.slice(6));
        assert.equal(typeof chunk.content, 'string');
        text += chunk.content;
      }
    return { text };
  },

  // Passes over what is no JSON, and waits for `done`; has half a minute for all of it.
  async client(person, body) {
    const res = await post(person, '/chat/stream', body);
    assert.equal(res.status, 200);
    let text = '', done = false;
    for await (const line of linesOf(res)) {
      if (!line.startsWith('data: ')) continue;
      let chunk;
      try { chunk = JSON.parse(line.slice(6)); } catch { continue; }
      text += chunk.content ?? '';
      done ||= chunk.done === true;
    }
    return { text, whole: done };
  },

  // Decodes each piece of the network alone and parts it by lines: half an event is lost.
  async page(person, body) {
    const res = await post(person, '/chat/stream', { ...body, stream: true, plugins: [] });
    assert.ok(res.ok);
    let text = '', lost = 0;
    for await (const bytes of res.body)
      for (const line of new TextDecoder().decode(bytes).split('\n'))
        if (line.startsWith('data: ')) {
          try { text += JSON.parse(line.slice(6)).content ?? ''; } catch { lost++; }
        }
    assert.equal(lost, 0, 'an event was cut in two');
    return { text };
  },

  // Wants the very type, counts what has content, and stops at `finished`.
  async suite(person, body) {
    const res = await post(person, '/chat/stream', { ...body, stream: true }, { accept: '*/*' });
    assert.deepEqual([res.status, res.headers.get('content-type')], [200, 'text/event-stream']);
    let text = '', chunks = 0;
    for await (const line of linesOf(res)) {
      if (!line.startsWith('data: ')) continue;
      const chunk = JSON.parse(line.slice(6));
      if ('content' in chunk) { text += chunk.content; chunks++; }
      if (chunk.finished) return { text, whole: true };
    }
    assert.ok(chunks > 0);
    return { text, whole: false };
  },
};

// What each of them reads of an answer that is no stream, under the name that it knows.
export const wholeReaders = {
  sample: (a) => a.content,
  client: (a) => a.content,
  page: (a) => a.content,
  suite(a) {
    assert.ok(a.tokens_used > 0);
    return a.response;
  },
};
export async function whole(name, person, body) {
  const res = await post(person, '/chat', body);
  const answer = await res.json();
  assert.equal(res.status, 200, JSON.stringify(answer));
  assert.equal(answer.session_id, body.session_id);
  return wholeReaders[name](answer);
}
