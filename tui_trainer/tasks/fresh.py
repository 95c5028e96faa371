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
