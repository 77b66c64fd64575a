/**
 * wavernn: log-mels in, 16-bit audio out, by the same C as everywhere, in WebAssembly.
 *
 *     import { load } from "wavernn";
 *     const voice = await load("voice.bin");                            // or its bytes
 *     for (const pcm of voice.stream(mels, { seed: 0 })) play(pcm);     // mels: frame after frame
 */
import { Library, WaveRNNError, takes } from "./library.js";
import { RemoteVoice } from "./remote.js";
import { Voice } from "./voice.js";

export { WaveRNNError };

/** The bytes at a URL. */
export async function fetchBytes(url) {
  let response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new WaveRNNError(`${url}: ${error.message}`, "fetch");
  }
  if (!response.ok) throw new WaveRNNError(`${url}: found HTTP status ${response.status}, wanted the file`, "fetch");
  return new Uint8Array(await response.arrayBuffer());
}

// Best first. Each URL is written out: bundlers see it and bring the file along.
const MODULES = {
  relaxed: () => new URL("./wavernn-relaxed.wasm", import.meta.url),
  simd128: () => new URL("./wavernn-simd128.wasm", import.meta.url),
  plain: () => new URL("./wavernn-plain.wasm", import.meta.url),
};
const compiled = new Map();

/** One of MODULES, compiled; each is fetched once. */
function compile(name, base) {
  const url = base ? new URL(`wavernn-${name}.wasm`, base) : MODULES[name]();
  if (!compiled.has(name)) {
    compiled.set(name, fetchBytes(url).then((bytes) => WebAssembly.compile(bytes)));
    compiled.get(name).catch(() => compiled.delete(name)); // the next call tries again
  }
  return compiled.get(name);
}

/** The best module for this engine. Relaxed SIMD leaves a choice to engines: on one that chose otherwise it has no ISA for us. */
async function best(base) {
  for (const name of Object.keys(MODULES).filter(takes)) {
    const module = await compile(name, base);
    if (name !== "relaxed" || new Library(module).isas().length > 1) return module;
  }
}

export async function load(source, { module, worker = false, name, base } = {}) {
  const isBytes = source instanceof ArrayBuffer || ArrayBuffer.isView(source);
  const [wasm, bytes] = await Promise.all([
    module === undefined ? best(base) : typeof module === "string" ? compile(module, base) : WebAssembly.compile(module),
    isBytes ? new Uint8Array(source.buffer ?? source, source.byteOffset ?? 0, source.byteLength) : fetchBytes(source),
  ]);
  const where = name ?? (isBytes ? "model" : String(source).split("/").pop());
  return worker ? RemoteVoice.open(wasm, bytes, where, base) : new Voice(wasm, bytes, where);
}
