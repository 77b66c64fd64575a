"""One line per error, the right exit code, and files that appear whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from conftest import DATA
from wv_runtime import __version__
from wv_runtime.commands.common import Command, atomic_path, command_errors
from wv_runtime.errors import FormatError, MelError


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (FormatError("out.bin: magic x,\n  expected y"), 1, "out.bin: magic x, expected y"),
        (MelError("mel: found a, wanted b"), 1, "mel: found a, wanted b"),
        (FileNotFoundError(2, "No such file or directory", "a.npy"), 1, "a.npy: No such file or directory"),
        (OSError("disk on fire"), 1, "disk on fire"),
        (ValueError("seed: found -1, wanted 0 or more"), 2, "seed: found -1, wanted 0 or more"),
        (click.UsageError("nonsense"), 2, "nonsense"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors(error, code, line):
    @click.command("wv-x", cls=Command)
    def main() -> None:
        raise error

    result = CliRunner().invoke(main)
    assert (result.exit_code, result.stdout, result.stderr.strip()) == (code, "", f"wv-x: error: {line}")


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), command_errors("wv-x"):
        1 / 0  # noqa: B018


def test_exit_codes_of_click():
    @click.command("wv-x", cls=Command)
    @click.option("--code", type=int, default=0)
    @click.pass_context
    def main(ctx: click.Context, code: int) -> None:
        """Does x."""
        ctx.exit(code)

    def run(*args):
        result = CliRunner().invoke(main, args)
        return result.exit_code, result.stdout

    assert run() == (0, "") and run("--code", "7") == (7, "")
    assert run("--version") == (0, f"wv-x, version {__version__}\n")
    assert run("--help")[1].startswith("Usage: wv-x [OPTIONS]")
    assert run("--code", "x")[0] == run("--what")[0] == 2


def test_closed_pipe():
    command = "python -c 'from wv_runtime.commands.inspect import main; main()' \"$1\" | true; echo ${PIPESTATUS[0]}"
    golden = DATA / "golden_v1_f32.bin"
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", command, "x", str(golden)], capture_output=True, text=True, env=env)
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


def test_atomic_path_replaces_only_at_the_end(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("old")
    with atomic_path(path) as tmp:
        assert tmp.suffix == ".wav" and tmp.parent == tmp_path
        tmp.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_atomic_path_leaves_nothing_on_failure(tmp_path):
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "a.bin") as tmp:
        tmp.write_text("half")
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_atomic_path_follows_links_and_spares_devices(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with atomic_path(tmp_path / "link") as tmp:
        tmp.write_text("x")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "target").read_text() == "x"
    with atomic_path(os.devnull) as tmp:
        assert str(tmp) == os.devnull


def test_atomic_path_says_what_is_wrong(tmp_path):
    with pytest.raises(IsADirectoryError), atomic_path(tmp_path):
        pass
    with pytest.raises(FileNotFoundError, match="nowhere"), atomic_path(tmp_path / "nowhere" / "a.bin"):
        pass
