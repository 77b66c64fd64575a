/* mel_causes.c - what may be wrong with mels, in words; and what their values alone tell, for the reader of mels.
 * Twin of ADVICE and positive_cause in wv_runtime/features/mel_check.py. */
#include "mel_check.h"

/* In the order of wv_mels */
static const struct {
    const char *name, *advice;
} CAUSES[] = {
    {"fit", "as in training"},
    {"unchecked", "too short to tell, or the voice keeps no statistics"},
    {"zeros", "frames of zeros, which are loud: cut the padding, or fill it with the log of the floor, -11.5"},
    {"linear", "these look linear: take the natural logarithm, log(max(mel, 1e-5))"},
    {"log1p", "these look like log(1 + mel): take log(expm1(mel))"},
    {"log10", "these look like base-10 logarithms: multiply them by ln 10 = 2.302585"},
    {"decibels", "these look like decibels: multiply them by ln 10 / 20 = 0.1151293"},
    {"power", "these look like natural logarithms of power: make them from magnitudes, not from their squares"},
    {"log10_power", "these look like base-10 logarithms of power: make them from magnitudes, and multiply by ln 10"},
    {"no_area_norm", "these look like bands without area norm: make them with norm='slaney'"},
    {"normalised", "these look normalised to mean 0 and deviation 1: undo it with the statistics that it was done with"},
    {"0..1", "these look scaled to 0..1: undo the scaling, often 100 mel - 100 dB, then multiply by ln 10 / 20"},
    {"-1..1", "these look scaled to -1..1: undo the scaling, often 50 mel - 50 dB, then multiply by ln 10 / 20"},
    {"-4..4", "these look scaled to -4..4: undo the scaling, often 12.5 mel - 50 dB, then multiply by ln 10 / 20"},
    {"integers", "these look made from audio in integers: divide the audio by 32768, or subtract ln 32768 = 10.39721"},
    {"reversed", "these look upside down: the lowest band comes first"},
    {"htk", "these look like bands on HTK's mel scale: make them with htk=False"},
    {"22k", "these look like mels of preset 22k: 22050 Hz, n_fft 1024, 0..8000 Hz"},
    {"24k", "these look like mels of preset 24k: 24000 Hz, n_fft 1024, 0..12000 Hz"},
    {"16k", "these look like mels of preset 16k: 16000 Hz, n_fft 1024, 0..8000 Hz"},
    {"80..7600", "these look like bands from 80 to 7600 Hz: make them with the voice's fmin and fmax"},
    {"n_fft", "these look made with half the n_fft: make them with the voice's"},
    {"other", "no mistake that is known undoes it"},
};
enum { N_CAUSES = sizeof CAUSES / sizeof CAUSES[0] };
_Static_assert(N_CAUSES == WV_MELS_OTHER + 1, "one text for each wv_mels");

const char *wv_mels_name(wv_mels cause) { return (unsigned)cause < N_CAUSES ? CAUSES[cause].name : NULL; }

const char *wv_mels_advice(wv_mels cause) { return (unsigned)cause < N_CAUSES ? CAUSES[cause].advice : NULL; }

/* The likeliest cause of mels of which none is below zero, as speech never is */
wv_mels wv_positive_cause(const float *mel, size_t n) {
    double high = 0.0, sum = 0.0, small = 0.0;
    for (size_t i = 0; i < n; i++) {
        high = (double)mel[i] > high ? (double)mel[i] : high;
        sum = sum + (double)mel[i];
        small = small + (mel[i] < 0.1f ? 1.0 : 0.0);
    }
    if (high == 0.0) return WV_MELS_ZEROS;
    if (sum / (double)n > 4.0) return WV_MELS_INTEGERS;
    if (high <= 1.0 && small / (double)n < 0.5) return WV_MELS_0_1;
    return high > 0.5 && high < 1.25 ? WV_MELS_LOG1P : WV_MELS_LINEAR;
}
