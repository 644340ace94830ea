// `runnel check`: every mistake in a settings file is named with file, line and key.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { run, scratch } from './lib/server.mjs';

const dir = scratch();
let n = 0;

async function check(text, env) {
  const file = join(dir, `settings-${n++}.yaml`);
  writeFileSync(file, text);
  return { file, ...(await run(['check', file], { env })) };
}

// The mistakes of a file as [line, key, what]; every line must have that form.
function mistakes({ file, stderr }) {
  return stderr.split('\n').filter(Boolean).map((l) => {
    assert.ok(l.startsWith(`${file}:`), `not FILE:LINE: ...: ${l}`);
    const m = /^:(\d+): (.*)$/.exec(l.slice(file.length));
    assert.ok(m, `not FILE:LINE: ...: ${l}`);
    const [, key, what] = /^([A-Za-z0-9_.[\]]+): (.+)$/.exec(m[2]) ?? [, '', m[2]];
    assert.ok(what.length > 3, `says what is wrong: ${l}`);
    return [Number(m[1]), key, what];
  });
}

// A key of the table fits a reported one whatever the index is written like:
// models[0].name, models.0.name and models[].name are all `models name`.
const plain = (key) => key.replace(/\[\d*\]|\.\d+(?=\.|$)/g, '').replace(/\./g, ' ');
const fits = (reported, want) => plain(reported) === want || plain(reported).endsWith(' ' + want);

const XCX = 'dialects:\n  xcx:\n';
const page = (sql) => XCX + '    pages:\n      - page: task-detail\n        sql: ' + sql + '\n';

const PROVIDERS = 'providers:\n  - {name: echo, kind: echo}\n';

