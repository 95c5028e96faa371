"""The Live screen, driven by keys over recorded runs."""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.ui.driving import check_snapshot, screen_lines, screen_text, until
from tests.ui.recorded import START, Recorder
from tui_trainer.runs.layout import RunLayout
from tui_trainer.ui.app import SCREENS, TrainerApp
from tui_trainer.ui.dialogs.quit import QuitDialog
from tui_trainer.ui.options import AppOptions, Leaving
from tui_trainer.ui.run_view import RunView
from tui_trainer.ui.screens.live import LiveScreen
from tui_trainer.ui.settings import Settings
from tui_trainer.ui.training import Training
from tui_trainer.ui.widgets.chart import Chart

NAME = "20261123-031415-digits-7f3a"


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.chdir(tmp_path)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def no_plan(words: list[str]) -> Any:
    raise AssertionError(f"started {words}")


def drive(
    run: Path | None,
    test: Callable[[Pilot[Any], TrainerApp, list[float]], Awaitable[None]],
    size: tuple[int, int] = (80, 24),
    settings: Settings | None = None,
    only_ascii: bool = False,
    now: float = START + 30.0,
) -> None:
    """Run a test in an app that shows a run, beside a clock that it sets."""
    clock = [now]

    async def main() -> None:
        options = AppOptions(runs_dir=Path.cwd(), run=run, ascii=only_ascii, theme="dark")
        app = TrainerApp(options, no_plan, settings or Settings(None))
        async with app.run_test(size=size) as pilot:
            app.action_show("live")
            await until(pilot, lambda: any(line.size for line in app.screen.query("#status")), "Live")
            await draw(pilot, app)
            await test(pilot, app, clock)

    with patch.dict(SCREENS, live=lambda: LiveScreen(lambda: clock[0])):
        asyncio.run(main())


async def draw(pilot: Pilot[Any], app: TrainerApp) -> str:
    """Read what is new, draw it, and give the screen."""
    for _ in range(3):
        app.update()
        await pilot.pause()
    return screen_text(app)


def status(app: TrainerApp) -> str:
    return screen_lines(app)[1].strip()


def a_run(tmp_path: Path, epochs: int = 3, **hparams: Any) -> Recorder:
    recorder = Recorder(tmp_path / NAME, {"epochs": 30, **hparams}).start()
    for _ in range(epochs):
        recorder.end_epoch()
    return recorder


def requests(layout: RunLayout) -> list[dict[str, Any]]:
    files = sorted(layout.control.glob("*.json")) if layout.control.is_dir() else []
    return [json.loads(file.read_text()) | {"id": file.stem} for file in files]


def carry_out(recorder: Recorder, **facts: Any) -> None:
    """What the trainer does with each request that waits."""
    for request in requests(recorder.layout):
        (recorder.layout.control / f"{request['id']}.json").unlink()
        asked = {key: request[key] for key in ("action", "value", "requested_by")}
        recorder.event("control", **asked, request=request["id"], step=recorder.step, **facts)


# ---------------------------------------------------------------------- what it looks like


def test_snapshot_without_a_run(tmp_path: Path) -> None:
    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        check_snapshot("live-empty", await draw(pilot, app))

    drive(None, test)


def test_snapshot_of_a_start(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / NAME, {"epochs": 30}, {"status": "starting"})
    recorder.event("phase", name="importing torch")

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        clock[0] = START + 2.1
        text = await draw(pilot, app)
        assert "importing torch … 2.1 s" in text
        check_snapshot("live-starting", text)
        recorder.event("phase", name="importing torch", seconds=3.0)
        recorder.event("phase", name="loading data")
        assert "loading data … 2.1 s" in await draw(pilot, app)

    drive(recorder.layout.root, test)


def test_snapshot_of_a_run_that_trains(tmp_path: Path) -> None:
    recorder = a_run(tmp_path).train(5)

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        check_snapshot("live-running", await draw(pilot, app))

    drive(recorder.layout.root, test)


def test_snapshot_of_a_wide_screen(tmp_path: Path) -> None:
    recorder = a_run(tmp_path).train(5)
    gpu = {"index": 0, "utilisation": 93, "memory_used": 21e9, "memory_total": 24e9, "temperature": 64}
    recorder.event("system", cpu=41.0, ram_used=18e9, ram_total=256e9, gpus=[gpu])

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        text = await draw(pilot, app)
        for word in (
            "metrics",
            "epochs, newest first",
            "system",
            "log",
            "accuracy",
            "GPU0",
            "checkpoint model_3.pt (best)",
        ):
            assert word in text
        check_snapshot("live-wide", text)

    drive(recorder.layout.root, test, (160, 48))


