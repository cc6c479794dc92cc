// Starts the portal over a generated day on a free loopback port, and stops it again.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const target = process.env.CARGO_TARGET_DIR ?? join(root, 'target');
const server = process.env.NOROSHI_PORTAL_SERVER ?? join(target, 'debug/examples/portal');
export const noroshi = process.env.NOROSHI ?? join(target, 'debug/noroshi');
const START_WITHIN_MS = 120_000;

function made(folder) {
  const run = (args, into) => {
    const done = spawnSync(noroshi, args, { encoding: 'buffer', maxBuffer: 1 << 28 });
    if (done.status !== 0) throw new Error(`${noroshi} ${args.join(' ')}: ${done.stderr}`);
    if (into) writeFileSync(into, done.stdout);
  };
  run(['simulate', 'darknet-day', '--packets', '60000', '--output', folder]);
  run(['analyze', '--format', 'json', join(folder, 'day.pcap')], join(folder, 'report.json'));
}

/** A running portal: its link, its address, and how to stop it. */
export async function start({ data = process.env.NOROSHI_TEST_DATA, empty = false, rate = 100 } = {}) {
  for (const program of [server, noroshi]) {
    if (!existsSync(program)) {
      throw new Error(`${program} is missing; run: cargo build -p noroshi-api --example portal && cargo build -p noroshi-cli`);
    }
  }
  const work = mkdtempSync(join(tmpdir(), 'noroshi-portal-'));
  const folder = data ?? work;
  if (!empty && !data) made(work);
  const linkFile = join(work, 'link');
  const countries = join(process.env.NOROSHI_SHARED ?? join(root, '../shared'), 'data/geo/iptoasn-country.mmdb');
  const args = ['--listen', '127.0.0.1:0', '--link-file', linkFile];
  if (existsSync(countries)) args.push('--countries', countries);
  if (!empty) args.push('--rate', String(rate), ...(existsSync(join(folder, 'report.json')) ? ['--report', join(folder, 'report.json')] : []), join(folder, 'day.pcap'));
  const child = spawn(server, args, { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, NOROSHI_UI_LIVE: join(root, 'portal/dist') } });
  const stop = () => {
    child.kill();
    rmSync(work, { recursive: true, force: true });
  };
  const began = Date.now();
  while (!existsSync(linkFile) || readFileSync(linkFile).length === 0) {
    if (child.exitCode !== null || Date.now() - began > START_WITHIN_MS) {
      stop();
      throw new Error('the portal did not start');
    }
    await new Promise((next) => setTimeout(next, 100));
  }
  const link = readFileSync(linkFile, 'utf8');
  return { link, base: new URL(link).origin, stop };
}
