"""Masked dense -> values, row_ptr, col_idx; and back. NumPy only.

Usage: ``m = block_matrix("R", dense, mask, bias, "int8", (16, 4), x_scale=127.0)``; ``dense_of(m)``
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from wv_runtime.model.binary import DTYPES, Matrix

from .quantize import quantize_rows


def to_blocks(
    dense: NDArray[Any], mask: NDArray[np.bool_], block_h: int, block_w: int, row_major: bool = False
) -> tuple[NDArray[Any], NDArray[np.int32], NDArray[np.uint16]]:
    """Keep every block in which the mask has a True.

    dense, mask : (rows, cols), multiples of the block; dense is zero wherever the mask is False

    Returns
    -------
    values  : (nnz_blocks * block_h * block_w,), each block column-major, or row-major if asked
    row_ptr : (n_block_rows + 1,) int32
    col_idx : (nnz_blocks,) uint16
    """
    rows, cols = dense.shape
    grid = (rows // block_h, block_h, cols // block_w, block_w)
    keep = mask.reshape(grid).any(axis=(1, 3))  # (n_block_rows, n_block_cols)
    blocks = dense.reshape(grid).transpose(0, 2, 1, 3)[keep]  # (nnz_blocks, block_h, block_w)
    values = blocks if row_major else blocks.transpose(0, 2, 1)
    row_ptr = np.concatenate([[0], np.cumsum(keep.sum(axis=1))])
    return np.ascontiguousarray(values).ravel(), row_ptr.astype(np.int32), np.nonzero(keep)[1].astype(np.uint16)


def block_matrix(
    name: str,
    dense: NDArray[Any],
    mask: NDArray[np.bool_],
    bias: NDArray[Any],
    dtype: str,
    block: tuple[int, int],
    x_scale: float = 0.0,
    x_zero: int = 0,
) -> Matrix:
    """A Matrix of the file from dense weights; in int8, x_scale and x_zero say how its input is quantised.

    dense, mask : (rows, cols)   bias : (rows,)   computed in float64, rounded once
    """
    (rows, cols), (block_h, block_w) = dense.shape, block
    dense, bias = np.where(mask, dense, 0).astype(np.float64), np.asarray(bias, np.float64)
    if dtype != "int8":
        with np.errstate(over="ignore"):  # format.pack refuses an infinity
            blocks = to_blocks(dense.astype(DTYPES[dtype]), mask, block_h, block_w)
        return Matrix(name, rows, cols, block_h, block_w, *blocks, bias.astype(np.float32))
    w, s_w = quantize_rows(dense)
    # the runtime takes the bias in units of scale: where no weight sets the scale, make the bias exact to 2^-20
    scale = np.where(w.any(axis=1), s_w / x_scale, np.maximum(np.abs(bias), 1e-6) / 2**20)
    # y = scale * sum(w (q - x_zero)) + bias; the constant part of the sum moves into the bias
    bias = bias - scale * x_zero * w.sum(axis=1, dtype=np.int64)
    blocks = to_blocks(w, mask, block_h, block_w, row_major=True)
    return Matrix(
        name, rows, cols, block_h, block_w, *blocks, bias.astype(np.float32), scale.astype(np.float32), x_scale, x_zero
    )


def stored(m: Matrix) -> NDArray[Any]:
    """(rows, cols) the stored values at their places, zero elsewhere, in the matrix's own dtype."""
    if m.dtype == "int8":
        blocks = m.values.reshape(-1, m.block_h, m.block_w)
    else:
        blocks = m.values.reshape(-1, m.block_w, m.block_h).transpose(0, 2, 1)
    grid = np.zeros((m.n_block_rows, m.cols // m.block_w, m.block_h, m.block_w), m.values.dtype)
    grid[np.repeat(np.arange(m.n_block_rows), np.diff(m.row_ptr)), m.col_idx] = blocks
    return grid.transpose(0, 2, 1, 3).reshape(m.rows, m.cols)


def dense_of(m: Matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(W, b) in float64 such that y = W x + b is what the matrix means, but for the quantisation of x."""
    w, b = stored(m).astype(np.float64), m.bias.astype(np.float64)
    if m.scale is None:
        return w, b
    scale = m.scale.astype(np.float64)
    return w * (scale * m.x_scale)[:, None], b + scale * m.x_zero * w.sum(axis=1)
