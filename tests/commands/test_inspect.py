"""wv-inspect on good and bad files."""

from __future__ import annotations

import builtins
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import DATA
from model_fixtures import tiny_model
from wv_runtime.commands import inspect
from wv_runtime.model.binary import save

GOLDEN = DATA / "golden_v1_int8.bin"


def run(*args: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(inspect.main, [str(a) for a in args])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


def test_report():
    code, out, err = run(GOLDEN)
    assert (code, err) == (0, "")
    assert "64 units" in out and "tiny: 16000 Hz" in out and "Apache-2.0" in out
    assert f"{GOLDEN.stat().st_size:,} bytes" in out
    row = next(line for line in out.splitlines() if line.startswith("R ")).split()
    assert row == ["R", "192x64", "8x4", "117/384", "69.5%", "int8", "5,614"]


def test_table_adds_up():
    _, out, _ = run(GOLDEN)
    table = out.split("\n\n")[1].splitlines()
    sizes = [int(line.split()[-1].replace(",", "")) for line in table[1:]]
    assert sum(sizes[:-1]) == sizes[-1] == GOLDEN.stat().st_size


def test_json():
    code, out, _ = run(GOLDEN, "--json")
    found = json.loads(out)
    assert code == 0 and found["format"] == 1 and found["config"]["mel"]["hop_length"] == 20
    assert [m["name"] for m in found["matrices"]] == ["C1", "C2", "C3", "R", "O1", "O2", "O3", "O4"]
    assert int(found["checksum"], 16) == int.from_bytes(GOLDEN.read_bytes()[12:16], "little")


def test_coarser_blocks_than_pruned_are_said(tmp_path):
    pruned = {"R_u": {"block": "16x1", "sparsity": 0.95}, "O1": {"block": "8x4", "sparsity": 0.9}, "R_e": "nonsense"}
    save(replace(tiny_model("int8"), metadata={"pruned": pruned}), tmp_path / "m.bin")
    _, out, _ = run(tmp_path / "m.bin")
    notes = [line for line in out.splitlines() if "was pruned" in line]
    assert not any(line.startswith("pruned") for line in out.splitlines())
    assert len(notes) == 1 and "R_u was pruned in blocks of 16x1 to 95.0%; stored as 8x4" in notes[0]


def test_pattern_is_what_is_stored():
    m = tiny_model("f32").matrices["O2"]
    grid = inspect.pattern(m)
    assert grid.shape == (32, 32) and grid.sum() == m.nnz_blocks
    np.testing.assert_array_equal(np.nonzero(grid)[1], m.col_idx)


def test_plot(tmp_path):
    pytest.importorskip("matplotlib")
    code, _, err = run(GOLDEN, "--plot", tmp_path / "p.png")
    assert (code, err) == (0, "")
    assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG" and len(list(tmp_path.iterdir())) == 1


def test_plot_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setattr(inspect.importlib, "import_module", lambda name: builtins.__import__("no_such_" + name))
    code, _, err = run(GOLDEN, "--plot", tmp_path / "p.png")
    assert code == 1 and err.startswith("wv-inspect: error: matplotlib: not installed") and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        ((), 2, "Missing argument"),
        (("missing.bin",), 1, "missing.bin: No such file"),
        ((".",), 1, "Is a directory"),
        (("empty.bin",), 1, "empty.bin: 0 bytes, expected at least 704"),
        (("text.bin",), 1, "text.bin: magic b'import o'"),
        (("model.pt",), 1, "of a .bin by wv-export; for a checkpoint, run wv-export first"),
        (("mel.npy",), 1, "; a model comes before mels"),
        (("short.bin",), 1, "short.bin: 20000 bytes, expected 29568"),
        (("flipped.bin",), 1, "flipped.bin: checksum"),
        (("good.bin", "--jsn"), 2, "No such option"),
        (("good.bin", "more.bin"), 2, "unexpected extra argument"),
        (("good.bin", "--plot"), 2, "requires an argument"),
        (("good.bin", "--plot", "no/such/p.png"), 1, "No such directory"),
        (("good.bin", "--plot", "p.bmpx"), 2, "bmpx"),
        (("good.bin", "--plot", "folder"), 1, "folder: Is a directory"),
    ],
)
def test_bad_input_gives_one_line(args, code, text, tmp_path, monkeypatch):
    if any(a.startswith("p.") for a in args):
        pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    good = GOLDEN.read_bytes()
    flipped = bytearray(good)
    flipped[5000] ^= 255
    files = {"empty": b"", "text": b"import os\n" * 9, "short": good[:20000], "flipped": flipped, "good": good}
    for name, data in files.items():
        Path(f"{name}.bin").write_bytes(data)
    Path("model.pt").write_bytes(b"PK\x03\x04" + bytes(20))
    np.save("mel.npy", np.zeros((8, 4), np.float32))
    Path("folder").mkdir()
    before = sorted(tmp_path.iterdir())
    found, out, err = run(*args)
    assert found == code and out == ""
    assert err.startswith("wv-inspect: error: ") and text in err and err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before
