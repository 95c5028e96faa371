"""What a frame of a chart costs: median milliseconds at 120×30 with two lines of 20,000 points.

    python benchmarks/chart_frame.py

The first figure is a chart that is drawn for the first time; the second one that is drawn again after the
run has recorded ten more rows, from the step series to the lines of the screen.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from textual.app import App, ComposeResult

from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import RunState
from tui_trainer.ui.chart_data import ChartData, Line
from tui_trainer.ui.charts import chart_data
from tui_trainer.ui.measured import Measured
from tui_trainer.ui.series import StepSeries
from tui_trainer.ui.widgets.chart import Chart
from tui_trainer.ui.widgets.raster import MARKERS

POINTS, FRAMES, NEW = 20_000, 200, 10
WIDTH, HEIGHT = 120, 30
COLUMNS = ["step", "epoch", "lr", "time", "samples_per_s", "data_wait"]
COLUMNS += ["train/loss", "test/loss", "train/loss_min", "train/loss_max"]


class Recorded(RunReader):
    """A reader of rows that are in memory."""

    def columns(self) -> list[str]:
        return COLUMNS


class ChartApp(App[None]):
    """A single chart."""

    def compose(self) -> ComposeResult:
        yield Chart()


def rows(count: int) -> np.ndarray:
    """Step rows of a noisy loss that falls."""
    noise = np.random.default_rng(0)
    steps = np.arange(1, count + 1)
    train = (2.2 * np.exp(-steps / 5000) + 0.1) * np.exp(0.15 * noise.standard_normal(count))
    test = train * 1.1 + 0.02 * noise.standard_normal(count)
    place = (steps, steps / 1000, np.full(count, 1e-3), 1.79e9 + steps * 0.05)
    return np.column_stack(
        [*place, np.full(count, 9e4), np.zeros(count), train, test, train * 0.9, train * 1.1]
    )


def raw_lines(values: np.ndarray) -> ChartData:
    """All points as they are, without a step series between."""
    lines = []
    for role in ("train", "test"):
        loss = values[:, COLUMNS.index(f"{role}/loss")]
        lines.append(Line(role, role, values[:, 0], loss, loss, loss, ~np.isfinite(loss)))
    return ChartData("loss", (), tuple(lines), "step")


def median_ms(frame: Callable[[int], None]) -> float:
    times = []
    for number in range(FRAMES):
        begin = time.perf_counter()
        frame(number)
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e3


async def main() -> None:
    values = rows(POINTS + NEW * FRAMES * len(MARKERS))
    app = ChartApp()
    async with app.run_test(size=(WIDTH, HEIGHT)):
        chart = app.query_one(Chart)
        first = raw_lines(values[:POINTS])
        series = StepSeries(Recorded(Path()))
        series.append(values[:POINTS])
        view = SimpleNamespace(state=RunState(monitor="test/loss"), series=series, measured=Measured())
        print(f"chart at {WIDTH}×{HEIGHT}, 2 × {POINTS:,} points, median ms of {FRAMES} frames")
        print(f"{'marker':<10}{'first draw':>12}{'after an append':>18}")

        def draw(data: ChartData) -> None:
            chart.show(data)
            for row in range(HEIGHT):
                chart.render_line(row)

        def append(_: int) -> None:
            series.append(values[series.rows : series.rows + NEW])
            draw(chart_data(view, "loss"))

        for marker in MARKERS:
            chart.marker = marker
            drawn = median_ms(lambda _: draw(first))
            print(f"{marker:<10}{drawn:>12.2f}{median_ms(append):>18.2f}")


if __name__ == "__main__":
    asyncio.run(main())
