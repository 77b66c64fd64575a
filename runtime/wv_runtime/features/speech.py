"""A folder of speech: its audio files and its table.

    DATA_DIR/**/*.wav, *.flac     any rate, any number of channels
    DATA_DIR/split.tsv            a header line, then columns `id` (file name without suffix, or path below DATA_DIR
                                  without suffix), `split` (train, valid or test), and others such as `text`

Usage: ``table = read_table(folder / "split.tsv", folder, find_files(folder))``
"""

from __future__ import annotations

import csv
from pathlib import Path

from wv_runtime.errors import AudioError

SPLITS = ("train", "valid", "test")
SUFFIXES = (".wav", ".flac")


def find_files(folder: Path) -> list[Path]:
    """Every .wav and .flac below `folder`, sorted; hidden folders are not entered.

    Raises
    ------
    AudioError
        If there is no such folder or nothing in it.
    """
    if not folder.is_dir():
        raise AudioError(f"{folder}: found {'a file' if folder.exists() else 'nothing'}, wanted a folder")
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not files:
        raise AudioError(f"{folder}: found no .wav or .flac file, wanted some")
    return files


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
        with table.open(encoding="utf-8", newline="") as f:
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
