"""wv-pack: a speech folder made small enough to carry to another machine: FLAC at the model's rate, split.tsv kept.

Usage: ``wv-pack speech packed --preset 16k``, then ``wv-train packed -o model.pt --preset 16k``
"""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import click
import numpy as np
import soundfile
from tqdm import tqdm
from wv_runtime.commands.common import Command
from wv_runtime.errors import AudioError
from wv_runtime.features.mel import load_audio
from wv_runtime.features.speech import SPLITS, find_files, read_table
from wv_runtime.model.config import PRESETS

PATH = click.Path(path_type=Path)


@click.command("wv-pack", cls=Command)
@click.argument("data_dir", type=PATH)
@click.argument("packed", type=PATH)
@click.option("--preset", type=click.Choice(list(PRESETS)), default="16k", show_default=True, help="its sample rate")
@click.option(
    "--split",
    "splits",
    type=click.Choice(SPLITS),
    multiple=True,
    default=("train", "valid"),
    show_default=True,
    help="what to take, where there is a split.tsv; repeatable",
)
def main(data_dir: Path, packed: Path, preset: str, splits: tuple[str, ...]) -> None:
    """Write the clips of DATA_DIR into the new folder PACKED: mono 16-bit FLAC at the preset's rate."""
    if packed.exists():
        raise AudioError(f"{packed}: found {'a folder' if packed.is_dir() else 'a file'}, wanted nothing there")
    files, table = find_files(data_dir), data_dir / "split.tsv"
    rows = read_table(table, data_dir, files) if table.exists() else {}
    files = [f for f in files if not rows or (f in rows and rows[f]["split"] in splits)]
    if not files:
        raise AudioError(f"{table}: found no {' or '.join(splits)} clip, wanted some")
    building = packed.with_name(f".{packed.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    rate = PRESETS[preset].sample_rate
    try:
        for file in tqdm(files, "packing", unit=" files", disable=None):
            target = building / file.relative_to(data_dir).with_suffix(".flac")
            target.parent.mkdir(parents=True, exist_ok=True)
            audio = np.clip(np.rint(load_audio(file, rate) * 32768), -32768, 32767).astype(np.int16)
            soundfile.write(target, audio, rate, format="FLAC", subtype="PCM_16")
        if rows:
            with (building / "split.tsv").open("w", encoding="utf-8", newline="") as f:
                writer = csv.DictWriter(f, list(rows[files[0]]), delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None)
                writer.writeheader()
                writer.writerows(rows[file] for file in files)
        building.rename(packed)
    except OSError as error:
        raise AudioError(f"{packed}: {error.strerror}, wanted a folder that can be written") from None
    finally:
        shutil.rmtree(building, ignore_errors=True)
    n_bytes = sum(f.stat().st_size for f in packed.rglob("*") if f.is_file())
    click.echo(f"{packed}: {len(files)} clips, {n_bytes / 1e6:.1f} MB at {rate} Hz")
