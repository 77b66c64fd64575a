"""Fuzz the readers of foreign files and the stream: `make fuzz MINUTES=n`.

    reader       libFuzzer: bytes to wv_model_load, checksum made right again; what loads speaks on every ISA
    stream       libFuzzer: any calls and any mels on models of every kind
    bin, npy, checkpoint   twins.py

The target that has least of what is wanted of it gets the next slice of time. The run ends when every target has what
is wanted, when the minutes are over, or with exit code 1 at the first finding, whose bytes lie in build/fuzz/findings.
It prints a table of executions; with --coverage also which lines of the readers are reached: lines.py. Corpora stay
in build/fuzz/corpus.

Usage: ``python tests/fuzz/run.py --minutes 60 [TARGET ..]``
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE)]

from seeds import seed_files  # noqa: E402

COMPILER = "clang-19"
MAX_LEN = 1 << 15
WORK = ROOT / "build/fuzz"
WANTED = {"reader": 10_000_000, "stream": 1_000_000, "bin": 1_000_000, "npy": 100_000, "checkpoint": 100_000}
NATIVE = ("reader", "stream")


def build(folder: Path, sanitize: str | None = None, source: Path = HERE) -> Path:
    """The targets in C, by CMake; `sanitize` as WV_SANITIZE of CMakeLists.txt."""
    cmake = shutil.which("cmake", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert cmake, "cmake not found; it comes with the extra wavernn[test]"
    options = [f"-DCMAKE_C_COMPILER={COMPILER}", "-DCMAKE_BUILD_TYPE=None"]
    options += [] if sanitize is None else [f"-DWV_SANITIZE={sanitize}"]
    for step in (["-S", source, "-B", folder, *options], ["--build", folder, "-j2"]):
        done = subprocess.run([cmake, *step], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def run_native(program: Path, corpus: Path, seeds: Path, findings: Path, *more: str) -> int:
    """Executions beyond those of the corpus; SystemExit with the report of a finding."""
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(parents=True, exist_ok=True)
    args = [f"-max_len={MAX_LEN}", "-print_final_stats=1", f"-artifact_prefix={findings}/", "-timeout=60", *more]
    env = os.environ | {"WV_MODELS": str(seeds / "stream"), "UBSAN_OPTIONS": "print_stacktrace=1"}
    env["ASAN_OPTIONS"] = "quarantine_size_mb=1"  # what stays in the cache is not cleared by the kernel again and again
    folders = [corpus, seeds / "reader"] if program.name == "fuzz_reader" else [corpus]
    done = subprocess.run(
        [program, *args, *folders], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        sys.exit(f"{program}: a finding\n{done.stdout[-6000:]}")
    executed = re.search(r"number_of_executed_units: *(\d+)", done.stdout)
    assert executed, done.stdout
    of_corpus = re.search(r"^#(\d+)\s+INITED", done.stdout, re.MULTILINE)
    return int(executed[1]) - (int(of_corpus[1]) if of_corpus else 0)


class Run:
    """Slices of time for the targets, until all have what is wanted. Threads call `work`."""

    def __init__(self, targets: list[str], folder: Path, minutes: float, seed: int, times: float) -> None:
        self.wanted = {target: max(1, int(times * WANTED[target])) for target in targets}
        self.folder, self.seed = folder, seed
        self.executions, self.accepted = dict.fromkeys(targets, 0), dict.fromkeys(targets, 0)
        self.seeds = seed_files(folder / "seeds")
        self.programs = build(folder / "build") if set(targets) & set(NATIVE) else folder
        self.slice_s = max(10, int(60 * minutes / 30))
        self.end = time.monotonic() + 60 * minutes
        self.n_slices, self.busy, self.findings = 0, set[str](), list[tuple[str, str]]()
        self.lock = threading.Lock()

    def work(self) -> None:
        while True:
            with self.lock:
                free = [t for t in self.wanted if t not in self.busy and self.executions[t] < self.wanted[t]]
                seconds = min(self.slice_s, self.end - time.monotonic())
                if not free or seconds < 1 or self.findings:
                    return
                target = min(free, key=lambda t: self.executions[t] / self.wanted[t])
                self.busy.add(target)
                self.n_slices += 1
                number, runs = self.n_slices, self.wanted[target] - self.executions[target]
            try:
                n, accepted = (self.native if target in NATIVE else self.twins)(target, int(seconds), runs, number)
            except SystemExit as finding:
                n, accepted = 0, 0
                self.findings.append((target, str(finding)))
                print(finding, flush=True)
            with self.lock:
                self.executions[target] += n
                self.accepted[target] += accepted
                self.busy.remove(target)
                print(f"{target}: {self.executions[target]:,} of {self.wanted[target]:,}", flush=True)

    def native(self, target: str, seconds: int, runs: int, number: int) -> tuple[int, int]:
        places = self.folder / "corpus" / target, self.seeds, self.folder / "findings"
        # libFuzzer counts what it replays first
        n_replayed = sum(len(list(folder.glob("*"))) for folder in (places[0], self.seeds / "reader")) + 2
        limits = f"-max_total_time={seconds}", f"-runs={n_replayed + runs}"
        return run_native(self.programs / f"fuzz_{target}", *places, *limits), 0

    def twins(self, target: str, seconds: int, runs: int, number: int) -> tuple[int, int]:
        options = {"seconds": seconds, "runs": runs, "seed": self.seed + number, "folder": self.folder}
        command = [sys.executable, HERE / "twins.py", target, *(f"--{name}={value}" for name, value in options.items())]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{target}: a finding\n{done.stderr[-6000:]}")
        found = json.loads(done.stdout)
        return found["executions"], found["accepted"]

    def table(self) -> str:
        lines = [f"{'target':12}{'executions':>12}{'wanted':>12}{'accepted':>12}{'findings':>10}"]
        for target, wanted in self.wanted.items():
            accepted = "" if target in NATIVE else f"{self.accepted[target]:,}"
            n_findings = sum(name == target for name, _ in self.findings)
            lines.append(f"{target:12}{self.executions[target]:>12,}{wanted:>12,}{accepted:>12}{n_findings:>10}")
        return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", default=list(WANTED), metavar="TARGET", help=", ".join(WANTED))
    parser.add_argument("--minutes", type=float, default=1.0, help="at most, of all targets together [1]")
    parser.add_argument("--times", type=float, default=1.0, help="as much is wanted of each target [1]")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time [1]")
    parser.add_argument("--seed", type=int, help="of the targets in Python [another each time]")
    parser.add_argument("--folder", type=Path, default=WORK, help="for builds, corpora and findings [build/fuzz]")
    parser.add_argument("--coverage", action="store_true", help="also measure which lines the corpora reach")
    args = parser.parse_args()
    if unknown := set(args.targets) - set(WANTED):
        parser.error(f"found {', '.join(sorted(unknown))}, wanted {', '.join(WANTED)}")
    seed = secrets.randbelow(2**32) if args.seed is None else args.seed
    run = Run(args.targets, args.folder.absolute(), args.minutes, seed, args.times)
    print(f"seed {seed}", flush=True)
    workers = [threading.Thread(target=run.work) for _ in range(args.jobs)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(run.table(), flush=True)
    if run.findings:
        sys.exit(1)
    if args.coverage:
        import lines  # which imports this module

        lines.report(run.folder, run.seeds)


if __name__ == "__main__":
    main()
