"""wv-eval: what it says of a tiny model and of the bundled voice; its scores of a recording against itself."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import DATA, ROOT
from model_fixtures import tiny_config, tiny_model
from wv_runtime.engine.nll import nll
from wv_runtime.features.mel import load_audio, log_mel
from wv_runtime.features.samples import true_samples
from wv_runtime.model import binary as bin_format

pytest.importorskip("librosa")

from wv_eval import baselines, evaluate, report, scores  # noqa: E402
from wv_eval.cli import main  # noqa: E402

pytestmark = pytest.mark.slow

CLIPS = sorted((DATA / "clips").glob("*.flac"))
TEXT = {"arctic_a0281": "I do not blame you for anything; remember that."}
LIBRARIES = {key: library for library, keys in scores.NEEDS.items() for key in keys}
MEAN = {"nll_nats", "bits_per_sample", "nll_coarse", "nll_fine", "jump_ratio_max", *scores.KEYS}


@pytest.fixture
def speech(folder):
    """The folder with tiny.bin; data/ holds 1 s of two bundled clips and a table that gives one of them a text."""
    (folder / "data").mkdir()
    rows = ["id\tsplit\ttext"]
    for clip in CLIPS[:2]:
        audio, rate = soundfile.read(clip)
        soundfile.write(folder / f"data/{clip.stem}.flac", audio[rate // 2 : 3 * rate // 2], rate)
        rows.append(f"{clip.stem}\ttest\t{TEXT.get(clip.stem, '')}")
    (folder / "data/split.tsv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def recording():
    """3.4 s at 16 kHz."""
    return load_audio(CLIPS[0], 16000)


def installed(key: str) -> bool:
    return key not in LIBRARIES or scores.available(LIBRARIES[key])


def test_json_and_page(speech, command):
    done = command(main, "tiny.bin", "--data", "data", "--json", "--html", "a.html", "--long", "3")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert set(result["mean"]) == MEAN and list(result["baselines"]) == ["griffin_lim", "world", "mu_law"]
    assert [c["id"] for c in result["clips"]] == ["arctic_a0281", "arctic_b0024"]
    assert result["n_clips"] == 2 and result["audio_s"] == 2.0
    for entry in (result["mean"], *result["clips"]):
        assert entry["nll_nats"] == pytest.approx(entry["nll_coarse"] + entry["nll_fine"], abs=2e-6)
        assert entry["bits_per_sample"] == pytest.approx(entry["nll_nats"] / math.log(2), abs=2e-6)
    for entry in (*result["baselines"].values(), *(b for c in result["clips"] for b in c["baselines"].values())):
        assert set(entry) == set(scores.KEYS)
    assert result["mean"]["stoi"] == pytest.approx(np.mean([c["stoi"] for c in result["clips"]]), abs=1e-5)
    # only the clip with a text has word errors of its own
    assert [c["wer_ref"] is None for c in result["clips"]] == [not installed("wer_ref"), True]
    assert result["long"]["seconds"] == 3.0
    page = Path("a.html").read_text()
    assert page.count("<audio") == page.count("<img") == 2 * 5 and "http" not in page
    assert not [p for p in Path().iterdir() if p.name.startswith(".")]


@pytest.mark.skipif(not installed("wer_ref"), reason="no pocketsphinx")
@pytest.mark.parametrize(("text", "doubt"), [(TEXT["arctic_a0281"], False), ("Nun verfolgten sie die Römer.", True)])
def test_word_errors_of_another_language_are_doubted(folder, command, text, doubt):
    Path("data").mkdir()
    Path("data/a.flac").write_bytes(CLIPS[0].read_bytes())
    Path("data/split.tsv").write_text(f"id\tsplit\ttext\na\ttest\t{text}\n")
    done = command(main, "tiny.bin", "--data", "data", "--no-baselines")
    assert "words %: of the recordings themselves" in done.out and ("not English?" in done.out) == doubt


def test_processes_and_backends_change_nothing(speech, command):
    common = ("tiny.bin", "--data", "data", "--json", "--no-baselines", "--no-asr", "--seed", 5, "--temperature", 0.8)
    one, two, numba = (json.loads(command(main, *common, *more).out)
                       for more in ((), ("--jobs", 2), ("--backend", "numba")))  # fmt: skip
    assert one == two and one["baselines"] == {} and one["mean"]["wer_out"] is None
    assert one["clips"] == numba["clips"]
    other = json.loads(command(main, *common, "--seed", 6).out)
    assert other["mean"]["nll_nats"] == one["mean"]["nll_nats"] and other["mean"]["mrstft"] != one["mean"]["mrstft"]


def test_several_seeds_are_averaged(speech, command):
    common = ("tiny.bin", "--data", "data", "--json", "--no-baselines", "--no-asr")
    five, six, both = (json.loads(command(main, *common, *more).out)
                       for more in (("--seed", 5), ("--seed", 6), ("--seed", 5, "--seeds", 2)))  # fmt: skip
    a, b = five["mean"]["mrstft"], six["mean"]["mrstft"]
    assert both["mean"]["mrstft"] == pytest.approx((a + b) / 2, abs=2e-6) and both["n_seeds"] == 2
    assert both["seed_sd"]["mrstft"] == pytest.approx(abs(a - b) / 2**0.5, abs=2e-6) and "seed_sd" not in five
    assert both["mean"]["nll_nats"] == five["mean"]["nll_nats"]
    assert "sd by seed" in command(main, *common[:3], *common[4:], "--seeds", 2).out


def test_finished_copies_are_scored_beside_the_model(speech, command):
    """The recordings as copies are perfect; what is paired is the model minus them."""
    done = command(main, "tiny.bin", "--data", "data", "--json", "--no-baselines", "--no-asr", "--compare", "same=data")
    report = json.loads(done.out)
    assert report["baselines"]["same"]["mrstft"] == 0 and report["baselines"]["same"]["jump_ratio"] == 1
    mean, half = report["differences"]["same"]["mrstft"]
    assert mean == pytest.approx(report["mean"]["mrstft"], abs=1e-5) and half > 0
    assert report["effective_temperature"] == report["built_in_temperature"] == 1


@pytest.mark.parametrize("text", ["data", "=data", "same=nowhere", "model=data"])
def test_copies_that_cannot_be_used(speech, command, text):
    done = command(main, "tiny.bin", "--data", "data", "--compare", text)
    assert done.code == 2 and done.err.strip().splitlines()[-1].endswith("a new name and an existing folder")


def test_a_missing_copy_is_named_before_the_first_clip(speech, command):
    last = sorted(Path("data").glob("*.flac"))[-1]
    shutil.copytree("data", "copies")
    Path("copies", last.name).unlink()
    done = command(main, "tiny.bin", "--data", "data", "--compare", "peer=copies")
    assert done.code == 1 and f"copies: found no {last.stem}.wav or .flac" in done.err and "clips:" not in done.err


def test_table(speech, command):
    done = command(main, "tiny.bin", "--data", "data", "--clips", 1, "--long", 1, "--no-asr")
    lines = done.out.splitlines()
    assert "1 clips, 1.0 s of data, test" in lines[0] and lines[1].startswith("NLL ")
    assert [line.split()[0] for line in lines[4:8]] == ["model", "Griffin-Lim", "WORLD", "8-bit"]
    assert len([line for line in lines if line.startswith("  ") and (" pass " in line or " FAIL " in line)]) == 3


def test_the_folder_without_a_table_is_evaluated_whole(speech, command):
    Path("data/split.tsv").unlink()
    done = command(main, "tiny.bin", "--data", "data", "--json", "--split", "all", "--no-baselines", "--no-asr")
    assert json.loads(done.out)["n_clips"] == 2


# Likelihood


def test_likelihood_is_torch_s():
    torch = pytest.importorskip("torch")
    from wv_export.convert import read_checkpoint, to_model
    from wv_train.checkpoint import load_model
    from wv_train.model import cross_entropy

    voice = ROOT / "voices/kathleen16/model.pt"
    net, _ = load_model(voice)
    audio = load_audio(CLIPS[1], 16000)
    samples, mel = true_samples(audio, net.cfg), log_mel(audio, net.cfg.mel)
    padded = np.pad(mel, [(0, 0), (2, 2)], mode="edge")
    inputs = [torch.from_numpy(a[None]) for a in (np.pad(samples, (net.cfg.n_past - 1, 0)), padded)]
    with torch.no_grad():
        logits = net.eval()(*inputs)
    wanted = [cross_entropy(l, b).item() for l, b in zip(logits, net.inputs(*inputs)[1])]
    found = nll(to_model(read_checkpoint(voice), "f32"), samples, mel)
    assert found.shape == (len(samples) - 1, 2)
    np.testing.assert_allclose(found.mean(axis=0), wanted, atol=2e-5)
    assert found.mean(axis=0).sum() < 6.5  # a real voice on real speech; 11.1 is a uniform guess


def test_likelihood_of_chunks_is_that_of_the_whole():
    cfg = tiny_config()
    audio = (0.1 * np.random.default_rng(0).standard_normal(5000)).astype(np.float32)
    mel = np.zeros((8, 250), np.float32)
    samples = true_samples(audio, cfg)
    assert len(samples) == 5001 and samples[0] == 0
    whole = nll(tiny_model(cfg=cfg), samples, mel)
    np.testing.assert_array_equal(whole[:4000], nll(tiny_model(cfg=cfg), samples[:4001], mel))


# Scores


def test_a_recording_against_itself_is_perfect(recording):
    found = scores.Scorer(recording, 16000, TEXT["arctic_a0281"])(recording)
    wanted = dict(pesq_wb=4.644, stoi=1, mcd_db=0, mrstft=0, f0_rmse_hz=0, f0_gross_pct=0, vuv_err_pct=0, wer_out=0,
                  wer_ref=0, jump_ratio=1, rms_db=0,
                  p808=3.654, sig=3.622, ovrl=3.313, level_sd=0, hnr_1_2k=7.128, hnr_2_3k=3.625)  # fmt: skip
    assert found == pytest.approx({k: v if installed(k) else None for k, v in wanted.items()}, abs=1e-3)


def test_noise_costs_scores(recording):
    noise = np.random.default_rng(0).standard_normal(len(recording))
    score = scores.Scorer(recording, 16000, asr=False)
    a, b = (score(recording + level * noise) for level in (0.003, 0.03))
    for key in ("stoi", "pesq_wb"):
        assert not installed(key) or 1 > b[key] / a[key] > 0.2
    for key in ("mcd_db", "mrstft", "vuv_err_pct", "jump_ratio", "rms_db"):
        assert not installed(key) or 0 < a[key] < b[key]


def test_a_click_is_a_jump(recording):
    clicked = recording.copy()
    clicked[20000] += 1
    assert scores.Scorer(recording, 16000, asr=False)(clicked)["jump_ratio"] > 2


def test_silence_and_short_audio_score_none_not_a_crash(recording):
    score = scores.Scorer(recording[16000:32000], 16000)
    silent = score(np.zeros(16000))
    assert silent["f0_rmse_hz"] is None and silent["pesq_wb"] is None and silent["rms_db"] is None
    assert silent["jump_ratio"] == 0
    short = scores.Scorer(np.zeros(800), 16000, asr=False)(np.zeros(800))
    assert set(short) == set(scores.KEYS) and short["jump_ratio"] is None


def test_a_missing_library_is_one_line_and_none(speech, command, monkeypatch):
    monkeypatch.setattr(scores, "available", lambda library: library not in ("pesq", "pyworld"))
    done = command(main, "tiny.bin", "--data", "data", "--json", "--clips", 1, "--no-asr")
    assert done.code == 0
    assert [line.split(" cannot")[0] for line in done.err.splitlines()] == ["wv-eval: pesq", "wv-eval: pyworld"]
    result = json.loads(done.out)
    assert "world" not in result["baselines"]
    assert {k for k in scores.KEYS if result["mean"][k] is None} >= {"pesq_wb", "mcd_db", "vuv_err_pct", "wer_out"}


def test_word_errors():
    assert scores.words("Mr. Philip\u2019s 'quoted' don't -- Stop!") == "mr philip's quoted don't stop"
    assert scores.word_errors("a b c d", "a b c d") == 0
    assert scores.word_errors("a b c d", "a x c") == 50  # one wrong, one left out
    assert scores.word_errors("a b", "a b c d e f") == 200
    assert scores.word_errors("a b", "") == 100


def test_warped_cepstrum_is_the_spectrum_on_a_bent_axis():
    c, alpha = np.array([0.3, -0.7, 0.2, 0.1]), 0.42
    omega = np.linspace(0.1, 3, 7)
    bent = omega + 2 * np.arctan(alpha * np.sin(omega) / (1 - alpha * np.cos(omega)))
    warped = c @ scores.warping(4, 60, alpha)
    spectrum = np.exp(-1j * np.outer(omega, np.arange(4))) @ c
    np.testing.assert_allclose(np.exp(-1j * np.outer(bent, np.arange(60))) @ warped, spectrum, atol=1e-9)


# Means


def test_likelihoods_are_means_over_samples_and_scores_over_clips():
    def result(nll, n_samples, jump, **known):
        score = dict.fromkeys(scores.KEYS) | known
        clip = evaluate.Clip("a", Path("a.wav"), "")
        return evaluate.Result(clip, nll, n_samples, jump, {"model": score, "mu_law": score}, [score], {})

    results = [
        result((1.0, 4.0), 100, (0.5, 0.4), stoi=0.8, pesq_wb=2.0),
        result((2.0, 5.0), 300, (0.2, 0.1), stoi=0.9),
    ]
    found = evaluate.means(results)
    assert [found["mean"][k] for k in ("nll_coarse", "nll_fine", "nll_nats")] == [1.75, 4.75, 6.5]
    assert found["mean"]["jump_ratio_max"] == 1.25
    assert found["baselines"]["mu_law"]["stoi"] == pytest.approx(0.85)
    assert found["mean"]["pesq_wb"] == 2.0 and found["mean"]["mcd_db"] is None


# Baselines


def test_baselines_copy_the_clip(recording):
    from wv_runtime.model.config import PRESETS

    cfg = PRESETS["16k"]
    mel = log_mel(recording, cfg)
    recording = recording[: mel.shape[1] * cfg.hop_length]
    score = scores.Scorer(recording, 16000, asr=False)
    copy = baselines.griffin_lim(mel, cfg)
    assert score(copy)["stoi"] > 0.95 and score(np.roll(copy, 160))["stoi"] < score(copy)["stoi"]  # in step
    np.testing.assert_array_equal(copy, baselines.griffin_lim(mel, cfg))
    assert score(baselines.mu_law(recording))["stoi"] > 0.99
    assert len(np.unique(baselines.mu_law(np.linspace(-2, 2, 200000)))) == 256
    if scores.available("pyworld"):
        assert score(baselines.world(recording, 16000, scores.pitch(recording.astype(float), 16000)))["stoi"] > 0.9


# The long synthesis


@pytest.mark.parametrize(("fault", "verdict"), [("click", "click_free"), ("loud", "no_runaway"),
                                                ("quiet", "no_runaway"), ("stuck", "no_dead_end")])  # fmt: skip
def test_long_synthesis_sees(fault, verdict, speech, monkeypatch):
    """A copy that is the recording, but for one fault in its third second."""
    bin_format.save(tiny_model(), "tiny.bin")
    evaluator, clips = evaluate.Evaluator(evaluate.Settings("tiny.bin")), evaluate.find_clips(Path("data"), "test")
    audio = np.tile(np.concatenate([evaluator.speech(clip)[0] for clip in clips]), 2)

    def copy(mel, progress):
        faulty = audio[: mel.shape[1] * 20].copy()
        third = slice(32000, 48000)
        if fault == "click":
            faulty[40000] = faulty[39999] + 1.6 * scores.largest_jump(audio)
        elif fault == "loud":
            faulty[third] *= 2.1
        elif fault == "quiet":
            faulty[third] /= 2.1
        else:
            faulty[40000:42000] = faulty[40000]
        return faulty

    monkeypatch.setattr(evaluator, "copy", lambda mel, progress: audio)
    fine = evaluate.long_synthesis(evaluator, clips, 4)
    assert fine["jump_ratio"] == pytest.approx(1) and fine["rms_db_max"] == pytest.approx(0)
    verdicts = {"click_free", "no_runaway", "no_dead_end"}
    assert all(fine[v] for v in verdicts)
    monkeypatch.setattr(evaluator, "copy", copy)
    bad = evaluate.long_synthesis(evaluator, clips, 4)
    assert not bad[verdict] and "FAIL" in "\n".join(report._long(bad))


# Errors


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("none.bin", "--data", "data"), 1, "none.bin: No such file or directory"),
        (("data/split.tsv", "--data", "data"), 1, "data/split.tsv: "),
        (("tiny.bin", "--data", "nowhere"), 1, "nowhere: found nothing, wanted a folder"),
        (("tiny.bin", "--data", "data", "--split", "valid"), 1, "data/split.tsv: found no valid clip, wanted some"),
        (("tiny.bin", "--data", "data", "--temperature", "0"), 2, "temperature: found 0.0, wanted a number from"),
        (("tiny.bin", "--data", "data", "--html", "a.txt"), 2, "--html: found a.txt, wanted a name ending in .html"),
        (("tiny.bin", "--data", "data", "--html", "no/a.html"), 1, "no: No such file or directory"),
        (("tiny.bin",), 2, "Missing option '--data'."),
    ],
)
def test_errors(args, code, says, speech, command):
    done = command(main, *args)
    assert (done.code, done.out) == (code, "") and says in done.err and len(done.err.splitlines()) == 1


def test_a_bad_clip_is_one_line_and_no_page(speech, command):
    Path("data/arctic_b0024.flac").write_bytes(b"no audio")
    done = command(main, "tiny.bin", "--data", "data", "--html", "a.html", "--jobs", 2, "--no-asr")
    assert done.code == 1 and done.err.startswith("wv-eval: error: data/arctic_b0024.flac: ")
    assert not Path("a.html").exists()


def test_a_folder_without_a_table_needs_split_all(speech, command):
    Path("data/split.tsv").unlink()
    done = command(main, "tiny.bin", "--data", "data")
    assert done.code == 1 and "data/split.tsv: found no such file, wanted one" in done.err
    soundfile.write("data/a.wav", np.zeros(5), 16000)
    done = command(main, "tiny.bin", "--data", "data", "--split", "all", "--no-asr", "--no-baselines")
    assert done.code == 1 and "data/a.wav: found 5 samples, wanted a frame (20)" in done.err
