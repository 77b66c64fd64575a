"""The dense kernel: the whole grid draws one utterance, with the weights in registers for as long as it lasts.

After "Persistent RNNs" (Diamos et al. 2016; Kalchbrenner et al. 2018, section 2.2). A warp has a unit: three rows of R
and some of O1..O4. A lane holds every 32nd quad of each. Blocks exchange h, q and logits in global memory, with six
barriers of the grid a sample. Each block draws for itself, from the same integers. R h_t is computed while the blocks
wait for the rows of O3. Steps and bits are those of persistent.sample_block.

Usage: ``grid_kernel(1024, 512)[n_units // WARPS, 32 * WARPS, stream, SHARED_BYTES](net, ...)``
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numba import cuda, float32, int16, int32, int64

from .device import (
    arrive,
    block_kernel,
    device,
    dot4,
    from_word,
    load_far,
    mul,
    mulhrs,
    saturate,
    store_far,
    wait,
    warp_sum,
)
from .predict import N_X
from .sample import random_bits
from .steps import (
    BITS,
    BYTE,
    FREE,
    LANE_SYMBOLS,
    LEFT,
    MAX_SEEN,
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
    row_of,
    to_q,
    to_q10,
)  # fmt: skip

WARPS = 8  # of a block
BLOCKS = 2  # of a multiprocessor, at least: all blocks of the grid have to run at once
# The registers are for weights: what else a warp has of its unit's gates u, r, e is in shared memory, at its `own` word
OWN = 32  # words
START = 0  # (3,) of the rows of R
SCALE = 3  # (3,) float32, of these
I_C = 6  # (3,) I* of c_t
I_STAR = 10  # (3, 2) longs: I* of the first four inputs, of the others
G = 22  # (3,) the conditioning of the sub-frame
H = 25  # h
RING = 2 * MAX_SEEN  # samples: more than a prediction is from
RING_WORDS = RING // 2
SHARED_BYTES = 2 * RING + 4 * (FREE + OWN * WARPS)


@device
def recurrent(words, floats, own, gate, d):
    """R h of a gate, Q10, from the sum of its products"""
    scale = floats[np.uint32(own + SCALE + gate)]
    return to_q10(mul(np.float32(np.int32(d + words[np.uint32(own + START + gate)])), scale))


@device
def without_c(words, longs, own, gate, n_x):
    """I* x of a gate over the first n_x - 1 inputs"""
    i = np.uint32((own >> 1) + I_STAR // 2 + 2 * gate)
    return input_sum(words, longs[i], longs[i + np.uint32(1)], longs, i, np.uint32(1), np.int32(n_x - 1))


@device
def with_c(words, own, gate, v, x):
    """The same with x, that of c_t"""
    return saturate(v + mulhrs(words[np.uint32(own + I_C + gate)], x))


class GridNet(NamedTuple):
    """The numbers of a dense int8 model."""

    lpc_order: np.int32
    sub_steps: np.int32
    n_kept: np.int32
    I_shift: np.int32
    scale_2: np.float32  # x_scale of O2, and x_zero + 128.5
    zero_2: np.float32
    scale_4: np.float32
    zero_4: np.float32


class GridShape(NamedTuple):
    """What a lane has: quads of a row of R, O1 | O3, O2 | O4, and how many rows of the latter two a warp has."""

    R: int
    hidden: int
    logits: int
    n_hidden: int
    n_logits: int


def grid_shape(n_units: int, n_out: int) -> GridShape:
    """Of a model"""
    quads = (-(-n // 128) for n in (n_units, n_units // 2, n_out))
    return GridShape(*quads, -(-2 * n_out // n_units), -(-512 // n_units))


@cache
def grid_kernel(n_units: int, n_out: int):
    """The kernel of a shape: how many weights a lane has is a constant, so that they are registers."""
    shape = grid_shape(n_units, n_out)
    n_r, n_i, n_o, k_i, k_o = shape
    all_r, all_i, all_o, half = 3 * n_r, k_i * n_i, k_o * n_o, n_units // 2

    @block_kernel((32 * WARPS, BLOCKS))
    def grid_block(
        net, R, hidden, logits, start, scale, I, I_c, h_words, h_bytes, q_words, q_bytes, z, bar,
        seen, seed, k, n, first, g, lpc, inverse, at, last, h, signal,
    ):  # fmt: skip
        """Draws the next n[0] samples of stream 0; the arguments from `seen` on are those of sample_block.

        R, hidden, logits : (rows of a warp and lane's quads, N, 32) int32: R; O1 over O3; O2 over O4
        start, scale      : (3 + k_i + k_o, N) int32, float32, of these rows
        I, I_c            : as in sample_block
        h_words, q_words  : int32, h and q in 8 bits, h_bytes, q_bytes : uint8, the same memory; zeros at first
        z : (256,) float32    bar : (1,) int32, 0 at first
        """
        i0 = np.int32(cuda.threadIdx.x)
        lane, w = np.int32(i0 & 31), np.int32(cuda.blockIdx.x * WARPS + (i0 >> 5))
        me, unit, n_blocks, order, n_b = np.uint32(lane), np.uint32(w), np.int32(cuda.gridDim.x), net.lpc_order, n[0]
        n_x = np.int32(N_X if order > 0 else 3)
        more, of_r = np.uint32(3 * n_units if n_x > 4 else 0), np.uint32(n_units * lane + w)  # the row of a lane's gate
        shorts, mask = cuda.shared.array(0, int16), np.int32(RING - 1)
        words = from_word(cuda.shared.array(0, int32), np.uint32(RING_WORDS))
        longs = from_word(cuda.shared.array(0, int64), np.uint32(RING_WORDS))
        floats = from_word(cuda.shared.array(0, float32), np.uint32(RING_WORDS))
        own = np.uint32(FREE + OWN * (i0 >> 5))
        # 1) weights to registers
        w_r, w_i, w_o = cuda.local.array(all_r, int32), cuda.local.array(all_i, int32), cuda.local.array(all_o, int32)
        s_i, s_o = cuda.local.array(k_i, int32), cuda.local.array(k_o, int32)
        c_i, c_o = cuda.local.array(k_i, float32), cuda.local.array(k_o, float32)
        for j in range(all_r):
            w_r[j] = R[j, unit, me]
        for j in range(all_i):
            w_i[j] = hidden[j, unit, me]
        for j in range(all_o):
            w_o[j] = logits[j, unit, me]
        for j in range(k_i):
            s_i[j], c_i[j] = start[3 + j, unit], scale[3 + j, unit]
        for j in range(k_o):
            s_o[j], c_o[j] = start[3 + k_i + j, unit], scale[3 + k_i + j, unit]
        if lane < 3:
            gate_own = np.uint32(own + lane)
            words[gate_own + np.uint32(START)] = start[me, unit]
            floats[gate_own + np.uint32(SCALE)] = scale[me, unit]
            words[gate_own + np.uint32(I_C)] = I_c[of_r]
            i_star = np.uint32((own >> 1) + I_STAR // 2 + 2 * lane)
            longs[i_star], longs[i_star + np.uint32(1)] = I[of_r], I[np.uint32(more + of_r)]
        # 2) the state
        row = np.int32(at[0, 0] + (1 if at[0, 1] == 0 else 0))
        if lane < 3:
            words[np.uint32(own + G + lane)] = g[np.uint32(row), of_r]
        if lane == 0:
            words[own + np.uint32(H)] = h[0, unit]
            store_far(h_bytes, unit, h_to_q(np.int32(h[0, unit])) & 255)
        if i0 < 32:
            i = lane
            while i < net.n_kept:
                shorts[np.uint32(i & mask)] = signal[0, i]
                i = np.int32(i + 32)
            begin_stream(words, floats, at, last, 0, k[0], seen, 0, net.n_kept, lane)
            begin_sub_frame(words, lpc, inverse, row, order, lane)
            begin_sample(words, shorts, mask, lane, order, 1, 0)
        phase = np.int32(n_blocks)
        arrive(bar)
        wait(bar, phase)
        a_u, a_r, a_e, i = np.int32(0), np.int32(0), np.int32(0), np.int32(-1)
        while True:
            # 3) R h, for the sample that comes; others still have rows of O3
            d_u, d_r, d_e = np.int32(0), np.int32(0), np.int32(0)
            for j in range(n_r):
                q = load_far(h_words, np.uint32(lane + 32 * j))
                d_u, d_r, d_e = dot4(d_u, w_r[j], q), dot4(d_r, w_r[n_r + j], q), dot4(d_e, w_r[2 * n_r + j], q)
            all_lanes = np.int32(32)
            a_u = recurrent(words, floats, own, 0, warp_sum(d_u, all_lanes))
            a_r = recurrent(words, floats, own, 1, warp_sum(d_r, all_lanes))
            a_e = recurrent(words, floats, own, 2, warp_sum(d_e, all_lanes))
            if i >= 0:
                # 7) the logits of f_t, the sample, and the inputs of the next
                wait(bar, phase)
                for j in range(k_o):
                    r = np.int32(w + n_units * j)
                    if 256 <= r and r < 512:
                        d = np.int32(0)
                        for m in range(n_o):
                            d = dot4(d, w_o[j * n_o + m], load_far(q_words, np.uint32(lane + 32 * m)))
                        d = np.int32(warp_sum(d, all_lanes) + s_o[j])
                        if lane == 0:
                            store_far(z, np.uint32(r - 256), mul(np.float32(d), c_o[j]))
                phase = np.int32(phase + n_blocks)
                arrive(bar)
                wait(bar, phase)
                new_row = words[LEFT] == 0 and i + 1 < n_b
                if new_row and lane < 3:
                    words[np.uint32(own + G + lane)] = g[np.uint32(row_of(words, 1)), of_r]
                if i0 < 32:
                    for m in range(LANE_SYMBOLS):
                        r = np.int32(LANE_SYMBOLS * lane + m)
                        floats[logit_at(r)] = load_far(z, np.uint32(r))
                    bits = np.uint64(longs[BITS]) & np.uint64(0xFFFFFFFF)
                    c, f = words[BYTE], draw(words, floats, floats[K], bits, lane)
                    end_sample(words, shorts, mask, signal, 0, c, f, lane, order, 1)
                    if new_row:
                        begin_sub_frame(words, lpc, inverse, row_of(words, 1), order, lane)
                    if i + 1 < n_b:
                        begin_sample(words, shorts, mask, lane, order, 1, 0)
                cuda.syncthreads()
            else:
                phase = np.int32(phase + n_blocks)
                arrive(bar)
                wait(bar, phase)  # h_{t-1} was read by all
            i = np.int32(i + 1)
            if i >= n_b:
                break
            # 4) the coarse half of h_t, and I* x of the fine half without c_t
            if i0 == 0:
                begin_step(words, net.sub_steps, 1)
                longs[BITS] = np.int64(random_bits(seed[0], np.uint64(first[0] + i)))
            v_u, v_r = without_c(words, longs, own, 0, n_x), without_c(words, longs, own, 1, n_x)
            v_e = without_c(words, longs, own, 2, n_x)
            for fine in range(2):
                of_half = np.int32(fine * half)
                if of_half <= w and w < of_half + half:
                    if fine == 1:
                        x = words[np.uint32(X + n_x - 1)]
                        v_u, v_r = with_c(words, own, 0, v_u, x), with_c(words, own, 1, v_r, x)
                        v_e = with_c(words, own, 2, v_e, x)
                    v_u = conditioned(net.I_shift, v_u, words[own + np.uint32(G)])
                    v_r = conditioned(net.I_shift, v_r, words[own + np.uint32(G + 1)])
                    v_e = conditioned(net.I_shift, v_e, words[own + np.uint32(G + 2)])
                    h_u = gate(words, v_u, v_r, v_e, a_u, a_r, a_e, words[own + np.uint32(H)])
                    if lane == 0:
                        words[own + np.uint32(H)] = h_u
                        store_far(h_bytes, unit, h_to_q(h_u) & 255)
                phase = np.int32(phase + n_blocks)
                arrive(bar)
                wait(bar, phase)
                # 5) O1 or O3
                x_scale, zero_point = net.scale_2, net.zero_2
                if fine == 1:
                    x_scale, zero_point = net.scale_4, net.zero_4
                for j in range(k_i):
                    r = np.int32(w + n_units * j - n_out * fine)
                    if 0 <= r and r < n_out:
                        d = np.int32(0)
                        for m in range(n_i):
                            at_h = np.uint32(half // 4 * fine + lane + 32 * m)
                            d = dot4(d, w_i[j * n_i + m], load_far(h_words, at_h))
                        d = np.int32(warp_sum(d, all_lanes) + s_i[j])
                        if lane == 0:
                            store_far(
                                q_bytes, np.uint32(r), to_q(mul(np.float32(d), c_i[j]), x_scale, zero_point) & 255
                            )
                phase = np.int32(phase + n_blocks)
                arrive(bar)
                if fine == 0:
                    # 6) the logits of c_t
                    wait(bar, phase)
                    for j in range(k_o):
                        r = np.int32(w + n_units * j)
                        if r < 256:
                            d = np.int32(0)
                            for m in range(n_o):
                                d = dot4(d, w_o[j * n_o + m], load_far(q_words, np.uint32(lane + 32 * m)))
                            d = np.int32(warp_sum(d, all_lanes) + s_o[j])
                            if lane == 0:
                                store_far(z, np.uint32(r), mul(np.float32(d), c_o[j]))
                    phase = np.int32(phase + n_blocks)
                    arrive(bar)
                    wait(bar, phase)
                    if i0 < 32:
                        for m in range(LANE_SYMBOLS):
                            r = np.int32(LANE_SYMBOLS * lane + m)
                            floats[logit_at(r)] = load_far(z, np.uint32(r))
                        c = draw(words, floats, floats[K], np.uint64(longs[BITS]) >> np.uint64(32), lane)
                        if lane == 0:
                            words[BYTE], words[np.uint32(X + n_x - 1)] = c, coarse_input(c, order)
                    cuda.syncthreads()
        # 8) the state, for the next call
        if lane == 0:
            h[0, unit] = words[own + np.uint32(H)]
        phase = np.int32(phase + n_blocks)
        arrive(bar)
        wait(bar, phase)  # first, at and last were read by all
        if w == 0 and lane == 0:
            last[0, 0], last[0, 1], last[0, 2] = words[BYTE], words[BYTE + 1], words[D]
            at[0, 0], at[0, 1] = words[ROW], words[LEFT]
            first[0] += n_b

    return grid_block
