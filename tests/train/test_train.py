"""wv-train end to end on a few seconds of synthetic sound: it learns, stops, resumes exactly, and refuses clearly."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")
pytest.importorskip("librosa")

from wv_runtime.model.config import WaveRNNConfig  # noqa: E402
from wv_train import cli, model  # noqa: E402
from wv_train.checkpoint import load_checkpoint, load_model, save_checkpoint, slimmed  # noqa: E402
from wv_train.lanes import Lanes  # noqa: E402
from wv_train.loop import is_best  # noqa: E402
from wv_train.model import split_bytes  # noqa: E402
from wv_train.sampling import generate  # noqa: E402
from wv_train.settings import TrainConfig, make, read_toml  # noqa: E402

SHAPE = ("--n-units", 64, "--n-out", 16, "--n-cond", 16)
QUICK = ("--steps", 8, "--batch", 2, "--window", 320, "--valid-windows", 2, "--valid-window", 320, "--valid-every", 4,
         "--warmup", 2, "--threads", 1, "--no-log")  # fmt: skip
PRUNED = ("--sparsity", 0.75, "--sparsity", "O=0.5", "--block", "R=4x4", "--prune-start", 1, "--prune-steps", 6,
          "--prune-every", 2)  # fmt: skip


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """Six half seconds of a buzz with formants and noise, pitch by file."""
    folder = tmp_path_factory.mktemp("data") / "buzz"
    folder.mkdir()
    rng = np.random.default_rng(0)
    t = np.arange(8000) / 16000
    for i in range(6):
        buzz = sum(np.sin(2 * np.pi * k * (90 + 20 * i) * t) / k for k in range(1, 12))
        soundfile.write(folder / f"{i}.wav", 0.1 * buzz + 0.002 * rng.standard_normal(8000), 16000)
    return folder


@pytest.fixture
def wv_train(command):
    """wv_train(args) -> (exit code, stderr)"""

    def run(*args):
        result = command(cli.main, *args)
        return result.code, result.err

    return run


@pytest.fixture
def at_step(monkeypatch):
    """at_step(n, do): call `do` while step n is under way."""

    def arrange(n, do):
        draw = Lanes.draw

        def hooked(self, seed, step, *args):
            if step == n:
                do()
            return draw(self, seed, step, *args)

        monkeypatch.setattr(Lanes, "draw", hooked)

    yield arrange


def same(a, b):
    """Bit for bit the same weights, buffers, moments and masks?"""
    moments = [
        [
            *c["optimizer"]["momentum"].values(),
            *(s[k] for s in c["optimizer"]["adam"]["state"].values() for k in ("step", "exp_avg", "exp_avg_sq")),
        ]
        for c in (a, b)
    ]
    return (
        all(torch.equal(a["model"][k], b["model"][k]) for k in a["model"].keys() | b["model"].keys())
        and all(torch.equal(x, y) for x, y in zip(*moments, strict=True))
        and all(torch.equal(a["masks"][k], b["masks"][k]) for k in a["masks"].keys() | b["masks"].keys())
        and torch.equal(a["rng"]["torch"], b["rng"]["torch"])
        and torch.equal(a["states"], b["states"])
    )


@pytest.mark.slow
def test_it_learns(speech, tmp_path, wv_train):
    code, err = wv_train(
        speech,
        "-o",
        tmp_path / "m.pt",
        *SHAPE,
        *QUICK,
        "--steps",
        60,
        "--valid-every",
        30,
        "--batch",
        4,
        "--lr",
        1e-2,
        "--plot",
        tmp_path / "curve.png",
        "--slim",
        tmp_path / "slim.pt",
    )
    assert code == 0 and "nats/sample" in err and "samples/s" in err
    trained, ckpt = load_model(tmp_path / "m.pt")
    first, *_, last = ckpt["history"]
    assert [h["step"] for h in ckpt["history"]] == [0, 30, 60] and first["train_nll_c"] is None
    assert first["valid_nll_c"] == pytest.approx(np.log(256), abs=0.1)
    assert last["valid_nll_c"] < 3.5 and last["train_nll_c"] < 4 and last["valid_nll_f"] < first["valid_nll_f"] + 0.05
    assert last["lr"] == pytest.approx(5e-5)
    # what the next stage needs
    assert ckpt["data"] == {"name": "buzz", "n_train": 5, "n_valid": 1, "train_minutes": 0.04}
    assert ckpt["train"]["lr"] == 1e-2 and ckpt["config"]["mel"]["name"] == "16k"
    assert float(trained.relu_max.min()) > 0 and abs(float(trained.mel_mean.mean())) > 1
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"
    assert load_checkpoint(tmp_path / "slim.pt")["optimizer"] is None
    assert sorted(f.name for f in tmp_path.iterdir()) == ["curve.png", "m.pt", "slim.pt"]


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_interrupted_and_resumed_is_as_in_one_go(speech, tmp_path, wv_train, at_step, monkeypatch, number, expected):
    assert wv_train(speech, "-o", tmp_path / "one.pt", *SHAPE, *QUICK, *PRUNED)[0] == 0
    before = signal.signal(number, signal.SIG_DFL)  # nohup and background jobs ignore some
    with monkeypatch.context():
        at_step(2, lambda: os.kill(os.getpid(), number))
        code, err = wv_train(speech, "-o", tmp_path / "two.pt", *SHAPE, *QUICK, *PRUNED)
    signal.signal(number, before)
    assert code == expected and "stopped at step 3 and saved" in err and "Traceback" not in err
    assert load_checkpoint(tmp_path / "two.pt")["step"] == 3  # the step under way was finished
    at_step(-1, lambda: None)
    torch.manual_seed(99)  # whatever the process did before
    assert wv_train(speech, "-o", tmp_path / "two.pt", "--resume", "--threads", 1, "--no-log")[0] == 0
    one, two = load_checkpoint(tmp_path / "one.pt"), load_checkpoint(tmp_path / "two.pt")
    assert two["step"] == 8 and same(one, two)
    assert [h["valid_nll_c"] for h in one["history"]] == [h["valid_nll_c"] for h in two["history"]]
    assert two["train"] == one["train"] and two["prune"] == one["prune"] and two["minutes"] > 0
    # the zero blocks are the masks, at the targets asked for
    weights = one["model"]
    for name, mask in one["masks"].items():
        W = weights["R"].chunk(3)[("R_u", "R_r", "R_e").index(name)] if name[0] == "R" else weights[name]
        assert torch.equal(W != 0, mask)
        assert float(mask.float().mean()) == {"R": 0.25, "O": 0.5}[name[0]]


def test_an_ignored_hangup_does_not_end_a_run(speech, tmp_path, wv_train, at_step):
    """nohup wv-train .. &"""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        at_step(2, lambda: os.kill(os.getpid(), signal.SIGHUP))
        assert wv_train(speech, "-o", tmp_path / "m.pt", *SHAPE, *QUICK)[0] == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN and load_checkpoint(tmp_path / "m.pt")["step"] == 8
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_best_and_the_last_model_are_kept_apart(speech, tmp_path, wv_train, monkeypatch):
    """Over an interruption, too: what was best before stays best."""
    nll = iter([5.0, 3.0, 4.0, 6.0, 2.5, 2.75])
    monkeypatch.setattr("wv_train.loop.Validation.__call__", lambda self: [[next(nll), 1.0]])
    each = ("--valid-every", 2, "--steps", 6)
    args = (speech, "-o", tmp_path / "m.pt", "--best", tmp_path / "best.pt")
    assert wv_train(*args, *SHAPE, *QUICK, *each)[0] == 0
    best, last = load_checkpoint(tmp_path / "best.pt"), load_checkpoint(tmp_path / "m.pt")
    assert [e["valid_nll_c"] for e in last["history"]] == [5.0, 3.0, 4.0, 6.0]
    assert (best["step"], last["step"]) == (2, 6) and best["optimizer"] is None
    assert not torch.equal(best["model"]["R"], last["model"]["R"])
    assert wv_train(*args, "--resume", "--steps", 10, "--threads", 1, "--no-log")[0] == 0
    assert load_checkpoint(tmp_path / "best.pt")["step"] == 8
    code, err = wv_train(speech, "-o", tmp_path / "x.pt", "--best", tmp_path / "x.pt", *SHAPE, *QUICK)
    assert code == 2 and "found one file named twice" in err


def test_what_is_sparser_is_better():
    entry = {"sparsity": 0.5, "valid_nll_c": 3.0, "valid_nll_f": 2.0}
    assert is_best([entry]) and is_best([entry, {**entry, "sparsity": 0.9, "valid_nll_c": 4.0}])
    assert not is_best([{**entry, "sparsity": 0.9}, {**entry, "valid_nll_c": 1.0}])
    assert not is_best([entry, entry]) and is_best([entry, {**entry, "valid_nll_f": 1.9}])


def test_max_minutes_saves_and_goes_on(speech, tmp_path, wv_train):
    one, two = tmp_path / "one.pt", tmp_path / "two.pt"
    assert wv_train(speech, "-o", one, *SHAPE, *QUICK)[0] == 0
    assert wv_train(speech, "-o", two, *SHAPE, *QUICK, "--max-minutes", 1e-6)[0] == 0
    stopped = load_checkpoint(two)
    assert stopped["step"] == 0
    torch.manual_seed(1234)
    save_checkpoint(two, {**stopped, "rng": {"torch": torch.get_rng_state()}})
    torch.manual_seed(0)
    assert wv_train(speech, "-o", two, "--resume", "--threads", 1, "--no-log")[0] == 0
    a, b = load_checkpoint(one), load_checkpoint(two)
    torch.manual_seed(1234)
    assert torch.equal(b["rng"]["torch"], torch.get_rng_state())  # restored, though nothing draws from it today
    assert same(a, {**b, "rng": a["rng"]})


def test_states_are_carried_from_window_to_window(speech, tmp_path, wv_train, monkeypatch):
    given, states = [], model.WaveRNN.states

    def hooked(self, x, mel, h=None):
        y = states(self, x, mel, h)
        if self.training:
            given.append((h, y[-1].detach()))
        return y

    monkeypatch.setattr(model.WaveRNN, "states", hooked)
    assert wv_train(speech, "-o", tmp_path / "m.pt", *SHAPE, *QUICK, "--batch", 1)[0] == 0
    fresh = [not h.any() for h, _ in given]
    assert fresh[0] and 1 < fresh.count(False) < 8
    for (_, reached), (h, _), anew in zip(given, given[1:], fresh[1:]):
        assert anew or torch.equal(h, reached)


@pytest.mark.slow
def test_int8_training_adapts_to_int8(speech, tmp_path, wv_train):
    """The ranges stay those it started from; and what int8 costs shrinks."""
    a, b, c = (tmp_path / f"{name}.pt" for name in "abc")
    assert wv_train(speech, "-o", a, *SHAPE, *QUICK, "--steps", 60, "--batch", 4, "--lr", 1e-2)[0] == 0
    fine_tune = ("--init-from", a, *QUICK, "--valid-every", 30, "--steps", 60, "--batch", 4, "--lr", 5e-4)
    assert wv_train(speech, "-o", b, *fine_tune, "--int8")[0] == 0
    assert wv_train(speech, "-o", c, *fine_tune)[0] == 0
    a, b, c = (load_checkpoint(path) for path in (a, b, c))
    assert b["train"]["int8"] is True and torch.equal(a["model"]["relu_max"], b["model"]["relu_max"])
    assert not torch.equal(a["model"]["relu_max"], c["model"]["relu_max"])
    first, last = (sum(b["history"][i][k] for k in ("valid_nll_c", "valid_nll_f")) for i in (0, -1))
    assert last < first


def apart(a, b):
    """How far two checkpoints' weights are from each other, against how far training went from the first weights."""
    torch.manual_seed(0)
    start = dict(model.WaveRNN(WaveRNNConfig(n_units=64, n_out=16, n_cond=16)).named_parameters())
    a, b, start = (torch.cat([w[k].detach().flatten() for k in start]) for w in (a["model"], b["model"], start))
    return float((a - b).norm() / (a - start).norm())


