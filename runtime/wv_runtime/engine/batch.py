"""Many streams of one voice in step, over one load of the weights. Each keeps its samples.

C twin of NumbaBatch: libwavernn/core/batch.c

Usage: ``batch = voice.batch(8)``; ``pcm = batch.pull([stream, other], [300, 300])``
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from wv_runtime.model.weights import Model

    from .numba_cpu import NumbaStream
    from .stream import Stream
    from .synth import Voice


MAX_LANES = 16  # WV_MAX_LANES


def check_seed(seed: int) -> int:
    """Raises ValueError unless the seed is an integer, of Python or NumPy, in 0..2^64-1."""
    if not hasattr(seed, "__index__") or not 0 <= seed < 2**64:
        raise ValueError(f"seed: found {seed}, wanted an integer in 0..2^64-1")
    return int(seed)


def check_lanes(n_lanes: int, n_threads: int = 1) -> None:
    """Raises ValueError unless a batch may have so many."""
    for name, value, most in (("n_lanes", n_lanes, MAX_LANES), ("n_threads", n_threads, 64)):
        if not 1 <= value <= most:
            raise ValueError(f"{name}: found {value}, wanted 1..{most}")


class Batch(Protocol):
    """Room to work in for streams of one voice. Streams come and go between calls. One call at a time.

    n_open : how many streams `speak` keeps under way
    """

    n_open: int

    def pull(self, streams: Sequence[Any], n: Sequence[int]) -> list[NDArray[np.int16]]:
        """Up to n[i] samples of streams[i], the same that its own pull gives. [(min(n[i], available),) int16, ...]"""


class NumbaBatch:
    """A Batch on the Numba kernels. Arguments are checked by Voice."""

    def __init__(self, model: Model, net: Any, n_lanes: int, n_threads: int):
        self._net, self._n_lanes, self.n_open = net, n_lanes, 2 * n_lanes * n_threads
        self._workers = [_Worker(model, net, n_lanes) for _ in range(n_threads)]

    def pull(self, streams: Sequence[NumbaStream], n: Sequence[int]) -> list[NDArray[np.int16]]:
        """As of Batch.

        Raises
        ------
        ValueError
            If the streams are not different ones of this batch's voice.
        """
        if len({id(s) for s in streams}) < len(streams) or any(s.net is not self._net for s in streams):
            raise ValueError("batch: streams: wanted different ones of this batch's voice")
        parts: list[list[NDArray[np.int16]]] = [[np.zeros(0, np.int16)] for _ in streams]
        # `next` of a list's iterator is one step for the threads
        jobs = iter([_Job(*job) for job in zip(streams, n, parts, strict=True)])
        # few streams are shared out evenly
        n_lanes = min(self._n_lanes, -(-len(streams) // len(self._workers)))
        if len(self._workers) == 1:
            self._workers[0].pull(jobs, n_lanes)
        else:
            stop = Event()
            with ThreadPoolExecutor(len(self._workers)) as pool:
                try:
                    for done in [pool.submit(w.pull, jobs, n_lanes, stop) for w in self._workers]:
                        done.result()
                finally:
                    stop.set()  # ctrl-C reaches this thread alone
        return [np.concatenate(p) for p in parts]


class _Job:
    """What one stream still has to draw: a pull in parts of `stream.at_once` samples."""

    def __init__(self, stream: NumbaStream, n: int, parts: list[NDArray[np.int16]]):
        self.stream, self.parts, self._left = stream, parts, max(0, min(n, stream.available))
        self._pcm, self._at, self._n = np.zeros(0, np.int16), 0, 0

    def next(self) -> int:
        """Samples to draw next; 0 at the end."""
        while self._at == len(self._pcm):
            if self._n:
                self.parts.append(self.stream.end(self._pcm, self._n))
            self._n = min(self._left, self.stream.at_once)
            if not self._n:
                return 0
            self._pcm, self._at, self._left = self.stream.begin(self._n), 0, self._left - self._n
        return len(self._pcm) - self._at

    def draw_alone(self, stop: Event | None) -> None:
        """All of them, by the stream itself"""
        while not (stop and stop.is_set()) and (n := self.next()):
            pcm = np.empty(n, np.int16)
            self.stream.draw(pcm)
            self.drawn(pcm)

    def drawn(self, pcm: NDArray[np.int16]) -> None:
        """The next of them, or all"""
        self._pcm[self._at : self._at + len(pcm)] = pcm
        self._at += len(pcm)
        self.stream.drawn(len(pcm))


class _Worker:
    """The lanes of one thread."""

    def __init__(self, model: Model, net: Any, n_lanes: int):
        from .kernels import lanes, network
        from .kernels.fp_mode import defined_mode

        self._defined_mode, self._kernels, self._net = defined_mode, lanes, net
        self._copy_lane, self._lane_of = network.copy_lane, network.lane_of
        self._cond_width, self._hop = model.config.cond_width, model.config.mel.hop_length
        self._states = network.make_states(model, n_lanes)
        self._byte = np.zeros((2, n_lanes), np.int64)

    def pull(self, jobs: Iterator[_Job], n_lanes: int, stop: Event | None = None) -> None:
        """Streams one after the other through the lanes, until none is left."""
        here: list[_Job] = []
        with self._defined_mode():
            while not (stop and stop.is_set()):
                while len(here) < n_lanes and (job := next(jobs, None)):
                    if job.stream.has_lanes:
                        job.draw_alone(stop)
                    elif job.next():
                        self._copy_lane(self._lane_of(self._states, len(here)), job.stream.state)
                        here.append(job)
                if not here:
                    break
                self._draw(here, min(job.next() for job in here))
                for l in reversed(range(len(here))):  # noqa: E741
                    if not here[l].next():
                        self._leave(here, l)

    def _leave(self, here: list[_Job], l: int) -> None:  # noqa: E741
        """The stream takes its state back; the last lane moves to lane l."""
        lane = self._lane_of(self._states, l)
        self._copy_lane(here[l].stream.state, lane)
        last = here.pop()
        if l < len(here):
            here[l] = last
            self._copy_lane(lane, self._lane_of(self._states, len(here)))

    def _draw(self, here: list[_Job], n: int) -> None:
        """n samples of every lane"""
        streams = [job.stream for job in here]
        windows = [s.frames[: (s.sample + n - 1) // self._hop + self._cond_width] for s in streams]
        first_frame = np.cumsum([0, *map(len, windows[:-1])])
        pcm = np.empty((len(here), n), np.int16)
        self._kernels.generate_lanes(
            self._net, self._states, len(here), np.array([s.seed for s in streams]),
            np.array([s.log2e_over_temperature for s in streams]), np.concatenate(windows).reshape(-1), first_frame,
            np.array([s.sample for s in streams]), self._byte, pcm,
        )  # fmt: skip
        for job, part in zip(here, pcm, strict=True):
            job.drawn(part)


def speak(
    voice: Voice, mels: Sequence[NDArray[np.float32]], seed: int, temperature: float, n_lanes: int, n_threads: int
) -> list[NDArray[np.int16]]:
    """Whole utterances, for every lane two under way at a time, the longest first: lanes are seldom empty then."""
    batch = voice.batch(n_lanes, n_threads)
    parts: list[list[NDArray[np.int16]]] = [[np.zeros(0, np.int16)] for _ in mels]
    waiting = sorted(range(len(mels)), key=lambda i: -mels[i].shape[-1])
    here: dict[int, Stream] = {}
    taken = [0] * len(mels)
    while waiting or here:
        while waiting and len(here) < batch.n_open:
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
