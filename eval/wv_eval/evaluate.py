"""One clip: its likelihood under the model, the model's copy of it and the baselines', and what they score.

Usage: ``result = Evaluator(Settings("out.bin"))(clip)``; for several processes, ``evaluate_all(settings, clips, 2)``
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from wv_runtime.commands.jobs import Jobs
from wv_runtime.engine.nll import nll
from wv_runtime.engine.synth import Voice
from wv_runtime.errors import AudioError
from wv_runtime.features.mel import load_audio, log_mel
from wv_runtime.features.samples import true_samples
from wv_runtime.features.speech import find_files, read_table
from wv_runtime.model.binary import load

from . import baselines
from .scores import KEYS, Scorer, Scores, largest_jump

BASELINES = ("griffin_lim", "world", "mu_law")
RUNAWAY_DB, CLICK, LONG_FLAT_S = 6.0, 1.5, 0.1  # what `long_synthesis` allows


@dataclass(frozen=True)
class Settings:
    """What is done to every clip."""

    model_path: str
    seed: int = 0
    temperature: float = 1.0
    backend: str = "c"
    baselines: bool = True
    asr: bool = True
    compare: tuple[tuple[str, str], ...] = ()  # name and folder of finished copies, by file stem
    n_seeds: int = 1  # copies of each clip, by the seeds from `seed` on


class Clip(NamedTuple):
    id: str
    path: Path
    text: str  # what is said, or ""


@dataclass
class Result:
    """Of one clip.

    scores  : by system ("model", BASELINES, then --compare), the model's as means over the seeds
    by_seed : the model's, seed by seed
    jump    : largest of all copies, of the recording; full scale is 1
    audio   : by system, "recording" first, the model's by the first seed
    """

    clip: Clip
    nll: tuple[float, float]  # coarse, fine; nats per sample
    n_samples: int
    jump: tuple[float, float]
    scores: dict[str, Scores]
    by_seed: list[Scores]
    audio: dict[str, NDArray[Any]] = field(repr=False)
    nll_lanes: tuple[float, ...] = ()  # of each lane of a subscale model; nats per sample


def find_clips(folder: Path, split: str, n: int | None = None) -> list[Clip]:
    """The first n clips of a split, or of "all" files, in the order of split.tsv.

    Raises
    ------
    AudioError
        If the folder or its table cannot be used, or the split is empty.
    """
    files, table = find_files(folder), folder / "split.tsv"
    if table.exists():
        rows = read_table(table, folder, files)
    elif split == "all":
        rows = {file: {} for file in files}
    else:
        raise AudioError(f"{table}: found no such file, wanted one that names the {split} clips (or --split all)")
    clips = [
        Clip(file.relative_to(folder).with_suffix("").name, file, (row.get("text") or "").strip())
        for file, row in rows.items()
        if split in ("all", row.get("split"))
    ]
    if not clips:
        raise AudioError(f"{table}: found no {split} clip, wanted some")
    return clips[:n]


def find_copy(folder: Path, clip: Clip) -> Path:
    """Another system's copy of a clip, FOLDER/STEM.wav or .flac. Raises AudioError if there is none."""
    for suffix in (".wav", ".flac"):
        if (file := folder / f"{clip.path.stem}{suffix}").exists():
            return file
    raise AudioError(f"{folder}: found no {clip.path.stem}.wav or .flac, wanted a copy of every clip (--compare)")


def finished_copy(folder: Path, clip: Clip, rate: int, n_samples: int) -> NDArray[np.float32]:
    """`find_copy`, resampled; cut, or filled with silence, to n_samples.

    Raises
    ------
    AudioError
        If there is none, or its length is off by more than 50 ms.
    """
    file = find_copy(folder, clip)
    audio = load_audio(file, rate)
    if abs(len(audio) - n_samples) > 0.05 * rate:
        raise AudioError(f"{file}: found {len(audio)} samples at {rate} Hz, wanted about {n_samples}")
    return np.pad(audio[:n_samples], (0, max(0, n_samples - len(audio))))


