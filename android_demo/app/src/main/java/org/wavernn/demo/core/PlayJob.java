package org.wavernn.demo.core;

import java.io.IOException;
import java.util.Arrays;
import org.wavernn.WaveRnn;

/** Plays while it synthesizes: one mel frame's samples at a time, computed, then written to the sink. */
final class PlayJob extends SoundJob {
    private static final long TELL_NANOS = 100_000_000; // how often the numbers on the screen change

    private final Request request;
    private final Clock clock;
    private final PerformanceHint.Factory hints;
    private short[] pcm; // of the whole clip
    private int written;
    private int sampleRate;

    PlayJob(Request request, AudioSink sink, Clock clock, PerformanceHint.Factory hints) {
        super(sink);
        this.request = request;
        this.clock = clock;
        this.hints = hints;
    }

    @Override
    void work() throws IOException {
        long loading = clock.nanos();
        try (MelStream stream = new MelStream(request)) {
            WaveRnn.Info info = stream.rnn.info();
            progress.say("voice        %s, %s, %d units", request.voice, info.dtype, info.nUnits);
            progress.say("mels         %s, %.2f s at %d Hz", request.mel, (double) stream.samples() / info.sampleRate, info.sampleRate);
            progress.say("ISA          %s", stream.rnn.isa());
            progress.say("loaded in    %.1f ms", 1e-6 * (clock.nanos() - loading));
            synchronized (this) {
                pcm = new short[(int) stream.samples()];
                sampleRate = info.sampleRate;
            }
            sound(info.sampleRate, stream.samples(), () -> synthesize(stream, info));
        }
    }

    private void synthesize(MelStream stream, WaveRnn.Info info) throws IOException {
        Stats stats = new Stats(info.sampleRate);
        PcmHash hash = new PcmHash();
        short[] chunk = new short[info.hopLength];
        long target = 1_000_000_000L * info.hopLength / info.sampleRate; // a chunk's own duration
        long heard = 0; // when the first chunk was written: from then on audio is used up
        long told = 0;
        int late = 0;
        try (PerformanceHint hint = hints.create(target)) {
            progress.say("hints        %s", hint.active() ? "PerformanceHintManager" : "none");
            while (!stopped) {
                long start = clock.nanos();
                int n = stream.next(chunk);
                long end = clock.nanos();
                if (n == 0) {
                    break;
                }
                hint.report(end - start);
                if (written == 0) {
                    progress.say("first audio  %.2f ms after the first frame", 1e-6 * (end - start));
                    heard = end;
                } else if (end - heard > 1e9 * written / info.sampleRate) {
                    late++;
                }
                stats.add(n, end - start);
                hash.add(chunk, n);
                synchronized (this) {
                    System.arraycopy(chunk, 0, pcm, written, n);
                    written += n;
                }
                if (stats.samples() == n || end - told >= TELL_NANOS) {
                    tell(stats, chunk.length, late);
                    told = end;
                }
                write(chunk, n);
            }
        }
        tell(stats, chunk.length, late);
        if (written == pcm.length) {
            String hex = hash.hex();
            progress.say("SHA-256      %s", hex);
            if (request.expectedHash != null) {
                progress.say(hex.equals(request.expectedHash) ? "             as on the computer that built this app"
                        : "             NOT as on the computer that built this app: please report it");
            }
        }
    }

    private void tell(Stats stats, int chunk, int late) {
        double[] spread = stats.quantiles(0.5, 0.95);
        progress.live("real time x  %.3f (per chunk of %d: p50 %.3f, p95 %.3f)\nlate chunks  %d", stats.realTimeFactor(), chunk,
                spread[0], spread[1], late);
    }

    /** Whether wav() has anything. */
    synchronized boolean hasSpoken() {
        return written > 0;
    }

    /** What has been spoken so far; null before there is any. */
    synchronized WavFile wav() {
        return written == 0 ? null : new WavFile(sampleRate, written == pcm.length ? pcm : Arrays.copyOf(pcm, written));
    }
}
