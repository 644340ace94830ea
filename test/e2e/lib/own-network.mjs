// A network of its own for a test file, in which an address that is nobody's neighbour leads back here: what may reach public
// addresses only can be tried without the Internet. To be imported before all else; then the file runs once more, inside.
//
// `elsewhere` is that address, or undefined where this machine lets nobody have a network of his own.
import { spawnSync } from 'node:child_process';

const ADDRESS = '11.22.33.44';
const SETUP = `ip link set lo up && ip address add ${ADDRESS}/32 dev lo && exec "$@"`;
const AS = process.getuid() === 0 ? ['--net'] : ['--map-current-user', '--keep-caps', '--net'];
const inside = (...command) => ['--pdeathsig', 'TERM', 'unshare', ...AS, 'sh', '-c', SETUP, 'sh', ...command];

if (!process.env.OWN_NETWORK && spawnSync('setpriv', inside('true')).status === 0) {
  const { status } = spawnSync('setpriv', inside(process.execPath, ...process.execArgv, process.argv[1]),
    { stdio: 'inherit', env: { ...process.env, OWN_NETWORK: ADDRESS } });
  process.exit(status ?? 1);
}

export const elsewhere = process.env.OWN_NETWORK;
