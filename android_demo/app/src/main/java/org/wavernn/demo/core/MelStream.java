package org.wavernn.demo.core;

import java.io.Closeable;
import java.io.IOException;
import org.wavernn.WaveRnn;
import org.wavernn.WaveRnnException;

/** A voice speaking one mel file, chunk by chunk. */
final class MelStream implements Closeable {
    final WaveRnn rnn;
    final MelFile mel;
    private int pushed; // frames

    MelStream(Request request) throws IOException {
        rnn = open(request.voice, request.options());
        try {
            mel = MelFile.parse(request.mel.name, request.mel.bytes(), rnn);
        } catch (IOException | RuntimeException | Error e) {
            rnn.close();
            throw e;
        }
    }

    static WaveRnn open(Source voice, WaveRnn.Options options) throws IOException {
        byte[] model = voice.bytes();
        try {
            return WaveRnn.open(model, options);
        } catch (WaveRnnException e) {
            if (e.status.equals("isa") || e.status.equals("memory")) {
                throw e; // not the file's fault
            }
            throw new FileException(voice.name, e.getMessage());
        }
    }

    long samples() {
        return (long) mel.nFrames * rnn.info().hopLength;
    }

    /** Up to pcm.length more samples; 0 at the end. */
    int next(short[] pcm) {
        pushed += rnn.push(mel.frames, pushed, mel.nFrames - pushed);
        if (pushed == mel.nFrames) {
            rnn.finish();
        }
        return rnn.pull(pcm, 0, pcm.length);
    }

    /** From the start again. */
    void rewind(long seed) {
        rnn.reset(seed);
        pushed = 0;
    }

    @Override
    public void close() {
        rnn.close();
    }
}
