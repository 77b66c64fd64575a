"""The Numba kernels against NumPy: mat-vecs, nonlinearities, gates, sampling. (C against Numba: test_end_to_end.)"""

from __future__ import annotations

import re
from dataclasses import replace

import naive
import numpy as np
import pytest
from model_fixtures import random_matrix, tiny_config, tiny_mel, tiny_model
from numba import njit
from wv_runtime.engine.kernels import derive, gates, sample, spmv
from wv_runtime.engine.kernels.simd import ISA, Q_BIAS, SHORTS
from wv_runtime.engine.numba_cpu import teacher_forced

BLOCKS = [(h, w) for h in (4, 8, 16, 32) for w in (1, 2, 4)]


@njit
def run_linear(tile, x, y_min, q, y):
    spmv.linear(tile, x, y_min, q, y)


@njit
def run_q_to_q10(tile, x, q, y):
    spmv.quantize(tile.cols, x, tile.x_scale, tile.x_zero, q)
    spmv.linear_q_to_q10(tile, q, y)


@njit
def run_q_to_q(tile, following, x, q, y):
    spmv.quantize(tile.cols, x, tile.x_scale, tile.x_zero, q)
    spmv.linear_q_to_q(tile, q, following, y)


@njit
def run_tanh(x):
    gates.tanh_inplace(len(x), x)


@njit
def run_tanh_q15(x, y, z):
    for i in range(0, len(x), SHORTS):
        gates.store(y, i, gates.tanh_q15(gates.load(SHORTS, x, i)))
        gates.store(z, i, gates.sigmoid_q15(gates.load(SHORTS, x, i)))


@njit
def run_sigmoid_den(x, y):
    for i in range(0, len(x), 16):
        gates.store(y, i, gates.sigmoid_den(gates.load(16, x, i)))


@njit
def run_gates(n_units, first, n_x, a, g, I, x, h):
    gates.gates(n_units, first, n_x, a, g, I, x, h)


@njit
def run_gates_q(n_units, first, n_x, a, g, I, I_shift, x, h, h_q):
    gates.gates_q(n_units, first, n_x, a, g, I, I_shift, x, h, h_q)


@njit
def draw(logits, k, bits, p):
    return sample.sample_byte(logits, k, bits, p)


@njit
def draw_bits(seed, t):
    return sample.random_bits(seed, t)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_float_matvec_is_format_md_bit_for_bit(dtype, block):
    rng = np.random.default_rng(0)
    m = random_matrix(rng, "R", 192, 64, dtype, block, max_blocks=9)
    assert len(set(np.diff(m.row_ptr))) > 2, "wants rows of several lengths"
    x, y = rng.normal(size=64).astype(np.float32), np.empty(192, np.float32)
    for y_min in (spmv.NO_FLOOR, np.float32(0)):
        run_linear(spmv.tile(m), x, y_min, np.empty(64, np.int8), y)
        np.testing.assert_array_equal(y, naive.round_robin(m, x, y_min))


@pytest.mark.parametrize("block_h", [4, 8, 16, 32])
def test_int8_matvec_is_exact(block_h):
    rng = np.random.default_rng(1)
    m = random_matrix(rng, "R", 96, 64, "int8", (block_h, 4), max_blocks=9)
    following = random_matrix(rng, "O2", 32, 96, "int8", (16, 4))
    W, x = naive.dense(m).astype(np.int64), rng.uniform(-1.2, 1.2, 64).astype(np.float32)
    v = np.clip(x * np.float32(m.x_scale) + np.float32(m.x_zero + 128.5), np.float32(1), np.float32(255))
    q = np.trunc(v).astype(np.int64) - 128
    assert q.min() == -127 and q.max() == 127, "wants inputs beyond both ends"
    start = np.floor(m.bias.astype(np.float64) / m.scale + 0.5).astype(np.int64)
    s = (start + W @ q).astype(np.float32) * m.scale

    scratch, tile = np.empty(64, np.int8), spmv.tile(m)
    y = np.empty(96, np.float32)
    run_linear(tile, x, spmv.NO_FLOOR, scratch, y)
    np.testing.assert_array_equal(y, s)

    y_q10 = np.empty(96, np.int16)
    run_q_to_q10(tile, x, scratch, y_q10)
    np.testing.assert_array_equal(y_q10, np.trunc(s * np.float32(1024) + np.float32(32768.5)) - 32768)

    y_q = np.empty(96, np.int8)
    run_q_to_q(tile, spmv.tile(following), x, scratch, y_q)
    v = np.clip(s * np.float32(following.x_scale) + np.float32(following.x_zero + 128.5), 1, 255)
    np.testing.assert_array_equal(y_q.view(np.uint8), (np.trunc(v).astype(int) - 128 + Q_BIAS) % 256)


