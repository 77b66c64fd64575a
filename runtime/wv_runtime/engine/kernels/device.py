"""What the CUDA kernels are written in: float operations that are never fused, dot products of four bytes, warps.

`simd` has the same names for vectors of a CPU. Under the CUDA simulator ($NUMBA_ENABLE_CUDASIM=1) NumPy's scalars do
the work: each of their operations is one IEEE-754 rounding too. `simulated` has the threads.

Usage: ``y = add(mul(x, a), b)`` inside a function of `device`
"""

from __future__ import annotations

import numpy as np
from numba import config, cuda

WARP = 32  # threads
MAX_THREADS = 1024  # of a block: that leaves 64 registers for each
SIMULATED = bool(config.ENABLE_CUDASIM)  # type: ignore[attr-defined]


def device(function):
    """A function that kernels of this folder call"""
    return function if SIMULATED else cuda.jit(device=True)(function)


def on_host(function):
    """A function of `device`, for Python"""
    return getattr(function, "py_func", function)


def block_kernel(max_threads):
    """A kernel whose blocks have at most so many threads, which share 64 K registers."""
    if SIMULATED:
        from .simulated import Kernel

        return Kernel
    return cuda.jit(launch_bounds=max_threads)


if SIMULATED:
    from greenlet import getcurrent

    def mul(a, b):
        """a * b, float32"""
        return np.float32(np.float32(a) * np.float32(b))

    def add(a, b):
        """a + b, float32"""
        return np.float32(np.float32(a) + np.float32(b))

    def div(a, b):
        """a / b, float32"""
        return np.float32(np.float32(a) / np.float32(b))

    def mul64(a, b):
        """a * b, float64"""
        return np.float64(a) * np.float64(b)

    def add64(a, b):
        """a + b, float64"""
        return np.float64(a) + np.float64(b)

    def div64(a, b):
        """a / b, float64"""
        return np.float64(a) / np.float64(b)

    def sqrt64(a):
        """The square root of a float64"""
        return np.sqrt(np.float64(a))

    def pow2_64(n):
        """2^n as float64, by the exponent bits"""
        return np.int64((int(n) + 1023) << 52).view(np.float64)

    def pow2(n, k):
        """2^(n + k) as float32 for -126 <= n + k <= 127, by the exponent bits"""
        return np.int32((int(n) + int(k) + 127) << 23).view(np.float32)

    def dot4(acc, w, q):
        """acc + w . q, int32; w and q are four int8 in an int32 each"""
        pairs = zip(int(w).to_bytes(4, "little", signed=True), int(q).to_bytes(4, "little", signed=True))
        return np.int32(int(acc) + sum((a - (a >> 7 << 8)) * (b - (b >> 7 << 8)) for a, b in pairs))

    def from_word(array, n):
        """An array of the shared memory, from its n-th word on"""
        return array[int(n) * 4 // array.itemsize :]

    def arrive(bar):
        """A block says that what it has written is there; all its threads call it"""

    def wait(bar, phase):
        """Until `phase` blocks have arrived since the launch"""
        getcurrent().grid.meet()

    def load_far(array, i):
        """What another block may have written"""
        return array[i]

    def store_far(array, i, value):
        """For other blocks to read"""
        array[i] = value

    def warp_max(x):
        """The largest of a float32 of each lane"""
        return max(getcurrent().warp.meet(x))

    def warp_sum(x, n):
        """The sum of an int32 of n lanes side by side, a power of two; each of them gets it"""
        if n == 1:  # the other lanes may be elsewhere
            return x
        values, first = getcurrent().warp.meet(x), getcurrent().x % 32 & ~(int(n) - 1)
        return np.int32(sum(map(int, values[first : first + int(n)])))

    def warp_scan(x, lane):
        """The sum of the uint32 of the lanes up to this one"""
        return np.uint32(sum(map(int, getcurrent().warp.meet(x)[: int(lane) + 1])))

    def warp_from(x, lane):
        """x of a lane, int32"""
        return getcurrent().warp.meet(x)[int(lane)]

    def warp_sync():
        """Lanes see what the others have written"""
        getcurrent().warp.meet()

else:
    from llvmlite import ir
    from numba import types
    from numba.cuda import libdevice
    from numba.extending import intrinsic

    ALL = np.int32(-1)  # lanes

    @device
    def mul(a, b):
        """a * b, float32"""
        return libdevice.fmul_rn(np.float32(a), np.float32(b))

    @device
    def add(a, b):
        """a + b, float32"""
        return libdevice.fadd_rn(np.float32(a), np.float32(b))

    @device
    def div(a, b):
        """a / b, float32"""
        return libdevice.fdiv_rn(np.float32(a), np.float32(b))

    @device
    def mul64(a, b):
        """a * b, float64"""
        return libdevice.dmul_rn(a, b)

    @device
    def add64(a, b):
        """a + b, float64"""
        return libdevice.dadd_rn(a, b)

    @device
    def div64(a, b):
        """a / b, float64"""
        return libdevice.ddiv_rn(a, b)

    @device
    def sqrt64(a):
        """The square root of a float64"""
        return libdevice.dsqrt_rn(a)

    @device
    def pow2_64(n):
        """2^n as float64, by the exponent bits"""
        return libdevice.longlong_as_double((np.int64(n) + np.int64(1023)) << np.int64(52))

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

    @intrinsic
    def from_word(typingctx, array, n):
        """An array of the shared memory, from its n-th word on; a slice would hold a register for each type"""

        def codegen(context, builder, signature, args):
            whole = context.make_array(array)(context, builder, args[0])
            part = context.make_array(array)(context, builder, args[0])
            byte = ir.IntType(8).as_pointer(whole.data.type.addrspace)
            at = builder.mul(args[1], ir.Constant(args[1].type, 4))
            part.data = builder.bitcast(builder.gep(builder.bitcast(whole.data, byte), [at]), whole.data.type)
            return part._getvalue()

        return array(array, types.uint32), codegen

    @device
    def arrive(bar):
        """A block says that what it has written is there; all its threads call it"""
        cuda.syncthreads()
        if cuda.threadIdx.x == 0:
            cuda.threadfence()
            cuda.atomic.add(bar, 0, 1)

    @device
    def wait(bar, phase):
        """Until `phase` blocks have arrived since the launch"""
        if cuda.threadIdx.x == 0:
            while np.int32(cuda.ldcv(bar, 0) - phase) < 0:
                pass
            cuda.threadfence()
        cuda.syncthreads()

    @device
    def load_far(array, i):
        """What another block may have written"""
        return cuda.ldcg(array, i)

    @device
    def store_far(array, i, value):
        """For other blocks to read"""
        cuda.stcg(array, i, value)

    @device
    def warp_max(x):
        """The largest of a float32 of each lane"""
        for s in (16, 8, 4, 2, 1):
            x = maximum(x, cuda.shfl_xor_sync(ALL, x, s))
        return x

    @device
    def warp_sum(x, n):
        """The sum of an int32 of n lanes side by side, a power of two; each of them gets it"""
        s = np.int32(n >> 1)
        while s > 0:
            x = np.int32(x + cuda.shfl_xor_sync(ALL, x, s))
            s = np.int32(s >> 1)
        return x

    @device
    def warp_scan(x, lane):
        """The sum of the uint32 of the lanes up to this one"""
        for s in (1, 2, 4, 8, 16):
            before = np.uint32(cuda.shfl_up_sync(ALL, np.int32(x), s))
            x = np.uint32(x + (before if lane >= s else np.uint32(0)))
        return x

    @device
    def warp_from(x, lane):
        """x of a lane, int32"""
        return cuda.shfl_sync(ALL, x, lane)

    @device
    def warp_sync():
        """Lanes see what the others have written"""
        cuda.syncwarp(ALL)


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
