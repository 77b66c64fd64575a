"""The network over the kernels: conditioning, and the loop that draws the samples. One compiled call per utterance.

C twin: libwavernn/kernels/wavernn.c (condition_frame, condition_sub, sample_loop) and synth.c (generate is wv_pull).
"""

from __future__ import annotations

import numpy as np
from numba.extending import overload, register_jitable

from .copy import copy
from .gates import gates, gates_q, tanh_inplace
from .jit import OVERLOAD, kernel
from .network import is_int8
from .predict import (
    N_X,
    OFFSET,
    autocorrelation,
    input_coarse,
    inputs,
    inputs_context,
    interpolators,
    predict,
    predictor,
    see,
)
from .sample import random_bits, sample_byte
from .spmv import NO_FLOOR, linear, linear_q_to_float, linear_q_to_q, linear_q_to_q10, quantize


@register_jitable(**OVERLOAD)
def scale_byte(byte):
    """0..255 -> [-1, 1] float32"""
    return np.float32(byte) * (np.float32(1.0) / np.float32(127.5)) - np.float32(1.0)


@register_jitable(**OVERLOAD)
def condition_frame(net, s, window):
    """b = tanh(C2 tanh(C1 window)): one mel frame's n_sub conditioning vectors, and its linear prediction; of a
    subscale voice r, at the beginning of s.work.

    window : (cond_width * n_mels,)
    """
    linear(net.C1, window, NO_FLOOR, s.q, s.z)
    tanh_inplace(net.n_cond, s.z)
    linear(net.C2, s.z, NO_FLOOR, s.q, s.b)
    tanh_inplace(net.n_sub * net.n_cond, s.b)
    if net.lpc_order > 0:
        first = net.cond_width // 2 * net.n_mels
        centre = window[first : first + net.n_mels]
        if net.subscale > 1:
            n_lags = len(net.M) // net.n_mels
            autocorrelation(net.M, centre, s.work[n_lags:], s.work[:n_lags])
        else:
            predictor(net.M, centre, s.work, s.lpc, s.inverse)


# What follows comes in two kinds, for the float models and for the int8 model: `s.h` tells which.


def condition_sub(net, s, sub):
    """g = C3 b_sub: what enters the gates for one sub-frame"""


@overload(condition_sub, jit_options=OVERLOAD)
def _(net, s, sub):
    def condition_sub_q(net, s, sub):
        quantize(net.n_cond, s.b[sub * net.n_cond : (sub + 1) * net.n_cond], net.C3.x_scale, net.C3.x_zero, s.q)
        linear_q_to_q10(net.C3, s.q, s.g)

    def condition_sub_float(net, s, sub):
        linear(net.C3, s.b[sub * net.n_cond : (sub + 1) * net.n_cond], NO_FLOOR, s.q, s.g)

    return condition_sub_q if is_int8(s) else condition_sub_float


@register_jitable(**OVERLOAD)
def interpolate_lanes(net, r, first, end, work, lpc, inverse):
    """The coefficients of lanes first to end of a subscale voice, from r of a frame; lpc, inverse: a row for each"""
    order = net.lpc_order
    for l in range(first, end, 4):  # noqa: E741
        rows = slice(l * order, min(l + 4, end) * order)
        interpolators(
            r,
            net.n_seen[l : min(l + 4, end)],
            net.seen[rows],
            work,
            order,
            lpc[rows],
            inverse[2 * l : 2 * min(l + 4, end)],
        )


def condition_lane(net, s, l, g):  # noqa: E741
    """g of lane l of a subscale voice, from C3 b of the sub-frame. g : (3N,), as it is kept"""


@overload(condition_lane, jit_options=OVERLOAD)
def _(net, s, l, g):  # noqa: E741
    def condition_lane_q(net, s, l, g):  # noqa: E741
        n = 3 * net.n_units
        for i in range(n):
            s.g[i] = max(min(np.int32(g[i]) + np.int32(net.lane[l * n + i]), np.int32(32767)), np.int32(-32768))

    def condition_lane_float(net, s, l, g):  # noqa: E741
        n = 3 * net.n_units
        for i in range(n):
            s.g[i] = g[i] + net.lane[l * n + i]

    return condition_lane_q if is_int8(s) else condition_lane_float


