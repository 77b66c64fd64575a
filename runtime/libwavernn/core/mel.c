/* mel.c - audio in, log-mels out, as a stream: the transform of wv_runtime/features/mel.py, with the same bits on every CPU.
 *
 * Frame t is samples t * hop_length - pad / 2 and the n_fft - 1 after it, pad = n_fft - hop_length; before the first and behind the
 * last sample the audio is reflected, more than once if it is short. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../kernels/kernels.h"
#include "mel_scale.h"
#include "../kernels/fft.c"

#define WV_MAGNITUDE_EPS 1e-9f /* HiFi-GAN adds it under the square root */
enum { MAX_WAITING = 64 }; /* frames whose audio fits */

struct wv_mel {
    int32_t n_fft, hop, win_length, n_mels, n_bins, pad;
    float log_floor;
    float *audio;           /* (capacity,) samples `first` and after it */
    int64_t capacity, first, n_pushed;
    int64_t t;              /* next frame */
    int32_t finished;
    float *window, *cosine, *sine, *re, *im, *re_2, *im_2;
    int32_t *band;          /* (n_bins,) whose centre is the next below, -1 below all */
    double *weight;         /* (2, n_bins) of that band and of the one above */
    double *sums;           /* (n_mels + 2,) */
};

/* The mel basis by bins, each of which lies between two centres; every band has the area of 2 / Hz */
static void make_basis(const wv_model *m, int32_t n_bins, int32_t *band, double *weight) {
    const wv_bands bands = {m->n_mels, m->fmin, m->fmax, 0};
    int32_t b = -1; /* the bin lies between the edges b + 1 and b + 2 */
    for (int32_t k = 0; k < n_bins; k++) {
        const double hz = (double)k * (double)m->sample_rate / (double)m->n_fft;
        while (b < m->n_mels - 1 && wv_edge(&bands, b + 2) <= hz) b++;
        const double from = wv_edge(&bands, b + 1), to = wv_edge(&bands, b + 2), inside = hz >= from && hz <= to ? 1.0 : 0.0;
        band[k] = b;
        weight[k] = b < 0 ? 0.0 : inside * (to - hz) / (to - from) * (2.0 / (to - wv_edge(&bands, b)));
        weight[n_bins + k] = b + 1 >= m->n_mels ? 0.0 : inside * (hz - from) / (to - from) * (2.0 / (wv_edge(&bands, b + 3) - from));
    }
}

wv_status wv_mel_new(const wv_model *m, wv_mel **mel) {
    if (m == NULL || mel == NULL) return WV_ERR_ARGUMENT;
    *mel = NULL;
    if ((m->n_fft & (m->n_fft - 1)) != 0) return WV_ERR_ARGUMENT;
    const size_t n_fft = (size_t)m->n_fft, n_bins = n_fft / 2 + 1, n_mels = (size_t)m->n_mels;
    const size_t capacity = n_fft + MAX_WAITING * (size_t)m->hop_length;
    const size_t n_floats = capacity + (size_t)m->win_length + 5 * n_fft;
    wv_mel *s = calloc(1, sizeof *s);
    double *doubles = malloc((2 * n_bins + n_mels + 2) * sizeof(double) + n_floats * sizeof(float) + n_bins * sizeof(int32_t));
    if (s == NULL || doubles == NULL) {
        free(s);
        free(doubles);
        return WV_ERR_MEMORY;
    }
    s->n_fft = m->n_fft;
    s->hop = m->hop_length;
    s->win_length = m->win_length;
    s->n_mels = m->n_mels;
    s->n_bins = (int32_t)n_bins;
    s->pad = m->n_fft - m->hop_length;
    s->log_floor = (float)m->log_floor;
    s->capacity = (int64_t)capacity;
    s->weight = doubles;
    s->sums = s->weight + 2 * n_bins;
    s->audio = (float *)(s->sums + n_mels + 2);
    s->window = s->audio + capacity;
    s->cosine = s->window + m->win_length;
    s->sine = s->cosine + n_fft / 2;
    s->re = s->sine + n_fft / 2;
    s->im = s->re + n_fft;
    s->re_2 = s->im + n_fft;
    s->im_2 = s->re_2 + n_fft;
    s->band = (int32_t *)(s->im_2 + n_fft);
    make_tables(m->n_fft, m->win_length, s->window, s->cosine, s->sine);
    make_basis(m, s->n_bins, s->band, s->weight);
    *mel = s;
    return WV_OK;
}

