"""The .bin model file: ``pack(Model) -> bytes``, ``parse(bytes) -> Model``. FORMAT.md is normative.

C twin: libwavernn/core/format.c, which makes the same checks in the same order.
Nothing here computes with the weights; no other Python file knows an offset.

Usage: ``model = load("out.bin"); model.matrices["R"].row_ptr``
"""

from __future__ import annotations

import json
import os
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wv_runtime.atomic import atomic_path
from wv_runtime.errors import FormatError
from wv_runtime.model.config import MelConfig, WaveRNNConfig

MAGIC = b"WaveRNN\n"
VERSIONS = (
    1,
    2,
    3,
    4,
)  # 2: linear prediction or the post-filter's tables; 3: its pitch comb; 4: statistics of the mels
ALIGN = 64
MAX_FILE_BYTES = 2**31 - ALIGN
MAX_METADATA_BYTES = 2**20
M_MIN = 1e-20  # of row 0 of M: a power in squares of 16-bit steps
MEL_STD_MIN = 1e-4  # of a band's deviation in training
COMB_MIN = 1e-3  # smallest strength of a pitch comb, if there is one
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
        ("reserved_1", "<u4", 6),
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


@dataclass(frozen=True, eq=False)
class Matrix:
    """One block-CSR matrix, y = W x + bias, with what its mat-vec needs. Layouts: FORMAT.md, "Sections".

    values  : (nnz_blocks * block_h * block_w,) float32, float16 or int8; a block is column-major, in int8 row-major
    row_ptr : (n_block_rows + 1,) int32      block row i owns blocks [row_ptr[i], row_ptr[i+1])
    col_idx : (nnz_blocks,) uint16           block columns, ascending within a row
    bias    : (rows,) float32
    scale   : (rows,) float32                int8 only, else None
    x_scale, x_zero                          int8 only, else 0: q = x * x_scale + x_zero

    The arrays become read-only views: weights are shared.

    Raises
    ------
    ValueError
        If an array has another dtype or length. What the numbers mean is checked by `pack` and `parse`.
    """

    name: str
    rows: int
    cols: int
    block_h: int
    block_w: int
    values: NDArray[Any]
    row_ptr: NDArray[np.int32]
    col_idx: NDArray[np.uint16]
    bias: NDArray[np.float32]
    scale: NDArray[np.float32] | None = None
    x_scale: float = 0.0
    x_zero: int = 0

    def __post_init__(self) -> None:
        if self.values.dtype not in DTYPES.values():
            raise ValueError(f"{self.name}.values: found {self.values.dtype}, wanted float32, float16 or int8")
        if (self.scale is None) == (self.dtype == "int8"):
            raise ValueError(f"{self.name}.scale: wanted for int8 and only there")
        for s in _sections(self.dtype, self.rows, self.block_h, self.block_w, self.nnz_blocks):
            a = getattr(self, s.name)
            if a.dtype != s.dtype or a.shape != (s.length,):
                raise ValueError(f"{self.name}.{s.name}: found {a.dtype} {a.shape}, wanted {s.dtype} {(s.length,)}")
            object.__setattr__(self, s.name, _read_only(a))

    @property
    def dtype(self) -> str:
        """Of values: f32, f16 or int8."""
        return next(name for name, dtype in DTYPES.items() if dtype == self.values.dtype)

    @property
    def n_block_rows(self) -> int:
        return self.rows // self.block_h

    @property
    def nnz_blocks(self) -> int:
        return len(self.col_idx)

    @property
    def sparsity(self) -> float:
        """Fraction of the matrix that is not stored."""
        return 1.0 - self.values.size / (self.rows * self.cols)

    @property
    def n_bytes(self) -> int:
        """Bytes of its five sections, without padding."""
        arrays = (self.values, self.row_ptr, self.col_idx, self.bias, self.scale)
        return sum(a.nbytes for a in arrays if a is not None)


