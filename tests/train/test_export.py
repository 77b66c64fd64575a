"""From a checkpoint to a .bin: the weights are the trained ones, the zeros are the masks, the bytes are legal."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import naive
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from model_fixtures import tiny_config, tiny_mel, tiny_model
from wv_runtime.errors import CheckpointError
from wv_runtime.model.binary import load, pack, parse
from wv_runtime.model.blocks import block_matrix, dense_of, quantize_rows, stored, to_blocks
from wv_runtime.model.layout import BLOCK_H, BLOCK_W

CFG = tiny_config(n_units=64, n_out=32)


# ---- blocks and int8, without torch


@given(st.integers(0, 2**32 - 1), st.sampled_from(BLOCK_H), st.sampled_from(BLOCK_W), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_blocks_keep_every_weight_of_the_mask(seed, block_h, block_w, share):
    rng = np.random.default_rng(seed)
    mask = rng.random((64, 24)) < share**4
    dense = rng.normal(size=mask.shape) * mask
    m = block_matrix("R", dense, mask, np.zeros(64), "f32", (block_h, block_w))
    np.testing.assert_array_equal(stored(m), dense.astype(np.float32))
    np.testing.assert_array_equal(naive.dense(m), dense.astype(np.float32))
    blocks = mask.reshape(64 // block_h, block_h, 24 // block_w, block_w).any(axis=(1, 3))
    assert m.nnz_blocks == blocks.sum() and m.row_ptr[-1] == m.nnz_blocks


def test_order_inside_a_block():
    dense = np.arange(1, 17).reshape(4, 4)
    mask = np.ones((4, 4), bool)
    by_columns, row_ptr, col_idx = to_blocks(dense, mask, 4, 2)
    assert by_columns.tolist() == [1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 4, 8, 12, 16]
    assert (row_ptr.tolist(), col_idx.tolist()) == ([0, 2], [0, 1])
    assert to_blocks(dense, mask, 4, 4, row_major=True)[0].tolist() == list(range(1, 17))


weights = st.floats(-1e6, 1e6, allow_subnormal=False, width=32)


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12).map(lambda s: (s[0], 2 * s[1])),
                  elements=weights))  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_no_int8_pair_exceeds_128(dense):
    w, s_w = quantize_rows(dense)
    pairs = np.abs(w.astype(int)).reshape(len(w), -1, 2).sum(axis=2)
    assert pairs.max() <= 128 and np.abs(w.astype(int)).max() <= 127
    assert np.all(np.abs(w * s_w[:, None] - dense) <= 0.5000001 * s_w[:, None])
    assert not w[dense == 0].any()


def test_int8_worst_pairs():
    """Both halves of every pair at x.5 levels and the pair at the row's maximum: rounding up twice still fits."""
    a = np.arange(0.5, 127, 1.0)
    dense = np.stack([a, 127 - a], axis=1)
    w, s_w = quantize_rows(dense)
    assert np.abs(w.astype(int)).sum(axis=1).max() <= 128 and s_w == pytest.approx(np.ones(len(a)))


@pytest.mark.parametrize(("x_scale", "x_zero"), [(127.0, 0), (254 / 4.0, -127), (20.0, 100)])
def test_int8_matrix_means_the_dense_one(x_scale, x_zero):
    rng = np.random.default_rng(0)
    dense, bias = rng.normal(size=(16, 64)), rng.normal(size=16)
    m = block_matrix("O2", dense, np.ones((16, 64), bool), bias, "int8", (16, 4), x_scale, x_zero)
    W, b = dense_of(m)
    assert np.abs(W - dense).max() < np.abs(dense).max() * 2 / 127
    np.testing.assert_allclose(b, bias, atol=1e-5)
    x = (rng.integers(-127, 128, 64) - x_zero) / x_scale  # inputs that are levels: nothing is lost
    np.testing.assert_allclose(naive.matvec(m, x), W @ x + b, atol=2e-5)


