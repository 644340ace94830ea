// iFlytek Spark over WebSocket. Its HTTP way is the openai kind, dialect spark-http.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { checker, fill, hex, json, lastUser, onlyKeys } from './lib/answer.mjs';
import { head } from './lib/faults.mjs';
import { acceptOf, Bad, BAD_FRAMES, closing, frame, message, OP, read } from './lib/ws.mjs';

const PRODUCTS = { // path: domains, the most max_tokens, what else it knows
  '/v1.1/chat': { domains: ['lite', 'general'], max: 4096 },
  '/v2.1/chat': { domains: ['generalv2'], max: 4096 },
  '/v3.1/chat': { domains: ['generalv3'], max: 8192 },
  '/chat/pro-128k': { domains: ['pro-128k'], max: 4096 },
  '/v3.5/chat': { domains: ['generalv3.5'], max: 8192, functions: true },
  '/chat/max-32k': { domains: ['max-32k'], max: 8192, functions: true },
  '/v4.0/chat': { domains: ['4.0Ultra'], max: 8192, functions: true },
  '/v1/x1': { domains: ['spark-x', 'x1'], max: 65536, x1: true },
  '/x2': { domains: ['spark-x'], max: 65536, x1: true },
};

export const CODES = {
  10000: 'upgrade failed', 10001: 'websocket read failed', 10002: 'websocket write failed', 10003: 'message format is wrong',
  10004: 'schema is wrong', 10005: 'parameter value is wrong', 10006: 'the same user is connected already',
  10007: 'the last answer to this user is still running', 10008: 'capacity is used up', 10009: 'engine link failed',
  10010: 'engine receive failed', 10011: 'engine send failed', 10012: 'engine internal error', 10013: 'input is not allowed',
  10014: 'output is not allowed', 10015: 'app is on the black list', 10016: 'app has no licence or version', 10017: 'clearing the history failed',
  10019: 'content tends to violate the rules', 10021: 'input audit failed', 10110: 'busy', 10163: 'engine parameters are wrong',
  10222: 'engine network failed', 10404: 'domain and address do not match', 10907: 'too many tokens',
  11200: 'AppIdNoAuthError:(not authorised, or the volume is used up)', 11201: 'AppIdDailyLimitError', 11202: 'AppIdSecondLimitError', 11203: 'AppIdConcurrencyError',
};

