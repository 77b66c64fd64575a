"""The steps of a sample in the CUDA kernels: gates by a thread, a draw and what follows it by a warp.

Bits as in docs/numerics.md. Counters are int32 in while loops and indices uint32: of `range` and signed indices Numba
makes 64-bit divisions and tests for negative ones, most of the instructions of a sample.
"""

from __future__ import annotations

import numpy as np

from .device import (
    add,
    device,
    maximum,
    minimum,
    mul,
    mulhrs,
    pow2,
    saturate,
    warp_from,
    warp_max,
    warp_scan,
    warp_sum,
    warp_sync,
)  # fmt: skip
from .gates import EXP2_C1, EXP2_C2, EXP2_C3, EXP2_C4, TANH_C0, TANH_C1, TANH_C2, TANH_C3
from .predict import N_X, OFFSET, input_coarse, log_q11, ratio_q12

TANH = np.concatenate([TANH_C0, TANH_C1, TANH_C2, TANH_C3]).astype(np.int32)
LANE_SYMBOLS = 8  # of the 256: what a lane of the drawing warp has

MAX_SEEN = 64  # samples that a linear prediction is from

# Shared memory begins with a ring of samples: number i of `signal` is at i modulo its length. Where the parts of what a
# lane has of it start, in words: constants, so that no register holds a pointer to each.
X = 0  # (40,) x_t in Q15
BYTE = 40  # (2,) c_t, f_t
BITS = 21  # random_bits, in longs
K = 44  # float32, log2(e) / temperature
NOW = 45  # the number of its next sample in `signal`
BEGIN, END = 46, 47  # the first step of the launch at which it draws, and the first at which it does not any more
TANHS = 48  # (32,)
Z = 80  # (288,) float32: logits, one word in nine left out so that lanes read from different banks; then p
# Of each lane of the drawing warp, so that none waits for another
D = 368  # (32,) d_{t-1}, of a subscale lane d_{t-B}
P = 400  # (32,) p_t
LPC = 432  # (MAX_SEEN,) coefficients of the sub-frame ..
SEEN = LPC + MAX_SEEN  # (MAX_SEEN,) .. and the offsets of the samples that they are for; 0 where there are fewer
INVERSE = SEEN + MAX_SEEN  # (64,) of sigma_d, and of sigma_s
OF = INVERSE + 64  # its row of the arguments
ROW = OF + 1  # of the sub-frame
LEFT = OF + 2  # steps that it still has
FREE = OF + 4


@device
def logit_at(i):
    """Where the logit of symbol i is"""
    return np.uint32(Z + i + (i >> 3))


@device
def to_q10(s):
    """Q10 of a float32"""
    v = add(mul(s, np.float32(1024.0)), np.float32(32768.5))
    return np.int32(minimum(maximum(v, np.float32(0.0)), np.float32(65535.0))) - np.int32(32768)


@device
def to_q(s, x_scale, zero_point):
    """A float32 as the next matrix takes it: -127..127"""
    v = add(mul(s, x_scale), zero_point)
    return np.int32(minimum(maximum(v, np.float32(1.0)), np.float32(255.0))) - np.int32(128)


@device
def h_to_q(h):
    """h_t in 8 bits"""
    return np.int32(min(np.int32(h + 128) >> 8, np.int32(127)))


@device
def tanh_fixed(words, x, shift):
    """Q15 tanh of x in units of 2^-(shift + 1), as gates.tanh_q15"""
    m = np.int32(min(abs(np.int32(x)), np.int32((8 << shift) - 1)))
    s = np.uint32(m >> shift)
    t = np.int32((m << (15 - shift)) & 0x7FFF)
    y = np.int32(words[np.uint32(TANHS + 16 + s)] + mulhrs(t, words[np.uint32(TANHS + 24 + s)]))
    y = np.int32(words[np.uint32(TANHS + 8 + s)] + mulhrs(t, y))
    y = np.int32(words[np.uint32(TANHS + s)] + mulhrs(t, y))
    return np.int32(-y if x < 0 else y)


@device
def sigmoid_fixed(words, x):
    """Q15 sigmoid of Q10"""
    return np.int32(16384 + (tanh_fixed(words, x, 10) >> 1))


@device
def input_of(four, j):
    """The j-th of four int16 in an int64"""
    return np.int32(np.int64(four << np.int64(48 - 16 * (j & 3))) >> np.int64(48))


