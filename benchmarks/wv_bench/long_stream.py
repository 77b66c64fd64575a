"""A stream that speaks for long: its speed and the memory of the process, minute after minute of audio. Linux alone.

Usage: ``python -m wv_bench.long_stream voices/kathleen16/voice.bin --minutes 30 --backend c``
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from wv_runtime.commands.common import Command
from wv_runtime.engine.registry import CHOICES
from wv_runtime.engine.synth import Voice
from wv_runtime.model import binary

FRAMES = 400  # of a push


class Minute(NamedTuple):
    """Of audio."""

    samples_per_s: float  # of CPU time
    resident: int  # bytes of the process


def minutes(voice: Voice, n: int) -> Iterator[Minute]:
    """n minutes of one stream, from mels that go on like one utterance: random ones, smoothed."""
    rng, mel = np.random.default_rng(0), voice.config.mel
    stream, page = voice.open(), os.sysconf("SC_PAGE_SIZE")
    for _ in range(n):
        done, seconds = 0, 0.0
        while done < 60 * mel.sample_rate:
            frames = (np.cumsum(rng.normal(size=(mel.n_mels, FRAMES)), axis=1) / 20 - 4).astype(np.float32)
            began, taken = time.process_time(), 0
            while taken < FRAMES:
                taken += stream.push(frames[:, taken:])
                done += len(stream.pull(stream.available))
            seconds += time.process_time() - began
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * page
        yield Minute(done / seconds, resident)


@click.command("long-stream", cls=Command)
@click.argument("model")
@click.option("--minutes", "n", type=click.IntRange(1), default=30, show_default=True)
@click.option("--backend", type=click.Choice(CHOICES), default="auto", show_default=True)
def main(model: str, n: int, backend: str) -> None:
    """Print the speed and the resident memory of each minute."""
    print("minute    samples/s  resident, MB")
    for i, minute in enumerate(minutes(Voice(binary.load(model), backend), n), 1):
        print(f"{i:6}  {minute.samples_per_s:11,.0f}  {minute.resident / 1e6:12.2f}", flush=True)


if __name__ == "__main__":
    main()
