// Tools that tenants have in the database: `runnel tool` puts them there, their tenant's turns use them, and nobody else's do.
import { elsewhere } from './lib/own-network.mjs';
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import { start as startProvider } from '../providers/lib/index.mjs';
import { database, key, STATIC } from './lib/database.mjs';
import { cluster } from './lib/postgres.mjs';
import { duration, eventually, ms, run, scratch, start } from './lib/server.mjs';

const SECRET = 'a-secret-of-the-shop';
const reaches = { skip: !elsewhere && 'this machine lets nobody have a network of his own' };
const CITY = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };

// The web service: what it was asked, and whom it lets wait.
const asked = [];
const waiting = [];
async function serve(request, response) {
  let body = '';
  for await (const piece of request) body += piece;
  const { method, url, headers } = request;
  asked.push({ method, url, headers, body });
  const json = (what) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(what));
  const { port } = service.address();
  if (url.startsWith('/metadata')) return response.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data/' }).end();
  if (url.startsWith('/neighbour')) return response.writeHead(302, { location: `http://127.0.0.1:${port}/secret` }).end();
  if (url.startsWith('/name')) return response.writeHead(307, { location: `http://localhost:${port}/secret` }).end();
  if (url.startsWith('/slow')) return waiting.push(() => json({ slow: true }));
  return json({ path: decodeURIComponent(url) });
}

let pg, db, service, inner, provider, server, settings;
const keys = {};
const at = (path) => `http://${elsewhere ?? '11.22.33.44'}:${service.address().port}${path}`;
const listening = (host) => new Promise((done) => { const s = createServer(serve).listen(0, host, () => done(s)); });

// `runnel tool ...`: what it printed, or why not.
const tool = (...words) => run(['tool', ...words, '--database', db.url]);
async function good(...words) {
  const r = await tool(...words);
  assert.equal(r.code, 0, `${words.join(' ')}: ${r.stderr}`);
  assert.ok(!(r.stdout + r.stderr).includes(SECRET), 'a command shows a secret');
  return r.stdout;
}
const json = async (...words) => JSON.parse(await good(...words, '--json'));
async function refused(why, ...words) {
  const r = await tool(...words);
  assert.equal(r.code, 1, `${words.join(' ')}: ${r.stdout}`);
  assert.equal(r.stdout, '');
  assert.match(r.stderr, /^runnel: [^\n]+\n$/);
  assert.match(r.stderr, why);
  assert.ok(!r.stderr.includes(SECRET), 'a command shows a secret');
}
const add = (tenant, name, url, ...more) => good('add', name, '--tenant', tenant, '--url', url, ...more);

const ask = (who, { model = 'm', on = server } = {}) => fetch(`http://127.0.0.1:${on.port}/v1/chat/completions`, {
  method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${keys[who]}` },
  body: JSON.stringify({ model, messages: [{ role: 'user', content: 'well?' }] }) });

async function answered(who, options) {
  const r = await ask(who, options);
  assert.equal(r.status, 200, await r.clone().text());
  return (await r.json()).choices[0].message.content;
}

// The names of the tools that a model is offered for somebody.
async function offered(who, options) {
  provider.clear();
  provider.forget();
  provider.script({ answer: { text: 'So it is.' } });
  assert.equal(await answered(who, options), 'So it is.');
  return (provider.requests()[0].body.tools ?? []).map((t) => t.function.name);
}
const becomes = (who, want, options) => eventually(async () => assert.deepEqual(await offered(who, options), want));

// A model that calls these in its first round; what they came to.
function calls(...tools) {
  provider.clear();
  provider.forget();
  asked.length = 0;
  provider.script({ answer: { finish: 'tools', tools: tools.map(([name, args], i) => ({ id: `c${i}`, name, arguments: JSON.stringify(args) })) }, times: 1 });
  provider.script({ answer: { text: 'So it is.' }, times: 1 });
}
const results = () => provider.requests()[1].body.messages.filter((m) => m.role === 'tool').map((m) => JSON.parse(m.content));
async function told(who, ...tools) {
  calls(...tools);
  assert.equal(await answered(who), 'So it is.');
  return results();
}
const OURS = ['now', 'both'];

before(async () => {
  pg = await cluster();
  db = await database({ on: pg });
  for (const tenant of ['shop', 'bank']) {
    assert.equal((await run(['tenant', 'create', tenant, '--database', db.url])).code, 0);
    keys[tenant] = await key(db.url, '--tenant', tenant);
  }
  keys.us = STATIC;                             // of the tenant default, also without a database
  provider = await startProvider({ kind: 'openai' });
  service = await listening(elsewhere ?? '127.0.0.1');
  inner = await new Promise((done) => { const s = createServer(serve).listen(service.address().port, '127.0.0.1', () => done(s)).on('error', () => done(null)); });
  settings = {
    database: { url: db.url }, access: { keys: [STATIC], cache: duration(100) },
    providers: [{ name: 'fake', kind: 'openai', base_url: `http://127.0.0.1:${provider.port}/v1`, api_key: 'sk-1', retries: 0, breaker_failures: 0 }],
    models: [{ name: 'm', targets: [{ provider: 'fake' }], tools: OURS, tenant_tools: 'true' },
      { name: 'only-tenants', targets: [{ provider: 'fake' }], tenant_tools: 'true' },
      { name: 'plain', targets: [{ provider: 'fake' }], tools: ['now'] }],
    tools: [{ name: 'both', url: at('/of-the-settings') }],
  };
  server = await start(settings);
});
after(async () => {
  await server?.metricBecomes('runnel_turns_running', 0);
  await server?.stop();
  await provider?.stop();
  for (const s of [service, inner]) s?.close().closeAllConnections();
  await pg?.remove();
});

