"""Voices of interleaved lanes: one hash whatever the ISA and the chunks."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from conftest import DATA
from model_fixtures import golden_mel, tiny_config, tiny_mel, tiny_model
from wv_runtime.engine.native import NativeModel, NativeStream, isa_names
from wv_runtime.engine.synth import Voice
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
def test_every_isa_and_chunk(dtype, changes):
    """From one frame, which is shorter than the way from the first lane to the last, on."""
    cfg, rng = tiny_config(**changes), np.random.default_rng(0)
    model = NativeModel(pack(tiny_model(dtype, cfg=cfg)))
    for n_frames in (1, 2, 20):
        mel, said = tiny_mel(cfg, n_frames), []
        for isa in isa_names():
            stream = NativeStream(model, 5, isa=isa)
            for _ in range(4):
                said.append(talk(stream, mel, rng))
                stream.reset(5)
        assert len(said[0]) == n_frames * cfg.mel.hop_length and len(np.unique(said[0])) > 4
        assert all(np.array_equal(said[0], pcm) for pcm in said)


def test_golden_file():
    model = binary.load(DATA / "golden_v5_lanes.bin")
    assert pack(model) == (DATA / "golden_v5_lanes.bin").read_bytes()
    pcm = Voice(model, "c")(golden_mel(model.config.mel.n_mels), seed=7, temperature=0.7)
    assert hashlib.sha256(pcm.astype("<i2").tobytes()).hexdigest() == GOLDEN


def test_lookahead_is_what_it_says():
    cfg = tiny_config(**LANES)
    voice = Voice(tiny_model("int8", cfg=cfg), "c")
    assert cfg.delay == 5 * 4 * 3 and voice.lookahead == cfg.cond_width // 2 + 3  # 60 samples of 20 a frame
    stream, mel = voice.open(), tiny_mel(cfg, 12)
    stream.push(mel[:, : voice.lookahead])
    assert stream.available == 0
    stream.push(mel[:, voice.lookahead : voice.lookahead + 1])
    assert stream.available == cfg.mel.hop_length
    assert NativeModel(pack(voice.model)).lookahead == voice.lookahead


def test_streams_of_a_batch():
    cfg = tiny_config(**LANES)
    voice = Voice(tiny_model("int8", cfg=cfg), "c")
    mels = [tiny_mel(cfg, n, seed=n) for n in (3, 9, 1, 0, 5)]
    for pcm, mel in zip(voice(mels, seed=7, n_lanes=2, n_threads=2), mels, strict=True):
        np.testing.assert_array_equal(pcm, voice(mel, seed=7))


def test_other_engines_refuse_in_one_line():
    model = tiny_model("int8", cfg=tiny_config(**LANES))
    for backend in ("numba", "cuda"):
        with pytest.raises(ValueError, match=f"backend: found {backend} for a voice of interleaved lanes, wanted c"):
            Voice(model, backend)
