"""Linear prediction from the mels: the predictor against float64 algebra, its gain on speech, equal bits everywhere."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import DATA
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from model_fixtures import N_FRAMES, autocorrelations, golden_mel, tiny_config, tiny_mel, tiny_model
from wv_runtime.commands.run import main
from wv_runtime.engine.kernels import predict as k
from wv_runtime.engine.kernels.jit import kernel
from wv_runtime.engine.native import NativeModel, NativeStream, isa_names
from wv_runtime.engine.numba_cpu import teacher_forced
from wv_runtime.engine.synth import Voice
from wv_runtime.features.mel_file import save_mel
from wv_runtime.model import binary as bin_format
from wv_runtime.model.layout import M_MIN
from wv_runtime.model.weights import Model

CLIPS = sorted((DATA / "clips").glob("*.flac"))
ORDER = 6
# As in test_end_to_end: SHA-256 of the PCM of data/golden_v2_int8.bin, with prediction and post-filter
GOLDEN_V2 = "8dcea8f21d229578b1649e7ca952486fb45756ffb94d02c104d01f0487496f16"


@kernel
def predictor(M, mel, work, lpc, inverse):
    k.predictor(M, mel, work, lpc, inverse)


@kernel
def log_q11(v, d):
    return k.log_q11(v, d)


def run_predictor(M, mel):  # noqa: N803
    order = len(M) - 1
    lpc, inverse = np.zeros(order, np.int16), np.zeros(2, np.int64)
    predictor(M.reshape(-1), mel, np.zeros(3 * order + 1 + len(mel)), lpc, inverse)
    return lpc[::-1] / 4096, inverse


def toeplitz_solution(M, mel):  # noqa: N803
    """a, and the deviations of residual and signal, by solving the normal equations."""
    r = M.astype(np.float64) @ np.exp(2 * mel.astype(np.float64))
    r[0] *= k.NOISE_FLOOR
    lag = np.arange(len(r) - 1)
    a = np.linalg.solve(r[np.abs(lag[:, None] - lag)], r[1:])
    return a, np.sqrt(r[0] - a @ r[1:]), np.sqrt(r[0])


@pytest.mark.parametrize("seed", range(5))
def test_predictor_solves_the_normal_equations(seed):
    cfg = tiny_config(lpc_order=ORDER)
    M, mel = autocorrelations(cfg), tiny_mel(cfg, 1, seed)[:, 0]  # noqa: N806
    a, inverse = run_predictor(M, mel)
    wanted, sigma_d, sigma_s = toeplitz_solution(M, mel)
    np.testing.assert_allclose(a, wanted, atol=0.5 / 4096 + 1e-9)
    np.testing.assert_allclose(inverse, 2**24 / (np.array([sigma_d, sigma_s]) + k.SIGMA_FLOOR), atol=0.51)


@settings(max_examples=200, deadline=None)
@given(
    arrays(np.float32, (65, 3), elements=st.floats(-(2.0**100), 2.0**100, width=32)),
    arrays(np.float32, 3, elements=st.floats(-(2.0**100), 2.0**100, width=32)),
)
def test_any_file_gives_finite_integers(M, mel):  # noqa: N803
    M[0] = np.maximum(np.abs(M[0]), np.float32(M_MIN))
    a, inverse = run_predictor(M, mel)
    assert np.abs(a).max() < 8 and (inverse >= 0).all() and (inverse <= 2**22).all()


@pytest.mark.parametrize("d", [0, 3, 5])
def test_logarithm_of_straight_pieces(d):
    v = np.array([-65535, -32768, -1000, -255, -1, 0, 1, 2, 7, 8, 100, 32767, 65535])
    exact = np.sign(v) * (np.log2(np.abs(v) + 2.0**d) - d)
    found = np.array([log_q11(int(x), d) for x in v]) / 2048
    assert np.abs(found - exact).max() < 0.087  # the chord's distance from the logarithm, and a step of Q11
    power = 2**15 - 2**d
    assert log_q11(power, d) == (15 - d) * 2048 == -log_q11(-power, d)


def test_prediction_gain_on_real_speech():
    """10 dB and more on pre-emphasised speech; the recording's own LPC of this order has about 0.1 dB more."""
    pytest.importorskip("librosa")
    from wv_runtime.engine.teacher import true_inputs
    from wv_runtime.features.mel import load_audio, log_mel
    from wv_runtime.features.prediction import prediction_matrix
    from wv_runtime.features.samples import true_samples
    from wv_runtime.model.config import WaveRNNConfig

    cfg = WaveRNNConfig(lpc_order=32)
    power = np.zeros(2)
    for path in CLIPS:
        audio = load_audio(path, 16000)
        mel, samples = log_mel(audio, cfg.mel), true_samples(audio, cfg)
        past = np.concatenate([np.zeros(cfg.lpc_order, np.int16), samples])
        x, byte = true_inputs(cfg, prediction_matrix(cfg), past[None], mel[None])
        residual = 256 * byte[0, :, 0].astype(int) + byte[1, :, 0] - k.OFFSET
        power += (samples[1:].astype(float) ** 2).sum(), (residual.astype(float) ** 2).sum()
        deviation = np.sqrt((x[1:, 0, 3].astype(float) ** 2).mean()) / 4096  # of d / sigma_d
        assert 0.7 < deviation < 1.6
    assert 10 * np.log10(power[0] / power[1]) > 10


