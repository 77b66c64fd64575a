/* postfilter.c - twin of wv_runtime/engine/kernels/postfilter.py. Compiled once: a hop is rare, and plain C keeps up. */

#include <math.h>

#include "kernels.h"
#include "scalar.h"
#include "fft.c"

#define WV_GAIN_MAX 10.0
#define WV_MAGNITUDE_EPS 1e-9f
#define WV_OVERSUBTRACTION 2.0
#define WV_LOG2_10_10 0.33219280948873626

/* The noise of each band, from the mean and deviation of the mels of training; the share of power that stays. */
static double make_noise(int32_t n_mels, const float *stats, float denoise, double *noise) {
    for (int32_t b = 0; b < n_mels; b++) {
        noise[b] = 0.0;
        if (denoise > 0.0f) {
            double level = ((double)stats[b] - (double)stats[n_mels + b]) * WV_LOG2E_2;
            noise[b] = WV_OVERSUBTRACTION * exp2_double(clamp_double(level, -60.0, 60.0));
        }
    }
    return exp2_double(0.0 - (double)denoise * WV_LOG2_10_10);
}

/* The gain of every bin. */
static void filter_gains(int32_t n_bins, int32_t n_mels, const int32_t *band, const float *weight, const float *mel,
                         const double *noise, double floor, const float *magnitude, float *bands, float *gain) {
    /* 1) B |Y|, with an empty band before the first and after the last */
    for (int32_t b = 0; b < n_mels + 2; b++) bands[b] = 0.0f;
    for (int32_t k = 0; k < n_bins; k++) {
        const int32_t b = band[k] + 1;
        bands[b] = bands[b] + weight[k] * magnitude[k];
        bands[b + 1] = bands[b + 1] + weight[n_bins + k] * magnitude[k];
    }
    /* 2) g_b; beyond the first and the last band theirs */
    for (int32_t b = 0; b < n_mels; b++) {
        double wanted = exp2_double(clamp_double((double)mel[b] * (WV_LOG2E_2 / 2.0), -60.0, 60.0));
        double left = 1.0 - noise[b] / (wanted * wanted);
        wanted = wanted * sqrt(left > floor ? left : floor);
        double ratio = wanted / ((double)bands[b + 1] + 1e-12);
        bands[b + 1] = (float)clamp_double(ratio, 1.0 / WV_GAIN_MAX, WV_GAIN_MAX);
    }
    bands[0] = bands[1];
    bands[n_mels + 1] = bands[n_mels];
    /* 3) between the centres */
    for (int32_t k = 0; k < n_bins; k++) {
        const int32_t b = band[k] + 1;
        gain[k] = bands[b] + weight[2 * n_bins + k] * (bands[b + 1] - bands[b]);
    }
}

/* The hop in f->pcm goes in; out of it comes the one before by 2 d + c hops. Returns whether there was one. */
static int filter_hop(wv_filter *f, const float *mel, int ours) {
    const int32_t hop = f->hop, n_fft = f->n_fft, n_mels = f->n_mels, width = (2 * f->d + 1) * hop;
    const int32_t n_x = width + 2 * f->c * hop, n_bins = n_fft / 2 + 1, first = (width - f->win_length) / 2;
    const int32_t wait = f->d + f->c;
    /* 1) the hop joins the last 2 (d + c), its mel the last d + c */
    for (int32_t k = 0; k < wait * n_mels; k++) f->mels[k] = f->mels[k + n_mels];
    for (int32_t k = 0; k < n_mels; k++) f->mels[wait * n_mels + k] = mel[k];
    f->n_in += 1;
    f->n_ours += ours ? 1 : 0;
    for (int32_t k = 0; k < n_x - hop; k++) f->x[k] = f->x[k + hop];
    for (int32_t k = 0; k < hop; k++) f->x[n_x - hop + k] = f->pcm[k];
    if (f->n_in > wait && f->n_in - wait <= f->n_ours) {
        /* 2) the frame in their middle, combed, and its spectrum */
        wv_comb_frame(&f->comb, f->x, f->c * hop + first, f->win_length);
        for (int32_t k = 0; k < n_fft; k++) f->re[k] = f->im[k] = 0.0f;
        for (int32_t k = 0; k < f->win_length; k++) f->re[k] = f->comb.y[k] * (1.0f / 32768.0f) * f->window[k];
        fft(n_fft, f->cosine, f->sine, f->re, f->im, f->re_2, f->im_2);
        /* 3) its gains */
        for (int32_t k = 0; k < n_bins; k++) {
            float power = f->re[k] * f->re[k] + f->im[k] * f->im[k];
            f->magnitude[k] = sqrtf(power + WV_MAGNITUDE_EPS);
        }
        filter_gains(n_bins, n_mels, f->band, f->weight, f->mels, f->noise, f->floor, f->magnitude, f->bands, f->gain);
        for (int32_t k = 1; k < n_fft / 2; k++) f->gain[n_fft - k] = f->gain[k];
        /* 4) back: the transform of the conjugate is the conjugate of the inverse */
        for (int32_t k = 0; k < n_fft; k++) {
            f->re[k] = f->re[k] * f->gain[k];
            f->im[k] = 0.0f - f->im[k] * f->gain[k];
        }
        fft(n_fft, f->cosine, f->sine, f->re, f->im, f->re_2, f->im_2);
        for (int32_t k = 0; k < f->win_length; k++) {
            const float w = f->window[k];
            f->y[first + k] = f->y[first + k] + f->re[k] * w * (32768.0f / (float)n_fft);
            f->norm[first + k] = f->norm[first + k] + w * w;
        }
    }
    /* 5) the first of the hops is finished */
    for (int32_t k = 0; k < hop; k++) {
        float y = f->norm[k] > 0.001f ? f->y[k] / f->norm[k] : 0.0f;
        y = y < 32767.0f ? y : 32767.0f;
        y = y > -32768.0f ? y : -32768.0f;
        f->pcm[k] = (int16_t)((int32_t)(y + 32768.5f) - 32768);
    }
    for (int32_t k = 0; k < width - hop; k++) {
        f->y[k] = f->y[k + hop];
        f->norm[k] = f->norm[k + hop];
    }
    for (int32_t k = width - hop; k < width; k++) f->y[k] = f->norm[k] = 0.0f;
    return f->n_in > wait + f->d;
}

void wv_filter_tables(wv_filter *f, const float *mel_stats, float denoise) {
    make_tables(f->n_fft, f->win_length, f->window, f->cosine, f->sine);
    f->floor = make_noise(f->n_mels, mel_stats, denoise, f->noise);
}

int wv_filter_hop(wv_filter *f, const float *mel, int ours) { return filter_hop(f, mel, ours); }
