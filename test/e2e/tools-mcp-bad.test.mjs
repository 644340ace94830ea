// MCP servers that behave badly: whatever they do, the model is told something true in time, no
// call is made twice, and runnel stays as it was.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';
import { start as startProvider } from '../providers/lib/index.mjs';
import { bareServer, event, json, listen, pour, result, sse } from './lib/mcp.mjs';
import { duration, eventually, ms, run, scratch, start } from './lib/server.mjs';

const schema = { type: 'object', properties: { how: { type: 'string' } } };
const NOTICE = { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'x'.repeat(1000) } };
const sent = {}; // by the ways below: how many bytes went out
let elsewhere;

// What the server does with a call, by its argument `how`.
const ways = {
  good: (req, res, { id }) => json(res, result(id, 'good')),
  wrong_id: (req, res, { id }) => json(res, result(id + 1, 'not yours')),
  wrong_ids_first: (req, res, { id }) => sse(res).end(event(result(id + 1, 'no')) + event(result(`${id}`, 'no')) + event('{"id":') + event(result(id, 'mine')) + event(result(id, 'again'))),
  batch: (req, res, { id }) => json(res, [NOTICE, result(id, 'in a batch')]),
  primed: (req, res, { id }) => sse(res).end('id: p1\nretry: 100\ndata:\n\n' + event(result(id, 'primed'))),
  split: async (req, res, { id }) => {
    sse(res);
    for (const byte of Buffer.from(event(result(id, 'é好😀')))) { res.write(Buffer.from([byte])); await sleep(0); }
    res.end();
  },
  no_end: (req, res, { id }) => { sse(res).write(event(result(id, 'before the end'))); },
  garbage: (req, res) => res.writeHead(200, { 'content-type': 'application/json' }).end('{"jsonrpc": nonsense'),
  page: (req, res) => res.writeHead(200, { 'content-type': 'text/html' }).end('<h1>hello</h1>'),
  empty: (req, res) => res.writeHead(200, { 'content-type': 'application/json' }).end(),
  accepted: (req, res) => res.writeHead(202).end(),
  deep: (req, res) => res.writeHead(200, { 'content-type': 'application/json' }).end('['.repeat(100000)),
  not_http: (req) => req.socket.end('SSH-2.0-OpenSSH_9.2\r\n'),
  headers: (req, res) => { for (let i = 0; i < 2000; i++) res.setHeader(`x-${i}`, 'y'.repeat(1000)); res.end('{}'); },
  silent: () => {},
  half: (req, res) => { sse(res).write('data: {"jsonrpc":"2.0",'); },
  hangs_up: (req) => req.socket.destroy(),
  hangs_up_late: (req, res) => { sse(res).write(event(NOTICE)); setTimeout(() => req.socket.destroy(), 50); },
  fails: (req, res) => res.writeHead(500).end('Internal Server Error: db-7.internal refused'),
  locked: (req, res) => res.writeHead(401, { 'www-authenticate': 'Bearer' }).end(),
  moved: (req, res) => res.writeHead(307, { location: `${elsewhere.url}` }).end(),
  error: (req, res, { id }) => json(res, { jsonrpc: '2.0', id, error: { code: -32602, message: 'Unknown tool: bare' } }),
  error_400: (req, res, { id }) => json(res, { jsonrpc: '2.0', id, error: { code: -32602, message: 'bad arguments' } }, 400),
  error_of_nobody: (req, res) => json(res, { jsonrpc: '2.0', id: null, error: { code: -32700, message: 'Parse error' } }),
  odd_text: (req, res, { id }) => res.writeHead(200, { 'content-type': 'application/json' }).end(`{"jsonrpc":"2.0","id":${id},"result":{"content":[{"type":"text","text":"a\\ud83db"}]}}`),
  person: (req, res, { id }) => json(res, { jsonrpc: '2.0', id, result: { resultType: 'input_required', inputRequests: {} } }),
  no_content: (req, res, { id }) => json(res, { jsonrpc: '2.0', id, result: {} }),
  huge: async (req, res, { id }) => {
    res.writeHead(200, { 'content-type': 'application/json' });
    res.write(`{"result":{"content":[{"type":"text","text":"`);
    sent.huge = await pour(res, '0123456789'.repeat(1000), 100e6);
    res.end(`"}]},"jsonrpc":"2.0","id":${id}}`);
  },
  huge_event: async (req, res, { id }) => {
    sse(res).write(`data: {"jsonrpc":"2.0","id":${id},"result":{"content":[{"type":"text","text":"`);
    sent.huge_event = await pour(res, '0123456789'.repeat(1000), 100e6);
    res.end();
  },
  endless_notices: async (req, res) => { sse(res); sent.endless_notices = await pour(res, event(NOTICE)); },
  endless_comments: async (req, res) => { sse(res); sent.endless_comments = await pour(res, ': hello\n'.repeat(500)); },
  endless_refusal: async (req, res) => { res.writeHead(503); sent.endless_refusal = await pour(res, 'x'.repeat(5000)); },
  pings: (req, res, { id }) => sse(res).end(Array.from({ length: 5000 }, (_, i) => event({ jsonrpc: '2.0', id: `p${i}`, method: 'ping' })).join('') + event(result(id, 'pinged'))),
  list_changes: (req, res, { id }) => sse(res).end(event({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' }).repeat(1000) + event(result(id, 'changed'))),
  broken: (req, res) => sse(res).end('retry: 10\n' + event('', 'b1')),
  broken_no_id: (req, res) => sse(res).end(event(NOTICE)),
  broken_ever: (req, res) => sse(res).end('retry: 10\n' + event('', 'ever-0')),
  broken_silent: (req, res) => sse(res).end('retry: 10\n' + event('', 'silent')),
  broken_refused: (req, res) => sse(res).end('retry: 10\n' + event('', 'refuse')),
  lost_session: (req, res) => json(res, { jsonrpc: '2.0', id: null, error: { code: -32001, message: 'Session not found' } }, 404),
  lost_once: (req, res, body, entry) => (entry.headers['mcp-session-id'] === bare.first ? ways.lost_session(req, res) : ways.good(req, res, body)),
  lost_late: async (req, res, body, entry) => { await sleep(ms(300)); ways.lost_once(req, res, body, entry); },
  odd_session: (req, res, { id }, entry) => (entry.headers['mcp-session-id'] === bare.first ? res.writeHead(400).end('no valid session') : json(res, result(id, 'in a new session'))),
};
// Broken streams that are taken up again.
let turn = 0;
function takeUp(req, res) {
  const last = req.headers['last-event-id'];
  if (last === 'b1') return sse(res).end(event(result(bare.calls().at(-1).body.id, 'from where it broke')));
  if (last?.startsWith('ever')) return sse(res).end('retry: 10\n' + event('', `ever-${++turn}`));
  if (last === 'silent') return sse(res).end(': nothing new\n\n');
  return res.writeHead(405).end();
}

let provider, server, openai, bare;
before(async () => {
  provider = await startProvider({ kind: 'openai' });
  elsewhere = await listen((req, res) => json(res, {}));
  let n = 0;
  bare = await bareServer([{ name: 'do', inputSchema: schema }], {
    'tools/call': (req, res, body, entry) => ways[body.params.arguments.how](req, res, body, entry),
    GET: takeUp,
    initialize: (req, res, { id }) => json(res, { jsonrpc: '2.0', id, result: { protocolVersion: '2025-06-18', capabilities: {} } }, 200, { 'mcp-session-id': `S${++n}` }),
  });
  bare.calls = () => bare.of('tools/call');
  server = await start({
    providers: [{ name: 'fake', kind: 'openai', base_url: `http://127.0.0.1:${provider.port}/v1`, api_key: 'sk-1', breaker_failures: 0 }],
    tools: [{ name: 'bare', kind: 'mcp', url: bare.url, timeout: duration(1500), max_output_bytes: 1000 }],
    models: [{ name: 'm', targets: [{ provider: 'fake' }], tools: ['bare'] }],
  });
  openai = new OpenAI({ baseURL: `http://127.0.0.1:${server.port}/v1`, apiKey: 'none', maxRetries: 0 });
  await server.log({ msg: 'an MCP server has told its tools' });
});
after(async () => {
  await server.metricBecomes('runnel_turns_running', 0);
  await server.stop();
  await provider.stop();
  await elsewhere.stop();
  await bare.stop();
});

async function toldOf(...ways) {
  provider.clear();
  provider.forget();
  provider.script({ answer: { finish: 'tools', tools: ways.map((how, i) => ({ id: `c${i}`, name: 'bare__do', arguments: JSON.stringify({ how }) })) }, times: 1 });
  provider.script({ answer: { text: 'done' }, times: 1 });
  const answer = await openai.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'go' }] });
  assert.equal(answer.choices[0].message.content, 'done');
  return provider.requests()[1].body.messages.slice(-ways.length).map((m) => m.content);
}
const told = async (how) => (await toldOf(how))[0];
const CUT = '0123456789'.repeat(100) + '\n[cut: the rest is too long]';

