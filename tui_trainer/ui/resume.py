"""Going on here with a run of a list."""

from __future__ import annotations

from pathlib import Path

from tui_trainer.headless.closing import more_words
from tui_trainer.headless.words import one_line
from tui_trainer.runs import control
from tui_trainer.runs.layout import RunLayout, short_id
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import RunState, read_state


def resume_refusal(root: Path) -> str:
    """Why a run can't be resumed in place, and what to do instead; empty where it can."""
    if control.is_live(RunLayout(root)):
        return f"{one_line(short_id(root))} is training already: enter on Runs shows it"
    return ""


def resume_words(root: Path, state: RunState | None = None) -> list[str]:
    """The command line that goes on with a run; a finished one gets more to do.

    Args:
        root: the run directory.
        state: of the run; by default it is read.
    """
    return ["--resume", str(root), *more_words(state or read_state(RunReader(root)))]