const AUTH = /^api_key="([^"]*)", algorithm="hmac-sha256", headers="host date request-line", signature="([^"]*)"$/;
const NO_DATE = 'HMAC signature cannot be verified, a valid date or x-date header is required for HMAC Authentication';

export const signature = (secret, host, date, path) =>
  createHmac('sha256', secret).update(`host: ${host}\ndate: ${date}\nGET ${path} HTTP/1.1`).digest('base64');

// Why a handshake is refused, or null: [status, message].
function refusal({ path, query, search, headers, problems, method }, o) {
  const want = checker(problems);
  if (!PRODUCTS[path]) return [404, 'Not Found'];
  want(method === 'GET', `method ${method}`);
  if (!query.authorization) return [401, 'Unauthorized'];
  want(search.split('&').map((p) => p.split('=')[0]).join() === 'authorization,date,host', 'query is not authorization, date, host');
  const date = query.date ?? '';
  const at = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT$/.test(date) ? Date.parse(date) : NaN;
  if (Number.isNaN(at) || new Date(at).toUTCString() !== date) return [403, NO_DATE];
  if (Math.abs(at - (o.now ?? Date.now())) > 300_000) return [403, NO_DATE];
  const plain = Buffer.from(query.authorization, 'base64');
  want(plain.toString('base64') === query.authorization, 'authorization is not canonical base64');
  const [, key, given] = AUTH.exec(plain.toString('latin1')) ?? [];
  if (!given) return [401, 'HMAC signature does not match'];
  if (key !== (o.apiKey ?? 'key')) return [401, 'HMAC signature cannot be verified: fail to retrieve credential'];
  const right = signature(o.apiSecret ?? 'secret', headers.host, date, path);
  const same = given.length === right.length && timingSafeEqual(Buffer.from(given), Buffer.from(right));
  if (!same || query.host !== headers.host) return [401, 'HMAC signature does not match'];
  if (headers['sec-websocket-version'] !== '13') return [426, 'Upgrade Required'];
  if (Buffer.from(headers['sec-websocket-key'] ?? '', 'base64').length !== 16) return [400, 'Bad Request'];
  want(headers.upgrade.toLowerCase() === 'websocket', 'Upgrade');
  want(/(^|,)\s*upgrade\s*(,|$)/i.test(headers.connection ?? ''), 'Connection');
  for (const h of ['origin', 'sec-websocket-extensions', 'sec-websocket-protocol']) want(!(h in headers), `${h} was sent`);
  return null;
}

// What is wrong with the request frame: [code, text], or null.
function wrong(body, path, o) {
  const product = PRODUCTS[path];
  const shape = [];
  const value = [];
  const want = checker(shape);
  const range = checker(value);
  const number = (x, low, high) => x === undefined || (typeof x === 'number' && x >= low && x <= high);
  const { header = {}, parameter = {}, payload = {} } = body ?? {};
  onlyKeys(want, body, ['header', 'parameter', 'payload'], 'frame');
  onlyKeys(want, header, ['app_id', 'uid', 'patch_id'], 'header');
  want(typeof header.app_id === 'string', 'header.app_id');
  want(header.uid === undefined || (typeof header.uid === 'string' && header.uid.length > 0 && header.uid.length <= 32), 'header.uid has 1 to 32 characters');
  want(header.patch_id === undefined || (Array.isArray(header.patch_id) && header.patch_id.every((x) => typeof x === 'string')), 'header.patch_id');
  onlyKeys(want, parameter, ['chat'], 'parameter');
  const chat = parameter.chat ?? {};
  const x1 = ['thinking', 'top_p', 'presence_penalty', 'frequency_penalty'];
  onlyKeys(want, chat, ['domain', 'temperature', 'max_tokens', 'top_k', 'auditing', 'chat_id', 'tools', 'random_threshold', ...(product.x1 ? x1 : [])], 'parameter.chat');
  want(typeof chat.domain === 'string', 'parameter.chat.domain');
  range(number(chat.temperature, Number.MIN_VALUE, 1), 'temperature is in (0,1]');
  range(number(chat.max_tokens, 1, product.max) && Number.isInteger(chat.max_tokens ?? 1), `max_tokens is 1 to ${product.max}`);
  range(number(chat.top_k, 1, 6) && Number.isInteger(chat.top_k ?? 1), 'top_k is 1 to 6');
  range(chat.thinking === undefined || ['enabled', 'disabled', 'auto'].includes(chat.thinking?.type), 'thinking.type');
  onlyKeys(want, payload, ['message', ...(product.functions ? ['functions'] : [])], 'payload');
  onlyKeys(want, payload.message, ['text'], 'payload.message');
  const text = payload.message?.text;
  if (want(Array.isArray(text) && text.length > 0, 'payload.message.text')) {
    let before = 'assistant';
    for (const [i, m] of text.entries()) {
      onlyKeys(want, m, ['role', 'content'], `text[${i}]`);
      want(typeof m.content === 'string' && m.content !== '', `text[${i}].content`);
      if (m.role === 'system') want(i === 0, 'system is only the first message');
      else {
        want(['user', 'assistant'].includes(m.role) && m.role !== before, `text[${i}].role ${m.role}: user and assistant take turns`);
        before = m.role;
      }
    }
    want(text.at(-1).role === 'user', 'the last message is the user\'s');
  }
  const functions = payload.functions?.text;
  if (payload.functions) want(Array.isArray(functions) && functions.every((f) => f.name && f.parameters && !f.function), 'payload.functions.text');
  if (shape.length) return [10004, shape.join('; ')];
  if (value.length) return [10005, value.join('; ')];
  if (header.app_id !== (o.appId ?? 'appid001')) return [11200, CODES[11200]];
  if (!product.domains.includes(chat.domain) && !header.patch_id) return [10404, CODES[10404]];
  return null;
}

const envelope = (sid, code, text, status) => ({ header: { code, message: text, sid, ...(status !== undefined && { status }) } });

// The frames of an answer. code: an error frame instead, after `errorAfter` pieces.
function* frames(a, sid) {
  const number = (n) => (a.strings ? String(n) : n);
  const error = () => JSON.stringify(envelope(sid, number(a.code ?? 10012), a.message ?? CODES[a.code ?? 10012] ?? 'error', a.errorStatus));
  if (a.code !== undefined && a.errorAfter === Infinity) return yield error();
  const texts = [...a.reasoning.map((reasoning_content) => ({ reasoning_content })), ...[...a.tokens].map((content) => ({ content }))];
  const group = a.group ?? 1;
  const rows = Array.from({ length: Math.ceil(texts.length / group) }, (_, i) => texts.slice(i * group, (i + 1) * group));
  const [call] = a.tools;
  if (call) rows.push([{ content: '', function_call: { name: call.name, arguments: call.arguments } }]);
  else if (rows.length > 1 || !rows.length) rows.push([{ content: '' }]); // a short answer is one frame of status 2
  for (const [i, row] of rows.entries()) {
    if (i >= a.errorAfter) return yield error();
    const ends = i === rows.length - 1;
    const status = number(ends ? (a.finish === null ? 1 : 2) : i ? 1 : 0);
    if (ends && a.end === false) return;
    const out = envelope(sid, number(0), 'Success', status);
    out.payload = { choices: { status, seq: number(i), text: row.map((t, index) => ({ ...t, role: 'assistant', index: number(index) })) } };
    if (a.plugins && i === 0) out.payload.plugins = { text: a.plugins };
    if (ends && a.usage) {
      const { input, output } = a.usage;
      out.payload.usage = { text: { question_tokens: number(Math.min(input, 4)), prompt_tokens: number(input), completion_tokens: number(output), total_tokens: number(input + output) } };
    }
    yield JSON.stringify(out);
  }
}

async function upgrade({ conn, rec, choose, options: o }) {
  const early = choose(rec, true);
  let a = { ...o.answer, ...early?.answer };
  let f = { ...o.faults, ...early?.faults };
  let w = f.ws ?? {};
  const put = (b) => conn.say(rec, f, b); // faults.at and cuts count the bytes behind the handshake
  if (f.at === 'head') await conn.end(f.then ?? 'stall', f.ms);
  const [status, text] = a.status ? [a.status, a.message ?? 'Refused'] : refusal(rec, o) ?? [];
  if (status) {
    rec.status = status;
    const body = JSON.stringify({ message: text });
    const headers = { date: new Date(o.now ?? Date.now()).toUTCString(), 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), connection: 'close',
      ...(status === 426 && { 'sec-websocket-version': '13' }), ...a.headers };
    await conn.put(head(status, headers).join('\r\n') + '\r\n\r\n' + body, f);
    return conn.end('fin');
  }
  rec.status = 101;
  const accept = w.accept ?? acceptOf(rec.headers['sec-websocket-key']);
  const hello = head(101, { upgrade: 'websocket', connection: 'Upgrade', 'sec-websocket-accept': accept, ...a.headers }).join('\r\n') + '\r\n\r\n';
  await conn.put(Buffer.concat([Buffer.from(hello), w.hello ? frame(OP.ping, 'hello') : Buffer.alloc(0)]), f); // frames right behind the head
  if (conn.wire && f.wire) conn.wire.plan = f.wire;

  await conn.stop(rec, f);
  Object.assign(rec, { frames: 0, masks: [], pongs: [], pings: 0, close: null });
  let closed = false; // our Close is out
  const control = async ({ op, data }) => {
    if (op === OP.ping) {
      rec.pings++;
      await conn.write(frame(OP.pong, data));
    } else if (op === OP.pong) rec.pongs.push(data.toString());
    else {
      rec.close = { code: data.length ? data.readUInt16BE() : 1005, reason: data.subarray(2).toString(), before: !closed };
      if (!closed) await conn.write(frame(OP.close, data.subarray(0, 2)));
      await conn.end('fin');
    }
  };
  const next = async () => {
    for (;;) {
      const got = await read(conn, control);
      rec.frames++;
      rec.masks.push(got.mask);
      if (got.op < 8) return got;
      await control(got);
    }
  };
  const bye = async (code, reason) => {
    closed = true;
    await put(closing(code, reason));
    await Promise.race([listening, conn.sleep(2000).catch(() => {})]);
    await conn.end('fin');
  };
  let listening;
  try {
    const patience = setTimeout(() => conn.end('fin').catch(() => {}), o.patience ?? 60_000);
    const got = await next().finally(() => clearTimeout(patience));
    if (got.op !== OP.text) throw new Bad(1003, 'text frames only');
    try {
      rec.body = JSON.parse(got.data);
    } catch {
      rec.problems.push('frame is not JSON');
    }
    rec.model = rec.body?.parameter?.chat?.domain;
    rec.said = lastUser(rec.body?.payload?.message?.text);
    if (!early) {
      const s = choose(rec);
      a = { ...a, ...s?.answer };
      f = { ...f, ...s?.faults };
      w = f.ws ?? {};
    }
    // Whatever else the client says while it is answered.
    listening = (async () => {
      for (;;) {
        const more = await next();
        rec.problems.push(`a second message: ${more.data}`);
      }
    })().catch((e) => { if (e instanceof Bad) rec.problems.push(e.message); });
    const bad = !rec.body ? [10003, CODES[10003]] : wrong(rec.body, rec.path, o);
    if (bad && rec.body) rec.problems.push(bad[1]);
    const full = fill(bad ? { ...a, code: bad[0], message: bad[1], errorAfter: undefined } : a,
      { text: rec.said, messages: rec.body?.payload?.message?.text, max: rec.body?.parameter?.chat?.max_tokens });
    const sid = `cht000${hex(10)}`;
    let i = 0;
    if (a.first) await conn.sleep(a.first);
    for (const one of full.raw?.map((x) => (typeof x === 'string' ? x : JSON.stringify(x))) ?? frames(full, sid)) {
      if (i && a.gap) await conn.sleep(a.gap);
      if (w.ping && i % w.ping === 0) await put(frame(OP.ping, `ping ${i}`));
      if (w.bad && i === (w.badAt ?? 1)) await put(BAD_FRAMES[w.bad](one));
      const [first, ...rest] = message(one, w.fragment);
      await put(first);
      if (w.ping && rest.length) await put(frame(OP.ping, 'inside')); // between fragments
      for (const r of rest) await put(r);
      i++;
    }
    rec.complete = !bad;
    if (w.ping && full.code === undefined) await conn.sleep(20); // for the pongs
    const failed = full.code !== undefined;
    switch (w.close ?? 'normal') {
      case 'normal': await bye(1000, failed ? 'close this ws conn' : ''); break;
      case 'empty': await bye(null); break;
      case 'wait': await Promise.race([listening, conn.sleep(10_000)]); break; // it is the client's turn
      case 'none': case 'fin': await conn.end('fin'); break; // 1006
      case 'reset': await conn.end('reset'); break;
      case 'stall': await conn.sleep(); break;
      default: await bye(w.close.code, w.close.reason);
    }
  } catch (e) {
    if (!(e instanceof Bad)) throw e;
    rec.problems.push(e.message);
    closed = true;
    await conn.write(closing(e.code, e.message));
    await conn.end('fin');
  }
}

export default {
  look: () => ({ model: undefined, said: undefined, stream: true }),
  upgrade,
  handle: () => json(426, { message: 'Upgrade Required' }, { 'sec-websocket-version': '13' }),
};
