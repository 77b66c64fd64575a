"""wv-bench: how fast a model runs here, where the time goes, and how far that is from the machine's limit.

Every repeat runs every engine and stage once, in short slices, so that a noisy neighbour hits all of them alike:
ratios are medians over the pairs, limits are minima.

Usage: ``wv-bench out.bin`` or ``wv-bench --hidden 1024 --sparsity 0.95 --block 16x4 --dtype int8``
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from wv_runtime.commands.common import Command
from wv_runtime.commands.plots import check_figure, save_figure
from wv_runtime.engine import native as _native
from wv_runtime.engine.kernels import simd, stages, wavernn
from wv_runtime.engine.synth import NumbaStream
from wv_runtime.model import binary as bin_format
from wv_runtime.model.binary import DTYPES, Model

from wv_bench import cost
from wv_bench.cost import STAGES, Machine
from wv_bench.synthetic import block_name, parse_block, synthetic_config, synthetic_model

STAGE_IDS = {"sample": 0, "R": 1, "gates": 2, "O": 3, "sampling": 4, "condition": 5}  # wv_stage
N_MEL_FRAMES = 64
FOOTPRINTS = sorted({*(2**k for k in range(13, 26)), *(k << 10 for k in (48, 96, 384, *range(448, 1024, 64)))})
# what --calibrate fits a profile to, and what it then checks it on: dtype, block, units, sparsity
FITTED = [
    ("int8", "16x4", 1024, 0.95), ("int8", "8x4", 512, 0.9),
    ("f16", "16x1", 1024, 0.95), ("f16", "8x1", 512, 0.9),
    ("f32", "16x1", 1024, 0.95), ("f32", "8x1", 512, 0.9),
]  # fmt: skip
CHECKED = [
    ("int8", "16x4", 384, 0.9), ("int8", "16x4", 1536, 0.95), ("int8", "8x4", 1024, 0.95), ("int8", "8x4", 1024, 0.9),
    ("int8", "32x4", 1024, 0.95), ("int8", "16x4", 2048, 0.97), ("int8", "16x4", 1024, 0.8),
    ("f16", "16x1", 384, 0.9), ("f16", "16x1", 1024, 0.9), ("f16", "8x1", 768, 0.95),
    ("f32", "16x1", 384, 0.9), ("f32", "16x1", 768, 0.95), ("f32", "8x1", 1024, 0.95), ("f32", "16x1", 896, 0.97),
]  # fmt: skip
SWEEP = [1 - n / 3932 for n in (*range(50, 700, 50), 800, 1000, 1300, 1600, 2000)]


@dataclass(frozen=True)
class Engine:
    """A model on one backend and ISA. Times of one stage, and of a whole utterance from mels to samples."""

    backend: str
    isa: str
    run: Callable[[int, int], None]  # (stage of STAGE_IDS, n_times)
    open: Callable[[], Any]  # a new synth.Stream


class Case:
    """A model in one aligned buffer that all engines read, as after loading a file."""

    def __init__(self, model: Model):
        self.data = bin_format.aligned(bin_format.pack(model))
        self.model = bin_format.parse(self.data)
        self.config, self.dtype = model.config, model.matrices["R"].dtype
        self.ops = cost.wavernn_ops(model.config, cost.shapes_of(model))
        frames = np.random.default_rng(0).normal(size=(model.config.mel.n_mels, N_MEL_FRAMES))
        self.mel = frames.astype(np.float32)

    def native(self, isa: str | None) -> Engine:
        model = _native.NativeModel(self.data)
        stream = _native.NativeStream(model, isa=isa)
        stream.push(self.mel[:, : self.config.cond_width])
        return Engine("c", stream.isa, stream.bench_stage, lambda: _native.NativeStream(model, isa=isa))

    def numba(self) -> Engine:
        net, state, pcm = wavernn.make_net(self.model), wavernn.make_state(self.model), np.zeros(1, np.int16)
        window = np.ascontiguousarray(self.mel[:, : self.config.cond_width].T).reshape(-1)

        def run(stage: int, n_times: int) -> None:
            stages.stage(net, state, np.float32(1.442695), window, stage, n_times, pcm)

        return Engine("numba", simd.ISA, run, lambda: NumbaStream(self.model, net, 0, 1.0))

    def engines(self, backends: Sequence[str], isas: Sequence[str]) -> list[Engine]:
        """The first one is what the others are compared with."""
        native = [self.native(isa) for isa in isas] if "c" in backends else []
        return native + ([self.numba()] if "numba" in backends else [])


Pair = tuple[Case, Engine]


def measure(pairs: Sequence[Pair], repeats: int, slice_s: float) -> dict[str, NDArray[np.float64]]:
    """Seconds per run of each stage, and per sample of "whole", interleaved. {stage: (len(pairs), repeats)}"""

    def whole(case: Case, engine: Engine, n_frames: int) -> float:
        hop, stream = case.config.mel.hop_length, engine.open()
        stream.push(case.mel[:, : n_frames + 1])
        stream.finish()
        stream.pull(hop)  # fetches the weights that another pair has driven out
        start = time.perf_counter()
        stream.pull(n_frames * hop)
        return (time.perf_counter() - start) / (n_frames * hop)

    def timed(pair: Pair, stage: str, n: int) -> float:
        if stage == "whole":
            return whole(*pair, n)
        start = time.perf_counter()
        pair[1].run(STAGE_IDS[stage], n)
        return (time.perf_counter() - start) / n

    names = ("whole", *STAGE_IDS)
    n_times = {}
    for (i, pair), name in itertools.product(enumerate(pairs), names):
        n, per_run = 1, pair[0].config.mel.hop_length if name == "whole" else 1
        for _ in range(3):  # a first guess counts the call from Python
            once = min(timed(pair, name, n) for _ in range(2)) * per_run
            n = max(1, min(32 if name == "whole" else 100_000, round(slice_s / once)))
        n_times[i, name] = n
    times = {name: np.empty((len(pairs), repeats)) for name in names}
    for repeat, name, (i, pair) in itertools.product(range(repeats), names, enumerate(pairs)):
        times[name][i, repeat] = timed(pair, name, n_times[i, name])
    return times


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
            "hidden": cfg.n_units,
            "n_out": cfg.n_out,
            "sparsity": round(1 - shapes["R"].nnz / (shapes["R"].rows * shapes["R"].cols), 4),
            "block": block_name(shapes["R"].block),
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
            "footprint_bytes": cost.footprint(case.ops),
            "stages_roofline_fraction": {},
        }
        if machine:
            # a stage alone has the caches to itself; in the whole sampler it shares them
            for stage in STAGES:
                ops = [op for op in case.ops if op.stage == stage]
                limit = sum(op.per_sample * cost.roofline(op, machine, sum(o.n_bytes for o in ops)) for op in ops)
                result["stages_roofline_fraction"][stage] = limit / best[stage]
            limit = sum(op.per_sample * cost.roofline(op, machine, cost.footprint(case.ops)) for op in case.ops)
            result["roofline_fraction"] = limit / best["whole"]
        results.append(result)
    return results


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
    lanes = {"avx512vnni": 16, "avx2": 8}.get(simd.ISA, 4)
    zero = dict.fromkeys(DTYPES, 0.0)
    return Machine(
        f"{platform.machine()}-{simd.ISA}", True, "measured by wv-bench, one thread, best of repeats", lanes,
        tuple(bandwidth), macs, dict(zero), dict(zero), dict(zero), dict(zero), 0.0,
    )  # fmt: skip


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


# ---- what is printed and drawn


def table(results: list[dict[str, Any]]) -> str:
    """One line per engine; times in ns per sample, best of repeats."""
    lines = [
        f"{'backend':<8}{'isa':<11}{'dtype':<6}{'units':>6}{'zeros':>7}{'block':>6}{'samples/s':>11}{'median':>11}"
        f"{'spread':>8}{'RTF':>8}{'R':>7}{'gates':>7}{'O':>7}{'draw':>6}{'cond':>6}{'GMAC/s':>8}{'KB':>6}"
        f"{'R roof':>8}{'roof':>6}{'time/1st':>9}"
    ]
    for r in results:
        ns, measured = r["stages_ns"], r["roofline_fraction"] is not None
        fractions = (r["stages_roofline_fraction"].get("R"), r["roofline_fraction"])
        roof = [f"{f:.0%}" if measured else "-" for f in fractions]
        lines.append(
            f"{r['backend']:<8}{r['isa']:<11}{r['dtype']:<6}{r['hidden']:>6}{r['sparsity']:>7.1%}{r['block']:>6}"
            f"{r['samples_per_s']:>11,.0f}{r['samples_per_s_median']:>11,.0f}{r['spread']:>8.0%}{r['rtf']:>8.4f}"
            f"{ns['R']:>7.0f}{ns['gates']:>7.0f}{ns['O']:>7.0f}{ns['sampling']:>6.0f}{ns['condition']:>6.0f}"
            f"{r['gmac_per_s']:>8.1f}{r['bytes_per_sample'] / 1e3:>6.0f}"
            f"{roof[0]:>8}{roof[1]:>6}{r['time_over_first']:>9.2f}"
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
    """Stacked bars: ns per sample of every engine by stage."""

    def draw(axes: Any) -> None:
        left = np.zeros(len(results))
        engines = [f"{r['backend']} {r['isa']} {r['dtype']}" for r in results]
        names = [f"{e}\n{r['hidden']}, {r['sparsity']:.0%}, {r['block']}" for e, r in zip(engines, results)]
        for stage in STAGES:
            ns = np.array([r["stages_ns"][stage] for r in results])
            axes.barh(names, ns, left=left, label=stage)
            left += ns
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


def check_table(machine: Machine, rows: list[tuple[Case, dict[str, Any]]]) -> tuple[str, list[dict[str, Any]]]:
    """Predicted against measured, one line per case."""
    lines = [f"{'dtype':<6}{'units':>6}{'zeros':>7}{'block':>6}{'measured':>10}{'predicted':>11}{'error':>7}"]
    found = []
    for case, r in rows:
        measured, predicted = 1e9 / r["samples_per_s"], 1e9 * sum(cost.total(case.ops, machine))
        error = predicted / measured - 1
        found.append({k: r[k] for k in ("dtype", "hidden", "sparsity", "block")}
                     | {"measured_ns": measured, "predicted_ns": predicted, "error": error})  # fmt: skip
        lines.append(f"{r['dtype']:<6}{r['hidden']:>6}{r['sparsity']:>7.1%}{r['block']:>6}{measured:>10.0f}"
                     f"{predicted:>11.0f}{error:>+7.0%}")  # fmt: skip
    return "\n".join(lines), found


# ---- the command


@click.command("wv-bench", cls=Command)
@click.argument("model_path", metavar="[MODEL]", required=False)
@click.option("--hidden", multiple=True, type=int, help="Units of a synthetic model.  [default: 1024]")
@click.option("--n-out", type=int, help="Rows of O1 and O3.  [default: half the units]")
@click.option("--sparsity", multiple=True, type=float, help="Of R and O1..O4.  [default: 0.95]")
@click.option("--block", multiple=True, metavar="HxW", help="Block shape.  [default: 16x4 for int8, 16x1 else]")
@click.option("--dtype", multiple=True, type=click.Choice(list(DTYPES)), help="[default: int8]")
@click.option("--preset", type=click.Choice(["16k", "22k", "24k"]), default="24k", show_default=True)
@click.option("--backend", multiple=True, type=click.Choice(["c", "numba"]), help="[default: both]")
@click.option("--isa", multiple=True, help="ISAs of backend c, or all.  [default: the best one]")
@click.option("--repeats", type=click.IntRange(1, 10_000), default=30, show_default=True)
@click.option("--slice-ms", type=click.FloatRange(0.01, 10_000), default=1.0, show_default=True, help="Of one timing.")
@click.option("--no-machine", is_flag=True, help="Do not measure the machine: no roofline.")
@click.option("--sweep", is_flag=True, help="Time per sample against non-zeros, 50 thousand to 2 million.")
@click.option("--calibrate", "profile", metavar="PROFILE", help="Write a profile of this machine for wv-predict.")
@click.option("--name", help="Name inside the profile.")
@click.option("--plot", "plot_path", metavar="PICTURE", help="Draw the stages, or the sweep (.png, .pdf, .svg).")
@click.option("--json", "as_json", is_flag=True, help="One object: machine, results, and sweep or calibration.")
def main(
    model_path: str | None, hidden: tuple[int, ...], n_out: int | None, sparsity: tuple[float, ...],
    block: tuple[str, ...], dtype: tuple[str, ...], preset: str, backend: tuple[str, ...], isa: tuple[str, ...],
    repeats: int, slice_ms: float, no_machine: bool, sweep: bool, profile: str | None, name: str | None,
    plot_path: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Time MODEL, a .bin of wv-export, or synthetic models of every combination of the shapes given."""
    if model_path and (hidden or n_out or sparsity or block or dtype or sweep or profile):
        raise ValueError("MODEL: found together with a synthetic shape, --sweep or --calibrate, wanted one of them")
    if sweep and profile:
        raise ValueError("--sweep: found together with --calibrate, wanted one of them")
    if profile and not Path(profile).absolute().parent.is_dir():
        raise FileNotFoundError(2, "No such directory", str(Path(profile).parent))
    if plot_path:
        check_figure(plot_path)
    backends = backend or ("c", "numba")
    isas = _isas(isa) if "c" in backends else []
    if sweep or profile:
        backends, isas = (("c",), isas[:1]) if "c" in backends else (("numba",), [])

    def synthetic(d: str, b: str | None, n: int, s: float) -> Case:
        shape = parse_block(b or ("16x4" if d == "int8" else "16x1"))
        return Case(synthetic_model(synthetic_config(n, n_out, preset), s, shape, d))

    if model_path:
        todo: list[Callable[[], Case]] = [lambda: Case(bin_format.load(model_path))]
    elif profile:
        todo = [lambda c=c: synthetic(*c) for c in FITTED + CHECKED]  # type: ignore[misc]
    else:
        zeros = SWEEP if sweep else sparsity or (0.95,)
        shapes = list(itertools.product(dtype or ("int8",), block or (None,), hidden or (1024,), zeros))
        todo = [lambda c=c: synthetic(*c) for c in shapes]  # type: ignore[misc]
        for shape in shapes:
            _check(*shape, n_out, preset)

    first = todo[0]()  # before minutes are spent
    machine = None if no_machine and not (sweep or profile) else measure_machine()
    rows: list[tuple[Case, dict[str, Any]]] = []
    cases = (make() if i else first for i, make in enumerate(todo))
    # a sweep's points in turns, so that a neighbour hits all of them alike; else one model after another
    for group in [list(cases)] if sweep else ([case] for case in cases):
        pairs = [(case, engine) for case in group for engine in case.engines(backends, isas)]
        results = summarize(pairs, measure(pairs, repeats, 1e-3 * slice_ms), machine)
        if not as_json and not profile:
            click.echo(table(results).split("\n", 1)[1] if rows else table(results))
        rows += [(case, r) for (case, _), r in zip(pairs, results)]
    results = [r for _, r in rows]
    report: dict[str, Any] = {"machine": json.loads(machine.json()) if machine else None, "results": results}
    text = [machine_text(machine)] if machine else []
    if sweep and machine:
        fit = line_fit(results, cache_bytes(machine))
        report["sweep"] = fit
        text.append(
            f"line     {1e3 * fit['ns_per_nnz']:.3f} ns per 1000 non-zeros + {fit['ns']:.0f} ns, R^2 = {fit['r2']:.4f} "
            f"over {fit['n_points']:.0f} points within the {fit['cache_bytes'] / 1024:.0f} KB that the L2 holds"
        )
    if profile and machine:
        machine = replace(calibrate(machine, rows[: len(FITTED)]), name=name or machine.name)
        checked, report["calibration"] = check_table(machine, rows)
        text.append(f"the first {len(FITTED)} were fitted, ns per sample:\n{checked}")
        cost.save_machine(machine, profile)
    if plot_path:
        plot_sweep(results, report["sweep"], plot_path) if sweep else plot_stages(results, plot_path)
    click.echo(json.dumps(report) if as_json else "\n".join(text))


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


def _isas(isa: Sequence[str]) -> list[str]:
    known = _native.isa_names()
    if "all" in isa:
        return known
    for name in isa:
        if name not in known:
            raise ValueError(f"--isa: found {name!r}, wanted all or one of {', '.join(known)}")
    return list(isa) or [os.environ.get("WV_ISA") or known[0]]


def _check(dtype: str, block: str | None, n_units: int, sparsity: float, n_out: int | None, preset: str) -> None:
    """Raise for a shape that cannot be, before anything is timed."""
    cfg = synthetic_config(n_units, n_out, preset)
    height, width = parse_block(block or ("16x4" if dtype == "int8" else "16x1"))
    for rows, cols in (cfg.matrix_shapes()[m] for m in ("R", "O1", "O2")):
        if height not in bin_format.BLOCK_H or rows % height or cols % max(1, width):
            raise ValueError(f"block: found {block}, wanted height one of {bin_format.BLOCK_H} that divides {rows}")
    if dtype == "int8" and width != 4:
        raise ValueError(f"block: found {block}, wanted a width of 4 for int8")
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity: found {sparsity:g}, wanted 0 up to, not including, 1")


if __name__ == "__main__":
    main()
