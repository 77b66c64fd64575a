"""How to train: the loop's settings, and where they come from: defaults, a checkpoint, a TOML file, flags.

    # speech.toml
    [model]                      # WaveRNNConfig, with `preset` for its mel settings
    preset = "24k"
    n_units = 384
    [mel]                        # MelConfig, where it is not the preset's
    hop_length = 300
    [train]                      # TrainConfig, below
    steps = 200000
    [prune]                      # PruneConfig, see prune.py
    sparsity = {R = 0.95, O = 0.9}

The shape of the network is WaveRNNConfig (wv_runtime/model/config.py). All of it ends up in the checkpoint.

Usage: ``tables = read_toml(Path("speech.toml")); cfg = make(TrainConfig, tables["train"], "speech.toml: [train]")``
"""

from __future__ import annotations

import math
import sys
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args, get_type_hints

from wv_runtime.features.mel_format import MelFormat
from wv_runtime.model.config import PRESETS, MelConfig, WaveRNNConfig

from .grow import WIDTHS
from .prune import PruneConfig, check_blocks, expand

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")
TABLES = ("model", "mel", "train", "prune")
OWN_MEL = "custom"  # name of mel settings that have none


class ConfigError(ValueError):
    """A setting that cannot be used: where, what was found, what was wanted. A fault of usage, exit code 2."""


def _setting(default: Any, low: float, high: float, about: str) -> Any:
    return field(default=default, metadata={"low": low, "high": high, "help": about})