@dataclass(frozen=True, eq=False)
class Postfilter:
    """The mel post-filter's tables, as features/postfilter.py makes them, and whether it is on unless asked otherwise.

    band : (n_fft / 2 + 1,) int32    weight : (3, n_fft / 2 + 1) float32, 0..1
    comb : strength of the pitch comb before it, COMB_MIN..1; 0 is none
    """

    band: NDArray[np.int32]
    weight: NDArray[np.float32]
    on: bool = True
    comb: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "band", _read_only(self.band))
        object.__setattr__(self, "weight", _read_only(self.weight))


@dataclass(frozen=True, eq=False)
class Model:
    """Everything in a .bin.

    matrices : C1, C2, C3, R, O1, O2, O3, O4, in this order, shaped as WaveRNNConfig.matrix_shapes() says
    I        : (n_x, 3N) float32, the columns of I*, that of c_t last; the coarse half never sees c_t
    M        : (lpc_order + 1, n_mels) float32 of the linear prediction; empty without it
    metadata : a JSON object, free-form
    mel_stats : (2, n_mels) float32, mean and standard deviation of each band in training; empty if not known
    """

    config: WaveRNNConfig
    matrices: dict[str, Matrix]
    I: NDArray[np.float32]
    metadata: dict[str, Any] = field(default_factory=dict)
    M: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    postfilter: Postfilter | None = None
    mel_stats: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def __post_init__(self) -> None:
        for name in ("I", "M", "mel_stats"):
            object.__setattr__(self, name, _read_only(getattr(self, name)))
        cfg = self.config
        if self.mel_stats.shape not in ((0, 0), (2, cfg.mel.n_mels)):
            raise ValueError(f"mel_stats: found shape {self.mel_stats.shape}, wanted (2, {cfg.mel.n_mels})")
        wanted = (cfg.lpc_order + 1, cfg.mel.n_mels) if cfg.lpc_order else (0, 0)
        if self.M.shape != wanted:
            raise ValueError(f"M: found shape {self.M.shape}, wanted {wanted}")
        n_bins = cfg.mel.n_fft // 2 + 1
        if self.postfilter and (self.postfilter.band.shape, self.postfilter.weight.shape) != ((n_bins,), (3, n_bins)):
            raise ValueError(f"postfilter: found shapes {self.postfilter.band.shape}, {self.postfilter.weight.shape}, "
                             f"wanted ({n_bins},), (3, {n_bins})")  # fmt: skip

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its file: in another process its arrays are aligned and read-only, too."""
        return parse, (pack(self),)

    @property
    def version(self) -> int:
        """Of the format: the oldest that holds this model, which is what `pack` writes."""
        if self.mel_stats.size:
            return 4
        if self.postfilter and self.postfilter.comb:
            return 3
        return 2 if self.config.lpc_order or self.postfilter else 1


def load(path: str | os.PathLike[str]) -> Model:
    """Read and check a .bin; its arrays are views into one read-only buffer.

    Raises
    ------
    FormatError
        If the file breaks FORMAT.md.
    OSError
        If it cannot be read.
    """
    return parse(read(path), str(path))


def read(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """The bytes of a file from a 64-byte boundary, unchecked; not more of them than a .bin may have, and a few."""
    with open(path, "rb") as f:
        if not stat.S_ISREG(os.fstat(f.fileno()).st_mode):  # a pipe has no size
            return aligned(f.read(MAX_FILE_BYTES + ALIGN))
        raw = _aligned_empty(min(os.fstat(f.fileno()).st_size, MAX_FILE_BYTES + ALIGN))
        return raw[: f.readinto(raw)]


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a .bin whole or not at all. Raises as `pack`, and OSError."""
    data = pack(model)
    with atomic_path(path) as tmp:
        tmp.write_bytes(data)


