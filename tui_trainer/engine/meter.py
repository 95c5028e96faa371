"""Adding up a split's metrics without waiting for the device.

Each batch writes its scalars into one row of a small buffer on the device. When a row of the record is due
(or the buffer is full) the filled part travels to the host with a non-blocking copy and is read later, so no
step waits. All sums are float64 on the host, so a checkpoint can hold them as plain numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tui_trainer.engine.describe import describe
from tui_trainer.engine.metrics import Mean, Reducer
from tui_trainer.errors import TrainerError

CAPACITY = 256
CELLS = 1 << 20
"""Where metrics have many elements (a confusion matrix), fewer batches fit between two transfers."""

SKIPPED = "step skipped"
"""A value of a batch that is no metric: 1 where the optimizer step was left out, else 0."""

_COUNT = 0
"""The buffer's first column: counts that are tensors."""


@dataclass(frozen=True, eq=False)
class _Layout:
    """Which metrics a batch has, and the buffer's columns they go to.

    Batches of one epoch may differ in this (a metric that only some of them have).

    Attributes:
        names: of the metrics.
        columns: of each value, in order; a slice for one of several elements.
    """

    names: frozenset[str]
    columns: tuple[int | slice, ...]


@dataclass(frozen=True)
class _Transfer:
    """Rows on their way to the host; `ready` says when they have arrived, None: they have."""

    rows: Tensor
    ready: torch.cuda.Event | None
    counts: list[int | None]
    layouts: list[_Layout]
    steps: list[int]