def test_snapshot_of_a_paused_run(tmp_path: Path) -> None:
    recorder = a_run(tmp_path).train(5)
    recorder.event("control", action="pause", value=None, requested_by="me@here", request="1-1-a", step=35)

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        text = await draw(pilot, app)
        assert status(app).startswith("‖ PAUSED")
        check_snapshot("live-paused", text)

    drive(recorder.layout.root, test)


def test_snapshot_of_a_failed_run(tmp_path: Path) -> None:
    recorder = a_run(tmp_path, 2)
    recorder.layout.console_log.write_text("Traceback (most recent call last):\n")
    reason = "loss is not finite: the training loss became NaN or infinite by step 25"
    recorder.event(
        "alert", level="error", title="loss is not finite", message=reason.partition(": ")[2], step=25
    )
    layout = recorder.end("failed", reason)

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        text = await draw(pilot, app)
        assert status(app).startswith("✗ FAILED  loss is not finite")
        assert f"log {NAME}/console.log" in text
        assert "R resumes from model_2.pt" in text
        check_snapshot("live-failed", text)

    drive(layout.root, test)


def test_snapshot_of_a_finished_run(tmp_path: Path) -> None:
    layout = a_run(tmp_path, 3).end()

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        text = await draw(pilot, app)
        assert status(app).startswith("✓ FINISHED")
        check_snapshot("live-finished", text)

    drive(layout.root, test)


def test_snapshot_of_a_tiny_screen(tmp_path: Path) -> None:
    recorder = a_run(tmp_path).train(5)

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        text = await draw(pilot, app)
        assert "● RUNNING" in text
        check_snapshot("live-narrow", text)
        for key in (
            "right",
            "right",
            "right",
            "right",
            "right",
            "enter",
            "x",
            "left",
            "escape",
            "escape",
            "pagedown",
        ):
            await pilot.press(key)
            await draw(pilot, app)

    drive(recorder.layout.root, test, (40, 12))


@pytest.mark.parametrize("size", [(89, 20), (90, 24), (110, 30), (139, 19), (140, 20), (200, 60), (20, 5)])
def test_every_size_shows_how_the_run_stands(tmp_path: Path, size: tuple[int, int]) -> None:
    recorder = a_run(tmp_path)

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        assert "● RUNNING" in await draw(pilot, app)

    drive(recorder.layout.root, test, size)


# ---------------------------------------------------------------------- following a run


def test_the_screen_follows_the_record(tmp_path: Path) -> None:
    recorder = a_run(tmp_path).train(5)

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        assert "step 35/300" in status(app)
        assert "ETA --:--" in status(app)
        for _ in range(5):
            recorder.train(1)
            clock[0] += 1.0
            text = await draw(pilot, app)
        assert "step 40/300" in status(app)
        assert "ETA 04:20" in status(app)
        assert "100 %" in text
        recorder.end_epoch()
        assert "@4" in await draw(pilot, app)

    drive(recorder.layout.root, test)


def test_a_run_that_crashed_offers_to_resume(tmp_path: Path) -> None:
    layout = a_run(tmp_path).crash()
    started = []

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        assert status(app).startswith("! CRASHED")
        assert "R resumes from model_3.pt" in screen_text(app)
        app.start = started.append  # type: ignore[method-assign]
        await pilot.press("R")

    drive(layout.root, test)
    assert started == [["--resume", str(layout.root)]]


def test_a_finished_run_is_given_more_to_do(tmp_path: Path) -> None:
    layout = a_run(tmp_path).end()
    started = []

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        app.start = started.append  # type: ignore[method-assign]
        await pilot.press("R")

    drive(layout.root, test)
    assert started == [["--resume", str(layout.root), "--epochs", "60"]]


def test_a_silent_run_of_another_machine_says_since_when(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / NAME, {"epochs": 30}, {"host": "elsewhere"}).start().end_epoch()
    os.utime(recorder.layout.lock, (START, START))

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        assert status(app).startswith("? UNKNOWN  last seen")
        assert app.screen.check_action("pause", ()) is None

    drive(recorder.layout.root, test)


