"""mkdocs hook: the audio of docs/listen.md, made from the bundled clips by the voice and by the baselines.

Every clip is copied four times: the recording, the voice, Griffin-Lim from the same mels, WORLD from the recording.
The files are MP3 at the voice's sample rate; `PLAYERS` in the page becomes the table that plays them.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from mkdocs.structure.files import File, Files
from wv_eval.baselines import griffin_lim, world
from wv_eval.scores import pitch
from wv_runtime import load, log_mel
from wv_runtime.features.mel import load_audio

ROOT = Path(__file__).parents[2]
CLIPS = ROOT / "tests/data/clips"
PLAYERS = "<!-- players -->"
SYSTEMS = ["recording", "wavernn", "griffin-lim", "world"]


def copies(clip: Path, voice: Any) -> Iterator[np.ndarray]:
    """The audio of each of SYSTEMS, (n_samples,) float."""
    cfg = voice.config.mel
    audio = load_audio(clip, cfg.sample_rate)
    audio = audio[: len(audio) // cfg.hop_length * cfg.hop_length]
    mel = log_mel(audio, cfg)
    yield audio
    yield voice(mel) / 32768
    yield griffin_lim(mel, cfg)
    yield world(audio, cfg.sample_rate, pitch(audio.astype(np.float64), cfg.sample_rate))


def mp3(audio: np.ndarray, sample_rate: int) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, np.clip(audio, -1, 1), sample_rate, format="MP3", subtype="MPEG_LAYER_III")
    return out.getvalue()


def on_files(files: Files, config: Any) -> Files:
    voice = load(ROOT / os.environ["WV_VOICE"], "c")
    for clip in sorted(CLIPS.glob("*.flac")):
        for system, audio in zip(SYSTEMS, copies(clip, voice)):
            data = mp3(audio, voice.sample_rate)
            files.append(File.generated(config, f"audio/{clip.stem}-{system}.mp3", content=data))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    return markdown.replace(PLAYERS, players()) if page.file.src_uri == "listen.md" else markdown


def players() -> str:
    """The table of docs/listen.md: a row for each clip, a player for each system."""
    said = dict(re.findall(r"^\| (\S+)\.flac \| .* \| (.*) \|$", (CLIPS / "README.md").read_text(), re.M))
    rows = ["| | " + " | ".join(SYSTEMS) + " |", "|---" * (1 + len(SYSTEMS)) + "|"]
    for stem, words in sorted(said.items()):
        cells = [f'<audio controls preload="none" src="audio/{stem}-{s}.mp3"></audio>' for s in SYSTEMS]
        rows.append(f"| {words} | " + " | ".join(cells) + " |")
    return "\n".join(rows)
