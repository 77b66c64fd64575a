"""What one sample costs: the operations of a network, and the time a machine needs for them.

The cost model of Kalchbrenner et al. 2018, section 2, T(u) = |u| * sum_i (c(op_i) + d(op_i)), with

    c(op) = max(bytes / bandwidth at the network's footprint, MACs / peak,
                vectors * time per vector + blocks * time per block)
    d(op) = block rows * time per block row + time from one operation to the next

The first two terms are the roofline: what any program on that machine must take. The third, and d, are our kernels'
own, calibrated by `wv-bench --calibrate`. docs/cost-model.md derives them.

Usage: ``c, d = total(wavernn_ops(model.config, shapes_of(model)), load_machine("cortex-a76"))``
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import ceil, inf, log
from pathlib import Path
from typing import Any, NamedTuple

from wv_runtime.atomic import atomic_path
from wv_runtime.errors import WaveRNNError
from wv_runtime.model.config import WaveRNNConfig
from wv_runtime.model.layout import DTYPES
from wv_runtime.model.weights import Model

STAGES = ("R", "gates", "O", "sampling", "condition")
PROFILES = Path(__file__).parent / "profiles"


@dataclass(frozen=True)
class Machine:
    """One core of a CPU, or a whole GPU; a device profile is its JSON.

    read_bandwidth : (footprint in bytes, bytes/s), footprints ascending
    macs_per_s     : by dtype, from the L1 cache, one rounding per multiplication and addition
    vector_s       : by dtype, a kernel's time for one vector of `lanes` rows and 1 (int8: 4) columns
    block_s        : by dtype, a kernel's further time for a block, whose vectors share an index
    block_row_s    : by dtype, a kernel's time to begin and end a block row
    unit_s         : by dtype, the gates of one unit
    draw_s         : one byte from its logits
    op_s           : from the end of an operation to the start of the next: a GPU's kernel launch, or its grid barrier
    """

    name: str
    measured: bool  # False: an estimate
    source: str
    lanes: int  # float32 lanes of a vector register
    read_bandwidth: tuple[tuple[float, float], ...]
    macs_per_s: dict[str, float]
    vector_s: dict[str, float]
    block_s: dict[str, float]
    block_row_s: dict[str, float]
    unit_s: dict[str, float]
    draw_s: float
    op_s: float = 0.0

    def bandwidth(self, n_bytes: float) -> float:
        """Bytes/s of reading a footprint over and over, between the measured ones by log interpolation."""
        points = self.read_bandwidth
        for (size_0, rate_0), (size_1, rate_1) in pairwise(points):
            if n_bytes <= size_1:
                weight = max(0.0, log(n_bytes / size_0) / log(size_1 / size_0))
                return rate_0 + weight * (rate_1 - rate_0)
        return points[-1][1]

    def json(self) -> str:
        return json.dumps(asdict(self), indent=1)


def load_machine(name: str | os.PathLike[str]) -> Machine:
    """A device profile: the name of one that comes with the package, or a path.

    Raises
    ------
    WaveRNNError
        If there is no such profile or it is not one.
    """
    bundled = PROFILES / f"{name}.json"
    path = bundled if bundled.is_file() else Path(name)
    if not path.is_file():
        raise WaveRNNError(f"device: found {str(name)!r}, wanted a file or one of {', '.join(profile_names())}")
    try:
        machine = Machine(**json.loads(path.read_text()))
        points = tuple((float(size), float(rate)) for size, rate in machine.read_bandwidth)
        tables = (machine.macs_per_s, machine.vector_s, machine.block_s, machine.block_row_s, machine.unit_s)
        numbers = (
            [n for p in points for n in p]
            + [float(t[d]) for t in tables for d in DTYPES]
            + [machine.draw_s, machine.op_s]
        )
        positive = [*(n for p in points for n in p), *(machine.macs_per_s[d] for d in DTYPES), machine.lanes]
        if not points or list(points) != sorted(points):
            raise ValueError("read_bandwidth: wanted ascending footprints")
        if not (all(0 <= n < inf for n in numbers) and all(0 < n < inf for n in positive)):
            raise ValueError("a number is negative, zero or not finite")
        return Machine(**{**asdict(machine), "lanes": int(machine.lanes), "read_bandwidth": points})
    except (ValueError, TypeError, KeyError, AttributeError) as e:
        raise WaveRNNError(f"{path}: not a device profile ({e})") from None


def save_machine(machine: Machine, path: str | os.PathLike[str]) -> None:
    """Write a device profile, whole or not at all."""
    with atomic_path(path) as tmp:
        tmp.write_text(machine.json() + "\n")


def profile_names() -> list[str]:
    """The device profiles that come with the package."""
    return sorted(p.stem for p in PROFILES.glob("*.json"))


class Shape(NamedTuple):
    """All that the cost of a matrix depends on."""

    rows: int
    cols: int
    block: tuple[int, int]
    nnz_blocks: int
    dtype: str

    @property
    def nnz(self) -> int:
        return self.nnz_blocks * self.block[0] * self.block[1]


def shape(rows: int, cols: int, block: tuple[int, int], sparsity: float, dtype: str) -> Shape:
    """The shape of a matrix with that fraction of its blocks zero."""
    n_blocks = (rows // block[0]) * (cols // block[1])
    return Shape(rows, cols, block, max(1, round(n_blocks * (1 - sparsity))), dtype)


def shapes_of(model: Model) -> dict[str, Shape]:
    """Shapes of a model's matrices."""
    return {
        name: Shape(m.rows, m.cols, (m.block_h, m.block_w), m.nnz_blocks, m.dtype) for name, m in model.matrices.items()
    }


