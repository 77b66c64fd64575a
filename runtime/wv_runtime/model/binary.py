"""The .bin model file: ``pack(Model) -> bytes``, ``parse(bytes) -> Model``. FORMAT.md is normative.

C twin: libwavernn/core/format.c, which makes the same checks in the same order.
The steps of `parse` are in checks.py. Nothing here computes with the weights.

Usage: ``model = load("out.bin"); model.matrices["R"].row_ptr``
"""

from __future__ import annotations

import copyreg
import json
import os
import stat

import numpy as np
from numpy.typing import NDArray

from wv_runtime.atomic import atomic_path
from wv_runtime.model.checks import (
    check_finite,
    check_place,
    check_record,
    checksum,
    need,
    read_config,
    read_header,
    read_matrix,
    read_metadata,
    view,
)
from wv_runtime.model.layout import (
    ALIGN,
    CONFIG_FIELDS,
    DTYPES,
    HEADER,
    HEADER_BYTES,
    M_MIN,
    MAGIC,
    MAX_FILE_BYTES,
    MEL_FIELDS,
    MEL_STD_MIN,
    N_MATRICES,
    RECORD,
    SUBSCALE_FIELDS,
    Section,
    padded,
    sections,
)
from wv_runtime.model.neighbours import n_lags
from wv_runtime.model.weights import Model, Postfilter, read_only


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
    """The bytes of a .bin; ``parse(pack(model))`` is the model.

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
    for name in CONFIG_FIELDS:
        header[name] = getattr(cfg, name)
    for name in MEL_FIELDS:
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
        body.append(data.ljust(padded(len(data)), b"\0"))
        start, position = position, position + len(body[-1])
        return start

    records = np.zeros(N_MATRICES, RECORD)
    for record, m in zip(records, model.matrices.values()):
        for name in ("name", "rows", "cols", "block_h", "block_w", "nnz_blocks", "x_scale", "x_zero"):
            record[name] = getattr(m, name)
        record["dtype"] = list(DTYPES).index(m.dtype)
        for s in sections(m.dtype, m.rows, m.block_h, m.block_w, m.nnz_blocks):
            record[s.name] = add(getattr(m, s.name).tobytes())
    header["I"] = add(np.ascontiguousarray(model.I, "<f4").tobytes())
    if cfg.lpc_order:
        header["M"] = add(np.ascontiguousarray(model.M, "<f4").tobytes())
    if cfg.subscale > 1:
        for name in SUBSCALE_FIELDS:
            header[name] = getattr(cfg, name)
        header["lane"] = add(np.ascontiguousarray(model.lane, "<f4").tobytes())
    if model.postfilter:
        header["postfilter"] = 2 if model.postfilter.on else 1
        header["comb"], header["denoise"] = model.postfilter.comb, model.postfilter.denoise
        header["band"] = add(np.ascontiguousarray(model.postfilter.band, "<i4").tobytes())
        header["weight"] = add(np.ascontiguousarray(model.postfilter.weight, "<f4").tobytes())
    if model.mel_stats.size:
        header["mel_stats"] = add(np.ascontiguousarray(model.mel_stats, "<f4").tobytes())
    header["metadata"] = add(metadata)
    header["metadata_bytes"] = len(metadata)
    need(position <= MAX_FILE_BYTES, "header", "pack", f"file_bytes {position}, expected at most {MAX_FILE_BYTES}")
    header["magic"], header["file_bytes"] = MAGIC, position
    header["version"] = model.version
    data = with_checksum(header.tobytes() + records.tobytes() + b"".join(body))
    parse(data, "pack")
    return data


def file_bytes(model: Model) -> NDArray[np.uint8] | bytes:
    """The file that a model came from, byte for byte; of one made of arrays, what `pack` makes of it."""
    return pack(model) if model.file is None else model.file


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
    header = read_header(raw, where)
    cfg = read_config(header, where)
    records = raw[HEADER.itemsize : HEADER_BYTES].view(RECORD)
    position = HEADER_BYTES
    int8 = records["dtype"][1] == 2  # C2 and all after it are int8, or none is
    for record, (name, shape) in zip(records, cfg.matrix_shapes().items()):
        position = check_record(record, name, shape, bool(int8 and name != "C1"), position, len(raw), where)
    I_section = Section("I", np.dtype("<f4"), cfg.n_x * 3 * cfg.n_units)
    M_section = Section("M", np.dtype("<f4"), (n_lags(cfg) + 1) * cfg.mel.n_mels)
    lane_section = Section("lane", np.dtype("<f4"), cfg.subscale * 3 * cfg.n_units)
    metadata_section = Section("metadata", np.dtype("u1"), int(header["metadata_bytes"]))
    n_bins = cfg.mel.n_fft // 2 + 1
    tables = [Section("band", np.dtype("<i4"), n_bins), Section("weight", np.dtype("<f4"), 3 * n_bins)]
    filtered = header["postfilter"] > 0
    has_stats = header["version"] == 4 or header["denoise"] > 0 or header["mel_stats"] > 0
    stats_section = Section("mel_stats", np.dtype("<f4"), 2 * cfg.mel.n_mels)
    optional = (*[M_section] * bool(cfg.lpc_order), *[lane_section] * (cfg.subscale > 1), *tables * bool(filtered),
                *[stats_section] * bool(has_stats))  # fmt: skip
    for s in (I_section, *optional, metadata_section):
        position = check_place(s, s.name, int(header[s.name]), position, len(raw), where)
    need(position == len(raw), "section", where, f"section metadata: ends at {position}, expected {len(raw)}")

    matrices = {name: read_matrix(raw, record, name, where) for record, name in zip(records, cfg.matrix_shapes())}
    columns = view(raw, I_section, "I", int(header["I"]), where).reshape(cfg.n_x, -1)
    check_finite(columns, "I", where)
    unseen = columns[-1].reshape(3, 2, -1)[:, 0]
    need(not unseen.any(), "values", where, "section I: the coarse half sees c_t, expected zeros")
    M = np.zeros((0, 0), np.float32)  # noqa: N806
    if cfg.lpc_order:
        M = view(raw, M_section, "M", int(header["M"]), where).reshape(-1, cfg.mel.n_mels)  # noqa: N806
        check_finite(M, "M", where)
        need((M[0] >= np.float32(M_MIN)).all(), "values", where, f"section M: row 0 below {M_MIN}, expected powers")
    lane = np.zeros((0, 0), np.float32)
    if cfg.subscale > 1:
        lane = view(raw, lane_section, "lane", int(header["lane"]), where).reshape(cfg.subscale, -1)
        check_finite(lane, "lane", where)
    postfilter = None
    if filtered:
        band, weight = (view(raw, s, s.name, int(header[s.name]), where) for s in tables)
        legal = (band >= -1).all() and (band < cfg.mel.n_mels).all()
        found = f"{band.min()}..{band.max()}"
        need(legal, "values", where, f"section band: {found}, expected -1..{cfg.mel.n_mels - 1}")
        legal = ((weight >= 0) & (weight <= 1)).all()
        need(legal, "values", where, "section weight: expected numbers in 0..1")
        on, comb, denoise = bool(header["postfilter"] == 2), float(header["comb"]), float(header["denoise"])
        postfilter = Postfilter(band, weight.reshape(3, -1), on, comb, denoise)
    mel_stats = np.zeros((0, 0), np.float32)
    if has_stats:
        mel_stats = view(raw, stats_section, "mel_stats", int(header["mel_stats"]), where).reshape(2, -1)
        check_finite(mel_stats, "mel_stats", where)
        legal = (mel_stats[1] >= np.float32(MEL_STD_MIN)).all()
        need(legal, "values", where, f"section mel_stats: row 1 below {MEL_STD_MIN}, expected deviations")
    metadata = read_metadata(view(raw, metadata_section, "metadata", int(header["metadata"]), where).tobytes(), where)
    model = Model(cfg, matrices, columns, metadata, M, postfilter, mel_stats, lane)
    object.__setattr__(model, "file", raw)
    return model


def aligned(data: bytes | bytearray | memoryview | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same bytes, read-only and from a 64-byte boundary: a view if they lie so already, else a copy."""
    raw = np.frombuffer(data, np.uint8)
    if raw.ctypes.data % ALIGN:
        raw, unaligned = _aligned_empty(len(raw)), raw
        raw[:] = unaligned
    return read_only(raw)


def _aligned_empty(n: int) -> NDArray[np.uint8]:
    raw = np.empty(n + ALIGN, np.uint8)
    start = -raw.ctypes.data % ALIGN
    return raw[start:][:n]  # in two steps: NumPy lets an empty slice begin anywhere


# A Model is pickled as its file: in another process its arrays are aligned and read-only, too.
copyreg.pickle(Model, lambda model: (parse, (bytes(file_bytes(model)),)))