def pack(model: Model) -> bytes:
    """The bytes of a .bin; ``parse(pack(model))`` is the model, ``pack(parse(b)) == b``.

    Raises
    ------
    FormatError
        If the numbers break FORMAT.md: a writer never makes what a reader refuses.
    ValueError
        If the matrices are not those of the config, or the metadata is not JSON.
    """
    cfg, header = model.config, np.zeros(1, HEADER)
    if list(model.matrices) != list(cfg.matrix_shapes()):
        raise ValueError(f"matrices: found {', '.join(model.matrices)}, wanted {', '.join(cfg.matrix_shapes())}")
    for name in _CONFIG_FIELDS:
        header[name] = getattr(cfg, name)
    for name in _MEL_FIELDS:
        header[name] = getattr(cfg.mel, name)
    header["mel_name"] = cfg.mel.name.encode()
    try:
        metadata = json.dumps(model.metadata, separators=(",", ":"), allow_nan=False).encode()
    except TypeError as e:
        raise ValueError(f"metadata: {e}") from None

    body: list[bytes] = []
    position = HEADER_BYTES

    def add(data: bytes) -> int:
        nonlocal position
        body.append(data.ljust(_align(len(data)), b"\0"))
        start, position = position, position + len(body[-1])
        return start

    records = np.zeros(N_MATRICES, RECORD)
    for record, m in zip(records, model.matrices.values()):
        for name in ("name", "rows", "cols", "block_h", "block_w", "nnz_blocks", "x_scale", "x_zero"):
            record[name] = getattr(m, name)
        record["dtype"] = list(DTYPES).index(m.dtype)
        for s in _sections(m.dtype, m.rows, m.block_h, m.block_w, m.nnz_blocks):
            record[s.name] = add(getattr(m, s.name).tobytes())
    header["I"] = add(np.ascontiguousarray(model.I, "<f4").tobytes())
    if cfg.lpc_order:
        header["M"] = add(np.ascontiguousarray(model.M, "<f4").tobytes())
    if model.postfilter:
        header["postfilter"] = 2 if model.postfilter.on else 1
        header["comb"] = model.postfilter.comb
        header["band"] = add(np.ascontiguousarray(model.postfilter.band, "<i4").tobytes())
        header["weight"] = add(np.ascontiguousarray(model.postfilter.weight, "<f4").tobytes())
    if model.mel_stats.size:
        header["mel_stats"] = add(np.ascontiguousarray(model.mel_stats, "<f4").tobytes())
    header["metadata"] = add(metadata)
    header["metadata_bytes"] = len(metadata)
    _need(position <= MAX_FILE_BYTES, "header", "pack", f"file_bytes {position}, expected at most {MAX_FILE_BYTES}")
    header["magic"], header["file_bytes"] = MAGIC, position
    header["version"] = model.version
    data = with_checksum(header.tobytes() + records.tobytes() + b"".join(body))
    parse(data, "pack")
    return data


def checksum(data: bytes | NDArray[np.uint8]) -> int:
    """What the header's checksum must be."""
    return zlib.crc32(data[16:])


def with_checksum(data: bytes) -> bytes:
    """The same bytes with the header's checksum made right."""
    return data[:12] + checksum(data).to_bytes(4, "little") + data[16:]


