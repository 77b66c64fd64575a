"""One update of the weights: forward, backward, masks, clipping, optimizer. On a GPU it is recorded once and replayed.

The recurrence is hundreds of small kernels; a CUDA graph launches them without Python in between.

Usage: ``update = Update(loss_of, optimizer, pruner, windows, cfg, h, autocast, 1); loss = update(step, lr, droppable)``
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from .optim import Optimizer
from .prune import Pruner
from .settings import TrainConfig
from .windows import Windows

EAGER_STEPS = 3  # before the recording: kernels are compiled and buffers allocated


class Update:
    """h : (B S, sum of widths), the states that the windows have reached; S of the subscale

    autocast : whether output layers and gradient products are in bfloat16
    team_size : of processes that share a batch; only one alone is recorded
    """

    def __init__(
        self,
        loss_of: Any,
        optimizer: Optimizer,
        pruner: Pruner,
        windows: Windows,
        cfg: TrainConfig,
        h: Tensor,
        autocast: bool,
        team_size: int,
    ):
        self.loss_of, self.optimizer, self.pruner, self.windows, self.h = loss_of, optimizer, pruner, windows, h
        self.accumulate, self.clip, self.autocast, self.team_size = cfg.accumulate, cfg.clip, autocast, team_size
        self.parameters = [w for w in loss_of.parameters() if w.requires_grad]
        self.lr: float | Tensor = torch.zeros((), device=h.device) if h.is_cuda else 0.0
        self.stream = torch.cuda.Stream() if h.is_cuda and team_size == 1 else None
        self.graph: Any = None
        self.eager_steps = 0

    def __call__(self, step: int, lr: float, droppable: Callable[..., Any]) -> Tensor | None:
        """Losses (2,) of coarse and fine byte before the update; overwritten by the next one on a GPU.

        None if the step was dropped (`Signals.droppable`): then nothing has changed.
        """
        self.windows.place(step)
        if isinstance(self.lr, Tensor):
            self.lr.fill_(lr)
        else:
            self.lr = lr
        if self.stream is None:
            found = droppable(self._gradients, *self.loss_of.buffers())
            return self._apply(*found) if found else None
        if self.graph is None and self.eager_steps < EAGER_STEPS:
            self.eager_steps += 1
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                loss = self._run()
            torch.cuda.current_stream().wait_stream(self.stream)
            return loss
        if self.graph is None:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=self.stream):
                self.loss = self._run()
            self.graph = graph
        self.graph.replay()
        return self.loss

    def _run(self) -> Tensor:
        return self._apply(*self._gradients())

    def _gradients(self) -> tuple[Tensor, Tensor]:
        """Of every parameter; returns the losses, and the states that the windows reach. Changes buffers, no more."""
        x, c, f, mel, fresh = self.windows.batch()
        h = self.h.unflatten(0, (len(fresh), -1)).masked_fill(fresh[:, None, None], 0).flatten(0, 1)
        for w in self.parameters:
            w.grad = None
        n = self.accumulate
        parts = zip(x.chunk(n, 1), c.chunk(n), f.chunk(n), mel.chunk(n), h.chunk(n), strict=True)
        loss, reached = torch.zeros(2, device=h.device), []
        for k, part in enumerate(parts):
            # gradients cross the network once, with the last part
            with self.loss_of.no_sync() if self.team_size > 1 and k < n - 1 else nullcontext():
                with torch.autocast(h.device.type, torch.bfloat16, enabled=self.autocast):
                    losses, of_data, h_last = self.loss_of(*part)
                (losses.sum() / n).backward()
            loss += of_data / n
            reached.append(h_last)
        return loss, torch.cat(reached)

    def _apply(self, loss: Tensor, reached: Tensor) -> Tensor:
        self.h.copy_(reached)
        self.pruner.mask_gradients()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimizer.step(self.lr)
        return loss
