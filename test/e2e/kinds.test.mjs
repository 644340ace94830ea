// Six kinds of provider and nine accents of one of them, over TLS, asked through OpenAI's own
// client. Every question is asked three ways - chunk by chunk, with the client's stream helper,
// and whole - and must come out the same; and the provider, a strict reader, must find nothing
// wrong with what it was asked.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import OpenAI from 'openai';
import { start as startProvider } from '../providers/lib/index.mjs';
import { KEY, kinds, SECRET } from './lib/kinds.mjs';
import { duration, ms, start } from './lib/server.mjs';

const CLIENT_KEY = 'sk-of-the-client-99';
const TEXT = '你好，world! 👩‍👩‍👧 🏳️‍🌈 "quoted" \\ end';
const WEATHER = { name: 'weather', description: 'of a city', parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } };
const NOW = { name: 'now', description: 'the time', parameters: { type: 'object', properties: {} } };
const TOOLS = [WEATHER, NOW].map((f) => ({ type: 'function', function: f }));
const parts = (text, n) => text.match(new RegExp(`.{1,${n}}`, 'gu')); // of whole characters
const CALLS = [{ id: 'call_a', name: 'weather', arguments: '{"city":"北京 👍🏽","why":"a \\"b\\""}' }, { id: 'call_b', name: 'now', arguments: '{}' }];

const FORMS = {
  async 'chunk by chunk'(client, body) {
    const got = { text: '', reasoning: '', tools: [], annotations: [], role: null, finish: null, usage: null };
    const stream = await client.chat.completions.create({ ...body, stream: true, stream_options: { include_usage: true } });
    for await (const chunk of stream) {
      const [choice] = chunk.choices;
      got.usage = chunk.usage ?? got.usage;
      got.finish = choice?.finish_reason ?? got.finish;
      const { role, content, reasoning_content, tool_calls = [], annotations = [] } = choice?.delta ?? {};
      got.role ??= role;
      got.text += content ?? '';
      got.reasoning += reasoning_content ?? '';
      got.annotations.push(...annotations);
      for (const t of tool_calls) {
        got.tools[t.index] ??= { id: t.id, name: t.function.name, arguments: '' };
        got.tools[t.index].arguments += t.function.arguments ?? '';
      }
    }
    return got;
  },
  async 'the stream helper'(client, body) {
    const stream = client.chat.completions.stream({ ...body, stream_options: { include_usage: true } });
    let reasoning = '';
    const annotations = [];
    stream.on('chunk', ({ choices: [choice] }) => {
      reasoning += choice?.delta.reasoning_content ?? '';
      annotations.push(...(choice?.delta.annotations ?? []));
    });
    return { ...seen(await stream.finalChatCompletion()), usage: await stream.totalUsage(), reasoning, annotations };
  },
  whole: async (client, body) => seen(await client.chat.completions.create(body)),
};
function seen({ choices: [{ message, finish_reason }], usage }) {
  const { role, content, reasoning_content = '', tool_calls = [], annotations = [] } = message;
  return { text: content ?? '', reasoning: reasoning_content, annotations, role, finish: finish_reason, usage,
    tools: tool_calls.map((t) => ({ id: t.id, name: t.function.name, arguments: t.function.arguments })) };
}

// The fake providers of one kind, with and without TLS, and the program that asks them.
async function stage(kind, { fake, settings } = {}) {
  const s = { kind };
  s.secure = await startProvider({ control: false, ...kind.fake, ...fake, tls: true });
  s.plain = await startProvider({ control: false, ...kind.fake, ...fake });
  const common = { retries: 0, breaker_failures: 0, first_timeout: duration(5000), idle_timeout: duration(5000), ...settings };
  try {
    s.server = await start({
      providers: [
        { name: 'secure', ...kind.settings(s.secure.url.replace('127.0.0.1', 'localhost')), ca_file: s.secure.caFile, ...common },
        { name: 'plain', ...kind.settings(s.plain.url), ...common },
        { name: 'more', ...kind.settings(s.plain.url), ...common, headers: ['X-Title: my app', 'x-tenant:7'], extra: JSON.stringify(kind.extra ?? { seed: 5 }) },
      ],
      models: ['secure', 'plain', 'more'].map((name) => ({ name, targets: [{ provider: name, model: kind.model }] })),
    });
  } catch (e) {
    await strike(s);
    throw e;
  }
  s.client = new OpenAI({ baseURL: `http://127.0.0.1:${s.server.port}/v1`, apiKey: CLIENT_KEY, maxRetries: 0, timeout: ms(15000) });
  return s;
}
async function strike(s) {
  await Promise.all([s?.secure, s?.plain].map((p) => p?.stop()));
  if (!s?.server) return;
  await s.server.metricBecomes('runnel_turns_running', 0);
  for (const secret of [KEY, SECRET, CLIENT_KEY]) assert.ok(!s.server.stderr.includes(secret), 'a key is in the log');
  assert.doesNotMatch(s.server.stderr, /signature=|authorization=/, 'a signed address is in the log');
  await s.server.stop();
}