describe('a tool of a tenant', () => {
  test('is offered to whoever asks for it, as it was described, and to nobody else', async () => {
    assert.deepEqual(await offered('shop'), OURS);
    await add('shop', 'weather', at('/city/{city}'), '--description', 'The weather, now.', '--parameters', JSON.stringify(CITY), '--header', `X-Key: ${SECRET}`);
    await becomes('shop', [...OURS, 'weather']);
    assert.deepEqual(provider.requests()[0].body.tools[2].function, { name: 'weather', description: 'The weather, now.', parameters: CITY });
    assert.deepEqual(await offered('bank'), OURS);
    assert.deepEqual(await offered('us'), OURS);
  });

  test('is offered by no model of which the settings do not say so', async () => {
    assert.deepEqual(await offered('shop', { model: 'plain' }), ['now']);
    assert.deepEqual(await offered('shop', { model: 'only-tenants' }), ['weather']);
    assert.deepEqual(await offered('bank', { model: 'only-tenants' }), []);
  });

  test('is run with its arguments and its fields', reaches, async () => {
    assert.deepEqual(await told('shop', ['weather', { city: 'Z\u00fcrich' }]), [{ path: '/city/Z\u00fcrich' }]);
    assert.deepEqual([asked.length, asked[0].headers['x-key']], [1, SECRET]);
  });

  test('is run for nobody else who knows its name', async () => {
    for (const who of ['bank', 'us']) {
      assert.deepEqual((await told(who, ['weather', { city: 'x' }])).map((r) => [r.message, r.error]), [['There is no tool named weather', 'unknown_tool']]);
      assert.equal(asked.length, 0);
    }
  });

  test('is the tenant\'s own where others have one of that name', reaches, async () => {
    await add('bank', 'weather', at('/of-the-bank'), '--method', 'POST');
    await becomes('bank', [...OURS, 'weather']);
    assert.deepEqual(await told('bank', ['weather', { city: 'x' }]), [{ path: '/of-the-bank' }]);
    assert.deepEqual([asked[0].method, asked[0].body, asked[0].headers['x-key']], ['POST', '{"city":"x"}', undefined]);
    assert.deepEqual(await told('shop', ['weather', { city: 'x' }]), [{ path: '/city/x' }]);
    await good('remove', 'weather', '--tenant', 'bank');
    await becomes('bank', OURS);
    assert.deepEqual(await offered('shop'), [...OURS, 'weather']);
  });

  test('gives way to one of the settings', async () => {
    await add('shop', 'both', at('/of-the-shop'), '--description', 'of the shop');
    await becomes('shop', ['both', 'weather'], { model: 'only-tenants' });
    assert.deepEqual(await offered('shop'), [...OURS, 'weather']);
    assert.notEqual(provider.requests()[0].body.tools[1].function.description, 'of the shop');
    await good('remove', 'both', '--tenant', 'shop');
    await becomes('shop', ['weather'], { model: 'only-tenants' });
  });

  test('is for the models that it names', async () => {
    await add('shop', 'some', at('/some'), '--model', 'only-tenants', '--model', 'other');
    await becomes('shop', ['some', 'weather'], { model: 'only-tenants' });
    assert.deepEqual(await offered('shop'), [...OURS, 'weather']);
    await good('remove', 'some', '--tenant', 'shop');
    await becomes('shop', ['weather'], { model: 'only-tenants' });
  });

  test('is gone while it is disabled', async () => {
    await good('disable', 'weather', '--tenant', 'shop');
    await becomes('shop', OURS);
    assert.equal((await told('shop', ['weather', { city: 'x' }]))[0].error, 'unknown_tool');
    await good('enable', 'weather', '--tenant', 'shop');
    await becomes('shop', [...OURS, 'weather']);
  });

  test('is another when it is replaced', reaches, async () => {
    await add('shop', 'weather', at('/anew/{city}'), '--parameters', JSON.stringify(CITY), '--header', 'X-Key: ${PATH}', '--header', 'X-More: ${file:/etc/passwd}', '--replace');
    await eventually(async () => assert.deepEqual(await told('shop', ['weather', { city: 'x' }]), [{ path: '/anew/x' }]));
    assert.deepEqual([asked[0].headers['x-key'], asked[0].headers['x-more']], ['${PATH}', '${file:/etc/passwd}'], 'nothing of ours is looked up');
  });

  test('stays with the turn that uses it when it is removed', reaches, async () => {
    await add('shop', 'slow', at('/slow'));
    await becomes('shop', [...OURS, 'slow', 'weather']);
    calls(['slow', {}]);
    const answer = answered('shop');
    await eventually(() => assert.equal(waiting.length, 1));
    await good('remove', 'slow', '--tenant', 'shop');
    const [request] = provider.requests();
    await sleep(ms(300));                       // more than what is believed
    assert.ok(request.body.tools.some((t) => t.function.name === 'slow'));
    waiting.pop()();
    assert.equal(await answer, 'So it is.');
    assert.deepEqual(results(), [{ slow: true }]);
    assert.ok(provider.requests()[1].body.tools.some((t) => t.function.name === 'slow'), 'the turn goes on with what it began with');
    await becomes('shop', [...OURS, 'weather']);
  });
});