@dataclass(frozen=True)
class TrainConfig:
    """Settings of the training loop. Every field is a flag of wv-train and a key of [train].

    Raises
    ------
    ConfigError
        If a value is out of range.
    """

    # length of the run
    steps: int = _setting(100_000, 0, 10**9, "optimizer updates; 0 is as many as fit --max-minutes")
    # batches: `batch` windows of `window` samples (the paper trains on 960), drawn anew each step
    batch: int = _setting(32, 1, 65536, "windows per update")
    window: int = _setting(960, 1, 10**6, "samples per window, rounded up to whole mel frames")
    accumulate: int = _setting(1, 1, 65536, "parts a batch is computed in: less memory for the same update")
    gain_db: float = _setting(0.0, 0.0, 40.0, "clips are made louder or softer by up to this, anew in every epoch")
    seed: int = _setting(0, 0, 2**32 - 1, "initial weights and order of the data")
    mels: str = _setting("", 0, 0, "train on the mel files beside the audio, in this format: natural, log10, ..")
    # Muon and Adam (optim.py); linear warm-up, then a half cosine from lr to lr_end
    lr: float = _setting(2e-3, 1e-8, 1.0, "peak learning rate")
    lr_end: float = _setting(5e-5, 0.0, 1.0, "learning rate of the last step")
    warmup: int = _setting(200, 0, 10**9, "steps of linear warm-up")
    clip: float = _setting(1.0, 1e-6, 1e9, "largest norm of the gradient; longer ones are scaled down")
    # fine-tuning for int8: what the runtime rounds is rounded alike, so the weights learn to live with it
    int8: bool = _setting(False, 0, 1, "compute as an int8 export does; start it from a trained model")
    distill: float = _setting(0.0, 0.0, 1.0, "share of the loss that follows --teacher, 1 if there is one")
    # validation: the beginnings of the same clips every time
    valid_every: int = _setting(500, 1, 10**9, "steps between validations")
    valid_windows: int = _setting(64, 1, 10**6, "clips of a validation, spread over the valid split")
    valid_window: int = _setting(32000, 1, 10**7, "samples of each, rounded up to whole frames")
    # output
    save_minutes: float = _setting(5.0, 0.0, 1e6, "minutes between checkpoints")
    audio_every: int = _setting(0, 0, 10**9, "steps between audio samples beside the checkpoint; 0 is never")

    def __post_init__(self) -> None:
        if self.mels:
            try:
                MelFormat.parse(self.mels)
            except ValueError as error:
                raise ConfigError(f"mels: {error}") from None
        for f in fields(self):
            if f.name == "mels":
                continue
            value, low, high = getattr(self, f.name), f.metadata["low"], f.metadata["high"]
            if not (math.isfinite(value) and low <= value <= high):
                raise ConfigError(f"{f.name}: found {value!r}, wanted {low:g}..{high:g}")

    def lr_at(self, step: int) -> float:
        """Learning rate of update `step` (the first is 0)."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        if not self.steps:  # not measured yet
            return self.lr
        progress = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        return self.lr_end + (self.lr - self.lr_end) * 0.5 * (1.0 + math.cos(math.pi * progress))


class Settings(NamedTuple):
    """Everything a checkpoint says about how it was made."""

    model: WaveRNNConfig
    train: TrainConfig
    prune: PruneConfig

    def over(self, n_steps: int, where: str) -> Settings:
        """The schedules laid over a run of n_steps.

        Raises
        ------
        ConfigError
            If pruning would not end within it; `where` opens the message.
        """
        try:
            prune = self.prune.over(n_steps)
        except ValueError as error:
            raise ConfigError(f"{where}: {error}; lower --prune-steps, or leave the schedule out") from None
        train = replace(self.train, steps=n_steps, warmup=min(self.train.warmup, n_steps // 2))
        return Settings(self.model, train, prune)

    def lasting(self, n_steps: int) -> Settings:
        """The same run with another length: its warm-up and its pruning stay, but end with it at the latest."""
        start = min(self.prune.start or 0, n_steps)
        prune = replace(self.prune, start=start, steps=min(self.prune.steps or 0, n_steps - start))
        train = replace(self.train, steps=n_steps, warmup=min(self.train.warmup, n_steps // 2))
        return Settings(self.model, train, prune)


def gather(
    config: Path | None,
    flags: dict[str, dict[str, Any]],
    before: dict[str, Any] | None,
    resuming: bool,
    timed: bool = False,
) -> Settings:
    """Defaults, then a checkpoint's settings, then the TOML file, then flags; later ones win.

    If the run is `timed` and nobody says how many steps it has, it has 0 for now: the loop measures them.

    A checkpoint to resume brings all of its settings, one to start from its network and the block shapes of its
    masks. Neither of these two can change, but for the widths of a dense network to start from, which can grow.

    Raises
    ------
    ConfigError
        If a setting cannot be used.
    """
    shape = shape_of(before) if before else {}
    mel = dict(before["config"]["mel"]) if before else {}
    merged: dict[str, dict[str, Any]] = {"model": {**shape}, "mel": {**mel}, "train": {}, "prune": {}}
    sources: list[tuple[str, dict[str, dict[str, Any]]]] = []
    pruned_by: dict[str, str] = {}  # {matrix: block shape} of the checkpoint's masks
    if before:
        earlier = make(PruneConfig, before["prune"], "checkpoint: [prune]")
        pruned_by = {name: earlier.block[name] for name in before["masks"]}
        prune = before["prune"] if resuming else {"block": pruned_by}
        train = before["train"] if resuming else {}
        sources += [("checkpoint", {"model": {}, "mel": {}, "train": train, "prune": prune})]
    sources += [(str(config), read_toml(config))] if config else []
    sources += [("options", flags)]
    for source, tables in sources:  # checked source by source, so that an error names the right one
        where = {table: source if source == "options" else f"{source}: [{table}]" for table in TABLES}
        for key, value in tables["model"].items():
            if key not in shape or value == shape[key] or key == "preset":
                continue
            at_least = "at least " if key in WIDTHS and not resuming and not pruned_by else ""
            if not at_least or value < shape[key]:
                raise ConfigError(
                    f"{where['model']}: {key}: found {value!r}, wanted {at_least}{shape[key]!r}, "
                    f"the {'pruned ' if pruned_by else ''}checkpoint's"
                )
        if mel:
            _check_mel(tables, mel, where)
        for table in TABLES:
            merged[table].update({k: v for k, v in tables[table].items() if k not in ("sparsity", "block")})
        for key in tables["prune"].keys() & {"sparsity", "block"}:  # one value for all, or by matrix
            try:
                merged["prune"][key] = {**merged["prune"].get(key, {}), **expand(tables["prune"][key])}
            except ValueError as error:
                raise ConfigError(f"{where['prune']}: {key}: {error}") from None
        settings = Settings(
            make_model_config(merged["model"], merged["mel"], where),
            make(TrainConfig, merged["train"], where["train"]),
            make(PruneConfig, merged["prune"], where["prune"]),
        )
        for name, block in pruned_by.items():
            if settings.prune.block[name] != block:
                raise ConfigError(
                    f"{where['prune']}: block of {name}: found {settings.prune.block[name]}, "
                    f"wanted {block}, the checkpoint's masks'"
                )
        try:
            check_blocks(settings.prune, settings.model)
        except ValueError as error:
            raise ConfigError(f"{where['prune']}: {error}") from None
    if timed and "steps" not in merged["train"]:
        return settings._replace(train=replace(settings.train, steps=0))
    return settings.over(settings.train.steps, "pruning") if settings.train.steps else settings


def _check_mel(tables: dict[str, dict[str, Any]], mel: dict[str, Any], where: dict[str, str]) -> None:
    """Raises ConfigError unless a preset and what [mel] changes of it, where there are any, are a checkpoint's."""
    own = {key: value for key, value in tables["mel"].items() if key in mel}  # `make` names the others
    preset = tables["model"].get("preset")
    for key, value in own.items():
        if value != mel[key]:
            raise ConfigError(f"{where['mel']}: {key}: found {value!r}, wanted {mel[key]!r}, the checkpoint's")
    base = {**asdict(PRESETS[preset]), **own, "name": mel["name"]} if preset in PRESETS else mel
    if base != mel:
        raise ConfigError(f"{where['model']}: preset: found {preset!r}, wanted {mel['name']!r}, the checkpoint's")


