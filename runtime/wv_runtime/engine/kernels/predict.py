"""Linear prediction from the mels: a model with lpc_order > 0 draws the residual d_t of a sample s_t, not the sample.

LPCNet's idea (Valin and Skoglund 2019, arXiv:1810.11846), with coefficients from the log-mel frame m alone:

    r = M exp(2 m)              autocorrelation, M : (order + 1, n_mels) of features/prediction.py
    a = Levinson-Durbin(r)      once per frame, in float64 in a fixed order, then in Q12
    p_t = (sum_k a_k s_{t-k} + 2^11) >> 12
    d_t = 256 c_t + f_t - 32896,    s_t = p_t + d_t, clipped to 16 bits

The offset of 32896 puts d = 0 into the middle of a coarse byte. Instead of the paper's three bytes the network reads 8
inputs in Q15. L is a logarithm of straight pieces, as in G.711; sigma_d and sigma_s are the frame's deviations:

    x_t = [L(d_{t-1}, 8), L(p_t, 32), L(s_{t-1}, 32), d_{t-1} / 8 sigma_d, p_t / 8 sigma_s, s_{t-1} / 8 sigma_s,
           f of d_{t-1}, L(2 (c_t - 128), 1)]

In a subscale model (Kalchbrenner et al. 2018, section 4) each of B lanes draws every B-th sample and has its own
coefficients, on the samples on both sides of t that it may see (model/neighbours.py): they solve the normal equations
of the same r, so that all lanes but the first interpolate. t - 1 above is then t - B, and x_t has the nearest of these
samples before its last input, each less p_t, over 8 sigma_d.

C twin: libwavernn/kernels/predict.c
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

from .jit import OVERLOAD
from .simd import broadcast, div, load, maximum, minimum, mul, store, sub

N_X = 8  # inputs; the last, of c_t, reaches the fine half only
OFFSET = 32896  # of d: bytes 128, 128 are d = 0
NOISE_FLOOR = 1.0001  # r_0 is raised by so much: -40 dB of white noise
E_MIN = 1e-30  # of the power of the residual: keeps the division finite, whatever M holds
K_MAX = 0.9999  # largest |reflection coefficient|
# Of the normal equations of a lane, with r_0 = 1. The noise floor keeps speech from all of them
D_MIN = 9.5367431640625e-07  # 2^-20, smallest pivot
L_MAX = 1024.0  # largest |L_ij|
A_MAX = 8.0  # largest |coefficient|
SIGMA_FLOOR = 4.0  # 16-bit steps, added to a deviation before its inverse
LOG2E_2 = 2.8853900817779268  # 2 log2(e)
# 2^f on [-1/2, 1/2]: Taylor coefficients ln(2)^k / k!, relative error 1e-11
EXP2 = np.array([
    1.0, 0.6931471805599453, 0.2402265069591007, 0.05550410866482158, 0.009618129107628477, 0.0013333558146428443,
    0.00015403530393381608, 1.5252733804059838e-05, 1.3215486790144305e-06,
])  # fmt: skip


@register_jitable(**OVERLOAD)
def exp2_double(x):
    """2^x for x in [-999, 999], float64"""
    n = np.int32(x + 1000.5) - np.int32(1000)
    f = x - np.float64(n)
    y = EXP2[8]
    for k in range(7, -1, -1):
        y = y * f + EXP2[k]
    return y * np.int64((n + np.int64(1023)) << np.int64(52)).view(np.float64)


@register_jitable(**OVERLOAD)
def autocorrelation(M, mel, power, r):  # noqa: N803
    """r = M exp(2 m), r_0 with the noise floor. M : (len(r) * n_mels,), power : (n_mels,) scratch, r : float64"""
    n_mels = len(mel)
    for b in range(n_mels):
        power[b] = exp2_double(max(min(np.float64(mel[b]) * LOG2E_2, 60.0), -60.0))
    for k in range(len(r)):
        acc = 0.0
        for b in range(n_mels):
            acc = acc + np.float64(M[k * n_mels + b]) * power[b]
        r[k] = acc
    r[0] = r[0] * NOISE_FLOOR


@register_jitable(**OVERLOAD)
def q12(a):
    """A coefficient in Q12, int16"""
    return np.int16(np.int32(max(min(a * 4096.0, 32767.0), -32767.0) + 32768.5) - 32768)


@register_jitable(**OVERLOAD)
def inverse_sigma(power):
    """2^24 / (sigma + 4)"""
    return np.int32(16777216.0 / (np.sqrt(power) + SIGMA_FLOOR) + 0.5)


@register_jitable(**OVERLOAD)
def predictor(M, mel, work, lpc, inverse):  # noqa: N803
    """The predictor of a frame.

    M    : ((order + 1) * n_mels,) float32    mel : (n_mels,) float32    work : (3 order + 1 + n_mels,) float64
    lpc  : (order,) int16, a_order .. a_1, Q12  inverse : (2,) int64, 2^24 / (sigma + 4) of sigma_d, sigma_s
    """
    order = len(lpc)
    r, a, old = work[: order + 1], work[order + 1 : 2 * order + 1], work[2 * order + 1 : 3 * order + 1]
    # 1) r = M exp(2 m)
    autocorrelation(M, mel, work[3 * order + 1 :], r)
    # 2) Levinson-Durbin; E is the power of the residual
    E = r[0]  # noqa: N806
    for m in range(order):
        acc = r[m + 1]
        for j in range(m):
            acc = acc - a[j] * r[m - j]
            old[j] = a[j]
        k = max(min(acc / E, K_MAX), -K_MAX)
        for j in range(m):
            a[j] = old[j] - k * old[m - 1 - j]
        a[m] = k
        E = max(E * (1.0 - k * k), E_MIN)  # noqa: N806
    # 3) to integers
    for j in range(order):
        lpc[order - 1 - j] = q12(a[j])
    inverse[0], inverse[1] = inverse_sigma(E), inverse_sigma(r[0])


def n_work(n: int) -> int:
    """Length of the scratch of `interpolators` for n unknowns: 4 lanes of a triangle and four vectors"""
    return 4 * (n * (n + 1) // 2 + 4 * n)


@register_jitable(**OVERLOAD)
def clamp_doubles(v, low, high):
    return maximum(minimum(v, broadcast(4, high)), broadcast(4, low))


@register_jitable(**OVERLOAD)
def interpolators(r, n_seen, offsets, work, order, lpc, inverse):
    """The coefficients of up to 4 lanes of a subscale model for a frame: A a = c, A_ij = r_|d_i - d_j|, c_j = r_|d_j|.

    The lanes go side by side, in vectors.

    r       : (n_lags + 1,) float64 of `autocorrelation`
    n_seen  : (n_lanes,) int, unknowns of each lane
    offsets : (n_lanes * order,) int, neighbours(cfg) of the lanes
    work    : (n_work(n),) float64, n the largest n_seen
    lpc     : (n_lanes * order,) int16, a in the order of the offsets, Q12
    inverse : (n_lanes * 2,) int64, as in `predictor`
    """
    n_lanes, n = len(n_seen), 0  # a lane with fewer: its further unknowns are 0, since D <= r_0 and nothing overflows
    for l in range(n_lanes):  # noqa: E741
        n = max(n, n_seen[l])
    D, y, z, a = work[: 4 * n], work[4 * n : 8 * n], work[8 * n : 12 * n], work[12 * n : 16 * n]  # noqa: N806
    L = work[16 * n :]  # noqa: N806  column after column
    least = broadcast(4, D_MIN * r[0])
    # 1) A = L D L^T
    column = 0  # from the diagonal on
    for j in range(n):
        for l in range(4):  # noqa: E741
            for i in range(j, n):
                L[column + 4 * (i - j) + l] = 0.0
                if l < n_lanes and i < n_seen[l]:
                    L[column + 4 * (i - j) + l] = r[abs(offsets[l * order + i] - offsets[l * order + j])]
        before = 4 * j  # row j of column k
        for k in range(j):
            v_k = mul(load(4, L, before), load(4, D, 4 * k))
            for i in range(0, 4 * (n - j), 4):
                store(L, column + i, sub(load(4, L, column + i), mul(load(4, L, before + i), v_k)))
            before += 4 * (n - k - 1)
        D_j = maximum(load(4, L, column), least)  # noqa: N806
        store(D, 4 * j, D_j)
        for i in range(4, 4 * (n - j), 4):
            store(L, column + i, clamp_doubles(div(load(4, L, column + i), D_j), -L_MAX, L_MAX))
        column += 4 * (n - j)
    # 2) L y = c; E is the power of the residual
    E = broadcast(4, r[0])  # noqa: N806
    for l in range(4):  # noqa: E741
        for j in range(n):
            y[4 * j + l] = 0.0
            if l < n_lanes and j < n_seen[l]:
                y[4 * j + l] = r[abs(offsets[l * order + j])]
    column = 0
    for j in range(n):
        store(y, 4 * j, clamp_doubles(load(4, y, 4 * j), -r[0], r[0]))
        y_j = load(4, y, 4 * j)
        z_j = div(y_j, load(4, D, 4 * j))
        store(z, 4 * j, z_j)
        E = sub(E, mul(y_j, z_j))  # noqa: N806
        for i in range(4, 4 * (n - j), 4):
            store(y, 4 * j + i, sub(load(4, y, 4 * j + i), mul(load(4, L, column + i), y_j)))
        column += 4 * (n - j)
    # 3) L^T a = z = y / D
    for j in range(n - 1, -1, -1):
        column -= 4 * (n - j)
        acc = load(4, z, 4 * j)
        for i in range(4, 4 * (n - j), 4):
            acc = sub(acc, mul(load(4, L, column + i), load(4, a, 4 * j + i)))
        store(a, 4 * j, clamp_doubles(acc, -A_MAX, A_MAX))
    # 4) to integers
    store(y, 0, E)
    for l in range(n_lanes):  # noqa: E741
        for j in range(n_seen[l]):
            lpc[l * order + j] = q12(a[4 * j + l])
        inverse[2 * l], inverse[2 * l + 1] = inverse_sigma(max(y[l], E_MIN)), inverse_sigma(r[0])


@register_jitable(**OVERLOAD)
def see(samples, mask, t, offsets, seen):
    """What a lane sees at t: samples[(t + d) & mask] of its offsets. seen : (n,) int16"""
    for j in range(len(offsets)):
        seen[j] = samples[(t + offsets[j]) & mask]


@register_jitable(**OVERLOAD)
def predict(lpc, past):
    """p_t from past : (order,) int16, s_{t-1} last, or what a lane sees. int64 in the range of int16"""
    acc = np.int64(2048)
    for k in range(len(lpc)):
        acc += np.int64(np.int32(lpc[k]) * np.int32(past[k]))
    return max(min(acc >> np.int64(12), np.int64(32767)), np.int64(-32768))


@register_jitable(**OVERLOAD)
def log_q11(v, k):
    """L(v, 2^k) in Q11: sign(v) (log2(|v| + 2^k) - k), straight between powers of two. |v| < 2^23"""
    n = np.float32(np.int32(abs(v) + (1 << k)))
    y = np.int64(np.float32(n).view(np.int32) >> np.int32(12)) - ((127 + k) << 11)
    return -y if v < 0 else y


@register_jitable(**OVERLOAD)
def ratio_q12(v, inverse):
    """v / sigma in Q12, clipped to 8"""
    return max(min((v * inverse + 2048) >> np.int64(12), np.int64(32767)), np.int64(-32767))


@register_jitable(**OVERLOAD)
def inputs(d, p, s, inverse, x):
    """x_t but the context and c_t, from d_{t-1}, p_t and s_{t-1}. x : int16 Q15"""
    x[0] = log_q11(d, 3)
    x[1] = log_q11(p, 5)
    x[2] = log_q11(s, 5)
    x[3] = ratio_q12(d, inverse[0])
    x[4] = ratio_q12(p, inverse[1])
    x[5] = ratio_q12(s, inverse[1])
    x[6] = (2 * ((d + OFFSET) & 255) - 255) * 128


@register_jitable(**OVERLOAD)
def inputs_context(p, seen, inverse, x):
    """The context of x_t: the nearest samples that a lane sees, 0 where it has fewer.

    seen : (n,) int16    x : (context,) int16 Q15
    """
    for j in range(len(x)):
        x[j] = 0
        if j < len(seen):
            x[j] = ratio_q12(np.int64(seen[j]) - p, inverse[0])


@register_jitable(**OVERLOAD)
def input_coarse(c):
    """The input that c_t is. Q15"""
    return log_q11(2 * (c - 128), 0)