describe('answers that are good in their own way', () => {
  for (const [how, want] of [['good', 'good'], ['wrong_ids_first', 'mine'], ['batch', 'in a batch'], ['primed', 'primed'], ['split', 'é好😀'],
    ['no_end', 'before the end'], ['odd_text', 'a\ufffdb'], ['no_content', '[it said nothing]'], ['pings', 'pinged'], ['list_changes', 'changed'],
    ['broken', 'from where it broke'], ['odd_session', 'in a new session'], ['huge', CUT], ['huge_event', CUT]]) {
    test(how, async () => {
      bare.first = bare.calls().at(-1)?.headers['mcp-session-id'] ?? 'S1';
      assert.equal(await told(how), want);
    });
  }

  test('a session that is found lost twice is renewed once', async () => {
    bare.first = bare.calls().at(-1).headers['mcp-session-id'];
    const greeted = bare.of('initialize').length;
    assert.deepEqual(await toldOf('lost_once', 'lost_late'), ['good', 'good']);
    assert.equal(bare.of('initialize').length, greeted + 1);
  });

  test('of what is huge not all is read', () => {
    assert.ok(sent.huge < 50e6 && sent.huge_event < 50e6, JSON.stringify(sent));
  });

  test('a flood of pings is not answered in full, nor is the list asked for each time it changes', async () => {
    await sleep(ms(1500));
    assert.ok(bare.seen.filter((r) => r.body?.result).length <= 16);
    assert.ok(bare.of('tools/list').length <= 3, `${bare.of('tools/list').length} times`);
  });
});