const user = (content) => [{ role: 'user', content }];
const pieces = (n) => Array.from({ length: n }, (_, i) => `${i} 你👍🏽`);

for (const [name, kind] of Object.entries(kinds)) describe(name, { timeout: ms(120000) }, () => {
  let s;
  before(async () => { s = await stage(kind); });
  after(() => strike(s));

  // Asks in every form; `check` judges what came, and the request is judged here.
  async function ask(answer, body, check, on = 'secure') {
    for (const [form, how] of Object.entries(FORMS)) {
      const provider = s[on] ?? s.plain;
      provider.clear();
      provider.forget();
      provider.script({ answer });
      const got = await how(s.client, { model: on, messages: user(TEXT), ...body });
      const at = `${name}, ${form}`;
      assert.equal(got.role, 'assistant', at);
      const all = provider.requests();
      assert.equal(all.length, 1, `${at}: asked ${all.length} times`);
      assert.deepEqual(all[0].problems, [], at);
      const heard = kind.read(all[0]);
      assert.deepEqual([heard.key, heard.model], [KEY, kind.model], at);
      assert.ok(!JSON.stringify(all[0]).includes(CLIENT_KEY), `${at}: the client's key went to the provider`);
      if (on === 'secure') assert.deepEqual([all[0].tls.servername, /^TLSv1\.[23]$/.test(all[0].tls.version)], ['localhost', true], at);
      await check(got, heard, all[0], at);
    }
  }
  const says = (text, finish = 'stop') => (got, heard, q, at) => {
    assert.equal(got.text, text, at);
    assert.equal(got.finish, finish, at);
    assert.deepEqual(got.tools, [], at);
  };

  test('Chinese, emoji, marks', () => ask({ text: TEXT }, {}, says(TEXT)));
  test('the same without TLS', () => ask({ text: TEXT }, {}, says(TEXT), 'plain'));
  test('an emoji cut between two frames', () => ask({ text: TEXT, units: true, size: 1 }, {}, says(TEXT)));
  test('one frame for everything', () => ask({ tokens: [TEXT] }, {}, says(TEXT)));

  test('usage', () => {
    // DashScope counts frames: eight pieces and an empty last one are nine tokens.
    const models = [{ input_tokens: 20, output_tokens: 8 }, { input_tokens: 1, output_tokens: 1 }];
    return ask({ tokens: pieces(8), usage: { input: 21, output: 9, models } }, {}, (got, heard, q, at) => {
      const { prompt_tokens, completion_tokens, total_tokens } = got.usage;
      assert.deepEqual([prompt_tokens, completion_tokens, total_tokens], [21, 9, 30], at);
      assert.equal(got.text, pieces(8).join(''), at);
    });
  });

  test('a system message and a history', () => ask({ text: TEXT }, {
    messages: [{ role: 'system', content: '简短 👍' }, ...user('one "1"'), { role: 'assistant', content: 'two\n2' }, ...user(TEXT)],
  }, (got, heard, q, at) => {
    assert.equal(heard.system, '简短 👍', at);
    assert.deepEqual(heard.turns, [['user', 'one "1"'], ['assistant', 'two\n2'], ['user', TEXT]], at);
  }));

  test('options', () => {
    const want = { temperature: 0.25, top_p: 0.75, max: 64, stop: ['停', 'x'], seed: 7 };
    const { max, ...more } = want;
    return ask({ text: TEXT }, { ...more, max_tokens: max }, (got, heard, q, at) => {
      for (const [k, v] of Object.entries(heard.options)) assert.deepEqual(v, want[k], `${at}: ${k}`);
    });
  });

  test('without options, nothing is made up', () => ask({ text: TEXT }, {}, (got, heard, q, at) => {
    for (const k of ['temperature', 'top_p', 'stop', 'seed']) assert.equal(heard.options[k], undefined, `${at}: ${k}`);
    assert.equal(heard.tools, undefined, at);
  }));

  test('header fields and members of the settings', async () => {
    const extra = kind.extra ?? { seed: 5 };
    const [[member]] = Object.entries(extra);
    const at = kind.extras ?? ((q) => q.body);
    await ask({ text: TEXT }, {}, (got, heard, q, where) => {
      assert.deepEqual([q.headers['x-title'], q.headers['x-tenant']], ['my app', '7'], where);
      assert.deepEqual(at(q)[member], extra[member], where);
    }, 'more');
    const theirs = { seed: 6, top_k: 4, keep_alive: '1m' }[member];
    await ask({ text: TEXT }, { [member]: theirs }, (got, heard, q, where) =>
      assert.deepEqual(at(q)[member], theirs, `${where}: the client's own counts`), 'more');
  });

  if (kind.does.reasoning) test('reasoning', () => ask({ reasoning: '嗯 🤔 let me think', text: TEXT }, {}, (got, heard, q, at) => {
    assert.deepEqual([got.reasoning, got.text, got.finish], ['嗯 🤔 let me think', TEXT, 'stop'], at);
  }));

  for (const finish of kind.does.finish) test(`it ends with ${finish}`, () =>
    ask({ text: TEXT, finish }, {}, says(TEXT, { length: 'length', filter: 'content_filter' }[finish])));

  if (kind.does.finish.includes('length') && name !== 'dashscope app') test('a limit is a limit', () =>
    ask({ size: 1 }, { max_tokens: 3 }, says(Array.from(TEXT).slice(0, 3).join(''), 'length')));

  if (kind.does.tools) {
    test('tool calls', () => ask({ tools: CALLS.slice(0, kind.does.tools).map((c) => ({ ...c, parts: parts(c.arguments, 5) })) }, { tools: TOOLS }, (got, heard, q, at) => {
      assert.deepEqual(heard.tools, [WEATHER, NOW], at);
      const calls = CALLS.slice(0, kind.does.tools);
      assert.deepEqual(got.tools.map((t) => [t.name, JSON.parse(t.arguments)]), calls.map((t) => [t.name, JSON.parse(t.arguments)]), at);
      assert.equal(new Set(got.tools.map((t) => t.id)).size, calls.length, `${at}: ids`);
      assert.ok(got.tools.every((t) => typeof t.id === 'string' && t.id), `${at}: ids`);
      if (kind.does.ids) assert.deepEqual(got.tools, calls, at);
      assert.deepEqual([got.finish, got.text], ['tool_calls', ''], at);
    }));

    test('tool arguments with an emoji cut between two frames', () =>
      ask({ tools: [CALLS[0]], cuts: 1 }, { tools: TOOLS }, (got, heard, q, at) => {
        assert.deepEqual(got.tools.map((t) => JSON.parse(t.arguments)), [JSON.parse(CALLS[0].arguments)], at);
      }));

    test('what the tools found', () => ask({ text: TEXT }, { tools: TOOLS, messages: [...user('weather?'),
      { role: 'assistant', content: null, tool_calls: [
        { id: 'c1', type: 'function', function: { name: 'weather', arguments: '{"city":"北京"}' } },
        { id: 'c2', type: 'function', function: { name: 'now', arguments: '{}' } }] },
      { role: 'tool', tool_call_id: 'c1', content: '晴 25°' }, { role: 'tool', tool_call_id: 'c2', content: 'noon' },
    ] },
    (got, heard, q, at) => {
      kind.round(q);
      assert.equal(got.text, TEXT, at);
    }));
  }

  if (kind.does.citations) test('citations', () => ask({ text: TEXT, docs: [
    { index_id: '1', title: '手册', doc_id: 'd1', doc_name: 'handbook', doc_url: 'https://docs.example/1', text: '第一章 👍' },
    { index_id: '2', title: 'Rules', doc_id: 'd2', doc_name: 'rules', doc_url: 'https://docs.example/2', text: 'two' },
  ] }, {}, (got, heard, q, at) => {
    assert.deepEqual(got.annotations.map((a) => [a.type, a.url_citation.title, a.url_citation.url]),
      [['url_citation', '手册', 'https://docs.example/1'], ['url_citation', 'Rules', 'https://docs.example/2']], at);
    assert.equal(got.text, TEXT, at);
  }));

  if (kind.does.thoughts) test('thoughts', () =>
    ask({ text: TEXT, thoughts: [{ thought: '先想一想', action_type: 'agentRag', action_name: '知识检索' }] }, { has_thoughts: true }, (got, heard, q, at) => {
      assert.equal(q.body.parameters.has_thoughts, true, at);
      assert.deepEqual([got.reasoning, got.text], ['先想一想', TEXT], at);
    }));

  if (kind.does.embeddings) test('embeddings', async () => {
    const embed = async (more) => (await s.client.embeddings.create({ model: 'secure', input: ['你好 👍', 'b'], ...more }));
    s.secure.clear();
    s.secure.forget();
    const floats = await embed({ encoding_format: 'float' });
    const usual = await embed();                       // the client asks for base64 and decodes it
    const short = await embed({ dimensions: 3 });
    assert.deepEqual(floats.data.map((d) => [d.index, d.embedding.length]), [[0, 8], [1, 8]]);
    assert.deepEqual(usual.data.map((d) => Array.from(d.embedding)), floats.data.map((d) => d.embedding));
    assert.deepEqual(short.data.map((d) => d.embedding.length), [3, 3]);
    assert.ok(usual.usage.prompt_tokens > 0 && usual.usage.total_tokens > 0);
    const all = s.secure.requests();
    assert.deepEqual(all.map((q) => [q.body.encoding_format, q.body.dimensions]), [['float', undefined], ['base64', undefined], ['base64', 3]]);
    for (const q of all) {
      assert.match(q.path, /\/embeddings$/);
      assert.deepEqual(q.body.input, ['你好 👍', 'b']);
      assert.ok(!JSON.stringify(q).includes(CLIENT_KEY));
      assert.deepEqual([q.problems, q.model], [[], kind.model]);
    }
  });
  else test('no embeddings', async () => {
    s.secure.forget();
    await assert.rejects(() => s.client.embeddings.create({ model: 'secure', input: 'x' }), (e) => {
      assert.ok(e instanceof OpenAI.BadRequestError, `${e}`);
      assert.deepEqual([/embedding/.test(e.message), e.param], [true, 'model'], e.message);
      return true;
    });
    assert.equal(s.secure.requests().length, 0, 'it was asked all the same');
  });
});

