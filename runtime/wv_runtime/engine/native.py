"""ctypes binding of libwavernn: the whole of wavernn.h, and nothing that wavernn.h does not have.

It adds what C leaves to the caller: aligned bytes, arrays of the right dtype, lifetimes, exceptions.

Usage: ``stream = NativeStream(NativeModel(data), seed=0); stream.push(mel); stream.finish(); stream.pull(16000)``
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import weakref
from collections.abc import Sequence
from ctypes import POINTER, byref, c_char, c_char_p, c_double, c_float, c_int, c_int32, c_size_t, c_uint64, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wv_runtime.engine import __path__ as package_path
from wv_runtime.engine.batch import check_seed
from wv_runtime.errors import FormatError, MelError, NativeError
from wv_runtime.features.mel_check import AudioFinding, MelFinding
from wv_runtime.model.binary import aligned, file_bytes
from wv_runtime.model.weights import Model

ABI_VERSION = 2  # WV_ABI_VERSION of the wavernn.h this file was written against
DTYPES = ("f32", "f16", "int8")  # wv_info.dtype
LIBRARY_NAME = {"darwin": "libwavernn.dylib", "win32": "wavernn.dll"}.get(sys.platform, "libwavernn.so")

# wv_status_name -> what Python raises; every other status is a NativeError
_EXCEPTIONS: dict[str, type[Exception]] = {
    "mel": MelError, "argument": ValueError, "isa": ValueError, "finished": ValueError,
}  # fmt: skip
_FORMAT = ("truncated", "magic", "version", "checksum", "header", "section", "row_ptr", "col_idx", "values")


class _Info(ctypes.Structure):
    """wv_info"""

    _fields_ = [
        ("sample_rate", c_int32),
        ("hop_length", c_int32),
        ("n_mels", c_int32),
        ("n_units", c_int32),
        ("lookahead", c_int32),
        ("dtype", c_int32),
        ("mel_name", c_char * 32),
        ("postfilter", c_int32),
        ("filter_delay", c_int32),
    ]


class _Options(ctypes.Structure):
    """wv_options"""

    _fields_ = [
        ("struct_size", c_size_t),
        ("seed", c_uint64),
        ("temperature", c_float),
        ("max_frames", c_int32),
        ("isa", c_char_p),
        ("postfilter", c_int32),
        ("n_threads", ctypes.c_int64),
    ]


class _MelsFound(ctypes.Structure):
    """wv_mels_found"""

    _fields_ = [("cause", c_int), ("offset", c_double), ("step", c_double)]


class _AudioFound(ctypes.Structure):
    """wv_audio_found"""

    _fields_ = [("clipped", c_size_t), ("level_db", c_double), ("doubtful", c_int32)]


_PROTOTYPES: dict[str, tuple[Any, list[Any]]] = {
    "wv_abi_version": (c_int32, []),
    "wv_version": (c_char_p, []),
    "wv_status_str": (c_char_p, [c_int]),
    "wv_status_name": (c_char_p, [c_int]),
    "wv_isa_name": (c_char_p, [c_int32]),
    "wv_model_load": (c_int, [c_void_p, c_size_t, POINTER(c_void_p)]),
    "wv_model_free": (None, [c_void_p]),
    "wv_model_info": (c_int, [c_void_p, POINTER(_Info)]),
    "wv_state_new": (c_int, [c_void_p, POINTER(_Options), POINTER(c_void_p)]),
    "wv_state_free": (None, [c_void_p]),
    "wv_state_isa": (c_char_p, [c_void_p]),
    "wv_reset": (c_int, [c_void_p, c_uint64]),
    "wv_push": (c_int, [c_void_p, c_void_p, c_size_t, POINTER(c_size_t)]),
    "wv_finish": (c_int, [c_void_p]),
    "wv_available": (c_size_t, [c_void_p]),
    "wv_pull": (c_int, [c_void_p, c_void_p, c_size_t, POINTER(c_size_t)]),
    "wv_batch_new": (c_int, [c_void_p, c_int32, c_int32, POINTER(c_void_p)]),
    "wv_batch_free": (None, [c_void_p]),
    "wv_batch_pull": (
        c_int,
        [c_void_p, POINTER(c_void_p), c_size_t, POINTER(c_void_p), POINTER(c_size_t), POINTER(c_size_t)],
    ),
    "wv_mel_new": (c_int, [c_void_p, POINTER(c_void_p)]),
    "wv_mel_free": (None, [c_void_p]),
    "wv_mel_push": (c_int, [c_void_p, c_void_p, c_size_t, POINTER(c_size_t)]),
    "wv_mel_finish": (c_int, [c_void_p]),
    "wv_mel_available": (c_size_t, [c_void_p]),
    "wv_mel_pull": (c_int, [c_void_p, c_void_p, c_size_t, POINTER(c_size_t)]),
    "wv_check_mels": (c_int, [c_void_p, c_void_p, c_size_t, POINTER(_MelsFound)]),
    "wv_mels_name": (c_char_p, [c_int]),
    "wv_mels_advice": (c_char_p, [c_int]),
    "wv_check_audio": (c_int, [c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, POINTER(_AudioFound)]),
    "wv_bench_stage": (c_int, [c_void_p, c_int, c_size_t]),
    "wv_batch_bench_stage": (c_int, [c_void_p, POINTER(c_void_p), c_size_t, c_int, c_size_t]),
}


@functools.cache
def library() -> ctypes.CDLL:
    """libwavernn: $WV_LIBRARY if set, else the one installed with this package.

    Raises
    ------
    NativeError
        If it is missing, cannot be loaded, or has another ABI version.
    """
    # An editable install leaves the library in site-packages, which is another entry of the package's path.
    installed = [Path(folder) / LIBRARY_NAME for folder in package_path]
    path = os.environ.get("WV_LIBRARY") or next((p for p in installed if p.exists()), None)
    if path is None:
        raise NativeError(f"{LIBRARY_NAME}: not found in {installed[0].parent}; install the package again")
    try:
        lib = ctypes.CDLL(str(path))
        lib.wv_abi_version.restype = c_int32
        found = lib.wv_abi_version()
    except (OSError, AttributeError) as error:
        raise NativeError(f"{path}: cannot be loaded ({error})") from None
    if found != ABI_VERSION:
        raise NativeError(f"{path}: ABI version {found}, wanted {ABI_VERSION}; install the package again")
    for name, (restype, argtypes) in _PROTOTYPES.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = restype, argtypes
    return lib


def version() -> str:
    """The library's version."""
    return library().wv_version().decode()


