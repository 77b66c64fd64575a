"""A checkpoint from a stranger: one line, exit 1, less than 300 MB, whatever it holds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import checkpoints
import pytest
from conftest import ROOT
from model_fixtures import tiny_config
from wv_export.cli import main as wv_export
from wv_runtime.errors import CheckpointError
from wv_runtime.model.checkpoint import read_checkpoint

MAX_MB = 300
HOSTILE = {**checkpoints.PICKLES, **checkpoints.FILES}


def write(name: str, path: Path) -> str:
    """Writes the hostile file; returns what the error says."""
    content, text = HOSTILE[name]
    if isinstance(content, bytes):
        checkpoints.write_zip(path, content, {} if name == "nowhere" else {"data/0": bytes(16)})
    else:
        content(path)
    return text


@pytest.mark.parametrize("name", HOSTILE)
def test_one_line(name, tmp_path, command):
    text = write(name, tmp_path / "bad.pt")
    code, out, err = command(wv_export, tmp_path / "bad.pt", tmp_path / "out.bin")
    assert (code, out) == (1, "") and text in err and err.startswith("wv-export: error: ") and err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["bad.pt"]


def test_a_name_with_a_line_break(tmp_path):
    """It is not two lines of the library's message, either."""
    import torch

    bad = checkpoints.checkpoint(tiny_config())
    bad["config"]["lpc\n\u2028order"] = 0
    torch.save(bad, tmp_path / "bad.pt")
    with pytest.raises(CheckpointError, match=r"bad.pt: config: lpc\\n\\u2028order: found 0, wanted no such key"):
        read_checkpoint(tmp_path / "bad.pt")


MEMORY = r"""
import json, re, sys
from wv_runtime.errors import CheckpointError
from wv_runtime.commands.mel import mel_config_of
from wv_export.convert import read_checkpoint
def peak():  # getrusage knows that of the parent, too
    return int(re.search(r'VmHWM:\s*(\d+) kB', open('/proc/self/status').read())[1]) // 1024
for path in sys.argv[1:]:
    for read in (mel_config_of, read_checkpoint):
        try:
            read(path)
        except CheckpointError as error:
            print(json.dumps([path, str(error), peak()]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="wants Linux")
def test_memory(tmp_path):
    """Of one process that reads them all, as wv-mel --model and as wv-export do."""
    paths = [tmp_path / f"{k}.pt" for k in range(len(HOSTILE))]
    for name, path in zip(HOSTILE, paths):
        write(name, path)
    done = subprocess.run([sys.executable, "-c", MEMORY, *paths], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    seen = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(seen) == 2 * len(paths)
    for path, message, megabytes in seen:
        assert "\n" not in message and megabytes < MAX_MB, (path, message, megabytes)
    print(f"{seen[-1][2]} MB")


def test_a_good_one_needs_no_torch(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    cfg = tiny_config()
    torch.save(checkpoints.checkpoint(cfg), tmp_path / "good.pt")
    monkeypatch.setitem(sys.modules, "torch", None)
    found, ckpt = read_checkpoint(tmp_path / "good.pt")
    assert found == cfg and ckpt["model"]["R"].numpy().shape == (3 * cfg.n_units, cfg.n_units)


def test_tensors_are_torch_s(tmp_path):
    """Views, transposed ones, scalars, every dtype: what torch.load gives."""
    torch = pytest.importorskip("torch")
    base = torch.arange(48, dtype=torch.float32).reshape(4, 12)
    views = [
        base,
        base.T,
        base[1:, ::3],
        base[2],
        base[2, 3],
        base[:, 4:5],
        base[1].expand(3, 12),
        base.reshape(2, 2, 12).permute(2, 0, 1),
    ]
    dtypes = [torch.float64, torch.float16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool]
    views += [base[1:].to(dtype) for dtype in dtypes]
    ckpt = checkpoints.checkpoint(tiny_config()) | {"optimizer": dict(enumerate(views))}
    torch.save(ckpt, tmp_path / "m.pt")
    found = read_checkpoint(tmp_path / "m.pt")[1]["optimizer"]
    for k, wanted in enumerate(views):
        array = found[k].numpy()
        assert torch.equal(torch.from_numpy(array), wanted) and array.flags.writeable, k


def test_damaged_weights(tmp_path):
    """The checksum of the zip: a flipped bit of a weight is not taken for a weight."""
    torch = pytest.importorskip("torch")
    path = tmp_path / "m.pt"
    ckpt = checkpoints.checkpoint(tiny_config())
    ckpt["model"]["R"] += 0.7
    torch.save(ckpt, path)
    data = path.read_bytes()
    at = data.index(ckpt["model"]["R"].numpy().tobytes()[:64])
    path.write_bytes(data[: at + 5] + bytes([data[at + 5] ^ 1]) + data[at + 6 :])
    _, found = read_checkpoint(path)
    with pytest.raises(CheckpointError, match=r"m\.pt: damaged"):
        found["model"]["R"].numpy()
