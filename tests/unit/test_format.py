"""The .bin file: round trips, the specification, and the C reader's arguments."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from conftest import LIBWAVERNN, ROOT
from format_c import C_FLAGS, build, compiler, golden
from model_fixtures import tiny_config, tiny_model
from wv_runtime.errors import FormatError
from wv_runtime.model import binary as bin_format
from wv_runtime.model.binary import load, pack, parse, save
from wv_runtime.model.layout import HEADER, RECORD

# Files of version 1 as the first release wrote them. They stay, whatever later versions write.
GOLDEN_SHA256 = {
    "f32": "ad1cd027fa71078ac7bc8e91eb0b907b7c450e4513087628893826de3356d5c7",
    "f16": "e551ee6c748597606c8400b21844b955ffdebf02bb432e33b5be8c6874e8b382",
    "int8": "8dcd0b56b7364479d92bfb74ba9975bc5109b4a0aa7e2a8b39e9e58ebfdfc0d2",
}
MATRICES = ["C1", "C2", "C3", "R", "O1", "O2", "O3", "O4"]


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


@pytest.mark.parametrize("n", [0, 1, 64, 65])
def test_aligned(n):
    """So that an empty file is truncated to C, too, and not misaligned."""
    raw = bin_format.aligned(bytes(range(n)))
    assert raw.ctypes.data % 64 == 0 and raw.tobytes() == bytes(range(n)) and not raw.flags.writeable


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


# ---- C


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
