"""The layers of one network on a clip, teacher-forced, as torch, ONNX Runtime and the Numba kernels compute them.

All three see the same true samples and mels. A layer's values are kept at the last sample of every frame.

Usage: ``in_torch(net, clip)["O2"]``
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from wv_runtime.engine import onnx_graph
from wv_runtime.engine.kernels import network, outside, wavernn
from wv_runtime.engine.kernels.fp_mode import defined_mode
from wv_runtime.engine.kernels.simd import Q_BIAS
from wv_runtime.engine.nll import log_softmax
from wv_runtime.engine.onnx import session
from wv_runtime.errors import WaveRNNError
from wv_runtime.model.config import WaveRNNConfig
from wv_runtime.model.layout import X_SCALE
from wv_runtime.model.weights import Model

from .model import WaveRNN

# in the order of the computation; each after its tanh or relu
NAMES = ("C1", "C2", "C3", "R", "h", "O1", "O2", "O3", "O4")
ONNX_NAMES = {"R": "R_h", "h": "h_next", "O1": "relu_c", "O2": "logits_c", "O3": "relu_f", "O4": "logits_f"}


@dataclass(frozen=True)
class Clip:
    """samples : (n_frames * hop_length + 1,) int16, pre-emphasised, as `true_samples`    mel : (n_mels, n_frames)"""

    samples: NDArray[np.int16]
    mel: NDArray[np.float32]

    def padded(self, cfg: WaveRNNConfig) -> NDArray[np.float32]:
        """The mels with the edge frames repeated, as all engines do."""
        return np.pad(self.mel, [(0, 0), (cfg.cond_width // 2,) * 2], mode="edge")


@dataclass(frozen=True)
class Layers:
    """of   : {name of NAMES: (n_frames, width) float64}, at the last sample of each frame
    logp : (n_samples,) nats, log-probability of each true sample"""

    of: dict[str, NDArray[np.float64]]
    logp: NDArray[np.float64] = field(repr=False)


def log_probability(logits: Any, byte: NDArray[Any]) -> NDArray[np.float64]:
    """Of true samples. logits : coarse, fine, each (n, 256)    byte : (n, 2)"""
    both = [np.take_along_axis(log_softmax(l), byte[:, i : i + 1].astype(np.int64), 1) for i, l in enumerate(logits)]
    return (both[0] + both[1])[:, 0]


@torch.no_grad()
def in_torch(net: WaveRNN, clip: Clip) -> Layers:
    """The equations of model.py; with net.int8 as an int8 export rounds them."""
    cfg = net.cfg
    past = np.pad(clip.samples, (cfg.n_past - 1, 0))
    mel = torch.from_numpy(clip.padded(cfg)[None])
    x, (c, f) = net.inputs(torch.from_numpy(past[None]), mel)
    kernel = net.C1.view(cfg.n_cond, cfg.cond_width, cfg.mel.n_mels).transpose(1, 2)
    a = torch.tanh(F.conv1d((mel - net.mel_mean[:, None]) / net.mel_std[:, None], kernel, net.b_C1))
    b = net.condition(mel)[0]
    g = F.linear(net.to_int8(b, X_SCALE["C3"]), net.weight("C3"), net.b_C3)
    y = net.states(x, mel)[0][:, 0]
    last, last_sub = slice(cfg.mel.hop_length - 1, None, cfg.mel.hop_length), slice(cfg.n_sub - 1, None, cfg.n_sub)
    before = torch.cat([torch.zeros_like(y[:1]), y[:-1]])[last]
    halves = y[last].chunk(2, dim=1)
    z = [F.relu(F.linear(h, net.weight(n), net.get_parameter("b_" + n))) for h, n in zip(halves, ("O1", "O3"))]
    logits = [a[0].numpy() for a in net.output(y[:, None])]
    of = {
        "C1": a[0].T, "C2": b[last_sub], "C3": g[last_sub], "R": F.linear(before, net.weight("R"), net.b_R),
        "h": y[last], "O1": z[0], "O3": z[1],
    }  # fmt: skip
    layers = {name: value.double().numpy() for name, value in of.items()}
    layers |= {"O2": logits[0][last].astype(np.float64), "O4": logits[1][last].astype(np.float64)}
    return Layers(layers, log_probability(logits, torch.stack([c[0], f[0]], dim=1).numpy()))


def in_onnx(model: Model, clip: Clip, inputs: tuple[NDArray[Any], NDArray[Any]], path: str | None = None) -> Layers:
    """The graphs of a model in ONNX Runtime, or those that wv-export wrote to `path`.

    inputs : x (n, n_x) float32 and bytes (n, 2) of the true samples

    Raises
    ------
    WaveRNNError
        If a graph cannot be loaded or is none of wv-export's.
    """
    cfg, (x, byte) = model.config, inputs
    paths = (str(onnx_graph.conditioning_path(path)), path) if path else ("conditioning", "step")
    graphs = [onnx_graph.read(p) for p in paths] if path else [onnx_graph.conditioning(model), onnx_graph.step(model)]
    run = [
        session(onnx_graph.with_outputs(graph, names, p), p).run
        for graph, names, p in zip(graphs, (["a", "b"], [n for n in ONNX_NAMES.values() if n != "h_next"]), paths)
    ]
    a, b, g = run[0](["a", "b", "g"], {"mel": clip.mel})
    kept: dict[str, list[NDArray[np.float32]]] = {name: [] for name in ONNX_NAMES}
    logits = np.empty((2, len(x), 256), np.float32)
    h = np.zeros((1, cfg.n_units), np.float32)
    for t in range(len(x)):
        sub = t // cfg.sub_length
        found = run[1](list(ONNX_NAMES.values()), {"x": x[t : t + 1], "h": h, "g": g[sub : sub + 1]})
        values = dict(zip(ONNX_NAMES, found))
        h, logits[0, t], logits[1, t] = values["h"], values["O2"][0], values["O4"][0]
        if (t + 1) % cfg.mel.hop_length == 0:
            for name, value in values.items():
                kept[name].append(value[0])
    last_sub = slice(cfg.n_sub - 1, None, cfg.n_sub)
    of = {"C1": a, "C2": b[last_sub], "C3": g[last_sub]} | {name: np.stack(v) for name, v in kept.items()}
    return Layers({name: v.astype(np.float64) for name, v in of.items()}, log_probability(logits, byte))


def in_numba(model: Model, clip: Clip) -> Layers:
    """The kernels of the runtime on the model as it is stored, a frame at a time."""
    cfg, hop = model.config, model.config.mel.hop_length
    frames = np.ascontiguousarray(clip.padded(cfg).T)
    kept: dict[str, list[NDArray[Any]]] = {name: [] for name in NAMES}
    n = len(clip.samples) - 1
    byte, logits = np.empty((n, 2), np.uint8), np.empty((2, n, 256), np.float32)
    one = [np.empty((1, width), dtype) for width, dtype in ((cfg.lpc_order, np.int16), (2, np.int64))]
    with defined_mode():
        net, s = network.make_net(model), network.make_state(model)
        g = np.empty((1, 3 * cfg.n_units), s.g.dtype)
        for i in range(n // hop):
            window, at = frames[i : i + cfg.cond_width].reshape(-1), slice(i * hop, (i + 1) * hop)
            samples = clip.samples[i * hop : (i + 1) * hop + 1].astype(np.int32)
            wavernn.teacher_force(net, s, window, samples, byte[at], logits[0, at], logits[1, at])
            kept["R"].append(s.a.copy())
            kept["h"].append(s.h.copy())
            for fine, inner, outer in ((False, "O1", "O2"), (True, "O3", "O4")):
                outside.output_layers(net, s, fine)
                kept[inner].append(_relu_output(model, s, outer))
                kept[outer].append(s.logits.copy())
            wavernn.condition(net, s, window, cfg.n_sub - 1, g, *one)
            kept["C1"].append(s.z[: cfg.n_cond].copy())
            kept["C2"].append(s.b[-cfg.n_cond :].copy())
            kept["C3"].append(g[0].copy())
    of = {name: np.stack(values).astype(np.float64) for name, values in kept.items()}
    if s.h.dtype == np.int16:  # Q15, Q10
        of |= {name: of[name] / (32768 if name == "h" else 1024) for name in ("h", "R", "C3")}
    return Layers(of, log_probability(logits, byte))


def _relu_output(model: Model, s: Any, outer: str) -> NDArray[np.float32]:
    """relu(O1 h) or relu(O3 h), as the matrix behind it reads it."""
    m = model.matrices[outer]
    if m.dtype != "int8":
        return s.z[: m.cols].copy()
    q = s.q[: m.cols] + np.int8(Q_BIAS - 256 if Q_BIAS > 127 else Q_BIAS)  # wraps round: bytes of some ISAs are biased
    return (q.astype(np.float32) - m.x_zero) / m.x_scale


def check_shapes(net: WaveRNN, model: Model, checkpoint: str | Path, path: str) -> None:
    """Raises WaveRNNError unless both files are of one network, without subscale."""
    if net.cfg.subscale > 1:
        raise WaveRNNError(f"{checkpoint}: found subscale {net.cfg.subscale}, wanted 1")
    for name in WaveRNNConfig.__dataclass_fields__:
        found, wanted = getattr(model.config, name), getattr(net.cfg, name)
        if found != wanted and not (name == "mel" and _same_mel(found, wanted)):
            raise WaveRNNError(f"{path}: {name}: found {found!r}, wanted {wanted!r}, that of {checkpoint}")


def _same_mel(a: Any, b: Any) -> bool:
    """The file holds some numbers in float32."""
    return all(
        np.isclose(x, y, rtol=1e-6) if isinstance(x, (int, float)) else x == y
        for x, y in zip(vars(a).values(), vars(b).values())
    )
