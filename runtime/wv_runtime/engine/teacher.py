"""Inputs and targets of true samples, for a network of linear prediction: what teacher forcing feeds it.

Usage: ``x, byte = true_inputs(cfg, prediction_matrix(cfg), samples, mel)``
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wv_runtime.model.config import WaveRNNConfig

from .kernels import predict as k
from .kernels.jit import kernel


def true_inputs(
    cfg: WaveRNNConfig,
    M: NDArray[np.float32],
    samples: NDArray[np.int16],
    mel: NDArray[np.float32],
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Inputs and targets of samples whose past is known.

    samples : (B, T + lpc_order + 1) int16, pre-emphasised; only the last T are drawn
    mel     : (B, n_mels, T / hop_length) float32, without context

    Returns
    -------
    x : (T, B, 8) int16 Q15
    byte : (2, T, B) uint8, coarse and fine byte of d
    """
    n_batch, n_frames = mel.shape[0], mel.shape[2]
    T = n_frames * cfg.mel.hop_length
    x, byte = np.empty((T, n_batch, k.N_X), np.int16), np.empty((2, T, n_batch), np.uint8)
    frames = np.ascontiguousarray(mel.transpose(0, 2, 1), np.float32)
    _true_inputs(cfg.lpc_order, cfg.mel.hop_length, M.reshape(-1), np.ascontiguousarray(samples), frames, x, byte)
    return x, byte


@kernel
def _true_inputs(order: int, hop: int, M: Any, samples: Any, frames: Any, x: Any, byte: Any) -> None:  # noqa: N803
    work, lpc = np.empty(3 * order + 1 + frames.shape[2]), np.empty(order, np.int16)
    inverse = np.empty(2, np.int64)
    for i in range(samples.shape[0]):
        d, s = np.int64(0), samples[i]
        for t in range(x.shape[0]):
            if t % hop == 0:
                k.predictor(M, frames[i, t // hop], work, lpc, inverse)
            if t == 0:  # the residual before the first sample, by this frame's predictor
                d = np.int64(s[order]) - k.predict(lpc, s[:order])
            p = k.predict(lpc, s[t + 1 : t + 1 + order])
            k.inputs(d, p, np.int64(s[t + order]), inverse, x[t, i])
            d = np.int64(s[t + order + 1]) - p
            u = max(min(d + k.OFFSET, 65535), 0)
            byte[0, t, i], byte[1, t, i] = u >> 8, u & 255
            x[t, i, k.N_X - 1] = k.input_coarse(u >> 8)