def stage_R(net, s):  # noqa: N802
    """a = R h_{t-1} + b_R"""


@overload(stage_R, jit_options=OVERLOAD)
def _(net, s):
    def stage_R_q(net, s):  # noqa: N802
        linear_q_to_q10(net.R, s.h_q, s.a)

    def stage_R_float(net, s):  # noqa: N802
        linear(net.R, s.h, NO_FLOOR, s.q, s.a)

    return stage_R_q if is_int8(s) else stage_R_float


def byte_input(s, j, byte):
    """x_j of one of the paper's bytes"""


@overload(byte_input, jit_options=OVERLOAD)
def _(s, j, byte):
    def byte_input_q(s, j, byte):
        s.x[j] = (2 * byte - 255) * 128

    def byte_input_float(s, j, byte):
        s.x[j] = scale_byte(byte)

    return byte_input_q if is_int8(s) else byte_input_float


def q15_input(s, j, x):
    """x_j of an input that is Q15 already"""


@overload(q15_input, jit_options=OVERLOAD)
def _(s, j, x):
    def q15_input_q(s, j, x):
        s.x[j] = x

    def q15_input_float(s, j, x):
        s.x[j] = np.float32(x) * np.float32(1.0 / 32768.0)

    return q15_input_q if is_int8(s) else q15_input_float


@register_jitable(**OVERLOAD)
def stage_inputs(net, s):
    """x_t but c_t, from the last sample, and from what a lane sees"""
    if net.lpc_order == 0:
        byte_input(s, 0, s.t[1])
        byte_input(s, 1, s.t[2])
        return
    if net.subscale > 1:
        l, mask = s.t[0] % net.subscale, len(s.signal) - 1  # noqa: E741
        first, n = l * net.lpc_order, net.n_seen[l]
        see(s.signal, mask, s.t[0], net.seen[first : first + n], s.past)
        p, last = predict(s.lpc[:n], s.past), np.int64(s.signal[(s.t[0] - net.subscale) & mask])
        inputs_context(p, s.past[:n], s.inverse, s.x_q15[N_X - 1 : net.n_x - 1])
    else:
        p, last = predict(s.lpc, s.past), np.int64(s.past[net.lpc_order - 1])
    inputs(s.t[4], p, last, s.inverse, s.x_q15)
    for j in range(net.n_x - 1):
        q15_input(s, j, s.x_q15[j])
    s.t[3] = p


@register_jitable(**OVERLOAD)
def stage_coarse(net, s, coarse):
    """The last of x_t, once c_t is drawn"""
    if net.lpc_order > 0:
        q15_input(s, net.n_x - 1, input_coarse(coarse))
    else:
        byte_input(s, 2, coarse)


@register_jitable(**OVERLOAD)
def stage_sample(net, s, coarse, fine):
    """The sample that both bytes make, pre-emphasised, -32768..32767; it is the last one from now on."""
    t = s.t[0]
    s.t[0], s.t[1], s.t[2] = t + net.subscale, coarse, fine
    if net.lpc_order == 0:
        return 256 * coarse + fine - 32768
    sample = max(min(s.t[3] + (256 * coarse + fine - OFFSET), np.int64(32767)), np.int64(-32768))
    s.t[4] = sample - s.t[3]
    if net.subscale > 1:
        s.signal[t & (len(s.signal) - 1)] = sample
        return sample
    for k in range(1, net.lpc_order):
        s.past[k - 1] = s.past[k]
    s.past[net.lpc_order - 1] = sample
    return sample


def stage_gates(net, s, first, n_x):
    """One half of h_t from the first n_x inputs"""


@overload(stage_gates, jit_options=OVERLOAD)
def _(net, s, first, n_x):
    def stage_gates_q(net, s, first, n_x):
        gates_q(net.n_units, first, n_x, s.a, s.g, net.I, net.I_shift, s.x, s.h, s.h_q)

    def stage_gates_float(net, s, first, n_x):
        gates(net.n_units, first, n_x, s.a, s.g, net.I, s.x, s.h)

    return stage_gates_q if is_int8(s) else stage_gates_float