def parse(data: bytes | bytearray | memoryview | NDArray[np.uint8], where: str = "model") -> Model:
    """Check everything FORMAT.md demands, then give read-only views into `data` (a copy if it is not aligned).

    `where` opens the message of an error, for example the file's path.

    Raises
    ------
    FormatError
        At the first check that fails; `status` is what libwavernn returns for the same bytes.
    """
    raw = aligned(data)
    header = _read_header(raw, where)
    cfg = _read_config(header, where)
    records = raw[HEADER.itemsize : HEADER_BYTES].view(RECORD)
    position = HEADER_BYTES
    int8 = records["dtype"][1] == 2  # C2 and all after it are int8, or none is
    for record, (name, shape) in zip(records, cfg.matrix_shapes().items()):
        position = _check_record(record, name, shape, bool(int8 and name != "C1"), position, len(raw), where)
    I_section = _Section("I", np.dtype("<f4"), cfg.n_x * 3 * cfg.n_units)
    M_section = _Section("M", np.dtype("<f4"), (cfg.lpc_order + 1) * cfg.mel.n_mels)
    metadata_section = _Section("metadata", np.dtype("u1"), int(header["metadata_bytes"]))
    n_bins = cfg.mel.n_fft // 2 + 1
    tables = [_Section("band", np.dtype("<i4"), n_bins), _Section("weight", np.dtype("<f4"), 3 * n_bins)]
    filtered, has_stats = header["postfilter"] > 0, header["version"] > 3
    stats_section = _Section("mel_stats", np.dtype("<f4"), 2 * cfg.mel.n_mels)
    optional = (*[M_section] * bool(cfg.lpc_order), *tables * bool(filtered), *[stats_section] * bool(has_stats))
    for s in (I_section, *optional, metadata_section):
        position = _check_place(s, s.name, int(header[s.name]), position, len(raw), where)
    _need(position == len(raw), "section", where, f"section metadata: ends at {position}, expected {len(raw)}")

    matrices = {name: _read_matrix(raw, record, name, where) for record, name in zip(records, cfg.matrix_shapes())}
    columns = _view(raw, I_section, "I", int(header["I"]), where).reshape(cfg.n_x, -1)
    _check_finite(columns, "I", where)
    unseen = columns[-1].reshape(3, 2, -1)[:, 0]
    _need(not unseen.any(), "values", where, "section I: the coarse half sees c_t, expected zeros")
    M = np.zeros((0, 0), np.float32)  # noqa: N806
    if cfg.lpc_order:
        M = _view(raw, M_section, "M", int(header["M"]), where).reshape(cfg.lpc_order + 1, -1)  # noqa: N806
        _check_finite(M, "M", where)
        _need((M[0] >= np.float32(M_MIN)).all(), "values", where, f"section M: row 0 below {M_MIN}, expected powers")
    postfilter = None
    if filtered:
        band, weight = (_view(raw, s, s.name, int(header[s.name]), where) for s in tables)
        legal = (band >= -1).all() and (band < cfg.mel.n_mels).all()
        found = f"{band.min()}..{band.max()}"
        _need(legal, "values", where, f"section band: {found}, expected -1..{cfg.mel.n_mels - 1}")
        legal = ((weight >= 0) & (weight <= 1)).all()
        _need(legal, "values", where, "section weight: expected numbers in 0..1")
        postfilter = Postfilter(band, weight.reshape(3, -1), bool(header["postfilter"] == 2), float(header["comb"]))
    mel_stats = np.zeros((0, 0), np.float32)
    if has_stats:
        mel_stats = _view(raw, stats_section, "mel_stats", int(header["mel_stats"]), where).reshape(2, -1)
        _check_finite(mel_stats, "mel_stats", where)
        legal = (mel_stats[1] >= np.float32(MEL_STD_MIN)).all()
        _need(legal, "values", where, f"section mel_stats: row 1 below {MEL_STD_MIN}, expected deviations")
    text = _view(raw, metadata_section, "metadata", int(header["metadata"]), where).tobytes()
    try:
        metadata = json.loads(text.decode(), parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        metadata = None
    _need(isinstance(metadata, dict), "section", where, f"section metadata: {text[:20]!r}, expected a JSON object")
    return Model(cfg, matrices, columns, metadata, M, postfilter, mel_stats)


def aligned(data: bytes | bytearray | memoryview | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same bytes, read-only and from a 64-byte boundary: a view if they lie so already, else a copy."""
    raw = np.frombuffer(data, np.uint8)
    if raw.ctypes.data % ALIGN:
        raw, unaligned = _aligned_empty(len(raw)), raw
        raw[:] = unaligned
    return _read_only(raw)


# ---- one function per step of parse; format.c has the same ones

_CONFIG_FIELDS = ("n_units", "n_out", "n_cond", "cond_width", "n_sub", "preemphasis", "lpc_order")
_MEL_FIELDS = ("sample_rate", "n_fft", "hop_length", "win_length", "n_mels", "fmin", "fmax", "log_floor")


class _Section(NamedTuple):
    name: str
    dtype: np.dtype[Any]
    length: int

    @property
    def n_bytes(self) -> int:
        return self.dtype.itemsize * self.length


def _sections(dtype: str, rows: int, block_h: int, block_w: int, nnz_blocks: int) -> Iterator[_Section]:
    """FORMAT.md, "Sections"."""
    yield _Section("values", DTYPES[dtype], nnz_blocks * block_h * block_w)
    yield _Section("row_ptr", np.dtype("<i4"), rows // block_h + 1)
    yield _Section("col_idx", np.dtype("<u2"), nnz_blocks)
    yield _Section("bias", np.dtype("<f4"), rows)
    if dtype == "int8":
        yield _Section("scale", np.dtype("<f4"), rows)


def _need(ok: bool | np.bool_, status: str, where: str, message: str) -> None:
    if not ok:
        raise FormatError(f"{where}: {message}", status)


def _align(n: int) -> int:
    return -(-n // ALIGN) * ALIGN


def _aligned_empty(n: int) -> NDArray[np.uint8]:
    raw = np.empty(n + ALIGN, np.uint8)
    start = -raw.ctypes.data % ALIGN
    return raw[start : start + n]


def _read_only(a: NDArray[Any]) -> NDArray[Any]:
    view = a.view()
    view.flags.writeable = False
    return view


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not np.isfinite(value):
        raise ValueError(f"{text} is no number of f64")
    return value


def _read_header(raw: NDArray[np.uint8], where: str) -> np.void:
    """1) is this a whole, undamaged file of this version?"""
    n = len(raw)
    _need(n >= 16, "truncated", where, f"{n} bytes, expected at least {HEADER_BYTES}")
    magic = raw[:8].tobytes()
    _need(magic == MAGIC, "magic", where, f"magic {magic!r}, expected {MAGIC!r}")
    version, wanted = (int(v) for v in raw[8:16].view("<u4"))
    _need(version in VERSIONS, "version", where, f"version {version}, expected 1, 2, 3 or 4")
    _need(n >= HEADER_BYTES, "truncated", where, f"{n} bytes, expected at least {HEADER_BYTES}")
    header = raw[: HEADER.itemsize].view(HEADER)[0]
    size = int(header["file_bytes"])
    _need(size <= n, "truncated", where, f"{n} bytes, expected {size} (file_bytes)")
    _need(size == n, "section", where, f"{n} bytes, expected {size} (file_bytes)")
    found = checksum(raw)
    _need(found == wanted, "checksum", where, f"checksum {found:08x}, expected {wanted:08x}: damaged bytes")
    legal = size % ALIGN == 0 and size <= MAX_FILE_BYTES
    _need(legal, "header", where, f"file_bytes {size}, expected a multiple of {ALIGN}, at most {MAX_FILE_BYTES}")
    return header


def _read_config(header: np.void, where: str) -> WaveRNNConfig:
    """2) are the header's fields in range?"""
    version, comb, has_comb = int(header["version"]), float(header["comb"]), any(header["comb"].tobytes())
    zero = not header["reserved_0"] and not header["reserved_1"].any()
    new = [int(header[name]) for name in ("lpc_order", "M", "postfilter", "band", "weight")]
    zero &= (version > 1 or not any(new)) and (version > 2 or not has_comb) and (version > 3 or not header["mel_stats"])
    _need(zero, "header", where, "reserved bytes of the header, expected zeros")
    lpc_order, M, postfilter, band, weight = new  # noqa: N806
    used = version != 2 or lpc_order or postfilter
    _need(bool(used), "header", where, "lpc_order 0 and postfilter 0, expected one of them above 0 in version 2")
    _need(version != 3 or has_comb, "header", where, "comb 0, expected one in version 3")
    legal = not has_comb or (postfilter > 0 and COMB_MIN <= comb <= 1)
    _need(legal, "header", where, f"comb {comb}, expected 0, or with a post-filter {COMB_MIN}..1")
    _need(lpc_order > 0 or not M, "header", where, f"M {M}, expected 0 without linear prediction")
    _need(postfilter <= 2, "header", where, f"postfilter {postfilter}, expected 0..2")
    _need(postfilter > 0 or not (band or weight), "header", where, "band or weight without postfilter, expected 0")
    n_fft = int(header["n_fft"])
    _need(not postfilter or n_fft & (n_fft - 1) == 0, "header", where,
          f"n_fft {n_fft}, expected a power of two for the post-filter")  # fmt: skip
    size = int(header["metadata_bytes"])
    _need(size <= MAX_METADATA_BYTES, "header", where, f"metadata_bytes {size}, expected at most {MAX_METADATA_BYTES}")
    name = header["mel_name"]  # NumPy has cut the zeros at the end
    text = len(name) < 32 and all(0x20 <= c <= 0x7E for c in name)
    _need(text, "header", where, f"mel_name {name!r}, expected at most 31 printable ASCII bytes, then zeros")
    try:
        mel = MelConfig(name.decode("ascii"), *(header[f].item() for f in _MEL_FIELDS))
        return WaveRNNConfig(**{f: header[f].item() for f in _CONFIG_FIELDS}, mel=mel)
    except ValueError as e:
        raise FormatError(f"{where}: header: {e}", "header") from None


