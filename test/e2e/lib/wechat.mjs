// A fake of WeChat's server interface: who has a code of wx.login(). The code says what happens.
//
//   openid:NAME            that is who has it (a code of its own for each log-in is not asked for)
//   errcode:N              N, with words that hold the app's secret
//   busy-once:NAME         -1 the first time, then as openid:NAME
//   status:N               an HTTP status, without JSON
//   body:TEXT              200 with that body
//   slow | dead | reset | half | garbage | huge | empty
//
// `requests` holds { method, path, query, headers, problems } of all that came.
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';

export const APP = 'wx0123456789abcdef';
export const SECRET = 'feedfacecafebeef0123456789canary';
export const SESSION_KEY = 'c2Vzc2lvbi1rZXktY2FuYXJ5';

const PARAMETERS = ['appid', 'grant_type', 'js_code', 'secret'];

function problemsOf(request, url) {
  const { method, headers } = request;
  const all = [
    [method === 'GET', `${method} instead of GET`],
    [url.pathname === '/sns/jscode2session', `the path is ${url.pathname}`],
    [[...url.searchParams.keys()].sort().join() === PARAMETERS.join(), `the parameters are ${[...url.searchParams.keys()]}`],
    [url.searchParams.get('appid') === APP && url.searchParams.get('secret') === SECRET, 'other credentials'],
    [url.searchParams.get('grant_type') === 'authorization_code', 'another grant_type'],
    [headers['content-length'] === undefined && headers['transfer-encoding'] === undefined, 'a GET with a body'],
  ];
  return all.filter(([good]) => !good).map(([, text]) => text);
}

// The content type is the one that WeChat is said to send.
const say = (response, value, type = 'text/plain') => {
  const body = typeof value === 'string' ? value : JSON.stringify(value);
  response.writeHead(200, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(body);
};
const session = (openid) => ({ session_key: SESSION_KEY, openid, unionid: `union-${openid}` });

export async function wechat({ tls } = {}) {
  const busy = new Set();
  const fake = { requests: [], hanging: 0 };

  const deeds = {
    openid: (response, name) => say(response, session(name)),
    errcode: (response, n) => say(response, { errcode: Number(n), errmsg: `words of ${n}, secret ${SECRET}, rid: 5f7c1b2e-3c9c4e1a-0fb3a1d2` }),
    'busy-once': (response, name) => {
      if (busy.has(name)) return say(response, session(name));
      busy.add(name);
      return say(response, { errcode: -1, errmsg: 'system error' });
    },
    status: (response, n) => { response.writeHead(Number(n), { 'content-type': 'text/html' }); response.end('<html>no</html>'); },
    body: (response, text) => say(response, text),
    slow: async (response) => {
      fake.hanging++;
      response.on('close', () => { fake.hanging--; });
      response.writeHead(200, { 'content-type': 'application/json' });
      const timer = setInterval(() => response.write(' '), 50);
      response.on('close', () => clearInterval(timer));
    },
    dead: (response) => { fake.hanging++; response.on('close', () => { fake.hanging--; }); },
    reset: (response) => response.socket.resetAndDestroy(),
    half: (response) => { response.socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"openid":"half"'); setTimeout(() => response.socket.destroy(), 50); },
    garbage: (response) => response.socket.end('this is not HTTP at all\r\n\r\n'),
    huge: (response) => { response.on('error', () => {}); say(response, `{"openid":"huge","x":"${'x'.repeat(10 << 20)}"}`); },
    empty: (response) => say(response, ''),
  };

  const server = (tls ? https : http).createServer(tls ?? {}, (request, response) => {
    const url = new URL(request.url, 'http://fake');
    fake.requests.push({ method: request.method, path: url.pathname, query: Object.fromEntries(url.searchParams), headers: request.headers,
      problems: problemsOf(request, url) });
    const [, what, rest] = /^([a-z-]+):?(.*)$/s.exec(url.searchParams.get('js_code') ?? '') ?? [];
    request.resume();
    if (deeds[what]) deeds[what](response, rest);
    else say(response, { errcode: 40029, errmsg: 'invalid code' });
  });
  server.on('clientError', (e, socket) => socket.destroy());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(fake, {
    port: server.address().port,
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${server.address().port}`,
    asked: () => fake.requests.length,
    async stop() { server.closeAllConnections(); server.close(); await once(server, 'close'); },
  });
}
