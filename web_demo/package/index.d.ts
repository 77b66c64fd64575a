/** What was found and what was wanted, in one line. */
export class WaveRNNError extends Error {
  /** wavernn.h's name of the status, e.g. "checksum", or "npy", "audio", "fetch", "worker", "memory". */
  readonly status: string;
}

export interface Info {
  /** Hz */
  readonly sampleRate: number;
  /** Samples per mel frame. */
  readonly hopLength: number;
  readonly nMels: number;
  readonly nUnits: number;
  /** Frames that must be pushed beyond the one being pulled; the post-filter adds filterDelay. */
  readonly lookahead: number;
  readonly filterDelay: number;
  readonly dtype: "f32" | "f16" | "int8";
  readonly melName: string;
  /** 0 has none, 1 off, 2 on unless asked otherwise. */
  readonly postfilter: 0 | 1 | 2;
  /** Kernels that run here, the fastest first. */
  readonly isas: readonly string[];
  readonly version: string;
}

export interface StreamOptions {
  /** 0 to 2^64 - 1. The same seed gives the same samples. Default 0. */
  seed?: number | bigint;
  /** Above 0; 1 samples the model as trained. */
  temperature?: number;
  /** One of info.isas. */
  isa?: string | null;
  /** null: as the model says. */
  postfilter?: boolean | null;
  /** Frames per chunk of the iteration. Default 16. */
  chunkFrames?: number;
  /** Frames that may wait inside the stream, 1 to 65536. Default 64. */
  maxFrames?: number;
}

/** Log-mels in, samples out. The samples do not depend on how the stream is cut. */
export class Stream implements Iterable<Int16Array> {
  readonly isa: string;
  readonly available: number;
  /** Frames that there was room for. mels: (nFrames * nMels,) frame after frame. */
  push(mels: Float32Array): number;
  finish(): void;
  pull(n: number): Int16Array;
  reset(seed?: number | bigint): void;
  benchStage(stage: number, n: number): void;
  close(): void;
  [Symbol.iterator](): Iterator<Int16Array>;
}

/** A model, in the thread that calls. */
export class Voice {
  readonly info: Info;
  /** mels: (nFrames * nMels,) natural logarithms, frame after frame. */
  stream(mels?: Float32Array, options?: StreamOptions): Stream;
  /** The mels in the bytes of a .npy file of wv-mel or numpy.save. */
  readMels(npy: Uint8Array, where?: string): Float32Array;
  /** The mels of audio in [-1, 1] at info.sampleRate. */
  analyse(audio: Float32Array): Float32Array;
  /** SHA-256 of samples, as wv-run prints it. */
  sha256(pcm: Int16Array): string;
}

export interface RemoteStream extends AsyncIterable<Int16Array> {
  /** What the worker has computed so far; chunks are [samples, milliseconds]. */
  readonly stats: { samples: number; computeMs: number; firstMs: number | null; isa: string | null; chunks: [number, number][] };
}

/** A model in a worker. */
export class RemoteVoice {
  readonly info: Info;
  stream(mels: Float32Array, options?: StreamOptions): RemoteStream;
  readMels(npy: Uint8Array, where?: string): Promise<Float32Array>;
  analyse(audio: Float32Array): Promise<Float32Array>;
  sha256(pcm: Int16Array): Promise<string>;
  /** One object per ISA, with the keys of `wv-bench --json`. */
  bench(mels: Float32Array, options?: { seconds?: number; isas?: string[] }): Promise<Record<string, unknown>[]>;
  close(): void;
}

export interface LoadOptions {
  /** relaxed, simd128, plain, or the bytes of a module. Default: the best that runs here. */
  module?: string | BufferSource;
  /** What opens the messages of errors. Default: the file's name. */
  name?: string;
  /** Folder of the package's files, with a slash at its end, where a bundler has made one file of its modules. Default: beside them. */
  base?: string | URL;
}

export function fetchBytes(url: string | URL): Promise<Uint8Array>;
export function load(source: string | URL | BufferSource, options: LoadOptions & { worker: true }): Promise<RemoteVoice>;
export function load(source: string | URL | BufferSource, options?: LoadOptions & { worker?: false }): Promise<Voice>;
