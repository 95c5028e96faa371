"""A curve in one line of blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

_BLOCKS = "▁▂▃▄▅▆▇█"
_GAP = "·"


def sparkline(values: Sequence[float], width: int) -> str:
    """Values as blocks of eight heights, at most `width` of them; a dot stands for what is not finite.

    Where there are more values than columns, a column shows the mean of its values.
    """
    count = min(width, len(values))
    if count <= 0:
        return ""
    edges = [k * len(values) // count for k in range(count + 1)]
    points = [_mean(values[begin:end]) for begin, end in pairwise(edges)]
    known = [point for point in points if not math.isnan(point)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    return "".join(_GAP if math.isnan(point) else _BLOCKS[_height(point, low, high)] for point in points)


def _height(point: float, low: float, high: float) -> int:
    """Index of the block for a point between `low` and `high`."""
    # Halved: the range of huge values may be infinite. A quotient, since 1 / range may be infinite as well.
    span = high / 2 - low / 2
    return round((point / 2 - low / 2) / span * (len(_BLOCKS) - 1)) if span > 0 else 0


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return math.nan
    # Divided first: the sum of huge values may be infinite, and after rounding even that of their parts.
    return min(max(sum(value / len(known) for value in known), min(known)), max(known))
