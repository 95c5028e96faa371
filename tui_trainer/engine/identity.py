"""What a run's record says about where it came from: versions, host, git commit, the task's source."""

from __future__ import annotations

import difflib
import hashlib
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_trainer.files import read_plain
from tui_trainer.runs.layout import RunLayout, run_id

if TYPE_CHECKING:
    from tui_trainer.tasks.base import Task

PACKAGES = ("tui-trainer", "torch", "numpy", "pydantic")
MOST_SOURCE = 4 << 20
"""Bytes of a task file that are looked at."""


def identity(task: Task, name: str | None, command: list[str] | None) -> dict[str, Any]:
    """The facts of run.json that hold for the whole run."""
    facts: dict[str, Any] = {
        "task": task.name,
        "command": command if command is not None else sys.argv,
        "cwd": os.getcwd(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "world_size": 1,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {package: found for package in PACKAGES if (found := _version(package))},
        "git": git_state(Path()),
    }
    return {**facts, **({"name": name} if name else {})}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and dirty flag of the checkout that `folder` lies in; None outside of one or without git."""
    with suppress(OSError, subprocess.SubprocessError):
        commit = _git(folder, "rev-parse", "HEAD")
        if commit:
            return {
                "commit": commit,
                "dirty": bool(_git(folder, "status", "--porcelain", "--untracked-files=no")),
            }
    return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        timeout=5,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def source_of(task: Task) -> Path | None:
    """The file that defines a task; None for a built-in one."""
    module = type(task).__module__
    source = getattr(sys.modules.get(module), "__file__", None)
    return None if source is None or module.startswith("tui_trainer.") else Path(source)


def keep_task_source(task: Task, layout: RunLayout) -> dict[str, Any] | None:
    """Copy a task file's source into the run.

    Returns:
        {"file": name, "sha256": hex} for run.json; None for a built-in task or one without a source file.
    """
    source = source_of(task)
    if source is None:
        return None
    with suppress(OSError):
        layout.task_source.mkdir(exist_ok=True)
        copied = layout.task_source / source.name
        shutil.copyfile(source, copied)
        return {"file": copied.name, "sha256": hashlib.sha256(copied.read_bytes()).hexdigest()}
    return None


def source_change(task: Task, run: Mapping[str, Any], root: Path) -> str | None:
    """What is different about the source of a task since a run began. Only the task's own file is compared.

    Args:
        task: as it was loaded now.
        run: the content of the run's run.json.
        root: the run directory.

    Returns:
        A sentence; None where nothing has changed, or nothing is on record (a built-in task).
    """
    kept, source = run.get("task_source"), source_of(task)
    if not isinstance(kept, Mapping) or source is None:
        return None
    try:
        now = read_plain(source, MOST_SOURCE)
    except OSError:
        # It was there a moment ago, or it could not have been loaded.
        return None
    if hashlib.sha256(now).hexdigest() == kept.get("sha256"):
        return None
    changed = f"{source.name} has changed since run {run_id(RunLayout(root))} began"
    copy = RunLayout(root).task_source / Path(str(kept.get("file"))).name
    try:
        before = read_plain(copy, MOST_SOURCE)
    except OSError:
        return changed
    count = _lines_that_differ(before, now)
    return f"{changed} ({count} {'line differs' if count == 1 else 'lines differ'}); the run's copy is {copy}"


def _lines_that_differ(before: bytes, now: bytes) -> int:
    matcher = difflib.SequenceMatcher(None, before.splitlines(), now.splitlines())
    return sum(
        max(end - begin, new_end - new_begin)
        for kind, begin, end, new_begin, new_end in matcher.get_opcodes()
        if kind != "equal"
    )
