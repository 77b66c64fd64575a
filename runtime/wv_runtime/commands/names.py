"""Can this name be meant for a file to write? Asked before minutes are spent on what goes into it.

Usage: ``check_suffix("mel.npy", [".npy"], "MEL")``
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def is_pipe(path: str | os.PathLike[str]) -> bool:
    """Whether it exists and is a pipe or a device, such as /dev/fd/63 of the shell's ``>(..)``."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def check_other(path: str, inputs: Sequence[str], option: str) -> None:
    """Raises ValueError if a file to write is one of those that are read, by whatever name."""
    for known in inputs:
        if os.path.exists(path) and os.path.exists(known) and os.path.samefile(path, known):
            raise ValueError(f"{option}: found {path}, which is read, wanted another file")


def check_suffix(path: str | os.PathLike[str], suffixes: Sequence[str], option: str) -> None:
    """Raises ValueError if a file to write has another suffix; a pipe may have any."""
    if not is_pipe(path) and Path(path).suffix.lower() not in suffixes:
        *first, last = suffixes
        wanted = f"{', '.join(first)} or {last}" if first else last
        raise ValueError(f"{option}: found {path}, wanted a name ending in {wanted}")


def check_file(path: str, suffixes: Sequence[str], option: str) -> None:
    """What would make writing a file fail.

    Raises
    ------
    OSError
        If its folder is missing or cannot be written.
    ValueError
        If there are suffixes and it has none of them.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(21, "Is a directory", path)
    if is_pipe(path):
        return
    if suffixes:
        check_suffix(path, suffixes, option)
    if not target.parent.is_dir():
        raise FileNotFoundError(2, "No such file or directory", str(target.parent))
    if not os.access(target.parent, os.W_OK):
        raise PermissionError(13, "Permission denied", str(target.parent))
