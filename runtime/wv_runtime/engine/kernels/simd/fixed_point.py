"""int16 fixed point: what the gates of an int8 model compute with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.extending import intrinsic

from ..isa import VECTORS
from .memory import _load
from .vector import I8, I16, I32, _binary, _by_parts, _call, _constant, _constant32, _width


def _adds(builder: Any, a: Any, b: Any) -> Any:
    return _call(builder, f"llvm.sadd.sat.v{a.type.count}i16", a.type, a, b)


def _mulhrs(builder: Any, a: Any, b: Any) -> Any:
    n = a.type.count
    name, width = {"avx512vnni": ("llvm.x86.avx512.pmul.hr.sw.512", 32), "avx2": ("llvm.x86.avx2.pmul.hr.sw", 16),
                   "neon_dot": ("llvm.aarch64.neon.sqrdmulh.v8i16", 8)}.get(VECTORS, ("", n))  # fmt: skip
    if name:
        return _by_parts(builder, width, lambda x, y: _call(builder, name, x.type, x, y), a, b)
    x, y = (builder.sext(v, ir.VectorType(I32, n)) for v in (a, b))
    product = builder.add(builder.mul(x, y), _constant32(n, 0x4000))
    return builder.trunc(builder.ashr(product, _constant32(n, 15)), a.type)


adds = _binary("a + b, saturated to int16", None, _adds)
mulhrs = _binary("(a * b + 2^14) >> 15, the rounded Q15 product", None, _mulhrs)


def _multiply_add(doc: str, add_: Callable[..., Any]) -> Any:
    def typer(typingctx, acc, a, b):
        def codegen(context, builder, signature, args):
            if VECTORS == "neon_dot":  # which has a rounding multiply-add that saturates
                name = "llvm.aarch64.neon.sqrdmlah.v8i16"
                return _by_parts(builder, 8, lambda s, x, y: _call(builder, name, s.type, s, x, y), *args)
            return add_(builder, args[0], _mulhrs(builder, args[1], args[2]))

        return acc(acc, a, b), codegen

    typer.__doc__ = doc
    return intrinsic(typer)


adds_mulhrs = _multiply_add("adds(acc, mulhrs(a, b)); a or b is above -32768", _adds)
add_mulhrs = _multiply_add("the same where no element can overflow", lambda b, x, y: b.add(x, y))


def _copy_sign(builder: Any, a: Any, s: Any) -> Any:
    if VECTORS == "avx2":  # whose psign makes 0 where s is 0
        s = builder.or_(s, _constant(s.type, 1))
        return _by_parts(builder, 16, lambda x, y: _call(builder, "llvm.x86.avx2.psign.w", x.type, x, y), a, s)
    return builder.select(builder.icmp_signed("<", s, _constant(s.type, 0)), builder.neg(a), a)


copy_sign = _binary("-a where s < 0, else a", None, _copy_sign)


@intrinsic
def halfway(typingctx, a):
    """Q15: halfway from a to 1, (a + 32768) >> 1"""

    def codegen(context, builder, signature, args):
        return builder.add(builder.ashr(args[0], _constant(args[0].type, 1)), _constant(args[0].type, 16384))

    return a(a), codegen


@intrinsic
def min_abs(typingctx, a, b):
    """min(|a|, b) for 0 <= b"""

    def codegen(context, builder, signature, args):
        x, limit = args
        negative = builder.icmp_signed("<", x, _constant(x.type, 0))
        x = builder.select(negative, builder.neg(x), x)
        return builder.select(builder.icmp_unsigned("<", x, limit), x, limit)

    return a(a, b), codegen


@intrinsic(prefer_literal=True)
def segment(typingctx, a, shift):
    """For 0 <= a < 8 << shift: the segment a >> shift, in the form `lookup` takes."""

    def codegen(context, builder, signature, args):
        x, n = args[0], _width(shift)
        if VECTORS not in ("avx2", "neon_dot"):
            return builder.lshr(x, _constant(x.type, n))
        # both bytes of entry s of a table of 8 int16: 2 s and 2 s + 1
        if VECTORS == "avx2":  # at shift 9, 2 s is in the high byte
            x = builder.lshr(x, _constant(x.type, n - 9))
            bytes_ = builder.bitcast(x, ir.VectorType(I8, 2 * x.type.count))
            high = ir.Constant(ir.VectorType(I32, bytes_.type.count), [i | 1 for i in range(bytes_.type.count)])
            x = builder.bitcast(builder.shuffle_vector(bytes_, bytes_, high), x.type)
            return builder.add(builder.and_(x, _constant(x.type, 0x0E0E)), _constant(x.type, 0x0100))
        even = builder.and_(builder.lshr(x, _constant(x.type, n - 1)), _constant(x.type, 0x0E))
        return builder.add(builder.mul(even, _constant(x.type, 0x0101)), _constant(x.type, 0x0100))

    return a(a, shift), codegen


@intrinsic(prefer_literal=True)
def fraction(typingctx, a, shift):
    """For 0 <= a < 8 << shift: the rest of a above its segment, as Q15."""

    def codegen(context, builder, signature, args):
        x = args[0]
        return builder.and_(builder.shl(x, _constant(x.type, 15 - _width(shift))), _constant(x.type, 0x7FFF))

    return a(a, shift), codegen


@intrinsic
def lookup(typingctx, table, s):
    """table[s] for a table of 8 int16 and the segments s."""

    def codegen(context, builder, signature, args):
        entries = _load(context, builder, table, args[0], ir.Constant(ir.IntType(64), 0), ir.VectorType(I16, 8))
        width = {"avx512vnni": 32, "avx2": 16, "neon_dot": 8}.get(VECTORS, s.n)
        bytes_ = ir.VectorType(I8, 2 * width)

        def look(index):
            table_ = builder.shuffle_vector(
                entries, entries, ir.Constant(ir.VectorType(I32, width), [i % 8 for i in range(width)])
            )
            if VECTORS == "avx512vnni":
                return _call(builder, "llvm.x86.avx512.permvar.hi.512", index.type, table_, index)
            if VECTORS in ("neon", "portable"):
                result = ir.Constant(index.type, ir.Undefined)
                for i in range(width):
                    at = builder.zext(builder.extract_element(index, I32(i)), I32)
                    entry = builder.extract_element(entries, at)
                    result = builder.insert_element(result, entry, I32(i))
                return result
            name = {"avx2": "x86.avx2.pshuf.b", "neon_dot": "aarch64.neon.tbl1.v16i8"}[VECTORS]
            table_, index_ = builder.bitcast(table_, bytes_), builder.bitcast(index, bytes_)
            found = _call(builder, f"llvm.{name}", bytes_, table_, index_)
            return builder.bitcast(found, index.type)

        return _by_parts(builder, width, look, args[1])

    return s(table, s), codegen
