"""The validation of a run: mean NLL over fixed windows, in float32, a few frames at a time.

On a GPU the frames' time steps are recorded as a CUDA graph, as in update.py.

Usage: ``validation = Validation(model, lanes.beginnings(64)); nll_c, nll_f = np.mean(validation(), axis=0)``
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .model import WaveRNN, cross_entropy

FRAMES = 8  # mel frames at a time: keeps a validation in the cache


class Validation:
    """samples : (B, n_past + T + n_future) int16   mel : (B, n_mels, T / hop_length + cond_width - 1), as `Lanes.at`"""

    def __init__(self, model: WaveRNN, windows: tuple[NDArray[np.int16], NDArray[np.float32]]):
        self.model, device = model, model.R.device
        samples, mel = (torch.from_numpy(a) for a in windows)
        x, (c, f) = model.inputs(samples, mel)
        hop, context = model.cfg.mel.hop_length, model.cfg.cond_width - 1
        self.parts: list[tuple[int, list[Tensor]]] = []  # frames, and x, c, f, mel of each
        for i in range(0, mel.shape[2] - context, FRAMES):
            n = min(FRAMES, mel.shape[2] - context - i)
            at = slice(i * hop // model.cfg.subscale, (i + n) * hop // model.cfg.subscale)
            part = [x[at], c[:, at], f[:, at], mel[:, :, i : i + n + context]]
            self.parts.append((n, [a.to(device) for a in part]))
        self.h = torch.zeros(x.shape[1], model.cfg.n_units, device=device)
        self.graph: Any = None

    @torch.no_grad()
    def __call__(self, stop: Callable[[], object] = lambda: False) -> list[list[float]]:
        """Mean NLL of each lane of a subscale model, or of the one that another is: coarse, fine, in nats per byte.

        Nothing once `stop()`, which is asked every few frames.
        """
        self.model.eval()
        self.h.zero_()
        total, n_frames = torch.zeros(2, self.model.cfg.subscale, dtype=torch.float64), 0
        try:
            for n, part in self.parts:
                if stop():
                    break
                total += self._nll(n, part).double().cpu() * n
                n_frames += n
        finally:
            self.model.train()
        return [] if stop() else (total / n_frames).t().tolist()

    def _nll(self, n: int, part: list[Tensor]) -> Tensor:
        """Of a few frames, going on from self.h. (2, subscale)"""
        if not self.h.is_cuda or n < FRAMES:
            return self._run(*part)
        if self.graph is None:
            self.static = [a.clone() for a in part]
            h = self.h.clone()
            self._run(*self.static)  # compiles what the recording needs
            self.h.copy_(h)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.nll = self._run(*self.static)
        for a, b in zip(self.static, part):
            a.copy_(b)
        self.graph.replay()
        return self.nll

    def _run(self, x: Tensor, c: Tensor, f: Tensor, mel: Tensor) -> Tensor:
        y, h = self.model.states(x, mel, self.h)
        self.h.copy_(h)
        S, both = self.model.cfg.subscale, list(zip(self.model.output(y), (c, f)))  # noqa: N806
        return torch.stack([torch.stack([cross_entropy(z[s::S], b[s::S]) for s in range(S)]) for z, b in both])
