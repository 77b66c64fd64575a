"""One-shot pruning: blocks go, and the weights that stay change so that the outputs stay. No training.

The inputs x of a matrix have the second moments H = E[x x^T]. When weights are removed, the mean square of the change
of the output is smallest if the other weights of the row change by least squares: Optimal Brain Surgeon (Hassibi and
Stork 1993), here block by block. With G the columns of a block, w its rows, V the inverse of H over the columns left,

    error = trace(w_G V_GG^-1 w_G^T)        the block with the least goes
    w    <- w - w_G V_GG^-1 V_G*,    V <- V - V_*G V_GG^-1 V_G*

The bias is the weight of an input that is always 1 and stays.

Usage: ``cuts = prune_once(Pruner(PruneConfig({"C1": 0.5}), model), second_moments(model, batches))``
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.overrides import TorchFunctionMode
from wv_runtime.model.blocks import parse_block
from wv_runtime.model.checkpoint import GATES

from .model import WaveRNN
from .prune import Pruner, block_mask, n_kept

ROWS = 4096  # of inputs that are multiplied at a time: between two products Python hears ctrl-C
RIDGE = 1e-4  # of the mean input power, added to every input's: keeps V finite, and changes small

Array = NDArray[np.float64]


class _Row:
    """A block row: its weights with the bias last, and which block goes next at which error."""

    def __init__(self, w: Array, H: Array, alive: NDArray[np.bool_], block_w: int):  # noqa: N803
        self.block_w = block_w
        self.n_blocks = int(alive.sum())
        self.columns = np.flatnonzero(np.append(np.repeat(alive, block_w), True))
        self.V = np.linalg.inv(H[np.ix_(self.columns, self.columns)])
        self.w = w[:, self.columns]
        self.look()

    def look(self) -> None:
        """Find the block of least error."""
        n, k = self.n_blocks, self.block_w
        if n == 0:
            self.error = np.inf
            return
        at = np.arange(n * k).reshape(n, k)
        self.inverse = np.linalg.inv(self.V[at[:, :, None], at[:, None, :]])  # (n, k, k)
        w = self.w[:, : n * k].reshape(-1, n, k)
        errors = np.einsum("rni,nij,rnj->n", w, self.inverse, w)
        self.next = int(errors.argmin())
        self.error = float(errors[self.next])

    def remove(self) -> None:
        """The block of least error goes."""
        k = self.block_w
        G = slice(self.next * k, self.next * k + k)
        gain = self.inverse[self.next] @ self.V[G]
        self.w = np.delete(self.w - self.w[:, G] @ gain, G, axis=1)
        V = self.V - self.V[:, G] @ gain  # noqa: N806
        self.V = np.delete(np.delete(V, G, axis=0), G, axis=1)
        self.columns = np.delete(self.columns, G)
        self.n_blocks -= 1
        self.look()


def prune_matrix(
    W: Array,  # noqa: N803
    bias: Array,
    H: Array,  # noqa: N803
    mask: NDArray[np.bool_],
    block: tuple[int, int],
    sparsity: float,
) -> tuple[Array, Array, NDArray[np.bool_], float]:
    """Prune a matrix to a sparsity, the block of least error first, wherever it lies.

    W    : (rows, cols)        bias : (rows,)      mask : (rows, cols) bool, what is there
    H    : (cols + 1, cols + 1), second moments of the inputs and of 1

    Returns W, bias, mask and the mean square by which outputs are off
    """
    (rows, cols), (block_h, block_w) = W.shape, block
    alive = mask.reshape(rows // block_h, block_h, cols // block_w, block_w)[:, 0, :, 0]
    H = H + RIDGE * np.trace(H) / len(H) * np.eye(len(H))  # noqa: N806
    full = np.concatenate([W, bias[:, None]], axis=1)
    parts = [_Row(full[i * block_h : (i + 1) * block_h], H, alive[i], block_w) for i in range(rows // block_h)]
    total = 0.0
    for _ in range(int(alive.sum()) - n_kept(alive.size, sparsity)):
        row = min(parts, key=lambda p: p.error)
        total += row.error
        row.remove()
    W, mask = np.zeros_like(full), np.zeros(mask.shape, bool)  # noqa: N806
    for i, row in enumerate(parts):
        W[i * block_h : (i + 1) * block_h, row.columns] = row.w
        mask[i * block_h : (i + 1) * block_h, row.columns[:-1]] = True
    return W[:, :-1], W[:, -1], mask, total / rows


class _Moments(TorchFunctionMode):
    """Sums x x^T of the inputs of every matrix while a model runs in float32."""

    def __init__(self, model: WaveRNN):
        super().__init__()
        self.cfg, self.name_of = model.cfg, {id(W): name for name, W in model.named_parameters()}
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.linear and id(args[1]) in self.name_of:
            self.add(self.name_of[id(args[1])], args[0])
        if func is F.conv1d:  # C1, over windows of frames, the oldest first
            self.add("C1", args[0].unfold(2, self.cfg.cond_width, 1).permute(0, 2, 3, 1).flatten(2))
        return func(*args, **(kwargs or {}))

    def add(self, name: str, x: Tensor) -> None:
        """x : (.., cols)"""
        for rows in x.reshape(-1, x.shape[-1]).split(ROWS):
            rows = torch.cat([rows, torch.ones_like(rows[:, :1])], dim=1).double()
            self.sums[name] = self.sums.get(name, 0) + rows.t() @ rows
            self.counts[name] = self.counts.get(name, 0) + len(rows)


@torch.no_grad()
def second_moments(model: WaveRNN, batches: Iterable[Sequence[NDArray[Any]]]) -> dict[str, Array]:
    """H of every matrix, (cols + 1, cols + 1), over teacher-forced batches of windows, as `Lanes.at` gives them."""
    int8, model.int8 = model.int8, False  # then each matrix is a parameter, which tells its name
    with _Moments(model) as moments:
        for samples, mel in (map(torch.from_numpy, batch) for batch in batches):
            y, _ = model.states(model.inputs(samples, mel)[0], mel)
            model.output(y)
            moments.add("R", y[:-1])
    model.int8 = int8
    return {name: (total / moments.counts[name]).numpy() for name, total in moments.sums.items()}


class Cut(NamedTuple):
    """What became of a matrix: its sparsity before and after, and how far its outputs are off, rms over rms."""

    name: str
    before: float
    after: float
    error: float


def prune_once(pruner: Pruner, moments: dict[str, Array]) -> list[Cut]:
    """Prune what the pruner's settings ask for to its target, weights and masks in place.

    Raises
    ------
    ValueError
        If a mask from before is not of whole blocks.
    """
    cuts = []
    for name, z in pruner.cfg.sparsity.items():
        if not z:
            continue
        W, bias, mask = pruner.view(name), pruner.bias(name), pruner.masks[name]
        H = moments["R" if name in GATES else name]  # noqa: N806
        block, before = parse_block(pruner.cfg.block[name]), mask.numpy().copy()
        if not (block_mask(mask.double(), *block, 0.0, mask) == mask).all():
            raise ValueError(f"block of {name}: found zeros that are not whole blocks of {pruner.cfg.block[name]}")
        *kept, error = prune_matrix(W.double().numpy(), bias.double().numpy(), H, before, block, z)
        full = torch.cat([W, bias[:, None]], dim=1).double().numpy()
        power = float(np.einsum("ri,ij,rj->", full, H, full)) / len(full)
        for a, value in zip((W, bias, mask), kept, strict=True):
            a.copy_(torch.from_numpy(value))
        cuts.append(Cut(name, 1 - before.mean(), 1 - kept[2].mean(), (error / power) ** 0.5 if power else 0.0))
    return cuts
