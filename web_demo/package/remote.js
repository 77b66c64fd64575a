// A Voice in a worker: the same methods, as promises and async iteration. A chunk is computed when it is asked for, and one more
// while the last one is used: a player that is slow slows the worker down.

import { WaveRNNError } from "./library.js";

export class RemoteVoice {
  static async open(module, bytes, where, base) {
    const voice = new RemoteVoice();
    voice._worker = base ? new Worker(new URL("worker.js", base), { type: "module" })
      : new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    voice._waiting = new Map();
    voice._n = 0;
    voice._worker.onmessage = ({ data }) => voice._settle(data);
    voice._worker.onerror = (event) => voice._fail(event.message ?? "the worker did not start");
    try {
      voice.info = await voice._ask("open", { module, bytes, where });
    } catch (error) {
      voice.close();
      throw error;
    }
    return voice;
  }

  _ask(what, data) {
    const id = this._n++;
    return new Promise((resolve, reject) => {
      this._waiting.set(id, { resolve, reject });
      this._worker.postMessage({ id, what, ...data });
    });
  }

  _settle({ id, result, error }) {
    const { resolve, reject } = this._waiting.get(id);
    this._waiting.delete(id);
    if (error) reject(new WaveRNNError(error.message, error.status));
    else resolve(result);
  }

  _fail(message) {
    for (const { reject } of this._waiting.values()) reject(new WaveRNNError(`worker: ${message}`, "worker"));
    this._waiting.clear();
  }

  readMels(npy, where) { return this._ask("readMels", { npy, where }); }
  analyse(audio) { return this._ask("analyse", { audio }); }
  sha256(pcm) { return this._ask("sha256", { pcm }); }

  stream(mels, options = {}) {
    return new RemoteStream(this, mels, options);
  }

  /** How fast it runs here: one object per ISA, with the keys of `wv-bench --json`. */
  bench(mels, options = {}) { return this._ask("bench", { mels, options }); }

  close() {
    this._worker.terminate();
    this._fail("closed");
  }
}

export class RemoteStream {
  constructor(voice, mels, options) {
    this._voice = voice;
    this._opened = voice._ask("stream", { mels, options });
    this.stats = { samples: 0, computeMs: 0, firstMs: null, isa: null, chunks: [] };
  }

  async *[Symbol.asyncIterator]() {
    const { stream, isa } = await this._opened;
    this.stats.isa = isa;
    const next = () => this._voice._ask("next", { stream });
    try {
      let ahead = next();
      for (;;) {
        const { pcm, ms } = await ahead;
        if (!pcm) return;
        ahead = next();
        ahead.catch(() => {}); // seen when it is awaited
        const { stats } = this;
        stats.firstMs ??= ms;
        stats.computeMs += ms;
        stats.samples += pcm.length;
        stats.chunks.push([pcm.length, ms]);
        yield pcm;
      }
    } finally {
      this._voice._ask("close", { stream }).catch(() => {});
    }
  }
}
