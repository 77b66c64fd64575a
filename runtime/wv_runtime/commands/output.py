"""Where the audio of wv-run goes: a file, a pipe or standard output; as WAV, FLAC or bare samples.

C twin: libwavernn/tools/output.c

Usage: ``out = Output.of("out.flac"); out.write(pcm, 16000)``
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from wv_runtime.atomic import atomic_path
from wv_runtime.commands.names import check_file, check_other, is_pipe

FORMATS = {".wav": "wav", ".flac": "flac", ".raw": "s16le", ".pcm": "s16le"}  # by suffix
STDOUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
UNKNOWN_SIZE = b"\xff" * 4  # of a WAV that is written as it comes
Write = Callable[[NDArray[np.int16]], Any]


@dataclass(frozen=True)
class Output:
    """A place to write to and its format: wav, flac or s16le (int16, little-endian, no header)."""

    path: str
    format: str

    @classmethod
    def of(cls, path: str, format: str | None = None, inputs: Sequence[str] = (), option: str = "--out") -> Output:
        """Checked, before minutes are spent on what goes into it. Without `format` the suffix says it.

        Raises
        ------
        OSError
            If the folder is missing or cannot be written.
        ValueError
            If the suffix says no format, or `path` is one of `inputs`.
        """
        if not path:
            raise ValueError(f"{option}: found an empty name, wanted a file")
        if path in STDOUT:
            if sys.stdout is None:
                raise OSError(9, "Bad file descriptor", "standard output")
            return cls(path, format or "wav")
        if not is_pipe(path):
            suffixes = tuple(FORMATS) if format is None else ()
            check_other(path, inputs, option)
            check_file(path, suffixes, option)
        return cls(path, format or FORMATS.get(Path(path).suffix.lower(), "wav"))

    @property
    def to_stdout(self) -> bool:
        return self.path in STDOUT

    @property
    def is_pipe(self) -> bool:
        """Whether what is written is gone: there is no file to be replaced as a whole."""
        return self.to_stdout or is_pipe(self.path)

    def write(self, pcm: NDArray[np.int16], sample_rate: int) -> None:
        """All samples: a file whole or not at all."""
        data = encode(pcm, sample_rate, self.format)
        if self.to_stdout:
            with _pipe(self.path) as put:
                put(data)
        else:
            with atomic_path(self.path) as tmp:
                tmp.write_bytes(data)

    @contextmanager
    def open(self, sample_rate: int) -> Iterator[Write]:
        """A function that takes samples as they come; a pipe gets them at once unless it wants FLAC."""
        if not self.is_pipe or self.format == "flac":
            parts = [np.zeros(0, np.int16)]
            yield parts.append
            self.write(np.concatenate(parts), sample_rate)
            return
        with _pipe(self.path) as put:
            if self.format == "wav":
                header = encode(np.zeros(0, np.int16), sample_rate, "wav")
                put(header[:4] + UNKNOWN_SIZE + header[8:40] + UNKNOWN_SIZE)
            yield lambda pcm: put(pcm.astype("<i2").tobytes())


def encode(pcm: NDArray[np.int16], sample_rate: int, format: str) -> bytes:
    """A file: WAV has the canonical header of 44 bytes; all are mono with 16 bits a sample."""
    if format == "s16le":
        return pcm.astype("<i2").tobytes()
    file = io.BytesIO()
    soundfile.write(file, pcm, sample_rate, format=format.upper(), subtype="PCM_16")
    return file.getvalue()


def _put(file: BinaryIO, data: bytes) -> None:
    file.write(data)
    file.flush()


@contextmanager
def _pipe(path: str) -> Iterator[Callable[[bytes], None]]:
    """A function that writes bytes at once. An OSError gets a name."""
    try:
        if path in STDOUT:
            yield partial(_put, sys.stdout.buffer)
        else:
            with open(path, "wb") as file:
                yield partial(_put, file)
    except OSError as e:
        raise OSError(e.errno, e.strerror, "standard output" if path in STDOUT else path) from None
