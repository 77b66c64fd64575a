/* mel_check.c - are these mels like those that the voice was trained on, and is the audio what they say?
 * Twin of wv_runtime/features/mel_check.py, which explains it: the same statistics, mistakes, limits and texts. */
#include <math.h>
#include <string.h>

#include "../kernels/kernels.h"
#include "fp_mode.h"
#include "mel_check.h"
#include "mel_scale.h"

enum { MAX_MELS = 512 };
enum { MIN_FRAMES = 40, WORD_FRAMES = 100, LONG_FRAMES = 300, PATTERN_FRAMES = 200, PATTERN_MELS = 40 };
#define FAR 6.0 /* scores; it is enough where a mistake explains it */
#define FARTHEST 20.0
#define PATTERN_RATIO 0.08 /* log of residuals, from LONG_FRAMES on */
#define PATTERN_RATIO_SHORT 0.1
#define LN_10 2.302585092994046
#define DB (LN_10 / 20.0)
#define LN_32768 10.39720770839918
#define CLIPPED_SHARE 1e-3
#define LEVEL_DB 4.0
#define QUIET_POWER 1e-6 /* -60 dB: below it the level is that of rounding */
#define MANY 1e300 /* in place of infinity, which -ffast-math has not */

/* log-mel = scale * mel + offset, and then what `kind` says; beyond low and high nothing is */
enum { PLAIN, POWER, AREA, BANDS, GLOBAL, REVERSED };
typedef struct {
    wv_mels cause;
    int kind;
    double scale, offset, low, high;
} undo_t;
static const undo_t UNDO[] = {
    {WV_MELS_FIT, PLAIN, 1.0, 0.0, -MANY, MANY},
    {WV_MELS_LOG10, PLAIN, LN_10, 0.0, -MANY, MANY},
    {WV_MELS_LOG2, PLAIN, WV_LN_2, 0.0, -MANY, MANY},
    {WV_MELS_DECIBELS, PLAIN, DB, 0.0, -MANY, MANY},
    {WV_MELS_POWER, POWER, 1.0, 0.0, -MANY, MANY},
    {WV_MELS_LOG10_POWER, POWER, LN_10, 0.0, -MANY, MANY},
    {WV_MELS_NO_AREA_NORM, AREA, 1.0, 0.0, -MANY, MANY},
    {WV_MELS_NORMALISED, BANDS, 1.0, 0.0, -MANY, MANY},
    {WV_MELS_NORMALISED, GLOBAL, 1.0, 0.0, -MANY, MANY},
    {WV_MELS_0_1, PLAIN, 100.0 * DB, -80.0 * DB, 0.0, 1.0},
    {WV_MELS_0_1, PLAIN, 100.0 * DB, -100.0 * DB, 0.0, 1.0},
    {WV_MELS_1_1, PLAIN, 50.0 * DB, -30.0 * DB, -1.0, 1.0},
    {WV_MELS_1_1, PLAIN, 50.0 * DB, -50.0 * DB, -1.0, 1.0},
    {WV_MELS_4_4, PLAIN, 12.5 * DB, -30.0 * DB, -4.0, 4.0},
    {WV_MELS_4_4, PLAIN, 12.5 * DB, -50.0 * DB, -4.0, 4.0},
    {WV_MELS_INTEGERS, PLAIN, 1.0, -LN_32768, -MANY, MANY},
    {WV_MELS_REVERSED, REVERSED, 1.0, 0.0, -MANY, MANY},
};

/* Another mel basis; 0 is what the voice has */
typedef struct {
    wv_mels cause;
    int32_t sample_rate, n_fft;
    double fmin, fmax;
    int32_t htk;
} basis_t;
static const basis_t BASES[] = {
    {WV_MELS_HTK, 0, 0, 0.0, 0.0, 1},
    {WV_MELS_22K, 22050, 1024, 0.0, 8000.0, 0},
    {WV_MELS_24K, 24000, 1024, 0.0, 12000.0, 0},
    {WV_MELS_16K, 16000, 1024, 0.0, 8000.0, 0},
    {WV_MELS_80_7600, 0, 0, 80.0, 7600.0, 0},
    {WV_MELS_N_FFT, 0, -2, 0.0, 0.0, 0},
};

