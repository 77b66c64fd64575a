"""Features of a folder of speech: int16 samples and log-mels of every clip, computed once and kept.

They are computed again whenever a file, the mel settings or the pre-emphasis change. There is one folder per
combination, memory-mapped:

    audio.npy   (total,) int16               per clip one 0 (the sample before the first), then whole frames
    mel.npy     (total_frames, n_mels) f16   log-mels, frame-major so that a window is one read
    clips.json  clips: [[path, n_frames], ...] in the order of both arrays; left_out: {path: [kind, reason]};
                remarks: [line, ...]

Mels come from the audio as it is, or from files beside it, as an acoustic model has made them for the same text and
time; the int16 samples are pre-emphasised: round(32768 (x_t - a x_{t-1})).

Usage: ``found = load_features(Source(folder, cfg), find_files(folder))``
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from wv_runtime.commands.jobs import Jobs, n_cpus
from wv_runtime.errors import AudioError, MelError
from wv_runtime.features.mel import check_length, load_audio, log_mel
from wv_runtime.features.mel_check import LEVEL_DB, check_audio
from wv_runtime.features.mel_format import SUFFIXES, MelFormat
from wv_runtime.features.recording import SILENCE
from wv_runtime.features.samples import preemphasise
from wv_runtime.model.config import WaveRNNConfig

CACHE_VERSION = 3  # part of the key: raise it when the features or their layout change
FILES_PER_WORKER = 64  # fewer do not pay for the start of a process
BAD = ("not audio", "without mels")  # kinds of files that stop a run without --skip-bad


class Features(NamedTuple):
    """Of all clips; the arrays as above. clips : path, n_frames    left_out : {path: (kind, reason)}"""

    audio: Any
    mel: Any
    clips: list[tuple[str, int]]
    left_out: dict[str, tuple[str, str]]
    remarks: list[str]


@dataclass(frozen=True)
class Source:
    """What features depend on, besides the files. mels : the format of mel files beside the audio, or empty"""

    folder: Path
    cfg: WaveRNNConfig
    mels: str = ""

    def mel_file(self, file: Path) -> Path:
        """Beside a clip; where there is none, the name that it should have."""
        names = [file.with_suffix(suffix) for suffix in SUFFIXES]
        return next((name for name in names if name.is_file()), names[0])


def load_features(
    source: Source,
    files: list[Path],
    cache_dir: Path | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
    warn: Callable[[str], None] = lambda line: None,
    jobs: Jobs | None = None,
) -> Features:
    """Compute or reuse them; arguments as of `load_data`.

    Raises
    ------
    AudioError
        If there is no place to keep them.
    """
    cache = cache_root(source.folder, cache_dir) / _cache_key(source, files)
    kept = _open(cache, source.cfg)
    if kept is None:
        if cache.exists():
            warn(f"{cache}: found damaged features, wanted whole ones; computing them again")
            shutil.rmtree(cache, ignore_errors=True)
        _build(source, files, cache, progress, jobs or Jobs(min(n_cpus(), len(files) // FILES_PER_WORKER)))
        kept = _open(cache, source.cfg)
    if kept is None:
        raise AudioError(f"{cache}: found damaged features that cannot be replaced, wanted a folder to write them to "
                         "(--cache-dir)")  # fmt: skip
    return kept


def cache_root(folder: Path, cache_dir: Path | None) -> Path:
    """Where features go: `cache_dir`, or DATA_DIR/.wv-cache if that is writable, or the user's cache folder."""
    if cache_dir is not None:
        return cache_dir
    beside = folder / ".wv-cache"
    if os.access(beside if beside.exists() else folder, os.W_OK):
        return beside
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wavernn"


def _cache_key(source: Source, files: list[Path]) -> str:
    cfg, stats = source.cfg, [_stat(f, source.folder) for f in files]
    mel = {k: v for k, v in asdict(cfg.mel).items() if k != "name"}
    key = [CACHE_VERSION, mel, cfg.preemphasis, stats]
    if source.mels:
        mels = [source.mel_file(f) for f in files]
        key += [source.mels, [_stat(f, source.folder) for f in mels if f.exists()]]
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]


def _stat(file: Path, folder: Path) -> tuple[str, int, int]:
    stat = file.stat()
    return file.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns


def _open(cache: Path, cfg: WaveRNNConfig) -> Features | None:
    """Those of a cache folder; None if it is missing or damaged."""
    try:
        table = json.loads((cache / "clips.json").read_text())
        clips, left_out, said = table["clips"], table["left_out"], table["remarks"]
        if not clips:
            return Features(None, None, clips, left_out, said)
        audio, mel = (np.load(cache / name, mmap_mode="r") for name in ("audio.npy", "mel.npy"))
        total = sum(n for _, n in clips)
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
    if (audio.dtype, audio.shape) != (np.int16, (total * cfg.mel.hop_length + len(clips),)):
        return None
    if (mel.dtype, mel.shape) != (np.float16, (total, cfg.mel.n_mels)):
        return None
    return Features(audio, mel, clips, left_out, said)


def _build(source: Source, files: list[Path], cache: Path, progress: Any, jobs: Jobs) -> None:
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
            for _, (file, found) in zip(progress(files), jobs.in_order(_features, source, files)):
                path = file.relative_to(source.folder).as_posix()
                said += found.remarks
                if found.left_out:
                    left_out[path] = found.left_out
                    continue
                audio_file.write(found.samples.tobytes())
                mel_file.write(found.mel.tobytes())
                clips.append((path, len(found.mel)))
        if clips:
            _raw_to_npy(temp / "audio", np.int16, (-1,))
            _raw_to_npy(temp / "mel", np.float16, (-1, source.cfg.mel.n_mels))
        (temp / "clips.json").write_text(json.dumps({"clips": clips, "left_out": left_out, "remarks": said}))
        if not cache.exists():  # another process may have been faster
            os.replace(temp, cache)
    finally:
        shutil.rmtree(temp, ignore_errors=True)


class _Clip(NamedTuple):
    """samples : one 0, then whole frames, int16   mel : (n_frames, n_mels) float16   left_out : kind, reason"""

    remarks: list[str]
    left_out: tuple[str, str] | None
    samples: NDArray[np.int16] = np.zeros(0, np.int16)
    mel: NDArray[np.float16] = np.zeros((0, 0), np.float16)


def _features(source: Source, file: Path) -> _Clip:
    """Of one clip."""
    cfg, hop = source.cfg, source.cfg.mel.hop_length
    said: list[str] = []
    try:
        audio = load_audio(file, cfg.mel.sample_rate, said.append)
    except AudioError as error:
        return _Clip(said, ("not audio", str(error).removeprefix(f"{file}: ")))
    if len(audio) < hop:  # too short for a frame: of no use, but no reason to stop
        return _Clip(said, ("too short", f"found {len(audio)} samples"))
    if np.abs(audio).max() <= SILENCE:  # load_audio has said so
        return _Clip(said, ("silent", ""))
    if source.mels:
        try:
            mel = _mel_beside(source, file, audio, said)
        except (MelError, OSError) as error:
            reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
            return _Clip(said, ("without mels", reason))
    else:
        mel = log_mel(audio, cfg.mel)
    samples = preemphasise(audio, cfg.preemphasis)[: mel.shape[1] * hop]
    samples = np.concatenate([np.zeros(1, np.int16), samples])
    return _Clip(said, None, samples, np.ascontiguousarray(mel.T, np.float16))


def _mel_beside(source: Source, file: Path, audio: NDArray[np.float32], said: list[str]) -> NDArray[np.float32]:
    """The mels of a file, at most as many frames as the audio has. (n_mels, n_frames)

    Beyond the edges windows repeat the first and the last frame, as the runtime does.
    """
    cfg, path = source.cfg.mel, source.mel_file(file)
    mel = MelFormat.parse(source.mels).load(path, cfg)
    check_length(path, mel.shape[1], len(audio), cfg, file)
    mel = mel[:, : len(audio) // cfg.hop_length]
    pcm = np.clip(np.rint(32768 * audio[: mel.shape[1] * cfg.hop_length]), -32768, 32767).astype(np.int16)
    heard = check_audio(cfg, mel, pcm)
    if abs(heard.level_db) > LEVEL_DB:
        said.append(f"{path}: found a level {-heard.level_db:+.1f} dB off that of {file.name}, wanted mels of it")
    return mel


def _raw_to_npy(stem: Path, dtype: Any, shape: tuple[int, ...]) -> None:
    """STEM.raw, written clip by clip, -> STEM.npy, without holding it in memory."""
    raw = np.memmap(stem.with_suffix(".raw"), dtype=dtype, mode="r").reshape(shape)
    out = np.lib.format.open_memmap(stem.with_suffix(".npy"), mode="w+", dtype=dtype, shape=raw.shape)
    out[:] = raw
    out.flush()
    stem.with_suffix(".raw").unlink()
