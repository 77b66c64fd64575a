"""A matrix times the vectors of several lanes, with one load of the weights for all of a tile.

Each lane's sums are those of spmv.py, in its order. Lane l reads its input at l times a stride, in elements, and writes
its output likewise.
C twin: libwavernn/kernels/spmm.c

Usage: ``lanes_q_to_q10(matrix, n, q, q_stride, y, y_stride)`` inside a kernel, for n lanes
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from .jit import OVERLOAD, apart
from .simd import add, at, broadcast, load, maximum, mul, pointer, to_float
from .simd.lanes import (
    broadcast_each,
    broadcast_lanes,
    dot1_lanes,
    dot2_lanes,
    lane_pointers,
    start_lanes,
    store_lanes,
    store_lanes_q,
    store_lanes_q10,
    tile_lanes,
    total_lanes,
)
from .spmv import BLOCK_H


def _each_tile(H, tile):  # noqa: N803
    """A function over all rows for n lanes, as tiles of 8, 4, 2 and 1: (n_block_rows, n, arguments).

    `tile(T)` is the function of (row, end_row, first, *arguments) for T lanes from `first` on, over the block rows from
    `row` to end_row. Few rows at a time: their weights are in the L1 when the next tile comes.
    """
    most = tile_lanes(H)
    tile_1 = apart(tile(1))
    tile_2, tile_4, tile_8 = (apart(tile(T)) if T <= most else tile_1 for T in (2, 4, 8))

    @register_jitable(**OVERLOAD)
    def each_tile(n_block_rows, n, arguments):
        row = 0
        while row < n_block_rows:
            end_row = row + 8 if row + 8 < n_block_rows and n > most else n_block_rows
            first = 0
            while most >= 8 and first + 8 <= n:
                tile_8((row, end_row, first, *arguments))
                first += 8
            while most >= 4 and first + 4 <= n:
                tile_4((row, end_row, first, *arguments))
                first += 4
            while most >= 2 and first + 2 <= n:
                tile_2((row, end_row, first, *arguments))
                first += 2
            while first < n:
                tile_1((row, end_row, first, *arguments))
                first += 1
            row = end_row

    return each_tile


def _spmm_float(m, n, x, x_stride, y_min, y, y_stride):
    """y = max(W x + bias, y_min) of n lanes, float32 or float16 W."""


@overload(_spmm_float, jit_options=OVERLOAD)
def _(m, n, x, x_stride, y_min, y, y_stride):
    H = BLOCK_H[m.instance_class]

    def tile(T):  # noqa: N803
        @register_jitable(**OVERLOAD)
        def part_sum(values, col_idx, x_l, block_w, k, end):
            """The sum of every fourth block from k on"""
            if block_w == 1:  # a number to the compiler
                return part_sum_of(values, col_idx, x_l, 1, k, end)
            return part_sum_of(values, col_idx, x_l, block_w, k, end)

        @register_jitable(**OVERLOAD)
        def part_sum_of(values, col_idx, x_l, block_w, k, end):
            acc = broadcast_lanes(T, H, np.float32(0.0))
            while k < end:
                j0 = block_w * np.intp(at(col_idx, k))
                for j in range(block_w):
                    w = load(H, values, H * (block_w * k + j))
                    acc = add(acc, mul(broadcast_each(acc, x_l, j0 + j), w))
                k += 4
            return acc

        def body(row, end_row, first, block_w, values, row_ptr, col_idx, bias, x, x_stride, y_min, y, y_stride):
            x_l = lane_pointers(T, x, first, x_stride)
            for row in range(row, end_row):  # noqa: B020, PLR1704
                begin, end = np.intp(at(row_ptr, row)), np.intp(at(row_ptr, row + 1))
                # 1) four partial sums, one after the other; block k of the row adds to sum k mod 4
                s0 = part_sum(values, col_idx, x_l, block_w, begin, end)
                s1 = part_sum(values, col_idx, x_l, block_w, begin + 1, end)
                s2 = part_sum(values, col_idx, x_l, block_w, begin + 2, end)
                s3 = part_sum(values, col_idx, x_l, block_w, begin + 3, end)
                # 2) pairwise sum, bias, floor
                s = add(add(s0, s1), add(s2, s3))
                s = add(s, load(H, bias, row * H))
                store_lanes(y, first, y_stride, row * H, maximum(s, broadcast(H, y_min)))

        return body

    each_tile = _each_tile(H, tile)

    def spmm_float(m, n, x, x_stride, y_min, y, y_stride):
        values, row_ptr, col_idx, bias = pointer(m.values), pointer(m.row_ptr), pointer(m.col_idx), pointer(m.bias)
        arguments = (m.block_w, values, row_ptr, col_idx, bias, pointer(x), x_stride, y_min, pointer(y), y_stride)
        each_tile(m.n_block_rows, n, arguments)

    return spmm_float


def _spmm_i8(m, n, q, q_stride, following, y, y_stride):
    """y = scale o (bias_i + W q) of n lanes; exact in int32, so in any order."""


@overload(_spmm_i8, jit_options=OVERLOAD)
def _(m, n, q, q_stride, following, y, y_stride):
    H, to = BLOCK_H[m.instance_class], y.dtype

    @register_jitable(**OVERLOAD)
    def to_float_(s, x_scale, x_zero, y, first, y_stride, row):
        store_lanes(y, first, y_stride, row * H, s)

    @register_jitable(**OVERLOAD)
    def to_q10(s, x_scale, x_zero, y, first, y_stride, row):
        store_lanes_q10(y, first, y_stride, row * H, s)

    @register_jitable(**OVERLOAD)
    def to_q(s, x_scale, x_zero, y, first, y_stride, row):
        zero_point = broadcast(H, np.float32(x_zero) + np.float32(128.5))
        store_lanes_q(y, first, y_stride, row * H, add(mul(s, broadcast(H, x_scale)), zero_point))

    store_output = {types.float32: to_float_, types.int16: to_q10, types.int8: to_q}[to]

    def tile(T):  # noqa: N803
        def body(
            row, end_row, first, values, row_ptr, col_idx, start, scale, q, q_stride, x_scale, x_zero, y, y_stride
        ):
            q_l = lane_pointers(T, q, first, q_stride)
            k = np.intp(at(row_ptr, row))
            for row in range(row, end_row):  # noqa: B020, PLR1704
                # 1) the products, two blocks at a time
                a = start_lanes(T, H, start, row * H)
                end = np.intp(at(row_ptr, row + 1))
                twos = end - ((end - k) & 1)
                while k != twos:
                    j0, j1 = np.intp(at(col_idx, k)), np.intp(at(col_idx, k + 1))
                    a = dot2_lanes(a, values, 4 * H * k, q_l, 4 * j0, 4 * j1)
                    k += 2
                # 2) the last block
                if k != end:
                    a = dot1_lanes(a, values, 4 * H * k, q_l, 4 * np.intp(at(col_idx, k)))
                    k += 1
                # 3) scale; store as float, as Q10, or quantised for the next matrix
                s = mul(to_float(total_lanes(a)), load(H, scale, row * H))
                store_output(s, x_scale, x_zero, y, first, y_stride, row)

        return body

    each_tile = _each_tile(H, tile)

    def spmm_i8(m, n, q, q_stride, following, y, y_stride):
        values, row_ptr, col_idx, start = pointer(m.values), pointer(m.row_ptr), pointer(m.col_idx), pointer(m.start)
        scale, x_scale, x_zero = pointer(m.scale), following.x_scale, following.x_zero
        arguments = (
            values,
            row_ptr,
            col_idx,
            start,
            scale,
            pointer(q),
            q_stride,
            x_scale,
            x_zero,
            pointer(y),
            y_stride,
        )
        each_tile(m.n_block_rows, n, arguments)

    return spmm_i8


@register_jitable(**OVERLOAD)
def lanes_q_to_float(m, n, q, q_stride, y, y_stride):
    """linear_q_to_float of n lanes"""
    _spmm_i8(m, n, q, q_stride, m, y, y_stride)


@register_jitable(**OVERLOAD)
def lanes_q_to_q10(m, n, q, q_stride, y, y_stride):
    """linear_q_to_q10 of n lanes"""
    _spmm_i8(m, n, q, q_stride, m, y, y_stride)


@register_jitable(**OVERLOAD)
def lanes_q_to_q(m, n, q, q_stride, following, y, y_stride):
    """linear_q_to_q of n lanes"""
    _spmm_i8(m, n, q, q_stride, following, y, y_stride)


@register_jitable(**OVERLOAD)
def lanes_float(m, n, x, x_stride, y_min, y, y_stride):
    """linear of n lanes, W of float32 or float16"""
    _spmm_float(m, n, x, x_stride, y_min, y, y_stride)
