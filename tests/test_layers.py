"""The arrows of the README's picture: who may import what."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"wv_runtime": "runtime", "wv_export": "export", "wv_eval": "export", "wv_train": "train"}
STDLIB = set(sys.stdlib_module_names)
COMMANDS = {"cli", "mel_cli", "cli_common", "inspect", "demo", "bench", "predict"}  # of wv_runtime

# Inside wv_runtime a module imports only modules of a lower rank.
RANK = {
    "__init__": 0, "errors": 0, "config": 0, "atomic": 0, "report": 0,
    "format": 1, "mel": 1, "mel_file": 1, "kernels": 1, "cli_common": 1, "speech": 1,
    "_native": 2, "synthetic": 2, "cost": 2, "plots": 2, "synth": 3,
    "nll": 4,
    "cli": 4, "mel_cli": 4, "inspect": 4, "demo": 4, "bench": 4, "predict": 4,
}  # fmt: skip


def modules(package: str) -> list[Path]:
    return sorted((ROOT / PACKAGES[package] / package).rglob("*.py"))


def imports(path: Path, package: str) -> list[tuple[str, bool]]:
    """(absolute module name, is it imported only when a function runs)"""
    found = []
    here = [package, *path.relative_to(ROOT / PACKAGES[package] / package).parent.parts]

    def visit(node: ast.AST, lazy: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.extend((alias.name, lazy) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = here[: len(here) - child.level + 1] if child.level else []
                name = ".".join([*base, *([child.module] if child.module else [])])
                # `from . import format` names modules
                found.extend((name if child.module else f"{name}.{alias.name}", lazy) for alias in child.names)
            visit(child, lazy or isinstance(child, ast.FunctionDef | ast.Lambda))

    visit(ast.parse(path.read_text()), False)
    return found


def top(name: str) -> str:
    return name.split(".")[0]


def test_the_parser_sees_imports():
    assert ("torch", False) in imports(ROOT / "train/wv_train/model.py", "wv_train")
    assert ("matplotlib", True) in imports(ROOT / "runtime/wv_runtime/demo.py", "wv_runtime")
    assert ("wv_runtime.errors", False) in imports(ROOT / "runtime/wv_runtime/synth.py", "wv_runtime")


@pytest.mark.parametrize("path", modules("wv_runtime"), ids=lambda p: p.stem)
def test_runtime_needs_numpy_and_numba_only(path):
    for name, lazy in imports(path, "wv_runtime"):
        allowed = STDLIB | {"numpy", "numba", "llvmlite", "wv_runtime"}
        if path.stem in COMMANDS:
            allowed |= {"click", "soundfile"}
        if lazy:
            allowed |= {"soundfile", "librosa", "soxr", "matplotlib"}
        assert top(name) in allowed, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", modules("wv_runtime"), ids=lambda p: p.stem)
def test_runtime_imports_point_down(path):
    def rank(module: str) -> int:
        assert module in RANK, f"{module} is new: give it a rank"
        return RANK[module]

    parts = path.relative_to(ROOT / "runtime/wv_runtime").with_suffix("").parts
    for name, _ in imports(path, "wv_runtime"):
        target = name.split(".")[1:2]
        if top(name) != "wv_runtime" or not target or target[0].startswith("__"):
            continue
        if parts[0] == "kernels":
            assert target[0] == "kernels", f"{path.name} imports {name}: kernels import kernels alone"
        else:
            assert rank(target[0]) < rank(parts[0]), f"{path.name} imports {name}"


EVALUATION = {"librosa", "matplotlib", "pesq", "pocketsphinx", "pystoi", "pyworld", "soxr"}


@pytest.mark.parametrize("path", modules("wv_eval"), ids=lambda p: p.stem)
def test_evaluation_needs_the_runtime_and_scoring_libraries_only(path):
    allowed = STDLIB | {"click", "numpy", "soundfile", "tqdm", "wv_eval", "wv_runtime"} | EVALUATION
    for name, _ in imports(path, "wv_eval"):
        assert top(name) in allowed, f"{path.name} imports {name}"


@pytest.mark.parametrize("package, others", [("wv_export", {"wv_train"}), ("wv_train", {"wv_export"})])
def test_trainer_and_exporter_meet_in_the_checkpoint_alone(package, others):
    for path in modules(package):
        for name, _ in imports(path, package):
            assert top(name) not in others, f"{path.name} imports {name}"


def test_exporter_imports_torch_only_when_it_runs():
    for path in modules("wv_export"):
        assert ("torch", False) not in imports(path, "wv_export"), f"{path.name} imports torch"


def test_running_a_model_loads_no_torch():
    code = "import sys, wv_runtime.cli, wv_runtime.mel_cli, wv_runtime.inspect; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_folders_are_not_packages():
    for folder in PACKAGES.values():
        assert not (ROOT / folder / "__init__.py").exists()
