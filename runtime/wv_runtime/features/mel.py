"""Audio in, log-mels out: the only place of this project that reads audio files or computes mels.

The transform is HiFi-GAN's (``meldataset.py``), which is also Tacotron 2's; preset "22k" gives its frames to
within float32 rounding:

    padded = reflect_pad(audio, (n_fft - hop_length) / 2)
    magnitude = sqrt(re^2 + im^2 + 1e-9)            of the STFT, Hann window, no further centring
    mel = log(max(mel_basis @ magnitude, log_floor))   Slaney mel basis, natural logarithm

Frame t is centred on the middle of samples [t * hop_length, (t + 1) * hop_length). As in HiFi-GAN there are
``len(audio) // hop_length`` frames: the samples of an incomplete last hop belong to no frame.

It does not normalise levels, trim silence or play sound. librosa and soxr come with the extra
``wavernn[audio]`` and are imported when first needed.

Usage: ``mel = log_mel(load_audio("clip.flac", 16000), PRESETS["16k"])``
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wv_runtime.errors import AudioError, MelError, WaveRNNError
from wv_runtime.features.recording import check_recording, missing, remarks
from wv_runtime.model.config import MelConfig

MAGNITUDE_EPS = 1e-9  # HiFi-GAN adds it under the square root
SPARE_FRAMES = 2  # by which makers of mels differ at the edges


def load_audio(
    path: str | Path, sample_rate: int, warn: Callable[[str], None] = lambda line: None
) -> NDArray[np.float32]:
    """Read an audio file as mono at `sample_rate` Hz; channels are averaged, other rates resampled (soxr HQ).

    warn : gets a line for each thing that is unlikely to be meant (recording.py)

    Returns
    -------
    audio : (n_samples,) float32, full scale is [-1, 1]

    Raises
    ------
    AudioError
        If the file is missing, is not audio, is empty, or holds NaN, infinity or what no one can have meant.
    WaveRNNError
        If it needs resampling and soxr is not installed.
    """
    import soundfile

    try:
        audio, file_rate = soundfile.read(os.fsencode(path), dtype="float32", always_2d=True)  # (n_samples, n_channels)
    except (OSError, RuntimeError, TypeError) as error:  # soundfile.LibsndfileError is a RuntimeError
        reason = "found a folder" if Path(path).is_dir() else str(error).rsplit(": ", 1)[-1].rstrip(".")
        reason = reason if Path(path).exists() else "no such file"
        raise AudioError(f"{path}: {reason}, wanted audio that libsndfile reads: wav, flac, ogg, opus, mp3") from None
    if len(audio) == 0:
        raise AudioError(f"{path}: found 0 samples, wanted audio")
    if not np.isfinite(audio).all():
        raise AudioError(f"{path}: found NaN or infinite samples, wanted finite ones")
    check_recording(path, audio)
    mono = audio.mean(axis=1, dtype=np.float32)
    for remark in [*missing(path), *remarks(mono, file_rate, sample_rate)]:
        warn(f"{path}: {remark}")
    if file_rate != sample_rate:
        mono = optional("soxr").resample(mono, file_rate, sample_rate)
    return np.ascontiguousarray(mono, dtype=np.float32)


def log_mel(audio: NDArray[np.float32], cfg: MelConfig) -> NDArray[np.float32]:
    """Log-mels of mono audio at cfg.sample_rate.

    Parameters
    ----------
    audio : (n_samples,) float32 in [-1, 1]

    Returns
    -------
    mel : (n_mels, n_frames) float32, n_frames = n_samples // hop_length

    Raises
    ------
    ValueError
        If `audio` is not one-dimensional.
    AudioError
        If `audio` is shorter than one frame.
    """
    if audio.ndim != 1:
        raise ValueError(f"audio: found shape {audio.shape}, wanted (n_samples,)")
    if len(audio) < cfg.hop_length:
        raise AudioError(f"audio: found {len(audio)} samples, wanted at least one frame ({cfg.hop_length})")
    pad = cfg.n_fft - cfg.hop_length
    # np.pad reflects more than once where a clip is shorter than the padding
    padded = np.pad(audio.astype(np.float32), (pad // 2, pad - pad // 2), mode="reflect")
    stft = optional("librosa").stft(
        padded, n_fft=cfg.n_fft, hop_length=cfg.hop_length, win_length=cfg.win_length, window="hann", center=False
    )
    magnitude = np.sqrt(stft.real**2 + stft.imag**2 + np.float32(MAGNITUDE_EPS))
    mel = np.log(np.maximum(_sparse_basis(cfg) @ magnitude, np.float32(cfg.log_floor)))
    return np.ascontiguousarray(mel, dtype=np.float32)


def check_length(path: str | Path, n_frames: int, n_samples: int, cfg: MelConfig, audio_path: str | Path) -> None:
    """Raises MelError unless so many frames, of a file, are those of so many samples of another."""
    wanted = n_samples // cfg.hop_length
    if abs(n_frames - wanted) > SPARE_FRAMES:
        raise MelError(f"{path}: found {n_frames} frames, wanted {wanted}, as many as {audio_path} has")


@functools.lru_cache(maxsize=8)
def mel_basis(cfg: MelConfig) -> NDArray[np.float32]:
    """(n_mels, n_fft / 2 + 1)"""
    return optional("librosa").filters.mel(
        sr=cfg.sample_rate, n_fft=cfg.n_fft, n_mels=cfg.n_mels, fmin=cfg.fmin, fmax=cfg.fmax, htk=False, norm="slaney"
    )


@functools.lru_cache(maxsize=8)
def _sparse_basis(cfg: MelConfig) -> Any:
    """`mel_basis`, whose product is that of one thread: BLAS gives other last bits for each number of threads."""
    return optional("scipy.sparse").csr_matrix(mel_basis(cfg))


def optional(module: str) -> Any:
    """A module of the extra `audio`.

    Raises
    ------
    WaveRNNError
        If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise WaveRNNError(f"{module}: not installed, wanted for this; pip install 'wavernn[audio]'") from None
