// Requests that must be served, in every form RFC 9110 and RFC 9112 allow.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { chapter, runCase, staysClosed } from './lib/cases.mjs';
import { bytes, chat, chunk, connect, get, post, question, req } from './lib/raw.mjs';
import { ms, start } from './lib/server.mjs';

let server;
before(async () => {
  server = await start({ providers: [{ name: 'echo', kind: 'echo', tokens_per_second: 0 }] });
});
after(() => server?.stop());
const it = () => server;

const CHAT = ['POST /v1/chat/completions HTTP/1.1', 'Host: a', 'Content-Type: application/json'];
const BODY = question('one two');
const LENGTH = `Content-Length: ${BODY.length}`;
const answered = ([r]) => assert.equal(r.json.choices[0].message.content, 'one two');
const chunkedChat = (...pieces) => [req(...CHAT, 'Transfer-Encoding: chunked'), ...pieces];

chapter('plain requests', it, { want: 200, then: 'open' }, [
  { name: 'GET', send: req('GET /livez HTTP/1.1', 'Host: a') },
  { name: 'POST with Content-Length', send: chat('one two'), check: answered },
  { name: 'HEAD has the fields of GET and no body', send: req('HEAD /v1/models HTTP/1.1', 'Host: a'), want: 'HEAD 200',
    check: async ([r]) => {
      const same = await get(server.port, '/v1/models');
      assert.equal(r.header('content-type'), same.header('content-type'));
      assert.equal(r.header('content-length') ?? String(same.body.length), String(same.body.length));
    } },
  { name: 'HEAD of a path that is not there', send: req('HEAD /nope HTTP/1.1', 'Host: a'), want: 'HEAD 404' },
  { name: 'a query', send: req('GET /livez?x=1&y=%20 HTTP/1.1', 'Host: a') },
  { name: 'an empty query', send: req('GET /livez? HTTP/1.1', 'Host: a') },
  { name: 'a query with / and ?', send: req('GET /livez?a=/b?c HTTP/1.1', 'Host: a') },
  { name: 'an empty line before the request (9112 2.2)', send: '\r\n' + req('GET /livez HTTP/1.1', 'Host: a') },
  { name: 'two empty lines before the request', send: '\r\n\r\n' + req('GET /livez HTTP/1.1', 'Host: a') },
  { name: 'an empty line between two requests', want: [200, 200],
    send: [req('GET /livez HTTP/1.1', 'Host: a'), '\r\n', req('GET /livez HTTP/1.1', 'Host: a')] },
  { name: 'field names in any case', send: bytes(req(...CHAT.slice(0, 1), 'hOsT: a', 'CONTENT-TYPE: Application/JSON',
    `cOnTeNt-LeNgTh: ${BODY.length}`) + BODY), check: answered },
  // llhttp takes no tab around the two fields that frame a message. RFC 9112 would; nobody
  // sends it but those who hope that two readers differ, so a refusal is right as well.
  { name: 'OWS around values (9112 5)', want: '200|400', then: 'either', send: req(CHAT[0], 'Host:\t a \t', 'Content-Type:application/json',
    `Content-Length: \t ${BODY.length}\t `) + BODY, check: ([r]) => r.status === 400 || answered([r]) },
  { name: 'a charset parameter', send: req(CHAT[0], 'Host: a', 'Content-Type: application/json; charset=utf-8', LENGTH) + BODY,
    check: answered },
  { name: 'obs-text in a value (9110 5.5)', send: req('GET /livez HTTP/1.1', 'Host: a', 'X-Name: J\xf6rg \xff\x80') },
  { name: 'a tab inside a value', send: req('GET /livez HTTP/1.1', 'Host: a', 'X-Name: a\tb') },
  { name: 'an empty value', send: req('GET /livez HTTP/1.1', 'Host: a', 'X-Name:', 'Y-Name:   ') },
  { name: 'every token character in a name', send: req('GET /livez HTTP/1.1', 'Host: a', "!#$%&'*+-.^_`|~09azAZ: v") },
  { name: 'Content-Length with leading zeros', send: req(...CHAT, `Content-Length: 000${BODY.length}`) + BODY, check: answered },
  { name: 'Content-Length: 0 on a GET', send: req('GET /livez HTTP/1.1', 'Host: a', 'Content-Length: 0') },
  { name: 'identity content coding', send: req(...CHAT, 'Content-Encoding: identity', LENGTH) + BODY, check: answered },
  { name: 'Connection with an unknown option', send: req('GET /livez HTTP/1.1', 'Host: a', 'Connection: x-new, keep-alive') },
  { name: 'an Upgrade nobody asked for is ignored, what follows is served', want: [200, 200],
    send: [req('GET /livez HTTP/1.1', 'Host: a', 'Connection: upgrade', 'Upgrade: h2c'), req('GET /livez HTTP/1.1', 'Host: a')] },
  { name: 'an Upgrade to websocket is ignored too', want: [200, 200],
    send: [req('GET /livez HTTP/1.1', 'Host: a', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='), req('GET /livez HTTP/1.1', 'Host: a')] },
  { name: 'a POST with Upgrade keeps its body', want: [200, 200],
    send: [req(...CHAT, 'Connection: Upgrade', 'Upgrade: foo', LENGTH) + BODY, req('GET /livez HTTP/1.1', 'Host: a')],
    check: answered },
  { name: 'one byte at a time', send: [...chat('one two')].map((b) => Buffer.of(b)), check: answered },
]);

chapter('request targets', it, { want: 200, then: 'open' }, [
  { name: 'absolute-form (9112 3.2.2)', send: req('GET http://a.test/livez HTTP/1.1', 'Host: a.test') },
  { name: 'absolute-form wins over Host', send: req('GET http://a.test:8080/livez HTTP/1.1', 'Host: other.test') },
  { name: 'absolute-form of https, scheme in capitals', send: req('GET HTTPS://a.test/livez HTTP/1.1', 'Host: a.test') },
  { name: 'absolute-form with an IPv6 address', send: req('GET http://[::1]:80/livez?q HTTP/1.1', 'Host: [::1]:80') },
  { name: 'absolute-form without a path', send: req('GET http://a.test HTTP/1.1', 'Host: a.test'), want: 200 },
  { name: 'absolute-form still needs Host', send: req('GET http://a.test/livez HTTP/1.1'), want: 400, then: 'close' },
  { name: 'Host with a port', send: req('GET /livez HTTP/1.1', 'Host: a.test:8080') },
  { name: 'Host with an empty port (3986 3.2.3)', send: req('GET /livez HTTP/1.1', 'Host: a.test:') },
  { name: 'Host with an IPv4 address', send: req('GET /livez HTTP/1.1', 'Host: 127.0.0.1:80') },
  { name: 'Host with an IPv6 address', send: req('GET /livez HTTP/1.1', 'Host: [2001:db8::1]:80') },
  { name: 'a path that is not there', send: req('GET /nope HTTP/1.1', 'Host: a'), want: 404 },
  { name: 'the root', send: req('GET / HTTP/1.1', 'Host: a'), want: 200 },
  { name: 'paths have case', send: req('GET /LIVEZ HTTP/1.1', 'Host: a'), want: 404 },
  { name: 'a slash at the end is another path', send: req('GET /livez/ HTTP/1.1', 'Host: a'), want: 404 },
  { name: 'two slashes are another path', send: req('GET //livez HTTP/1.1', 'Host: a'), want: 404 },
  { name: 'a model id', send: req('GET /v1/models/echo HTTP/1.1', 'Host: a'), check: ([r]) => assert.equal(r.json.id, 'echo') },
  { name: 'an empty model id', send: req('GET /v1/models/ HTTP/1.1', 'Host: a'), want: 404 },
  { name: 'a model id with more path', send: req('GET /v1/models/echo/x HTTP/1.1', 'Host: a'), want: 404 },
  { name: 'an unknown model', send: req('GET /v1/models/nope HTTP/1.1', 'Host: a'), want: 404,
    check: ([r]) => assert.equal(r.json.error.code, 'model_not_found') },
]);

chapter('chunked bodies', it, { want: 200, then: 'open', check: answered }, [
  { name: 'one chunk', send: chunkedChat(chunk(BODY), '0\r\n\r\n') },
  { name: 'a chunk for every byte', send: chunkedChat(...[...BODY].map((c) => chunk(c)), '0\r\n\r\n') },
  { name: 'extensions', send: chunkedChat(chunk(BODY.slice(0, 9), ';a'), chunk(BODY.slice(9), ';a=b;c="d e"'), '0;last\r\n\r\n') },
  { name: 'a quoted extension with \\" and ;', send: chunkedChat(chunk(BODY, ';a="x\\"y;z"'), '0\r\n\r\n') },
  { name: 'sizes in capitals and with zeros before', send: chunkedChat(
    `000${BODY.length.toString(16).toUpperCase()}\r\n${BODY}\r\n`, '000\r\n\r\n') },
  { name: 'trailers', send: chunkedChat(chunk(BODY), '0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n') },
  { name: 'the coding in capitals (9112 7)', send: [req(...CHAT, 'Transfer-Encoding: CHUNKED'), chunk(BODY), '0\r\n\r\n'] },
  { name: 'OWS around the coding', want: '200|400', then: 'either', check: () => {},
    send: [req(...CHAT, 'Transfer-Encoding:\t chunked \t'), chunk(BODY), '0\r\n\r\n'] },
  { name: 'two chunked requests in one write', want: [200, 200],
    send: Buffer.concat([0, 1].flatMap(() => chunkedChat(chunk(BODY), '0\r\n\r\n').map(bytes))) },
]);

chapter('keeping and closing the connection', it, { want: 200, then: 'close' }, [
  { name: '1.1 stays open', send: req('GET /livez HTTP/1.1', 'Host: a'), then: 'open' },
  { name: 'Connection: close', send: req('GET /livez HTTP/1.1', 'Host: a', 'Connection: close') },
  { name: 'Connection: CLOSE', send: req('GET /livez HTTP/1.1', 'Host: a', 'Connection: CLOSE') },
  { name: 'Connection: close with OWS', send: req('GET /livez HTTP/1.1', 'Host: a', 'Connection:\tclose\t') },
  { name: 'close in a list', send: req('GET /livez HTTP/1.1', 'Host: a', 'Connection: keep-alive, x-foo ,close') },
  { name: 'close in a second field', send: req('GET /livez HTTP/1.1', 'Host: a', 'Connection: keep-alive', 'Connection: close') },
  { name: 'what follows a close is not read (9112 9.6)',
    send: req('GET /livez HTTP/1.1', 'Host: a', 'Connection: close') + req('GET /livez HTTP/1.1', 'Host: a') },
  { name: 'nor what follows a POST with close', send: [chat('x', {}, 'Connection: close'), chat('y')] },
  { name: '1.0 closes', send: req('GET /livez HTTP/1.0', 'Host: a') },
  { name: '1.0 needs no Host', send: req('GET /livez HTTP/1.0') },
  { name: 'what follows a 1.0 request is not read', send: req('GET /livez HTTP/1.0') + req('GET /livez HTTP/1.0') },
  { name: '1.0 with a body', send: req('POST /v1/chat/completions HTTP/1.0', 'Content-Type: application/json', LENGTH) + BODY,
    check: answered },
]);

describe('HTTP/1.0 in particular', () => {
  test('keep-alive is honoured with its own Connection field, or not at all (9112 9.3)', async () => {
    const c = await connect(server.port);
    await c.send(req('GET /livez HTTP/1.0', 'Connection: keep-alive'));
    const r = await c.response();
    assert.equal(r.status, 200);
    if (!r.has('connection', 'keep-alive')) return staysClosed(c);
    await c.send(req('GET /livez HTTP/1.0'));
    assert.equal((await c.response()).status, 200);
    await staysClosed(c);
  });

  test('a stream is not chunked and ends with the connection (9112 6.1)', async () => {
    const body = question('one two', { stream: true });
    const c = await connect(server.port);
    await c.send(req('POST /v1/chat/completions HTTP/1.0', 'Content-Type: application/json',
      `Content-Length: ${body.length}`) + body);
    const r = await c.response();
    assert.equal(r.status, 200);
    assert.equal(r.header('transfer-encoding'), undefined);
    assert.ok(r.untilClose && r.text.endsWith('data: [DONE]\n\n'));
    c.destroy();
  });
});

describe('pipelining (9112 9.3.2)', () => {
  // What is asked, and how to know its answer.
  const mixed = [
    { send: req('GET /livez HTTP/1.1', 'Host: a'), want: 200 },
    { send: chat('first'), want: 200, check: (r) => assert.equal(r.json.choices[0].message.content, 'first') },
    { send: req('HEAD /livez HTTP/1.1', 'Host: a'), want: 'HEAD 200' },
    { send: req('GET /nope HTTP/1.1', 'Host: a'), want: 404 },
    { send: req('OPTIONS /v1/models HTTP/1.1', 'Host: a'), want: 204 },
    { send: chat('second', { stream: true }), want: 200, check: (r) => assert.match(r.text, /second[^]*\[DONE\]\n\n$/) },
    { send: req('GET /v1/models/echo HTTP/1.1', 'Host: a'), want: 200, check: (r) => assert.equal(r.json.id, 'echo') },
    { send: post('/v1/chat/completions', '{'), want: 400 },
    { send: Buffer.concat([...chunkedChat(chunk(question('third')), '0\r\n\r\n')].map(bytes)), want: 200,
      check: (r) => assert.equal(r.json.choices[0].message.content, 'third') },
    { send: req('DELETE /livez HTTP/1.1', 'Host: a'), want: 405 },
  ];
  const pipelined = (list) => ({
    send: Buffer.concat(list.map((m) => bytes(m.send))),
    want: list.map((m) => m.want),
    then: 'open',
    check: (answers) => answers.forEach((r, i) => list[i].check?.(r)),
  });

  for (const n of [3, 7, 10, 20])
    test(`${n} mixed requests in one write`, () =>
      runCase(server, pipelined(Array.from({ length: n }, (_, i) => mixed[i % mixed.length]))));

  test('10 mixed requests in writes of 37 bytes', async () => {
    const c = pipelined(mixed);
    const pieces = [];
    for (let i = 0; i < c.send.length; i += 37) pieces.push(c.send.subarray(i, i + 37));
    await runCase(server, { ...c, send: pieces });
  });

  test('300 requests whose answers are larger than any queue', async () => {
    const c = await connect(server.port);
    await c.send(req('GET /metrics HTTP/1.1', 'Host: a').repeat(300));
    for (let i = 0; i < 300; i++) assert.equal((await c.response({ timeout: ms(3000) })).status, 200, `answer ${i}`);
    c.destroy();
  });

  test('200 requests and nothing read meanwhile', async () => {
    const c = await connect(server.port);
    c.stopReading();
    const sent = c.send(Buffer.concat(Array.from({ length: 200 }, (_, i) => chat(`n${i}`))));
    c.readAgain();
    for (let i = 0; i < 200; i++)
      assert.equal((await c.response()).json.choices[0].message.content, `n${i}`);
    await sent;
    c.destroy();
  });
});

test('a request split in two at every byte', { timeout: ms(60000) }, async () => {
  const whole = Buffer.concat([bytes('\r\n'), ...chunkedChat(chunk(BODY, ';x="y"'), '0\r\nX-T: 1\r\n\r\n').map(bytes),
    bytes(req('GET /v1/models/echo HTTP/1.1', 'Host: a'))]);
  const one = async (at) => {
    const c = await connect(server.port);
    await c.send(whole.subarray(0, at), ms(5), whole.subarray(at));
    answered([await c.response()]);
    assert.equal((await c.response()).json.id, 'echo', `split at ${at}`);
    assert.equal(c.rest.length, 0);
    c.destroy();
  };
  const offsets = Array.from({ length: whole.length - 1 }, (_, i) => i + 1);
  while (offsets.length) await Promise.all(offsets.splice(0, 50).map(one));
});

describe('Expect: 100-continue (9110 10.1.1)', () => {
  const head = (...more) => req(...CHAT, LENGTH, ...more);

  async function expecting(expectation) {
    const c = await connect(server.port);
    await c.send(head(`Expect: ${expectation}`));
    await c.until(() => c.received.includes('\r\n\r\n'), '100 Continue');
    assert.match(c.received.toString('latin1'), /^HTTP\/1\.1 100 [^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n$/);
    await c.send(BODY);
    const r = await c.response();
    assert.equal(r.interim.length, 1);
    answered([r]);
    c.destroy();
  }

  test('100 comes before the body is sent', () => expecting('100-continue'));
  test('in any case', () => expecting('100-Continue'));

  const ignored = async (send, want, then, extra = () => {}) =>
    runCase(server, { send, want, then, check: ([r]) => { assert.equal(r.interim.length, 0, 'no 100'); extra(r); } });

  test('no 100 for HTTP/1.0', () => ignored(
    [req('POST /v1/chat/completions HTTP/1.0', 'Content-Type: application/json', LENGTH, 'Expect: 100-continue'), BODY], 200, 'close'));
  test('no 100 for a body too large', () => ignored(
    req(...CHAT, 'Content-Length: 99999999', 'Expect: 100-continue'), 413, 'close'));
  test('no 100 for a path that is not there', () => ignored(
    req('POST /nope HTTP/1.1', 'Host: a', LENGTH, 'Expect: 100-continue'), 404, 'close'));
  test('no 100 for a method that is not allowed', () => ignored(
    req('POST /livez HTTP/1.1', 'Host: a', LENGTH, 'Expect: 100-continue'), 405, 'close'));
  test('no 100 for the wrong media type', () => ignored(
    req(CHAT[0], 'Host: a', 'Content-Type: text/plain', LENGTH, 'Expect: 100-continue'), 415, 'close'));
  test('another expectation is 417', () => ignored(
    req(...CHAT, LENGTH, 'Expect: 200-ok'), 417, 'close'));
  test('a body sent at once is answered all the same', () => runCase(server, {
    send: head('Expect: 100-continue') + BODY, want: 200, then: 'open', check: answered }));
});

describe('methods and media types', () => {
  const allow = (...names) => ([r]) => {
    const got = r.header('allow').split(/\s*,\s*/).sort();
    assert.deepEqual(got, names.sort());
  };
  const cases = [
    { name: 'POST /livez', send: req('POST /livez HTTP/1.1', 'Host: a', 'Content-Length: 0'), want: 405, check: allow('GET', 'HEAD', 'OPTIONS') },
    { name: 'PUT /v1/models', send: req('PUT /v1/models HTTP/1.1', 'Host: a', 'Content-Length: 0'), want: 405, check: allow('GET', 'HEAD', 'OPTIONS') },
    { name: 'GET /v1/chat/completions', send: req('GET /v1/chat/completions HTTP/1.1', 'Host: a'), want: 405, check: allow('OPTIONS', 'POST') },
    { name: 'HEAD /v1/chat/completions', send: req('HEAD /v1/chat/completions HTTP/1.1', 'Host: a'), want: 'HEAD 405', check: allow('OPTIONS', 'POST') },
    { name: 'OPTIONS *', send: req('OPTIONS * HTTP/1.1', 'Host: a'), want: 204 },
    { name: 'OPTIONS /livez', send: req('OPTIONS /livez HTTP/1.1', 'Host: a'), want: 204, check: allow('GET', 'HEAD', 'OPTIONS') },
    { name: 'OPTIONS /v1/chat/completions', send: req('OPTIONS /v1/chat/completions HTTP/1.1', 'Host: a'), want: 204, check: allow('OPTIONS', 'POST') },
    { name: 'OPTIONS with a body', send: req('OPTIONS /livez HTTP/1.1', 'Host: a', 'Content-Length: 2') + 'hi', want: 204, then: 'either' },
    { name: 'POST of text/plain', send: req(CHAT[0], 'Host: a', 'Content-Type: text/plain', LENGTH) + BODY, want: 415, then: 'either' },
    { name: 'POST of application/jsonx', send: req(CHAT[0], 'Host: a', 'Content-Type: application/jsonx', LENGTH) + BODY, want: 415, then: 'either' },
    { name: 'POST of no type', send: req(CHAT[0], 'Host: a', LENGTH) + BODY, want: 415, then: 'either' },
    { name: 'POST of gzip', send: req(...CHAT, 'Content-Encoding: gzip', LENGTH) + BODY, want: 415, then: 'either' },
    { name: 'POST of no length', send: req(...CHAT), want: 411, then: 'either' },
    { name: 'POST of length 0', send: req(...CHAT, 'Content-Length: 0'), want: 400 },
  ];
  for (const c of cases) test(c.name, () => runCase(server, { then: 'open', ...c }));
});

describe('CORS', () => {
  const preflight = (origin, path = '/v1/chat/completions') => req(`OPTIONS ${path} HTTP/1.1`, 'Host: a', `Origin: ${origin}`,
    'Access-Control-Request-Method: POST', 'Access-Control-Request-Headers: authorization,content-type,x-stainless-lang,x-stainless-retry-count');
  const allowed = (origin, vary = true) => ([r]) => {
    assert.equal(r.header('access-control-allow-origin'), origin);
    if (vary) assert.ok(r.has('vary', 'origin') || r.header('vary') === '*', 'Vary: Origin (Fetch, CORS and caches)');
    else assert.notEqual(r.header('access-control-allow-credentials'), 'true');
  };
  const may = ([r]) => {
    assert.ok(r.has('access-control-allow-methods', 'post'));
    const names = r.header('access-control-allow-headers') ?? '';
    if (names !== '*')
      for (const n of ['authorization', 'content-type', 'x-stainless-lang', 'x-stainless-retry-count'])
        assert.ok(r.has('access-control-allow-headers', n), `${n} may be sent`);
  };
  const refused = ([r]) => assert.equal(r.header('access-control-allow-origin'), undefined);
  const from = (origin, path = '/v1/models') => req(`GET ${path} HTTP/1.1`, 'Host: a', `Origin: ${origin}`);
  const APP = 'https://app.example';

  const table = {
    'two origins': { origins: [APP, 'http://localhost:5173'], cases: [
      { name: 'preflight', send: preflight(APP), want: 204, check: (a) => { allowed(APP)(a); may(a); } },
      { name: 'preflight of the second', send: preflight('http://localhost:5173'), want: 204, check: allowed('http://localhost:5173') },
      { name: 'a plain answer', send: from(APP), want: 200, check: allowed(APP) },
      { name: 'a refusal', send: from(APP, '/nope'), want: 404, check: allowed(APP) },
      { name: 'a stream', send: chat('hi', { stream: true }, `Origin: ${APP}`), want: 200, check: allowed(APP) },
      { name: 'no Origin', send: req('GET /v1/models HTTP/1.1', 'Host: a'), want: 200, check: refused },
      ...['https://app.example.evil.test', 'https://app.exampl', 'http://app.example', 'https://app.example:444', 'https://APP.example.',
        'null', 'https://evil.test, https://app.example', 'https://app.example/'].map((origin) =>
        ({ name: `refused: ${origin}`, send: from(origin), want: '200|403', check: refused })),
      { name: 'refused preflight', send: preflight('https://evil.test'), want: '204|403', check: refused },
    ] },
    'any origin': { origins: ['*'], cases: [
      { name: 'preflight', send: preflight('https://any.test'), want: 204,
        check: (a) => { allowed(a[0].header('access-control-allow-origin') === '*' ? '*' : 'https://any.test', false)(a); may(a); } },
      { name: 'a plain answer', send: from('null'), want: 200,
        check: ([r]) => assert.match(r.header('access-control-allow-origin'), /^(\*|null)$/) },
    ] },
    'no origin': { origins: [], cases: [
      { name: 'preflight', send: preflight(APP), want: '204|403', check: refused },
      { name: 'a plain answer', send: from(APP), want: '200|403', check: refused },
    ] },
  };
  for (const [name, { origins, cases }] of Object.entries(table))
    describe(name, () => {
      let own;
      before(async () => { own = await start({ http: { cors_origins: origins } }); });
      after(() => own?.stop());
      for (const c of cases) test(c.name, () => runCase(own, { then: 'open', ...c }));
    });
});
