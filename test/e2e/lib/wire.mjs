// The wire between a client and PostgreSQL, and everything that can happen to it: a proxy on
// TCP that does its work until a test says otherwise.
//
// "up" is from client to server, "down" is back. What a test asks for holds for connections
// that are open and for new ones, until pass(); end(), reset() and the two that wait for a
// statement happen once. TLS goes through, but its statements cannot be read.
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './postgres.mjs';

const SSL_REQUEST = 80877103;
const GSS_REQUEST = 80877104;
const CANCEL_REQUEST = 80877102;

// ---- messages ----------------------------------------------------------------

// Cuts bytes into messages: a length, and before it a type where `typed` says so.
class Messages {
  #have = Buffer.alloc(0);
  typed = true;

  // Calls on(type, body, end) for each that is whole; `end` is where it ends in `chunk`.
  feed(chunk, on) {
    const before = this.#have.length;
    const all = before ? Buffer.concat([this.#have, chunk]) : chunk;
    let at = 0;
    for (;;) {
      const head = this.typed ? 1 : 0;
      if (all.length < at + head + 4) break;
      const end = at + head + all.readUInt32BE(at + head);
      if (all.length < end) break;
      const type = head ? String.fromCharCode(all[at]) : '';
      const body = all.subarray(at + head + 4, end);
      at = end;
      on(type, body, end - before);
    }
    this.#have = all.subarray(at);
  }
}

const text = (body, from) => body.toString('utf8', from, body.indexOf(0, from));

// Follows one connection's talk. What a client asks up to a Query or a Sync is one batch, and
// each batch is answered up to one ReadyForQuery; the start-up is the first.
class Talk {
  #up = new Messages();
  #down = new Messages();
  #texts = new Map();                         // of prepared statements, by name
  #bytes = 0;                                 // answers of one byte that are to come
  opaque = false;
  asked = 0;                                  // batches that are whole
  answered = 0;

  constructor() {
    this.#up.typed = false;
  }

  // Calls ran(statement) for each that is run.
  up(chunk, ran) {
    if (!this.opaque) this.#up.feed(chunk, (type, body) => this.#ask(type, body, ran));
  }

  #ask(type, body, ran) {
    if (type === '') return this.#open(body.readUInt32BE(0));
    if (type === 'P') this.#texts.set(text(body, 0), text(body, body.indexOf(0) + 1));
    if (type === 'B') ran(this.#texts.get(text(body, body.indexOf(0) + 1)) ?? '');
    if (type === 'Q') ran(text(body, 0));
    if (type === 'Q' || type === 'S' || type === 'F') this.asked++;
  }

  #open(code) {
    if (code === SSL_REQUEST || code === GSS_REQUEST) {
      this.#bytes++;
    } else if (code === CANCEL_REQUEST) {
      this.opaque = true;
    } else {
      this.#up.typed = true;
      this.asked++;
    }
  }

  // Calls ready(end) where a batch has been answered.
  down(chunk, ready) {
    if (this.opaque) return;
    let skipped = 0;
    for (; this.#bytes > 0 && skipped < chunk.length; skipped++, this.#bytes--)
      if (chunk[skipped] !== 0x4e) this.opaque = true; // not N for no: what follows is sealed
    if (this.opaque) return;
    this.#down.feed(chunk.subarray(skipped), (type, _, end) => {
      if (type !== 'Z') return;
      this.answered++;
      ready(end + skipped);
    });
  }
}

// ---- one connection ----------------------------------------------------------

class Connection {
  constructor(wire, client, server) {
    Object.assign(this, { wire, client, server, talk: new Talk(), drop: null, left: { ...wire.plan.cut } });
    this.ended = new Promise((done) => {
      let open = 2;
      for (const s of [client, server]) s.on('error', () => this.reset()).on('close', () => { this.over = true; if (--open === 0) done(); this.wake(); });
    });
    this.changed();
    this.#pump('up', client, server);
    this.#pump('down', server, client);
  }

  // A promise for the next change of what holds, or for the connection's end.
  changed() { return this.change ??= new Promise((wake) => { this.wake = () => { this.change = null; wake(); this.changed(); }; }); }