@dataclass(frozen=True)
class Op:
    """One operation. All numbers are per run; `per_sample` says how often it runs."""

    name: str
    stage: str  # of STAGES
    dtype: str
    n_bytes: float  # read and written once, whatever the cache
    lane_bytes: float = 0.0  # those of them that each of several streams in step has for itself; the rest is shared
    macs: float = 0.0
    nnz_blocks: int = 0
    block: tuple[int, int] = (1, 1)
    block_rows: int = 0
    units: float = 0.0  # gates
    draws: int = 0  # bytes drawn
    per_sample: float = 1.0


def matvec(name: str, s: Shape, stage: str, per_sample: float = 1.0) -> Op:
    """y = W x + b in block-CSR"""
    int8, block_rows = s.dtype == "int8", s.rows // s.block[0]
    weights = s.nnz * DTYPES[s.dtype].itemsize + 2 * s.nnz_blocks + 4 * block_rows
    weights += s.rows * (4 + 4 if int8 else 4)  # start and scale, or bias
    vectors = s.rows * 2 + s.cols if int8 else 4 * (s.rows + s.cols)  # y and x
    return Op(name, stage, s.dtype, weights + vectors, vectors, s.nnz, s.nnz_blocks, s.block, block_rows,
              per_sample=per_sample)  # fmt: skip


def wavernn_ops(cfg: WaveRNNConfig, shapes: dict[str, Shape]) -> list[Op]:
    """The operations of one sample of a WaveRNN; conditioning runs once per frame, C3 once per sub-frame."""
    n, hop = cfg.n_units, cfg.mel.hop_length
    dtype = shapes["R"].dtype
    item = 2 if dtype == "int8" else 4
    inputs, own = item * 7.5 * n, item * (3 * n + 3 * n + 2 * n) + (n if dtype == "int8" else 0)  # I*; a, g, h, 8-bit h
    drawing = 2 * 4 * 4 * 256
    return [
        matvec("R", shapes["R"], "R"),
        Op("gates", "gates", dtype, inputs + own, own, units=n),
        *(matvec(name, shapes[name], "O") for name in ("O1", "O2", "O3", "O4")),
        Op("sampling", "sampling", dtype, drawing, drawing, draws=2),
        *(matvec(name, shapes[name], "condition", 1 / hop) for name in ("C1", "C2")),
        matvec("C3", shapes["C3"], "condition", cfg.n_sub / hop),
    ]


def footprint(ops: Iterable[Op], lanes: int = 1) -> float:
    """Bytes that a sample of every lane touches: what has to stay in a cache. Conditioning runs too rarely to count."""
    return n_bytes_of((op for op in ops if op.stage != "condition"), lanes)


def n_bytes_of(ops: Iterable[Op], lanes: int = 1) -> float:
    """Bytes of one run of each, for so many lanes."""
    return sum(op.n_bytes + (lanes - 1) * op.lane_bytes for op in ops)


