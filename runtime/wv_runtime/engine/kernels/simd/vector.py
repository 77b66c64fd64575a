"""Vectors as Numba types, and what makes LLVM code of them.

Names that begin with _ make LLVM code; the others of this package are called from kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from ..isa import VECTORS

I8, I16, I32 = ir.IntType(8), ir.IntType(16), ir.IntType(32)
F32, F64 = ir.FloatType(), ir.DoubleType()
ELEMENT = {"f": F32, "d": F64, "i": I32, "s": I16, "a": I32}
Q_BIAS = 128 if VECTORS in ("avx2", "avx512vnni") else 0
N_SUMS = 2 if VECTORS == "avx512vnni" else 1  # of an int8 block row: of its even and its odd blocks, or of all
ROWS_APART = 16 if VECTORS == "avx2" else 1  # block rows whose sums lie in memory before they are scaled
WIDE = bool(Q_BIAS)  # whether a vector has room for several blocks of 4 rows
SHORTS = 32 if Q_BIAS else 16  # elements of an int16 vector in the gates


class VecType(types.Type):
    """In registers: n elements, or with "a" the sums of n int8 rows.

    Kinds: float32 "f", float64 "d", int32 "i", int16 "s". With lanes: as many of them, one of each lane (lanes.py).
    """

    def __init__(self, kind: str, n: int, lanes: int = 0):
        self.kind, self.n, self.lanes = kind, n, lanes
        super().__init__(name=f"v{kind}{n}" + (f"x{lanes}" if lanes else ""))


@register_model(VecType)
class _VecModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: VecType):
        be_type = ir.VectorType(ELEMENT[fe_type.kind], fe_type.n)
        if fe_type.kind == "a":
            be_type = ir.ArrayType(be_type, N_SUMS)
        super().__init__(dmm, fe_type, ir.ArrayType(be_type, fe_type.lanes) if fe_type.lanes else be_type)


def _width(n: Any) -> Any:
    return n.literal_value if isinstance(n, types.Literal) else None


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
    """operation(builder, first, *others), on one lane after the other where they are packs of some.

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


def _binary(doc: str, on_float: Callable[..., Any] | None, on_int: Callable[..., Any] | None = None) -> Any:
    def typer(typingctx, a, b):
        operation = on_float if a.kind in "fd" else on_int

        def codegen(context, builder, signature, args):
            return _each(builder, operation, *args)

        return a(a, b), codegen

    typer.__doc__ = doc
    return intrinsic(typer)


def _call(builder: Any, name: str, result: Any, *args: Any) -> Any:
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, [a.type for a in args]), name)
    return builder.call(function, args)


def _clamp(builder: Any, v: Any, low: float, high: float) -> Any:
    v = builder.select(builder.fcmp_ordered(">", v, _constant(v.type, low)), v, _constant(v.type, low))
    return builder.select(builder.fcmp_ordered("<", v, _constant(v.type, high)), v, _constant(v.type, high))


def _constant32(n: int, value: int) -> Any:
    return _constant(ir.VectorType(I32, n), value)


def _by_parts(builder: Any, width: int, operation: Callable[..., Any], *vectors: Any) -> Any:
    n = vectors[0].type.count
    return _concat(builder, [operation(*(_part(builder, v, i, width) for v in vectors)) for i in range(0, n, width)])
