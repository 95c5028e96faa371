"""Cutting a record back to what a checkpoint knew, without hurting those who are reading it.

A file that is truncated kills every viewer that has it mapped, so the kept part becomes a new file that
takes the old one's name. Readers notice the new inode and begin again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tui_trainer.files import open_plain, replacing
from tui_trainer.runs.checkpoints import remove_orphans
from tui_trainer.runs.json_values import read_object
from tui_trainer.runs.layout import RunLayout

_BLOCK = 1 << 20
MOST_COLUMNS = 2048
"""Columns of a step series: readers keep sums of each, so a header that names more is refused."""


def read_columns(layout: RunLayout) -> list[str]:
    """The columns of the step series; empty when there is none, or its header can't be understood."""
    header = read_object(layout.steps_header)
    columns = header.get("columns")
    if header.get("dtype") != "<f8" or not isinstance(columns, list):
        return []
    if len(columns) > MOST_COLUMNS or not all(isinstance(column, str) for column in columns):
        return []
    return columns


def keep_prefix(layout: RunLayout, rows: int, event_bytes: int, then: bytes = b"") -> dict[str, int]:
    """Keep at most `rows` step rows and `event_bytes` of events, whole rows and lines only.

    Also clears away checkpoint files that no entry names. The caller holds the run's lock.

    Args:
        layout: the run's paths.
        rows: step rows to keep.
        event_bytes: bytes of events to keep.
        then: whole lines that follow the events kept.

    Returns:
        What was kept: {"rows": count, "event_bytes": bytes}.

    Raises:
        OSError: a file can't be read or written; each file is still whole, old or new.
    """
    remove_orphans(layout)
    width = 8 * len(read_columns(layout))
    rows = max(0, min(rows, _size(layout.steps) // width)) if width else 0
    lines = _whole_lines(layout.events, event_bytes)
    if rows * width < _size(layout.steps) or not _ends_with(layout.events, lines, then):
        # Both are written before one is renamed, so that a full disk changes nothing. Steps are renamed
        # first: a reader that starts again because of the new events file finds the new rows.
        with _kept(layout.events, lines, then), _kept(layout.steps, rows * width):
            pass
    if rows == 0:
        # Without rows nothing binds the columns: a restart may name others.
        layout.steps_header.unlink(missing_ok=True)
    return {"rows": rows, "event_bytes": lines + len(then)}


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _ends_with(path: Path, size: int, then: bytes) -> bool:
    """Whether a file has `size` bytes, then these, and no more."""
    if _size(path) != size + len(then):
        return False
    if not then:
        return True
    with open_plain(path) as file:
        file.seek(size)
        return file.read() == then


def _whole_lines(path: Path, limit: int) -> int:
    """Bytes of the longest prefix of whole lines that is no longer than `limit`."""
    end = min(limit, _size(path))
    if end <= 0:
        return 0
    with open_plain(path) as file:
        while end > 0:
            start = max(0, end - _BLOCK)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
    return 0


@contextmanager
def _kept(path: Path, size: int, then: bytes = b"") -> Iterator[None]:
    """Write what is kept of a file, and let it take the file's place at the end."""
    if not path.exists():
        yield
        return
    with open_plain(path) as old, replacing(path) as new:
        _copy(old, new, size)
        new.write(then)
        new.flush()
        os.fsync(new.fileno())
        yield


def _copy(old: IO[bytes], new: IO[bytes], size: int) -> None:
    while size > 0 and (block := old.read(min(size, _BLOCK))):
        new.write(block)
        size -= len(block)
