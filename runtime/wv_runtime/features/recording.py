"""Is this a recording of speech? What reads like audio and cannot be meant is refused, what is unlikely gets a remark.

C twin of what needs neither rates nor spectra: libwavernn/tools/wav_read.c

Usage: ``check_recording(path, channels)``; ``for remark in [*missing(path), *remarks(mono, 8000, 16000)]: ...``
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wv_runtime.errors import AudioError

INTEGER_SCALE = 8.0  # a float file that peaks above it holds integers; one that is too loud peaks at 1 to 3
CANCELLED = 1e-3  # share of the channels' power that is left of their mean
SILENCE = 1e-4  # of full scale: -80 dB
CLIPPED_SHARE = 1e-3  # of the samples
RATE_SHARE = 0.85  # of the voice's rate: 22,050 Hz is enough for 24,000
TOP = 0.75  # of the voice's band: above it there has to be some sound
QUIET = 1e-7, 3e-10  # power of that: -70 dB of all, or what 16-bit rounding leaves
STREAMED = 0x7F000000  # bytes: programs that write WAV into a pipe say about 2 or 4 GiB


def check_recording(path: str | Path, channels: NDArray[np.float32]) -> None:
    """channels : (n_samples, n_channels) float32, finite

    Raises
    ------
    AudioError
        If the samples are on an integer scale, or the channels cancel each other.
    """
    peak = float(np.abs(channels).max())
    if peak > INTEGER_SCALE:
        bits = 16 if peak <= 2**15 else 24 if peak <= 2**23 else 32
        raise AudioError(f"{path}: found a peak of {peak:.0f}, wanted full scale at 1; these look like {bits}-bit "
                         f"integers in a float file: divide them by {2 ** (bits - 1)}")  # fmt: skip
    power = np.square(channels, dtype=np.float64).mean()
    left = np.square(channels.mean(axis=1, dtype=np.float64)).mean()
    if peak > SILENCE and left < CANCELLED * power:
        raise AudioError(f"{path}: found {channels.shape[1]} channels that cancel each other, wanted ones whose mean "
                         "is the speech: one of them has its sign reversed")  # fmt: skip


def missing(path: str | Path) -> list[str]:
    """A remark if a WAV file ends before the end that its header gives; libsndfile reads what is there."""
    if not Path(path).is_file():
        return []
    with open(path, "rb") as file:
        head = file.read(8)
    found, wanted = Path(path).stat().st_size, 8 + int.from_bytes(head[4:], "little")
    if head[:4] != b"RIFF" or not found + 1 < wanted < 8 + STREAMED:  # one byte may be of padding
        return []
    return [f"found {found} bytes, wanted {wanted} by its header: its end is missing"]


def remarks(mono: NDArray[np.float32], file_rate: int, sample_rate: int) -> list[str]:
    """What is unlikely to be meant, for a voice at `sample_rate` Hz. mono : (n_samples,) at `file_rate`"""
    found, magnitude = [], np.abs(mono)
    if magnitude.max() <= SILENCE:
        return ["found silence, wanted speech"]
    clipped = float((magnitude > 1).mean())
    if clipped > CLIPPED_SHARE:
        found.append(f"found {clipped:.1%} of the samples beyond full scale, wanted a peak of at most 1")
    if file_rate < RATE_SHARE * sample_rate:
        found.append(
            f"found a rate of {file_rate} Hz, wanted about {sample_rate} Hz: nothing above {file_rate // 2} Hz"
        )
    elif file_rate >= sample_rate and (top := _empty_above(mono, file_rate, sample_rate)):
        found.append(f"found nothing above {top} Hz, wanted speech up to {sample_rate // 2} Hz: it was made from a "
                     "lower rate")  # fmt: skip
    return found


def _empty_above(mono: NDArray[np.float32], file_rate: int, sample_rate: int) -> int:
    """The frequency in Hz above which there is nothing of the voice's band; 0 if there is sound."""
    n = 1024
    if len(mono) < n:
        return 0
    frames = np.lib.stride_tricks.sliding_window_view(mono, n)[:: n // 2] * np.hanning(n).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft(frames))).mean(axis=0) / (0.375 * n * n / 2)  # of a bin; the mean of hanning^2
    top = TOP * sample_rate / 2
    hertz = np.arange(n // 2 + 1) * file_rate / n
    above = power[(hertz > top) & (hertz < sample_rate / 2)].sum()
    return round(top) if above < max(QUIET[0] * power.sum(), QUIET[1]) else 0
