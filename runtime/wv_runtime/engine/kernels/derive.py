"""What the kernels want beside the file's arrays, made once from a model.

C twin: libwavernn/core/derive.c
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .simd import Q_BIAS


def start(m: Any, q_bias: int = Q_BIAS) -> NDArray[np.int32]:
    """(rows,) What the dot products of an int8 format.Matrix start from: the bias in units of scale.

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
