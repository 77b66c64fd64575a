"""checkpoint.py: the documented keys, atomic writes, and damaged files."""

from __future__ import annotations

import os
import re

import pytest

torch = pytest.importorskip("torch")

from dataclasses import asdict  # noqa: E402

from wv_export import convert  # noqa: E402
from wv_runtime.errors import CheckpointError  # noqa: E402
from wv_runtime.model import checkpoint as module  # noqa: E402
from wv_runtime.model.checkpoint import KEYS  # noqa: E402
from wv_runtime.model.config import WaveRNNConfig  # noqa: E402
from wv_train.checkpoint import load_checkpoint, load_model, save_checkpoint, slimmed  # noqa: E402
from wv_train.model import WaveRNN  # noqa: E402

CFG = WaveRNNConfig(n_units=64, n_out=16, n_cond=16)


@pytest.fixture
def ckpt():
    torch.manual_seed(0)
    model = WaveRNN(CFG)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.zeros(1, 161, dtype=torch.int16), torch.zeros(1, 80, 5))[0].sum().backward()
    optimizer.step()
    return {
        "format": 2, "config": asdict(CFG), "model": model.state_dict(),
        "masks": {"R_u": torch.ones(64, 64, dtype=torch.bool)}, "step": 7, "minutes": 0.5, "train": {}, "prune": {},
        "history": [], "data": {"name": "speech"}, "versions": {}, "optimizer": optimizer.state_dict(),
        "rng": {"torch": torch.get_rng_state()}, "states": torch.zeros(2, 64),
    }  # fmt: skip


def test_round_trip(ckpt, tmp_path):
    save_checkpoint(tmp_path / "m.pt", ckpt)
    back = load_checkpoint(tmp_path / "m.pt")  # torch.load with weights_only=True
    assert back.keys() == ckpt.keys() == KEYS.keys()
    assert back["config"] == ckpt["config"] and back["step"] == 7
    assert all(torch.equal(back["model"][k], v) for k, v in ckpt["model"].items())
    assert torch.equal(back["masks"]["R_u"], ckpt["masks"]["R_u"])
    assert [f.name for f in tmp_path.iterdir()] == ["m.pt"]


def test_every_key_is_documented():
    documented = re.findall(r"^    (\w+) +(?:int|dict|list|float|tensor) ", module.__doc__, re.MULTILINE)
    assert documented == list(KEYS) or sorted(documented) == sorted(KEYS)


def test_load_model_gives_the_same_logits(ckpt, tmp_path):
    save_checkpoint(tmp_path / "slim.pt", slimmed(ckpt))
    save_checkpoint(tmp_path / "whole.pt", ckpt)
    assert (tmp_path / "slim.pt").stat().st_size < 0.5 * (tmp_path / "whole.pt").stat().st_size
    model, back = load_model(tmp_path / "slim.pt")
    assert back["optimizer"] is None and back["rng"] is None and not model.training and model.cfg == CFG
    reference = WaveRNN(CFG).eval()
    reference.load_state_dict(ckpt["model"])
    samples, mel = torch.randint(-999, 999, (1, 161), dtype=torch.int16), torch.randn(1, 80, 5)
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(model(samples, mel), reference(samples, mel), strict=True))


