// Runs a chapter: a table of raw requests and what must come back.
//
//   { name, send, want, then, check }
//     send   bytes, or a list of pieces and pauses
//     want   one answer or a list of them: 200, '400|501' (either), 'HEAD 200'
//     then   'open'    the connection serves a further request
//            'close'   it says `Connection: close` and ends with FIN, nothing after
//            'either'  whichever its `Connection` field says
//     check  looks at the answers
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect, ms, req } from './raw.mjs';

const IMF_DATE = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT$/;

export const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;

export function checkRefusal(r, { head = false } = {}) {
  assert.match(r.header('x-request-id') ?? '', REQUEST_ID, 'x-request-id of a refusal');
  if (head) return;
  assert.match(r.header('content-type') ?? '', /^application\/json\b/);
  assert.ok(r.header('content-length'), 'a refusal has a Content-Length');
  const { error } = r.json;
  assert.deepEqual(Object.keys(error).sort(), ['code', 'message', 'param', 'type']);
  assert.ok(typeof error.message === 'string' && error.message.length > 0, 'error.message');
  assert.ok(error.param === null || typeof error.param === 'string', 'error.param');
  assert.ok(error.code === null || typeof error.code === 'string', 'error.code');
  if (r.status < 500 && r.status !== 429) assert.equal(error.type, 'invalid_request_error');
  else assert.match(error.type, /^[a-z_]+$/);
  if (r.status === 405) assert.ok(r.header('allow'), '405 without Allow (RFC 9110 15.5.6)');
  if (r.status === 503 || r.status === 429) checkRetryAfter(r);
}

export function checkRetryAfter(r) {
  assert.match(r.header('retry-after') ?? '', /^[1-9][0-9]*$/, 'Retry-After in seconds, at least 1');
}

function checkAnswer(r, want) {
  const [, method = 'GET', list] = /^(?:([A-Z]+) )?([\d|]+)$/.exec(String(want));
  assert.ok(list.split('|').includes(String(r.status)), `status ${r.status} instead of ${list}: ${r.body}`);
  if (r.status < 500)
    assert.match(r.header('date') ?? '', IMF_DATE, 'Date (RFC 9110 6.6.1)');
  if (r.body.length) assert.ok(r.header('content-type'), 'a body has a Content-Type');
  if (r.status >= 400) checkRefusal(r, { head: method === 'HEAD' });
}

const methodOf = (want) => /^([A-Z]+) /.exec(String(want))?.[1] ?? 'GET';

// The probe's answer cannot be mistaken for that of a smuggled request.
async function staysOpen(conn) {
  await conn.send(req('GET /v1/models/echo HTTP/1.1', 'Host: probe'));
  const r = await conn.response();
  assert.equal(r.status, 200, `the next request on the connection got ${r.status}`);
  assert.equal(r.json.id, 'echo', 'the next request got somebody else\'s answer');
  assert.equal(conn.rest.length, 0, `bytes after the last answer: ${conn.rest}`);
}

export async function staysClosed(conn, timeout = ms(3000)) {
  const how = await conn.ended(timeout);
  assert.equal(conn.rest.toString('latin1'), '', 'bytes after the last answer');
  assert.equal(how, 'fin', 'the connection ends with FIN, not RST');
}

export async function runCase(server, { send, want, then, check }) {
  const wants = [want].flat();
  const conn = await connect(server.port);
  try {
    const sent = conn.send(send);
    const answers = [];
    for (const w of wants) {
      answers.push(await conn.response({ method: methodOf(w), timeout: ms(3000) }));
      checkAnswer(answers.at(-1), w);
    }
    const last = answers.at(-1);
    const closing = last.has('connection', 'close');
    const how = then === 'either' ? (closing ? 'close' : 'open') : then;
    await sent;
    if (how === 'close') {
      await staysClosed(conn);
      assert.ok(closing, 'the last answer before a close says Connection: close (RFC 9112 9.6)');
    } else {
      assert.ok(!closing, 'the answer says Connection: close');
      await staysOpen(conn);
    }
    await check?.(answers, conn);
  } finally {
    conn.destroy();
  }
  await server.alive();
}

// `server` is a function, because the server starts after the table is read.
export function chapter(name, server, defaults, cases, options = {}) {
  describe(name, options, () => {
    for (const c of cases)
      test(c.name, { timeout: ms(20000) }, () => runCase(server(), { ...defaults, ...c }));
  });
}
