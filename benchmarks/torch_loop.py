"""The same voice drawn by a per-sample torch loop and by the runtime, side by side, one thread.

Usage: ``python benchmarks/torch_loop.py voices/kathleen16/dense.pt``
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from wv_export.convert import read_checkpoint, to_model
from wv_runtime.engine.synth import Voice
from wv_train.checkpoint import load_model
from wv_train.sampling import generate

REPEATS = 5


def samples_per_s(draw: Callable[[], object], n: int) -> float:
    start = time.perf_counter()
    draw()
    return n / (time.perf_counter() - start)


def main(path: str) -> None:
    torch.set_num_threads(1)
    net, _ = load_model(path)
    cfg, n_frames = net.cfg, 4
    mel = np.random.default_rng(0).normal(-5, 2, (cfg.mel.n_mels, n_frames)).astype(np.float32)
    reach, n = cfg.cond_width // 2, n_frames * cfg.mel.hop_length
    padded = torch.from_numpy(np.pad(mel, [(0, 0), (reach, reach)], mode="edge"))
    draws = torch.rand(n, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        loops = {"torch, per-sample loop": (lambda: generate(net.eval(), padded, draws), n)}
        for dtype in ("f32", "f16", "int8"):
            for backend in ("numba", "c"):
                synthesizer = Voice(to_model(read_checkpoint(path), dtype), backend)
                synthesizer.warm_up()
                many = np.tile(mel, 25)
                loops[f"{backend} {dtype}"] = (lambda s=synthesizer, m=many: s(m), 25 * n)
        # paired: every loop once in each repeat, so that a noisy machine is noisy for all
        rates = {name: [] for name in loops}
        for _ in range(REPEATS):
            for name, (draw, n_samples) in loops.items():
                rates[name].append(samples_per_s(draw, n_samples))
    torch_rates = rates["torch, per-sample loop"]
    print(f"{cfg.n_units} units, median of {REPEATS} paired repeats\n{'':24}{'samples/s':>10}{'x torch':>9}")
    for name, r in rates.items():
        ratio = statistics.median(a / b for a, b in zip(r, torch_rates))
        print(f"{name:24}{statistics.median(r):10,.0f}{ratio:9.1f}")


if __name__ == "__main__":
    main(sys.argv[1])
