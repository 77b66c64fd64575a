"""Where a .bin keeps what: FORMAT.md's header, records and sections, and their limits.

No other Python file knows an offset.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

MAGIC = b"WaveRNN\n"
# 2: linear prediction or the post-filter's tables; 3: its comb; 4: statistics of the mels; 5: subscale; less noise
VERSIONS = (1, 2, 3, 4, 5)
ALIGN = 64
MAX_FILE_BYTES = 2**31 - ALIGN
MAX_METADATA_BYTES = 2**20
M_MIN = 1e-20  # of row 0 of M: a power in squares of 16-bit steps
MEL_STD_MIN = 1e-4  # of a band's deviation in training
COMB_MIN = 1e-3  # smallest strength of a pitch comb, if there is one
DENOISE = (0.1, 40.0)  # range of the spectral subtraction, dB, if there is one
BLOCK_H = (4, 8, 16, 32)
BLOCK_W = (1, 2, 4)
DTYPES: dict[str, np.dtype[Any]] = {
    "f32": np.dtype("<f4"),
    "f16": np.dtype("<f2"),
    "int8": np.dtype("i1"),
}  # in the order of their codes
# Levels per unit of an int8 matrix's input: conditioning in [-1, 1], and the state h, kept in 16 bits, in its upper 8.
# O2 and O4, whose inputs are behind a relu, have their own.
X_SCALE = {"C2": 127.0, "C3": 127.0, "R": 128.0, "O1": 128.0, "O3": 128.0}
# FORMAT.md, "Header": 192 bytes.
HEADER = np.dtype(
    [
        ("magic", "S8"),
        ("version", "<u4"),
        ("checksum", "<u4"),
        ("file_bytes", "<u4"),
        ("n_units", "<u4"),
        ("n_out", "<u4"),
        ("n_cond", "<u4"),
        ("cond_width", "<u4"),
        ("n_sub", "<u4"),
        ("preemphasis", "<f8"),
        ("mel_name", "S32"),
        ("sample_rate", "<u4"),
        ("n_fft", "<u4"),
        ("hop_length", "<u4"),
        ("win_length", "<u4"),
        ("n_mels", "<u4"),
        ("reserved_0", "<u4"),
        ("fmin", "<f8"),
        ("fmax", "<f8"),
        ("log_floor", "<f8"),
        ("I", "<u4"),
        ("metadata", "<u4"),
        ("metadata_bytes", "<u4"),
        ("lpc_order", "<u4"),
        ("M", "<u4"),
        ("postfilter", "<u4"),
        ("band", "<u4"),
        ("weight", "<u4"),
        ("mel_stats", "<u4"),
        ("comb", "<f4"),
        ("subscale", "<u4"),
        ("horizon", "<u4"),
        ("lookback", "<u4"),
        ("context", "<u4"),
        ("denoise", "<f4"),
        ("lane", "<u4"),
    ]
)
# FORMAT.md, "Matrix record": 64 bytes; eight of them follow the header.
RECORD = np.dtype(
    [
        ("name", "S4"),
        ("dtype", "<u4"),
        ("rows", "<u4"),
        ("cols", "<u4"),
        ("block_h", "<u4"),
        ("block_w", "<u4"),
        ("nnz_blocks", "<u4"),
        ("x_scale", "<f4"),
        ("x_zero", "<i4"),
        ("values", "<u4"),
        ("row_ptr", "<u4"),
        ("col_idx", "<u4"),
        ("bias", "<u4"),
        ("scale", "<u4"),
        ("reserved", "<u4", 2),
    ]
)
N_MATRICES = 8
HEADER_BYTES = HEADER.itemsize + N_MATRICES * RECORD.itemsize
CONFIG_FIELDS = ("n_units", "n_out", "n_cond", "cond_width", "n_sub", "preemphasis", "lpc_order")
SUBSCALE_FIELDS = ("subscale", "horizon", "lookback", "context")  # zeros where subscale is 1
MEL_FIELDS = ("sample_rate", "n_fft", "hop_length", "win_length", "n_mels", "fmin", "fmax", "log_floor")


class Section(NamedTuple):
    name: str
    dtype: np.dtype[Any]
    length: int

    @property
    def n_bytes(self) -> int:
        return self.dtype.itemsize * self.length


def sections(dtype: str, rows: int, block_h: int, block_w: int, nnz_blocks: int) -> Iterator[Section]:
    """FORMAT.md, "Sections"."""
    yield Section("values", DTYPES[dtype], nnz_blocks * block_h * block_w)
    yield Section("row_ptr", np.dtype("<i4"), rows // block_h + 1)
    yield Section("col_idx", np.dtype("<u2"), nnz_blocks)
    yield Section("bias", np.dtype("<f4"), rows)
    if dtype == "int8":
        yield Section("scale", np.dtype("<f4"), rows)


def padded(n: int) -> int:
    return -(-n // ALIGN) * ALIGN
