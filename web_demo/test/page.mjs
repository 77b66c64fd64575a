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
    await page.files("#voice-file", damaged);
    await page.until(`!document.getElementById("error").hidden`);
    seen[name] = { hash, bits, isa, overflow, error: await page.evaluate(text("error")), problems: page.problems };
    await page.close();
  }
} finally {
  await browser.close();
  server.close();
}
console.log(JSON.stringify(seen));
