"""What the CUDA kernels are written in: float operations that are never fused, and dot products of four bytes.

`simd` has the same names for vectors of a CPU. Under the CUDA simulator ($NUMBA_ENABLE_CUDASIM=1) NumPy's scalars do
the work: each of their operations is one IEEE-754 rounding too.

Usage: ``y = add(mul(x, a), b)`` inside a function of `device`
"""

from __future__ import annotations

import numpy as np
from numba import config, cuda

SIMULATED = bool(config.ENABLE_CUDASIM)  # type: ignore[attr-defined]


def device(function):
    """A function that kernels of this folder call"""
    return function if SIMULATED else cuda.jit(device=True)(function)


def block_kernel(max_threads):
    """A kernel whose blocks have at most so many threads, which share 64 K registers."""
    return cuda.jit if SIMULATED else cuda.jit(launch_bounds=max_threads)


if SIMULATED:

    def mul(a, b):
        """a * b, float32"""
        return np.float32(np.float32(a) * np.float32(b))

    def add(a, b):
        """a + b, float32"""
        return np.float32(np.float32(a) + np.float32(b))

    def pow2(n, k):
        """2^(n + k) as float32 for -126 <= n + k <= 127, by the exponent bits"""
        return np.int32((int(n) + int(k) + 127) << 23).view(np.float32)

    def dot4(acc, w, q):
        """acc + w . q, int32; w and q are four int8 in an int32 each"""
        pairs = zip(int(w).to_bytes(4, "little", signed=True), int(q).to_bytes(4, "little", signed=True))
        return np.int32(int(acc) + sum((a - (a >> 7 << 8)) * (b - (b >> 7 << 8)) for a, b in pairs))

else:
    from llvmlite import ir
    from numba import types
    from numba.cuda import libdevice
    from numba.extending import intrinsic

    @device
    def mul(a, b):
        """a * b, float32"""
        return libdevice.fmul_rn(np.float32(a), np.float32(b))

    @device
    def add(a, b):
        """a + b, float32"""
        return libdevice.fadd_rn(np.float32(a), np.float32(b))

    @device
    def pow2(n, k):
        """2^(n + k) as float32 for -126 <= n + k <= 127, by the exponent bits"""
        return libdevice.int_as_float(np.int32((n + k + 127) << 23))

    @intrinsic
    def dot4(typingctx, acc, w, q):
        """acc + w . q, int32; w and q are four int8 in an int32 each"""

        def codegen(context, builder, signature, args):
            word = ir.IntType(32)
            instruction = ir.InlineAsm(ir.FunctionType(word, [word] * 3), "dp4a.s32.s32 $0, $1, $2, $3;", "=r,r,r,r")
            return builder.call(instruction, [args[1], args[2], args[0]])

        return types.int32(types.int32, types.int32, types.int32), codegen


@device
def maximum(a, b):
    """As docs/numerics.md has it: of a NaN and a number the latter is b"""
    return a if a > b else b


@device
def minimum(a, b):
    return a if a < b else b


@device
def saturate(x):
    """Clip an int32 to int16"""
    return np.int32(max(np.int32(-32768), min(np.int32(32767), np.int32(x))))


@device
def mulhrs(a, b):
    """The rounded Q15 product of two int16 in int32"""
    return np.int32(np.int32(np.int32(a) * np.int32(b) + np.int32(16384)) >> np.int32(15))
