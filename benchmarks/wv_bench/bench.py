"""wv-bench: how fast a model runs here, where the time goes, and how far that is from the machine's limit.

Usage: ``wv-bench out.bin`` or ``wv-bench --n-units 1024 --sparsity 0.95 --block 16x4 --dtype int8``
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from wv_runtime.commands.common import BLOCK, INTEGERS, Command
from wv_runtime.commands.plots import check_figure
from wv_runtime.engine import native as _native
from wv_runtime.engine.batch import check_lanes
from wv_runtime.engine.cuda_device import check_gpu, device_name
from wv_runtime.engine.cuda_net import CudaNet
from wv_runtime.engine.registry import ENGINES
from wv_runtime.model import binary as bin_format
from wv_runtime.model.blocks import check_block, default_block
from wv_runtime.model.config import PRESETS, WaveRNNConfig
from wv_runtime.model.layout import DTYPES
from wv_runtime.model.weights import Model

from wv_bench import cost, gpu_speed
from wv_bench.calibrate import CHECKED, FITTED, calibrate, check_table
from wv_bench.measure import Case, measure
from wv_bench.probe import cache_bytes, measure_machine
from wv_bench.report import line_fit, machine_text, plot_stages, plot_sweep, summarize, table
from wv_bench.synthetic import PRUNED, synthetic_config, synthetic_model

SWEEP = [1 - n / 3932 for n in (*range(50, 700, 50), 800, 1000, 1300, 1600, 2000)]


@click.command("wv-bench", cls=Command)
@click.argument("model_path", metavar="[MODEL]", required=False)
@click.option("--n-units", multiple=True, type=int, help="Units of a synthetic model.  [default: 1024]")
@click.option("--n-out", type=int, help="Rows of O1 and O3.  [default: half the units]")
@click.option("--sparsity", multiple=True, type=float, help="Of R and O1..O4.  [default: 0.95]")
@click.option("--block", multiple=True, type=BLOCK, help="Block shape.  [default: 16x4 for int8, 16x1 else]")
@click.option("--dtype", multiple=True, type=click.Choice(list(DTYPES)), help="[default: int8]")
@click.option("--preset", type=click.Choice(sorted(PRESETS)), default="24k", show_default=True)
@click.option("--backend", multiple=True, type=click.Choice([name for name, engine in ENGINES.items() if engine.timed]),
              help="[default: c, numba]")  # fmt: skip
@click.option("--isa", multiple=True, help="ISAs of backend c, or all.  [default: the best one]")
@click.option(
    "--lanes", type=INTEGERS, default="1", metavar="N,..", help="Streams in step on each thread.  [default: 1]"
)
@click.option("--subscale", type=INTEGERS, default="1", metavar="B,..",
              help="Interleaved lanes of a synthetic model.  [default: 1]")  # fmt: skip
@click.option("--lpc-order", type=click.IntRange(0, 64), help="Of a synthetic model.  [default: 0; with --subscale 32]")
@click.option(
    "--threads",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="That share the streams, or interleaved lanes.",
)
@click.option("--repeats", type=click.IntRange(1, 10_000), default=30, show_default=True)
@click.option("--slice-ms", type=click.FloatRange(0.01, 10_000), default=1.0, show_default=True, help="Of one timing.")
@click.option("--no-machine", is_flag=True, help="Do not measure the machine: no roofline.")
@click.option("--sweep", is_flag=True, help="Time per sample against non-zeros, 50 thousand to 2 million.")
@click.option("--calibrate", "profile", metavar="PROFILE", help="Write a profile of this machine for wv-predict.")
@click.option("--name", help="Name inside the profile.")
@click.option("--plot", "plot_path", metavar="PICTURE", help="Draw the stages, or the sweep (.png, .pdf, .svg).")
@click.option("--json", "as_json", is_flag=True, help="One object: machine, results, and sweep or calibration.")
def main(
    model_path: str | None, n_units: tuple[int, ...], n_out: int | None, sparsity: tuple[float, ...],
    block: tuple[tuple[int, int], ...], dtype: tuple[str, ...], preset: str, backend: tuple[str, ...],
    isa: tuple[str, ...], lanes: tuple[int, ...], subscale: tuple[int, ...], lpc_order: int | None, threads: int,
    repeats: int, slice_ms: float,
    no_machine: bool, sweep: bool, profile: str | None, name: str | None, plot_path: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Time MODEL, a .bin of wv-export, or synthetic models of every combination of the shapes given."""
    if model_path and (
        n_units or n_out or sparsity or block or dtype or subscale != (1,) or lpc_order or sweep or profile
    ):
        raise ValueError("MODEL: found together with a synthetic shape, --sweep or --calibrate, wanted one of them")
    for n in lanes:
        check_lanes(n)
    if (sweep or profile) and (lanes, subscale, threads) != ((1,), (1,), 1):
        raise ValueError(
            "--lanes, --subscale, --threads: found together with --sweep or --calibrate, which time one stream"
        )
    if sweep and profile:
        raise ValueError("--sweep: found together with --calibrate, wanted one of them")
    if profile and not Path(profile).absolute().parent.is_dir():
        raise FileNotFoundError(2, "No such directory", str(Path(profile).parent))
    if plot_path:
        check_figure(plot_path)
    backends = backend or ("c", "numba")
    if "cuda" in backends and (set(backends) != {"cuda"} or isa or sweep or profile or plot_path or lanes != (1,)):
        raise ValueError("--backend cuda: found with another backend or an option of theirs, wanted it alone")
    isas = _isas(isa) if "c" in backends else []
    if sweep or profile:
        backends, isas = (("c",), isas[:1]) if "c" in backends else (("numba",), [])

    prediction = {} if lpc_order is None else {"lpc_order": lpc_order}

    def synthetic(d: str, b: tuple[int, int] | None, n: int, s: float, B: int = 1) -> Case:  # noqa: N803
        shape = b or default_block(d)
        return Case(synthetic_model(synthetic_config(n, n_out, preset, B, **prediction), s, shape, d))

    if model_path:
        loaded = Case(bin_format.load(model_path))
        todo: list[Callable[[], Case]] = [lambda: loaded]
        subscale = (loaded.config.subscale,)
    elif profile:
        todo = [lambda c=c: synthetic(*c) for c in FITTED + CHECKED]  # type: ignore[misc]
    else:
        zeros = SWEEP if sweep else sparsity or (0.95,)
        shapes = list(itertools.product(dtype or ("int8",), block or (None,), n_units or (1024,), zeros, subscale))
        todo = [lambda c=c: synthetic(*c) for c in shapes]  # type: ignore[misc]
        for shape in shapes:
            _check(*shape[:4], synthetic_config(shape[2], n_out, preset, shape[4], **prediction))
    if max(subscale) > 1 and ("cuda" in backends or lanes != (1,)):
        raise ValueError("--lanes, cuda: found for interleaved lanes, wanted neither of them: those lanes step already")

    if "cuda" in backends:
        check_gpu()
        found = [_on_gpu(make().model, repeats, not as_json) for make in todo]
        if as_json:
            click.echo(json.dumps({"device": device_name(), "results": found}))
        return
    first = todo[0]()  # before minutes are spent
    machine = None if no_machine and not (sweep or profile) else measure_machine()
    rows: list[tuple[Case, dict[str, Any]]] = []
    cases = (make() if i else first for i, make in enumerate(todo))
    # a sweep's points in turns, so that a neighbour hits all of them alike; else one model after another
    for group in [list(cases)] if sweep else ([case] for case in cases):
        pairs = [(case, engine) for case in group for engine in case.engines(backends, isas, lanes, threads)]
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


