"""What ``torch.save`` wrote, read without torch: plain values and tensors, within bounds.

Such a file may come from anybody. So its pickle is read by a machine that knows the few instructions of plain values
and tensors and calls nothing, and what a file makes the reader allocate is bounded by the file's own size.

Usage: ``for name, tensor in read_tensors("mel.pt").items(): tensor.numpy()``
"""

from __future__ import annotations

import math
import os
import pickletools
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from wv_runtime.errors import CheckpointError
from wv_runtime.model.layout import MAGIC

MAX_DIRECTORY = 2**20  # bytes of the zip's table of contents
MAX_PICKLE = 2**23  # bytes
MAX_PARTS = 500_000  # instructions of the pickle, and values that they make
MAX_DEPTH = 16  # of values in values
# Bytes of all tensors: zeros deflate to a thousandth, so without a bound a small file would fill any memory
MAX_TENSORS, MAX_RATIO = 64 * 2**20, 32
PIECE = 2**20  # bytes read at a time
_STORAGES = {
    "torch FloatStorage": "<f4", "torch DoubleStorage": "<f8", "torch HalfStorage": "<f2", "torch LongStorage": "<i8",
    "torch IntStorage": "<i4", "torch ShortStorage": "<i2", "torch CharStorage": "i1", "torch ByteStorage": "u1",
    "torch BoolStorage": "?",
}  # fmt: skip
_REBUILD, _ORDERED_DICT = "torch._utils _rebuild_tensor_v2", "collections OrderedDict"
# What zipfile, zlib and pickletools raise on bytes that are not theirs
_DAMAGED = (
    ValueError, LookupError, EOFError, OverflowError, NotImplementedError, RuntimeError, OSError, TypeError,
    struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in the file; `numpy()` reads it."""

    path: str
    entry: str
    dtype: np.dtype[Any]
    n_stored: int  # elements of its storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements

    def numpy(self) -> NDArray[Any]:
        """An array of its own.

        Raises
        ------
        CheckpointError
            If its bytes are damaged.
        OSError
            If the file cannot be opened.
        """
        with open(self.path, "rb") as f:
            try:
                data = _read_entry(_open_zip(f), self.entry, self.n_stored * self.dtype.itemsize)
            except _DAMAGED as error:
                raise _damaged(self.path, error) from None
        if len(data) != self.n_stored * self.dtype.itemsize:
            raise _damaged(self.path, f"{self.entry}: found {len(data)} bytes")
        if self.dtype == bool:  # any byte may stand in the file, True is 1
            data = bytearray((np.frombuffer(data, np.uint8) != 0).tobytes())
        stored = np.frombuffer(data, self.dtype)[self.offset :]
        strides = tuple(n * self.dtype.itemsize for n in self.strides)
        array = np.lib.stride_tricks.as_strided(stored, self.shape, strides)  # all within: _rebuild has checked it
        return array if array.flags.c_contiguous and array.size == self.n_stored else array.copy(order="C")


def read_tensors(path: str | Path) -> dict[str, StoredTensor]:
    """The tensors of any ``torch.save`` of one tensor, which gets the name "", or of a dict of them.

    Raises
    ------
    CheckpointError
        If it is neither.
    OSError
        If it cannot be read.
    """
    path = str(path)
    raw = read_torch_file(path)
    tensors = raw if isinstance(raw, dict) else {"": raw}
    found = {str(name): tensor for name, tensor in tensors.items() if isinstance(tensor, StoredTensor)}
    need(bool(found), path, f"found {type(raw).__name__}, wanted a tensor, or a dict of them")
    return found


def read_torch_file(path: str) -> Any:
    """What a file of ``torch.save`` holds, within the bounds above."""
    with open(path, "rb") as f:
        n_bytes = os.fstat(f.fileno()).st_size
        need(f.read(len(MAGIC)) != MAGIC, path, "found a .bin, wanted a checkpoint (.pt)")
        try:
            archive = _open_zip(f)
            raw = _Machine(path, archive).run(_read_entry(archive, _entry(archive, "data.pkl"), MAX_PICKLE))
            _check_tree(raw, MAX_TENSORS + MAX_RATIO * n_bytes)
        except _DAMAGED as error:
            raise _damaged(path, error) from None
    return raw


def need(ok: bool, path: str, message: str) -> None:
    if not ok:
        raise CheckpointError(one_line(f"{path}: {message}"))


def _damaged(path: str, error: object) -> CheckpointError:
    reason = " ".join(str(error).split())[:80] or type(error).__name__
    return CheckpointError(f"{path}: damaged or not a checkpoint ({reason})")


def one_line(message: str) -> str:
    """Control characters of a stranger's names are escaped; what is long is cut."""
    message = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda found: repr(found[0])[1:-1], message)
    return message if len(message) <= 400 else message[:400] + "..."


# ---- the zip


class _Limited:
    """What zipfile reads through: it takes a table of contents in one piece, of any size that the file claims."""

    def __init__(self, f: BinaryIO):
        self.seek, self.tell, self.seekable, self._read = f.seek, f.tell, f.seekable, f.read

    def read(self, n: int = -1) -> bytes:
        if n > MAX_DIRECTORY:
            raise ValueError(f"a table of contents of {n} bytes, wanted at most {MAX_DIRECTORY}")
        return self._read(MAX_DIRECTORY if n < 0 else n)


def _open_zip(f: BinaryIO) -> zipfile.ZipFile:
    return zipfile.ZipFile(cast(BinaryIO, _Limited(f)))


def _entry(archive: zipfile.ZipFile, name: str) -> str:
    return next((n for n in archive.namelist() if n.endswith("/" + name)), name)


