"""The chart widget: curves of a run, with a title that is data, zoom and inspection by keyboard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from tui_trainer.ui.ascii import to_ascii
from tui_trainer.ui.chart_data import ChartData, Part, XAxis
from tui_trainer.ui.widgets.canvas import ROLES, sign
from tui_trainer.ui.widgets.plot import Options, Plot, draw, full_range
from tui_trainer.ui.widgets.raster import MarkerName
from tui_trainer.ui.widgets.readout import read_out
from tui_trainer.ui.widgets.scale import Scale
from tui_trainer.ui.widgets.view import ALL, View

RECENT = 0.2
"""The part of the x axis that `recent` shows: the last fifth."""
SMOOTHINGS = (0.0, 0.6, 0.9)

_TITLE_LEAST = 3
_SMALLEST: dict[XAxis, float] = {"step": 5.0, "epoch": 1e-3, "time": 0.1}
_EMPTY = "no data yet"


class Chart(Widget):
    """Draws `ChartData`. Options are reactive attributes; keys are bound by the screen.

    `smoothing` is the weight of the past in a moving average over the points of the step series; what was
    measured stays visible, dim, behind it. In inspect mode the title line says what lies under the cursor.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "chart--name",
        "chart--state",
        "chart--waiting",
        *(f"chart--{role}" for role in ROLES if role and not role.endswith("-raw")),
    }

    DEFAULT_CSS = """
    Chart {
        height: 1fr;
        width: 1fr;
        & > .chart--name { text-style: bold; }
        & > .chart--state { color: $text-muted; }
        & > .chart--waiting { color: $text-muted; text-style: italic; }
        & > .chart--axis { color: $text-muted; }
        & > .chart--cursor { color: $foreground; }
        & > .chart--best { color: $success; text-style: bold; }
        & > .chart--mark { color: $accent; text-style: bold; }
        & > .chart--nonfinite { color: $error; text-style: bold; }
        & > .chart--baseline { color: $text-disabled; }
        & > .chart--train { color: $primary; }
        & > .chart--val { color: $success; }
        & > .chart--test { color: $warning; }
        & > .chart--other1 { color: $primary; }
        & > .chart--other2 { color: $warning; }
        & > .chart--other3 { color: $success; }
        & > .chart--other4 { color: $error; }
        & > .chart--other5 { color: $secondary; }
        & > .chart--other6 { color: $foreground; }
    }
    """

    log_y: reactive[bool] = reactive(False)
    smoothing: reactive[float] = reactive(0.0)
    marker: reactive[MarkerName] = reactive[MarkerName]("braille")
    x_axis: reactive[XAxis] = reactive[XAxis]("step")
    recent: reactive[bool] = reactive(False)
    inspect: reactive[bool] = reactive(False)

    def __init__(
        self,
        *,
        marker: MarkerName = "braille",
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.set_reactive(Chart.marker, marker)
        self._data: ChartData | None = None
        self._view = ALL
        self._cursor: float | None = None
        self._drawn: Plot | None = None
        self._strips: list[Strip] | None = None
        self._styles: dict[str, Style] = {}

    def show(self, data: ChartData | None) -> None:
        """Draw this from now on; None for an empty chart."""
        if data is not None and self._data is not None and data.x_axis != self._data.x_axis:
            self._view, self._cursor = ALL, None
        self._data = data
        self._redraw()

    @property
    def data(self) -> ChartData | None:
        """What is shown."""
        return self._data

    @property
    def zoomed(self) -> bool:
        """Whether less than all (or all that is recent) is seen."""
        return self._view.width is not None

    @property
    def span(self) -> tuple[float, float] | None:
        """The ends of the x axis as it is drawn; None while nothing is."""
        plot = self._plot()
        return None if plot is None else (plot.x.low, plot.x.high)

    @property
    def legend(self) -> str:
        """The title line as text: what the lines are, their latest values or those under the cursor."""
        return "  ".join(part.text for part in self._parts())

    def move_cursor(self, columns: int) -> None:
        """Move the cursor of inspect mode; at the edge of a zoomed chart the view moves along."""
        plot, full = self._plot(), self._full()
        if plot is None or full is None:
            return
        target = plot.column(self._at()) + columns
        place = plot.place(target)
        view = self._shown_view()
        if not 0 <= target < plot.columns and view.width is not None:
            self._view = view.moved(full, place - plot.place(min(max(target, 0), plot.columns - 1)))
        self._cursor = min(max(place, full.low), full.high)
        self._redraw()

    def zoom(self, factor: float) -> None:
        """See less (a factor above 1) or more, around the cursor, or up to the right edge without one."""
        full = self._full()
        if full is None or self._data is None:
            return
        around = self._at() if self.inspect else None
        view = self._shown_view().zoomed(full, factor, around, _SMALLEST[self._data.x_axis])
        if view.width is None:
            self.recent = False
        self._view = view
        self._redraw()

    def back_to_live(self) -> None:
        """See everything up to the newest point again, with the cursor on it."""
        self._view, self._cursor = ALL, None
        self._redraw()

    def render_line(self, y: int) -> Strip:
        if self._strips is None:
            self._strips = self._render_strips()
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    def notify_style_update(self) -> None:
        self._styles.clear()
        self._strips = None
        super().notify_style_update()

    def on_resize(self) -> None:
        self._redraw()

    def watch_log_y(self) -> None:
        self._redraw()

    def watch_smoothing(self) -> None:
        self._redraw()

    def watch_marker(self) -> None:
        self._redraw()

    def watch_x_axis(self) -> None:
        self._redraw()

    def watch_recent(self) -> None:
        self._view = ALL
        self._redraw()

    def watch_inspect(self) -> None:
        self._cursor = None
        self._redraw()

    def _redraw(self) -> None:
        self._drawn = self._strips = None
        self.refresh()

    def _full(self) -> Scale | None:
        return None if self._data is None else full_range(self._data)

    def _shown_view(self) -> View:
        full = self._full()
        if self._view.width is None and self.recent and full is not None:
            return View((full.high - full.low) * RECENT)
        return self._view

    def _at(self) -> float:
        """The place of the cursor: the newest point until it is moved."""
        full = self._full()
        newest = 0.0 if full is None else full.high
        return newest if self._cursor is None else self._cursor

    def _body_height(self, size: Size) -> int:
        return size.height - 1 if size.height >= _TITLE_LEAST else size.height

    def _plot(self) -> Plot | None:
        if self._drawn is None and self._data is not None:
            cursor = self._at() if self.inspect else None
            options = Options(self.log_y, self.smoothing, self.marker, self._shown_view(), cursor)
            self._drawn = draw(self._data, options, self.size.width, self._body_height(self.size))
        return self._drawn

    def _render_strips(self) -> list[Strip]:
        width, height = self.size
        title = [self._title(width)] if height >= _TITLE_LEAST else []
        plot = self._plot()
        return title + (self._waiting(width, height - len(title)) if plot is None else self._body(plot))

    def _body(self, plot: Plot) -> list[Strip]:
        # A blank takes the style of what is before it: fewer segments.
        columns = np.arange(plot.glyphs.shape[1])
        held = np.maximum.accumulate(np.where(plot.glyphs == ord(" "), 0, columns), axis=1)
        roles = np.take_along_axis(plot.roles, held, axis=1)
        styles = [self._style(role) if role else self.rich_style for role in ROLES]
        strips = []
        for glyphs, row in zip(plot.glyphs.astype("<u4"), roles, strict=True):
            text = glyphs.tobytes().decode("utf-32-le")
            cuts = [0, *(np.flatnonzero(row[1:] != row[:-1]) + 1).tolist(), len(text)]
            spans = zip(cuts, cuts[1:], row[cuts[:-1]].tolist(), strict=False)
            strips.append(Strip([Segment(text[a:b], styles[role]) for a, b, role in spans], len(text)))
        return strips

    def _waiting(self, width: int, height: int) -> list[Strip]:
        text = _EMPTY if self._data is None else f"{_EMPTY}: {self._data.waiting}"
        if cell_len(text) > width and self._data is not None:
            text = self._data.waiting
        blank = Strip.blank(width, self.rich_style)
        pad = max(0, (width - cell_len(text)) // 2)
        line = Strip(
            [Segment(" " * pad, self.rich_style), Segment(self._plain(text), self._style("waiting"))]
        )
        lines = [blank] * height
        if lines:
            lines[height // 2] = line.adjust_cell_length(width, self.rich_style)
        return lines

    def _title(self, width: int) -> Strip:
        segments: list[Segment] = []
        used = 0
        state = self._plain(" · ".join(self._states()))
        # What is drawn otherwise than one expects is said even where a value has to go for it.
        room = width - (cell_len(state) + 2 if state else 0)
        for k, part in enumerate(self._parts()):
            text = self._plain(f"{'  ' if k else ''}{part.text}")
            if used + cell_len(text) > room and k:
                break
            segments.append(Segment(text, self._style(part.role or "name")))
            used += cell_len(text)
        if state and used + 2 + cell_len(state) <= width:
            segments.append(Segment(" " * (width - used - cell_len(state)), self.rich_style))
            segments.append(Segment(state, self._style("state")))
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    def _states(self) -> list[str]:
        """What is not as at the beginning, in words."""
        plot = self._plot()
        words = []
        if self.log_y and plot is not None:
            words.append("log y" if plot.y.log else "log y: nothing above 0")
        if self.smoothing:
            words.append(f"smooth {self.smoothing:g}")
        if self.zoomed:
            words.append("zoom" if self._view.end is None else "zoom, not live")
        elif self.recent:
            words.append(f"last {RECENT:.0%}".replace("%", " %"))
        return words

    def _parts(self) -> Sequence[Part]:
        data = self._data
        if data is None:
            return []
        plot = self._plot()
        parts = list(data.parts)
        if self.inspect and plot is not None:
            room = self.size.width - cell_len(parts[0].text)
            parts[1:] = read_out(data, plot, self._at(), room)
        signs = {line.role: sign(line.role, self.marker) for line in data.lines}
        return [
            Part(f"{signs[part.role]} {part.text}", part.role) if signs.get(part.role) else part
            for part in parts
        ]

    def _style(self, role: str) -> Style:
        if role not in self._styles:
            plain = role.removesuffix("-raw")
            style = self.get_component_rich_style(f"chart--{plain}")
            self._styles[role] = style if plain == role else style + Style(dim=True)
        return self._styles[role]

    def _plain(self, text: str) -> str:
        return to_ascii(text) if self.marker == "ascii" else text
