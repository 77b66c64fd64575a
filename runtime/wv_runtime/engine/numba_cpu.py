"""The engine on the Numba kernels, compiled for this CPU.

C twin of NumbaStream: libwavernn/core/synth.c

Usage: ``stream = NumbaStream(model, make_net(model), seed=0, temperature=1.0)``
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wv_runtime.errors import MelError
from wv_runtime.model.weights import Model

from .batch import NumbaBatch
from .stream import mel_frames

CALLS_PER_S = 8  # compiled calls per second of audio: between them Python hears ctrl-C


class NumbaEngine:
    """A model on the Numba kernels."""

    def __init__(self, model: Model, isa: str | None, postfilter: bool):
        from wv_runtime.engine.kernels import network, simd
        from wv_runtime.engine.kernels.fp_mode import defined_mode

        with defined_mode():
            self._net = network.make_net(model)
        self._model, self._postfilter, self.isa = model, postfilter, simd.ISA

    def open(self, seed: int, temperature: float, n_threads: int) -> NumbaStream:
        if self._model.config.subscale > 1:
            return InterleavedStream(self._model, self._net, seed, temperature, self._postfilter, n_threads)
        return NumbaStream(self._model, self._net, seed, temperature, self._postfilter)

    def batch(self, n_lanes: int, n_threads: int) -> NumbaBatch:
        return NumbaBatch(self._model, self._net, n_lanes, n_threads)


class NumbaStream:
    """A Stream on the Numba kernels. Arguments are checked by Voice."""

    has_lanes = False  # of its own, which step together whether it is in a batch or not

    def __init__(self, model: Model, net: Any, seed: int, temperature: float, postfilter: bool = False):
        from wv_runtime.engine.kernels import network, wavernn
        from wv_runtime.engine.kernels import postfilter as kernels
        from wv_runtime.engine.kernels.fp_mode import defined_mode

        self._defined_mode, self._kernels, self._filter_hops = defined_mode, wavernn, kernels.filter_hops
        self.net, self.state = net, network.make_state(model)
        self._config, self._hop, self.seed = model.config, model.config.mel.hop_length, np.uint64(seed)
        with defined_mode():
            self.log2e_over_temperature = np.float32(1.4426950408889634 / float(np.float32(temperature)))
            tables = model.postfilter if postfilter else None
            self._filter: Any = kernels.make_filter(model.config.mel, tables, model.mel_stats) if tables else None
        self.frames = np.zeros((0, model.config.mel.n_mels), np.float32)  # the current frame's window first
        self._finished = False
        self.sample = 0  # next sample within the current frame
        self.at_once = model.config.mel.sample_rate // CALLS_PER_S  # samples of a compiled call
        self._delay = kernels.filter_delay(model.config.mel, model.postfilter) if postfilter else 0  # hops
        self._ready, self._n_out = np.zeros(0, np.int16), 0

    def push(self, mel: NDArray[np.float32]) -> int:
        if self._finished:
            raise ValueError("push: the stream is finished")
        frames = mel_frames(mel, self._config.mel.n_mels)
        n_frames = len(frames)
        if n_frames and not len(self.frames):
            frames = np.concatenate([frames[:1]] * (self._config.cond_width // 2) + [frames])
        self.frames = np.concatenate([self.frames, frames])
        return n_frames

    def finish(self) -> None:
        if not self._finished and len(self.frames):
            edge = [self.frames[-1:]] * (self._config.cond_width // 2)
            self.frames = np.concatenate([self.frames, *edge])
        self._finished = True

    @property
    def _drawable(self) -> int:
        """Samples that could be drawn, from the first of the current frame on"""
        n_ready = max(0, len(self.frames) - (self._config.cond_width - 1))
        return max(n_ready * self._hop - (0 if self._finished else self._config.delay), self.sample)

    @property
    def available(self) -> int:
        if self._filter is None:
            return self._drawable - self.sample
        delay = 0 if self._finished else self._delay
        n_out = max(0, int(self._filter.n[1]) + self._drawable // self._hop - delay)
        return n_out * self._hop - self._n_out

    def pull(self, n: int) -> NDArray[np.int16]:
        n, parts = max(0, min(n, self.available)), [np.zeros(0, np.int16)]
        for i in range(0, n, self.at_once):
            k = min(self.at_once, n - i)
            pcm = self.begin(k)
            if len(pcm):
                self.draw(pcm)
                self.drawn(len(pcm))
            parts.append(self.end(pcm, k))
        return np.concatenate(parts)

    def draw(self, pcm: NDArray[np.int16]) -> None:
        """The next samples, before the post-filter."""
        with self._defined_mode():
            self._kernels.generate(
                self.net, self.state, self.seed, self.log2e_over_temperature, self.frames.reshape(-1), self.sample, pcm
            )

    # A pull of n samples in parts, for who draws them: this stream alone, or a batch of several in step.

    def begin(self, n: int) -> NDArray[np.int16]:
        """Room for what must be drawn so that n samples come out, which are available: with a filter, whole hops."""
        if self._filter is None:
            return np.empty(n, np.int16)
        n_hops = -(-(n - len(self._ready)) // self._hop)
        # hops to put in until n_hops have come out
        n_in = max(0, n_hops) + max(0, self._delay - int(self._filter.n[0])) if n_hops > 0 else 0
        n_frames = min(n_in, self._drawable // self._hop)
        self._n_after, centre = n_in - n_frames, self._config.cond_width // 2
        self._mels = self.frames[centre : centre + n_frames]
        return np.empty(n_frames * self._hop, np.int16)

    def drawn(self, n: int) -> None:
        """n samples were drawn from self.state, self.frames and self.sample on."""
        n_frames, self.sample = divmod(self.sample + n, self._hop)
        self.frames = self.frames[n_frames:]

    def end(self, pcm: NDArray[np.int16], n: int) -> NDArray[np.int16]:
        """The n samples, when what `begin` gave is full."""
        if self._filter is None:
            return pcm
        hops = np.concatenate([pcm, np.zeros(self._n_after * self._hop, np.int16)])
        out = np.empty_like(hops)
        with self._defined_mode():
            n_out = self._filter_hops(self._filter, self._mels.reshape(-1), len(self._mels), hops, out)
        self._ready = np.concatenate([self._ready, out[:n_out]])
        out, self._ready = self._ready[:n], self._ready[n:]
        self._n_out += n
        return out


class InterleavedStream(NumbaStream):
    """One whose samples interleaved lanes draw."""

    has_lanes = True

    def __init__(
        self, model: Model, net: Any, seed: int, temperature: float, postfilter: bool = False, n_threads: int = 1
    ):
        from wv_runtime.engine.kernels import staircase

        super().__init__(model, net, seed, temperature, postfilter)
        self._kernels = staircase
        self._staircase = staircase.make_staircase(model, self.seed, self.log2e_over_temperature, n_threads)

    def draw(self, pcm: NDArray[np.int16]) -> None:
        frames = self.frames.reshape(-1)
        with self._kernels.followed(self.net, self._staircase), self._defined_mode():
            self._kernels.draw_staircase(self.net, self._staircase, frames, self.sample, self._finished, pcm)


def teacher_forced(
    model: Model, samples: NDArray[np.int16], mel: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
    """Logits of each sample given the true ones drawn before it, on the Numba kernels, and the bytes that it is.

    samples : (n + 1,) int16, pre-emphasised; sample 0 only feeds the first step, in a subscale model not even this
    mel     : (n_mels, n_frames) float32 with n <= n_frames * hop_length; edge frames are repeated

    Returns logits_c, logits_f : (n, 256) float32, byte : (n, 2) uint8, coarse and fine

    Raises
    ------
    MelError
        If the mel does not fit the model or covers less than the samples.
    """
    from wv_runtime.engine.kernels import network, wavernn
    from wv_runtime.engine.kernels.fp_mode import defined_mode

    cfg, n = model.config, len(samples) - 1
    frames = mel_frames(mel, cfg.mel.n_mels)
    if n > len(frames) * cfg.mel.hop_length:
        raise MelError(f"mel: found {len(frames)} frames, wanted {-(-n // cfg.mel.hop_length)} for {n} samples")
    if cfg.subscale > 1:
        return _forced_lanes(model, samples[1:], frames)
    frames = np.pad(frames, [(cfg.cond_width // 2,) * 2, (0, 0)], mode="edge")
    logits_c, logits_f = np.empty((n, 256), np.float32), np.empty((n, 256), np.float32)
    byte = np.empty((n, 2), np.uint8)
    with defined_mode():
        wavernn.teacher_force(
            network.make_net(model), network.make_state(model), frames.reshape(-1), samples.astype(np.int32),
            byte, logits_c, logits_f,
        )  # fmt: skip
    return logits_c, logits_f, byte


def _forced_lanes(
    model: Model, samples: NDArray[np.int16], frames: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
    """`teacher_forced` of a subscale model, one lane after the other. samples : (n,)    frames : (n_frames, n_mels)"""
    from wv_runtime.engine.kernels import network, wavernn
    from wv_runtime.engine.kernels.fp_mode import defined_mode

    from .teacher import true_inputs

    cfg, n = model.config, len(samples)
    n_frames = -(-n // cfg.mel.hop_length)
    given = np.zeros(cfg.n_past + n_frames * cfg.mel.hop_length + cfg.n_future, np.int16)
    given[cfg.n_past :][:n] = samples
    windows = np.pad(frames, [(cfg.cond_width // 2,) * 2, (0, 0)], mode="edge").reshape(-1)
    with defined_mode():
        x, byte = true_inputs(cfg, model.M, given[None], frames[None, :n_frames].transpose(0, 2, 1))
        net, logits = network.make_net(model), np.empty((2, cfg.subscale, len(x), 256), np.float32)
        for l in range(cfg.subscale):  # noqa: E741
            in_order = np.ascontiguousarray(x[:, l])
            wavernn.teacher_force_lane(net, network.make_state(model), l, windows, in_order, logits[0, l], logits[1, l])
    logits_c, logits_f = logits.swapaxes(1, 2).reshape(2, -1, 256)[:, :n]
    return logits_c, logits_f, byte.transpose(1, 2, 0).reshape(-1, 2)[:n]
