"""int8 models on an NVIDIA GPU, by numba-cuda: one launch draws the samples of many streams, a block each.

A launch before it makes the conditioning. The post-filter runs on the CPU, on the kernel of the Numba engine. Under the
CUDA simulator ($NUMBA_ENABLE_CUDASIM=1) the same code runs without a GPU, slowly. See docs/gpu.md.

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
from wv_runtime.errors import NativeError
from wv_runtime.model.weights import Matrix, Model

from .cuda_grid import Grid
from .numba_cpu import NumbaStream

SAMPLED = ("R", "O1", "O2", "O3", "O4")  # the matrices of the sample loop
CONDITION = ("C2", "C3")  # the int8 matrices of the conditioning
MIN_CAPABILITY = (6, 1)  # has dp4a
MAX_THREADS = 1024
NO_OPT_IN = 48 * 1024  # bytes of shared memory that a block may take without being asked for
SIMULATED_THREADS = 64  # each is a greenlet
CONDITIONING_BYTES = 2**29  # of one launch
N_OPEN = 1024  # streams that a list of mels keeps open


def check_package() -> None:
    """Raises NativeError if numba-cuda is missing, or if its compiler does not load."""
    wanted = "wanted pip install 'wavernn[cuda]'"
    if importlib.util.find_spec("numba_cuda") is None:
        raise NativeError(f"backend cuda: numba-cuda is not installed, {wanted}")
    from numba import config

    if config.ENABLE_CUDASIM and importlib.util.find_spec("greenlet") is None:  # type: ignore[attr-defined]
        raise NativeError("backend cuda: found NUMBA_ENABLE_CUDASIM without greenlet, wanted pip install greenlet")
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
    """A model's int8 matrices as the kernels read them, and which of them the shared memory of `sample_block` holds.

    words        : (2 n,) int32, of each matrix the arrays of `pairs`; those in shared memory come first
    start, scale : (rows,) int32, float32, of all of them
    net          : persistent.DeviceNet       condition : condition.ConditionNet
    n_bytes      : of shared memory that a block takes, and a block of `condition_block`

    Parameters
    ----------
    shared_bytes : what a block may take

    Raises
    ------
    ValueError
        If the model is not int8, or a subscale model.
    NativeError
        If not even the state fits.
    """

    def __init__(self, model: Model, shared_bytes: int):
        from wv_runtime.engine.kernels import condition, persistent

        cfg, names = model.config, SAMPLED + CONDITION
        matrices = [model.matrices[name] for name in names]
        if cfg.subscale > 1:
            raise ValueError(f"backend cuda: found a model of {cfg.subscale} subscale lanes, wanted one without")
        for m in matrices:
            if m.dtype != "int8":
                raise ValueError(f"backend cuda: found {m.name} of {m.dtype}, wanted a model of wv-export --dtype int8")
        first = persistent.state_words(cfg.n_units, cfg.n_out)
        self.condition_bytes = condition.n_bytes(cfg.n_cond, cfg.mel.n_mels, cfg.cond_width, cfg.lpc_order)
        for wanted, found in ((4 * first, shared_bytes), (self.condition_bytes, NO_OPT_IN)):
            if wanted > found:
                raise NativeError(f"backend cuda: found {found} bytes of shared memory a block, wanted {wanted}")
        # 1) the largest that fit are shared
        parts = {m.name: pairs(m) for m in matrices}
        sizes = {name: sum(map(len, part)) for name, part in parts.items()}
        shared: list[str] = []
        for name in sorted(SAMPLED, key=lambda name: -sizes[name]):
            if 4 * (first + sum(sizes[s] for s in shared) + sizes[name]) <= shared_bytes:
                shared.append(name)
        order = shared + [name for name in names if name not in shared]
        self.words = np.concatenate([a for name in order for a in parts[name]])
        # 2) where everything is
        blocks: dict[str, Any] = {}
        rows = dict(zip(names, np.cumsum([0] + [m.rows for m in matrices])))
        for name in order:
            n_values, n_rows, _ = map(len, parts[name])
            at = sum(sizes[o] for o in order[: order.index(name)]) + (first if name in shared else 0)
            blocks[name] = persistent.Block(*map(np.int32, (
                at + n_values, at + n_values + n_rows, at // 2, rows[name],
                model.matrices[name].block_h.bit_length() - 1, name in shared,
            )))  # fmt: skip
        n_shared = sum(sizes[name] for name in shared)
        self.start = np.concatenate([derive.start(m, 0) for m in matrices])
        self.scale = np.concatenate([m.scale for m in matrices if m.scale is not None])
        I, I_shift = derive.quantize_I(model.I, cfg.lpc_order)  # noqa: E741, N806
        fours = np.zeros((-(-len(model.I) // 4), 4, 3 * cfg.n_units), np.int16)
        fours.reshape(-1)[: len(I)] = I
        self.I_c = I[-3 * cfg.n_units :]
        self.I = np.ascontiguousarray(fours.transpose(0, 2, 1)).view(np.int64).reshape(-1)
        self.n_bytes, self.n_threads = 4 * (first + n_shared), n_threads(cfg.n_units)
        # 3) the numbers

        def numbers(integers: Sequence[int], floats: Sequence[float]) -> Any:
            return (*map(np.int32, integers), *map(np.float32, floats))

        def quantizers(*names: str) -> list[float]:
            return [f for m in map(model.matrices.get, names) if m for f in (m.x_scale, m.x_zero + 128.5)]

        sampled = (cfg.n_units, cfg.n_out, cfg.lpc_order, cfg.sub_length, I_shift, n_shared // 2, 0, 0, 0)
        self.net: Any = persistent.DeviceNet(
            *numbers(sampled, (cfg.preemphasis, *quantizers("O2", "O4"))), *(blocks[name] for name in SAMPLED)
        )
        c1 = model.matrices["C1"]
        once = (cfg.n_units, cfg.mel.n_mels, cfg.cond_width, cfg.n_cond, cfg.lpc_order, c1.block_h.bit_length() - 1)
        self.condition: Any = condition.ConditionNet(
            *numbers((*once, c1.block_w), quantizers("C2", "C3")), *(blocks[name] for name in CONDITION)
        )


def pairs(m: Matrix) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """An int8 matrix as the kernel reads it, in words: values, row_ptr and col_idx of pairs of blocks.

    A block row with an odd number of blocks gets one of zeros. The three together are an even number of words.
    """
    n, h = np.diff(m.row_ptr), m.block_h
    row_ptr = np.concatenate([[0], np.cumsum(-(-n // 2))]).astype(np.int32)
    # block k of the file is the i-th of its row
    i = np.arange(len(m.col_idx)) - np.repeat(m.row_ptr[:-1], n)
    to = 2 * np.repeat(row_ptr[:-1], n) + i
    col_idx, values = np.zeros(2 * row_ptr[-1], np.uint16), np.zeros((2 * row_ptr[-1], h), np.int32)
    col_idx[to], values[to] = m.col_idx, m.values.view(np.int32).reshape(-1, h)
    values = values.reshape(-1, 2, h).transpose(0, 2, 1).reshape(-1)
    return values, row_ptr, np.append(col_idx.view(np.int32), np.zeros((len(row_ptr) + row_ptr[-1]) % 2, np.int32))


def n_threads(n_units: int) -> int:
    """Of a block: as many lanes a unit as MAX_THREADS has room for, or as few turns. A multiple of 32, at least 256"""
    turns, lanes = -(-n_units // MAX_THREADS), 1
    while 2 * lanes * n_units <= MAX_THREADS:
        lanes *= 2
    return max(256, 32 * -(-n_units * lanes // (32 * turns)))


class CudaNet:
    """A model in a GPU's memory.

    Parameters
    ----------
    shared_bytes : of shared memory that a block may take; None: as much as the GPU has
    grid         : whether one stream by itself takes the whole GPU, for dense models; it has not run on a GPU yet

    Raises
    ------
    NativeError
        If numba-cuda or the GPU is missing.
    ValueError
        If the model is not int8.
    """

    def __init__(self, model: Model, shared_bytes: int | None = None, grid: bool = False):
        cuda = check_gpu()
        from wv_runtime.engine.kernels import condition, persistent
        from wv_runtime.engine.kernels.device import SIMULATED

        if shared_bytes is None:
            shared_bytes = NO_OPT_IN if SIMULATED else cuda.get_current_device().MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
        self.model, self.image = model, Image(model, shared_bytes)
        self.n_threads = SIMULATED_THREADS if SIMULATED else self.image.n_threads
        self._cuda, self.kernel, self._ready = cuda, persistent.sample_block, SIMULATED
        self._condition_block = condition.condition_block
        self._n_condition = SIMULATED_THREADS if SIMULATED else condition.THREADS
        image, c1 = self.image, model.matrices["C1"]
        words = cuda.to_device(image.words)
        matrices = (words, words.view(np.int64), *(cuda.to_device(a) for a in (image.start, image.scale)))
        self.arrays = [*matrices, cuda.to_device(image.I), self.array_of(image.I_c)]
        once: list[NDArray[Any]] = [
            c1.values.astype(np.float32),
            c1.row_ptr,
            c1.col_idx.astype(np.int32),
            c1.bias,
            model.M,
        ]
        self._condition_arrays = [*matrices, *map(self.array_of, once)]

        self._grid = Grid(model, image, cuda) if grid else None

    def array_of(self, a: NDArray[Any]) -> Any:
        """An array on the device; an empty one, which is not read, gets a number."""
        return self._cuda.to_device(np.ascontiguousarray(a) if a.size else np.zeros((1,) * a.ndim, a.dtype))

    def launch(self, n_streams: int, *streams: Any) -> None:
        """sample_block on n_streams blocks; `streams` are the arguments after the model's, on the device."""
        from wv_runtime.engine.kernels.persistent import log2_lanes

        if self._grid and n_streams == 1:
            self._grid.launch(*streams)
            return
        cfg = self.model.config
        k = (np.int32(log2_lanes(self.n_threads, rows)) for rows in (cfg.n_units, cfg.n_out, 256))
        arguments = (self.image.net._replace(**dict(zip(("k_units", "k_in", "k_out"), k))), *self.arrays, *streams)
        if not self._ready:
            compiled = self.kernel.compile(tuple(self.kernel.typeof_pyval(a) for a in arguments))
            if self.image.n_bytes > NO_OPT_IN:
                allow_shared(compiled, self._cuda.get_current_device().MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)
            self._ready = True
        self.kernel[n_streams, self.n_threads, 0, self.image.n_bytes](*arguments)

    def to_device(self, streams: Sequence[CudaStream], n: Sequence[int]) -> list[Any]:
        """The arguments of `launch` for the next n[i] samples of streams[i]."""
        cfg, states = self.model.config, [s.state for s in streams]
        first = [s.sample // cfg.sub_length for s in streams]
        counts = [-(-(s.sample + m) // cfg.sub_length) - f for s, m, f in zip(streams, n, first)]
        left = [cfg.sub_length - s.sample % cfg.sub_length for s in streams]
        arrays: list[NDArray[Any]] = [
            np.stack([np.cumsum([0, *counts[:-1]]), left], axis=1).astype(np.int32),
            *(np.stack([getattr(state, name) for state in states]) for name in ("t", "y", "h", "past")),
            np.zeros((len(streams), max(n)), np.int16),
        ]
        numbers: list[NDArray[Any]] = [
            np.array([s.seed for s in streams], np.uint64),
            np.array([s.log2e_over_temperature for s in streams], np.float32),
            np.array(n, np.int32),
        ]
        conditioning = self.condition([s.frames for s in streams], first, counts)
        return [*map(self.array_of, numbers), *conditioning, *map(self.array_of, arrays)]

    def condition(
        self, frames: Sequence[NDArray[np.float32]], first: Sequence[int], counts: Sequence[int]
    ) -> list[Any]:
        """g, lpc and inverse of `sample_block`: of each stream counts[i] sub-frames from first[i] on.

        frames : (n_frames, n_mels) each, the window of sub-frame 0 first
        """
        cfg, where, start = self.model.config, [], 0
        used = [-(-(f + m) // cfg.n_sub) + cfg.cond_width - 1 for f, m in zip(first, counts)]
        for f, m, n_frames in zip(first, counts, used):
            number = np.arange(f, f + m)
            where.append(np.stack([start + number // cfg.n_sub, number % cfg.n_sub], axis=1))
            start += n_frames
        mels = np.concatenate([a[:n_frames] for a, n_frames in zip(frames, used)])
        rows, new = sum(counts), self._cuda.device_array
        out = [
            new((rows, 3 * cfg.n_units), np.int16),
            new((rows, max(1, cfg.lpc_order)), np.int16),
            new((rows, 2), np.int64),
        ]
        arguments = (
            *self._condition_arrays,
            self.array_of(mels),
            self.array_of(np.concatenate(where).astype(np.int32)),
            *out,
        )
        shape = (rows, self._n_condition, 0, self.image.condition_bytes)
        self._condition_block[shape](self.image.condition, *arguments)
        return out

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

    def open(self, seed: int, temperature: float, n_threads: int) -> CudaStream:
        return CudaStream(self._net, seed, temperature, self._postfilter)

    def batch(self, n_lanes: int, n_threads: int) -> CudaBatch:
        return CudaBatch(self._net)


class CudaStream(NumbaStream):
    """A Stream whose samples are drawn on the GPU. Arguments are checked by Voice."""

    def __init__(self, net: CudaNet, seed: int, temperature: float, postfilter: bool = False):
        super().__init__(net.model, None, seed, temperature, postfilter)
        self._gpu = net

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
