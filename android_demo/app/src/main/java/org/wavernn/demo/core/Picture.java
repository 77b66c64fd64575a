package org.wavernn.demo.core;

/** What a clip looks like, as far as it has come. */
public final class Picture {
    public final Envelope envelope;
    public final Spectrogram spectrogram = new Spectrogram();

    /** Of a clip of so many samples. */
    public Picture(long samples) {
        envelope = new Envelope(samples);
    }

    void add(short[] pcm, int n) {
        envelope.add(pcm, n);
        spectrogram.add(pcm, n);
    }
}
