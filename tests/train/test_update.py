"""One update: carried states, accumulation, two processes, int8, a teacher, the schedule."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("librosa")

from training import PRUNED, QUICK, SHAPE  # noqa: E402
from wv_runtime.model.config import WaveRNNConfig  # noqa: E402
from wv_train import model  # noqa: E402
from wv_train.checkpoint import load_checkpoint  # noqa: E402
from wv_train.settings import TrainConfig, make  # noqa: E402


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


def test_learning_rate():
    cfg = TrainConfig(steps=100, warmup=10, lr=1e-2, lr_end=1e-4)
    assert [cfg.lr_at(t) for t in (0, 9, 10, 100, 200)] == pytest.approx([1e-3, 1e-2, 1e-2, 1e-4, 1e-4])
    assert cfg.lr_at(55) == pytest.approx((1e-2 + 1e-4) / 2)
    assert all(cfg.lr_at(t) >= cfg.lr_at(t + 1) for t in range(10, 100))
