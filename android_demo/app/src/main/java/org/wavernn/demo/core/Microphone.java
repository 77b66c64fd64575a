package org.wavernn.demo.core;

import java.io.IOException;

/** Where recordings come from: a phone's AudioRecord, or an array in a test. One thread calls it. */
public interface Microphone {
    /**
     * Takes the microphone for 16-bit mono samples. Throws if it may not or cannot be had, in words.
     *
     * @param wantedRate Hz
     * @return the rate of what read() gives: the wanted one if the phone has it
     */
    int start(int wantedRate) throws IOException;

    /** Blocks until it has filled pcm, or less of it; returns how many samples there are. */
    int read(short[] pcm) throws IOException;

    /** Gives the microphone back; the last call. */
    void close();

    /** Makes one per recording. */
    interface Factory {
        Microphone create();
    }
}
