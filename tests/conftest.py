"""Shared fixtures: tiny model and mel files, the C library built from a copy of its folder, command lines as calls."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from filelock import FileLock
from model_fixtures import tiny_mel, tiny_model
from wv_runtime.features.mel_file import save_mel
from wv_runtime.model import binary as bin_format

# torch's threads wait for each other: on a machine that does anything else, a small test takes minutes with two
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests/data"
SUPPORT = ROOT / "tests/support"
LIBWAVERNN = ROOT / "runtime/libwavernn"


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """command(main, "out.bin", "mels.npy", ...): a click command in this process, as its console script runs it."""

    def run(main: Any, *args: object) -> Result:
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in args])
        out, err = capfd.readouterr()
        return Result(int(stop.value.code or 0), out, err)

    return run


def build_c(folder: Path, *flags: str) -> Path:
    """Build a plain copy of runtime/libwavernn below `folder`; returns the build folder."""
    shutil.copytree(LIBWAVERNN, folder / "libwavernn", ignore=shutil.ignore_patterns("build"))
    cmake = shutil.which("cmake", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert cmake, "cmake not found; it comes with the extra wavernn[test]"
    for step in (["-B", "build", *flags], ["--build", "build", "-j2"]):
        done = subprocess.run([cmake, *step], cwd=folder / "libwavernn", capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "libwavernn/build"


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Any]) -> Path:
    """A folder that `make(folder)` fills, once a test run; the other processes of the run wait for it and share it."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(f"{folder}.lock"):
        if not (done := folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def c_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build folder with libwavernn.so, libwavernn.a and wv_run. Tests do not write to it."""
    return once(tmp_path_factory, "c", build_c) / "libwavernn/build"


@pytest.fixture
def wv_run(c_build: Path) -> Callable[..., Result]:
    """wv_run("out.bin", "mels.npy", ...): the C program."""

    def run(*args: object) -> Result:
        done = subprocess.run([c_build / "wv_run", *map(str, args)], capture_output=True, text=True, timeout=60)
        return Result(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(params=["wv-run", "wv_run"])
def program(request: pytest.FixtureRequest) -> Callable[..., Result]:
    """wv-run, then wv_run: what is said of one is said of both. `.name` opens their errors."""
    if request.param == "wv_run":
        run = request.getfixturevalue("wv_run")
    else:
        from wv_runtime.commands.run import main

        command = request.getfixturevalue("command")

        def run(*args: object) -> Result:
            return command(main, *args)

    run.name = request.param
    return run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, holding tiny.bin (f32) and mel.npy (7 frames of 20 samples)."""
    monkeypatch.chdir(tmp_path)
    model = tiny_model()
    bin_format.save(model, tmp_path / "tiny.bin")
    save_mel(tmp_path / "mel.npy", tiny_mel(model.config), model.config.mel)
    return tmp_path
