"""The C reader alone, and the golden files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import DATA, LIBWAVERNN

C_FLAGS = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow"]


def golden(dtype: str) -> bytes:
    return (DATA / f"golden_v1_{dtype}.bin").read_bytes()


def compiler() -> str:
    cc = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not cc:
        pytest.skip("no C compiler")
    return cc


def build(folder: Path, output: str, *more: str) -> Path:
    sources = [str(LIBWAVERNN / f"core/{name}.c") for name in ("format", "crc32", "derive", "status")]
    include = [f"-I{LIBWAVERNN / 'include'}"]
    subprocess.run([compiler(), *C_FLAGS, *include, *sources, *more, "-o", str(folder / output)], check=True)
    return folder / output
