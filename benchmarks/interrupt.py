"""How long each command goes on after ctrl-C, whatever it was doing.

Each runs again and again and gets SIGINT, with its processes, as from a terminal, a little later each time. It must end
with exit code 130 and one last line, without traceback, and leave no partial file. A command that fails by itself,
before its signal, is named as failed: it measured nothing. CPU seconds, unlike those of the clock, do not depend on
what else runs here.

Usage: ``python benchmarks/interrupt.py tests/data/clips --times 20`` (wavernn[train,eval]); names of cases follow
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from wv_runtime.commands.common import Command
from wv_runtime.errors import WaveRNNError
from wv_runtime.features.mel_file import save_mel
from wv_runtime.model import binary

STARTED_S = 0.2  # of CPU time: Python has started; before, it ends with a traceback of its own
CAP_S = 30.0  # runs of no end, and long ones, get their signals in this time
TICKS = os.sysconf("SC_CLK_TCK")


class Interrupted(NamedTuple):
    after: float  # start to signal, seconds
    wall: float  # signal to end
    cpu: float
    code: int
    last: str  # line of stderr


def cases(folder: Path, clips: Path, voice: Path, wv_run: Path | None) -> dict[str, list[str]]:
    """Commands by name; they write in the current folder alone. `folder` gets their input."""
    model, mel, mels = str(voice / "voice.bin"), str(folder / "long.npy"), str(folder / "mels")
    (folder / "mels").mkdir()
    one = np.load(voice / "demo.npy")
    cfg = binary.load(model).config.mel
    save_mel(mel, np.tile(one, 40), cfg)
    for i in range(40):
        save_mel(folder / "mels" / f"{i:02}.npy", np.tile(one, 10), cfg)
    audio = folder / "clips"
    audio.mkdir()
    for i in range(60):
        clip = sorted(clips.glob("*.flac"))[i % 3]
        shutil.copy(clip, audio / f"{i:02}.flac")
    compiled, dense = [mel, "--backend", "numba"], str(voice / "model.pt")
    shape = "--n-units 256 --n-out 64 --no-log --threads 1".split()
    found = {
        "wv-run c": ["wv-run", model, mel, "--backend", "c"],
        "wv-run numba": ["wv-run", model, *compiled],
        "wv-run numba, compiling": ["env", f"NUMBA_CACHE_DIR={folder}/empty", "wv-run", model, *compiled],
        "wv-run --jobs": ["wv-run", model, mels, "-o", "wavs", "--jobs", "2"],
        "wv-run --jobs numba": ["wv-run", model, mels, "-o", "wavs", "--jobs", "2", "--backend", "numba"],
        "wv-mel": ["wv-mel", str(audio / "00.flac"), "o.npy", "--model", model],
        "wv-mel --jobs": ["wv-mel", str(audio), "mels", "--model", model, "--jobs", "2"],
        "wv-inspect": ["wv-inspect", model, "--plot", "o.png"],
        "wv-export": ["wv-export", dense, "o.bin", "--dtype", "int8", "--postfilter", "on"],
        "wv-train": ["wv-train", str(audio), "-o", "m.pt", *shape],
        "wv-train, its defaults": ["wv-train", str(audio), "-o", "m.pt", "--no-log"],
        "wv-prune": ["wv-prune", dense, "o.pt", "--data", str(audio), "--sparsity", "O2=0.9"],
        "wv-pack": ["wv-pack", str(audio), "o.pack"],
        "wv-eval": ["wv-eval", model, "--data", str(audio), "--split", "all"],
        "wv-eval --jobs": ["wv-eval", model, "--data", str(audio), "--split", "all", "--jobs", "2"],
        "wv-bench": ["wv-bench", model],
        "wv-predict": ["wv-predict", "--n-units", "1024"],
    }
    for command in found.values():
        at = 2 if command[0] == "env" else 0
        command[at] = str(Path(sys.executable).parent / command[at])
    if wv_run:
        found["wv_run (C)"] = [str(wv_run), model, mel]
    return found


def cpu_s(pid: int) -> float:
    """Of a process and the children that it has waited for."""
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(word) for word in words[11:15]) / TICKS


def run(command: list[str], after: float | None) -> Interrupted | float:
    """Interrupted after so many seconds; without `after`, or where it ended by itself, how long it took."""
    with tempfile.TemporaryDirectory() as folder:
        if "NUMBA_CACHE_DIR" in " ".join(command):
            command = [word + folder if word.startswith("NUMBA_CACHE_DIR") else word for word in command]
        began = time.monotonic()
        with tempfile.TemporaryFile("w+") as log:
            child = subprocess.Popen(
                command, cwd=folder, stdout=subprocess.DEVNULL, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )  # fmt: skip
            while child.poll() is None and cpu_s(child.pid) < STARTED_S:
                time.sleep(0.01)
            try:
                child.wait(timeout=CAP_S if after is None else after)
                if child.returncode:
                    log.seek(0)
                    raise WaveRNNError(f"exit code {child.returncode} before any signal: {log.read().strip()}")
                return time.monotonic() - began
            except subprocess.TimeoutExpired:
                pass
            before, signalled = cpu_s(child.pid), time.monotonic()
            os.killpg(child.pid, signal.SIGINT)
            _, status, usage = os.wait4(child.pid, 0)
            wall = time.monotonic() - signalled
            child.returncode = code = os.waitstatus_to_exitcode(status)
            log.seek(0)
            text = log.read()
        if "Traceback" in text:
            raise WaveRNNError(f"a traceback after {signalled - began:.2f} s\n{text}")
        partial = [path.name for path in Path(folder).rglob("*") if path.name.endswith(".tmp")]
        if partial:
            raise WaveRNNError(f"left {partial}")
        last = text.strip().splitlines()[-1] if text.strip() else ""
        return Interrupted(signalled - began, wall, usage.ru_utime + usage.ru_stime - before, code, last)


@click.command("interrupt", cls=Command)
@click.argument("clips", type=click.Path(exists=True, path_type=Path))
@click.argument("names", nargs=-1)
@click.option(
    "--voice", type=click.Path(exists=True, path_type=Path), default=Path("voices/kathleen16"), help="Folder."
)
@click.option(
    "--wv_run", "wv_run", type=click.Path(exists=True, path_type=Path), help="The C program, to test it, too."
)
@click.option("--times", type=click.IntRange(2), default=12, help="Signals for each command.", show_default=True)
def main(clips: Path, names: tuple[str, ...], voice: Path, wv_run: Path | None, times: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = cases(Path(folder), clips.absolute(), voice.absolute(), wv_run and wv_run.absolute())
        if unknown := set(names) - set(found):
            raise click.UsageError(f"found the names {', '.join(unknown)}, wanted some of {', '.join(found)}")
        print(f"{'command':26}{'runs s':>8}{'signals':>9}{'clock s':>9}{'CPU s':>8}   the slowest came after")
        failed = []
        for name in names or found:
            try:
                measure(name, found[name], times)
            except WaveRNNError as error:
                print(f"{name:26}FAILED: {error}", flush=True)
                failed.append(name)
    if failed:
        raise WaveRNNError(f"{', '.join(failed)}: failed, wanted commands that run until their signal")


def measure(name: str, command: list[str], times: int) -> None:
    """Run it `times` times and print its row. Raises WaveRNNError if it fails by itself or leaves what it must not."""
    whole = run(command, None)
    length = whole if isinstance(whole, float) else CAP_S
    results = [run(command, length * k / times) for k in range(times)]
    heard = [result for result in results if isinstance(result, Interrupted)]
    if not heard:
        raise WaveRNNError(f"each run ended before its signal, the first after {length:.1f} s")
    worst, wall = max(heard, key=lambda r: r.cpu), max(r.wall for r in heard)
    print(f"{name:26}{length:8.1f}{len(heard):9}{wall:9.2f}{worst.cpu:8.2f}   {worst.after:.1f} s", flush=True)
    for code, last in {(r.code, r.last) for r in heard}:
        print(f"    {code}: {last}", flush=True)


if __name__ == "__main__":
    main()
