"""Which task a command is about, and where what it names comes from."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tui_trainer.cli.streams import say
from tui_trainer.config.preset_file import task_missing, task_refused
from tui_trainer.config.presets import Preset
from tui_trainer.errors import TrainerError, UsageError
from tui_trainer.tasks.base import Task
from tui_trainer.tasks.registry import load_task

SLOW_S = 5.0
"""A file that takes longer to be imported than torch does."""


@contextmanager
def _told_when_slow(word: str) -> Iterator[None]:
    """Who waits for an import learns what for."""
    told = (
        f"still importing {word}, after {SLOW_S:.0f} seconds; what takes long belongs into the task's methods"
    )
    timer = threading.Timer(SLOW_S, say, [told])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def task_of_preset(preset: Preset, kept: Path | None = None) -> Task:
    """The task that a preset names; a file is looked for beside the preset first.

    Args:
        preset: as it was read.
        kept: the `task/` folder of a run; by default that of the run which the preset's file lies in.

    Raises:
        TrainerError: located at the preset's line.
    """
    if preset.task is None:
        raise task_missing(preset)
    folder = preset.path.parent if preset.path else Path()
    run = folder if (folder / "run.json").is_file() else folder.parent
    try:
        with _told_when_slow(preset.task):
            return load_task(preset.task, (folder, Path()), kept or run / "task")
    except TrainerError as error:
        raise task_refused(preset, error) from error


def choose_task(
    typed: str | None, preset: Preset | None, resumed: str | None, run_source: Path | None
) -> Task:
    """The one task that command line, preset and earlier run agree on.

    Args:
        typed: TASK on the command line.
        preset: the preset, if one is given.
        resumed: the task of the run that it goes on from.
        run_source: that run's `task/` folder, which keeps the source of a task file.

    Raises:
        UsageError: there is none, or there are two.
    """
    named = [
        ("the command line", typed),
        (preset.place("task") if preset else "", preset.task if preset else None),
        ("the run to go on from", resumed),
    ]
    given = [(where, word) for where, word in named if word is not None]
    # `./my_task.py` and `my_task.py` are one file.
    if len({os.path.normpath(word) for _, word in given}) > 1:
        said = " and ".join(f"{where} says {word}" for where, word in given)
        raise UsageError("two tasks", said, "name one task only")
    # The run's own spelling, so that its record does not change.
    word = resumed or typed
    if word is not None:
        with _told_when_slow(word):
            return load_task(word, kept=run_source)
    if preset is not None:
        return task_of_preset(preset, run_source)
    raise UsageError(
        "no task",
        "there is nothing to train",
        "tui-train --preset digits trains a shipped preset; tui-train tasks lists what else there is",
    )
