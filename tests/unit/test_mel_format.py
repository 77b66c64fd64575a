"""Mels of other projects, by formulas written down from those projects, become those of log_mel."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import DATA
from mel_mistakes import basis, magnitude
from model_fixtures import tiny_config, tiny_mel
from wv_runtime.commands import mel as wv_mel
from wv_runtime.commands import run as wv_run
from wv_runtime.errors import MelError
from wv_runtime.features.mel import load_audio, log_mel
from wv_runtime.features.mel_format import MelFormat
from wv_runtime.model.config import PRESETS

CFG = PRESETS["16k"]
CLIP = DATA / "clips/arctic_b0182.flac"


@cache
def linear(norm="slaney"):
    """What all of them start from: a mel basis on the magnitudes of the STFT."""
    return (basis(CFG, norm=norm) @ magnitude(load_audio(CLIP, CFG.sample_rate), CFG)).astype(np.float64)


def hifi_gan():  # meldataset.py: torch.log(torch.clamp(x, min=1e-5) * 1)
    return np.log(np.clip(linear(), 1e-5, None))


def parallel_wavegan():  # bin/preprocess.py: log10(maximum(eps, mel))
    return np.log10(np.maximum(1e-10, linear()))


def fatchord():  # utils/dsp.py: normalize(amp_to_db(mel)), min_level_db -100
    return np.clip((20 * np.log10(np.maximum(1e-5, linear())) + 100) / 100, 0, 1)


def r9y9():  # audio.py: _amp_to_db(mel) - ref_level_db 20, then _normalize with min_level_db -100
    level = 20 * np.log10(np.maximum(np.exp(-100 / 20 * np.log(10)), linear())) - 20
    return np.clip((level + 100) / 100, 0, 1)


def rayhane_mamah():  # datasets/audio.py: symmetric, max_abs_value 4
    level = 20 * np.log10(np.maximum(1e-5, linear())) - 20
    return np.clip(8 * ((level + 100) / 100) - 4, -4, 4)


def librosa_db():
    import librosa

    return librosa.amplitude_to_db(linear(), ref=1.0, amin=1e-5, top_db=None)


def without_area():
    return np.log(np.maximum(linear(None), 1e-7))


NO_LIMITS = (0, np.inf)
PROJECTS = {  # -> format, amplitudes between which the project keeps what there is
    "hifi_gan": (hifi_gan, "natural", NO_LIMITS),
    "parallel_wavegan": (parallel_wavegan, "log10", NO_LIMITS),
    "fatchord": (fatchord, "0..1", (0, 1)),
    "r9y9": (r9y9, "0..1,ref=20", (1e-4, 10)),
    "rayhane_mamah": (rayhane_mamah, "-4..4,ref=20", (1e-4, 10)),
    "base_2": (lambda: np.log2(np.clip(linear(), 1e-5, None)), "log2", NO_LIMITS),
    "librosa_db": (librosa_db, "db", NO_LIMITS),
    "without_area": (without_area, "natural,area=none", NO_LIMITS),
    "linear": (linear, "linear", NO_LIMITS),
    "log1p": (lambda: np.log1p(linear()), "log1p", NO_LIMITS),
    "minus_one_to_one": (lambda: 2 * fatchord() - 1, "-1..1", (0, 1)),
}


@pytest.mark.parametrize("name", PROJECTS)
def test_projects(name):
    make, text, (low, high) = PROJECTS[name]
    wanted = log_mel(load_audio(CLIP, CFG.sample_rate), CFG)
    found = MelFormat.parse(text).convert(make(), CFG)
    assert found.dtype == np.float32 and found.shape == wanted.shape
    kept = (linear() > low) & (linear() < high)
    assert np.abs(found - wanted)[kept].max() < 1e-4 and kept.mean() > 0.5


def test_statistics_of_a_corpus(tmp_path):
    """ParallelWaveGAN: (log10 - mean) / scale per band."""
    plain = parallel_wavegan()
    mean, scale = plain.mean(axis=1), plain.std(axis=1)
    np.save(tmp_path / "stats.npy", np.stack([mean, scale]).astype("f4"))
    np.savez(tmp_path / "stats.npz", mean=mean, scale=scale)
    normalised = (plain - mean[:, None]) / scale[:, None]
    for name in ("stats.npy", "stats.npz"):
        found = MelFormat.parse(f"log10,stats={tmp_path / name}").convert(normalised, CFG)
        assert np.abs(found - log_mel(load_audio(CLIP, CFG.sample_rate), CFG)).max() < 1e-4
    np.save(tmp_path / "bad.npy", np.zeros((3, 80)))
    with pytest.raises(MelError, match=r"bad.npy: shape \(3, 80\), wanted mean and deviations"):
        MelFormat.parse(f"log10,stats={tmp_path / 'bad.npy'}").convert(normalised, CFG)


def test_files_of_every_shape_and_dtype(tmp_path):
    mel = hifi_gan().astype("f4")
    files = {}
    for name, array in {
        "plain": mel, "transposed": mel.T, "batch": mel[None], "batch_transposed": mel.T[None], "last": mel[..., None],
        "f8": mel.astype("f8"), "big": mel.astype(">f4"), "fortran": np.asfortranarray(mel),
    }.items():  # fmt: skip
        files[name] = tmp_path / f"{name}.npy"
        np.save(files[name], array)
    files["one"], files["named"] = tmp_path / "one.npz", tmp_path / "named.npz"
    np.savez(files["one"], anything=mel)
    np.savez_compressed(files["named"], text=np.zeros(3), mel=mel.T)
    for name, path in files.items():
        np.testing.assert_array_equal(MelFormat().load(path, CFG), np.maximum(mel, np.log(np.float32(1e-5))), name)
    np.save(tmp_path / "half.npy", mel.astype("f2"))
    assert np.abs(MelFormat().load(tmp_path / "half.npy", CFG) - mel).max() < 1e-2


def test_torch_files(tmp_path):
    torch = pytest.importorskip("torch")
    mel = hifi_gan().astype("f4")
    for name, value in (
        ("tensor", torch.from_numpy(mel)), ("batch", torch.from_numpy(mel[None].copy())),
        ("view", torch.from_numpy(mel.T.copy()).T), ("dict", {"mel": torch.from_numpy(mel), "f0": torch.zeros(3)}),
        ("half", torch.from_numpy(mel).half()),
    ):  # fmt: skip
        torch.save(value, tmp_path / f"{name}.pt")
        found = MelFormat().load(tmp_path / f"{name}.pt", CFG)
        assert np.abs(found - mel).max() < (1e-2 if name == "half" else 1e-5), name
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"a": torch.zeros(2), "b": torch.zeros(2)}, tmp_path / "two.pt")
    Path(tmp_path / "text.pt").write_text("no tensor")
    for name, words in (("list", "wanted a tensor"), ("two", "wanted one, or one named mel"), ("text", "damaged")):
        with pytest.raises(MelError, match=words):
            MelFormat().load(tmp_path / f"{name}.pt", CFG)


@pytest.mark.parametrize(
    "text, words",
    [
        ("db-power", "wanted magnitudes: the mean of squares"),
        ("ln-power", "wanted magnitudes"),
        ("log7", "found 'log7', wanted one of natural, log10"),
        ("log10,ref=20", "wanted one of 0..1"),
        ("0..1,ref=x", "found ref=x, wanted a number"),
        ("0..1,range=0", "found range=0, wanted"),
        ("0..1,hop=200", "found hop=200, wanted one of ref, range, area, stats"),
        ("natural,area=htk", "found area=htk, wanted none or slaney"),
        ("", "found ''"),
    ],
)
def test_formats_that_cannot_be(text, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        MelFormat.parse(text)


@pytest.mark.parametrize(
    "text, mel, words",
    [
        ("natural", np.zeros((5, 5), "f4"), r"shape \(5, 5\), wanted \(80, n_frames\)"),
        ("natural", np.zeros((80, 5), "i4"), "dtype int32, wanted floats"),
        ("natural", np.full((80, 5), np.nan), "NaN or infinite at band 0, frame 0"),
        ("natural", np.zeros((80, 0), "f4"), "0 frames"),
        ("linear", np.zeros((80, 0), "f4"), "0 frames"),
        ("linear", np.full((80, 5), -1.0), "wanted linear mels of at least 0"),
        ("0..1", np.full((80, 5), 1.5), "values from 1.5 to 1.5, wanted 0..1"),
        ("natural", np.full((80, 5), 9.0), "wanted natural-log mels"),
    ],
)
def test_arrays_that_cannot_be(tmp_path, text, mel, words):
    np.save(tmp_path / "m.npy", mel)
    with pytest.raises(MelError, match=f"m.npy: .*{words}"):
        MelFormat.parse(text).load(tmp_path / "m.npy", CFG)


def test_the_commands(command, folder):
    """wv-mel --convert writes what wv-run --mel-format speaks, also from a folder."""
    mel = tiny_mel(tiny_config(), 20) - 4
    np.save("theirs.npy", (mel / np.log(10)).T[None].astype("f8"))
    made = command(wv_mel.main, "theirs.npy", "ours.npy", "--model", "tiny.bin", "--convert", "log10")
    assert made.code == 0 and "8 bands x 20 frames" in made.out, made
    reports = [
        json.loads(command(wv_run.main, "tiny.bin", *args, "--json").out)
        for args in (["ours.npy"], ["theirs.npy", "--mel-format", "log10"])
    ]
    assert reports[0]["sha256"] == reports[1]["sha256"]
    Path("mels").mkdir()
    np.savez("mels/a.npz", mel=mel / np.log(10))
    run = ["tiny.bin", "mels", "-o", "out", "--jobs", 1, "--mel-format", "log10"]
    assert command(wv_run.main, *run).code == 0 and Path("out/a.wav").exists()
    for args, words in (
        (["theirs.npy", "--mel-format", "power"], "wanted magnitudes"),
        (["-", "--mel-format", "log10"], "found MEL -, wanted a file"),
    ):
        result = command(wv_run.main, "tiny.bin", *args)
        assert result.code == 2 and words in result.err and result.err.count("\n") == 1
