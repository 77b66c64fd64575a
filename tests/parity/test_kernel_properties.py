"""Kernels of any shape against the float64 oracle, naive.py: odd sizes, empty rows, every block and dtype.

Numba's kernels are called one by one; C gives the same bits (test_end_to_end, test_matrix).
"""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_fixtures import random_matrix, tiny_config, tiny_mel, tiny_model
from numba import njit
from wv_runtime.engine.kernels import spmv
from wv_runtime.engine.numba_cpu import teacher_forced
from wv_runtime.engine.synth import Voice
from wv_runtime.model.config import MelConfig

EPS = 2.0**-24  # of one rounding


@njit
def run_linear(tile, x, y_min, q, y):
    spmv.linear(tile, x, y_min, q, y)


@st.composite
def matrices(draw, dtypes=("f32", "f16", "int8")):
    """A matrix of R's kind: rows of 0 to all blocks."""
    dtype = draw(st.sampled_from(dtypes))
    block_h, block_w = draw(st.sampled_from([4, 8, 16, 32])), 4 if dtype == "int8" else draw(st.sampled_from([1, 2, 4]))
    rows, cols = block_h * draw(st.integers(1, 192 // block_h)), 16 * draw(st.integers(1, 24))
    rows += -rows % 16  # every length of the format is a multiple of 16
    if rows % block_h:
        rows += block_h - rows % block_h
    most = draw(st.one_of(st.none(), st.integers(0, 17)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    gain = 10.0 ** draw(st.integers(-6, 3))
    return random_matrix(rng, "R", rows, cols, dtype, (block_h, block_w), most, gain), rng


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(matrices())
def test_matvec(case):
    m, rng = case
    x = rng.uniform(-1.2, 1.2, m.cols).astype(np.float32)
    y, scratch = np.empty(m.rows, np.float32), np.empty(m.cols, np.int8)
    run_linear(spmv.tile(m), x, spmv.NO_FLOOR, scratch, y)
    wanted = naive.matvec(m, x.astype(np.float64))
    if m.scale is None:
        # every sum of n products is off by at most n + 2 roundings of what was summed up
        size = np.abs(naive.dense(m)) @ np.abs(x.astype(np.float64)) + np.abs(m.bias)
        n = m.block_w * np.repeat(np.diff(m.row_ptr), m.block_h)
        assert (np.abs(y - wanted) <= (n + 4) * EPS * size + 1e-44).all()
        np.testing.assert_array_equal(y, naive.round_robin(m, x, spmv.NO_FLOOR))
    else:
        # exact in integers but for the bias, which is rounded to a level, at most 2^30 of them
        bias, largest = m.bias.astype(np.float64), 2.0**30 * m.scale
        wanted += np.clip(bias, -largest, largest) - bias
        assert (np.abs(y - wanted) <= 0.5 * m.scale + 4 * EPS * (np.abs(wanted) + np.abs(m.bias))).all()


@settings(max_examples=4, deadline=None)
@given(
    st.sampled_from(["f32", "f16"]), st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(0, 3),
    st.integers(1, 4), st.integers(1, 24), st.sampled_from([(4, 1), (8, 2), (16, 4), (32, 1)]), st.integers(0, 999),
)  # fmt: skip
@pytest.mark.slow
def test_network(dtype, n, n_out, n_cond, reach, n_sub, n_mels, block, seed):
    mel = MelConfig("any", 16000, 64, 6 * n_sub, 48, n_mels, 0.0, 8000.0)
    cfg = tiny_config(
        n_units=64 * n, n_out=32 * n_out, n_cond=16 * n_cond, cond_width=1 + 2 * reach, n_sub=n_sub, mel=mel
    )
    model, mels = tiny_model(dtype, seed, block, cfg), tiny_mel(cfg, 3, seed)
    samples = (np.random.default_rng(seed).normal(size=3 * mel.hop_length + 1) * 3000).astype(np.int16)
    for got, wanted in zip(teacher_forced(model, samples, mels), naive.logits(model, samples, mels)):
        difference = naive.log_softmax(got.astype(np.float64)) - naive.log_softmax(wanted)
        assert np.abs(difference).mean() < 1e-4
    np.testing.assert_array_equal(Voice(model, "c")(mels, seed=seed), Voice(model, "numba")(mels, seed=seed))
