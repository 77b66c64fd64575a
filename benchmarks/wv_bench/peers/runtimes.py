"""The same network in PyTorch and ONNX Runtime, one thread, timed beside this project's runtimes in one run.

The weights are one synthetic model, R and O1..O4 pruned in 16x4 blocks. The peers have no block-sparse mat-vec and hold
them dense: in float32, and in ONNX Runtime also in int8 by dynamic quantisation. All draw both bytes from uniform
random numbers; the conditioning is given, not computed.

Usage: ``python -m wv_bench.peers.runtimes --json peers.json`` (needs wavernn[train])
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from wv_runtime.commands.common import Command, atomic_path
from wv_runtime.model.blocks import block_matrix, dense_of
from wv_runtime.model.layout import X_SCALE
from wv_runtime.model.weights import Model

from wv_bench.measure import Case
from wv_bench.synthetic import PRUNED, synthetic_config, synthetic_model

Array = NDArray[np.float32]
Run = Callable[[int], NDArray[np.int64]]  # n samples, as 0..65535


class Dense:
    """The network's arrays, dense float32, transposed for x @ W."""

    def __init__(self, model: Model):
        self.n = model.config.n_units
        self.weights = {}
        for name in PRUNED:
            w, b = dense_of(model.matrices[name])
            self.weights[name] = np.ascontiguousarray(w.T, np.float32), b.astype(np.float32)
        self.columns = model.I.astype(np.float32)  # (3, 3N)
        self.g = np.zeros((1, 3 * self.n), np.float32)


def int8_model(model: Model) -> Model:
    """The same weights in int8; what stays dense is drawn again."""
    other, matrices = synthetic_model(model.config, 0.95, (16, 4), "int8"), {}
    for name, m in model.matrices.items():
        if name not in PRUNED:
            matrices[name] = other.matrices[name]
            continue
        w, b = dense_of(m)
        x = (254 / 4.0, -127) if name in ("O2", "O4") else (X_SCALE[name], 0)
        matrices[name] = block_matrix(name, w, w != 0, b, "int8", (16, 4), *x)
    return Model(model.config, matrices, model.I)


# ---- PyTorch


