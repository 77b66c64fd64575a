"""A table of runs: `wv-train --runs runs.tsv` adds a line when a run ends, with what it was and how far it came.

Usage: ``check_table(path)`` before the run, ``add_run(path, output, checkpoint, first_step, ended)`` after it
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from wv_runtime.commands.common import printable
from wv_runtime.errors import WaveRNNError
from wv_runtime.model.config import WaveRNNConfig

from .prune import PruneConfig
from .report import Ended
from .settings import TrainConfig

COLUMNS = (
    "date", "output", "data", "first_step", "step", "steps", "minutes", "sparsity", "valid_nll", "best_valid_nll",
    "signal", "settings",
)  # fmt: skip
HEADER = "\t".join(COLUMNS)


def check_table(path: Path) -> None:
    """Before hours of work: a file at `path` is such a table, or empty, or not there.

    Raises
    ------
    WaveRNNError
        If its first line is another.
    """
    if path.exists():
        with open(path, encoding="utf-8", errors="replace") as file:
            first = file.readline(2 * len(HEADER)).rstrip("\n")
        if first not in ("", HEADER):
            raise WaveRNNError(f"{path}: found {first[:40]!r} as its first line, wanted a table of --runs")


def add_run(path: Path, output: Path, checkpoint: dict[str, Any], first_step: int, ended: Ended) -> None:
    """Add a line, from the checkpoint that the run left and the step that it began with.

    `step` and `minutes` are the checkpoint's, with those of runs that were resumed. `valid_nll` is that of the last
    validation, coarse and fine, in nats per sample; `signal` the number of the one that ended the run, or 0; `settings`
    what is not a default, as JSON. What no validation has told is empty.
    """
    history = checkpoint["history"]
    nll = [h["valid_nll_c"] + h["valid_nll_f"] for h in history]
    validated = (f"{history[-1]['sparsity']:.3f}", f"{nll[-1]:.4f}", f"{min(nll):.4f}") if history else ("", "", "")
    values = (
        datetime.now(timezone.utc).isoformat(timespec="minutes"), printable(str(output)), checkpoint["data"]["name"],
        first_step, checkpoint["step"], checkpoint["train"]["steps"], f"{checkpoint['minutes']:.1f}",
        *validated, ended.by_signal, json.dumps(changed(checkpoint)),
    )  # fmt: skip
    line = "\t".join(str(v).replace("\t", " ") for v in values) + "\n"
    with open(path, "a", encoding="utf-8") as file:  # in one write, so that lines of two runs do not mix
        file.write(line if file.tell() else f"{HEADER}\n{line}")


def changed(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The settings of a checkpoint that are not defaults: {"model": .., "train": .., "prune": ..}"""
    tables = {"model": checkpoint["config"], "train": checkpoint["train"], "prune": checkpoint["prune"]}
    defaults = {"model": asdict(WaveRNNConfig()), "train": asdict(TrainConfig()), "prune": asdict(PruneConfig())}
    return {table: difference(found, defaults[table]) for table, found in tables.items()}


def difference(found: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    """What of `found` is not in `default`, dictionaries inside likewise"""
    return {
        key: difference(value, default[key]) if isinstance(value, dict) else value
        for key, value in found.items()
        if value != default.get(key)
    }