def _on_gpu(model: Model, repeats: int, show: bool) -> dict[str, Any]:
    """Samples/s of one to many utterances at once, and one launch against a launch per sample."""
    net, cfg, utterances = CudaNet(model), model.config, []
    if show:
        click.echo(
            f"{device_name()}: {cfg.n_units} units, {net.n_threads} threads and {net.image.n_bytes} bytes a block"
        )
    gpu_speed.seconds(net, 1, 1, 1)  # compiles
    for n_streams in gpu_speed.N_STREAMS:
        utterances.append(gpu_speed.speed(net, n_streams, gpu_speed.n_samples(n_streams), repeats))
        if show:
            click.echo(gpu_speed.line(utterances[-1]))
    steps = gpu_speed.steps(net)
    if show:
        click.echo(gpu_speed.steps_text(steps))
    return {"n_units": cfg.n_units, "n_out": cfg.n_out, "utterances": utterances, "steps": steps}


def _isas(isa: Sequence[str]) -> list[str]:
    known = _native.isa_names()
    if "all" in isa:
        return known
    for name in isa:
        if name not in known:
            raise ValueError(f"--isa: found {name!r}, wanted all or one of {', '.join(known)}")
    return list(isa) or [os.environ.get("WV_ISA") or known[0]]


def _check(dtype: str, block: tuple[int, int] | None, n_units: int, sparsity: float, cfg: WaveRNNConfig) -> None:
    """Raise for a shape that cannot be, before anything is timed."""
    for name in PRUNED:
        check_block(name, cfg.matrix_shapes()[name], block or default_block(dtype), dtype)
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity: found {sparsity:g}, wanted 0 up to, not including, 1")


if __name__ == "__main__":
    main()
