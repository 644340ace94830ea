// MCP servers: real ones, made with the SDK, and bare ones that do whatever a test wants.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer as StatelessServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

// Listens on a free port of 127.0.0.1; `handle(req, res, body)` answers, and what came is kept.
export async function listen(handle, { port = 0, tls } = {}) {
  const seen = [];
  const http = (tls ? (on) => createSecureServer(tls, on) : createServer)(async (req, res) => {
    const pieces = [];
    for await (const piece of req) pieces.push(piece);
    const text = Buffer.concat(pieces).toString();
    const body = text ? JSON.parse(text) : undefined;
    const entry = { method: req.method, url: req.url, headers: req.headers, body };
    seen.push(entry);
    res.on('error', () => {});
    await handle(req, res, body, entry);
  });
  await new Promise((done) => http.listen(port, '127.0.0.1', done));
  return {
    port: http.address().port,
    url: `http${tls ? 's' : ''}://127.0.0.1:${http.address().port}/mcp`,
    seen,
    of: (method) => seen.filter((r) => r.body?.method === method),
    stop: () => new Promise((done) => { http.close(done); http.closeAllConnections(); }),
  };
}

// Every tool says what a client has to understand.
export function tools(log = [], server = new McpServer({ name: 'test', version: '1' }, { capabilities: { logging: {} } })) {
  const add = (name, inputSchema, run, more = {}) => server.registerTool(name, { description: `does ${name}`, inputSchema: z.object(inputSchema), ...more }, (args, extra) => {
    log.push({ name, args });
    return run(args, extra);
  });
  const says = (text) => ({ content: [{ type: 'text', text }] });
  add('add', { a: z.number(), b: z.number() }, ({ a, b }) => says(String(a + b)));
  add('files.read', { path: z.string() }, ({ path }) => says(`the file ${path}: 好 😀`));
  add('fail', {}, () => ({ isError: true, ...says('the disk is full') }));
  add('throw', {}, () => { throw new Error('it broke'); });
  add('parts', {}, () => ({ content: [
    { type: 'text', text: 'one' }, { type: 'image', mimeType: 'image/png', data: 'QUJDREVG' }, { type: 'audio', mimeType: 'audio/wav', data: 'QUJD' },
    { type: 'resource_link', name: 'notes', uri: 'file:///notes.txt' },
    { type: 'resource', resource: { uri: 'file:///a.txt', mimeType: 'text/plain', text: 'its text' } },
    { type: 'resource', resource: { uri: 'file:///b.bin', mimeType: 'application/zip', blob: 'QUJD' } }, { type: 'text', text: 'two' }] }));
  add('structured', {}, () => ({ content: [], structuredContent: { city: 'Rome', degrees: 21 } }),
    { outputSchema: z.object({ city: z.string(), degrees: z.number() }) });
  add('nothing', {}, () => ({ content: [] }));
  add('long', { bytes: z.number() }, ({ bytes }) => says('é'.repeat(bytes / 2)));
  add('slow', { ms: z.number() }, async ({ ms }, { signal }) => {
    await sleep(ms, undefined, { signal }).catch(() => log.push({ name: 'slow', cancelled: true }));
    return says('late');
  });
  add('chatty', {}, async (_, { sendNotification, sendRequest, _meta }) => {
    for (let i = 0; i < 3; i++) await sendNotification({ method: 'notifications/message', params: { level: 'info', data: `step ${i}` } });
    const pong = await sendRequest({ method: 'ping' }, z.object({}));
    const refused = await sendRequest({ method: 'roots/list' }, z.any()).catch((e) => e.code);
    return says(JSON.stringify({ pong, refused, _meta: _meta ?? null }));
  });
  add('hangs_up', {}, async (_, { closeSSEStream }) => {
    closeSSEStream?.();
    await sleep(100);
    return says(closeSSEStream ? 'taken up again' : 'no such transport');
  });
  add('grow', {}, async (_, { sendNotification }) => {
    add('grown', {}, () => says('new'));
    await sendNotification({ method: 'notifications/tools/list_changed' });
    return says('grown');
  });
  return server;
}

