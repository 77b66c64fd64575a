"""The persistent kernel: one CUDA block draws all samples of an utterance, in one launch (docs/gpu.md).

After "Persistent RNNs" (Diamos et al. 2016; Kalchbrenner et al. 2018, section 2.2): the block copies the weights to its
shared memory once, keeps the state there, and loops over the samples. Units and rows are shared out among its threads,
a row to several lanes of a warp where there are more threads than rows; the first warp draws. Eight barriers a sample.
int8 models only: their sums are integers, so their order does not matter, and the few float operations are those of
docs/numerics.md, one rounding each.

The steps are those of wavernn.sample_loop.

Usage: ``sample_block[n_streams, n_threads, stream, bytes](net, ...)``
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import cuda, float32, int8, int16, int32, int64

from .device import block_kernel, device, dot4, mul, mulhrs, saturate, warp_sum
from .predict import N_X
from .sample import random_bits
from .steps import (
    BITS,
    BYTE,
    FREE,
    PAST,
    TANH,
    TANHS,
    D,
    K,
    P,
    X,
    Y,
    begin_sample,
    begin_sub_frame,
    coarse_input,
    conditioned,
    draw,
    end_sample,
    gate,
    h_to_q,
    input_sum,
    logit_at,
    to_q,
    to_q10,
)  # fmt: skip

MAX_THREADS = 1024  # of a block: that leaves 64 registers for each


class Block(NamedTuple):
    """Where a matrix of pairs of blocks lies: in the image, or in the shared memory if it is there."""

    row_ptr: np.int32  # in words
    col_idx: np.int32  # in words: of each pair, where in the input its two quads are, 16 bits each
    values: np.int32  # in longs: of each pair, of each row, four weights of the first and of the second block
    first_row: np.int32  # in start and scale
    log2_h: np.int32
    shared: np.int32


class DeviceNet(NamedTuple):
    """The numbers of an int8 model; its arrays are arguments of their own."""

    n_units: np.int32
    n_out: np.int32
    lpc_order: np.int32
    sub_length: np.int32
    I_shift: np.int32
    n_shared: np.int32  # longs at the start of the image that are copied to shared memory
    k_units: np.int32  # log2_lanes of the units, of the rows of O1 and O3, and of O2 and O4
    k_in: np.int32
    k_out: np.int32
    preemphasis: np.float32
    scale_2: np.float32  # x_scale of O2, and x_zero + 128.5
    zero_2: np.float32
    scale_4: np.float32
    zero_4: np.float32
    R: Block
    O1: Block
    O2: Block
    O3: Block
    O4: Block


def state_words(n_units: int, n_out: int) -> int:
    """Words of shared memory before the weights, an even number."""
    return FREE + 2 * (n_units // 4) + n_out // 4 + n_units // 2 + 3 * n_units // 2


def log2_lanes(n_threads: int, rows: int) -> int:
    """log2 of how many lanes of a warp a row gets."""
    return min(5, max(0, (n_threads // rows).bit_length() - 1))


@device
def dots(words, longs, m, q, at_q, r, lane, lanes):
    """Every lanes-th pair of W_r . q, from the lane-th on; the input starts at q[at_q]"""
    b = np.int32(r >> m.log2_h)
    k, end = np.int32(words[np.uint32(m.row_ptr + b)] + lane), words[np.uint32(m.row_ptr + b + 1)]
    i = np.uint32(m.values + (k << m.log2_h) + (r & ((1 << m.log2_h) - 1)))
    j, step, acc = np.uint32(m.col_idx + k), np.uint32(lanes << m.log2_h), np.int32(0)
    while k < end:
        two, w = np.uint32(words[j]), longs[i]
        acc = dot4(acc, np.int32(w), q[np.uint32(at_q + (two & np.uint32(0xFFFF)))])
        acc = dot4(acc, np.int32(w >> np.int64(32)), q[np.uint32(at_q + (two >> np.uint32(16)))])
        k, i, j = np.int32(k + lanes), np.uint32(i + step), np.uint32(j + np.uint32(lanes))
    return acc


@device
def row_sum(m, w, at_q, r, lane, lanes):
    """scale_r (start_r + W_r . q), float32; W is in shared memory or in the image. `lanes` lanes have a row together

    w : image, images, words, longs, start, scale
    """
    image, images, words, longs, start, scale = w
    # loaded now and used last: global memory is slow
    start_r, scale_r = start[np.uint32(m.first_row + r)], scale[np.uint32(m.first_row + r)]
    if m.shared != 0:
        acc = dots(words, longs, m, words, at_q, r, lane, lanes)
    else:
        acc = dots(image, images, m, words, at_q, r, lane, lanes)
    return mul(np.float32(np.int32(warp_sum(acc, lanes) + start_r)), scale_r)


@device
def hidden_rows(m, w, octets, at_in, at_out, n, x_scale, zero_point, i0, k, step):
    """O1 or O3: n rows, each of 2^k lanes, as the next matrix takes them"""
    lanes, r = np.int32(1 << k), np.int32(i0 >> k)
    lane = np.int32(i0 & (lanes - 1))
    while r < n:
        s = row_sum(m, w, at_in, r, lane, lanes)
        if lane == 0:
            octets[np.uint32(4 * at_out + r)] = to_q(s, x_scale, zero_point)
        r = np.int32(r + (step >> k))


@device
def logit_rows(m, w, floats, at_in, i0, k, step):
    """O2 or O4: the 256 logits, each of 2^k lanes"""
    lanes, r = np.int32(1 << k), np.int32(i0 >> k)
    lane = np.int32(i0 & (lanes - 1))
    while r < 256:
        s = row_sum(m, w, at_in, r, lane, lanes)
        if lane == 0:
            floats[logit_at(r)] = s
        r = np.int32(r + (step >> k))


@device
def fine_inputs(net, I_c, g, row, u):  # noqa: N803
    """Of the gates of a fine unit: the I* that c_t has, and the conditioning"""
    n, row = net.n_units, np.uint32(row)
    j = np.uint32(min(u, np.int32(n - 1)))
    r, e = np.uint32(n + j), np.uint32(2 * n + j)
    return I_c[j], I_c[r], I_c[e], g[row, j], g[row, r], g[row, e]


@block_kernel(MAX_THREADS)
def sample_block(net, image, images, start, scale, I, I_c, seed, k, n, g, lpc, inverse, at, t, y, h, past, pcm):  # noqa: E741, N803
    """Block b draws the next n[b] samples of stream b, from the state that it leaves for the next call.

    image   : (2 n,) int32, the matrices as `Block` says    images : (n,) int64, the same memory
    start   : (rows,) int32, derive.start of R, O1..O4    scale : (rows,) float32 likewise
    I       : (3N or 6N,) int64, derive.quantize_I: of each gate of each unit its first four, then its next four
    I_c     : (3N,) int16, that of c_t
    seed    : (B,) uint64     k : (B,) float32, log2(e) / temperature     n : (B,) int32
    g       : (n_rows, 3N) int16 Q10, the conditioning of sub-frames
    lpc     : (n_rows, lpc_order) int16 of predict.predictor    inverse : (n_rows, 2) int64 likewise
    at      : (B, 2) int32, the row of the next sample, and how many samples it still holds for
    t       : (B, 5) int64    y : (B, 1) float32    h : (B, N) int16    past : (B, lpc_order) int16, of network.State
    pcm     : (B, at least n) int16
    """
    b, i0, step = np.int32(cuda.blockIdx.x), np.int32(cuda.threadIdx.x), np.int32(cuda.blockDim.x)
    n_units, n_out, order, n_b = net.n_units, net.n_out, net.lpc_order, n[b]
    half, n_x = np.int32(n_units >> 1), np.int32(N_X if order > 0 else 3)
    more = np.uint32(3 * n_units if n_x > 4 else 0)
    k_units, k_in, k_out, lanes = net.k_units, net.k_in, net.k_out, np.int32(1 << net.k_units)
    lane = np.int32(i0 & (lanes - 1))
    # The dynamic shared memory, as words, bytes, shorts, floats and longs
    words, octets, shorts = cuda.shared.array(0, int32), cuda.shared.array(0, int8), cuda.shared.array(0, int16)
    floats, longs = cuda.shared.array(0, float32), cuda.shared.array(0, int64)
    both_q = np.int32(2 * FREE + (n_units >> 2))  # h_{t-1} and h_t in 8 bits start at old_q and at both_q - old_q
    old_q, at_q = np.int32(FREE), np.int32(FREE + (n_units >> 1))
    at_h = np.int32(2 * (at_q + (n_out >> 2)))
    at_a = np.int32(at_h + n_units - half)  # of each fine unit u, r, e: R h_{t-1} ..
    at_v = np.int32(at_a + 3 * half)  # .. and I* x without c_t
    at_image = np.int32((at_v + n_units + n_units) >> 2)
    w = (image, images, words, longs, start, scale)
    # 1) weights and state to shared memory
    i = i0
    while i < net.n_shared:
        longs[np.uint32(at_image + i)] = images[np.uint32(i)]
        i = np.int32(i + step)
    i = i0
    while i < n_units:
        shorts[np.uint32(at_h + i)] = h[b, i]
        octets[np.uint32(4 * old_q + i)] = h_to_q(np.int32(h[b, i]))
        i = np.int32(i + step)
    row, left = at[b, 0], at[b, 1]
    if left == 0:
        row, left = np.int32(row + 1), net.sub_length
    if i0 < 32:
        me = np.uint32(i0)
        words[TANHS + me], floats[Y + me], words[D + me], words[P + me] = TANH[me], y[b, 0], t[b, 4], t[b, 3]
        words[PAST + me] = past[b, order - 1 - i0] if i0 < order else 0
        words[PAST + 32 + me] = past[b, order - 33 - i0] if i0 + 32 < order else 0
        if i0 == 0:
            words[BYTE], words[BYTE + 1], floats[K] = t[b, 1], t[b, 2], k[b]
        begin_sub_frame(words, lpc, inverse, row, order, i0)
        begin_sample(words, np.int32(t[b, 1]), np.int32(t[b, 2]), i0, order)
    cuda.syncthreads()
    i = np.int32(0)
    while i < n_b:
        new_q = np.int32(both_q - old_q)
        # 2) R h_{t-1}, the coarse half of h_t, and of the fine half what c_t does not enter
        u = np.int32(i0 >> k_units)
        while u < n_units:
            j, r, e = np.uint32(u), np.uint32(n_units + u), np.uint32(2 * n_units + u)
            # global memory is slow: loaded before a product and used after it
            g_u, g_r, u4, r4 = g[np.uint32(row), j], g[np.uint32(row), r], I[j], I[r]
            u8, r8 = I[np.uint32(more + j)], I[np.uint32(more + r)]
            a_u = to_q10(row_sum(net.R, w, old_q, u, lane, lanes))
            v_u, v_r = input_sum(words, u4, u8, n_x - 1), input_sum(words, r4, r8, n_x - 1)
            if u < half:
                v_u, v_r = conditioned(net.I_shift, v_u, g_u), conditioned(net.I_shift, v_r, g_r)
            g_e, e4, e8 = g[np.uint32(row), e], I[e], I[np.uint32(more + e)]
            a_r = to_q10(row_sum(net.R, w, old_q, np.int32(n_units + u), lane, lanes))
            v_e = input_sum(words, e4, e8, n_x - 1)
            if u < half:
                v_e = conditioned(net.I_shift, v_e, g_e)
            a_e = to_q10(row_sum(net.R, w, old_q, np.int32(2 * n_units + u), lane, lanes))
            if lane == 0 and u < half:
                h_u = gate(words, v_u, v_r, v_e, a_u, a_r, a_e, shorts[np.uint32(at_h + u)])
                shorts[np.uint32(at_h + u)], octets[np.uint32(4 * new_q + u)] = h_u, h_to_q(h_u)
            elif lane == 0:
                p = np.uint32(at_a + u)
                shorts[p], shorts[np.uint32(p + half)], shorts[np.uint32(p + n_units)] = a_u, a_r, a_e
                p = np.uint32(at_v + u)
                shorts[p], shorts[np.uint32(p + half)], shorts[np.uint32(p + n_units)] = v_u, v_r, v_e
            u = np.int32(u + (step >> k_units))
        cuda.syncthreads()
        # 3) c_t
        if i0 == 0:
            longs[BITS] = np.int64(random_bits(seed[b], np.uint64(t[b, 0] + i)))
        hidden_rows(net.O1, w, octets, new_q, at_q, n_out, net.scale_2, net.zero_2, i0, k_in, step)
        cuda.syncthreads()
        logit_rows(net.O2, w, floats, at_q, i0, k_out, step)
        cuda.syncthreads()
        u = np.int32(half + i0)
        i_u, i_r, i_e, g_u, g_r, g_e = fine_inputs(net, I_c, g, row, u)  # before they are wanted
        if i0 < 32:
            c = draw(words, floats, floats[K], np.uint64(longs[BITS]) >> np.uint64(32), i0)
            if i0 == 0:
                words[BYTE], words[np.uint32(X + n_x - 1)] = c, coarse_input(c, order)
        cuda.syncthreads()
        # 4) the fine half of h_t
        x = words[np.uint32(X + n_x - 1)]
        while u < n_units:
            p = np.uint32(at_v + u)
            v_u = saturate(shorts[p] + mulhrs(i_u, x))
            v_r = saturate(shorts[np.uint32(p + half)] + mulhrs(i_r, x))
            v_e = saturate(shorts[np.uint32(p + n_units)] + mulhrs(i_e, x))
            v_u, v_r = conditioned(net.I_shift, v_u, g_u), conditioned(net.I_shift, v_r, g_r)
            v_e, p = conditioned(net.I_shift, v_e, g_e), np.uint32(at_a + u)
            a_u, a_r, a_e = shorts[p], shorts[np.uint32(p + half)], shorts[np.uint32(p + n_units)]
            h_u = gate(words, v_u, v_r, v_e, a_u, a_r, a_e, shorts[np.uint32(at_h + u)])
            shorts[np.uint32(at_h + u)], octets[np.uint32(4 * new_q + u)] = h_u, h_to_q(h_u)
            u = np.int32(u + step)
            i_u, i_r, i_e, g_u, g_r, g_e = fine_inputs(net, I_c, g, row, u)
        cuda.syncthreads()
        # 5) f_t, the sample, and the inputs of the next
        at_in = np.int32(new_q + (half >> 2))
        hidden_rows(net.O3, w, octets, at_in, at_q, n_out, net.scale_4, net.zero_4, i0, k_in, step)
        cuda.syncthreads()
        logit_rows(net.O4, w, floats, at_q, i0, k_out, step)
        cuda.syncthreads()
        i, left = np.int32(i + 1), np.int32(left - 1)
        new_row = left == 0 and i < n_b
        if new_row:
            row, left = np.int32(row + 1), net.sub_length
        if i0 < 32:
            c, f = words[BYTE], draw(words, floats, floats[K], np.uint64(longs[BITS]) & np.uint64(0xFFFFFFFF), i0)
            sample = end_sample(words, floats, c, f, i0, order, net.preemphasis)
            if i0 == 0:
                words[BYTE + 1], pcm[b, np.uint32(i - 1)] = f, sample
            if new_row:
                begin_sub_frame(words, lpc, inverse, row, order, i0)
            if i < n_b:
                begin_sample(words, c, f, i0, order)
        old_q = new_q
        cuda.syncthreads()
    # 6) the state, for the next call
    i = i0
    while i < n_units:
        h[b, i] = shorts[np.uint32(at_h + i)]
        i = np.int32(i + step)
    if i0 < order:
        past[b, order - 1 - i0] = words[np.uint32(PAST + i0)]
    if i0 < 32 and i0 + 32 < order:
        past[b, order - 33 - i0] = words[np.uint32(PAST + 32 + i0)]
    if i0 == 0:
        t[b, 0] += n_b
        t[b, 1], t[b, 2], t[b, 3], t[b, 4] = words[BYTE], words[BYTE + 1], words[P], words[D]
        y[b, 0], at[b, 0], at[b, 1] = floats[Y], row, left