def test_zeros_cost_a_slim_checkpoint_nothing(ckpt, tmp_path):
    """Its zip is deflated; torch.load reads it as it reads a stored one."""
    save_checkpoint(tmp_path / "dense.pt", slimmed(ckpt))
    pruned = ckpt["model"]["R"].clone()
    pruned[:, CFG.n_units // 4 :] = 0
    save_checkpoint(tmp_path / "pruned.pt", slimmed({**ckpt, "model": {**ckpt["model"], "R": pruned}}))
    saved = (tmp_path / "dense.pt").stat().st_size - (tmp_path / "pruned.pt").stat().st_size
    assert saved > 0.8 * 4 * (pruned == 0).sum()
    assert torch.equal(load_checkpoint(tmp_path / "pruned.pt")["model"]["R"], pruned)


def test_a_failed_write_leaves_the_old_file(ckpt, tmp_path, monkeypatch):
    path = tmp_path / "m.pt"
    save_checkpoint(path, ckpt)

    def no_space(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(CheckpointError, match="No space left on device"):
        save_checkpoint(path, {**ckpt, "step": 8})
    assert [f.name for f in tmp_path.iterdir()] == ["m.pt"]
    assert load_checkpoint(path)["step"] == 7


def test_unwritable(ckpt, tmp_path):
    for path in (tmp_path, tmp_path / "none" / "m.pt"):
        with pytest.raises(CheckpointError, match="wanted a file that can be written"):
            save_checkpoint(path, ckpt)


def error_of(path):
    with pytest.raises(CheckpointError) as error:
        load_model(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message


def test_missing_and_foreign_files(tmp_path):
    assert "No such file" in error_of(tmp_path / "none.pt")
    assert "Is a directory" in error_of(tmp_path)
    for name, content in (("empty.pt", b""), ("text.pt", b"hello"), ("zip.pt", b"PK\x03\x04" + bytes(100))):
        (tmp_path / name).write_bytes(content)
        assert "damaged or not a checkpoint" in error_of(tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    assert "found list, wanted a dict of wv-train" in error_of(tmp_path / "list.pt")
    assert "format: found None, wanted 2" in error_of(tmp_path / "other.pt")


def test_truncated(ckpt, tmp_path):
    save_checkpoint(tmp_path / "m.pt", ckpt)
    whole = (tmp_path / "m.pt").read_bytes()
    for share in (0.01, 0.3, 0.9, 0.999):
        (tmp_path / "cut.pt").write_bytes(whole[: int(share * len(whole))])
        assert "damaged" in error_of(tmp_path / "cut.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 1}, "format: found 1, wanted 2"),
        ({"step": "7"}, "step: found str, wanted int"),
        ({"optimizer": 3}, "optimizer: found int, wanted dict or NoneType"),
        ({"config": {"n_units": 64}}, "config: mel: found None, wanted a dict"),
        ({"config": {"n_units": 64, "mel": asdict(CFG.mel)}}, "config: n_out: found nothing, wanted it"),
        ({"config": {**asdict(CFG), "mel": {}}}, "config: mel.name: found nothing, wanted it"),
        ({"config": {**asdict(CFG), "n_units": 64.0}}, "config: n_units: found 64.0, wanted int"),
        ({"config": {**asdict(CFG), "n_sub": True}}, "config: n_sub: found True, wanted int"),
        ({"config": {**asdict(CFG), "n_units": 128}}, "model.C3: found shape (192, 16), wanted (384, 16)"),
        ({"config": {**asdict(CFG), "n_units": 33}}, "n_units: found 33"),
        ({"model": {}}, "model.C1: found nothing, wanted a tensor (16, 400)"),
        ({"masks": {"R_u": torch.ones(32, 16, dtype=torch.bool)}}, "masks.R_u: found shape (32, 16), wanted (64, 64)"),
        ({"masks": {"R_u": torch.ones(64, 64)}}, "masks.R_u: found float32, wanted bool"),
        ({"masks": {"I": torch.ones(16, 400, dtype=torch.bool)}}, "masks.I: found an unknown name"),
        ({"masks": {"R_u": 1}}, "masks.R_u: found int, wanted a tensor (64, 64)"),
        ({"states": 3}, "states: found int, wanted tensor or NoneType"),
    ],
)
def test_broken_contract(ckpt, tmp_path, change, message):
    torch.save({**ckpt, **change}, tmp_path / "m.pt")
    assert message in error_of(tmp_path / "m.pt")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_names_of_wrapped_models(ckpt, tmp_path, prefix):
    """As DistributedDataParallel and torch.compile write them."""
    wrapped = {**ckpt, "model": {prefix + name: tensor for name, tensor in ckpt["model"].items()}}
    save_checkpoint(tmp_path / "m.pt", wrapped)
    model, back = load_model(tmp_path / "m.pt")
    assert set(back["model"]) == set(ckpt["model"]) and torch.equal(model.R, ckpt["model"]["R"])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(ckpt, tmp_path, value):
    broken = {**ckpt["model"], "O2": ckpt["model"]["O2"].clone()}
    broken["O2"][3, 5] = value
    save_checkpoint(tmp_path / "m.pt", {**ckpt, "model": broken})
    with pytest.raises(CheckpointError, match=r"m\.pt: model\.O2: found NaN or infinity, wanted finite numbers"):
        load_model(tmp_path / "m.pt")


@pytest.mark.parametrize("read", [load_model, convert.read_checkpoint])
def test_weights_outside_their_mask(ckpt, tmp_path, read):
    mask = torch.ones(64, 64, dtype=torch.bool)
    mask[3, 5] = False
    save_checkpoint(tmp_path / "m.pt", {**ckpt, "masks": {"R_r": mask}, "prune": {"block": {"R_r": "1x1"}}})
    with pytest.raises(
        CheckpointError, match=r"m\.pt: masks\.R_r: found 1 non-zero weights outside the mask, wanted 0"
    ):
        read(tmp_path / "m.pt")
    ckpt["model"]["R"][64 + 3, 5] = 0.0
    save_checkpoint(tmp_path / "m.pt", {**ckpt, "masks": {"R_r": mask}, "prune": {"block": {"R_r": "1x1"}}})
    read(tmp_path / "m.pt")


def test_missing_key(ckpt, tmp_path):
    del ckpt["masks"]
    torch.save(ckpt, tmp_path / "m.pt")
    assert "masks: found nothing, wanted dict" in error_of(tmp_path / "m.pt")
