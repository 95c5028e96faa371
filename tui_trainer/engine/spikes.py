"""Noticing that the loss jumps, by what it usually is."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass

WINDOW = 200
"""Rows of the record that tell what is usual."""
FEWEST = 50
"""Below this nothing is usual yet."""
THRESHOLD = 8.0
"""Robust standard deviations above the median that make a spike."""
BEYOND = 3.0
"""How many times as far above the median as any recent loss it must be: some losses have long tails."""


@dataclass(frozen=True)
class Spike:
    """A loss far above the usual ones.

    Attributes:
        value: the loss.
        low: the usual losses' lower quartile.
        high: their upper one.
        score: robust z-score of the value.
    """

    value: float
    low: float
    high: float
    score: float


class SpikeWatch:
    """Compares each loss with the latest ones: (loss - median) / (interquartile range / 1.349).

    That is the z-score with estimates which outliers don't move. Where outliers are usual, a spike must also
    lie far beyond them. After one as many rows as make a window pass in silence: one alert tells it, and what
    follows may be the new usual.
    """

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._sorted: list[float] = []
        self._silent = 0

    def add(self, loss: float) -> Spike | None:
        """Take a row's largest loss. Costs microseconds.

        Returns:
            The spike, if it is one.
        """
        if not math.isfinite(loss):
            return None
        self._silent = max(0, self._silent - 1)
        spike = self._judge(loss) if len(self._sorted) >= FEWEST and not self._silent else None
        if spike is not None:
            self._silent = WINDOW
        if len(self._recent) == WINDOW:
            del self._sorted[bisect_left(self._sorted, self._recent[0])]
        self._recent.append(loss)
        insort(self._sorted, loss)
        return spike

    def _judge(self, loss: float) -> Spike | None:
        count = len(self._sorted)
        low, median, high = (self._sorted[count * part // 4] for part in (1, 2, 3))
        # A loss that hardly moves has no scale of its own: a thousandth of it is nothing to speak of.
        scale = max((high - low) / 1.349, 1e-3 * abs(median), 1e-12)
        score = (loss - median) / scale
        beyond = loss - median > BEYOND * (self._sorted[-1] - median)
        return Spike(loss, low, high, score) if score > THRESHOLD and beyond else None
