"""dataset.py: windows against the audio itself, the cache, and split.tsv."""

from __future__ import annotations

import os
from itertools import pairwise

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch")
pytest.importorskip("librosa")

from wv_runtime.errors import AudioError  # noqa: E402
from wv_runtime.features.mel import load_audio, log_mel
from wv_runtime.features.samples import preemphasise  # noqa: E402
from wv_runtime.model.config import WaveRNNConfig  # noqa: E402
from wv_train import dataset, features, pack  # noqa: E402
from wv_train.dataset import load_data, make_split  # noqa: E402
from wv_train.lanes import Lanes  # noqa: E402

CFG = WaveRNNConfig(n_units=64, n_out=16, n_cond=16)
HOP = CFG.mel.hop_length


@pytest.fixture
def folder(tmp_path):
    """a.wav, b.flac, deep/c.wav and a stereo 22.05 kHz deep/d.wav of 10 to 30 frames, 16 kHz otherwise."""
    rng = np.random.default_rng(0)
    (tmp_path / "speech/deep").mkdir(parents=True)
    for name, rate, n_samples in [
        ("a.wav", 16000, 10 * HOP),
        ("b.flac", 16000, 20 * HOP + 33),
        ("deep/c.wav", 16000, 30 * HOP + 159),
        ("deep/d.wav", 22050, 6000),
    ]:
        audio = 0.1 * rng.standard_normal((n_samples, 2 if name == "deep/d.wav" else 1))
        soundfile.write(tmp_path / "speech" / name, audio, rate)
    return tmp_path / "speech"


def write_split(folder, text="id\tsplit\na\tvalid\nb\ttrain\nc\ttrain\nd\ttest\n"):
    (folder / "split.tsv").write_text(text)


def test_preemphasis_is_undone_by_the_runtimes_filter():
    audio = (0.2 * np.random.default_rng(3).standard_normal(2000)).astype(np.float32)
    y = preemphasise(audio, 0.85)
    assert y.dtype == np.int16 and y[0] == round(32768 * float(audio[0]))
    x = np.zeros(2001)
    for t, s in enumerate(y):
        x[t + 1] = s + 0.85 * x[t]
    assert np.abs(x[1:] - 32768 * audio).max() < 0.5 / (1 - 0.85) + 1e-6
    loud = np.array([-1, 1], np.float32)
    assert preemphasise(loud, 0.85).tolist() == [-32768, 32767] and loud.tolist() == [-1, 1]


def test_windows_are_slices_of_the_clips(folder):
    write_split(folder)
    lanes = Lanes(load_data(folder, CFG), "train", 6)
    for clip, (name, n_frames) in zip(lanes.clips, (("b.flac", 20), ("deep/c.wav", 30)), strict=True):
        frame = np.arange(n_frames - 5)
        samples, mel = lanes.at(np.full_like(frame, clip), frame)
        assert samples.shape == (n_frames - 5, 6 * HOP + 1) and samples.dtype == np.int16
        assert mel.shape == (n_frames - 5, 80, 10) and mel.dtype == np.float32 and mel.flags.c_contiguous
        audio = load_audio(folder / name, 16000)
        x = np.concatenate([[0], preemphasise(audio, 0.85)])  # the sample before the first is 0
        m = np.pad(log_mel(audio, CFG.mel), ((0, 0), (2, 2)), mode="edge").astype(np.float16)
        for k in frame:
            np.testing.assert_array_equal(samples[k], x[k * HOP : (k + 6) * HOP + 1])
            np.testing.assert_array_equal(mel[k], m[:, k : k + 10])


def test_a_lane_walks_through_clip_after_clip(folder):
    """3 + 5 windows of 6 frames over 2 lanes: an epoch of 4 steps that shows each window once, in order."""
    write_split(folder)
    lanes = Lanes(load_data(folder, CFG), "train", 6)
    steps = [lanes.draw(0, step, 2) for step in range(8)]
    for epoch in (steps[:4], steps[4:]):
        assert epoch[0][2].all()  # both lanes start anew
        for (before, _, _), (samples, _, fresh) in pairwise(epoch):
            for lane in range(2):
                assert fresh[lane] or samples[lane, 0] == before[lane, -1]
        assert len({bytes(w) for samples, _, _ in epoch for w in samples}) == 8
        assert 2 <= sum(int(fresh.sum()) for _, _, fresh in epoch) <= 4  # two clips, at most two cut by a lane's end
    many = lanes.draw(0, 0, 40)  # more lanes than windows: they come again
    assert many[0].shape[0] == 40 and many[2].all()