def shape_of(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint's network as the keys of [model]."""
    config = dict(checkpoint["config"])
    return {"preset": config.pop("mel")["name"], **config}


def read_toml(path: Path) -> dict[str, dict[str, Any]]:
    """The [model], [mel], [train] and [prune] tables of a file; absent ones are empty.

    Raises
    ------
    ConfigError
        If the file is missing, is not TOML, or has other tables.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # editors of Windows put a mark before it
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}, wanted a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: found {error}, wanted TOML") from None
    for name, table in tables.items():
        if name not in TABLES or not isinstance(table, dict):
            raise ConfigError(f"{path}: found {name!r}, wanted the tables {', '.join(f'[{t}]' for t in TABLES)}")
    return {name: tables.get(name, {}) for name in TABLES}


def make(cls: type[T], values: dict[str, Any], where: str) -> T:
    """A config dataclass from a dict; `where` opens the message of every error.

    Raises
    ------
    ConfigError
        If a key is unknown, or a value is of the wrong type or out of range.
    """
    types = get_type_hints(cls)
    for name, value in values.items():
        if name not in types:
            raise ConfigError(f"{where}: found unknown key {name!r}, wanted one of {', '.join(types)}")
        options = get_args(types[name])  # of `int | None`: int and None
        kind = options[0] if type(None) in options else types[name]
        if kind in (bool, int, float, str) and not (kind is not types[name] and value is None):
            fits = isinstance(value, (int, float) if kind is float else kind)
            if not fits or isinstance(value, bool) != (kind is bool):
                raise ConfigError(f"{where}: {name}: found {value!r}, wanted {kind.__name__}")
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


def make_model_config(values: dict[str, Any], mel: dict[str, Any], where: dict[str, str]) -> WaveRNNConfig:
    """WaveRNNConfig from [model] values, where `preset` names the mel settings, and those of [mel] that differ from it.

    Raises
    ------
    ConfigError
        As `make`, and if the preset is unknown.
    """
    keys = ["preset", *(f.name for f in fields(WaveRNNConfig) if f.name != "mel")]
    for name in values.keys() - set(keys):
        raise ConfigError(f"{where['model']}: found unknown key {name!r}, wanted one of {', '.join(keys)}")
    shape = {name: value for name, value in values.items() if name != "preset"}
    whole = {f.name for f in fields(MelConfig)} <= mel.keys()  # as a checkpoint has it
    preset = values.get("preset", WaveRNNConfig().mel.name)
    if preset not in PRESETS and not (whole and preset == mel["name"]):
        raise ConfigError(f"{where['model']}: preset: found {preset!r}, wanted one of {', '.join(PRESETS)}")
    base = {} if whole else asdict(PRESETS[preset])
    if any(base.get(name) != value for name, value in mel.items()) and "name" not in mel:
        base["name"] = OWN_MEL
    cfg = make(MelConfig, {**base, **mel}, where["mel"])
    return make(WaveRNNConfig, {**shape, "mel": cfg}, where["model"])
