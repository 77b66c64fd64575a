"""What FORMAT.md demands of the bytes of a .bin: one function per step of `binary.parse`.

C twin: libwavernn/core/format.c, which makes the same checks in the same order.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wv_runtime.errors import FormatError
from wv_runtime.model.config import MelConfig, WaveRNNConfig
from wv_runtime.model.layout import (
    ALIGN,
    BLOCK_H,
    BLOCK_W,
    COMB_MIN,
    CONFIG_FIELDS,
    DENOISE,
    DTYPES,
    HEADER,
    HEADER_BYTES,
    MAGIC,
    MAX_FILE_BYTES,
    MAX_METADATA_BYTES,
    MEL_FIELDS,
    SUBSCALE_FIELDS,
    VERSIONS,
    X_SCALE,
    Section,
    padded,
    sections,
)
from wv_runtime.model.weights import Matrix

# How files begin that are taken for a .bin, and what to say then
FOREIGN = {b"PK\x03\x04": "; for a checkpoint, run wv-export first", b"\x93NUMPY": "; a model comes before mels"}


def checksum(data: bytes | NDArray[np.uint8]) -> int:
    """What the header's checksum must be."""
    return zlib.crc32(data[16:])


def need(ok: bool | np.bool_, status: str, where: str, message: str) -> None:
    if not ok:
        raise FormatError(f"{where}: {message}", status)


def read_header(raw: NDArray[np.uint8], where: str) -> np.void:
    """1) is this a whole, undamaged file of this version?"""
    n = len(raw)
    need(n >= 16, "truncated", where, f"{n} bytes, expected at least {HEADER_BYTES}")
    magic = raw[:8].tobytes()
    hint = next((hint for known, hint in FOREIGN.items() if magic.startswith(known)), "")
    need(magic == MAGIC, "magic", where, f"magic {magic!r}, expected {MAGIC!r} of a .bin by wv-export{hint}")
    version, wanted = (int(v) for v in raw[8:16].view("<u4"))
    need(version in VERSIONS, "version", where, f"version {version}, expected 1, 2, 3, 4 or 5")
    need(n >= HEADER_BYTES, "truncated", where, f"{n} bytes, expected at least {HEADER_BYTES}")
    header = raw[: HEADER.itemsize].view(HEADER)[0]
    size = int(header["file_bytes"])
    need(size <= n, "truncated", where, f"{n} bytes, expected {size} (file_bytes)")
    need(size == n, "section", where, f"{n} bytes, expected {size} (file_bytes)")
    found = checksum(raw)
    need(found == wanted, "checksum", where, f"checksum {found:08x}, expected {wanted:08x}: damaged bytes")
    legal = size % ALIGN == 0 and size <= MAX_FILE_BYTES
    need(legal, "header", where, f"file_bytes {size}, expected a multiple of {ALIGN}, at most {MAX_FILE_BYTES}")
    return header


