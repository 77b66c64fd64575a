"""The ARM builds, executed: wv_run for AArch64 (with and without dot product) and armv7 under qemu gives x86's PCM.

Needs a cross compiler and qemu-user, e.g. Debian's gcc-aarch64-linux-gnu, gcc-arm-linux-gnueabihf, qemu-user.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import build_c
from model_fixtures import tiny_mel, tiny_model
from wv_runtime import format as bin_format
from wv_runtime.mel_file import save_mel

TARGETS = {"aarch64": ("aarch64-linux-gnu-gcc", "qemu-aarch64"), "armv7l": ("arm-linux-gnueabihf-gcc", "qemu-arm")}
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
        if processor not in built:
            flags = ["-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_SYSTEM_PROCESSOR={processor}",
                     f"-DCMAKE_C_COMPILER={compiler}", "-DCMAKE_EXE_LINKER_FLAGS=-static"]  # fmt: skip
            built[processor] = build_c(tmp_path_factory.mktemp(processor), *flags) / "wv_run"
        return [qemu, built[processor]]

    return build


def run(command: list[object], *args: object) -> dict:
    done = subprocess.run([*map(str, [*command, *args, "--json"])], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


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
                assert ours["isa"] == isa and ours["sha256"] == wanted["sha256"], (dtype, block)
    assert run([qemu, "-cpu", cpu, program], *args, "--isa", "portable")["sha256"] == wanted["sha256"]
    assert Path("o.wav").stat().st_size == 44 + 2 * 3 * model.config.mel.hop_length
