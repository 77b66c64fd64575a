"""Models that hear every bit, and random ones of extreme numbers.

Usage: ``model = delicate("int8")``; ``model = hostile(seed=3)``
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from model_fixtures import tiny_config, tiny_model
from numpy.typing import NDArray
from wv_runtime.model.blocks import block_matrix
from wv_runtime.model.config import MelConfig
from wv_runtime.model.layout import X_SCALE
from wv_runtime.model.weights import Model

DELICATE_TEMPERATURE = 0.02
FLOATS = np.array(
    [0, -0.0, 1, -1, 1e38, -1e38, 3.4028235e38, -3.4028235e38, 1e-45, -1e-45, 1.1754944e-38, 1e-40, -1e-40, 6, -16,
     1e10, -1e10, 0.5, 65504, 3e9, -3e9, 2.0**31], np.float32,
)  # fmt: skip
HALVES = np.array([0, -0.0, 1, -1, 65504, -65504, 6e-8, -6e-8, 6.1e-5, 0.1, -0.1, 32], np.float16)
SCALES = np.array([1e-45, 3.4028235e38, 1.1754944e-38, 1e-20, 1e20, 1, 1e-9], np.float32)


def delicate(dtype: str) -> Model:
    """A model in which every rounding of a product, every rounding mode and every subnormal number is heard."""
    model = tiny_model(dtype, block=(8, 4 if dtype == "int8" else 2), cfg=tiny_config(preemphasis=0.0))
    m, rng = model.matrices, np.random.default_rng(0)
    O1, O2, O3, O4 = (m[name] for name in ("O1", "O2", "O3", "O4"))
    if dtype == "int8":
        # O3's results are subnormal, O4 takes them to its levels
        m["O3"] = replace(O3, scale=O3.scale * np.float32(2.0**-118), bias=O3.bias * np.float32(2.0**-118))
        assert 0 < m["O3"].scale.max() < np.finfo(np.float32).tiny
        # large logits that differ by their roundings
        first_row = O4.values.reshape(-1, 8, 4)[:, :1]
        scale = (4 * (1 + 1e-6 * rng.normal(size=256))).astype(np.float32)
        m["O4"] = replace(O4, values=np.tile(first_row, (1, 8, 1)).reshape(-1), scale=scale, bias=0 * scale,
                          x_scale=O4.x_scale * 2.0**118)  # fmt: skip
        return model
    # in f16, whose weights cannot be so small, the fine half is f32
    tiny, huge = np.float32(2.0**-128), np.float32(2.0**125)
    m["O3"] = replace(O3, values=O3.values.astype(np.float32) * tiny, bias=O3.bias * tiny)
    m["O4"] = replace(O4, values=O4.values.astype(np.float32) * huge)
    # O2 takes nearly the same products from each other: two rows of O1 are one
    pairs = O1.values.copy().reshape(-1, 2, 8)  # (block, column, row)
    pairs[:, :, 1::2] = pairs[:, :, ::2]
    m["O1"] = replace(O1, values=pairs.reshape(-1), bias=np.repeat(O1.bias[::2], 2))
    large = O2.values.copy().reshape(-1, 2, 8)
    large[:, 0] *= 2**20 if dtype == "f32" else 2**13
    large[:, 1] = -large[:, 0]
    if dtype == "f32":
        large[:, 1] = np.nextafter(large[:, 1], np.float32(0))
    m["O2"] = replace(O2, values=large.reshape(-1))
    return model


def hostile(seed: int) -> Model:
    """A legal model of random shape, dtype and sparsity, with empty rows, whose numbers are of any size."""
    rng = np.random.default_rng(seed)
    n_sub = int(rng.integers(1, 5))
    hop = n_sub * int(rng.integers(1, 8))
    mel = MelConfig("hostile", 16000, 64, hop, max(hop, 40), int(rng.integers(1, 25)), 0.0, 8000.0)
    cfg = tiny_config(
        n_units=64 * int(rng.integers(1, 4)), n_out=16 * int(rng.integers(1, 7)), n_cond=16 * int(rng.integers(1, 5)),
        cond_width=1 + 2 * int(rng.integers(0, 4)), n_sub=n_sub, mel=mel,
        preemphasis=float(rng.choice([0.0, 0.85, 0.999])),
    )  # fmt: skip
    int8, share = bool(rng.random() < 0.5), rng.choice([0, 0.05, 0.5, 1])

    def among(values: NDArray, a: NDArray) -> NDArray:
        return np.where(rng.random(a.shape) < share, rng.choice(values, a.shape), a).astype(values.dtype)

    matrices = {}
    for name, (rows, cols) in cfg.matrix_shapes().items():
        dtype = "int8" if int8 and name != "C1" else str(rng.choice(["f32", "f16"]))
        heights = [h for h in (4, 8, 16, 32) if rows % h == 0]
        widths = [4] if dtype == "int8" else [w for w in (1, 2, 4) if cols % w == 0]
        block_h, block_w = int(rng.choice(heights)), int(rng.choice(widths))
        if cols % block_w:
            block_w = 1
        keep = rng.random((rows // block_h, cols // block_w)) < rng.choice([0, 0.1, 0.5, 1])
        mask = np.repeat(np.repeat(keep, block_h, 0), block_w, 1)
        dense, bias = rng.normal(size=(rows, cols)) * mask * 0.3, rng.normal(size=rows) * 0.1
        if dtype == "int8":
            relu = name in ("O2", "O4")
            x_scale = float(np.float32(rng.choice([63.5, 1e-45, 3.4e38, 1e-3, 1e6]))) if relu else X_SCALE[name]
            m = block_matrix(name, dense, mask, bias, dtype, (block_h, block_w), X_SCALE.get(name, 63.5), -127 * relu)
            matrices[name] = replace(m, scale=among(SCALES, m.scale), bias=among(FLOATS, m.bias), x_scale=x_scale)
        else:
            m = block_matrix(name, dense, mask, bias, dtype, (block_h, block_w))
            matrices[name] = replace(
                m, values=among(FLOATS if dtype == "f32" else HALVES, m.values), bias=among(FLOATS, m.bias)
            )
    columns = among(FLOATS, rng.normal(size=(3, 3, 2, cfg.n_units // 2)))
    columns[-1, :, 0] = 0  # the coarse half never sees c_t
    return Model(cfg, matrices, columns.reshape(3, -1).astype(np.float32))
