"""The bundled voice on real speech: torch against the runtime, what a dtype costs, the same PCM from both backends."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import DATA, ROOT

torch = pytest.importorskip("torch")
pytest.importorskip("librosa")

from wv_export.check import check  # noqa: E402
from wv_export.convert import read_checkpoint, to_model  # noqa: E402
from wv_runtime.engine.numba_cpu import teacher_forced  # noqa: E402
from wv_runtime.engine.synth import Voice  # noqa: E402
from wv_runtime.features.mel import load_audio, log_mel  # noqa: E402
from wv_runtime.features.mel_file import save_mel  # noqa: E402
from wv_runtime.features.samples import preemphasise  # noqa: E402
from wv_train.checkpoint import load_model  # noqa: E402

pytestmark = pytest.mark.slow

VOICE = ROOT / "voices/kathleen16/model.pt"
CLIPS = sorted((DATA / "clips").glob("*.flac"))


@pytest.fixture(scope="module")
def checkpoint():
    return read_checkpoint(VOICE)


@pytest.fixture(scope="module")
def speech():
    """5 s of the bundled clips, end to end: audio (n,), mel (n_mels, n_frames)."""
    cfg = load_model(VOICE)[0].cfg
    audio = np.concatenate([load_audio(clip, cfg.mel.sample_rate) for clip in CLIPS])[: 5 * cfg.mel.sample_rate]
    assert len(audio) == 5 * cfg.mel.sample_rate
    return audio, log_mel(audio, cfg.mel)


def test_log_probabilities_are_torch_s(checkpoint, speech):
    net, _ = load_model(VOICE)
    audio, mel = speech
    samples = np.concatenate([np.zeros(1, np.int16), preemphasise(audio, net.cfg.preemphasis)])
    reach = net.cfg.cond_width // 2
    padded = np.pad(mel, [(0, 0), (reach, reach)], mode="edge")
    with torch.no_grad():
        past = np.pad(samples, (net.cfg.n_past - 1, 0))
        wanted = net.eval()(torch.from_numpy(past[None]), torch.from_numpy(padded[None]))
    difference = [
        torch.log_softmax(torch.from_numpy(ours), -1) - torch.log_softmax(theirs[0], -1)
        for ours, theirs in zip(teacher_forced(to_model(checkpoint, "f32"), samples, mel), wanted)
    ]
    mean, largest = (f(torch.stack([f(d.abs()) for d in difference])).item() for f in (torch.mean, torch.max))
    print(f"torch against Numba f32, 5 s: mean |dlogp| {mean:.2e} nats, largest {largest:.2e}")
    assert mean < 1e-3 and largest < 0.1


@pytest.mark.parametrize(("dtype", "nats"), [("f16", 1e-3), ("int8", 0.028)])  # 0.5 % for int8, which it was tuned for
def test_what_a_dtype_costs(checkpoint, speech, tmp_path, dtype, nats):
    import soundfile

    audio, mel = speech
    soundfile.write(tmp_path / "a.wav", audio, 16000, subtype="FLOAT")
    save_mel(tmp_path / "a.npy", mel, load_model(VOICE)[0].cfg.mel)
    costs = check(to_model(checkpoint, dtype), to_model(checkpoint, "f32"), tmp_path / "a.npy", tmp_path / "a.wav")
    loss = sum(c.nll - c.nll_f32 for c in costs)
    print(f"{dtype}: NLL {sum(c.nll for c in costs):.4f} nats, {loss:+.4f} against f32")
    assert loss < nats


@pytest.mark.parametrize("dtype", ["f32", "f16", "int8"])
def test_both_backends_speak_alike(checkpoint, speech, dtype):
    model, mel = to_model(checkpoint, dtype), speech[1][:, :30]
    for seed, temperature in ((0, 1.0), (1, 1.0), (2, 0.7)):
        pcm = [Voice(model, backend)(mel, seed, temperature) for backend in ("numba", "c")]
        np.testing.assert_array_equal(*pcm)
        assert np.abs(pcm[0].astype(int)).max() > 100


@pytest.mark.parametrize("path", sorted((ROOT / "voices").glob("*/model.pt")), ids=lambda path: path.parent.name)
def test_every_voice_follows_the_level_of_its_mels(speech, path):
    """Words of a speaker that most of them have never heard, in int8 as it is shipped."""
    model, (audio, mel) = to_model(read_checkpoint(path), "int8"), speech
    pcm = Voice(model, "c")(mel, seed=0) / 32768
    level = [20 * np.log10(np.sqrt((a[: 80 * 1000].reshape(-1, 1600) ** 2).mean(axis=1)) + 1e-4) for a in (audio, pcm)]
    assert np.corrcoef(*level)[0, 1] > 0.9
    assert (ROOT / "voices" / path.parent.name / "README.md").exists()


def test_the_weights_stay_under_10_mb():
    assert sum(f.stat().st_size for f in (ROOT / "voices").rglob("*.pt")) < 12e6