/* Of the frames that are not padding */
typedef struct {
    size_t n;
    double mean[MAX_MELS], std[MAX_MELS], top[MAX_MELS];
    double step, low, high;
    size_t n_zero; /* frames of zeros */
    double level;  /* mean of mean */
} statistics;

typedef struct {
    double offset, shape, spread, step, top;
} features;

static double larger(double a, double b) { return a > b ? a : b; }

static double smaller(double a, double b) { return a < b ? a : b; }

static double square(double x) { return x * x; }

static double distance(double x) { return x < 0.0 ? -x : x; }

/* All bands the same: padding, or silence */
static int is_flat(const float *frame, int32_t n_mels) {
    int32_t b = 1;
    while (b < n_mels && frame[b] == frame[0]) b++;
    return b == n_mels;
}

static double level_of(const float *frame, int32_t n_mels) {
    double sum = 0.0;
    for (int32_t b = 0; b < n_mels; b++) sum = sum + (double)frame[b];
    return sum / (double)n_mels;
}

static void statistics_of(const float *frames, size_t n_frames, int32_t n_mels, statistics *s) {
    memset(s, 0, sizeof *s);
    s->low = MANY;
    s->high = -MANY;
    for (int32_t b = 0; b < n_mels; b++) s->top[b] = -MANY;
    for (size_t t = 0; t < n_frames; t++) {
        const float *x = frames + t * (size_t)n_mels;
        if (is_flat(x, n_mels)) {
            s->n_zero += x[0] == 0.0f;
            continue;
        }
        s->n++;
        for (int32_t b = 0; b < n_mels; b++) {
            s->mean[b] = s->mean[b] + (double)x[b];
            s->top[b] = larger(s->top[b], (double)x[b]);
            s->low = smaller(s->low, (double)x[b]);
            s->high = larger(s->high, (double)x[b]);
        }
    }
    if (s->n == 0) return;
    for (int32_t b = 0; b < n_mels; b++) {
        s->mean[b] = s->mean[b] / (double)s->n;
        s->level = s->level + s->mean[b] / (double)n_mels;
    }
    const float *before = NULL; /* the frame before, if it is loud */
    size_t n_steps = 0;
    for (size_t t = 0; t < n_frames; t++) {
        const float *x = frames + t * (size_t)n_mels;
        if (is_flat(x, n_mels)) continue;
        const int loud = level_of(x, n_mels) > s->level;
        for (int32_t b = 0; b < n_mels; b++) {
            s->std[b] = s->std[b] + square((double)x[b] - s->mean[b]);
            if (loud && before != NULL) s->step = s->step + distance((double)x[b] - (double)before[b]);
        }
        n_steps += loud && before != NULL;
        before = loud ? x : NULL;
    }
    for (int32_t b = 0; b < n_mels; b++) s->std[b] = sqrt(s->std[b] / (double)s->n);
    if (n_steps > 0) s->step = s->step / ((double)n_steps * (double)n_mels);
}

/* Mean change of a natural log-mel from one loud frame to the next */
static double natural_step(const wv_model *m) { return 0.355 * sqrt(4.0 * (double)m->hop_length / (double)m->win_length); }