describe('nobody is led to a neighbour', () => {
  const NOT_PUBLIC = 'The service could not be reached: its address is not a public one.';

  test('by a redirect', reaches, async () => {
    for (const name of ['metadata', 'neighbour', 'name']) await add('shop', name, at(`/${name}`), '--header', `X-Key: ${SECRET}`);
    await becomes('shop', [...OURS, 'metadata', 'name', 'neighbour', 'weather']);
    for (const name of ['metadata', 'neighbour', 'name']) {
      assert.equal((await told('shop', [name, {}]))[0].error, NOT_PUBLIC, name);
      assert.deepEqual(asked.map((a) => a.url), [`/${name}`]);
    }
    for (const name of ['metadata', 'neighbour', 'name']) await good('remove', name, '--tenant', 'shop');
  });

  test('by a name', async () => {
    await add('shop', 'local', `http://localhost:${service.address().port}/secret`);
    await becomes('shop', [...OURS, 'local', 'weather']);
    assert.equal((await told('shop', ['local', {}]))[0].error, NOT_PUBLIC);
    assert.equal(asked.length, 0);
    await server.log({ msg: 'kept from an address that is not public', host: 'localhost' });
    await good('remove', 'local', '--tenant', 'shop');
  });

  // Whoever can write into the table can write what no command takes.
  const neighbours = ['127.0.0.1', '127.0.0.53', '10.0.0.7', '172.16.0.1', '192.168.1.1', '169.254.169.254', '100.64.0.1', '0.0.0.0', '[::1]', '[fe80::1]', '[fd00::1]',
    '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[64:ff9b::7f00:1]', '2130706433', '0x7f.1', '0177.0.0.1', '127.1', '224.0.0.1', '255.255.255.255', '{host}', 'a@127.0.0.1'];
  test('by an address, whoever wrote it into the table', async () => {
    const from = server.lines.length;
    for (const host of neighbours) await refused(/^runnel: tool add: --url: /, 'add', 'bad', '--tenant', 'shop', '--url', `http://${host}:8080/x`);
    await db.sql(neighbours.map((host, i) => `INSERT INTO runnel.tool (tenant, name, url, headers) SELECT id, 'bad${i}', 'http://${host}:${service.address().port}/x', '{X-Key: ${SECRET}}' FROM runnel.tenant WHERE name = 'shop';`).join('\n'));
    await eventually(async () => {
      assert.deepEqual(await offered('shop'), [...OURS, 'weather']);
      assert.ok(server.lines.slice(from).some((line) => line.includes('bad0')));
    });
    for (const [i] of neighbours.entries()) {
      const line = await server.log({ msg: 'a tenant\'s tool is left out', tool: `bad${i}` }, { from });
      assert.match(line.why, /url: /);
    }
    assert.equal((await told('shop', ['bad0', {}]))[0].error, 'unknown_tool');
    assert.equal(asked.length, 0);
    await db.sql("DELETE FROM runnel.tool WHERE name LIKE 'bad%'");
  });
});

