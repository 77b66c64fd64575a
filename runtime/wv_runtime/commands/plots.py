"""One picture, written whole or not at all. matplotlib is loaded when a picture is asked for.

Usage: ``save_figure("out.png", lambda axes: axes.plot(x, y))``
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wv_runtime.commands.common import atomic_path
from wv_runtime.commands.names import check_suffix
from wv_runtime.errors import WaveRNNError

SUFFIXES = (".png", ".pdf", ".svg")


def check_figure(path: str) -> None:
    """Before minutes are spent: that a picture can be written there.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If the suffix is not one of SUFFIXES.
    """
    if not Path(path).absolute().parent.is_dir():
        raise FileNotFoundError(2, "No such directory", str(Path(path).parent))
    check_suffix(path, SUFFIXES, "picture")


def save_figure(path: str, draw: Callable[[Any], Any], width: float = 9.0, height: float = 5.5) -> None:
    """`draw` fills the axes; the suffix of `path` is the format.

    Raises
    ------
    WaveRNNError
        If matplotlib is not installed.
    ValueError
        If matplotlib does not know the suffix.
    """
    try:
        matplotlib = importlib.import_module("matplotlib")
    except ImportError:
        raise WaveRNNError("matplotlib: not installed, wanted for --plot; pip install 'wavernn[plot]'") from None
    matplotlib.use("agg")
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")
    draw(figure.subplots())
    with atomic_path(path) as tmp:
        figure.savefig(tmp, dpi=120)
