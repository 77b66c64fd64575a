"""What a model is measured beside: other ways to copy the same clip. All give as many samples as they are given.

Usage: ``audio = griffin_lim(mel, cfg)``
"""

from __future__ import annotations

import importlib
from typing import Any

import librosa
import numpy as np
from numpy.typing import NDArray
from wv_runtime.features.mel import mel_basis
from wv_runtime.model.config import MelConfig

from .scores import FRAME_S


def griffin_lim(mel: NDArray[np.float32], cfg: MelConfig, seed: int = 0, n_iter: int = 60) -> NDArray[np.float32]:
    """From the same log-mels: magnitudes by non-negative least squares, phases by (fast) Griffin-Lim.

    mel : (n_mels, n_frames)    Returns (n_frames * hop_length,)
    """
    magnitude = librosa.util.nnls(mel_basis(cfg), np.exp(mel))
    audio = librosa.griffinlim(
        magnitude, n_iter=n_iter, hop_length=cfg.hop_length, win_length=cfg.win_length, n_fft=cfg.n_fft,
        window="hann", center=False, random_state=seed,
    )  # fmt: skip
    left, n_samples = (cfg.n_fft - cfg.hop_length) // 2, mel.shape[1] * cfg.hop_length  # log_mel's padding
    return np.pad(audio[left : left + n_samples], (0, max(0, left + n_samples - len(audio))))


def world(audio: NDArray[Any], sample_rate: int, f0: NDArray[np.float64]) -> NDArray[np.float64]:
    """WORLD analysis and synthesis, with the recording's own pitch, as mels hold none. f0 : (n,) Hz of scores.pitch"""
    pyworld = importlib.import_module("pyworld")
    x = audio.astype(np.float64)
    t = np.arange(len(f0)) * FRAME_S
    envelope, aperiodicity = pyworld.cheaptrick(x, f0, t, sample_rate), pyworld.d4c(x, f0, t, sample_rate)
    y = pyworld.synthesize(f0, envelope, aperiodicity, sample_rate)
    return np.pad(y[: len(x)], (0, max(0, len(x) - len(y))))


def mu_law(audio: NDArray[Any], levels: int = 256) -> NDArray[np.float64]:
    """The recording in 8 bits a sample."""
    mu = levels - 1
    y = np.sign(audio) * np.log1p(mu * np.minimum(np.abs(audio), 1)) / np.log1p(mu)
    y = np.rint((y + 1) / 2 * mu) / mu * 2 - 1
    return np.sign(y) * np.expm1(np.abs(y) * np.log1p(mu)) / mu
