"""wv-verify: one network in torch, ONNX Runtime, Numba and C, on one clip; names the first layer that differs.

Usage: ``wv-verify model.pt out.bin --onnx out.onnx --clip clip.wav``
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import click
import numpy as np
import torch
from numpy.typing import NDArray
from wv_runtime.commands.common import Command
from wv_runtime.engine.synth import Voice
from wv_runtime.errors import AudioError
from wv_runtime.features.mel import load_audio, log_mel
from wv_runtime.features.samples import true_samples
from wv_runtime.model import binary
from wv_runtime.model.weights import Model

from .checkpoint import load_model
from .layers import NAMES, Clip, Layers, check_shapes, in_numba, in_onnx, in_torch
from .model import WaveRNN

# by the dtype of the .bin: nats a sample, and the difference of a layer over its RMS
TOLERANCES = {"f32": (1e-3, 1e-3), "f16": (3e-3, 5e-3), "int8": (0.1, 0.15)}
SECONDS = 1.0


class Column(NamedTuple):
    """One runtime against torch. layers : {name: RMS of the difference over RMS}. All else in nats a sample."""

    title: str
    layers: dict[str, float]
    nats: float  # mean |difference| of the log-probabilities of the true samples
    nll: float
    tolerance: tuple[float, float]

    @property
    def first(self) -> str:
        """The first layer that differs, or nothing."""
        return next((name for name, value in self.layers.items() if not value <= self.tolerance[1]), "")

    @property
    def ok(self) -> bool:
        return not self.first and self.nats <= self.tolerance[0]


@click.command("wv-verify", cls=Command)
@click.argument("checkpoint", metavar="MODEL.PT", type=click.Path())
@click.argument("out", metavar="OUT.BIN", type=click.Path())
@click.option("--onnx", "onnx_path", type=click.Path(), metavar="OUT.ONNX",
              help="Graphs of wv-export --onnx, beside it OUT.cond.onnx; made from OUT.BIN if absent.")  # fmt: skip
@click.option("--clip", type=click.Path(), metavar="AUDIO", help="Speech; the voice speaks a clip itself if absent.")
@click.option("--seconds", type=click.FloatRange(0, 60, min_open=True), default=SECONDS, show_default=True,
              help="Of the clip's beginning.")  # fmt: skip
@click.option("--tolerance", type=click.FloatRange(0), help="Nats a sample on average. [0.001; f16 0.003; int8 0.1]")
def main(
    checkpoint: str, out: str, onnx_path: str | None, clip: str | None, seconds: float, tolerance: float | None
) -> None:
    """Compare MODEL.PT in torch with OUT.BIN in ONNX Runtime, Numba and C, layer by layer.

    All are given the same true samples (teacher forcing) but C, which is compared with Numba by the samples that both
    draw, bit for bit. The exit status is 1 if anything differs by more than the tolerance.
    """
    torch.set_num_threads(1)
    model = binary.load(out)
    net = at_temperature(load_model(checkpoint)[0], float(model.metadata.get("temperature", 1)))
    check_shapes(net, model, checkpoint, out)
    speech = read_clip(clip, model, seconds) if clip else spoken_clip(model, seconds)
    dtype = model.matrices["R"].dtype
    nats, layer = TOLERANCES[dtype]
    limits = (nats if tolerance is None else tolerance, layer)
    exact = TOLERANCES["f32"] if tolerance is None else (tolerance, TOLERANCES["f32"][1])

    # 1) every runtime on the clip
    exactly = in_torch(net, speech)
    net.int8 = dtype == "int8"  # as the kernels round
    rounded = in_torch(net, speech) if net.int8 else exactly
    onnx = in_onnx(model, speech, true_inputs(net, speech), onnx_path)
    columns = [
        column("ONNX Runtime", onnx, exactly, exact if onnx_path else limits),
        column("Numba", in_numba(model, speech), rounded, limits),
    ]
    alike = numba_and_c(model, speech.mel)

    # 2) what they say
    click.echo(table(columns, float(-exactly.logp.mean())))
    n_samples, differs = len(alike), np.flatnonzero(~alike)
    click.echo(f"C: {n_samples - len(differs)} of {n_samples} samples are Numba's, bit for bit")
    wrong = [why(c) for c in columns if not c.ok]
    if len(differs):
        first = culprit(model, speech.mel)
        found = f"the first layer that differs is {first}" if first else "no layer alone is the cause"
        wrong.append(f"C: the first sample that differs from Numba's is {differs[0]}; {found}")
    for line in wrong:
        click.echo(line)
    if wrong:
        raise click.exceptions.Exit(1)
    click.echo("all within the tolerance")


def at_temperature(net: WaveRNN, temperature: float) -> WaveRNN:
    """The network whose logits are divided by it, as wv-export --temperature builds in."""
    with torch.no_grad():
        for name in ("O2", "b_O2", "O4", "b_O4"):
            net.get_parameter(name).div_(temperature)
    return net


def read_clip(path: str, model: Model, seconds: float) -> Clip:
    """The first seconds of a recording.

    Raises
    ------
    AudioError
        If it is no audio, or shorter than a frame.
    """
    cfg = model.config.mel
    audio = load_audio(path, cfg.sample_rate)[: max(cfg.hop_length, round(seconds * cfg.sample_rate))]
    if len(audio) < cfg.hop_length:
        raise AudioError(f"{path}: found {len(audio)} samples, wanted at least one frame ({cfg.hop_length})")
    return Clip(true_samples(audio, model.config), log_mel(audio, cfg))


def spoken_clip(model: Model, seconds: float) -> Clip:
    """What the voice says to mels that wander about the means of training."""
    cfg = model.config.mel
    n_frames = max(1, round(seconds * cfg.sample_rate / cfg.hop_length))
    mean, deviation = model.mel_stats if model.mel_stats.size else np.array([[-5.5], [2.0]], np.float32)
    walk = np.random.default_rng(0).normal(size=(cfg.n_mels, n_frames + 8)).cumsum(axis=1)
    walk = (walk[:, 8:] - walk[:, :-8]) / 8**0.5
    mel = np.clip(mean[:, None] + deviation[:, None] * walk, np.log(cfg.log_floor), 2).astype(np.float32)
    audio = Voice(replace(model, postfilter=None), "auto")(mel) / np.float32(32768)
    return Clip(true_samples(audio, model.config), mel)


def true_inputs(net: WaveRNN, clip: Clip) -> tuple[NDArray[Any], NDArray[Any]]:
    """x (n, n_x) float32 and the bytes (n, 2) of the clip's samples."""
    past = np.pad(clip.samples, (net.cfg.n_past - 1, 0))
    x, byte = net.inputs(torch.from_numpy(past[None]), torch.from_numpy(clip.padded(net.cfg)[None]))
    return np.ascontiguousarray(x[:, 0].numpy()), torch.stack([b[0] for b in byte], dim=1).numpy()


