"""wv-prune: prune a trained network without training it; surgeon.py says how.

Usage: ``wv-prune model.pt pruned.pt --data speech --sparsity C1=0.5 --sparsity O2=0.75``
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from wv_runtime.commands.common import Command
from wv_runtime.commands.names import check_suffix
from wv_runtime.model.checkpoint import PRUNED
from wv_runtime.model.config import WaveRNNConfig

from .checkpoint import load_model, save_checkpoint, slimmed
from .cli import check_writable
from .dataset import Data, load_data, valid_frames, whole_frames
from .lanes import Lanes
from .options import by_matrix
from .prune import PruneConfig, Pruner, expand
from .report import feature_bar, say
from .settings import ConfigError, TrainConfig
from .surgeon import prune_once, second_moments
from .validate import Validation

WINDOW_FRAMES = 48
BATCH, BATCHES = 12, 8
BLOCK = "16x4"  # of matrices that were dense: what int8 kernels like best
PATH = click.Path(path_type=Path)


@click.command("wv-prune", cls=Command)
@click.argument("checkpoint", metavar="MODEL.PT", type=PATH)
@click.argument("output", metavar="OUT.PT", type=PATH)
@click.option("--data", "data_dir", required=True, type=PATH, help="Folder of speech, as of wv-train.")
@click.option("--sparsity", multiple=True, required=True, callback=by_matrix(float), metavar="[MATRIX=]Z",
              help=f"Target of R and O, or of R, O, C, {', '.join(PRUNED)}; repeatable.")  # fmt: skip
@click.option("--block", multiple=True, callback=by_matrix(str), metavar="[MATRIX=]HxW",
              help=f"Block shape, likewise. [that of the zeros there are, else {BLOCK}]")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace a file at OUT.PT.")
@click.option("--cache-dir", type=PATH, help="Where features are kept. [DATA/.wv-cache]")
@click.option("--skip-bad", is_flag=True, help="Go on without the files that cannot be used.")
def main(
    checkpoint: Path,
    output: Path,
    data_dir: Path,
    sparsity: dict[str, float],
    block: dict[str, str] | None,
    overwrite: bool,
    cache_dir: Path | None,
    skip_bad: bool,
) -> None:
    """Prune blocks of a trained network in one step, and change the weights that stay so that its outputs stay."""
    check_writable(output, overwrite, "--overwrite replaces it")
    check_suffix(output, [".pt"], "OUT.PT")
    if output.resolve() == checkpoint.resolve():
        raise ConfigError(f"OUT.PT: found {output}, the checkpoint itself, wanted another file")
    model, ckpt = load_model(checkpoint)
    before = {name: text for name, text in ckpt["prune"].get("block", {}).items() if name in ckpt["masks"]}
    try:
        blocks = dict.fromkeys(PRUNED, BLOCK) | before | expand(block or {})
        pruner = Pruner(PruneConfig(sparsity, blocks, start=0, steps=0), model, ckpt["masks"])
    except ValueError as error:
        raise ConfigError(f"options: {error}") from None

    # 1) speech, and how well the network knew it
    data = load_data(data_dir, model.cfg, cache_dir, feature_bar, skip_bad, say)
    train_cfg = TrainConfig(**{k: v for k, v in ckpt["train"].items() if k in ("valid_window", "valid_windows")})
    n_valid = valid_frames(data, whole_frames(train_cfg.valid_window, model.cfg))
    model.int8 = bool(ckpt["train"].get("int8"))
    validation = Validation(model, Lanes(data, "valid", n_valid).beginnings(train_cfg.valid_windows))
    nll = np.mean(validation(), axis=0)

    # 2) prune
    try:
        cuts = prune_once(pruner, second_moments(model, windows(data, model.cfg)))
    except ValueError as error:
        raise ConfigError(f"{checkpoint}: {error}") from None
    pruned_nll = np.mean(validation(), axis=0)

    # 3) the checkpoint, with its new zeros in the history
    last = {**(ckpt["history"] or [{"step": ckpt["step"]}])[-1], "sparsity": pruner.sparsity}
    last["valid_nll_c"], last["valid_nll_f"] = map(float, pruned_nll)
    settings: dict[str, Any] = {**asdict(pruner.cfg), "sparsity": {**pruner.cfg.sparsity, **{
        name: float(1 - mask.double().mean()) for name, mask in pruner.masks.items()}}}  # fmt: skip
    changed = {"model": model.state_dict(), "masks": pruner.masks, "prune": settings,
               "history": [*ckpt["history"], last]}  # fmt: skip
    save_checkpoint(output, slimmed({**ckpt, **changed}))
    click.echo("matrix    before     after    outputs off by")
    for cut in cuts:
        click.echo(f"{cut.name:<6}{cut.before:>10.1%}{cut.after:>10.1%}{cut.error:>18.1%}")
    click.echo(f"validation NLL {nll.sum():.4f} before, {pruned_nll.sum():.4f} after, nats a sample")
    click.echo(f"wrote {output}")


def windows(data: Data, cfg: WaveRNNConfig) -> Iterator[tuple[Any, Any]]:
    """Batches of windows from the middles of training clips, spread evenly over the split."""
    lanes = Lanes(data, "train", min(WINDOW_FRAMES, int(data.n_frames[data.splits == "train"].max())))
    n = min(BATCH * BATCHES, len(lanes.clips))
    clips = lanes.clips[np.arange(n) * len(lanes.clips) // n]
    for i in range(0, n, BATCH):
        part = clips[i : i + BATCH]
        yield lanes.at(part, (data.n_frames[part] - lanes.window_frames) // 2)
