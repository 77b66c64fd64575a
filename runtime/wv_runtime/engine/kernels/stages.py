"""What wv-bench times: one stage of the sample loop many times, and what the machine can read and multiply.

C twins of `stage` and `stage_of_lanes`: libwavernn/kernels/wavernn.c (stage) and lanes.c (wv_lanes_stage)
"""

from __future__ import annotations

import numpy as np

from .jit import kernel
from .lanes import lane, lanes_coarse, lanes_draw, lanes_fine, lanes_logits, lanes_loop, lanes_R
from .sample import random_bits, sample_byte
from .simd import add, broadcast, dot4, hmax, hsum, load, mul, zero
from .staircase import condition_slot, enter_frame
from .wavernn import (
    condition_frame,
    condition_sub,
    sample_loop,
    stage_coarse,
    stage_gates,
    stage_inputs,
    stage_logits,
    stage_R,
)

SAMPLE, R, GATES, O, SAMPLING, CONDITION = range(6)  # noqa: E741


@kernel
def stage(net, s, log2e_over_temperature, window, which, n_times, pcm):
    """One stage n_times. window : (cond_width * n_mels,) float32    pcm : (1,) int16"""
    half, n_x = net.n_units // 2, net.n_x
    c, f = 120, 7
    for i in range(n_times):
        if which == SAMPLE:
            sample_loop(net, s, np.uint64(0), log2e_over_temperature, 1, pcm)
        elif which == R:
            stage_R(net, s)
        elif which == GATES:
            stage_inputs(net, s)
            stage_gates(net, s, 0, n_x - 1)
            stage_coarse(net, s, 121)
            stage_gates(net, s, half, n_x)
        elif which == O:
            stage_logits(s, 0, net.O1, net.O2, s.logits)
            stage_logits(s, half, net.O3, net.O4, s.logits)
        elif which == SAMPLING:
            bits = random_bits(np.uint64(0), np.uint64(i)) & np.uint64(0xFFFFFFFF)
            c = sample_byte(s.logits, log2e_over_temperature, bits, s.p)
            f = sample_byte(s.logits, log2e_over_temperature, bits, s.p)
        elif which == CONDITION:  # one frame
            condition_frame(net, s, window)
            for sub in range(net.n_sub):
                condition_sub(net, s, sub)
    s.t[1], s.t[2] = c, f  # keeps the draws alive


@kernel
def stage_of_lanes(net, s, n, seed, log2e_over_temperature, window, which, n_times, byte, pcm):
    """One stage of n lanes, n_times. s, seed, log2e_over_temperature, byte : as in lanes_loop    pcm : (n, 1) int16"""
    half = net.n_units // 2
    for _ in range(n_times):
        if which == SAMPLE:
            lanes_loop(net, s, n, seed, log2e_over_temperature, 0, 1, byte, pcm)
        elif which == R:
            lanes_R(net, s, n)
        elif which == GATES:
            lanes_coarse(net, s, n)
            lanes_fine(net, s, n, byte[0])
        elif which == O:
            lanes_logits(s, n, 0, net.O1, net.O2)
            lanes_logits(s, n, half, net.O3, net.O4)
        elif which == SAMPLING:
            lanes_draw(s, n, seed, log2e_over_temperature, 32, byte[0])
            lanes_draw(s, n, seed, log2e_over_temperature, 0, byte[1])
        elif which == CONDITION:  # one frame
            for l in range(n):  # noqa: E741
                condition_frame(net, lane(s, l), window)
                for sub in range(net.n_sub):
                    condition_sub(net, lane(s, l), sub)


@kernel
def condition_staircase(net, c, window, n_times):
    """What the lanes of a subscale stream get from one frame, n_times"""
    for _ in range(n_times):
        condition_slot(net, c, 0, window)
        for k in range(len(c.first) - 1):
            enter_frame(net, c, k, 0)


@kernel
def read(a, n_times):
    """Reads a, n_times; the sum keeps the loads alive. a : (n,) int32, n a multiple of 128"""
    s0 = zero(16)
    s1, s2, s3, s4, s5, s6, s7 = s0, s0, s0, s0, s0, s0, s0
    for _ in range(n_times):
        for i in range(0, len(a), 128):
            s0, s1 = add(s0, load(16, a, i)), add(s1, load(16, a, i + 16))
            s2, s3 = add(s2, load(16, a, i + 32)), add(s3, load(16, a, i + 48))
            s4, s5 = add(s4, load(16, a, i + 64)), add(s5, load(16, a, i + 80))
            s6, s7 = add(s6, load(16, a, i + 96)), add(s7, load(16, a, i + 112))
    return hsum(add(add(add(s0, s1), add(s2, s3)), add(add(s4, s5), add(s6, s7))))


@kernel
def mac_float(w, x, n_times):
    """len(w) multiply-adds, n_times. w : (n,) float32 or uint16 (bits of float16), n a multiple of 128"""
    v = broadcast(16, x)
    s0 = broadcast(16, np.float32(0.0))
    s1, s2, s3, s4, s5, s6, s7 = s0, s0, s0, s0, s0, s0, s0
    for _ in range(n_times):
        for i in range(0, len(w), 128):
            s0, s1 = add(s0, mul(load(16, w, i), v)), add(s1, mul(load(16, w, i + 16), v))
            s2, s3 = add(s2, mul(load(16, w, i + 32), v)), add(s3, mul(load(16, w, i + 48), v))
            s4, s5 = add(s4, mul(load(16, w, i + 64), v)), add(s5, mul(load(16, w, i + 80), v))
            s6, s7 = add(s6, mul(load(16, w, i + 96), v)), add(s7, mul(load(16, w, i + 112), v))
    return hmax(add(add(add(s0, s1), add(s2, s3)), add(add(s4, s5), add(s6, s7))))


@kernel
def mac_int8(w, q, n_times):
    """len(w) multiply-adds, n_times. w : (n,) int8, n a multiple of 512    q : (4,) int8"""
    s0 = zero(16)
    s1, s2, s3, s4, s5, s6, s7 = s0, s0, s0, s0, s0, s0, s0
    for _ in range(n_times):
        for i in range(0, len(w), 512):
            s0, s1 = dot4(s0, w, i, q, 0), dot4(s1, w, i + 64, q, 0)
            s2, s3 = dot4(s2, w, i + 128, q, 0), dot4(s3, w, i + 192, q, 0)
            s4, s5 = dot4(s4, w, i + 256, q, 0), dot4(s5, w, i + 320, q, 0)
            s6, s7 = dot4(s6, w, i + 384, q, 0), dot4(s7, w, i + 448, q, 0)
    return hsum(add(add(add(s0, s1), add(s2, s3)), add(add(s4, s5), add(s6, s7))))
