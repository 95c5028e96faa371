"""Evaluating and exporting from the Checkpoints screen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.color import ColorType
from textual.pilot import Pilot

from tests.ui.browsing import Browser, browse
from tests.ui.driving import screen_lines, screen_styles, screen_text, until
from tests.ui.recorded import finished
from tests.unit.test_scores import facts
from tui_trainer.errors import TrainerError
from tui_trainer.ui.dialogs import evaluation, export
from tui_trainer.ui.dialogs.evaluation import EvaluationDialog
from tui_trainer.ui.dialogs.export import ExportDialog

RUN = "20261123-041415-digits-0a77"
DIGITS = [str(k) for k in range(10)]
COUNTS = [[35 if k == j else 2 if j == (k + 1) % 10 else 0 for j in range(10)] for k in range(10)]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    finished(tmp_path / "runs" / RUN, epochs=2)
    return tmp_path / "runs"


class Commands:
    """Stands in for the processes that a dialog starts.

    Args:
        answer: what they print, or the error that they report.
    """

    def __init__(self, answer: str | TrainerError) -> None:
        self.answer = answer
        self.asked: list[list[str]] = []
        self.go = asyncio.Event()
        self.cancelled = False

    async def output_of(self, words: list[str], timeout: float, hear: Callable[[str], object]) -> str:
        self.asked.append(words)
        hear("evaluating test …")
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if isinstance(self.answer, TrainerError):
            raise self.answer
        return self.answer


def stand_in(monkeypatch: pytest.MonkeyPatch, module: Any, answer: str | TrainerError) -> Commands:
    commands = Commands(answer)
    monkeypatch.setattr(module, "output_of", commands.output_of)
    return commands


async def opened(app: Browser, pilot: Pilot[Any], key: str) -> None:
    await until(pilot, lambda: len(app.list.table.rows) == 2, "two checkpoints")
    await pilot.press(key)


@pytest.mark.parametrize("size", [(80, 24), (160, 48), (40, 12)])
def test_an_evaluation_is_shown_when_it_is_done(
    runs: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    commands = stand_in(monkeypatch, evaluation, json.dumps(facts(COUNTS, DIGITS)))

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await opened(app, pilot, "e")
        await until(pilot, lambda: "evaluating test …" in screen_text(app), "what the process says")
        assert commands.asked[0][0] == "evaluate"
        assert commands.asked[0][1].endswith(f"{RUN}/checkpoints/model_2.pt")
        commands.go.set()
        await until(pilot, lambda: "y copy" in screen_text(app), "the end")
        seen = screen_lines(app)
        for _ in range(60):
            await pilot.press("pagedown" if size[1] > 12 else "down")
            seen += screen_lines(app)
        text = "\n".join(seen)
        assert "test/loss" in text
        assert "samples" in text
        if size[0] >= 80:
            assert any("│ 0     35    2    ·" in line for line in seen)
        else:
            assert "true" in text
            assert "esc close" in seen[-3]
        await pilot.press("y")
        assert "35    2" in app.asked[-1][1]
        await pilot.press("escape")
        assert not isinstance(app.screen, EvaluationDialog)

    browse(runs, steps, page="checkpoints", size=size)


def test_closing_the_dialog_stops_the_evaluation(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = stand_in(monkeypatch, evaluation, "")

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await opened(app, pilot, "e")
        await until(pilot, lambda: commands.asked, "a process")
        await pilot.press("escape")
        await until(pilot, lambda: commands.cancelled, "its end")

    browse(runs, steps, page="checkpoints")


def test_an_evaluation_that_fails_says_why(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = stand_in(
        monkeypatch, evaluation, TrainerError("images not found", "they are gone", "get them")
    )
    commands.go.set()

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await opened(app, pilot, "e")
        await until(pilot, lambda: "images not found: they are gone" in screen_text(app), "the error")
        assert "hint: get them" in screen_text(app)

    browse(runs, steps, page="checkpoints")


@pytest.mark.parametrize("theme", ["dark", "light", "ansi"])
def test_numbers_lie_on_grounds_of_their_own(runs: Path, monkeypatch: pytest.MonkeyPatch, theme: str) -> None:
    commands = stand_in(monkeypatch, evaluation, json.dumps(facts(COUNTS, DIGITS)))
    commands.go.set()

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        app.theme = theme
        await opened(app, pilot, "e")
        await until(pilot, lambda: "y copy" in screen_text(app), "the end")
        await pilot.press("end")
        await until(pilot, lambda: "rows true, columns given" in screen_text(app), "the matrix")
        styles = screen_styles(app)
        if theme == "ansi":
            reversed_ = [style.color.name for style in styles if style.reverse and style.color]
            assert "color(4)" in reversed_
            return
        grounds = [
            (style.bgcolor.triplet, style.color.triplet)
            for style in styles
            if style.bgcolor and style.color and style.bgcolor.type is ColorType.TRUECOLOR
        ]
        assert len({ground for ground, _ in grounds}) > 4
        black_or_white = [pair for pair in grounds if pair[1] is not None and sum(pair[1]) in (0, 765)]
        assert black_or_white
        for ground, ink in black_or_white:
            assert ground is not None
            assert ink is not None
            assert abs(sum(ground) - sum(ink)) > 250

    browse(runs, steps, page="checkpoints")


def test_an_export_asks_for_format_and_file(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = stand_in(monkeypatch, export, "0a77-2.onnx: 12 kB; checked")
    commands.go.set()
    Path("0a77-2.onnx").write_text("there already")

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await opened(app, pilot, "x")
        await until(pilot, lambda: "0a77-2.safetensors" in screen_text(app), "a suggestion")
        await pilot.press("right", "right")
        await until(pilot, lambda: "0a77-2.onnx" in screen_text(app), "another ending")
        await pilot.press("enter")
        await until(pilot, lambda: "once more replaces it" in screen_text(app), "the question")
        assert not commands.asked
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(app.screen, ExportDialog), "the end")
        assert commands.asked[0][2:] == ["0a77-2.onnx", "--to", "onnx", "--force"]
        assert "0a77-2.onnx: 12 kB; checked" in app.told

    browse(runs, steps, page="checkpoints")


def test_a_typed_file_stays_when_the_format_changes(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = stand_in(
        monkeypatch, export, TrainerError("package missing", "onnx is not installed", "pip install")
    )
    commands.go.set()

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await opened(app, pilot, "x")
        await until(pilot, lambda: isinstance(app.screen, ExportDialog), "the dialog")
        await pilot.press("tab", *"mine", "shift+tab", "left")
        await until(pilot, lambda: "state-dict" in screen_text(app), "the last format")
        assert " mine " in screen_text(app)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "onnx is not installed" in screen_text(app), "the error")
        assert "pip install" in screen_text(app)
        assert commands.asked[0][2:] == ["mine", "--to", "state-dict"]
        await pilot.press("escape")
        assert not isinstance(app.screen, ExportDialog)

    browse(runs, steps, page="checkpoints")


def test_a_checkpoint_whose_files_are_gone_is_neither_evaluated_nor_exported(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (runs / RUN / "checkpoints/model_2.pt").unlink()

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await opened(app, pilot, "e")
        await pilot.press("x")
        assert "model_2.pt: model_2.pt is missing" in app.told

    browse(runs, steps, page="checkpoints")
