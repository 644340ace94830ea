// Tools that are web services: a model calls them, runnel asks them, the model hears what they said. What the service and the
// model were sent tells what runnel made of it.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { after, before, describe, test } from 'node:test';
import OpenAI from 'openai';
import { certs } from '../providers/lib/certs.mjs';
import { start as startProvider } from '../providers/lib/index.mjs';
import { duration, ms, run, scratch, start } from './lib/server.mjs';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

// What a web service was asked, and by whom.
const asked = [];
let left = 0;
let goes = false; // at the next request, when it has been read
async function serve(request, response) {
  let body = '';
  for await (const piece of request) body += piece;
  const { method, url, headers } = request;
  asked.push({ method, url, headers, body, port: request.socket.localPort, socket: request.socket.remotePort });
  if (goes) {
    goes = false;
    return request.socket.destroy();
  }
  const json = (status, what) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(what));
  if (url.startsWith('/city/')) return json(200, { city: decodeURIComponent(url.slice(6)), degrees: 21 });
  if (url.startsWith('/note')) return json(201, { kept: JSON.parse(body || '{}') });
  if (url.startsWith('/broken')) return json(500, { error: 'out of order' });
  if (url.startsWith('/long')) return response.writeHead(200, { 'content-type': 'text/plain' }).end('\u4f60'.repeat(1000));
  if (url.startsWith('/metadata')) return response.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data/' }).end();
  if (url.startsWith('/neighbour')) return response.writeHead(302, { location: `http://localhost:${plain.address().port}/secret` }).end();
  if (url.startsWith('/away')) return response.writeHead(307, { location: `https://127.0.0.1:${other.address().port}/note` }).end();
  if (url.startsWith('/down')) return response.writeHead(302, { location: `http://127.0.0.1:${plain.address().port}/note` }).end();
  response.on('close', () => left++);
  return response.writeHead(200, { 'content-type': 'text/plain' }).write('wait');
}

const listening = (server) => new Promise((done) => server.listen(0, '127.0.0.1', () => done(server)));
let provider, server, openai, plain, secure, other, strange;
before(async () => {
  const { key, cert } = certs().get('good');
  const stranger = certs().get('wrong-ca');
  plain = await listening(createServer(serve));
  secure = await listening(createSecureServer({ key, cert }, serve));
  other = await listening(createSecureServer({ key, cert }, serve));
  strange = await listening(createSecureServer(stranger, serve));
  provider = await startProvider({ kind: 'openai' });
  const at = (s, path) => `${s === plain ? 'http' : 'https'}://127.0.0.1:${s.address().port}${path}`;
  const city = JSON.stringify({ type: 'object', properties: { city: { type: 'string' }, note: {} }, required: ['city'] });
  const tool = (name, url, more = {}) => ({ name, url, description: `it does ${name}`, allow: ['127.0.0.1'], ca_file: certs().caFile, ...more });
  const tools = [
    tool('weather', at(plain, '/city/{city}'), { parameters: city }),
    tool('note', at(secure, '/note'), { method: 'POST', headers: ['X-Key: the-secret'] }),
    tool('sure', at(secure, '/city/x')),
    tool('broken', at(plain, '/broken')),
    tool('long', at(plain, '/long'), { max_output_bytes: '100' }),
    tool('metadata', at(plain, '/metadata')),
    tool('neighbour', at(plain, '/neighbour')),
    tool('away', at(secure, '/away'), { method: 'POST', headers: ['X-Key: the-secret'] }),
    tool('down', at(secure, '/down')),
    tool('strange', at(strange, '/note')),
    tool('local', `http://localhost:${plain.address().port}/secret`, { allow: [] }),
    tool('slow', at(plain, '/slow'), { timeout: duration(300) }),
    tool('never', at(plain, '/slow')),
  ];
  const common = { kind: 'openai', retries: 0, breaker_failures: 0, connect_timeout: duration(500), first_timeout: duration(5000), idle_timeout: duration(5000) };
  server = await start({
    providers: [{ name: 'fake', base_url: `http://127.0.0.1:${provider.port}/v1`, api_key: 'sk-1', ...common }],
    models: [{ name: 'm', targets: [{ provider: 'fake' }], tools: tools.map((t) => t.name) }], tools,
  });
  openai = new OpenAI({ baseURL: `http://127.0.0.1:${server.port}/v1`, apiKey: 'none', maxRetries: 0 });
});
after(async () => {
  await server.metricBecomes('runnel_turns_running', 0);
  await server.stop();
  await provider.stop();
  for (const s of [plain, secure, other, strange]) s.close().closeAllConnections();
});

// A model that calls these in its first round, and is told what they came to in the second.
const calls = (...tools) => {
  provider.clear();
  provider.forget();
  asked.length = 0;
  provider.script({ answer: { finish: 'tools', tools: tools.map(([name, args], i) => ({ id: `c${i}`, name, arguments: JSON.stringify(args) })) }, times: 1 });
  provider.script({ answer: { text: 'So it is.' }, times: 1 });
};
const ask = (more = {}, options = {}) => openai.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'well?' }], ...more }, options);
async function told(...tools) {
  calls(...tools);
  assert.equal((await ask()).choices[0].message.content, 'So it is.');
  return provider.requests()[1].body.messages.filter((m) => m.role === 'tool').map((m) => m.content);
}
const error = async (name, args) => JSON.parse((await told([name, args]))[0]).error;

