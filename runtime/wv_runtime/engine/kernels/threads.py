"""Numbers that one thread raises and others read: what the first wrote before, they find after.

C twin: libwavernn/core/threads.h, whose threads are Python's here

Usage: ``count_to(counts, k, n)`` in one thread, ``while count_of(counts, k) < n: wait_a_little()`` in another
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from .fp_mode import X86

AHEAD = 256  # steps that the first thread may be ahead of the others: WV_AHEAD
APART = 8  # int64 of a cache line: each number has one of its own


def make_counts(n: int) -> NDArray[np.int64]:
    """n numbers, 0"""
    return np.zeros(n * APART, np.int64)


def _place(context: Any, builder: Any, array_type: Any, array: Any, k: Any) -> Any:
    """Pointer to number k"""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [builder.mul(k, k.type(APART))])


@intrinsic
def count_of(typingctx, counts, k):
    """Number k"""

    def codegen(context, builder, signature, args):
        return builder.load_atomic(_place(context, builder, counts, *args), "acquire", 8)

    return types.int64(counts, types.intp), codegen


@intrinsic
def count_to(typingctx, counts, k, value):
    """Number k becomes `value`."""

    def codegen(context, builder, signature, args):
        builder.store_atomic(args[2], _place(context, builder, counts, *args[:2]), "release", 8)

    return types.void(counts, types.intp, types.int64), codegen


@intrinsic
def wait_a_little(typingctx):
    """Between two looks at a number"""

    def codegen(context, builder, signature, args):
        if X86:
            pause = ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), pause), [])

    return types.void(), codegen
