"""The one place for JIT flags.

No fast-math, no contraction: every written float operation is one IEEE-754 rounding, so that the bits equal C's.
"""

from __future__ import annotations

from numba import njit

kernel = njit(cache=True, fastmath=False, nogil=True, error_model="numpy")

OVERLOAD = {"fastmath": False, "nogil": True, "error_model": "numpy"}
