"""What wv-bench prints and draws: the results of its measurements as dicts, tables and pictures.

Usage: ``results = summarize(pairs, measure(pairs, 30, 1e-3), machine); print(table(results))``
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from wv_runtime.commands.plots import save_figure
from wv_runtime.model.blocks import block_name

from wv_bench import cost
from wv_bench.cost import STAGES, Machine
from wv_bench.measure import STAGE_IDS, Pair


def summarize(
    pairs: Sequence[Pair], times: dict[str, NDArray[np.float64]], machine: Machine | None
) -> list[dict[str, Any]]:
    """One dict per pair: the objects of ``--json``."""
    results = []
    for i, (case, engine) in enumerate(pairs):
        cfg, hop = case.config, case.config.mel.hop_length
        work = {stage: cost.stage_work(case.ops, stage) for stage in STAGES}
        macs = sum(w["macs"] for w in work.values())
        shapes = cost.shapes_of(case.model)
        first = next(k for k, (other, _) in enumerate(pairs) if other is case)  # its first engine
        best = {name: float(t[i].min()) for name, t in times.items()}
        median = {name: float(np.median(t[i])) for name, t in times.items()}
        for ns in (best, median):
            ns["condition"] /= hop
        result: dict[str, Any] = {
            "backend": engine.backend,
            "isa": engine.isa,
            "dtype": case.dtype,
            "n_units": cfg.n_units,
            "n_out": cfg.n_out,
            "sparsity": round(1 - shapes["R"].nnz / (shapes["R"].rows * shapes["R"].cols), 4),
            "block": block_name(shapes["R"].block),
            "lanes": engine.lanes,
            "threads": engine.threads,
            "samples_per_s": 1 / best["whole"],
            "rtf": best["whole"] * cfg.mel.sample_rate,
            "roofline_fraction": None,
            "stages_ns": {name: 1e9 * best[name] for name in STAGE_IDS},
            "samples_per_s_median": 1 / median["whole"],
            "spread": median["whole"] / best["whole"] - 1,
            "time_over_first": float(np.median(times["whole"][i] / times["whole"][first])),
            "stages_ns_median": {name: 1e9 * median[name] for name in STAGE_IDS},
            "nnz": sum(s.nnz for name, s in shapes.items() if name in ("R", "O1", "O2", "O3", "O4")),
            "gmac_per_s": macs / best["whole"] / 1e9,
            "bytes_per_sample": sum(w["n_bytes"] for w in work.values()),
            "footprint_bytes": cost.footprint(case.ops, engine.lanes),
            "stages_roofline_fraction": {},
            "limits_ns": {},
        }
        if machine:
            # a stage alone has the caches to itself; in the whole sampler it shares them
            for stage in STAGES:
                ops, lanes = [op for op in case.ops if op.stage == stage], cost.lanes_of(stage, engine.lanes)
                n_bytes = cost.n_bytes_of(ops, lanes)
                limit = sum(op.per_sample * cost.roofline(op, machine, n_bytes, lanes) for op in ops)
                result["stages_roofline_fraction"][stage] = limit / best[stage]
            limits = {
                "roofline": cost.total_roofline(case.ops, machine, engine.lanes),
                "peak": sum(op.per_sample * cost.peak(op, machine) for op in case.ops),
            }
            result["limits_ns"] = {name: 1e9 * limit / engine.threads for name, limit in limits.items()}
            result["roofline_fraction"] = 1e-9 * result["limits_ns"]["roofline"] / best["whole"]
        results.append(result)
    return results


def table(results: list[dict[str, Any]]) -> str:
    """One line per engine; times in ns per sample, best of repeats."""
    lines = [
        f"{'backend':<8}{'isa':<11}{'dtype':<6}{'units':>6}{'zeros':>7}{'block':>6}{'lanes':>6}{'thr':>4}"
        f"{'samples/s':>11}{'median':>11}"
        f"{'spread':>8}{'RTF':>8}{'R':>7}{'gates':>7}{'O':>7}{'draw':>6}{'cond':>6}{'GMAC/s':>8}{'KB':>6}"
        f"{'R roof':>8}{'roof':>6}{'peak':>6}{'time/1st':>9}"
    ]
    for r in results:
        ns, measured = r["stages_ns"], r["roofline_fraction"] is not None
        peak = 1e-9 * r["limits_ns"].get("peak", 0) * r["samples_per_s"]
        fractions = (r["stages_roofline_fraction"].get("R"), r["roofline_fraction"], peak)
        roof = [f"{f:.0%}" if measured else "-" for f in fractions]
        lines.append(
            f"{r['backend']:<8}{r['isa']:<11}{r['dtype']:<6}{r['n_units']:>6}{r['sparsity']:>7.1%}{r['block']:>6}"
            f"{r['lanes']:>6}{r['threads']:>4}{r['samples_per_s']:>11,.0f}{r['samples_per_s_median']:>11,.0f}{r['spread']:>8.0%}{r['rtf']:>8.4f}"
            f"{ns['R']:>7.0f}{ns['gates']:>7.0f}{ns['O']:>7.0f}{ns['sampling']:>6.0f}{ns['condition']:>6.0f}"
            f"{r['gmac_per_s']:>8.1f}{r['bytes_per_sample'] / 1e3:>6.0f}"
            f"{roof[0]:>8}{roof[1]:>6}{roof[2]:>6}{r['time_over_first']:>9.2f}"
        )
    return "\n".join(lines)


def machine_text(machine: Machine) -> str:
    """Bandwidths and peaks, one line each."""
    levels = ", ".join(
        f"{f'{n / 1024:.0f} KB' if n < 2**20 else f'{n / 2**20:.0f} MB'} {rate / 1e9:.0f}"
        for n, rate in machine.read_bandwidth
        if n in {8192, 32768, 65536, 262144, 524288, 2**20, 2**21, 2**24, 2**25}
    )
    peaks = ", ".join(f"{dtype} {rate / 1e9:.0f}" for dtype, rate in machine.macs_per_s.items())
    return f"machine  {machine.name}\nread     GB/s by footprint: {levels}\npeak     GMAC/s: {peaks}"


def plot_stages(results: list[dict[str, Any]], path: str) -> None:
    """Stacked bars: ns per sample of every engine by stage, on one thread; marks where the machine's limits are."""

    def draw(axes: Any) -> None:
        left = np.zeros(len(results))
        engines = [f"{r['backend']} {r['isa']} {r['dtype']}" for r in results]
        names = [f"{e}\n{r['n_units']}, {r['sparsity']:.0%}, {r['block']}" for e, r in zip(engines, results)]
        if any(r["lanes"] > 1 for r in results):
            names = [f"{name}, lanes: {r['lanes']}" for name, r in zip(names, results)]
        for stage in STAGES:
            ns = np.array([r["stages_ns"][stage] for r in results])
            axes.barh(names, ns, left=left, label=stage)
            left += ns
        for limit, mark, label in (("roofline", "k|", "roofline: bytes or MACs"), ("peak", "r|", "MACs alone")):
            at = [(r["limits_ns"][limit] * r["threads"], name) for r, name in zip(results, names) if r["limits_ns"]]
            if at:
                axes.plot(*zip(*at), mark, markersize=18, markeredgewidth=2, label=label)
        axes.invert_yaxis()
        axes.set(xlabel="ns per sample, best of repeats", title="Where the time of a sample goes")
        axes.legend()

    save_figure(path, draw, height=2 + 0.6 * len(results))


