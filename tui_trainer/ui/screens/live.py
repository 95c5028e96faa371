"""Placeholder."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from tui_trainer.ui.screens.page import Page


class LiveScreen(Page):
    """Placeholder."""

    WHERE = "live"

    def content(self) -> ComposeResult:
        yield Static("live")

    def load(self, *words: object) -> None:
        pass
