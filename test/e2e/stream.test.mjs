// Streams as bytes: how events lie in chunks and reads, and what a reader sees
// while it waits.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { checkRefusal, staysClosed } from './lib/cases.mjs';
import { ask, chat, chunksSoFar, connect, parseEvents, req, streamText } from './lib/raw.mjs';
import { duration, ms, start } from './lib/server.mjs';

const echo = (tokens_per_second, more = {}) => ({ providers: [{ name: 'echo', kind: 'echo', tokens_per_second }], ...more });
const words = (n) => Array.from({ length: n }, (_, i) => `w${i}`).join(' ');

// A stream that has begun: its head and first event are there.
async function begin(server, text, more = {}, ...lines) {
  const c = await connect(server.port);
  await c.send(chat(text, { stream: true, ...more }, ...lines));
  await c.until(() => chunksSoFar(c).length > 0 || c.closed, 'the first event');
  return c;
}

describe('the shape of a stream', () => {
  let server;
  before(async () => { server = await start(echo(100)); });
  after(() => server?.stop());

  const streamed = async (text, more) => {
    const c = await connect(server.port);
    const asked = Math.floor(Date.now() / 1000);
    await c.send(chat(text, { stream: true, ...more }));
    const r = await c.response({ timeout: ms(20000) });
    c.destroy();
    assert.equal(r.status, 200);
    return { r, c, asked, events: parseEvents(r.text) };
  };

  test('the head', async () => {
    const { r } = await streamed('hi');
    assert.match(r.header('content-type'), /^text\/event-stream(;\s*charset=utf-8)?$/i);
    assert.ok(r.has('cache-control', 'no-cache'));
    assert.equal(r.header('x-accel-buffering'), 'no');
    assert.equal(r.header('transfer-encoding'), 'chunked');
    assert.equal(r.header('content-encoding'), undefined);
    assert.ok(r.header('x-request-id'));
  });

  test('head and first event come in one read', async () => {
    const { c } = await streamed(words(10));
    const first = c.reads[0].bytes.toString('latin1');
    assert.match(first, /^HTTP\/1\.1 200 [^]*\r\n\r\n[0-9a-f]+\r\ndata: \{[^\n]*\}\n\n/i);
  });

  for (const [name, text] of Object.entries({
    words: words(30), Chinese: '\u4f60\u597d\uff0c\u4e16\u754c\uff01 \u4e00\u4e8c\u4e09',
    emoji: '\u{1f469}\u200d\u{1f469}\u200d\u{1f467} ok \u{1f3f3}\ufe0f\u200d\u{1f308}\u{1f44d}\u{1f3fd}' }))
    test(`every chunk holds whole events: ${name}`, async () => {
      const { r, events } = await streamed(text);
      for (const piece of r.chunks) {
        const decoded = new TextDecoder('utf-8', { fatal: true }).decode(piece); // no character is cut
        assert.ok(decoded.endsWith('\n\n'), JSON.stringify(decoded));
        parseEvents(decoded);
      }
      assert.equal(streamText(events), text);
    });

  test('no character is cut inside an event', async () => {
    const { events } = await streamed('\u{1f469}\u200d\u{1f469}\u200d\u{1f467} \u4f60\u597d e\u0301');
    for (const e of events) assert.doesNotMatch(e.line ?? '', /\ufffd|\\ud[89a-f]/i);
  });

  test('the order of things', async () => {
    const { events, asked } = await streamed('one two three');
    const data = events.filter((e) => e.data).map((e) => e.data);
    assert.ok(events.at(-1).done && events.filter((e) => e.done).length === 1);
    assert.equal(new Set(data.map((d) => d.id)).size, 1);
    assert.match(data[0].id, /^chatcmpl-./);
    assert.equal(new Set(data.map((d) => d.created)).size, 1);
    assert.ok(Math.abs(data[0].created - asked) <= 2);
    for (const d of data) {
      assert.equal(d.object, 'chat.completion.chunk');
      assert.equal(d.model, 'echo');
      assert.equal(d.choices.length, 1);
      assert.equal(d.choices[0].index, 0);
      assert.ok(!d.usage, 'no usage unless asked for');
    }
    assert.equal(data[0].choices[0].delta.role, 'assistant');
    assert.ok(data.slice(1).every((d) => !d.choices[0].delta.role), 'the role is sent once');
    const finish = data.map((d) => d.choices[0].finish_reason);
    assert.deepEqual(finish, [...Array(data.length - 1).fill(null), 'stop']);
    assert.ok(!data.at(-1).choices[0].delta.content);
    assert.deepEqual(data.slice(1, -1).map((d) => d.choices[0].delta.content), ['one', ' two', ' three']);
  });

  test('usage when asked: null before, one chunk without choices, then [DONE]', async () => {
    const { events } = await streamed('one two three', { stream_options: { include_usage: true } });
    const data = events.filter((e) => e.data).map((e) => e.data);
    const usage = data.at(-1);
    assert.deepEqual(usage.choices, []);
    for (const d of data.slice(0, -1)) assert.equal(d.usage, null);
    assert.equal(data.at(-2).choices[0].finish_reason, 'stop');
    assert.ok(usage.usage.prompt_tokens > 0);
    assert.equal(usage.usage.completion_tokens, 3);
    assert.equal(usage.usage.total_tokens, usage.usage.prompt_tokens + 3);
    assert.equal(usage.id, data[0].id);
    assert.ok(events.at(-1).done);
  });

  test('no usage when refused', async () => {
    const { events } = await streamed('hi', { stream_options: { include_usage: false } });
    assert.ok(events.every((e) => !e.data?.usage));
  });

  for (const limit of ['max_tokens', 'max_completion_tokens'])
    test(`${limit} cuts with "length"`, async () => {
      const { events } = await streamed(words(20), { [limit]: 4, stream_options: { include_usage: true } });
      assert.equal(streamText(events), words(4));
      const data = events.filter((e) => e.data).map((e) => e.data);
      assert.equal(data.at(-2).choices[0].finish_reason, 'length');
      assert.equal(data.at(-1).usage.completion_tokens, 4);
    });

  test('a limit that is met exactly cuts nothing', async () => {
    const { events } = await streamed('one two three', { max_tokens: 3 });
    assert.equal(streamText(events), 'one two three');
  });

  test('an answer in one piece', async () => {
    const { status, json: a, header } = await ask(server.port, chat('one two three')).then((r) =>
      ({ status: r.status, json: r.json, header: (n) => r.header(n) }));
    assert.equal(status, 200);
    assert.match(header('content-type'), /^application\/json/);
    assert.ok(header('content-length'));
    assert.match(a.id, /^chatcmpl-./);
    assert.equal(a.object, 'chat.completion');
    assert.ok(Number.isInteger(a.created));
    assert.equal(a.choices.length, 1);
    const [{ message, index, finish_reason }] = a.choices;
    assert.deepEqual([index, finish_reason, message.role, message.content], [0, 'stop', 'assistant', 'one two three']);
    assert.equal(message.refusal, null);
    assert.equal(a.usage.completion_tokens, 3);
    assert.equal(a.usage.total_tokens, a.usage.prompt_tokens + 3);
  });

  test('an answer in one piece, cut', async () => {
    const { json: a } = await ask(server.port, chat(words(9), { max_completion_tokens: 2 }));
    assert.equal(a.choices[0].finish_reason, 'length');
    assert.equal(a.choices[0].message.content, 'w0 w1');
  });

  test('events come when they are made, not at the end', async () => {
    const { c } = await streamed(words(40));
    assert.ok(c.reads.length > 10, `${c.reads.length} reads`);
    assert.ok(c.reads.at(-1).at - c.reads[0].at > 200, 'forty words at a hundred a second take more than 200 ms');
  });

  test('what follows a stream on its connection is answered after it', async () => {
    const c = await connect(server.port);
    await c.send(Buffer.concat([chat(words(5), { stream: true }), chat('next'), chat('last', { stream: true })]));
    assert.equal(streamText(parseEvents((await c.response()).text)), words(5));
    assert.equal((await c.response()).json.choices[0].message.content, 'next');
    assert.equal(streamText(parseEvents((await c.response()).text)), 'last');
    c.destroy();
  });

  test('Connection: close ends the connection after the stream', async () => {
    const c = await begin(server, words(3), {}, 'Connection: close');
    assert.match((await c.response()).text, /\[DONE\]\n\n$/);
    await staysClosed(c);
  });

  test('200 streams at once, each its own', async () => {
    await Promise.all(Array.from({ length: 200 }, async (_, i) => {
      const r = await ask(server.port, chat(`stream ${i} of 200`, { stream: true }), { timeout: ms(20000) });
      assert.equal(streamText(parseEvents(r.text)), `stream ${i} of 200`);
    }));
    await server.metricBecomes('runnel_turns_running', 0);
  });
});

