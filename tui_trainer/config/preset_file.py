"""One preset file: flat JSON or TOML, read into a `Preset`. Nothing is validated here against a task."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tui_trainer.config.fields import printable, show_value
from tui_trainer.config.parse import Malformed, decode, parse_json, parse_toml
from tui_trainer.config.problems import HparamsError, Problem
from tui_trainer.errors import FileError, TrainerError, UsageError

NOT_HPARAMS = ("$schema", "task", "description")
"""Keys of a preset that say something about the preset itself."""

MAX_BYTES = 4 << 20
"""A larger file is no preset but data that was named by mistake."""

LIST_HINT = "tui-train presets list"


@dataclass(frozen=True)
class Defect:
    """Something wrong with a preset that no schema is needed to see."""

    line: int
    problem: Problem


@dataclass(frozen=True)
class Preset:
    """A preset as it was read. Its values are not validated yet: that needs a task's schema, see `resolve`.

    Attributes:
        path: its file, as it was found; None for one that was never a file.
        name: the file's name without suffix.
        task: the value of its `task` key.
        description: the value of its `description` key.
        values: hparams, without `task`, `description` and `$schema`.
        lines: line of each key in the file, from 1.
        text: the whole file.
        defects: duplicate keys and the like. `resolve` reports them together with what the schema refuses;
            without a `resolve`, call `raise_defects`.
    """

    path: Path | None
    name: str
    task: str | None = None
    description: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    text: str = ""
    defects: tuple[Defect, ...] = ()

    @property
    def sentence(self) -> str:
        """The description's first sentence, without the command it begins with: that is the name again."""
        text = re.sub(r"^tui-train [^:]*:\s*", "", self.description.strip())
        return re.split(r"(?<=[.!?])\s", text.strip().replace("\n", " "), maxsplit=1)[0]

    @property
    def file(self) -> str:
        """The file as messages name it."""
        return printable(str(self.path or self.name))

    def place(self, key: str) -> str:
        """`presets/baseline.json:4` for a key; line 1 for a key that the file lacks."""
        return f"{self.file}:{self.lines.get(key, 1)}"

    def raise_defects(self) -> None:
        """Refuse a preset with defects.

        Raises:
            HparamsError: names each with its line.
        """
        if self.defects:
            raise malformed(self.path or Path(self.name), self.defects)

    def as_json(self) -> dict[str, Any]:
        """The preset as a JSON object."""
        about = {"task": self.task, "description": self.description}
        return {**{key: text for key, text in about.items() if text}, **self.values}


def malformed(path: Path, defects: tuple[Defect, ...]) -> HparamsError:
    """The error for a file that is wrong in itself."""
    lines = {id(defect.problem): defect.line for defect in defects}
    return HparamsError(
        f"preset {printable(path.name)} is malformed",
        [defect.problem for defect in defects],
        lambda problem: f"{printable(str(path))}:{lines[id(problem)]}: {problem}",
    )


def read_preset(path: Path) -> Preset:
    """Read a preset: TOML if the file is called so, else JSON.

    Raises:
        FileError: the file is missing or unreadable.
        HparamsError: wrong syntax. Defects that leave the rest readable are kept in the preset.
    """
    path = Path(path)
    try:
        text = decode(_read(path))
        parsed = parse_toml(text) if path.suffix.lower() == ".toml" else parse_json(text)
    except Malformed as error:
        raise malformed(path, (Defect(error.line, Problem("", error.text)),)) from None
    defects = [
        Defect(line, Problem(key, f"given again, first in line {first}"))
        for key, line, first in parsed.duplicates
    ]
    about = {"task": "", "description": ""}
    for key in about:
        value = parsed.values.get(key)
        if isinstance(value, str):
            about[key] = value
        if value is not None and (not isinstance(value, str) or (key == "task" and not value.strip())):
            expected = "the name or file of a task" if key == "task" else "text"
            defects.append(
                Defect(
                    parsed.lines.get(key, 1), Problem(key, f"expected {expected}, got {show_value(value)}")
                )
            )
    return Preset(
        path=path,
        name=path.stem,
        task=about["task"].strip() or None,
        description=about["description"],
        values={key: value for key, value in parsed.values.items() if key not in NOT_HPARAMS},
        lines=parsed.lines,
        text=text,
        defects=tuple(sorted(defects, key=lambda defect: defect.line)),
    )


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise FileError("preset not found", f"{printable(str(path))} does not exist", LIST_HINT) from None
    except OSError as error:
        raise FileError("preset unreadable", f"{printable(str(path))}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise FileError(
            "preset refused",
            f"{printable(str(path))} is larger than {MAX_BYTES >> 20} MiB, so it is no preset",
        )
    return data


def task_refused(preset: Preset, error: TrainerError) -> TrainerError:
    """An error about the task that a preset names, with the line that names it.

    Args:
        preset: the preset.
        error: what loading the task raised.

    Returns:
        The error to raise instead: same exit code, and the preset's own defects are told as well.
    """
    said = [(preset.lines.get("task", 1), f"{preset.place('task')}: task: {error.message or error.title}")]
    said += [(d.line, f"{preset.file}:{d.line}: {d.problem}") for d in preset.defects]
    said.sort()
    count = "1 problem" if len(said) == 1 else f"{len(said)} problems"
    message = "\n  ".join([count, *(line for _, line in said)])
    return TrainerError(error.title, message, error.hint, error.exit_code)


def task_missing(preset: Preset) -> TrainerError:
    """The error for a preset that names no task where none is given beside it."""
    if any(defect.problem.key == "task" for defect in preset.defects):
        return malformed(preset.path or Path(preset.name), preset.defects)
    error = UsageError(
        "no task", 'missing; expected a name or file such as "task": "digits"', "tui-train tasks lists them"
    )
    return task_refused(preset, error)
