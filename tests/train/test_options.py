"""Options and TOML files of wv-train, and what it refuses."""

from __future__ import annotations

import importlib.util

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("librosa")

from training import QUICK, SHAPE  # noqa: E402
from wv_train import cli  # noqa: E402
from wv_train.checkpoint import load_checkpoint, save_checkpoint, slimmed  # noqa: E402
from wv_train.settings import TrainConfig, make, read_toml  # noqa: E402


def test_toml_with_a_byte_order_mark(tmp_path):
    (tmp_path / "c.toml").write_bytes(b"\xef\xbb\xbf[train]\r\nlr = 0.5\r\n")
    assert read_toml(tmp_path / "c.toml")["train"] == {"lr": 0.5}


def test_tables_of_a_toml_file(tmp_path):
    (tmp_path / "c.toml").write_text("[train]\nlr = 1e-3\n")
    assert read_toml(tmp_path / "c.toml") == {"model": {}, "mel": {}, "train": {"lr": 1e-3}, "prune": {}}


def test_toml_then_flags(speech, tmp_path, wv_train):
    (tmp_path / "c.toml").write_text(
        '[model]\npreset = "24k"\nn_units = 64\nn_out = 16\nn_cond = 16\n'
        "[train]\nlr = 0.003\nclip = 2\nseed = 5\n"
        '[prune]\nsparsity = 0.5\nblock = {R = "4x4", O2 = "8x4"}\nstart = 3\n'
    )
    assert (
        wv_train(
            speech,
            "-o",
            tmp_path / "m.pt",
            "--config",
            tmp_path / "c.toml",
            *QUICK,
            "--lr",
            1e-3,
            "--sparsity",
            "O=0.25",
            "--max-minutes",
            1e-6,
        )[0]
        == 0
    )
    ckpt = load_checkpoint(tmp_path / "m.pt")
    assert ckpt["train"]["lr"] == 1e-3 and ckpt["train"]["clip"] == 2 and ckpt["train"]["seed"] == 5
    assert ckpt["config"]["mel"]["sample_rate"] == 24000 and ckpt["config"]["n_units"] == 64
    assert ckpt["prune"]["sparsity"]["R_e"] == 0.5 and ckpt["prune"]["sparsity"]["O3"] == 0.25
    assert ckpt["prune"]["block"]["R_u"] == "4x4" and ckpt["prune"]["block"]["O2"] == "8x4"
    assert ckpt["prune"]["block"]["O1"] == "16x1" and ckpt["prune"]["start"] == 3
    # and the flags of a resumed run change only what they name
    assert (
        wv_train(speech, "-o", tmp_path / "m.pt", "--resume", "--steps", 9, "--sparsity", "R_u=0.75", "--no-log")[0]
        == 0
    )
    ckpt = load_checkpoint(tmp_path / "m.pt")
    assert ckpt["train"]["lr"] == 1e-3 and ckpt["train"]["steps"] == 9 and ckpt["train"]["batch"] == 2
    asked = {name: z for name, z in ckpt["prune"]["sparsity"].items() if z}
    assert asked == {"R_u": 0.75, "R_r": 0.5, "R_e": 0.5} | {f"O{i}": 0.25 for i in range(1, 5)}


def test_every_setting_is_a_flag_and_has_a_range():
    flags = {option for p in cli.main.params for option in p.opts}
    for name in TrainConfig.__dataclass_fields__:
        assert "--" + name.replace("_", "-") in flags
        with pytest.raises(ValueError, match=f"f: {name}: found"):
            make(TrainConfig, {name: -1}, "f")


