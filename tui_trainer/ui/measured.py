"""What a run measured at the ends of epochs and between, as arrays that grow with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tui_trainer.runs.state import EpochSummary, Evaluation, RunState
from tui_trainer.ui.series import PLACES, Floats

Measurement = EpochSummary | Evaluation


@dataclass(frozen=True, eq=False)
class Points:
    """A metric's measurements in the order of training; each array has shape (points,).

    Attributes:
        places: where each was made, by `step`, `epoch` and `time`.
        values: what was measured.
    """

    places: dict[str, Floats]
    values: Floats


class Measured:
    """Turns the measurements of a run into arrays, each of them once.

    A run of 100,000 epochs is drawn several times a second, and going through its history takes longer
    than a frame.
    """

    def __init__(self) -> None:
        self._ends = _Column(None)
        self._epochs: dict[str, _Column] = {}
        self._between: dict[str, _Column] = {}
        self._sorted: dict[str, tuple[Floats, Floats, Points]] = {}

    def epoch_ends(self, state: RunState) -> dict[str, Floats]:
        """Where the finished epochs ended, by `step`, `epoch` and `time`."""
        return _places(self._ends.take(state.history))

    def points(self, state: RunState, metric: str) -> Points:
        """The measurements of a metric."""
        epochs = self._epochs.setdefault(metric, _Column(metric)).take(state.history)
        between = self._between.setdefault(metric, _Column(metric)).take(state.evaluations)
        known = self._sorted.get(metric)
        if known is not None and known[0] is epochs and known[1] is between:
            return known[2]
        table = np.concatenate((epochs, between), axis=1) if between.size else epochs
        if between.size:
            table = table[:, np.argsort(table[0], kind="stable")]
        points = Points(_places(table), table[-1])
        self._sorted[metric] = (epochs, between, points)
        return points


def _places(table: Floats) -> dict[str, Floats]:
    return dict(zip(PLACES, table[: len(PLACES)], strict=True))


class _Column:
    """Places and values of one metric, of shape (4, points), for a sequence that grows at its end.

    Args:
        metric: which one; None for the places of all measurements.
    """

    def __init__(self, metric: str | None) -> None:
        self._metric = metric
        self._table = np.empty((len(PLACES) + 1, 0))
        self._count = 0
        self._ends: tuple[Measurement | None, Measurement | None] = (None, None)

    def take(self, measurements: Sequence[Measurement]) -> Floats:
        """All of them as an array: the same one as before where nothing is new."""
        count, first = self._count, measurements[0] if measurements else None
        # A run that was resumed from further back has other measurements from there on.
        grown = len(measurements) >= count and (
            not count or (first is self._ends[0] and measurements[count - 1] is self._ends[1])
        )
        if not grown:
            self._table, count = self._table[:, :0], 0
        new = measurements[count:]
        if new:
            metric = self._metric
            if metric is None:
                rows = [(m.step, m.epoch, m.time, np.nan) for m in new]
            else:
                rows = [(m.step, m.epoch, m.time, m.metrics[metric]) for m in new if metric in m.metrics]
            if rows:
                self._table = np.concatenate((self._table, np.array(rows, np.float64).T), axis=1)
        self._count = len(measurements)
        self._ends = (first, measurements[-1] if measurements else None)
        return self._table
