"""The JIT cache: an edit of any kernel source, or another ISA, makes every cached kernel stale."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import wv_runtime
from wv_runtime.engine.kernels.isa import HOST_ISAS

pytestmark = pytest.mark.slow

SCRIPT = """
import sys; sys.path.insert(0, sys.argv[1])
from kernels_copy import jit, use
print(use.run(), sum(use.run.stats.cache_hits.values()))
"""


@pytest.fixture
def package(tmp_path):
    """A package with jit.py of the kernels, and none of them."""
    package = tmp_path / "kernels_copy"
    package.mkdir()
    for name in ("isa.py", "jit.py"):
        shutil.copy(Path(wv_runtime.__file__).parent / "engine/kernels" / name, package)
    (package / "__init__.py").touch()
    return package


def test_an_edit_next_door_is_seen(package, tmp_path):
    (package / "use.py").write_text(
        "from .jit import kernel\nfrom .neighbour import value\n\n@kernel\ndef run():\n    return value()\n"
    )

    def run(value, isa=""):
        (package / "neighbour.py").write_text(
            f"from numba.extending import register_jitable\n\n@register_jitable\ndef value():\n    return {value}\n"
        )
        done = subprocess.run([sys.executable, "-c", SCRIPT, tmp_path], capture_output=True, text=True, timeout=120,
                              env={**os.environ, "WV_ISA": isa})  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    assert run(1) == ["1", "0"]
    assert run(1) == ["1", "1"], "the cache was not used"
    assert run(2) == ["2", "0"], "a stale kernel ran"
    if HOST_ISAS[0] != "portable":
        assert run(2, "portable") == ["2", "0"], "a kernel of another ISA ran"


def test_functions_apart_keep_their_meaning_when_caches_of_two_processes_meet(package, tmp_path):
    """Both captured another value under one name and number; linked together, a kernel must still call its own."""
    (package / "shared.py").write_text(
        "from .jit import apart\n\n"
        "def storing(value):\n    def body(a):\n        a[0] = value\n    return apart(body)\n"
    )
    for name, value in (("one", 1), ("two", 2)):
        (package / f"{name}.py").write_text(
            f"from .jit import kernel\nfrom .shared import storing\n\ncall = storing({value})\n\n"
            f"@kernel\ndef {name}(a):\n    call((a,))\n"
        )

    def run(*names):
        script = (
            "import sys, numpy as np; sys.path.insert(0, sys.argv[1])\nfrom importlib import import_module\n"
            "for name in sys.argv[2:]:\n    a = np.zeros(1, np.int64)\n"
            "    getattr(import_module('kernels_copy.' + name), name)(a)\n    print(a[0])\n"
        )
        command = [sys.executable, "-c", script, tmp_path, *names]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    assert run("one") == ["1"] and run("two") == ["2"]
    assert run("one", "two") == ["1", "2"] and run("two", "one") == ["2", "1"]


ONE = "from .jit import kernel\n\n@kernel\ndef run():\n    return 7\n"


def _start(tmp_path, **environment):
    return subprocess.run([sys.executable, "-c", SCRIPT, tmp_path], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **environment})  # fmt: skip


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "a_folder"])
def test_a_damaged_entry_is_a_miss(package, tmp_path, suffix, damage):
    """And is written again, if it can be."""
    (package / "use.py").write_text(ONE)
    cache = tmp_path / "cache"
    assert _start(tmp_path, NUMBA_CACHE_DIR=str(cache)).stdout.split() == ["7", "0"]
    (file,) = cache.rglob(f"*.{suffix}")
    content = file.read_bytes()
    file.unlink()
    if damage == "a_folder":
        file.mkdir()
    else:
        file.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "garbage": b"\x80\x04K\x01." * 9}[damage])
    done = _start(tmp_path, NUMBA_CACHE_DIR=str(cache))
    assert done.returncode == 0 and done.stdout.split() == ["7", "0"], done.stderr
    assert "Traceback" not in done.stderr
    if damage != "a_folder":
        assert _start(tmp_path, NUMBA_CACHE_DIR=str(cache)).stdout.split() == ["7", "1"]


def test_without_a_folder_to_write_to(package, tmp_path):
    (package / "use.py").write_text(ONE)
    (tmp_path / "file").touch()  # no folder can be made below a file, not even by root
    (package / "__pycache__").touch()
    nowhere = str(tmp_path / "file/cache")
    done = _start(tmp_path, NUMBA_CACHE_DIR=nowhere, XDG_CACHE_HOME=nowhere, HOME=nowhere)
    assert done.returncode == 0 and done.stdout.split() == ["7", "0"], done.stderr
    assert done.stderr.count("\n") == 1 and "NUMBA_CACHE_DIR" in done.stderr


def test_a_cache_that_cannot_be_written_any_more(package, tmp_path):
    (package / "use.py").write_text(ONE)
    full = "def full(*a): raise OSError(28, 'No space left')\n"
    patch = f"import numba.core.caching as c\n{full}c.IndexDataCacheFile._save_data = full\nprint("
    script = SCRIPT.replace("print(", patch)
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")})  # fmt: skip
    assert done.returncode == 0 and done.stdout.split() == ["7", "0"] and "No space left" in done.stderr, done.stderr
