"""Times of a model's stages on every engine, interleaved.

Every repeat runs every engine and stage once, in short slices, so that a noisy neighbour hits all of them alike:
ratios are medians over the pairs, limits are minima.

Usage: ``case = Case(model); times = measure([(case, case.native(None))], repeats=30, slice_s=1e-3)``
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from wv_runtime.engine import native as _native
from wv_runtime.engine.batch import Batch, NumbaBatch
from wv_runtime.engine.kernels import network, simd, stages, staircase
from wv_runtime.engine.numba_cpu import InterleavedStream, NumbaStream
from wv_runtime.model import binary as bin_format
from wv_runtime.model.weights import Model

from wv_bench import cost

STAGE_IDS = {name: i for i, name in enumerate(("sample", *cost.STAGES))}  # wv_stage of wavernn.h
N_MEL_FRAMES = 64


@dataclass(frozen=True)
class Engine:
    """A model on one backend and ISA. Times of one stage, and of whole utterances from mels to samples.

    With lanes, so many streams step together on each of the threads; a stage is then that of one thread's. Interleaved
    lanes are those of one stream.
    """

    backend: str
    isa: str
    run: Callable[[int, int], None]  # (stage of STAGE_IDS, n_times)
    open: Callable[[], Any]  # a new synth.Stream
    lanes: int = 1
    threads: int = 1
    batch: Callable[[], Batch] | None = None  # for more than one stream
    interleaved: bool = False

    @property
    def n_streams(self) -> int:
        return 1 if self.interleaved else self.lanes * self.threads

    def samples_of(self, stage: str) -> int:
        """Samples that one run of a stage is for; frames, of the conditioning, which interleaved lanes share"""
        return 1 if self.interleaved and stage == "condition" else self.lanes


class Case:
    """A model in one aligned buffer that all engines read, as after loading a file."""

    def __init__(self, model: Model):
        self.data = bin_format.aligned(bin_format.file_bytes(model))
        self.model = bin_format.parse(self.data)
        self.config, self.dtype = model.config, model.matrices["R"].dtype
        self.ops = cost.wavernn_ops(model.config, cost.shapes_of(model))
        frames = np.random.default_rng(0).normal(size=(model.config.mel.n_mels, N_MEL_FRAMES))
        self.mel = frames.astype(np.float32)

    def native(self, isa: str | None, lanes: int = 1, threads: int = 1) -> Engine:
        model = _native.NativeModel(self.data)
        open_one = partial(_native.NativeStream, model, isa=isa, postfilter=False)  # it would draw ahead of a clock
        streams = [open_one() for _ in range(lanes)]
        for stream in streams:
            stream.push(self.mel[:, : self.config.cond_width])
        if lanes == 1:
            run = streams[0].bench_stage
        else:
            run = partial(_native.NativeBatch(model, lanes).bench_stage, streams)
        B = self.config.subscale  # noqa: N806
        mine = threads if B > 1 else 1  # else the batch's
        return Engine("c", streams[0].isa, run, partial(open_one, n_threads=mine), max(lanes, B), threads,
                      lambda: _native.NativeBatch(model, lanes, threads), B > 1)  # fmt: skip

    def numba(self, lanes: int = 1, threads: int = 1) -> Engine:
        net, pcm = network.make_net(self.model), np.zeros((lanes, 1), np.int16)
        window = np.ascontiguousarray(self.mel[:, : self.config.cond_width].T).reshape(-1)
        k, B = np.float32(1.442695), self.config.subscale  # noqa: N806
        if B > 1:
            c, pcm = staircase.make_staircase(self.model, np.uint64(0), k), np.zeros((B, 1), np.int16)

            def run(stage: int, n_times: int) -> None:
                if stage == stages.CONDITION:
                    stages.condition_staircase(net, c, window, n_times)
                else:
                    stages.stage_of_lanes(
                        net, c.s, B, c.seed, c.log2e_over_temperature, window, stage, n_times, c.byte, pcm
                    )
        elif lanes == 1:
            state = network.make_state(self.model)

            def run(stage: int, n_times: int) -> None:
                stages.stage(net, state, k, window, stage, n_times, pcm[0])
        else:
            states, byte = network.make_states(self.model, lanes), np.zeros((2, lanes), np.int64)
            seed, k_l = np.arange(lanes).astype(np.uint64), np.full(lanes, k)

            def run(stage: int, n_times: int) -> None:
                stages.stage_of_lanes(net, states, lanes, seed, k_l, window, stage, n_times, byte, pcm)

        def open_one() -> NumbaStream:
            if B > 1:
                return InterleavedStream(self.model, net, 0, 1.0, n_threads=threads)
            return NumbaStream(self.model, net, 0, 1.0)

        return Engine("numba", simd.ISA, run, open_one, max(lanes, B), threads,
                      lambda: NumbaBatch(self.model, net, lanes, threads), B > 1)  # fmt: skip

    def engines(
        self, backends: Sequence[str], isas: Sequence[str], lanes: Sequence[int] = (1,), threads: int = 1
    ) -> list[Engine]:
        """The first one is what the others are compared with."""
        native = [self.native(isa, n, threads) for isa in isas for n in lanes] if "c" in backends else []
        return native + ([self.numba(n, threads) for n in lanes] if "numba" in backends else [])


Pair = tuple[Case, Engine]


def measure(pairs: Sequence[Pair], repeats: int, slice_s: float) -> dict[str, NDArray[np.float64]]:
    """Seconds per run of each stage, and per sample of "whole", interleaved. {stage: (len(pairs), repeats)}

    Of several lanes: the time of one, the whole divided by their number, and by that of the threads.
    """
    batches = {id(engine): engine.batch() for _, engine in pairs if engine.n_streams > 1 and engine.batch}

    def whole(case: Case, engine: Engine, n_frames: int) -> float:
        hop, streams = case.config.mel.hop_length, [engine.open() for _ in range(engine.n_streams)]
        n_behind = -(-case.config.delay // hop)  # so that no lane comes to its end
        for stream in streams:
            stream.push(case.mel[:, : n_frames + 1 + n_behind])
            stream.finish()

        def pull(n: int) -> None:
            if engine.n_streams == 1:
                streams[0].pull(n)
            else:
                batches[id(engine)].pull(streams, [n] * len(streams))

        pull(hop)  # fetches the weights that another pair has driven out
        start = time.perf_counter()
        pull(n_frames * hop)
        return (time.perf_counter() - start) / (n_frames * hop * engine.n_streams)

    def timed(pair: Pair, stage: str, n: int) -> float:
        if stage == "whole":
            return whole(*pair, n)
        start = time.perf_counter()
        pair[1].run(STAGE_IDS[stage], n)
        return (time.perf_counter() - start) / (n * pair[1].samples_of(stage))

    names = ("whole", *STAGE_IDS)
    n_times = {}
    for (i, pair), name in itertools.product(enumerate(pairs), names):
        n = 1
        per_run = pair[0].config.mel.hop_length * pair[1].n_streams if name == "whole" else pair[1].samples_of(name)
        for _ in range(3):  # a first guess counts the call from Python
            once = min(timed(pair, name, n) for _ in range(2)) * per_run
            n = max(1, min(32 if name == "whole" else 100_000, round(slice_s / once)))
        n_times[i, name] = n
    times = {name: np.empty((len(pairs), repeats)) for name in names}
    for repeat, name, (i, pair) in itertools.product(range(repeats), names, enumerate(pairs)):
        times[name][i, repeat] = timed(pair, name, n_times[i, name])
    return times
