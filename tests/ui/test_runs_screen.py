"""The Runs screen, over recorded runs."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from tests.ui.browsing import NAMED, Browser, browse, type_text
from tests.ui.driving import check_snapshot, screen_text, until
from tests.ui.recorded import Recorder, finished
from tui_trainer.runs import manage
from tui_trainer.runs.layout import RunLayout
from tui_trainer.ui.dialogs.message import ConfirmDialog
from tui_trainer.ui.screens.compare import CompareScreen
from tui_trainer.ui.screens.live import LiveScreen
from tui_trainer.ui.settings import Settings

GOOD, FAILED, CRASHED = (
    "20261123-031415-digits-91c2",
    "20261123-041415-digits-0a77",
    "20261123-051415-digits-55d0",
)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs"
    command = ["tui-train", "--preset", "digits", "--lr", "3e-3", "--batch-size=64"]
    recorder = Recorder(
        folder / GOOD,
        {"epochs": 3, "lr": 3e-3, "batch_size": 64},
        {"name": "night-run", "command": command},
    ).start()
    for _ in range(3):
        recorder.end_epoch()
    recorder.end()
    later = Recorder(folder / FAILED, {"epochs": 90}).start()
    later.end_epoch(save=False, **{"test/loss": float("nan")})
    later.end("failed", "loss became NaN at step 12")
    Recorder(folder / CRASHED, {"epochs": 30}).start().end_epoch(save=False).crash()
    for k, name in enumerate((GOOD, FAILED, CRASHED)):
        run = json.loads((folder / name / "run.json").read_text())
        (folder / name / "run.json").write_text(json.dumps({**run, "created": 1_790_000_000.0 + k}))
    monkeypatch.setattr(time, "time", lambda: 1_790_000_600.0)
    return folder


def names(app: Browser) -> list[str]:
    return [run.root.name for run in app.list.table.rows]


def test_a_list_says_how_each_run_stands(runs: Path) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        assert names(app) == [CRASHED, FAILED, GOOD]
        text = screen_text(app)
        for words in ("! CRASHED", "✗ FAILED", "✓ done", "night-run 91c2", "3/3", "1/90", "loss bec"):
            assert words in text
        check_snapshot("runs_80x24", text)

    browse(runs, steps, rows=3)


def test_an_empty_folder_says_how_to_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: "no runs in runs yet" in screen_text(app), "the empty list")
        check_snapshot("runs_empty_80x24", screen_text(app))
        # Nothing is chosen, so these must do nothing.
        await pilot.press("enter", "space", "c", "b", "R", "l", "C", "p", "delete", "y", "s", "S", "escape")
        assert app.asked == []

    browse(Path("runs"), steps)


@pytest.mark.parametrize("size", [(160, 48), (100, 30), (40, 12), (20, 5)])
def test_every_size_shows_the_newest_run(runs: Path, size: tuple[int, int]) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        assert "CRASHED" in screen_text(app)
        await pilot.press("down", "slash", "x", "escape", "s", "S")

    browse(runs, steps, rows=3, size=size)


def test_wide_screens_show_curves_and_the_current_run_beside_the_list(runs: Path) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await pilot.press("end")
        await until(pilot, lambda: "█▅▁" in screen_text(app) or "█▄▁" in screen_text(app), "the curve")
        text = screen_text(app)
        for words in ("night-run", "batch_size", "0.003", "test/accuracy", "all epochs done"):
            assert words in text

    browse(runs, steps, rows=3, size=(160, 48))


def test_the_list_is_filtered_as_one_types(runs: Path) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        for text, found in (
            ("night", [GOOD]),
            ("status=crashed", [CRASHED]),
            ("lr>1e-3 epochs<10", [GOOD]),
            ("batch_size!=64", [CRASHED, FAILED]),
            ("nowhere", []),
        ):
            await pilot.press("slash")
            await type_text(pilot, text)
            assert names(app) == found, text
            assert f"{len(found)} of 3 runs" in screen_text(app)
            await pilot.press("escape")
            assert names(app) == [CRASHED, FAILED, GOOD]

    browse(runs, steps, rows=3)


def test_a_filter_that_is_typed_in_one_burst_is_all_in_the_filter(runs: Path) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        for key in ("/", *"dps"):
            # As a slow link delivers them: together, before anything is drawn.
            app.post_message(events.Key(NAMED.get(key, key), key))
        field = app.page.query_one("#filter", Input)
        await until(pilot, lambda: field.value == "dps", "the filter's text")
        assert app.asked == []

    browse(runs, steps, rows=3)


def test_a_filter_stays_after_enter_and_keys_work_again(runs: Path) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await pilot.press("slash")
        await type_text(pilot, "night qr2")
        assert app.is_running
        for _ in range(4):
            await pilot.press("backspace")
        await pilot.press("enter")
        assert names(app) == [GOOD]
        assert "filter night" in screen_text(app)
        await pilot.press("y")
        assert app.asked == [("copy", str((runs / GOOD).absolute()))]
        await pilot.press("escape")
        assert len(names(app)) == 3

    browse(runs, steps, rows=3)


@pytest.mark.parametrize(
    ("text", "why"),
    [("lr<abc", "abc is no number"), ("lrr=3", "no run has a lrr; did you mean lr?")],
)
def test_a_filter_that_is_wrong_says_why_and_shows_all(runs: Path, text: str, why: str) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await pilot.press("slash")
        await type_text(pilot, text)
        assert why in screen_text(app)
        assert len(names(app)) == 3

    browse(runs, steps, rows=3)


def test_the_order_is_chosen_turned_round_and_remembered(runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "settings.json"

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await pilot.press("S")
        assert names(app) == [GOOD, FAILED, CRASHED]
        await pilot.press("s")
        assert names(app) == [CRASHED, FAILED, GOOD]
        assert "state▴" in screen_text(app)
        await pilot.press("s", "S")

    async def again(app: Browser, pilot: Pilot[Any]) -> None:
        assert names(app)[0] == GOOD
        assert "name / id▾" in screen_text(app)

    browse(runs, steps, rows=3, settings=Settings(file))
    browse(runs, again, rows=3, settings=Settings(file))


def test_selected_runs_are_compared_with_the_one_under_the_cursor(runs: Path) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await pilot.press("c")
        assert not isinstance(app.screen, CompareScreen)
        await pilot.press("space")
        assert "1 selected" in screen_text(app)
        await pilot.press("end", "c")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen), "the comparison")
        await until(pilot, lambda: "night-run" in screen_text(app), "both runs")
        assert "55d0" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: app.page is app.get_screen("runs"), "the list")

    browse(runs, steps, rows=3)


def test_a_run_is_opened_resumed_and_loaded(runs: Path) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await pilot.press("l", "R")
        hparams = RunLayout(runs / CRASHED).hparams_json
        assert app.asked == [
            ("setup", ["--preset", str(hparams)]),
            ("start", ["--resume", str(runs / CRASHED)]),
        ]
        await pilot.press("end", "R")
        # A finished run gets more to do.
        assert app.asked[-1] == ("start", ["--resume", str(runs / GOOD), "--epochs", "6"])
        await pilot.press("enter")
        assert app.view is not None
        assert app.view.run_dir == runs / GOOD
        assert app.page is app.get_screen("live")

    browse(runs, steps, rows=3)


def test_a_baseline_is_set_and_taken_back(runs: Path) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await pilot.press("b")
        assert app.baseline is not None
        assert "baseline" in screen_text(app)
        await pilot.press("b")
        assert app.baseline is None

    browse(runs, steps, rows=3)


async def press_delete(app: Browser, pilot: Pilot[Any]) -> str:
    await pilot.press("delete")
    await until(pilot, lambda: isinstance(app.screen, ConfirmDialog), "the question")
    return screen_text(app)


def test_a_run_is_deleted_only_after_a_yes_and_foreign_files_stay(runs: Path) -> None:
    (runs / GOOD / "notes.txt").write_text("mine")

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await pilot.press("end")
        text = await press_delete(app, pilot)
        assert "Delete digits 91c2 (night-run)?" in text
        assert "3 checkpoints" in text
        assert "notes.txt" in text
        await pilot.press("escape")
        assert (runs / GOOD / "run.json").is_file()
        await press_delete(app, pilot)
        await pilot.press("y")
        await until(pilot, lambda: names(app) == [CRASHED, FAILED], "the list without it")
        assert [path.name for path in (runs / GOOD).iterdir()] == ["notes.txt"]

    browse(runs, steps, rows=3)


def test_what_was_to_be_deleted_is_gone_when_the_app_has_left(runs: Path) -> None:
    begun = threading.Event()

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        def busy_until_the_app_leaves() -> None:
            begun.set()
            app.catalogue._closed.wait(60)

        await pilot.press("end")
        await press_delete(app, pilot)
        app.catalogue.do("busy", busy_until_the_app_leaves)
        await until(pilot, begun.is_set, "the thread to be busy")
        await pilot.press("y")
        await until(pilot, lambda: app.screen is app.page, "the question to close")
        assert (runs / GOOD / "run.json").is_file()

    browse(runs, steps, rows=3)
    assert not (runs / GOOD).exists()


def test_a_pinned_run_is_left_out_of_what_is_deleted(runs: Path) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await pilot.press("end", "p")
        await until(pilot, lambda: "91c2 pin" in screen_text(app), "the pin")
        assert json.loads((runs / GOOD / "run.json").read_text())["pinned"] is True
        await pilot.press("delete")
        await until(pilot, lambda: "91c2 is pinned" in app.told, "the refusal")
        await pilot.press("home", "space", "space", "space")
        text = await press_delete(app, pilot)
        assert "Delete 2 runs?" in text
        assert "91c2 is pinned" in text
        await pilot.press("y")
        await until(pilot, lambda: names(app) == [GOOD], "the list without them")
        assert not (runs / FAILED).exists()
        assert not (runs / CRASHED).exists()
        await pilot.press("p")
        await until(pilot, lambda: "91c2 pin" not in screen_text(app), "no pin")

    browse(runs, steps, rows=3)


def test_a_live_run_is_followed_and_refused_what_only_its_trainer_may_do(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    finished(runs / "20261123-010101-digits-0001", epochs=1)
    recorder = Recorder(runs / "20261123-020202-digits-0002", {"epochs": 5}).start()
    recorder.time += 60
    recorder.end_epoch()

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        assert app.list.table.current_key == recorder.layout.root
        assert "● RUNNING" in screen_text(app)
        await pilot.press("delete")
        await until(pilot, lambda: "0002 is training" in app.told, "the refusal")
        await pilot.press("R")
        assert "training already" in app.told
        assert app.asked == []
        await pilot.press("p")
        await until(pilot, lambda: list(recorder.layout.control.glob("*.json")), "the request")
        request = json.loads(next(recorder.layout.control.glob("*.json")).read_text())
        assert (request["action"], request["value"]) == ("pin", None)
        assert app.list.table.current_key == recorder.layout.root
        recorder.end_epoch()
        app.catalogue.watch(at_once=True)
        await until(pilot, lambda: "2/5" in screen_text(app), "the next epoch")
        assert app.list.table.current_key == recorder.layout.root
        recorder.end()
        app.catalogue.watch(at_once=True)
        await until(pilot, lambda: "● RUNNING" not in screen_text(app), "its end")

    browse(runs, steps, rows=2)


def test_new_runs_appear_and_deleted_ones_go(runs: Path) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await pilot.press("down")
        finished(runs / "20261123-061415-digits-aaaa", epochs=1)
        app.catalogue.watch(at_once=True)
        await until(pilot, lambda: len(names(app)) == 4, "the new run")
        assert app.list.table.current_key == runs / FAILED
        shutil.rmtree(runs / FAILED)
        app.catalogue.watch(at_once=True)
        await until(pilot, lambda: FAILED not in names(app), "it to go")

    browse(runs, steps, rows=3)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'"x"', b"\xff\xfe\x00", b"null", b"[" * 100_000],
    ids=["empty", "torn", "list", "text", "binary", "null", "deep"],
)
def test_damaged_records_are_listed_and_break_nothing(runs: Path, content: bytes) -> None:
    for k, file in enumerate(("run.json", "hparams.json", "events.jsonl", "steps.json", "checkpoints.json")):
        folder = finished(runs / f"20261124-00000{k}-digits-bad{k}", epochs=1).root
        (folder / "checkpoints" / file if file == "checkpoints.json" else folder / file).write_bytes(content)
        os.utime(folder, (1, 1))
    (runs / "just a file").write_text("x")
    (runs / "no run").mkdir()
    (runs / "20261124-111111-digits-link").symlink_to("nowhere")

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        for _ in range(8):
            await pilot.press("down")
        await pilot.press("s", "s", "s", "s", "home", "l", "enter")

    browse(runs, steps, rows=8)


@pytest.mark.parametrize(
    "values",
    [
        {"name": 3, "task": None, "created": "soon", "command": "x", "pinned": "yes", "status": ["a"]},
        {"name": "\x1b[31mred\n[bold]", "task": {"a": 1}, "created": float(10**30), "command": [1, None]},
    ],
    ids=["kinds", "escapes"],
)
def test_values_of_the_wrong_kind_are_shown_as_they_are(runs: Path, values: dict[str, Any]) -> None:
    path = runs / GOOD / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    events = runs / GOOD / "events.jsonl"
    with events.open("a") as file:
        file.write('{"event":"epoch_end","epoch":"x","metrics":[1],"best":{"value":"NaN"}}\n')

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await pilot.press("end", "home", "s", "s", "s", "s", "s", "s", "s")
        assert "\x1b" not in screen_text(app)

    browse(runs, steps, rows=3, size=(160, 48))


def test_two_thousand_runs_are_one_widget(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    for k in range(2000):
        folder = runs / f"20261123-{k:06}-digits-{k:04x}"
        folder.mkdir()
        run = {"run_id": folder.name, "status": "finished", "created": 1000 + k, "task": "digits"}
        (folder / "run.json").write_text(json.dumps(run))

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        assert len(list(app.list.table.walk_children())) <= 3
        assert "2,000 runs" in screen_text(app)
        await pilot.press("end")
        assert "0000" in screen_text(app)
        await pilot.press("slash")
        await type_text(pilot, "07cf")
        assert names(app) == ["20261123-001999-digits-07cf"]

    browse(runs, steps, rows=2000)


def test_runs_that_are_pinned_in_one_breath_are_all_pinned(runs: Path) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        busy = threading.Event()
        app.catalogue.do("busy", lambda: busy.wait(20))
        await pilot.press("p", "down", "p", "down", "p")
        busy.set()
        await until(pilot, lambda: all(run.pinned for run in app.catalogue.runs), "three pins")

    browse(runs, steps, rows=3)


def test_whatever_goes_wrong_with_files_is_said_and_the_list_goes_on(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("odd file system")

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        monkeypatch.setattr(manage, "set_run_pinned", broken)
        await pilot.press("p")
        await until(pilot, lambda: "odd file system" in screen_text(app), "the error")
        await pilot.press("escape")
        shutil.rmtree(runs / GOOD)
        app.catalogue.watch(at_once=True)
        await until(pilot, lambda: names(app) == [CRASHED, FAILED], "the list without it")

    browse(runs, steps, rows=3)


def test_a_question_about_deleting_does_not_come_up_over_another_screen(runs: Path) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        busy, asked = threading.Event(), threading.Event()
        app.catalogue.do("busy", lambda: busy.wait(20))
        await pilot.press("delete")
        app.catalogue.do("after", asked.set)
        app.action_show("live")
        await until(pilot, lambda: isinstance(app.screen, LiveScreen), "Live")
        busy.set()
        await until(pilot, asked.is_set, "the thread")
        await pilot.pause()
        assert isinstance(app.screen, LiveScreen)

    browse(runs, steps, rows=3)
