"""What a voice is: its block-CSR matrices, its post-filter, its model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wv_runtime.model.config import WaveRNNConfig
from wv_runtime.model.layout import DTYPES, sections
from wv_runtime.model.neighbours import n_lags, neighbours


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
        for s in sections(self.dtype, self.rows, self.block_h, self.block_w, self.nnz_blocks):
            a = getattr(self, s.name)
            if a.dtype != s.dtype or a.shape != (s.length,):
                raise ValueError(f"{self.name}.{s.name}: found {a.dtype} {a.shape}, wanted {s.dtype} {(s.length,)}")
            object.__setattr__(self, s.name, read_only(a))

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
    denoise : dB by which it lowers noise at most, DENOISE; 0 is none
    """

    band: NDArray[np.int32]
    weight: NDArray[np.float32]
    on: bool = True
    comb: float = 0.0
    denoise: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "band", read_only(self.band))
        object.__setattr__(self, "weight", read_only(self.weight))


@dataclass(frozen=True, eq=False)
class Model:
    """Everything in a .bin.

    matrices : C1, C2, C3, R, O1, O2, O3, O4, in this order, shaped as WaveRNNConfig.matrix_shapes() says
    I        : (n_x, 3N) float32, the columns of I*, that of c_t last; the coarse half never sees c_t
    M        : (n_lags + 1, n_mels) float32 of the linear prediction; empty without it
    lane     : (subscale, 3N) float32, added to C3 b in each lane of a subscale voice; else empty
    metadata : a JSON object, free-form
    mel_stats : (2, n_mels) float32, mean and standard deviation of each band in training; empty if not known
    file     : the bytes that `binary.parse` found it in; None for a model made of arrays
    """

    config: WaveRNNConfig
    matrices: dict[str, Matrix]
    I: NDArray[np.float32]
    metadata: dict[str, Any] = field(default_factory=dict)
    M: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    postfilter: Postfilter | None = None
    mel_stats: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    lane: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    file: NDArray[np.uint8] | None = field(default=None, init=False, repr=False)  # `replace` leaves it out

    def __post_init__(self) -> None:
        for name in ("I", "M", "mel_stats", "lane"):
            object.__setattr__(self, name, read_only(getattr(self, name)))
        cfg = self.config
        if self.mel_stats.shape not in ((0, 0), (2, cfg.mel.n_mels)):
            raise ValueError(f"mel_stats: found shape {self.mel_stats.shape}, wanted (2, {cfg.mel.n_mels})")
        M_shape = (n_lags(cfg) + 1, cfg.mel.n_mels) if cfg.lpc_order else (0, 0)  # noqa: N806
        lane_shape = (cfg.subscale, 3 * cfg.n_units) if cfg.subscale > 1 else (0, 0)
        for name, wanted in (("M", M_shape), ("lane", lane_shape)):
            if getattr(self, name).shape != wanted:
                raise ValueError(f"{name}: found shape {getattr(self, name).shape}, wanted {wanted}")
        n_bins = cfg.mel.n_fft // 2 + 1
        if self.postfilter and (self.postfilter.band.shape, self.postfilter.weight.shape) != ((n_bins,), (3, n_bins)):
            raise ValueError(f"postfilter: found shapes {self.postfilter.band.shape}, {self.postfilter.weight.shape}, "
                             f"wanted ({n_bins},), (3, {n_bins})")  # fmt: skip
        if self.postfilter and self.postfilter.denoise and not self.mel_stats.size:
            raise ValueError(f"denoise: found {self.postfilter.denoise:g} without mel_stats, wanted them with it")

    @property
    def seen(self) -> tuple[NDArray[np.int64], ...]:
        """Of each lane of a subscale voice the offsets of the samples that it sees; of another voice none"""
        return neighbours(self.config) if self.config.subscale > 1 else ()

    @property
    def version(self) -> int:
        """Of the format: the oldest that holds this model, which is what `pack` writes."""
        if self.config.subscale > 1 or (self.postfilter and self.postfilter.denoise):
            return 5
        if self.mel_stats.size:
            return 4
        if self.postfilter and self.postfilter.comb:
            return 3
        return 2 if self.config.lpc_order or self.postfilter else 1


def read_only(a: NDArray[Any]) -> NDArray[Any]:
    view = a.view()
    view.flags.writeable = False
    return view
