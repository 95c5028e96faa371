"""Whether the trainer can use what a task declares: methods that it calls, directions of metrics."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import get_args

from tui_trainer.engine.frames import place
from tui_trainer.errors import UsageError
from tui_trainer.runs.directions import Direction
from tui_trainer.tasks.base import Task

_SPLITS = ("train/", "val/", "test/")


def check_declared(task: Task) -> None:
    """Refuse what would only fail when the trainer needs it, or be misunderstood.

    Raises:
        UsageError: a method has other parameters than `Task` declares for it, or a direction is none.
    """
    for name, declared in vars(Task).items():
        if inspect.isfunction(declared) and task.overrides(name):
            _check_signature(task, name, list(inspect.signature(declared).parameters))
    directions = task.directions
    wrong = not isinstance(directions, Mapping) or [
        name
        for name, direction in directions.items()
        if direction not in get_args(Direction) or name.startswith(_SPLITS)
    ]
    if wrong:
        raise UsageError(
            "wrong directions",
            f"{type(task).__name__}.directions is {directions!r}",
            'name metrics as metrics() does, each with "min" or "max": directions = {"accuracy": "max"}',
        )


def _check_signature(task: Task, name: str, wanted: list[str]) -> None:
    method = getattr(task, name)
    try:
        signature = inspect.signature(method)
    except (TypeError, ValueError):
        # Something built in, or made in another way than by def.
        return
    try:
        signature.bind(*wanted[1:])
    except TypeError:
        written = inspect.signature(getattr(type(task), name))
        code = getattr(inspect.unwrap(method), "__code__", None)
        where = f" ({place(code.co_filename, code.co_firstlineno)})" if code is not None else ""
        raise UsageError(
            f"{name}() has other parameters",
            f"{type(task).__name__} defines {name}{written}{where}",
            f"def {name}({', '.join(wanted)}): …",
        ) from None
