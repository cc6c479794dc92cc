// Walks every screen in a real browser: both languages, both lights, wide and narrow; with data, empty and failed.
// Each stop: the heading is there, nothing overflows, axe finds nothing serious, the console is silent. Screenshots go to
// tests/browser/shots (not committed) to be looked at.
//   npm run build && npm run test:browser
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { start } from './server.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const shots = join(here, 'shots');
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const words = { en: JSON.parse(readFileSync(join(here, '../../src/i18n/en.json'))), ja: JSON.parse(readFileSync(join(here, '../../src/i18n/ja.json'))) };
const PASSWORD = 'a beacon on every hill';
mkdirSync(shots, { recursive: true });

const failures = [];
async function check(name, act) {
  try {
    await act();
    console.log(`ok    ${name}`);
  } catch (error) {
    failures.push(name);
    console.log(`FAIL  ${name}\n      ${String(error.message).split('\n').slice(0, 12).join('\n      ')}`);
  }
}

/** Refusals that a test provokes are no noise. */
const expected = (text) => /status of (401|503)/.test(text) || /Failed to load resource|EventSource/.test(text);

async function serious(page) {
  await page.evaluate(axe);
  const result = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  return result.violations
    .filter((one) => ['serious', 'critical'].includes(one.impact))
    .map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => `${node.target.join(' ')} (${node.any[0]?.message ?? node.failureSummary})`).join('; ')}`);
}

async function settled(page) {
  await page.locator('main h1').first().waitFor({ timeout: 15_000 });
  await page.locator('[role=status] .bone').first().waitFor({ state: 'detached', timeout: 15_000 }).catch(() => undefined);
}

async function stop(page, name) {
  await settled(page);
  await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `${wide} px wider than the window`);
  const found = await serious(page);
  assert.deepEqual(found, []);
}

async function context(browser, { language, theme, width, cookies }) {
  const made = await browser.newContext({ viewport: { width, height: width < 600 ? 844 : 900 }, colorScheme: theme, locale: language === 'ja' ? 'ja-JP' : 'en-GB' });
  await made.addInitScript(([language, theme]) => {
    localStorage.setItem('language', language);
    localStorage.setItem('theme', theme);
  }, [language, theme]);
  if (cookies) await made.addCookies(cookies);
  const page = await made.newPage();
  const noise = [];
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && !expected(message.text()) && noise.push(message.text()));
  page.on('pageerror', (error) => noise.push(String(error)));
  page.on('dialog', (dialog) => {
    noise.push(`dialog ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => request.url().endsWith('/csp-report') && noise.push('a page broke its content security policy'));
  return { made, page, noise };
}

async function comeIn(browser, portal, language) {
  const { made, page, noise } = await context(browser, { language, theme: 'dark', width: 1440 });
  const t = words[language];
  await page.goto(portal.link);
  await page.getByLabel(t['door.name'], { exact: true }).waitFor();
  await page.screenshot({ path: join(shots, `welcome-${language}.png`) });
  assert.equal(new URL(page.url()).hash, '', 'the secret leaves the address bar');
  assert.deepEqual(await serious(page), []);
  await page.getByLabel(t['door.name'], { exact: true }).fill('admin');
  await page.getByLabel(t['door.password'], { exact: true }).fill(PASSWORD);
  await page.getByLabel(t['door.again']).fill(PASSWORD);
  await page.getByRole('button', { name: t['door.create'] }).click();
  await page.getByRole('heading', { name: t['nav.now'], exact: true }).waitFor();
  assert.deepEqual(noise, []);
  const cookies = await made.cookies();
  await made.close();
  return cookies;
}