def test_the_order_depends_on_seed_and_step_alone(folder):
    write_split(folder)
    first, second = (Lanes(load_data(folder, CFG), "train", 6) for _ in range(2))
    first.draw(0, 1, 4)
    same = [lanes.draw(0, 7, 4) for lanes in (first, second)]
    for a, b in zip(*same):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(same[0][0], first.draw(0, 6, 4)[0])
    assert not np.array_equal(same[0][0], first.draw(1, 7, 4)[0])
    np.testing.assert_array_equal(first.beginnings(5)[0], first.at(first.clips, np.zeros(2, int))[0])
    assert len(first.beginnings(1)[0]) == 1


def test_gain_moves_a_clips_samples_and_mels_alike(folder):
    write_split(folder)
    lanes = Lanes(load_data(folder, CFG), "train", 6)
    gains = []
    for step in range(8):
        (x, mel, _), (y, louder, _) = (lanes.draw(0, step, 2, gain_db) for gain_db in (0.0, 12.0))
        for a, b, m, n in zip(x.astype(float), y.astype(float), mel, louder):
            loud = (np.abs(a) > 1000) & (np.abs(b) < 32767)
            gains.append((b[loud] / a[loud]).mean())
            np.testing.assert_allclose(b, np.clip(gains[-1] * a, -32768, 32767), atol=1, rtol=1e-3)
            above = (m > np.log(CFG.mel.log_floor) + 1.5) & (n > np.log(CFG.mel.log_floor) + 1.5)
            np.testing.assert_allclose((n - m)[above], np.log(gains[-1]), atol=1e-2)
    decibels = 20 * np.log10(gains)
    assert np.abs(decibels).max() < 12.1 and np.ptp(decibels) > 6
    assert len({round(g, 2) for g in decibels}) > 2  # one for each clip and epoch


def test_no_window_fits(folder):
    write_split(folder)
    with pytest.raises(AudioError, match="found no valid clip of at least 11 frames"):
        Lanes(load_data(folder, CFG), "valid", 11)


def test_mel_stats_are_those_of_the_training_clips(folder):
    write_split(folder)
    mean, std = load_data(folder, CFG).mel_stats()
    mels = np.concatenate([log_mel(load_audio(folder / f, 16000), CFG.mel) for f in ("b.flac", "deep/c.wav")], axis=1)
    np.testing.assert_allclose(mean, mels.mean(axis=1), atol=1e-3)  # they are kept in f16
    np.testing.assert_allclose(std, np.maximum(mels.std(axis=1), 0.01), atol=1e-3)


