"""wv-predict: what a network will cost on a CPU or a GPU, before it is trained.

T(u) = |u| / B * sum (c + d) of Kalchbrenner et al. 2018, where B is 1 without Subscale: op by op against a device
profile; the model is in cost.py.

Usage: ``wv-predict out.bin --device cortex-a76`` or ``wv-predict --n-units 1024 --sparsity 0.95 --device zen4-avx512``
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import click
from wv_runtime.commands.common import BLOCK, INTEGERS, Command
from wv_runtime.commands.plots import check_figure, save_figure
from wv_runtime.engine.batch import check_lanes
from wv_runtime.model import binary as bin_format
from wv_runtime.model.blocks import block_name, default_block
from wv_runtime.model.config import PRESETS, WaveRNNConfig
from wv_runtime.model.layout import DTYPES

from wv_bench import cost
from wv_bench.cost import Machine, Op, Shape, matvec, shape
from wv_bench.synthetic import PRUNED, synthetic_config

UTTERANCES = 4  # in step, as the paper's batch
SUBSCALE = 16  # sub-tensors of Subscale WaveRNN-16x: as many samples of one utterance advance in step


@dataclass(frozen=True)
class Network:
    """Something that draws samples: its operations per sample, how many advance together, and on how many cores."""

    name: str
    ops: list[Op]
    lanes: int = 1
    threads: int = 1

    @property
    def lanes_each(self) -> int:
        """Those that the busiest thread steps."""
        return ceil(self.lanes / self.threads)


def wavernn(
    name: str, cfg: WaveRNNConfig, sparsity: float, block: tuple[int, int], dtype: str, lanes: int = 1
) -> Network:
    """R and O1..O4 of that sparsity, C1..C3 dense, as synthetic.synthetic_model builds it."""
    shapes: dict[str, Shape] = {}
    for matrix, (rows, cols) in cfg.matrix_shapes().items():
        pruned = matrix in PRUNED
        d = "f16" if (dtype, matrix) == ("int8", "C1") else dtype
        dense = default_block(d)
        shapes[matrix] = shape(rows, cols, block if pruned else dense, sparsity if pruned else 0.0, d)
    return Network(name, cost.wavernn_ops(cfg, shapes), lanes)


def wavenet(n_layers: int = 30, n_residual: int = 256, n_skip: int = 256) -> Network:
    """A dense float32 WaveNet: two mat-vecs a layer, the dilated convolution of 2 taps and the 1x1 behind its gate."""
    block = (16, 1)
    dilated = shape(2 * n_residual, 2 * n_residual, block, 0.0, "f32")
    mixed = shape(n_residual + n_skip, n_residual, block, 0.0, "f32")
    last = shape(256, n_skip, block, 0.0, "f32")
    own, drawing = 4 * 3 * n_residual, 4 * 4 * 256
    ops = [op for i in range(n_layers) for op in (
        matvec(f"dilated {i}", dilated, "R"),
        Op(f"gate {i}", "gates", "f32", own, own, units=2 * n_residual / 3),  # a tanh and a sigmoid of three
        matvec(f"1x1 {i}", mixed, "R"),
    )]  # fmt: skip
    ops += [matvec("out 1", last, "O"), matvec("out 2", last, "O")]
    ops.append(Op("sampling", "sampling", "f32", drawing, drawing, draws=1))
    return Network(f"WaveNet, {n_layers} x 2 mat-vecs", ops)


def qrnn(n_layers: int = 2, n_units: int = 640) -> Network:
    """A dense float32 QRNN (Bradbury et al. 2017) of the size of its language model, windows of 2, with fo-pooling.

    Its products do not read the state of the step before, so that training does all steps at once. Sampling cannot:
    what they do read is the sample just drawn.
    """
    block = (16, 1)
    products = shape(3 * n_units, 2 * n_units, block, 0.0, "f32")
    first = shape(256, n_units, block, 0.0, "f32")
    last = shape(256, 256, block, 0.0, "f32")
    own, drawing = 4 * 5 * n_units, 4 * 4 * 256
    ops = [op for i in range(n_layers) for op in (
        matvec(f"products {i}", products, "R"), Op(f"pooling {i}", "gates", "f32", own, own, units=n_units),
    )]  # fmt: skip
    ops += [matvec("out 1", first, "O"), matvec("out 2", last, "O")]
    ops.append(Op("sampling", "sampling", "f32", drawing, drawing, draws=1))
    return Network(f"QRNN, {n_layers} layers of {n_units}", ops)


def paper_networks(preset: str, sparsity: float, block: tuple[int, int], dtype: str) -> list[Network]:
    """What the paper compares: each attacks one factor of T(u)."""
    cfg = synthetic_config(1024, preset=preset)
    dense = wavernn("WaveRNN-896, dense f32", synthetic_config(896, preset=preset), 0.0, (16, 1), "f32")
    sparse = f"sparse WaveRNN-1024, {sparsity:.0%} zero, {dtype} {block_name(block)}"
    return [
        wavenet(),
        qrnn(),
        dense,
        wavernn(sparse, cfg, sparsity, block, dtype),
        wavernn(f"the same, {UTTERANCES} utterances in step", cfg, sparsity, block, dtype, UTTERANCES),
        wavernn(f"the same, subscale {SUBSCALE}x in step", cfg, sparsity, block, dtype, SUBSCALE),
    ]


def predict(network: Network, machine: Machine, sample_rate: int) -> dict[str, Any]:
    """Seconds of one sample of one lane, and of each of its operations. Threads share the lanes and no cache."""
    n_bytes = cost.footprint(network.ops, network.lanes_each)
    ops = []
    for op in network.ops:
        lanes = cost.lanes_of(op.stage, network.lanes_each)
        c, d = cost.seconds(op, machine, n_bytes, lanes)
        ops.append({
            "name": op.name, "stage": op.stage, "per_sample": op.per_sample, "bytes": op.n_bytes, "macs": op.macs,
            "c_ns": 1e9 * c, "d_ns": 1e9 * d, "roofline_ns": 1e9 * cost.roofline(op, machine, n_bytes, lanes),
            "bound": _bound(op, machine, n_bytes, lanes, c),
        })  # fmt: skip
    share = network.lanes_each / network.lanes  # of all samples
    c, d = (share * s for s in cost.total(network.ops, machine, network.lanes_each))
    least, most = (share * s for s in cost.limits(network.ops, machine, network.lanes_each))
    return {
        "name": network.name, "lanes": network.lanes, "threads": network.threads,
        "device": machine.name, "measured_device": machine.measured,
        "n_ops": len(network.ops), "c_ns": 1e9 * c, "d_ns": 1e9 * d, "samples_per_s": 1 / (c + d),
        "rtf": (c + d) * sample_rate, "rtf_least": least * sample_rate, "rtf_most": most * sample_rate,
        "footprint_bytes": n_bytes, "ops": ops,
    }  # fmt: skip


def _bound(op: Op, machine: Machine, n_bytes: float, lanes: int, c: float) -> str:
    """What the c of an operation comes from."""
    limit = cost.roofline(op, machine, n_bytes, lanes)
    if c > 1.000001 * limit:
        return "kernel"
    return "bytes" if limit > cost.peak(op, machine) else "MACs"


def ops_table(p: dict[str, Any]) -> str:
    """One line per operation."""
    lines = [f"{'op':<12}{'runs/sample':>12}{'bytes':>11}{'MACs':>11}{'roofline':>10}{'c':>9}{'d':>8}  bound by"]
    for op in p["ops"]:
        lines.append(
            f"{op['name']:<12}{op['per_sample']:>12.4g}{op['bytes']:>11,.0f}{op['macs']:>11,.0f}"
            f"{op['roofline_ns']:>10.0f}{op['c_ns']:>9.0f}{op['d_ns']:>8.0f}  {op['bound']}"
        )
    return "\n".join(lines)


def summary(predictions: list[dict[str, Any]]) -> str:
    """One line per network and device; times in ns per sample. An estimate has a range."""
    width = max(len(p["name"]) for p in predictions) + 2
    lines = [
        f"{'network':<{width}}{'device':<22}{'ops':>4}{'sum c':>11}{'sum d':>9}{'samples/s':>12}{'RTF':>9}{'range':>15}"
    ]
    for p in predictions:
        device = p["device"] + ("" if p["measured_device"] else " (est.)")
        limits = "" if p["measured_device"] else f"  {p['rtf_least']:.3f}..{p['rtf_most']:.3f}"
        lines.append(
            f"{p['name']:<{width}}{device:<22}{p['n_ops']:>4}{p['c_ns']:>11,.0f}{p['d_ns']:>9,.0f}"
            f"{p['samples_per_s']:>12,.0f}{p['rtf']:>9.3f}{limits:>15}".rstrip()
        )
    return "\n".join(lines)


def plot(predictions: list[dict[str, Any]], path: str) -> None:
    """Stacked bars of c and d by network and device, time on a log axis against real time."""

    def draw(axes: Any) -> None:
        names = [f"{p['name']}\n{p['device']}" for p in predictions]
        total = [(p["c_ns"] + p["d_ns"]) / 1e3 for p in predictions]
        axes.barh(names, total, label="d: per block row and operation")
        axes.barh(names, [p["c_ns"] / 1e3 for p in predictions], label="c: bytes, MACs, vectors")
        limit = 1e6 / (predictions[0]["rtf"] * predictions[0]["samples_per_s"])  # us per sample at real time
        axes.axvline(limit, color="k", linestyle=":", label="real time")
        axes.set(xscale="log", xlabel="us per sample", title="T(u) / |u| = sum (c + d), predicted")
        axes.invert_yaxis()
        axes.legend()

    save_figure(path, draw, height=2 + 0.6 * len(predictions))


@click.command("wv-predict", cls=Command)
@click.argument("model_path", metavar="[MODEL]", required=False)
@click.option("--device", multiple=True, metavar="PROFILE", help="Name or path; see --list.  [default: zen4-avx512]")
@click.option("--list", "list_", is_flag=True, help="Name the profiles that come with the package.")
@click.option("--n-units", type=int, help="Units of a model that need not exist.")
@click.option("--n-out", type=int, help="Rows of O1 and O3.  [default: half the units]")
@click.option("--sparsity", type=click.FloatRange(0, 1, max_open=True), default=0.95, show_default=True)
@click.option("--block", type=BLOCK, help="Block shape.  [default: 16x4 for int8, 16x1 else]")
@click.option("--dtype", type=click.Choice(list(DTYPES)), default="int8", show_default=True)
@click.option("--lanes", type=INTEGERS, default="1", metavar="N,..", help="Streams in step on the core.  [default: 1]")
@click.option("--subscale", type=click.IntRange(1, 16), default=1, show_default=True,
              help="Interleaved lanes of an utterance, with --n-units.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Cores that share the lanes.")
@click.option("--preset", type=click.Choice(sorted(PRESETS)), default="24k", show_default=True)
@click.option("--plot", "plot_path", metavar="PICTURE", help="Draw it (.png, .pdf, .svg).")
@click.option("--json", "as_json", is_flag=True, help="One object.")
def main(
    model_path: str | None, device: tuple[str, ...], list_: bool, n_units: int | None, n_out: int | None,
    sparsity: float, block: tuple[int, int] | None, dtype: str, lanes: tuple[int, ...], subscale: int, threads: int,
    preset: str, plot_path: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Predict the time per sample of MODEL, a .bin, or of a shape (--n-units); else of the networks of the paper."""
    if list_:
        for name in cost.profile_names():
            machine = cost.load_machine(name)
            click.echo(f"{name:<16}{'measured' if machine.measured else 'estimate'}  {machine.source}")
        return
    if subscale > 1 and (model_path or not n_units):
        raise ValueError("--subscale: found without --n-units, wanted both")
    if model_path and (n_units or n_out or block):
        raise ValueError("MODEL: found together with a shape, wanted one of them")
    for n in lanes:
        check_lanes(n)
    if lanes != (1,) and not (model_path or n_units):
        raise ValueError("--lanes: found without MODEL or --n-units, wanted one of them")
    if plot_path:
        check_figure(plot_path)
    machines = [cost.load_machine(name) for name in device or ("zen4-avx512",)]
    shape_ = block or default_block(dtype)
    sample_rate = PRESETS[preset].sample_rate
    if model_path:
        model = bin_format.load(model_path)
        sample_rate = model.config.mel.sample_rate
        ops = cost.wavernn_ops(model.config, cost.shapes_of(model))
        networks = [Network(Path(model_path).name, ops, model.config.subscale)]
    elif n_units:
        cfg = synthetic_config(n_units, n_out, preset, subscale)
        name = f"WaveRNN-{n_units}, {sparsity:.1%} zero, {dtype} {block_name(shape_)}"
        name += f", subscale {subscale}" * (subscale > 1)
        networks = [wavernn(name, cfg, sparsity, shape_, dtype, subscale)]
    else:
        networks = paper_networks(preset, sparsity, shape_, dtype)
    if lanes != (1,):
        if networks[0].lanes > 1:
            raise ValueError(
                "--lanes: found for interleaved lanes, wanted a model without: all its lanes step on one core"
            )
        networks = [replace(networks[0], name=f"{networks[0].name}, lanes: {n}", lanes=n) for n in lanes]
    if threads > 1:
        if threads > min(network.lanes for network in networks):
            raise ValueError(f"--threads: found {threads}, wanted at most one for each lane (--lanes, --subscale)")
        networks = [replace(n, name=f"{n.name}, threads: {threads}", threads=threads) for n in networks]
    predictions = [predict(network, machine, sample_rate) for machine in machines for network in networks]
    if plot_path:
        plot(predictions, plot_path)
    if as_json:
        click.echo(json.dumps({"sample_rate": sample_rate, "predictions": predictions}))
        return
    if len(networks) == 1:
        for p in predictions:
            click.echo(f"{p['device']}, ns per run\n{ops_table(p)}\n")
    click.echo(summary(predictions))


if __name__ == "__main__":
    main()
