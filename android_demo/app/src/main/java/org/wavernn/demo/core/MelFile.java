package org.wavernn.demo.core;

import org.wavernn.WaveRnn;
import org.wavernn.WaveRnnException;

/** Mels out of a .npy of wv-mel or numpy.save, or of the audio in a WAV file. */
public final class MelFile {
    public final String name;
    public final float[] frames; // (nFrames, nMels)
    public final int nFrames;

    private MelFile(String name, float[] frames, int nFrames) {
        this.name = name;
        this.frames = frames;
        this.nFrames = nFrames;
    }

    /** The mels in a file's bytes, for the model of `rnn`. */
    public static MelFile parse(String name, byte[] bytes, WaveRnn rnn) throws FileException {
        try {
            float[] frames = WavFile.is(bytes) ? rnn.analyse(bytes) : rnn.readMels(bytes);
            return new MelFile(name, frames, frames.length / rnn.info().nMels);
        } catch (WaveRnnException e) {
            throw new FileException(name, e.getMessage());
        }
    }
}
