"""Writes model.pt, and reads it into torch. wv_runtime/model/checkpoint.py lists its keys and checks them.

Usage: ``model, ckpt = load_model("model.pt")``
"""

from __future__ import annotations

import io
import os
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch
from wv_runtime.atomic import atomic_path
from wv_runtime.errors import CheckpointError
from wv_runtime.model.checkpoint import check_weights, read_checkpoint
from wv_runtime.model.config import WaveRNNConfig
from wv_runtime.model.torch_file import StoredTensor

from .model import WaveRNN


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


def keep_copies(path: Path, step: int, n: int) -> None:
    """Keep what lies at `path` as STEM.stepSTEP.pt too, and of such copies the last n; 0 keeps none and removes none.

    Raises
    ------
    CheckpointError
        If a copy cannot be written.
    """
    if not n:
        return
    copy = path.with_name(f"{path.stem}.step{step:08}{path.suffix}")
    try:
        with atomic_path(copy) as temp:
            shutil.copyfile(path, temp)
        copies = re.compile(re.escape(path.stem) + r"\.step[0-9]{8}" + re.escape(path.suffix))
        found = [file for file in path.parent.iterdir() if copies.fullmatch(file.name)]
        for old in sorted(found, key=lambda file: (file.stat().st_mtime_ns, file.name))[:-n]:
            old.unlink()
    except OSError as error:
        raise CheckpointError(f"{copy}: {error.strerror}, wanted a file that can be written") from None


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
        If the file is missing, damaged, of another version, or breaks the list of keys.
    """
    try:
        return _in_torch(read_checkpoint(path)[1])
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}, wanted a model.pt") from None


def _in_torch(value: Any) -> Any:
    if isinstance(value, StoredTensor):
        return torch.from_numpy(value.numpy())
    if isinstance(value, dict):
        return {key: _in_torch(v) for key, v in value.items()}
    return type(value)(_in_torch(v) for v in value) if isinstance(value, (list, tuple)) else value


def load_model(path: str | Path) -> tuple[WaveRNN, dict[str, Any]]:
    """The model of a checkpoint, in eval mode on the CPU, and the checkpoint.

    Raises
    ------
    CheckpointError
        As `load_checkpoint` and `check_weights`.
    """
    ckpt = load_checkpoint(path)
    weights, masks = ({name: tensor.numpy() for name, tensor in ckpt[key].items()} for key in ("model", "masks"))
    check_weights(weights, masks, path)
    return model_from(ckpt), ckpt


def model_from(ckpt: dict[str, Any]) -> WaveRNN:
    """WaveRNN with the config and weights of a checkpoint that `load_checkpoint` has read."""
    model = WaveRNN(WaveRNNConfig.from_dict(ckpt["config"]))
    model.load_state_dict(ckpt["model"])
    return model.eval()
