"""The step series of a run in bounded memory, however long the run is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui_trainer.runs.reader import RunReader

Floats = NDArray[np.float64]

PLACES = ("step", "epoch", "time")
"""Columns that tell where in the run a row is. They never fall from row to row."""

_CAPACITY = 16_384
_RAW_BUCKETS, _RAW_ROWS = 2_000, 1 << 17
_LEAD = 64
"""Points before a window that come with it, so that a smoothed curve is settled where the window begins."""


@dataclass(frozen=True, eq=False)
class Curve:
    """One column over the points of a window; each array has shape (points,).

    Attributes:
        low: smallest finite value; NaN where there is none.
        high: largest finite value; NaN where there is none.
        mean: mean of the finite values; NaN where there is none.
        nonfinite: whether a value was NaN or infinite.
    """

    low: Floats
    high: Floats
    mean: Floats
    nonfinite: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Bins:
    """Sums over groups of rows; each array has shape (columns, groups)."""

    low: Floats
    high: Floats
    total: Floats
    count: NDArray[np.int64]
    nonfinite: NDArray[np.bool_]

    @classmethod
    def of_rows(cls, rows: Floats, starts: NDArray[np.intp] | None = None) -> _Bins:
        """Groups that begin at the rows `starts`; by default each row is a group."""
        finite = np.isfinite(rows)
        whole = bool(finite.all())
        low = rows if whole else np.where(finite, rows, np.inf)
        high = rows if whole else np.where(finite, rows, -np.inf)
        total = rows if whole else np.where(finite, rows, 0.0)
        count, nonfinite = finite.astype(np.int64), ~finite
        if starts is not None:
            low, high = np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)
            with np.errstate(over="ignore"):
                total = np.add.reduceat(total, starts)
            count, nonfinite = np.add.reduceat(count, starts), np.logical_or.reduceat(nonfinite, starts)
        return cls(low.T, high.T, total.T, count.T, nonfinite.T)

    @classmethod
    def empty(cls, columns: int, groups: int) -> _Bins:
        shape = (columns, groups)
        return cls(
            np.empty(shape),
            np.empty(shape),
            np.empty(shape),
            np.empty(shape, np.int64),
            np.empty(shape, bool),
        )

    def __getitem__(self, groups: slice) -> _Bins:
        return _Bins(
            self.low[:, groups],
            self.high[:, groups],
            self.total[:, groups],
            self.count[:, groups],
            self.nonfinite[:, groups],
        )

    def __or__(self, other: _Bins) -> _Bins:
        """Each group of one together with the same of the other."""
        with np.errstate(over="ignore"):
            total = self.total + other.total
        return _Bins(
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            total,
            self.count + other.count,
            self.nonfinite | other.nonfinite,
        )

    def put(self, at: int, bins: _Bins) -> None:
        """Take over groups, from group `at` on."""
        end = at + bins.low.shape[1]
        self.low[:, at:end], self.high[:, at:end] = bins.low, bins.high
        self.total[:, at:end], self.count[:, at:end] = bins.total, bins.count
        self.nonfinite[:, at:end] = bins.nonfinite


class Window:
    """The points of a stretch of the series, each of which stands for one row or for several that follow."""

    def __init__(self, columns: list[str], places: dict[str, Floats], bins: _Bins) -> None:
        self._columns = {name: at for at, name in enumerate(columns)}
        self._places = places
        self._bins = bins

    def __len__(self) -> int:
        return int(self._bins.low.shape[1])

    def place(self, name: str) -> Floats:
        """Where each point's last row is, of shape (points,), never falling; NaN without such a column."""
        return self._places.get(name, np.full(len(self), np.nan))

    def curve(self, name: str) -> Curve:
        """The values of a column. Where the record has `…_min` and `…_max` beside it, they set the range."""
        curve = self._plain(name)
        for end in ("_min", "_max"):
            if f"{name}{end}" not in self._columns:
                return curve
        low, high = self._plain(f"{name}_min"), self._plain(f"{name}_max")
        return Curve(np.fmin(curve.low, low.low), np.fmax(curve.high, high.high), curve.mean, curve.nonfinite)

    def _plain(self, name: str) -> Curve:
        at = self._columns.get(name)
        if at is None:
            nothing = np.full(len(self), np.nan)
            return Curve(nothing, nothing, nothing, np.zeros(len(self), bool))
        bins, count = self._bins, self._bins.count[at]
        some = count > 0
        low, high = np.where(some, bins.low[at], np.nan), np.where(some, bins.high[at], np.nan)
        # A total may overflow where its values don't: the mean lies between them all the same.
        mean = np.clip(bins.total[at] / np.maximum(count, 1), low, high)
        return Curve(low, high, mean, bins.nonfinite[at].copy())


