"""A pane with more lines than fit, of which only the visible ones are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual import events

from tui_trainer.ui.widgets.lines import Line, Lines

_WHEEL = 3


class Scrolled(Lines):
    """Follows the newest row until somebody scrolls away from it; then the rows in view stay where they are.

    Args:
        newest_last: the newest row is at the bottom instead of at the top.
    """

    def __init__(self, *, newest_last: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self._newest_last = newest_last
        self._count = self._gone = 0
        self._behind = 0
        self._head: tuple[Line, ...] = ()
        self._make: Callable[[int], Line] = lambda index: ()

    def show_rows(
        self, count: int, make: Callable[[int], Line], head: Line | None = None, gone: int = 0
    ) -> None:
        """Show rows by their age.

        Args:
            count: how many there are.
            make: gives a row; 0 is the newest.
            head: a line that stays above them.
            gone: how many older ones there were.
        """
        if self._behind:
            self._behind += count + gone - self._count - self._gone
        self._count, self._gone, self._make = count, gone, make
        self._head = (head,) if head is not None else ()
        self._draw()

    def scroll_rows(self, down: int) -> None:
        """Move the view down by so many rows, up by a negative number."""
        self._behind += -down if self._newest_last else down
        self._draw()

    def scroll_page(self, down: int) -> None:
        """Move the view by so many heights of the pane."""
        self.scroll_rows(down * max(1, self._room - 1))

    def to_newest(self) -> None:
        """Back to the newest row, and follow it."""
        self._behind = 0
        self._draw()

    @property
    def _room(self) -> int:
        return max(1, self.size.height - len(self._head))

    def _draw(self) -> None:
        self._behind = max(0, min(self._behind, self._count - self._room))
        stop = min(self._count, self._behind + self._room)
        rows = [self._make(index) for index in range(self._behind, stop)]
        if self._newest_last:
            rows.reverse()
        self.show([*self._head, *rows])
        place = f"{self._behind + 1:,}–{stop:,} of {self._count:,}" if self._behind else ""
        if (self.border_subtitle or "") != place:
            self.border_subtitle = place

    def on_resize(self) -> None:
        self._draw()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_rows(_WHEEL)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_rows(-_WHEEL)
