"""The pitch comb: finds the pitch, removes noise between harmonics, leaves noise alone; the same bits everywhere."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import DATA
from model_fixtures import golden_mel, tiny_config, tiny_mel, tiny_model, with_header
from wv_runtime.commands.run import main
from wv_runtime.engine.kernels import comb as k
from wv_runtime.engine.kernels.jit import kernel
from wv_runtime.engine.native import NativeModel, NativeStream, isa_names
from wv_runtime.engine.synth import Voice
from wv_runtime.errors import FormatError
from wv_runtime.features.mel_file import save_mel
from wv_runtime.model import binary as bin_format
from wv_runtime.model.config import PRESETS
from wv_runtime.model.layout import HEADER
from wv_runtime.model.weights import Postfilter

pytest.importorskip("librosa")
from wv_runtime.features.postfilter import filter_tables  # noqa: E402

# As in test_end_to_end: SHA-256 of the PCM of data/golden_v3_int8.bin, with prediction, post-filter and comb
GOLDEN_V3 = "e539fb0cd18f2c615e9aadf99bc8ba12162cce40ecf15f8e1a3a6d5cbfbff9df"


@kernel
def comb_frame(c, x, first):
    k.comb_frame(c, x, first)


@kernel
def comb_search(c, x, first, n):
    lag = k.comb_pitch(c, k.comb_inputs(c, x, first, n))
    return k.comb_lag(c, n, lag) if lag else 0


def voiced(rate, f0, n, noise, seed=0):
    """Harmonics of f0 up to 3 kHz, and white noise; int16 range."""
    t = np.arange(n) / rate
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, 1000)
    harmonics = range(1, 1 + int(3000 / f0))
    clean = 2000 * sum(np.cos(2 * np.pi * f0 * h * t + phases[h]) for h in harmonics) / len(harmonics) ** 0.5
    return clean, np.random.default_rng(seed + 1).normal(0, noise, n)


@pytest.mark.parametrize("name", ["16k", "22k", "24k"])
@pytest.mark.parametrize("f0", [71.3, 113.0, 207.7, 371.0])
def test_finds_the_pitch(name, f0):
    cfg = PRESETS[name]
    clean, noise = voiced(cfg.sample_rate, f0, 8000, 200)
    c = k.make_comb(cfg, 1.0)
    lag = comb_search(c, (clean + noise).astype(np.int16), 4000 - cfg.win_length // 2, cfg.win_length) / 4
    period = cfg.sample_rate / f0
    assert abs(lag - period) <= 0.25 + 0.01 * period or abs(lag - 2 * period) <= 0.25  # two periods are one, too


def test_removes_noise_between_harmonics():
    cfg = PRESETS["16k"]
    clean, noise = voiced(16000, 137.0, 4000, 300)
    c = k.make_comb(cfg, 1.0)
    comb_frame(c, (clean + noise).astype(np.int16), 1500)
    wanted = clean[1500 : 1500 + cfg.win_length]
    before, after = (np.mean((y - wanted) ** 2) for y in ((clean + noise)[1500 : 1500 + cfg.win_length], c.y))
    assert after < 0.55 * before  # 3/8 where the side signals are exact: 1/4 + 1/16 + 1/16


def test_noise_and_silence_pass():
    cfg = PRESETS["16k"]
    rng = np.random.default_rng(3)
    for x in (rng.normal(0, 3000, 4000), np.zeros(4000), np.full(4000, -32768.0)):
        pcm = np.clip(x, -32768, 32767).astype(np.int16)
        c = k.make_comb(cfg, 1.0)
        comb_frame(c, pcm, 1500)
        np.testing.assert_allclose(c.y, pcm[1500 : 1500 + cfg.win_length], rtol=1e-6)


@pytest.mark.parametrize("rate", [1000, 8000, 11025, 22050, 48000, 192000])
def test_every_read_is_within_the_margin(rate):
    cfg = replace(PRESETS["16k"], sample_rate=rate, fmax=rate / 2, n_fft=2048, win_length=1600)
    c, margin = k.make_comb(cfg, 1.0), k.comb_margin(cfg) * cfg.hop_length
    for seed in range(20):
        rng = np.random.default_rng(seed)
        inside = (20000 * np.sin(np.arange(2 * margin + 1600) * rng.uniform(0.002, 0.5))).astype(np.int16)
        results = []
        for edge in (0, 32767):  # what lies beyond must not matter
            comb_frame(
                c, np.concatenate([np.full(99, edge, np.int16), inside, np.full(99, edge, np.int16)]), 99 + margin
            )
            results.append(c.y.copy())
        np.testing.assert_array_equal(*results)


def model_of(dtype, lpc_order=0, comb=0.75):
    cfg = tiny_config(lpc_order=lpc_order)
    return replace(tiny_model(dtype, cfg=cfg), postfilter=Postfilter(*filter_tables(cfg.mel), comb=comb))


@pytest.mark.parametrize(("dtype", "lpc_order"), [("f32", 0), ("int8", 6)])
@pytest.mark.slow
def test_same_bits_from_every_engine(dtype, lpc_order):
    model = model_of(dtype, lpc_order)
    mel = tiny_mel(model.config, 40) - np.float32(6)  # quiet: the random network fills the whole scale
    whole = Voice(model)(mel, seed=2)
    without = Voice(replace(model, postfilter=replace(model.postfilter, comb=0.0)))(mel, seed=2)
    assert len(whole) == 40 * 20 and (whole != without).mean() > 0.3  # the comb found periods in it
    native = NativeModel(bin_format.pack(model))
    for isa in isa_names():
        for step in (1, 40):
            stream, parts, taken = NativeStream(native, 2, 1.0, isa, max_frames=5), [], 0
            while taken < 40:
                taken += stream.push(mel[:, taken : taken + step])
                parts.append(stream.pull(7 * step))
            stream.finish()
            parts.append(stream.pull(10_000))
            np.testing.assert_array_equal(np.concatenate(parts), whole, err_msg=f"{isa}, {step}")


def test_lookahead_is_what_it_says():
    model = model_of("f32")
    for backend in ("numba", "c"):
        voice = Voice(model, backend)
        stream = voice.open()
        for _ in range(voice.lookahead):
            stream.push(tiny_mel(model.config, 1))
            assert stream.available == 0
        stream.push(tiny_mel(model.config, 1))
        assert stream.available == model.config.mel.hop_length


@pytest.mark.parametrize(
    ("version", "postfilter", "comb"),
    [(2, 2, 1.0), (3, 2, 0.0), (3, 2, -0.0), (3, 2, 1e-4), (3, 2, 1.5), (3, 2, np.nan), (3, 0, 1.0)],
)
def test_damaged_header(version, postfilter, comb):
    data = bin_format.pack(model_of("int8"))
    header = np.frombuffer(data, HEADER, 1)[0]
    assert header["version"] == 3 and header["comb"] == np.float32(0.75)
    data = with_header(data, version=version, postfilter=postfilter, comb=comb)
    for read in (bin_format.parse, NativeModel):
        with pytest.raises(FormatError) as error:
            read(data)
        assert error.value.status == "header"


def test_golden_file_of_version_3(folder, command, wv_run):
    model_path = DATA / "golden_v3_int8.bin"
    model = bin_format.load(model_path)
    assert model.version == 3 and bin_format.pack(model) == model_path.read_bytes()
    save_mel("mel.npy", golden_mel(model.config.mel.n_mels) - np.float32(6), model.config.mel)
    arguments = (model_path, "mel.npy", "--seed", 7, "--temperature", 0.7, "-o", "a.wav", "--json")
    for run in (lambda *a: command(main, *a), lambda *a: command(main, *a, "--backend", "c"), wv_run):
        result = run(*arguments)
        assert result.code == 0, result.err
        assert json.loads(result.out)["sha256"] == GOLDEN_V3
