"""wv_mel, the C program, against wv-mel: the same files and words, mels within 1e-4, WAV files of every kind."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import DATA, Result
from model_fixtures import tiny_config, tiny_model
from wv_runtime import __version__
from wv_runtime.commands.mel import main
from wv_runtime.features.mel_file import load_mel
from wv_runtime.model import binary as bin_format
from wv_runtime.model.config import PRESETS

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("librosa")
CLIP = DATA / "clips/arctic_a0281.flac"
KINDS = ["PCM_16", "PCM_24", "PCM_32", "PCM_U8", "FLOAT"]


@pytest.fixture
def wv_mel(c_build):
    def run(*args, **options):
        done = subprocess.run(
            [c_build / "wv_mel", *map(str, args)], capture_output=True, text=True, timeout=60, **options
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def model(folder):
    """voice.bin at 16 kHz, and its mel settings"""
    bin_format.save(tiny_model(cfg=tiny_config(mel=PRESETS["16k"], n_sub=1)), "voice.bin")
    return PRESETS["16k"]


def speech():
    audio, rate = soundfile.read(CLIP, dtype="float32")
    assert rate == 16000
    return audio[:20000]


@pytest.mark.parametrize("subtype", KINDS)
@pytest.mark.parametrize("format", ["WAV", "WAVEX"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_files_of_wv_mel(wv_mel, command, model, subtype, format, channels):
    parts = np.stack([speech() * gain for gain in (0.5, 0.8, 0.2)[:channels]], axis=1)
    soundfile.write("clip.wav", parts, 16000, subtype=subtype, format=format)
    ours = wv_mel("clip.wav", "ours.npy", "--model", "voice.bin")
    theirs = command(main, "clip.wav", "theirs.npy", "--model", "voice.bin")
    assert (ours.code, ours.err) == (0, "") and theirs.code == 0, theirs.err
    assert ours.out == theirs.out.replace("theirs", "ours")
    a, b = Path("ours.npy").read_bytes(), Path("theirs.npy").read_bytes()
    assert len(a) == len(b) and a[:128] == b[:128] and b"# mel: 16k, 16000 Hz, hop 160;" in a[:128]
    np.testing.assert_allclose(load_mel("ours.npy", model), load_mel("theirs.npy", model), atol=1e-4)


def test_a_stream_without_sizes(wv_mel, model):
    """As programs write WAV into a pipe: sizes that say nothing, another chunk first."""
    pcm = (speech() * 32767).astype("<i2").tobytes()
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16)
    head = b"RIFF\xff\xff\xff\xffWAVE" + struct.pack("<4sI3sx", b"LIST", 3, b"abc") + fmt
    Path("stream.wav").write_bytes(head + b"data\xff\xff\xff\xff" + pcm)
    Path("file.wav").write_bytes(head + struct.pack("<4sI", b"data", len(pcm)) + pcm + b"LIST\0\0\0\0")
    with open("stream.wav", "rb") as stream:
        assert wv_mel("-", "a.npy", "--model", "voice.bin", stdin=stream).code == 0
    assert wv_mel("file.wav", "b.npy", "--model=voice.bin").code == 0
    assert Path("a.npy").read_bytes() == Path("b.npy").read_bytes()


def unlikely_files():
    """{name: exit code}"""
    x = speech()
    soundfile.write("silent.wav", 0 * x, 16000)
    soundfile.write("loud.wav", x / np.abs(x).max() * 3, 16000, subtype="FLOAT")
    soundfile.write("integers.wav", np.round(x * 32767), 16000, subtype="FLOAT")
    soundfile.write("cancel.wav", np.stack([x, -x], axis=1), 16000)
    soundfile.write("mono.wav", np.stack([x, 0 * x], axis=1), 16000)
    soundfile.write("whole.wav", x, 16000)
    whole = Path("whole.wav").read_bytes()
    Path("end.wav").write_bytes(whole[:-100])
    Path("pad.wav").write_bytes(whole[:-1])
    return {"silent": 0, "loud": 0, "integers": 1, "cancel": 1, "mono": 0, "whole": 0, "end": 0, "pad": 0}


def test_the_same_words_on_what_is_unlikely(wv_mel, command, model):
    for name, code in unlikely_files().items():
        ours = wv_mel(f"{name}.wav", "ours.npy", "--model", "voice.bin")
        theirs = command(main, f"{name}.wav", "theirs.npy", "--model", "voice.bin")
        assert ours.code == theirs.code == code, (ours, theirs)
        assert ours.err.replace("wv_mel", "wv-mel") == theirs.err
        assert (ours.err == "") == (name in ("mono", "whole", "pad"))


def bad_files():
    soundfile.write("short.wav", np.zeros(159, np.float32), 16000)
    soundfile.write("empty.wav", np.zeros(0, np.float32), 16000)
    soundfile.write("8k.wav", np.zeros(8000, np.float32), 8000)
    soundfile.write("nan.wav", np.full(500, np.nan, np.float32), 16000, subtype="FLOAT")
    soundfile.write("ulaw.wav", np.zeros(500, np.float32), 16000, subtype="ULAW")
    soundfile.write("good.wav", speech()[8000:8500], 16000)
    good = Path("good.wav").read_bytes()
    Path("cut.wav").write_bytes(good[:30])
    Path("no_data.wav").write_bytes(good[:36])
    Path("no_channels.wav").write_bytes(good[:22] + b"\0\0" + good[24:])
    Path("text.wav").write_text("hello")
    bin_format.save(tiny_model(), "odd.bin")


BAD = {
    "short": (["short.wav", "o.npy", "--model", "voice.bin"], 1, "found 159 samples, wanted at least one frame (160)"),
    "empty": (["empty.wav", "o.npy", "--model", "voice.bin"], 1, "empty.wav: found 0 samples"),
    "rate": (["8k.wav", "o.npy", "--model", "voice.bin"], 1, "8k.wav: 8000 Hz, wanted the model's 16000 Hz"),
    "nan": (["nan.wav", "o.npy", "--model", "voice.bin"], 1, "nan.wav: found NaN or infinite samples"),
    "ulaw": (["ulaw.wav", "o.npy", "--model", "voice.bin"], 1, "ulaw.wav: WAV format 7 of 8 bits, wanted PCM"),
    "cut": (["cut.wav", "o.npy", "--model", "voice.bin"], 1, "cut.wav: a WAV file without samples"),
    "no_data": (["no_data.wav", "o.npy", "--model", "voice.bin"], 1, "no_data.wav: a WAV file without samples"),
    "no_channels": (["no_channels.wav", "o.npy", "--model", "voice.bin"], 1, "0 channels"),
    "text": (["text.wav", "o.npy", "--model", "voice.bin"], 1, "text.wav: not a WAV file"),
    "missing": (["none.wav", "o.npy", "--model", "voice.bin"], 1, "none.wav: No such file"),
    "folder": ([".", "o.npy", "--model", "voice.bin"], 1, "Is a directory"),
    "no_model": (["good.wav", "o.npy", "--model", "text.wav"], 1, "text.wav: "),
    "nowhere": (["good.wav", "none/o.npy", "--model", "voice.bin"], 1, "none/o.npy: No such file"),
    "not_npy": (["good.wav", "o.wav", "--model", "voice.bin"], 2, "MEL: found o.wav, wanted a name ending in .npy"),
    "one": (["good.wav", "--model", "voice.bin"], 2, "wanted AUDIO, MEL and --model"),
    "three": (["good.wav", "o.npy", "p.npy", "--model", "voice.bin"], 2, "third argument p.npy"),
    "option": (["good.wav", "o.npy", "--preset", "16k"], 2, "no such option: --preset"),
    "no_value": (["good.wav", "o.npy", "--model"], 2, "--model: wanted a value"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_no_file(wv_mel, model, name):
    args, code, words = BAD[name]
    bad_files()
    before = set(Path().iterdir())
    result = wv_mel(*args)
    assert (result.code, result.out) == (code, "") and words in result.err, result
    assert result.err.startswith("wv_mel: error: ") and result.err.count("\n") == 1
    assert set(Path().iterdir()) == before


def test_what_comes_out_of_damaged_files_is_mels_or_one_line(wv_mel, model):
    """Every byte of the header at random: never a crash."""
    bad_files()
    good, rng = np.frombuffer(Path("good.wav").read_bytes(), np.uint8), np.random.default_rng(0)
    for _ in range(150):
        damaged = good[: rng.integers(12, len(good))].copy()
        at = rng.integers(12, min(60, len(damaged)), 3) if len(damaged) > 12 else []
        damaged[at] = rng.integers(0, 256, len(at))
        damaged.tofile("damaged.wav")
        result = wv_mel("damaged.wav", "o.npy", "--model", "voice.bin")
        assert result.code in (0, 1), result
        n_errors, n_warnings = (result.err.count(f"wv_mel: {kind}: ") for kind in ("error", "warning"))
        assert n_errors == result.code and n_warnings <= 1 and result.err.count("\n") == n_errors + n_warnings, result


def test_help(wv_mel):
    result = wv_mel("--help")
    assert result.code == 0 and result.out.startswith("usage: wv_mel AUDIO MEL --model MODEL")
    assert wv_mel("--version").out == f"wv_mel, version {__version__}\n"
