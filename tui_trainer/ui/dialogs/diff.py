"""What the form changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tui_trainer.headless.words import one_line
from tui_trainer.ui.form.model import Change


def diff_text(changes: Sequence[Change]) -> Text:
    """One line for each change: its name, what it was and what it is."""
    rows = [(change.name, one_line(change.before) or "–", one_line(change.now) or "–") for change in changes]
    names = max((len(name) for name, _, _ in rows), default=0)
    befores = min(24, max((len(before) for _, before, _ in rows), default=0))
    lines = [
        Text.assemble(f"{name:<{names}}  {before:<{befores}} → ", (now, "bold")) for name, before, now in rows
    ]
    return Text("\n").join(lines) if lines else Text("nothing is changed")


class DiffDialog(ModalScreen[None]):
    """Shows what differs from the preset.

    Args:
        against: how what it is compared with is called.
        changes: what differs.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,q,d", "dismiss", "Close")]

    def __init__(self, against: str, changes: Sequence[Change]) -> None:
        super().__init__()
        self._against, self._changes = against, changes

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Text(f"Changed against {one_line(self._against)}"), classes="dialog--title")
            with VerticalScroll(classes="dialog--body"):
                yield Static(diff_text(self._changes), id="diff")
            yield Static(Text("esc close"), classes="dialog--keys")