const screens = async (page, base) => {
  const ids = await page.evaluate(async () => {
    const first = async (path) => (await (await fetch(`/api/v1/${path}?take=1`)).json()).items[0];
    return { attack: await first('attacks'), campaign: await first('campaigns'), session: await first('sessions') };
  });
  return [
    ['now', '/'], ['tiles', '/?view=tiles'], ['explore', '/explore?by=kind&from=-24h&chart=stack'],
    ['explore-heat', '/explore?by=dport&from=-24h&chart=heat&filter=proto%20%3D%20tcp'], ['attacks', '/attacks'],
    ['attack', `/attacks/${ids.attack.id}`], ['campaigns', '/campaigns'], ['campaign', `/campaigns/${ids.campaign.id}`],
    ['sensors', '/sensors?add=1'], ['sensor', '/sensors/frankfurt-1'], ['value-victim', `/value/${encodeURIComponent(ids.attack.victim)}`],
    ['value-port', '/value/23'], ['value-unseen', '/value/2001:db8::1'], ['people', '/people'], ['account', '/account'],
    ['outlook', '/outlook'], ['sessions', '/sessions'], ['session', `/sessions/${encodeURIComponent(ids.session.id)}`], ['samples', '/samples'],
    ['warnings', '/warnings'], ['members', '/members'], ['audit', '/audit'], ['docs', '/docs'], ['docs-page', '/docs/ARCHITECTURE'],
  ].map(([name, path]) => [name, base + path]);
};

async function walk(browser, portal, cookies, look) {
  const { made, page, noise } = await context(browser, { ...look, cookies });
  await page.goto(portal.base);
  await settled(page);
  const tag = `${look.language}-${look.theme}-${look.width < 600 ? 'narrow' : 'wide'}`;
  for (const [name, url] of await screens(page, portal.base)) {
    await check(`${name} ${tag}`, async () => {
      noise.length = 0;
      await page.goto(url);
      await settled(page);
      if (['now', 'tiles'].includes(name)) await page.waitForFunction(() => document.querySelector('.legend .figure')?.textContent !== '0');
      await stop(page, `${name}-${tag}`);
      assert.deepEqual(noise, []);
    });
  }
  await made.close();
}

async function broken(browser, portal, cookies, look) {
  const { made, page } = await context(browser, { ...look, cookies });
  const t = words[look.language];
  for (const [name, part, path] of [['now', 'now', '/'], ['explore', 'explore', '/explore'], ['attacks', 'attacks', '/attacks'], ['campaigns', 'campaigns', '/campaigns'], ['sensors', 'sensors', '/sensors'], ['value', 'lookup', '/value/192.0.2.1'], ['outlook', 'outlook', '/outlook'], ['sessions', 'sessions', '/sessions'], ['samples', 'samples', '/samples'], ['warnings', 'warning', '/warnings'], ['members', 'members', '/members'], ['audit', 'audit', '/audit'], ['people', 'people', '/people']]) {
    await check(`${name} failed ${look.language}`, async () => {
      const pattern = `**/api/v1/${part}*`;
      await page.route(pattern, (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', body: JSON.stringify({ code: 'unavailable', detail: 'The lake is unavailable.', status: 503 }) }));
      await page.goto(portal.base + path);
      await page.getByRole('alert').first().waitFor();
      assert.match(await page.getByRole('alert').first().innerText(), /The lake is unavailable/);
      await page.screenshot({ path: join(shots, `${name}-failed-${look.language}.png`) });
      assert.deepEqual(await serious(page), []);
      await page.unroute(pattern);
      await page.getByRole('button', { name: t['action.retry'] }).first().click();
      await page.getByRole('alert').first().waitFor({ state: 'detached' });
    });
  }
  await made.close();
}

const HOSTILE = ['<img src=x onerror=alert(1)>', '"><script>alert(2)</script>', "javascript:alert(3)//'", '{{7*7}}${7*7}', '\u202egnp.exe', '\u001b[31mred', '<svg/onload=alert(4)>'];

async function hostile(browser, portal, cookies) {
  const { made, page, noise } = await context(browser, { language: 'en', theme: 'dark', width: 1440, cookies });
  const poison = (value, at) => {
    if (typeof value === 'string' && !/^[\d.:-]+$/.test(value) && !['tlp', 'state', 'verdict', 'role', 'source_addresses', 'destination_addresses', 'tlp_ceiling', 'action', 'language'].includes(at)) return HOSTILE[value.length % HOSTILE.length];
    if (Array.isArray(value)) return value.map((one) => poison(one, at));
    if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, at === '' && key === 'rights' ? one : poison(one, key)]));
    return value;
  };
  for (const part of ['now', 'attacks*', 'attacks/*', 'campaigns*', 'sensors', 'sensors/*', 'packets*', 'lookup*', 'explore*', 'people', 'audit*', 'outlook', 'surges', 'sessions*', 'sessions/*', 'samples*', 'warning', 'messages*', 'members', 'tokens', 'sensors/*/policies']) {
    await page.route(`**/api/v1/${part}`, async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, json: poison(await answer.json(), '') });
    });
  }
  for (const path of ['/', '/attacks', '/attacks/x', '/campaigns', '/sensors', '/sensors/frankfurt-1', '/value/192.0.2.1', '/explore?by=src', '/people', '/outlook', '/sessions', '/sessions/x', '/samples', '/warnings', '/members', '/audit', '/account']) {
    await check(`hostile strings ${path}`, async () => {
      noise.length = 0;
      await page.goto(portal.base + path);
      await page.waitForTimeout(1200);
      const grown = await page.evaluate(() => [document.querySelectorAll('main script, main img, main iframe').length, [...document.querySelectorAll('a')].filter((a) => a.protocol === 'javascript:').length]);
      assert.deepEqual(grown, [0, 0]);
      assert.deepEqual(noise.filter((text) => /dialog|policy|refused/i.test(text)), []);
    });
  }
  await made.close();
}