def isa_names() -> list[str]:
    """ISAs this build holds and this CPU runs, best first."""
    names: list[str] = []
    while name := library().wv_isa_name(len(names)):
        names.append(name.decode())
    return names


def _check(status: int, where: str) -> None:
    """Raise what a status means: FormatError (with .status), MelError, ValueError or NativeError."""
    if status == 0:
        return
    name, text = (f(status).decode() for f in (library().wv_status_name, library().wv_status_str))
    if name in _FORMAT:
        raise FormatError(f"{where}: {text}", name)
    raise _EXCEPTIONS.get(name, NativeError)(f"{where}: {text}")


class NativeEngine:
    """A model on libwavernn, which gets the bytes of its file as they are."""

    def __init__(self, model: Model, isa: str | None, postfilter: bool):
        self._model, self._isa, self._postfilter = NativeModel(file_bytes(model)), isa, postfilter
        self._n_lanes = model.config.subscale
        self.isa = isa or NativeStream(self._model).isa

    def open(self, seed: int, temperature: float, n_threads: int) -> NativeStream:
        n = min(n_threads, self._n_lanes)
        return NativeStream(self._model, seed, temperature, self._isa, postfilter=self._postfilter, n_threads=n)

    def batch(self, n_lanes: int, n_threads: int) -> NativeBatch:
        return NativeBatch(self._model, n_lanes, n_threads)


