"""Vector primitives for the Numba kernels: what vec_<isa>.h is to the C ones.

A float vector holds n elements of float32, an int vector of int32, a short vector of int16, for any power of two n;
LLVM splits them to the width of the CPU. With n = "16y", 16 floats are two vectors of 8 from load to store. Every
float operation rounds once per element. Only `dot4`, `mulhrs` and `lookup` name instructions: VNNI's
`vpdpbusd`, AVX2's `vpmaddubsw` + `vpmaddwd`, Arm's `sdot` and their like, or what they mean in plain LLVM elsewhere.

On x86 the quantised input q is kept as the unsigned byte q + 128, because its dot products take unsigned times
signed bytes; what they start from makes up for it (derive.start).

Usage: inside a kernel, ``s = add(s, mul(load(16, values, i), broadcast(16, x[j])))``
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model
from numpy.typing import NDArray

from .isa import ISA

I8, I16, I32 = ir.IntType(8), ir.IntType(16), ir.IntType(32)
F32 = ir.FloatType()
ELEMENT = {"f": F32, "i": I32, "s": I16, "a": I32}


Q_BIAS = 128 if ISA in ("avx2", "avx512vnni") else 0
N_SUMS = 2 if Q_BIAS else 1  # of an int8 block row: of its even and its odd blocks, or of all
LANE_SUMS = 2 if ISA == "avx512vnni" else 1  # the same of each of several lanes, which hide latency, too
# Width of an f16 block's vector where it is not that of f32: two narrow conversions cost less than a wide one on Zen 4.
HALF = {16: "16y"} if ISA == "avx512vnni" else {}
WIDE = bool(Q_BIAS)  # whether a vector has room for several blocks of 4 rows
SHORTS = 32 if Q_BIAS else 16  # elements of an int16 vector in the gates


def aligned(a: NDArray[Any]) -> NDArray[Any]:
    """The same array from a 64-byte boundary, or itself: a vector that straddles cache lines is read twice."""
    if a.flags.c_contiguous and a.ctypes.data % 64 == 0:
        return a
    raw = np.empty(a.nbytes + 64, np.uint8)
    copy = raw[-raw.ctypes.data % 64 :][: a.nbytes].view(a.dtype).reshape(a.shape)
    copy[:] = a
    copy.flags.writeable = a.flags.writeable  # part of its Numba type
    return copy


class VecType(types.Type):
    """In registers: n elements of float32 ("f"), int32 ("i") or int16 ("s"), or the sums of n int8 rows ("a").

    With lanes: as many of them, one of each lane (simd_lanes).
    """

    def __init__(self, kind: str, n: int | str, lanes: int = 0):
        self.kind, self.n, self.lanes = kind, n, lanes
        super().__init__(name=f"v{kind}{n}" + (f"x{lanes}" if lanes else ""))


@register_model(VecType)
class _VecModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: VecType):
        if fe_type.n == "16y":
            be_type = ir.ArrayType(ir.VectorType(F32, 8), 2)
        else:
            be_type = ir.VectorType(ELEMENT[fe_type.kind], fe_type.n)
        if fe_type.kind == "a":
            be_type = ir.ArrayType(be_type, LANE_SUMS if fe_type.lanes else N_SUMS)
        super().__init__(dmm, fe_type, ir.ArrayType(be_type, fe_type.lanes) if fe_type.lanes else be_type)


def _width(n: Any) -> Any:
    return n.literal_value if isinstance(n, types.Literal) else None


def _data(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """Where the elements of a C-contiguous array, or of what `pointer` made of one, are."""
    if isinstance(array_type, types.CPointer):
        return array
    return context.make_array(array_type)(context, builder, array).data


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any, vector: Any) -> Any:
    """Pointer to array[index] as a pointer to `vector`."""
    return builder.bitcast(builder.gep(_data(context, builder, array_type, array), [index]), vector.as_pointer())


def _load(context: Any, builder: Any, array_type: Any, array: Any, index: Any, vector: Any) -> Any:
    value = builder.load(_pointer(context, builder, array_type, array, index, vector), typ=vector)
    value.align = array_type.dtype.bitwidth // 8
    return value


def _splat(builder: Any, scalar: Any, n: int) -> Any:
    vector = builder.insert_element(ir.Constant(ir.VectorType(scalar.type, n), ir.Undefined), scalar, I32(0))
    return builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(I32, n), [0] * n))


def _part(builder: Any, vector: Any, first: int, n: int, step: int = 1) -> Any:
    elements = ir.Constant(ir.VectorType(I32, n), [first + step * i for i in range(n)])
    return builder.shuffle_vector(vector, vector, elements)


def _concat(builder: Any, parts: list[Any]) -> Any:
    while len(parts) > 1:
        n = ir.Constant(ir.VectorType(I32, 2 * parts[0].type.count), list(range(2 * parts[0].type.count)))
        parts = [builder.shuffle_vector(a, b, n) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def _pack(builder: Any, parts: list[Any]) -> Any:
    pack = ir.Constant(ir.ArrayType(parts[0].type, len(parts)), ir.Undefined)
    for i, part in enumerate(parts):
        pack = builder.insert_value(pack, part, i)
    return pack


def _each(builder: Any, operation: Callable[..., Any], first: Any, *others: Any) -> Any:
    """operation(builder, first, *others), on one part after the other where they are made of some: halves, or lanes.

    One of the others that is no pack of lanes goes with every lane.
    """
    if not isinstance(first.type, ir.ArrayType):
        return operation(builder, first, *others)
    return _pack(builder, [
        _each(builder, operation, builder.extract_value(first, i),
              *(builder.extract_value(v, i) if v.type == first.type else v for v in others))
        for i in range(first.type.count)
    ])  # fmt: skip


def _constant(vector: Any, value: float | int) -> Any:
    return ir.Constant(vector, [value] * vector.count)


# Moving data


@intrinsic
def pointer(typingctx, array):
    """The address of array[0], which the primitives take like the array."""

    def codegen(context, builder, signature, args):
        return _data(context, builder, array, args[0])

    return types.CPointer(array.dtype)(array), codegen


@intrinsic(prefer_literal=True)
def load(typingctx, n, array, index):
    """n elements from array[index:]: float32, int32 and int16 as they are, uint16 as binary16 bits widened exactly."""
    dtype, width = array.dtype, _width(n)
    kind = {types.int32: "i", types.int16: "s"}.get(dtype, "f")

    def codegen(context, builder, signature, args):
        def part(first, n):
            index = builder.add(args[2], args[2].type(first))
            if dtype == types.uint16:
                half = _load(context, builder, array, args[1], index, ir.VectorType(ir.HalfType(), n))
                return builder.fpext(half, ir.VectorType(F32, n))
            return _load(context, builder, array, args[1], index, ir.VectorType(ELEMENT[kind], n))

        return _pack(builder, [part(0, 8), part(8, 8)]) if width == "16y" else part(0, width)

    return VecType(kind, width)(n, array, types.intp), codegen


@intrinsic
def at(typingctx, array, index):
    """array[index] for 0 <= index: Numba's own indexing looks for negative ones first."""

    def codegen(context, builder, signature, args):
        return builder.load(builder.gep(_data(context, builder, array, args[0]), [args[1]]))

    return array.dtype(array, types.intp), codegen


