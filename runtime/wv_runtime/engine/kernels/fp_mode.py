"""The floating-point mode that the samples are defined in: round to nearest even, subnormals kept.

A thread's mode is its program's: some libraries flush subnormals from the moment they are loaded.
C twin: libwavernn/core/fp_mode.h

Usage: ``with defined_mode(): generate(...)``
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import kernel

I8P, I32, I64 = ir.IntType(8).as_pointer(), ir.IntType(32), ir.IntType(64)
X86 = platform.machine() in ("x86_64", "AMD64")
ARM = platform.machine() in ("aarch64", "arm64")
MODE = 0x1F80 if X86 else 0  # of the control register: every exception masked


@intrinsic
def _get(typingctx):
    """The control register: MXCSR or FPCR; 0 on other machines."""

    def codegen(context, builder, signature, args):
        if X86:
            place = cgutils.alloca_once(builder, I32)
            _x86(builder, "stmxcsr", place)
            return builder.zext(builder.load(place), I64)
        return builder.asm(ir.FunctionType(I64, []), "mrs $0, fpcr", "=r", [], True) if ARM else I64(0)

    return types.uint64(), codegen


@intrinsic
def _set(typingctx, mode):
    def codegen(context, builder, signature, args):
        if X86:
            place = cgutils.alloca_once_value(builder, builder.trunc(args[0], I32))
            _x86(builder, "ldmxcsr", place)
        elif ARM:
            builder.asm(ir.FunctionType(ir.VoidType(), [I64]), "msr fpcr, $0", "r", args, True)
        return context.get_dummy_value()

    return types.void(types.uint64), codegen


def _x86(builder, instruction, place):
    function = ir.FunctionType(ir.VoidType(), [I8P])
    callee = cgutils.get_or_insert_function(builder.module, function, f"llvm.x86.sse.{instruction}")
    builder.call(callee, [builder.bitcast(place, I8P)])


@kernel
def swap_mode(mode):
    """Set the control register of this thread; returns what it held. Its own call: nothing computed moves across it."""
    before = _get()
    _set(mode)
    return before


@contextmanager
def defined_mode() -> Iterator[None]:
    """Inside, this thread computes in the defined mode; afterwards in the one it had."""
    before = swap_mode(np.uint64(MODE))
    try:
        yield
    finally:
        swap_mode(np.uint64(before))
