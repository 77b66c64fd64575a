"""The bundled voices: voice.bin is what wv-export makes of model.pt, and the hash of the demo is its own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from conftest import ROOT
from wv_runtime import load
from wv_runtime.features.mel_file import load_mel
from wv_runtime.model import binary

DEMO = ROOT / "voices/kathleen16/demo.npy"
BUNDLED = sorted(ROOT.glob("voices/*/voice.bin"))
MAX_BYTES = 12e6  # of all weights in the repository


@pytest.mark.parametrize("path", BUNDLED, ids=lambda p: p.parent.name)
def test_voice_bin_is_the_export_of_its_checkpoint(path, folder, command):
    pytest.importorskip("torch")
    from wv_export.cli import main

    model = binary.load(path)
    switch = "none" if model.postfilter is None else "on" if model.postfilter.on else "off"
    options = ["--dtype", model.metadata["dtype"], "--temperature", model.metadata.get("temperature", 1)]
    options += ["--postfilter", switch]
    if model.postfilter:
        options += ["--comb", str(model.postfilter.comb), "--denoise", str(model.postfilter.denoise)]
    done = command(main, path.with_name("model.pt"), "again.bin", *options)
    assert done.code == 0, done.err
    assert Path("again.bin").read_bytes() == path.read_bytes(), "run `make voice`"


@pytest.mark.parametrize("path", BUNDLED, ids=lambda p: p.parent.name)
def test_demo_has_the_hash_beside_it(path):
    voice = load(path, "c")
    pcm = voice(load_mel(DEMO, voice.config.mel))
    assert hashlib.sha256(pcm.astype("<i2").tobytes()).hexdigest() == path.with_name("demo.sha256").read_text().strip()


def test_weights_are_few():
    assert BUNDLED
    assert sum(p.stat().st_size for p in ROOT.glob("voices/*/*") if p.suffix in (".pt", ".bin")) < MAX_BYTES
