"""Gradual block pruning (Kalchbrenner et al. 2018, section 3): which weights are zero at which step.

From step t0 and over S steps a matrix with target sparsity Z has, every k steps, the blocks of smallest norm (l1, the
mean magnitude, or l2) set to zero until its sparsity is

    z(t) = Z (1 - (1 - (t - t0) / S)^3)

The gates R_u, R_r, R_e (row thirds of R), O1..O4 and, beyond the paper, C1..C3 are pruned each by itself. A pruned
block stays pruned. The diagonal of the gates, what a unit makes of its own state, can be kept, as LPCNet does (Valin
and Skoglund 2019). surgeon.py prunes without training.

Usage::

    pruner = Pruner(PruneConfig(sparsity={"R": 0.95}), model)   # once
    pruner.mask_gradients(); optimizer.step(lr); pruner.step(t)   # every update
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from wv_runtime.model.blocks import parse_block
from wv_runtime.model.checkpoint import GATES, PRUNED, matrix_shape
from wv_runtime.model.config import WaveRNNConfig

from .model import WaveRNN

GROUPS = {"R": GATES, "O": ("O1", "O2", "O3", "O4"), "C": ("C1", "C2", "C3")}
UNNAMED = ("R", "O")  # what one value for all is for: the paper's matrices, not the conditioning
NORMS = ("l1", "l2")
# What is not given: the start and the length as shares of the run, the time between two prunings of that length.
# With 100,000 steps these are the paper's: from step 1000 on, every 500.
START, LENGTH, EVERY = 0.01, 0.5, 0.01


@dataclass(frozen=True)
class PruneConfig:
    """What to prune, and when. Keys of `sparsity` and `block` are matrices (R_u .. C3) or the groups R, O and C.

    Raises
    ------
    ValueError
        If a matrix is unknown or a value out of range.
    """

    sparsity: dict[str, float] = field(default_factory=dict)  # target Z of each matrix, 0 (dense) if absent
    block: dict[str, str] = field(default_factory=dict)  # "HxW", rows x columns; 16x1 if absent
    # a schedule that is not given follows from the length of the run (`over`); until then nothing is pruned
    start: int | None = None  # t0, the last step with no zeros
    steps: int | None = None  # S, steps from the first zero to the target
    every: int | None = None  # k, steps between two prunings
    exponent: float = 3.0  # 3 in the paper
    norm: str = "l1"  # of a block, by which the smallest go: "l1" or "l2"
    keep_diagonal: bool = False  # whether blocks on the diagonal of R_u, R_r, R_e always stay

    def __post_init__(self) -> None:
        object.__setattr__(self, "sparsity", dict.fromkeys(PRUNED, 0.0) | expand(self.sparsity))
        object.__setattr__(self, "block", dict.fromkeys(PRUNED, "16x1") | expand(self.block))
        for key, z in self.sparsity.items():
            if isinstance(z, bool) or not isinstance(z, (int, float)) or not 0 <= z < 1:
                raise ValueError(f"sparsity of {key}: found {z!r}, wanted 0 up to, not including, 1")
        for key, text in self.block.items():
            try:
                parse_block(text)
            except ValueError as error:
                raise ValueError(f"block of {key}: {error}") from None
        for name, low in (("start", 0), ("steps", 0), ("every", 1)):
            value = getattr(self, name)
            if value is not None and value < low:
                raise ValueError(f"{name}: found {value}, wanted at least {low}")
        if self.every is None and self.steps is not None:
            object.__setattr__(self, "every", max(1, int(EVERY * self.steps)))
        if not 1 <= self.exponent <= 10:
            raise ValueError(f"exponent: found {self.exponent}, wanted 1..10")
        if self.norm not in NORMS:
            raise ValueError(f"norm: found {self.norm!r}, wanted {' or '.join(NORMS)}")

    def over(self, n_steps: int) -> PruneConfig:
        """The schedule laid over a run of n_steps: what was not given is filled in.

        Raises
        ------
        ValueError
            If there is something to prune and the last pruning would come after the run.
        """
        start = int(START * n_steps) if self.start is None else self.start
        steps = max(0, min(int(LENGTH * n_steps), n_steps - start)) if self.steps is None else self.steps
        if any(self.sparsity.values()) and start + steps > n_steps:
            raise ValueError(
                f"schedule: found its end at step {start + steps} (start {start}, steps {steps}), "
                f"wanted at most {n_steps}, the steps of the run"
            )
        return replace(self, start=start, steps=steps)

    def last_step(self) -> int:
        """The step at which the targets are reached; 0 if there is nothing to prune."""
        return (self.start or 0) + (self.steps or 0) if any(self.sparsity.values()) else 0


def expand(value: object) -> dict[str, Any]:
    """One value for R and O, or a table of matrices and groups -> {matrix: value}; R_u overrides R."""
    table = value if isinstance(value, dict) else dict.fromkeys(UNNAMED, value)
    full: dict[str, Any] = {}
    for key in sorted(table, key=lambda k: k not in GROUPS):  # groups first, so that a matrix overrides its group
        if key not in GROUPS and key not in PRUNED:
            raise ValueError(f"found matrix {key!r}, wanted R, O, C or one of {', '.join(PRUNED)}")
        full.update(dict.fromkeys(GROUPS.get(key, (key,)), table[key]))
    return full


def sparsity_at(step: int, cfg: PruneConfig) -> dict[str, float]:
    """z(t) of every matrix after `step` updates of a run that the schedule was laid over."""
    assert cfg.start is not None and cfg.steps is not None
    done = 1.0 if step >= cfg.start + cfg.steps else max(0.0, (step - cfg.start) / cfg.steps)
    share = 1.0 - (1.0 - done) ** cfg.exponent
    return {name: z * share for name, z in cfg.sparsity.items()}


def is_due(step: int, cfg: PruneConfig) -> bool:
    """Whether masks are renewed after `step` updates: every k steps from t0, and at t0 + S."""
    if cfg.start is None or cfg.steps is None or cfg.every is None:
        return False
    since = step - cfg.start
    return 0 <= since <= cfg.steps and (since % cfg.every == 0 or since == cfg.steps)


def block_mask(
    W: Tensor,
    block_h: int,
    block_w: int,
    sparsity: float,
    previous: Tensor | None = None,
    norm: str = "l1",
    keep: Tensor | None = None,
) -> Tensor:
    """The blocks of largest norm: exactly n_blocks - floor(sparsity * n_blocks) of them.

    Of equal blocks the one that comes first (row by row) is kept. Blocks outside `previous` are never kept, so
    fewer are if `previous` is sparser already.

    W        : (rows, cols)        block_h divides rows, block_w divides cols
    previous : (rows, cols) bool   whole blocks of the same shape
    norm     : "l1" or "l2"
    keep     : (n_blocks,) bool, blocks that come before all others

    Returns mask : (rows, cols) bool, True where the weight stays
    """
    rows, cols = W.shape
    blocks = (rows // block_h, block_h, cols // block_w, block_w)
    magnitude = W.detach().double().abs() if norm == "l1" else W.detach().double().square()
    score = magnitude.view(blocks).mean(dim=(1, 3)).flatten()  # (n_blocks,)
    if keep is not None:
        score = score.masked_fill(keep, math.inf)
    alive = torch.ones_like(score, dtype=torch.bool)
    if previous is not None:
        alive = previous.view(blocks)[:, 0, :, 0].flatten()
        score = score.masked_fill(~alive, -1.0)
    largest = torch.zeros_like(alive)
    largest[torch.argsort(score, descending=True, stable=True)[: n_kept(len(score), sparsity)]] = True
    return (largest & alive).view(blocks[0], 1, blocks[2], 1).expand(blocks).reshape(rows, cols)


def n_kept(n_blocks: int, sparsity: float) -> int:
    """Blocks that stay of n_blocks."""
    return n_blocks - math.floor(sparsity * n_blocks + 1e-9)  # 1e-9: 0.95 * 200 is 190, not 189.99..


def on_diagonal(n_units: int, block_h: int, block_w: int) -> Tensor:
    """(n_blocks,) bool: whether a block of R_u, R_r or R_e holds part of the diagonal."""
    return torch.eye(n_units, dtype=torch.bool).view(n_units // block_h, block_h, -1, block_w).any(3).any(1).flatten()


class Pruner:
    """The masks of a model in training.

    masks    : {matrix: (rows, cols) bool}, of matrices with a target sparsity or a mask from before
    sparsity : float, fraction of zeros in R, O and what else has a mask, together

    Raises
    ------
    ValueError
        If a block shape does not divide its matrix.
    """

    def __init__(self, cfg: PruneConfig, model: WaveRNN, masks: dict[str, Tensor] | None = None):
        check_blocks(cfg, model.cfg)
        self.cfg, self.model = cfg, model
        self.masks = {}
        for name in PRUNED:
            given = (masks or {}).get(name)
            if given is not None or cfg.sparsity[name] > 0:
                W = self.view(name)
                self.masks[name] = torch.ones_like(W, dtype=torch.bool)
                if given is not None:
                    self.masks[name].copy_(given)
        self._apply()
        self._count()

    def step(self, step: int) -> None:
        """After update number `step` (the first is 1): renew the masks if it is time, and put zeros back."""
        if is_due(step, self.cfg):
            for name, z in sparsity_at(step, self.cfg).items():
                if name in self.masks:
                    block = parse_block(self.cfg.block[name])
                    W, keep = self.view(name), None
                    if self.cfg.keep_diagonal and name in GATES:
                        keep = on_diagonal(len(W), *block).to(W.device)
                    mask = block_mask(W, *block, z, self.masks[name], self.cfg.norm, keep)
                    self.masks[name].copy_(mask)  # in place: a CUDA graph reads it
            self._count()
        self._apply()

    def mask_gradients(self) -> None:
        """Zero the gradients of pruned weights, so that they count neither in the norm nor in the moments."""
        for name, mask in self.masks.items():
            self.view(name, grad=True).masked_fill_(~mask, 0.0)

    def outcome(self) -> str:
        """What was asked and what was reached, matrices of one target together; empty if nothing was asked."""
        parts = []
        for asked in sorted({z for z in self.cfg.sparsity.values() if z > 0}, reverse=True):
            names = [name for name in PRUNED if self.cfg.sparsity[name] == asked]
            kept, total = (
                sum(map(int, counts))
                for counts in zip(*((self.masks[name].sum(), self.masks[name].numel()) for name in names))
            )
            whose = "" if _grouped(names) == [*UNNAMED] else f"{', '.join(_grouped(names))}: "
            parts.append(f"{whose}asked {asked:g}, reached {1 - kept / total:.3f}")
        return "; ".join(parts)

    def _count(self) -> None:
        """Keep the fraction of zeros in R, O and what else has a mask, together."""
        counted = {*(name for group in UNNAMED for name in GROUPS[group]), *self.masks}
        total = sum(self.view(name).numel() for name in counted)
        self.sparsity = sum(int((~mask).sum()) for mask in self.masks.values()) / total

    def _apply(self) -> None:
        for name, mask in self.masks.items():
            self.view(name).masked_fill_(~mask, 0.0)

    def view(self, name: str, grad: bool = False) -> Tensor:
        """The matrix or its gradient, to be changed in place; R_u, R_r, R_e are the row thirds of R."""
        parameter = self.model.get_parameter("R" if name in GATES else name)
        W = parameter.grad if grad else parameter.detach()
        assert W is not None  # every matrix takes part in the loss
        return W.chunk(3)[GATES.index(name)] if name in GATES else W

    def bias(self, name: str) -> Tensor:
        """The bias that goes with `view(name)`."""
        b = self.model.get_parameter("b_R" if name in GATES else f"b_{name}").detach()
        return b.chunk(3)[GATES.index(name)] if name in GATES else b


def _grouped(names: list[str]) -> list[str]:
    """["R_u", "R_r", "R_e", "O1"] -> ["R", "O1"]"""
    whole = [group for group, members in GROUPS.items() if set(members) <= set(names)]
    return whole + [name for name in names if not any(name in GROUPS[group] for group in whole)]


def check_blocks(cfg: PruneConfig, model_cfg: WaveRNNConfig) -> None:
    """Raises ValueError if a block shape does not divide its matrix, or the diagonal is more than what is to stay."""
    for name in PRUNED:
        rows, cols = matrix_shape(name, model_cfg)
        block_h, block_w = parse_block(cfg.block[name])
        if cfg.sparsity[name] > 0 and (rows % block_h or cols % block_w):
            raise ValueError(f"block of {name}: found {cfg.block[name]}, wanted divisors of {rows} x {cols}")
        if cfg.keep_diagonal and name in GATES and cfg.sparsity[name] > 0:
            diagonal = on_diagonal(rows, block_h, block_w)
            if (wanted := int(diagonal.sum())) > (found := n_kept(len(diagonal), cfg.sparsity[name])):
                raise ValueError(
                    f"sparsity of {name}: found {cfg.sparsity[name]}, which leaves {found} blocks, wanted "
                    f"at least the {wanted} of the diagonal (keep_diagonal)"
                )
