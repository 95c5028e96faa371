"""One run as the app shows it, kept up to date from its directory: state, step series, console log."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

from tui_trainer.files import open_plain
from tui_trainer.headless.words import clean, one_line
from tui_trainer.runs.control import Request, waiting
from tui_trainer.runs.follow import RunFollower
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import RunState
from tui_trainer.ui.measured import Measured
from tui_trainer.ui.series import StepSeries

CHUNK = 1 << 16
"""Step rows read at once: a long run is loaded piece by piece, a frame a piece."""
EVENT_BYTES = 2 << 20
"""Bytes of events read at once."""
CONSOLE_LINES = 1000


class RunView:
    """Reads what is new at each `refresh`: of a live run, one in another process, one of last month alike.

    Args:
        run_dir: the run directory.

    Attributes:
        layout: the run's paths.
        state: as of the latest refresh.
        series: the step series, in bounded memory.
        measured: evaluations as arrays.
        console: the newest lines of console.log.
        console_count: how many lines were read so far.
        requests: control requests that the trainer has not taken yet.
        loaded: whether all that is recorded has been read.
    """

    def __init__(self, run_dir: Path) -> None:
        self.layout = RunLayout(run_dir)
        self.reader = RunReader(run_dir)
        self._follower = RunFollower(self.reader, EVENT_BYTES)
        self.state = RunState()
        self.series = StepSeries(self.reader)
        self.measured = Measured()
        self.requests: list[Request] = []
        self.console: deque[str] = deque(maxlen=CONSOLE_LINES)
        self.console_count = 0
        self.loaded = False
        self._console = _Tail(self.layout.console_log)
        self._generation = self._follower.generation

    @property
    def run_dir(self) -> Path:
        return self.layout.root

    @property
    def generation(self) -> int:
        """Grows when the record was replaced: by a resume from an earlier checkpoint, elsewhere."""
        return self._generation

    @property
    def short_id(self) -> str:
        """The end of the run's id, which is enough to name it."""
        return one_line(self.layout.root.name).rpartition("-")[2]

    def refresh(self) -> None:
        """Take in what the run has recorded since the last call."""
        self.state = self._follower.refresh()
        if self._follower.generation != self._generation:
            self._generation = self._follower.generation
            self.series.clear()
        rows = self._follower.new_steps(CHUNK)
        self.series.append(rows)
        self.loaded = len(rows) < CHUNK and not self._follower.behind
        self.requests = waiting(self.layout)
        lines = self._console.lines()
        self.console.extend(lines)
        self.console_count += len(lines)


class _Tail:
    """The lines that are added to a text file."""

    MOST = 256 << 10

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset: int | None = None
        self._rest = b""

    def lines(self) -> list[str]:
        """Complete lines since the last call; at first those at the file's end."""
        try:
            size = os.stat(self._path).st_size
            if size == self._offset:
                return []
            with open_plain(self._path) as file:
                if self._offset is None or size < self._offset or size - self._offset > self.MOST:
                    self._offset, self._rest = max(0, size - self.MOST), b""
                file.seek(self._offset)
                data = file.read(self.MOST)
        except OSError:
            return []
        self._offset += len(data)
        *lines, rest = (self._rest + data).split(b"\n")
        # A progress bar may redraw one line for days.
        self._rest = rest[-self.MOST :]
        # Of a line that redraws itself (another progress bar) the last form counts.
        return [clean(line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")) for line in lines]
