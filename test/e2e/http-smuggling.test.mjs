// Where one message ends and the next begins must never be open to two readings.
// Every case carries a second request that only a wrong reading would answer.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { chapter, checkRefusal, runCase, staysClosed } from './lib/cases.mjs';
import { bytes, chunk, connect, question, req } from './lib/raw.mjs';
import { start } from './lib/server.mjs';

let server;
before(async () => {
  server = await start({ providers: [{ name: 'echo', kind: 'echo', tokens_per_second: 0 }] });
});
after(() => server?.stop());
const it = () => server;

const BODY = question('hi');
const N = BODY.length;
const NEXT = req('GET /livez HTTP/1.1', 'Host: smuggled');
const head = (...lines) => req('POST /v1/chat/completions HTTP/1.1', 'Host: a', 'Content-Type: application/json', ...lines);
const CHUNKED = chunk(BODY) + '0\r\n\r\n';
const hi = ([r]) => r.status === 200 && assert.equal(r.json.choices[0].message.content, 'hi');

chapter('Content-Length and Transfer-Encoding together (9112 6.3)', it, { want: 400, then: 'close' }, [
  { name: 'CL.TE', send: head('Content-Length: 6', 'Transfer-Encoding: chunked') + '0\r\n\r\nG' + NEXT },
  { name: 'TE.CL', send: head('Transfer-Encoding: chunked', 'Content-Length: 4') + '5c\r\n' + NEXT + '0\r\n\r\n' },
  { name: 'both and both right', send: head('Transfer-Encoding: chunked', `Content-Length: ${CHUNKED.length}`) + CHUNKED + NEXT },
  { name: 'Content-Length: 0 and chunked', send: head('Content-Length: 0', 'Transfer-Encoding: chunked') + CHUNKED + NEXT },
  { name: 'an empty Transfer-Encoding and a length', send: head('Transfer-Encoding:', `Content-Length: ${N}`) + BODY + NEXT },
  { name: 'a length and an empty Transfer-Encoding', send: head(`Content-Length: ${N}`, 'Transfer-Encoding: ') + BODY + NEXT },
  { name: 'an unknown coding and a length', send: head('Transfer-Encoding: x', `Content-Length: ${N}`) + BODY + NEXT, want: '400|501' },
  { name: 'identity and a length', send: head('Transfer-Encoding: identity', `Content-Length: ${N}`) + BODY + NEXT, want: '400|501' },
  { name: 'both on a GET', send: req('GET /livez HTTP/1.1', 'Host: a', 'Content-Length: 5', 'Transfer-Encoding: chunked') + '0\r\n\r\n' + NEXT },
]);

