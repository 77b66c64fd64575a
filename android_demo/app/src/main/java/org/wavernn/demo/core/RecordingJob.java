package org.wavernn.demo.core;

import java.io.IOException;
import java.util.Arrays;

/** Plays a WAV file: what the synthesis is compared with. */
final class RecordingJob extends Job {
    private final Source source;
    private final AudioSink sink;

    RecordingJob(Source source, AudioSink sink) {
        super(new Progress(Progress.State.LOADING));
        this.source = source;
        this.sink = sink;
    }

    @Override
    void stop() {
        super.stop();
        sink.stop();
    }

    @Override
    void work() throws IOException {
        WavFile wav = WavFile.parse(source.name, source.bytes());
        progress.say("recording    %s, %.2f s at %d Hz", source, (double) wav.pcm.length / wav.sampleRate, wav.sampleRate);
        Envelope envelope = new Envelope(wav.pcm.length);
        progress.run(envelope);
        try {
            sink.start(wav.sampleRate);
            int step = Math.max(1, wav.sampleRate / 100);
            for (int at = 0; at < wav.pcm.length && !stopped; at += step) {
                short[] chunk = Arrays.copyOfRange(wav.pcm, at, Math.min(at + step, wav.pcm.length));
                envelope.add(chunk, chunk.length);
                sink.write(chunk, chunk.length);
            }
            if (!stopped) {
                sink.drain();
            }
        } finally {
            sink.close();
        }
    }
}
