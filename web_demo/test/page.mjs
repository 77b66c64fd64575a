// The page in headless Chromium, at desktop and phone size, light and dark. Prints one JSON object of what it saw.
//   node page.mjs WANTED.JSON: {site, axe, screenshots, refused: [[selector of an input, path]]}

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Browser, serve } from "./chromium.mjs";

const wanted = JSON.parse(readFileSync(process.argv[2], "utf8"));
const desktop = { width: 1280, height: 900 };
const phone = { width: 360, height: 740, mobile: true };
const views = { desktop, "desktop-dark": { ...desktop, dark: true }, phone, "phone-dark": { ...phone, dark: true } };
const text = (id) => `document.getElementById("${id}").textContent`;
const idle = `!document.getElementById("speak").disabled && document.getElementById("stop").disabled`;
const HUGE = 65 * 2 ** 20;

// Runs before the page does: what moves without a cause, what is read, and which blobs have a URL
const WATCH = `
  window.seen = { shift: 0, moved: [], read: 0, urls: new Set() };
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries().filter((e) => !e.hadRecentInput)) {
      seen.shift += entry.value;
      seen.moved.push(...entry.sources.map(({ node }) => node?.id || node?.nodeName));
    }
  }).observe({ type: "layout-shift", buffered: true });
  const { createObjectURL, revokeObjectURL } = URL;
  URL.createObjectURL = (blob) => { const url = createObjectURL(blob); seen.urls.add(url); return url; };
  URL.revokeObjectURL = (url) => { seen.urls.delete(url); revokeObjectURL(url); };
  const { arrayBuffer } = File.prototype;
  Blob.prototype.arrayBuffer = function () { seen.read += this.size; return arrayBuffer.call(this); };
`;

const server = await serve(wanted.site);
const browser = await Browser.launch();
const seen = {};
mkdirSync(wanted.screenshots, { recursive: true });
const picture = async (page, name) => writeFileSync(join(wanted.screenshots, `${name}.png`), await page.screenshot());

/** What the Tab key reaches, in its order; then it stands on Speak. */
async function tabs(page) {
  const reached = [];
  const focus = "((e) => e.id || e.dataset.system || e.name || e.nodeName)(document.activeElement)";
  for (let i = 0; i < 40 && reached.at(-1) !== "BODY"; i++) {
    await page.key("Tab");
    reached.push(await page.evaluate(focus));
  }
  for (let i = 0; i < 40 && (await page.evaluate(focus)) !== "speak"; i++) await page.key("Tab");
  return reached;
}

/** axe-core's serious violations, one line each. */
async function axe(page) {
  await page.evaluate(readFileSync(wanted.axe, "utf8"));
  const { violations } = await page.evaluate(`axe.run(document, { resultTypes: ["violations"] })`);
  return violations.filter(({ impact }) => ["serious", "critical"].includes(impact))
    .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.target).join(" ")}`);
}

/** The benchmark's report; and what the page speaks of what its microphone hears, Chromium's beeps. */
async function buttons(page) {
  await page.evaluate(`document.getElementById("bench").click()`);
  const bench = JSON.parse(await page.until("window.benchmarkReport", 120));
  const rows = await page.evaluate(`document.querySelectorAll("#results tbody tr").length`);
  for (const id of ["save", "bench-save"]) await page.evaluate(`document.getElementById("${id}").click()`);
  const offered = await page.evaluate("seen.urls.size");
  const before = await page.evaluate(text("hash"));
  await page.evaluate(`document.getElementById("record").click()`);
  await page.until(`${text("record")}.includes("Stop")`);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  await page.evaluate(`document.getElementById("record").click()`);
  const changed = `/^[0-9a-f]{64}$/.test(${text("hash")}) && ${text("hash")} !== "${before}"`;
  await page.until(`!document.getElementById("error").hidden || (${changed})`, 120);
  const label = await page.evaluate(`document.querySelector('input[name="clip"]:checked').parentElement.textContent`);
  const complaint = await page.evaluate(`document.getElementById("error").hidden ? "" : ${text("error")}`);
  const recorded = { label, complaint, said: await page.evaluate(text("bits")) };
  await page.until("seen.urls.size === 0", 30);
  return { bench, rows, recorded, offered };
}

/** What the page says of each file that it should refuse, and of a dropped one that is too large to be read. */
async function refusals(page) {
  const said = [];
  const message = async () => {
    await page.until(`!document.getElementById("error").hidden`);
    said.push(await page.evaluate(text("error")));
    await page.evaluate(`document.getElementById("error").hidden = true`);
  };
  for (const [selector, path] of wanted.refused) {
    await page.files(selector, path);
    await message();
  }
  await page.evaluate(`seen.read = 0`);
  await page.evaluate(`(() => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([new Uint8Array(${HUGE})], "huge.bin"));
    dispatchEvent(new DragEvent("drop", { dataTransfer, cancelable: true }));
  })()`);
  await message();
  return { said, read: await page.evaluate("seen.read") };
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
  for (const [name, size] of Object.entries(views)) {
    const page = await browser.open(server.url, size, WATCH);
    await page.until(`!document.getElementById("speak").disabled`, 60);
    const reached = await tabs(page);
    await page.key("Enter", "Enter", "\r"); // on Speak
    await page.until(`/^[0-9a-f]{64}$/.test(${text("hash")}) && ${idle}`, 120);
    const [hash, bits, isa] = await Promise.all(["hash", "bits", "isa"].map((id) => page.evaluate(text(id))));
    const violations = await axe(page);
    const more = name === "desktop" ? await buttons(page) : {};
    const overflow = await page.evaluate("document.documentElement.scrollWidth > innerWidth");
    const { shift, moved } = await page.evaluate("({ shift: seen.shift, moved: seen.moved })");
    await picture(page, name); // hides the scroll bar, so that the page moves
    const refused = await refusals(page);
    await page.files(...wanted.refused.findLast(([selector]) => selector === "#voice-file")); // once more
    await page.until(`!document.getElementById("error").hidden`);
    await picture(page, `${name}-error`);
    seen[name] = { ...more, reached, hash, bits, isa, overflow, violations, shift, moved, refused, problems: page.problems };
    if (name === "desktop") seen.offline = await offline(page);
    await page.close();
  }
} finally {
  await browser.close();
  server.close();
}
console.log(JSON.stringify(seen));
