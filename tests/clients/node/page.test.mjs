// The chat page in headless Chromium: what a person sees and does, with the mouse and without.
import assert from 'node:assert/strict';
import {existsSync, mkdirSync} from 'node:fs';
import {join} from 'node:path';
import test from 'node:test';
import {chromium} from 'playwright-core';
import {final, withServer} from './serve.mjs';

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
const shots = process.env.SCREENSHOTS;  // a folder to leave pictures in

async function withPage(turns, body, {flags, ...options} = {}) {
  await withServer(turns, async (server) => {
    const browser = await chromium.launch({executablePath, args: ['--no-sandbox', '--disable-gpu']});
    try {
      const page = await browser.newPage({viewport: {width: 900, height: 800}, ...options});
      const troubles = [], elsewhere = [];
      page.on('pageerror', (error) => troubles.push(String(error)));
      page.on('console', (message) => message.type() === 'error' && troubles.push(message.text()));
      page.on('request', (request) => {
        if (!request.url().startsWith(server.url) && !request.url().startsWith('data:')) elsewhere.push(request.url());
      });
      await page.goto(server.url);
      await page.waitForFunction(() => document.getElementById('model').options.length > 0 || document.querySelector('dialog').open);
      await body(page, server);
      assert.deepEqual(elsewhere, [], 'the page loads nothing from elsewhere');
      assert.deepEqual(troubles.filter((text) => !/401/.test(text)), []);
    } finally {
      await browser.close();
    }
  }, flags);
}

const idle = (page) => page.waitForFunction(() => document.getElementById('stop').hidden && !document.querySelector('.busy'));
async function say(page, text) {
  await page.getByLabel('Your message').fill(text);
  await page.keyboard.press('Enter');
  await idle(page);
}
const picture = async (page, name) => {
  if (!shots) return;
  mkdirSync(shots, {recursive: true});
  await page.screenshot({path: join(shots, `${name}.png`)});
};

const lesson = `A **mutex** lets one thread at a time into a section of code:

\`\`\`cpp
#include <mutex>
std::mutex door;  // one key
int count = 0;
void enter() {
  const std::lock_guard key(door);
  return count += 1, void();  // "safe"
}
\`\`\`

1. Take the lock
2. Do the work
   - quickly
   - without waiting

| call | waits |
|---|---|
| \`lock\` | yes |
| \`try_lock\` | no |

> See [the standard](https://example.org/mutex).`;

test('a conversation: Markdown, code, folded reasoning, figures', () => withPage(
    [final(lesson, 'The user wants a short lesson.'), final('Yes.')], async (page) => {
      await say(page, 'What is a mutex?');
      const answer = page.locator('.message.assistant').first();
      assert.equal(await answer.locator('strong').textContent(), 'mutex');
      assert.ok(await answer.locator('pre .keyword').count() >= 3);
      assert.equal(await answer.locator('pre .comment').first().textContent(), '// one key');
      assert.equal(await answer.locator('ol > li').count(), 2);
      assert.equal(await answer.locator('ol ul > li').count(), 2);
      assert.equal(await answer.locator('tbody tr').count(), 2);
      assert.equal(await answer.locator('blockquote a').getAttribute('href'), 'https://example.org/mutex');
      const reasoning = answer.locator('details.reasoning');
      assert.equal(await reasoning.evaluate((element) => element.open), false);
      await reasoning.locator('summary').click();
      assert.match(await reasoning.textContent(), /short lesson/);
      assert.match(await page.getByRole('status').textContent(), /\d+ tokens, [\d.]+ tokens\/s.*reused/);
      await picture(page, 'light');
      await page.emulateMedia({colorScheme: 'dark'});
      await picture(page, 'dark');
      await say(page, 'Sure?');
      assert.equal(await page.locator('.message').count(), 4);
      await page.reload();  // the browser keeps it
      assert.equal(await page.locator('.message').count(), 4);
      assert.equal(await page.locator('.message.assistant strong').first().textContent(), 'mutex');
    }));

test('what a model says never becomes markup', () => withPage(
    [final('<img src=x onerror="document.title=1"><script>document.title=2</script> [x](javascript:document.title=3) `<b>`')],
    async (page) => {
      await say(page, '<b>bold?</b>');
      const title = await page.title();
      assert.equal(title, 'Atelier');
      assert.equal(await page.locator('#log img, #log script, #log b, #log a').count(), 0);
      assert.match(await page.locator('.assistant .said').textContent(), /<script>/);
      assert.equal(await page.locator('.user .said').textContent(), '<b>bold?</b>');
    }));

test('edit, regenerate, a new conversation, all by keyboard', () => withPage(
    ['One.', 'Two.', 'Three.', 'Four.'].map((text) => final(text)), async (page) => {
      await say(page, 'Count');
      await page.getByRole('button', {name: 'Regenerate'}).focus();
      await page.keyboard.press('Enter');
      await idle(page);
      assert.equal(await page.locator('.assistant .said').textContent(), 'Two.');
      await page.getByLabel('Your message').focus();
      await page.keyboard.press('ArrowUp');
      const editor = page.getByLabel('Edit your message');
      assert.equal(await editor.inputValue(), 'Count');
      await page.keyboard.type(' on');
      await page.keyboard.press('Enter');
      await page.waitForFunction(() => document.querySelector('.assistant .said')?.textContent === 'Three.');
      await idle(page);
      assert.equal(await page.locator('.user .said').textContent(), 'Count on');
      await page.getByRole('button', {name: 'New conversation'}).focus();
      await page.keyboard.press('Space');
      assert.equal(await page.locator('.message').count(), 0);
      // Everything that can be reached has a name to read out.
      const unnamed = await page.locator('button, select, textarea, input').evaluateAll(
          (elements) => elements.filter((e) => !(e.textContent.trim() || e.labels?.length || e.getAttribute('aria-label'))).length);
      assert.equal(unnamed, 0);
    }));

test('stop, with a long answer of the real model', () => withPage(null, async (page, server) => {
  await page.getByRole('button', {name: 'Settings'}).click();
  await page.getByLabel('Temperature').fill('0.5');
  await page.getByLabel('System message').fill('You write long texts.');
  await page.getByRole('button', {name: 'Done'}).click();
  await page.getByLabel('Your message').fill('Write a very long story about a lighthouse.');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => (document.querySelector('.assistant .said')?.textContent.length ?? 0) > 20);
  await page.keyboard.press('Escape');
  await idle(page);
  assert.equal(await page.getByRole('status').textContent(), 'stopped');
  await page.waitForFunction(async (url) => /atelier_running_sequences\{[^}]*\} 0/.test(await (await fetch(`${url}/metrics`)).text()), server.url);
  await picture(page, 'real');
}));

test('a server with a key asks for it', () => withPage([final('Welcome.')], async (page) => {
  await page.getByLabel('API key').fill('sesame');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.getElementById('model').options.length > 0);
  await say(page, 'Hello');
  assert.equal(await page.locator('.assistant .said').textContent(), 'Welcome.');
  assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes('sesame')), false);
}, {flags: ['--api-key', 'sesame']}));
