"""wv-train that stops and goes on: interrupted, out of time, from another checkpoint, grown."""

from __future__ import annotations

import csv
import ctypes
import json
import os
import signal
from functools import partial

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("librosa")

from training import PRUNED, QUICK, SHAPE, same  # noqa: E402
from wv_train import gru  # noqa: E402
from wv_train.checkpoint import load_checkpoint, load_model, save_checkpoint  # noqa: E402
from wv_train.loop import is_best  # noqa: E402
from wv_train.signals import Signals  # noqa: E402
from wv_train.validate import Validation  # noqa: E402


def at_backward(monkeypatch, n, number):
    """The signal comes in the backward pass of step n, half-way in time; the forward pass has raised ranges."""
    backward, calls = gru.gates_backward, []

    def hooked(t, *args):
        calls.append(t)
        if len(calls) == n * 320 + 160:
            os.kill(os.getpid(), number)
        backward(t, *args)

    monkeypatch.setattr(gru, "gates_backward", hooked)
    return calls


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_interrupted_and_resumed_is_as_in_one_go(speech, tmp_path, wv_train, monkeypatch, number, expected):
    assert wv_train(speech, "-o", tmp_path / "one.pt", *SHAPE, *QUICK, *PRUNED)[0] == 0
    before = signal.signal(number, signal.SIG_DFL)  # nohup and background jobs ignore some
    with monkeypatch.context() as patch:
        calls = at_backward(patch, 2, number)
        code, err = wv_train(speech, "-o", tmp_path / "two.pt", *SHAPE, *QUICK, *PRUNED)
    signal.signal(number, before)
    assert code == expected and "stopped at step 2 and saved" in err and "Traceback" not in err
    assert len(calls) == 2 * 320 + 160 and load_checkpoint(tmp_path / "two.pt")["step"] == 2  # dropped there and then
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


