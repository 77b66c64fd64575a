"""wv_mel in C against the Python definition: real speech, every preset, any cut, the edges of short clips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import DATA
from model_fixtures import tiny_config, tiny_model
from wv_runtime.engine.native import NativeMel, NativeModel
from wv_runtime.model import binary as bin_format
from wv_runtime.model.config import PRESETS

pytest.importorskip("librosa")
from wv_runtime.features.mel import load_audio, log_mel  # noqa: E402

CLIPS = sorted((DATA / "clips").glob("*.flac"))


def native(mel_config):
    model = tiny_model(cfg=tiny_config(mel=mel_config, n_sub=1))
    return NativeModel(bin_format.pack(model))


def analyse(model, audio, n=1 << 30):
    mel, parts = NativeMel(model), []
    while len(audio):
        audio = audio[mel.push(audio[:n]) :]
        parts.append(mel.pull())
    mel.finish()
    parts.append(mel.pull())
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("name", PRESETS)
def test_speech(name):
    cfg = PRESETS[name]
    model = native(cfg)
    for clip in CLIPS:
        audio = load_audio(clip, cfg.sample_rate)
        wanted, ours = log_mel(audio, cfg), analyse(model, audio)
        assert ours.shape == wanted.shape
        # just above the floor of -11.5 the float32 rounding of the spectrum shows
        assert (np.abs(ours - wanted) < np.where(wanted > -9, 1e-4, 2e-4)).all()


def test_any_cut_gives_the_same_bits():
    audio = load_audio(CLIPS[0], 16000)[:20000]
    model = native(PRESETS["16k"])
    whole = analyse(model, audio)
    for n in (1, 160, 1000):
        np.testing.assert_array_equal(analyse(model, audio[:3000] if n == 1 else audio, n)[:, :12], whole[:, :12])


@pytest.mark.parametrize("n", [20, 21, 22, 39, 40, 41, 63, 64, 65, 100, 119])
def test_short_clips_are_reflected(n):
    cfg = replace(tiny_config().mel, n_mels=4, fmin=100.0)
    audio = np.random.default_rng(n).uniform(-1, 1, n).astype(np.float32)
    np.testing.assert_allclose(analyse(native(cfg), audio, 7), log_mel(audio, cfg), atol=1e-4)


def test_refusals():
    model = native(PRESETS["16k"])
    with pytest.raises(ValueError, match="mel: null pointer or argument out of range"):
        NativeMel(native(replace(PRESETS["16k"], n_fft=1000, win_length=800)))
    mel = NativeMel(model)
    with pytest.raises(ValueError, match="push"):
        mel.push(np.array([0, np.nan], np.float32))
    mel.finish()
    assert mel.pull().shape == (80, 0)
    with pytest.raises(ValueError, match="push"):
        mel.push(np.zeros(10, np.float32))
