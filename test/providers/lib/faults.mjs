// The misbehaviours below SSE and JSON: what can be wrong with a head, a body's framing and its end.
import { randomBytes } from 'node:crypto';

const STATUS = {
  100: 'Continue', 101: 'Switching Protocols', 102: 'Processing', 103: 'Early Hints', 200: 'OK', 302: 'Found', 307: 'Temporary Redirect',
  400: 'Bad Request', 401: 'Unauthorized', 402: 'Payment Required', 403: 'Forbidden', 404: 'Not Found',
  408: 'Request Timeout', 413: 'Payload Too Large', 422: 'Unprocessable Entity', 426: 'Upgrade Required', 429: 'Too Many Requests',
  500: 'Internal Server Error', 502: 'Bad Gateway', 503: 'Service Unavailable', 504: 'Gateway Timeout', 529: 'Overloaded',
};
const line = (status) => `HTTP/1.1 ${status} ${STATUS[status] ?? 'Unknown'}`;
export const head = (status, headers) => [
  line(status),
  ...Object.entries(headers).flatMap(([k, v]) => [v].flat().map((one) => `${k}: ${one}`)),
];
const text = (lines) => lines.join('\r\n') + '\r\n\r\n';
const without = (lines, ...names) => lines.filter((l) => !names.includes(l.split(':')[0]));
const other = (lines, ...more) => text([...without(lines, 'content-length', 'transfer-encoding'), ...more]);

// faults.head: the head's lines -> the bytes really sent.
export const HEADS = {
  good: text,
  garbage: () => 'SSH-2.0-OpenSSH_9.6\r\nthis is not HTTP at all\r\n\r\n',
  binary: () => randomBytes(512),
  none: () => '', // HTTP/0.9: the body at once
  'status-99': ([, ...rest]) => text(['HTTP/1.1 99 Odd', ...rest]),
  'status-1000': ([, ...rest]) => text(['HTTP/1.1 1000 Odd', ...rest]),
  'no-status': ([, ...rest]) => text(['HTTP/1.1', ...rest]),
  'http-1.0': ([first, ...rest]) => text([first.replace('1.1', '1.0'), ...rest]),
  'http-2': ([first, ...rest]) => text([first.replace('1.1', '2.0'), ...rest]),
  'huge-field': (lines) => text([...lines, 'x-huge: ' + 'h'.repeat(1 << 20)]),
  'many-fields': (lines) => text([...lines, ...Array.from({ length: 10000 }, (_, i) => `x-${i}: ${i}`)]),
  nul: (lines) => text([...lines, 'x-nul: a\0b']),
  'no-colon': (lines) => text([...lines, 'this line has no colon']),
  'space-colon': (lines) => text([...lines, 'x-space : 1']),
  fold: (lines) => text([...lines, 'x-fold: a', ' b']),
  'bare-lf': (lines) => lines.join('\n') + '\n\n',
  'two-lengths': (lines) => other(lines, 'content-length: 5', 'content-length: 6'),
  'length-and-chunked': (lines) => other(lines, 'content-length: 5', 'transfer-encoding: chunked'),
  'negative-length': (lines) => other(lines, 'content-length: -1'),
  'length-overflow': (lines) => other(lines, 'content-length: 184467440737095516160'),
  'chunked-tab': (lines) => other(lines, 'transfer-encoding: chunked\t'),
  'unknown-coding': (lines) => other(lines, 'transfer-encoding: br, chunked'),
  'chunked-twice': (lines) => other(lines, 'transfer-encoding: chunked, chunked'),
};

// faults.framing: the header, how one piece goes out ([before, after]) and what closes the body.
const size = (b) => b.length.toString(16);
const chunked = { chunked: true, piece: (b) => [`${size(b)}\r\n`, '\r\n'], end: '0\r\n\r\n' };
const second = (bad) => ({ ...chunked, piece: (b, i) => [`${i === 1 ? bad : size(b)}\r\n`, '\r\n'] });
const plain = { piece: () => ['', ''], end: '' };
export const FRAMINGS = {
  chunked,
  'chunk-extensions': { ...chunked, piece: (b) => [`000${size(b)};a=b;c="d"\r\n`, '\r\n'] },
  trailers: { ...chunked, end: '0\r\nx-trailer: 1\r\n\r\n' },
  'bad-chunk-size': second('zz'),
  'empty-chunk-size': second(''),
  'negative-chunk-size': second('-5'),
  'chunk-overflow': second('fffffffffffffffff'),
  'chunk-too-short': { ...chunked, piece: (b) => [`${Math.max(1, b.length - 3).toString(16)}\r\n`, '\r\n'] },
  'chunk-bare-lf': { ...chunked, piece: (b) => [`${size(b)}\n`, '\n'] },
  'no-last-chunk': { ...chunked, end: '', closes: true },
  length: { ...plain, length: 0 },
  'length-short': { ...plain, length: -10 }, // ten bytes more come than were promised
  'length-long': { ...plain, length: 10, closes: true }, // ten bytes less
  close: { ...plain, closes: true, header: 'close' },
};

// faults.before: what goes ahead of the real head.
export const interim = (status) => `${line(status)}\r\n${Number(status) === 103 ? 'link: </x>; rel=preload\r\n' : ''}\r\n`;

// faults.after: what follows the last byte of a complete answer; any other text goes out as it is.
export const EXTRAS = {
  bytes: 'EXTRA BYTES NOBODY ASKED FOR',
  crlf: '\r\n\r\n',
  response: 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{"leaked":true}',
};

// faults.then: how a connection ends, or does not. `stall` with faults.ms goes on after that time.
export const ENDS = ['reset', 'fin', 'bare-fin', 'stall'];

const KNOWN = ['head', 'framing', 'before', 'after', 'at', 'then', 'ms', 'split', 'cuts', 'every', 'chunk', 'join',
  'wire', 'close', 'idle', 'ws'];
export function check(faults) {
  for (const k of Object.keys(faults)) if (!KNOWN.includes(k)) throw new Error(`unknown fault ${k}`);
  if (faults.head && !HEADS[faults.head]) throw new Error(`no head called ${faults.head}: ${Object.keys(HEADS)}`);
  if (faults.framing && !FRAMINGS[faults.framing]) throw new Error(`no framing called ${faults.framing}`);
  if (faults.then && !ENDS.includes(faults.then)) throw new Error(`then is one of ${ENDS}`);
  return faults;
}
