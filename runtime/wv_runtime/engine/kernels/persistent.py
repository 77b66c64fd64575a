"""The persistent kernel: one CUDA block draws all samples of an utterance, in one launch (docs/gpu.md).

After "Persistent RNNs" (Diamos et al. 2016; Kalchbrenner et al. 2018, section 2.2): the block copies the weights to its
shared memory once, keeps the state there, and loops over the samples. Rows of a matrix, units and bytes are shared out
among its threads; a barrier ends each step. int8 models only: their sums are integers, so their order does not matter,
and the few float operations are those of docs/numerics.md, one rounding each.

The steps are those of wavernn.sample_loop. Counters are int32 in while loops and indices uint32: of `range` and signed
indices Numba makes 64-bit divisions and tests for negative ones, most of the instructions of a sample.

Usage: ``sample_block[n_streams, n_threads, stream, bytes](net, ...)``
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import cuda, float32, int8, int16, int32, uint64

from .device import add, block_kernel, device, dot4, maximum, minimum, mul, mulhrs, pow2, saturate
from .gates import EXP2_C1, EXP2_C2, EXP2_C3, EXP2_C4, TANH_C0, TANH_C1, TANH_C2, TANH_C3
from .predict import N_X, OFFSET, input_coarse, inputs
from .sample import random_bits

N_GROUPS, GROUP = 16, 16  # the 256 symbols, as a draw adds them up
TANH = np.concatenate([TANH_C0, TANH_C1, TANH_C2, TANH_C3]).astype(np.int32)
MAX_THREADS = 1024  # of a block: that leaves 64 registers for each

# Where the parts of the shared memory start, in words. Constants, so that no register holds a pointer to them.
BITS = 0  # uint64 of random_bits
Y = 2  # (4,) y, float32; p_t, d_{t-1}, the oldest sample of RING
BYTE = 6  # (2,) c_t, f_t
X = 8  # (8,) x_t in Q15
SUMS = 16  # (16,) of a draw's groups
MOST = 32  # (16,) float32
TANHS = 48  # (32,)
Z = 80  # (256,) float32, logits
P = 336  # (256,) int32
RING = 592  # (64,) the last samples, before pre-emphasis is undone
H_Q = 656  # (n_units / 4,) h in 8 bits; then q (n_out / 4), a (3 n_units / 2), h (n_units / 2), the weights


def quads(name: str, n_units: int) -> int:
    """Where the input of a matrix starts in shared memory, in words."""
    return H_Q + {"R": 0, "O1": 0, "O3": n_units // 8}.get(name, n_units // 4)


class Block(NamedTuple):
    """Where a block-CSR matrix lies: offsets in words of the image, or of the shared memory if it is there."""

    row_ptr: np.int32
    col_idx: np.int32
    values: np.int32
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
    n_shared: np.int32  # words at the start of the image that are copied to shared memory
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
    """Words of shared memory before the weights."""
    return H_Q + n_units // 4 + n_out // 4 + 2 * n_units


@device
def dots(words, m, q, r, acc):
    """acc + W_r . q of a block-CSR matrix in `words`; col_idx says where in q the quads are"""
    # indices are unsigned: Numba looks for negative ones otherwise
    b = np.int32(r >> m.log2_h)
    k, end = words[np.uint32(m.row_ptr + b)], words[np.uint32(m.row_ptr + b + 1)]
    i, j = np.uint64(m.values + (k << m.log2_h) + (r & ((1 << m.log2_h) - 1))), np.uint64(m.col_idx + k)
    height, last = np.uint64(1 << m.log2_h), np.uint64(m.col_idx + end)
    while j != last:
        acc = dot4(acc, words[i], q[np.uint32(words[j])])
        i, j = i + height, j + np.uint64(1)
    return acc


@device
def row_sum(m, image, words, start, scale, r):
    """scale_r (start_r + W_r . q), float32; W is in shared memory or in the image"""
    # loaded now and used last: global memory is slow
    start_r, scale_r = start[np.uint32(m.first_row + r)], scale[np.uint32(m.first_row + r)]
    if m.shared != 0:
        acc = dots(words, m, words, r, np.int32(0))
    else:
        acc = dots(image, m, words, r, np.int32(0))
    return mul(np.float32(np.int32(acc + start_r)), scale_r)


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
def input_sum(net, words, four, more, n_x, g):
    """g + I* x of one gate of one unit, saturated in the order of gates_q. four, more : its I*, four int16 in each"""
    v = mulhrs(np.int32(np.int64(four << np.int64(48)) >> np.int64(48)), words[X])
    j = np.int32(1)
    while j < n_x:
        if j == 4:
            four = more
        I_j = np.int32(np.int64(four << np.int64(48 - 16 * (j & 3))) >> np.int64(48))  # noqa: N806
        v = saturate(v + mulhrs(I_j, words[np.uint32(X + j)]))
        j = np.int32(j + 1)
    j = np.int32(0)
    while j < net.I_shift:
        v = saturate(v + v)
        j = np.int32(j + 1)
    return saturate(v + g)


@device
def unit(net, words, shorts, at_a, I, g, row, n_x, i):  # noqa: E741, N803
    """h_t of unit i, Q15, from the first n_x inputs"""
    n, a = net.n_units, np.int32(2 * at_a + i)
    row, u, r, e = np.uint32(row), np.uint32(i), np.uint32(n + i), np.uint32(2 * n + i)
    # everything of global memory at once: it is slow
    g_u, g_r, g_e = g[row, u], g[row, r], g[row, e]
    more = np.uint32(3 * n if n_x > 4 else 0)
    u4, u8, r4, r8 = I[u], I[np.uint32(u + more)], I[r], I[np.uint32(r + more)]
    e4, e8 = I[e], I[np.uint32(e + more)]
    u = input_sum(net, words, u4, u8, n_x, g_u)
    r = input_sum(net, words, r4, r8, n_x, g_r)
    e = input_sum(net, words, e4, e8, n_x, g_e)
    r = sigmoid_fixed(words, saturate(r + shorts[np.uint32(a + n)]))
    e = tanh_fixed(words, saturate(e + mulhrs(r, shorts[np.uint32(a + 2 * n)])), 9)
    u = sigmoid_fixed(words, saturate(u + shorts[np.uint32(a)]))
    return np.int32(e - mulhrs(u, e) + mulhrs(u, shorts[np.uint32(a + 3 * n)]))


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
def draw(words, floats, longs, k, shift, which, order, last_x):
    """Byte `which` from softmax(logits / temperature), as sample.sample_byte. All threads call it; Z is ready.

    k : log2(e) / temperature    shift : of the 32 of the 64 random bits that count    last_x : where c_t is an input
    """
    first, step = np.int32(cuda.threadIdx.x), np.int32(cuda.blockDim.x)
    # 1) l = logits * log2(e) / temperature, and its largest
    j = first
    while j < N_GROUPS:
        l_max = floats[np.uint32(Z + j)]
        for m in range(1, GROUP):
            l_max = maximum(l_max, floats[np.uint32(Z + j + N_GROUPS * m)])
        floats[np.uint32(MOST + j)] = l_max
        j = np.int32(j + step)
    cuda.syncthreads()
    # 2) p_i = trunc(2^(l_i - l_max) * 2^23)
    i = first
    while i < 256:
        l_max = floats[MOST]
        for m in range(1, N_GROUPS):
            l_max = maximum(l_max, floats[MOST + m])
        l = add(mul(floats[np.uint32(Z + i)], k), -mul(l_max, k))  # noqa: E741
        words[np.uint32(P + i)] = exp2_fixed(maximum(l, np.float32(-30.0)))
        i = np.int32(i + step)
    cuda.syncthreads()
    # 3) find the symbol. The sum of 256 is at most 2^31
    j = first
    while j < N_GROUPS:
        group_sum = np.int32(0)
        for m in range(GROUP):  # each from another bank
            group_sum = np.int32(group_sum + words[np.uint32(P + GROUP * j + ((m + j) & (GROUP - 1)))])
        words[np.uint32(SUMS + j)] = group_sum
        j = np.int32(j + step)
    cuda.syncthreads()
    bits = np.uint64(longs[BITS // 2] >> np.uint64(shift)) & np.uint64(0xFFFFFFFF)
    i = first
    while i < 256:
        total, cumsum, group = np.uint32(0), np.uint32(0), np.int32(i >> 4)
        for m in range(N_GROUPS):
            cumsum = total if m == group else cumsum
            total = np.uint32(total + np.uint32(words[SUMS + m]))
        for m in range(GROUP - 1):
            p = np.uint32(words[np.uint32(P + GROUP * group + m)])
            cumsum = np.uint32(cumsum + (p if m < i & (GROUP - 1) else np.uint32(0)))
        threshold = np.uint32(np.uint64(bits * np.uint64(total)) >> np.uint64(32))
        after = np.uint32(cumsum + np.uint32(words[np.uint32(P + i)]))
        if (cumsum <= threshold and threshold < after) or (total == 0 and i == 255):
            words[BYTE + which] = i
            if which == 0:
                words[last_x] = input_coarse(np.int64(i)) if order > 0 else np.int64((2 * i - 255) * 128)
        i = np.int32(i + step)
    cuda.syncthreads()


@device
def predict_ring(lpc, row, words, oldest, order):
    """predict.predict, with the past in RING"""
    acc, at, k = np.int64(2048), np.int32(oldest), np.int32(0)
    while k < order:
        acc += np.int64(np.int32(np.int32(lpc[np.uint32(row), np.uint32(k)]) * words[np.uint32(RING + at)]))
        at, k = np.int32(at + 1 if at + 1 < order else 0), np.int32(k + 1)
    return max(min(acc >> np.int64(12), np.int64(32767)), np.int64(-32768))


@device
def stage_inputs(net, words, lpc, inverse, row):
    """x_t but c_t, from the last sample"""
    if net.lpc_order > 0:
        oldest = words[Y + 3]
        p = predict_ring(lpc, row, words, oldest, net.lpc_order)
        newest = words[RING + (oldest if oldest > 0 else net.lpc_order) - 1]
        inputs(np.int64(words[Y + 2]), p, np.int64(newest), inverse[row], words[X : X + N_X])
        words[Y + 1] = p
    else:
        words[X] = (2 * words[BYTE] - 255) * 128
        words[X + 1] = (2 * words[BYTE + 1] - 255) * 128


@device
def stage_sample(net, words, floats):
    """The sample that both bytes make, without its pre-emphasis, -32768..32767"""
    sample = np.int32(256 * words[BYTE] + words[BYTE + 1] - 32768)
    if net.lpc_order > 0:
        oldest = words[Y + 3]
        sample = saturate(words[Y + 1] + (256 * words[BYTE] + words[BYTE + 1] - OFFSET))
        words[Y + 2] = sample - words[Y + 1]
        words[RING + oldest] = sample
        words[Y + 3] = oldest + 1 if oldest + 1 < net.lpc_order else 0
    y = add(np.float32(sample), mul(net.preemphasis, floats[Y]))
    floats[Y] = y
    clipped = maximum(minimum(y, np.float32(32767.0)), np.float32(-32768.0))
    return np.int32(add(clipped, np.float32(32768.5))) - 32768


@block_kernel(MAX_THREADS)
def sample_block(net, image, start, scale, I, seed, k, n, g, lpc, inverse, at, t, y, h, past, pcm):  # noqa: E741, N803
    """Block b draws the next n[b] samples of stream b, from the state that it leaves for the next call.

    image   : (words,) int32, of each matrix its row_ptr, col_idx + quads and values (four weights a word)
    start   : (rows,) int32, derive.start of R, O1..O4    scale : (rows,) float32 likewise
    I       : (3N or 6N,) int64, derive.quantize_I: of each gate of each unit its first four, then its next four
    seed    : (B,) uint64     k : (B,) float32, log2(e) / temperature     n : (B,) int32
    g       : (n_rows, 3N) int16 Q10, the conditioning of sub-frames
    lpc     : (n_rows, lpc_order) int16 of predict.predictor    inverse : (n_rows, 2) int64 likewise
    at      : (B, 2) int32, the row of the next sample, and how many samples it still holds for
    t       : (B, 5) int64    y : (B, 1) float32    h : (B, N) int16    past : (B, lpc_order) int16, of network.State
    pcm     : (B, at least n) int16
    """
    b, i0, step = np.int32(cuda.blockIdx.x), np.int32(cuda.threadIdx.x), np.int32(cuda.blockDim.x)
    n_units, n_out, order = net.n_units, net.n_out, net.lpc_order
    serial = np.int32(step - 1)  # the thread that does what one can do
    half, n_x = np.int32(n_units >> 1), np.int32(N_X if order > 0 else 3)
    # The dynamic shared memory, as words, bytes, shorts, floats and longs
    words, octets, shorts = cuda.shared.array(0, int32), cuda.shared.array(0, int8), cuda.shared.array(0, int16)
    floats, longs = cuda.shared.array(0, float32), cuda.shared.array(0, uint64)
    at_q = np.int32(H_Q + (n_units >> 2))
    at_a = np.int32(at_q + (n_out >> 2))
    at_h = np.int32(at_a + 3 * half)
    # 1) weights and state to shared memory
    for i in range(i0, net.n_shared, step):
        words[at_h + half + i] = image[i]
    for i in range(i0, len(TANH), step):
        words[TANHS + i] = TANH[i]
    for i in range(i0, n_units, step):
        shorts[2 * at_h + i] = h[b, i]
        octets[4 * H_Q + i] = min((np.int32(h[b, i]) + 128) >> 8, 127)
    for i in range(i0, order, step):
        words[RING + i] = past[b, i]
    if i0 == 0:
        words[BYTE], words[BYTE + 1], words[Y + 2], words[Y + 3] = t[b, 1], t[b, 2], t[b, 4], 0
        floats[Y] = y[b, 0]
    row, left, k_b, last_x = at[b, 0], at[b, 1], k[b], np.uint32(X + n_x - 1)
    cuda.syncthreads()
    for i in range(n[b]):
        if left == 0:
            row, left = np.int32(row + 1), net.sub_length
        left = np.int32(left - 1)
        # 2) R h_{t-1}, once for both halves; the inputs but c_t
        if i0 == serial:
            stage_inputs(net, words, lpc, inverse, row)
        r = i0
        while r < 3 * n_units:
            s = row_sum(net.R, image, words, start, scale, r)
            shorts[np.uint32(2 * at_a + r)] = to_q10(s)
            r = np.int32(r + step)
        cuda.syncthreads()
        # 3) the coarse half of h_t, and c_t
        j = i0
        while j < half:
            h_j = unit(net, words, shorts, at_a, I, g, row, n_x - 1, j)
            shorts[np.uint32(2 * at_h + j)] = h_j
            octets[np.uint32(4 * H_Q + j)] = min((h_j + 128) >> 8, 127)
            j = np.int32(j + step)
        cuda.syncthreads()
        if i0 == serial:
            longs[BITS // 2] = random_bits(seed[b], np.uint64(t[b, 0] + i))
        r = i0
        while r < n_out:
            s = row_sum(net.O1, image, words, start, scale, r)
            octets[np.uint32(4 * at_q + r)] = to_q(s, net.scale_2, net.zero_2)
            r = np.int32(r + step)
        cuda.syncthreads()
        r = i0
        while r < 256:
            floats[np.uint32(Z + r)] = row_sum(net.O2, image, words, start, scale, r)
            r = np.int32(r + step)
        cuda.syncthreads()
        draw(words, floats, longs, k_b, 32, 0, order, last_x)
        # 4) the fine half of h_t, and f_t
        j = np.int32(half + i0)
        while j < n_units:
            h_j = unit(net, words, shorts, at_a, I, g, row, n_x, j)
            shorts[np.uint32(2 * at_h + j)] = h_j
            octets[np.uint32(4 * H_Q + j)] = min((h_j + 128) >> 8, 127)
            j = np.int32(j + step)
        cuda.syncthreads()
        r = i0
        while r < n_out:
            s = row_sum(net.O3, image, words, start, scale, r)
            octets[np.uint32(4 * at_q + r)] = to_q(s, net.scale_4, net.zero_4)
            r = np.int32(r + step)
        cuda.syncthreads()
        r = i0
        while r < 256:
            floats[np.uint32(Z + r)] = row_sum(net.O4, image, words, start, scale, r)
            r = np.int32(r + step)
        cuda.syncthreads()
        draw(words, floats, longs, k_b, 0, 1, order, last_x)
        # 5) undo the prediction and the pre-emphasis, round, clip
        if i0 == serial:
            pcm[b, i] = stage_sample(net, words, floats)
    # 6) the state, for the next call
    cuda.syncthreads()
    for i in range(i0, n_units, step):
        h[b, i] = shorts[2 * at_h + i]
    for i in range(i0, order, step):
        past[b, i] = words[RING + (words[Y + 3] + i) % order]
    if i0 == 0:
        t[b, 0] += n[b]
        t[b, 1], t[b, 2], t[b, 3], t[b, 4] = words[BYTE], words[BYTE + 1], words[Y + 1], words[Y + 2]
        y[b, 0], at[b, 0], at[b, 1] = floats[Y], row, left
