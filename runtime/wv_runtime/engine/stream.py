"""What every engine gives: a Stream of mels to samples. And the checks of what goes in."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wv_runtime.errors import MelError

TEMPERATURES = (1e-6, 1e6)  # WV_TEMPERATURE_MIN, WV_TEMPERATURE_MAX


def check_temperature(temperature: float, where: str = "temperature") -> None:
    """Raises ValueError unless the temperature is a number that logits may be divided by."""
    low, high = TEMPERATURES
    if not low <= temperature <= high:
        raise ValueError(f"{where}: found {temperature}, wanted a number from {low:g} to {high:g}")


class Stream(Protocol):
    """Push mel frames, pull samples. How the stream is cut into pushes and pulls does not change the audio."""

    def push(self, mel: NDArray[np.float32]) -> int:
        """Append frames; returns how many were taken (backend c: as many as there is room for).

        mel : (n_mels, n_frames) float32
        """

    def finish(self) -> None:
        """No more frames will come: the last one is repeated to the right, as training did."""

    @property
    def available(self) -> int:
        """Samples that `pull` could give now."""

    def pull(self, n: int) -> NDArray[np.int16]:
        """Up to n samples. (min(n, available),) int16"""


def as_mel(mel: Any) -> NDArray[np.float32]:
    """An array of any float, or a tensor of torch, as float32; of what is neither `mel_frames` says so."""
    if hasattr(mel, "detach"):
        mel = mel.detach().cpu()
        mel = (mel.float() if mel.is_floating_point() else mel).numpy()  # NumPy has no bfloat16
    array: NDArray[Any] = np.asarray(mel)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
        return array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array


def mel_frames(mel: NDArray[np.float32], n_mels: int) -> NDArray[np.float32]:
    """(n_mels, n_frames) float32 -> (n_frames, n_mels), contiguous, checked.

    Raises
    ------
    MelError
        If the shape or dtype is wrong or a value is NaN or infinite.
    """
    if mel.ndim != 2 or mel.shape[0] != n_mels or mel.dtype != np.float32:
        raise MelError(f"mel: found {mel.dtype} {mel.shape}, wanted float32 ({n_mels}, n_frames)")
    if not np.isfinite(mel).all():
        frame = int(np.argmin(np.isfinite(mel).all(axis=0)))
        raise MelError(f"mel: frame {frame} holds NaN or infinity, wanted finite log-mels")
    return np.ascontiguousarray(mel.T)
