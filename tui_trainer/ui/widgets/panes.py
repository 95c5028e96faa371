"""The panes of a narrow screen, of which one is shown at a time."""

from __future__ import annotations

from typing import Any

from textual import events

from tui_trainer.ui.widgets.lines import Line, Lines


class PaneTabs(Lines):
    """Names the panes and marks the current one: `[Curves] Metrics  Epochs`.

    Args:
        panes: their names, each of which is a title too.
    """

    def __init__(self, panes: tuple[str, ...], **options: Any) -> None:
        super().__init__(**options)
        self._panes = panes

    def show_current(self, current: str) -> None:
        """Mark a pane."""
        self.show([tabs_line(self._panes, current)])

    async def on_click(self, event: events.Click) -> None:
        end = 0
        for pane in self._panes:
            begin, end = end, end + len(pane) + 2
            if begin <= event.x - self.gutter.left < end:
                await self.screen.run_action(f"pane('{pane}')")


def tabs_line(panes: tuple[str, ...], current: str) -> Line:
    """Every name takes two columns more than its letters, so that nothing moves when the mark does."""
    return tuple(
        (f"[{pane.title()}]", "accent") if pane == current else (f" {pane.title()} ", "dim") for pane in panes
    )
