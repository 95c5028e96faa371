"""Compare: what tells some runs from each other, and their curves over each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Container

from tui_trainer.config.fields import flag_text
from tui_trainer.headless.words import age, duration, number, one_line, short_name
from tui_trainer.runs.directions import Direction, better_direction, is_better
from tui_trainer.runs.state import ACTIVE, RunState
from tui_trainer.ui.charts import OTHERS, X_AXES, chart_names, compare_data
from tui_trainer.ui.run_view import RunView
from tui_trainer.ui.screens.page import Page
from tui_trainer.ui.status import shown_status
from tui_trainer.ui.widgets.chart import SMOOTHINGS, Chart
from tui_trainer.ui.widgets.lines import Lines
from tui_trainer.ui.widgets.table import Cell, Column, Styled, Table

MOST = 12
"""Runs that are compared at once."""
_NAME, _VALUE = 18, 16


@dataclass(frozen=True)
class Row:
    """A line of the table: a fact with its value for each run.

    Attributes:
        section: run, metrics or hparams.
        name: of the fact; empty for the section's heading.
        values: as shown.
        best: indices of the runs whose value is the best.
    """

    section: str
    name: str
    values: tuple[str, ...] = ()
    best: frozenset[int] = frozenset()


class CompareTable(Table[Row]):
    """A table whose headings have the colours of the curves."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"table--other{k + 1}" for k in range(OTHERS)}
    DEFAULT_CSS = """
    CompareTable {
        & > .table--other1 { color: $primary; }
        & > .table--other2 { color: $warning; }
        & > .table--other3 { color: $success; }
        & > .table--other4 { color: $error; }
        & > .table--other5 { color: $secondary; }
        & > .table--other6 { color: $foreground; }
    }
    """


class CompareScreen(Page):
    """Two or more runs beside each other.

    Args:
        roots: the run directories, in the order of the columns.
    """

    WHERE = "compare"
    TAB = "runs"
    CSS_PATH = "compare.tcss"
    VERTICAL_BREAKPOINTS = [(0, "-short"), (18, "-tall")]

    def __init__(self, roots: Sequence[Path] = ()) -> None:
        super().__init__()
        self._views = [RunView(root) for root in roots]
        self._chart_name = ""
        self._all_hparams = False
        self._table = CompareTable((), _cells, lambda row: (row.section, row.name), id="table")
        self._chart = Chart(id="chart")
        self._facts = Lines(id="facts")

    def content(self) -> ComposeResult:
        yield self._facts
        with Container(id="body"):
            yield self._chart
            yield self._table

    def on_mount(self) -> None:
        settings = self.trainer.settings
        self._chart.log_y = settings.get("chart_log_y", False)
        smoothing, x_axis = settings.get("chart_smoothing", 0.0), settings.get("chart_x_axis", "step")
        self._chart.smoothing = smoothing if smoothing in SMOOTHINGS else 0.0
        self._chart.x_axis = x_axis if x_axis in X_AXES else "step"
        self._chart.marker = "ascii" if self.trainer.options.ascii else "braille"
        self._table.focus()
        self._read()
        self._draw()

    def tick(self) -> None:
        if self._chart.is_mounted and self._read():
            self._draw()

    def _read(self) -> bool:
        """Take in what is new of the runs that go on, and of long ones that are still being read."""
        going = [view for view in self._views if not view.loaded or view.state.status in ACTIVE]
        for view in going:
            view.refresh()
        return bool(going)

    # ------------------------------------------------------------------ showing

    def _draw(self) -> None:
        names = chart_names(*self._views)
        if self._chart_name not in names:
            self._chart_name = names[0]
        self._chart.show(compare_data(self._views, self._chart_name, self._chart.x_axis))
        states = [view.state for view in self._views]
        columns = [Column("", _NAME, grow=1, most=32, name="name")]
        for k, (view, state) in enumerate(zip(self._views, states, strict=True)):
            look = f"other{k % OTHERS + 1}"
            # The first two stay whatever the width.
            columns.append(
                Column(
                    _title(view, state), _VALUE, grow=1, most=30, drop=max(0, k - 1), name=str(k), look=look
                )
            )
        self._table.set_columns(columns)
        self._table.set_rows([*self._hparams(states), *_metrics(states), *_facts(states)])
        at = names.index(self._chart_name) + 1
        hparams = "all hparams" if self._all_hparams else "hparams that differ"
        text = f" {len(self._views)} runs   {short_name(self._chart_name)} ({at} of {len(names)})   {hparams}"
        self._facts.show([((text, "dim"),)])

    def _hparams(self, states: Sequence[RunState]) -> Iterator[Row]:
        names = list(dict.fromkeys(name for state in states for name in state.hparams))
        rows = []
        for name in names:
            values = tuple(
                one_line(flag_text(state.hparams[name])) if name in state.hparams else "–" for state in states
            )
            if self._all_hparams or len(set(values)) > 1:
                rows.append(Row("hparams", name, values))
        yield Row("hparams", "")
        yield from rows or [Row("hparams", "all the same", ("",) * len(states))]

    # ------------------------------------------------------------------ keys

    def action_next_chart(self) -> None:
        self._turn(1)

    def action_previous_chart(self) -> None:
        self._turn(-1)

    def _turn(self, by: int) -> None:
        names = chart_names(*self._views)
        self._chart_name = names[(names.index(self._chart_name) + by) % len(names)]
        self._draw()

    def action_log_y(self) -> None:
        self._set("log_y", not self._chart.log_y)

    def action_smoothing(self) -> None:
        self._set("smoothing", SMOOTHINGS[(SMOOTHINGS.index(self._chart.smoothing) + 1) % len(SMOOTHINGS)])

    def action_x_axis(self) -> None:
        self._set("x_axis", X_AXES[(X_AXES.index(self._chart.x_axis) + 1) % len(X_AXES)])
        self._draw()

    def _set(self, option: str, value: Any) -> None:
        setattr(self._chart, option, value)
        self.trainer.settings.set(f"chart_{option}", value)

    def action_only_different(self) -> None:
        self._all_hparams = not self._all_hparams
        self._draw()

    def action_leave(self) -> None:
        self.trainer.action_show("runs")


