"""One file, one seed, one waveform: the same PCM from wv-run on Numba, wv-run on libwavernn, and wv_run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from audio_hash import audio_hash
from conftest import DATA, SUPPORT
from model_fixtures import N_FRAMES, golden_mel
from wv_runtime.commands.run import main
from wv_runtime.engine.kernels.isa import HOST_ISAS, ISA
from wv_runtime.features.mel_file import save_mel
from wv_runtime.model import binary as bin_format

pytestmark = pytest.mark.slow

# SHA-256 of the PCM of data/golden_v1_<dtype>.bin for golden_mel(), seed 7, temperature 0.7. They change only
# when the arithmetic does, which is a change of the format: see runtime/FORMAT.md.
GOLDEN = {
    "f32": "34e23f93b4617bbd05f687cec508190ff075530e9abf0f1a32e46d56a5e2ff60",
    "f16": "b80aca54d8ddfb36c4a88fe422aeb40b2a6a04e6dc96cba0ce389d1db7389cb3",
    "int8": "223071974aaa2ffd315ffcd07ca6a65314c21e2feaff357385b0e2df8ac508e7",
}


@pytest.mark.parametrize("dtype", GOLDEN)
def test_same_samples_everywhere(dtype, folder, command, wv_run):
    model_path = DATA / f"golden_v1_{dtype}.bin"
    cfg = bin_format.load(model_path).config
    save_mel("mel.npy", golden_mel(cfg.mel.n_mels), cfg.mel)
    programs = {
        "numba": lambda *a: command(main, *a, "--backend", "numba"),
        "c": lambda *a: command(main, *a, "--backend", "c"),
        "portable": lambda *a: command(main, *a, "--backend", "c", "--isa", "portable"),
        "wv_run": wv_run,
    }
    seen = {}
    for seed, temperature in [(0, 1.0), (1, 1.0), (2**64 - 1, 1.0), (7, 0.7)]:
        hashes, wavs = {}, set()
        for chunk in (["--chunk-frames", 1], ["--chunk-frames", 7], []):
            for name, run in programs.items():
                args = ["--seed", seed, "--temperature", temperature, *chunk, "-o", f"{name}.wav", "--json"]
                result = run(model_path, "mel.npy", *args)
                assert result.code == 0, result.err
                hashes[(name, *chunk)] = json.loads(result.out)["sha256"]
                wavs.add(Path(f"{name}.wav").read_bytes())
        assert len(set(hashes.values())) == len(wavs) == 1, f"seed {seed}: {hashes}"
        assert len(wavs.pop()) == 44 + 2 * N_FRAMES * cfg.mel.hop_length
        seen[seed] = hashes["numba",]
    assert len(set(seen.values())) == len(seen), "seeds must matter"
    assert seen[7] == GOLDEN[dtype]


@pytest.mark.parametrize("isa", [isa for isa in HOST_ISAS if isa != ISA])
def test_numba_on_the_other_isas_of_this_cpu(isa):
    paths = [DATA / "golden_v1_f32.bin", DATA / "golden_v3_int8.bin"]
    code = (
        "import hashlib, sys\n"
        "from model_fixtures import golden_mel\n"
        "from wv_runtime import load\n"
        "from wv_runtime.engine.kernels.isa import ISA\n"
        "for path in sys.argv[1:]:\n"
        "    voice = load(path, engine='numba')\n"
        "    pcm = voice(golden_mel(voice.config.mel.n_mels), seed=7)\n"
        "    print(ISA, hashlib.sha256(pcm.astype('<i2').tobytes()).hexdigest())\n"
    )
    environment = {**os.environ, "WV_ISA": isa, "PYTHONPATH": str(SUPPORT)}
    done = subprocess.run([sys.executable, "-c", code, *paths], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == [f"{isa} {audio_hash(path)}" for path in paths], done.stderr
