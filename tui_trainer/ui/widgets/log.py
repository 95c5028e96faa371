"""The log of a run, the newest line at the bottom."""

from __future__ import annotations

from typing import Any

from tui_trainer.ui.logbook import LogBook
from tui_trainer.ui.widgets.lines import Line
from tui_trainer.ui.widgets.scrolled import Scrolled


class LogPane(Scrolled):
    """Time and text of each line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(newest_last=True, **options)
        self._shown: tuple[LogBook, int] | None = None

    def show_log(self, book: LogBook) -> None:
        """Draw the newest lines of a log."""
        if self._shown is not None and self._shown == (book, book.count):
            return
        if self._shown is not None and self._shown[0] is not book:
            self.to_newest()
        self._shown = (book, book.count)
        # The book begins another list when its record was cut, maybe while nobody sees this pane.
        entries = book.entries

        def make(index: int) -> Line:
            entry = entries[-1 - index]
            return ((f"{entry.clock} ", "dim"), (entry.text, entry.role))

        if entries:
            self.show_rows(len(entries), make, gone=book.count - len(entries))
        else:
            self.show_rows(1, lambda index: (("nothing has happened yet", "dim"),))
