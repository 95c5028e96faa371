"""Taking hold of a run directory: who may write to it, and what stands in the way."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tui_trainer.errors import FileError, UsageError
from tui_trainer.files import FileLock, LockHeld, lock_is_held, os_failure, read_owner, remove_temporaries
from tui_trainer.runs import control
from tui_trainer.runs.discard import record_files, record_folders
from tui_trainer.runs.json_values import read_object
from tui_trainer.runs.layout import SCHEMA, RunLayout, is_newer


def claim_new(layout: RunLayout) -> FileLock:
    """Prepare a folder for a new run and lock it.

    Raises:
        UsageError: the folder holds a run already, or another process is using it.
        FileError: the folder can't be written.
    """
    refuse_taken(layout)
    refuse_strange(layout)
    try:
        for folder in (layout.root, layout.checkpoints, layout.control):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(layout, error) from error
    lock = _lock(layout)
    try:
        refuse_taken(layout)
    except UsageError:
        lock.release()
        raise
    return lock


def claim_existing(layout: RunLayout) -> tuple[FileLock, dict[str, Any]]:
    """Lock a run that exists, and read its run.json.

    Raises:
        UsageError: another process is using it.
        FileError: there is no run here, it is of a newer format, or it can't be written.
    """
    if not layout.run_json.is_file():
        raise FileError("not a run", f"{layout.root} holds no run.json", "tui-train runs lists the runs")
    refuse_strange(layout)
    lock = _lock(layout)
    try:
        _refuse_newer(layout)
        for folder in (layout.checkpoints, layout.control):
            folder.mkdir(exist_ok=True)
        return lock, read_object(layout.run_json)
    except BaseException as error:
        lock.release()
        if isinstance(error, OSError):
            raise unwritable(layout, error) from error
        raise


def _refuse_newer(layout: RunLayout) -> None:
    """A version that does not know a format must not write it: it would lose what it does not understand.

    Raises:
        FileError: a file of the record says that it is of a newer format.
    """
    for path in (layout.run_json, layout.steps_header, layout.checkpoints_index):
        schema = read_object(path).get("schema")
        if is_newer(schema):
            message = f"{path} is of format {schema}, this version writes {SCHEMA}"
            raise FileError("run of a newer version", message, "update tui-trainer to go on with it")


def refuse_strange(layout: RunLayout) -> None:
    """Refuse a record that is not made of plain files and folders: whoever trains writes and deletes in them.

    Raises:
        FileError: one is a link, and leads elsewhere, or a pipe or a device.
    """
    for paths, is_kind, kind in (
        (record_folders(layout), stat.S_ISDIR, "folder"),
        (record_files(layout), stat.S_ISREG, "plain file"),
    ):
        for path in paths:
            try:
                mode = path.lstat().st_mode
            except OSError:
                continue
            if not is_kind(mode):
                found = "a link" if stat.S_ISLNK(mode) else "something else"
                message = f"{path} is {found}, where a run has a {kind} of its own"
                raise FileError("not a run of tui-train", message, "copy the run with what its links lead to")


@contextmanager
def owned(layout: RunLayout) -> Iterator[None]:
    """Hold the lock of a run that nobody trains while its files are changed.

    Raises:
        UsageError: a living process holds the run.
        FileError: there is no run here, or it can't be written.
    """
    lock, _ = claim_existing(layout)
    try:
        yield
    except OSError as error:
        raise unwritable(layout, error) from error
    finally:
        lock.release()


def refuse_live(layout: RunLayout) -> None:
    """Refuse a run that a living process holds, before anything else is looked at.

    Raises:
        UsageError: names the process.
    """
    if lock_is_held(layout.lock):
        raise in_use(layout, read_owner(layout.lock))


def _lock(layout: RunLayout) -> FileLock:
    """Take the lock, and clear away what a killed process left unfinished."""
    try:
        lock = FileLock(layout.lock).acquire(patience_s=0.5)
        # Here and not later: from now on whoever sees the lock may ask for something.
        control.clear(layout)
        for folder in (layout.root, layout.checkpoints, layout.task_source):
            remove_temporaries(folder)
        return lock
    except LockHeld as held:
        raise in_use(layout, held.owner) from None
    except OSError as error:
        raise unwritable(layout, error) from error


def refuse_taken(layout: RunLayout) -> None:
    """Refuse a folder for a new run that holds one already.

    Raises:
        UsageError: says what is in the way.
    """
    if layout.run_json.exists():
        refuse_live(layout)
        message = f"{layout.root} already holds a run"
        raise UsageError("run exists", message, "add --resume to go on with it, or choose another --run-dir")
    for path in (layout.events, layout.steps):
        if path.exists():
            message = f"{layout.root} holds {path.name} but no run.json"
            raise UsageError("folder in use", message, "choose an empty folder for --run-dir")


def in_use(layout: RunLayout, owner: dict[str, Any]) -> UsageError:
    """The error that names who holds a run."""
    who = f"process {owner.get('pid', '?')} on {owner.get('host', '?')}" if owner else "another process"
    hint = f"tui-train show {layout.root.name} tells how it stands, tui-train stop {layout.root.name} ends it"
    return UsageError("run is in use", f"{layout.root} is held by {who}", hint)


def unwritable(layout: RunLayout, error: OSError) -> FileError:
    """The error for a run directory that the file system refuses to write."""
    message = os_failure(error, layout.root)
    return FileError("run directory can't be written", message, "choose another folder with --runs-dir")
