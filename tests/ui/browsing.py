"""The app over a folder of recorded runs."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from tests.ui.driving import until
from tui_trainer.ui.app import TrainerApp
from tui_trainer.ui.options import AppOptions
from tui_trainer.ui.screens.listing import ListPage
from tui_trainer.ui.settings import Settings

NAMED = {"=": "equals_sign", "<": "less_than_sign", ">": "greater_than_sign", " ": "space", "/": "slash"}
Steps = Callable[["Browser", Pilot[Any]], Awaitable[None]]


class Browser(TrainerApp):
    """The app, which notes what its screens ask it to do instead of doing it."""

    CSS_PATH = Path(inspect.getfile(TrainerApp)).with_name("app.tcss")

    def __init__(self, runs_dir: Path, settings: Settings | None = None) -> None:
        super().__init__(AppOptions(runs_dir=runs_dir), _no_plan, settings or Settings(None))
        self.asked: list[tuple[str, Any]] = []

    def start(self, words: list[str]) -> None:
        self.asked.append(("start", words))

    def open_setup(self, words: list[str]) -> None:
        self.asked.append(("setup", words))

    def copy_to_clipboard(self, text: str) -> None:
        self.asked.append(("copy", text))

    @property
    def list(self) -> ListPage[Any]:
        page = self.page
        assert isinstance(page, ListPage)
        return page

    @property
    def told(self) -> str:
        """All notices."""
        return "\n".join(str(notice.message) for notice in self._notifications)


def _no_plan(words: list[str]) -> Any:
    raise AssertionError(words)


def browse(
    runs_dir: Path,
    steps: Steps,
    *,
    page: str = "runs",
    rows: int | None = None,
    size: tuple[int, int] = (80, 24),
    settings: Settings | None = None,
) -> None:
    """Open a list, wait until it shows so many rows, and take steps."""

    async def go() -> None:
        app = Browser(runs_dir, settings)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            app.action_show(page)
            await until(pilot, lambda: app.catalogue.complete, "the runs folder to be read")
            if rows is not None:
                await until(pilot, lambda: len(app.list.table.rows) == rows, f"{rows} rows")
            await steps(app, pilot)

    asyncio.run(go())


async def type_text(pilot: Pilot[Any], text: str) -> None:
    """Press a key for each character."""
    await pilot.press(*(NAMED.get(character, character) for character in text))
