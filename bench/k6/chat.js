// Streams over plain HTTP for k6: so many readers at once, each with one question after the other,
// who read to the end. k6 hands a body over when it is whole, so what it can say of a stream is
// when the head and first event came (waiting), when the last did, and whether all of it is there.
//
//     k6 run -e BASE=http://127.0.0.1:8080 -e MODEL=echo -e READERS=200 -e SECONDS=20 bench/k6/chat.js
//
// TOKEN is shown as the bearer, if there is one.
import http from 'k6/http';
import { check } from 'k6';
import { Counter, Trend } from 'k6/metrics';

const BASE = __ENV.BASE || 'http://127.0.0.1:8080';
const MODEL = __ENV.MODEL || 'echo';
const WORDS = Number(__ENV.WORDS || 40);
const seconds = Number(__ENV.SECONDS || 20);
const readers = Number(__ENV.READERS || 200);

const events = new Counter('stream_events');
const firstEvent = new Trend('stream_first_event', true);
const whole = new Trend('stream_whole', true);
const short = new Trend('short_whole', true);

export const options = {
  summaryTrendStats: ['med', 'p(99)', 'max'],
  scenarios: {
    streams: { executor: 'constant-vus', vus: readers, duration: `${seconds}s`, gracefulStop: '30s', exec: 'stream' },
    shorts: { executor: 'constant-vus', vus: Math.max(1, Math.round(readers / 20)), duration: `${seconds}s`, exec: 'shortAnswer' },
  },
  thresholds: { checks: ['rate==1'] },
};

const headers = { 'Content-Type': 'application/json' };
if (__ENV.TOKEN) headers.Authorization = `Bearer ${__ENV.TOKEN}`;
const text = Array.from({ length: WORDS }, (_, i) => `word${i}`).join(' ');
const ask = (more, content) => http.post(`${BASE}/v1/chat/completions`,
  JSON.stringify({ model: MODEL, messages: [{ role: 'user', content }], ...more }), { headers, timeout: '120s' });

export function stream() {
  const r = ask({ stream: true }, text);
  const data = (r.body || '').split('\n\n').filter((e) => e.startsWith('data: '));
  const said = data.slice(0, -1).map((e) => JSON.parse(e.slice(6)).choices[0]?.delta?.content || '').join('');
  check(r, {
    'a stream has status 200': () => r.status === 200,
    'a stream ends with [DONE]': () => data.length > 0 && data[data.length - 1].trim() === 'data: [DONE]',
    'a stream says the whole text': () => said === text,
  });
  events.add(data.length);
  firstEvent.add(r.timings.waiting);
  whole.add(r.timings.waiting + r.timings.receiving);
}

export function shortAnswer() {
  const r = ask({}, 'one');
  check(r, { 'a short answer is right': () => r.status === 200 && r.json('choices.0.message.content') === 'one' });
  short.add(r.timings.duration);
}
