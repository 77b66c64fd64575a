"""The ARM builds, executed: wv_run for AArch64 (with and without dot product) and armv7 under qemu gives x86's PCM.

Needs a cross compiler and qemu-user, e.g. Debian's gcc-aarch64-linux-gnu, gcc-arm-linux-gnueabihf, qemu-user.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import DATA, SUPPORT, build_c
from model_fixtures import random_matrix, tiny_config, tiny_mel, tiny_model
from wv_runtime.features.mel_file import save_mel
from wv_runtime.model import binary as bin_format

pytestmark = pytest.mark.slow

TARGETS = {"aarch64": ("aarch64-linux-gnu-gcc", "qemu-aarch64"), "armv7l": ("arm-linux-gnueabihf-gcc", "qemu-arm")}
BUILT = Path(os.environ["WV_ARM_BUILD"]).absolute() if "WV_ARM_BUILD" in os.environ else None  # of `make arm`
CPUS = [
    ("aarch64", "cortex-a53", "neon"),  # no dot product: sdot would be an illegal instruction
    ("aarch64", "cortex-a76", "neon_dot"),
    ("armv7l", "cortex-a15", "neon"),
]


@pytest.fixture(scope="session")
def arm_wv_run(tmp_path_factory):
    built = {}

    def build(processor):
        compiler, qemu = TARGETS[processor]
        for program in (compiler, qemu):
            if not shutil.which(program):
                pytest.skip(f"{program} is not installed")
        if BUILT:
            built[processor] = BUILT / f"arm-{processor}/wv_run"
        elif processor not in built:
            toolchain = f"-DCMAKE_TOOLCHAIN_FILE=cmake/{processor}.cmake"
            built[processor] = build_c(tmp_path_factory.mktemp(processor), toolchain) / "wv_run"
        return [qemu, built[processor]]

    return build


@pytest.mark.skipif(not BUILT, reason="make arm builds it with musl")
def test_static_wv_run_is_small():
    path = BUILT / "arm-aarch64/wv_run"
    print(f"{path.name}: {path.stat().st_size} bytes")
    assert path.stat().st_size < 450_000  # 150,000 of them are the kernels of lanes, which Subscale takes


def run(command: list[object], *args: object) -> dict:
    done = subprocess.run([*map(str, [*command, *args, "--json"])], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def extreme_model():
    """The first half of the units stays at -1, q = -128; the others see it through the largest weights, and a bias that
    takes all but a little of that away: a product sum that wraps in 16 bits is heard.
    """
    model, (rows, cols) = tiny_model("int8", block=(16, 4), cfg=tiny_config(preemphasis=0.0)), (192, 64)
    quads, late = np.zeros((rows, cols // 4, 4), np.int8), np.arange(rows) % 64 >= 32
    quads[late, :8] = [-127, -1, -127, -1]
    blocks = quads.reshape(rows // 16, 16, cols // 4, 4).transpose(0, 2, 1, 3)
    scale = np.full(rows, 1 / 4096, np.float32)
    little = np.random.default_rng(0).normal(size=rows) - scale * 8 * 256 * 128
    full = {"row_ptr": np.arange(13, dtype=np.int32) * 16, "col_idx": np.tile(np.arange(16, dtype=np.uint16), 12)}
    model.matrices["R"] = replace(
        model.matrices["R"], values=np.ascontiguousarray(blocks).reshape(-1), **full, scale=scale,
        bias=np.where(late, little, np.repeat([-40, 40, -40], 64)).astype(np.float32),
    )  # fmt: skip
    return model


@pytest.mark.parametrize(("processor", "cpu", "isa"), CPUS)
def test_arm_gives_the_same_pcm(processor, cpu, isa, arm_wv_run, c_build, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    qemu, program = arm_wv_run(processor)
    for dtype in ("f32", "f16", "int8"):
        for block in ((4, 4), (8, 4), (16, 4), (32, 4)):
            model = tiny_model(dtype, block=block)
            bin_format.save(model, "m.bin")
            save_mel("m.npy", tiny_mel(model.config, 3), model.config.mel)
            for chunk in (["--chunk-frames", 1], []):
                args = ["m.bin", "m.npy", "-o", "o.wav", "--seed", 3, *chunk]
                ours, wanted = run([qemu, "-cpu", cpu, program], *args), run([c_build / "wv_run"], *args)
                exact = "portable" if processor == "armv7l" and dtype != "int8" else isa  # its NEON flushes subnormals
                assert ours["isa"] == exact and ours["sha256"] == wanted["sha256"], (dtype, block)
    for golden in ("golden_v2_int8.bin", "golden_v3_int8.bin"):  # linear prediction and the post-filter; its comb
        args = [DATA / golden, "m.npy", "-o", "o.wav", "--seed", 3, "--chunk-frames", 1]
        assert run([qemu, "-cpu", cpu, program], *args)["sha256"] == run([c_build / "wv_run"], *args)["sha256"]
    args[0] = "m.bin"
    for dtype in ("f32", "f16", "int8"):  # Subscale
        cfg = tiny_config(lpc_order=6, subscale=5, horizon=2, lookback=3, context=3)
        bin_format.save(tiny_model(dtype, cfg=cfg), "m.bin")
        interleaved = run([qemu, "-cpu", cpu, program], *args)["sha256"]
        assert interleaved == run([c_build / "wv_run"], *args)["sha256"], dtype
    bin_format.save(extreme_model(), "m.bin")
    extreme = run([qemu, "-cpu", cpu, program], *args)["sha256"]
    assert extreme == run([c_build / "wv_run"], *args)["sha256"]
    assert run([qemu, "-cpu", cpu, program], *args, "--isa", "portable")["sha256"] == extreme
    assert Path("o.wav").stat().st_size == 44 + 2 * 3 * model.config.mel.hop_length


def test_block_rows_by_hand(arm_wv_run, c_build, tmp_path, monkeypatch):
    """neon_dot's assembly: no blocks, empty rows before, between and after others, odd and even ones, saturation."""
    monkeypatch.chdir(tmp_path)
    qemu, program = arm_wv_run("aarch64")
    model = tiny_model("int8", block=(16, 4))
    save_mel("m.npy", tiny_mel(model.config, 8), model.config.mel)
    shapes, last_rows = model.config.matrix_shapes(), set()
    for max_blocks, R_gain in ((0, 2.0), (1, 2.0), (1, 2000.0), (2, 50.0), (3, 2.0), (16, 2.0), (16, 2000.0)):
        rng = np.random.default_rng(max_blocks)
        for name in ("R", "O1", "O2", "O3", "O4"):
            gain = 20.0 if name in ("O2", "O4") else R_gain  # logits that hear one level of a relu
            m = random_matrix(rng, name, *shapes[name], "int8", (16, 4), max_blocks, gain)
            last_rows.add(int(m.row_ptr[-1] - m.row_ptr[-2]))
            model.matrices[name] = replace(m, bias=m.bias * np.float32(R_gain))
        bin_format.save(model, "m.bin")
        args = ["m.bin", "m.npy", "-o", "o.wav"]
        ours, wanted = run([qemu, "-cpu", "cortex-a76", program], *args), run([c_build / "wv_run"], *args)
        assert ours["isa"] == "neon_dot" and ours["sha256"] == wanted["sha256"], (max_blocks, R_gain)
    assert {0, 1, 2} <= last_rows


@pytest.mark.parametrize(
    ("dtype", "cpu", "wanted"),
    [("int8", "cortex-a76", {"sdot", "sqrdmlah", "tbl"}), ("int8", "cortex-a53", {"fmul"}),
     ("f32", "cortex-a76", {"fmul"}), ("f16", "cortex-a76", {"fcvtl", "fmul"})],
)  # fmt: skip
def test_numba_compiles_for_aarch64_without_fusing(dtype, cpu, wanted, tmp_path):
    """The code is looked at, not run: dot products where the CPU has them, and never a * b + c in one rounding."""
    bin_format.save(tiny_model(dtype, block=(16, 4)), tmp_path / "m.bin")
    script = SUPPORT / "numba_for_arm.py"
    done = subprocess.run([sys.executable, script, tmp_path / "m.bin", cpu], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    used = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("\t") and line.strip()}
    assert wanted <= used and ("sdot" in used) == ("sdot" in wanted)
    assert not used & {"fmla", "fmls", "fmadd", "fmsub", "fnmadd", "fnmsub"}
