"""The two .npy readers accept the same bytes, and refuse others in the same words: FORMAT.md, "The .npy of a mel"."""

from __future__ import annotations

import ctypes
import io
import random
import struct
import subprocess
import time

import numpy as np
import pytest
from conftest import LIBWAVERNN
from wv_runtime.engine.native import _Info
from wv_runtime.errors import MelError
from wv_runtime.features.mel_file import read_mel
from wv_runtime.model.config import MelConfig

CFG = MelConfig("tiny", 16000, 64, 20, 40, 8, 0.0, 8000.0)
MEL = np.random.default_rng(0).uniform(-8, 0, (8, 5)).astype("<f4")
DATA = MEL.tobytes()
GOOD = "{'descr': '<f4', 'fortran_order': False, 'shape': (8, 5), }"
N_RANDOM = 4000


@pytest.fixture(scope="module")
def in_c(tmp_path_factory):
    """in_c(bytes): the array, or the message."""
    library = tmp_path_factory.mktemp("npy") / "npy.so"
    command = [
        "cc",
        "-std=c11",
        "-O1",
        "-shared",
        "-fPIC",
        "-Iinclude",
        "tools/npy.c",
        "core/mel_check.c",
        "-lm",
        "-o",
        library,
    ]
    subprocess.run(command, cwd=LIBWAVERNN, check=True)
    c = ctypes.CDLL(str(library))
    c.npy_mels.restype = ctypes.POINTER(ctypes.c_float)
    free = ctypes.CDLL(None).free
    free.argtypes = [ctypes.c_void_p]
    info = _Info(sample_rate=16000, hop_length=20, n_mels=8, mel_name=b"tiny")

    def read(data):
        n, message = ctypes.c_size_t(), ctypes.create_string_buffer(256)
        frames = c.npy_mels(data, ctypes.c_size_t(len(data)), ctypes.byref(info), ctypes.byref(n), message)
        if not frames:
            return message.value.decode()
        mel = np.ctypeslib.as_array(frames, (n.value, 8)).T.copy()
        free(frames)
        return mel

    return read


def in_python(data):
    try:
        return read_mel(io.BytesIO(data), "m", CFG)
    except MelError as error:
        return str(error).removeprefix("m: ")


def npy(header, data=DATA, version=(1, 0), length=None):
    text = header.encode("latin1")
    size = struct.pack("<H" if version[0] == 1 else "<I", len(text) if length is None else length)
    return b"\x93NUMPY" + bytes(version) + size + text + data


def shape(text):
    return npy(GOOD.replace("(8, 5)", text))


