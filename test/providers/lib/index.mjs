// Fake providers for tests: start({ kind, tls, ... }) -> { port, ca, script(), requests(), stop() ... }.
// README.md has the whole scripting interface.
import http from 'node:http';
import net from 'node:net';
import tls from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { bytes } from './answer.mjs';
import { certs } from './certs.mjs';
import { Conn, Gone, Wire } from './conn.mjs';
import { check, EXTRAS, FRAMINGS, head, HEADS, interim } from './faults.mjs';

export const KINDS = ['openai', 'dashscope', 'spark', 'anthropic', 'ollama'];

// The body of an answer as a row of pieces, with what `answer` says about their form and pace.
function* shaped(pieces, a) {
  const insert = new Map((a.insert ?? []).map(([k, x]) => [k, x]));
  const { eol = '\n', bom, comment, multiline } = a.sse ?? {};
  let i = 0;
  for (let piece of pieces) {
    if (insert.has(i)) yield bytes(insert.get(i));
    if (a.sse && typeof piece === 'string') {
      if (multiline) piece = piece.replace(/^(data: ?)\{/m, '$1{\n$1');
      if (comment) piece = `: ${comment}\n${piece}`;
      piece = piece.replaceAll('\n', eol);
      if (bom && i === 0) piece = '\ufeff' + piece;
    }
    if (i > 0 && a.gap) yield a.gap;
    else if (i === 0 && a.first) yield a.first;
    yield bytes(piece);
    i++;
  }
  if (insert.has(-1)) yield bytes(insert.get(-1)); // behind the last one
}

async function respond(conn, rec, res, a, f) {
  if (f.at === 'head') await conn.end(f.then ?? 'stall', f.ms);
  for (const s of f.before ?? []) await conn.put(interim(s), f);
  let framing = f.framing ?? res.framing ?? 'chunked';
  const how = FRAMINGS[framing];
  let pieces = shaped(res.pieces, a);
  if ('length' in how || f.join) pieces = [Buffer.concat([...pieces].filter((p) => typeof p !== 'number'))];
  const headers = { date: new Date().toUTCString(), ...res.headers, ...a.headers };
  if (how.chunked) headers['transfer-encoding'] = 'chunked';
  if ('length' in how) headers['content-length'] = Math.max(0, pieces[0].length + how.length);
  headers.connection ??= how.header ?? (f.close === 'header' ? 'close' : 'keep-alive');
  if (headers.connection === 'keep-alive' && f.idle) headers['keep-alive'] = `timeout=${Math.ceil(f.idle / 1000)}`;
  if (a.status === 302 || a.status === 307) headers.location ??= 'http://127.0.0.1:1/elsewhere';
  rec.status = res.status;
  await conn.put(HEADS[f.head ?? 'good'](head(res.status, headers)), f);
  if (conn.wire && f.wire) conn.wire.plan = f.wire;
  let n = 0;
  await conn.stop(rec, f);
  for (const piece of pieces) {
    if (typeof piece === 'number') {
      await conn.sleep(piece);
      continue;
    }
    const step = f.chunk ?? piece.length;
    for (let i = 0; i < piece.length; i += step) {
      const b = piece.subarray(i, i + step);
      await conn.say(rec, f, b, ...how.piece(b, n++));
    }
  }
  await conn.put(how.end, f);
  if (f.after !== undefined) await conn.put(EXTRAS[f.after] ?? bytes(f.after), {});
  if (f.at === 'end') await conn.end(f.then ?? 'fin', f.ms);
  rec.complete = true;
  if (headers.connection === 'close' || f.close || how.closes) await conn.end('fin');
}

const asList = (x) => (x === undefined ? [] : [x].flat());

export async function start(options = {}) {
  const o = { kind: 'openai', host: '127.0.0.1', port: 0, control: 0, ...options };
  if (!KINDS.includes(o.kind)) throw new Error(`kind is one of ${KINDS}`);
  const { default: provider } = await import(`../${o.kind}.mjs`);
  const state = { scripts: [], requests: [], conns: [], live: new Set(), handshakes: 0, resumed: 0, failed: [] };

  // First in, first out: the first script that fits and is not used up.
  function choose(rec, early = false) {
    for (const s of state.scripts) {
      const { path, method, model, text, header } = s.match;
      if (s.left <= 0 || (early && (model !== undefined || text !== undefined))) continue;
      const fits = typeof s.match === 'function' ? s.match(rec)
        : (path === undefined || rec.path.includes(path)) && (method === undefined || rec.method === method)
          && (model === undefined || rec.model === model) && (text === undefined || (rec.said ?? '').includes(text))
          && Object.entries(header ?? {}).every(([k, v]) => rec.headers[k.toLowerCase()] === v);
      if (!fits) continue;
      s.left--;
      rec.script = s.id;
      return s;
    }
    return null;
  }

  async function serve(conn) {
    for (let f = {}; ;) {
      const idle = f.idle ?? o.idle;
      const timer = idle && setTimeout(() => {
        conn.ours = true;
        conn.sock.end();
      }, idle);
      const req = await conn.request(() => clearTimeout(timer)).finally(() => clearTimeout(timer));
      if (!req) return;
      conn.requests++;
      const rec = {
        id: state.requests.length + 1, connection: conn.id, nth: conn.requests, reused: conn.requests > 1, tls: conn.tls,
        ...req, sent: 0, status: null, complete: false, ended: null, clientClosed: null, script: null,
      };
      Object.assign(rec, provider.look(req));
      state.requests.push(rec);
      conn.gone.then((g) => { if (!g.ours) rec.clientClosed = { how: g.how, at: g.at, before: rec.ended === null }; });
      try {
        if (provider.upgrade && req.headers.upgrade) {
          return await provider.upgrade({ conn, rec, choose, options: o, state });
        }
        const script = choose(rec);
        const a = { ...o.answer, ...script?.answer };
        f = { ...o.faults, ...script?.faults };
        const res = a.raw !== undefined || (a.status >= 300 && a.status < 400)
          ? {
              status: a.status ?? 200,
              headers: { 'content-type': a.type ?? 'text/event-stream' },
              pieces: asList(a.raw).map(bytes),
              framing: a.status || a.type ? 'length' : 'chunked',
            }
          : provider.handle(rec, a, o);
        await respond(conn, rec, res, a, f);
      } finally {
        rec.ended = Date.now();
      }
    }
  }

  function accept(raw) {
    raw.setNoDelay(true);
    const conn = new Conn(state.conns.length + 1, raw);
    state.conns.push(conn);
    state.live.add(conn);
    raw.on('error', () => {});
    raw.on('close', () => {
      state.live.delete(conn);
      conn.closed = Date.now();
      conn.leave('closed');
    });
    const run = (sock) => {
      conn.attach(sock);
      serve(conn).catch((e) => {
        if (!(e instanceof Gone)) {
          conn.error = e;
          state.failed.push(e.stack);
        }
        if (!conn.ours) raw.destroy();
      }).then(() => { if (!conn.ours && !raw.destroyed) conn.sock.end(); });
    };
    if (o.faults?.at === 'accept') { // never answers, or goes at once
      conn.attach(raw);
      conn.end(o.faults.then ?? 'stall', o.faults.ms).catch(() => {});
    } else if (!secure) run(raw);
    else {
      conn.wire = new Wire(raw, o.tls.wire);
      conn.wire.conn = conn;
      conn.wire.on('error', () => {});
      conn.run = run;
      secure.emit('connection', conn.wire);
    }
  }

  let secure = null;
  if (o.tls) {
    o.tls = { cert: 'good', ...(o.tls === true ? {} : typeof o.tls === 'string' ? { cert: o.tls } : o.tls) };
    const { cert, version, min, max, tickets, wire, ...more } = o.tls;
    const old = ['sha1', 'rsa1024'].includes(cert) || /1\.[01]/.test(version ?? '');
    secure = tls.createServer({
      ...certs().get(cert),
      minVersion: `TLSv${version ?? min ?? '1.2'}`, maxVersion: `TLSv${version ?? max ?? '1.3'}`,
      ALPNProtocols: ['http/1.1'], allowHalfOpen: true, handshakeTimeout: 3_600_000,
      ...(old ? { ciphers: 'DEFAULT@SECLEVEL=0' } : {}),
      ...(tickets === false ? { secureOptions: 1 << 14 } : {}), // SSL_OP_NO_TICKET
      ...more,
    });
    secure.on('secureConnection', (sock) => {
      const conn = sock._parent?.conn ?? sock._handle?._parentWrap?.stream?.conn;
      state.handshakes++;
      conn.tls = {
        version: sock.getProtocol(), cipher: sock.getCipher().name, resumed: sock.isSessionReused(),
        servername: sock.servername || null, alpn: sock.alpnProtocol || null,
      };
      if (conn.tls.resumed) state.resumed++;
      conn.run(sock);
    });
    secure.on('tlsClientError', (e) => state.failed.push(e.code ?? e.message));
  }

  const server = net.createServer({ allowHalfOpen: true }, accept);
  const open = () => new Promise((ok, bad) => server.once('error', bad).listen(o.port, o.host, ok));
  await open();
  o.port = server.address().port;
  let listening = true;

  const api = {
    kind: o.kind, host: o.host, port: o.port,
    url: `${secure ? 'https' : 'http'}://${o.host}:${o.port}`,
    ca: secure ? certs().ca : null, caFile: secure ? certs().caFile : null,
    // The answer to the next `times` requests that fit `match`; several scripts are used up in their order.
    script({ match = {}, answer = {}, faults = {}, times = Infinity } = {}) {
      const s = { id: state.scripts.length + 1, match, answer, faults: check(faults), left: times ?? Infinity };
      state.scripts.push(s);
      return s.id;
    },
    clear() { state.scripts.length = 0; },
    forget() { state.requests.length = 0; },
    requests: () => state.requests.map(({ raw, ...r }) => ({ ...r, text: raw.toString() })),
    connections: () => state.conns.map((c) => ({
      id: c.id, opened: c.opened, closed: c.closed ?? null, left: c.left ?? null, requests: c.requests, tls: c.tls,
    })),
    stats: () => ({
      connections: state.conns.length, open: state.live.size, requests: state.requests.length,
      handshakes: state.handshakes, resumed: state.resumed, failed: [...state.failed],
    }),
    // When n requests have come to their end, in whatever way.
    async settled(n = 1, ms = 10_000) {
      for (const end = Date.now() + ms; state.requests.filter((r) => r.ended).length < n; await sleep(5)) {
        if (Date.now() > end) throw new Error(`${n} requests wanted, ${JSON.stringify(api.stats())}`);
      }
      return api.requests();
    },
    // false: the port is closed, connecting is refused; true: open again.
    async listen(on) {
      if (on === listening) return;
      listening = on;
      if (on) await open();
      else {
        api.drop();
        await new Promise((r) => server.close(r));
      }
    },
    drop() { // close every connection
      for (const c of state.live) {
        c.ours = true;
        c.raw.destroy();
      }
    },
    async stop() {
      await api.listen(false);
      control?.close();
      control?.closeAllConnections();
      secure?.close();
    },
  };

  // The same over HTTP, for tests that are not in this process.
  const routes = {
    'POST /script': (b) => ({ id: api.script(b) }),
    'DELETE /script': () => api.clear(),
    'GET /requests': () => api.requests(),
    'DELETE /requests': () => api.forget(),
    'GET /connections': () => api.connections(),
    'POST /drop': () => api.drop(),
    'GET /stats': () => api.stats(),
    'POST /listen': (b) => api.listen(b.open),
  };
  const control = o.control === false ? null : http.createServer(async (req, res) => {
    let body = '';
    for await (const d of req.setEncoding('utf8')) body += d;
    try {
      const route = routes[`${req.method} ${req.url}`];
      if (!route) throw new Error(`no such thing: ${Object.keys(routes)}`);
      res.end(JSON.stringify((await route(JSON.parse(body || '{}'))) ?? { ok: true }));
    } catch (e) {
      res.writeHead(400).end(JSON.stringify({ error: e.message }));
    }
  });
  if (control) {
    await new Promise((ok, bad) => control.once('error', bad).listen(o.control, o.host, ok));
    api.controlPort = control.address().port;
  }
  return api;
}