def _check_record(
    r: np.void, name: str, shape: tuple[int, int], int8: bool, position: int, end: int, where: str
) -> int:
    """3) is this the record of matrix `name`, and do its sections lie where they must? Returns where they end."""
    rows, cols = shape

    def need(ok: bool, field_name: str, wanted: object) -> None:
        found = r[field_name].tolist()
        _need(ok, "section", where, f"matrix {name}: {field_name} {found}, expected {wanted}")

    need(r["name"] == name.encode(), "name", name)
    need(int(r["dtype"]) in ((2,) if int8 else (0, 1)), "dtype", "2 (int8, as C2)" if int8 else "0 f32 or 1 f16")
    dtype = list(DTYPES)[r["dtype"]]
    need(r["rows"] == rows, "rows", rows)
    need(r["cols"] == cols, "cols", cols)
    need(r["block_h"] in BLOCK_H and rows % int(r["block_h"]) == 0, "block_h", f"4, 8, 16 or 32, a divisor of {rows}")
    widths = (4,) if int8 else BLOCK_W
    need(r["block_w"] in widths and cols % int(r["block_w"]) == 0, "block_w", f"one of {widths}, a divisor of {cols}")
    block_h, block_w, nnz_blocks = int(r["block_h"]), int(r["block_w"]), int(r["nnz_blocks"])
    n_blocks = rows // block_h * (cols // block_w)
    need(nnz_blocks <= n_blocks, "nnz_blocks", f"at most {n_blocks}")
    if int8 and name in X_SCALE:
        need(r["x_scale"] == X_SCALE[name], "x_scale", X_SCALE[name])
        need(r["x_zero"] == 0, "x_zero", 0)
    elif int8:
        need(bool(np.isfinite(r["x_scale"])) and r["x_scale"].view(np.int32) > 0, "x_scale", "a finite number above 0")
        need(r["x_zero"] == -127, "x_zero", -127)
    else:
        need(r["x_scale"] == 0, "x_scale", 0)
        need(r["x_zero"] == 0, "x_zero", 0)
        need(r["scale"] == 0, "scale", "0: none in a float matrix")
    need(not r["reserved"].any(), "reserved", "zeros")
    for s in _sections(dtype, rows, block_h, block_w, nnz_blocks):
        position = _check_place(s, f"{name}.{s.name}", int(r[s.name]), position, end, where)
    return position