def test_a_loss_that_is_no_number_is_shown(tmp_path: Path) -> None:
    recorder = a_run(tmp_path).end_epoch(**{"test/loss": math.nan, "train/loss": math.inf})

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        text = await draw(pilot, app)
        assert "NaN" in text
        assert "inf" in text

    drive(recorder.layout.root, test)


def test_a_task_without_accuracy_has_none(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / NAME, {"epochs": 30}).start(directions={})
    recorder.event("epoch_start", epoch=1, step=0)
    recorder.event(
        "epoch_end", epoch=1, step=10, metrics={"train/loss": 0.5, "test/mae": 0.25}, lr=1e-3, seconds=1.0
    )

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        text = await draw(pilot, app)
        assert "test/mae" in text
        assert "accuracy" not in text

    drive(recorder.layout.root, test)


def test_a_run_of_unknown_length_counts(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / NAME, {"epochs": 30})
    recorder.start(steps_per_epoch=None, total_steps=None, epochs=None).train(7)

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        text = await draw(pilot, app)
        assert "epoch 1, length unknown" in text
        assert "step 7 " in status(app) + " "
        assert "ETA" not in status(app)

    drive(recorder.layout.root, test)


def test_alerts_stand_in_a_line_until_they_are_read(tmp_path: Path) -> None:
    recorder = a_run(tmp_path)

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        assert "loss spike" not in screen_text(app)
        recorder.event("alert", level="warning", title="loss spike", message="8.2 [b]after[/b] 0.4", step=30)
        recorder.event("alert", level="warning", title="slow data", message="half of the time", step=31)
        text = await draw(pilot, app)
        assert "! 14:13 warning: slow data: half of the time  +1 more" in text
        await pilot.press("escape")
        assert "slow data" not in await draw(pilot, app)
        recorder.event("alert", level="error", title="loss spike", message="9.9 [b]", step=32)
        text = await draw(pilot, app)
        assert "error: loss spike: 9.9 [b]" in text
        assert "more" not in text

    drive(recorder.layout.root, test)


# ---------------------------------------------------------------------- panes


def test_a_narrow_screen_shows_one_pane_at_a_time(tmp_path: Path) -> None:
    recorder = a_run(tmp_path)
    recorder.event("system", cpu=41.0)
    recorder.layout.console_log.write_text("a line of the task\n")

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        assert "[Curves]" in screen_text(app)
        for mark, word in (
            ("[Metrics]", "change"),
            ("[Epochs]", "time"),
            ("[System]", "CPU"),
            ("[Log]", "a line of the task"),
        ):
            await pilot.press("right")
            text = await draw(pilot, app)
            assert mark in text
            assert word in text
        await pilot.press("left")
        assert "[System]" in await draw(pilot, app)
        await pilot.click("#tabs", offset=(12, 0))
        assert "[Metrics]" in await draw(pilot, app)

    drive(recorder.layout.root, test)


def test_thousands_of_epochs_can_be_scrolled(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / NAME, {"epochs": 3000}, steps_per_epoch=1).start()
    for _ in range(2000):
        recorder.end_epoch(save=False)

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        await pilot.press("right", "right")
        await draw(pilot, app)
        assert screen_lines(app)[5].split()[0] == "2,000"
        await pilot.press("pagedown", "down")
        text = await draw(pilot, app)
        top = text.splitlines()[5]
        assert top.split()[0] == "1,982"
        recorder.end_epoch(save=False)
        assert (await draw(pilot, app)).splitlines()[5] == top, "what is looked at stays in place"
        await pilot.press("end")
        await draw(pilot, app)
        assert screen_lines(app)[5].split()[0] == "2,001"

    drive(recorder.layout.root, test)


# ---------------------------------------------------------------------- controls


@pytest.mark.parametrize(
    ("key", "action", "value", "asked", "facts", "told"),
    [
        ("space", "pause", None, "pause requested…", {}, "paused at step 35"),
        ("S", "stop", "now", "stop requested…", {}, "STOPPING"),
        ("E", "stop", "epoch_end", "stop at the end of epoch 4 requested…", {}, "STOPPING"),
        (
            "w",
            "save",
            None,
            "save requested…",
            {"path": "checkpoints/model_3+5.pt"},
            "saved model_3+5.pt at step 35",
        ),
    ],
)
def test_a_control_is_told_as_requested_then_as_done(
    tmp_path: Path, key: str, action: str, value: Any, asked: str, facts: dict[str, Any], told: str
) -> None:
    recorder = a_run(tmp_path).train(5)

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        await pilot.press(key)
        assert [(r["action"], r["value"]) for r in requests(recorder.layout)] == [(action, value)]
        assert asked in status(app)
        clock[0] += 3.0
        await draw(pilot, app)
        assert "at the next step boundary" in status(app)
        carry_out(recorder, **facts)
        await draw(pilot, app)
        assert told in status(app)
        assert "requested" not in status(app)

    drive(recorder.layout.root, test)


