"""What an app relies on: failing allocations are survived, none comes after creation, no globals that change."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import DATA, LIBWAVERNN, SUPPORT
from model_fixtures import tiny_config, tiny_model
from wv_bench.synthetic import synthetic_config, synthetic_model
from wv_runtime.model import binary

FLAGS = ["-std=c11", "-g", "-Wall", "-Wextra", "-Werror", f"-I{LIBWAVERNN / 'include'}"]
WRAP = "-Wl,--wrap=malloc,--wrap=calloc,--wrap=free"


@pytest.fixture(scope="module")
def program(c_build, tmp_path_factory):
    path = tmp_path_factory.mktemp("memory") / "memory"
    command = ["cc", *FLAGS, SUPPORT / "memory.c", c_build / "libwavernn.a", WRAP, "-lm", "-lpthread", "-o", path]
    subprocess.run(command, check=True)
    return path


@pytest.fixture(scope="module")
def model_files(tmp_path_factory):
    paths = sorted(DATA.glob("golden_*.bin"))
    for dtype in ("f32", "int8"):
        paths.append(tmp_path_factory.mktemp(dtype) / "lpc.bin")
        binary.save(tiny_model(dtype, cfg=tiny_config(lpc_order=16, preemphasis=0.0)), paths[-1])
    return paths


def test_every_allocation_fails_once_and_none_comes_late(program, model_files):
    done = subprocess.run([program, *model_files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    counts = [int(line.split()[0]) for line in done.stdout.splitlines()]
    assert len(counts) == len(model_files) and min(counts) >= 6


def test_valgrind_finds_nothing(program, model_files):
    if not shutil.which("valgrind") and "WV_NEED_FUZZ" not in os.environ:
        pytest.skip("valgrind is not installed")
    command = ["valgrind", "--quiet", "--error-exitcode=3", "--leak-check=full", program, model_files[-1]]
    done = subprocess.run(command, capture_output=True, text=True, env={"WV_ISA": "avx2"})  # it knows no AVX-512
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("backend", ["c", "numba"])
def test_half_an_hour_takes_no_more_memory_than_two_minutes(backend, tmp_path):
    binary.save(synthetic_model(synthetic_config(64, 16, preset="16k"), 0.5, (16, 4), "int8"), tmp_path / "small.bin")
    command = [sys.executable, "-m", "wv_bench.long_stream", tmp_path / "small.bin", "--backend", backend]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    resident = [float(line.split()[2]) for line in done.stdout.splitlines()[1:]]
    assert len(resident) == 30 and max(resident) <= max(resident[:2]) + 1.0, done.stdout


def test_no_writable_globals(c_build):
    """Only constants, and addresses that the loader relocates: nothing that two threads could both write."""
    if not shutil.which("size"):
        pytest.skip("binutils are not installed")
    text = subprocess.run(["size", "-A", c_build / "libwavernn.a"], capture_output=True, text=True, check=True).stdout
    sections = re.findall(r"^(\.\S+)\s+(\d+)", text, re.MULTILINE)
    assert any(name == ".text" and int(n) > 0 for name, n in sections)
    writable = [(name, n) for name, n in sections if re.match(r"\.(data|bss|tdata|tbss)(?!\.rel\.ro)", name) and int(n)]
    assert writable == []
