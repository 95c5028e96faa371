"""`tui-train tasks serve`: what command lines mean, for front ends that must not run a task's code.

One JSON object a line on stdin, one on stdout: `{"id": 1, "words": ["--preset", "digits"]}` is answered by
`{"id": 1, "task": …, "fields": […], …}` as `Meaning` says, or by `{"id": 1, "error": {…}}`. Replies come
in the order of the requests. What the code of a task prints goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from tui_trainer.cli.choice import choose_task
from tui_trainer.cli.options import GIVE_A_TASK, SWITCHES, VALUED, hparam_switches, hparam_valued
from tui_trainer.cli.resume import Origin, find_origin
from tui_trainer.cli.words import Words, sort_words
from tui_trainer.config.changes import changes
from tui_trainer.config.fields import GROUPS, FieldSpec, flag_text
from tui_trainer.config.hparams import Hparams
from tui_trainer.config.presets import Preset, find_preset, read_preset
from tui_trainer.config.problems import HparamsError, Problem, suggestion
from tui_trainer.config.resolve import resolve
from tui_trainer.engine.identity import source_of
from tui_trainer.errors import Exit, TrainerError, UsageError
from tui_trainer.runs.layout import default_runs_dir
from tui_trainer.tasks.base import Task
from tui_trainer.tasks.registry import looks_like_task

LINGER = 3.0
"""Seconds for the answers that are left when stdin has ended."""


@dataclass(frozen=True)
class Meaning:
    """What a command line means. Texts are as one would type them after a flag.

    Attributes:
        task: its name; `description` is its sentence.
        preset: name, path and description of the preset, if there is one.
        head: the words that name task and preset.
        options: the words that are neither `head` nor hparams, such as `--run-name`.
        fields: every hparam, by group.
        values: text of each hparam before flags: default < earlier run < preset; invalid ones as they are.
        flags: text of each hparam that a flag gives.
        problems: what is wrong, with the hparam to blame, or null for the whole.
        warnings: what is dropped.
        unknown: flags that this task does not have.
        source: the file that defines the task, where it is none of ours.
    """

    task: str
    description: str
    preset: dict[str, str] | None
    head: list[str]
    options: list[str]
    fields: list[dict[str, Any]]
    values: dict[str, str]
    flags: dict[str, str]
    problems: list[dict[str, str | None]]
    warnings: list[str]
    unknown: list[str]
    source: str | None


class Interpreter:
    """Finds out what command lines mean; loads each task once."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[Any, ...], Task] = {}

    def meaning(self, argv: Sequence[str]) -> Meaning:
        """What a command line means.

        Raises:
            TrainerError: it names no task that can be loaded.
        """
        words = _sorted(argv, Hparams.specs())
        typed = words.positionals[0] if words.positionals else None
        if typed is None and not any(words.get(name) for name in GIVE_A_TASK):
            typed = next((word for word in words.unsure if looks_like_task(word)), None)
        preset_word = words.get("preset")
        preset = read_preset(find_preset(preset_word)) if isinstance(preset_word, str) else None
        origin = _origin(words)
        base = origin.base(typed, preset) if origin else {}
        task = self._task(typed, preset, origin, base)
        specs = task.hparams_class.specs()
        words = _sorted(argv, specs)
        if len(words.positionals) > 1:
            raise UsageError("too many words", f"expected one TASK, got {' '.join(words.positionals)}")
        flags = _flags(words, specs)
        problems: list[Problem] = []
        warnings: list[str] = []
        try:
            resolved = resolve(task.hparams_class, task.name, preset, flags, base)
            warnings = resolved.warnings
            if origin is not None and origin.kind != "init":
                changed = changes(base, resolved.hparams)
                refused = [change for change in changed if change.kind == "refused"]
                problems = [
                    Problem(change.name, f"can't change on {origin.kind}: {change}") for change in refused
                ]
                warnings += [change.sentence for change in changed if change not in refused]
                warnings += origin.source_warnings(task)
        except HparamsError as error:
            problems = error.problems
        source = source_of(task)
        known = sorted({*SWITCHES, *VALUED, *hparam_switches(specs), *hparam_valued(specs)})
        return Meaning(
            task=task.name,
            description=task.summary(),
            preset=_preset_facts(preset) if preset else None,
            head=_head(typed, preset_word),
            options=_options(words),
            fields=[_facts(spec) for spec in _in_groups(specs)],
            values=_values(specs, {**base, **(preset.values if preset else {})}),
            flags={name: flag_text(value) for name, value in flags.items()},
            problems=[_placed(problem, specs, preset) for problem in problems],
            warnings=warnings,
            unknown=[f"--{name}{suggestion(name, known)}" for name in words.unknown],
            source=str(source) if source is not None else None,
        )

    def _task(
        self, typed: str | None, preset: Preset | None, origin: Origin | None, base: dict[str, Any]
    ) -> Task:
        place = (preset.path, preset.task, preset.defects) if preset else None
        kept = origin.task_source if origin and base else None
        key = (typed, place, kept)
        if key not in self._tasks:
            self._tasks[key] = choose_task(typed, preset, base.get("task"), kept)
        return self._tasks[key]


