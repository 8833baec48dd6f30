// A person at a real browser: opens an address, logs in where asked, consents where asked, and says where it ended.
//
//   node log_in.mjs NAME URL     prints {"title", "text", "url", "requests"} of the last page as JSON
//
// CHROMIUM names another executable. No look-up leaves this machine.
import { chromium } from 'playwright-core';

const [name, address] = process.argv.slice(2);
const MOST_PAGES = 10;
const QUIET = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
];

/** Fills and sends the authorization server's forms until a page has none. */
async function walk(page) {
  for (let pages = 0; pages < MOST_PAGES; pages += 1) {
    if (await page.locator('input[name=login]').count()) {
      await page.fill('input[name=login]', name);
      await page.fill('input[name=password]', 'any');
    } else if (!await page.locator('form').count()) return;
    await Promise.all([page.waitForNavigation(), page.click('button[type=submit]')]);
  }
  throw new Error(`still a form after ${MOST_PAGES} pages: ${page.url()}`);
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: QUIET });
try {
  const page = await browser.newPage();
  const requests = [];
  page.on('request', (request) => requests.push(new URL(request.url()).origin));
  await page.goto(address);
  await walk(page);
  console.log(JSON.stringify({
    title: await page.title(), text: await page.innerText('body'), url: page.url(), requests: [...new Set(requests)],
  }));
  if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT });
} finally {
  await browser.close();
}
