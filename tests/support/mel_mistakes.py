"""Mels as others make them, and a table of what `check_mels` says of them.

    PYTHONPATH=tests/support python tests/support/mel_mistakes.py voice.bin FOLDER.. [--clips 30]

Usage: ``for cause, mel in mistakes(audio, cfg).items(): ...``
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from wv_runtime.features.mel import MAGNITUDE_EPS, load_audio
from wv_runtime.features.mel_check import check_mels
from wv_runtime.features.speech import find_files
from wv_runtime.model import binary
from wv_runtime.model.config import PRESETS, MelConfig

LN_10 = np.log(10.0)


def magnitude(audio: NDArray[np.float32], cfg: MelConfig) -> NDArray[np.float32]:
    """(n_fft / 2 + 1, n_frames)"""
    import librosa

    pad = cfg.n_fft - cfg.hop_length
    padded = np.pad(audio, (pad // 2, pad - pad // 2), mode="reflect")
    stft = librosa.stft(
        padded, n_fft=cfg.n_fft, hop_length=cfg.hop_length, win_length=cfg.win_length, window="hann", center=False
    )
    return np.sqrt(stft.real**2 + stft.imag**2 + np.float32(MAGNITUDE_EPS))


def basis(cfg: MelConfig, htk: bool = False, norm: str | None = "slaney") -> NDArray[np.float32]:
    import librosa

    return librosa.filters.mel(
        sr=cfg.sample_rate, n_fft=cfg.n_fft, n_mels=cfg.n_mels, fmin=cfg.fmin, fmax=cfg.fmax, htk=htk, norm=norm
    )


def natural(x: NDArray[np.float32], floor: float = 1e-5) -> NDArray[np.float32]:
    return np.log(np.maximum(x, floor))


def mistakes(path: str | Path, cfg: MelConfig) -> dict[str, NDArray[np.float32]]:
    """What was done -> mel. The part before a blank is the cause that `check_mels` is to name; "fit": nothing."""
    audio = load_audio(path, cfg.sample_rate)
    spectrum = magnitude(audio, cfg)
    linear = basis(cfg) @ spectrum
    mel, power = natural(linear), basis(cfg) @ spectrum**2
    unit = np.clip((20 * np.log10(np.maximum(linear, 1e-5)) + 80) / 100, 0, 1)
    per_band = mel.mean(axis=1, keepdims=True), mel.std(axis=1, keepdims=True)
    halved = replace(cfg, n_fft=cfg.n_fft // 2, win_length=min(cfg.win_length, cfg.n_fft // 2))
    narrow = replace(cfg, fmin=80.0, fmax=7600.0)
    made = {
        "fit": mel,
        "fit long pause": np.concatenate([mel, np.full((cfg.n_mels, 100), np.log(cfg.log_floor))], axis=1),
        "log10": mel / LN_10,
        "log10 floor 1e-10": np.log10(np.maximum(linear, 1e-10)),
        "log2": mel / np.log(2.0),
        "decibels": 20 * np.log10(np.maximum(linear, 1e-5)),
        "decibels power": 10 * np.log10(np.maximum(power, 1e-10)),
        "power": natural(power),
        "power floor 1e-10": natural(power, 1e-10),
        "no_area_norm": natural(basis(cfg, norm=None) @ spectrum),
        "no_area_norm htk": natural(basis(cfg, htk=True, norm=None) @ spectrum),
        "normalised": (mel - per_band[0]) / per_band[1],
        "normalised as a whole": (mel - mel.mean()) / mel.std(),
        "0..1": unit,
        "0..1 of the clip": (mel - mel.min()) / (mel.max() - mel.min()),
        "-1..1": 2 * unit - 1,
        "-4..4": 8 * unit - 4,
        "linear": linear,
        "log1p": np.log1p(linear),
        "integers": natural(basis(cfg) @ magnitude(audio * 32768, cfg)),
        "zeros": np.pad(mel, ((0, 0), (0, 50))),
        "reversed": mel[::-1],
        "htk": natural(basis(cfg, htk=True) @ spectrum),
        "n_fft": natural(basis(halved) @ magnitude(audio, halved)),
        "80..7600": natural(basis(narrow) @ spectrum),
    }
    for name in sorted({"16k", "22k", "24k"} - {cfg.name}):
        other = PRESETS[name]
        made[name] = natural(basis(other) @ magnitude(load_audio(path, other.sample_rate), other))
    return {name: np.ascontiguousarray(x, np.float32) for name, x in made.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("folder", nargs="+", type=Path)
    parser.add_argument("--clips", type=int, default=30, help="of each folder, evenly spaced")
    args = parser.parse_args()
    model = binary.load(args.model)
    said: dict[str, Counter[str]] = {}
    for folder in args.folder:
        files = find_files(folder)
        for i in np.linspace(0, len(files) - 1, min(args.clips, len(files))).astype(int):
            for name, mel in mistakes(files[i], model.config.mel).items():
                said.setdefault(name, Counter())[check_mels(model, mel).cause] += 1
    for name, causes in said.items():
        print(f"{name:<24}" + ", ".join(f"{cause} {n}" for cause, n in causes.most_common()))


if __name__ == "__main__":
    main()
