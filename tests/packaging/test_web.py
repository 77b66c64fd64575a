"""The web demo in headless Chromium, at desktop and phone size: it speaks the published samples, it names errors."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from wv_bench.measure import Case, measure
from wv_bench.report import summarize
from wv_runtime.model import binary

pytestmark = pytest.mark.slow
pytest.importorskip("librosa")
SITE = ROOT / "build/web"
VOICE = ROOT / "voices/kathleen16/voice.bin"


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What the page showed, by size."""
    if lacking := [tool for tool in ("clang-19", "wasm-ld-19", "node", "chromium") if not shutil.which(tool)]:
        if os.environ.get("WV_NEED_WEB"):
            pytest.fail(f"not installed: {' '.join(lacking)} (make deps)")
        pytest.skip(f"not installed: {' '.join(lacking)} (make deps)")
    command = [sys.executable, "web_demo/build.py", "--voice", VOICE, "--clips", "tests/data/clips", "--out", SITE]
    subprocess.run(command, cwd=ROOT, check=True)
    data = bytearray(VOICE.read_bytes())
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
    assert page["hash"] in published and page["isa"] in ("relaxed_u8", "relaxed_s8", "simd128_dot", "simd128")
    assert page["hash"] == (VOICE.parent / "demo.sha256").read_text().strip(), "not the samples of make demo"
    assert "checksum" in page["error"] and not page["overflow"] and page["problems"] == []


def test_benchmark_button(seen):
    """The keys of wv-bench --json, one result for every module that this browser runs."""
    bench, case = seen["desktop"]["bench"], Case(binary.load(VOICE))
    pairs = [(case, case.native("portable"))]
    (wanted,) = summarize(pairs, measure(pairs, 1, 1e-4), None)
    assert bench["machine"] is None and "Chrome" in bench["device"]["user_agent"]
    assert seen["desktop"]["rows"] == len(bench["results"]) >= 2
    for r in bench["results"]:
        assert set(r) >= set(wanted) and r["stages_ns"].keys() == wanted["stages_ns"].keys()
        assert r["samples_per_s"] * r["rtf"] == pytest.approx(16000)
    assert len({r["sha256"] for r in bench["results"]}) == 1, "modules differ"


def test_record_button(seen):
    recorded = seen["desktop"]["recorded"]
    assert recorded == {"label": "Your audio: recording", "complaint": "", "said": "no hash known"}


def test_page_starts_without_a_network(seen):
    assert seen["offline"] is True
