"""The recurrence of the WaveRNN cell over a window on a CPU, forward and backward; gru_cuda.py is its twin for GPUs.

torch's own CPU GRU runs a dozen small operations a time step and adds to dR after each of them. Here a step is one GEMM
and one pass over the gates, and dR is a single GEMM over the whole window; the window's input contributions are never
materialised, since C3 b is constant over a sub-frame and I* has few columns.

    a_t = R h_{t-1} + b_R,   p_t = I* x_t + g_t
    v_t = 1 - u_t = sigmoid(-(a_u + p_u)),   r_t = sigmoid(a_r + p_r),   e_t = tanh(r_t o a_e + p_e)
    h_t = h_{t-1} + v_t o (e_t - h_{t-1})

v is kept instead of u because trained gates come within 1e-6 of 1. Exponentials are a polynomial with a relative error
of 2e-7: Numba vectorises it, libm's it would call one by one.

int8 is the arithmetic of the runtime's int8 models (docs/numerics.md): R reads h in 8 bits, a is in Q10, v, r, e and h
are in Q15. Gradients pass the roundings as if they were not there (straight-through, Bengio et al. 2013,
arXiv:1308.3432).

Usage: ``y = Recurrence.apply(x, g, I, R, b_R, h, False)``
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from numba import types
from numba.extending import overload
from torch import Tensor

# Fused multiply-adds are welcome in training, reassociation is not: it would undo the rounding in _exp.
_FLAGS = {"contract", "nnan", "ninf", "nsz", "arcp"}
_jit = numba.njit(fastmath=_FLAGS, cache=True, error_model="numpy")
Q7, Q10, Q15 = np.float32(128), np.float32(1024), np.float32(32768)
# |d loss / d h_t| of a unit is at most so many times the root mean square of what the outputs add to it (the derivative
# clipping of Graves 2013, arXiv:1308.0850): gradients through time can grow by powers of ten in one lane of a batch,
# and neither the norm's limit nor Muon, whose steps have one length, keeps such a lane from setting the direction.
CLIP_STATE = 256.0
ROUND = np.float32(12582912)  # 1.5 * 2^23: adding it leaves the nearest integer in the low bits
LOG2E = np.float32(1.4426950408889634)
# 2^f on [-0.5, 0.5]: Taylor coefficients ln(2)^k / k!
E1, E2, E3, E4, E5, E6 = (np.float32(c) for c in (
    0.6931471805599453, 0.2402265069591007, 0.05550410866482158, 0.009618129107628477, 0.0013333558146428443,
    0.00015403530393381608))  # fmt: skip


@numba.njit(fastmath=_FLAGS, inline="always", error_model="numpy")
def _exp(x):  # type: ignore[no-untyped-def]
    z = min(max(x * LOG2E, np.float32(-40)), np.float32(40))
    shifted = np.float32(z + ROUND)
    f = z - (shifted - ROUND)
    p = np.float32(1) + f * (E1 + f * (E2 + f * (E3 + f * (E4 + f * (E5 + f * E6)))))
    power = np.int32(np.int32(np.float32(shifted).view(np.int32) << np.int32(23)) + np.int32(0x3F800000))
    return p * np.int32(power).view(np.float32)


def widen(a: Any, x: Any) -> None:
    """x = a, for a in float32 or the bits of bfloat16."""


def narrow(x: Any, a: Any) -> None:
    """a = x, rounded to nearest even if a holds the bits of bfloat16."""


@overload(widen)
def _(a, x):  # type: ignore[no-untyped-def]
    def copy(a, x):  # type: ignore[no-untyped-def]
        for j in range(len(x)):
            x[j] = a[j]

    def from_bfloat16(a, x):  # type: ignore[no-untyped-def]
        bits = x.view(np.uint32)
        for j in range(len(x)):
            bits[j] = np.uint32(a[j]) << np.uint32(16)

    return copy if a.dtype == types.float32 else from_bfloat16


@overload(narrow)
def _(x, a):  # type: ignore[no-untyped-def]
    def copy(x, a):  # type: ignore[no-untyped-def]
        for j in range(len(x)):
            a[j] = x[j]

    def to_bfloat16(x, a):  # type: ignore[no-untyped-def]
        bits = x.view(np.uint32)
        for j in range(len(x)):
            b = bits[j]
            a[j] = np.uint32(b + np.uint32(0x7FFF) + ((b >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)

    return copy if a.dtype == types.float32 else to_bfloat16


@numba.njit(fastmath=_FLAGS, error_model="numpy")
def _round(rows, scale):  # type: ignore[no-untyped-def]
    """To the nearest multiple of 1 / scale, in place."""
    for row in rows:
        for j in range(len(row)):
            row[j] = ((row[j] * scale + ROUND) - ROUND) / scale


@_jit
def gates_forward(t, sub_length, int8, x, g, I, a, h0, y, saved):  # type: ignore[no-untyped-def]
    """One time step for all lanes. One short loop per array written: with more, LLVM gives up on vectorising.

    x : (T, B, n_x)   g : (S, B, 3N)   I : (n_x, 3N)   a : (B, 3N) = R h_{t-1} + b_R   h0 : (B, N), all float32
    Writes y[t] : (B, N) and saved[t] : (4, B, N) = v, r, e, a_e
    """
    N = y.shape[2]
    one = np.float32(1)
    h = h0 if t == 0 else y[t - 1]
    if int8:
        _round(a, Q10)
    q = np.empty(3 * N, np.float32)
    for i in range(y.shape[1]):
        p, ai, hi, yi = g[t // sub_length, i], a[i], h[i], y[t, i]
        v, r, e, a_e = saved[t, 0, i], saved[t, 1, i], saved[t, 2, i], saved[t, 3, i]
        for j in range(3 * N):
            q[j] = p[j]
        for c in range(x.shape[2]):
            xc = x[t, i, c]
            for j in range(3 * N):
                q[j] += I[c, j] * xc
        for j in range(N):
            v[j] = one / (one + _exp(q[j] + ai[j]))
        for j in range(N):
            r[j] = one / (one + _exp(-(q[j + N] + ai[j + N])))
        for j in range(N):
            k = j + 2 * N
            e[j] = one - np.float32(2) / (one + _exp(np.float32(2) * (q[k] + r[j] * ai[k])))
        for j in range(N):
            a_e[j] = ai[j + 2 * N]
        if int8:
            for j in range(N):
                v[j] = max(v[j], one / Q15)  # the largest u is 32767
            _round(saved[t, :3, i], Q15)
        for j in range(N):
            yi[j] = hi[j] + v[j] * (e[j] - hi[j])
    if int8:
        _round(y[t], Q15)


@_jit
def gates_backward(t, sub_length, limit, x, dy, h0, y, saved, back, dh, D, dg, dI, db_e):  # type: ignore[no-untyped-def]
    """One time step back.

    limit : of |d|, the gradient of h_t
    dy : (T, B, N)   back : (B, N) = D[t + 1] R   dh : (B, N), what passes u_{t+1}; replaced by what passes u_t
    Writes D[t] : (B, 3N), the gradient of a_t; adds to dg : (S, B, 3N), dI : (n_x, 3N) and db_e : (N,)
    """
    N = y.shape[2]
    one = np.float32(1)
    h = h0 if t == 0 else y[t - 1]
    d, da, dp_e = np.empty(N, np.float32), np.empty(3 * N, np.float32), np.empty(N, np.float32)
    for i in range(y.shape[1]):
        hi, dyi, dhi, dgi = h[i], dy[t, i], dh[i], dg[t // sub_length, i]
        v, r, e, a_e = saved[t, 0, i], saved[t, 1, i], saved[t, 2, i], saved[t, 3, i]
        widen(back[i], d)
        for j in range(N):
            d[j] = min(max(d[j] + dyi[j] + dhi[j], -limit), limit)
        for j in range(N):
            dp_e[j] = d[j] * v[j] * (one - e[j] * e[j])
        for j in range(N):
            da[j] = d[j] * (hi[j] - e[j]) * v[j] * (one - v[j])
        for j in range(N):
            da[j + N] = dp_e[j] * a_e[j] * r[j] * (one - r[j])
        for j in range(N):
            da[j + 2 * N] = dp_e[j] * r[j]
        for j in range(N):
            dhi[j] = d[j] * (one - v[j])
        for j in range(2 * N):
            dgi[j] += da[j]
        for j in range(N):
            dgi[j + 2 * N] += dp_e[j]
            db_e[j] += da[j + 2 * N]
        for c in range(dI.shape[0]):
            xc = x[t, i, c]
            for j in range(2 * N):
                dI[c, j] += xc * da[j]
            for j in range(N):
                dI[c, j + 2 * N] += xc * dp_e[j]
        narrow(da, D[t, i])


def to_8_bits(h: Tensor) -> Tensor:
    """h as R, O1 and O3 of an int8 model read it: multiples of 1/128, at most 127/128."""
    return (h * 128).round_().clamp_(max=127).div_(128)


class Recurrence(torch.autograd.Function):
    """y : (T, B, N), the states h_1..h_T. All float32 and on the CPU.

    x : (T, B, n_x), bytes in [-1, 1]; no gradient   g : (S, B, 3N) = C3 b + b_C3, T a multiple of S
    I : (3N, n_x)   R : (3N, N)   b_R : (3N,)   h : (B, N)   int8 : bool; R is then given as it will be stored

    Under autocast the GEMMs of the backward pass run in bfloat16.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, g: Tensor, I: Tensor, R: Tensor, b_R: Tensor, h: Tensor, int8: bool) -> Tensor:
        T, B, _ = x.shape
        N = R.shape[1]
        y, saved, a = x.new_empty(T, B, N), x.new_empty(T, 4, B, N), x.new_empty(B, 3 * N)
        x, g, h, Rt, It = x.contiguous(), g.contiguous(), h.contiguous(), R.t().contiguous(), I.t().contiguous()
        arrays = [w.detach().numpy() for w in (x, g, It, a, h, y, saved)]
        step = T // g.shape[0]
        before = [h, *y.unbind(0)]
        for t in range(T):
            torch.addmm(b_R, to_8_bits(before[t]) if int8 else before[t], Rt, out=a)
            gates_forward(t, step, int8, *arrays)
        ctx.save_for_backward(x, g, R, h, y, saved)
        ctx.int8, ctx.dtype = int8, torch.bfloat16 if torch.is_autocast_enabled("cpu") else torch.float32
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, g, R, h, y, saved = ctx.saved_tensors
        T, B, N = y.shape
        S = g.shape[0]
        D = torch.empty(T, B, 3 * N, dtype=ctx.dtype)
        back, dh, dg = torch.zeros(B, N, dtype=ctx.dtype), torch.zeros_like(h), torch.zeros_like(g)
        dI, db_e = x.new_zeros(x.shape[2], 3 * N), x.new_zeros(N)
        arrays = [_bits(w.detach()) for w in (x, dy.contiguous(), h, y, saved, back, dh, D, dg, dI, db_e)]
        limit = np.float32(CLIP_STATE * float(dy.square().mean().sqrt()))
        da, Rd = D.unbind(0), R.to(ctx.dtype)
        for t in reversed(range(T)):
            gates_backward(t, T // S, limit, *arrays)
            torch.mm(da[t], Rd, out=back)
        before = torch.cat([h[None], y[:-1]]).view(T * B, N)
        dR = D.view(T * B, 3 * N).t() @ (to_8_bits(before) if ctx.int8 else before).to(ctx.dtype)
        db = torch.cat([dg[..., : 2 * N].sum((0, 1)), db_e])
        return None, dg, dI.t(), dR.float(), db, dh + back.float(), None


def _bits(w: Tensor) -> np.ndarray[Any, Any]:
    """The array of a tensor; Numba takes bfloat16 as bits."""
    return w.view(torch.uint16).numpy() if w.dtype == torch.bfloat16 else w.numpy()