/* After a mistake is undone */
static features features_of(const wv_model *m, const statistics *s, const undo_t *undo) {
    const int32_t n = m->n_mels;
    const float *mean_ = m->mel_stats, *std_ = m->mel_stats + n;
    const wv_bands bands = {n, m->fmin, m->fmax, 0};
    const double area = ln((double)m->n_fft / (double)m->sample_rate);
    double centre = 0.0, scale = 0.0, mean_std = 0.0, difference[MAX_MELS];
    for (int32_t b = 0; b < n; b++) {
        centre = centre + (double)mean_[b] / (double)n;
        mean_std = mean_std + (double)std_[b] / (double)n;
    }
    for (int32_t b = 0; b < n; b++)
        scale = scale + (square((double)std_[b]) + square((double)mean_[b] - centre)) / (double)n;
    scale = sqrt(scale);
    features f = {0.0, 0.0, 0.0, undo->scale * s->step, -MANY};
    if (undo->kind == POWER) f.step = 0.5 * f.step;
    if (undo->kind == BANDS) f.step = f.step * mean_std;
    if (undo->kind == GLOBAL) f.step = f.step * scale;
    for (int32_t b = 0; b < n; b++) {
        const int32_t from = undo->kind == REVERSED ? n - 1 - b : b;
        double mean = undo->scale * s->mean[from] + undo->offset, std = undo->scale * s->std[from];
        double top = undo->scale * s->top[from] + undo->offset;
        if (undo->kind == POWER) {
            mean = 0.5 * (mean + area);
            std = 0.5 * std;
            top = 0.5 * (top + area);
        } else if (undo->kind == AREA) {
            const double norm = ln(2.0 / (wv_edge(&bands, b + 2) - wv_edge(&bands, b)));
            mean = mean + norm;
            top = top + norm;
        } else if (undo->kind == BANDS) {
            mean = mean * (double)std_[b] + (double)mean_[b];
            std = std * (double)std_[b];
            top = top * (double)std_[b] + (double)mean_[b];
        } else if (undo->kind == GLOBAL) {
            mean = mean * scale + centre;
            std = std * scale;
            top = top * scale + centre;
        }
        difference[b] = mean - (double)mean_[b];
        f.offset = f.offset + difference[b] / (double)n;
        f.spread = f.spread + ln(larger(std, 1e-3) / (double)std_[b]) / (double)n;
        f.top = larger(f.top, top);
    }
    for (int32_t b = 0; b < n; b++) f.shape = f.shape + square(difference[b] - f.offset) / (double)n;
    f.shape = sqrt(f.shape);
    f.step = ln(larger(f.step, 1e-4) / natural_step(m));
    return f;
}

static double part(double x, double reach, double unit, int only_above) {
    return square(larger(0.0, (only_above ? x : distance(x)) - reach) / unit);
}

/* How far from speech of any speaker and room; 0 is within. only_above: a clip may be quiet all over */
static double score(features f, int only_above) {
    const double sum = part(f.offset + 0.9, 1.4, 0.5, only_above) + part(f.spread - 0.25, 0.35, 0.15, only_above) +
                       part(f.step, 0.15, 0.07, only_above) + part(f.top - 0.5, 0.9, 0.4, only_above);
    return only_above ? sum : sum + part(f.shape, 0.7, 0.3, 1);
}

/* Whether the numbers themselves say it: all bands around 0, or the lowest value the end of a range */
static int is_exact(const statistics *s, const undo_t *undo, int32_t n_mels) {
    double power = 0.0;
    for (int32_t b = 0; b < n_mels; b++) power = power + square(s->mean[b]) / (double)n_mels;
    return undo->kind == BANDS ? power < 0.25 : distance(s->low - undo->low) < 1e-3;
}

/* The mistake that, undone, leaves mels as in training */
static wv_mels undone(const wv_model *m, const statistics *s) {
    const double floor = ln(m->log_floor);
    double best = MANY;
    wv_mels cause = WV_MELS_FIT;
    for (size_t i = 0; i < sizeof UNDO / sizeof UNDO[0]; i++) {
        const undo_t *undo = &UNDO[i];
        /* natural logarithms end there, those of base 2 go on */
        if (undo->cause == WV_MELS_LOG2 && s->low > floor - 1e-3) continue;
        if (s->low < undo->low - 1e-3 || s->high > undo->high + 1e-3) continue;
        double far = score(features_of(m, s, undo), 0);
        if (is_exact(s, undo, m->n_mels)) far = far * 0.1;
        if (far < best) {
            best = far;
            cause = undo->cause;
        }
    }
    const double here = score(features_of(m, s, &UNDO[0]), s->n < LONG_FRAMES && cause != WV_MELS_REVERSED);
    if (here < (cause == WV_MELS_FIT || best > here / 6.0 ? FARTHEST : FAR)) return WV_MELS_FIT;
    if (cause == WV_MELS_FIT || best >= here / 3.0) cause = WV_MELS_OTHER;
    const int subtle = cause == WV_MELS_LOG2 || cause == WV_MELS_POWER || cause == WV_MELS_REVERSED || cause == WV_MELS_OTHER;
    return s->n < WORD_FRAMES && subtle ? WV_MELS_FIT : cause;
}

