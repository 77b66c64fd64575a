"""Stores that quantise to int8 or Q10."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..isa import VECTORS
from .fixed_point import _mulhrs
from .memory import _data, _store
from .vector import F32, I8, I16, I32, Q_BIAS, _by_parts, _call, _clamp, _constant, _constant32, _part


@intrinsic
def store_q(typingctx, q, index, v):
    """q[index:] = trunc(v clamped to 1..255) - 128 for floats; for shorts (v + 128) >> 8, at most 127.

    Kept as q + 128 where Q_BIAS is 128.
    """

    def codegen(context, builder, signature, args):
        _store_q(context, builder, q, *args)

    return types.void(q, types.intp, v), codegen


def _store_q(context: Any, builder: Any, q_type: Any, q: Any, index: Any, v: Any) -> None:
    _store(context, builder, q_type, q, index, _to_q(builder, v))


def _to_q(builder: Any, v: Any) -> Any:
    n = v.type.count
    if VECTORS == "avx2" and n % 32 == 0 and v.type.element == I16:
        v = _pack_halves(builder, "llvm.x86.avx2.packsswb", _mulhrs(builder, v, _constant(v.type, 128)), 32)
        return builder.xor(v, _constant(v.type, -128))
    if v.type.element == F32:
        v = builder.fptosi(_clamp(builder, v, 1.0, 255.0), ir.VectorType(I32, n))
    else:
        v = builder.ashr(builder.add(builder.sext(v, ir.VectorType(I32, n)), _constant32(n, 128)), _constant32(n, 8))
        v = builder.select(builder.icmp_signed("<", v, _constant32(n, 127)), v, _constant32(n, 127))
        v = builder.add(v, _constant32(n, 128))
    v = builder.add(v, _constant32(n, Q_BIAS - 128))
    return builder.trunc(v, ir.VectorType(I8, n))


def _pack_halves(builder: Any, name: str, v: Any, width: int) -> Any:
    """Elements in half their bits, saturated, by AVX2's packs of two vectors, which take turns in 8 bytes of each"""
    narrow = ir.VectorType(ir.IntType(v.type.element.width // 2), width)

    def pack(pair):
        halves = (_part(builder, pair, i, width // 2) for i in (0, width // 2))
        eights = builder.bitcast(_call(builder, name, narrow, *halves), ir.VectorType(ir.IntType(64), 4))
        in_order = builder.shuffle_vector(eights, eights, ir.Constant(ir.VectorType(I32, 4), [0, 2, 1, 3]))
        return builder.bitcast(in_order, narrow)

    return _by_parts(builder, width, pack, v)


@intrinsic
def store_q10(typingctx, array, index, v):
    """array[index:] = Q10 of floats v: trunc(1024 v + 32768.5 clamped to 0..65535) - 32768"""

    def codegen(context, builder, signature, args):
        _store_q10(context, builder, array, *args)

    return types.void(array, types.intp, v), codegen


def _store_q10(context: Any, builder: Any, array_type: Any, array: Any, index: Any, v: Any) -> None:
    _store(context, builder, array_type, array, index, _to_q10(builder, v))


def _to_q10(builder: Any, v: Any) -> Any:
    n = v.type.count
    v = builder.fadd(builder.fmul(v, _constant(v.type, 1024.0)), _constant(v.type, 32768.5))
    v = builder.fptosi(_clamp(builder, v, 0.0, 65535.0), ir.VectorType(I32, n))
    if VECTORS == "avx2" and n % 16 == 0:
        return builder.xor(
            _pack_halves(builder, "llvm.x86.avx2.packusdw", v, 16), ir.Constant(ir.VectorType(I16, n), [-32768] * n)
        )
    return builder.trunc(builder.add(v, _constant32(n, -32768)), ir.VectorType(I16, n))


def _storing_four(doc: str, convert: Callable[[Any, Any], Any]) -> Any:
    def typer(typingctx, array, row, i, v):
        def codegen(context, builder, signature, args):
            value = convert(builder, args[3])
            for r in range(4):
                at = builder.gep(_data(context, builder, row, args[1]), [builder.add(args[2], args[2].type(r))])
                index = builder.shl(builder.sext(builder.load(at), args[2].type), args[2].type(2))
                _store(context, builder, array, args[0], index, _part(builder, value, 4 * r, 4))

        return types.void(array, row, types.intp, v), codegen

    typer.__doc__ = doc
    return intrinsic(typer)


store_four = _storing_four("array[4c : 4c + 4] = v[4r : 4r + 4] with c = row[i + r], r = 0..3", lambda builder, v: v)
store_four_q = _storing_four("the same as store_q does it", _to_q)
store_four_q10 = _storing_four("the same as store_q10 does it", _to_q10)
