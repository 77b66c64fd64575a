"""Many streams of one voice: on backend c in step, over one load of the weights. Each keeps its samples.

Usage: ``batch = voice.batch(8)``; ``pcm = batch.pull([stream, other], [300, 300])``
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .synth import Stream, Voice


class Batch(Protocol):
    """Room to work in for streams of one voice. Streams come and go between calls. One call at a time."""

    def pull(self, streams: Sequence[Any], n: Sequence[int]) -> list[NDArray[np.int16]]:
        """Up to n[i] samples of streams[i], the same that its own pull gives. [(min(n[i], available),) int16, ...]"""


class OneByOne:
    """A Batch of the Numba engine, which runs one stream after the other."""

    def pull(self, streams: Sequence[Stream], n: Sequence[int]) -> list[NDArray[np.int16]]:
        return [stream.pull(k) for stream, k in zip(streams, n, strict=True)]


def speak(
    voice: Voice, mels: Sequence[NDArray[np.float32]], seed: int, temperature: float, n_lanes: int, n_threads: int
) -> list[NDArray[np.int16]]:
    """Whole utterances, two for every lane under way at a time, the longest first: lanes are seldom empty then."""
    batch, n_open = voice.batch(n_lanes, n_threads), 2 * n_lanes * n_threads
    parts: list[list[NDArray[np.int16]]] = [[np.zeros(0, np.int16)] for _ in mels]
    waiting = sorted(range(len(mels)), key=lambda i: -mels[i].shape[-1])
    here: dict[int, Stream] = {}
    taken = [0] * len(mels)
    while waiting or here:
        while waiting and len(here) < n_open:
            here[waiting.pop(0)] = voice.open(seed, temperature)
        for i, stream in here.items():
            if taken[i] < mels[i].shape[-1]:
                taken[i] += stream.push(mels[i][:, taken[i] :])
            if taken[i] == mels[i].shape[-1]:
                stream.finish()
        for i, pcm in zip(here, batch.pull(list(here.values()), [2**31 - 1] * len(here)), strict=True):
            parts[i].append(pcm)
        here = {i: stream for i, stream in here.items() if taken[i] < mels[i].shape[-1] or stream.available}
    return [np.concatenate(p) for p in parts]
