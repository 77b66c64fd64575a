package org.wavernn.demo.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;

import org.junit.Test;

public class ResamplerTest {
    private static final int EDGE = 200; // outputs that see the silence around the clip

    private static short[] sine(double hz, int rate) {
        short[] pcm = new short[rate];
        for (int i = 0; i < pcm.length; i++) {
            pcm[i] = (short) Math.round(20000 * Math.sin(2 * Math.PI * hz * i / rate));
        }
        return pcm;
    }

    @Test
    public void aSineKeepsItsPlaceAndLoudness() {
        int[][] rates = {{44100, 16000}, {48000, 16000}, {48000, 24000}, {48000, 22050}, {16000, 24000}, {44100, 48000}};
        for (int[] rate : rates) {
            for (double hz : new double[] {0.001, 50, 440, 3000, 6800}) {
                short[] wanted = sine(hz, rate[1]);
                short[] out = Resampler.convert(sine(hz, rate[0]), rate[0], rate[1]);
                assertEquals(wanted.length, out.length);
                for (int i = EDGE; i < out.length - EDGE; i++) {
                    assertEquals(rate[0] + " to " + rate[1] + " Hz, " + hz + " Hz, sample " + i, wanted[i], out[i], 20); // -60 dB
                }
            }
        }
    }

    @Test
    public void whatTheNewRateCannotHoldIsGone() {
        for (double hz : new double[] {8100, 9000, 15000, 16000, 20000}) {
            short[] out = Resampler.convert(sine(hz, 44100), 44100, 16000);
            for (int i = EDGE; i < out.length - EDGE; i++) {
                assertEquals(hz + " Hz, sample " + i, 0, out[i], 20);
            }
        }
    }

    @Test
    public void loudSamplesAreClippedAndFewAreNoError() {
        short[] square = new short[4410];
        for (int i = 0; i < square.length; i++) {
            square[i] = i / 50 % 2 == 0 ? Short.MAX_VALUE : Short.MIN_VALUE;
        }
        short[] out = Resampler.convert(square, 44100, 48000); // overshoots at the edges
        for (int i = EDGE; i < out.length - EDGE; i++) {
            double at = i * 44100.0 / 48000 % 100;
            if (Math.abs(at % 50 - 25) < 23) { // apart from the edges
                assertEquals("sample " + i, at < 50, out[i] > 20000);
            }
        }
        assertArrayEquals(new short[0], Resampler.convert(new short[2], 48000, 16000 / 2));
        assertEquals(1, Resampler.convert(new short[3], 48000, 16000).length);
    }
}