def lanes_of(stage: str, lanes: int) -> int:
    """How many lanes share the weights of a stage: the conditioning of each runs by itself."""
    return 1 if stage == "condition" else lanes


def vectors(op: Op, lanes: int) -> int:
    """Vector multiply-adds of a mat-vec: a block of fewer rows than lanes fills a part of one."""
    return op.nnz_blocks * ceil(op.block[0] / lanes) * ceil(op.block[1] / (4 if op.dtype == "int8" else 1))


def roofline(op: Op, machine: Machine, n_bytes: float, lanes: int = 1) -> float:
    """Seconds that any program on the machine needs for one run, when what surrounds it keeps n_bytes in a cache.

    Lanes, streams in step, share the weights; this is the time of one of them. Gates and sampling are counted by their
    bytes alone.
    """
    return max(reading(op, machine, n_bytes, lanes), peak(op, machine))


def reading(op: Op, machine: Machine, n_bytes: float, lanes: int = 1) -> float:
    """Seconds to read what it reads."""
    return ((op.n_bytes - op.lane_bytes) / lanes + op.lane_bytes) / machine.bandwidth(n_bytes)


def peak(op: Op, machine: Machine) -> float:
    """Seconds of its multiply-adds alone: what many lanes come down to."""
    return op.macs / machine.macs_per_s[op.dtype]


def kernel(op: Op, machine: Machine, lanes: int = 1) -> tuple[float, float]:
    """Seconds of one run that our kernel takes, if its data are there: for vectors, blocks, units and draws; and d."""
    own = vectors(op, machine.lanes) * machine.vector_s[op.dtype] + op.nnz_blocks * machine.block_s[op.dtype]
    own += op.units * machine.unit_s[op.dtype] + op.draws * machine.draw_s
    return own, op.block_rows * machine.block_row_s[op.dtype] + machine.op_s / lanes


def seconds(op: Op, machine: Machine, n_bytes: float, lanes: int = 1) -> tuple[float, float]:
    """(c, d) of one run, for one of as many streams in step. Reading hides behind the kernel, but not behind d."""
    own, d = kernel(op, machine, lanes)
    return max(roofline(op, machine, n_bytes, lanes), own), d


def total(ops: list[Op], machine: Machine, lanes: int = 1) -> tuple[float, float]:
    """(sum of c, sum of d) of one sample of one lane, in seconds."""
    n_bytes = footprint(ops, lanes)
    parts = [(op.per_sample, *seconds(op, machine, n_bytes, lanes_of(op.stage, lanes))) for op in ops]
    return sum(n * c for n, c, _ in parts), sum(n * d for n, _, d in parts)


def limits(ops: list[Op], machine: Machine, lanes: int = 1) -> tuple[float, float]:
    """The range of `total`, in seconds: where reading hides behind all that is computed, and where behind nothing."""
    n_bytes, least, most = footprint(ops, lanes), 0.0, 0.0
    for op in ops:
        n = lanes_of(op.stage, lanes)
        own, d = kernel(op, machine, n)
        read, computed = reading(op, machine, n_bytes, n), max(own, peak(op, machine)) + d
        least, most = least + op.per_sample * max(read, computed), most + op.per_sample * (read + computed)
    return least, most


def total_roofline(ops: list[Op], machine: Machine, lanes: int = 1) -> float:
    """The sum of `roofline`, in seconds of one sample of one lane."""
    n_bytes = footprint(ops, lanes)
    return sum(op.per_sample * roofline(op, machine, n_bytes, lanes_of(op.stage, lanes)) for op in ops)


def totals_by_stage(ops: list[Op], machine: Machine) -> dict[str, float]:
    """Predicted seconds per sample of each stage."""
    n_bytes, times = footprint(ops), dict.fromkeys(STAGES, 0.0)
    for op in ops:
        times[op.stage] += op.per_sample * sum(seconds(op, machine, n_bytes))
    return times


def stage_work(ops: list[Op], stage: str) -> dict[str, Any]:
    """{n_bytes, macs} of one stage per sample."""
    chosen = [op for op in ops if op.stage == stage]
    return {
        "n_bytes": sum(op.per_sample * op.n_bytes for op in chosen),
        "macs": sum(op.per_sample * op.macs for op in chosen),
    }
