"""Streams: any cut gives the same samples in Python, in both programs and in C; latency; the loudspeaker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from model_fixtures import tiny_config, tiny_mel, tiny_model
from wv_runtime.commands.run import main
from wv_runtime.engine.native import NativeModel, NativeStream
from wv_runtime.engine.synth import Voice
from wv_runtime.features.mel_file import save_mel
from wv_runtime.features.postfilter import filter_tables
from wv_runtime.model import binary
from wv_runtime.model.weights import Postfilter

N_FRAMES = 31


@pytest.fixture(scope="module")
def spoken():
    """A model with all that has a memory: prediction, post-filter, comb; its bytes, mels and offline samples."""
    model = tiny_model("int8", cfg=tiny_config(lpc_order=16))
    model = replace(model, postfilter=Postfilter(*filter_tables(model.config.mel), on=True, comb=0.5))
    mel = tiny_mel(model.config, N_FRAMES) - 4
    return model, mel, Voice(model, "c")(mel, seed=5)


def cuts(seed, n):
    """Parts of 1 to some frames that make up n."""
    rng, parts = np.random.default_rng(seed), []
    while sum(parts) < n:
        parts.append(min(int(rng.integers(1, rng.integers(2, n))), n - sum(parts)))
    return parts


@pytest.mark.parametrize("seed", range(20))
def test_twenty_cuts_in_python_and_in_c(spoken, seed):
    model, mel, pcm = spoken
    ends = np.cumsum(cuts(seed, N_FRAMES))
    chunks = np.split(mel, ends[:-1], axis=1)
    np.testing.assert_array_equal(np.concatenate(list(Voice(model, "c").stream(chunks, seed=5))), pcm)
    # the functions of wavernn.h, pulled in parts of any size
    rng, stream, parts = np.random.default_rng(seed), NativeStream(NativeModel(binary.pack(model)), 5), []
    for chunk in chunks:
        at = 0
        while at < chunk.shape[1]:
            at += stream.push(chunk[:, at:])
            parts.append(stream.pull(int(rng.integers(0, stream.available + 1))))
    stream.finish()
    while stream.available:
        parts.append(stream.pull(int(rng.integers(1, 40))))
    np.testing.assert_array_equal(np.concatenate(parts), pcm)


def test_numba_streams_as_c(spoken):
    model, mel, pcm = spoken
    voice = Voice(model, "numba")
    for seed in range(3):
        chunks = np.split(mel, np.cumsum(cuts(seed, N_FRAMES))[:-1], axis=1)
        np.testing.assert_array_equal(np.concatenate(list(voice.stream(chunks, seed=5))), pcm)


def test_twenty_cuts_through_both_pipes(spoken, tmp_path, c_build):
    """However the bytes come; fewer through Python, which takes a second to start."""
    model, mel, pcm = spoken
    binary.save(model, tmp_path / "v.bin")
    raw = mel.T.astype("<f4").tobytes()
    python = [sys.executable, "-c", "from wv_runtime.commands.run import main; main()", "--backend", "c"]
    for program, seeds in (([c_build / "wv_run"], range(20)), (python, range(2))):
        for seed in seeds:
            args = [*program, tmp_path / "v.bin", "-", "-o", "-", "--format", "s16le", "--seed", "5"]
            pipe = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            at = 0
            for n in cuts(seed, len(raw)):
                os.write(pipe.stdin.fileno(), raw[at : at + n])
                at += n
            assert pipe.communicate()[0] == pcm.astype("<i2").tobytes()


def test_latency(command, spoken, tmp_path, monkeypatch):
    model, mel, _ = spoken
    monkeypatch.chdir(tmp_path)
    binary.save(model, "v.bin")
    save_mel("m.npy", mel, model.config.mel)
    voice = Voice(model, "c")
    report = json.loads(command(main, "v.bin", "m.npy", "--latency", "--json").out)
    frame_s = model.config.mel.hop_length / voice.sample_rate
    assert report["lookahead_frames"] == voice.lookahead > 1
    assert report["lookahead_s"] == pytest.approx(voice.lookahead * frame_s)
    assert report["latency_s"] == pytest.approx((voice.lookahead + 1) * frame_s + report["first_audio_s"], abs=2e-6)
    text = command(main, "v.bin", "m.npy", "--latency").out
    assert (
        f"look-ahead        {voice.lookahead} frames, " in text
        and f"the first {voice.lookahead + 1} frames and" in text
    )
    assert "lookahead_frames" not in json.loads(command(main, "v.bin", "m.npy", "--json").out)


@pytest.fixture
def device(monkeypatch):
    """sounddevice as its documentation has it, but for the sound: what is written to the device is kept."""
    played = []

    class RawOutputStream:
        def __init__(self, samplerate, channels, dtype):
            if samplerate < 8000:
                raise module.PortAudioError("Invalid sample rate")
            played.append((samplerate, channels, dtype))

        def __enter__(self):
            return self

        def __exit__(self, *exc):
            pass

        def write(self, data):
            played.append(np.frombuffer(data, np.int16))

    module = types.ModuleType("sounddevice")
    module.RawOutputStream, module.PortAudioError = RawOutputStream, type("PortAudioError", (Exception,), {})
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return played


def test_play(command, folder, device):
    whole = Voice(binary.load("tiny.bin"), "c")(np.load("mel.npy"))
    done = command(main, "tiny.bin", "mel.npy", "--play")
    assert done.code == 0 and device[0] == (16000, 1, "int16") and not Path("out.wav").exists()
    np.testing.assert_array_equal(np.concatenate(device[1:]), whole)
    assert command(main, "tiny.bin", "mel.npy", "--play", "-o", "out.wav").code == 0
    np.testing.assert_array_equal(soundfile.read("out.wav", dtype="int16")[0], whole)
    Path("mels").mkdir()
    assert "wanted a file" in command(main, "tiny.bin", "mels", "-o", "wavs", "--play").err


def test_play_without_what_it_needs(command, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    done = command(main, "tiny.bin", "mel.npy", "--play")
    assert done.code == 1 and "pip install 'wavernn[play]'" in done.err and done.err.count("\n") == 1
