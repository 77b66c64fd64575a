"""A folder of mels to a folder of audio: several processes, streams in step in each, and whole files only.

What a file holds does not depend on the number of jobs or on the order. A run that was stopped, in any way, goes on: a
file that is newer than its mels, and than the note of the model and options of the folder, is left alone.

Usage: ``summary = Corpus(Path("mels"), Path("wavs"), settings).run(n_jobs=2)``
"""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.connection
import multiprocessing.process
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from wv_runtime.atomic import atomic_path, remove_stale
from wv_runtime.commands.common import printable
from wv_runtime.commands.output import FORMATS, Output
from wv_runtime.engine.registry import ENGINES
from wv_runtime.engine.synth import Voice
from wv_runtime.errors import MelError, WaveRNNError
from wv_runtime.features.mel_check import check_audio, check_mels
from wv_runtime.features.mel_file import load_mel
from wv_runtime.features.mel_format import MelFormat
from wv_runtime.model.binary import file_bytes
from wv_runtime.model.checks import checksum
from wv_runtime.model.weights import Model

SUFFIXES = (".npy", ".npz", ".pt")  # of mels; the first alone without --mel-format
STATE = ".wv-run.json"  # in the folder of audio: the settings that it was made with
FILES_AT_ONCE = 16  # that a process speaks in step before it writes them


@dataclass(frozen=True)
class Settings:
    """What a file of audio depends on, besides its mels."""

    model: Model = field(repr=False)
    backend: str
    isa: str | None
    seed: int
    temperature: float
    postfilter: bool
    format: str
    strict: bool
    mel_format: str | None = None

    def as_state(self) -> dict[str, object]:
        """Of STATE: what the files depend on, which an ISA and most engines are not."""
        state: dict[str, object] = {"model": f"{checksum(file_bytes(self.model)):08x}"}
        if not ENGINES[self.backend].same_samples:
            state["backend"] = self.backend
        return state | {
            name: getattr(self, name) for name in ("seed", "temperature", "postfilter", "format", "mel_format")
        }


