"""The cells of a chart's body: curves, axes and marks, as characters and the roles they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tui_trainer.ui.ascii import to_ascii
from tui_trainer.ui.chart_data import Floats, Line
from tui_trainer.ui.widgets.axes import place_columns, place_rows
from tui_trainer.ui.widgets.raster import MARKERS, MarkerName, Points, column_means, rasterize
from tui_trainer.ui.widgets.scale import Scale, cell, cells
from tui_trainer.ui.widgets.smoothing import smooth

LINE_ROLES = ("train", "val", "test", "baseline", *(f"other{k}" for k in range(1, 7)))
ROLES = (
    "",
    "axis",
    "best",
    "mark",
    "nonfinite",
    "cursor",
    *LINE_ROLES,
    *(f"{role}-raw" for role in LINE_ROLES),
)
"""What a cell can belong to. `…-raw` is what lies behind a smoothed line."""
_INDEX = {role: k for k, role in enumerate(ROLES)}

SIGNS = {"val": "◆", "test": "●"} | dict(zip(LINE_ROLES[4:], "●■▲◆○□", strict=True))
"""Signs on a line, by its role: colour is not the only thing that tells lines apart."""
_ASCII_SIGNS = {"val": "x", "test": "o"} | dict(zip(LINE_ROLES[4:], "o#^x@%", strict=True))

_DENSE, _APART = 3, 12


def sign(role: str, marker: MarkerName) -> str:
    """The sign that a line's measurements carry; empty for lines without one."""
    return (_ASCII_SIGNS if marker == "ascii" else SIGNS).get(role, "")


