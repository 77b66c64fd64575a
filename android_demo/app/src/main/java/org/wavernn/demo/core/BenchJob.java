package org.wavernn.demo.core;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.wavernn.WaveRnn;

/**
 * How fast the voice runs here, without sound. Short: every ISA for SHORT_S seconds or one pass over the clip, then the
 * stages. Sustained: one ISA for SUSTAINED_S seconds, by the second, to see what heat does. Every pass must give the same
 * samples. The JSON has the keys of `wv-bench --json`, null where a phone does not know.
 */
final class BenchJob extends Job {
    static final int SHORT_S = 2;
    static final int SUSTAINED_S = 60;
    private static final long STAGE_NANOS = 5_000_000; // of one timing of a stage
    private static final int STAGE_REPEATS = 5;

    private final Request request;
    private final boolean sustained;
    private final Map<String, Object> device;
    private final Clock clock;

    BenchJob(Request request, boolean sustained, Map<String, Object> device, Clock clock) {
        this.request = request;
        this.sustained = sustained;
        this.device = device;
        this.clock = clock;
    }

    @Override
    void work() throws IOException {
        List<String> isas = request.isa != null ? Collections.singletonList(request.isa) : WaveRnn.isas();
        List<Map<String, Object>> results = new ArrayList<>();
        progress.run(null);
        for (String isa : sustained ? isas.subList(0, 1) : isas) {
            try (MelStream stream = new MelStream(request.on(isa))) {
                Map<String, Object> result = measure(stream);
                if (stopped) {
                    return;
                }
                results.add(result);
            }
        }
        Map<String, Object> report = new LinkedHashMap<>();
        report.put("machine", null);
        report.put("device", device);
        report.put("results", results);
        progress.live("");
        progress.json(Json.write(report));
    }

    /** One result; null if it was stopped. */
    private Map<String, Object> measure(MelStream stream) {
        WaveRnn.Info info = stream.rnn.info();
        String isa = stream.rnn.isa();
        short[] chunk = new short[info.hopLength];
        List<Double> passes = new ArrayList<>(); // samples/s
        List<Double> seconds = new ArrayList<>(); // real-time factor of each second
        Stats chunks = new Stats(info.sampleRate);
        Stats second = new Stats(info.sampleRate);
        String first = null;
        long limit = (sustained ? SUSTAINED_S : SHORT_S) * 1_000_000_000L;
        long begin = clock.nanos();
        while (!stopped && (passes.isEmpty() || clock.nanos() - begin < limit)) {
            Stats pass = new Stats(info.sampleRate);
            PcmHash hash = new PcmHash();
            stream.rewind(request.seed);
            for (int n; !stopped; ) {
                long start = clock.nanos();
                n = stream.next(chunk);
                long end = clock.nanos();
                if (n == 0) {
                    break;
                }
                pass.add(n, end - start);
                chunks.add(n, end - start);
                second.add(n, end - start);
                hash.add(chunk, n);
                if (end - begin >= (seconds.size() + 1) * 1_000_000_000L) {
                    seconds.add(second.realTimeFactor());
                    second = new Stats(info.sampleRate);
                    progress.live("%s: %d s, real time x %.3f", isa, seconds.size(), seconds.get(seconds.size() - 1));
                }
            }
            if (stopped) {
                break;
            }
            String hex = hash.hex();
            if (first != null && !hex.equals(first)) {
                throw new IllegalStateException(isa + ": pass " + (passes.size() + 1) + " gave SHA-256 " + hex + ", the first one " + first);
            }
            first = hex;
            passes.add(1e9 * pass.samples() / pass.computeNanos());
        }
        if (stopped) {
            return null;
        }
        Collections.sort(passes);
        double best = passes.get(passes.size() - 1);
        double median = passes.get(passes.size() / 2);
        double[] spread = chunks.quantiles(0.5, 0.95);
        Map<String, Object> stages = sustained ? null : stages(stream);
        progress.say("%-9s %,9.0f samples/s, real time x %.3f (p50 %.3f, p95 %.3f)", isa, best, info.sampleRate / best,
                spread[0], spread[1]);
        if (sustained) {
            progress.say("          first 5 s x %.3f, last 5 s x %.3f", mean(seconds, 0, 5), mean(seconds, seconds.size() - 5, seconds.size()));
        }
        progress.say("          SHA-256 %s%s", first, request.expectedHash == null ? "" : first.equals(request.expectedHash)
                ? ", as where this app was built" : ", NOT as where this app was built: please report it");

        Map<String, Object> result = new LinkedHashMap<>();
        result.put("backend", "c");
        result.put("isa", isa);
        result.put("dtype", info.dtype);
        result.put("n_units", info.nUnits);
        for (String unknown : new String[] {"n_out", "sparsity", "block"}) {
            result.put(unknown, null);
        }
        result.put("lanes", 1);
        result.put("threads", 1);
        result.put("samples_per_s", best);
        result.put("rtf", info.sampleRate / best);
        result.put("roofline_fraction", null);
        result.put("stages_ns", stages);
        result.put("samples_per_s_median", median);
        result.put("spread", best / median - 1);
        for (String unknown : new String[] {"time_over_first", "stages_ns_median", "nnz", "gmac_per_s", "bytes_per_sample",
            "footprint_bytes", "stages_roofline_fraction", "limits_ns"}) {
            result.put(unknown, null);
        }
        // what wv-bench has not
        result.put("voice", request.voice.name);
        result.put("mel", request.mel.name);
        result.put("seed", request.seed);
        result.put("sha256", first);
        result.put("rtf_p50", spread[0]);
        result.put("rtf_p95", spread[1]);
        result.put("rtf_by_second", seconds);
        return result;
    }

    /** ns per sample of each stage, the fastest of STAGE_REPEATS. */
    private Map<String, Object> stages(MelStream stream) {
        Map<String, Object> found = new LinkedHashMap<>();
        String[] names = {"sample", "R", "gates", "O", "sampling", "condition"};
        stream.rewind(request.seed);
        stream.rnn.push(stream.mel.frames, 0, Math.min(stream.mel.nFrames, 2 * stream.rnn.info().lookahead + 1));
        for (WaveRnn.Stage stage : WaveRnn.Stage.values()) {
            int n = 1;
            while (n < 1 << 20 && time(stream, stage, n) < STAGE_NANOS) {
                n *= 2;
            }
            long best = Long.MAX_VALUE;
            for (int i = 0; i < STAGE_REPEATS && !stopped; i++) {
                best = Math.min(best, time(stream, stage, n));
            }
            double perSample = stage == WaveRnn.Stage.CONDITION ? stream.rnn.info().hopLength : 1; // it runs once a frame
            found.put(names[stage.ordinal()], best / (n * perSample));
        }
        return found;
    }

    private long time(MelStream stream, WaveRnn.Stage stage, int n) {
        long start = clock.nanos();
        stream.rnn.benchStage(stage, n);
        return clock.nanos() - start;
    }

    private static double mean(List<Double> values, int from, int to) {
        double sum = 0;
        List<Double> part = values.subList(Math.max(0, from), Math.min(values.size(), to));
        for (double value : part) {
            sum += value;
        }
        return part.isEmpty() ? Double.NaN : sum / part.size();
    }
}
