"""Folders as users have them: short clips, bad files, silent ones; what was left out is counted and named."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch")
pytest.importorskip("librosa")

from wv_runtime.errors import AudioError  # noqa: E402
from wv_runtime.model.config import WaveRNNConfig  # noqa: E402
from wv_train import cli  # noqa: E402
from wv_train.checkpoint import load_checkpoint  # noqa: E402
from wv_train.dataset import load_data, valid_frames  # noqa: E402

CFG = WaveRNNConfig(n_units=64, n_out=16, n_cond=16)
TINY = ("--n-units", 64, "--n-out", 16, "--n-cond", 16, "--batch", 2, "--window", 960, "--threads", 1, "--no-log",
        "--steps", 1)  # fmt: skip


def noise(path, seconds, seed=0):
    soundfile.write(path, 0.1 * np.random.default_rng(seed).standard_normal(int(16000 * seconds)), 16000)


@pytest.fixture
def speech(tmp_path):
    """Six clips of half a second: 4 to train on, 2 to validate."""
    folder = tmp_path / "speech"
    folder.mkdir()
    for i in range(6):
        noise(folder / f"{i}.wav", 0.5, i)
    rows = [f"{i}\t{'valid' if i < 2 else 'train'}" for i in range(6)]
    (folder / "split.tsv").write_text("id\tsplit\n" + "\n".join(rows) + "\n")
    return folder


@pytest.mark.slow
def test_short_clips_train(speech, tmp_path, command):
    result = command(cli.main, speech, "-o", tmp_path / "m.pt", *TINY)
    assert result.code == 0, result.err
    assert ("wv-train: train: found 4, used 4, too short 0, silent 0, not audio 0; "
            "valid: found 2, used 2, too short 0, silent 0, not audio 0\n") in result.err  # fmt: skip
    assert load_checkpoint(tmp_path / "m.pt")["step"] == 1


def test_two_short_clips_to_validate(tmp_path):
    for i in range(20):
        noise(tmp_path / f"{i:02}.wav", 0.2 if i < 2 else 2.5, i)
    rows = [f"{i:02}\t{'valid' if i < 2 else 'train'}" for i in range(20)]
    (tmp_path / "split.tsv").write_text("id\tsplit\n" + "\n".join(rows) + "\n")
    assert valid_frames(load_data(tmp_path, CFG), 200) == 20
    noise(tmp_path / "20.wav", 2.5)  # most are long enough: the short one is left out
    noise(tmp_path / "21.wav", 2.5)
    (tmp_path / "split.tsv").write_text("id\tsplit\n" + "\n".join([*rows[1:], "20\tvalid", "21\tvalid"]) + "\n")
    data = load_data(tmp_path, CFG)
    assert valid_frames(data, 200) == 200
    assert "valid: found 3, used 2, too short 1, silent 0, not audio 0" in data.counts(200)


def test_every_bad_file_is_named_at_once_and_can_be_skipped(speech, tmp_path, command):
    (speech / "2.wav").write_text("not audio")
    soundfile.write(speech / "3.wav", 20000 * np.ones(8000), 16000, subtype="FLOAT")
    noise(speech / "4.wav", 0.001)
    (speech / "0.wav").write_bytes((speech / "0.wav").read_bytes()[:20])
    args = (speech, "-o", tmp_path / "m.pt", *TINY)
    result = command(cli.main, *args)
    assert result.code == 1 and not (tmp_path / "m.pt").exists()
    lines = result.err.strip().splitlines()
    for name in ("0.wav", "2.wav", "3.wav"):
        assert sum(f"speech/{name}: " in line for line in lines[:-1]) == 1
    assert "4.wav" not in result.err
    assert lines[-1].endswith("3 of 6 files cannot be used, all named above; --skip-bad goes on without")
    result = command(cli.main, *args, "--skip-bad")
    assert result.code == 0, result.err
    assert "train: found 4, used 1, too short 1, silent 0, not audio 2; valid: found 2, used 1" in result.err
    assert all(f"speech/{name}: " in result.err for name in ("0.wav", "2.wav", "3.wav"))


def test_one_bad_file_is_one_line(speech):
    (speech / "2.wav").write_text("not audio")
    said = []
    with pytest.raises(AudioError, match=r"2\.wav: .*wanted audio .*; --skip-bad goes on without$"):
        load_data(speech, CFG, warn=said.append)
    assert said == []


def test_silent_clips_are_named_and_left_out(speech):
    soundfile.write(speech / "2.wav", np.zeros(8000), 16000)
    said = []
    data = load_data(speech, CFG, warn=said.append)
    assert said == [f"{speech / '2.wav'}: found silence, wanted speech"] and "2.wav" not in data.ids
    assert "train: found 4, used 3, too short 0, silent 1, not audio 0" in data.counts(6)
    again = []
    load_data(speech, CFG, warn=again.append)
    assert again == said  # also when the features are there already


def test_a_remark_on_every_file_is_told_ten_times(tmp_path):
    for i in range(14):
        soundfile.write(tmp_path / f"{i}.wav", 0.1 * np.random.default_rng(i).standard_normal(8000), 8000)
    said = []
    load_data(tmp_path, CFG, warn=said.append)
    assert len(said) == 11 and "4 more remarks" in said[-1]


@pytest.mark.parametrize("name", ["clips.json", "audio.npy", "mel.npy"])
@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "missing", "{}"])
def test_damaged_features_are_computed_again(speech, name, damage):
    whole = load_data(speech, CFG)
    wanted = np.array(whole.audio), np.array(whole.mel)
    (file,) = (speech / ".wv-cache").glob(f"*/{name}")
    data = {
        "empty": b"",
        "cut": file.read_bytes()[: file.stat().st_size // 2],
        "garbage": b"\x80\xff" * 500,
        "{}": b"{}",
    }
    file.unlink()
    if damage != "missing":
        file.write_bytes(data[damage])
    said = []
    again = load_data(speech, CFG, warn=said.append)
    np.testing.assert_array_equal(again.audio, wanted[0])
    np.testing.assert_array_equal(again.mel, wanted[1])
    assert len(said) == 1 and "found damaged features" in said[0]
    assert load_data(speech, CFG, warn=said.append).ids == whole.ids and len(said) == 1
