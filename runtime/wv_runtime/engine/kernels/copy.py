"""Copying a part of an array into another, as memcpy does.

Usage: ``copy(to, 0, of, 0, len(of))``
"""

from __future__ import annotations

from numba.extending import register_jitable

from .jit import OVERLOAD


@register_jitable(**OVERLOAD)
def copy(to, first, of, of_first, n):
    """to[first : first + n] = of[of_first : of_first + n], which a kernel cannot write so: it might make an array."""
    for i in range(n):
        to[first + i] = of[of_first + i]
