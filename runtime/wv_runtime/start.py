"""How each program starts: its module is imported here, so that ctrl-C meanwhile is told in one line, too.

Usage: ``wv_run = functools.partial(start, "wv-run", "wv_runtime.commands.run")``, in a module that imports nothing else
"""

from __future__ import annotations

import _thread
import atexit
import importlib
import os
import signal
import sys
import time
from contextlib import suppress
from functools import partial
from typing import Any

SOON_S = 0.05
INTERRUPTED = 130  # exit code


def start(program: str, module: str, extra: str | None = None, purpose: str | None = None) -> None:
    """Call `main` of the module; what is not installed is named with the extra that has it, if there is one."""

    def stop(*_: object) -> None:
        """Nothing is written yet. An exception would not do: torch's C++ imports numpy and drops what that raises."""
        os.write(2, f"{program}: error: interrupted\n".encode())
        os._exit(INTERRUPTED)

    dropped = []  # ctrl-C that Python has dropped

    def again(unraisable: Any) -> None:
        """Python drops it in a callback from C, as Numba's compiler has some, and in a destructor: it comes again."""
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            sys.__unraisablehook__(unraisable)
        elif unraisable.exc_type is KeyboardInterrupt:  # a subclass is of who has noted it
            dropped.append(unraisable.exc_type)
            _thread.start_new_thread(_interrupt_soon, ())  # threading.Thread would wait for its start, and hear it

    heard = signal.getsignal(signal.SIGINT)
    if heard is signal.default_int_handler:  # not where a job behind & ignores it
        signal.signal(signal.SIGINT, stop)
    try:
        main = importlib.import_module(module).main
    except ModuleNotFoundError as error:
        if extra is None:
            raise
        sys.exit(f"{program}: error: {error.name}: not installed, wanted for {purpose}; pip install 'wavernn[{extra}]'")
    sys.unraisablehook = again
    signal.signal(signal.SIGINT, heard)
    try:
        main()
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            _end_at_once()
        raise
    except Exception:
        if not dropped:
            raise
        stop()  # what was to be called back has failed before it came again


def _interrupt_soon() -> None:
    time.sleep(SOON_S)
    _thread.interrupt_main()


def _end_at_once() -> None:
    """All has been told and cleared away; to take the modules of Numba or torch down would take 0.3 s more."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # none, a pipe that nobody reads, closed
            stream.flush()
    os._exit(INTERRUPTED)


wv_run = partial(start, "wv-run", "wv_runtime.commands.run")
wv_mel = partial(start, "wv-mel", "wv_runtime.commands.mel")
wv_inspect = partial(start, "wv-inspect", "wv_runtime.commands.inspect")