@pytest.mark.parametrize("dtype", ["f16", "int8"])
def test_a_matvec_keeps_the_registers_to_itself(dtype):
    """It is called: inlined into the sample loop, the int8 sampler with 8x4 blocks was 22 % slower than C."""
    rng, y = np.random.default_rng(3), np.empty(64, np.float32)
    tile = spmv.tile(random_matrix(rng, "R", 64, 64, dtype, (16, 4 if dtype == "int8" else 1)))
    run = njit(lambda tile, x, q, y: spmv.linear(tile, x, spmv.NO_FLOOR, q, y))
    run(tile, np.zeros(64, np.float32), np.empty(64, np.int8), y)
    (asm,) = run.inspect_asm().values()
    (matvec,) = re.findall(r"^_ZN\S*spmv\S*:\n.*?^\.Lfunc_end", asm, flags=re.DOTALL | re.MULTILINE)
    assert asm.count(re.match(r"\S*(?=:)", matvec)[0]) >= 3, "it is not called"
    if ISA == "avx512vnni":
        assert "zmm" in matvec


def test_int8_extremes_do_not_saturate():
    """The largest legal pairs against the largest inputs, both signs: |sum| reaches 4 * 64 * 127 and more in a quad."""
    rng = np.random.default_rng(2)
    m = random_matrix(rng, "R", 32, 64, "int8", (8, 4))
    for w in ([64, 64, 64, 64], [127, 1, 127, 1], [-127, -1, -64, -64]):
        m = replace(m, values=np.tile(np.array(w, np.int8), len(m.values) // 4))
        for sign in (1, -1):
            y, x = np.empty(32, np.float32), np.full(64, 2.0 * sign, np.float32)
            run_linear(spmv.tile(m), x, spmv.NO_FLOOR, np.empty(64, np.int8), y)
            start = np.floor(m.bias.astype(np.float64) / m.scale + 0.5).astype(np.int64)
            exact = (start + sign * 127 * 16 * sum(w)).astype(np.float32) * m.scale
            np.testing.assert_array_equal(y, exact)


def test_tanh_error():
    x = np.linspace(-20, 20, 2**20, dtype=np.float32)
    y = x.copy()
    run_tanh(y)
    assert np.abs(y - np.tanh(x.astype(np.float64))).max() < 1.9e-5
    assert np.abs(y).max() <= 1 and np.array_equal(y, -y[::-1])


def test_fixed_point_tanh_and_sigmoid_error_over_all_inputs():
    x = np.arange(-32768, 32768).astype(np.int16)
    y, z = np.empty_like(x), np.empty_like(x)
    run_tanh_q15(x, y, z)
    real, inside = x / 1024.0, np.abs(x.astype(int)) < 3584
    error = np.abs(y / 32768.0 - np.tanh(real))
    assert error[inside].max() < 9.4e-5 and error.max() < 6.5e-4
    assert y.max() == 32767 and z.max() == 32767, "u must reach 1"
    assert np.abs(z / 32768.0 - 1 / (1 + np.exp(-real))).max() < 3.4e-4


def test_sigmoid_keeps_its_relative_error_in_both_tails():
    x = np.linspace(-20, 20, 2**20, dtype=np.float32)
    y = np.empty_like(x)
    run_sigmoid_den(x, y)
    wanted = 1 + np.exp(-x.astype(np.float64))
    assert np.abs(y / wanted - 1).max() < 6e-6
    assert np.abs((y.astype(np.float64) - 1) / (wanted - 1) - 1)[x < 8].max() < 1e-3  # above, 1 + E rounds E away


@pytest.mark.parametrize("half", [0, 1])
def test_gates_against_the_equations(half):
    rng, N = np.random.default_rng(3), 64
    a, g = rng.normal(size=(2, 3 * N)).astype(np.float32) * 2
    I = rng.normal(size=(3, 3 * N)).astype(np.float32)  # noqa: E741
    I.reshape(3, 3, 2, N // 2)[2, :, 0] = 0
    h, bytes_ = rng.uniform(-1, 1, N).astype(np.float32), np.array([131, 7, 250])
    x = (bytes_ / 127.5 - 1).astype(np.float32)
    u, r, e = (g.astype(np.float64) + x @ I.astype(np.float64)).reshape(3, N)
    a_u, a_r, a_e = a.astype(np.float64).reshape(3, N)
    u, r = naive.sigmoid(u + a_u), naive.sigmoid(r + a_r)
    wanted = u * h + (1 - u) * np.tanh(r * a_e + e)
    mine = slice(half * N // 2, (half + 1) * N // 2)
    untouched = slice((1 - half) * N // 2, (2 - half) * N // 2)

    got = h.copy()
    run_gates(N, half * N // 2, 2 + half, a, g, I.reshape(-1), x, got)
    assert np.abs(got - wanted)[mine].max() < 1e-4
    np.testing.assert_array_equal(got[untouched], h[untouched])

    I_q, I_shift = derive.quantize_I(I * 20, lpc_order=0)
    assert I_shift > 0, "wants the doublings"
    u, r, e = (g.astype(np.float64) + x @ I.astype(np.float64) * 20).reshape(3, N)
    u, r = naive.sigmoid(u + a_u), naive.sigmoid(r + a_r)
    wanted = u * h + (1 - u) * np.tanh(r * a_e + e)
    q10 = [np.round(v * 1024).astype(np.int16) for v in (a, g)]
    got, h_q = np.round(h * 32767).astype(np.int16), np.zeros(N, np.int8)
    run_gates_q(N, half * N // 2, 2 + half, *q10, I_q, I_shift, ((2 * bytes_ - 255) * 128).astype(np.int16), got, h_q)
    assert np.abs(got / 32768 - wanted)[mine].max() < 4e-3
    levels = np.minimum((got[mine].astype(int) + 128) >> 8, 127)
    np.testing.assert_array_equal(h_q.view(np.uint8)[mine], (levels + Q_BIAS) % 256)


def test_random_bits_is_splitmix64():
    """The first outputs of the published generator for seed 1234567."""
    wanted = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert [int(draw_bits(np.uint64(1234567), np.uint64(t))) for t in range(4)] == wanted


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_sampling_follows_the_softmax(temperature):
    rng, p = np.random.default_rng(4), np.zeros(272, np.int32)
    logits = rng.normal(size=256).astype(np.float32) * 3
    k, n = np.float32(1.4426950408889634 / temperature), 200_000
    counts = np.zeros(256)
    for bits in (np.arange(n, dtype=np.uint64) * np.uint64(2**32) // np.uint64(n)).tolist():  # an even grid of draws
        counts[draw(logits, k, np.uint64(bits), p)] += 1
    wanted = np.exp(naive.log_softmax(logits.astype(np.float64)[None] / temperature)[0])
    assert np.abs(counts / n - wanted).max() < 2e-5


def test_sampling_is_the_first_cumulative_sum_above_the_threshold():
    p, k = np.zeros(272, np.int32), np.float32(1)
    logits = np.full(256, -1000, np.float32)
    logits[[0, 17, 255]] = 3  # p = 2^23 each, all others 2^23 * 2^-30 = 0
    for bits, wanted in [(0, 0), (2**32 // 3, 0), (2**32 // 3 + 1, 17), (2 * 2**32 // 3 + 1, 255), (2**32 - 1, 255)]:
        assert draw(logits, k, np.uint64(bits), p) == wanted, bits
    assert sorted(set(p.tolist())) == [0, 2**23]


@pytest.mark.parametrize(("dtype", "bound"), [("f32", 1e-4), ("f16", 1e-4), ("int8", 0.02)])
@pytest.mark.slow
def test_network_against_the_oracle(dtype, bound):
    model = tiny_model(dtype, cfg=tiny_config(n_units=128))
    mel = tiny_mel(model.config, 5)
    samples = (np.random.default_rng(5).normal(size=101) * 3000).astype(np.int16)
    for got, wanted in zip(teacher_forced(model, samples, mel), naive.logits(model, samples, mel)):
        assert got.shape == (100, 256)
        difference = naive.log_softmax(got.astype(np.float64)) - naive.log_softmax(wanted)
        assert np.abs(difference).mean() < bound
