package org.wavernn.demo.core;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Arrays;
import org.wavernn.WaveRnn;

/** Records what a voice is to copy: until enough(), at most MAX_SECONDS, as a WAV file at the rate of the voice. */
final class MicrophoneJob extends Job {
    static final int MAX_SECONDS = 10;
    private static final double MIN_SECONDS = 0.5;
    private static final int SILENCE = 33; // 60 dB below full scale: a room is louder

    private final String name;
    private final Source voice;
    private final Microphone microphone;
    private volatile boolean enough;
    private volatile Source recording;

    /** Will give a file of this name. */
    MicrophoneJob(String name, Source voice, Microphone microphone) {
        this.name = name;
        this.voice = voice;
        this.microphone = microphone;
    }

    /** Ends the recording and keeps it; stop() forgets it. From any thread; returns at once. */
    void enough() {
        enough = true;
    }

    /** The WAV file; null before the end, and if it was of no use. */
    Source recording() {
        return recording;
    }

    @Override
    void work() throws IOException {
        int wanted;
        try (WaveRnn rnn = MelStream.open(voice, new WaveRnn.Options())) {
            wanted = rnn.info().sampleRate;
        }
        WavFile heard = listen(wanted);
        if (stopped) {
            return;
        }
        check(heard);
        ByteArrayOutputStream file = new ByteArrayOutputStream();
        heard.at(wanted).write(file);
        recording = Source.of(name, file.toByteArray());
    }

    private WavFile listen(int wanted) throws IOException {
        try {
            int rate = microphone.start(wanted);
            short[] pcm = new short[MAX_SECONDS * rate];
            short[] chunk = new short[rate / 50];
            int n = 0;
            Picture picture = new Picture(pcm.length);
            progress.run(picture);
            while (!stopped && !enough && n < pcm.length) {
                int read = Math.min(microphone.read(chunk), pcm.length - n);
                System.arraycopy(chunk, 0, pcm, n, read);
                n += read;
                picture.add(chunk, read);
                progress.live("recording    %.1f s of at most %d, at %d Hz", (double) n / rate, MAX_SECONDS, rate);
            }
            return new WavFile(rate, Arrays.copyOf(pcm, n));
        } finally {
            microphone.close();
        }
    }

    private static void check(WavFile heard) throws IOException {
        double seconds = (double) heard.pcm.length / heard.sampleRate;
        if (seconds < MIN_SECONDS) {
            throw new IOException(String.format(java.util.Locale.ROOT,
                    "The recording has %.2f s, wanted at least %.1f s: speak before you stop it.", seconds, MIN_SECONDS));
        }
        int peak = 0;
        for (short sample : heard.pcm) {
            peak = Math.max(peak, Math.abs(sample));
        }
        if (peak < SILENCE) {
            throw new IOException("The recording is silent: the microphone is switched off or covered, or another app holds it.");
        }
    }
}
