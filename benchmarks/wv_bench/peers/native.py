"""LPCNet and Lyra's sparse_matmul beside this project, in one run on this machine: mat-vecs and whole samplers.

Both are built from your own checkouts, outside this repository; nothing of theirs is in it. Their weights are random,
of their real shapes; a mat-vec has the same blocks as ours where the shapes are the same.

Usage: ``python -m wv_bench.peers.native --lpcnet LPCNET --lyra LYRA`` (x86-64 with AVX2 and a C++ compiler)
"""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from wv_runtime.commands.common import Command
from wv_runtime.errors import WaveRNNError
from wv_runtime.model.binary import aligned
from wv_runtime.model.weights import Matrix

from wv_bench.measure import STAGE_IDS, Case
from wv_bench.synthetic import synthetic_config, synthetic_model

NATIVE = Path(__file__).parent / "c"
SHAPES = [(1024, 0.95), (384, 0.9)]  # units and sparsity of the mat-vecs
SAMPLERS = [(384, 0.9), (896, 0.95)]  # LPCNet's own, and a large one
LPCNET_C = ("lpcnet", "nnet", "parse_lpcnet_weights", "freq", "kiss_fft", "kiss99", "celt_lpc", "pitch", "common",
            "lpcnet_tables", "burg")  # fmt: skip

Timed = Callable[[int], Any]  # runs it n times


def build(name: str, flags: list[str], sources: list[Path], folder: Path) -> ctypes.CDLL:
    """A shared library of those sources."""
    compiler = shutil.which("c++" if sources[0].suffix == ".cc" else "cc")
    if not compiler:
        raise WaveRNNError("cc: not installed, wanted to build the peers")
    out = folder / f"{name}.so"
    command = [compiler, "-shared", "-fPIC", "-w", *flags, "-o", out, *sources, "-lm"]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line] or [done.stderr.strip()]
        raise WaveRNNError(f"{name}: {errors[0]}")
    return ctypes.CDLL(str(out))


def matrix_R(n_units: int, sparsity: float) -> Matrix:
    """R of a synthetic model, in 8x4 blocks: the columns that all of them read."""
    return synthetic_model(synthetic_config(n_units), sparsity, (8, 4), "int8").matrices["R"]


def lpcnet(checkout: Path, n_units: int, sparsity: float, folder: Path) -> tuple[Timed, Timed]:
    """(mat-vec, 160 samples) of LPCNet at that size, built as its README says, weights random."""
    work = folder / f"lpcnet{n_units}"
    work.mkdir()
    for header in ("nnet_data.h", "plc_data.h", "dred_rdovae_constants.h"):
        (work / header).write_text('#include "lpcnet_shape.h"\n')
    sources = [p for name in LPCNET_C if (p := checkout / f"src/{name}.c").is_file()]
    flags = ["-Ofast", "-march=native", "-falign-loops=32", "-fvisibility=hidden", "-DUSE_WEIGHTS_FILE"]
    flags += [f"-DUNITS_A={n_units}", "-DUNITS_B=16"]
    flags += [f"-I{folder}" for folder in (work, NATIVE, checkout / "src", checkout / "include")]
    library = build("lpcnet", flags, [NATIVE / "lpcnet.c", *sources], work)
    R = matrix_R(n_units, sparsity)
    rows = np.split(R.col_idx.astype(np.int32) * 4, R.row_ptr[1:-1])
    index = np.concatenate([np.r_[np.int32(len(row)), row] for row in rows]).astype(np.int32)
    library.peer_new.restype = ctypes.c_void_p
    state = ctypes.c_void_p(library.peer_new(index.ctypes.data_as(ctypes.c_void_p), R.nnz_blocks))
    keep = index  # the library reads it

    def run(function: Any) -> Timed:
        return lambda n: (function(state, n), keep)

    return run(library.peer_matvec), run(library.peer_frames)


def lyra(checkout: Path, n_units: int, sparsity: float, folder: Path) -> Timed:
    """The mat-vec of Lyra's sparse_matmul, 16-bit fixed point, 8x4 blocks."""
    work = folder / f"lyra{n_units}"
    work.mkdir()
    sources = [NATIVE / "lyra.cc", checkout / "sparse_matmul/compute/matmul_fixed_avx2.cc"]
    flags = ["-O3", "-march=native", "-std=c++17", "-Dkint32min=INT32_MIN", f"-I{checkout}"]
    library = build("lyra", flags, sources, work)
    R = matrix_R(n_units, sparsity)
    rng = np.random.default_rng(0)

    def array(values: Any, dtype: Any) -> Any:
        return aligned(np.asarray(values, dtype).view(np.uint8)).view(dtype)

    arrays = [
        array(rng.integers(-1000, 1000, R.values.size), np.int16), array(rng.integers(-1000, 1000, R.cols), np.int16),
        array(np.zeros(R.rows), np.int32), array(np.diff(R.row_ptr), np.int32), array(R.col_idx, np.int16),
    ]  # fmt: skip
    y = array(np.zeros(R.rows), np.int32)
    pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in arrays]
    return lambda n: (library.peer_matvec(*pointers, R.n_block_rows, y.ctypes.data_as(ctypes.c_void_p), n), arrays)


