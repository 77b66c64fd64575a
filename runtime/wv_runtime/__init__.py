"""WaveRNN on the CPU: read a .bin, turn log-mels into 16-bit audio.

Usage::

    voice = load("voice.bin")
    pcm = voice(mel)                       # (n_mels, n_frames) float32 -> (n_samples,) int16
    pcms = voice([mel, other])             # many at once
    for pcm in voice.stream(mel_chunks):   # the same samples, as frames come in
        play(pcm)
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from .errors import (
    AudioError,
    CheckpointError,
    FormatError,
    MelError,
    NativeError,
    WaveRNNError,
)

if TYPE_CHECKING:
    from .engine.batch import Batch
    from .engine.stream import Stream
    from .engine.synth import Voice
    from .features.mel import log_mel

__version__ = "0.2.0"
__all__ = [
    "AudioError", "Batch", "CheckpointError", "FormatError", "MelError", "NativeError", "Stream", "Voice",
    "WaveRNNError", "load", "log_mel",
]  # fmt: skip


def load(path: str | os.PathLike[str], engine: str = "auto") -> Voice:
    """The voice of a .bin, ready to speak.

    Parameters
    ----------
    engine : "numba", "c", "cuda", "onnx" or "auto", which takes c if it is there, else numba. The samples of all but
        onnx are the same

    Raises
    ------
    FormatError
        If the file is not a .bin that this version reads.
    OSError
        If it cannot be read.
    ValueError, NativeError
        If there is no such engine, or libwavernn or the GPU is missing.
    """
    from .engine.synth import Voice
    from .model import binary

    return Voice(binary.load(path), engine)


_HOMES = {"Batch": ".engine.batch", "Stream": ".engine.stream", "Voice": ".engine.synth", "log_mel": ".features.mel"}


def __getattr__(name: str) -> Any:  # imported at first use: `import wv_runtime` stays quick
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name], __name__), name)
