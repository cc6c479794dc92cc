// Opens a running portal through its one-time link and takes a screenshot of each screen, to be looked at.
//   node tests/browser/look.mjs LINK FOLDER
import { mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';

const [link, folder = 'screenshots'] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en-GB', colorScheme: 'dark' });
const page = await context.newPage();
const noise = [];
page.on('console', (message) => ['error', 'warning'].includes(message.type()) && noise.push(message.text()));
page.on('pageerror', (error) => noise.push(String(error)));
await page.goto(link);
await page.getByLabel('Name').fill('admin');
await page.getByLabel('Password', { exact: true }).fill('a beacon on every hill');
await page.getByLabel('Password again').fill('a beacon on every hill');
await page.screenshot({ path: `${folder}/00-welcome.png` });
await page.getByRole('button', { name: 'Begin' }).click();
await page.getByRole('heading', { name: 'Now' }).waitFor();
await page.waitForTimeout(6000);
await page.screenshot({ path: `${folder}/01-now.png`, fullPage: true });
const base = new URL(link).origin;
const shots = [
  ['02-tiles', '/?view=tiles', 9000],
  ['03-explore', '/explore?by=kind,dport&from=-24h', 2500],
  ['04-explore-heat', '/explore?by=dport&from=-24h&chart=heat', 2500],
  ['05-attacks', '/attacks', 1500],
  ['06-campaigns', '/campaigns', 1500],
  ['07-sensors', '/sensors?add=1', 2500],
  ['08-sensor', '/sensors/frankfurt-1', 2500],
  ['09-port', '/value/23', 2500],
  ['10-people', '/people', 1500],
  ['11-account', '/account', 1500],
];
for (const [name, path, wait] of shots) {
  await page.goto(base + path);
  await page.waitForTimeout(wait);
  await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
}
for (const [name, path, row] of [['12-attack', '/attacks', 0], ['13-campaign', '/campaigns', 0]]) {
  await page.goto(base + path);
  await page.locator('tbody tr a').nth(row).click();
  await page.waitForTimeout(2500);
  await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
}
console.log(noise.length ? noise.slice(0, 20).join('\n') : 'no console errors');
await browser.close();
