"""The engine on ONNX Runtime: a float model's samples begin as Numba's, and any cut of a stream gives the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from model_fixtures import tiny_config, tiny_mel, tiny_model
from wv_runtime.commands import run as cli
from wv_runtime.engine.synth import Voice
from wv_runtime.errors import NativeError

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("lpc_order", [0, 16])
def test_samples_of_a_float_model_begin_as_numbas(lpc_order):
    """Sums of another order and other tanh turn a draw now and then, and all that follow."""
    model = tiny_model("f32", cfg=tiny_config(lpc_order=lpc_order))
    mel = tiny_mel(model.config, 12)
    for seed, temperature in ((0, 1.0), (7, 0.5)):
        ours, numba = (Voice(model, backend)(mel, seed, temperature) for backend in ("onnx", "numba"))
        np.testing.assert_array_equal(ours[:80], numba[:80])


@pytest.mark.parametrize("dtype", ["f32", "int8"])
def test_any_cut_gives_the_same(dtype):
    model = tiny_model(dtype)
    voice, mel, rng = Voice(model, "onnx"), tiny_mel(model.config, 9), np.random.default_rng(0)
    whole = voice(mel, seed=3)
    assert len(np.unique(whole)) > 50
    for _ in range(3):
        stream, parts, at = voice.open(seed=3), [], 0
        while at < mel.shape[1]:
            at += stream.push(mel[:, at : at + int(rng.integers(1, 5))])
            parts.append(stream.pull(int(rng.integers(0, stream.available + 1))))
        stream.finish()
        np.testing.assert_array_equal(np.concatenate([*parts, stream.pull(stream.available)]), whole)
    np.testing.assert_array_equal(voice([mel, mel[:, :4]], seed=3)[0], whole)


def test_the_command(command, folder):
    report = json.loads(command(cli.main, "tiny.bin", "mel.npy", "--backend", "onnx", "--json").out)
    assert report["backend"] == "onnx" and report["isa"].startswith("onnxruntime ")
    assert report["n_samples"] == 140 and Path("out.wav").exists()
    refused = command(cli.main, "tiny.bin", "mel.npy", "--backend", "onnx", "--verify")
    assert refused.code == 2 and "wv-verify compares it" in refused.err


def test_a_folder_of_another_engine_is_not_mixed(command, folder):
    Path("mels").mkdir()
    Path("mel.npy").rename("mels/a.npy")
    assert command(cli.main, "tiny.bin", "mels", "-o", "out", "--jobs", 1, "--backend", "c").code == 0
    mixed = command(cli.main, "tiny.bin", "mels", "-o", "out", "--jobs", 1, "--backend", "onnx")
    assert mixed.code != 0 and "backend" in mixed.err


def test_without_onnxruntime(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(NativeError, match=r"wanted pip install 'wavernn\[onnx\]'"):
        Voice(tiny_model(), "onnx")
