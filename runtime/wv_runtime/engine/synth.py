"""Log-mels to 16-bit audio, whole or as a stream, on the Numba kernels or on libwavernn: the same bits.

C twin of Stream: libwavernn/core/synth.c

Usage: ``pcm = Voice(binary.load("voice.bin"))(mel, seed=0)``
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from wv_runtime.errors import MelError, NativeError
from wv_runtime.features.mel_check import AudioFinding, MelFinding, check_audio, check_mels
from wv_runtime.model.binary import pack
from wv_runtime.model.weights import Model

from .batch import Batch, NumbaBatch, check_lanes, check_seed, speak

BACKENDS = ("auto", "numba", "c", "cuda", "onnx")
CALLS_PER_S = 8  # compiled calls per second of audio: between them Python hears ctrl-C
TEMPERATURES = (1e-6, 1e6)  # WV_TEMPERATURE_MIN, WV_TEMPERATURE_MAX


def check_temperature(temperature: float, where: str = "temperature") -> None:
    """Raises ValueError unless the temperature is a number that logits may be divided by."""
    low, high = TEMPERATURES
    if not low <= temperature <= high:
        raise ValueError(f"{where}: found {temperature}, wanted a number from {low:g} to {high:g}")


def ready_backend() -> str:
    """The backend that starts without compiling: all give the same samples."""
    from wv_runtime.engine.native import library

    try:
        library()
    except NativeError:
        return "numba"
    return "c"


class Stream(Protocol):
    """Push mel frames, pull samples. How the stream is cut into pushes and pulls does not change the audio."""

    def push(self, mel: NDArray[np.float32]) -> int:
        """Append frames; returns how many were taken (backend c: as many as there is room for).

        mel : (n_mels, n_frames) float32
        """

    def finish(self) -> None:
        """No more frames will come: the last one is repeated to the right, as training did."""

    @property
    def available(self) -> int:
        """Samples that `pull` could give now."""

    def pull(self, n: int) -> NDArray[np.int16]:
        """Up to n samples. (min(n, available),) int16"""


class Voice:
    """A model ready to run on one backend.

    Parameters
    ----------
    backend : "numba" (JIT, the default), "c" (libwavernn), "cuda" (an NVIDIA GPU, int8 models), "onnx" (ONNX Runtime,
        float32: other samples) or "auto": "c" if libwavernn is there, which starts at once, else "numba"
    postfilter : whether to pass the samples through the mel post-filter; None does what the file says
    isa : which of libwavernn's ISAs ("portable", "avx2", ...); None takes the best. The others take what is there.

    Raises
    ------
    ValueError
        For an unknown backend, an isa with another backend than "c", or a model that "cuda" does not run.
    NativeError
        If libwavernn is missing or has no such ISA, "cuda" finds no GPU, or ONNX Runtime is not installed.
    """

    def __init__(self, model: Model, backend: str = "numba", isa: str | None = None, postfilter: bool | None = None):
        if backend not in BACKENDS:
            raise ValueError(f"backend: found {backend!r}, wanted one of {', '.join(BACKENDS)}")
        if backend == "auto":
            backend = ready_backend()
        if backend != "c" and isa is not None:
            raise ValueError("isa: only backend c has a choice of ISA (the others always compile for this machine)")
        if postfilter and not model.postfilter:
            raise ValueError("postfilter: found a model without its tables, wanted one of wv-export --postfilter")
        on = bool(model.postfilter and (model.postfilter.on if postfilter is None else postfilter))
        self.model, self.config, self.backend, self.postfilter = model, model.config, backend, on
        self._arguments = (model, backend, isa, postfilter)
        if backend == "c":
            from wv_runtime.engine.native import NativeBatch, NativeModel, NativeStream

            native = NativeModel(pack(replace(model, metadata={})))  # which C does not read
            self._open: Callable[[int, float], Stream] = lambda seed, t: NativeStream(
                native, seed, t, isa, postfilter=on
            )
            self.isa = isa or NativeStream(native, 0, 1.0, isa).isa
            self._batch: Callable[[int, int], Batch] = lambda lanes, threads: NativeBatch(native, lanes, threads)
        elif backend == "cuda":
            from wv_runtime.engine.cuda import CudaBatch, CudaNet, CudaStream, device_name

            gpu = CudaNet(model)
            self._open = lambda seed, t: CudaStream(gpu, seed, t, on)
            self._batch = lambda lanes, threads: CudaBatch(gpu)
            self.isa = device_name()
        elif backend == "onnx":
            from wv_runtime.engine.onnx import OnnxBatch, OnnxNet, OnnxStream

            onnx = OnnxNet(model)
            self._open = lambda seed, t: OnnxStream(onnx, seed, t, on)
            self._batch = lambda lanes, threads: OnnxBatch()
            self.isa = onnx.version
        else:
            from wv_runtime.engine.kernels import network, simd
            from wv_runtime.engine.kernels.fp_mode import defined_mode

            with defined_mode():
                net = network.make_net(model)
            self._open = lambda seed, t: NumbaStream(model, net, seed, t, on)
            self._batch = lambda lanes, threads: NumbaBatch(model, net, lanes, threads)
            self.isa = simd.ISA

    def __reduce__(self) -> tuple[type[Voice], tuple[Any, ...]]:
        """Pickled as what it was made of."""
        return Voice, self._arguments

    @property
    def lookahead(self) -> int:
        """Frames that must have been pushed beyond the one whose samples come out."""
        from .kernels.postfilter import filter_delay

        return self.config.cond_width // 2 + (
            filter_delay(self.config.mel, self.model.postfilter) if self.postfilter else 0
        )

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

    def open(self, seed: int = 0, temperature: float = 1.0) -> Stream:
        """A new stream at sample 0.

        Raises
        ------
        ValueError
            If seed is not in 0..2^64-1 or temperature not in `TEMPERATURES`.
        """
        seed = check_seed(seed)
        check_temperature(temperature)
        return self._open(seed, temperature)

    def batch(self, n_lanes: int = 8, n_threads: int = 1) -> Batch:
        """Room for many streams of this voice: n_lanes of them step together on each thread.

        Eight lanes make about twice the samples of one stream on a core. Backend cuda steps all streams together.

        Raises
        ------
        ValueError
            If n_lanes is not in 1..16 or n_threads not in 1..64.
        """
        check_lanes(n_lanes, n_threads)
        return self._batch(n_lanes, n_threads)

    def stream(
        self, mels: Iterable[NDArray[np.float32]], seed: int = 0, temperature: float = 1.0
    ) -> Iterator[NDArray[np.int16]]:
        """Samples as soon as the frames that they need are there; together they are what a call with all frames gives.

        mels : arrays or tensors (n_mels, any number of frames) of any float, one after the other
        """
        stream = self.open(seed, temperature)
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
        progress: Callable[[int], Any] | None = None,
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

        A list of mels gives the list of their samples, in a `batch` of n_lanes and n_threads: faster than one call
        after the other. Each has the same seed, and the samples that it has by itself.

        `progress`, if given for one mel, is called with the number of new samples after about each second of audio.
        """
        if not hasattr(mel, "__array__"):
            return speak(self, [as_mel(m) for m in mel], seed, temperature, n_lanes, n_threads)
        mel = as_mel(mel)
        stream = self.open(seed, temperature)
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


