"""The web demo in headless Chromium, at desktop and phone size: it speaks the published samples, it names errors."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow
pytest.importorskip("librosa")
SITE = ROOT / "build/web"


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What the page showed, by size."""
    if lacking := [tool for tool in ("clang-19", "wasm-ld-19", "node", "chromium") if not shutil.which(tool)]:
        if os.environ.get("WV_NEED_WEB"):
            pytest.fail(f"not installed: {' '.join(lacking)} (make deps)")
        pytest.skip(f"not installed: {' '.join(lacking)} (make deps)")
    voice = ROOT / "voices/kathleen16/voice.bin"
    command = [sys.executable, "web_demo/build.py", "--voice", voice, "--clips", "tests/data/clips", "--out", SITE]
    subprocess.run(command, cwd=ROOT, check=True)
    data = bytearray(voice.read_bytes())
    data[5000] ^= 1
    damaged = tmp_path_factory.mktemp("web") / "damaged.bin"
    damaged.write_bytes(data)
    command = ["node", ROOT / "web_demo/test/page.mjs", SITE / "site", damaged, SITE / "screenshots"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_page(seen, size):
    page = seen[size]
    published = {clip["sha256"] for clip in json.loads((SITE / "site/assets/bundle.json").read_text())["clips"]}
    assert page["hash"] in published and page["isa"] in ("relaxed_u8", "relaxed_s8", "simd128")
    assert "checksum" in page["error"] and not page["overflow"] and page["problems"] == []
