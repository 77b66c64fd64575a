"""A folder of files to a folder of what is made of them: several processes, and whole files only.

What a file holds does not depend on the number of jobs or on the order. A run that was stopped, in any way, goes on: a
file that is newer than its source, and than the note of the settings in the folder, is left alone.

Usage: ``summary = Corpus(Path("mels"), Path("wavs"), Speaking(..)).run(Jobs(2))``
"""

from __future__ import annotations

import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import click
import numpy as np

from wv_runtime.atomic import atomic_path, remove_stale
from wv_runtime.commands.common import printable
from wv_runtime.commands.jobs import JobKilled, Jobs, n_cpus
from wv_runtime.errors import WaveRNNError

FILES_AT_ONCE = 16  # at most, that a process makes before it tells of them
FILES_IN_STEP = 4  # fewer take longer each where they are made in step: groups are multiples of it


class Recipe(ABC):
    """How files are made of others. It travels to a process once, and may keep there what it has loaded."""

    state_name: ClassVar[str]  # of the file, in the folder of what is made, that keeps `as_state`
    product: ClassVar[str]  # what is made, in a word

    @property
    def made_on(self) -> str:
        """The backend, where there are several."""
        return ""

    @property
    @abstractmethod
    def suffix(self) -> str:
        """Of what is made."""

    @abstractmethod
    def as_state(self) -> dict[str, object]:
        """What the files depend on, besides their sources."""

    @abstractmethod
    def find(self, folder: Path) -> list[Path]:
        """The sources below a folder, sorted. Raises WaveRNNError if there are none."""

    def prepare(self) -> None:
        """Load what copies of this process have then. Raises WaveRNNError if something that is needed is missing."""
        return

    @abstractmethod
    def make(self, group: Group) -> Iterator[Made]:
        """Make files, whole ones. What a worker that was killed has written stays."""


@dataclass(frozen=True)
class Item:
    """A file to read and one to make of it."""

    source: Path
    out: Path
    n_bytes: int

    def is_made(self, began_ns: int) -> bool:
        """Whether it is newer than its source and than the folder's note."""
        newest = max(began_ns, self.source.stat().st_mtime_ns)
        return self.out.is_file() and self.out.stat().st_mtime_ns >= newest


@dataclass(frozen=True)
class Group:
    """Files that are made in step. began_ns : when the folder's note was written"""

    began_ns: int
    items: list[Item]


@dataclass(frozen=True)
class Made:
    """Of one file: the reason of a failure, or empty; a warning, or empty; the seconds of audio."""

    source: Path
    reason: str = ""
    warning: str = ""
    audio_s: float = 0.0

    @classmethod
    def failed(cls, source: Path, error: Exception) -> Made:
        reason = str(error).removeprefix(f"{source}: ")
        if isinstance(error, OSError) and error.strerror:
            reason = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        return cls(source, reason)


@dataclass
class Summary:
    """What became of the files; the fields are the keys of ``--json``. Durations in seconds."""

    done: int = 0
    skipped: int = 0  # made before
    failed: dict[str, str] = field(default_factory=dict)  # {path of the source: the reason}
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
        values = {k: round(v, 6) if isinstance(v, float) else v for k, v in asdict(self).items()}
        return json.dumps({k: v for k, v in values.items() if k != "backend" or v})

    def text(self) -> str:
        """A table, and a line for each file that failed."""
        factor = self.elapsed_s / self.audio_s if self.audio_s else 0.0
        backend = f" on {self.backend}" if self.backend else ""
        lines = [
            f"done              {self.done} files, {self.audio_s:.1f} s of audio",
            f"skipped           {self.skipped} files, made before",
            f"failed            {len(self.failed)} files",
            *(f"  {printable(path)}: {printable(reason)}" for path, reason in sorted(self.failed.items())),
            f"time              {self.elapsed_s:.1f} s in {self.jobs} jobs{backend}",
            f"real-time factor  {factor:.4f} (seconds per second of audio)",
        ]
        return "\n".join(lines)


