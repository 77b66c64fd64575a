"""Fuzz the readers of foreign files and the stream: `make fuzz MINUTES=n`.

    reader       libFuzzer: bytes to wv_model_load, checksum made right again; what loads speaks on every ISA
    stream       libFuzzer: any calls and any mels on models of every kind
    bin          damaged .bin in both readers, which must give the same status
    npy          damaged .npy in both readers, which must give the same array or the same words
    checkpoint   damaged .pt: one line, less than 300 MB

Prints executions and, with --coverage, the share of the lines of each file of C that the corpora reach; ends with 1 at
the first finding, whose bytes lie in build/fuzz/findings. The corpora stay in build/fuzz/corpus.

Usage: ``python tests/fuzz/run.py --minutes 60 [TARGET ..]``
"""

from __future__ import annotations

import argparse
import ctypes
import io
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "tests/support")]

import checkpoints  # noqa: E402
import npy_twins  # noqa: E402
from hostile_models import delicate, hostile  # noqa: E402
from model_fixtures import tiny_config, tiny_model  # noqa: E402
from wv_export import convert  # noqa: E402
from wv_runtime.engine.native import library  # noqa: E402
from wv_runtime.errors import CheckpointError, FormatError  # noqa: E402
from wv_runtime.features.postfilter import filter_tables  # noqa: E402
from wv_runtime.model import binary  # noqa: E402
from wv_runtime.model.checkpoint import read_checkpoint  # noqa: E402
from wv_runtime.model.config import MelConfig  # noqa: E402
from wv_runtime.model.weights import Model, Postfilter  # noqa: E402

COMPILER = "clang-19"
MAX_LEN = 1 << 15
MAX_MB = 300
WORK = ROOT / "build/fuzz"


def models(max_blocks: int | None) -> dict[str, Model]:
    """One of every kind, as small as the format allows: four samples a frame, two bands, 16 wide but for the state."""
    mel = MelConfig("tiny", 16000, 16, 4, 8, 2, 0.0, 8000.0)
    cfg = tiny_config(n_out=16, mel=mel)
    lpc = replace(cfg, lpc_order=16, preemphasis=0.0)
    stats = np.array([[-5.0] * mel.n_mels, [1.0] * mel.n_mels], np.float32)
    made = {}
    for dtype in ("f32", "f16", "int8"):
        made[f"plain_{dtype}"] = tiny_model(dtype, cfg=cfg, max_blocks=max_blocks)
        predicts = made[f"lpc_{dtype}"] = tiny_model(dtype, cfg=lpc, max_blocks=max_blocks)
        filtered = replace(predicts, postfilter=Postfilter(*filter_tables(mel)))
        combed = replace(predicts, postfilter=replace(filtered.postfilter, comb=0.5))
        made |= {f"filter_{dtype}": filtered, f"comb_{dtype}": combed}
        made[f"stats_{dtype}"] = replace(combed, mel_stats=stats)
        denoised = replace(predicts, postfilter=replace(combed.postfilter, denoise=12.0), mel_stats=stats)
        made[f"denoise_{dtype}"] = denoised
    for h in (4, 16):
        made[f"block_{h}"] = tiny_model("int8", block=(h, 4), cfg=cfg, max_blocks=max_blocks)
    return made


def seed_files(folder: Path) -> Path:
    """The folder with models as .bin: `reader` holds small files, `stream` longer rows and extreme numbers, too."""
    extreme = {f"delicate_{dtype}": delicate(dtype) for dtype in ("f32", "f16", "int8")}
    extreme |= {f"hostile_{seed}": hostile(seed) for seed in range(8)}
    for name, made in {"reader": models(1), "stream": models(None) | extreme}.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for kind, model in made.items():
            (folder / name / f"{kind}.bin").write_bytes(binary.pack(model))
    return folder


# ---- libFuzzer


