"""A dense int8 model in the registers of a whole GPU: one utterance, drawn by all multiprocessors (kernels/grid.py).

Usage: ``Grid(model, image, cuda).launch(*streams)``, with the arguments of `CudaNet.launch` for one stream
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wv_runtime.errors import NativeError
from wv_runtime.model.weights import Matrix, Model


def dense_quads(m: Matrix) -> NDArray[np.int32]:
    """(rows, cols / 4) An int8 matrix, four weights a word; blocks that it lacks are zeros."""
    quads = np.zeros((m.n_block_rows, m.cols // 4, m.block_h), np.int32)
    rows = np.repeat(np.arange(m.n_block_rows), np.diff(m.row_ptr))
    quads[rows, m.col_idx] = m.values.view(np.int32).reshape(-1, m.block_h)
    return quads.transpose(0, 2, 1).reshape(m.rows, -1)


def of_lanes(quads: NDArray[np.int32], n_units: int, n_rows: int) -> NDArray[np.int32]:
    """(n_rows * quads of a lane, n_units, 32): warp w has rows w, w + n_units, ..; lane l quads l, l + 32, .."""
    n = -(-quads.shape[1] // 32)
    padded = np.zeros((n_rows * n_units, 32 * n), np.int32)
    padded[: len(quads), : quads.shape[1]] = quads
    return np.ascontiguousarray(padded.reshape(n_rows, n_units, n, 32).transpose(0, 2, 1, 3).reshape(-1, n_units, 32))


class Grid:
    """A model in the form that `grid_block` reads.

    Parameters
    ----------
    image : cuda_net.Image of the model
    cuda  : numba.cuda

    Raises
    ------
    ValueError
        If the model is a subscale model.
    NativeError
        If the GPU has too few multiprocessors for all blocks to run at once.
    """

    def __init__(self, model: Model, image: Any, cuda: Any):
        from wv_runtime.engine.kernels import grid
        from wv_runtime.engine.kernels.device import SIMULATED

        cfg, m = model.config, model.matrices
        if cfg.subscale > 1:
            raise ValueError(f"backend cuda: found {cfg.subscale} subscale lanes, wanted a model without for the grid")
        n = cfg.n_units
        if not SIMULATED:
            room = grid.BLOCKS * cuda.get_current_device().MULTIPROCESSOR_COUNT
            if n // grid.WARPS > room:
                raise NativeError(f"backend cuda: found room for {room} blocks, wanted {n // grid.WARPS} at once")
        shape = grid.grid_shape(n, cfg.n_out)
        self._kernel, self._launched = grid.grid_kernel(n, cfg.n_out), (n // grid.WARPS, 32 * grid.WARPS, 0)
        self._bytes, self._cuda = grid.SHARED_BYTES, cuda
        quads = {name: dense_quads(m[name]) for name in ("R", "O1", "O2", "O3", "O4")}
        hidden, logits = np.concatenate([quads["O1"], quads["O3"]]), np.concatenate([quads["O2"], quads["O4"]])
        weights = (
            of_lanes(quads["R"], n, 3), of_lanes(hidden, n, shape.n_hidden), of_lanes(logits, n, shape.n_logits)
        )  # fmt: skip

        # of the rows of `weights`, from those of R, O1, O2, O3, O4 one after the other
        def of_rows(a: NDArray[Any]) -> NDArray[Any]:
            r, o1, o2, o3, o4 = np.split(a, np.cumsum([len(quads[name]) for name in ("R", "O1", "O2", "O3")]))
            parts = ((3, r), (shape.n_hidden, np.concatenate([o1, o3])), (shape.n_logits, np.concatenate([o2, o4])))
            return np.concatenate([np.append(p, np.zeros(k * n - len(p), a.dtype)).reshape(k, n) for k, p in parts])

        sampled = sum(len(q) for q in quads.values())
        start, scale = of_rows(image.start[:sampled]), of_rows(image.scale[:sampled])
        self._arrays = [cuda.to_device(np.ascontiguousarray(a)) for a in (*weights, start, scale, image.I, image.I_c)]
        self._exchanged = (32 * shape.R, 32 * shape.hidden + n // 8, 32 * shape.logits)
        net = image.net
        self._net = grid.GridNet(
            net.lpc_order, net.sub_steps, net.n_kept, net.I_shift, net.scale_2, net.zero_2, net.scale_4, net.zero_4
        )  # fmt: skip

    def launch(self, *streams: Any) -> None:
        """The samples of one stream; `streams` are those of `CudaNet.launch`."""
        n_h, n_fine, n_q = self._exchanged
        h, q = (self._cuda.to_device(np.zeros(size, np.int32)) for size in (max(n_h, n_fine), n_q))
        z, bar = self._cuda.to_device(np.zeros(256, np.float32)), self._cuda.to_device(np.zeros(1, np.int32))
        exchanged = (h, h.view(np.uint8), q, q.view(np.uint8), z, bar)
        self._kernel[(*self._launched, self._bytes)](self._net, *self._arrays, *exchanged, *streams)