def test_one_command_starts_and_goes_on(speech, tmp_path, wv_train, at_step, monkeypatch):
    """--continue on a machine that is taken away and on the next, which has the slim checkpoint alone; --runs"""
    monkeypatch.chdir(tmp_path)
    assert wv_train(speech, "-o", "one.pt", *SHAPE, *QUICK)[0] == 0
    command = (speech, "-o", "two.pt", "--continue", "--slim", "slim.pt", "--runs", "runs.tsv", *SHAPE, *QUICK)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with monkeypatch.context():
        at_step(2, lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert wv_train(*command)[0] == 143
    signal.signal(signal.SIGTERM, before)
    at_step(-1, lambda: None)
    assert wv_train(*command)[0] == 0
    assert same(load_checkpoint("one.pt"), load_checkpoint("two.pt"))
    command = (speech, "-o", "three.pt", "--continue", "--init-from", "slim.pt", "--runs", "runs.tsv", *QUICK)
    assert wv_train(*command)[0] == 0
    runs = read_runs("runs.tsv")
    assert [(r["output"], r["first_step"], r["step"], r["signal"]) for r in runs] == [
        ("two.pt", "0", "2", "15"), ("two.pt", "2", "8", "0"), ("three.pt", "0", "8", "0"),
    ]  # fmt: skip
    last = load_checkpoint("three.pt")["history"][-1]
    assert float(runs[2]["valid_nll"]) == pytest.approx(last["valid_nll_c"] + last["valid_nll_f"], abs=1e-4)
    found = json.loads(runs[0]["settings"])
    assert found["model"] == {"n_units": 64, "n_out": 16, "n_cond": 16}
    assert found["train"]["window"] == 320 and "lr" not in found["train"] and "sparsity" not in found["prune"]


def read_runs(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.mark.parametrize(("options", "code", "wanted"), [
    (["--runs", "a.txt"], 1, "a.txt: found 'my notes' as its first line, wanted a table of --runs"),
    (["--runs", "m.pt"], 2, "found one file named twice among -o, --slim, --best, --plot and --runs"),
    (["--continue", "--overwrite"], 2, "found both --continue and --overwrite, wanted one of them"),
])  # fmt: skip
def test_what_is_not_a_table_of_runs(options, code, wanted, speech, tmp_path, wv_train, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("my notes\n")
    found, err = wv_train(speech, "-o", "m.pt", *options, *SHAPE, *QUICK)
    assert found == code and wanted in err and (tmp_path / "a.txt").read_text() == "my notes\n"
    assert not (tmp_path / "m.pt").exists()


def test_ctrl_c_does_not_wait_for_a_validation(speech, tmp_path, wv_train, monkeypatch):
    """It comes in the validation of step 4; the run that goes on makes up for it."""
    asked, call = [], Validation.__call__

    def interrupted(self, stop):
        asked.append(stop())
        if len(asked) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return call(self, stop)

    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    monkeypatch.setattr(Validation, "__call__", interrupted)
    code, err = wv_train(speech, "-o", tmp_path / "m.pt", *SHAPE, *QUICK)
    signal.signal(signal.SIGTERM, before)
    assert code == 143 and "stopped at step 4 and saved" in err and asked == [False, False]
    assert [h["step"] for h in load_checkpoint(tmp_path / "m.pt")["history"]] == [0]
    assert wv_train(speech, "-o", tmp_path / "m.pt", "--resume", "--no-log")[0] == 0
    assert [h["step"] for h in load_checkpoint(tmp_path / "m.pt")["history"]] == [0, 4, 8]


def test_ctrl_c_does_not_wait_for_the_first_validation(speech, tmp_path, wv_train, monkeypatch):
    """Nor for the end of a few of its frames. The table of runs then has no NLL."""
    forward, times = gru.gates_forward, []

    def interrupted(t, *args):
        times.append(t)
        if t == 10:
            os.kill(os.getpid(), signal.SIGTERM)
        forward(t, *args)

    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    command = (speech, "-o", tmp_path / "m.pt", "--runs", tmp_path / "runs.tsv")
    with monkeypatch.context() as patch:
        patch.setattr(gru, "gates_forward", interrupted)
        code, err = wv_train(*command, *SHAPE, *QUICK)
    signal.signal(signal.SIGTERM, before)
    assert code == 143 and "stopped at step 0 and saved" in err and times == [*range(11)]
    assert load_checkpoint(tmp_path / "m.pt")["history"] == []
    assert wv_train(*command, "--resume", "--no-log")[0] == 0
    assert [h["step"] for h in load_checkpoint(tmp_path / "m.pt")["history"]] == [0, 4, 8]
    assert [run["valid_nll"] != "" for run in read_runs(tmp_path / "runs.tsv")] == [False, True]


def test_a_signal_in_a_callback_from_c(monkeypatch):
    """Python drops the exception there, and Numba's compiler then fails; what fails for another reason is an error."""
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: None)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    callback = ctypes.CFUNCTYPE(None)(lambda: os.kill(os.getpid(), signal.SIGTERM))

    def work(interrupt):
        changed.zero_()
        if interrupt:
            callback()
        raise RuntimeError("no compiled object yet")

    changed = torch.ones(2)
    with Signals(drops=True) as signals:
        with pytest.raises(RuntimeError):
            signals.droppable(partial(work, False), changed)
        assert not signals.seen
        changed.fill_(1)
        assert signals.droppable(partial(work, True), changed) is None and changed.all()
    signal.signal(signal.SIGTERM, before)


def test_an_ignored_hangup_does_not_end_a_run(speech, tmp_path, wv_train, at_step):
    """nohup wv-train .. &"""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        at_step(2, lambda: os.kill(os.getpid(), signal.SIGHUP))
        assert wv_train(speech, "-o", tmp_path / "m.pt", *SHAPE, *QUICK)[0] == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN and load_checkpoint(tmp_path / "m.pt")["step"] == 8
    finally:
        signal.signal(signal.SIGHUP, before)


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


def test_checkpoints_on_the_way(speech, tmp_path, wv_train, at_step):
    seen = []
    at_step(5, lambda: seen.append(load_checkpoint(tmp_path / "m.pt")["step"]))
    assert wv_train(speech, "-o", tmp_path / "m.pt", *SHAPE, *QUICK, "--save-minutes", 0)[0] == 0
    assert seen == [5]


def test_the_best_and_the_last_model_are_kept_apart(speech, tmp_path, wv_train, monkeypatch):
    """Over an interruption, too: what was best before stays best."""
    nll = iter([5.0, 3.0, 4.0, 6.0, 2.5, 2.75])
    monkeypatch.setattr("wv_train.loop.Validation.__call__", lambda self, stop: [[next(nll), 1.0]])
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
