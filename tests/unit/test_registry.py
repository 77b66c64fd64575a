"""The registry of engines: what it takes to add one, and that commands and docs know all of them."""

from __future__ import annotations

import json
import pkgutil
import re

import numpy as np
import pytest
import wv_bench.bench
import wv_eval.cli
import wv_runtime
from conftest import ROOT
from model_fixtures import tiny_mel, tiny_model
from wv_runtime.commands import run
from wv_runtime.engine import registry
from wv_runtime.engine.native import NativeEngine
from wv_runtime.engine.registry import CHOICES, ENGINES
from wv_runtime.engine.synth import Voice
from wv_runtime.model import binary
from wv_runtime.model.layout import HEADER


class Inverted(NativeEngine):
    """The samples of c, upside down."""

    def open(self, seed, temperature, n_threads):
        stream = super().open(seed, temperature, n_threads)
        pull = stream.pull
        stream.pull = lambda n: ~pull(n)
        return stream


def test_an_engine_is_added_in_one_place(folder, monkeypatch):
    monkeypatch.setitem(ENGINES, "inverted", registry.Entry(f"{__name__}:Inverted", "upside down"))
    model = tiny_model()
    mel = tiny_mel(model.config)
    voice = wv_runtime.load("tiny.bin", engine="inverted")
    assert voice.backend == "inverted" and voice.isa
    np.testing.assert_array_equal(~voice(mel, seed=1), Voice(model, "c")(mel, seed=1))


@pytest.mark.parametrize("name", ENGINES)
def test_engines_load_what_they_need_when_they_are_used(name):
    engine = pkgutil.resolve_name(ENGINES[name].implementation)
    assert all(callable(getattr(engine, method)) for method in ("open", "batch"))


def test_unknown_engine():
    with pytest.raises(ValueError, match="backend: found 'gpu', wanted one of auto, " + ", ".join(ENGINES)):
        Voice(tiny_model(), "gpu")


@pytest.mark.parametrize(("command", "wanted"), [
    (run.main, CHOICES),
    (wv_eval.cli.main, CHOICES),
    (wv_bench.bench.main, tuple(name for name, engine in ENGINES.items() if engine.timed)),
])  # fmt: skip
def test_commands_know_all(command, wanted):
    (option,) = [p for p in command.params if p.name == "backend"]
    assert tuple(option.type.choices) == wanted


def test_docs_know_all():
    section = (ROOT / "docs/api.md").read_text().split("## Engines")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(ENGINES)


def test_c_gets_the_bytes_of_the_file(folder, command, monkeypatch):
    """FORMAT.md allows any JSON as metadata: `pack` would write other bytes."""
    packed = binary.pack(tiny_model())
    at, size = (int(np.frombuffer(packed, HEADER, 1)[name][0]) for name in ("metadata", "metadata_bytes"))
    text = json.dumps(json.loads(packed[at : at + size]), indent=1).encode()
    data = bytearray((packed[:at] + text).ljust(at + -(-len(text) // 64) * 64, b"\0"))
    header = np.frombuffer(data, HEADER, 1)
    header["metadata_bytes"], header["file_bytes"] = len(text), len(data)
    data = binary.with_checksum(bytes(data))
    (folder / "spaced.bin").write_bytes(data)

    model = binary.load("spaced.bin")
    assert bytes(binary.file_bytes(model)) == data != binary.pack(model)
    wanted = command(run.main, "tiny.bin", "mel.npy", "--backend", "c", "--json")
    monkeypatch.setattr(binary, "pack", None)
    found = command(run.main, "spaced.bin", "mel.npy", "--backend", "c", "--json")
    assert json.loads(found.out)["sha256"] == json.loads(wanted.out)["sha256"]
