"""Wheels that need no compiler: for x86-64, and for AArch64 by Debian's cross compiler.

auditwheel looks at what the library wants of glibc and names the wheel by it. A commit gives the same bytes each time:
times in a wheel are the commit's. On hosted CI cibuildwheel does the same in manylinux's images ([tool.cibuildwheel]).

Usage: ``python release/wheels.py dist`` (wavernn[release]; make wheels)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMPILERS = {"x86_64": "gcc", "aarch64": "aarch64-linux-gnu-gcc"}


def run(*command: object) -> str:
    env = os.environ | {
        "SOURCE_DATE_EPOCH": commit_time(),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, text=True, env=env)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def commit_time() -> str:
    command = ["git", "log", "-1", "--format=%ct"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def wheel(arch: str, out: Path) -> Path:
    """Build the wheel of one architecture into the folder `out`; its path."""
    with tempfile.TemporaryDirectory() as folder:
        define = {"SYSTEM_NAME": "Linux", "SYSTEM_PROCESSOR": arch, "C_COMPILER": COMPILERS[arch]}
        options = [f"-Ccmake.define.CMAKE_{name}={value}" for name, value in define.items()]
        run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder, *options, ".")
        (built,) = Path(folder).glob("*.whl")
        tags = ["--remove", "--platform-tag", f"linux_{arch}"]  # pip names it for this machine
        built = built.with_name(run(sys.executable, "-m", "wheel", "tags", *tags, built).strip())
        repaired = Path(folder) / "repaired"
        run(sys.executable, "-m", "auditwheel", "repair", "-w", repaired, built)
        (made,) = repaired.glob("*.whl")
        out.mkdir(parents=True, exist_ok=True)
        return Path(shutil.move(made, out / made.name))


if __name__ == "__main__":
    for arch in COMPILERS:
        print(wheel(arch, Path(sys.argv[1]).absolute()))
