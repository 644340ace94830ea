// Real nginx before the program, one or several in a row.
//
// Each runs in the foreground with a directory of its own, as whoever runs the tests, in one
// process: a worker would outlive a master that was killed.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './postgres.mjs';
import { connect, ms } from './raw.mjs';
import { cleanEnv, exitCode, launch, scratch } from './server.mjs';

const TEMPORARY = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

const whole = (http) => `
daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events { worker_connections 4000; }
http {
    access_log off;
${TEMPORARY.map((kind) => `    ${kind}_temp_path temp/${kind};\n`).join('')}${http}}
`;

class Nginx {
  log = '';

  constructor(port, files, more) {
    this.port = port;
    this.dir = scratch();
    mkdirSync(join(this.dir, 'temp'));
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(this.dir, name)), { recursive: true });
      writeFileSync(join(this.dir, name), text);
    }
    this.child = launch('nginx', ['-p', `${this.dir}/`, '-e', 'stderr', '-c', 'nginx.conf', ...more], {
      env: cleanEnv({ PATH: `${process.env.PATH}:/usr/sbin:/sbin` }), stdio: ['ignore', 'ignore', 'pipe'] });
    this.child.stderr.setEncoding('utf8').on('data', (d) => { this.log += d; });
    this.child.on('error', (e) => { this.log += e.message; });
  }

  get hasEnded() { return this.child.pid === undefined || this.child.exitCode !== null || this.child.signalCode !== null; }

  async listens() {
    for (const end = performance.now() + ms(10000); !this.hasEnded && performance.now() < end; await sleep(10)) {
      try {
        (await connect(this.port)).destroy();
        return !this.hasEnded;
      } catch { /* not yet */ }
    }
    return false;
  }

  // What nginx itself calls worse than an error is one here too: it crashed, or could not do as told.
  async stop() {
    this.child.kill('SIGTERM');
    assert.equal(await exitCode(this.child), 0, this.log);
    rmSync(this.dir, { recursive: true, force: true });
    assert.doesNotMatch(this.log, /\[(crit|alert|emerg)\]/);
  }
}

// `http` makes the text of the http block for the port that nginx shall listen on.
export const nginx = (http) => started((port) => ({ 'nginx.conf': whole(http(port)) }));

async function started(files, more = []) {
  for (let tries = 1; ; tries++) {
    const port = await freePort();
    const n = new Nginx(port, files(port), more);
    if (await n.listens()) return n;
    n.child.kill('SIGKILL');
    rmSync(n.dir, { recursive: true, force: true });
    if (tries === 5 || !/Address already in use/.test(n.log)) throw new Error(`nginx does not listen:\n${n.log}`);
  }
}

// ---- a row of them -----------------------------------------------------------

// What one of them does for those behind it. With max_fails=0 it asks one that failed again at
// the next request: one that restarts is back at once, and two never count as gone together.
const relay = (port, behind, { balance, buffering, version = '1.1', readTimeout = '60s', keepAlive = 64, inner = false, http = '', location = '' }) => `
    ${http}
    map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
    upstream behind {
        ${balance ? `${balance};` : '# round robin'}
        ${behind.map((p) => `server 127.0.0.1:${p} max_fails=0;`).join('\n        ')}
        ${keepAlive ? `keepalive ${keepAlive};` : ''}
    }
    server {
        listen 127.0.0.1:${port} backlog=4096;
        client_max_body_size 16m;
        location / {
            proxy_pass http://behind;
            proxy_http_version ${version};
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_read_timeout ${readTimeout};
            ${buffering === 'off' ? 'proxy_buffering off;' : ''}
            ${buffering !== 'off' && inner ? 'proxy_pass_header X-Accel-Buffering;' : ''}
            ${location}
        }
    }
`;

// client -> nginx (-> nginx ...) -> the servers, which take turns. `port` is where clients go.
//
//   hops         how many nginx, one behind the other
//   balance      'least_conn', 'ip_hash'...; without: round robin
//   buffering    'off' switches it off in nginx. Without, only X-Accel-Buffering in the answer
//                does; nginx keeps that to itself, so all but the first are told to pass it on
//   version      '1.0' is what nginx asks with where nobody says anything else
//   readTimeout  proxy_read_timeout
//   keepAlive    idle connections that are kept to those behind, 0 for none
//   http         more text for the http block
//   location     more text for the location
export async function chain(servers, { hops = 1, ...options } = {}) {
  const row = [];
  let behind = servers.map((s) => s.port);
  for (let i = 1; i <= hops; i++) {
    const ports = behind;
    row.unshift(await nginx((port) => relay(port, ports, { ...options, inner: i < hops })));
    behind = [row[0].port];
  }
  return { port: row[0].port, row, get log() { return row.map((n) => n.log).join(''); }, async stop() { for (const n of row) await n.stop(); } };
}

// ---- the one that is deployed --------------------------------------------------

const docker = resolve(import.meta.dirname, '../../../docker');
export const deployedText = (name) => readFileSync(join(docker, name), 'utf8');

// docker/nginx.conf as it is, before the servers at `ports`: only the two files about the place
// are other ones, made of those that are there.
//
//   tls          { cert, key }: with docker/nginx/listen-tls.conf, whose port without TLS is
//                at 127.0.0.2
//   readTimeout  proxy_read_timeout, where the file's is too long to wait for
export function deployed(ports, { tls, readTimeout } = {}) {
  const upstream = deployedText('nginx/upstream.conf');
  const [, settings] = /^ *server \S+ ([^;]*);/m.exec(upstream);
  const servers = ports.map((p) => `    server 127.0.0.1:${p} ${settings};\n`).join('');
  const text = deployedText('nginx.conf'), listen = deployedText(tls ? 'nginx/listen-tls.conf' : 'nginx/listen.conf');
  return started((port) => ({
    'nginx.conf': readTimeout ? text.replace(/proxy_read_timeout [^;]+;/, `proxy_read_timeout ${readTimeout};`) : text,
    'nginx/upstream.conf': upstream.replace(/^ *server .*\n/gm, '').replace(/^}/m, `${servers}}`),
    'nginx/listen.conf': listen.replace(/^listen 127\.0\.0\.1:\d+/m, `listen 127.0.0.2:${port}`).replace(/^listen \d+(?=[ ;])/m, `listen 127.0.0.1:${port}`),
    'run/here': '',
    ...(tls && { 'nginx/certificate/fullchain.pem': tls.cert, 'nginx/certificate/key.pem': tls.key }),
  }), ['-g', 'daemon off; master_process off;']);
}