@pytest.mark.parametrize("dtype", ["f32", "f16", "int8"])
def test_same_bits_from_every_engine(dtype):
    model = tiny_model(dtype, cfg=tiny_config(lpc_order=ORDER))
    mel = 2 * tiny_mel(model.config, 9)
    pcm = Voice(model)(mel, seed=3, temperature=0.8)
    assert len(np.unique(pcm)) > 50
    native = NativeModel(bin_format.pack(model))
    for isa in isa_names():
        for max_frames in (1, 64):
            stream, parts, taken = NativeStream(native, 3, 0.8, isa, max_frames), [], 0
            while taken < mel.shape[1]:
                taken += stream.push(mel[:, taken:])
                parts.append(stream.pull(13))
            stream.finish()
            while len(part := stream.pull(13)):
                parts.append(part)
            np.testing.assert_array_equal(np.concatenate(parts), pcm, err_msg=f"{isa}, {max_frames}")


def test_a_file_of_version_2_is_itself_again(tmp_path):
    model = tiny_model("int8", cfg=tiny_config(lpc_order=ORDER))
    data = bin_format.pack(model)
    again = bin_format.parse(data)
    assert data[8] == 2 and again.config.lpc_order == ORDER and bin_format.pack(again) == data
    np.testing.assert_array_equal(again.M, model.M)


@pytest.mark.parametrize("dtype", ["f32", "int8"])
def test_what_is_drawn_is_as_likely_as_teacher_forcing_says(dtype):
    """The samples of a stream, given back as true ones, lead to the same bytes: both loops keep the same state."""
    model = tiny_model(dtype, cfg=tiny_config(lpc_order=ORDER, preemphasis=0.0))
    mel = tiny_mel(model.config, 9)
    pcm = Voice(model)(mel, seed=1)
    logits_c, _, byte = teacher_forced(model, np.concatenate([[0], pcm]).astype(np.int16), mel)
    other, _, _ = teacher_forced(model, np.concatenate([[0], pcm[:100], pcm[100:] ^ 1]).astype(np.int16), mel)
    assert byte.shape == (len(pcm), 2) and np.isfinite(logits_c).all()
    np.testing.assert_array_equal(logits_c[:101], other[:101])
    assert not np.array_equal(logits_c[102], other[102])


def test_torch_and_numba_agree():
    torch = pytest.importorskip("torch")
    pytest.importorskip("librosa")
    from wv_runtime.features.prediction import prediction_matrix
    from wv_runtime.model.blocks import dense_of
    from wv_runtime.model.config import precondition
    from wv_train.model import WaveRNN

    cfg = tiny_config(lpc_order=ORDER)
    model = tiny_model("f32", cfg=cfg)
    model = Model(cfg, model.matrices, model.I, {}, prediction_matrix(cfg))
    net = WaveRNN(cfg).eval()
    with torch.no_grad():
        for name, m in model.matrices.items():
            W, bias = dense_of(m)
            net.get_parameter(name).copy_(torch.from_numpy(W.copy()))
            net.get_parameter("b_" + name).copy_(torch.from_numpy(bias.copy()))
        net.I_raw.copy_(torch.from_numpy(model.I.T @ np.linalg.inv(np.array(precondition(cfg)))))
        mel = tiny_mel(cfg, 9) - 2
        samples = (300 * np.sin(np.arange(9 * 20 + 1) / 3)).astype(np.int16)
        samples[0] = 0
        padded = np.pad(mel, ((0, 0), (1, 1)), mode="edge")
        past = np.concatenate([np.zeros(ORDER, np.int16), samples])
        wanted = net(torch.from_numpy(past[None]), torch.from_numpy(padded[None]))
    for found, z in zip(teacher_forced(model, samples, mel)[:2], wanted, strict=True):
        np.testing.assert_allclose(found, z[0].numpy(), atol=2e-3)


def test_golden_file_of_version_2(folder, command, wv_run):
    model_path = DATA / "golden_v2_int8.bin"
    cfg = bin_format.load(model_path).config
    save_mel("mel.npy", golden_mel(cfg.mel.n_mels), cfg.mel)
    arguments = (model_path, "mel.npy", "--seed", 7, "--temperature", 0.7, "-o", "a.wav", "--json")
    for run in (lambda *a: command(main, *a), lambda *a: command(main, *a, "--backend", "c"), wv_run):
        result = run(*arguments)
        assert result.code == 0, result.err
        assert json.loads(result.out)["sha256"] == GOLDEN_V2
    assert N_FRAMES == 17