def test_accumulation_is_the_same_update(speech, tmp_path, wv_train):
    for name, parts in (("one", 1), ("two", 2)):
        assert (
            wv_train(
                speech,
                "-o",
                tmp_path / f"{name}.pt",
                *SHAPE,
                *QUICK,
                *PRUNED,
                "--no-bf16",
                "--batch",
                4,
                "--accumulate",
                parts,
            )[0]
            == 0
        )
    one, two = (load_checkpoint(tmp_path / f"{name}.pt") for name in ("one", "two"))
    assert apart(one, two) < 0.01 and torch.allclose(one["states"], two["states"], atol=1e-2)
    code, err = wv_train(speech, "-o", tmp_path / "x.pt", *SHAPE, *QUICK, "--batch", 3, "--accumulate", 2)
    assert code == 2 and "options: batch: found 3, wanted a multiple of 1 processes x 2 parts" in err


@pytest.mark.slow
def test_two_processes_train_as_one(speech, tmp_path):
    """torchrun with two: the same batches, the same update but for the order of sums; stopped, and resumed by one."""

    def run(name, n, *args):
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", n] if n > 1 else []
        args = [*launch, "-m", "wv_train", speech, "-o", tmp_path / name, "--threads", 1, "--no-bf16", *args]
        done = subprocess.run([sys.executable, *map(str, args)], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return load_checkpoint(tmp_path / name)

    quick = [*SHAPE, *QUICK, *PRUNED, "--batch", 4]
    one, two = run("one.pt", 1, *quick), run("two.pt", 2, *quick)
    assert two["step"] == 8 and two["states"].shape == (4, 64) and apart(one, two) < 0.01
    assert torch.allclose(one["states"], two["states"], atol=1e-2)
    curves = [[h["valid_nll_c"] for h in ckpt["history"]] for ckpt in (one, two)]
    assert curves[0] == pytest.approx(curves[1], abs=1e-2)
    run("two.pt", 2, *quick, "--overwrite", "--steps", 4, "--prune-steps", 3)
    three = run("two.pt", 1, "--resume", "--no-log", "--steps", 8, "--prune-steps", 6)
    assert three["step"] == 8 and three["masks"].keys() == one["masks"].keys()


def test_a_pupil_who_equals_the_teacher_has_nothing_to_learn():
    """Its gradient is 0 from window to window, whatever the bytes are; half of it is the data's in the mean of both."""
    cfg = WaveRNNConfig(n_units=64, n_out=16, n_cond=16)
    net = model.WaveRNN(cfg)
    samples = torch.randint(-3000, 3000, (2, 641), dtype=torch.int16)
    mel = torch.randn(2, cfg.mel.n_mels, 4 + cfg.cond_width - 1)

    def gradient(distill):
        loss_of = model.WindowLoss(copy.deepcopy(net), copy.deepcopy(net), distill)
        assert loss_of.widths == [64, 64]
        h = torch.zeros(2, 128)
        for i in range(2):
            part = mel[:, :, 2 * i : 2 * i + 2 + cfg.cond_width - 1]
            x, byte = net.inputs(samples[:, 320 * i : 320 * i + 321], part)
            loss, of_data, h = loss_of(x, *byte, part, h)
            loss_of.model.zero_grad()
            loss.sum().backward()
        assert torch.allclose(h[:, :64], h[:, 64:], atol=1e-5) and h.any()
        grads = torch.cat([p.grad.flatten() for p in loss_of.model.parameters()])
        assert all(p.grad is None for p in loss_of.teacher.parameters())
        return grads, of_data

    (zero, nll_1), (half, nll_half), (whole, nll_0) = (gradient(w) for w in (1.0, 0.5, 0.0))
    assert zero.abs().max() < 1e-5 < 1e-3 < whole.abs().max() and torch.allclose(half, whole / 2, atol=1e-6)
    assert torch.equal(nll_1, nll_0) and torch.equal(nll_half, nll_0)


def test_teacher_on_the_command_line(speech, tmp_path, wv_train):
    """A pupil of another size; its checkpoint carries both models' states and asks for the teacher again."""
    teacher, pupil = tmp_path / "teacher.pt", tmp_path / "pupil.pt"
    assert wv_train(speech, "-o", teacher, *SHAPE, *QUICK)[0] == 0
    shape = ("--n-units", 128, *SHAPE[2:], *QUICK, *PRUNED)
    assert wv_train(speech, "-o", pupil, *shape, "--teacher", teacher)[0] == 0
    ckpt = load_checkpoint(pupil)
    assert ckpt["train"]["distill"] == 1 and ckpt["states"].shape == (2, 128 + 64)
    code, err = wv_train(speech, "-o", pupil, "--resume", "--steps", 10, "--no-log")
    assert code == 2 and "options: found distill 1 without --teacher, wanted both or neither" in err
    assert wv_train(speech, "-o", pupil, "--resume", "--steps", 10, "--no-log", "--teacher", teacher)[0] == 0
    assert load_checkpoint(pupil)["step"] == 10
    code, err = wv_train(speech, "-o", tmp_path / "x.pt", *shape, "--teacher", teacher, "--preemphasis", 0.9)
    assert code == 2 and "--teacher: " in err and "preemphasis: found 0.85, wanted 0.9, the model's" in err


def test_schedule_and_clipping_reach_the_optimizer(speech, tmp_path, wv_train):
    assert wv_train(speech, "-o", tmp_path / "m.pt", *SHAPE, *QUICK, "--clip", 1e-3)[0] == 0
    ckpt = load_checkpoint(tmp_path / "m.pt")
    assert ckpt["optimizer"]["adam"]["param_groups"][0]["lr"] == make(TrainConfig, ckpt["train"], "").lr_at(7) < 1e-3
    adam = [s["exp_avg"] for s in ckpt["optimizer"]["adam"]["state"].values()]
    moments = torch.cat([m.flatten() for m in (*adam, *ckpt["optimizer"]["momentum"].values())])
    assert 0 < float(moments.norm()) <= 1e-3


def test_checkpoints_on_the_way(speech, tmp_path, wv_train, at_step):
    seen = []
    at_step(5, lambda: seen.append(load_checkpoint(tmp_path / "m.pt")["step"]))
    assert wv_train(speech, "-o", tmp_path / "m.pt", *SHAPE, *QUICK, "--save-minutes", 0)[0] == 0
    assert seen == [5]


def test_init_from_starts_anew_and_keeps_masks(speech, tmp_path, wv_train):
    first, second = tmp_path / "first.pt", tmp_path / "second.pt"
    assert wv_train(speech, "-o", first, *SHAPE, *QUICK, *PRUNED, "--slim", tmp_path / "slim.pt")[0] == 0
    # with nothing to train at: the weights are the first run's
    assert wv_train(speech, "-o", second, "--init-from", tmp_path / "slim.pt", *QUICK, "--max-minutes", 1e-6)[0] == 0
    a, b = load_checkpoint(first), load_checkpoint(second)
    assert b["step"] == 0 and b["config"] == a["config"] and len(b["history"]) == 1
    assert all(torch.equal(a["model"][k], b["model"][k]) for k in a["model"])
    more = (
        speech,
        "-o",
        second,
        "--overwrite",
        "--init-from",
        first,
        *QUICK,
        "--sparsity",
        "R=0.9",
        "--prune-start",
        0,
    )
    assert wv_train(*more, "--prune-steps", 4)[0] == 0
    b = load_checkpoint(second)
    for name, mask in a["masks"].items():
        assert not (b["masks"][name] & ~mask).any()
    assert float(b["masks"]["R_r"].float().mean()) == pytest.approx(0.1, abs=0.03)
    assert torch.equal(b["masks"]["O1"], a["masks"]["O1"]) and b["prune"]["block"]["R_u"] == "4x4"
    moment = b["optimizer"]["momentum"]["O1"]  # of pruned weights: untouched, and out of the gradient's norm
    assert not moment[~a["masks"]["O1"]].any() and moment.any()
    assert wv_train(*more, "--prune-steps", 0, "--max-minutes", 1e-6)[0] == 0  # at once
    assert float(load_checkpoint(second)["masks"]["R_r"].float().mean()) == pytest.approx(0.1, abs=0.03)
    code, err = wv_train(speech, "-o", tmp_path / "third.pt", "--init-from", first, "--block", "16x1")
    assert code == 2 and "options: block of R_u: found 16x1, wanted 4x4, the checkpoint's masks'" in err


def test_a_small_model_grows_into_a_large_one(speech, tmp_path, wv_train):
    """The same likelihood to begin with, and new units that learn and are read."""
    small, large = tmp_path / "small.pt", tmp_path / "large.pt"
    assert wv_train(speech, "-o", small, *SHAPE, *QUICK)[0] == 0
    grow = ("--init-from", small, "--n-units", 128, "--n-out", 48, "--n-cond", 48)
    assert wv_train(speech, "-o", large, *grow, *QUICK)[0] == 0
    before, after = load_checkpoint(small)["history"][-1], load_checkpoint(large)["history"][0]
    for name in ("valid_nll_c", "valid_nll_f"):
        assert after[name] == pytest.approx(before[name], abs=1e-5)
    model = load_model(large)[0]
    assert (model.cfg.n_units, model.cfg.n_out, model.cfg.n_cond) == (128, 48, 48)
    old_rows_new_columns = model.R.detach().view(3, 2, 64, 2, 64)[:, :, :32, :, 32:]
    for w in (old_rows_new_columns, model.O1[:, 32:], model.O2[:, 16:], model.C3[:, 16:]):
        assert (w != 0).float().mean() > 0.5  # all but what a dead relu hides
    code, err = wv_train(speech, "-o", small, "--resume", "--n-units", 128)
    assert code == 2 and "options: n_units: found 128, wanted 64, the checkpoint's" in err
    code, err = wv_train(speech, "-o", tmp_path / "x.pt", "--init-from", large, "--n-units", 64)
    assert code == 2 and "options: n_units: found 64, wanted at least 128, the checkpoint's" in err
    assert wv_train(speech, "-o", small, "--overwrite", *SHAPE, *QUICK, *PRUNED)[0] == 0
    code, err = wv_train(speech, "-o", tmp_path / "x.pt", "--init-from", small, "--n-units", 128)
    assert code == 2 and "options: n_units: found 128, wanted 64, the pruned checkpoint's" in err


def test_toml_with_a_byte_order_mark(tmp_path):
    (tmp_path / "c.toml").write_bytes(b"\xef\xbb\xbf[train]\r\nlr = 0.5\r\n")
    assert read_toml(tmp_path / "c.toml")["train"] == {"lr": 0.5}


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


def test_learning_rate():
    cfg = TrainConfig(steps=100, warmup=10, lr=1e-2, lr_end=1e-4)
    assert [cfg.lr_at(t) for t in (0, 9, 10, 100, 200)] == pytest.approx([1e-3, 1e-2, 1e-2, 1e-4, 1e-4])
    assert cfg.lr_at(55) == pytest.approx((1e-2 + 1e-4) / 2)
    assert all(cfg.lr_at(t) >= cfg.lr_at(t + 1) for t in range(10, 100))


def test_generation_is_the_model():
    """Fed back its own free-running samples, the model gives each byte the interval its draw fell into."""
    torch.manual_seed(0)
    net = model.WaveRNN(WaveRNNConfig(n_units=64, n_out=16, n_cond=16)).eval()
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(3)  # away from uniform
        for bias in (net.b_R, net.b_C3, net.b_O1):
            bias.uniform_(-0.5, 0.5)
        mel, draws = torch.randn(80, 3 + 4), torch.rand(480, 2)
        out = torch.from_numpy(generate(net, mel, draws))
        logits = net(torch.cat([torch.zeros(1, dtype=torch.int16), out])[None], mel[None])
    for byte, z, draw in zip(split_bytes(out), logits, draws.T, strict=True):
        cdf = torch.nn.functional.pad(torch.softmax(z[0], 1).cumsum(1), (1, 0))
        low, high = (cdf.gather(1, (byte + k)[:, None])[:, 0] for k in (0, 1))
        assert ((low - 1e-4 <= draw) & (draw <= high + 1e-4)).all()
        assert float((high - low).mean()) > 1 / 200


@pytest.mark.slow
def test_audio_samples_and_logs(speech, tmp_path, wv_train):
    pytest.importorskip("tensorboard")
    code, _ = wv_train(
        speech, "-o", tmp_path / "m.pt", *SHAPE, *QUICK[:-1], "--audio-every", 8, "--log-dir", tmp_path / "logs"
    )
    assert code == 0
    audio, rate = soundfile.read(tmp_path / "m-8.wav", dtype="int16")
    assert rate == 16000 and audio.shape == (8000,) and audio.std() > 0
    assert any(f.name.startswith("events") for f in (tmp_path / "logs").iterdir())
    assert sorted(f.name for f in tmp_path.iterdir()) == ["logs", "m-8.wav", "m.pt"]


def test_without_tensorboard_a_word(speech, tmp_path, wv_train, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    code, err = wv_train(speech, "-o", tmp_path / "m.pt", *SHAPE, *QUICK[:-1], "--max-minutes", 1e-6)
    assert code == 0 and "tensorboard: not installed" in err


def test_a_loss_that_is_not_finite_stops(speech, tmp_path, wv_train, monkeypatch, at_step):
    at_step(3, lambda: monkeypatch.setattr(model, "cross_entropy", lambda logits, byte: logits.sum() * float("nan")))
    code, err = wv_train(speech, "-o", tmp_path / "m.pt", *SHAPE, *QUICK, "--save-minutes", 0)
    assert code == 1 and "step 3: found a loss of nan" in err.splitlines()[-1]
    assert load_checkpoint(tmp_path / "m.pt")["step"] == 3  # the last good one


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
    "nan": (["SPEECH", "--lr", "nan"], 2, "options: lr: found nan"),
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
    code, err = wv_train(*[speech if a == "SPEECH" else a for a in args], *(["-o", "m.pt"] if args else []))
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


def test_history_is_json(speech, tmp_path, wv_train):
    """What a report reads: plain numbers only."""
    assert wv_train(speech, "-o", tmp_path / "m.pt", *SHAPE, *QUICK)[0] == 0
    ckpt = load_checkpoint(tmp_path / "m.pt")
    json.dumps({k: ckpt[k] for k in ("config", "train", "prune", "history", "data", "versions")})
    assert set(ckpt["history"][-1]) == {
        "step",
        "minutes",
        "train_nll_c",
        "train_nll_f",
        "valid_nll_c",
        "valid_nll_f",
        "sparsity",
        "lr",
    }


def test_tables_of_a_toml_file(tmp_path):
    (tmp_path / "c.toml").write_text("[train]\nlr = 1e-3\n")
    assert read_toml(tmp_path / "c.toml") == {"model": {}, "mel": {}, "train": {"lr": 1e-3}, "prune": {}}


def test_linear_prediction_trains_and_goes_on(speech, tmp_path, wv_train):
    """The loss falls, the order stays with the checkpoint, and samples while training are refused, not wrong."""
    first, then = tmp_path / "a.pt", tmp_path / "b.pt"
    run = (*QUICK, "--lpc-order", 6, "--lr", 1e-2)
    assert wv_train(speech, "-o", first, *SHAPE, *run, "--steps", 30, "--valid-every", 30)[0] == 0
    history = load_checkpoint(first)["history"]
    nll = [h["valid_nll_c"] + h["valid_nll_f"] for h in history]
    assert nll[-1] < nll[0] - 0.5
    assert load_checkpoint(first)["model"]["I_raw"].shape[1] == 8
    code, err = wv_train(speech, "-o", then, "--init-from", first, *QUICK, "--lpc-order", 8)
    assert code == 2 and "lpc_order: found 8, wanted 6, the checkpoint's" in err
    code, err = wv_train(speech, "-o", then, *SHAPE, *run, "--audio-every", 1)
    assert code == 2 and "--audio-every" in err and not then.exists()
