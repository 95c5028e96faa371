"""Placeholder."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from tui_trainer.ui.screens.page import Page


class CheckpointsScreen(Page):
    """Placeholder."""

    WHERE = "checkpoints"

    def content(self) -> ComposeResult:
        yield Static("checkpoints")

    def load(self, *words: object) -> None:
        pass
