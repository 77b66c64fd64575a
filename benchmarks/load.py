"""How long wv_model_load takes to check a .bin: milliseconds a megabyte.

Usage: ``python benchmarks/load.py voices/kathleen16/voice.bin``
"""

from __future__ import annotations

import ctypes
import statistics
import time

import click
from wv_runtime.commands.common import Command
from wv_runtime.engine.native import library
from wv_runtime.model import binary


@click.command("load", cls=Command)
@click.argument("models", nargs=-1, required=True)
@click.option("--times", type=click.IntRange(1), default=201, show_default=True)
def main(models: tuple[str, ...], times: int) -> None:
    c = library()
    for path in models:
        raw, seconds = binary.read(path), []
        for _ in range(times):
            handle, began = ctypes.c_void_p(), time.perf_counter()
            c.wv_model_load(raw.ctypes.data, raw.nbytes, ctypes.byref(handle))
            seconds.append(time.perf_counter() - began)
            c.wv_model_free(handle)
        mb = raw.nbytes / 1e6
        median, least = 1e3 * statistics.median(seconds) / mb, 1e3 * min(seconds) / mb
        print(f"{path}: {mb:.3f} MB, median {median:.2f} ms a MB, least {least:.2f}")


if __name__ == "__main__":
    main()
