"""A folder of speech -> windows of (samples, mel) for training.

    DATA_DIR/**/*.wav, *.flac ..  what libsndfile reads, of any rate, any number of channels
    DATA_DIR/split.tsv            optional; a header line, then columns `id` (file name without suffix, or path
                                  below DATA_DIR without suffix) and `split` (train, valid or test)

Features are computed once, and again whenever a file, the mel settings or the pre-emphasis change. They are
kept in one folder per combination, memory-mapped:

    audio.npy   (total,) int16               per clip one 0 (the sample before the first), then whole frames
    mel.npy     (total_frames, n_mels) f16   log-mels, frame-major so that a window is one read
    clips.json  clips: [[path, n_frames], ...] in the order of both arrays; left_out: {path: [kind, reason]};
                remarks: [line, ...]

Mels come from the audio as it is; the int16 samples are pre-emphasised: round(32768 (x_t - a x_{t-1})).

Usage: ``data = load_data(Path("speech"), cfg); train = Lanes(data, "train", window_frames=6)``
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from wv_runtime.errors import AudioError
from wv_runtime.features.mel import load_audio, log_mel
from wv_runtime.features.recording import SILENCE
from wv_runtime.features.samples import preemphasise
from wv_runtime.features.speech import SPLITS, find_files, read_table
from wv_runtime.model.config import WaveRNNConfig

CACHE_VERSION = 3  # part of the key: raise it when the features or their layout change
VALID_SHARE = 0.05  # of the clips, without a split.tsv
MAX_VALID_CLIPS = 30
FILES_PER_WORKER = 64  # fewer do not pay for the start of a process
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
            lines.append(f"{split}: found {len(n_frames) + len(other)}, used {used}, too short {short}, "
                         f"silent {other.count('silent')}, not audio {other.count('not audio')}")  # fmt: skip
        return "; ".join(lines)

    def mel_windows(self, clip: NDArray[np.int64], start: NDArray[np.int64], n_frames: int) -> NDArray[np.float32]:
        """Mels of frames [start, start + n_frames) of clips and their context; edge frames repeat beyond the ends.

        clip, start : (B,)   Returns (B, n_mels, n_frames + cond_width - 1) float32
        """
        context = self.cfg.cond_width // 2
        frame = start[:, None] + np.arange(-context, n_frames + context)
        frame = self.first_frame[clip][:, None] + np.clip(frame, 0, self.n_frames[clip][:, None] - 1)
        return np.ascontiguousarray(self.mel[frame].transpose(0, 2, 1), np.float32)

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


class Lanes:
    """Windows of `window_frames` whole frames of one split, so that each lane of a batch walks through clip after clip.

    In every epoch the clips are shuffled, each is cut into windows from a random first frame on, and the row of all
    windows is dealt to the lanes in equal runs. Clips shorter than a window are left out.

    Raises
    ------
    AudioError
        If no clip of the split is long enough.
    """

    def __init__(self, data: Data, split: str, window_frames: int):
        self.data, self.window_frames = data, window_frames
        clips = np.flatnonzero(data.splits == split)
        self.clips = clips[data.n_frames[clips] >= window_frames]
        if len(self.clips) == 0:
            raise AudioError(
                f"{data.name}: found no {split} clip of at least {window_frames} frames (of {len(clips)}), wanted one"
            )
        self.n_windows = data.n_frames[self.clips] // window_frames  # of each clip

    def draw(
        self, seed: int, step: int, n: int, gain_db: float = 0.0
    ) -> tuple[NDArray[np.int16], NDArray[np.float32], NDArray[np.bool_]]:
        """The batch of a step, a pure function of its arguments.

        Returns
        -------
        samples, mel : as `at`
        fresh : (n,) bool, as `places`
        """
        clip, frame, fresh, gain = self.places(seed, step, n, gain_db)
        samples, mel = self.at(clip, frame)
        if gain_db:
            samples, mel = amplified(samples, mel, gain, self.data.cfg)
        return samples, mel, fresh

    def places(
        self, seed: int, step: int, n: int, gain_db: float = 0.0
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
        """Where the windows of a step lie: clip, first frame, whether the lane starts anew, gain; each (n,).

        A lane starts anew when its window does not continue the one of the step before.
        gain_db : each clip's level is changed by up to this, up or down, anew in every epoch
        """
        n_all = int(self.n_windows.sum())
        run = max(1, n_all // n)  # windows of a lane in an epoch
        epoch, step = divmod(step, run)
        order, first, gain = self._epoch(seed, epoch, gain_db)
        ends = np.cumsum(self.n_windows[order])
        index = (np.arange(n) * run + step) % n_all
        place = np.searchsorted(ends, index, side="right")
        k = index - (ends - self.n_windows[order])[place]  # window within its clip
        which = order[place]
        fresh = (k == 0) | (step == 0)
        return self.clips[which], first[which] + k * self.window_frames, fresh, gain[which]

    def _epoch(self, seed: int, epoch: int, gain_db: float) -> tuple[Any, Any, Any]:
        """Of all clips: their order, the first frame of each, the gain of each."""
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(self.clips))
        spare = self.data.n_frames[self.clips] - self.n_windows * self.window_frames
        first = rng.integers(spare + 1)
        gain = 10 ** (rng.uniform(-gain_db, gain_db, len(self.clips)) / 20) if gain_db else np.ones(len(self.clips))
        return order, first, gain

    def beginnings(self, n: int) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
        """The first window of n clips spread evenly over the split (of all, if there are fewer), always the same."""
        n = min(n, len(self.clips))
        clips = self.clips[(np.arange(n) * len(self.clips)) // n]
        return self.at(clips, np.zeros_like(clips))

    def at(self, clip: NDArray[np.int64], frame: NDArray[np.int64]) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
        """Windows by clip and first frame.

        Returns
        -------
        samples : (B, T + n_past) int16                  the last T are the window's
        mel : (B, n_mels, window_frames + cond_width - 1) float32
        """
        data, hop = self.data, self.data.cfg.mel.hop_length
        n_past = data.cfg.n_past
        sample = (frame * hop)[:, None] + np.arange(1 - n_past, self.window_frames * hop + 1)
        audio = data.audio[data.first_sample[clip][:, None] + np.maximum(sample, 0)]  # sample 0 of a clip is 0
        return audio, data.mel_windows(clip, frame, self.window_frames)


def amplified(
    samples: NDArray[np.int16], mel: NDArray[np.float32], gain: NDArray[np.float64], cfg: WaveRNNConfig
) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Windows as `Lanes.at` gives them at another level. gain : (B,)"""
    samples = np.clip(np.rint(gain[:, None] * samples), -32768, 32767).astype(np.int16)
    mel = np.maximum(mel + np.log(gain)[:, None, None], np.log(cfg.mel.log_floor)).astype(np.float32)
    return samples, mel