class Meter:
    """Epoch metrics of one split, and the window since the last row of the record.

    Args:
        device: where the batches' values are.
        capacity: batches that fit between two transfers; grows to those of one step.
        tolerant: leave batches whose loss is not finite, or whose step was skipped, out of every metric.

    Attributes:
        step: the optimizer step that the next batches belong to, from 1.
        window_bad: steps with such batches since `clear_window`.
        bad_step: the first of these; None without one.
        bad_in_a_row: such steps since the last one without.
    """

    def __init__(self, device: torch.device, capacity: int = CAPACITY, tolerant: bool = False) -> None:
        self.step = 1
        self.bad_in_a_row = 0
        self._device = device
        self._capacity = capacity
        self._least = 1
        self._tolerant = tolerant
        self._cells: list[dict[int, Tensor]] = []
        self._width = _COUNT + 1
        self._scalars = {_COUNT}
        self.reset()

    def reset(self) -> None:
        """Start an epoch."""
        self._filled = 0
        self._counts: list[int | None] = []
        self._rows: list[_Layout] = []
        self._steps: list[int] = []
        self._pending: _Transfer | None = None
        self._layouts: dict[tuple[str, ...], _Layout] = {}
        self._columns: dict[str, slice] = {}
        self._reducers: dict[str, Reducer] = {}
        self._totals: dict[str, list[float]] = {}
        self._weights: dict[str, float] = {}
        self._restored: dict[str, float] = {}
        self._latest_bad = 0
        self.clear_window()

    def clear_window(self) -> None:
        """Start a window: what the next row of the record tells about."""
        self._window_sums: dict[str, float] = {}
        self._window_weights: dict[str, float] = {}
        self._window_min = math.inf
        self._window_max = -math.inf
        self.window_bad = 0
        self.bad_step: int | None = None

    @property
    def names(self) -> list[str]:
        """Metrics that batches of this epoch had."""
        return [name for name in self._columns if name != SKIPPED]

    def add(self, values: Mapping[str, Tensor | Reducer], count: int | Tensor) -> None:
        """Take one batch's values.

        Args:
            values: "loss" and metrics, each a scalar tensor (a mean by count) or a reducer.
            count: what the batch's means are taken over.

        Raises:
            TrainerError: a value is no scalar, or the count no number.
        """
        layout = self._layouts.get(tuple(values)) or self._open(values, count)
        tensors: list[Tensor] = []
        for value in values.values():
            if isinstance(value, Tensor):
                tensors.append(value)
            else:
                tensors.extend(value.values)
        cells = self._cells[self._filled]
        targets = [
            cells[column] if type(column) is int else self._buffer[self._filled, column]
            for column in layout.columns
        ]
        if isinstance(count, Tensor):
            tensors.append(count)
            targets.append(cells[_COUNT])
            self._counts.append(None)
        else:
            self._counts.append(count)
        torch._foreach_copy_(
            targets,
            [
                t.detach() if t.dim() == 0 else t.detach().reshape(target.shape)
                for t, target in zip(tensors, targets, strict=True)
            ],
        )
        self._rows.append(layout)
        self._steps.append(self.step)
        self._filled += 1
        if self._filled == self._capacity:
            self.send()

    def add_all(self, measured: Sequence[tuple[Mapping[str, Tensor | Reducer], int | Tensor]]) -> None:
        """Take the batches of one step.

        They all fit between two transfers: a row of the record that is under way is read after this step, and
        a transfer inside of it would add some of these batches to that row.
        """
        if len(measured) >= self._capacity:
            self.send()
            self.receive()
            self._capacity = self._least = 2 * len(measured)
            if self._cells:
                self._make_buffer()
        for values, count in measured:
            self.add(values, count)

    def _make_buffer(self) -> None:
        wide = torch.float32 if self._device.type == "mps" else torch.float64
        self._buffer = torch.zeros(self._capacity, self._width, dtype=wide, device=self._device)
        self._cells = [{column: row[column] for column in self._scalars} for row in self._buffer.unbind(0)]

    def _open(self, values: Mapping[str, Tensor | Reducer], count: int | Tensor) -> _Layout:
        """The layout of batches with these metrics; metrics that are new get columns of their own."""
        _check_count(count)
        columns = dict(self._columns)
        width = max((taken.stop for taken in columns.values()), default=_COUNT + 1)
        sizes: dict[str, list[int]] = {}
        for name, value in values.items():
            parts = (value,) if isinstance(value, Tensor) else value.values
            wide = isinstance(value, Reducer) and value.wide
            if not wide and any(part.numel() != 1 for part in parts):
                shapes = ", ".join(str(tuple(part.shape)) for part in parts)
                hint = "return one number a batch, for example its .mean()"
                if name == "loss":
                    hint = f"compute_loss returns (loss, outputs, targets), in this order; {hint}"
                title = f"{'loss' if name == 'loss' else 'metric'} is no scalar"
                raise TrainerError(title, f"{name} has shape {shapes}", hint)
            sizes[name] = [part.numel() for part in parts]
            if name not in columns:
                columns[name] = slice(width, width + sum(sizes[name]))
                width = columns[name].stop
                # The first batch's reducers stand for all: of the later ones only `values` are used.
                self._reducers[name] = value if isinstance(value, Reducer) else Mean(torch.zeros(()))
        taken: list[int | slice] = []
        for name in values:
            first = columns[name].start
            for size in sizes[name]:
                taken.append(first if size == 1 else slice(first, first + size))
                first += size
        scalars = self._scalars | {column for column in taken if isinstance(column, int)}
        if not self._cells or width > self._width or scalars > self._scalars:
            # What lies in the old buffer is read before it goes.
            self.send()
            self.receive()
            self._width, self._scalars = max(width, self._width), scalars
            self._capacity = min(self._capacity, max(self._least, CELLS // width))
            self._make_buffer()
        self._columns = columns
        layout = _Layout(frozenset(values), tuple(taken))
        self._layouts[tuple(values)] = layout
        return layout

    def send(self) -> None:
        """Start the transfer of what was collected. Reads the one before, which has long arrived."""
        self.receive()
        if not self._filled:
            return
        rows = self._buffer[: self._filled]
        if self._device.type == "cuda":
            host = torch.empty(rows.shape, dtype=rows.dtype, pin_memory=True)
            host.copy_(rows, non_blocking=True)
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
            self._pending = _Transfer(host, event, self._counts, self._rows, self._steps)
        else:
            copied = rows.to("cpu", copy=True)
            self._pending = _Transfer(copied, None, self._counts, self._rows, self._steps)
        self._filled = 0
        self._counts, self._rows, self._steps = [], [], []

    def receive(self) -> None:
        """Add the transfer under way, if any, to the sums. Waits only if it has not arrived."""
        if self._pending is None:
            return
        arrived, self._pending = self._pending, None
        if arrived.ready is not None:
            arrived.ready.synchronize()
        rows = arrived.rows.numpy().astype(np.float64, copy=False)
        counts = rows[:, _COUNT].copy()
        for row, count in enumerate(arrived.counts):
            if count is not None:
                counts[row] = count
        layouts = arrived.layouts
        bad = self._bad(rows, counts, arrived.steps)
        if self._tolerant and bad.any():
            rows, counts = rows[~bad], counts[~bad]
            layouts = [layout for layout, is_bad in zip(layouts, bad, strict=True) if not is_bad]
        alike = len(set(layouts)) == 1
        # A loss that is no number is somebody's finding, not a fault of this sum.
        with np.errstate(invalid="ignore", over="ignore"):
            for name in self.names:
                columns = self._columns[name]
                if alike and name in layouts[0].names:
                    self._add_up(name, rows[:, columns], counts)
                elif not alike:
                    has = np.array([name in layout.names for layout in layouts], dtype=bool)
                    if has.any():
                        self._add_up(name, rows[has, columns], counts[has])

    def _bad(
        self, rows: np.ndarray[Any, Any], counts: np.ndarray[Any, Any], steps: list[int]
    ) -> np.ndarray[Any, Any]:
        """Which of the batches have no finite loss, or were not trained on. Shape (batches,), bool."""
        bad: np.ndarray[Any, Any] = np.zeros(len(rows), dtype=bool)
        if "loss" in self._columns:
            # A batch whose count is 0 has no loss at all.
            bad = ~np.isfinite(rows[:, self._columns["loss"].start]) & (counts > 0)
        if SKIPPED in self._columns:
            bad |= rows[:, self._columns[SKIPPED].start] > 0
        if not bad.any():
            self.bad_in_a_row = 0 if len(rows) else self.bad_in_a_row
            return bad
        for step, is_bad in zip(steps, bad.tolist(), strict=True):
            if not is_bad:
                self.bad_in_a_row = 0
            elif step != self._latest_bad:
                # A step may have several batches, or parts of one.
                self._latest_bad = step
                self.window_bad += 1
                self.bad_in_a_row += 1
                self.bad_step = self.bad_step or step
        return bad

    def _add_up(self, name: str, values: np.ndarray[Any, Any], counts: np.ndarray[Any, Any]) -> None:
        """Add some batches' values of one metric. Shape (batches, parts)."""
        reducer = self._reducers[name]
        before = self._totals.get(name, [0.0] * values.shape[1])
        if reducer.combine == "last":
            self._totals[name] = values[-1].tolist()
        elif reducer.combine == "merge":
            for row in values.tolist():
                before = reducer.merge(before, row)
            self._totals[name] = list(before)
        elif reducer.combine == "sum":
            self._totals[name] = (np.asarray(before) + values.sum(axis=0)).tolist()
        else:
            # A batch whose count is 0 (nothing but padding) has an undefined mean, which would poison sums.
            counted = counts > 0
            means, weights = values[counted, 0], counts[counted]
            total, weight = float((means * weights).sum()), float(weights.sum())
            self._totals[name] = [before[0] + total]
            self._weights[name] = self._weights.get(name, 0.0) + weight
            self._window_sums[name] = self._window_sums.get(name, 0.0) + total
            self._window_weights[name] = self._window_weights.get(name, 0.0) + weight
            if name == "loss":
                finite = means[np.isfinite(means)]
                if len(finite):
                    self._window_min = min(self._window_min, float(finite.min()))
                    self._window_max = max(self._window_max, float(finite.max()))

    def window(self) -> dict[str, float]:
        """Means of what came since `clear_window`, and the loss's min and max. Empty without any batch."""
        row = {}
        for name, total in self._window_sums.items():
            if weight := self._window_weights[name]:
                row[name] = self._reducers[name].finish([total / weight])
        if "loss" in row:
            nothing = self._window_min > self._window_max
            row["loss_min"] = math.nan if nothing else self._window_min
            row["loss_max"] = math.nan if nothing else self._window_max
        return row

    def means(self) -> dict[str, float]:
        """The epoch's metrics so far. Waits for the device; call it at an epoch's end."""
        self.send()
        self.receive()
        # One whose batches were all left out has no value.
        means = dict.fromkeys(self.names, math.nan)
        for name, totals in self._totals.items():
            reducer = self._reducers.get(name)
            if reducer is None:
                # No batch since `load_state_dict` had it, so its value is still the one it had then.
                means[name] = self._restored[name]
                continue
            if reducer.combine == "mean":
                weight = self._weights[name]
                totals = [total / weight if weight else math.nan for total in totals]
            means[name] = float(reducer.finish(totals))
        return means

    def totals(self, name: str) -> list[float] | None:
        """What a reducer's `finish` gets, so far; None where no batch had it."""
        self.send()
        self.receive()
        found = self._totals.get(name)
        return None if found is None else [*found]

    def state_dict(self) -> dict[str, Any]:
        """The running sums of an unfinished epoch, as plain numbers."""
        means = self.means()
        totals = {name: list(parts) for name, parts in self._totals.items()}
        return {"weights": dict(self._weights), "totals": totals, "means": means}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the sums of `state_dict`."""
        self.reset()
        self._weights = {name: float(weight) for name, weight in state["weights"].items()}
        self._totals = {name: [float(total) for total in totals] for name, totals in state["totals"].items()}
        self._restored = {name: float(mean) for name, mean in state["means"].items()}


def _check_count(count: Any) -> None:
    """Refuse what a task returned as a batch's count, which would make nothing or nonsense of its means."""
    if isinstance(count, Tensor):
        fits = count.numel() == 1
    else:
        fits = isinstance(count, Real) and float(count) >= 0
    if not fits:
        raise TrainerError(
            "wrong count",
            f"count() returned {describe(count)}",
            "count(batch) must return a number, of what the batch's loss is a mean over: does it end with "
            "`return`?",
        )
