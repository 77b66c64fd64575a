"""The network in ONNX Runtime, in float32 and dense, with the project's own sampler, random numbers and filters.

A check of the graphs that wv-export writes, and of what other runtimes can expect. Its sums run in another order than
those of the other engines, so its samples differ from theirs after a while; from run to run, and however a stream is
cut, they are the same. Two runs of the graph make a sample: one for the coarse byte, one for the fine.

Usage: ``net = OnnxNet(model)``; ``pcm = OnnxStream(net, seed=0, temperature=1.0).pull(16000)`` after a push
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wv_runtime.engine import onnx_graph
from wv_runtime.errors import NativeError
from wv_runtime.model.blocks import block_matrix, default_block, dense_of
from wv_runtime.model.weights import Model

from .numba_cpu import NumbaStream


def session(graph: bytes, where: str = "graph") -> Any:
    """An InferenceSession on one thread: the order of sums does not depend on the machine's cores.

    Raises
    ------
    NativeError
        If onnxruntime is not installed or cannot load the graph.
    """
    try:
        ort = importlib.import_module("onnxruntime")
    except ImportError:
        raise NativeError("backend onnx: onnxruntime is not installed, wanted pip install 'wavernn[onnx]'") from None
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no base but Exception
        raise NativeError(f"{where}: ONNX Runtime does not load it ({str(error).splitlines()[0]})") from None


class OnnxNet:
    """A model in two sessions of ONNX Runtime.

    Raises
    ------
    NativeError
        If onnx or onnxruntime is missing.
    """

    def __init__(self, model: Model):
        from wv_runtime.engine.kernels import network
        from wv_runtime.engine.kernels.fp_mode import defined_mode

        self.model = with_float_states(model)
        self.conditioning = session(onnx_graph.conditioning(model).SerializeToString())
        self.step = session(onnx_graph.step(model).SerializeToString())
        with defined_mode():
            self.host = network.make_net(self.model)
        self.version = f"onnxruntime {version('onnxruntime')}"

    def condition(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """g of the middle frame of cond_width. One at a time: sums of the same shape give the same bits.

        window : (cond_width, n_mels) float32    Returns (n_sub, 3N) float32
        """
        n_sub, middle = self.model.config.n_sub, self.model.config.cond_width // 2
        (g,) = self.conditioning.run(["g"], {"mel": np.ascontiguousarray(window.T)})
        return g[middle * n_sub : (middle + 1) * n_sub]


def with_float_states(model: Model) -> Model:
    """The model with R in float32: the dtype of R is that of the states."""
    R = model.matrices["R"]
    if R.dtype != "int8":
        return model
    W, bias = dense_of(R)
    R = block_matrix("R", W, np.ones(W.shape, bool), bias, "f32", default_block("f32"))
    return replace(model, matrices={**model.matrices, "R": R})


class OnnxEngine:
    """A model in ONNX Runtime."""

    def __init__(self, model: Model, isa: str | None, postfilter: bool):
        self._net, self._postfilter = OnnxNet(model), postfilter
        self.isa = self._net.version

    def open(self, seed: int, temperature: float, n_threads: int) -> OnnxStream:
        return OnnxStream(self._net, seed, temperature, self._postfilter)

    def batch(self, n_lanes: int, n_threads: int) -> OnnxBatch:
        return OnnxBatch()


class OnnxStream(NumbaStream):
    """A Stream whose network runs in ONNX Runtime. Arguments are checked by Voice."""

    def __init__(self, net: OnnxNet, seed: int, temperature: float, postfilter: bool = False):
        super().__init__(net.model, net.host, seed, temperature, postfilter)
        from wv_runtime.engine.kernels import outside

        self._onnx, self._outside = net, outside
        self._g = np.zeros((net.model.config.n_sub, 3 * net.model.config.n_units), np.float32)  # of the current frame

    def draw(self, pcm: NDArray[np.int16]) -> None:
        cfg, s, k, run = self._config, self.state, self._outside, self._onnx.step.run
        with self._defined_mode():
            for i in range(len(pcm)):
                frame, sample = divmod(self.sample + i, self._hop)
                if sample == 0:
                    self._g = self._onnx.condition(self.frames[frame : frame + cfg.cond_width])
                    k.begin_frame(self.net, s, self.frames[frame + cfg.cond_width // 2])
                sub = sample // cfg.sub_length
                feeds = {"x": s.x[None, : cfg.n_x], "h": s.h[None], "g": self._g[sub : sub + 1]}
                k.begin_sample(self.net, s)
                s.logits[:] = run(["logits_c"], feeds)[0][0]
                coarse = k.draw_coarse(self.net, s, self.seed, self.log2e_over_temperature)
                h_next, logits = run(["h_next", "logits_f"], feeds)
                s.h[:], s.logits[:] = h_next[0], logits[0]
                pcm[i] = k.draw_fine(self.net, s, self.seed, self.log2e_over_temperature, coarse)


class OnnxBatch:
    """A Batch of streams that are pulled one after the other."""

    n_open = 1

    def pull(self, streams: Sequence[OnnxStream], n: Sequence[int]) -> list[NDArray[np.int16]]:
        return [stream.pull(m) for stream, m in zip(streams, n, strict=True)]