def _title(view: RunView, state: RunState) -> str:
    return one_line(state.name) or view.short_id


def _cells(row: Row) -> list[Cell]:
    if not row.name:
        return [Styled(row.section, "strong")]
    values = [Styled(f"{value} ★", "good") if k in row.best else value for k, value in enumerate(row.values)]
    return [Styled(f" {short_name(row.name)}", "dim"), *values]


def _facts(states: Sequence[RunState]) -> Iterator[Row]:
    said: dict[str, Callable[[RunState], str]] = {
        "state": lambda state: shown_status(state.status).text,
        "task": lambda state: one_line(state.task),
        "epoch": lambda state: f"{state.epoch}/{state.epochs}" if state.epochs else str(state.epoch),
        "step": lambda state: f"{state.step:,}",
        "time": lambda state: duration(state.elapsed),
        "parameters": lambda state: "–" if state.parameters is None else f"{state.parameters:,}",
        "device": lambda state: one_line(state.device),
        "started": lambda state: age(state.started),
    }
    yield Row("run", "")
    for name, say in said.items():
        yield Row("run", name, tuple(say(state) for state in states))


def _metrics(states: Sequence[RunState]) -> Iterator[Row]:
    names = list(dict.fromkeys(name for state in states for name in state.metrics))
    if names:
        yield Row("metrics", "")
    for name in names:
        bests = [state.bests.get(name) for state in states]
        direction = next((state.directions[name] for state in states if name in state.directions), None)
        winner: int | None = None
        for k, best in enumerate(bests):
            leader = bests[winner] if winner is not None else None
            way: Direction = "max" if (direction or better_direction(name)) == "max" else "min"
            if best is not None and (leader is None or is_better(best.value, leader.value, way)):
                winner = k
        values = tuple(f"{number(best.value)} @{best.epoch}" if best is not None else "–" for best in bests)
        yield Row("metrics", name, values, frozenset(() if winner is None else (winner,)))
        last = tuple(number(state.metrics[name]) if name in state.metrics else "–" for state in states)
        yield Row("metrics", f"{name} last", last)
