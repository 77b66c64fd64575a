"""The processes that torchrun starts: each takes an equal share of every batch's lanes. One process is a team of one.

Usage: ``team = Team.join("cpu"); mine = team.share(32)``
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Team:
    """rank : 0 leads: it validates, logs and saves   size : processes in all"""

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, device: str) -> Team:
        """The team that torchrun's environment describes; gloo between CPUs, nccl between GPUs, one a process."""
        if not dist.is_torchelastic_launched():
            return cls()
        if device == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
        return cls(dist.get_rank(), dist.get_world_size())

    def leave(self) -> None:
        """Part in order, when all is saved."""
        if self.size > 1:
            dist.barrier()
            dist.destroy_process_group()

    def share(self, n: int) -> slice:
        """Which of n lanes are this process'; the size divides n."""
        k = n // self.size
        return slice(self.rank * k, (self.rank + 1) * k)

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """The leader runs the block alone, then all the others: what it leaves in a cache is there for them."""
        if self.rank > 0:
            dist.barrier()
        yield
        if self.rank == 0 and self.size > 1:
            dist.barrier()

    def agree(self, flags: list[int], device: str) -> list[int]:
        """The largest of each number over all processes, so that all stop and save at the same step."""
        if self.size == 1:
            return flags
        t = torch.tensor(flags, device=device)
        dist.all_reduce(t, dist.ReduceOp.MAX)
        return [int(v) for v in t]

    def gather(self, mine: Tensor) -> Tensor:
        """Every process' (B, N), in the order of the lanes. (size * B, N)"""
        if self.size == 1:
            return mine
        parts = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(parts, mine.contiguous())
        return torch.cat(parts)
