"""wv-run: a .bin and a mel array in, audio and a report out.

C twin: libwavernn/tools/wv_run.c, the same command line and the same output file.

Usage: ``wv-run out.bin mels.npy -o out.wav``; ``.. | wv-run out.bin - -o - | ..``
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from wv_runtime.commands.common import Command, printable
from wv_runtime.commands.corpus import Folders, folder_options
from wv_runtime.commands.output import FORMATS, Output, Write
from wv_runtime.commands.play import player
from wv_runtime.commands.report import Latency, Report
from wv_runtime.commands.speak import Speaking
from wv_runtime.engine.registry import ABOUT, CHOICES, ENGINES, counterpart, ready_engine
from wv_runtime.engine.stream import Stream, check_temperature
from wv_runtime.engine.synth import Voice
from wv_runtime.errors import MelError, WaveRNNError
from wv_runtime.features.mel_check import check_audio, check_mels
from wv_runtime.features.mel_file import Rejoined, load_mel, raw_frames, read_mel
from wv_runtime.features.mel_format import MelFormat
from wv_runtime.model.binary import load, parse
from wv_runtime.model.weights import Model

PROGRESS_FROM_S = 5.0  # shorter audio gets no progress bar
PLAY_FRAMES = 10  # of a file that are spoken between two writes to the device
STDIN = "standard input"


@click.command("wv-run", cls=Command)
@click.argument("model_path", metavar="MODEL")
@click.argument("mel_path", metavar="MEL")
@click.option("-o", "--out", default="out.wav", show_default=True, help="File to write, 16-bit mono; - is stdout.")
@click.option("--format", "format_", type=click.Choice(sorted(set(FORMATS.values()))),
              help="Of OUT; its suffix says it if absent: .wav, .flac, .raw or .pcm. A pipe gets wav.")  # fmt: skip
@click.option("--backend", type=click.Choice(CHOICES), default="auto", show_default=True, help=ABOUT)
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=0, show_default=True)
@click.option("--temperature", type=float, default=1.0, show_default=True, help="Logits are divided by it; above 0.")
@click.option("--postfilter/--no-postfilter", default=None, help="The mel post-filter; what MODEL says if absent.")
@click.option("--isa", help="Backend c: portable, ...; the best one if absent.")
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True,
              help="That share the lanes of a Subscale voice; others take one.")  # fmt: skip
@click.option("--chunk-frames", type=click.IntRange(1, 65536), help="Stream in chunks of this many frames.")
@click.option("--play", is_flag=True, help="Play the samples as they come; OUT is written if it is given.")
@click.option("--latency", is_flag=True, help="Report the look-ahead, and the time until the first samples.")
@click.option("--rtf-limit", type=click.FloatRange(0, min_open=True), help="Fail if the real-time factor is above.")
@click.option("--verify", is_flag=True, help="Run a second engine; fail unless they give the same samples.")
@click.option("--strict", is_flag=True, help="Refuse mels and audio that are not as in training, instead of a warning.")
@click.option("--mel-format", metavar="FORMAT", help="Of MEL: log10, db, 0..1, -4..4, ..; see wv-mel --convert.")
@folder_options
@click.option("--json", "as_json", is_flag=True, help="Report as one line of JSON.")
def main(
    model_path: str,
    mel_path: str,
    out: str,
    format_: str | None,
    backend: str,
    seed: int,
    temperature: float,
    postfilter: bool | None,
    isa: str | None,
    threads: int,
    chunk_frames: int | None,
    play: bool,
    latency: bool,
    rtf_limit: float | None,
    verify: bool,
    strict: bool,
    mel_format: str | None,
    jobs: int | None,
    dask: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Turn MEL, log-mels of shape (n_mels, n_frames) in a .npy file, into audio with MODEL, a .bin of wv-export.

    MEL may be a folder of .npy files; OUT is a folder then, and gets what it lacks: a run that was stopped goes on.

    MODEL, MEL and OUT may be pipes; - is standard input or output. What comes from standard input without the header of
    a .npy is taken as frames of n_mels float32, spoken as they come. Where audio goes to stdout, the report goes to
    stderr.

    The audio depends on MODEL, MEL, --seed and --temperature alone, not on the machine.
    """
    check_temperature(temperature, "--temperature")
    if model_path == mel_path == "-":
        raise ValueError("MEL: found -, which MODEL is read from already, wanted a file")
    format_of_mel = MelFormat.parse(mel_format) if mel_format else None
    if format_of_mel and mel_path == "-":
        raise ValueError("--mel-format: found MEL -, wanted a file")
    backend = ready_engine() if backend == "auto" else backend
    engine = ENGINES[backend]
    if verify and not engine.same_samples:
        raise ValueError(f"--verify: found backend {backend}, which has samples of its own; wv-verify compares it")
    are_folders = os.path.isdir(mel_path) and Path(out).suffix.lower() not in FORMATS
    if are_folders and (verify or rtf_limit or chunk_frames or play or latency):
        raise ValueError("--verify, --rtf-limit, --chunk-frames, --play, --latency: found one of them with a "
                         "folder, wanted a file")  # fmt: skip
    folders = Folders(mel_path, out, jobs, dask, overwrite)
    folders.check(are_folders, "MEL and OUT")
    if are_folders:
        model = read_model(model_path)
        on = Voice(model, backend, isa, postfilter).postfilter
        speaking = Speaking(model, backend, isa, seed, temperature, on, format_ or "wav", strict, mel_format)
        folders.make("wv-run", speaking, engine.forks, as_json)
        return
    if play and not _is_given("out"):
        out = os.devnull
    output = Output.of(out, format_, (model_path, mel_path))
    model = read_model(model_path)
    cfg = model.config.mel
    source = Rejoined(sys.stdin.buffer) if mel_path == "-" else None
    frames = raw_frames(source, STDIN, cfg) if source and not source.starts_as_npy() else None
    mel = np.zeros((cfg.n_mels, 0), np.float32)
    if frames is None:
        load_one = format_of_mel.load if format_of_mel else load_mel
        mel = read_mel(source, STDIN, cfg) if source else load_one(mel_path, cfg)
        _check(model, mel, mel_path, strict)

    synth = Voice(model, backend, isa if engine.has_isas or not verify else None, postfilter)
    jit_s = synth.warm_up() if engine.compiles else 0.0
    live = frames is not None
    if play and not live:
        frames = (mel[:, t : t + PLAY_FRAMES] for t in range(0, mel.shape[1], PLAY_FRAMES))
    if frames is not None:
        with ExitStack() as stack:
            writes = [stack.enter_context(output.open(cfg.sample_rate))]
            if play:
                writes.append(stack.enter_context(player(cfg.sample_rate)))
            spoken = _speak_live(
                synth.open(seed, temperature, threads), frames, lambda pcm: [write(pcm) for write in writes]
            )
    else:
        spoken = _speak(synth, mel, How(seed, temperature, threads), chunk_frames)
    if live:
        _check(model, spoken.mel, mel_path, strict)
    if verify:
        _verify(model, spoken, seed, temperature, backend, isa, postfilter)
    heard = check_audio(cfg, spoken.mel, spoken.pcm)
    if heard.doubtful:
        _doubt(f"{out}: {heard}", strict)

    n_samples, compute_s = len(spoken.pcm), spoken.compute_s
    audio_s = n_samples / cfg.sample_rate
    report = Report(
        model=model_path, mel=mel_path, out=out, backend=backend, isa=synth.isa, dtype=model.matrices["R"].dtype,
        seed=seed, temperature=float(f"{temperature:.7g}"), n_frames=spoken.mel.shape[1], n_samples=n_samples,
        sample_rate=cfg.sample_rate, audio_s=audio_s, compute_s=compute_s, real_time_factor=compute_s / audio_s,
        samples_per_s=n_samples / compute_s, first_audio_s=spoken.first_audio_s, jit_s=jit_s, verified=verify,
        mels=check_mels(model, spoken.mel).cause, clipped=heard.clipped, level_db=heard.level_db,
        sha256=hashlib.sha256(spoken.pcm.astype("<i2").tobytes()).hexdigest(),
    )  # fmt: skip
    if frames is None:
        output.write(spoken.pcm, cfg.sample_rate)
    delay = Latency(synth.lookahead, cfg.hop_length / cfg.sample_rate, spoken.first_audio_s) if latency else None
    click.echo(report.json(delay) if as_json else report.text(delay), err=output.to_stdout)
    if rtf_limit and report.real_time_factor > rtf_limit:
        raise WaveRNNError(
            f"real-time factor {report.real_time_factor:.3f}, wanted at most {rtf_limit:g}: this machine is too slow"
        )


