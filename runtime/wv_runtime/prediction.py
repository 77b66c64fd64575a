"""Linear prediction from mels, outside of the sample loop: the matrix M, and inputs and targets of true samples.

Usage: ``x, byte = true_inputs(cfg, prediction_matrix(cfg), samples, mel)``
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .config import WaveRNNConfig
from .kernels import predict as k
from .kernels._jit import kernel
from .mel import mel_basis

LAG_WINDOW_HZ = 40.0  # deviation of the Gaussian that smooths the spectrum behind r
N_FREQUENCIES = 4096  # of the sum that stands for the integral over frequency


@lru_cache(maxsize=8)
def prediction_matrix(cfg: WaveRNNConfig) -> NDArray[np.float32]:
    """M : (lpc_order + 1, n_mels) float32, r = M exp(2 mel), in squares of 16-bit steps.

    A band's magnitude over its area is the spectrum at its centre. The power spectrum, straight between centres, times
    the pre-emphasis and back by a cosine transform gives r; a Gaussian lag window smooths it.
    """
    import librosa

    mel = cfg.mel
    centres = librosa.mel_frequencies(mel.n_mels + 2, fmin=mel.fmin, fmax=mel.fmax)[1:-1]
    f = (np.arange(N_FREQUENCIES) + 0.5) / N_FREQUENCIES * mel.sample_rate / 2
    w = 2 * np.pi * f / mel.sample_rate
    spread = np.stack([np.interp(f, centres, row) for row in np.eye(mel.n_mels)])  # (n_mels, n), flat beyond the ends
    area = mel_basis(mel).sum(axis=1, dtype=np.float64)
    power = spread / area[:, None] ** 2 * np.abs(1 - cfg.preemphasis * np.exp(-1j * w)) ** 2
    lag = np.arange(cfg.lpc_order + 1)
    M = np.cos(np.outer(lag, w)) @ power.T / N_FREQUENCIES  # noqa: N806
    M *= np.exp(-0.5 * (2 * np.pi * LAG_WINDOW_HZ / mel.sample_rate * lag) ** 2)[:, None]
    # a white signal of variance 1 has |STFT|^2 = sum of the window's squares
    window = np.sin(np.pi * np.arange(mel.win_length) / mel.win_length) ** 2
    return (M * 32768.0**2 / (window**2).sum()).astype(np.float32)


def true_inputs(
    cfg: WaveRNNConfig, M: NDArray[np.float32], samples: NDArray[np.int16], mel: NDArray[np.float32]  # noqa: N803
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Inputs and targets of samples whose past is known.

    samples : (B, T + lpc_order + 1) int16, pre-emphasised; only the last T are drawn
    mel     : (B, n_mels, T / hop_length) float32, without context

    Returns
    -------
    x : (T, B, 8) int16 Q15
    byte : (2, T, B) uint8, coarse and fine byte of e
    """
    n_batch, n_frames = mel.shape[0], mel.shape[2]
    T = n_frames * cfg.mel.hop_length
    x, byte = np.empty((T, n_batch, k.N_X), np.int16), np.empty((2, T, n_batch), np.uint8)
    frames = np.ascontiguousarray(mel.transpose(0, 2, 1), np.float32)
    _true_inputs(cfg.lpc_order, cfg.mel.hop_length, M.reshape(-1), np.ascontiguousarray(samples), frames, x, byte)
    return x, byte


@kernel
def _true_inputs(order: int, hop: int, M: Any, samples: Any, frames: Any, x: Any, byte: Any) -> None:  # noqa: N803
    work, lpc = np.empty(3 * order + 3 + frames.shape[2]), np.empty(order, np.int16)
    inverse = np.empty(2, np.int64)
    for i in range(samples.shape[0]):
        e, s = np.int64(0), samples[i]
        for t in range(x.shape[0]):
            if t % hop == 0:
                k.predictor(M, frames[i, t // hop], work, lpc, inverse)
            if t == 0:  # the residual before the first sample, by this frame's predictor
                e = np.int64(s[order]) - k.predict(lpc, s[:order])
            p = k.predict(lpc, s[t + 1 : t + 1 + order])
            k.inputs(e, p, np.int64(s[t + order]), inverse, x[t, i])
            e = np.int64(s[t + order + 1]) - p
            u = max(min(e + k.OFFSET, 65535), 0)
            byte[0, t, i], byte[1, t, i] = u >> 8, u & 255
            x[t, i, k.N_X - 1] = k.input_coarse(u >> 8)
