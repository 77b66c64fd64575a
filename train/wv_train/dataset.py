"""A folder of speech -> windows of (samples, mel) for training.

    DATA_DIR/**/*.wav, *.flac ..  what libsndfile reads, of any rate, any number of channels
    DATA_DIR/split.tsv            optional; a header line, then columns `id` (file name without suffix, or path
                                  below DATA_DIR without suffix) and `split` (train, valid or test)

Features are computed once and kept (features.py).

Usage: ``data = load_data(Path("speech"), cfg); lanes = Lanes(data, "train", window_frames=6)``
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from wv_runtime.commands.jobs import Jobs
from wv_runtime.errors import AudioError
from wv_runtime.features.speech import SPLITS, find_files, read_table
from wv_runtime.model.config import WaveRNNConfig

from .features import BAD, Source, load_features

VALID_SHARE = 0.05  # of the clips, without a split.tsv
MAX_VALID_CLIPS = 30
MAX_REMARKS = 10  # told; one on every file of a large folder says no more


@dataclass(frozen=True)
class Data:
    """Features of all clips and which split each clip is in.

    audio : (total,) int16    mel : (total_frames, n_mels) float16
    ids, splits, n_frames, first_sample, first_frame : one entry per clip
    first_sample is where the clip's leading 0 lies, first_frame where its mel starts.
    """

    cfg: WaveRNNConfig
    name: str
    audio: NDArray[np.int16]
    mel: NDArray[np.float16]
    ids: list[str]
    splits: NDArray[np.str_]
    n_frames: NDArray[np.int64]
    first_sample: NDArray[np.int64]
    first_frame: NDArray[np.int64]
    left_out: dict[str, list[str]] = field(default_factory=dict)  # {split: what each file is}, of LEFT_OUT

    def counts(self, window_frames: int) -> str:
        """Per split: how many files were found, how many give windows of that length, and what the others are."""
        lines = []
        for split in SPLITS[:2]:
            n_frames, other = self.n_frames[self.splits == split], self.left_out.get(split, [])
            used = int((n_frames >= window_frames).sum())
            short = len(n_frames) - used + other.count("too short")
            without = f", without mels {n}" if (n := other.count("without mels")) else ""
            lines.append(f"{split}: found {len(n_frames) + len(other)}, used {used}, too short {short}, "
                         f"silent {other.count('silent')}, not audio {other.count('not audio')}{without}")  # fmt: skip
        return "; ".join(lines)

    def mel_windows(self, clip: NDArray[np.int64], start: NDArray[np.int64], n_frames: int) -> NDArray[np.float32]:
        """Mels of frames [start, start + n_frames) of clips and their context; edge frames repeat beyond the ends.

        clip, start : (B,)   Returns (B, n_mels, n_frames + cond_width - 1) float32
        """
        context = self.cfg.cond_width // 2
        frame = start[:, None] + np.arange(-context, n_frames + context)
        frame = self.first_frame[clip][:, None] + np.clip(frame, 0, self.n_frames[clip][:, None] - 1)
        return np.ascontiguousarray(self.mel[frame].transpose(0, 2, 1), np.float32)

    def samples(self, clip: NDArray[np.int64], start: NDArray[np.int64], n_frames: int) -> NDArray[np.int16]:
        """Samples of the same frames, with what the network sees before and after them; 0 beyond the clip's ends.

        Returns (B, n_past + n_frames * hop_length + n_future) int16
        """
        hop, cfg = self.cfg.mel.hop_length, self.cfg
        sample = (start * hop)[:, None] + np.arange(1 - cfg.n_past, n_frames * hop + 1 + cfg.n_future)
        sample[sample > (self.n_frames[clip] * hop)[:, None]] = 0  # sample 0 of a clip is 0
        return self.audio[self.first_sample[clip][:, None] + np.maximum(sample, 0)]

    def mel_stats(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation of the training split's log-mels, each (n_mels,) float32."""
        total = np.zeros((2, self.mel.shape[1]))
        count = 0
        for clip in np.flatnonzero(self.splits == "train"):
            m = self.mel[self.first_frame[clip] :][: self.n_frames[clip]].astype(np.float64)
            total += m.sum(0), (m * m).sum(0)
            count += len(m)
        mean = total[0] / count
        std = np.sqrt(np.maximum(total[1] / count - mean**2, 1e-4))
        return mean.astype(np.float32), std.astype(np.float32)

    def summary(self) -> dict[str, Any]:
        """What a checkpoint keeps of it as `data`."""
        in_train = self.splits == "train"
        seconds = float(self.n_frames[in_train].sum()) * self.cfg.mel.hop_length / self.cfg.mel.sample_rate
        return {
            "name": self.name,
            "n_train": int(in_train.sum()),
            "n_valid": int((self.splits == "valid").sum()),
            "train_minutes": round(seconds / 60, 2),
        }


