"""A person's own modules, imported anew when they have changed: a process may live longer than their text."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_KEPT = ("__main__", "tui_trainer", "torch", "numpy")
"""Packages that are imported once, wherever a developer keeps them."""

_stamps: dict[str, int] = {}
_noted_at = 0
_task_files: set[str] = set()
"""Those that were imported. They are kept apart by name, so none has to give way to another."""

Own = Callable[[str, str], bool]
"""Whether a module, by name and file, is one of those in question."""


def found_through(root: Path) -> Own:
    """Those that an entry of sys.path holds, and not a folder deeper in it."""

    def own(name: str, file: str) -> bool:
        base = os.path.join(root, *name.split("."))
        return file in (f"{base}.py", os.path.join(base, "__init__.py"))

    return own


def part_of(package: str) -> Own:
    """A package and what is in it."""
    return lambda name, file: name == package or name.startswith(f"{package}.")


def give_way(path: Path) -> None:
    """Before a task file is imported: modules beside other ones do not stand for those beside it.

    Its folder comes first on sys.path, where spawned loader processes find the file by its name, too.
    """
    root = path.parent
    others = {Path(file).parent for file in _task_files} - {root}
    for name, file in _modules(lambda _, file: file not in _task_files):
        first = os.path.join(root, name.partition(".")[0])
        here = os.path.isfile(f"{first}.py") or os.path.isfile(os.path.join(first, "__init__.py"))
        owners = [other for other in others if found_through(other)(name, file)]
        if here and owners:
            del sys.modules[name]
            # Those that took something from it are imported anew with it.
            _stamps.update({known: -1 for known in _task_files if Path(known).parent in owners})
    _task_files.add(str(path))
    folder = str(root)
    if sys.path[:1] != [folder]:
        sys.path[:] = [folder, *(entry for entry in sys.path if entry != folder)]


@contextmanager
def fresh(own: Own) -> Iterator[None]:
    """Around an import: what changed since it was imported is forgotten before, and noted afterwards.

    If the file of one module has changed all of them are forgotten: who took what from whom is not known.
    """
    global _noted_at
    before = dict(_modules(own))
    if any(_has_changed(file) for file in before.values()):
        for name, file in before.items():
            del sys.modules[name]
            _stamps.pop(file, None)
    try:
        yield
    finally:
        for _, file in _modules(own):
            _stamps.setdefault(file, _modified(file))
        _noted_at = time.time_ns()


def _has_changed(file: str) -> bool:
    if file in _stamps:
        return _modified(file) != _stamps[file]
    # Imported after the last look, by a method.
    return 0 < _noted_at < _modified(file)


def _modules(own: Own) -> Iterator[tuple[str, str]]:
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and name.partition(".")[0] not in _KEPT and own(name, file):
            yield name, file


def _modified(file: str) -> int:
    try:
        return os.stat(file).st_mtime_ns
    except OSError:
        return 0
