"""The data report over Setup, with a helper that answers when the test says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.ui.driving import screen_lines, screen_styles, screen_text, until
from tui_trainer.errors import TrainerError
from tui_trainer.ui.app import TrainerApp
from tui_trainer.ui.dialogs.data import DataDialog, Reports, data_reports
from tui_trainer.ui.options import AppOptions

WORDS = ["digits", "--test_size", "0.5"]


@cache
def digits() -> str:
    """What `tui-train data digits --json` prints."""
    from tui_trainer.engine.data_report import data_report
    from tui_trainer.runs.events import encode
    from tui_trainer.tasks.registry import load_task

    task = load_task("digits")
    return encode(data_report(task, task.hparams_class(task="digits"), 200).as_json()).decode()


class Helper:
    """Stands for the helper process."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.cancelled = 0
        self.answer: asyncio.Future[str] | None = None

    async def output_of(self, words: list[str], timeout: float) -> str:
        if words[0] != "data":
            raise TrainerError("nobody is here to estimate")
        self.asked.append(words)
        self.answer = asyncio.get_running_loop().create_future()
        try:
            return await self.answer
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


@pytest.fixture
def helper(monkeypatch: pytest.MonkeyPatch) -> Helper:
    made = Helper()
    monkeypatch.setattr("tui_trainer.ui.form.answers.output_of", made.output_of)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    return made


Work = Callable[[Pilot[Any], Reports], Awaitable[None]]


def drive(work: Work, size: tuple[int, int] = (80, 24), ascii_only: bool = False) -> None:
    async def run() -> None:
        app = TrainerApp(AppOptions(Path("runs"), ascii=ascii_only), lambda words: pytest.fail("a start"))
        async with app.run_test(size=size) as pilot:
            reports = data_reports()
            app.push_screen(DataDialog("digits", WORDS, reports))
            await until(pilot, lambda: "looking at the data" in screen_text(app), "the dialog")
            await work(pilot, reports)

    asyncio.run(run())


async def answer(pilot: Pilot[Any], helper: Helper, shows: str) -> None:
    await until(pilot, lambda: helper.answer is not None and not helper.answer.done(), "the question")
    assert helper.answer is not None
    helper.answer.set_result(digits())
    await until(pilot, lambda: shows in screen_text(pilot.app), shows)


@pytest.mark.parametrize("size", [(80, 24), (160, 48), (40, 12)])
def test_the_report_comes_and_keys_scroll_through_all_of_it(helper: Helper, size: tuple[int, int]) -> None:
    async def work(pilot: Pilot[Any], reports: Reports) -> None:
        await answer(pilot, helper, "no problem found")
        assert helper.asked == [["data", "--json", "--", *WORDS]]
        seen = set(screen_lines(pilot.app))
        for _ in range(12):
            await pilot.press("pagedown")
            await pilot.pause()
            seen |= set(screen_lines(pilot.app))
        text = "\n".join(seen)
        assert "200, evenly" in text
        assert "targets: 10 classes" in text
        assert "▀▀▀▀▀▀▀▀" in text, "the digits"
        assert "esc" in screen_text(pilot.app)

    drive(work, size)


def test_pictures_have_colours_or_else_characters(helper: Helper) -> None:
    async def to_the_end(pilot: Pilot[Any]) -> None:
        await answer(pilot, helper, "no problem found")
        await pilot.press("end")

    async def coloured(pilot: Pilot[Any], reports: Reports) -> None:
        await to_the_end(pilot)
        await until(pilot, lambda: "▀▀▀▀" in screen_text(pilot.app), "the digits")
        greys = {style.color.triplet for style in screen_styles(pilot.app) if style.color and style.bgcolor}
        assert len({grey for grey in greys if grey and len(set(grey)) == 1}) > 5

    async def plain(pilot: Pilot[Any], reports: Reports) -> None:
        await to_the_end(pilot)
        await until(pilot, lambda: "@@" in screen_text(pilot.app), "the digits")
        assert screen_text(pilot.app).isascii()

    drive(coloured, (100, 40))
    drive(plain, (100, 40), ascii_only=True)


def test_leaving_early_ends_the_helper_and_what_is_known_is_not_asked_twice(helper: Helper) -> None:
    async def work(pilot: Pilot[Any], reports: Reports) -> None:
        await pilot.press("escape")
        await until(pilot, lambda: helper.cancelled == 1, "the end of the helper")
        pilot.app.push_screen(DataDialog("digits", WORDS, reports))
        await answer(pilot, helper, "no problem found")
        await pilot.press("escape")
        pilot.app.push_screen(DataDialog("digits", WORDS, reports))
        await until(pilot, lambda: "no problem found" in screen_text(pilot.app), "the known report")
        assert len(helper.asked) == 2
        await pilot.press("r")
        await answer(pilot, helper, "no problem found")
        assert len(helper.asked) == 3, "r looks again"

    drive(work)


@pytest.mark.parametrize("size", [(80, 24), (40, 12)])
def test_why_there_is_no_report_is_shown_with_its_hint(helper: Helper, size: tuple[int, int]) -> None:
    async def work(pilot: Pilot[Any], reports: Reports) -> None:
        await until(pilot, lambda: helper.answer is not None, "the question")
        assert helper.answer is not None
        helper.answer.set_exception(
            TrainerError("no data set", "images [needs] a folder", "--dataset_path F")
        )
        await until(pilot, lambda: "hint: --dataset_path F" in screen_text(pilot.app), "the hint")
        assert "✗ no data set" in screen_text(pilot.app)
        assert "images [needs] a folder" in screen_text(pilot.app)

    drive(work, size)


def test_an_answer_of_another_kind_is_an_error_not_a_crash(helper: Helper) -> None:
    async def work(pilot: Pilot[Any], reports: Reports) -> None:
        await until(pilot, lambda: helper.answer is not None, "the question")
        assert helper.answer is not None
        helper.answer.set_result(json.dumps({"splits": {}}))
        await until(pilot, lambda: "data report unreadable" in screen_text(pilot.app), "the error")

    drive(work)
