"""Checkpoints as wv-train writes them, without training, and hostile ones.

Usage: ``torch.save(checkpoint(cfg), "model.pt")``; ``write_zip("bad.pt", pickle, {"data/0": b""})``
"""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from model_fixtures import tiny_config
from wv_runtime.model.checkpoint import PRUNED, matrix_shape, tensor_shapes
from wv_runtime.model.config import MelConfig, WaveRNNConfig


def checkpoint(cfg: WaveRNNConfig) -> dict[str, Any]:
    """A slim one with zeros for weights. Wants torch."""
    import torch

    model = {name: torch.zeros(shape) for name, shape in tensor_shapes(cfg).items()} | {
        "mel_std": torch.ones(cfg.mel.n_mels),
        "relu_max": torch.ones(2),
    }
    return {
        "format": 2, "config": asdict(cfg), "model": model,
        "masks": {name: torch.ones(matrix_shape(name, cfg), dtype=torch.bool) for name in PRUNED},
        "step": 1, "minutes": 1.0, "train": {}, "prune": {"block": dict.fromkeys(PRUNED, "16x1")},
        "history": [{"step": 1, "valid_nll_c": 1.0, "valid_nll_f": 5.0}], "data": {}, "versions": {},
        "optimizer": None, "rng": None, "states": None,
    }  # fmt: skip


def write_zip(
    path: Path, pickled: bytes, more: dict[str, bytes] | None = None, method: int = zipfile.ZIP_STORED
) -> None:
    with zipfile.ZipFile(path, "w", method) as z:
        z.writestr("archive/data.pkl", pickled)
        z.writestr("archive/byteorder", "little")
        for name, data in (more or {}).items():
            z.writestr(f"archive/{name}", data)


def tensor(n: int, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0, storage: str = "Float") -> bytes:
    """Instructions that push a tensor of storage "0" with n elements."""

    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", v) for v in values) + b"t"

    pid = b"(X\7\0\0\0storagectorch\n" + storage.encode() + b"Storage\nX\1\0\0\x000X\3\0\0\0cpu"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n((" + pid[1:] + numbers((n,))[1:-1] + b"tQ" + numbers((offset,))[1:-1]
        + numbers(shape) + numbers(strides) + b"\x89ccollections\nOrderedDict\n)RtR"
    )  # fmt: skip


def laughs(n: int) -> bytes:
    """n lists, each of ten times the one before."""
    return (
        b"\x80\2]q\0"
        + b"".join(b"](" + b"h" + bytes([k]) + (b"h" + bytes([k])) * 9 + b"eq" + bytes([k + 1]) for k in range(n))
        + b"."
    )


def only_keys() -> bytes:
    values = {"format": 2, "config": {"mel": {}}, "model": {}, "masks": {}, "step": 1, "minutes": 1.0, "train": {}}
    rest: dict[str, Any] = {"prune": {}, "history": [], "data": {}, "versions": {}, "optimizer": None, "rng": None}
    return pickle.dumps(values | rest | {"states": None}, 2)


def many_entries(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as z:
        for k in range(30_000):
            z.writestr(f"archive/{k}", b"")


def bzip2(path: Path) -> None:
    write_zip(path, bytes(2**22), method=zipfile.ZIP_BZIP2)


def large_tensors(path: Path) -> None:
    """Legal but for its size: R of 8192 units, all zeros, is 800 MB that deflate to less than one."""
    write_zip(
        path, b"\x80\2}(X\1\0\0\0a" + tensor(2**28, (2**28,), (1,)) + b"u.", {"data/0": bytes(2**28)},
        zipfile.ZIP_DEFLATED,
    )  # fmt: skip


def one_storage_often(path: Path) -> None:
    one = tensor(2**22, (2**22,), (1,))
    items = b"".join(b"K" + bytes([k]) + one for k in range(100))
    write_zip(path, b"\x80\2}(" + items + b"u.", {"data/0": bytes(2**24)})


PICKLES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "damaged"),
    "large memo": (b"\x80\2}r\xff\xff\xff\x7f.", "format: found None"),
    "large bytes": (b"\x80\4\x8e\0\0\0\0\0\0\0\x40.", "damaged"),
    "large bytearray": (b"\x80\5\x96\0\0\0\0\0\0\0\x10.", "damaged"),
    "large text": (b"\x80\2X\xff\xff\xff\x7f.", "damaged"),
    "call": (b"\x80\2cos\nsystem\nX\4\0\0\0true\x85R.", "found a call of os system"),
    "code object": (b"\x80\2c__builtin__\neval\n.", "wanted plain values and tensors"),
    "persistent": (b"\x80\2X\3\0\0\0abcQ.", "damaged"),
    "instance": (b"\x80\2(cos\nsystem\no.", "found OBJ"),
    "a list in itself": (b"\x80\2]q\0h\0a.", "too many values in values"),
    "a dict in itself": (b"\x80\2}q\0X\1\0\0\0ah\0s.", "too many values in values"),
    "lists of lists": (laughs(20), "too many values in values"),
    "deep": (b"\x80\2)" + b"\x85" * 100_000 + b".", "too many values in values"),
    "many parts": (b"\x80\2" + b"]" * 600_000 + b".", "more than 500000 parts"),
    "a list as key": (b"\x80\2}]K\1s.", "found a key of type list"),
    "stack": (b"\x80\2t.", "damaged"),
    "number": (b"\x80\2K\1.", "found int, wanted a dict"),
    "keys alone": (only_keys(), "config: mel.name: found nothing, wanted it"),
    "stride 0": (b"\x80\2" + tensor(4, (2**40,), (0,)) + b".", "tensors of more than"),
    "negative offset": (b"\x80\2" + tensor(4, (2,), (1,), -1) + b".", "a tensor of no shape"),
    "beyond": (b"\x80\2" + tensor(4, (2,), (1,), 3) + b".", "does not fit its 4 numbers"),
    "overflow": (b"\x80\2" + tensor(4, (2,), (2**62,)) + b".", "a tensor of no shape"),
    "no storage": (b"\x80\2" + tensor(4, (2,), (1,), 0, "Quint8") + b".", "damaged"),
    "nowhere": (b"\x80\2" + tensor(4, (2,), (1,)) + b".", "archive/data/0: missing"),
}
FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "many entries": (many_entries, "a table of contents of"),
    "bzip2": (bzip2, "compressed by method 12"),
    "zeros as pickle": (
        lambda path: write_zip(path, bytes(2**27), None, zipfile.ZIP_DEFLATED),
        "wanted at most 8388608",
    ),
    "large tensors": (large_tensors, "tensors of more than"),
    "one storage often": (one_storage_often, "tensors of more than"),
}


def random_weights(path: Path, seed: int = 0) -> None:
    """A small one, for mutation. Wants torch."""
    import torch

    mel = MelConfig("tiny", 16000, 16, 4, 8, 2, 0.0, 8000.0)
    ckpt, rng = checkpoint(tiny_config(n_out=16, cond_width=1, n_sub=1, mel=mel)), np.random.default_rng(seed)
    for name, value in ckpt["model"].items():
        if name.startswith(("C", "R", "O", "b_")):
            ckpt["model"][name] = torch.from_numpy(rng.normal(size=value.shape).astype(np.float32))
    torch.save(ckpt | {"rng": {"torch": torch.arange(4)}, "optimizer": {"adam": {"betas": (0.9, 0.999)}}}, path)
