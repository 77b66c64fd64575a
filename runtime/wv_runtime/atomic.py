"""Write a file whole or not at all.

Usage: ``with atomic_path("out.bin") as tmp: tmp.write_bytes(b)``
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it replaces `path` if the block ends well and is removed if not.

    The temporary name keeps the suffix, because writers such as soundfile choose the format by it.
    What is not a regular file (/dev/null, a pipe) is written in place.
    """
    target = Path(path).resolve()  # so that a symbolic link stays one
    if target.is_dir():
        raise IsADirectoryError(21, "Is a directory", str(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(2, "No such directory", str(target.parent))
    if target.exists() and not target.is_file():
        yield target
        return
    tmp = target.with_name(f".{target.stem}.{os.getpid()}{target.suffix}")
    try:
        yield tmp
        os.replace(tmp, target)
    finally:
        tmp.unlink(missing_ok=True)
