"""The pitch comb: takes away the noise between the harmonics of a frame of voiced speech, before the mel post-filter.

A frame x is joined by itself one period T before and one after:

    y_t = (x_t + w_1 x_{t-T_1} + w_2 x_{t+T_2}) / (1 + w_1 + w_2),   w_i = strength / 2 clip((rho_i - 0.5) / 0.4, 0, 1)

rho is the normalised correlation of the two signals below 2 kHz. T is found there, among 60..400 Hz, as the shortest
lag whose correlation is within 8 % of the largest; then for each side at the full rate, to a quarter of a sample. It is
the long-term post-filter of speech codecs (Chen and Gersho 1995), with a look-ahead instead of a recursion.

Correlations are sums of integers, so that vectors of any width give the same bits.

C twin: libwavernn/kernels/comb.c
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from .jit import OVERLOAD

PITCH_MIN, PITCH_MAX = 60, 400  # Hz
COARSE_RATE, SMOOTH_RATE = 8000, 4000  # Hz: of the coarse search, and of the first zero of what smooths before it
SHORTEST = 0.92  # of the largest correlation
RHO_LOW, RHO_HIGH = 0.5, 0.9  # no comb below, the full comb above
TAPS = 8
# x_{t + q / 4}, q = 1 and 2 (3 is 1 turned around): sinc under a Hann window 9 samples long, scaled to a sum of 1
QUARTER = np.array([
    [-0.012371518, 0.050026175, -0.14792828, 0.89363104, 0.28005034, -0.08631789, 0.02693145, -0.004021342],
    [-0.010633584, 0.05258227, -0.15907955, 0.6171309, 0.6171309, -0.15907955, 0.05258227, -0.010633584],
], np.float32)  # fmt: skip


class Comb(NamedTuple):
    """Lags in samples, and scratch."""

    strength: np.float32  # 0..1; 0 is no comb
    lag_min: int
    lag_max: int
    step: int  # of the coarse search
    smooth: int  # half the width of the triangle that smooths
    reach: int  # samples beyond a frame that are read
    wide: NDArray[np.int32]  # (win_length / step + 2 lag_max / step + 2,) the input, smoothed, every step samples
    z: NDArray[np.int16]  # the same in fewer bits
    x: NDArray[np.int16]  # (win_length + 2 reach,) the input in fewer bits
    rho: NDArray[np.float64]  # (lag_max / step + 2 step + 4,)
    y: NDArray[np.float32]  # (win_length,) the frame, combed
    side: NDArray[np.float32]  # (win_length,)
    taps: NDArray[np.float32]  # (TAPS,)


def comb_lags(sample_rate: int) -> tuple[int, int, int, int, int]:
    """lag_min, lag_max, step, smooth, reach"""
    step, smooth = max(1, sample_rate // COARSE_RATE), max(1, sample_rate // SMOOTH_RATE)
    lag_max = sample_rate // PITCH_MIN
    return sample_rate // PITCH_MAX, lag_max, step, smooth, lag_max + 2 * step + max(smooth, TAPS)


def comb_margin(cfg: Any) -> int:
    """Hops beyond both ends of a frame that the comb reads. cfg : MelConfig"""
    return -(-comb_lags(cfg.sample_rate)[-1] // cfg.hop_length)


def make_comb(cfg: Any, strength: float) -> Comb:
    """cfg : MelConfig"""
    lags, win = comb_lags(cfg.sample_rate), cfg.win_length
    _, lag_max, step, _, reach = lags
    n_lags = lag_max // step + 1
    n_z = win // step + 2 * n_lags
    return Comb(
        np.float32(strength), *lags, np.zeros(n_z, np.int32), np.zeros(n_z, np.int16),
        np.zeros(win + 2 * reach, np.int16), np.zeros(n_lags + 2 * step + 3, np.float64),
        *np.zeros((2, win), np.float32), np.zeros(TAPS, np.float32),
    )  # fmt: skip


@register_jitable(**OVERLOAD)
def shift_for(largest, n):
    """The bits by which numbers up to `largest` are shifted so that sums of n products of two fit 31 bits"""
    shift = 0
    while n * ((largest >> shift) + 1) * ((largest >> shift) + 1) >= 2147483648:
        shift += 1
    return shift


@register_jitable(**OVERLOAD)
def comb_inputs(c, x, first, n):
    """c.z, every step samples: x under a triangle. c.x: x itself. Both in so few bits that sums of products fit 32.

    x : int16    first, n : of the frame. Returns n / step
    """
    m, reach = n // c.step, c.lag_max // c.step + 1
    n_z, n_x, largest_z, largest_x = m + 2 * reach, n + 2 * c.reach, np.int32(0), np.int32(0)
    for i in range(n_z):
        at = first + (i - reach) * c.step
        z = np.int32(c.smooth * x[at])
        for j in range(1, c.smooth):
            z = np.int32(z + (c.smooth - j) * (x[at - j] + x[at + j]))
        c.wide[i] = z
        largest_z = max(largest_z, np.int32(abs(z)))
    for i in range(n_x):
        largest_x = max(largest_x, np.int32(abs(np.int32(x[first - c.reach + i]))))
    shift_z, shift_x = shift_for(largest_z, m), shift_for(largest_x, n)
    for i in range(n_z):
        c.z[i] = np.int16(c.wide[i] >> shift_z)
    for i in range(n_x):
        c.x[i] = np.int16(x[first - c.reach + i] >> shift_x)
    return m


@register_jitable(**OVERLOAD)
def dot(a, i, b, j, n):
    """sum a_{i+k} b_{j+k}. int16 -> int32"""
    a_i, b_j, s = a[i : i + n], b[j : j + n], np.int32(0)
    for k in range(n):
        s = np.int32(s + np.int32(a_i[k]) * np.int32(b_j[k]))
    return s


@register_jitable(**OVERLOAD)
def rho_of(xy, xx, yy):
    """xy / sqrt(xx yy), 0 if that is nothing. float64"""
    if xx <= 0.0 or yy <= 0.0:
        return 0.0
    return xy / np.sqrt(xx * yy)


@register_jitable(**OVERLOAD)
def rho_at(z, at, lag, m):
    """Of the m numbers from z[at] and those `lag` away"""
    xx, yy = dot(z, at, z, at, m), dot(z, at + lag, z, at + lag, m)
    return rho_of(np.float64(dot(z, at, z, at + lag, m)), np.float64(xx), np.float64(yy))


@register_jitable(**OVERLOAD)
def comb_pitch(c, m):
    """The lag in steps of the coarse search, or 0; of the frame in the middle of c.z, whose length is m"""
    low, high = max(1, c.lag_min // c.step), c.lag_max // c.step
    z, at = c.z, high + 1
    xx = 2.0 * np.float64(dot(z, at, z, at, m))
    # 1) correlation with both sides at every lag
    before, after = dot(z, at - low, z, at - low, m), dot(z, at + low, z, at + low, m)
    largest = 0.0
    for lag in range(low, high + 1):
        xy = np.float64(dot(z, at, z, at - lag, m)) + np.float64(dot(z, at, z, at + lag, m))
        c.rho[lag] = rho_of(xy, xx, np.float64(before) + np.float64(after))
        largest = max(largest, c.rho[lag])
        # the next lag's energies
        i, j = at - lag - 1, at + lag
        before = np.int32(before - np.int32(z[i + m]) * z[i + m] + np.int32(z[i]) * z[i])
        after = np.int32(after - np.int32(z[j]) * z[j] + np.int32(z[j + m]) * z[j + m])
    if largest <= RHO_LOW:
        return 0
    # 2) the shortest lag that is nearly as good, up to its peak
    lag = low
    while c.rho[lag] < SHORTEST * largest:
        lag += 1
    while lag < high and c.rho[lag + 1] > c.rho[lag]:
        lag += 1
    return lag


@register_jitable(**OVERLOAD)
def comb_lag(c, n, lag):
    """The best lag about `lag` steps (negative: before) in quarters of a sample, by the whole band's correlation"""
    low, n_lags = lag * c.step - c.step - 1, 2 * c.step + 3
    x, at, best = c.x, c.reach, 1
    for k in range(n_lags):
        y = at + low + k
        c.rho[k] = rho_of(np.float64(dot(x, at, x, y, n)), 1.0, np.float64(dot(x, y, x, y, n)))
        if k > 0 and k < n_lags - 1 and c.rho[k] > c.rho[best]:
            best = k
    a, b = c.rho[best - 1], c.rho[best + 1]
    curve = 2.0 * c.rho[best] - a - b
    offset = max(min(0.5 * (b - a) / curve, 0.5), -0.5) if curve > 0.0 else 0.0
    return 4 * (low + best) + np.int64(4.0 * offset + 8.5) - 8


