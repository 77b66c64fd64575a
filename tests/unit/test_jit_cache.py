"""The JIT cache: an edit of any kernel source, or another ISA, makes every cached kernel stale."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import wv_runtime
from wv_runtime.engine.kernels.isa import HOST_ISAS

SCRIPT = """
import sys; sys.path.insert(0, sys.argv[1])
from kernels_copy import jit, use
print(use.run(), sum(use.run.stats.cache_hits.values()))
"""


def test_an_edit_next_door_is_seen(tmp_path):
    package = tmp_path / "kernels_copy"
    package.mkdir()
    for name in ("isa.py", "jit.py"):
        shutil.copy(Path(wv_runtime.__file__).parent / "engine/kernels" / name, package)
    (package / "__init__.py").touch()
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
