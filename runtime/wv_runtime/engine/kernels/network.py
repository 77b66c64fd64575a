"""What the kernels take: a model as a tuple of arrays, and the state of one stream or of several."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from . import derive
from .isa import check_isa
from .predict import N_X
from .simd import Q_BIAS, aligned
from .spmv import tile
from .threads import AHEAD


class Net(NamedTuple):
    """A model as the kernels take it."""

    n_units: int
    n_mels: int
    cond_width: int
    n_cond: int
    n_sub: int
    sub_length: int
    lpc_order: int
    n_x: int  # inputs of the network
    subscale: int
    preemphasis: np.float32
    C1: Any
    C2: Any
    C3: Any
    R: Any
    O1: Any
    O2: Any
    O3: Any
    O4: Any
    I: NDArray[Any]  # (3N n_x,) columns of I*, that of c_t last: float32, or of derive.quantize_I  # noqa: E741
    I_shift: int
    M: NDArray[np.float32]  # ((n_lags + 1) * n_mels,) of the linear prediction, or empty
    lane: NDArray[Any]  # (subscale * 3N,) added to C3 b, as g is kept, or empty
    n_seen: NDArray[np.int64]  # (subscale,) samples that a lane sees
    seen: NDArray[np.int64]  # (subscale * lpc_order,) their offsets, the nearest first


class State(NamedTuple):
    """The mutable state of one audio stream. A float model has h, a, g in float32 and leaves h_q unused; an int8
    model, whose gates run in 16-bit fixed point, has h in Q15, a and g in Q10, int16.

    Of n streams: the same with a first axis of n.
    """

    h: NDArray[Any]  # (N,)
    a: NDArray[Any]  # (3N,) R h + b_R
    g: NDArray[Any]  # (3N,) conditioning of the current sub-frame
    h_q: NDArray[np.int8]  # (N,) h in 8 bits, as R, O1 and O3 read it
    b: NDArray[np.float32]  # (n_sub * n_cond,) conditioning vectors of the current frame
    z: NDArray[np.float32]  # (max(n_out, n_cond),)
    logits: NDArray[np.float32]  # (256,)
    p: NDArray[np.int32]  # (272,)
    q: NDArray[np.int8]  # (most columns of any matrix,) quantised input
    x: NDArray[Any]  # (8 or n_x,) inputs of the network; float32, or int16 in Q15
    x_q15: NDArray[np.int16]  # likewise, the same before they become float32
    y: NDArray[np.float32]  # (1,) last de-emphasised sample
    t: NDArray[np.int64]  # (5,) samples drawn so far, last coarse byte, last fine byte, p_t, d_{t-1}
    past: NDArray[np.int16]  # (lpc_order,) samples, pre-emphasised, the last one last; or what a lane sees
    lpc: NDArray[np.int16]  # (lpc_order,) of the current frame
    inverse: NDArray[np.int64]  # (2,) likewise
    work: NDArray[np.float64]  # scratch of predictor and autocorrelation
    # (a power of 2,) what the lanes of a subscale stream see, one array for all: s_t at t modulo its length, 0
    # before the first sample and after the last
    signal: NDArray[np.int16]


def make_net(model: Any) -> Net:
    """weights.Model -> Net, sharing its arrays. Raises ValueError if $WV_ISA names no ISA of this CPU."""
    check_isa()
    cfg = model.config
    I, I_shift, lane = model.I.reshape(-1), 0, model.lane.reshape(-1)  # noqa: E741, N806
    if model.matrices["R"].values.dtype == np.int8:
        I, I_shift = derive.quantize_I(model.I, cfg.lpc_order)  # noqa: E741, N806
        lane = derive.lane_q10(lane)
    seen = np.zeros((len(model.seen), cfg.lpc_order), np.int64)
    for row, offsets in zip(seen, model.seen, strict=True):
        row[: len(offsets)] = offsets
    return Net(
        cfg.n_units, cfg.mel.n_mels, cfg.cond_width, cfg.n_cond, cfg.n_sub, cfg.sub_length, cfg.lpc_order, cfg.n_x,
        cfg.subscale, np.float32(cfg.preemphasis), *(tile(m) for m in model.matrices.values()), aligned(I), I_shift,
        aligned(model.M.reshape(-1)), lane.copy(), np.array([len(d) for d in model.seen], np.int64), seen.reshape(-1),
    )  # fmt: skip


def make_state(model: Any) -> State:
    """A silent stream at sample 0."""
    return lane_of(make_states(model, 1), 0)


def make_states(model: Any, n: int) -> State:
    """n of them, or the n lanes of one subscale stream."""
    cfg = model.config
    real = np.int16 if model.matrices["R"].values.dtype == np.int8 else np.float32
    n_q = max(m.cols for m in model.matrices.values())

    def zeros(size, dtype):
        return aligned(np.zeros((n, size), dtype))

    # a draw stores p_i while it loads the logits: with the same low 12 bits of their addresses it would wait
    draws = zeros(528, np.float32)
    return State(
        h=zeros(cfg.n_units, real),
        a=zeros(3 * cfg.n_units, real),
        g=zeros(3 * cfg.n_units, real),
        h_q=aligned(np.full((n, cfg.n_units), -Q_BIAS % 256, np.uint8).view(np.int8)),
        b=zeros(cfg.n_sub * cfg.n_cond, np.float32),
        z=zeros(max(cfg.n_out, cfg.n_cond), np.float32),
        logits=draws[:, :256],
        p=draws[:, 256:].view(np.int32),
        q=zeros(n_q, np.int8),
        x=zeros(max(N_X, cfg.n_x), real),
        x_q15=zeros(max(N_X, cfg.n_x), np.int16),
        y=zeros(1, np.float32),
        t=np.tile(np.array([0, 128, 0, 0, 0], np.int64), (n, 1)),  # silence: sample 32768 of 0..65535
        past=zeros(cfg.lpc_order, np.int16),
        lpc=zeros(cfg.lpc_order, np.int16),
        inverse=zeros(2, np.int64),
        work=zeros(len(model.M) + cfg.mel.n_mels + 2 * cfg.lpc_order, np.float64),
        signal=as_strided(np.zeros(_ring(cfg), np.int16), (n, _ring(cfg)), (0, 2)),
    )


def _ring(cfg: Any) -> int:
    """Samples from the last that a lane sees to the first one's next and a sub-frame that leaves, as a power of 2"""
    n_seen = cfg.subscale * ((cfg.subscale - 1) * (cfg.horizon + 1) + AHEAD + cfg.lookback + 2)
    n_seen += cfg.mel.hop_length // cfg.n_sub
    return 1 << n_seen.bit_length() if cfg.subscale > 1 else 1


# What lasts from one sample to the next, and the conditioning of the frame
KEPT = ("h", "g", "h_q", "b", "y", "t", "past", "lpc", "inverse")


def copy_lane(to: State, of: State) -> None:
    """The stream of `of` goes on in `to`."""
    for name in KEPT:
        getattr(to, name)[...] = getattr(of, name)


def lane_of(states: State, l: int) -> State:  # noqa: E741
    """That of lane l, which shares its arrays."""
    return State(*(a[l] for a in states))


def is_int8(s: Any) -> bool:
    return s.types[s.fields.index("h")].dtype == types.int16
