"""Every way in which a .bin can be broken, with the status that Python and C give."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import DATA
from format_c import golden
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wv_runtime.errors import FormatError
from wv_runtime.model.binary import parse, with_checksum
from wv_runtime.model.layout import HEADER, HEADER_BYTES, RECORD

MATRICES = ["C1", "C2", "C3", "R", "O1", "O2", "O3", "O4"]


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
