"""WaveRNN with a dual softmax, for training (Kalchbrenner et al. 2018, section 2).

A 16-bit sample s in 0..65535 (silence is 32768) is two bytes, s = 256 c + f, each scaled to [-1, 1]:

    x_t = [c_{t-1}, f_{t-1}, c_t]
    u_t = sigmoid(R_u h_{t-1} + I*_u x_t + g_u)
    r_t = sigmoid(R_r h_{t-1} + I*_r x_t + g_r)
    e_t = tanh(r_t o (R_e h_{t-1} + b_e) + I*_e x_t + g_e)
    h_t = u_t o h_{t-1} + (1 - u_t) o e_t
    y_c, y_f = split(h_t)
    P(c_t) = softmax(O2 relu(O1 y_c)),   P(f_t) = softmax(O4 relu(O3 y_f))

With lpc_order > 0 the bytes are those of the residual of a linear prediction from the mels, and x_t has eight inputs
(wv_runtime/engine/kernels/predict.py). I* is masked: c_t reaches only the fine half of the state. "Reset after" (r_t
multiplies R_e h + b_e) and this masking make the cell exactly torch's GRU with z = u and n = e. Its recurrence is
gru.py on a CPU and gru_cuda.py on a GPU.

The conditioning g enters all three gates and is constant over a sub-frame (hop_length / n_sub samples):

    a_t = tanh(C1 [m_{t-2} .. m_{t+2}])      one convolution over cond_width log-mel frames
    b_t = tanh(C2 a_t)                       n_sub sub-frames per frame
    g_t = C3 b_t                             3N values

With subscale S > 1 (section 4 of the paper) sample t = S i + s is step i of lane s. All lanes are trained side by side,
each as a sequence of its own that knows which samples of the others it may see (wv_runtime/model/neighbours.py):

    g_t = C3 b_t + lane_s

Usage: ``logits_c, logits_f = WaveRNN(WaveRNNConfig())(samples, mel)``
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from wv_runtime.engine.teacher import true_inputs
from wv_runtime.features.prediction import prediction_matrix
from wv_runtime.model.config import WaveRNNConfig, precondition
from wv_runtime.model.layout import X_SCALE

from .gru import Recurrence, to_8_bits


def split_bytes(samples: Tensor) -> tuple[Tensor, Tensor]:
    """int16-range samples, any integer dtype -> (coarse, fine), int64 in 0..255."""
    s = samples.long() + 32768
    return s >> 8, s & 255


def scale_byte(byte: Tensor) -> Tensor:
    """0..255 -> [-1, 1], float32."""
    return byte.float() * (1.0 / 127.5) - 1.0


class WaveRNN(nn.Module):
    """The network above. Parameters carry the paper's letters; rows are ordered u, r, e, each half coarse, half fine.

    R    : (3N, N)   C3 : (3N, n_cond)   I_raw : (3N, n_x)   b_R, b_C3 : (3N,)
    C1   : (n_cond, cond_width * n_mels), frame-major: columns of frame t-2 first
    C2   : (n_sub * n_cond, n_cond), rows of sub-frame 0 first
    O1, O3 : (n_out, N/2)   O2, O4 : (256, n_out)   lane : (S, 3N), with subscale S > 1

    int8 : whether to compute what an int8 export will, weights, activations and states rounded alike
    """

    C1: Tensor
    C2: Tensor
    C3: Tensor
    R: Tensor
    O1: Tensor
    O2: Tensor
    O3: Tensor
    O4: Tensor
    b_C1: Tensor
    b_C2: Tensor
    b_C3: Tensor
    b_R: Tensor
    b_O1: Tensor
    b_O2: Tensor
    b_O3: Tensor
    b_O4: Tensor
    mel_mean: Tensor
    mel_std: Tensor
    precondition: Tensor
    I_mask: Tensor
    relu_max: Tensor

    def __init__(self, cfg: WaveRNNConfig, int8: bool = False):
        super().__init__()
        self.cfg, self.int8 = cfg, int8
        for name, (rows, cols) in cfg.matrix_shapes().items():
            bound = cols**-0.5
            self.register_parameter(name, nn.Parameter(torch.empty(rows, cols).uniform_(-bound, bound)))
            self.register_parameter("b_" + name, nn.Parameter(torch.zeros(rows)))
        self.I_raw = nn.Parameter(torch.empty(3 * cfg.n_units, cfg.n_x).uniform_(-0.5, 0.5))
        self.lane = nn.Parameter(torch.zeros(cfg.subscale, 3 * cfg.n_units)) if cfg.subscale > 1 else None
        self.register_buffer("mel_mean", torch.zeros(cfg.mel.n_mels))
        self.register_buffer("mel_std", torch.ones(cfg.mel.n_mels))
        self.register_buffer("precondition", torch.tensor(precondition(cfg)), persistent=False)
        mask = torch.ones(3, 2, cfg.n_units // 2, cfg.n_x)
        mask[:, 0, :, -1] = 0  # the coarse half never sees c_t
        self.register_buffer("I_mask", mask.view(-1, cfg.n_x), persistent=False)
        # Largest relu(O1 y), relu(O3 y) seen lately: the int8 activation range of O2 and O4.
        self.register_buffer("relu_max", torch.zeros(2))

    def I(self) -> Tensor:  # noqa: E743, N802
        """I*, the masked input matrix on x_t. (3N, n_x)"""
        return (self.I_raw @ self.precondition) * self.I_mask

    def condition(self, mel: Tensor) -> Tensor:
        """mel : (B, n_mels, F + cond_width - 1) log-mels -> b : (B, F * n_sub, n_cond)"""
        m = (mel - self.mel_mean[:, None]) / self.mel_std[:, None]
        kernel = self.C1.view(self.cfg.n_cond, self.cfg.cond_width, self.cfg.mel.n_mels).transpose(1, 2)
        a = torch.tanh(F.conv1d(m, kernel, self.b_C1)).transpose(1, 2)  # (B, F, n_cond)
        b = torch.tanh(F.linear(self.to_int8(a, X_SCALE["C2"]), self.weight("C2"), self.b_C2))  # (B, F, n_sub * n_cond)
        return b.reshape(b.shape[0], -1, self.cfg.n_cond)

    def forward(self, samples: Tensor, mel: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Teacher-forced logits of samples 1..T, in their order.

        samples : (B, n_past + T + n_future) int16, pre-emphasised; T are drawn, a multiple of hop_length
        mel     : (B, n_mels, T / hop_length + cond_width - 1) float32
        h       : (B S, N) float32 state before sample 1, zeros by default

        Returns logits_c, logits_f : (B, T, 256) float32
        """
        logits_c, logits_f = self.output(self.states(self.inputs(samples, mel)[0], mel, h)[0])
        return self.in_order(logits_c), self.in_order(logits_f)

    def in_order(self, a: Tensor) -> Tensor:
        """Lane after lane (B S, T / S, ..) -> (B, T, ..) in the order of the samples"""
        S = self.cfg.subscale
        return a.unflatten(0, (-1, S)).transpose(1, 2).flatten(1, 2)

    def inputs(self, samples: Tensor, mel: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """x_1 .. x_T : (T / S, B S, n_x) float32, and the bytes to draw: coarse, fine, each (B S, T / S) int64"""
        if self.cfg.lpc_order:
            context = self.cfg.cond_width // 2
            frames = mel[:, :, context : mel.shape[2] - context].cpu().numpy()
            x_q15, byte = true_inputs(self.cfg, prediction_matrix(self.cfg), samples.cpu().numpy(), frames)
            c, f = torch.from_numpy(byte.astype(np.int64)).transpose(1, 2).to(samples.device)
            return torch.from_numpy(x_q15).to(samples.device).float() / 32768, (c, f)
        c, f = split_bytes(samples.t())  # time first, as the recurrence runs
        x = torch.stack([scale_byte(c[:-1]), scale_byte(f[:-1]), scale_byte(c[1:])], dim=-1)
        return x, (c[1:].t(), f[1:].t())

    def states(self, x: Tensor, mel: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """h_1 .. h_T from inputs x; mel and h as in `forward`.

        Returns y : (T / S, B S, N), float32 or what a GPU's products read; h_T : (B S, N) float32, without gradient
        """
        b = self.condition(mel).transpose(0, 1)  # (T / sub_length, B, n_cond)
        if h is None:
            h = x.new_zeros(x.shape[1], self.cfg.n_units)
        b = self.to_int8(b, X_SCALE["C3"])
        g = self.to_q10(F.linear(b, self.weight("C3"), self.b_C3).float())
        if self.lane is not None:
            g = (g.unsqueeze(2) + self.to_q10(self.lane)).flatten(1, 2)
        R = self.weight("R")
        if x.device.type == "cpu":
            y = Recurrence.apply(x, g, self.I(), R, self.b_R, h, self.int8)
            return y, y[-1].detach()
        from .gru_cuda import RecurrenceCuda  # needs Triton, which comes with torch for GPUs

        scale = int8_scale(self.R.detach())[:, 0] if self.int8 else None
        dtype = torch.bfloat16 if self.int8 or torch.is_autocast_enabled("cuda") else torch.float32
        with torch.autocast("cuda", enabled=False):
            return RecurrenceCuda.apply(x, g, self.I(), R, self.b_R, h, scale, dtype, torch.is_grad_enabled())

    def output(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """States (T / S, B S, N) -> logits_c, logits_f : (B S, T / S, 256)"""
        if self.int8:
            y = _straight_through(y.float(), to_8_bits(y.detach().float()))
        y_c, y_f = y.chunk(2, dim=-1)
        z_c = F.relu(F.linear(y_c, self.weight("O1"), self.b_O1))
        z_f = F.relu(F.linear(y_f, self.weight("O3"), self.b_O3))
        if self.training and not self.int8:  # the ranges are part of what int8 training adapts to
            with torch.no_grad():
                seen = torch.stack([z_c.max(), z_f.max()]).float()
                self.relu_max.copy_(torch.maximum(seen, 0.999 * self.relu_max))
        z_c, z_f = (self.to_int8(z, 254 / limit, low=0) for z, limit in zip((z_c, z_f), self.relu_max))
        logits_c = F.linear(z_c, self.weight("O2"), self.b_O2)
        return logits_c.transpose(0, 1), F.linear(z_f, self.weight("O4"), self.b_O4).transpose(0, 1)

    def weight(self, name: str) -> Tensor:
        """A matrix; for int8 as it will be stored, with gradients straight through."""
        W = self.get_parameter(name)
        return _straight_through(W, int8_rows(W.detach())) if self.int8 else W

    def to_q10(self, x: Tensor) -> Tensor:
        """x; for int8 in steps of 1/1024, as what enters the gates."""
        return _straight_through(x, (x * 1024).round() / 1024) if self.int8 else x

    def to_int8(self, x: Tensor, scale: float | Tensor, low: int = -127) -> Tensor:
        """x; for int8 as a matrix reads it: in steps of 1 / scale, from 0 in 254 of them or from -127 to 127."""
        if not self.int8:
            return x
        q = (x.detach() * scale).round_().clamp_(low, 254 if low == 0 else 127)
        return _straight_through(x, q / scale)


class WindowLoss(nn.Module):
    """Loss of a batch of windows: the step that is trained, and what torchrun's processes run in parallel.

    With a teacher, `distill` of the loss is the cross-entropy against the teacher's distribution of each byte and the
    rest against the byte itself (Hinton, Vinyals and Dean 2015, arXiv:1503.02531). A byte is one draw from a wide
    distribution, so the teacher's word for the whole of it is a far less noisy gradient.

    teacher : a WaveRNN of any size on the same mels and samples; never trained
    """

    def __init__(self, model: WaveRNN, teacher: WaveRNN | None = None, distill: float = 0.0):
        super().__init__()
        self.model, self.distill = model, distill
        self.teacher = teacher.requires_grad_(False).eval() if teacher else None
        self.widths = [m.cfg.n_units for m in (model, teacher) if m]  # N, and the teacher's

    def forward(self, x: Tensor, c: Tensor, f: Tensor, mel: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x, c, f as of WaveRNN.inputs; h : (B S, sum of widths), the states of model and teacher side by side

        Returns loss (2,) of coarse and fine byte; NLL (2,), the same without a teacher, in nats; h after the window
        """
        h_model, *h_teacher = h.split(self.widths, dim=1)
        y, h = self.model.states(x, mel, h_model)
        logits, byte = self.model.output(y), (c, f)

        def loss_of(wanted: Iterable[Tensor]) -> Tensor:
            return torch.stack([cross_entropy(*pair) for pair in zip(logits, wanted)])

        if not self.teacher:
            loss = loss_of(byte)
            return loss, loss.detach(), h
        with torch.no_grad():
            y, h_taught = self.teacher.states(x, mel, *h_teacher)
            drawn = (F.one_hot(b, 256).float() for b in byte)
            taught = (z.float().softmax(-1) for z in self.teacher.output(y))
            wanted = [torch.lerp(*pair, self.distill) for pair in zip(drawn, taught)]
            of_data = loss_of(byte)
        return loss_of(wanted), of_data, torch.cat([h, h_taught], dim=1)


def int8_rows(W: Tensor) -> Tensor:
    """W rounded to what wv-export stores in int8: w s with s mapping the row's largest |w[2k]| + |w[2k+1]| to 127."""
    scale = int8_scale(W)
    return (W / scale).round() * scale


def int8_scale(W: Tensor) -> Tensor:
    """The scales s of `int8_rows`. (rows, 1)"""
    largest = W.abs().unflatten(1, (-1, 2)).sum(2).amax(1, keepdim=True)
    return torch.where(largest > 1e-30, largest / 127, 1.0)


def _straight_through(x: Tensor, rounded: Tensor) -> Tensor:
    """`rounded`, with the gradient of x."""
    return x + (rounded - x).detach()


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over all bytes, in nats. logits (B, T, 256), target : (B, T) bytes or (B, T, 256) probabilities"""
    logits, target = (a.transpose(0, 1).flatten(0, 1) for a in (logits, target))  # time first, no copy
    if logits.is_cuda and target.ndim == 1:
        from .gru_cuda import CrossEntropyCuda

        return CrossEntropyCuda.apply(logits, target)
    return F.cross_entropy(logits.float(), target)
