"""The exception tree. A message says where, what was found, what was wanted.

    WaveRNNError
    |-- FormatError       a .bin that breaks FORMAT.md
    |-- CheckpointError   a model.pt that breaks the contract of checkpoint.py
    |-- MelError          a mel array that does not fit the model
    |-- AudioError        an audio file or folder that cannot be used
    `-- NativeError       libwavernn is missing, of another ABI, or returned a status; or there is no GPU

Bad arguments are ``ValueError``.
"""


class WaveRNNError(Exception):
    """Base of every error this project raises about data."""


class FormatError(WaveRNNError):
    """A .bin that breaks FORMAT.md; `status` is the name libwavernn gives it."""

    def __init__(self, message: str, status: str = "section"):
        super().__init__(message)
        self.status = status


class CheckpointError(WaveRNNError):
    """A model.pt that breaks the contract of checkpoint.py."""


class MelError(WaveRNNError):
    """A mel array that does not fit the model."""


class AudioError(WaveRNNError):
    """An audio file or folder that cannot be used."""


class NativeError(WaveRNNError):
    """libwavernn is missing, of another ABI, or returned a status; or there is no GPU."""
