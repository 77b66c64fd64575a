"""wv-mel: an audio file in, the mel array that wv-run takes out.

Usage: ``wv-mel in.wav out.npy --model out.bin`` or ``--preset 16k``
"""

from __future__ import annotations

import click
import numpy as np
from numpy.typing import NDArray

from wv_runtime import __version__
from wv_runtime.commands.common import Command, printable
from wv_runtime.commands.output import check_other
from wv_runtime.errors import AudioError
from wv_runtime.features.mel import load_audio, log_mel
from wv_runtime.features.mel_file import save_mel, settings
from wv_runtime.features.mel_format import MelFormat
from wv_runtime.model.binary import load
from wv_runtime.model.checkpoint import read_checkpoint
from wv_runtime.model.config import PRESETS, MelConfig


@click.command("wv-mel", cls=Command)
@click.argument("audio_path", metavar="AUDIO")
@click.argument("mel_path", metavar="MEL")
@click.option("--preset", type=click.Choice(sorted(PRESETS)), help="Mel settings by name.")
@click.option("--model", "model_path", help="Mel settings of a .bin or a checkpoint (.pt).")
@click.option("--convert", metavar="FORMAT", help="AUDIO is a mel array of this format: natural, log10, db, 0..1, ...")
@click.version_option(__version__)
def main(audio_path: str, mel_path: str, preset: str | None, model_path: str | None, convert: str | None) -> None:
    """Write the log-mels of AUDIO (wav, flac, ...; mixed to mono, resampled if need be) to MEL, a .npy file."""
    if (preset is None) == (model_path is None):
        raise click.UsageError("wanted --preset or --model, one of them")
    if not mel_path.endswith(".npy"):
        raise ValueError(f"MEL: found {mel_path}, wanted a name ending in .npy")
    check_other(mel_path, [audio_path, *([model_path] if model_path else [])], "MEL")
    cfg = PRESETS[preset] if preset else mel_config_of(str(model_path))
    if convert:
        mel = MelFormat.parse(convert).load(audio_path, cfg)
        save_mel(mel_path, mel, cfg)
        click.echo(_summary(mel_path, mel, cfg))
        return
    said: list[str] = []
    audio = load_audio(audio_path, cfg.sample_rate, said.append)
    try:
        mel = log_mel(audio, cfg)
    except AudioError as error:  # too short
        raise AudioError(f"{audio_path}: {error}") from None
    save_mel(mel_path, mel, cfg)
    for line in said:
        click.echo(f"wv-mel: {printable(line)}", err=True)
    click.echo(_summary(mel_path, mel, cfg))


def _summary(path: str, mel: NDArray[np.float32], cfg: MelConfig) -> str:
    seconds = mel.shape[1] * cfg.hop_length / cfg.sample_rate
    return f"{path}: {mel.shape[0]} bands x {mel.shape[1]} frames, {seconds:.3f} s, {settings(cfg)}"


def mel_config_of(path: str) -> MelConfig:
    """The mel settings of a .bin or of a checkpoint.

    Raises
    ------
    WaveRNNError
        If it is neither.
    """
    if not path.endswith(".pt"):
        return load(path).config.mel
    return read_checkpoint(path)[0].mel
