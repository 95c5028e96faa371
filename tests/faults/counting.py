"""How often a fault is tried: many times by hand, a few times in CI."""

from __future__ import annotations

import os


def repetitions(full: int, reduced: int) -> int:
    """The number of tries: `full` with TUI_TRAIN_FAULTS=full in the environment, else `reduced`."""
    return full if os.environ.get("TUI_TRAIN_FAULTS") == "full" else reduced
