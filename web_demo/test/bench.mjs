// One minute of audio without a break in a worker of headless Chromium, as the page computes it: times real time per module,
// by the clock and by the CPU time of the page's process, which other programs on the machine change little.
//   node bench.mjs SITE [RUNS]

import { Browser, serve } from "./chromium.mjs";

const [site, runs = "5"] = process.argv.slice(2);
const SECONDS = 60;
const MODULES = ["relaxed", "simd128"];
const server = await serve(site);
const browser = await Browser.launch();

/** Runs in the page: opens a voice and the mels of so many seconds. */
async function open(module, seconds) {
  const { fetchBytes, load } = await import(new URL("wavernn/index.js", location));
  const { voice: url, clips } = await (await fetch("assets/bundle.json")).json();
  const voice = await load(url, { worker: true, module });
  const parts = await Promise.all(clips.map(async ({ npy }) => voice.readMels(await fetchBytes(npy))));
  const { sampleRate, hopLength, nMels, isas: [isa] } = voice.info;
  const mels = new Float32Array(Math.ceil((seconds * sampleRate) / hopLength) * nMels);
  for (let at = 0, i = 0; at < mels.length; i = (i + 1) % parts.length) {
    mels.set(parts[i].subarray(0, mels.length - at), at);
    at += parts[i].length;
  }
  window.opened = { voice, mels, isa };
}

/** Runs in the page: speaks them; the ISA, and seconds that the worker took. */
async function speak() {
  const { voice, mels, isa } = window.opened;
  const stream = voice.stream(mels, { isa });
  for await (const pcm of stream);
  voice.close();
  return { isa, clock: stream.stats.computeMs / 1000 };
}

async function cpuSeconds() {
  const { processInfo } = await browser.send("SystemInfo.getProcessInfo");
  return processInfo.filter(({ type }) => type === "renderer").reduce((sum, { cpuTime }) => sum + cpuTime, 0);
}

/** Times real time: the median of the runs, and the least and the most. */
function factors(seconds) {
  const sorted = seconds.map((s) => SECONDS / s).sort((a, b) => a - b).map((x) => x.toFixed(2));
  return `${sorted[sorted.length >> 1]} (${sorted[0]} to ${sorted.at(-1)})`;
}

try {
  const found = Object.fromEntries(MODULES.map((module) => [module, []]));
  const page = await browser.open(server.url);
  for (let run = 0; run < Number(runs); run++)
    for (const module of MODULES) {
      await page.evaluate(`(${open})("${module}", ${SECONDS})`);
      const before = await cpuSeconds();
      const { isa, clock } = await page.evaluate(`(${speak})()`);
      found[module].push({ isa, clock, cpu: (await cpuSeconds()) - before });
    }
  console.log(`times real time of one minute, median of ${runs} (least to most)`);
  for (const [module, results] of Object.entries(found)) {
    const [clock, cpu] = ["clock", "cpu"].map((key) => factors(results.map((result) => result[key])));
    console.log(`${module}, ${results[0].isa}: ${clock} by the clock, ${cpu} by CPU time`);
  }
} finally {
  await browser.close();
  server.close();
}
