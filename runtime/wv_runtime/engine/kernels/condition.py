"""The conditioning as a CUDA kernel: from mels to what the gates of a sub-frame and its linear prediction want.

A block of threads has one sub-frame, so that those of all utterances are made at once. C1 and tanh are float32 and the
predictor is float64, in the order of wavernn.condition_frame and predict.predictor, one rounding each. C2 and C3 are
int8.

Usage: ``condition_block[n_rows, n_threads, stream, bytes](net, ...)``
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import cuda, float32, float64, int8, int32

from .device import add, add64, block_kernel, device, div, div64, maximum, minimum, mul, mul64, pow2_64, sqrt64
from .gates import TANH_P0, TANH_P1, TANH_P2, TANH_Q1, TANH_Q2, TANH_Q3, TANH_X
from .persistent import Block, row_sum
from .predict import E_MIN, EXP2, K_MAX, LOG2E_2, NOISE_FLOOR, SIGMA_FLOOR
from .steps import to_q, to_q10

THREADS = 256  # of a block


class ConditionNet(NamedTuple):
    """The numbers of an int8 model; its arrays are arguments of their own."""

    n_units: np.int32
    n_mels: np.int32
    cond_width: np.int32
    n_cond: np.int32
    lpc_order: np.int32
    log2_h: np.int32  # of a block of C1
    block_w: np.int32
    scale_2: np.float32  # x_scale of C2, and x_zero + 128.5
    zero_2: np.float32
    scale_3: np.float32
    zero_3: np.float32
    C2: Block
    C3: Block


def n_bytes(n_cond: int, n_mels: int, cond_width: int, lpc_order: int) -> int:
    """Of shared memory that a block takes."""
    return 8 * (3 * lpc_order + 1 + n_mels + n_cond // 8 + n_cond // 8 + 1) + 4 * cond_width * n_mels


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
def predictor(work, order, lpc, inverse, row):
    """Levinson-Durbin and what follows it in predict.predictor, by one thread. work : r, a, and the a before"""
    a, old = np.int32(order + 1), np.int32(2 * order + 1)
    r_0 = mul64(work[0], NOISE_FLOOR)
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
        v = maximum(minimum(mul64(work[np.uint32(a + j)], 4096.0), 32767.0), -32767.0)
        lpc[row, np.uint32(order - 1 - j)] = np.int32(add64(v, 32768.5)) - np.int32(32768)
        j = np.int32(j + 1)
    inverse[row, np.uint32(0)] = np.int32(add64(div64(16777216.0, add64(sqrt64(E), SIGMA_FLOOR)), 0.5))
    inverse[row, np.uint32(1)] = np.int32(add64(div64(16777216.0, add64(sqrt64(r_0), SIGMA_FLOOR)), 0.5))


@block_kernel(THREADS)
def condition_block(
    net, image, images, start, scale, values, row_ptr, col_idx, bias, M, frames, where, g, lpc, inverse
):  # noqa: N803
    """Block b has sub-frame where[b, 1] of the frame whose window starts at frame where[b, 0].

    image, images, start, scale : as in sample_block    values, row_ptr, col_idx, bias : of C1, float32
    M       : (lpc_order + 1, n_mels) float32           frames : (n, n_mels) float32    where : (n_rows, 2) int32
    g       : (n_rows, 3N) int16 Q10    lpc : (n_rows, lpc_order) int16    inverse : (n_rows, 2) int64
    """
    row, i0, step = np.uint32(cuda.blockIdx.x), np.int32(cuda.threadIdx.x), np.int32(cuda.blockDim.x)
    n_cond, n_mels, order = net.n_cond, net.n_mels, net.lpc_order
    words, octets = cuda.shared.array(0, int32), cuda.shared.array(0, int8)
    floats, doubles = cuda.shared.array(0, float32), cuda.shared.array(0, float64)
    power = np.int32(3 * order + 1)  # in doubles; r, a and the a before come first
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
        b = tanh_float(row_sum(net.C2, w, at_2, np.int32(sub * n_cond + i), np.int32(0), np.int32(1)))
        octets[np.uint32(4 * at_3 + i)] = to_q(b, net.scale_3, net.zero_3)
        i = np.int32(i + step)
    i = i0
    while i <= order and order > 0:
        acc, j = np.float64(0.0), np.int32(0)
        while j < n_mels:
            acc = add64(acc, mul64(np.float64(M[np.uint32(i), np.uint32(j)]), doubles[np.uint32(power + j)]))
            j = np.int32(j + 1)
        doubles[np.uint32(i)] = acc
        i = np.int32(i + step)
    cuda.syncthreads()
    # 3) g = C3 b, and the predictor
    i = i0
    while i < 3 * net.n_units:
        g[row, np.uint32(i)] = to_q10(row_sum(net.C3, w, at_3, i, np.int32(0), np.int32(1)))
        i = np.int32(i + step)
    if i0 == 0 and order > 0:
        predictor(doubles, order, lpc, inverse, row)
