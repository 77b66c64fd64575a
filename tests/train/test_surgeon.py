"""One-shot pruning: least squares keeps the outputs, targets are reached, wv-export takes what the command writes."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
from wv_train.surgeon import prune_matrix


def case(seed=0, rows=16, cols=32, n=4000):
    """A matrix, and inputs that depend on each other."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6)) @ rng.normal(size=(6, cols)) + 0.1 * rng.normal(size=(n, cols)) + rng.normal(size=cols)
    x = np.concatenate([x, np.ones((n, 1))], axis=1)
    return rng.normal(size=(rows, cols)), rng.normal(size=rows), x


def test_the_others_take_over():
    W, bias, x = case()
    kept, b, mask, error = prune_matrix(W, bias, x.T @ x / len(x), np.ones(W.shape, bool), (8, 4), 0.5)
    assert mask.mean() == 0.5 and not kept[~mask].any()
    assert (mask.reshape(2, 8, 8, 4) == mask.reshape(2, 8, 8, 4)[:, :1, :, :1]).all()  # whole blocks
    wanted = x @ np.c_[W, bias].T
    found, zeroed = x @ np.c_[kept, b].T, x @ np.c_[np.where(mask, W, 0), bias].T
    off = ((found - wanted) ** 2).mean()
    assert off < 0.05 * ((zeroed - wanted) ** 2).mean() and off < 0.01 * wanted.var()
    assert error == pytest.approx(off, rel=0.1)  # but for the ridge

    # no other weights on the same blocks do better
    for i in (0, 15):
        columns = np.append(np.flatnonzero(mask[i]), 32)
        best = np.linalg.lstsq(x[:, columns], wanted[:, i], rcond=None)[0]
        least = ((x[:, columns] @ best - wanted[:, i]) ** 2).mean()
        assert ((found[:, i] - wanted[:, i]) ** 2).mean() < 1.1 * least


def test_what_is_gone_stays_gone():
    W, bias, x = case(1)
    mask = np.kron(np.random.default_rng(2).random((2, 8)) < 0.7, np.ones((8, 4))).astype(bool)
    W = np.where(mask, W, 0)
    kept, _, after, _ = prune_matrix(W, bias, x.T @ x / len(x), mask, (8, 4), 0.5)
    assert after.mean() == 0.5 and not (after & ~mask).any() and not kept[~after].any()
    same, b, after, error = prune_matrix(W, bias, x.T @ x / len(x), mask, (8, 4), 0.1)  # already sparser
    np.testing.assert_array_equal(after, mask)
    assert error == 0 and np.array_equal(same, W) and np.array_equal(b, bias)


def test_the_command(tmp_path, command):
    """On noise: a dense network, pruned in one step, exports with its zeros; wrong input gets one line."""
    soundfile = pytest.importorskip("soundfile")
    pytest.importorskip("librosa")
    from wv_export.cli import main as wv_export
    from wv_runtime.model import binary
    from wv_train.checkpoint import load_checkpoint
    from wv_train.cli import main as wv_train
    from wv_train.prune_once import main as wv_prune

    speech = tmp_path / "speech"
    speech.mkdir()
    for i in range(4):
        soundfile.write(speech / f"{i}.wav", 0.1 * np.random.default_rng(i).standard_normal(8000), 16000)
    model, out = tmp_path / "model.pt", tmp_path / "pruned.pt"
    tiny = ("--n-units", 64, "--n-out", 16, "--n-cond", 16, "--batch", 2, "--window", 160, "--valid-windows", 1)
    done = command(
        wv_train, speech, "-o", model, *tiny, "--valid-window", 160, "--threads", 1, "--no-log", "--steps", 1
    )
    assert done.code == 0, done.err
    asked = ("--data", speech, "--sparsity", "C1=0.5", "--sparsity", "R=0.75", "--sparsity", "R_e=0.5")
    done = command(wv_prune, model, out, *asked)
    assert done.code == 0, done.err
    assert "R_u         0.0%     75.0%" in done.out and "before" in done.out.splitlines()[-2]
    ckpt = load_checkpoint(out)
    for name, z in {"C1": 0.5, "R_u": 0.75, "R_r": 0.75, "R_e": 0.5}.items():
        assert 1 - ckpt["masks"][name].double().mean() == z
    assert set(ckpt["masks"]) == {"C1", "R_u", "R_r", "R_e"} and ckpt["optimizer"] is None
    done = command(wv_export, out, tmp_path / "out.bin", "--dtype", "int8")
    assert done.code == 0, done.err
    matrices = binary.load(tmp_path / "out.bin").matrices
    assert matrices["C1"].sparsity == 0.5 and matrices["R"].sparsity == pytest.approx(2 / 3)

    again = command(wv_prune, out, tmp_path / "again.pt", *asked[:2], "--sparsity", "C1=0.75", "--block", "C1=8x2")
    assert again.code == 0, again.err  # whole 16x4 blocks are whole 8x2 blocks
    fine, x = tmp_path / "again.pt", tmp_path / "x.pt"
    for options, message in (
        ((model, out, *asked), f"{out}: found a file, wanted none; --overwrite replaces it"),
        ((model, tmp_path / "x.bin", *asked), "x.bin, wanted a name ending in .pt"),
        ((model, model, *asked, "--overwrite"), "the checkpoint itself, wanted another file"),
        ((model, x, *asked[:2], "--sparsity", "C1=1"), "sparsity of C1: found 1.0"),
        ((model, x, *asked, "--block", "C1=3x4"), "block of C1: found 3x4, wanted divisors of 16 x 400"),
        ((fine, x, *asked, "--block", "C1=16x4"), "not whole blocks of 16x4"),
    ):
        bad = command(wv_prune, *options)
        assert bad.code == 2 and message in bad.err and len(bad.err.strip().splitlines()) <= 2, bad.err
    assert not (tmp_path / "x.pt").exists()
