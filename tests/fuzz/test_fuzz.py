"""A short `make fuzz`, and the same targets under the other sanitizers. Fails, not skips, where clang-19 is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE)]
pytest.importorskip("torch")  # writes the checkpoints that are damaged
pytest.importorskip("librosa")  # makes the tables of the post-filter

import run  # noqa: E402
from seeds import seed_files  # noqa: E402

pytestmark = pytest.mark.slow
N_RUNS = 200  # of each target under a sanitizer that only looks again
LEAST = {"reader": 200, "stream": 20, "bin": 200, "npy": 1000, "checkpoint": 20}  # on a busy machine


@pytest.fixture(scope="module")
def clang():
    if not shutil.which(run.COMPILER) and "WV_NEED_FUZZ" not in os.environ:
        pytest.skip(f"{run.COMPILER} is not installed")
    return run.COMPILER


def test_a_minute(clang, tmp_path):
    command = [sys.executable, HERE / "run.py", "--minutes", "1.5", "--jobs", "2", "--folder", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    row = r"^(\w+) +([\d,]+) +[\d,]+ +([\d,]*) +0$"
    counts = {name: (n.replace(",", ""), accepted) for name, n, accepted in re.findall(row, done.stdout, re.MULTILINE)}
    assert counts.keys() == LEAST.keys(), done.stdout
    for name, (n, accepted) in counts.items():
        assert int(n) >= LEAST[name] and accepted != "0", done.stdout


@pytest.mark.parametrize("sanitize", ["memory", "thread"])
def test_other_sanitizers(sanitize, clang, tmp_path):
    """Reads of what nothing has written; races between the threads of a batch."""
    seeds, programs = seed_files(tmp_path / "seeds"), run.build(tmp_path / "build", sanitize)
    for target in ("reader", "stream"):
        program, corpus = programs / f"fuzz_{target}", tmp_path / "corpus" / target
        assert run.run_native(program, corpus, seeds, tmp_path / "findings", f"-runs={N_RUNS}", "-seed=1") > N_RUNS // 2


def test_a_fault_is_found(clang, tmp_path):
    """An index that the reader does not check: the smoke would fail."""
    copy = tmp_path / "copy"
    shutil.copytree(run.ROOT / "runtime/libwavernn", copy / "runtime/libwavernn")
    shutil.copytree(HERE, copy / "tests/fuzz")
    source = copy / "runtime/libwavernn/core/format.c"
    checked = "NEED(col_idx[k] < n_block_cols, WV_ERR_COL_IDX);"
    text = source.read_text()
    assert checked in text
    source.write_text(text.replace(checked, ""))
    seeds = seed_files(tmp_path / "seeds")
    programs = run.build(tmp_path / "build", source=copy / "tests/fuzz")
    with pytest.raises(SystemExit, match="a finding"):
        run.run_native(programs / "fuzz_reader", tmp_path / "corpus", seeds, tmp_path / "found", "-max_total_time=60")
    assert list((tmp_path / "found").iterdir())
