"""wv-train: train a WaveRNN on a folder of speech. Options in, a checkpoint out; the loop is loop.py.

Usage: ``wv-train DATA_DIR -o model.pt``
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import click
import torch
from wv_runtime.commands.common import Command
from wv_runtime.commands.jobs import Jobs
from wv_runtime.commands.names import check_suffix
from wv_runtime.errors import CheckpointError, WaveRNNError
from wv_runtime.model.config import WaveRNNConfig

from .checkpoint import load_checkpoint, load_model, save_checkpoint, slimmed
from .loop import Run, train
from .model import WaveRNN
from .options import given_settings, setting_flags
from .report import closing_line, plot_history
from .runs import add_run, check_table
from .settings import ConfigError, gather
from .team import Team

PATH = click.Path(path_type=Path)


@click.command("wv-train", cls=Command, context_settings={"max_content_width": 110})
@click.argument("data_dir", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="checkpoint to write (model.pt)")
@click.option("--config", type=PATH, help="TOML file with [model], [train], [prune]; flags override it")
@click.option("--resume", is_flag=True, help="continue the checkpoint at --output exactly")
@click.option("--continue", "going_on", is_flag=True, help="--resume if there is a checkpoint at --output, else start")
@click.option(
    "--init-from", type=PATH, help="start a new schedule from this checkpoint's weights and masks; a dense one can grow"
)
@click.option("--teacher", type=PATH, help="learn this checkpoint's distributions instead of the bytes")
@click.option("--overwrite", is_flag=True, help="replace a file at --output")
@click.option(
    "--max-minutes",
    type=click.FloatRange(min=0),
    default=0,
    help="stop after this time, with a checkpoint; without --steps the schedules end then",
)
@click.option("--slim", type=PATH, help="also write the last model without optimizer state here")
@click.option("--best", type=PATH, help="also write the model of the best validation here, without optimizer state")
@click.option("--keep", type=click.IntRange(min=0), default=0, help="also keep the last so many checkpoints, by step")
@click.option("--plot", type=PATH, help="write the learning curve here (PNG)")
@click.option("--runs", type=PATH, help="add a line on this run to this table (TSV)")
@setting_flags
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="auto: a GPU if there is one"
)
@click.option("--bf16/--no-bf16", default=None, help="mixed precision [where GPU or CPU has bfloat16 instructions]")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads")
@click.option("--cache-dir", type=PATH, help="where features are kept [DATA_DIR/.wv-cache]")
@click.option("--dask", metavar="SCHEDULER", default="",
              help="compute features on a Dask cluster that sees DATA_DIR")  # fmt: skip
@click.option("--skip-bad", is_flag=True, help="go on without the files that cannot be used")
@click.option("--log-dir", type=PATH, help="TensorBoard logs [OUTPUT without suffix + -logs]")
@click.option("--no-log", is_flag=True, help="no TensorBoard logs")
def main(
    data_dir: Path,
    output: Path,
    config: Path | None,
    resume: bool,
    going_on: bool,
    init_from: Path | None,
    teacher: Path | None,
    overwrite: bool,
    max_minutes: float,
    slim: Path | None,
    best: Path | None,
    keep: int,
    plot: Path | None,
    runs: Path | None,
    device: str,
    bf16: bool | None,
    threads: int | None,
    cache_dir: Path | None,
    dask: str,
    skip_bad: bool,
    log_dir: Path | None,
    no_log: bool,
    **flags: Any,
) -> None:
    """Train a WaveRNN on the audio files of DATA_DIR."""
    given = given_settings(flags)
    if resume and init_from:
        raise ConfigError("options: found both --resume and --init-from, wanted one of them")
    if going_on and overwrite:
        raise ConfigError("options: found both --continue and --overwrite, wanted one of them")
    if going_on and output.exists():
        resume, init_from = True, None
    for option, path, suffix in (("-o", output, ".pt"), ("--slim", slim, ".pt"), ("--best", best, ".pt"),
                                 ("--plot", plot, ".png")):  # fmt: skip
        if path:
            check_writable(path, may_exist=resume or going_on or overwrite)
            check_suffix(path, [suffix], option)
    if runs:
        check_writable(runs, may_exist=True)
        check_table(runs)
    written = [path.resolve() for path in (output, slim, best, plot, runs) if path]
    if len(set(written)) < len(written):
        raise ConfigError("options: found one file named twice among -o, --slim, --best, --plot and --runs")
    earlier = output if resume else init_from
    before = load_model(earlier)[1] if earlier else None
    if resume and before and before["optimizer"] is None:
        raise CheckpointError(f"{output}: found a slim checkpoint, wanted a whole one; --init-from can start from it")
    if teacher and not resume:
        given["train"].setdefault("distill", 1.0)
    settings = gather(config, given, before, resume, timed=max_minutes > 0)
    if settings.train.steps == 0 and not max_minutes:
        raise ConfigError("options: steps: found 0, wanted at least 1 without --max-minutes")
    if (teacher is None) != (settings.train.distill == 0):
        raise ConfigError(
            f"options: found distill {settings.train.distill:g} {'with' if teacher else 'without'} "
            f"--teacher, wanted both or neither"
        )
    tutor = load_teacher(teacher, settings.model) if teacher else None
    if settings.train.int8 and (before is None or not before["model"]["relu_max"].all()):
        raise ConfigError("--int8: found no trained model, whose activations have ranges, wanted one (--init-from)")
    if settings.train.audio_every and settings.model.lpc_order:
        raise ConfigError("--audio-every: found it with lpc_order above 0, wanted 0; export the checkpoint and run it")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device: found cuda, but no GPU that torch can use, wanted auto or cpu")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and importlib.util.find_spec("triton") is None:
        raise ConfigError("--device: found a GPU but no Triton, wanted pip install triton, or --device cpu")
    if bf16 is None:  # a CPU without such instructions is many times slower in bfloat16
        bf16 = device == "cuda" or torch.cpu._is_avx512_bf16_supported()
    if device == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = bf16  # for what stays in float32
    if threads:
        torch.set_num_threads(threads)
    log_dir = None if no_log else log_dir or output.with_name(output.stem + "-logs")

    team = Team.join(device)
    if settings.train.batch % (team.size * settings.train.accumulate):
        raise ConfigError(
            f"options: batch: found {settings.train.batch}, wanted a multiple of "
            f"{team.size} processes x {settings.train.accumulate} parts (--accumulate)"
        )
    jobs = Jobs(scheduler=dask) if dask else None
    data_dir = data_dir.absolute() if dask else data_dir
    run = Run(data_dir, output, device, bf16, team, tutor, max_minutes, cache_dir, skip_bad, log_dir, best, keep, jobs)
    ended = train(run, settings, before, resume)
    team.leave()
    if team.rank > 0:
        return

    last = load_checkpoint(output)
    if slim:
        save_checkpoint(slim, slimmed(last))
    if plot:
        plot_history({output.stem: last["history"]}, plot)
    if runs:
        add_run(runs, output, last, before["step"] if resume and before else 0, ended)
    click.echo(closing_line(output, last, ended), err=True)
    if ended.by_signal:
        raise click.exceptions.Exit(128 + ended.by_signal)


def load_teacher(path: Path, cfg: WaveRNNConfig) -> WaveRNN:
    """The model of --teacher.

    Raises
    ------
    ConfigError
        If it does not see the same mels and samples as `cfg`.
    """
    teacher = load_model(path)[0]
    for name in ("mel", "preemphasis", "cond_width", "lpc_order", "subscale", "horizon", "lookback", "context"):
        found, wanted = getattr(teacher.cfg, name), getattr(cfg, name)
        if found != wanted:
            raise ConfigError(f"--teacher: {path}: {name}: found {found!r}, wanted {wanted!r}, the model's")
    return teacher


def check_writable(
    path: Path, may_exist: bool, advice: str = "--resume continues a checkpoint, --overwrite replaces"
) -> None:
    """Before hours of work: can this file be written, and is nothing lost by it?"""
    if path.is_dir():
        raise ConfigError(f"{path}: found a folder, wanted a file name")
    if path.exists() and not may_exist:
        raise ConfigError(f"{path}: found a file, wanted none; {advice}")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise WaveRNNError(f"{path}: found no writable folder {path.parent}, wanted one")
