"""The targets of `make fuzz` in Python: two readers of each file, which must agree, and the reader of checkpoints.

    bin          damaged .bin in both readers, which must give the same status
    npy          damaged .npy in both readers, which must give the same array or the same words
    checkpoint   damaged .pt: one line, less than 300 MB

Usage: ``python tests/fuzz/twins.py bin --seconds 60 --runs 1000 --seed 1 --folder build/fuzz``
"""

from __future__ import annotations

import argparse
import ctypes
import io
import json
import random
import re
import struct
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "support")]

import checkpoints  # noqa: E402
import npy_twins  # noqa: E402
from wv_export import convert  # noqa: E402
from wv_runtime.engine.native import library  # noqa: E402
from wv_runtime.errors import CheckpointError, FormatError  # noqa: E402
from wv_runtime.model import binary  # noqa: E402
from wv_runtime.model.checkpoint import read_checkpoint  # noqa: E402

MAX_MB = 300
ODD = [0, 1, 2, 3, 4, 8, 16, 31, 32, 63, 64, 65, 96, 127, 128, 192, 256, 4096, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 64]
# Bits of floats, halves and int8 pairs
NUMBERS = [0x7F7FFFFF, 0x7F800000, 0x7FC00000, 0x80000000, 1, 0x7C007C00, 0x80808080, 0x0081017F, 0x3F800000]


def damaged_bin(rng: random.Random, seeds: list[bytes]) -> bytes:
    """A .bin with a few words of header, records or sections changed, its checksum right."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice([0, 1, 1, 1, 2, 4])):
        where = rng.random()
        at = 4 * rng.randrange(2, 48) if where < 0.3 else 4 * rng.randrange(48, 176) if where < 0.7 else None
        at = 4 * rng.randrange(176, len(data) // 4) if at is None else at
        old = struct.unpack_from("<I", data, at)[0]
        near = [old + 1, old - 1, old + 64, 2 * old, old ^ 1 << rng.randrange(32)]
        struct.pack_into("<I", data, at, rng.choice([*near, rng.choice(ODD), rng.choice(NUMBERS)]) % 2**32)
    if rng.random() < 0.05:
        data = data[: rng.randrange(len(data))]
    return binary.with_checksum(bytes(data)) if len(data) >= 16 and rng.random() < 0.97 else bytes(data)


def check_bin(data: bytes) -> bool:
    """Whether both readers accept it; AssertionError if they differ."""
    c, handle = library(), ctypes.c_void_p()
    raw = binary.aligned(data)
    status = c.wv_status_name(c.wv_model_load(raw.ctypes.data, raw.nbytes, ctypes.byref(handle))).decode()
    c.wv_model_free(handle)
    try:
        binary.parse(data)
        ours, inside_metadata = "ok", False
    except FormatError as error:
        ours, inside_metadata = error.status, "a JSON object" in str(error)  # which C does not read
    assert status == ("ok" if inside_metadata else ours), (status, ours)
    return status == "ok"


class DamagedCheckpoints:
    """Zips whose bytes are changed, or whose pickle is and whose checksums are right."""

    def __init__(self, path: Path) -> None:
        checkpoints.random_weights(path)
        with zipfile.ZipFile(path) as z:
            entries = {"archive/" + name.split("/", 1)[1]: z.read(name) for name in z.namelist()}
        self.pickled = entries.pop("archive/data.pkl")
        self.rest = {}  # compressed once
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w", method) as z:
                for name, data in entries.items():
                    z.writestr(name, data)
            self.rest[method] = out.getvalue()

    def __call__(self, rng: random.Random) -> bytes:
        pickled = bytearray(self.pickled)
        for _ in range(rng.choice([0, 1, 1, 2, 5])):
            at, how = rng.randrange(len(pickled)), rng.random()
            if how < 0.4:
                pickled[at] = rng.choice([rng.randrange(256), *b"(]})tesuhqrKJMGXN.Q\x81\x85R"])
            elif how < 0.6:
                del pickled[at : at + rng.choice([1, 2, 5, 20])]
            elif how < 0.8:
                pickled[at:at] = pickled[rng.randrange(len(pickled)) :][: rng.choice([1, 5, 20])]
            else:
                pickled[at : at + 4] = rng.choice(
                    [b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x40"]
                )
        method = rng.choice(list(self.rest))
        out = io.BytesIO(self.rest[method])
        with zipfile.ZipFile(out, "a", method) as z:
            z.writestr("archive/data.pkl", bytes(pickled))
        whole = bytearray(out.getvalue())
        for _ in range(rng.choice([0, 0, 1, 3])):
            from_end = rng.random() < 0.5  # the table of contents
            at = len(whole) - 1 - rng.randrange(min(len(whole), 3000)) if from_end else rng.randrange(len(whole))
            whole[at] = rng.randrange(256)
        return bytes(whole[: rng.randrange(len(whole))] if rng.random() < 0.05 else whole)


def check_checkpoint(data: bytes, path: Path) -> bool:
    """Whether it is read; AssertionError if it is refused in other than one line, and any other error as it is."""
    path.write_bytes(data)
    try:
        _, ckpt = read_checkpoint(path)
        for state in (ckpt["rng"] or {}).values():
            if hasattr(state, "numpy"):
                state.numpy()
        convert.read_checkpoint(str(path))
        return True
    except CheckpointError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error), error
        return False


def peak_mb() -> int:
    """The most memory that this process has had."""
    return int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024  # type: ignore[index]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=("bin", "npy", "checkpoint"))
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--runs", type=int, required=True, help="end after as many, if the seconds allow them")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="with the seeds; for findings and scratch files")
    args = parser.parse_args()
    target, folder, rng = args.target, args.folder, random.Random(args.seed)
    scratch, end = folder / f"{target}.{args.seed}.tmp", time.monotonic() + args.seconds
    make: Callable[[], bytes]
    check: Callable[[bytes], bool]
    before = 0
    if target == "bin":
        seeds = [path.read_bytes() for path in sorted((folder / "seeds/reader").glob("*.bin"))]
        make, check = lambda: damaged_bin(rng, seeds), check_bin
    elif target == "npy":
        in_c = npy_twins.c_reader(folder)
        make, check = lambda: npy_twins.random_file(rng), lambda data: npy_twins.agree(data, in_c)
    else:
        damaged = DamagedCheckpoints(scratch)
        before = peak_mb()  # torch wrote it; the reader is measured beyond
        make, check = lambda: damaged(rng), lambda data: check_checkpoint(data, scratch)
    n = accepted = 0
    while n < args.runs and time.monotonic() < end:
        data = make()
        try:
            accepted += check(data)
            assert target != "checkpoint" or n % 100 or peak_mb() - before < MAX_MB, f"{peak_mb() - before} MB"
        except BaseException:
            (folder / "findings").mkdir(exist_ok=True)
            (folder / "findings" / f"{target}-{args.seed}-{n}").write_bytes(data)
            raise
        n += 1
    scratch.unlink(missing_ok=True)
    print(json.dumps({"executions": n, "accepted": accepted, "mb": peak_mb() - before}))


if __name__ == "__main__":
    main()
