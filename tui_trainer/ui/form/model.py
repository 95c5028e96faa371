"""The form's state: a command line, edited field by field."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tui_trainer.errors import TrainerError
from tui_trainer.ui.form.meaning import FieldFacts, Meaning

_ORIGINS = ("--resume", "--fork", "--init-from")
"""Options that name what a run comes from; its task and hparams may be from there."""
_PLACES = ("--runs-dir", "--run-dir")
"""Options that say where that is found."""


@dataclass(frozen=True)
class Change:
    """A field whose text is not the preset's, or without a preset not the task's default."""

    name: str
    before: str
    now: str


class Form:
    """What a person has chosen and typed. What it means is told from outside, by `take`.

    What was typed for a preset or task is kept while another is loaded, and is there when it comes back.

    Attributes:
        meaning: of the words as they were when it was asked for; None before anything is known.
        error: why nothing is known.
        notes: flags that were left out when a command line was loaded.
    """

    def __init__(self) -> None:
        self.meaning: Meaning | None = None
        self.error: TrainerError | None = None
        self.notes: tuple[str, ...] = ()
        self._loading: list[str] | None = None
        self._texts: dict[str, str] = {}
        self._kept: dict[tuple[str, ...], dict[str, str]] = {}

    # ------------------------------------------------------------------ loading

    def load(self, words: Sequence[str]) -> None:
        """Begin with another command line."""
        if self.meaning is not None:
            self._kept[self.meaning.head] = self._texts
        self._loading = [*words]
        self.meaning = self.error = None
        self._texts, self.notes = {}, ()

    @property
    def loading(self) -> list[str] | None:
        """The words whose meaning is not known yet."""
        return self._loading if self.meaning is None and self.error is None else None

    def take(self, answer: Meaning | TrainerError) -> None:
        """Take what the words mean, or why that is not known."""
        if isinstance(answer, TrainerError):
            if self.meaning is not None:
                # Not even the task can be loaded any more: begin with these words when it can.
                self._loading = self.words
            self.meaning, self.error = None, answer
            return
        if self.meaning is None:
            kept = self._kept.pop(answer.head, {}) if not answer.flags else {}
            self._texts = {**answer.flags, **kept}
            self.notes = answer.unknown
        self.meaning, self.error, self._loading = answer, None, None

    # ------------------------------------------------------------------ fields

    @property
    def fields(self) -> dict[str, FieldFacts]:
        """The fields, in the order in which they are shown."""
        return self.meaning.fields if self.meaning is not None else {}

    def text(self, name: str) -> str:
        """What a field says now."""
        return self._texts.get(name, self.before(name))

    def before(self, name: str) -> str:
        """What a field says when nothing is typed: the preset's value, or the default."""
        return self.meaning.values.get(name, "") if self.meaning is not None else ""

    def set(self, name: str, text: str) -> None:
        """Type something into a field. The text it began with is no change."""
        if text == self.before(name):
            self._texts.pop(name, None)
        else:
            self._texts[name] = text

    def undo(self, name: str) -> None:
        """Set a field back."""
        self._texts.pop(name, None)

    def undo_all(self) -> None:
        """Set every field back."""
        self._texts.clear()

    @property
    def changes(self) -> list[Change]:
        """What differs, in the order of the fields."""
        return [
            Change(name, self.before(name), self._texts[name])
            for name in self.fields
            if name in self._texts and self._texts[name] != self.before(name)
        ]

    # ------------------------------------------------------------------ words

    @property
    def flags(self) -> list[str]:
        """The flags of what differs."""
        words: list[str] = []
        for change in self.changes:
            words += _flag(self.fields[change.name], change.now)
        return words

    @property
    def words(self) -> list[str]:
        """The command line, without the program's name."""
        if self.meaning is None:
            return list(self._loading or [])
        return [*self.meaning.head, *self.flags, *self.meaning.options]

    @property
    def hparam_words(self) -> list[str]:
        """The command line without options that say nothing about what is trained."""
        if self.meaning is None:
            return []
        pairs = list(pairwise(self.meaning.options))
        named = [word for pair in pairs if pair[0] in (*_ORIGINS, *_PLACES) for word in pair]
        return [*self.meaning.head, *self.flags, *(named if {*_ORIGINS} & {*named} else [])]

    @property
    def command(self) -> str:
        """The command line as one types it into a shell."""
        return shlex.join(["tui-train", *self.words])

    @property
    def title(self) -> str:
        """The preset's name, or the task's."""
        return (self.meaning.preset or self.meaning.task) if self.meaning is not None else ""

    @property
    def why_not(self) -> str:
        """Why it can't be started; empty if it can."""
        if self.meaning is None:
            return self.error.title if self.error is not None else "loading"
        more = self.meaning.problem_count - 1
        first = self.meaning.first_problem
        return f"{first} (and {more} more)" if more > 0 else first


def _flag(field: FieldFacts, text: str) -> list[str]:
    if field.kind == "bool" and text in ("true", "false"):
        return [f"--{field.name}"] if text == "true" else [f"--no_{field.name}"]
    # A text that looks like a flag is told from one by the equals sign.
    return [f"--{field.name}={text}"] if text.startswith("--") else [f"--{field.name}", text]
