"""Plain aligned tables and numbers for commands whose output people read and `cut` reads too."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from tui_trainer.headless import words
from tui_trainer.headless.words import age, one_line, size
from tui_trainer.runs.events import as_number

__all__ = ["age", "aligned", "duration", "number", "one_line", "show", "size"]


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = (), spare: Sequence[int] = ()) -> str:
    """Rows as lines with columns of equal width.

    Args:
        rows: the first one is the heading.
        right: columns to align to the right.
        spare: columns to leave out, in this order, while the table is wider than the terminal it goes to.
    """
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else math.inf
    return "\n".join(words.in_columns(rows, right, spare, width))


def show(text: str) -> None:
    """Print what may come from a stranger's files: nothing in it can move the cursor or set a colour."""
    print(words.clean(text))


def number(value: Any) -> str:
    """A metric as all output shows it; a dash for none."""
    return "–" if value is None else words.number(as_number(value))


def duration(seconds: float | None) -> str:
    """Seconds as `0:05`, `12:30` or `7:41:10`; a dash for none."""
    return "–" if seconds is None else words.duration(seconds)
