package org.wavernn.demo.core;

import java.io.IOException;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;

/** Remembers what it was told; with `room`, blocks like an output whose buffer is full until it is stopped. */
final class FakeSink implements AudioSink {
    static final PerformanceHint.Factory NO_HINTS = nanos -> new PerformanceHint(null, 0, nanos);
    private static final AtomicInteger OPEN = new AtomicInteger();

    final StringBuilder calls = new StringBuilder(); // s start, w write, d drain, x stop, c close
    final CountDownLatch full = new CountDownLatch(1);
    private final int room; // samples
    private final String failure;
    private short[] heard = new short[0];
    private boolean stopped;
    int sampleRate;

    FakeSink(int room, String failure) {
        this.room = room;
        this.failure = failure;
    }

    @Override
    public synchronized void start(int sampleRate) throws IOException {
        calls.append('s');
        if (OPEN.incrementAndGet() != 1) {
            throw new IOException("two outputs at once");
        }
        this.sampleRate = sampleRate;
        if (failure != null) {
            throw new IOException(failure);
        }
    }

    @Override
    public synchronized void write(short[] pcm, int n) {
        if (calls.charAt(calls.length() - 1) != 'w') {
            calls.append('w');
        }
        while (!stopped && heard.length + n > room) {
            full.countDown();
            try {
                wait();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
        if (!stopped) {
            int at = heard.length;
            heard = Arrays.copyOf(heard, at + n);
            System.arraycopy(pcm, 0, heard, at, n);
        }
    }

    @Override
    public synchronized void drain() {
        calls.append('d');
    }

    @Override
    public synchronized void stop() {
        calls.append('x');
        stopped = true;
        notifyAll();
    }

    @Override
    public void close() {
        try {
            Thread.sleep(20); // a phone's output takes its time, too
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
        closed();
    }

    private synchronized void closed() {
        calls.append('c');
        OPEN.decrementAndGet();
    }

    synchronized short[] heard() {
        return heard;
    }
}
