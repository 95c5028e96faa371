"""Whether a class is a whole task: its methods are there and take what they are called with."""

from __future__ import annotations

import inspect

from tui_trainer.engine.frames import place
from tui_trainer.errors import UsageError, did_you_mean
from tui_trainer.tasks.base import Task

_NEEDED = ("datasets", "model")


def check_methods(task: Task) -> None:
    """Refuse what would only come up when the trainer calls it.

    Raises:
        UsageError: a method is missing, or can't be called as `Task` declares it.
    """
    for name in _NEEDED:
        if not task.overrides(name):
            own = [word for word in vars(type(task)) if word[0] != "_"]
            raise UsageError(
                f"{name}() is missing",
                f"{type(task).__name__} does not define it{did_you_mean(name, own)}",
                f"def {name}({_parameters(name)}): …",
            )
    for name, declared in vars(Task).items():
        if inspect.isfunction(declared) and task.overrides(name):
            _check_signature(task, name)


def _check_signature(task: Task, name: str) -> None:
    method = getattr(task, name)
    given = len(inspect.signature(getattr(Task, name)).parameters) - 1
    try:
        signature = inspect.signature(method)
    except (TypeError, ValueError):
        # Something built in, or made in another way than by def.
        return
    try:
        signature.bind(*[None] * given)
    except TypeError:
        written = inspect.signature(inspect.getattr_static(type(task), name))
        raise UsageError(
            f"{name}() has other parameters",
            f"{type(task).__name__} defines {name}{written}{_where(method)}",
            f"def {name}({_parameters(name)}): …",
        ) from None


def _parameters(name: str) -> str:
    return ", ".join(inspect.signature(getattr(Task, name)).parameters)


def _where(method: object) -> str:
    code = getattr(inspect.unwrap(method), "__code__", None)  # type: ignore[arg-type]
    return f" ({place(code.co_filename, code.co_firstlineno)})" if code is not None else ""