/* (n_mels,) log of what a white spectrum gives in each band, relative to its true area */
static void basis_pattern(const wv_model *m, const basis_t *basis, double *pattern) {
    const wv_bands bands = {m->n_mels, basis->fmin > 0.0 ? basis->fmin : m->fmin, basis->fmax > 0.0 ? basis->fmax : m->fmax, basis->htk};
    const int32_t n_fft = basis->n_fft < 0 ? m->n_fft / -basis->n_fft : basis->n_fft > 0 ? basis->n_fft : m->n_fft;
    const double bin = (double)(basis->sample_rate > 0 ? basis->sample_rate : m->sample_rate) / (double)n_fft; /* Hz */
    double low = wv_edge(&bands, 0), centre = wv_edge(&bands, 1);
    for (int32_t b = 0; b < m->n_mels; b++) {
        const double high = wv_edge(&bands, b + 2);
        double area = 0.0;
        for (int32_t k = (int32_t)(low / bin); k <= n_fft / 2 && (double)k * bin <= high; k++) {
            const double hz = (double)k * bin;
            area = area + larger(0.0, smaller((hz - low) / (centre - low), (high - hz) / (high - centre)));
        }
        pattern[b] = ln(larger(area * (2.0 / (high - low)), 1e-9));
        low = centre;
        centre = high;
    }
}

static double fourth_difference(const double *x) { return x[0] - 4.0 * x[1] + 6.0 * x[2] - 4.0 * x[3] + x[4]; }

/* The basis whose pattern the mels show, of those that are not the voice's; else WV_MELS_FIT */
static wv_mels pattern_of(const wv_model *m, const float *frames, size_t n_frames, const statistics *s) {
    if (m->n_mels < PATTERN_MELS || s->n < PATTERN_FRAMES) return WV_MELS_FIT;
    const int32_t first = 3, last = 3 * m->n_mels / 4 - 4; /* bands at which a difference of five starts */
    double mean[MAX_MELS], weight[MAX_MELS], own[MAX_MELS], pattern[MAX_MELS];
    for (int32_t b = first; b < last; b++) {
        mean[b] = fourth_difference(s->mean + b);
        weight[b] = 0.0;
    }
    for (size_t t = 0; t < n_frames; t++) {
        const float *x = frames + t * (size_t)m->n_mels;
        if (is_flat(x, m->n_mels)) continue;
        for (int32_t b = first; b < last; b++) {
            const double five[5] = {(double)x[b], (double)x[b + 1], (double)x[b + 2], (double)x[b + 3], (double)x[b + 4]};
            weight[b] = weight[b] + square(fourth_difference(five) - mean[b]);
        }
    }
    const basis_t voice = {WV_MELS_FIT, 0, 0, 0.0, 0.0, 0};
    basis_pattern(m, &voice, own);
    double ours = 0.0, best = MANY;
    for (int32_t b = first; b < last; b++) {
        weight[b] = 1.0 / (weight[b] / (double)s->n + 0.05);
        ours = ours + weight[b] * square(mean[b] - fourth_difference(own + b));
    }
    wv_mels cause = WV_MELS_FIT;
    for (size_t i = 0; i < sizeof BASES / sizeof BASES[0]; i++) {
        if (BASES[i].fmax > (double)m->sample_rate / 2.0 && BASES[i].sample_rate == 0) continue;
        double theirs = 0.0, differs = 0.0;
        basis_pattern(m, &BASES[i], pattern);
        for (int32_t b = first; b < last; b++) {
            theirs = theirs + weight[b] * square(mean[b] - fourth_difference(pattern + b));
            differs = differs + square(fourth_difference(pattern + b) - fourth_difference(own + b));
        }
        if (theirs < best && differs / (double)(last - first) > 1e-3) {
            best = theirs;
            cause = BASES[i].cause;
        }
    }
    return ln(ours / best) > (s->n >= LONG_FRAMES ? PATTERN_RATIO : PATTERN_RATIO_SHORT) ? cause : WV_MELS_FIT;
}

