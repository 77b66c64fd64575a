"""Models of any shape, sparsity and dtype with random weights, for benchmarks and predictions. No torch.

They run as trained models do and cost the same; what they say is noise.

Usage: ``model = synthetic_model(synthetic_config(1024), sparsity=0.95, block=(16, 4), dtype="int8")``
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from wv_runtime.model.blocks import check_block, default_block
from wv_runtime.model.config import PRESETS, WaveRNNConfig
from wv_runtime.model.layout import DTYPES, X_SCALE
from wv_runtime.model.neighbours import n_lags
from wv_runtime.model.weights import Matrix, Model

PRUNED = ("R", "O1", "O2", "O3", "O4")
RELU_MAX = 4.0  # input range of O2 and O4


def synthetic_config(
    n_units: int, n_out: int | None = None, preset: str = "24k", subscale: int = 1, **changes: Any
) -> WaveRNNConfig:
    """A config for benchmarks; n_out is half the units unless given, as in the paper.

    With subscale above 1 it has the linear prediction, horizon and lookback of docs/training.md.
    """
    if subscale > 1:
        changes = {"subscale": subscale, "lpc_order": 32, "horizon": 4, "lookback": 16, **changes}
    return WaveRNNConfig(n_units=n_units, n_out=n_out or n_units // 2, mel=PRESETS[preset], **changes)


def synthetic_model(
    cfg: WaveRNNConfig, sparsity: float = 0.95, block: tuple[int, int] = (16, 4), dtype: str = "int8", seed: int = 0
) -> Model:
    """R and O1..O4 with that fraction of their blocks zero, chosen at random in each; C1..C3 dense.

    In an int8 model C1 is f16, as wv-export makes it.

    Raises
    ------
    ValueError
        If the block does not divide a matrix or does not go with the dtype, or the sparsity is not in [0, 1).
    """
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity: found {sparsity:g}, wanted 0 up to, not including, 1")
    if dtype not in DTYPES:
        raise ValueError(f"dtype: found {dtype!r}, wanted one of {', '.join(DTYPES)}")
    rng, matrices = np.random.default_rng(seed), {}
    for name, (rows, cols) in cfg.matrix_shapes().items():
        d = "f16" if (dtype, name) == ("int8", "C1") else dtype
        shape = block if name in PRUNED else default_block(d)
        matrices[name] = _random_matrix(rng, name, rows, cols, d, shape, sparsity if name in PRUNED else 0.0)
    columns = rng.normal(size=(cfg.n_x, 3, 2, cfg.n_units // 2)) / 2  # (column, gate, half, unit)
    columns[-1, :, 0] = 0  # the coarse half never sees c_t
    metadata = {"data": "none: random weights", "seed": seed, "sparsity": sparsity}
    I = columns.reshape(cfg.n_x, -1).astype(np.float32)  # noqa: E741, N806
    lane = rng.normal(size=(cfg.subscale, 3 * cfg.n_units) if cfg.subscale > 1 else (0, 0)) / 10
    return Model(cfg, matrices, I, metadata, autocorrelations(cfg), lane=lane.astype(np.float32))


def autocorrelations(cfg: WaveRNNConfig) -> NDArray[np.float32]:
    """M of the linear prediction: each band is a power between two lines of the spectrum. (n_lags + 1, n_mels)"""
    if not cfg.lpc_order:
        return np.zeros((0, 0), np.float32)
    w = np.pi * (np.arange(cfg.mel.n_mels) + 0.5) / cfg.mel.n_mels
    return (1e6 * np.cos(np.outer(np.arange(n_lags(cfg) + 1), w))).astype(np.float32)


def _random_matrix(
    rng: np.random.Generator, name: str, rows: int, cols: int, dtype: str, block: tuple[int, int], sparsity: float
) -> Matrix:
    """Exactly the asked share of its blocks, anywhere; rows of norm about 1."""
    block_h, block_w = block
    check_block(name, (rows, cols), block, dtype)
    n_block_rows, n_block_cols = rows // block_h, cols // block_w
    n_blocks = n_block_rows * n_block_cols
    nnz_blocks = max(1, round(n_blocks * (1 - sparsity)))
    row, col = np.divmod(np.sort(rng.permutation(n_blocks)[:nnz_blocks]), n_block_cols)
    row_ptr = np.searchsorted(row, np.arange(n_block_rows + 1)).astype(np.int32)
    norm = max(1.0, nnz_blocks * block_h * block_w / rows) ** 0.5  # of a row of standard normals
    values = rng.normal(size=nnz_blocks * block_h * block_w)
    scale: NDArray[np.float32] | None = None
    x_scale, x_zero = 0.0, 0
    if dtype == "int8":
        values = np.clip(np.rint(20 * values), -64, 64)  # so that |w0| + |w1| <= 128
        x_scale, x_zero = (X_SCALE[name], 0) if name in X_SCALE else (254 / RELU_MAX, -127)
        scale = np.full(rows, 1 / (20 * norm * x_scale), np.float32)
    else:
        values = values / norm
    bias: NDArray[np.float32] = (rng.normal(size=rows) / 10).astype(np.float32)
    arrays = (values.astype(DTYPES[dtype]), row_ptr, col.astype(np.uint16), bias, scale)
    return Matrix(name, rows, cols, block_h, block_w, *arrays, x_scale, x_zero)
