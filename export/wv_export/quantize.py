"""Per-row int8 weights and scales. NumPy only.

Usage: ``w, s_w = quantize_rows(dense)``, then ``dense ~ w * s_w[:, None]``
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def quantize_rows(dense: NDArray[np.floating]) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """w = round(dense / s_w) with |w[2k]| + |w[2k+1]| <= 128 in every row.

    A row's scale maps its largest pair sum |a| + |b| to 127. Rounding adds at most 1/2 to each of two
    values, so no pair exceeds 128 and no single value 127: AVX2's vpmaddubsw then never saturates
    (255 * 128 < 2^15), and NumPy, C and every ISA agree.

    dense : (rows, cols), cols even

    Returns
    -------
    w : (rows, cols) int8, zero where dense is zero
    s_w : (rows,) float64, 1 for a row of zeros (nothing above 1e-30)
    """
    d = np.asarray(dense, np.float64)
    largest = np.abs(d).reshape(len(d), -1, 2).sum(axis=2).max(axis=1)
    s_w = np.where(largest > 1e-30, largest / 127, 1.0)
    return np.rint(d / s_w[:, None]).astype(np.int8), s_w
