"""What a run's record says about where it came from: versions, host, git commit, the task's source."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_trainer.runs.layout import RunLayout

if TYPE_CHECKING:
    from tui_trainer.tasks.base import Task

PACKAGES = ("tui-trainer", "torch", "numpy", "pydantic")


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
