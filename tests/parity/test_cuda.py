"""The CUDA engine: the CPU's samples under numba-cuda's simulator, its errors, what its kernel compiles to."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT, SUPPORT
from model_fixtures import tiny_config, tiny_mel, tiny_model
from wv_bench import bench, gpu_check, gpu_resources, gpu_speed, gpu_train
from wv_runtime.commands.run import main
from wv_runtime.engine.cuda import NO_OPT_IN, Image
from wv_runtime.engine.synth import Voice
from wv_runtime.model import binary

NUMBA_CUDA = importlib.util.find_spec("numba_cuda") is not None
TOOLKIT = NUMBA_CUDA and all(importlib.util.find_spec(f"cuda.{name}") for name in ("core", "bindings"))
needs_toolkit = pytest.mark.skipif(not TOOLKIT, reason="numba-cuda's toolkit is not installed")
needs_numba_cuda = pytest.mark.skipif(not NUMBA_CUDA, reason="numba-cuda is not installed")

# Models and the bytes of shared memory that a block may take, 0 for all: enough for all, for some or for no matrix
CASES = {
    "bytes": ({"cfg": {"preemphasis": 0.0}, "block": (16, 4)}, 0),
    "some matrices shared": ({"cfg": {"n_out": 80, "n_sub": 1, "preemphasis": 0.0}, "block": (4, 4)}, 6800),
    "linear prediction": ({"cfg": {"n_units": 128, "lpc_order": 3}, "block": (32, 4)}, 3808),
}
# Frames, seed, temperature, and the samples of each pull: across sub-frames of 10 and frames of 20 samples
STREAMS = [[1, 5, 1.0, [13]], [2, 2**64 - 1, 0.3, [4, 9, 8]], [2, 0, 5.0, [1]]]


def model_of(case):
    changes, shared_bytes = CASES[case]
    return tiny_model("int8", cfg=tiny_config(**changes["cfg"]), block=changes["block"]), shared_bytes


def simulated(path, shared_bytes, streams):
    command = [sys.executable, SUPPORT / "simulate_cuda.py", path, str(shared_bytes), json.dumps(streams)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_numba_cuda
@pytest.mark.parametrize("case", [pytest.param(c, marks=[] if c == "bytes" else pytest.mark.slow) for c in CASES])
def test_the_samples_of_the_cpu(case, tmp_path):
    model, shared_bytes = model_of(case)
    binary.save(model, tmp_path / "m.bin")
    voice = Voice(model, "c", postfilter=False)
    found = simulated(tmp_path / "m.bin", shared_bytes, STREAMS)
    for pcm, (n_frames, seed, temperature, pulls) in zip(found, STREAMS, strict=True):
        wanted = voice(tiny_mel(model.config, n_frames, seed % 97), seed, temperature)[: sum(pulls)]
        assert len(set(wanted)) > len(wanted) // 2  # not clipped to one value
        assert pcm == wanted.tolist()


@needs_numba_cuda
def test_which_matrices_are_shared():
    shared = {}
    for case in CASES:
        model, shared_bytes = model_of(case)
        image = Image(model, shared_bytes or NO_OPT_IN)
        assert image.n_bytes <= (shared_bytes or NO_OPT_IN)
        shared[case] = [int(getattr(image.net, name).shared) for name in ("R", "O1", "O2", "O3", "O4")]
    assert all(shared["bytes"]) and 0 < sum(shared["some matrices shared"]) < 5 and not any(shared["linear prediction"])


def test_hashes_of_gpu_check(monkeypatch):
    """What `make gpu-check` wants of a GPU is what the C engine gives."""
    monkeypatch.chdir(ROOT)
    for name, expected in gpu_check.EXPECTED.items():
        assert gpu_check.hashes(gpu_check.load_model(name), "c") == list(expected), name


@needs_numba_cuda
def test_one_line_without_a_gpu(command, folder):
    from numba import cuda

    if cuda.is_available():
        pytest.skip("there is a GPU")
    result = command(main, "tiny.bin", "mel.npy", "--backend", "cuda", "-o", "o.wav")
    assert result.code == 1 and not (folder / "o.wav").exists()
    wanted = "found no NVIDIA GPU with a driver, wanted one that numba-cuda can use"
    assert result.err == f"wv-run: error: backend cuda: {wanted}\n"


def test_one_line_without_numba_cuda(command, folder, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "numba_cuda" else find_spec(name))
    result = command(main, "tiny.bin", "mel.npy", "--backend", "cuda", "-o", "o.wav")
    assert result.code == 1 and not (folder / "o.wav").exists()
    assert (
        result.err == "wv-run: error: backend cuda: numba-cuda is not installed, wanted pip install 'wavernn[cuda]'\n"
    )


@needs_numba_cuda
def test_one_line_where_numba_cuda_does_not_fit_numpy(folder):
    """NumPy 2.5 has no row_stack, which numba-cuda 0.30.4 wants."""
    code = "import numpy; vars(numpy).pop('row_stack', 0); from wv_runtime.commands.run import main; main()"
    command = [sys.executable, "-c", code, "tiny.bin", "mel.npy", "--backend", "cuda", "-o", "o.wav"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and not (folder / "o.wav").exists()
    assert re.fullmatch(
        r".*: error: backend cuda: found numba-cuda \S+ with NumPy \S+, which does not load "
        r"\(module 'numpy' has no attribute 'row_stack'\), wanted pip install 'wavernn\[cuda\]'\n", done.stderr,
    ), done.stderr  # fmt: skip


def test_numba_cuda_is_imported_by_its_own_engine_alone():
    code = "import sys, wv_runtime.engine.synth as s; s.Voice; print([m for m in sys.modules if 'numba.cuda.' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@needs_numba_cuda
def test_a_float_model_is_refused():
    with pytest.raises(ValueError, match="backend cuda: found R of f32, wanted a model of wv-export --dtype int8"):
        Image(tiny_model("f32"), NO_OPT_IN)


@needs_toolkit
@pytest.mark.slow
@pytest.mark.parametrize("capability", gpu_resources.CAPABILITIES)
def test_what_the_kernel_compiles_to(capability):
    """In registers, without spills; no float operation is fused or flushes subnormals."""
    found = gpu_resources.resources(capability)
    assert found.registers <= 64 and found.spilled_bytes == 0
    assert found.dp4a >= 10 and found.fused == 0 and found.flushing == 0
    # with `range` in the sample loop there were 52 divisions
    assert found.barriers <= 17 and found.divisions <= 27


@pytest.mark.slow
def test_the_short_voice_of_gpu_check(monkeypatch, tmp_path):
    """On a CPU, two steps long: the trainer's and the exporter's commands that it gives are right."""
    pytest.importorskip("torch")
    monkeypatch.chdir(ROOT)
    size = ("--n-units", "64", "--n-out", "16", "--n-cond", "16", "--valid-windows", "1", "--valid-window", "160")
    model, said = gpu_train.short_voice(tmp_path, "--device", "cpu", "--steps", "2", *size)
    assert model.matrices["R"].dtype == "int8" and "step 2 of 2" in said
    with pytest.raises(RuntimeError, match=r"-m wv_train ended with 2: .*no-such-device"):
        gpu_train.short_voice(tmp_path, "--device", "no-such-device")


@needs_numba_cuda
@pytest.mark.slow
def test_the_measurements_run():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, SUPPORT / "simulate_cuda_speed.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr
    speed, steps = json.loads(done.stdout)
    assert speed["samples_per_s"] == pytest.approx(2 / speed["seconds"][0]) and steps["n"] == [1, 2]
    assert steps["us_per_sample_s"] == pytest.approx(1e6 * (steps["seconds"][1] - steps["seconds"][0]))
    assert gpu_speed.line({**speed, "samples_per_s": 5000.0}).split()[-4:] == ["5,000", "samples/s,", "2,500", "each"]


@needs_numba_cuda
@pytest.mark.parametrize(("args", "code", "wanted"), [
    ([], 1, "backend cuda: found no NVIDIA GPU with a driver, wanted one that numba-cuda can use"),
    *((args, 2, "--backend cuda: found with another backend or an option of theirs, wanted it alone") for args in (
        ["--backend", "c"], ["--isa", "avx2"], ["--lanes", "2"], ["--sweep"], ["--calibrate", "p.json"],
    )),
])  # fmt: skip
def test_one_line_of_wv_bench(command, folder, args, code, wanted):
    from numba import cuda

    if cuda.is_available() and not args:
        pytest.skip("there is a GPU")
    result = command(bench.main, "--n-units", "64", "--n-out", "16", "--backend", "cuda", *args)
    assert (result.code, result.out, result.err) == (code, "", f"wv-bench: error: {wanted}\n")