// Name, file, and the [line, key] of every mistake, in order. Keys have no
// index here. A key of '' means that the file is not YAML, so there is none.
const table = [
  ['an unknown key', 'nonsense: 1\n', [1, 'nonsense']],
  ['a tool of an MCP server in the background', 'tools:\n  - name: t\n    kind: mcp\n    url: https://a.example/\n    background: true\n', [2, 'tools background']],
  ['a tool in the background that nobody may complete', 'tools:\n  - name: t\n    url: https://a.example/\n    background: true\n', [2, 'tools background']],
  ['an operation that lives for ever', 'tools:\n  - name: t\n    url: https://a.example/\n    operation_ttl: 1000h\n', [4, 'tools operation_ttl']],
  ['an unknown key in a section', 'log:\n  level: info\n  colour: red\n', [3, 'log colour']],
  ['a misspelt section', 'listen: 127.0.0.1:0\nhtttp:\n  max_headers: 50\n', [2, 'htttp']],
  ['a number that is text', 'http:\n  max_headers: many\n', [2, 'http max_headers']],
  ['a number with a fraction', 'http:\n  max_headers: 1.5\n', [2, 'http max_headers']],
  ['a number below zero', 'http:\n  max_connections: -1\n', [2, 'http max_connections']],
  ['a number out of range', 'http:\n  max_connections: 99999999999999999999\n', [2, 'http max_connections']],
  ['zero where it makes no sense', 'http:\n  max_connections: 0\n', [2, 'http max_connections']],
  ['a section that is a number', 'http: 5\n', [1, 'http']],
  ['a section that is a list', 'log:\n  - level: info\n', [[1, 2], 'log']],
  ['a value that is a mapping', 'listen:\n  port: 80\n', [[1, 2], 'listen']],
  ['a value that is a list', 'http:\n  max_headers: [1]\n', [2, 'http max_headers']],
  ['a list that is a value', 'providers: echo\n', [1, 'providers']],
  ['a bad duration', 'http:\n  idle_timeout: soon\n', [2, 'http idle_timeout']],
  ['a duration with an unknown unit', 'http:\n  idle_timeout: 10y\n', [2, 'http idle_timeout']],
  ['a duration below zero', 'http:\n  idle_timeout: -5s\n', [2, 'http idle_timeout']],
  ['a duration far too long', 'http:\n  idle_timeout: 999999999999999999s\n', [2, 'http idle_timeout']],
  ['two durations in one', 'http:\n  idle_timeout: 1s 2s\n', [2, 'http idle_timeout']],
  ['an empty duration', 'http:\n  idle_timeout: ""\n', [2, 'http idle_timeout']],
  ['a bad size', 'http:\n  max_body_bytes: big\n', [2, 'http max_body_bytes']],
  ['a size with an unknown unit', 'http:\n  max_body_bytes: 8XB\n', [2, 'http max_body_bytes']],
  ['a size that overflows', 'http:\n  max_body_bytes: 99999999999999GiB\n', [2, 'http max_body_bytes']],
  ['a size below zero', 'stream:\n  queue_bytes: -1\n', [2, 'stream queue_bytes']],
  ['an address without a port', 'listen: localhost\n', [1, 'listen']],
  ['an address with a bad port', 'listen: 127.0.0.1:http\n', [1, 'listen']],
  ['a port too big', 'listen: 127.0.0.1:65536\n', [1, 'listen']],
  ['an address that is none', 'listen: 999.0.0.1:80\n', [1, 'listen']],
  ['IPv6 without brackets', 'listen: "::1:80"\n', [1, 'listen']],
  ['a level that is none', 'log:\n  level: loud\n', [2, 'log level']],
  ['a format that is none', 'log: {format: xml}\n', [1, 'log format']],
  ['a CIDR block that is none', 'http:\n  trusted_proxies:\n    - 10.0.0.0/8\n    - 10.0.0.0/33\n', [4, 'http trusted_proxies']],
  ['a proxy that is no address', 'http:\n  trusted_proxies: [nowhere]\n', [2, 'http trusted_proxies']],
  ['an IPv6 block that is none', 'http:\n  trusted_proxies: ["2001:db8::/129"]\n', [2, 'http trusted_proxies']],
  ['"*" beside an origin', 'http:\n  cors_origins: ["*", "https://a.example"]\n', [2, 'http cors_origins']],
  ['a header name that is none', 'http:\n  request_id_header: "x id"\n', [2, 'http request_id_header']],
  ['a key twice', 'listen: 127.0.0.1:0\nlog: {level: info}\nlisten: 127.0.0.1:1\n', [3, 'listen']],
  ['a key twice in a section', 'http:\n  max_headers: 50\n  max_uri_bytes: 100\n  max_headers: 60\n', [4, 'http max_headers']],
  ['a provider name twice', 'providers:\n  - {name: echo, kind: echo}\n  - {name: echo, kind: echo}\n', [3, 'name']],
  ['a provider without a name', 'providers:\n  - {kind: echo}\n', [2, 'name']],
  ['a provider without a kind', 'providers:\n  - name: echo\n', [2, 'kind']],
  ['a provider of an unknown kind', 'providers:\n  - name: echo\n    kind: parrot\n', [3, 'kind']],
  ['a provider with an unknown key', 'providers:\n  - name: echo\n    kind: echo\n    loud: yes\n', [4, 'loud']],
  ['a provider with a bad number', 'providers:\n  - {name: a, kind: echo}\n  - name: b\n    kind: echo\n    tokens_per_second: fast\n', [5, 'tokens_per_second']],
  ['a provider that is a word', 'providers:\n  - echo\n', [2, 'providers']],
  ['a model without a name', PROVIDERS + 'models:\n  - class: local_small\n    targets: [{provider: echo}]\n', [4, 'name']],
  ['a model with an empty name', PROVIDERS + 'models:\n  - name: ""\n    targets: [{provider: echo}]\n', [4, 'name']],
  ['a model name twice', PROVIDERS + 'models:\n  - {name: m, targets: [{provider: echo}]}\n  - {name: m, targets: [{provider: echo}]}\n', [5, 'name']],
  ['a model of an unknown class', PROVIDERS + 'models:\n  - name: m\n    class: huge\n    targets: [{provider: echo}]\n', [5, 'class']],
  ['a model without targets', PROVIDERS + 'models:\n  - name: m\n    targets: []\n', [5, 'targets']],
  ['a price that is a word', PROVIDERS + 'models:\n  - name: m\n    prompt_price: cheap\n    targets: [{provider: echo}]\n', [5, 'prompt_price']],
  ['a price below zero', PROVIDERS + 'models:\n  - name: m\n    targets: [{provider: echo}]\n    completion_price: -0.15\n', [6, 'completion_price']],
  ['a price with a comma', PROVIDERS + 'models:\n  - name: m\n    prompt_price: "0,15"\n    targets: [{provider: echo}]\n', [5, 'prompt_price']],
  ['a price finer than a millionth', PROVIDERS + 'models:\n  - name: m\n    prompt_price: 0.0000001\n    targets: [{provider: echo}]\n', [5, 'prompt_price']],
  ['a price without an end', PROVIDERS + 'models:\n  - name: m\n    completion_price: 1000000000\n    targets: [{provider: echo}]\n', [5, 'completion_price']],
  ['two wrong prices', PROVIDERS + 'models:\n  - name: m\n    prompt_price: "$1"\n    completion_price: 1e3\n    targets: [{provider: echo}]\n', [5, 'prompt_price'], [6, 'completion_price']],
  ['a target of an unknown provider', PROVIDERS + 'models:\n  - name: m\n    targets:\n      - provider: echo\n      - provider: other\n', [7, 'provider']],
  ['a target without a provider', PROVIDERS + 'models:\n  - name: m\n    targets:\n      - {}\n', [6, 'provider']],
  ['a target with an unknown key', PROVIDERS + 'models:\n  - name: m\n    targets:\n      - provider: echo\n        wieght: 5\n', [7, 'wieght']],
  ['a query with an unknown name', page('SELECT :contxt_id'), [5, 'pages sql']],
  ['a query with an unknown name in its second line', page('|\n          SELECT 1\n          WHERE :nobody = 1'), [5, 'pages sql']],
  ['a query with a number', page('SELECT $1'), [5, 'pages sql']],
  ['a query with names of many', page('SELECT :context_ids'), [5, 'pages sql']],
  ['two statements', page('SELECT 1; DROP TABLE task'), [5, 'pages sql']],
  ['a statement with a semicolon', page('SELECT 1;'), [5, 'pages sql']],
  ['a query that writes', page('"UPDATE task SET id = 1"'), [5, 'pages sql']],
  ['a query with a text that has no end', page('"SELECT \'a"'), [5, 'pages sql']],
  ['a query that leaves its parentheses', page('SELECT 1) UNION (SELECT 2'), [5, 'pages sql']],
  ['a query that is empty', page('""'), [5, 'pages sql']],
  ['a query that is a list', page('[SELECT]'), [5, 'pages sql']],
  ['a page without a query', XCX + '    pages:\n      - page: a\n', [4, 'pages sql']],
  ['a page without a name', XCX + '    pages:\n      - sql: SELECT 1\n', [4, 'pages page']],
  ['a page twice', XCX + '    pages:\n      - {page: a, sql: SELECT 1}\n      - {page: a, sql: SELECT 2}\n', [5, 'pages page']],
  ['a card twice', XCX + '    cards:\n      - {context: a, type: record, sql: SELECT 1}\n      - {context: a, type: record, sql: SELECT 2}\n', [5, 'cards context']],
  ['a card of no known type', XCX + '    cards:\n      - context: customer\n        type: custmer\n        sql: SELECT 1\n', [5, 'cards type']],
  ['names with an id of one', XCX + '    names:\n      - context: customer\n        sql: SELECT :context_id\n', [5, 'names sql']],
  ['names twice', XCX + '    names:\n      - {context: a, sql: SELECT 1}\n      - {context: a, sql: SELECT 2}\n', [5, 'names context']],
  ['too much of a page', XCX + '    page_bytes: 65KiB\n', [3, 'xcx page_bytes']],
  ['a query without a time', XCX + '    lookup_timeout: 0\n', [3, 'xcx lookup_timeout']],
  ['a variable that is not set', 'listen: 127.0.0.1:0\nlog:\n  level: ${E2E_NOT_SET}\n', [3, 'log level']],
  ['a variable never closed', 'listen: "${E2E_NOT_SET"\n', [1, 'listen']],
  ['tabs instead of spaces', 'http:\n\tmax_headers: 50\n', [2, '']],
  ['a bracket never closed', 'listen: 127.0.0.1:0\nhttp: {max_headers: 50\n', [null, '']],
  ['a quote never closed', 'listen: "127.0.0.1:0\n', [null, '']],
  ['lines at odds', 'http:\n    max_headers: 50\n  max_uri_bytes: 100\n', [3, '']],
  ['no mapping at all', '- a\n- b\n', [1, '']],
  ['a word', 'nonsense\n', [1, '']],
  ['two documents', 'listen: 127.0.0.1:0\n---\nlisten: 127.0.0.1:1\n', [null, '']],
  ['several mistakes, all of them told', [
    'listen: 127.0.0.1:99999', 'log: {level: loud}', 'http:', '  idle_timeout: soon', '  max_headers: many', '  nonsense: 1', 'providers:',
    '  - {name: echo, kind: parrot}', 'models:', '  - name: m', '    targets: [{provider: nobody}]', 'extra: 1', ''].join('\n'),
  [1, 'listen'], [2, 'log level'], [4, 'http idle_timeout'], [5, 'http max_headers'], [6, 'http nonsense'], [8, 'kind'], [11, 'provider'], [12, 'extra']],
];

