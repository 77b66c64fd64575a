"""The flags of wv-train that are settings: one for each field of WaveRNNConfig, TrainConfig and PruneConfig.

A flag has no default of its own: what is not given comes from the checkpoint, the TOML file or the dataclass.

Usage: ``@setting_flags`` above a click command, which then gets ``model__n_units`` and so on
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import click
from wv_runtime.model.checkpoint import PRUNED
from wv_runtime.model.config import PRESETS, WaveRNNConfig

from .prune import EVERY, LENGTH, NORMS, START, UNNAMED, PruneConfig
from .settings import TABLES, TrainConfig

Command = Callable[..., None]

MODEL = {
    "n_units": "Units of the GRU.",
    "n_out": "Rows of O1 and O3.",
    "n_cond": "Channels of the conditioning network.",
    "cond_width": "Mel frames that the conditioning network sees.",
    "n_sub": "Conditioning vectors per mel frame.",
    "preemphasis": "a of x_t - a x_{t-1}.",
    "lpc_order": "Order of the linear prediction from the mels; 0 is none.",
    "subscale": "Lanes: sample t is of lane t mod this, all are drawn side by side.",
    "horizon": "With --subscale: steps ahead that a lane sees of the lanes before it.",
    "lookback": "With --subscale: steps back that a lane sees; at least 1.",
    "context": "With --subscale: nearest samples that are inputs of their own.",
}
PRUNE = {
    "start": f"Step at which pruning begins. [{START:.0%} of --steps]",
    "steps": f"Steps from there to the target. [{LENGTH:.0%} of --steps]",
    "every": f"Steps between two prunings. [{EVERY:.0%} of --prune-steps]",
    "exponent": "Exponent of the schedule's curve.",
    "norm": "The blocks with the smallest norm go first.",
    "keep_diagonal": "Keep the blocks on the diagonal of R_u, R_r, R_e.",
}


def setting_flags(command: Command) -> Command:
    """Add the flags; `--help` lists them in the order of the dataclasses."""
    prune = {f.name: f.default for f in fields(PruneConfig)}
    options: list[Callable[[Command], Command]] = [
        click.option("--preset", "model__preset", type=click.Choice(list(PRESETS)),
                     help=f"Mel settings. [{WaveRNNConfig().mel.name}]"),
        *(_flag("model", f.name, f.default, MODEL[f.name]) for f in fields(WaveRNNConfig) if f.name in MODEL),
        *(_flag("train", f.name, f.default, f.metadata["help"]) for f in fields(TrainConfig)),
        click.option("--sparsity", "prune__sparsity", multiple=True, callback=by_matrix(float),
                     metavar="[MATRIX=]Z", help="Target of R and O, or of R, O, C, "
                     f"{', '.join(PRUNED)}; repeatable. [0]"),
        click.option("--block", "prune__block", multiple=True, callback=by_matrix(str), metavar="[MATRIX=]HxW",
                     help=f"Block shape, likewise. [{PruneConfig().block['R_u']}]"),
        *(_flag("prune", name, prune[name], about) for name, about in PRUNE.items()),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def given_settings(flags: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """{"model__n_units": 64, "train__lr": None} -> {"model": {"n_units": 64}, "train": {}, "prune": {}}"""
    tables: dict[str, dict[str, Any]] = {table: {} for table in TABLES}
    for name, value in flags.items():
        if value is not None:
            table, key = name.split("__")
            tables[table][key] = value
    return tables


def _flag(table: str, name: str, default: Any, about: str) -> Callable[[Command], Command]:
    """`--name`, or `--prune-name` for a bare word of [prune]; its help ends with the default."""
    bare = table == "prune" and name != "keep_diagonal"
    flag = f"--{'prune-' if bare else ''}{name.replace('_', '-')}"
    if isinstance(default, bool):
        kind: dict[str, Any] = {"is_flag": True, "default": None}
    else:
        kind = {"type": click.Choice(NORMS) if name == "norm" else int if default is None else type(default)}
    if default is None:  # its help says what it follows from
        return click.option(flag, f"{table}__{name}", help=about, **kind)
    shown = (default or "none") if isinstance(default, str) else f"{default:g}" if default is not False else "off"
    return click.option(flag, f"{table}__{name}", help=f"{about} [{shown}]", **kind)


def by_matrix(kind: Callable[[str], Any]) -> Callable[..., dict[str, Any] | None]:
    """Click callback for `--sparsity 0.9 --sparsity O=0.8`: -> {"R": 0.9, "O": 0.8}"""

    def parse(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, Any] | None:
        table: dict[str, Any] = {}
        for text in values:
            name, equals, value = text.rpartition("=")
            try:
                table.update({name: kind(value)} if equals else dict.fromkeys(UNNAMED, kind(value)))
            except ValueError:
                raise click.BadParameter(f"found {text!r}, wanted VALUE or MATRIX=VALUE") from None
        return table or None

    return parse
