"""wv-export: options, checks of the result, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import naive
import numpy as np
import pytest
from click.testing import CliRunner
from model_fixtures import tiny_mel
from wv_runtime.errors import CheckpointError
from wv_runtime.model.binary import load, pack, parse

torch = pytest.importorskip("torch")

from exports import CFG, PRUNED, make_checkpoint, speech, torch_logits  # noqa: E402
from wv_export import check, cli, convert  # noqa: E402
from wv_train import checkpoint as trainer  # noqa: E402


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
        (("model.pt", "out.bin", "--meta", "a=1", "--meta", "a=2"), 2, "found a twice, wanted each key once"),
        (("model.pt", "out.bin", "--temperature", "0"), 2, "0.0 is not in the range"),
        (("model.pt", "out.bin", "--temperature", "nan"), 2, "'--temperature': found nan, wanted a number"),
        (("a.bin", "out.bin"), 1, "a.bin: found a .bin, wanted a checkpoint (.pt)"),
        (("model.pt", "model.pt"), 2, "one file named twice"),
        (("model.pt", "out.bin", "--onnx", "./out.bin"), 2, "one file named twice"),
        (("missing.pt", "out.bin"), 1, "missing.pt: No such file"),
        ((".", "out.bin"), 1, ".: Is a directory"),
        (("empty.pt", "out.bin"), 1, "empty.pt: damaged or not a checkpoint"),
        (("text.pt", "out.bin"), 1, "text.pt: damaged or not a checkpoint"),
        (("cut.pt", "out.bin"), 1, "cut.pt: damaged or not a checkpoint"),
        (("list.pt", "out.bin"), 1, "list.pt: found list, wanted a dict"),
        (("pickle.pt", "out.bin"), 1, "pickle.pt: damaged or not a checkpoint"),
        (("model.pt", "no/such/out.bin"), 1, "no/such: No such file or directory"),
        (("model.pt", "folder"), 1, "folder: Is a directory"),
        (("model.pt", "out.wav"), 2, "OUT.BIN: found out.wav, wanted a name ending in .bin"),
        (("model.pt", "out"), 2, "OUT.BIN: found out, wanted a name ending in .bin"),
        (("model.pt", "out.onnx"), 2, "OUT.BIN: found out.onnx, wanted a name ending in .bin"),
        (("model.pt", "out.bin", "--onnx", "net.bin"), 2, "--onnx: found net.bin, wanted a name ending in .onnx"),
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
    Path("a.bin").write_bytes(b"WaveRNN\n" + bytes(700))
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
