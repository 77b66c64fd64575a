"""The persistent kernel: one CUDA block draws all samples of an utterance, in one launch (docs/gpu.md).

After "Persistent RNNs" (Diamos et al. 2016; Kalchbrenner et al. 2018, section 2.2): the block copies the weights to its
shared memory once, keeps the state there, and loops over the samples. Units and rows are shared out among its threads,
a row to several lanes of a warp where there are more threads than rows; the first warp draws. Eight barriers a sample.
int8 models only: their sums are integers, so their order does not matter, and the few float operations are those of
docs/numerics.md, one rounding each.

The threads of a subscale utterance are divided among its lanes, which step as in staircase.py: all lanes draw between
the same barriers, from one copy of the weights, each with a state of its own.

The steps are those of wavernn.sample_loop. Pre-emphasis is undone on the CPU.

Usage: ``sample_block[n_streams, n_threads, stream, bytes](net, ...)``
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import cuda, float32, int8, int16, int32, int64

from .device import MAX_THREADS, block_kernel, device, dot4, from_word, mul, mulhrs, saturate, warp_sum
from .sample import random_bits
from .steps import (
    BEGIN,
    BITS,
    BYTE,
    END,
    FREE,
    LEFT,
    NOW,
    OF,
    ROW,
    D,
    K,
    X,
    begin_sample,
    begin_step,
    begin_stream,
    begin_sub_frame,
    coarse_input,
    conditioned,
    draw,
    end_sample,
    gate,
    h_to_q,
    input_sum,
    logit_at,
    next_sample,
    row_of,
    to_q,
    to_q10,
)  # fmt: skip


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
    n_x: np.int32  # inputs of the network
    context: np.int32
    subscale: np.int32
    lag: np.int32  # steps by which a lane is behind the one before it
    sub_steps: np.int32  # of a lane, in a sub-frame
    n_kept: np.int32  # samples before the first that a launch draws, or leaves to the next: what a lane may see
    mask: np.int32  # length of the ring of samples less 1
    I_shift: np.int32
    n_shared: np.int32  # longs at the start of the image that are copied to shared memory
    n_group: np.int32  # threads of a lane, a multiple of 32
    k_units: np.int32  # log2_lanes of the units, of the rows of O1 and O3, and of O2 and O4
    k_in: np.int32
    k_out: np.int32
    scale_2: np.float32  # x_scale of O2, and x_zero + 128.5
    zero_2: np.float32
    scale_4: np.float32
    zero_4: np.float32
    R: Block
    O1: Block
    O2: Block
    O3: Block
    O4: Block


@device
def state_words(n_units, n_out):
    """Words of shared memory of a lane's state, an even number. The ring of samples is before those of all lanes, the
    weights are behind them."""
    return np.int32(FREE + (n_units >> 1) + (n_out >> 2) + n_units + n_units)


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
def row_sum(m, w, q, at_q, r, lane, lanes):
    """scale_r (start_r + W_r . q), float32; W is in shared memory or in the image. `lanes` lanes have a row together

    w : image, images, shared memory as words and as longs, start, scale    q : words, the input from at_q on
    """
    image, images, words, longs, start, scale = w
    # loaded now and used last: global memory is slow
    start_r, scale_r = start[np.uint32(m.first_row + r)], scale[np.uint32(m.first_row + r)]
    if m.shared != 0:
        acc = dots(words, longs, m, q, at_q, r, lane, lanes)
    else:
        acc = dots(image, images, m, q, at_q, r, lane, lanes)
    return mul(np.float32(np.int32(warp_sum(acc, lanes) + start_r)), scale_r)


@device
def hidden_rows(m, w, words, octets, at_in, at_out, n, x_scale, zero_point, i0, k, step):
    """O1 or O3: n rows, each of 2^k lanes, as the next matrix takes them"""
    lanes, r = np.int32(1 << k), np.int32(i0 >> k)
    lane = np.int32(i0 & (lanes - 1))
    while r < n:
        s = row_sum(m, w, words, at_in, r, lane, lanes)
        if lane == 0:
            octets[np.uint32(4 * at_out + r)] = to_q(s, x_scale, zero_point)
        r = np.int32(r + (step >> k))


@device
def logit_rows(m, w, words, floats, at_in, i0, k, step):
    """O2 or O4: the 256 logits, each of 2^k lanes"""
    lanes, r = np.int32(1 << k), np.int32(i0 >> k)
    lane = np.int32(i0 & (lanes - 1))
    while r < 256:
        s = row_sum(m, w, words, at_in, r, lane, lanes)
        if lane == 0:
            floats[logit_at(r)] = s
        r = np.int32(r + (step >> k))


@device
def fine_inputs(net, I_c, g, row, u):  # noqa: N803
    """Of each gate of a fine unit the I* that c_t has, and the conditioning in the upper half of the word"""
    n, row = net.n_units, np.uint32(row)
    j = np.uint32(min(u, np.int32(n - 1)))
    r, e = np.uint32(n + j), np.uint32(2 * n + j)
    return two(I_c[j], g[row, j]), two(I_c[r], g[row, r]), two(I_c[e], g[row, e])


@device
def two(low, high):
    """Two int16 in a word: registers are short"""
    return np.int32((np.int32(low) & np.int32(0xFFFF)) | np.int32(np.int32(high) << np.int32(16)))


@device
def fine_sum(net, v, pair, x):
    """I* x of a gate with that of c_t, and the conditioning, from the sum without"""
    v = saturate(v + mulhrs(np.int32(np.int32(pair << np.int32(16)) >> np.int32(16)), x))
    return conditioned(net.I_shift, v, np.int32(pair >> np.int32(16)))


@block_kernel(MAX_THREADS)
def sample_block(
    net, image, images, start, scale, I, I_c, seen, seed, k, n, first, g, lpc, inverse, at, last, h, signal
):  # fmt: skip  # noqa: E741, N803
    """Block b draws the next n[b] steps of stream b, from the state that it leaves for the next call.

    Lane l of stream b has row B b + l of `at`, `last` and `h`; B is 1 where there is no subscale.

    image   : (2 n,) int32, the matrices as `Block` says    images : (n,) int64, the same memory
    start   : (rows,) int32, derive.start of R, O1..O4    scale : (rows,) float32 likewise
    I       : (ceil(n_x / 4) 3N,) int64, derive.quantize_I: of each gate of each unit its first four, its next four ..
    I_c     : (3N,) int16, that of c_t
    seen    : (B, 64) int32, offsets of the samples that lpc is for, else 0
    seed    : (n_streams,) uint64     k : (n_streams,) float32, log2(e) / temperature     n : (n_streams,) int32
    first   : (n_streams,) int64, the next sample of lane 0
    g       : (n_rows B, 3N) int16 Q10, the conditioning of a sub-frame and lane
    lpc     : (n_rows B, lpc_order) int16 of predict.predictor or interpolators    inverse : (n_rows B, 2) int64 of them
    at      : (B n_streams, 4) int32, the row of g of the next step, for how many more it holds, the first of these n
              steps at which the lane has one, and the first at which it has none any more
    last    : (B n_streams, 3) int32, the bytes of its last sample, and d    h : (B n_streams, N) int16
    signal  : (n_streams, n_kept + B n) int16, the samples, from n_kept before `first` on; what has not been drawn is 0
    """
    b, i0, step, n_b = np.int32(cuda.blockIdx.x), np.int32(cuda.threadIdx.x), net.n_group, n[np.uint32(cuda.blockIdx.x)]
    n_units, n_out, order, n_x, B = net.n_units, net.n_out, net.lpc_order, net.n_x, net.subscale  # noqa: N806
    l = np.int32(0)  # noqa: E741
    while i0 >= step:
        i0, l = np.int32(i0 - step), np.int32(l + 1)  # noqa: E741
    half, more, of = np.int32(n_units >> 1), np.uint32(3 * n_units if n_x > 4 else 0), np.int32(B * b + l)
    k_units, k_in, k_out, lanes = net.k_units, net.k_in, net.k_out, np.int32(1 << net.k_units)
    lane = np.int32(i0 & (lanes - 1))
    # The dynamic shared memory, as words, longs and shorts; then what of it is the lane's, as bytes and floats, too
    all_words, all_longs = cuda.shared.array(0, int32), cuda.shared.array(0, int64)
    n_ring, n_state = np.int32((net.mask + 1) >> 1), state_words(n_units, n_out)
    all_shorts, base = cuda.shared.array(0, int16), np.uint32(n_ring + l * n_state)
    words, longs, shorts = from_word(all_words, base), from_word(all_longs, base), from_word(all_shorts, base)
    octets, floats = from_word(cuda.shared.array(0, int8), base), from_word(cuda.shared.array(0, float32), base)
    both_q = np.int32(2 * FREE + (n_units >> 2))  # h_{t-1} and h_t in 8 bits start at old_q and at both_q - old_q
    old_q, at_q = np.int32(FREE), np.int32(FREE + (n_units >> 1))
    at_h = np.int32(2 * (at_q + (n_out >> 2)))
    at_a = np.int32(at_h + n_units - half)  # of each fine unit u, r, e: R h_{t-1} ..
    at_v = np.int32(at_a + 3 * half)  # .. and I* x without c_t
    at_image = np.int32((n_ring + B * n_state) >> 1)
    w = (image, images, all_words, all_longs, start, scale)
    # 1) weights and state to shared memory
    i = np.int32(cuda.threadIdx.x)
    while i < net.n_shared:
        all_longs[np.uint32(at_image + i)] = images[np.uint32(i)]
        i = np.int32(i + cuda.blockDim.x)
    i = np.int32(cuda.threadIdx.x)
    while i < net.n_kept:
        all_shorts[np.uint32(i & net.mask)] = signal[b, i]
        i = np.int32(i + cuda.blockDim.x)
    i = i0
    while i < n_units:
        shorts[np.uint32(at_h + i)] = h[of, i]
        q = h_to_q(np.int32(h[of, i]))  # twice, for a lane that waits
        octets[np.uint32(4 * old_q + i)], octets[np.uint32(4 * (both_q - old_q) + i)] = q, q
        i = np.int32(i + step)
    if i0 < 32:
        begin_stream(words, floats, at, last, of, k[b], seen, l, net.n_kept - B * l * net.lag + l, i0)
    cuda.syncthreads()
    i = np.int32(0)
    while i < n_b:
        new_q, active = np.int32(both_q - old_q), words[BEGIN] <= i and i < words[END]
        # 2) the inputs
        row = row_of(words, B)
        if i0 < 32 and active:
            if words[LEFT] == 0 or i == words[BEGIN]:
                begin_sub_frame(words, lpc, inverse, row, order, i0)
            begin_sample(words, all_shorts, net.mask, i0, order, B, net.context)
        cuda.syncthreads()
        # 3) R h_{t-1}, the coarse half of h_t, and of the fine half what c_t does not enter
        u = np.int32(i0 >> k_units) if active else n_units
        while u < n_units:
            j, r, e = np.uint32(u), np.uint32(n_units + u), np.uint32(2 * n_units + u)
            # global memory is slow: loaded before a product and used after it
            g_u, g_r, u4, r4 = g[np.uint32(row), j], g[np.uint32(row), r], I[j], I[r]
            u8, r8 = I[np.uint32(more + j)], I[np.uint32(more + r)]
            a_u = to_q10(row_sum(net.R, w, words, old_q, u, lane, lanes))
            v_u, v_r = input_sum(words, u4, u8, I, j, more, n_x - 1), input_sum(words, r4, r8, I, r, more, n_x - 1)
            if u < half:
                v_u, v_r = conditioned(net.I_shift, v_u, g_u), conditioned(net.I_shift, v_r, g_r)
            g_e, e4, e8 = g[np.uint32(row), e], I[e], I[np.uint32(more + e)]
            a_r = to_q10(row_sum(net.R, w, words, old_q, np.int32(n_units + u), lane, lanes))
            v_e = input_sum(words, e4, e8, I, e, more, n_x - 1)
            if u < half:
                v_e = conditioned(net.I_shift, v_e, g_e)
            a_e = to_q10(row_sum(net.R, w, words, old_q, np.int32(2 * n_units + u), lane, lanes))
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
        # 4) c_t
        if active:
            if i0 == 0:
                begin_step(words, net.sub_steps, B)
                longs[BITS] = np.int64(random_bits(seed[b], np.uint64(first[b] + (words[NOW] - net.n_kept))))
            hidden_rows(net.O1, w, words, octets, new_q, at_q, n_out, net.scale_2, net.zero_2, i0, k_in, step)
        cuda.syncthreads()
        if active:
            logit_rows(net.O2, w, words, floats, at_q, i0, k_out, step)
        cuda.syncthreads()
        u = np.int32(half + i0) if active else n_units
        c_u, c_r, c_e = fine_inputs(net, I_c, g, words[ROW], u)  # before they are wanted
        if i0 < 32 and active:
            c = draw(words, floats, floats[K], np.uint64(longs[BITS]) >> np.uint64(32), i0)
            if i0 == 0:
                words[BYTE], words[np.uint32(X + n_x - 1)] = c, coarse_input(c, order)
        cuda.syncthreads()
        # 5) the fine half of h_t
        x = words[np.uint32(X + n_x - 1)]
        while u < n_units:
            p = np.uint32(at_v + u)
            v_u, v_r = fine_sum(net, shorts[p], c_u, x), fine_sum(net, shorts[np.uint32(p + half)], c_r, x)
            v_e, p = fine_sum(net, shorts[np.uint32(p + n_units)], c_e, x), np.uint32(at_a + u)
            a_u, a_r, a_e = shorts[p], shorts[np.uint32(p + half)], shorts[np.uint32(p + n_units)]
            h_u = gate(words, v_u, v_r, v_e, a_u, a_r, a_e, shorts[np.uint32(at_h + u)])
            shorts[np.uint32(at_h + u)], octets[np.uint32(4 * new_q + u)] = h_u, h_to_q(h_u)
            u = np.int32(u + step)
            c_u, c_r, c_e = fine_inputs(net, I_c, g, words[ROW], u)
        cuda.syncthreads()
        # 6) f_t and the sample
        if active:
            at_in = np.int32(new_q + (half >> 2))
            hidden_rows(net.O3, w, words, octets, at_in, at_q, n_out, net.scale_4, net.zero_4, i0, k_in, step)
        cuda.syncthreads()
        if active:
            logit_rows(net.O4, w, words, floats, at_q, i0, k_out, step)
        cuda.syncthreads()
        if i0 < 32 and active:
            c, f = words[BYTE], draw(words, floats, floats[K], np.uint64(longs[BITS]) & np.uint64(0xFFFFFFFF), i0)
            end_sample(words, all_shorts, net.mask, signal, b, c, f, i0, order, B)
        elif i0 == 0:  # before its first sample, or after its last
            next_sample(words, all_shorts, net.mask, 0, B)
        i, old_q = np.int32(i + 1), new_q
        if B > 1:
            cuda.syncthreads()  # lanes see what others have drawn
    # 7) the state, for the next call
    of, i = words[OF], i0
    while i < n_units:
        h[of, i] = shorts[np.uint32(at_h + i)]
        i = np.int32(i + step)
    if i0 == 0:
        last[of, np.uint32(0)], last[of, np.uint32(1)] = words[BYTE], words[BYTE + 1]
        last[of, np.uint32(2)], at[of, np.uint32(0)], at[of, np.uint32(1)] = words[D], words[ROW], words[LEFT]
    if cuda.threadIdx.x == 0:
        first[b] += B * n_b
