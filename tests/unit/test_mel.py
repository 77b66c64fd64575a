"""mel.py against HiFi-GAN's own few lines (in torch), and reading of audio files."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from conftest import ROOT
from wv_runtime.errors import AudioError, WaveRNNError
from wv_runtime.features.mel import load_audio, log_mel
from wv_runtime.model.config import PRESETS, MelConfig

torch = pytest.importorskip("torch")
librosa = pytest.importorskip("librosa")

REAL_CLIP = ROOT.parent / "shared/data/kerstin16/wav/de_rhasspy-0008.flac"


def noise_and_tone(n: int, sample_rate: int = 16000) -> np.ndarray:
    """A 1 kHz tone in noise, (n,) float32."""
    rng = np.random.default_rng(1)
    tone = np.sin(2 * np.pi * 1000 * np.arange(n) / sample_rate)
    return (0.3 * tone + 0.01 * rng.standard_normal(n)).astype(np.float32)


def hifi_gan(audio: np.ndarray, cfg: MelConfig) -> np.ndarray:
    """mel_spectrogram() of HiFi-GAN's meldataset.py."""
    basis = librosa.filters.mel(sr=cfg.sample_rate, n_fft=cfg.n_fft, n_mels=cfg.n_mels, fmin=cfg.fmin, fmax=cfg.fmax)
    pad = (cfg.n_fft - cfg.hop_length) // 2
    y = torch.nn.functional.pad(torch.from_numpy(audio)[None, None], (pad, pad), mode="reflect")[0, 0]
    spec = torch.stft(
        y,
        cfg.n_fft,
        hop_length=cfg.hop_length,
        win_length=cfg.win_length,
        window=torch.hann_window(cfg.win_length),
        center=False,
        return_complex=True,
    )
    spec = torch.sqrt(torch.view_as_real(spec).pow(2).sum(-1) + 1e-9)
    return torch.log(torch.clamp(torch.from_numpy(basis) @ spec, min=1e-5)).numpy()


@pytest.mark.parametrize("preset", PRESETS)
def test_frames_are_hifi_gans(preset):
    cfg = PRESETS[preset]
    audio = noise_and_tone(12 * cfg.hop_length + 77, cfg.sample_rate)
    mel = log_mel(audio, cfg)
    assert mel.shape == (cfg.n_mels, 12) and mel.dtype == np.float32 and mel.flags.c_contiguous
    np.testing.assert_allclose(mel, hifi_gan(audio, cfg), atol=2e-4)


def test_near_silence_too():
    audio = 1e-4 * noise_and_tone(8000)  # where the 1e-9 under the root counts
    mel = log_mel(audio, PRESETS["16k"])
    assert (mel > np.log(1.1e-5)).any()
    np.testing.assert_allclose(mel, hifi_gan(audio, PRESETS["16k"]), atol=1e-4)


@pytest.mark.skipif(not REAL_CLIP.exists(), reason="no ../shared/data")
def test_frames_are_hifi_gans_on_real_speech():
    audio = load_audio(REAL_CLIP, 16000)
    np.testing.assert_allclose(log_mel(audio, PRESETS["16k"]), hifi_gan(audio, PRESETS["16k"]), atol=2e-3)


def test_tone_is_in_its_band_and_silence_at_the_floor():
    cfg = PRESETS["16k"]
    mel = log_mel(noise_and_tone(8000), cfg)
    centres = librosa.mel_frequencies(cfg.n_mels + 2, fmin=cfg.fmin, fmax=cfg.fmax)[1:-1]
    assert abs(centres[mel.mean(axis=1).argmax()] - 1000) < 40  # Hz, half a band
    # sqrt(1e-9) times a Slaney band lies below the floor
    np.testing.assert_allclose(log_mel(np.zeros(1600, np.float32), cfg), np.log(1e-5), atol=1e-4)


@pytest.mark.parametrize("n", [160, 161, 319, 320, 432, 433, 1000])
def test_clips_shorter_than_the_padding(n):
    mel = log_mel(noise_and_tone(n), PRESETS["16k"])
    assert mel.shape == (80, n // 160) and np.isfinite(mel).all()


def test_too_short_and_wrong_shape():
    with pytest.raises(AudioError, match="found 159 samples, wanted at least one frame"):
        log_mel(np.zeros(159, np.float32), PRESETS["16k"])
    with pytest.raises(ValueError, match="wanted \\(n_samples,\\)"):
        log_mel(np.zeros((2, 1600), np.float32), PRESETS["16k"])


def test_load_mixes_down_and_resamples(tmp_path):
    left = noise_and_tone(22050, 22050)
    soundfile.write(tmp_path / "a.wav", np.stack([left, np.zeros_like(left)], axis=1), 22050, subtype="FLOAT")
    same = load_audio(tmp_path / "a.wav", 22050)
    np.testing.assert_allclose(same, left / 2, atol=1e-6)
    audio = load_audio(tmp_path / "a.wav", 16000)
    assert audio.dtype == np.float32 and audio.shape == (16000,)
    power = np.abs(np.fft.rfft(audio[2000:14000])) ** 2
    assert abs(power.argmax() * 16000 / 12000 - 1000) < 2  # Hz


def test_bad_files_are_named(tmp_path):
    (tmp_path / "text.wav").write_text("this is not audio")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, np.float32), 16000)
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan], np.float32), 16000, subtype="FLOAT")
    (tmp_path / "folder.wav").mkdir()
    for name, reason in [
        ("text.wav", "Format not recognised, wanted audio that libsndfile reads"),
        ("none.wav", "no such file"),
        ("empty.wav", "found 0 samples"),
        ("nan.wav", "NaN"),
        ("folder.wav", "found a folder, wanted audio"),
    ]:
        with pytest.raises(AudioError, match=reason) as error:
            load_audio(tmp_path / name, 16000)
        assert str(tmp_path / name) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("module", ["librosa", "soxr"])
def test_a_plain_install_says_what_to_install(module, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, module, None)
    soundfile.write(tmp_path / "a.wav", noise_and_tone(800), 8000)
    with pytest.raises(WaveRNNError, match=rf"{module}: not installed.*wavernn\[audio\]"):
        log_mel(load_audio(tmp_path / "a.wav", 16000 if module == "soxr" else 8000), PRESETS["16k"])


def test_mels_do_not_depend_on_the_threads_of_blas(tmp_path):
    np.save(tmp_path / "audio.npy", noise_and_tone(100_000))
    code = "\n".join((
        "import hashlib, sys, numpy",
        "from wv_runtime.features.mel import log_mel",
        "from wv_runtime.model.config import PRESETS",
        "print(hashlib.sha256(log_mel(numpy.load(sys.argv[1]), PRESETS['16k'])).hexdigest())",
    ))  # fmt: skip
    said = {
        subprocess.run([sys.executable, "-c", code, tmp_path / "audio.npy"], capture_output=True, text=True, check=True,
                       env={**os.environ, "OMP_NUM_THREADS": n, "OPENBLAS_NUM_THREADS": n}).stdout
        for n in ("1", "3")
    }  # fmt: skip
    assert len(said) == 1
