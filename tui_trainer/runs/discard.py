"""Taking back a run that never trained: its log is kept, its record goes."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from tui_trainer.runs.layout import RunLayout


def write_log(folder: Path, name: str, text: str) -> Path:
    """Write a log file, into the temporary folder if `folder` can't be written.

    Raises:
        OSError: neither can.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / name
        log.write_text(text, errors="backslashreplace")
    except OSError:
        log = Path(tempfile.gettempdir()) / name
        log.write_text(text, errors="backslashreplace")
    return log


def record_files(layout: RunLayout) -> list[Path]:
    """The files of a record outside of its folders, run.json first."""
    named = (layout.run_json, layout.hparams_json, layout.events, layout.steps, layout.steps_header)
    return [*named, layout.console_log, layout.lock]


def record_folders(layout: RunLayout) -> list[Path]:
    """The folders of a record, which belong to it with all that is in them."""
    return [layout.checkpoints, layout.control, layout.task_source, layout.media, layout.logs]


def delete_record(layout: RunLayout) -> None:
    """Delete the files of a run, and its folder unless something else lies in it."""
    # run.json first: from then on the folder is no run, whatever stops the rest.
    for path in record_files(layout):
        with suppress(OSError):
            path.unlink()
    for folder in record_folders(layout):
        shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        layout.root.rmdir()