def plot_sweep(results: list[dict[str, Any]], fit: dict[str, float], path: str) -> None:
    """Time per sample against non-zeros, with the line through the points whose weights stay in the cache."""

    def draw(axes: Any) -> None:
        nnz = np.array([r["nnz"] for r in results])
        ns = np.array([1e9 / r["samples_per_s"] for r in results])
        axes.plot(nnz, ns, "o", label=f"measured: {results[0]['backend']} {results[0]['isa']} {results[0]['dtype']}")
        inside = nnz[nnz <= fit["nnz_in_cache"]]
        line = f"{fit['ns_per_nnz'] * 1e3:.2f} ns per 1000 non-zeros + {fit['ns']:.0f} ns, R^2 = {fit['r2']:.4f}"
        axes.plot(inside, fit["ns"] + fit["ns_per_nnz"] * inside, label=line)
        edge = f"weights leave the L2: reading from {fit['cache_bytes'] / 1024:.0f} KB is 3 % slower"
        axes.axvline(np.interp(fit["cache_bytes"], [r["footprint_bytes"] for r in results], nnz), color="grey",
                     linestyle=":", label=edge)  # fmt: skip
        axes.set(xlabel="non-zeros of R and O1..O4", ylabel="ns per sample", xlim=(0, None), ylim=(0, None))
        axes.legend()

    save_figure(path, draw)


def line_fit(results: list[dict[str, Any]], cache_bytes: float) -> dict[str, float]:
    """ns = a + b nnz over the results whose footprint stays in the cache, and its R^2."""
    inside = [r for r in results if r["footprint_bytes"] <= cache_bytes]
    nnz = np.array([r["nnz"] for r in inside], float)
    ns = np.array([1e9 / r["samples_per_s"] for r in inside])
    if len(inside) < 3:
        raise ValueError(f"sweep: {len(inside)} points within {cache_bytes / 1024:.0f} KB, wanted 3 or more")
    slope, offset = np.polyfit(nnz, ns, 1)
    r2 = 1 - ((ns - offset - slope * nnz) ** 2).sum() / ((ns - ns.mean()) ** 2).sum()
    return {"ns": float(offset), "ns_per_nnz": float(slope), "r2": float(r2), "nnz_in_cache": float(nnz.max()),
            "n_points": float(len(inside)), "cache_bytes": cache_bytes}  # fmt: skip
