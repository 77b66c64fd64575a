"""The samples do not depend on the thread's floating-point mode, and every rounding and subnormal number is heard."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hostile_models import DELICATE_TEMPERATURE, delicate
from model_fixtures import tiny_mel
from wv_runtime.engine import native
from wv_runtime.engine.kernels.fp_mode import swap_mode
from wv_runtime.engine.synth import Voice
from wv_runtime.model import binary

pytestmark = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="modes are written as MXCSR")
MODES = {"default": 0x1F80, "flush_to_zero": 0x9FC0, "down": 0x3F80, "up": 0x5F80, "towards_zero": 0x7F80}
# SHA-256 of the PCM of `delicate` for tiny_mel, seed 7. They change only when the arithmetic does.
GOLDEN = {
    "f32": "d138eace665fccb05908c0184bf14fcdba8be3941c37d08e1d4033a1569506c2",
    "f16": "6d3660d377b2c6ef1ed767bcb3084cd3a00944bb3d6ecdfdd25d6d85df2af5fa",
    "int8": "3dfbd5bd714e4551715405f3846e1667e1cd9595f73e8d8d41218c897d85c999",
}


@contextmanager
def thread_mode(name: str) -> Iterator[None]:
    before = swap_mode(np.uint64(MODES[name]))
    try:
        yield
    finally:
        swap_mode(np.uint64(before))


def sha256(pcm: np.ndarray) -> str:
    return hashlib.sha256(pcm.astype("<i2").tobytes()).hexdigest()


@pytest.mark.parametrize("dtype", GOLDEN)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.slow
def test_mode_of_the_thread_is_not_heard(dtype, mode):
    model = delicate(dtype)
    data, mel = binary.pack(model), tiny_mel(model.config, 25)
    with thread_mode(mode):
        read = binary.parse(data)
        voices = [Voice(read), *(Voice(read, "c", isa) for isa in native.isa_names())]
        hashes = {sha256(voice(mel, 7, DELICATE_TEMPERATURE)) for voice in voices}
        assert swap_mode(np.uint64(MODES[mode])) & 0xFFC0 == MODES[mode]  # as it was
    assert hashes == {GOLDEN[dtype]}
