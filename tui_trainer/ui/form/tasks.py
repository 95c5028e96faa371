"""The tasks that can be chosen here, found without running anybody's code."""

from __future__ import annotations

from pathlib import Path

from tui_trainer.tasks.registry import BUILT_IN, known_tasks, load_task

MOST_FILES = 500
MOST_BYTES = 1 << 20


def tasks_here(folder: Path = Path()) -> list[tuple[str, str]]:
    """Built-in tasks, those of installed packages, and the task files of a folder, with a sentence each."""
    plugged = [(name, where) for name, where in sorted(known_tasks().items()) if name not in BUILT_IN]
    files = [(name, "task file of this folder") for name in _task_files(folder)]
    return [*files, *((name, load_task(name).summary()) for name in BUILT_IN), *plugged]


def _task_files(folder: Path) -> list[str]:
    return [path.name for path in sorted(folder.glob("*.py"))[:MOST_FILES] if _mentions_us(path)]


def _mentions_us(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            text = file.read(MOST_BYTES)
    except OSError:
        return False
    return b"tui_trainer" in text and b"Task" in text
