"""The one place for JIT flags.

No fast-math, no contraction: every written float operation is one IEEE-754 rounding, so that the bits equal C's.
"""

from __future__ import annotations

import functools
import hashlib
import sys
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba import njit, types
from numba.core import cgutils
from numba.core.caching import FunctionCache
from numba.core.compiler import Flags
from numba.extending import intrinsic

from .isa import ISA

OVERLOAD = {"fastmath": False, "nogil": True, "error_model": "numpy", "forceinline": True}

# Numba invalidates its cache per file. Our kernels inline others and depend on the ISA: the stamp hashes all of that.
_sources = b"".join(p.read_bytes() for p in sorted(Path(__file__).parent.rglob("*.py")))
STAMP = hashlib.sha256(_sources + ISA.encode()).hexdigest()
# Numba numbers the functions of a process from 1. Kernels that two processes have cached meet in a third: there, two
# closures with one name and number but other captured values would be one symbol, and a kernel calls the wrong one.
_PROCESS = uuid.uuid4().hex


def kernel(function: Callable[..., Any]) -> Any:
    """A compiled function, cached on disk until any kernel source or the ISA changes.

    It makes no arrays. So nobody counts references to those it is given: of the tuples with a model's arrays, that
    takes longer to compile than the arithmetic.
    """
    options: Any = {"fastmath": False, "nogil": True, "error_model": "numpy", "_nrt": False}
    compiled: Any = njit(**options)(function)
    try:
        compiled._cache = _Cache(function)
    except (OSError, RuntimeError):  # neither the package's folder nor the user's can be written
        _tell_once("no folder for compiled kernels can be written")
    return compiled


class _Cache(FunctionCache):
    """Numba's cache on disk. What is damaged in it is compiled and written again; without it all works, only later."""

    def __init__(self, function: Callable[..., Any]):
        super().__init__(function)
        self._cache_file._source_stamp = STAMP

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever pickle and Numba raise on cut, empty or other bytes
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _tell_once(f"{self.cache_path}: {error.strerror}")


@functools.cache
def _tell_once(reason: str) -> None:
    text = f"wavernn: {reason}: kernels are compiled at each start; NUMBA_CACHE_DIR=FOLDER names another place"
    print(text, file=sys.stderr)


def apart(function: Callable[..., Any]) -> Any:
    """A call, never inlined, of `function`: one tuple of its arguments, scalars and pointers; it returns nothing.

    Its loops have the registers to themselves: inlined into the sample loop, they read the pointers of five matrices
    from the stack again and again.
    """
    function.__qualname__ += f".{_PROCESS}"

    @intrinsic
    def call(typingctx, arguments):
        inner = types.none(*arguments.types)
        flags = Flags()
        flags.error_model, flags.nrt = "numpy", False  # and no fast-math, by default

        def codegen(context, builder, signature, args):
            callee = context.compile_subroutine(builder, function, inner, flags=flags)
            address = context.declare_function(builder.module, callee.fndesc)
            values = cgutils.unpack_tuple(builder, args[0])
            context.call_conv.call_function(builder, address, inner.return_type, inner.args, values, ("noinline",))
            return context.get_dummy_value()

        return types.void(arguments), codegen

    return call