def test_space_goes_on_with_a_paused_run(tmp_path: Path) -> None:
    recorder = a_run(tmp_path).train(5)

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        await pilot.press("space")
        carry_out(recorder)
        await draw(pilot, app)
        assert status(app).startswith("‖ PAUSED")
        await pilot.press("space")
        assert [r["action"] for r in requests(recorder.layout)] == ["unpause"]
        carry_out(recorder)
        await draw(pilot, app)
        assert status(app).startswith("● RUNNING  goes on at step 35")

    drive(recorder.layout.root, test)


def test_the_learning_rate_is_asked_for_checked_and_set(tmp_path: Path) -> None:
    recorder = a_run(tmp_path, scheduler="cosine").train(5)

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        await pilot.press("L")
        await pilot.pause()
        text = screen_text(app)
        assert "now 0.001" in text
        assert "takes effect at the next step" in text
        assert "cosine" in text
        field = app.screen.query_one(Input)
        field.value = "-1"
        await pilot.pause()
        await pilot.press("enter")
        assert "expected a number > 0" in screen_text(app)
        assert requests(recorder.layout) == []
        field.value = "3e-4"
        await pilot.press("enter")
        assert [r["value"] for r in requests(recorder.layout)] == [{"lr": 3e-4}]
        await draw(pilot, app)
        assert "lr 0.0003 requested…" in status(app)
        carry_out(recorder, old={"lr": 1e-3})
        await draw(pilot, app)
        assert "lr 0.001 → 0.0003 from step 36 on" in status(app)

    drive(recorder.layout.root, test)


def test_controls_are_off_where_they_do_not_apply(tmp_path: Path) -> None:
    recorder = a_run(tmp_path)

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        check = app.screen.check_action
        assert check("pause", ()) is True
        assert check("resume", ()) is None
        recorder.end()
        await draw(pilot, app)
        assert [check(action, ()) for action in ("pause", "stop_now", "stop_epoch", "save", "set_lr")] == [
            None
        ] * 5
        assert check("resume", ()) is True
        await pilot.press("space", "S", "w", "L")
        assert requests(recorder.layout) == []
        assert isinstance(app.screen, LiveScreen)

    drive(recorder.layout.root, test)


# ---------------------------------------------------------------------- charts


