"""The charts of one run: one, or two side by side."""

from __future__ import annotations

from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal

from tui_trainer.ui.charts import X_AXES, chart_data, chart_names
from tui_trainer.ui.run_view import RunView
from tui_trainer.ui.settings import Settings
from tui_trainer.ui.widgets.chart import SMOOTHINGS, Chart
from tui_trainer.ui.widgets.raster import MARKERS, MarkerName

REMEMBERED: dict[str, tuple[Any, ...]] = {
    "log_y": (False, True),
    "smoothing": SMOOTHINGS,
    "marker": tuple(MARKERS),
    "x_axis": X_AXES,
    "recent": (False, True),
}
"""Options of a chart that outlive the session, with their values in the order in which a key takes them."""


class ChartDeck(Horizontal):
    """Chooses which of a run's charts are seen, and gives all of them the same options.

    Args:
        settings: where the options are remembered.
        only_ascii: draw with ASCII, whatever is remembered.
    """

    def __init__(self, settings: Settings, only_ascii: bool, **options: Any) -> None:
        super().__init__(**options)
        self._settings = settings
        self._marker: MarkerName | None = "ascii" if only_ascii else None
        self._first = 0
        self._two = False
        self._drawn: tuple[object, ...] = ()
        self._source: tuple[RunView, RunView | None] | None = None

    def compose(self) -> ComposeResult:
        yield Chart(classes="panel")
        yield Chart(classes="panel")

    def on_mount(self) -> None:
        for option, values in REMEMBERED.items():
            value = self._settings.get(f"chart_{option}", values[0])
            if option == "marker" and self._marker is not None:
                value = self._marker
            if value in values:
                self._set(option, value)

    @property
    def inspecting(self) -> bool:
        """Whether a cursor is shown."""
        return self._charts[0].inspect

    @property
    def _charts(self) -> list[Chart]:
        return list(self.query(Chart))

    def show_run(self, view: RunView, baseline: RunView | None, two: bool) -> None:
        """Draw what is new.

        Args:
            view: the run.
            baseline: a run that is drawn dim behind it.
            two: there is room for two charts.
        """
        self._source = (view, baseline)
        names = chart_names(view)
        first, second = self._charts
        self._two = two and len(names) > 1
        if second.display != self._two:
            second.display = self._two
        state = view.state
        behind = (baseline, baseline.series.rows) if baseline is not None else None
        drawn = (
            *(
                view,
                view.series.rows,
                len(state.history),
                len(state.evaluations),
                len(state.controls),
                state.status,
                state.phase,
                state.best,
            ),
            *(behind, self._first, self._two, first.x_axis, tuple(names)),
        )
        if drawn == self._drawn:
            return
        self._drawn = drawn
        self._first %= len(names)
        for k, chart in enumerate(self._charts[: 1 + self._two]):
            name = names[(self._first + k) % len(names)]
            chart.show(chart_data(view, name, first.x_axis, baseline))

    def turn(self, forward: bool) -> None:
        """The next charts, or the previous ones."""
        if self._source is None:
            return
        count, by = len(chart_names(self._source[0])), 1 + self._two
        last = (count - 1) // by * by
        now = self._first + (by if forward else -by)
        self._first = 0 if now > last else last if now < 0 else now
        self._again()

    def next_value(self, option: str) -> None:
        """Go on to the next value of an option, on all charts."""
        values = REMEMBERED[option]
        now = getattr(self._charts[0], option)
        value = values[(values.index(now) + 1) % len(values)]
        self._set(option, value)
        if option != "marker" or self._marker is None:
            self._settings.set(f"chart_{option}", value)
        if option == "x_axis":
            self._again()

    def inspect(self, on: bool) -> None:
        """Show or hide the cursor."""
        for chart in self._charts:
            chart.inspect = on

    def move_cursor(self, columns: int) -> None:
        """Move the cursor of each chart that is seen."""
        for chart in self._charts[: 1 + self._two]:
            chart.move_cursor(columns)

    def zoom(self, factor: float) -> None:
        """See less of the x axis, or more."""
        for chart in self._charts[: 1 + self._two]:
            chart.zoom(factor)

    def back_to_live(self) -> None:
        """See everything up to the newest step."""
        for chart in self._charts:
            chart.back_to_live()

    def _set(self, option: str, value: Any) -> None:
        for chart in self._charts:
            setattr(chart, option, value)

    def _again(self) -> None:
        if self._source is not None:
            self.show_run(*self._source, self._two)
