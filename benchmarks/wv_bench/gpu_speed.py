"""Times of the CUDA engine's kernel: utterances at once, and one launch against a launch per step.

Usage: ``net = CudaNet(model)``; ``speed(net, 132, 24_000)["samples_per_s"]``; ``steps(net)["us_per_sample_s"]``
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

N_STREAMS = (1, 8, 32, 132, 1024)
REPEATS = 3
COUNTS, AT, BEGIN = 2, 7, 2  # of `arguments`; a column of `at` of sample_block


def n_samples(n_streams: int) -> int:
    """Of each stream, for about half a second on a fast GPU."""
    return 24_000 if n_streams <= 132 else 6_000


def arguments(net: Any, n_streams: int, n: int) -> list[Any]:
    """For a launch of n samples each. They share their conditioning and differ in their seeds."""
    from numba import cuda
    from wv_runtime.engine.cuda import CudaStream

    stream, cfg = CudaStream(net, 0, 1.0), net.model.config
    n_frames = -(-(n + cfg.delay) // cfg.mel.hop_length) + 4
    stream.push(np.random.default_rng(0).normal(size=(cfg.mel.n_mels, n_frames)).astype(np.float32))
    seed, k, counts, first, *conditioning, at, last, h, signal = net.to_device([stream], [stream.steps_for(n)])
    k, counts, first, at, last, h, signal = (
        cuda.to_device(np.tile(a.copy_to_host(), (n_streams,) + (1,) * (a.ndim - 1)))
        for a in (k, counts, first, at, last, h, signal)
    )
    seed = cuda.to_device(np.arange(n_streams, dtype=np.uint64))
    return [seed, k, counts, first, *conditioning, at, last, h, signal]


def seconds(net: Any, n_streams: int, n: int, repeats: int = REPEATS) -> list[float]:
    """Of launches that draw n samples of every stream."""
    from numba import cuda

    times = []
    for _ in range(repeats):
        prepared = arguments(net, n_streams, n)
        cuda.synchronize()
        start = time.perf_counter()
        net.launch(n_streams, *prepared)
        cuda.synchronize()
        times.append(time.perf_counter() - start)
    return times


def speed(net: Any, n_streams: int, n: int, repeats: int = REPEATS) -> dict[str, Any]:
    """{n_streams, n, seconds, samples_per_s}: the median's, of all streams"""
    times = seconds(net, n_streams, n, repeats)
    rate = n_streams * n / float(np.median(times))
    return {"n_streams": n_streams, "n": n, "seconds": times, "samples_per_s": rate}


def line(found: dict[str, Any]) -> str:
    """Of a result of `speed`"""
    b, rate = found["n_streams"], found["samples_per_s"]
    return f"  {b:5} streams x {found['n']} samples: {rate:14,.0f} samples/s, {rate / b:10,.0f} each"


def steps(
    net: Any, n: Sequence[int] = (1, 4, 16, 64, 256, 1024, 4096), n_steps: int = 400, n_before: int = 48_000
) -> dict[str, Any]:
    """One launch for n samples: d + n s. And a launch per step, queued behind one of n_before: no time of Python.

    A step is a sample, or one of each subscale lane.
    """
    from numba import cuda

    times = [float(np.median(seconds(net, 1, m, 5))) for m in n]
    s, d = np.polyfit(n, times, 1)
    before, prepared = arguments(net, 1, n_before), arguments(net, 1, n_steps * net.model.config.subscale)
    # each launch has step 0 alone: all lanes draw in it
    prepared[COUNTS] = cuda.to_device(np.array([1], np.int32))
    at = prepared[AT].copy_to_host()
    at[:, BEGIN] = 0
    prepared[AT] = cuda.to_device(at)
    start, end = cuda.event(), cuda.event()
    cuda.synchronize()
    wall = time.perf_counter()
    net.launch(1, *before)
    start.record()
    for _ in range(n_steps):
        net.launch(1, *prepared)
    wall = time.perf_counter() - wall
    end.record()
    cuda.synchronize()
    per_step = 1e-3 * start.elapsed_time(end) / n_steps
    per_sample = per_step / net.model.config.subscale
    return {
        "n": list(n), "seconds": times, "us_per_launch_d": 1e6 * d, "us_per_sample_s": 1e6 * s,
        "us_per_one_step_launch": 1e6 * per_step, "us_to_queue_one": 1e6 * wall / n_steps,
        "ratio": per_sample / float(s),
    }  # fmt: skip


def steps_text(found: dict[str, Any]) -> str:
    """Of a result of `steps`"""
    return (
        f"  one launch: {found['us_per_launch_d']:.1f} us and {found['us_per_sample_s']:.1f} us a sample\n"
        f"  a launch per step: {found['us_per_one_step_launch']:.1f} us, {found['ratio']:.2f} times as much a sample; "
        f"{found['us_to_queue_one']:.1f} us to queue it from Python"
    )