def _read_entry(archive: zipfile.ZipFile, name: str, most: int) -> bytearray:
    info = archive.getinfo(name)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others inflate without bound
        raise ValueError(f"{name}: compressed by method {info.compress_type}")
    if info.file_size > most:
        raise ValueError(f"{name}: found {info.file_size} bytes, wanted at most {most}")
    data = bytearray()
    with archive.open(info) as f:
        while piece := f.read(min(PIECE, most + 1 - len(data))):
            data += piece
    return data


# ---- the pickle


class _Storage(NamedTuple):
    dtype: np.dtype[Any]
    entry: str
    n: int


class _Global(NamedTuple):
    name: str


class _Mark:
    pass


class _Machine:
    """Runs a pickle of plain values and tensors. ValueError, LookupError or TypeError for any other."""

    def __init__(self, path: str, archive: zipfile.ZipFile):
        self.path, self.names = path, set(archive.namelist())
        self.folder = _entry(archive, "data.pkl")[: -len("data.pkl")]
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, pickle: bytearray) -> Any:
        constants = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
        makers: dict[str, Any] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "MARK": _Mark}
        literals = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"}
        tuples = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
        push, pop = self.stack.append, self.stack.pop
        for n, (opcode, arg, _) in enumerate(pickletools.genops(bytes(pickle))):
            name = opcode.name
            if n >= MAX_PARTS:
                raise ValueError(f"more than {MAX_PARTS} parts")
            if name in literals:
                push(arg)
            elif name in constants:
                push(constants[name])
            elif name in makers:
                push(makers[name]())
            elif name in ("BINPUT", "LONG_BINPUT"):
                self.memo[cast(int, arg)] = self.stack[-1]
            elif name in ("BINGET", "LONG_BINGET"):
                push(self.memo[cast(int, arg)])
            elif name in tuples:
                push(tuple(reversed([pop() for _ in range(tuples[name])])))
            elif name == "TUPLE":
                push(tuple(self.since_mark()))
            elif name in ("APPEND", "APPENDS"):
                items = [pop()] if name == "APPEND" else self.since_mark()
                self.top(list).extend(items)
            elif name in ("SETITEM", "SETITEMS"):
                items = [pop(), pop()][::-1] if name == "SETITEM" else self.since_mark()
                self.set_items(items)
            elif name == "GLOBAL":
                push(_Global(str(arg)))
            elif name == "BINPERSID":
                push(self.storage(pop()))
            elif name == "REDUCE":
                arguments = pop()
                push(self.reduce(pop(), arguments))
            elif name == "BUILD":  # what torch hangs on an OrderedDict: versions of modules
                pop()
                self.top(dict)
            elif name == "STOP":
                return pop()
            elif name != "PROTO":
                raise ValueError(f"found {name}, wanted plain values and tensors")
        raise ValueError("no end")

    def since_mark(self) -> list[Any]:
        items: list[Any] = []
        while not isinstance(item := self.stack.pop(), _Mark):
            items.append(item)
        return items[::-1]

    def top(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise ValueError(f"found {type(self.stack[-1]).__name__}, wanted {kind.__name__}")
        return self.stack[-1]

    def set_items(self, items: list[Any]) -> None:
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in (str, int):
                raise ValueError(f"found a key of type {type(key).__name__}")
            self.top(dict)[key] = value

    def storage(self, pid: Any) -> _Storage:
        _, kind, key, _, n = pid
        if not isinstance(kind, _Global) or not isinstance(key, str) or type(n) is not int or n < 0:
            raise ValueError("a storage that is none")
        return _Storage(np.dtype(_STORAGES[kind.name]), f"{self.folder}data/{key}", n)

    def reduce(self, of: Any, arguments: Any) -> Any:
        if of == _Global(_ORDERED_DICT) and arguments == ():
            return {}
        if of != _Global(_REBUILD):
            raise ValueError(f"found a call of {of.name if isinstance(of, _Global) else type(of).__name__}")
        return self.rebuild(*arguments)

    def rebuild(
        self, stored: Any, offset: Any, shape: Any, strides: Any, _grad: Any = None, _hooks: Any = None
    ) -> StoredTensor:
        if not isinstance(stored, _Storage) or type(shape) is not tuple or type(strides) is not tuple:
            raise ValueError("a tensor that is none")
        if any(type(n) is not int or not 0 <= n < 2**48 for n in (offset, *shape, *strides)) or 0 in shape:
            raise ValueError("a tensor of no shape")
        last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
        if len(shape) > MAX_DEPTH or last >= stored.n:
            raise ValueError(f"a tensor {shape} that does not fit its {stored.n} numbers")
        if stored.entry not in self.names:
            raise ValueError(f"{stored.entry}: missing")
        return StoredTensor(self.path, stored.entry, stored.dtype, stored.n, offset, shape, strides)


def _check_tree(root: Any, max_bytes: int) -> None:
    """Plain values and tensors alone, of bounded depth, number and size. ValueError otherwise."""
    n_values = n_bytes = 0
    todo = [(root, 0)]
    while todo:
        value, depth = todo.pop()
        n_values += 1
        if n_values > MAX_PARTS or depth > MAX_DEPTH:
            raise ValueError("too many values in values")
        if isinstance(value, StoredTensor):
            n_bytes += max(value.n_stored, math.prod(value.shape)) * value.dtype.itemsize  # strides may be 0
            if n_bytes > max_bytes:
                raise ValueError(f"tensors of more than {max_bytes} bytes")
        elif type(value) is dict:
            todo += [(v, depth + 1) for v in value.values()]
        elif type(value) in (list, tuple):
            todo += [(v, depth + 1) for v in value]
        elif value is not None and type(value) not in (bool, int, float, str):
            raise ValueError(f"found {type(value).__name__}, wanted plain values and tensors")
