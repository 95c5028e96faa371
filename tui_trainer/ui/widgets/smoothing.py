"""Exponential moving averages."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NEGLIGIBLE = 1e-4


def smooth(values: Floats, weight: float) -> Floats:
    """The moving average of `values`, debiased so that it starts at the first of them.

    Values that are not finite are left out and stay NaN in the result.

    Args:
        values: of shape (points,).
        weight: of the past, from 0 (no smoothing) to below 1.
    """
    known = np.isfinite(values)
    if not weight or not known.any():
        return values
    # Weights that fall off as a power: a short kernel holds all that counts.
    length = min(len(values), math.ceil(math.log(_NEGLIGIBLE) / math.log(weight)))
    kernel = weight ** np.arange(length)
    largest = float(np.abs(values[known]).max()) or 1.0
    total = np.convolve(np.where(known, values / largest, 0.0), kernel)[: len(values)]
    if known.all():
        share = np.full(len(values), kernel.sum())
        share[:length] = np.cumsum(kernel)
    else:
        share = np.convolve(known.astype(np.float64), kernel)[: len(values)]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known, total / share * largest, np.nan)
