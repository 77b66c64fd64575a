package org.wavernn.demo.core;

import java.io.IOException;
import java.util.concurrent.CountDownLatch;

/** Hears an array and then nothing more, or fails where it is told to. */
final class FakeMicrophone implements Microphone {
    final StringBuilder calls = new StringBuilder(); // s start, r read, c close
    final CountDownLatch heardAll = new CountDownLatch(1);
    private final int rate; // Hz; 0: the wanted one
    private final short[] pcm;
    private final String startFailure;
    private final String readFailure; // once pcm is over
    private int at;

    FakeMicrophone(int rate, short[] pcm, String startFailure, String readFailure) {
        this.rate = rate;
        this.pcm = pcm;
        this.startFailure = startFailure;
        this.readFailure = readFailure;
    }

    @Override
    public int start(int wantedRate) throws IOException {
        calls.append('s');
        if (startFailure != null) {
            throw new IOException(startFailure);
        }
        return rate == 0 ? wantedRate : rate;
    }

    @Override
    public int read(short[] chunk) throws IOException {
        if (calls.charAt(calls.length() - 1) != 'r') {
            calls.append('r');
        }
        int n = Math.min(chunk.length, pcm.length - at);
        System.arraycopy(pcm, at, chunk, 0, n);
        at += n;
        if (n == 0) {
            if (readFailure != null) {
                throw new IOException(readFailure);
            }
            heardAll.countDown();
            Thread.yield();
        }
        return n;
    }

    @Override
    public void close() {
        calls.append('c');
    }
}
