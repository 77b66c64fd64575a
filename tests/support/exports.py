"""A pruned checkpoint with random weights, samples and mels for it, and torch's logits."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import torch
from model_fixtures import tiny_config, tiny_mel
from wv_train import model as trained

CFG = tiny_config(n_units=64, n_out=32)
PRUNED = {"R_u": "16x1", "R_r": "16x1", "R_e": "16x1", "O1": "8x4", "O2": "16x1", "O3": "4x4", "O4": "16x2"}


def make_checkpoint(cfg=CFG, blocks=None, sparsity=0.75, seed=0):
    """A checkpoint as wv-train writes it, with random weights. blocks: {"R_u": "16x1", ..}; every one is pruned."""
    torch.manual_seed(seed)
    net = trained.WaveRNN(cfg).eval()
    with torch.no_grad():
        for name, p in net.named_parameters():
            p.copy_(torch.randn_like(p) * (0.1 if name.startswith("b_") else 2.0 / p.shape[1] ** 0.5))
        net.I_raw *= 0.2
        net.mel_mean.copy_(torch.linspace(-6, -3, cfg.mel.n_mels))
        net.mel_std.copy_(torch.linspace(1, 2, cfg.mel.n_mels))
        net.relu_max.copy_(torch.tensor([4.0, 5.0]))
    masks = {}
    for name, text in (blocks or {}).items():
        h, w = (int(n) for n in text.split("x"))
        W = net.R.detach().chunk(3)["ure".index(name[2])] if name.startswith("R_") else net.get_parameter(name).detach()
        grid = torch.rand(W.shape[0] // h, W.shape[1] // w) >= sparsity
        masks[name] = grid.repeat_interleave(h, 0).repeat_interleave(w, 1)
        W *= masks[name]
    history = [{"step": 7, "valid_nll_c": 1.25, "valid_nll_f": 5.0, "train_nll_c": None}]
    return net, {
        "format": 2, "config": asdict(cfg), "model": net.state_dict(), "masks": masks, "step": 7, "minutes": 90.0,
        "train": {}, "prune": {"block": blocks or {}}, "history": history, "data": {"name": "speech"},
        "versions": {"wavernn": "0", "torch": "0"}, "optimizer": None, "rng": None, "states": None,
    }  # fmt: skip


def speech(cfg, n_frames=6):
    """(samples (n + 1,) int16, mel as of real speech)"""
    rng = np.random.default_rng(2)
    samples = rng.integers(-2000, 2000, n_frames * cfg.mel.hop_length + 1).astype(np.int16)
    return samples, tiny_mel(cfg, n_frames) * 1.5 - 4.5


def torch_logits(net, samples, mel):
    reach = net.cfg.cond_width // 2
    padded = np.pad(mel, [(0, 0), (reach, reach)], mode="edge")
    with torch.no_grad():
        logits = net(torch.from_numpy(samples[None]), torch.from_numpy(padded[None]))
    return [a[0].double().numpy() for a in logits]
