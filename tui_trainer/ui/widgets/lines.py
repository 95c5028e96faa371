"""Lines of styled text, each drawn anew only when it has changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

Span = tuple[str, str]
Line = tuple[Span, ...]
"""Pieces of text, each with its role: empty, or one of `Lines.ROLES`."""

BLANK: Line = ()


class Lines(Widget):
    """Shows lines from its top; what does not fit is left out, at the right with a mark of that.

    A frame costs next to nothing here: no markup, no measuring, and only lines that differ are drawn.

    Args:
        options: of every widget, such as its id.
    """

    ROLES = ("dim", "strong", "good", "warning", "bad", "accent", "head", "current")
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"lines--{role}" for role in ROLES}
    DEFAULT_CSS = """
    Lines > .lines--dim { color: $foreground 60%; }
    Lines > .lines--strong { text-style: bold; }
    Lines > .lines--good { color: $success; }
    Lines > .lines--warning { color: $warning; }
    Lines > .lines--bad { color: $error; text-style: bold; }
    Lines > .lines--accent { color: $primary; }
    Lines > .lines--head { color: $foreground 60%; text-style: bold; }
    Lines:ansi > .lines--dim { text-style: dim; }
    Lines > .lines--current { color: $primary; text-style: bold reverse; }
    """
    ALLOW_SELECT = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._lines: tuple[Line, ...] = ()

    def show(self, lines: Sequence[Line]) -> None:
        """Take these lines in place of the ones before."""
        before, self._lines = self._lines, tuple(lines)
        if before == self._lines:
            return
        width = self.size.width
        changed = [
            Region(0, y, width, 1)
            for y in range(min(self.size.height, max(len(before), len(self._lines))))
            if before[y : y + 1] != self._lines[y : y + 1]
        ]
        if changed:
            self.refresh(*changed)

    @property
    def text(self) -> str:
        """What is shown, without roles."""
        return "\n".join(plain(line) for line in self._lines)

    def render_line(self, y: int) -> Strip:
        base = self.rich_style
        if y >= len(self._lines):
            return Strip.blank(self.size.width, base)
        segments = [
            Segment(text, base + self.get_component_rich_style(f"lines--{role}") if role else base)
            for text, role in crop(self._lines[y], self.size.width)
        ]
        return Strip(segments).adjust_cell_length(self.size.width, base)


def plain(line: Line) -> str:
    """The text of a line."""
    return "".join(text for text, _ in line)


def cells(line: Line) -> int:
    """Columns that a line takes."""
    return sum(cell_len(text) for text, _ in line)


def cut(text: str, width: int) -> str:
    """Text in at most `width` columns; `…` stands for what is left out."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 0 else ""


def crop(line: Line, width: int) -> Line:
    """A line in at most `width` columns."""
    spans: list[Span] = []
    for text, role in line:
        room = width - cells(tuple(spans))
        spans.append((cut(text, room), role))
        if cell_len(text) > room:
            break
    return tuple(spans)


def left(text: str, width: int) -> str:
    """Text in just `width` columns, at their left."""
    text = cut(text, width)
    return text + " " * (width - cell_len(text))


def right(text: str, width: int) -> str:
    """Text in just `width` columns, at their right."""
    text = cut(text, width)
    return " " * (width - cell_len(text)) + text