describe('embeddings that fail', { timeout: ms(60000) }, () => {
  let s;
  before(async () => { s = await stage(kinds.openai, { settings: { first_timeout: duration(600) } }); });
  after(() => strike(s));
  const rows = [
    ['401', { answer: { status: 401 } }, 502, 'service_denied'],
    ['429', { answer: { status: 429 } }, 429, 'service_busy'],
    ['500', { answer: { status: 500 } }, 502, 'service_failed'],
    ['an error in 200', { answer: { error200: true } }, 502, 'service_failed'],
    ['a bare code in 200', { answer: { raw: '{"code":"Throttling","message":"words"}', type: 'application/json' } }, 429, 'service_busy'],
    ['not JSON', { answer: { raw: '{"data":[', type: 'application/json' } }, 502, 'garbage'],
    ['cut off', { faults: { at: 20, then: 'reset' } }, 502, 'cut'],
    ['less than promised', { faults: { framing: 'length-long' } }, 502, 'cut'],
    ['silence', { faults: { at: 'head', then: 'stall' } }, 504, 'no_first_token'],
  ];
  for (const [name, script, status, code] of rows) test(name, async () => {
    s.plain.clear();
    s.plain.script(script);
    await assert.rejects(() => s.client.embeddings.create({ model: 'plain', input: 'x' }), (e) => {
      assert.deepEqual([e.status, e.code], [status, code]);
      return true;
    });
  });
});