def test_f16_overflow_is_refused():
    model = tiny_model("f16")
    C1 = model.matrices["C1"]
    large = np.where(np.arange(C1.rows * C1.cols).reshape(C1.rows, C1.cols) == 5, 1e5, 0.1)
    m = block_matrix("C1", large, np.ones(large.shape, bool), C1.bias, "f16", (16, 1))
    assert np.isinf(m.values).sum() == 1
    with pytest.raises(Exception, match=r"C1.values: NaN or infinity"):
        pack(type(model)(model.config, {**model.matrices, "C1": m}, model.I))


# ---- checkpoints

torch = pytest.importorskip("torch")

from wv_export import check, cli, convert  # noqa: E402
from wv_train import checkpoint as trainer  # noqa: E402
from wv_train import model as trained  # noqa: E402


def make_checkpoint(cfg=CFG, blocks=None, sparsity=0.75, seed=0):
    """A checkpoint as wv-train writes it, with random weights. blocks: {"R_u": "16x1", ..}; every one is pruned."""
    torch.manual_seed(seed)
    net = trained.WaveRNN(cfg).eval()
    with torch.no_grad():
        for name, p in net.named_parameters():
            p.copy_(torch.randn_like(p) * (0.1 if name.startswith("b_") else 2.0 / p.shape[1] ** 0.5))
        net.I_raw *= 0.2
        net.mel_mean.copy_(torch.linspace(-6, -3, cfg.mel.n_mels))
        net.mel_std.copy_(torch.linspace(1, 2, cfg.mel.n_mels))
        net.relu_max.copy_(torch.tensor([4.0, 5.0]))
    masks = {}
    for name, text in (blocks or {}).items():
        h, w = (int(n) for n in text.split("x"))
        W = net.R.detach().chunk(3)["ure".index(name[2])] if name.startswith("R_") else net.get_parameter(name).detach()
        grid = torch.rand(W.shape[0] // h, W.shape[1] // w) >= sparsity
        masks[name] = grid.repeat_interleave(h, 0).repeat_interleave(w, 1)
        W *= masks[name]
    history = [{"step": 7, "valid_nll_c": 1.25, "valid_nll_f": 5.0, "train_nll_c": None}]
    return net, {
        "format": 2, "config": asdict(cfg), "model": net.state_dict(), "masks": masks, "step": 7, "minutes": 90.0,
        "train": {}, "prune": {"block": blocks or {}}, "history": history, "data": {"name": "speech"},
        "versions": {"wavernn": "0", "torch": "0"}, "optimizer": None, "rng": None, "states": None,
    }  # fmt: skip


PRUNED = {"R_u": "16x1", "R_r": "16x1", "R_e": "16x1", "O1": "8x4", "O2": "16x1", "O3": "4x4", "O4": "16x2"}


@pytest.fixture
def saved(tmp_path):
    net, ckpt = make_checkpoint(blocks=PRUNED)
    trainer.save_checkpoint(tmp_path / "model.pt", ckpt)
    return net, tmp_path / "model.pt"


def speech(cfg, n_frames=6):
    """(samples (n + 1,) int16, mel as of real speech)"""
    rng = np.random.default_rng(2)
    samples = rng.integers(-2000, 2000, n_frames * cfg.mel.hop_length + 1).astype(np.int16)
    return samples, tiny_mel(cfg, n_frames) * 1.5 - 4.5


def torch_logits(net, samples, mel):
    reach = net.cfg.cond_width // 2
    padded = np.pad(mel, [(0, 0), (reach, reach)], mode="edge")
    with torch.no_grad():
        logits = net(torch.from_numpy(samples[None]), torch.from_numpy(padded[None]))
    return [a[0].double().numpy() for a in logits]


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


# ---- the command


def run(*args: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.main, [str(a) for a in args])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_command(saved, tmp_path):
    out = tmp_path / "out.bin"
    code, text, err = run(saved[1], out, "--dtype", "int8", "--meta", "licence=CC0-1.0", "--meta", "note=a=b")
    assert (code, err) == (0, "")
    model = load(out)
    assert model.metadata["licence"] == "CC0-1.0" and model.metadata["note"] == "a=b"
    assert f"{out.stat().st_size:,}" in text.split("\nfile ")[1].splitlines()[0]
    assert "R: R_u was pruned in blocks of 16x1" in text
    first = out.read_bytes()
    assert run(saved[1], out, "--dtype", "int8", "--meta", "licence=CC0-1.0", "--meta", "note=a=b")[0] == 0
    assert out.read_bytes() == first  # nothing in a file depends on when or where it was made


@pytest.mark.parametrize("dtype", ["f32", "int8"])
def test_temperature_is_built_in(saved, tmp_path, dtype):
    """Logits are divided by it, in int8 too to the last step: its weights are the same, their scales are not."""
    plain, warm, one = (tmp_path / f"{name}.bin" for name in ("plain", "warm", "one"))
    for out, args in ((plain, ()), (warm, ("--temperature", "0.8")), (one, ("--temperature", "1"))):
        assert run(saved[1], out, "--dtype", dtype, *args)[0] == 0
    assert one.read_bytes() == plain.read_bytes()
    samples, mel = speech(CFG)
    wanted, found = (naive.logits(load(path), samples, mel) for path in (plain, warm))
    for w, f in zip(wanted, found):
        np.testing.assert_allclose(f, w / 0.8, atol=1e-4)
    assert load(warm).metadata["temperature"] == 0.8 and "temperature" not in load(plain).metadata


def test_slim_checkpoint_gives_the_same_file(saved, tmp_path):
    trainer.save_checkpoint(tmp_path / "slim.pt", trainer.slimmed(trainer.load_checkpoint(saved[1])))
    run(saved[1], tmp_path / "a.bin")
    run(tmp_path / "slim.pt", tmp_path / "b.bin")
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "b.bin").read_bytes()


