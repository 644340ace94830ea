// A fake provider from the command line: node serve.mjs --kind openai [--dialect D] [--port N] [--control N] [--tls good] ...
// The first line it writes is JSON: port, controlPort, caFile. Any start() option may be given; JSON values are read as such.
import { parseArgs } from 'node:util';
import { start } from './lib/index.mjs';

const { tokens } = parseArgs({ strict: false, tokens: true });
const value = (v) => {
  try {
    return v === undefined ? true : JSON.parse(v);
  } catch {
    return v;
  }
};
const words = process.argv.slice(2);
const options = {};
for (const { kind, name, value: own, index } of tokens) {
  if (kind !== 'option') continue;
  const next = words[index + 1];
  options[name] = value(own ?? (next?.startsWith('--') ? undefined : next));
}
const { kind, host, port, controlPort, url, caFile } = await start(options);
console.log(JSON.stringify({ kind, host, port, controlPort, url, caFile }));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
