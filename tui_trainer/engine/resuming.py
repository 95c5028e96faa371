"""Going on from a checkpoint: where, with which part of the record, and what somebody should know of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tui_trainer.config.changes import MEANING, Change, changes
from tui_trainer.engine.identity import source_of
from tui_trainer.engine.initial import InitialWeights, parent_facts
from tui_trainer.files import sha256_file
from tui_trainer.runs.checkpoints import read_index, remove_entries
from tui_trainer.runs.events import decode
from tui_trainer.runs.layout import RunLayout, parse_tag
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.writer import RunWriter

if TYPE_CHECKING:
    from tui_trainer.config.hparams import Hparams
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
        hparams: those that the checkpoint was trained with, or without one the run's, as JSON values.
        typed: hparams that were asked for in so many words, whether or not they differ.
        weights: what the run began with, where it starts again under its id.
    """

    layout: RunLayout
    entry: Entry | None
    notices: tuple[str, ...] = ()
    forks: bool = False
    hparams: Mapping[str, Any] = field(default_factory=dict)
    typed: frozenset[str] = frozenset()
    weights: InitialWeights | None = None

    def changes(self, hparams: Hparams) -> list[Change]:
        """What is different about the hparams to go on with."""
        return changes(self.hparams, hparams)

    def restated(self, hparams: Hparams) -> dict[str, Any]:
        """The hparams that count anew, with the values that the checkpoint was trained with.

        Those are the changed ones, and a learning rate that was typed: the one in the checkpoint may be
        another than its hparam's, set while the run was live.
        """
        before = {change.name: change.before for change in self.changes(hparams)}
        if "lr" in self.typed:
            before.setdefault("lr", hparams.lr)
        return before

    def parent(self, child: RunLayout) -> dict[str, Any] | None:
        """What the record of a forked run says of where it came from; None for a run that goes on itself."""
        if not self.forks or self.entry is None:
            return None
        return parent_facts("fork", self.layout, self.entry, child)


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


def notices(task: Task, hparams: Hparams, resume: ResumePoint | None) -> Iterator[dict[str, str]]:
    """What somebody who resumes should know: level, title and message of an alert each."""
    if resume is None:
        return
    for notice in resume.notices:
        yield _warning("bad checkpoint passed over", notice)
    if resume.entry is None:
        yield _warning("no checkpoint in this run", "training starts from its beginning")
    changed = resume.changes(hparams)
    for kind in MEANING:
        told = [str(change) for change in changed if change.kind == kind]
        if told:
            level = "info" if kind == "safe" else "warning"
            message = f"{'; '.join(told)} ({MEANING[kind]})"
            yield {"level": level, "title": "changed hparams", "message": message}
    kept = RunReader(resume.layout.root).run().get("task_source")
    now = source_of(task)
    if isinstance(kept, dict) and now is not None and sha256_file(now) != kept.get("sha256"):
        copy = resume.layout.task_source / str(kept.get("file"))
        run = resume.layout.root.name if resume.forks else "this run"
        yield _warning("task file has changed", f"{now} differs from what {run} was started with, {copy}")


def _warning(title: str, message: str) -> dict[str, str]:
    return {"level": "warning", "title": title, "message": message}
