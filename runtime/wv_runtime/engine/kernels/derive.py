"""What the kernels want beside the file's arrays, made once from a model.

C twin: libwavernn/core/derive.c
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .simd import Q_BIAS


def start(m: Any, q_bias: int = Q_BIAS) -> NDArray[np.int32]:
    """(rows,) What the dot products of an int8 weights.Matrix start from: the bias in units of scale.

    Where inputs are kept as q + q_bias, less q_bias times the sum of the row.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        v = np.floor(m.bias.astype(np.float64) / m.scale.astype(np.float64) + 0.5)
    start = np.where(v > -(2.0**30), np.where(v < 2.0**30, v, 2.0**30), -(2.0**30)).astype(np.int32)
    quads = m.values.reshape(-1, m.block_h, m.block_w).sum(2, dtype=np.int32)  # (nnz_blocks, block_h)
    sums = np.zeros((m.n_block_rows, m.block_h), np.int32)
    np.add.at(sums, np.repeat(np.arange(m.n_block_rows), np.diff(m.row_ptr)), quads)
    return start - q_bias * sums.reshape(-1)


def quantize_I(I: NDArray[np.float32], lpc_order: int) -> tuple[NDArray[np.int16], int]:  # noqa: E741, N802, N803
    """I* in fixed point: mulhrs(I_q, x), doubled `shift` times, is I x in Q10. x is Q15; the paper's bytes reach 32640.

    I : (n_x, 3N) float32 -> I_q : (3N n_x,) int16, shift : 0..10
    """
    largest, scale, shift = float(np.abs(I).max()), 1024.0 if lpc_order > 0 else 1024.0 * 32768.0 / 32640.0, 0
    while shift < 10 and largest * scale > 32767.0:
        scale, shift = scale / 2, shift + 1
    v = np.floor(I.astype(np.float64).reshape(-1) * scale + 0.5)
    return np.clip(v, -32767, 32767).astype(np.int16), shift


def lane_q10(lane: NDArray[np.float32]) -> NDArray[np.int16]:
    """What lanes add to g, in Q10, by the rule of the products. Any shape."""
    v = lane * np.float32(1024) + np.float32(32768.5)
    return (np.clip(v, np.float32(0), np.float32(65535)).astype(np.int32) - 32768).astype(np.int16)


class Fours(NamedTuple):
    """Block rows of 4 int8 rows, four of them side by side, for vectors of 16 rows: a step holds a block of each."""

    values: NDArray[np.int8]  # (n_steps * 64,): (n_steps, 16, 4)
    step_ptr: NDArray[np.int32]  # (n + 1,) four i owns steps step_ptr[i] up to, not including, step_ptr[i + 1]
    col_idx: NDArray[np.uint16]  # (n_steps * 4,): (n_steps, 4) block columns
    row: NDArray[np.int32]  # (n * 4,): (n, 4) which block rows they are
    start: NDArray[np.int32]  # (n * 16,) of their rows
    scale: NDArray[np.float32]  # (n * 16,)


def fours(m: Any, start: NDArray[np.int32]) -> Fours:
    """Of an int8 weights.Matrix of block_h 4. Rows of about as many blocks go together; the rest is zeros."""
    length = np.diff(m.row_ptr)
    row = np.argsort(length, kind="stable").astype(np.int32)
    steps = length[row[3::4]]  # the longest of each four
    step_ptr = np.concatenate([[0], np.cumsum(steps)]).astype(np.int32)
    # where block k of the file goes: to the four and the lane of its row, at its place in the row
    four, lane = np.empty_like(row), np.empty_like(row)
    four[row], lane[row] = np.arange(len(row)) // 4, np.arange(len(row)) % 4
    of = np.repeat(np.arange(len(row)), length)
    to = 4 * (step_ptr[four[of]] + np.arange(len(of)) - m.row_ptr[of]) + lane[of]
    col_idx, values = np.zeros(4 * step_ptr[-1], np.uint16), np.zeros((4 * step_ptr[-1], 16), np.int8)
    col_idx[to], values[to] = m.col_idx, m.values.reshape(-1, 16)
    rows = (4 * row[:, None] + np.arange(4)).reshape(-1)
    return Fours(values.reshape(-1), step_ptr, col_idx, row, start[rows], m.scale[rows])
