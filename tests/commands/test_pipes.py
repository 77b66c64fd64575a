"""wv-run and wv_run between pipes: what goes in by -, <(..) and >(..), what comes out, and when."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from model_fixtures import tiny_config, tiny_mel
from wv_runtime.engine.native import NativeModel, NativeStream
from wv_runtime.features.mel_file import save_mel

CFG = tiny_config()
N_FRAMES = 39  # fewer than get a remark on their level
MEL = tiny_mel(CFG, N_FRAMES)
RAW = MEL.T.astype("<f4").tobytes()
FRAME = 4 * CFG.mel.n_mels


@pytest.fixture(params=["wv-run", "wv_run"])
def argv(request, c_build, folder):
    """The command, as a list; the working directory holds long.npy beside tiny.bin."""
    save_mel("long.npy", MEL, CFG.mel)
    if request.param == "wv_run":
        return [str(c_build / "wv_run")]
    return [sys.executable, "-c", "from wv_runtime.commands.run import main; main()", "--backend", "c"]


@pytest.fixture
def pcm(folder):
    """The samples that all ways give."""
    stream, parts = NativeStream(NativeModel(Path("tiny.bin").read_bytes()), max_frames=N_FRAMES), []
    assert stream.push(MEL) == N_FRAMES
    stream.finish()
    while len(part := stream.pull(1000)):
        parts.append(part)
    return np.concatenate(parts).astype("<i2").tobytes()


def run(argv, *args, data=b""):
    return subprocess.run([*argv, *args], input=data, capture_output=True, timeout=60)


def shell(argv, text):
    line = " ".join(f"'{a}'" for a in argv)
    return subprocess.run(["bash", "-c", text.replace("RUN", line)], capture_output=True, timeout=60)


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1"])
def test_audio_to_standard_output(argv, pcm, name):
    done = run(argv, "tiny.bin", "long.npy", "-o", name)
    assert done.returncode == 0 and done.stdout[44:] == pcm and done.stdout[:4] == b"RIFF"
    assert int.from_bytes(done.stdout[40:44], "little") == len(pcm)
    assert done.stderr.startswith(b"audio ") and b"sha256 of PCM" in done.stderr  # nothing of it in the pipe
    raw = run(argv, "tiny.bin", "long.npy", "-o", name, "--format", "s16le", "--json")
    assert raw.stdout == pcm and json.loads(raw.stderr)["sha256"] == hashlib.sha256(pcm).hexdigest()
    with open("redirected.wav", "wb") as f:
        subprocess.run([*argv, "tiny.bin", "long.npy", "-o", name], stdout=f, stderr=subprocess.DEVNULL, check=True)
    assert Path("redirected.wav").read_bytes() == done.stdout


@pytest.mark.parametrize(
    "text",
    [
        "cat tiny.bin | RUN - long.npy -o - --format s16le",
        "cat long.npy | RUN tiny.bin - -o - --format s16le",
        "RUN <(cat tiny.bin) <(cat long.npy) -o - --format s16le",
        "RUN tiny.bin long.npy -o >(cat >out.raw) --format s16le >/dev/null; sleep 0.3; cat out.raw",
        "RUN tiny.bin long.npy -o - --format s16le | cat",
        "mkfifo f; cat long.npy >f & RUN tiny.bin f -o - --format s16le",
        "RUN tiny.bin - -o - --format s16le <raw",
    ],
)
def test_every_end_may_be_a_pipe(argv, pcm, text):
    Path("raw").write_bytes(RAW)
    done = shell(argv, text)
    assert done.stdout == pcm, done.stderr


@pytest.mark.parametrize("name, format", [("a.raw", "s16le"), ("a.pcm", "s16le"), ("a.wav", "wav"), ("a.WAV", "wav")])
def test_the_suffix_says_the_format(argv, pcm, name, format):
    assert run(argv, "tiny.bin", "long.npy", "-o", name).returncode == 0
    assert Path(name).read_bytes()[0 if format == "s16le" else 44 :] == pcm
    assert run(argv, "tiny.bin", "long.npy", "-o", "b.xyz", "--format", format).returncode == 0
    assert Path("b.xyz").read_bytes() == Path(name).read_bytes()


def test_flac_is_pythons_alone(argv, pcm):
    done = run(argv, "tiny.bin", "long.npy", "-o", "a.flac", "--format", "flac")
    if argv[0].endswith("wv_run"):
        assert done.returncode == 2 and b"found flac, wanted wav or s16le: this is the C program" in done.stderr
    else:
        samples, rate = soundfile.read("a.flac", dtype="int16")
        assert samples.astype("<i2").tobytes() == pcm and rate == 16000
        piped = run(argv, "tiny.bin", "-", "-o", "-", "--format", "flac", data=RAW)
        assert piped.stdout == Path("a.flac").read_bytes()


@pytest.mark.parametrize("cut", range(6))
def test_frames_in_samples_out_for_any_cut(argv, pcm, cut):
    """However the bytes of the frames come, the samples are those of the whole."""
    rng = np.random.default_rng(cut)
    process = subprocess.Popen(
        [*argv, "tiny.bin", "-", "-o", "-", "--format", "s16le"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    at = 0
    while at < len(RAW):
        n = int(rng.integers(1, [3, 50, 333, 999, 4000, 10**6][cut] + 1)) + (7 if cut == 0 else 0)
        process.stdin.write(RAW[at : at + n])
        process.stdin.flush()
        at += n
        time.sleep(0.001)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and out == pcm, err


def test_audio_comes_after_the_first_frames(argv, pcm):
    """While standard input stays open: the frames that cond_width needs are there, so are samples."""
    process = subprocess.Popen(
        [*argv, "tiny.bin", "-", "-o", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdin.write(RAW[: 3 * FRAME])
    process.stdin.flush()
    start = os.read(process.stdout.fileno(), 44)
    assert start[:4] == b"RIFF" and start[40:44] == b"\xff" * 4
    got = b""
    while len(got) < 2 * 2 * CFG.mel.hop_length:  # two frames: the third waits for the one after it
        got += os.read(process.stdout.fileno(), 4096)
    assert got == pcm[: len(got)] and process.poll() is None
    out, err = process.communicate(RAW[3 * FRAME :], timeout=60)
    assert got + out == pcm and b"first audio" in err


def test_frames_to_a_file(argv, pcm):
    done = run(argv, "tiny.bin", "-", "-o", "a.wav", "--json", data=RAW)
    report = json.loads(done.stdout)
    assert Path("a.wav").read_bytes()[44:] == pcm and int.from_bytes(
        Path("a.wav").read_bytes()[40:44], "little"
    ) == len(pcm)
    assert (report["n_frames"], report["n_samples"], report["mel"]) == (N_FRAMES, len(pcm) // 2, "-")
    assert report["first_audio_s"] > 0 and report["sha256"] == hashlib.sha256(pcm).hexdigest()
    assert run(argv, "tiny.bin", "-", "-o", "a.wav", "--verify", data=RAW).returncode == 0


BAD = {
    "nothing": (b"", "0 bytes after 0 frames, wanted a .npy file, or frames of 8 float32: 32 bytes each"),
    "cut": (RAW[:100], "4 bytes after 3 frames, wanted"),
    "few_bytes": (b"mel", "3 bytes after 0 frames"),
    "text": (b"some words that are no mels at all, but longer than a frame", "wanted natural-log mels"),
    "nan": (RAW[:64] + b"\xff" * 4 + RAW[68:], "standard input: NaN or infinite at band 0, frame 2"),
    "decibels": ((MEL.T * 10 - 60).astype("<f4").tobytes(), "these look like decibels"),
    "npy_cut": (b"\x93NUMPY\1\0", "standard input: not a .npy file"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_standard_input(argv, name):
    data, words = BAD[name]
    done = run(argv, "tiny.bin", "-", "-o", "a.wav", data=data)
    assert done.returncode == 1 and done.stdout == b"" and done.stderr.count(b"\n") == 1
    assert words in done.stderr.decode() and not Path("a.wav").exists()


def test_both_programs_refuse_in_the_same_words(c_build, folder):
    python = [sys.executable, "-c", "from wv_runtime.commands.run import main; main()", "--backend", "c"]
    cases = [(["tiny.bin", "-"], data) for data, _ in BAD.values()]
    cases += [(["-", "-"], b""), (["-", "mel.npy"], b"x" * 2000), (["tiny.bin", "mel.npy", "-o", "tiny.bin"], b"")]
    cases += [(["tiny.bin", "mel.npy", "-o", "/dev/full"], b"")]
    for args, data in cases:
        ours, c = (run(command, *args, data=data) for command in (python, [c_build / "wv_run"]))
        assert ours.returncode == c.returncode != 0
        if args[0] != "-" or args[1] == "-":  # of a damaged model Python says more
            assert ours.stderr.split(b": ", 1)[1] == c.stderr.split(b": ", 1)[1]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_has_a_name(argv):
    for args, name in (
        (["-o", "-"], "standard output"), (["-o", "/dev/full"], "/dev/full"), ([], "standard output"),
    ):  # fmt: skip
        done = shell(argv, f"RUN tiny.bin long.npy {' '.join(args)} >/dev/full")
        text = done.stderr.decode()
        assert done.returncode == 1 and text.splitlines()[-1].endswith(f"error: {name}: No space left on device"), text
        assert "Traceback" not in text


def test_a_reader_that_has_enough(argv):
    done = shell(argv, "set -o pipefail; RUN tiny.bin long.npy -o - | head -c 10 | wc -c")
    assert done.stdout.strip() == b"10" and b"Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["tiny.bin", "long.npy", "link.wav", "hard.wav"])
def test_inputs_are_not_replaced(argv, name):
    os.symlink("long.npy", "link.wav")
    os.link("tiny.bin", "hard.wav")
    before = {p: Path(p).read_bytes() for p in ("tiny.bin", "long.npy")}
    done = run(argv, "tiny.bin", "long.npy", "-o", name, "--format", "wav")
    assert done.returncode == 2 and b"which is read, wanted another file" in done.stderr
    assert all(Path(p).read_bytes() == data for p, data in before.items())


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_a_link(argv, pcm, there):
    """Also one that leads nowhere yet, over another link in another folder."""
    os.mkdir("folder")
    os.symlink("folder/second.wav", "first.wav")
    os.symlink("../real.wav", "folder/second.wav")
    if there:
        Path("real.wav").write_bytes(b"old")
    assert run(argv, "tiny.bin", "long.npy", "-o", "first.wav").returncode == 0
    assert Path("first.wav").is_symlink() and Path("folder/second.wav").is_symlink()
    assert Path("real.wav").read_bytes()[44:] == pcm and not Path("real.wav").is_symlink()
    assert sorted(p.name for p in Path().iterdir() if "wav" in p.name) == ["first.wav", "real.wav"]


def test_a_name_that_is_only_a_suffix(argv):
    done = run(argv, "tiny.bin", "long.npy", "-o", ".wav")
    assert done.returncode == 2 and b"--out: found .wav, wanted a name ending in .wav" in done.stderr
