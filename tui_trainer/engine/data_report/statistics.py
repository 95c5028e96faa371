"""Means, spreads, values and lengths of one part, gathered sample by sample in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_trainer.engine.data_report.facts import Lengths, PartFacts, Summary
from tui_trainer.engine.data_report.parts import Part

MOST_COLUMNS = 200
"""Vectors that are longer have no statistics of each column."""
MOST_VALUES = 1000
"""Values that are counted one by one; where there are more, none is."""
FEW_VALUES = 50
"""The same, for a part that is no target, or of which a sample has many: others are no classes."""

_SHOWN_SHAPES = 5
_BINS = 16
_PENDING = 1 << 20
_LONGEST_VALUE = 100


class Moments:
    """Count, mean, spread and range of columns; NaN and infinite numbers are counted apart.

    Merges pieces by Chan's formula, so that large means cost no digits.

    Args:
        columns: how many.
    """

    def __init__(self, columns: int) -> None:
        self._rows = 0
        self._nan, self._infinite, self._n = (np.zeros(columns, np.int64) for _ in range(3))
        self._mean, self._squares = np.zeros(columns), np.zeros(columns)
        self._min, self._max = np.full(columns, np.inf), np.full(columns, -np.inf)

    def add(self, values: NDArray[Any]) -> None:
        """Take in float64 [rows, columns]."""
        if not len(values):
            return
        finite = np.isfinite(values)
        nan = np.isnan(values).sum(0)
        n = finite.sum(0)
        kept = values if finite.all() else np.where(finite, values, 0.0)
        mean = kept.sum(0) / np.maximum(n, 1)
        squares = (np.where(finite, kept - mean, 0.0) ** 2).sum(0)
        low = np.where(finite, values, np.inf).min(0)
        self._min = np.minimum(self._min, low)
        self._max = np.maximum(self._max, np.where(finite, values, -np.inf).max(0))
        total = np.maximum(self._n + n, 1)
        apart = mean - self._mean
        self._squares += squares + apart**2 * self._n * n / total
        self._mean += apart * n / total
        self._rows += len(values)
        self._n += n
        self._nan += nan
        self._infinite += len(values) - n - nan

    def summaries(self) -> list[Summary]:
        """One for each column."""
        return [self._summary(column) for column in range(len(self._n))]

    def _summary(self, column: int) -> Summary:
        n = int(self._n[column])
        numbers = (self._mean[column], (self._squares[column] / max(n, 1)) ** 0.5)
        mean, std = map(float, numbers) if n else (None, None)
        low, high = (float(self._min[column]), float(self._max[column])) if n else (None, None)
        counts = (self._rows, int(self._nan[column]), int(self._infinite[column]))
        return Summary(*counts, mean, std, low, high)


class Collector:
    """Gathers one part of a split's samples.

    Args:
        name: of the part.
        target: whether the model is to give it.
    """

    def __init__(self, name: str, target: bool) -> None:
        self._name, self._target = name, target
        self._kinds: Counter[str] = Counter()
        self._dtypes: Counter[str] = Counter()
        self._shapes: Counter[tuple[int, ...]] = Counter()
        self._lengths: Counter[int] = Counter()
        self._values: Counter[Any] | None = Counter()
        self._whole = Moments(1)
        self._columns: Moments | None = None
        self._widths: set[int] = set()
        self._pending: list[NDArray[Any]] = []
        self._pending_size = 0
        self._first: Any = None
        self._identical = True

    def add(self, part: Part) -> None:
        """Take in one sample's part."""
        value, seen = part.value, self._kinds.total()
        kind = _kind(value)
        self._kinds[kind] += 1
        if kind != "missing":
            self._dtypes[part.dtype] += 1
        if seen == 0:
            self._first = value
        elif self._identical:
            self._identical = _same(self._first, value)
        if kind == "numbers":
            self._shapes[value.shape] += 1
            if value.ndim:
                self._lengths[value.shape[0]] += 1
            self._pending.append(value)
            self._pending_size += value.size
            if self._pending_size >= _PENDING:
                self._flush()
        elif kind == "text":
            self._lengths[len(value)] += 1
            if self._values is not None:
                self._count([(value[:_LONGEST_VALUE], 1)])

    def _flush(self) -> None:
        pending, self._pending, self._pending_size = self._pending, [], 0
        if not pending:
            return
        alike = len({array.shape for array in pending}) == 1
        whole = np.stack(pending) if alike else np.concatenate([array.ravel() for array in pending])
        scalars = alike and whole.ndim == 1
        if self._values is not None and (scalars or (self._target and whole.dtype.kind in "biu")):
            values, counts = np.unique(whole[~_nan(whole)], return_counts=True)
            self._count(zip(values.tolist(), counts.tolist(), strict=True))
        numbers = whole.astype(np.float64)
        self._whole.add(numbers.reshape(-1, 1))
        width = numbers.shape[1] if alike and numbers.ndim == 2 and numbers.shape[1] <= MOST_COLUMNS else 0
        self._widths.add(width)
        if width and self._widths == {width}:
            self._columns = self._columns or Moments(width)
            self._columns.add(numbers)

    def _count(self, counted: Any) -> None:
        assert self._values is not None
        for value, count in counted:
            self._values[value] += count
        if len(self._values) > MOST_VALUES:
            self._values = None

    def facts(self, columns: Sequence[str] = ()) -> PartFacts:
        """What was gathered.

        Args:
            columns: names of a vector's columns, where they are known.
        """
        self._flush()
        kinds = [kind for kind in self._kinds if kind != "missing"]
        summary = self._whole.summaries()[0] if "numbers" in kinds else None
        by_column: dict[str, Summary] = {}
        if self._columns is not None and len(self._widths) == 1:
            summaries = self._columns.summaries()
            named = len(columns) == len(summaries) and not self._target
            by_column = {columns[k] if named else f"[{k}]": each for k, each in enumerate(summaries)}
        fractions = any("float" in dtype for dtype in self._dtypes)
        values = tuple(self._values.most_common()) if self._values else ()
        counted = sum(count for _, count in values)
        single = not self._shapes or list(self._shapes) == [()]
        if len(values) > FEW_VALUES and not (self._target and single):
            values = ()
        return PartFacts(
            name=self._name,
            target=self._target,
            kind=kinds[0] if len(kinds) == 1 else "mixed" if kinds else "other",
            dtypes=dict(self._dtypes.most_common()),
            shapes=tuple(self._shapes.most_common(_SHOWN_SHAPES)),
            shape_count=len(self._shapes),
            samples=self._kinds.total(),
            missing=self._kinds["missing"],
            summary=summary,
            columns=by_column,
            values=values or None,
            classes=bool(values) and self._target and not fractions and 2 * len(values) <= counted,
            lengths=_lengths(self._lengths) if "text" in kinds or len(self._lengths) > 1 else None,
            identical=self._identical and self._kinds.total() > 1,
        )


def _kind(value: Any) -> str:
    if value is None:
        return "missing"
    if isinstance(value, np.ndarray):
        return "numbers" if value.dtype.kind in "biuf" else "other"
    return "text" if isinstance(value, str) else "other"


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.shape == other.shape and bool(((one == other) | (_nan(one) & _nan(other))).all())
    return type(one) is type(other) and (one is None or (isinstance(one, str) and one == other))


def _nan(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)


def _lengths(counts: Counter[int]) -> Lengths | None:
    if not counts:
        return None
    sizes, samples = np.array(list(counts)), np.array(list(counts.values()))
    bins = min(_BINS, int(sizes.max() - sizes.min()) + 1)
    heights, _ = np.histogram(sizes, bins, weights=samples)
    mean = float((sizes * samples).sum() / samples.sum())
    return Lengths(int(sizes.min()), mean, int(sizes.max()), tuple(map(int, heights)))
