"""A folder of mels to a folder of audio: the same files for any number of jobs, after any interruption; and a Voice in
other processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from folders import check_killed_runs, hashes
from model_fixtures import tiny_config, tiny_mel, tiny_model
from wv_runtime import load
from wv_runtime.commands import corpus
from wv_runtime.commands import run as cli
from wv_runtime.engine import native
from wv_runtime.engine.registry import ready_engine
from wv_runtime.engine.synth import Voice
from wv_runtime.errors import NativeError
from wv_runtime.features.mel_file import save_mel
from wv_runtime.model import binary

CFG = tiny_config()
PYTHON_RUN = [sys.executable, "-c", "from wv_runtime.commands.run import main; main()"]


def make_mels(folder, n=7, n_frames=12):
    for i in range(n):
        path = Path(folder, "sub" if i % 3 else "", f"clip{i}.npy")
        path.parent.mkdir(parents=True, exist_ok=True)
        save_mel(path, tiny_mel(CFG, n_frames + 5 * i, seed=i), CFG.mel)


def test_any_number_of_jobs_gives_the_files_of_single_runs(command, folder):
    make_mels("mels")
    for jobs in (1, 2, 3):
        report = json.loads(command(cli.main, "tiny.bin", "mels", "-o", f"out{jobs}", "--jobs", jobs, "--json").out)
        assert (report["done"], report["skipped"], report["failed"], report["jobs"]) == (7, 0, {}, jobs)
        assert report["backend"] == "c"
    assert command(cli.main, "tiny.bin", "mels", "-o", "numba", "--jobs", 1, "--backend", "numba").code == 0
    for mel in Path("mels").rglob("*.npy"):
        wav = Path("one", mel.relative_to("mels")).with_suffix(".wav")
        wav.parent.mkdir(parents=True, exist_ok=True)
        assert command(cli.main, "tiny.bin", mel, "-o", wav).code == 0
    assert hashes("out1") == hashes("out2") == hashes("out3") == hashes("numba") == hashes("one")
    assert len(hashes("out1")) == 7


@pytest.mark.parametrize("n_files", [1, 2, 3, 7, 40, 200])
@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_jobs_end_within_a_small_group_of_each_other(n_files, n_jobs):
    rng = np.random.default_rng(n_files)
    for sizes in (np.full(n_files, 100), rng.integers(50, 400, n_files)):
        items = [corpus.Item(Path(f"{i}.npy"), Path(f"{i}.wav"), int(size)) for i, size in enumerate(sizes)]
        groups = list(corpus._shared_out(items, n_jobs))
        assert sorted(item.source for group in groups for item in group) == sorted(item.source for item in items)
        assert max(map(len, groups)) <= corpus.FILES_AT_ONCE and len(groups) >= min(n_jobs, n_files)
        ends = [0] * n_jobs
        for group in groups:  # whichever job is free takes the next
            ends[ends.index(min(ends))] += sum(item.n_bytes for item in group)
        if n_files >= 40:
            assert max(ends) - min(ends) <= corpus.FILES_IN_STEP * groups[-n_jobs][0].n_bytes


def test_what_is_there_is_left_alone_unless_its_mels_are_newer(command, folder):
    make_mels("mels")
    run = ["tiny.bin", "mels", "-o", "out", "--jobs", 1, "--json"]
    first = json.loads(command(cli.main, *run).out)
    before = {p: p.stat().st_mtime_ns for p in Path("out").rglob("*.wav")}
    second = json.loads(command(cli.main, *run).out)
    assert (first["done"], second["done"], second["skipped"]) == (7, 0, 7)
    assert {p: p.stat().st_mtime_ns for p in Path("out").rglob("*.wav")} == before
    time.sleep(0.02)
    save_mel("mels/clip0.npy", tiny_mel(CFG, 9, seed=99), CFG.mel)
    Path("out/sub/clip1.wav").unlink()
    Path("out/.clip0.0123456789abcdef.wav").write_bytes(b"RIFF half")  # of a run that was killed
    third = json.loads(command(cli.main, *run).out)
    assert (third["done"], third["skipped"]) == (2, 5) and not list(Path("out").glob(".clip0*"))
    assert soundfile.info("out/clip0.wav").frames == 9 * CFG.mel.hop_length
    assert json.loads(command(cli.main, *run, "--overwrite").out)["done"] == 7


@pytest.mark.parametrize("option", [["--seed", 5], ["--temperature", 0.7], ["--format", "flac"]])
def test_other_settings_do_not_mix(command, folder, option):
    make_mels("mels", 2)
    assert command(cli.main, "tiny.bin", "mels", "-o", "out", "--jobs", 1).code == 0
    before = hashes("out")
    result = command(cli.main, "tiny.bin", "mels", "-o", "out", "--jobs", 1, *option)
    wanted = f"found audio of another {option[0][2:]}, wanted a new folder, or --overwrite"
    assert result.code == 1 and wanted in result.err and hashes("out") == before
    assert command(cli.main, "tiny.bin", "mels", "-o", "out", "--jobs", 1, "--overwrite", *option).code == 0
    assert hashes("out") != before


def test_another_model_does_not_mix(command, folder):
    make_mels("mels", 2)
    assert command(cli.main, "tiny.bin", "mels", "-o", "out", "--jobs", 1).code == 0
    binary.save(tiny_model(seed=8), "tiny.bin")
    assert "another model" in command(cli.main, "tiny.bin", "mels", "-o", "out", "--jobs", 1).err
    Path("out/.wv-run.json").write_bytes(b"\xff{")
    assert "another model, seed" in command(cli.main, "tiny.bin", "mels", "-o", "out", "--jobs", 1).err


def test_an_overwrite_that_was_stopped_goes_on(command, folder, monkeypatch):
    """Files of the old settings do not count as made."""
    make_mels("mels", 4)
    assert command(cli.main, "tiny.bin", "mels", "-o", "out", "--jobs", 1).code == 0
    with monkeypatch.context() as m:
        m.setattr("wv_runtime.commands.speak.Speaking.make", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        assert command(cli.main, "tiny.bin", "mels", "-o", "out", "--jobs", 1, "--seed", 3, "--overwrite").code == 130
    report = json.loads(command(cli.main, "tiny.bin", "mels", "-o", "out", "--jobs", 1, "--seed", 3, "--json").out)
    assert (report["done"], report["skipped"]) == (4, 0)


@pytest.mark.parametrize("jobs", [1, 2])
def test_bad_files_are_named_and_the_others_made(command, folder, jobs):
    make_mels("mels", 3)
    Path("mels/text.npy").write_text("no mel")
    np.save("mels/other.npy", np.zeros((5, 5), "f4"))
    Path("mels/ignored.txt").write_text("not a mel and not taken for one")
    Path("out/sub").mkdir(parents=True)
    Path("out/sub/clip1.wav").mkdir()  # cannot be replaced by a file
    result = command(cli.main, "tiny.bin", "mels", "-o", "out", "--jobs", jobs)
    assert result.code == 1 and result.err == "wv-run: error: mels: 3 of 5 files failed\n"
    assert "  mels/text.npy: not a .npy file, wanted a mel array" in result.out
    assert "  mels/other.npy: shape (5, 5), wanted (8, n_frames)" in result.out
    assert "  mels/sub/clip1.npy: out/sub/clip1.wav: Is a directory" in result.out
    assert sorted(hashes("out")) == ["clip0.wav", "sub/clip2.wav"]


def test_bad_usage(command, folder):
    make_mels("mels", 1)
    Path("empty").mkdir()
    for args, code, words in (
        (["tiny.bin", "mels"], 1, "mels: Is a directory"),  # OUT is out.wav
        (["tiny.bin", "empty", "-o", "out"], 1, "empty: found no .npy below it, wanted mels"),
        (["tiny.bin", "mels", "-o", "mel.npy"], 1, "mel.npy"),
        (["tiny.bin", "mels", "-o", "out", "--verify"], 2, "wanted a file"),
        (["tiny.bin", "mel.npy", "--jobs", 2], 2, "wanted folders"),
        (["tiny.bin", "mel.npy", "--overwrite"], 2, "wanted folders"),
    ):
        result = command(cli.main, *args)
        assert result.code == code and words in result.err and result.err.count("\n") == 1, result
    assert not Path("out").exists()


def start_two_jobs():
    """A run of two jobs that has made a file, and its processes."""
    make_mels("mels", 40, n_frames=2000)
    run = subprocess.Popen([*PYTHON_RUN, "tiny.bin", "mels", "-o", "out", "--jobs", "2"], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    children, deadline = set(), time.monotonic() + 60
    while not list(Path("out").rglob("clip*.wav")) and time.monotonic() < deadline:
        children |= set(Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split())
        time.sleep(0.01)
    return run, children, deadline


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no /proc")
def test_a_job_that_is_killed_is_told_and_made_up_for(folder):
    run, children, _ = start_two_jobs()
    os.kill(int(sorted(children)[0]), signal.SIGKILL)
    out, err = run.communicate(timeout=60)
    *warnings, error = err.splitlines()
    assert run.returncode == 1 and error.startswith("wv-run: error: mels: ")
    assert all(line.startswith("wv-run: warning: ") for line in warnings)  # of a voice that was not trained
    assert ": a job was killed; the same command goes on\n" in out
    done = subprocess.run([*PYTHON_RUN, "tiny.bin", "mels", "-o", "out", "--jobs", "2", "--json"], capture_output=True)
    report = json.loads(done.stdout)
    assert report["skipped"] > 0 and report["done"] + report["skipped"] == 40 and not report["failed"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no /proc")
def test_the_jobs_end_with_a_parent_that_is_killed(folder):
    run, children, deadline = start_two_jobs()
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert len(children) >= 2
    while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on_to_the_same_files(folder, number):
    make_mels("mels", 60, n_frames=400)
    check_killed_runs([*PYTHON_RUN, "tiny.bin", "mels", "-o"], ".wav", 60, number)


def test_ctrl_c_while_jobs_start(folder, tmp_path):
    """One line; processes that import their modules, as no copies of this one do, do not tell, too."""
    pytest.importorskip("onnxruntime")
    make_mels("mels", 4)
    importing = "    os.write(2, b'!')\n    time.sleep(30)\n"
    (tmp_path / "sitecustomize.py").write_text(
        f"import os, sys, time\nif '--multiprocessing-fork' in sys.orig_argv:\n{importing}"
    )
    run = subprocess.Popen(
        [*PYTHON_RUN, "tiny.bin", "mels", "-o", "out", "--jobs", "2", "--backend", "onnx"], start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(tmp_path)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert run.stderr.read(2) == b"!!"  # both
    os.killpg(run.pid, signal.SIGINT)
    _, err = run.communicate(timeout=20)
    assert (run.returncode, err.strip()) == (130, b"wv-run: error: interrupted")


# ---- a Voice elsewhere


def _speak(voice, mel):
    return voice(mel), voice([mel, mel], n_threads=2)


@pytest.mark.parametrize("backend", ["numba", "c"])
def test_a_voice_can_be_pickled(backend):
    voice, mel = Voice(tiny_model("int8"), backend), tiny_mel(CFG)
    copy = pickle.loads(pickle.dumps(voice))
    assert copy.backend == backend and copy.model.metadata == voice.model.metadata
    np.testing.assert_array_equal(copy(mel), voice(mel))
    with pytest.raises(ValueError, match="read-only"):
        copy.model.I[0] = 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_voice_survives_a_fork():
    """Also with a batch whose threads stay behind in the parent."""
    voice, mel = Voice(tiny_model("int8"), "c"), tiny_mel(CFG, 40)
    batch = voice.batch(4, 2)

    def pull():
        streams = [voice.open(seed) for seed in range(4)]
        for stream in streams:
            stream.push(mel)
            stream.finish()
        return batch.pull(streams, [500] * 4)

    wanted = pull()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def child():
        theirs.send([part.tobytes() for part in pull()])

    process = context.Process(target=child)
    process.start()
    assert ours.poll(30), "the child waits for threads that it does not have"
    assert ours.recv() == [part.tobytes() for part in wanted]
    process.join(30)
    assert process.exitcode == 0
    np.testing.assert_array_equal(pull()[0], wanted[0])


def test_auto_takes_what_is_ready(folder, command, monkeypatch):
    assert load("tiny.bin").backend == "c" and Voice(tiny_model(), "auto").backend == "c"
    assert json.loads(command(cli.main, "tiny.bin", "mel.npy", "--json").out)["backend"] == "c"

    def missing():
        raise NativeError("no library")

    monkeypatch.setattr(native, "library", missing)
    assert ready_engine() == "numba" and load("tiny.bin").backend == "numba"
    assert json.loads(command(cli.main, "tiny.bin", "mel.npy", "--json").out)["backend"] == "numba"
