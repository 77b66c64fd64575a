"""Subscale in training: no lane learns from what is drawn after it, and a run with lanes is a run like any other."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

torch = pytest.importorskip("torch")
soundfile = pytest.importorskip("soundfile")
pytest.importorskip("librosa")

import torch.nn.functional as F  # noqa: E402
from model_fixtures import tiny_config, tiny_mel  # noqa: E402
from wv_export.convert import read_checkpoint, to_model  # noqa: E402
from wv_runtime.engine.numba_cpu import teacher_forced  # noqa: E402
from wv_runtime.engine.onnx_graph import conditioning, step  # noqa: E402
from wv_runtime.model import binary as bin_format  # noqa: E402
from wv_runtime.model.checkpoint import FORMAT  # noqa: E402
from wv_runtime.model.config import WaveRNNConfig  # noqa: E402
from wv_train import cli  # noqa: E402
from wv_train.checkpoint import load_checkpoint, load_model, save_checkpoint  # noqa: E402
from wv_train.dataset import load_data, valid_frames  # noqa: E402
from wv_train.grow import grown  # noqa: E402
from wv_train.lanes import Lanes  # noqa: E402
from wv_train.model import WaveRNN, cross_entropy  # noqa: E402
from wv_train.validate import Validation  # noqa: E402

CFG = tiny_config(subscale=5, lpc_order=12, horizon=1, lookback=2, context=4)
LANES = ("--lpc-order", 12, "--subscale", 4, "--horizon", 2, "--lookback", 4, "--context", 3)
QUICK = (
    "--n-units", 64, "--n-out", 16, "--n-cond", 16, "--batch", 2, "--window", 320, "--valid-windows", 2,
    "--valid-window", 640, "--valid-every", 3, "--warmup", 2, "--threads", 1, "--no-log", "--lr", 1e-2,
)  # fmt: skip


def network(cfg=CFG):
    torch.manual_seed(0)
    net = WaveRNN(cfg).eval()
    torch.nn.init.normal_(net.lane)
    return net


def window(cfg=CFG, n_frames=3):
    T = n_frames * cfg.mel.hop_length  # noqa: N806
    samples = torch.randint(-3000, 3000, (2, cfg.n_past + T + cfg.n_future), dtype=torch.int16)
    return samples, torch.randn(2, cfg.mel.n_mels, n_frames + cfg.cond_width - 1)


def test_no_lane_sees_a_sample_that_is_drawn_after_it():
    """For every pair of lanes: the first step of the one that a sample of the other reaches."""
    net, B, F, step = network(), CFG.subscale, CFG.horizon, 4  # noqa: N806
    samples, mel = window()
    with torch.no_grad():
        before = net(samples, mel)
        for z in range(B):
            other = samples.clone()
            other[0, CFG.n_past + B * step + z] += 500
            changed = [(a != b).any(2)[0].view(-1, B).numpy() for a, b in zip(net(other, mel), before, strict=True)]
            for s in range(B):
                coarse, fine = (set(np.flatnonzero(of[:, s])) for of in changed)
                if z > s:
                    assert not coarse and not fine
                elif z < s:
                    assert min(coarse) == min(fine) == step - F
                else:  # its coarse byte is an input of its fine one
                    assert min(coarse) == step + 1 and min(fine) == step


def test_lanes_are_sequences_of_their_own():
    """Every lane alone, with its bias in b_C3 and no other lane beside it, gives the same logits."""
    net, (samples, mel) = network(), window()
    x, _ = net.inputs(samples, mel)
    with torch.no_grad():
        together = net.output(net.states(x, mel)[0])
        for s in range(CFG.subscale):
            alone = network()
            alone.lane = None
            alone.b_C3 += net.lane[s]
            found = alone.output(alone.states(x[:, s :: CFG.subscale], mel)[0])
            for a, b in zip(found, together, strict=True):
                torch.testing.assert_close(a, b[s :: CFG.subscale], atol=1e-5, rtol=0)


def test_gradients_reach_no_other_lane():
    """For every pair of lanes: the loss of one moves its own bias, not the other's."""
    net, (samples, mel) = network(), window()
    x, (c, _) = net.inputs(samples, mel)
    z_c, _ = net.output(net.states(x, mel)[0])
    for s in range(CFG.subscale):
        net.lane.grad = None
        cross_entropy(z_c[s :: CFG.subscale], c[s :: CFG.subscale]).backward(retain_graph=True)
        assert [float(grad.abs().max()) > 0 for grad in net.lane.grad] == [z == s for z in range(CFG.subscale)]


