/* mel_scale.h - where the bands of a mel basis lie, and logarithms without libm: for mel.c and mel_check.c. */
#ifndef WV_MEL_SCALE_H
#define WV_MEL_SCALE_H

#include <stdint.h>
#include <string.h>

#include "../kernels/scalar.h"

#define WV_LN_2 0.6931471805599453

/* log2(x) for a normal x > 0; absolute error 1e-14 */
static inline double log2_double(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int32_t n = (int32_t)(bits >> 52) - 1023;
    bits = (bits & 0x000fffffffffffffu) | 0x3ff0000000000000u;
    memcpy(&x, &bits, sizeof x);
    if (x > 1.4142135623730951) {
        x = x / 2.0;
        n++;
    }
    const double s = (x - 1.0) / (x + 1.0), y = s * s;
    double series = 0.0; /* artanh(s) / s */
    for (int32_t k = 21; k >= 1; k -= 2) series = series * y + 1.0 / (double)k;
    return (double)n + 2.0 * s * series / WV_LN_2;
}

static inline double ln(double x) { return log2_double(x) * WV_LN_2; }

/* Slaney's mel scale: 3 mels to 200 Hz up to 1 kHz, then 27 to a factor of 6.4 */
#define WV_HZ_PER_MEL (200.0 / 3.0)
#define WV_MELS_PER_OCTAVE (27.0 / log2_double(6.4))
#define WV_LOG2_10 3.321928094887362

/* Bands, evenly spaced on a mel scale: Slaney's, or HTK's 2595 log10(1 + hz / 700) */
typedef struct {
    int32_t n_mels;
    double fmin, fmax; /* Hz */
    int32_t htk;
} wv_bands;

static inline double wv_hz_to_mel(double hz, int32_t htk) {
    if (htk) return 2595.0 * log2_double(1.0 + hz / 700.0) / WV_LOG2_10;
    return hz < 1000.0 ? hz / WV_HZ_PER_MEL : 15.0 + log2_double(hz / 1000.0) * WV_MELS_PER_OCTAVE;
}

static inline double wv_mel_to_hz(double mel, int32_t htk) {
    if (htk) return 700.0 * (exp2_double(mel * WV_LOG2_10 / 2595.0) - 1.0);
    return mel < 15.0 ? mel * WV_HZ_PER_MEL : 1000.0 * exp2_double((mel - 15.0) / WV_MELS_PER_OCTAVE);
}

/* Edge b of the bands: band b rises from edge b to b + 1 and falls to b + 2 */
static inline double wv_edge(const wv_bands *s, int32_t b) {
    const double low = wv_hz_to_mel(s->fmin, s->htk), high = wv_hz_to_mel(s->fmax, s->htk);
    return wv_mel_to_hz(low + (high - low) * (double)b / (double)(s->n_mels + 1), s->htk);
}

#endif
