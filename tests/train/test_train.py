"""wv-train end to end on a few seconds of synthetic sound: it learns, logs, speaks and says what went wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")
pytest.importorskip("librosa")

from training import QUICK, SHAPE  # noqa: E402
from wv_runtime.model.config import WaveRNNConfig  # noqa: E402
from wv_train import model  # noqa: E402
from wv_train.checkpoint import load_checkpoint, load_model  # noqa: E402
from wv_train.model import split_bytes  # noqa: E402
from wv_train.sampling import generate  # noqa: E402


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
