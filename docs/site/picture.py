"""The picture of the README: the mel that goes in, the waveform that a voice makes of it, the mel of that waveform.

Usage: ``python docs/site/picture.py voice.bin mel.npy out.png``
"""

from __future__ import annotations

import io
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
from wv_runtime import load, log_mel
from wv_runtime.atomic import atomic_path


def main(voice_path: str, mel_path: str, out: str) -> None:
    voice = load(voice_path)
    cfg = voice.config.mel
    mel = np.load(mel_path)
    audio = voice(mel).astype(np.float32) / 32768
    again = log_mel(audio, cfg)
    seconds = len(audio) / cfg.sample_rate

    figure, axes = plt.subplots(1, 3, figsize=(10, 2.4), layout="constrained")
    for axis, array, title in [(axes[0], mel, "log-mel in"), (axes[2], again, "log-mel of the waveform")]:
        axis.imshow(
            array, origin="lower", aspect="auto", extent=(0, seconds, 0, cfg.n_mels), cmap="magma",
            vmin=float(mel.min()), vmax=float(mel.max()),
        )  # fmt: skip
        axis.set(title=title, xlabel="seconds", ylabel="mel band")
    axes[1].plot(np.arange(len(audio)) / cfg.sample_rate, audio, linewidth=0.3, color="black")
    axes[1].set(title=f"waveform, {cfg.sample_rate // 1000} kHz, 16 bits", xlabel="seconds", xlim=(0, seconds))
    png = io.BytesIO()
    figure.savefig(png, dpi=100)
    with atomic_path(out) as tmp:  # 64 colours are a third of the bytes
        PIL.Image.open(png).convert("RGB").quantize(64).save(tmp, format="png", optimize=True)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: picture.py VOICE.BIN MEL.NPY OUT.PNG")
    main(*sys.argv[1:])
