"""Kernels under numba-cuda's simulator ($NUMBA_ENABLE_CUDASIM=1), whose own threads know no warps and no grid.

A thread is a greenlet. All blocks of a grid are there at once, and lanes of a warp exchange values. Warps run in random
order, each as far as it gets: a missing barrier is likely to show. Waiting for different barriers is an error.

Usage: ``kernel = Kernel(function)``; ``kernel[n_blocks, n_threads, 0, n_bytes](*arguments)``
"""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from greenlet import getcurrent, greenlet
from numba.np.numpy_support import as_dtype

from .device import WARP


class Group:
    """Threads that meet: of a warp, of a block or of the grid."""

    def __init__(self) -> None:
        self.size = 0
        self.ready: list[Thread] = []  # of a warp: what can run
        self._here: list[tuple[Thread, Any]] = []

    def meet(self, value: Any = None) -> list[Any]:
        """Wait for the others. The value of each thread, by their order in the group"""
        me = getcurrent()
        self._here.append((me, value))
        if len(self._here) == self.size:
            here, self._here = sorted(self._here, key=lambda pair: pair[0].rank), []
            for thread, _ in here:
                thread.values = [v for _, v in here]
                if thread is not me:
                    thread.warp.ready.append(thread)
        else:
            me.parent.switch()
        return me.values


class Thread(greenlet):
    """A thread of the simulated GPU."""

    def __init__(self, run: Callable[[], None], rank: int, x: int, block: SimpleNamespace, groups: tuple[Group, ...]):
        super().__init__(run)
        self.rank, self.x, self.block = rank, x, block
        self.values: list[Any] = []
        self.warp, self.all_of_block, self.grid = groups
        self.warp.ready.append(self)
        for group in groups:
            group.size += 1


class Cuda:
    """What a kernel finds as `numba.cuda`."""

    def __init__(self, n_blocks: int, n_threads: int):
        self.gridDim, self.blockDim = SimpleNamespace(x=n_blocks), SimpleNamespace(x=n_threads)
        self.shared, self.local = SimpleNamespace(array=self._shared), SimpleNamespace(array=self._local)

    threadIdx = property(lambda self: SimpleNamespace(x=getcurrent().x))  # noqa: N815
    blockIdx = property(lambda self: SimpleNamespace(x=getcurrent().block.x))  # noqa: N815

    def syncthreads(self) -> None:
        getcurrent().all_of_block.meet()

    @staticmethod
    def _shared(shape: int, dtype: Any) -> Any:
        if shape:
            raise ValueError("shared memory: wanted dynamic shared memory, of shape 0")
        return getcurrent().block.memory.view(as_dtype(dtype))

    @staticmethod
    def _local(shape: int, dtype: Any) -> Any:
        return np.zeros(shape, as_dtype(dtype))


class Kernel:
    """A kernel, launched as kernel[n_blocks, n_threads, stream, bytes of shared memory](*arguments).

    Raises
    ------
    RuntimeError
        If threads wait for one another and the others are elsewhere.
    """

    def __init__(self, function: Any):
        self.py_func = function
        self.overloads: dict[Any, Any] = {}  # what it was compiled to: nothing

    def __getitem__(self, shape: tuple[int, int, Any, int]) -> Callable[..., None]:
        n_blocks, n_threads, _, n_bytes = shape
        return lambda *arguments: self._launch(n_blocks, n_threads, n_bytes, arguments)

    def _launch(self, n_blocks: int, n_threads: int, n_bytes: int, arguments: tuple[Any, ...]) -> None:
        plain = [getattr(a, "_ary", a) for a in arguments]
        grid, threads, warps = Group(), [], []  # type: tuple[Group, list[Thread], list[Group]]
        for b in range(n_blocks):
            block = SimpleNamespace(x=b, memory=np.full(-(-n_bytes // 8) * 8, 0x55, np.uint8))  # not zeros
            all_of_block = Group()
            for x in range(n_threads):
                if x % WARP == 0:
                    warps.append(Group())
                groups = (warps[-1], all_of_block, grid)
                threads.append(Thread(lambda: self.py_func(*plain), len(threads), x, block, groups))
        scope, cuda = self.py_func.__globals__, self.py_func.__globals__["cuda"]
        scope["cuda"], order = Cuda(n_blocks, n_threads), random.Random(0)
        try:
            # one warp after the other, each as far as it gets: what does not wait for the others overtakes them
            while can_run := [warp for warp in warps if warp.ready]:
                warp = order.choice(can_run)
                while warp.ready:
                    now, warp.ready = warp.ready, []
                    order.shuffle(now)
                    for thread in now:
                        thread.switch()
        finally:
            scope["cuda"] = cuda
        if not all(thread.dead for thread in threads):
            raise RuntimeError("simulated GPU: threads wait for one another, and the others are elsewhere")