describe('waiting', () => {
  test('comments keep a slow stream alive, and do not touch its text', async () => {
    const server = await start(echo(1, { stream: { heartbeat: '200ms' } }));
    const r = await ask(server.port, chat('one two three', { stream: true }), { timeout: ms(20000) });
    const events = parseEvents(r.text);
    assert.ok(events.filter((e) => e.comment).length >= 4, 'several comments');
    assert.equal(streamText(events), 'one two three');
    for (const piece of r.chunks) assert.ok(piece.toString().endsWith('\n\n'));
    assert.ok(events.at(-1).done);
    await server.stop();
  });

  test('no comments while events flow', async () => {
    const server = await start(echo(50, { stream: { heartbeat: '2s' } }));
    const r = await ask(server.port, chat(words(20), { stream: true }));
    assert.equal(parseEvents(r.text).filter((e) => e.comment).length, 0);
    await server.stop();
  });

  // When the first word is made at once, the head waits for it; when it takes
  // longer than commit_after, the head goes out then, and comments follow.
  for (const commit of [300, 20000])
    test(`the head waits for the first event, at most commit_after (${commit} ms)`, async () => {
      const server = await start(echo(1, { stream: { commit_after: duration(commit), heartbeat: duration(200) } }));
      const c = await connect(server.port);
      const from = performance.now();
      await c.send(chat('one two', { stream: true }));
      await c.until(() => c.reads.length, 'the head');
      const took = c.reads[0].at - from;
      const withEvent = c.reads[0].bytes.includes('\ndata: {');
      if (!withEvent) assert.ok(took >= ms(commit) * 0.8, `a head without an event after ${took} ms`);
      assert.ok(took < ms(Math.min(commit, 1000)) + ms(700), `the head came after ${took} ms`);
      assert.equal(streamText(parseEvents((await c.response({ timeout: ms(20000) })).text)), 'one two');
      c.destroy();
      await server.stop();
    });

  test('a refusal is a true status, not an event', async () => {
    const server = await start();
    const r = await ask(server.port, chat('x', { model: 'nope', stream: true }));
    assert.equal(r.status, 404);
    checkRefusal(r);
    await server.stop();
  });

  test('max_time ends a stream with an error event', async () => {
    const server = await start(echo(5, { turns: { max_time: duration(1000) } }));
    const r = await ask(server.port, chat(words(100), { stream: true }), { timeout: ms(8000) });
    const events = parseEvents(r.text);
    const at = events.findIndex((e) => e.data?.error);
    assert.ok(at > 0, 'an error event');
    assert.equal(typeof events[at].data.error.message, 'string');
    assert.ok(events.slice(at + 1).every((e) => e.done), 'nothing but [DONE] after an error');
    assert.ok(events.every((e) => e.data?.choices?.[0]?.finish_reason !== 'stop'), 'no false success');
    await server.metricBecomes('runnel_turns_running', 0);
    await server.stop();
  });
});

test('a probe of its own: HEAD of a stream route starts nothing', async () => {
  const server = await start();
  const r = await ask(server.port, req('HEAD /v1/chat/completions HTTP/1.1', 'Host: a'), { method: 'HEAD' });
  assert.equal(r.status, 405);
  assert.equal(await server.metric('runnel_turns_running'), 0);
  await server.stop();
});
