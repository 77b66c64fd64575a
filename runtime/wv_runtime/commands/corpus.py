"""A folder of mels to a folder of audio: several processes, streams in step in each, and whole files only.

What a file holds does not depend on the number of jobs or on the order. A run that was stopped, in any way, goes on: a
file that is newer than its mels, and than the note of the model and options of the folder, is left alone.

Usage: ``summary = Corpus(Path("mels"), Path("wavs"), settings).run(Jobs(2))``
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from wv_runtime.atomic import atomic_path, remove_stale
from wv_runtime.commands.common import printable
from wv_runtime.commands.jobs import JobKilled, Jobs
from wv_runtime.commands.output import FORMATS, Output
from wv_runtime.engine.registry import ENGINES
from wv_runtime.engine.synth import Voice
from wv_runtime.errors import MelError, WaveRNNError
from wv_runtime.features.mel_check import check_audio, check_mels
from wv_runtime.features.mel_file import load_mel
from wv_runtime.features.mel_format import SUFFIXES, MelFormat
from wv_runtime.model.binary import file_bytes
from wv_runtime.model.checks import checksum
from wv_runtime.model.weights import Model

STATE = ".wv-run.json"  # in the folder of audio: the settings that it was made with
FILES_AT_ONCE = 16  # at most, that a process speaks in step before it writes them
FILES_IN_STEP = 4  # fewer take longer each: groups are multiples of it


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

    def is_made(self, began_ns: int) -> bool:
        """Whether its audio is newer than its mels and than the folder's note."""
        newest = max(began_ns, self.mel.stat().st_mtime_ns)
        return self.out.is_file() and self.out.stat().st_mtime_ns >= newest


@dataclass(frozen=True)
class _Group:
    """Files that are spoken in step. began_ns : when the folder's note was written"""

    began_ns: int
    items: list[_Item]


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
        if audio.exists() and not audio.is_dir():
            raise NotADirectoryError(20, "Not a directory", str(audio))
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

    def run(self, jobs: Jobs) -> Summary:
        """Make what is missing or old.

        Raises
        ------
        WaveRNNError
            If there is no such Dask cluster.
        """
        n_jobs, start = jobs.n_workers(), time.monotonic()
        summary = Summary(jobs=n_jobs, backend=self.settings.backend)
        began, left = (self.audio / STATE).stat().st_mtime_ns, []
        for item in self._items:
            remove_stale(item.out)
            if item.is_made(began):
                summary.skipped += 1
            else:
                left.append(item)
        groups = [_Group(began, items) for items in _shared_out(left, n_jobs)]
        shown = not sys.stderr.isatty()
        with click.progressbar(length=len(left), label="files", show_pos=True, file=sys.stderr, hidden=shown) as bar:
            for made in self._all(groups, jobs):
                bar.update(1)
                if made.reason:
                    summary.failed[str(made.mel)] = made.reason
                    continue
                summary.done += 1
                summary.audio_s += made.audio_s
                if made.warning:
                    summary.warnings[str(made.mel)] = made.warning
        for item in left if jobs.scheduler else []:
            remove_stale(item.out)  # a worker that was killed leaves one, and the others go on
        summary.elapsed_s = time.monotonic() - start
        return summary

    def _all(self, groups: list[_Group], jobs: Jobs) -> Iterator[_Made]:
        for group, made in jobs.run(_work, self.settings, groups):
            if isinstance(made, JobKilled):
                made = [_Made(item.mel, str(made)) for item in group.items]
            yield from made


def _shared_out(items: list[_Item], n_jobs: int) -> Iterator[list[_Item]]:
    """The longest first, so that lanes in step end together; and less and less, so that jobs end together."""
    items = sorted(items, key=lambda item: -item.n_bytes)
    bytes_before = np.cumsum([0, *(item.n_bytes for item in items)])
    most, at = min(FILES_AT_ONCE, -(-len(items) // n_jobs)), 0
    while at < len(items):
        share = (bytes_before[-1] - bytes_before[at]) / (1 if n_jobs == 1 else 2 * n_jobs)
        n = int(np.searchsorted(bytes_before, bytes_before[at] + share, "right")) - 1 - at
        n = min(most, max(FILES_IN_STEP, n // FILES_IN_STEP * FILES_IN_STEP))
        yield items[at : at + n]
        at += n


def _files_below(folder: Path) -> Iterator[Path]:
    for base, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(base, name) for name in names if not name.startswith("."))


# ---- in a process


_here: tuple[Settings, Voice] | None = None


def _work(settings: Settings, group: _Group) -> list[_Made]:
    """Speak a group of files. The settings of a process stay the same object."""
    global _here
    if _here is None or _here[0] is not settings:
        _here = (settings, Voice(settings.model, settings.backend, settings.isa, settings.postfilter))
    return list(_make(_here[1], settings, group))


def _make(voice: Voice, settings: Settings, group: _Group) -> Iterator[_Made]:
    """Speak files in step and write each. What a worker that was killed has written stays."""
    mels: list[NDArray[np.float32]] = []
    items, warnings = [], []
    for item in group.items:
        try:
            load = MelFormat.parse(settings.mel_format).load if settings.mel_format else load_mel
            mel = load(item.mel, voice.config.mel)
            found = check_mels(voice.model, mel)
            if found.doubtful and settings.strict:
                raise MelError(f"{item.mel}: {found}")
        except (WaveRNNError, OSError) as error:
            yield _Made(item.mel, _reason(error, item.mel))
            continue
        if item.is_made(group.began_ns):
            yield _Made(item.mel, audio_s=mel.shape[1] * voice.config.mel.hop_length / voice.sample_rate)
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
