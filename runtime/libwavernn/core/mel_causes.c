/* mel_causes.c - what may be wrong with mels, in words; and what their values alone tell, for the reader of mels.
 * Twin of ADVICE and positive_cause in wv_runtime/features/mel_check.py. */
#include "../kernels/kernels.h"
#include "mel_check.h"
#include "mel_scale.h"

#define EVEN_BELOW 1000.0 /* Hz, bands are evenly spaced */
#define HARMONIC 0.2      /* of the loudest value */
#define STEADY 0.3        /* nats to the frames before and after */
enum { MIN_HARMONICS = 8 };

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
    {"log2", "these look like base-2 logarithms: multiply them by ln 2 = 0.6931472"},
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

/* log sqrt(x expm1(x)), of at least the floor */
static double half_undone(const wv_model *m, float value) {
    const double x = (double)value > m->log_floor ? (double)value : m->log_floor;
    return 0.5 * (ln(x) + x + ln(1.0 - exp2_double(-x / WV_LN_2)));
}

static double difference(double a, double b) { return a < b ? b - a : a - b; }

/* Whether log(1 + x) has flattened the harmonics of linear mels.
 *
 * A steady harmonic is the spectrum of the window: it stands out from the bands beside it by as many nats at every
 * level. log(1 + x) presses loud ones down. Half undone, sqrt(x expm1 x), they still stand out less than that, and
 * those of linear mels more. */
static int is_log1p(const wv_model *m, const float *frames, size_t n_frames, double high) {
    const wv_bands bands = {m->n_mels, m->fmin, m->fmax, 0};
    /* bands apart, in bins of the window */
    const double apart = (wv_edge(&bands, 2) - wv_edge(&bands, 1)) * (double)m->win_length / (double)m->sample_rate;
    const double wanted = 0.85 * apart - 0.25;
    size_t n = 0, n_flat = 0;
    for (int32_t b = 1; b + 1 < m->n_mels && wv_edge(&bands, b + 2) < EVEN_BELOW; b++)
        for (size_t t = 1; t + 1 < n_frames; t++) {
            const float *x = frames + t * (size_t)m->n_mels + b;
            if (!(x[0] > x[-1] && x[0] > x[1] && (double)x[0] > HARMONIC * high)) continue;
            const double here = half_undone(m, x[0]);
            const double before = half_undone(m, x[-m->n_mels]), after = half_undone(m, x[m->n_mels]);
            if (difference(before, here) + difference(here, after) >= STEADY) continue;
            n++;
            n_flat += here - 0.5 * (half_undone(m, x[-1]) + half_undone(m, x[1])) < wanted;
        }
    return n < MIN_HARMONICS ? high > 0.5 && high < 1.25 : 2 * n_flat > n;
}

wv_mels wv_positive_cause(const wv_model *model, const float *frames, size_t n_frames) {
    const size_t n = n_frames * (size_t)model->n_mels;
    float high = 0.0f;
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        high = frames[i] > high ? frames[i] : high;
        sum = sum + (double)frames[i];
    }
    if (high == 0.0f) return WV_MELS_ZEROS;
    if (sum / (double)n > 4.0) return WV_MELS_INTEGERS;
    const float small = 0.1f * (high > 1.0f ? high : 1.0f);
    size_t n_above = 0, n_small = 0;
    for (size_t i = 0; i < n; i++) {
        n_above += frames[i] > 0.0f;
        n_small += frames[i] > 0.0f && frames[i] < small;
    }
    if (2 * n_small < n_above) return high <= 1.0f ? WV_MELS_0_1 : WV_MELS_OTHER; /* as no magnitudes are */
    return is_log1p(model, frames, n_frames, (double)high) ? WV_MELS_LOG1P : WV_MELS_LINEAR;
}
