"""Fits the cost model to measured stages, and says how far it is from models that it was not fitted to.

Usage: ``machine = calibrate(measure_machine(), rows)``
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from wv_runtime.model.layout import DTYPES

from wv_bench import cost
from wv_bench.cost import Machine
from wv_bench.measure import Case

# what --calibrate fits a profile to, and what it then checks it on: dtype, block, units, sparsity
FITTED = [
    ("int8", (16, 4), 1024, 0.95), ("int8", (8, 4), 512, 0.9),
    ("f16", (16, 1), 1024, 0.95), ("f16", (8, 1), 512, 0.9),
    ("f32", (16, 1), 1024, 0.95), ("f32", (8, 1), 512, 0.9),
]  # fmt: skip
CHECKED = [
    ("int8", (16, 4), 384, 0.9), ("int8", (16, 4), 1536, 0.95), ("int8", (8, 4), 1024, 0.95),
    ("int8", (8, 4), 1024, 0.9), ("int8", (32, 4), 1024, 0.95), ("int8", (16, 4), 2048, 0.97),
    ("int8", (16, 4), 1024, 0.8),
    ("f16", (16, 1), 384, 0.9), ("f16", (16, 1), 1024, 0.9), ("f16", (8, 1), 768, 0.95),
    ("f32", (16, 1), 384, 0.9), ("f32", (16, 1), 768, 0.95), ("f32", (8, 1), 1024, 0.95), ("f32", (16, 1), 896, 0.97),
]  # fmt: skip


def calibrate(machine: Machine, results: list[tuple[Case, dict[str, Any]]]) -> Machine:
    """The machine with vector_s, block_s, block_row_s, unit_s and draw_s that fit the measured stages.

    By dtype, such that cost.seconds gives the times of R and of O1..O4: least squares of the relative error, nothing
    negative. Where the roofline of an operation exceeds its vectors and blocks, as found so far, it stands for them.
    """
    for dtype in DTYPES:
        own = [(case, r["stages_ns"]) for case, r in results if case.dtype == dtype]
        if not own:
            continue
        unit = float(np.mean([1e-9 * ns["gates"] / case.config.n_units for case, ns in own]))
        machine = replace(machine, unit_s={**machine.unit_s, dtype: unit})
        stages = [([op for op in case.ops if op.stage == s], 1e-9 * ns[s]) for case, ns in own for s in ("R", "O")]
        best, x = np.inf, np.zeros(3)
        for _ in range(8):
            a, b, error = [], [], 0.0
            for ops, t in stages:
                n_bytes, left, row, predicted = sum(op.n_bytes for op in ops), t, np.zeros(3), 0.0
                for op in ops:
                    counts = np.array([cost.vectors(op, machine.lanes), op.nnz_blocks, op.block_rows], float)
                    limit = cost.roofline(op, machine, n_bytes)
                    predicted += max(limit, float(counts[:2] @ x[:2])) + counts[2] * x[2]
                    if x.any() and limit > counts[:2] @ x[:2]:
                        left, counts[:2] = left - limit, 0
                    row += counts
                a.append(row / t)
                b.append(left / t)
                error += (predicted / t - 1) ** 2
            if x.any() and error < best:
                best, found = error, x
            x = non_negative_fit(np.array(a), np.array(b))
        machine = replace(
            machine,
            vector_s={**machine.vector_s, dtype: float(found[0])},
            block_s={**machine.block_s, dtype: float(found[1])},
            block_row_s={**machine.block_row_s, dtype: float(found[2])},
        )
    return replace(machine, draw_s=float(np.mean([1e-9 * r["stages_ns"]["sampling"] / 2 for _, r in results])))


def non_negative_fit(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The x >= 0 for which a x is nearest to b, with as few of x above 0 as do equally well."""
    best, found = np.inf, np.zeros(a.shape[1])
    for n in range(1, a.shape[1] + 1):
        for chosen in itertools.combinations(range(a.shape[1]), n):
            x = np.zeros(a.shape[1])
            x[list(chosen)] = np.linalg.lstsq(a[:, chosen], b, rcond=None)[0]
            error = float(((a @ x - b) ** 2).sum())
            if (x >= 0).all() and error < 0.999 * best - 1e-9:
                best, found = error, x
    return found


def check_table(machine: Machine, rows: list[tuple[Case, dict[str, Any]]]) -> tuple[str, list[dict[str, Any]]]:
    """Predicted against measured, one line per case."""
    lines = [f"{'dtype':<6}{'units':>6}{'zeros':>7}{'block':>6}{'measured':>10}{'predicted':>11}{'error':>7}"]
    found = []
    for case, r in rows:
        measured, predicted = 1e9 / r["samples_per_s"], 1e9 * sum(cost.total(case.ops, machine))
        error = predicted / measured - 1
        found.append({k: r[k] for k in ("dtype", "n_units", "sparsity", "block")}
                     | {"measured_ns": measured, "predicted_ns": predicted, "error": error})  # fmt: skip
        lines.append(f"{r['dtype']:<6}{r['n_units']:>6}{r['sparsity']:>7.1%}{r['block']:>6}{measured:>10.0f}"
                     f"{predicted:>11.0f}{error:>+7.0%}")  # fmt: skip
    return "\n".join(lines), found
