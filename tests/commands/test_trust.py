"""Files and terminals of others: guessable names, links in a circle, closed output, control characters, ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from model_fixtures import tiny_mel, tiny_model
from wv_runtime.atomic import atomic_path
from wv_runtime.commands import inspect
from wv_runtime.commands.common import printable
from wv_runtime.engine.numba_cpu import CALLS_PER_S
from wv_runtime.engine.synth import Voice
from wv_runtime.errors import FormatError
from wv_runtime.model import binary
from wv_runtime.model.layout import HEADER

PYTHON_RUN = [sys.executable, "-c", "from wv_runtime.commands.run import main; main()"]


def test_temporary_names_are_new_and_private(tmp_path):
    names = set()
    for _ in range(3):
        with atomic_path(tmp_path / "a.wav") as tmp:
            assert tmp.exists() and not tmp.is_symlink()  # made with O_EXCL: no link of others is followed
            tmp.write_text("x")
            names.add(tmp.name)
    assert len(names) == 3 and not any(str(os.getpid()) in name for name in names)
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "a.wav").stat().st_mode & 0o777 == 0o666 & ~umask


def test_wv_run_makes_its_file_new(folder, wv_run):
    """The name that was used before does not lead wv_run through a link any more; the mode is the umask's."""
    victim = folder / "victim"
    victim.write_text("untouched")
    for pid in range(os.getpid(), os.getpid() + 3000):
        (folder / f"o.wav.{pid}.tmp").symlink_to(victim)
    assert wv_run("tiny.bin", "mel.npy", "-o", "o.wav").code == 0
    umask = os.umask(0)
    os.umask(umask)
    assert victim.read_text() == "untouched" and Path("o.wav").stat().st_mode & 0o777 == 0o666 & ~umask


def test_links_in_a_circle(folder, program):
    Path("a.wav").symlink_to("b.wav")
    Path("b.wav").symlink_to("a.wav")
    result = program("tiny.bin", "mel.npy", "-o", "a.wav", *(["--backend", "c"] if program.name == "wv-run" else []))
    assert result.code == 1 and "Too many levels of symbolic links" in result.err and result.err.count("\n") == 1
    assert Path("a.wav").is_symlink()


def test_closed_standard_output(folder, c_build):
    for command in ([*PYTHON_RUN, "--backend", "c"], [c_build / "wv_run"]):
        done = subprocess.run(["bash", "-c", '"$@" >&-', "x", *map(str, command), "tiny.bin", "mel.npy"],
                              stderr=subprocess.PIPE, text=True)  # fmt: skip
        assert "Traceback" not in done.stderr and "Exception" not in done.stderr, done.stderr
    full = subprocess.run(["bash", "-c", '"$@" >/dev/full', "x", c_build / "wv_run", "tiny.bin", "mel.npy"],
                          stderr=subprocess.PIPE, text=True)  # fmt: skip
    assert full.returncode == 1 and full.stderr == "wv_run: error: standard output: No space left on device\n"


def test_names_that_are_not_utf_8(folder, c_build):
    """As they come from another system's disk: they are opened, and shown in a message as far as they can be."""
    model, mel, audio = b"v\xff.bin", b"m\xfe.npy", b"a\xfd.wav"
    try:
        os.rename("tiny.bin", model)
    except OSError:
        pytest.skip("this file system wants UTF-8")
    os.rename("mel.npy", mel)
    spoken = set()
    for command in ([*PYTHON_RUN, "--backend", "c"], [str(c_build / "wv_run")]):
        done = subprocess.run([*command, model, mel, "-o", audio], capture_output=True)
        assert done.returncode == 0, done.stderr
        spoken.add(Path(os.fsdecode(audio)).read_bytes())
        Path(os.fsdecode(audio)).unlink()
        done = subprocess.run([*command, model, b"none\xff.npy", "-o", audio], capture_output=True)
        assert done.returncode == 1 and done.stderr.count(b"\n") == 1 and b"none" in done.stderr, done.stderr
        assert b"Traceback" not in done.stderr and not Path(os.fsdecode(audio)).exists()
    assert len(spoken) == 1