describe('broken files', { concurrency: 2 }, () => {
  for (const [name, text, ...wants] of table)
    test(name, async () => {
      const r = await check(text);
      assert.equal(r.code, 1, `exit code ${r.code}: ${r.stdout}${r.stderr}`);
      const found = mistakes(r);
      for (const [line, key] of wants) {
        const one = found.find(([l, k]) => (line === null || [line].flat().includes(l)) && (key === '' || fits(k, key)));
        assert.ok(one, `no mistake told for line ${line}, key ${key}:\n${r.stderr}`);
      }
      assert.equal(found.length, wants.length, `${wants.length} mistakes and no more:\n${r.stderr}`);
      assert.doesNotMatch(r.stdout, /: ok$/m);
    });

  test('a file that is not there', async () => {
    const r = await run(['check', '/nowhere/runnel.yaml']);
    assert.equal(r.code, 1);
    assert.match(r.stderr, /\/nowhere\/runnel\.yaml/);
  });
  test('a directory', async () => {
    const r = await run(['check', dir]);
    assert.equal(r.code, 1);
    assert.ok(r.stderr.includes(dir));
  });
  test('bytes that are no text', async () => {
    const r = await check(Buffer.from([0xff, 0xfe, 0x00, 0x01, 0x80]));
    assert.equal(r.code, 1);
    mistakes(r);
  });
});

