"""How a run's status is shown: a mark and a word, so that colour is never needed."""

from __future__ import annotations

from typing import NamedTuple


class Shown(NamedTuple):
    """A mark, a word and a look of `Table`."""

    mark: str
    word: str
    look: str

    @property
    def text(self) -> str:
        return f"{self.mark} {self.word}"


_SHOWN = {
    "starting": Shown("○", "STARTING", "accent"),
    "running": Shown("●", "RUNNING", "accent"),
    "paused": Shown("‖", "PAUSED", "warning"),
    "finished": Shown("✓", "done", "good"),
    "stopped": Shown("■", "stopped", ""),
    "failed": Shown("✗", "FAILED", "bad"),
    "crashed": Shown("!", "CRASHED", "bad"),
}


def shown_status(status: str) -> Shown:
    """How a status is shown in lists."""
    return _SHOWN.get(status, Shown("?", "unknown", "dim"))
