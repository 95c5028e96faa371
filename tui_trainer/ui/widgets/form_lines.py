"""How the form looks: rows drawn one by one, so that opening and typing cost no layout."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui_trainer.headless.words import one_line
from tui_trainer.ui.form.editor import Line
from tui_trainer.ui.form.meaning import FieldFacts
from tui_trainer.ui.form.model import Form
from tui_trainer.ui.form.rows import Row

_NAME = 26
_SENTENCE = 24
"""A sentence that has less room than this is left to the line of help."""


class FormLines(ScrollView):
    """Draws the rows of a form: name, value and sentence of each field, and the caret where one types.

    Args:
        form: what is drawn.
    """

    DEFAULT_CSS = """
    FormLines { overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "form--group", "form--name", "form--changed", "form--value", "form--sentence",
        "form--error", "form--warning",
        "form--cursor", "form--cursor-blurred", "form--input", "form--selection", "form--caret",
    }  # fmt: skip
    ALLOW_SELECT = False

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.form = form
        self._rows: list[Row] = []
        self._cursor: tuple[str, str] | None = None
        self._line: Line | None = None

    @property
    def _width(self) -> int:
        """Without the scroll bar."""
        return self.scrollable_content_region.width or self.size.width

    def _columns(self) -> tuple[int, int]:
        """Where a value begins, and its width; what is left over is the sentence's."""
        width = self._width
        names = max((len(name) for name in self.form.fields), default=0)
        begin = min(names, _NAME, max(8, width // 2)) + 5
        control = 14 if width < 100 else 24
        if width - begin - control - 2 < _SENTENCE:
            control = max(6, width - begin - 1)
        return begin, control

    def render_line(self, y: int) -> Strip:
        y += self.scroll_offset.y
        width = self._width
        base = self.rich_style
        if not 0 <= y < len(self._rows):
            return Strip.blank(width, base)
        row = self._rows[y]
        if row.kind == "field":
            segments = self._field_segments(row, row.key == self._cursor)
        else:
            segments = self._other_segments(row, row.key is not None and row.key == self._cursor)
        return Strip(segments).adjust_cell_length(width, segments[-1].style if segments else base)

    def _look(self, name: str, on_cursor: bool) -> Style:
        style = self.get_component_rich_style(name)
        if not on_cursor:
            return style
        cursor = self.get_component_rich_style("form--cursor" if self.has_focus else "form--cursor-blurred")
        return style + Style(bgcolor=cursor.bgcolor)

    def _other_segments(self, row: Row, here: bool) -> list[Segment]:
        if row.kind != "group":
            looks = {"title": "form--error", "error": "form--error", "warning": "form--warning"}
            style = self._look(looks.get(row.kind, "form--value"), False)
            return [Segment(row.text, style + Style(bold=row.kind == "title"))]
        text = f"{'▸' if row.changed else '▾'} {one_line(row.name)}"
        segments = [Segment(text, self._look("form--group", here))]
        if row.text:
            segments.append(Segment(f"   {row.text}", self._look("form--changed", here)))
        return [*segments, Segment("", self._look("form--value", here))]

    def _field_segments(self, row: Row, here: bool) -> list[Segment]:
        field = self.form.fields[row.name]
        begin, width = self._columns()
        name = set_cell_size(f"  {one_line(row.name)}", begin - 2)
        segments = [
            Segment(name, self._look("form--changed" if row.changed else "form--name", here)),
            Segment("* " if row.changed else "  ", self._look("form--changed", here)),
        ]
        look = "form--error" if row.wrong else "form--changed" if row.changed else "form--value"
        if here and self.has_focus and self._line is not None:
            if len(self._line.text) >= width:
                width = max(width, self._width - begin - 1)
            segments += self._caret_segments(self._line, width, row.wrong)
        else:
            segments.append(
                Segment(set_cell_size(_control(field, row.text, here), width), self._look(look, here))
            )
        sentence = self._width - begin - width - 2
        if sentence >= _SENTENCE:
            text = one_line(field.description)
            if cell_len(text) > sentence:
                text = f"{set_cell_size(text, sentence - 1).rstrip()}…"
            segments.append(Segment(f"  {text}", self._look("form--sentence", here)))
        return [*segments, Segment("", self._look("form--value", here))]

    def _caret_segments(self, line: Line, width: int, wrong: bool) -> list[Segment]:
        """The text around the caret, and the caret."""
        style = self.get_component_rich_style("form--input")
        if wrong:
            style += Style(color=self.get_component_rich_style("form--error").color)
        caret = self.get_component_rich_style("form--caret")
        chosen = self.get_component_rich_style("form--selection").bgcolor if line.selected else None
        begin = max(0, line.cursor - width + 1)
        text = f"{line.text} "
        before, at = text[begin : line.cursor], text[line.cursor]
        after = set_cell_size(text[line.cursor + 1 :], max(0, width - cell_len(before) - cell_len(at)))
        return [Segment(before, style + Style(bgcolor=chosen)), Segment(at, caret), Segment(after, style)]


def _control(field: FieldFacts, text: str, here: bool) -> str:
    if field.typed:
        return text
    if field.kind == "bool":
        text = {"true": "● on", "false": "○ off"}.get(text, text)
    return f"‹ {text} ›" if here else text if field.kind == "bool" else f"{text} ▾"