const FULL = `# every setting there is
listen: 127.0.0.1:8080
log: {level: info, format: logfmt}
http:
  max_connections: 10000
  max_requests_per_connection: 10000
  max_header_bytes: 16KiB
  max_headers: 100
  max_uri_bytes: 8KiB
  max_body_bytes: 8MiB
  header_timeout: 10s
  body_timeout: 60s
  idle_timeout: 75s
  write_timeout: 30s
  linger_timeout: 5s
  trusted_proxies: []
  request_id_header: x-request-id
  cors_origins: []
stream: {commit_after: 1s, heartbeat: 15s, queue_bytes: 64KiB}
turns:  {max_running: 10000, max_waiting: 1000, max_wait: 1s, max_time: 10m}
drain_seconds: 25s
providers: [{name: echo, kind: echo, tokens_per_second: 50, max_streams: 0}]
models:    [{name: echo, class: local_small, targets: [{provider: echo}]}]
`;

describe('good files', () => {
  const good = {
    'every setting': [FULL],
    'nothing but the address': ['listen: 127.0.0.1:0\n'],
    'an empty file': [''],
    'comments only': ['# nothing\n\n'],
    'IPv6, any port': ['listen: "[::1]:0"\n'],
    'plain numbers for durations and sizes': ['http: {idle_timeout: 75, max_body_bytes: 8388608}\ndrain_seconds: 25\n'],
    'quoted values': ['http:\n  idle_timeout: "500ms"\n  max_headers: \'100\'\n'],
    'lists of proxies and origins': ['http:\n  trusted_proxies: [127.0.0.1, 10.0.0.0/8, "::1", "2001:db8::/32"]\n  cors_origins: ["https://a.example", "http://localhost:5173"]\n'],
    'any origin': ['http:\n  cors_origins: ["*"]\n'],
    'every class': [PROVIDERS + 'models:\n' + ['local_small', 'local_large', 'cloud_small', 'cloud_large'].map((c) =>
      `  - {name: ${c}, class: ${c}, targets: [{provider: echo}]}\n`).join('')],
    'prices': [PROVIDERS + 'models:\n  - {name: m, prompt_price: 0.15, completion_price: "10", targets: [{provider: echo}]}\n'],
    'queries of every kind': [`${XCX}    page_bytes: 8KiB
    lookup_timeout: 500ms
    pages:
      - page: task-detail
        sql: |
          -- ; and :nobody may stand in a comment
          SELECT title, due::date AS "due: :nobody", ':nobody; $1' AS x, $tag$ :nobody ; $tag$ AS y
          FROM task WHERE id = :context_id AND site_id = :site_id AND owner = :user_id
          AND tenant = :tenant AND page = :page AND :filters ->> 'state' IS NOT NULL
      - {page: "*", sql: "WITH a AS (SELECT 1) TABLE a"}
    cards:
      - {context: customer, type: customer, sql: SELECT name AS title FROM member WHERE id = :context_id}
      - {context: task, type: record, sql: VALUES (1)}
    names:
      - {context: customer, sql: "SELECT id, name FROM member WHERE id::text = ANY (:context_ids)"}
`],
    'a variable that is set': ['log:\n  level: ${E2E_LEVEL}\n', { E2E_LEVEL: 'warn' }],
    'CRLF line ends': ['listen: 127.0.0.1:0\r\nlog:\r\n  level: info\r\n'],
    'a byte order mark': ['\ufefflisten: 127.0.0.1:0\n'],
    'JSON': [JSON.stringify({ listen: '127.0.0.1:0', http: { max_headers: 50 } }, null, 2)],
  };
  for (const [name, [text, env]] of Object.entries(good))
    test(name, async () => {
      const r = await check(text, env);
      assert.equal(r.code, 0, r.stderr);
      assert.equal((r.stdout + r.stderr).trim(), `${r.file}: ok`);
    });
});