chapter('transfer codings (9112 6.1, 7)', it, { want: '400|501', then: 'close' }, [
  ...['xchunked', 'chunkedx', 'chunked chunked', '"chunked"', 'chunked;a=b', 'chunked; q=1', 'gzip', 'identity', 'chunked, identity',
    'identity, chunked', 'chunked\xa0', '\xa0chunked', 'ch\u0000unked', '\x0bchunked', 'chunked\x0c', 'x, chunked', 'chunked, x'].map((te) => ({
    name: JSON.stringify(te), send: head(`Transfer-Encoding: ${te}`) + CHUNKED + NEXT })),
  { name: 'gzip, chunked', send: head('Transfer-Encoding: gzip, chunked') + CHUNKED + NEXT, want: 501 },
  { name: 'gzip and chunked in two fields', send: head('Transfer-Encoding: gzip', 'Transfer-Encoding: chunked') + CHUNKED + NEXT },
  { name: 'chunked, gzip: not last', send: head('Transfer-Encoding: chunked, gzip') + CHUNKED + NEXT, want: 400 },
  { name: 'chunked, chunked', send: head('Transfer-Encoding: chunked, chunked') + CHUNKED + NEXT, want: 400 },
  { name: 'chunked twice', send: head('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked') + CHUNKED + NEXT, want: 400 },
  { name: 'chunked and x in two fields', send: head('Transfer-Encoding: chunked', 'Transfer-Encoding: x') + CHUNKED + NEXT },
  { name: 'chunked and an empty field', send: head('Transfer-Encoding: chunked', 'Transfer-Encoding:') + CHUNKED, want: '200|400|501', then: 'either', check: hi },
  { name: 'an empty list element', send: head('Transfer-Encoding: ,chunked') + CHUNKED, want: '200|400|501', then: 'either', check: hi },
  { name: 'empty and alone', send: head('Transfer-Encoding:') + CHUNKED + NEXT, want: '400|501' },
  { name: 'a space before the colon', send: head('Transfer-Encoding : chunked') + CHUNKED + NEXT, want: 400 },
  { name: 'folded', send: head('Transfer-Encoding:\r\n chunked') + CHUNKED + NEXT, want: 400 },
  { name: 'folded away under another field', send: head('X: y\r\n Transfer-Encoding: chunked', `Content-Length: ${N}`) + BODY + NEXT, want: 400 },
  { name: 'after a bare LF', send: head('X: y\nTransfer-Encoding: chunked', `Content-Length: ${N}`) + BODY + NEXT, want: 400 },
  { name: 'after a bare CR', send: head('X: y\rTransfer-Encoding: chunked', `Content-Length: ${N}`) + BODY + NEXT, want: 400 },
  { name: 'name with a NUL', send: head('Transfer-Encoding\0: chunked', `Content-Length: ${N}`) + BODY + NEXT, want: 400 },
  { name: 'in HTTP/1.0 (9112 6.1)', send: req('POST /v1/chat/completions HTTP/1.0', 'Content-Type: application/json', 'Transfer-Encoding: chunked')
    + CHUNKED + NEXT, want: 400 },
  { name: 'in HTTP/1.0 with keep-alive', send: req('POST /v1/chat/completions HTTP/1.0', 'Content-Type: application/json', 'Connection: keep-alive',
    'Transfer-Encoding: chunked') + CHUNKED + NEXT, want: 400 },
  { name: 'a name that only looks like it', send: head('Transfer_Encoding: chunked', `Content-Length: ${N}`) + BODY, want: '200|400', then: 'either', check: hi },
]);

const length = (...values) => head(...values.map((v) => `Content-Length: ${v}`)) + BODY + NEXT;

chapter('Content-Length (9110 8.6, 9112 6.3)', it, { want: 400, then: 'close' }, [
  { name: 'twice the same', send: length(N, N) },
  { name: 'twice, different', send: length(N, 0) },
  { name: 'twice, different, the other way', send: length(0, N) },
  { name: 'a list of the same', send: length(`${N}, ${N}`) },
  { name: 'a list of different ones', send: length(`${N}, 0`) },
  ...[`+${N}`, `-${N}`, `${N} 0`, `0x${N.toString(16)}`, `${N}.0`, `${N}e0`, `${N};`, `${N},`, `,${N}`, `"${N}"`, '', 'abc', '\xb2', `${N}\x0b`, '_1', '1_0',
    '-0', '-1'].map((v) => ({ name: `value ${JSON.stringify(v)}`, send: length(v) })),
  { name: 'a space before the colon', send: head(`Content-Length : ${N}`) + BODY + NEXT },
  { name: 'folded', send: head(`Content-Length:\r\n ${N}`) + BODY + NEXT },
  { name: 'a bad one on a GET', send: req('GET /livez HTTP/1.1', 'Host: a', 'Content-Length: x') + NEXT },
  { name: 'two on a GET', send: req('GET /livez HTTP/1.1', 'Host: a', 'Content-Length: 0', 'Content-Length: 39') + NEXT },
  // Numbers that wrap around must not come out small.
  ...[2n ** 31n, 2n ** 32n + 2n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 64n, 2n ** 64n + 2n, 2n ** 64n + BigInt(N), 10n ** 30n, 10n ** 300n].map((v) => ({
    name: `too large: ${v.toString().slice(0, 40)}`, send: length(v), want: '400|413' })),
]);