class NativeModel:
    """wv_model: a checked .bin. Bytes that do not lie on a 64-byte boundary are copied to one.

    Raises
    ------
    FormatError
        If the bytes break FORMAT.md; `status` is the library's name for the first check that failed.
    """

    def __init__(self, data: bytes | bytearray | memoryview | NDArray[np.uint8], where: str = "model"):
        self._handle = c_void_p()
        self._data = aligned(data)  # the library reads it in place for as long as the model lives
        _check(library().wv_model_load(self._data.ctypes.data, self._data.nbytes, byref(self._handle)), where)
        weakref.finalize(self, library().wv_model_free, self._handle)
        info = _Info()
        _check(library().wv_model_info(self._handle, byref(info)), where)
        self.sample_rate: int = info.sample_rate
        self.hop_length: int = info.hop_length
        self.n_mels: int = info.n_mels
        self.n_units: int = info.n_units
        self.lookahead: int = info.lookahead
        self.dtype: str = DTYPES[info.dtype]
        self.mel_name: str = info.mel_name.decode()

    def check(self, mel: NDArray[np.float32]) -> MelFinding:
        """`check_mels` in C. mel : (n_mels, n_frames) float32"""
        frames, found = np.ascontiguousarray(mel.T, np.float32), _MelsFound()
        _check(library().wv_check_mels(self._handle, frames.ctypes.data, len(frames), byref(found)), "check")
        return MelFinding(library().wv_mels_name(found.cause).decode(), found.offset, found.step)

    def check_audio(self, mel: NDArray[np.float32], pcm: NDArray[np.int16]) -> AudioFinding:
        """`check_audio` in C. mel : (n_mels, n_frames) float32    pcm : (n_samples,) int16"""
        frames, samples, found = np.ascontiguousarray(mel.T, np.float32), np.ascontiguousarray(pcm), _AudioFound()
        _check(
            library().wv_check_audio(
                self._handle, frames.ctypes.data, len(frames), samples.ctypes.data, len(samples), byref(found)
            ),
            "check",
        )
        return AudioFinding(found.clipped, found.level_db, bool(found.doubtful), len(samples))


class NativeStream:
    """wv_state: mel frames in, samples out. One thread at a time.

    Raises
    ------
    ValueError
        If seed, temperature, max_frames, isa or n_threads is out of range.
    """

    def __init__(
        self,
        model: NativeModel,
        seed: int = 0,
        temperature: float = 1.0,
        isa: str | None = None,
        max_frames: int = 64,
        postfilter: bool | None = None,
        n_threads: int = 1,
    ):
        self._handle, self._pid, self._n_threads = c_void_p(), os.getpid(), n_threads
        self._model = model  # must outlive the state
        if not 1 <= max_frames <= 65536:
            raise ValueError(f"max_frames: found {max_frames}, wanted 1..65536")
        isa = isa or os.environ.get("WV_ISA")
        if isa and isa not in isa_names():
            raise ValueError(f"isa: found {isa}, wanted one of {', '.join(isa_names())}")
        isa_name = isa.encode() if isa else None
        options = _Options(
            ctypes.sizeof(_Options), check_seed(seed), temperature, max_frames, isa_name,
            0 if postfilter is None else 1 + postfilter, n_threads,
        )  # fmt: skip
        _check(library().wv_state_new(model._handle, byref(options), byref(self._handle)), "stream")
        weakref.finalize(self, _free, library().wv_state_free, self._handle, self._pid)

    @property
    def isa(self) -> str:
        """The ISA this stream runs on."""
        return library().wv_state_isa(self._handle).decode()

    def reset(self, seed: int) -> None:
        """Back to silence and sample 0; what was pushed is forgotten."""
        _check(library().wv_reset(self._handle, check_seed(seed)), "reset")

    def push(self, mel: NDArray[np.float32]) -> int:
        """Append frames; returns how many there was room for.

        mel : (n_mels, n_frames) float32

        Raises
        ------
        MelError
            If the array has another shape or dtype, or a value that is not finite.
        ValueError
            If the stream is finished.
        """
        if mel.ndim != 2 or mel.shape[0] != self._model.n_mels or mel.dtype != np.float32:
            raise MelError(f"mel: found {mel.dtype} {mel.shape}, wanted float32 ({self._model.n_mels}, n_frames)")
        frames, taken = np.ascontiguousarray(mel.T), c_size_t()
        _check(library().wv_push(self._handle, frames.ctypes.data, len(frames), byref(taken)), "push")
        return taken.value

    def finish(self) -> None:
        """No more frames will come: the last one is repeated to the right, as training did."""
        _check(library().wv_finish(self._handle), "finish")

    @property
    def available(self) -> int:
        """Samples that `pull` could give now."""
        return library().wv_available(self._handle)

    def pull(self, n: int) -> NDArray[np.int16]:
        """Up to n samples. (min(n, available),) int16"""
        if self._n_threads > 1 and os.getpid() != self._pid:
            raise NativeError("pull: found a stream of several threads after a fork, wanted one opened after it")
        pcm, written = np.empty(max(0, min(n, self.available)), np.int16), c_size_t()
        _check(library().wv_pull(self._handle, pcm.ctypes.data, len(pcm), byref(written)), "pull")
        return pcm[: written.value]

    def bench_stage(self, stage: int, n_times: int) -> None:
        """Run one wv_stage n_times, for a caller with a clock. The stream's audio is undefined afterwards."""
        _check(library().wv_bench_stage(self._handle, stage, n_times), "bench_stage")