class Evaluator:
    """Raises what load, Voice and its stream raise: a bad file, backend, seed or temperature."""

    def __init__(self, settings: Settings):
        self.settings, self.model = settings, load(settings.model_path)
        self.cfg = self.model.config
        self.synth = Voice(self.model, settings.backend)
        self.synth.open(settings.seed, settings.temperature)  # fails now if it must

    def speech(self, clip: Clip) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """audio : (n_frames * hop_length,) whole frames at the model's rate    mel : (n_mels, n_frames)"""
        audio = load_audio(clip.path, self.cfg.mel.sample_rate)
        if len(audio) < self.cfg.mel.hop_length:
            raise AudioError(f"{clip.path}: found {len(audio)} samples, wanted a frame ({self.cfg.mel.hop_length})")
        mel = log_mel(audio, self.cfg.mel)
        return audio[: mel.shape[1] * self.cfg.mel.hop_length], mel

    def copy(self, mel: NDArray[np.float32], progress: Any = None, more: int = 0) -> NDArray[np.float32]:
        """(n_mels, n_frames) -> (n_frames * hop_length,) in [-1, 1). more : added to the seed"""
        pcm = self.synth(mel, (self.settings.seed + more) % 2**64, self.settings.temperature, progress)
        return pcm.astype(np.float32) / np.float32(32768)

    def __call__(self, clip: Clip) -> Result:
        rate = self.cfg.mel.sample_rate
        # 1) how well the model predicts the recording
        recording, mel = self.speech(clip)
        both = nll(self.model, true_samples(recording, self.cfg), mel)
        coarse, fine = both.mean(axis=0)
        lanes = both.sum(1).reshape(-1, self.cfg.subscale).mean(axis=0).tolist() if self.cfg.subscale > 1 else ()
        # 2) copies of it
        score = Scorer(recording, rate, clip.text, self.settings.asr)
        copies = [self.copy(mel, more=i) for i in range(self.settings.n_seeds)]
        audio: dict[str, NDArray[Any]] = {"recording": recording, "model": copies[0]}
        if self.settings.baselines:
            audio["griffin_lim"] = baselines.griffin_lim(mel, self.cfg.mel, self.settings.seed % 2**32)
            if score.voice:
                audio["world"] = baselines.world(recording, rate, score.voice.f0)
            audio["mu_law"] = baselines.mu_law(recording)
        for name, folder in self.settings.compare:
            audio[name] = finished_copy(Path(folder), clip, rate, len(recording))
        # 3) what they score
        by_seed = [score(a) for a in copies]
        others = {name: score(a) for name, a in audio.items() if name not in ("recording", "model")}
        jump = max(map(largest_jump, copies)), largest_jump(recording)
        likelihood, scores = (float(coarse), float(fine)), {"model": mean_scores(by_seed), **others}
        return Result(clip, likelihood, len(recording), jump, scores, by_seed, audio, tuple(lanes))


@lru_cache(1)
def evaluator_of(settings: Settings) -> Evaluator:
    """One a process."""
    return Evaluator(settings)


def _evaluate(settings: Settings, clip: Clip) -> Result:
    return evaluator_of(settings)(clip)


def evaluate_all(settings: Settings, clips: list[Clip], jobs: int = 1) -> Iterator[Result]:
    """Results in the order of the clips, from `jobs` processes."""
    for _, result in Jobs(jobs).in_order(_evaluate, settings, clips):
        yield result


def means(results: list[Result]) -> dict[str, Any]:
    """{"mean": the model's scores, "baselines": {name: scores}}: plain means over the clips that have the score.

    "seed_sd" is the standard deviation of the model's from seed to seed, where there are several. The likelihoods are
    means over samples, "nll_lanes" those of a subscale model's lanes; jump_ratio_max is the largest jump of all copies
    over that of all recordings.
    """
    weights = [r.n_samples for r in results]
    coarse, fine = (float(np.average([r.nll[i] for r in results], weights=weights)) for i in (0, 1))
    scores = {system: mean_scores([r.scores[system] for r in results]) for system in results[0].scores}
    copies, recordings = (max(r.jump[i] for r in results) for i in (0, 1))
    mean = {
        **_likelihood(coarse, fine),
        **scores.pop("model"),
        "jump_ratio_max": copies / recordings if recordings else None,
    }
    lanes = np.average([r.nll_lanes for r in results], axis=0, weights=weights).tolist()
    by_seed = [mean_scores(list(of_clips)) for of_clips in zip(*(r.by_seed for r in results))]
    return {
        "mean": mean, "baselines": scores, **({"nll_lanes": lanes} if lanes else {}),
        **({"seed_sd": _of_each(by_seed, partial(np.std, ddof=1), 2)} if len(by_seed) > 1 else {}),
    }  # fmt: skip


