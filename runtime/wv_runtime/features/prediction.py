"""Linear prediction from the mels: the matrix M between a mel frame and its autocorrelation.

What follows from r is engine/kernels/predict.py.

Usage: ``M = prediction_matrix(cfg)``
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from wv_runtime.features.mel import mel_basis, optional
from wv_runtime.model.config import WaveRNNConfig
from wv_runtime.model.neighbours import n_lags

LAG_WINDOW_HZ = 40.0  # deviation of the Gaussian that smooths the spectrum behind r
N_FREQUENCIES = 4096  # of the sum that stands for the integral over frequency


@lru_cache(maxsize=8)
def prediction_matrix(cfg: WaveRNNConfig) -> NDArray[np.float32]:
    """M : (n_lags + 1, n_mels) float32, r = M exp(2 mel), in squares of 16-bit steps.

    A band's magnitude over its area is the spectrum at its centre. The power spectrum, straight between centres, times
    the pre-emphasis and back by a cosine transform gives r; a Gaussian lag window smooths it.
    """
    librosa = optional("librosa")

    mel = cfg.mel
    centres = librosa.mel_frequencies(mel.n_mels + 2, fmin=mel.fmin, fmax=mel.fmax)[1:-1]
    f = (np.arange(N_FREQUENCIES) + 0.5) / N_FREQUENCIES * mel.sample_rate / 2
    w = 2 * np.pi * f / mel.sample_rate
    spread = np.stack([np.interp(f, centres, row) for row in np.eye(mel.n_mels)])  # (n_mels, n), flat beyond the ends
    area = mel_basis(mel).sum(axis=1, dtype=np.float64)
    power = spread / area[:, None] ** 2 * np.abs(1 - cfg.preemphasis * np.exp(-1j * w)) ** 2
    lag = np.arange(n_lags(cfg) + 1)
    M = np.cos(np.outer(lag, w)) @ power.T / N_FREQUENCIES  # noqa: N806
    M *= np.exp(-0.5 * (2 * np.pi * LAG_WINDOW_HZ / mel.sample_rate * lag) ** 2)[:, None]
    # a white signal of variance 1 has |STFT|^2 = sum of the window's squares
    window = np.sin(np.pi * np.arange(mel.win_length) / mel.win_length) ** 2
    return (M * 32768.0**2 / (window**2).sum()).astype(np.float32)
