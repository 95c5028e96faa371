"""Keeping a `RunState` and the step series up to date with a run that goes on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import RunState, fold_all, identify, with_liveness

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_MOST_BYTES = 128 << 20
"""Of rows that are handed out at once."""


class RunFollower:
    """Reads only what is new at each call. Begins again by itself when the record was replaced.

    Args:
        root: the run directory, or a reader of it.
        most: bytes of events to read at each call, so that a long record is taken in piece by piece; None for
            all at once.

    Attributes:
        reader: the reader, whose `poll` belongs to this follower.
        generation: as of the reader: when it grows, the step rows handed out before are void.
    """

    def __init__(self, root: Path | str | RunReader, most: int | None = None) -> None:
        self.reader = root if isinstance(root, RunReader) else RunReader(root)
        self._most = most
        self._folded = RunState()
        self._rows = 0

    @property
    def behind(self) -> bool:
        """Whether events are left to be read."""
        return self.reader.behind

    @property
    def generation(self) -> int:
        return self.reader.generation

    def refresh(self) -> RunState:
        """The state as it is now."""
        # Before the events: a process found dead can't have added any after them.
        liveness = self.reader.liveness()
        generation = self.reader.generation
        events = self.reader.poll(self._most)
        if self.reader.generation != generation:
            self._folded, self._rows = RunState(), 0
        if events:
            self._folded = fold_all(self._folded, events)
        state = identify(self._folded, self.reader)
        if self.reader.behind:
            # How it ended may not be read yet.
            return state
        return with_liveness(state, liveness, self.reader.heartbeat_age_s())

    def new_steps(self, most: int = 65_536) -> NDArray[np.float64]:
        """The next step rows, of shape (rows, columns). Call after `refresh`.

        Args:
            most: rows at once, so that a long run is loaded piece by piece. Fewer mean that these are all.
        """
        width = 8 * max(1, len(self.reader.columns()))
        rows = self.reader.steps(self._rows, self._rows + min(most, _MOST_BYTES // width))
        self._rows += len(rows)
        return rows
