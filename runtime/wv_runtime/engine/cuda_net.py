"""A model in a GPU's memory, as the CUDA kernels read it, and their launches.

Usage: ``net = CudaNet(model)``; ``net.launch(1, *net.to_device([stream], [100]))``
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wv_runtime.engine.kernels import derive
from wv_runtime.errors import NativeError
from wv_runtime.model.config import WaveRNNConfig
from wv_runtime.model.weights import Matrix, Model

from .cuda_device import allow_shared, check_gpu
from .cuda_grid import Grid

if TYPE_CHECKING:
    from .cuda import CudaStream

SAMPLED = ("R", "O1", "O2", "O3", "O4")  # the matrices of the sample loop
CONDITION = ("C2", "C3")  # the int8 matrices of the conditioning
NO_OPT_IN = 48 * 1024  # bytes of shared memory that a block may take without being asked for
SIMULATED_THREADS = 64  # of a block, at least; each is a greenlet


def n_kept(cfg: WaveRNNConfig) -> int:
    """Samples that lanes may see, or have still to draw, before the next of lane 0."""
    return cfg.n_past + cfg.delay


class Image:
    """A model's int8 matrices as the kernels read them, and which of them the shared memory of `sample_block` holds.

    words        : (2 n,) int32, of each matrix the arrays of `pairs`; those in shared memory come first
    start, scale : (rows,) int32, float32, of all of them
    net          : persistent.DeviceNet       condition : condition.ConditionNet
    n_bytes      : of shared memory that a block takes    condition_bytes : that one of condition_block takes

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
        from wv_runtime.engine.kernels import condition, persistent
        from wv_runtime.engine.kernels.device import on_host

        cfg, names = model.config, SAMPLED + CONDITION
        matrices = [model.matrices[name] for name in names]
        for m in matrices:
            if m.dtype != "int8":
                raise ValueError(f"backend cuda: found {m.name} of {m.dtype}, wanted a model of wv-export --dtype int8")
        ring, state_words = 1 << (n_kept(cfg) + cfg.subscale).bit_length(), on_host(persistent.state_words)
        first = ring // 2 + cfg.subscale * int(state_words(cfg.n_units, cfg.n_out))
        self.condition_bytes = condition.n_bytes(
            cfg.n_cond, cfg.mel.n_mels, cfg.cond_width, cfg.lpc_order, len(model.M)
        )
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
        self.n_bytes, self.n_threads = 4 * (first + n_shared), n_threads(cfg.n_units, cfg.subscale)
        # 3) the numbers

        def numbers(integers: Sequence[int], floats: Sequence[float]) -> Any:
            return (*map(np.int32, integers), *map(np.float32, floats))

        def quantizers(*names: str) -> list[float]:
            return [f for m in map(model.matrices.get, names) if m for f in (m.x_scale, m.x_zero + 128.5)]

        sampled = (
            cfg.n_units, cfg.n_out, cfg.lpc_order, cfg.n_x, cfg.context, cfg.subscale, cfg.horizon + 1,
            cfg.sub_length // cfg.subscale, n_kept(cfg), ring - 1, I_shift, n_shared // 2, 0, 0, 0, 0,
        )  # fmt: skip
        self.net: Any = persistent.DeviceNet(
            *numbers(sampled, quantizers("O2", "O4")), *(blocks[name] for name in SAMPLED)
        )
        c1 = model.matrices["C1"]
        once = (
            cfg.n_units, cfg.mel.n_mels, cfg.cond_width, cfg.n_cond, cfg.lpc_order, len(model.M), cfg.subscale,
            c1.block_h.bit_length() - 1, c1.block_w,
        )  # fmt: skip
        self.condition: Any = condition.ConditionNet(
            *numbers(once, quantizers("C2", "C3")), *(blocks[name] for name in CONDITION)
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


def n_threads(n_units: int, subscale: int) -> int:
    """Of a block: of each lane as many threads a unit as MAX_THREADS has room for, or as few turns; whole warps, and
    at least 256 together."""
    from wv_runtime.engine.kernels.device import MAX_THREADS, WARP

    most = WARP * (MAX_THREADS // (WARP * subscale))
    turns, lanes = -(-n_units // most), 1
    while 2 * lanes * n_units <= most:
        lanes *= 2
    return subscale * max(WARP * -(-256 // (WARP * subscale)), WARP * -(-n_units * lanes // (WARP * turns)))


def seen_of(model: Model) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """(subscale, 64) Offsets of the samples that the coefficients of a lane are for, else 0; and how many it has."""
    from wv_runtime.engine.kernels.steps import MAX_SEEN

    order = model.config.lpc_order
    offsets = model.seen if model.config.subscale > 1 else (np.arange(-order, 0),)  # as predictor has them
    seen = np.zeros((len(offsets), MAX_SEEN), np.int32)
    for row, of_lane in zip(seen, offsets):
        row[: len(of_lane)] = of_lane
    return seen, np.array([len(of_lane) for of_lane in offsets], np.int32)


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
        If the model is not int8, or a subscale model is to take the whole GPU.
    """

    def __init__(self, model: Model, shared_bytes: int | None = None, grid: bool = False):
        cuda = check_gpu()
        from wv_runtime.engine.kernels import condition, persistent
        from wv_runtime.engine.kernels.device import SIMULATED, WARP

        if shared_bytes is None:
            shared_bytes = NO_OPT_IN if SIMULATED else cuda.get_current_device().MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
        self.model, self.image = model, Image(model, shared_bytes)
        simulated = max(SIMULATED_THREADS, WARP * model.config.subscale)
        self.n_threads = simulated if SIMULATED else self.image.n_threads
        self._cuda, self.kernel, self._ready = cuda, persistent.sample_block, SIMULATED
        self._kernels, self._n_condition = condition, SIMULATED_THREADS if SIMULATED else condition.THREADS
        image, c1, of_lane = self.image, model.matrices["C1"], derive.lane_q10(model.lane)
        if model.config.subscale == 1:
            of_lane = np.zeros((1, 3 * model.config.n_units), np.int16)
        words = cuda.to_device(image.words)
        matrices = (words, words.view(np.int64), *(cuda.to_device(a) for a in (image.start, image.scale)))
        self._seen = [cuda.to_device(a) for a in seen_of(model)]
        self.arrays = [*matrices, cuda.to_device(image.I), self.array_of(image.I_c), self._seen[0]]
        once: list[NDArray[Any]] = [
            c1.values.astype(np.float32), c1.row_ptr, c1.col_idx.astype(np.int32), c1.bias, model.M, of_lane,
        ]  # fmt: skip
        self._condition_arrays = [*matrices, *map(self.array_of, once)]

        self._grid = Grid(model, image, cuda) if grid else None

    def array_of(self, a: NDArray[Any]) -> Any:
        """An array on the device; an empty one, which is not read, gets a number."""
        return self._cuda.to_device(np.ascontiguousarray(a) if a.size else np.zeros((1,) * a.ndim, a.dtype))

    def launch(self, n_streams: int, *streams: Any) -> None:
        """sample_block on n_streams blocks; `streams` are the arguments after the model's, on the device."""
        from wv_runtime.engine.kernels.persistent import log2_lanes

        if self._grid and n_streams == 1:
            self._grid.launch(self._seen[0], *streams)
            return
        cfg = self.model.config
        n_group = self.n_threads // cfg.subscale
        k = (log2_lanes(n_group, rows) for rows in (cfg.n_units, cfg.n_out, 256))
        net = self.image.net._replace(
            **dict(zip(("n_group", "k_units", "k_in", "k_out"), map(np.int32, (n_group, *k))))
        )
        arguments = (net, *self.arrays, *streams)
        if not self._ready:
            compiled = self.kernel.compile(tuple(self.kernel.typeof_pyval(a) for a in arguments))
            if self.image.n_bytes > NO_OPT_IN:
                allow_shared(compiled, self._cuda.get_current_device().MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)
            self._ready = True
        self.kernel[n_streams, self.n_threads, 0, self.image.n_bytes](*arguments)

    def to_device(self, streams: Sequence[CudaStream], n: Sequence[int]) -> list[Any]:
        """The arguments of `launch` for the next n[i] steps of streams[i]."""
        cfg = self.model.config
        B, lag, sub_steps = cfg.subscale, cfg.horizon + 1, cfg.sub_length // cfg.subscale  # noqa: N806
        lanes, at = np.arange(B), []
        first_sub: list[int] = []
        counts: list[int] = []
        for s, m in zip(streams, n):
            # 1) the step that each lane would have now, from the first frame of the stream on, and the one that it has
            now = s.step - s.first_step - lanes * lag
            step = np.maximum(now, -s.first_step)
            # 2) its sub-frame: the last lane has the first of them, lane 0 the last
            sub = np.minimum(step, s.n_steps - 1) // sub_steps
            last = (min(int(now[0]) + m, s.n_steps) - 1) // sub_steps
            rows = (sum(counts) + sub - sub[-1]) * B + lanes
            at.append([rows, sub_steps - step % sub_steps, step - now, np.maximum(s.n_steps - now, 0)])
            first_sub.append(int(sub[-1]))
            counts.append(last + 1 - first_sub[-1])
        arrays: list[NDArray[Any]] = [
            np.concatenate(at, axis=1).T.astype(np.int32),
            np.concatenate([s.last for s in streams]),
            np.concatenate([s.h for s in streams]),
            np.stack([np.append(s.past, np.zeros(B * max(n), np.int16)) for s in streams]),
        ]
        numbers: list[NDArray[Any]] = [
            np.array([s.seed for s in streams], np.uint64),
            np.array([s.log2e_over_temperature for s in streams], np.float32),
            np.array(n, np.int32),
            np.array([B * s.step for s in streams], np.int64),
        ]
        conditioning = self.condition([s.frames for s in streams], first_sub, counts)
        return [*map(self.array_of, numbers), *conditioning, *map(self.array_of, arrays)]

    def condition(
        self, frames: Sequence[NDArray[np.float32]], first_sub: Sequence[int], counts: Sequence[int]
    ) -> list[Any]:
        """g, lpc and inverse of `sample_block`: of each stream counts[i] sub-frames from first_sub[i] on.

        frames : (n_frames, n_mels) each, the window of sub-frame 0 first
        """
        cfg, where, start = self.model.config, [], 0
        used = [-(-(f + m) // cfg.n_sub) + cfg.cond_width - 1 for f, m in zip(first_sub, counts)]
        for f, m, n_frames in zip(first_sub, counts, used):
            number = np.arange(f, f + m)
            where.append(np.stack([start + number // cfg.n_sub, number % cfg.n_sub], axis=1))
            start += n_frames
        mels = np.concatenate([a[:n_frames] for a, n_frames in zip(frames, used)])
        rows, new = sum(counts), self._cuda.device_array
        n_rows, subscale = rows * cfg.subscale, cfg.subscale > 1
        g, lpc = new((n_rows, 3 * cfg.n_units), np.int16), new((n_rows, max(1, cfg.lpc_order)), np.int16)
        inverse, r = new((n_rows, 2), np.int64), new((rows, len(self.model.M)) if subscale else (1, 1), np.float64)
        arguments = (
            *self._condition_arrays,
            self.array_of(mels),
            self.array_of(np.concatenate(where).astype(np.int32)),
        )
        shape = (rows, self._n_condition, 0, self.image.condition_bytes)
        self._kernels.condition_block[shape](self.image.condition, *arguments, g, lpc, inverse, r)
        if subscale:
            solved = (n_rows, self._kernels.WARP, 0, self._kernels.n_interpolate_bytes(cfg.lpc_order))
            self._kernels.interpolate_block[solved](self.image.condition, r, *self._seen, lpc, inverse)
        return [g, lpc, inverse]

    def draw(self, streams: Sequence[CudaStream], n: Sequence[int]) -> None:
        """The next n[i] steps of streams[i], in one launch; their samples go to s.past, behind what was there."""
        arguments = self.to_device(streams, n)
        self.launch(len(streams), *arguments)
        last, h, signal = (a.copy_to_host() for a in arguments[-3:])
        B = self.model.config.subscale  # noqa: N806
        for i, (s, m) in enumerate(zip(streams, n)):
            s.last, s.h = last[B * i : B * (i + 1)].copy(), h[B * i : B * (i + 1)].copy()
            s.past = signal[i, : len(s.past) + B * m]
            s.step += m