def load_data(
    folder: Path,
    cfg: WaveRNNConfig,
    cache_dir: Path | None = None,
    progress: Callable[[Iterable[Path]], Iterable[Path]] = iter,
    skip_bad: bool = False,
    warn: Callable[[str], None] = lambda line: None,
) -> Data:
    """Find the clips of a folder, split them, and compute or reuse their features.

    progress : wraps the iteration over files, so that a caller can show a bar
    skip_bad : go on without the files that cannot be used
    warn : gets a line for each of those, for each one that is silent or unlike a recording, and for a damaged cache

    Raises
    ------
    AudioError
        If the folder or its split.tsv cannot be used, or one of its files and not `skip_bad`.
    """
    files = find_files(folder)
    split_of = read_split(folder / "split.tsv", folder, files)
    files = [f for f in files if f in split_of] if split_of else files
    cache = cache_root(folder, cache_dir) / _cache_key(folder, cfg, files)
    kept = _open(cache, cfg)
    if kept is None:
        if cache.exists():
            warn(f"{cache}: found damaged features, wanted whole ones; computing them again")
            shutil.rmtree(cache, ignore_errors=True)
        _build(folder, cfg, files, cache, progress)
        kept = _open(cache, cfg)
    if kept is None:
        raise AudioError(f"{cache}: found damaged features that cannot be replaced, wanted a folder to write them to "
                         "(--cache-dir)")  # fmt: skip
    audio, mel, clips, left_out, said = kept
    bad = {path: reason for path, (kind, reason) in left_out.items() if kind == "not audio"}
    if len(said) > MAX_REMARKS:
        said = [*said[:MAX_REMARKS], f"{folder}: {len(said) - MAX_REMARKS} more remarks of these kinds"]
    for line in [*said, *(f"{folder / path}: {reason}" for path, reason in bad.items() if len(bad) > 1 or skip_bad)]:
        warn(line)
    if bad and not skip_bad:
        path, reason = next(iter(bad.items()))
        raise AudioError(f"{folder / path}: {reason}" + (f"; {len(bad)} of {len(files)} files cannot be used, all "
                         "named above" if len(bad) > 1 else "") + "; --skip-bad goes on without")  # fmt: skip
    if not clips:
        raise AudioError(f"{folder}: found no file of at least one frame ({cfg.mel.hop_length} samples), wanted some")
    split_of = split_of or make_split(folder, [folder / path for path, _ in clips])
    others: dict[str, list[str]] = {}
    for path, (kind, _) in left_out.items():
        others.setdefault(split_of.get(folder / path, "train"), []).append(kind)
    n_frames = np.array([n for _, n in clips], dtype=np.int64)
    before = np.concatenate([[0], np.cumsum(n_frames)[:-1]])  # frames of the clips before
    return Data(
        cfg=cfg,
        name=folder.resolve().name,
        audio=audio,
        mel=mel,
        ids=[path for path, _ in clips],
        splits=np.array([split_of[folder / path] for path, _ in clips]),
        n_frames=n_frames,
        first_sample=before * cfg.mel.hop_length + np.arange(len(clips)),
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


def cache_root(folder: Path, cache_dir: Path | None) -> Path:
    """Where features go: `cache_dir`, or DATA_DIR/.wv-cache if that is writable, or the user's cache folder."""
    if cache_dir is not None:
        return cache_dir
    beside = folder / ".wv-cache"
    if os.access(beside if beside.exists() else folder, os.W_OK):
        return beside
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wavernn"


def _cache_key(folder: Path, cfg: WaveRNNConfig, files: list[Path]) -> str:
    stats = [(f.relative_to(folder).as_posix(), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    mel = {k: v for k, v in asdict(cfg.mel).items() if k != "name"}
    text = json.dumps([CACHE_VERSION, mel, cfg.preemphasis, stats], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _open(cache: Path, cfg: WaveRNNConfig) -> Any:
    """audio, mel, clips, left_out, remarks of a cache folder; None if it is missing or damaged."""
    try:
        table = json.loads((cache / "clips.json").read_text())
        clips, left_out, said = table["clips"], table["left_out"], table["remarks"]
        if not clips:
            return None, None, clips, left_out, said
        audio, mel = (np.load(cache / name, mmap_mode="r") for name in ("audio.npy", "mel.npy"))
        total = sum(n for _, n in clips)
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
    if (audio.dtype, audio.shape) != (np.int16, (total * cfg.mel.hop_length + len(clips),)):
        return None
    if (mel.dtype, mel.shape) != (np.float16, (total, cfg.mel.n_mels)):
        return None
    return audio, mel, clips, left_out, said


def _build(folder: Path, cfg: WaveRNNConfig, files: list[Path], cache: Path, progress: Any) -> None:
    """Write the three files of a cache folder; it appears under its name only when it is whole."""
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        temp = Path(tempfile.mkdtemp(dir=cache.parent, prefix="building-"))
    except OSError as error:
        raise AudioError(f"{cache.parent}: {error.strerror}, wanted a writable cache folder (--cache-dir)") from None
    try:
        clips: list[tuple[str, int]] = []
        left_out: dict[str, tuple[str, str]] = {}
        said: list[str] = []
        with (temp / "audio.raw").open("wb") as audio_file, (temp / "mel.raw").open("wb") as mel_file:
            with _workers(len(files)) as run:
                for file, found in zip(progress(files), run(functools.partial(_features, cfg), files)):
                    path = file.relative_to(folder).as_posix()
                    said += found.remarks
                    if found.left_out:
                        left_out[path] = found.left_out
                        continue
                    audio_file.write(found.samples.tobytes())
                    mel_file.write(found.mel.tobytes())
                    clips.append((path, len(found.mel)))
        if clips:
            _raw_to_npy(temp / "audio", np.int16, (-1,))
            _raw_to_npy(temp / "mel", np.float16, (-1, cfg.mel.n_mels))
        (temp / "clips.json").write_text(json.dumps({"clips": clips, "left_out": left_out, "remarks": said}))
        if not cache.exists():  # another process may have been faster
            os.replace(temp, cache)
    finally:
        shutil.rmtree(temp, ignore_errors=True)


class _Features(NamedTuple):
    """samples : one 0, then whole frames, int16   mel : (n_frames, n_mels) float16   left_out : kind, reason"""

    remarks: list[str]
    left_out: tuple[str, str] | None
    samples: NDArray[np.int16] = np.zeros(0, np.int16)
    mel: NDArray[np.float16] = np.zeros((0, 0), np.float16)


def _features(cfg: WaveRNNConfig, file: Path) -> _Features:
    """Of one clip."""
    hop = cfg.mel.hop_length
    said: list[str] = []
    try:
        audio = load_audio(file, cfg.mel.sample_rate, said.append)
    except AudioError as error:
        return _Features(said, ("not audio", str(error).removeprefix(f"{file}: ")))
    if len(audio) < hop:  # too short for a frame: of no use, but no reason to stop
        return _Features(said, ("too short", f"found {len(audio)} samples"))
    if np.abs(audio).max() <= SILENCE:  # load_audio has said so
        return _Features(said, ("silent", ""))
    mel = log_mel(audio, cfg.mel)
    samples = preemphasise(audio, cfg.preemphasis)[: mel.shape[1] * hop]
    samples = np.concatenate([np.zeros(1, np.int16), samples])
    return _Features(said, None, samples, np.ascontiguousarray(mel.T, np.float16))


@contextmanager
def _workers(n_files: int) -> Iterator[Any]:
    """A `map` in order, over all cores where the files are worth the start of other processes."""
    n = min(os.cpu_count() or 1, n_files // FILES_PER_WORKER)
    if n < 2:
        yield map
        return
    with ProcessPoolExecutor(n, multiprocessing.get_context("spawn")) as pool:
        yield functools.partial(pool.map, chunksize=8)


def _raw_to_npy(stem: Path, dtype: Any, shape: tuple[int, ...]) -> None:
    """STEM.raw, written clip by clip, -> STEM.npy, without holding it in memory."""
    raw = np.memmap(stem.with_suffix(".raw"), dtype=dtype, mode="r").reshape(shape)
    out = np.lib.format.open_memmap(stem.with_suffix(".npy"), mode="w+", dtype=dtype, shape=raw.shape)
    out[:] = raw
    out.flush()
    stem.with_suffix(".raw").unlink()