class NativeBatch:
    """wv_batch: many streams in step, over one load of the weights. One call at a time.

    Raises
    ------
    ValueError
        If n_lanes is not in 1..16 or n_threads not in 1..64.
    """

    def __init__(self, model: NativeModel, n_lanes: int = 8, n_threads: int = 1):
        self._model = model  # must outlive the batch
        self._n_lanes, self._n_threads, self.n_open = n_lanes, n_threads, 2 * n_lanes * n_threads
        self._make()

    def _make(self) -> None:
        self._handle, self._pid = c_void_p(), os.getpid()
        new = library().wv_batch_new(self._model._handle, self._n_lanes, self._n_threads, byref(self._handle))
        _check(new, "batch")
        weakref.finalize(self, _free, library().wv_batch_free, self._handle, self._pid)

    def pull(self, streams: Sequence[NativeStream], n: Sequence[int]) -> list[NDArray[np.int16]]:
        """Up to n[i] samples of streams[i], as its own pull gives them. [(min(n[i], available),) int16, ...]

        Raises
        ------
        ValueError
            If the streams are not different ones of this batch's model and of one ISA.
        """
        if os.getpid() != self._pid:  # after a fork: its threads are not here
            self._make()
        pcm = [np.empty(max(0, min(k, s.available)), np.int16) for s, k in zip(streams, n, strict=True)]
        to = (c_void_p * len(pcm))(*(part.ctypes.data for part in pcm))
        sizes, written = (c_size_t * len(pcm))(*map(len, pcm)), (c_size_t * len(pcm))()
        _check(library().wv_batch_pull(self._handle, _handles(streams), len(pcm), to, sizes, written), "batch: streams")
        return pcm

    def bench_stage(self, streams: Sequence[NativeStream], stage: int, n_times: int) -> None:
        """Run one wv_stage of at most n_lanes streams in step, n_times. Their audio is undefined afterwards."""
        handles = _handles(streams)
        _check(
            library().wv_batch_bench_stage(self._handle, handles, len(streams), stage, n_times), "batch: bench_stage"
        )


def _free(free: Any, handle: c_void_p, pid: int) -> None:
    if os.getpid() == pid:  # a child of fork would wait for threads that it does not have
        free(handle)


def _handles(streams: Sequence[NativeStream]) -> Any:
    return (c_void_p * len(streams))(*(s._handle.value for s in streams))


class NativeMel:
    """wv_mel: samples in, mel frames out, as a model wants them. One thread at a time.

    Raises
    ------
    ValueError
        If the model's n_fft is no power of two.
    """

    def __init__(self, model: NativeModel):
        self._handle, self._n_mels = c_void_p(), model.n_mels
        _check(library().wv_mel_new(model._handle, byref(self._handle)), "mel")
        weakref.finalize(self, library().wv_mel_free, self._handle)

    def push(self, audio: NDArray[np.float32]) -> int:
        """Append samples; returns how many there was room for.

        audio : (n_samples,) float32 in [-1, 1]
        """
        audio, taken = np.ascontiguousarray(audio, np.float32), c_size_t()
        _check(library().wv_mel_push(self._handle, audio.ctypes.data, len(audio), byref(taken)), "push")
        return taken.value

    def finish(self) -> None:
        """No more samples will come."""
        _check(library().wv_mel_finish(self._handle), "finish")

    def pull(self) -> NDArray[np.float32]:
        """The frames that are ready. (n_mels, n_frames) float32"""
        frames, written = np.empty((library().wv_mel_available(self._handle), self._n_mels), np.float32), c_size_t()
        _check(library().wv_mel_pull(self._handle, frames.ctypes.data, len(frames), byref(written)), "pull")
        return np.ascontiguousarray(frames[: written.value].T)
