"""int8 models on an NVIDIA GPU, by numba-cuda: one launch draws the samples of many streams, a block each.

The conditioning and the post-filter run on the CPU, on the kernels of the Numba engine. Under the CUDA simulator
($NUMBA_ENABLE_CUDASIM=1) the same code runs without a GPU, slowly. See docs/gpu.md.

Usage: ``net = CudaNet(model)``; ``pcm = CudaStream(net, seed=0, temperature=1.0).pull(16000)`` after a push
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wv_runtime.engine.kernels import derive
from wv_runtime.engine.kernels.fp_mode import defined_mode
from wv_runtime.errors import NativeError
from wv_runtime.model.weights import Model

from .numba_cpu import NumbaStream

SAMPLED = ("R", "O1", "O2", "O3", "O4")  # the matrices of the sample loop
MIN_CAPABILITY = (6, 1)  # has dp4a
MAX_THREADS = 1024
NO_OPT_IN = 48 * 1024  # bytes of shared memory that a block may take without being asked for
SIMULATED_THREADS = 4  # each is a thread of Python
CONDITIONING_BYTES = 2**29  # of one launch
N_OPEN = 1024  # streams that a list of mels keeps open


def check_package() -> None:
    """Raises NativeError if numba-cuda is missing, or if its compiler does not load."""
    wanted = "wanted pip install 'wavernn[cuda]'"
    if importlib.util.find_spec("numba_cuda") is None:
        raise NativeError(f"backend cuda: numba-cuda is not installed, {wanted}")
    from wv_runtime.engine.kernels.device import SIMULATED

    if not SIMULATED:
        try:
            import numba.cuda.cudaimpl  # noqa: F401  Numba would import it only when it compiles a kernel
        except (AttributeError, ImportError) as e:  # as with a NumPy that is too new
            found = f"numba-cuda {version('numba-cuda')} with NumPy {np.__version__}"
            raise NativeError(f"backend cuda: found {found}, which does not load ({e}), {wanted}") from None


def check_gpu() -> Any:
    """numba.cuda, once there is a GPU to run on.

    Raises
    ------
    NativeError
        If numba-cuda or the GPU is missing.
    """
    check_package()
    from numba import cuda

    from wv_runtime.engine.kernels.device import SIMULATED

    if not SIMULATED:
        if not cuda.is_available():
            raise NativeError("backend cuda: found no NVIDIA GPU with a driver, wanted one that numba-cuda can use")
        found = cuda.get_current_device().compute_capability
        if tuple(found) < MIN_CAPABILITY:
            raise NativeError(f"backend cuda: found compute capability {found[0]}.{found[1]}, wanted at least 6.1")
    return cuda


def device_name() -> str:
    """Of the GPU and its compute capability, as "H100 sm_90"."""
    from wv_runtime.engine.kernels.device import SIMULATED

    if SIMULATED:
        return "simulator"
    device = check_gpu().get_current_device()
    name = device.name.decode() if isinstance(device.name, bytes) else str(device.name)
    return f"{name} sm_{''.join(map(str, device.compute_capability))}"


class Image:
    """A model's matrices of the sample loop as the kernel reads them, and which of them its shared memory holds.

    words        : (n,) int32, of each matrix its row_ptr, col_idx + quads and values; those in shared memory come first
    start, scale : (rows,) int32, float32, of all of them
    net          : persistent.DeviceNet
    n_bytes      : of shared memory that a block takes

    Parameters
    ----------
    shared_bytes : what a block may take

    Raises
    ------
    ValueError
        If the model is not int8.
    NativeError
        If not even the state fits.
    """

    def __init__(self, model: Model, shared_bytes: int):
        from wv_runtime.engine.kernels import persistent

        cfg, matrices = model.config, [model.matrices[name] for name in SAMPLED]
        for m in matrices:
            if m.dtype != "int8":
                raise ValueError(f"backend cuda: found {m.name} of {m.dtype}, wanted a model of wv-export --dtype int8")
        first = persistent.state_words(cfg.n_units, cfg.n_out)
        if 4 * first > shared_bytes:
            raise NativeError(f"backend cuda: found {shared_bytes} bytes of shared memory a block, wanted {4 * first}")
        # 1) the largest that fit are shared
        parts = {}
        for m in matrices:
            quads = m.col_idx.astype(np.int32) + np.int32(persistent.quads(m.name, cfg.n_units))
            parts[m.name] = (m.row_ptr, quads, m.values.view(np.int32))
        sizes = {name: sum(map(len, part)) for name, part in parts.items()}
        shared: list[str] = []
        for name in sorted(sizes, key=lambda name: -sizes[name]):
            if 4 * (first + sum(sizes[s] for s in shared) + sizes[name]) <= shared_bytes:
                shared.append(name)
        order = shared + [name for name in sizes if name not in shared]
        self.words = np.concatenate([a for name in order for a in parts[name]])
        # 2) where everything is
        blocks: dict[str, Any] = {}
        rows = dict(zip(SAMPLED, np.cumsum([0] + [m.rows for m in matrices])))
        for name in order:
            lengths = [len(a) for a in parts[name]]
            at = sum(sizes[o] for o in order[: order.index(name)]) + (first if name in shared else 0)
            blocks[name] = persistent.Block(*map(np.int32, (
                at, at + lengths[0], at + lengths[0] + lengths[1], rows[name],
                model.matrices[name].block_h.bit_length() - 1, name in shared,
            )))  # fmt: skip
        n_shared = sum(sizes[name] for name in shared)
        self.start = np.concatenate([derive.start(m, 0) for m in matrices])
        self.scale = np.concatenate([m.scale for m in matrices if m.scale is not None])
        I, I_shift = derive.quantize_I(model.I, cfg.lpc_order)  # noqa: E741, N806
        fours = np.zeros((-(-len(model.I) // 4), 4, 3 * cfg.n_units), np.int16)
        fours.reshape(-1)[: len(I)] = I
        self.I = np.ascontiguousarray(fours.transpose(0, 2, 1)).view(np.int64).reshape(-1)
        self.n_bytes, self.n_threads = 4 * (first + n_shared), n_threads(3 * cfg.n_units)
        quantizers = [f for m in (model.matrices["O2"], model.matrices["O4"]) for f in (m.x_scale, m.x_zero + 128.5)]
        integers = (cfg.n_units, cfg.n_out, cfg.lpc_order, cfg.sub_length, I_shift, n_shared)
        numbers: list[Any] = [*map(np.int32, integers), *map(np.float32, (cfg.preemphasis, *quantizers))]
        self.net: Any = persistent.DeviceNet(*numbers, **blocks)


def n_threads(rows: int) -> int:
    """Of a block: a multiple of 32, the fewest that do the rows of R in as few turns as MAX_THREADS would.

    And a warp more, if there is room: it does what one thread can do meanwhile.
    """
    turns = -(-rows // MAX_THREADS)
    return min(MAX_THREADS, max(256, 32 * -(-rows // (32 * turns))) + 32)


class CudaNet:
    """A model in a GPU's memory.

    Parameters
    ----------
    shared_bytes : of shared memory that a block may take; None: as much as the GPU has

    Raises
    ------
    NativeError
        If numba-cuda or the GPU is missing.
    ValueError
        If the model is not int8.
    """

    def __init__(self, model: Model, shared_bytes: int | None = None):
        cuda = check_gpu()
        from wv_runtime.engine.kernels import network, persistent
        from wv_runtime.engine.kernels.device import SIMULATED

        if shared_bytes is None:
            shared_bytes = NO_OPT_IN if SIMULATED else cuda.get_current_device().MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
        self.model, self.image = model, Image(model, shared_bytes)
        with defined_mode():
            self.host = network.make_net(model)
        self.n_threads = SIMULATED_THREADS if SIMULATED else self.image.n_threads
        self._cuda, self.kernel, self._ready = cuda, persistent.sample_block, SIMULATED
        image = self.image
        self.arrays = [cuda.to_device(a) for a in (image.words, image.start, image.scale, image.I)]

    def launch(self, n_streams: int, *streams: Any) -> None:
        """sample_block on n_streams blocks; `streams` are the arguments after the model's, on the device."""
        arguments = (self.image.net, *self.arrays, *streams)
        if not self._ready:
            compiled = self.kernel.compile(tuple(self.kernel.typeof_pyval(a) for a in arguments))
            if self.image.n_bytes > NO_OPT_IN:
                allow_shared(compiled, self._cuda.get_current_device().MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)
            self._ready = True
        self.kernel[n_streams, self.n_threads, 0, self.image.n_bytes](*arguments)

    def to_device(self, streams: Sequence[CudaStream], n: Sequence[int]) -> list[Any]:
        """The arguments of `launch` for the next n[i] samples of streams[i]."""
        states, sub_length = [s.state for s in streams], self.model.config.sub_length
        rows = [s.condition(m) for s, m in zip(streams, n)]
        counts = [len(g) for g, _, _ in rows]
        left = [sub_length - s.sample % sub_length for s in streams]
        arrays: list[NDArray[Any]] = [
            np.array([s.seed for s in streams], np.uint64),
            np.array([s.log2e_over_temperature for s in streams], np.float32),
            np.array(n, np.int32),
            *(np.concatenate(parts) for parts in zip(*rows)),
            np.stack([np.cumsum([0, *counts[:-1]]), left], axis=1).astype(np.int32),
            *(np.stack([getattr(state, name) for state in states]) for name in ("t", "y", "h", "past")),
            np.zeros((len(streams), max(n)), np.int16),
        ]
        return [self._cuda.to_device(np.ascontiguousarray(a) if a.size else np.zeros((1, 1), a.dtype)) for a in arrays]

    def draw(self, streams: Sequence[CudaStream], n: Sequence[int]) -> list[NDArray[np.int16]]:
        """The next n[i] samples of streams[i], before the post-filter, in one launch."""
        some = [i for i, m in enumerate(n) if m]
        pcm = [np.zeros(0, np.int16) for _ in n]
        if some:
            arguments = self.to_device([streams[i] for i in some], [n[i] for i in some])
            self.launch(len(some), *arguments)
            t, y, h, past, samples = (a.copy_to_host() for a in arguments[-5:])
            for j, i in enumerate(some):
                pcm[i] = samples[j, : n[i]]
                s = streams[i].state
                s.t[:], s.y[:], s.h[:] = t[j], y[j], h[j]
                s.past[:] = past[j] if len(s.past) else s.past
        return pcm