def written(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


ACCEPTED = {
    "numpy": written(MEL),
    "fortran": written(np.asfortranarray(MEL)),
    "f8": written(MEL.astype("<f8")),
    "version 2": npy(GOOD, version=(2, 0)),
    "version 3": npy(GOOD, version=(3, 0)),
    "spaces": shape("( 8 ,\n5\t)"),
    "other order": npy("{'shape':(8,5),'descr':'<f4','fortran_order':False}"),
    "more data": npy(GOOD, MEL.tobytes() + b"x"),
    "settings": npy(GOOD + " # mel: tiny, 16000 Hz, hop 20; and more;\n"),
    "comment": npy(GOOD + "#'shape': (9, 1)"),
    "trailing comma": shape("(8, 5,)"),
    "long": npy(GOOD + " " * 60000),
}
NOT_NPY = "not a .npy file, wanted a mel array of wv-mel or numpy.save"
REFUSED = {
    "minus": (shape("(8, -5)"), NOT_NPY),
    "True": (shape("(8, True)"), NOT_NPY),
    "float": (shape("(8, 5.0)"), NOT_NPY),
    "hexadecimal": (shape("(8, 0x5)"), NOT_NPY),
    "underscore": (shape("(8, 0_5)"), NOT_NPY),
    "plus": (shape("(8, +5)"), NOT_NPY),
    "leading zero": (shape("(8, 05)"), NOT_NPY),
    "list": (shape("[8, 5]"), NOT_NPY),
    "long integer": (shape("(8L, 5L)"), NOT_NPY),
    "digits": (shape("(8, 1" + "0" * 30 + ")"), NOT_NPY),
    "nested": (shape("((8, 5))"), NOT_NPY),
    "9 axes": (shape("(8" + ", 5" * 8 + ")"), NOT_NPY),
    "number": (shape("(8)"), NOT_NPY),
    "double quotes": (npy(GOOD.replace("'", '"')), NOT_NPY),
    "4 keys": (npy(GOOD[:-1] + "'x': 1}"), NOT_NPY),
    "2 keys": (npy("{'descr': '<f4', 'shape': (8, 5)}"), NOT_NPY),
    "key twice": (npy("{'descr': '<f4', 'descr': '<f4', 'shape': (8, 5)}"), NOT_NPY),
    "code": (npy(GOOD.replace("'<f4'", "__import__('os').abort()")), NOT_NPY),
    "record": (npy(GOOD.replace("'<f4'", "[('a', '<f4')]")), "dtype [('a', '<f4')], wanted <f4 (float32) or <f8"),
    "long record": (
        npy(GOOD.replace("'<f4'", "[" + "('a', '<f4'), " * 9 + "]")),
        "dtype [" + ("('a', '<f4'), " * 9)[:59] + "..., wanted <f4 (float32) or <f8",
    ),
    "brackets as f4": (npy(GOOD.replace("'<f4'", "[<f4]")), "dtype [<f4], wanted <f4 (float32) or <f8"),
    "space in descr": (npy(GOOD.replace("'<f4'", "'<f4 '")), NOT_NPY),
    "tab in record": (npy(GOOD.replace("'<f4'", "[<f4\t]")), NOT_NPY),
    "nested record": (npy(GOOD.replace("'<f4'", "[('a', [('b', '<f4')])]")), NOT_NPY),
    "open record": (npy(GOOD.replace("'<f4'", "[('a', '<f4')")), NOT_NPY),
    "escape in record": (npy(GOOD.replace("'<f4'", "[('\x1b', '<f4')]")), NOT_NPY),
    "zero byte": (npy(GOOD + "\0"), NOT_NPY),
    "escape": (npy(GOOD + "#\x1b[2J"), NOT_NPY),
    "version 4": (npy(GOOD, version=(4, 0)), NOT_NPY),
    "version 1.1": (npy(GOOD, version=(1, 1)), NOT_NPY),
    "beyond the file": (npy(GOOD, length=60000), NOT_NPY),
    "70 kB": (npy(GOOD + " " * 70000, version=(2, 0)), NOT_NPY),
    "brackets": (npy("(" * 9000 + ")" * 9000), NOT_NPY),
    "1 axis": (shape("(40,)"), "shape (40,), wanted (8, n_frames)"),
    "0 axes": (shape("()"), "shape (), wanted (8, n_frames)"),
    "3 axes": (shape("(8, 5, 1)"), "shape (8, 5, 1), wanted (8, n_frames)"),
    "no frames": (shape("(8, 0)"), "0 frames, wanted at least 1"),
    "terabytes": (shape("(8, 107374181)"), "truncated: 160 bytes of data, wanted (8, 107374181) of <f4"),
    "big-endian": (npy(GOOD.replace("<f4", ">f4")), "dtype >f4, wanted <f4 (float32) or <f8"),
    "other settings": (
        npy(GOOD + "# mel: 16k, 16000 Hz, hop 160\n"),
        "made for 16k, 16000 Hz, hop 160; the model wants tiny, 16000 Hz, hop 20",
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name, in_c):
    for read in (in_python, in_c):
        assert np.array_equal(read(ACCEPTED[name]), MEL)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, in_c):
    data, message = REFUSED[name]
    assert in_python(data) == in_c(data) == message


def test_readers_agree_on_random_headers(in_c):
    rng, counts = random.Random(0), [0, 0]
    pieces = [*" \n\t',(){}:#850->\0\x1b", "é", "1_0", "99999999", "# mel: ", "# mel: tiny, 16000 Hz, hop 20;"]
    pieces += ["[", "]", "[('a', '<f4')]", "<f8", "<f4", "|O"]
    pieces += ["True", "False", "'descr': ", "'shape': ", "'fortran_order': "]
    for _ in range(N_RANDOM):
        text = list(rng.choice([GOOD, GOOD + "\n", "{'shape': (8, 5), 'descr': '<f8', 'fortran_order': True}"]))
        for _ in range(rng.choice([0, 1, 1, 2, 3])):
            at, what = rng.randrange(len(text) + 1), rng.random()
            text[at : at + (what < 0.6) * rng.choice([1, 1, 2, 5])] = rng.choice(pieces) if what > 0.2 else ""
        n_bytes = rng.choice([160, 160, 159, 320, 400, 0])
        data = npy(
            "".join(text), (MEL.tobytes() * 3)[:n_bytes], (rng.choice([1, 1, 1, 2, 3, 4]), rng.choice([0] * 9 + [1]))
        )
        ours, theirs = in_python(data), in_c(data)
        same = np.array_equal(ours, theirs) if isinstance(ours, np.ndarray) else ours == theirs
        assert type(ours) is type(theirs) and same, (data, ours, theirs)
        counts[isinstance(ours, str)] += 1
    assert min(counts) > N_RANDOM // 20, counts


def test_a_long_header_takes_no_time():
    start = time.perf_counter()
    for text in (GOOD + " " * 65000 + "x", GOOD + "#" + " " * 65000 + "\0", "{" + " " * 65000, GOOD[:-1] + " " * 65000):
        assert in_python(npy(text, version=(2, 0))) == NOT_NPY
    assert time.perf_counter() - start < 2