def test_keys_change_the_chart_and_are_remembered(tmp_path: Path) -> None:
    recorder = a_run(tmp_path)
    settings = Settings(tmp_path / "settings.json")

    async def change(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        assert "loss" in screen_lines(app)[4]
        await pilot.press("tab")
        await draw(pilot, app)
        assert screen_lines(app)[4].strip().startswith("accuracy")
        await pilot.press("y", "m", "a", "M", "f")
        chart = app.screen.query(Chart).first()
        assert (chart.log_y, chart.smoothing, chart.x_axis, chart.marker, chart.recent) == (
            True,
            0.6,
            "epoch",
            "blocks",
            True,
        )

    drive(recorder.layout.root, change, settings=settings)

    async def again(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        chart = app.screen.query(Chart).first()
        assert (chart.log_y, chart.smoothing, chart.x_axis, chart.marker, chart.recent) == (
            True,
            0.6,
            "epoch",
            "blocks",
            True,
        )

    drive(recorder.layout.root, again, settings=Settings(tmp_path / "settings.json"))


def test_inspect_moves_a_cursor_and_leaves_the_panes_alone(tmp_path: Path) -> None:
    recorder = a_run(tmp_path)

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        await pilot.press("x", "left", "shift+left")
        text = await draw(pilot, app)
        assert "step " in screen_lines(app)[4]
        assert "[Curves]" in text
        before = screen_lines(app)[4]
        await pilot.press("shift+right")
        await draw(pilot, app)
        assert screen_lines(app)[4] != before
        await pilot.press("escape", "right")
        assert "[Metrics]" in await draw(pilot, app)

    drive(recorder.layout.root, test)


def test_inspect_on_another_pane_goes_to_the_curves(tmp_path: Path) -> None:
    recorder = a_run(tmp_path)

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        await pilot.press("right", "right")
        assert "[Epochs]" in await draw(pilot, app)
        await pilot.press("x")
        assert "[Curves]" in await draw(pilot, app)

    drive(recorder.layout.root, test)


def test_zoom_and_back(tmp_path: Path) -> None:
    recorder = a_run(tmp_path)

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        chart = app.screen.query(Chart).first()
        await pilot.press("plus", "plus")
        assert chart.zoomed
        await pilot.press("minus", "minus")
        assert not chart.zoomed
        await pilot.press("plus", "end")
        assert not chart.zoomed

    drive(recorder.layout.root, test)


def test_a_wide_screen_shows_two_charts_and_one_when_maximised(tmp_path: Path) -> None:
    recorder = a_run(tmp_path)

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        titles = screen_lines(app)[4]
        assert "loss" in titles
        assert "accuracy" in titles
        await pilot.press("enter")
        text = await draw(pilot, app)
        assert "accuracy" not in text
        assert "newest first" not in text
        assert "● RUNNING" in text
        await pilot.press("escape")
        assert "newest first" in await draw(pilot, app)
        await pilot.press("tab")
        text = await draw(pilot, app)
        assert "lr" in screen_lines(app)[4]

    drive(recorder.layout.root, test, (160, 48))


def test_ascii_draws_nothing_else(tmp_path: Path) -> None:
    recorder = a_run(tmp_path)

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        assert (await draw(pilot, app)).isascii()
        assert app.screen.query(Chart).first().marker == "ascii"
        assert app.settings.get("chart_marker", "braille") == "braille"

    drive(recorder.layout.root, test, only_ascii=True)


def test_a_tick_without_news_draws_nothing(tmp_path: Path) -> None:
    recorder = a_run(tmp_path).train(5)

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        await draw(pilot, app)
        drawn: list[Any] = []
        for widget in app.screen.query("#body *, #status, #bars, #alerts, #tabs"):
            refresh = widget.refresh
            widget.refresh = lambda *a, w=widget, r=refresh, **k: (drawn.append(w), r(*a, **k))[1]  # type: ignore[method-assign]
        app.update()
        assert drawn == []

    drive(recorder.layout.root, test)


def test_a_log_that_is_not_seen_may_begin_anew(tmp_path: Path) -> None:
    recorder = a_run(tmp_path)
    for k in range(300):
        recorder.event("log", name="note", text=f"line {k}")

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        await pilot.press("left")
        assert "line 299" in await draw(pilot, app)
        await pilot.press("right")
        await draw(pilot, app)
        first = recorder.layout.events.read_bytes().splitlines(keepends=True)[0]
        recorder.layout.events.write_bytes(first)
        await draw(pilot, app)
        await pilot.press("left", "pageup")
        assert "nothing has happened yet" in await draw(pilot, app)

    drive(recorder.layout.root, test)


def test_images_and_texts_that_were_logged_are_shown_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    recorder = a_run(tmp_path).train(5)
    root = recorder.layout.root
    (root / "media").mkdir()
    Image.new("L", (30, 20), 200).save(root / "media" / "grey_1.png")
    (root / "media" / "broken.png").write_bytes(b"no image")
    Image.new("L", (30, 20), 200).save(tmp_path / "secret.png")

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        await pilot.press("i")
        assert isinstance(app.screen, LiveScreen)
        assert "logged nothing" in app.screen.why_not("i")
        for image in ("../secret.png", "media/broken.png", "media/grey_1.png"):
            recorder.event("log", name="shown", image=image, epoch=1, step=45)
        recorder.event("log", name="poem", text="\n".join(f"line {k}" for k in range(99)), epoch=2, step=90)
        await draw(pilot, app)
        await pilot.press("i")
        await until(pilot, lambda: "poem · epoch 2 · step 90 · 4 of 4" in screen_text(app), "the newest")
        await until(pilot, lambda: "line 3" in screen_text(app), "its text")
        await pilot.press("end")
        await until(pilot, lambda: "line 98" in screen_text(app), "the end of the text")
        await pilot.press("right", "left")
        await until(pilot, lambda: "▓▓▓▓" in screen_text(app) or "▀▀▀▀" in screen_text(app), "the image")
        assert "shown · epoch 1 · step 45 · 3 of 4" in screen_text(app)
        await pilot.press("left")
        await until(pilot, lambda: "✗ media/broken.png: " in screen_text(app), "why there is no image")
        await pilot.press("left")
        await until(pilot, lambda: "is not in the run's directory" in screen_text(app), "a refusal")
        await pilot.press("left")
        recorder.event("log", name="new", text="just now")
        app.update()
        await pilot.press("right", "right", "right", "right")
        await until(pilot, lambda: "just now" in screen_text(app), "what has come meanwhile")
        monkeypatch.setattr("tui_trainer.ui.dialogs.logged.LONGEST_TEXT", 10)
        recorder.event("log", name="long", text="0123456789x" * 100)
        app.update()
        await pilot.press("right")
        await until(pilot, lambda: "… 1,090 more characters" in screen_text(app), "that it is cut")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, LiveScreen), "Live again")

    drive(root, test)


