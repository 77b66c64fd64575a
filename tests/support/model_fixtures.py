"""Tiny seeded models of every dtype, built without torch.

Usage: ``model = tiny_model("int8")``; ``mel = tiny_mel(model.config, n_frames=7)``
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from wv_bench.synthetic import autocorrelations
from wv_runtime.model.binary import with_checksum
from wv_runtime.model.blocks import block_matrix
from wv_runtime.model.config import MelConfig, WaveRNNConfig
from wv_runtime.model.layout import HEADER, X_SCALE
from wv_runtime.model.weights import Matrix, Model

RELU_MAX = 4.0  # input range of O2 and O4 in the tiny int8 models
DENSE = ("C1", "C2", "C3")
N_FRAMES = 17  # of golden_mel


def tiny_config(**changes: Any) -> WaveRNNConfig:
    """64 units at 16 kHz with 8 mel bands and 20 samples a frame; changes go to WaveRNNConfig."""
    mel = MelConfig("tiny", 16000, 64, 20, 40, 8, 0.0, 8000.0)
    return WaveRNNConfig(
        **{"n_units": 64, "n_out": 32, "n_cond": 16, "cond_width": 3, "n_sub": 2, "mel": mel, **changes}
    )


def with_header(data: bytes, **fields: Any) -> bytes:
    """A .bin with other fields in its header, and the checksum that goes with them."""
    raw = bytearray(data)
    header = np.frombuffer(raw, HEADER, 1)[0]
    for name, value in fields.items():
        header[name] = value
    return with_checksum(bytes(raw))


def int8_input(name: str) -> dict[str, Any]:
    """x_scale and x_zero by what feeds the matrix: O2 and O4 a relu, the others values in [-1, 1]."""
    relu = name in ("O2", "O4")
    return {"x_scale": 254 / RELU_MAX if relu else X_SCALE.get(name, 127.0), "x_zero": -127 if relu else 0}


def random_matrix(
    rng: np.random.Generator,
    name: str,
    rows: int,
    cols: int,
    dtype: str,
    block: tuple[int, int],
    max_blocks: int | None = None,
    gain: float = 2.0,
) -> Matrix:
    """A matrix with 0..max_blocks random blocks in each block row (None: every block), rows of norm about `gain`.

    With max_blocks = 9 every unrolled tail of a kernel runs, empty rows included.
    """
    (block_h, block_w), n_block_cols = block, cols // block[1]
    keep = np.ones((rows // block_h, n_block_cols), bool)
    if max_blocks is not None:
        for row in keep:
            row[rng.permutation(n_block_cols)[rng.integers(0, min(max_blocks, n_block_cols) + 1) :]] = False
    mask = np.repeat(np.repeat(keep, block_h, axis=0), block_w, axis=1)
    per_row = max(1.0, mask.sum() / rows)
    dense = rng.normal(size=(rows, cols)) * mask * (gain / per_row**0.5)
    bias = rng.normal(size=rows) * 0.1
    return block_matrix(name, dense, mask, bias, dtype, block, **(int8_input(name) if dtype == "int8" else {}))


def tiny_model(
    dtype: str = "f32",
    seed: int = 0,
    block: tuple[int, int] | None = None,
    cfg: WaveRNNConfig | None = None,
    max_blocks: int | None = None,
) -> Model:
    """R and O1..O4 pruned to 0..9 blocks a block row of shape `block` (default 8x1, int8 8x4), C1..C3 dense.

    With `max_blocks` every matrix is pruned to 0..max_blocks. In an int8 model C1 is f16, as wv-export makes it.
    """
    rng, cfg = np.random.default_rng(seed), cfg or tiny_config()
    matrices = {}
    for name, (rows, cols) in cfg.matrix_shapes().items():
        d = "f16" if (dtype, name) == ("int8", "C1") else dtype
        default = (16, 4 if d == "int8" else 1) if name in DENSE else (8, 4 if d == "int8" else 1)
        shape = default if name in DENSE or block is None else block
        most = max_blocks or (None if name in DENSE else 9)
        matrices[name] = random_matrix(rng, name, rows, cols, d, shape, most)
    columns = rng.normal(size=(cfg.n_x, 3, 2, cfg.n_units // 2))  # (column, gate, half, unit)
    columns[-1, :, 0] = 0  # the coarse half never sees c_t
    columns = columns.reshape(cfg.n_x, -1).astype(np.float32)
    metadata = {"step": seed, "data": "none: random weights", "licence": "Apache-2.0"}
    lane = 0.5 * rng.normal(size=(cfg.subscale, 3 * cfg.n_units) if cfg.subscale > 1 else (0, 0))
    return Model(cfg, matrices, columns, metadata, autocorrelations(cfg), lane=lane.astype(np.float32))


def tiny_mel(cfg: WaveRNNConfig, n_frames: int = 7, seed: int = 1) -> NDArray[np.float32]:
    """(n_mels, n_frames) float32 in the range of log-mels that the random C1 does not saturate."""
    return np.random.default_rng(seed).normal(size=(cfg.mel.n_mels, n_frames)).astype(np.float32)


def golden_mel(n_mels: int) -> NDArray[np.float32]:
    """(n_mels, N_FRAMES) float32 multiples of 1/4: no random generator stands between a golden file and its hash."""
    band, frame = np.mgrid[:n_mels, :N_FRAMES]
    return (((7 * band + 3 * frame) % 11) / 4 - 2).astype(np.float32)
