"""What an app relies on: failing allocations are survived, none comes after creation, no globals that change."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from conftest import DATA, LIBWAVERNN, SUPPORT
from model_fixtures import tiny_config, tiny_model
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
    if not shutil.which("valgrind"):
        pytest.skip("valgrind is not installed")
    command = ["valgrind", "--quiet", "--error-exitcode=3", "--leak-check=full", program, model_files[-1]]
    done = subprocess.run(command, capture_output=True, text=True, env={"WV_ISA": "avx2"})  # it knows no AVX-512
    if "unrecognised instruction" in done.stderr:
        pytest.skip("this valgrind does not know the CPU's instructions")
    assert done.returncode == 0, done.stderr


def test_no_writable_globals(c_build):
    """Only constants, and addresses that the loader relocates: nothing that two threads could both write."""
    if not shutil.which("size"):
        pytest.skip("binutils are not installed")
    text = subprocess.run(["size", "-A", c_build / "libwavernn.a"], capture_output=True, text=True, check=True).stdout
    sections = re.findall(r"^(\.\S+)\s+(\d+)", text, re.MULTILINE)
    assert any(name == ".text" and int(n) > 0 for name, n in sections)
    writable = [(name, n) for name, n in sections if re.match(r"\.(data|bss|tdata|tbss)(?!\.rel\.ro)", name) and int(n)]
    assert writable == []
