"""Pinning and deleting runs that nobody trains."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tui_trainer.errors import FileError, UsageError
from tui_trainer.runs.claim import owned
from tui_trainer.runs.discard import delete_record, record_files, record_folders
from tui_trainer.runs.json_values import read_object, write_object
from tui_trainer.runs.layout import RunLayout, run_id


def set_run_pinned(layout: RunLayout, pinned: bool) -> None:
    """Pin or unpin a run: a pinned one can't be deleted.

    Raises:
        UsageError: a living process trains it; ask that by a control request.
        FileError: there is no run here, or it can't be written.
    """
    with owned(layout):
        run = read_object(layout.run_json)
        if not run:
            # Writing it anew would lose what is left in it.
            raise FileError(
                "run.json is unreadable", str(layout.run_json), "restore it from a copy of the run"
            )
        write_object(layout.run_json, {**run, "pinned": pinned})


@dataclass(frozen=True)
class Contents:
    """What lies in a run directory.

    Attributes:
        size: bytes of the record, checkpoints included.
        checkpoints: how many models are saved.
        foreign: names beside the record, which stay when it is deleted.
    """

    size: int
    checkpoints: int
    foreign: tuple[str, ...]


def contents(layout: RunLayout) -> Contents:
    """What `delete_run` would delete, and what it would leave."""
    own_files = {path.name for path in record_files(layout)}
    own_folders = {path.name for path in record_folders(layout)}
    size = models = 0
    foreign: list[str] = []
    try:
        entries = list(os.scandir(layout.root))
    except OSError:
        return Contents(0, 0, ())
    for entry in entries:
        if entry.name in own_folders and entry.is_dir(follow_symlinks=False):
            sizes = _sizes(Path(entry.path))
            size += sum(sizes.values())
            if entry.name == layout.checkpoints.name:
                models = sum(1 for name in sizes if name.startswith("model_") and name.endswith(".pt"))
        elif entry.name in own_files:
            size += _size(Path(entry.path))
        else:
            foreign.append(entry.name)
    return Contents(size, models, tuple(sorted(foreign)))


def delete_run(layout: RunLayout) -> bool:
    """Delete a run's record. Files that are not the record's stay, and the folder with them.

    Returns:
        Whether the folder is gone.

    Raises:
        UsageError: the run is pinned, or a living process trains it.
        FileError: there is no run here, or it can't be deleted.
    """
    with owned(layout):
        if read_object(layout.run_json).get("pinned") is True:
            raise UsageError("run is pinned", f"{run_id(layout)} can't be deleted", "unpin it first")
        delete_record(layout)
    if layout.run_json.exists():
        raise FileError("run can't be deleted", str(layout.root), "check who may write to this folder")
    return not layout.root.exists()


def _sizes(folder: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            found[name] = _size(Path(parent) / name)
    return found


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
