// Plays what player.js posts: Int16Array chunks, one after the other. It says how many samples it has played, for back-pressure.

const REPORT_EVERY = 1024; // samples

class WaveRNNPlayer extends AudioWorkletProcessor {
  constructor() {
    super();
    this.reset();
    this.port.onmessage = ({ data }) => {
      if (data === "reset") this.reset();
      else if (data === "end") this.ended = true;
      else this.queue.push(data);
      if (data !== "reset") this.port.postMessage({ received: ++this.received });
    };
  }

  reset() {
    Object.assign(this, { queue: [], at: 0, played: 0, reported: 0, received: 0, gaps: 0, ended: false, done: false });
  }

  process(inputs, [[out]]) {
    let n = 0;
    while (n < out.length && this.queue.length) {
      const chunk = this.queue[0];
      while (n < out.length && this.at < chunk.length) out[n++] = chunk[this.at++] / 32768;
      if (this.at === chunk.length) {
        this.queue.shift();
        this.at = 0;
      }
    }
    this.played += n;
    if (n < out.length && this.played && !this.ended) this.gaps++;
    const done = this.ended && !this.queue.length;
    if (this.played - this.reported >= REPORT_EVERY || (done && !this.done)) {
      this.reported = this.played;
      this.done = done;
      this.port.postMessage({ played: this.played, gaps: this.gaps, done });
    }
    return true;
  }
}

registerProcessor("wavernn-player", WaveRNNPlayer);
