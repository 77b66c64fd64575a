"""A trained network made wider: more units, output rows or conditioning channels, and at first the same outputs.

As in Net2Net (Chen, Goodfellow and Shlens 2016, arXiv:1511.05641), a small network's training is not lost on a large
one. The new units start at random weights instead of copies. What was there before reads them through weights of 0,
which learn from the first update on.

Usage: ``model = grown(load_model("small.pt")[0], replace(cfg, n_units=384))``
"""

from __future__ import annotations

import torch
from torch import Tensor
from wv_runtime.model.config import WaveRNNConfig

from .model import WaveRNN

WIDTHS = ("n_units", "n_out", "n_cond")  # what can grow


def grown(model: WaveRNN, cfg: WaveRNNConfig) -> WaveRNN:
    """A WaveRNN of config `cfg`, which may exceed the model's in WIDTHS, with the model inside."""
    halves = 6  # of the gates u, r, e: coarse and fine
    runs = {
        "R": (halves, 2),
        "C3": (halves, 1),
        "I_raw": (halves, 1),
        "C2": (cfg.n_sub, 1),
        "lane": (1, halves),
    }  # of rows, of columns
    wide = WaveRNN(cfg)
    state = wide.state_dict()
    for name, old in model.state_dict().items():
        state[name] = _around(old, state[name], runs.get(name.removeprefix("b_"), (1, 1)))
    wide.load_state_dict(state)
    return wide


def _around(old: Tensor, new: Tensor, runs: tuple[int, int]) -> Tensor:
    """`new` with `old` at the beginning of each run of rows and columns; old rows are 0 in new columns."""
    rows, *columns = (
        torch.cat([torch.arange(k * (n // r), k * (n // r) + m // r) for k in range(r)])
        for m, n, r in zip(old.shape, new.shape, runs)
    )
    out = new.clone()
    out[rows] = 0
    out[torch.meshgrid(rows, *columns, indexing="ij")] = old
    return out
