"""Mels from stdin, audio to stdout, sample by sample as the mels come.

Usage: ``python stream.py voice.bin < mels.f32 | aplay -q -f S16_LE -r 16000``

stdin: frames of n_mels float32, one after the other. stdout: raw 16-bit mono samples. Both little-endian.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from wv_runtime import WaveRNNError, load


def frames(n_mels: int) -> Iterator[NDArray[np.float32]]:
    """Arrays (n_mels, 1) float32 until stdin ends."""
    while data := sys.stdin.buffer.read(4 * n_mels):
        if len(data) < 4 * n_mels:
            raise WaveRNNError(f"stdin: {len(data)} bytes at the end, wanted frames of {4 * n_mels}")
        yield np.frombuffer(data, "<f4").reshape(n_mels, 1)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: stream.py MODEL < mels.f32 > audio.s16")
    try:
        voice = load(sys.argv[1], engine="c")
        for pcm in voice.stream(frames(voice.config.mel.n_mels), seed=0):
            sys.stdout.buffer.write(pcm.astype("<i2").tobytes())
            sys.stdout.buffer.flush()
    except (WaveRNNError, OSError) as error:
        sys.exit(f"stream.py: error: {error}")


if __name__ == "__main__":
    main()
