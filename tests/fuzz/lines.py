"""Which lines of the readers are reached: of C by the corpora of `make fuzz`, of Python by damaged files and tests.

Usage: ``python tests/fuzz/run.py --minutes 1 --coverage reader stream`` (make coverage)
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from run import HERE, NATIVE, ROOT, build, run_native

LEAST = 98  # percent of the lines of format.c, and of the readers in Python
MODEL = ROOT / "runtime/wv_runtime/model"
READERS = [MODEL / f"{name}.py" for name in ("binary", "checks", "layout", "checkpoint", "torch_file")]
RUNS = {"bin": 5000, "checkpoint": 1000}
TESTS = (
    "tests/unit/test_format.py",
    "tests/unit/test_damaged_format.py",
    "tests/train/test_checkpoint.py",
    "tests/commands/test_hostile_checkpoints.py",
    "tests/commands/test_trust.py::test_metadata_that_is_no_json_in_utf_8",
)


def of_c(folder: Path, seeds: Path) -> dict[str, float]:
    """Percent of the lines of each file of C that the corpora reach."""
    programs = build(folder / "coverage", "")
    raw = []
    for target in NATIVE:
        raw.append(folder / f"{target}.profraw")
        os.environ["LLVM_PROFILE_FILE"] = str(raw[-1])
        run_native(programs / f"fuzz_{target}", folder / "corpus" / target, seeds, folder / "findings", "-runs=0")
    merged = folder / "all.profdata"
    subprocess.run(["llvm-profdata-19", "merge", "-sparse", *raw, "-o", merged], check=True)
    command = ["llvm-cov-19", "report", programs / "fuzz_reader", "-object", programs / "fuzz_stream"]
    text = subprocess.run([*command, f"-instr-profile={merged}"], check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in text.splitlines()]
    return {words[0]: float(words[9][:-1]) for words in rows if len(words) > 9 and words[0].endswith((".c", "TOTAL"))}


def of_python(folder: Path) -> tuple[str, bool]:
    """A table of the lines of READERS, and whether it is LEAST percent of them."""
    os.environ["COVERAGE_FILE"] = str(folder / "python.coverage")
    measure = [sys.executable, "-m", "coverage"]
    what = [[HERE / "seeds.py", folder / "seeds"], ["-m", "pytest", "-q", *(ROOT / test for test in TESTS)]]
    limits = ["--seconds=600", "--seed=0", f"--folder={folder}"]
    what += [[HERE / "twins.py", target, f"--runs={runs}", *limits] for target, runs in RUNS.items()]
    subprocess.run([*measure, "erase"], check=True)
    for command in what:
        include = ",".join(map(str, READERS))
        subprocess.run([*measure, "run", "-a", f"--include={include}", *command], check=True, stdout=subprocess.DEVNULL)
    done = subprocess.run(
        [*measure, "report", "-m", "--precision=2", f"--fail-under={LEAST}"], capture_output=True, text=True, cwd=ROOT
    )
    return done.stdout + done.stderr, done.returncode == 0


def report(folder: Path, seeds: Path) -> None:
    """Print both; SystemExit if it is less than LEAST."""
    in_c = of_c(folder, seeds)
    for name, share in in_c.items():
        print(f"{share:7.2f} % of the lines of {name}")
    table, enough = of_python(folder)
    print(table)
    reader = next(share for name, share in in_c.items() if name.endswith("format.c"))
    if reader < LEAST or not enough:
        sys.exit(f"found less, wanted {LEAST} % of the lines of format.c and of the readers in Python")
