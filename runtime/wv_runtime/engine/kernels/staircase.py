"""One utterance as interleaved lanes in step (Kalchbrenner et al. 2018, section 4).

Sample B i + l is step i of lane l; while lane 0 draws step i, lane l draws step i - l lag.
C twins: libwavernn/kernels/staircase.c, and draw_staircase of core/synth.c

Usage: ``draw_staircase(net, c, frames, sample, pcm)`` with ``c = make_staircase(model, seed, log2e_over_temperature)``
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from .copy import copy
from .jit import OVERLOAD, kernel
from .lanes import lane, lanes_bytes, lanes_from
from .network import State, make_state, make_states
from .wavernn import condition_frame, condition_lane, condition_sub, heard, stage_sample


class Staircase(NamedTuple):
    """The lanes of a subscale stream in step, and what they share."""

    s: State  # of all lanes
    frame: State  # what conditions lane 0's frame; its lpc and inverse have a row for each lane
    seed: NDArray[np.uint64]  # (subscale,)
    log2e_over_temperature: NDArray[np.float32]  # (subscale,)
    byte: NDArray[np.int64]  # (2, subscale) scratch
    n_slots: int  # frames that some lane is in: rings of what they give the lanes
    g: NDArray[Any]  # (n_slots * n_sub * 3N,) C3 b
    lpc: NDArray[np.int16]  # (n_slots * subscale * lpc_order,)
    inverse: NDArray[np.int64]  # (n_slots * subscale * 2,)
    lag: int  # steps by which a lane is behind the one before it: horizon + 1
    n: NDArray[np.int64]  # (2,) step of lane 0, the next one; samples that have left
    y: NDArray[np.float32]  # (1,) the last of them, before it was rounded


def make_staircase(model: Any, seed: np.uint64, log2e_over_temperature: np.float32) -> Staircase:
    """Silent lanes at sample 0."""
    cfg, s = model.config, make_states(model, model.config.subscale)
    B, lag = cfg.subscale, cfg.horizon + 1  # noqa: N806
    n_slots = (B - 1) * lag // (cfg.mel.hop_length // B) + 2
    s.t[:, 0] = np.arange(B)
    return Staircase(
        s, make_state(model), np.full(B, seed, np.uint64), np.full(B, log2e_over_temperature, np.float32),
        np.zeros((2, B), np.int64), n_slots, np.zeros(n_slots * cfg.n_sub * 3 * cfg.n_units, s.g.dtype),
        np.zeros(n_slots * B * cfg.lpc_order, np.int16), np.zeros(n_slots * B * 2, np.int64), lag,
        np.zeros(2, np.int64), np.zeros(1, np.float32),
    )  # fmt: skip


@register_jitable(**OVERLOAD)
def condition_slot(net, c, step, window):
    """What the frame of lane 0's step `step` gives each lane, for all of them to use in turn"""
    B, order, n = net.subscale, net.lpc_order, 3 * net.n_units  # noqa: N806
    slot = step // (net.n_sub * net.sub_length // B) % c.n_slots
    condition_frame(net, c.frame, window)
    copy(c.lpc, slot * B * order, c.frame.lpc, 0, B * order)
    copy(c.inverse, slot * B * 2, c.frame.inverse, 0, B * 2)
    for sub in range(net.n_sub):
        condition_sub(net, c.frame, sub)
        copy(c.g, (slot * net.n_sub + sub) * n, c.frame.g, 0, n)


@register_jitable(**OVERLOAD)
def enter_sub(net, c, l, step):  # noqa: E741
    """Lane l enters a sub-frame with its step `step`."""
    B, order, n = net.subscale, net.lpc_order, 3 * net.n_units  # noqa: N806
    n_subs = step // (net.sub_length // B)  # before this one
    slot, sub = n_subs // net.n_sub % c.n_slots, n_subs % net.n_sub
    s = lane(c.s, l)
    copy(s.lpc, 0, c.lpc, (slot * B + l) * order, order)
    copy(s.inverse, 0, c.inverse, (slot * B + l) * 2, 2)
    g = (slot * net.n_sub + sub) * n
    condition_lane(net, s, l, c.g[g : g + n])


@register_jitable(**OVERLOAD)
def wants_window(net, c, n_steps):
    """Whether lane 0 enters a frame with the next step"""
    return c.n[0] < n_steps and c.n[0] % (net.n_sub * net.sub_length // net.subscale) == 0


@register_jitable(**OVERLOAD)
def staircase_step(net, c, frames, window, n_steps):
    """One step of every lane that has one.

    n_steps : of a lane, as far as there are frames
    window  : where in `frames` that of lane 0 begins if it enters a frame, else -1
    """
    first, end, sub_steps = 0, 0, net.sub_length // net.subscale
    # 1) the lanes that have a step, and their conditioning; 0 comes after the last sample
    if window >= 0:
        condition_slot(net, c, c.n[0], frames[window : window + net.cond_width * net.n_mels])
    while end < net.subscale:
        step = c.n[0] - end * c.lag
        if step < 0:
            break
        if step >= n_steps:
            signal = lane(c.s, 0).signal
            signal[(step * net.subscale + end) & (len(signal) - 1)] = 0
            first = end + 1
        elif step % sub_steps == 0:
            enter_sub(net, c, end, step)
        end += 1
    # 2) both bytes of each, then its sample
    if first < end:
        s, coarse, fine = lanes_from(c.s, first), c.byte[0], c.byte[1]
        lanes_bytes(net, s, end - first, c.seed, c.log2e_over_temperature, coarse, fine)
        for l in range(end - first):  # noqa: E741
            stage_sample(net, lane(s, l), coarse[l], fine[l])
    c.n[0] += 1


@kernel
def draw_staircase(net, c, frames, sample, pcm):
    """Fills pcm with the samples of the interleaved lanes, in their order.

    frames : as in wavernn.generate_samples, and all beyond that there are
    sample : place of pcm[0] in the first frame
    """
    B, hop_length = net.subscale, net.n_sub * net.sub_length  # noqa: N806
    signal, begin = lane(c.s, 0).signal, c.n[1] - sample  # of the first frame
    n_steps = (begin + (len(frames) // net.n_mels - (net.cond_width - 1)) * hop_length) // B
    for i in range(len(pcm)):
        while c.n[0] <= c.n[1] // B + (B - 1) * c.lag:
            window = -1
            if wants_window(net, c, n_steps):
                window = (c.n[0] * B - begin) // hop_length * net.n_mels
            staircase_step(net, c, frames, window, n_steps)
        pcm[i] = heard(signal[c.n[1] & (len(signal) - 1)], net.preemphasis, c.y)
        c.n[1] += 1
