"""Going on here with a run of a list."""

from __future__ import annotations

from pathlib import Path

from tui_trainer.headless.closing import more_words
from tui_trainer.runs import control
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import read_state


def resume_refusal(root: Path) -> str:
    """Why a run can't be resumed in place, and what to do instead; empty where it can."""
    if control.is_live(RunLayout(root)):
        return f"{root.name.rpartition('-')[2]} is training already: enter on Runs shows it"
    return ""


def resume_words(root: Path) -> list[str]:
    """The command line that goes on with a run; a finished one gets more to do."""
    return ["--resume", str(root), *more_words(read_state(RunReader(root)))]
