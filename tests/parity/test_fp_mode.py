"""The samples do not depend on the thread's floating-point mode, and every rounding and subnormal number is heard."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import build_c
from model_fixtures import tiny_config, tiny_mel, tiny_model
from wv_runtime.engine import native
from wv_runtime.engine.kernels.fp_mode import swap_mode
from wv_runtime.engine.synth import Voice
from wv_runtime.features.mel_file import save_mel
from wv_runtime.model import binary

pytestmark = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="modes are written as MXCSR")
MODES = {"default": 0x1F80, "flush_to_zero": 0x9FC0, "down": 0x3F80, "up": 0x5F80, "towards_zero": 0x7F80}
# SHA-256 of the PCM of `delicate` for tiny_mel, seed 7. They change only when the arithmetic does.
GOLDEN = {
    "f32": "",
    "f16": "",
    "int8": "",
}


@contextmanager
def thread_mode(name: str) -> Iterator[None]:
    before = swap_mode(np.uint64(MODES[name]))
    try:
        yield
    finally:
        swap_mode(np.uint64(before))


def delicate(dtype: str) -> binary.Model:
    """A model that hears what others do not: O1 and O3 make subnormal numbers of which O2 and O4 make logits, large ones, so
    that the last bit of a sum moves draws."""
    model = tiny_model(dtype, cfg=tiny_config(preemphasis=0.0))
    m = model.matrices
    for name in ("O1", "O3"):
        tiny, huge = np.float32(2.0**-133), np.float32(2.0**120)
        o_in, o_out = m[name], m["O2" if name == "O1" else "O4"]
        name_out = o_out.name
        if dtype == "int8":
            m[name] = replace(o_in, scale=o_in.scale * tiny, bias=o_in.bias * tiny)
            m[name_out] = replace(o_out, x_scale=float(np.float32(2.0**126)), scale=o_out.scale * 8)
        else:
            # f16 cannot hold such weights
            m[name] = replace(o_in, values=o_in.values.astype(np.float32) * tiny, bias=o_in.bias * tiny)
            m[name_out] = replace(o_out, values=o_out.values.astype(np.float32) * huge * np.float32(2.0**18))
    return model


def sha256(pcm: np.ndarray) -> str:
    return hashlib.sha256(pcm.astype("<i2").tobytes()).hexdigest()


@pytest.mark.parametrize("dtype", GOLDEN)
@pytest.mark.parametrize("mode", MODES)
def test_mode_of_the_thread_is_not_heard(dtype, mode):
    model = delicate(dtype)
    data, mel = binary.pack(model), tiny_mel(model.config, 25)
    with thread_mode(mode):
        read = binary.parse(data)
        voices = [Voice(read), *(Voice(read, "c", isa) for isa in native.isa_names())]
        hashes = {sha256(voice(mel, seed=7)) for voice in voices}
        assert swap_mode(np.uint64(MODES[mode])) & 0xFFC0 == MODES[mode]  # as it was
    assert hashes == {GOLDEN[dtype]}
