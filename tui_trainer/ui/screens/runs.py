"""Placeholder."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from tui_trainer.ui.screens.page import Page


class RunsScreen(Page):
    """Placeholder."""

    WHERE = "runs"

    def content(self) -> ComposeResult:
        yield Static("runs")

    def load(self, *words: object) -> None:
        pass
