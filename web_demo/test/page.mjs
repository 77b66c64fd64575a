// The page in headless Chromium: node page.mjs SITE DAMAGED.BIN SCREENSHOTS. Prints one JSON object of what it saw.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Browser, serve } from "./chromium.mjs";

const [site, damaged, screenshots] = process.argv.slice(2);
const sizes = { desktop: { width: 1280, height: 900 }, phone: { width: 360, height: 740, mobile: true, dark: true } };
const text = (id) => `document.getElementById("${id}").textContent`;
const server = await serve(site);
const browser = await Browser.launch();
const seen = {};
mkdirSync(screenshots, { recursive: true });

/** The benchmark's report; and what the page speaks of what its microphone hears, Chromium's beeps. */
async function buttons(page) {
  await page.evaluate(`document.getElementById("bench").click()`);
  const bench = JSON.parse(await page.until("window.benchmarkReport", 120));
  const shown = await page.evaluate(`document.querySelectorAll("#results tbody tr").length`);
  const before = await page.evaluate(text("hash"));
  await page.evaluate(`document.getElementById("record").click()`);
  await page.until(`${text("record")}.includes("Stop")`);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  await page.evaluate(`document.getElementById("record").click()`);
  const changed = `/^[0-9a-f]{64}$/.test(${text("hash")}) && ${text("hash")} !== "${before}"`;
  await page.until(`!document.getElementById("error").hidden || (${changed})`, 120);
  const label = await page.evaluate(`document.querySelector('input[name="clip"]:checked').parentElement.textContent`);
  const complaint = await page.evaluate(`document.getElementById("error").hidden ? "" : ${text("error")}`);
  return { bench, rows: shown, recorded: { label, complaint, said: await page.evaluate(text("bits")) } };
}

/** Whether the page starts again without a network. */
async function offline(page) {
  await page.until("navigator.serviceWorker.controller !== null", 30);
  await page.send("Network.emulateNetworkConditions", { offline: true, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
  await page.go(server.url);
  await page.until(`document.documentElement.dataset.ready === "yes"`, 60);
  return true;
}

try {
  for (const [name, size] of Object.entries(sizes)) {
    const page = await browser.open(server.url, size);
    await page.until(`!document.getElementById("speak").disabled`, 60);
    // by keyboard alone: Tab until the button has the focus, then Enter
    for (let i = 0; i < 40 && !(await page.evaluate(`document.activeElement.id === "speak"`)); i++) await page.key("Tab");
    await page.key("Enter", "Enter", "\r");
    await page.until(`/^[0-9a-f]{64}$/.test(${text("hash")})`, 120);
    writeFileSync(join(screenshots, `${name}.png`), await page.screenshot());
    const [hash, bits, isa, overflow] = await Promise.all([text("hash"), text("bits"), text("isa"),
      "document.documentElement.scrollWidth > innerWidth"].map((e) => page.evaluate(e)));
    const more = name === "desktop" ? await buttons(page) : {};
    await page.files("#voice-file", damaged);
    await page.until(`!document.getElementById("error").hidden`);
    seen[name] = { ...more, hash, bits, isa, overflow, error: await page.evaluate(text("error")), problems: page.problems };
    if (name === "desktop") seen.offline = await offline(page);
    await page.close();
  }
} finally {
  await browser.close();
  server.close();
}
console.log(JSON.stringify(seen));
