"""The form: a cursor over its fields, and what keys and clicks do to them."""

from __future__ import annotations

from textual import events
from textual.geometry import Region, Size
from textual.message import Message

from tui_trainer.ui.form.completion import complete_path
from tui_trainer.ui.form.editor import Line
from tui_trainer.ui.form.meaning import FieldFacts
from tui_trainer.ui.form.model import Form
from tui_trainer.ui.form.rows import rows_of
from tui_trainer.ui.widgets.form_lines import FormLines


class FormView(FormLines, can_focus=True):
    """Fields by group, each on a line, below it what is wrong with it. Typing changes the one at the cursor.

    Args:
        form: what is edited.
        folded: groups whose fields are not shown.

    Attributes:
        candidates: what the path at the cursor can become, after an attempt to complete it.
    """

    class Edited(Message):
        """A field's text has changed."""

    class Moved(Message):
        """The cursor stands on another line, or there is another help for it."""

    class Folded(Message):
        """A group was folded or unfolded."""

    class Pick(Message):
        """The choices of a field should be shown."""

        def __init__(self, field: FieldFacts) -> None:
            super().__init__()
            self.field = field

    def __init__(self, form: Form, folded: set[str]) -> None:
        super().__init__(form)
        self.folded = folded
        self.candidates: list[str] = []

    # ------------------------------------------------------------------ what is shown

    @property
    def field(self) -> FieldFacts | None:
        """The field at the cursor."""
        if self._cursor is None or self._cursor[0] != "field":
            return None
        return self.form.fields.get(self._cursor[1])

    def show(self) -> None:
        """Draw the form as it is now."""
        if self.form.meaning is not None:
            wrong = {
                self.form.fields[name].group
                for name in self.form.meaning.problems
                if name in self.form.fields
            }
            self.folded -= wrong
        width = self._width
        rows, before = rows_of(self.form, self.folded, width), self._rows
        self._rows = rows
        keys = [row.key for row in rows]
        # While another preset is loading there are no fields; then the cursor is where it was.
        if keys and self._cursor not in keys:
            self._cursor = next(
                (key for key in keys if key and key[0] == "field"), next(filter(None, keys), None)
            )
            self._line = None
        field = self.field
        if field is None or not field.typed:
            self._line = None
        elif self._line is None or self._line.text != self.form.text(field.name):
            self._line = Line(self.form.text(field.name), selected=True)
        if len(rows) != len(before):
            self.virtual_size = Size(width, len(rows))
            self.refresh()
            if self.has_focus:
                self._keep_in_view()
        else:
            for y, (row, old) in enumerate(zip(rows, before, strict=True)):
                if row != old or (row.key is not None and row.key == self._cursor):
                    self.refresh_line(y)

    def _move_to(self, key: tuple[str, str]) -> None:
        if key != self._cursor:
            before, self._cursor, self._line = self._cursor, key, None
            self.candidates = []
            for y, row in enumerate(self._rows):
                if row.key is not None and row.key in (before, key):
                    self.refresh_line(y)
            self.show()
        self._keep_in_view()
        self.post_message(self.Moved())

    def _keep_in_view(self) -> None:
        at = self._at()
        end = at + 1
        while end < len(self._rows) and self._rows[end].kind == "error":
            end += 1
        # What stands above the first field, its group and messages, comes back with it.
        begin = 0 if all(row.kind != "field" for row in self._rows[:at]) else at
        self.scroll_to_region(Region(0, begin, 1, min(end - begin, max(1, self.size.height))), animate=False)

    def _at(self) -> int:
        return next((y for y, row in enumerate(self._rows) if row.key == self._cursor), 0)

    def _stops(self) -> list[tuple[str, str]]:
        return [row.key for row in self._rows if row.key is not None]

    def move(self, lines: int) -> None:
        """Move the cursor over so many fields and groups."""
        stops = self._stops()
        if stops:
            at = stops.index(self._cursor) if self._cursor in stops else 0
            self._move_to(stops[max(0, min(len(stops) - 1, at + lines))])

    def move_group(self, step: int) -> bool:
        """Move the cursor to the next or previous group. False if there is none."""
        stops = self._stops()
        groups = [k for k, key in enumerate(stops) if key[0] == "group"]
        at = stops.index(self._cursor) if self._cursor in stops else 0
        found = [k for k in groups if (k > at if step > 0 else k < at)]
        if found:
            self._move_to(stops[found[0] if step > 0 else found[-1]])
        return bool(found)

    def fold(self, group: str, away: bool) -> None:
        """Fold or unfold a group."""
        if (group in self.folded) != away:
            self.folded.symmetric_difference_update({group})
            self.show()
            self.post_message(self.Folded())

    # ------------------------------------------------------------------ editing

    def set_value(self, name: str, text: str) -> None:
        """Give a field a value."""
        self.form.set(name, text)
        self.show()
        self._keep_in_view()
        self.post_message(self.Edited())

    def _choose(self, field: FieldFacts, step: int) -> None:
        values = field.values
        now = self.form.text(field.name)
        at = values.index(now) if now in values else (-1 if step > 0 else 0)
        self.set_value(field.name, values[(at + step) % len(values)])

    def _choose_by_letter(self, field: FieldFacts, letter: str) -> None:
        letters = {"y": "t", "1": "t", "n": "f", "0": "f"} if field.kind == "bool" else {}
        letter = letters.get(letter.lower(), letter.lower())
        values, now = field.values, self.form.text(field.name)
        at = values.index(now) if now in values else -1
        after = [*values[at + 1 :], *values[: at + 1]]
        found = next((value for value in after if value.lower().startswith(letter)), None)
        if found is not None:
            self.set_value(field.name, found)

    def _complete(self, field: FieldFacts) -> bool:
        # In a path that nobody has touched, tab goes on as everywhere.
        if field.kind != "path" or self._line is None or self._line.selected:
            return False
        text = self._line.text
        completed, self.candidates = complete_path(text)
        if completed != text:
            self._line = Line(completed)
            self.set_value(field.name, completed)
        self.post_message(self.Moved())
        return bool(self.candidates) and (completed != text or len(self.candidates) > 1)

    async def _on_key(self, event: events.Key) -> None:
        if self._handle(event):
            event.stop()
            event.prevent_default()

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """In a field, what can be typed is text."""
        return self.field is not None and character is not None and character.isprintable()

    def _handle(self, event: events.Key) -> bool:
        field, key = self.field, event.key
        moves = {"up": -1, "down": 1, "pageup": 2 - self.size.height, "pagedown": self.size.height - 2}
        if key in moves:
            self.move(moves[key])
            return True
        if key in ("ctrl+home", "ctrl+end"):
            self.move(-len(self._rows) if key == "ctrl+home" else len(self._rows))
            return True
        if key == "tab":
            return (field is not None and self._complete(field)) or self.move_group(1)
        if key == "shift+tab":
            return self.move_group(-1)
        if field is None:
            return self._handle_on_group(key)
        if field.typed:
            return self._handle_in_text(field, event)
        if key in ("left", "right"):
            self._choose(field, 1 if key == "right" else -1)
        elif key == "space" or (key == "enter" and field.kind == "bool"):
            self._choose(field, 1)
        elif key == "enter":
            self.post_message(self.Pick(field))
        elif event.is_printable and event.character:
            self._choose_by_letter(field, event.character)
        else:
            return False
        return True

    def _handle_on_group(self, key: str) -> bool:
        if self._cursor is None or key not in ("enter", "space", "left", "right"):
            return False
        group = self._cursor[1]
        self.fold(group, {"left": True, "right": False}.get(key, group not in self.folded))
        return True

    def _handle_in_text(self, field: FieldFacts, event: events.Key) -> bool:
        assert self._line is not None
        line = self._line
        if event.key == "enter":
            self.move(1)
            return True
        before = line.text
        if event.is_printable and event.character:
            line.insert(event.character)
        elif not line.key(event.key):
            return False
        self._edited(field, before)
        return True

    def _edited(self, field: FieldFacts, before: str) -> None:
        assert self._line is not None
        if self._line.text != before:
            self.candidates = []
            self.set_value(field.name, self._line.text)
        else:
            self.refresh_line(self._at())

    def _on_paste(self, event: events.Paste) -> None:
        field = self.field
        if field is not None and self._line is not None:
            before = self._line.text
            self._line.insert(event.text.split("\n", 1)[0])
            self._edited(field, before)
        event.stop()

    async def _on_click(self, event: events.Click) -> None:
        y = event.y + self.scroll_offset.y
        if not 0 <= y < len(self._rows):
            return
        key = self._rows[y].key
        if key is None:
            return
        again = key == self._cursor
        self._move_to(key)
        field = self.field
        begin, width = self._columns()
        if key[0] == "group":
            self.fold(key[1], key[1] not in self.folded)
        elif field is not None and begin <= event.x < begin + width:
            if self._line is not None and again:
                self._line.cursor, self._line.selected = min(len(self._line.text), event.x - begin), False
                self.refresh_line(y)
            elif field.kind == "bool":
                self._choose(field, 1)
            elif again:
                self.post_message(self.Pick(field))

    def on_focus(self) -> None:
        self.show()
        self.refresh()
        self.post_message(self.Moved())

    def on_blur(self) -> None:
        self.refresh()
        self.post_message(self.Moved())

    def on_resize(self) -> None:
        self._rows = []
        self.show()
