"""Curves as characters: a canvas whose cells hold several dots each.

In each column of dots a curve lights all dots from the lowest to the highest of its points there, so no spike
disappears, and neighbouring columns are joined so that the line has no holes. Points that are not finite
leave a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MarkerName = Literal["braille", "blocks", "ascii"]

_FAR = 1e6
"""Dots beyond this lie so far outside that only the direction to them counts."""


@dataclass(frozen=True, eq=False)
class Marker:
    """How dots become characters.

    Attributes:
        across: dots in a cell's row.
        down: dots in a cell's column.
        glyphs: the code point for each pattern, of shape (256,). A pattern has a bit for each dot, row by
            row, the first of them its highest bit.
    """

    across: int
    down: int
    glyphs: NDArray[np.uint32]


def _braille() -> NDArray[np.uint32]:
    bits = (0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80)
    glyphs = [
        0x2800 + sum(bit for k, bit in enumerate(bits) if pattern << k & 0x80) for pattern in range(256)
    ]
    return np.array([ord(" "), *glyphs[1:]], np.uint32)


def _glyphs(characters: str) -> NDArray[np.uint32]:
    each = 256 // len(characters)
    return np.repeat(np.array([ord(character) for character in characters], np.uint32), each)


MARKERS: dict[MarkerName, Marker] = {
    "braille": Marker(2, 4, _braille()),
    "blocks": Marker(2, 2, _glyphs(" ▗▖▄▝▐▞▟▘▚▌▙▀▜▛█")),
    "ascii": Marker(1, 3, _glyphs(" .-|':||")),
}


@dataclass(frozen=True, eq=False)
class Points:
    """A curve on the unit square; each array has shape (points,). What is not finite is a gap.

    Attributes:
        x: 0 at the left, 1 at the right; never falling.
        low: lower end of each point, 0 at the bottom and 1 at the top.
        high: upper end.
        mean: where the line runs through. Where only this is missing, the point is drawn but not joined.
        behind: a curve in the background leaves each cell that another curve has entered.
    """

    x: Floats
    low: Floats
    high: Floats
    mean: Floats
    behind: bool = False


@dataclass(frozen=True, eq=False)
class Raster:
    """Characters of a canvas, of shape (height, width).

    Attributes:
        glyphs: code points.
        owners: index of the curve whose colour a cell takes, −1 for an empty cell. Where curves share a cell,
            the dots of all are lit, in the colour of the last; but a cell that a broad curve fills shows
            only the one that crosses it.
    """

    glyphs: NDArray[np.uint32]
    owners: NDArray[np.int16]

    def lines(self) -> list[str]:
        """The rows as text, topmost first."""
        return [row.astype("<u4").tobytes().decode("utf-32-le") for row in self.glyphs]


def rasterize(curves: Sequence[Points], width: int, height: int, marker: MarkerName = "braille") -> Raster:
    """Draw curves on a canvas of cells, later ones over earlier ones."""
    form = MARKERS[marker]
    patterns = np.zeros((height, width), np.uint8)
    owners = np.full((height, width), -1, np.int16)
    full = 0xFF00 >> form.across * form.down & 0xFF
    # What stands behind comes first: it may only take cells that are still empty at the end.
    for number in sorted(range(len(curves)), key=lambda k: not curves[k].behind):
        drawn = _patterns(curves[number], width, height, form)
        inked = drawn > 0
        if not curves[number].behind:
            patterns[inked & ((patterns == full) | _are_behind(owners, curves))] = 0
        patterns |= drawn
        owners[inked] = number
    return Raster(form.glyphs[patterns], owners)


def _are_behind(owners: NDArray[np.int16], curves: Sequence[Points]) -> NDArray[np.bool_]:
    behind = np.array([*(curve.behind for curve in curves), False])
    found: NDArray[np.bool_] = behind[owners]
    return found


def _patterns(curve: Points, width: int, height: int, form: Marker) -> NDArray[np.uint8]:
    columns, rows = width * form.across, height * form.down
    top, bottom = extents(curve, columns, rows)
    row = np.arange(rows)[:, None]
    dots = (row >= top) & (row <= bottom)
    cells = dots.reshape(height, form.down, width, form.across).transpose(0, 2, 1, 3)
    bits = cells.reshape(height, width, form.down * form.across)
    packed: NDArray[np.uint8] = np.packbits(bits, axis=2)[:, :, 0]
    return packed


def extents(curve: Points, columns: int, rows: int) -> tuple[Floats, Floats]:
    """The first and the last row of dots, from the top, that a curve lights in each column of dots.

    Returns:
        Whole numbers of shape (columns,); NaN where nothing is lit. They may lie outside the canvas.
    """
    with np.errstate(all="ignore"):
        column = np.rint(curve.x * (columns - 1))
        above, below, middle = ((1.0 - y) * (rows - 1) for y in (curve.high, curve.low, curve.mean))
    shown = np.isfinite(column) & np.isfinite(above) & np.isfinite(below)
    joined = shown & np.isfinite(middle)
    if joined.all():
        top, bottom = _joins(column, middle, None, columns)
    else:
        top, bottom = _joins(
            column[joined], middle[joined], np.cumsum(~joined, dtype=np.int64)[joined], columns
        )
    shown &= (column >= 0) & (column < columns)
    if not shown.all():
        column, above, below = column[shown], above[shown], below[shown]
    if len(column):
        starts = _starts(column)
        at = column[starts].astype(np.intp)
        top[at] = np.fmin(top[at], np.rint(np.minimum.reduceat(above, starts)))
        bottom[at] = np.fmax(bottom[at], np.rint(np.maximum.reduceat(below, starts)))
    return top, bottom


def column_means(x: Floats, values: Floats, columns: int) -> tuple[Floats, Floats]:
    """One point for each column of dots: the mean of its points, NaN where none of them is finite.

    Args:
        x: 0 at the left of the canvas, 1 at its right; never falling.
        values: of the same shape.
        columns: of the canvas.
    """
    last = max(1, columns - 1)
    column = np.rint(x * last)
    starts = _starts(column)
    if not len(starts):
        return column, column
    known = np.isfinite(values)
    with np.errstate(all="ignore"):
        counts = np.add.reduceat(known, starts, dtype=np.int64)
        # Divided first: the sum of huge values may be infinite.
        shares = np.where(known, values, 0.0) / np.repeat(counts, np.diff(np.append(starts, len(column))))
        means = np.where(counts > 0, np.add.reduceat(shares, starts), np.nan)
    return column[starts] / last, means


def _starts(column: Floats) -> NDArray[np.intp]:
    """Where each run of equal columns begins."""
    new = np.empty(len(column), bool)
    new[:1] = True
    np.not_equal(column[1:], column[:-1], out=new[1:])
    return np.flatnonzero(new)


def _joins(
    column: Floats, middle: Floats, segment: NDArray[np.int64] | None, columns: int
) -> tuple[Floats, Floats]:
    """First and last row of the lines between points in different columns, in each column of dots.

    Args:
        column: of each point; may lie outside the canvas.
        middle: row of each point, not rounded.
        segment: points of different segments are not joined; None for a single one.
        columns: of the canvas.
    """
    if not len(column):
        return np.full(columns, np.nan), np.full(columns, np.nan)
    starts = _starts(column)
    ends = np.append(starts[1:], len(column)) - 1
    at = column[starts]
    values = np.clip(np.column_stack((middle[starts], middle[ends])).ravel(), -_FAR, _FAR)
    # The line's height on the border between two columns: both light the dots up to it, so they touch.
    borders = np.arange(columns + 1) - 0.5
    heights = np.interp(borders, np.repeat(at, 2), values, np.nan, np.nan)
    if segment is not None:
        before = np.searchsorted(at, borders, "right") - 1
        inside = (before >= 0) & (before < len(at) - 1)
        torn = segment[ends[:-1]] != segment[starts[1:]]
        heights[np.flatnonzero(inside)[torn[before[inside]]]] = np.nan
    left, right = heights[:-1], heights[1:]
    centre = np.rint((left + right) / 2)
    inside_columns = at[(at >= 0) & (at < columns)].astype(np.intp)
    centre[inside_columns] = np.nan
    top = np.fmin(np.ceil(np.fmin(left, right)), centre)
    bottom = np.fmax(np.floor(np.fmax(left, right)), centre)
    return top, bottom
