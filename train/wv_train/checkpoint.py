"""model.pt, key by key: the contract between wv-train and wv-export.

A ``torch.save`` of plain dicts, lists, numbers, strings and tensors; it loads with ``weights_only=True``.

    format        int     2; any change of this list raises it
    config        dict    WaveRNNConfig as a dict; its "mel" is MelConfig as a dict
    model         dict    WaveRNN.state_dict(): float32 parameters C1..C3, R, O1..O4, their biases b_*, I_raw,
                          and buffers mel_mean, mel_std (n_mels,), relu_max (2,)
    masks         dict    {"R_u" | "R_r" | "R_e" | "O1" .. "O4": (rows, cols) bool}, True where the weight stays;
                          a matrix that is not pruned is absent. Weights outside a mask are exactly 0.0
    step          int     optimizer updates done
    minutes       float   training time so far, all runs together
    train         dict    TrainConfig as a dict
    prune         dict    PruneConfig as a dict
    history       list    one dict per validation: step, minutes, train_nll_c, train_nll_f, valid_nll_c,
                          valid_nll_f (nats per byte), sparsity, lr; train_* are means since the entry
                          before, None in the first
    data          dict    name (of the folder, not its path), n_train, n_valid (clips), train_minutes (of audio)
    versions      dict    wavernn, torch
    optimizer     dict    optim.Optimizer's state_dict; None in a slim checkpoint
    rng           dict    {"torch": uint8 tensor}; None in a slim checkpoint
    states        tensor  (batch, n_units) float32, what the lanes' windows have led to; None in a slim checkpoint

A slim checkpoint is what inference and --init-from need; it is a third of the size and cannot be resumed. Its zip
is deflated, which torch.load reads like any other: pruned weights and masks shrink to next to nothing.

Usage: ``model, ckpt = load_model("model.pt")``
"""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import torch
from wv_runtime.atomic import atomic_path
from wv_runtime.errors import CheckpointError
from wv_runtime.model.config import WaveRNNConfig

from .model import WaveRNN
from .prune import MATRICES, matrix_shape

FORMAT = 2
KEYS = {
    "format": (int,), "config": (dict,), "model": (dict,), "masks": (dict,), "step": (int,), "minutes": (float,),
    "train": (dict,), "prune": (dict,), "history": (list,), "data": (dict,), "versions": (dict,),
    "optimizer": (dict, type(None)), "rng": (dict, type(None)),
    "states": (torch.Tensor, type(None)),
}  # fmt: skip


def save_checkpoint(path: str | Path, checkpoint: dict[str, Any]) -> None:
    """Write a checkpoint so that `path` holds the old one or the new one whole, whatever happens.

    Raises
    ------
    CheckpointError
        If the file cannot be written.
    """
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)  # to memory first: torch turns a full disk into a RuntimeError
    if checkpoint["optimizer"] is None:
        buffer = _deflated(buffer)
    try:
        with atomic_path(path) as temp, temp.open("wb") as f:
            f.write(buffer.getbuffer())
            f.flush()
            os.fsync(f.fileno())
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}, wanted a file that can be written") from None


def slimmed(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The same checkpoint without what only --resume needs."""
    return {**checkpoint, "optimizer": None, "rng": None, "states": None}


def _deflated(archive: io.BytesIO) -> io.BytesIO:
    """A zip archive, compressed; torch.save only stores. The order of its entries stays."""
    out = io.BytesIO()
    with zipfile.ZipFile(archive) as stored, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as deflated:
        for entry in stored.infolist():
            deflated.writestr(entry.filename, stored.read(entry))
    return out


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read and check a checkpoint; tensors land on the CPU.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, of another version, or breaks the list above.
    """
    try:
        content = io.BytesIO(Path(path).read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}, wanted a model.pt") from None
    try:
        ckpt = torch.load(content, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen types over bytes it cannot read
        reason = (str(error).splitlines() or [type(error).__name__])[0][:80]
        raise CheckpointError(f"{path}: damaged or not a model.pt ({reason})") from None
    if not isinstance(ckpt, dict) or "format" not in ckpt:
        raise CheckpointError(f"{path}: found no key 'format', wanted a model.pt of wv-train")
    if ckpt["format"] != FORMAT:
        raise CheckpointError(f"{path}: format: found {ckpt['format']!r}, wanted {FORMAT}")
    for key, kinds in KEYS.items():
        if not isinstance(ckpt.get(key, ...), kinds):
            found = type(ckpt[key]).__name__ if key in ckpt else "nothing"
            raise CheckpointError(f"{path}: {key}: found {found}, wanted {' or '.join(k.__name__ for k in kinds)}")
    return ckpt


def load_model(path: str | Path) -> tuple[WaveRNN, dict[str, Any]]:
    """The model of a checkpoint, in eval mode on the CPU, and the checkpoint.

    Raises
    ------
    CheckpointError
        As `load_checkpoint`, and if weights and config do not fit each other.
    """
    ckpt = load_checkpoint(path)
    return model_from(ckpt, path), ckpt


def model_from(ckpt: dict[str, Any], path: str | Path) -> WaveRNN:
    """WaveRNN with the config and weights of a checkpoint; `path` opens the message of an error.

    Raises
    ------
    CheckpointError
        If weights, masks and config do not fit each other.
    """
    try:
        cfg = WaveRNNConfig.from_dict(ckpt["config"])
        model = WaveRNN(cfg)
        model.load_state_dict(ckpt["model"])
    except (TypeError, KeyError, ValueError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path}: config and model do not fit each other ({reason})") from None
    for name, mask in ckpt["masks"].items():
        found = (tuple(mask.shape), mask.dtype) if isinstance(mask, torch.Tensor) else type(mask).__name__
        if name not in MATRICES or found != (matrix_shape(name, cfg), torch.bool):
            raise CheckpointError(f"{path}: masks: found {name!r} {found}, wanted the matrices' shapes, bool")
    return model.eval()
