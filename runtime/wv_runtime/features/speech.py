"""A folder of speech: its audio files and its table.

    DATA_DIR/**/*.wav, *.flac ..  what libsndfile reads, of any rate, any number of channels
    DATA_DIR/split.tsv            a header line, then columns `id` (file name without suffix, or path below DATA_DIR
                                  without suffix), `split` (train, valid or test), and others such as `text`

Usage: ``table = read_table(folder / "split.tsv", folder, find_files(folder))``
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from wv_runtime.errors import AudioError

SPLITS = ("train", "valid", "test")
# What is taken for audio, better first: of files that differ in the suffix alone the first is used. Whether libsndfile
# reads one (m4a it does not) shows when it is opened.
SUFFIXES = (".wav", ".flac", ".aiff", ".aif", ".opus", ".ogg", ".mp3", ".m4a", ".aac")


def find_files(folder: Path) -> list[Path]:
    """Every audio file below `folder`, each once, sorted. Hidden folders are not entered, linked ones are.

    Raises
    ------
    AudioError
        If there is no such folder or nothing in it.
    """
    if not folder.is_dir():
        raise AudioError(f"{folder}: found {'a file' if folder.exists() else 'nothing'}, wanted a folder")
    found = sorted(_audio_below(folder, (folder.resolve(),)), key=lambda f: (_through_link(f, folder), str(f)))
    by_file: dict[Path, Path] = {}  # a file that is reached directly and through a link counts once, by its own name
    for file in found:
        by_file.setdefault(file.resolve(), file)
    by_name: dict[Path, Path] = {}
    for file in sorted(by_file.values(), key=lambda f: SUFFIXES.index(f.suffix.lower())):
        by_name.setdefault(file.with_suffix(""), file)
    if not by_name:
        raise AudioError(f"{folder}: found no audio file ({', '.join(SUFFIXES)}), wanted some")
    return sorted(by_name.values())


def _audio_below(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """above : the real folders on the way here; a link back to one of them would be a loop."""
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            real = path.resolve()
            if real not in above:
                yield from _audio_below(path, (*above, real))
        elif path.suffix.lower() in SUFFIXES and path.is_file():
            yield path


def _through_link(file: Path, folder: Path) -> bool:
    return file.resolve() != folder.resolve() / file.relative_to(folder)


def read_table(table: Path, folder: Path, files: list[Path]) -> dict[Path, dict[str, str]]:
    """split.tsv -> {file: its row}, in the order of the table. Files that it does not list are left out.

    Raises
    ------
    AudioError
        If a column is missing, a split is unknown, or an id has no file, several, or comes twice.
    """
    by_id: dict[str, list[Path]] = {}
    for file in files:
        stem = file.relative_to(folder).with_suffix("").as_posix()
        for name in {stem, file.stem}:
            by_id.setdefault(name, []).append(file)
    row_of: dict[Path, dict[str, str]] = {}
    try:
        with table.open(encoding="utf-8-sig", newline="") as f:
            rows = csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)
            for column in ("id", "split"):
                if column not in (rows.fieldnames or ()):
                    raise AudioError(f"{table}: line 1: found no column {column!r}, wanted id and split, tab-separated")
            for row in rows:
                where, found = f"{table}: line {rows.line_num}", by_id.get(row["id"], [])
                if row["split"] not in SPLITS:
                    raise AudioError(f"{where}: split: found {row['split']!r}, wanted one of {', '.join(SPLITS)}")
                if len(found) != 1:
                    raise AudioError(f"{where}: id {row['id']!r}: found {len(found)} audio files, wanted one")
                if found[0] in row_of:
                    raise AudioError(f"{where}: id {row['id']!r}: found again, wanted each id once")
                row_of[found[0]] = row
    except (UnicodeDecodeError, csv.Error) as error:
        raise AudioError(f"{table}: found {error}, wanted UTF-8 text") from None
    return row_of