def read_config(header: np.void, where: str) -> WaveRNNConfig:
    """2) are the header's fields in range?"""
    version, comb, denoise = int(header["version"]), float(header["comb"]), float(header["denoise"])
    has_comb, has_denoise = (any(header[name].tobytes()) for name in ("comb", "denoise"))
    new = [int(header[name]) for name in ("lpc_order", "M", "postfilter", "band", "weight")]
    lanes = {name: int(header[name]) for name in SUBSCALE_FIELDS if header["subscale"]}
    any_lanes = any(header[name] for name in (*SUBSCALE_FIELDS, "lane"))
    zero = not header["reserved_0"] and (version > 1 or not any(new)) and (version > 2 or not has_comb)
    zero &= (version > 3 or not header["mel_stats"]) and (version > 4 or not (has_denoise or any_lanes))
    need(zero, "header", where, "reserved bytes of the header, expected zeros")
    lpc_order, M, postfilter, band, weight = new  # noqa: N806
    used = version != 2 or lpc_order or postfilter
    need(bool(used), "header", where, "lpc_order 0 and postfilter 0, expected one of them above 0 in version 2")
    legal = lanes["subscale"] > 1 if lanes else not any_lanes
    need(legal, "header", where, f"subscale {int(header['subscale'])}, expected 0 with zeros for lanes, or 2..16")
    need(version != 3 or has_comb, "header", where, "comb 0, expected one in version 3")
    legal = not has_comb or (postfilter > 0 and COMB_MIN <= comb <= 1)
    need(legal, "header", where, f"comb {comb}, expected 0, or with a post-filter {COMB_MIN}..1")
    need(
        version != 5 or has_denoise or bool(lanes),
        "header",
        where,
        "denoise 0 and subscale 0, expected one of them above 0 in version 5",
    )
    legal = not has_denoise or (postfilter > 0 and float(np.float32(DENOISE[0])) <= denoise <= DENOISE[1])
    need(legal, "header", where, f"denoise {denoise}, expected 0, or with a post-filter {DENOISE[0]}..{DENOISE[1]} dB")
    need(lpc_order > 0 or not M, "header", where, f"M {M}, expected 0 without linear prediction")
    need(postfilter <= 2, "header", where, f"postfilter {postfilter}, expected 0..2")
    need(postfilter > 0 or not (band or weight), "header", where, "band or weight without postfilter, expected 0")
    n_fft = int(header["n_fft"])
    need(not postfilter or n_fft & (n_fft - 1) == 0, "header", where,
          f"n_fft {n_fft}, expected a power of two for the post-filter")  # fmt: skip
    size = int(header["metadata_bytes"])
    need(size <= MAX_METADATA_BYTES, "header", where, f"metadata_bytes {size}, expected at most {MAX_METADATA_BYTES}")
    name = header["mel_name"]  # NumPy has cut the zeros at the end
    text = len(name) < 32 and all(0x20 <= c <= 0x7E for c in name)
    need(text, "header", where, f"mel_name {name!r}, expected at most 31 printable ASCII bytes, then zeros")
    try:
        mel = MelConfig(name.decode("ascii"), *(header[f].item() for f in MEL_FIELDS))
        return WaveRNNConfig(**{f: header[f].item() for f in CONFIG_FIELDS}, **lanes, mel=mel)
    except ValueError as e:
        raise FormatError(f"{where}: header: {e}", "header") from None


def check_record(r: np.void, name: str, shape: tuple[int, int], int8: bool, position: int, end: int, where: str) -> int:
    """3) is this the record of matrix `name`, and do its sections lie where they must? Returns where they end."""
    rows, cols = shape

    def expect(ok: bool, field_name: str, wanted: object) -> None:
        if not ok:  # a message takes longer than a check
            need(False, "section", where, f"matrix {name}: {field_name} {r[field_name].tolist()}, expected {wanted}")

    expect(r["name"] == name.encode(), "name", name)
    expect(int(r["dtype"]) in ((2,) if int8 else (0, 1)), "dtype", "2 (int8, as C2)" if int8 else "0 f32 or 1 f16")
    dtype = list(DTYPES)[r["dtype"]]
    expect(r["rows"] == rows, "rows", rows)
    expect(r["cols"] == cols, "cols", cols)
    expect(r["block_h"] in BLOCK_H and rows % int(r["block_h"]) == 0, "block_h", f"4, 8, 16 or 32, a divisor of {rows}")
    widths = (4,) if int8 else BLOCK_W
    expect(r["block_w"] in widths and cols % int(r["block_w"]) == 0, "block_w", f"one of {widths}, a divisor of {cols}")
    block_h, block_w, nnz_blocks = int(r["block_h"]), int(r["block_w"]), int(r["nnz_blocks"])
    n_blocks = rows // block_h * (cols // block_w)
    expect(nnz_blocks <= n_blocks, "nnz_blocks", f"at most {n_blocks}")
    if int8 and name in X_SCALE:
        expect(r["x_scale"] == X_SCALE[name], "x_scale", X_SCALE[name])
        expect(r["x_zero"] == 0, "x_zero", 0)
    elif int8:
        expect(
            bool(np.isfinite(r["x_scale"])) and r["x_scale"].view(np.int32) > 0, "x_scale", "a finite number above 0"
        )
        expect(r["x_zero"] == -127, "x_zero", -127)
    else:
        expect(r["x_scale"] == 0, "x_scale", 0)
        expect(r["x_zero"] == 0, "x_zero", 0)
        expect(r["scale"] == 0, "scale", "0: none in a float matrix")
    expect(not r["reserved"].any(), "reserved", "zeros")
    for s in sections(dtype, rows, block_h, block_w, nnz_blocks):
        position = check_place(s, f"{name}.{s.name}", int(r[s.name]), position, end, where)
    return position


def check_place(s: Section, full_name: str, offset: int, position: int, end: int, where: str) -> int:
    """A section starts where the one before it ended, padded, and ends within the file."""
    need(offset == position, "section", where, f"section {full_name}: offset {offset}, expected {position}")
    stop = padded(offset + s.n_bytes)
    need(stop <= end, "section", where, f"section {full_name}: ends at {stop}, expected at most {end}")
    return stop


