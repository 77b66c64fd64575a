"""Objective scores of audio against the recording it copies, sample for sample aligned.

    pesq_wb       ITU-T P.862.2 at 16 kHz, up to 4.64
    stoi          short-time objective intelligibility, 0..1
    mcd_db        mel-cepstral distortion, 24 coefficients without c0, frame by frame, of the active frames
    mrstft        multi-resolution STFT distance: spectral convergence + mean |log magnitude ratio|, 512/1024/2048
    f0_rmse_hz    pyworld harvest + stonemask, 5 ms; of the frames voiced in both
    f0_gross_pct  share of those off by more than 20 %
    vuv_err_pct   share of all frames voiced in one and not in the other
    wer_out       pocketsphinx (en-us) word errors in %, against the text, or without one against what it hears
                  in the recording; wer_ref: the recording's own, against the text
    jump_ratio    largest sample-to-sample jump over the recording's largest: a click is a large one
    rms_db        level minus the recording's
    p808, sig, ovrl      DNSMOS (Reddy et al. 2021, 2022) of the copy alone, tiled to 9.01 s; up to 5
    level_sd      standard deviation of the frame energy error in voiced, active frames, dB
    hnr_1_2k, hnr_2_3k   power at the harmonics of the recording's pitch over power between them, dB; the recording
                  has its own, so higher is not better

A score is None where its library is not installed or the audio gives it nothing to measure (silence, no voicing).

Usage: ``Scorer(recording, 16000, text="what is said")(copy)["stoi"]``
"""

from __future__ import annotations

import functools
import importlib
import itertools
import re
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray

Audio = NDArray[np.float64]  # (n_samples,), full scale is [-1, 1]
Scores = dict[str, float | None]

KEYS = ("pesq_wb", "stoi", "mcd_db", "mrstft", "f0_rmse_hz", "f0_gross_pct", "vuv_err_pct", "wer_out", "wer_ref",
        "jump_ratio", "rms_db", "p808", "sig", "ovrl", "level_sd", "hnr_1_2k", "hnr_2_3k")  # fmt: skip
NEEDS = {
    "pesq": ("pesq_wb",),
    "pystoi": ("stoi",),
    "pyworld": ("mcd_db", "f0_rmse_hz", "f0_gross_pct", "vuv_err_pct", "level_sd", "hnr_1_2k", "hnr_2_3k"),
    "speechmos": ("p808", "sig", "ovrl"),
    "pocketsphinx": ("wer_out", "wer_ref"),
}
WARP = {16000: 0.42, 22050: 0.455, 24000: 0.466, 44100: 0.544, 48000: 0.554}  # of the mel cepstrum, by Hz


def missing() -> list[str]:
    """Which of the libraries in NEEDS cannot be imported."""
    return [name for name in NEEDS if not available(name)]


@functools.cache
def available(library: str) -> bool:
    """Can it be imported? pyworld wants setuptools < 81, so that to find it is not enough."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(library)
    except ImportError:
        return False
    return True


FRAME_S = 0.005  # between two values of the pitch, seconds


class Voice(NamedTuple):
    """What pyworld sees every FRAME_S."""

    f0: NDArray[np.float64]  # (n,) Hz, 0 where unvoiced
    cepstrum: NDArray[np.float64]  # (n, 25)


class Scorer:
    """Scores copies of one recording.

    recording : (n_samples,) in [-1, 1]    text : what is said, if known    asr : recognise words
    """

    def __init__(self, recording: NDArray[Any], sample_rate: int, text: str = "", asr: bool = True):
        self.recording, self.rate = recording.astype(np.float64), sample_rate
        self._at_16k = resample(self.recording, sample_rate, 16000)
        self._spectra = [stft_magnitude(self.recording, *shape) for shape in RESOLUTIONS]
        self.voice = analyse(self.recording, sample_rate) if available("pyworld") else None
        self._heard = recognise(self._at_16k) if asr and available("pocketsphinx") else None
        self._text = words(text) or self._heard
        self.wer_ref = None if self._heard is None or not words(text) else word_errors(words(text), self._heard)

    def __call__(self, copy: NDArray[Any]) -> Scores:
        """copy : (n_samples,) like the recording. Returns a value or None for each of KEYS."""
        copy = copy.astype(np.float64)
        assert copy.shape == self.recording.shape
        at_16k = resample(copy, self.rate, 16000)
        scores: Scores = dict.fromkeys(KEYS)
        scores["pesq_wb"] = _pesq(self._at_16k, at_16k)
        scores["stoi"] = _stoi(self._at_16k, at_16k)
        scores["mrstft"] = mrstft(self._spectra, copy)
        scores |= dnsmos(at_16k)
        if self.voice:
            scores |= compare_voices(self.voice, analyse(copy, self.rate), active(self.recording, self.rate))
            scores |= compare_harmonics(self._at_16k, at_16k, self.voice.f0)
        if self._heard is not None:
            scores["wer_out"] = word_errors(self._text or "", recognise(at_16k))
            scores["wer_ref"] = self.wer_ref
        scores["jump_ratio"] = _ratio(largest_jump(copy), largest_jump(self.recording))
        power = _ratio(float((copy**2).mean()), float((self.recording**2).mean()))
        scores["rms_db"] = 10 * float(np.log10(power)) if power else None
        return scores


def resample(audio: Audio, rate: int, wanted: int) -> Audio:
    return audio if rate == wanted else soxr.resample(audio, rate, wanted, "VHQ")


def largest_jump(audio: NDArray[Any]) -> float:
    """max |x_t - x_{t-1}|, x_{-1} being 0."""
    return float(np.abs(np.diff(audio, prepend=0)).max())


def _ratio(a: float, b: float) -> float | None:
    return a / b if b else None


def _quiet(score: Callable[[], float]) -> float | None:
    """None where there is nothing to measure; pystoi says so by a RuntimeWarning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            value = float(score())
        except (RuntimeWarning, ValueError, RuntimeError):
            return None
    return value if np.isfinite(value) else None


