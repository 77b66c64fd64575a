"""Work for tests of jobs; other processes import it."""

from __future__ import annotations

import os
import signal
import time

from wv_runtime.errors import WaveRNNError


def add(settings: int, task: int) -> int:
    return settings + task


def refuse_one(settings: int, task: int) -> int:
    if task == settings:
        raise WaveRNNError(f"task {task}")
    time.sleep(0.01)
    return task


def answer_at_length(settings: int, task: int) -> bytes:
    """More than a pipe holds"""
    time.sleep(0.005)
    return bytes(2_000_000)


def die_at_once(settings: int, task: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
