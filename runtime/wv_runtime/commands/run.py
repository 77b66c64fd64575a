"""wv-run: a .bin and a mel array in, a WAV file and a report out.

C twin: libwavernn/tools/wv_run.c, the same command line and the same output file.

Usage: ``wv-run out.bin mels.npy -o out.wav``
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import time
from pathlib import Path

import click
import numpy as np
import soundfile
from numpy.typing import NDArray

from wv_runtime import __version__
from wv_runtime.atomic import atomic_path
from wv_runtime.commands.common import Command, printable
from wv_runtime.commands.report import Report
from wv_runtime.engine.synth import BACKENDS, Voice, check_temperature
from wv_runtime.errors import MelError, WaveRNNError
from wv_runtime.features.mel_check import check_audio, check_mels
from wv_runtime.features.mel_file import load_mel
from wv_runtime.model.binary import Model, load

PROGRESS_FROM_S = 5.0  # shorter audio gets no progress bar


@click.command("wv-run", cls=Command)
@click.argument("model_path", metavar="MODEL")
@click.argument("mel_path", metavar="MEL")
@click.option("-o", "--out", default="out.wav", show_default=True, help="WAV file to write, 16-bit mono.")
@click.option("--backend", type=click.Choice(BACKENDS), default="numba", show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=0, show_default=True)
@click.option("--temperature", type=float, default=1.0, show_default=True, help="Logits are divided by it; above 0.")
@click.option("--postfilter/--no-postfilter", default=None, help="The mel post-filter; what MODEL says if absent.")
@click.option("--isa", help="Backend c: portable, ...; the best one if absent.")
@click.option("--chunk-frames", type=click.IntRange(1, 65536), help="Stream in chunks of this many frames.")
@click.option("--rtf-limit", type=click.FloatRange(0, min_open=True), help="Fail if the real-time factor is above.")
@click.option("--verify", is_flag=True, help="Run both backends; fail unless they give the same samples.")
@click.option("--strict", is_flag=True, help="Refuse mels and audio that are not as in training, instead of a warning.")
@click.option("--json", "as_json", is_flag=True, help="Report as one line of JSON.")
@click.version_option(__version__)
def main(
    model_path: str,
    mel_path: str,
    out: str,
    backend: str,
    seed: int,
    temperature: float,
    postfilter: bool | None,
    isa: str | None,
    chunk_frames: int | None,
    rtf_limit: float | None,
    verify: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Turn MEL, log-mels of shape (n_mels, n_frames) in a .npy file, into audio with MODEL, a .bin of wv-export.

    The audio depends on MODEL, MEL, --seed and --temperature alone, not on the machine.
    """
    check_temperature(temperature, "--temperature")
    check_output(out)
    model = load(model_path)
    cfg = model.config.mel
    mel = load_mel(mel_path, cfg)
    found = check_mels(model, mel)
    if found.doubtful:
        _doubt(f"{mel_path}: {found}", strict)

    synth = Voice(model, backend, isa if backend == "c" or not verify else None, postfilter)
    jit_s = synth.warm_up() if backend != "c" else 0.0
    first_audio_s = _first_audio(synth, mel, seed, temperature)
    start = time.perf_counter()
    pcm = _synthesize(synth, mel, seed, temperature, chunk_frames)
    compute_s = time.perf_counter() - start
    if verify:
        _verify(model, pcm, mel, seed, temperature, backend, isa, postfilter)

    heard = check_audio(cfg, mel, pcm)
    if heard.doubtful:
        _doubt(f"{out}: {heard}", strict)

    audio_s = len(pcm) / cfg.sample_rate
    report = Report(
        model=model_path, mel=mel_path, out=out, backend=backend, isa=synth.isa, dtype=model.matrices["R"].dtype,
        seed=seed, temperature=float(f"{temperature:.7g}"), n_frames=mel.shape[1], n_samples=len(pcm),
        sample_rate=cfg.sample_rate, audio_s=audio_s, compute_s=compute_s, real_time_factor=compute_s / audio_s,
        samples_per_s=len(pcm) / compute_s, first_audio_s=first_audio_s, jit_s=jit_s, verified=verify,
        mels=found.cause, clipped=heard.clipped, level_db=heard.level_db,
        sha256=hashlib.sha256(pcm.astype("<i2").tobytes()).hexdigest(),
    )  # fmt: skip
    write_wav(out, pcm, cfg.sample_rate)
    click.echo(report.json() if as_json else report.text())
    if rtf_limit and report.real_time_factor > rtf_limit:
        raise WaveRNNError(
            f"real-time factor {report.real_time_factor:.3f}, wanted at most {rtf_limit:g}: this machine is too slow"
        )


