"""Fixtures of the trainer's tests: a little speech, the command, a hook into a step."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile


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
    from wv_train import cli

    def run(*args):
        result = command(cli.main, *args)
        return result.code, result.err

    return run


@pytest.fixture
def at_step(monkeypatch):
    """at_step(n, do): call `do` while step n is under way; the last call counts."""
    from wv_train.lanes import Lanes

    draw = Lanes.draw

    def arrange(n, do):
        def hooked(self, seed, step, *args):
            if step == n:
                do()
            return draw(self, seed, step, *args)

        monkeypatch.setattr(Lanes, "draw", hooked)

    yield arrange


@pytest.fixture
def saved(tmp_path):
    """(network, path of its checkpoint)"""
    from exports import PRUNED, make_checkpoint
    from wv_train.checkpoint import save_checkpoint

    net, ckpt = make_checkpoint(blocks=PRUNED)
    save_checkpoint(tmp_path / "model.pt", ckpt)
    return net, tmp_path / "model.pt"
