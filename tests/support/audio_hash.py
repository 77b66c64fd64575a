"""What support/hashes.c must print of a model.

Usage: ``audio_hash(Path("golden_v1_f32.bin"))``
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from model_fixtures import N_FRAMES, golden_mel
from wv_runtime.engine.synth import Voice
from wv_runtime.model import binary


@functools.cache
def audio_hash(path: Path, n_frames: int = N_FRAMES) -> str:
    """SHA-256 of the samples that the installed library's portable kernels make of so many frames."""
    model = binary.load(path)
    pcm = Voice(model, "c", "portable")(golden_mel(model.config.mel.n_mels)[:, :n_frames], seed=7)
    return hashlib.sha256(pcm.astype("<i2").tobytes()).hexdigest()
