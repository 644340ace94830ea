// Tools of MCP servers: a model calls them in a turn. The servers are made with the protocol's
// own SDK; what they are asked and what the model is told is what matters.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import OpenAI from 'openai';
import { start as startProvider } from '../providers/lib/index.mjs';
import { certs } from '../providers/lib/certs.mjs';
import { sdkServer, statelessServer } from './lib/mcp.mjs';
import { duration, eventually, ms, start } from './lib/server.mjs';

const kinds = {
  sessions: {}, json: { json: true }, stateless: { sessions: false }, stateless_json: { sessions: false, json: true },
  resumable: { events: true }, guarded: { headers: { authorization: 'Bearer hush', 'x-team': 'blue' } },
  secure: { tls: certs().get('good') },
};
const newer = { newer: {}, newer_json: { responseMode: 'json' }, newer_sse: { responseMode: 'sse' }, both: { legacy: 'stateless' } };
const servers = {};
let provider, server, openai, settings;
before(async () => {
  provider = await startProvider({ kind: 'openai' });
  for (const [name, options] of Object.entries(kinds)) servers[name] = await sdkServer(options);
  for (const [name, options] of Object.entries(newer)) servers[name] = await statelessServer(options);
  const tool = (name, more = {}) => ({ name, kind: 'mcp', url: servers[name]?.url, ...more });
  settings = {
    providers: [{ name: 'fake', kind: 'openai', base_url: `http://127.0.0.1:${provider.port}/v1`, api_key: 'sk-1', breaker_failures: 0 }],
    tools: [...Object.keys(newer).map((name) => tool(name)), tool('sessions', { max_output_bytes: 1000, timeout: duration(3000) }), tool('json', { max_output_bytes: 1000 }), tool('stateless'),
      tool('stateless_json'), tool('resumable'), tool('guarded', { headers: ['Authorization: Bearer hush', 'X-Team: blue'] }),
      tool('secure', { ca_file: certs().caFile }), tool('few', { url: servers.sessions.url, only: ['add', 'files.read'] }), tool('stranger', { url: servers.guarded.url }), tool('doubtful', { url: servers.secure.url }),
      tool('nobody', { url: 'http://127.0.0.1:1/mcp' })],
  };
  settings.models = settings.tools.map((t) => ({ name: t.name, targets: [{ provider: 'fake' }], tools: [t.name] }));
  server = await start(settings);
  openai = new OpenAI({ baseURL: `http://127.0.0.1:${server.port}/v1`, apiKey: 'none', maxRetries: 0 });
  for (const t of settings.tools.slice(0, -3)) await server.log({ msg: 'an MCP server has told its tools', tool: t.name });
});
after(async () => {
  await server.metricBecomes('runnel_turns_running', 0);
  await server.stop();
  await provider.stop();
  for (const s of Object.values(servers)) await s.stop();
});

const SAYS = { text: 'done', usage: { input: 20, output: 7 } };
function play(...rounds) {
  provider.clear();
  provider.forget();
  for (const answer of rounds) provider.script({ answer, times: 1 });
}
async function ask(model) {
  const answer = await openai.chat.completions.create({ model, messages: [{ role: 'user', content: 'go' }] });
  assert.equal(answer.choices[0].message.content, 'done');
}

// One turn in which the model calls these; what it was told of each.
async function calls(model, ...wanted) {
  const tools = wanted.map(([name, args = {}], i) => ({ id: `c${i}`, name: `${model}__${name}`, arguments: JSON.stringify(args) }));
  play({ finish: 'tools', usage: { input: 10, output: 5 }, tools }, SAYS);
  await ask(model);
  return provider.requests()[1].body.messages.filter((m) => m.role === 'tool').map((m) => m.content);
}
const call = async (model, name, args) => (await calls(model, [name, args]))[0];
async function failure(model, name, args) {
  const told = JSON.parse(await call(model, name, args));
  assert.equal(told.type, 'error');
  return told.error;
}
async function offered(model) {
  play(SAYS);
  await ask(model);
  return (provider.requests()[0].body.tools ?? []).map((t) => t.function);
}