/** Bytes that travel until the first page lives, compressed as they are sent. */
async function firstLoad(browser, portal, cookies) {
  const FIRST_LOAD_BYTES = 250_000;
  const { made, page } = await context(browser, { language: 'ja', theme: 'dark', width: 1440, cookies });
  await check('the first load is at most 250 kB', async () => {
    const wire = await made.newCDPSession(page);
    await wire.send('Network.enable');
    const [names, sizes] = [new Map(), new Map()];
    wire.on('Network.responseReceived', ({ requestId, response }) => names.set(requestId, response.url));
    wire.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => sizes.set(requestId, encodedDataLength));
    // The land of the map comes last.
    const land = page.waitForResponse((response) => response.url().includes('countries'));
    await page.goto(portal.base);
    await settled(page);
    await page.waitForFunction(() => document.querySelector('.legend .figure')?.textContent !== '0');
    await (await land).finished();
    const files = [...sizes].map(([id, size]) => [new URL(names.get(id) ?? portal.base).pathname, size]).filter(([path]) => path !== '/api/v1/live');
    const all = files.reduce((sum, [, size]) => sum + size, 0);
    console.log(`      ${files.length} files, ${all} bytes`);
    assert.ok(all <= FIRST_LOAD_BYTES, `${all} bytes: ${files.sort((a, b) => b[1] - a[1]).slice(0, 8).map(([path, size]) => `${path} ${size}`).join(', ')}`);
  });
  await made.close();
}

async function keyboard(browser, portal, cookies) {
  const { made, page } = await context(browser, { language: 'en', theme: 'dark', width: 1440, cookies });
  await check('keyboard: the slash finds the search, Enter opens the value', async () => {
    await page.goto(`${portal.base}/attacks`);
    await settled(page);
    await page.keyboard.press('/');
    await page.keyboard.type('23');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: '23', exact: true }).waitFor();
  });
  await check('keyboard: a filter is completed and applied', async () => {
    await page.goto(`${portal.base}/explore`);
    await settled(page);
    await page.getByRole('combobox').first().click();
    await page.keyboard.type('kin');
    await page.getByRole('option', { name: /kind/ }).waitFor();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await page.keyboard.type('= backscatter');
    await page.keyboard.press('Escape');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => new URLSearchParams(location.search).get('filter') === 'kind = backscatter');
  });
  await check('the address reproduces the view', async () => {
    await page.goto(`${portal.base}/explore?by=country&measure=sources&from=-6h`);
    await settled(page);
    assert.equal(await page.getByRole('button', { name: 'country' }).getAttribute('aria-pressed'), 'true');
    assert.equal(await page.getByRole('button', { name: '6h' }).getAttribute('aria-pressed'), 'true');
  });
  await made.close();
}

