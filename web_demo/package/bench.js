// How fast a voice runs here, without sound. The keys are those of `wv-bench --json`, null for what is not known here.

const STAGES = ["sample", "R", "gates", "O", "sampling", "condition"]; // wv_stage
const STAGE_MS = 5; // of one timing of a stage
const STAGE_REPEATS = 5;
const UNKNOWN = Object.fromEntries(["n_out", "sparsity", "block", "roofline_fraction", "time_over_first", "stages_ns_median", "nnz",
  "gmac_per_s", "bytes_per_sample", "footprint_bytes", "stages_roofline_fraction", "limits_ns"].map((key) => [key, null]));

const timed = (run) => {
  const start = performance.now();
  run();
  return performance.now() - start;
};

/** ns per sample of each stage, the fastest of STAGE_REPEATS. */
function stages(voice, mels, isa) {
  const { info } = voice;
  const stream = voice.stream(mels, { isa });
  stream.push(mels.subarray(0, Math.min(mels.length, (2 * info.lookahead + 1) * info.nMels)));
  const found = {};
  STAGES.forEach((name, stage) => {
    let n = 1;
    while (n < 1 << 20 && timed(() => stream.benchStage(stage, n)) < STAGE_MS) n *= 2;
    const best = Math.min(...Array.from({ length: STAGE_REPEATS }, () => timed(() => stream.benchStage(stage, n))));
    found[name] = (1e6 * best) / (n * (name === "condition" ? info.hopLength : 1));
  });
  stream.close();
  return found;
}

/** One result per ISA: whole passes over the mels for `seconds`, at least one; each must give the same samples. */
export function bench(voice, mels, { seconds = 2, isas = voice.info.isas } = {}) {
  const { info } = voice;
  return isas.map((isa) => {
    const rates = []; // samples/s of each pass
    const end = performance.now() + 1000 * seconds;
    let sha256;
    do {
      const stream = voice.stream(mels, { isa });
      let chunks;
      const ms = timed(() => { chunks = [...stream]; });
      stream.close();
      const pcm = new Int16Array(chunks.reduce((n, c) => n + c.length, 0));
      chunks.reduce((at, c) => (pcm.set(c, at), at + c.length), 0);
      const hash = voice.sha256(pcm);
      if (sha256 && sha256 !== hash) throw new Error(`${isa}: pass ${rates.length + 1} gave SHA-256 ${hash}, the first one ${sha256}`);
      sha256 = hash;
      rates.push((1000 * pcm.length) / ms);
    } while (performance.now() < end);
    rates.sort((a, b) => a - b);
    const best = rates.at(-1);
    const median = rates[rates.length >> 1];
    return { ...UNKNOWN, backend: "c", isa, dtype: info.dtype, n_units: info.nUnits, lanes: 1, threads: 1, samples_per_s: best, rtf: info.sampleRate / best,
      stages_ns: stages(voice, mels, isa), samples_per_s_median: median, spread: best / median - 1, sha256 };
  });
}