@intrinsic
def store(typingctx, array, index, v):
    """array[index : index + n] = v, same dtype."""

    def codegen(context, builder, signature, args):
        _store(context, builder, array, *args)

    return types.void(array, types.intp, v), codegen


def _store(context: Any, builder: Any, array_type: Any, array: Any, index: Any, v: Any) -> None:
    pointer = _pointer(context, builder, array_type, array, index, v.type)
    builder.store(v, pointer).align = array_type.dtype.bitwidth // 8


@intrinsic(prefer_literal=True)
def broadcast(typingctx, n, x):
    """n elements of one float32 or int16."""

    def codegen(context, builder, signature, args):
        if _width(n) == "16y":
            return _pack(builder, [_splat(builder, args[1], 8)] * 2)
        return _splat(builder, args[1], _width(n))

    return VecType("s" if x == types.int16 else "f", _width(n))(n, x), codegen


@intrinsic(prefer_literal=True)
def zero(typingctx, n):
    """n ints of 0."""

    def codegen(context, builder, signature, args):
        return _constant(ir.VectorType(I32, _width(n)), 0)

    return VecType("i", _width(n))(n), codegen


# Arithmetic


def _binary(doc: str, on_float: Callable[..., Any] | None, on_int: Callable[..., Any] | None = None) -> Any:
    def typer(typingctx, a, b):
        operation = on_float if a.kind == "f" else on_int

        def codegen(context, builder, signature, args):
            return _each(builder, operation, *args)

        return a(a, b), codegen

    typer.__doc__ = doc
    return intrinsic(typer)


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


# int8 and int16


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
    width = min(n, {"avx512vnni": 16, "avx2": 8, "neon_dot": 4}.get(ISA, n))
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
        # one load for four indices: loads are what is short
        I64 = ir.IntType(64)  # noqa: N806
        four = _load(context, builder, col_idx, c_array, j_, I64)
        quads = None
        for lane in range(4):
            c = builder.and_(builder.lshr(four, I64(16 * lane)), I64(0xFFFF))
            quad = _load(context, builder, q, q_array, builder.shl(c, I64(2)), I32)
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


