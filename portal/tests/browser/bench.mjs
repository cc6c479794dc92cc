// The portal's figures against a real hub with its sample: how soon a newcomer has a page, how soon each screen answers,
// whether the live view stutters, and whether many viewers and questions at once disturb each other. Prints a table, ends
// with 1 when a goal is missed. Meant for a machine that does nothing else; no part of continuous integration.
//   NOROSHI=target/release/noroshi node tests/browser/bench.mjs [--viewers 200] [--queries 50] [--seconds 20] [--rate 5000]
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launch, signedIn } from './people.mjs';
import { noroshi, start } from './server.mjs';

const option = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
};
const VIEWERS = option('viewers', 200);
const QUERIES = option('queries', 50);
const SECONDS = option('seconds', 20);
const RATE = option('rate', 5000);
/** Viewers who open the live feed and never read it. */
const SLOW = 20;
const SETTLES_MS = 5000;

const rows = [];
let failed = false;
function figure(what, value, unit, goal) {
  const good = goal === undefined || value <= goal;
  failed ||= !good;
  rows.push([what, `${Math.round(value * 10) / 10} ${unit}`, goal === undefined ? '' : `≤ ${goal} ${unit}`, good ? '' : 'MISSED']);
  console.log(rows.at(-1).join(' | '));
}
const percentile = (values, share) => values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0;
const wait = (ms) => new Promise((next) => setTimeout(next, ms));

/** `noroshi up --demo` in a new folder, until its link is printed. */
async function up() {
  const data = mkdtempSync(join(tmpdir(), 'noroshi-bench-'));
  const began = performance.now();
  const child = spawn(noroshi, ['up', '--demo', '--data', data, '--listen', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (text += bytes));
  const ended = new Promise((next) => child.on('exit', next));
  const link = () => text.match(/http:\S+#\S+/)?.[0];
  while (!link()) {
    if (child.exitCode !== null) throw new Error(text);
    await wait(50);
  }
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
    rmSync(data, { recursive: true, force: true });
  };
  return { link: link(), base: new URL(link()).origin, pid: child.pid, began, stop };
}

async function settled(page) {
  await page.locator('main h1').first().waitFor({ timeout: 60_000 });
  await page.waitForFunction(() => !document.querySelector('[role=status] .bone'), undefined, { timeout: 60_000 });
}

async function screens(page, base) {
  const times = [];
  for (const path of ['/', '/?view=tiles', '/explore?by=kind&from=-24h&chart=stack', '/attacks', '/campaigns', '/outlook', '/sessions', '/samples', '/warnings', '/members', '/sensors', '/sensors/sample', '/value/23', '/people', '/audit', '/docs']) {
    const began = performance.now();
    await page.goto(base + path);
    await settled(page);
    times.push(performance.now() - began);
    console.log(`  ${path}: ${Math.round(times.at(-1))} ms`);
  }
  figure('screen interactive, slowest', Math.max(...times), 'ms', 1000);
  await page.goto(`${base}/explore?by=kind&from=-24h`);
  await settled(page);
  const changes = [];
  for (const filter of ['proto = tcp', 'proto = udp', 'kind = scan', 'dport = 23', 'kind = backscatter', 'proto = icmp', 'dport = 443', 'kind = infected', 'kind = amplification', 'proto = tcp and dport = 22', 'wire_len > 100', 'ttl < 64', 'kind = udp', 'dport = 80', 'country = JP']) {
    const began = performance.now();
    const answered = page.waitForResponse((response) => response.url().includes('/api/v1/explore'));
    await page.evaluate((filter) => {
      const here = new URL(location.href);
      here.searchParams.set('filter', filter);
      history.pushState(null, '', here);
      dispatchEvent(new PopStateEvent('popstate'));
    }, filter);
    await answered;
    await page.evaluate(() => new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next))));
    changes.push(performance.now() - began);
  }
  figure('filter change, p95', percentile(changes, 0.95), 'ms', 300);
}

function get(base, path, cookie) {
  return new Promise((next) => {
    const began = performance.now();
    const request = http.get(base + path, { headers: { cookie }, agent }, (answer) => {
      answer.on('data', () => undefined);
      answer.on('end', () => next({ ms: performance.now() - began, status: answer.statusCode }));
    });
    request.on('error', () => next({ ms: performance.now() - began, status: 0 }));
  });
}
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });

