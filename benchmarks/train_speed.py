"""How fast a CPU trains, on one thread: the recurrence and the whole step beside a bare torch.nn.GRU, in pairs.

Usage: ``python benchmarks/train_speed.py [--n-units 256] [--batch 16] [--window 960]``
"""

from __future__ import annotations

import time
from collections.abc import Callable

import click
import numpy as np
import torch
from wv_runtime.model.config import WaveRNNConfig
from wv_train.gru import Recurrence
from wv_train.model import WaveRNN, WindowLoss
from wv_train.optim import Optimizer


def recurrence(cfg: WaveRNNConfig, batch: int, window: int, bf16: bool, int8: bool = False) -> Callable[[], None]:
    """Forward and backward of Recurrence."""
    N = cfg.n_units
    x = torch.rand(window, batch, 3) * 2 - 1
    shapes = (window // cfg.sub_length, batch, 3 * N), (3 * N, 3), (3 * N, N), (3 * N,), (batch, N)
    inputs = [(0.1 * torch.randn(shape)).requires_grad_() for shape in shapes]
    dy = torch.randn(window, batch, N)

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            y = Recurrence.apply(x, *inputs, int8)
        torch.autograd.grad(y, inputs, dy)

    return run


def bare_gru(cfg: WaveRNNConfig, batch: int, window: int) -> Callable[[], None]:
    """Forward and backward of torch.nn.GRU with as many inputs."""
    gru = torch.nn.GRU(3 + cfg.n_cond, cfg.n_units)
    x, dy = torch.randn(window, batch, 3 + cfg.n_cond), torch.randn(window, batch, cfg.n_units)
    return lambda: torch.autograd.grad(gru(x)[0], list(gru.parameters()), dy)


def whole_step(cfg: WaveRNNConfig, batch: int, window: int, bf16: bool, int8: bool = False) -> Callable[[], None]:
    """What wv-train does per update: network, loss, gradients, clipping, Muon and Adam."""
    model = WaveRNN(cfg, int8).train()
    model.relu_max.fill_(10)
    loss_of = WindowLoss(model)
    optimizer = Optimizer(model, torch.bfloat16 if bf16 else torch.float32)
    samples = torch.randint(-3000, 3000, (batch, window + 1), dtype=torch.int16)
    mel = torch.randn(batch, cfg.mel.n_mels, window // cfg.mel.hop_length + cfg.cond_width - 1)
    h = torch.zeros(batch, cfg.n_units)

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss, *_ = loss_of(samples, mel, h)
        model.zero_grad()
        loss.sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(1e-4)

    return run


@click.command()
@click.option("--n-units", type=int, default=256)
@click.option("--batch", type=int, default=16)
@click.option("--window", type=int, default=960)
@click.option("--repeats", type=int, default=7)
def main(n_units: int, batch: int, window: int, repeats: int) -> None:
    """Training throughput on one CPU thread."""
    torch.set_num_threads(1)
    cfg = WaveRNNConfig(n_units=n_units)
    rows = {
        "torch.nn.GRU alone, f32": bare_gru(cfg, batch, window),
        "recurrence, f32": recurrence(cfg, batch, window, False),
        "recurrence, int8": recurrence(cfg, batch, window, False, int8=True),
        "whole step, f32": whole_step(cfg, batch, window, False),
        "whole step, int8": whole_step(cfg, batch, window, False, int8=True),
    }
    if torch.cpu._is_avx512_bf16_supported():
        rows |= {
            "recurrence, bf16 gradients": recurrence(cfg, batch, window, True),
            "whole step, bf16": whole_step(cfg, batch, window, True),
        }
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for run in rows.values():
        run()
    for _ in range(repeats):  # in turns, so that a busy moment hits all
        for name, run in rows.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    base = np.array(seconds["torch.nn.GRU alone, f32"])
    click.echo(f"{n_units} units, {batch} x {window} samples, one thread; forward and backward")
    for name, t in seconds.items():
        click.echo(f"{name:<28}{batch * window / np.median(t):>10,.0f} samples/s  {np.median(base / t):.2f} x")


if __name__ == "__main__":
    main()
