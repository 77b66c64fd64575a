"""The picture of `make demo`: waveform, mel that went in, mel of the audio that came out, and how far apart they are.

Usage: ``python -m wv_runtime.commands.demo demo.npy demo.wav demo.png --model demo.bin``
"""

from __future__ import annotations

from typing import Any

import click
import numpy as np

from wv_runtime.commands.common import Command, atomic_path
from wv_runtime.features.mel import load_audio, log_mel
from wv_runtime.features.mel_file import load_mel
from wv_runtime.model.binary import load


@click.command("demo", cls=Command)
@click.argument("mel_path", metavar="MEL")
@click.argument("wav_path", metavar="WAV")
@click.argument("png_path", metavar="PNG")
@click.option("--model", "model_path", required=True, help="The .bin that made WAV from MEL.")
def main(mel_path: str, wav_path: str, png_path: str, model_path: str) -> None:
    """Draw PNG: WAV, and its mel against MEL."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    cfg = load(model_path).config.mel
    mel = load_mel(mel_path, cfg)
    audio = load_audio(wav_path, cfg.sample_rate)
    again = log_mel(audio, cfg)
    seconds = len(audio) / cfg.sample_rate
    distance = float(np.abs(mel - again).mean())

    figure, axes = plt.subplots(3, 1, figsize=(10, 8), sharex=True, layout="constrained")
    axes[0].plot(np.arange(len(audio)) / cfg.sample_rate, audio, linewidth=0.4)
    axes[0].set(title=f"{wav_path}: {seconds:.2f} s at {cfg.sample_rate} Hz", ylabel="amplitude", ylim=(-1, 1))
    image: Any = None
    for axis, array, title in [(axes[1], mel, "mel in"), (axes[2], again, "mel of the audio that came out")]:
        image = axis.imshow(
            array, origin="lower", aspect="auto", extent=(0, seconds, 0, cfg.n_mels),
            vmin=float(mel.min()), vmax=float(mel.max()),
        )  # fmt: skip
        axis.set(title=title, ylabel="mel band")
    axes[2].set(xlabel=f"seconds; the two mels differ by {distance:.2f} nepers on average")
    figure.colorbar(image, ax=axes[1:], label="natural log")
    with atomic_path(png_path) as tmp:
        figure.savefig(tmp, dpi=110)
    click.echo(f"{png_path}: mel in and mel out differ by {distance:.2f} nepers on average")


if __name__ == "__main__":
    main()
