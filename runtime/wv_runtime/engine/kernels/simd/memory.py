"""Loads, stores and broadcasts."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from .vector import ELEMENT, F32, I32, VecType, _constant, _splat, _width


def aligned(a: NDArray[Any]) -> NDArray[Any]:
    """The same array from a 64-byte boundary, or itself: a vector that straddles cache lines is read twice."""
    if a.flags.c_contiguous and a.ctypes.data % 64 == 0:
        return a
    raw = np.empty(a.nbytes + 64, np.uint8)
    copy = raw[-raw.ctypes.data % 64 :][: a.nbytes].view(a.dtype).reshape(a.shape)
    copy[:] = a
    copy.flags.writeable = a.flags.writeable  # part of its Numba type
    return copy


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


@intrinsic
def pointer(typingctx, array):
    """The address of array[0], which the primitives take like the array."""

    def codegen(context, builder, signature, args):
        return _data(context, builder, array, args[0])

    return types.CPointer(array.dtype)(array), codegen


@intrinsic(prefer_literal=True)
def scratch(typingctx, n):
    """Room for n int32 on the stack"""

    def codegen(context, builder, signature, args):
        with builder.goto_entry_block():
            room = builder.alloca(ir.ArrayType(I32, _width(n)))
        room.align = 64
        return builder.bitcast(room, I32.as_pointer())

    return types.CPointer(types.int32)(n), codegen


@intrinsic(prefer_literal=True)
def load(typingctx, n, array, index):
    """n elements from array[index:] as they are; uint16 as binary16 bits, widened exactly."""
    dtype, width = array.dtype, _width(n)
    kind = {types.float64: "d", types.int32: "i", types.int16: "s"}.get(dtype, "f")

    def codegen(context, builder, signature, args):
        if dtype == types.uint16:
            half = _load(context, builder, array, args[1], args[2], ir.VectorType(ir.HalfType(), width))
            return builder.fpext(half, ir.VectorType(F32, width))
        return _load(context, builder, array, args[1], args[2], ir.VectorType(ELEMENT[kind], width))

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
    """n elements of one float32, float64 or int16."""

    def codegen(context, builder, signature, args):
        return _splat(builder, args[1], _width(n))

    return VecType({types.int16: "s", types.float64: "d"}.get(x, "f"), _width(n))(n, x), codegen


@intrinsic(prefer_literal=True)
def zero(typingctx, n):
    """n ints of 0."""

    def codegen(context, builder, signature, args):
        return _constant(ir.VectorType(I32, _width(n)), 0)

    return VecType("i", _width(n))(n), codegen
