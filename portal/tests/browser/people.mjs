// A browser, and the first administrator in it.
import { chromium } from 'playwright-core';

export const PASSWORD = 'a beacon on every hill';

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });

/** Opens the one-time link, makes the account, and gives a page that is signed in. */
export async function signedIn(browser, portal, { language = 'en', theme = 'dark', width = 1440 } = {}) {
  const answer = await fetch(`${portal.base}/api/v1/welcome`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: portal.base },
    body: JSON.stringify({ link: new URL(portal.link).hash.slice(1), name: 'admin', password: PASSWORD }),
  });
  if (!answer.ok) throw new Error(`welcome: ${answer.status} ${await answer.text()}`);
  const cookie = answer.headers.get('set-cookie').split(';')[0];
  const [name, value] = cookie.split(/=(.*)/s);
  const context = await browser.newContext({ viewport: { width, height: width < 600 ? 844 : 900 }, colorScheme: theme, locale: language === 'ja' ? 'ja-JP' : 'en-GB' });
  await context.addInitScript(([language, theme]) => {
    localStorage.setItem('language', language);
    localStorage.setItem('theme', theme);
  }, [language, theme]);
  await context.addCookies([{ name, value, url: portal.base }]);
  return { page: await context.newPage(), context, cookie };
}
