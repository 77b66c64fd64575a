"""Blocks: their shapes and names, masked dense matrices to block-CSR and back, int8 weights. NumPy only.

Usage: ``m = block_matrix("R", dense, mask, bias, "int8", (16, 4), x_scale=127.0)``; ``dense_of(m)``
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wv_runtime.model.layout import BLOCK_H, BLOCK_W, DTYPES
from wv_runtime.model.weights import Matrix


def parse_block(text: object) -> tuple[int, int]:
    """'16x4' -> (block_h, block_w) = (16, 4)

    Raises
    ------
    ValueError
        If it does not look like that.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,2})x([1-9][0-9]{0,2})", text) if isinstance(text, str) else None
    if not match:
        raise ValueError(f"found {text!r}, wanted rows x columns such as '16x4'")
    return int(match[1]), int(match[2])


def block_name(block: tuple[int, int]) -> str:
    """(16, 4) -> '16x4'"""
    return f"{block[0]}x{block[1]}"


def default_block(dtype: str) -> tuple[int, int]:
    """The block shape of a matrix of which nothing else is known."""
    return 16, 4 if dtype == "int8" else 1


def block_widths(dtype: str) -> tuple[int, ...]:
    """What block_w may be in the file."""
    return (4,) if dtype == "int8" else BLOCK_W


def check_block(name: str, shape: tuple[int, ...], block: tuple[int, int], dtype: str) -> None:
    """Raise ValueError unless the file can hold matrix `name` of that (rows, cols) in such blocks."""
    (rows, cols), (block_h, block_w), widths = shape, block, block_widths(dtype)
    if block_h not in BLOCK_H or block_w not in widths or rows % block_h or cols % block_w:
        heights = ", ".join(str(h) for h in BLOCK_H if rows % h == 0)
        raise ValueError(
            f"block of {name} ({rows}x{cols}, {dtype}): found {block_name(block)}, "
            f"wanted a height of {heights} and a width of {', '.join(map(str, widths))}"
        )


def quantize_rows(dense: NDArray[np.floating]) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """w = round(dense / s_w) with |w[2k]| + |w[2k+1]| <= 128 in every row.

    A row's scale maps its largest pair sum |a| + |b| to 127. Rounding adds at most 1/2 to each of two
    values, so no pair exceeds 128 and no single value 127: AVX2's vpmaddubsw then never saturates
    (255 * 128 < 2^15), and NumPy, C and every ISA agree.

    dense : (rows, cols), cols even

    Returns
    -------
    w : (rows, cols) int8, zero where dense is zero
    s_w : (rows,) float64, 1 for a row of zeros (nothing above 1e-30)
    """
    d = np.asarray(dense, np.float64)
    largest = np.abs(d).reshape(len(d), -1, 2).sum(axis=2).max(axis=1)
    s_w = np.where(largest > 1e-30, largest / 127, 1.0)
    return np.rint(d / s_w[:, None]).astype(np.int8), s_w


def to_f32(a: NDArray[Any]) -> NDArray[np.float32]:
    """Rounded to float32, subnormal numbers to 0: on many CPUs each of them costs a hundred cycles a sample."""
    with np.errstate(over="ignore", under="ignore"):  # binary.pack refuses an infinity
        rounded = np.asarray(a).astype(np.float32)
    return np.where((rounded != 0) & (np.abs(rounded) < np.finfo(np.float32).tiny), np.float32(0), rounded)


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
        with np.errstate(over="ignore"):
            values = to_f32(dense) if dtype == "f32" else dense.astype(DTYPES[dtype])
        return Matrix(name, rows, cols, block_h, block_w, *to_blocks(values, mask, block_h, block_w), to_f32(bias))
    w, s_w = quantize_rows(dense)
    # the runtime takes the bias in units of scale: where no weight sets the scale, make the bias exact to 2^-20
    scale = np.where(w.any(axis=1), s_w / x_scale, np.maximum(np.abs(bias), 1e-6) / 2**20)
    scale = np.maximum(scale, np.finfo(np.float32).tiny)
    # y = scale * sum(w (q - x_zero)) + bias; the constant part of the sum moves into the bias
    bias = bias - scale * x_zero * w.sum(axis=1, dtype=np.int64)
    blocks = to_blocks(w, mask, block_h, block_w, row_major=True)
    return Matrix(name, rows, cols, block_h, block_w, *blocks, to_f32(bias), scale.astype(np.float32), x_scale, x_zero)


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
