"""How each program starts: its module is imported here, so that ctrl-C meanwhile is told in one line, too.

Usage: ``wv_run = functools.partial(start, "wv-run", "wv_runtime.commands.run")``, in a module that imports nothing else
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from functools import partial


def start(program: str, module: str, extra: str | None = None, purpose: str | None = None) -> None:
    """Call `main` of the module; what is not installed is named with the extra that has it, if there is one."""

    def stop(*_: object) -> None:
        """Nothing is written yet. An exception would not do: torch's C++ imports numpy and drops what that raises."""
        os.write(2, f"{program}: error: interrupted\n".encode())
        os._exit(130)

    heard = signal.getsignal(signal.SIGINT)
    if heard is signal.default_int_handler:  # not where a job behind & ignores it
        signal.signal(signal.SIGINT, stop)
    try:
        main = importlib.import_module(module).main
    except ModuleNotFoundError as error:
        if extra is None:
            raise
        sys.exit(f"{program}: error: {error.name}: not installed, wanted for {purpose}; pip install 'wavernn[{extra}]'")
    signal.signal(signal.SIGINT, heard)
    main()


wv_run = partial(start, "wv-run", "wv_runtime.commands.run")
wv_mel = partial(start, "wv-mel", "wv_runtime.commands.mel")
wv_inspect = partial(start, "wv-inspect", "wv_runtime.commands.inspect")