class NumbaStream:
    """A Stream on the Numba kernels. Arguments are checked by Voice."""

    def __init__(self, model: Model, net: Any, seed: int, temperature: float, postfilter: bool = False):
        from wv_runtime.engine.kernels import network, wavernn
        from wv_runtime.engine.kernels import postfilter as kernels
        from wv_runtime.engine.kernels.fp_mode import defined_mode

        self._defined_mode, self._kernels, self._filter_hops = defined_mode, wavernn, kernels.filter_hops
        self.net, self.state = net, network.make_state(model)
        self._config, self._hop, self.seed = model.config, model.config.mel.hop_length, np.uint64(seed)
        with defined_mode():
            self.log2e_over_temperature = np.float32(1.4426950408889634 / float(np.float32(temperature)))
            self._filter: Any = kernels.make_filter(model.config.mel, model.postfilter) if postfilter else None
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
    def available(self) -> int:
        n_ready = max(0, len(self.frames) - (self._config.cond_width - 1))
        if self._filter is None:
            return n_ready * self._hop - self.sample
        delay = 0 if self._finished else self._delay
        n_out = max(0, int(self._filter.n[1]) + n_ready - delay)
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
        n_frames = min(n_in, max(0, len(self.frames) - (self._config.cond_width - 1)))
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


def as_mel(mel: Any) -> NDArray[np.float32]:
    """An array of any float, or a tensor of torch, as float32; of what is neither `mel_frames` says so."""
    if hasattr(mel, "detach"):
        mel = mel.detach().cpu()
        mel = (mel.float() if mel.is_floating_point() else mel).numpy()  # NumPy has no bfloat16
    array: NDArray[Any] = np.asarray(mel)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
        return array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array


def mel_frames(mel: NDArray[np.float32], n_mels: int) -> NDArray[np.float32]:
    """(n_mels, n_frames) float32 -> (n_frames, n_mels), contiguous, checked.

    Raises
    ------
    MelError
        If the shape or dtype is wrong or a value is NaN or infinite.
    """
    if mel.ndim != 2 or mel.shape[0] != n_mels or mel.dtype != np.float32:
        raise MelError(f"mel: found {mel.dtype} {mel.shape}, wanted float32 ({n_mels}, n_frames)")
    if not np.isfinite(mel).all():
        frame = int(np.argmin(np.isfinite(mel).all(axis=0)))
        raise MelError(f"mel: frame {frame} holds NaN or infinity, wanted finite log-mels")
    return np.ascontiguousarray(mel.T)


def teacher_forced(
    model: Model, samples: NDArray[np.int16], mel: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
    """Logits of each sample given the true ones before it, on the Numba kernels, and the bytes that it is.

    samples : (n + 1,) int16, pre-emphasised; sample 0 only feeds the first step
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
    frames = np.pad(frames, [(cfg.cond_width // 2,) * 2, (0, 0)], mode="edge")
    logits_c, logits_f = np.empty((n, 256), np.float32), np.empty((n, 256), np.float32)
    byte = np.empty((n, 2), np.uint8)
    with defined_mode():
        wavernn.teacher_force(
            network.make_net(model), network.make_state(model), frames.reshape(-1), samples.astype(np.int32),
            byte, logits_c, logits_f,
        )  # fmt: skip
    return logits_c, logits_f, byte