def view(raw: NDArray[np.uint8], s: Section, full_name: str, offset: int, where: str) -> NDArray[Any]:
    stop = offset + s.n_bytes
    padding = raw[stop : padded(stop)]
    need(not padding.any(), "section", where, f"section {full_name}: padding not zero")
    return raw[offset:stop].view(s.dtype)


def check_finite(a: NDArray[Any], full_name: str, where: str) -> None:
    need(np.isfinite(a).all(), "values", where, f"section {full_name}: NaN or infinity, expected finite numbers")


def read_matrix(raw: NDArray[np.uint8], r: np.void, name: str, where: str) -> Matrix:
    """4) do the sections hold what a kernel may trust?"""
    dtype = list(DTYPES)[r["dtype"]]
    rows, cols, block_h, block_w, nnz_blocks = (int(r[f]) for f in ("rows", "cols", "block_h", "block_w", "nnz_blocks"))
    a = {}
    for s in sections(dtype, rows, block_h, block_w, nnz_blocks):
        full_name = f"{name}.{s.name}"
        v = a[s.name] = view(raw, s, full_name, int(r[s.name]), where)
        if s.name == "row_ptr":
            _check_row_ptr(v, nnz_blocks, full_name, where)
        elif s.name == "col_idx":
            _check_col_idx(v, a["row_ptr"], cols // block_w, full_name, where)
        elif dtype == "int8" and s.name == "values":
            _check_pairs(v, full_name, where)
        else:
            check_finite(v, full_name, where)
            # by their bits: to a thread that flushes subnormals, some positive numbers are not above 0
            positive = s.name != "scale" or (v.view(np.int32) > 0).all()
            need(positive, "values", where, f"section {full_name}: zero or below, expected positive numbers")
    return Matrix(
        name, rows, cols, block_h, block_w, a["values"], a["row_ptr"], a["col_idx"], a["bias"], a.get("scale"),
        float(r["x_scale"]), int(r["x_zero"]),
    )  # fmt: skip


def _check_row_ptr(row_ptr: NDArray[np.int32], nnz_blocks: int, full_name: str, where: str) -> None:
    first, last = int(row_ptr[0]), int(row_ptr[-1])
    need(first == 0, "row_ptr", where, f"section {full_name}: first entry {first}, expected 0")
    falls = row_ptr[1:] < row_ptr[:-1]
    at = int(falls.argmax()) + 1
    need(not falls[at - 1], "row_ptr", where, f"section {full_name}: entry {at} below the one before it")
    need(last == nnz_blocks, "row_ptr", where,
          f"section {full_name}: last entry {last}, expected {nnz_blocks} (nnz_blocks)")  # fmt: skip


def _check_col_idx(
    col_idx: NDArray[np.uint16], row_ptr: NDArray[np.int32], n_block_cols: int, full_name: str, where: str
) -> None:
    if len(col_idx) == 0:
        return
    largest = int(col_idx.max())
    need(largest < n_block_cols, "col_idx", where,
          f"section {full_name}: block column {largest}, expected at most {n_block_cols - 1}")  # fmt: skip
    rises = np.ones(len(col_idx) + 1, bool)
    rises[1:-1] = col_idx[1:] > col_idx[:-1]
    rises[row_ptr] = True  # a row may start anywhere
    need(rises.all(), "col_idx", where, f"section {full_name}: not ascending within a row")


def _check_pairs(values: NDArray[np.int8], full_name: str, where: str) -> None:
    need(not (values == -128).any(), "values", where, f"section {full_name}: -128, expected -127..127")
    pairs = np.abs(values).reshape(-1, 2)  # a quad is 4 values of one row, so pairs never cross a row
    largest = int(np.add(pairs[:, 0], pairs[:, 1], dtype=np.int16).max(initial=0))
    need(largest <= 128, "values", where, f"section {full_name}: a pair sums to {largest}, expected at most 128")


def read_metadata(text: bytes, where: str) -> dict[str, Any]:
    """5) is the metadata a JSON object?"""
    try:
        metadata = json.loads(text.decode(), parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict):
        raise FormatError(f"{where}: section metadata: {text[:20]!r}, expected a JSON object", "section")
    return metadata


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not np.isfinite(value):
        raise ValueError(f"{text} is no number of f64")
    return value