static void check_mels(const wv_model *m, const float *frames, size_t n_frames, wv_mels_found *found) {
    statistics s;
    *found = (wv_mels_found){WV_MELS_UNCHECKED, 0.0, 0.0};
    if (m->mel_stats == NULL) return;
    statistics_of(frames, n_frames, m->n_mels, &s);
    if (s.n < MIN_FRAMES) return;
    found->cause = s.low >= 0.0 ? wv_positive_cause(m, frames, n_frames) : undone(m, &s);
    if (found->cause == WV_MELS_FIT && s.n_zero > 0) {
        found->cause = WV_MELS_ZEROS;
    } else if (found->cause == WV_MELS_FIT || found->cause == WV_MELS_OTHER) {
        const wv_mels pattern = pattern_of(m, frames, n_frames, &s);
        found->cause = pattern != WV_MELS_FIT ? pattern : found->cause;
    }
    const features f = features_of(m, &s, &UNDO[0]);
    found->offset = f.offset;
    found->step = exp2_double(f.step / WV_LN_2);
}

wv_status wv_check_mels(const wv_model *model, const float *frames, size_t n_frames, wv_mels_found *found) {
    if (model == NULL || found == NULL || (frames == NULL && n_frames > 0)) return WV_ERR_ARGUMENT;
    const wv_fp_mode mode = wv_fp_enter();
    check_mels(model, frames, n_frames, found);
    wv_fp_leave(mode);
    return WV_OK;
}

/* Power of the audio that a frame stands for, full scale being 1: each band's mean magnitude, over its width */
static double power_of(const wv_model *m, const float *frame) {
    const wv_bands bands = {m->n_mels, m->fmin, m->fmax, 0};
    const double area = (double)m->n_fft / (double)m->sample_rate;
    double sum = 0.0, low = wv_edge(&bands, 0), centre = wv_edge(&bands, 1);
    for (int32_t b = 0; b < m->n_mels; b++) {
        const double high = wv_edge(&bands, b + 2);
        sum = sum + exp2_double(clamp_double(2.0 * (double)frame[b] / WV_LN_2, -60.0, 60.0)) * (high - low) * (area / 2.0);
        low = centre;
        centre = high;
    }
    return 2.0 * sum / (area * area) / ((double)m->n_fft * 0.375 * (double)m->win_length);
}

wv_status wv_check_audio(const wv_model *m, const float *frames, size_t n_frames, const int16_t *pcm, size_t n_samples,
                         wv_audio_found *found) {
    if (m == NULL || found == NULL || (frames == NULL && n_frames > 0) || (pcm == NULL && n_samples > 0)) return WV_ERR_ARGUMENT;
    const wv_fp_mode mode = wv_fp_enter();
    double power = 0.0, wanted = 0.0;
    *found = (wv_audio_found){0, 0.0, 0};
    for (size_t t = 0; t < n_frames; t++) wanted = wanted + power_of(m, frames + t * (size_t)m->n_mels) / (double)n_frames;
    for (size_t i = 0; i < n_samples; i++) {
        power = power + square((double)pcm[i] / 32768.0) / (double)n_samples;
        found->clipped += pcm[i] == INT16_MAX || pcm[i] == INT16_MIN;
    }
    if (wanted > QUIET_POWER && power > 0.0) found->level_db = 10.0 / LN_10 * ln(power / wanted);
    const int loud = (double)found->clipped > CLIPPED_SHARE * (double)n_samples;
    found->doubtful = n_frames >= MIN_FRAMES && (loud || distance(found->level_db) > LEVEL_DB);
    wv_fp_leave(mode);
    return WV_OK;
}
