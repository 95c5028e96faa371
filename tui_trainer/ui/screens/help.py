"""Help: the keys of a screen, from the table of keys."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tui_trainer.ui.keys import PLACES, keys_of


class HelpScreen(ModalScreen[None]):
    """Lists what every key does here and everywhere.

    Args:
        where: the screen it was opened on.
    """

    BINDINGS = [Binding("escape,q,f1,question_mark", "dismiss", "Close")]

    def __init__(self, where: str) -> None:
        super().__init__()
        self._where = where

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog help"):
            yield Static(Text(f"Keys of {PLACES[self._where]}"), classes="dialog--title")
            with VerticalScroll(classes="dialog--body"):
                yield Static(help_table(self._where), id="keys")
            yield Static(Text("esc close   ↑ ↓ scroll"), classes="dialog--keys")

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()


def help_table(where: str) -> Table:
    """Keys and sentences in two columns: those of a place, then those that hold everywhere."""
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="bold", no_wrap=True)
    table.add_column()
    for place in dict.fromkeys((where, "app")):
        if place != where:
            table.add_row("", "")
            table.add_row("", Text(PLACES[place], "bold"))
        for key in keys_of(place):
            table.add_row(key.display, key.help)
    return table