def stage_logits(s, first, O_in, O_out, logits):  # noqa: N803
    """logits = O_out relu(O_in y) of the half of h that starts at `first`"""


@overload(stage_logits, jit_options=OVERLOAD)
def _(s, first, O_in, O_out, logits):  # noqa: N803
    def stage_logits_q(s, first, O_in, O_out, logits):  # noqa: N803
        linear_q_to_q(O_in, s.h_q[first:], O_out, s.q)
        linear_q_to_float(O_out, s.q, logits)

    def stage_logits_float(s, first, O_in, O_out, logits):  # noqa: N803
        linear(O_in, s.h[first:], np.float32(0.0), s.q, s.z)
        linear(O_out, s.z, NO_FLOOR, s.q, logits)

    return stage_logits_q if is_int8(s) else stage_logits_float


@register_jitable(**OVERLOAD)
def heard(sample, preemphasis, y):
    """A sample without pre-emphasis, rounded. y : (1,) float32, the last one before it was rounded"""
    y[0] = np.float32(sample) + preemphasis * y[0]
    clipped = max(min(y[0], np.float32(32767.0)), np.float32(-32768.0))
    return np.int16(np.int32(clipped + np.float32(32768.5)) - 32768)


@register_jitable(**OVERLOAD)
def stage_pcm(net, s, coarse, fine):
    """What is heard of it"""
    return heard(stage_sample(net, s, coarse, fine), net.preemphasis, s.y)


# What lanes.py wants of one lane between the products: the coarse half of h_t; a byte; the fine half.


@register_jitable(**OVERLOAD)
def lane_coarse(net, s):
    """The coarse half of h_t"""
    stage_inputs(net, s)
    stage_gates(net, s, 0, net.n_x - 1)


@register_jitable(**OVERLOAD)
def lane_draw(s, seed, log2e_over_temperature, shift):
    """A byte by the random bits from `shift` on"""
    bits = (random_bits(seed, np.uint64(s.t[0])) >> np.uint64(shift)) & np.uint64(0xFFFFFFFF)
    return sample_byte(s.logits, log2e_over_temperature, bits, s.p)


