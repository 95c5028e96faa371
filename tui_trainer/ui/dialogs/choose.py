"""Picking one of a few values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui_trainer.headless.words import one_line


class ChooseDialog(ModalScreen[str | None]):
    """Gives the value that was picked, or None.

    Args:
        title: what is chosen.
        values: to choose from.
        now: where the cursor begins.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "dismiss(None)", "Close")]

    def __init__(self, title: str, values: Sequence[str], now: str) -> None:
        super().__init__()
        self._title, self._values, self._now = title, tuple(values), now

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Text(one_line(self._title)), classes="dialog--title")
            yield OptionList(*(Option(Text(one_line(value))) for value in self._values), id="values")
            yield Static(Text("enter take   esc cancel"), classes="dialog--keys")

    def on_mount(self) -> None:
        if self._now in self._values:
            self.query_one(OptionList).highlighted = self._values.index(self._now)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._values[event.option_index])