class Canvas:
    """The characters of a body, and what may be put on them.

    Args:
        width: columns in all.
        height: rows in all.
        left: columns for the labels of the vertical axis.
        rows: of the plot itself; below them is room for the horizontal axis.
        marker: what curves are drawn with.

    Attributes:
        glyphs: code points, of shape (height, width).
        roles: indices into `ROLES`, of the same shape.
        across: dots in a column.
    """

    def __init__(self, width: int, height: int, left: int, rows: int, marker: MarkerName) -> None:
        self.glyphs = np.full((height, width), ord(" "), np.uint32)
        self.roles = np.zeros((height, width), np.int16)
        self._left, self._rows, self._columns = left, rows, width - left
        self._marker = marker
        self.across, self._down = MARKERS[marker].across, MARKERS[marker].down

    def curves(self, lines: Sequence[Line], x: Scale, y: Scale, smoothing: float) -> None:
        """The lines, each with the signs of its role."""
        points: list[Points] = []
        roles: list[str] = []
        signs: list[tuple[str, Floats, Floats, bool]] = []
        for line in sorted(lines, key=_layer):
            places = x.fraction(line.x)
            through = _on_scale(line, places, y)
            if not line.sparse:
                # The range of a noisy curve hides where it runs: that lies over it, and the range is dim.
                points.append(replace(through, behind=smoothing > 0))
                roles.append(f"{line.role}-raw")
                values = smooth(line.mean, smoothing) if smoothing > 0 else line.mean
                through = _line(places, values, y, self._columns * self.across)
            points.append(through)
            roles.append(line.role)
            signs.append((line.role, through.x, through.mean, line.sparse))
        raster = rasterize(points, self._columns, self._rows, self._marker)
        self.glyphs[: self._rows, self._left :] = raster.glyphs
        of_curve = np.array([*(_INDEX[role] for role in roles), 0], np.int16)
        self.roles[: self._rows, self._left :] = of_curve[raster.owners]
        for number, (role, places, heights, sparse) in enumerate(signs):
            if mark := sign(role, self._marker):
                self._signs(ord(mark), _INDEX[role], places, heights, sparse, number)

    def _signs(
        self, glyph: int, role: int, places: Floats, heights: Floats, sparse: bool, number: int
    ) -> None:
        known = np.flatnonzero(np.isfinite(heights) & (places >= 0) & (places <= 1))
        if not len(known):
            return
        if not sparse or len(known) > self._columns // _DENSE:
            wanted = np.arange(3 + 4 * number % _APART, self._columns, _APART) / self._columns
            known = known[np.searchsorted(places[known], wanted[wanted <= places[known][-1]])]
        column = cells(places[known], self._columns, self.across) + self._left
        row = cells(1 - heights[known], self._rows, self._down)
        self.glyphs[row, column] = glyph
        self.roles[row, column] = role

    def y_axis(self, y: Scale, texts: Sequence[tuple[float, str]]) -> None:
        """Labels and a line at the left."""
        self.glyphs[: self._rows, self._left - 1] = self._ord("│")
        self.roles[:, : self._left] = _INDEX["axis"]
        for tick in place_rows(y, self._rows, texts, self._down):
            self._write(tick.at, self._left - 1 - len(tick.label), f"{tick.label}{self._plain('┤')}", "axis")

    def x_axis(self, x: Scale, texts: Sequence[tuple[float, str]], name: str) -> None:
        """A line with ticks, and labels below it."""
        line, left = self._rows, self._left
        self.glyphs[line, max(0, left - 1) :] = self._ord("─")
        self.roles[line:] = _INDEX["axis"]
        if left:
            self.glyphs[line, left - 1] = self._ord("└")
        for tick in place_columns(x, self._columns, texts, self.across):
            self.glyphs[line, left + tick.at] = self._ord("┬")
            self._write(line + 1, left + tick.start, tick.label, "axis")
        short = {"epoch": "ep"}.get(name, name)
        if left > len(short):
            self._write(line + 1, left - 1 - len(short), short, "axis")

    def nonfinite(self, lines: Sequence[Line], x: Scale) -> None:
        """A tick below each column with a value that was NaN or infinite."""
        for line in lines:
            self._foot(x.fraction(line.x[line.nonfinite]), "×", "nonfinite")

    def changes(self, places: Sequence[float], x: Scale) -> None:
        """A tick where somebody changed something."""
        self._foot(x.fraction(np.array(places, np.float64)), "▲", "mark")

    def _foot(self, fractions: Floats, glyph: str, role: str) -> None:
        seen = fractions[(fractions >= 0) & (fractions <= 1)]
        row = min(self._rows, len(self.glyphs) - 1)
        columns = self._left + cells(seen, self._columns, self.across)
        self.glyphs[row, columns] = self._ord(glyph)
        self.roles[row, columns] = _INDEX[role]

    def put(self, point: tuple[float, float], x: Scale, y: Scale, glyph: str, role: str) -> None:
        """A single sign at a point."""
        across, up = float(x.fraction(np.array(point[0]))), float(y.fraction(np.array(point[1])))
        if 0 <= across <= 1 and 0 <= up <= 1:
            row = cell(1 - up, self._rows, self._down)
            column = self._left + cell(across, self._columns, self.across)
            self.glyphs[row, column] = self._ord(glyph)
            self.roles[row, column] = _INDEX[role]

    def cursor(self, place: float, x: Scale) -> None:
        """A vertical line where nothing else is."""
        fraction = float(x.fraction(np.array(place)))
        if not 0 <= fraction <= 1:
            return
        column = self._left + cell(fraction, self._columns, self.across)
        free = np.flatnonzero(self.glyphs[: self._rows, column] == ord(" "))
        self.glyphs[free, column] = self._ord("│")
        self.roles[free, column] = _INDEX["cursor"]

    def _write(self, row: int, column: int, text: str, role: str) -> None:
        end = min(column + len(text), self.glyphs.shape[1])
        if column >= 0:
            self.glyphs[row, column:end] = [ord(character) for character in text[: end - column]]
            self.roles[row, column:end] = _INDEX[role]

    def _plain(self, text: str) -> str:
        return to_ascii(text) if self._marker == "ascii" else text

    def _ord(self, glyph: str) -> int:
        return ord(self._plain(glyph))


def _layer(line: Line) -> int:
    """A baseline lies over the training rows, whose band would cover it, and below measurements."""
    if line.role == "baseline":
        return 1 if line.sparse else -1
    return 2 if line.sparse else 0


def _line(places: Floats, values: Floats, y: Scale, dots: int) -> Points:
    """A curve through the means of the points in each column of dots."""
    at, means = column_means(places, values, dots)
    heights = y.fraction(means)
    return Points(at, heights, heights, heights)


def _on_scale(line: Line, places: Floats, y: Scale) -> Points:
    low, high, mean = line.low, line.high, line.mean
    if y.log:
        # A point that reaches below zero begins at its mean, or is its highest value only.
        mean = np.where((mean > 0) | np.isnan(mean), mean, high)
        low = np.where(low > 0, low, np.where(mean > 0, mean, high))
    top = y.fraction(high)
    if line.low is line.high:
        return Points(places, top, top, top)
    return Points(places, y.fraction(low), top, y.fraction(mean))
