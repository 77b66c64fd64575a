"""Block-CSR matrix-vector products, the R h_{t-1} of the WaveRNN cell and every other matrix of the network.

y = max(W x + bias, y_min) for a W of (block_h x block_w) blocks. Vector elements are output rows, so no horizontal sum
exists and every vector width gives the same bits. Layouts: FORMAT.md, "Sections".
C twin: libwavernn/kernels/spmv.c

Usage: ``linear(matrix, x, NO_FLOOR, q, y)`` inside a kernel; `tile` makes the matrix from a weights.Matrix.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import overload, register_jitable
from numpy.typing import NDArray

from . import derive
from .jit import OVERLOAD, apart
from .simd import (
    ROWS_APART,
    WIDE,
    add,
    aligned,
    at,
    broadcast,
    dot1,
    dot2,
    dot4_of_four,
    load,
    maximum,
    mul,
    pointer,
    scratch,
    start_sums,
    store,
    store_four,
    store_four_q,
    store_four_q10,
    store_q,
    store_q10,
    to_float,
    total,
    zero,
)

NO_FLOOR = np.float32(np.finfo(np.float32).min)


class _Tile(NamedTuple):
    """A matrix as the kernels take it; its class tells them block_h, the dtype of `values` the rest.

    values     : (nnz_blocks * block_h * block_w,) float32, uint16 (bits of float16) or int8, in kernel order
    row_ptr    : (n_block_rows + 1,) int32      block row i owns [row_ptr[i], row_ptr[i+1])
    col_idx    : (nnz_blocks,) uint16           block column, ascending within a row
    bias       : (rows,) float32
    scale      : (rows,) float32                int8 only, else empty
    start      : (rows,) int32                  int8 only, else empty: derive.start
    fours      : derive.Fours                   int8 blocks of 4 rows where vectors are wide, else ()
    x_scale, x_zero                             int8 only, else 0: q = round(x * x_scale) + x_zero
    """

    n_block_rows: int
    cols: int
    block_w: int
    values: NDArray[Any]
    row_ptr: NDArray[np.int32]
    col_idx: NDArray[np.uint16]
    bias: NDArray[np.float32]
    scale: NDArray[np.float32]
    start: NDArray[np.int32]
    fours: Any
    x_scale: np.float32
    x_zero: np.int32


class Tile4(_Tile):
    """Blocks of 4 rows."""


class Tile8(_Tile):
    """Blocks of 8 rows."""


class Tile16(_Tile):
    """Blocks of 16 rows."""


class Tile32(_Tile):
    """Blocks of 32 rows."""


TILES = {4: Tile4, 8: Tile8, 16: Tile16, 32: Tile32}
BLOCK_H = {tile: h for h, tile in TILES.items()}


def tile(m: Any) -> _Tile:
    """weights.Matrix -> the tuple the kernels take, sharing its arrays."""
    is_i8 = m.values.dtype == np.int8
    values = m.values.view(np.uint16) if m.values.dtype == np.float16 else m.values
    scale, start = (m.scale, derive.start(m)) if is_i8 else (np.zeros(0, np.float32), np.zeros(0, np.int32))
    arrays = (values, m.row_ptr, m.col_idx, m.bias, scale, start)
    wide = is_i8 and m.block_h == 4 and WIDE
    fours = derive.Fours(*(aligned(a) for a in derive.fours(m, start))) if wide else ()
    return TILES[m.block_h](
        m.n_block_rows, m.cols, m.block_w, *(aligned(a) for a in arrays), fours,
        np.float32(m.x_scale), np.int32(m.x_zero),
    )  # fmt: skip


def _spmv_float(m, x, y_min, y):
    """y = max(W x + bias, y_min), float32 or float16 W."""


@overload(_spmv_float, jit_options=OVERLOAD)
def _(m, x, y_min, y):
    H = BLOCK_H[m.instance_class]

    @register_jitable(**OVERLOAD)
    def block(s, values, v, x, i, block_w):
        """s + one block times its x"""
        for j in range(block_w):
            s = add(s, mul(load(H, values, v + H * j), broadcast(H, at(x, i + j))))
        return s

    @register_jitable(**OVERLOAD)
    def body(n_block_rows, values, row_ptr, col_idx, bias, x, y_min, y, block_w):
        step = H * block_w
        k, v = 0, 0
        for row in range(n_block_rows):
            # 1) four partial sums; block k of the row adds to sum k mod 4
            s0 = broadcast(H, np.float32(0.0))
            s1, s2, s3 = s0, s0, s0
            end = np.intp(at(row_ptr, row + 1))
            while k + 4 <= end:
                s0 = block(s0, values, v, x, block_w * np.intp(at(col_idx, k)), block_w)
                s1 = block(s1, values, v + step, x, block_w * np.intp(at(col_idx, k + 1)), block_w)
                s2 = block(s2, values, v + 2 * step, x, block_w * np.intp(at(col_idx, k + 2)), block_w)
                s3 = block(s3, values, v + 3 * step, x, block_w * np.intp(at(col_idx, k + 3)), block_w)
                k += 4
                v += 4 * step
            # 2) the last one to three blocks
            if k < end:
                s0 = block(s0, values, v, x, block_w * np.intp(at(col_idx, k)), block_w)
            if k + 1 < end:
                s1 = block(s1, values, v + step, x, block_w * np.intp(at(col_idx, k + 1)), block_w)
            if k + 2 < end:
                s2 = block(s2, values, v + 2 * step, x, block_w * np.intp(at(col_idx, k + 2)), block_w)
            v += step * (end - k)
            k = end
            # 3) pairwise sum, bias, floor
            s = add(add(s0, s1), add(s2, s3))
            s = add(load(H, bias, row * H), s)
            store(y, row * H, maximum(s, broadcast(H, y_min)))

    def any_width(n_block_rows, block_w, values, row_ptr, col_idx, bias, x, y_min, y):
        if block_w == 1:
            body(n_block_rows, values, row_ptr, col_idx, bias, x, y_min, y, 1)
        else:
            body(n_block_rows, values, row_ptr, col_idx, bias, x, y_min, y, block_w)

    call = apart(any_width)

    def spmv_float(m, x, y_min, y):
        values, row_ptr, col_idx, bias = pointer(m.values), pointer(m.row_ptr), pointer(m.col_idx), pointer(m.bias)
        call((m.n_block_rows, m.block_w, values, row_ptr, col_idx, bias, pointer(x), y_min, pointer(y)))

    return spmv_float


def _spmv_i8(m, q, following, y):
    """y = scale o (bias_i + W q) for int8 W of block_h x 4 blocks; exact in int32, so in any order."""


@overload(_spmv_i8, jit_options=OVERLOAD)
def _(m, q, following, y):
    if isinstance(m.types[m.fields.index("fours")], types.NamedTuple):
        return lambda m, q, following, y: spmv_i8_4(m, q, following, y)
    H, to = BLOCK_H[m.instance_class], y.dtype

    @register_jitable(**OVERLOAD)
    def two_blocks(a, values, col_idx, q, k):
        """Blocks k and k + 1"""
        j0, j1 = np.intp(at(col_idx, k)), np.intp(at(col_idx, k + 1))
        return dot2(a, values, 4 * H * k, q, 4 * j0, 4 * j1)

    N_SUMS = ROWS_APART * H

    def body(n_block_rows, values, row_ptr, col_idx, start, scale, q, x_scale, x_zero, y):
        sums = scratch(N_SUMS)
        k, first = 0, 0
        while first < n_block_rows:
            end_row = first + 1 if ROWS_APART == 1 else min(first + ROWS_APART, n_block_rows)
            for row in range(first, end_row):
                # 1) the products, four blocks at a time
                a = start_sums(H, start, row * H)
                end = np.intp(at(row_ptr, row + 1))
                fours = end - ((end - k) & 3)
                while k != fours:
                    a = two_blocks(a, values, col_idx, q, k)
                    a = two_blocks(a, values, col_idx, q, k + 2)
                    k += 4
                # 2) the last one to three blocks
                if end - k >= 2:
                    a = two_blocks(a, values, col_idx, q, k)
                    k += 2
                if k != end:
                    a = dot1(a, values, 4 * H * k, q, 4 * np.intp(at(col_idx, k)))
                    k += 1
                store(sums, (row - first) * H, total(a))
            for row in range(first, end_row):
                # 3) scale
                s = mul(to_float(load(H, sums, (row - first) * H)), load(H, scale, row * H))
                # 4) store as float, as Q10, or quantised for the next matrix
                store_output(s, x_scale, x_zero, y, row)
            first = end_row

    @register_jitable(**OVERLOAD)
    def to_float_(s, x_scale, x_zero, y, row):
        store(y, row * H, s)

    @register_jitable(**OVERLOAD)
    def to_q10(s, x_scale, x_zero, y, row):
        store_q10(y, row * H, s)

    @register_jitable(**OVERLOAD)
    def to_q(s, x_scale, x_zero, y, row):
        zero_point = broadcast(H, np.float32(x_zero) + np.float32(128.5))
        store_q(y, row * H, add(mul(s, broadcast(H, x_scale)), zero_point))

    store_output = {types.float32: to_float_, types.int16: to_q10, types.int8: to_q}[to]
    call = apart(body)

    def spmv_i8(m, q, following, y):
        values, row_ptr, col_idx, start = pointer(m.values), pointer(m.row_ptr), pointer(m.col_idx), pointer(m.start)
        scale, x_scale, x_zero = pointer(m.scale), following.x_scale, following.x_zero
        call((m.n_block_rows, values, row_ptr, col_idx, start, scale, pointer(q), x_scale, x_zero, pointer(y)))

    return spmv_i8


def spmv_i8_4(m, q, following, y):
    """The same for blocks of 4 rows, four block rows side by side"""


@overload(spmv_i8_4, jit_options=OVERLOAD)
def _(m, q, following, y):
    N_SUMS = ROWS_APART * 16

    def body(n, values, step_ptr, col_idx, row, start, scale, q, x_scale, x_zero, y):
        sums = scratch(N_SUMS)
        k, first = 0, 0
        while first < n:
            end_i = first + 1 if ROWS_APART == 1 else min(first + ROWS_APART, n)
            for i in range(first, end_i):
                # 1) the products, two blocks of each row at a time
                even, odd = load(16, start, 16 * i), zero(16)
                end = np.intp(at(step_ptr, i + 1))
                twos = end - ((end - k) & 1)
                while k != twos:
                    even = dot4_of_four(even, values, 64 * k, q, col_idx, 4 * k)
                    odd = dot4_of_four(odd, values, 64 * (k + 1), q, col_idx, 4 * (k + 1))
                    k += 2
                # 2) the last one
                if k != end:
                    even = dot4_of_four(even, values, 64 * k, q, col_idx, 4 * k)
                    k += 1
                store(sums, 16 * (i - first), add(even, odd))
            for i in range(first, end_i):
                # 3) scale
                s = mul(to_float(load(16, sums, 16 * (i - first))), load(16, scale, 16 * i))
                # 4) store each of the four where it belongs
                store_output(s, x_scale, x_zero, y, row, i)
            first = end_i

    @register_jitable(**OVERLOAD)
    def to_float_(s, x_scale, x_zero, y, row, i):
        store_four(y, row, 4 * i, s)

    @register_jitable(**OVERLOAD)
    def to_q10(s, x_scale, x_zero, y, row, i):
        store_four_q10(y, row, 4 * i, s)

    @register_jitable(**OVERLOAD)
    def to_q(s, x_scale, x_zero, y, row, i):
        zero_point = broadcast(16, np.float32(x_zero) + np.float32(128.5))
        store_four_q(y, row, 4 * i, add(mul(s, broadcast(16, x_scale)), zero_point))

    store_output = {types.float32: to_float_, types.int16: to_q10, types.int8: to_q}[y.dtype]
    call = apart(body)

    def spmv_i8_4(m, q, following, y):
        f = m.fours
        arrays = (pointer(f.values), pointer(f.step_ptr), pointer(f.col_idx), pointer(f.row), pointer(f.start))
        scale, x_scale, x_zero = pointer(f.scale), following.x_scale, following.x_zero
        call((m.n_block_rows // 4, *arrays, scale, pointer(q), x_scale, x_zero, pointer(y)))

    return spmv_i8_4


@register_jitable(**OVERLOAD)
def quantize(n, x, x_scale, x_zero, q):
    """q = round(x * x_scale) + x_zero, clamped to -127..127; n a multiple of 16."""
    scale, zero_ = broadcast(16, x_scale), broadcast(16, np.float32(x_zero) + np.float32(128.5))
    for i in range(0, n, 16):
        store_q(q, i, add(mul(load(16, x, i), scale), zero_))


@register_jitable(**OVERLOAD)
def linear_q_to_float(m, q, y):
    """y = W q + bias as float32 (rows,)"""
    _spmv_i8(m, q, m, y)


@register_jitable(**OVERLOAD)
def linear_q_to_q10(m, q, y):
    """y = W q + bias as Q10: int16 (rows,) in units of 2^-10, saturated"""
    _spmv_i8(m, q, m, y)


@register_jitable(**OVERLOAD)
def linear_q_to_q(m, q, following, y):
    """y = W q + bias, int8 (rows,) as `following` takes its input; its x_zero = -127 makes that a relu"""
    _spmv_i8(m, q, following, y)


def linear(m, x, y_min, q, y):
    """y = max(W x + bias, y_min) in the dtype of W. x (cols,), y (rows,) float32; q (cols,) int8 scratch.

    int8 takes no y_min.
    """


@overload(linear, jit_options=OVERLOAD)
def _(m, x, y_min, q, y):
    def linear_i8(m, x, y_min, q, y):
        quantize(m.cols, x, m.x_scale, m.x_zero, q)
        linear_q_to_float(m, q, y)

    def linear_float(m, x, y_min, q, y):
        _spmv_float(m, x, y_min, y)

    return linear_i8 if is_int8(m) else linear_float


def is_int8(m: Any) -> bool:
    """Whether the Numba type of a tile is of int8 values."""
    return m.types[m.fields.index("values")].dtype == types.int8
