"""wv-inspect: what is in a .bin.

Usage: ``wv-inspect out.bin [--json] [--plot pattern.png]``
"""

from __future__ import annotations

import importlib
import json
import os
from dataclasses import asdict
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from wv_runtime.atomic import atomic_path
from wv_runtime.commands.common import Command, printable
from wv_runtime.errors import WaveRNNError
from wv_runtime.model import binary as bin_format
from wv_runtime.model.checks import checksum
from wv_runtime.model.config import WaveRNNConfig
from wv_runtime.model.weights import Matrix, Model


def rows(model: Model) -> list[dict[str, Any]]:
    """One dict per matrix: name, shape, block, blocks stored and in all, sparsity, dtype, bytes."""
    return [
        {
            "name": m.name,
            "shape": [m.rows, m.cols],
            "block": [m.block_h, m.block_w],
            "nnz_blocks": m.nnz_blocks,
            "n_blocks": m.n_block_rows * (m.cols // m.block_w),
            "sparsity": m.sparsity,
            "dtype": m.dtype,
            "bytes": m.n_bytes,
        }
        for m in model.matrices.values()
    ]


def table(model: Model, file_bytes: int) -> str:
    """The matrices of a model as text; below it, where stored blocks are coarser than the pruned ones."""
    lines = [f"{'matrix':<8}{'shape':>10}{'block':>7}{'blocks':>15}{'sparsity':>10}{'dtype':>7}{'bytes':>12}"]
    for r in rows(model):
        shape, block = ("{}x{}".format(*r[key]) for key in ("shape", "block"))
        blocks = f"{r['nnz_blocks']}/{r['n_blocks']}"
        lines.append(
            f"{r['name']:<8}{shape:>10}{block:>7}{blocks:>15}{r['sparsity']:>10.1%}{r['dtype']:>7}{r['bytes']:>12,}"
        )
    matrices = sum(m.n_bytes for m in model.matrices.values())
    lines.append(f"{'I':<8}{f'{3 * model.config.n_units}x{model.config.n_x}':>10}{'f32':>39}{model.I.nbytes:>12,}")
    lines.append(f"{'rest':<57}{file_bytes - matrices - model.I.nbytes:>12,}")
    lines.append(f"{'file':<57}{file_bytes:>12,}")
    for name, m in model.matrices.items():
        for part, mask in _pruned(model, name).items():
            if mask.get("block") != f"{m.block_h}x{m.block_w}":
                lines.append(
                    f"{name}: {part} was pruned in blocks of {mask.get('block')} to {mask.get('sparsity', 0):.1%}; "
                    f"stored as {m.block_h}x{m.block_w}, with explicit zeros if that is coarser"
                )
    return "\n".join(lines)


def _pruned(model: Model, name: str) -> dict[str, dict[str, Any]]:
    """metadata.pruned of a matrix: what wv-export says about its masks, or nothing."""
    parts = ("R_u", "R_r", "R_e") if name == "R" else (name,)
    pruned = model.metadata.get("pruned")
    found = {part: pruned.get(part) for part in parts} if isinstance(pruned, dict) else {}
    return {part: mask for part, mask in found.items() if isinstance(mask, dict)}


def pattern(m: Matrix) -> NDArray[np.bool_]:
    """(n_block_rows, cols / block_w) which blocks are stored"""
    grid = np.zeros((m.n_block_rows, m.cols // m.block_w), bool)
    grid[np.repeat(np.arange(m.n_block_rows), np.diff(m.row_ptr)), m.col_idx] = True
    return grid


def _filter(model: Model) -> str:
    if not model.postfilter:
        return "no mel post-filter"
    comb = f" with a pitch comb of {model.postfilter.comb:g}" if model.postfilter.comb else ""
    denoise = f", noise lowered by {model.postfilter.denoise:g} dB" if model.postfilter.denoise else ""
    return f"mel post-filter{comb}{denoise}, {'on' if model.postfilter.on else 'off'} by default"


def _lanes(cfg: WaveRNNConfig) -> str:
    ms = 1000 * cfg.delay / cfg.mel.sample_rate
    return (
        f"lanes     {cfg.subscale} interleaved, horizon {cfg.horizon}, lookback {cfg.lookback}, context {cfg.context}; "
        f"look-ahead {cfg.delay} samples more, {ms:.1f} ms"
    )


def _trained(model: Model) -> str:
    if not model.mel_stats.size:
        return "on mels of which nothing is kept"
    mean, std = model.mel_stats.mean(axis=1)
    return f"on mels of mean {mean:.2f} and deviation {std:.2f}, averaged over bands"


def report(model: Model, path: str, file_bytes: int, checksum: int) -> str:
    """Everything but the weights, as text."""
    cfg, mel = model.config, model.config.mel
    lines = [
        f"{path}: WaveRNN, format {model.version}, {file_bytes:,} bytes, checksum {checksum:08x}",
        f"network   {cfg.n_units} units, n_out {cfg.n_out}, n_cond {cfg.n_cond}, cond_width {cfg.cond_width} frames, "
        f"n_sub {cfg.n_sub}, preemphasis {cfg.preemphasis:g}, lpc_order {cfg.lpc_order}",
        *[_lanes(cfg)] * (cfg.subscale > 1),
        f"filter    {_filter(model)}",
        f"trained   {_trained(model)}",
        f"mel       {mel.name}: {mel.sample_rate} Hz, n_fft {mel.n_fft}, hop_length {mel.hop_length}, "
        f"win_length {mel.win_length}, {mel.n_mels} bands {mel.fmin:g}..{mel.fmax:g} Hz, log_floor {mel.log_floor:g}",
    ]
    for key, value in model.metadata.items():
        if key != "pruned":  # the table says it
            text = value if isinstance(value, str) else json.dumps(value)
            lines.append(f"{printable(key):<10}{printable(text)}")
    return "\n".join([*lines, "", table(model, file_bytes)])


def as_json(model: Model, path: str, file_bytes: int, checksum: int) -> str:
    """The same for programs."""
    return json.dumps(
        {
            "path": path,
            "format": model.version,
            "file_bytes": file_bytes,
            "checksum": f"{checksum:08x}",
            "config": asdict(model.config),
            "metadata": model.metadata,
            "matrices": rows(model),
        },
        indent=2,
    )


def plot(model: Model, path: str | os.PathLike[str]) -> None:
    """A picture of which blocks are stored: R on the left with its gates marked, the others beside it.

    Raises
    ------
    WaveRNNError
        If matplotlib is not installed.
    ValueError
        If matplotlib does not know the suffix of `path`.
    """
    try:
        matplotlib = importlib.import_module("matplotlib")
    except ImportError:
        raise WaveRNNError("matplotlib: not installed, wanted for --plot; pip install 'wavernn[plot]'") from None
    matplotlib.use("agg")
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=(11, 8), layout="constrained")
    axes = figure.subplot_mosaic(
        [["R", "O1", "O2", "C1"], ["R", "O3", "O4", "C2"], ["R", "C3", "C3", "C3"]], width_ratios=[2, 1, 1, 1]
    )
    for name, m in model.matrices.items():
        ax, grid = axes[name], pattern(m)
        if name == "C3":  # wide rather than tall
            grid = grid.T
        height, width = (m.cols, m.rows) if name == "C3" else (m.rows, m.cols)
        ax.imshow(grid, cmap="Greys", vmin=0, vmax=1.2, aspect="auto", interpolation="nearest",
                  extent=(0, width, height, 0))  # fmt: skip
        ax.set_title(f"{name}{' transposed' if name == 'C3' else ''}, {m.block_h}x{m.block_w}, {m.sparsity:.1%} zero",
                     fontsize=9)  # fmt: skip
        ax.tick_params(labelsize=7)
    n = model.config.n_units
    for i, gate in enumerate("ure"):
        axes["R"].axhline(i * n, color="C0", linewidth=1)
        axes["R"].text(-0.02 * n, (i + 0.5) * n, f"R_{gate}", ha="right", fontsize=9, color="C0")
    axes["R"].set_yticks([])
    with atomic_path(path) as tmp:
        figure.savefig(tmp, dpi=120)


@click.command("wv-inspect", cls=Command)
@click.argument("path", metavar="MODEL.BIN", type=click.Path())
@click.option("--json", "json_", is_flag=True, help="print JSON")
@click.option("--plot", "plot_", type=click.Path(), metavar="PICTURE", help="draw the sparsity pattern (.png, .pdf)")
def main(path: str, json_: bool, plot_: str | None) -> None:
    """Print what a .bin holds: network, mel settings, metadata, matrices, bytes, checksum."""
    raw = bin_format.read(path)
    model = bin_format.parse(raw, path)
    if plot_:
        plot(model, plot_)
    write = as_json if json_ else report
    click.echo(write(model, path, len(raw), checksum(raw)))


if __name__ == "__main__":
    main()
