// What the README says is true: its settings table, its paths, its two examples.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { run, scratch, start } from './lib/server.mjs';

const root = resolve(import.meta.dirname, '../..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const block = (language) => new RegExp('```' + language + '\n(.*?)```', 's').exec(readme)[1];

test('the settings table is the program\'s own', async () => {
  const table = /<!-- settings:.*?-->\n(.*?)<!-- end of settings -->/s.exec(readme)[1];
  assert.equal(table, (await run(['settings'])).stdout);
});

test('every path it names is there', () => {
  const paths = [...readme.matchAll(/`((?:src|test|bench|docs|deps)\/[\w./-]+)`/g)].map((m) => m[1]);
  assert.ok(paths.length > 10);
  for (const path of paths) assert.ok(existsSync(join(root, path)), path);
});

test('its settings file is good and its SDK example streams', async () => {
  const server = await start(block('yaml').replace('8080', '0'));
  const dir = scratch();
  symlinkSync(join(import.meta.dirname, 'node_modules'), join(dir, 'node_modules'));
  writeFileSync(join(dir, 'example.mjs'), block('js').replace('8080', String(server.port)));
  const { stdout } = await promisify(execFile)(process.execPath, [join(dir, 'example.mjs')], { env: { ...process.env, TOKEN: 'none' } });
  assert.equal(stdout, 'Hello there');
  await server.stop();
});

test('its curl line streams', async () => {
  const server = await start();
  const line = /curl -N http.*?there"\}\]\}'/s.exec(readme)[0].replace('8080', String(server.port));
  const { stdout } = await promisify(execFile)('bash', ['-c', line]);
  assert.match(stdout, /"content":"Hello"/);
  assert.match(stdout, /data: \[DONE\]\n\n$/);
  await server.stop();
});
