export interface FeedOptions {
  /** Seconds that may lie unplayed before the next chunk is asked for. */
  ahead?: number;
  onChunk?: (pcm: Int16Array) => void;
}

/** Plays chunks of samples without gaps. */
export class Player {
  /** base: folder of the package's files, as for load(). */
  static open(context: BaseAudioContext, destination?: AudioNode, options?: { base?: string | URL }): Promise<Player>;
  readonly context: BaseAudioContext;
  readonly node: AudioWorkletNode;
  /** Samples. */
  readonly played: number;
  /** Blocks that had to be filled up with silence. */
  readonly gaps: number;
  /** All chunks handed over; false if stop() came in between. For an OfflineAudioContext. */
  feed(chunks: Iterable<Int16Array> | AsyncIterable<Int16Array>, options?: FeedOptions): Promise<boolean>;
  /** All chunks played; false if stop() came in between. */
  play(chunks: Iterable<Int16Array> | AsyncIterable<Int16Array>, options?: FeedOptions): Promise<boolean>;
  stop(): void;
}
