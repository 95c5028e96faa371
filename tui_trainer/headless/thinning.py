"""Keeping the output of long runs short: 10,000 steps fit in 200 KB."""

from __future__ import annotations

_EVERY_EPOCH = 1000
_DENSE = 300
_PER_STRIDE = 100


def shows_epoch(epoch: int, epochs: int) -> bool:
    """Whether an epoch gets a line.

    All do, unless there are more than a thousand: then all of the first 300 and ever fewer after them, with
    strides that double (300 to 500: every second, to 900: every fourth, …), and the last.

    Args:
        epoch: from 1.
        epochs: epochs asked for; 0 where unknown.
    """
    if epoch <= _DENSE or 0 < epochs <= _EVERY_EPOCH or epoch == epochs:
        return True
    stride, end = 2, _DENSE + 2 * _PER_STRIDE
    while epoch > end:
        stride *= 2
        end += stride * _PER_STRIDE
    return epoch % stride == 0


class Allowance:
    """A budget of characters that refills with time: a burst passes, a flood does not.

    Args:
        most: characters that may be spent at once.
        per_s: characters a second that come back.
    """

    def __init__(self, most: float = 48_000, per_s: float = 16.0) -> None:
        self._most = self._left = most
        self._per_s = per_s
        self._time: float | None = None
        self._refused = 0

    def spend(self, size: int, now: float) -> bool:
        """Take `size` characters. False if there are not enough."""
        if self._time is not None:
            self._left = min(self._most, self._left + max(0.0, now - self._time) * self._per_s)
        self._time = now
        if size > self._left:
            self._refused += 1
            return False
        self._left -= size
        return True

    def refused(self) -> int:
        """How often `spend` said no since this was last asked."""
        refused, self._refused = self._refused, 0
        return refused
