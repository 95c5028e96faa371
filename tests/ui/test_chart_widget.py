"""The chart on a screen."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from tui_trainer.ui.chart_data import ChartData, Line, Part, Places
from tui_trainer.ui.widgets.chart import Chart
from tui_trainer.ui.widgets.raster import MARKERS, MarkerName

SIZE = (80, 20)
CHECK = Callable[[Chart, Pilot[None]], None]


class ChartApp(App[None]):
    """A single chart."""

    def compose(self) -> ComposeResult:
        yield Chart()


def shown(check: Callable[[Chart], object], data: ChartData | None, size: tuple[int, int] = SIZE) -> None:
    """Run a check on a chart that shows `data`."""

    async def run() -> None:
        app = ChartApp()
        async with app.run_test(size=size) as pilot:
            chart = app.query_one(Chart)
            chart.show(data)
            check(chart)
            await pilot.pause()

    asyncio.run(run())


def text(chart: Chart) -> list[str]:
    """The lines of the chart."""
    return [chart.render_line(row).text for row in range(chart.size.height)]


def colours(chart: Chart, characters: str) -> set[object]:
    """The colours of all cells that hold one of some characters."""
    segments = [segment for row in range(chart.size.height) for segment in chart.render_line(row)]
    return {
        segment.style.color
        for segment in segments
        if segment.style is not None and set(segment.text) & set(characters)
    }


def braille(lines: Sequence[str]) -> int:
    return sum("\u2800" < character <= "\u28ff" for line in lines for character in line)


def make_line(y: object, role: str = "train", x: object = None, sparse: bool = False) -> Line:
    values = np.asarray(y, np.float64)
    bad = ~np.isfinite(values)
    values = np.where(bad, np.nan, values)
    places = np.arange(1, len(values) + 1, dtype=np.float64) if x is None else np.asarray(x, np.float64)
    return Line(role, role, places, values, values, values, bad, sparse)


def make_data(*lines: Line, **fields: object) -> ChartData:
    parts = [Part("loss"), *(Part(f"{line.name} {float(line.mean[-1]):.4f}", line.role) for line in lines)]
    values = {"name": "loss", "parts": tuple(parts), "lines": lines, "x_axis": "step", **fields}
    return ChartData(**values)  # type: ignore[arg-type]


def falling(points: int = 1000) -> Line:
    return make_line(1 + np.exp(-np.arange(points) / points * 5))


def with_test(points: int = 1000) -> ChartData:
    test = make_line([1.9, 1.4, 1.2, 1.3], "test", np.arange(1, 5) * points / 4, sparse=True)
    x = np.array([1.0, points])
    return make_data(falling(points), test, best=(points * 0.75, 1.2), places=Places(x, x, x / points * 4))


def test_curves_fill_the_chart_below_a_title_of_data() -> None:
    def check(chart: Chart) -> None:
        lines = text(chart)
        assert lines[0].startswith("loss  train 1.0068  ● test 1.3000")
        assert chart.legend == "loss  train 1.0068  ● test 1.3000"
        assert braille(lines) > 70
        assert lines[-1].split()[:2] == ["step", "0"]
        assert "└" in lines[-2]
        assert next(line.find("★") for line in lines if "★" in line) in range(58, 64)

    shown(check, with_test())


@pytest.mark.parametrize("data", [with_test(), None, make_data(make_line([math.nan]), best=(1.0, 2.0))])
def test_ascii_charts_have_nothing_else(data: ChartData | None) -> None:
    def check(chart: Chart) -> None:
        chart.marker, chart.inspect, chart.smoothing = "ascii", True, 0.6
        assert all(line.isascii() for line in text(chart)), text(chart)

    shown(check, data)


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize("size", [(1, 1), (10, 4), (3, 2), (12, 6), (40, 3), (40, 12), (200, 60)])
def test_every_size_is_filled(marker: MarkerName, size: tuple[int, int]) -> None:
    def check(chart: Chart) -> None:
        chart.marker = marker
        for chart.inspect in (False, True):
            for chart.log_y in (False, True):
                chart.zoom(2)
                chart.move_cursor(-1)
                assert [len(line) for line in text(chart)] == [size[0]] * size[1]

    shown(check, with_test(), size)


@pytest.mark.parametrize(
    "values",
    [[1.0], [2.0, 2.0], [math.nan, math.nan], [math.inf, 1, -math.inf], [1e308, -1e308], [5e-324, 0]],
)
def test_odd_values_are_drawn(values: list[float]) -> None:
    def check(chart: Chart) -> None:
        for chart.log_y in (False, True):
            for chart.smoothing in (0.0, 0.9):
                lines = text(chart)
                assert bool(braille(lines)) == bool(np.isfinite(values).any())
                assert ("×" in lines[-2]) == (not np.isfinite(values).all())

    shown(check, make_data(make_line(values)))


def test_a_chart_without_points_says_what_it_waits_for() -> None:
    def check(chart: Chart) -> None:
        assert any("no data yet" in line for line in text(chart))
        chart.show(make_data(waiting="waiting for the first step (loading data)"))
        assert any("no data yet: waiting for the first step (loading data)" in line for line in text(chart))
        chart.move_cursor(3)
        chart.zoom(2)
        chart.back_to_live()

    shown(check, None)


def test_new_data_is_drawn() -> None:
    def check(chart: Chart) -> None:
        before = text(chart)
        chart.show(make_data(falling(2000)))
        assert text(chart) != before

    shown(check, make_data(falling(1000)))


def test_a_spike_stands_out_until_the_end() -> None:
    values = np.ones(20_000)
    values[12_345] = 9.0

    def check(chart: Chart) -> None:
        top = text(chart)[1]
        assert braille([top]) == 1

    shown(check, make_data(make_line(values)))


def test_lines_have_colours_of_their_own_and_signs() -> None:
    def check(chart: Chart) -> None:
        (signs,) = colours(chart, "●")
        assert signs not in colours(chart, "⠉⠒⠤⣀") - {signs}
        assert len(colours(chart, "".join(map(chr, range(0x2801, 0x2900))))) == 2

    shown(check, with_test())


def test_inspecting_tells_the_values_under_the_cursor() -> None:
    def check(chart: Chart) -> None:
        chart.inspect = True
        assert chart.legend.startswith("loss  step 1,000 · ep 4.00  train ")
        assert any("│" in line[30:] for line in text(chart))
        chart.move_cursor(-30)
        assert "ep 2." in chart.legend
        assert "test 1.4000" in chart.legend
        chart.move_cursor(-1000)
        assert chart.legend.startswith("loss  step 1 · ep 0.00  train ")
        chart.inspect = False
        assert chart.legend == "loss  train 1.0068  ● test 1.3000"

    shown(check, with_test())


def test_a_change_is_told_where_the_cursor_meets_its_mark() -> None:
    def check(chart: Chart) -> None:
        assert text(chart)[-2].count("▲") == 1
        chart.inspect = True
        assert "lr 0.1" not in chart.legend
        while "lr 0.1" not in chart.legend:
            chart.move_cursor(-1)
        assert 490 < float(chart.legend.split()[2]) < 510

    x = np.array([1.0, 1000.0])
    shown(check, make_data(falling(), marks=((500.0, "lr 0.1 at step 500"),), places=Places(x, x, x)))


def window_of(chart: Chart) -> tuple[float, float]:
    """The ends of the x axis."""
    assert chart.span is not None
    return chart.span


def test_zooming_goes_in_around_the_cursor_and_back() -> None:
    def check(chart: Chart) -> None:
        chart.inspect = True
        chart.move_cursor(-37)
        middle = float(chart.legend.split()[2])
        for _ in range(4):
            chart.zoom(2)
        low, high = window_of(chart)
        assert high - low < 70
        assert low < middle < high
        assert "zoom, not live" in text(chart)[0]
        for _ in range(4):
            chart.zoom(0.5)
        assert not chart.zoomed
        assert window_of(chart) == (0, 1000)

    shown(check, with_test())


def test_the_view_moves_along_with_the_cursor() -> None:
    def check(chart: Chart) -> None:
        chart.inspect = True
        chart.zoom(10)
        before = window_of(chart)
        for _ in range(20):
            chart.move_cursor(-10)
        low, high = window_of(chart)
        assert high < before[0]
        assert high - low == pytest.approx(before[1] - before[0])
        chart.move_cursor(-5000)
        assert window_of(chart)[0] == pytest.approx(1)
        chart.back_to_live()
        assert window_of(chart) == (0, 1000)
        assert "step 1,000" in chart.legend

    shown(check, with_test())


def test_a_zoomed_chart_follows_what_comes_until_it_is_moved() -> None:
    def check(chart: Chart) -> None:
        chart.zoom(4)
        chart.show(with_test(1200))
        assert window_of(chart) == pytest.approx((950.25, 1200))
        chart.inspect = True
        chart.move_cursor(-200)
        still = window_of(chart)
        chart.show(with_test(1300))
        assert window_of(chart) == still

    shown(check, with_test())


def test_a_zoomed_chart_asks_for_detail() -> None:
    asked: list[tuple[float, float]] = []

    def detail(start: float, stop: float) -> tuple[Line, ...]:
        asked.append((start, stop))
        return (make_line([1.0, 3.0, 1.0], x=[start, (start + stop) / 2, stop]),)

    def check(chart: Chart) -> None:
        text(chart)
        assert asked == []
        chart.zoom(4)
        assert braille(text(chart)) > 0
        assert asked == [(750.25, 1000.0)]

    shown(check, make_data(falling(), detail=detail))


def test_recent_is_the_last_fifth() -> None:
    def check(chart: Chart) -> None:
        chart.recent = True
        assert window_of(chart) == pytest.approx((800.2, 1000))
        assert "last 20 %" in text(chart)[0]

    shown(check, make_data(falling()))


def test_log_axes_say_so_and_need_something_above_zero() -> None:
    def check(chart: Chart) -> None:
        chart.log_y = True
        assert text(chart)[0].rstrip().endswith("log y")
        chart.show(make_data(make_line([-1.0, -2.0])))
        assert text(chart)[0].rstrip().endswith("log y: nothing above 0")
        assert braille(text(chart)) > 0

    shown(check, make_data(falling()))


def test_smoothing_leaves_what_was_measured_behind() -> None:
    noise = np.random.default_rng(0).standard_normal(3000)

    def check(chart: Chart) -> None:
        full = "".join(map(chr, range(0x2801, 0x2900)))
        assert len(colours(chart, full)) == 1
        raw = braille(text(chart))
        chart.smoothing = 0.9
        dim = {
            segment.style.dim
            for row in range(chart.size.height)
            for segment in chart.render_line(row)
            if segment.style is not None and set(segment.text) & set(full)
        }
        assert {bool(value) for value in dim} == {False, True}
        assert braille(text(chart)) == raw

    shown(check, make_data(make_line(noise)))


def test_another_x_axis_ends_a_zoom() -> None:
    def check(chart: Chart) -> None:
        chart.zoom(4)
        chart.x_axis = "time"
        chart.show(make_data(make_line([1.0, 2.0], x=[0.0, 3600.0]), x_axis="time"))
        assert not chart.zoomed
        assert text(chart)[-1].split()[0] == "time"
        assert "30m" in text(chart)[-1]

    shown(check, make_data(falling()))


def test_narrow_titles_keep_their_beginning() -> None:
    def check(chart: Chart) -> None:
        assert text(chart)[0].rstrip() == "loss  train 1.0068"

    shown(check, with_test(), (24, 12))


def test_markup_in_names_is_shown_as_it_is() -> None:
    line = make_line([1.0, 2.0])

    def check(chart: Chart) -> None:
        assert "[red]x[/]" in text(chart)[0]

    shown(check, make_data(line, parts=(Part("[red]x[/]"),)))


def test_a_dense_line_without_a_value_leaves_the_others() -> None:
    def check(chart: Chart) -> None:
        assert braille(text(chart)) > 20

    shown(check, make_data(make_line([math.nan] * 50, "other1"), make_line(range(50), "other2")))
