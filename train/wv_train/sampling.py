"""Free-running samples while training, in plain torch: slow, to hear how training goes.

Usage: ``write_sample(model, data, Path("model-5000.wav"), seed=0)``
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from wv_runtime.atomic import atomic_path

from .dataset import Data, whole_frames
from .model import WaveRNN, scale_byte, split_bytes


@torch.no_grad()
def generate(model: WaveRNN, mel: Tensor, draws: Tensor) -> NDArray[np.int16]:
    """Sample T pre-emphasised samples freely, one at a time: slow and plain, to hear how training goes.

    mel   : (n_mels, T / hop_length + cond_width - 1) float32
    draws : (T, 2) float32 uniform numbers; the coarse and fine byte are the first whose cumulative
            probability exceeds theirs
    """
    half = model.cfg.n_units // 2
    g = model.condition(mel[None]) @ model.C3.T + model.b_C3  # (1, n_sub_frames, 3N)
    g = g[0].repeat_interleave(model.cfg.sub_length, dim=0).view(-1, 3, 2, half)
    I = model.I().view(3, 2, half, 3)

    def pick(logits: Tensor, draw: Tensor) -> Tensor:
        return (torch.softmax(logits, 0).cumsum(0) <= draw).sum().clamp(max=255)

    def part(k: int) -> Tensor:  # h_t of the coarse (k = 0) or fine (k = 1) half, given x_t so far
        x = I[:, k] @ x_t + g[t, :, k]
        u, r = torch.sigmoid(Rh[:2, k] + x[:2])
        return u * h[k] + (1 - u) * torch.tanh(r * Rh[2, k] + x[2])

    h = torch.zeros(2, half, device=mel.device)
    x_t = torch.stack([scale_byte(b) for b in (*split_bytes(torch.tensor(0)), torch.tensor(0))]).to(mel.device)
    out = torch.zeros(len(draws), dtype=torch.int32)
    for t in range(len(draws)):
        Rh = (model.R @ h.view(-1) + model.b_R).view(3, 2, half)
        y_c = part(0)
        c = pick(model.O2 @ torch.relu(model.O1 @ y_c + model.b_O1) + model.b_O2, draws[t, 0])
        x_t[2] = scale_byte(c)
        y_f = part(1)
        f = pick(model.O4 @ torch.relu(model.O3 @ y_f + model.b_O3) + model.b_O4, draws[t, 1])
        h = torch.stack([y_c, y_f])
        x_t[0], x_t[1] = scale_byte(c), scale_byte(f)
        out[t] = 256 * c + f - 32768
    return out.numpy().astype(np.int16)


def write_sample(model: WaveRNN, data: Data, path: Path, seed: int) -> None:
    """Generate the first second of the first validation clip as a wav file."""
    import soundfile

    cfg, clip = data.cfg, int(np.flatnonzero(data.splits == "valid")[0])
    n_frames = min(int(data.n_frames[clip]), whole_frames(cfg.mel.sample_rate, cfg))
    mel = data.mel_windows(np.array([clip]), np.array([0]), n_frames)[0]
    draws = torch.rand(n_frames * cfg.mel.hop_length, 2, generator=torch.Generator().manual_seed(seed))
    device = model.R.device
    emphasised = generate(model, torch.from_numpy(mel).to(device), draws.to(device))
    audio = np.zeros(len(emphasised) + 1)
    for t, s in enumerate(emphasised):
        audio[t + 1] = s + cfg.preemphasis * audio[t]
    with atomic_path(path) as temp:
        soundfile.write(temp, np.clip(np.rint(audio[1:]), -32768, 32767).astype(np.int16), cfg.mel.sample_rate)