@device
def input_sum(words, four, more, I, row, step, n_x):  # noqa: E741, N803
    """I* x of one gate of one unit over the first n_x inputs, saturated in the order of gates_q

    four, more : its I* of the first eight inputs, four int16 in each; those of the others are in I, `step` apart
    """
    v = mulhrs(input_of(four, 0), words[X])
    j = np.int32(1)
    while j < n_x:
        if j == 4:
            four = more
        elif j > 4 and (j & 3) == 0:
            four = I[np.uint32(row + (j >> 2) * step)]
        v = saturate(v + mulhrs(input_of(four, j), words[np.uint32(X + j)]))
        j = np.int32(j + 1)
    return v


@device
def conditioned(I_shift, v, g):  # noqa: N803
    """I* x doubled I_shift times, and the conditioning"""
    j = np.int32(0)
    while j < I_shift:
        v = saturate(v + v)
        j = np.int32(j + 1)
    return saturate(v + g)


@device
def gate(words, u, r, e, a_u, a_r, a_e, h):
    """h_t of a unit, Q15, from g + I* x of its gates, a = R h_{t-1} + b_R and h_{t-1}"""
    r = sigmoid_fixed(words, saturate(r + a_r))
    e = tanh_fixed(words, saturate(e + mulhrs(r, a_e)), 9)
    u = sigmoid_fixed(words, saturate(u + a_u))
    return np.int32(e - mulhrs(u, e) + mulhrs(u, h))


@device
def exp2_fixed(l):  # noqa: E741
    """trunc(2^l 2^23) for -30 <= l <= 0, as gates.exp2_negative"""
    n = np.int32(l)
    f = add(l, -np.float32(n))
    e = add(mul(f, EXP2_C4), EXP2_C3)
    e = add(mul(f, e), EXP2_C2)
    e = add(mul(f, e), EXP2_C1)
    e = add(mul(f, e), np.float32(1.0))
    return np.int32(mul(e, pow2(n, 23)))


@device
def draw(words, floats, k, bits, lane):
    """A byte from softmax(logits / temperature), as sample.sample_byte; every lane of the warp gets it

    k : log2(e) / temperature    bits : 32 random bits, uint64
    """
    first = np.uint32(Z + 9 * lane)
    # 1) l = logits * log2(e) / temperature, and its largest
    l_max = floats[first]
    for m in range(1, LANE_SYMBOLS):
        l_max = maximum(l_max, floats[np.uint32(first + np.uint32(m))])
    l_max = mul(warp_max(l_max), k)
    # 2) p_i = trunc(2^(l_i - l_max) * 2^23). The sum of 256 is at most 2^31
    own = np.uint32(0)
    for m in range(LANE_SYMBOLS):
        l = add(mul(floats[np.uint32(first + np.uint32(m))], k), -l_max)  # noqa: E741
        p = exp2_fixed(maximum(l, np.float32(-30.0)))
        words[np.uint32(first + np.uint32(m))] = p
        own = np.uint32(own + np.uint32(p))
    # 3) the symbol: as many as do not reach the threshold come before it
    upto = warp_scan(own, lane)
    total = np.uint32(warp_from(np.int32(upto), 31))
    threshold = np.uint32(np.uint64(bits * np.uint64(total)) >> np.uint64(32))
    cumsum, before = np.uint32(upto - own), np.int32(0)
    for m in range(LANE_SYMBOLS):
        cumsum = np.uint32(cumsum + np.uint32(words[np.uint32(first + np.uint32(m))]))
        before = np.int32(before + (1 if cumsum <= threshold else 0))
    return np.int32(min(warp_sum(before, np.int32(32)), np.int32(255)))


@device
def coarse_input(c, order):
    """The input that c_t is, Q15"""
    return input_coarse(np.int64(c)) if order > 0 else np.int64((2 * c - 255) * 128)


@device
def end_sample(words, shorts, mask, signal, b, c, f, lane, order, stride):
    """The sample that both bytes make, pre-emphasised, goes to row b of `signal` and to the ring."""
    sample = np.int32(256 * c + f - 32768)
    if order > 0:
        p = words[P + np.uint32(lane)]
        sample = saturate(p + (256 * c + f - OFFSET))
        words[D + np.uint32(lane)] = sample - p
    if lane == 0:
        words[BYTE + 1] = f
        next_sample(words, shorts, mask, sample, stride)
        signal[np.uint32(b), np.uint32(words[NOW] - stride)] = sample


