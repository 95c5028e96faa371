"""Curves as characters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tui_trainer.ui.widgets.raster import (
    MARKERS,
    MarkerName,
    Points,
    column_means,
    extents,
    rasterize,
)
from tui_trainer.ui.widgets.scale import Scale, spread
from tui_trainer.ui.widgets.smoothing import smooth

Floats = NDArray[np.float64]
ANY = st.floats(allow_nan=True, allow_infinity=True)
SIZES = st.tuples(st.integers(1, 40), st.integers(1, 12))
NAMES = st.sampled_from(list(MARKERS))


def curve(y: object, x: object = None, behind: bool = False) -> Points:
    heights = np.asarray(y, np.float64)
    places = np.linspace(0, 1, len(heights)) if x is None else np.asarray(x, np.float64)
    return Points(places, heights, heights, heights, behind)


def dots(points: Points, columns: int, rows: int) -> NDArray[np.bool_]:
    """The canvas as dots, topmost row first."""
    top, bottom = extents(points, columns, rows)
    row = np.arange(rows)[:, None]
    return (row >= top) & (row <= bottom)


@given(st.integers(0, 19_999), st.floats(0.2, 1.0))
def test_a_spike_of_one_point_lights_the_dot_at_its_place_and_height(at: int, height: float) -> None:
    y = np.zeros(20_000)
    y[at] = height
    lit = dots(curve(y), 200, 100)
    column = round(at / 19_999 * 199)
    assert lit[round((1 - height) * 99), column]
    assert not lit[: round((1 - height) * 99)].any()


@given(st.lists(ANY, max_size=60), SIZES, NAMES)
def test_any_values_give_a_canvas_of_the_size_asked_for(
    values: list[float], size: tuple[int, int], name: MarkerName
) -> None:
    width, height = size
    y = np.array(values, np.float64)
    known = y[np.isfinite(y)]
    scale = spread(float(known.min()), float(known.max())) if len(known) else Scale(0.0, 1.0)
    raster = rasterize([curve(scale.fraction(y))], width, height, name)
    assert [len(line) for line in raster.lines()] == [width] * height
    assert ((raster.owners == 0) == (raster.glyphs != ord(" "))).all()
    assert bool((raster.owners == 0).any()) == bool(len(known))


@given(st.lists(ANY, min_size=1, max_size=60), SIZES)
def test_ascii_has_ascii_characters_only(values: list[float], size: tuple[int, int]) -> None:
    assert all(line.isascii() for line in rasterize([curve(values)], *size, "ascii").lines())


@given(st.lists(st.floats(-3, 4), min_size=2, max_size=40), st.integers(1, 60), st.integers(2, 60))
def test_nothing_is_lit_above_the_highest_or_below_the_lowest_point(
    values: list[float], columns: int, rows: int
) -> None:
    lit = np.flatnonzero(dots(curve(values), columns, rows).any(axis=1))
    top, bottom = (np.rint((1 - end) * (rows - 1)) for end in (max(values), min(values)))
    assert ((lit >= top) & (lit <= bottom)).all()


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.integers(2, 80), st.integers(2, 40))
def test_a_line_has_no_holes(values: list[float], columns: int, rows: int) -> None:
    top, bottom = extents(curve(values), columns, rows)
    assert not np.isnan(top).any()
    assert (top[1:] <= bottom[:-1] + 1).all()
    assert (bottom[1:] >= top[:-1] - 1).all()


@given(st.lists(st.floats(0, 1), min_size=2, max_size=80).map(sorted), st.integers(2, 60), st.integers(2, 40))
def test_rising_values_give_rising_dots(values: list[float], columns: int, rows: int) -> None:
    top, bottom = extents(curve(values), columns, rows)
    assert (np.diff(top) <= 0).all()
    assert (np.diff(bottom) <= 0).all()


def test_points_that_are_not_finite_leave_a_gap_between_their_neighbours() -> None:
    lit = dots(curve([0, 0, np.nan, 1, np.inf, 0.5], np.linspace(0, 1, 6)), 11, 9).any(axis=0)
    assert np.flatnonzero(lit).tolist() == [0, 1, 2, 6, 10]


def test_a_point_without_a_mean_is_drawn_but_not_joined() -> None:
    x, ends = np.array([0, 0.5, 1]), np.array([0.0, 1.0, 0.0])
    points = Points(x, np.array([0.0, 0.5, 0.0]), ends, np.array([0, np.nan, 0]))
    lit = dots(points, 11, 11)
    assert np.flatnonzero(lit.any(axis=0)).tolist() == [0, 5, 10]
    assert np.flatnonzero(lit[:, 5]).tolist() == [0, 1, 2, 3, 4, 5]


@given(st.lists(st.one_of(st.floats(-1e300, 1e300), st.just(float("nan"))), max_size=80), st.integers(1, 40))
def test_the_mean_of_each_column_of_dots_is_that_of_its_finite_points(
    values: list[float], columns: int
) -> None:
    x = np.sort(np.random.default_rng(len(values)).random(len(values)))
    places, means = column_means(x, np.array(values, np.float64), columns)
    groups: dict[float, list[float]] = {}
    for place, value in zip(x, values, strict=True):
        groups.setdefault(float(np.rint(place * max(1, columns - 1))), []).append(value)
    known = [[value for value in group if math.isfinite(value)] for group in groups.values()]
    expected = [math.fsum(value / len(group) for value in group) if group else math.nan for group in known]
    assert means == pytest.approx(expected, nan_ok=True)
    assert places * max(1, columns - 1) == pytest.approx(list(groups))


def test_a_line_between_points_outside_crosses_the_canvas() -> None:
    lit = dots(curve([-1.0, 2.0], [-1.0, 2.0]), 10, 10)
    assert [int(np.flatnonzero(column)[0]) for column in lit.T] == list(range(9, -1, -1))
    assert not dots(curve([5.0, 6.0], [-1.0, 2.0]), 10, 10).any()


def test_points_at_one_place_make_a_vertical_line() -> None:
    lit = dots(curve([0.0, 1.0, 0.5], [0.5, 0.5, 0.5]), 5, 7)
    assert lit[:, 2].all()
    assert lit.sum() == 7


@pytest.mark.parametrize(("marker", "expected"), [("braille", "⠤"), ("blocks", "▄"), ("ascii", "-")])
def test_a_constant_is_a_horizontal_line(marker: MarkerName, expected: str) -> None:
    lines = rasterize([curve([0.45, 0.45])], 4, 1, marker).lines()
    assert lines == [expected * 4]


@pytest.mark.parametrize("marker", MARKERS)
def test_the_last_curve_colours_a_shared_cell_and_one_behind_leaves_it(marker: MarkerName) -> None:
    low, high = curve([0.0, 0.0]), curve([1.0, 1.0])
    both = rasterize([low, high], 1, 1, marker)
    assert both.owners.tolist() == [[1]]
    alone = rasterize([high], 1, 1, marker)
    assert (both.glyphs != alone.glyphs).all()
    for order in ([curve([0.0, 0.0], behind=True), high], [high, curve([0.0, 0.0], behind=True)]):
        raster = rasterize(order, 1, 1, marker)
        assert raster.glyphs.tolist() == alone.glyphs.tolist()
        assert not order[int(raster.owners[0, 0])].behind


@pytest.mark.parametrize("marker", MARKERS)
def test_a_line_that_crosses_a_broad_band_stays_thin(marker: MarkerName) -> None:
    x = np.array([0.0, 1.0])
    band = Points(x, np.zeros(2), np.ones(2), np.full(2, 0.5))
    line = curve([0.5, 0.5])
    raster = rasterize([band, line], 6, 3, marker)
    alone = rasterize([line], 6, 3, marker)
    assert raster.glyphs[1, 1:5].tolist() == alone.glyphs[1, 1:5].tolist()


@pytest.mark.parametrize("values", [(1e308, -1e308), (1e-308, 3e-308), (5e-324, 1e-323), (1e16, 1e16 + 4)])
def test_extreme_ranges_reach_from_edge_to_edge(values: tuple[float, float]) -> None:
    scale = spread(min(values), max(values))
    lit = dots(curve(scale.fraction(np.array(values))), 20, 10)
    assert lit[0].any()
    assert lit[-1].any()


def test_a_log_scale_has_no_place_for_what_is_not_positive() -> None:
    fractions = Scale(1e-3, 1e3, log=True).fraction(np.array([1e-3, 1.0, 1e3, 0.0, -1.0, np.nan]))
    np.testing.assert_allclose(fractions, [0, 0.5, 1, np.nan, np.nan, np.nan])


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_equal_values_get_room_around_them(value: float) -> None:
    scale = spread(value, value)
    assert scale.low < scale.high
    assert 0 <= float(scale.fraction(np.array(value))) <= 1


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.sampled_from([0.6, 0.9]))
def test_smoothing_is_the_debiased_moving_average(values: list[float], weight: float) -> None:
    average, expected = 0.0, []
    for count, value in enumerate(values, 1):
        average = weight * average + (1 - weight) * value
        expected.append(average / (1 - weight**count))
    found = smooth(np.array(values), weight)
    np.testing.assert_allclose(found, expected, atol=2e-4 * max(1e-9, *np.abs(values), 1e-9))


def test_smoothing_passes_over_gaps_and_keeps_them() -> None:
    found = smooth(np.array([1.0, np.nan, 1.0, np.inf, 1.0]), 0.9)
    np.testing.assert_allclose(found, [1, np.nan, 1, np.nan, 1])
    assert np.isnan(smooth(np.array([np.nan, np.nan]), 0.6)).all()
    assert np.isfinite(smooth(np.full(200, 1e308), 0.9)).all()