def test_windows_have_true_margins_and_zeros_beyond_a_clip(speech):
    cfg = WaveRNNConfig(n_units=64, lpc_order=12, subscale=4, horizon=2, lookback=4, context=3)
    data = load_data(speech, cfg)
    clip, n = np.array([1, 1]), int(data.n_frames[1])
    whole = data.audio[data.first_sample[1] + 1 :][: n * 160]
    for start in (0, 10, n - 2):
        found = data.samples(clip, np.array([start, start]), 2)[1]
        padded = np.concatenate([np.zeros(cfg.n_past, np.int16), whole, np.zeros(cfg.n_future, np.int16)])
        np.testing.assert_array_equal(found, padded[start * 160 :][: cfg.n_past + 320 + cfg.n_future])


def test_a_run_with_lanes_trains_stops_resumes_and_grows(speech, tmp_path, command):
    once, twice = tmp_path / "a.pt", tmp_path / "b.pt"
    assert command(cli.main, speech, "-o", once, *QUICK, *LANES, "--steps", 18, "--valid-every", 18).code == 0
    ckpt = load_checkpoint(once)
    history, lanes = ckpt["history"], np.array(ckpt["history"][-1]["valid_nll_lanes"])
    nll = [h["valid_nll_c"] + h["valid_nll_f"] for h in history]
    assert nll[-1] < nll[0] - 0.5 and lanes.shape == (4, 2) and lanes.sum(1).mean() == pytest.approx(nll[-1])
    assert ckpt["model"]["I_raw"].shape[1] == 11 and ckpt["model"]["lane"].abs().max() > 0
    assert ckpt["states"].shape == (8, 64)

    # the same validation by hand: of the whole model, in the order of the samples
    net = load_model(once)[0]
    data = load_data(speech, net.cfg)
    samples, mel = Lanes(data, "valid", valid_frames(data, 4)).beginnings(2)
    with torch.no_grad():
        logits = net(torch.from_numpy(samples), torch.from_numpy(mel))
        byte = [net.in_order(b) for b in net.inputs(torch.from_numpy(samples), torch.from_numpy(mel))[1]]
        by_hand = sum(float(cross_entropy(z, b)) for z, b in zip(logits, byte, strict=True))
    assert by_hand == pytest.approx(nll[-1], abs=1e-3)
    assert np.sum(np.mean(Validation(net, (samples, mel))(), axis=0)) == pytest.approx(nll[-1], abs=1e-3)

    # as in one go
    stopped = ("--sparsity", 0.75, "--block", "R=4x4", "--prune-start", 1, "--prune-steps", 4, "--prune-every", 2)
    assert command(cli.main, speech, "-o", once, "--overwrite", *QUICK, *LANES, "--steps", 6, *stopped).code == 0
    assert (
        command(cli.main, speech, "-o", twice, *QUICK, *LANES, "--steps", 6, *stopped, "--max-minutes", 1e-6).code == 0
    )
    assert load_checkpoint(twice)["step"] < 6
    assert command(cli.main, speech, "-o", twice, "--resume").code == 0
    a, b = load_checkpoint(once), load_checkpoint(twice)
    assert a["step"] == b["step"] == 6 and torch.equal(a["states"], b["states"])
    assert all(torch.equal(a["model"][name], b["model"][name]) for name in a["model"])

    small, _ = load_model(once)
    wide = grown(small, WaveRNNConfig(**{**vars(small.cfg), "n_units": 128}))
    with torch.no_grad():
        for z, wanted in zip(wide.eval()(torch.from_numpy(samples), torch.from_numpy(mel)),
                             small(torch.from_numpy(samples), torch.from_numpy(mel)), strict=True):  # fmt: skip
            torch.testing.assert_close(z, wanted, atol=1e-4, rtol=0)
    code, err = command(cli.main, speech, "-o", tmp_path / "c.pt", "--init-from", once, *QUICK, "--subscale", 2)[::2]
    assert code == 2 and "subscale: found 2, wanted 4, the pruned checkpoint's" in err


