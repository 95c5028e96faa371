"""Whether a run can go on here, asked before it is tried."""

from __future__ import annotations

from pathlib import Path

from tui_trainer.runs import control
from tui_trainer.runs.layout import RunLayout


def resume_refusal(root: Path, status: str) -> str:
    """Why a run can't be resumed in place, and what to do instead; empty where it can.

    Args:
        root: the run directory.
        status: of the run, as it is listed.
    """
    word = root.name.rpartition("-")[2]
    if control.is_live(RunLayout(root)):
        return f"{word} is training already: enter on Runs shows it"
    if status == "finished":
        more = f"tui-train --resume {word} --epochs N goes on with it"
        return f"{word} is finished, nothing is left to train. {more}; l loads its hparams for a new run."
    return ""
