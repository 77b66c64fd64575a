package org.wavernn.demo.core;

import java.io.IOException;

/** Plays a WAV file: what the synthesis is compared with. */
final class RecordingJob extends SoundJob {
    private final Source source;

    RecordingJob(Source source, AudioSink sink) {
        super(sink);
        this.source = source;
    }

    @Override
    void work() throws IOException {
        WavFile wav = WavFile.parse(source.name, source.bytes());
        progress.say("recording    %s, %.2f s at %d Hz", source, (double) wav.pcm.length / wav.sampleRate, wav.sampleRate);
        sound(wav.sampleRate, wav.pcm.length, () -> {
            short[] chunk = new short[Math.max(1, wav.sampleRate / 100)];
            for (int at = 0; at < wav.pcm.length && !stopped; at += chunk.length) {
                int n = Math.min(chunk.length, wav.pcm.length - at);
                System.arraycopy(wav.pcm, at, chunk, 0, n);
                write(chunk, n);
            }
        });
    }
}
