"""The two .npy readers accept the same bytes, and refuse others in the same words: FORMAT.md, "The .npy of a mel"."""

from __future__ import annotations

import io
import random
import time

import numpy as np
import pytest
from npy_twins import DATA, GOOD, MEL, agree, c_reader, in_python, npy, random_file

N_RANDOM = 4000


@pytest.fixture(scope="module")
def in_c(tmp_path_factory):
    return c_reader(tmp_path_factory.mktemp("npy"))


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
    "more data": npy(GOOD, DATA + b"x"),
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
    rng = random.Random(0)
    accepted = sum(agree(random_file(rng), in_c) for _ in range(N_RANDOM))
    assert N_RANDOM // 20 < accepted < N_RANDOM - N_RANDOM // 20


def test_a_long_header_takes_no_time():
    start = time.perf_counter()
    for text in (GOOD + " " * 65000 + "x", GOOD + "#" + " " * 65000 + "\0", "{" + " " * 65000, GOOD[:-1] + " " * 65000):
        assert in_python(npy(text, version=(2, 0))) == NOT_NPY
    assert time.perf_counter() - start < 2
