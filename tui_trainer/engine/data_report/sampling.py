"""Which samples of a split are looked at, in which order, and until when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from tui_trainer.engine.data import sample_count

_GOLDEN = (5**0.5 - 1) / 2


def visits(count: int, most: int | None) -> NDArray[np.int64]:
    """At most so many of `count` indices, evenly spread, in an order whose every beginning is evenly spread.

    So whoever runs out of time has still seen something of everything.
    """
    wanted = count if most is None else min(most, count)
    chosen = np.arange(wanted) * count // max(wanted, 1)
    places = (np.arange(len(chosen)) * _GOLDEN) % 1.0
    return chosen[np.argsort(np.argsort(places))]


class Walk:
    """(index, sample) of a split as `raw_splits` gives it, while there is time; one sample in any case.

    Args:
        part: a tuple of tensors, a data set, or something that can only be iterated: of that, the first ones.
        most: so many samples at most; None: all.
        has_time: whether to go on.
        reading: is told the index of the sample that is fetched next.

    Attributes:
        samples: of the split; None where nobody knows, until they have all been seen.
        indexed: its samples can be had in any order.
        batches: what comes are batches already.
        looked_at: samples so far.
        out_of_time: it ended early.
    """

    def __init__(
        self, part: Any, most: int | None, has_time: Callable[[], bool], reading: Callable[[int], None]
    ) -> None:
        self._part, self._most, self._has_time, self._reading = part, most, has_time, reading
        self.samples = sample_count(part)
        streamed = isinstance(part, IterableDataset)
        self.indexed = isinstance(part, tuple) or (
            not streamed and self.samples is not None and hasattr(part, "__getitem__")
        )
        self.batches = not (self.indexed or streamed)
        self.looked_at = 0
        self.out_of_time = False

    @property
    def which(self) -> str:
        """ "all", "evenly spread" or "the first"."""
        if self.looked_at == self.samples:
            return "all"
        return "evenly spread" if self.indexed else "the first"

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        for index, sample in self._by_index() if self.indexed else self._in_order():
            self.looked_at += 1
            yield index, sample
            if not self._has_time():
                self.out_of_time = self.looked_at not in (self.samples, self._most)
                return
        if not self.indexed and self.looked_at != self._most:
            self.samples = self.looked_at

    def _by_index(self) -> Iterator[tuple[int, Any]]:
        part = self._part
        assert self.samples is not None
        for index in map(int, visits(self.samples, self._most)):
            self._reading(index)
            yield index, tuple(each[index] for each in part) if isinstance(part, tuple) else part[index]

    def _in_order(self) -> Iterator[tuple[int, Any]]:
        self._reading(0)
        for index, sample in enumerate(islice(iter(self._part), self._most)):
            yield index, sample
            self._reading(index + 1)
