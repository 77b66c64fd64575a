// A model in memory and its streams, in the thread that calls them.

import { Library, WaveRNNError } from "./library.js";

const gone = new FinalizationRegistry(({ c, state }) => c.wv_state_free(state));

export class Voice {
  /**
   * @param {WebAssembly.Module} module
   * @param {Uint8Array} bytes of a .bin
   * @param {string} where opens the messages of errors
   */
  constructor(module, bytes, where) {
    this._lib = new Library(module);
    const lib = this._lib;
    lib.check(lib.c.wv_model_load(lib.copy(bytes), bytes.length, lib.out), where);
    this._model = lib.result;
    this.info = Object.freeze({ ...lib.info(this._model), isas: lib.isas(), version: lib.text(lib.c.wv_version()) });
  }

  /** The mels in the bytes of a .npy of wv-mel or numpy.save, frame after frame. */
  readMels(npy, where = "mels") {
    return this._lib.readNpy(this._model, npy, where);
  }

  /**
   * @param {Float32Array} [mels] frame after frame; without them the caller pushes
   * @param {object} [options] see index.d.ts
   */
  stream(mels, options = {}) {
    const stream = new Stream(this, options);
    if (mels !== undefined) stream.source(mels);
    return stream;
  }

  /**
   * The mels of audio, frame after frame: wv-mel's, for a copy of a recording.
   * @param {Float32Array} audio in [-1, 1] at info.sampleRate
   */
  analyse(audio) {
    return this._lib.analyse(this._model, audio);
  }

  /** SHA-256 of samples, as wv-run prints it. */
  sha256(pcm) {
    return this._lib.sha256(pcm);
  }
}

/** Log-mels in, samples out; iterating over it yields chunks of samples. */
export class Stream {
  constructor(voice, options) {
    this._voice = voice;
    this._lib = voice._lib;
    this._hop = voice.info.hopLength;
    this._chunk = options.chunkFrames ?? 16;
    this._state = this._lib.newState(voice._model, { ...options, maxFrames: options.maxFrames ?? Math.max(64, this._chunk) });
    gone.register(this, { c: this._lib.c, state: this._state }, this);
    this.isa = this._lib.text(this._lib.c.wv_state_isa(this._state));
  }

  /** Where iteration takes its frames from. */
  source(mels) {
    this._mels = mels;
    this._at = 0;
  }

  /** Frames that there was room for. */
  push(mels) {
    const { c } = this._lib;
    const nMels = this._voice.info.nMels;
    if (!(mels instanceof Float32Array) || mels.length % nMels)
      throw new WaveRNNError(`push: found ${mels?.length ?? mels} values, wanted a Float32Array of frames of ${nMels}`, "mel");
    const at = this._lib.copy(mels);
    const status = c.wv_push(this._state, at, mels.length / nMels, this._lib.out);
    c.free(at);
    this._lib.check(status, "push");
    return this._lib.result;
  }

  /** No more frames will come. */
  finish() {
    this._lib.check(this._lib.c.wv_finish(this._state), "finish");
  }

  get available() {
    return this._lib.c.wv_available(this._state);
  }

  /** Up to n samples. */
  pull(n) {
    const at = this._lib.allocate(2 * n);
    const status = this._lib.c.wv_pull(this._state, at, n, this._lib.out);
    const pcm = this._lib.shorts(at, this._lib.result).slice();
    this._lib.c.free(at);
    this._lib.check(status, "pull");
    return pcm;
  }

  /** Back to silence and sample 0; what was pushed is forgotten. */
  reset(seed = 0) {
    this._lib.check(this._lib.c.wv_reset(this._state, BigInt(seed)), "reset");
    this._at = 0;
  }

  /** Run one stage of wavernn.h n times, for a caller with a clock. */
  benchStage(stage, n) {
    this._lib.check(this._lib.c.wv_bench_stage(this._state, stage, n), "benchStage");
  }

  *[Symbol.iterator]() {
    const nMels = this._voice.info.nMels;
    const nFrames = this._mels.length / nMels;
    for (let finished = false; ; ) {
      while (!finished && this.available < this._chunk * this._hop) {
        if (this._at < nFrames) {
          this._at += this.push(this._mels.subarray(this._at * nMels, Math.min(nFrames, this._at + this._chunk) * nMels));
        } else {
          this.finish();
          finished = true;
        }
      }
      if (!this.available) return;
      yield this.pull(this._chunk * this._hop);
    }
  }

  /** Frees it at once; otherwise the garbage collector does. */
  close() {
    gone.unregister(this);
    this._lib.c.wv_state_free(this._state);
    this._state = 0;
  }
}
