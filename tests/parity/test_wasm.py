"""The WebAssembly modules, executed in Node: every one gives x86's PCM, by the npm package's own calls.

Needs clang, lld and Node.js, e.g. Debian's clang-19, lld-19, llvm-19, nodejs.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import DATA, SUPPORT
from model_fixtures import tiny_config, tiny_mel, tiny_model
from wv_runtime.engine.native import NativeModel, NativeStream
from wv_runtime.features.mel_check import ADVICE
from wv_runtime.features.mel_file import load_mel, save_mel
from wv_runtime.model import binary as bin_format

pytestmark = pytest.mark.slow

WEB = Path(__file__).parents[2] / "web_demo"
sys.path.insert(0, str(WEB))
import build as web_build  # noqa: E402

# Node 20 has relaxed SIMD behind a flag, and its baseline compiler gets it wrong; later ones know no such flag
RELAXED = ["--experimental-wasm-relaxed-simd", "--no-liftoff"]
ISAS = {"relaxed": ["relaxed_u8", "relaxed_s8"], "simd128": ["simd128_dot", "simd128"], "plain": ["portable"]}
ONE_CPU = ("relaxed_u8", "relaxed_s8", "simd128_dot")  # an engine has them on x86 or on Arm alone
PROBE = "process.exit(WebAssembly.validate(require('fs').readFileSync(process.argv[1])) ? 0 : 1)"


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    if (packages := web_build.missing()) or not shutil.which("node"):
        if "WV_NEED_WEB" in os.environ:
            pytest.fail(f"missing {packages or 'nodejs'}; make deps installs them")
        pytest.skip("clang-19, lld-19, llvm-19 or nodejs is not installed")
    return web_build.modules(tmp_path_factory.mktemp("wasm"))


@pytest.fixture(scope="module")
def node(modules):
    """node(runs): what wasm_run.mjs answers."""
    plain = subprocess.run(["node", "-e", PROBE, modules["relaxed"]]).returncode == 0
    command = ["node", *([] if plain else RELAXED), SUPPORT / "wasm_run.mjs", WEB / "package/index.js"]

    def run(runs):
        text = json.dumps(runs, default=str)
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def native_sha256(model: Path, mel: Path, seed=0, temperature=1.0, postfilter=None) -> str:
    handle = NativeModel(model.read_bytes())
    frames = load_mel(mel, bin_format.load(model).config.mel)
    stream = NativeStream(handle, seed, temperature, max_frames=4096, postfilter=postfilter)
    assert stream.push(frames) == frames.shape[1]
    stream.finish()
    return hashlib.sha256(stream.pull(stream.available).astype("<i2").tobytes()).hexdigest()


def test_small_and_alone(modules):
    """Under 60 KB each as a server sends it; nothing to import but memory of its own."""
    for path in modules.values():
        assert len(gzip.compress(path.read_bytes(), 9)) < 60_000, path.name
    script = "for (const p of process.argv.slice(1)) { const m = new WebAssembly.Module(require('fs').readFileSync(p));"
    script += " if (WebAssembly.Module.imports(m).length) process.exit(1) }"
    assert subprocess.run(["node", "-e", script, modules["simd128"], modules["plain"]]).returncode == 0


def test_the_same_bits(modules, node, tmp_path):
    """f32, f16 and int8, every block height, prediction, the post-filter, any chunk, on every ISA of every module."""
    cases = [tiny_model(dtype, 0, (h, w)) for dtype in ("f32", "f16") for h, w in ((4, 2), (8, 1), (16, 1), (32, 1))]
    cases += [tiny_model("int8", 0, (h, 4)) for h in (4, 8, 16, 32)]
    cases += [tiny_model(dtype, cfg=tiny_config(lpc_order=6)) for dtype in ("f32", "int8")]
    loud = tiny_model("int8", block=(16, 4))  # inputs and sums at their limits, saturated
    loud.matrices.update({name: replace(m, bias=100 * m.bias) for name, m in loud.matrices.items()})
    cases += [loud]
    runs, wanted = [], []
    for i, model in enumerate(cases):
        path, mel = tmp_path / f"{i}.bin", tmp_path / f"{i}.npy"
        bin_format.save(model, path)
        save_mel(mel, tiny_mel(model.config, 9), model.config.mel)
        runs.append((path, mel, {"seed": 3, "temperature": 0.8}))
        wanted.append(native_sha256(path, mel, 3, 0.8))
    golden, mel = DATA / "golden_v2_int8.bin", tmp_path / "golden.npy"  # prediction and the post-filter
    config = bin_format.load(golden).config
    save_mel(mel, tiny_mel(config, 11), config.mel)
    for postfilter in (True, False):
        runs.append((golden, mel, {"postfilter": postfilter}))
        wanted.append(native_sha256(golden, mel, postfilter=postfilter))
    assert len(set(wanted)) == len(wanted)

    asked, isas_seen = [], set()
    for module, isas in ISAS.items():
        for (path, mel, options), sha256 in zip(runs, wanted):
            for isa in isas:
                for chunk in (3,) if isa == "portable" else (1, 3, 64):
                    full = {**options, "isa": isa, "chunkFrames": chunk, "maxFrames": chunk}
                    asked.append((sha256, {"module": modules[module], "model": path, "mel": mel, "options": full}))
    for (sha256, run), answer in zip(asked, node([run for _, run in asked])):
        isa = run["options"]["isa"]
        if isa in ONE_CPU and isa not in answer.get("isas", []):
            assert answer["status"] == "isa" and isa in answer["error"]
            continue
        isas_seen.add(isa)
        assert (answer.get("isa"), answer.get("sha256")) == (isa, sha256), (run, answer)
    x86 = platform.machine() == "x86_64"
    assert isas_seen == {"portable", "simd128", *(("relaxed_u8", "simd128_dot") if x86 else ("relaxed_s8",))}


def test_errors_are_words(modules, node, tmp_path):
    model = tiny_model()
    bin_format.save(model, tmp_path / "m.bin")
    save_mel(tmp_path / "m.npy", tiny_mel(model.config), model.config.mel)
    damaged = bytearray((tmp_path / "m.bin").read_bytes())
    damaged[5000] ^= 1
    (tmp_path / "damaged.bin").write_bytes(damaged)
    (tmp_path / "short.bin").write_bytes(damaged[:100])
    np.save(tmp_path / "transposed.npy", np.zeros((7, 8), np.float32))
    np.save(tmp_path / "db.npy", np.full((8, 7), -80.123456, np.float32))
    np.save(tmp_path / "linear.npy", np.full((8, 7), 0.0625, np.float32))

    def run(model="m.bin", mel="m.npy", **options):
        return {"module": modules["simd128"], "model": tmp_path / model, "mel": tmp_path / mel, "options": options}

    wanted = "wanted natural-log mels, about -11.5 to 3"
    simd128 = "simd128_dot, simd128" if platform.machine() == "x86_64" else "simd128"
    answers = node([
        run("damaged.bin"), run("short.bin"), run(mel="transposed.npy"), run(mel="db.npy"), run(mel="linear.npy"),
        run(mel="m.bin"), run(temperature=0), run(isa="avx2"), run(postfilter=True),
    ])  # fmt: skip
    assert [(a["error"], a["status"]) for a in answers] == [
        ("m.bin: checksum does not match: the file is damaged", "checksum"),
        ("m.bin: model file is truncated", "truncated"),
        ("m.npy: shape (7, 8) is transposed, wanted (n_mels, n_frames) = (8, 7)", "npy"),
        (f"m.npy: values from -80.12 to -80.12, {wanted}; {ADVICE['decibels']}", "npy"),
        (f"m.npy: values from 0.0625 to 0.0625, {wanted}; {ADVICE['linear']}", "npy"),
        ("m.npy: not a .npy file, wanted a mel array of wv-mel or numpy.save", "npy"),
        ("stream: null pointer or argument out of range", "argument"),
        (f"isa: found avx2, wanted one of {simd128}, portable", "isa"),
        ("stream: null pointer or argument out of range", "argument"),
    ]
