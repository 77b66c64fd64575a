"""The conditioning as CUDA kernels: from mels to what the gates of a sub-frame and its linear prediction want.

A block of threads has one sub-frame, so that those of all utterances are made at once. C1 and tanh are float32 and the
predictor is float64, in the order of wavernn.condition_frame and predict.predictor, one rounding each. C2 and C3 are
int8. The normal equations of a subscale lane are those of predict.interpolators, for a warp.

Usage: ``condition_block[n_rows, n_threads, stream, bytes](net, ...)``, and of a subscale model
``interpolate_block[n_rows * subscale, 32, stream, bytes](net, ...)`` after it
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import cuda, float32, float64, int8, int32

from .device import (
    WARP,
    add,
    add64,
    block_kernel,
    device,
    div,
    div64,
    maximum,
    minimum,
    mul,
    mul64,
    pow2_64,
    saturate,
    sqrt64,
)
from .gates import TANH_P0, TANH_P1, TANH_P2, TANH_Q1, TANH_Q2, TANH_Q3, TANH_X
from .persistent import Block, row_sum
from .predict import A_MAX, D_MIN, E_MIN, EXP2, K_MAX, L_MAX, LOG2E_2, NOISE_FLOOR, SIGMA_FLOOR
from .steps import to_q, to_q10

THREADS = 256  # of a block of condition_block


class ConditionNet(NamedTuple):
    """The numbers of an int8 model; its arrays are arguments of their own."""

    n_units: np.int32
    n_mels: np.int32
    cond_width: np.int32
    n_cond: np.int32
    lpc_order: np.int32
    n_r: np.int32  # rows of M
    subscale: np.int32
    log2_h: np.int32  # of a block of C1
    block_w: np.int32
    scale_2: np.float32  # x_scale of C2, and x_zero + 128.5
    zero_2: np.float32
    scale_3: np.float32
    zero_3: np.float32
    C2: Block
    C3: Block


def n_bytes(n_cond: int, n_mels: int, cond_width: int, lpc_order: int, n_r: int) -> int:
    """Of shared memory that a block takes. n_r : rows of M"""
    return 8 * (n_r + 2 * lpc_order + n_mels + n_cond // 8 + n_cond // 8 + 1) + 4 * cond_width * n_mels


def n_interpolate_bytes(lpc_order: int) -> int:
    """Of shared memory that a block of interpolate_block takes."""
    return 8 * lpc_order * ((lpc_order | 1) + 4)


@device
def partial(values, col_idx, x, h, width, i, k, end):
    """The sum over every fourth block of a row, from block k on; i is the row of its blocks"""
    s = np.float32(0.0)
    while k < end:
        j, first = np.int32(0), np.int32(col_idx[np.uint32(k)] * width)
        while j < width:
            s = add(s, mul(values[np.uint32((k * width + j) * h + i)], x[np.uint32(first + j)]))
            j = np.int32(j + 1)
        k = np.int32(k + 4)
    return s


@device
def float_row(net, values, row_ptr, col_idx, bias, x, r):
    """W_r x + bias of C1, as spmv_float: block k of a row adds to partial sum k mod 4"""
    b, i, h = np.int32(r >> net.log2_h), np.int32(r & ((1 << net.log2_h) - 1)), np.int32(1 << net.log2_h)
    k, end = row_ptr[np.uint32(b)], row_ptr[np.uint32(b + 1)]
    s0 = partial(values, col_idx, x, h, net.block_w, i, k, end)
    s1 = partial(values, col_idx, x, h, net.block_w, i, np.int32(k + 1), end)
    s2 = partial(values, col_idx, x, h, net.block_w, i, np.int32(k + 2), end)
    s3 = partial(values, col_idx, x, h, net.block_w, i, np.int32(k + 3), end)
    return add(bias[np.uint32(r)], add(add(s0, s1), add(s2, s3)))


@device
def tanh_float(x):
    """As gates.tanh_inplace"""
    x = minimum(maximum(x, -TANH_X), TANH_X)
    y = mul(x, x)
    num = mul(x, add(mul(y, add(mul(y, TANH_P2), TANH_P1)), TANH_P0))
    den = add(mul(y, add(mul(y, add(mul(y, TANH_Q3), TANH_Q2)), TANH_Q1)), np.float32(1.0))
    return div(num, den)


@device
def exp2_double(x):
    """As predict.exp2_double"""
    n = np.int32(np.int32(add64(x, 1000.5)) - np.int32(1000))
    f, y = add64(x, -np.float64(n)), EXP2[8]
    for k in range(7, -1, -1):
        y = add64(mul64(y, f), EXP2[k])
    return mul64(y, pow2_64(n))


@device
def q12(a):
    """A coefficient in Q12"""
    v = maximum(minimum(mul64(a, 4096.0), 32767.0), -32767.0)
    return np.int32(add64(v, 32768.5)) - np.int32(32768)


@device
def inverse_sigma(power):
    """2^24 / (sigma + 4)"""
    return np.int32(add64(div64(16777216.0, add64(sqrt64(power), SIGMA_FLOOR)), 0.5))


@device
def predictor(work, order, lpc, inverse, row):
    """Levinson-Durbin and what follows it in predict.predictor, by one thread. work : r, a, and the a before"""
    a, old, r_0 = np.int32(order + 1), np.int32(2 * order + 1), work[0]
    E, m = r_0, np.int32(0)  # noqa: N806
    while m < order:
        acc, j = work[np.uint32(m + 1)], np.int32(0)
        while j < m:
            r = work[np.uint32(m - j)]
            acc = add64(acc, -mul64(work[np.uint32(a + j)], r))
            work[np.uint32(old + j)] = work[np.uint32(a + j)]
            j = np.int32(j + 1)
        k = maximum(minimum(div64(acc, E), K_MAX), -K_MAX)
        j = np.int32(0)
        while j < m:
            work[np.uint32(a + j)] = add64(work[np.uint32(old + j)], -mul64(k, work[np.uint32(old + m - 1 - j)]))
            j = np.int32(j + 1)
        work[np.uint32(a + m)] = k
        E = maximum(mul64(E, add64(1.0, -mul64(k, k))), E_MIN)  # noqa: N806
        m = np.int32(m + 1)
    j = np.int32(0)
    while j < order:
        lpc[row, np.uint32(order - 1 - j)] = q12(work[np.uint32(a + j)])
        j = np.int32(j + 1)
    inverse[row, np.uint32(0)], inverse[row, np.uint32(1)] = inverse_sigma(E), inverse_sigma(r_0)


@block_kernel(THREADS)
def condition_block(
    net, image, images, start, scale, values, row_ptr, col_idx, bias, M, of_lane, frames, where, g, lpc, inverse, r
):  # noqa: N803
    """Block b has sub-frame where[b, 1] of the frame whose window starts at frame where[b, 0].

    image, images, start, scale : as in sample_block    values, row_ptr, col_idx, bias : of C1, float32
    M       : (n_r, n_mels) float32     frames : (n, n_mels) float32    where : (n_rows, 2) int32
    of_lane : (subscale, 3N) int16 Q10, what a lane adds to C3 b; of a model without subscale zeros
    g       : (n_rows subscale, 3N) int16 Q10
    lpc     : (n_rows, lpc_order) int16    inverse : (n_rows, 2) int64, of a model without subscale
    r       : (n_rows, n_r) float64, the autocorrelation, of a subscale model
    """
    row, i0, step = np.uint32(cuda.blockIdx.x), np.int32(cuda.threadIdx.x), np.int32(cuda.blockDim.x)
    n_cond, n_mels, order = net.n_cond, net.n_mels, net.lpc_order
    words, octets = cuda.shared.array(0, int32), cuda.shared.array(0, int8)
    floats, doubles = cuda.shared.array(0, float32), cuda.shared.array(0, float64)
    power = np.int32(net.n_r + 2 * order)  # in doubles; r, a and the a before come first
    at_2 = np.int32(2 * (power + n_mels))  # in words: input of C2, of C3, mels
    at_3 = np.int32(at_2 + (n_cond >> 2))
    at_x = np.int32(at_3 + (n_cond >> 2))
    x = floats[at_x:]
    w = (image, images, words, words, start, scale)
    first, sub = where[row, np.uint32(0)], where[row, np.uint32(1)]
    i = i0
    while i < net.cond_width * n_mels:
        x[np.uint32(i)] = frames[np.uint32(first + i // n_mels), np.uint32(i % n_mels)]
        i = np.int32(i + step)
    cuda.syncthreads()
    # 1) a = tanh(C1 window), and the powers of the bands
    i = i0
    while i < n_cond:
        a = tanh_float(float_row(net, values, row_ptr, col_idx, bias, x, i))
        octets[np.uint32(4 * at_2 + i)] = to_q(a, net.scale_2, net.zero_2)
        i = np.int32(i + step)
    i, centre = i0, np.int32((net.cond_width >> 1) * n_mels)
    while i < n_mels and order > 0:
        mel = np.float64(x[np.uint32(centre + i)])
        doubles[np.uint32(power + i)] = exp2_double(maximum(minimum(mul64(mel, LOG2E_2), 60.0), -60.0))
        i = np.int32(i + step)
    cuda.syncthreads()
    # 2) b = tanh(C2 a) of the sub-frame, and r = M power
    i = i0
    while i < n_cond:
        b = tanh_float(row_sum(net.C2, w, words, at_2, np.int32(sub * n_cond + i), np.int32(0), np.int32(1)))
        octets[np.uint32(4 * at_3 + i)] = to_q(b, net.scale_3, net.zero_3)
        i = np.int32(i + step)
    i = i0
    while i < net.n_r:
        acc, j = np.float64(0.0), np.int32(0)
        while j < n_mels:
            acc = add64(acc, mul64(np.float64(M[np.uint32(i), np.uint32(j)]), doubles[np.uint32(power + j)]))
            j = np.int32(j + 1)
        if i == 0:
            acc = mul64(acc, NOISE_FLOOR)
        doubles[np.uint32(i)] = acc
        if net.subscale > 1:
            r[row, np.uint32(i)] = acc
        i = np.int32(i + step)
    cuda.syncthreads()
    # 3) g = C3 b of each lane, and the predictor
    i = i0
    while i < 3 * net.n_units:
        v, l = to_q10(row_sum(net.C3, w, words, at_3, i, np.int32(0), np.int32(1))), np.int32(0)  # noqa: E741
        while l < net.subscale:
            g[np.uint32(row * net.subscale + l), np.uint32(i)] = saturate(v + of_lane[np.uint32(l), np.uint32(i)])
            l = np.int32(l + 1)  # noqa: E741
        i = np.int32(i + step)
    if i0 == 0 and order > 0 and net.subscale == 1:
        predictor(doubles, order, lpc, inverse, row)


@block_kernel(WARP)
def interpolate_block(net, r, seen, n_seen, lpc, inverse):
    """Block b has the coefficients of lane b modulo subscale in sub-frame b / subscale, as predict.interpolators.

    r    : (n_rows, n_r) float64 of condition_block             seen : (subscale, 64) int32, n_seen : (subscale,) int32
    lpc  : (n_rows subscale, lpc_order) int16, 0 from n_seen on    inverse : (n_rows subscale, 2) int64
    """
    b, me, order = np.uint32(cuda.blockIdx.x), np.int32(cuda.threadIdx.x), net.lpc_order
    row = np.uint32(b // np.uint32(net.subscale))
    l = np.uint32(b - row * np.uint32(net.subscale))  # noqa: E741
    n, r_0 = n_seen[l], r[row, np.uint32(0)]
    doubles = cuda.shared.array(0, float64)  # L, row after row; D; y; z; a
    width = np.int32(order | 1)  # of a row: odd, so that threads read from different banks
    at_D = np.int32(order * width)  # noqa: N806
    at_y, at_z, at_a = np.int32(at_D + order), np.int32(at_D + 2 * order), np.int32(at_D + 3 * order)
    # 1) A = L D L^T, column after column: a thread has every 32nd row
    least, j = mul64(D_MIN, r_0), np.int32(0)
    while j < n:
        i = np.int32(j + me)
        while i < n:
            d = np.int32(seen[l, np.uint32(i)] - seen[l, np.uint32(j)])
            acc, k = r[row, np.uint32(abs(d))], np.int32(0)
            while k < j:
                v = mul64(doubles[np.uint32(j * width + k)], doubles[np.uint32(at_D + k)])
                acc, k = add64(acc, -mul64(doubles[np.uint32(i * width + k)], v)), np.int32(k + 1)
            doubles[np.uint32(at_y + i)] = acc
            i = np.int32(i + WARP)
        cuda.syncthreads()
        D_j = maximum(doubles[np.uint32(at_y + j)], least)  # noqa: N806
        i = np.int32(j + me)
        while i < n:
            v = div64(doubles[np.uint32(at_y + i)], D_j)
            doubles[np.uint32(i * width + j)] = maximum(minimum(v, L_MAX), -L_MAX)
            i = np.int32(i + WARP)
        if me == 0:
            doubles[np.uint32(at_D + j)] = D_j
        cuda.syncthreads()
        j = np.int32(j + 1)
    # 2) L y = c; E is the power of the residual
    i = me
    while i < n:
        doubles[np.uint32(at_y + i)] = r[row, np.uint32(abs(np.int32(seen[l, np.uint32(i)])))]
        i = np.int32(i + WARP)
    cuda.syncthreads()
    E, j = r_0, np.int32(0)  # noqa: N806
    while j < n:
        y_j = maximum(minimum(doubles[np.uint32(at_y + j)], r_0), -r_0)
        z_j = div64(y_j, doubles[np.uint32(at_D + j)])
        E = add64(E, -mul64(y_j, z_j))  # noqa: N806
        i = np.int32(j + 1 + me)
        while i < n:
            y = np.uint32(at_y + i)
            doubles[y] = add64(doubles[y], -mul64(doubles[np.uint32(i * width + j)], y_j))
            i = np.int32(i + WARP)
        if me == 0:
            doubles[np.uint32(at_z + j)] = z_j
        cuda.syncthreads()
        j = np.int32(j + 1)
    # 3) L^T a = z, by one thread: each a waits for the last
    if me == 0:
        j = np.int32(n - 1)
        while j >= 0:
            acc, i = doubles[np.uint32(at_z + j)], np.int32(j + 1)
            while i < n:
                acc = add64(acc, -mul64(doubles[np.uint32(i * width + j)], doubles[np.uint32(at_a + i)]))
                i = np.int32(i + 1)
            doubles[np.uint32(at_a + j)] = maximum(minimum(acc, A_MAX), -A_MAX)
            j = np.int32(j - 1)
        inverse[b, np.uint32(0)], inverse[b, np.uint32(1)] = inverse_sigma(maximum(E, E_MIN)), inverse_sigma(r_0)
    cuda.syncthreads()
    # 4) to integers
    i = me
    while i < order:
        lpc[b, np.uint32(i)] = q12(doubles[np.uint32(at_a + i)]) if i < n else np.int32(0)
        i = np.int32(i + WARP)
