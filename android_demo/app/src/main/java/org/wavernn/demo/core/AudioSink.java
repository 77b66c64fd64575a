package org.wavernn.demo.core;

import java.io.IOException;

/** Where audio goes: a phone's AudioTrack, or a list in a test. One thread writes; stop() may come from any other. */
public interface AudioSink {
    /** Takes the output and gets ready for 16-bit mono samples. Throws if there is no output, in words. */
    void start(int sampleRate) throws IOException;

    /** Blocks while the output's buffer is full. After stop() it returns at once and plays nothing. */
    void write(short[] pcm, int n) throws IOException;

    /** Blocks until all that was written has been heard, or stop() is called. */
    void drain() throws IOException;

    /** Silence at once, for good. */
    void stop();

    /** Gives the output back; the writing thread's last call. */
    void close();

    /** Makes one per run. */
    interface Factory {
        AudioSink create();
    }
}
