"""Folders that a command makes of others: their files, and runs of it that are killed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from pathlib import Path


def hashes(folder: str | Path) -> dict[str, str]:
    """{path below the folder: SHA-256}, without the notes that commands leave."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(Path(folder).rglob("*")) if p.is_file() and p.name not in (".wv-run.json", ".wv-mel.json")
    }  # fmt: skip


def check_killed_runs(command: list[str], suffix: str, n_files: int, number: int) -> None:
    """Runs of two jobs that get a signal half-way go on to the files of one job. Never half a file; nothing of a run
    stays behind. The name of the folder to write follows the command."""
    subprocess.run([*command, "whole", "--jobs", "1"], check=True, capture_output=True)
    seen, wholes = set(), hashes("whole")

    def made() -> int:
        return len([path for path in Path("out").rglob(f"*{suffix}") if not path.name.startswith(".")])

    for _ in range(4):
        run = subprocess.Popen([*command, "out", "--jobs", "2"], start_new_session=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
        n_before, deadline = made(), time.monotonic() + 60
        while made() < n_before + 3 and time.monotonic() < deadline:
            time.sleep(0.002)
            if run.poll() is not None:
                break
        os.killpg(run.pid, number) if run.poll() is None else None
        _, err = run.communicate(timeout=30)
        assert b"Traceback" not in err, err.decode()
        for name, found in hashes("out").items():
            if not Path(name).name.startswith("."):  # a temporary name
                assert found == wholes[name]
        seen.add(made())
    assert max(seen) > 3
    done = subprocess.run([*command, "out", "--jobs", "2", "--json"], capture_output=True)
    report = json.loads(done.stdout)
    assert report["skipped"] >= max(seen) and report["done"] + report["skipped"] == n_files
    assert hashes("out") == wholes
