"""Samples to the loudspeaker as they come, by sounddevice: wv-run --play.

Usage: ``with player(16000) as play: play(pcm)``
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wv_runtime.commands.output import Write
from wv_runtime.errors import WaveRNNError


@contextmanager
def player(sample_rate: int) -> Iterator[Write]:
    """A function that plays samples, and waits where the device has enough of them.

    Raises
    ------
    WaveRNNError
        If sounddevice or PortAudio is not installed, or there is no device that plays.
    """
    device = _sounddevice()
    try:
        stream = device.RawOutputStream(samplerate=sample_rate, channels=1, dtype="int16")
    except device.PortAudioError as error:
        raise WaveRNNError(f"--play: {error}; wanted a device that plays {sample_rate} Hz") from None
    with stream:  # its end waits until all is played

        def play(pcm: NDArray[np.int16]) -> None:
            stream.write(pcm.tobytes())

        yield play


def _sounddevice() -> Any:
    try:
        return importlib.import_module("sounddevice")
    except ImportError:
        raise WaveRNNError("sounddevice: not installed, wanted for --play; pip install 'wavernn[play]'") from None
    except OSError as error:  # the module is there, the library is not
        raise WaveRNNError(f"--play: {error}; wanted PortAudio (apt install libportaudio2)") from None
