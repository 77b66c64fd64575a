"""What wv-run says about a run: the same keys and lines as tools/report.c, its C twin.

Usage: ``print(Report(...).text())``
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from wv_runtime.commands.common import printable
from wv_runtime.engine.registry import ENGINES, counterpart


@dataclass(frozen=True)
class Latency:
    """What a stream waits for: frames beyond the one whose samples come out, and the first samples' compute."""

    lookahead: int  # frames
    frame_s: float
    compute_s: float

    def values(self) -> dict[str, float]:
        """Of ``--json``"""
        latency_s = (self.lookahead + 1) * self.frame_s + self.compute_s
        return {
            "lookahead_frames": self.lookahead,
            "lookahead_s": self.lookahead * self.frame_s,
            "latency_s": latency_s,
        }

    def lines(self) -> list[str]:
        """Of the report."""
        n, values = self.lookahead, self.values()
        return [
            f"look-ahead        {n} frames, {1e3 * values['lookahead_s']:.1f} ms",
            f"latency           {1e3 * values['latency_s']:.1f} ms: the first {n + 1} frames and "
            f"{1e3 * self.compute_s:.1f} ms of compute",
        ]


@dataclass(frozen=True)
class Report:
    """One run; the fields are the keys of ``--json``, in this order. Durations in seconds."""

    model: str
    mel: str
    out: str
    backend: str
    isa: str
    dtype: str  # of R: f32, f16 or int8
    seed: int
    temperature: float
    n_frames: int
    n_samples: int
    sample_rate: int  # Hz
    audio_s: float
    compute_s: float
    real_time_factor: float  # compute_s / audio_s: below 1 is faster than real time
    samples_per_s: float
    first_audio_s: float  # from pushing the first frame to holding its samples
    jit_s: float  # compiling or loading the kernels, not in compute_s
    verified: bool  # another backend gave the same samples
    mels: str  # what check_mels found: fit, unchecked or a mistake
    clipped: int  # samples at the ends of the range
    level_db: float  # level of the audio over that of the mels
    sha256: str  # of the PCM: int16, little-endian

    def json(self, latency: Latency | None = None) -> str:
        """One line."""
        values = asdict(self) | (latency.values() if latency else {})
        return json.dumps({k: round(v, 6) if isinstance(v, float) else v for k, v in values.items()})

    def text(self, latency: Latency | None = None) -> str:
        """One screen."""
        both = " and ".join(name for name in ENGINES if name in (self.backend, counterpart(self.backend)))
        lines = [
            f"audio             {self.audio_s:.3f} s, {self.n_samples} samples at {self.sample_rate} Hz -> {self.out}",
            f"model             {self.model}, {self.dtype}",
            f"backend           {self.backend}, {self.isa}",
            f"compute           {self.compute_s:.3f} s, {self.samples_per_s:.0f} samples/s",
            f"real-time factor  {self.real_time_factor:.3f} (compute seconds per second of audio)",
            f"first audio       {1e3 * self.first_audio_s:.2f} ms after the first frame",
            f"JIT               {self.jit_s:.1f} s, not counted above",
            f"verified          the same samples from {both}" if self.verified else "",
            f"sha256 of PCM     {self.sha256}",
            *(latency.lines() if latency else []),
        ]
        return "\n".join(printable(line) for line in lines if line)