/** The six steps of the first ten minutes, as a newcomer would click them; at most a minute. */
async function tour(browser, portal, cookies, language) {
  const TOUR_MS = 60_000;
  const { made, page, noise } = await context(browser, { language, theme: 'dark', width: 1440, cookies });
  const t = words[language];
  await check(`tour in six steps ${language}`, async () => {
    const began = Date.now();
    await page.goto(portal.base);
    await settled(page);
    await page.getByRole('link', { name: t['tour.open'] }).click();
    const panel = page.getByRole('region', { name: t['tour.open'] });
    for (let step = 1; step <= 6; step += 1) {
      await panel.getByRole('heading', { name: t[`tour.${step}`] }).waitFor();
      await settled(page);
      if (step === 4) {
        const name = `tour-${language}`;
        await page.getByLabel(t['sensors.name'], { exact: true }).fill(name);
        await page.getByRole('button', { name: t['sensors.make'] }).click();
        await page.getByText(/sensor enroll/).first().waitFor();
      }
      await page.screenshot({ path: join(shots, `tour-${step}-${language}.png`) });
      if (step < 6) await panel.getByRole('button', { name: t['tour.next'] }).click();
    }
    await page.getByLabel(t['account.label'], { exact: true }).first().fill('feed');
    await page.getByRole('button', { name: t['account.make'] }).click();
    await page.getByText(/curl -H/).first().waitFor();
    await panel.getByRole('button', { name: t['tour.end'] }).click();
    await panel.waitFor({ state: 'detached' });
    assert.deepEqual(noise, []);
    const took = Date.now() - began;
    console.log(`      the tour took ${(took / 1000).toFixed(1)} s`);
    assert.ok(took <= TOUR_MS, `the tour took ${took} ms`);
  });
  await made.close();
}

async function nothingYet(browser) {
  const portal = await start({ empty: true });
  try {
    const cookies = await comeIn(browser, portal, 'ja');
    for (const language of ['en', 'ja']) {
      const { made, page, noise } = await context(browser, { language, theme: 'light', width: 1440, cookies });
      for (const path of ['', 'explore', 'attacks', 'campaigns', 'sensors', 'outlook', 'sessions', 'samples', 'warnings', 'members']) {
        await check(`${path || 'now'} empty ${language}`, async () => {
          await page.goto(`${portal.base}/${path}`);
          await page.locator('.empty').first().waitFor();
          await stop(page, `${path || 'now'}-empty-${language}`);
          assert.deepEqual(noise, []);
        });
      }
      await made.close();
    }
  } finally {
    portal.stop();
  }
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
const portal = await start();
try {
  const cookies = await comeIn(browser, portal, 'en');
  const looks = [];
  for (const language of ['en', 'ja']) for (const theme of ['dark', 'light']) for (const width of [1440, 390]) looks.push({ language, theme, width });
  // NOROSHI_LOOKS=en-dark-1440,ja-light-390 walks only those.
  const chosen = process.env.NOROSHI_LOOKS?.split(',');
  const work = looks
    .filter((one) => !chosen || chosen.includes(`${one.language}-${one.theme}-${one.width}`))
    .map((look) => () => walk(browser, portal, cookies, look));
  for (const language of ['en', 'ja']) work.push(() => broken(browser, portal, cookies, { language, theme: 'dark', width: 1440 }));
  work.push(() => hostile(browser, portal, cookies), () => firstLoad(browser, portal, cookies), () => keyboard(browser, portal, cookies), () => nothingYet(browser));
  // Pages mostly wait for each other's animations and timers, so more of them than cores run at once.
  const workers = Number(process.env.NOROSHI_WORKERS ?? 4);
  await Promise.all(Array.from({ length: workers }, async () => {
    for (let next = work.shift(); next; next = work.shift()) await next();
  }));
  // Timed, and so alone.
  for (const language of ['en', 'ja']) await tour(browser, portal, cookies, language);
} finally {
  portal.stop();
  await browser.close();
}
console.log(failures.length ? `${failures.length} failed` : 'all screens pass');
process.exit(failures.length ? 1 : 0);
