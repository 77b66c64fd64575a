"""wv-run and wv_run: what they write, what they say, and one clear line for what they cannot use."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from model_fixtures import tiny_config, tiny_mel
from wv_runtime import __version__
from wv_runtime.commands import run as cli
from wv_runtime.engine.native import isa_names
from wv_runtime.features.mel_file import save_mel

CFG = tiny_config()
MEL = tiny_mel(CFG)
TEXT_KEYS = ["audio", "model", "backend", "compute", "real-time", "first", "JIT", "sha256"]


def npy(array, **kwargs) -> bytes:
    f = io.BytesIO()
    np.save(f, array, **kwargs)
    return f.getvalue()


def changed(value, at=(2, 3)):
    mel = MEL.copy()
    mel[at] = value
    return mel


def other_settings() -> bytes:
    data = Path("mel.npy").read_bytes()
    assert b"# mel: tiny, 16000 Hz, hop 20;" in data
    return data.replace(b"16000 Hz", b"22050 Hz")


# name -> (the file, words of the message); each is one line, exit 1
BAD_MELS = {
    "transposed": (lambda: npy(MEL.T.copy()), "shape (7, 8) is transposed, wanted (n_mels, n_frames) = (8, 7)"),
    "other_n_mels": (lambda: npy(np.zeros((80, 7), "f4")), "shape (80, 7), wanted (8, n_frames)"),
    "one_dimension": (lambda: npy(MEL[:, 0].copy()), "shape (8,), wanted (8, n_frames)"),
    "batch": (lambda: npy(MEL[None]), "shape (1, 8, 7), wanted (8, n_frames)"),
    "scalar": (lambda: npy(np.float32(1)), "shape (), wanted (8, n_frames)"),
    "no_frames": (lambda: npy(MEL[:, :0]), "0 frames, wanted at least 1"),
    "int16": (lambda: npy(MEL.astype("i2")), "dtype <i2, wanted <f4 (float32) or <f8"),
    "float16": (lambda: npy(MEL.astype("f2")), "dtype <f2, wanted <f4"),
    "big_endian": (lambda: npy(MEL.astype(">f4")), "dtype >f4, wanted <f4"),
    "complex": (lambda: npy(MEL.astype("c8")), "dtype <c8, wanted <f4"),
    "pickled": (lambda: npy(np.array([{}]), allow_pickle=True), "dtype |O, wanted <f4"),
    "records": (lambda: npy(np.zeros((8, 7), [("a", "f4")])), "dtype [('a', '<f4')], wanted <f4"),
    "nan": (lambda: npy(changed(np.nan)), "NaN or infinite at band 2, frame 3"),
    "infinite": (lambda: npy(changed(-np.inf)), "NaN or infinite at band 2, frame 3"),
    "float64_too_large": (lambda: npy(changed(1.0).astype("f8") * 1e300), "NaN or infinite at band 0, frame 0"),
    "decibels": (lambda: npy(MEL * 10 - 60), "these look like decibels"),
    "linear": (lambda: npy(np.exp(2 * MEL - 3)), "these look linear"),
    "too_loud": (lambda: npy(changed(6.5)), "to 6.5, wanted natural-log mels"),
    "other_preset": (other_settings, "made for tiny, 22050 Hz, hop 20; the model wants tiny, 16000 Hz, hop 20"),
    "truncated": (lambda: npy(MEL)[:-1], "truncated: 223 bytes of data, wanted (8, 7) of <f4"),
    "huge_shape": (lambda: npy(MEL).replace(b"(8, 7), }     ", b"(8, 799999), }"), "truncated"),
    "too_long_for_wav": (
        lambda: npy(MEL).replace(b"(8, 7), }           ", b"(8, 999999999999), }"),
        "999999999999 frames, wanted at most the 107374181 that fit a WAV file",
    ),
    "cut_in_header": (lambda: npy(MEL)[:40], "not a .npy file"),
    "no_dictionary": (lambda: b"\x93NUMPY\1\0\x10\0" + b"nothing useful \n", "not a .npy file"),
    "future_version": (lambda: b"\x93NUMPY\x09\0" + npy(MEL)[8:], "not a .npy file"),
    "text": (lambda: b"mel mel mel mel mel", "not a .npy file, wanted a mel array"),
    "empty_file": (lambda: b"", "not a .npy file"),
}

BAD_MODELS = {
    "empty": lambda good: b"",
    "garbage": lambda good: bytes(range(256)) * 8,
    "truncated": lambda good: good[: len(good) // 2],
    "one_bit_flipped": lambda good: good[:9999] + bytes([good[9999] ^ 1]) + good[10000:],
    "a_mel": lambda good: npy(MEL),
}

BAD_USAGE = {
    "nothing": [],
    "no_mel": ["tiny.bin"],
    "three_files": ["tiny.bin", "mel.npy", "more"],
    "unknown_option": ["tiny.bin", "mel.npy", "--loud"],
    "seed_negative": ["tiny.bin", "mel.npy", "--seed", "-1"],
    "seed_too_large": ["tiny.bin", "mel.npy", "--seed", str(2**64)],
    "seed_word": ["tiny.bin", "mel.npy", "--seed", "x"],
    "seed_missing": ["tiny.bin", "mel.npy", "--seed"],
    "temperature_0": ["tiny.bin", "mel.npy", "--temperature", "0"],
    "temperature_negative": ["tiny.bin", "mel.npy", "--temperature=-0.5"],
    "temperature_nan": ["tiny.bin", "mel.npy", "--temperature", "nan"],
    "temperature_infinite": ["tiny.bin", "mel.npy", "--temperature", "inf"],
    "temperature_0_in_float32": ["tiny.bin", "mel.npy", "--temperature", "1e-60"],
    "temperature_word": ["tiny.bin", "mel.npy", "--temperature", "warm"],
    "isa_unknown": ["tiny.bin", "mel.npy", "--backend", "c", "--isa", "z80"],
    "backend_unknown": ["tiny.bin", "mel.npy", "--backend", "gpu"],
    "chunk_0": ["tiny.bin", "mel.npy", "--chunk-frames", "0"],
    "rtf_limit_0": ["tiny.bin", "mel.npy", "--rtf-limit", "0"],
    "not_wav": ["tiny.bin", "mel.npy", "-o", "out.mp3"],
    "over_the_mel": ["tiny.bin", "mel.npy", "-o", "mel.npy"],
}


def refused(program, args, code, words=""):
    """One line on stderr, nothing on stdout, that exit code, and not a file more or less than before."""
    before = {p: p.stat().st_mtime_ns for p in Path().iterdir()}
    result = program(*args)
    assert result.code == code, result
    assert result.out == ""
    assert result.err.startswith(f"{program.name}: error: ") and result.err.count("\n") == 1, result.err
    assert words in result.err
    assert {p: p.stat().st_mtime_ns for p in Path().iterdir()} == before
    return result.err


def test_an_unknown_isa_of_the_environment(c_build, folder):
    """Numba, the binding and the C program refuse it in the same words."""
    python = [sys.executable, "-c", "from wv_runtime.commands.run import main; main()"]
    for command in (python, [*python, "--backend", "c"], [c_build / "wv_run"]):
        done = subprocess.run([*command, "tiny.bin", "mel.npy"], capture_output=True, text=True,
                              env={**os.environ, "WV_ISA": "nonsense"})  # fmt: skip
        wanted = f"error: isa: found nonsense, wanted one of {', '.join(isa_names())}\n"
        assert done.returncode == 2 and done.stderr.split(": ", 1)[1] == wanted, done
    assert not Path("out.wav").exists()


@pytest.mark.parametrize("name", BAD_MELS)
def test_bad_mel(program, folder, name):
    make, words = BAD_MELS[name]
    Path("bad.npy").write_bytes(make())
    Path("out.wav").write_bytes(b"an older file")
    err = refused(program, ["tiny.bin", "bad.npy"], 1, words)
    assert "bad.npy: " in err


def test_both_programs_say_the_same(command, wv_run, folder):
    for make, _ in BAD_MELS.values():
        Path("bad.npy").write_bytes(make())
        ours, c = command(cli.main, "tiny.bin", "bad.npy").err, wv_run("tiny.bin", "bad.npy").err
        assert ours.removeprefix("wv-run") == c.removeprefix("wv_run")


@pytest.mark.parametrize("name", BAD_MODELS)
def test_bad_model(program, folder, name):
    Path("bad.bin").write_bytes(BAD_MODELS[name](Path("tiny.bin").read_bytes()))
    refused(program, ["bad.bin", "mel.npy"], 1, "bad.bin: ")


@pytest.mark.parametrize(
    "args, words",
    [
        (["none.bin", "mel.npy"], "none.bin: No such file or directory"),
        (["tiny.bin", "none.npy"], "none.npy: No such file or directory"),
        ([".", "mel.npy"], ".: Is a directory"),
        (["tiny.bin", "."], ".: Is a directory"),
        (["tiny.bin", "mel.npy", "-o", "none/out.wav"], "none: No such file or directory"),
        (["tiny.bin", "mel.npy", "-o", "."], ".: Is a directory"),
    ],
)
def test_bad_path(program, folder, args, words):
    refused(program, args, 1, words)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_that_cannot_be_written(program, folder):
    Path("locked").mkdir(mode=0o500)
    refused(program, ["tiny.bin", "mel.npy", "-o", "locked/out.wav"], 1, "locked: Permission denied")


@pytest.mark.parametrize("name", BAD_USAGE)
def test_bad_usage(program, folder, name):
    refused(program, BAD_USAGE[name], 2)


def test_numba_has_no_isa_to_choose(command, folder):
    result = command(cli.main, "tiny.bin", "mel.npy", "--isa", "portable", "--backend", "numba")
    assert result.code == 2 and "isa" in result.err


def test_wav_and_report(program, folder):
    result = program("tiny.bin", "mel.npy", "-o", "a.wav", "--json")
    report = json.loads(result.out)
    assert list(report) == list(cli.Report.__dataclass_fields__)
    wav = Path("a.wav").read_bytes()
    assert report["sha256"] == hashlib.sha256(wav[44:]).hexdigest()
    assert (report["out"], report["dtype"], report["n_frames"], report["n_samples"]) == ("a.wav", "f32", 7, 140)
    assert report["audio_s"] == pytest.approx(140 / 16000)
    assert report["real_time_factor"] == pytest.approx(report["compute_s"] / report["audio_s"], rel=0.01)
    assert report["samples_per_s"] == pytest.approx(140 / report["compute_s"], rel=0.01)
    assert report["first_audio_s"] > 0
    pcm, rate = soundfile.read("a.wav", dtype="int16")
    assert rate == 16000 and pcm.shape == (140,) and pcm.std() > 0
    again = io.BytesIO()
    soundfile.write(again, pcm, rate, format="WAV", subtype="PCM_16")
    assert again.getvalue() == wav
    text = program("tiny.bin", "mel.npy").out.splitlines()
    assert [line.split()[0] for line in text] == TEXT_KEYS
    assert Path("out.wav").read_bytes() == wav


def test_names_with_quotes_stay_json(program, folder):
    Path('a "b"\\.npy').write_bytes(Path("mel.npy").read_bytes())
    assert json.loads(program("tiny.bin", 'a "b"\\.npy', "--json").out)["mel"] == 'a "b"\\.npy'


@pytest.mark.parametrize("n_frames", range(1, 9))  # 40 bytes each: every padding of SHA-256
def test_hash_of_every_length(program, folder, n_frames):
    save_mel("mel.npy", MEL[:, :1].repeat(n_frames, axis=1), CFG.mel)
    report = json.loads(program("tiny.bin", "mel.npy", "--json").out)
    assert report["sha256"] == hashlib.sha256(Path("out.wav").read_bytes()[44:]).hexdigest()


@pytest.mark.parametrize(
    "make",
    [
        lambda f: np.save(f, np.asfortranarray(MEL)),
        lambda f: np.save(f, MEL.astype("f8")),
        lambda f: np.save(f, np.asfortranarray(MEL.astype("f8"))),
        lambda f: np.lib.format.write_array(f, MEL, version=(2, 0)),
        lambda f: np.lib.format.write_array(f, MEL, version=(3, 0)),
        lambda f: f.write(npy(MEL) + b"more"),
    ],
    ids=["fortran", "float64", "fortran_float64", "version_2", "version_3", "bytes_behind"],
)
def test_every_way_to_store_the_same_mel(program, folder, make):
    want = json.loads(program("tiny.bin", "mel.npy", "--json").out)["sha256"]
    with open("other.npy", "wb") as f:
        make(f)
    result = program("tiny.bin", "other.npy", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["sha256"] == want


def test_too_slow(program, folder):
    result = program("tiny.bin", "mel.npy", "--rtf-limit", "1e-9")
    assert result.code == 1 and "this machine is too slow" in result.err
    assert len(Path("out.wav").read_bytes()) == 44 + 280  # the audio is there all the same
    assert program("tiny.bin", "mel.npy", "--rtf-limit", "1e9").code == 0


def test_verify(program, folder):
    result = program("tiny.bin", "mel.npy", "--verify", "--json")
    assert result.code == 0 and json.loads(result.out)["verified"] is True
    assert "verified" in program("tiny.bin", "mel.npy", "--verify").out


@pytest.mark.parametrize("backend, other", [("numba", "c"), ("c", "numba")])
def test_verify_finds_one_wrong_sample(command, folder, monkeypatch, backend, other):
    class Wrong(cli.Voice):
        def __call__(self, *args, **kwargs):
            pcm = super().__call__(*args, **kwargs)
            pcm[5] += self.backend == other
            return pcm

    monkeypatch.setattr(cli, "Voice", Wrong)
    result = command(cli.main, "tiny.bin", "mel.npy", "--verify", "--backend", backend)
    assert result.code == 1 and "verify: sample 5 is " in result.err and "1 of 140 differ" in result.err
    assert not Path("out.wav").exists()


def test_progress_bar_changes_nothing(command, folder, monkeypatch):
    command(cli.main, "tiny.bin", "mel.npy", "-o", "plain.wav")
    monkeypatch.setattr(cli, "PROGRESS_FROM_S", 0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    result = command(cli.main, "tiny.bin", "mel.npy", "-o", "bar.wav")
    assert "140/140" in result.err
    assert Path("bar.wav").read_bytes() == Path("plain.wav").read_bytes()


def test_devices_are_written_in_place(program, folder):
    assert program("tiny.bin", "mel.npy", "-o", "/dev/null").code == 0
    assert Path("/dev/null").is_char_device()


def test_c_program_reads_both_spellings_of_an_option(wv_run, folder):
    want = json.loads(wv_run("tiny.bin", "mel.npy", "--seed", 3, "--json").out)["sha256"]
    result = wv_run("--json", "--seed=3", "--backend=c", "--out=x.wav", "--", "tiny.bin", "mel.npy")
    assert json.loads(result.out)["sha256"] == want and Path("x.wav").exists()
    assert wv_run("--help").out.startswith("usage: wv_run MODEL MEL")
    assert wv_run("--version").out == f"wv_run, version {__version__}\n"


def test_same_options_in_both_programs(wv_run):
    usage = wv_run("--help").out
    for option in cli.main.params:
        if option.opts[0].startswith("-"):
            assert option.opts[0] in usage, option.opts
