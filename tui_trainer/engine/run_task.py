"""The task of a run that exists, and the hparams of its checkpoints. Light to import."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tui_trainer.config.hparams import Hparams
from tui_trainer.config.problems import HparamsError, validate
from tui_trainer.errors import FileError
from tui_trainer.runs.json_values import read_object
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader
from tui_trainer.tasks.base import Task
from tui_trainer.tasks.registry import load_task


def task_of(layout: RunLayout, tag: str, *, copy: bool = False) -> tuple[Task, dict[str, Any]]:
    """A fresh object of a checkpoint's task, and the hparams that it was trained with.

    A task file comes from where it was, or from the copy that the run keeps. Data that a relative path does
    not lead to from here are looked for from where the run was started.

    Args:
        layout: the run.
        tag: of the checkpoint.
        copy: take the run's copy in any case.

    Raises:
        FileError: the hparams or the task file can't be read.
        UsageError: the task is not known here.
    """
    values = read_object(layout.parameters_file(tag)) or RunReader(layout.root).hparams()
    if not isinstance(values.get("task"), str):
        message = f"{layout.parameters_file(tag)} is missing, or names no task"
        raise FileError("run without hparams", message, "hparams.json of the run has the same content")
    folders = () if copy else (Path(),)
    return load_task(values["task"], folders, layout.task_source), _with_data_found(layout, values)


def _with_data_found(layout: RunLayout, values: dict[str, Any]) -> dict[str, Any]:
    named, started = values.get("dataset_path"), RunReader(layout.root).run().get("cwd")
    if not isinstance(named, str) or not isinstance(started, str):
        return values
    path = Path(named).expanduser()
    there = Path(started) / path
    if path.is_absolute() or os.path.exists(path) or not os.path.exists(there):
        return values
    return {**values, "dataset_path": str(there)}


def hparams_for(layout: RunLayout, tag: str, changes: Mapping[str, Any]) -> Hparams:
    """The hparams of a checkpoint with some of them changed.

    Raises:
        HparamsError: they are wrong.
    """
    task, values = task_of(layout, tag)
    return valid_hparams(task, {**values, **changes}, layout.parameters_file(tag))


def valid_hparams(task: Task, values: Mapping[str, Any], path: Path) -> Hparams:
    """Hparams from values that are on record.

    Args:
        task: whose they are.
        values: by name.
        path: the file they are from, for messages.

    Raises:
        HparamsError: they do not suit the task, which may have changed.
    """
    hparams, problems = validate(task.hparams_class, dict(values))
    if hparams is None:
        raise HparamsError(f"{path} does not suit {task.name}", problems)
    return hparams
