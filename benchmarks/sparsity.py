"""The paper's two claims about sparsity, in networks small enough for a CPU: how to spend a fixed number of weights.

(a) R and O1..O4 hold the same number of non-zeros in every network, from a dense one of 64 units to ones of more units
    and more zeros (Kalchbrenner et al. 2018, section 3: large sparse networks beat small dense ones).
(b) 256 units, again as many non-zeros, in blocks of four shapes, and how fast the C library is with each.

Every network makes the same number of steps on the same windows, from scratch, each in a checkpoint that an interrupted
run goes on from. Two at a time on two cores take 50 minutes.

Usage: ``python benchmarks/sparsity.py kathleen24 --out runs --plot-units a.png --plot-blocks b.png`` (wavernn[train])
"""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from wv_bench.measure import Case, measure
from wv_export.convert import read_checkpoint, to_model
from wv_runtime.commands.common import Command
from wv_runtime.commands.plots import check_figure, save_figure
from wv_runtime.errors import WaveRNNError
from wv_train.checkpoint import load_checkpoint

BASE = 64  # units of the dense network
N_OUT = 64  # O2 and O4 are the same in all


class Net(NamedTuple):
    n_units: int
    block: str

    @property
    def sparsity(self) -> dict[str, float]:
        """What leaves the dense network's non-zeros: R grows with the square of the units, O1 and O3 with the units."""
        ratio = BASE / self.n_units
        return {"R": 1 - ratio**2, "O1": 1 - ratio, "O3": 1 - ratio}

    @property
    def name(self) -> str:
        return f"{self.n_units}-{self.block}"


UNITS = [Net(n, "4x4") for n in (64, 128, 256, 384)]  # R: 0, 75, 93.75, 97.2 % zeros
BLOCKS = [Net(256, block) for block in ("16x1", "4x4", "8x4", "16x4")]


