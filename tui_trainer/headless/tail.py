"""The lines that this process adds to a run's events."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import IO, Any

from tui_trainer.runs.events import decode
from tui_trainer.runs.json_values import read_object
from tui_trainer.runs.layout import RunLayout


class EventTail:
    """Follows events.jsonl from where the running process began.

    A resumed run begins with the lines that earlier processes wrote; run.json says how many bytes they are. A
    run that goes back to a checkpoint replaces the file by one that begins alike: what follows is new.

    Args:
        layout: the run's paths.
    """

    def __init__(self, layout: RunLayout) -> None:
        self._path = layout.events
        resumes = read_object(layout.run_json).get("resumes")
        latest = resumes[-1] if isinstance(resumes, list) and resumes else {}
        kept = latest.get("event_bytes") if isinstance(latest, dict) else 0
        self._begin = self._offset = kept if isinstance(kept, int) and kept > 0 else 0
        self._file: IO[bytes] | None = None

    def earlier(self) -> list[dict[str, Any]]:
        """The events of earlier processes; empty for a new run."""
        return decode_all(self._read(0, self._begin).splitlines()) if self._begin else []

    def read(self) -> list[bytes]:
        """The lines that were completed since the last call, each with its newline."""
        self._follow()
        data = self._read(self._offset, -1)
        end = data.rfind(b"\n") + 1
        self._offset += end
        return data[:end].splitlines(keepends=True)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _follow(self) -> None:
        """Open the file, or the one in its place, which is new from where the two begin to differ."""
        with suppress(OSError):
            if self._file is not None and os.path.samestat(
                os.stat(self._path), os.fstat(self._file.fileno())
            ):
                return
            file = open(self._path, "rb")
            if self._file is not None:
                self._offset = min(self._offset, _alike(self._file, file))
                self._file.close()
            self._file = file

    def _read(self, offset: int, size: int) -> bytes:
        self._follow()
        if self._file is None:
            return b""
        try:
            self._file.seek(offset)
            return self._file.read(size)
        except OSError:
            return b""


def _alike(one: IO[bytes], other: IO[bytes]) -> int:
    """Bytes of whole lines with which both files begin."""
    one.seek(0)
    other.seek(0)
    size = 0
    for line in one:
        if other.readline() != line:
            break
        size += len(line)
    return size


def decode_all(lines: list[bytes]) -> list[dict[str, Any]]:
    """The events of lines, without those that are none."""
    return [event for line in lines if (event := decode(line)) is not None]
