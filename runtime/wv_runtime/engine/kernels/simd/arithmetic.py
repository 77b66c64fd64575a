"""Arithmetic of float and int vectors, each operation rounded once per element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .vector import F32, I32, VecType, _binary, _constant, _each, _part, _splat

add = _binary("a + b", lambda b, x, y: b.fadd(x, y), lambda b, x, y: b.add(x, y))
sub = _binary("a - b", lambda b, x, y: b.fsub(x, y), lambda b, x, y: b.sub(x, y))
mul = _binary("a * b", lambda b, x, y: b.fmul(x, y))
div = _binary("a / b", lambda b, x, y: b.fdiv(x, y))
minimum = _binary("a < b ? a : b", lambda b, x, y: b.select(b.fcmp_ordered("<", x, y), x, y))
maximum = _binary("a > b ? a : b", lambda b, x, y: b.select(b.fcmp_ordered(">", x, y), x, y))


@intrinsic
def trunc(typingctx, v):
    """floats -> ints, towards zero."""

    def codegen(context, builder, signature, args):
        return builder.fptosi(args[0], ir.VectorType(I32, v.n))

    return VecType("i", v.n)(v), codegen


@intrinsic
def to_float(typingctx, v):
    """ints -> floats, rounded to nearest."""

    def codegen(context, builder, signature, args):
        return _each(builder, lambda b, x: b.sitofp(x, ir.VectorType(F32, v.n)), args[0])

    return VecType("f", v.n, v.lanes)(v), codegen


@intrinsic
def pow2(typingctx, v, k):
    """2^(v + k) as floats for -126 <= v + k <= 127, by the exponent bits."""

    def codegen(context, builder, signature, args):
        bias = builder.add(_constant(args[0].type, 127), _splat(builder, builder.trunc(args[1], I32), v.n))
        exponent = builder.add(args[0], bias)
        return builder.bitcast(builder.shl(exponent, _constant(args[0].type, 23)), ir.VectorType(F32, v.n))

    return VecType("f", v.n)(v, types.intp), codegen


def _reduce(builder: Any, v: Any, combine: Callable[..., Any]) -> Any:
    while v.type.count > 1:
        n = v.type.count // 2
        v = combine(_part(builder, v, 0, n), _part(builder, v, n, n))
    return builder.extract_element(v, I32(0))


@intrinsic
def hmax(typingctx, v):
    """The largest element."""

    def codegen(context, builder, signature, args):
        return _reduce(builder, args[0], lambda a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b))

    return types.float32(v), codegen


@intrinsic
def hsum(typingctx, v):
    """The sum of ints as uint32."""

    def codegen(context, builder, signature, args):
        return _reduce(builder, args[0], builder.add)

    return types.uint32(v), codegen
