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

const MODULES = ["relaxed", "simd128", "plain"]; // best first
const compiled = new Map();

/** One of MODULES, compiled; each is fetched once. */
function compile(name) {
  const url = new URL(`./wavernn-${name}.wasm`, import.meta.url);
  if (!compiled.has(name)) compiled.set(name, fetchBytes(url).then((bytes) => WebAssembly.compile(bytes)));
  return compiled.get(name);
}

/** The best module for this engine. Relaxed SIMD leaves a choice to engines: on one that chose otherwise it has no ISA for us. */
async function best() {
  for (const name of MODULES.filter(takes)) {
    const module = await compile(name);
    if (name !== "relaxed" || new Library(module).isas().length > 1) return module;
  }
}

export async function load(source, { module, worker = false, name } = {}) {
  const isBytes = source instanceof ArrayBuffer || ArrayBuffer.isView(source);
  const [wasm, bytes] = await Promise.all([
    module === undefined ? best() : typeof module === "string" ? compile(module) : WebAssembly.compile(module),
    isBytes ? new Uint8Array(source.buffer ?? source, source.byteOffset ?? 0, source.byteLength) : fetchBytes(source),
  ]);
  const where = name ?? (isBytes ? "model" : String(source).split("/").pop());
  return worker ? RemoteVoice.open(wasm, bytes, where) : new Voice(wasm, bytes, where);
}
