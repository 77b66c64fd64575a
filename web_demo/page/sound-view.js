// What plays, as it plays: a scrolling spectrogram and the waveform, from an AnalyserNode.

const LOW_DB = -95;
const HIGH_DB = -25;
const STEP = 2; // pixels a picture

// Black, violet, orange, yellow
const COLOURS = [[0, 0, 4], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]];

function colour(x) {
  const at = Math.min(0.9999, Math.max(0, x)) * (COLOURS.length - 1);
  const i = Math.floor(at);
  return COLOURS[i].map((low, k) => Math.round(low + (at - i) * (COLOURS[i + 1][k] - low)));
}

export class SoundView {
  constructor(context, spectrogram, waveform) {
    this.analyser = new AnalyserNode(context, { fftSize: 512, smoothingTimeConstant: 0, minDecibels: LOW_DB, maxDecibels: HIGH_DB });
    this.analyser.connect(context.destination);
    this.bins = new Float32Array(this.analyser.frequencyBinCount);
    this.samples = new Float32Array(this.analyser.fftSize);
    this.pictures = [spectrogram, waveform].map((canvas) => canvas.getContext("2d", { alpha: false, willReadFrequently: false }));
    this.column = this.pictures[0].createImageData(STEP, spectrogram.height);
  }

  /** Draw until stop(). */
  start() {
    this.stop();
    const draw = () => {
      this.draw();
      this.request = requestAnimationFrame(draw);
    };
    this.request = requestAnimationFrame(draw);
  }

  stop() {
    cancelAnimationFrame(this.request);
  }

  draw() {
    this.analyser.getFloatFrequencyData(this.bins);
    this.analyser.getFloatTimeDomainData(this.samples);
    const [{ canvas: { width, height } }] = this.pictures;
    for (const picture of this.pictures) picture.drawImage(picture.canvas, -STEP, 0);
    for (let y = 0; y < height; y++) {
      const db = this.bins[Math.floor(((height - 1 - y) * this.bins.length) / height)];
      const [r, g, b] = colour((db - LOW_DB) / (HIGH_DB - LOW_DB));
      for (let x = 0; x < STEP; x++) this.column.data.set([r, g, b, 255], 4 * (y * STEP + x));
    }
    this.pictures[0].putImageData(this.column, width - STEP, 0);
    const wave = this.pictures[1];
    const middle = wave.canvas.height / 2;
    let peak = 0;
    for (const x of this.samples) peak = Math.max(peak, Math.abs(x));
    wave.fillStyle = "#000004";
    wave.fillRect(width - STEP, 0, STEP, 2 * middle);
    wave.fillStyle = "#fca50a";
    wave.fillRect(width - STEP, middle - middle * peak, STEP, Math.max(1, 2 * middle * peak));
  }
}
