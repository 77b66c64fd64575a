"""The optimizer: Muon for the weight matrices, Adam for the biases and I*.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) takes, instead of a matrix' momentum M = U S V^T,
its polar factor U V^T, so that every direction of the matrix learns and not only those with the largest gradients:

    M = 0.95 M + 0.05 dW,   O ~ polar(0.95 M + 0.05 dW),   W = W - lr 0.8 sqrt(max(rows, cols)) O

0.2 sqrt(max(rows, cols)) would give the update the size of an Adam update, so that both share one lr (Liu et al. 2025,
arXiv:2502.16982, eq. 4); four times that is faster here (docs/results.md).
torch.optim.Muon is the same in bfloat16 only, which a CPU without such instructions computes tens of times slower.

Usage: ``optimizer = Optimizer(model, torch.bfloat16); optimizer.step(lr)``
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .model import WaveRNN

MOMENTUM = 0.95
QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan's: five steps bring singular values to 0.7..1.2


class Optimizer:
    """Of one model.

    dtype : what the polar factors are computed in; bfloat16 does where the hardware has it
    """

    def __init__(self, model: WaveRNN, dtype: torch.dtype):
        names = model.cfg.matrix_shapes()
        self.dtype = dtype
        self.matrices = {name: model.get_parameter(name) for name in names}
        self.momentum = {name: torch.zeros_like(W) for name, W in self.matrices.items()}
        others = [w for name, w in model.named_parameters() if name not in names]
        self.adam = torch.optim.Adam(others, fused=True, capturable=model.R.is_cuda)

    @torch.no_grad()
    def step(self, lr: float | Tensor) -> None:
        """One update from the gradients. lr is a tensor () float32 where a CUDA graph is to read it anew."""
        self.adam.param_groups[0]["lr"] = lr
        self.adam.step()
        for name, W in self.matrices.items():
            assert W.grad is not None  # every matrix takes part in the loss
            M = self.momentum[name].lerp_(W.grad, 1 - MOMENTUM)
            O = polar(W.grad.lerp(M, MOMENTUM).to(self.dtype))  # noqa: E741
            rate = lr * (0.8 * max(W.shape) ** 0.5)
            if isinstance(rate, Tensor):
                W.sub_(O * rate)
            else:
                W.sub_(O, alpha=rate)

    def state_dict(self) -> dict[str, Any]:
        return {"momentum": self.momentum, "adam": self.adam.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises KeyError, ValueError or RuntimeError if the state is of another model."""
        for name, M in self.momentum.items():
            M.copy_(state["momentum"][name])
        capturable = self.adam.param_groups[0]["capturable"]
        self.adam.load_state_dict(state["adam"])
        self.adam.param_groups[0]["capturable"] = capturable  # of this device, not of the one that saved


def polar(M: Tensor) -> Tensor:
    """About U V^T of M = U S V^T, by five Newton-Schulz steps X = a X + (b X X^T + c (X X^T)^2) X. (rows, cols)"""
    a, b, c = QUINTIC
    X = M if M.shape[0] <= M.shape[1] else M.T
    X = X / X.norm().clamp(min=1e-7)  # no singular value exceeds 1
    for _ in range(5):
        A = X @ X.T
        X = torch.addmm(X, torch.addmm(A, A, A, beta=b, alpha=c), X, beta=a)
    return X if M.shape[0] <= M.shape[1] else X.T
