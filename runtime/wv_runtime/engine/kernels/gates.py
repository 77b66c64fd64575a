"""The nonlinearities and the gates of the WaveRNN cell (Kalchbrenner et al. 2018, eq. 2).

    u_t = sigmoid(a_u + g_u + I*_u x_t)
    r_t = sigmoid(a_r + g_r + I*_r x_t)
    e_t = tanh(r_t o a_e + g_e + I*_e x_t)
    h_t = u_t o h_{t-1} + (1 - u_t) o e_t

with a = R h_{t-1} + b_R and the conditioning g. tanh is one rational function (largest error 1.9e-5, all x). The
sigmoid keeps its relative error (5e-6) in both tails, and what is computed is 1 - u: trained units hold their state
over seconds with 1 - u of 1e-6 and less, where an absolute error of 1e-5 made 0.3 nats after 5 s.
tests/parity/test_kernels.py measures both.
An int8 model runs the same in 16-bit fixed point, with a, g and I* x in Q10 and tanh as eight cubics from a table
(largest error 9.4e-5 up to |x| = 3.5, 6.5e-4 at |x| = 4, falling to 0 beyond); h, u, r, e are Q15.
C twin: libwavernn/kernels/gates.c
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

from .jit import OVERLOAD, apart
from .simd import (
    SHORTS,
    add,
    add_mulhrs,
    adds,
    adds_mulhrs,
    at,
    broadcast,
    copy_sign,
    div,
    fraction,
    halfway,
    load,
    lookup,
    maximum,
    min_abs,
    minimum,
    mul,
    mulhrs,
    pointer,
    pow2,
    segment,
    store,
    store_q,
    sub,
    to_float,
    trunc,
)

# tanh(x) = x (P0 + P1 y + P2 y^2) / (1 + Q1 y + Q2 y^2 + Q3 y^3), y = x^2, |x| <= 6: minimax in absolute error by
# Lawson's reweighted least squares, then rounded to float32. tanh(6) is 1.2e-5 short of 1.
TANH_X = np.float32(6.0)
TANH_P0 = np.float32(0.9999711513519287)
TANH_P1 = np.float32(0.11447278410196304)
TANH_P2 = np.float32(0.001495557138696313)
TANH_Q1 = np.float32(0.4477141499519348)
TANH_Q2 = np.float32(0.017487427219748497)
TANH_Q3 = np.float32(5.5186250392580405e-05)


@register_jitable(**OVERLOAD)
def tanh_clamp(x):
    return minimum(maximum(x, broadcast(16, -TANH_X)), broadcast(16, TANH_X))


@register_jitable(**OVERLOAD)
def tanh_num(x, y):
    p = add(mul(y, broadcast(16, TANH_P2)), broadcast(16, TANH_P1))
    return mul(x, add(mul(y, p), broadcast(16, TANH_P0)))


@register_jitable(**OVERLOAD)
def tanh_den(y):
    q = add(mul(y, broadcast(16, TANH_Q3)), broadcast(16, TANH_Q2))
    return add(mul(y, add(mul(y, q), broadcast(16, TANH_Q1))), broadcast(16, np.float32(1.0)))


@register_jitable(**OVERLOAD)
def tanh_inplace(n, x):
    """x = tanh(x), in place. x (n,) float32, n a multiple of 16."""
    for i in range(0, n, 16):
        v = tanh_clamp(load(16, x, i))
        y = mul(v, v)
        store(x, i, div(tanh_num(v, y), tanh_den(y)))


# 2^f = 1 + f (C1 + f (C2 + f (C3 + f C4))) on (-1, 0]: minimax in relative error (3.0e-6), exactly 1 at 0.
EXP2_C1 = np.float32(0.6930635571479797)
EXP2_C2 = np.float32(0.23945674300193787)
EXP2_C3 = np.float32(0.05322357639670372)
EXP2_C4 = np.float32(0.006831894163042307)


@register_jitable(**OVERLOAD)
def exp2_negative(x, k):
    """2^(x + k) for x <= 0, as 2^x times 2^k; -126 <= x + k < 126"""
    n = trunc(x)
    f = sub(x, to_float(n))
    e = add(mul(f, broadcast(16, EXP2_C4)), broadcast(16, EXP2_C3))
    e = add(mul(f, e), broadcast(16, EXP2_C2))
    e = add(mul(f, e), broadcast(16, EXP2_C1))
    e = add(mul(f, e), broadcast(16, np.float32(1.0)))
    return mul(e, pow2(n, k))


@register_jitable(**OVERLOAD)
def sigmoid_den(x):
    """1 / sigmoid(x) = 1 + 2^(-x log2(e)), the exponent clamped to +-30"""
    z = mul(x, broadcast(16, np.float32(-1.4426950408889634)))
    z = minimum(maximum(z, broadcast(16, np.float32(-30.0))), broadcast(16, np.float32(30.0)))
    return add(exp2_negative(sub(z, broadcast(16, np.float32(31.0))), 31), broadcast(16, np.float32(1.0)))


@register_jitable(**OVERLOAD)
def gates(n_units, first, n_x, a, g, I, x, h):  # noqa: E741, N803
    """One half of h_t from a = R h_{t-1} + b_R, the conditioning g and the inputs x.

    n_units : N              first : 0 for the coarse half, N/2 for the fine half
    n_x     : inputs that reach this half: all but the last, of c_t, or all
    a, g    : (3N,) float32  u, r, e
    I       : (3N n_x,) float32  the columns of I*, one after the other
    x       : (8,) float32   h : (N,) float32, updated in [first, first + N/2)
    """
    one = broadcast(16, np.float32(1.0))
    for i in range(first, first + n_units // 2, 16):
        # 1) u, r, e before their nonlinearities: g + I* x
        u, r, e = load(16, g, i), load(16, g, n_units + i), load(16, g, 2 * n_units + i)
        for j in range(n_x):
            column = 3 * n_units * j + i
            x_j = broadcast(16, x[j])
            u = add(u, mul(load(16, I, column), x_j))
            r = add(r, mul(load(16, I, column + n_units), x_j))
            e = add(e, mul(load(16, I, column + 2 * n_units), x_j))
        u = add(u, load(16, a, i))
        r = add(r, load(16, a, n_units + i))
        # 2) r = sigmoid(r), then e += r o a_e
        r_den, v_den = sigmoid_den(r), sigmoid_den(sub(broadcast(16, np.float32(0.0)), u))
        r = div(one, r_den)
        e = add(e, mul(r, load(16, a, 2 * n_units + i)))
        # 3) v = 1 - u = sigmoid(-u) and e = tanh(e) share one division
        e = tanh_clamp(e)
        y = mul(e, e)
        e_den = tanh_den(y)
        d = div(one, mul(v_den, e_den))
        v = mul(e_den, d)
        e = mul(tanh_num(e, y), mul(v_den, d))
        # 4) h = u o h + (1 - u) o e = h + v o (e - h)
        h_i = load(16, h, i)
        store(h, i, add(h_i, mul(v, sub(e, h_i))))


# tanh on [0, 4) as eight cubics in Q15 over segments of 1/2, t = the fraction of the segment:
# C0 + t (C1 + t (C2 + t C3)). Fitted as above, then polished over all inputs with the rounding of mulhrs. The last
# segment is a straight line to 32767 instead of tanh(4): a trained u must come as close to 1 as it likes, or long
# memories fade (stopping at 0.99966 cost 0.05 nats a sample).
TANH_C0 = np.array([-2, 15140, 24957, 29662, 31590, 32331, 32604, 32710], np.int16)
TANH_C1 = np.array([16447, 12943, 6872, 2947, 1157, 436, 160, 57], np.int16)
TANH_C2 = np.array([-280, -3280, -2612, -1273, -532, -215, -74, 0], np.int16)
TANH_C3 = np.array([-1025, 151, 444, 252, 114, 56, 18, 0], np.int16)


def _make_tanh_q15(shift):
    """Q15 tanh of x in units of 2^-(shift + 1): shift 9 reads Q10 as it is, shift 10 halves it."""
    x_max = np.int16((8 << shift) - 1)

    @register_jitable(**OVERLOAD)
    def tanh_q15(x):
        x_abs = min_abs(x, broadcast(SHORTS, x_max))
        s, t = segment(x_abs, shift), fraction(x_abs, shift)
        y = add_mulhrs(lookup(TANH_C2, s), t, lookup(TANH_C3, s))
        y = add_mulhrs(lookup(TANH_C1, s), t, y)
        y = add_mulhrs(lookup(TANH_C0, s), t, y)
        return copy_sign(y, x)

    return tanh_q15


tanh_q15, tanh_half_q15 = _make_tanh_q15(9), _make_tanh_q15(10)


@register_jitable(**OVERLOAD)
def sigmoid_q15(x):
    """Q15 sigmoid of Q10: halfway from tanh(x / 2) to 1"""
    return halfway(tanh_half_q15(x))


def _gates_q(n_x, unshifted):
    """The body of gates_q for one number of inputs, or for any (None), and for I_shift = 0, or for any"""
    known, inputs = n_x is not None, n_x or 1

    def gates_q_shifted(n_units, first, n_x, a, g, I, I_shift, x, h, h_q):
        n_x = inputs if known else n_x
        for i in range(first, first + n_units // 2, SHORTS):
            # 1) u, r, e before their nonlinearities: I* x, then + g
            x_0 = broadcast(SHORTS, at(x, 0))
            u = mulhrs(load(SHORTS, I, i), x_0)
            r = mulhrs(load(SHORTS, I, n_units + i), x_0)
            e = mulhrs(load(SHORTS, I, 2 * n_units + i), x_0)
            for j in range(1, n_x):
                column = 3 * n_units * j + i
                x_j = broadcast(SHORTS, at(x, j))
                u = adds_mulhrs(u, load(SHORTS, I, column), x_j)
                r = adds_mulhrs(r, load(SHORTS, I, column + n_units), x_j)
                e = adds_mulhrs(e, load(SHORTS, I, column + 2 * n_units), x_j)
            for _ in range(0 if unshifted else I_shift):
                u, r, e = adds(u, u), adds(r, r), adds(e, e)
            u = adds(u, load(SHORTS, g, i))
            r = adds(r, load(SHORTS, g, n_units + i))
            e = adds(e, load(SHORTS, g, 2 * n_units + i))
            # 2) r = sigmoid(r + a_r), u = sigmoid(u + a_u)
            r = sigmoid_q15(adds(r, load(SHORTS, a, n_units + i)))
            u = sigmoid_q15(adds(u, load(SHORTS, a, i)))
            # 3) e = tanh(e + r o a_e)
            e = tanh_q15(adds_mulhrs(e, r, load(SHORTS, a, 2 * n_units + i)))
            # 4) h = u o h + (e - u o e)
            e = sub(e, mulhrs(u, e))
            e = add_mulhrs(e, u, load(SHORTS, h, i))
            store(h, i, e)
            store_q(h_q, i, e)

    return apart(gates_q_shifted)


# Of the coarse and of the fine half, without and with linear prediction (predict.N_X)
_2, _3, _7, _8, _any = _gates_q(2, True), _gates_q(3, True), _gates_q(7, True), _gates_q(8, True), _gates_q(None, False)


@register_jitable(**OVERLOAD)
def gates_q(n_units, first, n_x, a, g, I, I_shift, x, h, h_q):  # noqa: E741, N803
    """`gates` in 16-bit fixed point; also leaves h in 8 bits. x : (8,) int16 Q15

    a, g : (3N,) int16 Q10    I : (3N n_x,) int16, I_shift : derive.quantize_I    h : (N,) int16 Q15    h_q : (N,) int8
    """
    in_, out = (pointer(a), pointer(g), pointer(I), I_shift, pointer(x)), (pointer(h), pointer(h_q))
    arguments = (n_units, first, n_x, *in_, *out)
    case = n_x if I_shift == 0 else 0
    if case == 2:
        _2(arguments)
    elif case == 3:
        _3(arguments)
    elif case == 7:
        _7(arguments)
    elif case == 8:
        _8(arguments)
    else:
        _any(arguments)
