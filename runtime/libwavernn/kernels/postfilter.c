/* postfilter.c - twin of wv_runtime/engine/kernels/postfilter.py. Compiled once: a hop is rare, and plain C keeps up. */

#include <math.h>

#include "kernels.h"
#include "scalar.h"

#define WV_GAIN_MAX 10.0
#define WV_MAGNITUDE_EPS 1e-9f
#define WV_TAU 6.283185307179586

/* x (c_0 + c_1 y + .. + c_6 y^6) */
static inline double series(const double *c, double x, double y) {
    double s = c[6];
    for (int k = 5; k >= 0; k--) s = s * y + c[k];
    return x * s;
}

/* cos(2 pi n / m) for 0 <= 4 n <= m */
static double cos_turn_quarter(int32_t n, int32_t m) {
    static const double COS[7] = {1.0, -0.5, 0.041666666666666664, -0.001388888888888889, 2.48015873015873e-05,
                                  -2.755731922398589e-07, 2.08767569878681e-09};
    static const double SIN[7] = {1.0, -0.16666666666666666, 0.008333333333333333, -0.0001984126984126984,
                                  2.7557319223985893e-06, -2.505210838544172e-08, 1.6059043836821613e-10};
    if (8 * n <= m) {
        double x = WV_TAU * (double)n / (double)m;
        return series(COS, 1.0, x * x);
    }
    double x = WV_TAU * (double)(m - 4 * n) / (double)(4 * m);
    return series(SIN, x, x * x);
}

/* cos(2 pi n / m) for 0 <= n <= m: without a library's cosine, whose last bit differs between machines */
static double cos_turn(int32_t n, int32_t m) {
    n = n < m - n ? n : m - n;
    if (4 * n > m) return -cos_turn_quarter(m - 2 * n, 2 * m);
    return cos_turn_quarter(2 * n, 2 * m);
}

/* window : (win_length,) Hann    cosine, sine : (n_fft / 2,) of exp(-2 pi i k / n_fft) */
static void make_tables(int32_t n_fft, int32_t win_length, float *window, float *cosine, float *sine) {
    for (int32_t n = 0; n < win_length; n++) window[n] = (float)(0.5 - 0.5 * cos_turn(n, win_length));
    for (int32_t k = 0; k < n_fft / 2; k++) {
        cosine[k] = (float)cos_turn(k, n_fft);
        sine[k] = (float)-cos_turn((k + 3 * n_fft / 4) % n_fft, n_fft);
    }
}

/* One pass of radix 4: transforms of n points become four times as many of n / 4. */
static void butterflies_4(int32_t n, int32_t stride, const float *restrict cosine, const float *restrict sine,
                             const float *restrict re, const float *restrict im, float *restrict re_2,
                             float *restrict im_2) {
    const int32_t quarter = n / 4;
    for (int32_t p = 0; p < quarter; p++) {
        const int32_t k = p * stride;
        const float c_1 = cosine[k], s_1 = sine[k], c_2 = cosine[2 * k], s_2 = sine[2 * k];
        const float c_3 = c_1 * c_2 - s_1 * s_2, s_3 = c_1 * s_2 + s_1 * c_2;
        for (int32_t q = 0; q < stride; q++) {
            const int32_t i = q + stride * p, o = q + 4 * stride * p;
            float a_re = re[i], a_im = im[i], b_re = re[i + stride * quarter], b_im = im[i + stride * quarter];
            float c_re = re[i + 2 * stride * quarter], c_im = im[i + 2 * stride * quarter];
            float d_re = re[i + 3 * stride * quarter], d_im = im[i + 3 * stride * quarter];
            /* 1) sums and differences of the first and third, of the second and fourth */
            float e_re = a_re + c_re, e_im = a_im + c_im, f_re = a_re - c_re, f_im = a_im - c_im;
            float g_re = b_re + d_re, g_im = b_im + d_im, h_re = b_re - d_re, h_im = b_im - d_im;
            /* 2) theirs, turned */
            re_2[o] = e_re + g_re;
            im_2[o] = e_im + g_im;
            float x_re = f_re + h_im, x_im = f_im - h_re;
            re_2[o + stride] = x_re * c_1 - x_im * s_1;
            im_2[o + stride] = x_re * s_1 + x_im * c_1;
            x_re = e_re - g_re;
            x_im = e_im - g_im;
            re_2[o + 2 * stride] = x_re * c_2 - x_im * s_2;
            im_2[o + 2 * stride] = x_re * s_2 + x_im * c_2;
            x_re = f_re - h_im;
            x_im = f_im + h_re;
            re_2[o + 3 * stride] = x_re * c_3 - x_im * s_3;
            im_2[o + 3 * stride] = x_re * s_3 + x_im * c_3;
        }
    }
}

/* The discrete Fourier transform of re + i im, in place: Stockham's, radix 4, the last pass radix 2 if need be. */
static void fft(int32_t n_fft, const float *cosine, const float *sine, float *re, float *im, float *re_2,
                float *im_2) {
    int32_t n = n_fft, stride = 1;
    while (n > 15) {
        butterflies_4(n, stride, cosine, sine, re, im, re_2, im_2);
        butterflies_4(n / 4, 4 * stride, cosine, sine, re_2, im_2, re, im);
        n /= 16;
        stride *= 16;
    }
    if (n > 3) {
        butterflies_4(n, stride, cosine, sine, re, im, re_2, im_2);
        for (int32_t k = 0; k < n_fft; k++) {
            re[k] = re_2[k];
            im[k] = im_2[k];
        }
        n /= 4;
        stride *= 4;
    }
    if (n == 2)
        for (int32_t q = 0; q < stride; q++) {
            float a_re = re[q], a_im = im[q], b_re = re[q + stride], b_im = im[q + stride];
            re[q] = a_re + b_re;
            im[q] = a_im + b_im;
            re[q + stride] = a_re - b_re;
            im[q + stride] = a_im - b_im;
        }
}

/* The gain of every bin. */
static void filter_gains(int32_t n_bins, int32_t n_mels, const int32_t *band, const float *weight, const float *mel,
                         const float *magnitude, float *bands, float *gain) {
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
        filter_gains(n_bins, n_mels, f->band, f->weight, f->mels, f->magnitude, f->bands, f->gain);
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

void wv_filter_tables(wv_filter *f) { make_tables(f->n_fft, f->win_length, f->window, f->cosine, f->sine); }

int wv_filter_hop(wv_filter *f, const float *mel, int ours) { return filter_hop(f, mel, ours); }
