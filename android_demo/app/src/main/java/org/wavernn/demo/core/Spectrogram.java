package org.wavernn.demo.core;

import java.util.Arrays;

/**
 * The last COLUMNS short-time spectra of a clip as a picture that scrolls, made while it plays. One thread adds samples,
 * another reads the picture; neither allocates.
 */
public final class Spectrogram {
    public static final int COLUMNS = 256; // HOP samples each, the newest at the right
    public static final int ROWS = 128; // two bins each: half the sample rate at the top, 0 Hz at the bottom
    static final int WINDOW = 4 * ROWS; // samples
    static final int HOP = WINDOW / 2;
    static final float LOWEST = -90, HIGHEST = -20; // dB beside a full-scale sine: black, yellow
    private static final int[] COLORS = {0xFF000004, 0xFF3B0F70, 0xFF8C2981, 0xFFDE4968, 0xFFFE9F6D, 0xFFFCFDBF};

    private final float[] window = new float[WINDOW]; // Hann's, such that a full-scale sine has magnitude 1
    private final float[] cos = new float[WINDOW / 2], sin = new float[WINDOW / 2]; // of the transform
    private final float[] re = new float[WINDOW], im = new float[WINDOW];
    private final short[] recent = new short[WINDOW]; // a ring
    private int next; // in recent
    private int missing = WINDOW; // samples until the next spectrum
    private final int[] column = new int[ROWS];
    private final int[] picture = new int[ROWS * COLUMNS]; // a ring of columns; guarded by this, as nColumns
    private int nColumns;

    public Spectrogram() {
        for (int i = 0; i < WINDOW; i++) {
            window[i] = (float) ((1 - Math.cos(2 * Math.PI * i / WINDOW)) * 2 / WINDOW / 32768);
        }
        for (int i = 0; i < WINDOW / 2; i++) {
            cos[i] = (float) Math.cos(2 * Math.PI * i / WINDOW);
            sin[i] = (float) -Math.sin(2 * Math.PI * i / WINDOW);
        }
        Arrays.fill(picture, color(LOWEST));
    }

    /** The next n samples. */
    void add(short[] pcm, int n) {
        for (int i = 0; i < n; i++) {
            recent[next] = pcm[i];
            next = (next + 1) % WINDOW;
            if (--missing == 0) {
                missing = HOP;
                transform();
                for (int row = 0; row < ROWS; row++) {
                    column[row] = color(10 * Math.log10(Math.max(power(2 * row), power(2 * row + 1))));
                }
                store();
            }
        }
    }

    /**
     * Copies the picture, (ROWS, COLUMNS) ARGB, into pixels unless it is still the one of nSeen columns. Returns how many
     * columns there have been.
     */
    public synchronized int read(int[] pixels, int nSeen) {
        int newest = nColumns % COLUMNS; // the oldest one's place, too
        for (int row = 0; row < ROWS && nSeen != nColumns; row++) {
            int start = row * COLUMNS;
            System.arraycopy(picture, start + newest, pixels, start, COLUMNS - newest);
            System.arraycopy(picture, start, pixels, start + COLUMNS - newest, newest);
        }
        return nColumns;
    }

    private synchronized void store() {
        for (int row = 0; row < ROWS; row++) {
            picture[(ROWS - 1 - row) * COLUMNS + nColumns % COLUMNS] = column[row];
        }
        nColumns++;
    }

    /** Black at LOWEST dB and below, bright yellow at HIGHEST and above. */
    static int color(double decibels) {
        double place = Math.max(0, Math.min(1, (decibels - LOWEST) / (HIGHEST - LOWEST))) * (COLORS.length - 1);
        int low = (int) Math.min(place, COLORS.length - 2);
        int argb = 0;
        for (int shift = 24; shift >= 0; shift -= 8) {
            int from = COLORS[low] >>> shift & 255;
            int to = COLORS[low + 1] >>> shift & 255;
            argb |= (int) Math.round(from + (to - from) * (place - low)) << shift;
        }
        return argb;
    }

    private float power(int bin) {
        return re[bin] * re[bin] + im[bin] * im[bin];
    }

    /** The spectrum of the last WINDOW samples into re and im: the radix-2 FFT. */
    private void transform() {
        int bits = Integer.numberOfTrailingZeros(WINDOW);
        for (int i = 0; i < WINDOW; i++) {
            int reversed = Integer.reverse(i) >>> (32 - bits);
            re[reversed] = window[i] * recent[(next + i) % WINDOW];
            im[reversed] = 0;
        }
        for (int half = 1; half < WINDOW; half *= 2) {
            for (int k = 0; k < half; k++) {
                float c = cos[k * (WINDOW / 2 / half)];
                float s = sin[k * (WINDOW / 2 / half)];
                for (int a = k; a < WINDOW; a += 2 * half) {
                    int b = a + half;
                    float x = c * re[b] - s * im[b];
                    float y = c * im[b] + s * re[b];
                    re[b] = re[a] - x;
                    im[b] = im[a] - y;
                    re[a] += x;
                    im[a] += y;
                }
            }
        }
    }
}
