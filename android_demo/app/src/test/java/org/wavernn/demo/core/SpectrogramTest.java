package org.wavernn.demo.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.util.Arrays;
import java.util.Random;
import org.junit.Test;

public class SpectrogramTest {
    private static final int WINDOW = Spectrogram.WINDOW, HOP = Spectrogram.HOP, ROWS = Spectrogram.ROWS;

    private static short[] sine(double bin, double amplitude, int n) {
        short[] pcm = new short[n];
        for (int i = 0; i < n; i++) {
            pcm[i] = (short) Math.round(32767 * amplitude * Math.sin(2 * Math.PI * bin * i / WINDOW));
        }
        return pcm;
    }

    private static int[] picture(short[] pcm, int chunk) {
        Spectrogram spectrogram = new Spectrogram();
        for (int at = 0; at < pcm.length; at += chunk) {
            short[] part = Arrays.copyOfRange(pcm, at, Math.min(at + chunk, pcm.length));
            spectrogram.add(part, part.length);
        }
        int[] pixels = new int[ROWS * Spectrogram.COLUMNS];
        assertEquals((pcm.length - WINDOW) / HOP + 1, spectrogram.read(pixels, -1));
        return pixels;
    }

    /** The pixel `age` columns from the right that shows this bin. */
    private static int pixel(int[] pixels, int bin, int age) {
        return pixels[(ROWS - 1 - bin / 2) * Spectrogram.COLUMNS + Spectrogram.COLUMNS - 1 - age];
    }

    /** dB of one bin of the window that begins at `start`, by the definition. */
    private static double decibels(short[] pcm, int start, int bin) {
        double re = 0;
        double im = 0;
        for (int i = 0; i < WINDOW; i++) {
            double hann = 0.5 - 0.5 * Math.cos(2 * Math.PI * i / WINDOW);
            re += hann * pcm[start + i] / 32768 * Math.cos(2 * Math.PI * bin * i / WINDOW);
            im += hann * pcm[start + i] / 32768 * Math.sin(2 * Math.PI * bin * i / WINDOW);
        }
        return 20 * Math.log10(Math.hypot(re, im) * 4 / WINDOW);
    }

    private static void assertClose(String what, int wanted, int found) {
        for (int shift = 0; shift < 32; shift += 8) {
            assertEquals(what, wanted >>> shift & 255, found >>> shift & 255, 1);
        }
    }

    @Test
    public void aSineIsALineAtItsFrequency() {
        for (int bin : new int[] {10, 101, 200}) {
            int[] pixels = picture(sine(bin, 0.05, 3 * WINDOW), 100);
            int[] quiet = picture(sine(bin, 0.01, 3 * WINDOW), 100);
            for (int age = 0; age < 5; age++) {
                assertClose("a twentieth", Spectrogram.color(-26.02), pixel(pixels, bin, age));
                assertClose("a hundredth", Spectrogram.color(-40), pixel(quiet, bin, age));
                for (int other = 0; other < WINDOW / 2; other++) {
                    if (Math.abs(other / 2 - bin / 2) > 1) {
                        assertEquals(Spectrogram.color(Spectrogram.LOWEST), pixel(quiet, other, age));
                    }
                }
            }
            assertEquals("before the clip", Spectrogram.color(Spectrogram.LOWEST), pixel(pixels, bin, 5));
        }
    }

    @Test
    public void everyPixelIsThatOfTheDefinition() {
        Random random = new Random(1);
        short[] pcm = sine(33.3, 0.5, 4 * WINDOW);
        for (int i = 0; i < pcm.length; i++) {
            pcm[i] += (short) (3000 * random.nextGaussian() * i / pcm.length);
        }
        int[] pixels = picture(pcm, pcm.length);
        int n = (pcm.length - WINDOW) / HOP + 1;
        for (int age = 0; age < n; age++) {
            for (int bin = 0; bin < WINDOW / 2; bin += 2) {
                int start = (n - 1 - age) * HOP;
                double wanted = Math.max(decibels(pcm, start, bin), decibels(pcm, start, bin + 1));
                assertClose("bin " + bin + ", age " + age, Spectrogram.color(wanted), pixel(pixels, bin, age));
            }
        }
    }

    @Test
    public void chunksDoNotShowAndOldColumnsScrollOut() {
        short[] pcm = sine(20, 1, (Spectrogram.COLUMNS + 40) * HOP);
        Arrays.fill(pcm, pcm.length / 2, pcm.length, (short) 0);
        int[] pixels = picture(pcm, pcm.length);
        for (int chunk : new int[] {1, 127, HOP, 1000}) {
            assertArrayEquals(pixels, picture(pcm, chunk));
        }
        int silent = pcm.length / 2 / HOP;
        assertEquals(Spectrogram.color(Spectrogram.LOWEST), pixel(pixels, 20, silent - 2));
        assertClose("the oldest", Spectrogram.color(0), pixel(pixels, 20, Spectrogram.COLUMNS - 1));
        assertClose("the last", Spectrogram.color(0), pixel(pixels, 20, silent));
    }

    @Test
    public void colorsRunFromBlackToYellow() {
        assertEquals(0xFF000004, Spectrogram.color(Double.NEGATIVE_INFINITY)); // digital silence
        assertEquals(0xFF000004, Spectrogram.color(Spectrogram.LOWEST));
        assertEquals(0xFFFCFDBF, Spectrogram.color(Spectrogram.HIGHEST));
        assertEquals(0xFFFCFDBF, Spectrogram.color(0));
        assertEquals(0xFFB53975, Spectrogram.color((Spectrogram.LOWEST + Spectrogram.HIGHEST) / 2)); // of the middle two
        int before = -1;
        for (double db = Spectrogram.LOWEST; db <= 0; db += 0.5) { // ever brighter
            int argb = Spectrogram.color(db);
            int light = 299 * (argb >> 16 & 255) + 587 * (argb >> 8 & 255) + 114 * (argb & 255);
            assertTrue(db + " dB", light >= before);
            before = light;
        }
    }

    @Test
    public void whatHasNotChangedIsNotCopied() {
        Spectrogram spectrogram = new Spectrogram();
        int[] pixels = new int[ROWS * Spectrogram.COLUMNS];
        assertEquals(0, spectrogram.read(pixels, -1));
        assertEquals(Spectrogram.color(Spectrogram.LOWEST), pixels[0]);
        pixels[0] = 7;
        spectrogram.add(sine(9, 1, WINDOW - 1), WINDOW - 1);
        assertEquals(0, spectrogram.read(pixels, 0));
        assertEquals(7, pixels[0]);
        spectrogram.add(new short[1], 1);
        assertEquals(1, spectrogram.read(pixels, 0));
        assertEquals(Spectrogram.color(Spectrogram.LOWEST), pixels[0]);
    }
}
