"""Each preset against formulas written down from the projects that it is for, in NumPy alone."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from conftest import DATA

pytest.importorskip("librosa")
pytest.importorskip("soxr")

from wv_runtime.features.mel import load_audio, log_mel  # noqa: E402
from wv_runtime.features.mel_format import MelFormat  # noqa: E402
from wv_runtime.model.config import PRESETS  # noqa: E402

CLIP = DATA / "clips/arctic_b0182.flac"


def slaney(mel):
    """Hz of Slaney's mel scale: linear to 1000 Hz, 27 steps per factor of 6.4 above."""
    return np.where(mel < 15, 200 / 3 * mel, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


def filters(rate, n_fft, n_mels, fmin, fmax):
    """Triangles of area 1. (n_mels, n_fft / 2 + 1)"""
    ends = [f * 3 / 200 if f < 1000 else 15 + 27 * np.log(f / 1000) / np.log(6.4) for f in (fmin, fmax)]
    edge, hertz = slaney(np.linspace(*ends, n_mels + 2)), np.arange(n_fft // 2 + 1) * rate / n_fft
    rows = []
    for low, centre, high in zip(edge, edge[1:], edge[2:]):
        triangle = np.minimum((hertz - low) / (centre - low), (high - hertz) / (high - centre))
        rows.append(np.maximum(triangle, 0) * 2 / (high - low))
    return np.array(rows)


@cache
def frames(rate, n_fft, hop, win, centred):
    """Magnitudes of the STFT. centred: as librosa has it, frame t on sample t hop; else HiFi-GAN's padding."""
    audio = np.asarray(load_audio(CLIP, rate), np.float64)[: 40 * hop + 7]
    pad = n_fft // 2 if centred else (n_fft - hop) // 2
    if centred:  # the same frames half a hop earlier
        audio = audio[n_fft // 2 - (n_fft - hop) // 2 :]
    padded = np.pad(audio, (pad, pad + hop), mode="reflect")
    window = np.zeros(n_fft)
    start = (n_fft - win) // 2
    window[start : start + win] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(win) / win)
    n = 1 + (len(padded) - hop - n_fft) // hop
    return np.abs(np.stack([np.fft.rfft(window * padded[t * hop : t * hop + n_fft]) for t in range(n)], axis=1))


def hifi_gan(mel, magnitude):  # meldataset.py
    return np.log(np.maximum(mel @ np.sqrt(magnitude**2 + 1e-9), 1e-5))


def parallel_wavegan(mel, magnitude):  # bin/preprocess.py: logmelfilterbank, eps 1e-10
    return np.log10(np.maximum(1e-10, mel @ magnitude))


def fatchord(mel, magnitude):  # utils/dsp.py
    return np.clip((20 * np.log10(np.maximum(1e-5, mel @ magnitude)) + 100) / 100, 0, 1)


def r9y9(mel, magnitude):  # audio.py
    level = 20 * np.log10(np.maximum(1e-5, mel @ magnitude)) - 20
    return np.clip((level + 100) / 100, 0, 1)


def vits(mel, magnitude):  # mel_processing.py: 1e-6 under the root
    return np.log(np.maximum(mel @ np.sqrt(magnitude**2 + 1e-6), 1e-5))


# amplitude of a band above which they agree to 1e-4: below, what a project adds under the root shows, 1e-9 in ours
LOUD = {hifi_gan: 0, parallel_wavegan: 0.005, fatchord: 0.005, r9y9: 0.005, vits: 0.02}
# the projects' own numbers: rate, n_fft, hop, window, bands, fmin, fmax; are frames centred; formula; format
PROJECTS = {
    "22k": (22050, 1024, 256, 1024, 80, 0, 8000, False, hifi_gan, "natural"),  # Tacotron 2, HiFi-GAN, FastSpeech 2
    "16k": (16000, 1024, 160, 640, 80, 0, 8000, False, hifi_gan, "natural"),
    "24k": (24000, 1024, 240, 960, 80, 0, 12000, False, hifi_gan, "natural"),
    "8k": (8000, 512, 80, 320, 80, 0, 4000, False, hifi_gan, "natural"),
    "44k": (44100, 2048, 441, 1764, 100, 0, 22050, False, hifi_gan, "natural"),
    "48k": (48000, 2048, 480, 1920, 100, 0, 24000, False, hifi_gan, "natural"),
    "16k-200": (16000, 1024, 200, 800, 80, 0, 8000, False, hifi_gan, "natural"),
    "24k-256": (24000, 1024, 256, 1024, 100, 0, 12000, False, hifi_gan, "natural"),
    "vits": (22050, 1024, 256, 1024, 80, 0, 11025, False, vits, "natural"),
    "pwg-22k": (22050, 1024, 256, 1024, 80, 80, 7600, True, parallel_wavegan, "log10"),
    "pwg-24k": (24000, 2048, 300, 1200, 80, 80, 7600, True, parallel_wavegan, "log10"),
    "fatchord": (22050, 2048, 275, 1100, 80, 40, 11025, True, fatchord, "0..1"),
    "r9y9": (22050, 1024, 256, 1024, 80, 125, 7600, True, r9y9, "0..1,ref=20"),
}


@pytest.mark.parametrize("name", PRESETS)
def test_preset(name):
    rate, n_fft, hop, win, n_mels, fmin, fmax, centred, formula, text = PROJECTS[name]
    cfg, mel = PRESETS[name], filters(rate, n_fft, n_mels, fmin, fmax)
    assert (mel.sum(axis=1) > 0).all() and cfg.name == name
    magnitude = frames(rate, n_fft, hop, win, centred)
    theirs = MelFormat.parse(text).convert(formula(mel, magnitude), cfg)
    ours = log_mel(load_audio(CLIP, rate)[: 40 * hop + 7], cfg)
    n, edge = min(theirs.shape[1], ours.shape[1]), n_fft // hop  # where the paddings differ
    inner = slice(edge if centred else 0, n - edge if centred else 40)
    loud = (mel @ magnitude)[:, inner] > LOUD[formula]
    if text.startswith("0..1"):
        loud &= (mel @ magnitude)[:, inner] < (10 if "ref" in text else 1)  # what they clip
    assert loud.mean() > 0.2
    assert np.abs(theirs[:, inner] - ours[:, inner])[loud].max() < 1e-4