def ours(n_units: int, sparsity: float, block: tuple[int, int]) -> tuple[Timed, Timed]:
    """(mat-vec, sample) of this project in C, int8."""
    case = Case(synthetic_model(synthetic_config(n_units), sparsity, block, "int8"))
    engine = case.native(None)
    return lambda n: engine.run(STAGE_IDS["R"], n), lambda n: engine.run(STAGE_IDS["sample"], n)


def measure(runs: dict[str, Timed], repeats: int, slice_s: float) -> dict[str, np.ndarray]:
    """Seconds per run, interleaved. {name: (repeats,)}"""
    n_times = {}
    for name, run in runs.items():
        n = 1
        for _ in range(4):
            start = time.perf_counter()
            run(n)
            n = max(1, round(n * slice_s / (time.perf_counter() - start)))
        n_times[name] = n
    times = {name: np.empty(repeats) for name in runs}
    for i in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run(n_times[name])
            times[name][i] = (time.perf_counter() - start) / n_times[name]
    return times


@click.command("native_peers", cls=Command)
@click.option("--lpcnet", "lpcnet_path", metavar="CHECKOUT", help="Of github.com/xiph/LPCNet.")
@click.option("--lyra", "lyra_path", metavar="CHECKOUT", help="Of github.com/google/lyra at v0.0.2.")
@click.option("--repeats", default=60, show_default=True)
@click.option("--slice-ms", default=2.0, show_default=True, help="Of one timing.")
@click.option("--json", "as_json", is_flag=True, help="One object.")
def main(lpcnet_path: str | None, lyra_path: str | None, repeats: int, slice_ms: float, as_json: bool) -> None:
    """Time per mat-vec and samples/s of each, best and median; ratios are medians over the pairs."""
    for path, wanted in ((lpcnet_path, "src/nnet.c"), (lyra_path, "sparse_matmul/compute/matmul_fixed_avx2.cc")):
        if path and not (Path(path) / wanted).is_file():
            raise WaveRNNError(f"{path}: no {wanted}, wanted a checkout that has it")
    if not (lpcnet_path or lyra_path):
        raise ValueError("--lpcnet, --lyra: found neither, wanted at least one checkout")
    report: list[Any] = []
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        peers = {n: lpcnet(Path(lpcnet_path), n, s, folder) for n, s in {*SHAPES, *SAMPLERS}} if lpcnet_path else {}
        for n, s in SHAPES:
            runs = {f"ours, int8 {h}x4": ours(n, s, (h, 4))[0] for h in (16, 8)}
            if lpcnet_path:
                runs["LPCNet, int8 8x4"] = peers[n][0]
            if lyra_path:
                runs["Lyra, 16-bit 8x4"] = lyra(Path(lyra_path), n, s, folder)
            add(report, lines, f"R {3 * n}x{n}, {s:.0%} zero", measure(runs, repeats, 1e-3 * slice_ms), "ns")
        for n, s in SAMPLERS if lpcnet_path else []:
            runs = {f"ours, {n} units, int8 {h}x4, 16 bit": ours(n, s, (h, 4))[1] for h in (16, 8)}
            runs[f"LPCNet, {n} + 16 units, int8 8x4, 8 bit"] = peers[n][1]
            times = measure(runs, repeats, 1e-3 * slice_ms)
            times[f"LPCNet, {n} + 16 units, int8 8x4, 8 bit"] /= 160
            add(report, lines, f"whole sampler, {s:.0%} zero", times, "samples/s")
    click.echo(json.dumps({"results": report}) if as_json else "\n".join(lines))


def add(report: list[Any], lines: list[str], title: str, times: dict[str, Any], unit: str) -> None:
    """One table: the first row is what the others are compared with."""
    first = next(iter(times.values()))
    lines.append(f"{title:<44}{'best':>12}{'median':>12}{'time / first':>14}   {unit}")
    for name, t in times.items():
        best, median = (1e9 * t.min(), 1e9 * np.median(t)) if unit == "ns" else (1 / t.min(), 1 / np.median(t))
        best, median = float(best), float(median)
        ratio = float(np.median(t / first))
        report.append({"what": title, "name": name, "unit": unit, "best": best, "median": median, "ratio": ratio})
        lines.append(f"  {name:<42}{best:>12,.0f}{median:>12,.0f}{ratio:>14.2f}")
    lines.append("")


if __name__ == "__main__":
    main()