def valid_frames(data: Data, asked: int) -> int:
    """Frames of a validation window: `asked`, or fewer if that leaves out more than half of the clips."""
    n_frames = np.sort(data.n_frames[data.splits == "valid"])
    return max(1, min(asked, int(n_frames[(len(n_frames) - 1) // 2]))) if len(n_frames) else asked


def whole_frames(n_samples: int, cfg: WaveRNNConfig) -> int:
    """n_samples, rounded up to mel frames."""
    return math.ceil(n_samples / cfg.mel.hop_length)


def load_data(
    folder: Path,
    cfg: WaveRNNConfig,
    cache_dir: Path | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
    skip_bad: bool = False,
    warn: Callable[[str], None] = lambda line: None,
    mels: str = "",
    jobs: Jobs | None = None,
) -> Data:
    """Find the clips of a folder, split them, and compute or reuse their features.

    progress : wraps the iteration over files, so that a caller can show a bar
    skip_bad : go on without the files that cannot be used
    warn : gets a line for each of those, for each one that is silent or unlike a recording, and for a damaged cache
    mels : format of the mel files beside the audio to train on (MelFormat); empty: mels are computed
    jobs : where features are computed; as many processes as they are worth if absent

    Raises
    ------
    AudioError
        If the folder or its split.tsv cannot be used, or one of its files and not `skip_bad`.
    """
    files = find_files(folder)
    split_of = read_split(folder / "split.tsv", folder, files)
    files = [f for f in files if f in split_of] if split_of else files
    kept = load_features(Source(folder, cfg, mels), files, cache_dir, progress, warn, jobs)
    bad = {path: reason for path, (kind, reason) in kept.left_out.items() if kind in BAD}
    said = kept.remarks
    if len(said) > MAX_REMARKS:
        said = [*said[:MAX_REMARKS], f"{folder}: {len(said) - MAX_REMARKS} more remarks of these kinds"]
    for line in [*said, *(f"{folder / path}: {reason}" for path, reason in bad.items() if len(bad) > 1 or skip_bad)]:
        warn(line)
    if bad and not skip_bad:
        path, reason = next(iter(bad.items()))
        raise AudioError(f"{folder / path}: {reason}" + (f"; {len(bad)} of {len(files)} files cannot be used, all "
                         "named above" if len(bad) > 1 else "") + "; --skip-bad goes on without")  # fmt: skip
    if not kept.clips:
        raise AudioError(f"{folder}: found no file of at least one frame ({cfg.mel.hop_length} samples), wanted some")
    split_of = split_of or make_split(folder, [folder / path for path, _ in kept.clips])
    others: dict[str, list[str]] = {}
    for path, (kind, _) in kept.left_out.items():
        others.setdefault(split_of.get(folder / path, "train"), []).append(kind)
    n_frames = np.array([n for _, n in kept.clips], dtype=np.int64)
    before = np.concatenate([[0], np.cumsum(n_frames)[:-1]])  # frames of the clips before
    return Data(
        cfg=cfg,
        name=folder.resolve().name,
        audio=kept.audio,
        mel=kept.mel,
        ids=[path for path, _ in kept.clips],
        splits=np.array([split_of[folder / path] for path, _ in kept.clips]),
        n_frames=n_frames,
        first_sample=before * cfg.mel.hop_length + np.arange(len(kept.clips)),
        first_frame=before,
        left_out=others,
    )


def read_split(table: Path, folder: Path, files: list[Path]) -> dict[Path, str]:
    """split.tsv -> {file: split}; empty if there is no such table. Files that it does not list are not used.

    Raises
    ------
    AudioError
        If the table is damaged (wv_runtime.features.speech.read_table), or `train` or `valid` is empty.
    """
    if not table.exists():
        return {}
    split_of = {file: row["split"] for file, row in read_table(table, folder, files).items()}
    for split in ("train", "valid"):
        if split not in split_of.values():
            raise AudioError(f"{table}: found no {split} clip, wanted some")
    return split_of


def make_split(folder: Path, files: list[Path]) -> dict[Path, str]:
    """Without a split.tsv: a fixed 5 % of the files (at least one, at most 30) validate, chosen by name hash.

    Raises
    ------
    AudioError
        If there is only one file.
    """
    if len(files) < 2:
        raise AudioError(f"{folder}: found 1 audio file, wanted at least 2 (one is kept for validation)")
    n_valid = min(max(1, round(VALID_SHARE * len(files))), MAX_VALID_CLIPS)
    order = sorted(files, key=lambda f: hashlib.sha256(os.fsencode(f.relative_to(folder))).digest())
    valid = set(order[:n_valid])
    return {file: "valid" if file in valid else "train" for file in files}