const coded = (...pieces) => Buffer.concat([head('Transfer-Encoding: chunked'), ...pieces, NEXT].map(bytes));
const size = (s) => coded(`${s}\r\n${BODY}\r\n0\r\n\r\n`);
const H = N.toString(16);

chapter('chunks (9112 7.1)', it, { want: 400, then: 'close' }, [
  ...[`0x${H}`, `+${H}`, `-${H}`, ` ${H}`, `${H} `, `\t${H}`, '', `${H},`, `${H}g`, 'g', `${H}\0`, `${H}\xa0`, '_1', `${H}.0`, `"${H}"`].map((s) => ({
    name: `size ${JSON.stringify(s)}`, send: size(s) })),
  ...[`1${'0'.repeat(16 - H.length)}${H}`, `ffffffff${'0'.repeat(8 - H.length)}${H}`, 'ffffffffffffffff', 'fffffffffffffffe', '8000000000000000',
    `1${'0'.repeat(8 - H.length)}${H}`, 'f'.repeat(300)].map((s) => ({ name: `size too large: ${s.slice(0, 40)}`, send: size(s), want: '400|413' })),
  { name: 'data longer than its size', send: coded(`3\r\n${BODY}\r\n0\r\n\r\n`) },
  { name: 'data shorter than its size', send: coded(`${(N + 1).toString(16)}\r\n${BODY}\r\n0\r\n\r\n`) },
  { name: 'no CRLF after the data', send: coded(`${H}\r\n${BODY}0\r\n\r\n`) },
  { name: 'bare LF after the size', send: coded(`${H}\n${BODY}\r\n0\r\n\r\n`) },
  { name: 'bare LF after the data', send: coded(`${H}\r\n${BODY}\n0\r\n\r\n`) },
  { name: 'bare LF after the last chunk', send: coded(chunk(BODY), '0\n\r\n') },
  { name: 'bare LF at the very end', send: coded(chunk(BODY), '0\r\n\n') },
  { name: 'bare LF everywhere', send: coded(`${H}\n${BODY}\n0\n\n`) },
  { name: 'bare CR after the size', send: coded(`${H}\r${BODY}\r\n0\r\n\r\n`) },
  { name: 'bare CR after the data', send: coded(`${H}\r\n${BODY}\r0\r\n\r\n`) },
  { name: 'CR CR LF after the size', send: coded(`${H}\r\r\n${BODY}\r\n0\r\n\r\n`) },
  { name: 'two wrong bytes in place of CRLF', send: coded(`${H}\r\n${BODY}XX0\r\n\r\n`) },
  { name: 'bare LF in an extension', send: coded(`${H};a\n${BODY}\r\n0\r\n\r\n`) },
  { name: 'bare LF inside a quoted extension', send: coded(`${H};a="\n"\r\n${BODY}\r\n0\r\n\r\n`) },
  { name: 'bare CR in an extension', send: coded(`${H};a\rb\r\n${BODY}\r\n0\r\n\r\n`) },
  { name: 'NUL in an extension', send: coded(`${H};a\0b\r\n${BODY}\r\n0\r\n\r\n`) },
  { name: 'an extension without ;', send: coded(`${H} a=b\r\n${BODY}\r\n0\r\n\r\n`) },
  { name: 'space before the ; of an extension: read or refused', send: coded(`${H} ;a\r\n${BODY}\r\n0\r\n\r\n`).subarray(0, -NEXT.length),
    want: '200|400', then: 'either', check: hi },
  { name: 'many zeros before the size: read or refused', send: size('0'.repeat(40) + H).subarray(0, -NEXT.length), want: '200|400', then: 'either', check: hi },
]);

