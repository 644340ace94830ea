// Everything a provider can do wrong, one row each, and what must come of it.
//
// A cell of the matrix is one row in one column (lib/kinds.mjs). What must come is
//   ok                  the whole text and [DONE]
//   [before, ...codes]  an honest error of one of these codes before the first word: a true
//                       status, and the next target answers in its place (unless it is the
//                       question that was refused)
//   [after, ...codes]   the beginning of the text and then such an error: nobody else answers
//   null                there is no such thing in this column
// `or` names a second thing that may come. Where the provider does better when it is asked
// again (`times`), the next target is still asked before.
import { ms } from './raw.mjs';

export const TEXT = Array.from({ length: 10 }, (_, i) => `${i} 你好 wide 👩‍👩‍👧; `).join('');
const BRIEF = '你好 👩‍👩‍👧 done';
export const OTHER = 'the other one answers 😀';
export const COLUMNS = ['openai', 'dashscope app', 'spark', 'anthropic', 'ollama'];
// A fault of the question, which another target would find as well.
export const FINAL = ['not_accepted', 'filtered'];

export const ok = 'ok';
const before = (...codes) => ['before', ...codes];
const after = (...codes) => ['after', ...codes];
const either = (...codes) => ['either', ...codes];   // before or after, as the pieces fall

const MID = 1500;                                    // a byte in the middle of every answer
const silent = { first_timeout: 600, tls_timeout: 600 };
const quiet = { idle_timeout: 600 };
const patient = { patient: true, settings: { first_timeout: 30000, idle_timeout: 30000, tls_timeout: 30000 } }; // thousands of writes
const http = { spark: null };                        // what only HTTP can do wrong
const only = (column, want) => ({ ...Object.fromEntries(COLUMNS.map((c) => [c, null])), [column]: want });
const spark = (name, want, faults, more = {}) => ({ name: `ws: ${name}`, want: null, by: only('spark', want), faults, ...more });

// Bytes that stand between two pieces of an answer.
const event = (bytes, type = 'message') => ({
  openai: { ...bytes, before: `data: ${bytes.before}`, after: `${bytes.after}\n\n` },
  'dashscope app': { ...bytes, before: `id:9\nevent:result\n:HTTP_STATUS/200\ndata:${bytes.before}`, after: `${bytes.after}\n\n` },
  anthropic: { ...bytes, before: `event: content_block_delta\ndata: ${bytes.before}`, after: `${bytes.after}\n\n` },
  ollama: { ...bytes, after: `${bytes.after}\n` },
});
const inserted = (bytes) => Object.fromEntries(Object.entries(event(bytes)).map(([column, b]) => [column, { insert: [[9, b]] }]));
// A character that is none, where the text of an event is.
const hexed = (b) => ({ hex: Buffer.from(b, 'latin1').toString('hex') });
const broken = {
  openai: { insert: [[9, hexed('data: {"choices":[{"index":0,"delta":{"content":"\xff\xfe"}}]}\n\n')]] },
  'dashscope app': { insert: [[9, hexed('id:9\nevent:result\n:HTTP_STATUS/200\ndata:{"output":{"text":"\xff\xfe","finish_reason":"null"}}\n\n')]] },
  anthropic: { insert: [[9, hexed('event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\xff\xfe"}}\n\n')]] },
  ollama: { insert: [[9, hexed('{"message":{"role":"assistant","content":"\xff\xfe"},"done":false}\n')]] },
};

const refused = (status, codes, more = {}) => ({ name: `${status}`, answer: { status }, want: before(...codes), status: 502, ...more });
const certificate = (cert, words) => ({ name: `certificate: ${cert}`, fake: { tls: cert }, want: before('unreachable'), status: 502, words, unasked: true });

