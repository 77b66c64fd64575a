"""Which ISA the Numba kernels of this process are compiled for: the best of the CPU, or $WV_ISA.

C twin: libwavernn/core/dispatch.c, with the same names in the same order.
"""

from __future__ import annotations

import os

import llvmlite.binding as llvm

# What an ISA wants of the CPU, best first. Here neon is the same code as portable: LLVM's own vectors.
ISAS = {
    "avx512vnni": ("avx2", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512vnni"),
    "avxvnni": ("avx2", "f16c", "avxvnni"),
    "avx2": ("avx2", "f16c"),
    "neon_dot": ("neon", "dotprod"),
    "neon": ("neon",),
    "relaxed_u8": ("relaxed-simd",),  # WebAssembly, where Numba does not run
    "relaxed_s8": ("relaxed-simd",),
    "simd128_dot": ("simd128",),
    "simd128": ("simd128",),
    "portable": (),
}
_features = llvm.get_host_cpu_features()
HOST_ISAS = [name for name, wanted in ISAS.items() if all(_features.get(f) for f in wanted)]
_asked = os.environ.get("WV_ISA") or HOST_ISAS[0]
ISA = _asked if _asked in HOST_ISAS else "portable"
VECTORS = "avx2" if ISA == "avxvnni" else ISA  # the ISA whose vectors it has: that of all but its int8 dot products


def check_isa() -> None:
    """Raise ValueError if $WV_ISA names no ISA of this CPU."""
    if _asked not in HOST_ISAS:
        raise ValueError(f"isa: found {_asked}, wanted one of {', '.join(HOST_ISAS)}")
