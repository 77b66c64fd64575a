"""Voices of interleaved lanes: one hash whatever the ISA, the chunks and the threads."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace

import numpy as np
import pytest
from conftest import DATA
from model_fixtures import golden_mel, tiny_config, tiny_mel, tiny_model
from wv_runtime.engine.kernels.jit import kernel
from wv_runtime.engine.kernels.sample import random_bits, sample_byte
from wv_runtime.engine.native import NativeModel, NativeStream, isa_names
from wv_runtime.engine.numba_cpu import teacher_forced
from wv_runtime.engine.synth import Voice
from wv_runtime.errors import NativeError
from wv_runtime.model import binary
from wv_runtime.model.binary import pack

# As in test_end_to_end: SHA-256 of the PCM of data/golden_v5_lanes.bin
GOLDEN = "9dac5cb461bdcd82d5b037e32dddbd4d9c369a2e9e0fe1c6cdd8e1b5bcaf8600"
LANES = {"lpc_order": 6, "subscale": 5, "horizon": 2, "lookback": 3, "context": 3}
CASES = [
    ("int8", LANES), ("f32", LANES), ("f16", {**LANES, "subscale": 2, "horizon": 0, "context": 0}),
    ("int8", {"lpc_order": 16, "subscale": 10, "horizon": 30, "lookback": 9, "context": 20}),
    ("f32", {"lpc_order": 64, "subscale": 2, "horizon": 64, "lookback": 64, "context": 32}),
]  # fmt: skip


def talk(stream, mel, rng):
    """Push, pull and finish at random, until all is said."""
    pushed, said = 0, []
    while True:
        if pushed < mel.shape[1] and rng.random() < 0.5:
            more = int(rng.integers(1, 4))
            pushed += stream.push(mel[:, pushed : pushed + more])
            if pushed == mel.shape[1]:
                stream.finish()
        said.append(stream.pull(int(rng.integers(0, 50))))
        if pushed == mel.shape[1] and not stream.available:
            return np.concatenate(said)


@pytest.mark.parametrize(("dtype", "changes"), CASES)
def test_every_isa_chunk_and_thread(dtype, changes):
    """From one frame, which is shorter than the way from the first lane to the last, on."""
    cfg, rng = tiny_config(**changes), np.random.default_rng(0)
    model, numba = NativeModel(pack(tiny_model(dtype, cfg=cfg))), Voice(tiny_model(dtype, cfg=cfg))
    for n_frames in (1, 2, 20):
        mel, said = tiny_mel(cfg, n_frames), []
        for isa in isa_names():
            for n_threads in (1, 1, 2, 3):
                stream = NativeStream(model, 5, isa=isa, n_threads=n_threads)
                for _ in range(2):
                    said.append(talk(stream, mel, rng))
                    stream.reset(5)
        said += [talk(numba.open(5, n_threads=n), mel, rng) for n in (1, 1, 2, 3)]
        assert len(said[0]) == n_frames * cfg.mel.hop_length and len(np.unique(said[0])) > 4
        assert all(np.array_equal(said[0], pcm) for pcm in said)


@pytest.mark.parametrize("backend", ["c", "numba"])
def test_golden_file(backend):
    model = binary.load(DATA / "golden_v5_lanes.bin")
    assert pack(model) == (DATA / "golden_v5_lanes.bin").read_bytes()
    pcm = Voice(model, backend)(golden_mel(model.config.mel.n_mels), seed=7, temperature=0.7)
    assert hashlib.sha256(pcm.astype("<i2").tobytes()).hexdigest() == GOLDEN


@pytest.mark.parametrize("backend", ["c", "numba"])
def test_chunks_longer_than_what_lanes_see(backend):
    """A pull of many samples at once, of lanes that remember six of them"""
    cfg = tiny_config(lpc_order=2, subscale=2, horizon=0, lookback=1)
    cfg = replace(cfg, mel=replace(cfg.mel, hop_length=400, n_fft=1024, win_length=800))
    voice, mel = Voice(tiny_model("int8", cfg=cfg), backend), tiny_mel(cfg, 3)
    whole, stream = voice(mel, seed=5), voice.open(5)
    stream.push(mel)
    stream.finish()
    np.testing.assert_array_equal(whole, np.concatenate([stream.pull(1) for _ in whole]))


@kernel
def draw(logits, seed, t, byte, p):
    """The byte of each sample t, from where its random bits begin. logits : (n, 256)    byte : (n,)"""
    for i in range(len(t)):
        bits = random_bits(seed, t[i]) >> np.uint64(byte[i])
        byte[i] = sample_byte(logits[i], np.float32(1.442695), bits & np.uint64(0xFFFFFFFF), p)


def quiet_model(dtype, cfg):
    """One whose residuals are small, so that no sample is clipped."""
    model = tiny_model(dtype, cfg=cfg)
    O2 = model.matrices["O2"]  # noqa: N806
    near = np.abs(np.arange(256) - 128) < 3
    model.matrices["O2"] = replace(O2, bias=(O2.bias + np.where(near, 10, -10)).astype(np.float32))
    return model


@pytest.mark.parametrize("dtype", ["int8", "f32"])
def test_the_order_of_lane_after_lane(dtype):
    """The lanes one after the other, each through the whole utterance, draw the samples of the staircase.

    teacher_forced goes through them so. If the bytes that its logits give are those it was given, from the first
    sample of the first lane on, it draws them without being told.
    """
    cfg, seed = tiny_config(**LANES, preemphasis=0.0), 5
    model, mel = quiet_model(dtype, cfg), tiny_mel(cfg, 20)
    pcm = Voice(model, "c")(mel, seed=seed)
    assert 1000 < np.abs(pcm.astype(int)).max() < 32767
    *logits, wanted = teacher_forced(model, np.concatenate([[0], pcm]).astype(np.int16), mel)
    for of, first_bit, true in zip(logits, (32, 0), wanted.T, strict=True):
        byte = np.full(len(pcm), first_bit, np.int64)
        draw(of, np.uint64(seed), np.arange(len(pcm)).astype(np.uint64), byte, np.zeros(272, np.int32))
        np.testing.assert_array_equal(byte, true)


@pytest.mark.parametrize("backend", ["c", "numba"])
def test_lookahead_is_what_it_says(backend):
    cfg = tiny_config(**LANES)
    voice = Voice(tiny_model("int8", cfg=cfg), backend)
    assert cfg.delay == 5 * 4 * 3 and voice.lookahead == cfg.cond_width // 2 + 3  # 60 samples of 20 a frame
    stream, mel = voice.open(), tiny_mel(cfg, 12)
    stream.push(mel[:, : voice.lookahead])
    assert stream.available == 0
    stream.push(mel[:, voice.lookahead : voice.lookahead + 1])
    assert stream.available == cfg.mel.hop_length
    assert NativeModel(pack(voice.model)).lookahead == voice.lookahead


@pytest.mark.parametrize("backend", ["c", "numba"])
def test_threads(backend):
    cfg = tiny_config(**LANES)
    voice, mel = Voice(tiny_model("int8", cfg=cfg), backend), tiny_mel(cfg, 20)
    pcm = voice(mel, seed=3)
    for n_threads in (2, 5, 64):  # more than lanes
        np.testing.assert_array_equal(pcm, voice(mel, seed=3, n_threads=n_threads))
        np.testing.assert_array_equal(pcm, np.concatenate(list(voice.stream([mel], seed=3, n_threads=n_threads))))
    for wrong in (0, 65):
        with pytest.raises(ValueError, match=rf"n_threads: found {wrong}, wanted 1..64"):
            voice.open(n_threads=wrong)


def test_a_fork_has_no_threads():
    cfg = tiny_config(**LANES)
    stream = Voice(tiny_model("int8", cfg=cfg), "c").open(n_threads=2)
    stream.push(tiny_mel(cfg, 20))
    stream.pull(1)
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 0
        assert len(stream.pull(1)) == 1
        return
    try:
        stream.pull(1)
    except NativeError as error:
        os._exit("after a fork" not in str(error))
    os._exit(2)


@pytest.mark.parametrize("backend", ["c", "numba"])
def test_streams_of_a_batch(backend):
    cfg = tiny_config(**LANES)
    voice = Voice(tiny_model("int8", cfg=cfg), backend)
    mels = [tiny_mel(cfg, n, seed=n) for n in (3, 9, 1, 0, 5)]
    for pcm, mel in zip(voice(mels, seed=7, n_lanes=2, n_threads=2), mels, strict=True):
        np.testing.assert_array_equal(pcm, voice(mel, seed=7))


def test_onnx_refuses_in_one_line():
    model = tiny_model("int8", cfg=tiny_config(**LANES))
    wanted = "backend: found onnx for a voice of interleaved lanes, wanted numba or c or cuda"
    with pytest.raises(ValueError, match=wanted):
        Voice(model, "onnx")
