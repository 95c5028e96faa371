"""What a command line means, as the helper process says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tui_trainer.headless.words import one_line

TEXT_KINDS = ("int", "float", "str", "path", "numbers", "mixed")
"""Kinds of hparams that are typed; the others are chosen."""


@dataclass(frozen=True)
class FieldFacts:
    """One hparam, as the form shows it. Texts are as one types them after a flag."""

    name: str
    kind: str
    group: str
    optional: bool
    required: bool
    default: str
    description: str
    unit: str
    choices: tuple[str, ...]
    expected: str

    @property
    def typed(self) -> bool:
        """Whether its value is typed; a choice or a switch is not."""
        return self.kind in TEXT_KINDS

    @property
    def values(self) -> tuple[str, ...]:
        """What can be chosen."""
        if self.kind == "bool":
            return ("true", "false")
        return (*self.choices, "none") if self.optional else self.choices


@dataclass(frozen=True)
class Meaning:
    """The task of a command line with its fields, their values and what is wrong with them.

    Attributes:
        task: its name.
        description: its sentence.
        preset: the preset's name; empty without one.
        head: the words that name task and preset.
        options: the words that are neither `head` nor hparams.
        fields: by name, in the order of their groups.
        values: text of each hparam without flags.
        flags: text of each hparam that a flag gives.
        problems: by hparam, what is wrong.
        general: what is wrong with none of the fields: keys that the task does not know, defects of a file.
        warnings: what is dropped.
        unknown: flags of the command line that the task does not have.
        source: the task's file, where it is a person's own.
    """

    task: str
    description: str
    preset: str
    head: tuple[str, ...]
    options: tuple[str, ...]
    fields: dict[str, FieldFacts]
    values: dict[str, str]
    flags: dict[str, str]
    problems: dict[str, str]
    general: tuple[str, ...]
    warnings: tuple[str, ...]
    unknown: tuple[str, ...]
    source: str | None

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Meaning:
        """Read a reply of `tui-train tasks serve`."""
        told = [(problem["key"], problem["message"]) for problem in facts["problems"]]
        fields = [FieldFacts(**{**field, "choices": tuple(field["choices"])}) for field in facts["fields"]]
        return cls(
            task=facts["task"],
            description=facts["description"],
            preset=(facts["preset"] or {}).get("name", ""),
            head=tuple(facts["head"]),
            options=tuple(facts["options"]),
            fields={field.name: field for field in fields},
            values=facts["values"],
            flags=facts["flags"],
            problems={key: message for key, message in told if key is not None},
            general=tuple(message for key, message in told if key is None),
            warnings=tuple(facts["warnings"]),
            unknown=tuple(facts["unknown"]),
            source=facts["source"],
        )

    @property
    def first_problem(self) -> str:
        """One of the problems, on one line; empty where there is none."""
        told = [*self.general, *(f"{name}: {text}" for name, text in self.problems.items())]
        return one_line(told[0]) if told else ""

    @property
    def problem_count(self) -> int:
        return len(self.general) + len(self.problems)
