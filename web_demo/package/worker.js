// The worker of remote.js: one Voice, and its streams by number.

import { bench } from "./bench.js";
import { Voice } from "./voice.js";

let voice;
let n = 0;
const streams = new Map();

const answers = {
  open({ module, bytes, where }) {
    voice = new Voice(module, bytes, where);
    return voice.info;
  },
  readMels: ({ npy, where }) => voice.readMels(npy, where),
  analyse: ({ audio }) => voice.analyse(audio),
  bench: ({ mels, options }) => bench(voice, mels, options),
  sha256: ({ pcm }) => voice.sha256(pcm),
  stream({ mels, options }) {
    const stream = voice.stream(mels, options);
    streams.set(n, { stream, chunks: stream[Symbol.iterator]() });
    return { stream: n++, isa: stream.isa };
  },
  next({ stream }) {
    const start = performance.now();
    const pcm = streams.get(stream)?.chunks.next().value;
    return { pcm, ms: performance.now() - start };
  },
  close({ stream }) {
    streams.get(stream)?.stream.close();
    streams.delete(stream);
  },
};

self.onmessage = ({ data }) => {
  try {
    const result = answers[data.what](data);
    self.postMessage({ id: data.id, result }, result?.pcm ? [result.pcm.buffer] : []);
  } catch (error) {
    self.postMessage({ id: data.id, error: { message: error.message, status: error.status ?? "internal" } });
  }
};
