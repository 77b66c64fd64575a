"""Subscale: which samples a lane sees, its coefficients against float64 algebra, its inputs against the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from model_fixtures import autocorrelations, tiny_config, tiny_mel
from wv_runtime.engine.kernels import predict as k
from wv_runtime.engine.kernels.jit import kernel
from wv_runtime.engine.teacher import true_inputs
from wv_runtime.model.config import WaveRNNConfig
from wv_runtime.model.layout import M_MIN
from wv_runtime.model.neighbours import n_lags, neighbours

CFG = tiny_config(subscale=5, lpc_order=12, horizon=2, lookback=3, context=6)
SHAPES = [(2, 0, 1, 4), (4, 4, 16, 32), (5, 64, 1, 64), (8, 2, 8, 16), (16, 16, 64, 64), (16, 0, 2, 32)]


ANY_MEL = arrays(np.float32, 3, elements=st.floats(-(2.0**100), 2.0**100, width=32))


def any_M(n):  # noqa: N802
    return arrays(np.float32, (n, 3), elements=st.floats(-(2.0**127), 2.0**127, width=32))


def lanes_config(B, F, P, order, **changes):  # noqa: N803
    return WaveRNNConfig(subscale=B, horizon=F, lookback=P, lpc_order=order, n_sub=1, **changes)


@kernel
def coefficients(M, mel, n_seen, offsets, power, r, work, order, lpc, inverse):
    k.autocorrelation(M, mel, power, r)
    k.interpolators(r, n_seen, offsets, work, order, lpc, inverse)


def run_interpolator(M, mel, offsets):  # noqa: N803
    n = len(offsets)
    lpc, inverse = np.zeros(n, np.int16), np.zeros(2, np.int64)
    work = np.full(k.n_work(n), np.nan)  # what it reads it has written
    coefficients(
        M.reshape(-1), mel, np.array([n]), offsets, np.zeros(len(mel)), np.zeros(len(M)), work, n, lpc, inverse
    )
    return lpc / 4096, inverse


@pytest.mark.parametrize("shape", SHAPES)
def test_a_lane_sees_what_is_drawn_before_it(shape):
    """By the definition, sample by sample: own past, and of the lanes before it up to F steps ahead, none beyond P."""
    B, F, P, order = shape  # noqa: N806
    cfg = lanes_config(*shape)
    for lane, offsets in enumerate(neighbours(cfg)):
        t = 200 * B + lane
        seen = [
            u - t
            for z in range(lane + 1)
            for step in range(200 - P, 200 + (F + 1 if z < lane else 0))
            for u in [step * B + z]
        ]
        seen.sort(key=lambda d: (abs(d), d > 0))
        assert offsets.tolist() == seen[:order] and len(offsets) > 0
        # the staircase: lane z has drawn step j before lane s draws step i
        for d in offsets:
            assert (t + d) // B + (t + d) % B * (F + 1) < t // B + lane * (F + 1)
        assert cfg.n_past + offsets.min() - B + lane >= 0 and lane - B + offsets.max() < cfg.n_future
        lags = [abs(a - b) for a in [0, *offsets] for b in offsets]
        assert max(lags) <= n_lags(cfg)
    assert n_lags(cfg) == max(abs(int(a - b)) for offsets in neighbours(cfg) for a in [0, *offsets] for b in offsets)


@pytest.mark.parametrize("lane", range(CFG.subscale))
def test_interpolator_solves_the_normal_equations(lane):
    M, mel, d = autocorrelations(CFG), tiny_mel(CFG, 1, lane)[:, 0], neighbours(CFG)[lane]  # noqa: N806
    r = M.astype(np.float64) @ np.exp(2 * mel.astype(np.float64))
    r[0] *= k.NOISE_FLOOR
    wanted = np.linalg.solve(r[np.abs(d[:, None] - d)], r[np.abs(d)])
    sigma = np.sqrt([r[0] - wanted @ r[np.abs(d)], r[0]])
    a, inverse = run_interpolator(M, mel, d)
    np.testing.assert_allclose(a, wanted, atol=0.5 / 4096 + 1e-9)
    np.testing.assert_allclose(inverse, 2**24 / (sigma + k.SIGMA_FLOOR), atol=0.51)


@settings(max_examples=100, deadline=None)
@given(
    any_M(41),
    ANY_MEL,
    st.integers(0, 3),
)
def test_any_file_gives_finite_integers(M, mel, lane):  # noqa: N803
    M[0] = np.maximum(np.abs(M[0]), np.float32(M_MIN))
    offsets = neighbours(lanes_config(4, 4, 4, 32))[lane]
    a, inverse = run_interpolator(M, mel, offsets)
    assert np.abs(a).max() <= 8 and (inverse >= 0).all() and (inverse <= 2**22).all()


@settings(max_examples=100, deadline=None)
@given(
    any_M(72),
    ANY_MEL,
    st.integers(1, 4),
)
def test_lanes_side_by_side_are_as_each_alone(M, mel, n_lanes):  # noqa: N803
    """One has 16 unknowns, the others 32."""
    M[0] = np.maximum(np.abs(M[0]), np.float32(M_MIN))
    lanes = neighbours(lanes_config(4, 4, 16, 32))[:n_lanes]
    offsets, n_seen = np.zeros((n_lanes, 32), np.int64), np.array([len(d) for d in lanes])
    for row, d in zip(offsets, lanes, strict=True):
        row[: len(d)] = d
    lpc, inverse = np.zeros(n_lanes * 32, np.int16), np.zeros(2 * n_lanes, np.int64)
    r, work = np.zeros(len(M)), np.full(k.n_work(32), np.nan)
    coefficients(M.reshape(-1), mel, n_seen, offsets.reshape(-1), np.zeros(3), r, work, 32, lpc, inverse)
    for lane, d in enumerate(lanes):
        a, wanted = run_interpolator(M, mel, d)
        np.testing.assert_array_equal(lpc[32 * lane : 32 * lane + len(d)], 4096 * a)
        np.testing.assert_array_equal(inverse[2 * lane : 2 * lane + 2], wanted)


def test_inputs_of_true_samples():
    """Lane by lane, by the equations; the second row begins an utterance."""
    B, rng = CFG.subscale, np.random.default_rng(0)  # noqa: N806
    M, mel = autocorrelations(CFG), np.stack([tiny_mel(CFG, 3, 5), tiny_mel(CFG, 3, 6)])  # noqa: N806
    n = 3 * CFG.mel.hop_length
    samples = rng.integers(-3000, 3000, (2, CFG.n_past + n + CFG.n_future)).astype(np.int16)
    samples[1, : CFG.n_past] = 0
    x, byte = true_inputs(CFG, M, samples, mel)
    assert x.shape == (n // B, 2 * B, CFG.n_x) and byte.shape == (2, n // B, 2 * B)
    for row in range(2):
        for lane, offsets in enumerate(neighbours(CFG)):
            d = 0
            for step in range(n // B):
                t = CFG.n_past + B * step + lane
                s = samples[row].astype(np.int64)
                a, inverse = run_interpolator(M, mel[row, :, step * B // CFG.mel.hop_length], offsets)
                a = np.rint(4096 * a).astype(np.int64)
                p, before = ((a @ s[u + offsets] + 2048) >> 12 for u in (t, t - B))
                if step == 0:
                    d = s[t - B] - before if row == 0 else 0
                wide = [d, *(s[t + offsets[:6]] - p)]
                over_sigma = [np.clip((v * inverse[0] + 2048) >> 12, -32767, 32767) for v in wide]
                found = x[step, B * row + lane]
                np.testing.assert_array_equal(found[[3, 7, 8, 9, 10, 11, 12]][: 1 + len(offsets)], over_sigma)
                assert (found[7 + len(offsets) : -1] == 0).all()
                assert found[5] == np.clip((s[t - B] * inverse[1] + 2048) >> 12, -32767, 32767)
                d = s[t] - p
                both = byte[:, step, B * row + lane].astype(int)
                assert 256 * both[0] + both[1] - k.OFFSET == d


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"subscale": 17}, "subscale: found 17, wanted 1..16, a divisor of the 80 samples of a sub-frame"),
        ({"subscale": 3}, "subscale: found 3, wanted 1..16, a divisor"),
        ({"lpc_order": 0}, "lpc_order: found 0, wanted 1..64 with subscale above 1"),
        ({"lookback": 0}, "lookback: found 0, wanted 1..64 with subscale"),
        ({"horizon": 65}, "horizon: found 65, wanted 0..64 with subscale"),
        ({"context": 33}, "context: found 33, wanted 0..32 with subscale"),
        ({"subscale": 1, "horizon": 0, "lookback": 0}, "context: found 2, wanted 0 without subscale"),
    ],
)
def test_shapes_that_cannot_be(changes, said):
    with pytest.raises(ValueError, match=said):
        WaveRNNConfig(**{"subscale": 4, "lpc_order": 16, "horizon": 2, "lookback": 4, "context": 2, **changes})
