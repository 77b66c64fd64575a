"""The trainer in `make gpu-check`: its kernels against a CPU's, and a short voice from audio to int8.

The tools do not import each other, so the trainer and the exporter are processes of their own.

Usage: ``model, line = short_voice(Path("build/gpu"), "--device", "cuda", "--max-minutes", "0.5")``
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from wv_runtime.model import binary
from wv_runtime.model.weights import Model

CLIPS = "tests/data/clips"
SHAPE = ("--preset", "16k", "--sparsity", "0.5", "--block", "16x4", "--batch", "64", "--window", "480")


def python(*arguments: str) -> str:
    """The last line that Python printed.

    Raises
    ------
    RuntimeError
        If it failed, with the end of what it said.
    """
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    said = (done.stdout + done.stderr).strip()
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments[:2])} ended with {done.returncode}: {said[-800:]}")
    return said.splitlines()[-1] if said else ""


def has_gpu() -> bool:
    """Whether torch is there and sees a GPU."""
    code = "import torch, sys; sys.exit(0 if torch.cuda.is_available() else 'no GPU')"
    return subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def kernels() -> str:
    """Run the tests of the Triton kernels, on the GPU if there is one; pytest's last line."""
    return python("-m", "pytest", "tests/train/test_gru_cuda.py", "-q", "-p", "no:cacheprovider")


def short_voice(folder: Path, *options: str) -> tuple[Model, str]:
    """Train on the clips of the tests and export to int8: the model, and the trainer's last line.

    options : of wv-train, as how long and on which device
    """
    checkpoint, model = str(folder / "short.pt"), str(folder / "short.bin")
    keep = ("--cache-dir", str(folder / "features"), "--no-log", "--overwrite")
    said = python("-m", "wv_train", CLIPS, "-o", checkpoint, *SHAPE, *keep, *options)
    python("-m", "wv_export.cli", checkpoint, model, "--dtype", "int8")
    return binary.load(model), said