def column(title: str, found: Layers, wanted: Layers, tolerance: tuple[float, float]) -> Column:
    """What one runtime is off."""

    def off(name: str) -> float:
        a, b = found.of[name], wanted.of[name]
        return float(np.sqrt(((a - b) ** 2).mean() / max((b**2).mean(), 1e-12)))

    nats = float(np.abs(found.logp - wanted.logp).mean())
    return Column(title, {name: off(name) for name in NAMES}, nats, float(-found.logp.mean()), tolerance)


def numba_and_c(model: Model, mel: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of the samples that both draw from the mels are the same. (n_samples,)"""
    pcm = [Voice(replace(model, postfilter=None), backend)(mel, seed=0) for backend in ("numba", "c")]
    return np.asarray(pcm[0] == pcm[1])


def culprit(model: Model, mel: NDArray[np.float32]) -> str:
    """The first layer with which C draws what Numba draws once it gives 1 whatever it gets; empty if there is none."""
    for name, m in model.matrices.items():
        constant = replace(m, values=np.zeros_like(m.values), bias=np.ones_like(m.bias))
        if numba_and_c(replace(model, matrices={**model.matrices, name: constant}), mel).all():
            return name
    return ""


def table(columns: list[Column], nll: float) -> str:
    """Relative differences of the layers, and below them the log-probabilities."""
    head = f"{'against torch':<24}" + "".join(f"{c.title:>14}" for c in columns)
    lines = [head]
    for name in NAMES:
        lines.append(f"{name:<24}" + "".join(f"{c.layers[name]:>14.1e}" for c in columns))
    lines.append(f"{'nats off, on average':<24}" + "".join(f"{c.nats:>14.1e}" for c in columns))
    lines.append(f"{f'NLL (torch {nll:.4f})':<24}" + "".join(f"{c.nll:>14.4f}" for c in columns))
    return "\n".join(lines)


def why(c: Column) -> str:
    """One line about a runtime that differs."""
    if c.first:
        return (f"{c.title}: the first layer that differs is {c.first}: by {c.layers[c.first]:.2g} of its RMS, wanted "
                f"at most {c.tolerance[1]:g}")  # fmt: skip
    return f"{c.title}: {c.nats:.2g} nats a sample on average, wanted at most {c.tolerance[0]:g}"
