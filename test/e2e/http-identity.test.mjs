// Request ids and client addresses: believed from trusted proxies only.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { REQUEST_ID } from './lib/cases.mjs';
import { ask, bytes, chat, get, req } from './lib/raw.mjs';
import { start } from './lib/server.mjs';

const servers = {};
before(async () => {
  const http = (trusted_proxies, more) => ({ http: { trusted_proxies, ...more } });
  servers.none = await start();
  servers.trusting = await start(http(['127.0.0.1', '::1', '10.0.0.0/8', '2001:db8:1::/48']));
  servers.other = await start(http(['192.0.2.1', '127.0.0.2/32']));
  servers.named = await start(http(['127.0.0.0/8'], { request_id_header: 'x-trace-id' }));
});
after(() => Promise.all(Object.values(servers).map((s) => s.stop())));

const idOf = async (server, ...lines) => (await ask(server.port, bytes(req('GET /v1/models HTTP/1.1', 'Host: a', 'Connection: close', ...lines))))
  .header('x-request-id');

describe('request ids', () => {
  test('each request gets its own', async () => {
    const ids = await Promise.all(Array.from({ length: 20 }, () => idOf(servers.none)));
    for (const id of ids) assert.match(id ?? '', REQUEST_ID);
    assert.equal(new Set(ids).size, 20);
  });

  const good = ['a', 'A-Za-z0-9._-', '0'.repeat(64), '550e8400-e29b-41d4-a716-446655440000', '..', '-'];
  for (const id of good)
    test(`taken from a trusted proxy: ${id}`, async () => assert.equal(await idOf(servers.trusting, `X-Request-Id: ${id}`), id));

  const bad = ['', ' ', '0'.repeat(65), 'x'.repeat(10000), 'a b', 'a/b', 'a:b', 'a,b', 'a"b', "a'b", 'a;b', 'a=b', '<a>', 'a\tb', 'a%0d%0ab',
    'caf\xe9', '\xe4\xb8\xad', '${x}', '../../x', 'a\\nb'];
  for (const id of bad)
    test(`replaced: ${JSON.stringify(id.slice(0, 30))} (${id.length})`, async () => {
      const got = await idOf(servers.trusting, `X-Request-Id: ${id}`);
      assert.match(got ?? '', REQUEST_ID);
      assert.notEqual(got, id);
    });

  test('replaced: two of them', async () => {
    const got = await idOf(servers.trusting, 'X-Request-Id: one', 'X-Request-Id: two');
    assert.match(got, REQUEST_ID);
    assert.ok(!['one', 'two'].includes(got));
  });

  for (const name of ['none', 'other'])
    test(`not taken from anybody else (${name})`, async () => {
      const got = await idOf(servers[name], 'X-Request-Id: mine');
      assert.match(got, REQUEST_ID);
      assert.notEqual(got, 'mine');
    });

  test('the field can have another name', async () => {
    const r = await get(servers.named.port, '/v1/models', 'X-Trace-Id: t-1');
    assert.ok([r.header('x-trace-id'), r.header('x-request-id')].includes('t-1'));
  });

  test('the same id is on the answer and in the log', async () => {
    const s = servers.trusting;
    const r = await ask(s.port, chat('hi', {}, 'X-Request-Id: find-me.1', 'Connection: close'));
    assert.equal(r.header('x-request-id'), 'find-me.1');
    await s.log({ msg: 'turn', request_id: 'find-me.1' });
    const none = await ask(s.port, chat('hi', { model: 'none' }, 'X-Request-Id: find-me.2', 'Connection: close'));
    assert.equal(none.header('x-request-id'), 'find-me.2');
    await s.log({ request_id: 'find-me.2' });
  });
});

describe('client addresses', () => {
  // What X-Forwarded-For says, and who the client is then. The right-most
  // address that is no trusted proxy is the one that can be believed.
  const table = [
    ['trusting', undefined, '127.0.0.1'],
    ['trusting', '203.0.113.7', '203.0.113.7'],
    ['trusting', '198.51.100.1, 203.0.113.7', '203.0.113.7'],
    ['trusting', '198.51.100.1,203.0.113.7 , 10.1.2.3', '203.0.113.7'],
    ['trusting', '203.0.113.7, 127.0.0.1', '203.0.113.7'],
    ['trusting', '203.0.113.7, 2001:db8:1::9', '203.0.113.7'],
    ['trusting', '2001:db8::1', '2001:db8::1'],
    ['trusting', '10.9.9.9, 10.1.2.3', /^10\.9\.9\.9$|^127\.0\.0\.1$/],
    ['trusting', 'not-an-address', '127.0.0.1'],
    ['trusting', '203.0.113.7, not-an-address', '127.0.0.1'],
    ['trusting', '', '127.0.0.1'],
    ['trusting', ', ,', '127.0.0.1'],
    ['trusting', '999.1.1.1', '127.0.0.1'],
    ['trusting', '203.0.113.7\x80" evil=1', '127.0.0.1'],
    ['trusting', '203.0.113.7:4711', /^203\.0\.113\.7$|^127\.0\.0\.1$/],
    ['trusting', 'unknown', '127.0.0.1'],
    ['trusting', '1'.repeat(3000), '127.0.0.1'],
    ['none', '203.0.113.7', '127.0.0.1'],
    ['other', '203.0.113.7', '127.0.0.1'],
  ];
  let n = 0;
  for (const [name, forwarded, want] of table)
    test(`${name}: ${JSON.stringify(forwarded?.slice(0, 40))}`, async () => {
      const s = servers[name];
      const from = s.lines.length;
      const mark = `client-${n++}`;
      const lines = forwarded === undefined ? [] : [`X-Forwarded-For: ${forwarded}`];
      const id = await idOf(s, `X-Request-Id: ${mark}`, ...lines);
      const line = await s.log({ request_id: id }, { from });
      if (want instanceof RegExp) assert.match(line.client, want);
      else assert.equal(line.client, want);
    });

  test('two fields are one list (9110 5.3)', async () => {
    const s = servers.trusting;
    await idOf(s, 'X-Request-Id: two-fields', 'X-Forwarded-For: 198.51.100.1', 'X-Forwarded-For: 203.0.113.9');
    assert.equal((await s.log({ request_id: 'two-fields' })).client, '203.0.113.9');
  });

  test('a turn has its client too', async () => {
    const s = servers.trusting;
    await ask(s.port, chat('hi', {}, 'X-Request-Id: turn-client', 'X-Forwarded-For: 203.0.113.8', 'Connection: close'));
    assert.equal((await s.log({ msg: 'turn', request_id: 'turn-client' })).client, '203.0.113.8');
  });
});