void wv_mel_free(wv_mel *s) {
    if (s == NULL) return;
    free(s->weight);
    free(s);
}

wv_status wv_mel_push(wv_mel *s, const float *audio, size_t n_samples, size_t *taken) {
    if (s == NULL || taken == NULL || (audio == NULL && n_samples > 0)) return WV_ERR_ARGUMENT;
    *taken = 0;
    if (s->finished) return WV_ERR_FINISHED;
    int64_t used = s->t * s->hop - s->pad / 2 - s->first; /* the next frame does not reach them */
    if (used > 0) {
        memmove(s->audio, s->audio + used, (size_t)(s->n_pushed - s->first - used) * sizeof(float));
        s->first += used;
    }
    for (; *taken < n_samples && s->n_pushed - s->first < s->capacity; ++*taken) {
        if (!isfinite(audio[*taken])) return WV_ERR_ARGUMENT;
        s->audio[s->n_pushed++ - s->first] = audio[*taken];
    }
    return WV_OK;
}

wv_status wv_mel_finish(wv_mel *s) {
    if (s == NULL) return WV_ERR_ARGUMENT;
    s->finished = 1;
    return WV_OK;
}

size_t wv_mel_available(const wv_mel *s) {
    if (s == NULL) return 0;
    if (s->finished) return (size_t)(s->n_pushed / s->hop - s->t);
    const int64_t behind = s->n_pushed - (s->t * s->hop - s->pad / 2 + s->n_fft); /* the end of the next frame */
    return behind < 0 ? 0 : (size_t)(behind / s->hop + 1);
}

static float sample_at(const wv_mel *s, int64_t i) {
    const int64_t last = s->n_pushed - 1;
    while (i < 0 || i > last) i = i < 0 ? -i : 2 * last - i;
    return s->audio[i - s->first];
}

static void frame(wv_mel *s, float *mel) {
    const int64_t start = s->t * s->hop - s->pad / 2;
    const int32_t lead = (s->n_fft - s->win_length) / 2; /* the window lies in the middle */
    /* 1) the spectrum */
    for (int32_t k = 0; k < s->n_fft; k++) s->re[k] = s->im[k] = 0.0f;
    for (int32_t k = 0; k < s->win_length; k++) s->re[lead + k] = sample_at(s, start + lead + k) * s->window[k];
    fft(s->n_fft, s->cosine, s->sine, s->re, s->im, s->re_2, s->im_2);
    /* 2) its magnitudes by bands, with one band before the first and one after the last */
    for (int32_t b = 0; b < s->n_mels + 2; b++) s->sums[b] = 0.0;
    for (int32_t k = 0; k < s->n_bins; k++) {
        const double magnitude = (double)sqrtf(s->re[k] * s->re[k] + s->im[k] * s->im[k] + WV_MAGNITUDE_EPS);
        double *sum = s->sums + s->band[k] + 1;
        sum[0] = sum[0] + s->weight[k] * magnitude;
        sum[1] = sum[1] + s->weight[s->n_bins + k] * magnitude;
    }
    /* 3) their logarithms */
    for (int32_t b = 0; b < s->n_mels; b++) {
        const float sum = (float)s->sums[b + 1];
        mel[b] = (float)(log2_double((double)(sum > s->log_floor ? sum : s->log_floor)) * WV_LN_2);
    }
}

wv_status wv_mel_pull(wv_mel *s, float *frames, size_t n_frames, size_t *written) {
    if (s == NULL || written == NULL || (frames == NULL && n_frames > 0)) return WV_ERR_ARGUMENT;
    size_t n = wv_mel_available(s);
    if (n > n_frames) n = n_frames;
    for (size_t i = 0; i < n; i++, s->t++) frame(s, frames + i * (size_t)s->n_mels);
    *written = n;
    return WV_OK;
}
