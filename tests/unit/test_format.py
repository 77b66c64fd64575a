"""format.py and format.c: round trips, the specification, and every way in which a file can be broken."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import DATA, LIBWAVERNN, ROOT, SUPPORT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_fixtures import tiny_config, tiny_model
from wv_runtime.errors import FormatError
from wv_runtime.model import binary as bin_format
from wv_runtime.model.binary import load, pack, parse, save, with_checksum
from wv_runtime.model.layout import HEADER, HEADER_BYTES, RECORD

C_FLAGS = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow"]
# Files of version 1 as the first release wrote them. They stay, whatever later versions write.
GOLDEN_SHA256 = {
    "f32": "ad1cd027fa71078ac7bc8e91eb0b907b7c450e4513087628893826de3356d5c7",
    "f16": "e551ee6c748597606c8400b21844b955ffdebf02bb432e33b5be8c6874e8b382",
    "int8": "8dcd0b56b7364479d92bfb74ba9975bc5109b4a0aa7e2a8b39e9e58ebfdfc0d2",
}
MATRICES = ["C1", "C2", "C3", "R", "O1", "O2", "O3", "O4"]


def golden(dtype: str) -> bytes:
    return (DATA / f"golden_v1_{dtype}.bin").read_bytes()


# ---- what is written


@pytest.mark.parametrize("dtype", ["f32", "f16", "int8"])
def test_round_trip(dtype, tmp_path):
    model = tiny_model(dtype, seed=3)
    save(model, tmp_path / "m.bin")
    back = load(tmp_path / "m.bin")
    assert back.config == model.config and back.metadata == model.metadata and list(back.matrices) == MATRICES
    np.testing.assert_array_equal(back.I, model.I)
    for a, b in zip(model.matrices.values(), back.matrices.values()):
        for field in ("name", "rows", "cols", "block_h", "block_w", "x_zero", "dtype"):
            assert getattr(a, field) == getattr(b, field)
        assert np.float32(a.x_scale) == b.x_scale
        for field in ("values", "row_ptr", "col_idx", "bias", "scale"):
            np.testing.assert_array_equal(getattr(a, field), getattr(b, field))
    assert pack(back) == pack(model) == (tmp_path / "m.bin").read_bytes()


@pytest.mark.parametrize("block", [(4, 1), (8, 2), (16, 4), (32, 1)])
def test_round_trip_of_other_blocks(block):
    data = pack(tiny_model("f32", block=block, cfg=tiny_config(n_units=64, preemphasis=0.0)))
    assert pack(parse(data)) == data


def test_empty_matrix():
    model = tiny_model("int8")
    m = model.matrices["R"]
    nothing = replace(m, values=m.values[:0], col_idx=m.col_idx[:0], row_ptr=0 * m.row_ptr)
    data = pack(replace(model, matrices={**model.matrices, "R": nothing}))
    assert parse(data).matrices["R"].nnz_blocks == 0 and parse(data).matrices["R"].sparsity == 1


@pytest.mark.parametrize("dtype", ["f32", "f16", "int8"])
def test_golden(dtype):
    data = golden(dtype)
    assert hashlib.sha256(data).hexdigest() == GOLDEN_SHA256[dtype]
    model = parse(data)
    assert pack(model) == data
    assert model.config == tiny_config() and model.metadata["licence"] == "Apache-2.0"
    R = model.matrices["R"]
    assert R.dtype == dtype and (R.rows, R.cols) == (192, 64)
    assert all(len(data) % 64 == 0 and a.ctypes.data % 64 == 0 for a in (R.values, R.row_ptr, R.col_idx, R.bias))


def test_parse_is_zero_copy_and_read_only(tmp_path):
    raw = bin_format.aligned(golden("int8"))
    model = parse(raw)
    assert all(np.shares_memory(raw, a) for a in (model.I, model.matrices["R"].values, model.matrices["O4"].scale))
    with pytest.raises(ValueError, match="read-only"):
        model.matrices["R"].values[0] = 1
    shifted = np.frombuffer(b"x" + golden("int8"), np.uint8)[1:]  # from an odd address: copied once
    assert bin_format.aligned(shifted).ctypes.data % 64 == 0 and pack(parse(shifted)) == golden("int8")


def test_save_leaves_the_old_file_on_failure(tmp_path):
    path = tmp_path / "m.bin"
    path.write_bytes(b"old")
    broken = replace(tiny_model(), metadata={"x": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        save(broken, path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_pack_refuses_what_parse_refuses():
    model = tiny_model("f32")
    bias = model.matrices["R"].bias.copy()
    bias[5] = np.inf
    infinite = replace(model, matrices={**model.matrices, "R": replace(model.matrices["R"], bias=bias)})
    with pytest.raises(FormatError, match=r"pack: section R.bias: NaN or infinity") as e:
        pack(infinite)
    assert e.value.status == "values"


def test_bad_arguments_are_value_errors():
    model = tiny_model("f32")
    R, O1 = model.matrices["R"], tiny_model("int8").matrices["O1"]
    for matrix, change, message in (
        (R, {"values": R.values.astype(np.float64)}, "R.values: found float64"),
        (R, {"col_idx": R.col_idx.astype(np.int64)}, "R.col_idx: found int64"),
        (R, {"row_ptr": R.row_ptr[1:]}, "R.row_ptr: found int32"),
        (R, {"bias": R.bias[:-1]}, "R.bias: found float32"),
        (R, {"scale": R.bias}, "R.scale"),
        (O1, {"scale": None}, "O1.scale"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            replace(matrix, **change)
    with pytest.raises(ValueError, match="matrices: found R, wanted C1"):
        pack(replace(model, matrices={"R": R}))
    with pytest.raises(ValueError, match="metadata"):
        pack(replace(model, metadata={"x": object()}))


# ---- the specification is the code


def table_of(heading: str) -> list[list[str]]:
    text = (ROOT / "runtime" / "FORMAT.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


@pytest.mark.parametrize(("heading", "dtype"), [("Header", HEADER), ("Matrix record", RECORD)])
def test_format_md_has_every_offset(heading, dtype):
    types = {"<u4": "u32", "<i4": "i32", "<f4": "f32", "<f8": "f64"}
    wanted = [
        [str(offset), types.get(t.str, f"{t.itemsize} bytes"), re.sub(r"_\d$", "", name)]
        for name, (t, offset) in ((n, dtype.fields[n][:2]) for n in dtype.names)
    ]
    assert [row[:3] for row in table_of(heading) if row[0].isdigit()] == wanted


def test_format_md_has_every_matrix():
    shapes = [row for row in table_of("Matrix record") if row[0].strip("`") in MATRICES]
    assert [row[0].strip("`") for row in shapes] == MATRICES
    cfg = tiny_config()
    names = {"N": cfg.n_units, "n_out": cfg.n_out, "n_cond": cfg.n_cond, "n_sub": cfg.n_sub,
             "cond_width": cfg.cond_width, "n_mels": cfg.mel.n_mels}  # fmt: skip
    for row in shapes:
        text = [re.sub(r"(\d)N", r"\1 * N", c).replace("/", "//") for c in row[1:3]]
        assert tuple(eval(t, {}, names) for t in text) == cfg.matrix_shapes()[row[0].strip("`")]


# ---- damaged files: one per check of FORMAT.md


class Bin:
    """A golden file taken apart for damaging."""

    def __init__(self, dtype: str):
        self.bytes = bytearray((DATA / "golden_v5_lanes.bin").read_bytes() if dtype == "lanes" else golden(dtype))
        self.header = np.frombuffer(self.bytes, HEADER, 1)[0]
        self.records = dict(zip(MATRICES, np.frombuffer(self.bytes, RECORD, 8, HEADER.itemsize)))

    def section(self, name: str, dtype: str, n: int = 8) -> np.ndarray:
        matrix, _, field = name.rpartition(".")
        offset = self.records[matrix][field] if matrix else self.header[field]
        return np.frombuffer(self.bytes, dtype, n, int(offset))

    def end_of(self, name: str) -> int:
        """One past the last byte of a row_ptr section."""
        r = self.records[name]
        return int(r["row_ptr"] + 4 * (r["rows"] // r["block_h"] + 1))


def put(target, key, value):
    target[key] = value


# name -> (dtype of the golden file, status, text of the message, edit)
DAMAGE = {
    "magic": ("int8", "magic", "magic b'RIFF", lambda b: put(b.bytes, slice(0, 4), b"RIFF")),
    "version_6": ("int8", "version", "version 6, expected 1, 2, 3, 4 or 5", lambda b: put(b.header, "version", 6)),
    "version_5_without_use": ("int8", "header", "denoise 0 and subscale 0", lambda b: put(b.header, "version", 5)),
    **{
        f"lanes_{field}_{value}": ("lanes", "header", text, lambda b, f=field, v=value: put(b.header, f, v))
        for field, value, text in (
            ("subscale", 0, "subscale 0"), ("subscale", 1, "subscale 1"), ("subscale", 3, "subscale"),
            ("subscale", 17, "subscale"), ("subscale", 2**32 - 4, "subscale"), ("horizon", 65, "horizon"),
            ("lookback", 0, "lookback"), ("lookback", 65, "lookback"), ("context", 33, "context"),
            ("lpc_order", 0, "M 0x"[:2]), ("version", 4, "reserved"),
        )
    },
    "lane_offset": ("lanes", "section", "section lane: offset 64", lambda b: put(b.header, "lane", 64)),
    "lane_nan": ("lanes", "values", "section lane: NaN", lambda b: put(b.section("lane", "<f4"), 7, np.nan)),
    "M_of_more_lags": ("lanes", "section", "section lane: offset", lambda b: put(b.header, "lookback", 4)),
    "I_of_more_context": ("lanes", "section", "section M: offset", lambda b: put(b.header, "context", 4)),
    "lanes_I_coarse": ("lanes", "values", "the coarse", lambda b: put(b.section("I", "<f4", 2048), 10 * 192 + 1, 1)),
    "denoise_in_version_1": ("int8", "header", "reserved", lambda b: put(b.header, "denoise", 3)),
    "version_3_without_comb": ("int8", "header", "comb 0", lambda b: put(b.header, "version", 3)),
    "version_2_without_prediction": ("int8", "header", "lpc_order 0 and postfilter 0",
                                     lambda b: put(b.header, "version", 2)),
    "prediction_in_version_1": ("int8", "header", "reserved", lambda b: put(b.header, "lpc_order", 16)),
    "postfilter_in_version_1": ("int8", "header", "reserved", lambda b: put(b.header, "postfilter", 2)),
    "M_in_version_1": ("int8", "header", "reserved", lambda b: put(b.header, "M", 64)),
    "file_bytes_too_large": ("int8", "truncated", "(file_bytes)", lambda b: put(b.header, "file_bytes", 1 << 31)),
    "reserved_0": ("int8", "header", "reserved", lambda b: put(b.header, "reserved_0", 1)),
    "mel_stats_in_version_1": ("int8", "header", "reserved", lambda b: put(b.header, "mel_stats", 64)),
    "subscale_in_version_1": ("int8", "header", "reserved", lambda b: put(b.header, "subscale", 2)),
    "lane_in_version_1": ("int8", "header", "reserved", lambda b: put(b.header, "lane", 64)),
    "mel_stats_missing_in_version_4": ("int8", "section", "mel_stats: offset 0", lambda b: put(b.header, "version", 4)),
    "metadata_bytes_huge": ("int8", "header", "metadata_bytes", lambda b: put(b.header, "metadata_bytes", 1 << 31)),
    "mel_name_unterminated": ("int8", "header", "mel_name", lambda b: put(b.header, "mel_name", b"x" * 32)),
    "mel_name_control": ("int8", "header", "mel_name", lambda b: put(b.header, "mel_name", b"a\nb")),
    "mel_name_after_zero": ("int8", "header", "mel_name", lambda b: put(b.header, "mel_name", b"a\0b")),
    "mel_name_not_ascii": ("int8", "header", "mel_name", lambda b: put(b.header, "mel_name", b"\xff")),
    **{
        f"{field}_{value}": ("int8", "header", field, lambda b, f=field, v=value: put(b.header, f, v))
        for field, values in {
            "sample_rate": (999, 192001),
            "n_fft": (15, 16385),
            "hop_length": (0, 4097),
            "win_length": (19, 65),
            "n_mels": (0, 513),
            "n_units": (0, 32, 96, 8256, 2**32 - 64),
            "n_out": (0, 8, 4112),
            "n_cond": (0, 24, 4112),
            "cond_width": (0, 2, 33),
            "n_sub": (0, 3, 65),
            "preemphasis": (-0.1, 1.0, np.nan),
            "log_floor": (0.0, 1.0, np.nan),
        }.items()
        for value in values
    },
    **{
        f"{field}_{value}": ("int8", "header", "fmax", lambda b, f=field, v=value: put(b.header, f, v))
        for field, values in {"fmin": (-1.0, 8000.0, np.nan), "fmax": (0.0, 8001.0, np.nan, np.inf)}.items()
        for value in values
    },
    "n_units_of_another_model": ("int8", "section", "C3: rows", lambda b: put(b.header, "n_units", 128)),
    "name_swapped": ("int8", "section", "R: name", lambda b: put(b.records["R"], "name", b"O1")),
    "dtype_unknown": ("f32", "section", "R: dtype 3", lambda b: put(b.records["R"], "dtype", 3)),
    "dtype_c1_int8": ("int8", "section", "C1: dtype 2", lambda b: put(b.records["C1"], "dtype", 2)),
    "dtype_c2_unknown": ("int8", "section", "C2: dtype 9", lambda b: put(b.records["C2"], "dtype", 9)),
    "dtype_int8_in_float": ("f32", "section", "O2: dtype 2", lambda b: put(b.records["O2"], "dtype", 2)),
    "dtype_float_in_int8": ("int8", "section", "O2: dtype 0", lambda b: put(b.records["O2"], "dtype", 0)),
    "dtype_f16_in_f32": ("f32", "section", "O2.row_ptr: offset", lambda b: put(b.records["O2"], "dtype", 1)),
    "rows": ("int8", "section", "R: rows", lambda b: put(b.records["R"], "rows", 96)),
    "cols": ("int8", "section", "R: cols", lambda b: put(b.records["R"], "cols", 96)),
    "block_h_0": ("int8", "section", "R: block_h", lambda b: put(b.records["R"], "block_h", 0)),
    "block_h_12": ("int8", "section", "R: block_h", lambda b: put(b.records["R"], "block_h", 12)),
    "block_h_no_divisor": ("int8", "section", "C1: block_h", lambda b: put(b.records["C1"], "block_h", 32)),
    "block_w_0": ("f32", "section", "R: block_w", lambda b: put(b.records["R"], "block_w", 0)),
    "block_w_3": ("f32", "section", "R: block_w", lambda b: put(b.records["R"], "block_w", 3)),
    "block_w_int8_1": ("int8", "section", "R: block_w", lambda b: put(b.records["R"], "block_w", 1)),
    "nnz_blocks_too_many": ("int8", "section", "R: nnz_blocks", lambda b: put(b.records["R"], "nnz_blocks", 385)),
    "nnz_blocks_huge": ("int8", "section", "R: nnz_blocks", lambda b: put(b.records["R"], "nnz_blocks", 2**32 - 1)),
    "nnz_blocks_other": ("f32", "section", "R.row_ptr: offset", lambda b: put(b.records["R"], "nnz_blocks", 190)),
    "x_scale_of_state": ("int8", "section", "R: x_scale", lambda b: put(b.records["R"], "x_scale", 127)),
    "x_scale_of_tanh": ("int8", "section", "C3: x_scale", lambda b: put(b.records["C3"], "x_scale", 128)),
    "x_scale_0": ("int8", "section", "O4: x_scale", lambda b: put(b.records["O4"], "x_scale", 0)),
    "x_scale_nan": ("int8", "section", "O2: x_scale", lambda b: put(b.records["O2"], "x_scale", np.nan)),
    "x_scale_inf": ("int8", "section", "O2: x_scale", lambda b: put(b.records["O2"], "x_scale", np.inf)),
    "x_scale_in_float": ("f32", "section", "R: x_scale", lambda b: put(b.records["R"], "x_scale", 1)),
    "x_zero_of_state": ("int8", "section", "R: x_zero", lambda b: put(b.records["R"], "x_zero", 1)),
    "x_zero_of_relu": ("int8", "section", "O2: x_zero", lambda b: put(b.records["O2"], "x_zero", 0)),
    "x_zero_in_float": ("f32", "section", "R: x_zero", lambda b: put(b.records["R"], "x_zero", 1)),
    "scale_in_float": ("f32", "section", "R: scale", lambda b: put(b.records["R"], "scale", 64)),
    "record_reserved": ("int8", "section", "R: reserved", lambda b: put(b.records["R"]["reserved"], 1, 1)),
    "offset_of_scale_0": ("int8", "section", "R.scale: offset 0", lambda b: put(b.records["R"], "scale", 0)),
    "offset_unaligned": ("int8", "section", "C1.values: offset", lambda b: put(b.records["C1"], "values", 705)),
    "offset_overlaps": ("int8", "section", "C1.row_ptr: offset", lambda b: put(b.records["C1"], "row_ptr", 704)),
    "offset_beyond": ("int8", "section", "R.bias: offset", lambda b: put(b.records["R"], "bias", 2**32 - 64)),
    "offset_of_I": ("int8", "section", "section I: offset", lambda b: put(b.header, "I", 704)),
    "offset_of_metadata": ("int8", "section", "metadata: offset", lambda b: put(b.header, "metadata", 704)),
    "metadata_past_the_end": ("int8", "section", "metadata: ends", lambda b: put(b.header, "metadata_bytes", 4096)),
    "metadata_short": ("int8", "section", "metadata: ends", lambda b: put(b.header, "metadata_bytes", 0)),
    "padding": ("int8", "section", "R.row_ptr: padding", lambda b: put(b.bytes, b.end_of("R"), 1)),
    "padding_of_metadata": ("int8", "section", "metadata: padding", lambda b: put(b.bytes, -1, 1)),
    "int8_minus_128": ("int8", "values", "R.values: -128", lambda b: put(b.section("R.values", "i1"), 0, -128)),
    "int8_pair_129": ("int8", "values", "sums to 129", lambda b: put(b.section("R.values", "i1"), [2, 3], [-127, 2])),
    "f32_nan": ("f32", "values", "O1.values: NaN", lambda b: put(b.section("O1.values", "<f4"), 3, np.nan)),
    "f16_infinity": ("f16", "values", "O1.values: NaN", lambda b: put(b.section("O1.values", "<f2"), 3, -np.inf)),
    "bias_nan": ("int8", "values", "O2.bias: NaN", lambda b: put(b.section("O2.bias", "<f4"), 7, np.nan)),
    "scale_infinity": ("int8", "values", "O2.scale: NaN", lambda b: put(b.section("O2.scale", "<f4"), 7, np.inf)),
    "scale_0": ("int8", "values", "O2.scale: zero", lambda b: put(b.section("O2.scale", "<f4"), 7, 0)),
    "scale_negative": ("int8", "values", "O2.scale: zero", lambda b: put(b.section("O2.scale", "<f4"), 7, -1)),
    "row_ptr_first": ("int8", "row_ptr", "first entry 1", lambda b: put(b.section("R.row_ptr", "<i4"), 0, 1)),
    "row_ptr_negative": ("int8", "row_ptr", "below the one", lambda b: put(b.section("R.row_ptr", "<i4"), 1, -1)),
    "row_ptr_decreasing": ("int8", "row_ptr", "below the one", lambda b: put(b.section("R.row_ptr", "<i4"), 2, 999)),
    "row_ptr_last": (
        "int8", "row_ptr", "(nnz_blocks)", lambda b: put(b.section("R.row_ptr", "<i4", 25), 24, 1 << 20)
    ),
    "col_idx_too_large": ("f32", "col_idx", "column 16, ", lambda b: put(b.section("C2.col_idx", "<u2", 16), 15, 16)),
    "col_idx_repeated": ("f32", "col_idx", "not ascending", lambda b: put(b.section("C2.col_idx", "<u2"), 1, 0)),
    "I_nan": ("f32", "values", "section I: NaN", lambda b: put(b.section("I", "<f4"), 0, np.nan)),
    "I_coarse_sees_c_t": ("f32", "values", "the coarse", lambda b: put(b.section("I", "<f4", 576), 2 * 192 + 65, 1)),
}  # fmt: skip


def damaged(name: str) -> bytes:
    dtype, _, _, edit = DAMAGE[name]
    b = Bin(dtype)
    edit(b)
    return with_checksum(bytes(b.bytes))


def python_status(data: bytes) -> str:
    try:
        parse(data)
    except FormatError as e:
        return e.status
    return "ok"


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_file(name, c_status):
    _, status, text, _ = DAMAGE[name]
    with pytest.raises(FormatError) as e:
        parse(damaged(name), f"{name}.bin")
    assert str(e.value).startswith(f"{name}.bin: ") and text in str(e.value)
    assert e.value.status == status == c_status(damaged(name))


def test_wrong_checksum(c_status):
    data = bytearray(golden("int8"))
    data[len(data) // 2] ^= 1
    with pytest.raises(FormatError, match="checksum"):
        parse(data)
    assert c_status(bytes(data)) == "checksum"


def test_bytes_after_the_end(c_status):
    data = golden("int8") + bytes(64)
    with pytest.raises(FormatError, match=r"expected 29568 \(file_bytes\)") as e:
        parse(data)
    assert e.value.status == "section" == c_status(data)


def test_file_bytes_not_a_multiple_of_64(c_status):
    b = Bin("int8")
    b.header["file_bytes"] -= 1
    data = with_checksum(bytes(b.bytes[:-1]))
    assert python_status(data) == c_status(data) == "header"


@pytest.mark.parametrize("text", [b"[]", b"{", b"NaN", b"[" * 5000, b'{"a":Infinity}', b"\xff{}"])
def test_metadata_is_a_json_object(text, c_status):
    b = Bin("int8")
    size = int(b.header["metadata"]) + -(-len(text) // 64) * 64
    b.header["metadata_bytes"], b.header["file_bytes"] = len(text), size
    data = with_checksum((bytes(b.bytes[: b.header["metadata"]]) + text).ljust(size, b"\0"))
    with pytest.raises(FormatError, match="metadata"):
        parse(data)
    assert c_status(data) == "ok"  # it does not look inside


def test_truncation_anywhere(c_status):
    data = golden("int8")
    places = [*range(HEADER_BYTES + 2), *np.random.default_rng(0).integers(HEADER_BYTES, len(data), 100)]
    for n in places:
        assert python_status(data[:n]) == c_status(data[:n]) == "truncated", n


def agree(data: bytes, c_status) -> None:
    try:
        parse(data)
        status, message = "ok", ""
    except FormatError as e:
        status, message = e.status, str(e)
    inside_metadata = "a JSON object" in message  # which C does not read
    assert c_status(data) == ("ok" if inside_metadata else status), message


@pytest.mark.parametrize("dtype", ["f32", "f16", "int8"])
@pytest.mark.slow
def test_flipped_bytes_get_the_same_status(dtype, c_status):
    data, rng = golden(dtype), np.random.default_rng(1)
    for place in [*range(16, HEADER_BYTES), *rng.integers(HEADER_BYTES, len(data), 600)]:
        flipped = bytearray(data)
        flipped[place] ^= rng.integers(1, 256)
        agree(with_checksum(bytes(flipped)), c_status)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["f32", "f16", "int8"]),
    st.lists(st.tuples(st.integers(4, 29000 // 4), st.integers(0, 2**32 - 1)), min_size=1, max_size=6),
    st.booleans(),
)
def test_overwritten_words_get_the_same_status(c_status, dtype, words, in_header):
    data = bytearray(golden(dtype))
    for place, word in words:
        place = 4 * (place % (HEADER_BYTES // 4) if in_header else place % (len(data) // 4))
        data[place : place + 4] = word.to_bytes(4, "little")
    agree(with_checksum(bytes(data)), c_status)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes_after_the_magic(data):
    python_status(data)
    python_status(with_checksum(b"WaveRNN\n\1\0\0\0" + bytes(4) + data))


# ---- C


def compiler() -> str:
    cc = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not cc:
        pytest.skip("no C compiler")
    return cc


def build(folder: Path, output: str, *more: str) -> Path:
    sources = [str(LIBWAVERNN / f"core/{name}.c") for name in ("format", "crc32", "derive", "status")]
    include = [f"-I{LIBWAVERNN / 'include'}"]
    subprocess.run([compiler(), *C_FLAGS, *include, *sources, *more, "-o", str(folder / output)], check=True)
    return folder / output


@pytest.mark.parametrize("name", ["format", "status"])
def test_c_compiles_without_warnings(name, tmp_path):
    include = [f"-I{LIBWAVERNN / 'include'}"]
    command = [
        compiler(),
        *C_FLAGS,
        "-Werror",
        "-O2",
        *include,
        "-c",
        str(LIBWAVERNN / f"core/{name}.c"),
        "-o",
        os.devnull,
    ]  # noqa: E501
    subprocess.run(command, check=True)


@pytest.fixture(scope="session")
def c_status(tmp_path_factory):
    """bytes -> the status name of wv_model_load, which runs under the address and undefined-behaviour sanitizers."""
    folder, driver = tmp_path_factory.mktemp("c"), str(SUPPORT / "check_bin.c")
    plain = ("-D_POSIX_C_SOURCE=200112L", "-g", "-O1", driver)
    try:
        program = build(folder, "check_bin", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", *plain)
    except subprocess.CalledProcessError:  # a compiler without its sanitizer libraries
        program = build(folder, "check_bin", *plain)
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:

        def status(data: bytes) -> str:
            process.stdin.write(struct.pack("<I", len(data)) + data)
            process.stdin.flush()
            line = process.stdout.readline().decode().strip()
            assert line, f"check_bin ended with {process.wait()}"
            return line

        yield status
        process.stdin.close()
        assert process.wait() == 0


def test_c_takes_every_golden_file(c_status):
    assert [c_status(golden(dtype)) for dtype in GOLDEN_SHA256] == ["ok"] * 3


def test_c_arguments_and_names(tmp_path):
    lib = ctypes.CDLL(str(build(tmp_path, "libformat.so", "-shared", "-fPIC", "-O1")))
    for name in ("wv_status_name", "wv_status_str", "wv_version"):
        getattr(lib, name).restype = ctypes.c_char_p
    header = (LIBWAVERNN / "include" / "wavernn.h").read_text()
    names = re.findall(r"WV_(OK|ERR_\w+)[ =,]", header.split("typedef enum")[1].split("}")[0])
    found = [lib.wv_status_name(i).decode() for i in range(len(names))]
    assert found == [n.removeprefix("ERR_").lower() for n in names]
    texts = [lib.wv_status_str(i).decode() for i in range(len(names))]
    assert len(set(texts)) == len(names) and all(texts)
    assert lib.wv_status_name(99) == b"unknown" == lib.wv_status_name(-1)
    assert lib.wv_abi_version() == 2 and lib.wv_version().decode().count(".") == 2

    data, model = bin_format.aligned(golden("int8")), ctypes.c_void_p()
    load = lib.wv_model_load
    load.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    lib.wv_model_free.argtypes = [ctypes.c_void_p]
    assert found[load(None, 0, ctypes.byref(model))] == "argument"
    assert found[load(data.ctypes.data, len(data), None)] == "argument"
    shifted = np.concatenate([np.zeros(8, np.uint8), data])
    start = bin_format.aligned(shifted).ctypes.data + 8
    assert found[load(start, len(data), ctypes.byref(model))] == "alignment" and not model
    assert found[load(data.ctypes.data, len(data), ctypes.byref(model))] == "ok"
    assert found[lib.wv_model_info(model, None)] == "argument"
    lib.wv_model_free(model)
    lib.wv_model_free(None)
