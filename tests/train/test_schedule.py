"""Schedules follow from the length of the run, in steps or in minutes, and the last line says what was reached."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")
pytest.importorskip("librosa")

from wv_runtime.model.config import WaveRNNConfig  # noqa: E402
from wv_train import cli, loop  # noqa: E402
from wv_train.checkpoint import load_checkpoint  # noqa: E402
from wv_train.prune import PruneConfig  # noqa: E402
from wv_train.settings import Settings, TrainConfig  # noqa: E402

TINY = ("--n-units", 64, "--n-out", 16, "--n-cond", 16, "--batch", 2, "--window", 160, "--valid-windows", 1,
        "--valid-window", 160, "--threads", 1, "--no-log")  # fmt: skip


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "noise"
    folder.mkdir()
    for i in range(4):
        soundfile.write(folder / f"{i}.wav", 0.1 * np.random.default_rng(i).standard_normal(8000), 16000)
    return folder


def reached(checkpoint):
    return {name: 1 - float(mask.float().mean()) for name, mask in checkpoint["masks"].items()}


@pytest.mark.parametrize(
    ("n_steps", "given", "start", "steps", "every"),
    [
        (100_000, {}, 1000, 50_000, 500),  # the paper's
        (10_000, {}, 100, 5000, 50),
        (8, {}, 0, 4, 1),
        (1, {}, 0, 0, 1),
        (100, {"start": 80}, 80, 20, 1),  # what is not given makes room for what is
        (100, {"steps": 10, "every": 3}, 1, 10, 3),
    ],
)
def test_a_schedule_over_a_run(n_steps, given, start, steps, every):
    cfg = PruneConfig(sparsity={"R": 0.9}, **given).over(n_steps)
    assert (cfg.start, cfg.steps, cfg.every) == (start, steps, every)


@pytest.mark.parametrize("n_steps", [1, 7, 30])
def test_a_run_of_any_length_reaches_its_sparsity(speech, tmp_path, command, n_steps):
    result = command(
        cli.main,
        speech,
        "-o",
        tmp_path / "m.pt",
        *TINY,
        "--steps",
        n_steps,
        "--sparsity",
        0.75,
        "--block",
        "4x4",
        "--sparsity",
        "O2=0.5",
    )
    assert result.code == 0, result.err
    assert set(reached(load_checkpoint(tmp_path / "m.pt")).values()) == {0.75, 0.5}
    last = result.err.strip().splitlines()[-1]
    assert last.endswith(
        f"m.pt: step {n_steps} of {n_steps}; sparsity: R, O1, O3, O4: asked 0.75, reached 0.750; "
        "O2: asked 0.5, reached 0.500"
    )


@pytest.mark.slow
def test_a_run_of_some_minutes_reaches_its_sparsity(speech, tmp_path, command):
    result = command(
        cli.main, speech, "-o", tmp_path / "m.pt", *TINY, "--max-minutes", 0.1, "--sparsity", 0.75, "--block", "4x4"
    )
    assert result.code == 0, result.err
    checkpoint = load_checkpoint(tmp_path / "m.pt")
    assert set(reached(checkpoint).values()) == {0.75}
    assert 0.5 < checkpoint["step"] / checkpoint["train"]["steps"] <= 1 and checkpoint["step"] > 20
    assert checkpoint["prune"]["start"] + checkpoint["prune"]["steps"] <= checkpoint["step"]
    assert result.err.strip().splitlines()[-1].endswith("sparsity: asked 0.75, reached 0.750")


def test_a_clock_that_is_asked_again(monkeypatch):
    """100 s, a step of 1 s, from step 40 on of 2 s: 70 steps. 97 s are planned for."""
    clock = [0.0]
    monkeypatch.setattr(loop.time, "monotonic", lambda: clock[0])
    pace = loop.Pace(TrainConfig(steps=0, warmup=10, valid_every=20), 100 / 60, 0.0, 0, 1)
    told = {}
    for step in range(70):
        if n := pace.measure(step, True):
            told[step] = n
        if step and step % 20 == 0:
            pace.validated(0.0)
        clock[0] += 1 if step < 40 else 2
    # at 41 the 20 steps before took 21 s, at 61 40 s
    assert told == {6: 97, 21: 97, 41: 41 + int((97 - 42) / 1.05), 61: 61 + int((97 - 82) / 2)}
    assert not loop.Pace(TrainConfig(steps=5), 1.0, 0.0, 0, 1).again
    assert not loop.Pace(TrainConfig(), 0.0, 0.0, 0, 1).again


def test_a_run_that_becomes_shorter_ends_its_pruning(tmp_path):
    settings = Settings(WaveRNNConfig(), TrainConfig(steps=0), PruneConfig(sparsity={"R": 0.9})).over(1000, "")
    assert (settings.prune.start, settings.prune.last_step()) == (10, 510)
    assert settings.lasting(800).prune == settings.prune and settings.lasting(800).train.steps == 800
    assert settings.lasting(400).prune.last_step() == 400 and settings.lasting(5).prune.last_step() == 5


@pytest.mark.slow
def test_the_schedules_follow_a_machine_that_becomes_slower(speech, tmp_path, command, monkeypatch):
    update = loop.Update.__call__

    def slower(self, step, lr, droppable):
        time.sleep(0.001 if step < 100 else 0.1)
        return update(self, step, lr, droppable)

    monkeypatch.setattr(loop.Update, "__call__", slower)
    result = command(
        cli.main, speech, "-o", tmp_path / "m.pt", *TINY, "--max-minutes", 0.15, "--warmup", 5, "--valid-every", 10,
        "--sparsity", 0.75, "--block", "4x4",
    )  # fmt: skip
    assert result.code == 0, result.err
    checkpoint = load_checkpoint(tmp_path / "m.pt")
    assert "wv-train: the pace has changed: " in result.err
    assert 0.9 < checkpoint["step"] / checkpoint["train"]["steps"] <= 1 and checkpoint["history"][-1]["lr"] < 2e-4
    assert result.err.strip().splitlines()[-1].endswith("sparsity: asked 0.75, reached 0.750")


def test_a_schedule_that_does_not_fit_the_minutes_is_refused(speech, tmp_path, command):
    args = (speech, "-o", tmp_path / "m.pt", *TINY, "--max-minutes", 0.05, "--sparsity", 0.75, "--block", "4x4",
            "--prune-steps", 10**8)  # fmt: skip
    result = command(cli.main, *args)
    assert result.code == 2 and not (tmp_path / "m.pt").exists()
    assert re.search(r"error: \d+ steps fit --max-minutes 0.05: schedule: found its end at step 1000", result.err)
    # with steps of its own the run may be one of several: a word at once, and the last line
    result = command(cli.main, *args, "--steps", 2 * 10**8)
    assert result.code == 0
    assert "before pruning does at 102000000; without --steps the schedules would fit" in result.err
    assert re.search(
        r"step \d+ of 200000000: the time was up; --resume continues; sparsity: asked 0.75, reached 0.0",
        result.err.strip().splitlines()[-1],
    )
