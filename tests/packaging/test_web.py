"""The web demo in headless Chromium, at two sizes, light and dark: it speaks the published samples, it names errors."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from model_fixtures import tiny_config, tiny_model
from wv_bench.measure import Case, measure
from wv_bench.report import summarize
from wv_runtime.model import binary

pytestmark = pytest.mark.slow
pytest.importorskip("librosa")
DRIVERS = ROOT / "web_demo/test"
OUT = ROOT / "build/web"
VOICE = ROOT / "voices/kathleen16/voice.bin"
VIEWS = ["desktop", "desktop-dark", "phone", "phone-dark"]


def run(*command: object, cwd=ROOT, seconds=600) -> str:
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def site():
    """The page of `make web`."""
    if lacking := [tool for tool in ("clang-19", "wasm-ld-19", "node", "npm", "chromium") if not shutil.which(tool)]:
        if os.environ.get("WV_NEED_WEB"):
            pytest.fail(f"not installed: {' '.join(lacking)} (make deps)")
        pytest.skip(f"not installed: {' '.join(lacking)} (make deps)")
    run(sys.executable, "web_demo/build.py", "--voice", VOICE, "--clips", "tests/data/clips", "--out", OUT)
    return OUT / "site"


@pytest.fixture(scope="module")
def node_modules():
    """The packages of web_demo/test/package.json, of these very versions."""
    tools = OUT / "tools"
    tools.mkdir(parents=True, exist_ok=True)
    wanted = (DRIVERS / "package.json").read_text()
    if not (tools / "node_modules").is_dir() or (tools / "package.json").read_text() != wanted:
        (tools / "package.json").write_text(wanted)
        run("npm", "install", "--no-audit", "--no-fund", "--no-package-lock", cwd=tools)
    return tools / "node_modules"


@pytest.fixture(scope="module")
def seen(site, node_modules, tmp_path_factory):
    """What the page showed, by view."""
    bad = tmp_path_factory.mktemp("web")
    data = bytearray(VOICE.read_bytes())
    data[5000] ^= 1
    (bad / "damaged.bin").write_bytes(data)
    lanes = tiny_config(subscale=5, lpc_order=12, horizon=2, lookback=3, context=6)
    binary.save(tiny_model("int8", cfg=lanes), bad / "subscale.bin")
    np.save(bad / "bands.npy", np.zeros((7, 50), np.float32))
    (bad / "words.wav").write_text("no audio")
    files = {"damaged.bin": "voice", "subscale.bin": "voice", "bands.npy": "mels", "words.wav": "audio"}
    wanted = {
        "site": site,
        "axe": node_modules / "axe-core/axe.min.js",
        "screenshots": OUT / "screenshots",
        "refused": [[f"#{kind}-file", bad / name] for name, kind in files.items()],
    }
    (bad / "wanted.json").write_text(json.dumps(wanted, default=str))
    return json.loads(run("node", DRIVERS / "page.mjs", bad / "wanted.json"))


@pytest.mark.parametrize("view", VIEWS)
def test_it_speaks_the_published_samples(seen, view):
    page = seen[view]
    assert page["hash"] == (VOICE.parent / "demo.sha256").read_text().strip(), "not the samples of make demo"
    assert page["bits"] == "✔ yes" and page["isa"] in ("relaxed_u8", "relaxed_s8", "simd128_dot", "simd128")


@pytest.mark.parametrize("view", VIEWS)
def test_it_is_a_page_for_everyone(seen, view):
    """No word in the console, nothing moves by itself or scrolls sideways, Tab reaches all, axe-core is content."""
    page = seen[view]
    assert page["problems"] == [] and page["violations"] == [] and not page["overflow"]
    assert (page["shift"], page["moved"]) == (0, [])
    controls = ["clip", "speak", "SUMMARY", "recording", "wavernn", "audio-file", "record", "voice-file", "mels-file"]
    assert [c for c in page["reached"] if c in controls] == controls
    assert page["reached"][-2:] == ["bench", "BODY"]


@pytest.mark.parametrize("view", VIEWS)
def test_what_it_refuses(seen, view):
    *said, huge = seen[view]["refused"]["said"]
    assert said == [
        "damaged.bin: checksum does not match: the file is damaged",
        "subscale.bin: a Subscale voice, which this build leaves out: wv-run speaks it",
        "bands.npy: shape (7, 50), wanted (80, n_frames)",
        "words.wav: found no audio that this browser can read, wanted a WAV, MP3, OGG or M4A file",
    ]
    assert huge == "huge.bin: found 65 MB, wanted at most 64 MB"
    assert seen[view]["refused"]["read"] == 0, "a file that is too large was read"


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
    assert recorded == {"label": "Your audio: recording", "complaint": "", "said": "not known"}


def test_saving_leaves_no_blob_behind(seen):
    """page.mjs waited until the URLs of both were revoked."""
    assert seen["desktop"]["offered"] == 2


def test_page_starts_without_a_network(seen):
    assert seen["offline"] is True


def test_the_package_in_one_file(site, node_modules):
    """Bundled by esbuild, from a blob: the player plays the published samples into an OfflineAudioContext."""
    played = json.loads(run("node", DRIVERS / "bundle.mjs", site, node_modules / "esbuild"))
    assert played["sha256"] == played["wanted"] == (VOICE.parent / "demo.sha256").read_text().strip()
