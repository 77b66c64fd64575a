"""The mel post-filter: its FFT and tables, what it does to a mel, and the same bits however a stream is cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import DATA
from model_fixtures import tiny_config, tiny_mel, tiny_model, with_header
from wv_runtime.engine.kernels import postfilter as k
from wv_runtime.engine.kernels.jit import kernel
from wv_runtime.engine.native import NativeModel, NativeStream, isa_names
from wv_runtime.engine.synth import Voice
from wv_runtime.errors import FormatError
from wv_runtime.model import binary as bin_format
from wv_runtime.model.config import PRESETS
from wv_runtime.model.layout import HEADER
from wv_runtime.model.weights import Postfilter

pytest.importorskip("librosa")
from wv_runtime.features.mel import load_audio, log_mel, mel_basis  # noqa: E402
from wv_runtime.features.postfilter import filter_tables  # noqa: E402

CLIP = DATA / "clips/arctic_a0281.flac"
CFG = PRESETS["16k"]
TABLES = Postfilter(*filter_tables(CFG))


@kernel
def make_tables(n_fft, window, cosine, sine):
    k.make_tables(n_fft, window, cosine, sine)


@kernel
def fft(n_fft, cosine, sine, re, im, re_2, im_2):
    k.fft(n_fft, cosine, sine, re, im, re_2, im_2)


@kernel
def filter_hop(f, mel, ours):
    return k.filter_hop(f, mel, ours)


def zeros(n):
    return np.zeros(n, np.float32)


@pytest.mark.parametrize("n", [16, 32, 64, 128, 256, 512, 1024, 2048, 4096])
def test_fft(n):
    window, cosine, sine = zeros(n - 4), zeros(n // 2), zeros(n // 2)
    make_tables(n, window, cosine, sine)
    turn = 2 * np.pi * np.arange(n // 2) / n
    np.testing.assert_allclose(cosine, np.cos(turn), atol=6e-8)
    np.testing.assert_allclose(sine, -np.sin(turn), atol=6e-8)
    np.testing.assert_allclose(window, np.sin(np.pi * np.arange(n - 4) / (n - 4)) ** 2, atol=6e-8)
    re, im = np.random.default_rng(n).normal(size=(2, n)).astype(np.float32)
    wanted = np.fft.fft(re.astype(np.float64) + 1j * im)
    fft(n, cosine, sine, re, im, zeros(n), zeros(n))
    assert np.abs(re + 1j * im - wanted).max() < 1e-6 * np.abs(wanted).max()


@pytest.mark.parametrize("name", PRESETS)
def test_tables_are_the_mel_basis(name):
    cfg = PRESETS[name]
    band, weight = filter_tables(cfg)
    basis = np.zeros((cfg.n_mels + 2, cfg.n_fft // 2 + 1))
    basis[band + 1, np.arange(len(band))] += weight[0]
    basis[band + 2, np.arange(len(band))] += weight[1]
    np.testing.assert_allclose(basis[1:-1], mel_basis(cfg), atol=1e-7)
    assert not basis[0].any() and not basis[-1].any()


def filtered(pcm, mel, tables=TABLES, stats=k.NO_STATS):
    f = k.make_filter(CFG, tables, stats)
    out, frames, n = [], np.ascontiguousarray(mel.T), mel.shape[1]
    for i in range(n + k.filter_delay(CFG, tables)):
        f.hop[:] = pcm[i * CFG.hop_length : (i + 1) * CFG.hop_length] if i < n else 0
        if filter_hop(f, frames[min(i, n - 1)], i < n):
            out.append(f.hop.copy())
    return np.concatenate(out)


def test_audio_that_has_its_mel_already_passes():
    audio = load_audio(CLIP, 16000)
    mel = log_mel(audio, CFG)
    pcm = np.round(32767 * audio[: mel.shape[1] * 160]).astype(np.int16)
    error = filtered(pcm, mel).astype(float) - pcm
    assert 10 * np.log10((error**2).sum() / (pcm.astype(float) ** 2).sum()) < -60


def test_it_brings_the_level_of_a_band_back():
    audio = load_audio(CLIP, 16000)
    mel = log_mel(audio, CFG)
    pcm = np.round(32767 * audio[: mel.shape[1] * 160]).astype(np.int16)
    rng = np.random.default_rng(0)
    octaves = np.kron(rng.integers(-1, 2, (8, 1 + mel.shape[1] // 40)), np.ones((10, 40)))[:, : mel.shape[1]]
    wanted = (mel + np.log(2) * octaves).astype(np.float32)
    errors = [log_mel(p / np.float32(32768), CFG) - wanted for p in (pcm, filtered(pcm, wanted))]
    before, after = (np.abs(e[mel > -5]).mean() for e in errors)
    assert after < 0.3 * before


def test_noise_of_the_recordings_goes():
    """Where the mel lies at their noise all of `denoise` goes, where it lies far above nothing."""
    n = 40 * CFG.hop_length
    noise = np.random.default_rng(0).normal(size=2 * n)
    pcm = (noise * np.repeat([3000, 3000 * np.exp(-5)], n)).astype(np.int16)
    mel = log_mel(pcm / np.float32(32768), CFG)
    stats = np.stack([mel[:, 45:75].mean(axis=1) + 3, np.full(80, 2, np.float32)])
    plain, less = (filtered(pcm, mel, replace(TABLES, denoise=d), stats).astype(float) for d in (0.0, 6.0))
    ratio = [10 * np.log10((less[part] ** 2).mean() / (plain[part] ** 2).mean()) for part in
             (slice(1600, 4800), slice(8000, 11200))]  # fmt: skip
    assert abs(ratio[0]) < 0.01 and abs(ratio[1] + 6) < 0.5


def model_of(dtype, lpc_order=0, on=True, denoise=0.0):
    cfg = tiny_config(lpc_order=lpc_order)
    stats = np.tile(np.float32([[-3], [2]]), cfg.mel.n_mels) if denoise else np.zeros((0, 0), np.float32)
    tables = Postfilter(*filter_tables(cfg.mel), on=on, denoise=denoise)
    return replace(tiny_model(dtype, cfg=cfg), postfilter=tables, mel_stats=stats)


@pytest.mark.parametrize(
    ("dtype", "lpc_order", "denoise"), [("f32", 0, 0.0), ("int8", 0, 0.0), ("int8", 6, 0.0), ("int8", 6, 3.0)]
)
def test_same_bits_from_every_engine(dtype, lpc_order, denoise):
    model = model_of(dtype, lpc_order, denoise=denoise)
    mel = tiny_mel(model.config, 11) - np.float32(5)  # quiet: the random network fills the whole scale
    if denoise:
        without = replace(model, postfilter=replace(model.postfilter, denoise=0.0))
        assert (Voice(model)(mel, seed=2) != Voice(without)(mel, seed=2)).mean() > 0.3
    whole = Voice(model)(mel, seed=2)
    plain = Voice(model, postfilter=False)(mel, seed=2)
    assert len(whole) == len(plain) == 11 * 20 and not np.array_equal(whole, plain)
    np.testing.assert_array_equal(plain, Voice(replace(model, postfilter=None))(mel, seed=2))
    native = NativeModel(bin_format.pack(model))

    def streams():
        yield "numba", Voice(model).open(2)
        for isa in isa_names():
            yield isa, NativeStream(native, 2, 1.0, isa, max_frames=3)

    for n in (1, 7, 20, 1000):
        for name, stream in streams():
            parts, taken = [], 0
            while taken < mel.shape[1]:
                taken += stream.push(mel[:, taken : taken + 2])
                while stream.available >= n:
                    parts.append(stream.pull(n))
                    assert len(parts[-1]) == n
                if taken < mel.shape[1]:
                    parts.append(stream.pull(stream.available))
            stream.finish()
            while len(part := stream.pull(n)):
                parts.append(part)
            np.testing.assert_array_equal(np.concatenate(parts), whole, err_msg=f"{name}, {n}")


def test_reset_forgets():
    model = model_of("int8")
    mel, stream = tiny_mel(model.config, 9), NativeStream(NativeModel(bin_format.pack(model)))
    both = []
    for _ in range(2):
        assert stream.push(mel) == 9
        stream.finish()
        both.append(stream.pull(10_000))
        stream.reset(0)
    np.testing.assert_array_equal(*both)


def test_lookahead_is_what_it_says():
    model = model_of("f32")
    voice = Voice(model)
    stream = voice.open()
    stream.push(tiny_mel(model.config, voice.lookahead))
    assert stream.available == 0
    stream.push(tiny_mel(model.config, 1))
    assert stream.available == model.config.mel.hop_length


def test_a_file_says_whether_it_is_on():
    for on in (False, True):
        model = model_of("int8", on=on)
        data = bin_format.pack(model)
        again = bin_format.parse(data)
        assert bin_format.pack(again) == data and again.version == 2 and again.postfilter.on == on
        assert Voice(again).postfilter == Voice(again, "c").postfilter == on
        assert NativeStream(NativeModel(data)).push(tiny_mel(model.config, 3)) == 3
    with pytest.raises(ValueError, match="without its tables"):
        Voice(tiny_model(), postfilter=True)


@pytest.mark.parametrize(("field", "value"), [("band", 8), ("band", -2), ("weight", 1.5), ("weight", np.nan)])
def test_damaged_tables(field, value):
    raw = bytearray(bin_format.pack(model_of("int8")))
    header = np.frombuffer(raw, HEADER, 1)[0]
    kind = "<i4" if field == "band" else "<f4"
    np.frombuffer(raw, kind, 1, int(header[field]))[:] = value
    data = bin_format.with_checksum(bytes(raw))
    with pytest.raises(FormatError) as error:
        bin_format.parse(data)
    assert error.value.status == "values"
    with pytest.raises(FormatError) as error:
        NativeModel(data)
    assert error.value.status == "values"


@pytest.mark.parametrize(
    ("version", "postfilter", "denoise"),
    [(4, 2, 3.0), (5, 2, 0.0), (5, 2, -0.0), (5, 2, 0.05), (5, 2, 40.5), (5, 2, np.nan), (5, 0, 3.0)],
)
def test_damaged_header(version, postfilter, denoise):
    data = bin_format.pack(model_of("int8", denoise=40.0))
    header = np.frombuffer(data, HEADER, 1)[0]
    assert header["version"] == 5 and header["denoise"] == 40
    data = with_header(data, version=version, postfilter=postfilter, denoise=denoise)
    for read in (bin_format.parse, NativeModel):
        with pytest.raises(FormatError) as error:
            read(data)
        assert error.value.status == "header"


def test_denoise_wants_the_statistics_of_the_mels():
    with pytest.raises(ValueError, match="without mel_stats"):
        replace(model_of("int8", denoise=3.0), mel_stats=np.zeros((0, 0), np.float32))