def differences(results: list[Result]) -> dict[str, dict[str, list[float] | None]]:
    """{system: {score: [mean, half of its 95 % interval]}} of the model minus the system, clip by clip.

    None where fewer than two clips have the score.
    """
    paired: dict[str, dict[str, list[float] | None]] = {}
    for system in list(results[0].scores)[1:]:
        paired[system] = {}
        for key in KEYS:
            pairs = [(r.scores["model"][key], r.scores[system][key]) for r in results]
            d = np.array([a - b for a, b in pairs if a is not None and b is not None])
            half = 1.96 * float(d.std(ddof=1)) / len(d) ** 0.5 if len(d) > 1 else 0.0
            paired[system][key] = [float(d.mean()), half] if len(d) > 1 else None
    return paired


def mean_scores(scores: list[Scores]) -> Scores:
    """Of those that have the score"""
    return _of_each(scores, np.mean, 1)


def _of_each(scores: list[Scores], of: Callable[[list[float]], Any], least: int) -> Scores:
    """`of` of the known values of each score; None where fewer than `least` are"""
    known = {key: [value for s in scores if (value := s[key]) is not None] for key in KEYS}
    return {key: float(of(values)) if len(values) >= least else None for key, values in known.items()}


def _likelihood(coarse: float, fine: float) -> Scores:
    total = coarse + fine
    return {"nll_nats": total, "bits_per_sample": total / np.log(2), "nll_coarse": coarse, "nll_fine": fine}


def clip_entry(result: Result, rate: int) -> dict[str, Any]:
    """What --json says of a clip."""
    scores = dict(result.scores)
    return {
        "id": result.clip.id, "audio_s": result.n_samples / rate, **_likelihood(*result.nll), **scores.pop("model"),
        "baselines": scores, **({"nll_lanes": list(result.nll_lanes)} if result.nll_lanes else {}),
    }  # fmt: skip


def long_synthesis(evaluator: Evaluator, clips: list[Clip], seconds: float, progress: Any = None) -> dict[str, Any]:
    """The clips end to end, over and over, as one stream of `seconds`: does it stay in bounds?

    jump_ratio     largest jump over the recordings' largest                       click_free: at most CLICK
    rms_db_min/max level of each second minus the recordings', of those within     no_runaway: within RUNAWAY_DB
                   40 dB of the loudest second
    flat_s         longest run of equal samples; NaN in the state ends in one      no_dead_end: at most LONG_FLAT_S, or
                                                                                   what the recordings have
    """
    cfg = evaluator.cfg.mel
    n_samples = round(seconds * cfg.sample_rate / cfg.hop_length) * cfg.hop_length
    parts, n = [], 0
    while n < n_samples:
        for clip in clips:
            parts.append(evaluator.speech(clip))
            n += len(parts[-1][0])
            if n >= n_samples:
                break
    recording = np.concatenate([audio for audio, _ in parts])[:n_samples]
    mel = np.concatenate([mel for _, mel in parts], axis=1)[:, : n_samples // cfg.hop_length]
    copy = evaluator.copy(mel, progress)

    jump = largest_jump(copy) / max(largest_jump(recording), 1 / 32768)
    levels = _levels(copy, cfg.sample_rate) - (wanted := _levels(recording, cfg.sample_rate))
    levels = levels[wanted > wanted.max() - 40]
    flat, flat_recording = (_longest_flat(a) / cfg.sample_rate for a in (copy, recording))
    return {
        "seconds": n_samples / cfg.sample_rate,
        "jump_ratio": jump,
        "rms_db_min": float(levels.min()),
        "rms_db_max": float(levels.max()),
        "flat_s": flat,
        "click_free": bool(jump <= CLICK),
        "no_runaway": bool(np.abs(levels).max() <= RUNAWAY_DB),
        "no_dead_end": bool(flat <= max(LONG_FLAT_S, flat_recording)),
    }


def _levels(audio: NDArray[np.float32], n: int) -> NDArray[np.float64]:
    """RMS of each stretch of n samples, in dB of full scale, at least -120."""
    whole = audio[: max(n, len(audio) // n * n)].astype(np.float64)
    return 10 * np.log10(np.maximum((whole.reshape(-1, min(n, len(whole))) ** 2).mean(axis=1), 1e-12))


def _longest_flat(audio: NDArray[np.float32]) -> int:
    """Samples in the longest run of equal ones."""
    changes = np.flatnonzero(np.diff(audio, prepend=np.nan, append=np.nan))
    return int(np.diff(changes).max())
