"""wv-mel on folders: the same files for any number of jobs, after any interruption, and every bad file by its name."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from folders import check_killed_runs, hashes
from wv_runtime.commands.mel import main
from wv_runtime.features.mel_file import load_mel
from wv_runtime.model.config import PRESETS

pytest.importorskip("librosa")
CFG = PRESETS["16k"]
PYTHON_MEL = [sys.executable, "-c", "from wv_runtime.commands.mel import main; main()"]


def make_audio(folder, n=7, n_samples=4000):
    for i in range(n):
        path = Path(folder, "sub" if i % 3 else "", f"clip{i}.{'flac' if i % 2 else 'wav'}")
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(i).standard_normal(n_samples + 500 * i)
        soundfile.write(path, np.cumsum(noise) / 500, CFG.sample_rate)


def test_any_number_of_jobs_gives_the_files_of_single_runs(command, folder):
    make_audio("speech")
    for jobs in (1, 2, 3):
        args = ["speech", f"out{jobs}", "--preset", "16k", "--jobs", jobs, "--json"]
        report = json.loads(command(main, *args).out)
        assert (report["done"], report["skipped"], report["failed"], report["jobs"]) == (7, 0, {}, jobs)
        assert "backend" not in report
    for audio in (p for p in Path("speech").rglob("*") if p.is_file()):
        mel = Path("one", audio.relative_to("speech")).with_suffix(".npy")
        mel.parent.mkdir(parents=True, exist_ok=True)
        assert command(main, audio, mel, "--preset", "16k").code == 0
    assert hashes("out1") == hashes("out2") == hashes("out3") == hashes("one")
    assert sorted(hashes("one")) == sorted(f"{'sub/' if i % 3 else ''}clip{i}.npy" for i in range(7))
    assert load_mel("one/clip0.npy", CFG).shape == (80, 25)


def test_what_is_there_is_left_alone_unless_its_audio_is_newer(command, folder):
    make_audio("speech")
    run = ["speech", "out", "--preset", "16k", "--jobs", 1, "--json"]
    assert json.loads(command(main, *run).out)["done"] == 7
    before = {p: p.stat().st_mtime_ns for p in Path("out").rglob("*.npy")}
    assert json.loads(command(main, *run).out)["skipped"] == 7
    assert {p: p.stat().st_mtime_ns for p in Path("out").rglob("*.npy")} == before
    time.sleep(0.02)
    soundfile.write("speech/clip0.wav", np.zeros(1600), CFG.sample_rate)
    Path("out/sub/clip1.npy").unlink()
    Path("out/.clip0.0123456789abcdef.npy").write_bytes(b"half")  # of a run that was killed
    result = command(main, *run)
    report = json.loads(result.out)
    assert (report["done"], report["skipped"]) == (2, 5) and not list(Path("out").glob(".clip0*"))
    assert report["warnings"] == {"speech/clip0.wav": "found silence, wanted speech"}
    assert result.err == "wv-mel: warning: speech/clip0.wav: found silence, wanted speech\n"
    other = command(main, "speech", "out", "--preset", "8k", "--jobs", 1)
    assert other.code == 1 and "out: found mels of another preset, sample_rate, n_fft, hop_length" in other.err
    assert "wanted a new folder, or --overwrite" in other.err
    assert load_mel("out/clip0.npy", CFG).shape == (80, 10)
    assert json.loads(command(main, *run, "--overwrite").out)["done"] == 7


@pytest.mark.parametrize("jobs", [1, 2])
def test_bad_files_are_named_and_the_others_made(command, folder, jobs):
    make_audio("speech", 3)
    Path("speech/text.wav").write_text("no audio")
    soundfile.write("speech/short.wav", np.zeros(10), CFG.sample_rate)
    Path("speech/ignored.txt").write_text("not audio and not taken for it")
    Path("out/sub/clip1.npy").mkdir(parents=True)  # cannot be replaced by a file
    result = command(main, "speech", "out", "--preset", "16k", "--jobs", jobs)
    assert result.code == 1 and result.err.endswith("wv-mel: error: speech: 3 of 5 files failed\n")
    assert "  speech/text.wav: Format not recognised, wanted audio" in result.out
    assert "  speech/short.wav: audio: found 10 samples, wanted at least one frame (160)\n" in result.out
    assert "  speech/sub/clip1.flac: out/sub/clip1.npy: Is a directory\n" in result.out
    assert sorted(hashes("out")) == ["clip0.npy", "sub/clip2.npy"]


def test_folders_of_mels_are_converted(command, folder):
    make_audio("speech", 3)
    assert command(main, "speech", "mels", "--preset", "16k", "--jobs", 1).code == 0
    for path in Path("mels").rglob("*.npy"):
        log10 = Path("log10", path.relative_to("mels"))
        log10.parent.mkdir(parents=True, exist_ok=True)
        np.save(log10, np.load(path).T / np.log(10.0))
    np.savez("log10/clip0.npz", np.zeros((3, 3)))  # clip0.npy is taken
    for jobs in (1, 2):
        result = command(main, "log10", f"out{jobs}", "--preset", "16k", "--convert", "log10", "--jobs", jobs)
        assert (result.code, result.err) == (0, ""), result
    assert hashes("out1") == hashes("out2") and sorted(hashes("out1")) == sorted(hashes("mels"))
    for path in Path("mels").rglob("*.npy"):
        np.testing.assert_allclose(load_mel(Path("out1", path.relative_to("mels")), CFG), np.load(path), atol=1e-5)
    other = command(main, "log10", "out1", "--preset", "16k", "--convert", "db", "--jobs", 1)
    assert other.code == 1 and "found mels of another convert" in other.err


def test_bad_usage(command, folder):
    make_audio("speech", 1)
    shutil.copytree("speech", "linked")
    np.save("linked/clip0.npy", np.zeros(3))
    Path("linked/clip1.wav").symlink_to("clip0.npy")
    Path("empty").mkdir()
    before = hashes(".")
    for args, code, words in (
        (["empty", "out"], 1, "empty: found no audio file"),
        (["empty", "out", "--convert", "log10"], 1, "empty: found no .npy below it, wanted mels"),
        (["none", "out"], 1, "none: no such file or folder"),
        (["none", "out", "--jobs", 2], 1, "none: no such file or folder"),
        (["speech", "tiny.bin"], 1, "tiny.bin: Not a directory"),
        (["speech", "out.npy"], 1, "speech: found a folder"),
        (["linked", "linked"], 2, "linked: found linked/clip0.npy, which is read, wanted another folder"),
        (["linked", "linked", "--convert", "log10"], 2, "MEL: found linked in AUDIO, where mels are read"),
        (["linked", "linked/out", "--convert", "log10"], 2, "MEL: found linked/out in AUDIO, where mels are read"),
        (["speech", "out", "--convert", "log7"], 2, "mel format: found 'log7'"),
        (["speech", "out", "--jobs", 2, "--dask", "tcp://127.0.0.1:9"], 2, "--jobs: found it with --dask"),
        (["speech/clip0.wav", "mel.npy", "--jobs", 2], 2, "wanted folders as AUDIO and MEL"),
        (["speech/clip0.wav", "mel.npy", "--overwrite"], 2, "wanted folders as AUDIO and MEL"),
        (["speech/clip0.wav", "mel.npy", "--json"], 2, "wanted folders as AUDIO and MEL"),
    ):
        result = command(main, *args, "--preset", "16k")
        assert result.code == code and words in result.err and result.err.count("\n") == 1, result
    assert hashes(".") == before and not Path("out").exists()


def test_mels_may_go_beside_the_audio(command, folder):
    """Where wv-train --mels reads them."""
    make_audio("speech", 2)
    assert command(main, "speech", "speech", "--preset", "16k", "--jobs", 1).code == 0
    assert load_mel("speech/clip0.npy", CFG).shape == (80, 25)
    assert "2 files, made before" in command(main, "speech", "speech", "--preset", "16k", "--jobs", 1).out


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on_to_the_same_files(folder, number):
    make_audio("speech", 60, n_samples=100_000)
    check_killed_runs([*PYTHON_MEL, "speech", "--preset", "16k"], ".npy", 60, number)


def test_no_librosa_is_told_once(command, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "librosa", None)
    make_audio("speech", 3)
    result = command(main, "speech", "out", "--preset", "16k", "--jobs", 1)
    assert result.code == 1 and result.err.count("\n") == 1 and "librosa: not installed" in result.err
    assert not hashes("out")