class StepSeries:
    """Holds a run's step rows as at most `capacity` buckets, each of which covers `rows_per_bucket` rows.

    When all buckets are full, neighbours are merged and each covers twice as many rows. A look at a short
    stretch reads its rows back from the record, so that nothing is lost to the eye.

    Args:
        reader: of the run, for the names of the columns and for rows that are read back.
        capacity: most buckets; an even number.

    Attributes:
        columns: names, as the record has them; empty before the first row.
        rows: how many rows were appended.
        rows_per_bucket: a power of two.
    """

    def __init__(self, reader: RunReader, capacity: int = _CAPACITY) -> None:
        self._reader = reader
        self._capacity = capacity
        self.clear()

    def clear(self) -> None:
        """Forget everything: the record was replaced."""
        self.columns: list[str] = []
        self.rows = 0
        self.rows_per_bucket = 1
        self._bins = _Bins.empty(0, 0)
        self._first: dict[str, Floats] = {}
        self._last: dict[str, Floats] = {}
        self._held = (0, np.empty((0, 0)))

    def __len__(self) -> int:
        """Number of buckets."""
        return -(-self.rows // self.rows_per_bucket)

    @property
    def size(self) -> int:
        """Bytes that the series holds."""
        bins = self._bins
        places = [*self._first.values(), *self._last.values()]
        arrays = [bins.low, bins.high, bins.total, bins.count, bins.nonfinite, self._held[1], *places]
        return sum(array.nbytes for array in arrays)

    def append(self, rows: Floats) -> None:
        """Take up the next rows of the record, of shape (rows, columns)."""
        if not len(rows):
            return
        if not self.columns:
            self._begin()
        if rows.shape[1] != len(self.columns):
            return
        while len(rows):
            if self.rows == self._capacity * self.rows_per_bucket:
                self._merge()
            room = self._capacity * self.rows_per_bucket - self.rows
            self._add(rows[:room])
            rows = rows[room:]

    def window(self, place: str, start: float = -math.inf, stop: float = math.inf) -> Window:
        """The points between two places, and a few before and after them.

        Args:
            place: one of `PLACES`.
            start: in the unit of that column.
            stop: likewise.
        """
        used = len(self)
        if place not in self._last or not used:
            return Window(self.columns, {}, _Bins.empty(len(self.columns), 0))
        first = int(np.searchsorted(_rising(self._last[place][:used]), start, "left"))
        last = int(np.searchsorted(_rising(self._first[place][:used]), stop, "right"))
        per, shown = self.rows_per_bucket, max(0, last - first)
        last = min(used, last + 1)
        if per > 1 and shown < min(_RAW_BUCKETS, _RAW_ROWS // per):
            begin, end = max(0, first - -(-_LEAD // per)) * per, min(last * per, self.rows)
            rows = self._read(begin, end)
            if len(rows) == end - begin:
                places = {name: _rising(rows[:, at]) for name, at in self._place_columns()}
                return Window(self.columns, places, _Bins.of_rows(rows))
        self._held = (0, np.empty((0, 0)))
        buckets = slice(max(0, first - _LEAD), last)
        places = {name: _rising(values[:used])[buckets] for name, values in self._last.items()}
        return Window(self.columns, places, self._bins[buckets])

    def _begin(self) -> None:
        self.columns = self._reader.columns()
        self._bins = _Bins.empty(len(self.columns), self._capacity)
        self._first = {name: np.empty(self._capacity) for name, _ in self._place_columns()}
        self._last = {name: np.empty(self._capacity) for name, _ in self._place_columns()}

    def _place_columns(self) -> list[tuple[str, int]]:
        return [(name, self.columns.index(name)) for name in PLACES if name in self.columns]

    def _add(self, rows: Floats) -> None:
        """Rows for which there is room."""
        per, at = self.rows_per_bucket, self.rows // self.rows_per_bucket
        begun = self.rows - at * per
        starts = np.maximum(np.arange(-begun, len(rows), per), 0)
        ends = np.minimum(starts + per, len(rows)) - 1
        if begun:
            ends[0] = min(per - begun, len(rows)) - 1
        bins = _Bins.of_rows(rows, None if per == 1 else starts)
        if begun:
            bins.put(0, bins[:1] | self._bins[at : at + 1])
        self._bins.put(at, bins)
        for name, column in self._place_columns():
            fresh = 1 if begun else 0
            self._first[name][at + fresh : at + len(starts)] = rows[starts[fresh:], column]
            self._last[name][at : at + len(starts)] = rows[ends, column]
        self.rows += len(rows)

    def _merge(self) -> None:
        bins, half = self._bins, self._capacity // 2
        bins.put(0, bins[0::2] | bins[1::2])
        for name in self._last:
            self._first[name][:half] = self._first[name][0::2].copy()
            self._last[name][:half] = self._last[name][1::2].copy()
        self.rows_per_bucket *= 2

    def _read(self, start: int, stop: int) -> Floats:
        """Rows from the record. What overlaps with the last call is not read again."""
        begin, held = self._held
        end = begin + len(held)
        if not begin <= start <= end or held.shape[1:] != (len(self.columns),):
            begin, end, held = start, start, np.empty((0, len(self.columns)))
        if stop > end:
            more = self._reader.steps(end, stop)
            if more.shape[1:] != held.shape[1:]:
                return np.empty((0, len(self.columns)))
            begin, held = start, np.concatenate([held[start - begin :], more])
        self._held = (begin, held)
        return held[start - begin : stop - begin]


def _rising(places: Floats) -> Floats:
    # A clock may be set back, and a row may lack a value.
    rising: Floats = np.fmax.accumulate(places)
    return rising
