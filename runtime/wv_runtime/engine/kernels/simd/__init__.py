"""Vector primitives for the Numba kernels: what vec_<isa>.h is to the C ones.

A float vector holds n elements of float32, a double vector of float64, an int vector of int32, a short vector of
int16, for any power of two n; LLVM splits them to the width of the CPU. Every float operation rounds once per element.
Only `dot4`, `mulhrs` and `lookup` name instructions: VNNI's `vpdpbusd`, AVX2's `vpmaddubsw` + `vpmaddwd`, Arm's `sdot`
and their like, or what they mean in plain LLVM elsewhere.

On x86 the quantised input q is kept as the unsigned byte q + 128, because its dot products take unsigned times
signed bytes; what they start from makes up for it (derive.start).

Usage: inside a kernel, ``s = add(s, mul(load(16, values, i), broadcast(16, x[j])))``
"""

from ..isa import ISA
from .arithmetic import add, div, hmax, hsum, maximum, minimum, mul, pow2, sub, to_float, trunc
from .dot import dot1, dot2, dot4, dot4_of_four, start_sums, total
from .fixed_point import add_mulhrs, adds, adds_mulhrs, copy_sign, fraction, halfway, lookup, min_abs, mulhrs, segment
from .memory import aligned, at, broadcast, load, pointer, scratch, store, zero
from .quantize import store_four, store_four_q, store_four_q10, store_q, store_q10
from .vector import Q_BIAS, ROWS_APART, SHORTS, WIDE

__all__ = [
    "ISA",
    "Q_BIAS",
    "ROWS_APART",
    "SHORTS",
    "WIDE",
    "add",
    "add_mulhrs",
    "adds",
    "adds_mulhrs",
    "aligned",
    "at",
    "broadcast",
    "copy_sign",
    "div",
    "dot1",
    "dot2",
    "dot4",
    "dot4_of_four",
    "fraction",
    "halfway",
    "hmax",
    "hsum",
    "load",
    "lookup",
    "maximum",
    "min_abs",
    "minimum",
    "mul",
    "mulhrs",
    "pointer",
    "pow2",
    "scratch",
    "segment",
    "start_sums",
    "store",
    "store_four",
    "store_four_q",
    "store_four_q10",
    "store_q",
    "store_q10",
    "sub",
    "to_float",
    "total",
    "trunc",
    "zero",
]
