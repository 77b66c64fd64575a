/**
 * Plays chunks of samples without gaps, and asks for the next one only when it is needed.
 *
 *     import { Player } from "wavernn/player";
 *     const player = await Player.open(new AudioContext({ sampleRate: voice.info.sampleRate }));
 *     await player.play(voice.stream(mels));
 */
export class Player {
  /** For an AudioContext, or an OfflineAudioContext with feed(). base: as for load() */
  static async open(context, destination = context.destination, { base } = {}) {
    await context.audioWorklet.addModule(base ? new URL("player-worklet.js", base) : new URL("./player-worklet.js", import.meta.url));
    const player = new Player();
    player.context = context;
    player.node = new AudioWorkletNode(context, "wavernn-player", { numberOfInputs: 0, outputChannelCount: [1] });
    player.node.connect(destination);
    player.node.port.onmessage = ({ data }) => player._hear(data);
    player._run = 0;
    player._reset();
    return player;
  }

  _reset() {
    Object.assign(this, { played: 0, gaps: 0, _posted: 0, _received: 0, _fed: 0, _done: false });
    this.node.port.postMessage("reset");
    this._wake?.();
  }

  _hear({ received, played, gaps, done }) {
    if (received !== undefined) this._received = received;
    else Object.assign(this, { played, gaps, _done: done });
    this._wake?.();
  }

  async _until(condition, run) {
    while (run === this._run && !condition()) await new Promise((resolve) => (this._wake = resolve));
    return run === this._run;
  }

  /** Hand over all chunks, waiting while more than `ahead` seconds lie unplayed; false if stop() came in between. */
  async feed(chunks, { ahead = Infinity, onChunk = () => {} } = {}) {
    this.stop();
    const run = this._run;
    for await (const chunk of chunks) {
      if (run !== this._run) return false;
      onChunk(chunk);
      this._fed += chunk.length;
      this._posted++;
      this.node.port.postMessage(chunk.slice());
      const limit = ahead * this.context.sampleRate;
      if (!(await this._until(() => this._fed - this.played < limit, run))) return false;
    }
    this._posted++;
    this.node.port.postMessage("end");
    return this._until(() => this._received === this._posted, run);
  }

  /** Until the last sample is played; false if stop() came in between. */
  async play(chunks, { ahead = 0.4, ...options } = {}) {
    await this.context.resume();
    const run = this._run + 1;
    return (await this.feed(chunks, { ahead, ...options })) && this._until(() => this._done, run);
  }

  /** Silence at once. */
  stop() {
    this._run++;
    this._reset();
  }
}
