"""From a checkpoint to a .bin: the weights are the trained ones, the zeros are the masks, the bytes are legal."""

from __future__ import annotations

import json

import naive
import numpy as np
import pytest
from wv_runtime.model.binary import pack, parse
from wv_runtime.model.blocks import stored

torch = pytest.importorskip("torch")

from exports import make_checkpoint, speech, torch_logits  # noqa: E402
from wv_export import convert  # noqa: E402
from wv_train import checkpoint as trainer  # noqa: E402


@pytest.mark.parametrize(("dtype", "tolerance"), [("f32", 2e-5), ("f16", 0.05), ("int8", 0.3)])
def test_logits_are_torch_s(saved, dtype, tolerance):
    net, path = saved
    model = parse(pack(convert.to_model(convert.read_checkpoint(str(path)), dtype)))
    samples, mel = speech(net.cfg)
    wanted, found = torch_logits(net, samples, mel), naive.logits(model, samples, mel)
    for w, f in zip(wanted, found):
        assert np.abs(w - f).max() < tolerance < 0.3 * np.abs(w).max()


def test_I_is_torch_s(saved):
    net, path = saved
    model = convert.to_model(convert.read_checkpoint(str(path)), "int8")
    np.testing.assert_allclose(model.I, net.I().detach().numpy().T, rtol=1e-6)
    assert not model.I[2].reshape(3, 2, -1)[:, 0].any()


@pytest.mark.parametrize("dtype", ["f32", "f16", "int8"])
def test_zeros_are_the_masks(saved, dtype):
    net, path = saved
    ckpt = convert.read_checkpoint(str(path))
    model = convert.to_model(ckpt, dtype)
    for name, m in model.matrices.items():
        weights, mask = stored(m), ckpt.masks[name]
        assert not weights[~mask].any()
        grid = (m.n_block_rows, m.block_h, m.cols // m.block_w, m.block_w)
        assert m.nnz_blocks == mask.reshape(grid).any(axis=(1, 3)).sum()  # only blocks the mask reaches are stored
        if dtype == "f32" and name not in ("C1",):
            np.testing.assert_array_equal(weights, net.get_parameter(name).detach().numpy())
    assert ckpt.masks["R"].mean() == pytest.approx(0.25, abs=0.1)


def test_block_shapes(saved):
    ckpt = convert.read_checkpoint(str(saved[1]))

    def blocks(dtype, dense=None):
        return {n: (m.block_h, m.block_w) for n, m in convert.to_model(ckpt, dtype, dense).matrices.items()}

    assert blocks("f32") == {"C1": (16, 1), "C2": (16, 1), "C3": (16, 1), "R": (16, 1), "O1": (8, 4), "O2": (16, 1),
                             "O3": (4, 4), "O4": (16, 2)}  # fmt: skip
    assert blocks("int8") == {"C1": (16, 1), "C2": (16, 4), "C3": (16, 4), "R": (16, 4), "O1": (8, 4), "O2": (16, 4),
                              "O3": (4, 4), "O4": (16, 4)}  # fmt: skip
    assert blocks("f16", (8, 2))["C3"] == (8, 2) and blocks("f16", (8, 2))["R"] == (16, 1)
    with pytest.raises(ValueError, match=r"block of C1 .*: found 32x1"):
        blocks("f32", (32, 1))
    with pytest.raises(ValueError, match=r"block of C2 .*: found 16x1"):
        blocks("int8", (16, 1))


@pytest.mark.parametrize(
    ("gates", "wanted"),
    [(("16x1", "8x4", "16x2"), (8, 1)), (("32x4", "16x4", "32x2"), (16, 2)), (("1x1", "16x4", "16x4"), (4, 1))],
)
def test_gates_of_different_blocks(gates, wanted, tmp_path):
    net, ckpt = make_checkpoint(blocks=dict(zip(("R_u", "R_r", "R_e"), gates)))
    trainer.save_checkpoint(tmp_path / "m.pt", ckpt)
    R = convert.to_model(convert.read_checkpoint(str(tmp_path / "m.pt")), "f32").matrices["R"]
    assert (R.block_h, R.block_w) == wanted
    np.testing.assert_array_equal(stored(R), net.R.detach().numpy())


def test_one_gate_pruned(tmp_path):
    net, ckpt = make_checkpoint(blocks={"R_e": "8x4"})
    trainer.save_checkpoint(tmp_path / "m.pt", ckpt)
    R = convert.to_model(convert.read_checkpoint(str(tmp_path / "m.pt")), "f32").matrices["R"]
    assert (R.block_h, R.block_w) == (8, 4) and R.row_ptr[16] == 2 * 8 * 16  # R_u and R_r have every block
    np.testing.assert_array_equal(stored(R), net.R.detach().numpy())


def test_metadata(saved):
    model = convert.to_model(convert.read_checkpoint(str(saved[1])), "int8")
    m = parse(pack(model)).metadata
    assert (m["step"], m["hours"], m["nll"], m["dtype"]) == (7, 1.5, {"nll_c": 1.25, "nll_f": 5.0}, "int8")
    assert m["pruned"]["R_u"]["block"] == "16x1" and 0.5 < m["pruned"]["R_u"]["sparsity"] < 1
    json.dumps(m, allow_nan=False)


def test_onnx_is_torch(saved):
    onnx, ort = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    from wv_runtime.engine import onnx_graph as export

    net, path = saved
    model, cfg = convert.to_model(convert.read_checkpoint(str(path)), "f32"), net.cfg
    samples, mel = speech(cfg)
    sessions = []
    for graph in (export.conditioning(model), export.step(model)):
        onnx.checker.check_model(graph, full_check=True)
        sessions.append(ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"]))
    (g,) = sessions[0].run(["g"], {"mel": mel})
    np.testing.assert_allclose(g, naive.condition(model, mel), atol=2e-5)

    s = samples.astype(np.int64) + 32768
    x = np.stack([s[:-1] >> 8, s[:-1] & 255, s[1:] >> 8], axis=1).astype(np.float32) / np.float32(127.5) - 1
    h, found = np.zeros((1, cfg.n_units), np.float32), []
    for t in range(len(x)):
        feed = {"x": x[t : t + 1], "h": h, "g": g[t // cfg.sub_length][None]}
        h, *logits = sessions[1].run(["h_next", "logits_c", "logits_f"], feed)
        found.append(logits)
    for i, wanted in enumerate(torch_logits(net, samples, mel)):
        np.testing.assert_allclose(np.concatenate([logits[i] for logits in found]), wanted, atol=1e-4)


def test_logits_c_do_not_see_c_t(saved):
    ort = pytest.importorskip("onnxruntime")
    from wv_runtime.engine import onnx_graph as export

    step = ort.InferenceSession(export.step(convert.to_model(convert.read_checkpoint(str(saved[1])), "f32"))
                                .SerializeToString(), providers=["CPUExecutionProvider"])  # fmt: skip
    rng = np.random.default_rng(0)
    feed = {k: rng.normal(size=(2, n)).astype(np.float32) for k, n in (("x", 3), ("h", 64), ("g", 192))}
    feed = {k: np.repeat(v[:1], 2, axis=0) for k, v in feed.items()}
    feed["x"][1, 2] += 1
    c, f = step.run(["logits_c", "logits_f"], feed)
    np.testing.assert_array_equal(c[0], c[1])
    assert np.abs(f[0] - f[1]).max() > 1e-3
