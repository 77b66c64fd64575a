package org.wavernn.demo.core;

/** Another sample rate, by a sinc under a Kaiser window: flat to 0.86 of the lower half rate, 70 dB down beyond it. */
final class Resampler {
    private static final int CROSSINGS = 32; // of the sinc, on each side
    private static final double CUTOFF = 0.93; // of the lower half rate
    private static final double BETA = 7; // of the window

    private Resampler() {
    }

    /** The samples at `to` Hz; sample 0 stays where it is. */
    static short[] convert(short[] pcm, int from, int to) {
        int common = gcd(from, to);
        int phases = to / common; // output m lies m % phases parts behind an input
        double cutoff = CUTOFF * Math.min(1, (double) to / from); // of half the input's rate
        int half = (int) Math.ceil(CROSSINGS / cutoff);
        float[][] filters = new float[phases][];
        for (int phase = 0; phase < phases; phase++) {
            filters[phase] = filter((double) phase / phases, cutoff, half);
        }
        short[] out = new short[(int) ((long) pcm.length * to / from)];
        for (int m = 0; m < out.length; m++) {
            long at = (long) m * (from / common); // in parts of an input
            float[] filter = filters[(int) (at % phases)];
            int first = (int) (at / phases) - half + 1;
            float sum = 0;
            for (int i = Math.max(0, -first); i < filter.length && first + i < pcm.length; i++) {
                sum += filter[i] * pcm[first + i];
            }
            out[m] = (short) Math.max(Short.MIN_VALUE, Math.min(Short.MAX_VALUE, Math.round(sum)));
        }
        return out;
    }

    /** Weights of the inputs from half - 1 before to half behind a place that is `part` of an input behind one. */
    private static float[] filter(double part, double cutoff, int half) {
        float[] weights = new float[2 * half];
        for (int i = 0; i < weights.length; i++) {
            double x = part + half - 1 - i;
            double angle = Math.PI * cutoff * x;
            double sinc = angle == 0 ? 1 : Math.sin(angle) / angle;
            double inside = Math.max(0, 1 - x * x / ((double) half * half));
            weights[i] = (float) (cutoff * sinc * bessel(BETA * Math.sqrt(inside)) / bessel(BETA));
        }
        return weights;
    }

    /** The modified Bessel function of order 0, by its series. */
    private static double bessel(double x) {
        double sum = 1;
        double term = 1;
        for (int k = 1; term > 1e-12 * sum; k++) {
            term *= x * x / (4.0 * k * k);
            sum += term;
        }
        return sum;
    }

    private static int gcd(int a, int b) {
        return b == 0 ? a : gcd(b, a % b);
    }
}
