"""What a chart shows, as plain data between a run's record and the chart widget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
XAxis = Literal["step", "epoch", "time"]
X_AXES: tuple[XAxis, ...] = ("step", "epoch", "time")


@dataclass(frozen=True, eq=False)
class Line:
    """One line of a chart; arrays have shape (points,).

    Attributes:
        name: as the legend says it.
        role: what it is, from which its colour follows: train, val, test, baseline, other1 … other6.
        x: places, never falling.
        low: smallest value of each point; NaN where there is none.
        high: largest value.
        mean: where the line runs through.
        nonfinite: whether a value of the point was NaN or infinite.
        sparse: a few measurements, each of which deserves a mark.
    """

    name: str
    role: str
    x: Floats
    low: Floats
    high: Floats
    mean: Floats
    nonfinite: NDArray[np.bool_]
    sparse: bool = False


@dataclass(frozen=True)
class Part:
    """A piece of a chart's title, in the colour of a role; an empty role is plain text."""

    text: str
    role: str = ""


@dataclass(frozen=True, eq=False)
class Places:
    """Steps and epochs along the x axis; arrays have shape (points,)."""

    x: Floats
    step: Floats
    epoch: Floats

    def at(self, x: float) -> tuple[float, float]:
        """Step and epoch at a place; NaN where they aren't known."""
        if not len(self.x):
            return np.nan, np.nan
        return float(np.interp(x, self.x, self.step)), float(np.interp(x, self.x, self.epoch))

    def of_step(self, step: float) -> float:
        """The place of a step; NaN where it isn't known."""
        return float(np.interp(step, self.step, self.x)) if len(self.x) else np.nan


NOWHERE = Places(*(np.empty(0),) * 3)


@dataclass(frozen=True, eq=False)
class ChartData:
    """All that a chart shows.

    Attributes:
        name: of the metric without its split, such as `loss`.
        parts: of the title, the most important first.
        lines: drawn in this order, later ones on top.
        x_axis: what `x` counts.
        best: place and value of the best measurement; None where there is none.
        marks: places and texts of what somebody changed.
        places: steps and epochs along the x axis.
        waiting: what it waits for, or why there is nothing, where no line has a point.
        detail: gives the lines between two places with all that the record knows of them.
    """

    name: str
    parts: tuple[Part, ...]
    lines: tuple[Line, ...]
    x_axis: XAxis
    best: tuple[float, float] | None = None
    marks: tuple[tuple[float, str], ...] = ()
    places: Places = NOWHERE
    waiting: str = ""
    detail: Callable[[float, float], tuple[Line, ...]] | None = None

    @property
    def title(self) -> str:
        """`loss  train 0.4312  test 0.4710  ▼ best 0.4688 @ep7`."""
        return "  ".join(part.text for part in self.parts)
