"""int8 models on an NVIDIA GPU, by numba-cuda: one launch draws the samples of many streams, a block each.

A launch before it makes the conditioning. Pre-emphasis is undone on the CPU, and the post-filter runs there, by kernels
of the Numba engine. Under the CUDA simulator ($NUMBA_ENABLE_CUDASIM=1) the same code runs without a GPU, slowly. See
docs/gpu.md.

Usage: ``net = CudaNet(model)``; ``pcm = CudaStream(net, seed=0, temperature=1.0).pull(16000)`` after a push
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wv_runtime.model.weights import Model

from .cuda_device import device_name
from .cuda_net import CudaNet, n_kept
from .numba_cpu import NumbaStream

CONDITIONING_BYTES = 2**29  # of one launch
N_OPEN = 1024  # streams that a list of mels keeps open


class CudaEngine:
    """A model on the GPU."""

    def __init__(self, model: Model, isa: str | None, postfilter: bool):
        self._net, self._postfilter, self.isa = CudaNet(model), postfilter, device_name()

    def open(self, seed: int, temperature: float, n_threads: int) -> CudaStream:
        return CudaStream(self._net, seed, temperature, self._postfilter)

    def batch(self, n_lanes: int, n_threads: int) -> CudaBatch:
        return CudaBatch(self._net)


class CudaStream(NumbaStream):
    """A Stream whose samples are drawn on the GPU. Arguments are checked by Voice.

    step       : of lane 0, the next          first_step : of the first frame of `frames`
    last, h    : of the lanes, as sample_block leaves them
    past       : (n_kept,) int16, samples before sample 0 of `step`; those that lanes have still to draw are 0
    """

    def __init__(self, net: CudaNet, seed: int, temperature: float, postfilter: bool = False):
        from wv_runtime.engine.kernels.outside import hear

        super().__init__(net.model, None, seed, temperature, postfilter)
        cfg = net.model.config
        self._gpu, self._hear, self._n_drawn, self.step, self.first_step = net, hear, 0, 0, 0
        self.last = np.tile(np.array([128, 0, 0], np.int32), (cfg.subscale, 1))
        self.h, self.past = np.zeros((cfg.subscale, cfg.n_units), np.int16), np.zeros(n_kept(cfg), np.int16)

    @property
    def n_steps(self) -> int:
        """Of a lane, from `first_step` on, as far as there are frames"""
        n_ready = max(0, len(self.frames) - (self._config.cond_width - 1))
        return n_ready * self._hop // self._config.subscale

    def pull(self, n: int) -> NDArray[np.int16]:
        return CudaBatch(self._gpu).pull([self], [n])[0]

    def steps_for(self, n: int) -> int:
        """Steps of lane 0 until n samples more are there, of all lanes"""
        return max(0, -(-(self._n_drawn + n + self._config.delay) // self._config.subscale) - self.step)

    def take(self, pcm: NDArray[np.int16]) -> None:
        """The next samples, which are there, as they are heard."""
        first = self._n_drawn - (self._config.subscale * self.step - len(self.past))
        with self._defined_mode():
            self._hear(self.past[first : first + len(pcm)], np.float32(self._config.preemphasis), self.state.y, pcm)
        self.past = self.past[len(self.past) - n_kept(self._config) :].copy()

    def drawn(self, n: int) -> None:
        super().drawn(n)
        self._n_drawn += n
        self.first_step = (self._n_drawn - self.sample) // self._config.subscale


class CudaBatch:
    """A Batch of the GPU: a launch draws as much of every stream as the memory for the conditioning allows."""

    n_open = N_OPEN

    def __init__(self, net: CudaNet):
        self._net = net

    def pull(self, streams: Sequence[CudaStream], n: Sequence[int]) -> list[NDArray[np.int16]]:
        cfg = self._net.model.config
        # sub-frames of a launch, and those by which the last lane is behind lane 0
        most = CONDITIONING_BYTES // (6 * cfg.n_units * cfg.subscale)
        behind = -(-cfg.delay // cfg.sub_length) + 1
        n_streams = max(1, most // (behind + cfg.n_sub))
        if len(streams) > n_streams:
            some = [slice(i, i + n_streams) for i in range(0, len(streams), n_streams)]
            return [pcm for part in some for pcm in self.pull(streams[part], n[part])]
        left = [max(0, min(m, s.available)) for s, m in zip(streams, n, strict=True)]
        parts: list[list[NDArray[np.int16]]] = [[np.zeros(0, np.int16)] for _ in streams]
        while n_pulling := sum(m > 0 for m in left):
            at_once = cfg.mel.hop_length * max(1, (most // n_pulling - behind) // cfg.n_sub)
            now = [min(m, at_once) for m in left]
            pcms = [s.begin(m) for s, m in zip(streams, now)]
            steps = [s.steps_for(len(pcm)) if len(pcm) else 0 for s, pcm in zip(streams, pcms)]
            if drawing := [i for i, m in enumerate(steps) if m]:
                self._net.draw([streams[i] for i in drawing], [steps[i] for i in drawing])
            for part, stream, m, pcm in zip(parts, streams, now, pcms):
                stream.take(pcm)
                stream.drawn(len(pcm))
                part.append(stream.end(pcm, m))
            left = [a - b for a, b in zip(left, now)]
        return [np.concatenate(part) for part in parts]
