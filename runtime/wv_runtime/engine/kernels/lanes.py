"""The sample loop of several streams in step.

The lanes meet in the matrices alone; what a lane draws is what it draws by itself.

`s` is a State of as many streams as there are lanes (network.make_states), of which the first n are in use.
C twin: libwavernn/kernels/lanes.c

Usage: ``generate_lanes(net, s, n, seed, k, frames, first_frame, sample, pcm)``
"""

from __future__ import annotations

import functools

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


def _view(context, builder, a, array, l, result, shape, strides):  # noqa: E741
    """An array of shape and strides from row l of `array` on. It does not own its rows, so nobody counts references."""
    of, view = context.make_array(a)(context, builder, array), context.make_array(result)(context, builder)
    step = cgutils.unpack_tuple(builder, of.strides)[0]
    start = builder.add(builder.ptrtoint(of.data, l.type), builder.mul(l, step))
    view.data = builder.inttoptr(start, of.data.type)
    view.shape, view.strides = cgutils.pack_array(builder, shape), cgutils.pack_array(builder, strides)
    view.nitems = functools.reduce(builder.mul, shape)
    view.itemsize = of.itemsize
    view.meminfo, view.parent = (cgutils.get_null_value(v.type) for v in (view.meminfo, view.parent))
    return view._getvalue()


@intrinsic
def row(typingctx, a, l):  # noqa: E741
    """a[l] of a 2-D array whose rows are contiguous"""
    result = types.Array(a.dtype, 1, "C")

    def codegen(context, builder, signature, args):
        of = context.make_array(a)(context, builder, args[0])
        shape, strides = (cgutils.unpack_tuple(builder, v)[1:] for v in (of.shape, of.strides))
        return _view(context, builder, a, *args, result, shape, strides)

    return result(a, types.intp), codegen


@intrinsic
def rows(typingctx, a, first):
    """a[first:] of a 2-D array"""

    def codegen(context, builder, signature, args):
        of = context.make_array(a)(context, builder, args[0])
        shape, strides = (cgutils.unpack_tuple(builder, v) for v in (of.shape, of.strides))
        return _view(context, builder, a, *args, a, [builder.sub(shape[0], args[1]), *shape[1:]], strides)

    return a(a, types.intp), codegen


@register_jitable(**OVERLOAD)
def lane(s, l):  # noqa: E741
    """The State of lane l"""
    return State(
        row(s.h, l), row(s.a, l), row(s.g, l), row(s.h_q, l), row(s.b, l), row(s.z, l), row(s.logits, l), row(s.p, l),
        row(s.q, l), row(s.x, l), row(s.x_q15, l), row(s.y, l), row(s.t, l), row(s.past, l), row(s.lpc, l),
        row(s.inverse, l), row(s.work, l), row(s.signal, l),
    )  # fmt: skip


@register_jitable(**OVERLOAD)
def lanes_from(s, first):
    """The States of the lanes from `first` on"""
    return State(
        rows(s.h, first), rows(s.a, first), rows(s.g, first), rows(s.h_q, first), rows(s.b, first), rows(s.z, first),
        rows(s.logits, first), rows(s.p, first), rows(s.q, first), rows(s.x, first), rows(s.x_q15, first),
        rows(s.y, first), rows(s.t, first), rows(s.past, first), rows(s.lpc, first), rows(s.inverse, first),
        rows(s.work, first), rows(s.signal, first),
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
def lanes_bytes(net, s, n, seed, log2e_over_temperature, coarse, fine):
    """Both bytes of every lane. coarse, fine : (n,) int64"""
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


@register_jitable(**OVERLOAD)
def lanes_loop(net, s, n, seed, log2e_over_temperature, first, end, byte, pcm):
    """Samples `first` to `end` of every lane, each under one g. pcm : (n, end) int16    byte : (2, n) int64 scratch"""
    coarse, fine = byte[0], byte[1]
    for i in range(first, end):
        lanes_bytes(net, s, n, seed, log2e_over_temperature, coarse, fine)
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
