"""Streams in step: whatever the lanes, the lengths, the joins and the chunks, each gives the samples it gives alone."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import ROOT
from model_fixtures import tiny_config, tiny_mel, tiny_model
from wv_runtime.engine.native import NativeBatch, NativeModel, NativeStream, isa_names
from wv_runtime.engine.synth import Voice
from wv_runtime.model import binary
from wv_runtime.model.binary import pack

LPC = {"lpc_order": 4}
CASES = [
    ("int8", (16, 4), {}), ("int8", (4, 4), {}), ("int8", (8, 4), LPC), ("int8", (32, 4), {}),
    ("f32", (16, 1), {}), ("f32", (4, 2), LPC), ("f32", (32, 1), {}), ("f16", (16, 1), {}), ("f16", (8, 4), {}),
]  # fmt: skip


def mels_of(cfg, n, rng):
    """n mels of 1 to 9 frames"""
    return [tiny_mel(cfg, int(rng.integers(1, 10)), seed=i) for i in range(n)]


def alone(model, mel, seed, **options):
    stream = NativeStream(model, seed, **options)
    stream.push(mel)
    stream.finish()
    return stream.pull(10**9)


def talk(batch, streams, mels, rng):
    """Push, pull and finish at random, until every stream has said all. Returns the samples of each."""
    pushed, done, said = [0] * len(mels), [False] * len(mels), [[] for _ in mels]
    while not all(done):
        here = [i for i in rng.permutation(len(mels)) if not done[i] and rng.random() < 0.8]
        for i in here:
            if pushed[i] < mels[i].shape[1]:
                more = int(rng.integers(0, 4))
                pushed[i] += streams[i].push(mels[i][:, pushed[i] : pushed[i] + more])
                if pushed[i] == mels[i].shape[1]:
                    streams[i].finish()
        n = [int(rng.integers(0, 4)) * int(rng.integers(0, 60)) for _ in here]
        for i, part in zip(here, batch.pull([streams[i] for i in here], n), strict=True):
            said[i].append(part)
            done[i] = pushed[i] == mels[i].shape[1] and streams[i].available == 0
    return [np.concatenate(parts) for parts in said]


@pytest.mark.parametrize("isa", isa_names())
@pytest.mark.parametrize(("dtype", "block", "changes"), CASES)
def test_every_number_of_lanes(dtype, block, changes, isa):
    cfg = tiny_config(**changes)
    model = NativeModel(pack(tiny_model(dtype, block=block, cfg=cfg)))
    rng = np.random.default_rng(0)
    mels = mels_of(cfg, 16, rng)
    wanted = [alone(model, mel, seed, isa=isa) for seed, mel in enumerate(mels)]
    for n in range(1, 17):
        streams = [NativeStream(model, seed, isa=isa) for seed in range(n)]
        for stream, mel in zip(streams, mels, strict=False):
            stream.push(mel)
            stream.finish()
        for pcm, want in zip(NativeBatch(model, n).pull(streams, [10**9] * n), wanted, strict=False):
            np.testing.assert_array_equal(pcm, want)


def joins_and_leaves(voice, seed, n_threads=1):
    """A random number of lanes, lengths, temperatures, joins and chunks: the samples of each stream alone."""
    rng = np.random.default_rng(seed)
    mels = mels_of(voice.config, int(rng.integers(1, 25)), rng)
    streams = [voice.open(i, 0.5 + i / 8) for i in range(len(mels))]
    said = talk(voice.batch(int(rng.integers(1, 17)), n_threads), streams, mels, rng)
    for i, mel in enumerate(mels):
        np.testing.assert_array_equal(said[i], voice(mel, i, 0.5 + i / 8))


@pytest.mark.parametrize("isa", isa_names())
@pytest.mark.parametrize("case", range(len(CASES)))
def test_streams_join_and_leave_anywhere(case, isa):
    dtype, block, changes = CASES[case]
    voice = Voice(tiny_model(dtype, block=block, cfg=tiny_config(**changes)), "c", isa)
    for i in range(25):  # 225 cases on every ISA
        joins_and_leaves(voice, len(CASES) * i + case)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "block", "changes"), [CASES[i] for i in (0, 2, 5, 7)])  # seconds to compile each
def test_numba_streams_join_and_leave_anywhere(dtype, block, changes):
    voice = Voice(tiny_model(dtype, block=block, cfg=tiny_config(**changes)))
    for seed in range(50):
        joins_and_leaves(voice, seed)


@pytest.mark.parametrize("backend", ["c", "numba"])
@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_nothing(threads, backend):
    joins_and_leaves(Voice(tiny_model("int8", cfg=tiny_config()), backend), threads, threads)


@pytest.mark.parametrize("backend", ["c", "numba"])
def test_streams_with_a_post_filter(backend):
    """The bundled voice, whose samples pass through the post-filter."""
    voice = Voice(binary.load(ROOT / "voices/kathleen16/voice.bin"), backend)
    rng = np.random.default_rng(0)
    mels = [rng.normal(size=(voice.config.mel.n_mels, n)).astype(np.float32) for n in (3, 1, 6)]
    said = talk(voice.batch(2), [voice.open(i) for i in range(3)], mels, rng)
    for i, mel in enumerate(mels):
        np.testing.assert_array_equal(said[i], voice(mel, i))


def test_filtered_and_plain_streams_in_one_batch():
    model = NativeModel((ROOT / "voices/kathleen16/voice.bin").read_bytes())
    rng = np.random.default_rng(0)
    mels = [rng.normal(size=(model.n_mels, n)).astype(np.float32) for n in (3, 1, 6)]
    options = [{"postfilter": on} for on in (True, False, None)]
    streams = [NativeStream(model, i, **o) for i, o in enumerate(options)]
    said = talk(NativeBatch(model, 2), streams, mels, rng)
    for i, (mel, o) in enumerate(zip(mels, options, strict=True)):
        np.testing.assert_array_equal(said[i], alone(model, mel, i, **o))


def test_what_a_numba_batch_refuses():
    cfg = tiny_config()
    voice, other = (Voice(tiny_model("int8", cfg=cfg)) for _ in range(2))
    stream, batch = voice.open(), voice.batch(2)
    assert batch.pull([], []) == []
    for streams in ([stream, stream], [other.open()]):
        with pytest.raises(ValueError, match="batch: streams"):
            batch.pull(streams, [1] * len(streams))


def test_what_a_batch_refuses():
    cfg = tiny_config()
    model, other = (NativeModel(pack(tiny_model("int8", cfg=cfg))) for _ in range(2))
    stream, batch = NativeStream(model), NativeBatch(model, 2)
    assert batch.pull([], []) == []
    for streams in ([stream, stream], [NativeStream(other)], [stream, NativeStream(model, isa="portable")]):
        if len({s.isa for s in streams}) == 1 and streams[-1]._model is model and streams[0] is not streams[-1]:
            continue  # this CPU has the portable kernels alone
        with pytest.raises(ValueError, match="batch: streams"):
            batch.pull(streams, [1] * len(streams))
    stream.push(tiny_mel(cfg))
    assert len(batch.pull([stream], [5])[0]) == 5  # a refusal leaves no trace
    for lanes, threads in ((0, 1), (17, 1), (1, 0), (1, 65)):
        with pytest.raises(ValueError, match="batch: "):
            NativeBatch(model, lanes, threads)


@pytest.mark.parametrize("backend", ["c", "numba"])
def test_a_list_of_mels(backend):
    cfg = tiny_config()
    voice = Voice(tiny_model("int8", cfg=cfg), backend)
    mels = [tiny_mel(cfg, n, seed=n) for n in (3, 90, 1, 200, 0, 5)]
    said = voice(mels, seed=7, n_lanes=2, n_threads=2)
    for pcm, mel in zip(said, mels, strict=True):
        np.testing.assert_array_equal(pcm, voice(mel, seed=7))
    assert voice([]) == []
    for wrong in ({"n_lanes": 0}, {"n_lanes": 17}, {"n_threads": 0}):
        with pytest.raises(ValueError, match="wanted 1") as error:
            voice.batch(**wrong)
        assert next(iter(wrong)) in str(error.value)