def test_features_are_computed_once(folder, monkeypatch):
    data = load_data(folder, CFG)
    assert data.ids == ["a.wav", "b.flac", "deep/c.wav", "deep/d.wav"]
    assert data.n_frames.tolist() == [10, 20, 30, int(6000 / 22050 * 16000) // HOP]
    counted = []
    monkeypatch.setattr(features, "load_audio", lambda *a: counted.append(a) or load_audio(*a))
    again = load_data(folder, CFG)
    np.testing.assert_array_equal(again.audio, data.audio)
    assert counted == [] and isinstance(again.audio, np.memmap)
    load_data(folder, WaveRNNConfig(preemphasis=0.5))  # another target
    assert len(counted) == 4
    os.utime(folder / "a.wav", ns=(1, 1))  # a changed file
    load_data(folder, CFG)
    assert len(counted) == 8
    write_split(folder)  # the split is not part of the features
    load_data(folder, CFG)
    assert len(counted) == 8


def test_a_build_with_bad_files_leaves_whole_features(folder):
    (folder / "z.wav").write_text("not audio")
    with pytest.raises(AudioError, match=r"z\.wav"):
        load_data(folder, CFG)
    (cache,) = (folder / ".wv-cache").iterdir()
    assert sorted(f.name for f in cache.iterdir()) == ["audio.npy", "clips.json", "mel.npy"]


def test_where_the_cache_lies(folder, tmp_path, monkeypatch):
    load_data(folder, CFG, tmp_path / "elsewhere")
    assert len(list((tmp_path / "elsewhere").iterdir())) == 1 and not (folder / ".wv-cache").exists()
    monkeypatch.setattr(os, "access", lambda *a: False)  # a folder that cannot be written
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    load_data(folder, CFG)
    assert len(list((tmp_path / "home/wavernn").iterdir())) == 1
    (tmp_path / "file").write_text("")
    with pytest.raises(AudioError, match="wanted a writable cache folder"):
        load_data(folder, CFG, tmp_path / "file")


def test_without_split_tsv(folder, tmp_path):
    data = load_data(folder, CFG)
    assert sorted(data.splits) == ["train", "train", "train", "valid"]
    files = [tmp_path / f"{i}.wav" for i in range(100)]
    split = make_split(tmp_path, files)
    assert list(split.values()).count("valid") == 5
    assert make_split(tmp_path, files[::-1]) == split
    with pytest.raises(AudioError, match="wanted at least 2"):
        make_split(tmp_path, files[:1])


def test_files_too_short_for_a_frame_are_left_out(folder):
    soundfile.write(folder / "short.wav", np.zeros(100), 16000)
    assert "short.wav" not in load_data(folder, CFG).ids


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\tsplit\na\ttrain\n", "line 1: found no column 'id'"),
        ("", "line 1: found no column 'id'"),
        ("id\tsplit\na\ttrain\nb\tdev\n", "line 3: split: found 'dev', wanted one of train, valid, test"),
        ("id\tsplit\na\ttrain\nb\n", "line 3: split: found None"),
        ("id\tsplit\na\ttrain\nnone\tvalid\n", "line 3: id 'none': found 0 audio files"),
        ("id\tsplit\na\ttrain\na\tvalid\n", "line 3: id 'a': found again"),
        ("id\tsplit\na\ttrain\n", "found no valid clip"),
        ("id\tsplit\na\tvalid\n", "found no train clip"),
        (b"id\tsplit\n\xff\xfe", "wanted UTF-8"),
    ],
)
def test_wrong_split_tsv(folder, text, message):
    (folder / "split.tsv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(AudioError, match=message) as error:
        load_data(folder, CFG)
    assert "split.tsv" in str(error.value)


def test_an_id_may_be_a_path(folder):
    soundfile.write(folder / "c.wav", np.zeros(4000), 16000)  # now `c` alone is ambiguous
    write_split(folder, "id\tsplit\na\tvalid\ndeep/c\ttrain\n")
    assert load_data(folder, CFG).ids == ["a.wav", "deep/c.wav"]
    write_split(folder, "id\tsplit\na\tvalid\nc\ttrain\n")
    with pytest.raises(AudioError, match="id 'c': found 2 audio files"):
        load_data(folder, CFG)


def test_no_folder_and_empty_folder(tmp_path):
    for path, message in [(tmp_path / "none", "found nothing"), (tmp_path, "found no audio file")]:
        with pytest.raises(AudioError, match=message):
            load_data(path, CFG)


def test_wv_pack_makes_a_folder_to_train_on(folder, tmp_path, command):
    write_split(folder)
    result = command(pack.main, folder, tmp_path / "packed")
    assert result.code == 0 and "3 clips" in result.out, result.err
    data, packed = load_data(folder, CFG), load_data(tmp_path / "packed", CFG)
    assert packed.ids == ["a.flac", "b.flac", "deep/c.flac"] and packed.splits.tolist() == ["valid", "train", "train"]
    first = packed.first_sample[2], data.first_sample[data.ids.index("deep/c.wav")]
    ours, theirs = (d.audio[k + 1 : k + 1000].astype(int) for d, k in zip((packed, data), first))
    assert np.abs(ours - theirs).max() <= 2
    again = command(pack.main, folder, tmp_path / "packed")
    assert again.code == 1 and "packed: found a folder, wanted nothing there" in again.err
    assert sorted(p.name for p in tmp_path.iterdir()).count(".packed.building") == 0
    (folder / "split.tsv").write_text("id\tsplit\na\tvalid\nb\ttrain\n")
    none = command(pack.main, folder, tmp_path / "none", "--split", "test")
    assert none.code == 1 and "found no test clip" in none.err and not (tmp_path / "none").exists()


def test_features_of_many_files_are_computed_by_all_cores(folder, tmp_path, monkeypatch):
    alone = dataset.load_data(folder, CFG, tmp_path / "alone")
    monkeypatch.setattr(features, "FILES_PER_WORKER", 1)
    monkeypatch.setattr(features, "n_cpus", lambda: 2)
    together = dataset.load_data(folder, CFG, tmp_path / "together")
    assert together.ids == alone.ids
    assert np.array_equal(together.audio, alone.audio) and np.array_equal(together.mel, alone.mel)
