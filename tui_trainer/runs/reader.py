"""Reading a run that may be growing, replaced, half copied or gone. Nothing here raises for such a run."""

from __future__ import annotations

import math
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tui_trainer.errors import FileError
from tui_trainer.files import lock_is_held, open_plain, read_owner
from tui_trainer.runs.checkpoints import read_index
from tui_trainer.runs.events import decode
from tui_trainer.runs.json_values import read_object
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.prefix import read_columns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Liveness = Literal["live", "dead", "remote"]

LONGEST_LINE = 16 << 20
"""Bytes of an event: what follows a longer stretch without a newline is no record."""

_FINGERPRINT = 64
_BLOCK = 1 << 20


def is_run(path: Path) -> bool:
    """Whether a folder holds a run: it has a run.json."""
    try:
        return (path / "run.json").is_file()
    except (OSError, ValueError):
        return False


class RunReader:
    """Follows one run directory. Files that are missing are empty results.

    Args:
        root: the run directory.
        clock: source of unix seconds, for the age of the heartbeat.
        host: this machine's name, as writers record it.

    Attributes:
        layout: the run's paths.
        generation: how often events.jsonl was found replaced. When it grows, `poll` returned every event from
            the beginning: a follower drops what it had, step rows included.
        behind: whether the last `poll` left events unread, because it was told to read only so much.
    """

    def __init__(
        self, root: Path | str, clock: Callable[[], float] = time.time, host: str | None = None
    ) -> None:
        self.layout = RunLayout(Path(root))
        self.generation = 0
        self.behind = False
        self._clock = clock
        self._host = host or socket.gethostname()
        self._offset = 0
        self._inode: tuple[int, int] | None = None
        self._before = b""

    def run(self) -> dict[str, Any]:
        """The content of run.json."""
        return read_object(self.layout.run_json)

    def hparams(self) -> dict[str, Any]:
        """The content of hparams.json."""
        return read_object(self.layout.hparams_json)

    def checkpoints(self) -> list[dict[str, Any]]:
        """The checkpoint index, oldest first; empty when it can't be read."""
        try:
            return read_index(self.layout)
        except FileError:
            return []

    def poll(self, most: int | None = None) -> list[dict[str, Any]]:
        """The events that were completed since the last call; a torn last line waits for its rest.

        If the file was replaced or got shorter, `generation` grows and all events are returned again.

        Args:
            most: bytes to read at once, so that a long record does not hold up who asks; None for all.
        """
        try:
            with open_plain(self.layout.events) as file:
                facts = os.fstat(file.fileno())
                inode = (facts.st_dev, facts.st_ino)
                # Inode numbers are reused, so the bytes before the offset are compared too.
                same = inode == self._inode and facts.st_size >= self._offset
                if same and self._before:
                    file.seek(self._offset - len(self._before))
                    same = file.read(len(self._before)) == self._before
                if not same:
                    if self._inode is not None:
                        self.generation += 1
                    self._inode, self._offset, self._before = inode, 0, b""
                    file.seek(0)
                self.behind = False
                if facts.st_size == self._offset:
                    return []
                file.seek(self._offset)
                data = file.read(-1 if most is None else most)
                if most is not None and b"\n" not in data:
                    data += file.read(LONGEST_LINE)
                self.behind = self._offset + len(data) < facts.st_size
        except OSError:
            self.behind = False
            return []
        end = data.rfind(b"\n") + 1
        if end:
            self._offset += end
            self._before = (self._before + data[max(0, end - _FINGERPRINT) : end])[-_FINGERPRINT:]
        return _events(data[:end])

    def events(self) -> list[dict[str, Any]]:
        """All complete events, independent of `poll`."""
        return list(self.each_event())

    def each_event(self) -> Iterator[dict[str, Any]]:
        """All complete events, one after another, for a record that is too long to be held at once."""
        rest = b""
        with suppress(OSError), open_plain(self.layout.events) as file:
            while len(rest) <= LONGEST_LINE and (block := file.read(_BLOCK)):
                lines, newline, rest = (rest + block).rpartition(b"\n")
                yield from _events(lines + newline)

    def columns(self) -> list[str]:
        """Names of the step series' columns; empty before the first row."""
        return read_columns(self.layout)

    def steps(self, start: int = 0, stop: int | None = None) -> NDArray[np.float64]:
        """The complete step rows from `start` up to, not including, `stop` (by default all that there are).

        Returns:
            A new array of shape (rows, columns); it has fewer rows where the file has.
        """
        import numpy as np

        columns = self.columns()
        if not columns:
            return np.empty((0, 0))
        width = 8 * len(columns)
        first = max(0, start)
        try:
            with open_plain(self.layout.steps) as file:
                end = os.fstat(file.fileno()).st_size // width
                count = max(0, (end if stop is None else min(stop, end)) - first)
                rows = np.empty((count, len(columns)), dtype="<f8")
                if count:
                    file.seek(first * width)
                    count = file.readinto(rows.data.cast("B")) // width
        except OSError:
            return np.empty((0, len(columns)))
        return rows[:count].astype(np.float64, copy=False)

    def last_row(self) -> dict[str, float] | None:
        """The newest complete step row, without reading the others; None when there is none."""
        columns = self.columns()
        if not columns:
            return None
        width = 8 * len(columns)
        try:
            with open_plain(self.layout.steps) as file:
                rows = os.fstat(file.fileno()).st_size // width
                if not rows:
                    return None
                data = os.pread(file.fileno(), width, (rows - 1) * width)
        except OSError:
            return None
        if len(data) < width:
            return None
        return dict(zip(columns, struct.unpack(f"<{len(columns)}d", data), strict=True))

    def liveness(self) -> Liveness:
        """`live`: a process of this machine holds the run; `dead`: none does; `remote`: it is another's.

        Ask before reading the events: then `dead` means that nothing can come after them.
        """
        host = self.run().get("host") or read_owner(self.layout.lock).get("host")
        if host and host != self._host:
            return "remote"
        return "live" if lock_is_held(self.layout.lock) else "dead"

    def heartbeat_age_s(self) -> float:
        """Seconds since the writer's last sign of life; infinite when there never was one."""
        try:
            return max(0.0, self._clock() - self.layout.lock.stat().st_mtime)
        except OSError:
            return math.inf


def _events(data: bytes) -> list[dict[str, Any]]:
    return [event for line in data.split(b"\n") if line and (event := decode(line)) is not None]
