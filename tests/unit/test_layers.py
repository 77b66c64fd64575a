"""Who may import whom: the contracts of pyproject.toml, and what import-linter does not look at."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT


def test_imports_keep_the_contracts():
    program = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    assert program, "lint-imports not found; it comes with the extra wavernn[test]"
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("heavy", ["torch", "librosa", "matplotlib", "soxr", "onnx"])
def test_running_a_model_loads_no_extra(heavy):
    commands = "wv_runtime.commands.run, wv_runtime.commands.mel, wv_export.cli"
    code = f"import sys, {commands}; print('{heavy}' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize("heavy", ["wv_runtime.engine", "numba", "soundfile"])
def test_making_mels_loads_no_engine(heavy):
    code = f"import sys, wv_runtime.commands.mel; print('{heavy}' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_folders_are_not_packages():
    for folder in ("benchmarks", "eval", "export", "runtime", "train"):
        assert not (ROOT / folder / "__init__.py").exists()
