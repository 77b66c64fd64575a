"""What one core of this machine can do: read bandwidth by footprint, multiply-adds, and where its L2 ends.

Usage: ``machine = measure_machine()``
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from wv_runtime.engine.kernels import simd, stages
from wv_runtime.model import binary as bin_format
from wv_runtime.model.layout import DTYPES

from wv_bench.cost import Machine

FOOTPRINTS = sorted({*(2**k for k in range(13, 26)), *(k << 10 for k in (48, 96, 384, *range(448, 1024, 64)))})


def measure_machine(repeats: int = 15, slice_s: float = 0.5e-3) -> Machine:
    """Read bandwidth by footprint and multiply-add rates of one core, as best of repeats; nothing calibrated yet."""

    def rate(work: float, run: Callable[[int], Any]) -> float:
        n, best, once = 1, np.inf, 0.0
        while once < slice_s / 2:
            n *= 2
            start = time.perf_counter()
            run(n)
            once = time.perf_counter() - start if n > 2 else 0.0  # the first one compiles
        for _ in range(repeats):
            start = time.perf_counter()
            run(n)
            best = min(best, (time.perf_counter() - start) / n)
        return work / best

    area = bin_format.aligned(np.zeros(max(FOOTPRINTS), np.uint8)).view(np.int32)
    bandwidth = [(n, rate(n, lambda k, n=n: stages.read(area[: n // 4], k))) for n in FOOTPRINTS]  # type: ignore[misc]
    near = 16384  # bytes, in the L1 cache
    q = np.ones(4, np.int8)
    macs = {
        "f32": rate(near / 4, lambda k: stages.mac_float(area[: near // 4].view(np.float32), np.float32(1), k)),
        "f16": rate(near / 2, lambda k: stages.mac_float(area[: near // 4].view(np.uint16), np.float32(1), k)),
        "int8": rate(near, lambda k: stages.mac_int8(area[: near // 4].view(np.int8), q, k)),
    }
    lanes = {"avx512vnni": 16, "avxvnni": 8, "avx2": 8}.get(simd.ISA, 4)
    zero = dict.fromkeys(DTYPES, 0.0)
    return Machine(
        f"{platform.machine()}-{simd.ISA}", True, "measured by wv-bench, one thread, best of repeats", lanes,
        tuple(bandwidth), macs, dict(zero), dict(zero), dict(zero), dict(zero), 0.0,
    )  # fmt: skip


def cache_bytes(machine: Machine) -> float:
    """What the L2 holds in practice: beyond it, reading runs below 97 % of its rate from a quarter of the L2."""
    nominal = l2_bytes()
    plateau, n_bytes = machine.bandwidth(nominal / 4), nominal / 4
    while n_bytes < nominal and machine.bandwidth(n_bytes * 1.01) >= 0.97 * plateau:
        n_bytes *= 1.01
    return n_bytes


def l2_bytes() -> int:
    """Size of the L2 of the first CPU: what Linux says, else 1 MB."""
    try:
        return int(Path("/sys/devices/system/cpu/cpu0/cache/index2/size").read_text().strip().removesuffix("K")) << 10
    except (OSError, ValueError):
        return 1 << 20
