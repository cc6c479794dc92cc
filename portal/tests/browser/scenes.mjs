// Three scenes for the eye: a scan wave, a flood and carpet bombing, each over the same background, replayed at their own
// pace. Screenshots of Now and Tiles go to tests/browser/shots: whoever looks at them without their names should be able
// to say which is which.
//   node tests/browser/scenes.mjs [en|ja] [dark|light] [width]
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch, signedIn } from './people.mjs';
import { noroshi, start } from './server.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const shots = join(here, 'shots');
const [language = 'en', theme = 'dark', width = '1440'] = process.argv.slice(2);
/** Packets a second: 40,000 packets of four minutes. */
const RATE = 167;
const WATCHED_MS = 40_000;
mkdirSync(shots, { recursive: true });

const browser = await launch();
for (const scene of ['wave', 'flood', 'carpet']) {
  const folder = mkdtempSync(join(tmpdir(), 'noroshi-scene-'));
  const made = spawnSync(noroshi, ['simulate', join(here, 'scenes', `${scene}.toml`), '--output', folder], { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(made.stderr);
  const portal = await start({ data: folder, rate: RATE });
  try {
    const { page, context } = await signedIn(browser, portal, { language, theme, width: Number(width) });
    await page.goto(portal.base);
    await page.waitForTimeout(WATCHED_MS);
    await page.screenshot({ path: join(shots, `scene-${scene}-map-${language}-${theme}-${width}.png`) });
    await page.goto(`${portal.base}/?view=tiles`);
    await page.waitForTimeout(WATCHED_MS / 2);
    await page.screenshot({ path: join(shots, `scene-${scene}-tiles-${language}-${theme}-${width}.png`) });
    await context.close();
    console.log(`scene ${scene}: shots/scene-${scene}-{map,tiles}-${language}-${theme}-${width}.png`);
  } finally {
    portal.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
await browser.close();
