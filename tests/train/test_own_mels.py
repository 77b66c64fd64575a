"""Training on mel files beside the audio, and on mel settings of one's own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")
pytest.importorskip("librosa")

from wv_export.convert import read_checkpoint, to_model  # noqa: E402
from wv_runtime.errors import AudioError  # noqa: E402
from wv_runtime.features.mel import load_audio, log_mel  # noqa: E402
from wv_runtime.model import binary  # noqa: E402
from wv_runtime.model.config import PRESETS, WaveRNNConfig  # noqa: E402
from wv_train import cli  # noqa: E402
from wv_train.checkpoint import load_checkpoint, load_model  # noqa: E402
from wv_train.dataset import load_data  # noqa: E402
from wv_train.lanes import Lanes  # noqa: E402
from wv_train.settings import ConfigError, gather  # noqa: E402

CFG = WaveRNNConfig(n_units=64, n_out=16, n_cond=16)
HOP = CFG.mel.hop_length
SHORT = ("--n-units", 64, "--n-out", 16, "--n-cond", 16, "--batch", 2, "--window", 320, "--valid-windows", 2,
         "--valid-window", 320, "--steps", 2, "--warmup", 1, "--threads", 1, "--no-log")  # fmt: skip


@pytest.fixture
def pairs(tmp_path):
    """Four clips of 20 frames and a bit, and mels of them: exact, transposed, a frame more, a frame less."""
    folder, rng = tmp_path / "pairs", np.random.default_rng(0)
    folder.mkdir()
    for i in range(4):
        soundfile.write(folder / f"{i}.wav", 0.1 * rng.standard_normal(20 * HOP + 50), 16000)
        mel = log_mel(load_audio(folder / f"{i}.wav", 16000), CFG.mel) + np.float32(0.25)  # an acoustic model's
        mel = [mel, mel.T, np.pad(mel, ((0, 0), (0, 1)), mode="edge"), mel[:, :-1]][i]
        np.save(folder / f"{i}.npy", mel)
    (folder / "split.tsv").write_text("id\tsplit\n0\tvalid\n1\ttrain\n2\ttrain\n3\ttrain\n")
    return folder


def test_windows_hold_the_mels_of_the_files(pairs):
    said = []
    data = load_data(pairs, CFG, mels="natural", warn=said.append)
    assert data.n_frames.tolist() == [20, 20, 20, 19] and not said
    for i, n in enumerate(data.n_frames):
        wanted = log_mel(load_audio(pairs / f"{i}.wav", 16000), CFG.mel)[:, :n] + 0.25
        found = data.mel_windows(np.array([i]), np.array([0]), int(n))[0]
        np.testing.assert_allclose(found[:, 2:-2], wanted, atol=0.01)  # kept in float16
        np.testing.assert_array_equal(found[:, :2], found[:, 2:3].repeat(2, 1))  # edges as at synthesis
        np.testing.assert_array_equal(found[:, -2:], found[:, -3:-2].repeat(2, 1))
    samples, _ = Lanes(data, "train", 19).at(np.array([3]), np.array([0]))
    assert samples.shape == (1, 19 * HOP + 1)
    assert np.abs(load_data(pairs, CFG).mel[5] - data.mel[5]).min() > 0.2  # without the option they are computed


def test_a_changed_mel_file_is_read_again(pairs):
    before = np.array(load_data(pairs, CFG, mels="natural").mel)
    np.save(pairs / "1.npy", np.load(pairs / "1.npy") - 1)
    assert (before != load_data(pairs, CFG, mels="natural").mel).any()


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda f: f.unlink(), r"1.npy: No such file"),
        (lambda f: np.save(f, np.load(f)[:17]), r"1.npy: found 17 frames, wanted 20, as many as .*1.wav has"),
        (lambda f: np.save(f, np.load(f) * 10), r"1.npy: values from .*: the format is not natural"),
        (lambda f: np.save(f, np.load(f)[:, :40]), r"1.npy: shape \(20, 40\), wanted \(80, n_frames\)"),
        (lambda f: f.write_bytes(b"no array"), r"1.npy: not a .npy"),
    ],
)
def test_what_does_not_fit_is_named_and_can_be_skipped(pairs, spoil, words):
    spoil(pairs / "1.npy")
    with pytest.raises(AudioError, match=words):
        load_data(pairs, CFG, mels="natural")
    said = []
    data = load_data(pairs, CFG, mels="natural", skip_bad=True, warn=said.append)
    assert len(data.ids) == 3 and any("1.npy" in line for line in said)
    assert "train: found 3, used 2, too short 0, silent 0, not audio 0, without mels 1" in data.counts(2)


def test_mels_of_other_speech_are_remarked(pairs):
    np.save(pairs / "1.npy", np.load(pairs / "1.npy") - 2)
    said = []
    load_data(pairs, CFG, mels="natural", warn=said.append)
    assert len(said) == 1 and "1.npy: found a level -1" in said[0] and "off that of 1.wav" in said[0]


def test_the_command_keeps_the_format(pairs, tmp_path, command):
    for i in range(4):
        np.save(pairs / f"{i}.npy", np.load(pairs / f"{i}.npy") / np.log(10))
    done = command(cli.main, pairs, "-o", tmp_path / "m.pt", "--mels", "log10", *SHORT)
    assert done.code == 0, done
    assert load_checkpoint(tmp_path / "m.pt")["train"]["mels"] == "log10"
    bad = command(cli.main, pairs, "-o", tmp_path / "n.pt", "--mels", "db-power", *SHORT)
    assert bad.code == 2 and "mels: mel format: found db-power, wanted magnitudes" in bad.err


TOML = '[model]\npreset = "8k"\nn_sub = 1\n[mel]\nhop_length = 100\nfmin = 50\nfmax = 3500\nn_mels = 40\n'


def test_mel_settings_of_ones_own_reach_the_bin(tmp_path, command):
    speech = tmp_path / "speech"
    speech.mkdir()
    for i in range(4):
        soundfile.write(speech / f"{i}.wav", 0.1 * np.random.default_rng(i).standard_normal(3000), 8000)
    (tmp_path / "c.toml").write_text(TOML)
    run = (speech, "-o", tmp_path / "m.pt", "--config", tmp_path / "c.toml", *SHORT)
    done = command(cli.main, *run, "--keep", 2, "--save-minutes", 0)
    assert done.code == 0, done
    model = to_model(read_checkpoint(tmp_path / "m.pt"), "f32")
    binary.save(model, tmp_path / "m.bin")
    mel = binary.load(tmp_path / "m.bin").config.mel
    assert mel == replace(PRESETS["8k"], name="custom", hop_length=100, fmin=50, fmax=3500, n_mels=40)
    # a run that goes on takes them from the checkpoint, and refuses others
    assert command(cli.main, *run, "--resume", "--steps", 3).code == 0
    (tmp_path / "c.toml").write_text(TOML.replace("100", "80"))
    other = command(cli.main, *run, "--resume", "--steps", 4)
    assert other.code == 2 and "[mel]: hop_length: found 80, wanted 100, the checkpoint's" in other.err
    # --keep: the last two
    kept = sorted(path.name for path in tmp_path.glob("m.step*.pt"))
    assert kept == ["m.step00000001.pt", "m.step00000002.pt"]
    assert load_model(tmp_path / kept[0])[1]["step"] == 1


@pytest.mark.parametrize(
    "mel, words",
    [
        ({"hop_length": 275}, "n_sub: found 2, wanted 1..64, a divisor of hop_length"),
        ({"hop": 100}, "found unknown key 'hop'"),
        ({"fmax": 9000}, "fmax: found 9000, wanted fmin..sample_rate/2"),
        ({"n_mels": 40.5}, "n_mels: found 40.5, wanted int"),
        ({"n_mels": [1]}, r"n_mels: found \[1\], wanted int"),
    ],
)
def test_settings_that_cannot_be(tmp_path, mel, words):
    (tmp_path / "c.toml").write_text("[mel]\n" + "\n".join(f"{k} = {v}" for k, v in mel.items()))
    with pytest.raises(ConfigError, match=words):
        gather(tmp_path / "c.toml", {table: {} for table in ("model", "mel", "train", "prune")}, None, False)


def test_the_presets_values_are_the_preset():
    flags = {"model": {"preset": "24k"}, "mel": {"hop_length": 240}, "train": {}, "prune": {}}
    assert gather(None, flags, None, False).model.mel == PRESETS["24k"]
