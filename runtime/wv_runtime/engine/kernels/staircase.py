"""One utterance as interleaved lanes in step (Kalchbrenner et al. 2018, section 4).

Sample B i + l is step i of lane l; while lane 0 draws step i, lane l draws step i - l lag.
C twins: libwavernn/kernels/staircase.c, and draw_staircase of core/synth.c

Usage: ``draw_staircase(net, c, frames, sample, finished, pcm)`` with ``c = make_staircase(model, seed, k, n_threads)``,
within ``with followed(net, c):``, which has the other threads
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from .copy import copy
from .fp_mode import defined_mode
from .jit import OVERLOAD, kernel
from .lanes import lane, lanes_bytes, lanes_from
from .network import State, make_state, make_states
from .predict import n_work
from .threads import AHEAD, APART, count_of, count_to, make_counts, wait_a_little
from .wavernn import condition_frame, condition_lane, condition_sub, heard, interpolate_lanes, stage_sample

LOOKS = 1 << 14  # in vain, before a thread returns to Python
# Of Staircase.shared: steps that there may be; of a lane, as far as there are frames; whether the others are to return
GRANTED, N_STEPS, CLOSED = 0, 1, 2


class Staircase(NamedTuple):
    """The lanes of a subscale stream in step, and what they share. A group are the lanes that one thread steps."""

    s: State  # of all lanes
    frame: State  # what conditions lane 0's frame
    seed: NDArray[np.uint64]  # (subscale,)
    log2e_over_temperature: NDArray[np.float32]  # (subscale,)
    byte: NDArray[np.int64]  # (2, subscale) scratch
    first: NDArray[np.int64]  # (n_groups + 1,) lanes first[k] to first[k + 1] are group k
    done: NDArray[np.int64]  # counts, one a group: steps of lane 0 that it is through with, each so many lags later
    shared: NDArray[np.int64]  # counts: GRANTED, N_STEPS, CLOSED
    n_slots: int  # frames that some lane is in: rings of what they give the lanes
    g: NDArray[Any]  # (n_slots * n_sub * 3N,) C3 b
    r: NDArray[np.float64]  # (n_slots * (n_lags + 1),)
    lpc: NDArray[np.int16]  # (n_slots * subscale * lpc_order,)
    inverse: NDArray[np.int64]  # (n_slots * subscale * 2,)
    work: NDArray[np.float64]  # a row for each group: scratch of interpolate_lanes
    lag: int  # steps by which a lane is behind the one before it: horizon + 1
    n_out: NDArray[np.int64]  # (1,) samples that have left
    y: NDArray[np.float32]  # (1,) the last of them, before it was rounded


def make_staircase(model: Any, seed: np.uint64, log2e_over_temperature: np.float32, n_threads: int = 1) -> Staircase:
    """Silent lanes at sample 0."""
    cfg, s, order = model.config, make_states(model, model.config.subscale), model.config.lpc_order
    B, lag, n_groups = cfg.subscale, cfg.horizon + 1, min(n_threads, cfg.subscale)  # noqa: N806
    n_slots = ((B - 1) * lag + AHEAD) // (cfg.mel.hop_length // B) + 2
    s.t[:, 0] = np.arange(B)
    return Staircase(
        s, make_state(model), np.full(B, seed, np.uint64), np.full(B, log2e_over_temperature, np.float32),
        np.zeros((2, B), np.int64), np.arange(n_groups + 1) * B // n_groups, make_counts(n_groups), make_counts(3),
        n_slots, np.zeros(n_slots * cfg.n_sub * 3 * cfg.n_units, s.g.dtype),
        np.zeros(n_slots * len(model.M)), np.zeros(n_slots * B * order, np.int16), np.zeros(n_slots * B * 2, np.int64),
        np.zeros((n_groups, n_work(order))), lag, np.zeros(1, np.int64), np.zeros(1, np.float32),
    )  # fmt: skip


@register_jitable(**OVERLOAD)
def slot_of(net, c, step):
    return step // (net.n_sub * net.sub_length // net.subscale) % c.n_slots


@register_jitable(**OVERLOAD)
def condition_slot(net, c, step, window):
    """What the frame of lane 0's step `step` gives each lane, for all of them to use in turn"""
    n_r, n, slot = len(net.M) // net.n_mels, 3 * net.n_units, slot_of(net, c, step)
    condition_frame(net, c.frame, window)
    copy(c.r, slot * n_r, c.frame.work, 0, n_r)
    for sub in range(net.n_sub):
        condition_sub(net, c.frame, sub)
        copy(c.g, (slot * net.n_sub + sub) * n, c.frame.g, 0, n)