describe('what a server can is on offer', () => {
  test('with names that models may say, words and schemas', async () => {
    const on = await offered('sessions');
    assert.deepEqual(on.map((f) => f.name), ['add', 'files_read', 'fail', 'throw', 'parts', 'structured', 'nothing', 'long', 'slow', 'chatty', 'hangs_up', 'grow']
      .map((n) => `sessions__${n}`));
    assert.equal(on[1].description, 'does files.read');
    assert.deepEqual(on[0].parameters.properties, { a: { type: 'number' }, b: { type: 'number' } });
    assert.deepEqual(provider.requests()[0].problems, []);
  });

  test('only what the settings want', async () => {
    assert.deepEqual((await offered('few')).map((f) => f.name), ['few__add', 'few__files_read']);
  });

  test('nothing of a server that is not there, or does not let us in', async () => {
    assert.deepEqual(await offered('nobody'), []);
    assert.deepEqual(await offered('stranger'), []);
    assert.deepEqual(await offered('doubtful'), [], 'its certificate is nobody\'s');
    const away = await server.log({ msg: 'an MCP server does not tell its tools', tool: 'nobody' });
    assert.match(away.what, /cannot be reached/);
    const out = await server.log({ msg: 'an MCP server does not tell its tools', tool: 'stranger' });
    assert.match(out.what, /headers of the setting tools: stranger/);
    assert.ok(!server.stderr.includes('hush'), 'a secret is in the log');
  });
});

for (const kind of [...Object.keys(kinds), ...Object.keys(newer)]) {
  describe(`a server of the SDK: ${kind}`, () => {
    test('a call, its arguments and its output', async () => {
      assert.equal(await call(kind, 'add', { a: 2, b: 40 }), '42');
      assert.equal(await call(kind, 'files_read', { path: '/tmp/"x"' }), 'the file /tmp/"x": 好 😀');
      assert.deepEqual(servers[kind].log.at(-1), { name: 'files.read', args: { path: '/tmp/"x"' } });
    });

    test('output in parts, as JSON, and none', async () => {
      assert.equal(await call(kind, 'parts'), 'one\n[an image, image/png, 6 bytes, not shown]\n[a sound, audio/wav, 3 bytes, not shown]\n'
        + '[a link: notes file:///notes.txt]\n[a resource file:///a.txt, text/plain]\nits text\n[a resource file:///b.bin, application/zip, 3 bytes, not shown]\ntwo');
      assert.deepEqual(JSON.parse(await call(kind, 'structured')), { city: 'Rome', degrees: 21 });
      assert.equal(await call(kind, 'nothing'), '[it said nothing]');
    });

    test('tools that fail, and calls that are wrong', async () => {
      assert.equal(await failure(kind, 'fail'), 'the disk is full');
      assert.match(await failure(kind, 'throw'), /it broke/);
      assert.match(await failure(kind, 'add', { a: 'two' }), /nvalid/);
    });

    test('several at once', async () => {
      const many = await calls(kind, ...Array.from({ length: 12 }, (_, i) => ['add', { a: i, b: 100 }]));
      assert.deepEqual(many, many.map((_, i) => String(100 + i)));
    });
  });
}

describe('sessions', () => {
  test('one is opened and shown with everything', async () => {
    const seen = servers.sessions.seen.filter((r) => r.method === 'POST');
    const first = seen.findIndex((r) => r.body.method === 'initialize');
    assert.equal(seen[0].body.method, 'server/discover', 'whether it is a newer one is asked first');
    assert.equal(seen[0].headers['mcp-protocol-version'], '2026-07-28');
    assert.ok(first > 0);
    const later = seen.filter((r) => !['server/discover', 'initialize'].includes(r.body.method));
    for (const r of later) {
      assert.match(r.headers['mcp-session-id'], /^[0-9a-f-]{36}$/);
      assert.equal(r.headers['mcp-protocol-version'], '2025-11-25');
      assert.equal(r.headers.accept, 'application/json, text/event-stream');
    }
    for (const id of new Set(later.map((r) => r.headers['mcp-session-id'])))
      assert.equal(later.find((r) => r.headers['mcp-session-id'] === id).body.method, 'notifications/initialized');
  });

  for (const kind of ['sessions', 'json']) {
    test(`a server that has forgotten them is greeted again, and the calls are made once (${kind})`, async () => {
      servers[kind].forget();
      servers[kind].log.length = 0;
      const greeted = servers[kind].of('initialize').length;
      const many = await calls(kind, ...Array.from({ length: 5 }, (_, i) => ['add', { a: i, b: 10 }]));
      assert.deepEqual(many, ['10', '11', '12', '13', '14']);
      assert.equal(servers[kind].log.length, 5);
      assert.equal(servers[kind].of('initialize').length, greeted + 1, 'one new session for all of them');
    });
  }

  test('what a server asks and tells before its answer', async () => {
    assert.deepEqual(JSON.parse(await call('sessions', 'chatty')), { pong: {}, refused: -32601, _meta: null });
  });

  test('a stream that is closed before the answer is taken up again', async () => {
    assert.equal(await call('resumable', 'hangs_up'), 'taken up again');
    const got = servers.resumable.seen.filter((r) => r.method === 'GET');
    assert.equal(got.length, 1);
    assert.ok(got[0].headers['last-event-id'] && got[0].headers['mcp-session-id']);
    assert.equal(servers.resumable.log.filter((r) => r.name === 'hangs_up').length, 1);
  });

  test('a list that changes is asked for again', async () => {
    await call('resumable', 'grow');
    await eventually(async () => assert.ok((await offered('resumable')).some((f) => f.name === 'resumable__grown')), ms(5000));
    assert.equal(await call('resumable', 'grown'), 'new');
  });
});

