"""Which samples each lane of a subscale model sees (Kalchbrenner et al. 2018, section 4).

Sample t = B i + s is step i of lane s, B = cfg.subscale. A lane sees its own past and, of the lanes before it, the past
and up to `horizon` steps of the future; nothing further back than `lookback` steps; never a later lane. The nearest
lpc_order of these enter its linear estimate of the sample.
C twin: libwavernn/core/derive.c

Usage: ``neighbours(cfg)[s]`` are the offsets d of the samples t + d that lane s reads at t
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from wv_runtime.model.config import WaveRNNConfig


@lru_cache(maxsize=8)
def neighbours(cfg: WaveRNNConfig) -> tuple[NDArray[np.int64], ...]:
    """Of each lane: offsets from t, the nearest first, of two as near the past first; at most lpc_order."""
    B, lists = cfg.subscale, []
    for lane in range(B):
        offsets = []
        for distance in range(1, (max(cfg.lookback, cfg.horizon) + 1) * B):
            for d in (-distance, distance):
                other, steps = (lane + d) % B, (lane + d) // B
                seen = d < 0 if other == lane else other < lane and steps <= cfg.horizon
                if seen and steps >= -cfg.lookback:
                    offsets.append(d)
        lists.append(np.array(offsets[: cfg.lpc_order], np.int64))
    return tuple(lists)


def n_lags(cfg: WaveRNNConfig) -> int:
    """Largest lag of the autocorrelation that the linear estimates need: M has one row more."""
    if cfg.subscale == 1:
        return cfg.lpc_order
    return max(int(max(d.max(), 0) - min(d.min(), 0)) for d in neighbours(cfg))
