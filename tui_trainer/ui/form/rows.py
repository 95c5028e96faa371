"""The lines of the form: groups, fields, and what is wrong with them."""

from __future__ import annotations

import textwrap
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from tui_trainer.headless.words import clean, one_line
from tui_trainer.ui.form.model import Form

INDENT = 4


@dataclass(frozen=True)
class Row:
    """One line.

    Attributes:
        kind: the cursor rests on groups and fields only.
        name: of the group or field.
        text: a field's value; of a group what is to be known while it is folded; else a line of a message.
        changed: the field differs from the preset, or the group is folded.
        wrong: the field's value is wrong.
    """

    kind: Literal["group", "field", "title", "error", "warning", "plain"]
    name: str
    text: str
    changed: bool = False
    wrong: bool = False

    @property
    def key(self) -> tuple[str, str] | None:
        """What the cursor remembers."""
        return (self.kind, self.name) if self.kind in ("group", "field") else None


def rows_of(form: Form, folded: Collection[str], width: int) -> list[Row]:
    """The lines of a form.

    Args:
        form: the form.
        folded: groups whose fields are not shown.
        width: most cells of a message.
    """
    if form.error is not None:
        return _error_rows(form, width)
    if form.meaning is None:
        return []
    rows = [row for text in form.meaning.general for row in _wrapped("error", f"✗ {text}", width)]
    notes = [f"▲ {text}: left out" for text in form.notes] + [f"▲ {text}" for text in form.meaning.warnings]
    rows += [row for text in notes for row in _wrapped("warning", text, width)]
    changed = {change.name for change in form.changes}
    problems = form.meaning.problems
    group = None
    for field in form.fields.values():
        if field.group != group:
            group = field.group
            inside = {name for name, other in form.fields.items() if other.group == group}
            away = group in folded
            count = len(changed & inside)
            rows.append(Row("group", group, f"{count} changed" if away and count else "", away))
        if group in folded:
            continue
        wrong = field.name in problems
        rows.append(Row("field", field.name, one_line(form.text(field.name)), field.name in changed, wrong))
        if wrong:
            rows += _wrapped("error", f"✗ {problems[field.name]}", width, INDENT)
    return rows


def _error_rows(form: Form, width: int) -> list[Row]:
    assert form.error is not None
    rows = _wrapped("title", f"✗ {form.error.title}", width)
    for line in clean(form.error.message).splitlines():
        rows += _wrapped("plain", line, width)
    if form.error.hint:
        rows += [Row("plain", "", ""), *_wrapped("warning", f"hint: {form.error.hint}", width)]
    return [*rows, Row("plain", "", ""), *_wrapped("plain", "ctrl+l tries again.", width)]


def _wrapped(
    kind: Literal["title", "error", "warning", "plain"], text: str, width: int, indent: int = 0
) -> list[Row]:
    room = max(10, width - indent)
    lines = textwrap.wrap(one_line(text), room, subsequent_indent="  ")
    return [Row(kind, "", " " * indent + line) for line in lines]


def changed_against(form: Form) -> str:
    """`2 changed against digits`."""
    count = len(form.changes)
    if form.meaning is None or not count:
        return ""
    return f"{count} changed against {one_line(form.meaning.preset) or 'the defaults'}"


def help_of(form: Form, name: str) -> str:
    """What is to be known about a field: its sentence, range, unit, default, and the preset's value."""
    field = form.fields.get(name)
    if field is None:
        return ""
    facts = ["← → or enter chooses"] if not field.typed else [field.expected]
    if field.unit:
        facts.append(f"unit: {field.unit}")
    facts.append("required" if field.required else f"default {field.default}")
    if form.meaning is not None and form.meaning.preset and form.before(name) != field.default:
        facts.append(f"preset {form.before(name)}")
    return one_line(f"{field.name}: {field.description} ({'; '.join(facts)})")


def waiting_text(words: list[str], seconds: float) -> str:
    """What is said while nothing is known."""
    return f"loading {named(words)} …{f' {int(seconds)} s' if seconds >= 1 else ''}"


def named(words: list[str]) -> str:
    """The preset that a command line names, or else its task."""
    at = words.index("--preset") + 1 if "--preset" in words[:-1] else 0
    return one_line(words[at]) if words else ""
