"""Windows of clips, so that each lane of a batch walks through clip after clip.

Usage: ``lanes = Lanes(data, "train", window_frames=6); samples, mel, fresh = lanes.draw(seed, step, n)``
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from wv_runtime.errors import AudioError
from wv_runtime.model.config import WaveRNNConfig

from .dataset import Data


class Lanes:
    """Windows of `window_frames` whole frames of one split, so that each lane of a batch walks through clip after clip.

    In every epoch the clips are shuffled, each is cut into windows from a random first frame on, and the row of all
    windows is dealt to the lanes in equal runs. Clips shorter than a window are left out.

    Raises
    ------
    AudioError
        If no clip of the split is long enough.
    """

    def __init__(self, data: Data, split: str, window_frames: int):
        self.data, self.window_frames = data, window_frames
        clips = np.flatnonzero(data.splits == split)
        self.clips = clips[data.n_frames[clips] >= window_frames]
        if len(self.clips) == 0:
            raise AudioError(
                f"{data.name}: found no {split} clip of at least {window_frames} frames (of {len(clips)}), wanted one"
            )
        self.n_windows = data.n_frames[self.clips] // window_frames  # of each clip

    def draw(
        self, seed: int, step: int, n: int, gain_db: float = 0.0
    ) -> tuple[NDArray[np.int16], NDArray[np.float32], NDArray[np.bool_]]:
        """The batch of a step, a pure function of its arguments.

        Returns
        -------
        samples, mel : as `at`
        fresh : (n,) bool, as `places`
        """
        clip, frame, fresh, gain = self.places(seed, step, n, gain_db)
        samples, mel = self.at(clip, frame)
        if gain_db:
            samples, mel = amplified(samples, mel, gain, self.data.cfg)
        return samples, mel, fresh

    def places(
        self, seed: int, step: int, n: int, gain_db: float = 0.0
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
        """Where the windows of a step lie: clip, first frame, whether the lane starts anew, gain; each (n,).

        A lane starts anew when its window does not continue the one of the step before.
        gain_db : each clip's level is changed by up to this, up or down, anew in every epoch
        """
        n_all = int(self.n_windows.sum())
        run = max(1, n_all // n)  # windows of a lane in an epoch
        epoch, step = divmod(step, run)
        order, first, gain = self._epoch(seed, epoch, gain_db)
        ends = np.cumsum(self.n_windows[order])
        index = (np.arange(n) * run + step) % n_all
        place = np.searchsorted(ends, index, side="right")
        k = index - (ends - self.n_windows[order])[place]  # window within its clip
        which = order[place]
        fresh = (k == 0) | (step == 0)
        return self.clips[which], first[which] + k * self.window_frames, fresh, gain[which]

    def _epoch(self, seed: int, epoch: int, gain_db: float) -> tuple[Any, Any, Any]:
        """Of all clips: their order, the first frame of each, the gain of each."""
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(self.clips))
        spare = self.data.n_frames[self.clips] - self.n_windows * self.window_frames
        first = rng.integers(spare + 1)
        gain = 10 ** (rng.uniform(-gain_db, gain_db, len(self.clips)) / 20) if gain_db else np.ones(len(self.clips))
        return order, first, gain

    def beginnings(self, n: int) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
        """The first window of n clips spread evenly over the split (of all, if there are fewer), always the same."""
        n = min(n, len(self.clips))
        clips = self.clips[(np.arange(n) * len(self.clips)) // n]
        return self.at(clips, np.zeros_like(clips))

    def at(self, clip: NDArray[np.int64], frame: NDArray[np.int64]) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
        """Windows by clip and first frame.

        Returns
        -------
        samples : (B, n_past + T + n_future) int16, 0 beyond a clip's ends; T are the window's
        mel : (B, n_mels, window_frames + cond_width - 1) float32
        """
        samples = self.data.samples(clip, frame, self.window_frames)
        return samples, self.data.mel_windows(clip, frame, self.window_frames)


def amplified(
    samples: NDArray[np.int16], mel: NDArray[np.float32], gain: NDArray[np.float64], cfg: WaveRNNConfig
) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Windows as `Lanes.at` gives them at another level. gain : (B,)"""
    samples = np.clip(np.rint(gain[:, None] * samples), -32768, 32767).astype(np.int16)
    mel = np.maximum(mel + np.log(gain)[:, None, None], np.log(cfg.mel.log_floor)).astype(np.float32)
    return samples, mel
