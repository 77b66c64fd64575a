"""Are these mels like those that the voice was trained on? If not: what was done to them, and what undoes it.

C twin: libwavernn/core/mel_check.c: the same statistics, mistakes, limits and texts.

Four things are looked at, over the frames that are not padding:

1. Statistics against those of training, which the .bin keeps per band: the mean difference (offset), the RMS of what
   it leaves of the means (shape), the log ratio of deviations (spread), the largest value (top), and the mean change
   from one loud frame to the next (step), which follows from the overlap of frames and so tells the unit of the
   logarithm. Each known mistake is undone; the one after which these fit best is the likeliest.
2. The pattern that the triangles of a mel basis, sampled at whole bins, leave in the means. It is the same for every
   voice: it tells mels of another basis.
3. Frames of zeros, with which batches are padded. Zero is loud.
4. Where no value is below zero, the range, and how far harmonics stand out from the bands beside them.

The limits were set on 110 clips of four corpora: see docs/results.md, "Mels of others".

Usage: ``found = check_mels(model, mel)``; ``if found.doubtful: print(found)``
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wv_runtime.model.config import MelConfig
from wv_runtime.model.weights import Model

# cause -> what to say. In the order of wv_mels of wavernn.h
ADVICE = {
    "fit": "as in training",
    "unchecked": "too short to tell, or the voice keeps no statistics",
    "zeros": "frames of zeros, which are loud: cut the padding, or fill it with the log of the floor, -11.5",
    "linear": "these look linear: take the natural logarithm, log(max(mel, 1e-5))",
    "log1p": "these look like log(1 + mel): take log(expm1(mel))",
    "log10": "these look like base-10 logarithms: multiply them by ln 10 = 2.302585",
    "log2": "these look like base-2 logarithms: multiply them by ln 2 = 0.6931472",
    "decibels": "these look like decibels: multiply them by ln 10 / 20 = 0.1151293",
    "power": "these look like natural logarithms of power: make them from magnitudes, not from their squares",
    "log10_power": "these look like base-10 logarithms of power: make them from magnitudes, and multiply by ln 10",
    "no_area_norm": "these look like bands without area norm: make them with norm='slaney'",
    "normalised": "these look normalised to mean 0 and deviation 1: undo it with the statistics that it was done with",
    "0..1": "these look scaled to 0..1: undo the scaling, often 100 mel - 100 dB, then multiply by ln 10 / 20",
    "-1..1": "these look scaled to -1..1: undo the scaling, often 50 mel - 50 dB, then multiply by ln 10 / 20",
    "-4..4": "these look scaled to -4..4: undo the scaling, often 12.5 mel - 50 dB, then multiply by ln 10 / 20",
    "integers": "these look made from audio in integers: divide the audio by 32768, or subtract ln 32768 = 10.39721",
    "reversed": "these look upside down: the lowest band comes first",
    "htk": "these look like bands on HTK's mel scale: make them with htk=False",
    "22k": "these look like mels of preset 22k: 22050 Hz, n_fft 1024, 0..8000 Hz",
    "24k": "these look like mels of preset 24k: 24000 Hz, n_fft 1024, 0..12000 Hz",
    "16k": "these look like mels of preset 16k: 16000 Hz, n_fft 1024, 0..8000 Hz",
    "80..7600": "these look like bands from 80 to 7600 Hz: make them with the voice's fmin and fmax",
    "n_fft": "these look made with half the n_fft: make them with the voice's",
    "other": "no mistake that is known undoes it",
}

MIN_FRAMES = 40  # fewer say nothing
WORD_FRAMES = 100  # fewer are a word, of which only what is too loud says something
LONG_FRAMES = 300  # fewer may be quiet all over, so that only too much is a sign
PATTERN_FRAMES = 200  # before the pattern shows among the harmonics
PATTERN_MELS = 40  # bands that are wide have none
FAR, FARTHEST = 6.0, 20.0  # scores; FAR is enough where a mistake explains it
PATTERN_RATIO = 0.08  # log of residuals, from LONG_FRAMES on
PATTERN_RATIO_SHORT = 0.1
EVEN_BELOW = 1000.0  # Hz, bands are evenly spaced
HARMONIC, STEADY = 0.2, 0.3  # of the loudest value; nats to the frames before and after
MIN_HARMONICS = 8
CLIPPED_SHARE = 1e-3
LEVEL_DB = 4.0
QUIET_POWER = 1e-6  # -60 dB: below it the level is that of rounding
LN_2, LN_10 = math.log(2.0), math.log(10.0)
DB = LN_10 / 20.0


class _Undo(NamedTuple):
    """log-mel = scale * mel + offset, and then what `kind` says."""

    cause: str
    kind: str  # plain, power, area, bands, global, reversed
    scale: float
    offset: float


UNDO = (
    _Undo("fit", "plain", 1.0, 0.0),
    _Undo("log10", "plain", LN_10, 0.0),
    _Undo("log2", "plain", LN_2, 0.0),
    _Undo("decibels", "plain", DB, 0.0),
    _Undo("power", "power", 1.0, 0.0),
    _Undo("log10_power", "power", LN_10, 0.0),
    _Undo("no_area_norm", "area", 1.0, 0.0),
    _Undo("normalised", "bands", 1.0, 0.0),
    _Undo("normalised", "global", 1.0, 0.0),
    _Undo("0..1", "plain", 100.0 * DB, -80.0 * DB),
    _Undo("0..1", "plain", 100.0 * DB, -100.0 * DB),
    _Undo("-1..1", "plain", 50.0 * DB, -30.0 * DB),
    _Undo("-1..1", "plain", 50.0 * DB, -50.0 * DB),
    _Undo("-4..4", "plain", 12.5 * DB, -30.0 * DB),
    _Undo("-4..4", "plain", 12.5 * DB, -50.0 * DB),
    _Undo("integers", "plain", 1.0, -math.log(32768.0)),
    _Undo("reversed", "reversed", 1.0, 0.0),
)
LIMITS = {"0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0), "-4..4": (-4.0, 4.0)}  # beyond them nothing is


class _Basis(NamedTuple):
    """Another mel basis; 0 is what the voice has."""

    cause: str
    sample_rate: int
    n_fft: int
    fmin: float
    fmax: float
    htk: bool


BASES = (
    _Basis("htk", 0, 0, 0.0, 0.0, True),
    _Basis("22k", 22050, 1024, 0.0, 8000.0, False),
    _Basis("24k", 24000, 1024, 0.0, 12000.0, False),
    _Basis("16k", 16000, 1024, 0.0, 8000.0, False),
    _Basis("80..7600", 0, 0, 80.0, 7600.0, False),
    _Basis("n_fft", 0, -2, 0.0, 0.0, False),
)


@dataclass(frozen=True)
class MelFinding:
    """What `check_mels` found.

    cause  : a key of ADVICE
    offset : mean over bands of mean minus that of training, in nats
    step   : change from frame to frame over that of natural logarithms
    """

    cause: str
    offset: float = 0.0
    step: float = 0.0

    @property
    def doubtful(self) -> bool:
        """Whether the audio will not be what was meant."""
        return self.cause not in ("fit", "unchecked")

    def __str__(self) -> str:
        return (f"found mels unlike those of training (mean {self.offset:+.2f} nats, changes {self.step:.2f} times), "
                f"{ADVICE[self.cause]}")  # fmt: skip


class _Statistics(NamedTuple):
    """Of the frames that are not padding; per band."""

    n: int
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    top: NDArray[np.float64]
    step: float
    low: float
    high: float


def check_mels(model: Model, mel: NDArray[np.float32]) -> MelFinding:
    """Compare mels with those that the model was trained on. mel : (n_mels, n_frames) float32, finite"""
    padding = (mel == mel[:1]).all(axis=0)  # silence, too
    if model.mel_stats.size == 0:
        return MelFinding("unchecked")
    x = mel[:, ~padding].astype(np.float64)
    if x.shape[1] < MIN_FRAMES:
        return MelFinding("unchecked")
    found = _statistics(x)
    cause = positive_cause(mel, model.config.mel) if found.low >= 0 else _undone(model, found)
    if cause == "fit" and (mel[:, padding] == 0).any():
        cause = "zeros"
    elif cause in ("fit", "other"):
        pattern = _pattern(model.config.mel, x)
        cause = pattern if pattern != "fit" else cause
    offset, _, _, step, _ = _features(model, found, _Undo("fit", "plain", 1.0, 0.0))
    return MelFinding(cause, offset, math.exp(step))


def positive_cause(mel: NDArray[np.float32], cfg: MelConfig) -> str:
    """The likeliest cause of mels of which none is below zero, as speech never is. mel : (n_mels, n_frames) float32"""
    high = mel.max()
    if high == 0:
        return "zeros"
    if mel.mean(dtype=np.float64) > 4:
        return "integers"
    above = mel[mel > 0]
    if 2 * np.count_nonzero(above < np.float32(0.1) * max(high, np.float32(1))) < above.size:  # as no magnitudes are
        return "0..1" if high <= 1 else "other"
    return "log1p" if _is_log1p(mel, cfg) else "linear"


def _is_log1p(mel: NDArray[np.float32], cfg: MelConfig) -> bool:
    """Whether log(1 + x) has flattened the harmonics of linear mels.

    A steady harmonic is the spectrum of the window: it stands out from the bands beside it by as many nats at every
    level. log(1 + x) presses loud ones down. Half undone, sqrt(x expm1 x), they still stand out less than that, and
    those of linear mels more.
    """
    e = band_edges(cfg.n_mels, cfg.fmin, cfg.fmax, False)
    x = np.maximum(mel[: np.count_nonzero(e[1:-1] < EVEN_BELOW)], cfg.log_floor).astype(np.float64)
    half = 0.5 * (np.log(x) + x + np.log(-np.expm1(-x)))
    at, here = x[1:-1, 1:-1], half[1:-1, 1:-1]
    change = np.abs(half[1:-1, 2:] - here) + np.abs(half[1:-1, :-2] - here)
    harmonic = (at > x[:-2, 1:-1]) & (at > x[2:, 1:-1]) & (at > HARMONIC * mel.max()) & (change < STEADY)
    if harmonic.sum() < MIN_HARMONICS:
        return bool(0.5 < mel.max() < 1.25)
    stands_out = (here - 0.5 * (half[:-2, 1:-1] + half[2:, 1:-1]))[harmonic]
    wanted = 0.85 * (e[2] - e[1]) * cfg.win_length / cfg.sample_rate - 0.25  # bands apart, in bins of the window
    return bool(2 * np.count_nonzero(stands_out < wanted) > len(stands_out))


def _statistics(x: NDArray[np.float64]) -> _Statistics:
    level = x.mean(axis=0)
    loud = level > level.mean()
    change = np.abs(np.diff(x, axis=1))[:, loud[1:] & loud[:-1]]
    step = float(change.mean()) if change.size else 0.0
    return _Statistics(x.shape[1], x.mean(axis=1), x.std(axis=1), x.max(axis=1), step, float(x.min()), float(x.max()))


def _features(model: Model, found: _Statistics, undo: _Undo) -> tuple[float, float, float, float, float]:
    """offset, shape, spread, step (log ratio) and top after a mistake is undone."""
    cfg, (mean_, std_) = model.config.mel, model.mel_stats.astype(np.float64)
    mean, std, top = undo.scale * found.mean + undo.offset, undo.scale * found.std, undo.scale * found.top + undo.offset
    step = undo.scale * found.step
    if undo.kind == "power":
        area = math.log(cfg.n_fft / cfg.sample_rate)
        mean, std, top, step = 0.5 * (mean + area), 0.5 * std, 0.5 * (top + area), 0.5 * step
    elif undo.kind == "area":
        e = band_edges(cfg.n_mels, cfg.fmin, cfg.fmax, False)
        norm = np.log(2.0 / (e[2:] - e[:-2]))
        mean, top = mean + norm, top + norm
    elif undo.kind == "bands":
        mean, std, top, step = mean * std_ + mean_, std * std_, top * std_ + mean_, step * std_.mean()
    elif undo.kind == "global":
        centre = mean_.mean()
        scale = math.sqrt((std_**2).mean() + ((mean_ - centre) ** 2).mean())
        mean, std, top, step = mean * scale + centre, std * scale, top * scale + centre, step * scale
    elif undo.kind == "reversed":
        mean, std, top = mean[::-1], std[::-1], top[::-1]
    offset = float((mean - mean_).mean())
    shape = math.sqrt(float(((mean - mean_ - offset) ** 2).mean()))
    spread = float(np.log(np.maximum(std, 1e-3) / std_).mean())
    return offset, shape, spread, math.log(max(step, 1e-4) / natural_step(cfg)), float(top.max())


def natural_step(cfg: MelConfig) -> float:
    """Mean change of a natural log-mel from one loud frame to the next."""
    return 0.355 * math.sqrt(4.0 * cfg.hop_length / cfg.win_length)


def _score(f: tuple[float, float, float, float, float], only_above: bool = False) -> float:
    """How far from speech of any speaker and room; 0 is within. only_above: a clip may be quiet all over."""
    offset, shape, spread, step, top = f
    parts = [
        (offset + 0.9, 1.4, 0.5),
        (spread - 0.25, 0.35, 0.15),
        (step, 0.15, 0.07),
        (top - 0.5, 0.9, 0.4),
    ]
    sides = [x if only_above else abs(x) for x, _, _ in parts]
    score = sum((max(0.0, side - reach) / unit) ** 2 for side, (_, reach, unit) in zip(sides, parts))
    return score if only_above else score + (max(0.0, shape - 0.7) / 0.3) ** 2


def _undone(model: Model, found: _Statistics) -> str:
    """The mistake that, undone, leaves mels as in training."""
    best, cause = math.inf, "fit"
    floor = math.log(model.config.mel.log_floor)
    for undo in UNDO:
        if undo.cause == "log2" and found.low > floor - 1e-3:  # natural logarithms end there, those of base 2 go on
            continue
        low, high = LIMITS.get(undo.cause, (-math.inf, math.inf))
        if low - 1e-3 <= found.low and found.high <= high + 1e-3:
            score = _score(_features(model, found, undo))
            if _is_exact(found, undo, low):
                score *= 0.1
            if score < best:
                best, cause = score, undo.cause
    here = _score(_features(model, found, UNDO[0]), only_above=found.n < LONG_FRAMES and cause != "reversed")
    if here < (FARTHEST if cause == "fit" or best > here / 6.0 else FAR):
        return "fit"
    cause = cause if cause != "fit" and best < here / 3.0 else "other"
    return "fit" if found.n < WORD_FRAMES and cause in ("log2", "power", "reversed", "other") else cause


def _is_exact(found: _Statistics, undo: _Undo, low: float) -> bool:
    """Whether the numbers themselves say it: all bands around 0, or the lowest value the end of a range."""
    if undo.kind == "bands":
        return float((found.mean**2).mean()) < 0.25
    return abs(found.low - low) < 1e-3


def band_edges(n_mels: int, fmin: float, fmax: float, htk: bool) -> NDArray[np.float64]:
    """(n_mels + 2,) Hz: band b rises from edge b to b + 1 and falls to b + 2. Slaney's mel scale or HTK's."""
    if htk:
        low, high = (2595.0 * math.log10(1.0 + f / 700.0) for f in (fmin, fmax))
        return 700.0 * (10.0 ** (np.linspace(low, high, n_mels + 2) / 2595.0) - 1.0)
    low, high = (f / (200.0 / 3.0) if f < 1000.0 else 15.0 + 27.0 * math.log(f / 1000.0, 6.4) for f in (fmin, fmax))
    mel = np.linspace(low, high, n_mels + 2)
    return np.where(mel < 15.0, mel * (200.0 / 3.0), 1000.0 * 6.4 ** ((mel - 15.0) / 27.0))


@cache
def _basis_pattern(cfg: MelConfig, basis: _Basis) -> NDArray[np.float64]:
    """(n_mels,) log of what a white spectrum gives in each band, relative to its true area."""
    rate = basis.sample_rate or cfg.sample_rate
    n_fft = cfg.n_fft // -basis.n_fft if basis.n_fft < 0 else basis.n_fft or cfg.n_fft
    e = band_edges(cfg.n_mels, basis.fmin or cfg.fmin, basis.fmax or cfg.fmax, basis.htk)
    hz = np.arange(n_fft // 2 + 1) * (rate / n_fft)
    rise = (hz - e[:-2, None]) / (e[1:-1] - e[:-2])[:, None]
    fall = (e[2:, None] - hz) / (e[2:] - e[1:-1])[:, None]
    area = np.maximum(0.0, np.minimum(rise, fall)).sum(axis=1) * (2.0 / (e[2:] - e[:-2]))
    return np.log(np.maximum(area, 1e-9))


def _pattern(cfg: MelConfig, x: NDArray[np.float64]) -> str:
    """The basis whose pattern the mels show, of those that are not the voice's; else "fit"."""
    if cfg.n_mels < PATTERN_MELS or x.shape[1] < PATTERN_FRAMES:
        return "fit"
    inner = slice(3, 3 * cfg.n_mels // 4)
    d = np.diff(x[inner], 4, axis=0)
    weight, mean = 1.0 / (d.var(axis=1) + 0.05), d.mean(axis=1)

    def residual(basis: _Basis) -> tuple[float, NDArray[np.float64]]:
        pattern = np.diff(_basis_pattern(cfg, basis)[inner], 4)
        return float((weight * (mean - pattern) ** 2).sum()), pattern

    ours, own = residual(_Basis("fit", 0, 0, 0.0, 0.0, False))
    best, cause = math.inf, "fit"
    for basis in BASES:
        if basis.fmax > cfg.sample_rate / 2 and not basis.sample_rate:
            continue
        theirs, pattern = residual(basis)
        if theirs < best and ((pattern - own) ** 2).mean() > 1e-3:
            best, cause = theirs, basis.cause
    enough = PATTERN_RATIO if x.shape[1] >= LONG_FRAMES else PATTERN_RATIO_SHORT
    return cause if math.log(ours / best) > enough else "fit"


class AudioFinding(NamedTuple):
    """What `check_audio` found. clipped : samples at the ends of the range. level_db : level over that of the mels."""

    clipped: int
    level_db: float
    doubtful: bool
    n_samples: int

    def __str__(self) -> str:
        share = 100.0 * self.clipped / max(1, self.n_samples)
        return (
            f"found {share:.1f} % of the samples clipped and a level {self.level_db:+.1f} dB over that of the mels, "
            "wanted at most 0.1 % and 4 dB"
        )


def check_audio(cfg: MelConfig, mel: NDArray[np.float32], pcm: NDArray[np.int16]) -> AudioFinding:
    """Is audio what the mels that it was made from say?

    mel : (n_mels, n_frames) float32    pcm : (n_samples,) int16
    """
    e = band_edges(cfg.n_mels, cfg.fmin, cfg.fmax, False)
    area = cfg.n_fft / cfg.sample_rate  # of a band: its mean magnitude is exp(mel) / area
    magnitude = np.exp2(np.clip(2.0 * mel.astype(np.float64) / math.log(2.0), -60.0, 60.0))
    power = ((e[2:] - e[:-2]) * (area / 2.0)) @ magnitude * (2.0 / area**2 / (cfg.n_fft * 0.375 * cfg.win_length))
    wanted = float(power.mean()) if power.size else 0.0
    found = float(np.square(pcm / 32768.0).mean()) if pcm.size else 0.0
    level_db = 10.0 * math.log10(found / wanted) if wanted > QUIET_POWER and found > 0 else 0.0
    clipped = int(((pcm == 32767) | (pcm == -32768)).sum())
    doubtful = clipped > CLIPPED_SHARE * pcm.size or abs(level_db) > LEVEL_DB
    return AudioFinding(clipped, level_db, doubtful and mel.shape[1] >= MIN_FRAMES, pcm.size)
