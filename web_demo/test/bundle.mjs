// The package as a bundler leaves it, one file in a blob, in headless Chromium: a voice in a worker, the player into an
// OfflineAudioContext. Prints {sha256, wanted}: of what the player played, and of what the voice computed.
//   node bundle.mjs SITE ESBUILD: the folder of the page, the folder of npm's esbuild

import { createRequire } from "node:module";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Browser, serve } from "./chromium.mjs";

const [site, esbuild] = process.argv.slice(2);
const source = fileURLToPath(new URL("../package/", import.meta.url));
const { outputFiles: [bundle] } = createRequire(import.meta.url)(resolve(esbuild)).buildSync({
  stdin: { contents: `export * from "./index.js"; export * from "./player.js";`, resolveDir: source },
  bundle: true, format: "esm", write: false });

const server = await serve(site);
const browser = await Browser.launch();

/** Runs in the page. */
async function speak(code) {
  const { load, fetchBytes, Player } = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  const base = new URL("wavernn/", location);
  const { voice: url, clips: [{ npy, sha256 }] } = await (await fetch("assets/bundle.json")).json();
  const voice = await load(new URL(url, location), { worker: true, base });
  const mels = await voice.readMels(await fetchBytes(new URL(npy, location)));
  const { sampleRate, hopLength, nMels } = voice.info;
  const context = new OfflineAudioContext(1, (mels.length / nMels) * hopLength, sampleRate);
  const player = await Player.open(context, undefined, { base });
  await player.feed(voice.stream(mels));
  const played = (await context.startRendering()).getChannelData(0);
  return { sha256: await voice.sha256(Int16Array.from(played, (x) => 32768 * x)), wanted: sha256 };
}

try {
  const page = await browser.open(server.url);
  console.log(JSON.stringify(await page.evaluate(`(${speak})(${JSON.stringify(bundle.text)})`)));
} finally {
  await browser.close();
  server.close();
}
