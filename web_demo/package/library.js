// The JavaScript face of wavernn.h: one instance of the module, its memory and its errors. Used by voice.js alone.

const INFO_BYTES = 64; // sizeof(wv_info)
const OPTIONS_BYTES = 32; // sizeof(wv_options)
const NPY_MESSAGE_BYTES = 256;
export const DTYPES = ["f32", "f16", "int8"]; // wv_info.dtype

/** What was found and what was wanted, in one line; `status` is wavernn.h's name for it, or "npy" or "fetch". */
export class WaveRNNError extends Error {
  constructor(message, status) {
    super(message);
    this.name = "WaveRNNError";
    this.status = status;
  }
}

// A function of one instruction: i8x16.splat of SIMD128; i8x16.relaxed_swizzle of relaxed SIMD. The latter's dot product came
// out differently from the two compilers of early engines, so its probe wants a 64-bit memory, too, which only later ones have.
const HEAD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0];
const PROBES = {
  simd128: [10, 8, 1, 6, 0, 65, 0, 253, 15, 11],
  relaxed: [5, 3, 1, 4, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11],
};

/** Whether this engine takes the module of that name: relaxed, simd128 or plain. */
export const takes = (name) => name === "plain" || WebAssembly.validate(new Uint8Array([...HEAD, ...PROBES[name]]));

export class Library {
  /** @param {WebAssembly.Module} module */
  constructor(module) {
    this.c = new WebAssembly.Instance(module).exports;
    this.out = this.c.malloc(64); // where functions leave a pointer or a number
  }

  // Views are made anew each time: memory that grows leaves old ones empty
  bytes(at, n) { return new Uint8Array(this.c.memory.buffer, at, n); }
  words(at, n) { return new Int32Array(this.c.memory.buffer, at, n); }
  floats(at, n) { return new Float32Array(this.c.memory.buffer, at, n); }
  shorts(at, n) { return new Int16Array(this.c.memory.buffer, at, n); }
  get result() { return this.words(this.out, 1)[0] >>> 0; }

  text(at) {
    const bytes = new Uint8Array(this.c.memory.buffer, at);
    return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
  }

  allocate(n) {
    const at = this.c.malloc(n);
    if (!at) throw new WaveRNNError(`out of memory (${n} bytes)`, "memory");
    return at;
  }

  /** A copy of an array in the module's memory; free it. */
  copy(array) {
    const at = this.allocate(array.byteLength);
    this.bytes(at, array.byteLength).set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    return at;
  }

  check(status, where) {
    if (status) throw new WaveRNNError(`${where}: ${this.text(this.c.wv_status_str(status))}`, this.text(this.c.wv_status_name(status)));
  }

  isas() {
    const names = [];
    for (let at; (at = this.c.wv_isa_name(names.length)); ) names.push(this.text(at));
    return names;
  }

  info(model) {
    this.infoAt ??= this.allocate(INFO_BYTES);
    this.check(this.c.wv_model_info(model, this.infoAt), "model");
    const [sampleRate, hopLength, nMels, nUnits, lookahead, dtype] = this.words(this.infoAt, 6);
    const [postfilter, filterDelay] = this.words(this.infoAt + 56, 2);
    const melName = this.text(this.infoAt + 24);
    return { sampleRate, hopLength, nMels, nUnits, lookahead, dtype: DTYPES[dtype], melName, postfilter, filterDelay };
  }

  /** A wv_state*. options: as Voice.stream takes them */
  newState(model, { seed = 0, temperature = 1, maxFrames = 64, isa = null, postfilter = null }) {
    if (isa !== null && !this.isas().includes(isa))
      throw new WaveRNNError(`isa: found ${isa}, wanted one of ${this.isas().join(", ")}`, "isa");
    const at = this.allocate(OPTIONS_BYTES);
    const name = isa === null ? 0 : this.copy(new TextEncoder().encode(`${isa}\0`));
    const view = new DataView(this.c.memory.buffer, at, OPTIONS_BYTES);
    view.setUint32(0, OPTIONS_BYTES, true);
    view.setBigUint64(8, BigInt(seed), true);
    view.setFloat32(16, temperature, true);
    view.setInt32(20, maxFrames, true);
    view.setUint32(24, name, true);
    view.setInt32(28, postfilter === null ? 0 : postfilter ? 2 : 1, true);
    const status = this.c.wv_state_new(model, at, this.out);
    this.c.free(name);
    this.c.free(at);
    this.check(status, "stream");
    return this.result;
  }

  /** Mels in the bytes of a .npy, frame after frame, for a model: (nFrames * nMels,) Float32Array */
  readNpy(model, npy, where) {
    const info = this.info(model);
    const file = this.copy(npy);
    const message = this.allocate(NPY_MESSAGE_BYTES);
    const frames = this.c.npy_mels(file, npy.length, model, this.out, message);
    const refused = frames ? "" : this.text(message);
    this.c.free(file);
    this.c.free(message);
    if (refused) throw new WaveRNNError(`${where}: ${refused}`, "npy");
    const mels = this.floats(frames, this.result * info.nMels).slice();
    this.c.free(frames);
    return mels;
  }

  /** The mels of audio, frame after frame: (nFrames * nMels,) Float32Array */
  analyse(model, audio) {
    const { c } = this;
    const { nMels, hopLength } = this.info(model);
    if (audio.length < hopLength)
      throw new WaveRNNError(`audio: found ${audio.length} samples, wanted at least one frame (${hopLength})`, "audio");
    const nFrames = Math.floor(audio.length / hopLength);
    this.check(c.wv_mel_new(model, this.out), "audio");
    const mel = this.result;
    const samples = this.copy(audio);
    const frames = this.allocate(4 * nFrames * nMels);
    try {
      for (let pushed = 0, pulled = 0; pulled < nFrames; ) {
        if (pushed < audio.length) {
          this.check(c.wv_mel_push(mel, samples + 4 * pushed, audio.length - pushed, this.out), "audio");
          pushed += this.result;
          if (pushed === audio.length) this.check(c.wv_mel_finish(mel), "audio");
        }
        this.check(c.wv_mel_pull(mel, frames + 4 * pulled * nMels, nFrames - pulled, this.out), "audio");
        pulled += this.result;
      }
      return this.floats(frames, nFrames * nMels).slice();
    } finally {
      for (const at of [samples, frames]) c.free(at);
      c.wv_mel_free(mel);
    }
  }

  /** 64 hexadecimal digits */
  sha256(array) {
    const at = this.copy(array);
    const hex = this.allocate(65);
    this.c.sha256(at, array.byteLength, hex);
    const digest = this.text(hex);
    this.c.free(hex);
    this.c.free(at);
    return digest;
  }
}
