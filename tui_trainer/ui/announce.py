"""Telling somebody who looks elsewhere: the terminal's title, a bell and a notification at a run's end."""

from __future__ import annotations

from collections.abc import Iterator

from tui_trainer.headless.words import number, one_line
from tui_trainer.runs.state import ACTIVE, RunState
from tui_trainer.ui.settings import Settings
from tui_trainer.ui.terminal import bell, notification, title


class Announcer:
    """Turns a run's state into escape sequences, each only once.

    Args:
        settings: `title`, `bell` and `notify` switch each of them off.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._title = ""
        self._was_active = ""

    def news(self, state: RunState) -> Iterator[str]:
        """What to send to the terminal now."""
        text = title_text(state)
        if text != self._title and self._settings.get("title", True):
            self._title = text
            yield title(text)
        active = state.status in ACTIVE
        if active:
            self._was_active = state.run_id
        elif self._was_active and self._was_active == state.run_id:
            self._was_active = ""
            yield from self.ended(state)

    def ended(self, state: RunState) -> Iterator[str]:
        """What to send when a run has ended."""
        if self._settings.get("bell", True):
            yield bell()
        if self._settings.get("notify", True):
            yield notification(f"{one_line(state.task)} {state.status}: {title_text(state)}")


def title_text(state: RunState) -> str:
    """`3/10 loss 0.43 digits`: what fits in a tab."""
    if not state.run_id:
        return "tui-trainer"
    monitored = state.best.metric if state.best is not None else "train/loss"
    value = state.metrics.get(monitored, state.row.get("train/loss"))
    loss = f" {monitored.rpartition('/')[2]} {number(value)}" if value is not None else ""
    of = f"/{state.epochs}" if state.epochs else ""
    status = "" if state.status == "running" else f" {state.status}"
    return f"{state.current_epoch or state.epoch}{of}{loss}{status} {one_line(state.task)}"