describe('servers of 2026-07-28', () => {
  for (const kind of Object.keys(newer)) {
    test(`every request says who asks, and what (${kind})`, () => {
      const seen = servers[kind].seen;
      assert.deepEqual([seen[0].body.method, seen[1].body.method], ['server/discover', 'tools/list']);
      for (const { headers, body } of seen) {
        assert.equal(headers['mcp-protocol-version'], '2026-07-28');
        assert.equal(headers['mcp-method'], body.method);
        assert.equal(headers['mcp-name'], body.params.name);
        assert.equal(body.params._meta['io.modelcontextprotocol/protocolVersion'], '2026-07-28');
      }
    });
  }

  test('arguments that are wanted as headers are sent so', async () => {
    for (const region of ['eu', '', ' spaced ', '北京', '=?base64?x?='])
      assert.deepEqual(JSON.parse(await call('newer', 'routed', { region, deep: { n: 7 } })), { region, deep: { n: 7 } });
  });
});

describe('limits', () => {
  for (const kind of ['sessions', 'json']) {
    test(`of a long output the beginning is heard (${kind})`, async () => {
      const told = await call(kind, 'long', { bytes: 5000 });
      assert.equal(told, 'é'.repeat(500) + '\n[cut: the rest is too long]');
    });

    test(`and of one that is far longer (${kind})`, async () => {
      const before = server.rss();
      const told = await call(kind, 'long', { bytes: 30e6 });
      assert.equal(told, 'é'.repeat(500) + '\n[cut: the rest is too long]');
      assert.ok(server.rss() - before < 200e6);
    });
  }

  test('a call that takes too long is ended, and the server hears of it', async () => {
    servers.sessions.log.length = 0;
    assert.equal(await failure('sessions', 'slow', { ms: 60000 }), 'timeout');
    await eventually(() => assert.ok(servers.sessions.log.some((l) => l.cancelled)));
    const told = servers.sessions.of('notifications/cancelled').at(-1);
    assert.equal(told.body.params.requestId, servers.sessions.of('tools/call').at(-1).body.id);
  });

  test('whoever leaves ends it too', async () => {
    servers.sessions.log.length = 0;
    play({ finish: 'tools', tools: [{ id: 'c', name: 'sessions__slow', arguments: '{"ms":60000}' }] }, SAYS);
    const leaving = new AbortController();
    const asked = assert.rejects(openai.chat.completions.create({ model: 'sessions', messages: [{ role: 'user', content: 'x' }] }, { signal: leaving.signal }));
    await eventually(() => assert.ok(servers.sessions.log.length));
    leaving.abort();
    await asked;
    await eventually(() => assert.ok(servers.sessions.log.some((l) => l.cancelled)));
  });
});

describe('settings are read again', () => {
  test('a server that is in them as before stays, with what it has told', async () => {
    const asked = servers.json.of('tools/list').length;
    const from = server.lines.length;
    server.kill('SIGHUP');
    await server.log({ msg: 'reloaded' }, { from });
    assert.equal(await call('json', 'add', { a: 1, b: 1 }), '2');
    assert.equal(servers.json.of('tools/list').length, asked);
  });

  test('one that is gone ends what runs in it in its own time', async () => {
    play({ finish: 'tools', tools: [{ id: 'c', name: 'stateless__slow', arguments: `{"ms":${ms(1000)}}` }] }, SAYS);
    const asked = ask('stateless');
    await eventually(() => assert.ok(servers.stateless.log.some((l) => l.name === 'slow')));
    const from = server.lines.length;
    server.write({ ...settings, tools: settings.tools.filter((t) => t.name !== 'stateless'), models: settings.models.map((m) => (m.name === 'stateless' ? { ...m, tools: [] } : m)) });
    server.kill('SIGHUP');
    await server.log({ msg: 'reloaded' }, { from });
    await asked;
    assert.equal(provider.requests()[1].body.messages.at(-1).content, 'late');
    assert.deepEqual(await offered('stateless'), []);
  });

  test('and one that is back is asked for its tools', async () => {
    const from = server.lines.length;
    server.write(settings);
    server.kill('SIGHUP');
    await server.log({ msg: 'an MCP server has told its tools', tool: 'stateless' }, { from });
    assert.equal(await call('stateless', 'add', { a: 1, b: 1 }), '2');
  });
});
