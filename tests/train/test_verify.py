"""wv-verify: one network in four runtimes; whichever layer is tampered with is the one that is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checkpoints import checkpoint
from conftest import ROOT
from model_fixtures import tiny_config
from wv_runtime.model import binary

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from wv_export.convert import read_checkpoint, to_model  # noqa: E402
from wv_runtime.engine import onnx_graph  # noqa: E402
from wv_runtime.engine.synth import Voice  # noqa: E402
from wv_train import layers, verify  # noqa: E402
from wv_train.model import WaveRNN  # noqa: E402
from wv_train.verify import main  # noqa: E402

CLIP = ("--seconds", 0.03)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """model.pt, out.bin in f32, net.onnx and net.cond.onnx of one random network"""
    folder = tmp_path_factory.mktemp("verify")
    torch.manual_seed(0)
    net = WaveRNN(tiny_config())
    torch.save({**checkpoint(net.cfg), "model": net.state_dict()}, folder / "model.pt")
    model = to_model(read_checkpoint(folder / "model.pt"), "f32")
    binary.save(model, folder / "out.bin")
    (folder / "net.onnx").write_bytes(onnx_graph.step(model).SerializeToString())
    (folder / "net.cond.onnx").write_bytes(onnx_graph.conditioning(model).SerializeToString())
    return folder


@pytest.fixture
def here(saved, monkeypatch):
    monkeypatch.chdir(saved)


@pytest.mark.slow
def test_four_runtimes_agree(command, here):
    done = command(main, "model.pt", "out.bin", "--onnx", "net.onnx", *CLIP)
    assert done.code == 0, done
    rows = [line.split() for line in done.out.splitlines()]
    assert [row[0] for row in rows[1 : 1 + len(layers.NAMES)]] == list(layers.NAMES)
    assert all(float(value) < 1e-4 for row in rows[1 : 1 + len(layers.NAMES)] for value in row[1:])
    assert "C: 480 of 480 samples are Numba's, bit for bit" in done.out
    assert done.out.endswith("all within the tolerance\n")


@pytest.mark.parametrize("name", ["C1", "C2", "C3", "R", "O1", "O2", "O3", "O4"])
def test_the_first_layer_that_differs_is_named(command, here, tmp_path, name):
    """Every runtime that reads the .bin has it wrong."""
    model = binary.load("out.bin")
    m = model.matrices[name]
    wrong = replace(m, values=m.values * np.float32(1.5))
    binary.save(replace(model, matrices={**model.matrices, name: wrong}), tmp_path / "bad.bin")
    done = command(main, "model.pt", tmp_path / "bad.bin", *CLIP)
    assert done.code == 1 and done.err == ""
    for runtime in ("ONNX Runtime", "Numba"):
        assert f"{runtime}: the first layer that differs is {name}: by " in done.out


def test_an_onnx_file_that_differs(command, here, tmp_path):
    graph = onnx.load("net.onnx")
    (O3,) = [c for c in graph.graph.initializer if c.name == "O3"]
    O3.CopyFrom(onnx.numpy_helper.from_array(1.5 * onnx.numpy_helper.to_array(O3), "O3"))
    onnx.save(graph, tmp_path / "bad.onnx")
    (tmp_path / "bad.cond.onnx").write_bytes(Path("net.cond.onnx").read_bytes())
    done = command(main, "model.pt", "out.bin", "--onnx", tmp_path / "bad.onnx", *CLIP)
    assert done.code == 1 and "ONNX Runtime: the first layer that differs is O3" in done.out
    assert "Numba: " not in done.out


@pytest.mark.parametrize("name", ["C1", "C2", "C3", "R", "O1", "O2", "O3", "O4"])
def test_the_layer_in_which_c_differs_is_named(command, here, monkeypatch, name):
    def wrong_in_c(model, backend):
        m = model.matrices[name]
        wrong = {**model.matrices, name: replace(m, values=m.values * np.float32(1.5))}
        return Voice(replace(model, matrices=wrong) if backend == "c" else model, backend)

    monkeypatch.setattr("wv_train.verify.Voice", wrong_in_c)
    done = command(main, "model.pt", "out.bin", *CLIP)
    assert done.code == 1 and "C: the first sample that differs from Numba's is " in done.out
    assert f"; the first layer that differs is {name}\n" in done.out


@pytest.mark.parametrize("name", ["C1", "C2", "C3", "R", "O1", "O2", "O3", "O4"])
def test_samples_show_a_small_change_of_any_layer(name):
    """So those of C, which are Numba's, tell as much as its layers would."""
    model = replace(binary.load(ROOT / "voices/kathleen16-small/voice.bin"), postfilter=None)
    m, mel = model.matrices[name], verify.spoken_clip(model, 0.1).mel
    part = "scale" if m.dtype == "int8" else "values"
    changed = replace(m, **{part: (getattr(m, part) * np.float32(1.001)).astype(getattr(m, part).dtype)})
    pcm = [Voice(replace(model, matrices={**model.matrices, name: matrix}), "c")(mel)[:700] for matrix in (m, changed)]
    assert (pcm[0] != pcm[1]).any()


def test_c_that_differs_everywhere(command, here, monkeypatch):
    same = np.ones(100, bool)
    same[7] = False
    monkeypatch.setattr("wv_train.verify.numba_and_c", lambda model, mel: same)
    done = command(main, "model.pt", "out.bin", *CLIP)
    assert done.code == 1
    assert "C: the first sample that differs from Numba's is 7; no layer alone is the cause" in done.out


def test_bad_use(command, here, tmp_path):
    binary.save(replace(binary.load("out.bin"), config=tiny_config(preemphasis=0.5)), tmp_path / "other.bin")
    Path("text.onnx").write_text("no graph")
    Path("text.cond.onnx").write_text("no graph")
    for args, words in (
        (["model.pt", tmp_path / "other.bin"], "other.bin: preemphasis: found 0.5, wanted 0.85, that of model.pt"),
        (["model.pt", "out.bin", "--onnx", "text.onnx"], "text.cond.onnx: not an ONNX model"),
        (["model.pt", "out.bin", "--onnx", "none.onnx"], "none.cond.onnx: No such file"),
        (["none.pt", "out.bin"], "none.pt: "),
        (["model.pt", "out.bin", "--clip", "none.wav"], "none.wav: no such file"),
    ):
        done = command(main, *args, *CLIP)
        assert done.code == 1 and words in done.err and done.err.count("\n") == 1, done
