"""Mels of other projects, turned into those that a voice takes: natural logarithms of magnitudes, (n_mels, n_frames).

    natural                          Tacotron 2, HiFi-GAN, VITS, FastSpeech 2
    log10                            ESPnet, ParallelWaveGAN
    log10,stats=FILE                 the same, normalised: FILE holds mean and deviation, (2, n_mels) or .npz of both
    log2                             of base 2
    db                               20 log10, librosa.amplitude_to_db
    0..1  -1..1  -4..4               decibels of a range, scaled: fatchord's WaveRNN has 0..1, r9y9's 0..1,ref=20,
                                     Tacotron 2 of Rayhane-mamah and Mozilla TTS -4..4,ref=20
    linear  log1p                    no logarithm; that of 1 + mel

and behind a comma: ref=DB was subtracted before scaling, range=DB is what was scaled (100), area=none says that the
bands have no area norm, stats=FILE undoes a normalisation per band. Arrays may be transposed, of a batch of one, of any
float, in .npy, .npz or .pt. Logarithms of power and other bases, rates and hops cannot be converted.

Usage: ``mel = MelFormat.parse("log10").load("feats.npy", cfg)``
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wv_runtime.errors import CheckpointError, MelError
from wv_runtime.features.mel_check import DB, LN_2, LN_10, band_edges
from wv_runtime.features.mel_file import DECIBELS_FROM, check_mel
from wv_runtime.model.config import MelConfig
from wv_runtime.model.torch_file import read_tensors

SCALES = {"0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0), "-4..4": (-4.0, 4.0)}
BASES = ("natural", "log10", "log2", "db", "linear", "log1p", *SCALES)
POWER = ("power", "db-power", "ln-power", "log10-power")
OPTIONS = ("ref", "range", "area", "stats")
SUFFIXES = (".npy", ".npz", ".pt")  # of files, better first; without a format the first alone


@dataclass(frozen=True)
class MelFormat:
    """How mels were made. ref, range : dB of scaled ones. stats : path of mean and deviation, or empty."""

    base: str = "natural"
    ref: float = 0.0
    range: float = 100.0
    area_norm: bool = True
    stats: str = ""

    @classmethod
    def parse(cls, text: str) -> MelFormat:
        """Raises ValueError, with what was found and wanted."""
        base, *parts = text.split(",")
        if base in POWER:
            raise ValueError(f"mel format: found {base}, wanted magnitudes: the mean of squares in a band does not "
                             "tell that of magnitudes; make the mels again")  # fmt: skip
        if base not in BASES:
            raise ValueError(f"mel format: found {base!r}, wanted one of {', '.join(BASES)}")
        values = dict(part.partition("=")[::2] for part in parts)
        for name, value in values.items():
            if name not in OPTIONS or not value:
                raise ValueError(f"mel format: found {name}={value}, wanted one of {', '.join(OPTIONS)} and a value")
        if base not in SCALES and not {"ref", "range"}.isdisjoint(values):
            raise ValueError(f"mel format: found ref or range with {base}, wanted one of {', '.join(SCALES)} before it")
        if values.get("area", "none") not in ("none", "slaney"):
            raise ValueError(f"mel format: found area={values['area']}, wanted none or slaney")
        ref, span = (_number(name, values.get(name, default)) for name, default in (("ref", "0"), ("range", "100")))
        if span <= 0:
            raise ValueError(f"mel format: found range={span:g}, wanted a number of dB above 0")
        return cls(base, ref, span, values.get("area", "slaney") != "none", values.get("stats", ""))

    def load(self, path: str | Path, cfg: MelConfig) -> NDArray[np.float32]:
        """Read mels for a voice that wants `cfg`.

        Returns
        -------
        mel : (n_mels, n_frames) float32, finite natural logarithms, none below the voice's floor

        Raises
        ------
        MelError
            If it is not such an array.
        OSError
            If a file cannot be read.
        """
        return self.convert(_upright(_read(path), path, cfg), cfg, path)

    def convert(self, mel: NDArray[Any], cfg: MelConfig, path: str | Path = "mel") -> NDArray[np.float32]:
        """mel : (n_mels, n_frames) of any float; as `load`"""
        x = mel.astype(np.float64)
        if not np.isfinite(x).all():
            band, frame = np.argwhere(~np.isfinite(x))[0]
            raise MelError(f"{path}: NaN or infinite at band {band}, frame {frame}")
        if self.stats:
            mean, std = _statistics(self.stats, cfg)
            x = x * std + mean
        if self.base in ("linear", "log1p"):
            if x.min() < 0:
                raise MelError(f"{path}: found {x.min():.4g}, wanted {self.base} mels of at least 0")
            x = np.log(np.maximum(np.expm1(x) if self.base == "log1p" else x, cfg.log_floor))
        elif self.base in SCALES:
            low, high = SCALES[self.base]
            if x.min() < low - 1e-3 or x.max() > high + 1e-3:
                raise MelError(f"{path}: values from {x.min():.4g} to {x.max():.4g}, wanted {self.base}")
            x = ((x - low) / (high - low) * self.range - self.range + self.ref) * DB
        else:
            x = x * {"natural": 1.0, "log10": LN_10, "log2": LN_2, "db": DB}[self.base]
        if not self.area_norm:
            e = band_edges(cfg.n_mels, cfg.fmin, cfg.fmax, False)
            x = x + np.log(2.0 / (e[2:] - e[:-2]))[:, None]
        if x.min() < DECIBELS_FROM:  # else the floor would hide it
            raise MelError(f"{path}: values from {x.min():.4g} to {x.max():.4g} nats, wanted about -11.5 to 3: the "
                           f"format is not {self.base}")  # fmt: skip
        out = np.maximum(x, math.log(cfg.log_floor)).astype(np.float32)
        check_mel(path, out, cfg)
        return out


def find_mels(folder: Path, any_format: bool) -> list[Path]:
    """The mel files below a folder, sorted, without hidden ones; of those that differ in the suffix alone the first.

    Raises
    ------
    MelError
        If there are none.
    """
    suffixes = SUFFIXES if any_format else SUFFIXES[:1]
    found = [path for path in _files_below(folder) if path.suffix in suffixes]
    by_name: dict[Path, Path] = {}
    for path in sorted(found, key=lambda path: suffixes.index(path.suffix)):
        by_name.setdefault(path.with_suffix(""), path)
    if not found:
        raise MelError(f"{folder}: found no {SUFFIXES[0]} below it, wanted mels")
    return sorted(by_name.values())


def _files_below(folder: Path) -> Iterator[Path]:
    for base, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(base, name) for name in names if not name.startswith("."))


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"mel format: found {name}={text}, wanted a number of dB")
    return value


def _read(path: str | Path) -> NDArray[Any]:
    """The array in a .npy, or the only one, or that named mel, in a .npz or .pt."""
    if str(path).endswith((".pt", ".pth")):
        try:
            return _only(path, {name: tensor.numpy() for name, tensor in read_tensors(path).items()})
        except CheckpointError as error:
            raise MelError(str(error)) from None
    try:
        with open(path, "rb") as f:
            loaded = np.load(f, allow_pickle=False)
            return loaded if isinstance(loaded, np.ndarray) else _only(path, dict(loaded))
    except (ValueError, EOFError, zipfile.BadZipFile, SyntaxError, MemoryError):
        raise MelError(f"{path}: not a .npy, .npz or .pt of numbers, wanted a mel array") from None


def _only(path: str | Path, arrays: dict[str, NDArray[Any]]) -> NDArray[Any]:
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    if "mel" in arrays:
        return arrays["mel"]
    raise MelError(f"{path}: found the arrays {', '.join(arrays) or 'none'}, wanted one, or one named mel")


def _upright(mel: NDArray[Any], path: str | Path, cfg: MelConfig) -> NDArray[Any]:
    """(n_mels, n_frames) of (n_frames, n_mels), (1, n_mels, n_frames), ..."""
    if mel.dtype.kind != "f":
        raise MelError(f"{path}: dtype {mel.dtype}, wanted floats")
    shape = mel.shape
    if mel.ndim == 3 and 1 in shape:
        mel = mel.squeeze(shape.index(1))
    if mel.ndim == 2 and mel.shape[0] != cfg.n_mels and mel.shape[1] == cfg.n_mels:
        mel = mel.T
    if mel.ndim != 2 or mel.shape[0] != cfg.n_mels:
        raise MelError(f"{path}: shape {shape}, wanted ({cfg.n_mels}, n_frames), transposed or of a batch of one")
    if mel.shape[1] == 0:
        raise MelError(f"{path}: 0 frames, wanted at least 1")
    return mel


def _statistics(path: str, cfg: MelConfig) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """mean, deviation : (n_mels, 1)"""
    try:
        with open(path, "rb") as f:
            loaded = np.load(f, allow_pickle=False)
            rows = loaded if isinstance(loaded, np.ndarray) else [loaded["mean"], loaded["scale"]]
            stats = np.asarray(rows, np.float64)
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, SyntaxError):
        raise MelError(f"{path}: not a .npy of (2, n_mels) or a .npz of mean and scale, wanted statistics") from None
    if stats.shape != (2, cfg.n_mels) or not np.isfinite(stats).all() or (stats[1] <= 0).any():
        raise MelError(f"{path}: shape {stats.shape}, wanted mean and deviations above 0, (2, {cfg.n_mels})")
    return stats[0][:, None], stats[1][:, None]
