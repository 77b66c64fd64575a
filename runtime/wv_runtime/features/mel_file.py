"""The .npy mel files between wv-mel and wv-run: write one, or read one and refuse what cannot be meant.

C twin: libwavernn/tools/npy.c: the same checks in the same order.

A file of wv-mel is a plain .npy that any NumPy reads. Its header ends with a Python comment that names the
settings, ``# mel: 16k, 16000 Hz, hop 160;``, so that wv-run can refuse mels made for another sample rate:
the numbers alone do not tell. A file without the comment is taken at its word.

Usage: ``save_mel("out.npy", mel, cfg); mel = load_mel("out.npy", cfg)``
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wv_runtime.atomic import atomic_path
from wv_runtime.errors import MelError
from wv_runtime.model.config import MelConfig

# log(1e-5) = -11.5 is the floor of every preset, and speech peaks near 3; the rest is slack
LOWEST_MEL, HIGHEST_MEL = -16.0, 6.0
MAX_SAMPLES = (2**32 - 1 - 36) // 2  # what the 32-bit sizes of a WAV file can say


def settings(cfg: MelConfig) -> str:
    """What two makers of mels must agree on, as text."""
    return f"{cfg.name}, {cfg.sample_rate} Hz, hop {cfg.hop_length}"


def save_mel(path: str | Path, mel: NDArray[np.float32], cfg: MelConfig) -> None:
    """Write a .npy, whole or not at all. mel : (n_mels, n_frames) float32"""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {mel.shape}, }}  # mel: {settings(cfg)};"
    header = header.ljust(-(-(10 + len(header) + 1) // 64) * 64 - 10 - 1) + "\n"  # the data starts at a multiple of 64
    data = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode("ascii") + mel.astype("<f4").tobytes()
    with atomic_path(path) as tmp:
        tmp.write_bytes(data)


def load_mel(path: str | Path, cfg: MelConfig) -> NDArray[np.float32]:
    """Read a mel array for a model that wants `cfg`.

    Returns
    -------
    mel : (n_mels, n_frames) float32, finite natural logarithms

    Raises
    ------
    MelError
        If it is not such an array: the message says what was found and what was wanted.
    OSError
        If the file cannot be read.
    """
    # 1) a .npy header
    with open(path, "rb") as f:
        try:
            version = np.lib.format.read_magic(f)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                shape, fortran_order, dtype = _read_header(f, version)
        except (ValueError, SyntaxError, TypeError, UnicodeError, RecursionError, MemoryError):
            raise MelError(f"{path}: not a .npy file, wanted a mel array of wv-mel or numpy.save") from None
        start = f.tell()
        f.seek(0)
        header = f.read(start).decode("latin1")
        # 2) float32 or float64
        if dtype.str not in ("<f4", "<f8"):
            raise MelError(f"{path}: dtype {dtype.str}, wanted <f4 (float32) or <f8")
        # 3) (n_mels, n_frames)
        _check_shape(path, shape, cfg)
        n_frames = shape[1]
        data = f.read(cfg.n_mels * n_frames * dtype.itemsize)
    if len(data) < cfg.n_mels * n_frames * dtype.itemsize:
        raise MelError(f"{path}: truncated: {len(data)} bytes of data, wanted {shape} of {dtype.str}")
    # 4) the settings it was made with, if wv-mel wrote them
    made = re.search(r"# mel: (.*);", header)
    if made and made[1] != settings(cfg):
        raise MelError(f"{path}: made for {made[1]}; the model wants {settings(cfg)}")
    # 5) finite natural logarithms
    mel = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")
    with np.errstate(over="ignore"):
        mel = np.ascontiguousarray(mel, np.float32)
    _check_values(path, mel)
    return mel


def _read_header(f: object, version: tuple[int, int]) -> tuple[tuple[int, ...], bool, np.dtype]:
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(f)  # type: ignore[arg-type]
    return np.lib.format.read_array_header_2_0(f)  # type: ignore[arg-type]


def _check_shape(path: str | Path, shape: tuple[int, ...], cfg: MelConfig) -> None:
    if len(shape) == 2 and shape[0] != cfg.n_mels and shape[1] == cfg.n_mels:
        raise MelError(f"{path}: shape {shape} is transposed, wanted (n_mels, n_frames) = {shape[::-1]}")
    if len(shape) != 2 or shape[0] != cfg.n_mels:
        raise MelError(f"{path}: shape {shape}, wanted ({cfg.n_mels}, n_frames)")
    if shape[1] == 0:
        raise MelError(f"{path}: 0 frames, wanted at least 1")
    longest = MAX_SAMPLES // cfg.hop_length
    if shape[1] > longest:
        raise MelError(f"{path}: {shape[1]} frames, wanted at most the {longest} that fit a WAV file")


def _check_values(path: str | Path, mel: NDArray[np.float32]) -> None:
    if not np.isfinite(mel).all():
        band, frame = np.argwhere(~np.isfinite(mel))[0]
        raise MelError(f"{path}: NaN or infinite at band {band}, frame {frame}")
    low, high = mel.min(), mel.max()
    if low < LOWEST_MEL or high > HIGHEST_MEL or low >= 0:
        guess = "; these look linear" if low >= 0 else "; these look like decibels" if low < LOWEST_MEL else ""
        raise MelError(f"{path}: values from {low:.4g} to {high:.4g}, wanted natural-log mels, about -11.5 to 3{guess}")
