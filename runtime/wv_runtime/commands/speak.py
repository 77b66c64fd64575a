"""How wv-run makes a folder of audio of a folder of mels: streams in step in each process.

Usage: ``Corpus(Path("mels"), Path("wavs"), Speaking(model, "c", ..)).run(Jobs(2))``
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from wv_runtime.commands.corpus import Group, Made, Recipe
from wv_runtime.commands.output import FORMATS, Output
from wv_runtime.engine.registry import ENGINES
from wv_runtime.engine.synth import Voice
from wv_runtime.errors import MelError, WaveRNNError
from wv_runtime.features.mel_check import check_audio, check_mels
from wv_runtime.features.mel_file import load_mel
from wv_runtime.features.mel_format import MelFormat, find_mels
from wv_runtime.model.binary import file_bytes
from wv_runtime.model.checks import checksum
from wv_runtime.model.weights import Model


@dataclass(frozen=True)
class Speaking(Recipe):
    """What a file of audio depends on, besides its mels."""

    state_name: ClassVar[str] = ".wv-run.json"
    product: ClassVar[str] = "audio"

    model: Model = field(repr=False)
    backend: str
    isa: str | None
    seed: int
    temperature: float
    postfilter: bool
    format: str
    strict: bool
    mel_format: str | None = None

    @property
    def made_on(self) -> str:
        return self.backend

    @property
    def suffix(self) -> str:
        return next(suffix for suffix, format in FORMATS.items() if format == self.format)

    def as_state(self) -> dict[str, object]:
        """An ISA and most engines are none of it: the samples do not depend on them."""
        state: dict[str, object] = {"model": f"{checksum(file_bytes(self.model)):08x}"}
        if not ENGINES[self.backend].same_samples:
            state["backend"] = self.backend
        return state | {
            name: getattr(self, name) for name in ("seed", "temperature", "postfilter", "format", "mel_format")
        }

    def find(self, folder: Path) -> list[Path]:
        return find_mels(folder, self.mel_format is not None)

    @cached_property
    def voice(self) -> Voice:
        return Voice(self.model, self.backend, self.isa, self.postfilter)

    def make(self, group: Group) -> Iterator[Made]:
        voice = self.voice
        mels: list[NDArray[np.float32]] = []
        items, warnings = [], []
        for item in group.items:
            try:
                load = MelFormat.parse(self.mel_format).load if self.mel_format else load_mel
                mel = load(item.source, voice.config.mel)
                found = check_mels(voice.model, mel)
                if found.doubtful and self.strict:
                    raise MelError(f"{item.source}: {found}")
            except (WaveRNNError, OSError) as error:
                yield Made.failed(item.source, error)
                continue
            if item.is_made(group.began_ns):  # by a worker that was killed
                yield Made(item.source, audio_s=mel.shape[1] * voice.config.mel.hop_length / voice.sample_rate)
                continue
            mels.append(mel)
            items.append(item)
            warnings.append(str(found) if found.doubtful else "")
        for item, mel, pcm, warning in zip(items, mels, voice(mels, self.seed, self.temperature), warnings):
            try:
                heard = check_audio(voice.config.mel, mel, pcm)
                if heard.doubtful and self.strict:
                    raise MelError(f"{item.source}: {heard}")
                item.out.parent.mkdir(parents=True, exist_ok=True)
                Output(str(item.out), self.format).write(pcm, voice.sample_rate)
            except (WaveRNNError, OSError) as error:
                yield Made.failed(item.source, error)
                continue
            warning = warning or (str(heard) if heard.doubtful else "")
            yield Made(item.source, "", warning, len(pcm) / voice.sample_rate)
