"""A small network, a short run and a pruned one of wv-train, and whether two checkpoints are the same."""

from __future__ import annotations

import torch

SHAPE = ("--n-units", 64, "--n-out", 16, "--n-cond", 16)
QUICK = ("--steps", 8, "--batch", 2, "--window", 320, "--valid-windows", 2, "--valid-window", 320, "--valid-every", 4,
         "--warmup", 2, "--threads", 1, "--no-log")  # fmt: skip
PRUNED = ("--sparsity", 0.75, "--sparsity", "O=0.5", "--block", "R=4x4", "--prune-start", 1, "--prune-steps", 6,
          "--prune-every", 2)  # fmt: skip


def same(a, b):
    """Bit for bit the same weights, buffers, moments and masks?"""
    moments = [
        [
            *c["optimizer"]["momentum"].values(),
            *(s[k] for s in c["optimizer"]["adam"]["state"].values() for k in ("step", "exp_avg", "exp_avg_sq")),
        ]
        for c in (a, b)
    ]
    return (
        all(torch.equal(a["model"][k], b["model"][k]) for k in a["model"].keys() | b["model"].keys())
        and all(torch.equal(x, y) for x, y in zip(*moments, strict=True))
        and all(torch.equal(a["masks"][k], b["masks"][k]) for k in a["masks"].keys() | b["masks"].keys())
        and torch.equal(a["rng"]["torch"], b["rng"]["torch"])
        and torch.equal(a["states"], b["states"])
    )