@device
def next_sample(words, shorts, mask, sample, stride):
    """A sample goes to the ring; the next is `stride` later."""
    now = words[NOW]
    shorts[np.uint32(now & mask)], words[NOW] = sample, now + stride


@device
def begin_stream(words, floats, at, last, of, k, seen, l, now, lane):  # noqa: E741
    """What holds for all samples of a launch: lane l of a stream goes on from row `of` of `last`."""
    me, of, l = np.uint32(lane), np.uint32(of), np.uint32(l)  # noqa: E741
    words[TANHS + me], words[D + me] = TANH[me], last[of, np.uint32(2)]
    words[SEEN + me], words[SEEN + 32 + me] = seen[l, me], seen[l, 32 + me]
    if lane == 0:
        words[BYTE], words[BYTE + 1], floats[K] = last[of, np.uint32(0)], last[of, np.uint32(1)], k
        words[NOW], words[BEGIN], words[END] = now, at[of, np.uint32(2)], at[of, np.uint32(3)]
        words[OF], words[ROW], words[LEFT] = of, at[of, np.uint32(0)], at[of, np.uint32(1)]


@device
def begin_sub_frame(words, lpc, inverse, row, order, lane):
    """The linear prediction of a sub-frame: a lane has up to two of its coefficients"""
    row, me = np.uint32(row), np.uint32(lane)
    if order > 0:
        words[LPC + me] = lpc[row, me] if lane < order else 0
        words[LPC + 32 + me] = lpc[row, 32 + me] if lane + 32 < order else 0
        words[INVERSE + me], words[INVERSE + 32 + me] = inverse[row, np.uint32(0)], inverse[row, np.uint32(1)]


@device
def row_of(words, stride):
    """The row of the step that comes, `stride` further on where a sub-frame begins"""
    return np.int32(words[ROW] + (stride if words[LEFT] == 0 else 0))


@device
def begin_step(words, sub_steps, stride):
    """The step that comes has begun. By one thread, once all have called row_of"""
    words[ROW] = row_of(words, stride)
    words[LEFT] = (sub_steps if words[LEFT] == 0 else words[LEFT]) - 1


@device
def begin_sample(words, shorts, mask, lane, order, stride, context):
    """x_t but c_t, from the samples before: a lane has one of the inputs, and one of the context

    mask   : length of the ring less 1
    stride : from a sample to the one before it of the same stream or subscale lane
    """
    me, x = np.uint32(lane), np.int64(0)
    warp_sync()  # the last sample and its bytes are lane 0's
    if order > 0:
        # 1) p_t. The sum is below 2^37: its lower 12 bits and the rest are added up apart
        d_0, d_1, now = words[SEEN + me], words[SEEN + 32 + me], words[NOW]
        s_0, s_1 = np.int32(shorts[np.uint32((now + d_0) & mask)]), np.int32(shorts[np.uint32((now + d_1) & mask)])
        a, b = np.int32(words[LPC + me] * s_0), np.int32(words[LPC + 32 + me] * s_1)
        high = warp_sum(np.int32((a >> 12) + (b >> 12)), np.int32(32))
        low = warp_sum(np.int32((a & 4095) + (b & 4095)), np.int32(32))
        p = saturate(high + ((low + 2048) >> 12))
        words[P + me] = p
        # 2) as predict.inputs: lanes 0..2 have a logarithm, lanes 3..5 a ratio
        d, s = words[D + me], np.int32(shorts[np.uint32((now - stride) & mask)])
        v = d if lane == 0 or lane == 3 else (p if lane == 1 or lane == 4 else s)
        if lane < 3:
            x = log_q11(np.int64(v), np.int64(3 if lane == 0 else 5))
        elif lane < 6:
            x = ratio_q12(np.int64(v), np.int64(words[INVERSE + me] if lane == 3 else words[INVERSE + 32 + me]))
        else:
            x = np.int64((2 * ((d + OFFSET) & 255) - 255) * 128)
        if lane < context:
            near = ratio_q12(np.int64(s_0 - p), np.int64(words[INVERSE + me]))
            words[X + N_X - 1 + me] = near if d_0 != 0 else np.int64(0)
    else:
        x = np.int64((2 * (words[BYTE] if lane == 0 else words[BYTE + 1]) - 255) * 128)
    if lane < (N_X - 1 if order > 0 else 2):
        words[X + me] = x
