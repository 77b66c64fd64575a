"""The programs of examples/: built as their comments say, and run. All give the samples of the library."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import LIBWAVERNN, ROOT
from model_fixtures import tiny_mel, tiny_model
from wv_runtime import load
from wv_runtime.features.mel_file import load_mel

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "examples"
MODEL = tiny_model()
FRAMES = tiny_mel(MODEL.config).T.astype("<f4").tobytes()
CMAKE = shutil.which("cmake", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
STREAM_PY = [sys.executable, EXAMPLES / "stream.py"]


def sh(*command: object, **options) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def prefix(c_build, tmp_path_factory) -> Path:
    """Where `cmake --install` put the library."""
    folder = tmp_path_factory.mktemp("installed")
    sh(CMAKE, "--install", c_build, "--prefix", folder)
    return folder


@pytest.fixture(scope="session")
def stream_c(prefix, tmp_path_factory) -> Path:
    """stream.c by way of pkg-config."""
    if not shutil.which("pkg-config"):
        pytest.skip("no pkg-config")
    flags = sh("pkg-config", "--cflags", "--libs", "wavernn", env={
        **os.environ, "PKG_CONFIG_PATH": str(next(prefix.rglob("pkgconfig")))}).split()  # fmt: skip
    program = tmp_path_factory.mktemp("stream") / "stream"
    strict = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    sh("cc", *strict, "-O2", EXAMPLES / "stream.c", *flags, f"-Wl,-rpath,{next(prefix.rglob('libwavernn.*')).parent}",
       "-o", program)  # fmt: skip
    return program


def speak(program: list[object], stdin: bytes = FRAMES, model: str = "tiny.bin") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([str(p) for p in (*program, model)], input=stdin, capture_output=True, timeout=120)


def wanted(folder: Path) -> bytes:
    return load("tiny.bin", "c")(load_mel("mel.npy", MODEL.config.mel)).astype("<i2").tobytes()


def test_stream_py(folder):
    done = speak(STREAM_PY)
    assert done.returncode == 0 and done.stdout == wanted(folder), done.stderr


def test_stream_c(stream_c, folder):
    done = speak([stream_c])
    assert done.returncode == 0 and done.stdout == wanted(folder), done.stderr


@pytest.mark.skipif(not shutil.which("c++"), reason="no C++ compiler")
@pytest.mark.parametrize("how", ["copied", "installed"])
def test_cpp_finds_a_copied_and_an_installed_library(how, prefix, folder):
    where = f"-DLIBWAVERNN={LIBWAVERNN}" if how == "copied" else f"-DCMAKE_PREFIX_PATH={prefix}"
    sh(CMAKE, "-S", EXAMPLES / "cpp", "-B", "build", where, "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror")
    sh(CMAKE, "--build", "build", "-j2")
    done = speak([Path("build/speak").resolve()])
    assert done.returncode == 0 and done.stdout == wanted(folder), done.stderr
    assert b"speak: error: " in speak([Path("build/speak").resolve()], model="missing.bin").stderr


def test_pipe_sh(stream_c, folder):
    for stream in ({}, {"STREAM": str(stream_c)}):
        done = subprocess.run([EXAMPLES / "pipe.sh", "tiny.bin", "mel.npy", "cat"], capture_output=True,
                              env={**os.environ, "PYTHON": sys.executable, **stream}, timeout=120)  # fmt: skip
        assert done.returncode == 0 and done.stdout == wanted(folder), done.stderr


def test_audio_comes_before_the_mels_end(stream_c, folder):
    """The first frame's samples are there while the writer still has the pipe open."""
    n_bytes, n_first = 4 * MODEL.config.mel.n_mels, 2 * MODEL.config.mel.hop_length
    for program in (STREAM_PY, [stream_c]):
        with subprocess.Popen([*program, "tiny.bin"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stream:
            stream.stdin.write(FRAMES[: 2 * n_bytes])
            stream.stdin.flush()
            assert stream.stdout.read(n_first) == wanted(folder)[:n_first]
            stream.stdin.close()


def test_bad_input_is_one_line(stream_c, folder):
    for program in (STREAM_PY, [stream_c]):
        for stdin, model in ((FRAMES[:-3], "tiny.bin"), (FRAMES, "mel.npy"), (FRAMES, "missing.bin")):
            done = speak(program, stdin, model)
            assert done.returncode == 1 and done.stderr.count(b"\n") == 1, done
