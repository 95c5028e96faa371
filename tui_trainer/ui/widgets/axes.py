"""Round numbers along an axis, and where their labels go."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from tui_trainer.ui.widgets.scale import Scale, cell

Unit = Literal["number", "count", "seconds"]
"""What an axis counts: any number, whole things such as steps, or time."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_SECONDS = [1, 2, 5, 10, 15, 30]
_TIMES = [*_SECONDS, *(_MINUTE * n for n in _SECONDS), *(_HOUR * n for n in (1, 2, 3, 6, 12)), _DAY]
_SUFFIXES = ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))
"""From which value on, the unit, its letter."""
_MOST_DECIMALS = 6


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis.

    Attributes:
        at: row or column of the tick itself.
        start: row or column where the label begins.
        label: the text.
    """

    at: int
    start: int
    label: str


def step_size(low: float, high: float, most: int, unit: Unit = "number") -> float:
    """The smallest round distance that puts at most about `most` ticks between two values."""
    rough = high / max(1, most) - low / max(1, most)
    if not (math.isfinite(rough) and rough > 0):
        return 0.0
    if unit == "seconds" and rough > 1:
        for seconds in _TIMES:
            if rough <= seconds:
                return float(seconds)
        days = _DAY * max(1.0, _round_up(rough / _DAY))
        return days if math.isfinite(days) else rough
    size = _round_up(rough)
    return max(1.0, size) if unit == "count" else size


def _round_up(rough: float) -> float:
    power = math.floor(math.log10(rough))
    for exponent in (power, min(power + 1, 308)):
        for digit in (1, 2, 5):
            size = digit * 10.0**exponent
            if rough * 0.999999 <= size < math.inf:
                return size
    return rough


def snap(scale: Scale, most: int, unit: Unit = "number") -> Scale:
    """A linear scale widened to the next small round numbers, so that it stays put while values come in."""
    size = step_size(scale.low, scale.high, most, unit) / 5
    if scale.log or not size:
        return scale
    low, high = scale.low / size, scale.high / size
    if max(abs(low), abs(high)) > 1e9:
        return scale
    low, high = math.floor(low + 1e-6) * size, math.ceil(high - 1e-6) * size
    return Scale(low, high) if math.isfinite(low) and math.isfinite(high) and low < high else scale


def ticks(scale: Scale, most: int, unit: Unit = "number") -> list[float]:
    """Round values on a scale, rising; at most about `most`."""
    if most < 1:
        return []
    if scale.log:
        found = _log_ticks(scale, most)
        if len(found) >= 2:
            return found
    size = step_size(scale.low, scale.high, most, unit)
    if not size:
        return [scale.low]
    first, last = scale.low / size, scale.high / size
    if max(abs(first), abs(last)) > 1e15:
        return [scale.low]
    return [k * size + 0.0 for k in range(math.ceil(first - 1e-9), math.floor(last + 1e-9) + 1)]


def _log_ticks(scale: Scale, most: int) -> list[float]:
    low, high = math.log10(scale.low), math.log10(scale.high)
    first, last = math.floor(low), math.ceil(high)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        values = [digit * _power(k) for k in range(first, last + 1) for digit in digits]
        found = [value for value in values if scale.low * 0.999999 <= value <= scale.high]
        if len(found) <= most:
            return found
    stride = -(-(last - first) // most)
    first = math.ceil(low / stride) * stride
    return [_power(k) for k in range(first, math.floor(high) + 1, stride)]


def _power(exponent: int) -> float:
    return 10.0**exponent if -323 <= exponent <= 308 else 0.0 if exponent < 0 else math.inf


def labels(values: Sequence[float], unit: Unit = "number", log: bool = False) -> list[str]:
    """Short texts for rising tick values, with as many decimals as it takes to tell them apart."""
    if unit == "seconds":
        return [short_time(value) for value in values]
    gaps = [high - low for low, high in pairwise(values)]
    tolerances = [
        min((gap for gap in gaps[max(0, k - 1) : k + 1]), default=abs(value)) / 100
        for k, value in enumerate(values)
    ]
    if unit == "count" or log:
        return [
            _number(value, *_form(value, tolerance))
            for value, tolerance in zip(values, tolerances, strict=True)
        ]
    largest = max((abs(value) for value in values), default=0.0)
    forms = [_form(value, tolerance, largest) for value, tolerance in zip(values, tolerances, strict=True)]
    most = max((decimals for _, _, decimals in forms), default=0)
    return [
        _number(value, size, suffix, decimals if suffix == "e" else most)
        for value, (size, suffix, decimals) in zip(values, forms, strict=True)
    ]


def _form(value: float, tolerance: float, largest: float | None = None) -> tuple[float, str, int]:
    """The unit a value is written in, its suffix (`e` for an exponent), and the decimals that it takes."""
    largest = abs(value) if largest is None else largest
    if largest >= 1e12 or 0 < largest < 1e-3:
        size, suffix = 10.0 ** _exponent(value), "e"
    else:
        size, suffix = next(
            ((size, suffix) for least, size, suffix in _SUFFIXES if largest >= least), (1.0, "")
        )
    for decimals in range(_MOST_DECIMALS):
        if abs(float(f"{value / size:.{decimals}f}") * size - value) <= tolerance:
            return size, suffix, decimals
    return size, suffix, _MOST_DECIMALS


def _exponent(value: float) -> int:
    return max(-307, math.floor(math.log10(abs(value)) + 1e-9)) if value else 0


def _number(value: float, size: float, suffix: str, decimals: int) -> str:
    """`0`, `0.25`, `12k`, `3e-4`."""
    if not value:
        return "0"
    text = f"{value / size:.{decimals}f}"
    return f"{text}e{_exponent(value)}" if suffix == "e" else text + suffix


def short_time(seconds: float) -> str:
    """`0.2s`, `45s`, `12m`, `1m30`, `1h30`, `2d6h`."""
    sign, seconds = "-" if seconds < 0 else "", abs(seconds)
    if seconds < 1 or (seconds < _MINUTE and seconds != round(seconds)):
        return f"{sign}{seconds:.3g}s" if seconds else "0s"
    whole = round(seconds)
    for size, part, name, rest in ((_DAY, _HOUR, "d", "h"), (_HOUR, _MINUTE, "h", ""), (_MINUTE, 1, "m", "")):
        if whole >= size:
            more = whole % size // part
            width = 1 if rest else 2
            return f"{sign}{whole // size}{name}" + (f"{more:0{width}}{rest}" if more else "")
    return f"{sign}{whole}s"


def place_rows(scale: Scale, height: int, texts: Sequence[tuple[float, str]], down: int) -> list[Tick]:
    """Labels beside the rows of a plot, from the top; of those that would touch, the lower one stays.

    Args:
        scale: of the vertical axis.
        height: rows of cells.
        texts: values and their labels, rising.
        down: rows of dots in a cell.
    """
    placed: list[Tick] = []
    for value, text in texts:
        fraction = float(scale.fraction(np.array(value)))
        if not 0 <= fraction <= 1:
            continue
        row = cell(1 - fraction, height, down)
        if not placed or row < placed[-1].at - 1:
            placed.append(Tick(row, row, text))
    return placed[::-1]


def place_columns(scale: Scale, width: int, texts: Sequence[tuple[float, str]], across: int) -> list[Tick]:
    """Labels below the columns of a plot, from the left, each under its tick; none touches the one before.

    Args:
        scale: of the horizontal axis.
        width: columns of cells.
        texts: values and their labels, rising.
        across: columns of dots in a cell.
    """
    placed: list[Tick] = []
    free = 0
    for value, text in texts:
        fraction = float(scale.fraction(np.array(value)))
        if not 0 <= fraction <= 1 or len(text) > width:
            continue
        column = cell(fraction, width, across)
        start = min(max(0, column - len(text) // 2), width - len(text))
        if start >= free:
            placed.append(Tick(column, start, text))
            free = start + len(text) + 2
    return placed
