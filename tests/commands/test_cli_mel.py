"""wv-mel: real speech to mels that wv-run takes, and one clear line for what it cannot use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from checkpoints import checkpoint
from conftest import DATA
from model_fixtures import tiny_config, tiny_model
from wv_runtime.commands.mel import main, mel_config_of
from wv_runtime.features.mel import load_audio, log_mel
from wv_runtime.features.mel_file import load_mel, settings
from wv_runtime.model import binary as bin_format
from wv_runtime.model.config import PRESETS, WaveRNNConfig

pytest.importorskip("librosa")
CLIP = DATA / "clips/arctic_b0182.flac"


@pytest.mark.parametrize("preset", PRESETS)
def test_presets(command, folder, preset):
    if preset != "16k":
        pytest.importorskip("soxr")
    cfg = PRESETS[preset]
    result = command(main, CLIP, "out.npy", "--preset", preset)
    assert result.code == 0, result.err
    mel = np.load("out.npy")
    assert mel.dtype == np.float32 and mel.shape[0] == cfg.n_mels
    assert f"{mel.shape[1]} frames" in result.out and settings(cfg) in result.out
    np.testing.assert_array_equal(mel, log_mel(load_audio(CLIP, cfg.sample_rate), cfg))
    np.testing.assert_array_equal(load_mel("out.npy", cfg), mel)  # real speech passes wv-run's checks


def test_settings_of_a_bin(command, folder):
    assert command(main, CLIP, "out.npy", "--model", "tiny.bin").code == 0
    assert load_mel("out.npy", tiny_config().mel).shape == (8, 40305 // 20)


def test_settings_of_a_checkpoint_without_torch(folder, monkeypatch):
    torch = pytest.importorskip("torch")
    torch.save(checkpoint(WaveRNNConfig(n_units=64, mel=PRESETS["24k"])), "model.pt")
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    assert mel_config_of("model.pt") == PRESETS["24k"]


def bad_files() -> None:
    Path("text.wav").write_text("no audio")
    Path("empty.wav").touch()
    soundfile.write("short.wav", np.zeros(10), 16000)
    soundfile.write("nan.wav", np.full(4000, np.nan), 16000, subtype="FLOAT")
    Path("bad.bin").write_bytes(b"x" * 1000)
    Path("bad.pt").write_bytes(b"x" * 1000)


BAD = {
    "missing": (["none.wav", "out.npy", "--preset", "16k"], 1, "none.wav: no such file"),
    "not_audio": (["text.wav", "out.npy", "--preset", "16k"], 1, "text.wav: "),
    "empty": (["empty.wav", "out.npy", "--preset", "16k"], 1, "empty.wav: "),
    "too_short": (["short.wav", "out.npy", "--preset", "16k"], 1, "10 samples"),
    "nan": (["nan.wav", "out.npy", "--preset", "16k"], 1, "nan.wav: found NaN"),
    "directory": ([".", "out.npy", "--preset", "16k"], 1, ""),
    "bad_bin": ([CLIP, "out.npy", "--model", "bad.bin"], 1, "bad.bin: "),
    "bad_pt": ([CLIP, "out.npy", "--model", "bad.pt"], 1, "bad.pt: damaged or not a checkpoint"),
    "no_such_model": ([CLIP, "out.npy", "--model", "none.bin"], 1, "none.bin: No such file"),
    "no_such_checkpoint": ([CLIP, "out.npy", "--model", "none.pt"], 1, "none.pt: No such file"),
    "no_folder": ([CLIP, "none/out.npy", "--preset", "16k"], 1, "none"),
    "out_is_directory": ([CLIP, "d.npy", "--preset", "16k"], 1, "d.npy"),
    "no_settings": ([CLIP, "out.npy"], 2, "--preset or --model"),
    "both_settings": ([CLIP, "out.npy", "--preset", "16k", "--model", "tiny.bin"], 2, "--preset or --model"),
    "unknown_preset": ([CLIP, "out.npy", "--preset", "11k"], 2, "11k"),
    "not_npy": ([CLIP, "out.wav", "--preset", "16k"], 2, "ending in .npy"),
    "no_arguments": ([], 2, ""),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(command, folder, name):
    args, code, words = BAD[name]
    bad_files()
    Path("d.npy").mkdir()
    before = set(Path().iterdir())
    result = command(main, *args)
    assert result.code == code and words in result.err, result
    assert result.err.startswith("wv-mel: error: ") and result.err.count("\n") == 1
    assert set(Path().iterdir()) == before


def test_model_for_another_rate_refuses_the_mels(command, folder):
    from wv_runtime.commands import run as cli

    bin_format.save(tiny_model(cfg=tiny_config(mel=PRESETS["22k"])), "22k.bin")
    command(main, CLIP, "out.npy", "--preset", "16k")
    result = command(cli.main, "22k.bin", "out.npy")
    assert result.code == 1 and "made for 16k, 16000 Hz, hop 160; the model wants 22k" in result.err


def test_what_is_read_is_not_written_over(command, tmp_path, monkeypatch):
    """Neither by its own name nor through a link."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.npy", "voice.bin"):
        (tmp_path / name).write_bytes(b"kept")
    (tmp_path / "link.npy").symlink_to("voice.bin")
    for args in (
        ["a.npy", "a.npy", "--preset", "16k", "--convert", "log10"],
        ["a.npy", "link.npy", "--model", "voice.bin"],
    ):
        done = command(main, *args)
        assert done.code == 2 and "which is read, wanted another file" in done.err and done.err.count("\n") == 1
    assert {(tmp_path / name).read_bytes() for name in ("a.npy", "voice.bin")} == {b"kept"}
