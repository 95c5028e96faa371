"""Going on from a checkpoint: where, with which part of the record, and what somebody should know of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tui_trainer.engine.identity import source_of
from tui_trainer.files import open_plain, sha256_file
from tui_trainer.runs.checkpoints import read_index, remove_entries
from tui_trainer.runs.events import decode, encode
from tui_trainer.runs.layout import RunLayout, parse_tag, run_id
from tui_trainer.runs.reader import LONGEST_LINE, RunReader
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
    position, line = record_of(resume.layout, resume.entry)
    writer = RunWriter.resume(resume.layout, facts, hparams, position, line)
    if resume.entry is not None:
        drop_newer(resume.layout, resume.entry["tag"])
    return writer


def record_of(layout: RunLayout, entry: Entry | None) -> tuple[dict[str, int], bytes]:
    """How much of a run's record belongs to a checkpoint.

    Returns:
        The position that the checkpoint holds, and the lines that tell of it and of earlier ones: those that
        were written to the disk after the position was taken.
    """
    if entry is None:
        return {"rows": 0, "event_bytes": 0}, b""
    from tui_trainer.engine.checkpoint import load_trainer_state

    state = load_trainer_state(layout.trainer_state_file(entry["tag"]))
    position: dict[str, int] = state["record"]
    return position, _checkpoint_lines(layout, entry, position["event_bytes"])


def _checkpoint_lines(layout: RunLayout, entry: Entry, begin: int) -> bytes:
    from tui_trainer.engine.saving import checkpoint_facts

    here = parse_tag(entry["tag"])
    facts = {e["tag"]: checkpoint_facts(layout, e) for e in read_index(layout) if parse_tag(e["tag"]) <= here}
    known = {fact["path"] for fact in facts.values()}
    lines, told = [], set()
    with suppress(OSError), open_plain(layout.events) as file:
        file.seek(begin)
        while (line := file.readline(LONGEST_LINE)).endswith(b"\n"):
            event = decode(line)
            if event is not None and event["event"] == "checkpoint" and str(event.get("path")) in known:
                lines.append(line)
                told.add(event["path"])
    own = facts[entry["tag"]]
    if own["path"] not in told:
        # Killed between the two: the index knew it, the record did not yet.
        name = RunReader(layout.root).run().get("run_id") or run_id(layout)
        lines.append(encode({"event": "checkpoint", "time": entry["time"], "run_id": name, **own}))
    return b"".join(lines)


def drop_newer(layout: RunLayout, tag: str) -> None:
    """Delete the checkpoints after the one that a run goes on from: bad, or of a future that was undone."""
    here = parse_tag(tag)
    remove_entries(layout, [e["tag"] for e in read_index(layout) if parse_tag(e["tag"]) > here])


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
