"""A table of any length: only the lines in view are ever made."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

Item = TypeVar("Item")

GAP = 2
_GUTTER = 2


class Styled(NamedTuple):
    """A cell's text with a look: good, bad, warning, accent, dim or strong."""

    text: str
    look: str


Cell = str | Styled | Text


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        title: its heading.
        width: its least width in cells.
        right: whether it is aligned to the right.
        grow: its share of the room that is left over; 0 for none.
        most: its largest width.
        drop: columns with a higher number are left out sooner where room is scarce; 0 is never left out.
        name: how it is called in messages and by `set_sorted`; by default its title.
        look: of the heading.
    """

    title: str
    width: int
    right: bool = False
    grow: int = 0
    most: int = 1000
    drop: int = 0
    name: str = ""
    look: str = ""

    @property
    def id(self) -> str:
        return self.name or self.title


def fit_columns(columns: Sequence[Column], room: int) -> list[tuple[int, int]]:
    """Which columns are shown in `room` cells, as (index, width)."""
    shown = list(range(len(columns)))

    def needed() -> int:
        return sum(columns[k].width for k in shown) + GAP * (len(shown) - 1)

    while len(shown) > 1 and needed() > room and any(columns[k].drop for k in shown):
        # Of equals the right-most goes.
        shown.remove(max(shown, key=lambda k: (columns[k].drop, k)))
    widths = {k: columns[k].width for k in shown}
    spare = room - needed()
    while spare > 0:
        growing = [k for k in shown if columns[k].grow and widths[k] < columns[k].most]
        if not growing:
            break
        shares = sum(columns[k].grow for k in growing)
        before = spare
        for k in growing:
            more = min(max(1, before * columns[k].grow // shares), columns[k].most - widths[k], spare)
            widths[k] += more
            spare -= more
    return [(k, widths[k]) for k in shown]


class Table(ScrollView, Generic[Item], can_focus=True):
    """Rows of cells under a fixed heading, with a cursor that stays on its row when rows come and go.

    Args:
        columns: the columns.
        cells: the cells of an item, one a column. Called for rows in view only.
        key: what tells an item from the others, whatever becomes of it. By default the item itself.
        cursor: whether there is a cursor; without one the table only scrolls.
        empty: what is said when there are no rows.
    """

    DEFAULT_CSS = """
    Table {
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        & > .table--header { color: $primary; text-style: bold; }
        & > .table--cursor { background: $primary 30%; text-style: bold; }
        & > .table--cursor-blurred { background: $foreground 12%; }
        & > .table--marked { background: $warning 20%; }
        & > .table--good { color: $success; }
        & > .table--bad { color: $error; }
        & > .table--warning { color: $warning; }
        & > .table--accent { color: $primary; }
        & > .table--dim { color: $foreground 60%; }
        & > .table--strong { text-style: bold; }
        &:ansi > .table--dim { text-style: dim; }
        &:ansi > .table--cursor-blurred { text-style: underline; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--header", "table--cursor", "table--cursor-blurred", "table--marked", "table--good",
        "table--bad", "table--warning", "table--accent", "table--dim", "table--strong",
    }  # fmt: skip
    BINDINGS: ClassVar[list[Any]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "first", "First", show=False),
        Binding("end,G", "last", "Last", show=False),
    ]
    ALLOW_SELECT = False

    class RowHighlighted(Message):
        """The cursor came to another row, or to none."""

        def __init__(self, table: Table[Any], key: Hashable | None) -> None:
            super().__init__()
            self.table, self.key = table, key

        @property
        def control(self) -> Table[Any]:
            return self.table

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, type(self)) and message.table is self.table

    class RowSelected(Message):
        """The row under the cursor was clicked."""

        def __init__(self, table: Table[Any], key: Hashable) -> None:
            super().__init__()
            self.table, self.key = table, key

        @property
        def control(self) -> Table[Any]:
            return self.table

    class HeaderClicked(Message):
        """The heading of a column was clicked."""

        def __init__(self, table: Table[Any], column: str) -> None:
            super().__init__()
            self.table, self.column = table, column

        @property
        def control(self) -> Table[Any]:
            return self.table

    def __init__(
        self,
        columns: Sequence[Column],
        cells: Callable[[Item], Sequence[Cell]],
        key: Callable[[Item], Hashable] | None = None,
        *,
        cursor: bool = True,
        empty: str = "",
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._columns = tuple(columns)
        self._cells = cells
        self._key_of = key or (lambda item: item)
        self._has_cursor = cursor
        self._empty = empty
        self._rows: Sequence[Item] = ()
        self._cursor = 0
        self._moved = False
        self._marked: Collection[Hashable] = frozenset()
        self._sorted: tuple[str, bool] | None = None
        self._fitted: tuple[int, list[tuple[int, int]]] = (-1, [])
        self._lines: dict[Hashable, tuple[Item, tuple[object, ...], Strip]] = {}

    # ------------------------------------------------------------------ content

    @property
    def rows(self) -> Sequence[Item]:
        """What is shown, in its order."""
        return self._rows

    @property
    def cursor(self) -> int:
        """The index of the row under the cursor."""
        return self._cursor

    @property
    def current(self) -> Item | None:
        """The item under the cursor; None in an empty table."""
        return self._rows[self._cursor] if self._has_cursor and self._cursor < len(self._rows) else None

    def choose(self) -> Item | None:
        """The item under the cursor, which somebody acts on: the cursor stays on it from now on."""
        self._moved |= self.current is not None
        return self.current

    @property
    def current_key(self) -> Hashable | None:
        """The key of the item under the cursor."""
        item = self.current
        return None if item is None else self._key_of(item)

    def set_rows(self, rows: Sequence[Item]) -> None:
        """Show these rows. The cursor stays on its item; if that is gone, at its place.

        Until somebody moves it or acts on a row, it stays on the first row.

        An item that equals the one that was shown under its key is taken to look the same.
        """
        old = self._rows
        before, key = self._cursor, self.current_key
        self._rows = rows
        if key is not None and self._moved:
            self._cursor = self._find(key, before)
        self._cursor = max(0, min(self._cursor, len(rows) - 1))
        if len(rows) != len(old):
            self.virtual_size = Size(0, len(rows) + 1)
        if self.scroll_offset.y > 0 and self._cursor != before:
            # What the eye rests on stays where it is.
            self._scroll_by(self._cursor - before)
        self._keep_in_view()
        if len(self._lines) > 4 * max(64, self.size.height):
            self._lines.clear()
        if len(rows) != len(old) or any(
            a is not b and a != b for a, b in zip(self._window(old), self._window(rows), strict=True)
        ):
            self.refresh()
        if self.current_key != key:
            self._tell()

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Show other columns."""
        if tuple(columns) != self._columns:
            self._columns = tuple(columns)
            self._redraw()

    def set_marked(self, keys: Collection[Hashable]) -> None:
        """Mark the rows with these keys as selected."""
        if keys != self._marked:
            self._marked = frozenset(keys)
            self.refresh()

    def set_sorted(self, column: str, descending: bool) -> None:
        """Show at a heading by which column the rows are sorted."""
        if (column, descending) != self._sorted:
            self._sorted = (column, descending)
            self.refresh(Region(0, 0, self.size.width, 1))

    def set_empty(self, text: str) -> None:
        """What is said when there are no rows."""
        if text != self._empty:
            self._empty = text
            if not self._rows:
                self.refresh()

    def refresh_rows(self, keys: Collection[Hashable] | None = None) -> None:
        """Ask again for the cells of some rows, or of all: what they show beside the item has changed."""
        if keys is None:
            self._redraw()
            return
        for line, item in enumerate(self._window(self._rows)):
            if (key := self._key_of(item)) in keys:
                self._lines.pop(key, None)
                self.refresh(Region(0, line + 1, self.size.width, 1))

    def visible_rows(self) -> Sequence[Item]:
        """The items in view."""
        return self._window(self._rows)

    def shows(self, column: str) -> bool:
        """Whether there is room for a column."""
        return any(self._columns[index].id == column for index, _ in self._layout())

    def _find(self, key: Hashable, otherwise: int) -> int:
        if 0 <= otherwise < len(self._rows) and self._key_of(self._rows[otherwise]) == key:
            return otherwise
        # Rows that came or went above move it by a few places, so these are looked at first.
        for near in range(otherwise - 64, otherwise + 64):
            if 0 <= near < len(self._rows) and self._key_of(self._rows[near]) == key:
                return near
        return next((k for k, item in enumerate(self._rows) if self._key_of(item) == key), otherwise)

    def _window(self, rows: Sequence[Item]) -> Sequence[Item]:
        top = self.scroll_offset.y
        return rows[top : top + self._page_rows]

    # ------------------------------------------------------------------ cursor

    @property
    def _page_rows(self) -> int:
        return max(1, self.size.height - 1)

    def action_move(self, by: int) -> None:
        if not self._has_cursor:
            self._scroll_by(by)
            return
        self._go(self._cursor + by)

    def action_page(self, by: int) -> None:
        self.action_move(by * max(1, self._page_rows - 1))

    def action_first(self) -> None:
        self.action_move(-len(self._rows))

    def action_last(self) -> None:
        self.action_move(len(self._rows))

    def _go(self, index: int) -> None:
        index = max(0, min(index, len(self._rows) - 1))
        self._moved = True
        if index == self._cursor:
            return
        for changed in (self._cursor, index):
            self._refresh_line(changed)
        self._cursor = index
        self._keep_in_view()
        self._tell()

    def _keep_in_view(self) -> None:
        if not self._has_cursor or self.size.height == 0:
            return
        top, page = self.scroll_offset.y, self._page_rows
        if self._cursor < top:
            self._scroll_by(self._cursor - top)
        elif self._cursor >= top + page:
            self._scroll_by(self._cursor - top - page + 1)

    def _scroll_by(self, lines: int) -> None:
        self.scroll_to(y=self.scroll_offset.y + lines, animate=False, immediate=True, force=True)

    def _refresh_line(self, index: int) -> None:
        self.refresh(Region(0, index - self.scroll_offset.y + 1, self.size.width, 1))

    def _tell(self) -> None:
        if self._has_cursor:
            self.post_message(self.RowHighlighted(self, self.current_key))

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            at = _GUTTER if self._has_cursor else 0
            for index, width in self._layout():
                if at <= event.x < at + width:
                    self.post_message(self.HeaderClicked(self, self._columns[index].id))
                at += width + GAP
            return
        index = event.y - 1 + self.scroll_offset.y
        if not self._has_cursor or index >= len(self._rows):
            return
        if index == self._cursor:
            self.post_message(self.RowSelected(self, self._key_of(self._rows[index])))
        else:
            self._go(index)

    def on_focus(self) -> None:
        self._refresh_line(self._cursor)

    def on_blur(self) -> None:
        self._refresh_line(self._cursor)

    def on_resize(self) -> None:
        self._keep_in_view()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._lines.clear()

    # ------------------------------------------------------------------ drawing

    @property
    def _width(self) -> int:
        """Cells of a line, without the scrollbar."""
        return self.scrollable_content_region.width

    def render_line(self, y: int) -> Strip:
        width = self._width
        if y == 0:
            return self._header(width)
        index = y - 1 + self.scroll_offset.y
        if index >= len(self._rows):
            text = self._empty if not self._rows and y == 1 else ""
            gutter = _GUTTER if self._has_cursor else 0
            style = self.get_component_rich_style("table--dim")
            return Strip([Segment(set_cell_size(" " * gutter + text, width), style)], width).apply_style(
                self.rich_style
            )
        item = self._rows[index]
        key = self._key_of(item)
        at_cursor = self._has_cursor and index == self._cursor
        marked = key in self._marked
        look = (width, at_cursor, at_cursor and self.has_focus, marked, self._columns)
        known = self._lines.get(key)
        if known is not None and known[1] == look and (known[0] is item or known[0] == item):
            return known[2]
        base = self.rich_style
        if marked:
            base += self.get_component_rich_style("table--marked")
        if at_cursor:
            base += self.get_component_rich_style(
                "table--cursor" if self.has_focus else "table--cursor-blurred"
            )
        strip = self._line(
            self._cells(item), width, ("▸" if at_cursor else " ") + ("▪" if marked else " "), base
        )
        self._lines[key] = (item, look, strip)
        return strip

    def _header(self, width: int) -> Strip:
        style = self.get_component_rich_style("table--header")
        cells: list[Cell] = []
        for column in self._columns:
            title = column.title
            if self._sorted is not None and self._sorted[0] == column.id:
                mark = "▾" if self._sorted[1] else "▴"
                title = f"{mark}{title}" if column.right else f"{title}{mark}"
            cells.append(Styled(title, column.look))
        return self._line(cells, width, "  ", self.rich_style + style)

    def _line(self, cells: Sequence[Cell], width: int, gutter: str, base: Style) -> Strip:
        segments = [Segment(gutter, base)] if self._has_cursor else []
        for place, (index, room) in enumerate(self._layout()):
            if place:
                segments.append(Segment(" " * GAP, base))
            cell = cells[index] if index < len(cells) else ""
            right = self._columns[index].right
            if isinstance(cell, Text):
                segments += self._text(cell, room, right, base)
            elif isinstance(cell, Styled):
                style = (
                    self.get_component_rich_style(f"table--{cell.look}", partial=True)
                    if cell.look
                    else Style.null()
                )
                segments.append(Segment(_cut(cell.text, room, right), base + style))
            else:
                segments.append(Segment(_cut(cell, room, right), base))
        return Strip(segments).adjust_cell_length(width, base).simplify()

    def _text(self, cell: Text, room: int, right: bool, base: Style) -> list[Segment]:
        text = cell.copy()
        text.no_wrap, text.end = True, ""
        text.truncate(room, overflow="ellipsis")
        padding = [Segment(" " * (room - text.cell_len), base)]
        shown = list(Segment.apply_style(text.render(self.app.console), base))
        return [*padding, *shown] if right else [*shown, *padding]

    def _layout(self) -> list[tuple[int, int]]:
        width = self._width
        if self._fitted[0] != width:
            self._fitted = (width, fit_columns(self._columns, width - (_GUTTER if self._has_cursor else 0)))
        return self._fitted[1]

    def _redraw(self) -> None:
        self._fitted = (-1, [])
        self._lines.clear()
        self.refresh()


def _cut(text: str, room: int, right: bool) -> str:
    """Text in exactly `room` cells; an ellipsis where it is longer."""
    length = len(text) if text.isascii() else cell_len(text)
    if length > room:
        return f"{set_cell_size(text, room - 1)}…" if room > 0 else ""
    padding = " " * (room - length)
    return padding + text if right else text + padding
