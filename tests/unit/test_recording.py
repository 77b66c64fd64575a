"""Files that read like audio and are not speech are named; real ones get no remark."""

from __future__ import annotations

import os

import numpy as np
import pytest
import soundfile
from conftest import DATA
from wv_runtime.errors import AudioError
from wv_runtime.features.mel import load_audio
from wv_runtime.features.speech import find_files, read_table

CLIPS = sorted((DATA / "clips").glob("*.flac"))


def remarks_of(path, rate):
    lines = []
    load_audio(path, rate, lines.append)
    return lines


@pytest.fixture
def speech():
    return soundfile.read(CLIPS[0], dtype="float32")[0]


@pytest.mark.parametrize("clip", CLIPS, ids=lambda c: c.stem)
@pytest.mark.parametrize("rate", [8000, 16000])
def test_real_speech_gets_no_remark(clip, rate):
    pytest.importorskip("soxr")
    assert remarks_of(clip, rate) == []


@pytest.mark.parametrize(("factor", "bits"), [(2**15, 16), (2**23, 24)])
def test_integers_in_a_float_file(tmp_path, speech, factor, bits):
    soundfile.write(tmp_path / "a.wav", speech / np.abs(speech).max() * 0.9 * factor, 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match=rf"a\.wav: found a peak of \d+, .* {bits}-bit .*divide them by {factor}"):
        load_audio(tmp_path / "a.wav", 16000)


def test_channels_that_cancel(tmp_path, speech):
    soundfile.write(tmp_path / "a.wav", np.stack([speech, -speech], axis=1), 16000)
    with pytest.raises(AudioError, match=r"a\.wav: found 2 channels that cancel each other"):
        load_audio(tmp_path / "a.wav", 16000)
    soundfile.write(tmp_path / "b.wav", np.stack([speech, 0 * speech], axis=1), 16000)  # one silent channel is speech
    assert remarks_of(tmp_path / "b.wav", 16000) == []


def test_unlikely_recordings(tmp_path, speech):
    soxr = pytest.importorskip("soxr")
    low = soxr.resample(speech, 16000, 8000)
    for name, audio, rate in [("silent.wav", 0 * speech, 16000), ("loud.wav", speech / np.abs(speech).max() * 3, 16000),
                              ("8k.wav", low, 8000), ("up.wav", soxr.resample(low, 8000, 16000), 16000)]:  # fmt: skip
        soundfile.write(tmp_path / name, audio, rate, subtype="FLOAT" if name == "loud.wav" else "PCM_16")
    for name, words in [("silent.wav", "found silence"), ("loud.wav", "of the samples beyond full scale"),
                        ("8k.wav", "found a rate of 8000 Hz, wanted about 16000 Hz"),
                        ("up.wav", "found nothing above 6000 Hz, wanted speech up to 8000 Hz")]:  # fmt: skip
        (line,) = remarks_of(tmp_path / name, 16000)
        assert line.startswith(f"{tmp_path / name}: ") and words in line


@pytest.mark.parametrize(("suffix", "fmt", "subtype"), [(".mp3", "MP3", None), (".ogg", "OGG", "VORBIS"),
                                                        (".opus", "OGG", "OPUS"), (".aiff", "AIFF", None)])  # fmt: skip
def test_other_formats(tmp_path, speech, suffix, fmt, subtype):
    if fmt not in soundfile.available_formats():
        pytest.skip(f"this libsndfile has no {fmt}")
    soundfile.write(tmp_path / f"a{suffix}", speech, 16000, format=fmt, subtype=subtype)
    assert find_files(tmp_path) == [tmp_path / f"a{suffix}"]
    audio = load_audio(tmp_path / f"a{suffix}", 16000)
    assert abs(len(audio) - len(speech)) < 4000 and np.abs(audio).max() > 0.01


def test_links_are_followed_and_loops_are_not(tmp_path):
    (tmp_path / "speech/deep").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    for name in ("speech/a.wav", "speech/deep/b.wav", "other/c.wav"):
        soundfile.write(tmp_path / name, np.zeros(100), 16000)
    (tmp_path / "speech/link").symlink_to(tmp_path / "other")
    (tmp_path / "speech/deep/up").symlink_to(tmp_path / "speech")  # a loop
    (tmp_path / "other/back").symlink_to(tmp_path / "speech")  # and one through the link
    (tmp_path / "speech/again").symlink_to(tmp_path / "speech/deep")  # the same files once more
    (tmp_path / "speech/d.wav").symlink_to(tmp_path / "other/c.wav")  # and one file
    found = [f.relative_to(tmp_path / "speech").as_posix() for f in find_files(tmp_path / "speech")]
    assert found == ["a.wav", "d.wav", "deep/b.wav"]
    (tmp_path / "speech/d.wav").unlink()
    found = [f.relative_to(tmp_path / "speech").as_posix() for f in find_files(tmp_path / "speech")]
    assert found == ["a.wav", "deep/b.wav", "link/c.wav"]


def test_copies_in_another_format_count_once(tmp_path):
    for name in ("a.flac", "a.mp3", "b.mp3"):
        (tmp_path / name).touch()
    assert [f.name for f in find_files(tmp_path)] == ["a.flac", "b.mp3"]


def test_names_that_are_not_utf8(tmp_path, speech):
    path = os.fsencode(tmp_path) + b"/\xe9t\xe9.wav"
    soundfile.write(tmp_path / "a.wav", speech, 16000)
    os.rename(tmp_path / "a.wav", path)
    (file,) = find_files(tmp_path)
    assert len(load_audio(file, 16000)) == len(speech)


def test_a_table_that_a_spreadsheet_wrote(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 16000)
    (tmp_path / "split.tsv").write_bytes(b"\xef\xbb\xbfid\tsplit\r\na\ttrain\r\n")
    assert read_table(tmp_path / "split.tsv", tmp_path, find_files(tmp_path))[tmp_path / "a.wav"]["split"] == "train"


def test_a_wav_file_whose_end_is_missing(tmp_path, speech):
    path = tmp_path / "a.wav"
    soundfile.write(path, speech, 16000)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert remarks_of(path, 16000) == [
        f"{path}: found {len(whole) - 100} bytes, wanted {len(whole)} by its header: its end is missing"
    ]
    path.write_bytes(whole[:4] + b"\xff" * 4 + whole[8:])  # as written into a pipe
    assert remarks_of(path, 16000) == []
    path.write_bytes(whole[:-1])  # some count a byte of padding and do not write it
    assert remarks_of(path, 16000) == []