class TorchStep(torch.nn.Module):
    """(h, c, f, uniform) -> (h, c, f), c and f scaled to [-1, 1]"""

    R: torch.Tensor
    b_R: torch.Tensor
    columns: torch.Tensor
    g: torch.Tensor

    def __init__(self, dense: Dense):
        super().__init__()
        self.n = dense.n
        for name, (w, b) in dense.weights.items():
            self.register_buffer(name, torch.from_numpy(w))
            self.register_buffer(f"b_{name}", torch.from_numpy(b))
        self.register_buffer("columns", torch.from_numpy(dense.columns.copy()))
        self.register_buffer("g", torch.from_numpy(dense.g))

    def gates(self, k: int, a: torch.Tensor, x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        half = self.n // 2
        a, x = (v.view(3, 2, half)[:, k] for v in (a, self.g + x @ self.columns))
        u, r = torch.sigmoid(a[0] + x[0]), torch.sigmoid(a[1] + x[1])
        e = torch.tanh(r * a[2] + x[2])
        return u * h[:, k * half : (k + 1) * half] + (1 - u) * e

    def draw(self, y: torch.Tensor, name_in: str, name_out: str, uniform: torch.Tensor) -> torch.Tensor:
        w = dict(self.named_buffers())
        y = torch.relu(torch.addmm(w[f"b_{name_in}"], y, w[name_in]))
        p = torch.softmax(torch.addmm(w[f"b_{name_out}"], y, w[name_out]), 1)
        byte = (torch.cumsum(p, 1) < uniform).sum(1, keepdim=True).clamp(max=255)
        return byte.float() / 127.5 - 1

    def forward(self, h: torch.Tensor, c: torch.Tensor, f: torch.Tensor, uniform: torch.Tensor) -> Any:
        a = torch.addmm(self.b_R, h, self.R)
        h_c = self.gates(0, a, torch.cat([c, f, torch.zeros_like(c)], 1), h)
        c_new = self.draw(h_c, "O1", "O2", uniform[:, :1])
        h_f = self.gates(1, a, torch.cat([c, f, c_new], 1), h)
        return torch.cat([h_c, h_f], 1), c_new, self.draw(h_f, "O3", "O4", uniform[:, 1:])


def torch_loop(step: Callable[..., Any], n_units: int) -> Run:
    def run(n: int) -> NDArray[np.int64]:
        h, c, f = torch.zeros(1, n_units), torch.zeros(1, 1), torch.zeros(1, 1)
        uniforms, out = torch.rand(n, 1, 2, generator=torch.Generator().manual_seed(0)), []
        with torch.inference_mode():
            for i in range(n):
                h, c, f = step(h, c, f, uniforms[i])
                out.append((c, f))
        return samples(np.array([[float(c), float(f)] for c, f in out]))

    return run


# ---- ONNX Runtime


class Graph:
    """Collects the nodes and constants of one step."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def constant(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        self.constants[name] = numpy_helper.from_array(np.asarray(value, dtype), name)
        return name

    def op(self, kind: str, *inputs: str, n_outputs: int = 1, **attributes: Any) -> Any:
        names = [f"v{len(self.nodes)}_{i}" for i in range(n_outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if n_outputs == 1 else names


def onnx_step(dense: Dense) -> tuple[Graph, list[str]]:
    """The nodes of one step from h, c, f, uniform; names of the new h, c, f."""
    g, half = Graph(), dense.n // 2
    for name, (w, b) in dense.weights.items():
        g.constant(name, w)
        g.constant(f"b_{name}", b)
    one, scale, zero = g.constant("one", 1.0), g.constant("scale", 1 / 127.5), g.constant("zero", [[0.0]])
    columns, cond = g.constant("columns", dense.columns), g.constant("g", dense.g)
    parts, axis = g.constant("parts", [half] * 6, np.int64), g.constant("axis", 1, np.int64)
    most, axes = g.constant("most", 255.0), g.constant("axes", [1], np.int64)
    halves = g.constant("halves", [half] * 2, np.int64)
    pair = g.constant("pair", [1, 1], np.int64)

    def split(x: str) -> list[str]:
        return g.op("Split", x, parts, n_outputs=6, axis=1)  # u_c, u_f, r_c, r_f, e_c, e_f

    def linear(x: str, name: str) -> str:
        return g.op("Add", g.op("MatMul", x, name), f"b_{name}")  # ONNX Runtime makes a Gemm of it, or quantises it

    def gates(k: int, a: list[str], x: str, h: str) -> str:
        x_ = split(g.op("Add", cond, g.op("MatMul", x, columns)))
        u, r = (g.op("Sigmoid", g.op("Add", a[i + k], x_[i + k])) for i in (0, 2))
        e = g.op("Tanh", g.op("Add", g.op("Mul", r, a[4 + k]), x_[4 + k]))
        return g.op("Add", g.op("Mul", u, h), g.op("Mul", g.op("Sub", one, u), e))

    def draw(y: str, name_in: str, name_out: str, uniform: str) -> str:
        p = g.op("Softmax", linear(g.op("Relu", linear(y, name_in)), name_out), axis=1)
        below = g.op("Cast", g.op("Less", g.op("CumSum", p, axis), uniform), to=TensorProto.FLOAT)
        byte = g.op("Min", g.op("ReduceSum", below, axes, keepdims=1), most)
        return g.op("Sub", g.op("Mul", byte, scale), one)

    uniform_c, uniform_f = g.op("Split", "uniform", pair, n_outputs=2, axis=1)
    h_c, h_f = g.op("Split", "h", halves, n_outputs=2, axis=1)
    a = split(linear("h", "R"))
    h_c = gates(0, a, g.op("Concat", "c", "f", zero, axis=1), h_c)
    c = draw(h_c, "O1", "O2", uniform_c)
    h_f = gates(1, a, g.op("Concat", "c", "f", c, axis=1), h_f)
    return g, [g.op("Concat", h_c, h_f, axis=1), c, draw(h_f, "O3", "O4", uniform_f)]


def onnx_model(nodes: Iterable[Any], inputs: list[Any], outputs: list[Any], constants: Iterable[Any]) -> Any:
    graph = helper.make_graph(list(nodes), "wavernn", inputs, outputs, list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def session(model: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def value(name: str, *shape: Any) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def step_model(dense: Dense, int8: bool) -> Any:
    """One step as an ONNX model: h, c, f, uniform -> h, c, f. int8: its products by dynamic quantisation."""
    g, (h, c, f) = onnx_step(dense)
    shapes = ((1, dense.n), (1, 1), (1, 1))
    inputs = [*(value(name, *shape) for name, shape in zip("hcf", shapes)), value("uniform", 1, 2)]
    outputs = [value(name, *shape) for name, shape in zip((h, c, f), shapes)]
    model = onnx_model(g.nodes, inputs, outputs, g.constants.values())
    if not int8:
        return model
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        quantize_dynamic(model, path, weight_type=QuantType.QInt8, per_channel=True)
        return onnx.load(path)


def onnx_step_loop(dense: Dense, int8: bool = False) -> Run:
    s = session(step_model(dense, int8))

    def run(n: int) -> NDArray[np.int64]:
        h, c, f = np.zeros((1, dense.n), np.float32), np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32)
        uniforms, out = np.random.default_rng(0).random((n, 1, 2), np.float32), np.empty((n, 2))
        for i in range(n):
            h, c, f = s.run(None, {"h": h, "c": c, "f": f, "uniform": uniforms[i]})
            out[i] = c[0, 0], f[0, 0]
        return samples(out)

    return run


def onnx_scan_loop(dense: Dense, int8: bool = False) -> Run:
    step = step_model(dense, int8).graph
    h, c, f = step.output
    pcm = helper.make_node("Concat", [c.name, f.name], ["pcm"], axis=1)
    body = helper.make_graph([*step.node, pcm], "step", step.input, [h, c, f, value("pcm", 1, 2)])
    shapes = {"h0": dense.n, "c0": 1, "f0": 1}
    start = [numpy_helper.from_array(np.zeros((1, k), np.float32), name) for name, k in shapes.items()]
    scan = helper.make_node("Scan", [*shapes, "uniforms"], ["h1", "c1", "f1", "out"], body=body, num_scan_inputs=1)
    io = [value("uniforms", "n", 1, 2)], [value("out", "n", 1, 2)]
    s = session(onnx_model([scan], *io, [*step.initializer, *start]))

    def run(n: int) -> NDArray[np.int64]:
        uniforms = np.random.default_rng(0).random((n, 1, 2), np.float32)
        return samples(s.run(["out"], {"uniforms": uniforms})[0][:, 0])

    return run


def samples(bytes_: NDArray[Any]) -> NDArray[np.int64]:
    """(n, 2) coarse and fine in [-1, 1] -> (n,) 0..65535"""
    c, f = np.rint((bytes_ + 1) * 127.5).astype(np.int64).T
    return 256 * c + f


# ---- in one run


def ours(model: Model, backend: str) -> Run:
    case = Case(model)
    engine = case.native(None) if backend == "c" else case.numba()

    def run(n: int) -> NDArray[np.int64]:
        engine.run(0, n)
        return np.zeros(n, np.int64)

    return run


@click.command("peers", cls=Command)
@click.option("--n-units", default=1024, show_default=True)
@click.option("--sparsity", default=0.95, show_default=True)
@click.option("--repeats", default=7, show_default=True)
@click.option("--seconds", default=0.15, show_default=True, help="Of one timing.")
@click.option("--no-compile", is_flag=True, help="Leave torch.compile out (it needs a C++ compiler).")
@click.option("--json", "json_path", metavar="OUT.json")
def main(n_units: int, sparsity: float, repeats: int, seconds: float, no_compile: bool, json_path: str | None) -> None:
    """Samples per second of every implementation, interleaved."""
    torch.set_num_threads(1)
    logging.getLogger().setLevel(logging.ERROR)  # quantize_dynamic advises shape inference, which this model needs not
    model = synthetic_model(synthetic_config(n_units), sparsity, (16, 4), "f32")
    dense = Dense(model)
    step = TorchStep(dense)
    runs: dict[str, Run] = {
        "this project, C, int8": ours(int8_model(model), "c"),
        "this project, Numba, int8": ours(int8_model(model), "numba"),
        "this project, C, f32": ours(model, "c"),
        "PyTorch eager, f32": torch_loop(step, n_units),
    }
    if not no_compile:
        runs["torch.compile, f32"] = torch_loop(torch.compile(step, fullgraph=True), n_units)
    for dtype in ("f32", "int8"):
        runs[f"ONNX Runtime, step by step, {dtype}"] = onnx_step_loop(dense, dtype == "int8")
        runs[f"ONNX Runtime, loop in the graph, {dtype}"] = onnx_scan_loop(dense, dtype == "int8")

    n_samples = {}
    for name, run in runs.items():
        run(8)
        start = time.perf_counter()
        run(16)
        n_samples[name] = max(8, int(16 * seconds / (time.perf_counter() - start)))
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run(n_samples[name])
            rates[name].append(n_samples[name] / (time.perf_counter() - start))
    first = np.array(rates["this project, C, int8"])
    results = [
        {
            "name": name, "samples_per_s": max(r), "samples_per_s_median": float(np.median(r)),
            "times_slower": float(max(first) / max(r)), "times_slower_median": float(np.median(first / np.array(r))),
        }
        for name, r in rates.items()
    ]  # fmt: skip
    click.echo(
        f"{n_units} units, {sparsity:.0%} zero; torch {torch.__version__}, ONNX Runtime {onnxruntime.__version__}"
    )
    click.echo(f"{'':<38}{'samples/s':>11}{'median':>10}{'int8 C is faster by':>21}{'median of pairs':>17}")
    for r in results:
        click.echo(f"{r['name']:<38}{r['samples_per_s']:>11,.0f}{r['samples_per_s_median']:>10,.0f}"
                   f"{r['times_slower']:>21.1f}{r['times_slower_median']:>17.1f}")  # fmt: skip
    if json_path:
        with atomic_path(json_path) as tmp:
            tmp.write_text(json.dumps({"n_units": n_units, "sparsity": sparsity, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
