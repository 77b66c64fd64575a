"""The network as two ONNX graphs, in float32 and dense: what another runtime needs to make the same audio.

    conditioning   mel (n_mels, F)                             -> g (F * n_sub, 3N)
    step           x (B, n_x), h (B, N), g (B, 3N)               -> h_next (B, N), logits_c (B, 256), logits_f (B, 256)

x is [c_{t-1}, f_{t-1}, c_t], each byte as byte / 127.5 - 1, or the 8 inputs of linear prediction
and the context (wv_runtime/engine/kernels/predict.py) as Q15 / 32768, and row t of g serves hop_length / n_sub
samples. A subscale model's g is (subscale, F * n_sub, 3N), that of each lane; its lanes step each by themselves.
logits_c does not depend on c_t: run the step with any c_t, draw the coarse byte from logits_c, put it into x, run
the step again for logits_f and h_next. Teacher-forced, one run a sample is enough.

Usage: ``onnx.save(step(to_model(ckpt, "f32")), "out.onnx")``
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wv_runtime.errors import WaveRNNError
from wv_runtime.model.blocks import dense_of
from wv_runtime.model.weights import Model

OPSET = 17


def conditioning_path(step_path: str | Path) -> Path:
    """Beside a step graph, where its conditioning graph lies: OUT.cond.onnx"""
    return Path(step_path).with_suffix(".cond" + Path(step_path).suffix)


def conditioning(model: Model) -> Any:
    """a = tanh(C1 mel), b = tanh(C2 a), g = C3 b; edge frames are repeated as in training. An onnx.ModelProto."""
    cfg, graph = model.config, _Graph()
    C1, b_C1 = dense_of(model.matrices["C1"])
    kernel = C1.reshape(cfg.n_cond, cfg.cond_width, cfg.mel.n_mels).transpose(0, 2, 1)  # columns are frame-major
    reach = cfg.cond_width // 2
    graph.node("Pad", ["mel", graph.constant("reach", np.array([0, reach, 0, reach]))], "padded", mode="edge")
    graph.node("Unsqueeze", ["padded", graph.constant("axis", np.array([0]))], "frames")
    graph.node("Conv", ["frames", graph.constant("C1", kernel), graph.constant("b_C1", b_C1)], "a_in")
    graph.node("Tanh", ["a_in"], "a_columns")
    graph.node("Squeeze", ["a_columns", "axis"], "a_transposed")
    graph.node("Transpose", ["a_transposed"], "a", perm=[1, 0])
    graph.node("Tanh", [graph.linear(model, "C2", "a")], "b_frames")
    graph.node("Reshape", ["b_frames", graph.constant("shape", np.array([-1, cfg.n_cond]))], "b")
    g, shape = graph.linear(model, "C3", "b"), ["F * n_sub", 3 * cfg.n_units]
    if cfg.subscale > 1:
        graph.node("Add", [g, graph.constant("lane", model.lane[:, None])], "g")
        shape = [cfg.subscale, *shape]
    else:
        graph.node("Identity", [g], "g")
    return graph.model(model, "conditioning", {"mel": [cfg.mel.n_mels, "F"]}, {"g": shape})


def step(model: Model) -> Any:
    """One sample: the equations of train/wv_train/model.py, one node per operation. An onnx.ModelProto."""
    cfg, graph = model.config, _Graph()
    N = cfg.n_units
    graph.node("MatMul", ["x", graph.constant("I", model.I)], "I_x")
    graph.node("Add", ["I_x", "g"], "input")
    graph.split("input", ["input_u", "input_r", "input_e"])
    graph.split(graph.linear(model, "R", "h"), ["R_u_h", "R_r_h", "R_e_h"])
    for gate in "ur":
        graph.node("Add", [f"R_{gate}_h", f"input_{gate}"], f"{gate}_in")
        graph.node("Sigmoid", [f"{gate}_in"], gate)
    graph.node("Mul", ["r", "R_e_h"], "r_R_e_h")
    graph.node("Add", ["r_R_e_h", "input_e"], "e_in")
    graph.node("Tanh", ["e_in"], "e")
    # u o h + (1 - u) o e  =  e + u o (h - e)
    graph.node("Sub", ["h", "e"], "h_minus_e")
    graph.node("Mul", ["u", "h_minus_e"], "u_h_minus_e")
    graph.node("Add", ["e", "u_h_minus_e"], "h_next")
    graph.split("h_next", ["y_c", "y_f"])
    for byte, first, second in (("c", "O1", "O2"), ("f", "O3", "O4")):
        graph.node("Relu", [graph.linear(model, first, f"y_{byte}")], f"relu_{byte}")
        graph.node("Identity", [graph.linear(model, second, f"relu_{byte}")], f"logits_{byte}")
    return graph.model(
        model,
        "step",
        {"x": ["B", cfg.n_x], "h": ["B", N], "g": ["B", 3 * N]},
        {"h_next": ["B", N], "logits_c": ["B", 256], "logits_f": ["B", 256]},
    )


class _Graph:
    """Collects nodes and constants."""

    def __init__(self) -> None:
        try:
            self.onnx = importlib.import_module("onnx")
        except ImportError:
            raise WaveRNNError("onnx: not installed, wanted for ONNX graphs; pip install 'wavernn[onnx]'") from None
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, a: NDArray[Any]) -> str:
        a = a.astype(np.int64 if a.dtype.kind == "i" else np.float32)
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(a), name))
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self.nodes.append(self.onnx.helper.make_node(op, inputs, [output], name=output, **attributes))

    def split(self, name: str, parts: list[str]) -> None:
        """Equal parts of the last axis."""
        node = self.onnx.helper.make_node("Split", [name], parts, name=f"split_{name}", axis=-1)
        self.nodes.append(node)

    def linear(self, model: Model, name: str, x: str) -> str:
        """W x + bias of a matrix of the file."""
        W, bias = dense_of(model.matrices[name])
        inputs = [x, self.constant(name, W), self.constant(f"b_{name}", bias)]
        self.node("Gemm", inputs, f"{name}_{x}", transB=1)
        return f"{name}_{x}"

    def model(self, model: Model, name: str, inputs: dict[str, list[Any]], outputs: dict[str, list[Any]]) -> Any:
        helper, cfg = self.onnx.helper, model.config
        ports = [
            [helper.make_tensor_value_info(k, self.onnx.TensorProto.FLOAT, shape) for k, shape in ports.items()]
            for ports in (inputs, outputs)
        ]
        graph = helper.make_graph(self.nodes, name, *ports, initializer=self.constants, doc_string=__doc__)
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="wv-export")
        proto.ir_version = 8  # the one of opset 17, so that older runtimes read it
        settings = {
            "sample_rate": cfg.mel.sample_rate, "hop_length": cfg.mel.hop_length, "n_sub": cfg.n_sub,
            "preemphasis": cfg.preemphasis, "lpc_order": cfg.lpc_order, "mel": cfg.mel.name, "subscale": cfg.subscale,
            "horizon": cfg.horizon, "lookback": cfg.lookback, "context": cfg.context,
        }  # fmt: skip
        helper.set_model_props(proto, {k: str(v) for k, v in settings.items()})
        self.onnx.checker.check_model(proto)
        return proto


def read(path: str | Path) -> Any:
    """An onnx.ModelProto of a file.

    Raises
    ------
    WaveRNNError
        If it is not one, or onnx is not installed.
    OSError
        If it cannot be read.
    """
    onnx, data = _Graph().onnx, Path(path).read_bytes()
    try:
        proto = onnx.load_model_from_string(data)
        onnx.checker.check_model(proto)
    except Exception as error:  # of protobuf and of the checker, which share no base
        raise WaveRNNError(
            f"{path}: not an ONNX model ({str(error).splitlines()[0]}), wanted one of wv-export"
        ) from None
    return proto


def with_outputs(graph: Any, names: list[str], where: str) -> bytes:
    """A graph of this module, serialized, that also gives these values from within.

    Raises
    ------
    WaveRNNError
        If it has no such values: it is not of wv-export.
    """
    onnx, proto = _Graph().onnx, type(graph)()
    proto.CopyFrom(graph)
    made = {name for node in proto.graph.node for name in node.output}
    missing = [name for name in names if name not in made]
    if missing:
        raise WaveRNNError(f"{where}: found no value {missing[0]!r}, wanted a graph of wv-export --onnx")
    there = {output.name for output in proto.graph.output}
    for name in names:
        if name not in there:
            proto.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    return bytes(proto.SerializeToString())
