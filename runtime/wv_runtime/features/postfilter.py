"""What the mel post-filter wants from the mel settings: to which bands a bin of the spectrum belongs.

Usage: ``band, weight = filter_tables(cfg)``
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wv_runtime.errors import WaveRNNError
from wv_runtime.features.mel import mel_basis, optional
from wv_runtime.model.config import MelConfig


def filter_tables(cfg: MelConfig) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The mel basis by bins, each of which lies between two centres of bands.

    Returns
    -------
    band : (n_bins,) int32, the band whose centre is the next below; -1 below all
    weight : (3, n_bins) float32, basis of that band and of the one above; how far the bin lies between their centres

    Raises
    ------
    WaveRNNError
        If n_fft is not a power of two, which the post-filter's FFT needs.
    """
    librosa = optional("librosa")

    if cfg.n_fft < 16 or cfg.n_fft & (cfg.n_fft - 1):
        raise WaveRNNError(f"postfilter: found n_fft {cfg.n_fft}, wanted a power of two from 16 on")
    basis = mel_basis(cfg)
    edges = librosa.mel_frequencies(cfg.n_mels + 2, fmin=cfg.fmin, fmax=cfg.fmax)
    frequency = np.arange(basis.shape[1]) * cfg.sample_rate / cfg.n_fft
    band = np.searchsorted(edges[1:-1], frequency, side="right") - 1
    padded = np.pad(basis, ((1, 1), (0, 0)))
    bins = np.arange(basis.shape[1])
    between = (frequency - edges[band + 1]) / (edges[band + 2] - edges[band + 1])
    weight = np.stack([padded[band + 1, bins], padded[band + 2, bins], np.clip(between, 0, 1)])
    return band.astype(np.int32), weight.astype(np.float32)