const trailer = (text) => coded(chunk(BODY), `0\r\n${text}\r\n\r\n`);
const quiet = (c) => ({ ...c, send: c.send.subarray(0, -NEXT.length), want: '200|400', then: 'either', check: hi });

chapter('trailers (9110 6.5, 9112 7.1.2)', it, { want: 400, then: 'close' }, [
  { name: 'no colon', send: trailer('X') },
  { name: 'no name', send: trailer(': x') },
  { name: 'a space before the colon', send: trailer('X : y') },
  { name: 'a fold', send: trailer('X: y\r\n z') },
  { name: 'bare LF', send: trailer('X: y\nZ: w') },
  { name: 'bare CR', send: trailer('X: y\rZ: w') },
  { name: 'NUL', send: trailer('X: \0') },
  // A trailer must not become part of the head; refusing it is good as well.
  quiet({ name: 'Content-Length', send: trailer('Content-Length: 40') }),
  quiet({ name: 'Transfer-Encoding', send: trailer('Transfer-Encoding: chunked') }),
  quiet({ name: 'Host', send: trailer('Host: evil.test') }),
  quiet({ name: 'Connection', send: trailer('Connection: close') }),
  quiet({ name: 'Content-Type', send: trailer('Content-Type: text/plain') }),
]);

// Early answers: what is left of the body must never be read as a request.
chapter('bodies nobody reads', it, { then: 'close' }, [
  ...[['/nope', 404], ['/livez', 405], ['/v1/models', 405]].flatMap(([path, want]) => [
    { name: `${want} for ${path}, chunked and whole`, want,
      send: req(`POST ${path} HTTP/1.1`, 'Host: a', 'Content-Type: application/json', 'Transfer-Encoding: chunked') + CHUNKED + NEXT },
    { name: `${want} for ${path}, chunked, the rest later`, want,
      send: [req(`POST ${path} HTTP/1.1`, 'Host: a', 'Transfer-Encoding: chunked') + chunk(BODY), 50, '0\r\n\r\n' + NEXT] },
    { name: `${want} for ${path}, a length, the rest later`, want,
      send: [req(`POST ${path} HTTP/1.1`, 'Host: a', `Content-Length: ${NEXT.length + 5}`), 50, 'hello' + NEXT] },
    { name: `${want} for ${path}, a length and whole`, want, then: 'either',
      send: req(`POST ${path} HTTP/1.1`, 'Host: a', `Content-Length: ${NEXT.length}`) + NEXT },
  ]),
  { name: '413 by length', want: 413, send: [head('Content-Length: 99999999'), 50, NEXT + NEXT] },
  { name: '413 by counting', want: 413, send: [head('Transfer-Encoding: chunked'), chunk(Buffer.alloc(9 << 20, 32)), 50, '0\r\n\r\n' + NEXT] },
  { name: '415, a length and whole', want: 415, then: 'either',
    send: req('POST /v1/chat/completions HTTP/1.1', 'Host: a', 'Content-Type: text/plain', `Content-Length: ${NEXT.length}`) + NEXT },
  { name: '415, chunked', want: 415,
    send: [req('POST /v1/chat/completions HTTP/1.1', 'Host: a', 'Content-Type: text/plain', 'Transfer-Encoding: chunked') + chunk(BODY), 50, '0\r\n\r\n' + NEXT] },
  { name: '417', want: 417, send: [head(`Content-Length: ${NEXT.length}`, 'Expect: x'), 50, NEXT] },
  { name: 'a GET with a body', want: '200|400', then: 'either', send: req('GET /livez HTTP/1.1', 'Host: a', `Content-Length: ${NEXT.length}`) + NEXT },
  { name: 'a GET with a chunked body', want: '200|400', then: 'either',
    send: req('GET /livez HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked') + chunk(NEXT) + '0\r\n\r\n' },
  { name: 'a HEAD with a body', want: 'HEAD 200|400', then: 'either', send: req('HEAD /livez HTTP/1.1', 'Host: a', `Content-Length: ${NEXT.length}`) + NEXT },
  { name: 'a body that is a request', want: 400, then: 'open', send: head(`Content-Length: ${NEXT.length}`) + NEXT },
]);

