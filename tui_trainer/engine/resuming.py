"""Going on from a checkpoint: where, with which part of the record, and what somebody should know of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tui_trainer.engine.identity import source_of
from tui_trainer.files import sha256_file
from tui_trainer.runs.checkpoints import read_index, remove_entries
from tui_trainer.runs.events import decode
from tui_trainer.runs.layout import RunLayout, parse_tag, run_id
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.writer import RunWriter

if TYPE_CHECKING:
    from tui_trainer.runs.checkpoints import Entry
    from tui_trainer.tasks.base import Task


@dataclass(frozen=True)
class ResumePoint:
    """Where training goes on.

    Attributes:
        layout: the run whose checkpoint it is.
        entry: the checkpoint; None to start again under the run's id.
        notices: what was wrong with newer checkpoints.
        forks: whether a new run goes on from there, and this one stays as it is.
    """

    layout: RunLayout
    entry: Entry | None
    notices: tuple[str, ...] = ()
    forks: bool = False

    def parent(self, child: RunLayout) -> dict[str, Any] | None:
        """What the record of a forked run says of where it came from; None for a run that goes on itself."""
        if not self.forks or self.entry is None:
            return None
        here, there = self.layout.root.resolve(), child.root.resolve()
        return {
            "run_id": str(RunReader(here).run().get("run_id") or run_id(self.layout)),
            # Runs that lie side by side are moved together.
            "run_dir": os.path.relpath(here, there) if here.parent == there.parent else str(here),
            "checkpoint": self.entry["tag"],
            "step": self.entry["step"],
        }


def open_resumed(resume: ResumePoint, facts: dict[str, Any], hparams: dict[str, Any]) -> RunWriter:
    """Take hold of a run and cut its record back to the checkpoint.

    Args:
        resume: where it goes on.
        facts: what is new in run.json.
        hparams: those it goes on with, as JSON values.

    Raises:
        TrainerError: another process holds the run, or it can't be read or written.
    """
    writer = RunWriter.resume(resume.layout, facts, hparams, _record_position(resume))
    if resume.entry is not None:
        here = parse_tag(resume.entry["tag"])
        # Newer ones are bad, or it would go on from there.
        newer = [e["tag"] for e in read_index(resume.layout) if parse_tag(e["tag"]) > here]
        remove_entries(resume.layout, newer)
    return writer


def _record_position(resume: ResumePoint) -> dict[str, int]:
    if resume.entry is None:
        return {"rows": 0, "event_bytes": 0}
    from tui_trainer.engine.checkpoint import load_trainer_state

    state = load_trainer_state(resume.layout.trainer_state_file(resume.entry["tag"]))
    position: dict[str, int] = state["record"]
    return {**position, "event_bytes": _after_checkpoint(resume.layout, position["event_bytes"])}


def _after_checkpoint(layout: RunLayout, position: int) -> int:
    """Where the line that tells of a checkpoint ends.

    A checkpoint is told about when it is complete, so its own line lies behind the position that it holds.
    """
    try:
        with open(layout.events, "rb") as file:
            file.seek(position)
            while (event := decode(line := file.readline())) is not None and line.endswith(b"\n"):
                if event["event"] == "checkpoint":
                    return file.tell()
                if event["event"] != "system":
                    break
    except OSError:
        pass
    return position


def notices(task: Task, resume: ResumePoint | None) -> Iterator[tuple[str, str]]:
    """What somebody who resumes should know: a title and a sentence each."""
    if resume is None:
        return
    for notice in resume.notices:
        yield "bad checkpoint passed over", notice
    if resume.entry is None:
        yield "no checkpoint in this run", "training starts from its beginning"
    kept = RunReader(resume.layout.root).run().get("task_source")
    now = source_of(task)
    if isinstance(kept, dict) and now is not None and sha256_file(now) != kept.get("sha256"):
        copy = resume.layout.task_source / str(kept.get("file"))
        run = resume.layout.root.name if resume.forks else "this run"
        yield "task file has changed", f"{now} differs from what {run} was started with, {copy}"
