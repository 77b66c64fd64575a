"""What a step is trained on, as tensors of the device: inputs, bytes and mels of one window per lane.

On a CPU a step's windows are cut and their inputs computed when it is their turn. On a GPU the inputs of the whole
split are computed once and lie there, so that a step only picks from them.

Usage: ``windows = Windows(lanes, model, settings.train, share); windows.place(step); batch = windows.batch()``
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from wv_runtime.errors import WaveRNNError

from .lanes import Lanes, amplified
from .model import WaveRNN
from .settings import TrainConfig

N_GAINS = 5  # levels a clip is held in on a GPU, with --gain-db
TABLE_SHARE = 0.7  # of the GPU's free memory may hold inputs


class Batch(NamedTuple):
    """x : (T / S, B S, n_x)   c, f : (B S, T / S) int64, of a subscale S   mel : (B, n_mels, F + cond_width - 1)

    fresh : (B,) bool, windows that start anew
    """

    x: Tensor
    c: Tensor
    f: Tensor
    mel: Tensor
    fresh: Tensor


def free_bytes(device: torch.device) -> float:
    """Memory that a GPU has left; a CPU's is not limited here."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else float("inf")


class Windows:
    """Batches of one process' lanes; `share` of all."""

    def __init__(self, lanes: Lanes, model: WaveRNN, cfg: TrainConfig, share: slice):
        self.lanes, self.model, self.cfg, self.share = lanes, model, cfg, share

    def place(self, step: int) -> None:
        """What `batch` gives from now on: the windows of a step."""
        cfg = self.cfg
        drawn = self.lanes.draw(cfg.seed, step, cfg.batch, cfg.gain_db)
        self._samples, self._mel, self._fresh = (torch.from_numpy(a[self.share]) for a in drawn)

    def batch(self) -> Batch:
        x, (c, f) = self.model.inputs(self._samples, self._mel)
        return Batch(x, c, f, self._mel, self._fresh)


class DeviceWindows(Windows):
    """The same with all inputs on the model's device. Gains are the nearest of N_GAINS in --gain-db.

    A step's batch depends on one small tensor, so that a CUDA graph can make it.

    Raises
    ------
    WaveRNNError
        If the inputs do not fit into the memory of the device.
    """

    def __init__(self, lanes: Lanes, model: WaveRNN, cfg: TrainConfig, share: slice):
        super().__init__(lanes, model, cfg, share)
        data, device = lanes.data, model.R.device
        hop, S = data.cfg.mel.hop_length, data.cfg.subscale  # noqa: N806
        context = data.cfg.cond_width // 2
        gains = np.linspace(-cfg.gain_db, cfg.gain_db, N_GAINS if cfg.gain_db else 1)
        self.log_gains = np.log(10 ** (gains / 20))
        n_frames = data.n_frames[lanes.clips]
        self.n_samples = int(n_frames.sum()) * hop
        self.first_frame = np.zeros(len(data.n_frames), np.int64)  # in the tables below, of each clip
        self.first_frame[lanes.clips] = np.cumsum(n_frames) - n_frames
        wanted, free = len(gains) * self.n_samples * (4 * data.cfg.n_x + 2), TABLE_SHARE * free_bytes(device)
        if wanted > free:
            raise WaveRNNError(
                f"--device: found {wanted / 1e9:.3g} GB of inputs in {data.name}, wanted at most {free / 1e9:.3g} GB, "
                f"the GPU's room; leave --gain-db out, train on fewer clips, or on --device cpu"
            )
        self.x = torch.empty(len(gains) * self.n_samples, data.cfg.n_x, device=device)
        self.byte = torch.empty(2, len(gains) * self.n_samples, dtype=torch.uint8, device=device)
        for k, log_gain in enumerate(self.log_gains):
            for clip, n in zip(lanes.clips, n_frames):
                whole = np.array([clip]), np.array([0]), int(n)
                windows = data.samples(*whole), data.mel_windows(*whole)
                samples, mel = amplified(*windows, np.exp(log_gain)[None], data.cfg)
                x, byte = model.inputs(torch.from_numpy(samples), torch.from_numpy(mel))
                at = k * self.n_samples + self.first_frame[clip] * hop
                self.x[at : at + n * hop] = x.flatten(0, 1)  # sample S i + s is step i of lane s
                self.byte[:, at : at + n * hop] = torch.stack([b.t().flatten() for b in byte]).byte()
        self.mel = torch.empty(int(n_frames.sum()), data.mel.shape[1], device=device)
        for clip, n in zip(lanes.clips, n_frames):
            mel = data.mel[data.first_frame[clip] :][:n].astype(np.float32)
            self.mel[self.first_frame[clip] :][:n] = torch.from_numpy(mel)
        self.t = torch.arange(lanes.window_frames * hop, device=device).view(-1, 1, S)
        self.frame = torch.arange(-context, lanes.window_frames + context, device=device)
        self.floor = float(np.log(data.cfg.mel.log_floor))
        self.where = torch.zeros(5, len(range(*share.indices(cfg.batch))), dtype=torch.int64, device=device)
        self.log_gain = torch.from_numpy(self.log_gains).float().to(device)

    def place(self, step: int) -> None:
        cfg, data = self.cfg, self.lanes.data
        clip, frame, fresh, gain = (a[self.share] for a in self.lanes.places(cfg.seed, step, cfg.batch, cfg.gain_db))
        level = np.abs(np.log(gain)[:, None] - self.log_gains).argmin(1)
        first = self.first_frame[clip]
        where = np.stack([first + frame, first, first + data.n_frames[clip] - 1, level, fresh])
        self.where.copy_(torch.from_numpy(where))

    def batch(self) -> Batch:
        frame, first, last, level, fresh = self.where
        first_sample = level * self.n_samples + frame * self.lanes.data.cfg.mel.hop_length
        at = (first_sample[:, None] + self.t).flatten(1)  # (T / S, B S)
        c, f = self.byte[:, at].long()
        frames = torch.minimum(torch.maximum(frame[:, None] + self.frame, first[:, None]), last[:, None])
        mel = (self.mel[frames] + self.log_gain[level][:, None, None]).clamp(min=self.floor).transpose(1, 2)
        return Batch(self.x[at], c.t(), f.t(), mel, fresh.bool())
