"""Adding up a split's metrics without waiting for the device.

Each batch writes its scalars into one row of a small buffer on the device. When a row of the record is due (or
the buffer is full) the filled part travels to the host with a non-blocking copy and is read later, so no
step waits. All sums are float64 on the host, so a checkpoint can hold them as plain numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tui_trainer.engine.metrics import Mean, Reducer

CAPACITY = 256


class Meter:
    """Epoch metrics of one split, and the window since the last row of the record.

    Args:
        device: where the batches' values are.
        capacity: batches that fit between two transfers.
    """

    def __init__(self, device: torch.device, capacity: int = CAPACITY) -> None:
        self._device = device
        self._capacity = capacity
        self._names: list[tuple[str, int]] = []
        self._cells: list[list[Tensor]] = []
        self._pending: tuple[Tensor, torch.cuda.Event | None, list[int]] | None = None
        self.reset()

    def reset(self) -> None:
        """Start an epoch."""
        self._filled = 0
        self._counts: list[int] = []
        self._pending = None
        self._finish: dict[str, Reducer] = {}
        self._count = 0.0
        self._totals: dict[str, list[float]] = {}
        self.clear_window()

    def clear_window(self) -> None:
        """Start a window: what the next row of the record tells about."""
        self._window_count = 0.0
        self._window_sums: dict[str, float] = {}
        self._window_min = math.inf
        self._window_max = -math.inf
        self.window_nonfinite = 0

    def add(self, values: Mapping[str, Tensor | Reducer], count: int | Tensor) -> None:
        """Take one batch's values.

        Args:
            values: "loss" and metrics, each a scalar tensor (a mean by count) or a reducer.
            count: what the batch's means are taken over.
        """
        tensors: list[Tensor] = []
        for value in values.values():
            if isinstance(value, Tensor):
                tensors.append(value)
            else:
                tensors.extend(value.values)
        if isinstance(count, Tensor):
            tensors.append(count)
            self._counts.append(-1)
        else:
            self._counts.append(count)
        if len(self._finish) != len(values) or self._finish.keys() != values.keys():
            self._open(values, len(tensors))
        elif len(tensors) > len(self._cells[0]):
            self._widen(len(tensors))
        torch._foreach_copy_(self._cells[self._filled][: len(tensors)], [t.detach() for t in tensors])
        self._filled += 1
        if self._filled == self._capacity:
            self.send()

    def _open(self, values: Mapping[str, Tensor | Reducer], width: int) -> None:
        if self._finish and not self._finish.keys() == values.keys():
            # A metric that only some batches have: what is collected so far is read before the layout changes.
            newest = self._counts.pop()
            self.send()
            self.receive()
            self._counts.append(newest)
        for name, value in values.items():
            # The first batch's reducers stand for all: later only their `finish` and `combine` are used.
            self._finish[name] = value if isinstance(value, Reducer) else Mean(torch.zeros(()))
        self._finish = {name: self._finish[name] for name in values}
        self._names = [(name, 1 if isinstance(v, Tensor) else len(v.values)) for name, v in values.items()]
        self._widen(width)

    def _widen(self, width: int) -> None:
        if self._cells and len(self._cells[0]) >= width:
            return
        if self._filled:
            newest = self._counts.pop()
            self.send()
            self.receive()
            self._counts.append(newest)
        wide = torch.float32 if self._device.type == "mps" else torch.float64
        self._buffer = torch.zeros(self._capacity, width, dtype=wide, device=self._device)
        self._cells = [list(row.unbind(0)) for row in self._buffer.unbind(0)]

    def send(self) -> None:
        """Start the transfer of what was collected. Reads the one before, which has long arrived."""
        self.receive()
        if not self._filled:
            return
        rows = self._buffer[: self._filled]
        if self._device.type == "cuda":
            host = torch.empty(rows.shape, dtype=rows.dtype, pin_memory=True)
            host.copy_(rows, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
            self._pending = (host, event, self._counts)
        else:
            self._pending = (rows.to("cpu", copy=True), None, self._counts)
        self._filled = 0
        self._counts = []

    def receive(self) -> None:
        """Add the transfer under way, if any, to the sums. Waits only if it has not arrived."""
        if self._pending is None:
            return
        host, event, host_counts = self._pending
        self._pending = None
        if event is not None:
            event.synchronize()
        rows = host.numpy().astype(np.float64, copy=False)
        counts = np.asarray(host_counts, dtype=np.float64)
        width = sum(size for _, size in self._names)
        if (counts < 0).any():
            counts = np.where(counts < 0, rows[:, width], counts)
        # A batch whose count is 0 (nothing but padding) has an undefined mean; it must not poison the sums.
        weighted = np.where(counts[:, None] > 0, rows * counts[:, None], 0.0)
        self._count += float(counts.sum())
        self._window_count += float(counts.sum())
        start = 0
        for name, size in self._names:
            columns = slice(start, start + size)
            start += size
            combine = self._finish[name].combine
            if combine == "last":
                self._totals[name] = rows[-1, columns].tolist()
                continue
            sums = (weighted if combine == "mean" else rows)[:, columns].sum(axis=0).tolist()
            before = self._totals.get(name, [0.0] * size)
            self._totals[name] = [a + b for a, b in zip(before, sums, strict=True)]
            if combine == "mean":
                self._window_sums[name] = self._window_sums.get(name, 0.0) + sums[0]
        if self._names and self._names[0][0] == "loss":
            losses = rows[:, 0]
            finite = losses[np.isfinite(losses)]
            self.window_nonfinite += len(losses) - len(finite)
            if len(finite):
                self._window_min = min(self._window_min, float(finite.min()))
                self._window_max = max(self._window_max, float(finite.max()))

    def window(self) -> dict[str, float]:
        """Means of the batches received since `clear_window`, and the loss's min and max. Empty without any."""
        if not self._window_count:
            return {}
        row = {}
        for name, total in self._window_sums.items():
            row[name] = self._finish[name].finish([total / self._window_count])
        if "loss" in row:
            nothing = self._window_min > self._window_max
            row["loss_min"] = math.nan if nothing else self._window_min
            row["loss_max"] = math.nan if nothing else self._window_max
        return row

    def means(self) -> dict[str, float]:
        """The epoch's metrics so far. Waits for the device; call it at an epoch's end."""
        self.send()
        self.receive()
        means = {}
        for name, totals in self._totals.items():
            reducer = self._finish[name]
            if reducer.combine == "mean":
                totals = [total / self._count if self._count else math.nan for total in totals]
            means[name] = float(reducer.finish(totals))
        return means

    def state_dict(self) -> dict[str, Any]:
        """The running sums of an unfinished epoch, as plain numbers."""
        self.send()
        self.receive()
        return {"count": self._count, "totals": {name: list(totals) for name, totals in self._totals.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the sums of `state_dict`."""
        self.reset()
        self._count = float(state["count"])
        self._totals = {name: [float(total) for total in totals] for name, totals in state["totals"].items()}
