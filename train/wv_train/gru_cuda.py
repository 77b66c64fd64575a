"""The recurrence of gru.py on a GPU, in Triton: one kernel a time step, forward and backward.

A kernel computes a tile of lanes x units: the rows of R h of its three gates, then the gates and the new state. So a
step is one launch, and R is read once per row of tiles instead of once per lane. A CUDA graph (update.py) makes the
launches cheap. The equations and the roundings of int8 are gru.py's.

Matrix products read their operands in `dtype`, bfloat16 or float32, and sum in float32. For int8 the operands are
integers of at most 8 bits, which bfloat16 holds exactly. Up to 2064 units no sum reaches 2^24, so products are exact.

Usage: ``y, h = RecurrenceCuda.apply(x, g, I, R, b_R, h, None, torch.bfloat16, True)``
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from .gru import CLIP_STATE

N_SAVED = 5  # v, r, e, a_e, h_{t-1} - e
ROUND = tl.constexpr(12582912.0)  # 1.5 * 2^23: adding it leaves the nearest integer in the low bits


@triton.jit
def on_grid(x, scale: tl.constexpr):  # type: ignore[no-untyped-def]
    """To the nearest multiple of 1 / scale."""
    return ((x * scale + ROUND) - ROUND) * (1.0 / scale)


@triton.jit
def gate_input(x, g, I, n_x: tl.constexpr, rows, live, j, width: tl.constexpr):  # type: ignore[no-untyped-def]
    """p = I* x + g of a tile; j : columns, of `width`"""
    p = tl.load(g + rows[:, None] * width + j[None, :], mask=live[:, None], other=0.0)
    for c in tl.static_range(n_x):
        x_c = tl.load(x + rows * n_x + c, mask=live, other=0.0)
        p += x_c[:, None] * tl.load(I + c * width + j)[None, :]
    return p


@triton.jit(do_not_specialize=["t"])
def forward_step(  # type: ignore[no-untyped-def]
    x, g, I, R, scale, b_R, h, q, saved, t, B,
    sub_length: tl.constexpr, n_x: tl.constexpr, N: tl.constexpr, int8: tl.constexpr, keep: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    """Step t of a tile of BM lanes x BN units.

    x : (T, B, n_x)   g : (S, B, 3N)   I : (n_x, 3N)   scale, b_R : (3N,)   h : (B, N), replaced; all float32
    R : (3N, N)   q : (T + 1, B, N), q[t] is h_{t-1} as R reads it; writes q[t + 1]
    saved : (T, 5, B, N), written if `keep`
    """
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    cols = tl.program_id(1) * BN + tl.arange(0, BN)
    live = rows < B
    own = rows[:, None] * N + cols[None, :]
    step = t.to(tl.int64) * B
    x += step * n_x
    g += (t // sub_length).to(tl.int64) * B * 3 * N
    q += step * N
    old = tl.load(h + own, mask=live[:, None], other=0.0)
    # 1) R h_{t-1}
    k = tl.arange(0, BK)
    before = q + rows[:, None] * N + k[None, :]
    R_u = R + cols[None, :] * N + k[:, None]
    a_u = tl.zeros((BM, BN), tl.float32)
    a_r = tl.zeros((BM, BN), tl.float32)
    a_e = tl.zeros((BM, BN), tl.float32)
    for k0 in range(0, N, BK):
        y = tl.load(before + k0, mask=live[:, None], other=0.0)
        a_u = tl.dot(y, tl.load(R_u + k0), a_u, input_precision="ieee")
        a_r = tl.dot(y, tl.load(R_u + N * N + k0), a_r, input_precision="ieee")
        a_e = tl.dot(y, tl.load(R_u + 2 * N * N + k0), a_e, input_precision="ieee")
    a_u = a_u * tl.load(scale + cols)[None, :] + tl.load(b_R + cols)[None, :]
    a_r = a_r * tl.load(scale + N + cols)[None, :] + tl.load(b_R + N + cols)[None, :]
    a_e = a_e * tl.load(scale + 2 * N + cols)[None, :] + tl.load(b_R + 2 * N + cols)[None, :]
    if int8:
        a_u, a_r, a_e = on_grid(a_u, 1024.0), on_grid(a_r, 1024.0), on_grid(a_e, 1024.0)
    # 2) gates and the new state
    p_u = gate_input(x, g, I, n_x, rows, live, cols, 3 * N)
    p_r = gate_input(x, g, I, n_x, rows, live, N + cols, 3 * N)
    p_e = gate_input(x, g, I, n_x, rows, live, 2 * N + cols, 3 * N)
    v = tl.sigmoid(-(a_u + p_u))
    r = tl.sigmoid(a_r + p_r)
    e = 1.0 - 2.0 * tl.sigmoid(-2.0 * (r * a_e + p_e))
    if int8:
        v = on_grid(tl.maximum(v, 1.0 / 32768), 32768.0)  # the largest u is 32767
        r, e = on_grid(r, 32768.0), on_grid(e, 32768.0)
    if keep:
        kept = saved + step * 5 * N + own
        tl.store(kept, v, mask=live[:, None])
        tl.store(kept + B * N, r, mask=live[:, None])
        tl.store(kept + 2 * B * N, e, mask=live[:, None])
        tl.store(kept + 3 * B * N, a_e, mask=live[:, None])
        tl.store(kept + 4 * B * N, old - e, mask=live[:, None])
    new = old + v * (e - old)
    if int8:
        new = on_grid(new, 32768.0)
    tl.store(h + own, new, mask=live[:, None])
    if int8:
        new = tl.minimum(on_grid(new, 128.0), 127.0 / 128)
    tl.store(q + B * N + own, new, mask=live[:, None])


@triton.jit(do_not_specialize=["t"])
def backward_step(  # type: ignore[no-untyped-def]
    dy, R, saved, limit, dh, D, t, B, N: tl.constexpr, last: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    """Step t back of a tile.

    dy : (T, B, N)   R : (3N, N)   saved : (T, 5, B, N)   limit : (1,) float32
    dh : (B, N) float32, what passes u_{t+1}; replaced by what passes u_t
    D  : (T, B, 4N), the gradients of a_u, a_r, a_e and p_e; reads D[t + 1] unless `last`, writes D[t]
    """
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    cols = tl.program_id(1) * BN + tl.arange(0, BN)
    live = rows < B
    own = rows[:, None] * N + cols[None, :]
    step = t.to(tl.int64) * B
    D += step * 4 * N
    kept = saved + step * 5 * N + own
    v = tl.load(kept, mask=live[:, None], other=0.0)
    r = tl.load(kept + B * N, mask=live[:, None], other=0.0)
    e = tl.load(kept + 2 * B * N, mask=live[:, None], other=0.0)
    a_e = tl.load(kept + 3 * B * N, mask=live[:, None], other=0.0)
    h_e = tl.load(kept + 4 * B * N, mask=live[:, None], other=0.0)
    d = tl.load(dy + step * N + own, mask=live[:, None], other=0.0).to(tl.float32)
    if not last:
        d += tl.load(dh + own, mask=live[:, None], other=0.0)
        j = tl.arange(0, BK)
        after = D + B * 4 * N + rows[:, None] * (4 * N) + j[None, :]
        R_j = R + j[:, None] * N + cols[None, :]
        for j0 in range(0, 3 * N, BK):
            da = tl.load(after + j0, mask=live[:, None], other=0.0)
            d = tl.dot(da, tl.load(R_j + j0 * N), d, input_precision="ieee")
    most = tl.load(limit)
    d = tl.minimum(tl.maximum(d, -most), most)
    v, r, e, a_e, h_e = v.to(tl.float32), r.to(tl.float32), e.to(tl.float32), a_e.to(tl.float32), h_e.to(tl.float32)
    dp_e = d * v * (1.0 - e * e)
    da = D + rows[:, None] * (4 * N) + cols[None, :]
    tl.store(da, d * h_e * v * (1.0 - v), mask=live[:, None])
    tl.store(da + N, dp_e * a_e * r * (1.0 - r), mask=live[:, None])
    tl.store(da + 2 * N, dp_e * r, mask=live[:, None])
    tl.store(da + 3 * N, dp_e, mask=live[:, None])
    tl.store(dh + own, d * (1.0 - v), mask=live[:, None])


def tiles(B: int, N: int, dtype: torch.dtype) -> tuple[tuple[int, int], dict[str, int]]:
    """The grid, and the tile's sizes and warps, for about one tile per multiprocessor."""
    BN = 64 if N >= 512 else 32
    BK = 128 // dtype.itemsize
    return (triton.cdiv(B, 64), N // BN), {"BM": 64, "BN": BN, "BK": BK, "num_warps": BN // 8, "num_stages": 4}


class RecurrenceCuda(torch.autograd.Function):
    """(y, h): y : (T, B, N) in `dtype`, the states as their readers read them; h : (B, N) float32, the last one.

    x : (T, B, n_x); no gradient   g : (S, B, 3N) = C3 b + b_C3, T a multiple of S
    I : (3N, n_x)   R : (3N, N)   b_R : (3N,)   h : (B, N); no gradient. All float32
    scale : (3N,), of the rows of R, whose multiples R has for int8; None otherwise   keep : whether to go back
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, g: Tensor, I: Tensor, R: Tensor, b_R: Tensor, h: Tensor, scale: Tensor | None,
        dtype: torch.dtype, keep: bool,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        T, B, n_x = x.shape
        N, S, int8 = R.shape[1], g.shape[0], scale is not None
        q = x.new_empty(T + 1, B, N, dtype=dtype)
        saved = x.new_empty((T, N_SAVED, B, N) if keep else 1, dtype=dtype)
        x, g, It, h = x.contiguous(), g.float().contiguous(), I.float().t().contiguous(), h.float().clone()
        q[0] = (h * 128).round_().clamp_(max=127).div_(128) if int8 else h
        if scale is None:
            rows, W = torch.ones_like(b_R), R.to(dtype)
        else:
            rows, W = scale, (R / scale[:, None]).round_().to(dtype)
        grid, sizes = tiles(B, N, dtype)
        for t in range(T):
            forward_step[grid](
                x, g, It, W, rows, b_R, h, q, saved, t, B,
                sub_length=T // S, n_x=n_x, N=N, int8=int8, keep=keep, **sizes,
            )  # fmt: skip
        ctx.save_for_backward(x, R.to(dtype), saved, q)
        ctx.S = S
        ctx.mark_non_differentiable(h)
        return q[1:], h

    @staticmethod
    def backward(ctx: Any, dy: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        x, R, saved, q = ctx.saved_tensors
        T, B, N = dy.shape
        dy = dy.contiguous()
        D, dh = dy.new_empty(T, B, 4 * N, dtype=R.dtype), x.new_empty(B, N)
        limit = CLIP_STATE * torch.linalg.vector_norm(dy, dtype=torch.float32).div(dy.numel() ** 0.5).reshape(1)
        grid, sizes = tiles(B, N, R.dtype)
        for t in reversed(range(T)):
            backward_step[grid](dy, R, saved, limit, dh, D, t, B, N=N, last=t == T - 1, **sizes)
        flat = D.view(T * B, 4 * N)
        dR = flat[:, : 3 * N].t() @ q[:-1].reshape(T * B, N)
        x = x.view(T * B, -1).to(R.dtype)
        dI = torch.cat([flat[:, : 2 * N].t() @ x, flat[:, 3 * N :].t() @ x])
        sums = D.view(ctx.S, T // ctx.S, B, 4 * N).sum(1, dtype=torch.float32)
        dg = torch.cat([sums[..., : 2 * N], sums[..., 3 * N :]], -1)
        db = sums[..., : 3 * N].sum((0, 1))
        return None, dg, dI.float(), dR.float(), db, None, None, None, None


@triton.jit
def cross_entropy_rows(z, target, dz, loss, n, BM: tl.constexpr):  # type: ignore[no-untyped-def]
    """BM rows of z : (n, 256), target : (n,) int64 -> loss : (n,) float32 and dz : (n, 256), its gradient over n"""
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    byte = tl.arange(0, 256)
    live = rows < n
    at = rows.to(tl.int64)[:, None] * 256 + byte[None, :]
    x = tl.load(z + at, mask=live[:, None], other=0.0).to(tl.float32)
    drawn = byte[None, :] == tl.load(target + rows, mask=live, other=0)[:, None]
    most = tl.max(x, 1)
    e = tl.exp(x - most[:, None])
    total = tl.sum(e, 1)
    tl.store(loss + rows, most + tl.log(total) - tl.sum(tl.where(drawn, x, 0.0), 1), mask=live)
    tl.store(dz + at, (e / total[:, None] - tl.where(drawn, 1.0, 0.0)) / n, mask=live[:, None])


class CrossEntropyCuda(torch.autograd.Function):
    """Mean cross-entropy in one pass over the logits, forward and backward. z : (n, 256)   target : (n,) int64"""

    @staticmethod
    def forward(ctx: Any, z: Tensor, target: Tensor) -> Tensor:
        n, BM = len(z), 16
        z, target = z.contiguous(), target.contiguous()
        dz, loss = torch.empty_like(z), torch.empty(n, device=z.device)
        cross_entropy_rows[(triton.cdiv(n, BM),)](z, target, dz, loss, n, BM=BM)
        ctx.save_for_backward(dz)
        return loss.mean()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.saved_tensors[0] * grad, None