def exported(net, folder, dtype):
    """The Model that wv-export makes of a network, written and read again."""
    ckpt = {
        "format": FORMAT, "config": asdict(net.cfg), "model": net.state_dict(), "masks": {}, "step": 1, "minutes": 0.0,
        "train": {}, "prune": {}, "history": [], "data": {}, "versions": {}, "optimizer": None, "rng": None,
        "states": None,
    }  # fmt: skip
    save_checkpoint(folder / "m.pt", ckpt)
    return bin_format.parse(bin_format.pack(to_model(read_checkpoint(str(folder / "m.pt")), dtype)))


@pytest.mark.parametrize("dtype", ["f32", "int8"])
def test_kernels_agree_with_torch(dtype, tmp_path):
    """The same logits of true samples, whose number no lane divides; int8 as torch rounds it."""
    net, mel = network(), torch.from_numpy(tiny_mel(CFG, 9) - 2)
    net.relu_max.fill_(4.0)
    net.int8 = dtype == "int8"
    n = 9 * CFG.mel.hop_length
    samples = np.zeros(CFG.n_past + n + CFG.n_future, np.int16)
    samples[CFG.n_past :][:n] = 300 * np.sin(np.arange(n) / 3)
    with torch.no_grad():
        wanted = net(torch.from_numpy(samples[None]), F.pad(mel[None], (1, 1), mode="replicate"))
    model = exported(net, tmp_path, dtype)
    given = samples[CFG.n_past - 1 :][: n - 2]  # the zero before the first, and three fewer than there are
    *found, byte = teacher_forced(model, given, mel.numpy())
    assert byte.shape == (n - 3, 2)
    for a, b in zip(found, wanted, strict=True):
        seen = slice(0, n - 3 - CFG.n_future)  # the last samples see others that are 0 here
        difference = np.abs(a[seen] - b[0, seen].numpy())
        most, mean = (2e-3, 1e-3) if dtype == "f32" else (0.3, 0.03)
        assert difference.max() < most and difference.mean() < mean


def test_onnx_graphs_agree_with_torch(tmp_path):
    """All lanes as one batch, each with its own g."""
    pytest.importorskip("onnx")
    ort = pytest.importorskip("onnxruntime")
    net, (samples, mel) = network(), window()
    model = exported(net, tmp_path, "f32")
    inner = mel[:1, :, 1:-1]
    with torch.no_grad():
        x, _ = net.inputs(samples[:1], mel[:1])
        wanted = net.output(net.states(x, F.pad(inner, (1, 1), mode="replicate"))[0])
    run_condition, run_step = (
        ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"]).run
        for graph in (conditioning(model), step(model))
    )
    (g,) = run_condition(["g"], {"mel": inner[0].numpy()})
    assert g.shape == (CFG.subscale, 3 * CFG.n_sub, 3 * CFG.n_units)
    steps_per_sub = CFG.sub_length // CFG.subscale
    h, names = np.zeros((CFG.subscale, CFG.n_units), np.float32), ["h_next", "logits_c", "logits_f"]
    for i in range(len(x)):
        h, *found = run_step(names, {"x": x[i].numpy(), "h": h, "g": g[:, i // steps_per_sub]})
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b[:, i].numpy(), atol=1e-4)


def test_shapes_of_lanes_that_cannot_be_are_one_line(speech, tmp_path, command):
    code, _, err = command(cli.main, speech, "-o", tmp_path / "a.pt", *QUICK, "--lpc-order", 12, "--subscale", 4)
    assert code == 2 and err.strip().endswith("options: lookback: found 0, wanted 1..64 with subscale")