// A handshake that Spark refuses: a clean 502 for the client, its words for the operator.
describe('spark refuses the handshake', { timeout: ms(60000) }, () => {
  const HOUR = 3_600_000;
  const rows = [
    ['the wrong secret', { fake: { apiSecret: 'another' } }, [/HMAC signature does not match/]],
    ['an unknown key', { fake: { apiKey: 'another' } }, [/fail to retrieve credential/]],
    ['its clock is an hour ahead', { fake: { now: () => Date.now() + HOUR }, skew: 3600 }, [/a valid date/]],
    ['its clock is an hour behind', { fake: { now: () => Date.now() - HOUR }, skew: 3600 }, [/a valid date/]],
  ];
  for (const [name, { fake, skew }, words] of rows) test(name, async () => {
    const now = fake.now?.();
    const s = await stage(kinds.spark, { fake: { ...fake, ...(now && { now }) } });
    try {
      for (const stream of [true, false]) {
        const from = s.server.lines.length;
        await assert.rejects(() => s.client.chat.completions.create({ model: 'secure', stream, messages: user('hi') }), (e) => {
          assert.deepEqual([e.status, e.code], [502, 'service_denied']);
          assert.doesNotMatch(JSON.stringify(e) + e.message, /authorization|signature|hmac|localhost/i);
          return true;
        });
        const line = await s.server.log({ msg: 'turn' }, { from });
        for (const w of words) assert.match(line.words, w);
        const seconds = (line.words.match(/\d+(?= ?s)/g) ?? []).map(Number);
        if (skew) assert.ok(seconds.some((n) => Math.abs(n - skew) < 60), `no clock skew of ${skew} s in: ${line.words}`);
        else assert.ok(!/clock|skew/.test(line.words), `no word of a clock: ${line.words}`);
      }
    } finally {
      await strike(s);
    }
  });

  test('a clock that is 200 s off does not matter', async () => {
    const s = await stage(kinds.spark, { fake: { now: Date.now() + 200_000 } });
    try {
      const got = await FORMS.whole(s.client, { model: 'secure', messages: user(TEXT) });
      assert.equal(got.text, TEXT);
    } finally {
      await strike(s);
    }
  });
});