def build(folder: Path, sanitize: str | None = None, source: Path = HERE) -> Path:
    """The targets, by CMake; `sanitize` as WV_SANITIZE of CMakeLists.txt."""
    cmake = shutil.which("cmake", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert cmake, "cmake not found; it comes with the extra wavernn[test]"
    options = [f"-DCMAKE_C_COMPILER={COMPILER}", "-DCMAKE_BUILD_TYPE=None"]
    options += [] if sanitize is None else [f"-DWV_SANITIZE={sanitize}"]
    for step in (["-S", source, "-B", folder, *options], ["--build", folder, "-j2"]):
        done = subprocess.run([cmake, *step], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def start(program: Path, corpus: Path, seeds: Path, findings: Path, *more: str) -> subprocess.Popen[str]:
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(parents=True, exist_ok=True)
    args = [f"-max_len={MAX_LEN}", "-print_final_stats=1", f"-artifact_prefix={findings}/", "-timeout=60", *more]
    env = os.environ | {"WV_MODELS": str(seeds / "stream"), "UBSAN_OPTIONS": "print_stacktrace=1"}
    env["ASAN_OPTIONS"] = "quarantine_size_mb=1"  # what stays in the cache is not cleared by the kernel again and again
    folders = [corpus, seeds / "reader"] if program.name == "fuzz_reader" else [corpus]
    return subprocess.Popen(
        [program, *args, *folders], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def finish(process: subprocess.Popen[str]) -> int:
    """Executions; SystemExit with the report of a finding."""
    log = process.communicate()[0]
    if process.returncode:
        sys.exit(f"{process.args[0]}: a finding\n{log[-6000:]}")  # type: ignore[index]
    found = re.search(r"number_of_executed_units: *(\d+)", log)
    assert found, log
    return int(found[1])


def coverage(folder: Path, seeds: Path) -> dict[str, str]:
    """Share of the lines of C that the corpora reach, by file."""
    programs = build(folder / "coverage", "")
    raw = []
    for target in ("reader", "stream"):
        raw.append(folder / f"{target}.profraw")
        os.environ["LLVM_PROFILE_FILE"] = str(raw[-1])
        finish(start(programs / f"fuzz_{target}", folder / "corpus" / target, seeds, folder / "findings", "-runs=0"))
    merged = folder / "all.profdata"
    subprocess.run(["llvm-profdata-19", "merge", "-sparse", *raw, "-o", merged], check=True)
    command = ["llvm-cov-19", "report", programs / "fuzz_reader", "-object", programs / "fuzz_stream"]
    text = subprocess.run([*command, f"-instr-profile={merged}"], check=True, capture_output=True, text=True).stdout
    lines = [line.split() for line in text.splitlines()]
    return {words[0]: words[9] for words in lines if len(words) > 9 and words[0].endswith((".c", "TOTAL"))}


# ---- the twins in Python


def damaged_bin(rng: random.Random, seeds: list[bytes]) -> bytes:
    """A .bin with a few words of header, records or sections changed, its checksum right."""
    data = bytearray(rng.choice(seeds))
    odd = [
        0,
        1,
        2,
        3,
        4,
        8,
        16,
        31,
        32,
        63,
        64,
        65,
        96,
        127,
        128,
        192,
        256,
        4096,
        2**31 - 1,
        2**31,
        2**32 - 1,
        2**32 - 64,
    ]
    numbers = [0x7F7FFFFF, 0x7F800000, 0x7FC00000, 0x80000000, 1, 0x7C007C00, 0x80808080, 0x0081017F, 0x3F800000]
    for _ in range(rng.choice([0, 1, 1, 1, 2, 4])):
        where = rng.random()
        at = 4 * rng.randrange(2, 48) if where < 0.3 else 4 * rng.randrange(48, 176) if where < 0.7 else None
        at = 4 * rng.randrange(176, len(data) // 4) if at is None else at
        old = struct.unpack_from("<I", data, at)[0]
        near = [old + 1, old - 1, old + 64, 2 * old, old ^ 1 << rng.randrange(32)]
        struct.pack_into("<I", data, at, rng.choice([*near, rng.choice(odd), rng.choice(numbers)]) % 2**32)
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


def damaged_checkpoint(rng: random.Random, entries: dict[str, bytes]) -> bytes:
    """A zip whose bytes are changed, or whose pickle is and whose checksums are right."""
    pickled = bytearray(entries["archive/data.pkl"])
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        at, how = rng.randrange(len(pickled)), rng.random()
        if how < 0.4:
            pickled[at] = rng.choice([rng.randrange(256), *b"(]})tesuhqrKJMGXN.Q\x81\x85R"])
        elif how < 0.6:
            del pickled[at : at + rng.choice([1, 2, 5, 20])]
        elif how < 0.8:
            pickled[at:at] = pickled[rng.randrange(len(pickled)) :][: rng.choice([1, 5, 20])]
        else:
            pickled[at : at + 4] = rng.choice([b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x40"])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as z:
        for name, data in entries.items():
            z.writestr(name, bytes(pickled) if name.endswith("data.pkl") else data)
    whole = bytearray(out.getvalue())
    for _ in range(rng.choice([0, 0, 1, 3])):
        from_end = rng.random() < 0.5  # the table of contents
        at = len(whole) - 1 - rng.randrange(min(len(whole), 3000)) if from_end else rng.randrange(len(whole))
        whole[at] = rng.randrange(256)
    return bytes(whole[: rng.randrange(len(whole))] if rng.random() < 0.05 else whole)


def check_checkpoint(data: bytes, path: Path) -> bool:
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


def twins(target: str, seconds: float, folder: Path, seed: int) -> None:
    """One of bin, npy and checkpoint in this process; prints its line."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, scratch, began = random.Random(seed), folder / f"{target}.{seed}.tmp", time.monotonic()
    make: Callable[[], bytes]
    check: Callable[[bytes], bool]
    if target == "bin":
        seeds = [path.read_bytes() for path in sorted((folder / "seeds/reader").glob("*.bin"))]
        make, check = lambda: damaged_bin(rng, seeds), check_bin
    elif target == "npy":
        in_c = npy_twins.c_reader(folder)
        make, check = lambda: npy_twins.random_file(rng), lambda data: npy_twins.agree(data, in_c)
    else:
        checkpoints.random_weights(scratch)
        with zipfile.ZipFile(scratch) as z:
            entries = {"archive/" + name.split("/", 1)[1]: z.read(name) for name in z.namelist()}
        subprocess_peak = peak_mb() if "torch" in sys.modules else 0  # torch wrote it; the reader is measured beyond
        make, check = lambda: damaged_checkpoint(rng, entries), lambda data: check_checkpoint(data, scratch)
    n = accepted = 0
    while time.monotonic() - began < seconds:
        data = make()
        try:
            accepted += check(data)
        except BaseException:
            (folder / "findings").mkdir(exist_ok=True)
            (folder / "findings" / f"{target}-{seed}-{n}").write_bytes(data)
            raise
        n += 1
    scratch.unlink(missing_ok=True)
    memory = ""
    if target == "checkpoint":
        more = peak_mb() - subprocess_peak
        assert more < MAX_MB, f"{more} MB"
        memory = f", {more} MB beyond what torch took"
    assert 0 < accepted < n
    print(f"{target}: {n} executions, {accepted} accepted{memory}", flush=True)


TARGETS = ("reader", "stream", "bin", "npy", "checkpoint")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", default=list(TARGETS), metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--minutes", type=float, default=1.0, help="of all targets together, two at a time [1]")
    parser.add_argument("--seed", type=int, default=0, help="of the targets in Python [0]")
    parser.add_argument("--folder", type=Path, default=WORK, help="for builds, corpora and findings [build/fuzz]")
    parser.add_argument("--coverage", action="store_true", help="also measure which lines the corpora reach")
    args = parser.parse_args()
    folder = args.folder.absolute()
    if unknown := set(args.targets) - set(TARGETS):
        parser.error(f"found {', '.join(sorted(unknown))}, wanted {', '.join(TARGETS)}")
    seconds = max(2, int(60 * args.minutes * 2 / len(args.targets)))
    if len(args.targets) == 1 and args.targets[0] in ("bin", "npy", "checkpoint"):
        if not (folder / "seeds").exists():
            seed_files(folder / "seeds")
        twins(args.targets[0], 60 * args.minutes, folder, args.seed)
        return
    seeds = seed_files(folder / "seeds")
    native = [t for t in args.targets if t in ("reader", "stream")]
    programs = build(folder / "build") if native else folder
    running = {
        t: start(
            programs / f"fuzz_{t}", folder / "corpus" / t, seeds, folder / "findings", f"-max_total_time={seconds}"
        )
        for t in native
    }
    for target, process in running.items():
        print(f"{target}: {finish(process)} executions", flush=True)
    command = [sys.executable, __file__, "--folder", str(folder), f"--seed={args.seed}", f"--minutes={seconds / 60}"]
    rest = [subprocess.Popen([*command, t]) for t in args.targets if t not in native]
    if any([process.wait() for process in rest]):
        sys.exit(1)
    if args.coverage:
        for name, share in coverage(folder, seeds).items():
            print(f"{share:>8} of the lines of {name}")


if __name__ == "__main__":
    main()
