"""Dot products of int8 quads: the products of an int8 matrix."""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..isa import ISA, VECTORS
from .memory import _load
from .vector import I8, I16, I32, N_SUMS, VecType, _call, _concat, _constant, _part, _splat, _width


@intrinsic
def dot4(typingctx, acc, w, i, q, j):
    """acc[r] + w[i + 4r : i + 4r + 4] . q[j : j + 4]; w and q int8."""

    def codegen(context, builder, signature, args):
        sums, w_array, i_, q_array, j_ = args
        w4 = _load(context, builder, w, w_array, i_, ir.VectorType(I8, 4 * acc.n))
        return _dots(builder, sums, w4, _quads(context, builder, q, q_array, j_, acc.n))

    return acc(acc, w, types.intp, q, types.intp), codegen


def _quads(context: Any, builder: Any, q: Any, q_array: Any, j: Any, n: int) -> Any:
    """q[j : j + 4] n times"""
    quad = builder.bitcast(_load(context, builder, q, q_array, j, ir.VectorType(I8, 4)), I32)
    return builder.bitcast(_splat(builder, quad, n), ir.VectorType(I8, 4 * n))


def _dots(builder: Any, sums: Any, w4: Any, q4: Any) -> Any:
    """sums[r] + w4[4r : 4r + 4] . q4[4r : 4r + 4], in vectors as wide as the ISA's own"""
    n = sums.type.count
    width = min(n, {"avx512vnni": 16, "avx2": 8, "neon_dot": 4}.get(VECTORS, n))
    dot = _DOT4.get(ISA, _dot4_portable)
    return _concat(builder, [
        dot(builder, _part(builder, sums, r, width), _part(builder, w4, 4 * r, 4 * width),
            _part(builder, q4, 4 * r, 4 * width))
        for r in range(0, n, width)
    ])  # fmt: skip


@intrinsic
def dot4_of_four(typingctx, acc, w, i, q, col_idx, j):
    """16 rows: acc[r] + w[i + 4r : i + 4r + 4] . q[4c : 4c + 4] with c = col_idx[j + r // 4]"""

    def codegen(context, builder, signature, args):
        sums, w_array, i_, q_array, c_array, j_ = args
        # AVX-512 is short of loads: one for four indices; AVX2 of other instructions, too: shifts and masks
        per_load = 2 if VECTORS == "avx2" else 4
        word = ir.IntType(16 * per_load)
        words = [
            _load(context, builder, col_idx, c_array, builder.add(j_, j_.type(i)), word) for i in range(0, 4, per_load)
        ]
        quads = None
        for lane in range(4):
            shifted = builder.lshr(words[lane // per_load], word(16 * (lane % per_load)))
            c = builder.zext(builder.and_(shifted, word(0xFFFF)), ir.IntType(64))
            quad = _load(context, builder, q, q_array, builder.shl(c, ir.IntType(64)(2)), I32)
            quad.align = 1
            splat = _splat(builder, quad, 16)
            mask = ir.Constant(ir.VectorType(ir.IntType(1), 16), [r // 4 == lane for r in range(16)])
            quads = splat if quads is None else builder.select(mask, splat, quads)
        w4 = _load(context, builder, w, w_array, i_, ir.VectorType(I8, 64))
        return _dots(builder, sums, w4, builder.bitcast(quads, w4.type))

    return acc(acc, w, types.intp, q, col_idx, types.intp), codegen


# The sums of a block row of h rows: one of the even and one of the odd blocks, or one of all.


@intrinsic(prefer_literal=True)
def start_sums(typingctx, h, start, i):
    """What a block row of h rows starts from: start[i : i + h]"""

    def codegen(context, builder, signature, args):
        sums = context.get_constant_null(signature.return_type)
        even = _load(context, builder, start, args[1], args[2], ir.VectorType(I32, _width(h)))
        return builder.insert_value(sums, even, 0)

    return VecType("a", _width(h))(h, start, types.intp), codegen


def _add_block(context: Any, builder: Any, a: Any, sums: Any, n: int, w: Any, i: Any, q: Any, j: Any) -> Any:
    """The sums plus block number n of w[i:], times q[j : j + 4]; w and q are (type, array)."""
    w4 = _load(context, builder, w[0], w[1], builder.add(i, i.type(4 * a.n * n)), ir.VectorType(I8, 4 * a.n))
    sum_ = _dots(builder, builder.extract_value(sums, n % N_SUMS), w4, _quads(context, builder, *q, j, a.n))
    return builder.insert_value(sums, sum_, n % N_SUMS)


@intrinsic
def dot1(typingctx, a, w, i, q, j):
    """One more block: w[i : i + 4h] with q[j : j + 4]"""

    def codegen(context, builder, signature, args):
        sums, w_array, i_, q_array, j_ = args
        return _add_block(context, builder, a, sums, 0, (w, w_array), i_, (q, q_array), j_)

    return a(a, w, types.intp, q, types.intp), codegen


@intrinsic
def dot2(typingctx, a, w, i, q, j0, j1):
    """Two more blocks: w[i : i + 4h] with q[j0 : j0 + 4], w[i + 4h : i + 8h] with q[j1 : j1 + 4]"""

    def codegen(context, builder, signature, args):
        sums, w_array, i_, q_array, *j = args
        for n in range(2):
            sums = _add_block(context, builder, a, sums, n, (w, w_array), i_, (q, q_array), j[n])
        return sums

    return a(a, w, types.intp, q, types.intp, types.intp), codegen


@intrinsic
def total(typingctx, a):
    """The sums of the rows, as ints"""

    def codegen(context, builder, signature, args):
        return _total(builder, args[0])

    return VecType("i", a.n)(a), codegen


def _total(builder: Any, sums: Any) -> Any:
    parts = [builder.extract_value(sums, i) for i in range(sums.type.count)]
    return builder.add(*parts) if len(parts) == 2 else parts[0]


def _dot4_vnni(builder, sums, w, q):
    name = f"llvm.x86.avx512.vpdpbusd.{32 * sums.type.count}"
    if llvm.llvm_version_info >= (22,):
        return _call(builder, name, sums.type, sums, q, w)
    return _call(builder, name, sums.type, sums, builder.bitcast(q, sums.type), builder.bitcast(w, sums.type))


def _dot4_avx2(builder, sums, w, q):
    n = sums.type.count
    pairs_name, quads_name = {
        4: ("llvm.x86.ssse3.pmadd.ub.sw.128", "llvm.x86.sse2.pmadd.wd"),
        8: ("llvm.x86.avx2.pmadd.ub.sw", "llvm.x86.avx2.pmadd.wd"),
    }[n]
    pairs = _call(builder, pairs_name, ir.VectorType(I16, 2 * n), q, w)
    return builder.add(sums, _call(builder, quads_name, sums.type, pairs, _constant(pairs.type, 1)))


def _dot4_neon_dot(builder, sums, w, q):
    return _call(builder, "llvm.aarch64.neon.sdot.v4i32.v16i8", sums.type, sums, w, q)


def _dot4_portable(builder, sums, w, q):
    wide = ir.VectorType(I32, w.type.count)
    products = builder.mul(builder.sext(w, wide), builder.sext(q, wide))
    for column in range(4):
        sums = builder.add(sums, _part(builder, products, column, sums.type.count, 4))
    return sums


_DOT4 = {"avx512vnni": _dot4_vnni, "avxvnni": _dot4_vnni, "avx2": _dot4_avx2, "neon_dot": _dot4_neon_dot}
