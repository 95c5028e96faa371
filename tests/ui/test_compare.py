"""The Compare screen, over recorded runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.ui.browsing import Browser
from tests.ui.driving import screen_text, until
from tests.ui.recorded import Recorder, finished
from tui_trainer.ui.screens.compare import CompareScreen
from tui_trainer.ui.widgets.chart import Chart
from tui_trainer.ui.widgets.table import Table

FIRST, SECOND, THIRD = "20261123-1-digits-0001", "20261123-2-digits-0002", "20261123-3-digits-0003"


def compare(
    roots: list[Path],
    steps: Callable[[Browser, Pilot[Any]], Awaitable[None]],
    size: tuple[int, int] = (100, 40),
) -> None:
    async def go() -> None:
        app = Browser(roots[0].parent)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await app.switch_screen(CompareScreen(roots))
            await until(pilot, lambda: "runs   " in screen_text(app), "the comparison")
            await steps(app, pilot)

    asyncio.run(go())


@pytest.fixture
def roots(tmp_path: Path) -> list[Path]:
    runs = tmp_path / "runs"
    finished(runs / FIRST, epochs=3)
    finished(runs / SECOND, epochs=2, lr=3e-3, batch_size=64)
    return [runs / FIRST, runs / SECOND]


def values(app: Browser, name: str) -> tuple[str, ...]:
    return next(row.values for row in app.screen.query_one(Table).rows if row.name == name)


def names(app: Browser) -> list[str]:
    return [row.name for row in app.screen.query_one(Table).rows if row.section == "hparams" and row.name]


def test_only_hparams_that_differ_are_shown_until_all_are_wanted(roots: list[Path]) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        assert names(app) == ["batch_size", "lr", "epochs"]
        assert values(app, "lr") == ("0.001", "0.003")
        assert "0001" in screen_text(app)
        assert "0002" in screen_text(app)
        await pilot.press("d")
        assert {"optimizer", "seed", "lr"} <= set(names(app))
        await pilot.press("d")
        assert names(app) == ["batch_size", "lr", "epochs"]

    compare(roots, steps)


def test_the_best_of_each_metric_is_marked(roots: list[Path]) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        rows = {row.name: row for row in app.screen.query_one(Table).rows}
        # The first run had an epoch more: its loss is lower and its accuracy higher.
        assert rows["test/loss"].best == {0}
        assert rows["test/accuracy"].best == {0}
        assert rows["test/loss"].values[0].endswith("@3")
        assert "★" in screen_text(app)

    compare(roots, steps)


def test_keys_go_through_the_curves(roots: list[Path]) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        chart = app.screen.query_one(Chart)
        assert "loss (1 of" in screen_text(app)
        assert [line.name for line in chart.data.lines] == ["0001", "0002"]  # type: ignore[union-attr]
        await pilot.press("tab")
        assert "accuracy (2 of" in screen_text(app)
        await pilot.press("shift+tab", "a", "y", "m")
        assert (chart.x_axis, chart.log_y, chart.smoothing) == ("epoch", True, 0.6)
        assert app.settings.get("chart_x_axis", "") == "epoch"

    compare(roots, steps)


def test_runs_of_other_tasks_and_without_a_record_stand_side_by_side(roots: list[Path]) -> None:
    other = Recorder(roots[0].parent / THIRD, {"epochs": 1}).start(
        task="my_task.py", hparams={"task": "my_task.py", "depth": 3}
    )
    other.end_epoch(**{"test/bpc": 1.5})
    other.end()
    empty = roots[0].parent / "20261123-4-digits-0004"
    empty.mkdir()
    (empty / "run.json").write_text("{ torn")

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        assert values(app, "depth") == ("–", "–", "3", "–")
        assert values(app, "test/bpc")[:2] == ("–", "–")
        assert "my_task.py" in values(app, "task")

    compare([*roots, roots[0].parent / THIRD, empty], steps)


def test_a_run_that_trains_is_followed(roots: list[Path]) -> None:
    recorder = Recorder(roots[0].parent / THIRD, {"epochs": 5}).start()
    recorder.end_epoch()

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        assert values(app, "epoch")[-1] == "1/5"
        recorder.end_epoch()
        await until(pilot, lambda: values(app, "epoch")[-1] == "2/5", "the next epoch")

    compare([*roots, roots[0].parent / THIRD], steps)
    recorder.end()


@pytest.mark.parametrize("size", [(80, 24), (160, 48), (40, 12), (20, 4)])
def test_every_size_is_drawn(roots: list[Path], size: tuple[int, int]) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await pilot.press("down", "pagedown", "tab", "escape")
        await until(pilot, lambda: app.page is app.get_screen("runs"), "the list of runs")

    compare(roots, steps, size)