class Trains(Training):
    """A run that seems to train in this process."""

    live = True  # type: ignore[assignment]


def test_leaving_speaks_of_the_run_that_trains_here_whatever_live_shows(tmp_path: Path) -> None:
    here = a_run(tmp_path, epochs=2)
    other = Recorder(tmp_path / "20261123-041415-digits-0a77", {"epochs": 5}).start()
    other.end_epoch()

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        training = Trains([], no_plan)
        training.run_dir = here.layout.root
        app.push_screen(QuitDialog(training, app.view))
        text = await draw(pilot, app)
        assert "tui-train attach 7f3a" in text
        assert "nothing since model_2.pt is kept" in text

    drive(other.layout.root, test)


def test_a_run_that_ends_before_or_behind_the_question_leaves_nothing_to_decide(tmp_path: Path) -> None:
    recorder = a_run(tmp_path, epochs=2)
    recorder.end("finished")

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        training = Training([], no_plan)
        training.run_dir = recorder.layout.root
        app.training = training
        app.push_screen(QuitDialog(training, app.view), app._quit)
        # The dialog is on top, its widgets are not there yet.
        app.update()
        await until(pilot, lambda: "The run is finished now" in screen_text(app), "the news")
        await pilot.press("s")
        await until(pilot, lambda: app.return_value is not None, "the app to leave")

    drive(recorder.layout.root, test)


def test_a_run_that_ends_here_while_another_is_shown_is_told(tmp_path: Path) -> None:
    here = a_run(tmp_path, epochs=2)
    here.end("finished")
    other = Recorder(tmp_path / "20261123-041415-digits-0a77", {"epochs": 5}).start()
    other.end_epoch()

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        sent: list[str] = []
        app.write_to_terminal = sent.append  # type: ignore[method-assign]
        app.training = Training([], no_plan)
        app.training.run_dir = here.layout.root
        await draw(pilot, app)
        assert [str(notice.message) for notice in app._notifications] == ["7f3a is finished: 3 shows it"]
        assert "\a" in sent
        assert any("digits finished" in sequence for sequence in sent)

    drive(other.layout.root, test)


def test_to_stay_takes_back_a_wish_to_leave_later(tmp_path: Path) -> None:
    recorder = a_run(tmp_path)

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        app.training = Training([], no_plan)
        app._leaving = Leaving("quit")
        app._quit(None)
        assert app._leaving is None
        app._leaving = Leaving("signal", "SIGTERM")
        app._quit(None)
        assert app._leaving is not None
        app._leaving = None

    drive(recorder.layout.root, test)


def test_a_learning_rate_is_not_sent_to_a_run_that_came_up_behind_the_question(tmp_path: Path) -> None:
    first = a_run(tmp_path)
    second = Recorder(tmp_path / "20261123-041415-digits-0a77", {"epochs": 5}).start()
    second.end_epoch()

    async def test(pilot: Pilot[Any], app: TrainerApp, clock: list[float]) -> None:
        await pilot.press("L")
        await until(pilot, lambda: app.screen.query(Input), "the question")
        app.view = RunView(second.layout.root)
        await draw(pilot, app)
        await pilot.press("5", "enter")
        await until(pilot, lambda: isinstance(app.screen, LiveScreen), "Live again")
        assert requests(first.layout) == requests(second.layout) == []

    drive(first.layout.root, test)
