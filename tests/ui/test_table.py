"""The table that makes only the lines in view."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.text import Text
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from tests.ui.driving import screen_lines, screen_text
from tui_trainer.ui.widgets.sparkline import sparkline
from tui_trainer.ui.widgets.table import GAP, Cell, Column, Styled, Table, fit_columns

Row = tuple[int, str]
COLUMNS = (
    Column("name", 8, grow=1),
    Column("state", 6, drop=2),
    Column("loss", 6, right=True, drop=1),
)


class TableApp(App[None]):
    def __init__(self, rows: int, cursor: bool = True) -> None:
        super().__init__()
        self.made: list[int] = []
        self.told: list[object] = []
        self.table: Table[Row] = Table(
            COLUMNS, self.cells, lambda row: row[0], cursor=cursor, empty="nothing here"
        )
        self.start = [(k, f"row {k}") for k in range(rows)]

    def cells(self, row: Row) -> list[Cell]:
        self.made.append(row[0])
        return [row[1], Styled("ok", "good"), Text("0.25")]

    def compose(self) -> ComposeResult:
        yield self.table

    def on_mount(self) -> None:
        self.table.set_rows(self.start)
        self.table.focus()

    def on_table_row_highlighted(self, event: Table.RowHighlighted) -> None:
        self.told.append(event.key)

    def on_table_header_clicked(self, event: Table.HeaderClicked) -> None:
        self.told.append(event.column)

    def on_table_row_selected(self, event: Table.RowSelected) -> None:
        self.told.append(("selected", event.key))


def drive(
    app: TableApp, steps: Callable[[Pilot[Any]], Awaitable[None]], size: tuple[int, int] = (40, 10)
) -> None:
    async def go() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await steps(pilot)

    asyncio.run(go())


def test_ten_thousand_rows_are_one_widget_and_only_those_in_view_are_made() -> None:
    app = TableApp(10_000)

    async def steps(pilot: Pilot[Any]) -> None:
        assert len(app.table.rows) == 10_000
        assert len(list(app.table.walk_children())) <= 3  # scrollbars
        assert set(app.made) <= set(range(20))
        await pilot.press("end")
        assert app.table.current == (9999, "row 9999")
        assert "row 9999" in screen_text(app)
        assert len(set(app.made)) < 60

    drive(app, steps)


def test_keys_move_the_cursor_and_the_view_follows() -> None:
    app = TableApp(50)

    async def steps(pilot: Pilot[Any]) -> None:
        for key, at in (
            ("down", 1), ("j", 2), ("up", 1), ("k", 0), ("up", 0), ("pagedown", 8), ("pagedown", 16),
            ("pageup", 8), ("end", 49), ("down", 49), ("home", 0), ("G", 49), ("g", 0),
        ):  # fmt: skip
            await pilot.press(key)
            assert app.table.cursor == at, key
            shown = [row[0] for row in app.table.visible_rows()]
            assert at in shown
        assert screen_lines(app)[0].split() == ["name", "state", "loss"]
        assert screen_lines(app)[1].startswith("▸ row 0")
        assert app.told[-1] == 0

    drive(app, steps)


def test_the_cursor_stays_on_its_row_when_rows_come_and_go() -> None:
    app = TableApp(50)

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("pagedown", "pagedown", "down")
        assert app.table.current_key == 17
        line = next(k for k, text in enumerate(screen_lines(app)) if "▸" in text)
        more = [(100 + k, "new") for k in range(3)] + app.start
        app.table.set_rows(more)
        await pilot.pause()
        assert app.table.current_key == 17
        assert screen_lines(app)[line].startswith("▸ row 17")
        app.table.set_rows([row for row in more if row[0] != 17])
        await pilot.pause()
        assert app.table.current_key == 18
        app.table.set_rows([])
        await pilot.pause()
        assert app.table.current is None
        assert "nothing here" in screen_text(app)
        app.table.set_rows(app.start[:2])
        await pilot.pause()
        assert app.table.current_key == 0

    drive(app, steps)


def test_a_cursor_that_nobody_moved_stays_at_the_top() -> None:
    app = TableApp(50)

    async def steps(pilot: Pilot[Any]) -> None:
        app.table.set_rows([(100, "newest"), *app.start])
        await pilot.pause()
        assert app.table.current_key == 100

    drive(app, steps)


def test_a_cursor_stays_on_the_row_that_somebody_acted_on() -> None:
    app = TableApp(50)

    async def steps(pilot: Pilot[Any]) -> None:
        assert app.table.choose() == app.start[0]
        app.table.set_rows([(100, "newest"), *app.start])
        await pilot.pause()
        assert app.table.current_key == 0

    drive(app, steps)


def test_at_the_top_new_rows_are_seen() -> None:
    app = TableApp(50)

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("home")
        app.table.set_rows([(100, "newest"), *app.start])
        await pilot.pause()
        assert "newest" in screen_lines(app)[1]
        assert screen_lines(app)[2].startswith("▸ row 0")

    drive(app, steps)


def test_the_mouse_chooses_rows_and_headings() -> None:
    app = TableApp(5)

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.click(Table, offset=(5, 3))
        assert app.table.cursor == 2
        await pilot.click(Table, offset=(5, 3))
        await pilot.click(Table, offset=(4, 0))
        await pilot.pause()
        assert app.told[-2:] == [("selected", 2), "name"]

    drive(app, steps)


def test_selected_rows_and_the_order_are_marked() -> None:
    app = TableApp(3)

    async def steps(pilot: Pilot[Any]) -> None:
        app.table.set_marked({1})
        app.table.set_sorted("loss", True)
        await pilot.pause()
        lines = screen_lines(app)
        assert lines[0].endswith("▾loss")
        assert [line[:2] for line in lines[1:4]] == ["▸ ", " ▪", "  "]

    drive(app, steps)


def test_data_is_no_markup_and_never_wider_than_its_column() -> None:
    app = TableApp(0)

    async def steps(pilot: Pilot[Any]) -> None:
        app.table.set_rows([(1, "[bold red]x[/] 世界世界世界世界世界世界世界世界")])
        await pilot.pause()
        line = screen_lines(app)[1]
        assert "[bold red]x" in line
        assert line.rstrip().endswith("0.25")

    drive(app, steps)


@pytest.mark.parametrize("size", [(20, 3), (3, 1), (1, 1), (40, 2)])
@pytest.mark.parametrize("rows", [0, 1, 100])
def test_no_size_is_too_small(size: tuple[int, int], rows: int) -> None:
    app = TableApp(rows)

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("down", "pagedown", "end", "home")
        assert app.table.cursor == 0

    drive(app, steps, size)


def test_without_a_cursor_keys_scroll() -> None:
    app = TableApp(50, cursor=False)

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("end")
        assert screen_lines(app)[-1].startswith("row 49")
        await pilot.press("home")
        assert screen_lines(app)[1].startswith("row 0")

    drive(app, steps)


def test_drawing_makes_the_lines_in_view_and_no_others() -> None:
    app = TableApp(10_000)

    async def steps(pilot: Pilot[Any]) -> None:
        app.made.clear()
        app.table.refresh_rows()
        await pilot.pause()
        assert app.made
        assert set(app.made) <= set(range(48))

    drive(app, steps, (160, 48))


@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=8),
    st.integers(0, 200),
)
def test_columns_fill_the_room_and_the_important_ones_stay(
    shapes: list[tuple[int, int, int]], room: int
) -> None:
    columns = [Column(str(k), width, grow=grow, drop=drop) for k, (width, grow, drop) in enumerate(shapes)]
    fitted = fit_columns(columns, room)
    shown = [index for index, _ in fitted]
    assert shown == sorted(shown)
    assert shown
    assert all(width >= columns[index].width for index, width in fitted)
    total = sum(width for _, width in fitted) + GAP * (len(fitted) - 1)
    if any(columns[index].drop for index in shown) and len(shown) > 1:
        assert total <= room
    if any(columns[index].grow for index in shown) and total <= room:
        assert total == room
    gone = set(range(len(columns))) - set(shown)
    if len(shown) > 1 or not gone:
        assert all(columns[g].drop >= max(columns[s].drop for s in shown) for g in gone)


@given(st.lists(st.floats(), max_size=40), st.integers(0, 12))
@example([0.0, 1e-323], 8)
@example([0.0, 0.0, *[1.7976931348623157e308] * 3], 2)
@example([-1.7e308, 1.7e308], 8)
def test_a_sparkline_has_a_column_for_each_value_as_far_as_there_is_room(
    values: list[float], width: int
) -> None:
    text = sparkline(values, width)
    assert len(text) == min(len(values), width)
    assert set(text) <= set("▁▂▃▄▅▆▇█·")


def test_a_sparkline_falls_as_its_values_do_and_shows_gaps() -> None:
    assert sparkline([8, 7, 6, 5, 4, 3, 2, 1], 8) == "█▇▆▅▄▃▂▁"
    assert sparkline([1.0, float("nan"), 2.0], 8) == "▁·█"
    assert sparkline([1.0, 1.0], 8) == "▁▁"