describe('calls that fail', () => {
  for (const [how, want, times = 1] of [
    ['wrong_id', /cannot be understood: this is no answer/], ['garbage', /cannot be understood/], ['page', /cannot be understood/], ['empty', /cannot be understood/],
    ['accepted', /cannot be understood/], ['deep', /cannot be understood/], ['not_http', /cannot be understood: the answer is not HTTP/], ['headers', /cannot be understood/],
    ['hangs_up', /did not come; it may have been carried out or not/], ['hangs_up_late', /did not come/], ['broken_no_id', /did not come/],
    ['broken_ever', /did not come/], ['broken_refused', /did not come/], ['broken_silent', /did not come/],
    ['fails', /^the server of this tool refused the call \(500\)$/], ['locked', /its operator has to look at the headers of the setting tools: bare/],
    ['moved', /is elsewhere \(307\)/], ['error', /says: Unknown tool: bare \(-32602\)/], ['error_400', /says: bad arguments/], ['error_of_nobody', /says: Parse error/],
    ['person', /wants to be told more by a person/], ['endless_refusal', /refused the call \(503\)/], ['endless_notices', /too long/], ['lost_session', /\(404\)/, 2],
  ]) {
    test(how, async () => {
      const before = bare.calls().length;
      const error = JSON.parse(await told(how));
      assert.equal(error.type, 'error');
      assert.match(error.error, want);
      assert.equal(bare.calls().length - before, times, 'as often as it was asked');
    });
  }

  test('a call is not sent again on a fresh connection when a kept one breaks', async () => {
    assert.equal(await told('good'), 'good');
    const before = bare.calls().length;
    assert.match(await told('hangs_up'), /did not come/);
    assert.equal(bare.calls().length, before + 1);
  });

  for (const how of ['silent', 'half', 'endless_comments']) {
    test(`${how}: the model is told in time, and the server that nobody waits`, async () => {
      const from = bare.of('notifications/cancelled').length, began = performance.now();
      const error = JSON.parse(await told(how)).error;
      assert.match(error, how === 'endless_comments' ? /timeout|too long/ : /timeout/);
      assert.ok(performance.now() - began < ms(5000));
      if (error === 'timeout') await eventually(() => assert.ok(bare.of('notifications/cancelled').length > from));
    });
  }

  test('endless streams are cut', () => {
    for (const how of ['endless_notices', 'endless_refusal', 'endless_comments']) assert.ok(sent[how] < 100e6, JSON.stringify(sent));
  });

  test('nobody is led elsewhere', () => assert.deepEqual(elsewhere.seen, []));
  test('a stream that always breaks is taken up again often, but not for ever', () => assert.ok(turn > 3 && turn <= 20, `${turn} times`));
  test('nor when that brings nothing new', () => assert.equal(bare.seen.filter((r) => r.headers['last-event-id'] === 'silent').length, 1));
  test('and then it is as if nothing had been', async () => {
    assert.equal(await told('good'), 'good');
    await server.alive();
  });
});