BAD = {
    "no such folder": (["none"], 1, "none: found nothing, wanted a folder"),
    "empty folder": (["empty"], 1, "empty: found no audio file"),
    "a file for a folder": (["c.toml"], 1, "c.toml: found a file, wanted a folder"),
    "not audio": (["text"], 1, "a.wav: "),
    "wrong split.tsv": (["split"], 1, "split.tsv: line 2: split: found 'dev'"),
    "one file": (["single"], 1, "wanted at least 2"),
    "too short": (["SPEECH", "--window", "160000"], 1, "found no train clip of at least 1000 frames"),
    "no arguments": ([], 2, "Missing"),
    "unknown flag": (["SPEECH", "--learning-rate", "1"], 2, "No such option"),
    "unknown preset": (["SPEECH", "--preset", "9k"], 2, "9k"),
    "no time to fit": (["SPEECH", "--steps", "0"], 2, "steps: found 0, wanted at least 1 without --max-minutes"),
    "pruning that ends after the run": (
        ["SPEECH", "--steps", "100", "--sparsity", "0.9", "--prune-start", "50", "--prune-steps", "51"],
        2,
        "pruning: schedule: found its end at step 101 (start 50, steps 51), wanted at most 100, the steps of the run",
    ),
    "wrong type": (["SPEECH", "--steps", "many"], 2, "many"),
    "out of range": (["SPEECH", "--lr", "-1"], 2, "options: lr: found -1.0"),
    "nan": (["SPEECH", "--lr", "nan"], 2, "'--lr': found nan, wanted a number"),
    "network shape": (["SPEECH", "--n-units", "100"], 2, "options: n_units: found 100, wanted 64..8192, by 64"),
    "block does not divide": (["SPEECH", "--sparsity", "0.5", "--block", "12x1"], 2, "block of R_u: found 12x1"),
    "block shape": (["SPEECH", "--block", "R=big"], 2, "block of R_u: found 'big'"),
    "unknown matrix": (["SPEECH", "--sparsity", "I=0.5"], 2, "options: sparsity: found matrix 'I'"),
    "sparsity 1": (["SPEECH", "--sparsity", "1"], 2, "sparsity of R_u: found 1.0"),
    "sparsity text": (["SPEECH", "--sparsity", "R=x"], 2, "found 'R=x', wanted VALUE or MATRIX=VALUE"),
    "no config file": (["SPEECH", "--config", "none.toml"], 2, "none.toml: No such file"),
    "not TOML": (["SPEECH", "--config", "text/a.wav"], 2, "wanted TOML"),
    "unknown key": (["SPEECH", "--config", "key.toml"], 2, "key.toml: [train]: found unknown key 'learning_rate'"),
    "unknown model key": (["SPEECH", "--config", "mkey.toml"], 2, "mkey.toml: [model]: found unknown key 'mel'"),
    "unknown table": (["SPEECH", "--config", "table.toml"], 2, "table.toml: found 'optimizer', wanted the tables"),
    "wrong TOML type": (["SPEECH", "--config", "c.toml"], 2, "c.toml: [train]: steps: found '10', wanted int"),
    "bool for int": (["SPEECH", "--config", "bool.toml"], 2, "bool.toml: [train]: steps: found True, wanted int"),
    "resume of nothing": (["SPEECH", "--resume"], 1, "m.pt: No such file"),
    "resume and init": (["SPEECH", "--resume", "--init-from", "x.pt"], 2, "found both --resume and --init-from"),
    "init from nothing": (["SPEECH", "--init-from", "x.pt"], 1, "x.pt: No such file"),
    "init from text": (["SPEECH", "--init-from", "c.toml"], 1, "c.toml: damaged or not a checkpoint"),
    "int8 from nothing": (["SPEECH", "--int8"], 2, "--int8: found no trained model"),
    "distill without teacher": (["SPEECH", "--distill", "0.5"], 2, "found distill 0.5 without --teacher"),
    "no teacher there": (["SPEECH", "--teacher", "x.pt"], 1, "x.pt: No such file"),
    "output folder": (["SPEECH", "--slim", "none/m.pt"], 1, "none/m.pt: found no writable folder none"),
    "slim is no checkpoint": (["SPEECH", "--slim", "s.bin"], 2, "--slim: found s.bin, wanted a name ending in .pt"),
    "best is no checkpoint": (["SPEECH", "--best", "b"], 2, "--best: found b, wanted a name ending in .pt"),
    "plot is no PNG": (["SPEECH", "--plot", "p.pdf"], 2, "--plot: found p.pdf, wanted a name ending in .png"),
    "output is no checkpoint": (["SPEECH", "-o", "voice.bin"], 2, "-o: found voice.bin, wanted a name ending in .pt"),
    "output is a folder": (["SPEECH", "--slim", "empty"], 2, "empty: found a folder, wanted a file name"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case, speech, tmp_path, wv_train, monkeypatch):
    args, expected, message = BAD[case]
    for name in ("empty", "text", "split", "single"):
        (tmp_path / name).mkdir()
    for name in ("text/a.wav", "text/b.wav"):
        (tmp_path / name).write_text("= not audio")
    for i, name in enumerate(("split/a.wav", "split/b.wav", "single/a.wav")):
        (tmp_path / name).write_bytes((speech / f"{i}.wav").read_bytes())
    (tmp_path / "split/split.tsv").write_text("id\tsplit\na\tdev\n")
    (tmp_path / "key.toml").write_text("[train]\nlearning_rate = 1\n")
    (tmp_path / "mkey.toml").write_text("[model]\nmel = 1\n")
    (tmp_path / "table.toml").write_text("[optimizer]\nlr = 1\n")
    (tmp_path / "c.toml").write_text('[train]\nsteps = "10"\n')
    (tmp_path / "bool.toml").write_text("[train]\nsteps = true\n")
    monkeypatch.chdir(tmp_path)
    code, err = wv_train(
        *[speech if a == "SPEECH" else a for a in args], *(["-o", "m.pt"] if args and "-o" not in args else [])
    )
    last = err.strip().splitlines()[-1]
    assert code == expected and last.startswith("wv-train: error: ") and message in last, err
    assert "Traceback" not in err and err.count("error: ") == 1
    assert not list(tmp_path.glob("m*.pt*")) and not list(tmp_path.glob(".m*")) and not list(tmp_path.glob("*-logs"))


def test_bad_use_of_checkpoints(speech, tmp_path, wv_train, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = (speech, "-o", "m.pt", *QUICK)
    assert wv_train(*args, *SHAPE, "--max-minutes", 1e-6)[0] == 0
    before = (tmp_path / "m.pt").read_bytes()
    code, err = wv_train(*args)
    assert code == 2 and "m.pt: found a file, wanted none; --resume" in err
    code, err = wv_train(*args, "--resume", "--n-units", 128)
    assert code == 2 and "options: n_units: found 128, wanted 64, the checkpoint's" in err
    code, err = wv_train(speech, "-o", "n.pt", "--init-from", "m.pt", "--preset", "24k")
    assert code == 2 and "options: preset: found '24k', wanted '16k', the checkpoint's" in err
    save_checkpoint("slim.pt", slimmed(load_checkpoint("m.pt")))
    code, err = wv_train(speech, "-o", "slim.pt", "--resume")
    assert code == 1 and "found a slim checkpoint, wanted a whole one" in err
    save_checkpoint("moments.pt", {**load_checkpoint("m.pt"), "optimizer": {"state": {}, "param_groups": []}})
    save_checkpoint("rng.pt", {**load_checkpoint("m.pt"), "rng": {}})
    for name in ("moments.pt", "rng.pt"):
        code, err = wv_train(speech, "-o", name, "--resume", "--no-log")
        assert code == 1 and f"{name}: optimizer, rng or states do not fit the model" in err
    save_checkpoint("masks.pt", {**load_checkpoint("m.pt"), "masks": {"I": torch.ones(1)}})
    code, err = wv_train(speech, "-o", "n.pt", "--init-from", "masks.pt")
    assert code == 1 and "masks.pt: masks.I: found an unknown name" in err
    (tmp_path / "cut.pt").write_bytes(before[:5000])
    code, err = wv_train(speech, "-o", "cut.pt", "--resume")
    assert code == 1 and "cut.pt: damaged" in err
    if not torch.cuda.is_available():
        code, err = wv_train(*args, "--resume", "--device", "cuda")
        assert code == 2 and "--device: found cuda, but no GPU" in err
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    code, err = wv_train(*args, "--resume", "--device", "cuda")
    assert code == 2 and "--device: found a GPU but no Triton" in err
    assert (tmp_path / "m.pt").read_bytes() == before
