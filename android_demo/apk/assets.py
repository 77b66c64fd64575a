"""What the app bundles: a voice in two dtypes, the clips as mels and recordings, and the hashes to expect.

    voices/NAME-int8.bin, NAME-f16.bin    the voice, and its checkpoint in f16 with the same temperature and post-filter
    clips/*.npy, *.wav                    from a folder of audio files, at the voice's sample rate
    words.tsv                             mel file, what is said in it (from the table in the folder's README.md)
    hashes.tsv                            voice, mel file, SHA-256 of the PCM with seed 0: the phone must give the same

Usage: ``python assets.py voices/kathleen16/voice.bin tests/data/clips build/android/assets``
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import soundfile
from wv_export import convert
from wv_runtime.engine.synth import Voice
from wv_runtime.features.mel import load_audio, log_mel
from wv_runtime.features.mel_file import save_mel
from wv_runtime.model import binary as bin_format

DTYPES = ("int8", "f16")  # the first is the one the app opens with


def main(voice: Path, clips: Path, out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    for folder in ("voices", "clips"):
        (out / folder).mkdir(parents=True)
    words, hashes = [], []
    voices = {}
    bundled = bin_format.load(voice)
    ckpt = convert.read_checkpoint(str(voice.with_name("model.pt")))
    ckpt = convert.at_temperature(ckpt, bundled.metadata["temperature"])
    for dtype in DTYPES:
        name = f"{voice.parent.name}-{dtype}.bin"
        model = replace(convert.to_model(ckpt, dtype), postfilter=bundled.postfilter)
        bin_format.save(model, out / "voices" / name)
        voices[name] = Voice(bin_format.load(out / "voices" / name), backend="c")
    said = dict(re.findall(r"^\| (\S+)\.\w+ \| .* \| (.*) \|$", (clips / "README.md").read_text(), re.M))
    cfg = next(iter(voices.values())).model.config.mel
    for path in sorted(p for p in clips.iterdir() if p.suffix in (".flac", ".wav")):
        audio = load_audio(str(path), cfg.sample_rate)
        mel = log_mel(audio, cfg)
        save_mel(out / "clips" / f"{path.stem}.npy", mel, cfg)
        soundfile.write(out / "clips" / f"{path.stem}.wav", audio, cfg.sample_rate, "PCM_16")
        words.append(f"{path.stem}.npy\t{said.get(path.stem, '')}\n")
        for name, synth in voices.items():
            pcm = synth(mel, seed=0).astype("<i2").tobytes()
            hashes.append(f"{name}\t{path.stem}.npy\t{hashlib.sha256(pcm).hexdigest()}\n")
    (out / "words.tsv").write_text("".join(words))
    (out / "hashes.tsv").write_text("".join(hashes))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: assets.py VOICE.BIN CLIPS OUT")
    main(*map(Path, sys.argv[1:]))
