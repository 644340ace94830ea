// For load: many streams of chat.completion.chunk events of about 320 bytes, from buffers made once.
//   node fast.mjs --port N --tokens K --pace MS [--size 320] [--first MS] [--tls [cert]] [--host H]
// --pace 0 (the default) sends a whole answer at once. GET /stats counts. The first line out is JSON: port, caFile.
import net from 'node:net';
import tls from 'node:tls';
import { parseArgs } from 'node:util';
import { certs } from './lib/certs.mjs';

const { values: v } = parseArgs({ strict: false, options: Object.fromEntries(
  ['port', 'tokens', 'pace', 'size', 'first', 'host', 'tls'].map((k) => [k, { type: 'string' }])) });
const [port, count, pace, size, first] = [[v.port, 0], [v.tokens, 100], [v.pace, 0], [v.size, 320], [v.first, 0]].map(([x, d]) => Number(x ?? d));

const chunk = (choices, more = {}) => ({
  id: 'chatcmpl-fast00000000000000000000', object: 'chat.completion.chunk', created: 1_700_000_000, model: 'fast', system_fingerprint: 'fp_fast', choices, ...more,
});
const choice = (delta, finish_reason = null) => [{ index: 0, delta, logprobs: null, finish_reason }];
const event = (x, pad = 0) => {
  const bare = `data: ${JSON.stringify(x)}\n\n`;
  const fill = pad - bare.length - ',"obfuscation":""'.length;
  return fill > 0 ? `data: ${JSON.stringify({ ...x, obfuscation: 'x'.repeat(fill) })}\n\n` : bare;
};
const coded = (text) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const word = (i) => ` w${String(i).padStart(4, '0')}`;
const usage = { prompt_tokens: 10, completion_tokens: count, total_tokens: count + 10 };
const HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n';
const START = Buffer.from(HEAD + coded(event(chunk(choice({ role: 'assistant', content: '' })), size)));
const TOKENS = Array.from({ length: count }, (_, i) => Buffer.from(coded(event(chunk(choice({ content: word(i) })), size))));
const STOP = coded(event(chunk(choice({}, 'stop'))));
const DONE = coded('data: [DONE]\n\n') + '0\r\n\r\n';
const END = [Buffer.from(STOP + DONE), Buffer.from(STOP + coded(event(chunk([], { usage }))) + DONE)]; // with usage or without
const WHOLE = END.map((e) => Buffer.concat([START, ...TOKENS, e]));
const text = TOKENS.map((_, i) => word(i)).join('');
const plain = (body, status = '200 OK') => Buffer.from(`HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
const NOT_STREAMED = plain(JSON.stringify({ ...chunk([{ index: 0, message: { role: 'assistant', content: text, refusal: null }, logprobs: null, finish_reason: 'stop' }], { usage }), object: 'chat.completion' }));
const NOT_FOUND = plain('{"error":{"message":"not found","type":"invalid_request_error","param":null,"code":null}}', '404 Not Found');

const stats = { connections: 0, open: 0, handshakes: 0, resumed: 0, requests: 0, streams: 0, finished: 0, aborted: 0, slow: 0 };

// Paced streams stand in the slots of a wheel that turns once per pace; one timer moves them all.
const SLOTS = Math.max(1, Math.min(50, pace));
const wheel = Array.from({ length: SLOTS }, () => new Set());
let slot = 0;
let turned = performance.now();
function turn() {
  for (const now = performance.now(), step = pace / SLOTS; turned + step <= now; turned += step) {
    slot = (slot + 1) % SLOTS;
    for (const s of wheel[slot]) {
      if (s.wait-- > 0) continue;
      if (s.sock.writableLength > 1 << 20) stats.slow++; // the client does not read: this token is not sent now
      else if (s.at < count) s.sock.write(TOKENS[s.at++]);
      else finish(s, END[s.usage]);
    }
  }
}
if (pace) setInterval(turn, Math.max(1, pace / SLOTS));
function finish(s, last) {
  wheel[s.slot].delete(s);
  s.sock.stream = null;
  if (last) s.sock.write(last);
  stats[last ? 'finished' : 'aborted']++;
  if (last) take(s.sock);
}

function answer(sock, head, body) {
  stats.requests++;
  if (head.startsWith('GET /stats ')) return sock.write(plain(JSON.stringify(stats)));
  if (!/^POST \S*\/chat\/completions /.test(head)) return sock.write(NOT_FOUND);
  const find = (re) => re.test(body);
  if (!find(/"stream"\s*:\s*true/)) return sock.write(NOT_STREAMED);
  const usageAsked = Number(find(/"include_usage"\s*:\s*true/));
  stats.streams++;
  if (!pace) {
    stats.finished++;
    return sock.write(WHOLE[usageAsked]);
  }
  sock.write(START);
  const s = { sock, at: 0, usage: usageAsked, wait: Math.floor(first / pace), slot };
  sock.stream = s;
  wheel[slot].add(s);
}

function take(sock) { // every whole request that has come in; one answer at a time
  while (!sock.stream && sock.got.length) {
    const end = sock.got.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = sock.got.toString('latin1', 0, end);
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    if (sock.got.length < end + 4 + length) return;
    const body = sock.got.toString('latin1', end + 4, end + 4 + length);
    sock.got = sock.got.subarray(end + 4 + length);
    answer(sock, head, body);
  }
}

function serve(sock) {
  stats.connections++;
  stats.open++;
  sock.setNoDelay(true);
  sock.got = Buffer.alloc(0);
  sock.on('data', (d) => {
    sock.got = sock.got.length ? Buffer.concat([sock.got, d]) : d;
    take(sock);
  });
  sock.on('error', () => {});
  sock.on('close', () => {
    stats.open--;
    if (sock.stream) finish(sock.stream, null);
  });
}

const secure = v.tls !== undefined;
const server = secure
  ? tls.createServer({ ...certs().get(typeof v.tls === 'string' && v.tls ? v.tls : 'good'), ALPNProtocols: ['http/1.1'] }, (sock) => {
      stats.handshakes++;
      if (sock.isSessionReused()) stats.resumed++;
      serve(sock);
    }).on('tlsClientError', () => {})
  : net.createServer(serve);
server.listen({ port, host: v.host ?? '127.0.0.1', backlog: 8192 }, () =>
  console.log(JSON.stringify({ port: server.address().port, caFile: secure ? certs().caFile : null, event: TOKENS[0]?.length })));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
