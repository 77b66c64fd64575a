"""The two .npy readers side by side: FORMAT.md, "The .npy of a mel".

Usage: ``in_c = c_reader(folder); agree(random_file(rng), in_c)``
"""

from __future__ import annotations

import ctypes
import io
import random
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from model_fixtures import tiny_config, tiny_model
from wv_runtime.engine.native import NativeModel, library
from wv_runtime.errors import MelError
from wv_runtime.features.mel_file import read_mel
from wv_runtime.model import binary
from wv_runtime.model.config import MelConfig

LIBWAVERNN = Path(__file__).parents[2] / "runtime/libwavernn"
CFG = MelConfig("tiny", 16000, 64, 20, 40, 8, 0.0, 8000.0)
MEL = np.random.default_rng(0).uniform(-8, 0, (8, 5)).astype("<f4")
DATA = MEL.tobytes()
GOOD = "{'descr': '<f4', 'fortran_order': False, 'shape': (8, 5), }"
Read = Callable[[bytes], Any]


def c_reader(folder: Path) -> Read:
    """in_c(bytes): the array, or the message."""
    built = folder / "npy.so"
    sources = ["tools/npy.c", "core/mel_causes.c", library()._name]
    command = ["cc", "-std=c11", "-O1", "-shared", "-fPIC", "-Iinclude", *sources, "-lm", "-o", built]
    subprocess.run(command, cwd=LIBWAVERNN, check=True)
    c = ctypes.CDLL(str(built))
    c.npy_mels.restype = ctypes.POINTER(ctypes.c_float)
    free = ctypes.CDLL(None).free
    free.argtypes = [ctypes.c_void_p]
    model = NativeModel(binary.pack(tiny_model(cfg=tiny_config(mel=CFG))))

    def read(data: bytes) -> Any:
        n, message = ctypes.c_size_t(), ctypes.create_string_buffer(256)
        frames = c.npy_mels(data, ctypes.c_size_t(len(data)), model._handle, ctypes.byref(n), message)
        if not frames:
            return message.value.decode()
        mel = np.ctypeslib.as_array(frames, (n.value, 8)).T.copy()
        free(frames)
        return mel

    return read


def in_python(data: bytes) -> Any:
    try:
        return read_mel(io.BytesIO(data), "m", CFG)
    except MelError as error:
        return str(error).removeprefix("m: ")


def npy(header: str, data: bytes = DATA, version: tuple[int, int] = (1, 0), length: int | None = None) -> bytes:
    text = header.encode("latin1")
    size = struct.pack("<H" if version[0] == 1 else "<I", len(text) if length is None else length)
    return b"\x93NUMPY" + bytes(version) + size + text + data


def random_file(rng: random.Random) -> bytes:
    """A good one with up to three changes of its header."""
    pieces = [*" \n\t',(){}:#850->\0\x1b", "é", "1_0", "99999999", "# mel: ", "# mel: tiny, 16000 Hz, hop 20;"]
    pieces += ["[", "]", "[('a', '<f4')]", "<f8", "<f4", "|O"]
    pieces += ["True", "False", "'descr': ", "'shape': ", "'fortran_order': "]
    text = list(rng.choice([GOOD, GOOD + "\n", "{'shape': (8, 5), 'descr': '<f8', 'fortran_order': True}"]))
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        at, what = rng.randrange(len(text) + 1), rng.random()
        text[at : at + (what < 0.6) * rng.choice([1, 1, 2, 5])] = rng.choice(pieces) if what > 0.2 else ""
    n_bytes = rng.choice([160, 160, 159, 320, 400, 0])
    version = (rng.choice([1, 1, 1, 2, 3, 4]), rng.choice([0] * 9 + [1]))
    return npy("".join(text), (DATA * 3)[:n_bytes], version)


def agree(data: bytes, in_c: Read) -> bool:
    """AssertionError if the two differ; whether they accept it."""
    ours, theirs = in_python(data), in_c(data)
    same = np.array_equal(ours, theirs) if isinstance(ours, np.ndarray) else ours == theirs
    assert type(ours) is type(theirs) and same, (data, ours, theirs)
    return isinstance(ours, np.ndarray)
