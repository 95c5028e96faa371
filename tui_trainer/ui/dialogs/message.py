"""Dialogs that tell: an error with its hint and log, or a question with a yes and a no."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tui_trainer.errors import TrainerError
from tui_trainer.headless.words import clean, near_path


class ErrorDialog(ModalScreen[None]):
    """Says what went wrong, what to do, and where the log is.

    Args:
        error: what went wrong.
        log: a file that tells more.
    """

    BINDINGS = [Binding("escape,enter,q,space", "dismiss", "Close"), Binding("y", "copy", "Copy")]

    def __init__(self, error: TrainerError, log: Path | None = None) -> None:
        super().__init__()
        self._error, self._log = error, log or error.log

    def compose(self) -> ComposeResult:
        # The command line's form of the message names the log too.
        message = clean(self._error.message).replace(f"\nlog: {self._log}", "")
        with Vertical(classes="dialog -error"):
            yield Static(Text(f"✗ {clean(self._error.title)}"), classes="dialog--title")
            with VerticalScroll(classes="dialog--body"):
                yield Static(Text(message), id="message")
                if self._error.hint:
                    yield Static(Text(f"hint: {clean(self._error.hint)}"), id="hint")
                if self._log is not None:
                    yield Static(Text(f"log: {near_path(self._log)}"), id="log")
            yield Static(Text("esc close   y copy"), classes="dialog--keys")

    def action_copy(self) -> None:
        log = f"\nlog: {self._log}" if self._log else ""
        self.app.copy_to_clipboard(f"{self._error.lines()}{log}")


class ConfirmDialog(ModalScreen[bool]):
    """Asks before something that can't be undone.

    Args:
        title: the question.
        message: what will happen.
        yes: what the key `y` does, in a word or two.
    """

    BINDINGS = [Binding("y", "dismiss(True)", "Yes"), Binding("n,escape,q", "dismiss(False)", "No")]

    def __init__(self, title: str, message: str, yes: str = "yes") -> None:
        super().__init__()
        self._title, self._message, self._yes = title, message, yes

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Text(clean(self._title)), classes="dialog--title")
            with VerticalScroll(classes="dialog--body"):
                yield Static(Text(clean(self._message)))
            yield Static(Text(f"y {self._yes}   esc no"), classes="dialog--keys")
