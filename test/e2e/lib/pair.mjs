// Two of the program on one database, and nginx before them.
import { at, migrate } from './database.mjs';
import { chain } from './nginx.mjs';
import { cluster, freePort } from './postgres.mjs';
import { start } from './server.mjs';

class Pair {
  servers = [];
  ports = [];

  constructor(settings, options) {
    this.settings = settings;
    this.options = options;
  }

  // Its port stays its own, so that nginx finds it when it comes back.
  async #begin(i) {
    this.ports[i] ??= await freePort();
    this.servers[i] = await start({ ...this.settings, listen: `127.0.0.1:${this.ports[i]}` }, this.options.start);
    return this.servers[i];
  }

  async open() {
    for (const i of [0, 1]) await this.#begin(i);
    this.nginx = await chain(this.servers, this.options.nginx);
    this.port = this.nginx.port;
  }

  // As when the machine goes: not a word more.
  async kill9(i) {
    const s = this.servers[i];
    s.kill('SIGKILL');
    await s.until(() => s.exited, 'the server to be gone');
  }

  // Lets it end as it should, if it still runs, and starts it anew.
  async restart(i) {
    if (!this.servers[i].exited) await this.servers[i].stop();
    return this.#begin(i);
  }

  async stop() {
    await this.nginx?.stop();
    for (const s of this.servers) if (!s.exited) await s.stop();
    await this.cluster?.remove();
  }
}

// `settings` are of both. With database.url they share that database, which is the caller's and
// migrated; else they get one in a cluster of their own, `pair.url`. `database: null` is none.
//
//   nginx   for chain(): hops, balance, buffering...
//   start   for start(): env, nofile...
export async function startPair(settings = {}, options = {}) {
  const { database, ...others } = settings;
  const pair = new Pair(others, options);
  try {
    if (database !== null) {
      pair.url = database?.url ?? await ownDatabase(pair);
      pair.settings = { ...others, database: { ...database, url: pair.url } };
    }
    await pair.open();
    return pair;
  } catch (e) {
    await pair.stop().catch(() => {});
    throw e;
  }
}

async function ownDatabase(pair) {
  pair.cluster = await cluster();
  await pair.cluster.sql('CREATE DATABASE pair');
  const url = at(pair.cluster.url, 'pair');
  await migrate(url);
  return url;
}