@pytest.fixture
def clip(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "a.wav", rng.normal(0, 0.05, 145), 16000)  # seven frames and a bit
    np.save(tmp_path / "a.npy", tiny_mel(CFG, 7) * 1.5 - 4.5)
    return tmp_path / "a.npy", tmp_path / "a.wav"


def test_check(saved, clip, tmp_path, monkeypatch):
    def slowly(*args):
        samples = args[1][1:].astype(int) + 32768
        return *(a.astype(np.float32) for a in naive.logits(*args)), np.stack([samples >> 8, samples & 255], axis=1)

    monkeypatch.setattr(check, "teacher_forced", slowly)
    code, text, err = run(saved[1], tmp_path / "out.bin", "--dtype", "int8", "--check", *clip)
    assert (code, err) == (0, "")
    lines = [line.split() for line in text.split("\n\n")[1].splitlines()]
    assert lines[0][1:3] == ["NLL", "f32"] and [line[0] for line in lines[1:]] == ["coarse", "fine", "sample"]

    # the same numbers from torch
    from wv_runtime.features.mel import load_audio
    from wv_runtime.features.samples import preemphasise

    samples = np.concatenate([[0], preemphasise(load_audio(clip[1], 16000)[:140], CFG.preemphasis)])
    logits = torch_logits(saved[0], samples.astype(np.int16), np.load(clip[0]))
    byte = samples[1:].astype(int) + 32768
    for line, a, target in zip(lines[1:], logits, (byte >> 8, byte & 255)):
        wanted = -naive.log_softmax(a)[np.arange(140), target].mean()
        nll_f32, nll, cost, mean, largest = (float(v) for v in line[1:])
        assert nll_f32 == pytest.approx(wanted, abs=1e-3)
        assert cost == pytest.approx(nll - nll_f32, abs=2e-4) and 0 < mean < largest