def _is_given(option: str) -> bool:
    source = click.get_current_context().get_parameter_source(option)
    return source is click.core.ParameterSource.COMMANDLINE


class How(NamedTuple):
    """What Voice.open takes."""

    seed: int
    temperature: float
    n_threads: int


class Spoken(NamedTuple):
    """mel : (n_mels, n_frames) float32    pcm : (n_samples,) int16    Durations in seconds."""

    mel: NDArray[np.float32]
    pcm: NDArray[np.int16]
    compute_s: float
    first_audio_s: float


def read_model(path: str) -> Model:
    """The model of a file, a pipe or, for -, of standard input. Raises as `load`."""
    return parse(sys.stdin.buffer.read(), STDIN) if path == "-" else load(path)


def _check(model: Model, mel: NDArray[np.float32], path: str, strict: bool) -> None:
    found = check_mels(model, mel)
    if found.doubtful:
        _doubt(f"{path}: {found}", strict)


def _doubt(message: str, strict: bool) -> None:
    if strict:
        raise MelError(message)
    click.echo(f"wv-run: warning: {printable(message)}", err=True)


def _speak(synth: Voice, mel: NDArray[np.float32], how: How, chunk_frames: int | None) -> Spoken:
    first_audio_s = _first_audio(synth, mel, how)
    start = time.perf_counter()
    pcm = _synthesize(synth, mel, how, chunk_frames)
    return Spoken(mel, pcm, time.perf_counter() - start, first_audio_s)