// Keeps events, so that a stream can be taken up again.
class Events {
  all = [];
  async storeEvent(streamId, message) {
    this.all.push({ streamId, message, id: `${streamId}_${this.all.length}` });
    return this.all.at(-1).id;
  }
  async replayEventsAfter(last, { send }) {
    const at = this.all.findIndex((e) => e.id === last);
    for (const e of this.all.slice(at + 1))
      if (e.streamId === this.all[at].streamId && e.message.method !== undefined | Object.keys(e.message).length) await send(e.id, e.message);
    return this.all[at].streamId;
  }
}

// An MCP server of the SDK. With sessions it can forget() them, as one that was restarted has.
export async function sdkServer({ sessions = true, json = false, events = false, headers = {}, tls } = {}) {
  const transports = new Map(), log = [];
  const open = async () => {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: sessions ? () => randomUUID() : undefined, enableJsonResponse: json,
      ...(events && { eventStore: new Events(), retryInterval: 50 }),
      onsessioninitialized: (id) => transports.set(id, transport),
    });
    await tools(log).connect(transport);
    return transport;
  };
  const refuse = (res, status, message) => res.writeHead(status, { 'content-type': 'application/json' })
    .end(JSON.stringify({ jsonrpc: '2.0', error: { code: -32001, message }, id: null }));
  const http = await listen(async (req, res, body) => {
    for (const [name, value] of Object.entries(headers))
      if (req.headers[name] !== value) return refuse(res, 401, 'who are you?');
    const id = req.headers['mcp-session-id'];
    if (id && !transports.has(id)) return refuse(res, 404, 'Session not found');
    const transport = transports.get(id) ?? await open();
    await transport.handleRequest(req, res, body);
  }, { tls });
  return { ...http, log, transports, forget: () => transports.clear() };
}

// One of 2026-07-28, which knows no sessions.
export async function statelessServer({ responseMode = 'auto', legacy = 'reject' } = {}) {
  const log = [];
  const serve = toNodeHandler(createMcpHandler(() => {
    const server = tools(log, new StatelessServer({ name: 'test', version: '1' }, { capabilities: { logging: {} } }));
    server.registerTool('routed', {
      description: 'wants arguments as headers',
      inputSchema: z.object({ region: z.string().meta({ 'x-mcp-header': 'Region' }), deep: z.object({ n: z.int().meta({ 'x-mcp-header': 'Deep' }) }) }),
    }, (args) => ({ content: [{ type: 'text', text: JSON.stringify(args) }] }));
    return server;
  }, { legacy, responseMode }));
  const http = await listen((req, res, body) => serve(req, res, body));
  return { ...http, log };
}

export const sse = (res, more = {}) => res.writeHead(200, { 'content-type': 'text/event-stream', ...more });
export const json = (res, body, status = 200, more = {}) => res.writeHead(status, { 'content-type': 'application/json', ...more }).end(JSON.stringify(body));
export const event = (message, id) => `${id === undefined ? '' : `id: ${id}\n`}data: ${typeof message === 'string' ? message : JSON.stringify(message)}\n\n`;
export const result = (id, text) => ({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text }] } });

// Writes for ever, as fast as it is read, or so many bytes; returns how many went out.
export async function pour(res, piece, most = Infinity) {
  let sent = 0, gone = false;
  res.on('close', () => { gone = true; });
  while (!gone && sent < most) {
    sent += piece.length;
    if (!res.write(piece)) await new Promise((go) => { res.once('drain', go); res.once('close', go); });
  }
  return sent;
}

// A server by hand: it greets and lists as it should, unless `more` says otherwise by method.
export async function bareServer(listed, more = {}, { session = 'S1', port } = {}) {
  const http = await listen(async (req, res, body, entry) => {
    const method = body?.method ?? req.method;
    if (more[method]) return more[method](req, res, body, entry);
    if (method === 'initialize')
      return json(res, { jsonrpc: '2.0', id: body.id, result: { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo: { name: 'bare', version: '1' } } }, 200, session ? { 'mcp-session-id': session } : {});
    if (method === 'tools/list') return json(res, { jsonrpc: '2.0', id: body.id, result: { tools: listed } });
    if (method.startsWith('notifications/') || body?.result || body?.error) return res.writeHead(202).end();
    return json(res, { jsonrpc: '2.0', id: null, error: { code: -32000, message: 'Bad Request' } }, 400);
  }, { port });
  return http;
}
