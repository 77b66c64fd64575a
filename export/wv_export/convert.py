"""A checkpoint of wv-train -> format.Model, without torch.

Folds what training keeps apart: the mel normalisation into C1, the input gain into I*. Computes in float64 and
rounds once. The keys of a checkpoint are listed in wv_runtime/model/checkpoint.py.

Usage: ``model = to_model(read_checkpoint("model.pt"), "int8")``
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from wv_runtime import __version__
from wv_runtime.errors import CheckpointError
from wv_runtime.features.postfilter import filter_tables
from wv_runtime.features.prediction import prediction_matrix
from wv_runtime.model import checkpoint
from wv_runtime.model.blocks import (
    block_matrix,
    block_name,
    block_widths,
    check_block,
    default_block,
    parse_block,
    to_f32,
)  # fmt: skip
from wv_runtime.model.config import WaveRNNConfig, precondition
from wv_runtime.model.layout import BLOCK_H, X_SCALE
from wv_runtime.model.weights import Matrix, Model, Postfilter


@dataclass(frozen=True)
class Checkpoint:
    """What export needs of a model.pt, as NumPy arrays.

    weights : parameters and buffers by name, float64
    masks   : (rows, cols) bool of every matrix of the file, True where a weight may differ from zero
    blocks  : block shape of every pruned matrix; R has the finest its gates share
    """

    path: str
    config: WaveRNNConfig
    weights: dict[str, NDArray[np.float64]]
    masks: dict[str, NDArray[np.bool_]]
    blocks: dict[str, tuple[int, int]]
    metadata: dict[str, Any]


def read_checkpoint(path: str) -> Checkpoint:
    """Read a model.pt and check everything that is used of it.

    Raises
    ------
    CheckpointError
        If it is damaged, of another version, or breaks the contract of checkpoint.py.
    OSError
        If it cannot be read.
    """
    cfg, raw = checkpoint.read_checkpoint(path)
    weights, parts = ({k: v.numpy() for k, v in raw[key].items()} for key in ("model", "masks"))
    checkpoint.check_weights(weights, parts, path)
    weights = _with_columns({k: a.astype(np.float64) for k, a in weights.items()}, cfg)
    masks = {name: np.ones(shape, bool) for name, shape in cfg.matrix_shapes().items()}
    blocks: dict[str, tuple[int, int]] = {}
    pruned = {name: _prune_block(raw["prune"], name, path) for name in parts}
    for name, mask in parts.items():
        matrix = "R" if name in checkpoint.GATES else name
        checkpoint.part_of(masks, name)[:] = mask
        blocks[matrix] = _finest(blocks.get(matrix, pruned[name]), pruned[name])
    metadata = _metadata(raw) | {
        "pruned": {
            name: {"block": block_name(pruned[name]), "sparsity": round(float(1 - mask.mean()), 6)}
            for name, mask in parts.items()
        }
    }
    return Checkpoint(path, cfg, weights, masks, blocks, metadata)


def at_temperature(ckpt: Checkpoint, temperature: float) -> Checkpoint:
    """The same network, whose logits are divided by `temperature`: what it says at 1 it now says as if sampled so."""
    if temperature == 1:
        return ckpt
    scaled = {name: ckpt.weights[name] / temperature for name in ("O2", "b_O2", "O4", "b_O4")}
    metadata = {**ckpt.metadata, "temperature": temperature}
    return replace(ckpt, weights={**ckpt.weights, **scaled}, metadata=metadata)


def to_model(ckpt: Checkpoint, dtype: str, dense_block: tuple[int, int] | None = None) -> Model:
    """The model as it will be stored.

    dtype       : "f32", "f16" or "int8"; in int8 C1 stays f16, because its input has no range of its own
    dense_block : block shape of matrices that are not pruned; 16x1 by default, 16x4 in int8

    Raises
    ------
    ValueError
        If dense_block does not divide a matrix or is no block shape of the format.
    CheckpointError
        If the checkpoint lacks what int8 needs.
    """
    w = ckpt.weights
    m: dict[str, Matrix] = {}

    def matrix(name: str, W: NDArray[Any], bias: NDArray[Any], relu_max: float | None = None) -> None:
        d = "f16" if (name, dtype) == ("C1", "int8") else dtype
        block = _stored_block(name, W.shape, ckpt.blocks.get(name), dense_block, d)
        x = (0.0, 0)
        if d == "int8":
            x = (X_SCALE[name], 0) if relu_max is None else (_relu_scale(relu_max, ckpt.path), -127)
        m[name] = block_matrix(name, W, ckpt.masks[name], bias, d, block, *x)

    # C1 ((mel - mean) / std) + b  =  (C1 / std) mel + (b - (C1 / std) mean); the window is frame-major
    C1 = w["C1"] / np.tile(w["mel_std"], ckpt.config.cond_width)
    matrix("C1", C1, w["b_C1"] - C1 @ np.tile(w["mel_mean"], ckpt.config.cond_width))
    matrix("C2", w["C2"], w["b_C2"])
    matrix("C3", w["C3"], w["b_C3"])
    matrix("R", w["R"], w["b_R"])
    matrix("O1", w["O1"], w["b_O1"])
    matrix("O2", w["O2"], w["b_O2"], w["relu_max"][0])
    matrix("O3", w["O3"], w["b_O3"])
    matrix("O4", w["O4"], w["b_O4"], w["relu_max"][1])
    metadata = {**ckpt.metadata, "dtype": dtype}
    columns = np.ascontiguousarray(to_f32(w["I"].T))
    M = prediction_matrix(ckpt.config) if ckpt.config.lpc_order else np.zeros((0, 0), np.float32)  # noqa: N806
    mel_stats = np.stack([to_f32(w["mel_mean"]), to_f32(w["mel_std"])])
    lane = to_f32(w["lane"]) if ckpt.config.subscale > 1 else np.zeros((0, 0), np.float32)
    return Model(ckpt.config, m, columns, metadata, M, mel_stats=mel_stats, lane=lane)


def with_metadata(model: Model, **changes: Any) -> Model:
    """The same model with entries of its metadata added or replaced."""
    return replace(model, metadata={**model.metadata, **changes})


def with_postfilter(model: Model, on: bool, comb: float = 0.0, denoise: float = 0.0) -> Model:
    """The same model with the mel post-filter, on or off by default, and a pitch comb of that strength before it.

    denoise : dB by which it lowers noise at most

    Raises
    ------
    WaveRNNError
        If the model's n_fft is not a power of two.
    """
    return replace(model, postfilter=Postfilter(*filter_tables(model.config.mel), on=on, comb=comb, denoise=denoise))


def _need(ok: bool, path: str, message: str) -> None:
    if not ok:
        raise CheckpointError(f"{path}: {message}")


def _with_columns(weights: dict[str, NDArray[np.float64]], cfg: WaveRNNConfig) -> dict[str, NDArray[np.float64]]:
    """Adds I*, (3N, n_x)."""
    columns = (weights["I_raw"] @ np.array(precondition(cfg))).reshape(3, 2, -1, cfg.n_x)  # (gate, half, unit, column)
    columns[:, 0, :, -1] = 0  # the mask of I*: c_t reaches only the fine half
    return {**weights, "I": columns.reshape(-1, cfg.n_x)}


def _prune_block(prune: dict[str, Any], name: str, path: str) -> tuple[int, int]:
    text = prune.get("block", {}).get(name) if isinstance(prune.get("block"), dict) else None
    try:
        return parse_block(text)
    except ValueError as e:
        raise CheckpointError(f"{path}: prune.block.{name}: {e}") from None


def _finest(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    """The largest block that tiles both."""
    return math.gcd(a[0], b[0]), math.gcd(a[1], b[1])


def _stored_block(
    name: str,
    shape: tuple[int, ...],
    pruned: tuple[int, int] | None,
    dense: tuple[int, int] | None,
    dtype: str,
) -> tuple[int, int]:
    """The block shape in the file.

    A pruned matrix keeps its own, or the largest of the format's that tiles it; where it is finer than any
    (fewer than 4 rows, or in int8 fewer than 4 columns) blocks are joined and hold explicit zeros.
    """
    widths = block_widths(dtype)
    if pruned:
        h = max((h for h in BLOCK_H if pruned[0] % h == 0), default=min(BLOCK_H))
        return h, max((w for w in widths if pruned[1] % w == 0), default=min(widths))
    block = dense or default_block(dtype)
    check_block(name, shape, block, dtype)
    return block


def _relu_scale(relu_max: float, path: str) -> float:
    """A relu lies in [0, relu_max]: 254 levels from -127 up."""
    found = f"model.relu_max: found {relu_max}, wanted the largest activation seen in training (int8 needs it)"
    _need(relu_max > 0, path, found)
    return float(np.float32(254 / relu_max))


def _metadata(raw: dict[str, Any]) -> dict[str, Any]:
    """What a user may want to know: numbers and strings of the checkpoint that are there."""
    history = raw.get("history") or [{}]
    last = history[-1] if isinstance(history[-1], dict) else {}
    minutes = raw.get("minutes")
    out = {
        "step": raw.get("step"),
        "hours": round(minutes / 60, 3) if isinstance(minutes, (int, float)) else None,
        "nll": {k.removeprefix("valid_"): last.get(k) for k in ("valid_nll_c", "valid_nll_f")},
        "data": raw.get("data"),
        "versions": {**(raw.get("versions") or {}), "wv_export": __version__},
    }
    return {k: v for k, v in ((k, _plain(v)) for k, v in out.items()) if v not in (None, {})}


def _plain(v: Any) -> Any:
    """JSON of it: anything that JSON lacks becomes None and then leaves its dict."""
    if isinstance(v, dict):
        return {str(k): p for k, p in ((k, _plain(x)) for k, x in v.items()) if p is not None}
    if isinstance(v, float):
        return round(v, 6) if math.isfinite(v) else None
    return v if isinstance(v, (str, bool, int)) else None