@register_jitable(**OVERLOAD)
def enter_frame(net, c, k, step):
    """The first lane of group k enters a frame with its step `step`: the coefficients of all of its lanes"""
    B, order, n_r, slot = net.subscale, net.lpc_order, len(net.M) // net.n_mels, slot_of(net, c, step)  # noqa: N806
    lpc, inverse = c.lpc[slot * B * order : (slot + 1) * B * order], c.inverse[slot * B * 2 : (slot + 1) * B * 2]
    interpolate_lanes(net, c.r[slot * n_r : (slot + 1) * n_r], c.first[k], c.first[k + 1], c.work[k], lpc, inverse)


@register_jitable(**OVERLOAD)
def enter_sub(net, c, l, step):  # noqa: E741
    """Lane l enters a sub-frame with its step `step`."""
    B, order, n = net.subscale, net.lpc_order, 3 * net.n_units  # noqa: N806
    slot, sub = slot_of(net, c, step), step // (net.sub_length // B) % net.n_sub
    s = lane(c.s, l)
    copy(s.lpc, 0, c.lpc, (slot * B + l) * order, order)
    copy(s.inverse, 0, c.inverse, (slot * B + l) * 2, 2)
    g = (slot * net.n_sub + sub) * n
    condition_lane(net, s, l, c.g[g : g + n])


@register_jitable(**OVERLOAD)
def may_step(c, k):
    """Whether group k may step: it reads what groups before it wrote, and overwrites what those behind it have read."""
    step, n_groups = count_of(c.done, k), len(c.first) - 1
    may = step < count_of(c.shared, GRANTED)
    for j in range(k):
        may = may and count_of(c.done, j) >= step
    for j in range(k + 1, n_groups):
        may = may and step - count_of(c.done, j) <= AHEAD
    return may


@register_jitable(**OVERLOAD)
def step_group(net, c, k, frames, window):
    """One step of every lane of group k that has one.

    window : where in `frames` that of lane 0 begins if it enters a frame, else -1
    """
    sub_steps, now, n_steps = net.sub_length // net.subscale, count_of(c.done, k), count_of(c.shared, N_STEPS)
    first = end = c.first[k]
    # 1) the lanes that have a step, and their conditioning; 0 comes after the last sample
    if window >= 0:
        condition_slot(net, c, now, frames[window : window + net.cond_width * net.n_mels])
    while end < c.first[k + 1]:
        step = now - end * c.lag
        if step < 0:
            break
        if step >= n_steps:
            signal = lane(c.s, 0).signal
            signal[(step * net.subscale + end) & (len(signal) - 1)] = 0
            first = end + 1
        elif step % sub_steps == 0:
            if end == c.first[k] and step % (sub_steps * net.n_sub) == 0:
                enter_frame(net, c, k, step)
            enter_sub(net, c, end, step)
        end += 1
    # 2) both bytes of each, then its sample
    if first < end:
        s, coarse, fine = lanes_from(c.s, first), c.byte[0][first:], c.byte[1][first:]
        lanes_bytes(net, s, end - first, c.seed[first:], c.log2e_over_temperature[first:], coarse, fine)
        for l in range(end - first):  # noqa: E741
            stage_sample(net, lane(s, l), coarse[l], fine[l])
    count_to(c.done, k, now + 1)


