"""Whether a task's methods can be called as the trainer calls them."""

from __future__ import annotations

import inspect

from tui_trainer.engine.frames import place
from tui_trainer.errors import UsageError
from tui_trainer.tasks.base import Task


def check_methods(task: Task) -> None:
    """Refuse methods that would only fail when the trainer calls them.

    Raises:
        UsageError: one has other parameters than `Task` declares for it.
    """
    for name, declared in vars(Task).items():
        if inspect.isfunction(declared) and task.overrides(name):
            _check_signature(task, name, list(inspect.signature(declared).parameters))


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
