"""Vector primitives for several lanes: what the vl and vb types of vec_<isa>.h are to the C kernels.

A value of `lanes` vectors (vector.VecType) lies in as many registers. `add`, `mul`, `maximum` and `to_float` of simd
take it, and with it one vector for all. A lane's data are `stride` elements after those of the lane before.

Usage: inside a kernel, ``s = dot1_lanes(start_lanes(T, 16, start, 0), values, 0, lane_pointers(T, q, 0, stride), 0)``
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

from ..isa import VECTORS
from .dot import _dots, _total
from .memory import _data, _load, _store
from .quantize import _store_q, _store_q10
from .vector import F32, I8, I32, N_SUMS, VecType, _pack, _splat, _width

MAX_TILE = 8
# Rows of all lanes whose sums fill the registers; 0 where lanes are no better than one after the other
TILE_ROWS = {"avx512vnni": 128, "avx2": 64, "neon_dot": 64, "neon": 64}.get(VECTORS, 0)


def tile_lanes(block_h: int) -> int:
    """Lanes that step over block rows of block_h rows at a time: 8, 4, 2 or 1"""
    return max(1, min(MAX_TILE, TILE_ROWS // block_h))


class PointersType(types.Type):
    """Where the inputs of each of some lanes begin."""

    def __init__(self, dtype: types.Type, lanes: int):
        self.dtype, self.lanes = dtype, lanes
        super().__init__(name=f"pointers {dtype} x{lanes}")


@register_model(PointersType)
class _PointersModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: PointersType):
        be_type = dmm.lookup(fe_type.dtype).get_data_type().as_pointer()
        super().__init__(dmm, fe_type, ir.ArrayType(be_type, fe_type.lanes))


@intrinsic(prefer_literal=True)
def lane_pointers(typingctx, T, array, first, stride):
    """Of lanes `first` to first + T - 1. Each in a register of its own: LLVM would compute them in every block."""
    n = _width(T)

    def codegen(context, builder, signature, args):
        base, parts = _data(context, builder, array, args[1]), []
        for lane in range(n):
            index = builder.mul(builder.add(args[2], args[2].type(lane)), args[3])
            p = builder.gep(base, [index])
            parts.append(builder.asm(ir.FunctionType(p.type, [p.type]), "", "=r,0", [p], False))
        return _pack(builder, parts)

    return PointersType(array.dtype, n)(T, array, types.intp, types.intp), codegen


@intrinsic(prefer_literal=True)
def broadcast_lanes(typingctx, T, n, x):
    """n elements of one float32, in T lanes."""
    lanes, result = _width(T), VecType("f", _width(n), _width(T))

    def codegen(context, builder, signature, args):
        return _pack(builder, [_splat(builder, args[2], _width(n))] * lanes)

    return result(T, n, x), codegen


@intrinsic
def broadcast_each(typingctx, like, x, j):
    """x[l][j] in every element of lane l, in the shape of `like`. x : of lane_pointers, float32"""

    def codegen(context, builder, signature, args):
        parts = []
        for lane in range(like.lanes):
            value = builder.load(builder.gep(builder.extract_value(args[1], lane), [args[2]]), typ=F32)
            parts.append(_splat(builder, value, like.n))
        return _pack(builder, parts)

    return like(like, x, types.intp), codegen


@intrinsic(prefer_literal=True)
def start_lanes(typingctx, T, h, start, i):
    """What a block row of h rows starts from, in T lanes: start[i : i + h]"""

    def codegen(context, builder, signature, args):
        row = _load(context, builder, start, args[2], args[3], ir.VectorType(I32, _width(h)))
        zero = ir.Constant(row.type, [0] * _width(h))
        return _pack(builder, [_pack(builder, [row, *[zero] * (N_SUMS - 1)])] * _width(T))

    return VecType("a", _width(h), _width(T))(T, h, start, types.intp), codegen


def _add_block(context: Any, builder: Any, a: Any, sums: Any, n: int, w: Any, i: Any, pointers: Any, j: Any) -> Any:
    """The sums of every lane plus block number n of w[i:], times q[l][j : j + 4]; w is (type, array)."""
    w4 = _load(context, builder, w[0], w[1], builder.add(i, i.type(4 * a.n * n)), ir.VectorType(I8, 4 * a.n))
    for lane in range(a.lanes):
        at = builder.bitcast(builder.gep(builder.extract_value(pointers, lane), [j]), I32.as_pointer())
        quad = builder.load(at, typ=I32)
        quad.align = 1
        quads = builder.bitcast(_splat(builder, quad, a.n), ir.VectorType(I8, 4 * a.n))
        place = [lane, n % N_SUMS]
        sums = builder.insert_value(sums, _dots(builder, builder.extract_value(sums, place), w4, quads), place)
    return sums


@intrinsic
def dot1_lanes(typingctx, a, w, i, q, j):
    """One more block in every lane l: w[i : i + 4h] with q[l][j : j + 4]. q : of lane_pointers, int8"""

    def codegen(context, builder, signature, args):
        sums, w_array, i_, pointers, j_ = args
        return _add_block(context, builder, a, sums, 0, (w, w_array), i_, pointers, j_)

    return a(a, w, types.intp, q, types.intp), codegen


@intrinsic
def dot2_lanes(typingctx, a, w, i, q, j0, j1):
    """Two more: w[i : i + 4h] with q[l][j0 : j0 + 4], w[i + 4h : i + 8h] with q[l][j1 : j1 + 4]"""

    def codegen(context, builder, signature, args):
        sums, w_array, i_, pointers, *j = args
        for n in range(2):
            sums = _add_block(context, builder, a, sums, n, (w, w_array), i_, pointers, j[n])
        return sums

    return a(a, w, types.intp, q, types.intp, types.intp), codegen


@intrinsic
def total_lanes(typingctx, a):
    """The sums of the rows of every lane, as ints"""

    def codegen(context, builder, signature, args):
        return _pack(builder, [_total(builder, builder.extract_value(args[0], lane)) for lane in range(a.lanes)])

    return VecType("i", a.n, a.lanes)(a), codegen


def _storing(doc: str, store_one: Callable[..., None]) -> Any:
    def typer(typingctx, array, first, stride, i, v):
        def codegen(context, builder, signature, args):
            for lane in range(v.lanes):
                row = builder.mul(builder.add(args[1], args[1].type(lane)), args[2])
                index = builder.add(row, args[3])
                store_one(context, builder, array, args[0], index, builder.extract_value(args[4], lane))

        return types.void(array, types.intp, types.intp, types.intp, v), codegen

    typer.__doc__ = doc
    return intrinsic(typer)


store_lanes = _storing("array[(first + l) * stride + i :] = v of lane l", _store)
store_lanes_q = _storing("the same by store_q", _store_q)
store_lanes_q10 = _storing("the same by store_q10", _store_q10)
