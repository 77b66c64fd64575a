"""Features of the clips of a folder, computed once and kept in a cache folder. Its files: dataset.py."""

from __future__ import annotations

import functools
import hashlib
import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from wv_runtime.errors import AudioError
from wv_runtime.features.mel import load_audio, log_mel
from wv_runtime.features.recording import SILENCE
from wv_runtime.features.samples import preemphasise
from wv_runtime.model.config import WaveRNNConfig

CACHE_VERSION = 3  # part of the key: raise it when the features or their layout change
FILES_PER_WORKER = 64  # fewer do not pay for the start of a process


def cache_root(folder: Path, cache_dir: Path | None) -> Path:
    """Where features go: `cache_dir`, or DATA_DIR/.wv-cache if that is writable, or the user's cache folder."""
    if cache_dir is not None:
        return cache_dir
    beside = folder / ".wv-cache"
    if os.access(beside if beside.exists() else folder, os.W_OK):
        return beside
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wavernn"


def cache_key(folder: Path, cfg: WaveRNNConfig, files: list[Path]) -> str:
    stats = [(f.relative_to(folder).as_posix(), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    mel = {k: v for k, v in asdict(cfg.mel).items() if k != "name"}
    text = json.dumps([CACHE_VERSION, mel, cfg.preemphasis, stats], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def open_cache(cache: Path, cfg: WaveRNNConfig) -> Any:
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


def build_cache(folder: Path, cfg: WaveRNNConfig, files: list[Path], cache: Path, progress: Any) -> None:
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
