"""The one place for JIT flags.

No fast-math, no contraction: every written float operation is one IEEE-754 rounding, so that the bits equal C's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

OVERLOAD = {"fastmath": False, "nogil": True, "error_model": "numpy", "forceinline": True}

# Numba takes a cached kernel for good while the file it stands in is unchanged; ours inline their neighbours.
SOURCES = hashlib.sha256(b"".join(p.read_bytes() for p in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()


def kernel(function: Callable[..., Any]) -> Any:
    """A compiled function, cached on disk until any kernel source changes."""
    compiled: Any = njit(cache=True, fastmath=False, nogil=True, error_model="numpy")(function)
    compiled._cache._cache_file._source_stamp = SOURCES
    return compiled