  async #pump(way, from, to) {
    try {
      for await (const chunk of from.iterator({ destroyOnReturn: false })) {
        if (this.wire.plan.delay) await sleep(this.wire.plan.delay);
        await this.#gate(way);
        await this.#write(to, this.#cut(way, this.#look(way, chunk)));
        if (this.left[way] === 0) { await sleep(1); this.finish(this.left.how); } // a reset would overtake the last bytes
      }
      await this.#gate(way);
      to.end();
    } catch {
      this.reset();                           // one side has failed: so it seems to the other
    }
  }

  async #gate(way) {
    while (!this.over && this.wire.plan.held?.includes(way)) await this.changed();
  }

  async #write(to, chunk) {
    if (chunk.length && !to.destroyed && !to.writableEnded && !to.write(chunk)) await Promise.race([once(to, 'drain'), once(to, 'close')]);
  }

  #cut(way, chunk) {
    if (this.left[way] === undefined) return chunk;
    const part = chunk.subarray(0, this.left[way]);
    this.left[way] -= part.length;
    return part;
  }

  #look(way, chunk) {
    if (way === 'down') return this.#down(chunk);
    this.talk.up(chunk, (statement) => {
      this.wire.statements.push(statement);
      const { wait } = this.wire;
      if (!wait?.match.test(statement)) return;
      this.wire.wait = null;
      if (wait.lose) {
        this.finish(wait.then);               // after that nothing goes up
        wait.done(statement);
      } else {
        this.drop = { ...wait, statement, batch: this.talk.asked };
      }
    });
    return chunk;
  }

  // Answers to earlier batches still go through; of the one to be dropped, not a byte.
  #down(chunk) {
    const { drop } = this;
    let pass = drop && this.talk.answered >= drop.batch ? 0 : chunk.length;
    this.talk.down(chunk, (end) => {
      if (!drop) return;
      if (this.talk.answered === drop.batch) pass = end;
      if (this.talk.answered !== drop.batch + 1) return;
      this.finish(drop.then);
      drop.done(drop.statement);
    });
    return chunk.subarray(0, pass);
  }

  finish(how) {
    if (how === 'reset') this.reset();
    if (how === 'fin') { this.client.end(); this.server.end(); }
    if (how === 'silence') this.left = { up: 0, down: 0, how };
  }

  end(way) { (way === 'up' ? this.server : this.client).end(); }

  reset() {
    for (const s of [this.client, this.server]) breakOff(s);
  }
}

// resetAndDestroy() says a good end before the bad one. Who has begun to say a good end cannot be
// reset: he would stay open for ever.
function breakOff(socket) {
  socket.resetAndClosing = !socket.writableEnded;
  socket.destroy();
}

// ---- the wire ----------------------------------------------------------------

class Wire {
  plan = {};
  wait = null;                                // the statement that something happens to
  connections = new Set();
  statements = [];                            // all that were run through it, in order
  accepted = 0;
  #silent = new Set();                        // connections that nobody answers
  #listener = net.createServer({ allowHalfOpen: true }, (s) => this.#accept(s));

  constructor(url) {
    this.target = new URL(url);
  }

  async listen() {
    this.port ??= await freePort();
    this.#listener.listen(this.port, '127.0.0.1');
    await once(this.#listener, 'listening');
    const own = new URL(this.target);
    own.host = `127.0.0.1:${this.port}`;
    this.url = own.href;
  }

  #accept(client) {
    this.accepted++;
    if (this.plan.silent) {
      this.#silent.add(client);
      return client.on('error', () => {}).on('end', () => client.end()).on('close', () => this.#silent.delete(client)).resume();
    }
    const server = net.connect({ host: this.target.hostname, port: Number(this.target.port), allowHalfOpen: true, noDelay: true });
    client.setNoDelay(true);
    const c = new Connection(this, client, server);
    this.connections.add(c);
    c.ended.then(() => this.connections.delete(c));
  }

  #set(plan) {
    Object.assign(this.plan, plan);
    for (const c of this.connections) c.wake();
  }

  // All is well again. Connections that were left without an answer stay so.
  async pass() {
    this.plan = {};
    this.wait = null;
    for (const c of this.connections) c.left = c.left.how === 'silence' ? c.left : {};
    this.#set({});
    if (!this.#listener.listening) await this.listen();
  }

  // New connections are refused; those that are open stay.
  refuse() { this.#listener.close(); }

  // New connections are taken, and hear nothing, for ever.
  stall() { this.#set({ silent: true }); }

  // Nothing goes that way any more ('up', 'down'; else both), no end either.
  hold(...ways) { this.#set({ held: ways.length ? ways : ['up', 'down'] }); }

  // Each piece waits so long, either way.
  delay(milliseconds) { this.#set({ delay: milliseconds }); }

  // Each connection ends when so many more bytes have gone up, or down.
  cut({ up, down, how = 'reset' }) {
    this.#set({ cut: { up, down, how } });
    for (const c of this.connections) c.left = { up, down, how };
  }

  // One side hears that the other has ended, though it has not: 'up' tells the server.
  end(way) { for (const c of this.connections) c.end(way); }

  reset() { for (const c of this.connections) c.reset(); }

  // The next statement that matches is run, but the client never hears so. Resolves with it when
  // the server has answered; then the connection ends with 'reset' or 'fin', or in 'silence'.
  // What stands in one batch with it is not heard of either.
  dropAnswer(match, then = 'reset') { return new Promise((done) => { this.wait = { match, then, done }; }); }

  // The next statement that matches never reaches the server.
  loseStatement(match, then = 'reset') { return new Promise((done) => { this.wait = { match, then, done, lose: true }; }); }

  close() {
    this.#listener.close();
    this.reset();
    for (const s of this.#silent) s.destroy();
  }
}

// Between a client and what listens at `url` (postgresql://user:password@address:port/...);
// clients go to the `url` of what comes back.
export async function wire(url) {
  const w = new Wire(url);
  await w.listen();
  return w;
}
