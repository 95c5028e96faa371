"""The lines that this process adds to a run's events."""

from __future__ import annotations

from typing import Any

from tui_trainer.runs.events import decode
from tui_trainer.runs.json_values import read_object
from tui_trainer.runs.layout import RunLayout


class EventTail:
    """Follows events.jsonl from where the running process began.

    A resumed run begins with the lines that earlier processes wrote; run.json says how many bytes they are.
    While a process holds the run its events only grow, so a byte offset is all there is to remember.

    Args:
        layout: the run's paths.
    """

    def __init__(self, layout: RunLayout) -> None:
        self._path = layout.events
        resumes = read_object(layout.run_json).get("resumes")
        latest = resumes[-1] if isinstance(resumes, list) and resumes else {}
        kept = latest.get("event_bytes") if isinstance(latest, dict) else 0
        self._begin = self._offset = kept if isinstance(kept, int) and kept > 0 else 0

    def earlier(self) -> list[dict[str, Any]]:
        """The events of earlier processes; empty for a new run."""
        return decode_all(self._read(0, self._begin).splitlines()) if self._begin else []

    def read(self) -> list[bytes]:
        """The lines that were completed since the last call, each with its newline."""
        data = self._read(self._offset, -1)
        end = data.rfind(b"\n") + 1
        self._offset += end
        return data[:end].splitlines(keepends=True)

    def _read(self, offset: int, size: int) -> bytes:
        try:
            with open(self._path, "rb") as file:
                file.seek(offset)
                return file.read(size)
        except OSError:
            return b""


def decode_all(lines: list[bytes]) -> list[dict[str, Any]]:
    """The events of lines, without those that are none."""
    return [event for line in lines if (event := decode(line)) is not None]
