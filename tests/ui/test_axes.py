"""Round numbers along an axis."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_trainer.ui.widgets.axes import labels, place_columns, place_rows, short_time, snap, ticks
from tui_trainer.ui.widgets.scale import Scale, spread

FINITE = st.floats(allow_nan=False, allow_infinity=False)
UNITS = st.sampled_from(["number", "count", "seconds"])


@pytest.mark.parametrize(
    ("low", "high", "unit", "log", "expected"),
    [
        (0, 1, "number", False, "0 0.2 0.4 0.6 0.8 1.0"),
        (0.12, 2.3, "number", False, "0.5 1.0 1.5 2.0"),
        (0, 690, "count", False, "0 200 400 600"),
        (0, 1e6, "count", False, "0 200k 400k 600k 800k 1M"),
        (0, 3, "count", False, "0 1 2 3"),
        (0, 3e-4, "number", False, "0 5e-5 1e-4 1.5e-4 2e-4 2.5e-4 3e-4"),
        (1000, 1000.5, "number", False, "1000.0 1000.1 1000.2 1000.3 1000.4 1000.5"),
        (0, 5400, "seconds", False, "0s 15m 30m 45m 1h 1h15 1h30"),
        (0.003, 2.5, "number", True, "0.003 0.01 0.03 0.1 0.3 1"),
        (1e-8, 1, "number", True, "1e-8 1e-6 1e-4 0.01 1"),
    ],
)
def test_ticks_are_round_and_their_labels_short(
    low: float, high: float, unit: str, log: bool, expected: str
) -> None:
    values = ticks(Scale(low, high, log), 6, unit)  # type: ignore[arg-type]
    assert " ".join(labels(values, unit, log)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "0.25s"), (45, "45s"), (60, "1m"), (90, "1m30"), (5400, "1h30"), (194400, "2d6h")],
)
def test_times_are_short(seconds: float, text: str) -> None:
    assert short_time(seconds) == text


@given(FINITE, FINITE, st.integers(1, 12), UNITS, st.booleans())
def test_ticks_of_any_range_are_few_rising_and_inside(
    one: float, other: float, most: int, unit: str, log: bool
) -> None:
    if log:
        one, other = max(abs(one), 5e-324), max(abs(other), 5e-324)
    scale = spread(min(one, other), max(one, other), log)
    found = ticks(scale, most, unit)  # type: ignore[arg-type]
    assert len(found) <= 2 * most + 2
    assert all(low < high for low, high in pairwise(found))
    assert all(math.isfinite(value) for value in found)
    assert len(labels(found, unit, log)) == len(found)  # type: ignore[arg-type]


@given(FINITE, FINITE, st.integers(1, 12))
def test_snapping_only_widens_and_only_a_little(one: float, other: float, most: int) -> None:
    scale = spread(min(one, other), max(one, other))
    snapped = snap(scale, most)
    room = (scale.high / 2 - scale.low / 2) * 1e-5
    assert snapped.low <= scale.low + room
    assert snapped.high >= scale.high - room
    assert snapped.high / 2 - snapped.low / 2 <= (scale.high / 2 - scale.low / 2) * 2.01


@given(FINITE, FINITE, st.integers(1, 200), st.integers(1, 12), UNITS)
def test_labels_never_touch_and_stay_inside(
    one: float, other: float, cells: int, most: int, unit: str
) -> None:
    scale = spread(min(one, other), max(one, other))
    values = ticks(scale, most, unit)  # type: ignore[arg-type]
    texts = list(zip(values, labels(values, unit), strict=True))  # type: ignore[arg-type]
    columns = place_columns(scale, cells, texts, 2)
    assert all(0 <= tick.at < cells and 0 <= tick.start <= cells - len(tick.label) for tick in columns)
    assert all(one.start + len(one.label) < two.start for one, two in pairwise(columns))
    rows = place_rows(scale, cells, texts, 4)
    assert all(0 <= tick.at < cells for tick in rows)
    assert all(one.at + 1 < two.at for one, two in pairwise(rows))
