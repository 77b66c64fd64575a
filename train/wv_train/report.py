"""What a run tells: a line per validation, a progress bar, TensorBoard, a learning curve.

Usage: ``log = open_log(Path("logs"), step); log("valid/nll_c", 3.1, step)``
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import click
from tqdm import tqdm
from wv_runtime.atomic import atomic_path
from wv_runtime.commands.common import printable
from wv_runtime.errors import WaveRNNError


class Ended(NamedTuple):
    """How a run ended."""

    by_signal: int  # its number, 0 if none
    sparsity: str  # what was asked and reached; empty if nothing was asked


def summary(entry: dict[str, Any]) -> str:
    """One line for a history entry."""

    def pair(kind: str) -> str:
        c, f = entry[f"{kind}_nll_c"], entry[f"{kind}_nll_f"]
        return f"{kind} {c:.4f} coarse + {f:.4f} fine = {c + f:.4f}  " if c is not None else ""

    return (
        f"step {entry['step']}  {entry['minutes']:.1f} min  {pair('train')}{pair('valid')}"
        f"sparsity {entry['sparsity']:.3f}"
    )


def closing_line(output: Path, checkpoint: dict[str, Any], ended: Ended) -> str:
    """The last line of a run: how far it came, and the sparsity that was asked and reached."""
    step, steps = checkpoint["step"], checkpoint["train"]["steps"]
    line = f"wv-train: {output}: "
    if ended.by_signal:
        line += f"stopped at step {step} and saved; --resume continues"
    elif step < steps or not steps:
        line += f"step {step} of {steps or 'a schedule not measured yet'}: the time was up; --resume continues"
    else:
        line += f"step {step} of {steps}"
    return line + (f"; sparsity: {ended.sparsity}" if ended.sparsity else "")


def say(line: str) -> None:
    """A line of this run on stderr."""
    click.echo(f"wv-train: {printable(line)}", err=True)


def quiet(line: str) -> None:
    """Of one process' line, the others say nothing."""


def feature_bar(files: Iterable[Path]) -> Iterable[Path]:
    """A bar over the files whose features are computed, on a terminal."""
    return tqdm(files, "features", unit=" files", disable=None)


def progress_bar(n_steps: int, step: int, shown: bool) -> tqdm:
    """A bar on a terminal; in a log file a line every minute."""
    style: dict[str, Any] = {"dynamic_ncols": True}
    if not sys.stderr.isatty():
        style = {"ncols": 160, "ascii": True, "mininterval": 60, "maxinterval": 60}
    return tqdm(total=n_steps, initial=step, unit=" steps", disable=not shown, **style)


def open_log(log_dir: Path | None, step: int) -> Callable[[str, float, int], None]:
    """A function (tag, value, step) that writes to TensorBoard, or does nothing."""
    if log_dir is None:
        return lambda tag, value, step: None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        click.echo("tensorboard: not installed, no logs", err=True)
        return lambda tag, value, step: None
    writer = SummaryWriter(str(log_dir), purge_step=step + 1)
    atexit.register(writer.close)  # a thread writes; what it still has goes to the file
    return writer.add_scalar


def plot_history(curves: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Learning curves as a PNG: validation NLL (coarse + fine) against step, one line per named history."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise WaveRNNError(f"{path}: matplotlib: not installed, wanted for a plot") from None
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="validation NLL, nats per sample")
    for label, history in curves.items():
        rows = [h for h in history if h["step"] > 0]  # step 0 is log 256 twice and would flatten the rest
        axes.plot([h["step"] for h in rows], [h["valid_nll_c"] + h["valid_nll_f"] for h in rows], label=label)
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_path(path) as temp:
        FigureCanvasAgg(figure).print_png(str(temp))
