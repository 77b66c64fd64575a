"""Log-mels to 16-bit audio, whole or as a stream, on the Numba kernels or on libwavernn: the same bits.

Usage: ``pcm = Voice(binary.load("voice.bin"))(mel, seed=0)``
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from wv_runtime.features.mel_check import AudioFinding, MelFinding, check_audio, check_mels
from wv_runtime.model.weights import Model

from .batch import Batch, check_lanes, check_seed, speak
from .registry import ENGINES, ready_engine
from .stream import Stream, as_mel, check_temperature


class Voice:
    """A model ready to run on one backend.

    Parameters
    ----------
    backend : one of registry.ENGINES: "numba" (the default), "c", "cuda" or "onnx"; or "auto": "c" if libwavernn is
        there, which starts at once, else "numba"
    postfilter : whether to pass the samples through the mel post-filter; None does what the file says
    isa : which of libwavernn's ISAs ("portable", "avx2", ...); None takes the best. The others take what is there.

    Raises
    ------
    ValueError
        For an unknown backend, an isa with another backend than "c", a voice of interleaved lanes with "onnx", or a
        model that "cuda" does not run.
    NativeError
        If libwavernn is missing or has no such ISA, "cuda" finds no GPU, or ONNX Runtime is not installed.
    """

    def __init__(self, model: Model, backend: str = "numba", isa: str | None = None, postfilter: bool | None = None):
        backend = ready_engine() if backend == "auto" else backend
        if backend not in ENGINES:
            raise ValueError(f"backend: found {backend!r}, wanted one of auto, {', '.join(ENGINES)}")
        entry = ENGINES[backend]
        if isa is not None and not entry.has_isas:
            having = " or ".join(name for name, e in ENGINES.items() if e.has_isas)
            raise ValueError(f"isa: only backend {having} has a choice of ISA (the others take what is there)")
        if model.config.subscale > 1 and not entry.interleaves:
            having = " or ".join(name for name, e in ENGINES.items() if e.interleaves)
            raise ValueError(f"backend: found {backend} for a voice of interleaved lanes, wanted {having}")
        if postfilter and not model.postfilter:
            raise ValueError("postfilter: found a model without its tables, wanted one of wv-export --postfilter")
        on = bool(model.postfilter and (model.postfilter.on if postfilter is None else postfilter))
        self.model, self.config, self.backend, self.postfilter = model, model.config, backend, on
        self._arguments = (model, backend, isa, postfilter)
        self._engine = entry.load(model, isa, on)
        self.isa = self._engine.isa

    def __reduce__(self) -> tuple[type[Voice], tuple[Any, ...]]:
        """Pickled as what it was made of."""
        return Voice, self._arguments

    @property
    def lookahead(self) -> int:
        """Frames that must have been pushed beyond the one whose samples come out."""
        from .kernels.postfilter import filter_delay

        delay = filter_delay(self.config.mel, self.model.postfilter) if self.postfilter else 0
        return self.config.cond_width // 2 - -self.config.delay // self.config.mel.hop_length + delay

    @property
    def sample_rate(self) -> int:
        """Of the samples, in Hz."""
        return self.config.mel.sample_rate

    def check(self, mel: NDArray[np.float32]) -> MelFinding:
        """Whether mels are like those that the voice was trained on; if not, the likeliest mistake and what undoes it.

        mel : (n_mels, n_frames) float32; fewer than 40 frames say nothing
        """
        return check_mels(self.model, as_mel(mel))

    def check_audio(self, mel: NDArray[np.float32], pcm: NDArray[np.int16]) -> AudioFinding:
        """Whether samples are what the mels that they were made from say: how many are clipped, and their level."""
        return check_audio(self.config.mel, as_mel(mel), pcm)

    def warm_up(self) -> float:
        """Compile the kernels for this model, or load them from the cache. Returns the seconds it took."""
        start = time.perf_counter()
        stream = self.open()
        stream.push(np.zeros((self.config.mel.n_mels, 1), np.float32))
        stream.finish()
        stream.pull(1)
        return time.perf_counter() - start

    def open(self, seed: int = 0, temperature: float = 1.0, n_threads: int = 1) -> Stream:
        """A new stream at sample 0.

        n_threads : of a subscale voice, threads that its lanes are split over; others, and a lane, have one

        Raises
        ------
        ValueError
            If seed is not in 0..2^64-1, temperature not in `TEMPERATURES` or n_threads not in 1..64.
        """
        seed = check_seed(seed)
        check_temperature(temperature)
        check_lanes(1, n_threads)
        return self._engine.open(seed, temperature, n_threads)

    def batch(self, n_lanes: int = 8, n_threads: int = 1) -> Batch:
        """Room for many streams of this voice: n_lanes of them step together on each thread.

        Eight lanes make about twice the samples of one stream on a core. Backend cuda steps all streams together.

        Raises
        ------
        ValueError
            If n_lanes is not in 1..16 or n_threads not in 1..64.
        """
        check_lanes(n_lanes, n_threads)
        return self._engine.batch(n_lanes, n_threads)

    def stream(
        self, mels: Iterable[NDArray[np.float32]], seed: int = 0, temperature: float = 1.0, n_threads: int = 1
    ) -> Iterator[NDArray[np.int16]]:
        """Samples as soon as the frames that they need are there; together they are what a call with all frames gives.

        mels : arrays or tensors (n_mels, any number of frames) of any float, one after the other
        """
        stream = self.open(seed, temperature, n_threads)
        for mel in map(as_mel, mels):
            taken = 0
            while taken < mel.shape[-1]:
                taken += stream.push(mel[:, taken:])
                yield stream.pull(stream.available)
        stream.finish()
        yield stream.pull(stream.available)

    @overload
    def __call__(
        self, mel: NDArray[np.float32], seed: int = 0, temperature: float = 1.0,
        progress: Callable[[int], Any] | None = None, *, n_threads: int = 1,
    ) -> NDArray[np.int16]: ...  # fmt: skip

    @overload
    def __call__(
        self, mel: Sequence[NDArray[np.float32]], seed: int = 0, temperature: float = 1.0, *,
        n_lanes: int = 8, n_threads: int = 1,
    ) -> list[NDArray[np.int16]]: ...  # fmt: skip

    def __call__(
        self,
        mel: NDArray[np.float32] | Sequence[NDArray[np.float32]],
        seed: int = 0,
        temperature: float = 1.0,
        progress: Callable[[int], Any] | None = None,
        n_lanes: int = 8,
        n_threads: int = 1,
    ) -> NDArray[np.int16] | list[NDArray[np.int16]]:
        """The whole utterance: mel (n_mels, n_frames) -> (n_frames * hop_length,) int16.

        Arrays of any float and tensors of torch, on any device, are taken as float32.

        n_threads share the interleaved lanes of a subscale voice; other voices speak one mel on one.

        A list of mels gives the list of their samples, in a `batch` of n_lanes and n_threads: faster than one call
        after the other. Each has the same seed, and the samples that it has by itself.

        `progress`, if given for one mel, is called with the number of new samples after about each second of audio.
        """
        if not hasattr(mel, "__array__"):
            return speak(self, [as_mel(m) for m in mel], seed, temperature, n_lanes, n_threads)
        mel = as_mel(mel)
        stream = self.open(seed, temperature, n_threads)
        at_most = self.config.mel.sample_rate if progress else 2**31 - 1
        parts, taken, n_frames = [np.zeros(0, np.int16)], 0, mel.shape[-1]
        while True:
            if taken < n_frames:
                taken += stream.push(mel[:, taken:])
                if taken == n_frames:
                    stream.finish()
            pcm = stream.pull(at_most)
            if taken == n_frames and not len(pcm):
                return np.concatenate(parts)
            parts.append(pcm)
            if progress:
                progress(len(pcm))