function viewer(base, cookie, slow) {
  const seen = { ticks: 0, missed: 0, last: 0 };
  const request = http.get(`${base}/api/v1/live`, { headers: { cookie }, agent: false }, (answer) => {
    if (slow) {
      answer.pause();
      return;
    }
    let rest = '';
    answer.setEncoding('utf8');
    answer.on('data', (text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      for (const line of lines) {
        if (line === 'event: tick' || line === 'event:tick') seen.ticks += 1;
        if (line.startsWith('event') && line.includes('missed')) seen.missed += 1;
      }
    });
  });
  request.on('error', () => undefined);
  return { seen, close: () => request.destroy() };
}

const memory = (pid, name) => Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(new RegExp(`${name}:\\s+(\\d+)`))[1]) / 1024;

async function load(hub, cookie) {
  const good = Array.from({ length: VIEWERS }, () => viewer(hub.base, cookie, false));
  const slow = Array.from({ length: SLOW }, () => viewer(hub.base, cookie, true));
  await wait(1000);
  const paths = ['/api/v1/now', '/api/v1/attacks?take=50', '/api/v1/explore?by=kind&from=-1h', '/api/v1/lookup?value=23', '/api/v1/campaigns?take=50', '/api/v1/packets?take=50&from=-1h', '/api/v1/sessions?take=50', '/api/v1/explore?by=dport&from=-24h', '/api/v1/sensors', '/api/v1/outlook'];
  const before = good.map((one) => one.seen.ticks);
  const asked = [];
  const began = performance.now();
  for (let n = 0; n < QUERIES * SECONDS; n += 1) {
    const due = began + (n * 1000) / QUERIES;
    if (due > performance.now()) await wait(due - performance.now());
    asked.push(get(hub.base, paths[n % paths.length], cookie));
  }
  const answers = await Promise.all(asked);
  const ticks = good.map((one, at) => one.seen.ticks - before[at]);
  const lasted = (performance.now() - began) / 1000;
  figure(`${VIEWERS} viewers, ${QUERIES} queries/s: query p95`, percentile(answers.map((one) => one.ms), 0.95), 'ms', 1000);
  figure('queries that failed', answers.filter((one) => one.status !== 200).length, 'queries', 0);
  figure(`ticks that a good viewer lacks, of ${Math.floor(lasted * 2)}, beside ${SLOW} who never read`, Math.max(0, Math.floor(lasted * 2) - 2 - Math.min(...ticks)), 'ticks', 0);
  figure('good viewers told of missed ticks', good.filter((one) => one.seen.missed > 0).length, 'viewers', 0);
  figure('memory of the hub, most', memory(hub.pid, 'VmHWM'), 'MiB', 1024);
  for (const one of [...good, ...slow]) one.close();
}

/** Long tasks (W3C Long Tasks: over 50 ms) while the live view draws. */
async function stutter(browser) {
  const portal = await start({ rate: RATE });
  try {
    const { page, context } = await signedIn(browser, portal);
    await page.addInitScript(() => {
      globalThis.longTasks = [];
      new PerformanceObserver((list) => longTasks.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: 'longtask' });
    });
    for (const view of ['map', 'tiles']) {
      await page.goto(`${portal.base}/?view=${view}`);
      await settled(page);
      await wait(SETTLES_MS);
      await page.evaluate(() => (longTasks.length = 0));
      await wait(SECONDS * 1000);
      const found = await page.evaluate(() => longTasks);
      figure(`${view} at ${RATE} packets/s for ${SECONDS} s: longest task over 50 ms`, Math.max(0, ...found), 'ms', 0);
    }
    await context.close();
  } finally {
    portal.stop();
  }
}

const browser = await launch();
const hub = await up();
try {
  const { page, cookie } = await signedIn(browser, hub);
  await page.goto(hub.base);
  await page.waitForFunction(() => Number(document.querySelector('.figures b')?.textContent?.replace(/[^\d.]/g, '') ?? 0) > 0, undefined, { timeout: 120_000 });
  figure('from `noroshi up --demo` to a page that shows packets', (performance.now() - hub.began) / 1000, 's', 10);
  await wait(SETTLES_MS * 4); // until the sample day is in the lake
  await screens(page, hub.base);
  await load(hub, cookie);
  await page.close();
} finally {
  await hub.stop();
}
await stutter(browser);
await browser.close();
console.log(`\n| what | measured | goal | |\n|---|---|---|---|\n${rows.map((row) => `| ${row.join(' | ')} |`).join('\n')}`);
process.exit(failed ? 1 : 0);