describe('a web service that a model may ask', () => {
  test('is on offer as the settings describe it', async () => {
    await told(['weather', { city: 'x' }]);
    const { name, description, parameters } = provider.requests()[0].body.tools[0].function;
    assert.deepEqual([name, description, parameters.required], ['weather', 'it does weather', ['city']]);
  });

  test('hears the arguments in its path and query, and its words go to the model', async () => {
    assert.deepEqual(await told(['weather', { city: 'Z\u00fcrich/am See', note: { a: 1 } }]),
      ['{"city":"Z\u00fcrich/am See?note={\\"a\\":1}","degrees":21}']);
    assert.equal(asked.length, 1);
    assert.equal(asked[0].url, '/city/Z%C3%BCrich%2Fam%20See?note=%7B%22a%22%3A1%7D');
  });

  test('hears them as JSON, over TLS, with the fields of the settings', async () => {
    assert.deepEqual(await told(['note', { text: 'caf\u00e9', n: [1, null] }]), ['{"kept":{"text":"caf\u00e9","n":[1,null]}}']);
    assert.deepEqual([asked[0].method, asked[0].headers['x-key'], asked[0].headers['content-type']], ['POST', 'the-secret', 'application/json']);
  });

  test('hears several at once', async () => {
    const results = await told(['weather', { city: 'a' }], ['note', { b: 1 }], ['weather', { city: 'c' }]);
    assert.deepEqual(results.map((r) => JSON.parse(r)), [{ city: 'a', degrees: 21 }, { kept: { b: 1 } }, { city: 'c', degrees: 21 }]);
  });

  test('is asked on the connection of the time before', async () => {
    await told(['sure', {}]);
    const { socket } = asked[0];
    await told(['sure', {}]);
    assert.equal(asked[0].socket, socket);
  });

  test('that goes without a word is asked again on another connection', async () => {
    await told(['sure', {}]);
    goes = true;
    assert.deepEqual(await told(['sure', {}]), ['{"city":"x","degrees":21}']);
    assert.equal(asked.length, 2);
    assert.notEqual(asked[0].socket, asked[1].socket);
  });

  test('but never told twice to change something', async () => {
    await told(['note', { n: 1 }]);
    const { socket } = asked[0];
    goes = true;
    assert.match(await error('note', { n: 2 }), /^The connection was lost before the answer ended/);
    assert.deepEqual(asked.map((a) => a.body), ['{"n":2}']);
    assert.notEqual(asked[0].socket, socket);
    assert.deepEqual(await told(['note', { n: 3 }]), ['{"kept":{"n":3}}']);
  });

  test('is not asked when an argument is missing or climbs', async () => {
    assert.equal(await error('weather', {}), 'The argument "city" is missing.');
    assert.equal(await error('weather', { city: '../admin' }), 'The argument "city" has "." or ".." between slashes.');
    assert.equal(asked.length, 0);
  });

  test('that fails says so to the model', async () => {
    assert.equal(await error('broken', {}), 'The service answered HTTP 500 Internal Server Error:\n{"error":"out of order"}');
  });

  test('that says too much is cut between characters', async () => {
    assert.deepEqual(await told(['long', {}]), [`${'\u4f60'.repeat(33)}\n[cut: the rest is too long]`]);
  });

  test('that is not believed is not asked', async () => {
    assert.match(await error('strange', {}), /^The service could not be reached: TLS: /);
    assert.equal(asked.length, 0);
  });

  test('that takes too long is left', async () => {
    const before = left;
    assert.match((await told(['slow', {}]))[0], /timed out after/);
    assert.equal(left, before + 1);
  });

  test('is left when the reader leaves', async () => {
    const before = left;
    calls(['never', {}]);
    const leaving = new AbortController();
    const gone = assert.rejects(ask({}, { signal: leaving.signal }));
    while (!asked.length) await new Promise((go) => setTimeout(go, 10));
    leaving.abort();
    await gone;
    await server.metricBecomes('runnel_turns_running', 0);
    while (left === before) await new Promise((go) => setTimeout(go, 10));
    assert.equal(provider.requests().length, 1);
  });
});

describe('nobody is led to a neighbour', () => {
  const NOT_PUBLIC = 'The service could not be reached: its address is not a public one.';
  test('by a name', async () => {
    assert.equal(await error('local', {}), NOT_PUBLIC);
    assert.equal(asked.length, 0);
    const line = await server.log({ msg: 'kept from an address that is not public', host: 'localhost' });
    assert.equal(line.level, 'warn');
  });

  test('by a redirect', async () => {
    assert.equal(await error('metadata', {}), NOT_PUBLIC);
    assert.equal(await error('neighbour', {}), NOT_PUBLIC);
    assert.equal(asked.length, 1);
  });

  test('and away from TLS by none', async () => {
    assert.equal(await error('down', {}), 'The service sends us elsewhere: it redirects from https to http.');
    assert.equal(asked.length, 1);
  });

  test('secrets stay where they belong', async () => {
    assert.deepEqual(await told(['away', { a: 1 }]), ['{"kept":{"a":1}}']);
    assert.deepEqual(asked.map((a) => a.headers['x-key']), ['the-secret', undefined]);
    assert.deepEqual(asked.map((a) => a.port), [secure.address().port, other.address().port]);
    assert.ok(!server.stderr?.includes('the-secret'));
  });
});

describe('settings', () => {
  for (const [what, tool, words] of [
    ['an argument in the host', { url: 'https://{host}/x' }, /tools\[0\]\.url: .*plain host/],
    ['a private address that is not let in', { url: 'http://169.254.169.254/x' }, /the url's address is not public/],
    ['certificates that are not there', { url: 'https://example.com/', ca_file: '/nowhere/ca.pem' }, /tools\[0\]\.ca_file: /],
  ])
    test(`${what} is a mistake`, async () => {
      const file = join(scratch(), 'runnel.yaml');
      writeFileSync(file, JSON.stringify({ tools: [{ name: 't', ...tool }] }));
      const { code, stdout, stderr } = await run(['check', file]);
      assert.equal(code, 1);
      assert.match(stdout + stderr, words);
    });
});