@register_jitable(**OVERLOAD)
def all_through(c, need):
    """Whether every group is through with `need` steps"""
    k, n_groups = 0, len(c.first) - 1
    while k < n_groups and count_of(c.done, k) >= need:
        k += 1
    return k == n_groups


@register_jitable(**OVERLOAD)
def run_group(net, c, k, frames, begin, need):
    """Steps of group k, each as soon as it may be: of group 0 until all groups are through with `need` of them, of the
    others until c is closed. Returns whether it came to that, or looked too often in vain.

    frames : of group 0 alone, as in wavernn.generate_samples
    begin  : the sample that the first of them begins with
    """
    hop_length, waited = net.n_sub * net.sub_length, 0
    while not (count_of(c.shared, CLOSED) != 0 if k > 0 else all_through(c, need)):
        if not may_step(c, k):
            wait_a_little()
            waited += 1
            if waited == LOOKS:
                return False
            continue
        step, window = count_of(c.done, k), -1
        if k == 0 and step < count_of(c.shared, N_STEPS) and step % (hop_length // net.subscale) == 0:
            window = (step * net.subscale - begin) // hop_length * net.n_mels
        step_group(net, c, k, frames, window)
        waited = 0
    return True


@kernel
def staircase_run(net, c, k, frames, sample, finished, pcm):
    """Steps of group k. Group 0 fills pcm with the samples of the interleaved lanes, in their order.

    frames   : as in wavernn.generate_samples, and all beyond that there are
    sample   : place of pcm[0] in the first frame
    finished : whether there will be no more

    Returns how many samples it got; Python hears ctrl-C and calls again.
    """
    B, begin, at, need = net.subscale, c.n_out[0] - sample, 0, 0  # noqa: N806
    n_steps = (begin + (len(frames) // net.n_mels - (net.cond_width - 1)) * net.n_sub * net.sub_length) // B
    while True:
        n = min(len(pcm) - at, net.sub_length)
        if k == 0:
            need = (c.n_out[0] + n - 1) // B + (B - 1) * c.lag + 1
            most = need + AHEAD if len(c.first) > 2 else need
            count_to(c.shared, N_STEPS, n_steps)
            count_to(c.shared, GRANTED, most if finished else min(most, n_steps))
        if not run_group(net, c, k, frames, begin, need) or n == 0:
            return at
        signal = lane(c.s, 0).signal
        for i in range(at, at + n):
            pcm[i] = heard(signal[c.n_out[0] & (len(signal) - 1)], net.preemphasis, c.y)
            c.n_out[0] += 1
        at += n


@contextmanager
def followed(net: Any, c: Staircase) -> Iterator[None]:
    """While the first thread draws, the others step their groups."""
    n_groups = len(c.first) - 1
    if n_groups == 1:
        yield
        return
    c.shared[CLOSED * APART] = 0
    with ThreadPoolExecutor(n_groups - 1) as pool:
        others = [pool.submit(_follow, net, c, k) for k in range(1, n_groups)]
        try:
            yield
        finally:
            c.shared[CLOSED * APART] = 1
    for other in others:
        other.result()


def _follow(net: Any, c: Staircase, k: int) -> None:
    with defined_mode():
        while not c.shared[CLOSED * APART]:
            staircase_run(net, c, k, np.zeros(0, np.float32), 0, False, np.zeros(0, np.int16))


def draw_staircase(
    net: Any, c: Staircase, frames: NDArray[np.float32], sample: int, finished: bool, pcm: NDArray[np.int16]
) -> None:
    """What the first thread does: fills pcm as staircase_run says."""
    at = 0
    while at < len(pcm):
        at += staircase_run(net, c, 0, frames, sample + at, finished, pcm[at:])
