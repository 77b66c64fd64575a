"""Write a file whole or not at all.

Usage: ``with atomic_path("out.bin") as tmp: tmp.write_bytes(b)``
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it replaces `path` if the block ends well and is removed if not.

    The temporary name keeps the suffix, because writers such as soundfile choose the format by it. Nobody can guess
    it, and nothing has stood there before: what others put into the folder is never written to. What is not a regular
    file (/dev/null, a pipe) is written in place.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:  # other errors, such as links that go round in a circle, leave
        mode = stat.S_IFREG
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        with _named(path, path):
            yield Path(path)
        return
    target = Path(os.path.realpath(path))  # so that a symbolic link stays one
    if target.is_dir():
        raise IsADirectoryError(21, "Is a directory", str(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(2, "No such directory", str(target.parent))
    tmp = target.with_name(f".{target.stem[:64]}.{secrets.token_hex(8)}{target.suffix}")
    os.close(os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o666))
    try:
        with _named(path, tmp):
            yield tmp
            os.replace(tmp, target)
    finally:
        tmp.unlink(missing_ok=True)


def remove_stale(path: Path) -> None:
    """Remove what a run that was killed has left beside `path` under a temporary name."""
    pattern = re.compile(re.escape(f".{path.stem[:64]}.") + "[0-9a-f]{16}" + re.escape(path.suffix))
    if path.parent.is_dir():
        for name in os.listdir(path.parent):
            if pattern.fullmatch(name):
                (path.parent / name).unlink(missing_ok=True)


@contextmanager
def _named(path: str | os.PathLike[str], tmp: str | os.PathLike[str]) -> Iterator[None]:
    """An OSError of a full disk has no name, and nobody knows the temporary one."""
    try:
        yield
    except OSError as e:
        if e.errno is not None and e.filename in (None, str(tmp), tmp):
            raise OSError(e.errno, e.strerror, str(path)) from None
        raise
