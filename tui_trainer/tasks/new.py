"""A task file to begin with, written from a template."""

from __future__ import annotations

import builtins
import importlib.util
import keyword
import os
import re
import shlex
import sys
from contextlib import suppress
from pathlib import Path

from tui_trainer.errors import FileError, UsageError
from tui_trainer.files import create_only

TEMPLATES = ("classification", "regression", "autoencoder", "language-model", "gan", "minimal")

_FOLDER = Path(__file__).with_name("templates")
_CLASS, _FILE = "MyTask", "my_task.py"
"""What the templates call their task and themselves."""


def write_task_file(path: Path, template: str) -> None:
    """Write a task file that runs as it is. Its class is named after the file.

    Args:
        path: a new file that ends in .py.
        template: one of `TEMPLATES`.

    Raises:
        UsageError: the file's name can't be a task's.
        FileError: the file exists, or can't be written.
    """
    if path.suffix != ".py" or ":" in path.name:
        raise UsageError(
            "not a task file", f"{path} is not NAME.py", f"for example {path.stem or 'my_task'}.py"
        )
    try:
        created = _write(path, template)
    except OSError as error:
        raise FileError("can't write the task file", f"{path}: {error.strerror or error}") from error
    if not created:
        raise FileError("file exists", f"{path} is left as it is", "choose another name, or delete it first")


def _write(path: Path, template: str) -> bool:
    if not path.parent.is_dir():
        raise FileError(
            "no such folder", str(path.parent), f"make it first: mkdir -p {shlex.quote(str(path.parent))}"
        )
    if os.path.lexists(path):
        return False
    if hidden := _module_named(path.stem):
        raise UsageError(
            "name taken",
            f"{path.name} would stand before the module {path.stem} ({hidden}) when that is imported",
            f"choose another name: my_{path.stem}.py",
        )
    text = (_FOLDER / f"{template.replace('-', '_')}.py").read_text(encoding="utf-8")
    text = text.replace(_CLASS, class_name(path.stem, text)).replace(_FILE, shlex.quote(path.name))
    return create_only(path, text.encode())


def class_name(stem: str, text: str = "") -> str:
    """The class of a task file: `my_task` -> `MyTask`.

    Args:
        stem: the file's name without its ending.
        text: what it will hold; a name that it has for something else gets `My` in front.
    """
    name = "".join(part[0].upper() + part[1:] for part in re.split(r"[\W_]+", stem) if part)
    taken = set(re.findall(r"\w+", text.replace(_CLASS, ""))) | {*dir(builtins), *keyword.kwlist}
    return name if name.isidentifier() and name not in taken else f"My{name or 'Task'}"


def _module_named(stem: str) -> str:
    """Where a module of that name comes from; empty where there is none."""
    if stem in sys.stdlib_module_names:
        return "of Python itself"
    with suppress(ImportError, ValueError):
        spec = importlib.util.find_spec(stem) if stem.isidentifier() else None
        return spec.origin or "" if spec is not None else ""
    return ""
