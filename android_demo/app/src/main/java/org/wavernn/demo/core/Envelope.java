package org.wavernn.demo.core;

/** Lowest and highest sample of each of N columns of a clip, filled while it plays: the picture of the waveform. */
public final class Envelope {
    public static final int COLUMNS = 400;

    private final long total; // samples of the whole clip
    private final short[] low = new short[COLUMNS], high = new short[COLUMNS];
    private long done;

    public Envelope(long total) {
        this.total = Math.max(1, total);
    }

    synchronized void add(short[] pcm, int n) {
        for (int i = 0; i < n && done < total; i++, done++) {
            int column = (int) (done * COLUMNS / total);
            low[column] = (short) Math.min(low[column], pcm[i]);
            high[column] = (short) Math.max(high[column], pcm[i]);
        }
    }

    /** Writes {low, high} of the columns that have begun, in turn, each -1 to 1; returns how many have. */
    public synchronized int read(float[] lines) {
        int n = done == 0 ? 0 : (int) ((done - 1) * COLUMNS / total) + 1;
        for (int i = 0; i < n; i++) {
            lines[2 * i] = low[i] / 32768f;
            lines[2 * i + 1] = high[i] / 32768f;
        }
        return n;
    }
}