class Corpus:
    """The sources below a folder and where what is made of them goes: the same folders and names, another suffix.

    Raises
    ------
    WaveRNNError
        If there are no sources, or `target` was made with other settings.
    ValueError
        If a file that would be written is one that is read.
    OSError
        If `target` cannot be made or written.
    """

    def __init__(self, folder: Path, target: Path, recipe: Recipe):
        self.recipe, self.target = recipe, target
        found = recipe.find(folder)
        self._items = [
            Item(p, (target / p.relative_to(folder)).with_suffix(recipe.suffix), p.stat().st_size) for p in found
        ]
        self._check_others()
        if target.exists() and not target.is_dir():
            raise NotADirectoryError(20, "Not a directory", str(target))
        target.mkdir(parents=True, exist_ok=True)
        if not os.access(target, os.W_OK):
            raise PermissionError(13, "Permission denied", str(target))
        self._check_state()

    def _check_others(self) -> None:
        read = {_identity(item.source) for item in self._items}
        for item in self._items:
            if item.out.exists() and _identity(item.out) in read:
                raise ValueError(f"{self.target}: found {item.out}, which is read, wanted another folder")

    def _check_state(self) -> None:
        path, state = self.target / self.recipe.state_name, self.recipe.as_state()
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
            raise WaveRNNError(
                f"{self.target}: found {self.recipe.product} of another {other}, wanted a new folder, or --overwrite"
            )

    def run(self, jobs: Jobs) -> Summary:
        """Make what is missing or old.

        Raises
        ------
        WaveRNNError
            If there is no such Dask cluster.
        """
        n_jobs, start = jobs.n_workers(), time.monotonic()
        summary = Summary(jobs=n_jobs, backend=self.recipe.made_on)
        began, left = (self.target / self.recipe.state_name).stat().st_mtime_ns, []
        for item in self._items:
            remove_stale(item.out)
            if item.is_made(began):
                summary.skipped += 1
            else:
                left.append(item)
        if left:
            self.recipe.prepare()
        groups = [Group(began, items) for items in _shared_out(left, n_jobs)]
        shown = not sys.stderr.isatty()
        with click.progressbar(length=len(left), label="files", show_pos=True, file=sys.stderr, hidden=shown) as bar:
            for made in self._all(groups, jobs):
                bar.update(1)
                if made.reason:
                    summary.failed[str(made.source)] = made.reason
                    continue
                summary.done += 1
                summary.audio_s += made.audio_s
                if made.warning:
                    summary.warnings[str(made.source)] = made.warning
        for item in left if jobs.scheduler else []:
            remove_stale(item.out)  # a worker that was killed leaves one, and the others go on
        summary.elapsed_s = time.monotonic() - start
        return summary

    def _all(self, groups: list[Group], jobs: Jobs) -> Iterator[Made]:
        for group, made in jobs.run(_work, self.recipe, groups):
            if isinstance(made, JobKilled):
                made = [Made(item.source, f"{made}; the same command goes on") for item in group.items]
            yield from made


def _shared_out(items: list[Item], n_jobs: int) -> Iterator[list[Item]]:
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


def _identity(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def _work(recipe: Recipe, group: Group) -> list[Made]:
    return list(recipe.make(group))


# ---- the command line


def folder_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that takes folders: jobs, dask, overwrite."""
    for option in (
        click.option("--overwrite", is_flag=True, help="For folders: make again what is there."),
        click.option("--dask", metavar="SCHEDULER", default="",
                     help="For folders: a Dask cluster that sees them, tcp://host:8786 or a scheduler file."),
        click.option("--jobs", type=click.IntRange(1, 1024),
                     help="For folders: processes; as many as CPUs if absent."),
    ):  # fmt: skip
        command = option(command)
    return command


@dataclass(frozen=True)
class Folders:
    """A folder to read, one to write, and what `folder_options` say."""

    source: str
    target: str
    jobs: int | None
    dask: str
    overwrite: bool

    def check(self, are_folders: bool, names: str) -> None:
        """Raises ValueError unless the options go together. names : of both arguments"""
        if not are_folders and (self.jobs or self.overwrite or self.dask):
            raise ValueError(f"--jobs, --dask, --overwrite: found one of them with a file, wanted folders as {names}")
        if self.jobs and self.dask:
            raise ValueError("--jobs: found it with --dask, whose workers are the jobs, wanted one of them")

    def make(self, prog: str, recipe: Recipe, copies: bool, as_json: bool) -> None:
        """Make what is missing or old, and print the summary. prog : the command    copies : of Jobs

        Raises
        ------
        WaveRNNError
            If a file cannot be made; the others are.
        """
        source, target = Path(self.source), Path(self.target)
        if self.dask:  # the workers may stand in another folder
            source, target = source.absolute(), target.absolute()
        if self.overwrite:  # take what is there for old
            (target / recipe.state_name).unlink(missing_ok=True)
        summary = Corpus(source, target, recipe).run(Jobs(self.jobs or n_cpus(), self.dask, copies))
        for path, warning in sorted(summary.warnings.items()):
            click.echo(f"{prog}: warning: {printable(path)}: {printable(warning)}", err=True)
        click.echo(summary.json() if as_json else summary.text())
        if summary.failed:
            raise WaveRNNError(f"{self.source}: {len(summary.failed)} of {summary.n_files} files failed")
