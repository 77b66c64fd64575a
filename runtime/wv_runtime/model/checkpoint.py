"""model.pt, key by key: what wv-train writes, and the one reader of it, which needs no torch.

A ``torch.save`` of plain dicts, lists, numbers, strings and tensors.

    format        int     2; any change of this list raises it
    config        dict    WaveRNNConfig as a dict; its "mel" is MelConfig as a dict
    model         dict    WaveRNN.state_dict(): float32 parameters C1..C3, R, O1..O4, their biases b_*, I_raw,
                          lane (subscale, 3 n_units) of a subscale model, and buffers mel_mean, mel_std (n_mels,),
                          relu_max (2,)
    masks         dict    {"R_u" | "R_r" | "R_e" | "O1" .. "O4": (rows, cols) bool}, True where the weight stays;
                          a matrix that is not pruned is absent. Weights outside a mask are exactly 0.0
    step          int     optimizer updates done
    minutes       float   training time so far, all runs together
    train         dict    TrainConfig as a dict
    prune         dict    PruneConfig as a dict
    history       list    one dict per validation: step, minutes, train_nll_c, train_nll_f, valid_nll_c,
                          valid_nll_f (nats per byte), sparsity, lr; train_* are means since the entry
                          before, None in the first; valid_nll_lanes of a subscale model: [c, f] of each lane
    data          dict    name (of the folder, not its path), n_train, n_valid (clips), train_minutes (of audio)
    versions      dict    wavernn, torch
    optimizer     dict    optim.Optimizer's state_dict; None in a slim checkpoint
    rng           dict    {"torch": uint8 tensor}; None in a slim checkpoint
    states        tensor  (batch * subscale, n_units) float32, what the windows have led to; None in a slim checkpoint

A slim checkpoint is what inference and --init-from need; it is a third of the size and cannot be resumed. Its zip
is deflated, which torch.load reads like any other: pruned weights and masks shrink to next to nothing.

Usage: ``cfg, ckpt = read_checkpoint("model.pt"); R = ckpt["model"]["R"].numpy()``
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wv_runtime.errors import CheckpointError
from wv_runtime.model.config import WaveRNNConfig

from .torch_file import StoredTensor, need, one_line, read_torch_file

FORMAT = 2
WRAPPERS = ("module.", "_orig_mod.")  # what DistributedDataParallel and torch.compile put before each name of "model"
GATES = ("R_u", "R_r", "R_e")  # row thirds of R, pruned each by itself
PRUNED = (*GATES, "O1", "O2", "O3", "O4", "C1", "C2", "C3")  # what can be pruned
KEYS = {
    "format": (int,), "config": (dict,), "model": (dict,), "masks": (dict,), "step": (int,), "minutes": (float,),
    "train": (dict,), "prune": (dict,), "history": (list,), "data": (dict,), "versions": (dict,),
    "optimizer": (dict, type(None)), "rng": (dict, type(None)), "states": (StoredTensor, type(None)),
}  # fmt: skip


def read_checkpoint(path: str | Path) -> tuple[WaveRNNConfig, dict[str, Any]]:
    """The network's shape, and everything else as it is stored; tensors are `StoredTensor`. Checks the list above but
    the numbers in tensors, and what optimizer, rng and history hold.

    Raises
    ------
    CheckpointError
        If the file is damaged, of another version, or breaks the list above.
    OSError
        If it cannot be read.
    """
    path = str(path)
    raw = read_torch_file(path)
    need(isinstance(raw, dict), path, f"found {type(raw).__name__}, wanted a dict of wv-train")
    found = raw.get("format")
    need(type(found) is int and found == FORMAT, path, f"format: found {found!r}, wanted {FORMAT}")
    for key, kinds in KEYS.items():
        name = type(raw[key]).__name__ if key in raw else "nothing"
        need(type(raw.get(key, ...)) in kinds, path, f"{key}: found {name}, wanted {_names(kinds)}")
    try:
        cfg = WaveRNNConfig.from_dict(raw["config"])
    except (TypeError, KeyError, ValueError) as error:
        raise CheckpointError(one_line(f"{path}: config: {error}")) from None
    shapes = tensor_shapes(cfg)
    for prefix in WRAPPERS:
        if all(str(name).startswith(prefix) for name in raw["model"]):
            raw["model"] = {name[len(prefix) :]: tensor for name, tensor in raw["model"].items()}
    for name, shape in shapes.items():
        _check_tensor(path, f"model.{name}", raw["model"].get(name), shape, np.dtype("<f4"))
    for name in raw["model"]:
        need(name in shapes, path, f"model.{name}: found it, wanted no such tensor")
    for name, mask in raw["masks"].items():
        need(name in PRUNED, path, f"masks.{name}: found an unknown name, wanted R_u, R_r, R_e, O1 .. O4 or C1 .. C3")
        _check_tensor(path, f"masks.{name}", mask, matrix_shape(name, cfg), np.dtype(bool))
    return cfg, raw


def check_weights(weights: dict[str, NDArray[Any]], masks: dict[str, NDArray[np.bool_]], path: str | Path) -> None:
    """What `read_checkpoint` leaves out: the numbers in the tensors of "model" and "masks".

    Raises
    ------
    CheckpointError
        If a weight is not finite, a deviation of the mels not above 0, or a weight outside its mask not 0.
    """
    path = str(path)
    for name, a in weights.items():
        need(bool(np.isfinite(a).all()), path, f"model.{name}: found NaN or infinity, wanted finite numbers")
    need(bool((weights["mel_std"] > 0).all()), path, "model.mel_std: found 0 or less, wanted positive numbers")
    for name, mask in masks.items():
        astray = int(np.count_nonzero(part_of(weights, name)[~mask]))
        need(astray == 0, path, f"masks.{name}: found {astray} non-zero weights outside the mask, wanted 0")


def part_of(matrices: dict[str, NDArray[Any]], name: str) -> NDArray[Any]:
    """One of PRUNED: the matrix, or for a gate its third of R, as a view."""
    return np.split(matrices["R"], 3)[GATES.index(name)] if name in GATES else matrices[name]


def tensor_shapes(cfg: WaveRNNConfig) -> dict[str, tuple[int, ...]]:
    """Of the key "model"."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (rows, cols) in cfg.matrix_shapes().items():
        shapes |= {name: (rows, cols), "b_" + name: (rows,)}
    if cfg.subscale > 1:
        shapes["lane"] = (cfg.subscale, 3 * cfg.n_units)
    n_mels = cfg.mel.n_mels
    return shapes | {
        "I_raw": (3 * cfg.n_units, cfg.n_x), "mel_mean": (n_mels,), "mel_std": (n_mels,), "relu_max": (2,),
    }  # fmt: skip


def matrix_shape(name: str, cfg: WaveRNNConfig) -> tuple[int, int]:
    """(rows, cols) of one of PRUNED."""
    return (cfg.n_units, cfg.n_units) if name in GATES else cfg.matrix_shapes()[name]


def _check_tensor(path: str, name: str, found: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    kind = "nothing" if found is None else type(found).__name__
    need(isinstance(found, StoredTensor), path, f"{name}: found {kind}, wanted a tensor {shape}")
    assert isinstance(found, StoredTensor)
    need(found.shape == shape, path, f"{name}: found shape {found.shape}, wanted {shape}")
    need(found.dtype == dtype, path, f"{name}: found {found.dtype}, wanted {dtype}")


def _names(kinds: tuple[type, ...]) -> str:
    return " or ".join("tensor" if kind is StoredTensor else kind.__name__ for kind in kinds)