def test_control_characters_are_shown_as_text(tmp_path, command):
    evil = "\x1b]0;owned\x07\x1b[2J\u202e\ud800"
    binary.save(replace(tiny_model(), metadata={"licence": evil, evil: 1}), tmp_path / "evil.bin")
    result = command(inspect.main, tmp_path / "evil.bin")
    assert result.code == 0 and r"\x1b]0;owned\x07\x1b[2J\u202e\ud800" in result.out
    assert not any(ord(c) < 32 and c != "\n" for c in result.out)
    assert printable("\udcff.bin") == "\N{REPLACEMENT CHARACTER}.bin"


@pytest.mark.parametrize("text", [b'{"a":1e999}', b'{"a":-1e999}', b'{"a":NaN}', '{"a":1}'.encode("utf-16"),
                                  b'\xef\xbb\xbf{"a":1}', b'{"a":"\xff"}', b"[1]"])  # fmt: skip
def test_metadata_that_is_no_json_in_utf_8(text):
    data = bytearray(binary.pack(replace(tiny_model(), metadata={"x": "y" * 64})))
    header = np.frombuffer(data, HEADER, 1)
    start, n = int(header["metadata"][0]), int(header["metadata_bytes"][0])
    data[start : start + n] = text.ljust(n, b" ") if not text.startswith(b"\xff") else text.ljust(n, b"\0")
    with pytest.raises(FormatError, match="expected a JSON object"):
        binary.parse(binary.with_checksum(bytes(data)))


def test_metadata_that_grows_when_written_again_runs_in_c(tmp_path):
    """JSON of 2^20 bytes at most that Python would write with more: C is handed the model without it."""
    model = replace(tiny_model(), metadata={"x": "y" * 900_000})
    data = binary.pack(model)
    data = data.replace(b"y" * 900_000, "\N{GREEK SMALL LETTER ALPHA}".encode() * 450_000)
    read = binary.parse(binary.with_checksum(data))
    assert read.metadata["x"] == "\N{GREEK SMALL LETTER ALPHA}" * 450_000
    assert len(Voice(read, "c")(tiny_mel(model.config))) == 7 * model.config.mel.hop_length


def test_a_compiled_call_makes_no_more_than_a_part_of_a_second(monkeypatch):
    """Between calls Python hears ctrl-C: eight times for each second of audio."""
    model, calls = tiny_model(), []
    stream = Voice(model).open()
    generate = stream._kernels.generate

    class Kernels:
        @staticmethod
        def generate(*args):
            calls.append(len(args[-1]))
            generate(*args)

    stream._kernels = Kernels
    stream.push(tiny_mel(model.config, 400))
    stream.finish()
    assert len(stream.pull(8000)) == 8000
    assert calls == [16000 // CALLS_PER_S] * 4


PROGRAMS = re.findall(r'^(wv-\w+) = "([\w.]+):(\w+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)


@pytest.mark.parametrize(("name", "module", "function"), PROGRAMS, ids=[program[0] for program in PROGRAMS])
def test_ctrl_c_while_a_program_is_imported(name, module, function, tmp_path):
    """One line and exit 130, whatever the import was doing."""
    (tmp_path / "numpy.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(30)\n")
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", f"from {module} import {function}; {function}()"]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a job behind & ignores it
    )  # fmt: skip
    assert child.stdout.readline() == "importing\n"
    start = time.monotonic()
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=20)
    assert (child.returncode, err) == (130, f"{name}: error: interrupted\n")
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(("then", "out"), [("time.sleep(20)", "at exit\n"), ("raise RuntimeError('not called')", "")])
def test_ctrl_c_in_a_callback_from_c(then, out, tmp_path):
    """Where Python drops an exception, and tells of it in several lines. Modules are then not taken down."""
    (tmp_path / "speaks.py").write_text(
        "import atexit, ctypes, os, signal, time\n"
        "from wv_runtime.commands.common import command_errors\n"
        "class Slow:\n"
        "    def __del__(self): print('taken down')\n"
        "slow = Slow()\n"
        "atexit.register(print, 'at exit')\n"
        "callback = ctypes.CFUNCTYPE(None)(lambda: os.kill(os.getpid(), signal.SIGINT))\n"
        "def main():\n"
        "    with command_errors('wv-x'):\n"
        "        callback()\n"
        f"        {then}\n"
    )
    script = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    script += "from wv_runtime.start import start; start('wv-x', 'speaks')"
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(tmp_path)},
                          capture_output=True, text=True)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, out, "wv-x: error: interrupted\n")