def _doubt(message: str, strict: bool) -> None:
    if strict:
        raise MelError(message)
    click.echo(f"wv-run: warning: {printable(message)}", err=True)


def check_output(path: str, suffix: str = ".wav", option: str = "--out") -> None:
    """What would make writing `path` fail, before minutes are spent on what goes into it.

    Raises
    ------
    OSError
        If its folder is missing or cannot be written.
    ValueError
        If it does not end in `suffix`.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(21, "Is a directory", path)
    if target.exists() and not target.is_file():
        return  # a device or a pipe
    if target.suffix.lower() != suffix:
        raise ValueError(f"{option}: found {path}, wanted a name ending in {suffix}")
    if not target.parent.is_dir():
        raise FileNotFoundError(2, "No such file or directory", str(target.parent))
    if not os.access(target.parent, os.W_OK):
        raise PermissionError(13, "Permission denied", str(target.parent))


def write_wav(path: str, pcm: NDArray[np.int16], sample_rate: int) -> None:
    """The canonical 44-byte header and 16-bit mono PCM, whole or not at all."""
    wav = io.BytesIO()
    soundfile.write(wav, pcm, sample_rate, format="WAV", subtype="PCM_16")
    with atomic_path(path) as tmp:
        tmp.write_bytes(wav.getbuffer())


def _synthesize(
    synth: Voice, mel: NDArray[np.float32], seed: int, temperature: float, chunk_frames: int | None
) -> NDArray[np.int16]:
    if chunk_frames is not None:
        stream, parts, pushed = synth.open(seed, temperature), [], 0
        while pushed < mel.shape[1]:
            pushed += stream.push(mel[:, pushed : pushed + chunk_frames])
            parts.append(stream.pull(stream.available))
        stream.finish()
        return np.concatenate([*parts, stream.pull(stream.available)])
    n_samples = mel.shape[1] * synth.config.mel.hop_length
    if n_samples < PROGRESS_FROM_S * synth.config.mel.sample_rate or not sys.stderr.isatty():
        return synth(mel, seed, temperature)
    with click.progressbar(length=n_samples, label="samples", show_pos=True, file=sys.stderr) as bar:
        return synth(mel, seed, temperature, progress=bar.update)


def _first_audio(synth: Voice, mel: NDArray[np.float32], seed: int, temperature: float) -> float:
    """Seconds from pushing the first frame to holding its samples, in a stream of single frames."""
    start = time.perf_counter()
    stream = synth.open(seed, temperature)
    for t in range(mel.shape[1]):
        stream.push(mel[:, t : t + 1])
        if stream.available:
            break
    else:
        stream.finish()
    stream.pull(synth.config.mel.hop_length)
    return time.perf_counter() - start


def _verify(
    model: Model, pcm: NDArray[np.int16], mel: NDArray[np.float32], seed: int, temperature: float,
    backend: str, isa: str | None, postfilter: bool | None,
) -> None:  # fmt: skip
    """Run the other backend too.

    Raises
    ------
    WaveRNNError
        If a sample differs.
    """
    other = "c" if backend == "numba" else "numba"
    again = Voice(model, other, isa if other == "c" else None, postfilter)(mel, seed, temperature)
    differs = np.flatnonzero(pcm != again)
    if len(differs):
        i = differs[0]
        raise WaveRNNError(
            f"verify: sample {i} is {pcm[i]} on {backend}, {again[i]} on {other}; {len(differs)} of {len(pcm)} differ"
        )
