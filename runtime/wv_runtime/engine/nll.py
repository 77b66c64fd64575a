"""How well a model predicts real speech: teacher-forced log-probabilities, on the Numba kernels.

The probabilities are those of the logits the runtime computes at temperature 1; the sampler's own rounding of them
(docs/numerics.md) is not in them. The samples are the trainer's: pre-emphasised, after one 0, whole frames only.

Usage: ``coarse, fine = nll(model, true_samples(audio, model.config), mel).mean(axis=0)``  in nats
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wv_runtime.engine.numba_cpu import teacher_forced
from wv_runtime.model.weights import Model

CHUNK = 4096  # samples whose softmax is held in float64 at a time


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Over the last axis, in nats."""
    a = logits.astype(np.float64)
    a -= a.max(axis=-1, keepdims=True)
    return a - np.log(np.exp(a).sum(axis=-1, keepdims=True))


def nll(model: Model, samples: NDArray[np.int16], mel: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of each sample's coarse and fine byte, given all true ones before, in nats.

    samples : (n + 1,) int16 of `true_samples`    mel : (n_mels, n_frames) float32    Returns (n, 2)

    Raises
    ------
    MelError
        If the mel does not fit the model or covers less than the samples.
    """
    *both, byte = teacher_forced(model, samples, mel)
    result = np.empty(byte.shape)
    for column, logits in enumerate(both):
        for i in range(0, len(byte), CHUNK):
            at = byte[i : i + CHUNK, column : column + 1].astype(np.int64)
            result[i : i + CHUNK, column] = -np.take_along_axis(log_softmax(logits[i : i + CHUNK]), at, 1)[:, 0]
    return result
