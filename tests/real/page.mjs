// A person at the approvals page, in headless Chromium with scripts off and with the keyboard alone: opens a request, logs in with the
// provider's own form, reads the request and approves it. Prints what was seen as JSON.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const { PAGE_URL, REQUEST, PERSON, REASON = '', SHOTS } = process.env;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
const context = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 320, height: 720 }, colorScheme: 'light' });
const page = await context.newPage();
// The auditor looks at the same pages with the same cookies; its own script has to run, the pages have none.
const auditing = await browser.newContext();
const audited = await auditing.newPage();
context.setDefaultTimeout(20_000);
auditing.setDefaultTimeout(20_000);
setTimeout(() => {
  console.error('the page was not done in time');
  process.exit(1);
}, 120_000).unref();
const { keyboard } = page;
const seen = { violations: [], complaints: [] };
// Of the provider's own pages nothing is said here.
page.on('console', (message) => message.location().url.startsWith(PAGE_URL) && seen.complaints.push(message.text()));

const check = (holds, what) => {
  if (!holds) throw new Error(`${what}\n${page.url()}`);
};
const focused = () => page.evaluate(() => {
  const { activeElement: element } = document;
  const style = getComputedStyle(element);
  return { text: element.textContent.trim(), name: element.name ?? '', seen: element === document.body || (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2) };
});
// Goes on with Tab to what the person wants; everything on the way shows that it has the focus.
const tabTo = async (wanted) => {
  for (let steps = 0; steps < 40; steps += 1) {
    await keyboard.press('Tab');
    const now = await focused();
    if (new URL(page.url()).origin === PAGE_URL) check(now.seen, `the focus on ${JSON.stringify(now)} cannot be seen`);
    if (now.text === wanted || now.name === wanted) return;
  }
  throw new Error(`Tab does not lead to ${wanted}`);
};
// What a page has to be, whatever it says; axe-core looks for what keeps people with disabilities out (WCAG 2.2 A and AA).
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const look = async (name) => {
  await auditing.addCookies(await context.cookies());
  await audited.goto(page.url());
  await audited.evaluate(axe);
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [320, 1100]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 720 });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      check(wide <= width, `${name} is ${wide} wide at ${width}`);
      await audited.emulateMedia({ colorScheme });
      await audited.setViewportSize({ width, height: 720 });
      const found = await audited.evaluate(() => globalThis.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
      seen.violations.push(...found.violations.map((one) => `${name} ${colorScheme} ${width}: ${one.id}: ${one.nodes[0].html}`));
      if (SHOTS) await page.screenshot({ path: `${SHOTS}/${name}-${colorScheme}-${width}.png`, fullPage: true });
    }
  }
  await page.setViewportSize({ width: 320, height: 720 });
  check(await page.evaluate(() => document.scripts.length === 0 && document.documentElement.lang === 'en' && document.querySelectorAll('h1').length === 1), name);
};

try {
  await page.goto(`${PAGE_URL}/ui/approvals/${REQUEST}`);
  await look('sign-in');
  await tabTo('Sign in');
  await Promise.all([page.waitForURL(/interaction/), keyboard.press('Enter')]);
  await tabTo('login');
  await keyboard.type(PERSON);
  await keyboard.press('Tab');
  await keyboard.type('any');
  await Promise.all([page.waitForNavigation(), keyboard.press('Enter')]);
  await tabTo('Continue');
  await Promise.all([page.waitForURL(`${PAGE_URL}/ui/approvals/${REQUEST}`), keyboard.press('Enter')]);
  seen.request = await page.innerText('main');
  await look('request');
  await page.goto(`${PAGE_URL}/ui/approvals`);
  seen.list = await page.innerText('main');
  await look('list');
  await page.goBack();
  if (await page.locator('textarea').count()) {
    await tabTo('reason');
    await keyboard.type(REASON);
    await tabTo('Approve this call');
    await Promise.all([page.waitForNavigation(), keyboard.press('Enter')]);
    await look('decided');
  }
  seen.after = await page.innerText('main');
  seen.cookies = await context.cookies(PAGE_URL);
  console.log(JSON.stringify(seen));
} finally {
  await browser.close();
}
