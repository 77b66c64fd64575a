package org.wavernn.demo.core;

import org.wavernn.WaveRnnException;

/** Something that a Session does on a thread of its own; it ends by itself, by stop(), or by an error in words. */
abstract class Job implements Runnable {
    final Progress progress = new Progress(Progress.State.LOADING);
    volatile boolean stopped;
    private final Object ending = new Object();
    private boolean ended;

    abstract void work() throws Exception;

    /** From any thread; returns at once. */
    void stop() {
        stopped = true;
    }

    @Override
    public final void run() {
        try {
            if (!stopped) {
                work();
            }
            progress.end(stopped ? Progress.State.STOPPED : Progress.State.DONE);
        } catch (Exception | OutOfMemoryError | LinkageError e) { // no native library: a LinkageError of one kind or another
            progress.fail(words(e));
        } finally {
            synchronized (ending) {
                ended = true;
                ending.notifyAll();
            }
        }
    }

    /** Waits for the end of run(). */
    void await() throws InterruptedException {
        synchronized (ending) {
            while (!ended) {
                ending.wait();
            }
        }
    }

    private static String words(Throwable e) {
        String text = e.getMessage() != null ? e.getMessage() : e.getClass().getSimpleName();
        if (e instanceof OutOfMemoryError || e instanceof WaveRnnException && ((WaveRnnException) e).status.equals("memory")) {
            return "The file does not fit into this phone's memory.";
        }
        if (text.contains("No space left")) {
            return "There is no space left on this phone.";
        }
        if (e instanceof SecurityException) {
            return "The file may not be opened any more: pick it again.";
        }
        return e instanceof java.io.FileNotFoundException ? "File not found: " + text : text;
    }
}