describe('lists that are bad', () => {
  // Starts runnel with one server, and tells what it offers a model.
  async function offers(listed, more, look = async () => {}) {
    const mcp = await bareServer(listed, more);
    const one = await start({
      providers: [{ name: 'fake', kind: 'openai', base_url: `http://127.0.0.1:${provider.port}/v1`, api_key: 'sk-1' }],
      tools: [{ name: 's', kind: 'mcp', url: mcp.url }], models: [{ name: 'm', targets: [{ provider: 'fake' }], tools: ['s'] }],
    });
    try {
      await one.log({ msg: 'an MCP server has told its tools' });
      provider.clear();
      provider.forget();
      provider.script({ answer: { text: 'done' }, times: 1 });
      await new OpenAI({ baseURL: `http://127.0.0.1:${one.port}/v1`, apiKey: 'none', maxRetries: 0 }).chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'go' }] });
      await look(one, mcp);
      return (provider.requests()[0].body.tools ?? []).map((t) => t.function.name);
    } finally {
      await one.stop();
      await mcp.stop();
    }
  }
  const tool = (name, inputSchema = schema) => ({ name, inputSchema });

  test('tools that no model could use are left out, and the log says why', async () => {
    const names = await offers([tool('ok'), tool(''), tool('a'.repeat(129)), tool('new\nline'), { inputSchema: schema }, tool('no_schema', null), tool('array', { type: 'array' }),
      tool('ok'), tool('big', { type: 'object', description: 'x'.repeat(70000) }), 7, null, { name: 8, inputSchema: schema }], {}, async (one) => {
      const why = one.lines.filter((l) => l.includes('is left out')).length;
      assert.equal(why, 11);
      assert.ok(one.lines.some((l) => l.includes('name=array') && l.includes('inputSchema is not that of an object')));
    });
    assert.deepEqual(names, ['s__ok']);
  });

  test('names that would be the same are told apart, whatever their order', async () => {
    const all = ['a.b', 'a_b', 'a b', '好', 'x'.repeat(100), 'x'.repeat(101), 'y'.repeat(128)];
    const one = await offers(all.map((n) => tool(n))), other = await offers(all.toReversed().map((n) => tool(n)));
    assert.deepEqual(one.toSorted(), other.toSorted());
    assert.equal(new Set(one).size, all.length);
    for (const n of one) assert.match(n, /^s__[A-Za-z0-9_-]{1,61}$/);
    assert.equal(one[1], 's__a_b');
    assert.match(one[0], /^s__a_b_[0-9a-f]{8}$/);
  });

  test('pages are read to the last, and a list without end to its limit', async () => {
    let page = 0;
    const paged = (last) => ({ 'tools/list': (req, res, { id, params }) => json(res, { jsonrpc: '2.0', id, result: { tools: [tool(`t${page++}`)], ...(page < last && { nextCursor: `"${page}` }) } }, params.cursor === undefined || params.cursor === `"${page - 1}` ? 200 : 400) });
    assert.deepEqual(await offers([], paged(3)), ['s__t0', 's__t1', 's__t2']);
    page = 0;
    assert.equal((await offers([], paged(Infinity))).length, 50);
    assert.equal((await offers(Array.from({ length: 400 }, (_, i) => tool(`t${i}`)))).length, 128);
  });

  test('a server that is away for a while is asked again, and then it has tools', async () => {
    let away = true;
    const mcp = await bareServer([tool('t')], { initialize: (req, res, { id }) => (away ? res.writeHead(503).end()
      : json(res, { jsonrpc: '2.0', id, result: { protocolVersion: '2025-03-26', capabilities: {} } })) });
    const one = await start({ tools: [{ name: 's', kind: 'mcp', url: mcp.url }] });
    const first = await one.log({ msg: 'an MCP server does not tell its tools' });
    assert.equal(first.status, '503');
    await eventually(() => assert.equal(one.lines.filter((l) => l.includes('does not tell its tools')).length, 2), ms(5000));
    away = false;
    await one.log({ msg: 'an MCP server has told its tools' });
    const asked = mcp.of('initialize').length;
    assert.ok(asked >= 3 && asked <= 5, `${asked} times`);
    assert.equal(mcp.of('tools/list').at(-1).headers['mcp-session-id'], undefined);
    await one.stop();
    await mcp.stop();
  });

  test('while a list cannot be had the last one stays', async () => {
    let away = false;
    const mcp = await bareServer([], {
      'tools/list': (req, res, { id }) => (away ? res.writeHead(500).end() : json(res, { jsonrpc: '2.0', id, result: { tools: [tool('t')] } })),
      'tools/call': (req, res, { id }) => { away = true; sse(res).end(event({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' }) + event(result(id, 'ok'))); },
    });
    const one = await start({
      providers: [{ name: 'fake', kind: 'openai', base_url: `http://127.0.0.1:${provider.port}/v1`, api_key: 'sk-1' }],
      tools: [{ name: 's', kind: 'mcp', url: mcp.url }], models: [{ name: 'm', targets: [{ provider: 'fake' }], tools: ['s'] }],
    });
    await one.log({ msg: 'an MCP server has told its tools' });
    const ask = async (...answers) => {
      provider.clear();
      provider.forget();
      for (const answer of answers) provider.script({ answer, times: 1 });
      await new OpenAI({ baseURL: `http://127.0.0.1:${one.port}/v1`, apiKey: 'none', maxRetries: 0 }).chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'go' }] });
      return provider.requests().at(-1).body;
    };
    const call = { finish: 'tools', tools: [{ id: 'c', name: 's__t', arguments: '{}' }] };
    assert.equal((await ask(call, { text: 'done' })).messages.at(-1).content, 'ok');
    const first = await one.log({ msg: 'an MCP server does not tell its tools' });
    assert.deepEqual((await ask({ text: 'done' })).tools.map((t) => t.function.name), ['s__t']);
    assert.equal((await ask(call, { text: 'done' })).messages.at(-1).content, 'ok');
    let from = one.lines.length;
    away = false;
    await one.log({ msg: 'an MCP server has told its tools' }, { from });
    from = one.lines.length;
    await ask(call, { text: 'done' });
    const again = await one.log({ msg: 'an MCP server does not tell its tools' }, { from });
    assert.equal(again.again_in, first.again_in, 'it begins anew to wait a little');
    await one.stop();
    await mcp.stop();
  });

  test('one whose version nobody knows is left alone', async () => {
    const mcp = await bareServer([], { initialize: (req, res, { id }) => json(res, { jsonrpc: '2.0', id, result: { protocolVersion: '2031-01-01' } }) });
    const one = await start({ tools: [{ name: 's', kind: 'mcp', url: mcp.url }] });
    assert.match((await one.log({ msg: 'an MCP server does not tell its tools' })).why, /version that we do not know/);
    assert.deepEqual(mcp.of('tools/list'), []);
    await one.stop();
    await mcp.stop();
  });

  test('settings that are wrong are found before', async () => {
    const file = join(scratch(), 'runnel.yaml');
    writeFileSync(file, JSON.stringify({ tools: [{ name: 's', kind: 'mcp', url: 'https://127.0.0.1/mcp', ca_file: '/nowhere.pem' }] }));
    const { code, stderr } = await run(['check', file]);
    assert.equal(code, 1);
    assert.match(stderr, /tools\[0\]\.ca_file: no certificates to trust/);
  });
});
