"""benchmarks/interrupt.py: a command that fails by itself is named, and does not pass for one that was interrupted."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="no /proc")


# By the CPU time that it takes, interrupt.py tells when a command has started
BUSY = """
import time
try:
    end = time.monotonic() + 4
    while time.monotonic() < end:
        pass
except KeyboardInterrupt:
    raise SystemExit(130)
"""


def test_a_command_that_fails_by_itself_is_named(command, tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("interrupt", ROOT / "benchmarks/interrupt.py")
    interrupt = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(interrupt)
    found = {
        "usage": [sys.executable, "-c", "import sys; sys.exit('no such option')"],
        "short": [sys.executable, "-c", ""],
        "long": [sys.executable, "-c", BUSY],
    }
    monkeypatch.setattr(interrupt, "cases", lambda *args: found)
    result = command(interrupt.main, tmp_path, "--voice", tmp_path, "--times", 2)
    lines = [line for line in result.out.splitlines()[1:] if not line.startswith("    ")]
    assert lines[0].split(None, 1) == ["usage", "FAILED: exit code 1 before any signal: no such option"]
    assert "each run ended before its signal" in lines[1] and lines[2].startswith("long") and "FAILED" not in lines[2]
    assert result.code == 1 and "usage, short: failed" in result.err
    assert command(interrupt.main, tmp_path, "--voice", tmp_path, "none").code == 2
