"""What a model is: its network shape and its mel settings. No behaviour beyond checks.

Usage: ``cfg = WaveRNNConfig(n_units=256, mel=PRESETS["16k"])``
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


def _check(ok: bool, name: str, found: object, wanted: str) -> None:
    if not ok:
        raise ValueError(f"{name}: found {found!r}, wanted {wanted}")


@dataclass(frozen=True)
class MelConfig:
    """Log-mel settings: ``log(max(mel_basis @ |STFT|, log_floor))``, natural logarithm.

    Frame t is centred on the middle of samples [t * hop_length, (t + 1) * hop_length): the signal is
    reflect-padded by (n_fft - hop_length) / 2 on both sides (HiFi-GAN's framing).

    Raises
    ------
    ValueError
        If a value is out of range.
    """

    name: str = "16k"
    sample_rate: int = 16000  # Hz
    n_fft: int = 1024  # samples
    hop_length: int = 160  # samples
    win_length: int = 640  # samples, Hann
    n_mels: int = 80
    fmin: float = 0.0  # Hz
    fmax: float = 8000.0  # Hz
    log_floor: float = 1e-5

    def __post_init__(self) -> None:
        _check(1000 <= self.sample_rate <= 192000, "sample_rate", self.sample_rate, "1000..192000 Hz")
        _check(16 <= self.n_fft <= 16384, "n_fft", self.n_fft, "16..16384")
        _check(1 <= self.hop_length <= 4096, "hop_length", self.hop_length, "1..4096")
        _check(self.hop_length <= self.win_length <= self.n_fft, "win_length", self.win_length, "hop_length..n_fft")
        _check(1 <= self.n_mels <= 512, "n_mels", self.n_mels, "1..512")
        _check(0 <= self.fmin < self.fmax <= self.sample_rate / 2, "fmax", self.fmax, "fmin..sample_rate/2")
        _check(0 < self.log_floor < 1, "log_floor", self.log_floor, "between 0 and 1")
        _check(len(self.name.encode()) <= 31, "mel.name", self.name, "at most 31 bytes")


def _checked_fields(cls: type, prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    """`values`, if they are those of the dataclass, each of its type."""
    kinds = {f.name: str(f.type) for f in fields(cls)}
    for key in values:
        _check(key in kinds, f"{prefix}{key}", values[key], "no such key")
    for key, kind in kinds.items():
        if key not in values:
            raise ValueError(f"{prefix}{key}: found nothing, wanted it")
        found = type(values[key]).__name__
        _check(found in (("int", "float") if kind == "float" else (kind,)), f"{prefix}{key}", values[key], kind)
    return values


# 22.05 kHz is the HiFi-GAN / Tacotron 2 front end, frame for frame; the next two keep its transform (magnitude, Slaney
# mel, natural log) at 10 ms per frame, and so do the rates of telephones and studios. Then what other projects take;
# docs/howto/mels.md says which is whose.
PRESETS = {
    mel.name: mel
    for mel in (
        MelConfig("22k", 22050, 1024, 256, 1024, 80, 0.0, 8000.0),
        MelConfig("24k", 24000, 1024, 240, 960, 80, 0.0, 12000.0),
        MelConfig("16k", 16000, 1024, 160, 640, 80, 0.0, 8000.0),
        MelConfig("8k", 8000, 512, 80, 320, 80, 0.0, 4000.0),
        MelConfig("44k", 44100, 2048, 441, 1764, 100, 0.0, 22050.0),
        MelConfig("48k", 48000, 2048, 480, 1920, 100, 0.0, 24000.0),
        MelConfig("vits", 22050, 1024, 256, 1024, 80, 0.0, 11025.0),
        MelConfig("pwg-22k", 22050, 1024, 256, 1024, 80, 80.0, 7600.0),
        MelConfig("pwg-24k", 24000, 2048, 300, 1200, 80, 80.0, 7600.0),
        MelConfig("fatchord", 22050, 2048, 275, 1100, 80, 40.0, 11025.0),
        MelConfig("r9y9", 22050, 1024, 256, 1024, 80, 125.0, 7600.0),
        MelConfig("16k-200", 16000, 1024, 200, 800, 80, 0.0, 8000.0),
        MelConfig("24k-256", 24000, 1024, 256, 1024, 100, 0.0, 12000.0),
    )
}


@dataclass(frozen=True)
class WaveRNNConfig:
    """The network's shape (Kalchbrenner et al. 2018, section 2; conditioning as in train/wv_train/model.py).

    Raises
    ------
    ValueError
        If a value is out of range.
    """

    n_units: int = 256  # N, units of the GRU; the first N/2 are the coarse half of h
    n_out: int = 256  # rows of O1 and O3
    n_cond: int = 64  # channels of the conditioning network
    cond_width: int = 5  # mel frames that one conditioning frame sees (odd)
    n_sub: int = 2  # conditioning vectors per mel frame
    preemphasis: float = 0.85  # a of x_t - a x_{t-1}, undone after sampling; 0 turns it off
    lpc_order: int = 0  # of the linear prediction from the mels; 0: the network draws samples, not residuals
    # Subscale (section 4 of the paper): sample t is of lane t mod `subscale`; all lanes are drawn side by side
    subscale: int = 1
    horizon: int = 0  # steps of the future that a lane sees of the lanes before it
    lookback: int = 0  # steps of the past that a lane sees
    context: int = 0  # nearest samples of those that a lane sees which are inputs of their own
    mel: MelConfig = field(default_factory=lambda: PRESETS["16k"])

    def __post_init__(self) -> None:
        _check(64 <= self.n_units <= 8192 and self.n_units % 64 == 0, "n_units", self.n_units, "64..8192, by 64")
        _check(16 <= self.n_out <= 4096 and self.n_out % 16 == 0, "n_out", self.n_out, "16..4096, by 16")
        _check(16 <= self.n_cond <= 4096 and self.n_cond % 16 == 0, "n_cond", self.n_cond, "16..4096, by 16")
        _check(1 <= self.cond_width <= 31 and self.cond_width % 2 == 1, "cond_width", self.cond_width, "odd, 1..31")
        _check(
            1 <= self.n_sub <= 64 and self.mel.hop_length % self.n_sub == 0,
            "n_sub",
            self.n_sub,
            "1..64, a divisor of hop_length",
        )
        _check(0 <= self.lpc_order <= 64, "lpc_order", self.lpc_order, "0..64")
        lanes = self.subscale > 1
        _check(
            1 <= self.subscale <= 16 and self.sub_length % self.subscale == 0,
            "subscale",
            self.subscale,
            f"1..16, a divisor of the {self.sub_length} samples of a sub-frame",
        )
        _check(not lanes or self.lpc_order > 0, "lpc_order", self.lpc_order, "1..64 with subscale above 1")
        for name, low, high in (("horizon", 0, 64), ("lookback", 1, 64), ("context", 0, 32)):
            value = getattr(self, name)
            _check(lanes or value == 0, name, value, "0 without subscale")
            _check(not lanes or low <= value <= high, name, value, f"{low}..{high} with subscale")
        # kernels take it in float32, to which more rounds to 1: a sum that never forgets
        _check(0.0 <= self.preemphasis < 1.0 - 2.0**-25, "preemphasis", self.preemphasis, "0 up to, not including, 1")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> WaveRNNConfig:
        """The inverse of dataclasses.asdict, as model.pt stores it; an older one lacks what is in `since`.

        Raises
        ------
        ValueError
            If a key is missing or unknown, or a value is of another type or out of range.
        """
        _check(isinstance(values.get("mel"), dict), "mel", values.get("mel"), "a dict")
        mel = MelConfig(**_checked_fields(MelConfig, "mel.", values["mel"]))
        since = {"lpc_order": 0, "subscale": 1, "horizon": 0, "lookback": 0, "context": 0}
        return cls(**_checked_fields(cls, "", {**since, **values, "mel": mel}))

    @property
    def n_x(self) -> int:
        """Inputs x_t of the network: the paper's three bytes, or with linear prediction eight and the context."""
        return 8 + self.context if self.lpc_order else 3

    @property
    def n_past(self) -> int:
        """True samples before the first that a training window draws."""
        return (self.lookback + 1) * self.subscale if self.subscale > 1 else self.lpc_order + 1

    @property
    def n_future(self) -> int:
        """True samples after the last that a training window draws."""
        return self.horizon * self.subscale

    @property
    def delay(self) -> int:
        """Samples that a subscale stream comes later than its mels: while lane 0 draws a step, the last is behind."""
        return self.subscale * (self.subscale - 1) * (self.horizon + 1)

    @property
    def sub_length(self) -> int:
        """Samples that share one conditioning vector."""
        return self.mel.hop_length // self.n_sub

    def matrix_shapes(self) -> dict[str, tuple[int, int]]:
        """(rows, cols) of every matrix that is stored as block-CSR, in file order."""
        half = self.n_units // 2
        return {
            "C1": (self.n_cond, self.cond_width * self.mel.n_mels),
            "C2": (self.n_sub * self.n_cond, self.n_cond),
            "C3": (3 * self.n_units, self.n_cond),
            "R": (3 * self.n_units, self.n_units),
            "O1": (self.n_out, half),
            "O2": (256, self.n_out),
            "O3": (self.n_out, half),
            "O4": (256, self.n_out),
        }


# What model.pt stores of I* acts on I_PRECONDITION @ x_t instead of x_t, because speech is quiet: a clip at -22 dBFS
# moves c by a few levels out of 256. Row 0 is then the previous sample's amplitude times a gain (c + f/256 is the
# sample), row 2 the current coarse byte times the same gain. WaveRNN.I() and wv-export fold it back, so a .bin and
# every equation hold the paper's I* on the paper's x_t.
INPUT_GAIN = 8.0
I_PRECONDITION = ((INPUT_GAIN, INPUT_GAIN / 256, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, INPUT_GAIN))


def precondition(cfg: WaveRNNConfig) -> tuple[tuple[float, ...], ...]:
    """The matrix between model.pt's I_raw and I*: I* = I_raw @ precondition, (n_x, n_x)."""
    if not cfg.lpc_order:
        return I_PRECONDITION
    gain = [4.0] * cfg.n_x  # the inputs but f_{t-1} use a quarter of [-1, 1]
    gain[6] = 1.0
    return tuple(tuple(g if i == j else 0.0 for j in range(cfg.n_x)) for i, g in enumerate(gain))
