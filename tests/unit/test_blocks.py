"""Blocks and int8 rounding of matrices, without torch."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from model_fixtures import tiny_model
from wv_runtime.model.binary import pack
from wv_runtime.model.blocks import block_matrix, dense_of, quantize_rows, stored, to_blocks
from wv_runtime.model.layout import BLOCK_H, BLOCK_W


@given(st.integers(0, 2**32 - 1), st.sampled_from(BLOCK_H), st.sampled_from(BLOCK_W), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_blocks_keep_every_weight_of_the_mask(seed, block_h, block_w, share):
    rng = np.random.default_rng(seed)
    mask = rng.random((64, 24)) < share**4
    dense = rng.normal(size=mask.shape) * mask
    m = block_matrix("R", dense, mask, np.zeros(64), "f32", (block_h, block_w))
    np.testing.assert_array_equal(stored(m), dense.astype(np.float32))
    np.testing.assert_array_equal(naive.dense(m), dense.astype(np.float32))
    blocks = mask.reshape(64 // block_h, block_h, 24 // block_w, block_w).any(axis=(1, 3))
    assert m.nnz_blocks == blocks.sum() and m.row_ptr[-1] == m.nnz_blocks


def test_order_inside_a_block():
    dense = np.arange(1, 17).reshape(4, 4)
    mask = np.ones((4, 4), bool)
    by_columns, row_ptr, col_idx = to_blocks(dense, mask, 4, 2)
    assert by_columns.tolist() == [1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 4, 8, 12, 16]
    assert (row_ptr.tolist(), col_idx.tolist()) == ([0, 2], [0, 1])
    assert to_blocks(dense, mask, 4, 4, row_major=True)[0].tolist() == list(range(1, 17))


weights = st.floats(-1e6, 1e6, allow_subnormal=False, width=32)


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12).map(lambda s: (s[0], 2 * s[1])),
                  elements=weights))  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_no_int8_pair_exceeds_128(dense):
    w, s_w = quantize_rows(dense)
    pairs = np.abs(w.astype(int)).reshape(len(w), -1, 2).sum(axis=2)
    assert pairs.max() <= 128 and np.abs(w.astype(int)).max() <= 127
    assert np.all(np.abs(w * s_w[:, None] - dense) <= 0.5000001 * s_w[:, None])
    assert not w[dense == 0].any()


def test_int8_worst_pairs():
    """Both halves of every pair at x.5 levels and the pair at the row's maximum: rounding up twice still fits."""
    a = np.arange(0.5, 127, 1.0)
    dense = np.stack([a, 127 - a], axis=1)
    w, s_w = quantize_rows(dense)
    assert np.abs(w.astype(int)).sum(axis=1).max() <= 128 and s_w == pytest.approx(np.ones(len(a)))


@pytest.mark.parametrize(("x_scale", "x_zero"), [(127.0, 0), (254 / 4.0, -127), (20.0, 100)])
def test_int8_matrix_means_the_dense_one(x_scale, x_zero):
    rng = np.random.default_rng(0)
    dense, bias = rng.normal(size=(16, 64)), rng.normal(size=16)
    m = block_matrix("O2", dense, np.ones((16, 64), bool), bias, "int8", (16, 4), x_scale, x_zero)
    W, b = dense_of(m)
    assert np.abs(W - dense).max() < np.abs(dense).max() * 2 / 127
    np.testing.assert_allclose(b, bias, atol=1e-5)
    x = (rng.integers(-127, 128, 64) - x_zero) / x_scale  # inputs that are levels: nothing is lost
    np.testing.assert_allclose(naive.matvec(m, x), W @ x + b, atol=2e-5)


def test_f16_overflow_is_refused():
    model = tiny_model("f16")
    C1 = model.matrices["C1"]
    large = np.where(np.arange(C1.rows * C1.cols).reshape(C1.rows, C1.cols) == 5, 1e5, 0.1)
    m = block_matrix("C1", large, np.ones(large.shape, bool), C1.bias, "f16", (16, 1))
    assert np.isinf(m.values).sum() == 1
    with pytest.raises(Exception, match=r"C1.values: NaN or infinity"):
        pack(type(model)(model.config, {**model.matrices, "C1": m}, model.I))
