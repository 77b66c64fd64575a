"""The engines, and which of them are alike. CONTRIBUTING.md says how to add one.

Usage: ``ENGINES["c"].load(model, isa=None, postfilter=False).open(seed=0, temperature=1.0)``
"""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass
from typing import Protocol

from wv_runtime.errors import NativeError
from wv_runtime.model.weights import Model

from .batch import Batch
from .stream import Stream


class Engine(Protocol):
    """A model that is ready to run. Arguments are checked by Voice.

    isa : what it runs on: an ISA, a GPU, another runtime's version
    """

    isa: str

    def __init__(self, model: Model, isa: str | None, postfilter: bool): ...

    def open(self, seed: int, temperature: float, n_threads: int) -> Stream:
        """A new stream at sample 0. n_threads : that a subscale voice's lanes are split over"""

    def batch(self, n_lanes: int, n_threads: int) -> Batch:
        """Room for many of them."""


@dataclass(frozen=True)
class Entry:
    """What commands and docs must know of an engine before it is imported.

    implementation : "MODULE:CLASS" of an Engine; only its first use imports it and what it needs
    about : for help texts
    has_isas : whether `isa` chooses among several
    interleaves : whether it speaks voices of interleaved lanes (subscale above 1)
    compiles : whether a process' first sample waits for a compiler
    forks : whether a process that has loaded it may fork
    same_samples : whether they are those of all others of which this is true
    timed : whether wv-bench times it
    """

    implementation: str
    about: str
    has_isas: bool = False
    interleaves: bool = False
    compiles: bool = True
    forks: bool = False
    same_samples: bool = True
    timed: bool = False

    def load(self, model: Model, isa: str | None, postfilter: bool) -> Engine:
        """Raises NativeError if something that it needs is missing, ValueError for a model that it does not run."""
        made: Engine = pkgutil.resolve_name(self.implementation)(model, isa, postfilter)
        return made


ENGINES = {
    "numba": Entry(
        "wv_runtime.engine.numba_cpu:NumbaEngine",
        "compiled for this CPU by Numba",
        interleaves=True,
        forks=True,
        timed=True,
    ),
    "c": Entry(
        "wv_runtime.engine.native:NativeEngine",
        "libwavernn",
        has_isas=True,
        interleaves=True,
        compiles=False,
        forks=True,
        timed=True,
    ),
    "cuda": Entry(
        "wv_runtime.engine.cuda:CudaEngine", "an NVIDIA GPU, int8 models alone", interleaves=True, timed=True
    ),
    "onnx": Entry("wv_runtime.engine.onnx:OnnxEngine", "ONNX Runtime, with samples of its own", same_samples=False),
}
CHOICES = ("auto", *ENGINES)  # of options
ABOUT = "; ".join(f"{name}: {entry.about}" for name, entry in ENGINES.items()) + "; auto: c if it is there, else numba."


def ready_engine() -> str:
    """What "auto" is: c if libwavernn is there, which starts at once, else numba. They give the same samples."""
    from .native import library

    try:
        library()
    except NativeError:
        return "numba"
    return "c"


def counterpart(name: str) -> str:
    """The engine whose samples check those of engine `name`."""
    return "c" if name == "numba" else "numba"