def _speak_live(stream: Stream, frames: Iterator[NDArray[np.float32]], write: Write) -> Spoken:
    """Write samples as soon as the frames that they need are there."""
    mels, parts, compute_s, first_audio_s = [], [np.zeros(0, np.int16)], 0.0, 0.0

    def pull() -> None:
        nonlocal compute_s, first_audio_s
        start = time.perf_counter()
        pcm = stream.pull(stream.available)
        compute_s += time.perf_counter() - start
        if len(pcm):
            first_audio_s = first_audio_s or compute_s
            write(pcm)
            parts.append(pcm)

    for mel in frames:
        mels.append(mel)
        taken = 0
        while taken < mel.shape[1]:
            taken += stream.push(mel[:, taken:])
            pull()
    stream.finish()
    pull()
    return Spoken(np.concatenate(mels, axis=1), np.concatenate(parts), compute_s, first_audio_s)


def _synthesize(synth: Voice, mel: NDArray[np.float32], how: How, chunk_frames: int | None) -> NDArray[np.int16]:
    if chunk_frames is not None:
        stream, parts, pushed = synth.open(*how), [], 0
        while pushed < mel.shape[1]:
            pushed += stream.push(mel[:, pushed : pushed + chunk_frames])
            parts.append(stream.pull(stream.available))
        stream.finish()
        return np.concatenate([*parts, stream.pull(stream.available)])
    n_samples = mel.shape[1] * synth.config.mel.hop_length
    if n_samples < PROGRESS_FROM_S * synth.config.mel.sample_rate or not sys.stderr.isatty():
        return synth(mel, how.seed, how.temperature, n_threads=how.n_threads)
    with click.progressbar(length=n_samples, label="samples", show_pos=True, file=sys.stderr) as bar:
        return synth(mel, how.seed, how.temperature, bar.update, n_threads=how.n_threads)


def _first_audio(synth: Voice, mel: NDArray[np.float32], how: How) -> float:
    """Seconds from pushing the first frame to holding its samples, in a stream of single frames."""
    start = time.perf_counter()
    stream = synth.open(*how)
    for t in range(mel.shape[1]):
        stream.push(mel[:, t : t + 1])
        if stream.available:
            break
    else:
        stream.finish()
    stream.pull(synth.config.mel.hop_length)
    return time.perf_counter() - start


def _verify(
    model: Model, spoken: Spoken, seed: int, temperature: float, backend: str, isa: str | None, postfilter: bool | None
) -> None:
    """Run a second engine too.

    Raises
    ------
    WaveRNNError
        If a sample differs.
    """
    other, pcm = counterpart(backend), spoken.pcm
    again = Voice(model, other, isa if ENGINES[other].has_isas else None, postfilter)(spoken.mel, seed, temperature)
    differs = np.flatnonzero(pcm != again)
    if len(differs):
        i = differs[0]
        raise WaveRNNError(
            f"verify: sample {i} is {pcm[i]} on {backend}, {again[i]} on {other}; {len(differs)} of {len(pcm)} differ"
        )
