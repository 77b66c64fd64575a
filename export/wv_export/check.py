"""What a dtype costs: teacher-forced log-probabilities of real speech, stored model against f32.

Usage: ``print(check(model, to_model(ckpt, "f32"), "clip.npy", "clip.wav"))``
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from wv_runtime.engine.nll import log_softmax
from wv_runtime.engine.numba_cpu import teacher_forced
from wv_runtime.errors import AudioError
from wv_runtime.features.mel import check_length, load_audio
from wv_runtime.features.mel_file import load_mel
from wv_runtime.features.samples import true_samples
from wv_runtime.model.weights import Model


class Cost(NamedTuple):
    """Of the coarse or the fine byte.

    nll, nll_f32 : nats per byte   mean, max : |log-probability - that of f32| over all 256 values
    """

    nll: float
    nll_f32: float
    mean: float
    max: float


def check(model: Model, reference: Model, mel_path: str, audio_path: str) -> tuple[Cost, Cost]:
    """Coarse and fine cost over the whole clip.

    mel_path : .npy of wv-mel, (n_mels, n_frames), of the same audio

    Raises
    ------
    MelError, AudioError
        If mel and audio do not fit the model or each other.
    """
    cfg = model.config
    mel = load_mel(mel_path, cfg.mel)
    audio = load_audio(audio_path, cfg.mel.sample_rate)
    n_frames = len(audio) // cfg.mel.hop_length
    if n_frames == 0:
        raise AudioError(f"{audio_path}: found {len(audio)} samples, wanted at least {cfg.mel.hop_length}")
    check_length(mel_path, mel.shape[1], len(audio), cfg.mel, audio_path)
    samples = true_samples(audio[: mel.shape[1] * cfg.mel.hop_length], cfg)
    ours, theirs = (teacher_forced(m, samples, mel) for m in (model, reference))
    coarse, fine = theirs[2].astype(np.int64).T
    return _cost(ours[0], theirs[0], coarse), _cost(ours[1], theirs[1], fine)


def _cost(logits: NDArray[np.float32], reference: NDArray[np.float32], byte: NDArray[np.int64]) -> Cost:
    ours, theirs = log_softmax(logits), log_softmax(reference)
    at = byte[:, None]
    difference = np.abs(ours - theirs)
    return Cost(
        nll=float(-np.take_along_axis(ours, at, 1).mean()),
        nll_f32=float(-np.take_along_axis(theirs, at, 1).mean()),
        mean=float(difference.mean()),
        max=float(difference.max()),
    )


def report(dtype: str, coarse: Cost, fine: Cost) -> str:
    """Both costs as a table."""
    head = f"{'teacher-forced':<16}{'NLL f32':>10}{f'NLL {dtype}':>12}{'cost':>10}{'|dlogp| mean':>15}{'max':>9}"
    lines = [
        f"{name:<16}{c.nll_f32:>10.4f}{c.nll:>12.4f}{c.nll - c.nll_f32:>+10.4f}{c.mean:>15.2e}{c.max:>9.1e}"
        for name, c in (("coarse", coarse), ("fine", fine))
    ]
    total = coarse.nll + fine.nll
    f32 = coarse.nll_f32 + fine.nll_f32
    return "\n".join([head, *lines, f"{'sample (nats)':<16}{f32:>10.4f}{total:>12.4f}{total - f32:>+10.4f}"])