@register_jitable(**OVERLOAD)
def comb_shift(x, at, quarters, n, taps, side):
    """side_k = x_{at + k + quarters / 4}. taps : (TAPS,) float32 scratch"""
    q = quarters & 3
    whole = at + (quarters - q) // 4
    if q == 0:
        for k in range(n):
            side[k] = np.float32(x[whole + k])
        return
    for j in range(TAPS):
        taps[j] = QUARTER[0, TAPS - 1 - j] if q == 3 else QUARTER[q - 1, j]
    for k in range(n):
        s = np.float32(0.0)
        for j in range(TAPS):
            s = s + taps[j] * np.float32(x[whole + k - 3 + j])
        side[k] = s


@register_jitable(**OVERLOAD)
def comb_frame(c, x, first):
    """c.y = the frame x[first : first + win_length], combed if it is voiced. x : int16"""
    n = len(c.y)
    for k in range(n):
        c.y[k] = np.float32(x[first + k])
    if c.strength == np.float32(0.0):
        return
    m = comb_inputs(c, x, first, n)
    lag = comb_pitch(c, m)
    if lag == 0:
        return
    total = np.float32(1.0)
    for sign in (-1, 1):
        rho = rho_at(c.z, c.lag_max // c.step + 1, sign * lag, m)
        w = c.strength * np.float32(0.5 * max(min((rho - RHO_LOW) / (RHO_HIGH - RHO_LOW), 1.0), 0.0))
        comb_shift(x, first, comb_lag(c, n, sign * lag), n, c.taps, c.side)
        for k in range(n):
            c.y[k] = c.y[k] + w * c.side[k]
        total = total + w
    for k in range(n):
        c.y[k] = c.y[k] / total
