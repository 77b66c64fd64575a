"""The sample loop of several streams in step.

The lanes meet in the matrices alone; what a lane draws is what it draws by itself.

`s` is a State of as many streams as there are lanes (network.make_states), of which the first n are in use.
C twin: libwavernn/kernels/lanes.c

Usage: ``generate_lanes(net, s, n, seed, k, frames, first_frame, sample, pcm)``
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload, register_jitable

from .jit import OVERLOAD, kernel
from .network import State, is_int8
from .spmm import lanes_float, lanes_q_to_float, lanes_q_to_q, lanes_q_to_q10
from .spmv import NO_FLOOR
from .wavernn import (
    condition_frame,
    condition_sub,
    lane_coarse,
    lane_draw,
    lane_fine,
    stage_pcm,
)


@intrinsic
def row(typingctx, a, l):  # noqa: E741
    """a[l] of a 2-D array whose rows are contiguous; it does not own them, so nobody counts references."""
    result = types.Array(a.dtype, 1, "C")

    def codegen(context, builder, signature, args):
        array, view = context.make_array(a)(context, builder, args[0]), context.make_array(result)(context, builder)
        strides = cgutils.unpack_tuple(builder, array.strides)
        start = builder.add(builder.ptrtoint(array.data, args[1].type), builder.mul(args[1], strides[0]))
        null = cgutils.get_null_value(view.meminfo.type)
        view.data = builder.inttoptr(start, array.data.type)
        view.shape = cgutils.pack_array(builder, cgutils.unpack_tuple(builder, array.shape)[1:])
        view.strides = cgutils.pack_array(builder, strides[1:])
        view.nitems = cgutils.unpack_tuple(builder, array.shape)[1]
        view.itemsize = array.itemsize
        view.meminfo, view.parent = null, cgutils.get_null_value(view.parent.type)
        return view._getvalue()

    return result(a, types.intp), codegen


@register_jitable(**OVERLOAD)
def lane(s, l):  # noqa: E741
    """The State of lane l"""
    return State(
        row(s.h, l), row(s.a, l), row(s.g, l), row(s.h_q, l), row(s.b, l), row(s.z, l), row(s.logits, l), row(s.p, l),
        row(s.q, l), row(s.x, l), row(s.x_q15, l), row(s.y, l), row(s.t, l), row(s.past, l), row(s.lpc, l),
        row(s.inverse, l), row(s.work, l),
    )  # fmt: skip


@register_jitable(**OVERLOAD)
def stride(a):
    """Elements from a row to the next"""
    return a.strides[0] // a.itemsize


def lanes_R(net, s, n):  # noqa: N802
    """a = R h_{t-1} + b_R of every lane"""


@overload(lanes_R, jit_options=OVERLOAD)
def _(net, s, n):
    def lanes_R_q(net, s, n):  # noqa: N802
        lanes_q_to_q10(net.R, n, s.h_q, stride(s.h_q), s.a, stride(s.a))

    def lanes_R_float(net, s, n):  # noqa: N802
        lanes_float(net.R, n, s.h, stride(s.h), NO_FLOOR, s.a, stride(s.a))

    return lanes_R_q if is_int8(s) else lanes_R_float


def lanes_logits(s, n, first, O_in, O_out):  # noqa: N803
    """logits = O_out relu(O_in y) of the half of h that starts at `first`"""


@overload(lanes_logits, jit_options=OVERLOAD)
def _(s, n, first, O_in, O_out):  # noqa: N803
    def lanes_logits_q(s, n, first, O_in, O_out):  # noqa: N803
        lanes_q_to_q(O_in, n, s.h_q[:, first:], stride(s.h_q), O_out, s.q, stride(s.q))
        lanes_q_to_float(O_out, n, s.q, stride(s.q), s.logits, stride(s.logits))

    def lanes_logits_float(s, n, first, O_in, O_out):  # noqa: N803
        lanes_float(O_in, n, s.h[:, first:], stride(s.h), np.float32(0.0), s.z, stride(s.z))
        lanes_float(O_out, n, s.z, stride(s.z), NO_FLOOR, s.logits, stride(s.logits))

    return lanes_logits_q if is_int8(s) else lanes_logits_float


@register_jitable(**OVERLOAD)
def lanes_coarse(net, s, n):
    """The coarse half of h_t of every lane from all inputs but c_t; the fine half once that is drawn"""
    for l in range(n):  # noqa: E741
        lane_coarse(net, lane(s, l))


@register_jitable(**OVERLOAD)
def lanes_fine(net, s, n, coarse):
    """coarse : (n,) int64"""
    for l in range(n):  # noqa: E741
        lane_fine(net, lane(s, l), coarse[l])


@register_jitable(**OVERLOAD)
def lanes_draw(s, n, seed, log2e_over_temperature, shift, byte):
    """A byte of every lane from its logits, by the random bits from `shift` on

    seed, log2e_over_temperature : (n,) uint64, float32    byte : (n,) int64
    """
    for l in range(n):  # noqa: E741
        byte[l] = lane_draw(lane(s, l), seed[l], log2e_over_temperature[l], shift)


@register_jitable(**OVERLOAD)
def lanes_loop(net, s, n, seed, log2e_over_temperature, first, end, byte, pcm):
    """Samples `first` to `end` of every lane, each under one g. pcm : (n, end) int16    byte : (2, n) int64 scratch"""
    coarse, fine = byte[0], byte[1]
    for i in range(first, end):
        # 1) R h_{t-1}, once for both halves
        lanes_R(net, s, n)
        # 2) the coarse half of h_t, and c_t
        lanes_coarse(net, s, n)
        lanes_logits(s, n, 0, net.O1, net.O2)
        lanes_draw(s, n, seed, log2e_over_temperature, 32, coarse)
        # 3) the fine half, and f_t
        lanes_fine(net, s, n, coarse)
        lanes_logits(s, n, net.n_units // 2, net.O3, net.O4)
        lanes_draw(s, n, seed, log2e_over_temperature, 0, fine)
        # 4) undo the pre-emphasis, round, clip
        for l in range(n):  # noqa: E741
            pcm[l, i] = stage_pcm(net, lane(s, l), coarse[l], fine[l])


@kernel
def generate_lanes(net, s, n, seed, log2e_over_temperature, frames, first_frame, sample, byte, pcm):
    """Fills pcm, each lane from its own place in its own frames on.

    frames      : (any number of frames * n_mels,) float32
    first_frame : (n,) int64    the windows of lane l begin with this frame; counted up
    sample      : (n,) int64    where in its first frame lane l begins; where in the last it ends
    """
    n_mels, hop_length, i, end = net.n_mels, net.n_sub * net.sub_length, 0, pcm.shape[1]
    while i < end:
        # conditioning, at the start of a frame and of a sub-frame
        m = end - i
        for l in range(n):  # noqa: E741
            if sample[l] == 0:
                window = first_frame[l] * n_mels
                condition_frame(net, lane(s, l), frames[window : window + net.cond_width * n_mels])
            if sample[l] % net.sub_length == 0:
                condition_sub(net, lane(s, l), sample[l] // net.sub_length)
            m = min(m, net.sub_length - sample[l] % net.sub_length)
        # samples up to the next of those
        lanes_loop(net, s, n, seed, log2e_over_temperature, i, i + m, byte, pcm)
        i += m
        for l in range(n):  # noqa: E741
            sample[l] += m
            if sample[l] == hop_length:
                sample[l] = 0
                first_frame[l] += 1


@kernel
def move_lane(to, l, state):  # noqa: E741
    """The lane's stream becomes the one of `state`."""
    _copy(lane(to, l), state)


@kernel
def take_lane(state, s, l):  # noqa: E741
    """`state` becomes that of lane l."""
    _copy(state, lane(s, l))


@register_jitable(**OVERLOAD)
def _copy(to, of):
    """What lasts from one sample to the next, and the conditioning of the frame"""
    to.h[:], to.g[:], to.h_q[:], to.b[:] = of.h, of.g, of.h_q, of.b
    to.y[:], to.t[:], to.past[:], to.lpc[:], to.inverse[:] = of.y, of.t, of.past, of.lpc, of.inverse
