"""The report on a data set, over Setup."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tui_trainer.errors import TrainerError
from tui_trainer.headless.data_report import Section, sections
from tui_trainer.headless.words import clean, one_line, seconds
from tui_trainer.ui.form.answers import Answers
from tui_trainer.ui.picture import drawing_of

TIMEOUT = 300.0
_TICK_S = 0.5
_KEYS = "↑ ↓ scroll   r look again   esc close"

Reports = Answers[dict[str, Any]]


def data_reports() -> Reports:
    """Reports by the words of a form, made by `tui-train data` in a process of its own."""
    return Answers(["data", "--json", "--"], lambda report: report, TIMEOUT, "no data report")


class DataDialog(ModalScreen[None]):
    """Shows a data report, and says how long it takes until there is one. Leaving gives it up.

    Args:
        title: what the form is about.
        words: of the form.
        reports: where it is known from, or made.
        clock: seconds.
    """

    BINDINGS = [
        Binding("escape,q,i", "dismiss", "Close"),
        Binding("r", "again", "Look again"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (18, "-tall")]

    def __init__(
        self,
        title: str,
        words: Sequence[str],
        reports: Reports,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._title, self._words, self._reports, self._clock = title, [*words], reports, clock
        self._making: asyncio.Task[None] | None = None
        self._begin = 0.0
        self._shown: tuple[object, int] | None = None

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog data"):
            yield Static(Text(f"Data of {one_line(self._title)}"), classes="dialog--title")
            with VerticalScroll(classes="dialog--body"):
                yield Static(id="report")
            yield Static(Text(_KEYS), classes="dialog--keys")

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
        self.set_interval(_TICK_S, self._show)
        if self._reports.known(self._words) is None:
            self._make()

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._show)

    def _make(self) -> None:
        self._begin = self._clock()
        self._making = asyncio.create_task(self._reports.make(self._words))
        self._making.add_done_callback(self._made)
        self._show()

    def _made(self, task: asyncio.Task[None]) -> None:
        if self._making is task:
            self._making = None
            if self.is_mounted:
                self._show()

    def action_again(self) -> None:
        """Look at the data as they are now."""
        if self._making is None:
            self._reports.forget(self._words)
            self._make()

    async def on_unmount(self) -> None:
        making, self._making = self._making, None
        if making is not None:
            making.cancel()
            await asyncio.wait([making])

    def _show(self) -> None:
        body = self.query_one(VerticalScroll)
        width = body.scrollable_content_region.width
        if self._making is not None:
            text = Text(f"looking at the data … {seconds(self._clock() - self._begin)}   esc gives it up")
            self._shown = None
        else:
            known = self._reports.known(self._words)
            if known is None or width < 1 or self._shown == (id(known), width):
                return
            self._shown = (id(known), width)
            text = self._text(known, width)
        self.query_one("#report", Static).update(text)

    def _text(self, known: dict[str, Any] | TrainerError, width: int) -> Text:
        if isinstance(known, TrainerError):
            return _error_text(known)
        try:
            made = sections(known, width, drawing_of(self.app))
        except (LookupError, TypeError, ValueError) as error:
            return _error_text(TrainerError("data report unreadable", f"{type(error).__name__}: {error}"))
        return Text("\n\n").join(map(_section_text, made))


def _section_text(section: Section) -> Text:
    mark = "▲ " if section.warning else ""
    return Text("\n").join([Text(f"{mark}{section.title}", "bold"), *section.lines])


def _error_text(error: TrainerError) -> Text:
    hint = f"\n\nhint: {clean(error.hint)}" if error.hint else ""
    return Text.assemble((f"✗ {clean(error.title)}", "bold"), f"\n{clean(error.message)}{hint}")
