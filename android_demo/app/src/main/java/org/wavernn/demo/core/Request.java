package org.wavernn.demo.core;

import org.wavernn.WaveRnn;

/** What to synthesize, and how. */
public final class Request {
    public final Source voice; // a .bin
    public final Source mel; // a .npy, or a .wav to copy
    public final String isa; // null: the best one
    public final long seed;
    public final float temperature;
    public final String expectedHash; // SHA-256 of the PCM, null where nobody knows

    public Request(Source voice, Source mel, String isa, long seed, float temperature, String expectedHash) {
        this.voice = voice;
        this.mel = mel;
        this.isa = isa;
        this.seed = seed;
        this.temperature = temperature;
        this.expectedHash = expectedHash;
    }

    /** The same on another ISA. */
    Request on(String isa) {
        return new Request(voice, mel, isa, seed, temperature, expectedHash);
    }

    WaveRnn.Options options() {
        return new WaveRnn.Options().seed(seed).temperature(temperature).isa(isa);
    }
}
