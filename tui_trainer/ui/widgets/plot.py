"""A chart's body: which values its axes span, and everything that is drawn between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tui_trainer.ui.chart_data import ChartData, Line, XAxis
from tui_trainer.ui.widgets.axes import Unit, labels, snap, ticks
from tui_trainer.ui.widgets.canvas import Canvas
from tui_trainer.ui.widgets.raster import MarkerName
from tui_trainer.ui.widgets.scale import Scale, cell, spread
from tui_trainer.ui.widgets.view import ALL, View

_Y_ROWS, _X_COLUMNS = 3, 14
_LEAST_WIDTH, _LEAST_HEIGHT = 12, 6
_ROOMY, _GUTTER = 40, 5


@dataclass(frozen=True)
class Options:
    """How a chart is drawn."""

    log_y: bool = False
    smoothing: float = 0.0
    marker: MarkerName = "braille"
    view: View = ALL
    cursor: float | None = None


@dataclass(frozen=True, eq=False)
class Plot:
    """A drawn body.

    Attributes:
        glyphs: code points, of shape (height, width).
        roles: indices into `ROLES`, of the same shape.
        x: the horizontal axis.
        y: the vertical axis.
        left: columns before the plot itself.
        columns: of the plot itself.
        across: dots in a column.
        lines: what is drawn in it.
    """

    glyphs: NDArray[np.uint32]
    roles: NDArray[np.int16]
    x: Scale
    y: Scale
    left: int
    columns: int
    across: int
    lines: tuple[Line, ...]

    def column(self, x: float) -> int:
        """The column of the plot in which a place lies."""
        return cell(float(self.x.fraction(np.array(x))), self.columns, self.across)

    def place(self, column: int) -> float:
        """The place at the middle of a column of the plot."""
        dots = self.columns * self.across - 1
        return self.x.value(((column + 0.5) * self.across - 0.5) / dots if dots else 0.5)


def full_range(data: ChartData) -> Scale | None:
    """From the first to the newest point of all lines; None without any."""
    ends = [(float(line.x[0]), float(line.x[-1])) for line in data.lines if len(line.x)]
    if not ends:
        return None
    return spread(min(low for low, _ in ends), max(high for _, high in ends))


def draw(data: ChartData, options: Options, width: int, height: int) -> Plot | None:
    """Draw a chart's body.

    Args:
        data: what is shown.
        options: how.
        width: columns in all.
        height: rows in all; under six there is no room for an x axis.

    Returns:
        None when there is no point to draw, or no room.
    """
    full = full_range(data)
    if full is None or width < 1 or height < 1:
        return None
    x = options.view.span(full)
    zoomed = options.view.width is not None
    lines = data.detail(x.low, x.high) if zoomed and data.detail is not None else data.lines
    feet = 2 if height >= _LEAST_HEIGHT else 0
    rows = height - feet
    y = _value_range(lines, x, options.log_y, rows)
    y_texts = _texts(y, max(2, rows // _Y_ROWS), "number")
    left = max((len(text) for _, text in y_texts), default=0) + 1
    if width >= _ROOMY:
        # The axis is named there.
        left = max(left, _GUTTER)
    elif width - left < _LEAST_WIDTH:
        left = 0
    columns = width - left
    most = max(2, columns // _X_COLUMNS)
    unit = _unit(data.x_axis, x)
    if options.view.end is None:
        x = snap(x, most, unit) if not zoomed else replace(x, high=snap(x, most, unit).high)
    canvas = Canvas(width, height, left, rows, options.marker)
    canvas.curves(lines, x, y, options.smoothing)
    if left:
        canvas.y_axis(y, y_texts)
    if feet:
        canvas.x_axis(x, _texts(x, most, unit), data.x_axis)
    canvas.nonfinite(lines, x)
    canvas.changes([place for place, _ in data.marks], x)
    if data.best is not None:
        canvas.put(data.best, x, y, "★", "best")
    if options.cursor is not None:
        canvas.cursor(options.cursor, x)
    return Plot(canvas.glyphs, canvas.roles, x, y, left, columns, canvas.across, lines)


def _unit(x_axis: XAxis, x: Scale) -> Unit:
    if x_axis == "time":
        return "seconds"
    return "number" if x_axis == "epoch" and x.high - x.low < 2 else "count"


def _texts(scale: Scale, most: int, unit: Unit) -> list[tuple[float, str]]:
    values = ticks(scale, most, unit)
    return list(zip(values, labels(values, unit, scale.log), strict=True))


def _value_range(lines: Sequence[Line], x: Scale, log: bool, rows: int) -> Scale:
    """A scale for all values that are seen; linear where there is nothing positive."""
    lows, highs = [], []
    for line in lines:
        first = int(np.searchsorted(line.x, x.low, "left"))
        last = int(np.searchsorted(line.x, x.high, "right"))
        if first == last:
            # No point is seen, but the line between its neighbours may be.
            first, last = max(0, first - 1), last + 1
        low, high = line.low[first:last], line.high[first:last]
        if log:
            # The least of single batches may lie decades below the curve and would press it into a corner.
            mean = line.mean[first:last]
            low = np.where(mean > 0, mean, np.where(low > 0, low, high))
            low, high = np.where(low > 0, low, np.nan), np.where(high > 0, high, np.nan)
        if len(low) and np.isfinite(high).any():
            lows.append(float(np.nanmin(low)))
            highs.append(float(np.nanmax(high)))
    if not lows:
        return _value_range(lines, x, False, rows) if log else Scale(0.0, 1.0)
    return snap(spread(min(lows), max(highs), log), max(2, rows // _Y_ROWS))