def _call(builder: Any, name: str, result: Any, *args: Any) -> Any:
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, [a.type for a in args]), name)
    return builder.call(function, args)


def _dot4_avx512vnni(builder, sums, w, q):
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


_DOT4 = {"avx512vnni": _dot4_avx512vnni, "avx2": _dot4_avx2, "neon_dot": _dot4_neon_dot}


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
    if v.type.element == F32:
        v = builder.fptosi(_clamp(builder, v, 1.0, 255.0), ir.VectorType(I32, n))
    else:
        v = builder.ashr(builder.add(builder.sext(v, ir.VectorType(I32, n)), _constant32(n, 128)), _constant32(n, 8))
        v = builder.select(builder.icmp_signed("<", v, _constant32(n, 127)), v, _constant32(n, 127))
        v = builder.add(v, _constant32(n, 128))
    v = builder.add(v, _constant32(n, Q_BIAS - 128))
    return builder.trunc(v, ir.VectorType(I8, n))


def _clamp(builder: Any, v: Any, low: float, high: float) -> Any:
    v = builder.select(builder.fcmp_ordered(">", v, _constant(v.type, low)), v, _constant(v.type, low))
    return builder.select(builder.fcmp_ordered("<", v, _constant(v.type, high)), v, _constant(v.type, high))


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


def _constant32(n: int, value: int) -> Any:
    return _constant(ir.VectorType(I32, n), value)


def _adds(builder: Any, a: Any, b: Any) -> Any:
    return _call(builder, f"llvm.sadd.sat.v{a.type.count}i16", a.type, a, b)


def _mulhrs(builder: Any, a: Any, b: Any) -> Any:
    n = a.type.count
    name, width = {"avx512vnni": ("llvm.x86.avx512.pmul.hr.sw.512", 32), "avx2": ("llvm.x86.avx2.pmul.hr.sw", 16),
                   "neon_dot": ("llvm.aarch64.neon.sqrdmulh.v8i16", 8)}.get(ISA, ("", n))  # fmt: skip
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
            if ISA == "neon_dot":  # which has a rounding multiply-add that saturates
                name = "llvm.aarch64.neon.sqrdmlah.v8i16"
                return _by_parts(builder, 8, lambda s, x, y: _call(builder, name, s.type, s, x, y), *args)
            return add_(builder, args[0], _mulhrs(builder, args[1], args[2]))

        return acc(acc, a, b), codegen

    typer.__doc__ = doc
    return intrinsic(typer)


adds_mulhrs = _multiply_add("adds(acc, mulhrs(a, b)); a or b is above -32768", _adds)
add_mulhrs = _multiply_add("the same where no element can overflow", lambda b, x, y: b.add(x, y))


def _by_parts(builder: Any, width: int, operation: Callable[..., Any], *vectors: Any) -> Any:
    n = vectors[0].type.count
    return _concat(builder, [operation(*(_part(builder, v, i, width) for v in vectors)) for i in range(0, n, width)])


def _copy_sign(builder: Any, a: Any, s: Any) -> Any:
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
        if ISA not in ("avx2", "neon_dot"):
            return builder.lshr(x, _constant(x.type, n))
        # both bytes of entry s of a table of 8 int16: 2 s and 2 s + 1
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
        width = {"avx512vnni": 32, "avx2": 16, "neon_dot": 8}.get(ISA, s.n)
        bytes_ = ir.VectorType(I8, 2 * width)

        def look(index):
            table_ = builder.shuffle_vector(
                entries, entries, ir.Constant(ir.VectorType(I32, width), [i % 8 for i in range(width)])
            )
            if ISA == "avx512vnni":
                return _call(builder, "llvm.x86.avx512.permvar.hi.512", index.type, table_, index)
            if ISA in ("neon", "portable"):
                result = ir.Constant(index.type, ir.Undefined)
                for i in range(width):
                    at = builder.zext(builder.extract_element(index, I32(i)), I32)
                    entry = builder.extract_element(entries, at)
                    result = builder.insert_element(result, entry, I32(i))
                return result
            name = {"avx2": "x86.avx2.pshuf.b", "neon_dot": "aarch64.neon.tbl1.v16i8"}[ISA]
            table_, index_ = builder.bitcast(table_, bytes_), builder.bitcast(index, bytes_)
            found = _call(builder, f"llvm.{name}", bytes_, table_, index_)
            return builder.bitcast(found, index.type)

        return _by_parts(builder, width, look, args[1])

    return s(table, s), codegen
