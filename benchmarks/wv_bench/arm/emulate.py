"""Executed instructions: the C library cross-built and run under qemu-user with the plugin icount.c.

The plugin says how often each block of straight-line code ran. Runs with two counts of samples are subtracted: start-up
cancels, and the result is exact.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wv_runtime.errors import WaveRNNError

from wv_bench.arm.cores import Build, Target

HERE = Path(__file__).parent
LIBWAVERNN = HERE.parents[2] / "runtime/libwavernn"  # of a checkout
Counts = dict[tuple[int, int], float]  # (address, instructions) of a block -> how often it ran


def tool(*names: str) -> str:
    """The first of these programs that is installed."""
    for name in names:
        if found := shutil.which(name):
            return found
    raise WaveRNNError(f"{names[0]}: not installed, wanted for python -m wv_bench.arm")


def llvm(name: str) -> str:
    """An LLVM tool, the newest one; before 16 it knows no Neoverse V1."""
    return tool(*(f"llvm-{name}-{n}" for n in range(24, 15, -1)), f"llvm-{name}")


def run(command: Sequence[object], **kwargs: Any) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **kwargs)
    if done.returncode:
        raise WaveRNNError(f"{command[0]}: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
    return done.stdout


class Emulated:
    """arm_stage, cross-built once per processor, under qemu with the plugin."""

    def __init__(self, folder: Path):
        self.folder, self.programs = folder, dict[Build, Path]()
        self.plugin = folder / "icount.so"
        run([tool("cc", "gcc", "clang"), "-O2", "-shared", "-fPIC", "-o", self.plugin, HERE / "icount.c"])

    def program(self, build: Build) -> Path:
        if build not in self.programs:
            cmake = shutil.which("cmake", path=str(Path(sys.executable).parent)) or tool("cmake")
            out = self.folder / build.processor
            gcc = tool(build.gcc)
            run([cmake, "-S", LIBWAVERNN, "-B", out, "-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_C_COMPILER={gcc}",
                 f"-DCMAKE_SYSTEM_PROCESSOR={build.processor}"])  # fmt: skip
            run([cmake, "--build", out, "--target", "wavernn_static", "-j2"])
            self.programs[build] = out / "arm_stage"
            run([gcc, "-O2", "-static", "-o", out / "arm_stage", f"-I{LIBWAVERNN}/include", HERE / "arm_stage.c",
                 out / "libwavernn.a", "-lm"])  # fmt: skip
        return self.programs[build]

    def counts(self, target: Target, model: Path, stage: int, n: int, lanes: int) -> Counts:
        """Blocks that n runs of a stage of so many streams in step executed, start-up included."""
        log = self.folder / "counts.txt"
        program = self.program(target.build)
        command = [tool(target.build.qemu), "-cpu", target.cpu, "-plugin", self.plugin, "-d", "plugin", "-D", log]
        isa = run([*command, program, model, stage, n, lanes], timeout=300).strip()
        if isa != target.isa:
            raise WaveRNNError(f"{target.cpu}: found ISA {isa}, wanted {target.isa}")
        found: Counts = {}
        for line in log.read_text().splitlines():
            address, n_insns, n_entered = line.split()
            key = int(address, 16), int(n_insns)
            found[key] = found.get(key, 0) + int(n_entered)
        return found

    def per_run(self, target: Target, model: Path, stage: int, n: int = 4, lanes: int = 1) -> Counts:
        """Blocks of one run: what n + 1 runs executed beyond 1."""
        one, more = (self.counts(target, model, stage, k, lanes) for k in (1, n + 1))
        changes = {key: (more.get(key, 0) - one.get(key, 0)) / n for key in one | more}
        return {key: change for key, change in changes.items() if change}


def instructions(counts: Counts) -> float:
    return sum(n_insns * n for (_, n_insns), n in counts.items())


# the address that a branch or adrp ends with; llvm-mca takes labels only
_LABEL = re.compile(r"^((?:b|bl|b\.\w+|cbn?z|tbn?z|adrp?)\s.*?)0x[0-9a-f]+$")


def disassemble(program: Path) -> dict[int, str]:
    """Address -> instruction of an AArch64 program, as llvm-mca reads it; none for one that LLVM does not know."""
    text = {}
    for line in run([llvm("objdump"), "-d", "--no-show-raw-insn", "--mattr=+dotprod,+rdm", program]).splitlines():
        if found := re.match(r"\s*([0-9a-f]+):\s+([^<\s][^<]*)", line):
            text[int(found[1], 16)] = _LABEL.sub(r"\1there", found[2].strip())
    return text


# multiply-adds that an instruction of an inner loop does
MACS = {"sdot": 16, "smull": 8, "smull2": 8, "smlal": 8, "smlal2": 8, "fmul": 4}


def loop_per_16_macs(counts: Counts, text: dict[int, str]) -> float:
    """Instructions per 16 multiply-adds in the block that executes most of them: the inner loop."""

    def macs(block: tuple[int, int]) -> int:
        address, n_insns = block
        return sum(MACS.get(text[address + 4 * k].split()[0], 0) for k in range(n_insns))

    loop = max(counts, key=lambda block: counts[block] * macs(block))
    return 16 * loop[1] / macs(loop)