describe('when the database is away', () => {
  test('what was known has to do, and where nothing was there are the settings\' tools', async () => {
    await add('default', 'ours', at('/ours'));
    await becomes('us', [...OURS, 'ours']);
    const other = await start(settings);
    await pg.stop('immediate');
    await sleep(ms(300));
    const from = server.lines.length;
    assert.deepEqual(await offered('us'), [...OURS, 'ours']);
    const line = await server.log({ msg: 'a tenant\'s tools cannot be read' }, { from });
    assert.deepEqual([line.level, line.known], ['warn', 'those of before']);
    assert.deepEqual(await offered('us', { on: other }), OURS);
    assert.equal((await other.log({ msg: 'a tenant\'s tools cannot be read' })).known, 'none');
    await pg.start();
    await eventually(async () => assert.deepEqual(await offered('us', { on: other }), [...OURS, 'ours']), ms(10000));
    await good('remove', 'ours');
    await becomes('us', OURS);
    await other.stop();
  });

  test('a database that is only slow delays a turn by a second at most', async () => {
    await add('default', 'ours', at('/ours'));
    await becomes('us', [...OURS, 'ours']);
    const lock = db.sql('BEGIN; LOCK TABLE runnel.tool IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(4); COMMIT;');
    await eventually(async () => assert.deepEqual(await db.sql("SELECT 1 FROM pg_locks WHERE relation = 'runnel.tool'::regclass AND mode = 'AccessExclusiveLock' AND granted"), [['1']]));
    await sleep(ms(150));
    const began = performance.now();
    assert.deepEqual(await offered('us'), [...OURS, 'ours']);
    const took = performance.now() - began;
    assert.ok(took > 700 && took < ms(3500), `${took} ms`);
    const again = performance.now();
    assert.deepEqual(await offered('us'), [...OURS, 'ours']);
    assert.ok(performance.now() - again < Math.min(took, ms(700)), 'the next one does not wait');
    await lock;
    await good('remove', 'ours');
    await becomes('us', OURS);
  });
});

