"""wv-eval: how good a .bin is, on the clips of a data folder.

Usage: ``wv-eval out.bin --data DIR --split test --html report.html``
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm
from wv_runtime.atomic import atomic_path
from wv_runtime.commands.common import Command
from wv_runtime.commands.names import check_file
from wv_runtime.engine.registry import CHOICES
from wv_runtime.features.speech import SPLITS

from . import report as pages
from .evaluate import (
    Settings,
    clip_entry,
    differences,
    evaluate_all,
    evaluator_of,
    find_clips,
    find_copy,
    long_synthesis,
    means,
)
from .report import NAMES
from .scores import NEEDS, missing


@click.command("wv-eval", cls=Command)
@click.argument("model_path", metavar="MODEL.BIN")
@click.option(
    "--data", "data_dir", required=True, metavar="DIR", help="Folder of speech, with split.tsv unless --split all."
)
@click.option("--split", type=click.Choice([*SPLITS, "all"]), default="test", show_default=True)
@click.option("--clips", "n_clips", type=click.IntRange(1), help="The first N clips only.")
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=0, show_default=True)
@click.option("--seeds", "n_seeds", type=click.IntRange(1), default=1, show_default=True,
              help="Copies of each clip, by as many seeds; their scores are averaged.")  # fmt: skip
@click.option("--temperature", type=float, default=1.0, show_default=True)
@click.option("--backend", type=click.Choice(CHOICES), default="c", show_default=True,
              help="For the copies; the likelihood is always Numba's.")  # fmt: skip
@click.option("--baselines/--no-baselines", default=True, help="Score Griffin-Lim, WORLD and 8-bit mu-law beside it.")
@click.option("--asr/--no-asr", default=True, help="Word errors by pocketsphinx, for English.")
@click.option("--compare", multiple=True, metavar="NAME=DIR",
              help="Score the finished copies in DIR beside it, by file name; repeatable.")  # fmt: skip
@click.option("--long", "long_s", type=click.FloatRange(1), help="Also synthesise this many seconds in one stream.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the table.")
@click.option("--html", "html_path", metavar="FILE", help="Write a page with players and spectrograms.")
def main(
    model_path: str,
    data_dir: str,
    split: str,
    n_clips: int | None,
    seed: int,
    n_seeds: int,
    temperature: float,
    backend: str,
    baselines: bool,
    asr: bool,
    compare: tuple[str, ...],
    long_s: float | None,
    jobs: int,
    as_json: bool,
    html_path: str | None,
) -> None:
    """Likelihood and copy synthesis of a split's clips under OUT.BIN, a model of wv-export."""
    if html_path:
        check_file(html_path, (".html",), "--html")
    peers = tuple(_peer(text) for text in compare)
    settings = Settings(model_path, seed, temperature, backend, baselines, asr, peers, n_seeds)
    evaluator_of.cache_clear()  # of a file that was there before
    evaluator = evaluator_of(settings)  # fails now if it must
    clips = find_clips(Path(data_dir), split, n_clips)
    for _, folder in peers:  # before the work: a run may take an hour
        for clip in clips:
            find_copy(Path(folder), clip)
    for library in missing():
        if asr or library != "pocketsphinx":
            click.echo(f"wv-eval: {library} cannot be imported, so there is no {', '.join(NEEDS[library])}; "
                       "pip install 'wavernn[eval]'", err=True)  # fmt: skip

    # 1) clip by clip
    rate = evaluator.cfg.mel.sample_rate
    results = []
    for result in tqdm(evaluate_all(settings, clips, jobs), "clips", len(clips), disable=None):
        if not html_path:
            result.audio.clear()
        results.append(result)
    # 2) one stream
    long: dict[str, Any] | None = None
    if long_s:
        with tqdm(desc="long", total=long_s, unit=" s", disable=None) as bar:
            long = long_synthesis(evaluator, clips, long_s, lambda n: bar.update(n / rate))
    # 3) the report
    report = {
        "model": model_path, "dtype": evaluator.model.matrices["R"].dtype, "data": data_dir, "split": split,
        "n_clips": len(results), "audio_s": sum(r.n_samples for r in results) / rate, "sample_rate": rate,
        "backend": backend, "seed": seed, "n_seeds": n_seeds, "temperature": temperature,
        "built_in_temperature": (built_in := float(evaluator.model.metadata.get("temperature", 1.0))),
        "effective_temperature": built_in * temperature,
        **means(results), "differences": differences(results), "long": long,
        "clips": [clip_entry(r, rate) for r in results],
    }  # fmt: skip
    if html_path:
        with atomic_path(html_path) as tmp:
            tmp.write_text(pages.html(report, results, rate), encoding="utf-8")
    click.echo(json.dumps(rounded(report)) if as_json else pages.table(report))


def _peer(text: str) -> tuple[str, str]:
    name, equals, folder = text.partition("=")
    if not (name and equals and Path(folder).is_dir()) or name in NAMES:
        raise click.BadParameter(f"found {text!r}, wanted NAME=DIR, a new name and an existing folder",
                                 param_hint="--compare")  # fmt: skip
    return name, folder


def rounded(value: Any) -> Any:
    """Floats to 6 decimals, all the way down."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return round(value, 6) if isinstance(value, float) else value
