// What a provider says: the parts of `answer` that mean the same with all of them.
import { randomBytes } from 'node:crypto';

export const hex = (n) => randomBytes(n).toString('hex');
export const unix = () => Math.floor(Date.now() / 1000);

// Bytes as a script (JSON) can write them: text, {base64}, {hex}, or {big: n} for n letters.
export function bytes(x) {
  if (typeof x === 'string' || Buffer.isBuffer(x)) return Buffer.from(x);
  if (x.base64 !== undefined) return Buffer.from(x.base64, 'base64');
  if (x.hex !== undefined) return Buffer.from(x.hex, 'hex');
  return Buffer.from((x.before ?? '') + 'x'.repeat(x.big) + (x.after ?? ''));
}

// In pieces of n characters; `units` cuts between UTF-16 halves as well.
export function cut(text, n = 4, units = false) {
  const all = units ? text.split('') : Array.from(text);
  const out = [];
  for (let i = 0; i < all.length; i += n) out.push(all.slice(i, i + n).join(''));
  return out;
}

export const textOf = (content) =>
  typeof content === 'string' ? content
    : Array.isArray(content) ? content.map((p) => p?.text ?? '').join('') : '';
export const lastUser = (messages) =>
  textOf((Array.isArray(messages) ? messages : []).findLast((m) => m?.role === 'user')?.content);

const list = (x, a) =>
  x === undefined || x === null ? [] : Array.isArray(x) ? x : cut(x, a.size ?? 4, a.units);
const repeated = (items, n) => ({
  *[Symbol.iterator]() { for (let i = 0; i < n; i++) yield* items; },
  length: items.length * n,
});

// The script's answer with all that it leaves open filled in.
//   text | tokens[] | size | units | repeat | reasoning | tools[{id?,name,arguments}] | usage | finish
export function fill(a, { text, messages, max }) {
  const tools = (a.tools ?? []).map((t, i) => ({
    id: t.id ?? `call_${i}${hex(6)}`,
    name: t.name ?? 'f',
    arguments: typeof t.arguments === 'string' ? t.arguments : JSON.stringify(t.arguments ?? {}),
    parts: t.parts,
  }));
  const own = a.text !== undefined || a.tokens !== undefined || tools.length > 0;
  let tokens = list(a.tokens ?? (own ? a.text : text), a);
  const short = !own && max > 0 && tokens.length > max;
  if (short) tokens = tokens.slice(0, max);
  if (a.repeat) tokens = repeated(tokens, a.repeat);
  const reasoning = list(a.reasoning, a);
  const asked = textOf((messages ?? []).map((m) => ({ text: textOf(m?.content) }))) || text || '';
  const usage = a.usage === null ? null : {
    input: Math.ceil(asked.length / 4) + 3,
    output: tokens.length + reasoning.length + tools.length,
    reasoning: reasoning.length,
    cached: 0,
    ...a.usage,
  };
  const finish = a.finish !== undefined ? a.finish : tools.length ? 'tools' : short ? 'length' : 'stop';
  return { ...a, tools, tokens, reasoning, usage, finish, errorAfter: a.errorAfter ?? Infinity };
}

// The fragments of a tool call's arguments: `parts` of the call, or `cuts` letters each.
export const fragments = (tool, a) => tool.parts ?? cut(tool.arguments, a.cuts ?? 5, true);

// The whole of a token list, for answers that are not streamed.
export const whole = (tokens) => [...tokens].join('');

export function* last(items) { // [item, is it the last?]
  let held;
  let some = false;
  for (const item of items) {
    if (some) yield [held, false];
    held = item;
    some = true;
  }
  if (some) yield [held, true];
}

export const json = (status, value, headers = {}, before = '') => ({
  status, headers: { 'content-type': 'application/json', ...headers },
  pieces: [before + JSON.stringify(value)], framing: 'length',
});
export const sse = (pieces, headers = {}) => ({
  status: 200, headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-cache', ...headers }, pieces,
});

// Complaints about a request, collected: `want(condition, text)`.
export const checker = (problems) => (good, text) => {
  if (!good) problems.push(text);
  return Boolean(good);
};
export const onlyKeys = (want, value, allowed, where) => {
  for (const k of Object.keys(value ?? {})) want(allowed.includes(k), `${where}: unknown field ${k}`);
};
