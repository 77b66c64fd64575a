/* fft.c - twin of wv_runtime/engine/kernels/fft.py. Included by postfilter.c and core/mel.c. */
#include <stdint.h>

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
