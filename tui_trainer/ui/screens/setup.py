"""Placeholder."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from tui_trainer.ui.screens.page import Page


class SetupScreen(Page):
    """Placeholder."""

    WHERE = "setup"

    def content(self) -> ComposeResult:
        yield Static("setup")

    def load(self, *words: object) -> None:
        pass