def test_check_on_the_kernels(clip, tmp_path):
    _, ckpt = make_checkpoint(blocks=dict.fromkeys(PRUNED, "8x1"))  # as tiny_model has them: compiled once for all
    torch.save(ckpt, tmp_path / "m.pt")
    f32 = parse(pack(convert.to_model(convert.read_checkpoint(str(tmp_path / "m.pt")), "f32")))
    for cost in check.check(f32, f32, *(str(c) for c in clip)):
        assert cost.mean == cost.max == 0 and cost.nll == cost.nll_f32
    samples, mel = speech(CFG)
    for found, wanted in zip(check.teacher_forced(f32, samples, mel), naive.logits(f32, samples, mel)):
        np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_onnx_files(saved, tmp_path):
    pytest.importorskip("onnx")
    code, _, err = run(saved[1], tmp_path / "out.bin", "--onnx", tmp_path / "net.onnx")
    assert (code, err) == (0, "")
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"model.pt", "out.bin", "net.onnx", "net.cond.onnx"}


def broken(key, change):
    """A checkpoint in which `change` has been done to ckpt[key]."""

    def edit(ckpt):
        ckpt[key] = change(ckpt[key])

    return edit


def without(name):
    return lambda d: {k: v for k, v in d.items() if k != name}


BAD_CHECKPOINTS = {
    "no_format": (lambda c: c.pop("format"), "format: found None, wanted 2"),
    "format_1": (broken("format", lambda _: 1), "format: found 1, wanted 2"),
    "no_model": (lambda c: c.pop("model"), "model: found nothing, wanted dict"),
    "masks_list": (broken("masks", list), "masks: found list"),
    "no_mel": (broken("config", without("mel")), "config: mel: found None, wanted a dict"),
    "config_unknown": (broken("config", lambda d: d | {"n_layers": 3}), "n_layers"),
    "config_range": (broken("config", lambda d: d | {"n_units": 33}), "n_units: found 33, wanted 64..8192"),
    "no_R": (broken("model", without("R")), "model.R: found nothing"),
    "shape": (broken("model", lambda d: d | {"O1": d["O1"][:-1]}), "model.O1: found shape (31, 32), wanted (32, 32)"),
    "nan": (broken("model", lambda d: d | {"b_R": d["b_R"] * torch.nan}), "model.b_R: found NaN"),
    "mel_std": (broken("model", lambda d: d | {"mel_std": 0 * d["mel_std"]}), "model.mel_std: found 0"),
    "relu_max": (broken("model", lambda d: d | {"relu_max": 0 * d["relu_max"]}), "model.relu_max: found 0.0"),
    "mask_name": (broken("masks", lambda d: d | {"I": d["O1"]}), "masks.I: found an unknown name"),
    "mask_shape": (broken("masks", lambda d: d | {"O1": d["O1"][:8]}), "masks.O1: found shape (8, 32)"),
    "mask_astray": (broken("masks", lambda d: d | {"O1": ~d["O1"]}), "non-zero weights outside the mask"),
    "no_block": (broken("prune", lambda _: {}), "prune.block.R_u: found None"),
    "block_text": (broken("prune", lambda d: {"block": d["block"] | {"O3": "8by4"}}), "prune.block.O3: found '8by4'"),
    "huge_I": (broken("model", lambda d: d | {"I_raw": d["I_raw"] + 1e38}), "section I: NaN or infinity"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_CHECKPOINTS)
def test_bad_checkpoint(name, tmp_path):
    edit, text = BAD_CHECKPOINTS[name]
    _, ckpt = make_checkpoint(blocks=PRUNED)
    edit(ckpt)
    torch.save(ckpt, tmp_path / "bad.pt")
    code, out, err = run(tmp_path / "bad.pt", tmp_path / "out.bin", "--dtype", "int8")
    assert (code, out) == (1, "") and text in err and err.startswith("wv-export: error: ") and err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["bad.pt"]


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (("model.pt",), 2, "Missing argument 'OUT.BIN'"),
        (("model.pt", "out.bin", "--dtype", "bf16"), 2, "'bf16' is not one of"),
        (("model.pt", "out.bin", "--block", "16"), 2, "found '16', wanted rows x columns"),
        (("model.pt", "out.bin", "--block", "0x1"), 2, "found '0x1'"),
        (("model.pt", "out.bin", "--block", "5x1"), 2, "block of C1 (16x24, f16): found 5x1"),
        (("model.pt", "out.bin", "--meta", "licence"), 2, "found 'licence', wanted KEY=VALUE"),
        (("model.pt", "out.bin", "--temperature", "0"), 2, "0.0 is not in the range"),
        (("model.pt", "model.pt"), 2, "one file named twice"),
        (("model.pt", "out.bin", "--onnx", "./out.bin"), 2, "one file named twice"),
        (("missing.pt", "out.bin"), 1, "missing.pt: No such file"),
        ((".", "out.bin"), 1, ".: Is a directory"),
        (("empty.pt", "out.bin"), 1, "empty.pt: damaged or not a checkpoint"),
        (("text.pt", "out.bin"), 1, "text.pt: damaged or not a checkpoint"),
        (("cut.pt", "out.bin"), 1, "cut.pt: damaged or not a checkpoint"),
        (("list.pt", "out.bin"), 1, "list.pt: found list, wanted a dict"),
        (("pickle.pt", "out.bin"), 1, "pickle.pt: damaged or not a checkpoint"),
        (("model.pt", "no/such/out.bin"), 1, "no/such: No such directory"),
        (("model.pt", "folder"), 1, "folder: Is a directory"),
        (("model.pt", "out.bin", "--check", "a.npy"), 2, "requires 2 arguments"),
        (("model.pt", "out.bin", "--check", "missing.npy", "a.wav"), 1, "missing.npy: No such file"),
        (("model.pt", "out.bin", "--check", "text.pt", "a.wav"), 1, "text.pt: not a .npy file"),
        (("model.pt", "out.bin", "--check", "flat.npy", "a.wav"), 1, "flat.npy: shape (8,)"),
        (("model.pt", "out.bin", "--check", "turned.npy", "a.wav"), 1, "turned.npy: shape (7, 8) is transposed"),
        (("model.pt", "out.bin", "--check", "ints.npy", "a.wav"), 1, "ints.npy: dtype <i8"),
        (("model.pt", "out.bin", "--check", "long.npy", "a.wav"), 1, "long.npy: found 12 frames, wanted 7"),
        (("model.pt", "out.bin", "--check", "nan.npy", "a.wav"), 1, "nan.npy: NaN or infinite at band 2, frame 3"),
        (("model.pt", "out.bin", "--check", "a.npy", "text.pt"), 1, "text.pt: "),
        (("model.pt", "out.bin", "--check", "a.npy", "tiny.wav"), 1, "tiny.wav: found 5 samples"),
    ],
)
def test_bad_input_gives_one_line(args, code, text, saved, clip, tmp_path, monkeypatch):
    import pickle

    import soundfile

    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("empty.pt").write_bytes(b"")
    Path("text.pt").write_text("not a checkpoint\n")
    Path("cut.pt").write_bytes(saved[1].read_bytes()[:3000])
    Path("pickle.pt").write_bytes(pickle.dumps(Path("x")))  # an object: weights_only refuses it
    torch.save([1], "list.pt")
    mel = np.load("a.npy")
    nan = mel.copy()
    nan[2, 3] = np.nan
    more = {"flat": mel[:, 0], "turned": mel.T, "ints": mel.astype(int), "nan": nan}
    for name, a in {**more, "long": np.tile(mel, 2)[:, :12]}.items():
        np.save(f"{name}.npy", a)
    soundfile.write("tiny.wav", np.zeros(5), 16000)
    before = sorted(tmp_path.rglob("*"))
    found, out, err = run(*args)
    assert (found, out) == (code, "") and err.startswith("wv-export: error: ") and err.count("\n") == 1
    assert text in err
    assert sorted(tmp_path.rglob("*")) == before


def test_torch_is_not_needed(saved, tmp_path, monkeypatch):
    wanted = saved[0].R.detach().double().numpy()
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    assert np.array_equal(convert.read_checkpoint(str(saved[1])).weights["R"], wanted)


def test_checkpoint_error_names_the_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"x\.pt: damaged"):
        (tmp_path / "x.pt").write_bytes(b"PK\3\4")
        convert.read_checkpoint(str(tmp_path / "x.pt"))
