"""The oracle: a model's equations in float64 with dense matrices and plain loops. Slow, and meant to be obvious.

Reads a format.Model and nothing else of the project. In int8, inputs are rounded to the levels FORMAT.md says;
the state and the gates stay float64, where the runtime has 16-bit fixed point.

Usage: ``log_c, log_f = log_probs(model, samples, mel)``
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from wv_runtime.model.weights import Matrix, Model

Float = NDArray[np.float64]


@lru_cache(maxsize=64)
def dense(m: Matrix) -> Float:
    """(rows, cols) stored weights, block by block."""
    W = np.zeros((m.rows, m.cols))
    size = m.block_h * m.block_w
    for i in range(m.n_block_rows):
        for k in range(m.row_ptr[i], m.row_ptr[i + 1]):
            block = m.values[k * size : (k + 1) * size].astype(np.float64)
            row, col = i * m.block_h, int(m.col_idx[k]) * m.block_w
            for r in range(m.block_h):
                for c in range(m.block_w):
                    at = r * m.block_w + c if m.values.dtype == np.int8 else c * m.block_h + r
                    W[row + r, col + c] = block[at]
    return W


def matvec(m: Matrix, x: Float) -> Float:
    """W x + bias."""
    W, bias = dense(m), m.bias.astype(np.float64)
    if m.scale is None:
        return W @ x + bias
    q = np.clip(np.floor(x * m.x_scale + m.x_zero + 0.5), -127, 127)
    return (W @ q) * m.scale + bias


def round_robin(m: Matrix, x: NDArray[np.float32], y_min: np.float32) -> NDArray[np.float32]:
    """FORMAT.md's float mat-vec, one float32 operation at a time."""
    W, y = dense(m).astype(np.float32), np.zeros(m.rows, np.float32)
    for i in range(m.n_block_rows):
        rows = slice(i * m.block_h, (i + 1) * m.block_h)
        s = np.zeros((4, m.block_h), np.float32)
        for n, k in enumerate(range(m.row_ptr[i], m.row_ptr[i + 1])):
            for col in range(int(m.col_idx[k]) * m.block_w, (int(m.col_idx[k]) + 1) * m.block_w):
                s[n % 4] += W[rows, col] * x[col]
        y[rows] = np.maximum(m.bias[rows] + ((s[0] + s[1]) + (s[2] + s[3])), y_min)
    return y


def sigmoid(a: Float) -> Float:
    return 0.5 + 0.5 * np.tanh(0.5 * a)


def condition(model: Model, mel: NDArray[np.float32]) -> Float:
    """mel (n_mels, n_frames) -> g (n_frames * n_sub, 3N)"""
    cfg, n_frames, g = model.config, mel.shape[1], []
    C1, C2, C3 = (model.matrices[name] for name in ("C1", "C2", "C3"))
    for t in range(n_frames):
        reach = range(t - cfg.cond_width // 2, t + cfg.cond_width // 2 + 1)
        window = np.concatenate([mel[:, min(max(s, 0), n_frames - 1)] for s in reach]).astype(np.float64)
        a = np.tanh(matvec(C1, window))
        for b in np.tanh(matvec(C2, a)).reshape(cfg.n_sub, cfg.n_cond):
            g.append(matvec(C3, b))
    return np.array(g)


def step(model: Model, h: Float, c1: int, f1: int, c: int, g: Float) -> tuple[Float, Float, Float]:
    """h_{t-1}, bytes c_{t-1}, f_{t-1}, c_t and g_t -> h_t and the logits of c_t and f_t.

    The logits of c_t do not depend on c_t: the coarse half of I* does not see it.
    """
    M, N = model.matrices, model.config.n_units
    x = np.array([c1, f1, c]) / 127.5 - 1.0
    Ru, Rr, Re = matvec(M["R"], h).reshape(3, N)
    Iu, Ir, Ie = (x @ model.I.astype(np.float64)).reshape(3, N)
    gu, gr, ge = g.reshape(3, N)
    u = sigmoid(Ru + Iu + gu)
    r = sigmoid(Rr + Ir + gr)
    e = np.tanh(r * Re + Ie + ge)
    h = u * h + (1 - u) * e
    y_c, y_f = h[: N // 2], h[N // 2 :]
    logits_c = matvec(M["O2"], np.maximum(matvec(M["O1"], y_c), 0))
    logits_f = matvec(M["O4"], np.maximum(matvec(M["O3"], y_f), 0))
    return h, logits_c, logits_f


def logits(model: Model, samples: NDArray[np.int16], mel: NDArray[np.float32]) -> tuple[Float, Float]:
    """Teacher-forced logits of samples 1..n.

    samples : (n + 1,) int16, pre-emphasised   mel : (n_mels, n_frames), n <= n_frames * hop_length

    Returns logits_c, logits_f : (n, 256) float64
    """
    s = samples.astype(np.int64) + 32768
    c, f, h, g = s >> 8, s & 255, np.zeros(model.config.n_units), condition(model, mel)
    out_c, out_f = [], []
    for t in range(1, len(s)):
        frame = g[(t - 1) // model.config.sub_length]
        h, logits_c, logits_f = step(model, h, c[t - 1], f[t - 1], c[t], frame)
        out_c.append(logits_c)
        out_f.append(logits_f)
    return np.array(out_c), np.array(out_f)


def log_softmax(a: Float) -> Float:
    a = a - a.max(axis=-1, keepdims=True)
    return a - np.log(np.exp(a).sum(axis=-1, keepdims=True))


def log_probs(model: Model, samples: NDArray[np.int16], mel: NDArray[np.float32]) -> tuple[Float, Float]:
    """log P(c_t | ...) and log P(f_t | ...) of every byte, (n, 256) float64 each; arguments as `logits`."""
    logits_c, logits_f = logits(model, samples, mel)
    return log_softmax(logits_c), log_softmax(logits_f)
