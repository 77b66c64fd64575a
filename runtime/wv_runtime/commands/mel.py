"""wv-mel: an audio file in, the mel array that wv-run takes out; or a folder of them.

Usage: ``wv-mel in.wav out.npy --model out.bin`` or ``--preset 16k``; ``wv-mel speech mels --preset 16k --jobs 2``
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import click
import numpy as np
from numpy.typing import NDArray

from wv_runtime.commands.common import Command, printable
from wv_runtime.commands.corpus import Folders, Group, Made, Recipe, folder_options
from wv_runtime.commands.names import check_other, check_suffix
from wv_runtime.errors import AudioError, WaveRNNError
from wv_runtime.features.mel import load_audio, log_mel
from wv_runtime.features.mel_file import save_mel, settings
from wv_runtime.features.mel_format import MelFormat, find_mels
from wv_runtime.features.speech import find_files
from wv_runtime.model.binary import load
from wv_runtime.model.checkpoint import read_checkpoint
from wv_runtime.model.config import PRESETS, MelConfig


@click.command("wv-mel", cls=Command)
@click.argument("audio_path", metavar="AUDIO")
@click.argument("mel_path", metavar="MEL")
@click.option("--preset", type=click.Choice(sorted(PRESETS)), help="Mel settings by name.")
@click.option("--model", "model_path", help="Mel settings of a .bin or a checkpoint (.pt).")
@click.option("--convert", metavar="FORMAT", help="AUDIO is a mel array of this format: natural, log10, db, 0..1, ...")
@folder_options
@click.option("--json", "as_json", is_flag=True, help="For folders: the summary as one line of JSON.")
def main(
    audio_path: str,
    mel_path: str,
    preset: str | None,
    model_path: str | None,
    convert: str | None,
    jobs: int | None,
    dask: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write the log-mels of AUDIO (wav, flac, ...; mixed to mono, resampled if need be) to MEL, a .npy file.

    AUDIO may be a folder of them; MEL is a folder then, and gets what it lacks: a run that was stopped goes on.
    """
    if (preset is None) == (model_path is None):
        raise click.UsageError("wanted --preset or --model, one of them")
    if not os.path.exists(audio_path):
        raise AudioError(f"{audio_path}: no such file or folder, wanted audio")
    are_folders = os.path.isdir(audio_path) and Path(mel_path).suffix.lower() != ".npy"
    folders = Folders(audio_path, mel_path, jobs, dask, overwrite)
    folders.check(are_folders, "AUDIO and MEL")
    format_of_mel = MelFormat.parse(convert) if convert else None
    if are_folders and convert and _is_within(mel_path, audio_path):
        raise ValueError(f"MEL: found {mel_path} in AUDIO, where mels are read, wanted a folder that is not in it")
    if not are_folders:
        if as_json:
            raise ValueError("--json: found it with a file, wanted folders as AUDIO and MEL")
        check_suffix(mel_path, [".npy"], "MEL")
        stats = format_of_mel.stats if format_of_mel else ""
        check_other(mel_path, [path for path in (audio_path, model_path, stats) if path], "MEL")
    recipe = Making(PRESETS[preset] if preset else mel_config_of(str(model_path)), convert)
    if are_folders:
        folders.make("wv-mel", recipe, copies=True, as_json=as_json)
        return
    said: list[str] = []
    mel = recipe.mel_of(audio_path, said.append)
    save_mel(mel_path, mel, recipe.cfg)
    for line in said:
        click.echo(f"wv-mel: warning: {printable(line)}", err=True)
    seconds = recipe.seconds(mel)
    click.echo(
        f"{printable(mel_path)}: {mel.shape[0]} bands x {mel.shape[1]} frames, {seconds:.3f} s, {settings(recipe.cfg)}"
    )


@dataclass(frozen=True)
class Making(Recipe):
    """What a mel file depends on, besides the audio, or mels of the format `convert`, that it is made of."""

    state_name: ClassVar[str] = ".wv-mel.json"
    product: ClassVar[str] = "mels"
    suffix: ClassVar[str] = ".npy"

    cfg: MelConfig
    convert: str | None

    def as_state(self) -> dict[str, object]:
        state = asdict(self.cfg)
        return {"preset": state.pop("name"), **state, "convert": self.convert}

    def find(self, folder: Path) -> list[Path]:
        return find_mels(folder, True) if self.convert else find_files(folder)

    def prepare(self) -> None:
        if not self.convert:
            log_mel(np.zeros(self.cfg.n_fft, np.float32), self.cfg)

    def mel_of(self, path: str | Path, warn: Callable[[str], None]) -> NDArray[np.float32]:
        """(n_mels, n_frames). Raises WaveRNNError or OSError; `warn` as of load_audio."""
        if self.convert:
            return MelFormat.parse(self.convert).load(path, self.cfg)
        audio = load_audio(path, self.cfg.sample_rate, warn)
        try:
            return log_mel(audio, self.cfg)
        except AudioError as error:  # too short
            raise AudioError(f"{path}: {error}") from None

    def seconds(self, mel: NDArray[np.float32]) -> float:
        """Of audio."""
        return mel.shape[1] * self.cfg.hop_length / self.cfg.sample_rate

    def make(self, group: Group) -> Iterator[Made]:
        for item in group.items:
            said: list[str] = []
            try:
                mel = self.mel_of(item.source, said.append)
                item.out.parent.mkdir(parents=True, exist_ok=True)
                save_mel(item.out, mel, self.cfg)
            except (WaveRNNError, OSError) as error:
                yield Made.failed(item.source, error)
                continue
            warning = "; ".join(line.removeprefix(f"{item.source}: ") for line in said)
            yield Made(item.source, "", warning, self.seconds(mel))


def _is_within(path: str, folder: str) -> bool:
    return Path(path).resolve().is_relative_to(Path(folder).resolve())


def mel_config_of(path: str) -> MelConfig:
    """The mel settings of a .bin or of a checkpoint.

    Raises
    ------
    WaveRNNError
        If it is neither.
    """
    if Path(path).suffix.lower() != ".pt":
        return load(path).config.mel
    return read_checkpoint(path)[0].mel