def _pesq(recording: Audio, copy: Audio) -> float | None:
    """Both at 16 kHz."""
    if not available("pesq"):
        return None
    pesq = importlib.import_module("pesq")
    try:
        return _quiet(lambda: pesq.pesq(16000, recording, copy, "wb"))
    except pesq.PesqError:  # silence, or shorter than 1/4 s
        return None


def _stoi(recording: Audio, copy: Audio) -> float | None:
    """Both at 16 kHz."""
    if not available("pystoi"):
        return None
    return _quiet(lambda: importlib.import_module("pystoi").stoi(recording, copy, 16000))


# Spectra

RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))  # n_fft, hop, window: those of auraloss


def frames(audio: Audio, length: int, hop: int) -> Audio:
    """(n, length), a view"""
    padded = np.pad(audio, (0, max(0, length - len(audio))))
    return np.lib.stride_tricks.sliding_window_view(padded, length)[::hop]


def stft_magnitude(audio: Audio, n_fft: int, hop: int, length: int) -> Audio:
    """(n, n_fft / 2 + 1)"""
    window, left = np.zeros(n_fft), (n_fft - length) // 2
    window[left : left + length] = np.hanning(length + 1)[:length]
    return np.abs(np.fft.rfft(frames(np.pad(audio, n_fft // 2, mode="reflect"), n_fft, hop) * window))


def mrstft(recording: list[Audio], copy: Audio) -> float:
    """recording : its magnitudes, one for each of RESOLUTIONS"""
    distance = 0.0
    for x, shape in zip(recording, RESOLUTIONS, strict=True):
        x, y = np.maximum(x, 1e-4), np.maximum(stft_magnitude(copy, *shape), 1e-4)
        distance += float(np.linalg.norm(x - y) / np.linalg.norm(x) + np.abs(np.log(x / y)).mean())
    return distance / len(RESOLUTIONS)


def active(audio: Audio, rate: int) -> NDArray[np.bool_]:
    """Which steps of FRAME_S are within 40 dB of the loudest, and above -75 dB. (n,)"""
    hop = round(rate * FRAME_S)
    level = 10 * np.log10((frames(np.pad(audio, 2 * hop), 5 * hop, hop) ** 2).mean(axis=1) + 1e-12)
    return level > max(level.max() - 40, -75)


# Pitch and cepstra, by WORLD


def pitch(audio: Audio, rate: int) -> Audio:
    """(n,) Hz every FRAME_S, between 60 and 500, 0 where unvoiced"""
    world = importlib.import_module("pyworld")
    coarse, t = world.harvest(audio, rate, f0_floor=60.0, f0_ceil=500.0, frame_period=1e3 * FRAME_S)
    return world.stonemask(audio, coarse, t, rate)


def analyse(audio: Audio, rate: int) -> Voice:
    """F0 and the mel cepstrum of WORLD's envelope, every FRAME_S."""
    f0 = pitch(audio, rate)
    t = np.arange(len(f0)) * FRAME_S
    envelope = importlib.import_module("pyworld").cheaptrick(audio, f0, t, rate, q1=-0.15, fft_size=1024)
    cepstrum = np.fft.irfft(np.log(envelope))[:, : envelope.shape[1]]
    cepstrum[:, 0] /= 2  # of the log power spectrum -> of the minimum-phase log spectrum
    return Voice(f0, cepstrum @ warping(envelope.shape[1], 25, WARP.get(rate, 0.42)))


@functools.lru_cache(maxsize=4)
def warping(n_in: int, n_out: int, alpha: float) -> NDArray[np.float64]:
    """(n_in, n_out): c @ warping is the cepstrum c on a mel-like frequency axis.

    sum_n c_n z^n with z = (w + alpha) / (1 + alpha w) as a series in w: row n holds the n-th power.
    """
    matrix = np.zeros((n_in, n_out))
    matrix[0, 0] = 1
    for before, row in itertools.pairwise(matrix):
        row[0] = alpha * before[0]
        for m in range(1, n_out):
            row[m] = before[m - 1] + alpha * (before[m] - row[m - 1])
    return matrix


def compare_voices(recording: Voice, copy: Voice, active: NDArray[np.bool_]) -> Scores:
    n = min(len(active), len(recording.f0))
    both = (recording.f0 > 0) & (copy.f0 > 0)
    difference = (recording.cepstrum - copy.cepstrum)[:n, 1:][active[:n]]
    scores: Scores = {"vuv_err_pct": 100 * float(((recording.f0 > 0) != (copy.f0 > 0)).mean())}
    if len(difference):
        scores["mcd_db"] = float((10 / np.log(10) * np.sqrt(2 * (difference**2).sum(axis=1))).mean())
    if both.sum() > 5:
        error = np.abs(recording.f0 - copy.f0)[both]
        scores["f0_rmse_hz"] = float(np.sqrt((error**2).mean()))
        scores["f0_gross_pct"] = 100 * float((error > 0.2 * recording.f0[both]).mean())
    return scores


# Level and harmonics, at 16 kHz


def compare_harmonics(recording: Audio, copy: Audio, f0: Audio) -> Scores:
    """f0 : the recording's, every FRAME_S"""
    hop = round(16000 * FRAME_S)
    power_r, power_y = ((stft_magnitude(a, 1024, hop, 640) ** 2).sum(axis=1) for a in (recording, copy))
    n = min(len(power_r), len(f0))
    level, error = (10 * np.log10(p[:n] + 1e-9) for p in (power_r, power_y))
    voiced = (f0[:n] > 0) & (level > level.max() - 40)
    return {
        "level_sd": float((error - level)[voiced].std()) if voiced.any() else None,
        "hnr_1_2k": harmonic_to_noise(copy, f0, 1000, 2000),
        "hnr_2_3k": harmonic_to_noise(copy, f0, 2000, 3000),
    }


def harmonic_to_noise(audio: Audio, f0: Audio, low: float, high: float) -> float | None:
    """Mean over voiced frames, dB. Four periods under a Hann window: the largest power within 12 % of f0 of each
    harmonic over the mean power around the middle between two."""
    hop, df, found = round(16000 * FRAME_S), 16000 / 4096, []
    for i in range(0, len(f0), 2):
        n = int(4 * 16000 / f0[i]) if f0[i] > 0 else 0
        first = i * hop - n // 2
        if not n or first < 0 or first + n > len(audio):
            continue
        power = np.abs(np.fft.rfft(audio[first : first + n] * np.hanning(n), 4096)) ** 2
        reach, peak, between = max(1, int(0.12 * f0[i] / df)), 0.0, 0.0
        for k in range(max(1, int(np.ceil(low / f0[i]))), int(high / f0[i])):
            at, middle = int(k * f0[i] / df), int((k + 0.5) * f0[i] / df)
            peak += power[at - reach : at + reach + 1].max()
            between += power[middle - reach : middle + reach + 1].mean()
        if peak:
            found.append(10 * np.log10((peak + 1e-12) / (between + 1e-12)))
    return float(np.mean(found)) if found else None


def dnsmos(at_16k: Audio) -> Scores:
    """The networks of Microsoft's DNS challenge, which take 9.01 s."""
    if not available("speechmos") or not at_16k.any():
        return {}
    n = int(9.01 * 16000)
    tiled = np.clip(np.tile(at_16k, 1 + n // len(at_16k))[:n], -1, 1)
    mos = importlib.import_module("speechmos.dnsmos").run(tiled, 16000)
    return {"p808": float(mos["p808_mos"]), "sig": float(mos["sig_mos"]), "ovrl": float(mos["ovrl_mos"])}


# Words


def words(text: str) -> str:
    """Lower case, single blanks, no punctuation but apostrophes inside words."""
    letters = re.sub(r"[^a-z' ]", " ", text.lower().replace("\u2019", "'"))
    return " ".join(stripped for word in letters.split() if (stripped := word.strip("'")))


def word_errors(wanted: str, heard: str) -> float:
    """Insertions, deletions and substitutions in % of the wanted words."""
    reference, found = wanted.split(), heard.split()
    distance = np.arange(len(found) + 1)
    for i, word in enumerate(reference, 1):
        before, distance = distance, distance.copy()
        distance[0] = i
        for j, other in enumerate(found, 1):
            distance[j] = min(before[j] + 1, distance[j - 1] + 1, before[j - 1] + (word != other))
    return 100 * float(distance[-1]) / max(1, len(reference))


def recognise(audio: Audio) -> str:
    """The words pocketsphinx hears at 16 kHz; 1/4 s of silence around, level brought to half of full scale."""
    decoder = importlib.import_module("pocketsphinx").Decoder(loglevel="FATAL")  # a new one: it adapts to what it hears
    level = 0.5 / max(1e-9, float(np.abs(audio).max()))
    decoder.start_utt()
    decoder.process_raw((np.pad(audio * level, 4000) * 32767).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    return re.sub(r"\(\d+\)", "", decoder.hyp().hypstr) if decoder.hyp() else ""