@register_jitable(**OVERLOAD)
def lane_fine(net, s, coarse):
    """The fine half of h_t"""
    stage_coarse(net, s, coarse)
    stage_gates(net, s, net.n_units // 2, net.n_x)


@register_jitable(**OVERLOAD)
def sample_loop(net, s, seed, log2e_over_temperature, n, pcm):
    """n samples under one g (Kalchbrenner et al. 2018, eq. 2)"""
    half, n_x = net.n_units // 2, net.n_x
    for i in range(n):
        # 1) R h_{t-1}, once for both halves
        stage_R(net, s)
        # 2) the coarse half of h_t, and c_t
        bits = random_bits(seed, np.uint64(s.t[0]))
        stage_inputs(net, s)
        stage_gates(net, s, 0, n_x - 1)
        stage_logits(s, 0, net.O1, net.O2, s.logits)
        coarse = sample_byte(s.logits, log2e_over_temperature, bits >> np.uint64(32), s.p)
        # 3) the fine half, and f_t
        stage_coarse(net, s, coarse)
        stage_gates(net, s, half, n_x)
        stage_logits(s, half, net.O3, net.O4, s.logits)
        fine = sample_byte(s.logits, log2e_over_temperature, bits & np.uint64(0xFFFFFFFF), s.p)
        # 4) undo the pre-emphasis, round, clip
        pcm[i] = stage_pcm(net, s, coarse, fine)


@register_jitable(**OVERLOAD)
def generate_samples(net, s, seed, log2e_over_temperature, frames, first, pcm):
    """Fills pcm, starting at sample `first` of the frame whose window is frames[: cond_width * n_mels].

    frames : ((n + cond_width - 1) * n_mels,) float32, frame after frame    pcm : (up to n * hop_length - first,) int16
    """
    n_mels, hop_length, n, i, frame, sample = net.n_mels, net.n_sub * net.sub_length, len(pcm), 0, 0, first
    while i < n:
        # 1) conditioning, at the start of a frame and of a sub-frame
        if sample == 0:
            condition_frame(net, s, frames[frame * n_mels : (frame + net.cond_width) * n_mels])
        if sample % net.sub_length == 0:
            condition_sub(net, s, sample // net.sub_length)
        # 2) samples up to the end of the sub-frame
        m = min(net.sub_length - sample % net.sub_length, n - i)
        sample_loop(net, s, seed, log2e_over_temperature, m, pcm[i : i + m])
        i += m
        sample += m
        if sample == hop_length:
            sample = 0
            frame += 1


@kernel
def generate(net, s, seed, log2e_over_temperature, frames, first, pcm):
    """`generate_samples`, compiled"""
    generate_samples(net, s, seed, log2e_over_temperature, frames, first, pcm)


@kernel
def condition(net, s, frames, first, g, lpc, inverse):
    """The conditioning of len(g) sub-frames, from number `first` of the frame whose window comes first.

    frames : as in generate    g : (n, 3N)    lpc : (n, lpc_order) int16    inverse : (n, 2) int64
    """
    for i in range(len(g)):
        frame, sub = (first + i) // net.n_sub, (first + i) % net.n_sub
        if i == 0 or sub == 0:
            condition_frame(net, s, frames[frame * net.n_mels : (frame + net.cond_width) * net.n_mels])
        condition_sub(net, s, sub)
        copy(g[i], 0, s.g, 0, len(s.g))
        copy(lpc[i], 0, s.lpc, 0, len(s.lpc))
        copy(inverse[i], 0, s.inverse, 0, len(s.inverse))


@kernel
def teacher_force(net, s, frames, samples, byte, logits_c, logits_f):
    """Bytes and logits of samples[1:] given the true past, to measure: sample_loop without the draws.

    samples : (n + 1,) int32, -32768..32767; sample 0 only feeds the first step
    frames  : as in generate    byte : (n, 2) uint8, coarse and fine    logits_c, logits_f : (n, 256) float32
    """
    half, n_x, hop_length = net.n_units // 2, net.n_x, net.n_sub * net.sub_length
    s.t[1], s.t[2] = (samples[0] + 32768) >> 8, (samples[0] + 32768) & 255
    for i in range(len(samples) - 1):
        if i % hop_length == 0:
            first = i // hop_length * net.n_mels
            condition_frame(net, s, frames[first : first + net.cond_width * net.n_mels])
        if i % net.sub_length == 0:
            condition_sub(net, s, i % hop_length // net.sub_length)
        stage_R(net, s)
        stage_inputs(net, s)
        value = np.int64(samples[i + 1]) + 32768
        if net.lpc_order > 0:
            value = max(min(np.int64(samples[i + 1]) - s.t[3] + OFFSET, np.int64(65535)), np.int64(0))
        coarse, fine = value >> 8, value & 255
        byte[i, 0], byte[i, 1] = coarse, fine
        stage_gates(net, s, 0, n_x - 1)
        stage_logits(s, 0, net.O1, net.O2, logits_c[i])
        stage_coarse(net, s, coarse)
        stage_gates(net, s, half, n_x)
        stage_logits(s, half, net.O3, net.O4, logits_f[i])
        stage_sample(net, s, coarse, fine)


@kernel
def teacher_force_lane(net, s, l, frames, x, logits_c, logits_f):  # noqa: E741
    """teacher_force of lane l of a subscale model, whose inputs are known.

    frames : as in generate    x : (n, n_x) int16 Q15    logits_c, logits_f : (n, 256) float32
    """
    n_x, steps_per_sub = net.n_x, net.sub_length // net.subscale
    for i in range(len(x)):
        if i % steps_per_sub == 0:
            frame, sub = i // steps_per_sub // net.n_sub, i // steps_per_sub % net.n_sub
            if sub == 0:
                condition_frame(net, s, frames[frame * net.n_mels : (frame + net.cond_width) * net.n_mels])
            condition_sub(net, s, sub)
            condition_lane(net, s, l, s.g)
        for j in range(n_x):
            q15_input(s, j, x[i, j])
        stage_R(net, s)
        stage_gates(net, s, 0, n_x - 1)
        stage_logits(s, 0, net.O1, net.O2, logits_c[i])
        stage_gates(net, s, net.n_units // 2, n_x)
        stage_logits(s, net.n_units // 2, net.O3, net.O4, logits_f[i])
