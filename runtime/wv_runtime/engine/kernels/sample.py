"""Drawing a byte from a softmax, in integers, so that no backend can round its way to another sample.

C twin: libwavernn/kernels/sample.c
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

from .gates import exp2_negative
from .jit import OVERLOAD
from .simd import broadcast, hmax, hsum, load, maximum, mul, store, sub, trunc


@register_jitable(**OVERLOAD)
def random_bits(seed, t):
    """The 64 random bits of sample t: splitmix64 (Steele, Lea, Flood 2014) as a counter-based generator. uint64"""
    z = seed + (t + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@register_jitable(**OVERLOAD)
def sample_byte(logits, log2e_over_temperature, bits, p):
    """A byte from softmax(logits / temperature): the first i with p_0 + .. + p_i > (bits * sum p) >> 32.

    logits : (256,) float32    bits : 32 random bits, uint64    p : (272,) int32, the p_i and the sums of
    16 of them
    """
    # 1) l = logits * log2(e) / temperature, and its largest
    k = broadcast(16, log2e_over_temperature)
    l_max = load(16, logits, 0)
    for i in range(16, 256, 16):
        l_max = maximum(l_max, load(16, logits, i))
    l_max = mul(broadcast(16, hmax(l_max)), k)  # a rounded product grows with its factor
    # 2) p_i = trunc(2^(l_i - l_max) * 2^23); the sum of 256 stays below 2^32
    total = np.uint64(0)
    for g in range(16):
        l = maximum(sub(mul(load(16, logits, 16 * g), k), l_max), broadcast(16, np.float32(-30.0)))  # noqa: E741
        p_g = trunc(exp2_negative(l, 23))
        store(p, 16 * g, p_g)
        group_sum = hsum(p_g)
        p[256 + g] = group_sum
        total += group_sum
    # 3) find the group, then the symbol
    threshold = (bits * total) >> np.uint64(32)
    cumsum, g = np.uint64(0), 0
    while g < 15 and cumsum + np.uint64(p[256 + g]) <= threshold:
        cumsum += np.uint64(p[256 + g])
        g += 1
    i = 16 * g
    while i < 16 * g + 15 and cumsum + np.uint64(p[i]) <= threshold:
        cumsum += np.uint64(p[i])
        i += 1
    return i
