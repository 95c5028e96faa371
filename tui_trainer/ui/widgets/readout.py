"""What lies under a chart's cursor, in words."""

from __future__ import annotations

import numpy as np

from tui_trainer.headless.words import number
from tui_trainer.ui.chart_data import ChartData, Line, Part
from tui_trainer.ui.widgets.axes import short_time
from tui_trainer.ui.widgets.plot import Plot

_BETWEEN = 4
"""Characters between two parts: a gap, and perhaps a sign."""


def read_out(data: ChartData, plot: Plot, at: float, room: int) -> list[Part]:
    """Where the cursor is, what was changed there, and the values of all lines.

    Args:
        data: what the chart shows.
        plot: as it is drawn.
        at: place of the cursor on the x axis.
        room: characters; values come without their range where it does not suffice.
    """
    column = plot.column(at)
    before, here, after = (plot.place(column + k) for k in (-1, 0, 1))
    step, epoch = data.places.at(at)
    where = [f"step {step:,.0f}"] if np.isfinite(step) else []
    where += [f"ep {epoch:.2f}"] if np.isfinite(epoch) else []
    where += [short_time(round(at, 1))] if data.x_axis == "time" else []
    fixed = [Part(" · ".join(where), "cursor")] if where else []
    fixed += [Part(text, "mark") for place, text in data.marks if plot.column(place) == column]
    lines = sorted((line for line in plot.lines if len(line.x)), key=lambda line: line.role == "baseline")
    parts: list[Part] = []
    for ranges in (True, False):
        values = [_value(line, at, (before + here) / 2, (here + after) / 2, ranges) for line in lines]
        parts = [*fixed, *(Part(text, line.role) for text, line in zip(values, lines, strict=True))]
        if sum(len(part.text) + _BETWEEN for part in parts) <= room:
            break
    return parts


def _value(line: Line, at: float, left: float, right: float, ranges: bool) -> str:
    """A line's mean and range between two places; of the point nearest to `at` where there is none."""
    first = int(np.searchsorted(line.x, left, "left"))
    last = int(np.searchsorted(line.x, right, "right"))
    if first == last:
        first = int(np.clip(np.searchsorted(line.x, at), 1, max(1, len(line.x) - 1)))
        if len(line.x) == 1 or at - line.x[first - 1] <= line.x[first] - at:
            first -= 1
        last = first + 1
    here = slice(first, last)
    mean, low, high = line.mean[here], line.low[here], line.high[here]
    if not np.isfinite(mean).any():
        return f"{line.name} {number(float('nan'))}".strip()
    text = f"{line.name} {number(float(np.nanmean(mean)))}".strip()
    lowest, highest = float(np.nanmin(low)), float(np.nanmax(high))
    return text if lowest == highest or not ranges else f"{text} ({number(lowest)}…{number(highest)})"
