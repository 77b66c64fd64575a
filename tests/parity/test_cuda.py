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
from wv_runtime.engine.cuda_grid import Grid
from wv_runtime.engine.cuda_net import NO_OPT_IN, Image
from wv_runtime.engine.synth import Voice
from wv_runtime.model import binary

NUMBA_CUDA = importlib.util.find_spec("numba_cuda") is not None
TOOLKIT = NUMBA_CUDA and all(importlib.util.find_spec(f"cuda.{name}") for name in ("core", "bindings"))
needs_toolkit = pytest.mark.skipif(not TOOLKIT, reason="numba-cuda's toolkit is not installed")
needs_numba_cuda = pytest.mark.skipif(not NUMBA_CUDA, reason="numba-cuda is not installed")

# Models, the bytes of shared memory that a block may take, 0 for all (enough for all, some or no matrix), and threads a
# block, 0 for the kernel over the whole grid: one lane to eight lanes a row
CASES = {
    "bytes": ({"cfg": {"preemphasis": 0.0}, "block": (16, 4)}, 0, 64),
    "some matrices shared": ({"cfg": {"n_out": 80, "n_sub": 1, "preemphasis": 0.0}, "block": (4, 4)}, 6800, 128),
    "linear prediction": ({"cfg": {"lpc_order": 35, "preemphasis": 0.0}, "block": (32, 4)}, 3808, 32),
    "eight lanes": ({"cfg": {}, "block": (8, 4)}, 0, 512),
    "whole grid": ({"cfg": {"lpc_order": 3, "preemphasis": 0.0}, "block": (16, 4)}, 0, 0),
    "two subscale lanes": (
        {
            "cfg": {"lpc_order": 9, "subscale": 2, "horizon": 1, "lookback": 7, "context": 11, "preemphasis": 0.0},
            "block": (8, 4),
        },
        0,
        128,
    ),
    "five subscale lanes": (
        {"cfg": {"lpc_order": 41, "subscale": 5, "horizon": 2, "lookback": 10, "preemphasis": 0.1}, "block": (16, 4)},
        18000,
        160,
    ),
}
# Frames, those pushed before the first pull, seed, temperature, and the samples of each pull: across sub-frames of 10
# and frames of 20 samples
STREAMS = [[1, 1, 5, 1.0, [3]], [2, 2, 2**64 - 1, 0.3, [4, 9, 8]], [2, 2, 0, 5.0, [1]]]
FEW = [[1, 1, 7, 1.0, [1, 2]]]
ALL_LANES = [[6, 5, 3, 0.9, [9, 1, 31]], [4, 4, 11, 1.0, [80]]]


def streams_of(case):
    return FEW if case in ("eight lanes", "whole grid") else ALL_LANES if "subscale" in case else STREAMS


def model_of(case):
    changes, shared_bytes, _ = CASES[case]
    return tiny_model("int8", cfg=tiny_config(**changes["cfg"]), block=changes["block"]), shared_bytes


def run_simulated(script, *arguments):
    """What a script of tests/support prints, from JSON"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, SUPPORT / script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """The samples of every case, from one process"""
    folder, jobs = tmp_path_factory.mktemp("cuda"), []
    for case, (_, shared_bytes, n_threads) in CASES.items():
        path = folder / f"{case}.bin"
        binary.save(model_of(case)[0], path)
        jobs.append([str(path), shared_bytes, n_threads, streams_of(case)])
    return dict(zip(CASES, run_simulated("simulate_cuda.py", json.dumps(jobs))))


@pytest.mark.slow
@needs_numba_cuda
@pytest.mark.parametrize("case", CASES)
def test_the_samples_of_the_cpu(case, simulated):
    """From mels to samples: the conditioning runs on the device, too."""
    model, _ = model_of(case)
    voice = Voice(model, "c", postfilter=False)
    for pcm, (n_frames, _, seed, temperature, pulls) in zip(simulated[case], streams_of(case), strict=True):
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
    assert (
        all(shared["bytes"] + shared["eight lanes"])
        and 0 < sum(shared["some matrices shared"]) < 5
        and not any(shared["linear prediction"])
    )


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


@needs_numba_cuda
def test_lanes_over_the_whole_grid_are_refused():
    model = tiny_model("int8", cfg=tiny_config(lpc_order=4, subscale=2, lookback=3))
    with pytest.raises(ValueError, match="backend cuda: found 2 subscale lanes, wanted a model without for the grid"):
        Grid(model, Image(model, NO_OPT_IN), None)


# Registers that a block of so many threads leaves each; barriers: those of a sample, of a subscale step one more, and
# one before the first; divisions of integers
LIMITS = {
    "sample_block": (64, 10, 0),
    "condition_block": (255, 3, 4),
    "interpolate_block": (255, 5, 1),
    "grid_block": (128, 17, 0),
}


@needs_toolkit
@pytest.mark.slow
@pytest.mark.parametrize("capability", gpu_resources.CAPABILITIES)
@pytest.mark.parametrize("kernel", gpu_resources.KERNELS)
def test_what_the_kernels_compile_to(kernel, capability):
    """Without spills; no float operation is fused or flushes subnormals; no division in the loop over samples."""
    found = gpu_resources.resources(kernel, capability)
    registers, barriers, divisions = LIMITS[kernel]
    assert found.registers <= registers and found.spilled_bytes == 0
    assert found.dp4a >= (0 if kernel == "interpolate_block" else 4) and found.fused == 0 and found.flushing == 0
    assert found.barriers <= barriers and found.divisions <= divisions
    if kernel == "grid_block":  # its weights stay in registers; the two are 1 / sigma of a new sub-frame
        assert found.loop_loads == 2


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
    speed, steps, of_lanes = run_simulated("simulate_cuda_speed.py")
    assert speed["samples_per_s"] == pytest.approx(2 / speed["seconds"][0]) and steps["n"] == [1, 2]
    assert steps["us_per_sample_s"] == pytest.approx(1e6 * (steps["seconds"][1] - steps["seconds"][0]))
    assert len(of_lanes["seconds"]) == 2
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