def allow_shared(compiled: Any, n_bytes: int) -> None:
    """Let a kernel take up to n_bytes of shared memory a block: CUDA wants to be asked for more than NO_OPT_IN."""
    from cuda.bindings import driver

    function = compiled._codelibrary.get_cufunc()
    attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    handle = function.handle
    if type(handle).__name__ == "CUkernel":
        (status,) = driver.cuKernelSetAttribute(attribute, n_bytes, handle, driver.CUdevice(function.device.id))
    else:
        (status,) = driver.cuFuncSetAttribute(handle, attribute, n_bytes)
    if int(status) != 0:
        raise NativeError(f"backend cuda: {n_bytes} bytes of shared memory a block: the driver says {status.name}")


class CudaEngine:
    """A model on the GPU."""

    def __init__(self, model: Model, isa: str | None, postfilter: bool):
        self._net, self._postfilter, self.isa = CudaNet(model), postfilter, device_name()

    def open(self, seed: int, temperature: float) -> CudaStream:
        return CudaStream(self._net, seed, temperature, self._postfilter)

    def batch(self, n_lanes: int, n_threads: int) -> CudaBatch:
        return CudaBatch(self._net)


class CudaStream(NumbaStream):
    """A Stream whose samples are drawn on the GPU. Arguments are checked by Voice."""

    def __init__(self, net: CudaNet, seed: int, temperature: float, postfilter: bool = False):
        super().__init__(net.model, net.host, seed, temperature, postfilter)
        self._gpu = net

    def condition(self, n: int) -> tuple[NDArray[np.int16], NDArray[np.int16], NDArray[np.int64]]:
        """The conditioning, and the linear prediction, of the sub-frames of the next n samples."""
        cfg = self._config
        first = self.sample // cfg.sub_length
        rows = -(-(self.sample + n) // cfg.sub_length) - first
        g, lpc = np.empty((rows, 3 * cfg.n_units), np.int16), np.empty((rows, cfg.lpc_order), np.int16)
        inverse = np.empty((rows, 2), np.int64)
        with defined_mode():
            self._kernels.condition(self.net, self.state, self.frames.reshape(-1), first, g, lpc, inverse)
        return g, lpc, inverse

    def pull(self, n: int) -> NDArray[np.int16]:
        return CudaBatch(self._gpu).pull([self], [n])[0]


class CudaBatch:
    """A Batch of the GPU: a launch draws as much of every stream as the memory for the conditioning allows."""

    n_open = N_OPEN

    def __init__(self, net: CudaNet):
        self._net = net

    def pull(self, streams: Sequence[CudaStream], n: Sequence[int]) -> list[NDArray[np.int16]]:
        cfg = self._net.model.config
        left = [max(0, min(m, s.available)) for s, m in zip(streams, n, strict=True)]
        parts: list[list[NDArray[np.int16]]] = [[np.zeros(0, np.int16)] for _ in streams]
        while n_pulling := sum(m > 0 for m in left):
            rows = CONDITIONING_BYTES // (6 * cfg.n_units * n_pulling)
            at_once = cfg.mel.hop_length * max(1, rows // cfg.n_sub)
            now = [min(m, at_once) for m in left]
            drawn = self._net.draw(streams, [len(s.begin(m)) for s, m in zip(streams, now)])
            for part, stream, m, pcm in zip(parts, streams, now, drawn):
                stream.drawn(len(pcm))
                part.append(stream.end(pcm, m))
            left = [a - b for a, b in zip(left, now)]
        return [np.concatenate(part) for part in parts]
