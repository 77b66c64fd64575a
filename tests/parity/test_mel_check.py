"""Mels that are not those of training get an exact warning, clean ones none; both languages say the same."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import DATA, ROOT
from mel_mistakes import mistakes
from model_fixtures import tiny_config, tiny_mel, tiny_model
from wv_export import convert
from wv_runtime.commands import run as cli
from wv_runtime.engine.native import NativeModel, library
from wv_runtime.engine.synth import Voice
from wv_runtime.errors import FormatError
from wv_runtime.features import mel_check
from wv_runtime.features.mel_check import ADVICE, check_audio, check_mels
from wv_runtime.features.mel_file import save_mel
from wv_runtime.model import binary
from wv_runtime.model.config import PRESETS
from wv_runtime.model.layout import HEADER

CLIPS = sorted((DATA / "clips").glob("*.flac"))
CFG = PRESETS["16k"]
# what does not show in so short a clip, or looks like another preset
UNSURE = {("arctic_b0024", "22k"), ("arctic_b0024", "24k"), ("arctic_b0182", "22k"), ("arctic_b0182", "24k")}


@cache
def trained():
    """The statistics of the bundled voice, in a network of random weights."""
    stats = convert.to_model(convert.read_checkpoint(str(ROOT / "voices/kathleen16/model.pt")), "int8").mel_stats
    return replace(tiny_model("int8", cfg=tiny_config(mel=CFG)), mel_stats=stats)


@cache
def made(clip):
    return mistakes(clip, CFG)


@pytest.mark.parametrize("what", made(CLIPS[0]))
def test_each_mistake_is_named(what):
    native = NativeModel(binary.pack(trained()))
    for clip in CLIPS:
        mel = made(clip)[what]
        found, in_c = check_mels(trained(), mel), native.check(mel)
        assert found.cause == in_c.cause
        assert (found.offset, found.step) == pytest.approx((in_c.offset, in_c.step), abs=1e-6)
        if (clip.stem, what) not in UNSURE:
            assert found.cause == what.split()[0], clip.stem
        assert found.doubtful == (found.cause != "fit")


@pytest.mark.parametrize("gain", [0.5, 1, 2, 8])
def test_log1p_and_linear_are_told_apart_at_any_level(gain):
    native = NativeModel(binary.pack(trained()))
    for clip in CLIPS:
        linear = made(clip)["linear"] * np.float32(gain)
        for cause, mel in (("linear", linear), ("log1p", np.log1p(linear))):
            assert check_mels(trained(), mel).cause == native.check(mel).cause == cause, clip.stem


def test_both_languages_say_the_same_of_anything():
    native, rng, causes = NativeModel(binary.pack(trained())), np.random.default_rng(0), set()
    for clip in CLIPS:
        for mel in made(clip).values():
            for _ in range(4):
                n = int(rng.integers(1, mel.shape[1]))
                part = mel[:, -n:] * np.float32(rng.choice([1, 1, 1.5, 0.3])) + np.float32(rng.choice([0, 0, -2, 3]))
                found = check_mels(trained(), part)
                assert found.cause == native.check(part).cause
                causes.add(found.cause)
    assert len(causes) > 15


def test_same_causes_and_texts():
    lib, names = library(), []
    while name := lib.wv_mels_name(len(names)):
        names.append(name.decode())
        assert lib.wv_mels_advice(len(names) - 1).decode() == ADVICE[names[-1]]
    assert names == list(ADVICE) and lib.wv_mels_advice(-1) is None


@pytest.mark.parametrize("n_frames", [0, 1, 39])
def test_very_short_input_is_not_judged(n_frames):
    mel = np.zeros((80, n_frames), np.float32) + np.arange(80, dtype=np.float32)[:, None] / 40
    assert check_mels(trained(), mel).cause == NativeModel(binary.pack(trained())).check(mel).cause == "unchecked"


def test_silence_and_constant_frames_are_not_judged():
    for value in (np.log(1e-5), 0.0, 1.0):
        mel = np.full((80, 500), value, np.float32)
        assert check_mels(trained(), mel).cause == NativeModel(binary.pack(trained())).check(mel).cause == "unchecked"


def test_without_statistics_nothing_is_judged():
    model = tiny_model(cfg=tiny_config(mel=CFG))
    assert model.version == 1 and check_mels(model, made(CLIPS[0])["log10"]).cause == "unchecked"


def test_the_file_keeps_the_statistics(tmp_path):
    binary.save(trained(), tmp_path / "v.bin")
    back = binary.load(tmp_path / "v.bin")
    assert back.version == 4
    np.testing.assert_array_equal(back.mel_stats, trained().mel_stats)
    assert binary.pack(back) == (tmp_path / "v.bin").read_bytes()
    mel = tiny_mel(back.config)
    np.testing.assert_array_equal(
        Voice(back, "c")(mel), Voice(replace(back, mel_stats=np.zeros((0, 0), "f4")), "c")(mel)
    )


@pytest.mark.parametrize("value, row, status", [(np.nan, 0, "values"), (0.0, 1, "values"), (-1.0, 1, "values")])
def test_damaged_statistics(value, row, status):
    data = bytearray(binary.pack(trained()))
    at = int(np.frombuffer(data[:192], HEADER)["mel_stats"][0]) + 4 * 80 * row
    data[at : at + 4] = np.float32(value).tobytes()
    data = binary.with_checksum(bytes(data))
    for read in (binary.parse, NativeModel):
        with pytest.raises(FormatError) as e:
            read(data)
        assert e.value.status == status


def test_level_and_clipping():
    native, mel = NativeModel(binary.pack(trained())), made(CLIPS[0])["fit"]
    from wv_runtime.features.mel import load_audio

    audio = load_audio(CLIPS[0], CFG.sample_rate)[: mel.shape[1] * CFG.hop_length]
    for gain, doubtful in ((1.0, False), (0.5, True), (2.0, True), (0.7, False)):
        pcm = np.clip(np.rint(audio * gain * 32767), -32768, 32767).astype(np.int16)
        found, in_c = check_audio(CFG, mel, pcm), native.check_audio(mel, pcm)
        assert found.clipped == in_c.clipped and found.level_db == pytest.approx(in_c.level_db, abs=1e-6)
        assert found.doubtful == in_c.doubtful == doubtful
        assert found.level_db == pytest.approx(0.8 + 20 * np.log10(gain), abs=0.7)
    square = np.where(np.arange(len(audio)) % 40 < 20, 32767, -32768).astype(np.int16)
    assert check_audio(CFG, mel, square).clipped == native.check_audio(mel, square).clipped == len(square)
    silence = np.full_like(mel, np.log(CFG.log_floor))
    assert not check_audio(CFG, silence, np.ones(len(audio), np.int16)).doubtful
    assert not check_audio(CFG, mel[:, :0], square[:0]).doubtful


@pytest.fixture
def voice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    binary.save(trained(), tmp_path / "v.bin")
    for name in ("fit", "log10"):
        save_mel(tmp_path / f"{name}.npy", made(CLIPS[0])[name][:, :120], CFG)


def test_a_warning_or_with_strict_a_refusal(program, voice):
    mistake = program("v.bin", "log10.npy", "--json")
    assert mistake.code == 0 and json.loads(mistake.out)["mels"] == "log10" and Path("out.wav").exists()
    warning = mistake.err.splitlines()[0]
    assert warning.startswith(f"{program.name}: warning: log10.npy: found mels unlike those of training (mean +")
    assert warning.endswith(ADVICE["log10"])
    Path("out.wav").unlink()
    strict = program("v.bin", "log10.npy", "--strict")
    assert strict.code == 1 and strict.out == "" and strict.err.count("\n") == 1
    assert strict.err == warning.replace("warning", "error") + "\n" and not Path("out.wav").exists()
    fit = json.loads(program("v.bin", "fit.npy", "--json").out)
    assert fit["mels"] == "fit" and fit["clipped"] >= 0 and np.isfinite(fit["level_db"])


@pytest.mark.parametrize("cause", ["linear", "log1p"])
def test_what_the_reader_alone_tells(program, voice, cause):
    """Where no value is below zero, the mels are refused as they are read."""
    save_mel("bad.npy", made(CLIPS[1])[cause] * np.float32(2), CFG)
    result = program("v.bin", "bad.npy")
    assert result.code == 1 and result.err.endswith(f"; {ADVICE[cause]}\n") and result.err.count("\n") == 1


def test_strict_refuses_noise(program, voice):
    """A network of random weights makes noise of every mel: mels that fit are no excuse."""
    loud = program("v.bin", "fit.npy", "-o", "a.wav")
    assert loud.code == 0 and loud.err.count("\n") == 1 and ": warning: a.wav: found " in loud.err
    assert "dB over that of the mels" in loud.err
    strict = program("v.bin", "fit.npy", "-o", "b.wav", "--strict")
    assert strict.code == 1 and strict.err.count("\n") == 1 and not Path("b.wav").exists()


def test_both_programs_warn_in_the_same_words(command, wv_run, voice):
    for mel in ("fit.npy", "log10.npy"):
        ours, c = command(cli.main, "v.bin", mel).err, wv_run("v.bin", mel).err
        assert ours.replace("wv-run: ", "") == c.replace("wv_run: ", "")


@pytest.mark.parametrize(
    "change, cause",
    [
        (lambda m: 0 * m, "zeros"),
        (lambda m: (m + 12) / 14, "0..1"),
        (lambda m: np.log1p(0.4 * np.exp(m)), "log1p"),
        (lambda m: (m + 8) / 3, "other"),
        (lambda m: 2 * m - 8, "power"),
        (lambda m: np.log2(np.maximum(np.exp(3 * m), 1e-5)), "log2"),
        (lambda m: 8.7 * m - 40, "decibels"),
        (lambda m: 1e30 * m, "other"),
        (lambda m: m + 10.4, "integers"),
    ],
)
def test_what_the_range_alone_tells(program, folder, change, cause):
    """Also of a voice without statistics."""
    mel = np.random.default_rng(0).uniform(-6, 1, (8, 30)).astype(np.float32)
    np.save("bad.npy", change(mel).astype(np.float32))
    result = program("tiny.bin", "bad.npy")
    assert result.code == 1 and result.err.endswith(f"; {ADVICE[cause]}\n"), result.err


def test_edges_are_librosas():
    import librosa

    for fmin, fmax, htk in ((0, 8000, False), (80, 7600, False), (0, 12000, True)):
        ours = mel_check.band_edges(80, fmin, fmax, htk)
        np.testing.assert_allclose(
            ours, librosa.mel_frequencies(82, fmin=fmin, fmax=fmax, htk=htk), rtol=1e-9, atol=1e-9
        )