export const ROWS = [
  // ---- as it should be ----
  { name: 'nothing wrong', want: ok },
  { name: 'nothing wrong, TLS', fake: { tls: true }, want: ok },
  { name: 'all at once', faults: { join: true }, want: ok, by: http },
  { name: 'a slow drip', answer: { gap: 80 }, settings: { idle_timeout: 3000 }, want: ok },
  { name: '100 and 103 first', faults: { before: [100, 103] }, want: ok, by: http },
  { name: 'until it closes', faults: { framing: 'close' }, want: ok, by: http },
  { name: 'JSON, not a stream', answer: { json: true }, want: ok, by: http },
  { name: 'closes, promised not to', faults: { close: 'now' }, want: ok, by: http, again: true },
  { name: 'a response too many', faults: { after: 'response' }, want: ok, by: http, again: true },
  { name: 'bytes too many', faults: { after: 'bytes' }, want: ok, by: http, again: true },
  { name: 'half an emoji', answer: { tokens: ['a 你', '\ud83d', ' b', ' c'] }, text: 'a 你\ufffd b c', want: ok },

  // ---- nobody there ----
  { name: 'port closed', closed: true, want: before('unreachable'), status: 502 },
  { name: 'closes at once', fake: { faults: { at: 'accept', then: 'fin' } }, want: before('cut', 'unreachable'), status: 502 },
  { name: 'resets at once', fake: { faults: { at: 'accept', then: 'reset' } }, want: before('cut', 'unreachable'), status: 502 },
  { name: 'never reads', fake: { faults: { at: 'accept', then: 'stall' } }, settings: silent, want: before('no_first_token'),
    by: { spark: before('no_first_token', 'unreachable') } },

  // ---- cut off ----
  ...['reset', 'fin'].flatMap((then) => [
    { name: `${then} before the head`, faults: { at: 'head', then }, want: before('cut'), status: 502, by: { spark: before('cut', 'unreachable') } },
    { name: `${then} at byte 10`, faults: { at: 10, then }, want: before('cut'), status: 502 },
    { name: `${then} in the middle`, faults: { at: MID, then }, want: after('cut') },
    { name: `${then} in the middle, TLS`, fake: { tls: true }, faults: { at: MID, then }, want: after('cut') },
  ]),
  { name: 'no close_notify', fake: { tls: true }, faults: { at: MID, then: 'bare-fin' }, want: after('cut') },
  { name: 'no end marker', answer: { end: false, finish: null }, want: after('cut') },
  { name: 'no end marker, then closes', answer: { end: false, finish: null }, faults: { framing: 'close' }, want: after('cut'), by: http },
  { name: 'a reason, no end marker', answer: { end: false }, want: ok, by: { spark: null, ollama: null, 'dashscope app': null } },

  // ---- silence ----
  { name: 'stall before the head', faults: { at: 'head', then: 'stall' }, settings: silent, want: before('no_first_token'), status: 504,
    by: { spark: before('no_first_token', 'unreachable') } },
  { name: 'stall before the first word', faults: { at: 0, then: 'stall' }, settings: silent, want: before('no_first_token'), status: 504 },
  { name: 'stall in the middle', faults: { at: MID, then: 'stall' }, settings: quiet, want: after('went_quiet') },
  { name: 'stall in the middle, TLS', fake: { tls: true }, faults: { at: MID, then: 'stall' }, settings: quiet, want: after('went_quiet') },
  { name: 'stall in the TLS handshake', fake: { tls: { wire: { stop: 500 } } }, settings: silent, want: before('unreachable', 'no_first_token') },

  // ---- not HTTP ----
  ...['garbage', 'binary', 'status-99', 'no-status', 'huge-field', 'many-fields', 'nul', 'two-lengths', 'length-and-chunked',
    'negative-length', 'length-overflow', 'unknown-coding',
  ].map((head) => ({ name: `head: ${head}`, faults: { head }, want: before('garbage', 'cut'), status: 502, by: http })),
  ...['bad-chunk-size', 'negative-chunk-size', 'chunk-overflow',
  ].map((framing) => ({ name: framing, faults: { framing }, want: either('garbage'), by: http })),
  { name: 'no last chunk', faults: { framing: 'no-last-chunk' }, want: ok, by: http },
  { name: 'ten bytes too few', faults: { framing: 'length-long' }, want: ok, or: after('cut'), by: http },
  { name: 'ten bytes too many', faults: { framing: 'length-short' }, want: ok, or: after('cut', 'garbage'), by: http },

  // ---- refused ----
  refused(400, ['not_accepted'], { status: 400, by: { spark: before('not_accepted', 'service_failed') } }),
  refused(401, ['service_denied']), refused(403, ['service_denied']), refused(404, ['service_failed']),
  refused(429, ['service_busy'], { status: 429, answer: { status: 429, headers: { 'retry-after': '7' } }, retryAfter: '7' }),
  refused(500, ['service_failed']), refused(529, ['service_failed', 'service_busy'], { status: null }),
  refused(302, ['service_failed'], { trap: true }), refused(307, ['service_failed'], { trap: true, by: http }),
  { name: '503 twice, then well', answer: { status: 503 }, times: 2, settings: { retries: 2 }, want: ok, asked: 3 },
  { name: '503 always', answer: { status: 503 }, settings: { retries: 1 }, want: before('service_failed'), status: 502, asked: 2 },
  { name: 'reset once, then well', faults: { at: 0, then: 'reset' }, times: 1, settings: { retries: 1 }, want: ok, asked: 2 },
  { name: '401 is not asked again', answer: { status: 401 }, settings: { retries: 2 }, want: before('service_denied'), asked: 1 },

  // ---- an answer that is none ----
  { name: 'an error in 200', answer: { error200: true }, want: before('service_failed', 'not_accepted', 'service_busy'), by: http },
  { name: 'an error comes first', answer: { errorAfter: 0, error: { status: 500 } }, want: before('service_failed', 'service_busy') },
  { name: 'an error after five pieces', answer: { errorAfter: 5, error: { status: 500 } }, want: after('service_failed', 'service_busy') },
  { name: 'not JSON', answers: inserted({ big: 3, before: '{oops', after: '' }), want: after('garbage'), by: http },
  { name: 'an event of 10 MB', answers: inserted({ big: 10 << 20, before: '{"x":"', after: '"}' }), want: after('garbage'), by: http },
  { name: 'not UTF-8', answers: broken, want: after('garbage'), by: http },
  { name: 'nothing at all', answer: { raw: '' }, want: before('cut', 'garbage'), status: 502, by: http },
  { name: 'a web page', answer: { raw: '<html><body>Welcome</body></html>', type: 'text/html' }, want: before('garbage', 'cut'), status: 502, by: http },

  // ---- certificates ----
  { name: 'certificate: chained', fake: { tls: 'chained' }, want: ok },
  certificate('expired', /expired|validity/i), certificate('future', /future|valid/i), certificate('wrong-name', /name|match/i),
  certificate('wrong-ca', /trust|signed|CA/), certificate('self-signed', /trust|signed|CA/),
  certificate('missing-intermediate', /trust|signed|CA/), certificate('rsa1024', /key|weak|bits|secure/i), certificate('sha1', /hash|algorithm|SHA|secure|signed/i),
  { name: 'TLS 1.1', fake: { tls: { version: '1.1' } }, want: before('unreachable'), status: 502, unasked: true },

  // ---- WebSocket ----
  spark('fragments of 7 bytes', ok, { ws: { fragment: 7 } }),
  spark('pings everywhere', ok, { ws: { ping: 1, hello: true } }, { pongs: true }),
  spark('numbers as text', ok, {}, { answer: { strings: true } }),
  spark('three pieces in a frame', ok, {}, { answer: { group: 3 } }),
  spark('a flood of pings', ok, { ws: { bad: 'ping-flood', badAt: 6 } }, { or: after('garbage', 'cut') }),
  ...['normal', 'empty', 'none', 'reset', 'wait', 'stall'].map((close) => spark(`close: ${close}`, ok, { ws: { close } })),
  spark('close 1011 behind the answer', ok, { ws: { close: { code: 1011, reason: 'oops' } } }),
  spark('no status 2', after('cut'), {}, { answer: { finish: null } }),
  spark('no last frame, no close', after('cut'), { ws: { close: 'none' } }, { answer: { end: false } }),
  spark('no last frame, reset', after('cut'), { ws: { close: 'reset' } }, { answer: { end: false } }),
  spark('no last frame, close 1011', after('cut'), { ws: { close: { code: 1011, reason: 'oops' } } }, { answer: { end: false } }),
  spark('no last frame, stall', after('went_quiet'), { ws: { close: 'stall' } }, { answer: { end: false }, settings: quiet }),
  spark('a wrong accept', before('garbage', 'unreachable', 'service_failed'), { ws: { accept: 'd3Jvbmcgd3Jvbmcgd3Jvbmch' } }, { status: 502 }),
  spark('an extension nobody offered', before('garbage', 'unreachable', 'service_failed'), {},
    { answer: { headers: { 'sec-websocket-extensions': 'permessage-deflate' } }, status: 502 }),
  ...['masked', 'rsv', 'unknown-opcode', 'bad-utf8', 'not-json', 'continuation-first', 'text-in-text', 'huge-length', 'length-overflow',
    'long-control', 'cut-control', 'fragment-flood', 'close-1-byte', 'close-1005', 'close-bad-utf8',
  ].map((bad) => spark(bad, after('garbage', ...(/close|flood/.test(bad) ? ['cut'] : [])), { ws: { bad, badAt: 6 } })),
  spark('a binary frame', after('garbage'), { ws: { bad: 'binary', badAt: 6 } }, { or: ok }),
  ...[[10013, 'filtered', 400], [10907, 'not_accepted', 400], [11200, 'service_denied', 502], [11202, 'service_busy', 429], [10008, 'service_failed', 502],
  ].map(([code, fault, status]) => spark(`code ${code}`, before(fault), {}, { answer: { code }, status })),
  spark('code 10014 after five pieces', after('filtered'), {}, { answer: { code: 10014, errorAfter: 5 } }),

  // ---- as it should be, when there is time for it ----
  { name: 'every byte alone', answer: { text: BRIEF }, text: BRIEF, faults: { split: 1 }, ...patient, want: ok },
  { name: 'every byte alone below TLS', answer: { text: BRIEF }, text: BRIEF, fake: { tls: true }, faults: { wire: { split: 1 } }, ...patient, want: ok },
  { name: 'TLS handshake byte by byte', fake: { tls: { wire: { split: 1 } } }, faults: { wire: {} }, ...patient, want: ok },
  { name: 'chunks of one byte', faults: { chunk: 1 }, ...patient, want: ok, by: http },
].map((row) => ({ ...row, settings: Object.fromEntries(Object.entries(row.settings ?? {}).map(([k, v]) => [k, /timeout/.test(k) ? `${ms(v)}ms` : v])) }));

export const wanted = (row, column) => (row.by && column in row.by ? row.by[column] : row.want);
