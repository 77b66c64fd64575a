"""Fixtures of the packaging tests."""

from __future__ import annotations

from pathlib import Path

import build_apk
import pytest
from android import APK, OUT, sh, unavailable
from conftest import ROOT
from filelock import FileLock


@pytest.fixture(scope="session")
def apk() -> Path:
    """What `make apk` makes."""
    if packages := build_apk.missing():
        unavailable(f"not installed: {' '.join(packages)} (make deps)")
    OUT.parent.mkdir(exist_ok=True)
    with FileLock(OUT.with_suffix(".lock")):  # tests of several processes want it
        sh("make", "apk", cwd=ROOT)
    return APK