describe('floods inside a chunked body are counted over the whole message', () => {
  const start = head('Transfer-Encoding: chunked');
  const floods = {
    'one endless extension': [start, `${H};a=`, ...Array(64).fill('x'.repeat(65536))],
    'a small extension on each of 20,000 chunks': [start, ...Array(20).fill(`1;${'x'.repeat(100)}\r\n \r\n`.repeat(1000)), CHUNKED],
    'a size of endless zeros': [start, ...Array(64).fill('0'.repeat(65536))],
    '10,000 trailers': [start, chunk(BODY), '0\r\n', ...Array(10).fill('X-Trailer: y\r\n'.repeat(1000)), '\r\n'],
    'one endless trailer': [start, chunk(BODY), '0\r\nX: ', ...Array(64).fill('y'.repeat(65536))],
  };
  for (const [name, send] of Object.entries(floods))
    test(name, async () => {
      const c = await connect(server.port);
      const sent = c.send(send);
      const r = await c.response();
      assert.ok([400, 413, 431].includes(r.status), `status ${r.status}`);
      checkRefusal(r);
      await sent;
      await staysClosed(c);
      await server.alive();
    });
});

test('a smuggled request does not show up in the next answer of another connection', async () => {
  const other = await connect(server.port);
  await runCase(server, { send: head('Content-Length: 6', 'Transfer-Encoding: chunked') + '0\r\n\r\nG' + NEXT, want: 400, then: 'close' });
  await other.send(req('GET /v1/models/echo HTTP/1.1', 'Host: a'));
  assert.equal((await other.response()).json.id, 'echo');
  other.destroy();
});

// Good requests with a few bytes changed, left out or doubled. Whatever comes
// back must be well-formed, and the server must live.
describe('noise', () => {
  const whole = Buffer.concat([head('X-A: b', 'Transfer-Encoding: chunked'), chunk(BODY, ';a=b'), '0\r\nX-T: y\r\n\r\n',
    head(`Content-Length: ${N}`) + BODY, NEXT].map(bytes));
  const spice = bytes('\r\n\0 \t:;,0123456789abcdefxX"\x7f\x80\xff%/?#[]@{}');

  // A small generator, so that a run can be repeated.
  const random = (seed) => () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
  const spoil = (dice) => {
    const b = [...whole];
    for (let n = 1 + Math.floor(dice() * 4); n > 0; n--) {
      const at = Math.floor(dice() * b.length);
      const how = dice();
      const byte = spice[Math.floor(dice() * spice.length)];
      if (how < 0.4) b[at] = byte;
      else if (how < 0.6) b.splice(at, 1);
      else if (how < 0.8) b.splice(at, 0, byte);
      else b.splice(at, 0, ...b.slice(at, at + Math.floor(dice() * 40)));
    }
    return Buffer.from(b);
  };

  const first = Number(process.env.RUNNEL_NOISE_SEED ?? 1);
  const rounds = Number(process.env.RUNNEL_NOISE_ROUNDS ?? 600);
  test(`${rounds} requests from seed ${first}`, async () => {
    const one = async (seed) => {
      const c = await connect(server.port);
      try {
        const sent = spoil(random(seed));
        await c.send(sent);
        c.halfClose();
        await c.until(() => c.closed, 'the end');
        let answers = 0;
        for (; c.rest.length; answers++) await c.response();
        assert.ok(answers <= 4, `${answers} answers`);
      } catch (e) {
        throw new Error(`seed ${seed}: ${e.message}`);
      } finally {
        c.destroy();
      }
    };
    for (let i = 0; i < rounds; i += 20) await Promise.all(Array.from({ length: 20 }, (_, k) => one(first + i + k)));
    await server.alive();
  });
});
