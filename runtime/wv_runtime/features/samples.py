"""Audio to the 16-bit samples that a network draws: pre-emphasis, and the two bytes of a sample.

Usage: ``coarse, fine = split_bytes(true_samples(audio, cfg)[1:]).T``
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wv_runtime.errors import AudioError
from wv_runtime.model.config import WaveRNNConfig


def preemphasise(audio: NDArray[np.float32], a: float) -> NDArray[np.int16]:
    """round(32768 (x_t - a x_{t-1})), clipped to int16; x_{-1} is 0. What the model learns to draw. (n,) -> (n,)"""
    x = audio.astype(np.float64)
    x[1:] -= a * x[:-1].copy()
    return np.clip(np.rint(32768.0 * x), -32768, 32767).astype(np.int16)


def true_samples(audio: NDArray[np.float32], cfg: WaveRNNConfig) -> NDArray[np.int16]:
    """(n_samples,) -> (n_frames * hop_length + 1,) int16: a 0, then the whole frames, pre-emphasised.

    Raises
    ------
    AudioError
        If the audio is shorter than a frame.
    """
    n_frames = len(audio) // cfg.mel.hop_length
    if n_frames == 0:
        raise AudioError(f"audio: found {len(audio)} samples, wanted at least one frame ({cfg.mel.hop_length})")
    samples = preemphasise(audio[: n_frames * cfg.mel.hop_length], cfg.preemphasis)
    return np.concatenate([np.zeros(1, np.int16), samples])


def split_bytes(samples: NDArray[np.int16]) -> NDArray[np.int64]:
    """(n,) int16 -> (n, 2): coarse and fine byte, 0..255."""
    byte = samples.astype(np.int64) + 32768
    return np.stack([byte >> 8, byte & 255], axis=1)