def _check_place(s: _Section, full_name: str, offset: int, position: int, end: int, where: str) -> int:
    """A section starts where the one before it ended, padded, and ends within the file."""
    _need(offset == position, "section", where, f"section {full_name}: offset {offset}, expected {position}")
    stop = _align(offset + s.n_bytes)
    _need(stop <= end, "section", where, f"section {full_name}: ends at {stop}, expected at most {end}")
    return stop


def _view(raw: NDArray[np.uint8], s: _Section, full_name: str, offset: int, where: str) -> NDArray[Any]:
    stop = offset + s.n_bytes
    padding = raw[stop : _align(stop)]
    _need(not padding.any(), "section", where, f"section {full_name}: padding not zero")
    return raw[offset:stop].view(s.dtype)


def _check_finite(a: NDArray[Any], full_name: str, where: str) -> None:
    _need(np.isfinite(a).all(), "values", where, f"section {full_name}: NaN or infinity, expected finite numbers")


def _read_matrix(raw: NDArray[np.uint8], r: np.void, name: str, where: str) -> Matrix:
    """4) do the sections hold what a kernel may trust?"""
    dtype = list(DTYPES)[r["dtype"]]
    rows, cols, block_h, block_w, nnz_blocks = (int(r[f]) for f in ("rows", "cols", "block_h", "block_w", "nnz_blocks"))
    a = {}
    for s in _sections(dtype, rows, block_h, block_w, nnz_blocks):
        full_name = f"{name}.{s.name}"
        v = a[s.name] = _view(raw, s, full_name, int(r[s.name]), where)
        if s.name == "row_ptr":
            _check_row_ptr(v, nnz_blocks, full_name, where)
        elif s.name == "col_idx":
            _check_col_idx(v, a["row_ptr"], cols // block_w, full_name, where)
        elif dtype == "int8" and s.name == "values":
            _check_pairs(v, full_name, where)
        else:
            _check_finite(v, full_name, where)
            # by their bits: to a thread that flushes subnormals, some positive numbers are not above 0
            positive = s.name != "scale" or (v.view(np.int32) > 0).all()
            _need(positive, "values", where, f"section {full_name}: zero or below, expected positive numbers")
    return Matrix(
        name, rows, cols, block_h, block_w, a["values"], a["row_ptr"], a["col_idx"], a["bias"], a.get("scale"),
        float(r["x_scale"]), int(r["x_zero"]),
    )  # fmt: skip


def _check_row_ptr(row_ptr: NDArray[np.int32], nnz_blocks: int, full_name: str, where: str) -> None:
    first, last = int(row_ptr[0]), int(row_ptr[-1])
    _need(first == 0, "row_ptr", where, f"section {full_name}: first entry {first}, expected 0")
    falls = np.flatnonzero(row_ptr[1:] < row_ptr[:-1])
    _need(len(falls) == 0, "row_ptr", where, f"section {full_name}: entry {falls[:1] + 1} below the one before it")
    _need(last == nnz_blocks, "row_ptr", where,
          f"section {full_name}: last entry {last}, expected {nnz_blocks} (nnz_blocks)")  # fmt: skip


def _check_col_idx(
    col_idx: NDArray[np.uint16], row_ptr: NDArray[np.int32], n_block_cols: int, full_name: str, where: str
) -> None:
    if len(col_idx) == 0:
        return
    largest = int(col_idx.max())
    _need(largest < n_block_cols, "col_idx", where,
          f"section {full_name}: block column {largest}, expected at most {n_block_cols - 1}")  # fmt: skip
    rises = np.ones(len(col_idx) + 1, bool)
    rises[1:-1] = col_idx[1:] > col_idx[:-1]
    rises[row_ptr] = True  # a row may start anywhere
    _need(rises.all(), "col_idx", where, f"section {full_name}: not ascending within a row")


def _check_pairs(values: NDArray[np.int8], full_name: str, where: str) -> None:
    _need(not (values == -128).any(), "values", where, f"section {full_name}: -128, expected -127..127")
    pairs = np.abs(values).reshape(-1, 2)  # a quad is 4 values of one row, so pairs never cross a row
    largest = int(np.add(pairs[:, 0], pairs[:, 1], dtype=np.int16).max(initial=0))
    _need(largest <= 128, "values", where, f"section {full_name}: a pair sums to {largest}, expected at most 128")