def train(net: Net, data: Path, out: Path, steps: int, seed: int) -> dict[str, Any]:
    """The checkpoint of `net`, trained now or before."""
    path = out / f"{net.name}.pt"
    found = load_checkpoint(path) if path.exists() else None
    if found and found["step"] >= steps:
        return found
    command = [sys.executable, "-m", "wv_train", data, "-o", path, "--threads", 1, "--no-log", "--steps", steps]
    if found:
        command += ["--resume"]
    else:
        command += ["--preset", "16k", "--n-units", net.n_units, "--n-out", N_OUT, "--n-cond", 64, "--batch", 16,
                    "--window", 960, "--lr", 2e-3, "--lr-end", 5e-5, "--warmup", 100, "--block", net.block,
                    "--prune-start", 100, "--prune-steps", steps // 2, "--prune-every", 25,
                    "--seed", seed, "--cache-dir", out / "cache"]  # fmt: skip
        command += [f"--sparsity={name}={z:.10f}" for name, z in net.sparsity.items() if z > 0]
    log = out / f"{net.name}.log"
    with log.open("w") as file:
        done = subprocess.run([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=file)
    if done.returncode:
        raise WaveRNNError(f"{net.name}: wv-train failed, see {log}")
    return load_checkpoint(path)


def weights(checkpoint: dict[str, Any]) -> int:
    """Non-zeros of R and O1..O4."""
    return sum(int(np.count_nonzero(checkpoint["model"][name].numpy())) for name in ("R", "O1", "O2", "O3", "O4"))


def nll(checkpoint: dict[str, Any]) -> tuple[float, float]:
    """Coarse and fine NLL of the last validation, nats per sample."""
    last = checkpoint["history"][-1]
    return last["valid_nll_c"], last["valid_nll_f"]


def speeds(paths: list[Path], dtype: str, repeats: int) -> list[float]:
    """Samples per second of checkpoints in the C library, in turns; the best of the repeats."""
    cases = [Case(to_model(read_checkpoint(str(path)), dtype)) for path in paths]
    pairs = [(case, case.native(None)) for case in cases]
    return [float(1 / t.min()) for t in measure(pairs, repeats, 1e-3)["whole"]]


@click.command(cls=Command)
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for checkpoints and logs.")
@click.option("--steps", type=click.IntRange(10), default=2000, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another, another --out.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Networks trained at a time.")
@click.option("--repeats", type=click.IntRange(1), default=30, show_default=True, help="Of the timings.")
@click.option("--plot-units", help="Draw NLL against units (.png, .pdf, .svg).")
@click.option("--plot-blocks", help="Draw NLL against speed.")
@click.option("--json", "as_json", is_flag=True)
def main(
    data: Path, out: Path, steps: int, seed: int, jobs: int, repeats: int,
    plot_units: str | None, plot_blocks: str | None, as_json: bool,
) -> None:  # fmt: skip
    """NLL against sparsity, and against block shapes, at equal non-zeros."""
    plots = [(path, draw) for path, draw in ((plot_units, draw_units), (plot_blocks, draw_blocks)) if path]
    for path, _ in plots:
        check_figure(path)
    out.mkdir(parents=True, exist_ok=True)
    nets = list(dict.fromkeys(UNITS + BLOCKS))
    with ThreadPoolExecutor(jobs) as pool:
        trained = dict(zip(nets, pool.map(lambda net: train(net, data, out, steps, seed), nets)))
    paths = [out / f"{net.name}.pt" for net in BLOCKS]
    fast = {dtype: dict(zip(BLOCKS, speeds(paths, dtype, repeats))) for dtype in ("f32", "int8")}
    rows = []
    for net, checkpoint in trained.items():
        c, f = nll(checkpoint)
        zeros = net.sparsity["R"]
        rows.append({"units": net.n_units, "block": net.block, "sparsity_R": zeros, "nonzeros": weights(checkpoint),
                     "nll_c": c, "nll_f": f, "nll": c + f, "minutes": checkpoint["minutes"],
                     **{f"{dtype}_samples_per_s": rate.get(net) for dtype, rate in fast.items()}})  # fmt: skip
    for picture, draw in plots:
        save_figure(picture, lambda axes, draw=draw: draw(axes, rows))  # type: ignore[misc]
    if as_json:
        click.echo(json.dumps(rows))
        return
    click.echo("units block   zeros of R  non-zeros  coarse +  fine  =   NLL   f32, int8 samples/s")
    for row in rows:
        rates = [row[f"{dtype}_samples_per_s"] for dtype in fast]
        click.echo(
            f"{row['units']:5} {row['block']:6} {row['sparsity_R']:10.2%} {row['nonzeros']:10,}  "
            f"{row['nll_c']:.4f} {row['nll_f']:.4f}  {row['nll']:.4f}  "
            + ", ".join(f"{rate:,.0f}" for rate in rates if rate)
        )


def draw_units(axes: Any, rows: list[dict[str, Any]]) -> None:
    """(a): NLL against units."""
    shown = [r for r in rows if r["block"] == UNITS[0].block]
    axes.plot([r["units"] for r in shown], [r["nll"] for r in shown], "o-")
    for r in shown:
        at = r["units"], r["nll"]
        axes.annotate(f"{r['sparsity_R']:.1%} zeros in R", at, textcoords="offset points", xytext=(6, 4))
    axes.set(xlabel="units, all with as many non-zeros", ylabel="validation NLL, nats per sample")
    axes.grid(alpha=0.3)


def draw_blocks(axes: Any, rows: list[dict[str, Any]]) -> None:
    """(b): NLL against speed, a point per block shape and dtype."""
    for dtype, marker in (("f32", "s"), ("int8", "^")):
        shown = [r for r in rows if r[f"{dtype}_samples_per_s"]]
        points = [(r[f"{dtype}_samples_per_s"], r["nll"]) for r in shown]
        axes.scatter(*zip(*points), marker=marker, label=dtype)
        for r, at in zip(shown, points):
            axes.annotate(r["block"], at, textcoords="offset points", xytext=(6, 4))
    axes.set(xlabel="samples per second in the C library", ylabel="validation NLL, nats per sample")
    axes.grid(alpha=0.3)
    axes.legend()


if __name__ == "__main__":
    main()
