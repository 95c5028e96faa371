"""From values to their place on an axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True)
class Scale:
    """The stretch of values that an axis shows.

    Attributes:
        low: at the left or the bottom.
        high: at the right or the top; larger than `low`.
        log: whether equal steps are equal ratios; `low` is positive then.
    """

    low: float
    high: float
    log: bool = False

    def fraction(self, values: Floats) -> Floats:
        """0 at `low`, 1 at `high`, beyond them outside. NaN for what has no place, as 0 on a log axis."""
        with np.errstate(all="ignore"):
            low, high = np.float64(self.low), np.float64(self.high)
            if self.log:
                low, high = np.log10(low), np.log10(high)
                values = np.log10(np.where(np.greater(values, 0), values, np.nan))
            if not np.isfinite(high - low):
                low, high, values = low / 2, high / 2, values / 2
            fraction: Floats = (values - low) / (high - low)
        return fraction

    def value(self, fraction: float) -> float:
        """What stands at a fraction of the axis."""
        if self.log:
            low, high = np.log10(self.low), np.log10(self.high)
            return float(10 ** (low + (high - low) * fraction))
        return float(self.low * (1 - fraction) + self.high * fraction)


def cells(fractions: Floats, count: int, dots: int) -> NDArray[np.intp]:
    """In which of `count` cells, each of which is `dots` dots long, fractions of an axis lie.

    What lies outside counts for the nearest cell; fractions must be finite.
    """
    found = np.clip(np.rint(fractions * (count * dots - 1)) // dots, 0, count - 1)
    return np.asarray(found, np.intp)


def cell(fraction: float, count: int, dots: int) -> int:
    """`cells` of a single fraction."""
    return int(cells(np.array(fraction), count, dots))


def spread(low: float, high: float, log: bool = False) -> Scale:
    """A scale for values from `low` to `high`, with room around them where they are all equal."""
    if high > low:
        return Scale(low, high, log)
    if log:
        return Scale(max(low / 2, 5e-324), min(high * 2, _LARGEST), True)
    room = abs(high) * 0.05 or 0.5
    return Scale(max(low - room, -_LARGEST), min(high + room, _LARGEST))
