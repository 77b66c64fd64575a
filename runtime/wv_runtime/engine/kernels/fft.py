"""The discrete Fourier transform and a Hann window, with the same bits on every CPU.

Cosines come from their Taylor series, because a library's last bit differs between machines.

C twin: libwavernn/kernels/fft.c
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

from .jit import OVERLOAD

TAU = 6.283185307179586
# cos and sin of x in [0, pi / 4]: Taylor coefficients, absolute error 1e-13
COS = np.array([1.0, -0.5, 0.041666666666666664, -0.001388888888888889, 2.48015873015873e-05, -2.755731922398589e-07,
                2.08767569878681e-09])  # fmt: skip
SIN = np.array([1.0, -0.16666666666666666, 0.008333333333333333, -0.0001984126984126984, 2.7557319223985893e-06,
                -2.505210838544172e-08, 1.6059043836821613e-10])  # fmt: skip


@register_jitable(**OVERLOAD)
def series(c, x, y):
    """x (c_0 + c_1 y + .. + c_6 y^6)"""
    s = c[6]
    for k in range(5, -1, -1):
        s = s * y + c[k]
    return x * s


@register_jitable(**OVERLOAD)
def cos_turn_quarter(n, m):
    """cos(2 pi n / m) for 0 <= 4 n <= m"""
    if 8 * n <= m:
        x = TAU * np.float64(n) / np.float64(m)
        return series(COS, 1.0, x * x)
    x = TAU * np.float64(m - 4 * n) / np.float64(4 * m)
    return series(SIN, x, x * x)


@register_jitable(**OVERLOAD)
def cos_turn(n, m):
    """cos(2 pi n / m) for 0 <= n <= m: without a library's cosine, whose last bit differs between machines"""
    n = min(n, m - n)
    if 4 * n > m:
        return -cos_turn_quarter(m - 2 * n, 2 * m)
    return cos_turn_quarter(2 * n, 2 * m)


@register_jitable(**OVERLOAD)
def make_tables(n_fft, window, cosine, sine):
    """window : (win_length,) float32 Hann    cosine, sine : (n_fft / 2,) float32 of exp(-2 pi i k / n_fft)"""
    for n in range(len(window)):
        window[n] = np.float32(0.5 - 0.5 * cos_turn(n, len(window)))
    for k in range(n_fft // 2):
        cosine[k] = np.float32(cos_turn(k, n_fft))
        sine[k] = np.float32(-cos_turn((k + 3 * n_fft // 4) % n_fft, n_fft))


@register_jitable(**OVERLOAD)
def butterflies_4(n, stride, cosine, sine, re, im, re_2, im_2):
    """One pass of radix 4: transforms of n points become four times as many of n / 4."""
    stride, quarter = np.uint64(stride), np.uint64(n // 4)  # unsigned: a loop that may count backwards is no vector
    two, three = np.uint64(2), np.uint64(3)
    for p in range(quarter):
        k = p * stride
        c_1, s_1, c_2, s_2 = cosine[k], sine[k], cosine[two * k], sine[two * k]
        c_3, s_3 = c_1 * c_2 - s_1 * s_2, c_1 * s_2 + s_1 * c_2
        for q in range(stride):
            i, o = q + stride * p, q + np.uint64(4) * stride * p
            a_re, a_im, b_re, b_im = re[i], im[i], re[i + stride * quarter], im[i + stride * quarter]
            c_re, c_im = re[i + two * stride * quarter], im[i + two * stride * quarter]
            d_re, d_im = re[i + three * stride * quarter], im[i + three * stride * quarter]
            # 1) sums and differences of the first and third, of the second and fourth
            e_re, e_im, f_re, f_im = a_re + c_re, a_im + c_im, a_re - c_re, a_im - c_im
            g_re, g_im, h_re, h_im = b_re + d_re, b_im + d_im, b_re - d_re, b_im - d_im
            # 2) theirs, turned
            re_2[o], im_2[o] = e_re + g_re, e_im + g_im
            x_re, x_im = f_re + h_im, f_im - h_re
            re_2[o + stride], im_2[o + stride] = x_re * c_1 - x_im * s_1, x_re * s_1 + x_im * c_1
            x_re, x_im = e_re - g_re, e_im - g_im
            re_2[o + two * stride], im_2[o + two * stride] = x_re * c_2 - x_im * s_2, x_re * s_2 + x_im * c_2
            x_re, x_im = f_re - h_im, f_im + h_re
            re_2[o + three * stride], im_2[o + three * stride] = x_re * c_3 - x_im * s_3, x_re * s_3 + x_im * c_3


@register_jitable(**OVERLOAD)
def fft(n_fft, cosine, sine, re, im, re_2, im_2):
    """The discrete Fourier transform of re + i im, in place: Stockham's, radix 4, the last pass radix 2 if need be.

    All (n_fft,) float32; n_fft a power of 2 from 16 on. A butterfly of one pass touches no other, so vectors of any
    width give the same bits.
    """
    n, stride = n_fft, 1
    while n > 15:
        butterflies_4(n, stride, cosine, sine, re, im, re_2, im_2)
        butterflies_4(n // 4, 4 * stride, cosine, sine, re_2, im_2, re, im)
        n, stride = n // 16, 16 * stride
    if n > 3:
        butterflies_4(n, stride, cosine, sine, re, im, re_2, im_2)
        for k in range(n_fft):
            re[k], im[k] = re_2[k], im_2[k]
        n, stride = n // 4, 4 * stride
    if n == 2:
        for q in range(stride):
            a_re, a_im, b_re, b_im = re[q], im[q], re[q + stride], im[q + stride]
            re[q], im[q], re[q + stride], im[q + stride] = a_re + b_re, a_im + b_im, a_re - b_re, a_im - b_im