describe('runnel tool', () => {
  test('says what it can', async () => {
    const all = (await run(['tool', '--help'])).stdout;
    for (const verb of ['add NAME', 'list', 'show NAME', 'disable NAME', 'enable NAME', 'remove NAME']) assert.match(all, new RegExp(`runnel tool ${verb} `));
    const { stdout } = await run(['tool', 'add', '--help']);
    for (const option of ['--tenant NAME', '--url URL', '--parameters JSON\\|FILE', '--header FIELD\\.\\.\\.', '--model NAME\\.\\.\\.', '--replace']) assert.match(stdout, new RegExp(`  ${option} `));
    assert.match(stdout, /public addresses only/);
  });

  test('adds, shows, lists and removes', async () => {
    const made = await json('add', 'note', '--tenant', 'bank', '--url', 'https://example.com/notes/{id}', '--method', 'PUT', '--description', 'Keeps\na note', '--timeout', '2s', '--max-output-bytes', '8KiB',
      '--alone', '--header', `X-Key: ${SECRET}`, '--header', 'X-Two: 2', '--model', 'm');
    assert.deepEqual({ ...made, created_at: 0, updated_at: 0 }, { tenant: 'bank', name: 'note', status: 'active', method: 'PUT', url: 'https://example.com/notes/{id}', models: ['m'], description: 'Keeps\na note',
      parameters: { type: 'object', properties: {} }, headers: ['X-Key', 'X-Two'], timeout_ms: 2000, max_output_bytes: 8192, runs_alone: true, created_at: 0, updated_at: 0 });
    assert.match(made.created_at, /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.deepEqual(await db.sql("SELECT headers[1] FROM runnel.tool WHERE name = 'note'"), [[`X-Key: ${SECRET}`]]);
    assert.deepEqual(await json('show', 'note', '--tenant', 'bank'), made);
    const text = await good('show', 'note', '--tenant', 'bank');
    assert.match(text, /^tenant +bank\nname +note\nstatus +active\nmethod +PUT\n/);
    assert.match(text, /^description +Keeps\?a note$/m);
    assert.match(text, /^headers +\["X-Key", "X-Two"\]$/m);
    assert.deepEqual((await json('list', '--tenant', 'bank')).map((t) => [t.tenant, t.name, t.status]), [['bank', 'note', 'active']]);
    assert.deepEqual((await json('list')).map((t) => [t.tenant, t.name]), [['shop', 'weather'], ['bank', 'note']]);
    assert.match(await good('list', '--tenant', 'bank'), /^tenant +name +status +method +url +models +updated_at\nbank +note +active +PUT +https:\S+ +\["m"\] +20/);
    assert.equal((await json('disable', 'note', '--tenant', 'bank')).status, 'disabled');
    assert.equal((await json('list', '--tenant', 'bank'))[0].status, 'disabled');
    assert.equal((await json('enable', 'note', '--tenant', 'bank')).status, 'active');
    assert.equal((await json('remove', 'note', '--tenant', 'bank')).name, 'note');
    assert.deepEqual(await json('list', '--tenant', 'bank'), []);
  });

  test('takes parameters from a file, in their order', async () => {
    const file = join(scratch(), 'schema.json');
    writeFileSync(file, '{\n  "type": "object",\n  "properties": {"z": {}, "a": {}}\n}\n');
    await good('add', 'filed', '--url', 'https://example.com/', '--parameters', file);
    assert.deepEqual(await db.sql("SELECT parameters FROM runnel.tool WHERE name = 'filed'"), [['{"type":"object","properties":{"z":{},"a":{}}}']]);
    await good('remove', 'filed');
  });

  test('refuses what the settings would, in their words', async () => {
    const url = ['--url', 'https://example.com/'];
    for (const [why, ...words] of [
      [/tool add: it wants a NAME/, 'add', ...url],
      [/tool add: it wants a --url/, 'add', 'x'],
      [/tool add: NAME: expects up to 64 of A-Z a-z 0-9 _ -, not "a b"/, 'add', 'a b', ...url],
      [/tool add: NAME: "calculator" is a tool of our own already/, 'add', 'calculator', ...url],
      [/tool add: --url: expects an address with a plain host, .*, not "ftp:\/\/x\/"/, 'add', 'x', '--url', 'ftp://x/'],
      [/tool add: --url: expects an address/, 'add', 'x', '--url', 'https://{host}/'],
      [/tool add: --url: its address is not public/, 'add', 'x', '--url', 'http://169.254.169.254/'],
      [/tool add: --url: it is longer than 2048 bytes/, 'add', 'x', '--url', `https://example.com/${'x'.repeat(2048)}`],
      [/tool add: --method: "CONNECT" is not one of GET, POST, PUT, PATCH, DELETE/, 'add', 'x', ...url, '--method', 'CONNECT'],
      [/tool add: --parameters: expects a JSON schema of an object, not "\{"type":"string"\}"/, 'add', 'x', ...url, '--parameters', '{"type": "string"}'],
      [/tool add: --parameters is no JSON: /, 'add', 'x', ...url, '--parameters', '{"type": '],
      [/tool add: --parameters: the file \/nowhere\/x cannot be read: No such file/, 'add', 'x', ...url, '--parameters', '/nowhere/x'],
      [/tool add: --parameters: it is longer than 65536 bytes/, 'add', 'x', ...url, '--parameters', JSON.stringify({ type: 'object', x: 'x'.repeat(66000) })],
      [/tool add: --description: it is longer than 4096 bytes/, 'add', 'x', ...url, '--description', 'x'.repeat(4097)],
      [/tool add: --timeout: expects a time such as .*, not "soon"/, 'add', 'x', ...url, '--timeout', 'soon'],
      [/tool add: --timeout: "2h" is out of range \(10ms to 1h\)/, 'add', 'x', ...url, '--timeout', '2h'],
      [/tool add: --max-output-bytes: "1GiB" is out of range/, 'add', 'x', ...url, '--max-output-bytes', '1GiB'],
      [/tool add: --header: expects header fields \(X-Key: \.\.\.\), not what is there/, 'add', 'x', ...url, '--header', SECRET],
      [/tool add: --header: expects header fields/, 'add', 'x', ...url, '--header', 'X-A: 1', '--header', `Host: ${SECRET}`],
      [/tool add: --header: expects header fields/, 'add', 'x', ...url, '--header', `X-A: 1\r\nX-B: ${SECRET}`],
      [/tool add: --header: there are more than 32/, 'add', 'x', ...url, ...Array.from({ length: 33 }, (_, i) => ['--header', `X-${i}: 1`]).flat()],
      [/tool add: there are too many --model/, 'add', 'x', ...url, ...Array.from({ length: 65 }, (_, i) => ['--model', `m${i}`]).flat()],
      [/tool add: there is no option --allow/, 'add', 'x', ...url, '--allow', '127.0.0.1'],
      [/there is no tenant "nowhere"/, 'add', 'x', ...url, '--tenant', 'nowhere'],
      [/there is a tool "weather" in the tenant "shop" already; --replace /, 'add', 'weather', ...url, '--tenant', 'shop'],
      [/there is no tenant "nowhere"/, 'list', '--tenant', 'nowhere'],
      [/there is no tenant "nowhere"/, 'show', 'weather', '--tenant', 'nowhere'],
      [/there is no tool "weather" in the tenant "bank"/, 'show', 'weather', '--tenant', 'bank'],
      [/there is no tool "weather" in the tenant "bank"/, 'disable', 'weather', '--tenant', 'bank'],
      [/there is no tool "weather" in the tenant "default"/, 'enable', 'weather'],
      [/there is no tool "weather" in the tenant "bank"/, 'remove', 'weather', '--tenant', 'bank'],
      [/tool what\? There is no "change"/, 'change', 'weather'],
    ]) await refused(why, ...words);
    assert.deepEqual((await json('list')).map((t) => t.name), ['weather']);
  });

  test('gives a tenant so many and no more', async () => {
    await db.sql("INSERT INTO runnel.tool (tenant, name, url) SELECT id, 't' || n, 'https://example.com/' FROM runnel.tenant, generate_series(1, 64) n WHERE name = 'bank'");
    await refused(/the tenant "bank" has 64 tools already/, 'add', 'more', '--tenant', 'bank', '--url', 'https://example.com/');
    await add('bank', 't1', 'https://example.com/', '--replace');
    await db.sql("DELETE FROM runnel.tool WHERE name ~ '^t[0-9]'");
  });

  test('no secret was ever written into the log', () => {
    assert.ok(!server.stderr.includes(SECRET));
  });
});

describe('settings', () => {
  test('that want tenants\' tools without a database are a mistake', async () => {
    const file = join(scratch(), 'runnel.yaml');
    writeFileSync(file, JSON.stringify({ providers: [{ name: 'e', kind: 'echo' }], models: [{ name: 'm', targets: [{ provider: 'e' }], tenant_tools: 'true' }] }));
    const { code, stdout, stderr } = await run(['check', file]);
    assert.equal(code, 1);
    assert.match(stdout + stderr, /models\[0\]\.tenant_tools: tenants' tools are in a database, and database\.url is empty/);
  });
});
