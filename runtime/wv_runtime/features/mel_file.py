"""The .npy mel files between wv-mel and wv-run: write one, or read one and refuse what cannot be meant.

C twin: libwavernn/tools/npy.c: the same checks in the same order.

A file of wv-mel is a plain .npy that any NumPy reads. Its header ends with a Python comment that names the
settings, ``# mel: 16k, 16000 Hz, hop 160;``, so that wv-run can refuse mels made for another sample rate:
the numbers alone do not tell. A file without the comment is taken at its word.

Usage: ``save_mel("out.npy", mel, cfg); mel = load_mel("out.npy", cfg)``
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from wv_runtime.atomic import atomic_path
from wv_runtime.errors import MelError
from wv_runtime.features.mel_check import ADVICE, positive_cause
from wv_runtime.model.config import MelConfig

# log(1e-5) = -11.5 is the floor of every preset, and speech peaks near 3; the rest is slack
LOWEST_MEL, HIGHEST_MEL = -16.0, 6.0
DECIBELS_FROM = -30.0  # what is lower are decibels, what is higher logarithms of power
LOWEST_DECIBELS = -400.0
LOG2_FLOOR = -16.609640  # log2(1e-5)
MAX_HEADER_BYTES = 65535
SHOWN_DESCR = 60
MAGIC = b"\x93NUMPY"
TAG = "# mel: "
MAX_SAMPLES = (2**32 - 1 - 36) // 2  # what the 32-bit sizes of a WAV file can say


def settings(cfg: MelConfig) -> str:
    """What two makers of mels must agree on, as text."""
    return f"{cfg.name}, {cfg.sample_rate} Hz, hop {cfg.hop_length}"


def save_mel(path: str | Path, mel: NDArray[np.float32], cfg: MelConfig) -> None:
    """Write a .npy, whole or not at all. mel : (n_mels, n_frames) float32"""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {mel.shape}, }}  {TAG}{settings(cfg)};"
    header = header.ljust(-(-(10 + len(header) + 1) // 64) * 64 - 10 - 1) + "\n"  # the data starts at a multiple of 64
    data = MAGIC + b"\1\0" + len(header).to_bytes(2, "little") + header.encode("ascii") + mel.astype("<f4").tobytes()
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
    with open(path, "rb") as f:
        return read_mel(f, path, cfg)


def read_mel(f: BinaryIO | Rejoined, path: str | Path, cfg: MelConfig) -> NDArray[np.float32]:
    """`load_mel` of an open file; `path` opens the messages."""
    # 1) a .npy header
    raw = _read_up_to(f, 12 + MAX_HEADER_BYTES)
    header = _parse_header(raw)
    if header is None:
        raise MelError(f"{path}: not a .npy file, wanted a mel array of wv-mel or numpy.save")
    descr, fortran_order, shape, comment, start = header
    # 2) float32 or float64
    if descr not in ("<f4", "<f8"):
        shown = descr if len(descr) <= SHOWN_DESCR else f"{descr[:SHOWN_DESCR]}..."
        raise MelError(f"{path}: dtype {shown}, wanted <f4 (float32) or <f8")
    # 3) (n_mels, n_frames)
    _check_shape(path, shape, cfg)
    n_bytes = shape[0] * shape[1] * np.dtype(descr).itemsize
    data = raw[start : start + n_bytes]
    data += _read_up_to(f, n_bytes - len(data))
    if len(data) < n_bytes:
        raise MelError(f"{path}: truncated: {len(data)} bytes of data, wanted {shape} of {descr}")
    # 4) the settings it was made with, if wv-mel wrote them
    if comment.startswith(TAG) and not comment.startswith(f"{TAG}{settings(cfg)};"):
        made = comment[len(TAG) :].split(";")[0]
        raise MelError(f"{path}: made for {made}; the model wants {settings(cfg)}")
    # 5) finite natural logarithms
    mel = np.frombuffer(data, descr).reshape(shape, order="F" if fortran_order else "C")
    with np.errstate(over="ignore"):
        mel = np.ascontiguousarray(mel, np.float32)
    _check_values(path, mel, cfg)
    return mel


class Rejoined:
    """A pipe of which the first bytes have been looked at; `read` gives all of them."""

    def __init__(self, pipe: BinaryIO):
        self._pipe, self._start = pipe, pipe.read(len(MAGIC))

    def starts_as_npy(self) -> bool:
        """If not, it may be frames: no mel has the float32 of these bytes, 2.2e8."""
        return self._start == MAGIC

    def read(self, n_bytes: int) -> bytes:
        """Up to n_bytes; none at the end"""
        start, self._start = self._start[:n_bytes], self._start[n_bytes:]
        return start or self._pipe.read(n_bytes)

    def read1(self, n_bytes: int) -> bytes:
        """What is there, or the next bytes to come, up to n_bytes; none at the end"""
        start, self._start = self._start[:n_bytes], self._start[n_bytes:]
        return start or self._pipe.read1(n_bytes)  # type: ignore[attr-defined]


def raw_frames(pipe: Rejoined, path: str, cfg: MelConfig) -> Iterator[NDArray[np.float32]]:
    """Frames of n_mels float32, little-endian, one after the other, as they come: (n_mels, some) float32

    Raises
    ------
    MelError
        If there are none, the last is incomplete, or a value is not that of a natural log-mel.
    """
    n_bytes, n_frames, rest = 4 * cfg.n_mels, 0, b""
    while data := pipe.read1(2**16):
        data = rest + data
        n = len(data) // n_bytes
        rest = data[n * n_bytes :]
        if n:
            mel = np.ascontiguousarray(np.frombuffer(data[: n * n_bytes], "<f4").reshape(n, -1).T)
            _check_frames(path, mel, n_frames)
            n_frames += n
            yield mel
    if rest or not n_frames:
        found = f"{len(rest)} bytes after {n_frames} frames"
        raise MelError(f"{path}: {found}, wanted a .npy file, or frames of {cfg.n_mels} float32: {n_bytes} bytes each")


# FORMAT.md, "The .npy of a mel". Not NumPy's parser, which evaluates Python: True for 1, nested brackets, any memory.
_WS = "[ \\t\\r\\n]*"
_INT = "(?:0|[1-9][0-9]{0,17})"
_SHAPE = rf"\({_WS}(?:{_INT}{_WS},{_WS}(?:{_INT}{_WS}(?:,{_WS}{_INT}{_WS}){{0,6}}(?:,{_WS})?)?)?\)"
_RECORD = r"\[[ -Z\\^-~]*\]"
_DESCR = rf"'descr'{_WS}:{_WS}(?:'[0-9A-Za-z<>=|]{{1,15}}'|{_RECORD})"
_ORDER = rf"'fortran_order'{_WS}:{_WS}(?:True|False)"
_PAIR = rf"({_DESCR}|{_ORDER}|'shape'{_WS}:{_WS}{_SHAPE})"
_PAIRS = rf"{_PAIR}{_WS},{_WS}{_PAIR}{_WS},{_WS}{_PAIR}"
_HEADER = re.compile(rf"{_WS}\{{{_WS}{_PAIRS}{_WS}(?:,{_WS})?\}}{_WS}(?:(#[\t\r -~]*)(?:\n{_WS})?)?")


def _parse_header(raw: bytes) -> tuple[str, bool, tuple[int, ...], str, int] | None:
    """descr, fortran_order, shape, comment and where the data starts; None if it is no such header."""
    if len(raw) < 12 or raw[:6] != MAGIC or raw[6:8] not in (b"\1\0", b"\2\0", b"\3\0"):
        return None
    start = 10 if raw[6] == 1 else 12
    length = int.from_bytes(raw[8:start], "little")
    if length > MAX_HEADER_BYTES or start + length > len(raw):
        return None
    match = _HEADER.fullmatch(raw[start : start + length].decode("latin1"))
    if match is None:
        return None
    pairs = [pair.split(":", 1) for pair in match.groups()[:3]]
    values = {key.strip(): value.strip() for key, value in pairs}
    if len(values) != 3:
        return None
    shape = tuple(int(n) for n in re.findall("[0-9]+", values["'shape'"]))
    return values["'descr'"].strip("'"), values["'fortran_order'"] == "True", shape, match[4] or "", start + length


def _read_up_to(f: BinaryIO | Rejoined, n_bytes: int) -> bytes:
    """n_bytes, or what there is: a header that claims terabytes takes none."""
    parts = []
    while n_bytes > 0 and (part := f.read(min(n_bytes, 2**20))):
        parts.append(part)
        n_bytes -= len(part)
    return b"".join(parts)


def check_mel(path: str | Path, mel: NDArray[np.float32], cfg: MelConfig) -> None:
    """Raises MelError unless an array is one of natural log-mels that `cfg` can have made."""
    _check_shape(path, mel.shape, cfg)
    _check_values(path, mel, cfg)


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


def _check_frames(path: str | Path, mel: NDArray[np.float32], first: int) -> None:
    """Of a part of a mel, which may be loud all over; `first` is its first frame."""
    for t in np.flatnonzero(~((mel >= LOWEST_MEL) & (mel <= HIGHEST_MEL)).all(axis=0))[:1]:
        band = int(np.argmin(np.isfinite(mel[:, t])))
        if not np.isfinite(mel[band, t]):
            raise MelError(f"{path}: NaN or infinite at band {band}, frame {first + t}")
        _refuse_range(path, mel[:, t].min(), mel[:, t].max(), "fit")


def _refuse_range(path: str | Path, low: float, high: float, cause: str) -> None:
    if low < LOWEST_MEL:
        cause = "other" if low < LOWEST_DECIBELS else "decibels" if low < DECIBELS_FROM else "power"
        cause = "log2" if LOG2_FLOOR - 1e-3 < low < LOG2_FLOOR + 1e-3 else cause
    guess = f"; {ADVICE[cause]}" if cause != "fit" else ""
    raise MelError(f"{path}: values from {low:.4g} to {high:.4g}, wanted natural-log mels, about -11.5 to 3{guess}")


def _check_values(path: str | Path, mel: NDArray[np.float32], cfg: MelConfig) -> None:
    if not np.isfinite(mel).all():
        band, frame = np.argwhere(~np.isfinite(mel))[0]
        raise MelError(f"{path}: NaN or infinite at band {band}, frame {frame}")
    low, high = mel.min(), mel.max()
    if low < LOWEST_MEL or high > HIGHEST_MEL or low >= 0:
        _refuse_range(path, low, high, positive_cause(mel, cfg) if low >= 0 else "fit")
