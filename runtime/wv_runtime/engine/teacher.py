"""Inputs and targets of true samples, for a network of linear prediction: what teacher forcing feeds it.

Usage: ``x, byte = true_inputs(cfg, prediction_matrix(cfg), samples, mel)``
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from wv_runtime.model.config import WaveRNNConfig
from wv_runtime.model.neighbours import n_lags, neighbours

from .kernels import predict as k
from .kernels.jit import OVERLOAD, kernel


def true_inputs(
    cfg: WaveRNNConfig,
    M: NDArray[np.float32],
    samples: NDArray[np.int16],
    mel: NDArray[np.float32],
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Inputs and targets of samples whose past is known, and in a subscale model (S = cfg.subscale) their future.

    samples : (B, n_past + T + n_future) int16, pre-emphasised; only T are drawn
    mel     : (B, n_mels, T / hop_length) float32, without context

    Returns
    -------
    x : (T / S, B S, n_x) int16 Q15; row S i + s of the middle axis is lane s of row i of `samples`
    byte : (2, T / S, B S) uint8, coarse and fine byte of d
    """
    n_batch, n_frames = mel.shape[0], mel.shape[2]
    shape = n_frames * cfg.mel.hop_length // cfg.subscale, n_batch * cfg.subscale
    x, byte = np.empty((*shape, cfg.n_x), np.int16), np.empty((2, *shape), np.uint8)
    frames = np.ascontiguousarray(mel.transpose(0, 2, 1), np.float32)
    inverse, arrays = np.empty(2, np.int64), (M.reshape(-1), np.ascontiguousarray(samples), frames, x, byte)
    if cfg.subscale == 1:
        lpc, work = np.empty(cfg.lpc_order, np.int16), np.empty(3 * cfg.lpc_order + 1 + cfg.mel.n_mels)
        _true_inputs(cfg.mel.hop_length, *arrays, work, lpc, inverse)
        return x, byte
    power, r = np.empty(cfg.mel.n_mels), np.empty(n_lags(cfg) + 1)
    for lane, offsets in enumerate(neighbours(cfg)):
        n = len(offsets)
        work, lpc, seen = np.empty(k.n_work(n)), np.empty(n, np.int16), np.empty(n, np.int16)
        _true_inputs_of_lane(
            lane,
            cfg.subscale,
            cfg.n_past,
            np.array([n]),
            offsets,
            cfg.mel.hop_length,
            *arrays,
            power,
            r,
            work,
            lpc,
            inverse,
            seen,
        )
    return x, byte


@kernel
def _true_inputs(  # type: ignore[no-untyped-def]
    hop, M, samples, frames, x, byte, work, lpc, inverse  # noqa: N803
):  # fmt: skip
    order = len(lpc)
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
            _target(d, byte[:, t, i], x[t, i])


@kernel
def _true_inputs_of_lane(  # type: ignore[no-untyped-def]
    lane, n_lanes, n_past, n_seen, offsets, hop, M, samples, frames, x, byte, power, r, work, lpc, inverse, seen  # noqa: N803
):  # fmt: skip
    everywhere = np.int64(-1)  # no ring
    for row in range(samples.shape[0]):
        d, s = np.int64(0), samples[row]
        for step in range(x.shape[0]):
            t, x_t = n_past + n_lanes * step + lane, x[step, n_lanes * row + lane]
            if n_lanes * step % hop == 0:
                k.autocorrelation(M, frames[row, n_lanes * step // hop], power, r)
                k.interpolators(r, n_seen, offsets, work, len(offsets), lpc, inverse)
            if step == 0 and s[:n_past].any():  # the residual before the first sample; 0 where an utterance begins
                k.see(s, everywhere, t - n_lanes, offsets, seen)
                d = np.int64(s[t - n_lanes]) - k.predict(lpc, seen)
            k.see(s, everywhere, t, offsets, seen)
            p = k.predict(lpc, seen)
            k.inputs(d, p, np.int64(s[t - n_lanes]), inverse, x_t)
            k.inputs_context(p, seen, inverse, x_t[k.N_X - 1 : -1])
            d = np.int64(s[t]) - p
            _target(d, byte[:, step, n_lanes * row + lane], x_t)


@register_jitable(**OVERLOAD)
def _target(d, byte, x):  # type: ignore[no-untyped-def]
    """Both bytes of a residual, and the input that its coarse one is"""
    u = max(min(d + k.OFFSET, 65535), 0)
    byte[0], byte[1] = u >> 8, u & 255
    x[-1] = k.input_coarse(u >> 8)
