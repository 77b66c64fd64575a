package org.wavernn.demo.core;

import java.util.Arrays;

/** Compute time against audio time: of all chunks together, and the spread over the last RECENT ones. */
final class Stats {
    private static final int RECENT = 1024;

    private final int sampleRate;
    private final double[] recent = new double[RECENT]; // real-time factor per chunk
    private int nChunks;
    private long samples;
    private long computeNanos;

    Stats(int sampleRate) {
        this.sampleRate = sampleRate;
    }

    /** Seconds of computing per second of audio: below 1 is faster than real time. */
    static double realTimeFactor(long computeNanos, long samples, int sampleRate) {
        return 1e-9 * computeNanos * sampleRate / samples;
    }

    void add(int n, long nanos) {
        recent[nChunks++ % RECENT] = realTimeFactor(nanos, n, sampleRate);
        samples += n;
        computeNanos += nanos;
    }

    long samples() {
        return samples;
    }

    long computeNanos() {
        return computeNanos;
    }

    double realTimeFactor() {
        return samples == 0 ? Double.NaN : realTimeFactor(computeNanos, samples, sampleRate);
    }

    /** Real-time factors per chunk, not exceeded by these fractions of the chunks. */
    double[] quantiles(double... fractions) {
        double[] sorted = Arrays.copyOf(recent, Math.min(nChunks, RECENT));
        Arrays.sort(sorted);
        double[] values = new double[fractions.length];
        for (int i = 0; i < values.length; i++) {
            values[i] = sorted.length == 0 ? Double.NaN
                    : sorted[(int) Math.min(sorted.length - 1, Math.floor(fractions[i] * sorted.length))];
        }
        return values;
    }
}
