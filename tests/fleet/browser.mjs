// SPDX-License-Identifier: GPL-2.0-or-later
// Copyright (C) 2026 The virt-nbde-unlock authors
//
// Looks at an HTML page in Chromium as its readers do:
//
//   node browser.mjs CHROMIUM PAGE AXE FOLDER
//
// At 400 and at 1600 pixels, in light and in dark: is there anything that axe
// finds, that is loaded, that a script or the console says, or that makes the page
// itself scroll sideways?  axe looks at the page as it comes, and, in each of the two
// schemes and at each of the two widths once, with all details open.  Writes
// pictures, and the page on paper, into FOLDER; prints what is wrong, and ends with
// 1 if anything is.
//
// Chromium is spoken to through a pipe (--remote-debugging-pipe): JSON messages,
// each ended by a zero byte.  That needs no package, and no port.

import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [chromium, page, axeFile, folder] = process.argv.slice(2);
const address = pathToFileURL(page).href;
const axe = readFileSync(axeFile, 'utf8');
const wrong = [];

const browser = spawn(chromium, [
  '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
  '--no-first-run', '--disable-extensions', '--disable-background-networking',
  '--disable-component-update', '--hide-scrollbars', '--mute-audio',
  '--force-color-profile=srgb', '--remote-debugging-pipe',
  `--user-data-dir=${folder}/profile`, 'about:blank',
], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
const ended = new Promise((done) => browser.on('exit', done));
browser.on('error', (e) => { console.log(`${chromium}: ${e.message}`); process.exit(1); });

let number = 0;
const waiting = new Map();
const listeners = new Map();

let rest = Buffer.alloc(0);
browser.stdio[4].on('data', (data) => {
  rest = Buffer.concat([rest, data]);
  for (let end; (end = rest.indexOf(0)) >= 0; rest = rest.subarray(end + 1)) {
    const message = JSON.parse(rest.subarray(0, end).toString());
    if (message.id === undefined) {
      listeners.get(message.method)?.(message.params);
    } else {
      const { done, failed } = waiting.get(message.id);
      waiting.delete(message.id);
      if (message.error) failed(new Error(JSON.stringify(message.error)));
      else done(message.result);
    }
  }
});

function send(method, params = {}, sessionId = undefined) {
  const id = ++number;
  browser.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + '\0');
  return new Promise((done, failed) => waiting.set(id, { done, failed }));
}

const { targetId } = await send('Target.createTarget', { url: 'about:blank' });
const { sessionId } =
  await send('Target.attachToTarget', { targetId, flatten: true });
const tell = (method, params) => send(method, params, sessionId);

async function evaluate(expression) {
  const { result, exceptionDetails } = await tell('Runtime.evaluate', {
    expression, awaitPromise: true, returnByValue: true });
  if (exceptionDetails)
    throw new Error(exceptionDetails.exception?.description ??
                    exceptionDetails.text);
  return result.value;
}

let requests = 0;
listeners.set('Network.requestWillBeSent', ({ request }) => {
  requests += 1;
  if (request.url !== address) wrong.push(`asks for ${request.url}`);
});
listeners.set('Runtime.consoleAPICalled', ({ args }) =>
  wrong.push(`the console says: ${JSON.stringify(args)}`));
listeners.set('Log.entryAdded', ({ entry }) =>
  wrong.push(`the log says: ${entry.text}`));
for (const domain of ['Network', 'Runtime', 'Log', 'Page'])
  await tell(`${domain}.enable`);

async function load() {
  const loaded = new Promise((done) => listeners.set('Page.loadEventFired', done));
  await tell('Page.navigate', { url: address });
  await loaded;
}

async function picture(name, whole) {
  const { data } = await tell('Page.captureScreenshot',
                              { format: 'png', captureBeyondViewport: whole });
  writeFileSync(`${folder}/${name}.png`, Buffer.from(data, 'base64'));
}

async function look(width, scheme) {
  const where = `${width} pixels, ${scheme}`;
  await tell('Emulation.setDeviceMetricsOverride',
             { width, height: 1000, deviceScaleFactor: 1, mobile: width < 600 });
  await tell('Emulation.setEmulatedMedia',
             { features: [{ name: 'prefers-color-scheme', value: scheme }] });
  await load();
  const scrolls = () => evaluate(
    'document.documentElement.scrollWidth > document.documentElement.clientWidth');
  await picture(`${width}-${scheme}`, false);
  await picture(`${width}-${scheme}-whole`, true);
  if (await scrolls()) wrong.push(`${where}: the page scrolls sideways`);
  await evaluate(
    'document.querySelectorAll("details").forEach((d) => { d.open = true; })');
  if (await scrolls())
    wrong.push(`${where}: the page scrolls sideways when all is open`);
  // Colours do not depend on the width, nor names and roles on the colours.
  if ((width < 600) === (scheme === 'light')) await load();
  await evaluate(axe);
  const { violations, passes } = await evaluate(`axe.run({
      resultTypes: ['violations'],
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa',
                'best-practice'] })
    .then(({ violations, passes }) => ({ passes: passes.length,
      violations: violations.map((v) => ({ id: v.id, help: v.help,
        nodes: v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200) + ' ' +
                                              n.failureSummary) })) }))`);
  // A check that looks at nothing finds nothing.
  if (passes < 20) wrong.push(`${where}: axe has checked only ${passes} rules`);
  for (const v of violations)
    wrong.push(`${where}: axe: ${v.id}: ${v.help}\n  ${v.nodes.join('\n  ')}`);
}

// What the first key strokes reach: the link that skips, then the others.
async function keyboard() {
  await load();
  const press = async (key, code) => {
    for (const type of ['keyDown', 'keyUp'])
      await tell('Input.dispatchKeyEvent',
                 { type, key, code: key, windowsVirtualKeyCode: code });
  };
  await press('Tab', 9);
  const skip = await evaluate(`(() => { const e = document.activeElement;
    return e.getAttribute('href') === '#main' &&
           e.getBoundingClientRect().top >= 0; })()`);
  if (!skip) wrong.push('Tab does not show the link that skips to the report');
  const outline = await evaluate(
    'getComputedStyle(document.activeElement).outlineStyle');
  if (outline === 'none') wrong.push('the focus cannot be seen');
}

// A script of the page must not run, and a link into what is folded opens it.
async function inside() {
  if (await evaluate('document.scripts.length') !== 0)
    wrong.push('the page has a script');
  await tell('Page.navigate', { url: `${address}#s2` });
  const seen = `(() => { const e = document.getElementById('s2');
    return !e || e.closest('details').open; })()`;
  if (!await evaluate(seen)) wrong.push('a link to a server does not open it');
}

async function paper() {
  await load();
  const { data } = await tell('Page.printToPDF', { printBackground: false });
  writeFileSync(`${folder}/paper.pdf`, Buffer.from(data, 'base64'));
}

try {
  for (const width of [400, 1600])
    for (const scheme of ['light', 'dark'])
      await look(width, scheme);
  await keyboard();
  await paper();
  if (requests < 6) wrong.push(`only ${requests} requests were seen`);
  listeners.delete('Network.requestWillBeSent');
  await inside();
} catch (e) {
  wrong.push(String(e));
}
send('Browser.close').catch(() => {});
await ended;
for (const line of new Set(wrong)) console.log(line);
process.exitCode = wrong.length ? 1 : 0;