def _sorted(argv: Sequence[str], specs: dict[str, FieldSpec]) -> Words:
    return sort_words(argv, {*SWITCHES, *hparam_switches(specs)}, {*VALUED, *hparam_valued(specs)})


def _origin(words: Words) -> Origin | None:
    runs_dir, run_dir = words.get("runs_dir"), words.get("run_dir")
    folder = Path(str(runs_dir)).expanduser() if runs_dir else default_runs_dir()
    return find_origin(words, folder, Path(str(run_dir)) if run_dir else None)


def _flags(words: Words, specs: dict[str, FieldSpec]) -> dict[str, str | bool]:
    flags: dict[str, str | bool] = {}
    for name, value in words.flags:
        if name in specs and name != "task":
            flags[name] = value
        elif name.startswith("no_") and name.removeprefix("no_") in specs:
            flags[name.removeprefix("no_")] = False
    return flags


def _head(typed: str | None, preset: str | bool | None) -> list[str]:
    return [*([typed] if typed else []), *(["--preset", preset] if isinstance(preset, str) else [])]


def _options(words: Words) -> list[str]:
    options: list[str] = []
    for name, value in words.flags:
        if name != "preset" and (name in SWITCHES or name in VALUED):
            flag = f"--{name.replace('_', '-')}"
            options += [flag] if value is True else [flag, str(value)]
    return options


def _in_groups(specs: dict[str, FieldSpec]) -> list[FieldSpec]:
    order = [*GROUPS, *sorted({spec.group for spec in specs.values()} - set(GROUPS))]
    return [spec for group in order for spec in specs.values() if spec.group == group and spec.name != "task"]


def _facts(spec: FieldSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "kind": spec.kind,
        "group": spec.group,
        "optional": spec.optional,
        "required": spec.required,
        "default": "" if spec.required else flag_text(spec.default),
        "description": spec.description,
        "unit": spec.unit,
        "choices": list(spec.choices),
        "expected": spec.expected,
    }


def _values(specs: dict[str, FieldSpec], stated: dict[str, Any]) -> dict[str, str]:
    return {
        name: _typed(spec, stated[name])
        if name in stated
        else ""
        if spec.required
        else flag_text(spec.default)
        for name, spec in specs.items()
        if name != "task"
    }


def _typed(spec: FieldSpec, value: Any) -> str:
    """A preset's value as one types it; as JSON where typing that text would give another value."""
    text = flag_text(value)
    try:
        same = spec.parse(text) == (list(value) if isinstance(value, tuple) else value)
    except ValueError:
        same = not isinstance(value, (dict, list))
    return text if same else json.dumps(value, ensure_ascii=False, default=str)


def _preset_facts(preset: Preset) -> dict[str, str]:
    return {"name": preset.name, "path": str(preset.path), "description": preset.description}


def _placed(problem: Problem, specs: dict[str, FieldSpec], preset: Preset | None) -> dict[str, str | None]:
    if problem.key in specs and problem.key != "task":
        return {"key": problem.key, "message": problem.text}
    where = f"{preset.place(problem.key)}: " if preset and problem.key in preset.lines else ""
    return {"key": None, "message": f"{where}{problem}"}


def run(args: argparse.Namespace) -> int:
    """Answer requests until stdin ends."""
    requests, replies = _take_stdio()
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in requests:
            lines.put(line)
        lines.put(None)
        # The task's code may hang, and nobody is left to end it.
        time.sleep(LINGER)
        os._exit(Exit.OK)

    threading.Thread(target=read, daemon=True).start()
    interpreter = Interpreter()
    while (line := lines.get()) is not None:
        request = json.loads(line)
        reply = {"id": request["id"], **_answer(interpreter, request["words"])}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
    return Exit.OK


def _take_stdio() -> tuple[TextIO, TextIO]:
    """Keep stdin and stdout for the protocol: the task's code reads nothing and prints to stderr."""
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, replies


def _answer(interpreter: Interpreter, words: list[str]) -> dict[str, Any]:
    try:
        return vars(interpreter.meaning(words))
    except TrainerError as error:
        said = (error.title, error.message, error.hint)
    except (Exception, SystemExit) as error:
        said = (
            "the task's code fails",
            f"{type(error).__name__}: {error}",
            "run the file with python to see it fail",
        )
    return {"error": dict(zip(("title", "message", "hint"), said, strict=True))}