@dataclass
class Summary:
    """What became of the files; the fields are the keys of ``--json``. Durations in seconds."""

    done: int = 0
    skipped: int = 0  # made before
    failed: dict[str, str] = field(default_factory=dict)  # {path of the mels: the reason}
    warnings: dict[str, str] = field(default_factory=dict)
    audio_s: float = 0.0
    elapsed_s: float = 0.0
    jobs: int = 1
    backend: str = ""

    @property
    def n_files(self) -> int:
        return self.done + self.skipped + len(self.failed)

    def json(self) -> str:
        """One line."""
        return json.dumps({k: round(v, 6) if isinstance(v, float) else v for k, v in asdict(self).items()})

    def text(self) -> str:
        """A table, and a line for each file that failed."""
        factor = self.elapsed_s / self.audio_s if self.audio_s else 0.0
        lines = [
            f"done              {self.done} files, {self.audio_s:.1f} s of audio",
            f"skipped           {self.skipped} files, made before",
            f"failed            {len(self.failed)} files",
            *(f"  {printable(path)}: {printable(reason)}" for path, reason in sorted(self.failed.items())),
            f"time              {self.elapsed_s:.1f} s in {self.jobs} jobs on {self.backend}",
            f"real-time factor  {factor:.4f} (seconds per second of audio)",
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class _Item:
    mel: Path
    out: Path
    n_bytes: int


@dataclass(frozen=True)
class _Made:
    """Of one file: the reason of a failure, or empty; a warning, or empty; the seconds of audio."""

    mel: Path
    reason: str = ""
    warning: str = ""
    audio_s: float = 0.0


class Corpus:
    """The mels below a folder and where their audio goes: the same folders and names, another suffix.

    Raises
    ------
    WaveRNNError
        If there are no mels, or `audio` was made with other settings.
    OSError
        If `audio` cannot be made or written.
    """

    def __init__(self, mels: Path, audio: Path, settings: Settings):
        self.settings, self.audio = settings, audio
        suffix = next(suffix for suffix, format in FORMATS.items() if format == settings.format)
        suffixes = SUFFIXES if settings.mel_format else SUFFIXES[:1]
        found = sorted(path for path in _files_below(mels) if path.suffix in suffixes)
        if not found:
            raise MelError(f"{mels}: found no {SUFFIXES[0]} below it, wanted mels")
        self._items = [_Item(p, (audio / p.relative_to(mels)).with_suffix(suffix), p.stat().st_size) for p in found]
        audio.mkdir(parents=True, exist_ok=True)
        if not os.access(audio, os.W_OK):
            raise PermissionError(13, "Permission denied", str(audio))
        self._check_state()

    def _check_state(self) -> None:
        path, state = self.audio / STATE, self.settings.as_state()
        try:
            before = json.loads(path.read_bytes())
        except FileNotFoundError:
            with atomic_path(path) as tmp:
                tmp.write_text(json.dumps(state))
            return
        except ValueError:
            before = {}
        other = ", ".join(name for name in state if not isinstance(before, dict) or before.get(name) != state[name])
        if other:
            raise WaveRNNError(f"{self.audio}: found audio of another {other}, wanted a new folder, or --overwrite")

    @staticmethod
    def forget(audio: Path) -> None:
        """Take what is in the folder for old: all of it is made again."""
        (audio / STATE).unlink(missing_ok=True)

    def run(self, n_jobs: int) -> Summary:
        """Make what is missing or old."""
        summary, start = Summary(jobs=n_jobs, backend=self.settings.backend), time.monotonic()
        began, left = (self.audio / STATE).stat().st_mtime_ns, []
        for item in self._items:
            remove_stale(item.out)
            newest = max(began, item.mel.stat().st_mtime_ns)
            if item.out.is_file() and item.out.stat().st_mtime_ns >= newest:
                summary.skipped += 1
            else:
                left.append(item)
        left.sort(key=lambda item: -item.n_bytes)  # lanes in step end together, and no job is left with a long one
        size = max(1, min(FILES_AT_ONCE, -(-len(left) // n_jobs)))
        groups = [left[i : i + size] for i in range(0, len(left), size)]
        shown = not sys.stderr.isatty()
        with click.progressbar(length=len(left), label="files", show_pos=True, file=sys.stderr, hidden=shown) as bar:
            for made in self._all(groups, n_jobs):
                bar.update(1)
                if made.reason:
                    summary.failed[str(made.mel)] = made.reason
                    continue
                summary.done += 1
                summary.audio_s += made.audio_s
                if made.warning:
                    summary.warnings[str(made.mel)] = made.warning
        summary.elapsed_s = time.monotonic() - start
        return summary

    def _all(self, groups: list[list[_Item]], n_jobs: int) -> Iterator[_Made]:
        if n_jobs == 1 or len(groups) < 2:
            voice = _voice(self.settings)
            for group in groups:
                yield from _make(voice, self.settings, group)
            return
        context = multiprocessing.get_context("spawn")  # threads of a library do not survive a fork
        with ProcessPoolExecutor(min(n_jobs, len(groups)), context, _begin, (self.settings,)) as pool:
            tasks: dict[Future[list[_Made]], list[_Item]] = {pool.submit(_work, group): group for group in groups}
            try:
                for task in as_completed(tasks):
                    try:
                        yield from task.result()
                    except BrokenProcessPool:
                        for item in tasks[task]:
                            yield _Made(item.mel, "a job was killed; the same command goes on")
            except BaseException:  # ctrl-C: what waits is not begun
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def n_cpus() -> int:
    """That this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _files_below(folder: Path) -> Iterator[Path]:
    for base, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(base, name) for name in names if not name.startswith("."))


# ---- in a process


_here: tuple[Voice, Settings]


def _voice(settings: Settings) -> Voice:
    return Voice(settings.model, settings.backend, settings.isa, settings.postfilter)


def _begin(settings: Settings) -> None:
    global _here
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ctrl-C ends it without a word; the parent has one
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    _here = (_voice(settings), settings)


def _end_with(parent: multiprocessing.process.BaseProcess | None) -> None:
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _work(group: list[_Item]) -> list[_Made]:
    return list(_make(*_here, group))


def _make(voice: Voice, settings: Settings, group: list[_Item]) -> Iterator[_Made]:
    """Speak files in step and write each."""
    mels: list[NDArray[np.float32]] = []
    items, warnings = [], []
    for item in group:
        try:
            load = MelFormat.parse(settings.mel_format).load if settings.mel_format else load_mel
            mel = load(item.mel, voice.config.mel)
            found = check_mels(voice.model, mel)
            if found.doubtful and settings.strict:
                raise MelError(f"{item.mel}: {found}")
        except (WaveRNNError, OSError) as error:
            yield _Made(item.mel, _reason(error, item.mel))
            continue
        mels.append(mel)
        items.append(item)
        warnings.append(str(found) if found.doubtful else "")
    for item, mel, pcm, warning in zip(items, mels, voice(mels, settings.seed, settings.temperature), warnings):
        try:
            heard = check_audio(voice.config.mel, mel, pcm)
            if heard.doubtful and settings.strict:
                raise MelError(f"{item.mel}: {heard}")
            item.out.parent.mkdir(parents=True, exist_ok=True)
            Output(str(item.out), settings.format).write(pcm, voice.sample_rate)
        except (WaveRNNError, OSError) as error:
            yield _Made(item.mel, _reason(error, item.mel))
            continue
        yield _Made(item.mel, "", warning or (str(heard) if heard.doubtful else ""), len(pcm) / voice.sample_rate)


def _reason(error: Exception, path: Path) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error).removeprefix(f"{path}: ")
